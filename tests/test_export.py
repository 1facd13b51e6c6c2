"""The table of formats: what each holds, bar by bar, and that all are written in one pass."""

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from rhythmgan.bars import bars_to_words, fold_bars, text_to_words, words_to_bars
from rhythmgan.draw import bars_to_image
from rhythmgan.export import DEFAULT_FORMATS, FORMATS, FilePerLoop, Loops, OneFile, export, formats_named, is_played
from rhythmgan.features import FEATURES, features_of_grid, measure
from rhythmgan.folders import export_fills, export_path, export_variations
from rhythmgan.generate.config import FillConfig, PathConfig, SampleConfig, VariationConfig
from rhythmgan.kit import GM9, JAKI5, ROLAND10
from rhythmgan.load import load_bars, load_loop
from rhythmgan.midi import midi_bytes
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.performance import Performance, Playback
from rhythmgan.samples import export_samples
from rhythmgan.sound import render, wav_bytes

PLAYBACK = Playback(97, 0.6)


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return GAN(GANConfig(kit="gm9", width=16, discriminator_width=8)).eval()


def _loops(n=3, n_bars=2, kit=GM9, seed=0):
    """Loops that are played, each otherwise."""
    random = np.random.default_rng(seed)
    shape = (n, n_bars, 16, kit.n_parts)
    bars = random.random(shape) < 0.2
    played = Performance.of(bars, kit, random.integers(1, 128, shape), random.uniform(-0.5, 0.5, shape))
    names = [f"loop-{i}" for i in range(n)]
    titles = [f"loop number {i}" for i in range(n)]
    arrays = {"bars": bars, "level": random.random(n).astype(np.float32), "place": np.arange(n, dtype=np.int64)}
    return Loops(names, played, "place", range(n), titles, arrays)


def _some(loops, places):
    """Some of these loops."""

    def of(values):
        return [values[place] for place in places]

    arrays = {name: array[places] for name, array in loops.arrays.items()}
    performances = loops.performances[np.array(places)]
    return Loops(of(loops.names), performances, loops.key, of(loops.labels), of(loops.titles), arrays, loops.columns)


def _written(loops, folder, *names):
    export([loops], folder, formats_named(names or FORMATS), PLAYBACK, stem="all")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_midi_and_sound_are_a_file_for_each_loop(tmp_path):
    loops = _loops()
    files = _written(loops, tmp_path, "midi", "wav")
    assert sorted(files) == [f"loop-{i}.{suffix}" for i in range(3) for suffix in ("mid", "wav")]
    for i in range(3):
        assert files[f"loop-{i}.mid"] == midi_bytes(loops.performances[i], PLAYBACK)
        assert files[f"loop-{i}.wav"] == wav_bytes(render(loops.performances[i], PLAYBACK))


def test_npz_holds_the_arrays(tmp_path):
    loops = _loops()
    assert list(_written(loops, tmp_path, "npz")) == ["all.npz"]
    with np.load(tmp_path / "all.npz", allow_pickle=False) as saved:
        assert saved.files == ["bars", "level", "place"]
        for name, array in loops.arrays.items():
            assert saved[name].dtype == array.dtype
            np.testing.assert_array_equal(saved[name], array)


def test_npz_is_packed(tmp_path):
    loops = _loops(n=200)
    assert len(_written(loops, tmp_path, "npz")["all.npz"]) < loops.arrays["bars"].nbytes / 3


def test_text_is_read_again(tmp_path):
    loops = _loops(kit=JAKI5)
    text = _written(loops, tmp_path, "text")["all.txt"].decode()
    words = np.stack(text_to_words(text, 5))
    np.testing.assert_array_equal(words_to_bars(words, 5), loops.performances.bars.reshape(6, 16, 5))
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == ["# loop number 0", "# loop number 1", "# loop number 2"]


def test_a_picture_shows_the_first_64_bars(tmp_path):
    loops = _loops(n=13, n_bars=5)
    (png,) = _written(loops, tmp_path, "png").values()
    first = Performance.joined([loops.performances[i] for i in range(13)])[:64]
    titles = [f"loop number {i}" for i in range(13) for _ in range(5)][:64]
    with Image.open(io.BytesIO(png)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), bars_to_image(first, titles=titles))


def _two_onsets():
    """Two loops of two bars; three onsets in the first, one in the second."""
    bars = np.zeros((2, 2, 16, 5), bool)
    velocities, offsets = np.zeros(bars.shape, int), np.zeros(bars.shape)
    for place, velocity, offset in (
        ((0, 0, 3, 4), 77, 0.25),
        ((0, 1, 0, 0), 112, 0),
        ((0, 1, 0, 2), 9, -0.5),
        ((1, 0, 15, 1), 127, 0.1),
    ):
        bars[place], velocities[place], offsets[place] = True, velocity, offset
    names = ["seed-000007", "seed-000009"]
    played = Performance.of(bars, JAKI5, velocities, offsets)
    return Loops(names, played, "seed", [7, 9], ["seed 7", "seed 9"], {})


def test_csv_has_a_row_for_each_onset(tmp_path):
    text = _written(_two_onsets(), tmp_path, "csv")["all.csv"].decode()
    names = JAKI5.names
    assert text.splitlines() == [
        "seed,bar,step,part,velocity,offset",
        f"7,0,3,{names[4]},77,0.25",
        f"7,1,0,{names[0]},112,0.0",
        f"7,1,0,{names[2]},9,-0.5",
        f"9,0,15,{names[1]},127,0.1",
    ]


def test_csv_gives_the_bars_back(tmp_path):
    loops = _loops()
    found = np.zeros(loops.performances.bars.shape, bool)
    levels = np.zeros(found.shape, np.uint8)
    for row in csv.DictReader(io.StringIO(_written(loops, tmp_path, "csv")["all.csv"].decode())):
        place = int(row["place"]), int(row["bar"]), int(row["step"]), GM9.names.index(row["part"])
        found[place], levels[place] = True, int(row["velocity"])
        assert float(row["offset"]) == pytest.approx(loops.performances.offsets[place], abs=1e-6)
    np.testing.assert_array_equal(found, loops.performances.bars)
    np.testing.assert_array_equal(levels, loops.performances.velocities)


def test_features_have_a_row_for_each_bar(tmp_path):
    rows = list(csv.DictReader(io.StringIO(_written(_two_onsets(), tmp_path, "features")["all.features.csv"].decode())))
    assert list(rows[0]) == ["seed", "bar", *FEATURES]
    names = ("seed", "bar", "density", "kick density", "step density", "parts used", "off-beat share")
    assert [[row[name] for name in names] for row in rows] == [
        ["7", "0", "1", "0", "1", "1", "1"],
        ["7", "1", "2", "1", "1", "2", "0"],
        ["9", "0", "1", "0", "1", "1", "1"],
        ["9", "1", "0", "0", "0", "0", "0"],
    ]


def test_features_are_as_measured(tmp_path):
    loops = _loops(n=20)
    rows = list(csv.DictReader(io.StringIO(_written(loops, tmp_path, "features")["all.features.csv"].decode())))
    for name, values in measure(loops.performances.bars.reshape(-1, 16, 9), GM9).items():
        np.testing.assert_allclose([float(row[name]) for row in rows], values.double().numpy(), rtol=1e-5)


def test_features_that_a_grid_has_not_are_no_columns(tmp_path):
    performances = Performance.of(np.ones((2, 1, 12, 9), bool))
    loops = Loops(["a", "b"], performances, "name", ["a", "b"], ["a", "b"], {})
    first, *rows = _written(loops, tmp_path, "features")["all.features.csv"].decode().splitlines()
    assert first.split(",") == ["name", "bar", *features_of_grid(12, GM9)]
    assert "Keith" not in first
    assert [row.split(",")[:3] for row in rows] == [["a", "0", "108"], ["b", "0", "108"]]


def test_json_has_words_and_notes(tmp_path):
    found = json.loads(_written(_two_onsets(), tmp_path, "json")["all.json"])
    names = list(JAKI5.names)
    assert {key: value for key, value in found.items() if key != "loops"} == {
        "kit": "jaki5",
        "parts": names,
        "steps": 16,
        "bpm": 97,
        "swing": 0.6,
    }
    first, second = found["loops"]
    silence = [0] * 16
    assert first == {
        "name": "seed-000007",
        "seed": 7,
        "words": [[0, 0, 0, 0b00001, *silence[4:]], [0b10100, *silence[1:]]],
        "notes": [
            {"bar": 0, "step": 3, "part": names[4], "velocity": 77, "offset": 0.25},
            {"bar": 1, "step": 0, "part": names[0], "velocity": 112, "offset": 0},
            {"bar": 1, "step": 0, "part": names[2], "velocity": 9, "offset": -0.5},
        ],
    }
    assert (second["seed"], second["words"]) == (9, [[*silence[1:], 0b01000], silence])


def test_json_gives_the_bars_back(tmp_path):
    loops = _loops()
    found = json.loads(_written(loops, tmp_path, "json")["all.json"])["loops"]
    assert [loop["place"] for loop in found] == [0, 1, 2]
    words = np.array([loop["words"] for loop in found])
    np.testing.assert_array_equal(words, bars_to_words(loops.performances.bars))


def test_the_files_are_the_same_in_any_batches(tmp_path):
    loops = _loops(n=5)
    at_once = _written(loops, tmp_path / "at once")
    batches = [_some(loops, [0, 1]), _some(loops, [2]), _some(loops, [3, 4])]
    export(iter(batches), tmp_path / "some", formats_named(FORMATS), PLAYBACK, stem="all")
    assert {path.name: path.read_bytes() for path in (tmp_path / "some").iterdir()} == at_once
    each = sum(isinstance(form, FilePerLoop) for form in FORMATS.values())
    assert len(at_once) == 5 * each + len(FORMATS) - each


def test_a_batch_is_written_before_the_next_is_asked_for(tmp_path):
    loops = _loops()

    def batches():
        for place in range(3):
            here = sorted(path.name for path in tmp_path.glob("*.mid"))
            assert here == [f"loop-{i}.mid" for i in range(place)] if place != 1 else here == ["loop-0.mid"]
            yield _some(loops, [place])

    export(batches(), tmp_path, formats_named(["midi", "npz"]), PLAYBACK, stem="all")


def test_names_of_formats_are_said_where_one_is_none():
    assert [form.name for form in formats_named(["wav", " midi", "wav"])] == ["wav", "midi"]
    for names in (["midi", "mp3"], [], [""]):
        with pytest.raises(ValueError, match="there are midi, wav, npz, text, png, csv, features, json"):
            formats_named(names)


def test_the_table_is_sound():
    assert all(name == form.name for name, form in FORMATS.items())
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)
    assert set(DEFAULT_FORMATS) <= set(FORMATS)
    assert {form.name for form in FORMATS.values() if isinstance(form, FilePerLoop)} == {"midi", "wav"}


def test_what_does_not_fit_is_said_before_a_file_is_touched(tmp_path):
    """A swing on a grid of triplets shows when the first bar is encoded."""
    performances = Performance.of(np.ones((2, 1, 12, 9), bool))
    loops = Loops(["a", "b"], performances, "name", ["a", "b"], ["a", "b"], {})
    with pytest.raises(ValueError, match="no sixteenths to swing"):
        export([loops], tmp_path / "out", formats_named(["npz", "wav"]), Playback(swing=0.6), stem="all")
    assert not (tmp_path / "out").exists()


SLOW = Playback(4)
LONG = np.ones((21, 16, 9), bool)
LONG_LOOPS = Loops(["a"], Performance.of(LONG[None]), "name", ["a"], ["a"], {})


@pytest.mark.parametrize(
    "call",
    [
        lambda gan, out, wav: export_samples(gan, SampleConfig(1, bars=21, **wav), out, playback=SLOW),
        lambda gan, out, wav: export_path(gan, gan.latents([1, 2]), out, PathConfig(21, **wav), playback=SLOW),
        lambda gan, out, wav: export_variations(gan, LONG, out, VariationConfig(1, **wav), playback=SLOW),
        lambda gan, out, wav: export_fills(gan, LONG, out, FillConfig(("kick",), 1, **wav), playback=SLOW),
        lambda gan, out, wav: export([LONG_LOOPS], out, formats_named(wav["formats"]), SLOW, stem="all"),
    ],
)
def test_a_loop_that_is_too_long_for_a_format_is_refused_before_it_is_made(gan, tmp_path, monkeypatch, call):
    for made in ("samples._draw", "folders._path", "folders.vary", "folders.fill"):
        monkeypatch.setattr(f"rhythmgan.{made}", lambda *_: pytest.fail("it was made"))
    with pytest.raises(ValueError, match=r"^a loop of 21 bars at 4 .* is 1,260 seconds of sound: a WAV has"):
        call(gan, tmp_path / "new", {"formats": ("midi", "wav")})
    assert not (tmp_path / "new").exists()


def _failing(name, when):
    """A format whose disk is full."""

    @contextmanager
    def encode(file, playback):
        def add(loops):
            file.write(b"some")
            if when == "adding":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        yield add
        if when == "ending":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return OneFile(name, name, "text/plain", encode)


@pytest.mark.parametrize("when", ["adding", "ending"])
@pytest.mark.parametrize("order", [("csv", "full", "npz"), ("full", "csv"), ("npz", "full")])
def test_a_full_disk_is_blamed_on_the_file_that_was_written(tmp_path, when, order):
    formats = [_failing("full", when) if name == "full" else FORMATS[name] for name in order]
    with pytest.raises(OSError, match="No space left on device") as caught:
        export([_loops()], tmp_path, [FORMATS["midi"], *formats], PLAYBACK, stem="all")
    assert caught.value.filename == str(tmp_path / "all.full")
    # what was complete before stays, nothing else
    done = order[: order.index("full")] if when == "ending" else ()
    expected = [f"all.{name}" for name in done] + [f"loop-{i}.mid" for i in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(expected)


def test_a_format_is_added_by_one_row(gan, tmp_path, monkeypatch):
    """Every command then takes it."""
    row = FilePerLoop("tally", "tally", "text/plain", lambda loops, _: (b"%d" % bars.sum() for bars in loops.bars))
    monkeypatch.setitem(FORMATS, "tally", row)
    config = SampleConfig(2, seed=4, formats=("midi", "tally"))
    assert export_samples(gan, config, tmp_path / "s").files(1)["tally"] == ["seed-000004.tally"]
    bars = gan.sample(2, seed=4)
    assert [
        int((tmp_path / "s" / f"seed-00000{seed}.tally").read_text(encoding="utf-8")) for seed in (4, 5)
    ] == bars.sum((1, 2)).tolist()
    export_path(gan, gan.latents([1, 2]), tmp_path / "p", PathConfig(frames=3, formats=("tally",)))
    assert len(list((tmp_path / "p").glob("*.tally"))) == 3 + 1
    export_variations(gan, bars, tmp_path / "v", VariationConfig(2, formats=("tally",)))
    assert len(list((tmp_path / "v").glob("*.tally"))) == 1 + 2


# -- each bar once --------------------------------------------------------------------------------


@pytest.fixture
def decoded(gan, monkeypatch):
    """The numbers of bars that the GAN was asked to decode."""
    counts = []
    decode = gan.decode
    monkeypatch.setattr(gan, "decode", lambda z: counts.append(len(z)) or decode(z))
    return counts


def test_samples_are_decoded_once_for_all_formats(gan, tmp_path, decoded):
    export_samples(gan, SampleConfig(64, formats=tuple(FORMATS)), tmp_path, n_first=4)
    assert sum(decoded) == 64


def test_a_path_is_decoded_once_for_all_formats(gan, tmp_path, decoded):
    waypoints = gan.latents([3, 17, 4])
    decoded.clear()
    export_path(gan, waypoints, tmp_path, PathConfig(frames=5, mode="slerp", formats=tuple(FORMATS)))
    assert decoded == [9]


def test_variations_are_decoded_as_often_as_they_are_varied(gan, tmp_path, decoded):
    from rhythmgan.generate.variation import vary

    loop = gan.sample(2, seed=8)
    decoded.clear()
    vary(gan, loop, range(6), 0.3)
    alone = sum(decoded)
    decoded.clear()
    export_variations(gan, loop, tmp_path, VariationConfig(6, amount=0.3, formats=tuple(FORMATS)))
    assert sum(decoded) == alone


def test_only_the_bars_of_the_picture_are_decoded_for_it(gan, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr("rhythmgan.samples._CHUNK", 100)
    export_samples(gan, SampleConfig(1000, formats=("png",)), tmp_path)
    assert decoded == [64]


def test_what_is_there_is_not_decoded_again(gan, tmp_path, decoded):
    config = SampleConfig(6, formats=("midi", "npz", "csv"))
    export_samples(gan, config, tmp_path)
    decoded.clear()
    export_samples(gan, config, tmp_path)
    assert decoded == []
    # the first ones are wanted back, to be shown
    shown = export_samples(gan, config, tmp_path, n_first=2).bars
    assert decoded == [2]
    np.testing.assert_array_equal(shown[:, 0], gan.sample(2))
    (tmp_path / "seed-000004.mid").unlink()
    (tmp_path / "seeds-000000-000005.csv").unlink()
    decoded.clear()
    export_samples(gan, config, tmp_path)
    assert decoded == [6]


# -- resumed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", [[], ["--unique", "--where", "density>=9 and kick density<4"]])
def test_a_killed_run_is_resumed(tmp_path, selection):
    """By the same command: files that are there stay, those that are missing are made as they would have been."""
    arguments = ["sample", "--n", "2000", *selection, "--format", "midi,npz,text,json", "--out"]
    command = [sys.executable, "-m", "rhythmgan", *arguments]
    whole, out = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, whole], check=True, capture_output=True)
    expected = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert len(expected) == 2000 + 3 + 1
    killed = f"""
import itertools, os, signal
from rhythmgan import cli, files
write, number = files.write_whole, itertools.count()
def write_some(path, data):
    if next(number) == 1400:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)
files.write_whole = write_some
cli.main({[*arguments, str(out)]!r})
"""
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    left = {path.name: path for path in out.iterdir() if not path.name.endswith(".part")}
    assert 1300 < len(left) < 1400
    assert {path.suffix for path in left.values()} == {".mid", ".json"}
    assert all(path.read_bytes() == expected[name] for name, path in left.items())
    times = {name: path.stat().st_mtime_ns for name, path in left.items()}
    done = subprocess.run([*command, out], check=True, capture_output=True, text=True)
    assert f"{len(left) - 1:,} of 2,000 bars were there\n" in done.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir()} == expected
    assert {name: (out / name).stat().st_mtime_ns for name in left} == times


# -- loops that are played ------------------------------------------------------------------------


def test_bare_bars_are_not_played_ones():
    bars = _loops().performances.bars[0]
    assert not is_played(Performance.of(bars))
    assert not is_played(Performance.of(bars, offsets=np.array(0.0)))
    assert is_played(Performance.of(bars, velocities=np.array(100)))
    assert is_played(Performance.of(bars, offsets=np.array(0.1)))


def test_variations_keep_how_the_loop_is_played_in_every_format(gan, tmp_path):
    own = _loops(n=1, seed=3).performances[0]
    config = VariationConfig(2, amount=0.3, formats=tuple(FORMATS))
    bars = export_variations(gan, own, tmp_path, config, playback=PLAYBACK).bars
    expected = own.with_bars(bars)
    with np.load(tmp_path / "variations.npz") as saved:
        np.testing.assert_array_equal(saved["velocities"], expected.velocities)
        np.testing.assert_array_equal(saved["offsets"], expected.offsets)
    for place, name in enumerate(("loop", "variation-001", "variation-002")):
        assert (tmp_path / f"{name}.mid").read_bytes() == midi_bytes(expected[place], PLAYBACK)
        assert (tmp_path / f"{name}.wav").read_bytes() == wav_bytes(render(expected[place], PLAYBACK))
    found = json.loads((tmp_path / "variations.json").read_text(encoding="utf-8"))["loops"]
    assert [loop["name"] for loop in found] == ["loop", "variation-001", "variation-002"]
    for place, loop in enumerate(found):
        levels = [note["velocity"] for note in loop["notes"]]
        assert levels == expected[place].velocities[expected[place].bars].tolist()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "variations.csv").read_text(encoding="utf-8"))))
    assert [row["name"] for row in rows] == [loop["name"] for loop in found for _ in loop["notes"]]


def test_a_bare_loop_has_no_velocities_to_keep(gan, tmp_path):
    export_variations(gan, gan.sample(1), tmp_path, VariationConfig(1))
    with np.load(tmp_path / "variations.npz") as saved:
        assert set(saved.files) == {"bars", "z"}


def test_a_path_sounds_as_a_whole_and_frame_by_frame(gan, tmp_path):
    bars = export_path(
        gan, gan.latents([3, 9]), tmp_path, PathConfig(frames=3, formats=("midi", "wav", "csv")), playback=PLAYBACK
    ).bars
    whole = Performance.of(bars)
    assert (tmp_path / "path.mid").read_bytes() == midi_bytes(whole, PLAYBACK)
    assert (tmp_path / "path.wav").read_bytes() == wav_bytes(render(whole, PLAYBACK))
    assert (tmp_path / "frame-001.wav").read_bytes() == wav_bytes(render(whole[1:2], PLAYBACK))
    rows = csv.DictReader(io.StringIO((tmp_path / "path.csv").read_text(encoding="utf-8")))
    assert {int(row["frame"]) for row in rows} == {0, 1, 2}
    loop, _ = load_loop(tmp_path / "path.mid", GM9, 16)
    np.testing.assert_array_equal(loop.bars, bars)


def test_frames_of_another_path_are_removed_in_every_format(gan, tmp_path):
    waypoints = gan.latents([3, 9])
    export_path(gan, waypoints, tmp_path, PathConfig(frames=5, formats=("midi", "wav")))
    (tmp_path / "frame-mine.mid").write_text("mine", encoding="utf-8")
    (tmp_path / "frame-001.txt").write_text("mine", encoding="utf-8")
    export_path(gan, waypoints, tmp_path, PathConfig(frames=3, formats=("midi",)))
    names = {path.name for path in tmp_path.glob("frame-*")}
    assert names == {"frame-000.mid", "frame-001.mid", "frame-002.mid", "frame-mine.mid", "frame-001.txt"}


def test_texts_and_arrays_of_samples_are_bars_again(gan, tmp_path):
    export_samples(gan, SampleConfig(3, seed=2, formats=("npz", "text")), tmp_path, kits=[JAKI5])
    for suffix in ("npz", "txt"):
        bars, _, kit = load_bars(tmp_path / f"seeds-000002-000004.{suffix}", distinct=False)
        assert kit == JAKI5
        assert bars.shape == (3, 16, 5)


def test_arrays_name_a_kit_that_its_parts_do_not_tell(gan, tmp_path):
    """Nine parts are GM9's, if the file does not say that they are those of ROLAND10."""
    export_samples(gan, SampleConfig(3, seed=2, formats=("npz",)), tmp_path, kits=[ROLAND10])
    bars, _, kit = load_bars(tmp_path)
    assert kit == ROLAND10
    np.testing.assert_array_equal(bars, fold_bars(gan.sample(3, seed=2), GM9, ROLAND10))
    np.savez(tmp_path / "other.npz", bars=bars, kit="tr808")
    with pytest.raises(ValueError, match=r"other\.npz: no kit is named 'tr808'"):
        load_bars(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", bars=bars, kit="jaki5")
    with pytest.raises(ValueError, match=r"other\.npz: expected bars"):
        load_bars(tmp_path / "other.npz")
