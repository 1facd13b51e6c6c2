"""Phrases: a function of their seed, in the forms of songs, of bars that the prior draws and that have a z."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.conditions import Condition
from rhythmgan.forms import KINDS, LENGTH, Forms
from rhythmgan.generate.config import fill_places
from rhythmgan.generate.phrases import phrases
from rhythmgan.kit import GM9
from rhythmgan.models.config import GANConfig, WordLSTMConfig
from rhythmgan.models.gan import GAN
from rhythmgan.models.word_lstm import WordLSTM
from rhythmgan.roles import ROLES
from rhythmgan.seeds import MAX_SEED, RANDOM_STREAMS

pytestmark = pytest.mark.usefixtures("one_thread")

END = 255
GROOVE, VARIATION, FILL = range(3)


def _forms(*texts):
    """Forms that are equally likely: "A.B'A.C!", with "." behind a groove, "'" a variation, "!" a fill."""
    tokens = np.full((len(texts), LENGTH), END, np.uint8)
    for row, text in zip(tokens, texts, strict=True):
        for place in range(len(text) // 2):
            letter, sign = text[2 * place : 2 * place + 2]
            row[place] = ".'!".index(sign) + 3 * "ABCDEFGH".index(letter)
    return Forms(tokens, np.full((len(KINDS) + 1, len(texts)), 1 / len(texts), np.float32))


@pytest.fixture(scope="module")
def gan():
    """Untrained, with weights large enough that its bars differ."""
    torch.manual_seed(5)
    gan = GAN(GANConfig(kit="gm9", width=12, discriminator_width=8, roles=ROLES, styles=("funk",)))
    for parameter in gan.eval().requires_grad_(False).generator.parameters():
        parameter.mul_(2)
    return gan


def _prior(*texts, seed=6):
    """Untrained, with opinions strong enough that bars are alike, and with these forms."""
    torch.manual_seed(seed)
    config = WordLSTMConfig(kit="gm9", width=12, word_width=8, roles=ROLES, styles=("funk",), n_forms=len(texts))
    prior = WordLSTM(config).eval().requires_grad_(False)
    for parameter in prior.parameters():
        parameter.mul_(3)
    prior.keep_forms(_forms(*texts))
    return prior


@pytest.fixture(scope="module")
def prior():
    return _prior("A.A.A.A.A.A.A.A.", "A.B.A.C!A.B.A.D!", "A.B'C.D'E.F!A.", "A.A.B.B.A.A.")


class _Toy:
    """A prior whose bars say what they were drawn with: the role, the bar before and the stream, in their cells."""

    kit, steps, roles, styles = GM9, 16, ROLES, ("funk",)

    def __init__(self, *texts, stubborn=0, log=None, condition=None):
        self.forms = _forms(*texts)
        self.stubborn = stubborn
        self.condition = condition or Condition()
        self.log = [] if log is None else log

    def prepared(self):
        return self

    def with_condition(self, role=None, style=None):
        twin = object.__new__(_Toy)
        twin.__dict__.update(self.__dict__)
        twin.condition = self.condition.asked(role, style, self.roles, self.styles)
        return twin

    def draw(self, seeds, stream=0, *, previous=None):
        """Stream by stream, as if each had been asked for alone."""
        streams = np.broadcast_to(stream, len(seeds))
        bars = np.zeros(previous.shape, bool)
        for one in np.unique(streams):
            bars[streams == one] = self.of_stream(seeds[streams == one], int(one), previous[streams == one])
        return bars

    def of_stream(self, seeds, stream, previous):
        self.log.append((stream, self.condition, np.array(seeds), previous))
        tries = (stream - 12) % 12
        if tries < self.stubborn:
            return previous if tries % 2 else np.zeros_like(previous)
        bars = np.zeros((len(seeds), 16, 9), bool)
        bars[:, 0, ROLES.index(self.condition.role)] = True
        bits = (stream >> np.arange(14)) & 1 > 0
        bars[:, 1:15, 0] = bits
        return bars


def _cells(a, b):
    return (a ^ b).sum((-1, -2))


def _letters(bars):
    """The forms of phrases as texts."""
    found = []
    for phrase in bars:
        names = {}
        found.append("".join("ABCDEFGHIJKLMNOP"[names.setdefault(bar.tobytes(), len(names))] for bar in phrase))
    return found


# --- What a phrase is --------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_phrase_begins_with_its_seeds_own_bar_and_every_bar_has_a_z(gan, prior, temperature):
    bars, z = phrases(gan, prior, [4, 9, 2], 5, temperature)
    assert (bars.shape, bars.dtype) == ((3, 5, 16, 9), bool)
    assert (z.shape, z.dtype) == ((3, 5, gan.latent_dim), np.float32)
    np.testing.assert_array_equal(z[:, 0], gan.latents([4, 9, 2], temperature))
    np.testing.assert_array_equal(gan.decode(z.reshape(15, -1)).reshape(bars.shape), bars)
    assert bars.any((2, 3)).all()


def test_a_single_bar_is_a_phrase(gan, prior):
    bars, z = phrases(gan, prior, range(7, 10), 1)
    np.testing.assert_array_equal(bars[:, 0], gan.sample(3, seed=7))
    np.testing.assert_array_equal(z[:, 0], gan.latents(range(7, 10)))


def test_a_phrase_is_a_function_of_its_seed(gan, prior):
    """In any batch, at any place in it, and whatever comes after."""
    seeds = [3, 1000, 4, MAX_SEED, 3, 12]
    bars, z = phrases(gan, prior, seeds, 6)
    np.testing.assert_array_equal(bars[0], bars[4])
    for other, expected_bars, expected_z in (
        (phrases(gan, prior, seeds[::-1], 6), bars[::-1], z[::-1]),
        (phrases(gan, prior, np.array(seeds[1:3]), 6), bars[1:3], z[1:3]),
        (phrases(gan, prior, seeds, 3), bars[:, :3], z[:, :3]),
        *((phrases(gan, prior, [seed], 6), bars[i : i + 1], z[i : i + 1]) for i, seed in enumerate(seeds)),
    ):
        np.testing.assert_array_equal(other[0], expected_bars)
        np.testing.assert_array_equal(other[1], expected_z)
    # other seeds, other ways to go on
    assert len({phrase.tobytes() for phrase in bars}) == 5


@given(
    st.lists(st.integers(0, MAX_SEED), max_size=5),
    st.integers(2, 10),
    st.sampled_from(["songs", "none", "last", "2"]),
    st.sampled_from([*ROLES, "any"]),
)
def test_every_phrase_is_one_of_its_form(gan, prior, seeds, n_bars, fill, role):
    bars, z = phrases(gan.with_condition(role=role), prior, seeds, n_bars, fill=fill)
    assert bars.shape[:2] == z.shape[:2] == (len(seeds), n_bars)
    for phrase, points in zip(bars, z, strict=True):
        same_bar = (phrase[:, None] == phrase).all((2, 3))
        same_point = (points[:, None] == points).all(2)
        # a bar that comes again has the same z
        np.testing.assert_array_equal(same_bar, same_point)


def test_no_seeds_have_no_phrases(gan, prior):
    bars, z = phrases(gan, prior, [], 3)
    assert bars.shape == (0, 3, 16, 9)
    assert z.shape == (0, 3, gan.latent_dim)


# --- Forms -------------------------------------------------------------------------------------------


def test_bars_come_again_as_in_the_forms(gan):
    bars, _ = phrases(gan, _prior("A.B.A.C.A.A."), range(30), 6)
    assert set(_letters(bars)) == {"ABACAA"}
    found = _letters(phrases(gan, _prior("A.A.A.A.", "A.B.B.C."), range(400), 4)[0])
    assert set(found) == {"AAAA", "ABBC"}
    assert abs(found.count("AAAA") - 200) < 4 * 10  # the spread of 400 coins is 10


def test_new_bars_are_drawn_for_their_role_after_the_bar_before(gan):
    """A B' A C! D. of seeds 5 and 8: what the prior is asked for, in order, and the streams it is drawn with.

    Of all but fills there are two candidates, the second of which follows the bar two before.
    """
    toy = _Toy("A.B'A.C!D.")
    bars, _ = phrases(gan, toy, [5, 8], 5)
    assert [(stream, condition.role, seeds.tolist()) for stream, condition, seeds, _ in toy.log] == [
        (12, "variation", [5, 8]),
        (13, "variation", [5, 8]),
        (12 + 24, "fill", [5, 8]),
        (12 + 36, "groove", [5, 8]),
        (12 + 37, "groove", [5, 8]),
    ]
    for (_, _, _, before), followed in zip(toy.log, (0, 0, 2, 3, 2), strict=True):
        np.testing.assert_array_equal(before, bars[:, followed])
    assert bars[:, 1, 0, VARIATION].all()
    assert bars[:, 3, 0, FILL].all()
    assert RANDOM_STREAMS["phrase bars"][0] == 12


def test_each_phrase_has_its_own_form_in_one_batch(gan):
    toy = _Toy("A.A.B!", "A.C'C'", "A.B.A.")
    toy.forms.tokens[1, 1:3] = VARIATION + 3
    bars, _ = phrases(gan, toy, range(90), 3)
    assert set(_letters(bars)) == {"AAB", "ABB", "ABA"}
    for stream, condition, seeds, before in toy.log:
        place, number = divmod(stream, 12)
        np.testing.assert_array_equal(before, bars[seeds, max(place - 1 - number, 0)])
        assert bars[seeds, place, 0, ROLES.index(condition.role)].all()
    assert {condition.role for _, condition, _, _ in toy.log} == set(ROLES)


def test_a_new_bar_is_drawn_again_until_it_is_new_and_sounds(gan):
    """The first three tries give silence, the bar before and silence; the fourth gives a bar."""
    toy = _Toy("A.B.C.", stubborn=3)
    bars, _ = phrases(gan, toy, range(4), 3)
    assert [stream for stream, *_ in toy.log] == [*range(12, 16), *range(24, 28)]
    assert set(_letters(bars)) == {"ABC"}
    # the twelfth is taken as it is: here the bar before
    bars, z = phrases(gan, _Toy("A.B.C.", stubborn=12), range(4), 3)
    np.testing.assert_array_equal(bars[:, 1:], bars[:, :2])
    assert (z[:, 1] == z[:, 2]).all()


def test_of_two_candidates_the_nearer_one_is_the_likelier(gan):
    """One differs from the first bar in 2 cells, the other in 7: the odds are exp(.3 · 5), 4.48 to 1."""
    flipped = np.zeros((2, 16, 9), bool)
    flipped[0, 3, :2] = flipped[1, 5:12, 4] = True

    class Flipping(_Toy):
        def of_stream(self, seeds, stream, previous):
            return previous ^ flipped[stream % 2]

        def with_condition(self, role=None, style=None):
            return self

    n = 1000
    bars, _ = phrases(gan, Flipping("A.B."), range(n), 2)
    changed = _cells(bars[:, 0], bars[:, 1])
    assert set(changed.tolist()) == {2, 7}
    share = np.exp(1.5) / (1 + np.exp(1.5))
    assert abs((changed == 2).mean() - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_near_is_near_to_the_last_bars_on_average(gan):
    """Of the third bar: one candidate differs in 3 cells from the second, the other in 5 from the first.

    The first two differ in 2 or 7 cells, so the candidates differ from both in 3 + 1 or 3 + 3.5, and 5 + 1 or 5 + 3.5
    on average: the odds are exp(.3 · 2). From the second bar alone they would differ in 3, and 7 or 12.
    """
    flipped = np.zeros((2, 2, 16, 9), bool)
    flipped[0, 0, 3, :2] = flipped[0, 1, 5:12, 4] = True
    flipped[1, 0, 0:3, 7] = flipped[1, 1, 0:5, 8] = True

    class Flipping(_Toy):
        def of_stream(self, seeds, stream, previous):
            return previous ^ flipped[(stream - 12) // 12, stream % 2]

        def with_condition(self, role=None, style=None):
            return self

    n = 1000
    bars, _ = phrases(gan, Flipping("A.B.C."), range(n), 3)
    changed = _cells(bars[:, 1], bars[:, 2])
    assert set(changed.tolist()) == {3, 7, 12}
    share = np.exp(0.6) / (1 + np.exp(0.6))
    assert abs((changed == 3).mean() - share) < 4 * (share * (1 - share) / n) ** 0.5


def test_fills_are_not_chosen_by_nearness(gan):
    toy = _Toy("A.B!C!")
    phrases(gan, toy, range(3), 3)
    assert [stream for stream, *_ in toy.log] == [12, 24]


def test_bars_of_the_phrase_far_back_are_not_new_either(gan):
    """The prior draws bar 1 again as a candidate for bar 3: the other one is taken."""
    toy = _Toy("A.B.C.")
    first = gan.sample(3, seed=0)
    real = toy.of_stream

    def of_stream(self, seeds, stream, previous):
        drawn = real(seeds, stream, previous)
        return first[np.array(seeds)] if stream == 24 else drawn

    asked = type("Asked", (_Toy,), {"of_stream": of_stream, "with_condition": lambda self, role=None, style=None: self})
    again = asked("A.B.C.", condition=Condition("groove"), log=toy.log)
    toy.condition = again.condition
    bars, _ = phrases(gan, again, range(3), 3)
    assert [stream for stream, *_ in toy.log] == [12, 13, 24, 25]
    assert set(_letters(bars)) == {"ABC"}


# --- Fills -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill", "n_bars", "expected"),
    [
        ("songs", 4, None),
        ("songs", 1, None),
        ("none", 1, []),
        ("last", 4, [3]),
        ("last", 2, [1]),
        (3, 4, [2]),
        ("4,8", 8, [3, 7]),
        ("8, 4,8", 8, [3, 7]),
    ],
)
def test_places_of_fills(fill, n_bars, expected):
    assert fill_places(fill, n_bars) == expected


@pytest.mark.parametrize("fill", ["first", "", "1", 1, 0, -2, "5", "2,5", "1,4", "2.5", "2;3", "²", True])
def test_fills_that_no_phrase_of_four_bars_has(fill):
    with pytest.raises(ValueError, match=r"songs, last, none or the numbers of bars from 2 to 4.* not as"):
        fill_places(fill, 4)


@pytest.mark.parametrize("fill", ["last", "2", 1])
def test_a_single_bar_has_no_fill_behind_it(fill):
    with pytest.raises(ValueError, match="ask for 2 bars or more"):
        fill_places(fill, 1)


def test_fills_are_where_they_are_asked_for_and_nowhere_else(gan):
    for fill, places in (("last", {3}), ("none", set()), (2, {1}), ("2,3", {1, 2}), ("songs", {1, 2, 3})):
        toy = _Toy("A.A.B!A.", "A.B.A.A.", "A.B!A.C!")
        bars, _ = phrases(gan, toy, range(60), 4, fill=fill)
        drawn = [(stream // 12, seeds) for stream, condition, seeds, _ in toy.log if condition.role == "fill"]
        assert {place for place, _ in drawn} == places
        for place, seeds in drawn:
            assert bars[seeds, place, 0, FILL].all()
            assert len(seeds) == 60 or fill == "songs"


@pytest.mark.parametrize("form", ["AV", "AAAF", "AVAF", "AAAVAAAF"])
def test_a_form_that_is_asked_for_says_which_bars_are_the_same(gan, prior, form):
    bars, z = phrases(gan, prior, range(30), len(form), form=form)
    first = [form.index(letter) for letter in form]
    np.testing.assert_array_equal(bars, bars[:, first])
    np.testing.assert_array_equal(z, z[:, first])
    np.testing.assert_array_equal(bars[:, 0], gan.draw(np.arange(30))[1])
    for one in set(first):
        for other in set(first) - {one}:
            assert (bars[:, one] != bars[:, other]).any((1, 2)).all()


def test_letters_of_a_form_are_roles(gan):
    """A fill of AAF is what the prior draws as a fill, a variation of AAV as a variation, of the same seeds."""
    prior = _prior("A.A.A.", seed=9)
    (fill, _), (variation, _) = (phrases(gan, prior, range(30), 3, form=form) for form in ("AAF", "AAV"))
    assert (fill[:, 2] != variation[:, 2]).any((1, 2)).sum() > 20
    asked, _ = phrases(gan, prior, range(30), 3, fill="last")
    np.testing.assert_array_equal(fill, asked)


def test_a_phrase_returns_to_its_form_behind_a_fill(gan):
    """A A B B A: with a fill in bar 3 it is A A F B A, and B is drawn after the fill."""
    toy = _Toy("A.A.B'B'A.")
    plain, _ = phrases(gan, toy, range(5), 5, fill="none")
    toy.log.clear()
    bars, _ = phrases(gan, toy, range(5), 5, fill=3)
    assert set(_letters(plain)) == {"AABBA"}
    assert set(_letters(bars)) == {"AABCA"}
    assert [(stream, condition.role) for stream, condition, *_ in toy.log] == [
        (24, "fill"),
        (36, "variation"),
        (37, "variation"),
    ]
    np.testing.assert_array_equal(toy.log[1][3], bars[:, 2])
    np.testing.assert_array_equal(toy.log[2][3], bars[:, 1])
    # all before the fill is as without one
    np.testing.assert_array_equal(bars[:, :2], plain[:, :2])
    # two fills are two bars
    assert set(_letters(phrases(gan, toy, range(5), 5, fill="2,4")[0])) == {"ABCDA"}


def test_a_phrase_of_fills_begins_with_one_and_goes_on_as_songs_do(gan):
    toy = _Toy("A.A.A.", "A!B.B.")
    bars, _ = phrases(gan.with_condition(role="fill"), toy, range(20), 3)
    np.testing.assert_array_equal(bars[:, 0], gan.with_condition(role="fill").sample(20))
    assert set(_letters(bars)) == {"ABB"}
    assert set(_letters(phrases(gan.with_condition(role="variation"), toy, range(20), 3)[0])) == {"AAA"}


def test_the_style_is_the_models(gan):
    toy = _Toy("A.B.C!", condition=Condition("groove", "funk"))
    phrases(gan, toy, [1], 3)
    assert {condition.style for _, condition, *_ in toy.log} == {"funk"}  # its own, where the model has none
    toy = _Toy("A.B.C!")
    phrases(gan.with_condition(style="funk"), toy, [1], 3)
    assert {condition.style for _, condition, *_ in toy.log} == {"funk"}
    toy.styles = ("jazz",)
    with pytest.raises(ValueError, match="no style 'funk'; it knows jazz, any"):
        phrases(gan.with_condition(style="funk"), toy, [1], 3)


def test_a_prior_that_knows_no_roles_draws_all_bars_alike(gan):
    prior = _prior("A.B.A.C!")
    config = replace(prior.config, roles=())
    plain = WordLSTM(config).eval().requires_grad_(False)
    plain.keep_forms(prior.forms)
    assert set(_letters(phrases(gan, plain, range(5), 4)[0])) == {"ABAC"}
    with pytest.raises(ValueError, match="knows no role 'fill'; it knows any"):
        phrases(gan, plain, range(5), 4, fill="last")
    with pytest.raises(ValueError, match="knows no role 'fill'; it knows any"):
        phrases(gan, plain, range(5), 3, form="AVF")
    assert len(phrases(gan, plain, range(5), 3, form="AVV")[0]) == 5


# --- The rest ----------------------------------------------------------------------------------------


def test_the_prior_stays_as_it_is_and_does_not_guess(gan):
    """It is asked without dropout, in double precision, on a copy."""
    prior = _prior("A.B.C.")
    expected, _ = phrases(gan, prior, range(20), 3)
    condition = prior.condition
    prior.train()
    found, _ = phrases(gan, prior, range(20), 3)
    assert prior.training
    np.testing.assert_array_equal(found, expected)
    assert prior.places.dtype == torch.float32
    assert prior.condition == condition
    # another one has other opinions
    assert (phrases(gan, _prior("A.B.C.", seed=8), range(20), 3)[0] != expected).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_bars": 0}, "at least one bar, not 0"),
        ({"n_bars": -2}, "at least one bar, not -2"),
        ({"n_bars": 43_691}, "at most 43,690 bars, not 43,691"),
        ({"seeds": [3, -1]}, "whole numbers"),
        ({"seeds": [2**63]}, "whole numbers"),
        ({"seeds": [0.5]}, "whole numbers"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"fill": "first"}, "from 2 to 2"),
        ({"form": "AAF"}, "a form of 2 bars has as many letters"),
        ({"form": "VA"}, "A first, then A, V or F; got 'VA'"),
        ({"form": "AB"}, "A, V or F; got 'AB'"),
        ({"prior": {"kit": "jaki5"}}, "jaki5 and 16 steps, the bars of gm9 and 16"),
        ({"prior": {"steps": 12}}, "gm9 and 12 steps, the bars of gm9 and 16"),
        ({"prior": {}}, "no forms of phrases; `rhythmgan train prior`"),
    ],
)
def test_bad_requests(gan, prior, changes, message):
    options = {"seeds": [1, 2], "n_bars": 2, "temperature": 1.0} | changes
    shape = options.pop("prior", None)
    other = None if shape is None else WordLSTM(WordLSTMConfig(**{"kit": "gm9", "width": 4, "word_width": 4} | shape))
    with pytest.raises(ValueError, match=message):
        phrases(gan, other or prior, **options)


def test_the_name_is_the_function_whatever_was_imported_before():
    """``rhythmgan.phrases`` is promised as a function: no module may take its place."""
    for before in ("import rhythmgan.folders", "rhythmgan.phrases", "import rhythmgan.generate.phrases"):
        code = f"import rhythmgan; {before}; from rhythmgan import phrases; assert callable(phrases), phrases"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr.splitlines()[-1]
