"""Toggled lines as an environment: their text, what they are rewarded for, Gymnasium's rules, and a toy to learn."""

import inspect
import itertools

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from rhythmgan.features import density, shmulevich_povel, syncopation
from rhythmgan.kit import GM9
from rl_tuner.config import DQNConfig
from rl_tuner.dqn import DQN, policy
from rl_tuner.envs import TOGGLE
from rl_tuner.envs.toggle import ToggleEnv, ToggleVectorEnv, vector_env
from rl_tuner.toggle.lines import first_cells, line_to_text, parse_line, shrunk, stretched
from rl_tuner.toggle.observation import GAIN_UNITS, toggle_layout
from rl_tuner.toggle.terms import TERMS, Terms, difference

pytestmark = pytest.mark.usefixtures("one_thread")


def lines(*texts):
    return np.array([[cell == "x" for cell in text] for text in texts])


KICK = lines("x...x...")


def begin(envs, given=KICK, answer=KICK, **options):
    """All episodes begin with these lines, the first answers given."""
    n = envs.num_envs
    answers = np.broadcast_to(answer[None], (n, *answer.shape))
    return envs.reset(
        seed=0, options={"given": np.broadcast_to(given, (n, given.shape[1])), "lines": answers, **options}
    )


# Text and grids


def test_text_of_lines():
    line = parse_line("x o - . | X _ o o")
    assert line.tolist() == [True, False, False, False, True, False, False, False]
    assert line_to_text(line) == "x o o o x o o o"
    assert parse_line(line_to_text(line)).tolist() == line.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [("x o y o x o o o", "character 5"), ("x o o o", "8 to 512 steps, not 4"), ("x" * 513, "not 513"), ("", "not 0")],
)
def test_texts_that_are_no_line(text, message):
    with pytest.raises(ValueError, match=message):
        parse_line(text)


def test_where_the_steps_of_a_line_stand_on_a_finer_grid():
    assert stretched(lines("xx.x.x.x"), 16).tolist() == lines("x.x...x...x...x.").tolist()
    # 12 steps on 16 cells: step i begins on the first cell p with ⌊12 p / 16⌋ = i
    expected = [next(p for p in range(16) if 12 * p // 16 == i) for i in range(12)]
    assert np.flatnonzero(first_cells(torch.tensor([12]), 16)[0].numpy()).tolist() == expected


@pytest.mark.parametrize(("steps", "resolution"), [(8, 8), (8, 512), (12, 16), (16, 48), (100, 512), (511, 512)])
def test_lines_come_back_from_a_finer_grid(steps, resolution):
    own = np.random.default_rng(steps).random((20, steps)) < 0.5
    assert (shrunk(stretched(own, resolution), steps) == own).all()
    assert stretched(own, resolution).sum() == own.sum()


def test_longer_lines_do_not_fit():
    with pytest.raises(ValueError, match="16 steps does not fit on 8"):
        stretched(np.zeros((1, 16), bool), 8)


# Terms


def test_difference_by_hand():
    given = torch.from_numpy(lines("x...x...", "x...x...", "x...x..."))
    answers = torch.from_numpy(lines("x...x...", ".xxx.xxx", "xx......"))[:, None]
    # equal: −1; nowhere equal: 1; two of eight differ: (2 − 6) / 8
    assert difference(given, answers, torch.full((3,), 8)).tolist() == [-1, 1, -0.5]
    two = torch.cat([answers, answers.flip(0)], 1)  # means of two lines
    assert difference(given, two, torch.full((3,), 8)).tolist() == [-0.75, 1, -0.75]


def test_difference_of_shorter_lines_counts_their_steps_only():
    given, answer = (torch.from_numpy(stretched(lines(text), 16)) for text in ("x...x...", "xx......"))
    assert difference(given, answer[:, None], torch.tensor([8])).tolist() == [-0.5]


def test_terms_are_measures_of_the_lines_in_deviations_of_random_ones():
    terms = Terms(("difference", "complexity", "density", "syncopation"), 16)
    given, answer = lines("x...x...x...x..."), lines("..x.x..x....x...")
    bar = np.zeros((1, 16, 9), bool)
    bar[0, :, 0], bar[0, :, 1] = given[0], answer[0]
    measured = shmulevich_povel(answer), density(bar), syncopation(bar, GM9)
    raw = [(4 - 12) / 16, *(float(each) for each in measured)]  # steps 0, 2, 7 and 8 differ
    found = terms(torch.from_numpy(given), torch.from_numpy(answer)[:, None], torch.tensor([16]))[0]
    expected = (torch.tensor(raw) - terms.means) / terms.scales
    assert torch.allclose(found, expected.clamp(-1, 1), atol=1e-6)
    assert terms.means[0] == 0
    assert terms.scales[0] == 1
    # random lines of a kick and a snare have half of 32 cells on average, and are a third of 1 from it on average
    assert terms.means[2] == pytest.approx(16, abs=0.5)
    many = torch.rand(4000, 2, 16, generator=torch.Generator().manual_seed(1)) < torch.rand(4000, 2, 1)
    values = terms(many[:, 0], many[:, 1:], torch.full((4000,), 16))
    assert values.abs().max() <= 1
    assert values[:, 1:].std(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_short_lines_are_bars_in_eighths_and_long_ones_several_bars():
    short, bar = Terms(("complexity",), 8), Terms(("complexity",), 16)
    line = lines("x.xx.x..")
    first, second = lines("x..xx.x...x.x..."), lines("x...x...x...x...")
    eighths = torch.from_numpy(stretched(line, 16))[:, None]
    steps = torch.tensor([16])
    as_bar = bar._raw(eighths[:, 0], eighths, steps)
    own = torch.from_numpy(line)[:, None]
    assert torch.equal(short._raw(own[:, 0], own, torch.tensor([8])), as_bar)
    both = torch.from_numpy(np.concatenate([first, second], 1))[:, None]
    mean = float(shmulevich_povel(np.concatenate([first, second])).mean())
    # 32 steps are a grid of their own, 64 are four bars of 16
    four = torch.cat([both, both], 2)
    assert float(Terms(("complexity",), 64)._raw(four[:, 0], four, torch.tensor([64]))) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("names", "resolution", "message"),
    [
        (("swing",), 16, "no term is called 'swing'"),
        (("density", "density"), 16, "twice"),
        (("density",), 20, "20 steps are no bars"),
        (("Keith",), 12, "Keith"),
    ],
)
def test_terms_that_there_are_not(names, resolution, message):
    with pytest.raises(ValueError, match=message):
        Terms(names, resolution)


def test_every_feature_is_a_term():
    terms = Terms(TERMS, 16, n_lines=2)
    cells = torch.rand(50, 3, 16, generator=torch.Generator().manual_seed(0)) < 0.3
    values = terms(cells[:, 0], cells[:, 1:], torch.full((50,), 16))
    assert values.shape == (50, len(TERMS))
    assert torch.isfinite(values).all()


# Gymnasium's rules


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"no_op": False, "reward": "absolute"},
        {"resolution": 16, "steps": (8, 12, 16), "n_lines": 3, "terms": ("difference", "complexity"), "weighted": True},
        {"resolution": 16, "rightward": True, "reward": "final"},
        {"resolution": 512, "steps": (8, 512)},
        {"gains": True, "n_lines": 2},
    ],
    ids=str,
)
def test_gymnasiums_own_check_finds_nothing(options):
    check_env(gymnasium.make(f"rl_tuner.envs:{TOGGLE}", **options).unwrapped, skip_render_check=True)
    check_env(ToggleEnv(**options, render_mode="ansi"), skip_render_check=True)


def test_stable_baselines_takes_it():
    theirs = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as check

    check(ToggleEnv(resolution=16, rightward=True))
    check(ToggleEnv())
    theirs.DQN("MlpPolicy", ToggleEnv(), learning_starts=10, seed=0).learn(60)


def test_make_vec_makes_a_batch():
    envs = gymnasium.make_vec(f"rl_tuner.envs:{TOGGLE}", num_envs=3, resolution=12, n_lines=2)
    assert isinstance(envs.unwrapped, ToggleVectorEnv)
    seen, info = envs.reset(seed=1)
    assert seen in envs.observation_space
    assert seen.shape == (3, 3 * 12 + 2)
    assert envs.single_action_space == gymnasium.spaces.Discrete(25)
    assert info["action_mask"].shape == (3, 25)


def test_the_sheet_has_gymnasiums_headings_and_the_table_of_the_layout():
    sheet = inspect.getdoc(ToggleEnv)
    assert toggle_layout(8, 1, 2).table() in sheet
    headings = [line for line in sheet.splitlines() if line.startswith("## ")]
    names = ["Action space", "Observation space", "Rewards", "Starting state", "Episode end", "Arguments"]
    assert headings == [f"## {name}" for name in names]


def test_a_batch_of_episodes_and_each_alone():
    envs = ToggleVectorEnv(num_envs=4, resolution=16, terms=("difference", "complexity"), moves=5)
    seen, _ = envs.reset(seed=5)
    given, answers = seen[:, :16] > 0, seen[:, None, 16:32] > 0
    actions = np.random.default_rng(0).integers(17, size=(5, 4))
    singles = [ToggleEnv(resolution=16, terms=("difference", "complexity"), moves=5) for _ in range(4)]
    for row, env in enumerate(singles):
        env.reset(options={"given": given[row : row + 1], "lines": answers[row : row + 1]})
    for chosen in actions:
        _, rewards, _, truncated, info = envs.step(chosen)
        alone = [env.step(action) for env, action in zip(singles, chosen, strict=True)]
        assert rewards.tolist() == pytest.approx([each[1] for each in alone], abs=1e-6)
        assert truncated.tolist() == [each[3] for each in alone]
        assert (info["lines"] == np.stack([each[4]["lines"] for each in alone])).all()


# An episode by hand


def test_what_is_seen_and_drawn_of_a_line_as_it_is():
    env = ToggleEnv(render_mode="ansi")
    seen, info = env.reset(options={"given": KICK, "lines": lines("xx......")[None]})
    assert seen.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert info["terms"] == {"difference": -0.5}
    assert info["score"] == -0.5
    assert env.render() == "x o o o x o o o [kick]\nx x o o o o o o [snare]"


@pytest.mark.parametrize(("reward", "rewards"), [("delta", [0.25, 0, -0.25]), ("absolute", [-0.75, -0.75, -1])])
def test_a_toggle_of_eight_steps_moves_the_score_by_a_quarter(reward, rewards):
    envs = ToggleVectorEnv(num_envs=2, reward=reward, moves=3)
    begin(envs)
    found = [envs.step(np.full(2, action)) for action in (1, 8, 1)]  # toggle, leave, toggle back
    assert [each[1].tolist() for each in found] == [[value] * 2 for value in rewards]
    assert [each[3].tolist() for each in found] == [[False] * 2, [False] * 2, [True] * 2]
    assert not np.any([each[2] for each in found])


def test_without_a_no_op_the_best_line_cannot_stay():
    envs = ToggleVectorEnv(num_envs=8, no_op=False, reward="absolute")
    begin(envs, answer=~KICK)
    assert envs.single_action_space.n == 8
    assert envs.step(np.arange(8))[1].tolist() == [0.75] * 8  # whichever step is toggled
    assert envs.step(np.arange(8))[1].tolist() == [1.0] * 8


def test_gains_are_what_each_toggle_adds():
    """Seen before each move, in random episodes of two lines and several lengths, beside the moves themselves."""
    options = {"terms": ("difference", "complexity", "density"), "weighted": True, "steps": (8, 16), "n_lines": 2}
    envs = ToggleVectorEnv(num_envs=30, resolution=16, gains=True, **options)
    seen, info = envs.reset(seed=0)
    gains = envs.layout.slice("gains")
    rng = np.random.default_rng(0)
    for _ in range(8):
        chosen = rng.integers(32, size=30)
        seen_gain, allowed = seen[np.arange(30), gains][np.arange(30), chosen] / GAIN_UNITS, info["action_mask"]
        seen, rewards, _, _, info = envs.step(chosen)
        assert rewards.tolist() == pytest.approx(seen_gain.tolist(), abs=1e-5)
        assert not seen_gain[~allowed[np.arange(30), chosen]].any()
    assert np.abs(rewards).max() > 0.01


def test_a_full_answer_ends_by_its_last_no_op_and_is_not_cut_off():
    """Eight onsets and the no-op are the nine moves that there may be."""
    envs = ToggleVectorEnv(num_envs=1, rightward=True)
    envs.reset(seed=0)
    ends = [tuple(bool(end[0]) for end in envs.step(np.array([action]))[2:4]) for action in range(9)]
    assert ends == [(False, False)] * 8 + [(True, False)]


def test_given_lines_are_as_long_as_the_resolution_whatever_else_is_drawn():
    given = lines("x..x..x..x..x..x")
    envs = ToggleVectorEnv(num_envs=20, resolution=16, steps=(8,), given=given)
    seen, info = envs.reset(seed=0)
    assert (seen[:, :16] == given).all()
    assert (seen[:, envs.layout.slice("steps")] == 1).all()
    assert info["action_mask"].all()


def test_gains_count_what_a_judge_says():
    """Equal lines, and a judge to whom an onset is worth .5: the difference grows by .25 with each toggle."""
    envs = ToggleVectorEnv(num_envs=1, gains=True, judge=lambda given, lines: lines.sum((1, 2)) / 2)
    seen, _ = begin(envs)
    gains = seen[0, envs.layout.slice("gains")] / GAIN_UNITS
    assert gains.tolist() == pytest.approx([-0.25, 0.75, 0.75, 0.75] * 2)


def test_the_final_reward_is_paid_with_the_last_move():
    envs = ToggleVectorEnv(num_envs=1, reward="final", moves=3)
    _, info = begin(envs)
    assert info["terms"]["difference"].tolist() == [-1]
    assert [envs.step(np.array([action]))[1].tolist() for action in (1, 2, 3)] == [[0], [0], [-0.25]]


def test_importance_weighs_the_terms_of_an_episode():
    envs = ToggleVectorEnv(num_envs=2, resolution=16, terms=("difference", "density"))
    given = lines("x...x...x...x...")
    _, info = begin(envs, given, given, importance=np.array([[1, 0], [-0.5, 1]]))
    terms = info["terms"]
    assert terms["difference"].tolist() == [-1, -1]
    assert info["score"].tolist() == pytest.approx([-1, 0.5 + float(terms["density"][1])])


def test_drawn_importance():
    envs = ToggleVectorEnv(num_envs=4000, resolution=16, terms=("difference", "density", "balance"), weighted=True)
    seen, _ = envs.reset(seed=0)
    importance = seen[:, -3:]
    assert (importance != 0).any(1).all()
    assert np.abs(importance).max() <= 1
    assert (importance == 0).mean(0).tolist() == pytest.approx([0.375, 0.5, 0.5], abs=0.03)  # an eighth draws none


def test_only_cells_on_which_steps_begin_may_be_toggled():
    envs = ToggleVectorEnv(num_envs=1, resolution=16, steps=(8, 16), n_lines=2)
    _, info = begin(envs, KICK, np.concatenate([KICK, KICK]))
    assert info["action_mask"].tolist() == [[place % 2 == 0 for place in range(16)] * 2 + [True]]
    _, reward, _, _, after = envs.step(np.array([1]))  # a cell between two steps: nothing changes
    assert reward.tolist() == [0]
    assert (after["lines"] == info["lines"]).all()
    _, reward, _, _, _ = envs.step(np.array([16 + 2]))  # the second step of the second line: a quarter, over two lines
    assert reward.tolist() == [0.125]


def test_lengths_are_drawn():
    envs = ToggleVectorEnv(num_envs=3000, resolution=48, steps=(8, 12, 48))
    seen, info = envs.reset(seed=0)
    steps = np.rint(seen[:, 96] * 48)
    assert sorted(set(steps.tolist())) == [8, 12, 48]
    assert (info["action_mask"].sum(1) == steps + 1).all()
    cells = seen[:, :96].reshape(-1, 2, 48) > 0
    assert not (cells & ~info["action_mask"][:, None, :48]).any()
    assert cells[steps == 8].sum(2).mean() == pytest.approx(4, abs=0.2)  # half of eight steps


def test_rightward_a_line_is_filled_from_left_to_right():
    envs = ToggleVectorEnv(num_envs=1, rightward=True, reward="absolute")
    _, info = envs.reset(seed=0, options={"given": KICK})
    assert not info["lines"].any()
    assert info["action_mask"][0].tolist() == [True] * 8 + [False]  # silence is no answer
    _, _, _, _, info = envs.step(np.array([3]))
    assert info["action_mask"][0].tolist() == [False] * 4 + [True] * 4 + [True]
    envs.step(np.array([2]))  # left of the last onset: nothing changes
    _, reward, terminated, truncated, info = envs.step(np.array([8]))
    assert (terminated.tolist(), truncated.tolist()) == ([True], [False])
    assert info["lines"][0, 0].tolist() == lines("...x....")[0].tolist()
    assert reward.tolist() == [(3 - 5) / 8]
    _, reward, terminated, _, info = envs.step(np.array([0]))  # begins anew, whatever the action
    assert reward.tolist() == [0]
    assert not terminated.any()
    assert not info["lines"].any()
    assert info["action_mask"][0].tolist() == [True] * 8 + [False]


EVERY_LINE = np.array(list(itertools.product([False, True], repeat=8)))
"""All lines of 8 steps; line i has an onset on step t where bit 7 − t of i is set."""


def observations_of_every_line():
    given = np.broadcast_to(KICK, EVERY_LINE.shape)
    return torch.from_numpy(np.concatenate([given, EVERY_LINE, np.ones((256, 1))], 1).astype(np.float32))


def test_rightward_every_line_but_silence_has_one_path():
    envs = ToggleVectorEnv(rightward=True)
    mask = envs.mask(observations_of_every_line()).numpy()
    paths = np.zeros(256, int)
    paths[0] = 1
    for onsets in range(8):  # every toggle adds an onset
        for line in np.flatnonzero(EVERY_LINE.sum(1) == onsets):
            for step in np.flatnonzero(mask[line, :8]):
                paths[line ^ (128 >> step)] += paths[line]
    assert (paths == 1).all()
    assert mask[:, 8].tolist() == [False] + [True] * 255


def test_what_a_judge_says_is_added():
    def judge(given, lines):
        return 10.0 * (given & lines[:, 0]).sum(1)

    envs = ToggleVectorEnv(num_envs=1, judge=judge, reward="absolute")
    _, info = begin(envs, answer=lines("x......."))
    assert info["terms"]["judge"].tolist() == [10]
    _, reward, _, _, _ = envs.step(np.array([4]))
    assert reward.tolist() == [20 - 1.0]


def test_lines_are_given_from_a_pool():
    pool = lines("x.......", "xx......")
    envs = ToggleVectorEnv(num_envs=500, given=pool, moves=2)
    seen, _ = envs.reset(seed=0)
    for _ in range(4):
        own = seen[:, :8] > 0
        assert set(map(tuple, own.tolist())) == set(map(tuple, pool.tolist()))
        seen, *_ = envs.step(np.full(500, 8))


def test_the_same_seed_draws_the_same():
    envs, twin = (ToggleVectorEnv(num_envs=20, moves=1) for _ in range(2))
    first, second = envs.reset(seed=3)[0], twin.reset(seed=3)[0]
    assert (first == second).all()
    for _ in range(2):
        first, second = envs.step(np.zeros(20, int))[0], twin.step(np.zeros(20, int))[0]
        assert (first == second).all()
    assert (envs.reset()[0] != twin.reset(seed=3)[0]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 7}, "8 to 512"),
        ({"resolution": 513}, "8 to 512"),
        ({"resolution": 8, "steps": (16,)}, "do not fit"),
        ({"n_lines": 0}, "1 to 8 lines"),
        ({"n_lines": 9}, "1 to 8 lines"),
        ({"reward": "mean"}, "delta, absolute or final"),
        ({"rightward": True, "no_op": False}, "no-op"),
        ({"moves": 0}, "one move"),
        ({"gains": True, "reward": "final"}, "no gains"),
        ({"importance": (2,)}, "−1 … 1"),
        ({"importance": (1, 1)}, "of 1 terms"),
        ({"given": np.zeros((2, 9), bool)}, "given lines"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        ToggleVectorEnv(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kick": KICK}, "no option is called 'kick'"),
        ({"given": np.zeros((1, 8))}, "bool"),
        ({"lines": np.zeros((1, 2, 8), bool)}, "expected lines"),
        ({"given": KICK, "lines": np.zeros((1, 1, 9), bool)}, "does not fit"),
        ({"importance": np.array([[2.0]])}, "−1 … 1"),
        ({"importance": np.array([1.0])}, "expected importance"),
    ],
)
def test_options_of_reset_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        ToggleEnv().reset(options=options)


def test_steps_before_a_reset_and_actions_that_there_are_not():
    envs = ToggleVectorEnv(num_envs=2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros(2, int))
    envs.reset(seed=0)
    for actions in ([0, 9], [-1, 0], [0]):
        with pytest.raises(ValueError, match="actions from 0 to 8"):
            envs.step(np.array(actions))


# Learning


def test_soft_values_draw_lines_by_their_reward():
    """Rightward, at temperature 1 and rewarded at the end, a line's chance is that of the reference times e^reward."""
    rewards = 3 * torch.rand(256, generator=torch.Generator().manual_seed(0))

    def judge(given, lines):
        return rewards[(lines[:, 0] * (128 >> torch.arange(8))).sum(1)]

    envs = vector_env(64, rightward=True, reward="final", terms=(), judge=judge, given=KICK)
    config = DQNConfig(
        train_steps=50_000,
        batch_size=256,
        gradient_steps=2,
        n_step=1,
        gamma=1.0,
        temperature=1.0,
        soft_values=True,
        learning_rate=3e-3,
        tau=0.02,
        buffer_size=20_000,
        learning_starts=1000,
        eps_start=0.5,
        eps_end=0.2,
    )
    dqn = DQN(envs, config, mask=envs.mask)
    dqn.learn()
    seen = observations_of_every_line()
    mask = envs.mask(seen)
    with torch.no_grad():
        learnt = policy(dqn.target_network(seen), 1.0, None, mask)
    even = policy(torch.zeros_like(learnt), 1.0, None, mask)

    def chances_of_lines(chances):
        """Of the path to each line, and of stopping there."""
        reach = torch.full((256,), -torch.inf)
        reach[0] = 0.0
        for line in range(256):
            for step in torch.nonzero(mask[line, :8])[:, 0].tolist():
                after = line | 128 >> step
                reach[after] = reach[line] + chances[line, step]
        return (reach + chances[:, 8])[1:]

    wanted = (chances_of_lines(even) + rewards[1:]).softmax(0)
    found = chances_of_lines(learnt).exp()
    assert float(found.sum()) == pytest.approx(1, abs=1e-4)
    far = float((chances_of_lines(even).exp() - wanted).abs().sum() / 2)
    assert far > 0.25  # of the reference itself
    assert float((found - wanted).abs().sum() / 2) < 0.06


def test_an_agent_without_a_no_op_learns_to_oscillate_and_to_recover():
    """Both scenarios of Halmøy, as published but for a shorter training."""
    envs = ToggleVectorEnv(num_envs=16, no_op=False, reward="absolute", given=KICK)
    config = DQNConfig(
        train_steps=12_000,
        batch_size=128,
        n_step=1,
        gamma=0.9,
        temperature=1.0,
        learning_rate=2e-3,
        tau=0.05,
        buffer_size=10_000,
        learning_starts=500,
        eps_start=0.0,
        eps_end=0.0,
    )
    dqn = DQN(envs, config)
    dqn.learn()

    def played(answer):
        one = ToggleVectorEnv(num_envs=1, no_op=False, reward="absolute", moves=10)
        seen, _ = begin(one, answer=answer)
        rewards = []
        for _ in range(10):
            action = dqn.network(torch.from_numpy(seen)).argmax(1)
            seen, reward, *_ = one.step(action.numpy())
            rewards.append(float(reward[0]))
        return rewards

    assert played(~KICK) == [0.75, 1.0] * 5
    assert played(KICK) == [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1.0, 0.75, 1.0]
