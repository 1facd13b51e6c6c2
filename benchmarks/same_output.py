"""Whether two releases make the same bars, files and tables: what one makes is recorded, then compared.

    python benchmarks/same_output.py record OUT --package CHECKOUT SOURCE...
    python benchmarks/same_output.py compare BEFORE AFTER

SOURCES are folders of songs of your own, as `rhythmgan prepare` takes them. A stopped `record` goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PRINTED, ERRORS, NOTE = "printed.txt", "errors.txt", "item.json"
"""In every item's folder: what the command printed, its messages, and what made it."""

_BAR = (
    "0b101000000 0b000000000 0b001000000 0b000000000 0b011000000 0b000000000 0b001000000 0b100000000 "
    "0b001000000 0b000000000 0b101000000 0b000000000 0b011000000 0b000000000 0b001000000 0b010000000 BAR\n"
)
_FILL = (
    "0b100000001 0b000000000 0b001000000 0b000000000 0b011000000 0b000000000 0b001000000 0b000000000 "
    "0b100000000 0b000000000 0b010000000 0b010000000 0b000000100 0b000000100 0b000001000 0b000010000 BAR\n"
)
_LOOPS = {"text": _BAR + _FILL, "midi": _FILL + _BAR + _BAR}
_PITCHES = (36, 38, 42, 46, 43, 47, 50, 51, 49)
"""General MIDI's keys of the parts, from a word's left."""


# --- Record ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One call of a release.

    Attributes:
        name: of its folder.
        command: module and arguments; ``{out}`` stands for the item's folder, ``{bars}`` for the prepared songs' file.
        formats: what to write, where the release lets one choose.
    """

    name: str
    command: tuple[str, ...]
    formats: str = ""


def items(loops: dict[str, Path], sources: Sequence[str]) -> list[Item]:
    """Everything that is recorded, the slowest last."""

    def sample(name: str, formats: str, *options: str) -> Item:
        return Item(name, ("rhythmgan", "sample", *options, "--out", "{out}/files", "--format", formats))

    def path(name: str, first: int, legs: int, *options: str) -> Item:
        seeds = "-".join(map(str, range(first, first + legs + 1)))
        command = ("rhythmgan", "interpolate", "--seeds", seeds, *options, "--out", "{out}/files")
        return Item(name, command, "midi,npz")

    def vary(name: str, loop: Path, *options: str) -> Item:
        return Item(name, ("rhythmgan", "vary", str(loop), *options, "--out", "{out}/files"), "midi,npz")

    def steer(name: str, *options: str) -> Item:
        return Item(name, ("rl_tuner", "steer", *options, "--out", "{out}/files"), "midi,npz")

    return [
        sample("bars of 20,000 seeds", "npz", "--n", "20000"),
        sample("files of 1,000 seeds", "midi,wav", "--n", "1000"),
        sample("200 swung files", "midi,wav", "--n", "200", "--seed", "5000", "--swing", ".6", "--bpm", "94"),
        sample("phrases of 50 seeds", "midi,npz", "--n", "50", "--bars", "4"),
        sample("temperature .7", "midi,npz", "--n", "1000", "--temperature", ".7"),
        path("30 interpolations", 0, 30),
        path("10 interpolations through z", 100, 10, "--mode", "slerp"),
        path("10 straight interpolations", 200, 10, "--mode", "lerp"),
        vary("50 variations of a text", loops["text"], "--n", "50"),
        vary("50 variations of MIDI", loops["midi"], "--n", "50", "--amount", ".4", "--seed", "7"),
        steer("100 steers", "--density", "20", "--syncopation", "6", "--n", "100"),
        steer("100 steers by percentile", "--percentile", "--density", "80", "--syncopation", "60", "--n", "100"),
        steer("steers from a loop", "--from-midi", str(loops["midi"]), "--density", "14", "--syncopation", "4"),
        Item("prepare", ("rhythmgan", "prepare", *sources, "--out", "{out}/bars.npz")),
        Item("evaluate", ("rhythmgan", "evaluate", "--data", "{bars}", "--quick")),
        Item("rl-tuner evaluate", ("rl_tuner", "evaluate", "--data", "{bars}", "--out", "{out}/report", "--quick")),
    ]


def midi_of(text: str) -> bytes:
    """A MIDI file of bars of sixteenths in the text view, written here so that no release has a part in it."""
    ticks, length = 480, 60  # of a quarter and of a note
    events: list[tuple[int, bytes]] = [(0, b"\xff\x51\x03\x07\xa1\x20"), (0, b"\xff\x58\x04\x04\x02\x18\x08")]
    for step, word in enumerate(re.findall("0b([01]+)", text)):
        at = step * ticks // 4
        for pitch, bit in zip(_PITCHES, word, strict=True):
            if bit == "1":
                events += [(at, bytes((0x99, pitch, 100))), (at + length, bytes((0x89, pitch, 0)))]
    events.sort(key=lambda event: event[0])
    track, now = b"", 0
    for at, message in [*events, (events[-1][0], b"\xff\x2f\x00")]:
        wait, now = at - now, at
        track += (bytes((0x80 | wait >> 7, wait & 0x7F)) if wait > 0x7F else bytes((wait,))) + message
    head = b"MThd" + b"".join(n.to_bytes(size, "big") for n, size in ((6, 4), (0, 2), (1, 2), (ticks, 2)))
    return head + b"MTrk" + len(track).to_bytes(4, "big") + track


class Release:
    """A checkout, or what is installed: its commands, run on one thread."""

    def __init__(self, package: str, folder: Path) -> None:
        self.folder = folder
        # one thread: sums in another order are other sums
        self.env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        root = Path(package).resolve() if package else None
        if root:
            self.env["PYTHONPATH"] = str(root)
        code = "import rhythmgan, rl_tuner; print(rhythmgan.__file__, rl_tuner.__file__, sep='\\n')"
        places = [Path(line).parent for line in self._output("-c", code).splitlines()]
        if root and any(place.parent != root for place in places):
            raise SystemExit(f"not the code of {root} is run, but that of {', '.join(map(str, places))}")
        print(f"the code of {', '.join(map(str, places))}", file=sys.stderr)
        found = hashlib.sha256()
        for place in places:
            for path in sorted(place.rglob("*")):
                if path.suffix in (".py", ".safetensors"):
                    found.update(path.relative_to(place).as_posix().encode() + path.read_bytes())
        self.fingerprint = found.hexdigest()[:16]

    def _output(self, *arguments: str) -> str:
        # in a folder without packages: that of a module comes before all others
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def offers(self, module: str, command: str, option: str) -> bool:
        """Whether a command has an option, by its help."""
        return re.search(rf"{option}\b", self._output("-m", module, command, "--help")) is not None

    def run(self, command: Sequence[str], folder: Path) -> int:
        """Run a command; what it prints and its messages go into the folder. Its exit status."""
        with (
            open(folder / PRINTED, "w", encoding="utf-8") as printed,
            open(folder / ERRORS, "w", encoding="utf-8") as errors,
        ):
            return subprocess.run(
                [sys.executable, "-m", *command], cwd=self.folder, env=self.env, stdout=printed, stderr=errors
            ).returncode


def record(out: Path, package: str, sources: Sequence[str]) -> int:
    """Keep what a release makes, an item a folder; items that are there already are kept. The exit status."""
    out = out.resolve()
    (out / "loops").mkdir(parents=True, exist_ok=True)
    loops = {"text": out / "loops" / "loop.txt", "midi": out / "loops" / "loop.mid"}
    loops["text"].write_text(_LOOPS["text"], encoding="utf-8")
    loops["midi"].write_bytes(midi_of(_LOOPS["midi"]))
    release, failed = Release(package, out), []
    for item in items(loops, [str(Path(source).resolve()) for source in sources]):
        folder, part = out / item.name, out / f"{item.name}.part"
        if folder.exists():
            print(
                f"{item.name}: kept{'' if code_of(folder) == release.fingerprint else ', OF OTHER CODE'}",
                file=sys.stderr,
            )
            continue
        if part.exists() and code_of(part) != release.fingerprint:
            shutil.rmtree(part)
        part.mkdir(exist_ok=True)
        command = list(item.command)
        if item.formats and release.offers(command[0], command[1], "--format"):
            command += ["--format", item.formats]
        note = {"command": command, "code": release.fingerprint}
        (part / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        for name, path in (("{out}", part), ("{bars}", out / "prepare" / "bars.npz")):
            command = [word.replace(name, str(path)) for word in command]
        began = time.perf_counter()
        if release.run(command, part):
            print(f"{item.name}: FAILED\n{(part / ERRORS).read_text(encoding='utf-8')[-2000:]}", file=sys.stderr)
            failed.append(item.name)
            continue
        part.rename(folder)
        print(f"{item.name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return 1 if failed else 0


def code_of(folder: Path) -> str:
    """The fingerprint of the code that made an item."""
    note = folder / NOTE
    return str(json.loads(note.read_text(encoding="utf-8"))["code"]) if note.exists() else ""


# --- Compare -----------------------------------------------------------------------------------------


@dataclass
class Tally:
    """How much was compared, by kind, how much of it is equal, and what is not."""

    compared: dict[str, int] = field(default_factory=dict)
    equal: int = 0
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, same: Sequence[bool] | np.ndarray, names: Sequence[str] = ()) -> None:
        """Count things of a kind; the names, or else the numbers, tell which of them differ."""
        self.compared[kind] = self.compared.get(kind, 0) + len(same)
        self.equal += int(np.sum(same))
        self.differences += [names[i] if names else f"{kind} {i}" for i in range(len(same)) if not same[i]]

    def row(self, name: str) -> str:
        """A row of the table."""
        more = len(self.differences) - 3
        told = self.differences[:3] + ([f"{more:,} more"] if more > 0 else []) + self.notes
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in self.compared.items())
        n = sum(self.compared.values())
        return f"| {name} | {n:,} | {self.equal:,} | {kinds} | {'; '.join(told) or '–'} |"


def compare(before: Path, after: Path) -> int:
    """Print a table with a row for each item. The exit status: 1 where something differs or nothing was compared."""
    recorded = [
        {path.parent.name for path in folder.glob(f"*/{NOTE}") if path.parent.suffix != ".part"}
        for folder in (before, after)
    ]
    lines, differ = [], not any(recorded)
    for name in sorted(recorded[0] | recorded[1]):
        if name in recorded[0] & recorded[1]:
            tally = compare_items(before / name, after / name)
        else:
            tally = Tally(differences=[f"only in {before if name in recorded[0] else after}"])
        if not tally.compared and not tally.differences:
            tally.differences.append("nothing to compare")
        differ |= bool(tally.differences)
        lines.append(tally.row(name))
    print("| item | compared | equal | of these | differences |\n| --- | ---: | ---: | --- | --- |")
    print("\n".join(lines))
    for folder in (before, after):
        codes = {code_of(path.parent) for path in folder.glob(f"*/{NOTE}")}
        print(f"\n{folder}: code {', '.join(sorted(codes))}{', NOT ALL OF THE SAME CODE' if len(codes) > 1 else ''}")
    return int(differ)


def compare_items(before: Path, after: Path) -> Tally:
    """One item of both releases: arrays by content, MIDI and WAV by bytes, printed tables by their numbers."""
    tally = Tally()
    for one, other in pairs(before, after, "npz", tally):
        compare_npz(one, other, tally)
    for suffix, kind in (("mid", "MIDI files"), ("wav", "WAV files")):
        found = list(pairs(before, after, suffix, tally))
        same = [one.read_bytes() == other.read_bytes() for one, other in found]
        if found:
            tally.add(kind, same, [one.name for one, _ in found])
    compare_tables(
        tables((before / PRINTED).read_text(encoding="utf-8")),
        tables((after / PRINTED).read_text(encoding="utf-8")),
        tally,
    )
    return tally


def pairs(before: Path, after: Path, suffix: str, tally: Tally) -> Iterator[tuple[Path, Path]]:
    """Files that belong together: of one name, the others in the order of their names; left ones are told."""
    one, other = ({path.relative_to(root): path for path in root.rglob(f"*.{suffix}")} for root in (before, after))
    yield from ((one[name], other[name]) for name in sorted(one.keys() & other.keys()))
    left, right = sorted(one.keys() - other.keys()), sorted(other.keys() - one.keys())
    yield from ((one[a], other[b]) for a, b in zip(left, right, strict=False))
    n = min(len(left), len(right))
    if left[n:] or right[n:]:
        tally.differences += [f"files .{suffix} without a counterpart: {len(left[n:])} before, {len(right[n:])} after"]


def compare_npz(before: Path, after: Path, tally: Tally) -> None:
    """Members of one name row by row; those of other names where one of the others is equal to them."""
    with np.load(before, allow_pickle=False) as first, np.load(after, allow_pickle=False) as second:
        # the version of a file says nothing about its content
        one, other = ({name: file[name] for name in file.files if name != "format"} for file in (first, second))
    for name in list(one):
        if name in other:
            tally.add(name, equal_rows(one[name], other.pop(name)))
            continue
        renamed = next((new for new in other if new not in one and equal_rows(one[name], other[new]).all()), None)
        if renamed:
            tally.add(f"{name} (now {renamed})", equal_rows(one[name], other.pop(renamed)))
        elif name in ("bars", "words"):
            tally.differences.append(f"{name} of {before.name} are nowhere in {after.name}")
        else:
            tally.notes.append(f"only in {before.name} before: {name}")
    tally.notes += [f"only in {after.name} after: {name}" for name in other]


def equal_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which rows of two arrays are equal (n,) bool; none where the shapes differ. NaN is equal to NaN."""
    one, other = np.atleast_1d(one), np.atleast_1d(other)
    if one.shape != other.shape:
        return np.zeros(max(len(one), len(other)), bool)
    same: np.ndarray = np.asarray((one == other) | ((one != one) & (other != other)))
    return np.array(same.reshape(len(one), -1).all(1))


_TIMED_COLUMNS = ("ms", "equal time")
_TIMED_ROWS = ("amortised actor",)
"""What hangs on the clock: it learns for seconds, not for steps."""

_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[-+]?\.\d+")


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables of a text: rows of cells, the titles first."""
    found: list[list[list[str]]] = []
    last = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not last.startswith("|"):
                found.append([])
            if set(line) - set("|-: "):
                found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        last = line
    return found


def compare_tables(before: list[list[list[str]]], after: list[list[list[str]]], tally: Tally) -> None:
    """The numbers of tables, by place: titles and names may be others, what hangs on the clock does not count."""
    shapes = [[(len(table), len(table[0])) for table in found] for found in (before, after)]
    if shapes[0] != shapes[1]:
        tally.differences.append(f"tables of (rows, columns) {shapes[0]} became {shapes[1]}")
        return
    for one, other in zip(before, after, strict=True):
        timed = [any(title in _TIMED_COLUMNS for title in titles) for titles in zip(one[0], other[0], strict=True)]
        for row, new in zip(one[1:], other[1:], strict=True):
            if row[0] in _TIMED_ROWS or new[0] in _TIMED_ROWS:
                continue
            columns = [i for i in range(1, len(row)) if not timed[i] and (numbers(row[i]) or numbers(new[i]))]
            same = [numbers(row[i]) == numbers(new[i]) for i in columns]
            tally.add("cells", same, [f"{row[0]}, {one[0][i]}: {row[i]} became {new[i]}" for i in columns])


def numbers(cell: str) -> list[float]:
    """All numbers in a cell, in order."""
    return [float(number.replace(",", "")) for number in _NUMBER.findall(cell)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, dest="command", metavar="command")
    recording = commands.add_parser("record", help="keep what a release makes")
    recording.add_argument("out", type=Path, metavar="OUT", help="a folder; made where missing")
    recording.add_argument("sources", nargs="+", metavar="SOURCE", help="folders of songs, for the tables")
    recording.add_argument("--package", default="", metavar="CHECKOUT", help="folder of the release (the installed)")
    comparing = commands.add_parser("compare", help="say what differs")
    comparing.add_argument("before", type=Path, metavar="BEFORE", help="what was recorded of one release")
    comparing.add_argument("after", type=Path, metavar="AFTER", help="and of the other")
    options = parser.parse_args()
    if options.command == "record":
        return record(options.out, options.package, options.sources)
    return compare(options.before, options.after)


if __name__ == "__main__":
    sys.exit(main())
