"""What the README promises is there and runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rhythmgan.midi_reader import read_midi

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_writes_a_loop(tmp_path):
    code, _, _, _ = re.findall(r"```python\n(.*?)```", README, re.S)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    onsets = read_midi(tmp_path / "loop.mid")
    assert 12 < onsets.beat.max() < 16
    assert len(onsets.beat) > 20


def test_python_example_measures_and_goes_on():
    _, code, _, _ = re.findall(r"```python\n(.*?)```", README, re.S)
    code += "\nassert (half[:, :8] == bars[0, :8]).all() and after.shape == (8, 16, 9)\n"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_python_example_varies_and_strings_together():
    _, _, code, _ = re.findall(r"```python\n(.*?)```", README, re.S)
    code += "\nassert (gan.decode(z) == mine).all() and 0 < (near != mine).sum() < 30"
    code += "\nassert songs.shape == (8, 4, 16, 9) and points.shape == (8, 4, 144)\n"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_python_example_steers():
    _, _, _, code = re.findall(r"```python\n(.*?)```", README, re.S)
    code += "\nassert found.bars.shape == (8, 16, 9) and found.success.sum() >= 6\n"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_demo_morphs_there_and_back(tmp_path):
    script = ROOT / "demo" / "morph.py"
    done = subprocess.run([sys.executable, script, "3", "17", tmp_path / "m.mid"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "14 bars" in done.stdout
    assert 48 < read_midi(tmp_path / "m.mid").beat.max() < 56


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "data/README.md",
        "docs/method.md",
        "docs/experiments/gan.md",
        "docs/experiments/agent.md",
        "rhythmgan/weights/MODEL_CARD.md",
    ],
)
def test_links_lead_somewhere(page):
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_every_benchmark_named_is_there_and_every_one_there_is_named():
    named = set(re.findall(r"benchmarks/(\w+\.py)", README))
    assert named == {path.name for path in (ROOT / "benchmarks").glob("*.py")}


def test_ci_finds_the_test_command():
    commands = re.findall(r"^(python3 -m venv .*-m pytest)$", README, re.M)
    assert len(commands) == 1
    assert "constraints.txt" in commands[0]
