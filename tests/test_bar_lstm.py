"""The model of the next bar: what it says, its file, and its training on neighbouring bars."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run

from rhythmgan.bars import words_to_bars
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus, split_of
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.models.bar_lstm import BarLSTM, load_bar_lstm, rounded, save_bar_lstm
from rhythmgan.models.catalogue import load_model, load_next_bar_model
from rhythmgan.models.config import BarLSTMConfig
from rhythmgan.models.interfaces import NextBarModel
from rhythmgan.training.bar_lstm import WEIGHTS, train_bar_lstm
from rhythmgan.training.config import BarLSTMTrainingConfig

SMALL = BarLSTMConfig(width=12, summary_width=8, decoder_width=6)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def model_of(config=SMALL, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BarLSTM(config).eval().requires_grad_(False)


def bars_of(n, seed=0):
    return np.random.default_rng(seed).random((n, 16, 5)) < 0.3


def songs_that_alternate(n_songs, seed=0):
    """Songs of four bars: on every step a bar has one of two words, and the next bar the other one."""
    first = np.random.default_rng(seed).integers(0, 2, (n_songs, 1, 16))
    kind = (first + np.arange(4)[:, None]) % 2
    words = np.where(kind, 0b10100, 0b01000).astype(np.uint16).reshape(-1, 16)
    song = np.arange(n_songs, dtype=np.int32).repeat(4)
    names = tuple(f"song {number}" for number in range(n_songs))
    return Corpus.of(words, song, song, np.tile(np.arange(4, dtype=np.int32), n_songs), names, names, JAKI5)


def test_the_published_sizes():
    """250 → 100 → repeat 16 → 16 → softmax 32, on words as one-hot vectors; Keras counts one bias less a gate."""
    shapes = {name: tuple(values.shape) for name, values in model_of(BarLSTMConfig()).state_dict().items()}
    assert shapes["reader.weight_ih_l0"] == (4 * 250, 32)
    assert shapes["summary.weight_ih_l0"] == (4 * 100, 250)
    assert shapes["decoder.weight_ih_l0"] == (4 * 16, 100)
    assert shapes["to_words.weight"] == (32, 16)
    assert len(shapes) == 3 * 4 + 2
    seeing = {
        name: tuple(values.shape) for name, values in model_of(BarLSTMConfig(sees_step=True)).state_dict().items()
    }
    assert seeing["decoder.weight_ih_l0"] == (4 * 16, 132)
    assert seeing["to_words.weight"] == (32, 48)


@pytest.mark.parametrize("sees_step", [False, True])
def test_chances_of_each_step_sum_to_one(sees_step):
    model = model_of(replace(SMALL, sees_step=sees_step))
    assert isinstance(model, NextBarModel)
    found = model.word_log_prob(bars_of(5))
    assert found.shape == (5, 16, 32)
    torch.testing.assert_close(found.exp().sum(2), torch.ones(5, 16))
    assert model.word_log_prob(bars_of(0)).shape == (0, 16, 32)


def test_the_log_probability_of_a_step_is_that_of_its_word():
    model, previous, bars = model_of(), bars_of(3, 1), bars_of(3, 2)
    table, found = model.word_log_prob(previous), model.step_log_prob(bars, previous)
    word = int("".join("01"[int(cell)] for cell in bars[2, 7]), 2)
    assert found.shape == (3, 16)
    assert found[2, 7] == table[2, 7, word]


def test_a_bar_is_read_alike_in_any_batch():
    model = model_of().in_double()
    together = model.word_log_prob(bars_of(9))
    torch.testing.assert_close(model.word_log_prob(bars_of(9)[4:5])[0], together[4], atol=1e-12, rtol=0)


def test_dropout_does_not_reach_what_is_said():
    model = model_of(replace(SMALL, dropout=0.9))
    expected = model.word_log_prob(bars_of(2))
    torch.testing.assert_close(model.train().word_log_prob(bars_of(2)), expected)


@pytest.mark.parametrize("shape", [(2, 16, 9), (2, 12, 5), (16, 5)])
def test_bars_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected bars \(n, 16, 5\)"):
        model_of().word_log_prob(np.zeros(shape, bool))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"dropout": 1.0}, {"steps": 15}, {"kit": "jaki6"}])
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 (each says its own)
        BarLSTMConfig(**wrong)


def test_a_file_holds_the_weights_in_half_precision(tmp_path):
    model = rounded(model_of(replace(SMALL, sees_step=True)))
    save_bar_lstm(tmp_path / "w.safetensors", model, {"trained_seed": "0"})
    again = load_bar_lstm(tmp_path / "w.safetensors")
    assert again.config == model.config
    assert again.fingerprint == model.fingerprint
    assert torch.equal(again.word_log_prob(bars_of(4)), model.word_log_prob(bars_of(4)))
    assert load_model(tmp_path / "w.safetensors").fingerprint == model.fingerprint
    assert load_next_bar_model(tmp_path / "w.safetensors").fingerprint == model.fingerprint


def test_a_model_of_another_sort_knows_no_next_bar():
    with pytest.raises(ValueError, match="holds no model that says how the next bar goes on"):
        load_next_bar_model("prior")


def test_the_bundled_model_is_small_and_of_jakis_kit():
    path = ROOT / "rhythmgan" / "weights" / "bar-lstm.safetensors"
    assert path.stat().st_size <= 1_000_000
    model = load_next_bar_model()
    assert (model.kit, model.steps) == (JAKI5, 16)


def test_the_bundled_model_expects_a_plain_beat_to_go_on():
    """Kick, hats on the eighths, snare on two and four: on most steps the same word is the likeliest to follow."""
    bar = np.zeros((1, 16, 5), bool)
    bar[0, [0, 8], 0] = bar[0, [4, 12], 1] = bar[0, ::2, 2] = True
    likeliest = load_next_bar_model().word_log_prob(bar).argmax(2).numpy()
    assert (words_to_bars(likeliest, 5) == bar).all(2).sum() >= 14


# -- training --------------------------------------------------------------------------------------


def test_it_learns_that_the_other_word_follows(tmp_path):
    """The next bar is certain given the bar before, step by step; a coin for each step would cost log 2."""
    training = BarLSTMTrainingConfig(train_steps=400, batch_size=64, learning_rate=2e-2, ema_decay=0.9)
    network = replace(SMALL, sees_step=True, dropout=0.0)
    path = train_bar_lstm(
        songs_that_alternate(60), songs_that_alternate(20, 1), tmp_path, training, network=network, accelerator="cpu"
    )
    assert path == tmp_path / WEIGHTS
    model = load_bar_lstm(path)
    previous, following, _ = songs_that_alternate(20, 2).pairs()
    nats = -model.step_log_prob(words_to_bars(following.words, 5), words_to_bars(previous, 5)).mean()
    assert nats < 0.05 < math.log(2)


def test_a_stopped_run_ends_where_one_that_was_not_stopped_does(tmp_path):
    songs, others = songs_that_alternate(20), songs_that_alternate(6, 1)

    def run(folder, progress=None):
        training = BarLSTMTrainingConfig(train_steps=100, batch_size=8)
        path = tmp_path / folder
        train_bar_lstm(songs, others, path, training, network=SMALL, accelerator="cpu", progress=progress)
        return load_bar_lstm(path / WEIGHTS).fingerprint

    def stop(done, total, phase):
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop)
    assert run("stopped") == run("whole")


def test_songs_without_neighbours_are_refused(tmp_path):
    words = np.full((4, 16), 8, np.uint16)
    ids = np.arange(4, dtype=np.int32)
    lone = Corpus.of(words, ids, ids, np.zeros(4, np.int32), tuple("abcd"), tuple("abcd"), JAKI5)
    with pytest.raises(ValueError, match="no bars that follow one another"):
        train_bar_lstm(lone, songs_that_alternate(2), tmp_path)
    with pytest.raises(ValueError, match="the networks of jaki5 and 16"):
        train_bar_lstm(replace(lone, kit=GM9), lone, tmp_path, network=SMALL)


def test_options_of_training_that_cannot_be_are_refused():
    for wrong in ({"train_steps": 0}, {"patience": 0}, {"batch_size": 1}, {"ema_decay": 2.0}, {"learning_rate": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong)).replace("train_steps", "step").replace("_size", "")):
            BarLSTMTrainingConfig(**wrong)


def test_the_command_trains_on_a_corpus(tmp_path):
    corpus = songs_that_alternate(40)
    assert {split_of(name) for name in corpus.songs} >= {"train", "valid"}
    save_corpus(tmp_path / "corpus.npz", corpus)
    options = ["--data", tmp_path / "corpus.npz", "--out", tmp_path / "run", "--train-steps", "3", "--batch-size", "4"]
    more = ["--as-published", "--threads", "1", "--accelerator", "cpu", "--quiet"]
    done = run("train", "bar-lstm", *options, *more, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "nats a step" in done.stdout
    assert not load_bar_lstm(tmp_path / "run" / WEIGHTS).config.sees_step
