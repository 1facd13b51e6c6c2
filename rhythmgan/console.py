"""What both command lines share: errors as one line, options, a progress bar."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rhythmgan.export import FORMATS
from rhythmgan.playback import Playback

if TYPE_CHECKING:
    from rhythmgan.kit import Kit


def run_command(name: str, command: Callable[[], None], resumes: bool) -> int:
    """Run a command; what goes wrong is one line on stderr that begins with ``name``, and status 2.

    Args:
        name: of the program.
        command: what to run.
        resumes: whether the same call goes on after Ctrl-C.
    """
    try:
        command()
    except KeyboardInterrupt:
        print("\nstopped" + ("; the same command goes on from here" if resumes else ""), file=sys.stderr)
        return 130
    except MemoryError:
        print(f"{name}: not enough memory for that", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # whoever read our output has seen enough; keep the interpreter from complaining at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"{name}: {place}{error.strerror or error}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0


def positive(text: str) -> int:
    """An option's whole number from 1 on."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def add_output_options(parser: argparse.ArgumentParser, formats: Sequence[str], bpm: str = f"{Playback.bpm:g}") -> None:
    """What every command that writes bars takes: their formats, how they are played, and their kit and weights."""
    parser.add_argument(
        "--format", metavar="NAMES", help=f"some of {','.join(FORMATS)}, with commas ({','.join(formats)})"
    )
    parser.add_argument("--bpm", type=float, metavar="X", help=f"tempo of MIDI and WAV files ({bpm})")
    parser.add_argument(
        "--swing",
        type=float,
        metavar="X",
        help="of MIDI and WAV files, .5 to .7: where in its eighth the second sixteenth lies; .5 is straight, .667 a "
        f"shuffle ({Playback.swing:g})",
    )
    parser.add_argument("--kit", help="fold the bars into a smaller kit: rythmgan7, jaki5")
    parser.add_argument(
        "--weights", metavar="FILE", help="a .safetensors file that `train gan` wrote (the bundled one)"
    )


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given; the others keep the default of the function that they belong to."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def formats_given(options: argparse.Namespace) -> dict[str, Any]:
    """``formats`` where ``--format`` was given."""
    return {"formats": tuple(options.format.split(","))} if options.format is not None else {}


def output_given(options: argparse.Namespace, kit: Kit, loop: Playback | None = None) -> dict[str, Any]:
    """How bars are played and what they are folded into, as the arguments ``playback`` and ``kit``.

    Args:
        options: of ``add_output_options``.
        kit: of the bars, which is kept unless another one is given.
        loop: how the loop is played back that was read, which is kept unless something else is given.
    """
    from dataclasses import replace

    from rhythmgan.kit import kit_named

    playback = replace(loop or Playback(), **given(options, "bpm", "swing"))
    return {"playback": playback, "kit": kit_named(options.kit) if options.kit else kit}


def file_names(files: Mapping[str, Sequence[str]]) -> str:
    """Names of files by format in a line; of files that are numbered the first: ``loop.mid, variation-001.mid …``."""
    shown: dict[str, str] = {}
    for name in (name for names in files.values() for name in names):
        family = re.sub(r"\d+", "", name)
        shown[family] = f"{shown[family].removesuffix(' …')} …" if family in shown else name
    return ", ".join(shown.values())


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr, as a function of (done, in all[, of what]); there is none before its first call."""
    from tqdm import tqdm

    bar: tqdm | None = None

    def tell(done: int, total: int, what: str = "") -> None:
        nonlocal bar
        if bar is None or done < bar.n:
            if bar is not None:
                bar.close()
            # a resumed run has not done what lies behind it in no time
            behind = max(done - 1, 0) if unit == "step" else 0
            bar = tqdm(total=total, initial=behind, unit=unit, file=sys.stderr, dynamic_ncols=True)
        bar.set_description(what, refresh=False)
        bar.update(done - bar.n)

    try:
        yield tell
    finally:
        if bar is not None:
            bar.close()
