"""``rl-tuner train``: an agent, in the environment that is asked for."""

from __future__ import annotations

import argparse
from typing import Any

from rhythmgan.console import add_machine_options, add_model_options, add_report_options
from rl_tuner.commands.models import PRIOR_USE
from rl_tuner.commands.trainable import append, edit, latent, stepwise, toggle

ENVS = {"stepwise": stepwise, "latent": latent, "edit": edit, "append": append, "toggle": toggle}
"""What is trained in each environment, by its name; the default first."""

_ALSO: dict[str, dict[str, Any]] = {
    "features": {"help": "what to steer, by name (density,syncopation)"},
    "as_published": {"action": "store_const", "const": True, "help": "as its authors did, without their errors"},
}
"""Options that are fields of no config, as argparse takes them."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "train", help="train an agent", description="Train an agent, or resume the run in --out."
    )
    parser.set_defaults(run=_run, resumes=True)
    default = next(iter(ENVS))
    titles = "; ".join(f"{name}: {env.TITLE}" for name, env in ENVS.items())
    parser.add_argument(
        "--env", choices=tuple(ENVS), default=default, help=f"the environment that it learns in. {titles} (%(default)s)"
    )
    parser.add_argument(
        "--data", required=True, metavar="CORPUS", help="a corpus: its train songs give targets and bars"
    )
    for name, how in _ALSO.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **{**how, "help": f"{how['help']}; for {_owners(name)}"})
    for name in _all_fields():
        _add_field(parser, name)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    add_model_options(parser, prior=PRIOR_USE)
    add_machine_options(parser, threads=1)  # sums are rounded as they are shared out among threads
    add_report_options(parser)


def _run(options: argparse.Namespace) -> None:
    known = _fields(options.env).keys() | set(ENVS[options.env].ALSO)
    for name in (*_ALSO, *_all_fields()):
        if getattr(options, name) is not None and name not in known:
            raise ValueError(f"--{name.replace('_', '-')} is an option of {_owners(name)}, not of --env {options.env}")
    ENVS[options.env].run(options)


def _fields(env: str) -> dict[str, tuple[str, object]]:
    """The options of an environment by name: what each is, and its default."""
    return {name: (what, getattr(config, name)) for config, fields in ENVS[env].FIELDS for name, what in fields.items()}


def _all_fields() -> dict[str, None]:
    """The names of the options of all environments, each once."""
    return {name: None for env in ENVS for name in _fields(env)}


def _owners(option: str) -> str:
    """The environments that have this option, in words."""
    return " and ".join(env for env in ENVS if option in _fields(env) or option in ENVS[env].ALSO)


def _add_field(parser: argparse.ArgumentParser, name: str) -> None:
    """One option for all environments that have it; the help says which, and the default in each."""
    found = {env: _fields(env)[name] for env in ENVS if name in _fields(env)}
    whats = list(dict.fromkeys(what for what, _ in found.values()))
    defaults = ", ".join(f"{env} {default}" for env, (_, default) in found.items())
    kind = type(next(iter(found.values()))[1])
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        type=kind,
        metavar="N" if kind is int else "X",
        help=f"{'; or '.join(whats)} ({defaults})",
    )
