"""How fast steering is: the environment with a toy generator, our DQN beside Stable-Baselines3's, and a steer.

    python benchmarks/agent.py [threads]

Stable-Baselines3 learns on the single environment, as it has no batched one; both learn from as many remembered
transitions for each new one, on the same environment with the same network, an MLP of 2 x 64.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from stable_baselines3 import DQN as TheirDQN

from rhythmgan.models.config import GANConfig
from rhythmgan.models.gan import GAN, load_gan
from rhythmgan.models.word_lstm import load_prior
from rl_tuner.agent import load_agent
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN, QNetwork
from rl_tuner.envs.latent import LatentEnv, LatentVectorEnv
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.latent.dynamics import Dynamics
from rl_tuner.latent.space import find_space
from rl_tuner.steering import steer

REPEATS = 5


class Toy(GAN):
    """A generator that costs nothing: a cell sounds where its z is over 1."""

    def decode(self, z: np.ndarray | torch.Tensor) -> np.ndarray:
        return (np.asarray(z) > 1).reshape(-1, self.config.steps, self.kit.n_parts)


def env_rate(dynamics: Dynamics, num_envs: int, steps: int) -> float:
    """Environment steps a second, with random actions."""
    env = LatentVectorEnv(dynamics, dynamics.space.values, num_envs, weighted=False)
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(0, dynamics.n_actions, (steps, num_envs))
    started = time.perf_counter()
    for each in actions:
        env.step(each)
    return num_envs * steps / (time.perf_counter() - started)


def our_rate(dynamics: Dynamics, num_envs: int, replayed: int, steps: int) -> float:
    """Transitions a second while our DQN learns, from ``replayed`` remembered ones for each."""
    env = LatentVectorEnv(dynamics, dynamics.space.values, num_envs, weighted=False)
    batch = 4096
    config = DQNConfig(
        train_steps=10**9,
        batch_size=batch,
        gradient_steps=max(1, num_envs * replayed // batch),
        learning_starts=2 * batch,
        n_step=1,
    )
    dqn = DQN(env, config, QNetwork(dynamics.layout.width, dynamics.n_actions, 64))
    for _ in range(2 * batch // num_envs + 3):
        dqn.step()
    before, started = dqn.steps_done, time.perf_counter()
    for _ in range(steps):
        dqn.step()
    return (dqn.steps_done - before) / (time.perf_counter() - started)


def their_rate(dynamics: Dynamics, replayed: int, steps: int) -> float:
    """Transitions a second while Stable-Baselines3's DQN learns."""
    env = LatentEnv(dynamics, dynamics.space.values, weighted=False)
    options: dict[str, Any] = {"net_arch": [64, 64]}
    model = TheirDQN(
        "MlpPolicy",
        env,
        learning_starts=100,
        buffer_size=50_000,
        batch_size=32,
        train_freq=32 // replayed,
        policy_kwargs=options,
    )
    model.learn(200)
    started = time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    return steps / (time.perf_counter() - started)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"{torch.get_num_threads()} thread(s), median of {REPEATS}")
    toy = Toy(GANConfig(width=8, discriminator_width=8)).eval()
    prior, gan = load_prior(), load_gan()
    dynamics = Dynamics(toy, toy, prior, find_space(toy, toy, prior, n=4000, n_directions=8))

    alone = [env_rate(dynamics, 4096, 20) for _ in range(REPEATS)]
    print(f"environment, toy generator, 4,096 episodes: {np.median(alone):,.0f} steps/s")
    for replayed in (1, 8):
        # in turn, so that a busy moment of the machine meets both
        pairs = [(our_rate(dynamics, 4096, replayed, 10), their_rate(dynamics, replayed, 1000)) for _ in range(REPEATS)]
        ours, theirs = np.median(pairs, 0)
        ratio = np.median([a / b for a, b in pairs])
        print(
            f"learning, {replayed} remembered for each new one: ours {ours:,.0f}, Stable-Baselines3 {theirs:,.0f} "
            f"steps/s, {ratio:.0f} times"
        )
    agent = load_latent_agent()
    own = agent.dynamics(gan, gan, prior)
    real = [env_rate(own, 1024, 4) for _ in range(REPEATS)]
    print(f"environment, bundled generator, 1,024 episodes: {np.median(real):,.0f} steps/s")
    targets, steerer = {"density": 20, "syncopation": 6}, load_agent()
    for calls in (32, 8):
        seconds = []
        for _ in range(REPEATS + 1):  # the first warms up
            started = time.process_time()
            found = steer(targets, 100, calls=calls, agent=steerer, generator=gan, prior=prior)
            seconds.append(time.process_time() - started)
        print(f"steer, 100 bars, {calls} calls: {np.median(seconds[1:]):.2f} s, {found.success.mean():.0%} success")


if __name__ == "__main__":
    main()
