"""What both command lines share: options, errors as one line, one JSON document, a progress bar."""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from rhythmgan.export import FORMATS, formats_named
from rhythmgan.inputs import one_line
from rhythmgan.kit import KITS
from rhythmgan.playback import Playback

if TYPE_CHECKING:
    import torch

    from rhythmgan.kit import Kit

_STATUS = (
    "Exit status: 0 when all is done; 2 when an option, an input file or the disk is at fault, with one line on stderr "
    "that names it; 130 when you stop it with Ctrl-C; 1 when rhythmgan itself is at fault: please report it."
)


# --- Running a command -------------------------------------------------------------------------------


def new_parser(name: str, version: str, description: str) -> argparse.ArgumentParser:
    """A parser of a program with ``--version``, whose help ends with the exit statuses."""
    parser = argparse.ArgumentParser(prog=name, description=description, epilog=_STATUS)
    parser.add_argument("--version", action="version", version=f"{name} {version}")
    return parser


def run_command(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse the arguments and run their command; what goes wrong is one line on stderr.

    A command is the parser's default ``run``: a function of the options that prints, and returns what ``--json``
    prints instead. A default ``resumes`` says that the same call goes on after Ctrl-C.

    Args:
        parser: of the program.
        arguments: those of the process by default.

    Returns:
        The exit status, see the help.
    """
    _prepare_streams()
    options = None
    try:
        named: Any = _NamedOutput(sys.stdout)
        with redirect_stdout(named):
            options = _parsed(parser, arguments)
            wants_json = getattr(options, "json", False)
            with redirect_stdout(sys.stderr) if wants_json else nullcontext():
                document = options.run(options)
            if wants_json:
                print(json.dumps(without_nan(document), indent=2, allow_nan=False))
            sys.stdout.flush()
    except KeyboardInterrupt:
        resumes = getattr(options, "resumes", False)
        print("\nstopped" + ("; the same command resumes from here" if resumes else ""), file=sys.stderr)
        return 130
    except BrokenPipeError:
        _drop_output()  # whoever read it has seen enough
        return 0
    except (MemoryError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.filename == _STDOUT:
            _drop_output()
        print(f"{parser.prog}: {_said(error)}", file=sys.stderr)
        return 2
    return 0


def _prepare_streams() -> None:
    """See that what a terminal cannot show fails no command that did the work."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        elif stream is None:  # closed by who called: what is said is lost, what is done is not
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as we run


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; what is printed instead of running a command, as help, is written before the program ends."""
    try:
        return parser.parse_args(arguments)
    except SystemExit:
        sys.stdout.flush()
        raise


_STDOUT = "standard output"


class _NamedOutput:
    """Standard output that says its name where it cannot be written, as on a full disk: the system does not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._naming():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._naming():
            self._stream.flush()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = error.filename or _STDOUT
            raise


def _drop_output() -> None:
    """Keep the interpreter from writing at its end what cannot be written, and from complaining of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _said(error: Exception) -> str:
    """What went wrong, in a line: names of files that it names may have line breaks."""
    if isinstance(error, MemoryError):
        return "not enough memory for that"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return one_line(f"{place}{error.strerror or error}")
    return one_line(str(error))


def without_nan(value: Any) -> Any:
    """The value with None for what is no number: JSON knows no NaN."""
    if isinstance(value, Mapping):
        return {name: without_nan(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --- Options -----------------------------------------------------------------------------------------
#
# In this order in every command, after those of its own. An option that is not given is None: its default belongs to
# the function or the dataclass that takes it, where the help reads it.


def positive(text: str) -> int:
    """An option's whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


MAX_THREADS = 1024
"""Of a process: more than any machine's CPUs, and few enough that the system has them. Without them torch crashes."""


def n_threads(text: str) -> int:
    """An option's number of threads.

    Raises:
        ArgumentTypeError: none, or more than there may be.
    """
    number = positive(text)
    if number > MAX_THREADS:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_THREADS:,}, not {number}")
    return number


def swing_or_percentile(text: str) -> float:
    """An option's swing: a number, or a percentile of Groove's with a % sign."""
    if not text.endswith("%"):
        return float(text)
    from rhythmgan.groove import swing_at

    percentile = float(text[:-1])
    try:
        return swing_at(percentile)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_field(parser: argparse.ArgumentParser, config: object, name: str, what: str) -> None:
    """An option for a field of a dataclass, or of an instance: its type and its default are read there."""
    default = getattr(config, name)
    kind = type(default)
    parser.add_argument(
        f"--{name.replace('_', '-')}", type=kind, metavar="N" if kind is int else "X", help=f"{what} ({default})"
    )


def add_output_options(
    parser: argparse.ArgumentParser,
    out: str,
    formats: Sequence[str],
    bpm: str = f"{Playback.bpm:g}",
    swing: str = f"{Playback.swing:g}",
    kit: str = "that of the weights",
) -> None:
    """Where bars are written, in which formats, how they are played, and in which kit.

    Args:
        parser: of a command that writes bars.
        out: the folder by default.
        formats: what is written by default.
        bpm: what the tempo is by default, in words.
        swing: what the swing is by default, in words.
        kit: what the kit is by default, in words, and whether several may be named; empty where it cannot be chosen.
    """
    parser.add_argument(
        "--out", default=out, metavar="DIR", help="folder to write to, created if missing (%(default)s)"
    )
    parser.add_argument(
        "--format",
        metavar="NAMES",
        help=f"formats to write, with commas between: {', '.join(FORMATS)} ({','.join(formats)}). midi and wav are a "
        "file for each loop; csv has a row for each onset: loop, bar, step, part, velocity, and offset in parts of a "
        "step; features has a row for each bar, and the features of it; json has the words of each bar, and the same "
        "onsets as notes",
    )
    parser.add_argument("--bpm", type=float, metavar="X", help=f"tempo of MIDI and WAV files ({bpm})")
    parser.add_argument(
        "--swing",
        type=swing_or_percentile,
        metavar="X",
        help="sixteenth swing of MIDI and WAV files, .5 to .7: where in its eighth the second sixteenth lies; .5 is "
        "straight, .667 a shuffle; or a percentile of what the drummers of Groove play: 80%% is more than four fifths "
        f"of it ({swing})",
    )
    if kit:
        parser.add_argument("--kit", metavar="NAME", help=f"kit to fold the bars into: {', '.join(KITS)} ({kit})")


_GRID = "steps of a bar: 16, or 12 for triplets and shuffles (16)"


def add_condition_options(parser: argparse.ArgumentParser, grid: str = _GRID) -> None:
    """What bars are asked for.

    Args:
        parser: of a command that asks for bars.
        grid: which grids there are, in words.
    """
    parser.add_argument(
        "--role",
        metavar="NAME",
        help="groove, variation or fill: bars that play this role in songs, as often as songs play them; any: of each "
        "song its distinct bars (groove)",
    )
    parser.add_argument(
        "--style", metavar="NAME", help="style of the songs, as funk; `rhythmgan info` lists them (any)"
    )
    add_grid_option(parser, grid)


def add_grid_option(parser: argparse.ArgumentParser, grid: str = _GRID) -> None:
    """How fine the grid of bars is.

    Args:
        parser: of a command that deals with bars.
        grid: which grids there are, in words.
    """
    parser.add_argument("--grid", type=positive, metavar="STEPS", help=grid)


def add_model_options(parser: argparse.ArgumentParser, prior: str | None = None, agent: bool = False) -> None:
    """Which weights are used.

    Args:
        parser: of a command that loads models.
        prior: what the prior is for, where there is one.
        agent: whether there is an agent.
    """
    parser.add_argument("--weights", metavar="FILE", help="weights of the GAN, a .safetensors file (the bundled ones)")
    if prior:
        parser.add_argument("--prior", metavar="FILE", help=f"weights of the prior, which {prior} (the bundled ones)")
    if agent:
        parser.add_argument("--agent", metavar="FILE", help="weights of the agent (the bundled ones)")


def add_machine_options(
    parser: argparse.ArgumentParser, devices: bool = False, device: bool = False, threads: int | None = None
) -> None:
    """What the command runs on.

    Args:
        parser: of a command that trains, measures or steers.
        devices: whether it may run on other devices than the CPU, and on several.
        device: whether it may run on another device than the CPU, but on one.
        threads: by default, where the results depend on them; otherwise they are torch's choice.
    """
    if device:
        parser.add_argument(
            "--device", default="cpu", metavar="NAME", help="what to compute on: cpu, cuda, cuda:1 or mps (%(default)s)"
        )
    if devices:
        parser.add_argument(
            "--devices", type=positive, default=1, metavar="N", help="GPUs, or processes on a CPU (%(default)s)"
        )
        parser.add_argument(
            "--accelerator",
            default="auto",
            choices=("auto", "cpu", "gpu", "mps"),
            help="kind of device (%(default)s)",
        )
        parser.add_argument(
            "--precision",
            default="32-true",
            choices=("32-true", "bf16-mixed"),
            help="kind of numbers to compute with (%(default)s)",
        )
    choice = "torch's choice" if threads is None else f"{threads}; the same seed and threads give the same"
    parser.add_argument(
        "--threads", type=n_threads, default=threads, metavar="N", help=f"CPU threads of each process ({choice})"
    )


def add_report_options(parser: argparse.ArgumentParser, json: bool = False) -> None:
    """What is printed.

    Args:
        parser: of a command.
        json: whether there is something for a script to read.
    """
    parser.add_argument("--quiet", action="store_true", help="no progress, and no bars drawn in the terminal")
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else, to stdout")


# --- Reading options ---------------------------------------------------------------------------------


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given; the others keep the default of the function or dataclass that they belong to."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def formats_given(options: argparse.Namespace) -> dict[str, Any]:
    """``formats`` where ``--format`` was given.

    Raises:
        ValueError: a name that is none.
    """
    return (
        {}
        if options.format is None
        else {"formats": tuple(form.name for form in formats_named(options.format.split(",")))}
    )


def device_given(options: argparse.Namespace) -> torch.device:
    """The device of ``--device``.

    Raises:
        ValueError: a name that is none, or a device that this machine or its PyTorch has not.
    """
    import torch

    try:
        device = torch.device(options.device)
        if device.type not in ("cpu", "cuda", "mps", "xpu"):
            raise ValueError
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError, ValueError):
        raise ValueError(f"--device {options.device}: there is no such device here; cpu always works") from None
    return device


def output_given(options: argparse.Namespace, kit: Kit, loop: Playback | None = None) -> dict[str, Any]:
    """How bars are played and what they are folded into, as the arguments ``playback`` and ``kit``.

    Args:
        options: of ``add_output_options``.
        kit: of the bars, which is kept unless another one is given.
        loop: how the loop is played back that was read, which is kept unless something else is given.
    """
    from rhythmgan.kit import kit_named

    playback = replace(loop or Playback(), **given(options, "bpm", "swing"))
    return {"playback": playback, "kit": kit_named(options.kit) if options.kit else kit}


def loop_output_given(options: argparse.Namespace, kit: Kit, loop: Playback) -> dict[str, Any]:
    """The same for bars whose swing is in their offsets: playing them back adds none to it.

    Raises:
        ValueError: a tempo or a swing out of range.
    """
    output = output_given(options, kit, loop)
    return output | {"playback": replace(output["playback"], swing=Playback.swing)}


# --- Printing ----------------------------------------------------------------------------------------


def file_names(files: Mapping[str, Sequence[str]]) -> str:
    """Names of files by format in a line; of files that are numbered the first: ``loop.mid, variation-001.mid …``."""
    shown: dict[str, str] = {}
    for name in (name for names in files.values() for name in names):
        family = re.sub(r"\d+", "", name)
        shown[family] = f"{shown[family].removesuffix(' …')} …" if family in shown else name
    return ", ".join(shown.values())


@contextmanager
def progress_bar(unit: str, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr, as a function of (done, in all[, of what]).

    Args:
        unit: what is counted.
        quiet: whether nothing is shown.
    """
    from tqdm import tqdm

    bar: tqdm | None = None

    def show(done: int, total: int, what: str = "") -> None:
        nonlocal bar
        if quiet:
            return
        if bar is None or done < bar.n:
            if bar is not None:
                bar.close()
            # a resumed run has not done what lies behind it in no time
            behind = max(done - 1, 0) if unit == "step" else 0
            bar = tqdm(total=total, initial=behind, unit=unit, file=sys.stderr, dynamic_ncols=True)
        bar.set_description(what, refresh=False)
        bar.update(done - bar.n)

    try:
        yield show
    finally:
        if bar is not None:
            bar.close()
