"""From targets to bars in three lines: what is found is what is said, however many episodes there are at once."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan.conditions import ANY, Condition
from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM12
from rhythmgan.models.gan import GAN, GANConfig, load_gan
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rhythmgan.reference import Reference, load_reference
from rl_tuner.latent.agent import LatentAgent, load_latent_agent
from rl_tuner.steering import SteeringResult, checked_targets, steer, to_values

USUAL = {"density": 16, "syncopation": 6}


@pytest.fixture(scope="module")
def models(one_thread):
    """The bundled ones, asked for bars of any role as the agent asks them."""
    gan, prior = load_gan().with_condition(ANY, ANY), load_prior().with_condition(ANY, ANY)
    return {"agent": load_latent_agent(), "generator": gan, "prior": prior}


@pytest.fixture(scope="module")
def found(models):
    """Nine episodes, most of which succeed, without any say of the networks."""
    return steer(USUAL, 9, calls=12, seed=3, realism=0, **models)


def _values(bars):
    """Density and syncopation as the package's own features say, (n, 2)."""
    return torch.stack([density(bars, GM12), syncopation(bars, GM12)], 1).double().numpy()


def _match(values, targets):
    """½ e^(−d/4), and ½ where all are within one, by hand."""
    gaps = np.abs(np.asarray(values, float) - targets)
    return 0.5 * np.exp(-gaps.sum(-1) / 4) + 0.5 * (gaps <= 1).all(-1)


def test_three_lines_from_targets_to_bars(one_thread):
    from rl_tuner import steer

    found = steer({"density": 20, "syncopation": 6}, n=4, calls=32, seed=0)
    bars, reached = found.bars, found.success
    assert bars.shape == (4, 16, 12)
    assert bars.dtype == bool
    assert reached.dtype == bool
    gaps = np.abs(_values(bars) - [20, 6])
    assert (reached == (gaps <= 1).all(1)).all()
    assert reached.any()


def test_what_was_reached_is_within_one_of_every_target(models):
    found = steer({"density": 24, "syncopation": 3}, 40, calls=4, seed=11, **models)
    values = _values(found.bars)
    np.testing.assert_array_equal(found.values, values)
    reached = (np.abs(values - [24, 3]) <= 1).all(1)
    assert 0 < reached.sum() < 40  # both happen
    assert (found.success == reached).all()
    assert (found.terms["success"] == reached).all()
    np.testing.assert_allclose(found.terms["match"], _match(values, [24, 3]), rtol=1e-5)


def test_bars_are_what_their_points_decode_to(models, found):
    assert (models["generator"].decode(found.z_after) == found.after).all()
    assert (found.bars == found.after).all()
    assert found.kit == found.performance().kit == GM12
    assert (models["generator"].decode(found.z_before) == found.before).all()


def test_episodes_begin_at_the_bars_of_their_seeds(models, found):
    np.testing.assert_array_equal(found.z_before, models["generator"].latents(range(3, 12)))
    assert (found.before == models["generator"].sample(9, seed=3)).all()
    np.testing.assert_array_equal(found.path[:, 0], _values(found.before))


def test_the_path_begins_with_the_features_of_the_seeds_bars(models, found):
    np.testing.assert_array_equal(found.path[:, 0], _values(models["generator"].sample(9, seed=3)))


def test_the_answer_is_the_best_bar_of_the_path_and_never_worse_than_the_start(found):
    targets = np.array([16.0, 6.0])
    for i in range(9):
        path = found.path[i, : found.calls[i]]
        worth = _match(path, targets)
        assert found.at[i] == worth.argmax() + 1  # the first of equal ones
        np.testing.assert_array_equal(found.values[i], path[found.at[i] - 1])
    assert (_match(found.values, targets) >= _match(found.path[:, 0], targets)).all()
    assert (found.at > 1).any()


@pytest.mark.parametrize("realism", [0.5, 1.0])
def test_a_success_is_never_given_up_for_realism(models, realism):
    found = steer(USUAL, 30, calls=10, seed=70, realism=realism, **models)
    for i in range(30):
        successes = (np.abs(found.path[i, : found.calls[i]] - [16, 6]) <= 1).all(1)
        assert found.success[i] == successes.any()
        if successes.any():
            assert successes[found.at[i] - 1]
    for name in ("realism", "likelihood"):
        assert (found.terms[name][~found.success] == 0).all()
        assert (found.terms[name][found.success] > 0).all()
    expected = found.terms["match"] + realism * (found.terms["realism"] + found.terms["likelihood"])
    np.testing.assert_allclose(found.terms["score"], expected, rtol=1e-5)


def test_an_episode_is_over_when_its_path_is(found):
    assert ((found.calls >= 1) & (found.calls <= 12)).all()
    assert ((found.at >= 1) & (found.at <= found.calls)).all()
    assert found.path.shape == (9, 12, 2)
    looked_at = np.arange(12) < found.calls[:, None]
    assert np.isfinite(found.path[looked_at]).all()
    assert np.isnan(found.path[~looked_at]).all()
    assert (~looked_at).any()


def test_no_more_bars_are_decoded_than_the_calls_allow(models, monkeypatch):
    decoded = []
    decode = models["generator"].decode
    monkeypatch.setattr(models["generator"], "decode", lambda z: decoded.append(len(z)) or decode(z))
    found = steer({"density": 28, "syncopation": 9}, 12, calls=6, seed=2, **models)
    assert sum(decoded) == found.calls.sum()
    assert len(decoded) == found.calls.max() <= 6
    assert (found.calls[~found.success] == 6).all()  # none gives up before


@pytest.mark.parametrize("asked", [Condition("groove"), Condition("fill", "rock")], ids=str)
def test_models_asked_for_a_role_are_steered_as_the_agent_learnt(models, asked):
    """Among bars of any role, and judged by how likely these are; what is given keeps what it was asked for."""
    gan, prior = (models[name].with_condition(asked.role, asked.style) for name in ("generator", "prior"))
    expected = steer(USUAL, 20, calls=8, seed=3, realism=0.8, **models)
    found = steer(USUAL, 20, calls=8, seed=3, realism=0.8, **models | {"generator": gan, "prior": prior})
    for name in ("before", "after", "z_before", "z_after", "path", "calls", "at", "values"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    for name, term in expected.terms.items():
        np.testing.assert_array_equal(found.terms[name], term, err_msg=name)
    assert gan.condition == prior.condition == asked
    # bars of the role, and what a prior of the role says, would be others
    assert (gan.sample(20, seed=3) != found.before).any()
    assert (gan.decode(found.z_after) != found.after).any()
    assert (prior.log_prob(found.after) != models["prior"].log_prob(found.after)).any()


def test_bundled_models_are_asked_for_bars_of_any_role(models, found):
    again = steer(USUAL, 9, calls=12, seed=3, realism=0)
    np.testing.assert_array_equal(again.after, found.after)
    np.testing.assert_array_equal(again.path, found.path)


def test_a_prior_that_does_not_know_the_agents_role_is_refused(models):
    gan = models["generator"].with_condition("fill")
    agent = LatentAgent(replace(models["agent"].config, generator=gan.fingerprint, role="fill"))
    agent.load_state_dict(models["agent"].state_dict())
    prior = WordLSTM(WordLSTMConfig(width=8, word_width=8, roles=("groove",)))
    with pytest.raises(ValueError, match=r"knows no role 'fill'; it knows groove, any$"):
        steer(USUAL, 1, calls=2, agent=agent, generator=gan, prior=prior)
    found = steer(USUAL, 3, calls=1, agent=agent, generator=models["generator"], prior=models["prior"])
    assert (found.bars == gan.sample(3)).all()


def test_one_call_answers_with_the_start(models):
    found = steer(USUAL, 5, calls=1, seed=40, **models)
    assert (found.after == models["generator"].sample(5, seed=40)).all()
    assert (found.calls == 1).all()
    assert (found.at == 1).all()
    assert found.path.shape == (5, 1, 2)
    assert (found.terms["kl"] == 0).all()


def test_a_seed_leads_alike_in_any_batch(models, found):
    """Rows of three, of one, of many: the same bars by the same way."""
    three = steer(USUAL, 3, calls=12, seed=3, realism=0, **models)
    one = steer(USUAL, 1, calls=12, seed=5, realism=0, **models)
    for rows, other in ((slice(0, 3), three), (slice(2, 3), one)):
        for name in ("after", "z_after", "path", "calls", "at", "values"):
            np.testing.assert_array_equal(getattr(found, name)[rows], getattr(other, name), err_msg=name)
    again = steer(USUAL, 9, calls=12, seed=3, realism=0, **models)
    np.testing.assert_array_equal(again.z_after, found.z_after)
    other = steer(USUAL, 9, calls=12, seed=4, realism=0, **models)
    assert (other.after != found.after).any()
    np.testing.assert_array_equal(other.after[:8], found.after[1:])


def test_the_largest_seed_is_a_seed(models):
    found = steer(USUAL, 2, calls=3, seed=2**63 - 2, **models)
    np.testing.assert_array_equal(found.path[:, 0], _values(models["generator"].sample(2, seed=2**63 - 2)))


@pytest.mark.parametrize(("name", "value"), [("density", 25), ("syncopation", 1)])
def test_a_feature_that_is_not_named_is_skipped(models, name, value):
    found = steer({name: value}, 12, calls=16, seed=1, **models)
    column = ("density", "syncopation").index(name)
    assert (found.importance == np.eye(2)[column]).all()
    values = _values(found.bars)
    assert (found.success == (np.abs(values[:, column] - value) <= 1)).all()
    assert found.success.mean() > 0.8
    assert np.ptp(values[:, 1 - column]) > 2  # nothing is asked of the other
    match = 0.5 * np.exp(-np.abs(values[:, column] - value) / 4) + 0.5 * found.success
    np.testing.assert_allclose(found.terms["match"], match, rtol=1e-5)
    assert name in found.sentence()


def test_importance_says_which_feature_is_to_be_near(models):
    """Out of reach together: the heavier one is nearer than when it is light."""
    gaps = {}
    for heavy in USUAL:
        importance = {name: 5.0 if name == heavy else 0.1 for name in USUAL}
        found = steer({"density": 4, "syncopation": 20}, 16, calls=12, importance=importance, **models)
        np.testing.assert_allclose(found.importance, np.tile(list(importance.values()), (16, 1)))
        gaps[heavy] = np.abs(found.values - [4, 20]).mean(0)
    assert gaps["density"][0] < gaps["syncopation"][0]
    assert gaps["syncopation"][1] < gaps["density"][1]


def test_without_realism_the_networks_are_not_asked(models, monkeypatch):
    def asked(*arguments):
        raise AssertionError("a network that has no weight was asked")

    monkeypatch.setattr(models["generator"].discriminator, "forward", asked)
    monkeypatch.setattr(models["prior"], "log_prob", asked)
    found = steer(USUAL, 5, calls=8, realism=0, **models)
    assert found.success.any()
    assert (found.terms["realism"] == 0).all()
    assert (found.terms["likelihood"] == 0).all()
    with pytest.raises(AssertionError, match="was asked"):
        steer(USUAL, 5, calls=8, realism=0.01, **models)


def test_episodes_begin_at_given_points_each_in_turn(models):
    gan = models["generator"]
    start = gan.latents([700, 701])
    kept = start.copy()
    found = steer(USUAL, 5, calls=6, seed=0, start=start, **models)
    np.testing.assert_array_equal(found.path[:, 0], _values(gan.decode(start))[[0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(start, kept)  # what was given is not written to
    one = steer(USUAL, 1, calls=6, seed=2, start=start[:1], **models)
    np.testing.assert_array_equal(one.z_after, found.z_after[2:3])
    assert (steer(USUAL, 1, calls=1, start=start.tolist(), **models).after == gan.decode(start[:1])).all()


def test_episodes_begin_at_the_bars_of_a_loop(models, tmp_path):
    from rhythmgan.bars import words_to_bars
    from rhythmgan.load import load_loop
    from rhythmgan.midi import write_midi

    bars = words_to_bars(load_patterns().words[[0, 7]] << 3, 12)  # without hand percussion
    write_midi(tmp_path / "loop.mid", bars)
    loop, _ = load_loop(tmp_path / "loop.mid", GM12, 16)
    start = models["generator"].encode(loop.bars, seed=4)
    found = steer(USUAL, 4, calls=1, start=start, **models)
    assert (found.before == bars[[0, 1, 0, 1]]).all()
    found = steer(USUAL, 4, calls=16, seed=4, start=start, **models)
    np.testing.assert_array_equal(found.path[:, 0], _values(bars)[[0, 1, 0, 1]])


def test_the_bars_before_are_those_of_the_start(models):
    start = models["generator"].latents([700, 701])
    found = steer(USUAL, 4, calls=8, start=start, **models)
    assert (found.after != models["generator"].decode(start)[[0, 1, 0, 1]]).any()
    assert (found.before == models["generator"].decode(start)[[0, 1, 0, 1]]).all()


def test_latent_points_stay_on_their_shell(models, found):
    assert np.abs(np.linalg.norm(found.z_after, axis=1) / 192**0.5 - 1).max() < 0.3
    start = models["generator"].latents(range(3, 12))
    drawn = steer(USUAL, 9, calls=8, seed=3, start=start, **models)
    # an episode that returns keeps the length of its start, whatever its actions are
    np.testing.assert_allclose(np.linalg.norm(drawn.z_after, axis=1), np.linalg.norm(start, axis=1), rtol=1e-4)


NONSENSE = [
    ({}, {}, "a target is needed"),
    ({"density": math.nan}, {}, "density"),
    ({"density": math.inf}, {}, "density"),
    ({"density": -1}, {}, "density"),
    ({"syncopation": -0.5}, {}, "syncopation"),
    ({"density": 2e6}, {}, "density"),
    ({"loudness": 3}, {}, "'loudness'"),
    ({"swing": 3}, {}, "swing lies between"),
    (USUAL, {"played": Performance.of(np.zeros((2, 16, 12), bool))}, "one for each point"),
    (USUAL, {"n": 0}, "not 0"),
    (USUAL, {"n": -3}, "not -3"),
    (USUAL, {"n": 1_000_001}, "1000001"),
    (USUAL, {"calls": 0}, "not 0"),
    (USUAL, {"calls": 4097}, "not 4097"),
    (USUAL, {"calls": 3.5}, "not 3.5"),
    (USUAL, {"seed": -1}, "not -1"),
    (USUAL, {"seed": 0.5}, "not 0.5"),
    (USUAL, {"seed": 2**63 - 1, "n": 2}, "seeds"),
    (USUAL, {"realism": -0.1}, "realism"),
    (USUAL, {"realism": 1.01}, "realism"),
    (USUAL, {"realism": math.nan}, "realism"),
    (USUAL, {"importance": {"density": 0}}, "importance"),
    (USUAL, {"importance": {"density": -1}}, "importance"),
    (USUAL, {"importance": {"density": math.nan}}, "importance"),
    (USUAL, {"importance": {"density": 11}}, "importance"),
    ({"density": 3}, {"importance": {"syncopation": 1}}, "no target"),
    (USUAL, {"start": np.zeros(192, np.float32)}, "start"),
    (USUAL, {"start": np.zeros((2, 191), np.float32)}, "start"),
    (USUAL, {"start": np.zeros((0, 192), np.float32)}, "start"),
    (USUAL, {"start": np.full((1, 192), np.nan, np.float32)}, "start"),
    (USUAL, {"generator": GAN(GANConfig(width=8, discriminator_width=8)).eval()}, "another generator"),
]


@pytest.mark.parametrize(("targets", "changes", "says"), NONSENSE)
def test_nonsense_is_refused_in_one_line(models, targets, changes, says):
    with pytest.raises(ValueError, match=says) as refusal:
        steer(targets, **({"n": 1, "calls": 2} | models | changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("n", [1.0, True])
def test_a_number_of_bars_that_is_no_int_is_refused(models, n):
    with pytest.raises(ValueError, match="bars"):
        steer(USUAL, n, calls=2, **models)


def test_an_int_that_is_too_large_is_refused_like_any_other():
    with pytest.raises(ValueError, match="density"):
        checked_targets({"density": 10**400}, ("density", "syncopation"))


@settings(max_examples=50)
@given(st.floats() | st.integers(-(10**9), 10**9))
def test_targets_are_numbers_from_zero_up(value):
    names = ("density", "syncopation")
    if 0 <= value <= 1e6:
        assert checked_targets({"density": value}, names) == {"density": float(value)}
    else:
        with pytest.raises(ValueError, match="density"):
            checked_targets({"density": value}, names)


@pytest.mark.parametrize("targets", [{"density": 0, "syncopation": 9}, {"density": 200}])
def test_what_no_bar_can_have_ends_with_the_nearest(models, targets):
    found = steer(targets, 4, calls=12, seed=8, **models)
    assert not found.success.any()
    assert (found.calls == 12).all()
    columns = [("density", "syncopation").index(name) for name in targets]
    gaps = np.abs(found.values - [targets.get(name, 0) for name in ("density", "syncopation")])[:, columns].sum(1)
    began = np.abs(found.path[:, 0] - [targets.get(name, 0) for name in ("density", "syncopation")])[:, columns].sum(1)
    assert (gaps <= began).all()
    assert gaps.mean() < began.mean() - 2
    sentence = found.sentence()
    nearest = found.values[gaps.argmin()]
    assert sentence.startswith("no bar with density")
    assert "was found" in sentence
    assert f"density {nearest[0]:g}" in sentence.partition(":")[2]
    assert "\n" not in sentence


def test_sentences_count_what_was_reached():
    def steered(successes):
        n = len(successes)
        terms = {"success": np.array(successes, np.float32), "match": np.linspace(0.1, 0.2, n)}
        bars, z, row = np.zeros((n, 16, 12), bool), np.zeros((n, 192)), np.tile([20.0, 6.5], (n, 1))
        shown = (row, np.ones((n, 2)), np.ones(2), bars, bars, z, z, row[:, None], np.add(row, [3, 1]), terms)
        return SteeringResult(("density", "syncopation"), *shown, np.ones(n, int), np.ones(n, int), GM12).sentence()

    assert steered([1]) == "1 bar: it has density 20 ± 1 and syncopation 6.5 ± 1"
    assert steered([1, 1]) == "2 bars: all have density 20 ± 1 and syncopation 6.5 ± 1"
    assert steered([1, 0, 0]).startswith("1 of 3 bars reached density 20 ± 1 and syncopation 6.5 ± 1;")
    assert steered([0]) == (
        "no bar with density 20 ± 1 and syncopation 6.5 ± 1 was found: the nearest has density 23 and syncopation 7.5"
    )


def test_percentiles_are_those_of_the_reference():
    """Of 101 bars with 0 … 100 onsets, 80 % is a bar of 80."""
    bars = (np.arange(192) < np.arange(101)[:, None]).reshape(101, 16, 12)
    ladder = Reference.of(bars, GM12)
    for percentile in (0, 5, 37.5, 50, 80, 100):
        assert to_values({"density": percentile}, ladder)["density"] == pytest.approx(percentile, abs=0.5)
    bundled = load_reference()
    targets = to_values({"density": 80, "syncopation": 50})
    assert targets == {"density": bundled.value("density", 80), "syncopation": bundled.value("syncopation", 50)}
    assert all(type(value) is float for value in targets.values())
    assert abs(float(bundled.percentile("density", targets["density"])) - 80) < 5


@pytest.mark.parametrize(
    "wrong", [{"density": 101}, {"density": -1}, {"density": math.nan}, {"swing": 101}, {"loudness": 50}]
)
def test_percentiles_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"percentiles|loudness") as refusal:
        to_values(wrong)
    assert "\n" not in str(refusal.value)


def test_four_of_five_bars_reach_a_usual_target_within_32_calls(models):
    assert steer(USUAL, 100, calls=32, **models).success.mean() >= 0.8
