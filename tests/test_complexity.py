"""The complexity of Shmulevich & Povel: their own 35 rhythms, values by hand, and a plain loop over every line."""

import itertools

import numpy as np
import pytest
import torch

from rhythmgan.features import accents, clock_score, shmulevich_povel

pytestmark = pytest.mark.usefixtures("one_thread")

# the rhythms of Shmulevich & Povel 2000 with what listeners judged, 1 simple … 5 complex, in the order of their scores
JUDGED = """
1.56 xxxxx..xx.x.x... 2.12 xxx.x.xxx..xx... 2.08 x.xxx.xxx..xx... 1.88 x.x.xxxxx..xx... 1.80 x..xx.x.xxxxx...
2.44 xxx.xxx.xx..x... 2.20 x.xxxx.xx..xx... 2.56 xx..xxxxx.x.x... 3.00 xx..x.xxx.xxx... 2.04 x.xxx.xxxx..x...
2.76 xxx.xx..xx.xx... 2.72 xx.xxxx.x..xx... 3.00 xx.xx.xxxx..x... 3.16 xx..xx.xx.xxx... 2.04 x..xxx.xxx.xx...
2.88 xx.xxxx.xx..x... 2.60 xx.xxx.xxx..x... 2.60 xx.xxx..xx.xx... 2.64 xx..xx.xxxx.x... 3.24 xx..xx.xxxx.x...
3.08 xxxxx.xx.x..x... 3.04 xxxx.x..xxx.x... 3.04 xxx..xx.xxx.x... 2.56 x.xxx..x.xxxx... 2.56 x.x..xxxx.xxx...
2.84 xxxx.x.x..xxx... 3.60 xx.xxx.x..xxx... 2.68 xx.x..xxx.xxx... 3.28 x.xxxx.x..xxx... 3.08 x..xxxxx.xx.x...
3.52 xxxx.xxx..x.x... 3.60 xxxx..xx.xx.x... 3.04 xx.xxxx..xx.x... 2.88 xx.x..xxxxx.x... 3.08 x.x..xxx.xxxx...
"""


def lines(*texts):
    return np.array([[cell == "x" for cell in text] for text in texts])


def plain_accents(x):
    """Of each onset the cluster that it is in, walked to both ends."""
    n, found = len(x), []
    if all(x):
        return [False] * n
    for t in range(n):
        before = next(k for k in itertools.count() if not x[(t - 1 - k) % n])
        after = next(k for k in itertools.count() if not x[(t + 1 + k) % n])
        size = before + after + 1
        found.append(bool(x[t]) and (after == 0 or (before == 0 and size > 2)))
    return found


def plain_complexity(x):
    """(score of the best clock, complexity) of one line."""
    n, accent = len(x), plain_accents(x)
    if not any(x):
        return 0, 0.0
    best = None
    for unit in sorted((u for u in range(2, n // 4 + 1) if (n // 4) % u == 0), reverse=True):
        for first in range(unit):
            score = sum(4 if not x[t] else 1 - accent[t] for t in range(first, n, unit))
            if best is None or score < best[0]:
                best = score, unit, first
    score, unit, first = best
    turned = list(x[first:]) + list(x[:first])
    segments = [tuple(turned[i : i + unit]) for i in range(0, n, unit)]
    cost = 0
    for number, segment in enumerate(segments):
        places = [t for t in range(unit) if segment[t]]
        if places:
            gaps = {b - a for a, b in itertools.pairwise([*places, places[0] + unit])}
            cost += 1 if places[0] == 0 and len(gaps) == 1 else 5
        cost += 4 * (segment != segments[number - 1])
    return score, 0.75 * score + 0.25 * cost


def test_accents_by_hand():
    found = accents(lines("xx.xxx..x.......", "x..............x", "xxxxxxxxxxxxxxxx"))
    # two: the second; three: first and last; one alone; then two around the bar line: the second is the first step
    assert found.tolist() == lines(".x.x.x..x.......", "x...............", "................").tolist()


@pytest.mark.parametrize(
    ("text", "score", "complexity"),
    [
        ("x...x...x...x...", 0, 1.0),  # all ticks accented; four equal segments of cost 1, none changes
        ("x.x.x.x.x.x.x.x.", 0, 1.0),  # the clock of a beat fits as well as that of two steps, and is slower
        ("................", 0, 0.0),
        # the clock of a beat ticks twice in silence: 8; segments x..., ...., x..., ....: costs 1 + 1, four changes: 16
        ("x.......x.......", 8, 6 + 18 / 4),
        # on the beat two ticks in silence: 8; from step 2 on there is none with fewer.
        # x..x ..x. ..x. x...: costs 5 + 5 + 5 + 1, three changes: 12 (the second and the third are alike)
        ("x..x..x...x.x...", 8, 6 + 28 / 4),
        # their first: no silence on a beat, all accented; xxxx x..x x.x. x...: 1 + 5 + 1 + 1, four changes: 16
        ("xxxxx..xx.x.x...", 0, 24 / 4),
        # every step: each of four ticks is unaccented
        ("xxxxxxxxxxxxxxxx", 4, 3 + 4 / 4),
        # off the beat: the clock may begin there
        (".x...x...x...x..", 0, 1.0),
    ],
)
def test_complexity_by_hand(text, score, complexity):
    assert clock_score(lines(text)).tolist() == [score]
    assert shmulevich_povel(lines(text)).tolist() == [complexity]


def test_clock_scores_of_their_rhythms():
    """Seven groups of five, and each has a score of its own: 0 to 6."""
    rhythms = lines(*JUDGED.split()[1::2])
    assert rhythms.shape == (35, 16)
    assert clock_score(rhythms).tolist() == [score for score in range(7) for _ in range(5)]


def test_complexity_goes_with_what_listeners_judged():
    judged = np.array(JUDGED.split()[::2], float)
    rhythms = lines(*JUDGED.split()[1::2])
    assert np.corrcoef(judged, clock_score(rhythms))[0, 1] == pytest.approx(0.767, abs=5e-4)
    assert np.corrcoef(judged, shmulevich_povel(rhythms))[0, 1] == pytest.approx(0.798, abs=5e-4)


def test_every_line_of_sixteen_steps_as_a_plain_loop():
    every = (np.arange(1 << 16)[:, None] >> np.arange(16) & 1).astype(bool)
    chosen = every[np.random.default_rng(0).permutation(len(every))[:3000]]
    score, value = zip(*(plain_complexity(line) for line in chosen.tolist()), strict=True)
    assert clock_score(chosen).tolist() == list(score)
    assert shmulevich_povel(chosen).tolist() == list(value)


@pytest.mark.parametrize("steps", [12, 24, 32, 48])
def test_other_grids_as_a_plain_loop(steps):
    chosen = np.random.default_rng(steps).random((300, steps)) < np.linspace(0.05, 0.95, 300)[:, None]
    assert shmulevich_povel(chosen).tolist() == [plain_complexity(line)[1] for line in chosen.tolist()]


def test_turning_by_a_beat_changes_nothing():
    chosen = np.random.default_rng(1).random((500, 16)) < 0.4
    scores = clock_score(chosen)
    for beats in range(4):
        assert torch.equal(clock_score(np.roll(chosen, 4 * beats, 1)), scores)


def test_lines_of_another_shape():
    with pytest.raises(ValueError, match="expected a line"):
        shmulevich_povel(np.zeros(16, bool))
    with pytest.raises(ValueError, match="a bar may have"):
        shmulevich_povel(np.zeros((2, 8), bool))
