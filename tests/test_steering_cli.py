"""What `rl-tuner` writes and refuses: files that agree with each other, and one line for what is wrong."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import mido
import numpy as np
import pretty_midi
import pytest
from PIL import Image

from rhythmgan import draw
from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import save_corpus
from rhythmgan.features import density, syncopation
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12, JAKI5
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.weights import bundled
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rhythmgan.reference import load_reference, save_reference
from rl_tuner.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")


def _run(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "rl_tuner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def _any_role():
    """The bundled generator, asked for bars of any role as steering asks it."""
    from rhythmgan.models.gan import load_gan

    return load_gan().with_condition("any", "any")


def _steer(out, *arguments):
    assert main(["steer", *map(str, arguments), "--out", str(out)]) == 0


@pytest.fixture(scope="module")
def steered(tmp_path_factory, one_thread):
    """The files of six episodes, as a user asks for them, and what was printed."""
    out = tmp_path_factory.mktemp("cli") / "new" / "folder"
    done = _run("steer", "--density", 16, "--syncopation", 5, "--n", 6, "--calls", 6, "--seed", 30, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with np.load(out / "steered.npz", allow_pickle=False) as saved:
        arrays = dict(saved)
    return out, arrays, json.loads((out / "report.json").read_text()), done.stdout


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


def test_every_file_is_there(steered):
    out = steered[0]
    midi = [f"{name}-00{i}.mid" for name in ("after", "before") for i in range(1, 7)]
    assert sorted(path.name for path in out.iterdir()) == sorted([*midi, "steered.npz", "report.json", "steered.png"])
    with Image.open(out / "steered.png") as picture:
        assert picture.size[0] > 300


def test_arrays_have_their_names_shapes_and_kinds(steered):
    arrays = steered[1]
    shapes = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    assert shapes == {
        "bars": ((6, 16, 12), "bool"),
        "before": ((6, 16, 12), "bool"),
        "z": ((6, 192), "float32"),
        "z_before": ((6, 192), "float32"),
        "path": ((6, 6, 2), "float32"),
    }
    gan = _any_role()
    assert (gan.decode(arrays["z"]) == arrays["bars"]).all()
    assert (gan.decode(arrays["z_before"]) == arrays["before"]).all()


def test_midi_holds_the_bars_of_the_arrays(steered):
    out, arrays, *_ = steered
    for i in range(6):
        for name, bars in (("before", arrays["before"]), ("after", arrays["bars"])):
            path = out / f"{name}-{i + 1:03d}.mid"
            assert (quantise(read_midi(path), GM12).bars == bars[i]).all()
            assert sum(message.time for message in mido.MidiFile(path).tracks[0]) == 4 * 480


def test_another_reader_hears_the_same_onsets(steered):
    out, arrays, *_ = steered
    for i in range(3):
        assert (_onsets(out / f"after-{i + 1:03d}.mid") == arrays["bars"][i]).all()


def test_the_bars_before_are_those_of_the_seeds(steered):
    out, arrays, *_ = steered
    bars = _any_role().sample(6, seed=30)
    assert (arrays["before"] == bars).all()
    assert (quantise(read_midi(out / "before-001.mid"), GM12).bars == bars[0]).all()


def test_the_report_agrees_with_the_bars(steered):
    _, arrays, report, printed = steered
    assert list(report) == ["targets", "tolerance", "calls", "success", "n", "sentence", "episodes"]
    assert report["targets"] == {"density": 16, "syncopation": 5}
    assert report["tolerance"] == {"density": 1, "syncopation": 1}
    assert report["n"] == len(report["episodes"]) == 6
    assert report["sentence"] == printed.splitlines()[0]
    assert report["success"] == sum(episode["success"] for episode in report["episodes"])
    assert 0 < report["success"] < 6  # some are, some are not
    bars, starts = arrays["bars"], _any_role().sample(6, seed=30)
    for i, episode in enumerate(report["episodes"]):
        assert episode["seed"] == 30 + i
        for when, bar in (("before", starts[i : i + 1]), ("after", bars[i : i + 1])):
            assert episode[when] == {"density": density(bar, GM12), "syncopation": syncopation(bar, GM12)}
        gaps = abs(episode["after"]["density"] - 16), abs(episode["after"]["syncopation"] - 5)
        assert episode["success"] == (max(gaps) <= 1) == (episode["terms"]["success"] == 1)
        match = 0.5 * np.exp(-sum(gaps) / 4) + 0.5 * episode["success"]
        assert episode["terms"]["match"] == pytest.approx(match, abs=1e-5)
        assert set(episode["terms"]) == {"match", "success", "realism", "likelihood", "score"}
        assert 1 <= episode["found_at_call"] <= episode["calls"] <= 6
        path = arrays["path"][i]
        assert np.isnan(path).any(1).tolist() == [call >= episode["calls"] for call in range(6)]
        assert path[episode["found_at_call"] - 1].tolist() == list(episode["after"].values())


def test_fewer_bars_leave_no_file_of_more(steered, tmp_path):
    _steer(tmp_path, "--density", 16, "--syncopation", 5, "--n", 6, "--calls", 6, "--seed", 30)
    for name in ("after-001.mid", "before-006.mid", "steered.npz"):  # in a process or in this one
        assert (tmp_path / name).read_bytes() == (steered[0] / name).read_bytes(), name
    (tmp_path / "after-party.mid").write_text("mine")
    _steer(tmp_path, "--density", 16, "--syncopation", 5, "--n", 2, "--calls", 6, "--seed", 31)
    names = {"after-001.mid", "after-002.mid", "before-001.mid", "before-002.mid"}
    assert {path.name for path in tmp_path.glob("*.mid")} == names | {"after-party.mid"}
    with np.load(tmp_path / "steered.npz") as saved:
        assert (saved["bars"] == steered[1]["bars"][1:3]).all()
    assert json.loads((tmp_path / "report.json").read_text())["n"] == 2


def test_percentiles_become_the_values_of_real_bars(tmp_path, capsys):
    _steer(tmp_path, "--percentile", "--density", 80, "--target", "syncopation = 20", "--n", 2, "--calls", 3)
    reference = load_reference()
    targets = json.loads((tmp_path / "report.json").read_text())["targets"]
    assert targets == {"density": reference.value("density", 80), "syncopation": reference.value("syncopation", 20)}
    assert f"{tmp_path}: before-001.mid …, after-001.mid …, steered.npz, steered.png" in capsys.readouterr().out


def test_percentiles_are_those_of_the_weights(refused, tmp_path):
    """Of the reference in their folder; where there is none, no other one is taken."""
    shutil.copy(bundled("gan.safetensors"), tmp_path)
    weights = ("--weights", tmp_path / "gan.safetensors")
    refused("steer", "--percentile", "--density", 80, *weights, says="have no reference to take percentiles from")
    reference = load_reference()
    doubled = replace(reference, quantiles={name: 2 * values for name, values in reference.quantiles.items()})
    save_reference(tmp_path / "reference.safetensors", doubled)
    _steer(tmp_path / "s", "--percentile", "--density", 50, "--n", 1, "--calls", 1, *weights)
    targets = json.loads((tmp_path / "s" / "report.json").read_text())["targets"]
    assert targets == {"density": 2 * reference.value("density", 50)}


def test_one_feature_alone_and_its_tempo(tmp_path):
    _steer(tmp_path, "--target", "density=12", "--n", 3, "--bpm", 90, "--realism", 0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["targets"] == {"density": 12}
    assert all(abs(episode["after"]["density"] - 12) <= 1 for episode in report["episodes"] if episode["success"])
    song = pretty_midi.PrettyMIDI(str(tmp_path / "after-001.mid"))
    assert song.get_tempo_changes()[1][0] == pytest.approx(90, abs=1e-3)


def test_all_episodes_begin_at_the_bar_of_a_seed(tmp_path):
    _steer(tmp_path, "--density", 20, "--n", 3, "--calls", 8, "--seed", 5, "--from-seed", 77)
    episodes = json.loads((tmp_path / "report.json").read_text())["episodes"]
    bar = _any_role().sample(1, seed=77)
    expected = {"density": density(bar, GM12), "syncopation": syncopation(bar, GM12)}
    assert [episode["before"] for episode in episodes] == [expected] * 3
    assert [episode["seed"] for episode in episodes] == [5, 6, 7]


def test_episodes_begin_at_the_bars_of_a_loop_each_in_turn(tmp_path):
    bars = _textbook([3, 12])
    write_midi(tmp_path / "loop.mid", bars)
    _steer(tmp_path / "one", "--density", 20, "--n", 3, "--calls", 1, "--from-midi", tmp_path / "loop.mid")
    with np.load(tmp_path / "one" / "steered.npz") as saved:
        assert (saved["bars"] == bars[[0, 1, 0]]).all()
        assert (saved["before"] == bars[[0, 1, 0]]).all()
    assert (quantise(read_midi(tmp_path / "one" / "before-002.mid"), GM12).bars == bars[1]).all()
    _steer(tmp_path / "many", "--density", 20, "--n", 3, "--calls", 16, "--from-midi", tmp_path / "loop.mid")
    report = json.loads((tmp_path / "many" / "report.json").read_text())
    assert [episode["before"]["density"] for episode in report["episodes"]] == density(bars[[0, 1, 0]], GM12).tolist()
    assert report["success"] >= 2


def test_a_steered_loop_keeps_its_playing_and_its_tempo(tmp_path):
    """Cells that stay have the velocities and the offsets of the loop, new ones accents."""
    bars = _textbook([3, 12])
    played = Performance.of(bars, GM12, np.random.default_rng(4).integers(1, 76, bars.shape), np.array(0.3))
    write_midi(tmp_path / "loop.mid", played, bpm=83)
    _steer(tmp_path / "s", "--density", 20, "--n", 3, "--calls", 16, "--from-midi", tmp_path / "loop.mid")
    with np.load(tmp_path / "s" / "steered.npz") as saved:
        after = saved["bars"]
    for i in range(3):
        before, own = read_midi(tmp_path / "s" / f"before-00{i + 1}.mid"), played[i % 2 : i % 2 + 1]
        assert before.bpm == pytest.approx(83, abs=1e-3)
        assert (quantise(before, GM12).velocities == own.velocities).all()
        np.testing.assert_allclose(quantise(before, GM12).offsets, own.offsets, atol=1e-6)
        heard = quantise(read_midi(tmp_path / "s" / f"after-00{i + 1}.mid"), GM12)
        expected = own.with_bars(after[i : i + 1])
        assert (heard.velocities == expected.velocities).all()
        np.testing.assert_allclose(heard.offsets[heard.bars & own.bars], 0.3, atol=1e-6)
        assert set(heard.offsets[heard.bars].round(3).tolist()) <= {0.0, np.float32(0.3).round(3).item()}
        assert (expected.offsets > 0).any()
        assert (expected.velocities >= 76).any()
    _steer(tmp_path / "t", "--density", 20, "--n", 1, "--bpm", 140, "--from-midi", tmp_path / "loop.mid")
    assert read_midi(tmp_path / "t" / "after-001.mid").bpm == pytest.approx(140, abs=1e-3)
    _steer(tmp_path / "u", "--density", 20, "--n", 1, "--from-seed", 3)
    assert read_midi(tmp_path / "u" / "after-001.mid").bpm == 120


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
        (("--density", "nan"), "density"),
        (("--density", "inf"), "density"),
        (("--density", "-3"), "density"),
        (("--syncopation", "-0.1"), "syncopation"),
        (("--target", "loudness=3"), "'loudness'"),
        (("--target", "swing=3"), "swing lies between"),
        (("--swing", ".6", "--target", "sixteenth swing=.6"), "two targets are given for sixteenth swing"),
        (("--target", "density"), "--target"),
        (("--target", "density=many"), "--target"),
        (("--density", "5", "--calls", "5000"), "5000"),
        (("--density", "5", "--n", "2000000"), "2000000"),
        (("--density", "5", "--realism", "1.5"), "realism"),
        (("--density", "5", "--realism", "nan"), "realism"),
        (("--density", "5", "--seed", "-1"), "seeds"),
        (("--density", "5", "--from-seed", "-1"), "seeds"),
        (("--density", "5", "--from-seed", str(2**63)), "seeds"),
        (("--percentile", "--density", "101"), "percentiles"),
        (("--percentile", "--density", "nan"), "percentiles"),
        (("--percentile", "--target", "loudness=50"), "loudness"),
        (("--percentile", "--target", "swing=101"), "percentiles"),
        (("--percentile",), "a target is needed"),
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
    (tmp_path / "file").write_text("mine")
    assert main(["steer", "--density", "5", "--n", "1", "--calls", "1", "--out", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments", [("--n", "0"), ("--calls", "0"), ("--n", "x"), ("--density", "x"), ("--from-seed", "1.5")]
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
    assert done.stderr.startswith("rl-tuner: a target of density is a number from 0 to")
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
        "for command in ([], ['train'], ['steer'], ['evaluate'], ['sweep']):\n"
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


def test_only_the_first_episodes_are_pictured(tmp_path, monkeypatch):
    shown = []
    real = draw.bars_to_image
    monkeypatch.setattr(draw, "bars_to_image", lambda bars, *a, **k: shown.append((bars, k)) or real(bars, *a, **k))
    _steer(tmp_path, "--density", 60, "--n", 40, "--calls", 1)
    ((bars, options),) = shown
    assert len(bars) == len(options["titles"]) == 64
    assert all(title.startswith(("before: ", "after: ")[i % 2]) for i, title in enumerate(options["titles"]))
    assert all("(not reached)" in title for title in options["titles"][1::2])
    assert len(list(tmp_path.glob("after-*.mid"))) == 40
