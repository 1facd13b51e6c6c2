"""What a drum teacher would say of a note: the explicit part of the reward, each term a number for the newest note.

Ravula and Cao wished for "explicit percussion theory" as a reward, as RL Tuner has music theory (Jaques et al. 2017).
How much each term counts is not set by hand: ``fit_coefs`` finds what makes loops have as much of each as songs have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rhythmgan.bars import BEATS
from rhythmgan.kit import Kit
from rhythmgan.roles import drum_parts

MAX_RUN = 4
"""Notes of one part in a row, a beat of them; further ones are excessive."""

MAX_REST = 4
"""Steps of silence in a row, likewise."""

Percussion = Callable[[Tensor], Tensor]
"""Notes (n, t) ints so far, the newest the last → what the newest one is worth (n,)."""


def percussion_terms(kit: Kit, steps: int) -> dict[str, Percussion]:
    """The terms by name.

    * ``repeat``: -1 for a note of the part that played the step before.
    * ``repetition``: -1 for a note of the part that played the four steps before as well.
    * ``silence``: -1 for a rest after four steps of rest.
    * ``backbeat``: 1 for a snare on beat 2 or 4.
    * ``downbeat``: 1 for a kick on beat 1.
    * ``figure``: 1 for what was played a bar before, a rest or a note.
    * ``pulse``: 1 for a hat or a ride on an eighth.

    Args:
        kit: what the notes are: 0 is silence, otherwise 1 + the part.
        steps: of a bar.
    """
    parts = drum_parts(kit)
    beat = steps // BEATS
    crashes = {index for index, name in enumerate(kit.names) if "crash" in name}

    def played(notes: Tensor, which: Tensor) -> Tensor:
        return torch.isin(notes[:, -1], which)

    def of(indices: object) -> Tensor:
        return torch.tensor([int(index) + 1 for index in indices])  # type: ignore[attr-defined]

    kicks, snares = of(parts.kicks), of(parts.snares)
    timekeepers = of(index for index in parts.cymbals if int(index) not in crashes)

    def repeat(notes: Tensor) -> Tensor:
        return -_run_is_longer(notes, 1, notes[:, -1] > 0)

    def repetition(notes: Tensor) -> Tensor:
        return -_run_is_longer(notes, MAX_RUN, notes[:, -1] > 0)

    def silence(notes: Tensor) -> Tensor:
        return -_run_is_longer(notes, MAX_REST, notes[:, -1] == 0)

    def at(notes: Tensor, *places: int) -> bool:
        return (notes.shape[1] - 1) % steps in places

    def backbeat(notes: Tensor) -> Tensor:
        return played(notes, snares).float() * at(notes, beat, 3 * beat)

    def downbeat(notes: Tensor) -> Tensor:
        return played(notes, kicks).float() * at(notes, 0)

    def figure(notes: Tensor) -> Tensor:
        if notes.shape[1] <= steps:
            return torch.zeros(len(notes))
        return (notes[:, -1] == notes[:, -1 - steps]).float()

    def pulse(notes: Tensor) -> Tensor:
        return played(notes, timekeepers).float() * at(notes, *range(0, steps, beat // 2))

    terms = (repeat, repetition, silence, backbeat, downbeat, figure, pulse)
    return {term.__name__: term for term in terms}


def _run_is_longer(notes: Tensor, most: int, counts: Tensor) -> Tensor:
    """1 where the newest note and the ``most`` before it are all the same, and it ``counts`` (n,); 0 otherwise."""
    if notes.shape[1] <= most:
        return torch.zeros(len(notes))
    last = notes[:, -most - 1 :]
    return ((last == last[:, -1:]).all(1) & counts).float()


def totals(terms: Mapping[str, Percussion], notes: Tensor, n_given: int) -> Tensor:
    """What whole loops collect of each term: notes (n, length) → (n, terms), without the notes that are given."""
    steps = range(n_given + 1, notes.shape[1] + 1)
    return torch.stack([torch.stack([term(notes[:, :t]) for t in steps]).sum(0) for term in terms.values()], 1)


def fit_coefs(
    real: Tensor, drawn: Tensor, log_weights: Tensor | None = None, *, ridge: float = 0.05, n_steps: int = 200
) -> Tensor:
    """Coefficients λ with which loops drawn by a reference come to have as much of each term as songs' loops.

    Of all distributions with the songs' means the one nearest to the reference has p ∝ reference · exp(Σ λ · total)
    (Jaynes 1957): what an agent plays that is rewarded so, and pays a reward for each nat of leaving the reference.
    Newton's steps on the dual, with a penalty on λ² for a term that hardly varies.

    Args:
        real: (m, terms), totals of songs' loops.
        drawn: (n, terms), totals of the reference's.
        log_weights: (n,), what is rewarded beside the terms; nothing by default.
        ridge: weight of the penalty.
        n_steps: at most.

    Returns:
        (terms,), in nats.
    """
    real, drawn = real.double(), drawn.double()
    wanted = real.mean(0)
    base = torch.zeros(len(drawn), dtype=torch.float64) if log_weights is None else log_weights.double()
    found = torch.zeros(real.shape[1], dtype=torch.float64)
    for _ in range(n_steps):
        chance = (base + drawn @ found).softmax(0)
        mean = chance @ drawn
        centred = drawn - mean
        hessian = centred.T @ (chance[:, None] * centred) + ridge * torch.eye(len(found), dtype=torch.float64)
        gradient = wanted - mean - ridge * found
        step = torch.linalg.solve(hessian, gradient)
        found = found + step.clamp(-0.5, 0.5)
        if step.abs().max() < 1e-6:
            break
    return found.float()
