"""The recipe of jaki's page: what it counts, searches and tells apart."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_tuner.edit.edits import N_WORDS, STEPS
from rl_tuner.tune.edit import level_combinations

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("recipe_jaki", ROOT / "recipes" / "reproductions" / "jaki.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.set_num_threads(1)
    return module


def test_nats_of_counts_by_hand(recipe):
    """Two words follow each other by turns: only a table of what follows what can say so."""
    first = np.tile(np.array([[8], [16]], np.uint16), (500, STEPS))
    second = first[::-1]
    nats = recipe._nats_of_counts(first, second, first[:2], second[:2])
    of_steps, copies, table = nats.values()
    assert of_steps == pytest.approx(-math.log(501 / 1032), abs=1e-6)
    assert copies == pytest.approx(of_steps, abs=1e-3)  # nothing is ever copied
    assert table == pytest.approx(-math.log(8001 / 8032), abs=1e-6)


def test_the_share_of_copies_makes_the_pairs_likeliest(recipe):
    same, chance = np.array([True] * 7 + [False] * 3), np.full(10, 0.25)
    share = recipe._fitted_share(same, chance)
    nats = [-np.log(s * same + (1 - s) * chance).mean() for s in np.linspace(0.01, 0.99, 99)]
    assert share == pytest.approx(np.linspace(0.01, 0.99, 99)[int(np.argmin(nats))], abs=0.01)
    assert share == pytest.approx(0.6)  # 7 = 10 (s + (1 - s) / 4)


def test_a_long_search_reaches_every_combination_of_levels(recipe):
    """All 81 are feasible: with nats for nothing, from a bar in which all words are alike."""
    targets = level_combinations()
    found = recipe.anneal(torch.zeros(81, STEPS, N_WORDS) - math.log(32), targets, torch.ones(81, 4), 150, coef=0.0)
    tries = found.reached
    for seed in range(1, 4):
        again = recipe.anneal(torch.zeros(81, STEPS, N_WORDS), targets, torch.ones(81, 4), 150, coef=0.0, seed=seed)
        tries = tries | again.reached
    assert tries.all()


def test_half_of_each_songs_pairs_are_chosen(recipe):
    song = np.repeat([3, 5, 9], [4, 7, 1])
    chosen = recipe.halves_of_songs(song, 0)
    assert chosen[song == 3].sum() == 2
    assert chosen[song == 5].sum() in (3, 4)


def test_pairs_are_told_apart_only_where_they_differ(recipe):
    random = np.random.default_rng(0)
    first = random.random((800, 16, 5)) < 0.3
    second, song = random.random((800, 16, 5)) < 0.3, np.arange(800) // 8
    is_real = recipe.halves_of_songs(song, 1)
    assert abs(recipe.pair_c2st(first, second, song, is_real, repeats=1)["c2st"] - 0.5) < 0.08
    second[is_real] = first[is_real]  # a real second bar is the first again
    assert recipe.pair_c2st(first, second, song, is_real, repeats=1)["c2st"] > 0.95
