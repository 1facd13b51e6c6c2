"""What `rl-tuner toggle` and `rl-tuner train --env toggle` print, write and refuse."""

import itertools
import json
from dataclasses import replace

import mido
import numpy as np
import pretty_midi
import pytest
from commands import run

from rhythmgan.calls import WRITTEN
from rhythmgan.corpus_file import save_corpus
from rhythmgan.features import shmulevich_povel
from rhythmgan.kit import GM9, GM12
from rhythmgan.load import load_loop
from rhythmgan.midi import write_midi
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rl_tuner.cli import main
from rl_tuner.toggle.agent import answer
from rl_tuner.toggle.lines import parse_line

pytestmark = pytest.mark.usefixtures("one_thread")


def _run(*arguments):
    return run("toggle", *arguments, module="rl_tuner")


@pytest.fixture
def refused(capsys):
    """A function that runs a command which is refused with one line."""

    def check(*arguments, says):
        assert main(list(map(str, arguments))) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert says in said.err

    return check


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, one_thread):
    """An agent that was trained for a few episodes, and what was printed."""
    out = tmp_path_factory.mktemp("toggle") / "run"
    done = _run("train", "--episodes", 40, "--moves", 16, "--seed", 1, "--quiet", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out / "toggle-agent.safetensors", done.stdout


def test_training_says_what_to_do_next(checkpoint):
    path, said = checkpoint
    assert said == f"weights: {path}\nnext: rl-tuner toggle test --checkpoint {path}\n"


def test_options_of_training_are_what_it_is_trained_on(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("rl_tuner.tune.toggle.train_toggle_agent", lambda *given, **options: asked.append(given[1:]))
    for options in (["--terms", "density, balance"], ["--terms", "density"], ["--resolution", "12", "--seed", "7"]):
        assert main(["toggle", "train", *options, "--quiet", "--out", str(tmp_path)]) == 0
    (_, two), (_, one), (training, long) = asked
    assert (two.terms, two.weighted) == (("density", "balance"), True)
    assert (one.terms, one.weighted) == (("density",), False)
    assert (long.resolution, long.given.split()) == (12, ["x", "o", "o", "o"] * 3)
    assert training.seed == 7


def test_a_test_prints_the_lines_and_what_they_are_worth(checkpoint):
    done = _run("test", "--checkpoint", checkpoint[0], "--kick", "x---x---", "--snare", "x-x-x-x-", "--moves", 4)
    assert done.returncode == 0, done.stderr
    head, *rows, end = done.stdout.splitlines()
    assert head == "      x o o o x o o o [kick]"
    assert rows[0] == "-0.50 x o x o x o x o"  # two steps of eight differ
    assert len(rows) == 5
    scores, lines = zip(*(row.strip().split(" ", 1) for row in rows), strict=True)
    kick = parse_line("x---x---")
    for score, line in zip(scores, lines, strict=True):
        assert float(score) == 2 * (parse_line(line) ^ kick).mean() - 1
    changed = [(parse_line(a) ^ parse_line(b)).sum() for a, b in itertools.pairwise(lines)]
    assert changed == [1] * 4  # without a no-op each move toggles
    assert end == f"the score rose by {float(scores[-1]) + 0.5:+.2f} in 4 moves"


def test_a_test_as_json_and_as_midi(tmp_path, capsys):
    kick, snare = "x---x---x---x---", "--x-----x-------"
    arguments = ["toggle", "test", "--kick", kick, f"--snare={snare}", "--out", str(tmp_path / "lines"), "--json"]
    assert main([*arguments, "--importance", "complexity=1", "--moves", "6"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kick"] == " ".join("x" if cell == "x" else "o" for cell in kick)
    assert len(found["scores"]) == len(found["lines"]) == 7
    assert found["scores"] == found["terms"]["complexity"]
    before, after = (parse_line(found["lines"][place][0]) for place in (0, -1))
    assert before.tolist() == parse_line(snare).tolist()
    rises = float(shmulevich_povel(after[None])) >= float(shmulevich_povel(before[None]))
    assert rises
    for name, line in (("before", before), ("after", after)):
        song = pretty_midi.PrettyMIDI(str(tmp_path / "lines" / f"{name}.mid"))  # another reader
        notes = {(round(note.start * 8), note.pitch) for note in song.instruments[0].notes}
        kicks = {(step, 36) for step in np.flatnonzero(parse_line(kick))}
        assert notes == kicks | {(step, 38) for step in np.flatnonzero(line)}
        assert song.instruments[0].is_drum


def test_lines_of_eight_steps_are_a_bar_in_eighths_as_midi(tmp_path):
    assert (
        main(["toggle", "test", "--kick", "x-----x-", "--snare", "best", "--moves", "1", "--out", str(tmp_path)]) == 0
    )
    loop, _ = load_loop(tmp_path / "before.mid", GM9)
    assert np.flatnonzero(loop.bars[0, :, 0]).tolist() == [0, 12]
    assert np.flatnonzero(loop.bars[0, :, 1]).tolist() == [2, 4, 6, 8, 10, 14]


def test_the_lines_of_a_loop(tmp_path, capsys):
    bars = np.zeros((2, 16, 9), bool)
    bars[0, [0, 6], 0] = bars[0, [4, 12], 1] = bars[:, ::2, 2] = True
    write_midi(tmp_path / "loop.mid", bars, GM9)
    assert main(["toggle", "test", "--midi", str(tmp_path / "loop.mid"), "--moves", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert parse_line(found["kick"]).tolist() == bars[0, :, 0].tolist()
    assert parse_line(found["lines"][0][0]).tolist() == bars[0, :, 1].tolist()


@pytest.fixture(scope="module")
def own_loop(tmp_path_factory):
    """A played loop of three bars, of which the first and the last are equal, at 97 beats a minute."""
    bars = np.zeros((3, 16, 12), bool)
    bars[[0, 2], :, 0] = parse_line("x-----x-x-------")
    bars[1, :, 0] = parse_line("x-x-------x-----")
    bars[:, [4, 12], 1] = bars[:, ::2, 2] = True
    velocities = np.where(bars, np.random.default_rng(0).integers(30, 120, bars.shape), 0).astype(np.uint8)
    path = tmp_path_factory.mktemp("own") / "loop.mid"
    write_midi(path, Performance(bars, velocities, np.zeros(bars.shape, np.float32), GM12), bpm=97)
    return path, bars, velocities


def test_an_answer_to_a_loop(own_loop, tmp_path):
    path, bars, velocities = own_loop
    out = tmp_path / "new" / "answers"
    done = _run("answer", path, "--n", 2, "--seed", 5, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    names = sorted(file.name for file in out.iterdir() if file.name != WRITTEN)
    assert names == ["answer-001.mid", "answer-002.mid", "answers.npz", "answers.png", "loop.mid", "report.json"]
    with np.load(out / "answers.npz") as arrays:
        loops = arrays["bars"]
    assert (loops[0] == bars).all()
    others = [part for part in range(12) if part != 1]
    assert (loops[1:][..., others] == np.broadcast_to(bars[..., others], (2, 3, 16, 11))).all()
    for version, seed in ((1, 5), (2, 6)):
        assert (loops[version, ..., 1] == answer(np.ascontiguousarray(bars[..., 0]), seed)).all()
        heard, playback = load_loop(out / f"answer-{version:03d}.mid")
        assert (heard.bars == loops[version]).all()
        assert playback.bpm == pytest.approx(97, abs=0.01)
        kick = bars[..., 0]
        assert (heard.velocities[..., 0][kick] == velocities[..., 0][kick]).all()  # what stays is played as it was
        song = mido.MidiFile(out / f"answer-{version:03d}.mid")  # another reader
        notes = [
            message for track in song.tracks for message in track if message.type == "note_on" and message.velocity
        ]
        assert {message.channel for message in notes} == {9}
        assert sum(message.note == 38 for message in notes) == loops[version, ..., 1].sum()
    lines = done.stdout.splitlines()
    assert lines[0] == "bar 1: x o o o o o x o x o o o o o o o [kick]"
    assert sum("[snare]" in line for line in lines) == 6
    assert lines[-1].startswith("2 answers in ")


def test_fewer_answers_replace_more(own_loop, tmp_path):
    for n in ("3", "1"):
        arguments = ["--n", n, "--format", "midi", "--quiet", "--out", str(tmp_path)]
        assert main(["toggle", "answer", str(own_loop[0]), *arguments]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [WRITTEN, "answer-001.mid", "loop.mid", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "answers": 1,
        "bars": 3,
        "kit": "gm12",
    }


def test_files_of_others_and_seeds_that_are_none_are_refused(own_loop, tmp_path, capsys):
    (tmp_path / "answer-009.mid").write_bytes(b"mine")
    assert main(["toggle", "answer", str(own_loop[0]), "--out", str(tmp_path)]) == 2
    assert "holds answer-009.mid, which no earlier call wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["answer-009.mid"]
    huge = ["--seed", "99999999999999999999", "--out", str(tmp_path / "new")]
    assert main(["toggle", "answer", str(own_loop[0]), *huge]) == 2
    assert "seeds are whole numbers" in capsys.readouterr().err


def test_an_empty_line_is_no_line(capsys):
    assert main(["toggle", "test", "--kick", ""]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_answer_as_json(own_loop, tmp_path, capsys):
    arguments = ["--importance", "density=-1", "--format", "npz", "--json", "--out", str(tmp_path)]
    assert main(["toggle", "answer", str(own_loop[0]), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == {"npz": ["answers.npz"]}
    own = np.ascontiguousarray(own_loop[1][..., 0])
    lines = np.stack([parse_line(line) for line in found["answers"][0]])
    assert (lines == answer(own, 0, importance={"density": -1.0})).all()
    assert [parse_line(line).tolist() for line in found["kick"]] == own.tolist()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("test", "--kick", "x-y-x-y-"), "character 3"),
        (("test", "--kick", "x---"), "8 to 512 steps, not 4"),
        (("test", "--kick", "x" * 32), "does not fit on 16"),
        (("test", "--kick", "x---x---", "--snare", "x---"), "8 to 512"),
        (("test", "--snare", "best", "--snare", "worst"), "toggles 1 lines"),
        (("test", "--importance", "fun=1"), "no term 'fun'"),
        (("test", "--importance", "density"), "not 'density'"),
        (("test", "--importance", "density=x"), "not 'density=x'"),
        (("test", "--importance", "density=1,density=0"), "twice"),
        (("test", "--importance", "density=3"), "each −1 … 1"),
        (("test", "--midi", "loop.mid", "--kick", "x---x---"), "--midi has the kick"),
        (("test", "--checkpoint", "none.safetensors"), "none.safetensors: No such file"),
        (("train", "--resolution", "4", "--out", "run"), "8 to 512 steps, not 4"),
        (("train", "--terms", "fun", "--out", "run"), "no term is called 'fun'; there are difference"),
        (("train", "--kick", "x-x", "--out", "run"), "8 to 512 steps, not 3"),
        (("answer", "none.mid"), "none.mid: No such file"),
    ],
)
def test_nonsense_is_one_line(refused, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    refused("toggle", *arguments, says=says)
    assert list(tmp_path.iterdir()) == []


def test_a_loop_without_a_kick_is_one_line(refused, tmp_path):
    bars = np.zeros((1, 16, 9), bool)
    bars[0, [4, 12], 1] = True
    write_midi(tmp_path / "loop.mid", bars, GM9)
    refused("toggle", "answer", tmp_path / "loop.mid", "--out", tmp_path / "out", says="no bar of the loop has a kick")
    assert not (tmp_path / "out").exists()


def test_the_agent_of_another_reference_is_one_line(refused, own_loop, tmp_path):
    from rhythmgan.models.answer_net import AnswerNet, save_answer_net
    from rhythmgan.models.config import AnswerConfig

    save_answer_net(tmp_path / "answer.safetensors", AnswerNet(AnswerConfig(width=8)), {})
    reference = ("--reference", tmp_path / "answer.safetensors")
    refused(
        "toggle", "answer", own_loop[0], *reference, "--out", tmp_path / "out", says="the agent of another reference"
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The textbook bars in the kit of the bundled models."""
    patterns = load_patterns()
    path = tmp_path_factory.mktemp("songs") / "corpus.npz"
    save_corpus(path, replace(patterns, distinct_words=patterns.distinct_words << 3, kit=GM12))
    return path


def test_an_answering_agent_is_trained_with_the_command_of_all(corpus, own_loop, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rl_tuner.config.PairCriticConfig.train_steps", 20)
    arguments = ["--env", "toggle", "--data", corpus, "--train-steps", 600, "--batch-size", 64, "--quiet"]
    assert main(["train", *map(str, arguments), "--out", str(tmp_path / "run")]) == 0
    weights = tmp_path / "run" / "answer-agent.safetensors"
    assert f"rl-tuner toggle answer LOOP.mid --agent {weights}" in capsys.readouterr().out
    assert main(["toggle", "answer", str(own_loop[0]), "--agent", str(weights), "--out", str(tmp_path / "out")]) == 0


def test_as_published_the_command_of_all_trains_his_agent(corpus, tmp_path, capsys):
    arguments = ["--env", "toggle", "--data", corpus, "--as-published", "--train-steps", 300, "--quiet"]
    assert main(["train", *map(str, arguments), "--out", str(tmp_path / "run")]) == 0
    assert "toggle test --checkpoint" in capsys.readouterr().out
    assert (tmp_path / "run" / "toggle-agent.safetensors").exists()
