"""Forms: counted by hand, drawn with the chances that were counted, and never against the rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.data import Corpus
from rhythmgan.forms import GROUP, KINDS, LENGTH, Forms, bar_kinds
from rhythmgan.kit import GM9
from rhythmgan.roles import FILL, GROOVE, VARIATION

ROLE_OF = {".": GROOVE, "'": VARIATION, "!": FILL}
END = 255


def _corpus(*files):
    """The corpus of files (song, "0a. 1b. 2c!"): of each bar its index, a letter for its cells and a sign for its role.

    The first half of each bar is all its own and the second one silent.
    """
    rows = [(song, file, bar) for file, (song, bars) in enumerate(files) for bar in bars.split()]
    words = np.zeros((len(rows), 16), np.uint16)
    words[:, 0] = [ord(bar[-2]) for _, _, bar in rows]
    return Corpus.of(
        words,
        np.array([song for song, _, _ in rows]),
        np.array([file for _, file, _ in rows]),
        np.array([int(bar[:-2]) for _, _, bar in rows]),
        tuple(f"song {song}" for song in range(1 + max(song for song, _, _ in rows))),
        tuple(f"file {file}" for file in range(len(files))),
        GM9,
        np.array([ROLE_OF[bar[-1]] for _, _, bar in rows]),
    )


def _tokens(text):
    """The tokens of "A.B.A.C!", ended by 255."""
    tokens = [ROLE_OF[text[i + 1]] + 3 * "ABCDEFGH".index(text[i]) for i in range(0, len(text), 2)]
    return [*tokens, *[END] * (LENGTH - len(tokens))]


def _forms(**chances):
    """Forms of their texts, with ``_`` in the place of signs that are grooves, and chances alike for every kind."""
    texts = {name.replace("_", "."): chance for name, chance in chances.items()}
    tokens = np.array([_tokens(text) for text in texts], np.uint8)
    return Forms(tokens, np.tile(np.array(list(texts.values()), np.float32), (len(KINDS) + 1, 1)))


def _counted(forms, kind):
    """Text of each form → its chance for a kind, of those that have one."""
    signs = {role: sign for sign, role in ROLE_OF.items()}
    return {
        "".join("ABCDEFGH"[token // 3] + signs[token % 3] for token in row if token != END): float(chance)
        for row, chance in zip(forms.tokens.tolist(), forms.chances[kind], strict=True)
        if chance
    }


def _bars(n, differ=0):
    """n bars whose halves differ in so many cells."""
    bars = np.zeros((n, 16, 9), bool)
    bars[:, :differ, 2] = True
    return bars


def _draw(forms, n_bars, n=1000, **options):
    """The forms of n phrases, as texts → their shares; the numbers are even, independent from bar to bar."""
    uniform = np.random.default_rng(4).permuted(np.tile((np.arange(n)[:, None] + 0.5) / n, n_bars - 1), axis=0)
    letters, roles = forms.draw(_bars(n), uniform, **options)
    signs = ".'!"
    texts = [
        "".join("ABCDEFGHIJKLMNOPQ"[a] + signs[b] for a, b in zip(*row, strict=True))
        for row in zip(letters, roles, strict=True)
    ]
    names, count = np.unique(texts, return_counts=True)
    return dict(zip(names.tolist(), (count / n).tolist(), strict=True))


# --- Counting ----------------------------------------------------------------------------------------


def test_forms_by_hand():
    """Song 0 has two phrases, song 1 three of which two are alike, song 2 one: each song counts a third."""
    corpus = _corpus(
        (0, "0x. 1y. 2x. 3z! 4x. 5x."),
        (1, "0q. 1q. 2q. 3q."),
        (1, "0r. 1r. 2r. 3r. 4q. 5p. 6q. 7p. 8q. 9q."),
        (2, "4k! 5k!"),
    )
    forms = Forms.of(corpus)
    # the kind of a bar is that of its letter's bits
    of_cells = {letter: int(bar_kinds(_corpus_bar(letter))[0]) for letter in "xrqk"}
    kinds = {kind: [letter for letter in "xrqk" if of_cells[letter] == kind] for kind in set(of_cells.values())}
    weights = {
        "x": {"A.B.A.C!A.A.": 1 / 6, "A.A.": 1 / 6},
        "q": {"A.A.A.A.": 1 / 12, "A.B.A.B.A.A.": 1 / 12, "A.A.": 1 / 12},
        "r": {"A.A.A.A.B.C.B.C.": 1 / 12},
        "k": {"A!A!": 1 / 3},
    }
    for kind, letters in kinds.items():
        expected = {}
        for letter in letters:
            for form, weight in weights[letter].items():
                expected[form] = expected.get(form, 0) + weight
        total = sum(expected.values())
        assert _counted(forms, kind) == pytest.approx({form: weight / total for form, weight in expected.items()})
    assert forms.chances.sum(1).tolist() == pytest.approx([float(kind in kinds) for kind in range(len(KINDS) + 1)])
    assert len(forms) == 6  # two songs share A.A.


def _corpus_bar(letter):
    from rhythmgan.bars import words_to_bars

    return words_to_bars(_corpus((0, f"0{letter}.")).words, 9)


def test_a_form_ends_where_a_bar_is_missing_and_where_its_file_ends():
    """Not even the next file of the song goes on from there, with bars that are numbered on."""
    found = Forms.of(_corpus((0, "0a. 1a. 2b. 4c. 5c."), (0, "6c. 7c. 8a. 9b!")))
    assert {text for kind in range(6) for text in _counted(found, kind)} == {"A.A.B.", "A.A.", "A.B!"}


def test_a_bar_has_the_role_that_it_has_first():
    found = Forms.of(_corpus((0, "0a. 1b' 2a! 3b.")))
    assert [_counted(found, kind) for kind in range(6) if _counted(found, kind)] == [{"A.B'A.B'": 1}]


def test_kinds_by_hand():
    for differ, kind in {0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 5, 8: 5}.items():
        assert bar_kinds(_bars(1, differ)).tolist() == [kind]
    both = np.zeros((1, 12, 3), bool)
    both[0, [1, 7, 4], [2, 2, 0]] = True  # the first two are alike, half a bar of six steps apart
    assert bar_kinds(both).tolist() == [1]


@pytest.mark.parametrize("shapes", [((4, 7), (6, 4)), ((4, 8), (6, 3)), ((4, 8), (5, 4))])
def test_tables_that_do_not_fit_together(shapes):
    with pytest.raises(ValueError, match="expected tokens"):
        Forms(np.zeros(shapes[0], np.uint8), np.zeros(shapes[1], np.float32))


# --- Drawing -----------------------------------------------------------------------------------------


def test_forms_are_drawn_as_often_as_they_were_counted():
    texts = {"A.A.A.A.": 0.4, "A.B.A.B.": 0.1, "A.B.A.C!": 0.2, "A.B!C'A.": 0.25, "A.": 0.05}
    tokens = np.array([_tokens(text) for text in texts], np.uint8)
    forms = Forms(tokens, np.tile(np.array(list(texts.values()), np.float32), (6, 1)))
    found = _draw(forms, 4, 4000)
    assert set(found) == set(texts) - {"A."}
    # the one that ends says nothing of what follows
    assert found == pytest.approx({text: texts[text] / 0.95 for text in found}, abs=0.03)
    assert _draw(forms, 1) == {"A.": 1}
    assert _draw(forms, 2) == pytest.approx({"A.A.": 0.4 / 0.95, "A.B.": 0.3 / 0.95, "A.B!": 0.25 / 0.95}, abs=0.01)


def test_grooves_and_variations_go_on_alike():
    """What follows A B, if that is what counts, does not depend on whether B is a groove."""
    forms = _forms(**{"A.B.A.": 0.5, "A.B'B'": 0.5})
    assert _draw(forms, 3, 4000) == pytest.approx(
        {"A.B.A.": 0.25, "A.B.B.": 0.25, "A.B'A.": 0.25, "A.B'B'": 0.25}, abs=0.02
    )


def test_a_bar_that_repeats_itself_comes_again_if_such_bars_do():
    chances = np.zeros((6, 2), np.float32)
    chances[0], chances[3] = [1, 0], [0, 1]
    forms = Forms(np.array([_tokens("A.A.A."), _tokens("A.B.C.")], np.uint8), chances)
    uniform = np.tile((np.arange(100)[:, None] + 0.5) / 100, 2)
    for differ, most in ((0, 0), (4, 1)):
        letters, _ = forms.draw(_bars(100, differ), uniform)
        # a few go the other kind's way: .05 of 1.05
        assert (letters[:, 1] == most).sum() == 95
    # of kinds that were never seen, all kinds count
    assert (forms.draw(_bars(100, 8), uniform)[0][:, 1] == 0).sum() == 50


def test_without_fills_what_is_left_keeps_its_odds():
    texts = {"A.A.B!": 0.6, "A.A.A.": 0.1, "A.A.B.": 0.3}
    tokens = np.array([_tokens(text) for text in texts], np.uint8)
    forms = Forms(tokens, np.tile(np.array(list(texts.values()), np.float32), (6, 1)))
    assert _draw(forms, 3) == pytest.approx(texts, abs=0.002)
    assert _draw(forms, 3, with_fills=False) == pytest.approx({"A.A.A.": 0.25, "A.A.B.": 0.75}, abs=0.002)


def test_a_first_bar_that_is_a_fill_goes_on_as_fills_do():
    tokens = np.array([_tokens("A!B.B."), _tokens("A.A.A."), _tokens("A!A!B.")], np.uint8)
    forms = Forms(tokens, np.tile(np.float32([0.25, 0.5, 0.25]), (6, 1)))
    assert _draw(forms, 3, role=FILL) == {"A!A!B.": 0.5, "A!B.B.": 0.5}
    assert _draw(forms, 3, role=FILL, with_fills=False) == {"A!B.B.": 1}
    assert _draw(forms, 3) == {"A.A.A.": 1}


def test_where_no_form_goes_on_the_earliest_bars_are_forgotten():
    """After A B B nothing was counted. Without the first bar it is A A, which went on with a new groove."""
    tokens = np.array([_tokens("A.B.B."), _tokens("A.A.B.C'"), _tokens("A.A.A.D!")], np.uint8)
    tokens[2, 3] = FILL + 3 * 1  # the fourth is the second letter
    forms = Forms(tokens, np.tile(np.float32([0.9, 0.05, 0.05]), (6, 1)))
    found = _draw(forms, 4, 4000)
    # A B B: two bars alike at places 1 and 2 are in the third form too, where a fill follows
    assert found["A.B.B.C!"] == pytest.approx(0.9, abs=0.01)
    assert set(found) == {"A.B.B.C!", "A.A.B.C'", "A.A.A.B!"}
    # and where not even one bar was ever followed, a new groove follows
    alone = Forms(np.array([_tokens("A.")], np.uint8), np.ones((6, 1), np.float32))
    assert _draw(alone, 3) == {"A.B.C.": 1}


def test_long_phrases_look_back_at_the_four_bars_before():
    """A B A B C D C D: bars 9 to 12 follow bars 5 to 8 as these follow the first four."""
    forms = _forms(A_B_A_B_C_D_C_D_=1.0)
    assert _draw(forms, 16) == {"".join(f"{letter}." for letter in "ABABCDCDEFEFGHGH"): 1}
    # the last four come again where the second four are the first
    forms = _forms(A_B_C_A_A_B_C_A_=1.0)
    assert _draw(forms, 18) == {"".join(f"{letter}." for letter in "ABCA" * 5)[: 2 * 18]: 1}


@st.composite
def _any_forms(draw):
    n = draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    tokens = np.full((n, LENGTH), END, np.uint8)
    for row in tokens:
        roles = []
        for place in range(random.integers(1, LENGTH + 1)):
            letter = int(random.integers(len(roles) + 1))
            if letter == len(roles):
                roles.append(random.integers(3))
            row[place] = roles[letter] + 3 * letter
    chances = random.random((6, n)) * (random.random((6, 1)) < 0.7)
    return Forms(tokens, (chances / np.maximum(chances.sum(1, keepdims=True), 1e-9)).astype(np.float32))


@given(_any_forms(), st.integers(1, 20), st.sampled_from([GROOVE, VARIATION, FILL]), st.booleans(), st.integers(0, 99))
def test_what_is_drawn_is_a_form_and_each_row_depends_on_itself_alone(forms, n_bars, role, with_fills, seed):
    random = np.random.default_rng(seed)
    bars, uniform = random.random((7, 12, 4)) < 0.2, random.random((7, n_bars - 1))
    letters, roles = forms.draw(bars, uniform, role, with_fills)
    assert letters.shape == roles.shape == (7, n_bars)
    for row, its_roles in zip(letters.tolist(), roles.tolist(), strict=True):
        # letters come in order, and each has one role
        assert row[0] == 0
        assert its_roles[0] == role
        assert all(row[place] <= 1 + max(row[:place]) for place in range(1, n_bars))
        assert len(set(zip(row, its_roles, strict=True))) == len(set(row))
        # looked back at is no more than the four bars before the group
        for place in range(1, n_bars):
            base = max(place // GROUP * GROUP - GROUP, 0)
            assert row[place] in row[base:place] or row[place] == 1 + max(row[:place])
        if not with_fills:
            assert FILL not in its_roles[1:]
    order = random.permutation(7)
    again = forms.draw(bars[order], uniform[order], role, with_fills)
    np.testing.assert_array_equal(again, (letters[order], roles[order]))
    shorter = forms.draw(bars[2:3], uniform[2:3, : n_bars // 2], role, with_fills)
    np.testing.assert_array_equal(shorter[0], letters[2:3, : 1 + n_bars // 2][:, : shorter[0].shape[1]])


def test_no_phrases():
    letters, roles = _forms(A_A_=1.0).draw(_bars(0), np.zeros((0, 3)))
    assert letters.shape == roles.shape == (0, 4)
