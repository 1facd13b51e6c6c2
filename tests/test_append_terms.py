"""What notes are rewarded by: the percussion terms by hand, their coefficients, and a critic of loops."""

import math

import numpy as np
import pytest
import torch

from rhythmgan.kit import GM9, ROLAND10
from rl_tuner.append.alphabet import Alphabet
from rl_tuner.append.critic import critic_term, logits_of, train_loop_critic
from rl_tuner.append.measures import c2st_of_continuations, repetition, runs
from rl_tuner.append.network import LoopNetwork, without_values
from rl_tuner.append.percussion import fit_coefs, percussion_terms, totals
from rl_tuner.config import LoopCriticConfig

pytestmark = pytest.mark.usefixtures("one_thread")

KICK, SNARE, HIGH_TOM, LOW_TOM, FLOOR_TOM, OPEN_HAT, CLOSED_HAT, CRASH, RIDE = range(1, 10)
TERMS = percussion_terms(ROLAND10, 16)


def value(name, *notes):
    """A term of the newest of these notes."""
    return float(TERMS[name](torch.tensor([notes]))[0])


# percussion


def test_the_fifth_note_of_a_part_in_a_row_is_excessive():
    assert value("repetition", *[CLOSED_HAT] * 4) == 0
    assert value("repetition", *[CLOSED_HAT] * 5) == -1
    assert value("repetition", SNARE, *[CLOSED_HAT] * 5) == -1
    assert value("repetition", CLOSED_HAT, CLOSED_HAT, SNARE, CLOSED_HAT, CLOSED_HAT, CLOSED_HAT) == 0
    assert value("repetition", *[CLOSED_HAT] * 5, KICK) == 0
    assert value("repetition", *[0] * 9) == 0


def test_a_part_that_plays_again_at_once_repeats():
    assert value("repeat", KICK) == 0
    assert value("repeat", KICK, KICK) == -1
    assert value("repeat", SNARE, RIDE, RIDE, RIDE) == -1
    assert value("repeat", KICK, SNARE) == value("repeat", KICK, 0, KICK) == value("repeat", 0, 0) == 0


def test_the_fifth_step_of_silence_is_excessive():
    assert value("silence", 0, 0, 0, 0) == 0
    assert value("silence", 0, 0, 0, 0, 0) == -1
    assert value("silence", 0, 0, KICK, 0, 0) == 0
    assert value("silence", *[KICK] * 6) == 0


@pytest.mark.parametrize("bar", [0, 16])
def test_snares_on_2_and_4_kicks_on_1_and_hats_on_eighths_count(bar):
    def at(name, step, note):
        return value(name, *[0] * (bar + step), note)

    assert [at("backbeat", step, SNARE) for step in (0, 3, 4, 5, 8, 12, 13)] == [0, 0, 1, 0, 0, 1, 0]
    assert at("backbeat", 4, KICK) == at("backbeat", 4, 0) == 0
    assert [at("downbeat", step, KICK) for step in (0, 1, 4, 8)] == [1, 0, 0, 0]
    assert at("downbeat", 0, CRASH) == 0
    assert [at("pulse", step, CLOSED_HAT) for step in (0, 1, 2, 7, 14)] == [1, 0, 1, 0, 1]
    assert [at("pulse", 6, note) for note in range(10)] == [0, 0, 0, 0, 0, 0, 1, 1, 0, 1]


def test_what_was_played_a_bar_before_is_a_figure():
    bar = [KICK, 0, CLOSED_HAT, 0, SNARE, 0, 0, RIDE, KICK, 0, 0, 0, SNARE, 0, 0, 0]
    assert [value("figure", *bar, *bar[: step + 1]) for step in range(5)] == [1] * 5
    assert value("figure", *bar, SNARE) == 0
    assert value("figure", *bar) == 0  # the first bar has none before it
    assert value("figure", *bar, KICK, KICK) == 0


def test_the_terms_are_those_of_the_kit_and_of_the_grid():
    """In GM9 the closed hat is the third part and the crash the last; on a grid of 12 beats have three steps."""
    terms = percussion_terms(GM9, 12)
    assert list(terms) == ["repeat", "repetition", "silence", "backbeat", "downbeat", "figure", "pulse"]

    def at(name, step, note):
        return float(terms[name](torch.tensor([[0] * step + [note]]))[0])

    assert [at("backbeat", step, 2) for step in (3, 4, 9, 12, 15)] == [1, 0, 1, 0, 1]
    assert [at("pulse", 0, note) for note in range(10)] == [0, 0, 0, 1, 1, 0, 0, 0, 1, 0]


def test_totals_are_of_the_notes_that_are_not_given():
    """Two bars of a snare on every beat: given are the first eight steps."""
    notes = torch.zeros(2, 32, dtype=torch.long)
    notes[0, ::4] = SNARE
    notes[1, 8:14] = KICK
    found = totals(TERMS, notes, 8).tolist()
    # silence after four rests: never in the first; in the second steps 18 to 31 of 14 to 31
    assert found[0] == [0, 0, 0, 3, 0, 16, 0]
    assert found[1] == [-5, -2, -14, 0, 0, 10, 0]


def test_coefficients_make_drawn_loops_have_what_songs_have():
    """One term that is 1 in a fifth of drawn loops and in half of the songs': λ = log 4, of two equal odds."""
    drawn = torch.tensor([[1.0]] * 20 + [[0.0]] * 80)
    real = torch.tensor([[1.0]] * 30 + [[0.0]] * 30)
    assert fit_coefs(real, drawn, ridge=1e-9).tolist() == pytest.approx([math.log(4)], abs=1e-4)
    # with something rewarded already, only what is missing: odds of 1/4 · e are to become 1
    weights = drawn[:, 0].clone()
    assert fit_coefs(real, drawn, weights, ridge=1e-9).tolist() == pytest.approx([math.log(4) - 1], abs=1e-4)


def test_coefficients_of_several_terms_match_all_means_and_what_never_varies_costs_nothing():
    rng = np.random.default_rng(0)
    drawn = torch.from_numpy(rng.poisson([2.0, 4.0, 0.0], (4000, 3))).float()
    drawn[:, 1] += drawn[:, 0]  # they depend on one another
    real = torch.from_numpy(rng.poisson([3.0, 6.0, 0.0], (4000, 3))).float()
    found = fit_coefs(real, drawn, ridge=1e-6)
    chance = (drawn.double() @ found.double()).softmax(0)
    np.testing.assert_allclose((chance @ drawn.double())[:2], real.double().mean(0)[:2], rtol=1e-3)
    assert found[2] == 0


# the network and the critic


def test_the_network_sees_what_comes_again():
    """Three notes of a loop of eight steps and two bars of four: a step is a beat, a bar four."""
    network = LoopNetwork(3, 4, 1, width=5)
    tokens = torch.tensor([[2, 2, 0, 1, 2, 0]])
    seen = torch.zeros(1, 8, 3)
    seen[0, 2:] = torch.eye(3)[tokens[0]]
    features = network.features(seen.flatten(1))[0]
    window, start, count, *repeats = features.split([24, 24, 9, 8, 8, 8, 8])
    torch.testing.assert_close(window, seen.flatten())
    torch.testing.assert_close(start.view(8, 3)[:6], torch.eye(3)[tokens[0]])
    assert not start.view(8, 3)[6:].any()
    assert count.tolist() == [0] * 6 + [1, 0, 0]
    step, beat, half, bar = (each.tolist() for each in repeats)
    assert step == beat == [0, 0, 0, 1, 0, 0, 0, 0]
    assert half == [0, 0, 0, 0, 0, 0, 0, 0]
    assert bar == [0, 0, 0, 0, 0, 0, 1, 0]


def test_nothing_comes_again_before_the_loop_has_begun():
    features = LoopNetwork(2, 4, 1, width=5).features(torch.zeros(1, 16))
    assert features.sum() == 1  # that there are no tokens
    one = torch.zeros(1, 16)
    one[0, 15] = 1
    assert LoopNetwork(2, 4, 1, width=5).features(one).sum() == 3  # the token twice, and that there is one


def test_a_network_without_values_says_0():
    network = without_values(LoopNetwork(3, 4, 2, width=5))
    assert not network(torch.rand(4, 24).round()).any()


NOTES = Alphabet.of_notes(ROLAND10)


def toy(n, share, seed):
    """Loops of which a share plays the first bar again, and the others noise of three notes."""
    random = torch.Generator().manual_seed(seed)
    loops = torch.randint(3, (n, 32), generator=random)
    again = torch.rand(n, generator=random) < share
    loops[:, 16:] = torch.where(again[:, None], loops[:, :16], loops[:, 16:])
    return loops, again


def test_a_critic_learns_the_ratio_of_chances():
    """Songs repeat the bar in four of five loops, the model in one: whole loops are worth log 4 and −log 4."""
    real, drawn = toy(6000, 0.8, 0)[0], toy(6000, 0.2, 1)[0]
    validation = toy(1000, 0.8, 2)[0], toy(1000, 0.2, 3)[0]
    config = LoopCriticConfig(train_steps=500, batch_size=128, width=48, dropout=0.1)
    critic = train_loop_critic(real, drawn, validation, NOTES, 8, config)
    loops, again = toy(2000, 0.5, 4)
    logits = logits_of(critic, loops, NOTES.symbols)
    assert logits[again].mean() == pytest.approx(math.log(4), abs=0.25)
    assert logits[~again].mean() == pytest.approx(-math.log(4), abs=0.25)
    # before the second bar nothing tells them apart
    assert logits_of(critic, loops[:, :14], NOTES.symbols).abs().mean() < 0.2
    term = critic_term(critic, NOTES.symbols, 8)
    paid = torch.stack([term(loops[:, :t]) for t in range(9, 33)])
    torch.testing.assert_close(paid.sum(0), logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(paid[0], logits_of(critic, loops[:, :9], NOTES.symbols))


def test_a_critic_is_the_same_for_the_same_seed():
    real, drawn = toy(200, 0.8, 0)[0], toy(200, 0.2, 1)[0]
    config = LoopCriticConfig(train_steps=20, batch_size=16, width=8)
    one, again, other = (
        logits_of(train_loop_critic(real, drawn, (real, drawn), NOTES, 8, each), real, NOTES.symbols)
        for each in (config, config, LoopCriticConfig(train_steps=20, batch_size=16, width=8, seed=1))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# measures


def test_runs_and_repetition_by_hand():
    notes = np.array([[1, 1, 1, 0, 2, 2, 2, 2, 2, 2], [0, 0, 3, 3, 1, 3, 0, 0, 0, 0]])
    assert runs(notes).tolist() == [[1, 2, 3, 0, 1, 2, 3, 4, 5, 6], [0, 0, 1, 2, 1, 1, 0, 0, 0, 0]]
    found = repetition(np.concatenate([notes, notes[:1]]), 2)
    assert found == {
        "longest_run": pytest.approx((6 + 2 + 6) / 3),
        "long_runs": 0,
        "repeated": pytest.approx((6 + 1 + 6) / 24),
        "excessive": pytest.approx((2 + 0 + 2) / 24),
        "unique": pytest.approx(2 / 3),
    }
    assert repetition(np.full((1, 9), 5), 1)["long_runs"] == 1


def test_equal_beginnings_say_nothing_and_what_follows_does():
    """Each song begins in its own way. Loops that go on as songs do cannot be told; those that end otherwise can."""
    rng = np.random.default_rng(0)
    song = np.arange(240) % 24
    real = rng.random((240, 32, 4)) < 0.3
    real[:, :8] = (rng.random((24, 8, 4)) < 0.5)[song]
    same = real.copy()
    same[:, 8:] = rng.random((240, 24, 4)) < 0.3
    assert c2st_of_continuations(real, same, song)["c2st"] == pytest.approx(0.5, abs=0.08)
    other = same.copy()
    other[:, 31, 0] = True
    found = c2st_of_continuations(real, other, song, repeats=2)
    assert found["c2st"] == max(found["trees"], found["mlp"])
    assert found["c2st"] > 0.8
    with pytest.raises(ValueError, match="as many drawn loops as real ones"):
        c2st_of_continuations(real, other[:-1], song)
