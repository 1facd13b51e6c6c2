"""What both command lines share: options and their help, one JSON document, exit statuses, what a terminal shows."""

import argparse
import errno
import io
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import run

import rhythmgan
import rhythmgan.cli
import rl_tuner.cli
from rhythmgan import console
from rhythmgan.bars import bars_to_words, fold_bars
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.evaluate import QUICK, EvaluationConfig
from rhythmgan.export import FORMATS
from rhythmgan.generate.config import FillConfig, PathConfig, SampleConfig, VariationConfig
from rhythmgan.kit import GM9, GM12, JAKI5, KITS
from rhythmgan.load import load_bars
from rhythmgan.midi import write_midi
from rhythmgan.models.config import AnswerConfig, GANConfig, PhraseGANConfig, WordLSTMConfig
from rhythmgan.models.gan import load_gan
from rhythmgan.playback import Playback
from rhythmgan.training.config import (
    AnswerTrainingConfig,
    GANTrainingConfig,
    PhraseGANTrainingConfig,
    PriorTrainingConfig,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def _commands(parser, path=()):
    """(words, parser) of every command."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield " ".join(path), parser
    for action in inner:
        for name, each in action.choices.items():
            yield from _commands(each, (*path, name))


RHYTHMGAN, RL_TUNER = (dict(_commands(cli._parser())) for cli in (rhythmgan.cli, rl_tuner.cli))
EVERY = {f"{program} {name}": parser for program, commands in (("rhythmgan", RHYTHMGAN), ("rl-tuner", RL_TUNER))
         for name, parser in commands.items()}  # fmt: skip


def _options(parser):
    """Name → action of every option but --help."""
    return {action.option_strings[-1]: action for action in parser._actions if action.option_strings[1:] != ["--help"]
            and action.option_strings}  # fmt: skip


def _helped(parser, option):
    """What the help says of an option, as it is printed."""
    action = _options(parser)[option]
    return parser._get_formatter()._expand_help(action)


@pytest.mark.parametrize(
    ("command", "config", "names"),
    [
        ("sample", SampleConfig, ("n", "seed", "bars", "fill", "temperature", "min_onsets", "tries")),
        ("interpolate", PathConfig, ("frames", "mode")),
        ("vary", VariationConfig, ("n", "amount", "seed")),
        ("fill", partial(FillConfig, ()), ("n", "seed", "temperature")),
        (
            "train gan",
            GANTrainingConfig,
            ("pretrain_steps", "train_steps", "batch_size", "seed", "r1_gamma", "r2_gamma"),
        ),
        ("train gan", GANConfig, ("width",)),
        ("train prior", PriorTrainingConfig, ("train_steps", "batch_size", "seed")),
        ("train prior", WordLSTMConfig, ("width", "layers", "dropout")),
        ("train answer", AnswerTrainingConfig, ("train_steps", "batch_size", "seed")),
        ("train answer", AnswerConfig, ("given", "answer", "width", "layers", "dropout")),
        ("train rythmgan", PhraseGANTrainingConfig, ("pretrain_steps", "train_steps", "batch_size", "seed")),
        ("train rythmgan", PhraseGANConfig, ("bars", "width")),
        ("evaluate", EvaluationConfig, ("seed",)),
    ],
)
def test_help_says_the_defaults_that_the_dataclasses_have(command, config, names):
    parser = RHYTHMGAN[command]
    for name in names:
        option = f"--{name.replace('_', '-')}"
        assert _helped(parser, option).endswith(f"({getattr(config(), name)})")
        # and nothing is written twice: what is not given is left to the dataclass
        assert _options(parser)[option].default is None


def test_help_says_the_defaults_of_what_is_written():
    for command, config in (
        ("sample", SampleConfig),
        ("interpolate", PathConfig),
        ("vary", VariationConfig),
        ("fill", FillConfig),
    ):
        assert f"({','.join(config.formats)})" in _helped(RHYTHMGAN[command], "--format")
    for parser in (*(RHYTHMGAN[name] for name in ("sample", "interpolate")),):
        assert _helped(parser, "--bpm").endswith(f"({Playback().bpm:g})")
        assert _helped(parser, "--swing").endswith(f"({Playback().swing})")
    assert _helped(RHYTHMGAN["evaluate"], "--n").endswith(f"({EvaluationConfig().n}; {QUICK.n} with --quick)")


def test_help_names_what_there_is():
    for parser in (RHYTHMGAN["sample"], RL_TUNER["steer"]):
        assert f": {', '.join(KITS)} (" in _helped(parser, "--kit")
        assert f": {', '.join(FORMATS)} (" in _helped(parser, "--format")
    assert f": {', '.join(KITS)} (" in _helped(RHYTHMGAN["prepare"], "--kit")


@pytest.mark.parametrize("command", [name for name in EVERY if name.startswith("rhythmgan ")])
def test_every_default_is_said(command):
    """An option that need not be given says in brackets what happens then."""
    for name, action in _options(EVERY[command]).items():
        is_switch = isinstance(action, argparse._StoreTrueAction)
        says = re.search(r"\([^()]+\)", _helped(EVERY[command], name) or "")
        may_stay_away = name in ("--manifest", "--dropped", "--reference", "--z", "--seeds", "--loops")
        assert is_switch or action.required or may_stay_away or says, name
        assert not is_switch or action.default is False


WRITERS = {
    name: EVERY[name]
    for name in ("rhythmgan sample", "rhythmgan interpolate", "rhythmgan vary", "rhythmgan fill", "rl-tuner steer")
}
SHARED = ["--out", "--format", "--bpm", "--swing", "--kit", "--weights", "--prior", "--agent", "--device", "--devices",
          "--accelerator", "--precision", "--threads", "--quiet", "--json"]  # fmt: skip


@pytest.mark.parametrize("command", EVERY)
def test_shared_options_come_last_and_in_one_order(command):
    names = [name for name in _options(EVERY[command]) if name in SHARED]
    if command == "rhythmgan prepare":
        names.remove("--kit")  # which says what to read, and not what to write
    assert names == [name for name in SHARED if name in names]
    assert list(_options(EVERY[command]))[-len(names) :] == names or not names


def test_commands_that_write_bars_have_the_same_options():
    """The same in name, kind and words, but for the defaults."""
    for name in ("--out", "--format", "--bpm", "--swing", "--kit", "--weights", "--json"):
        actions = [_options(parser)[name] for parser in WRITERS.values()]
        assert len({(action.dest, action.type, action.metavar, type(action)) for action in actions}) == 1
        words = [re.sub(r"\([^()]*\)", "", _helped(parser, name)) for parser in WRITERS.values()]
        assert len(set(words)) == 1
    assert [_options(parser)["--out"].default for parser in WRITERS.values()] == [
        "samples",
        "path",
        "variations",
        "filled",
        "steered",
    ]


def test_options_of_one_name_are_of_one_kind_in_both_programs():
    kinds = {}
    for command, parser in EVERY.items():
        for name, action in _options(parser).items():
            if name in SHARED and name != "--out" and (command, name) != ("rhythmgan prepare", "--kit"):
                # agents train on one thread, models on as many as torch takes
                default = None if name == "--threads" else action.default
                kinds.setdefault(name, set()).add((action.type, action.metavar, type(action), default))
    assert all(len(kind) == 1 for kind in kinds.values()), kinds


@pytest.mark.parametrize("command", [name for name, parser in EVERY.items() if "--threads" in _options(parser)])
def test_threads_are_bounded_everywhere(command):
    """More than the system has end torch, and the program with it, without a word."""
    threads = _options(EVERY[command])["--threads"].type
    assert (threads("1"), threads("1024")) == (1, 1024)
    for number in ("0", "-1", "1025", "100000", "99999999999"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"must be at .* not {number}"):
            threads(number)


@pytest.mark.parametrize("program", ["rhythmgan", "rl_tuner"])
def test_help_of_every_command_imports_nothing_slow(program):
    commands = RHYTHMGAN if program == "rhythmgan" else RL_TUNER
    script = f"""
import contextlib, io, sys
from {program}.cli import main
for words in {[[], *(name.split() for name in commands)]!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([*words, "--help"])
print(sorted({{"torch", "numpy", "scipy", "symusic", "gymnasium", "PIL", "tqdm", "streamlit"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("program", ["rhythmgan", "rl_tuner"])
def test_programs_say_their_version_and_their_exit_statuses(program):
    name = program.replace("_", "-")
    done = subprocess.run([sys.executable, "-m", program, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{name} {rhythmgan.__version__}\n")
    done = subprocess.run([sys.executable, "-m", program, "--help"], capture_output=True, text=True)
    words = " ".join(done.stdout.split())
    for status in ("0 when all is done", "2 when an option", "130 when you stop it", "1 when rhythmgan itself"):
        assert status in words


# -- exit statuses --------------------------------------------------------------------------------


def _program(run, **defaults):
    parser = console.new_parser("prog", "1", "x")
    parser.set_defaults(run=run, **defaults)
    return parser


def _raise(error):
    def run(options):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError("no such bar"), 2, "prog: no such bar\n"),
        (FileNotFoundError(2, "No such file or directory", "x.mid"), 2, "prog: x.mid: No such file or directory\n"),
        (OSError("the disk is odd"), 2, "prog: the disk is odd\n"),
        (FileNotFoundError(2, "Not there", "no\nfile\x1b[2J"), 2, "prog: no\\nfile\\x1b[2J: Not there\n"),
        (ValueError("früh 鼓\u2028\u202e.mid: empty"), 2, "prog: früh 鼓\\u2028\\u202e.mid: empty\n"),
        (MemoryError(), 2, "prog: not enough memory for that\n"),
        (KeyboardInterrupt(), 130, "\nstopped\n"),
    ],
)
def test_what_goes_wrong_is_a_line_and_a_status(capsys, error, status, says):
    assert console.run_command(_program(_raise(error)), []) == status
    assert capsys.readouterr() == ("", says)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device here that is always full")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"),
    [("info", ""), ("info", "1"), ("info --json", ""), ("sample --help", ""), ("--version", "")],
)
def test_a_full_standard_output_is_named(arguments, unbuffered):
    """Not of help that is not gathered: argparse itself drops what it cannot write."""
    command, env = (
        [sys.executable, "-m", "rhythmgan", *arguments.split()],
        os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=env)
    said = f"rhythmgan: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert (done.returncode, done.stderr.decode()) == (2, said)


def test_more_than_a_full_standard_output_holds_back_is_named_too():
    """What is printed is gathered; a long text fails where it is printed."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no device here that is always full")
    script = """
from rhythmgan import console
parser = console.new_parser("prog", "1", "x")
parser.set_defaults(run=lambda options: print("x" * 100_000) or print("y"))
raise SystemExit(console.run_command(parser, []))
"""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.decode().count("\n")) == (2, 1)
    assert done.stderr.startswith(b"prog: standard output: ")


_STOPPED = """
import runpy, sys

program, where = sys.argv[1:]

class Stop:
    def find_spec(self, name, *_):
        if name == where:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
runpy.run_module(program, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("program", "where"),
    [
        ("rhythmgan", "argparse"),
        ("rhythmgan", "rhythmgan.console"),
        ("rhythmgan", "rhythmgan.commands.vary"),
        ("rl_tuner", "rhythmgan.console"),
        ("rl_tuner", "rl_tuner.commands.toggle"),
        ("rl_tuner", "rl_tuner.commands.models"),
    ],
)
def test_a_program_that_is_stopped_as_it_begins_says_so_in_a_line(program, where):
    """While it imports what it is made of, which takes a moment."""
    done = subprocess.run([sys.executable, "-c", _STOPPED, program, where], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nstopped\n")


def test_what_can_be_resumed_says_so(capsys):
    assert console.run_command(_program(_raise(KeyboardInterrupt()), resumes=True), []) == 130
    assert capsys.readouterr().err == "\nstopped; the same command resumes from here\n"
    resumable = {name for name, parser in EVERY.items() if parser.get_default("resumes")}
    assert resumable == {
        "rhythmgan sample",
        *(f"rhythmgan train {model}" for model in ("gan", "prior", "bar-lstm", "note-cnn", "answer")),
        *(f"rhythmgan train {model}" for model in ("rythmgan", "text-lstm")),
        "rl-tuner train",
        "rl-tuner toggle train",
    }


@pytest.mark.parametrize("seeds", ["9" * 5000 + "-1", "1-" + "0" * 5000, "x" * 5000])
def test_seeds_of_thousands_of_digits_are_refused_in_a_line(capsys, tmp_path, seeds):
    assert rhythmgan.cli.main(["interpolate", "--seeds", seeds, "--out", str(tmp_path / "p")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rhythmgan: --seeds takes whole numbers with a dash between them, like 3-17, not '")
    assert (said.count("\n"), len(said) < 200) == (1, True)


def test_a_bug_is_not_hidden():
    with pytest.raises(TypeError, match="bug"):
        console.run_command(_program(_raise(TypeError("bug"))), [])


# -- what is printed ------------------------------------------------------------------------------


def _run(*arguments, **options):
    return run(*arguments, text=False, **options)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_songs_whose_names_a_terminal_cannot_show_are_prepared(tmp_path, encoding):
    """The table, the progress bar and the warnings have other letters, and the work is done."""
    folder = tmp_path / "früh 鼓"
    folder.mkdir()
    bar = np.zeros((16, 9), bool)
    bar[::4, 0] = True
    write_midi(folder / "Schlag „é“ 鼓.mid", bar)
    (folder / "ßß 鼓.mid").write_text("no MIDI", encoding="utf-8")
    env = {"PYTHONIOENCODING": encoding}
    done = _run("prepare", folder, "--out", tmp_path / "鼓.npz", env=env)
    assert done.returncode == 0, done.stderr
    assert "1 unreadable" in done.stdout.decode(encoding)
    assert "?.npz: 1 bars of 1 songs" in done.stdout.decode(encoding)
    assert b"2/2" in done.stderr
    assert (tmp_path / "鼓.npz").exists()
    done = _run("info", folder / "ßß 鼓.mid", env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "unreadable: not a MIDI file" in done.stdout.decode(encoding)
    steered = _run(
        "steer", "--density", 12, "--n", 2, "--calls", 2, "--out", tmp_path / "s 鼓", module="rl_tuner", env=env
    )
    assert steered.returncode == 0, steered.stderr
    assert "density 12" in steered.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_terminal_that_lacks_letters_does_not_fail_what_is_done(tmp_path, encoding):
    folder = tmp_path / "früh…"
    done = _run("interpolate", "--seeds", "3-17", "--frames", 3, "--out", folder, env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert b"frame-000.mid ?" in done.stdout
    assert len(list(folder.glob("frame-*.mid"))) == 3
    for command in ([], ["sample"], ["demo"]):
        assert _run(*command, "--help", env={"PYTHONIOENCODING": encoding}).returncode == 0


def test_quiet_leaves_out_progress_and_pictures(tmp_path):
    loud = _run("sample", "--n", 2, "--out", tmp_path / "a")
    assert b"seed 0\n" in loud.stdout
    assert loud.stderr != b""
    done = _run("sample", "--n", 2, "--out", tmp_path / "b", "--quiet")
    assert done.stdout == f"2 bars in {tmp_path / 'b'}: seed-000000.mid\n".encode()
    assert done.stderr == b""
    # errors stay
    done = _run("sample", "--n", 0, "--quiet")
    assert (done.returncode, done.stderr) == (2, b"rhythmgan: at least one bar must be asked for, not 0\n")


def test_a_document_is_all_there_is_on_stdout(capsys):
    def run(options):
        print("chatter of a library")
        return {"x": float("nan"), "y": [1, (2.5, float("inf"))]}

    parser = _program(run)
    console.add_report_options(parser, json=True)
    assert console.run_command(parser, ["--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"x": None, "y": [1, [2.5, None]]}
    assert printed.err == "chatter of a library\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus of 200 made-up songs: a rock beat each, with onsets of its own added."""
    rng = np.random.default_rng(99)
    beat = np.zeros((16, 9), bool)
    beat[[0, 8], 0] = beat[[4, 12], 1] = beat[::2, 2] = True
    bars = np.repeat(beat[None], 1600, 0) | (rng.random((1600, 16, 9)) < 0.12)
    number = np.arange(1600, dtype=np.int32)
    names = tuple(f"song {i}" for i in range(200))
    path = tmp_path_factory.mktemp("corpus") / "corpus.npz"
    save_corpus(path, Corpus.of(bars_to_words(bars), number // 8, number // 8, number % 8, names, names, GM9))
    return path


def _document(capsys, *arguments, main=rhythmgan.cli.main):
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_sample_says_its_files_and_options(tmp_path, capsys):
    said = _document(capsys, "sample", "--n", 3, "--seed", 7, "--bpm", 99, "--format", "midi,csv", "--out", tmp_path)
    assert said["files"] == {
        "midi": ["seed-000007.mid", "seed-000008.mid", "seed-000009.mid"],
        "csv": ["seeds-000007-000009.csv"],
    }
    names = {name for names in said["files"].values() for name in names}
    assert {path.name for path in tmp_path.iterdir()} == names | {"sample.json"}
    assert (said["out"], said["n"], said["seed"], said["bpm"], said["kit"]) == (str(tmp_path), 3, 7, 99, "gm12")
    assert (said["tried"], said["were_there"], said["role"], said["where"]) == (3, 0, "groove", [])
    assert set(json.loads((tmp_path / "sample.json").read_text(encoding="utf-8"))) < set(said)


def test_the_note_of_samples_speaks_as_the_options_do(tmp_path, capsys):
    _document(capsys, "sample", "--n", 1, "--out", tmp_path)
    note = json.loads((tmp_path / "sample.json").read_text(encoding="utf-8"))
    assert {f"--{name}" for name in note} < set(_options(RHYTHMGAN["sample"]))


def test_paths_variations_and_steers_say_their_files(tmp_path, capsys):
    path = _document(capsys, "interpolate", "--seeds", "3-17", "--frames", 4, "--out", tmp_path / "p")
    assert (path["frames"], len(path["changed_cells"])) == (4, 3)
    loop = tmp_path / "p" / "frame-000.mid"
    varied = _document(capsys, "vary", loop, "--n", 2, "--out", tmp_path / "v", "--format", "wav")
    assert varied["files"] == {"wav": ["loop.wav", "variation-001.wav", "variation-002.wav"]}
    arguments = ("steer", "--density", 20, "--n", 2, "--calls", 3, "--out", tmp_path / "s", "--format", "midi,csv")
    steered = _document(capsys, *arguments, main=rl_tuner.cli.main)
    assert steered["files"]["csv"] == ["steered.csv"]
    assert (steered["n"], len(steered["bars"]), steered["asked"]) == (2, 2, {"density": "20", "calls": 3})
    for folder, said in (("p", path), ("v", varied), ("s", steered)):
        assert said["out"] == str(tmp_path / folder)
        names = {name for names in said["files"].values() for name in names}
        assert {each.name for each in (tmp_path / folder).iterdir()} == names | {".written"}


def test_what_is_measured_is_a_document(corpus, tmp_path, capsys):
    features = _document(capsys, "features", corpus, "--split", "train")
    bars, *_ = load_bars(corpus, split="train")
    assert (features["bars"], features["kit"], features["grid"]) == (len(bars), "gm9", 16)
    assert features["features"]["density"]["mean"] == pytest.approx(bars.sum((1, 2)).mean())
    assert list(features["features"]["density"]["percentiles"]) == ["5", "25", "50", "75", "95"]
    arguments = ("evaluate", "--data", corpus, "--quick", "--n", 100, "--baseline", "independent", "--quiet")
    report = _document(capsys, *arguments)
    for found in report["references"].values():
        assert [row["name"] for row in found["rows"]][2:] == ["independent cells"]
    info = _document(capsys, "info", corpus)
    assert (info["bars"], info["songs"], info["steps"]) == (1600, 200, 16)
    assert _document(capsys, "info")["config"]["width"] == load_gan().config.width


def test_the_benchmark_of_steering_is_a_document(corpus, tmp_path, capsys, monkeypatch):
    """What it prints of itself on the way goes to stderr; no run of it, which takes minutes."""
    from rl_tuner.benchmark import evaluators, protocol, report

    said = {"rows": [{"name": "agent", "success": {"pairs": [float("nan"), 50.0]}}]}
    monkeypatch.setattr(evaluators, "make_evaluators", lambda *a, log: log("training"))
    monkeypatch.setattr(protocol, "run", lambda *a, **options: print("chatter") or said)
    monkeypatch.setattr(report, "write_report", lambda found, out: [])
    arguments = ["evaluate", "--data", str(corpus), "--out", str(tmp_path), "--quick", "--json"]
    assert rl_tuner.cli.main(arguments) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"rows": [{"name": "agent", "success": {"pairs": [None, 50.0]}}]}
    assert printed.err == "training\nchatter\n"
    assert rl_tuner.cli.main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == "chatter\n"


def test_prepare_says_its_counts(tmp_path, capsys):
    rhythmgan.cli.main(["sample", "--n", "3", "--out", str(tmp_path / "s"), "--quiet"])
    (tmp_path / "s" / "broken.mid").write_bytes(b"")
    capsys.readouterr()
    said = _document(capsys, "prepare", tmp_path / "s", "--out", tmp_path / "c.npz", "--workers", 1)
    assert (said["bars"], said["songs"], said["kit"], {grid: each["bars"] for grid, each in said["grids"].items()}) == (
        3,
        3,
        "gm12",
        {"16": 3},
    )
    (source,) = said["sources"]
    assert (source["n_files"], source["n_files_with_bars"], source["none"]) == (4, 3, {"empty": 1})


# -- folders of samples are read ------------------------------------------------------------------


def test_a_folder_of_samples_is_read_exactly(tmp_path, capsys, caplog):
    """From its .npz files, each seed once; its MIDI files have no silent bars, and their kit is not known."""
    for n, seed in ((6, 10), (9, 12)):
        rhythmgan.cli.main(["sample", "--n", str(n), "--seed", str(seed), "--kit", "jaki5", "--format", "midi,npz",
                            "--out", str(tmp_path), "--quiet"])  # fmt: skip
    bars, song, kit = load_bars(tmp_path)
    np.testing.assert_array_equal(bars, fold_bars(load_gan().sample(11, seed=10), GM12, JAKI5))
    assert (song, kit) == (None, JAKI5)
    assert not caplog.records
    rhythmgan.cli.main(["sample", "--n", "2", "--seed", "50", "--kit", "jaki5", "--out", str(tmp_path), "--quiet"])
    assert len(load_bars(tmp_path)[0]) == 11
    assert caplog.messages == [f"{tmp_path}: read from its .npz files; 2 MIDI files of other bars are not read"]
    capsys.readouterr()
    assert _document(capsys, "features", tmp_path)["bars"] == 11


@pytest.mark.parametrize("formats", [None, "npz", "midi", "midi,npz,png,csv,features,json"])
@pytest.mark.parametrize(
    ("command", "n"),
    [
        (["rhythmgan", "sample", "--n", "5"], 5),
        (["rhythmgan", "sample", "--n", "5", "--unique", "--where", "density>12"], 5),
        (["rhythmgan", "sample", "--n", "3", "--bars", "4"], 12),
        (["rhythmgan", "interpolate", "--seeds", "3-17-40", "--frames", "4"], 7),
        (["rhythmgan", "vary", "LOOP", "--n", "3"], 8),
        (["rhythmgan", "fill", "LOOP", "--n", "3", "--lock", "kick"], 8),
        (["rl-tuner", "steer", "--density", "12", "--n", "3", "--calls", "4"], 3),
        (["rl-tuner", "steer", "--density", "12", "--n", "3", "--calls", "4", "--from-midi", "LOOP"], 6),
    ],
    ids=[
        "bars",
        "bars that fit",
        "phrases",
        "a path",
        "variations",
        "loops filled in",
        "steered bars",
        "a steered loop",
    ],
)
def test_a_folder_that_a_command_wrote_is_read_without_a_word(tmp_path, capsys, caplog, command, n, formats):
    """From its arrays where there are any, which are exact."""
    write_midi(tmp_path / "loop.mid", load_gan().sample(2, seed=1))
    program, *arguments = [str(tmp_path / "loop.mid") if word == "LOOP" else word for word in command]
    main = {"rhythmgan": rhythmgan.cli.main, "rl-tuner": rl_tuner.cli.main}[program]
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out), "--quiet", *(["--format", formats] if formats else [])]) == 0
    capsys.readouterr()
    said = _document(capsys, "features", out)
    assert not caplog.records
    if arrays := list(out.glob("*.npz")):
        with np.load(arrays[0]) as members:
            bars = members["bars"]
        assert said["bars"] == n == bars.size // (16 * 12)
        np.testing.assert_array_equal(load_bars(out)[0], bars.reshape(-1, 16, 12))
    else:
        assert said["bars"] > 0


def test_what_several_commands_wrote_into_a_folder_is_read(tmp_path, caplog):
    for arguments in (["sample", "--n", "4"], ["interpolate", "--seeds", "3-17", "--frames", "3"]):
        rhythmgan.cli.main([*arguments, "--format", "midi,npz", "--out", str(tmp_path), "--quiet"])
    assert len(load_bars(tmp_path)[0]) == 4 + 3
    assert not caplog.records
    rhythmgan.cli.main(
        ["interpolate", "--seeds", "3-17", "--kit", "jaki5", "--format", "npz", "--out", str(tmp_path), "--quiet"]
    )
    with pytest.raises(ValueError, match="bars of several kits or grids: name one of them"):
        load_bars(tmp_path)


def test_a_song_may_be_called_as_our_arrays_are(tmp_path, save_lpd):
    save_lpd("songs/path.npz", [(0, 36, 90), (24, 38, 80), (96, 36, 90)])
    save_lpd("songs/other.npz", [(0, 36, 90), (24, 42, 80)])
    bars, song, _ = load_bars(tmp_path / "songs")
    assert len(bars) == 3
    assert len(set(song.tolist())) == 2


def test_a_folder_of_samples_without_arrays_is_read_as_midi(tmp_path):
    rhythmgan.cli.main(["sample", "--n", "5", "--seed", "10", "--out", str(tmp_path), "--quiet"])
    bars, song, kit = load_bars(tmp_path)
    assert (len(bars), len(set(song.tolist())), kit) == (5, 5, GM12)


def test_arrays_without_their_seeds_are_refused(tmp_path):
    (tmp_path / "sample.json").write_text("{}", encoding="utf-8")
    np.savez(tmp_path / "seeds-000000-000001.npz", bars=np.ones((2, 16, 9), bool), seed=np.arange(3))
    with pytest.raises(ValueError, match="expected a seed for each of its 2 bars"):
        load_bars(tmp_path)


def test_evaluate_takes_a_folder_of_samples_without_a_warning(corpus, tmp_path, capsys):
    rhythmgan.cli.main(["sample", "--n", "120", "--format", "midi,npz", "--out", str(tmp_path), "--quiet"])
    capsys.readouterr()
    report = _document(capsys, "evaluate", tmp_path, "--data", corpus, "--quick", "--n", 100, "--baseline", "memoriser",
                       "--quiet")  # fmt: skip
    assert [row["name"] for row in report["references"]["distinct"]["rows"]][2] == str(tmp_path)
    assert capsys.readouterr().err == ""


# -- a progress bar -------------------------------------------------------------------------------


def test_a_quiet_progress_bar_shows_nothing(capsys):
    for quiet in (True, False):
        with console.progress_bar("bar", quiet) as progress:
            progress(1, 2)
        assert (capsys.readouterr().err == "") == quiet


def test_names_of_files_in_a_line():
    files = {"midi": ["path.mid", "frame-000.mid", "frame-001.mid"], "npz": ["path.npz"]}
    assert console.file_names(files) == "path.mid, frame-000.mid …, path.npz"
    assert console.file_names({"midi": ["a-001.mid", "b-001.mid", "a-002.mid", "a-003.mid", "b-002.mid"]}) == (
        "a-001.mid …, b-001.mid …"
    )


def test_streams_that_are_no_text_files_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert console.run_command(_program(lambda options: print("done")), []) == 0
    assert sys.stdout.getvalue() == "done\n"


def test_the_docs_name_every_exit_status():
    text = (Path(__file__).parent.parent / "docs" / "musician.md").read_text(encoding="utf-8")
    assert all(status in text for status in ("`0`", "`1`", "`2`", "`130`"))
