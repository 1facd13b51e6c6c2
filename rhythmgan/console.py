"""What both command lines share: errors as one line, options, a progress bar."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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
