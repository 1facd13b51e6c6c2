"""Folders of samples, paths and variations: whole files, named by seed, and resumed where a call stopped."""

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

from rhythmgan import folders
from rhythmgan.bars import fold_bars, text_to_words, words_to_bars
from rhythmgan.folders import export_path, export_samples, export_variations, seed_name
from rhythmgan.generate.config import PathConfig, SampleConfig, VariationConfig
from rhythmgan.generate.paths import even_path
from rhythmgan.generate.phrases import phrases
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.latent import interpolate, rotate
from rhythmgan.load import SAMPLE_OPTIONS
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
from rhythmgan.performance import Playback


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return GAN(GANConfig(width=16, discriminator_width=8)).eval()


def _prior(seed=7, **shape):
    torch.manual_seed(seed)
    return WordLSTM(WordLSTMConfig(width=8, word_width=6, **shape)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def prior():
    return _prior()


def _sample(gan, n, out, formats=("midi",), *, seed=3, bars=1, temperature=1.0, bpm=90.0, swing=0.5, **options):
    """The first file of each format."""
    config = SampleConfig(n, seed, bars, temperature, formats)
    done = export_samples(gan, config, out, playback=Playback(bpm, swing), **options)
    assert list(done.files) == list(formats)
    return [out / names[0] for names in done.files.values()]


def _midi(seed):
    return f"{seed_name(seed)}.mid"


def _path(gan, waypoints, out, *, bpm=120.0, kit=None, **options):
    """The bars of a path."""
    return export_path(gan, waypoints, out, PathConfig(**options), playback=Playback(bpm), kit=kit).bars


def _vary(gan, loop, n, out, *, bpm=120.0, kit=None, **options):
    """A loop and its variations."""
    return export_variations(gan, loop, out, VariationConfig(n, **options), playback=Playback(bpm), kit=kit).bars


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
    text = paths[2].read_text()
    assert (words_to_bars(np.stack(text_to_words(text, 9)), 9) == bars).all()
    assert text.startswith("# seed 3\n0b")
    with Image.open(paths[3]) as picture:
        assert picture.size[0] > 300


def test_phrases_are_loops_of_their_length(gan, prior, tmp_path):
    _, arrays = _sample(gan, 2, tmp_path, ("midi", "npz"), bars=4, kit=JAKI5, prior=prior)
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
    monkeypatch.setattr(folders, "_CHUNK", 7)
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
    words = np.stack(text_to_words(text.read_text(), 9))
    assert (words_to_bars(words, 9) == expected.reshape(15, 16, 9)).all()
    assert text.read_text().count("# seed ") == 5


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
        moved.bias[511] += 1e-6
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
    assert json.loads((tmp_path / "without" / SAMPLE_OPTIONS).read_text())["prior"] is None


def test_goes_on_without_rewriting_or_losing_a_file(gan, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 4)
    _sample(gan, 6, tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mid")}
    (tmp_path / _midi(5)).unlink()
    decoded = []
    latents, decode = gan.latents, gan.decode
    monkeypatch.setattr(gan, "latents", lambda seeds, *a: decoded.append(list(seeds)) or latents(seeds, *a))
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


def test_long_phrases_stay_in_memory_a_few_at_a_time(gan, prior, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_CHUNK", 100)
    sizes = []
    real = folders.phrases
    monkeypatch.setattr(
        folders, "phrases", lambda g, p, seeds, n, t: sizes.append(len(seeds) * n) or real(g, p, seeds, n, t)
    )
    _sample(gan, 5, tmp_path, ("npz",), bars=40, prior=prior)
    assert sizes == [80, 80, 40]


@pytest.mark.parametrize("bars", [1, 3])
def test_same_samples_same_bytes(gan, prior, tmp_path, bars):
    for name in "ab":
        _sample(gan, 3, tmp_path / name, ("midi", "npz", "text", "png"), bars=bars, prior=prior)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("changes", [{"temperature": 0.5}, {"bpm": 100.0}, {"swing": 0.6}, {"bars": 2}, {"kit": JAKI5}])
def test_other_options_are_not_mixed_in(gan, prior, tmp_path, changes):
    _sample(gan, 2, tmp_path, prior=prior)
    with pytest.raises(ValueError, match=rf"with {next(iter(changes))} .*choose another folder"):
        _sample(gan, 2, tmp_path, prior=prior, **changes)
    _sample(gan, 2, tmp_path, seed=8, prior=prior)


def test_other_weights_are_not_mixed_in(gan, tmp_path):
    _sample(gan, 2, tmp_path)
    torch.manual_seed(6)
    other = GAN(gan.config).eval()
    with pytest.raises(ValueError, match="weights"):
        _sample(other, 2, tmp_path)


def test_a_broken_note_of_options_is_not_trusted(gan, tmp_path):
    tmp_path.joinpath(SAMPLE_OPTIONS).write_text("{")
    with pytest.raises(ValueError, match=SAMPLE_OPTIONS):
        _sample(gan, 1, tmp_path)
    tmp_path.joinpath(SAMPLE_OPTIONS).write_text("[1]")
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


def test_memory_does_not_grow_with_n(tmp_path):
    """20,000 bars take no more than 2,000 do: the npz is streamed, the files are written as they come."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "from rhythmgan.folders import *; from rhythmgan.models.gan import *\n"
        "gan = GAN(GANConfig(width=8, discriminator_width=8)).eval()\n"
        "formats = ('npz', 'text', 'png', 'csv', 'json')\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "export_samples(gan, SampleConfig(2_000, formats=formats), sys.argv[1] + '/a')\n"
        "before = peak(); export_samples(gan, SampleConfig(20_000, formats=formats), sys.argv[1] + '/b')\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 6 << 20  # the arrays alone have 13 MB


def test_path_goes_through_its_waypoints(gan, tmp_path):
    z = gan.latents([3, 17, 5])
    bars = _path(gan, z, tmp_path, frames=4, kit=JAKI5)
    assert bars.shape == (7, 16, 5)
    assert (bars[[0, 3, 6]] == fold_bars(gan.decode(z), GM9, JAKI5)).all()
    assert (quantise(read_midi(tmp_path / "frame-003.mid"), JAKI5).bars == bars[3]).all()
    whole = quantise(read_midi(tmp_path / "path.mid"), JAKI5)
    assert (whole.bars == bars[whole.index]).all()
    with np.load(tmp_path / "path.npz") as saved:
        assert saved["z"].shape == (7, gan.latent_dim)
        assert (gan.decode(saved["z"])[[0, 3, 6]] == gan.decode(z)).all()
        assert (saved["bars"] == bars).all()
    assert sorted(os.listdir(tmp_path)) == [f"frame-{i:03d}.mid" for i in range(7)] + [
        "path.mid",
        "path.npz",
        "path.png",
    ]
    _path(gan, z[:2], tmp_path, frames=2)
    assert sorted(path.name for path in tmp_path.glob("frame-*")) == ["frame-000.mid", "frame-001.mid"]
    with pytest.raises(ValueError, match="4096"):
        _path(gan, z, tmp_path, frames=10**9)
    with pytest.raises(ValueError, match="two points"):
        _path(gan, z[:1], tmp_path)


def test_an_even_path_goes_evenly_from_each_waypoint_to_the_next(gan, tmp_path):
    waypoints = gan.latents([3, 17, 5])
    bars = _path(gan, waypoints, tmp_path / "even", frames=4, even=True)
    legs = [even_path(gan, waypoints[i], waypoints[i + 1], 4) for i in (0, 1)]
    with np.load(tmp_path / "even" / "path.npz") as saved:
        np.testing.assert_array_equal(saved["z"], np.concatenate([legs[0], legs[1][1:]]))
        np.testing.assert_array_equal(saved["z"][[0, 3, 6]], waypoints)
        assert (saved["z"][1:3] != interpolate(waypoints[0], waypoints[1], 4)[1:3]).any()
        assert (gan.decode(saved["z"]) == bars).all()
    assert len(list((tmp_path / "even").glob("frame-*.mid"))) == 7
    _path(gan, waypoints, tmp_path / "even lines", frames=4, even=True, mode="lerp")
    with np.load(tmp_path / "even lines" / "path.npz") as saved:
        np.testing.assert_array_equal(saved["z"][3:], even_path(gan, waypoints[1], waypoints[2], 4, "lerp"))


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 1}, "2 frames"),
        ({"mode": "nlerp"}, "slerp or lerp"),
        ({"bpm": 0.0}, "tempo"),
        ({"bpm": float("nan")}, "tempo"),
        ({"frames": 2049}, "4096"),
    ],
)
def test_bad_paths_leave_the_last_one_as_it_is(gan, tmp_path, even, changes, message):
    z = gan.latents([3, 17, 5])
    _path(gan, z, tmp_path / "last", frames=2)
    before = _content(tmp_path / "last")
    for name in ("last", "new"):
        with pytest.raises(ValueError, match=message):
            _path(gan, z, tmp_path / name, even=even, **({"frames": 3} | changes))
    assert _content(tmp_path / "last") == before
    assert not (tmp_path / "new").exists()


def _content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- variations ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loop(gan):
    """Two bars that nobody drew: a rock beat and its fill."""
    bars = np.zeros((2, 16, 9), bool)
    bars[:, [0, 6, 8], 0] = bars[:, [4, 12], 1] = bars[0, ::2, 2] = True
    bars[1, 10:, 4] = True
    assert (gan.decode(gan.encode(bars)) == bars).all()
    return bars


def test_variations_come_after_the_loop_itself(gan, loop, tmp_path):
    bars = _vary(gan, loop, 3, tmp_path, seed=11, bpm=90)
    assert bars.shape == (4, 2, 16, 9)
    assert bars.dtype == bool
    assert (bars[0] == loop).all()
    names = ["loop.mid", "variation-001.mid", "variation-002.mid", "variation-003.mid"]
    assert sorted(os.listdir(tmp_path)) == [*names, "variations.npz", "variations.png"]
    for name, these in zip(names, bars, strict=True):
        heard = quantise(read_midi(tmp_path / name), GM9)
        assert (heard.bars == these[heard.index]).all()
        assert heard.bars.sum() == these.sum()
        assert pretty_midi.PrettyMIDI(str(tmp_path / name)).get_tempo_changes()[1][0] == pytest.approx(90, abs=1e-3)
        assert sum(message.time for message in mido.MidiFile(tmp_path / name).tracks[0]) == 2 * 4 * 480
    with np.load(tmp_path / "variations.npz", allow_pickle=False) as saved:
        assert set(saved.files) == {"bars", "z"}
        assert (saved["bars"] == bars).all()
        assert saved["z"].shape == (4, 2, gan.latent_dim)
        assert (gan.decode(saved["z"].reshape(8, -1)) == bars.reshape(8, 16, 9)).all()
        np.testing.assert_array_equal(saved["z"][0], gan.encode(loop))
    with Image.open(tmp_path / "variations.png") as picture:
        assert min(picture.size) > 100
    assert len(np.unique(bars.reshape(4, -1), axis=0)) == 4


def test_all_bars_of_a_variation_turn_towards_one_seeds_point(gan, loop, tmp_path):
    """By a share of a right angle, the lengths kept: amount .3 is 27°."""
    _vary(gan, loop, 2, tmp_path, seed=11, amount=0.3)
    with np.load(tmp_path / "variations.npz") as saved:
        own, first, second = saved["z"]
    for turned, seed in ((first, 11), (second, 12)):
        (towards,) = gan.latents([seed])
        np.testing.assert_array_equal(turned, rotate(own, np.stack([towards, towards]), np.radians(27)))
        for before, after in zip(own.astype(float), turned.astype(float), strict=True):
            lengths = np.linalg.norm(before), np.linalg.norm(after)
            assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)
            assert np.degrees(np.arccos(before @ after / (lengths[0] * lengths[1]))) == pytest.approx(27, abs=1e-2)
            assert after @ towards > before @ towards


def test_a_variation_is_that_of_its_seed_however_many_are_made(gan, loop, tmp_path):
    many = _vary(gan, loop, 5, tmp_path / "many", seed=7)
    for name, number, n, seed in (("a", 1, 1, 7), ("b", 3, 2, 9), ("c", 5, 1, 11)):
        few = _vary(gan, loop, n, tmp_path / name, seed=seed)
        assert (few[1] == many[number]).all()
        found = (tmp_path / name / "variation-001.mid").read_bytes()
        assert found == (tmp_path / "many" / f"variation-{number:03d}.mid").read_bytes()


def test_a_bar_varies_as_it_would_at_its_place_in_any_loop(gan, loop, tmp_path):
    whole = _vary(gan, loop, 3, tmp_path / "both")
    assert (_vary(gan, loop[:1], 3, tmp_path / "one") == whole[:, :1]).all()


def test_a_larger_amount_moves_more(gan, loop, tmp_path):
    moved = []
    for amount in (0.02, 0.2, 0.6, 1):
        bars = _vary(gan, loop, 40, tmp_path / str(amount), amount=amount)
        moved.append((bars[1:] != loop).sum((1, 2, 3)).mean())
    assert moved == sorted(set(moved))
    assert moved[0] < 0.1 * moved[2]
    assert moved[1] < 0.6 * moved[3]


def test_the_whole_amount_leaves_nothing_of_the_loop_but_its_lengths(gan, loop, tmp_path):
    _vary(gan, loop, 3, tmp_path, amount=1)
    with np.load(tmp_path / "variations.npz") as saved:
        own, turned = saved["z"][0].astype(float), saved["z"][1:].astype(float)
    np.testing.assert_allclose((own * turned).sum(-1) / (own**2).sum(-1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), [np.linalg.norm(own, axis=-1)] * 3, rtol=1e-5)


def test_variations_of_an_earlier_loop_are_replaced(gan, loop, tmp_path):
    _vary(gan, gan.sample(3), 12, tmp_path)
    bars = _vary(gan, loop, 2, tmp_path)
    _vary(gan, loop, 2, tmp_path / "new")
    for name, content in _content(tmp_path / "new").items():
        assert (tmp_path / name).read_bytes() == content, name
    assert sorted(path.name for path in tmp_path.glob("*.mid")) == [
        "loop.mid",
        "variation-001.mid",
        "variation-002.mid",
    ]
    with np.load(tmp_path / "variations.npz") as saved:
        assert (saved["bars"] == bars).all()


def test_variations_are_folded_after_they_are_made(gan, loop, tmp_path):
    whole = _vary(gan, loop, 3, tmp_path / "whole", amount=0.5)
    folded = _vary(gan, loop, 3, tmp_path / "folded", amount=0.5, kit=JAKI5)
    assert folded.shape == (4, 2, 16, 5)
    assert (folded == fold_bars(whole, GM9, JAKI5)).all()
    heard = quantise(read_midi(tmp_path / "folded" / "variation-002.mid"), JAKI5)
    assert (heard.bars == folded[2][heard.index]).all()
    with np.load(tmp_path / "folded" / "variations.npz") as saved:
        assert saved["bars"].shape == (4, 2, 16, 5)
        assert (gan.decode(saved["z"][:, 0]) == whole[:, 0]).all()


@pytest.mark.parametrize("n_bars", [1, 9])
def test_loops_of_any_length_vary(gan, tmp_path, n_bars):
    bars = _vary(gan, gan.sample(n_bars), 10, tmp_path)
    assert bars.shape == (11, n_bars, 16, 9)
    assert (bars[0] == gan.sample(n_bars)).all()
    with Image.open(tmp_path / "variations.png") as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "1 to 4096 variations"),
        ({"n": -2}, "1 to 4096 variations"),
        ({"n": 4097}, "1 to 4096 variations"),
        ({"loop": np.zeros((0, 16, 9), bool)}, "1 to 256 bars"),
        ({"loop": np.zeros((257, 16, 9), bool)}, "1 to 256 bars"),
        ({"loop": np.zeros((2, 12, 9), bool)}, r"\(n, 16, 9\) bool"),
        ({"loop": np.zeros((2, 16, 5), bool)}, r"\(n, 16, 9\) bool"),
        ({"loop": np.zeros((16, 9), bool)}, r"\(n, 16, 9\) bool"),
        ({"loop": np.zeros((2, 16, 9), np.uint8)}, r"\(n, 16, 9\) bool"),
        ({"amount": 0.0}, "amount"),
        ({"amount": -0.2}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": float("nan")}, "amount"),
        ({"seed": -1}, "whole numbers"),
        ({"seed": 2**63 - 1, "n": 2}, "whole numbers"),
        ({"bpm": 0.0}, "tempo"),
        ({"bpm": float("nan")}, "tempo"),
    ],
)
def test_bad_variations_write_nothing_and_leave_the_last_ones(gan, loop, tmp_path, changes, message):
    _vary(gan, loop, 3, tmp_path / "last")
    before = _content(tmp_path / "last")
    for name in ("last", "new"):
        with pytest.raises(ValueError, match=message):
            _vary(gan, **({"loop": loop, "n": 2, "out": tmp_path / name} | changes))
    assert _content(tmp_path / "last") == before
    assert not (tmp_path / "new").exists()


def test_variations_are_not_unfolded(tmp_path):
    torch.manual_seed(6)
    small = GAN(GANConfig(kit="jaki5", width=8, discriminator_width=8)).eval()
    with pytest.raises(ValueError, match="jaki5 cannot be folded"):
        _vary(small, small.sample(2), 2, tmp_path / "new", kit=GM9)
    assert not (tmp_path / "new").exists()


def test_note_says_what_made_the_files(gan, tmp_path):
    _sample(gan, 1, tmp_path)
    note = json.loads((tmp_path / SAMPLE_OPTIONS).read_text())
    assert (note["bpm"], note["kit"], note["temperature"], note["bars"]) == (90.0, "gm9", 1.0, 1)
