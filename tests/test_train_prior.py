"""Training a prior: it learns what there is to know, stops by songs it does not see, and goes on where it was."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rhythmgan.bars import words_to_bars
from rhythmgan.cli import main
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.models.config import GANConfig, WordLSTMConfig
from rhythmgan.models.weights import read_metadata
from rhythmgan.models.word_lstm import load_prior
from rhythmgan.patterns import load_patterns
from rhythmgan.training import likelihood
from rhythmgan.training.config import PriorTrainingConfig
from rhythmgan.training.folder import CHECKPOINT, CONFIG
from rhythmgan.training.prior import WEIGHTS, PriorTraining, train_prior

SMALL = WordLSTMConfig(kit="jaki5", width=48, word_width=16, dropout=0.0)
TOY = PriorTrainingConfig(
    train_steps=150,
    batch_size=32,
    learning_rate=2e-2,
    hidden_share=0.0,
    augmented_share=0.0,
    weight_decay=0.0,
    ema_decay=0.95,
    patience=99,
)
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _songs(n_songs, seed):
    """Songs of three bars: a bar's word is one of two for the whole bar, and the next bar has the other one.

    The first step of a bar alone costs log 2 nats, of the others none; with the bar before, nothing does.
    """
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2, n_songs)
    kind = (first[:, None] + np.arange(3)) % 2
    words = np.where(kind, 0b10000, 0b00101).astype(np.uint16).reshape(-1, 1).repeat(16, 1)
    song = np.arange(n_songs, dtype=np.int32).repeat(3)
    place = np.tile(np.arange(3, dtype=np.int32), n_songs)
    names = tuple(map(str, range(n_songs)))
    return Corpus.of(words, song, song, place, names, names, JAKI5)


def _songs_with_roles(n_songs, seed):
    """Songs of five bars: a groove three times, a variation of it, a fill; every second song is jazz.

    The word of a groove is one of two for the whole bar; of jazz it is always the second. A fill has the same word in
    all songs, a variation begins as the groove does and ends as the fill does.
    """
    rng = np.random.default_rng(seed)
    is_jazz = np.arange(n_songs) % 2 == 1
    groove = np.where(is_jazz | (rng.random(n_songs) < 0.5), 0b00101, 0b10000)
    words = np.repeat(groove[:, None, None], 5, 1).repeat(16, 2)
    words[:, 3, 8:] = words[:, 4] = 0b01010
    song = np.arange(n_songs, dtype=np.int32).repeat(5)
    names = tuple(map(str, range(n_songs)))
    corpus = Corpus.of(
        words.astype(np.uint16).reshape(-1, 16),
        song,
        song,
        np.tile(np.arange(5), n_songs),
        names,
        names,
        JAKI5,
        np.tile([0, 0, 0, 1, 2], n_songs),
    )
    return replace(corpus, styles=("unknown", "jazz"), file_style=is_jazz.astype(np.int16))


def test_learns_what_each_role_and_style_plays(tmp_path):
    """To the entropies by hand, in nats a bar; ``any`` is a third grooves, a third variations, a third fills."""
    options = replace(TOY, train_steps=300, any_share=0.4, style_share=0.4, pairs_share=0.3)
    weights = train_prior(
        _songs_with_roles(40, 0),
        _songs_with_roles(20, 1),
        tmp_path,
        options,
        network=replace(SMALL, roles=("groove", "variation", "fill"), styles=("jazz",)),
    )
    prior = load_prior(weights)
    songs = _songs_with_roles(40, 0)
    is_groove, bars = songs.role == 0, words_to_bars(songs.words, 5)
    jazz = songs.style_id == 1
    share = (songs.words[is_groove][:, 0] == 0b00101).mean()
    groove_entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))

    def nll(role, style, chosen, previous=None):
        asked = prior.with_condition(role, style)
        return float(-asked.log_prob(bars[chosen], None if previous is None else bars[previous]).mean())

    assert nll("groove", "any", is_groove) == pytest.approx(groove_entropy, abs=0.06)
    assert nll("groove", "jazz", is_groove & jazz) < 0.06
    assert nll("fill", "any", songs.role == 2) < 0.06
    assert nll("variation", "any", songs.role == 1) == pytest.approx(groove_entropy, abs=0.08)
    is_first = np.isin(songs.bar_index, [0, 3, 4])  # of each distinct bar
    assert nll("any", "any", is_first) == pytest.approx(np.log(3) + 2 / 3 * groove_entropy, abs=0.12)
    # a groove comes after the same groove, as played; a fill after nothing but a variation
    second = np.flatnonzero(songs.bar_index == 1)
    assert nll("groove", "any", second, second - 1) < 0.08
    # asked for what it is not, a bar is unlikely
    assert nll("groove", "any", songs.role == 2) > 2
    assert nll("groove", "jazz", is_groove & (songs.words[:, 0] == 0b10000)) > 2
    drawn = prior.with_condition("fill").sample(50)
    assert (words_to_bars(np.array([0b01010]), 5) == drawn).mean() > 0.99
    facts = json.loads(read_metadata(weights)["provenance"])
    validation = _songs_with_roles(20, 1)
    grooves = words_to_bars(validation.words[validation.role == 0], 5)
    assert float(facts["validation_groove_nll_per_step"]) == pytest.approx(
        float(-prior.step_log_prob(grooves).mean()), abs=1e-3
    )


def test_learns_a_toy_to_its_entropy(tmp_path):
    weights = train_prior(_songs(30, 0), _songs(20, 1), tmp_path, TOY, network=SMALL)
    prior = load_prior(weights)
    fresh = _songs(10, 2)
    bars = words_to_bars(fresh.words, 5)
    alone = -prior.step_log_prob(bars)
    assert alone[:, 0].mean() == pytest.approx(math.log(2), abs=0.05)
    assert alone[:, 1:].mean() < 0.02
    before, after, _ = fresh.pairs()
    given = -prior.step_log_prob(words_to_bars(after.words, 5), words_to_bars(before, 5))
    assert given.mean() < 0.02
    drawn = prior.sample(100, seed=0)
    assert {tuple(word) for word in np.unique(drawn.reshape(-1, 5), axis=0).tolist()} == {
        (True, False, False, False, False),
        (False, False, True, False, True),
    }
    assert 0.3 < drawn[:, 0, 0].mean() < 0.7
    for name in (CHECKPOINT, CONFIG, WEIGHTS):
        assert (tmp_path / name).stat().st_size > 0


def test_stopped_and_resumed_equals_never_stopped(tmp_path):
    """Bit for bit, with dropout and augmentations drawn; only the learning rate's curve knows of the longer run."""
    training, validation = _songs(10, 0), _songs(5, 1)
    network = replace(SMALL, width=16, dropout=0.4)
    options = PriorTrainingConfig(train_steps=110, batch_size=8, learning_rate=0.01)
    train_prior(training, validation, tmp_path / "whole", options, network=network)

    calls = []

    def stop_after_60(done, total, phase):
        calls.append((done, total))
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_prior(training, validation, tmp_path / "parts", options, network=network, progress=stop_after_60)
    assert '"trained_steps": "50"' in read_metadata(tmp_path / "parts" / WEIGHTS)["provenance"]
    train_prior(
        training,
        validation,
        tmp_path / "parts",
        options,
        network=network,
        progress=lambda *call: calls.append(call[:2]),
    )
    assert calls[60][0] == 51
    assert calls[-1] == (110, 110)
    parts, whole = (load_file(tmp_path / name / WEIGHTS) for name in ("parts", "whole"))
    assert all(torch.equal(parts[name], whole[name]) for name in whole)


def test_stops_by_the_validation_songs_and_keeps_the_best(tmp_path):
    """Unseen songs that are the opposite of those trained on: every step is worse, and the run ends early."""
    training, validation = _songs(6, 0), _songs(6, 1)
    other = replace_words(validation, np.where(validation.words == 0b10000, 0b01010, 0b00010))
    options = PriorTrainingConfig(train_steps=2000, batch_size=8, learning_rate=0.01, patience=2, ema_decay=0.5)
    weights = train_prior(training, other, tmp_path, options, network=replace(SMALL, width=16))
    provenance = read_metadata(weights)["provenance"]
    facts = dict(pair.split(": ") for pair in provenance.strip("{}").replace('"', "").split(", "))
    best, done = int(facts["best_step"]), int(facts["trained_steps"])
    assert done == best + 100 < 2000
    kept = -load_prior(weights).step_log_prob(words_to_bars(other.distinct().words, 5)).mean()
    assert float(kept) == pytest.approx(float(facts["validation_nll_per_step"]), abs=1e-3)
    # asked again, it has nothing left to do
    train_prior(training, other, tmp_path, options, network=replace(SMALL, width=16))
    assert f'"trained_steps": "{done}"' in read_metadata(weights)["provenance"]


def test_the_average_begins_anew(tmp_path, monkeypatch):
    """At step i it keeps 1 − 1 / (1 + i / 5) of itself, up to the decay."""
    decays = []
    monkeypatch.setattr(likelihood, "update_ema", lambda averaged, trained, decay: decays.append(decay))
    options = PriorTrainingConfig(train_steps=4, batch_size=4, ema_decay=0.3)
    train_prior(_songs(4, 0), _songs(3, 1), tmp_path, options, network=replace(SMALL, width=8))
    assert decays == pytest.approx([0, 1 / 6, 2 / 7, 0.3])


def replace_words(corpus, new):
    return Corpus.of(
        new.astype(np.uint16), corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, corpus.kit
    )


def test_what_a_step_shows():
    """No bar before the rows that have none; hidden words are a quarter; an augmentation changes both bars alike."""
    training = _songs(8, 0)
    options = PriorTrainingConfig(batch_size=400, hidden_share=0.25, augmented_share=0.5, pairs_share=0.5)
    module = PriorTraining(replace(SMALL, roles=("groove",)), options, training, training)
    shown = {}

    def forward(*given):
        shown.update(zip(("words", "previous", "has", "labels", "hidden"), given, strict=True))
        return torch.full((400, 16), -1.5)

    module.prior.forward = forward
    loss = module.batch_nll(torch.Generator().manual_seed(0))
    assert loss.item() == 1.5
    assert 0.4 < shown["has"].float().mean() < 0.6
    assert 0.22 < shown["hidden"].float().mean() < 0.28
    augmentation, role, style = shown["labels"].unbind(1)
    assert 0.4 < (augmentation != 0).float().mean() < 0.6
    assert 0.4 < (role == 0).float().mean() < 0.6
    assert role.max() == 1
    assert (style == 0).all()
    real = augmentation == 0
    assert set(shown["words"][real].unique().tolist()) == {0b10000, 0b00101}
    assert not set(shown["words"][~real].unique().tolist()) <= {0b10000, 0b00101}
    # a bar of one word comes after one of the other; rotated, it still does
    rotated = shown["has"] & (augmentation <= 3)
    assert ((shown["words"] ^ shown["previous"])[rotated] == 0b10101).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_steps": 0}, "at least one step"),
        ({"batch_size": 1}, "batch"),
        ({"learning_rate": float("nan")}, "learning_rate is a number from 0 on"),
        ({"patience": 0}, "patience"),
        ({"seed": -1}, "seed"),
        ({"pairs_share": 1.5}, "pairs_share lies in 0 … 1"),
        ({"hidden_share": 2.0}, "hidden_share lies in 0 … 1"),
        ({"any_share": 1.1}, "any_share lies in 0 … 1"),
        ({"style_share": 7.0}, "style_share lies in 0 … 1"),
        ({"song_exponent": 2.0}, "song_exponent lies in 0 … 1"),
    ],
)
def test_a_bad_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PriorTrainingConfig(**options)


def test_data_that_cannot_be_trained_on_is_refused(tmp_path):
    training, nothing = _songs(4, 0), _songs(4, 0).only(np.zeros(12, bool))
    with pytest.raises(ValueError, match="nothing to train on"):
        train_prior(nothing, training, tmp_path / "a", network=SMALL)
    with pytest.raises(ValueError, match="nothing to stop by"):
        train_prior(training, nothing, tmp_path / "b", network=SMALL)
    with pytest.raises(ValueError, match="the bars are of kit jaki5"):
        train_prior(training, training, tmp_path / "c", network=WordLSTMConfig())
    assert not list(tmp_path.iterdir())


def test_bars_without_neighbours_are_enough(tmp_path):
    """Textbook bars come one by one: there are no pairs to learn from."""
    patterns = load_patterns()
    options = PriorTrainingConfig(train_steps=3, batch_size=8)
    train_prior(patterns, patterns, tmp_path, options, network=WordLSTMConfig("gm9", width=8, word_width=8))
    assert load_prior(tmp_path / WEIGHTS).kit == GM9


def test_another_run_is_not_gone_on_with(tmp_path):
    training, validation = _songs(4, 0), _songs(3, 1)
    options, network = PriorTrainingConfig(train_steps=4, batch_size=4), replace(SMALL, width=8)
    train_prior(training, validation, tmp_path, options, network=network)
    with pytest.raises(ValueError, match="holds a run on other data"):
        train_prior(training, _songs(2, 4), tmp_path, options, network=network)
    from rhythmgan.training.config import GANTrainingConfig
    from rhythmgan.training.gan import train_gan

    with pytest.raises(ValueError, match="holds a run of another model"):
        train_gan(training, tmp_path, GANTrainingConfig(2, 2, 4), network=GANConfig(kit="jaki5", width=8))
    with pytest.raises(ValueError, match="width 8, not 9"):
        train_prior(training, validation, tmp_path, options, network=replace(network, width=9))


def test_the_command_prints_what_the_prior_has_to_beat(tmp_path, capsys):
    save_corpus(tmp_path / "bars.npz", load_patterns())
    options = ("--train-steps", "5", "--width", "16", "--threads", "1", "--batch-size", "8")
    data, run = str(tmp_path / "bars.npz"), str(tmp_path / "run")
    assert main(["train", "prior", "--data", data, "--out", run, *options]) == 0
    printed, errors = capsys.readouterr()
    rows = [line.split(" | ")[0].strip("| ") for line in printed.splitlines() if line.startswith("| ")]
    assert "5 steps (all that were asked for); the best weights are those of step 5" in printed
    assert rows[2:] == ["uniform", "unigram", "per-position unigram", "order-1 Markov", "prior"]
    assert "| uniform | 6.238 |" in printed
    assert "Warning" not in errors
    assert "eval mode" not in errors
    assert main(["info", str(tmp_path / "run" / WEIGHTS)]) == 0
    info = capsys.readouterr().out
    assert "holds: weights of a prior" in info
    assert "validation_nll_per_step" in info


def test_two_processes_train_one_prior(tmp_path):
    options = ("--devices", 2, "--accelerator", "cpu", "--train-steps", 3, "--batch-size", 8, "--width", 16)
    done = subprocess.run(
        [sys.executable, "-m", "rhythmgan", "train", "prior", "--out", tmp_path / "2", *map(str, options)],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights:") == 1
    patterns = load_patterns()
    one = train_prior(
        patterns.split("train"),
        patterns.split("valid"),
        tmp_path / "1",
        PriorTrainingConfig(train_steps=3, batch_size=8),
        network=WordLSTMConfig("gm9", width=16),
        accelerator="cpu",
    )
    one, two = load_file(one), load_file(tmp_path / "2" / WEIGHTS)
    assert not torch.equal(one["places"], two["places"])
