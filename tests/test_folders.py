"""Folders of paths and variations: whole files, and none of an earlier call beside them."""

import re

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from PIL import Image

from rhythmgan.bars import fold_bars
from rhythmgan.calls import WRITTEN
from rhythmgan.folders import export_fills, export_path, export_variations
from rhythmgan.generate.config import FillConfig, PathConfig, VariationConfig
from rhythmgan.generate.morph import morph
from rhythmgan.generate.variation import fill
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.latent import interpolate
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import GAN, GANConfig
from rhythmgan.performance import Performance, Playback


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return GAN(GANConfig(kit="gm9", width=16, discriminator_width=8)).eval()


def _path(gan, waypoints, out, *, bpm=120.0, kit=None, **options):
    """The bars of a path."""
    return export_path(gan, waypoints, out, PathConfig(**options), playback=Playback(bpm), kit=kit).bars


def _vary(gan, loop, n, out, *, bpm=120.0, kit=None, **options):
    """A loop and its variations."""
    return export_variations(gan, loop, out, VariationConfig(n, **options), playback=Playback(bpm), kit=kit).bars


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
    assert _names(tmp_path) == [f"frame-{i:03d}.mid" for i in range(7)] + [
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


def test_a_morph_goes_from_each_waypoint_to_the_next(gan, tmp_path):
    waypoints = gan.latents([3, 17, 5])
    found = _path(gan, waypoints, tmp_path, frames=4)
    bars = gan.decode(waypoints)
    ways = morph(gan, bars[:2], bars[1:], 4)
    np.testing.assert_array_equal(found, np.concatenate([ways[0], ways[1, 1:]]))
    with np.load(tmp_path / "path.npz") as saved:
        np.testing.assert_array_equal(saved["z"][[0, 3, 6]], waypoints)
        np.testing.assert_array_equal(gan.decode(saved["z"]), found)
    assert len(list(tmp_path.glob("frame-*.mid"))) == 7


@pytest.mark.parametrize("mode", ["slerp", "lerp"])
def test_other_modes_go_through_latent_points(gan, tmp_path, mode):
    waypoints = gan.latents([3, 17, 5])
    found = _path(gan, waypoints, tmp_path, frames=4, mode=mode)
    legs = [interpolate(waypoints[i], waypoints[i + 1], 4, mode) for i in (0, 1)]
    with np.load(tmp_path / "path.npz") as saved:
        np.testing.assert_array_equal(saved["z"], np.concatenate([legs[0], legs[1][1:]]))
        np.testing.assert_array_equal(gan.decode(saved["z"]), found)


@pytest.mark.parametrize("mode", ["morph", "slerp"])
def test_bars_of_loops_change_side_by_side(gan, tmp_path, mode):
    """Two loops of two bars: each frame is a loop, whose bars lie on the ways of the first and of the second bars."""
    loops = gan.latents([3, 17, 5, 8]).reshape(2, 2, -1)
    found = _path(gan, loops, tmp_path / "loops", frames=5, mode=mode)
    assert found.shape == (5, 2, 16, 9)
    for i in range(2):
        np.testing.assert_array_equal(found[:, i], _path(gan, loops[:, i], tmp_path / str(i), frames=5, mode=mode))
    with np.load(tmp_path / "loops" / "path.npz") as saved:
        np.testing.assert_array_equal(saved["bars"], found)
        assert saved["z"].shape == (5, 2, gan.latent_dim)
        np.testing.assert_array_equal(saved["z"][[0, 4]], loops)
        np.testing.assert_array_equal(gan.decode(saved["z"].reshape(10, -1)), found.reshape(10, 16, 9))
    assert (quantise(read_midi(tmp_path / "loops" / "frame-001.mid"), GM9).bars == found[1]).all()
    assert sum(message.time for message in mido.MidiFile(tmp_path / "loops" / "path.mid").tracks[0]) == 10 * 4 * 480


@pytest.mark.parametrize("mode", ["morph", "slerp"])
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
def test_bad_paths_leave_the_last_one_as_it_is(gan, tmp_path, mode, changes, message):
    z = gan.latents([3, 17, 5])
    _path(gan, z, tmp_path / "last", frames=2)
    before = _content(tmp_path / "last")
    for name in ("last", "new"):
        with pytest.raises(ValueError, match=message):
            _path(gan, z, tmp_path / name, **({"frames": 3, "mode": mode} | changes))
    assert _content(tmp_path / "last") == before
    assert not (tmp_path / "new").exists()


def _names(folder):
    """Of what people look for; the list of what was written is hidden."""
    return sorted(path.name for path in folder.iterdir() if path.name != WRITTEN)


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
    assert _names(tmp_path) == [*names, "variations.npz", "variations.png"]
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


def test_as_many_cells_of_each_bar_change_as_the_amount_says(gan, loop, tmp_path):
    """The two bars have 13 and 11 onsets: .2 of them are 2.6 and 2.2, .6 are 7.8 and 6.6."""
    for amount, expected in ((0.02, [1, 1]), (0.2, [3, 2]), (0.6, [8, 7]), (1, [13, 11])):
        bars = _vary(gan, loop, 3, tmp_path / str(amount), amount=amount)
        assert (bars[1:] != loop).sum((2, 3)).tolist() == [expected] * 3


def test_parts_that_are_locked_stay_in_all_variations(gan, loop, tmp_path):
    free = _vary(gan, loop, 12, tmp_path / "free", amount=0.3)
    locked = _vary(gan, loop, 12, tmp_path / "locked", amount=0.3, lock=("kick", "hat"))
    stay = [0, 2, 3]
    assert (locked[..., stay] == locked[0][..., stay]).all()
    assert (free[..., stay] != free[0][..., stay]).any()
    assert (locked != locked[0]).sum((1, 2, 3)).tolist() == [0] + [4 + 3] * 12


def test_loops_are_filled_in_around_the_parts_that_are_locked(gan, loop, tmp_path):
    config = FillConfig(("kick", "snare"), n=4, seed=7, temperature=0.9)
    done = export_fills(gan, loop, tmp_path, config, playback=Playback(90))
    assert done.files["midi"] == ["loop.mid", "filled-001.mid", "filled-002.mid", "filled-003.mid", "filled-004.mid"]
    assert _names(tmp_path) == sorted([*done.files["midi"], "filled.npz", "filled.png"])
    assert done.bars.shape == (5, 2, 16, 9)
    assert (done.bars[0] == loop).all()
    locked = np.zeros((16, 9), bool)
    locked[:, :2] = True
    assert (done.bars[1:] == fill(gan, loop, locked, range(7, 11), 0.9)).all()
    assert len(np.unique(done.bars[1:, 0], axis=0)) == 4
    with np.load(tmp_path / "filled.npz") as saved:
        assert (saved["bars"] == done.bars).all()
        assert (gan.decode(saved["z"].reshape(10, -1)) == done.bars.reshape(10, 16, 9)).all()
    heard = quantise(read_midi(tmp_path / "filled-003.mid"), GM9)
    assert (heard.bars == done.bars[3][heard.index]).all()


def test_what_stays_in_a_loop_that_is_filled_in_is_played_as_before(gan, loop, tmp_path):
    random = np.random.default_rng(5)
    played = Performance.of(loop, GM9, random.integers(1, 76, loop.shape), np.array(0.2))
    export_fills(gan, played, tmp_path, FillConfig(("kick",), n=2))
    with np.load(tmp_path / "filled.npz") as saved:
        bars, velocities, offsets = (saved[name] for name in ("bars", "velocities", "offsets"))
    kicks = loop[..., 0]
    assert (velocities[..., 0] == np.where(kicks, played.velocities[..., 0], 0)).all()
    np.testing.assert_allclose(offsets[1:, kicks, 0], 0.2, atol=1e-6)
    new = bars[1:] & ~loop
    assert new.sum() > 5
    assert (velocities[1:][new] == np.broadcast_to(Performance.of(np.ones_like(loop)).velocities, new.shape)[new]).all()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("loop.mid", "vary"),
        ("loop.wav", "vary"),
        ("variation-999.mid", "vary"),
        ("variations.csv", "vary"),
        ("loop.mid", "fill"),
        ("variation-001.mid", "fill"),
        ("filled.features.csv", "fill"),
        ("frame-000.mid", "path"),
        ("path.wav", "path"),
    ],
)
def test_files_that_no_call_wrote_are_refused_before_anything_is_made(gan, loop, tmp_path, monkeypatch, name, kind):
    calls = {
        "vary": lambda: _vary(gan, loop, 1, tmp_path),
        "fill": lambda: export_fills(gan, loop, tmp_path, FillConfig(("kick",), n=1)),
        "path": lambda: _path(gan, gan.latents([3, 17]), tmp_path, frames=2),
    }
    for had_a_call in (False, True):
        if had_a_call:
            (tmp_path / name).unlink()
            calls[kind]()
            calls[kind]()  # what it wrote itself it writes over
            if (tmp_path / name).exists():
                return
        (tmp_path / name).write_bytes(b"own")
        before = _content(tmp_path)
        with monkeypatch.context() as patched:
            for made in ("vary", "fill", "_path"):
                patched.setattr(f"rhythmgan.folders.{made}", lambda *_: pytest.fail("it was made"))
            with pytest.raises(
                ValueError, match=f"^{tmp_path} holds {re.escape(name)}, which no earlier call wrote and"
            ):
                calls[kind]()
        assert _content(tmp_path) == before


@pytest.mark.parametrize("kind", ["vary", "fill"])
def test_more_bars_than_fit_in_memory_are_refused_before_they_are_made(gan, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(f"rhythmgan.folders.{kind}", lambda *_: pytest.fail("it was made"))
    says = "^4,096 loops of 256 bars are 1,048,576 bars, more than 65,536: ask for 256 loops or fewer$"
    export, config = {
        "vary": (export_variations, VariationConfig(4096)),
        "fill": (export_fills, FillConfig(("kick",), 4096)),
    }[kind]
    with pytest.raises(ValueError, match=says):
        export(gan, np.ones((256, 16, 9), bool), tmp_path / "new", config)
    assert not (tmp_path / "new").exists()


def test_variations_and_loops_filled_in_do_not_lie_beside_each_other(gan, loop, tmp_path):
    _vary(gan, loop, 3, tmp_path)
    export_fills(gan, loop, tmp_path, FillConfig(("kick",), n=1))
    assert _names(tmp_path) == ["filled-001.mid", "filled.npz", "filled.png", "loop.mid"]
    _vary(gan, loop, 1, tmp_path)
    assert _names(tmp_path) == ["loop.mid", "variation-001.mid", "variations.npz", "variations.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lock": ("kick", "cowbell")}, "no part of kit gm9 is called 'cowbell'"),
        ({"lock": GM9.names}, "all parts are locked"),
        ({"n": 0}, "1 to 4096 loops"),
        ({"n": 4097}, "1 to 4096 loops"),
        ({"seed": -1}, "whole numbers"),
        ({"temperature": 0.0}, "temperature"),
        ({"formats": ("tape",)}, "tape"),
    ],
)
def test_bad_options_of_filling_in_write_nothing(gan, loop, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_fills(gan, loop, tmp_path / "new", FillConfig(**({"lock": ("kick",)} | options)))
    assert not (tmp_path / "new").exists()


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


def test_locks_that_leave_nothing_to_vary_are_refused(gan, tmp_path):
    config = VariationConfig(n=1, lock=gan.kit.names)
    with pytest.raises(ValueError, match="all parts are locked"):
        export_variations(gan, gan.sample(1), tmp_path / "v", config)
    assert not (tmp_path / "v").exists()
