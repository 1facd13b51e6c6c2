"""What edits of a bar come to: features at jaki's levels, all edits against bars built one by one, rewards by hand."""

import itertools

import numpy as np
import pytest
import torch

from rhythmgan.bars import words_to_bars
from rhythmgan.features import measure
from rhythmgan.kit import JAKI5
from rl_tuner.edit.editing import edit_bars
from rl_tuner.edit.edits import (
    N_WORDS,
    NATS_PRICE,
    STEPS,
    has_targets,
    likeliest,
    match,
    nats_of,
    nearest_levels,
    published_reward,
    tables,
    values_after,
    values_of,
)
from rl_tuner.edit.levels import LEVELS, MEASURES, TOLERANCES, target_given
from rl_tuner.edit.network import EditNetwork, Greedy, describe_edits
from rl_tuner.edit.observation import EDIT_LAYOUT, observe, see

KICK, SNARE, CLOSED, OPEN, TOMS = 16, 8, 4, 2, 1


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def bar(**steps):
    """(1, 16) words: ``s0=KICK | CLOSED`` is what sounds on step 0."""
    words = torch.zeros(1, STEPS, dtype=torch.long)
    for name, word in steps.items():
        words[0, int(name[1:])] = word
    return words


def random_words(n, seed=0):
    random = torch.Generator().manual_seed(seed)
    words = torch.randint(N_WORDS, (n, STEPS), generator=random)
    return words * (torch.rand(n, STEPS, generator=random) < 0.6)


def random_log_probs(n, seed=1):
    return torch.randn(n, STEPS, N_WORDS, generator=torch.Generator().manual_seed(seed)).log_softmax(2)


def test_the_levels_are_jakis():
    assert {name: tuple(levels.values()) for name, levels in LEVELS.items()} == {
        "cymbals": (2, 7, 12),
        "drums": (2, 7, 12),
        "syncopation": (0, 6, 12),
        "repetition": (0, 0.5, 1),
    }
    assert [list(levels) for levels in LEVELS.values()] == [["low", "mid", "high"]] * 4


@pytest.mark.parametrize(
    ("words", "values"),
    [
        # one hat, one hat with the kick, a snare; the kick comes again half a bar later, of five onsets
        (bar(s0=KICK | CLOSED, s4=SNARE, s8=KICK), (1, 3, 0, 2 * 1 / 4)),
        # a snare on 15 before the silent one (5 - 1), a kick on 6 that 7 follows and a silent half bar (4 - 2)
        (bar(s6=KICK, s15=SNARE), (0, 2, 2 + 4, 0)),
        # the levels high, low, low, high: what is stronger than an onset sounds itself
        (
            bar(s0=KICK | CLOSED, s2=CLOSED, s4=CLOSED | OPEN, s6=CLOSED, s7=CLOSED)
            + bar(s8=KICK | CLOSED, s10=CLOSED, s12=CLOSED | OPEN, s14=CLOSED, s15=CLOSED),
            (12, 2, 0, 1),
        ),
        (bar(), (0, 0, 0, 0)),
    ],
)
def test_features_by_hand(words, values):
    assert values_of(words)[0].tolist() == pytest.approx(values)


def test_features_are_those_of_the_table():
    words = random_words(300)
    table = measure(words_to_bars(words, JAKI5.n_parts), JAKI5, list(MEASURES.values()))
    assert list(MEASURES) == list(LEVELS) == list(TOLERANCES)
    assert torch.equal(values_of(words), torch.stack([column.float() for column in table.values()], 1))


def test_features_of_all_edits_are_those_of_the_edited_bars():
    words = random_words(20)
    after = values_after(words)
    assert after.shape == (20, STEPS, N_WORDS, 4)
    for step, word in itertools.product(range(STEPS), range(N_WORDS)):
        edited = words.clone()
        edited[:, step] = word
        torch.testing.assert_close(after[:, step, word], values_of(edited))


def test_two_hands_and_a_foot_play_22_words():
    playable = tables(torch.device("cpu")).playable
    assert int(playable.sum()) == 22
    assert playable[KICK | SNARE | CLOSED]
    assert playable[OPEN | TOMS]
    assert not playable[SNARE | CLOSED | OPEN]
    assert not playable[KICK | CLOSED | OPEN | TOMS]


def test_the_likeliest_bar_can_be_played():
    log_probs = torch.full((1, STEPS, N_WORDS), -5.0)
    log_probs[:, :, SNARE | CLOSED | TOMS] = -0.1
    log_probs[:, 3, KICK] = -1.0
    log_probs[:, :, CLOSED] = -2.0
    expected = [CLOSED] * STEPS
    expected[3] = KICK
    assert likeliest(log_probs)[0].tolist() == expected


def test_the_match_by_hand():
    targets, importance = torch.tensor([[7.0, 2.0, 6.0, 0.5]]), torch.ones(1, 4)
    # 3 onsets, 0, 2 units and 2 eighths off: 1 - (3 + 0 + 2 + 2) / 4 / 12
    values = torch.tensor([[4.0, 2.0, 8.0, 0.75]])
    assert match(values, targets, importance).item() == pytest.approx(1 - 7 / 48)
    # one off of each feature is still within the tolerance
    near = torch.tensor([[8.0, 1.0, 5.0, 0.625]])
    assert match(near, targets, importance).item() == pytest.approx(1 - 4 / 48 + 1)
    assert has_targets(near, targets, importance).tolist() == [True]
    # what is not asked for does not count
    assert match(values, targets, torch.tensor([[0.0, 1.0, 0.0, 0.0]])).item() == pytest.approx(2)
    assert match(values, targets, torch.zeros(1, 4)).item() == pytest.approx(2)


def test_the_published_reward_by_hand():
    words = bar(s0=KICK)
    chances = torch.full((1, STEPS, N_WORDS), 0.0)
    chances[:, :, 0] = 1.0
    chances[:, 0] = 0.0
    chances[:, 0, KICK], chances[:, 0, SNARE] = 0.75, 0.25
    # only the first step differs: .25 too little of the kick, .25 of the snare
    closeness = (1 - 0.5 / 40) ** 0.25
    values, targets = torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.tensor([[2.0, 7.0, 0.0, 0.5]])
    terms = (12 - 2) / 12 + (12 - 6) / 12 + 1 + (12 - 6) / 12  # half of repetition counts as six onsets
    every = torch.ones(1, 4)
    assert published_reward(values, targets, every, words, chances).item() == pytest.approx((terms + closeness) / 5)
    only_drums = torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    found = published_reward(values, targets, only_drums, words, chances).item()
    assert found == pytest.approx((0.5 + closeness) / 2)


def test_the_nearest_levels_by_hand():
    values = torch.tensor([[4.0, 5.0, 9.5, 0.2], [30.0, 9.0, 2.9, 0.8]])
    assert nearest_levels(values).tolist() == [[0, 1, 2, 0], [2, 1, 0, 2]]


@pytest.mark.parametrize(
    ("feature", "text", "value"),
    [("cymbals", "high", 12), ("drums", "mid", 7), ("syncopation", "9", 9), ("repetition", "low", 0)],
)
def test_targets_are_levels_or_numbers(feature, text, value):
    assert target_given(feature, text) == value


@pytest.mark.parametrize(("feature", "text"), [("cymbals", "loud"), ("drums", "-1"), ("repetition", "2")])
def test_other_targets_are_refused(feature, text):
    with pytest.raises(ValueError, match=rf"{feature} is low, mid, high or a number from 0 to \d+, not {text!r}"):
        target_given(feature, text)


def test_an_observation_is_taken_apart_as_it_was_made():
    words, log_probs = random_words(5), random_log_probs(5).clamp(min=-12)
    targets, importance = torch.tensor([[2.0, 7.0, 12.0, 0.5]]).expand(5, 4), torch.ones(5, 4)
    seen = observe(words, log_probs, targets, importance, torch.full((5,), 0.25))
    assert seen.shape == (5, EDIT_LAYOUT.width) == (5, 605)
    apart = see(seen)
    assert torch.equal(apart.words, words)
    torch.testing.assert_close(apart.log_probs, log_probs)
    torch.testing.assert_close(apart.targets, targets)
    assert torch.equal(apart.importance, importance)
    assert torch.equal(apart.left, torch.full((5, 1), 0.25))
    torch.testing.assert_close(EDIT_LAYOUT.unpack(seen)["values"] * torch.tensor([12, 12, 12, 1.0]), values_of(words))


def test_rewards_of_edits_are_by_how_much_their_bars_are_worth_more():
    words, log_probs = random_words(6), random_log_probs(6)
    targets, importance = torch.tensor([[7.0, 7.0, 6.0, 0.5]]).expand(6, 4), torch.tensor([[1.0, 1, 0, 1]]).expand(6, 4)
    observations = observe(words, log_probs, targets, importance, torch.ones(6))
    rewards, described = describe_edits(see(observations), torch.arange(N_WORDS))
    assert described.shape == (6, STEPS, N_WORDS, 12)

    def worth(of):
        return match(values_of(of), targets, importance) + NATS_PRICE * nats_of(of, log_probs)

    for step, word in ((0, 0), (3, KICK | CLOSED), (15, OPEN), (8, TOMS)):
        edited = words.clone()
        edited[:, step] = word
        torch.testing.assert_close(rewards[:, step, word], worth(edited) - worth(words), atol=1e-5, rtol=1e-4)


def test_an_untrained_network_is_the_greedy_search():
    words, log_probs = random_words(4), random_log_probs(4)
    targets = torch.tensor([[2.0, 12.0, 6.0, 1.0]]).expand(4, 4)
    observations = observe(words, log_probs, targets, torch.ones(4, 4), torch.ones(4))
    values = EditNetwork(8)(observations).detach()
    assert values.shape == (4, 512)
    torch.testing.assert_close(values, Greedy()(observations))
    playable = tables(torch.device("cpu")).playable.repeat(STEPS)
    assert float(values[:, ~playable].max()) < float(values[:, playable].min())


def quiet_log_probs():
    """Silence is likely, and on three steps a hat is likelier than all else that sounds."""
    log_probs = torch.full((1, STEPS, N_WORDS), -30.0)
    log_probs[:, :, 0] = -0.1
    log_probs[0, [2, 6, 10], CLOSED] = torch.tensor([-2.0, -4.0, -3.0])
    return log_probs


def test_greedy_edits_add_the_likeliest_hat_that_is_asked_for():
    wanted, importance = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]])
    edited = edit_bars(Greedy(), quiet_log_probs(), wanted, importance, 10)
    assert torch.equal(edited.words, bar(s2=CLOSED))
    assert edited.values[0, 0] == 1
    assert edited.reached.all()
    assert edited.nats.item() == pytest.approx(1.9)
    assert edited.edits.tolist() == [1]


def test_greedy_edits_do_not_see_that_two_likely_edits_are_better_than_an_unlikely_one():
    """Both cymbals on one step gain most at once, and cost 30 nats; two hats would cost 4.8."""
    wanted, importance = torch.tensor([[2.0, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0]])
    edited = edit_bars(Greedy(), quiet_log_probs(), wanted, importance, 10)
    assert edited.edits.tolist() == [1]
    assert edited.nats.item() == pytest.approx(29.9)


def test_edits_stop_where_nothing_is_asked_for():
    log_probs = random_log_probs(3)
    edited = edit_bars(Greedy(), log_probs, torch.zeros(3, 4), torch.zeros(3, 4), 10)
    assert torch.equal(edited.words, likeliest(log_probs))
    assert edited.nats.tolist() == [0, 0, 0]
    assert edited.edits.tolist() == [0, 0, 0]


def test_an_edit_is_chosen_knowing_how_many_are_left():
    """As the environment says it: all of four before the first edit, one of four before the last."""
    left = []

    def kick_after_kick(observations):
        left.append(see(observations).left[0, 0].item())
        values = torch.zeros(1, STEPS * N_WORDS)
        values[0, len(left) * N_WORDS + KICK] = 1.0
        return values

    edit_bars(kick_after_kick, quiet_log_probs(), torch.tensor([[0.0, 7, 0, 0]]), torch.tensor([[0.0, 1, 0, 0]]), 4)
    assert left == [1.0, 0.75, 0.5, 0.25]


def test_bars_are_edited_alike_in_any_batch():
    log_probs = random_log_probs(7)
    wanted = torch.from_numpy(np.random.default_rng(0).integers(0, 12, (7, 4)) / np.array([1, 1, 1, 12])).float()
    together = edit_bars(Greedy(), log_probs, wanted, torch.ones(7, 4), 12)
    for row in range(7):
        alone = edit_bars(Greedy(), log_probs[row, None], wanted[row, None], torch.ones(1, 4), 12)
        assert torch.equal(alone.words[0], together.words[row])
        assert alone.reached[0] == together.reached[row]


def test_what_comes_after_an_edit_is_a_function_of_the_edited_bar():
    """The first layer is put together from tables; here it is computed from the cells of each edited bar."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = EditNetwork(10).double()
        torch.nn.init.normal_(network.to_come.weight)
    words, log_probs = random_words(3), random_log_probs(3).double()
    targets = torch.tensor([[2.0, 12.0, 6.0, 1.0]]).expand(3, 4).double()
    observations = observe(words, log_probs, targets, torch.ones(3, 4), torch.full((3,), 0.5))
    values = network(observations).detach().view(3, STEPS, N_WORDS)
    rewards, described = describe_edits(see(observations), torch.arange(N_WORDS))
    lost = (nats_of(likeliest(log_probs), log_probs) - nats_of(words, log_probs)) / 100
    of_episode = network.of_episode(torch.cat([observations[:, 80:], lost[:, None]], 1))
    for step, word in ((0, KICK), (7, OPEN | TOMS), (15, 0)):
        edited = words.clone()
        edited[:, step] = word
        cells = words_to_bars(edited, JAKI5.n_parts).flatten(1).double()
        hidden = of_episode + network.of_cells(cells) + network.of_edit(described[:, step, word])
        to_come = network.to_come(network.between(hidden.relu()).relu())[:, 0]
        to_come = torch.where(words[:, step] == word, 0.0, to_come)
        torch.testing.assert_close(values[:, step, word], (rewards[:, step, word] + to_come).detach())
