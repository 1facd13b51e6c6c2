"""What a learner remembers: the last steps of a batch of environments, drawn as segments.

Prioritised replay: Schaul et al. 2016.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from rhythmgan.training.checkpoint import check_alike


class Batch(NamedTuple):
    """Segments of k steps out of the replay.

    Attributes:
        observations: (n, k + 1, dim).
        actions: (n,) ints, the first action of each.
        rewards: (n, k).
        ended: (n, k) bool, whether the episode is over after the step.
        terminated: (n, k) bool, whether it is over and nothing more is to be expected.
        indices: (n,) ints, where each first step is remembered.
        probabilities: (n,), of each to be drawn.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    ended: Tensor
    terminated: Tensor
    indices: Tensor
    probabilities: Tensor


_ROWS = ("observations", "actions", "rewards", "terminated", "ended", "priorities")
"""What is remembered of each step."""


class Replay:
    """The last steps of a batch of environments, a ring over time.

    A segment is read as it happened: what stands at the next time is the next observation, and the step that only
    begins a new episode (``AutoresetMode.NEXT_STEP``) is no transition.

    Attributes:
        priorities: (length, n_envs), how often each step is drawn, up to a factor; 0 for what is no transition.
        max_priority: that new steps get.

    Args:
        n_envs: environments.
        buffer_size: transitions to remember, of all of them.
        dim: numbers in an observation.
        device: where they are kept.
    """

    def __init__(self, n_envs: int, buffer_size: int, dim: int, device: torch.device) -> None:
        self.length = max(buffer_size // n_envs, 2)
        shape = (self.length, n_envs)
        self.observations = torch.empty(*shape, dim, dtype=torch.float32, device=device)
        self.actions = torch.empty(shape, dtype=torch.long, device=device)
        self.rewards = torch.empty(shape, dtype=torch.float32, device=device)
        self.terminated = torch.empty(shape, dtype=torch.bool, device=device)
        self.ended = torch.empty(shape, dtype=torch.bool, device=device)
        self.priorities = torch.zeros(shape, dtype=torch.float32, device=device)
        self.max_priority = 1.0
        self.time = 0

    def add(
        self, observations: Tensor, actions: Tensor, rewards: Tensor, terminated: Tensor, ended: Tensor, real: Tensor
    ) -> None:
        """Remember one step of all environments; ``real`` (n,) is false where it only began an episode."""
        at = self.time % self.length
        self.observations[at] = observations
        self.actions[at] = actions
        self.rewards[at] = rewards
        self.terminated[at] = terminated
        self.ended[at] = ended
        self.priorities[at] = self.max_priority * real
        self.time += 1

    def sample(self, n: int, k: int, random: torch.Generator) -> Batch:
        """n segments of k steps, their first steps drawn by priority; none reaches over the present.

        Raises:
            ValueError: too few steps are remembered for a segment.
        """
        n_envs = self.actions.shape[1]
        held = min(self.time, self.length)
        first = self.time - held
        usable = held - k  # the last observation of a segment must be there
        if usable < 1:
            raise ValueError(f"{held} steps in time are remembered, too few for segments of {k}")
        times = torch.arange(first, first + usable, device=self.actions.device) % self.length
        priorities = self.priorities[times].flatten()
        total = priorities.double().cumsum(0)
        drawn = torch.rand(n, generator=random, device=total.device, dtype=torch.float64) * total[-1]
        index = torch.searchsorted(total, drawn, right=True).clamp(max=len(total) - 1)
        start, env = index // n_envs, index % n_envs
        steps = (first + start[:, None] + torch.arange(k + 1, device=start.device)) % self.length
        rows = steps[:, :k]
        column = env[:, None]
        return Batch(
            self.observations[steps, column],
            self.actions[rows[:, 0], env],
            self.rewards[rows, column],
            self.ended[rows, column],
            self.terminated[rows, column],
            rows[:, 0] * n_envs + env,
            (priorities[index] / total[-1]).float(),
        )

    def get_state(self) -> dict[str, Any]:
        """What is remembered, without copying it: numbers, and rows of the ring as far as it is filled."""
        held = min(self.time, self.length)
        rows = {name: getattr(self, name)[:held] for name in _ROWS}
        return {"time": self.time, "max_priority": self.max_priority, **rows}

    def check_state(self, state: dict[str, Any]) -> None:
        """Raise a ValueError where a state is none of ``get_state``, or of a replay of another size."""
        time = state.get("time")
        if type(time) is not int or time < 0:
            raise ValueError("the replay has no number of steps in time")
        held = min(time, self.length)
        rows = {name: getattr(self, name)[:held] for name in _ROWS}
        check_alike(state, {"time": 0, "max_priority": 1.0, **rows}, "the replay")
        if not 0 <= state["max_priority"] < float("inf") or not bool((state["priorities"] >= 0).all()):
            raise ValueError("the replay's priorities are numbers from 0 on")

    def set_state(self, state: dict[str, Any]) -> None:
        """Remember what ``get_state`` said."""
        self.time, self.max_priority = state["time"], state["max_priority"]
        for name in _ROWS:
            getattr(self, name)[: len(state[name])] = state[name]

    def update_priorities(self, indices: Tensor, priorities: Tensor) -> None:
        """Set the priorities (n,) of remembered steps, of ``Batch.indices``."""
        self.priorities.view(-1)[indices] = priorities
        self.max_priority = max(self.max_priority, float(priorities.max()))
