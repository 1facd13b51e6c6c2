"""What is judged: models, bars of files, songs, and the baselines; each as bars that can be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rhythmgan.bars import fold_bars, words_to_bars
from rhythmgan.baselines import SAMPLERS, Sampler
from rhythmgan.conditions import ANY
from rhythmgan.corpus_file import load_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import Kit, fold_table
from rhythmgan.load import is_corpus, load_bars
from rhythmgan.models import interfaces
from rhythmgan.models.catalogue import BUNDLED, load_model
from rhythmgan.models.interfaces import Conditional, Likelihood, check_compatible

MIN_BARS = 100

Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray | None]]
"""(n, seed) → at most n bars (n, steps, parts) bool, and their songs (n,) ints where they have songs."""


@runtime_checkable
class ConditionalSampler(interfaces.Sampler, Conditional, Protocol):
    """A model that bars of a role and a style are drawn from."""


@dataclass(frozen=True)
class Asked:
    """What conditional models are asked for.

    Attributes:
        role: one of ``ROLES``; "any" is a catalogue beside distinct bars, and all roles beside bars as played.
        style: a style, or "any".
        shares: how often songs play each role, which is how often it is asked for beside bars as played.
    """

    role: str = ANY
    style: str = ANY
    shares: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Candidate:
    """Bars to evaluate.

    Attributes:
        name: in the table.
        draw: its bars.
        prior: where it is a likelihood, the model itself, whose NLL on the held-out songs is reported.
        draw_as_played: its bars where they stand beside bars as played, if they are others then: of songs, of what
            is made of songs, and of models that are asked for roles.
        ask: where it is a conditional model, its bars of a role and a style.
        roles, styles: those that it knows.
    """

    name: str
    draw: Draw
    prior: Likelihood | None = None
    draw_as_played: Draw | None = None
    ask: Callable[[str, str], Draw] | None = None
    roles: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()

    def asked(self, asked: Asked) -> Candidate:
        """The same with the bars of a condition; itself where it is no conditional model.

        Raises:
            ValueError: a role or style that the model does not know.
        """
        if self.ask is None:
            return self
        found = replace(self, draw=self.ask(asked.role, asked.style), draw_as_played=None)
        shares = known_shares(asked.shares or {}, self.roles)
        if asked.role != ANY or not shares:
            return found
        draws = {role: self.ask(role, asked.style) for role in shares}

        def draw_as_played(n: int, seed: int) -> tuple[np.ndarray, None]:
            random = np.random.default_rng(seed)
            bars, first = [], seed
            for role, count in zip(shares, random.multinomial(n, list(shares.values())).tolist(), strict=True):
                bars.append(draws[role](count, first)[0])
                first += count  # no two bars have a seed in common: those of a seed are alike in every role
            return random.permutation(np.concatenate(bars)), None

        return replace(found, draw_as_played=draw_as_played)


def known_shares(shares: Mapping[str, float], roles: tuple[str, ...]) -> dict[str, float]:
    """The shares of the roles that a model knows, which sum to 1; none where it knows none."""
    known = {role: share for role, share in shares.items() if role in roles}
    return {role: share / sum(known.values()) for role, share in known.items()}


# --- Making them -------------------------------------------------------------------------------------


def from_sampler(name: str, sampler: Sampler) -> Candidate:
    """What bars can be drawn from, and nothing else is asked of."""
    return Candidate(name, lambda n, seed: (sampler.sample(n, seed), None))


def from_model(name: str, model: Any, kit: Kit | None = None) -> Candidate:
    """A model that bars are drawn from, folded into a kit.

    A bar that has no part of the kit is left out, as one of a song is; one that is silent anyway is not.

    Args:
        name: in the table.
        model: a ``Sampler`` of ``models.interfaces``; maybe a likelihood too, maybe conditional.
        kit: that its bars are folded into; its own by default.

    Raises:
        ValueError: they cannot be folded into it.
    """
    target = kit or model.kit
    fold_table(model.kit, target)

    def drawn(model: Any) -> Draw:
        def draw(n: int, seed: int) -> tuple[np.ndarray, None]:
            bars = model.sample(n, seed)
            folded = fold_bars(bars, model.kit, target)
            return folded[folded.any((1, 2)) | ~bars.any((1, 2))], None

        return draw

    one = Candidate(name, drawn(model), model if isinstance(model, Likelihood) else None)
    if not isinstance(model, ConditionalSampler) or not (model.roles or model.styles):
        return one

    def ask(role: str, style: str) -> Draw:
        return drawn(model.with_condition(role, style))

    return replace(one, ask=ask, roles=model.roles, styles=model.styles)


def from_bars(name: str, bars: np.ndarray, song: np.ndarray | None = None) -> Candidate:
    """Given bars, drawn without replacement."""

    def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        rows = np.random.default_rng(seed).permutation(len(bars))[:n]
        return bars[rows], None if song is None else song[rows]

    return Candidate(name, draw)


def from_corpus(name: str, corpus: Corpus) -> Candidate:
    """Bars of songs: their distinct bars without replacement, and beside bars as played what ``as_played`` draws."""

    def draw_as_played(n: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
        drawn = corpus.as_played(n, seed)
        return bars_of(drawn), drawn.song_id

    distinct = corpus.distinct()
    return replace(from_bars(name, bars_of(distinct), distinct.song_id), draw_as_played=draw_as_played)


def baseline(name: str, training: Corpus, seed: int = 0) -> Candidate:
    """One of the baselines by its option: those of ``SAMPLERS``, or the prior.

    They are made of the songs' distinct bars, and beside bars as played of as many bars drawn as they are played.

    Args:
        name: the option.
        training: the songs.
        seed: of the bars as played.

    Raises:
        ValueError: no baseline has this name.
    """
    if name == "prior":
        return _bundled(name, training.kit, training.steps)
    if name not in SAMPLERS:
        raise ValueError(f"no baseline is called {name!r}; there are {', '.join(SAMPLERS)}, prior")
    title, make = SAMPLERS[name]
    distinct = training.distinct()
    played = make(training.as_played(len(distinct), seed))
    return replace(from_sampler(title, make(distinct)), draw_as_played=lambda n, seed: (played.sample(n, seed), None))


def candidate(source: str, kit: Kit, steps: int) -> Candidate:
    """What a word of the command line stands for: a bundled model such as ``gan``, or a file or folder of bars.

    A file is a weights file, a corpus, an .npz with ``bars`` as ``rhythmgan sample --format npz`` writes it,
    or MIDI; of a folder all MIDI files are read. A bar of MIDI without an onset is no bar: what a model makes of
    silence only an .npz shows. Bars of a larger kit are folded.

    Raises:
        ValueError: nothing that bars can be had from, fewer than ``MIN_BARS``, or bars of another kit or grid.
        OSError: it cannot be opened.
    """
    if source in BUNDLED and not Path(source).exists():
        return _bundled(source, kit, steps)
    path = Path(source)
    if path.suffix == ".safetensors":
        return _foldable(str(path), load_model(path), kit, steps, str(path))
    if is_corpus(path) and path.suffix != ".txt":
        corpus = load_corpus(path, steps, kit)
        check_enough(str(path), len(corpus.distinct()))
        return from_corpus(str(path), corpus)
    bars, song, its_kit = load_bars(path, kit, steps)
    if bars.shape[1:] != (steps, kit.n_parts):
        raise ValueError(f"{path}: expected bars (n, {steps}, {kit.n_parts}) bool, found {bars.dtype} {bars.shape}")
    if its_kit != kit:
        raise ValueError(f"{path}: bars of kit {its_kit.name}, but kit {kit.name} is needed")
    check_enough(str(path), len(bars))
    return from_bars(str(path), bars, song)


def _bundled(name: str, kit: Kit, steps: int) -> Candidate:
    """One of the models that ship."""
    return _foldable(BUNDLED[name][0], load_model(name), kit, steps, f"the bundled {name}")


def _foldable(title: str, model: Any, kit: Kit, steps: int, name: str) -> Candidate:
    """A model of this grid whose bars are of this kit or can be folded into it.

    Raises:
        ValueError: they cannot; the message begins with ``name``.
    """
    try:
        fold_table(model.kit, kit)
    except ValueError:
        check_compatible(model, kit, steps, name)
    return from_model(title, check_compatible(model, model.kit, steps, name), kit)


def check_enough(name: str, n: int) -> None:
    """Raise a ValueError where there are too few bars to evaluate."""
    if n < MIN_BARS:
        raise ValueError(f"{name}: at least {MIN_BARS} bars are needed to evaluate them, there are {n}")


def bars_of(corpus: Corpus) -> np.ndarray:
    """(n, steps, parts) bool."""
    return words_to_bars(corpus.words, corpus.kit.n_parts)


# --- Likelihoods that are asked for roles ------------------------------------------------------------


def nats_of_bars(
    prior: Likelihood, asked: Asked, bars: np.ndarray, before: np.ndarray | None, kit: Kit, as_played: bool
) -> np.ndarray:
    """How unlikely bars are: (n,) nats.

    A conditional prior is asked for the role and the style. Where all roles are asked for of bars as played, nobody
    tells the prior the role of a bar: its chance is the mean over the roles, each in its share.

    Args:
        prior: the model.
        asked: what it is asked for, if it is conditional.
        bars: (n, steps, parts) bool of the prior's kit.
        before: the bar before each, or None.
        kit: a smaller one, if the chances are those of the bars folded into it.
        as_played: whether the bars are drawn as they are played.
    """
    folded = {} if kit == prior.kit else {"kit": kit}

    def log_prob(prior: Any) -> Tensor:
        found: Tensor = prior.step_log_prob(bars, before, **folded)
        return found.double().sum(1)

    if not isinstance(prior, ConditionalSampler):
        return -log_prob(prior).cpu().numpy()
    shares = known_shares(asked.shares or {}, prior.roles)
    if not as_played or asked.role != ANY or not shares:
        return -log_prob(prior.with_condition(asked.role, asked.style)).cpu().numpy()
    roles = [log_prob(prior.with_condition(role, asked.style)) for role in shares]
    chances = torch.tensor(list(shares.values()), dtype=torch.float64, device=roles[0].device).log()
    return -torch.logsumexp(torch.stack(roles, 1) + chances, 1).cpu().numpy()
