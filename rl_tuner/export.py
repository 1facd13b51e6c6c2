"""What was steered, as files: each bar before and after, and a report."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rhythmgan.export import DEFAULT_FORMATS, Loops, OneFile, export, formats_named, is_played
from rhythmgan.kit import Kit
from rhythmgan.performance import PLAIN, Performance, Playback
from rl_tuner.steering import SWING_TOLERANCE, SteeringResult

REPORT = "report.json"
"""What each episode came to."""

_CHUNK = 1024
"""Episodes whose bars are performed at a time."""


def export_steered(
    steered: SteeringResult,
    out: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Write ``before-001.mid`` …, ``after-001.mid`` …, ``steered.npz``, ``steered.png`` … and ``report.json``.

    Args:
        steered: what to write.
        out: a folder, created if missing. The files of an earlier call are replaced.
        formats: names of ``rhythmgan.export.FORMATS``. The .npz file has ``bars`` and ``before`` (n, steps, parts),
            ``z``, ``z_before`` and ``path``; where they are not played with accents on the grid also ``velocities``
            and ``offsets`` of the bars, and ``velocities_before`` and ``offsets_before``.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the bars by default. The report is of the bars as they were steered.
        seed: of the first episode, for the report.

    Returns:
        Name of each format → names of its files.

    Raises:
        ValueError: a format or an option that does not fit.
        OSError: the folder cannot be written.
    """
    rows = formats_named(formats)
    n = len(steered.after)
    width = max(3, len(str(n)))
    keeps = bool(steered.swing) or (steered.played is not None and is_played(steered.played))

    def batches() -> Iterator[Loops]:
        for start in range(0, n, _CHUNK):
            places = np.arange(start, min(start + _CHUNK, n))
            before, after = (
                played.folded(kit or steered.kit)
                for played in (steered.performance_before(places), steered.performance(places))
            )
            names = [f"{name}-{i + 1:0{width}d}" for i in places.tolist() for name in ("before", "after")]
            yield Loops(
                names=names,
                performances=_in_turn(before, after).apart(),
                key="name",
                labels=names,
                titles=[title for i in places.tolist() for title in _titles(steered, i)],
                arrays=_arrays(steered, places, before, after, keeps),
                columns=2 if n < 4 else 4,
            )

    notes = {REPORT: (json.dumps(report(steered, seed), indent=1) + "\n").encode()}
    export(batches(), out, rows, playback, stem="steered", replaced=["before", "after", "steered"], notes=notes)
    own_files = [f"{name}-{i:0{width}d}" for name in ("before", "after") for i in range(1, n + 1)]
    return {
        row.name: [f"steered.{row.suffix}"]
        if isinstance(row, OneFile)
        else [f"{name}.{row.suffix}" for name in own_files]
        for row in rows
    }


def _in_turn(first: Performance, second: Performance) -> Performance:
    """The bars of two loops of n bars in turn: the first of each, the second of each …, 2n bars."""
    order = np.arange(2 * len(first)).reshape(2, -1).T.ravel()
    return Performance.joined([first, second])[order]


def _titles(steered: SteeringResult, place: int) -> tuple[str, str]:
    """What is said of an episode's first bar and of its best one."""
    first, last = (
        ", ".join(f"{value:g}" for value in values) for values in (steered.path[place, 0], steered.values[place])
    )
    return f"before: {first}", f"after: {last}{'' if steered.success[place] else ' (not reached)'}"


def _arrays(
    steered: SteeringResult, places: np.ndarray, before: Performance, after: Performance, keeps: bool
) -> dict[str, np.ndarray]:
    """The rows of these episodes in the .npz file."""
    arrays = {
        "bars": after.bars,
        "before": before.bars,
        "z": steered.z_after[places],
        "z_before": steered.z_before[places],
        "path": steered.path[places],
    }
    if keeps:
        arrays |= {"velocities": after.velocities, "offsets": after.offsets}
        arrays |= {"velocities_before": before.velocities, "offsets_before": before.offsets}
    return arrays


def report(steered: SteeringResult, seed: int) -> dict[str, Any]:
    """Targets, results, calls and terms of each episode, and the sentence, as plain values."""
    names = steered.features
    swings = {name: values.tolist() for name, values in steered.swing_reached().items()}
    episodes = [
        {
            "seed": seed + i,
            "success": bool(steered.success[i]),
            "before": dict(zip(names, steered.path[i, 0].tolist(), strict=True)),
            "after": dict(zip(names, steered.values[i].tolist(), strict=True))
            | {name: None if math.isnan(values[i]) else round(values[i], 6) for name, values in swings.items()},
            "calls": int(steered.calls[i]),
            "found_at_call": int(steered.at[i]),
            "terms": {
                # 0 of these two means that the network was not asked
                name: None if name in ("realism", "likelihood") and not term[i] else round(float(term[i]), 6)
                for name, term in steered.terms.items()
                if name != "kl"  # of the last move only
            },
        }
        for i in range(len(steered.after))
    ]
    targets = {name: float(steered.targets[0, i]) for i, name in enumerate(names) if steered.importance[0, i] > 0}
    return {
        "targets": targets | steered.swing,
        "tolerance": {name: float(steered.tolerance[i]) for i, name in enumerate(names) if name in targets}
        | dict.fromkeys(steered.swing, SWING_TOLERANCE),
        "calls": steered.path.shape[1],
        "success": int(steered.success.sum()),
        "n": len(steered.after),
        "sentence": steered.sentence(),
        "episodes": episodes,
    }
