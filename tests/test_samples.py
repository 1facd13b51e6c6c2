"""Folders of samples: whole files, named by seed, resumed where a call stopped, all bars or those that fit."""

import argparse
import json
import os
import platform
import subprocess
import sys

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from PIL import Image

from rhythmgan import samples
from rhythmgan.bars import fold_bars, text_to_words, words_to_bars
from rhythmgan.commands.models import sampler_given
from rhythmgan.conditions import Condition
from rhythmgan.forms import KINDS, LENGTH, Forms
from rhythmgan.generate.config import SampleConfig
from rhythmgan.generate.phrases import phrases
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, JAKI5, ROLAND10
from rhythmgan.load import SAMPLE_OPTIONS, load_bars
from rhythmgan.locks import locked_folder
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rhythmgan.performance import Performance, Playback
from rhythmgan.samples import export_samples, seed_name


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return GAN(GANConfig(kit="gm9", width=16, discriminator_width=8)).eval()


def _prior(seed=7, **shape):
    """Untrained; every second phrase comes back to its first bar."""
    torch.manual_seed(seed)
    forms = np.full((2, LENGTH), 0, np.uint8) + 3 * np.array(
        [[0, 1, 2, 3, 0, 1, 2, 4], [0, 1, 0, 2, 0, 1, 0, 3]], np.uint8
    )
    config = WordLSTMConfig(**({"kit": "gm9", "width": 8, "word_width": 6, "n_forms": len(forms)} | shape))
    prior = WordLSTM(config).eval().requires_grad_(False)
    prior.keep_forms(Forms(forms, np.full((len(KINDS) + 1, len(forms)), 0.5, np.float32)))
    return prior


@pytest.fixture(scope="module")
def prior():
    return _prior()


def _sample(gan, n, out, formats=("midi",), *, seed=3, bars=1, temperature=1.0, bpm=90.0, swing=0.5, **options):
    """The first file of each format."""
    config = SampleConfig(n, seed, bars, temperature=temperature, formats=formats)
    files = export_samples(gan, config, out, playback=Playback(bpm, swing), **options).files(1)
    assert list(files) == list(formats)
    return [out / names[0] for names in files.values()]


def _midi(seed):
    return f"{seed_name(seed)}.mid"


def test_every_format_holds_the_same_bars(gan, tmp_path):
    paths = _sample(gan, 5, tmp_path, ("midi", "npz", "text", "png"))
    assert [path.name for path in paths] == [
        "seed-000003.mid",
        "seeds-000003-000007.npz",
        "seeds-000003-000007.txt",
        "seeds-000003-000007.png",
    ]
    bars = gan.sample(5, seed=3)
    for i in range(5):
        onsets = read_midi(tmp_path / _midi(3 + i))
        assert (quantise(onsets, GM9).bars == bars[i]).all()
    with np.load(paths[1], allow_pickle=False) as saved:
        assert set(saved.files) == {"bars", "z", "seed"}
        assert saved["bars"].dtype == bool
        assert (saved["bars"] == bars).all()
        assert (gan.decode(saved["z"]) == bars).all()
        assert saved["seed"].tolist() == [3, 4, 5, 6, 7]
    text = paths[2].read_text(encoding="utf-8")
    assert (words_to_bars(np.stack(text_to_words(text, 9)), 9) == bars).all()
    assert text.startswith("# seed 3\n0b")
    with Image.open(paths[3]) as picture:
        assert picture.size[0] > 300


def test_phrases_are_loops_of_their_length(gan, prior, tmp_path):
    _, arrays = _sample(gan, 2, tmp_path, ("midi", "npz"), bars=4, kits=[JAKI5], prior=prior)
    song = pretty_midi.PrettyMIDI(str(tmp_path / _midi(4)))
    assert song.time_signature_changes[0].numerator == 4
    assert song.get_tempo_changes()[1][0] == pytest.approx(90, abs=1e-3)
    ticks = sum(message.time for message in mido.MidiFile(tmp_path / _midi(4)).tracks[0])
    assert ticks == 4 * 4 * 480
    with np.load(arrays) as saved:
        assert saved["bars"].shape == (8, 16, 5)
        assert saved["seed"].tolist() == [3] * 4 + [4] * 4
        assert (saved["bars"][4] == fold_bars(gan.sample(1, seed=4), GM9, JAKI5)[0]).all()
        assert saved["z"].shape == (8, gan.latent_dim)
        assert (fold_bars(gan.decode(saved["z"]), GM9, JAKI5) == saved["bars"]).all()


def test_phrases_are_those_of_their_seeds_in_every_format(gan, prior, tmp_path, monkeypatch):
    """Written a few at a time, as they are made all at once."""
    monkeypatch.setattr(samples, "_CHUNK", 7)
    expected, z = phrases(gan, prior, range(3, 8), 3, 0.8)
    assert len(np.unique(expected.reshape(15, -1), axis=0)) > 10
    formats = ("midi", "npz", "text", "png")
    _, arrays, text, _ = _sample(gan, 5, tmp_path, formats, bars=3, temperature=0.8, prior=prior)
    for i in range(5):
        song = quantise(read_midi(tmp_path / _midi(3 + i)), GM9)
        assert (song.bars == expected[i][song.index]).all()
        assert expected[i].sum() == song.bars.sum()
    with np.load(arrays) as saved:
        assert (saved["bars"] == expected.reshape(15, 16, 9)).all()
        assert (saved["z"] == z.reshape(15, -1)).all()
        assert saved["seed"].tolist() == [seed for seed in range(3, 8) for _ in range(3)]
    words = np.stack(text_to_words(text.read_text(encoding="utf-8"), 9))
    assert (words_to_bars(words, 9) == expected.reshape(15, 16, 9)).all()
    assert text.read_text(encoding="utf-8").count("# seed ") == 5


def test_a_phrase_that_is_missing_is_made_again_as_it_was(gan, prior, tmp_path):
    _sample(gan, 5, tmp_path, bars=3, prior=prior)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.mid")}
    assert len(set(before.values())) == 5
    for seed in (4, 6):
        (tmp_path / _midi(seed)).unlink()
    _sample(gan, 5, tmp_path, bars=3, prior=prior)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.mid")} == before


def test_phrases_of_another_prior_are_not_mixed_in(gan, prior, tmp_path):
    """The note holds the prior's fingerprint: an equal one may go on, no other, nor one moved by a hair."""
    _sample(gan, 1, tmp_path, bars=2, prior=prior)
    before = sorted(path.name for path in tmp_path.iterdir())
    moved = _prior()
    with torch.no_grad():
        next(moved.parameters()).view(-1)[0] += 1e-6
    for other in (_prior(seed=8), moved):
        with pytest.raises(ValueError, match=r"with prior [0-9a-f]{16}, not [0-9a-f]{16}: choose another folder"):
            _sample(gan, 2, tmp_path, bars=2, prior=other)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    _sample(gan, 2, tmp_path, bars=2, prior=_prior())
    assert (tmp_path / _midi(4)).exists()


def test_a_prior_says_nothing_of_single_bars(gan, prior, tmp_path):
    (arrays,) = _sample(gan, 4, tmp_path / "with", ("npz",), prior=prior)
    (plain,) = _sample(gan, 4, tmp_path / "without", ("npz",))
    assert arrays.read_bytes() == plain.read_bytes()
    for folder in ("with", "without"):
        assert json.loads((tmp_path / folder / SAMPLE_OPTIONS).read_text(encoding="utf-8"))["prior"] is None


def test_goes_on_without_rewriting_or_losing_a_file(gan, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_CHUNK", 4)
    _sample(gan, 6, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mid")}
    (tmp_path / _midi(5)).unlink()
    decoded = []
    draw, decode = gan.draw, gan.decode
    monkeypatch.setattr(gan, "draw", lambda seeds, *a: decoded.append(list(seeds)) or draw(seeds, *a))
    monkeypatch.setattr(gan, "decode", lambda z: decoded.append(len(z)) or decode(z))
    _sample(gan, 10, tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mid")}
    assert len(after) == 10
    assert all(after[name] == time for name, time in before.items() if name != _midi(5))
    # only what was missing, each once
    assert decoded == [[5], 1, [9, 10], 2, [11, 12], 2]


def test_whole_files_are_kept_beside_those_of_other_seeds(gan, tmp_path):
    (first,) = _sample(gan, 5, tmp_path, ("npz",))
    before = first.stat().st_mtime_ns
    _sample(gan, 3, tmp_path, ("npz",), seed=100)
    _sample(gan, 5, tmp_path, ("npz",))
    assert first.stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "seeds-000003-000007.npz",
        "seeds-000100-000102.npz",
    ]


def test_what_a_killed_process_left_is_swept(gan, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = platform.node()
    dead, alive = (tmp_path / f".a.npz.{host}.{pid}.part" for pid in (gone.pid, os.getpid()))
    elsewhere = tmp_path / f".a.npz.other{host}.{gone.pid}.part"
    for path in (dead, alive, elsewhere):
        path.touch()
    _sample(gan, 1, tmp_path)
    assert [path.exists() for path in (dead, alive, elsewhere)] == [False, True, True]


@pytest.mark.parametrize(
    "note",
    [
        b"[" * 100_000,
        b'{"bpm":' * 50_000,
        *(b"", b"[]", b"7", b"null", b'"bpm"', b"\xff{}"),
        b'{"bpm": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_note_of_any_content_is_one_line(gan, tmp_path, note):
    (tmp_path / SAMPLE_OPTIONS).write_bytes(note)
    with pytest.raises(ValueError, match=r"^[^\n]*sample\.json cannot be read: choose another folder$"):
        _sample(gan, 1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [SAMPLE_OPTIONS]


@pytest.mark.parametrize(
    "value", ["9\n9", "\u001b[2J", "9" * 100_000, [9] * 10_000, {"9": 9}, None, 1e300, True, 10**4000]
)
def test_an_option_of_any_type_is_one_short_line(gan, tmp_path, value):
    _sample(gan, 1, tmp_path)
    note = json.loads((tmp_path / SAMPLE_OPTIONS).read_text(encoding="utf-8"))
    (tmp_path / SAMPLE_OPTIONS).write_text(json.dumps(note | {"bpm": value}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"holds samples with bpm .*, not 90\.0: choose another folder") as refused:
        _sample(gan, 1, tmp_path)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300 + len(str(tmp_path))


def test_a_note_that_is_no_file_is_not_waited_for(gan, tmp_path):
    os.mkfifo(tmp_path / SAMPLE_OPTIONS)
    with pytest.raises(OSError, match="not a regular file"):
        _sample(gan, 1, tmp_path)


_AT_ONCE = """
import json, os, sys
from pathlib import Path
from rhythmgan.kit import GM9, GM12
from rhythmgan.samples import _write_notes

os.fsync = lambda descriptor: None  # it takes time, and a process that ends loses nothing

def child(folders, options, start):
    if process := os.fork():
        return process
    os.read(start, 1)
    try:
        _write_notes(folders, options)
    except ValueError:
        os._exit(1)
    os._exit(0)

for number in range(60):
    both = [Path(sys.argv[1], str(number), name) for name in ("a", "b")]
    read, write = os.pipe()
    asked = [({"bpm": 100}, both), ({"bpm": 120}, both[::-1])]
    if number % 4 == 3:  # the same options for all: nobody keeps another out
        asked = [({"bpm": 100}, both)] * 3
    running = [child(folders, [options] * 2, read) for options, folders in asked]
    os.write(write, b"go!")
    ended = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in running]
    os.close(read), os.close(write)
    assert sorted(ended) == ([0, 1] if number % 4 < 3 else [0, 0, 0]), ended
    won = asked[ended.index(0)][0]
    assert [json.loads((folder / "sample.json").read_text()) for folder in both] == [won] * 2
    assert {name for folder in both for name in os.listdir(folder)} == {"sample.json"}
"""


def test_of_two_calls_of_other_options_exactly_one_has_the_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _AT_ONCE, str(tmp_path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_that_another_command_keeps_is_refused(gan, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_PATIENCE", 0.0)
    with locked_folder(tmp_path), pytest.raises(ValueError, match=f"^{tmp_path}: another call is writing here$"):
        _sample(gan, 1, tmp_path)
    assert not list(tmp_path.iterdir())
    _sample(gan, 1, tmp_path)


def test_a_file_that_a_power_loss_emptied_is_made_again(gan, tmp_path):
    _sample(gan, 3, tmp_path, ("midi", "npz"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in ("seed-000004.mid", "seeds-000003-000005.npz"):
        (tmp_path / name).write_bytes(b"")
    _sample(gan, 3, tmp_path, ("midi", "npz"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["seed-000003.mid", "seed-000900.wav", "seeds-000003-000003.npz"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_not_taken_for_a_sample(gan, tmp_path, make, name):
    for has_note in (False, True):
        if has_note:
            _sample(gan, 1, tmp_path, seed=7)
        make(tmp_path / name)
        with pytest.raises(ValueError, match=f"^{tmp_path} holds {name}, which is no file: choose another folder$"):
            _sample(gan, 1, tmp_path)
        (tmp_path / name).rmdir() if make is os.mkdir else (tmp_path / name).unlink()


@pytest.mark.parametrize("name", ["seed-000003.mid", "seed-000009.wav", "seeds-000003-first-2.features.csv"])
def test_samples_without_a_note_are_somebody_elses(gan, tmp_path, name):
    """Ours is written before them."""
    (tmp_path / name).write_bytes(b"own")
    with pytest.raises(ValueError, match=rf"^{tmp_path} holds {name}, but no sample\.json of an earlier call: choose"):
        _sample(gan, 1, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    (tmp_path / name).rename(tmp_path / "seed-mine.mid")
    _sample(gan, 1, tmp_path)
    assert (tmp_path / "seed-mine.mid").read_bytes() == b"own"


def test_samples_that_are_links_are_samples(gan, tmp_path):
    _sample(gan, 1, tmp_path)
    (tmp_path / _midi(3)).rename(tmp_path / "moved.mid")
    (tmp_path / _midi(3)).symlink_to("moved.mid")
    config = SampleConfig(1, 3)
    assert export_samples(gan, config, tmp_path, playback=Playback(90)).were_there == 1


def test_long_phrases_stay_in_memory_a_few_at_a_time(gan, prior, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_CHUNK", 100)
    sizes = []
    real = samples.phrases
    monkeypatch.setattr(
        samples, "phrases", lambda g, p, seeds, n, *a: sizes.append(len(seeds) * n) or real(g, p, seeds, n, *a)
    )
    _sample(gan, 5, tmp_path, ("npz",), bars=40, prior=prior)
    assert sizes == [80, 80, 40]


@pytest.mark.parametrize("bars", [1, 3])
def test_same_samples_same_bytes(gan, prior, tmp_path, bars):
    for name in "ab":
        _sample(gan, 3, tmp_path / name, ("midi", "npz", "text", "png"), bars=bars, prior=prior)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("temperature", {"temperature": 0.5}),
        ("bpm", {"bpm": 100.0}),
        ("swing", {"swing": 0.6}),
        ("bars", {"bars": 2}),
        ("kit", {"kits": [JAKI5]}),
    ],
)
def test_other_options_are_not_mixed_in(gan, prior, tmp_path, name, changes):
    _sample(gan, 2, tmp_path, prior=prior)
    with pytest.raises(ValueError, match=rf"with {name} .*choose another folder"):
        _sample(gan, 2, tmp_path, prior=prior, **changes)
    _sample(gan, 2, tmp_path, seed=8, prior=prior)


def test_other_weights_are_not_mixed_in(gan, tmp_path):
    _sample(gan, 2, tmp_path)
    torch.manual_seed(6)
    other = GAN(gan.config).eval()
    with pytest.raises(ValueError, match="weights"):
        _sample(other, 2, tmp_path)


def test_a_broken_note_of_options_is_not_trusted(gan, tmp_path):
    tmp_path.joinpath(SAMPLE_OPTIONS).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=SAMPLE_OPTIONS):
        _sample(gan, 1, tmp_path)
    tmp_path.joinpath(SAMPLE_OPTIONS).write_text("[1]", encoding="utf-8")
    with pytest.raises(ValueError, match=SAMPLE_OPTIONS):
        _sample(gan, 1, tmp_path)


@pytest.mark.parametrize(
    ("n", "changes", "formats", "message"),
    [
        (0, {}, ("midi",), "at least one bar"),
        (-1, {}, ("midi",), "at least one bar"),
        (1, {"seed": -1}, ("midi",), "whole numbers"),
        (1, {"bars": 0}, ("midi",), "phrase"),
        (1, {"bars": 10**8}, ("midi",), "phrase"),
        (1, {"bars": 2}, ("midi",), "need a prior"),
        (1, {"bars": 2, "prior": _prior(kit="jaki5")}, ("midi",), "prior is of kit jaki5"),
        (1, {"bars": 2, "prior": _prior(steps=12)}, ("npz",), "12 steps"),
        (2, {"seed": 2**63 - 1}, ("midi",), "whole numbers"),
        (1, {"bpm": 0.0}, ("midi",), "tempo"),
        (1, {"bpm": float("nan")}, ("midi",), "tempo"),
        (1, {"swing": 0.71}, ("wav",), "swing"),
        (1, {"temperature": -1.0}, ("midi",), "temperature"),
        (1, {}, ("mp3",), "mp3"),
        (1, {}, (), "format"),
    ],
)
def test_bad_requests_write_nothing(gan, tmp_path, n, changes, formats, message):
    with pytest.raises(ValueError, match=message):
        _sample(gan, n, tmp_path / "out", formats, **changes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("selection", ["", "unique=True, where=('density>=1', 'repetition<1')"])
def test_memory_does_not_grow_with_n(tmp_path, selection):
    """20,000 bars take no more than 2,000 do: the npz is streamed, the files are written as they come."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "from rhythmgan.samples import *; from rhythmgan.models.gan import *\n"
        "gan = GAN(GANConfig(width=8, discriminator_width=8)).eval()\n"
        "formats = ('npz', 'text', 'png', 'csv', 'features', 'json')\n"
        "def config(n):\n"
        f"    return SampleConfig(n, formats=formats, {selection})\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "export_samples(gan, config(2_000), sys.argv[1] + '/a')\n"
        "before = peak(); export_samples(gan, config(20_000), sys.argv[1] + '/b')\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 6 << 20  # the arrays alone have 13 MB


def test_note_says_what_made_the_files(gan, tmp_path):
    _sample(gan, 1, tmp_path)
    note = json.loads((tmp_path / SAMPLE_OPTIONS).read_text(encoding="utf-8"))
    assert (note["bpm"], note["kit"], note["temperature"], note["bars"]) == (90.0, "gm9", 1.0, 1)


# --- Some of the seeds -------------------------------------------------------------------------------


class Counting:
    """A model by hand: the bar of seed s has s mod 7 onsets of the closed hat, and of the ride where s is odd."""

    kit, steps, latent_dim, fingerprint = GM9, 16, 1, "by hand"

    condition = Condition()

    def latents(self, seeds):
        return np.array(seeds, np.float32)[:, None]

    def draw(self, seeds, temperature):
        z = self.latents(seeds)
        return z, self.decode(z)

    def decode(self, z):
        bars = np.zeros((len(z), 16, 9), bool)
        for bar, (seed,) in zip(bars, z.astype(int), strict=True):
            bar[: seed % 7, 7 if seed % 2 else 2] = True
        return bars


COUNTING = Counting()


def _select(out, n, *, model=COUNTING, kits=(), prior=None, **options):
    config = SampleConfig(**({"n": n, "formats": ("midi", "npz")} | options))
    return export_samples(model, config, out, kits=kits, prior=prior)


def _content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_seeds_whose_bars_fit_are_taken(tmp_path):
    done = _select(tmp_path / "all", 5, seed=4, where=("density>=5",), formats=("midi", "npz", "csv"))
    assert done.seeds.tolist() == [5, 6, 12, 13, 19]
    assert (done.tried, done.were_there) == (16, 0)
    assert done.files(1) == {
        "midi": ["seed-000005.mid"],
        "npz": ["seeds-000004-first-5.npz"],
        "csv": ["seeds-000004-first-5.csv"],
    }
    assert done.files()["midi"] == [f"seed-0000{seed:02}.mid" for seed in (5, 6, 12, 13, 19)]
    assert set(_content(tmp_path / "all")) == {name for each in done.files().values() for name in each} | {
        "sample.json"
    }
    with np.load(tmp_path / "all" / "seeds-000004-first-5.npz") as saved:
        assert saved["seed"].tolist() == [5, 6, 12, 13, 19]
        assert saved["bars"].sum((1, 2)).tolist() == [5, 6, 5, 6, 5]
        assert (COUNTING.decode(saved["z"]) == saved["bars"]).all()
    # each is the bar of its seed
    _select(tmp_path / "one", 1, seed=13)
    assert (tmp_path / "one" / "seed-000013.mid").read_bytes() == (tmp_path / "all" / "seed-000013.mid").read_bytes()


def test_no_bar_is_taken_twice(tmp_path):
    """Of 14 seeds; those without an onset are alike, whether even or odd, and in jaki's kit hat and ride are."""
    done = _select(tmp_path / "a", 13, unique=True, tries=50)
    assert done.seeds.tolist() == [*range(7), *range(8, 14)]
    done = _select(tmp_path / "b", 6, seed=4, unique=True, min_onsets=1, kits=[JAKI5], tries=50)
    assert done.seeds.tolist() == [4, 5, 6, 8, 9, 10]


@pytest.mark.parametrize("chunk", [1, 5, 1024])
@pytest.mark.parametrize("bars", [1, 3])
def test_what_is_taken_does_not_depend_on_what_is_in_memory(gan, prior, tmp_path, monkeypatch, chunk, bars):
    median = np.median(gan.sample(100).sum((1, 2)))
    wanted = {"unique": True, "where": (f"density>{median}",), "tries": 200}
    options = {"bars": bars, "prior": prior, "model": gan} | wanted
    expected = _select(tmp_path / "a", 6, **options)
    assert expected.tried > 8
    monkeypatch.setattr(samples, "_CHUNK", chunk)
    monkeypatch.setattr(samples, "_FEW", 3)
    assert _select(tmp_path / "b", 6, **options).tried == expected.tried
    assert _content(tmp_path / "b") == _content(tmp_path / "a")


def test_more_are_the_same_and_those_after_them(tmp_path):
    options = {"seed": 4, "unique": True, "where": ("density>=4",)}
    _select(tmp_path, 3, **options)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "seed-000005.mid").unlink()
    done = _select(tmp_path, 6, **options)
    assert done.seeds.tolist() == [4, 5, 6, 11, 12, 13]
    assert (done.tried, done.were_there) == (10, 2)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert all(after[name] == time for name, time in before.items() if name != "seed-000005.mid")
    assert len(after) == 6 + 2 + 1
    # all are there: nothing is written
    assert _select(tmp_path, 6, **options).were_there == 6
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == after
    whole = tmp_path.with_name("whole")
    _select(whole, 6, **options)
    assert {name: data for name, data in _content(tmp_path).items() if "first-3" not in name} == _content(whole)


def test_what_was_found_is_kept_where_more_cannot_be(tmp_path):
    says = "7 of 8 bars were found: none of the 50 seeds from 11 on has a bar with density < 4 and new cells; ask for"
    options = {"unique": True, "where": ("density<4",), "tries": 50}
    with pytest.raises(ValueError, match=says):
        _select(tmp_path, 8, **options)
    names = [f"seed-{seed:06}.mid" for seed in (0, 1, 2, 3, 8, 9, 10)]
    assert sorted(_content(tmp_path)) == ["sample.json", *names, "seeds-000000-first-7.npz"]
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with np.load(tmp_path / "seeds-000000-first-7.npz") as saved:
        assert saved["seed"].tolist() == [0, 1, 2, 3, 8, 9, 10]
    assert _select(tmp_path, 7, **options).were_there == 7
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_criterion_that_is_never_met_writes_nothing(tmp_path):
    for options, says in (
        (
            {"where": ("density>6",), "tries": 300},
            "0 of 2 bars were found: none of the 300 seeds from 9 on has a bar with",
        ),
        ({"where": ("density>6 and balance>=0",), "tries": 3, "bars": 1}, "with balance >= 0 and density > 6; ask"),
        ({"min_onsets": 145}, "a bar of gm9 has at most 144 onsets, not 145"),
        ({"min_onsets": -1}, "0 onsets or more"),
        ({"tries": 0}, "at least one seed must be tried"),
        ({"where": ("density>6 or",)}, "is no criterion"),
    ):
        with pytest.raises(ValueError, match=says):
            _select(tmp_path / "new", 2, seed=9, **options)
        assert not (tmp_path / "new").exists()


def test_seeds_end_where_there_are_no_more(tmp_path):
    """The last three seeds of all have bars of 5, 6 and no onsets."""
    last = 2**63 - 1
    model = Counting()
    model.latents = lambda seeds: (np.array(seeds, np.int64) - (last - 2) + 5).astype(np.float32)[:, None]
    with pytest.raises(ValueError, match=rf"2 of 3 bars were found: none of the 1 seeds from {last} on"):
        _select(tmp_path, 3, model=model, seed=last - 2, min_onsets=1)
    assert len(list(tmp_path.glob("*.mid"))) == 2


CHANGES = [
    ("unique", {"unique": True}),
    ("min-onsets", {"min_onsets": 3}),
    ("where", {"where": ("density>2",)}),
    ("where", {"where": ("density>3", "density<7")}),
]


@pytest.mark.parametrize(("name", "changes"), CHANGES)
def test_another_selection_is_not_mixed_in(tmp_path, name, changes):
    for folder, options in (("some", {"where": ("density>3",)}), ("all", {})):
        _select(tmp_path / folder, 3, **options)
        before = _content(tmp_path / folder)
        with pytest.raises(ValueError, match=rf"holds samples with {name} .*choose another folder"):
            _select(tmp_path / folder, 3, **(options | changes))
        assert _content(tmp_path / folder) == before
    with pytest.raises(ValueError, match=r"holds samples with where \['density > 3'\], not \[\]: choose"):
        _select(tmp_path / "some", 3)
    # in other words the same
    assert _select(tmp_path / "some", 3, where=(" density > 3.0 and density>3",)).were_there == 3


def test_bars_that_are_taken_once_are_those_from_one_seed_on(tmp_path):
    """From another seed on, a bar could be there already."""
    _select(tmp_path / "a", 3, unique=True)
    with pytest.raises(ValueError, match="holds samples with seed 0, not 5: choose another folder"):
        _select(tmp_path / "a", 3, unique=True, seed=5)
    _select(tmp_path / "b", 3, min_onsets=1)
    _select(tmp_path / "b", 3, min_onsets=1, seed=100)
    assert len(list((tmp_path / "b").glob("*.mid"))) == 6


def test_a_note_that_says_nothing_of_a_selection_means_all_seeds(tmp_path):
    _select(tmp_path, 3)
    note = json.loads((tmp_path / SAMPLE_OPTIONS).read_text(encoding="utf-8"))
    old = {name: note[name] for name in ("bars", "temperature", "bpm", "swing", "kit", "weights", "prior")}
    assert len(old) == len(note) - 6
    (tmp_path / SAMPLE_OPTIONS).write_text(json.dumps(old), encoding="utf-8")
    assert _select(tmp_path, 5).were_there == 3
    with pytest.raises(ValueError, match="with unique False, not True"):
        _select(tmp_path, 5, unique=True)


def test_how_many_were_there_is_counted_by_their_own_files_or_by_that_of_all(tmp_path):
    assert _select(tmp_path / "a", 4, formats=("npz",)).were_there == 0
    assert _select(tmp_path / "a", 4, formats=("npz",)).were_there == 4
    assert _select(tmp_path / "a", 4, formats=("npz", "png")).were_there == 0
    assert _select(tmp_path / "a", 4, formats=("npz", "midi")).were_there == 0
    assert _select(tmp_path / "a", 6, formats=("npz", "midi", "csv")).were_there == 4
    assert _select(tmp_path / "a", 6, formats=("wav", "midi")).were_there == 0
    (tmp_path / "a" / "seed-000002.wav").unlink()
    assert _select(tmp_path / "a", 9, formats=("wav", "midi")).were_there == 5


# --- Several kits ------------------------------------------------------------------------------------


def test_several_kits_have_the_same_bars_each_in_a_folder_of_its_name(gan, tmp_path):
    done = _select(tmp_path / "both", 5, model=gan, kits=[GM9, JAKI5, GM9], seed=3)
    assert done.files(1) == {
        "midi": ["gm9/seed-000003.mid", "jaki5/seed-000003.mid"],
        "npz": ["gm9/seeds-000003-000007.npz", "jaki5/seeds-000003-000007.npz"],
    }
    assert (tmp_path / "both" / "sample.json").exists() is False
    for kit in (GM9, JAKI5):
        bars, _, found = load_bars(tmp_path / "both" / kit.name)
        assert found == kit
        assert (bars == fold_bars(gan.sample(5, seed=3), GM9, kit)).all()
        # as if it had been the only one, and it may go on alone
        _select(tmp_path / kit.name, 5, model=gan, kits=[kit], seed=3)
        assert _content(tmp_path / "both" / kit.name) == _content(tmp_path / kit.name)
        assert _select(tmp_path / "both" / kit.name, 6, model=gan, kits=[kit], seed=3).were_there == 5


def test_several_kits_are_drawn_once_and_resumed(gan, tmp_path, monkeypatch):
    drawn = []
    decode = gan.decode
    monkeypatch.setattr(gan, "decode", lambda z: drawn.append(len(z)) or decode(z))
    _select(tmp_path, 5, model=gan, kits=[GM9, JAKI5])
    assert sum(drawn) == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    (tmp_path / "jaki5" / "seed-000003.mid").unlink()
    drawn.clear()
    assert _select(tmp_path, 5, model=gan, kits=[GM9, JAKI5]).were_there == 4
    assert drawn == [1]
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert {path for path in before if after[path] != before[path]} == {tmp_path / "jaki5" / "seed-000003.mid"}


def test_a_bar_is_taken_where_it_fits_in_every_kit(tmp_path):
    """In jaki's kit, bars of hat and of ride with as many onsets are the same: of 14 seeds seven are new."""
    options = {"unique": True, "min_onsets": 1, "kits": [GM9, JAKI5]}
    done = _select(tmp_path, 6, **options)
    assert done.seeds.tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match="6 of 7 bars were found"):
        _select(tmp_path.with_name("more"), 7, tries=100, **options)
    assert len(load_bars(tmp_path / "gm9")[0]) == len(load_bars(tmp_path / "jaki5")[0]) == 6
    # the choice depends on both
    with pytest.raises(ValueError, match="holds samples with kit gm9,jaki5, not gm9: choose another folder"):
        _select(tmp_path / "gm9", 6, unique=True, min_onsets=1, kits=[GM9])


def test_what_one_kit_cannot_have_is_said_before_a_folder_is_made(tmp_path):
    torch.manual_seed(6)
    small = GAN(GANConfig(kit="jaki5", width=8, discriminator_width=8)).eval()
    with pytest.raises(ValueError, match="jaki5 cannot be folded into kit gm9"):
        _select(tmp_path / "new", 2, model=small, kits=[JAKI5, GM9])
    with pytest.raises(ValueError, match="a text does not say its kit"):
        _select(tmp_path / "text", 2, kits=[GM9, ROLAND10], formats=("text",))
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "text").rglob("*.txt"))


# --- Phrases -----------------------------------------------------------------------------------------


def test_every_bar_of_a_phrase_fits(gan, prior, tmp_path):
    """Between the quarters of the bars that have the fewest onsets and the most."""
    expected, _ = phrases(gan, prior, range(60), 3)
    onsets = expected.sum((2, 3))
    least, most = np.quantile(onsets, (0.25, 0.75)).astype(int).tolist()
    fits = ((onsets >= least) & (onsets < most)).all(1)
    seeds = np.flatnonzero(fits)[:6]
    assert len(seeds) == 6 <= seeds[-1]
    wanted = {"min_onsets": least, "where": (f"density<{most}",), "tries": 60}
    done = _select(tmp_path, 6, model=gan, prior=prior, bars=3, formats=("npz",), **wanted)
    assert (done.seeds.tolist(), done.tried) == (seeds.tolist(), seeds[-1] + 1)
    with np.load(tmp_path / "seeds-000000-first-6.npz") as saved:
        assert (saved["bars"] == expected[seeds].reshape(-1, 16, 9)).all()
        assert saved["seed"].tolist() == seeds.repeat(3).tolist()


class _Counting:
    """Phrases of up to three bars: bar i of seed s has a kick on step (s + i) % 16, and a snare where colder than 1."""

    kit, steps, max_bars, fingerprint = GM9, 16, 3, "0123456789abcdef"

    def phrases(self, seeds, n_bars, temperature=1.0, given=None):
        bars = np.zeros((len(seeds), n_bars, 16, 9), bool)
        for row, seed in enumerate(seeds):
            for bar in range(n_bars):
                bars[row, bar, (seed + bar) % 16, 0] = True
                bars[row, bar, 4, 1] = temperature < 1
        if given is not None:
            bars[:, : len(given)] = given
        return bars


def test_models_of_whole_phrases_are_sampled_without_a_prior(tmp_path):
    midi, npz = _sample(_Counting(), 3, tmp_path, ("midi", "npz"), bars=2, temperature=0.5)
    with np.load(npz, allow_pickle=False) as saved:
        assert set(saved.files) == {"bars", "seed"}  # it has no latent points
        assert saved["seed"].tolist() == [3, 3, 4, 4, 5, 5]
        assert np.argwhere(saved["bars"][:, :, 0]).tolist() == [[0, 3], [1, 4], [2, 4], [3, 5], [4, 5], [5, 6]]
        assert saved["bars"][:, 4, 1].all()
    assert midi.name == "seed-000003.mid"
    assert quantise(read_midi(midi), GM9).bars[:, :, 0].argmax(1).tolist() == [3, 4]
    note = json.loads((tmp_path / SAMPLE_OPTIONS).read_text(encoding="utf-8"))
    assert (note["weights"], note["role"], note["prior"], note["bars"]) == ("0123456789abcdef", None, None, 2)
    assert note["given"] is None


def test_what_is_given_begins_every_phrase_as_it_is_played_and_is_noted(tmp_path):
    bars = np.zeros((1, 16, 9), bool)
    bars[0, 9, 2] = True
    given = Performance.of(bars, GM9, np.uint8(33), 0.25)
    (npz,) = _sample(_Counting(), 2, tmp_path, ("npz",), bars=3, given=given)
    with np.load(npz, allow_pickle=False) as saved:
        bars = saved["bars"].reshape(2, 3, 16, 9)
        velocities, offsets = (saved[name].reshape(bars.shape) for name in ("velocities", "offsets"))
    assert (bars[:, 0] == given.bars[0]).all()
    assert bars[:, 1:, :, 0].argmax(2).tolist() == [[4, 5], [5, 6]]
    assert (velocities[1, 0, 9, 2], offsets[1, 0, 9, 2]) == (33, 0.25)
    assert velocities[:, 1:].max() == 100  # what follows has accents: a kick on 2
    assert not offsets[:, 1:].any()
    with_a_kick = given.bars.copy()
    with_a_kick[0, 0, 0] = True
    for other in (
        Performance.of(with_a_kick, GM9, np.uint8(33), 0.25),
        Performance.of(np.roll(given.bars, 1, 1), GM9, np.uint8(33), 0.25),
        Performance.of(given.bars, GM9, np.uint8(34), 0.25),
        Performance.of(given.bars, GM9, np.uint8(33), -0.25),
        None,
    ):
        with pytest.raises(ValueError, match="holds samples with given"):
            _sample(_Counting(), 2, tmp_path, ("npz",), bars=3, given=other)


def test_a_given_bar_that_meets_no_condition_is_refused_at_once(tmp_path):
    bars = np.zeros((2, 16, 9), bool)
    bars[0, :5, 0] = bars[1, :4, 0] = True
    given = Performance.of(bars, GM9)
    with pytest.raises(
        ValueError, match="bar 2 of the loop that is given does not meet density > 4, so no phrase would"
    ):
        export_samples(_Counting(), SampleConfig(1, 0, 3, where=("density>4",), tries=2), tmp_path, given=given)
    with pytest.raises(ValueError, match="none of the 2 seeds"):  # the bar that follows has one onset
        export_samples(_Counting(), SampleConfig(1, 0, 3, where=("density>3",), tries=2), tmp_path, given=given)


def test_phrases_that_no_model_makes_are_refused(gan, tmp_path):
    given = Performance.of(np.ones((2, 16, 9), bool), GM9)
    with pytest.raises(ValueError, match="up to 3 bars, not of 4"):
        _sample(_Counting(), 2, tmp_path, bars=4)
    with pytest.raises(ValueError, match=r"as long as the phrases or longer \(2 and 2 bars\)"):
        _sample(_Counting(), 2, tmp_path, bars=2, given=given)
    with pytest.raises(ValueError, match="single bars does not go on"):
        _sample(gan, 2, tmp_path, given=given)
    with pytest.raises(ValueError, match="where fills are"):
        export_samples(_Counting(), SampleConfig(2, 0, 3, fill="last"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_model_of_a_command_is_named_or_in_a_file(gan, monkeypatch):
    """A model of whole phrases takes none of the options of others, one of single bars is asked for what they say."""
    asked, options = [], {"model": None, "weights": None, "grid": 12, "role": None, "style": None, "prior": None}
    found = {"rythmgan": _Counting(), "phrases.safetensors": _Counting(), "bars.safetensors": gan}

    def load(kind):
        return lambda name, grid: asked.append((kind, name, grid)) or found[name]

    monkeypatch.setattr("rhythmgan.models.catalogue.load_phrase_sampler", load("bundled"))
    monkeypatch.setattr("rhythmgan.models.catalogue.load_sampled", load("file"))

    def given(**changes):
        return sampler_given(argparse.Namespace(**(options | changes)))

    assert given(model="rythmgan") is found["rythmgan"]
    assert given(weights="phrases.safetensors") is found["phrases.safetensors"]
    assert asked == [("bundled", "rythmgan", 12), ("file", "phrases.safetensors", 12)]
    with pytest.raises(ValueError, match="--model names a bundled model and --weights a file: give one of them"):
        given(model="rythmgan", weights="phrases.safetensors")
    for name in ("role", "style", "prior"):
        for model in ({"model": "rythmgan"}, {"weights": "phrases.safetensors"}):
            with pytest.raises(ValueError, match=f"--{name} is none of the options of this model"):
                given(**model, **{name: "any"})
    conditions = []
    monkeypatch.setattr(type(gan), "with_condition", lambda gan, *each: conditions.append(each) or "with it")
    assert given(weights="bars.safetensors", role="fill", style="funk") == "with it"
    assert conditions == [("fill", "funk")]
