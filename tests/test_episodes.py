"""What all kinds of episodes share: goals with named terms, the table of the observation, the budget, the best bar."""

import inspect
import math

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rhythmgan.features import density
from rhythmgan.kit import GM9
from rl_tuner import goals as goals_room
from rl_tuner import rewards
from rl_tuner.dynamics import BarDynamics, Best, State, advance
from rl_tuner.envs.episodes import EpisodeEnv, EpisodeVectorEnv
from rl_tuner.envs.latent import LatentEnv
from rl_tuner.goals import Goals
from rl_tuner.latent.dynamics import latent_layout
from rl_tuner.layout import Entry, Layout
from rl_tuner.rewards import TERMS, RewardModels
from rl_tuner.scale import FeatureScale

pytestmark = pytest.mark.usefixtures("one_thread")


# the table of an observation


LAYOUT = Layout(
    [Entry("near", 2, "two near ones", -1, 1), Entry("far", 1, "a far one", -9, 0.5), Entry("z", 3, "z", 0, 2)]
)


def test_entries_stand_where_the_table_says():
    assert LAYOUT.width == 6
    assert [LAYOUT.slice(name) for name in ("near", "far", "z")] == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert LAYOUT.low.tolist() == [-1, -1, -9, 0, 0, 0]
    assert LAYOUT.high.tolist() == [1, 1, 0.5, 2, 2, 2]
    parts = {"far": torch.tensor([[-4.0]]), "z": torch.tensor([[0.5, 1.5, 2.0]]), "near": torch.tensor([[0.25, -1.0]])}
    packed = LAYOUT.pack(parts)
    assert packed.tolist() == [[0.25, -1.0, -4.0, 0.5, 1.5, 2.0]]
    again = LAYOUT.unpack(packed[:, None].expand(1, 7, 6))
    assert {name: tuple(part.shape) for name, part in again.items()} == {
        "near": (1, 7, 2),
        "far": (1, 7, 1),
        "z": (1, 7, 3),
    }
    assert all(torch.equal(again[name][:, 3], part) for name, part in parts.items())


def test_numbers_out_of_their_bounds_are_clipped_each_to_its_own():
    parts = {"near": torch.tensor([[3.0, -3.0]]), "far": torch.tensor([[3.0]]), "z": torch.tensor([[-1.0, 5.0, 1.0]])}
    assert LAYOUT.pack(parts).tolist() == [[1, -1, 0.5, 0, 2, 1]]


def test_what_does_not_fit_the_table_is_refused():
    near, far, z = torch.zeros(4, 2), torch.zeros(4, 1), torch.zeros(4, 3)
    with pytest.raises(ValueError, match="expected near, far, z; got near, far"):
        LAYOUT.pack({"near": near, "far": far})
    with pytest.raises(ValueError, match="got near, far, z, more"):
        LAYOUT.pack({"near": near, "far": far, "z": z, "more": far})
    with pytest.raises(ValueError, match="near has 2 numbers, not 3"):
        LAYOUT.pack({"near": z, "far": far, "z": z})
    with pytest.raises(ValueError, match="two entries of the observation are called 'z'"):
        Layout([Entry("z", 1, "", 0, 1), Entry("z", 2, "", 0, 1)])


def test_the_table_in_markdown():
    assert LAYOUT.table().splitlines() == [
        "| index | meaning | min | max |",
        "| --- | --- | --- | --- |",
        "| 0 to 1 | two near ones | -1 | 1 |",
        "| 2 | a far one | -9 | 0.5 |",
        "| 3 to 5 | z | 0 | 2 |",
    ]


def test_the_sheet_of_the_environment_has_gymnasiums_headings_and_the_table_of_the_layout():
    sheet = inspect.getdoc(LatentEnv)
    layout = latent_layout(192, 192, 2)
    assert layout.table() in sheet
    headings = [line for line in sheet.splitlines() if line.startswith("## ")]
    names = ["Action space", "Observation space", "Rewards", "Starting state", "Episode end", "Arguments"]
    assert headings == [f"## {name}" for name in names]
    assert layout.width == 403


def test_terms_have_their_places_in_the_order_they_are_named():
    layout = latent_layout(5, 12, 3, ("kl", "likelihood"))
    assert layout.width == 5 + 12 + 5 * 3 + 2 + 1 + 2 + 2
    first = layout.slice("match").start
    names = ["match", "success", "likelihood", "kl coefficient", "likelihood coefficient", "calls left"]
    assert [layout.slice(name) for name in names] == [slice(first + i, first + i + 1) for i in range(6)]
    with pytest.raises(KeyError):
        layout.slice("realism")


# goals


def test_goals_name_the_terms_that_count():
    goals = Goals.of(torch.tensor([[3.0, 4.0], [5.0, 6.0]]), 7, likelihood=0.25)
    assert goals.importance.tolist() == [[1, 1], [1, 1]]
    assert goals.calls.tolist() == [7, 7]
    assert goals.coef("likelihood").tolist() == [0.25, 0.25]
    assert goals.coef("kl").tolist() == [0, 0]
    assert goals.asks_networks.tolist() == [True, True]
    assert not Goals.of(goals.targets, 7, kl=1.0, realism=0.0).asks_networks.any()
    whole = goals.with_terms(TERMS)
    assert {name: coef.tolist() for name, coef in whole.coefs.items()} == {
        "realism": [0, 0],
        "likelihood": [0.25, 0.25],
        "kl": [0, 0],
    }


def test_a_term_that_there_is_not_is_refused_by_name():
    targets = torch.ones(2, 2)
    with pytest.raises(ValueError, match="no term is called 'swing'; there are realism, likelihood, kl"):
        Goals.of(targets, 7, swing=0.5)
    with pytest.raises(ValueError, match="no term is called 'kl'; there are realism"):
        Goals.of(targets, 7, kl=0.5).with_terms(("realism",))


def test_coefficients_are_taken_copied_and_set_by_rows():
    goals = Goals.of(torch.arange(8.0).view(4, 2), 9, kl=0.5)
    goals.coefs["kl"][2] = 0.75
    assert goals.rows(torch.tensor([2, 0])).coefs["kl"].tolist() == [0.75, 0.5]
    copied = goals.copy()
    copied.put(torch.tensor([True, False, False, True]), Goals.of(torch.full((2, 2), 50.0), 3, kl=1.0))
    assert copied.coefs["kl"].tolist() == [1, 0.5, 0.75, 1]
    assert copied.targets.tolist() == [[50, 50], [2, 3], [4, 5], [50, 50]]
    assert copied.calls.tolist() == [3, 9, 9, 3]
    assert goals.coefs["kl"].tolist() == [0.5, 0.5, 0.75, 0.5]


# an environment of one's own: a step of the bar is toggled


class Nats:
    """A prior under which every onset costs two nats."""

    def log_prob(self, bars):
        return -2.0 * bars.sum((1, 2))


class Logits:
    """A critic whose logit is half the number of onsets."""

    def logits(self, bars):
        return bars.sum((1, 2)) / 2


class Toggles(BarDynamics):
    """z are the cells of a bar of twelve steps; action k toggles the kick of step k − 1."""

    def __init__(self, terms=TERMS):
        scale = FeatureScale(("density",))
        scale.means[:], scale.stds[:], scale.tolerance[:] = 4, 2, 1
        models = RewardModels(Logits(), Nats(), torch.tensor([1.0, -1.0, 0.5]))
        super().__init__(GM9, scale, models, 13, 12 * 9, terms=terms)

    def draw(self, n, random):
        return (torch.rand(n, 108, generator=random) < 0.05).float()

    def decode(self, z):
        return z.view(-1, 12, 9) > 0.5

    def move(self, z, actions, values, wanted, noise):
        moved = z.view(-1, 12, 9).clone()
        rows = torch.nonzero(actions > 0)[:, 0]
        moved[rows, actions[rows] - 1, 0] = 1 - moved[rows, actions[rows] - 1, 0]
        return moved.flatten(1), {"kl": (actions > 0) * 0.5}

    def see(self, state):
        return {}


def test_a_new_environment_is_a_dynamics_of_a_few_lines():
    env = EpisodeEnv(EpisodeVectorEnv(Toggles(), [[2.0], [5.0]], num_envs=1, render_mode="ansi"))
    check_env(env, skip_render_check=True)
    assert env.action_space == gymnasium.spaces.Discrete(13)
    assert env.observation_space.shape == (108 + 5 + 9,)
    seen, info = env.reset(seed=3)
    layout = env.batch.dynamics.layout
    cells = seen[layout.slice("cells")].reshape(12, 9) > 0
    other, reward, over, _, after = env.step(np.int64(3))
    toggled = other[layout.slice("cells")].reshape(12, 9) > 0
    assert (cells ^ toggled).sum() == 1
    assert cells[2, 0] != toggled[2, 0]
    coef = seen[layout.slice("kl coefficient")].item()
    assert reward == pytest.approx(after["terms"]["score"] - info["terms"]["score"] - 0.02 * coef * 0.5, abs=1e-6)
    assert not over
    assert env.step(np.int64(0))[2]


def test_an_episode_of_toggles_by_hand():
    """Two onsets, of which none is asked: the kick of the first step goes, another comes, the calls are used up."""
    dynamics = Toggles()
    envs = EpisodeVectorEnv(dynamics, [[0.0]], num_envs=2)
    z = torch.zeros(2, 108)
    z[0, [0, 10]] = 1  # kick of step 0, snare of step 1
    z[1, 0] = 1
    goals = Goals.of(torch.zeros(2, 1), 3, realism=0.5, kl=1.0)
    _, info = envs.reset(seed=0, options={"z": z, "goals": goals})
    far, near = 0.5 * math.exp(-2 / 4), 0.5 * math.exp(-1 / 4) + 0.5
    realism = [1 / (1 + math.exp(-(onsets / 2 - 1))) for onsets in range(3)]
    assert info["terms"]["match"] == pytest.approx([far, near])
    assert info["terms"]["realism"] == pytest.approx([0, realism[1]])  # the critic sees successes only
    first = [far, near + 0.5 * realism[1]]
    assert info["terms"]["score"] == pytest.approx(first)
    assert info["terms"]["likelihood"].tolist() == [0, 0]  # has no coefficient
    _, rewards_, over, _, info = envs.step(np.array([1, 1]))
    second = [near + 0.5 * realism[1], 1 + 0.5 * realism[0]]
    assert info["terms"]["score"] == pytest.approx(second)
    price = 0.02 * 1.0 * 0.5
    assert rewards_ == pytest.approx([second[0] - first[0] - price, second[1] - first[1] - price], abs=1e-6)
    assert over.tolist() == [False, False]
    _, rewards_, over, _, info = envs.step(np.array([0, 4]))
    assert rewards_ == pytest.approx([0, near + 0.5 * realism[1] - second[1] - price], abs=1e-6)
    assert over.tolist() == [True, True]  # one stayed, the other has no calls left
    seen, rewards_, over, _, _ = envs.step(np.array([2, 2]))
    assert rewards_.tolist() == [0, 0]
    assert over.tolist() == [False, False]
    calls = 64 * seen[:, dynamics.layout.slice("calls left")][:, 0]
    assert ((calls >= 3) & (calls <= 63)).all()  # all anew, the first call spent


def test_a_dynamics_of_fewer_terms_sees_and_counts_these_only():
    dynamics = Toggles(("likelihood",))
    envs = EpisodeVectorEnv(dynamics, [[1.0], [2.0]], num_envs=200)
    seen, info = envs.reset(seed=1)
    assert seen.shape == (200, 108 + 5 + 2 + 1 + 1 + 2)
    assert set(info["terms"]) == {"match", "success", "likelihood", "score"}
    coef = seen[:, dynamics.layout.slice("likelihood coefficient")][:, 0]
    assert 0.3 < (coef > 0).mean() < 0.7
    expected = info["terms"]["match"] + coef * info["terms"]["likelihood"]
    np.testing.assert_allclose(info["terms"]["score"], expected, rtol=1e-5)
    _, gains, _, _, after = envs.step(np.full(200, 1))  # no move costs anything
    np.testing.assert_allclose(gains, after["terms"]["score"] - info["terms"]["score"], atol=1e-6)
    with pytest.raises(ValueError, match="no term is called 'kl'; there are likelihood"):
        envs.reset(options={"goals": Goals.of(torch.ones(200, 1), 5, kl=1.0)})


def test_a_new_term_is_one_row_of_a_table(monkeypatch):
    monkeypatch.setitem(rewards.BAR_TERMS, "kicks", lambda models, bars: bars[:, :, 0].sum(1) / 4)
    assert "kicks" not in goals_room.Goals.of(torch.ones(1, 1), 3).coefs
    dynamics = Toggles(("kicks", "kl"))
    z = torch.zeros(3, 108)
    z[:, [0, 18]] = 1  # two kicks
    goals = Goals.of(torch.tensor([[2.0], [3.0], [9.0]]), 5, kicks=0.5)
    state = dynamics.begin(z, goals)
    assert state.terms["kicks"].tolist() == [0.5, 0.5, 0]  # the third misses its target
    torch.testing.assert_close(state.score, state.match + torch.tensor([0.25, 0.25, 0]))
    assert dynamics.observe(state, goals)[:, dynamics.layout.slice("kicks")].tolist() == [[0.5], [0.5], [0]]
    assert dynamics.observe(state, goals)[:, dynamics.layout.slice("kicks coefficient")].tolist() == [[0.5]] * 3


def test_an_unknown_term_of_a_dynamics_is_refused():
    with pytest.raises(ValueError, match="no term is called 'swing'"):
        Toggles(("realism", "swing"))


def test_a_single_environment_is_a_batch_of_one():
    with pytest.raises(ValueError, match="a batch of one, not of 2"):
        EpisodeEnv(EpisodeVectorEnv(Toggles(), [[1.0]], num_envs=2))


# the best bar, and what an actor does


def _states(*scores):
    n = len(scores)
    z = torch.arange(n, dtype=torch.float32)[:, None] + torch.tensor(scores)[:, None] * 100
    terms = {"match": torch.zeros(n), "success": torch.zeros(n), "score": torch.tensor(scores)}
    return State(z, torch.zeros(n, 1, 1, dtype=torch.bool), z.clone(), torch.full((n,), 5), terms)


def test_the_best_bar_of_each_episode_is_kept():
    best = Best(_states(1.0, 2.0, 3.0))
    best.keep(torch.tensor([2, 0]), _states(3.0, 1.5))  # not better; better
    best.keep(torch.tensor([0]), _states(1.25))
    best.keep(torch.tensor([0, 1]), _states(1.75, 2.5))
    assert best.state.score.tolist() == [1.75, 2.5, 3.0]
    assert best.state.z[:, 0].tolist() == [175, 251, 302]


@pytest.mark.parametrize("restarts", [True, False])
def test_an_actor_ends_an_episode_or_begins_it_anew(restarts):
    """Five episodes: one moves, one stays at a success, one stays without, one has no calls left, one moves."""
    dynamics = Toggles()
    z = torch.zeros(5, 108)
    z[2, :6] = 1
    goals = Goals.of(torch.zeros(5, 1), 4)
    state = dynamics.begin(z, goals)
    state.calls_left[3] = 0
    assert state.success.tolist() == [1, 1, 0, 1, 1]
    heard = []

    def draw(goes, anew):
        heard.append((goes.tolist(), anew.tolist()))
        return torch.ones(int(anew.sum()), 108), torch.zeros(len(anew), 108)

    actions = torch.tensor([2, 0, 0, 2, 4])
    goes, after = advance(lambda seen: actions[: len(seen)], dynamics, state, goals, draw, restarts)
    assert goes.tolist() == [True, False, restarts, False, True]
    assert heard == [(goes.tolist(), [False, True, False] if restarts else [False, False])]
    assert density(after.bars, GM9).tolist() == ([1, 108, 1] if restarts else [1, 1])
    assert after.calls_left.tolist() == [2] * len(after)
    assert state.z[2].sum() == 6  # what was given is left as it was


def test_where_all_are_over_nothing_is_drawn():
    dynamics = Toggles()
    goals = Goals.of(torch.zeros(2, 1), 4)
    state = dynamics.begin(torch.zeros(2, 108), goals)

    def draw(goes, anew):
        raise AssertionError("nothing goes on")

    goes, after = advance(lambda seen: torch.zeros(len(seen), dtype=torch.long), dynamics, state, goals, draw)
    assert not goes.any()
    assert len(after) == 0


# the scale of features


def test_calibration_by_hand():
    """Of three bars: logits 1, 2, 6; −1, −2 and −9 nats a step."""

    class Three:
        def logits(self, bars):
            return torch.tensor([1.0, 2.0, 6.0])

        def log_prob(self, bars):
            return 4 * torch.tensor([-1.0, -2.0, -9.0])

    scale = FeatureScale(("density",))
    scale.calibrate(np.zeros((3, 4, 9), bool), Three(), Three())
    assert scale.calibration.tolist() == pytest.approx([3.0, -2.0, 19**0.5])


def test_the_scale_of_features_by_hand():
    scale = FeatureScale(("density", "off-beat share"))
    scale.fit(torch.tensor([[1.0, 0.25], [2.0, 0.5], [6.0, 0.75]]))
    assert scale.means.tolist() == pytest.approx([3, 0.5])
    assert scale.stds.tolist() == pytest.approx([7**0.5, 0.25])
    assert scale.tolerance.tolist() == pytest.approx([1, 0.15 * 0.25])
    assert scale.values[:4].tolist() == [[1, 0.25], [2, 0.5], [6, 0.75], [1, 0.25]]
    torch.testing.assert_close(scale.standardised(torch.tensor([[3.0, 1.0]])), torch.tensor([[0.0, 2.0]]))
