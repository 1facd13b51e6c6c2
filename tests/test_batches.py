"""Batches: bars are drawn as often as the mixture says, and the rates are those of what is drawn."""

from dataclasses import replace
from fractions import Fraction as F

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from rhythmgan.augment import N_AUGMENTATIONS
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9
from rhythmgan.roles import ROLES
from rhythmgan.training.batches import Mixture, SongBatches, corpus_digest, roles_of, step_seed, styles_of

pytestmark = pytest.mark.usefixtures("one_thread")

PLAIN = Mixture(any_share=1.0, style_share=0.0, song_exponent=1.0, pairs_share=0.0, augmented_share=0.0)


def _random(seed=11):
    return torch.Generator().manual_seed(seed)


# -- distinct bars, song by song -------------------------------------------------------------------


def _three_songs():
    """Songs of 1, 4 and 25 bars in a mixed order, by numbers with gaps; a bar's first words spell its row."""
    song = np.array([7] + [2] * 4 + [5] * 25, np.int32)[np.random.default_rng(3).permutation(30)]
    words = np.zeros((30, 16), np.uint16)
    words[:, 0] = np.arange(30) + 1
    words[:, 4::4] = np.random.default_rng(4).integers(0, 512, (30, 3))
    number = np.arange(30, dtype=np.int32)
    return Corpus.of(words, song, np.zeros(30, np.int32), number, tuple("abcdefgh"), ("toy",), GM9)


@pytest.mark.parametrize(
    ("exponent", "chances"),
    [
        (1.0, {7: 1 / 30, 2: 1 / 30, 5: 1 / 30}),  # all bars alike
        (0.0, {7: 1 / 3, 2: 1 / 12, 5: 1 / 75}),  # all songs alike
        (0.5, {7: 1 / 8, 2: 2 / 8 / 4, 5: 5 / 8 / 25}),
    ],
)
def test_bars_are_drawn_song_by_song(exponent, chances):
    corpus = _three_songs()
    batches = SongBatches(corpus, (), (), replace(PLAIN, song_exponent=exponent))
    random = _random()
    drawn = []
    for _ in range(10):
        batch = batches.draw(4096, random)
        assert batch.bars.shape == (4096, 16, 9)
        assert batch.bars.dtype == torch.bool
        assert batch.labels.shape == (4096, 3)
        assert not batch.labels.any()
        assert not batch.has_previous.any()
        drawn.append(batch.bars.numpy())
    drawn = np.concatenate(drawn)
    found = bars_to_words(drawn)
    row = found[:, 0].astype(int) - 1
    np.testing.assert_array_equal(found, corpus.words[row])
    expected = np.array([chances[song] for song in corpus.song_id.tolist()])
    assert expected.sum() == pytest.approx(1)
    counts = np.bincount(row, minlength=30)
    assert chisquare(counts, expected * len(row)).pvalue > 1e-3
    # and what the generator is held to is the mean of that
    truth = np.tensordot(expected, words_to_bars(corpus.words, 9), 1)
    np.testing.assert_allclose(batches.rates, truth[None], atol=1e-6)
    error = (truth * (1 - truth) / len(row)) ** 0.5
    assert (np.abs(drawn.mean(0) - truth) <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_rates_are_those_of_what_is_drawn_when_augmented_too(share):
    batches = SongBatches(_three_songs(), (), (), replace(PLAIN, song_exponent=0.5, augmented_share=share))
    random = _random(12)
    drawn = [batches.draw(4096, random) for _ in range(10)]
    bars, labels = (
        torch.cat(each).numpy() for each in zip(*((batch.bars, batch.labels) for batch in drawn), strict=True)
    )
    assert abs((labels[:, 0] != 0).mean() - share) < 5 * (0.25 / len(labels)) ** 0.5
    assert set(labels[:, 0].tolist()) - {0} == set(range(1, N_AUGMENTATIONS))
    assert not labels[:, 1:].any()
    (rates,) = batches.rates.numpy()
    error = (rates * (1 - rates) / len(labels)) ** 0.5
    assert (np.abs(bars.mean(0) - rates) <= 5 * error + 1e-6).all()
    plain = SongBatches(_three_songs(), (), (), replace(PLAIN, song_exponent=0.5)).rates.numpy()
    assert np.abs(rates - plain).max() > 10 * error.max()


# -- a mixture by hand -------------------------------------------------------------------------------

KICK, SNARE, TOM = 0b100000000, 0b010000000, 0b000010000
WORD = {
    "A": KICK,  # grooves
    "a": KICK | 1,
    "C": KICK | 2,
    "D": KICK | 4,
    "B": KICK | SNARE,  # a variation
    "F": SNARE,  # fills
    "G": SNARE | TOM,
    "H": TOM,
}
LETTER = {word: letter for letter, word in WORD.items()}
ROLE_OF = {"A": 0, "a": 0, "C": 0, "D": 0, "B": 1, "F": 2, "G": 2, "H": 2}
MIXTURE = Mixture(any_share=0.4, style_share=0.25, song_exponent=0.5, pairs_share=0.125, augmented_share=0.0)
STYLES = ("funk", "rock")


def _hand_made():
    """Three songs: rock, of no known style, and funk, which has two files, in the second of which a bar is silent."""
    rows = [(0, 0, i, letter) for i, letter in enumerate("AAaAABF")]
    rows += [(1, 1, 0, "C"), (1, 1, 1, "C")]
    rows += [(2, 2, 0, "D"), (2, 2, 1, "G"), (2, 3, 0, "D"), (2, 3, 1, "H"), (2, 3, 3, "H")]
    song, file, index, letters = zip(*rows, strict=True)
    corpus = Corpus.of(
        np.repeat(np.array([WORD[letter] for letter in letters], np.uint16)[:, None], 16, 1),
        np.array(song, np.int32),
        np.array(file, np.int32),
        np.array(index, np.int32),
        ("one", "two", "three"),
        ("1.mid", "2.mid", "3a.mid", "3b.mid"),
        GM9,
        np.array([ROLE_OF[letter] for letter in letters]),
    )
    return replace(corpus, styles=("unknown", "rock", "funk"), file_style=np.array([1, 0, 2, 2], np.int16))


def _chances(batches):
    """What is drawn, as (role, style, the bar before or "", the bar) → its chance, styles by name."""
    chance = np.diff(batches.chance.numpy(), prepend=0)
    found = {}
    for row in range(len(chance)):
        words = batches.words[row].numpy(), batches.previous[row].numpy()
        assert all((each == each[0]).all() for each in words)
        bar, previous = (LETTER[int(each[0])] for each in words)
        role, style = int(batches.role[row]), int(batches.style[row])
        key = (role, ("any", *STYLES)[style], previous if batches.has_previous[row] else "", bar)
        assert key not in found
        found[key] = chance[row]
    return found


def _expected(any_share, style_share, pairs_share):
    """Counted by hand; song_exponent ½: songs of 4, 1 and 3 distinct bars count 2, 1 and √3."""
    root = 3**0.5
    shares = {0: any_share} | {
        # as played: 5 of 7 bars, 2 of 2 and 2 of 5; 1 of 7; 1 of 7 and 3 of 5; every song a third
        # the roots of these shares count
        number: (1 - any_share) * (count / 105) ** 0.5 / sum((each / 105) ** 0.5 for each in (74, 5, 26))
        for number, count in {1: 74, 2: 5, 3: 26}.items()
    }
    rock = {"A": "rock", "a": "rock", "B": "rock", "F": "rock"}
    funk = {"D": "funk", "G": "funk", "H": "funk"}
    style_of = rock | funk
    alone = {
        0: dict.fromkeys("AaBF", 2 / 4) | {"C": 1} | dict.fromkeys("DGH", root / 3),
        1: {"A": F(4, 5), "a": F(1, 5), "C": 1, "D": 1},
        2: {"B": 1},
        3: {"F": 1, "G": F(1, 3), "H": F(2, 3)},
    }
    pairs = {
        0: dict.fromkeys(("AA", "Aa", "aA", "AB", "BF", "CC", "DG", "DH"), 1),
        1: {"AA": F(2, 4), "Aa": F(1, 4), "aA": F(1, 4), "CC": 1},
        2: {"AB": 1},
        3: {"BF": 1, "DG": F(1, 2), "DH": F(1, 2)},
    }
    found = {}
    for role, share in shares.items():
        for counts, of_pairs in ((alone[role], 1 - pairs_share), (pairs[role], pairs_share)):
            for styled, of_styled in ((False, 1 - style_share), (True, style_share)):
                told = {name: float(count) for name, count in counts.items() if not styled or name[-1] in style_of}
                for name, count in told.items():
                    key = (role, style_of[name[-1]] if styled else "any", name[:-1], name[-1])
                    found[key] = share * of_pairs * of_styled * count / sum(told.values())
    return {key: chance for key, chance in found.items() if chance}


@pytest.mark.parametrize(
    ("any_share", "style_share", "pairs_share"),
    [(0.4, 0.25, 0.125), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.3, 0.5, 1.0)],
)
def test_a_mixture_by_hand(any_share, style_share, pairs_share):
    mixture = replace(MIXTURE, any_share=any_share, style_share=style_share, pairs_share=pairs_share)
    found = _chances(SongBatches(_hand_made(), ROLES, STYLES, mixture))
    expected = _expected(any_share, style_share, pairs_share)
    assert sum(expected.values()) == pytest.approx(1)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected)


def test_batches_are_drawn_by_these_chances():
    batches = SongBatches(_hand_made(), ROLES, STYLES, MIXTURE)
    expected = _expected(0.4, 0.25, 0.125)
    random, keys = _random(), list(expected)
    counts = np.zeros(len(keys), int)
    for _ in range(8):
        batch = batches.draw(5000, random)
        assert batch.previous.shape == batch.bars.shape == (5000, 16, 9)
        assert batch.labels.dtype == torch.long
        assert not batch.labels[:, 0].any()
        bars, previous = (bars_to_words(each.numpy())[:, 0].tolist() for each in (batch.bars, batch.previous))
        for bar, before, paired, (_, role, style) in zip(
            bars, previous, batch.has_previous.tolist(), batch.labels.tolist(), strict=True
        ):
            key = (role, ("any", *STYLES)[style], LETTER[before] if paired else "", LETTER[bar])
            counts[keys.index(key)] += 1
    assert chisquare(counts, 40_000 * np.array(list(expected.values()))).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_rates_of_each_role_by_hand(share):
    """Fills: the snare sounds in F and G, ½ and 1/6, a tom in G and H, 1/6 and 1/3. Every step is like the others."""
    mixture = replace(MIXTURE, any_share=0.5, pairs_share=0.0, augmented_share=share)
    rates = SongBatches(_hand_made(), ROLES, STYLES, mixture).rates
    assert rates.shape == (4, 16, 9)
    assert (rates - rates[:, :1]).abs().max() < 1e-6
    # of three roles and no styles the snare's and the low tom's, and the kick's, which is exchanged with nobody
    snare, tom = 2 / 3, 1 / 2
    kick = (0.8, 1.0, 1.0, 0.0)
    root = 3**0.5
    unstyled, styled = (2 / 4 * 3 + 1 + root / 3) / (3 + root), (2 / 4 * 3 + root / 3) / (2 + root)
    kick = (0.75 * unstyled + 0.25 * styled, 1.0, 1.0, 0.0)
    thinned = 1 - share / 3 / 4
    np.testing.assert_allclose(rates[:, 0, 0], np.array(kick) * thinned, atol=1e-6)
    # each of the twelve exchanges of two parts of a stream as often: three have the snare, one of these the low tom
    exchanged = np.array([(9 * snare + tom) / 12, (9 * tom + snare) / 12])
    plain = np.array([snare, tom])
    expected = (1 - share) * plain + share / 3 * (plain + 0.75 * plain + exchanged)
    np.testing.assert_allclose(rates[3, 0, [1, 4]], expected, atol=1e-6)


def test_what_is_not_told_is_drawn_as_any():
    """Of a model that knows fills and rock only: other roles and styles come without a name."""
    found = _chances(SongBatches(_hand_made(), ("fill",), ("rock",), replace(MIXTURE, pairs_share=0.0)))
    assert {(role, bar) for role, _, __, bar in found} == {(0, letter) for letter in WORD} | {(1, b) for b in "FGH"}
    # here the first style is rock
    assert {bar for _, style, __, bar in found if style != "any"} == set("AaBF")
    assert sum(chance for (role, *_), chance in found.items() if role == 0) == pytest.approx(0.4)
    assert sum(chance for (_, style, __, ___), chance in found.items() if style != "any") == pytest.approx(0.25)


def test_without_roles_and_styles_every_bar_is_any():
    found = _chances(SongBatches(_hand_made(), (), (), replace(MIXTURE, pairs_share=0.0)))
    assert {key[:3] for key in found} == {(0, "any", "")}
    assert sum(found.values()) == pytest.approx(1)
    assert found[0, "any", "", "C"] == pytest.approx(1 / (3 + 3**0.5))


def test_bars_without_any_of_the_roles_are_refused():
    corpus = _hand_made().with_role("groove")
    with pytest.raises(ValueError, match="none of the bars is a variation or fill"):
        SongBatches(corpus, ("variation", "fill"), (), MIXTURE)


def test_a_bar_and_the_one_before_it_are_augmented_alike():
    """Rotated, thinned or exchanged together: undone, it is a pair that the song plays."""
    rng = np.random.default_rng(2)
    words = (rng.random((12, 16)) < 0.4) * rng.integers(1, 512, (12, 16))
    words[:, 0] = np.arange(12) * 32 + 31
    number = np.arange(12, dtype=np.int32)
    corpus = Corpus.of(words.astype(np.uint16), number * 0, number * 0, number, ("s",), ("f",), GM9)
    batches = SongBatches(corpus, (), (), replace(PLAIN, pairs_share=1.0, augmented_share=1.0))
    batch = batches.draw(2000, _random())
    assert batch.has_previous.all()
    truth = words_to_bars(corpus.words, 9)
    seen = set()
    for bar, before, (kind, _, __) in zip(
        batch.bars.numpy(), batch.previous.numpy(), batch.labels.tolist(), strict=True
    ):
        if 1 <= kind <= 3:
            row = int(np.flatnonzero((truth == np.roll(bar, kind * 4, 0)).all((1, 2)))[0])
            np.testing.assert_array_equal(np.roll(before, kind * 4, 0), truth[row - 1])
            seen.add((kind, row))
        elif kind == 4:  # thinned: what both lack is a part, and some pair has all the rest
            kept = bar.any(0) | before.any(0)
            fits = ((truth[1:] & kept == bar) & (truth[:-1] & kept == before)).all((1, 2))
            assert fits.any()
        else:  # exchanged: as many onsets on each step as a pair has
            counts = truth.sum(2)
            fits = (counts[1:] == bar.sum(1)).all(1) & (counts[:-1] == before.sum(1)).all(1)
            assert fits.any()
    assert {row for _, row in seen} == set(range(1, 12))
    assert {kind for kind, _ in seen} == {1, 2, 3}


# -- what a corpus has to teach -------------------------------------------------------------------------


def test_roles_of_a_corpus_are_those_of_its_bars():
    corpus = _hand_made()
    assert roles_of(corpus) == ROLES
    assert roles_of(corpus.only(corpus.role != 1)) == ("groove", "fill")
    assert roles_of(corpus.with_role("fill")) == ("fill",)
    assert roles_of(corpus.only(np.zeros(14, bool))) == ()


def test_styles_of_ten_songs_are_learnt_the_most_common_first():
    """Songs count, not bars: of funk there are 11, of rock 13, of jazz 9, of soul 10; any and unknown are no styles."""
    names = ("unknown", "jazz", "funk", "any", "soul", "rock")
    style = np.repeat([0, 1, 2, 3, 4, 5], [20, 9, 11, 15, 10, 13])
    n = len(style)
    bars_of = np.where(style == 1, 7, 2)  # jazz has the most bars
    song = np.repeat(np.arange(n), bars_of)
    rows = len(song)
    corpus = Corpus.of(
        np.full((rows, 16), 3, np.uint16),
        song.astype(np.int32),
        song.astype(np.int32),
        np.arange(rows, dtype=np.int32),
        tuple(map(str, range(n))),
        tuple(map(str, range(n))),
        GM9,
    )
    corpus = replace(corpus, styles=names, file_style=style.astype(np.int16))
    assert styles_of(corpus) == ("rock", "funk", "soul")
    assert styles_of(corpus.only(corpus.song_id != song[-1])) == ("rock", "funk", "soul")
    without = corpus.only((corpus.style_id != 5) | (corpus.song_id < n - 4))  # nine of rock are left
    assert styles_of(without) == ("funk", "soul")
    # two files of one song are one song
    one = replace(corpus, distinct_song=np.zeros_like(corpus.distinct_song))
    assert styles_of(one) == ()


def test_the_digest_tells_bars_songs_roles_and_styles_apart():
    corpus = _hand_made()
    others = [
        replace(corpus, role=np.roll(corpus.role, 1)),
        replace(corpus, file_style=np.array([2, 0, 1, 1], np.int16)),
        replace(corpus, styles=("unknown", "rock", "soul")),
        replace(corpus, bar_index=corpus.bar_index + 1),
        replace(corpus, distinct_song=corpus.distinct_song[::-1].copy()),
        replace(corpus, distinct_words=corpus.distinct_words ^ 8),
        corpus.only(np.arange(13)),
    ]
    digests = [corpus_digest(each) for each in (corpus, *others)]
    assert len(set(digests)) == 8
    assert corpus_digest(_hand_made()) == digests[0]


def test_seeds_of_steps_and_processes_differ():
    seeds = {step_seed(seed, step, process) for seed in range(5) for step in range(20) for process in range(3)}
    assert len(seeds) == 300
    assert step_seed(1, 23, 0) != step_seed(12, 3, 0)
    assert all(0 <= seed < 2**63 for seed in seeds)
