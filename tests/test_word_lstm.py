"""The prior: chances that add up, that know only what came before, and bars that are a function of their seed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

torch = pytest.importorskip("torch")

from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars  # noqa: E402
from rhythmgan.kit import GM9, GM12, JAKI5  # noqa: E402
from rhythmgan.models import word_lstm as room  # noqa: E402
from rhythmgan.models.weights import read_metadata  # noqa: E402
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior  # noqa: E402
from rhythmgan.models.word_tables import chunk_sizes  # noqa: E402
from rhythmgan.seeds import seeds_to_uniform  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def small():
    """A prior of JAKI5 on 12 steps with weights large enough that what it is given matters."""
    return _loud(WordLSTMConfig(kit="jaki5", steps=12, width=24, layers=2, word_width=10, **_KNOWN))


@pytest.fixture(scope="module")
def twelve():
    """A prior of GM12 on 16 steps: words of two chunks."""
    return _loud(WordLSTMConfig(kit="gm12", width=20, word_width=8, **_KNOWN))


_KNOWN = {"roles": ("groove", "fill"), "styles": ("jazz", "rock")}


def _loud(config):
    torch.manual_seed(5)
    prior = WordLSTM(config).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(3)
    return prior.requires_grad_(False)


def _bars(n, seed=0, steps=12, n_parts=5):
    return np.random.default_rng(seed).random((n, steps, n_parts)) < 0.3


def _every_word(prior, bars, step):
    """Bars (n, …) with each of the kit's words on a step in turn: (n, words, steps, parts)."""
    every = np.repeat(bars[:, None], prior.n_words, 1)
    every[:, :, step] = words_to_bars(np.arange(prior.n_words), prior.kit.n_parts)
    return every


def _chances(prior, bars, previous=None):
    """p of each word on each step given those before it, (n, steps, words), by trying each."""
    n, steps, n_parts = bars.shape
    found = []
    for step in range(steps):
        every = _every_word(prior, bars, step).reshape(-1, steps, n_parts)
        before = None if previous is None else np.repeat(previous, prior.n_words, 0)
        found.append(prior.step_log_prob(every, before)[:, step].view(n, -1))
    return torch.stack(found, 1).double().exp()


def test_words_are_numbered_as_everywhere(small):
    """The kick is the highest bit, as in bars_to_words."""
    bar = np.zeros((1, 12, 5), bool)
    bar[0, 0, 0] = bar[0, 1, 4] = bar[0, 2, [0, 3]] = True
    assert small._words(bar, "bars")[0, :4].tolist() == [16, 1, 18, 0]


def test_chances_of_all_words_add_up(small):
    """Of each step's 32 words, whatever stands before: exact chances, not scores."""
    found = _chances(small, _bars(3), _bars(3, 1))
    np.testing.assert_allclose(found.sum(2), 1, rtol=1e-5)
    assert found.log().std() > 0.1


def test_chances_of_all_words_of_two_chunks_add_up(twelve):
    bars, before = _bars(2, 0, 16, 12), _bars(2, 1, 16, 12)
    for step in (0, 9):
        every = _every_word(twelve, bars, step).reshape(-1, 16, 12)
        found = twelve.step_log_prob(every, before.repeat(4096, 0))[:, step].view(2, 4096)
        np.testing.assert_allclose(found.exp().sum(1), 1, rtol=1e-5)
        assert found.std() > 1


def test_nine_parts_of_twelve_are_as_likely_as_all_that_they_may_be(twelve):
    """On each step the eight words of twelve parts that share nine, after twelve-part words before."""
    bars, before = _bars(3, 2, 16, 12), _bars(3, 3, 16, 12)
    found = twelve.step_log_prob(bars, before, kit=GM9)
    for step in (0, 7, 15):
        eight = np.repeat(bars[:, None], 8, 1)
        eight[:, :, step, 9:] = words_to_bars(np.arange(8), 3)
        each = twelve.step_log_prob(eight.reshape(-1, 16, 12), before.repeat(8, 0))[:, step].view(3, 8)
        torch.testing.assert_close(found[:, step], each.logsumexp(1))
    assert (found > twelve.step_log_prob(bars, before) + 0.1).all()
    assert torch.equal(twelve.step_log_prob(bars, kit=GM12), twelve.step_log_prob(bars))
    assert twelve.step_log_prob(bars[:0], kit=GM9).shape == (0, 16)
    with pytest.raises(ValueError, match="kit gm12 cannot be folded into kit roland10x"):
        twelve.step_log_prob(bars, kit=replace(GM9, name="roland10x", parts=GM9.parts[:3]))


def test_chances_of_all_folded_words_add_up(twelve):
    """Sixteen lines of percussion aside, the 512 words of nine parts, one bar of twelve parts for each."""
    bar = _bars(1, 4, 16, 12)
    for step in (0, 11):
        every = np.repeat(bar, 512, 0)
        every[:, step] = np.concatenate([words_to_bars(np.arange(512), 9), np.ones((512, 3), bool)], 1)
        assert len(np.unique(bars_to_words(fold_bars(every, GM12, GM9))[:, step])) == 512
        found = twelve.step_log_prob(every, kit=GM9)[:, step]
        assert found.exp().sum() == pytest.approx(1, rel=1e-5)


def test_the_folded_bars_are_those_of_the_bars_drawn(twelve):
    """First words of 3,000 seeds on nine parts against the chances on nine parts, by a χ² test."""
    drawn = bars_to_words(fold_bars(twelve.sample(3000, seed=1), GM12, GM9))[:, 0].astype(int)
    first = np.zeros((512, 16, 12), bool)
    first[:, 0, :9] = words_to_bars(np.arange(512), 9)
    chances = twelve.step_log_prob(first, kit=GM9)[:, 0].double().exp().numpy()
    likely = chances * 3000 > 5
    counts = np.bincount(drawn, minlength=512)
    rest = [counts[~likely].sum()], [chances[~likely].sum() * 3000]
    counts, expected = np.append(counts[likely], rest[0]), np.append(chances[likely] * 3000, rest[1])
    assert likely.sum() > 20
    assert chisquare(counts, expected / expected.sum() * 3000).pvalue > 1e-3


def test_a_step_knows_what_was_before_and_nothing_after(small):
    bars = _bars(40)
    plain = small.step_log_prob(bars)
    for step in (0, 4, 10):
        changed = bars.copy()
        changed[:, step] ^= True
        moved = (small.step_log_prob(changed) - plain).abs()
        assert (moved[:, :step] < 1e-6).all()
        assert (moved[:, step] > 1e-6).any()
        assert (moved[:, step + 1 :] > 1e-4).any(1).all()


def test_the_bar_before_matters_on_every_step(small):
    bars, before = _bars(20), _bars(20, 1)
    alone, given = small.step_log_prob(bars), small.step_log_prob(bars, before)
    assert ((alone - given).abs() > 1e-4).float().mean(0).min() > 0.5
    one = small.step_log_prob(bars, before[3])
    np.testing.assert_allclose(one[3], given[3], atol=1e-6)
    assert not np.allclose(one[4], given[4])
    # of a bar that is not shown nothing may leak: the same for any
    words = small._words(bars, "bars")
    none, labels = torch.zeros(20, dtype=torch.bool), torch.zeros(20, 3, dtype=torch.long)
    hidden = [small(words, small._words(b, "x"), none, labels) for b in (before, bars)]
    assert torch.equal(*hidden)


def test_a_hidden_word_changes_nothing(small):
    """Of words that are hidden nothing may leak into later steps; their own chances they have all the same."""
    bars = _bars(30)
    changed, is_hidden = bars.copy(), torch.zeros(30, 12, dtype=torch.bool)
    changed[:, [2, 6]] ^= True
    is_hidden[:, [2, 6]] = True
    none, labels = torch.zeros(30, dtype=torch.bool), torch.zeros(30, 3, dtype=torch.long)
    words, others = small._words(bars, "x"), small._words(changed, "x")
    found, moved = (small(w, words, none, labels, is_hidden) for w in (words, others))
    rest = [step for step in range(12) if step not in (2, 6)]
    assert torch.equal(found[:, rest], moved[:, rest])
    assert ((found - moved)[:, [2, 6]].abs() > 1e-4).float().mean() > 0.9
    shown = small(words, words, none, labels)
    torch.testing.assert_close(found[:, :3], shown[:, :3])
    assert ((found - shown)[:, 3].abs() > 1e-4).all()


@pytest.mark.parametrize("steps", [12, 16, 24])
def test_a_beat_and_two_beats_before_are_seen_beside_the_word_before(steps):
    """Without what the LSTM remembers: only three words before a step move it."""
    prior = _loud(WordLSTMConfig(kit="jaki5", steps=steps, width=8, word_width=8))
    prior.lstm.weight_hh_l0.zero_()
    prior.lstm.bias_hh_l0[8:16] = -1e4  # it forgets its cell
    bars, last = _bars(20, 0, steps), steps - 1
    plain = prior.step_log_prob(bars)[:, last]
    seen = []
    for step in range(last):
        changed = bars.copy()
        changed[:, step] ^= True
        if ((prior.step_log_prob(changed)[:, last] - plain).abs() > 1e-5).any():
            seen.append(last - step)
    assert seen == [steps // 2, steps // 4, 1]


def test_three_steps_of_the_bar_before_are_seen_beside_its_summary():
    prior = _loud(WordLSTMConfig(kit="jaki5", steps=12, width=8, word_width=8))
    prior.lstm.weight_hh_l0.zero_()
    prior.lstm.bias_hh_l0[8:16] = -1e4
    prior.summary[3].weight.zero_()
    bars, before = _bars(20), _bars(20, 1)
    plain = prior.step_log_prob(bars, before)
    for step in (0, 5, 11):
        changed = before.copy()
        changed[:, step] ^= True
        moved = ((prior.step_log_prob(bars, changed) - plain).abs() > 1e-5).any(0)
        assert moved.nonzero()[:, 0].tolist() == [near for near in (step - 1, step, step + 1) if 0 <= near < 12]


def test_a_silent_bar_before_is_not_the_same_as_none(small):
    bars = _bars(5)
    assert not np.allclose(small.log_prob(bars), small.log_prob(bars, np.zeros((12, 5), bool)))


def test_log_prob_is_the_sum_in_any_batch(small):
    bars = _bars(1500)
    whole = small.log_prob(bars)
    assert whole.shape == (1500,)
    np.testing.assert_allclose(whole, small.step_log_prob(bars).sum(1))
    np.testing.assert_allclose(whole[1400:1403], small.log_prob(bars[1400:1403]), atol=1e-4)
    assert small.step_log_prob(bars[:0]).shape == (0, 12)


def test_a_tensor_is_taken_like_an_array(small):
    bars = _bars(4)
    assert torch.equal(small.log_prob(bars), small.log_prob(torch.from_numpy(bars)))


def test_drawn_bars_follow_the_chances(small):
    """First words of 4,000 seeds against the prior's own chances, by a χ² test."""
    drawn = small._words(small.sample(4000, seed=1), "bars")[:, 0]
    first = torch.zeros(32, 12, 5)
    first[:, 0] = (torch.arange(32)[:, None] >> torch.arange(4, -1, -1)) & 1
    chances = small.step_log_prob(first.bool())[:, 0].exp().double()
    counts = torch.bincount(drawn, minlength=32)
    assert (chances * 4000).min() > 5
    assert chances.max() > 2 * chances.min()
    assert chisquare(counts, chances / chances.sum() * 4000).pvalue > 1e-3


def test_drawn_bars_are_as_likely_as_they_should_be(small):
    """The mean log-probability of drawn bars is minus the entropy, step by step, within its own error."""
    bars = small.sample(3000, seed=7)
    chances = _chances(small, bars[:1000])
    entropy = -(chances * chances.log()).sum(-1).mean(0)
    given = -small.step_log_prob(bars)
    np.testing.assert_array_less((given.mean(0) - entropy).abs(), 5 * given.std(0) / 1000**0.5)


def test_a_bar_is_a_function_of_its_seed(small):
    many = small.sample(1100, seed=20)
    np.testing.assert_array_equal(many[1050:1053], small.sample(3, seed=1070))
    np.testing.assert_array_equal(many, small.sample(1100, seed=20))
    assert not np.array_equal(many[:50], small.sample(50, seed=21))
    assert many.shape == (1100, 12, 5)
    assert many.dtype == bool
    assert small.sample(0).shape == (0, 12, 5)


@pytest.mark.parametrize("name", ["small", "twelve"])
def test_a_bar_is_drawn_by_the_chances_of_log_prob(request, name):
    """Word by word from the seed's numbers and the chances that ``step_log_prob`` gives of every word."""
    prior = request.getfixturevalue(name).with_condition("fill", "jazz")
    double, (steps, n_parts) = prior.in_double(), (prior.steps, prior.kit.n_parts)
    before = _bars(3, 8, steps, n_parts)
    seeds = np.array([5, 900, 2**62])
    sizes = chunk_sizes(n_parts)
    uniform = seeds_to_uniform(seeds, steps * len(sizes), 3).reshape(3, steps, len(sizes))
    drawn = prior.draw(seeds, 3, 0.8, previous=before)
    for step in (0, 1, steps - 1):
        every = _every_word(prior, drawn, step).reshape(-1, steps, n_parts)
        found = double.step_log_prob(every, before.repeat(prior.n_words, 0))[:, step].exp()
        found = found.reshape(3, *(1 << size for size in sizes)).numpy()
        for row in range(3):
            chances, word = found[row], 0
            for number, size in enumerate(sizes):
                each = chances.reshape(1 << size, -1).sum(1) ** (1 / 0.8)
                value = np.searchsorted(each.cumsum() / each.sum(), uniform[row, step, number])
                chances, word = chances[value], (word << size) + value
            assert bars_to_words(drawn[row, step]) == word


def test_what_is_close_is_decided_in_double_precision(small, monkeypatch):
    """Numbers within 1e-12 of the place where another word begins, where single precision decides as it happens."""
    n = 200
    first = np.zeros((32, 12, 5), bool)
    first[:, 0] = words_to_bars(np.arange(32), 5)
    begins = small.in_double().step_log_prob(first)[:, 0].exp().cumsum(0).numpy()
    word = np.arange(n) % 31
    side = np.where(np.arange(n) // 31 % 2, 1e-12, -1e-12)
    numbers = seeds_to_uniform(range(n), 12)
    numbers[:, 0] = begins[word] + side
    monkeypatch.setattr(room, "seeds_to_uniform", lambda seeds, dim, stream: numbers[seeds])
    drawn = small.draw(np.arange(n))
    np.testing.assert_array_equal(bars_to_words(drawn)[:, 0], word + (side > 0))
    alone = np.concatenate([small.draw(np.array([seed])) for seed in range(0, n, 9)])
    np.testing.assert_array_equal(drawn[::9], alone)
    # in double precision only, all bars are the same
    monkeypatch.setattr(room, "_CLEAR_MARGIN", 2.0)
    np.testing.assert_array_equal(small.draw(np.arange(n)), drawn)


def test_each_bar_may_have_a_stream_of_its_own(small):
    before, seeds, streams = _bars(6, 2), np.array([4, 4, 9, 2, 4, 9]), np.array([0, 7, 7, 1 << 20, 7, 0])
    together = small.draw(seeds, streams, previous=before)
    for row in range(6):
        alone = small.draw(seeds[row : row + 1], int(streams[row]), previous=before[row])
        np.testing.assert_array_equal(together[row], alone[0])
    assert not np.array_equal(*small.draw(np.array([4, 4]), np.array([0, 7])))


def test_a_prepared_prior_draws_the_same_and_makes_what_it_needs_once(small, monkeypatch):
    made = []
    real = WordLSTM._in
    monkeypatch.setattr(WordLSTM, "_in", lambda self, precision: made.append(precision) or real(self, precision))
    both = [torch.float32, torch.float64]
    seeds, before = np.arange(300), _bars(300, 6)
    monkeypatch.setattr(room, "_CLEAR_MARGIN", 1e-2)  # some are drawn in double precision
    expected = [small.with_condition(role).draw(seeds, previous=before) for role in ("groove", "fill")]
    assert made == 2 * both
    prepared = small.prepared()
    assert prepared.prepared() is prepared
    for _ in range(2):
        for role, bars in zip(("groove", "fill"), expected, strict=True):
            np.testing.assert_array_equal(prepared.with_condition(role).draw(seeds, previous=before), bars)
    assert made == 3 * both
    assert prepared.chances is small.chances


def test_a_low_temperature_takes_the_likeliest(small):
    cold = small.sample(30, seed=0, temperature=1e-4)
    assert len(np.unique(cold.reshape(30, -1), axis=0)) == 1
    words = small._words(cold[:1], "bars")
    assert torch.equal(words, _chances(small, cold[:1]).argmax(-1))  # five parts are one chunk
    hot = small.sample(300, seed=0, temperature=3.0)
    assert small.log_prob(hot).mean() < small.log_prob(small.sample(300, seed=0)).mean()


def test_silent_bars_are_drawn_again(small):
    """Of a prior that is often silent: what sounds stays, each other bar is the first of its seed that sounds."""
    prior = WordLSTM(small.config).eval()
    prior.load_state_dict(small.state_dict())
    with torch.no_grad():
        prior.chances.chunks[0].bias[0] += 6
    before = _bars(400, 5)
    start = np.zeros((400, 2, 5), bool)
    start[::7, 1, 3] = True
    for given in ({}, {"previous": before, "start": start}, {"previous": before[0], "start": start[1]}):
        seeds = np.arange(30, 430)
        tries = [prior.draw(seeds, stream, **given) for stream in range(12)]
        sounds = np.array([bars.any((1, 2)) for bars in tries])
        assert 0.1 < sounds[0].mean() < 0.9
        found = prior.sample(400, 30, **given)
        expected = np.array(tries)[sounds.argmax(0), np.arange(400)]
        np.testing.assert_array_equal(found, expected)
        assert found.any((1, 2)).mean() > 0.95
    np.testing.assert_array_equal(prior.sample(3, 77), prior.sample(400, 30)[47:50])


def test_a_prior_that_is_always_silent_stays_so(small):
    prior = WordLSTM(small.config).eval()
    with torch.no_grad():
        prior.chances.chunks[0].bias[0] += 1e4
    assert not prior.sample(5).any()


def test_a_start_is_kept_and_gone_on_with(small):
    start = _bars(6, 3)[:, :5]
    bars = small.sample(6, seed=2, start=start)
    np.testing.assert_array_equal(bars[:, :5], start)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=start[0])[0], bars[0])
    # with nothing given, or all of a bar's own beginning, the seed's bar comes out
    own = small.sample(6, seed=2)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=own[:, :7]), own)
    np.testing.assert_array_equal(small.sample(6, seed=2, start=own[:, :0]), own)


def test_drawing_listens_to_the_bar_before(small):
    before = _bars(200, 4)
    own = small.sample(200, seed=0, previous=before)
    others = small.sample(200, seed=0, previous=before[::-1].copy())
    assert small.log_prob(own, before).mean() > small.log_prob(others, before).mean() + 0.1
    np.testing.assert_array_equal(small.sample(200, seed=0, previous=before[7])[7], own[7])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda prior: prior.log_prob(_bars(2, steps=16)), r"\(n, 12, 5\); got \(2, 16, 5\)"),
        (lambda prior: prior.log_prob(_bars(2)[0]), r"got \(12, 5\)"),
        (lambda prior: prior.log_prob(_bars(4), _bars(3)), "one before each of 4; got 3"),
        (lambda prior: prior.sample(-1), "n is at least 0, not -1"),
        (lambda prior: prior.sample(1, seed=-1), "seeds are whole numbers"),
        (lambda prior: prior.sample(1, temperature=0), "temperature is a number over 0"),
        (lambda prior: prior.sample(1, temperature=float("nan")), "temperature is a number over 0"),
        (lambda prior: prior.sample(2, start=_bars(1)[0]), "k below 12"),
        (lambda prior: prior.sample(2, start=_bars(3)[:, :4]), r"got \(3, 4, 5\) for n = 2"),
        (lambda prior: prior.sample(2, previous=_bars(3)), "one before each of 2; got 3"),
        (lambda prior: prior.with_condition(role="variation"), "no role 'variation'; it knows groove, fill, any"),
        (lambda prior: prior.with_condition(style="funk"), "no style 'funk'; it knows jazz, rock, any"),
        (lambda prior: WordLSTMConfig(roles=("any",)), "none is called 'any'"),
        (lambda prior: WordLSTMConfig(styles="jazz"), "lists of names, not 'jazz'"),
        (lambda prior: WordLSTMConfig(kit="nosuch"), "no kit"),
        (lambda prior: WordLSTMConfig(dropout=1.0), "dropout"),
        (lambda prior: WordLSTMConfig(width=0), "width lies in"),
    ],
)
def test_what_does_not_fit_is_refused(small, call, message):
    with pytest.raises(ValueError, match=message):
        call(small)


def test_drawing_follows_the_weights(small):
    """Bars are drawn from what the prior is now, in training too, where dropout must not show."""
    prior = WordLSTM(small.config)
    prior.load_state_dict(small.state_dict())
    before = prior.train().sample(20)
    np.testing.assert_array_equal(before, small.sample(20))
    assert torch.equal(prior.log_prob(_bars(5)), small.log_prob(_bars(5)))
    assert prior.training
    with torch.no_grad():
        prior.chances.chunks[0].bias[3] += 20
    changed = prior.sample(20)
    assert changed[:, :, 3:].all(2).mean() > 0.5
    assert not np.array_equal(before, changed)


def test_odd_arrays_are_taken_and_soft_cells_are_not(small):
    bars = _bars(6)
    expected = small.log_prob(bars)
    frozen = bars.copy()
    frozen.flags.writeable = False
    for same in (bars[::-1].copy()[::-1], frozen, bars.astype(np.uint8) * 255, bars.astype(float)):
        assert torch.equal(small.log_prob(same), expected)
    assert torch.equal(small.log_prob(bars, bars[::-1]), small.log_prob(bars, bars[::-1].copy()))
    with pytest.raises(ValueError, match="between 0 and 1"):
        small.log_prob(np.full((2, 12, 5), 0.5))


def test_a_condition_is_obeyed_and_shares_the_weights(small):
    """Each role and style is another law, of what is drawn and of what is likely; none changes the others."""
    bars, before = _bars(200), _bars(200, 1)
    assert (small.condition.role, small.condition.style) == ("groove", "any")
    conditions = [(role, style) for role in ("any", "groove", "fill") for style in ("any", "jazz", "rock")]
    found = {one: small.with_condition(*one) for one in conditions}
    likely = [prior.log_prob(bars, before) for prior in found.values()]
    drawn = [prior.sample(200) for prior in found.values()]
    for i in range(9):
        for j in range(i):
            assert ((likely[i] - likely[j]).abs() > 1e-3).float().mean() > 0.9
            assert not np.array_equal(drawn[i], drawn[j])
    assert len({prior.fingerprint for prior in found.values()}) == 9
    assert torch.equal(small.log_prob(bars, before), likely[conditions.index(("groove", "any"))])
    fills = small.with_condition(role="fill")
    assert fills.with_condition(style="jazz").condition.role == "fill"
    assert fills.chances is small.chances
    again = found["fill", "rock"]
    assert again.log_prob(again.sample(300)).mean() > again.log_prob(small.sample(300)).mean() + 0.1


def test_a_condition_is_the_label_that_the_network_is_trained_with(small):
    bars = _bars(9)
    words, none = small._words(bars, "x"), torch.zeros(9, dtype=torch.bool)
    for role, style, label in (("any", "any", (0, 0, 0)), ("groove", "any", (0, 1, 0)), ("fill", "rock", (0, 2, 2))):
        labels = torch.tensor([label]).expand(9, -1)
        expected = small(words, words, none, labels)
        torch.testing.assert_close(small.with_condition(role, style).step_log_prob(bars), expected)


def test_a_prior_that_knows_no_roles_takes_bars_as_any():
    prior = WordLSTM(WordLSTMConfig(kit="jaki5", width=4, word_width=4))
    assert (prior.condition.role, prior.condition.style) == ("any", "any")
    with pytest.raises(ValueError, match="no role 'groove'; it knows any"):
        prior.with_condition(role="groove")


@pytest.mark.parametrize("temperature", [1e-5, 1e-300, 5e-324])
def test_no_temperature_is_too_low(small, temperature):
    np.testing.assert_array_equal(small.sample(5, temperature=temperature), small.sample(5, temperature=1e-4))


def test_files_hold_all_that_is_needed(small, tmp_path):
    save_prior(tmp_path / "p.safetensors", small, {"trained_bars": "12"})
    again = load_prior(tmp_path / "p.safetensors")
    assert again.kit == JAKI5
    assert again.config == small.config
    assert (again.config.roles, again.config.styles) == (("groove", "fill"), ("jazz", "rock"))
    assert again.fingerprint == small.fingerprint
    fills = [prior.with_condition("fill", "rock") for prior in (small, again)]
    np.testing.assert_array_equal(*(prior.sample(50, seed=4) for prior in fills))
    assert torch.equal(again.log_prob(_bars(9)), small.log_prob(_bars(9)))
    assert json.loads(read_metadata(tmp_path / "p.safetensors")["provenance"]) == {"trained_bars": "12"}
    assert not again.training


def test_weights_of_a_gan_are_not_taken_for_a_prior():
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.weights import bundled

    with pytest.raises(ValueError, match=r"gan\.safetensors: holds no weights of a prior of rhythmgan"):
        load_prior(bundled("gan.safetensors"))
    with pytest.raises(ValueError, match=r"prior\.safetensors: holds no weights of a GAN of rhythmgan"):
        load_gan(bundled("prior.safetensors"))


def test_the_bundled_prior_knows_bars_from_noise():
    """Without the real data: the textbook bars are far likelier than their cells drawn at random."""
    from rhythmgan.patterns import load_patterns

    prior = load_prior()
    assert (prior.kit, prior.config.steps, prior.roles) == (GM12, 16, ("groove", "variation", "fill"))
    nine = words_to_bars(load_patterns().words, 9)
    bars = np.concatenate([nine, np.zeros((*nine.shape[:2], 3), bool)], 2)
    noise = np.random.default_rng(0).random(bars.shape) < bars.mean(0)
    for role, (least, most) in {"any": (13, 21), "groove": (11, 18), "fill": (10, 22)}.items():
        asked = prior.with_condition(role)
        assert asked.log_prob(bars).mean() > asked.log_prob(noise).mean() + 10
        drawn = asked.sample(500, seed=0)
        assert least < drawn.sum((1, 2)).mean() < most
        assert asked.log_prob(drawn).mean() > asked.log_prob(noise).mean() + 10


def test_the_bundled_prior_of_triplets_knows_a_shuffle_from_what_is_rotated():
    """Kick on 1 and 3, snare on 2 and 4, hats on every beat and its last triplet; then all of it a step later."""
    prior = load_prior(grid=12)
    assert (prior.kit, prior.steps, prior.roles) == (GM12, 12, ("groove", "variation", "fill"))
    shuffle = np.zeros((1, 12, 12), bool)
    shuffle[0, [0, 6], 0] = shuffle[0, [3, 9], 1] = True
    shuffle[0, [0, 2, 3, 5, 6, 8, 9, 11], 2] = True
    assert prior.log_prob(shuffle)[0] > prior.log_prob(np.roll(shuffle, 1, 1))[0] + 10
    assert 8 < prior.sample(300).sum((1, 2)).mean() < 18
    with pytest.raises(ValueError, match="16 or 12 steps, not 24"):
        load_prior(grid=24)


def test_the_bundled_prior_tells_grooves_from_fills():
    """Drawn bars are likelier as the role that they were drawn for: by two nats a bar and more."""
    prior = load_prior()
    as_groove, as_fill = prior.with_condition("groove"), prior.with_condition("fill")
    gain = [as_groove.log_prob(one.sample(400)) - as_fill.log_prob(one.sample(400)) for one in (as_groove, as_fill)]
    assert gain[0].mean() > 2
    assert gain[1].mean() < -2


def test_the_bundled_prior_beats_the_counts_on_unheard_songs(shared, real_corpus):
    """The line of the issue, on the songs of the valid split: nats per step."""
    from rhythmgan.evaluate import nll_per_step

    prior = load_prior().with_condition(role="any")
    found = nll_per_step(real_corpus.split("valid"), real_corpus.split("train"), {"prior": prior})
    counted = [found[name] for name in ("uniform", "unigram", "per-position unigram", "order-1 Markov")]
    assert counted[0] == pytest.approx(np.log(4096))
    assert counted[0] > counted[1] > max(counted[2:])
    assert found["prior"] < min(counted) - 0.7
    assert found["prior, given the bar before"] < found["prior, of bars with one before them"] - 0.2
