"""The recipe of the curve: commands that there are, and a table of what they wrote."""

import importlib.util
import json
from pathlib import Path

import pytest

import rhythmgan.cli

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("recipe_curve", ROOT / "recipes" / "curve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_share_is_trained_and_evaluated_on_the_same_songs(recipe, tmp_path, capsys):
    assert recipe.main(["c.npz", str(tmp_path / "out"), "--dry-run", "--train-steps", "7", "--split", "valid"]) == 0
    assert not (tmp_path / "out").exists()
    commands = [line.removeprefix("+ ").split() for line in capsys.readouterr().err.splitlines()]
    trained, evaluated = commands[::2], commands[1::2]
    shares = [words[words.index("--songs-share") + 1] for words in commands]
    assert shares == [share for share in ("0.125", "0.25", "0.5", "1") for _ in range(2)]
    for training, evaluation in zip(trained, evaluated, strict=True):
        assert training[:3] == ["rhythmgan", "train", "gan"]
        assert training[training.index("--train-steps") + 1] == "7"
        options = rhythmgan.cli._parser().parse_args(evaluation[1:])
        assert options.inputs == [training[training.index("--out") + 1] + "/gan.safetensors"]
        assert (options.data, options.split, options.baseline) == ("c.npz", "valid", ["memoriser"])


def _report(songs, c2st):
    """A report whose rows score c2st, c2st + .01 … in either reference."""

    def rows(first):
        others = [
            {"c2st": first + 0.01 * row, "std": 0.003 + row / 1000, "coverage": 0.8, "copies": 0.05, "nearest": 6.0}
            for row in range(3)
        ]
        return [{"name": "real, held-out songs"}, *others]

    references = {"distinct": {"rows": rows(c2st)}, "as_played": {"rows": rows(c2st + 0.1)}}
    return {"training": {"songs": songs, "bars": 1000 * songs}, "references": references}


def test_the_table_has_a_row_for_each_share_in_order(recipe, tmp_path, monkeypatch, capsys):
    """What was made before is not made again, and the table is printed and kept."""
    for share, songs in ((1, 8), (0.125, 1)):
        for name in (f"gan-{share:g}/gan.safetensors", f"report-{share:g}/report.json"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text(json.dumps(_report(songs, 0.6 - songs / 100)), encoding="utf-8")
    monkeypatch.setattr(recipe.subprocess, "run", lambda *_, **__: pytest.fail("nothing is left to do"))
    assert recipe.main(["c.npz", str(tmp_path), "--shares", "1", "0.125"]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "curve.md").read_text(encoding="utf-8") == printed
    head, _, *rows = printed.splitlines()
    assert head.startswith("| share | songs | distinct bars | C2ST, real, training songs, beside distinct bars |")
    numbers = "0.590 | 0.600 | 0.610 | 0.690 | 0.700 | 0.710 | 0.004 | 0.80 | 0.050 | 6 |"
    assert rows[0] == f"| 0.125 | 1 | 1,000 | {numbers}"
    assert rows[1].startswith("| 1 | 8 | 8,000 | 0.520 | 0.530 | 0.540 | 0.620 |")
    assert len(rows) == 2


def test_a_command_that_fails_ends_the_recipe(recipe, tmp_path, monkeypatch, capsys):
    ran = []

    class Failed:
        returncode = 2

    def run(command, **_):
        ran.append(command)
        return Failed()

    monkeypatch.setattr(recipe.subprocess, "run", run)
    assert recipe.main(["c.npz", str(tmp_path)]) == 2
    assert len(ran) == 1
    assert capsys.readouterr().out == ""
