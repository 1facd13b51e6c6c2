"""DrumEdit-v0: its specification, one episode by hand, and a toy that is learnt on it."""

import inspect
import json
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN
from rl_tuner.edit.editing import edit_bars
from rl_tuner.edit.edits import N_WORDS, STEPS
from rl_tuner.edit.network import EditNetwork
from rl_tuner.edit.observation import EDIT_LAYOUT, see
from rl_tuner.envs import EDIT
from rl_tuner.envs.edit import EditEnv, EditVectorEnv
from rl_tuner.tune.edit import level_combinations
from rl_tuner.tune.edit_published import PUBLISHED, Found, PublishedNetwork, search, search_all, search_at_random

KICK, SNARE, CLOSED, OPEN, TOMS = 16, 8, 4, 2, 1


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def silence(rest=-5.0):
    """(1, 16, 32): silence is the likeliest, everything else is ``rest`` nats less likely."""
    log_probs = torch.full((1, STEPS, N_WORDS), rest)
    log_probs[:, :, 0] = 0.0
    return log_probs


def log_probs_of(n, seed=0):
    return torch.randn(n, STEPS, N_WORDS, generator=torch.Generator().manual_seed(seed)).log_softmax(2)


def action(step, word):
    return np.array([step * N_WORDS + word])


def test_gymnasiums_own_check_finds_nothing():
    env = gymnasium.make(f"rl_tuner.envs:{EDIT}", log_probs=log_probs_of(5), targets=level_combinations())
    check_env(env.unwrapped, skip_render_check=True)
    check_env(EditEnv(log_probs_of(5), level_combinations(), render_mode="ansi"), skip_render_check=True)


def test_the_bundled_environments_need_no_arguments(monkeypatch):
    monkeypatch.setattr("rl_tuner.tune.edit._BARS", 8)
    env = gymnasium.make(f"rl_tuner.envs:{EDIT}")
    _, info = env.reset(seed=0)
    assert info["action_mask"].sum() == 16 * 22
    envs = gymnasium.make_vec(f"rl_tuner.envs:{EDIT}", num_envs=3, vectorization_mode="vector_entry_point")
    seen, _ = envs.reset(seed=0)
    assert seen.shape == (3, 605)
    assert envs.unwrapped.log_probs.shape == (8, 16, 32)


def test_the_sheet_has_gymnasiums_headings_and_the_table_of_the_layout():
    sheet = inspect.getdoc(EditEnv)
    assert EDIT_LAYOUT.table() in sheet
    headings = [line for line in sheet.splitlines() if line.startswith("## ")]
    names = ["Action space", "Observation space", "Rewards", "Starting state", "Episode end", "Arguments"]
    assert headings == [f"## {name}" for name in names]
    assert f"``Box(low, high, ({EDIT_LAYOUT.width},), float32)``" in sheet


def test_shapes_spaces_and_types():
    envs = EditVectorEnv(log_probs_of(5), level_combinations(), num_envs=3)
    seen, info = envs.reset(seed=1)
    assert seen in envs.observation_space
    assert seen.shape == (3, 605)
    assert seen.dtype == np.float32
    assert envs.single_action_space == gymnasium.spaces.Discrete(512)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert info["action_mask"].shape == (3, 512)
    assert info["action_mask"].sum(1).tolist() == [16 * 22] * 3


def test_one_episode_by_hand():
    """From silence two cymbals and a snare are asked for; the third edit cannot be played, the fourth is the last."""
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=1, edits=4, render_mode="ansi")
    goals = {"targets": np.array([[2.0, 1.0, 0.0, 0.0]]), "importance": np.array([[1.0, 1.0, 0.0, 0.0]])}
    _, info = envs.reset(seed=0, options={"rows": np.array([0])} | goals)
    assert info["words"].tolist() == [[0] * 16]
    # off by 2 and 1: the bar is worth 1 - 3 / 24; each edit costs 5 nats of .002
    _, rewards, ended, _, info = envs.step(action(2, CLOSED))
    assert rewards[0] == pytest.approx(1 / 24 + 1 - 5 * 0.002, abs=1e-6)  # one off of each is within the tolerances
    assert info["terms"]["success"].tolist() == [1]
    assert info["terms"]["nats"].tolist() == pytest.approx([5])
    _, rewards, ended, _, info = envs.step(action(4, SNARE | OPEN))
    assert rewards[0] == pytest.approx(2 / 24 - 5 * 0.002, abs=1e-6)
    assert info["values"][0, :2].tolist() == [2, 1]
    assert envs.render()[0].splitlines()[0].split()[-1]  # a line for each part
    _, rewards, ended, _, info = envs.step(action(6, SNARE | CLOSED | TOMS))
    assert rewards[0] == 0
    assert not ended[0]
    assert info["words"][0, 6] == 0
    seen, rewards, ended, _, info = envs.step(action(2, 0))
    assert ended[0]
    assert rewards[0] == pytest.approx(-1 / 24 + 5 * 0.002, abs=1e-6)
    assert see(torch.from_numpy(seen)).left.item() == 0
    # the next step begins anew, whatever its action
    seen, rewards, ended, _, info = envs.step(action(2, CLOSED))
    assert rewards[0] == 0
    assert not ended[0]
    assert info["words"].tolist() == [[0] * 16]
    assert see(torch.from_numpy(seen)).left.item() == 1


def test_a_word_is_never_less_likely_than_12_nats():
    envs = EditVectorEnv(silence(-40.0), torch.tensor([[1.0, 0, 0, 0]]), num_envs=1, skipped=0)
    seen, _ = envs.reset(seed=0)
    assert see(torch.from_numpy(seen)).log_probs.min() == -12
    *_, info = envs.step(action(0, KICK))
    assert info["terms"]["nats"].tolist() == [12]


def test_a_row_that_is_asked_for_begins_with_its_likeliest_bar():
    log_probs = silence().repeat(2, 1, 1)
    log_probs[1, 3, KICK] = 1.0
    envs = EditVectorEnv(log_probs, torch.zeros(1, 4), num_envs=2)
    for rows in ([0, 1], [1, 0], [1, 1]):
        _, info = envs.reset(seed=0, options={"rows": np.array(rows)})
        assert info["words"][:, 3].tolist() == [KICK * row for row in rows]
        assert info["terms"]["nats"].tolist() == [0, 0]


@pytest.mark.parametrize("stops", [True, False])
def test_an_edit_that_changes_nothing_ends_the_episode(stops):
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=2, edits=9, stops=stops)
    envs.reset(seed=0)
    _, rewards, ended, _, info = envs.step(np.array([3 * N_WORDS, 3 * N_WORDS + KICK]))
    assert ended.tolist() == [stops, False]
    assert rewards[0] == 0
    assert info["words"][:, 3].tolist() == [0, KICK]


def test_the_published_reward_is_that_of_the_bar():
    envs = EditVectorEnv(silence(-40.0), torch.tensor([[3.0, 0, 0, 0]]), num_envs=1, skipped=0, reward="published")
    envs.reset(seed=0)
    _, rewards, *_ = envs.step(action(0, CLOSED))
    # cymbals are 2 off, nothing else; one step of certain silence is another word: L1 = 2
    assert rewards[0] == pytest.approx((10 / 12 + 3 + (1 - 2 / 40) ** 0.25) / 5, abs=1e-4)


def test_one_episode_is_a_batch_of_one():
    env = EditEnv(log_probs_of(4), level_combinations(), edits=3)
    envs = EditVectorEnv(log_probs_of(4), level_combinations(), num_envs=1, edits=3)
    (one, _), (many, _) = env.reset(seed=5), envs.reset(seed=5)
    assert np.array_equal(one, many[0])
    for step in range(3):
        first, second = env.step(np.int64(step * N_WORDS + KICK)), envs.step(action(step, KICK))
        assert np.array_equal(first[0], second[0][0])
        assert first[1] == second[1][0]
        assert first[2] == second[2][0] == (step == 2)
        assert first[4]["action_mask"].shape == (512,)


def test_same_seed_same_episodes():
    envs = EditVectorEnv(log_probs_of(9), level_combinations(), num_envs=6)
    first, again, other = (envs.reset(seed=seed)[0].copy() for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_features_are_skipped_as_often_as_asked():
    envs = EditVectorEnv(log_probs_of(3), level_combinations(), num_envs=2000, skipped=0.25)
    seen, _ = envs.reset(seed=0)
    assert float(see(torch.from_numpy(seen)).importance.mean()) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": torch.zeros(2, 12, 32)}, "log-probabilities"),
        ({"log_probs": torch.full((1, 16, 32), np.nan)}, "not NaN"),
        ({"log_probs": torch.full((1, 16, 32), np.inf)}, "not inf"),
        ({"targets": torch.zeros(2, 3)}, "targets"),
        ({"targets": [[0, 0, np.nan, 0]]}, "finite targets"),
        ({"edits": 0}, "one edit at least"),
        ({"edits": 1.5}, "a whole number of them, not 1.5"),
        ({"skipped": 1.5}, "skipped is a share"),
        ({"reward": "best"}, "delta or published"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(change, message):
    options = {"log_probs": silence(), "targets": torch.zeros(1, 4)} | change
    with pytest.raises(ValueError, match=message) as error:
        EditVectorEnv(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row": np.zeros(2)}, "no option is called 'row'"),
        ({"rows": np.array([0])}, "expected rows"),
        ({"rows": np.array([0, 1])}, "rows lie in 0 … 0"),
        ({"targets": np.zeros((2, 3))}, "expected targets"),
        ({"targets": [[0.0] * 4, [np.nan] * 4]}, "targets must be finite"),
        ({"importance": [[0, 0, 0, 0], [-5, 1, 0, 0]]}, "lies in 0 … 10"),
        ({"importance": [[0, 0, 0, 0], [1, 50, 0, 0]]}, "lies in 0 … 10"),
        ({"importance": [[0.0] * 4, [np.nan] * 4]}, "lies in 0 … 10"),
    ],
)
def test_options_of_a_reset_that_cannot_be(options, message):
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=2)
    with pytest.raises(ValueError, match=message):
        envs.reset(seed=0, options=options)


def test_importance_of_a_reset_up_to_its_ends():
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=1)
    seen, _ = envs.reset(seed=0, options={"importance": [[0, 10, 1, 10]]})
    assert see(torch.from_numpy(seen)).importance.tolist() == [[0, 10, 1, 10]]


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist])
def test_log_probs_and_targets_are_taken_as_arrays_and_lists(kind):
    log_probs, targets = log_probs_of(3), level_combinations()
    log_probs[0, 0, 1] = -np.inf  # a word that is impossible
    seen, _ = EditVectorEnv(log_probs, targets, num_envs=4).reset(seed=2)
    taken, _ = EditVectorEnv(kind(log_probs.numpy()), kind(targets.numpy()), num_envs=4, edits=np.int64(24)).reset(
        seed=2
    )
    assert np.array_equal(taken, seen)
    made = gymnasium.make(f"rl_tuner.envs:{EDIT}", log_probs=kind(log_probs.numpy()), targets=kind(targets.numpy()))
    assert made.reset(seed=2)[0] in made.observation_space


def test_actions_that_there_are_not_are_refused():
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=1)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(action(0, 0))
    envs.reset(seed=0)
    for wrong in (np.array([512]), np.array([-1]), np.array([0, 1])):
        with pytest.raises(ValueError, match="expected 1 actions from 0 to 511"):
            envs.step(wrong)


def test_other_peoples_agent_trains_on_it():
    theirs = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = EditEnv(log_probs_of(5), level_combinations(), edits=8)
    check_sb3(env)
    options = {"learning_starts": 20, "buffer_size": 200, "batch_size": 8, "policy_kwargs": {"net_arch": [8]}}
    model = theirs.DQN("MlpPolicy", env, seed=0, device="cpu", **options)
    model.learn(60)
    assert model.num_timesteps == 60


def test_our_learner_finds_what_greedy_edits_do_not_see():
    """Of two edits the best is a hat half a bar from another: two cymbals that come again.

    Greedy edits begin with both cymbals on one step, which gains more at once and cannot be repeated.
    """
    wanted = torch.tensor([[2.0, 0.0, 0.0, 1.0]])
    envs = EditVectorEnv(silence(), wanted, num_envs=16, edits=2, skipped=0)
    config = DQNConfig(
        train_steps=4000,
        batch_size=32,
        n_step=1,
        gamma=1.0,
        learning_rate=3e-3,
        tau=0.1,
        buffer_size=2000,
        learning_starts=200,
        eps_start=0.8,
        eps_end=0.2,
        seed=0,
    )
    dqn = DQN(envs, config, EditNetwork(16), mask=envs.mask)
    greedy = edit_bars(EditNetwork(16), silence(), wanted, torch.ones(1, 4), 2)
    assert not greedy.reached.any()
    dqn.learn()
    learnt = edit_bars(dqn.target_network, silence(), wanted, torch.ones(1, 4), 2)
    assert learnt.reached.all()
    first, second = learnt.words[0].nonzero()[:, 0].tolist()
    assert second == first + 8
    assert learnt.values[0].tolist() == [2, 0, learnt.values[0, 2], 1]


# -- as published ----------------------------------------------------------------------------------


class Constant(torch.nn.Module):
    """A network like the LSTM's, of which each word has a logit of its own."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.arange(32.0) / 32)

    def forward(self, words):
        return self.logits.expand(*words.shape, -1)


def test_the_published_network_is_the_lstms_shown_the_bar():
    envs = EditVectorEnv(silence(), torch.zeros(1, 4), num_envs=2)
    seen, _ = envs.reset(seed=0)
    lstm = Constant()
    network = PublishedNetwork(lstm)
    values = network(torch.from_numpy(seen))
    assert values.shape == (2, 512)
    torch.testing.assert_close(values[0].view(16, 32)[3], lstm.logits)
    assert network.lstm.logits is not lstm.logits


@pytest.mark.parametrize("kind", ["learnt", "random"])
def test_a_search_ends_with_the_first_bar_that_has_its_targets(kind):
    """Silence asks for one hat more than its tolerance allows: soon any edit has it."""
    targets = torch.tensor([2.0, 0.0, 0.0, 0.0])
    log_probs = silence()[0]
    found = search(Constant(), log_probs, targets) if kind == "learnt" else search_at_random(log_probs, targets)
    assert found.predictions == found.seen
    assert 50 <= found.predictions <= 50 * 10
    assert found.predictions % 50 == 0
    assert found.nearest == 50  # silence and its neighbours are nearest to low, as what is asked for is
    assert 0.5 < found.reward <= 1


def test_a_search_that_finds_nothing_says_so():
    targets = torch.tensor([32.0, 0.0, 0.0, 0.0])  # nobody has hands for so many cymbals at once
    found = search_at_random(silence()[0], targets, predictions=200)
    assert found.predictions is None
    assert found.nearest is None  # four edits make eight cymbals at most: nearer to 7 than to 12
    assert found.seen == 200


@pytest.mark.parametrize("kind", ["learnt", "random"])
def test_bars_are_counted_where_episodes_end_as_well(kind, monkeypatch):
    """Episodes of one edit: among the first fifty bars is one with a cymbal, the last of its episode."""
    monkeypatch.setattr("rl_tuner.tune.edit_published.EDITS", 1)
    targets = torch.tensor([2.0, 0.0, 0.0, 0.0])
    log_probs = silence()[0]
    found = search(Constant(), log_probs, targets) if kind == "learnt" else search_at_random(log_probs, targets)
    assert found.predictions == found.seen == 50


def test_a_search_chooses_among_what_can_be_played():
    """Of all words the highest logit is that of all parts at once; of those that can be played it is the hands' first.

    So the first edit is kick, snare and closed cymbals on the first step: all that is asked for.
    """
    targets = torch.tensor([1.0, 2.0, 0.0, 0.0])
    config = replace(PUBLISHED, eps_start=0.0, eps_end=0.0)
    assert search(Constant(), silence()[0], targets, config, predictions=100).predictions == 50


class ConstantModel(Constant):
    """The same as a model of the next bar."""

    fingerprint = "0123456789abcdef"

    def word_log_prob(self, previous):
        return silence().repeat(len(previous), 1, 1)


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """The file of searches that were stopped after the third combination."""
    monkeypatch.setattr("rl_tuner.tune.edit_published.search", lambda *args: Found(7, None, 0.5, 7))

    def stop(done, total, phase):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_all(ConstantModel(), np.zeros((16, 5), bool), tmp_path, progress=stop)
    return tmp_path / "published.json"


def test_searches_that_were_stopped_go_on(searched):
    before = json.loads(searched.read_text(encoding="utf-8"))["rows"]
    assert len(before) == 3
    heard = []
    path = search_all(
        ConstantModel(), np.zeros((16, 5), bool), searched.parent, progress=lambda done, *_: heard.append(done)
    )
    assert path == searched
    assert heard == list(range(4, 82))
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert rows[:3] == before
    assert [row["targets"] for row in rows] == level_combinations().tolist()
    with pytest.raises(ValueError, match="another bar, model or config"):
        search_all(ConstantModel(), np.ones((16, 5), bool), searched.parent)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda text: text[: len(text) // 2], "."),
        (lambda text: "", "."),
        (lambda text: "\udcff", "."),
        (lambda text: "[]", "it has no rows"),
        (lambda text: text.replace('"rows"', '"lines"'), "it has no rows"),
        (lambda text: json.dumps(json.loads(text) | {"rows": 3}), "it has no rows"),
        (lambda text: text.replace('"seen"', '"saw"'), "a row has not nearest, predictions, reward, seen, targets"),
        (lambda text: json.dumps(json.loads(text) | {"rows": json.loads(text)["rows"][1:]}), ".* in their order"),
    ],
)
def test_a_damaged_file_of_searches_is_named(searched, damage, reason):
    damaged = damage(searched.read_text(encoding="utf-8")).encode("utf8", "surrogateescape")
    searched.write_bytes(damaged)
    with pytest.raises(ValueError, match=rf"published\.json: cannot be resumed: {reason}") as refusal:
        search_all(ConstantModel(), np.zeros((16, 5), bool), searched.parent)
    assert str(refusal.value).startswith(str(searched))
    assert "\n" not in str(refusal.value)
    assert searched.read_bytes() == damaged
