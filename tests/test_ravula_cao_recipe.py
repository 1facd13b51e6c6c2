"""The recipe of Ravula and Cao's page: its runs, its tables by hand, and that a run is not made twice."""

import base64
import importlib.util
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.kit import ROLAND10
from rhythmgan.training.checkpoint import write_checkpoint
from rl_tuner.append.network import LoopNetwork, without_values

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recipe():
    path = ROOT / "recipes" / "reproductions" / "ravula_cao.py"
    spec = importlib.util.spec_from_file_location("recipe_ravula_cao", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipe_ravula_cao"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setting(recipe, tmp_path):
    (tmp_path / "jobs").mkdir()
    return recipe.NoteSetting(tmp_path / "corpus.npz", tmp_path, False)


def test_every_epsilon_has_a_run_of_every_seed(recipe):
    jobs = recipe.all_jobs(5)
    names = [job.name for job in jobs]
    assert len(set(names)) == len(names) == 1 + 5 + 25 + 1
    assert {(job.eps, job.seed) for job in jobs if job.kind == "published"} == {
        (eps, seed) for eps in (0.01, 0.05, 0.1, 0.3, 0.5) for seed in range(5)
    }


def test_a_curve_is_the_mean_of_each_stretch(recipe):
    """A run of 1,000 transitions has a point every 4."""
    curve = recipe._Curve(1000)
    for done, reward in ((1, 1.0), (3, 2.0), (4, 5.0), (11, 7.0), (1003, 9.0)):
        curve(done, {"reward": reward, "loss": 0})
    assert curve.points() == [(0, 1.5), (4, 5.0), (8, 7.0), (1000, 9.0)]


def row(excessive, longest_run, c2st):
    return {"excessive": excessive, "longest_run": longest_run, "c2st": c2st}


def test_a_win_has_fewer_excessive_notes_shorter_runs_and_no_higher_c2st(recipe):
    """The untuned mean is .03, 3.5 and .55."""
    rows = {
        "untuned": [row(0.02, 3.0, 0.5), row(0.04, 4.0, 0.6)],
        "both": [row(0.03, 3.5, 0.55), row(0.01, 3.0, 0.56), row(0.01, 3.6, 0.5)],
        "critic": [row(0.05, 3.0, 0.5)],
    }
    lines = recipe.wins(rows).splitlines()
    assert lines[2] == "| both | 3 of 3 | 2 of 3 | 2 of 3 | 1 of 3 |"
    assert lines[3] == "| critic | 0 of 1 | 1 of 1 | 1 of 1 | 0 of 1 |"
    assert lines[4] == "| percussion | 0 of 0 | 0 of 0 | 0 of 0 | 0 of 0 |"


def test_rows_are_gathered_by_name_with_the_nats_of_the_judge(recipe, setting, monkeypatch):
    """A judge that knows nothing: log 10 a note."""
    judge = dict(without_values(LoopNetwork(10, 16, 10, 256, 0.4)).state_dict())
    write_checkpoint(setting.out / "jobs" / "baselines.ckpt", judge)
    model = type("Model", (), {"kit": ROLAND10, "steps": 16, "n_given": 8})
    monkeypatch.setattr(recipe.NoteSetting, "model", lambda setting: model)

    def write(name, rows, **others):
        notes = base64.b85encode(zlib.compress(np.zeros((3, 32), np.uint8).tobytes())).decode()
        found = {"rows": {each: row(0, 1, 0.5) | {"notes": notes} for each in rows}} | others
        (setting.out / "jobs" / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")

    write("baselines", ["untuned 0", "untuned 1", "larger network", "untuned, temperature .8"])
    write("tuned-0", ["both", "best of 8"])
    write("tuned-1", ["both"])
    write("published-0.3-1", ["argmax"], curve=[[0, -1.0], [4, -0.5]])
    rows, curves = recipe.gather(setting, 2)
    assert {name: len(several) for name, several in rows.items()} == {
        "untuned": 2,
        "larger network": 1,
        "untuned, temperature .8": 1,
        "both": 2,
        "best of 8": 1,
        "as published, ε 0.3": 1,
    }
    assert all(each["nats"] == pytest.approx(np.log(10)) for several in rows.values() for each in several)
    assert curves == {0.3: [[[0, -1.0], [4, -0.5]]]}
