"""The recipe of the page of Halmøy's reproduction: its numbers by hand, and all of it in a tiny form."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM12

RECIPE = Path(__file__).resolve().parent.parent / "recipes" / "reproductions" / "halmoy.py"


@pytest.fixture(scope="module")
def recipe(one_thread):
    spec = importlib.util.spec_from_file_location("recipe_halmoy", RECIPE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipe_halmoy"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def lines(*texts):
    return np.array([[cell == "x" for cell in text] for text in texts])


def test_what_an_episode_is_on_average_and_from_start_to_end(recipe):
    envs = recipe.Recorder(moves=2, reward="absolute", given=recipe.KICK[None])
    worst = recipe.KICK[None]
    envs.reset(seed=0, options={"given": worst, "lines": worst[None]})
    for action in (1, 2, 0, 8, 8):  # two toggles from the worst start; a new episode begins; two moves that do nothing
        envs.step(np.array([action]))
    assert envs.averages[0] == (-0.75 - 0.5) / 2
    assert envs.deltas == [0.5, 0.0]


def test_facts_of_pairs_by_hand(recipe):
    kicks = lines("x.......x.......", "x.......x.......")
    pairs = np.stack([kicks, lines("....x.......x...", "x...x...x...x..x")], 1)
    songs = recipe.Songs(pairs[:1], np.zeros(1, int), pairs[::-1], np.array([0, 1]), pairs, None)
    found = recipe._facts(pairs, songs)
    assert found["onsets"] == 3.5  # 2 and 5
    assert found["on the kick"] == 2 / 7
    assert found["backbeat"] == 1.0
    assert found["new"] == 0.5
    assert found["distinct"] == 1.0
    assert found["as the song"] == 0.0


def test_scores_are_written_short(recipe):
    assert recipe._scores([1.0, 0.75, 0.5, -1.0, -0.25, 0.0]) == "1 .75 .5 -1 -.25 0"


def test_the_nearest_kick_of_a_training_song(recipe):
    train = np.stack([lines("x.......x.......", "x.x.x.x.x.x.x.x."), lines("....x.......x...", "x...............")], 1)
    songs = recipe.Songs(train, np.arange(2), train, np.arange(2), train, None)
    answers = recipe._answers_of("nearest", songs, lines("x.......x......x", "x.x.x.x.x.x....."))(0)
    assert (answers == train[:, 1]).all()
    more = recipe.Songs(train[[0, 0, 1]], np.arange(3), train, np.arange(2), train, None)
    common = recipe._answers_of("common", more, train[:, 0])
    assert (common(0) == train[0, 1]).all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """300 songs of four random bars."""
    bars = np.zeros((1200, 16, 12), bool)
    bars[..., :2] = np.random.default_rng(0).random((1200, 16, 2)) < 0.3
    bars[:, 0, 0] = bars[:, 4, 1] = True
    song, place = np.arange(1200) // 4, np.arange(1200)
    names = tuple(f"song {number}" for number in range(300))
    path = tmp_path_factory.mktemp("songs") / "corpus.npz"
    save_corpus(path, Corpus.of(bars_to_words(bars), song, song * 0, place, names, ("file",), GM12))
    return path


def test_the_prior_is_forced_to_the_kick(recipe):
    """Its snares depend on the kick: where it plays the backbeat, as in some styles, they do less."""
    plain, turned = np.tile(lines("x.......x......."), (40, 1)), np.tile(lines("....x.......x..."), (40, 1))
    of_plain, of_turned = recipe.forced_prior(plain, 0), recipe.forced_prior(turned, 0)
    assert of_plain.shape == (40, 16)
    assert of_plain.any(1).mean() > 0.9
    assert of_plain[:, [4, 12]].mean() > 0.6
    assert of_turned[:, [4, 12]].mean() < of_plain[:, [4, 12]].mean() - 0.2


def test_the_whole_recipe_in_a_tiny_form(recipe, corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "ProcessPoolExecutor", InThisProcess)
    out = tmp_path / "out"
    only = ["published-no", "row-random", "row-learnt", "row-reference", "live-bundled"]
    arguments = ["--data", corpus, "--out", out, "--quick", "--seeds", 1, "--split", "test"]
    figures = ["--figures", tmp_path / "figures"]
    assert recipe.main([*map(str, [*arguments, *figures]), "--only", *only]) == 0
    said = capsys.readouterr()
    assert said.out == (out / "halmoy.md").read_text(encoding="utf-8")
    assert "| as published: no no-op | 1 .75 " in said.out
    assert "| the model of answers | " in said.out
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "halmoy-lesson.png",
        "halmoy-scenarios.png",
    ]
    done = json.loads((out / "published-no-0.json").read_text(encoding="utf-8"))
    assert len(done["episodes"]["delta"]) == 20
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert recipe.main([*map(str, arguments), "--only", *only]) == 0  # what is there is not done again
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.json")} == written


class InThisProcess:
    """A pool without processes, which would import the recipe by another name."""

    def __init__(self, *arguments, **options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function(*arguments))
        return future
