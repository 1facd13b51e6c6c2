"""The latent space of a generator as a reinforcement-learning environment: one episode, or thousands at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from rl_tuner.envs.episodes import EpisodeEnv, EpisodeVectorEnv
from rl_tuner.latent.dynamics import Dynamics


class LatentVectorEnv(EpisodeVectorEnv):
    """A batch of the episodes of ``LatentEnv``, whose specification holds here too, all moved by one generator call.

    ## Episode end
    An episode that has ended begins anew with the next step (``AutoresetMode.NEXT_STEP``), whose action is ignored.
    Until then it is as in ``LatentEnv``.

    ## Arguments
    See ``EpisodeVectorEnv``; the dynamics are a ``Dynamics`` of generator, critic, prior and latent space. Each term in
    ``info["terms"]`` is an array (num_envs,).
    """


class LatentEnv(EpisodeEnv):
    """An episode in latent space towards a bar with the features asked for: ``LatentDrums-v0``.

    ## Action space
    ``Discrete(n_actions)``: 0 stops: it ends the episode; the others step z along a direction or move it towards the
    targets, see ``Moves``.

    ## Observation space
    ``Box(low, high, (n,), float32)``, see ``latent_layout``. For z of 192 numbers, bars of 192 cells (those of the
    bundled models), two features and the terms realism, likelihood and kl:

    | index | meaning | min | max |
    | --- | --- | --- | --- |
    | 0 to 191 | latent point z, a fifth of it | -10 | 10 |
    | 192 to 383 | cells of the bar, step by step: -0.2 or 0.2 | -0.2 | 0.2 |
    | 384 to 385 | features, standardised by those of unsteered bars | -10 | 10 |
    | 386 to 387 | targets, likewise; the value itself of a skipped feature | -10 | 10 |
    | 388 to 389 | tanh(gap / 3), a gap being target − feature in tolerances | -1 | 1 |
    | 390 to 391 | gap / 10 | -10 | 10 |
    | 392 to 393 | importance of each feature; 0 where it is skipped | 0 | 10 |
    | 394 | match, see `rewards.match` | 0 | 1 |
    | 395 | success, 0 or 1 | 0 | 1 |
    | 396 | realism; 0 without success or without a coefficient | 0 | 1 |
    | 397 | likelihood; 0 without success or without a coefficient | 0 | 1 |
    | 398 | coefficient of realism | 0 | 1 |
    | 399 | coefficient of likelihood | 0 | 1 |
    | 400 | coefficient of kl | 0 | 1 |
    | 401 | calls left / 64, at most 1 | 0 | 1 |
    | 402 | log2(calls left + 1) / 6 | 0 | 2 |

    ## Rewards
    How much the score of the bar has grown with the step (``delta``), which sums up to how much better the episode made
    it, or the score itself (``absolute``), less the costs of the move: price · coefficient · nats of ``kl``. The
    score is the match with the targets and the sum of coefficient · term over ``rewards.BAR_TERMS``. The terms are in
    ``info["terms"]``, as floats.

    ## Starting state
    z ~ N(0, I), or ``options["z"]``. Targets are rows of ``targets``, a share of them crossed (each feature
    from a row of its own); a share of the episodes skips a feature; the coefficient of each term is 0 for half of
    the episodes and even over 0 … 1 for the others; calls are drawn evenly from the logarithm of 4 … ``calls``.
    ``options["goals"]``, a ``Goals``, sets them instead, for this reset only.

    ## Episode end
    Terminated when the agent stops, or when no calls are left. The observation says how many are left, so no value
    follows. Never truncated. An episode that has ended waits for a reset.

    ## Arguments
    dynamics: generator, critic, prior and latent space. ``gymnasium.make`` takes the bundled ones by default.

    targets: (m, F), features of bars to steer to; those of unsteered bars by default.

    calls, crossed, skipped, reward, weighted: see ``EpisodeVectorEnv``.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        targets: Tensor | np.ndarray | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(vector_env(dynamics, targets, num_envs=1, render_mode=render_mode, **options))


def vector_env(
    dynamics: Dynamics, targets: Tensor | np.ndarray | None = None, num_envs: int = 1, **options: Any
) -> LatentVectorEnv:
    """A ``LatentVectorEnv``; by default with targets from unsteered bars."""
    return LatentVectorEnv(dynamics, dynamics.space.values if targets is None else targets, num_envs, **options)
