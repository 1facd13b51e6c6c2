"""The numbers of whole sets: against hand counts, slow loops, closed forms and pypianoroll."""

import itertools

import numpy as np
import pypianoroll
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr
from scipy.stats import gaussian_kde

from rhythmgan.features import measure
from rhythmgan.kit import GM9, GM12, JAKI5, ROLAND10
from rhythmgan.metrics import (
    c2st,
    frechet_distance,
    groove_signs,
    musegan,
    novelty,
    prdc,
    standardised,
    told_apart,
    unique_share,
    yang_lerch,
)


def _songs(rng, n_songs, bars_each, rate):
    bars = rng.random((n_songs * bars_each, 16, 9)) < rate
    return bars, np.repeat(np.arange(n_songs), bars_each)


# -- the two-sample test -------------------------------------------------------------------------


def test_the_same_source_is_not_detected():
    rng = np.random.default_rng(0)
    real, song = _songs(rng, 40, 20, 0.2)
    fake, _ = _songs(rng, 50, 20, 0.2)
    assert 0.42 < c2st(real, song, fake, repeats=2)["c2st"] < 0.58


def test_what_only_structure_shows_is_detected():
    """Equal rates everywhere, but in the real bars part 1 copies part 0."""
    rng = np.random.default_rng(1)
    real, song = _songs(rng, 40, 20, 0.3)
    fake = real[rng.permutation(len(real))].copy()
    real[..., 1] = real[..., 0]
    assert c2st(real, song, fake, repeats=1)["trees"] > 0.8


def test_rerun_gives_the_same_and_another_seed_does_not():
    rng = np.random.default_rng(2)
    real, song = _songs(rng, 10, 10, 0.2)
    fake, _ = _songs(rng, 10, 10, 0.25)
    first = c2st(real, song, fake, repeats=1)
    assert c2st(real, song, fake, repeats=1) == first
    assert any(c2st(real, song, fake, repeats=1, seed=seed) != first for seed in (1, 2, 3))


def test_songs_are_not_detected_as_sources():
    """Every song has a part of its own rate; without songs, a classifier of single bars can only guess."""
    rng = np.random.default_rng(3)
    rates = rng.choice([0.1, 0.5], (60, 1, 16, 9))
    bars = (rng.random((60, 15, 16, 9)) < rates).reshape(-1, 16, 9)
    song = np.repeat(np.arange(60), 15)
    ours = song < 30
    grouped = c2st(bars[ours], song[ours], bars[~ours], song[~ours], repeats=2)
    loose = c2st(bars[ours], song[ours], bars[~ours], repeats=2)
    assert grouped["c2st"] < 0.65
    assert loose["c2st"] > grouped["c2st"]


@pytest.mark.parametrize("swap", [False, True])
def test_as_many_of_either_kind_are_compared(swap):
    """Ten times as many of one kind: who always says that kind is right in half of the cases, not in ten of eleven."""
    rng = np.random.default_rng(4)
    few, few_songs = _songs(rng, 20, 10, 0.2)
    many, many_songs = _songs(rng, 20, 100, 0.2)
    if swap:
        few, few_songs, many, many_songs = many, many_songs, few, few_songs
    assert 0.35 < c2st(few, few_songs, many, many_songs, repeats=2)["c2st"] < 0.65


def test_numbers_of_a_c2st_hang_together():
    """With one repeat more, the mean says what that repeat was, and both say how far they are apart."""
    rng = np.random.default_rng(5)
    real, song = _songs(rng, 20, 10, 0.2)
    fake, _ = _songs(rng, 20, 10, 0.3)
    one, two = (c2st(real, song, fake, repeats=repeats) for repeats in (1, 2))
    assert set(one) == {"trees", "mlp", "c2st"}
    assert set(two) == {"trees", "mlp", "c2st", "std"}
    for found in (one, two):
        assert found["c2st"] == max(found["trees"], found["mlp"])
        assert all(type(value) is float for value in found.values())
    best = "trees" if two["trees"] >= two["mlp"] else "mlp"
    second = 2 * two[best] - one[best]
    assert two["std"] == pytest.approx(abs(one[best] - second) / 2, abs=1e-12)
    assert two["std"] > 0


def test_too_little_is_refused():
    bars = np.zeros((4, 16, 9), bool)
    with pytest.raises(ValueError, match="two songs"):
        c2st(bars, np.zeros(4, int), bars)
    with pytest.raises(ValueError, match="two songs"):
        c2st(bars, np.arange(4), bars, np.zeros(4, int))
    with pytest.raises(ValueError, match="two generated"):
        c2st(bars, np.arange(4), bars[:1])


# -- precision, recall, density, coverage --------------------------------------------------------


def _slow_prdc(real, generated, k):
    """Naeem et al. 2020, equations 1 to 4, with closed balls."""

    def far(a, b):
        return max(0.0, float(np.sqrt(sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist(), strict=True)))))

    def radius(points, i):
        return sorted(far(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    real_radius = [radius(real, i) for i in range(len(real))]
    made_radius = [radius(generated, j) for j in range(len(generated))]
    in_real = [[far(x, y) <= real_radius[i] + 1e-9 for y in generated] for i, x in enumerate(real)]
    in_made = [[far(x, y) <= made_radius[j] + 1e-9 for j, y in enumerate(generated)] for x in real]
    n, m = len(real), len(generated)
    return {
        "precision": sum(any(in_real[i][j] for i in range(n)) for j in range(m)) / m,
        "recall": sum(any(in_made[i]) for i in range(n)) / n,
        "density": sum(in_real[i][j] for i in range(n) for j in range(m)) / (k * m),
        "coverage": sum(any(in_real[i]) for i in range(n)) / n,
    }


@pytest.mark.parametrize(("n", "m", "k"), [(12, 12, 1), (25, 14, 3), (9, 30, 5), (6, 7, 5), (40, 40, 5)])
@pytest.mark.parametrize("kind", ["apart", "ties", "few values", "shifted"])
def test_prdc_is_the_slow_loop(n, m, k, kind):
    rng = np.random.default_rng([n, m, k])
    if kind in ("apart", "shifted"):
        real, made = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) + (1.5 if kind == "shifted" else 0)
    else:  # duplicates within and between the sets, and neighbours at the same distance
        values = 2 if kind == "few values" else 4
        real, made = rng.integers(0, values, (n, 2)).astype(float), rng.integers(1, values + 1, (m, 2)).astype(float)
    assert prdc(real, made, k) == pytest.approx(_slow_prdc(real, made, k), abs=1e-12)


def test_prdc_by_hand():
    """On a line: real 0 1 2 10, made 1 2.5 20; to the nearest neighbour the real balls reach 1 1 1 8."""
    real, made = np.array([[0.0], [1], [2], [10]]), np.array([[1.0], [2.5], [20]])
    # 1 is in the balls of 0, 1, 2; 2.5 in those of 2 and 10; 20 in none
    # generated balls reach 1.5, 1.5, 17.5: all real bars but none beyond are in one of them, 0 in that of 1
    assert prdc(real, made, 1) == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "density": pytest.approx(5 / 3),
        "coverage": 1.0,
    }
    assert prdc(real, made[[1, 1]], 1) == {"precision": 1.0, "recall": 0.0, "density": 2.0, "coverage": 0.5}


def test_prdc_of_equal_and_of_far_sets():
    points = np.random.default_rng(0).normal(size=(60, 4))
    found = prdc(points, points[::-1])
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    assert found["density"] == pytest.approx(6 / 5)  # the five neighbours and the point itself
    assert set(prdc(points, points + 100).values()) == {0.0}


def test_coverage_sees_a_collapse_that_precision_does_not():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(300, 2))
    collapsed = real[rng.integers(0, 5, 300)]
    found = prdc(real, collapsed)
    assert found["precision"] == 1
    assert found["coverage"] < 0.2


@pytest.mark.parametrize("k", [5, 6, 100])
def test_too_few_bars_for_k_neighbours(k):
    few, many = np.random.default_rng(0).normal(size=(5, 2)), np.random.default_rng(1).normal(size=(200, 2))
    for real, made in ((few, many), (many, few)):
        with pytest.raises(ValueError, match=f"more than {k} bars"):
            prdc(real, made, k)


@pytest.mark.parametrize("scale", [1, 10, 30, 100, 300])
def test_equal_bars_are_equal_however_far_out_they_are(scale):
    """Eight copies of one bar far from the mean, on either side: they lie in each other's balls."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        far = np.repeat(rng.normal(size=(1, 10)) * scale, 8, 0)
        points = np.concatenate([far, rng.normal(size=(8, 10))])
        found = prdc(points, points.copy())
        assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1), seed


# -- Fréchet distance and standard units ---------------------------------------------------------


def _exactly(mean, deviation, n=500):
    """Points with exactly this mean and, on the diagonal, these standard deviations as np.cov counts them."""
    points = np.random.default_rng(len(mean)).normal(size=(n, len(mean)))
    points -= points.mean(0)
    whitened = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points.T)).T)
    return whitened * np.array(deviation) + np.array(mean)


def test_frechet_distance_of_equal_sets_is_zero():
    points = np.random.default_rng(0).normal(size=(300, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(points, points[::-1]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("mean", "deviation"),
    [((0, 0, 0), (1, 1, 1)), ((3, 0, -4), (1, 1, 1)), ((0, 0, 0), (2, 0.5, 3)), ((1, -2, 0.5), (0.1, 4, 1))],
)
def test_frechet_distance_of_diagonal_normals(mean, deviation):
    """|μ − μ'|² + Σ (σ − σ')²."""
    real, made = _exactly((0, 0, 0), (1, 1, 1)), _exactly(mean, deviation)
    expected = sum(m**2 for m in mean) + sum((s - 1) ** 2 for s in deviation)
    assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert frechet_distance(made, real) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_frechet_distance_sees_correlation():
    """In two dimensions with unit variances and correlation ρ: tr = 4 − 2 (√(1 + ρ) + √(1 − ρ))."""
    real = _exactly((0, 0), (1, 1))
    rho = 0.8
    made = real @ np.linalg.cholesky(np.array([[1, rho], [rho, 1]])).T
    assert frechet_distance(real, made) == pytest.approx(4 - 2 * ((1 + rho) ** 0.5 + (1 - rho) ** 0.5), rel=1e-9)


@pytest.mark.parametrize("collapse", ["one bar", "one feature", "all features are one"])
def test_frechet_distance_of_a_collapsed_generator(collapse):
    """A set that does not vary is a normal distribution of no width: Σ (σ − 0)², without a word of warning."""
    real = _exactly((0, 0, 0), (1, 2, 3))
    if collapse == "one bar":
        made, expected = np.tile([1.0, 0, 0], (500, 1)), 1 + 14
    elif collapse == "one feature":
        made, expected = real * [1, 0, 1], 4
    else:  # Σ' = 1 everywhere: the root's trace is that of √(1ᵀ Σ 1) = √14
        made, expected = np.tile(_exactly((0, 0), (1, 1))[:, :1], (1, 3)), 14 + 3 - 2 * 14**0.5
    assert frechet_distance(real, made) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(made, real) == pytest.approx(expected, rel=1e-5)


def test_standardised_by_hand():
    real = np.array([[1.0, 5, 0], [3, 5, 4]])
    ours, other = standardised(real, np.array([[5.0, 7, 2]]))
    assert ours.tolist() == [[-1, 0, -1], [1, 0, 1]]
    assert other.tolist() == [[3, 2, 0]]  # 5 never varies and keeps its unit: 7 is two above it


@pytest.mark.parametrize("constant", [0.0, 7.0, 0.1, 0.3, 1 / 3, 0.7])
def test_what_never_varies_keeps_its_unit(constant):
    """Also where the mean of many equal numbers is not that number, by rounding."""
    real = np.full((1000, 1), constant)
    ours, other = standardised(real, real + 0.25)
    np.testing.assert_allclose(ours, 0, atol=1e-9)
    np.testing.assert_allclose(other, 0.25, atol=1e-9)


# -- Yang & Lerch --------------------------------------------------------------------------------


def _slow_yang_lerch(real, made):
    """The published recipe on all distances of one feature."""
    within = np.array([abs(a - b) for a, b in itertools.combinations(real, 2)])
    between = np.abs(real[:, None] - made).ravel()
    grid = np.linspace(0, max(within.max(), between.max()), 200)
    p, q = (gaussian_kde(d).evaluate(grid) for d in (within, between))
    p, q = p / p.sum(), q / q.sum()
    return np.minimum(p, q).sum(), rel_entr(p, q).sum()


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (1, 1), (2, 1), (0, 2), (1, 0.3)])
def test_yang_lerch_is_the_published_recipe(shift, scale):
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=250), rng.normal(size=300) * scale + shift
    overlap, divergence = _slow_yang_lerch(real, made)
    found = yang_lerch(real[:, None], made[:, None])
    assert found["overlap"] == pytest.approx(overlap, abs=0.03)
    assert found["divergence"] == pytest.approx(divergence, abs=0.05 * (1 + divergence))


def test_yang_lerch_falls_with_the_distance():
    rng = np.random.default_rng(1)
    real, made = rng.normal(size=(600, 3)), rng.normal(size=(600, 3))
    found = [yang_lerch(real, made + shift) for shift in (0, 1, 2, 4)]
    overlaps, divergences = ([one[name] for one in found] for name in ("overlap", "divergence"))
    assert overlaps[0] > 0.93
    assert divergences[0] < 0.03
    assert overlaps == sorted(overlaps, reverse=True)
    assert divergences == sorted(divergences)
    assert overlaps[-1] < 0.35
    assert yang_lerch(real, made, seed=3) == yang_lerch(real, made, seed=3) != yang_lerch(real, made, seed=4)


def test_yang_lerch_is_a_mean_over_features():
    rng = np.random.default_rng(2)
    real, made = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + np.array([0, 3])
    both = yang_lerch(real, made)
    alone = [yang_lerch(real[:, [i]], made[:, [i]]) for i in (0, 1)]
    for name in both:
        assert both[name] == pytest.approx(np.mean([one[name] for one in alone]), rel=0.1)


def test_yang_lerch_of_what_does_not_vary():
    same = np.ones((50, 1))
    assert yang_lerch(same, same) == {"overlap": 1.0, "divergence": 0.0}
    assert yang_lerch(same, same + 1)["overlap"] == 0
    varies = np.random.default_rng(0).normal(size=(50, 1))
    assert yang_lerch(same, varies)["overlap"] == 0
    assert 0 < yang_lerch(varies, same)["overlap"] < 1
    # one feature of three varies: the others count as wholly overlapping
    three = np.concatenate([same, varies, same], 1)
    assert yang_lerch(three, three)["overlap"] > 0.95


# -- novelty and distinct bars -------------------------------------------------------------------


def _bars(*cells):
    bars = np.zeros((len(cells), 16, 9), bool)
    for bar, some in zip(bars, cells, strict=True):
        for step, part in some:
            bar[step, part] = True
    return bars


def test_novelty_by_hand():
    training = _bars([(0, 0)], [(0, 0), (4, 1), (8, 0), (12, 1)], [(15, 8)])
    bars = _bars(
        [(0, 0)],  # a copy: 0
        [(0, 0), (4, 1)],  # one more than the first: 1
        [(0, 0), (4, 1), (8, 0)],  # one less than the second: 1
        [],  # 1 from the first and from the third
        [(7, 3), (8, 3), (9, 3), (10, 3)],  # 5 from the first
        [(0, 1), (4, 0)],  # the same steps with other parts: 3 from the first
    )
    assert novelty(bars, training) == {"copies": 1 / 6, "nearest": 1.0}
    assert novelty(bars[4:], training) == {"copies": 0.0, "nearest": 4.0}
    assert novelty(bars[[0]], training) == {"copies": 1.0, "nearest": 0.0}
    assert novelty(training, bars[[0]])["nearest"] == 2.0  # 0, 3, 2: it has a direction


@pytest.mark.parametrize(
    ("n", "m", "shape"), [(1, 1, (16, 9)), (37, 20, (16, 9)), (600, 15, (12, 5)), (3, 700, (48, 9))]
)
def test_novelty_is_the_slow_loop(n, m, shape):
    rng = np.random.default_rng([n, m])
    training = rng.random((m, *shape)) < 0.2
    bars = rng.random((n, *shape)) < rng.choice([0.02, 0.2, 0.9], (n, 1, 1))
    bars[::5] = training[rng.integers(m, size=len(bars[::5]))]
    distance = [min(int((bar != other).sum()) for other in training) for bar in bars]
    assert novelty(bars, training) == {
        "copies": pytest.approx(distance.count(0) / n),
        "nearest": pytest.approx(float(np.median(distance))),
    }


def test_unique_share_by_hand():
    bars = _bars([], [(0, 0)], [(0, 0)], [(0, 8)], [(15, 8)], [(0, 0)], [])
    assert unique_share(bars) == 4 / 7
    assert unique_share(bars[[0, 0, 0]]) == 1 / 3
    assert unique_share(bars[[0, 1, 3, 4]]) == 1.0


@given(st.integers(0, 2**32 - 1), st.sampled_from([(12, 5), (16, 7), (16, 9), (48, 9)]))
def test_unique_share_counts_bars(seed, shape):
    rng = np.random.default_rng(seed)
    few = rng.random((4, *shape)) < 0.02  # sparse: some of them are equal by chance
    bars = few[rng.integers(4, size=rng.integers(1, 30))]
    assert unique_share(bars) == len({bar.tobytes() for bar in bars}) / len(bars)


# -- what MuseGAN counts -------------------------------------------------------------------------


def test_musegan_by_hand():
    bars = np.zeros((5, 16, 9), bool)
    bars[1:3, 0, 0] = True
    bars[3, [0, 4, 9], 2] = True
    bars[4, :, 8] = True
    # 13 of 21 onsets are on eighths: 0, 0, 0 4, and eight of sixteen
    assert musegan(bars) == {
        "onsets": 4.2,
        "empty": 0.2,
        "parts": 0.8,
        "pattern": pytest.approx((12 + 0.1 * 9) / 21),
    }
    assert musegan(bars[[4]]) == {"onsets": 16.0, "empty": 0.0, "parts": 1.0, "pattern": pytest.approx(0.55)}


def test_pattern_is_that_of_pypianoroll():
    """Which counts a beat at a time: its rates weighed by the beats' onsets."""
    rng = np.random.default_rng(0)
    for rate in (0.02, 0.2, 0.7):
        bars = rng.random((30, 16, 9)) < rate * rng.random(16)[:, None]
        rolls = np.zeros((30 * 4, 4, 128), np.uint8)
        rolls[..., 30:39] = bars.reshape(-1, 4, 9) * 100
        counts = [np.count_nonzero(roll) for roll in rolls]
        rates = [pypianoroll.metrics.drum_in_pattern_rate(roll, 4) for roll, n in zip(rolls, counts, strict=True) if n]
        expected = np.average(rates, weights=[n for n in counts if n])
        assert musegan(bars)["pattern"] == pytest.approx(expected)


def test_parts_are_pypianorolls_pitches():
    rng = np.random.default_rng(1)
    bars = rng.random((40, 16, 9)) < 0.05
    rolls = np.zeros((40, 16, 128), np.uint8)
    rolls[..., 36:45] = bars
    found = musegan(bars)
    assert found["parts"] == pytest.approx(np.mean([pypianoroll.metrics.n_pitches_used(roll) for roll in rolls]))
    assert found["empty"] == np.mean([not roll.any() for roll in rolls])


@pytest.mark.parametrize("steps", [12, 24, 32, 48])
def test_pattern_means_nothing_on_other_grids(steps):
    found = musegan(np.ones((2, steps, 5), bool))
    assert found == {"onsets": 5 * steps, "empty": 0, "parts": 5}


def test_silence_has_no_pattern():
    assert musegan(np.zeros((3, 16, 9), bool)) == {"onsets": 0, "empty": 1, "parts": 0}


def test_halves_too_small_to_learn_from_are_refused():
    """One song has all but one of the bars: in the other half there is nothing."""
    bars = np.random.default_rng(0).random((200, 16, 9)) < 0.2
    with pytest.raises(ValueError, match="half of the songs has 1 bars; at least 20 are needed"):
        c2st(bars, np.array([0] * 199 + [1]), bars)


# -- grooves and fills --------------------------------------------------------------------------


@pytest.mark.parametrize(("kit", "steps"), [(GM9, 16), (GM12, 16), (ROLAND10, 32), (JAKI5, 12)])
def test_the_signs_of_a_groove_by_hand(kit, steps):
    """Of five bars: a rock beat; one without the 4; one with three cymbals; a fill of toms; silence."""
    beat = steps // 4
    kick, snare = kit.names.index("kick"), kit.names.index("snare")
    hat = next(place for place, name in enumerate(kit.names) if "closed" in name)
    tom = next(place for place, name in enumerate(kit.names) if "tom" in name)
    bars = np.zeros((5, steps, kit.n_parts), bool)
    bars[:3, 0, kick] = bars[:3, beat, snare] = bars[:3, 3 * beat, snare] = True
    bars[:2, ::beat, hat] = True
    bars[1, 3 * beat, snare] = False
    bars[2, :3, hat] = True
    bars[3, :3, tom] = True
    found = groove_signs(bars, kit)
    assert found.pop("syncopation") == measure(bars, kit, ["syncopation"])["syncopation"].double().mean().item()
    assert found == {"kick_on_1": 3 / 5, "backbeat": 2 / 5, "cymbals": 2 / 5, "groove": 1 / 5, "toms": 1 / 5}


def test_any_cymbal_and_any_tom_counts_and_a_step_counts_once():
    bars = np.zeros((2, 16, GM12.n_parts), bool)
    parts = {name: place for place, name in enumerate(GM12.names)}
    for step, name in enumerate(("closed hat", "open hat", "ride", "crash")):
        bars[0, step, parts[name]] = True
    bars[1, :3, [parts["closed hat"], parts["crash"]]] = True
    for step, name in enumerate(("low tom", "mid tom", "high tom")):
        bars[1, step, parts[name]] = True
    assert (groove_signs(bars, GM12)["cymbals"], groove_signs(bars, GM12)["toms"]) == (0.5, 0.5)


def test_labels_that_are_there_are_told_apart_and_others_are_not():
    rng = np.random.default_rng(0)

    def drawn(n):
        bars, label = rng.random((n, 16, 9)) < 0.2, rng.integers(0, 3, n)
        bars[label == 1, 3, 4], bars[label == 2, 3, 4] = True, False
        bars[label == 1, 5, 2], bars[label == 2, 5, 2] = False, True
        bars[label == 0, 7, 7] = True
        return bars, label

    taught, other, deaf = drawn(1500), drawn(400), drawn(400)
    real, guessed, missing = told_apart(
        *taught, other, (deaf[0], rng.permutation(deaf[1])), (other[0][other[1] != 1], other[1][other[1] != 1])
    )
    assert real.shape == (3,)
    assert real.min() > 0.8
    assert abs(guessed.mean() - 1 / 3) < 0.08
    assert np.isnan(missing).tolist() == [False, True, False]
    assert missing[[0, 2]].tolist() == real[[0, 2]].tolist()


def test_a_label_that_is_seldom_taught_is_still_told():
    """One bar in ten, and nothing tells it for sure: a classifier that counts bars would never name it."""
    rng = np.random.default_rng(1)
    label = (np.arange(2000) % 10 == 0).astype(int)
    bars = np.zeros((2000, 16, 9), bool)
    bars[:, 0, 0] = rng.random(2000) < np.where(label, 0.7, 0.3)
    (right,) = told_apart(bars[:1000], label[:1000], (bars[1000:], label[1000:]))
    assert right.min() > 0.6


@pytest.mark.parametrize("label", [[0, 0, 0], [0, 2, 2], [1, 1, 1]])
def test_one_label_is_no_choice(label):
    bars = np.zeros((3, 16, 9), bool)
    with pytest.raises(ValueError, match="needs two labels at least"):
        told_apart(bars, np.array(label), (bars, np.array(label)))
