"""Words as numbers of a network: vectors that words share, chances that add up, and words of a smaller kit."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars  # noqa: E402
from rhythmgan.kit import GM9, GM12, JAKI5, RYTHMGAN7  # noqa: E402
from rhythmgan.models.word_tables import FoldedWords, WordChances, WordTable, chunk_sizes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def chances():
    """Of twelve parts, with weights large enough that each chunk matters to the next."""
    torch.manual_seed(0)
    chances = WordChances(12, 7, 16).requires_grad_(False)
    for parameter in chances.parameters():
        parameter.mul_(4)
    return chances


@pytest.mark.parametrize(
    ("n_parts", "sizes"),
    [(1, [1]), (5, [5]), (6, [6]), (7, [4, 3]), (9, [5, 4]), (12, [6, 6]), (13, [5, 4, 4]), (16, [6, 5, 5])],
)
def test_chunks_are_as_equal_as_can_be(n_parts, sizes):
    assert chunk_sizes(n_parts) == sizes


def test_a_word_is_the_sum_of_its_chunks_parts_and_pairs():
    """The word 100000 000011 of twelve parts, by hand; two extra rows of their own come last."""
    torch.manual_seed(1)
    table = WordTable(12, 3, n_extra=2)
    found = table()
    assert found.shape == (4096 + 2, 3)
    # pairs in the order (0, 1) … (0, 11), (1, 2) …: of the first part with those ten and eleven after it, and theirs
    pair = {pair: 12 + place for place, pair in enumerate((i, j) for i in range(12) for j in range(i + 1, 12))}
    shared = [0, 10, 11, pair[0, 10], pair[0, 11], pair[10, 11]]
    expected = table.chunks[0][0b100000] + table.chunks[1][0b000011] + table.shared[shared].sum(0)
    torch.testing.assert_close(found[0b100000_000011], expected)
    torch.testing.assert_close(found[0], table.chunks[0][0] + table.chunks[1][0])
    torch.testing.assert_close(found[4096:], table.extra)


def test_chances_of_all_words_add_up(chances):
    states = torch.randn(3, 7)
    every = torch.arange(4096).expand(3, -1)
    found = chances.log_prob(states[:, None].expand(-1, 4096, -1), every)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(3))
    assert found.std() > 1


def test_the_second_chunk_listens_to_the_first(chances):
    """Words alike in the last six parts are not equally likely beside each other once the first six differ."""
    state = torch.randn(7).expand(2, 64, -1)
    words = torch.stack([first << 6 | torch.arange(64) for first in (0b100000, 0b011000)])
    given = chances.log_prob(state, words).log_softmax(-1)
    assert (given[0] - given[1]).abs().max() > 0.1


def test_words_are_drawn_by_their_chances(chances):
    """20,000 words of one state: each chunk's value as often as its chance, and both together."""
    state = torch.randn(7)
    drawn, _ = chances.draw(state.expand(20000, -1), torch.rand(20000, 2), 1.0, chances.tables())
    expected = chances.log_prob(state.expand(4096, -1), torch.arange(4096)).exp()
    found = torch.bincount(drawn, minlength=4096) / 20000
    error = (expected * (1 - expected) / 20000).sqrt()
    likely = expected > 5 / 20000
    assert likely.sum() > 20
    assert ((found - expected).abs() < 4.5 * error)[likely].all()


def test_a_cold_draw_takes_each_chunk_s_likeliest(chances):
    chances = copy.deepcopy(chances).double()  # as bars are drawn
    state = torch.randn(1, 7).double()
    drawn = int(chances.draw(state, torch.rand(1, 2), 1e-300, chances.tables())[0])
    first = torch.stack([chances.log_prob(state.expand(64, -1), (a << 6) + torch.arange(64)) for a in range(64)])
    assert drawn >> 6 == first.exp().sum(1).argmax()
    assert drawn & 63 == first[drawn >> 6].argmax()


def test_margins_by_hand():
    """Three parts in one chunk of eight values, each as likely: they begin at 0, .125 … .875."""
    even = WordChances(3, 4, 2).requires_grad_(False)
    for parameter in even.parameters():
        parameter.zero_()
    uniform = torch.tensor([[0.13], [0.26], [0.495], [0.9375]]).double()
    words, margin = even.draw(torch.ones(4, 4), uniform, 1.0, even.tables())
    assert words.tolist() == [1, 2, 3, 7]
    torch.testing.assert_close(margin, torch.tensor([0.005, 0.01, 0.005, 0.0625]).double(), atol=1e-6, rtol=0)
    # of two chunks the lesser counts
    two = WordChances(8, 4, 2).requires_grad_(False)
    for parameter in two.parameters():
        parameter.zero_()
    words, margin = two.draw(torch.ones(2, 4), torch.tensor([[0.07, 0.4375 + 0.03], [0.1, 0.9]]), 1.0, two.tables())
    assert words.tolist() == [1 << 4 | 7, 1 << 4 | 14]
    torch.testing.assert_close(margin, torch.tensor([0.0075, 0.025]).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("target", [GM9, JAKI5, RYTHMGAN7])
def test_a_folded_word_has_the_chance_of_all_that_become_it(chances, target):
    """Against sums over all 4,096 words, folded one by one."""
    state = torch.randn(2, 7)
    every = chances.log_prob(state[:, None].expand(-1, 4096, -1), torch.arange(4096).expand(2, -1)).double().exp()
    folded = bars_to_words(fold_bars(words_to_bars(np.arange(4096)[:, None], 12), GM12, target))[:, 0].astype(int)
    expected = np.zeros((2, 1 << target.n_parts))
    for word in range(4096):
        expected[:, folded[word]] += every[:, word].numpy()
    words = torch.tensor([0, 0b100010000001, 0b011000110010, 4095])
    same = FoldedWords(GM12, target, torch.device("cpu"))
    for row in range(2):
        found = same.log_prob(chances, state[row].expand(4, -1), words).exp()
        np.testing.assert_allclose(found, expected[row, folded[words]], rtol=1e-4)
    np.testing.assert_allclose(expected.sum(1), 1, rtol=1e-4)


def test_a_kit_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="cannot be folded"):
        FoldedWords(JAKI5, GM12, torch.device("cpu"))
