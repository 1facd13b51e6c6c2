"""``rl-tuner toggle``: lines that are toggled step by step, and a snare line that answers a kick line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rhythmgan.console import (
    add_field,
    add_machine_options,
    add_output_options,
    add_report_options,
    file_names,
    formats_given,
    given,
    loop_output_given,
    positive,
    progress_bar,
)
from rhythmgan.export import DEFAULT_FORMATS
from rl_tuner.config import (
    LIVE_ENV,
    LIVE_TOGGLE,
    LIVE_WIDTH,
    PUBLISHED_EPISODES,
    PUBLISHED_TOGGLE,
    ToggleEnvConfig,
    shortened,
)

# what is slow to import is imported by the function that needs it: help and errors answer at once

MOVES = 10
"""Moves of a test, by default: as many as in Halmøy's figures."""

VERSIONS = 1
"""Answers to a loop, by default."""

_TERMS = "difference, complexity (of Shmulevich & Povel) or any feature that `rhythmgan features` measures"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's, with a command of its own for each use."""
    uses = commands.add_parser(
        "toggle",
        help="answer a kick line with a snare line; train and test agents that toggle lines",
        description="A kick line and a snare line, x o o o x o o o, of which an agent toggles one step at a time.",
    ).add_subparsers(required=True, metavar="use")
    _add_train(uses)
    _add_test(uses)
    _add_answer(uses)


def _add_train(uses: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = uses.add_parser(
        "train",
        help="train an agent that toggles lines",
        description="Train an agent that toggles lines, or resume the run in --out: as Halmøy's by default, which "
        f"toggles {ToggleEnvConfig.resolution} steps, has no no-op and is rewarded with how the lines differ.",
    )
    parser.set_defaults(run=_train, resumes=True)
    parser.add_argument("--episodes", type=positive, metavar="N", help=f"episodes to learn from ({PUBLISHED_EPISODES})")
    parser.add_argument(
        "--live", action="store_true", help="as the agent that ships: terms whose importance is set as it plays"
    )
    add_field(parser, ToggleEnvConfig, "resolution", "steps of a line, 8 to 512; shorter ones are stretched to them")
    add_field(parser, ToggleEnvConfig, "n_lines", "lines that answer")
    add_field(parser, ToggleEnvConfig, "moves", "toggles of an episode")
    parser.add_argument("--no-op", action="store_true", default=None, help="the agent may leave all as it is")
    parser.add_argument(
        "--reward", choices=("absolute", "delta"), help=f"the score, or what it has grown by ({ToggleEnvConfig.reward})"
    )
    parser.add_argument("--terms", metavar="NAMES", help=f"what counts, with commas between: {_TERMS} (difference)")
    parser.add_argument(
        "--kick", metavar="LINE", help=f"the line to answer; random: another in every episode ({ToggleEnvConfig.given})"
    )
    add_field(parser, PUBLISHED_TOGGLE, "seed", "seed of weights, lines and draws")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    add_machine_options(parser)
    add_report_options(parser)


def _add_test(uses: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = uses.add_parser(
        "test",
        help="let an agent toggle a snare line, and watch",
        description="Let an agent toggle lines, each time what it finds best, and print what they are worth.",
    )
    parser.set_defaults(run=_test)
    parser.add_argument("--checkpoint", metavar="FILE", help="weights of the agent (the bundled ones)")
    parser.add_argument("--kick", metavar="LINE", help="the line to answer, as x---x--- (x o o o, over and over)")
    parser.add_argument(
        "--snare",
        action="append",
        metavar="LINE",
        help="where it begins, as long as the kick: a line, best (nowhere equal to the kick) or worst (equal to it); "
        "again for each further line; --snare=--x- where it begins with a dash (worst)",
    )
    parser.add_argument(
        "--midi",
        metavar="LOOP",
        help="a loop whose first bar has the kick and the snare; its other parts are not played",
    )
    parser.add_argument("--moves", type=positive, default=MOVES, metavar="N", help="toggles (%(default)s)")
    _add_importance(parser, "1 of the agent's first term")
    parser.add_argument("--out", metavar="DIR", help="folder for the lines before and after as MIDI (none)")
    add_report_options(parser, json=True)


def _add_answer(uses: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = uses.add_parser(
        "answer",
        help="a snare line for the kick of a loop of your own",
        description="Answer the kick of a loop with a snare as songs have it: all other parts stay. Bars with the same "
        "kick have the same answer.",
    )
    parser.set_defaults(run=_answer)
    parser.add_argument("loop", help="a MIDI file, a text of bars, an .npz with bars or a corpus")
    parser.add_argument("--n", type=positive, default=VERSIONS, metavar="N", help="answers (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first; the next has the next (0)")
    _add_importance(parser, "none")
    parser.add_argument("--reference", metavar="FILE", help="weights of the model of answers (the bundled ones)")
    add_output_options(parser, "answers", DEFAULT_FORMATS, bpm="that of the loop", swing="that of the loop")
    parser.add_argument("--agent", metavar="FILE", help="weights of the agent that improves it (the bundled ones)")
    add_report_options(parser, json=True)


def _add_importance(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--importance",
        metavar="NAME=X,…",
        help=f"how much terms count, -1 to 1, below 0 for less of it: complexity=.5,density=-1; {_TERMS} ({default})",
    )


def _importance_given(options: argparse.Namespace) -> dict[str, float] | None:
    """Terms and their importance, as given.

    Raises:
        ValueError: what cannot be read.
    """
    if options.importance is None:
        return None
    found = {}
    for pair in options.importance.split(","):
        name, is_pair, number = pair.partition("=")
        try:
            value = float(number)
        except ValueError:
            is_pair = ""
        if not is_pair:
            raise ValueError(f"--importance is a term's name, = and a number, not {pair!r}")
        if name.strip() in found:
            raise ValueError(f"--importance names {name.strip()!r} twice")
        found[name.strip()] = value
    return found


def _train(options: argparse.Namespace) -> None:
    from dataclasses import replace

    if options.threads:
        import torch

        torch.set_num_threads(options.threads)

    from rl_tuner.tune.toggle import train_toggle_agent

    env, training = (LIVE_ENV, LIVE_TOGGLE) if options.live else (ToggleEnvConfig(), PUBLISHED_TOGGLE)
    changes = given(options, "resolution", "n_lines", "moves", "no_op", "reward")
    if options.terms is not None:
        changes["terms"] = tuple(name.strip() for name in options.terms.split(","))
        changes["weighted"] = len(changes["terms"]) > 1
    if options.kick is not None:
        changes["given"] = "" if options.kick == "random" else options.kick
    elif options.resolution and not options.live:
        changes["given"] = ("x o o o " * options.resolution)[: 2 * options.resolution]
    if options.resolution:
        changes["steps"] = ()
    env = replace(env, **changes)
    training = replace(training, **given(options, "seed"))
    episodes = options.episodes or (None if options.live else PUBLISHED_EPISODES)
    if episodes:
        training = shortened(replace(training, train_steps=episodes * env.moves))
    width = {"width": LIVE_WIDTH} if options.live else {}
    with progress_bar("step", options.quiet) as progress:
        weights = train_toggle_agent(options.out, training, env, progress=progress, **width)
    print(f"weights: {weights}")
    print(f"next: rl-tuner toggle test --checkpoint {weights}")


def _test(options: argparse.Namespace) -> dict[str, Any] | None:
    importance = _importance_given(options)

    import numpy as np

    from rl_tuner.toggle.lines import line_to_text, shrunk
    from rl_tuner.toggle.toggler import load_toggle_agent, play

    agent = load_toggle_agent(options.checkpoint)
    kick, lines = _lines_given(options, agent.config.resolution, agent.config.n_lines)
    steps = len(kick)
    played = play(agent, kick, lines, options.moves, importance)
    rows = [shrunk(each, steps) for each in played.lines]
    texts = [[line_to_text(line) for line in each] for each in rows]
    if options.out:
        _write_lines(options.out, kick, np.stack([rows[0], rows[-1]]))
    if options.json:
        return {
            "kick": line_to_text(kick),
            "scores": played.scores.tolist(),
            "terms": {name: values.tolist() for name, values in played.terms.items()},
            "lines": texts,
        }
    print(f"      {line_to_text(kick)} [kick]")
    for score, each in zip(played.scores.tolist(), texts, strict=True):
        print(f"{score:5.2f} {' | '.join(each)}")
    print(f"the score rose by {played.scores[-1] - played.scores[0]:+.2f} in {options.moves} moves")
    return None


def _lines_given(options: argparse.Namespace, resolution: int, n_lines: int) -> tuple[Any, Any]:
    """The kick (steps,) and the answers (lines, steps) that are asked for.

    Raises:
        ValueError: two kinds of lines, or lines that do not fit.
    """
    import numpy as np

    from rl_tuner.toggle.lines import parse_line

    if options.midi and (options.kick or options.snare):
        raise ValueError("--midi has the kick and the snare: give no --kick and no --snare with it")
    if options.midi:
        from rhythmgan.bars import GRIDS
        from rhythmgan.load import load_loop

        loop, _ = load_loop(options.midi, steps=resolution if resolution in GRIDS else 16)
        names = loop.kit.names
        bar = loop.bars[0].T
        if len(bar[0]) > resolution:
            raise ValueError(f"{options.midi}: its bars have {len(bar[0])} steps, the agent's lines {resolution}")
        order = [names.index("kick"), names.index("snare"), *(i for i in range(len(names)) if i > 1)]
        return bar[order[0]], bar[order[1 : 1 + n_lines]]
    default = "x o o o " * (resolution // 4) + "o" * (resolution % 4)
    kick = parse_line(default if options.kick is None else options.kick)
    named = {"best": ~kick, "worst": kick}
    texts = options.snare or ["worst"] * n_lines
    lines = [named[text] if text in named else parse_line(text) for text in texts]
    if len(lines) != n_lines or any(len(line) != len(kick) for line in lines):
        raise ValueError(f"the agent toggles {n_lines} lines, each as long as the kick, {len(kick)} steps")
    return kick, np.stack(lines)


def _write_lines(out: str, kick: Any, lines: Any) -> None:
    """``before.mid`` and ``after.mid``: the kick with answers (2, lines, steps).

    Raises:
        ValueError: lines that are no bars.
        OSError: the folder cannot be written.
    """
    import numpy as np

    from rhythmgan.bars import GRIDS
    from rhythmgan.calls import replaced_files
    from rhythmgan.kit import GM9
    from rhythmgan.midi import write_midi
    from rl_tuner.toggle.lines import stretched

    steps = max(len(kick), 16) if len(kick) == 8 else len(kick)
    per_bar = steps if steps in GRIDS else 16
    if steps % per_bar:
        raise ValueError(f"lines of {len(kick)} steps are no bars: they cannot be written as MIDI")
    with replaced_files(out, lambda _: False) as new:
        for name, answers in zip(("before", "after"), lines, strict=True):
            parts = np.concatenate([kick[None], answers])
            bars = np.zeros((steps, GM9.n_parts), bool)
            bars[:, : len(parts)] = stretched(parts, steps).T
            write_midi(new / f"{name}.mid", bars.reshape(-1, per_bar, GM9.n_parts), GM9)


def _answer(options: argparse.Namespace) -> dict[str, Any] | None:
    importance = _importance_given(options)

    from rhythmgan.folders import read_loop
    from rl_tuner.toggle.agent import load_answer_agent
    from rl_tuner.toggle.lines import line_to_text
    from rl_tuner.toggle.loops import answer_loop, export_answers

    agent = load_answer_agent(options.agent, options.reference)
    reference = agent.reference
    loop, playback = read_loop(options.loop, reference, options.out)
    output = loop_output_given(options, reference.kit, playback) | formats_given(options)
    versions = answer_loop(loop, options.n, agent, options.seed, importance)
    done = export_answers(loop, versions, options.out, **output)
    given_part, part = (reference.kit.names.index(name) for name in (reference.given, reference.answer))
    kicks = [line_to_text(bar) for bar in loop.bars[..., given_part]]
    answers = [[line_to_text(bar) for bar in version] for version in versions[..., part]]
    folder = Path(options.out).resolve()
    if options.json:
        return {"out": str(folder), "n": options.n, "files": done.files, reference.given: kicks, "answers": answers}
    if not options.quiet:
        for bar, kick in enumerate(kicks):
            print(f"bar {bar + 1}: {kick} [{reference.given}]")
            for version in answers:
                print(f"{'':{len(f'bar {bar + 1}:')}} {version[bar]} [{reference.answer}]")
    print(f"{options.n} answer{'s' if options.n > 1 else ''} in {folder}: {file_names(done.files)}")
    return None
