"""``rl-tuner append``: loops of two bars that are made note by note."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rhythmgan.console import add_output_options, add_report_options, file_names, formats_given, output_given, positive
from rhythmgan.export import DEFAULT_FORMATS
from rhythmgan.generate.config import MAX_LOOPS
from rl_tuner.config import PUBLISHED_EPS

# what is slow to import is imported by the function that needs it: help and errors answer at once

N_LOOPS = 8

REPORT = "report.json"
"""What made the loops of a folder."""

_REPLACED = ("loop", "loops")
"""Names of files that an earlier call wrote."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "append",
        help="make two-bar loops note by note",
        description="Make loops of two bars with one note a step, note by note. They begin as loops of songs do, and "
        "an agent appends the other notes.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--n", type=positive, default=N_LOOPS, metavar="N", help="loops (%(default)s)")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the first loop; the next has the next seed (%(default)s)",
    )
    published = ", ".join(f"eps-{eps:g}" for eps in PUBLISHED_EPS)
    parser.add_argument(
        "--kind",
        metavar="NAME",
        help="what makes them: tuned; untuned, the CNN that the agent was started from; or an agent as published, by "
        f"its share of random notes in training: {published}. Loops of one seed begin alike (tuned)",
    )
    add_output_options(parser, "loops", DEFAULT_FORMATS, kit="roland10")
    parser.add_argument(
        "--weights", metavar="FILE", help="weights of the CNN that an --agent was started from (the bundled ones)"
    )
    parser.add_argument("--agent", metavar="FILE", help="weights of an agent that appends notes (the bundled ones)")
    add_report_options(parser, json=True)


def _run(options: argparse.Namespace) -> dict[str, Any] | None:
    if options.agent and options.kind:
        raise ValueError("--kind names loops of the bundled weights: leave it out with --agent")
    if options.weights and not options.agent:
        raise ValueError("--weights are of the CNN that an --agent was started from: give both")
    if options.n > MAX_LOOPS:  # all of them are made at once
        raise ValueError(f"1 to {MAX_LOOPS:,} loops can be made, not {options.n}: go on with --seed in another folder")

    import numpy as np

    from rhythmgan.bars import fold_bars, unfold_bars
    from rhythmgan.draw import bar_to_text
    from rhythmgan.export import Loops, check_replaceable, export, files_written, formats_named
    from rhythmgan.kit import GM9, ROLAND10
    from rhythmgan.performance import Performance
    from rl_tuner.append.agent import TUNED, load_append_agent, loops_of_kind

    output = output_given(options, ROLAND10)
    formats = formats_named(formats_given(options).get("formats", DEFAULT_FORMATS))
    if options.agent:
        from rhythmgan.models.catalogue import load_note_model

        agent = load_append_agent(options.agent, load_note_model(options.weights))
        made, made_in, by = agent.sample(options.n, options.seed), agent.kit, options.agent
    else:
        by = options.kind or TUNED
        made, made_in = loops_of_kind(by, options.n, options.seed), ROLAND10
    kit = output["kit"]
    bars = made if kit == made_in else fold_bars(unfold_bars(made, made_in, GM9), GM9, kit)
    seeds = list(range(options.seed, options.seed + options.n))
    names = [f"loop-{seed:06d}" for seed in seeds]
    titles = [f"seed {seed}" for seed in seeds]
    report = {"n": options.n, "seed": options.seed, "by": by, "kit": kit.name}
    batch = Loops(names, Performance.of(bars, kit), "seed", seeds, titles, {"bars": bars, "seed": np.array(seeds)}, 2)
    notes = {REPORT: (json.dumps(report, indent=1) + "\n").encode()}
    check_replaceable(options.out, _REPLACED, [REPORT])
    export([batch], options.out, formats, output["playback"], stem="loops", replaced=_REPLACED, notes=notes)
    files = files_written(formats, names, "loops")
    if options.json:
        return report | {"out": str(Path(options.out).resolve()), "files": files}
    if not options.quiet:
        for title, loop in list(zip(titles, bars, strict=True))[:2]:
            print(title, *(bar_to_text(bar, kit) for bar in loop), sep="\n", end="\n\n")
    print(f"{options.out}: {file_names(files)}")
    return None
