"""Kill commands at random moments, and let pairs of them write into one folder: ``python tests/fuzz/kills.py``.

Each command is run whole first: what it writes then is what every later run of it has to write. A kill (SIGKILL or
SIGTERM, in turn) comes at a random moment, most of them while files are being written, into an empty folder or over the
files of an earlier call with other options. Then is looked for

* torn files: one that is none of those that a whole run of either call writes;
* mixed calls: files that only one call writes beside files that only the other writes;
* processes of the command that are still there ten seconds later;
* what is left behind once the same command has run to its end: parts of files, and locks;
* differences between that and the run that was not killed.

A pair are two calls with other options that begin together in one folder: one of them has it, whole; the other is
refused in a line, or has it afterwards.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

import valid

from rhythmgan.calls import WRITTEN
from rhythmgan.tensor_file import open_tensors

Files = dict[str, bytes]
"""What a folder holds: the bytes of each file by its path below it."""

_MARK = "RHYTHMGAN_KILLED"
"""A variable in the environment of all processes of a run, by which they are found."""

_PATIENCE = 10.0
"""Seconds that the processes of a command may take to end after it."""

_LONGEST = 600.0


@dataclass(frozen=True)
class Command:
    """A command that writes into a folder.

    Attributes:
        name: of it.
        line: its program and arguments; ``{in}`` is the folder of inputs, ``{out}`` the one that it writes into.
        other: what is said instead in another call: an argument and what replaces it.
        trains: whether it writes weights on its way too, and files that tell when they were written.
    """

    name: str
    line: str
    other: tuple[str, str]
    trains: bool = False

    def arguments(self, inputs: Path, out: Path, is_other: bool) -> list[str]:
        """The arguments of one of the two calls."""
        line = [part.replace("{in}", str(inputs)).replace("{out}", str(out)) for part in self.line.split()]
        if is_other:
            place = line.index(self.other[0]) + 1
            line[place] = self.other[1]
        return [sys.executable, "-m", *line]


def _is_result(name: str) -> bool:
    """Whether a file of a training is compared: its log and its checkpoint tell when they were written."""
    return not name.rpartition("/")[2].startswith("events.") and not name.endswith((".ckpt", ".csv"))


_SEED = ("--seed", "5")
_BPM = ("--bpm", "144")  # seeds are what a folder of samples may have more of

COMMANDS = (
    Command("prepare", "rhythmgan prepare {in}/songs --workers 2 --kit gm12 --out {out}/corpus.npz", ("--kit", "gm9")),
    Command("sample", "rhythmgan sample --n 150 --bpm 99 --format midi,npz,csv --out {out} --quiet", _BPM),
    Command("vary", "rhythmgan vary {in}/loop.mid --n 60 --seed 0 --out {out} --quiet", _SEED),
    Command("interpolate", "rhythmgan interpolate --seeds 1-2-3 --frames 60 --out {out} --quiet", ("--seeds", "4-5-6")),
    Command("steer", "rl_tuner steer --density 14 --n 12 --calls 4 --seed 0 --out {out}", _SEED),
    Command("fill", "rhythmgan fill {in}/loop.mid --lock kick --n 60 --seed 0 --out {out} --quiet", _SEED),
    Command("combine", "rhythmgan combine {in}/pack --any --n 4 --seed 0 --out {out} --quiet", _SEED),
    Command(
        "train gan",
        "rhythmgan train gan --data {in}/corpus.npz --width 8 --batch-size 16 --seed 0 --pretrain-steps 40 "
        "--train-steps 40 --denoiser-steps 40 --out {out} --quiet",
        _SEED,
        trains=True,
    ),
    Command(
        "rl-tuner train",
        "rl_tuner train --data {in}/corpus.npz --weights {in}/gan.safetensors --prior {in}/prior.safetensors --seed 0 "
        "--num-envs 32 --train-steps 4096 --width 8 --bars 400 --batch-size 256 --n-candidates 4 --n-changes 2 "
        "--out {out} --quiet",
        _SEED,
        trains=True,
    ),
)


def write_inputs(folder: Path) -> None:
    """Write what the commands read: songs, a loop, a pack, a corpus and tiny weights."""
    import torch

    from rhythmgan.corpus_file import save_corpus
    from rhythmgan.models.gan import GAN, GANConfig, save_gan
    from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, save_prior
    from rhythmgan.patterns import load_patterns

    songs, pack = folder / "songs", folder / "pack"
    songs.mkdir(parents=True)
    pack.mkdir()
    for number in range(1500):
        song = songs / f"song-{number:04d}"
        song.mkdir()
        (song / "one.mid").write_bytes(valid.midi()[number % 2])
    for name, data in zip(("Kick 1", "Kick 2", "Snare 1", "Snare 2", "Hat 1"), valid.pack() * 3, strict=False):
        (pack / f"{name}.mid").write_bytes(data)
    (folder / "loop.mid").write_bytes(valid.midi()[0])
    save_corpus(folder / "corpus.npz", load_patterns())
    torch.manual_seed(0)
    shape = GANConfig("gm9", width=8, discriminator_width=8, denoiser_width=8)
    save_gan(folder / "gan.safetensors", GAN(shape), valid.SAID)
    save_prior(folder / "prior.safetensors", WordLSTM(WordLSTMConfig("gm9", width=8, word_width=8)), valid.SAID)


# --- Looking at folders and processes -----------------------------------------------------------------


def read_folder(folder: Path) -> Files:
    """Every file below a folder, those that are being written too."""
    return {path.relative_to(folder).as_posix(): _bytes(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _bytes(path: Path) -> bytes:
    """The bytes of a file; of weights without how long they were trained."""
    data = path.read_bytes()
    if path.suffix != ".safetensors":
        return data
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"].pop("provenance", None)
    return json.dumps(header, sort_keys=True).encode() + data[8 + length :]


def is_unfinished(name: str) -> bool:
    """Whether a file is a part of one, a lock, or what ``prepare`` has read so far: none of what a command is for."""
    if name == WRITTEN:
        return False
    return any(part.startswith(".") or part.endswith((".part", ".parts")) for part in name.split("/"))


def torn(found: Files, calls: Sequence[Files]) -> list[str]:
    """The files under their own names that no whole run writes so."""
    named = {name: data for name, data in found.items() if not is_unfinished(name)}
    return [name for name, data in named.items() if all(call.get(name) != data for call in calls)]


def mixed(found: Files, one: Files, other: Files) -> list[str]:
    """A file that only the first call writes and one that only the other writes, where both are there."""
    of_one = [name for name, data in found.items() if one.get(name) == data != other.get(name)]
    of_other = [name for name, data in found.items() if other.get(name) == data != one.get(name)]
    return [of_one[0], of_other[0]] if of_one and of_other else []


def processes(mark: str) -> list[int]:
    """The processes that carry a mark in their environment, but for those that have ended already."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"{_MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class Run:
    """A call of a command that is under way."""

    def __init__(self, arguments: Sequence[str], mark: str) -> None:
        path = f"{valid.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environment = os.environ | {_MARK: mark, "PYTHONPATH": path}
        self.mark = mark
        self.began = time.monotonic()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as it runs
        self.process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=self._said)

    def end(self) -> tuple[int, str]:
        """Wait for its end: the exit status, and what it said on stderr."""
        try:
            status = self.process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        self._said.close()
        return status, said

    def left(self) -> list[int]:
        """The processes of it that do not end within ``_PATIENCE``."""
        until = time.monotonic() + _PATIENCE
        while (found := processes(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        for process in found:
            os.kill(process, signal.SIGKILL)
        return found


# --- Kills -------------------------------------------------------------------------------------------


@dataclass
class Reference:
    """What a command does when nothing comes between.

    Attributes:
        calls: what both of its calls write.
        replaces: whether the second may be run over the first.
        start: seconds until there is a first file.
        whole: seconds in all.
    """

    calls: tuple[Files, Files]
    replaces: bool
    start: float
    whole: float


def compared(command: Command, files: Files) -> Files:
    """The files of a folder that the command writes alike every time."""
    if not command.trains:
        return files
    return {name: _tensors(name, data) for name, data in files.items() if _is_result(name)}


def _tensors(name: str, data: bytes) -> bytes:
    """Of weights the bytes of their tensors: what stands before them tells how long the training took."""
    return data[8 + int.from_bytes(data[:8], "little") :] if name.endswith(".safetensors") else data


def _is_whole(weights: Path) -> bool:
    """Whether a file of weights has its checksum, from whatever step of the training it is."""
    try:
        with open_tensors(weights) as file:
            file.verify()
    except ValueError:
        return False
    return True


def run_whole(command: Command, inputs: Path, scratch: Path) -> Reference:
    """Run both calls of a command whole, and one over the other.

    Raises:
        RuntimeError: one of them fails.
    """
    calls = []
    start = whole = 0.0
    for is_other in (True, False):
        out = _empty(scratch / "whole")
        run = Run(command.arguments(inputs, out, is_other), "whole")
        start = _first_file(run, out)
        status, said = run.end()
        whole = time.monotonic() - run.began
        if status:
            raise RuntimeError(f"{command.name}: {said}")
        calls.append(compared(command, read_folder(out)))
    again = Run(command.arguments(inputs, scratch / "whole", True), "whole")
    status, _ = again.end()
    return Reference((calls[1], calls[0]), status == 0, min(start, whole), whole)


def _first_file(run: Run, out: Path) -> float:
    """Wait for the first file of a run, or its end; the seconds until then."""
    before = {path.name for path in out.iterdir()}
    while run.process.poll() is None and {path.name for path in out.iterdir()} <= before:
        time.sleep(0.002)
    return time.monotonic() - run.began


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@dataclass
class Killed:
    """What was found after a kill: names of files, and numbers of processes."""

    command: str
    how: str
    torn: list[str]
    mixed: list[str]
    processes: list[int]
    left_behind: list[str]
    differ: list[str]


def kill_once(
    command: Command, reference: Reference, inputs: Path, scratch: Path, random: Random, number: int
) -> Killed:
    """Kill a run once, look at what is there, run it to its end and look again."""
    call, other = reference.calls
    over = reference.replaces and random.random() < 0.4
    out = _empty(scratch / "out")
    if over:
        Run(command.arguments(inputs, out, True), "before").end()
    how = signal.SIGKILL if number % 2 else signal.SIGTERM
    run = Run(command.arguments(inputs, out, False), f"{os.getpid()}-{command.name}-{number}")
    if random.random() < 0.75:
        _first_file(run, out)
        moment = random.uniform(0, max(reference.whole - reference.start, 0.05))
    else:
        moment = random.uniform(0, reference.whole)
    time.sleep(moment)
    if run.process.poll() is None:
        os.kill(run.process.pid, how)
    run.end()
    left = run.left()
    found = compared(command, read_folder(out))
    broken = torn(found, (call, other) if over else (call,))
    if command.trains:
        broken = [name for name in broken if not (name.endswith(".safetensors") and _is_whole(out / name))]
    both = mixed(found, call, other) if over else []
    status, said = Run(command.arguments(inputs, out, False), "again").end()
    again = read_folder(out)
    behind = [name for name in again if is_unfinished(name)]
    done = {name: data for name, data in compared(command, again).items() if not is_unfinished(name)}
    differ = [f"exit status {status}: {said[-200:]}"] if status else _differences(done, call)
    moment_of = f"{how.name} after {moment:.3f} s{' over another call' if over else ''}"
    return Killed(command.name, moment_of, broken, both, left, behind, differ)


def _differences(found: Files, expected: Files) -> list[str]:
    """The names of files that are missing, too many or other ones."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


# --- Company -----------------------------------------------------------------------------------------


@dataclass
class Paired:
    """How two calls in one folder ended: ``one`` refused, ``both`` done one after the other; else what is wrong."""

    command: str
    outcome: str
    wrong: str = ""


def pair_once(
    command: Command, reference: Reference, inputs: Path, scratch: Path, random: Random, number: int
) -> Paired:
    """Start both calls of a command in one folder, a moment apart."""
    out = _empty(scratch / "out")
    first = random.random() < 0.5
    runs = [Run(command.arguments(inputs, out, first), f"{os.getpid()}-{command.name}-pair-{number}")]
    time.sleep(random.choice((0, 0, random.uniform(0, 0.2))))
    runs.append(Run(command.arguments(inputs, out, not first), f"{os.getpid()}-{command.name}-pair-{number}"))
    ends = [run.end() for run in runs]
    found = read_folder(out)
    behind = [name for name in found if is_unfinished(name)]
    done = compared(command, found)
    whole = [not _differences(done, reference.calls[int(is_other)]) for is_other in (first, not first)]
    statuses = [status for status, _ in ends]
    refused = [said for status, said in ends if status]
    wrong = ""
    if behind:
        wrong = f"left behind: {', '.join(behind)}"
    elif sorted(statuses) == [0, 2]:
        last = refused[0].splitlines()[-1:] or [""]
        if not whole[statuses.index(0)]:
            wrong = "the folder is not the winner's"
        elif "Traceback" in refused[0] or not last[0]:
            wrong = f"it is not refused in a line: {refused[0][-200:]}"
    elif statuses == [0, 0]:
        wrong = "" if any(whole) else "both succeed, and their files mix"
    else:
        wrong = f"exit statuses {statuses}: {' / '.join(said[-200:] for said in refused)}"
    outcome = "wrong" if wrong else "one" if sorted(statuses) == [0, 2] else "both"
    return Paired(command.name, outcome, wrong)


# --- The tables --------------------------------------------------------------------------------------


def kills_to_markdown(found: Iterable[Killed]) -> str:
    """A row for each command, and one for all: how many kills had each kind of consequence."""
    kinds = ("torn", "mixed", "processes", "left_behind", "differ")
    rows: dict[str, list[int]] = {}
    for killed in found:
        counts = [1, *(bool(getattr(killed, kind)) for kind in kinds)]
        rows[killed.command] = [sum(pair) for pair in zip(rows.get(killed.command, [0] * 6), counts, strict=True)]
    return _table(("command", "kills", "torn", "mixed", "processes left", "left behind", "differ"), rows)


def pairs_to_markdown(found: Iterable[Paired]) -> str:
    """A row for each command, and one for all: how pairs of calls ended."""
    outcomes = ("one", "both", "wrong")
    rows: dict[str, list[int]] = {}
    for paired in found:
        counts = [1, *(paired.outcome == outcome for outcome in outcomes)]
        rows[paired.command] = [sum(pair) for pair in zip(rows.get(paired.command, [0] * 4), counts, strict=True)]
    return _table(("command", "pairs", "one wins", "one after the other", "wrong"), rows)


def _table(header: Sequence[str], rows: Mapping[str, Sequence[int]]) -> str:
    total = [sum(column) for column in zip(*rows.values(), strict=True)]
    lines = [f"| {' | '.join(header)} |", "| --- |" + " ---: |" * (len(header) - 1)]
    lines += [f"| {name} | {' | '.join(map(str, counts))} |" for name, counts in {**rows, "**all**": total}.items()]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill and pair; the exit status is 1 where something was wrong."""
    names = ", ".join(command.name for command in COMMANDS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of all commands together (%(default)s)")
    parser.add_argument("--pairs", type=int, default=45, help="of all commands together (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="commands at a time (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--command", action="append", help=f"one of these, as often as you like (all): {names}")
    options = parser.parse_args(arguments)
    chosen = [command for command in COMMANDS if options.command is None or command.name in options.command]
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        scratch = Path(name)
        write_inputs(scratch / "in")

        def try_command(place: int) -> tuple[list[Killed], list[Paired]]:
            kills = len(range(place, options.kills, len(chosen)))
            pairs = len(range(place, options.pairs, len(chosen)))
            return _try(chosen[place], scratch, kills, pairs, options.seed)

        with ThreadPoolExecutor(options.workers) as pool:
            found = list(pool.map(try_command, range(len(chosen))))
    killed = [each for of_command, _ in found for each in of_command]
    paired = [each for _, of_command in found for each in of_command]
    if killed:
        print(kills_to_markdown(killed))
    if paired:
        print(f"\n{pairs_to_markdown(paired)}")
    bad = any(kill.torn or kill.mixed or kill.processes or kill.left_behind or kill.differ for kill in killed)
    return 1 if bad or any(pair.wrong for pair in paired) else 0


def _try(command: Command, scratch: Path, kills: int, pairs: int, seed: int) -> tuple[list[Killed], list[Paired]]:
    """Kill a command so many times, and let so many pairs of its calls begin together."""
    random, own = Random(f"{seed} {command.name}"), scratch / command.name.replace(" ", "-")
    reference = run_whole(command, scratch / "in", own)
    killed, paired = [], []
    for number in range(kills):
        killed.append(kill_once(command, reference, scratch / "in", own, random, number))
        _tell(killed[-1])
    for number in range(pairs):
        paired.append(pair_once(command, reference, scratch / "in", own, random, number))
        _tell(paired[-1])
    return killed, paired


def _tell(found: Killed | Paired) -> None:
    """Say how it went on stderr, so that nobody waits without knowing."""
    if isinstance(found, Paired):
        print(f"{found.command}: pair: {found.wrong or found.outcome}", file=sys.stderr, flush=True)
        return
    kinds = ("torn", "mixed", "processes", "left_behind", "differ")
    said = "; ".join(f"{kind}: {getattr(found, kind)[:3]}" for kind in kinds if getattr(found, kind))
    print(f"{found.command}: {found.how}: {said or 'as it should be'}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
