"""The table of what steering leaves alone: what counts as changed, as reached, and as real."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM12
from rhythmgan.models.gan import load_gan

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script(one_thread):
    spec = importlib.util.spec_from_file_location("benchmark_closeness", ROOT / "benchmarks" / "closeness.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _bars(*onsets):
    """Bars with so many kicks, from the first step on."""
    bars = np.zeros((len(onsets), 16, 12), bool)
    for bar, n in zip(bars, onsets, strict=True):
        bar[:n, 0] = True
    return bars


def test_bars_of_half_of_the_songs_are_steered(script):
    bars, song = _bars(*range(16)), np.repeat(np.arange(8), 2)
    held = script.Held(bars, song, 6, GM12)
    steered = {int(song[n]) for n in held.given.sum((1, 2))}
    assert len(held.given) == 6
    assert len(steered) <= 4
    assert steered.isdisjoint(held._song_id.tolist())
    assert held.values[:, 0].tolist() == held.given.sum((1, 2)).tolist()


def test_a_bar_that_would_come_to_nothing_is_not_asked_to(script):
    held = script.Held(_bars(4, 5, 9, 3), np.array([0, 0, 0, 0]), 9, GM12)
    assert len(held.given) == 4  # the one song is steered
    rows, targets = held.wanted("density", -4)
    assert sorted(targets) == [1, 5]
    assert held.values[rows, 0].tolist() == (targets + 4).tolist()


def test_changed_and_reached_by_hand(script):
    held = script.Held(_bars(4, 5, 9), np.array([0, 0, 0]), 3, GM12)
    rows, targets = held.wanted("density", 4)
    found = held.given.copy()
    found[0, :, 1] = np.arange(16) < 4  # four more: there
    found[1, :, 1] = np.arange(16) < 3  # three more: near enough
    found[2, 12:14, 1] = True  # two more and one fewer
    found[2, 0, 0] = False
    assert held.cells(rows, "density", targets, found) == ["3", f"{2 / 3:.3f}", ""]


def test_bars_that_reach_their_targets_are_compared_with_real_ones_of_the_same_features(script, monkeypatch):
    compared = []

    def c2st(real, song, fake, fake_song):
        compared.append((real, song, fake))
        assert (fake_song == given_song).all()  # all of its bars are of the one song that is steered
        return {"c2st": 0.625}

    monkeypatch.setattr(script.metrics, "c2st", c2st)
    monkeypatch.setattr(script, "_FEWEST", 3)
    held = script.Held(_bars(*[3] * 10, *[7] * 8), np.repeat([0, 1], [10, 8]), 20, GM12)
    given, given_song = held.given.sum((1, 2))[0], held._given_song[0]
    change = 10 - 2 * given  # from three onsets to seven, or from seven to three
    rows, targets = held.wanted("density", change)
    found = _bars(*[10 - given] * len(rows))
    found[0] = False  # not reached
    assert held.cells(rows, "density", targets, found)[1:] == [f"{1 - 1 / len(rows):.3f}", "0.625"]
    ((real, song, fake),) = compared
    n = min(len(rows) - 1, 18 - len(rows))
    assert len(real) == len(fake) == len(song) == n
    assert (real.sum((1, 2)) == 10 - given).all()
    assert len(set(song.tolist())) == 1


def test_free_bars_stand_in_the_order_of_their_targets(script, monkeypatch):
    asked = []

    def steer(targets, n, calls, agent):
        asked.append((targets, n, calls, agent))
        return SimpleNamespace(after=_bars(*[int(targets["density"])] * n))

    monkeypatch.setattr(script, "steer", steer)
    found = script.steered_freely("density", np.array([9.0, 4.0, 9.0]), 5, "who")
    assert found.sum((1, 2)).tolist() == [9, 4, 9]
    assert asked == [({"density": 4.0}, 1, 5, "who"), ({"density": 9.0}, 2, 5, "who")]


@pytest.mark.parametrize(("feature", "of", "change"), [("density", density, 4.0), ("syncopation", syncopation, 3.0)])
def test_whole_bar_moves_begin_at_the_given_bars_and_lead_to_their_targets(script, feature, of, change):
    given = load_gan().sample(24, seed=5)
    values = of(given, GM12)
    same = script.by_whole_bar_moves(given, feature, values.numpy(), 1)
    np.testing.assert_array_equal(same, given)  # a single call looks at the first bar
    moved = script.by_whole_bar_moves(given, feature, values.numpy() + change, 16)
    assert ((of(moved, GM12) - values - change).abs() <= 1).float().mean() > 0.5
    assert not torch.equal(torch.from_numpy(moved), torch.from_numpy(given))
