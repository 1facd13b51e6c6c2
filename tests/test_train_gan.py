"""Training: the two phases learn, a killed run goes on as if it had not been, two processes work."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import chisquare
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.cli import main
from rhythmgan.data import Corpus, load_patterns
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.models.config import GANConfig, WordLSTMConfig
from rhythmgan.models.gan import load_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.training.config import GANTrainingConfig, PriorTrainingConfig
from rhythmgan.training.folder import CHECKPOINT, CONFIG
from rhythmgan.training.gan import GRID, WEIGHTS, GANTraining, train_gan
from rhythmgan.training.schedule import update_ema

SMALL = GANConfig(width=24, discriminator_width=32)
WIDER = GANConfig(width=64, discriminator_width=64)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def _toy(n=40, seed=0):
    """Bars of two kinds, in equal parts: kick on beats with snares between, or a stream of hats."""
    rng = np.random.default_rng(seed)
    rock = np.zeros(16, np.uint16)
    rock[[0, 8]], rock[[4, 12]] = 0b100000000, 0b010000000
    hats = np.full(16, 0b001000000, np.uint16)
    words = np.stack([(rock, hats)[i % 2] for i in range(n)])
    words[np.arange(n), rng.integers(0, 16, n)] ^= 0b1  # a crash somewhere
    number = np.arange(n, dtype=np.int32)
    return Corpus(words, number, np.zeros(n, np.int32), number, tuple(map(str, number)), ("toy",), GM9)


def test_learns_a_toy(tmp_path):
    training = GANTrainingConfig(
        pretrain_steps=600, train_steps=60, batch_size=32, pretrain_learning_rate=5e-3, discriminator_warmup=30
    )
    weights = train_gan(_toy(), tmp_path, training, network=WIDER)
    gan = load_gan(weights)
    bars = gan.sample(200)
    kick_then_snare = bars[:, 0, 0] & bars[:, 4, 1] & bars[:, 8, 0] & bars[:, 12, 1]
    hats = bars[:, :, 2].sum(1) >= 12
    assert 0.2 < kick_then_snare.mean() < 0.8
    assert 0.2 < hats.mean() < 0.8
    assert (kick_then_snare ^ hats).mean() > 0.85
    assert bars[:, :, 3:8].mean() < 0.002
    for name in (CHECKPOINT, WEIGHTS, GRID, CONFIG):
        assert (tmp_path / name).stat().st_size > 0
    board = EventAccumulator(str(tmp_path)).Reload()
    cells = board.Scalars("nll")
    assert cells[-1].step > 500
    assert cells[-1].value < cells[0].value / 4
    assert board.Scalars("loss_g")
    assert board.Images("bars")[-1].step == 660
    assert not list(tmp_path.glob(".*.part"))


def test_stopped_and_resumed_equals_never_stopped(tmp_path):
    """Bit for bit, stopped in either phase; the picture of what was there is not in the way."""
    toy, whole = _toy(), GANTrainingConfig(60, 90, 16, discriminator_warmup=10)

    def stop_at(step):
        def progress(done, total, phase):
            if done == step:
                raise KeyboardInterrupt

        return progress

    for step in (55, 120):
        with pytest.raises(KeyboardInterrupt):
            train_gan(toy, tmp_path / "parts", whole, network=SMALL, progress=stop_at(step))
    at_half = load_file(tmp_path / "parts" / WEIGHTS)
    train_gan(toy, tmp_path / "parts", whole, network=SMALL)
    train_gan(toy, tmp_path / "whole", whole, network=SMALL)
    parts, once = load_file(tmp_path / "parts" / WEIGHTS), load_file(tmp_path / "whole" / WEIGHTS)
    assert all(torch.equal(parts[name], once[name]) for name in once)
    assert not all(torch.equal(at_half[name], once[name]) for name in once)
    assert '"trained_steps": "150"' in read_metadata(tmp_path / "parts" / WEIGHTS)["provenance"]


def test_resumed_between_two_epochs(tmp_path):
    """60 steps are no whole number of epochs: what follows must begin at 60 and end at 120."""
    toy = _toy()
    for steps in (0, 60):
        train_gan(toy, tmp_path / "parts", GANTrainingConfig(60, steps, 8, discriminator_warmup=10), network=SMALL)
        assert f'"trained_steps": "{60 + steps}"' in read_metadata(tmp_path / "parts" / WEIGHTS)["provenance"]
    train_gan(toy, tmp_path / "whole", GANTrainingConfig(60, 60, 8, discriminator_warmup=10), network=SMALL)
    parts, once = load_file(tmp_path / "parts" / WEIGHTS), load_file(tmp_path / "whole" / WEIGHTS)
    assert all(torch.equal(parts[name], once[name]) for name in once)
    # asked again, it has nothing left to do
    train_gan(toy, tmp_path / "parts", GANTrainingConfig(60, 60, 8, discriminator_warmup=10), network=SMALL)
    again = load_file(tmp_path / "parts" / WEIGHTS)
    assert all(torch.equal(again[name], once[name]) for name in once)


def test_seed_decides(tmp_path):
    toy = _toy()
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_gan(toy, tmp_path / name, GANTrainingConfig(10, 5, 8, seed=seed, discriminator_warmup=2), network=SMALL)
        runs.append(load_file(tmp_path / name / WEIGHTS)["generator.to_parts.weight"])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_discriminator_sees_hard_cells_and_moves_first():
    module = GANTraining(SMALL, GANTrainingConfig(0, 5, 8, discriminator_warmup=0), _toy())
    seen = []
    module.gan.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    module.optimizers = module.configure_optimizers
    module.manual_backward = lambda loss: loss.backward()
    before = [p.clone() for p in module.gan.discriminator.parameters()]
    terms = module.adversarial_step(torch.Generator().manual_seed(0))
    assert len(seen) == 4
    assert all(set(bars.unique().tolist()) <= {0.0, 1.0} for bars in seen)
    assert any(not torch.equal(a, b) for a, b in zip(before, module.gan.discriminator.parameters(), strict=True))
    # at the start neither is ahead: both losses are near log 2
    assert abs(terms["loss_d"].item() - 0.693) < 0.1
    assert terms["onsets_real"].item() == pytest.approx(_toy_onsets(), abs=3)


def _toy_onsets():
    return words_to_bars(_toy().words, 9).sum((1, 2)).mean()


def _three_songs():
    """Songs of 1, 4 and 25 bars in a mixed order, by numbers with gaps; a bar's first words spell its row."""
    song = np.array([7] + [2] * 4 + [5] * 25, np.int32)[np.random.default_rng(3).permutation(30)]
    words = np.zeros((30, 16), np.uint16)
    words[:, 0] = np.arange(30) + 1
    words[:, 4::4] = np.random.default_rng(4).integers(0, 512, (30, 3))
    number = np.arange(30, dtype=np.int32)
    return Corpus(words, song, np.zeros(30, np.int32), number, tuple("abcdefgh"), ("toy",), GM9)


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
    module = GANTraining(SMALL, GANTrainingConfig(2, 2, 4096, song_exponent=exponent, augmented_share=0.0), corpus)
    random = torch.Generator().manual_seed(11)
    drawn = []
    for _ in range(10):
        bars, labels = module.batches.draw(4096, random)
        assert bars.shape == (4096, 16, 9)
        assert not labels.any()
        drawn.append(bars.numpy())
    drawn = np.concatenate(drawn)
    found = bars_to_words(drawn > 0)
    row = found[:, 0].astype(int) - 1
    np.testing.assert_array_equal(found, corpus.words[row])
    expected = np.array([chances[song] for song in corpus.song_id.tolist()])
    assert expected.sum() == pytest.approx(1)
    counts = np.bincount(row, minlength=30)
    assert chisquare(counts, expected * len(row)).pvalue > 1e-3
    # and what the generator is held to is the mean of that
    truth = np.tensordot(expected, words_to_bars(corpus.words, 9), 1)
    np.testing.assert_allclose(module.batches.rates, truth, atol=1e-6)
    error = (truth * (1 - truth) / len(row)) ** 0.5
    assert (np.abs(drawn.mean(0) - truth) <= 5 * error + 1e-6).all()


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_rates_are_those_of_what_is_drawn_when_augmented_too(share):
    module = GANTraining(SMALL, GANTrainingConfig(2, 2, 4096, song_exponent=0.5, augmented_share=share), _three_songs())
    random = torch.Generator().manual_seed(12)
    drawn = [module.batches.draw(4096, random) for _ in range(10)]
    bars, labels = (torch.cat(each).numpy() for each in zip(*drawn, strict=True))
    assert abs((labels != 0).mean() - share) < 5 * (0.25 / len(labels)) ** 0.5
    rates = module.batches.rates.numpy()
    error = (rates * (1 - rates) / len(labels)) ** 0.5
    assert (np.abs(bars.mean(0) - rates) <= 5 * error + 1e-6).all()
    plain = GANTraining(
        SMALL, GANTrainingConfig(2, 2, 8, song_exponent=0.5, augmented_share=0.0), _three_songs()
    ).batches.rates.numpy()
    assert np.abs(rates - plain).max() > 10 * error.max()


def test_a_bar_that_a_song_repeats_counts_once(tmp_path):
    corpus = _three_songs()
    repeated = corpus.only(np.r_[0:30, 3, 3, 29])
    training = GANTrainingConfig(3, 2, 8, discriminator_warmup=1)
    for name, data in (("once", corpus), ("repeated", repeated)):
        train_gan(data, tmp_path / name, training, network=SMALL)
    once, twice = load_file(tmp_path / "once" / WEIGHTS), load_file(tmp_path / "repeated" / WEIGHTS)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    provenance = read_metadata(tmp_path / "repeated" / WEIGHTS)["provenance"]
    assert '"trained_bars": "30"' in provenance
    assert '"trained_songs": "3"' in provenance


def test_ema_by_hand():
    module = GANTraining(SMALL, GANTrainingConfig(0, 1, 8), _toy())
    with torch.no_grad():
        module.gan.generator.to_parts.bias.fill_(10.0)
        module.ema_generator.to_parts.bias.fill_(2.0)
    update_ema(module.ema_generator, module.gan.generator, 0.75)
    assert module.ema_generator.to_parts.bias.tolist() == [4.0] * 9
    assert (module.finished_gan().generator.to_parts.bias == 4).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_steps": -1}, "negative"),
        ({"pretrain_steps": 0, "train_steps": 0}, "at least one step"),
        ({"batch_size": 1}, "2 to 65536 bars"),
        ({"seed": -1}, "seed"),
        ({"song_exponent": 1.1}, r"song_exponent lies in 0 … 1"),
        ({"song_exponent": -0.1}, "song_exponent"),
        ({"song_exponent": float("nan")}, "song_exponent"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        GANTrainingConfig(**options)


@pytest.mark.parametrize(
    ("model", "network", "training"),
    [("gan", GANConfig, GANTrainingConfig), ("prior", WordLSTMConfig, PriorTrainingConfig)],
)
def test_help_says_the_defaults_of_the_dataclasses(capsys, model, network, training):
    with pytest.raises(SystemExit):
        main(["train", model, "--help"])
    shown = dict(re.findall(r"^  --([a-z0-9-]+) [NX] .*?\(([\d.]+)\)$", capsys.readouterr().out, re.M | re.S))
    assert len(shown) >= 6
    defaults = {field.name: field.default for field in (*fields(network), *fields(training))}
    assert shown == {name: str(defaults[name.replace("-", "_")]) for name in shown}


def test_nothing_to_train_on_is_refused(tmp_path):
    corpus = load_patterns()
    with pytest.raises(ValueError, match="nothing to train on"):
        train_gan(corpus.only(np.zeros(len(corpus), bool)), tmp_path)
    with pytest.raises(ValueError, match="kit gm9"):
        train_gan(corpus, tmp_path, network=GANConfig(kit=JAKI5.name))


def test_another_run_is_not_overwritten(tmp_path):
    train_gan(_toy(), tmp_path, GANTrainingConfig(3, 2, 8), network=SMALL)
    kept = (tmp_path / WEIGHTS).read_bytes()
    for corpus, training, network, message in (
        (_toy(seed=1), GANTrainingConfig(3, 2, 8), SMALL, "other data"),
        (_toy(), GANTrainingConfig(3, 2, 16), SMALL, "batch_size 8, not 16"),
        (_toy(), GANTrainingConfig(3, 2, 8), GANConfig(width=25), "width 24, not 25"),
    ):
        with pytest.raises(ValueError, match=message):
            train_gan(corpus, tmp_path, training, network=network)
    assert (tmp_path / WEIGHTS).read_bytes() == kept


def test_a_checkpoint_that_cannot_be_resumed(tmp_path):
    """Damaged, a pickle (which is not run), or further on than what is asked for."""
    training = GANTrainingConfig(3, 4, 8, discriminator_warmup=1)
    train_gan(_toy(), tmp_path, training, network=SMALL)
    with pytest.raises(ValueError, match="7 steps in all, more than the 5"):
        train_gan(_toy(), tmp_path, GANTrainingConfig(3, 2, 8, discriminator_warmup=1), network=SMALL)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    for content in (b"", whole[: len(whole) // 2], pickle.dumps(_Touch(tmp_path / "ran"))):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(ValueError, match="cannot be resumed") as caught:
            train_gan(_toy(), tmp_path, training, network=SMALL)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


class _Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def _command(*arguments):
    return [sys.executable, "-m", "rhythmgan", "train", "gan", *map(str, arguments)]


def _environment():
    return os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_killed_by_the_system_and_resumed(tmp_path):
    """SIGKILL in the middle: the files that are there are whole, and the same command finishes the run."""
    options = (
        "--out",
        tmp_path,
        "--pretrain-steps",
        100,
        "--train-steps",
        100,
        "--batch-size",
        8,
        "--width",
        24,
        "--threads",
        1,
    )
    run = subprocess.Popen(_command(*options), env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started = time.monotonic()
    while not (tmp_path / CHECKPOINT).exists():
        assert run.poll() is None, run.stderr.read().decode()
        assert time.monotonic() - started < 120
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stderr.close()
    load_gan(tmp_path / WEIGHTS)
    done = subprocess.run(_command(*options), env=_environment(), capture_output=True, text=True, check=True)
    assert "200/200" in done.stderr
    # it did not begin again: the first number shown is past the checkpoint
    assert " 1/200" not in done.stderr
    assert '"trained_steps": "200"' in read_metadata(tmp_path / WEIGHTS)["provenance"]
    once = tmp_path / "once"
    subprocess.run(_command("--out", once, *options[2:]), env=_environment(), capture_output=True, check=True)
    killed, whole = load_file(tmp_path / WEIGHTS), load_file(once / WEIGHTS)
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_two_processes_train_one_model(tmp_path):
    """DDP on the CPU: each process draws its own batch, so the weights differ from one process's."""
    options = (
        "--pretrain-steps",
        6,
        "--train-steps",
        6,
        "--batch-size",
        8,
        "--width",
        24,
        "--threads",
        1,
        "--accelerator",
        "cpu",
    )
    for devices in (1, 2):
        out = tmp_path / str(devices)
        done = subprocess.run(
            _command("--out", out, "--devices", devices, *options), env=_environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("weights:") == 1
        assert "Warning" not in done.stderr
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in "12")
    assert not torch.equal(one["generator.to_parts.weight"], two["generator.to_parts.weight"])
    assert '"trained_steps": "12"' in read_metadata(tmp_path / "2" / WEIGHTS)["provenance"]
