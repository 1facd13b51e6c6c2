"""`rhythmgan standardise` and `combine` as a user types them, on folders as they should not be."""

import json
import os
import shutil

import mido
import pytest
from commands import run

from rhythmgan.loop_packs import REPORT


def _run(*arguments, **options):
    return run(*arguments, errors="replace", **options)


def _refused(*arguments, says, **options):
    """The command fails with status 2 and says so in its last line."""
    done = _run(*arguments, **options)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("rhythmgan: ")
    assert says in done.stderr.splitlines()[-1]
    return done


@pytest.fixture(scope="module")
def one_hit(tmp_path_factory):
    """The bytes of a file with one note on a pitch of no drum."""
    song, track = mido.MidiFile(), mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.Message("note_on", note=60, velocity=90))
    track.append(mido.Message("note_off", note=60, time=120))
    path = tmp_path_factory.mktemp("hit") / "hit.mid"
    song.save(path)
    return path.read_bytes()


@pytest.fixture
def pack(one_hit, tmp_path):
    folder = tmp_path / "pack"
    for name in ("Kick_01.mid", "Snares/01.mid", "Hats/closed hat.mid"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(one_hit)
    return folder


@pytest.mark.parametrize("command", ["standardise", "combine"])
def test_folders_that_are_none_or_empty(command, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "Kick.wav").write_bytes(b"RIFF")
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = ("--out", tmp_path / "out")
    _refused(command, tmp_path / "empty", *out, says="empty: holds no MIDI file")
    _refused(command, tmp_path / "wav", *out, says="wav: holds no MIDI file")
    _refused(command, tmp_path / "file", *out, says="file: a loop pack is a folder, not a file")
    _refused(command, tmp_path / "missing", *out, says="missing: No such file or directory")
    _refused(command, "", *out, says="No such file or directory")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["standardise", "combine"])
def test_the_pack_is_not_written_into_by_whatever_name(command, pack, tmp_path):
    (tmp_path / "link").symlink_to(pack)
    before = sorted(path.relative_to(pack) for path in pack.rglob("*"))
    for out in (pack, f"{pack}/", f"{pack}/../pack", tmp_path / "link"):
        _refused(command, pack, "--out", out, says="choose another --out")
        _refused(command, tmp_path / "link", "--out", out, says="choose another --out")
    _refused(command, ".", "--out", ".", says="choose another --out", cwd=pack)
    assert before == sorted(path.relative_to(pack) for path in pack.rglob("*"))


def test_every_bad_file_is_one_line_and_the_good_ones_are_written(pack, one_hit, tmp_path):
    (pack / "empty_kick.mid").write_bytes(b"")
    (pack / "half_kick.mid").write_bytes(one_hit[:20])
    (pack / "text_kick.mid").write_text("not music", encoding="utf-8")
    (pack / "new\nline\r_loop.mid").write_bytes(one_hit)
    (pack / "\x1b[31mred_loop.mid").write_bytes(one_hit)
    (pack / os.fsdecode(b"caf\xe9_loop.mid")).write_bytes(one_hit)
    (pack / "large_kick.mid").write_bytes(one_hit + bytes(9 << 20))
    (pack / "gone_kick.mid").symlink_to(tmp_path / "nowhere")
    (pack / "-rf_kick.mid").write_bytes(one_hit)
    os.mkfifo(pack / "pipe_kick.mid")
    (pack / "Kick.mid").mkdir()
    (pack / "Kick.mid" / "01.mid").write_bytes(one_hit)
    done = _run("standardise", pack, "--out", tmp_path / "out", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "5 files made standard, 0 were, 9 left out" in done.stdout
    assert "beats" not in done.stdout  # what is left out is none of them
    lines = done.stderr.splitlines()
    assert len(lines) == 9
    assert "\x1b" not in done.stderr
    for name, says in (
        ("empty_kick.mid", "empty: no bytes"),
        ("half_kick.mid", "no notes"),
        ("text_kick.mid", "unreadable: not a MIDI file"),
        ("new line _loop.mid", "no part"),
        ("large_kick.mid", "larger than 8 MiB"),
        ("gone_kick.mid", "No such file or directory"),
        ("pipe_kick.mid", "not a regular file"),
    ):
        assert sum(line.startswith(f"{name}: ") and says in line for line in lines) == 1, (name, lines)
    rows = json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8"))["files"]
    assert sum(row["result"] == "written" for row in rows) == 5
    assert (tmp_path / "out" / "Kick.mid" / "01.mid").is_file()
    combined = _run("combine", pack, "--any", "--n", 1, "--out", tmp_path / "loops", "--quiet")
    assert combined.returncode == 0, combined.stderr
    assert len(combined.stderr.splitlines()) == 9


def test_ten_thousand_files(one_hit, tmp_path):
    (tmp_path / "pack").mkdir()
    for number in range(10_000):
        (tmp_path / "pack" / f"{('Kick', 'Snare', 'Loop')[number % 3]}_{number:05d}.mid").write_bytes(one_hit)
    done = _run("standardise", tmp_path / "pack", "--out", tmp_path / "out", "--quiet", "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
    assert (said["written"], said["kept"], said["left_out"]) == (6667, 0, 3333)
    assert len(done.stderr.splitlines()) == 3333
    assert len(list((tmp_path / "out").iterdir())) == 6668


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_what_may_not_be_read_or_written(pack, tmp_path):
    (pack / "Snares").chmod(0)
    (pack / "Kick_01.mid").chmod(0)
    try:
        done = _run("standardise", pack, "--out", tmp_path / "out", "--quiet")
    finally:
        (pack / "Snares").chmod(0o755)
    assert done.returncode == 0
    assert sorted(done.stderr.splitlines()) == ["Kick_01.mid: Permission denied", "Snares: Permission denied"]
    (tmp_path / "locked").mkdir(mode=0o500)
    _refused("standardise", pack, "--out", tmp_path / "locked", says="Permission denied")


def test_an_output_folder_that_is_in_the_way(pack, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    _refused("standardise", pack, "--out", tmp_path / "out", says="out: ")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "Snares").write_text("mine", encoding="utf-8")
    _refused("standardise", pack, "--out", tmp_path / "half", says="Snares: ")
    assert (tmp_path / "half" / "Snares").read_text(encoding="utf-8") == "mine"
    _refused("standardise", pack, "--out", "", says="the name of the output folder is empty")


def test_a_call_that_was_killed_is_done_again(pack, tmp_path):
    """What is there is written again, and what a killed process left unfinished is no file of the pack."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert _run("standardise", pack, "--out", whole, "--quiet").returncode == 0
    shutil.copytree(whole, out)
    (out / "Kick_01.mid").unlink()
    assert _run("standardise", pack, "--out", out, "--quiet").returncode == 0
    files = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert files == {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_combine_reads_what_standardise_wrote(pack, tmp_path):
    """The same loops from both: times, velocities and names are the same."""
    assert _run("standardise", pack, "--out", tmp_path / "s", "--quiet").returncode == 0
    for folder, out in ((pack, "a"), (tmp_path / "s", "b")):
        done = _run("combine", folder, "--any", "--n", 1, "--out", tmp_path / out, "--quiet")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "combined-001.mid").read_bytes() == (tmp_path / "b" / "combined-001.mid").read_bytes()
