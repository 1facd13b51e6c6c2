"""The network of texts of bars: its tokens and their mask, what it says and draws, its file, and both trainings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from rhythmgan.bars import bars_to_words, text_to_words, words_to_bars
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.models.catalogue import load_likelihood, load_model
from rhythmgan.models.config import PUBLISHED_TEXT_LSTM, TextLSTMConfig
from rhythmgan.models.interfaces import PhraseSampler
from rhythmgan.models.text_lstm import TextLSTM, load_text_lstm, save_text_lstm
from rhythmgan.models.tokens import Tokens, text_of
from rhythmgan.models.weights import read_metadata
from rhythmgan.training.config import PublishedTextTrainingConfig, TextLSTMTrainingConfig
from rhythmgan.training.text_lstm import WEIGHTS, passages_of, song_weights, train_text_lstm

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = TextLSTMConfig(kit="jaki5", width=8)
KINDS = [(False, True), (False, False), (True, True), (True, False)]
"""Whether tokens are characters, and whether the network sees bars."""


def small(characters=False, sees_bars=True, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = replace(SMALL, characters=characters, sees_bars=sees_bars, **options)
        return TextLSTM(config).eval().requires_grad_(False)


def phrases_of(n, n_bars, seed=0):
    return np.random.default_rng(seed).random((n, n_bars, 16, 5)) < 0.3


# tokens


def test_the_text_is_theirs():
    """The second line of TrapGenerator's README: a space behind every word, BAR behind sixteen of them."""
    line = (
        "0b010000000 0b010000000 0b000000000 0b010000000 0b010000000 0b000001000 0b000000000 0b000001000 "
        "0b010000000 0b010000000 0b000000000 0b010000000 0b010000000 0b000001000 0b000000000 0b000001000 BAR "
    )
    (words,) = text_to_words(line, 9)
    assert words[[0, 1, 5]].tolist() == [128, 128, 8]
    assert text_of(words[None], 9) == line
    for characters in (False, True):
        tokens = Tokens(9, 16, characters)
        assert tokens.to_text(tokens.of_words(words)) == line
        np.testing.assert_array_equal(tokens.of_text(line), tokens.of_words(words))
        np.testing.assert_array_equal(tokens.to_words(tokens.of_words(words)), words)


def test_how_many_tokens_a_bar_has():
    assert [Tokens(9, 16, False).period, Tokens(9, 32, False).period] == [17, 33]
    assert Tokens(9, 16, True).period == 16 * len("0b100000000 ") + len("BAR ") == 196
    assert (len(Tokens(9, 16, False)), len(Tokens(9, 16, True))) == (513, 7)


def test_only_the_grammar_is_allowed():
    words, characters = Tokens(5, 16, False), Tokens(5, 16, True)
    assert words.allowed.sum(1).tolist() == [32] * 16 + [1]
    assert words.symbols[-1] == "BAR"
    choices = ["".join(np.array(characters.symbols)[row]) for row in characters.allowed]
    assert choices == ["0", "b", *["01"] * 5, " "] * 16 + list("BAR ")


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([12, 16, 32]), st.sampled_from([5, 9, 12]))
def test_whatever_is_drawn_by_the_mask_is_bars(seed, characters, steps, n_parts):
    tokens = Tokens(n_parts, steps, characters)
    random = np.random.default_rng(seed)
    drawn = np.stack([[random.choice(np.flatnonzero(row)) for row in tokens.allowed] for _ in range(2)])
    words = tokens.to_words(drawn)
    found = text_to_words(tokens.to_text(drawn.ravel()), n_parts)
    np.testing.assert_array_equal(np.stack(found), words)
    np.testing.assert_array_equal(tokens.of_words(words), drawn)


def test_tokens_that_are_no_bars_are_refused():
    tokens = Tokens(9, 16, False)
    bar = tokens.of_words(np.zeros(16, np.uint16))
    for wrong in (bar[:-1], np.roll(bar, 1)):
        with pytest.raises(ValueError, match="the tokens are not bars of 16 steps"):
            tokens.to_words(wrong)
    with pytest.raises(ValueError, match="bars that are not of 16 steps"):
        tokens.of_text(text_of(np.zeros((1, 12), np.uint16), 9))
    with pytest.raises(ValueError, match="a bar of 7 steps"):
        tokens.of_text(text_of(np.zeros((1, 7), np.uint16), 9))


# what it says


def test_the_published_sizes():
    """3 × 512 on words as one of a list each; the softmax is over all 512 words and BAR."""
    model = TextLSTM(TextLSTMConfig(**PUBLISHED_TEXT_LSTM))
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    assert shapes["lstm.weight_ih_l0"] == (4 * 512, 513)
    assert shapes["lstm.weight_ih_l1"] == shapes["lstm.weight_hh_l2"] == (4 * 512, 512)
    assert shapes["to_traits.weight"] == (513, 512)
    assert shapes.pop("known") == (513,)
    assert len(shapes) == 3 * 4 + 2
    by_characters = TextLSTM(TextLSTMConfig(**PUBLISHED_TEXT_LSTM, characters=True)).state_dict()
    assert by_characters["lstm.weight_ih_l0"].shape == (4 * 512, 7)


@pytest.mark.parametrize(("characters", "sees_bars"), KINDS)
def test_a_network_that_knows_nothing_guesses_every_bit(characters, sees_bars):
    """Five bits a step cost log 2 each. What the mask leaves no choice of costs nothing, BAR among it."""
    model = small(characters, sees_bars)
    for weights in model.parameters():
        weights.zero_()
    found = model.phrase_log_prob(phrases_of(3, 2))
    assert found.shape == (3, 2, 16)
    torch.testing.assert_close(found, torch.full((3, 2, 16), -5 * np.log(2)), check_dtype=False)


@pytest.mark.parametrize(("characters", "sees_bars"), KINDS)
def test_chances_of_a_step_sum_to_one(characters, sees_bars):
    """All 32 words on the last step of the second bar, the rest of the phrase the same."""
    phrases = np.repeat(phrases_of(1, 2), 32, 0)
    phrases[:, 1, 15] = words_to_bars(np.arange(32, dtype=np.uint16), 5)
    found = small(characters, sees_bars).in_double().phrase_log_prob(phrases)
    assert found[:, 1, 15].exp().sum().item() == pytest.approx(1)
    assert (found[:, 1, :15] == found[0, 1, :15]).all()


@pytest.mark.parametrize(("characters", "sees_bars"), KINDS)
def test_a_step_depends_on_what_is_before_it_alone(characters, sees_bars):
    model = small(characters, sees_bars).in_double()
    phrases = phrases_of(1, 3)
    changed = phrases.copy()
    changed[0, 1, 6, 2] ^= True
    before, after = model.phrase_log_prob(phrases)[0], model.phrase_log_prob(changed)[0]
    is_same = (before == after).flatten()
    assert is_same[: 16 + 6].all()
    assert not is_same[16 + 6 : 16 + 10].any()


def test_what_is_seen_of_the_bars_before():
    """Step 2 of the third bar of 16: the token before, those of a beat and two, three of the bar before, and one."""
    back = small().back
    assert back[2].tolist() == [1, 4 + 1, 8 + 1, 18, 17, 16, 34]
    assert back[9].tolist() == [1, 4, 8, 18, 17, 16, 34]
    assert small(sees_bars=False).back.tolist() == [[1]] * 17
    assert small(characters=True).back[2 * 8 + 3].tolist() == [1, 32 + 4, 64 + 4, 132 + 8, 132, 132 - 8, 264]


def test_the_bar_before_is_the_first_of_two():
    model, phrases = small(), phrases_of(4, 2)
    found = model.phrase_log_prob(phrases)
    torch.testing.assert_close(model.step_log_prob(phrases[:, 1], phrases[:, 0]), found[:, 1])
    torch.testing.assert_close(model.step_log_prob(torch.from_numpy(phrases[:, 0])), found[:, 0])
    torch.testing.assert_close(model.log_prob(phrases[:, 1], phrases[:, 0]), found[:, 1].sum(1))
    assert model.log_prob(phrases[:0, 0]).shape == (0,)


# what it draws


@pytest.mark.parametrize(("characters", "sees_bars"), KINDS)
def test_a_phrase_is_a_function_of_its_own_seed(characters, sees_bars):
    model = small(characters, sees_bars)
    phrases = model.phrases(np.array([5, 3, 9]), 3)
    assert phrases.shape == (3, 3, 16, 5)
    assert phrases.dtype == bool
    np.testing.assert_array_equal(model.phrases(np.array([3]), 3)[0], phrases[1])
    np.testing.assert_array_equal(model.phrases(np.array([9, 5]), 2), phrases[[2, 0], :2])
    assert (phrases[0] != phrases[1]).any()
    assert model.phrases(np.zeros(0, np.int64), 2).shape == (0, 2, 16, 5)
    assert model.max_bars is None
    assert isinstance(model, PhraseSampler)


def test_phrases_are_the_same_whatever_the_caller_has_set(tmp_path):
    """Two threads, double precision by default, autocast around it."""
    path = tmp_path / "text.safetensors"
    save_text_lstm(path, small(), {})

    def made():
        model = load_text_lstm(path)
        phrases = model.phrases(np.arange(40), 2)
        return phrases, model.phrase_log_prob(phrases).float().numpy()

    before, nats = made()
    torch.set_num_threads(2)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            after, others = made()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
    np.testing.assert_array_equal(before, after)
    np.testing.assert_allclose(nats, others, atol=1e-5)


@pytest.mark.parametrize(("characters", "sees_bars"), KINDS)
def test_a_phrase_goes_on_from_bars_that_are_given(characters, sees_bars):
    """Of any network each step is drawn by the chances that it has behind what is given."""
    model, given = small(characters, sees_bars), phrases_of(1, 2)[0]
    phrases = model.phrases(np.array([5, 3]), 4, given=given)
    assert phrases.shape == (2, 4, 16, 5)
    assert (phrases[:, :2] == given).all()
    assert (phrases[0, 2:] != phrases[1, 2:]).any()
    np.testing.assert_array_equal(model.phrases(np.array([3]), 3, given=given)[0], phrases[1, :3])
    likeliest = model.phrases(np.array([7]), 3, temperature=1e-5, given=given)
    other = np.repeat(likeliest, 32, 0)
    other[:, 2, 0] = words_to_bars(np.arange(32, dtype=np.uint16), 5)
    if not characters:
        best = model.phrase_log_prob(other)[:, 2, 0].argmax()
        assert best.item() == bars_to_words(likeliest[0, 2, 0])


@pytest.mark.parametrize("characters", [False, True])
def test_words_are_drawn_as_often_as_they_are_likely(characters):
    """The first step of 3,000 seeds beside what the network says of the 32 words."""
    model = small(characters)
    model.to_traits.weight.mul_(3)
    bars = np.zeros((32, 16, 5), bool)
    bars[:, 0] = words_to_bars(np.arange(32, dtype=np.uint16), 5)
    chance = model.step_log_prob(bars)[:, 0].exp().numpy()
    first = bars_to_words(model.phrases(np.arange(3000), 1)[:, 0, 0])
    drawn = np.bincount(first, minlength=32) / 3000
    assert np.abs(drawn - chance).max() < 0.03  # over 3 standard errors
    assert np.abs(chance - 1 / 32).max() > 0.03  # it does not only guess


def test_a_low_temperature_takes_the_likeliest():
    model = small()
    phrases = model.phrases(np.arange(5), 1, temperature=1e-4)
    assert (phrases == phrases[0]).all()


@pytest.mark.parametrize("characters", [False, True])
def test_the_mask_keeps_bars_whole_that_the_network_would_end(characters):
    """A network that says BAR, or its B, all the time: as published nothing else comes, masked there are bars."""
    model = small(characters, sees_bars=False)
    symbol = model.tokens.symbols.index("B" if characters else "BAR")
    model.to_traits.bias[symbol] = 100
    text = model.continue_text(np.zeros((2, 1), np.int64), 9, np.arange(2))
    assert (text == symbol).all()
    assert model.phrases(np.arange(2), 2).shape == (2, 2, 16, 5)


def test_a_text_is_continued_from_what_is_given():
    """With the grammar for weights it goes on in the middle of a bar, and each text by its own seed."""
    model = small()
    given = model.tokens.of_words(np.full((2, 16), 3))[:, :7]
    text = model.continue_text(given, 30, np.array([4, 8]))
    assert text.shape == (2, 30)
    np.testing.assert_array_equal(model.continue_text(given[1:], 20, np.array([8])), text[1:, :20])
    other = given.copy()
    other[1, 6] = 9
    assert (model.continue_text(other, 30, np.array([4, 8])) != text).any(1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model: model.phrases(np.arange(2), 0), "at least one bar"),
        (lambda model: model.phrases(np.arange(2), 1, temperature=0), "temperature is over 0, up to 1000, not 0"),
        (lambda model: model.phrases(np.array([-1]), 1), "seeds are whole numbers"),
        (lambda model: model.phrases(np.arange(1), 2, given=phrases_of(1, 2)[0]), r"16, 5\) bool with k below 2"),
        (lambda model: model.phrases(np.arange(1), 2, given=phrases_of(1, 1)), r"16, 5\) bool with k below 2"),
        (lambda model: model.step_log_prob(phrases_of(1, 1)[0, :, :12]), r"expected bars \(n, 16, 5\)"),
        (lambda model: model.phrase_log_prob(phrases_of(1, 1)[0]), r"expected phrases \(n, bars, 16, 5\)"),
        (lambda model: model.continue_text(np.array([[33]]), 1, np.arange(1)), "tokens lie in 0 … 32"),
        (lambda model: model.continue_text(np.array([[3]]), 1, np.arange(2)), "a text is given for each seed"),
        (
            lambda model: model.continue_text(np.array([[3.5]]), 1, np.arange(1)),
            "whole numbers, not float64",
        ),
        (lambda model: model.continue_text(np.array([[True]]), 1, np.arange(1)), "tokens are whole numbers, not bool"),
        (lambda model: model.continue_text(np.array([[3]]), 1, np.arange(1), 1001), "up to 1000, not 1001"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(small())


@pytest.mark.parametrize("wrong", [{"width": 0}, {"layers": 9}, {"dropout": 1.0}, {"kit": "gm8"}, {"steps": 17}])
def test_a_shape_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=r"in 1 …|dropout|no kit|steps"):
        TextLSTMConfig(**wrong)


def test_its_file_gives_it_back_in_half_precision(tmp_path):
    path = tmp_path / "text.safetensors"
    model = small()
    save_text_lstm(path, model, {"trained_songs": "3"})
    again = load_text_lstm(path)
    assert again.config == model.config
    save_text_lstm(path, again, {})
    assert load_text_lstm(path).fingerprint == again.fingerprint
    for name, weights in again.state_dict().items():
        torch.testing.assert_close(weights, model.state_dict()[name], atol=1e-3, rtol=1e-3)
    n_weights = sum(weights.numel() for weights in model.state_dict().values())
    assert path.stat().st_size < 2 * n_weights + 2000
    assert isinstance(load_model(path), TextLSTM)
    with pytest.raises(ValueError, match="no model that says how likely bars are"):
        load_likelihood(path)


# training


def songs_that_alternate(n_songs, seed=0, steps=16):
    """Songs of six bars: on every step a bar has one of two words, and the next bar the other one."""
    first = np.random.default_rng(seed).integers(0, 2, (n_songs, 1, steps))
    kind = (first + np.arange(6)[:, None]) % 2
    words = np.where(kind, 0b10100, 0b01000).astype(np.uint16).reshape(-1, steps)
    song = np.arange(n_songs, dtype=np.int32).repeat(6)
    names = tuple(f"song {number}" for number in range(n_songs))
    return Corpus.of(words, song, song, np.tile(np.arange(6, dtype=np.int32), n_songs), names, names, JAKI5)


TOY = TextLSTMTrainingConfig(train_steps=150, batch_size=16, bars=3, learning_rate=1e-2)


def test_how_far_passages_go_and_how_often_they_begin():
    """Song 0 has bars 0, 1, 2 and 5 in its file, song 1 bars 0 and 1."""
    words = np.arange(1, 7)[:, None].repeat(16, 1).astype(np.uint16)
    song = np.array([0, 0, 0, 0, 1, 1])
    corpus = Corpus.of(words, song, song, np.array([0, 1, 2, 5, 0, 1]), ("a", "b"), ("a", "b"), JAKI5)
    found = passages_of(corpus, song_weights(corpus, 0.5))
    assert found.left.tolist() == [3, 2, 1, 1, 2, 1]
    # 2 : √2 for songs of four bars and of two
    share = 2 / (2 + 2**0.5)
    assert found.chance.tolist() == pytest.approx([share / 4] * 4 + [(1 - share) / 2] * 2)
    assert song_weights(corpus, 0).tolist() == pytest.approx([0.25] * 4 + [0.5] * 2)
    for wrong in (np.ones(5), np.zeros(6), -np.ones(6)):
        with pytest.raises(ValueError, match="a weight from 0 on for each of 6 bars"):
            passages_of(corpus, wrong)


@pytest.mark.parametrize("characters", [False, True])
def test_it_learns_that_the_next_bar_is_the_other(tmp_path, characters):
    """The first bar of a toy costs log 2 a step, the others nothing. Steps are drawn so, too."""
    options = replace(TOY, train_steps=250 if characters else 150)
    network = replace(SMALL, width=24, dropout=0.0, characters=characters)
    weights = train_text_lstm(
        songs_that_alternate(40), songs_that_alternate(9, 1), tmp_path, options, network=network, accelerator="cpu"
    )
    model = load_text_lstm(weights)
    test = words_to_bars(songs_that_alternate(20, 2).words.reshape(20, 6, 16), 5)
    nll = -model.phrase_log_prob(test[:, :3]).mean((0, 2))
    assert nll[0].item() == pytest.approx(np.log(2), abs=0.12)
    assert nll[1:].max() < 0.1
    facts = json.loads(read_metadata(weights)["provenance"])
    assert (facts["trained_bars"], facts["trained_songs"]) == ("240", "40")
    assert float(facts["validation_nll_per_step"]) < 0.4
    phrases = model.phrases(np.arange(30), 2)
    words = bars_to_words(phrases)
    assert np.isin(words, [0b10100, 0b01000]).mean() > 0.97
    assert (words[:, 0] != words[:, 1]).mean() > 0.95


def test_bars_behind_the_end_of_a_song_are_not_learned(tmp_path):
    """Songs of one bar each, in one row of bars: what the next row holds is never predicted from it."""
    words = np.where(np.arange(40)[:, None] % 2, 0b10100, 0b01000).repeat(16, 1).astype(np.uint16)
    song = np.arange(40)
    names = tuple(f"song {number}" for number in song)
    corpus = Corpus.of(words, song, song, np.zeros(40, int), names, names, JAKI5)
    weights = train_text_lstm(
        corpus, corpus, tmp_path, TOY, network=replace(SMALL, width=16, dropout=0.0), accelerator="cpu"
    )
    # a bar has one word: only its first step costs something, log 2
    facts = json.loads(read_metadata(weights)["provenance"])
    assert float(facts["validation_nll_per_step"]) == pytest.approx(np.log(2) / 16, abs=0.02)


def test_weights_say_which_bars_begin_passages(tmp_path):
    """Of two kinds of songs only those with a weight are learned."""
    corpus = songs_that_alternate(40)
    one_kind = np.full((12, 16), 0b00001, np.uint16)
    both = Corpus.of(
        np.concatenate([corpus.words, one_kind]),
        np.concatenate([corpus.song_id, np.full(12, 40)]),
        np.concatenate([corpus.file_id, np.full(12, 40)]),
        np.concatenate([corpus.bar_index, np.arange(12)]),
        (*corpus.songs, "one"),
        (*corpus.files, "one"),
        JAKI5,
    )
    weights = train_text_lstm(
        both,
        both.only(both.song_id == 40),
        tmp_path,
        replace(TOY, train_steps=100),
        network=SMALL,
        weight=(both.song_id == 40).astype(float),
        accelerator="cpu",
    )
    words = bars_to_words(load_text_lstm(weights).phrases(np.arange(10), 1))
    assert (words == 1).mean() > 0.9


def test_training_goes_on_from_weights(tmp_path):
    """A slow step or fifty change next to nothing of what was gone on from."""
    corpus, validation = songs_that_alternate(40), songs_that_alternate(9, 1)
    network = replace(SMALL, width=16)
    first = train_text_lstm(corpus, validation, tmp_path / "first", TOY, network=network, accelerator="cpu")
    short = replace(TOY, train_steps=50, learning_rate=1e-5)
    again = train_text_lstm(
        corpus, validation, tmp_path / "again", short, network=network, start=first, accelerator="cpu"
    )
    nll = [float(json.loads(read_metadata(path)["provenance"])["validation_nll_per_step"]) for path in (first, again)]
    assert nll[1] == pytest.approx(nll[0], abs=0.05)
    with pytest.raises(ValueError, match="weights of another shape"):
        train_text_lstm(corpus, validation, tmp_path / "x", short, network=SMALL, start=first, accelerator="cpu")
    with pytest.raises(ValueError, match="holds a run on other data"):
        train_text_lstm(corpus, validation, tmp_path / "first", TOY, network=network, start=again, accelerator="cpu")


PUBLISHED = PublishedTextTrainingConfig(
    train_steps=60, batch_size=16, maxlen=17, window_step=17, shared_windows=4, learning_rate=1e-2
)


def test_as_published_only_the_token_behind_a_window_is_learned(tmp_path):
    """Windows of a bar, a bar apart, in a text of bars: what is predicted is always a first step, so it says no BAR."""
    corpus = songs_that_alternate(30)
    words = corpus.words.copy()
    words[:, 0] = 7
    corpus = Corpus.of(words, corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, JAKI5)
    network = replace(SMALL, sees_bars=False, dropout=0.0)
    weights = train_text_lstm(corpus, corpus, tmp_path, PUBLISHED, network=network, accelerator="cpu")
    assert float(json.loads(read_metadata(weights)["provenance"])["validation_nll_per_token"]) < 0.1
    model = load_text_lstm(weights)
    given = model.tokens.of_words(words[:3])
    assert (model.continue_text(given, 20, np.arange(3)) == 7).mean() > 0.9


def test_as_published_only_words_of_the_training_text_are_said(tmp_path):
    """Even behind a text of other words, and with the mask; what others cost is −∞."""
    corpus = songs_that_alternate(30)
    network = replace(SMALL, sees_bars=False)
    weights = train_text_lstm(corpus, corpus, tmp_path, PUBLISHED, network=network, accelerator="cpu")
    model = load_text_lstm(weights)
    assert np.flatnonzero(model.known.numpy()).tolist() == [0b01000, 0b10100, 32]
    text = model.continue_text(np.full((3, 5), 7), 40, np.arange(3))
    assert np.isin(text, [0b01000, 0b10100, 32]).all()
    phrases = model.phrases(np.arange(9), 2)
    assert np.isin(bars_to_words(phrases), [0b01000, 0b10100]).all()
    assert model.phrase_log_prob(phrases).isfinite().all()
    assert model.log_prob(phrases_of(1, 1)[0]).item() == -np.inf


def test_as_published_with_windows_a_token_apart_bars_are_learned(tmp_path):
    """A toy in which every bar is the same: the network comes to count to sixteen by itself."""
    words = np.tile(np.arange(1, 17, dtype=np.uint16), (60, 1))
    song = np.arange(60)
    names = tuple(f"song {number}" for number in song)
    corpus = Corpus.of(words, song, song, np.zeros(60, int), names, names, JAKI5)
    options = replace(PUBLISHED, train_steps=200, window_step=1, shared_windows=16)
    network = replace(SMALL, sees_bars=False, dropout=0.0, width=16)
    weights = train_text_lstm(corpus, corpus, tmp_path, options, network=network, accelerator="cpu")
    model = load_text_lstm(weights)
    text = model.continue_text(model.tokens.of_words(words[:1]), 34, np.arange(1), temperature=0.2)
    np.testing.assert_array_equal(text[0], np.tile(model.tokens.of_words(words[0]), 2))


@pytest.mark.parametrize("options", [TOY, PUBLISHED])
def test_stopped_and_resumed_equals_never_stopped(tmp_path, options):
    options = replace(options, train_steps=110)
    published = isinstance(options, PublishedTextTrainingConfig)
    network = replace(SMALL, width=4, sees_bars=not published, layers=2)
    corpus, validation = songs_that_alternate(12), songs_that_alternate(8, 1)

    def train(folder, progress=None):
        return train_text_lstm(
            corpus, validation, tmp_path / folder, options, network=network, accelerator="cpu", progress=progress
        )

    def stop_after_60(done, total, phase):
        if done == 60:
            raise KeyboardInterrupt

    train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("parts", stop_after_60)
    train("parts")
    parts, whole = (load_file(tmp_path / name / WEIGHTS) for name in ("parts", "whole"))
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_what_cannot_be_trained_is_refused(tmp_path):
    corpus = songs_that_alternate(4)
    cases = [
        (corpus, corpus, TOY, {"network": replace(SMALL, steps=32)}, "the bars are of kit jaki5 and 16 steps"),
        (corpus, corpus.only([]), TOY, {}, "nothing to stop by"),
        (corpus.only([]), corpus, TOY, {}, "nothing to train on"),
        (
            corpus,
            corpus,
            replace(PUBLISHED, maxlen=400),
            {},
            "408 tokens; 4 windows of 400, each 17 .* need 452",
        ),
        (corpus, corpus.only(np.arange(2)), PUBLISHED, {}, "validation songs have a text of 34 tokens"),
        (corpus, corpus, PUBLISHED, {"network": SMALL}, "as published a network sees no bars"),
        (corpus, corpus, PUBLISHED, {"weight": np.ones(24)}, "as published a network sees no bars"),
        (corpus, corpus, TOY, {"weight": np.ones(23)}, "a weight from 0 on for each of 24 bars"),
    ]
    for songs, validation, options, more, said in cases:
        with pytest.raises(ValueError, match=said):
            train_text_lstm(songs, validation, tmp_path, options, accelerator="cpu", **more)
    assert list(tmp_path.iterdir()) == []


def test_windows_may_end_with_the_text_and_no_later(tmp_path):
    """Three windows of 2, each 5 behind the last, and the token behind them: 2 + 2 · 5 + 1 = 13 of 17 tokens."""
    options = replace(PUBLISHED, train_steps=1, batch_size=3, maxlen=2, window_step=5, shared_windows=3)
    assert options.reach == 13
    bar = songs_that_alternate(4).only(np.arange(1))
    network = replace(SMALL, sees_bars=False)
    for maxlen in (6, 7):
        longer = replace(options, maxlen=maxlen)
        if maxlen == 6:
            train_text_lstm(bar, bar, tmp_path, longer, network=network, accelerator="cpu")
        else:
            with pytest.raises(ValueError, match=r"17 tokens; 3 windows of 7, each 5 behind the last, .* need 18"):
                train_text_lstm(bar, bar, tmp_path, longer, network=network, accelerator="cpu")


@pytest.mark.parametrize("name", ["maxlen", "window_step", "shared_windows", "patience"])
def test_a_published_training_out_of_range_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"^{name} is a whole number from 1 on, not 0$"):
        replace(PUBLISHED, **{name: 0})


def test_a_batch_has_whole_groups_of_the_windows_that_are_read_at_once():
    with pytest.raises(ValueError, match="is a multiple of 5, the windows that are read at once, not 16"):
        replace(PUBLISHED, shared_windows=5)


def test_a_passage_out_of_range_is_refused():
    with pytest.raises(ValueError, match="a passage has 1 to 64 bars, not 0"):
        TextLSTMTrainingConfig(bars=0)


def train(*arguments):
    return run("train", "text-lstm", *arguments, cwd=ROOT)


def test_the_command_trains_both_ways(tmp_path):
    ours = train(
        "--train-steps", 2, "--width", 8, "--batch-size", 4, "--characters", "--out", tmp_path / "ours", "--quiet"
    )
    assert ours.returncode == 0, ours.stderr
    assert "nats a step\n2 steps; the best weights are those of step 2\n" in ours.stdout
    assert ours.stdout.endswith(f"\nnext: rhythmgan sample --weights {tmp_path / 'ours' / WEIGHTS} --bars 4\n")
    model = load_text_lstm(tmp_path / "ours" / WEIGHTS)
    assert (model.config.characters, model.config.sees_bars, model.kit) == (True, True, GM9)
    options = ("--train-steps", 1, "--width", 4, "--maxlen", 4, "--window-step", 1, "--batch-size", 32, "--quiet")
    theirs = train("--as-published", *options, "--out", tmp_path / "theirs")
    assert theirs.returncode == 0, theirs.stderr
    assert "nats a token" in theirs.stdout
    config = load_text_lstm(tmp_path / "theirs" / WEIGHTS).config
    assert config == replace(TextLSTMConfig(**PUBLISHED_TEXT_LSTM), width=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--maxlen", 5], "of windows --as-published"),
        (["--as-published", "--bars", 4], "--bars is of passages"),
        (["--kit", "gm8"], "no kit is named 'gm8'"),
        (["--as-published", "--batch-size", 4], "--batch-size) is a multiple of 32"),
        (["--as-published", "--maxlen", 0], "maxlen is a whole number from 1 on, not 0"),
        (["--as-published", "--window-step", 0], "window_step is a whole number from 1 on, not 0"),
        (["--grid", 16, "--doubled"], "bars of 16 steps cannot be doubled from 8, which is no grid"),
        (["--data", "nowhere.npz", "--layers", 9], "layers in 1 … 8"),
        (["--data", "nowhere.npz", "--width", 0], "width lies in 1 … 4096"),
        (["--data", "nowhere.npz", "--dropout", 1], "dropout lies from 0 to below 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, said):
    found = train(*options, "--out", tmp_path / "run")
    assert found.returncode == 2
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
