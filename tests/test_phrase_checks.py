"""All three models of whole phrases accept and refuse the same seeds, bars, temperatures and given bars."""

import numpy as np
import pytest
import torch

from rhythmgan.models.config import PhraseConvGANConfig, PhraseGANConfig, TextLSTMConfig
from rhythmgan.models.phrase_checks import whole_seeds
from rhythmgan.models.phrase_conv_gan import PhraseConvGAN
from rhythmgan.models.phrase_gan import PhraseGAN
from rhythmgan.models.text_lstm import TextLSTM
from rhythmgan.seeds import MAX_SEED

pytestmark = pytest.mark.usefixtures("one_thread")

MAKERS = {
    "GAN": lambda: PhraseGAN(PhraseGANConfig("jaki5", 12, width=8, bars=3)),
    "convolutional GAN": lambda: PhraseConvGAN(PhraseConvGANConfig("jaki5", 12, bars=3, latent_dim=6, width=8)),
    "text": lambda: TextLSTM(TextLSTMConfig("jaki5", 12, width=8)),
}


@pytest.fixture(scope="module", params=MAKERS)
def model(request, one_thread):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MAKERS[request.param]().eval().requires_grad_(False)


@pytest.mark.parametrize(
    "seeds",
    [[7, 2], (7, 2), np.array([7, 2]), np.array([7, 2], np.uint64), np.array([7, 2], np.int8), [np.int32(7), 2]],
    ids=repr,
)
def test_whole_numbers_in_a_row_are_seeds_whatever_holds_them(model, seeds):
    assert np.array_equal(model.phrases(seeds, 2), model.phrases(np.array([7, 2]), 2))


def test_the_largest_seed_and_a_range_are_seeds(model):
    assert np.array_equal(model.phrases([MAX_SEED], 1), model.phrases(np.array([MAX_SEED], np.uint64), 1))
    assert np.array_equal(model.phrases(range(2, 4), 1), model.phrases([2, 3], 1))


@pytest.mark.parametrize("seeds", [[], (), np.array([]), np.zeros(0, np.int64), range(0)], ids=repr)
def test_no_seeds_have_no_phrases(model, seeds):
    phrases = model.phrases(seeds, 2)
    assert (phrases.shape, phrases.dtype) == ((0, 2, 12, 5), bool)


@pytest.mark.parametrize(
    "seeds",
    [
        3,
        np.array(3),
        "3",
        None,
        [True, 2],
        np.array([True, False]),
        [1.0],
        np.array([1.0, 2.0]),
        [[1, 2]],
        np.array([[1, 2]]),
        np.zeros((0, 2), np.int64),
        [-1],
        np.array([-1]),
        [MAX_SEED + 1],
        np.array([MAX_SEED + 1], np.uint64),
        np.array([1, 2], object),
        [float("nan")],
    ],
    ids=repr,
)
def test_other_seeds_are_refused(model, seeds):
    with pytest.raises(ValueError, match="seeds are whole numbers from 0 to 9223372036854775807 in a row; got"):
        model.phrases(seeds, 2)


@pytest.mark.parametrize("n_bars", [0, -1, 2.0, 1.5, True, "2", None], ids=repr)
def test_bars_are_a_whole_number_from_1_on(model, n_bars):
    with pytest.raises(ValueError, match=r"a phrase of this model has .*, a whole number, not"):
        model.phrases([1], n_bars)


def test_bars_of_numpys_are_a_whole_number_too(model):
    assert model.phrases([1], np.int64(2)).shape == (1, 2, 12, 5)


@pytest.mark.parametrize("temperature", [0, -1.0, 1000.5, float("inf"), float("nan"), 1e-10, True, "1", None], ids=repr)
def test_a_temperature_is_over_0_up_to_1000(model, temperature):
    with pytest.raises(ValueError, match=f"the temperature is over 0, up to 1000, not {temperature}"):
        model.phrases([1], 2, temperature)


@pytest.mark.parametrize("temperature", [1, 1000, np.float32(0.5), 1e-9], ids=repr)
def test_temperatures_up_to_the_ends_make_phrases(model, temperature):
    assert model.phrases([1, 2], 2, temperature).shape == (2, 2, 12, 5)


@pytest.mark.parametrize(
    "given",
    [
        np.full((1, 12, 5), np.nan),
        np.full((1, 12, 5), -1),
        np.full((1, 12, 5), 0.5),
        np.zeros((1, 12, 5), np.uint8),
        np.zeros((1, 16, 5), bool),
        np.zeros((1, 12, 9), bool),
        np.zeros((12, 5), bool),
        np.zeros((2, 12, 5), bool),
        np.zeros((1, 1, 12, 5), bool),
        [[[False] * 5] * 12],
    ],
    ids=lambda given: f"{getattr(given, 'dtype', 'list')} {np.shape(given)} {np.ravel(given)[0]}",
)
def test_given_bars_are_bool_of_the_models_shape_and_fewer_than_the_phrase_has(model, given):
    with pytest.raises(ValueError, match="bars that are given"):
        model.phrases([1], 2, given=given)


def test_given_bars_come_first_where_a_model_goes_on_from_bars(model):
    given = np.arange(60).reshape(1, 12, 5) % 7 == 0
    if isinstance(model, PhraseConvGAN):
        with pytest.raises(ValueError, match="cannot go on from bars that are given"):
            model.phrases([1], 2, given=given)
    else:
        assert np.array_equal(model.phrases([4, 1], 2, given=given)[:, :1], np.stack([given, given]))
        assert model.phrases([], 2, given=given).shape == (0, 2, 12, 5)
        assert np.array_equal(model.phrases([4], 2, given=given[:0]), model.phrases([4], 2))


def test_seeds_become_an_array_of_int64():
    found = whole_seeds([5, MAX_SEED])
    assert (found.dtype, found.tolist()) == (np.int64, [5, MAX_SEED])
