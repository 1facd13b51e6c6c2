"""What manifests and lists of duplicates say, however they are written."""

import json
import os
import tracemalloc
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rhythmgan.data import split_of
from rhythmgan.songs.manifests import (
    Manifest,
    Named,
    Row,
    join_songs,
    md5_of,
    normal_path,
    normal_song,
    normal_style,
    read_duplicates,
    read_manifest,
    without_ending,
)

ONE, TWO, THREE, FOUR, FIVE = (letter * 32 for letter in "abcde")


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        *("A/one.mid", "./A/one.mid", "A\\one.mid", ".\\A\\one.mid", "A//one.mid", "/A/one.mid", "A/./one.mid"),
        *("B/../A/one.mid", "../A/one.mid", " A/one.mid ", "C:\\A\\one.mid", "c:/A/one.mid", "file:///A/one.mid"),
    ],
)
def test_ways_to_write_a_path(written):
    assert normal_path(written) == "A/one.mid"


def test_unicode_is_composed():
    composed = "Café/Ångström ﾄﾞﾗﾑ.mid"
    assert unicodedata.normalize("NFD", composed) != composed
    assert normal_path(unicodedata.normalize("NFD", composed)) == normal_path(composed) == composed
    odd = b"caf\xe9.mid".decode("utf-8", "surrogateescape")
    assert normal_path(odd) == odd


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0", exclude_categories=["C"]), min_size=1).filter(
    lambda part: part.strip() == part and part not in (".", "..")
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).filter(lambda parts: not parts[0].endswith(":"))


@given(
    PATHS,
    st.sampled_from(["", "/", "./", "\\", ".\\", "../", "D:/", "D:\\"]),
    st.sampled_from(["/", "\\", "//", "/./"]),
)
def test_a_normal_path_is_the_same_however_it_is_written(parts, before, separator):
    plain = "/".join(unicodedata.normalize("NFC", part) for part in parts)
    assume(all(part not in (".", "..") for part in plain.split("/")))
    for form in ("NFC", "NFD"):
        written = before + separator.join(unicodedata.normalize(form, part) for part in parts)
        assert normal_path(written) == plain
    assert normal_path(plain) == plain


def test_endings():
    endings = {"a/b.mid": "a/b", "a/b.MIDI": "a/b", "b.npz": "b", "a.d/b": "a.d/b", "a/.mid": "a/.mid", "v1.mid": "v1"}
    endings |= {"Vol.2": "Vol.2", "Mr. Jones": "Mr. Jones", "v1.5.mid": "v1.5", "x.mp3": "x", "x.": "x."}
    assert {name: without_ending(name) for name in endings} == endings


def test_md5s_of_names():
    assert md5_of(f"lmd/a/{ONE}.mid") == md5_of(ONE) == md5_of(ONE.upper() + ".MID") == ONE
    assert md5_of("a.mid") == md5_of(f"{ONE}/a.mid") == md5_of(ONE[1:] + ".mid") == md5_of(ONE + "0.mid") == ""


# -- styles --------------------------------------------------------------------------------------


def test_styles():
    styles = {"funk": "funk", "jazz/funk": "jazz", "latin/brazilian-baiao": "latin", "Pop_Rock": "pop_rock"}
    styles |= {
        "RnB": "rnb",
        " Hip  Hop ": "hip_hop",
        "": "unknown",
        "  ": "unknown",
        "/x": "unknown",
        "UNKNOWN": "unknown",
    }
    assert {text: normal_style(text) for text in styles} == styles


# -- songs ---------------------------------------------------------------------------------------


def test_ways_to_write_a_song():
    decomposed = unicodedata.normalize("NFD", "Café del Mar")
    assert len(decomposed) == 13
    for written in (
        "Café del Mar",
        decomposed,
        " Café  del\tMar\n",
        "Café\0del\xa0Mar\x7f",
        "\ufeffCafé\u200b del Mar",
    ):
        assert normal_song(written) == "Café del Mar"
    assert normal_song("café del mar") == "café del mar"
    for blank in ("", " ", "\t \n", "\0", "\xa0", "\u200b", "\ufeff "):
        assert normal_song(blank) == ""
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert normal_song(odd) == odd


# -- tables --------------------------------------------------------------------------------------


def _rows(tmp_path, text):
    path = tmp_path / "songs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(str(path), "songs.csv", [0]).rows


def test_columns(tmp_path):
    assert _rows(tmp_path, "md5,song,genre\nx,Yes,Pop_Rock\ny,No,\n") == [Row("x", "Yes", "pop_rock"), Row("y", "No")]
    groove = "drummer,session,id,style,beat_type,midi_filename\nd,d/s,d/s/1,jazz/funk,fill,d/s/1.mid\n"
    assert _rows(tmp_path, groove) == [Row("d/s/1.mid", "d/s/1", "jazz", "fill")]
    # md5 before file, song before id, style before genre
    every = "id,genre,file,md5,song,style,beat_type\ni,g,f,m,s,t,Beat\n"
    assert _rows(tmp_path, every) == [Row("m", "s", "t", "beat")]
    # a row without a song still has its style; one without a name, or that says nothing, is none
    assert _rows(tmp_path, "file,song,genre\na,,Rock\n,x,Rock\nb,,\nc\n") == [Row("a", "", "rock")]
    assert _rows(tmp_path, "file,song,beat_type\na,x,solo\n") == [Row("a", "x")]


def test_bytes_that_spreadsheets_and_old_systems_write(tmp_path):
    assert _rows(tmp_path, b"\xef\xbb\xbfmd5,song\r\na,Yesterday\r\n") == [Row("a", "Yesterday")]
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert _rows(tmp_path, b"file,song\ncaf\xe9.mid,caf\xe9\n") == [Row(f"{odd}.mid", odd)]
    assert _rows(tmp_path, 'file,song\n"a,b.mid","two\nlines"\n') == [Row("a,b.mid", "two lines")]


def test_a_row_names_its_file_in_the_first_column_that_is_not_blank(tmp_path):
    table = f"md5,file,song,midi_filename\n{ONE},a.mid,x,\n , b.mid,y,c.mid\n,,z,d.mid\n,,w,\n"
    assert _rows(tmp_path, table) == [Row(ONE, "x"), Row(" b.mid", "y"), Row("d.mid", "z")]


def test_rows_that_name_no_song_or_no_file_are_counted(tmp_path):
    path = tmp_path / "songs.csv"
    path.write_text("file,song,genre\na,x,\nb,,Rock\nc, ,\nd\n,y,\n,,Rock\n,,\n\n", encoding="utf-8")
    found = read_manifest(str(path), "songs.csv", [0])
    assert (found.rows, found.n_without_song, found.n_without_file) == ([Row("a", "x"), Row("b", "", "rock")], 3, 1)


def test_songs_of_rows_are_normal_and_a_blank_is_none(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Café")
    rows = _rows(tmp_path, f'file,song,genre\na,S \nb,Café\nc,{decomposed}\nd," ",\ne, ,Rock\nf,"x\0y",ro\0ck\n')
    assert rows == [Row("a", "S"), Row("b", "Café"), Row("c", "Café"), Row("e", "", "rock"), Row("f", "x y", "ro_ck")]


@pytest.mark.parametrize("text", ["", "name,title\na,b\n", "md5\nx\n", "song\nx\n", "md5;song\nx;y\n"])
def test_tables_without_the_columns(tmp_path, text):
    with pytest.raises(ValueError, match=r"songs\.csv: not a manifest: expected a column md5, file") as refused:
        _rows(tmp_path, text)
    assert "\n" not in str(refused.value)


# -- matching ------------------------------------------------------------------------------------


def _match(keys, files, roots=("in",), reach=None):
    """The key that names each file, and how many keys name one."""
    manifest = Manifest(
        "m", [Row(key, f"song {key}") for key in keys], frozenset(range(len(roots)) if reach is None else reach)
    )
    named = [Named(*file) if isinstance(file, tuple) else Named(0, normal_path(file)) for file in files]
    found = manifest.match(named, [[normal_path(root)] if isinstance(root, str) else root for root in roots])
    return [keys[number] if number >= 0 else None for number in found], manifest.n_matched


@pytest.mark.parametrize(
    "key",
    [
        *("A/one.mid", "A\\one.mid", "./A/one.mid", "A/one", "/mnt/in/A/one.mid", "D:\\data\\in\\A\\one.mid"),
        *(
            "in/A/one.mid",
            "in/A/one",
            "one",
            "one.mid",
            "A/one.MID",
            "A/one.wav",
            "../in/A/one.mid",
            "/elsewhere/in/A/one",
        ),
    ],
)
def test_a_row_names_its_file_however_it_is_written(key):
    files = ["A/one.mid", "A/two.mid", "B/three.mid", "four.mid"]
    assert _match([key], files) == ([key, None, None, None], 1)


def test_rows_that_name_no_file():
    files = ["A/one.mid", "B/one.mid", "two.mid"]
    for key in ("one.mid", "C/one.mid", "A/two.mid", "one.mid.bak", "A", "x/in.mid", ".mid"):
        assert _match([key], files) == ([None] * 3, 0), key
    # without ending and folder it names all that are called so, as an MD5 does
    assert _match(["one"], files) == (["one", "one", None], 1)


def test_the_most_exact_row_counts():
    files = ["A/one.mid", "one.mid", "A/one.npz"]
    assert _match(["one.mid", "A/one.mid", "A/one.npz"], files) == (["A/one.mid", "one.mid", "A/one.npz"], 3)
    assert _match(["A/one", "one"], files) == (["A/one", "one", "A/one"], 2)
    # of rows of one name the last counts, and all are matched
    assert _match(["./A/one.mid", "A/one.mid"], files[:1]) == (["A/one.mid"], 2)
    # what another row names is not looked for by its name alone
    assert _match(["in/A/one.mid", "A/one.mid"], files[:1]) == (["A/one.mid"], 1)
    assert _match(["A/one.mid", "one.mid"], files[:1]) == (["A/one.mid"], 1)
    # a folder in the source that is called as the source
    assert _match(["in/one.mid"], ["one.mid", "in/one.mid"]) == ([None, "in/one.mid"], 1)


def test_sources_that_a_manifest_reaches():
    files = [(0, "a.mid"), (1, "a.mid"), (1, f"x/{ONE}.npz"), (0, f"{TWO}.mid")]
    assert _match(["a.mid", ONE, f"p/{TWO}.mid"], files, ("in", "out"), reach=[0]) == (
        ["a.mid", None, ONE, f"p/{TWO}.mid"],
        3,
    )
    assert _match(["a.mid", ONE.upper()], files, ("in", "out"))[0] == ["a.mid", "a.mid", ONE.upper(), None]
    assert _match(["out/a.mid"], files, ("in", "out"))[0] == [None, "out/a.mid", None, None]


@given(st.lists(PATHS, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_every_row_of_a_full_manifest_finds_its_file(paths, random):
    files = list(dict.fromkeys(normal_path("/".join(path)) + ".mid" for path in paths))
    files = [file for file in files if "//" not in file and not file.startswith(".mid")]
    assume(files)
    written = []
    for file in files:
        file = unicodedata.normalize(random.choice(["NFC", "NFD"]), file)
        file = random.choice([file, file.replace("/", "\\"), f"./{file}", f"/{file}"])
        written.append(file)
    assert _match(written, files) == (written, len(files))


def test_what_is_said_of_a_manifest():
    manifest = Manifest("in/manifest.csv", [Row("a", "x")] * 2424, frozenset([0]))
    assert manifest.notice() == "in/manifest.csv: none of 2,424 rows name a file that is here"
    manifest.n_matched = 1101
    assert manifest.notice() == "in/manifest.csv: 1,101 of 2,424 rows name a file that is here"
    manifest.n_without_song, manifest.n_without_file = 1300, 1
    assert manifest.notice() == (
        "in/manifest.csv: 1,101 of 2,424 rows name a file that is here, 1,300 rows name no song, 1 row names no file"
    )
    assert Manifest("m", [], frozenset([0])).notice() == "m: no row names a file and its song"


# -- duplicates ----------------------------------------------------------------------------------


def _groups(tmp_path, text):
    path = tmp_path / "same.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return read_duplicates(path)


@pytest.mark.parametrize("separator", [",", "\t", " ", ";", " , ", '","', " = ", "__0__", "/lmd_full/a/"])
def test_lines_of_md5s(tmp_path, separator):
    text = f"{ONE}{separator}{TWO.upper()}{separator}{THREE}\n# {FOUR}\n\n{FOUR}{separator}{FIVE}.mid\n"
    assert _groups(tmp_path, text) == [[ONE, TWO, THREE], [FOUR, FIVE]]


def test_longer_hashes_are_no_md5s(tmp_path):
    with pytest.raises(ValueError, match=r"same\.json: not a list of duplicates: no two MD5s stand together"):
        _groups(tmp_path, f"{ONE}{ONE} {TWO}0 {THREE} {THREE}\n{FOUR}\n")


@pytest.mark.parametrize(
    ("tree", "groups"),
    [
        ([[ONE, TWO], [THREE, FOUR, FIVE], [ONE]], [[ONE, TWO], [THREE, FOUR, FIVE]]),
        # the two forms of the lists by Choi and others
        ({f"a__{ONE}": [f"b__{TWO}", f"c__{THREE}"], f"d__{FOUR}": [f"e__{FIVE}"]}, [[ONE, TWO, THREE], [FOUR, FIVE]]),
        (
            {
                "ABBA__Dancing Queen": {"survived_file": f"a__{ONE}", "remove_file_list": [f"b__{TWO}", f"c__{THREE}"]},
                "Someone__Else": {"survived_file": f"d__{FOUR}", "remove_file_list": []},
            },
            [[ONE, TWO, THREE]],
        ),
        ({"clusters": [[ONE, TWO], [THREE, FOUR]]}, [[ONE, TWO], [THREE, FOUR]]),
        ({"7": [ONE, TWO], "8": [THREE, FOUR]}, [[ONE, TWO], [THREE, FOUR]]),
        ([{"md5": ONE, "duplicate_of": TWO}, {"md5": THREE, "duplicate_of": FOUR}], [[ONE, TWO], [THREE, FOUR]]),
        ({ONE: TWO, THREE: FOUR}, [[ONE, TWO], [THREE, FOUR]]),
    ],
)
def test_forms_of_json(tmp_path, tree, groups):
    assert _groups(tmp_path, tree) == groups
    assert _groups(tmp_path, json.dumps(tree, indent=2)) == groups


def test_lists_that_say_nothing(tmp_path):
    with pytest.raises(ValueError, match="an array of MD5s says not which of them are one song"):
        _groups(tmp_path, [ONE, TWO, THREE])
    for text in ("", "{}", "[]", "3", f"[[{json.dumps(ONE)}]]", "[" * 100_000, "[" * 900 + "]" * 900):
        with pytest.raises(ValueError, match="not a list of duplicates") as refused:
            _groups(tmp_path, text)
        assert "\n" not in str(refused.value)


def test_songs_are_joined_by_hand():
    songs = ["m", "c", "m", "z", "k", "lone", "b"]
    md5s = [ONE, TWO, "", THREE, FOUR, FIVE, ""]
    # ONE ~ TWO: m and c are c, and with them the file without an MD5; THREE ~ FOUR: z and k are k
    assert join_songs(songs, md5s, [[ONE, TWO], [THREE, FOUR], [FIVE, "0" * 32]]) == (
        ["c", "c", "c", "k", "k", "lone", "b"],
        2,
        4,
    )
    # groups that share an MD5 are one
    assert join_songs(songs, md5s, [[ONE, TWO], [THREE, TWO], [FIVE, THREE]])[0] == ["c"] * 4 + ["k", "c", "b"]
    assert join_songs(songs, md5s, []) == (songs, 0, 0)
    # one MD5 in two sources is no group, and in a group both are its files
    assert join_songs(["x", "x"], [ONE, ONE], [[ONE, TWO]]) == (["x", "x"], 0, 0)
    assert join_songs(["x", "y", "a"], [ONE, ONE, TWO], [[ONE, TWO]]) == (["a", "a", "a"], 1, 3)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20),
    st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=4), max_size=8),
)
def test_files_of_one_group_are_never_in_two_splits(files, groups):
    """Compared with a slow walk from file to file."""
    songs = [f"song {song}" for song, _ in files]
    md5s = [f"{md5:032x}" for _, md5 in files]
    joined, _, _ = join_songs(songs, md5s, [[f"{md5:032x}" for md5 in group] for group in groups])
    for first in range(len(files)):
        same, size = {first}, 0
        while len(same) > size:
            size = len(same)
            for i in list(same):
                same |= {
                    j
                    for j in range(len(files))
                    if songs[i] == songs[j] or any(files[i][1] in group and files[j][1] in group for group in groups)
                }
        assert {joined[i] for i in same} == {min(songs[i] for i in same)}
        assert len({split_of(joined[i]) for i in same}) == 1


def test_a_list_is_read_as_bytes_come(tmp_path):
    path = tmp_path / "same.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{ONE},{TWO}".encode() + b",\xff\xe9\r\n")
    assert read_duplicates(os.fspath(path)) == [[ONE, TWO]]


# -- tables that ask for more than they are --------------------------------------------------------


def _at_most(n_bytes, function, *arguments):
    """What a function gives, in which no more memory than this is asked for."""
    tracemalloc.start()
    try:
        return function(*arguments)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < n_bytes


def test_a_million_columns_are_not_in_every_row(tmp_path):
    path = tmp_path / "manifest.csv"
    columns = ",".join(["file", "song", *(f"c{i}" for i in range(100_000))])
    path.write_text(columns + "\n" + "a.mid,one\n" * 1000 + "," * 100_000 + "\n", encoding="utf-8")
    found = _at_most(64 << 20, read_manifest, str(path), "m", [0])
    assert found.rows == [Row("a.mid", "one")] * 1000


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"file,song\n" + b"a" * 200_000 + b",b", "field larger than field limit"),
        (b"", "expected a column"),
        (b"\n\nfile,song\n", "expected a column"),
        (b"\0" * 1000, "expected a column"),
        (b"\xff\xfe" + "file,song".encode("utf-16-le"), "expected a column"),
        (b'"' * 1001, "expected a column"),
    ],
)
def test_what_is_no_manifest(tmp_path, content, why):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"manifest\.csv: not a manifest: {why}") as raised:
        read_manifest(str(path), "m", [0])
    assert "\n" not in str(raised.value)


def test_nuls_and_odd_bytes_in_rows(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"file,song\r\na\0b.mid,o\0ne\r\n\xff.mid,\xfe\r\nshort\r\n\r\n,,,,,\r\n")
    odd = [byte.decode("utf-8", "surrogateescape") for byte in (b"\xff.mid", b"\xfe")]
    assert read_manifest(str(path), "m", [0]).rows == [Row("a b.mid", "o ne"), Row(*odd)]


def test_a_name_that_repeats_the_source_is_looked_for_a_few_times():
    """All that stands behind each of 60,000 "a" of a name would be 2 GB."""
    table = Manifest("m", [Row("/".join("a" * 60_000), "one")], frozenset([0]))
    found = _at_most(64 << 20, table.match, [Named(0, "b.mid")], [["a"]])
    assert list(found) == [-1]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[[" * 400 + "]]" * 400, "1" * 5000, "NaN", ""])
def test_what_is_no_list_of_duplicates(tmp_path, text):
    path = tmp_path / "duplicates.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"duplicates\.json: not a list of duplicates: ") as raised:
        read_duplicates(path)
    assert "\n" not in str(raised.value)
