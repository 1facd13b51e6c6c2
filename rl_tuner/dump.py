"""What was steered, as files: MIDI before and after, arrays, a report and a picture."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from rhythmgan.draw import bars_to_image, write_png
from rhythmgan.dump import sweep_numbered
from rhythmgan.files import make_folder, whole_file, write_whole
from rhythmgan.kit import Kit
from rhythmgan.midi import write_midi_files
from rhythmgan.performance import Performance, Playback
from rl_tuner.steering import SteeringResult

_PICTURED = 32


def dump_steered(
    steered: SteeringResult,
    kit: Kit,
    out: str | os.PathLike[str],
    *,
    bpm: float = 120.0,
    seed: int = 0,
    played: Performance | None = None,
) -> Path:
    """Write ``before-*.mid``, ``after-*.mid``, ``bars.npz``, ``report.json`` and ``steered.png`` into a folder.

    Args:
        steered: what to write.
        kit: of its bars.
        out: a folder; made where missing. The files of an earlier call are replaced.
        bpm: tempo of the MIDI files.
        seed: of the first walk, for the report.
        played: how the bars are played that walks began at, each in turn; cells that stay keep it. By default with
            metrical accents.

    Returns:
        The folder.

    Raises:
        ValueError: the tempo is out of range.
        OSError: the folder cannot be written.
    """
    Playback(bpm)  # an option that does not fit is told before a file is touched
    folder = make_folder(out)
    n = len(steered.after)
    width = max(3, len(str(n)))
    own = Performance.of(steered.before, kit) if played is None else played[np.arange(n) % len(played)]
    before, after = own.with_bars(steered.before), own.with_bars(steered.after)
    for name, performed in {"before": before, "after": after}.items():
        sweep_numbered(folder, name)
        write_midi_files(folder, [f"{name}-{i + 1:0{width}d}.mid" for i in range(n)], performed, bpm=bpm)
    with whole_file(folder / "bars.npz") as file:
        np.savez_compressed(
            file,
            bars=steered.after,
            before=steered.before,
            z=steered.z_after,
            z_before=steered.z_before,
            path=steered.path,
        )
    write_whole(folder / "report.json", (json.dumps(report(steered, seed), indent=1) + "\n").encode())
    shown = min(n, _PICTURED)
    pairs = Performance.joined([each[i : i + 1] for i in range(shown) for each in (before, after)])
    titles = []
    for i in range(shown):
        first = ", ".join(f"{value:g}" for value in steered.path[i, 0])
        last = ", ".join(f"{value:g}" for value in steered.values[i])
        titles += [f"before: {first}", f"after: {last}{'' if steered.success[i] else ' (not reached)'}"]
    write_png(folder / "steered.png", bars_to_image(pairs, titles=titles, columns=2 if shown < 4 else 4))
    return folder


def report(steered: SteeringResult, seed: int) -> dict[str, object]:
    """Targets, results, calls and terms of each walk, and the sentence, as plain values."""
    names = steered.features
    walks = [
        {
            "seed": seed + i,
            "reached": bool(steered.success[i]),
            "before": dict(zip(names, steered.path[i, 0].tolist(), strict=True)),
            "after": dict(zip(names, steered.values[i].tolist(), strict=True)),
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
    targets = {name: float(steered.targets[0, i]) for i, name in enumerate(names) if steered.weights[0, i] > 0}
    return {
        "targets": targets,
        "within": {name: float(steered.tolerance[i]) for i, name in enumerate(names) if name in targets},
        "calls": steered.path.shape[1],
        "reached": int(steered.success.sum()),
        "of": len(steered.after),
        "sentence": steered.sentence(),
        "walks": walks,
    }
