"""Phrases: bars that follow one another, and come again, as in songs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhythmgan.conditions import ANY
from rhythmgan.generate.config import fill_places
from rhythmgan.models.interfaces import LatentModel, PhrasePrior
from rhythmgan.roles import FILL, GROOVE, ROLES, VARIATION
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_uniform

_TRIES = 12
"""How often a new bar is drawn until it sounds and is none that the phrase has; the last is taken as it is."""
_LAST = 4
"""Bars that a new one is near to."""
_NEARNESS = 0.3
"""By how much the log odds of two candidates differ for each cell by which one is nearer. Chosen on songs of the valid
split by the distances between the bars and by the C2ST."""
_FORM = "AVF"
"""Letters of a form that is asked for: the first bar, a variation and a fill of it."""
_MAX_BARS = 1 + len(RANDOM_STREAMS["phrase bars"]) // _TRIES


def phrases(
    model: LatentModel,
    prior: PhrasePrior,
    seeds: Sequence[int] | np.ndarray,
    n_bars: int,
    temperature: float = 1.0,
    fill: str | int = "songs",
    form: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The phrases of seeds: each begins with the seed's own bar, of the model's role and style.

    First the form is drawn: which of the next bars are one of those before, and which are new, a groove, a variation or
    a fill; see ``forms.Forms``. It depends on how much the first bar repeats itself. Then the new bars are drawn from
    the prior: of two bars of its role, of which one follows the bar before and one the bar two before, the nearer one
    is the likelier. So bars that come again are exactly the same, as in songs, and new ones stay near.

    A form is drawn without any fills where their places are given. The bars there become new ones of the role fill; the
    phrase returns to its form behind them.

    Args:
        model: makes the first bar, and says which z a bar has.
        prior: of the same kit and grid; draws the other bars.
        seeds: n of them; a phrase is a function of its seed.
        n_bars: bars of each, at least 1.
        temperature: of the first bar, over 0, see ``model.latents``; the others follow it.
        fill: where fills are behind the first bar: "songs", as often as in songs; "last", in the last bar; "none"; or
            the numbers of their bars, as 4 or "4,8".
        form: which bars are the same, instead of a form as in songs: a letter for each bar, of which A is the seed's
            own bar, V a variation and F a fill, as AAAF or AAAVAAAF. It says where fills are, ``fill`` does not.

    Returns:
        Bars (n, n_bars, steps, parts) bool, and a latent point of each, (n, n_bars, latent_dim) float32. A bar that
        comes again has the same point.

    Raises:
        ValueError: an option out of range, a prior of other bars or without forms, or one that knows no fills where
            they are asked for.
    """
    if n_bars < 1:
        raise ValueError(f"a phrase has at least one bar, not {n_bars}")
    if n_bars > _MAX_BARS:
        raise ValueError(f"a phrase has at most {_MAX_BARS:,} bars, not {n_bars:,}")
    if (prior.kit, prior.steps) != (model.kit, model.steps):
        raise ValueError(
            f"the prior is of kit {prior.kit.name} and {prior.steps} steps, "
            f"the bars of {model.kit.name} and {model.steps}; `rhythmgan train prior` makes one for them"
        )
    places = fill_places(fill, n_bars) if form is None else _checked_form(form, n_bars)
    follow = _ByRole(prior, model.condition.style)
    if places:
        prior.with_condition(role=ROLES[FILL])  # which it may not know
    seeds = np.asarray(seeds, np.int64 if len(seeds) == 0 else None)
    z = np.zeros((len(seeds), n_bars, model.latent_dim), np.float32)
    bars = np.zeros((len(seeds), n_bars, model.steps, model.kit.n_parts), bool)
    z[:, 0], bars[:, 0] = model.draw(seeds, temperature)
    if form is None:
        letters, roles = _forms(model, prior, seeds, bars[:, 0], n_bars, places)
    else:
        letters = np.tile([_FORM.index(letter) for letter in form], (len(seeds), 1))
        roles = np.array([GROOVE, VARIATION, FILL])[letters]
    first = np.argmax(letters[:, :, None] == letters[:, None], 2)  # where each bar comes first
    for bar in range(1, n_bars):
        again = np.flatnonzero(first[:, bar] < bar)
        bars[again, bar] = bars[again, first[again, bar]]
        new = np.flatnonzero(first[:, bar] == bar)
        for role in np.unique(roles[new, bar]):
            rows = new[roles[new, bar] == role]
            bars[rows, bar] = follow.draw(int(role), bars[rows, :bar], seeds[rows])
    is_new = first == np.arange(n_bars)
    is_new[:, 0] = False
    z[is_new] = model.encode(bars[is_new], np.repeat(seeds, is_new.sum(1)))
    return bars, np.take_along_axis(z, first[:, :, None], 1)


def _checked_form(form: str, n_bars: int) -> list[int]:
    """The places of the fills of a form.

    Raises:
        ValueError: no form of so many bars.
    """
    if len(form) != n_bars or form[:1] != "A" or set(form) - set(_FORM):
        raise ValueError(f"a form of {n_bars} bars has as many letters, A first, then A, V or F; got {form!r}")
    return [place for place, letter in enumerate(form) if letter == "F"]


def _forms(
    model: LatentModel, prior: PhrasePrior, seeds: np.ndarray, bars: np.ndarray, n_bars: int, fills: list[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Letters and roles (n, n_bars) of phrases that begin with these bars (n, steps, parts); see ``Forms.draw``."""
    asked = model.condition.role
    streams = RANDOM_STREAMS["phrase form"]
    uniform = np.concatenate(
        [np.zeros((len(seeds), 0))] + [seeds_to_uniform(seeds, 1, streams[place]) for place in range(1, n_bars)], 1
    )
    letters, roles = prior.forms.draw(
        bars, uniform, ROLES.index(asked) if asked in ROLES else GROOVE, with_fills=fills is None
    )
    for place in fills or ():
        letters[:, place] = n_bars + place  # a letter of its own
        roles[:, place] = FILL
    return letters, roles


class _ByRole:
    """A prior asked for bars of each role that it knows."""

    def __init__(self, prior: PhrasePrior, style: str) -> None:
        if not len(prior.forms):
            raise ValueError("the prior has no forms of phrases; `rhythmgan train prior` makes one that has")
        self._prior = prior.prepared()
        if style != ANY:
            self._prior = self._prior.with_condition(style=style)

    def draw(self, role: int, before: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Bars (n, steps, parts) of a role that follow phrases (n, bars, steps, parts) and are none of their bars.

        Two are drawn: one follows the bar before, the other the bar two before. The nearer one to the last bars is the
        likelier: bars of songs lie around something that none of them is, not in a line. If one of the two is silent or
        a bar of the phrase, the other one is taken; if both are, bars are drawn until one is not. Of fills only one is
        drawn, as they are not near to anything.
        """
        prior = self._prior.with_condition(role=ROLES[role] if ROLES[role] in self._prior.roles else ANY)
        n, place = before.shape[:2]
        wanted = 1 if role == FILL else 2
        streams = RANDOM_STREAMS["phrase bars"][(place - 1) * _TRIES : place * _TRIES]
        followed = [before[:, max(place - 1 - number, 0)] for number in range(wanted)]
        at_once = prior.draw(
            np.tile(seeds, wanted), np.repeat(streams[:wanted], n), previous=np.concatenate(followed)
        ).reshape(wanted, n, *before.shape[2:])
        candidates = np.zeros((n, 2, *before.shape[2:]), bool)
        count = np.zeros(n, np.int64)
        for number in range(_TRIES):
            left = np.flatnonzero(count < (wanted if number < wanted else 1))
            if not len(left):
                break
            if number < wanted:
                drawn = at_once[number, left]
            else:
                drawn = prior.draw(seeds[left], streams[number], previous=followed[number % wanted][left])
            is_new = drawn.any((1, 2)) & ~(drawn[:, None] == before[left]).all((2, 3)).any(1)
            taken = is_new | (count[left] == 0)  # so that there is one in any case
            candidates[left[taken], count[left[taken]]] = drawn[taken]
            count[left] += is_new
        changed = (candidates[:, :, None] != before[:, None, -_LAST:]).sum((3, 4)).mean(2)
        first = 1 / (1 + np.exp(_NEARNESS * (changed[:, 0] - changed[:, 1])))
        uniform = seeds_to_uniform(seeds, 2, RANDOM_STREAMS["phrase form"][place])[:, 1]
        second = (count > 1) & (uniform > first)
        return np.where(second[:, None, None], candidates[:, 1], candidates[:, 0])
