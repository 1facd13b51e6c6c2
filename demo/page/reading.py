"""A visitor's MIDI file is read in a process of its own.

To read one is work for Python alone, and a file that is made for it takes seconds of it. In the server's process all
visitors would wait meanwhile, as the networks hand Python's lock over thousands of times; and what a file makes its
reader ask for would be the server's memory.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from page.loop import KIT
from rhythmgan.load import load_loop
from rhythmgan.performance import Performance

MAX_TRACKS = 256
"""Of a file: a song has twenty."""

MAX_BARS, MAX_ONSETS = 4096, 100_000
"""Of a file, on the grid: at 120 beats a minute more than two hours."""

MAX_SECONDS, MAX_WAIT = 20, 60
"""For a file: of a processor, of which the slowest of those that are not too large takes eight; and of waiting."""

MAX_MEMORY = 2 << 30
"""Bytes of addresses that the process may have, its libraries included; few of them are used."""

_REFUSED = 3
"""What the process exits with when it says why there are no bars."""


def read_apart(name: str, content: bytes, steps: int) -> tuple[Performance, float]:
    """The bars of a MIDI file in their order, as they are played, and its tempo.

    Args:
        name: of the file, without its ending, as every system takes it; it may say which part the file plays.
        content: its bytes.
        steps: the grid that it is read on.

    Raises:
        ValueError: no bars in it, too many, or it takes too long or too much to read it; in a line that names the file.
        OSError: the server has no room for it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.mid"
        path.write_bytes(content)
        command = [sys.executable, "-P", "-m", "page.reading", str(path), str(steps)]
        found = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        try:
            done = subprocess.run(
                command,
                env=os.environ | found | one_thread,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=MAX_WAIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ValueError(f"{path.name} takes more than {MAX_WAIT} seconds to read") from None
    if done.returncode == _REFUSED:
        raise ValueError(done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        raise ValueError(f"{path.name} cannot be read: it asks for too much")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as read:
        return Performance(read["bars"], read["velocities"], read["offsets"], KIT), float(read["bpm"])


def read(path: Path, steps: int) -> tuple[Performance, float]:
    """The bars of a file and its tempo, in this process; see ``read_apart``.

    Raises:
        ValueError: there are none, or too many.
    """
    n_tracks = path.read_bytes().count(b"MTrk")
    if n_tracks > MAX_TRACKS:
        raise ValueError(f"{path.name} has {n_tracks:,} tracks: a loop has at most {MAX_TRACKS}")
    try:
        loop, playback = load_loop(path, KIT, steps, max_bars=MAX_BARS)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from None
    n_onsets = int(loop.bars.sum())
    if n_onsets > MAX_ONSETS:
        raise ValueError(f"{path.name} has {n_onsets:,} onsets: a loop is of a file of at most {MAX_ONSETS:,}")
    return loop, playback.bpm


def _main(path: str, steps: str) -> None:
    """Write what is read as an .npz to the standard output, or why there is nothing."""
    if hasattr(os, "nice"):  # visitors who hear something go first
        os.nice(5)
    with suppress(ImportError, OSError, ValueError):  # not every system bounds it
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    try:
        loop, bpm = read(Path(path), int(steps))
    except ValueError as error:
        sys.stdout.buffer.write(str(error).encode("utf-8", "replace"))
        sys.exit(_REFUSED)
    buffer = io.BytesIO()
    np.savez(buffer, bars=loop.bars, velocities=loop.velocities, offsets=loop.offsets, bpm=bpm)
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    _main(*sys.argv[1:])
