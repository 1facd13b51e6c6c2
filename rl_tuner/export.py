"""What was steered, as files: loops or bars before and after, the loop's own file, and a report."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rhythmgan.export import (
    DEFAULT_FORMATS,
    FilePerLoop,
    Loops,
    check_encodable,
    check_replaceable,
    exporting,
    files_written,
    formats_named,
    is_played,
    replacing,
)
from rhythmgan.inputs import read_input
from rhythmgan.kit import Kit
from rhythmgan.load import MAX_LOOP_BYTES
from rhythmgan.midi_reader import SUFFIXES
from rhythmgan.performance import PLAIN, Performance, Playback
from rl_tuner.result import SWING_TOLERANCE, SteeringResult
from rl_tuner.scale import values_of

REPORT = "report.json"
"""What each bar came to."""

_CHUNK = 1024
"""Bars that are performed at a time."""

_REPLACED = ("before", "after", "steered", "original")
"""Names of files that are removed where an earlier call wrote them."""


def export_steered(
    steered: SteeringResult,
    out: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
    seed: int = 0,
    original: str | os.PathLike[str] | None = None,
    asked: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Write what was steered, ``steered.npz``, ``steered.png`` … of all of it, and ``report.json``.

    Without a given loop every bar is a file, ``after-001.mid`` …. With one every version of it is a file,
    ``steered-001.mid`` …, and so is each of their bars, ``after-001.mid`` …, version after version. Beside them lie the
    given loop as it was read, ``before.mid`` and its bars ``before-001.mid`` …, and the file that it was read from,
    ``original.mid``, byte for byte and in any choice of formats.

    Args:
        steered: what to write.
        out: a folder, created if missing. All files of an earlier call are replaced.
        formats: names of ``rhythmgan.export.FORMATS``. The .npz file has ``bars`` and ``z`` of the n bars, or of the n
            versions of m bars, (n, m, …); with a given loop also ``before`` and ``locked`` (m, steps, parts). Where the
            loop is not played with accents on the grid, or a swing was asked for, it has ``velocities`` and
            ``offsets`` of the bars, and ``velocities_before`` and ``offsets_before``.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the bars by default. The report is of the bars as they were steered.
        seed: of the first bar or version, for the report.
        original: the file that the given loop was read from.
        asked: what was asked for, in the words of whoever asked, for the report.
        notes: lines for the report.

    Returns:
        Name of each format → names of its files; "original" → that of the loop's own file, where there is one.

    Raises:
        ValueError: a format or an option that does not fit, or a folder with files of such names but no report.
        OSError: the folder cannot be written, or the loop's file not read.
    """
    rows = formats_named(formats)
    check_replaceable(out, _REPLACED, [REPORT])
    files = {REPORT: (json.dumps(report(steered, seed, asked, notes), indent=1) + "\n").encode()}
    own_file = None if original is None else _name_of_original(original)
    if original is not None and own_file is not None:
        files[own_file] = read_input(original, MAX_LOOP_BYTES)
    kit = kit or steered.kit
    batches = _batches_of_bars(steered, kit) if steered.before is None else _batches_of_versions(steered, kit)
    first = next(batches)
    check_encodable(first.loops, rows, playback)
    with ExitStack() as writing:
        new = writing.enter_context(replacing(out, _REPLACED))
        add = writing.enter_context(exporting(new, rows, playback, stem="steered", notes=files))
        of_bars = [row for row in rows if isinstance(row, FilePerLoop)]
        add_bars = writing.enter_context(exporting(new, of_bars, playback, stem="steered"))
        for batch in itertools.chain([first], batches):
            add(batch.loops)
            if batch.bars is not None:
                add_bars(batch.bars)
    written = files_written(rows, _names(steered), "steered")
    return written | ({} if own_file is None else {"original": [own_file]})


def _name_of_original(path: str | os.PathLike[str]) -> str:
    """What the copy of a loop's own file is called: every MIDI file ends in .mid."""
    suffix = Path(path).suffix.lower()
    return f"original{'.mid' if suffix in SUFFIXES else suffix}"


def _numbered(name: str, n: int, first: int = 0, count: int | None = None) -> list[str]:
    """Names of the files of n things, or of ``count`` of them from ``first`` on, which count from 1."""
    width = max(3, len(str(n)))
    return [f"{name}-{i + 1:0{width}d}" for i in range(first, first + (n if count is None else count))]


def _names(steered: SteeringResult) -> list[str]:
    """Names of all files of a loop or a bar of its own."""
    after = _numbered("after", len(steered.after))
    if steered.before is None:
        return after
    own = ["before", *_numbered("before", steered.loop)]
    return [*own, *_numbered("steered", steered.n_versions), *after]


# --- Bars and versions -------------------------------------------------------------------------------


class _Batch(NamedTuple):
    """Some of what is written.

    Attributes:
        loops: bars without a given loop, versions of it otherwise; all formats have them.
        bars: the bars of these versions, for formats with a file for each; None where ``loops`` are bars.
    """

    loops: Loops
    bars: Loops | None


def _batches_of_bars(steered: SteeringResult, kit: Kit) -> Iterator[_Batch]:
    """Bars without a given loop, some at a time."""
    n = len(steered.after)
    for start in range(0, n, _CHUNK):
        places = np.arange(start, min(start + _CHUNK, n))
        played = steered.performance(places).folded(kit)
        names = _numbered("after", n, start, len(places))
        arrays = {"bars": played.bars, "z": steered.z[places]}
        if steered.swing:
            arrays |= {"velocities": played.velocities, "offsets": played.offsets}
        titles = [_title(steered, place) for place in places.tolist()]
        yield _Batch(Loops(names, played.apart(), "name", names, titles, arrays), None)


def _batches_of_versions(steered: SteeringResult, kit: Kit) -> Iterator[_Batch]:
    """The given loop and versions of it, some at a time; and their bars."""
    m, n = steered.loop, steered.n_versions
    own = steered.performance_before(np.arange(m)).folded(kit)
    keeps = bool(steered.swing) or (steered.played is not None and is_played(steered.played))
    at_once = max(1, _CHUNK // m)
    for start in range(0, n, at_once):
        versions = range(start, min(start + at_once, n))
        played = [steered.performance(np.arange(v * m, (v + 1) * m)).folded(kit) for v in versions]
        after = Performance.joined([each.as_several() for each in played])
        rows = slice(start * m, (start + len(played)) * m)
        arrays = {"bars": after.bars, "z": steered.z[rows].reshape(*after.bars.shape[:2], -1)}
        if keeps:
            arrays |= {"velocities": after.velocities, "offsets": after.offsets}
        names = _numbered("steered", n, start, len(played))
        titles = [_title_of_version(steered, name, v) for name, v in zip(names, versions, strict=True)]
        bar_names = _numbered("after", n * m, start * m, len(played) * m)
        if start == 0:
            arrays |= _arrays_of_loop(steered, own, kit, keeps)
            after = Performance.joined([own.as_several(), after])
            names, titles = ["before", *names], ["before", *titles]
            bar_names = [*_numbered("before", m), *bar_names]
        bars = Performance.joined([after[place] for place in range(len(after))]).apart()
        yield _Batch(
            Loops(names, after, "name", names, titles, arrays, m if 1 < m <= 8 else None),
            Loops(bar_names, bars, "name", bar_names, bar_names, {}),
        )


def _arrays_of_loop(steered: SteeringResult, own: Performance, kit: Kit, keeps: bool) -> dict[str, np.ndarray]:
    """What the .npz file says of the given loop; in another kit than it is steered in, not what is locked."""
    arrays = {"before": own.bars}
    if steered.locked is not None and kit == steered.kit:
        arrays["locked"] = steered.locked[: steered.loop]
    if keeps:
        arrays |= {"velocities_before": own.velocities, "offsets_before": own.offsets}
    return arrays


def _title(steered: SteeringResult, place: int) -> str:
    """What the picture says of a bar."""
    values = ", ".join(f"{value:.4g}" for value in steered.values[place].tolist())
    return f"{values}{'' if steered.success[place] else ' (not reached)'}"


def _title_of_version(steered: SteeringResult, name: str, version: int) -> str:
    """What the picture says of a version of the loop."""
    m = steered.loop
    if m == 1:
        return f"{name}: {_title(steered, version)}"
    return f"{name}: {int(steered.success[version * m : (version + 1) * m].sum())} of {m} reached"


# --- What is said ------------------------------------------------------------------------------------


def locked_parts_and_bars(steered: SteeringResult) -> tuple[list[str], list[int]]:
    """Names of the parts and numbers of the bars of the loop, from 1 on, that are locked as a whole."""
    if steered.locked is None:
        return [], []
    locked = steered.locked[: steered.loop]
    whole = locked.all((1, 2))
    others = locked[~whole]
    parts = np.flatnonzero(others.all((0, 1))).tolist() if len(others) else []
    return [steered.kit.names[part] for part in parts], (np.flatnonzero(whole) + 1).tolist()


def summary(steered: SteeringResult) -> str:
    """What was reached, how many cells changed and what was locked, in words."""
    said = [steered.sentence()]
    parts, bars = locked_parts_and_bars(steered)
    numbers = [f"bar{'s' if len(bars) > 1 else ''} {', '.join(map(str, bars))}"] if bars else []
    if parts or bars:
        said.append(f"locked: {', '.join([*parts, *numbers])}")
    return "; ".join(said)


def report(
    steered: SteeringResult, seed: int = 0, asked: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """What was asked for, and what each bar came to, as plain values.

    Args:
        steered: what is reported.
        seed: of the first bar or version.
        asked: what was asked for, in the words of whoever asked.
        notes: lines of what could not be asked for as it was wished.
    """
    is_asked = np.asarray((steered.importance > 0).any(0))
    tolerance = {
        name: float(width)
        for name, width, counts in zip(steered.features, steered.tolerance, is_asked.tolist(), strict=True)
        if counts
    }
    return {
        "asked": dict(asked or {}),
        "notes": list(notes),
        "sentence": summary(steered),
        "tolerance": tolerance | dict.fromkeys(steered.swing, SWING_TOLERANCE),
        "n": steered.n_versions,
        "loop": None if steered.before is None else steered.loop,
        "success": int(steered.success.sum()),
        "bars": list(_reports_of_bars(steered, seed)),
    }


def _reports_of_bars(steered: SteeringResult, seed: int) -> Iterator[dict[str, Any]]:
    """What each bar came to."""
    names, m = steered.features, steered.loop
    files = _numbered("after", len(steered.after))
    swings = {name: values.tolist() for name, values in steered.swing_reached().items()}
    before = None if steered.before is None else values_of(steered.before, names, steered.kit).tolist()
    for i, file in enumerate(files):
        version, place = divmod(i, m)
        counts = steered.importance[i] > 0
        values = dict(zip(names, steered.values[i].tolist(), strict=True))
        swung = {name: None if math.isnan(each[i]) else round(each[i], 6) for name, each in swings.items()}
        of_loop: dict[str, Any] = {}
        if before is not None:
            by_part = steered.changed[i].sum(0)
            of_loop = {
                "version": version + 1,
                "bar": place + 1,
                "before": dict(zip(names, before[i], strict=True)),
                "changed": int(by_part.sum()),
                "changed_by_part": {steered.kit.names[part]: int(by_part[part]) for part in np.flatnonzero(by_part)},
            }
        yield {
            "file": file,
            "seed": seed + version,
            **of_loop,
            "targets": dict(zip(np.array(names)[counts].tolist(), steered.targets[i, counts].tolist(), strict=True))
            | steered.swing,
            "after": values | swung,
            "success": bool(steered.success[i]),
            "calls": round(float(steered.calls[i]), 3),
            "terms": {
                # 0 of these two means that the network was not asked
                name: None if name in ("realism", "likelihood") and not term[i] else round(float(term[i]), 6)
                for name, term in steered.terms.items()
            },
        }
