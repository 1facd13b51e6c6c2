"""What `rl-tuner` writes and refuses: files that agree with each other, and one line for what is wrong."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import mido
import numpy as np
import pretty_midi
import pytest
from commands import run
from PIL import Image

from rhythmgan import draw
from rhythmgan.bars import words_to_bars
from rhythmgan.calls import WRITTEN
from rhythmgan.corpus_file import save_corpus
from rhythmgan.features import density, syncopation
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12, JAKI5
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rhythmgan.models.weights import bundled
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rhythmgan.reference import load_reference, save_reference
from rl_tuner.agent import Agent, AgentConfig, save_agent
from rl_tuner.cli import main
from rl_tuner.config import ReadOutConfig

pytestmark = pytest.mark.usefixtures("one_thread")


def _run(*arguments, **options):
    return run(*arguments, module="rl_tuner", **options)


def _any_role():
    """The bundled generator, asked for bars of any role as steering asks it."""
    from rhythmgan.models.gan import load_gan

    return load_gan().with_condition("any", "any")


def _steer(out, *arguments):
    assert main(["steer", *map(str, arguments), "--out", str(out)]) == 0


@pytest.fixture(scope="module")
def steered(tmp_path_factory, one_thread):
    """The files of six bars, as a user asks for them, and what was printed."""
    out = tmp_path_factory.mktemp("cli") / "new" / "folder"
    done = _run("steer", "--density", 16, "--syncopation", 5, "--n", 6, "--calls", 4, "--seed", 30, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out, _arrays(out), _report(out), done.stdout


def _arrays(out):
    """The arrays of a folder."""
    with np.load(out / "steered.npz", allow_pickle=False) as saved:
        return dict(saved)


def _report(out):
    """The report of a folder."""
    return json.loads((out / "report.json").read_text(encoding="utf-8"))


def _names(out):
    """The names of a folder's files."""
    return sorted(path.name for path in out.iterdir() if path.name != WRITTEN)


def _numbered(name, n):
    """The names of n MIDI files."""
    return [f"{name}-{i:03d}.mid" for i in range(1, n + 1)]


def _textbook(numbers):
    """Textbook bars of these numbers, in the kit of the bundled models: without hand percussion."""
    return words_to_bars(load_patterns().words[numbers] << 3, 12)


def _songs():
    """A corpus of the textbook bars, as ``_textbook``."""
    patterns = load_patterns()
    return replace(patterns, distinct_words=patterns.distinct_words << 3, kit=GM12)


def _onsets(path):
    """The bar of a MIDI file, as another reader's seconds and pitches place it."""
    song = pretty_midi.PrettyMIDI(str(path))
    (track,) = song.instruments
    assert track.is_drum
    tempo = song.get_tempo_changes()[1][0]
    bar = np.zeros((16, 12), bool)
    for note in track.notes:
        bar[round(note.start * tempo / 15), GM12.part_of_pitch[note.pitch]] = True
    assert bar.sum() == len(track.notes)
    return bar


# -- bars of nothing -------------------------------------------------------------------------------


def test_every_file_is_there(steered):
    out = steered[0]
    assert _names(out) == sorted([*_numbered("after", 6), "steered.npz", "report.json", "steered.png"])
    with Image.open(out / "steered.png") as picture:
        assert picture.size[0] > 300


def test_arrays_have_their_names_shapes_and_kinds(steered):
    arrays = steered[1]
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {"bars": ((6, 16, 12), "bool"), "z": ((6, 192), "float32")}
    assert (_any_role().decode(arrays["z"]) == arrays["bars"]).all()


def test_midi_holds_the_bars_of_the_arrays(steered):
    out, arrays, *_ = steered
    for i in range(6):
        path = out / f"after-{i + 1:03d}.mid"
        assert (quantise(read_midi(path), GM12).bars == arrays["bars"][i]).all()
        assert sum(message.time for message in mido.MidiFile(path).tracks[0]) == 4 * 480


def test_another_reader_hears_the_same_onsets(steered):
    out, arrays, *_ = steered
    for i in range(3):
        assert (_onsets(out / f"after-{i + 1:03d}.mid") == arrays["bars"][i]).all()


def test_the_report_agrees_with_the_bars(steered):
    _, arrays, report, printed = steered
    assert list(report) == ["asked", "notes", "sentence", "tolerance", "n", "loop", "success", "bars"]
    assert report["asked"] == {"density": "16", "syncopation": "5", "calls": 4}
    assert report["tolerance"] == {"density": 1, "syncopation": 1}
    assert (report["n"], len(report["bars"]), report["loop"], report["notes"]) == (6, 6, None, [])
    assert report["sentence"] == printed.splitlines()[0]
    assert report["success"] == sum(bar["success"] for bar in report["bars"])
    for i, bar in enumerate(report["bars"]):
        assert (bar["file"], bar["seed"]) == (f"after-{i + 1:03d}", 30 + i)
        assert bar["targets"] == {"density": 16, "syncopation": 5}
        own = arrays["bars"][i : i + 1]
        assert bar["after"] == {"density": density(own, GM12), "syncopation": syncopation(own, GM12)}
        gaps = abs(bar["after"]["density"] - 16), abs(bar["after"]["syncopation"] - 5)
        assert bar["success"] == (max(gaps) <= 1) == (bar["terms"]["success"] == 1)
        assert 0 < bar["calls"] <= 4.1  # looking at candidates costs a little
        assert not {"version", "bar", "before", "changed"} & set(bar)


def test_fewer_bars_leave_no_file_of_more(steered, tmp_path):
    _steer(tmp_path, "--density", 16, "--syncopation", 5, "--n", 6, "--calls", 4, "--seed", 30)
    for name in ("after-001.mid", "after-006.mid", "steered.npz"):  # in a process or in this one
        assert (tmp_path / name).read_bytes() == (steered[0] / name).read_bytes(), name
    (tmp_path / "after-party.mid").write_text("mine", encoding="utf-8")
    _steer(tmp_path, "--density", 16, "--syncopation", 5, "--n", 2, "--calls", 4, "--seed", 31)
    assert {path.name for path in tmp_path.glob("*.mid")} == {*_numbered("after", 2), "after-party.mid"}
    assert (_arrays(tmp_path)["bars"] == steered[1]["bars"][1:3]).all()
    assert _report(tmp_path)["n"] == 2


def test_percentiles_become_the_values_of_real_bars(tmp_path, capsys):
    _steer(tmp_path, "--density", "80%", "--target", "syncopation = 5", "--n", 2, "--calls", 3)
    assert _report(tmp_path)["asked"] == {"density": "80%", "syncopation": "5", "calls": 3}
    wanted = {"density": load_reference().value("density", 80), "syncopation": 5}
    assert [bar["targets"] for bar in _report(tmp_path)["bars"]] == [wanted] * 2
    assert f"{tmp_path}: after-001.mid …, steered.npz, steered.png, report.json" in capsys.readouterr().out


def test_percentiles_are_those_of_the_weights(refused, tmp_path):
    """Of the reference in their folder; where there is none, no other one is taken."""
    shutil.copy(bundled("gan.safetensors"), tmp_path)
    weights = ("--weights", tmp_path / "gan.safetensors")
    refused("steer", "--density", "80%", *weights, says="have no reference to take percentiles from")
    reference = load_reference()
    doubled = replace(reference, quantiles={name: 2 * values for name, values in reference.quantiles.items()})
    save_reference(tmp_path / "reference.safetensors", doubled)
    _steer(tmp_path / "s", "--density", "50%", "--n", 1, "--calls", 1, *weights)
    assert _report(tmp_path / "s")["bars"][0]["targets"] == {"density": 2 * reference.value("density", 50)}


def test_one_feature_alone_and_its_tempo(tmp_path):
    _steer(tmp_path, "--target", "density=12", "--n", 3, "--bpm", 90, "--realism", 0)
    bars = _report(tmp_path)["bars"]
    assert [bar["targets"] for bar in bars] == [{"density": 12}] * 3
    assert all(abs(bar["after"]["density"] - 12) <= 1 for bar in bars if bar["success"])
    song = pretty_midi.PrettyMIDI(str(tmp_path / "after-001.mid"))
    assert song.get_tempo_changes()[1][0] == pytest.approx(90, abs=1e-3)


# -- a loop of one's own ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_loop(tmp_path_factory, one_thread):
    """A file of a loop A B A C at 83 beats a minute, with its own velocities, .3 of a step late; and its playing."""
    bars = _textbook([3, 12, 3, 7])
    late = np.full(bars.shape, 0.3)
    late[:, 0] = 0
    played = Performance.of(bars, GM12, np.random.default_rng(4).integers(1, 76, bars.shape), late)
    path = tmp_path_factory.mktemp("own") / "My Loop.MID"
    write_midi(path, played, bpm=83)
    return path, played


@pytest.fixture(scope="module")
def versions(own_loop, tmp_path_factory):
    """The files of two versions of the loop, and what was printed."""
    out = tmp_path_factory.mktemp("versions") / "out"
    done = _run(
        *("steer", "--density", "+4", "--closeness", ".7", "--lock", "kick,hat", "--lock-bars", "4", "--n", 2),
        *("--calls", 8, "--from-midi", own_loop[0], "--out", out),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out, _arrays(out), _report(out), done.stdout


def _notes(*paths):
    """(beat, pitch, velocity) of the notes of MIDI files of one bar, as one loop, as pretty_midi reads them."""
    notes = []
    for bar, path in enumerate(paths):
        song = pretty_midi.PrettyMIDI(str(path))
        (track,) = song.instruments
        beats = 4 * bar
        notes += [(song.time_to_tick(n.start) / 480 + beats, n.pitch, n.velocity) for n in track.notes]
    return sorted(notes)


def test_a_loop_is_written_as_loops_as_bars_and_as_the_file_that_it_was(versions, own_loop):
    out, *_, printed = versions
    midi = ["before.mid", *_numbered("before", 4), *_numbered("steered", 2), *_numbered("after", 8), "original.mid"]
    assert _names(out) == sorted([*midi, "report.json", "steered.npz", "steered.png"])
    assert (out / "original.mid").read_bytes() == own_loop[0].read_bytes()
    assert printed.splitlines()[-1] == (
        f"{out}: before.mid, before-001.mid …, steered-001.mid …, after-001.mid …, steered.npz, steered.png, "
        "original.mid, report.json"
    )


def test_a_loop_is_its_bars_one_after_the_other(versions, own_loop):
    out, *_ = versions
    assert _notes(out / "before.mid") == _notes(own_loop[0]) == _notes(*(out / f for f in _numbered("before", 4)))
    for version in (0, 1):
        bars = [out / name for name in _numbered("after", 8)[4 * version : 4 * version + 4]]
        assert _notes(out / f"steered-00{version + 1}.mid") == _notes(*bars)
    for path in out.glob("*.mid"):
        assert read_midi(path).bpm == pytest.approx(83, abs=1e-3)


def test_what_is_locked_never_moves_and_equal_bars_stay_equal(versions, own_loop):
    _, arrays, *_ = versions
    assert {name: array.shape for name, array in arrays.items()} == {
        **dict.fromkeys(("bars", "velocities", "offsets"), (2, 4, 16, 12)),
        **dict.fromkeys(("before", "locked", "velocities_before", "offsets_before"), (4, 16, 12)),
        "z": (2, 4, 192),
    }
    before, bars, locked = arrays["before"], arrays["bars"], arrays["locked"]
    assert (before == own_loop[1].bars).all()
    kick_and_hats = [GM12.names.index(name) for name in ("kick", "closed hat", "open hat")]
    assert locked[3].all()
    assert locked[:3].all((0, 1)).nonzero()[0].tolist() == sorted(kick_and_hats)
    assert (bars == before)[:, locked].all()
    assert (bars[:, 0] == bars[:, 2]).all()
    assert (bars[:, :2] != before[:2]).any((2, 3)).all()
    assert (_any_role().decode(arrays["z"].reshape(8, 192)) == bars.reshape(8, 16, 12)).all()


def test_what_stays_is_played_as_it_was(versions, own_loop):
    """Cells that stay have the velocities and the offsets of the loop, new ones accents."""
    out, arrays, *_ = versions
    own = own_loop[1]
    for version in (0, 1):
        heard = quantise(read_midi(out / f"steered-00{version + 1}.mid"), GM12)
        assert (heard.bars == arrays["bars"][version]).all()
        stays = heard.bars & own.bars
        assert (heard.velocities[stays] == own.velocities[stays]).all()
        np.testing.assert_allclose(heard.offsets[stays], own.offsets[stays], atol=1e-6)
        assert (heard.velocities[heard.bars & ~own.bars] >= 76).all()
        np.testing.assert_allclose(arrays["offsets"][version], heard.offsets, atol=1e-6)
        assert (arrays["velocities"][version] == heard.velocities).all()


def test_the_report_of_a_loop_says_what_each_of_its_bars_came_to(versions):
    _, arrays, report, printed = versions
    assert (report["n"], report["loop"], len(report["bars"])) == (2, 4, 8)
    assert report["asked"] | {"from_midi": ""} == {
        **{"density": "+4", "from_midi": "", "closeness": 0.7, "lock": "kick,hat", "lock_bars": "4", "calls": 8}
    }
    changed = arrays["bars"] ^ arrays["before"]
    own = arrays["before"].sum((1, 2))
    for i, bar in enumerate(report["bars"]):
        version, place = divmod(i, 4)
        assert (bar["version"], bar["bar"], bar["file"]) == (version + 1, place + 1, f"after-{i + 1:03d}")
        assert bar["seed"] == version
        assert bar["before"]["density"] == own[place]
        assert bar["after"]["density"] == arrays["bars"][version, place].sum()
        assert bar["targets"] == {"density": own[place] + (4 if place < 3 else 0)}
        assert bar["changed"] == changed[version, place].sum() == sum(bar["changed_by_part"].values())
        for part, count in bar["changed_by_part"].items():
            assert count == changed[version, place, :, GM12.names.index(part)].sum() > 0
    assert (report["bars"][3]["changed"], report["bars"][3]["success"]) == (0, True)
    sentence = printed.splitlines()[0]
    assert report["sentence"] == sentence
    most = changed.sum((2, 3)).max()
    assert sentence.endswith(f"; 0 to {most} cells of a bar changed; locked: kick, closed hat, open hat, bar 4")


def test_the_original_lies_beside_in_every_format(own_loop, tmp_path):
    _steer(tmp_path, "--density", 20, "--calls", 2, "--from-midi", own_loop[0], "--format", "wav,csv")
    wav = ["before.wav", *(f"{name}-00{i}.wav" for name in ("before", "after") for i in range(1, 5)), "steered-001.wav"]
    assert _names(tmp_path) == sorted([*wav, "original.mid", "report.json", "steered.csv"])
    assert (tmp_path / "original.mid").read_bytes() == own_loop[0].read_bytes()
    rows = (tmp_path / "steered.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "name,bar,step,part,velocity,offset"
    assert {row.split(",")[0] for row in rows[1:]} == {"before", "steered-001"}
    assert {row.split(",")[1] for row in rows[1:]} == {"0", "1", "2", "3"}


def test_loops_that_are_no_midi_are_copied_too(tmp_path):
    np.savez(tmp_path / "mine.npz", bars=_textbook([3, 12]))
    _steer(tmp_path / "s", "--density", 20, "--calls", 2, "--from-midi", tmp_path / "mine.npz")
    assert (tmp_path / "s" / "original.npz").read_bytes() == (tmp_path / "mine.npz").read_bytes()
    assert not (tmp_path / "s" / "original.mid").exists()


def test_files_of_others_are_not_replaced(tmp_path, capsys):
    song = tmp_path / "original.mid"
    song.write_bytes(b"a song of mine")
    (tmp_path / "after-party.mid").write_bytes(b"another")
    arguments = ["steer", "--density", "12", "--n", "1", "--calls", "1", "--format", "npz", "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert "holds original.mid, which no earlier call wrote" in capsys.readouterr().err
    assert song.read_bytes() == b"a song of mine"
    song.unlink()
    assert main(arguments) == 0
    assert (tmp_path / "after-party.mid").read_bytes() == b"another"
    assert main(arguments) == 0
    (tmp_path / "after-999.mid").write_bytes(b"a third")  # the report of an earlier call does not make it ours
    assert main(arguments) == 2
    assert "holds after-999.mid, which no earlier call wrote" in capsys.readouterr().err
    (tmp_path / "after-999.mid").unlink()


def test_a_call_replaces_the_files_of_another_whatever_it_began_with(own_loop, tmp_path):
    _steer(tmp_path, "--density", 20, "--calls", 2, "--n", 3, "--from-midi", own_loop[0])
    assert len(_names(tmp_path)) == 1 + 4 + 3 + 12 + 1 + 3
    _steer(tmp_path, "--density", 20, "--calls", 2, "--n", 2)
    assert _names(tmp_path) == [*_numbered("after", 2), "report.json", "steered.npz", "steered.png"]


def test_the_loop_is_never_written_over(own_loop, tmp_path, capsys):
    own = tmp_path / "original.mid"
    shutil.copy(own_loop[0], own)
    assert main(["steer", "--density", "20", "--from-midi", str(own), "--out", str(tmp_path)]) == 2
    assert "holds the loop itself" in capsys.readouterr().err
    assert _names(tmp_path) == ["original.mid"]
    assert own.read_bytes() == own_loop[0].read_bytes()


def test_versions_of_the_bar_of_a_seed(tmp_path):
    _steer(tmp_path, "--density", "-3", "--n", 3, "--calls", 8, "--seed", 5, "--from-seed", 77)
    bar = _any_role().sample(1, seed=77)
    arrays, report = _arrays(tmp_path), _report(tmp_path)
    assert (arrays["before"] == bar).all()
    assert arrays["bars"].shape == (3, 1, 16, 12)
    expected = {"density": density(bar, GM12), "syncopation": syncopation(bar, GM12)}
    assert [each["before"] for each in report["bars"]] == [expected] * 3
    assert [each["targets"] for each in report["bars"]] == [{"density": bar.sum() - 3}] * 3
    assert [(each["seed"], each["version"], each["bar"]) for each in report["bars"]] == [
        (5, 1, 1),
        (6, 2, 1),
        (7, 3, 1),
    ]
    midi = ["before.mid", "before-001.mid", *_numbered("after", 3), *_numbered("steered", 3)]
    assert _names(tmp_path) == sorted([*midi, "report.json", "steered.npz", "steered.png"])
    assert read_midi(tmp_path / "steered-001.mid").bpm == 120


def test_a_loop_has_one_version_and_the_tempo_that_is_asked_for(own_loop, tmp_path):
    _steer(tmp_path, "--density", 20, "--calls", 2, "--bpm", 140, "--from-midi", own_loop[0])
    assert [path.name for path in tmp_path.glob("steered-*")] == ["steered-001.mid"]
    assert {round(read_midi(path).bpm, 3) for path in tmp_path.glob("[abs]*.mid")} == {140}
    assert read_midi(tmp_path / "original.mid").bpm == pytest.approx(83, abs=1e-3)


@pytest.mark.parametrize(
    "words", [("--density", "-2,+1,-2,-.5"), ("--density=-2,+1,-2,-.5",), ("--target", "density=-2,+1,-2,-.5")]
)
def test_values_that_begin_with_a_minus_are_values(own_loop, tmp_path, words):
    _steer(tmp_path, *words, "--calls", 1, "--from-midi", own_loop[0])
    own = own_loop[1].bars.sum((1, 2))
    assert [bar["targets"]["density"] for bar in _report(tmp_path)["bars"]] == np.add(own, [-2, 1, -2, -0.5]).tolist()
    _steer(tmp_path, "--density", "-4", "--syncopation", "-1", "--calls", 1, "--from-midi", own_loop[0])
    assert _report(tmp_path)["asked"]["density"] == "-4"


def test_of_the_whole_loop_free_bars_make_up_for_locked_ones(own_loop, tmp_path):
    options = ("--whole-loop", "--lock-bars", "2-4", "--calls", 1, "--from-midi", own_loop[0])
    _steer(tmp_path, "--density", "+2", *options)
    own = own_loop[1].bars.sum((1, 2))
    report = _report(tmp_path)
    assert [bar["targets"]["density"] for bar in report["bars"]] == [own[0] + 8, *own[1:]]
    assert [bar["changed"] for bar in report["bars"]][1:] == [0, 0, 0]
    assert report["sentence"].endswith("locked: bars 2, 3, 4")


def test_a_wish_below_nothing_is_bounded_and_said(own_loop, tmp_path, capsys):
    _steer(tmp_path, "--density", "-3,-100,-3,-3", "--calls", 1, "--from-midi", own_loop[0])
    note = "density -100: bar 2 has less, and is asked for 0"
    assert capsys.readouterr().out.splitlines()[0] == note
    assert _report(tmp_path)["notes"] == [note]
    assert _report(tmp_path)["bars"][1]["targets"] == {"density": 0}


def test_loops_of_triplets_are_steered_by_an_agent_of_their_grid(tmp_path):
    """By one that was taught nothing: what it reaches is no matter here."""
    gan, prior = (load(None, 12).with_condition("any", "any") for load in (load_generator, load_likelihood))
    agent = Agent.untaught(gan, gan, prior, AgentConfig.of(gan), ReadOutConfig(bars=500))
    save_agent(tmp_path / "agent12.safetensors", agent, {})
    bars = gan.sample(2, seed=3)
    write_midi(tmp_path / "loop.mid", bars)
    options = ("--grid", 12, "--agent", tmp_path / "agent12.safetensors", "--calls", 4)
    _steer(tmp_path / "s", "--density", "70%,+2", *options, "--from-midi", tmp_path / "loop.mid")
    assert (_arrays(tmp_path / "s")["before"] == bars).all()
    targets = [each["targets"]["density"] for each in _report(tmp_path / "s")["bars"]]
    assert targets == [load_reference(steps=12).value("density", 70), bars[1].sum() + 2]


# -- what is refused -------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path, capsys):
    """A function: the command ends with status 2 and one line that says what, and writes nothing."""

    def refuse(*arguments, says):
        out = tmp_path / "out"
        assert main([*map(str, arguments), "--out", str(out)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("rl-tuner: ")
        assert says in printed.err
        assert printed.err.count("\n") == 1
        assert not out.exists()

    return refuse


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "a target is needed"),
        (("--density", "nan"), "--density: 'nan' is nothing to ask for"),
        (("--density", "inf"), "--density: 'inf'"),
        (("--density", "x"), "--density: 'x'"),
        (("--density", "16,,16"), "--density: ''"),
        (("--density", "-3"), "density -3 is a change of what a loop has"),
        (("--syncopation", "-0.1"), "syncopation -0.1 is a change"),
        (("--density", "16,16"), "for the bars of a loop, and needs one"),
        (("--target", "loudness=3"), "'loudness'"),
        (("--target", "swing=3"), "swing lies between"),
        (("--swing", ".6", "--target", "sixteenth swing=.6"), "two targets are given for sixteenth swing"),
        (("--density", "5", "--target", "density=5"), "two targets are given for density"),
        (("--target", "density"), "--target is a feature's name"),
        (("--target", "density=many"), "--target: 'many'"),
        (("--density", "5", "--calls", "5000"), "5000"),
        (("--density", "5", "--n", "2000000"), "2000000"),
        (("--density", "5", "--realism", "1.5"), "realism"),
        (("--density", "5", "--realism", "nan"), "realism"),
        (("--density", "5", "--seed", "-1"), "seeds"),
        (("--density", "5", "--from-seed", "-1"), "seeds"),
        (("--density", "5", "--from-seed", str(2**63)), "seeds"),
        (("--density", "101%"), "percentiles"),
        (("--density", "+10%"), "a change and a percentile at once"),
        (("--target", "loudness=50%"), "loudness"),
        (("--target", "swing=101%"), "percentiles"),
        (("--density", "5", "--closeness", ".5"), "--closeness is about a loop, and needs one"),
        (("--density", "5", "--lock", "kick"), "--lock is about a loop, and needs one"),
        (("--density", "5", "--lock-bars", "1"), "--lock-bars is about a loop, and needs one"),
        (("--density", "5", "--whole-loop"), "--whole-loop is about a loop, and needs one"),
        (("--density", "5", "--from-seed", "3", "--closeness", "1.5"), "closeness"),
        (("--density", "5", "--from-seed", "3", "--closeness", "nan"), "closeness"),
        (("--density", "5", "--from-seed", "3", "--lock", "gong"), "no part of kit gm12 is called 'gong'"),
        (("--density", "5", "--from-seed", "3", "--lock-bars", "2"), "--lock-bars names bars of the loop, 1 to 1"),
        (("--density", "5", "--from-seed", "3", "--lock-bars", "1-"), "not '1-'"),
        (("--density", "5", "--from-seed", "3", "--lock-bars", "0"), "not '0'"),
        (("--density", "5", "--from-seed", "3", "--lock-bars", "1"), "everything is locked"),
        (("--density", "5,6", "--from-seed", "3"), "given 2 values, but the loop has 1 bar"),
        (("--density", "5", "--device", "abacus"), "--device abacus: there is no such device here"),
        (("--density", "5", "--device", "cuda:77"), "--device cuda:77: there is no such device here"),
        (("--density", "5", "--calls", "1", "--n", "1", "--bpm", "0"), "tempo"),
        (("--density", "5", "--calls", "1", "--n", "1", "--bpm", "nan"), "tempo"),
        (("--density", "5", "--agent", "missing.safetensors"), "missing.safetensors: "),
        (("--density", "5", "--agent", str(bundled("gan.safetensors"))), "gan.safetensors: "),
        (("--density", "5", "--weights", str(bundled("agent.safetensors"))), "agent.safetensors: "),
        (("--density", "5", "--prior", "missing.safetensors"), "missing.safetensors: "),
        (("--density", "5", "--from-midi", "missing.mid"), "missing.mid: "),
        (("--density", "5", "--from-midi", "."), "one file"),
    ],
)
def test_nonsense_is_one_line(refused, arguments, says):
    refused("steer", *arguments, says=says)


def test_loops_that_are_none_are_one_line(refused, tmp_path, save_midi):
    (tmp_path / "broken.mid").write_bytes(b"MThd\0\0\0\6not a song at all")
    refused("steer", "--density", 5, "--from-midi", tmp_path / "broken.mid", says="broken.mid: ")
    piano = [(0, mido.Message("note_on", note=60, velocity=90)), (480, mido.Message("note_off", note=60))]
    path = save_midi("piano.mid", piano)
    refused("steer", "--density", 5, "--from-midi", path, says="piano.mid: ")
    write_midi(tmp_path / "drums.mid", _textbook([0]))
    truncated = (tmp_path / "drums.mid").read_bytes()[:40]
    (tmp_path / "truncated.mid").write_bytes(truncated)
    refused("steer", "--density", 5, "--from-midi", tmp_path / "truncated.mid", says="truncated.mid: ")
    np.savez(tmp_path / "jaki.npz", bars=np.eye(16, 5, dtype=bool)[None])
    refused("steer", "--density", 5, "--from-midi", tmp_path / "jaki.npz", says="jaki.npz: ")


def test_an_agent_of_another_generator_is_one_line(refused, tmp_path):
    from rhythmgan.models.gan import GAN, GANConfig, save_gan

    save_gan(tmp_path / "gan.safetensors", GAN(GANConfig(width=8, discriminator_width=8)), {})
    refused("steer", "--density", 5, "--weights", tmp_path / "gan.safetensors", says="another generator")


def test_an_out_that_is_a_file_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert main(["steer", "--density", "5", "--n", "1", "--calls", "1", "--out", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "arguments", [("--n", "0"), ("--calls", "0"), ("--n", "x"), ("--closeness", "x"), ("--from-seed", "1.5")]
)
def test_options_that_are_no_numbers_are_named(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["steer", "--density", "5", *arguments, "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"rl-tuner steer: error: argument {arguments[0]}")
    assert not (tmp_path / "out").exists()


def test_two_starts_are_one_too_many(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["steer", "--density", "5", "--from-seed", "1", "--from-midi", "x.mid", "--out", str(tmp_path / "out")])
    assert "not allowed with" in capsys.readouterr().err


def test_a_process_ends_with_one_line_and_status_2(tmp_path):
    done = _run("steer", "--density", "nan", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("rl-tuner: --density: 'nan' is nothing to ask for: say a number (20), ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_words_that_are_missing_or_unfit_are_one_line(refused, tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4")
    for command in ("train", "evaluate", "sweep"):
        refused(command, "--data", tmp_path / "missing.npz", says="missing.npz: ")
        refused(command, "--data", tmp_path / "broken.npz", says="broken.npz: ")
    save_corpus(tmp_path / "words.npz", _songs())
    data = ("--data", tmp_path / "words.npz")
    refused("sweep", *data, "--only", "bundled, faster", says="'faster'")
    refused("train", *data, "--features", "density,swing", says="swing")
    refused("train", *data, "--seed", "-1", says="seed")
    save_corpus(tmp_path / "none.npz", _songs().split("test"))
    refused("train", "--data", tmp_path / "none.npz", says="no bars")


def test_options_of_another_environment_are_refused_with_those_that_have_them(refused, tmp_path):
    save_corpus(tmp_path / "words.npz", _songs())
    data = ("--data", tmp_path / "words.npz")
    refused("train", *data, "--env", "latent", "--trace", "0.5", says="--trace is an option of stepwise, not of --env")
    refused("train", *data, "--n-step", "2", says="--n-step is an option of latent and edit, not of --env stepwise")
    published = ("--env", "edit", "--as-published")
    refused("train", *data, *published, "--edits", "5", says="--edits is no option of --as-published")
    refused(
        "train", *data, "--env", "toggle", "--calls", "2", says="--calls is an option of latent, not of --env toggle"
    )
    refused("train", *data, "--as-published", says="not of --env stepwise")


def test_features_that_are_named_twice_leave_no_folder(refused, tmp_path):
    save_corpus(tmp_path / "words.npz", _songs())
    refused("train", "--data", tmp_path / "words.npz", "--features", "density,density", says="density")


@pytest.mark.parametrize("command", ["train", "evaluate", "sweep"])
def test_words_of_another_kit_are_one_line(refused, tmp_path, command, monkeypatch):
    """As they are for `rhythmgan`; today agents are trained on targets of another kit."""

    from rhythmgan.training import critic
    from rl_tuner.benchmark import sweep
    from rl_tuner.tune import latent as tuning

    class Began(Exception):
        pass

    def begin(*arguments, **options):
        raise Began

    monkeypatch.setattr(tuning, "find_space", begin)
    monkeypatch.setattr(sweep, "train_latent_agent", begin)
    monkeypatch.setattr(critic, "train_critic", begin)
    patterns = load_patterns()
    save_corpus(tmp_path / "jaki.npz", replace(patterns, distinct_words=patterns.distinct_words & 31, kit=JAKI5))
    refused(command, "--data", tmp_path / "jaki.npz", says="kit")


def test_help_answers_without_waiting_for_torch():
    script = (
        "import contextlib, io, sys\n"
        "from rl_tuner.cli import main\n"
        "for command in ([], ['train'], ['steer'], ['toggle'], ['evaluate'], ['sweep']):\n"
        "    text = io.StringIO()\n"
        "    try:\n"
        "        with contextlib.redirect_stdout(text):\n"
        "            main([*command, '--help'])\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0, command\n"
        "    words = text.getvalue().split()\n"
        "    assert words[:2] == ['usage:', 'rl-tuner'], words\n"
        "    assert words[2:3] == (command or ['[-h]']), words\n"
        "print(sorted({'torch', 'numpy', 'gymnasium', 'scipy', 'rl_tuner.steering'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"


def test_no_command_is_reported():
    done = _run()
    assert done.returncode == 2
    assert "command" in done.stderr.splitlines()[-1]


def _pictured(monkeypatch):
    """A list that gets the bars and the options of every picture that is drawn."""
    shown = []
    real = draw.bars_to_image
    monkeypatch.setattr(draw, "bars_to_image", lambda bars, *a, **k: shown.append((bars, k)) or real(bars, *a, **k))
    return shown


def test_only_the_first_bars_are_pictured(tmp_path, monkeypatch):
    shown = _pictured(monkeypatch)
    _steer(tmp_path, "--density", 150, "--n", 70, "--calls", 1)
    ((bars, options),) = shown
    assert len(bars) == len(options["titles"]) == 64
    assert all(title.endswith(" (not reached)") for title in options["titles"])
    assert len(list(tmp_path.glob("after-*.mid"))) == 70


def test_a_loop_is_pictured_above_its_versions(own_loop, tmp_path, monkeypatch):
    shown = _pictured(monkeypatch)
    _steer(tmp_path, "--density", "+0", "--n", 2, "--calls", 2, "--from-midi", own_loop[0])
    ((performance, options),) = shown
    assert options["columns"] == 4
    assert options["titles"] == ["before"] * 4 + [
        f"steered-00{version}: {sum(bar['success'] for bar in _report(tmp_path)['bars'][i : i + 4])} of 4 reached"
        for version, i in ((1, 0), (2, 4))
        for _ in range(4)
    ]
    assert (performance.bars[:4] == own_loop[1].bars).all()
    assert (performance.bars[4:].reshape(2, 4, 16, 12) == _arrays(tmp_path)["bars"]).all()
