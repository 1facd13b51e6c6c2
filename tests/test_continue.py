"""The next bar with what is asked for: the function, the agent's file, the commands, and MIDI as others read it."""

import itertools
import json
import warnings
from pathlib import Path

import mido
import numpy as np
import pytest
import torch
from commands import run

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.features import measure
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.bar_lstm import BarLSTM
from rhythmgan.models.catalogue import load_next_bar_model
from rhythmgan.models.config import BarLSTMConfig
from rl_tuner.cli import main
from rl_tuner.edit.agent import (
    TRIES,
    Continuation,
    EditAgent,
    EditAgentConfig,
    continue_loop,
    edit_all,
    load_edit_agent,
    save_edit_agent,
)
from rl_tuner.edit.editing import Edited
from rl_tuner.edit.edits import tables, values_of
from rl_tuner.edit.files import export_continuation
from rl_tuner.edit.levels import LEVELS, MEASURES, TOLERANCES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def beat():
    """(16, 5) bool: kick, hats on the eighths, snare on two and four."""
    bar = np.zeros((16, 5), bool)
    bar[[0, 8], 0] = bar[[4, 12], 1] = bar[::2, 2] = True
    return bar


@pytest.fixture
def loop(tmp_path, save_midi):
    """A loop of two bars: toms alone, then the beat with the kick at velocity 93 and the first hat late by a tick."""
    events = [(tick, 45, 80) for tick in (0, 480, 960, 1440)]
    for step, part in np.argwhere(beat()):
        velocity = 93 if part == 0 else 70
        events.append((1920 + int(step) * 120 + (10 if part == 2 and step == 2 else 0), (36, 38, 42)[part], velocity))
    notes = []
    for tick, pitch, velocity in events:
        notes.append((tick, mido.Message("note_on", channel=9, note=pitch, velocity=velocity)))
        notes.append((tick + 60, mido.Message("note_off", channel=9, note=pitch)))
    tempo = (0, mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(96)))
    return save_midi("mine/loop.mid", [tempo, *notes])


def test_what_is_asked_for_is_what_the_bars_have():
    targets = {"cymbals": 12.0, "syncopation": 6.0}
    found = continue_loop(beat(), targets, n=5, seed=3)
    assert isinstance(found, Continuation)
    assert found.tuned.shape == (5, 16, 5)
    assert np.array_equal(found.first, beat())
    measured = measure(found.tuned, JAKI5, list(MEASURES.values()))
    for name, column in zip(LEVELS, measured.values(), strict=True):
        assert found.values[name] == pytest.approx(column.numpy())
    near = np.logical_and.reduce(
        [np.abs(found.values[name] - target) <= TOLERANCES[name] for name, target in targets.items()]
    )
    assert np.array_equal(found.reached, near)
    assert found.reached.all()


def test_the_lstms_bar_is_the_likeliest_that_can_be_played():
    found = continue_loop(beat(), {"drums": 7})
    log_probs = load_next_bar_model().word_log_prob(beat()[None])[0]
    log_probs[:, ~tables(torch.device("cpu")).playable] = -torch.inf
    assert np.array_equal(found.lstm, words_to_bars(log_probs.argmax(1), 5).numpy())


def test_hands_and_foot_can_play_every_tuned_bar():
    for level in ("low", "high"):
        found = continue_loop(beat(), {name: levels[level] for name, levels in LEVELS.items()}, n=6)
        assert (found.tuned[..., 1:].sum(-1) <= 2).all()


def test_a_tuned_bar_is_a_function_of_its_seed():
    together = continue_loop(beat(), {"cymbals": 2, "drums": 12}, n=4, seed=10)
    for row in range(4):
        alone = continue_loop(beat(), {"cymbals": 2, "drums": 12}, n=1, seed=10 + row)
        assert np.array_equal(alone.tuned[0], together.tuned[row])
    assert len(np.unique(together.tuned.reshape(4, -1), axis=0)) > 1


def test_the_first_try_that_has_it_is_the_answer():
    model, agent = load_next_bar_model().in_double(), load_edit_agent().in_double()
    log_probs = model.word_log_prob(np.stack([beat()] * 12))
    wanted, importance = torch.tensor([12.0, 2.0, 12.0, 1.0]), torch.ones(4)
    one, four = (
        edit_all([agent.edit] * tries, log_probs, wanted, importance, np.arange(12, dtype=np.uint64))
        for tries in (1, 4)
    )
    assert (four.reached >= one.reached).all()
    assert torch.equal(four.words[one.reached], one.words[one.reached])
    torch.testing.assert_close(four.values, values_of(four.words, torch.float64))


def test_the_network_edits_only_what_greedy_edits_do_not_reach():
    model, agent = load_next_bar_model().in_double(), load_edit_agent().in_double()
    log_probs = model.word_log_prob(np.stack([beat()] * 40))
    wanted, importance = torch.tensor([2.0, 12.0, 6.0, 0.5]), torch.ones(4)
    seeds = np.arange(40, dtype=np.uint64)
    greedy, both = (
        edit_all(tries, log_probs, wanted, importance, seeds) for tries in ([agent.edit_greedily] * TRIES, agent.tries)
    )
    assert 0 < greedy.reached.sum() < both.reached.sum()
    assert torch.equal(both.words[greedy.reached], greedy.words[greedy.reached])


def _kicks(*steps, asked=None):
    """What edits every bar to kicks on these steps, claims 99 nats, and never has what is asked for."""

    def edit(log_probs, targets, importance):
        if asked is not None:
            asked.append(log_probs)
        n = len(log_probs)
        words = torch.zeros(n, 16, dtype=torch.long)
        words[:, list(steps)] = 16
        values = values_of(words, torch.float64)
        return Edited(words, values, torch.zeros(n, dtype=torch.bool), torch.full((n,), 99.0), torch.full((n,), 3))

    return edit


def _silent_log_probs():
    """(1, 16, 32): silence is certain, and any other word 5 nats less likely."""
    log_probs = torch.full((1, 16, 32), -5.0, dtype=torch.float64)
    log_probs[..., 0] = 0.0
    return log_probs


def test_of_tries_that_miss_alike_the_likelier_is_taken_and_its_nats_are_the_models():
    """Cymbals are asked for, of which neither try has any. A kick costs 5 nats, two cost 10, without noise."""
    wanted, importance = torch.tensor([12.0, 0, 0, 0]), torch.tensor([1.0, 0, 0, 0])
    for tries in ([_kicks(0, 8), _kicks(0)], [_kicks(0), _kicks(0, 8)]):
        found = edit_all(tries, _silent_log_probs(), wanted, importance, np.arange(1, dtype=np.uint64))
        assert found.words[0].tolist() == [16] + [0] * 15
        assert found.nats.tolist() == [5.0]
        assert not found.reached.any()


def test_of_tries_that_miss_the_nearer_is_taken_even_if_it_is_less_likely():
    """A kick nearer to ten is worth 1 / 12, and costs 5 nats of .002."""
    wanted, importance = torch.tensor([0.0, 10, 0, 0]), torch.tensor([0.0, 1, 0, 0])
    for tries in ([_kicks(0, 8), _kicks(0)], [_kicks(0), _kicks(0, 8)]):
        found = edit_all(tries, _silent_log_probs(), wanted, importance, np.arange(1, dtype=np.uint64))
        assert found.values[0, 1] == 2
        assert found.nats.tolist() == [10.0]


def test_each_try_begins_with_noise_of_its_own_and_of_the_seed():
    asked = []
    tries = [_kicks(0, asked=asked)] * 3
    for seed in (4, 4, 5):
        edit_all(tries, _silent_log_probs(), torch.zeros(4), torch.ones(4), np.array([seed], np.uint64))
    first, again, other = asked[:3], asked[3:6], asked[6:]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    for one, two in [*itertools.combinations(first, 2), *zip(first, other, strict=True)]:
        assert (one != two).float().mean() > 0.9  # but for words that are out of reach with both


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bars": np.zeros((16, 9), bool)}, r"expected a bar \(16, 5\) of kit jaki5"),
        ({"targets": {"swing": 1.0}}, "no feature is called 'swing'; there are cymbals, drums"),
        ({"targets": {"drums": -1.0}}, "the target of drums is a number from 0 on"),
        ({"n": 0}, "at least one next bar is needed"),
        ({"seed": -1}, "seeds are whole numbers"),
        ({"agent": EditAgent(EditAgentConfig("0" * 16))}, "learnt to edit the bars of another model"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(arguments, message):
    with pytest.raises(ValueError, match=message):
        continue_loop(**{"bars": beat(), "targets": {"drums": 7.0}} | arguments)


def test_an_agent_survives_its_file(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BarLSTM(BarLSTMConfig(width=8, summary_width=8, decoder_width=8)).eval()
        agent = EditAgent(EditAgentConfig(model.fingerprint, edits=7, width=8))
        torch.nn.init.normal_(agent.network.to_come.weight)
    save_edit_agent(tmp_path / "a.safetensors", agent, {"trained_seed": "0"})
    again = load_edit_agent(tmp_path / "a.safetensors")
    assert again.config == agent.config
    first, second = (
        continue_loop(beat(), {"cymbals": 2.0, "repetition": 1.0}, n=3, agent=each, model=model)
        for each in (agent, again)
    )
    assert np.array_equal(first.tuned, second.tuned)


def test_the_bundled_agent_is_small_and_knows_the_bundled_model():
    assert (ROOT / "rhythmgan" / "weights" / "edit-agent.safetensors").stat().st_size <= 1_000_000
    assert load_edit_agent().config.model == load_next_bar_model().fingerprint


# -- files and commands ----------------------------------------------------------------------------


def test_cells_that_stay_are_played_as_in_the_loop(tmp_path):
    from rhythmgan.performance import Performance

    first, other = beat(), beat()
    other[0, 2] = False
    other[3, 4] = True
    played = Performance.of(first, JAKI5, velocities=np.where(first, 33, 0))
    found = Continuation(first, first, other[None], np.array([True]), {name: np.array([1.0]) for name in LEVELS})
    files = export_continuation(found, tmp_path, ("midi", "npz"), played=played, targets={"drums": 1.0})
    assert files == {"midi": ["seed.mid", "lstm.mid", "tuned.mid"], "npz": ["continuation.npz"]}
    onsets = read_midi(tmp_path / "tuned.mid")
    velocity = {(round(float(beat) * 4), int(pitch)): int(v) for beat, pitch, v in zip(*_columns(onsets), strict=True)}
    assert velocity[(4, 38)] == 33
    assert velocity[(3, 47)] == 76  # a new cell has the accent of its place
    assert (0, 42) not in velocity
    with np.load(tmp_path / "continuation.npz") as arrays:
        assert np.array_equal(arrays["bars"], np.stack([first, first, other]))


def _columns(onsets):
    return onsets.beat, onsets.pitch, onsets.velocity


def test_the_command_writes_three_midi_files_on_the_drum_channel(loop, tmp_path):
    options = ["--cymbals", "high", "--drums", "mid", "--syncopation", "high", "--out", str(tmp_path / "next")]
    done = run("continue", loop, *options, module="rl_tuner", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "seed 0: cymbals 1" in done.stdout
    names = ("seed", "lstm", "tuned")
    for name in names:
        song = mido.MidiFile(tmp_path / "next" / f"{name}.mid")
        notes = [message for track in song.tracks for message in track if message.type == "note_on"]
        assert {message.channel for message in notes} == {9}
        assert {message.note for message in notes} <= {36, 38, 42, 46, 47}
        assert any(m.type == "set_tempo" and round(mido.tempo2bpm(m.tempo)) == 96 for t in song.tracks for m in t)
    # the seed is the loop's last bar, as it is played
    onsets = read_midi(tmp_path / "next" / "seed.mid")
    assert sorted(set(onsets.velocity[onsets.pitch == 36].tolist())) == [93]
    assert len(onsets.pitch) == beat().sum()
    report = json.loads((tmp_path / "next" / "report.json").read_text(encoding="utf-8"))
    assert report["targets"] == {"cymbals": 12.0, "drums": 7.0, "syncopation": 12.0}
    (tuned,) = report["tuned"]
    onsets = read_midi(tmp_path / "next" / "tuned.mid")
    assert np.isin(onsets.pitch, (42, 46)).sum() == tuned["cymbals"]
    assert np.isin(onsets.pitch, (36, 38, 47)).sum() == tuned["drums"]


def test_others_hear_a_drum_track(loop, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pretty_midi = pytest.importorskip("pretty_midi")
    assert main(["continue", str(loop), "--drums", "high", "--n", "2", "--out", str(tmp_path / "next"), "--quiet"]) == 0
    for name in ("tuned-001", "tuned-002"):
        (track,) = pretty_midi.PrettyMIDI(str(tmp_path / "next" / f"{name}.mid")).instruments
        assert track.is_drum
        assert abs(sum(note.pitch in (36, 38, 47) for note in track.notes) - 12) <= 1
        assert max(note.start for note in track.notes) < 4 * 60 / 96


def test_the_command_prints_what_a_script_reads(loop, tmp_path, capsys):
    out = tmp_path / "next"
    assert main(["continue", str(loop), "--cymbals", "9", "--out", str(out), "--format", "midi,csv", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["targets"] == {"cymbals": 9.0}
    assert document["files"]["midi"] == ["seed.mid", "lstm.mid", "tuned.mid"]
    assert abs(document["tuned"][0]["cymbals"] - 9) <= 1
    # a second call replaces the files of the first
    assert main(["continue", str(loop), "--cymbals", "9", "--n", "2", "--out", str(out), "--quiet"]) == 0
    assert not (out / "tuned.mid").exists()
    assert not (out / "continuation.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "a target is needed: --cymbals, --drums, --syncopation, --repetition"),
        (["--drums", "loud"], "drums is low, mid, high or a number from 0 to 32, not 'loud'"),
        (["--drums", "mid", "--weights", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_the_command_refuses_in_a_line(options, message, loop, tmp_path, capsys):
    assert main(["continue", str(loop), *options, "--out", str(tmp_path / "next")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "next").exists()


def test_another_bar_of_the_loop_is_continued(loop, tmp_path, capsys):
    """The first bar has four toms and nothing else."""
    command = ["continue", str(loop), "--drums", "mid", "--out", str(tmp_path / "next"), "--quiet"]
    assert main([*command, "--bar", "1"]) == 0
    assert read_midi(tmp_path / "next" / "seed.mid").pitch.tolist() == [47] * 4
    assert main([*command, "--bar", "3"]) == 2
    assert "--bar is a bar of the loop, 1 to 2, not 3" in capsys.readouterr().err


def test_the_bars_of_a_command_are_those_of_its_seeds(loop, tmp_path, capsys):
    out = tmp_path / "next"
    command = ["continue", str(loop), "--drums", "mid", "--n", "2", "--seed", "5", "--out", str(out), "--format", "npz"]
    assert main([*command, "--quiet"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:2]] == ["seed 5", "seed 6"]
    assert [row["seed"] for row in json.loads((out / "report.json").read_text(encoding="utf-8"))["tuned"]] == [5, 6]
    with np.load(out / "continuation.npz") as arrays:
        assert np.array_equal(arrays["bars"][2:], continue_loop(beat(), {"drums": 7.0}, n=2, seed=5).tuned)


def test_nothing_follows_a_silent_bar(tmp_path, capsys):
    bars = np.zeros((2, 16, 9), bool)
    bars[1, 0, 0] = True
    np.savez(tmp_path / "loop.npz", bars=bars)
    command = ["continue", str(tmp_path / "loop.npz"), "--drums", "mid", "--bar", "1", "--out", str(tmp_path / "next")]
    assert main(command) == 2
    assert "bar 1 is silent: nothing follows from it" in capsys.readouterr().err
    assert not (tmp_path / "next").exists()


def test_the_loops_own_folder_is_not_written_to(loop, capsys):
    assert main(["continue", str(loop), "--drums", "mid", "--out", str(loop.parent)]) == 2
    assert "holds the loop itself" in capsys.readouterr().err


def test_a_loop_of_another_kit_is_folded(tmp_path):
    bars = np.zeros((1, 16, 9), bool)
    bars[0, ::4, 0] = bars[0, 2::4, GM9.names.index("ride")] = True
    np.savez(tmp_path / "loop.npz", bars=bars)
    assert main(["continue", str(tmp_path / "loop.npz"), "--drums", "7", "--out", str(tmp_path / "next")]) == 0
    onsets = read_midi(tmp_path / "next" / "seed.mid")
    assert sorted(set(onsets.pitch.tolist())) == [36, 42]


def songs(path):
    rng = np.random.default_rng(0)
    words = rng.choice([0, 4, 16, 8, 20], (120, 16)).astype(np.uint16)
    song = np.arange(40, dtype=np.int32).repeat(3)
    names = tuple(f"song {number}" for number in range(40))
    save_corpus(path, Corpus.of(words, song, song, np.tile(np.arange(3, dtype=np.int32), 40), names, names, JAKI5))
    return str(path)


def test_the_command_trains_an_agent(tmp_path):
    command = ["train", "--env", "edit", "--data", songs(tmp_path / "corpus.npz"), "--out", tmp_path / "run"]
    options = ["--train-steps", 60, "--num-envs", 4, "--batch-size", 8, "--edits", 6, "--threads", 1, "--quiet"]
    done = run(*command, *options, module="rl_tuner", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    agent = load_edit_agent(tmp_path / "run" / "edit-agent.safetensors")
    assert agent.config.edits == 6
    assert continue_loop(beat(), {"drums": 7.0}, agent=agent).tuned.shape == (1, 16, 5)


def test_the_command_searches_as_published_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    def first_two():
        return torch.tensor([[2.0, 2.0, 0.0, 0.0], [12.0, 12.0, 12.0, 1.0]])

    monkeypatch.setattr("rl_tuner.tune.edit_published.level_combinations", first_two)
    out = tmp_path / "run"
    command = ["train", "--env", "edit", "--as-published", "--data", songs(tmp_path / "corpus.npz"), "--out", str(out)]
    assert main([*command, "--train-steps", "100", "--quiet"]) == 0
    found = json.loads((out / "published.json").read_text(encoding="utf-8"))
    assert [row["targets"] for row in found["rows"]] == first_two().tolist()
    assert all(row["predictions"] is not None or row["seen"] >= 100 for row in found["rows"])
    found["rows"][1]["reward"] = 7.0  # what is there is not searched again
    (out / "published.json").write_text(json.dumps(found), encoding="utf-8")
    assert main([*command, "--train-steps", "100", "--quiet"]) == 0
    assert json.loads((out / "published.json").read_text(encoding="utf-8"))["rows"][1]["reward"] == 7.0
    assert main([*command, "--train-steps", "200", "--quiet"]) == 2
    assert "another bar, model or config" in capsys.readouterr().err


def test_files_of_others_are_left_alone(loop, tmp_path, capsys):
    own = tmp_path / "own"
    own.mkdir()
    (own / "tuned-005.mid").write_bytes(b"mine")
    arguments = ["continue", str(loop), "--drums", "mid", "--quiet", "--out"]
    assert main([*arguments, str(own)]) == 2
    assert "holds tuned-005.mid, which no earlier call wrote" in capsys.readouterr().err
    assert [(path.name, path.read_bytes()) for path in own.iterdir()] == [("tuned-005.mid", b"mine")]
    for _ in range(2):  # what it wrote itself it writes over
        assert main([*arguments, str(tmp_path / "next")]) == 0


def test_a_loop_of_triplets_is_said_to_be_read_on_sixteenths(tmp_path, caplog):
    bars = np.zeros((2, 12, 9), bool)
    bars[:, ::2, 2] = bars[:, 1::3, 0] = True
    write_midi(tmp_path / "shuffle.mid", bars, GM9)
    assert main(["continue", str(tmp_path / "shuffle.mid"), "--drums", "mid", "--out", str(tmp_path / "next")]) == 0
    assert "most of its bars are on 12 steps, but are read on the 16 of the model" in caplog.text
