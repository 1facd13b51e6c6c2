"""Loops with another answer: what a line of each bar is answered with, and their files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rhythmgan.export import DEFAULT_FORMATS, Loops, check_replaceable, export, files_written, formats_named, is_played
from rhythmgan.generate.config import MAX_BARS, MAX_LOOPS
from rhythmgan.kit import Kit
from rhythmgan.performance import PLAIN, Performance, Playback
from rhythmgan.seeds import check_seed
from rl_tuner.toggle.agent import AnswerAgent, answer

REPORT = "report.json"
"""How many answers there are, to what; and that what lies beside it was written here."""

_REPLACED = ("loop", "answer", "answers")
"""Names of files that an earlier call wrote."""


class Answered(NamedTuple):
    """What was written into a folder.

    Attributes:
        bars: the loop and its versions (n + 1, m, steps, parts) bool, in the kit that was asked for.
        files: name of each format → names of its files.
    """

    bars: np.ndarray
    files: dict[str, list[str]]


def answer_loop(
    loop: Performance, n: int, agent: AnswerAgent, seed: int = 0, importance: Mapping[str, float] | None = None
) -> np.ndarray:
    """Versions of a loop in which one part answers another anew: (n, m, steps, parts) bool.

    All other parts stay, and so do bars in which there is nothing to answer.

    Args:
        loop: m bars of the kit and the grid of the agent's reference.
        n: versions.
        agent: which knows the parts.
        seed: of the first version; the next has the next seed.
        importance: see ``agent.answer``.

    Raises:
        ValueError: bars of another kit or grid, too many, none to answer, or an option out of range.
    """
    reference = agent.reference
    if loop.kit != reference.kit or loop.bars.shape[1] != reference.steps:
        raise ValueError(
            f"expected bars of kit {reference.kit.name} and {reference.steps} steps; "
            f"got {loop.kit.name} and {loop.bars.shape[1]}"
        )
    if not 1 <= len(loop) <= MAX_BARS:
        raise ValueError(f"a loop has 1 to {MAX_BARS} bars, not {len(loop)}")
    if not 1 <= n <= MAX_LOOPS:
        raise ValueError(f"1 to {MAX_LOOPS} versions can be made, not {n}")
    given, part = (loop.kit.names.index(name) for name in (reference.given, reference.answer))
    lines = np.ascontiguousarray(loop.bars[..., given])
    if not lines.any():
        raise ValueError(f"no bar of the loop has a {reference.given} to answer")
    versions = np.repeat(loop.bars[None], n, 0)
    check_seed(seed)
    seeds = np.uint64(seed) + np.arange(n, dtype=np.uint64)
    answers = answer(np.tile(lines, (n, 1)), np.repeat(seeds, len(lines)), agent, importance)
    answered = versions[..., part]
    answered[:] = np.where(np.asarray(lines.any(1))[:, None], answers.reshape(n, *lines.shape), answered)
    return versions


def export_answers(
    loop: Performance,
    versions: np.ndarray,
    out: str | os.PathLike[str],
    formats: Sequence[str] = DEFAULT_FORMATS,
    *,
    playback: Playback = PLAIN,
    kit: Kit | None = None,
) -> Answered:
    """Write a loop and versions of it: ``loop.mid``, ``answer-001.mid`` …, ``answers.npz`` ….

    Cells that stay keep the velocity and the offset that they have in the loop.

    Args:
        loop: as it is played.
        versions: (n, m, steps, parts) bool.
        out: a folder, created if missing. The answers of another loop in it are removed.
        formats: names of ``rhythmgan.export.FORMATS``.
        playback: tempo and swing of MIDI and WAV files.
        kit: what the bars are folded into; that of the loop by default.

    Raises:
        ValueError: a format or an option that does not fit.
        OSError: the folder cannot be written.
    """
    rows = formats_named(formats)
    performances = Performance.joined([loop.as_several(), loop.with_bars(versions)]).folded(kit or loop.kit)
    names = ["loop", *(f"answer-{number:03d}" for number in range(1, len(versions) + 1))]
    arrays = {"bars": performances.bars}
    if is_played(loop):
        arrays |= {"velocities": performances.velocities, "offsets": performances.offsets}
    written = Loops(names, performances, "name", names, names, arrays, len(loop) if 1 < len(loop) <= 8 else None)
    check_replaceable(out, _REPLACED, [REPORT])
    report = {"answers": len(versions), "bars": len(loop), "kit": (kit or loop.kit).name}
    notes = {REPORT: (json.dumps(report, indent=1) + "\n").encode()}
    export([written], out, rows, playback, stem="answers", replaced=_REPLACED, notes=notes)
    return Answered(performances.bars, files_written(rows, names, "answers"))
