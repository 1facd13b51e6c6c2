"""Which files there are, which song each belongs to, and their contents by batches."""

import csv
import importlib.util
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.songs import archives
from rhythmgan.songs.contents import SongFile, batches, contents
from rhythmgan.songs.listing import READABLE
from rhythmgan.songs.sources import find_files

ONE, TWO, THREE = (letter * 32 for letter in "abc")
PACKINGS = (".zip", ".tar", ".tar.gz")


def _tree(root, *names):
    """Files below a folder; each holds its own name."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))
    return root


def _pack(root, path, inside=True):
    """A folder as an archive, with its own name before its members' or not."""
    files = sorted(file for file in root.rglob("*") if file.is_file())
    base = root.parent if inside else root
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(base))
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w", format=tarfile.GNU_FORMAT) as archive:
            for file in files:
                archive.add(file, file.relative_to(base))
    return path


def _table(path, columns, **options):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path, **options)
    return path


def _songs(*roots, **options):
    """The song of each file by its name, in the order in which they are found."""
    return {file.name: file.song for file in find_files(roots, **options).files}


def _csv(path, *rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


# -- folders -------------------------------------------------------------------------------------

TREE = ("top.mid", "other.MIDI", "one/a.mid", "one/b.npz", "two/deep/c.mid", "a/d.mid", "F/e.mid", "ab/f.mid")


def test_songs_by_folder(tmp_path):
    root = _tree(tmp_path / "beats", *TREE, "one/notes.txt", ".hidden.mid", "one/x.mid.part")
    assert _songs(root) == {
        # a fixed order: a folder's files, then its folders
        "beats/other.MIDI": "beats/other.MIDI",
        "beats/top.mid": "beats/top.mid",
        # one-letter folders are the Lakh MIDI Dataset's buckets: they say nothing of the song
        "beats/F/e.mid": "beats/F/e.mid",
        "beats/a/d.mid": "beats/a/d.mid",
        "beats/ab/f.mid": "beats/ab",
        "beats/one/a.mid": "beats/one",
        "beats/one/b.npz": "beats/one",
        "beats/two/deep/c.mid": "beats/two/deep",
    }
    assert list(_songs(root))[:3] == ["beats/other.MIDI", "beats/top.mid", "beats/F/e.mid"]
    found = find_files([root])
    assert found.notices == []
    first = found.files[0]
    assert (first.path, first.location, first.source) == (str(root / "other.MIDI"), str(root / "other.MIDI"), 0)
    assert (first.style, first.label, first.member) == ("unknown", "", None)
    assert pickle.loads(pickle.dumps(first)) == first


def test_songs_are_named_alike_however_the_source_is_written(tmp_path, monkeypatch):
    """A song's split is a hash of its name."""
    root = _tree(tmp_path / "beats", "top.mid", "one/a.mid", "TRABCDE128F425EECA/b.mid")
    (root / "inner").mkdir()
    expected = ["beats/top.mid", "TRABCDE128F425EECA", "beats/one"]
    assert list(_songs(root).values()) == expected
    monkeypatch.chdir(root)
    assert list(_songs(".").values()) == expected
    monkeypatch.chdir(root / "inner")
    assert list(_songs("..").values()) == expected
    assert list(_songs("../TRABCDE128F425EECA").values()) == ["TRABCDE128F425EECA"]
    assert list(_songs("../TRABCDE128F425EECA/b.mid").values()) == ["TRABCDE128F425EECA"]


def test_names_that_are_ids(tmp_path):
    track = "lpd_5/A/B/C/TRABCDE128F425EECA"
    root = _tree(tmp_path / "in", f"{track}/x.npz", f"{track}/y.npz", f"one/{ONE}.mid", f"{TWO}.MID", f"x/{ONE}.npz")
    songs = {name.removeprefix("in/"): song for name, song in _songs(root).items()}
    assert songs == {
        f"{track}/x.npz": "TRABCDE128F425EECA",
        f"{track}/y.npz": "TRABCDE128F425EECA",
        f"one/{ONE}.mid": ONE,
        f"{TWO}.MID": TWO,
        f"x/{ONE}.npz": ONE,
    }
    # the same song from wherever the tree is read
    assert set(_songs(root / "lpd_5" / "A").values()) == {"TRABCDE128F425EECA"}


def test_several_sources(tmp_path):
    first, second = _tree(tmp_path / "first", "a.mid"), _tree(tmp_path / "second", "a.mid", "b.mid")
    single = tmp_path / "single.mid"
    single.write_bytes(b"x")
    found = find_files([first, second, single])
    assert [file.name for file in found.files] == ["first/a.mid", "second/a.mid", "second/b.mid", "single.mid"]
    assert [file.song for file in found.files] == [file.name for file in found.files]
    assert [file.source for file in found.files] == [0, 1, 1, 2]


def test_sources_of_one_name(tmp_path):
    for name in "AB":
        _tree(tmp_path / name / "drums", "x.mid")
    assert list(_songs(tmp_path / "A" / "drums", tmp_path / "B" / "drums")) == ["A/drums/x.mid", "B/drums/x.mid"]
    with pytest.raises(ValueError, match="named twice"):
        find_files([tmp_path / "A", tmp_path / "A" / "drums" / ".."])
    # a folder beside the archive that it was packed into, and archives of folders of one name
    packed = _pack(tmp_path / "A" / "drums", tmp_path / "A" / "drums.zip")
    other = _pack(tmp_path / "B" / "drums", tmp_path / "A" / "more.zip")
    assert list(_songs(packed, other)) == ["drums/x.mid", "more/x.mid"]
    assert list(_songs(tmp_path / "A" / "drums", packed)) == ["drums/x.mid", "drums.zip/x.mid"]


def test_a_source_in_another_is_refused(tmp_path, monkeypatch):
    """Its files would be two songs each, one of them perhaps in the training part and one held out."""
    root = _tree(tmp_path / "dl", "s/a.mid", "s/.b.mid", "s/c.txt", "d.mid")
    (tmp_path / "link").symlink_to(root / "s")
    (tmp_path / "one.mid").symlink_to(root / "d.mid")
    (root / "out.mid").symlink_to(_tree(tmp_path / "other", "e.mid") / "e.mid")
    monkeypatch.chdir(tmp_path)
    for inner in ("dl/s", "dl/s/a.mid", str(root / "d.mid"), "link", "link/a.mid", "one.mid", "dl/out.mid"):
        for named in (["dl", inner], [inner, "other/../dl"]):
            with pytest.raises(ValueError, match="its files would be read twice") as refused:
                find_files(named)
            assert str(refused.value).startswith(f"{inner} lies in {named[1 - named.index(inner)]}, ")
    # what is not read in the folder: a hidden file, one of another ending, an archive
    for inner in ("dl/s/.b.mid", "dl/s/c.txt"):
        assert len(find_files(["dl", inner]).files) == 4
    packed = _pack(root / "s", root / "s.zip")
    assert [file.name for file in find_files(["dl/s", packed]).files] == ["s/a.mid", "s.zip/a.mid"]
    table = _table(root / "t.parquet", {"music": [b"1"]})
    with pytest.raises(ValueError, match=r"t\.parquet lies in dl, which is a source too"):
        find_files(["dl", table])


def test_links_to_another_source_are_read_there(tmp_path):
    first, second = _tree(tmp_path / "first", "a.mid"), _tree(tmp_path / "second", "b.mid", "deep/c.mid")
    (first / "folder").symlink_to(second / "deep")
    for roots, notices in (([first], 0), ([first, second], 1), ([second, first], 1)):
        found = find_files(roots)
        assert sorted(Path(file.name).name for file in found.files) == ["a.mid", "b.mid", "c.mid"][
            : 1 + 2 * notices
        ] + ([] if notices else ["c.mid"])
        assert len(found.notices) == notices
    assert found.notices == [f"{first}/folder leads to another source, and what is there is read once"]
    (first / "file.mid").symlink_to(second / "b.mid")
    found = find_files([first, second])
    assert [file.name for file in found.files] == ["first/a.mid", "second/b.mid", "second/deep/c.mid"]
    assert found.notices == [f"2 links in {first} lead to another source, and what is there is read once"]


def test_a_source_without_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(_tree(tmp_path, "a.mid"))
    for named in ([""], [".", ""]):
        with pytest.raises(ValueError, match="a source has no name"):
            find_files(named)


@pytest.mark.parametrize("unfinished", [".new", ".ready"])
def test_files_of_a_call_that_was_killed_are_no_songs(tmp_path, unfinished):
    _tree(tmp_path / "loops", "variation-001.mid", f"{unfinished}/variation-002.mid")
    assert list(_songs(tmp_path / "loops")) == ["loops/variation-001.mid"]


def test_linked_folders_are_read_once(tmp_path):
    _tree(tmp_path / "real", "a.mid")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "in")
    assert list(_songs(tmp_path / "in")) == ["in/link/a.mid"]


def test_nothing_found(tmp_path):
    with pytest.raises(ValueError, match=r"no \.mid, \.midi, \.kar, \.rmi or \.npz file in .*"):
        find_files([tmp_path])
    with pytest.raises(FileNotFoundError) as missing:
        find_files([tmp_path, tmp_path / "nowhere"])
    assert missing.value.filename == str(tmp_path / "nowhere")
    # where archives lie, it says what to do
    _pack(_tree(tmp_path / "songs", "a.mid"), tmp_path / "songs.zip")
    shutil.rmtree(tmp_path / "songs")
    with pytest.raises(ValueError, match=r"no \.mid.*songs\.zip is not read: name archives as sources themselves"):
        find_files([tmp_path])


# -- archives ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACKINGS)
@pytest.mark.parametrize("inside", [True, False], ids=["a folder inside", "files inside"])
def test_a_packed_folder_is_the_folder(tmp_path, suffix, inside):
    """The same names, the same songs, hence the same splits; and the same contents."""
    table = ("info.csv", "d1/s1/1_funk.mid")
    root = _tree(tmp_path / "beats", *TREE, f"a/{ONE}.mid", "A/TRABCDE128F425EECA/x.npz", *table[1:])
    _csv(
        root / "info.csv",
        ["id", "style", "beat_type", "midi_filename"],
        ["d1/s1/1", "latin/samba", "fill", "d1/s1/1_funk.mid"],
    )
    packed = _pack(root, tmp_path / f"beats{suffix}", inside)
    folder, archive = find_files([root]), find_files([packed])
    for what in ("name", "song", "style", "label"):
        by_name = [{file.name: getattr(file, what) for file in found.files} for found in (folder, archive)]
        assert by_name[0] == by_name[1], what
    plain = dict(zip([file.name for file in folder.files], contents(folder.files), strict=True))
    assert dict(zip([file.name for file in archive.files], contents(archive.files), strict=True)) == plain
    assert set(plain.values()) == {name.removeprefix("beats/").encode() for name in plain}
    assert archive.notices == [f"beats{suffix}/info.csv: 1 of 1 rows name a file that is here"]
    (file,) = (file for file in archive.files if file.label)
    assert (file.path, file.song, file.style, file.label) == (str(packed), "d1/s1/1", "latin", "fill")
    assert file.member == ("beats/" if inside else "") + "d1/s1/1_funk.mid"
    assert file.location == f"{packed}/{file.member}"


def test_a_manifest_beside_the_only_folder_of_an_archive(tmp_path):
    root = _tree(tmp_path / "lakh", "lmd_full/a/one.mid", "lmd_full/b/two.mid")
    _csv(root / "manifest.csv", ["file", "song"], ["lmd_full/a/one.mid", "x"], ["lmd_full/b/two.mid", "x"])
    packed = _pack(root, tmp_path / "lakh.zip", inside=False)
    assert _songs(packed) == {"lakh/lmd_full/a/one.mid": "x", "lakh/lmd_full/b/two.mid": "x"} == _songs(root)


def test_archives_in_a_folder_are_not_read_and_that_is_said(tmp_path):
    root = _tree(tmp_path / "in", "a.mid", "packed/b.mid")
    _pack(root / "packed", root / "packed.zip")
    assert list(_songs(root)) == ["in/a.mid", "in/packed/b.mid"]
    assert find_files([root]).notices == [f"{root}/packed.zip is not read: name archives as sources themselves"]
    _pack(root / "packed", root / "packed" / "again.tar.gz")
    assert find_files([root]).notices == [f"2 archives in {root} are not read: name archives as sources themselves"]


def test_a_damaged_archive_costs_no_other_source(tmp_path):
    good = _tree(tmp_path / "good", "a.mid")
    bad = tmp_path / "bad.zip"
    bad.write_bytes(b"PK\3\4 and no more")
    found = find_files([bad, good])
    assert [(file.source, file.location) for file in found.files] == [(0, str(bad)), (1, str(good / "a.mid"))]
    error, content = contents(found.files)
    assert (error.strerror, error.filename, content) == ("not a .zip file, or it is damaged", str(bad), b"a.mid")
    packed = _pack(_tree(tmp_path / "many", *(f"x/{i}.mid" for i in range(9))), tmp_path / "many.tar")
    packed.write_bytes(packed.read_bytes()[: 5 * 1024 + 100])
    found = find_files([packed])
    assert [file.member for file in found.files] == [*(f"many/x/{i}.mid" for i in range(5)), None]
    assert [content for content in contents(found.files) if isinstance(content, bytes)] == [
        f"x/{i}.mid".encode() for i in range(5)
    ]


def test_archives_in_an_archive_are_said(tmp_path):
    root = _tree(tmp_path / "in", "x.zip", "y/z.tar.gz")
    for path in (_pack(root, tmp_path / "in.zip"), _pack(root, tmp_path / "in.tar.gz")):
        with pytest.raises(
            ValueError, match=r"2 archives in it are not read: unpack it first, and it holds nothing else"
        ):
            find_files([path])
    (root / "y" / "z.tar.gz").unlink()
    _tree(root, "a.mid")
    found = find_files([_pack(root, tmp_path / "in.zip")])
    assert [file.name for file in found.files] == ["in/a.mid"]
    assert found.notices == [f"{tmp_path}/in.zip: 1 archive in it is not read: unpack it first"]


def test_links_in_an_archive_are_said(tmp_path):
    root = _tree(tmp_path / "in", "a.mid")
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        archive.add(root / "a.mid", "in/a.mid")
        for name in "bc":
            info = tarfile.TarInfo(f"in/{name}.mid")
            info.type, info.linkname = tarfile.SYMTYPE, "a.mid"
            archive.addfile(info)
    found = find_files([tmp_path / "in.tar"])
    assert found.notices == [f"{tmp_path}/in.tar: 2 members are links or no plain files, and are not read"]
    assert len(found.files) == 1


def test_tables(tmp_path):
    rows = {
        "md5": [ONE, TWO, None],
        "music": [b"MThd 1", b"MThd 2", b"MThd 3"],
        "music_styles_curated": [["Jazz"], None, []],
    }
    path = _table(tmp_path / "train.parquet", rows)
    found = find_files([path])
    assert [(file.name, file.song, file.style) for file in found.files] == [
        (f"train/{ONE}.mid", ONE, "jazz"),
        (f"train/{TWO}.mid", TWO, "unknown"),
        ("train/2.mid", "train/2.mid", "unknown"),
    ]
    assert list(contents(found.files)) == rows["music"]
    # a folder of them, as data sets are published, beside a plain file
    root = _tree(tmp_path / "giga", "v2/a.mid", "x.mid")
    for name in ("train", "test"):
        shutil.copy(path, root / "v2" / f"{name}.parquet")
    found = find_files([root])
    assert [file.name for file in found.files] == [
        "giga/x.mid",
        "giga/v2/a.mid",
        *(f"giga/v2/{split}/{stem}.mid" for split in ("test", "train") for stem in (ONE, TWO, 2)),
    ]
    # a table is no folder: its rows are songs of their own
    assert [file.song for file in found.files][2:5] == [ONE, TWO, "giga/v2/test/2.mid"]
    assert list(contents(found.files)) == [b"x.mid", b"v2/a.mid", *rows["music"], *rows["music"]]
    # a manifest's word comes before the table's
    manifest = _csv(tmp_path / "songs.csv", ["md5", "song", "genre"], [ONE, "s", "Blues"], [TWO, "s", ""])
    assert [(file.song, file.style) for file in find_files([path], manifest).files][:2] == [
        ("s", "blues"),
        ("s", "unknown"),
    ]


def test_tables_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    root = _tree(tmp_path / "in", "a.mid", "b.parquet")
    with pytest.raises(
        ValueError, match=r"b\.parquet: a parquet table needs pyarrow: pip install 'rhythmgan\[parquet\]'"
    ):
        find_files([root / "b.parquet"])
    found = find_files([root])
    assert [file.name for file in found.files] == ["in/a.mid"]
    assert found.notices == [f"{root}/b.parquet is not read: it needs pyarrow (pip install 'rhythmgan[parquet]')"]


# -- contents and batches ------------------------------------------------------------------------


def _everything(tmp_path, n=150):
    """One source of each kind, of ``n`` files each, and what each file holds."""
    rng = random.Random(0)
    data = {f"{i:032x}.mid": rng.randbytes(i) for i in range(n)}
    roots = []
    for i, suffix in enumerate(("", *PACKINGS, ".tar.xz", ".parquet")):
        root = tmp_path / f"s{i}"
        root.mkdir()
        if suffix == ".parquet":
            columns = {"md5": [name[:-4] for name in data], "music": list(data.values())}
            roots.append(_table(tmp_path / f"s{i}.parquet", columns, row_group_size=40))
            continue
        for name, content in data.items():
            (root / name).write_bytes(content)
        if suffix == ".tar.xz":
            roots.append(tmp_path / f"s{i}{suffix}")
            with tarfile.open(roots[-1], "w:xz") as archive:
                archive.add(root, root.name)
        else:
            roots.append(_pack(root, tmp_path / f"s{i}{suffix}") if suffix else root)
    files = find_files(roots).files
    return files, [data[Path(file.name).name] for file in files]


def test_contents_of_every_kind_in_any_order(tmp_path):
    files, expected = _everything(tmp_path)
    assert len(files) == 6 * 150
    assert list(contents(files)) == expected
    order = random.Random(1).sample(range(len(files)), 60)
    assert list(contents([files[i] for i in order])) == [expected[i] for i in order]
    assert list(contents([])) == []


def test_batches_are_all_files_once_and_in_order(tmp_path, monkeypatch):
    files, expected = _everything(tmp_path)
    made = list(batches(files, 64))
    assert [i for batch in made for i in batch.indices] == list(range(900))
    assert max(len(batch.indices) for batch in made) == 64
    # a folder, a .zip and a .tar are left to whoever gets the batch, and run into one another
    assert [len(batch.indices) for batch in made if batch.contents is None] == [64] * 7 + [2]
    assert [len(batch.indices) for batch in made if batch.contents is not None] == [64, 64, 22] * 3
    found = []
    for batch in pickle.loads(pickle.dumps(made)):
        found += contents([files[i] for i in batch.indices]) if batch.contents is None else batch.contents
    assert found == expected
    # bounded by bytes, too: each of these has 100 to 149
    monkeypatch.setattr("rhythmgan.songs.contents.MAX_BATCH_BYTES", 500)
    sizes = [len(batch.indices) for batch in batches(files[-50:], 64)]
    assert sum(sizes) == 50
    assert set(sizes[:-1]) <= {4, 5}
    # what is left after a part was done
    left = files[500:520] + files[800:803]
    assert [content for batch in batches(left) for content in batch.contents] == expected[500:520] + expected[800:803]


def test_batches_read_a_stream_once(tmp_path, monkeypatch):
    """Hundreds of runs of one compressed archive must not unpack it hundreds of times."""
    packed = _pack(_tree(tmp_path / "in", *(f"{i}.mid" for i in range(300))), tmp_path / "in.tar.gz")
    files = find_files([packed]).files
    opened = []
    real = archives._open_tar
    monkeypatch.setattr(archives, "_open_tar", lambda *args: opened.append(args) or real(*args))
    assert sum(len(batch.indices) for batch in batches(files, 10)) == 300
    assert len(opened) == 1


def test_batches_are_read_as_they_are_taken(tmp_path):
    packed = _pack(_tree(tmp_path / "in", *(f"{i}.mid" for i in range(30))), tmp_path / "in.tar.gz")
    made = batches(find_files([packed]).files, 10)
    assert next(made).indices == range(10)
    packed.unlink()  # still open
    assert next(made).indices == range(10, 20)
    made.close()


def test_one_file_that_fails_costs_no_other(tmp_path):
    root = _tree(tmp_path / "in", "a.mid", "b.mid", "c.mid", "d.mid")
    files = find_files([root]).files
    (root / "b.mid").unlink()
    (root / "c.mid").unlink()
    os.mkfifo(root / "c.mid")
    first, missing, pipe, last = contents(files)
    assert (first, last) == (b"a.mid", b"d.mid")
    assert (missing.strerror, pipe.strerror) == ("No such file or directory", "not a regular file")
    assert missing.filename == str(root / "b.mid")


def test_files_that_are_called_as_what_they_are_not(tmp_path):
    root = _tree(tmp_path / "in", "x/a.npz", "x/b.npz", "x/c.mid", "x/d.MIDI", "x/e.npz")
    for name, content in {
        "a.npz": b"MThd\0\0\0\6",
        "b.npz": b"RIFF....RMIDdata",
        "c.mid": b"PK\3\4 and so on",
        "d.MIDI": b"MThd",
        "e.npz": b"PK\3\4",
    }.items():
        (root / "x" / name).write_bytes(content)
    reasons = ["a MIDI file called .npz"] * 2 + ["a .zip or .npz file called .mid", b"MThd", b"PK\3\4"]
    for source in (root, *(_pack(root, tmp_path / f"in{suffix}") for suffix in PACKINGS)):
        files = find_files([source]).files
        found = list(contents(files))
        assert [content if isinstance(content, bytes) else content.strerror for content in found] == reasons
        given = [content for batch in batches(files) for content in batch.contents or contents(files)]
        assert list(map(str, given)) == list(map(str, found))


def test_corpora_and_bars_beside_songs_are_no_songs(tmp_path):
    root = _tree(tmp_path / "in", "a.mid")
    columns = {"words_16": np.zeros((1, 16), np.uint16), "format": np.array(3), "counts": np.zeros(2, np.uint8)}
    np.savez(root / "corpus.npz", **columns)
    found = find_files([root])
    assert [file.name for file in found.files] == ["in/a.mid"]
    assert found.notices == [f"{root}/corpus.npz: a corpus, no song, and not read"]
    np.savez(root / "seeds.npz", z=np.zeros(3), bars=np.zeros((1, 16, 9), bool))
    assert find_files([root]).notices == [f"{root}: 2 .npz files are corpora or bars, no songs, and not read"]
    # songs of LPD, damaged ones too, whatever is in them; and what lies deeper or is named itself
    np.savez(root / "lpd.npz", tempo=np.zeros(3), bars=np.zeros(3))
    np.savez(root / "other.npz", x=np.zeros(3))
    (root / "broken.npz").write_bytes(b"PK\3\4")
    os.mkfifo(root / "pipe.npz")
    (root / "deep").mkdir()
    shutil.copy(root / "corpus.npz", root / "deep")
    names = [f"in/{name}" for name in ("a.mid", "broken.npz", "lpd.npz", "other.npz", "pipe.npz", "deep/corpus.npz")]
    assert [file.name for file in find_files([root]).files] == names
    assert [file.name for file in find_files([root / "corpus.npz"]).files] == ["corpus.npz"]
    # nothing else is there
    (root / "deep" / "a").mkdir()
    shutil.move(root / "corpus.npz", root / "deep" / "a")
    with pytest.raises(ValueError, match=r"no \.mid.*corpus\.npz: a corpus, no song, and not read"):
        find_files([root / "deep" / "a"])


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".parquet"])
def test_what_is_wrong_with_an_archive_is_its_only_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    reason = f"not a {suffix} file, or it is damaged"
    if suffix == ".parquet":
        _table(path, {"title": ["x"]})
        reason = "no column of MIDI bytes (such as music) among its columns: title"
    else:
        path.write_bytes(b"Dear diary")
    (file,) = find_files([path]).files
    (error,) = contents([file])
    assert (file.location, error.strerror) == (str(path), reason)


def test_names_that_are_no_utf8(tmp_path):
    odd = b"caf\xe9.mid".decode("utf-8", "surrogateescape")
    try:
        root = _tree(tmp_path / "in", odd)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    for source in (root, _pack(root, tmp_path / "in.tar")):
        found = find_files([source])
        assert [file.name for file in found.files] == [f"in/{odd}"]
        assert list(contents(found.files)) == [b"caf\xe9.mid"]


def test_names_are_the_same_in_every_locale(tmp_path):
    root = _tree(tmp_path / "bö", "ü.mid", "é/x.mid", "manifest.csv")
    (root / "manifest.csv").write_bytes("file,song\nü.mid,Ü\n".encode())
    sources = [root, _pack(root, tmp_path / "ä.zip"), _pack(root, tmp_path / "ä.tar.gz")]
    if importlib.util.find_spec("pyarrow"):
        sources.append(_table(tmp_path / "ß.parquet", {"music": [b"1"]}))
    code = (
        "import sys; from rhythmgan.songs.contents import *; from rhythmgan.songs.sources import *;"
        "found = find_files(sys.argv[1:]);"
        "print(ascii([(f.name, f.song, c if isinstance(c, bytes) else c.strerror)"
        " for f, c in zip(found.files, contents(found.files))]))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code, *sources], env={**os.environ, **setting}, capture_output=True, check=True
        ).stdout
        for setting in ({"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "LC_ALL": "C"})
    ]
    assert printed[0] == printed[1]
    assert ascii(("bö/ü.mid", "Ü", "ü.mid".encode()))[1:-1] in printed[0].decode()


# -- manifests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["md5,song", "song,md5", "file,song", "md5,id", "other,md5,song"])
@pytest.mark.parametrize("found", ["manifest.csv", "info.csv", None])
def test_songs_by_manifest(tmp_path, header, found):
    root = _tree(tmp_path / "lmd", "a/a1.mid", "b/b2.mid", "b/b3.mid")
    names = header.split(",")
    rows = [{"md5": "a1", "file": "a1", "song": "Yesterday", "id": "Yesterday", "other": "x"}]
    rows += [{"md5": "b3", "file": "b3", "song": "Yesterday", "id": "Yesterday", "other": ""}]
    rows += [{"md5": "none", "file": "none", "song": "Nobody", "id": "Nobody", "other": "y"}]
    path = _csv((root / found) if found else tmp_path / "songs.csv", names, *([row[n] for n in names] for row in rows))
    listed = find_files([root], None if found else path)
    assert {file.name: file.song for file in listed.files} == {
        "lmd/a/a1.mid": "Yesterday",
        "lmd/b/b2.mid": "lmd/b/b2.mid",
        "lmd/b/b3.mid": "Yesterday",
    }
    assert listed.notices == [f"{f'lmd/{found}' if found else 'songs.csv'}: 2 of 3 rows name a file that is here"]


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda root, name: name, id="plain"),
        pytest.param(lambda root, name: name.replace("/", "\\"), id="backslashes"),
        pytest.param(lambda root, name: f"./{name}", id="dot"),
        pytest.param(lambda root, name: f"{root}/{name}", id="absolute"),
        pytest.param(lambda root, name: f"E:\\music\\in\\{name}".replace("/", "\\"), id="another machine's"),
        pytest.param(lambda root, name: name.removesuffix(".mid"), id="no ending"),
        pytest.param(lambda root, name: unicodedata.normalize("NFD", name), id="decomposed"),
        pytest.param(lambda root, name: f"in/{name}", id="the source's name before it"),
    ],
)
@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("explicit", [True, False])
def test_versions_of_a_song_stay_together_however_the_manifest_is_written(tmp_path, write, disk, explicit):
    names = [unicodedata.normalize(disk, name) for name in ("Ångström/één.mid", "B/two.mid", "B/drei.mid")]
    root = _tree(tmp_path / "in", *names)
    rows = [[write(root, unicodedata.normalize("NFC", name)), "one song"] for name in names[:2]]
    path = _csv(tmp_path / "songs.csv" if explicit else root / "manifest.csv", ["file", "song"], *rows)
    found = find_files([root], path if explicit else None)
    assert {file.song for file in found.files if not file.name.endswith("drei.mid")} == {"one song"}
    assert found.notices[0].endswith(": 2 of 2 rows name a file that is here")


def test_songs_that_a_manifest_writes_in_two_ways(tmp_path):
    root = _tree(tmp_path / "in", "A/one.mid", "B/two.mid", "C/three.mid", "D/four.mid")
    decomposed = unicodedata.normalize("NFD", "Café")
    rows = [["A/one.mid", "Café"], ["B/two.mid", f" {decomposed}"], ["C/three.mid", " "], ["D/four.mid", "\t"]]
    manifest = _csv(tmp_path / "songs.csv", ["file", "song"], *rows)
    assert list(_songs(root, manifest=manifest).values()) == ["Café", "Café", "in/C/three.mid", "in/D/four.mid"]


def test_control_characters_in_names_on_disk(tmp_path):
    decomposed = unicodedata.normalize("NFD", "é")
    root = _tree(tmp_path / "in", "a\nb/x\ty.mid", f"{decomposed}/z.mid")
    found = find_files([root])
    # the content is read from where it is
    assert [(file.name, file.song) for file in found.files] == [
        ("in/a b/x y.mid", "in/a b"),
        (f"in/{decomposed}/z.mid", "in/é"),
    ]
    assert list(contents(found.files)) == [b"a\nb/x\ty.mid", f"{decomposed}/z.mid".encode()]
    manifest = _csv(tmp_path / "songs.csv", ["file", "song"], ["a\nb/x\ty.mid", "s"])
    assert _songs(root, manifest=manifest)["in/a b/x y.mid"] == "s"


def test_rows_without_a_song_are_said(tmp_path):
    root = _tree(tmp_path / "in", "A/one.mid", "B/two.mid")
    _csv(root / "manifest.csv", ["md5", "file", "song"], ["", "A/one.mid", "s"], ["", "B/two.mid", " "], ["", "x", ""])
    found = find_files([root])
    assert [file.song for file in found.files] == ["s", "in/B/two.mid"]
    assert found.notices == ["in/manifest.csv: 1 of 1 rows name a file that is here, 2 rows name no song"]


def test_a_manifest_that_names_one_file(tmp_path):
    single = tmp_path / "a.mid"
    single.write_bytes(b"x")
    for key in ("a.mid", "a", str(single), f"./{tmp_path.name}/a.mid"):
        assert _songs(single, manifest=_csv(tmp_path / "m.csv", ["file", "song"], [key, "s"])) == {"a.mid": "s"}


def test_a_given_manifest_that_matches_nothing_is_an_error(tmp_path):
    root = _tree(tmp_path / "in", "A/one.mid")
    manifest = _csv(tmp_path / "songs.csv", ["file", "song"], ["B/two.mid", "x"], ["B/three.mid", "x"])
    with pytest.raises(ValueError, match="none of its 2 rows names a file that is here") as refused:
        find_files([root], manifest)
    assert str(refused.value).startswith(f"{manifest}: ")
    assert "the first names 'B/two.mid', the first file is 'in/A/one.mid'" in str(refused.value)
    assert "\n" not in str(refused.value)
    for rows in ([], [["", "x"]], [["A/one.mid", ""]]):
        with pytest.raises(ValueError, match=r"songs\.csv: not a manifest: no row names a file and its song"):
            find_files([root], _csv(manifest, ["file", "song"], *rows))
    with pytest.raises(ValueError, match="expected a column md5, file"):
        find_files([root], _csv(manifest, ["title"], ["x"]))
    with pytest.raises(FileNotFoundError):
        find_files([root], tmp_path / "nowhere.csv")


def test_a_manifest_that_is_found_and_matches_nothing_is_said(tmp_path):
    root = _tree(tmp_path / "in", "Album/one.mid")
    _csv(root / "manifest.csv", ["file", "song"], ["B/two.mid", "x"])
    assert find_files([root]).notices == ["in/manifest.csv: none of 1 rows name a file that is here"]
    _csv(root / "manifest.csv", ["file", "song"])
    assert find_files([root]).notices == ["in/manifest.csv: no row names a file and its song"]
    (root / "manifest.csv").unlink()
    (root / "info.csv").write_text("title,year\nx,1999\n", encoding="utf-8")
    (notice,) = find_files([root]).notices
    assert notice.startswith(f"not used: {root}/info.csv: not a manifest: expected a column")
    assert list(_songs(root).values()) == ["in/Album"]


def test_whose_word_counts(tmp_path):
    """The given manifest's before that of the file's own source, that before another source's; each by what it says."""
    first = _tree(tmp_path / "first", f"{ONE}.mid", f"{TWO}.mid", f"{THREE}.mid")
    second = _tree(tmp_path / "second", f"{ONE}.npz", f"{TWO}.npz", f"{THREE}.npz")
    header = ["md5", "song", "genre"]
    _csv(first / "manifest.csv", header, [ONE, "first 1", "rock"], [TWO, "first 2", "rock"], [THREE, "first 3", "rock"])
    _csv(second / "manifest.csv", header, [ONE, "second 1", ""], [TWO, "second 2", "pop"])
    given = _csv(tmp_path / "songs.csv", header, [ONE, "given 1", ""])
    found = find_files([first, second], given)
    assert [(file.song, file.style) for file in found.files] == [
        ("given 1", "rock"),
        ("first 2", "rock"),
        ("first 3", "rock"),
        ("given 1", "rock"),
        ("second 2", "pop"),
        ("first 3", "rock"),
    ]
    assert [notice.partition(" rows")[0] for notice in found.notices] == [
        "first/manifest.csv: 3 of 3",
        "second/manifest.csv: 2 of 2",
        "songs.csv: 1 of 1",
    ]
    # a manifest that lies in a source and is given all the same is read once
    assert len(find_files([first], first / "manifest.csv").notices) == 1


# -- duplicates ----------------------------------------------------------------------------------


def test_duplicates_are_one_song(tmp_path):
    root = _tree(tmp_path / "lmd", f"a/{ONE}.mid", f"b/{TWO}.mid", f"c/{THREE}.mid", "d/x.mid")
    packed = _pack(root, tmp_path / "lmd.tar.gz")
    duplicates = tmp_path / "same.json"
    duplicates.write_text(json.dumps({f"b__{TWO}": [f"a__{ONE}"], f"c__{THREE}": ["d__" + "d" * 32]}), encoding="utf-8")
    for source in (root, packed):
        found = find_files([source], duplicates=duplicates)
        assert [file.song for file in found.files] == [ONE, ONE, THREE, "lmd/d/x.mid"]
        assert found.notices == ["same.json: 1 of 2 groups join files that are here, 2 files; 4 songs become 3"]
    # what a manifest calls one song goes along
    manifest = _csv(tmp_path / "songs.csv", ["md5", "song"], [TWO, "Zebra"], [THREE, "Zebra"])
    assert [file.song for file in find_files([root], manifest, duplicates).files][:3] == ["Zebra", "Zebra", "Zebra"]
    duplicates.write_text("e" * 32 + "," + "f" * 32, encoding="utf-8")
    with pytest.raises(ValueError, match=r"same\.json: none of its 1 groups has a file that is here") as refused:
        find_files([root], duplicates=duplicates)
    assert "\n" not in str(refused.value)


# -- real data -----------------------------------------------------------------------------------


def test_groove(shared):
    found = find_files([shared / "groove"])
    assert found.notices == ["groove/info.csv: 1,021 of 1,021 rows name a file that is here"]
    assert Counter(file.label for file in found.files) == {"fill": 595, "beat": 426}
    styles = Counter(file.style for file in found.files)
    assert len(styles) == 18
    assert [styles[name] for name in ("rock", "funk", "jazz", "latin", "highlife")] == [310, 137, 93, 90, 1]
    assert len({file.song for file in found.files}) == 1021
    assert "drummer1/session1/1" in {file.song for file in found.files}


def test_lakh_and_lpd(shared):
    found = find_files([shared / "lakh", shared / "lpd"])
    assert found.notices == ["lakh/manifest.csv: 2,424 of 2,424 rows name a file that is here"]
    assert Counter(file.source for file in found.files) == {0: 2424, 1: 102}
    with open(shared / "lakh" / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = {row["md5"]: row for row in csv.DictReader(file)}
    songs = {Path(file.name).stem: file.song for file in found.files}
    assert all(songs[md5] == row["song"] for md5, row in rows.items())
    assert sum(file.style != "unknown" for file in found.files if file.source == 0) == 167
    assert Counter(file.style for file in found.files)["pop_rock"] >= 88
    assert {Path(file.name).suffix for file in found.files} <= set(READABLE)


def test_a_song_file_by_hand():
    file = SongFile("in/a.mid", "in/a.mid", "a", 0)
    assert (file.style, file.label, file.member, file.location) == ("unknown", "", None, "in/a.mid")


# -- folders of whatever is in them ----------------------------------------------------------------


def _nest(root, n, name="d"):
    """Folders in each other, made step by step: their path may be longer than the system takes at once."""
    root.mkdir()
    here = Path.cwd()
    try:
        os.chdir(root)
        for _ in range(n):
            Path(name).mkdir()
            os.chdir(name)
        Path("song.mid").write_bytes(b"MThd")
    finally:
        os.chdir(here)
    return root


@pytest.fixture
def removed(tmp_path):
    """The folder of a test, removed step by step: Python's own removal recurses."""
    yield tmp_path
    subprocess.run(["rm", "-rf", str(tmp_path / "in")], check=True)


def test_folders_nested_1300_deep(removed):
    found = find_files([_nest(removed / "in", 1300)])
    (file,) = found.files
    assert file.name == "in/" + "d/" * 1300 + "song.mid"
    assert next(contents([file])) == b"MThd"


def test_folders_nested_deeper_than_names_reach(removed):
    found = find_files([_nest(removed / "in", 30, "d" * 200)])
    (file,) = found.files  # the folder that cannot be listed
    assert next(contents([file])).strerror == "File name too long"


def test_each_real_path_is_asked_for_once(removed, monkeypatch):
    """To resolve the path of each of a thousand folders takes a call for each folder above it: half a million."""
    root = _nest(removed / "in", 1000)
    asked = []
    whole = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **options: asked.append(path) or whole(path, **options))
    assert len(find_files([root]).files) == 1
    assert len([path for path in asked if len(str(path)) > len(str(root)) + 20]) == 0


def test_links_in_a_circle(tmp_path):
    root = _tree(tmp_path / "in", "a/one.mid", "b/two.mid")
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "across").symlink_to(root / "a")
    (root / "b" / "self").symlink_to("self")
    (root / "b" / "self.mid").symlink_to("self.mid")
    found = find_files([root])
    assert [file.name for file in found.files] == ["in/a/one.mid", "in/b/self.mid", "in/b/two.mid"]
    assert isinstance(next(contents(found.files[1:2])), OSError)


def test_pipes_and_devices_in_a_folder(tmp_path):
    root = _tree(tmp_path / "in", "one.mid")
    for name in ("pipe.mid", "pipe.parquet", "pipe.npz"):
        os.mkfifo(root / name)
    for name in ("zero.mid", "zero.npz", "zero.parquet"):
        (root / name).symlink_to("/dev/zero")
    files = {file.name.rpartition("/")[2]: file for file in find_files([root]).files}
    assert len(files) == 7
    for name, file in files.items():
        content = next(contents([file]))
        assert content == b"one.mid" if name == "one.mid" else content.strerror.endswith("regular file")


@pytest.mark.parametrize("name", ["manifest", "duplicates"])
def test_a_pipe_or_device_as_a_table(tmp_path, name):
    root = _tree(tmp_path / "in", "one.mid")
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            find_files([root], **{name: path})


def test_names_with_line_breaks_and_no_utf_8(tmp_path):
    root = _tree(tmp_path / "in", "a\nb/c\rd.mid", os.fsdecode(b"\xff\xfe/\x80.mid"))
    names = [file.name for file in find_files([root]).files]
    assert names == ["in/a b/c d.mid", b"in/\xff\xfe/\x80.mid".decode("utf-8", "surrogateescape")]
