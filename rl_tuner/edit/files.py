"""A bar and what follows it as files: the seed, the LSTM's bar, and the tuned ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rhythmgan.export import DEFAULT_FORMATS, Loops, check_replaceable, export, files_written, formats_named
from rhythmgan.kit import JAKI5
from rhythmgan.performance import PLAIN, Performance, Playback
from rl_tuner.edit.agent import Continuation

REPORT = "report.json"
"""What each tuned bar came to."""

SEED, LSTM, TUNED = "seed", "lstm", "tuned"
"""Names of the files."""


def export_continuation(
    continuation: Continuation,
    out: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    playback: Playback = PLAIN,
    played: Performance | None = None,
    targets: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Write ``seed.mid``, ``lstm.mid`` and ``tuned.mid``, one bar each; of several tuned bars ``tuned-001.mid`` ….

    Args:
        continuation: what to write.
        out: a folder, created if missing. The files of an earlier call are replaced.
        formats: names of ``rhythmgan.export.FORMATS``.
        playback: tempo and swing of MIDI and WAV files.
        played: the given bar as it is played, (1, 16, 5): cells that stay keep their velocities and offsets. Metrical
            accents on the grid by default.
        targets: what was asked for, for the report.
        seed: of the first tuned bar, for the report.

    Returns:
        Name of each format → names of its files.

    Raises:
        ValueError: a format or a playback that does not fit.
        OSError: the folder cannot be written.
    """
    rows = formats_named(formats)
    n = len(continuation.tuned)
    own = Performance.of(continuation.first, JAKI5) if played is None else played
    following = own.with_bars(np.concatenate([continuation.lstm[None], continuation.tuned])[:, None])
    names = [SEED, LSTM, *([TUNED] if n == 1 else [f"{TUNED}-{number:03d}" for number in range(1, n + 1)])]
    performances = Performance.joined([own.as_several(), following])
    loops = Loops(names, performances, "name", names, names, {"bars": performances.bars[:, 0]})
    report = report_of(continuation, targets or {}, seed)
    notes = {REPORT: (json.dumps(report, indent=1) + "\n").encode()}
    replaced = [SEED, LSTM, TUNED, "continuation"]
    check_replaceable(out, replaced, [REPORT])
    export([loops], out, rows, playback, stem="continuation", replaced=replaced, notes=notes)
    return files_written(rows, names, "continuation")


def report_of(continuation: Continuation, targets: Mapping[str, float], seed: int) -> dict[str, Any]:
    """What was asked for, and what each tuned bar has of it."""
    return {
        "targets": dict(targets),
        "tuned": [
            {
                "seed": seed + row,
                "reached": bool(continuation.reached[row]),
                **{name: round(float(values[row]), 4) for name, values in continuation.values.items()},
            }
            for row in range(len(continuation.tuned))
        ],
    }
