"""From targets to bars: what is found is what is said, in whatever company, and what is given is respected."""

import logging
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY, Condition
from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM12
from rhythmgan.models.gan import GAN, GANConfig, load_gan
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior
from rhythmgan.patterns import load_patterns
from rhythmgan.performance import Performance
from rl_tuner import steering
from rl_tuner.agent import Agent, load_agent
from rl_tuner.result import SteeringResult
from rl_tuner.scale import values_of
from rl_tuner.steering import checked_targets, steer

USUAL = {"density": 16, "syncopation": 6}
NAMES = ("density", "syncopation")


@pytest.fixture(scope="module")
def models(one_thread):
    """The bundled ones, asked for bars of any role as the agent asks them."""
    gan, prior = load_gan().with_condition(ANY, ANY), load_prior().with_condition(ANY, ANY)
    return {"agent": load_agent(), "generator": gan, "prior": prior}


@pytest.fixture(scope="module")
def found(models):
    """Nine bars, without any say of the discriminator."""
    return steer(USUAL, 9, calls=6, seed=3, realism=0, **models)


@pytest.fixture(scope="module")
def loop(models):
    """A loop of four bars, of which the first and the third are equal: grooves that are known by heart."""
    bars = words_to_bars(load_patterns().words[[0, 7, 0, 3]] << 3, 12)
    assert len(np.unique(bars, axis=0)) == 3
    return bars


def _values(bars):
    """Density and syncopation as the package's own features say, (n, 2)."""
    return torch.stack([density(bars, GM12), syncopation(bars, GM12)], 1).double().numpy()


def _match(values, targets):
    """½ e^(−d/4), and ½ where all are within one, by hand."""
    gaps = np.abs(np.asarray(values, float) - targets)
    return 0.5 * np.exp(-gaps.sum(-1) / 4) + 0.5 * (gaps <= 1).all(-1)


def _changed(loop, **more):
    """Targets of each bar of a loop: its own features, and so much more."""
    own = _values(loop)
    return {name: own[:, i] + more.get(name, 0) for i, name in enumerate(NAMES)}


# what is found is what is said


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
    found = steer({"density": 36, "syncopation": 12}, 40, calls=1, seed=11, **models)
    values = _values(found.bars)
    np.testing.assert_array_equal(found.values, values)
    reached = (np.abs(values - [36, 12]) <= 1).all(1)
    assert 0 < reached.sum() < 40  # both happen
    assert (found.success == reached).all()
    assert (found.terms["success"] == reached).all()
    np.testing.assert_allclose(found.terms["match"], _match(values, [36, 12]), rtol=1e-5)
    assert found.features == NAMES
    assert found.tolerance.tolist() == [1, 1]
    assert found.taught


def test_bars_are_what_their_points_decode_to(models, found, loop):
    assert (models["generator"].decode(found.z) == found.after).all()
    assert found.z.dtype == np.float32
    assert found.kit == found.performance().kit == GM12
    close = steer(_changed(loop, density=2), 3, calls=5, given=loop, locked=loop & (np.arange(12) == 0), **models)
    assert (models["generator"].decode(close.z) == close.after).all()
    as_it_was = steer(_changed(loop), 2, calls=2, given=loop, **models)
    assert (models["generator"].decode(as_it_was.z) == as_it_was.after).all()


def test_points_are_drawn_as_those_of_unsteered_bars_are(models):
    z = steer(USUAL, 60, calls=8, seed=5, **models).z
    assert np.square(z).mean() == pytest.approx(1, abs=0.04)
    below = [(z < limit).mean() for limit in (-1.5, -0.5, 0.5, 1.5)]
    assert below == pytest.approx([0.0668, 0.3085, 0.6915, 0.9332], abs=0.015)


def test_without_a_loop_there_is_nothing_before(found):
    assert found.before is None
    assert found.locked is None
    assert (found.loop, found.n_versions) == (1, 9)
    with pytest.raises(ValueError, match="no bars were given"):
        _ = found.changed
    with pytest.raises(ValueError, match="no bars were given"):
        found.performance_before(np.arange(2))


def test_no_more_than_the_calls_are_decided(models):
    """Candidates make a call a little dearer than one decoded bar, and four bars are enough where one is exact."""
    asked = steer({"density": 150, "syncopation": 1}, 6, calls=7, seed=2, **models)
    usual = steer(USUAL, 20, calls=7, seed=2, **models)
    for found in (asked, usual):
        each = found.calls.min() / (4 if found is usual else 7)
        assert 1 <= each < 1.1
        exact = (found.values == found.targets).all(1)
        assert (found.calls[~exact] > 6.9).all()
        assert found.calls.max() < 7 * 1.1
    assert (usual.calls < 4.5).any()


@pytest.mark.parametrize("realism", [0.0, 0.75, 1.0])
def test_real_bars_are_preferred_among_those_that_reach(models, realism):
    found = steer(USUAL, 12, calls=6, seed=70, realism=realism, **models)
    assert (found.terms["realism"][~found.success] == 0).all()
    assert ((found.terms["realism"] > 0) == (found.success & (realism > 0))).all()
    np.testing.assert_allclose(found.terms["score"], found.terms["match"] + realism * found.terms["realism"], rtol=1e-5)
    assert found.success.mean() > 0.7


def test_realism_makes_bars_more_real(models):
    real = [steer(USUAL, 30, calls=8, seed=1, realism=realism, **models).bars for realism in (0.0, 1.0)]
    logits = [models["generator"].logits(bars).mean().item() for bars in real]
    assert logits[1] > logits[0]


def test_the_more_realism_the_less_is_q_trusted(models, monkeypatch):
    trusts, nats = [], Agent.nats
    monkeypatch.setattr(Agent, "nats", lambda agent, seen, trust: trusts.append(trust) or nats(agent, seen, trust))
    steer(USUAL, calls=2, realism=0.2, **models)
    assert set(trusts) == {0.8}


def test_without_realism_the_networks_are_not_asked(models, monkeypatch):
    def asked(*arguments):
        raise AssertionError("a network that has no coefficient was asked")

    monkeypatch.setattr(models["generator"].discriminator, "forward", asked)
    monkeypatch.setattr(models["prior"], "log_prob", asked)
    found = steer(USUAL, 3, calls=4, realism=0, **models)
    assert found.success.any()
    assert (found.terms["realism"] == 0).all()
    with pytest.raises(AssertionError, match="was asked"):
        steer(USUAL, 3, calls=4, realism=0.01, **models)


# whatever company


def test_a_bar_is_a_function_of_its_seed_in_any_batch(models, found):
    for rows, seed, n in ((slice(0, 3), 3, 3), (slice(2, 3), 5, 1), (slice(8, 9), 11, 1)):
        alone = steer(USUAL, n, calls=6, seed=seed, realism=0, **models)
        np.testing.assert_array_equal(alone.after, found.after[rows])
        np.testing.assert_allclose(alone.z, found.z[rows], atol=1e-4)
        np.testing.assert_array_equal(alone.calls, found.calls[rows])
    again = steer(USUAL, 9, calls=6, seed=3, realism=0, **models)
    np.testing.assert_array_equal(again.z, found.z)
    assert len(np.unique(found.after, axis=0)) == 9


def test_bars_are_the_same_however_many_are_in_memory(models, found, monkeypatch):
    monkeypatch.setattr(steering, "_MOST_AT_ONCE", 13)  # two bars of six calls
    again = steer(USUAL, 9, calls=6, seed=3, realism=0, **models)
    np.testing.assert_array_equal(again.after, found.after)
    np.testing.assert_array_equal(again.calls, found.calls)


def test_a_target_for_each_bar(models, found):
    """The same bars as each of them alone, in any order; another target leaves the others as they are."""
    asked = {"density": [16, 30, 16, 9], "syncopation": 6}
    several = steer(asked, 4, calls=6, seed=3, realism=0, **models)
    np.testing.assert_array_equal(several.targets, [[16, 6], [30, 6], [16, 6], [9, 6]])
    np.testing.assert_array_equal(several.after[[0, 2]], found.after[[0, 2]])
    one = steer({"density": 30, "syncopation": 6}, 1, calls=6, seed=4, realism=0, **models)
    np.testing.assert_array_equal(one.after[0], several.after[1])
    np.testing.assert_allclose(several.terms["match"], _match(several.values, several.targets), rtol=1e-5)


def test_the_largest_seed_is_a_seed(models):
    last = steer(USUAL, 2, calls=2, seed=2**63 - 2, **models)
    np.testing.assert_array_equal(last.after[1:], steer(USUAL, 1, calls=2, seed=2**63 - 1, **models).after)


@pytest.mark.parametrize("asked", [Condition("groove"), Condition("fill", "rock")], ids=str)
def test_models_asked_for_a_role_are_steered_as_the_agent_learnt(models, found, asked):
    """Among bars of any role; what is given keeps what it was asked for."""
    gan, prior = (models[name].with_condition(asked.role, asked.style) for name in ("generator", "prior"))
    again = steer(USUAL, 9, calls=6, seed=3, realism=0, **models | {"generator": gan, "prior": prior})
    np.testing.assert_array_equal(again.after, found.after)
    assert gan.condition == prior.condition == asked


def _chance_of_fill(models, bars):
    """Of the prior asked for each role, the mean share of the one that was asked for a fill."""
    roles = ("groove", "variation", "fill")
    each = torch.stack([models["prior"].with_condition(role).log_prob(bars) for role in roles], 1)
    return float(each.softmax(1)[:, 2].mean())


def test_bars_of_a_role_are_asked_for(models, found, loop):
    fills = steer(USUAL, 40, calls=8, seed=3, role="fill", **models)
    grooves = steer(USUAL, 40, calls=8, seed=3, role="groove", **models)
    assert _chance_of_fill(models, fills.after) > 0.5 > 0.25 > _chance_of_fill(models, grooves.after)
    assert fills.success.mean() > 0.95
    again = steer(USUAL, 9, calls=6, seed=3, realism=0, role="any", style="any", **models)
    np.testing.assert_array_equal(again.after, found.after)
    more = steer(_changed(loop, density=4), 1, calls=8, given=loop, role="fill", **models)
    less = steer(_changed(loop, density=4), 1, calls=8, given=loop, role="groove", **models)
    assert _chance_of_fill(models, more.after) > _chance_of_fill(models, less.after)
    assert models["agent"].config.role == "any"


def test_a_style_is_asked_for_alone_or_with_a_role(models):
    plain, funk, both = (
        steer(USUAL, 9, calls=6, seed=3, **models, **asked).after
        for asked in ({}, {"style": "funk"}, {"style": "funk", "role": "fill"})
    )
    assert (plain != funk).any()
    assert (funk != both).any()


def test_a_role_or_style_that_nobody_knows_is_refused(models):
    for asked, says in (({"role": "solo"}, "no role 'solo'"), ({"style": "polka"}, "no style 'polka'")):
        with pytest.raises(ValueError, match=says):
            steer(USUAL, 1, calls=2, **models, **asked)


def test_bundled_models_are_asked_for_bars_of_any_role(found):
    np.testing.assert_array_equal(steer(USUAL, 9, calls=6, seed=3, realism=0).after, found.after)


def test_a_prior_that_does_not_know_the_agents_role_is_refused(models):
    gan = models["generator"].with_condition("fill")
    agent = Agent(replace(models["agent"].config, generator=gan.fingerprint, role="fill"))
    agent.load_state_dict(models["agent"].state_dict())
    prior = WordLSTM(WordLSTMConfig(width=8, word_width=8, roles=("groove",)))
    with pytest.raises(ValueError, match=r"knows no role 'fill'; it knows groove, any$"):
        steer(USUAL, 1, calls=2, agent=agent, generator=gan, prior=prior)


# a loop


def test_equal_bars_of_a_loop_stay_equal_within_a_version(models, loop):
    found = steer(_changed(loop, density=4), 3, calls=6, given=loop, closeness=0.2, **models)
    assert (found.loop, found.n_versions) == (4, 3)
    versions = found.after.reshape(3, 4, 16, 12)
    np.testing.assert_array_equal(versions[:, 0], versions[:, 2])
    assert (versions[:, 0] != versions[:, 1]).any((1, 2)).all()
    assert len(np.unique(versions, axis=0)) == 3
    np.testing.assert_array_equal(found.before, np.concatenate([loop] * 3))
    np.testing.assert_array_equal(found.changed, found.before ^ found.after)
    # a version is a function of its seed
    second = steer(_changed(loop, density=4), 1, calls=6, seed=1, given=loop, closeness=0.2, **models)
    np.testing.assert_array_equal(second.after, versions[1])


def test_equal_bars_that_are_asked_for_something_else_are_steered_apart(models, loop):
    targets = _changed(loop)
    targets["density"][2] += 5
    found = steer(targets, 1, calls=8, given=loop, **models)
    assert found.success.all()
    np.testing.assert_array_equal(found.after[[0, 1, 3]], loop[[0, 1, 3]])
    assert found.values[2, 0] >= targets["density"][2] - 1
    # and so are those that are locked otherwise
    locked = np.zeros_like(loop)
    locked[2, :, 2:] = True
    found = steer(_changed(loop, density=3), 1, calls=4, given=loop, locked=locked, closeness=0, **models)
    assert (found.after[0] != found.after[2]).any()


@pytest.mark.parametrize("closeness", [0.0, 0.6])
def test_locked_cells_never_move(models, loop, closeness):
    """The kick of all bars, a bar as a whole, and cells of no order."""
    locked = np.zeros_like(loop)
    locked[:, :, 0] = locked[3] = True
    locked[1] |= np.random.default_rng(1).random((16, 12)) < 0.5
    found = steer(
        _changed(loop, density=6, syncopation=2), 3, calls=6, given=loop, locked=locked, closeness=closeness, **models
    )
    everywhere = np.concatenate([locked] * 3)
    np.testing.assert_array_equal(found.locked, everywhere)
    assert not (found.changed & everywhere).any()
    assert found.changed.reshape(3, 4, -1).any(2)[:, :3].all()
    np.testing.assert_array_equal(models["generator"].decode(found.z), found.after)


def test_locks_of_a_bar_do_not_change_what_becomes_of_another(models, loop):
    locked = np.zeros_like(loop)
    locked[3, :, :4] = True
    kwargs = {"calls": 6, "closeness": 0.3, "seed": 4} | models
    together = steer(_changed(loop, density=4), 1, given=loop, locked=locked, **kwargs)
    for row in (1, 3):
        one = slice(row, row + 1)
        alone = steer(_changed(loop[one], density=4), 1, given=loop[one], locked=locked[one], **kwargs)
        np.testing.assert_array_equal(alone.after, together.after[one])
        np.testing.assert_allclose(alone.z, together.z[one], atol=1e-4)


@pytest.mark.parametrize("realism", [0.0, 0.75, 1.0])
def test_a_loop_that_has_what_is_asked_for_stays_untouched(models, loop, realism):
    found = steer(_changed(loop), 3, calls=6, given=loop, realism=realism, closeness=0.1, **models)
    assert not found.changed.any()
    assert found.success.all()
    assert found.sentence().endswith("no cell changed")
    generated = models["generator"].sample(8, seed=900)
    assert not steer(_changed(generated), 2, calls=6, given=generated, realism=realism, **models).changed.any()


def test_the_closer_the_fewer_cells_change(models):
    bars = models["generator"].sample(10, seed=1000)
    cells = []
    for closeness in (0.0, 0.5, 1.0):
        found = steer(_changed(bars, density=4), 2, calls=8, given=bars, closeness=closeness, **models)
        assert found.success.mean() > 0.9
        cells.append(found.changed.sum((1, 2)).mean())
    assert cells[0] > cells[1] + 1
    assert cells[1] > cells[2] + 1
    assert 3 <= cells[2] < 8  # at least three: four onsets more, within one


def test_a_swing_alone_leaves_a_loop_as_it_is(models, loop):
    found = steer({"swing": 0.6}, 2, given=loop, **models)
    assert not found.changed.any()
    assert not found.calls.any()
    np.testing.assert_array_equal(models["generator"].decode(found.z), found.after)
    reached = found.swing_reached()["swing"]
    assert np.isnan(reached).sum() < len(reached)
    np.testing.assert_allclose(reached[~np.isnan(reached)], 0.6, atol=0.01)


def test_what_stays_is_played_as_it_was(models, loop):
    played = Performance.of(loop, GM12)
    velocities = np.where(loop, 20 + np.arange(loop.size).reshape(loop.shape) % 90, 0).astype(played.velocities.dtype)
    played = replace(played, velocities=velocities)
    found = steer(_changed(loop, density=3), 2, calls=4, given=loop, played=played, **models)
    after = found.performance()
    stays = found.before & found.after
    np.testing.assert_array_equal(after.velocities[stays], np.concatenate([velocities] * 2)[stays])
    np.testing.assert_array_equal(after.bars, found.after)
    before = found.performance_before(np.array([1, 5]))
    np.testing.assert_array_equal(before.velocities, velocities[[1, 1]])


# what counts


@pytest.mark.parametrize(("name", "value"), [("density", 25), ("syncopation", 1)])
def test_a_feature_that_is_not_named_is_skipped(models, name, value):
    found = steer({name: value}, 12, calls=6, seed=1, **models)
    column = NAMES.index(name)
    assert (found.importance == np.eye(2)[column]).all()
    values = _values(found.bars)
    assert (found.success == (np.abs(values[:, column] - value) <= 1)).all()
    assert found.success.mean() > 0.8
    assert np.ptp(values[:, 1 - column]) > 2  # nothing is asked of the other
    assert (found.calls < 4.5).any()  # nor does it keep those from being done that have what is asked for
    match = 0.5 * np.exp(-np.abs(values[:, column] - value) / 4) + 0.5 * found.success
    np.testing.assert_allclose(found.terms["match"], match, rtol=1e-5)
    assert name in found.sentence()


def test_importance_says_which_feature_is_to_be_near(models):
    """Out of reach together: the heavier one is nearer than when it is light."""
    gaps = {}
    for heavy in USUAL:
        importance = {name: 5.0 if name == heavy else 0.1 for name in USUAL}
        found = steer({"density": 4, "syncopation": 20}, 16, calls=6, importance=importance, **models)
        np.testing.assert_allclose(found.importance, np.tile(list(importance.values()), (16, 1)))
        gaps[heavy] = np.abs(found.values - [4, 20]).mean(0)
    assert gaps["density"][0] < gaps["syncopation"][0]
    assert gaps["syncopation"][1] < gaps["density"][1]


def test_features_that_no_agent_was_taught_are_steered_with_a_warning(models, caplog, monkeypatch):
    monkeypatch.setattr(steering, "_FITTED_ON", 1500)
    monkeypatch.setattr(steering, "_UNTAUGHT", {})
    names = ("kick density", "off-beat share")
    with caplog.at_level(logging.WARNING):
        found = steer({"kick density": 5, "off-beat share": 0.25}, 10, calls=8, **models)
    assert "no agent was taught to steer kick density and off-beat share" in caplog.text
    assert found.features == names
    assert not found.taught
    np.testing.assert_allclose(found.values, values_of(found.bars, names, GM12).numpy(), rtol=1e-6)
    assert found.tolerance[0] == 1 != found.tolerance[1]
    gaps = np.abs(found.values - [5, 0.25]) / found.tolerance
    assert (found.success == (gaps <= 1).all(1)).all()
    assert found.success.mean() >= 0.6
    caplog.clear()
    kept = dict(steering._UNTAUGHT)
    steer({"kick density": 6, "off-beat share": 0.3}, 1, calls=1, **models)
    assert kept == steering._UNTAUGHT  # what was fitted once is used again
    steer(USUAL, 1, calls=1, **models)
    assert caplog.text.count("no agent was taught") == 1


# what no bar can have, and what cannot be asked


NONSENSE = [
    ({}, {}, "a target is needed"),
    ([("density", 20)], {}, "a target is needed"),
    ({"density": math.nan}, {}, "density"),
    ({"density": math.inf}, {}, "density"),
    ({"density": 2e6}, {}, "density"),
    ({"density": "many"}, {}, "density"),
    ({"density": [20, 21]}, {}, "density has one target, or one for each of 1 bars"),
    ({"density": [[20]]}, {}, "density has one target"),
    ({"loudness": 3}, {}, "'loudness'"),
    ({"swing": 3}, {}, "swing lies between"),
    ({"swing": [0.5, 0.6]}, {}, "swing has one target"),
    (USUAL, {"n": 0}, "not 0"),
    (USUAL, {"n": -3}, "not -3"),
    (USUAL, {"n": 1_000_001}, "1000001"),
    (USUAL, {"n": 1.0}, "bars"),
    (USUAL, {"n": True}, "bars"),
    (USUAL, {"n": 900_000, "calls": 100}, "ask for fewer"),
    (USUAL, {"calls": 0}, "not 0"),
    (USUAL, {"calls": 4097}, "not 4097"),
    (USUAL, {"calls": 3.5}, "not 3.5"),
    (USUAL, {"seed": -1}, "not -1"),
    (USUAL, {"seed": 0.5}, "not 0.5"),
    (USUAL, {"seed": 2**63 - 1, "n": 2}, "seeds"),
    (USUAL, {"realism": -0.1}, "realism"),
    (USUAL, {"realism": 1.01}, "realism"),
    (USUAL, {"realism": math.nan}, "realism"),
    (USUAL, {"closeness": -0.1}, "closeness"),
    (USUAL, {"closeness": 1.01}, "closeness"),
    (USUAL, {"closeness": math.nan}, "closeness"),
    (USUAL, {"importance": {"density": 0}}, "importance"),
    (USUAL, {"importance": {"density": -1}}, "importance"),
    (USUAL, {"importance": {"density": math.nan}}, "importance"),
    (USUAL, {"importance": {"density": 11}}, "importance"),
    ({"density": 3}, {"importance": {"syncopation": 1}}, "no target"),
    (USUAL, {"given": np.zeros((16, 12), bool)}, r"expected given bars \(m, 16, 12\) bool"),
    (USUAL, {"given": np.zeros((2, 12, 12), bool)}, "expected given bars"),
    (USUAL, {"given": np.zeros((2, 16, 9), bool)}, "expected given bars"),
    (USUAL, {"given": np.zeros((0, 16, 12), bool)}, "expected given bars"),
    (USUAL, {"given": np.zeros((2, 16, 12))}, "got float64"),
    (USUAL, {"locked": np.zeros((2, 16, 12), bool)}, "but there are none"),
    (USUAL, {"played": Performance.of(np.zeros((2, 16, 12), bool))}, "but there are none"),
    (USUAL, {"given": np.zeros((2, 16, 12), bool), "locked": np.zeros((1, 16, 12), bool)}, "expected locks"),
    (USUAL, {"given": np.zeros((1, 16, 12), bool), "locked": np.zeros((1, 16, 12))}, "expected locks"),
    (
        USUAL,
        {"given": np.zeros((1, 16, 12), bool), "played": Performance.of(np.zeros((2, 16, 12), bool))},
        "a performance of the 1 given bars; got one of 2",
    ),
    ({"density": [20, 21, 22]}, {"given": np.zeros((2, 16, 12), bool)}, "one for each of 2 bars"),
    (USUAL, {"generator": GAN(GANConfig(width=8, discriminator_width=8)).eval()}, "another generator"),
]


@pytest.mark.parametrize(("targets", "changes", "says"), NONSENSE)
def test_nonsense_is_refused_in_one_line(models, targets, changes, says):
    with pytest.raises(ValueError, match=says) as refusal:
        steer(targets, **({"n": 1, "calls": 2} | models | changes))
    assert "\n" not in str(refusal.value)


def test_an_int_that_is_too_large_is_refused_like_any_other():
    with pytest.raises(ValueError, match="density"):
        checked_targets({"density": 10**400}, 1)


@settings(max_examples=50)
@given(st.floats() | st.integers(-(10**9), 10**9), st.integers(1, 5))
def test_targets_are_numbers_in_reach(value, n):
    if abs(value) <= 1e6:
        assert checked_targets({"density": value}, n)["density"].tolist() == n * [float(value)]
        assert checked_targets({"density": [value] * n}, n)["density"].tolist() == n * [float(value)]
    else:
        with pytest.raises(ValueError, match="density"):
            checked_targets({"density": value}, n)


@pytest.mark.parametrize("targets", [{"density": 0, "syncopation": 9}, {"density": 200}])
def test_what_no_bar_can_have_ends_with_the_nearest(models, targets):
    found = steer(targets, 4, calls=6, seed=8, **models)
    assert not found.success.any()
    columns = [NAMES.index(name) for name in targets]
    wanted = [targets.get(name, 0) for name in NAMES]
    gaps = np.abs(found.values - wanted)[:, columns].sum(1)
    unsteered = np.abs(_values(models["generator"].sample(200)) - wanted)[:, columns].sum(1)
    assert gaps.mean() < unsteered.mean() - 2
    sentence = found.sentence()
    nearest = found.values[gaps.argmin()]
    assert sentence.startswith("no bar with density")
    assert "was found" in sentence
    assert f"density {nearest[0]:g}" in sentence.partition(":")[2]
    assert "\n" not in sentence


def test_a_silent_loop_can_be_asked_to_sound(models):
    found = steer({"density": 9}, 2, calls=8, given=np.zeros((1, 16, 12), bool), **models)
    assert found.success.all()
    assert found.changed.sum() == found.after.sum() >= 16


# in words


def _steered(successes, targets=(20.0, 6.5), before=None, after=None, **more):
    n = len(successes)
    terms = {"success": np.array(successes, np.float32), "match": np.linspace(0.1, 0.2, n)}
    bars, row = np.zeros((n, 16, 12), bool), np.tile(targets, (n, 1)).astype(float)
    after = bars if after is None else after
    locked = None if before is None else bars
    shown = (row, np.ones((n, 2)), np.ones(2), before, after, locked, np.zeros((n, 192), np.float32))
    return SteeringResult(NAMES, *shown, np.add(row, [3, 1]), terms, np.ones(n), GM12, **more)


def test_sentences_count_what_was_reached():
    assert _steered([1]).sentence() == "1 bar: it has density 20 ± 1 and syncopation 6.5 ± 1"
    assert _steered([1, 1]).sentence() == "2 bars: all have density 20 ± 1 and syncopation 6.5 ± 1"
    assert _steered([1, 0, 0]).sentence() == (
        "1 of 3 bars reached density 20 ± 1 and syncopation 6.5 ± 1; the others are the nearest found"
    )
    assert _steered([0]).sentence() == (
        "no bar with density 20 ± 1 and syncopation 6.5 ± 1 was found: the nearest has density 23 and syncopation 7.5"
    )


def test_sentences_count_the_cells_that_changed():
    before = np.zeros((2, 16, 12), bool)
    after = before.copy()
    before[0, 0, :3] = after[0, 0, 1:5] = after[1, 2, 2] = True  # three of the first bar differ, and one of the second
    said = _steered([1, 1], before=before, after=after, loop=2).sentence()
    assert said == "2 bars: all have density 20 ± 1 and syncopation 6.5 ± 1; 1 to 3 cells of a bar changed"
    one = _steered([1], before=before[1:], after=after[1:]).sentence()
    assert one.endswith("; 1 cell of the bar changed")
    assert _steered([1], before=before[1:], after=before[1:]).sentence().endswith("; no cell changed")


def test_targets_of_each_bar_are_called_theirs():
    several = _steered([1, 1])
    several.targets[1, 0] = 9
    assert several.sentence() == "2 bars: all have their density ± 1 and syncopation 6.5 ± 1"


# what the agents that ship reach


def test_the_agent_reaches_what_grooves_have(models):
    """Pairs of features that known grooves have, and pairs of which each is of another groove."""
    own = _values(words_to_bars(load_patterns().distinct().words[:60] << 3, 12))
    crossed = np.stack([own[:, 0], np.roll(own[:, 1], 17)], 1)
    few, many, across = (
        steer(dict(zip(NAMES, wanted.T, strict=True)), len(wanted), calls=calls, **models)
        for wanted, calls in ((own, 8), (own, 32), (crossed, 32))
    )
    assert many.success.mean() >= 0.95
    assert (many.values == many.targets).all(1).mean() >= 0.7
    assert across.success.mean() >= 0.9
    assert few.success.mean() >= 0.85
    assert len(np.unique(many.after, axis=0)) >= 57


def test_bars_of_triplets_are_steered_by_an_agent_of_their_own(one_thread):
    gan, prior = load_gan(grid=12).with_condition(ANY, ANY), load_prior(grid=12).with_condition(ANY, ANY)
    bars = gan.sample(6, seed=300)
    found = steer({"density": 14, "syncopation": 3}, 10, calls=16, generator=gan, prior=prior)
    assert found.after.shape == (10, 12, 12)
    assert found.success.mean() >= 0.8
    np.testing.assert_array_equal(gan.decode(found.z), found.after)
    locked = bars & (np.arange(12) == 0)
    own = density(bars, GM12).numpy()
    close = steer({"density": own + 3}, 1, calls=8, given=bars, locked=locked, generator=gan, prior=prior)
    assert not (close.changed & locked).any()
    assert close.success.mean() >= 0.8


# swing, locks and success


def test_a_swing_that_is_missed_is_no_success():
    bars = np.zeros((3, 16, 12), bool)
    bars[:2, ::2, 3] = True  # eighths, every second one off the beat
    bars[2, ::4, 3] = True
    locked = np.zeros_like(bars)
    locked[1] = True  # which keeps its time, and stays straight
    shown = {"before": bars, "after": bars, "swing": {"swing": 0.6}}
    swung = replace(_steered([1, 1, 1], **shown), locked=locked)
    assert swung.success.tolist() == [True, False, True]  # the last one has no off-beats to swing
    assert "with swing 0.6 (1 of 3, 1 without such off-beats)" in swung.sentence()
    assert replace(_steered([1, 1, 0], **shown), locked=locked).success.tolist() == [True, False, False]


def test_locked_cells_keep_their_time_when_others_swing():
    before = np.zeros((1, 16, 12), bool)
    before[0, ::2, [3, 5]] = True
    locked = np.zeros_like(before)
    locked[:, :, 3] = True
    swung = replace(_steered([1], before=before, after=before, swing={"swing": 0.6}), locked=locked)
    offsets = swung.performance().offsets[0]
    assert (offsets[:, 3] == 0).all()
    assert offsets[2::4, 5] == pytest.approx(4 * [0.4], abs=0.01)  # .1 of a beat late is .4 of a step


def test_a_swing_out_of_reach_and_words_for_numbers_are_refused_in_a_line():
    with pytest.raises(
        ValueError, match=r"swing up to 0\.625, not 0\.667: bars of 12 steps \(--grid 12\) play a shuffle"
    ):
        steer({"swing": 0.667})
    with pytest.raises(ValueError, match=r"a target of density is a number, not '\+4'"):
        steer({"density": "+4"})


def test_of_what_cannot_be_reached_the_nearest_is_found():
    bar = np.zeros((1, 16, 12), bool)
    bar[0, ::4, 0] = True
    found = steer({"density": 150.0}, given=bar, closeness=1.0, calls=4)
    assert not found.success.any()
    assert found.after.sum() > 6
