"""The same bars and numbers whatever precision the caller has set for his own work."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import rhythmgan
from rhythmgan.features import measure
from rhythmgan.generate.morph import morph
from rhythmgan.generate.variation import fill, vary
from rhythmgan.models.catalogue import load_generator, load_likelihood
from rl_tuner.agent import load_agent
from rl_tuner.envs import LATENT
from rl_tuner.envs.latent import vector_env
from rl_tuner.envs.stepwise import vector_env as stepwise_env
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.steering import steer

pytestmark = pytest.mark.usefixtures("one_thread")


@contextmanager
def _double_by_default():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _autocast():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


SETTINGS = {"float64 by default": _double_by_default, "autocast to bfloat16": _autocast}


def _sampled():
    return load_generator("gan").sample(200, seed=7)


def _asked():
    """For a role and a style, colder than they were trained."""
    gan = load_generator("gan")
    gan = gan.with_condition(gan.roles[-1], gan.styles[0])
    bars = gan.sample(100, seed=7, temperature=0.6)
    prior = load_likelihood("prior").with_condition(gan.condition.role, gan.condition.style)
    return bars, gan.encode(bars[:8]), gan.cell_log_prob(bars[:9], 0.6), gan.logits(bars), prior.log_prob(bars)


def _encoded():
    gan = load_generator("gan")
    points = gan.encode(gan.sample(8))
    return points, gan.decode(points)


def _decided_step_by_step():
    gan = load_generator("gan")
    noise = torch.from_numpy(gan.latents(range(20))).view(20, gan.steps, -1)
    bars = gan.begin(20)
    for step in range(gan.steps):
        bars = bars.decide(noise[:, step])
    return bars.cells


def _with_gradient():
    gan = load_generator("gan")
    return gan.decode_with_gradient(torch.from_numpy(gan.latents(range(4))).requires_grad_()).detach()


def _phrases():
    return rhythmgan.phrases(load_generator("gan"), load_likelihood("prior"), [3, 4], 4)


def _interpolated():
    gan = load_generator("gan")
    ends = gan.latents([3, 17])
    bars = gan.decode(ends)
    return rhythmgan.interpolate(ends[0], ends[1], 9), morph(gan, bars[:1], bars[1:], 7)


def _varied():
    gan = load_generator("gan")
    loop = gan.sample(2, seed=1)
    locked = np.zeros(loop.shape[1:], bool)
    locked[:, 0] = True
    return (*vary(gan, loop, [0, 1, 2]), *vary(gan, loop, [0], locked=locked), fill(gan, loop[0], locked, [5, 6]))


def _drawn_from_the_prior():
    return load_likelihood("prior").sample(16, seed=2)


def _judged():
    gan, prior = load_generator("gan"), load_likelihood("prior")
    bars = gan.sample(50)
    return gan.logits(bars), prior.log_prob(bars), prior.step_log_prob(bars[:9], bars[0]), gan.cell_log_prob(bars[:9])


def _measured():
    bars = load_generator("gan").sample(300)
    soft = torch.from_numpy(bars[:40] * np.float32(0.75))
    return (*measure(bars).values(), rhythmgan.density(soft), rhythmgan.syncopation(soft))


def _episodes():
    import gymnasium

    env = gymnasium.make(LATENT)
    seen = [env.reset(seed=3)[0]]
    seen += [env.step(action)[0] for action in (1, 9, 4)]
    agent = load_latent_agent()
    envs = vector_env(agent.dynamics(load_generator(), load_generator(), load_likelihood()), num_envs=20)
    observations, _ = envs.reset(seed=5)
    for _ in range(6):
        observations, rewards, ended, _, _ = envs.step(agent.act(torch.from_numpy(observations)).numpy())
        seen += [observations, rewards, ended]
    return tuple(seen)


def _steered():
    found = steer({"density": 20, "syncopation": 6}, 6, calls=12, importance={"density": 2})
    close = steer({"density": 12}, 2, calls=6, given=found.bars[:2], locked=found.bars[:2] & (np.arange(12) < 2))
    results = [(each.after, each.z, each.values, each.calls, *each.terms.values()) for each in (found, close)]
    return results[0] + results[1]


def _learnt_stepwise():
    """What is seen and rewarded while bars are decided, and what an agent says of it."""
    agent, gan = load_agent(), load_generator()
    envs = stepwise_env(agent.dynamics(gan, gan, load_likelihood()), bars=gan.sample(20), num_envs=10)
    observations, _ = envs.reset(seed=5)
    seen = []
    for _ in range(16):
        nats = agent.nats(torch.from_numpy(observations))
        observations, rewards, *_, info = envs.step(nats.argmax(1).numpy())
        seen += [nats, observations, rewards]
    return *seen, info["z"], info["bars"]


@pytest.fixture(scope="module")
def expected():
    """What each gives where nothing is set."""
    return {}


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(
    "work",
    [
        _sampled,
        _asked,
        _encoded,
        _decided_step_by_step,
        _with_gradient,
        _phrases,
        _interpolated,
        _varied,
        _drawn_from_the_prior,
        _judged,
        _measured,
        _episodes,
        _steered,
        _learnt_stepwise,
    ],
    ids=lambda work: work.__name__.strip("_"),
)
def test_the_same_in_any_precision(work, setting, expected):
    if work not in expected:
        expected[work] = work()
    with setting():
        found = work()
    assert type(found) is type(expected[work])
    pairs = zip(found, expected[work], strict=True) if isinstance(found, tuple) else [(found, expected[work])]
    for mine, before in pairs:
        mine, before = np.asarray(mine), np.asarray(before)
        assert mine.dtype == before.dtype
        np.testing.assert_array_equal(mine, before)
