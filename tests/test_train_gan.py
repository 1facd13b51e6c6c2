"""Training: the two phases learn, a killed run goes on as if it had not been, two processes work."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import norm
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rhythmgan.bars import words_to_bars
from rhythmgan.cli import main
from rhythmgan.data import Corpus
from rhythmgan.kit import JAKI5
from rhythmgan.locks import locked_folder
from rhythmgan.models.config import GANConfig, WordLSTMConfig
from rhythmgan.models.gan import TEMPERATURES, load_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.patterns import load_patterns
from rhythmgan.seeds import seeds_to_z
from rhythmgan.training import calibration
from rhythmgan.training.batches import roles_of, styles_of
from rhythmgan.training.checkpoint import read_checkpoint, write_checkpoint
from rhythmgan.training.config import GANTrainingConfig, PriorTrainingConfig
from rhythmgan.training.folder import CHECKPOINT, CONFIG, write_config
from rhythmgan.training.gan import GRID, WEIGHTS, GANTraining, train_gan
from rhythmgan.training.schedule import update_ema

SMALL = GANConfig("jaki5", 12, width=24, discriminator_width=32)
ROLED = replace(SMALL, roles=("groove", "fill"), styles=("funk",))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """One thread, and temperatures by a few bars: that they are found well is for another file."""
    torch.set_num_threads(1)
    monkeypatch.setattr(calibration, "_BARS", 16)


def _corpus(words, song_id, role=None, styles=None):
    """Bars of one file, or of a file for each of ``styles``, by song."""
    n = len(words)
    corpus = Corpus.of(
        words,
        song_id.astype(np.int32),
        np.zeros(n, np.int32) if styles is None else song_id.astype(np.int32),
        np.arange(n, dtype=np.int32),
        tuple(map(str, range(int(song_id.max(initial=0)) + 1))),
        ("toy",) if styles is None else tuple(f"{number}.mid" for number in range(len(styles))),
        JAKI5,
        role,
    )
    if styles is None:
        return corpus
    names = ("unknown", *sorted({*styles} - {"unknown"}))
    return replace(corpus, styles=names, file_style=np.array([names.index(style) for style in styles], np.int16))


def _roled(n=24, seed=0):
    """Songs that play a kick on each beat, and one fill in four bars, of snare and tom; every other song is funk."""
    rng = np.random.default_rng(seed)
    groove, fill = np.zeros(12, np.uint16), np.zeros(12, np.uint16)
    groove[[0, 3, 6, 9]] = 0b10000
    fill[[0, 2, 4, 6, 8, 10]], fill[[1, 3, 5, 7, 9, 11]] = 0b01000, 0b00001
    words = np.tile(np.stack([groove, groove, groove, fill]), (n, 1))
    # in funk a hat goes along on all steps, elsewhere an open one somewhere
    song = np.repeat(np.arange(n), 4)
    words[song % 2 == 1] |= 0b00100
    elsewhere = np.flatnonzero(song % 2 == 0)
    words[elsewhere, rng.integers(0, 12, len(elsewhere))] |= 0b00010
    role = np.tile([0, 0, 0, 2], n)
    return _corpus(words, song, role, [("unknown", "funk")[number % 2] for number in range(n)])


def _toy(n=40, seed=0):
    """Bars of two kinds, one of each in every song: kick and snare in turn on the beats, or a stream of closed hats."""
    rng = np.random.default_rng(seed)
    rock = np.zeros(12, np.uint16)
    rock[[0, 6]], rock[[3, 9]] = 0b10000, 0b01000
    hats = np.full(12, 0b00100, np.uint16)
    words = np.stack([(rock, hats)[i % 2] for i in range(n)])
    words[np.arange(n), rng.integers(0, 12, n)] ^= 0b00010  # an open hat somewhere
    return _corpus(words, np.arange(n) // 2)


def test_learns_a_toy(tmp_path):
    training = GANTrainingConfig(
        300, 40, 32, pretrain_learning_rate=1.5e-2, augmented_share=0.25, discriminator_warmup=20
    )
    weights = train_gan(_toy(), tmp_path, training, network=replace(SMALL, width=48))
    bars = load_gan(weights).sample(400)
    kick_then_snare = bars[:, 0, 0] & bars[:, 3, 1] & bars[:, 6, 0] & bars[:, 9, 1]
    hats = bars[:, :, 2].sum(1) >= 9
    assert 0.2 < kick_then_snare.mean() < 0.8
    assert 0.2 < hats.mean() < 0.8
    assert (kick_then_snare ^ hats).mean() > 0.85
    assert bars[:, :, 4].mean() < 0.002
    for name in (CHECKPOINT, WEIGHTS, GRID, CONFIG):
        assert (tmp_path / name).stat().st_size > 0
    board = EventAccumulator(str(tmp_path)).Reload()
    nll = board.Scalars("nll")
    assert nll[-1].step > 250
    assert nll[-1].value < nll[0].value / 4
    keys = {"nll", "loss_d", "loss_g", "r1", "r2", "rate_matching", "logit_gap", "onsets_real", "onsets_fake"}
    assert keys <= set(board.Tags()["scalars"])
    assert board.Images("bars")[-1].step == 340
    assert not list(tmp_path.glob(".*.part"))


def test_learns_roles_and_styles(tmp_path):
    """A groove is a kick on each beat, a fill snare and tom in turn; only funk has hats on all steps."""
    corpus = _roled()
    assert (roles_of(corpus), styles_of(corpus)) == (("groove", "fill"), ("funk",))
    training = GANTrainingConfig(
        300, 60, 48, pretrain_learning_rate=1.5e-2, augmented_share=0.1, discriminator_warmup=20, style_share=0.5
    )
    weights = train_gan(corpus, tmp_path, training, network=replace(ROLED, width=48, dropout=0.2))
    gan = load_gan(weights)
    assert gan.condition.role == "groove"

    def shares(role, style, temperature=1.0):
        bars = gan.with_condition(role, style).sample(300, 40, temperature)
        kicks = bars[:, [0, 3, 6, 9], 0].sum(1) >= 3
        rolls = (bars[:, ::2, 1].sum(1) >= 5) & (bars[:, 1::2, 4].sum(1) >= 5)
        hats = bars[:, :, 2].sum(1) >= 10
        return kicks.mean(), rolls.mean(), hats.mean()

    for temperature in (1.0, 0.6):
        for style in ("any", "funk"):
            kicks, rolls, _ = shares("groove", style, temperature)
            assert kicks > 0.9
            assert rolls < 0.05
            kicks, rolls, _ = shares("fill", style, temperature)
            assert kicks < 0.05
            assert rolls > 0.9
    for role in ("groove", "fill", "any"):
        assert shares(role, "funk")[2] > 0.85
        assert 0.15 < shares(role, "any")[2] < 0.85
    # of any role, songs' distinct bars: in funk a groove and a fill, elsewhere up to three grooves and a fill
    kicks, rolls, _ = shares("any", "any")
    assert kicks == pytest.approx(0.6, abs=0.2)
    assert kicks + rolls > 0.85


def test_by_default_it_learns_what_the_songs_have(tmp_path):
    weights = train_gan(_roled(), tmp_path, GANTrainingConfig(1, 1, 4))
    gan = load_gan(weights)
    assert (gan.roles, gan.styles, gan.kit, gan.steps) == (("groove", "fill"), ("funk",), JAKI5, 12)
    assert gan.config == GANConfig("jaki5", 12, roles=("groove", "fill"), styles=("funk",))


def test_temperatures_are_calibrated_when_a_run_ends(tmp_path):
    """Not after every epoch: it takes a while, and the weights go on changing."""
    training = GANTrainingConfig(50, 30, 8, discriminator_warmup=5)

    def stop(done, *_):
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_gan(_roled(), tmp_path, training, network=ROLED, progress=stop)
    assert not load_gan(tmp_path / WEIGHTS).shifts.any()
    finished = load_gan(train_gan(_roled(), tmp_path, training, network=ROLED))
    assert finished.shifts.shape == (len(TEMPERATURES), 3, 5)
    assert (finished.shifts[0] != 0).any(1).all()
    calibration.calibrate_temperatures(found := load_gan(tmp_path / WEIGHTS))
    assert torch.equal(found.shifts, finished.shifts)
    # a run that goes further begins from nothing shifted
    longer = load_gan(train_gan(_roled(), tmp_path, replace(training, train_steps=50), network=ROLED))
    assert not torch.equal(longer.shifts, finished.shifts)


def test_the_adversarial_phase_learns_what_likelihood_could_not(tmp_path):
    """Kicks on beats 1 and 2, or not, are answered by snares on beats 3 and 4.

    All steps are hidden while likelihood is learnt: it gets to know how often each sounds, but not that the second half
    answers the first. Beats drawn on their own do so in a quarter of the bars.
    """
    words = np.zeros((4, 12), np.uint16)
    words[[1, 3], 0] = words[[2, 3], 3] = 0b10000
    words[[1, 3], 6] = words[[2, 3], 9] = 0b01000
    found = []
    for train_steps in (0, 260):
        training = GANTrainingConfig(
            100,
            train_steps,
            32,
            pretrain_learning_rate=5e-2,
            hidden_share=1.0,
            augmented_share=0.0,
            generator_learning_rate=1e-2,
            discriminator_learning_rate=1e-2,
            discriminator_warmup=5,
            r1_gamma=0.01,
            r2_gamma=0.01,
            ema_decay=0.9,
        )
        network = replace(SMALL, width=32, dropout=0.0)
        gan = load_gan(train_gan(_corpus(words, np.arange(4)), tmp_path, training, network=network))
        found.append(gan.decode(seeds_to_z(range(400), gan.latent_dim)))  # a silent bar is one of the four
    pretrained, trained = ((bars[:, [0, 3], 0] == bars[:, [6, 9], 1]).all(1).mean() for bars in found)
    assert pretrained < 0.45
    assert trained > 0.75
    kinds = np.bincount(found[1][:, [0, 3], 0] @ [1, 2], minlength=4)
    assert kinds.min() > 40
    assert found[1].sum((1, 2)).mean() == pytest.approx(2, abs=0.4)


def test_stopped_and_resumed_equals_never_stopped(tmp_path):
    """Bit for bit, stopped in either phase; the picture of what was there is not in the way."""
    toy, whole = _roled(), GANTrainingConfig(60, 50, 8, discriminator_warmup=10)

    def stop_at(step):
        def progress(done, total, phase):
            if done == step:
                raise KeyboardInterrupt

        return progress

    for step in (55, 105):
        with pytest.raises(KeyboardInterrupt):
            train_gan(toy, tmp_path / "parts", whole, network=ROLED, progress=stop_at(step))
    at_half = load_file(tmp_path / "parts" / WEIGHTS)
    train_gan(toy, tmp_path / "parts", whole, network=ROLED)
    train_gan(toy, tmp_path / "whole", whole, network=ROLED)
    parts, once = load_file(tmp_path / "parts" / WEIGHTS), load_file(tmp_path / "whole" / WEIGHTS)
    assert all(torch.equal(parts[name], once[name]) for name in once)
    assert not all(torch.equal(at_half[name], once[name]) for name in once)
    assert '"trained_steps": "110"' in read_metadata(tmp_path / "parts" / WEIGHTS)["provenance"]


def test_resumed_between_two_epochs(tmp_path):
    """60 steps are no whole number of epochs: what follows must begin at 60 and end at 75."""
    toy, whole = _toy(), GANTrainingConfig(60, 15, 8, discriminator_warmup=5)
    for training in (replace(whole, train_steps=0), whole):
        train_gan(toy, tmp_path / "parts", training, network=SMALL)
        facts = read_metadata(tmp_path / "parts" / WEIGHTS)["provenance"]
        assert f'"trained_steps": "{training.total_steps}"' in facts
    train_gan(toy, tmp_path / "whole", whole, network=SMALL)
    parts, once = load_file(tmp_path / "parts" / WEIGHTS), load_file(tmp_path / "whole" / WEIGHTS)
    assert all(torch.equal(parts[name], once[name]) for name in once)
    # asked again, it has nothing left to do
    train_gan(toy, tmp_path / "parts", whole, network=SMALL)
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


def test_a_bar_that_a_song_repeats_counts_once(tmp_path):
    corpus = _toy()
    repeated = corpus.only(np.r_[0:40, 3, 3, 29])
    training = GANTrainingConfig(3, 2, 8, discriminator_warmup=1)
    for name, data in (("once", corpus), ("repeated", repeated)):
        train_gan(data, tmp_path / name, training, network=SMALL)
    once, twice = load_file(tmp_path / "once" / WEIGHTS), load_file(tmp_path / "repeated" / WEIGHTS)
    assert all(torch.equal(once[name], twice[name]) for name in once)
    provenance = read_metadata(tmp_path / "repeated" / WEIGHTS)["provenance"]
    assert '"trained_bars": "40"' in provenance
    assert '"trained_songs": "20"' in provenance


# -- one step at a time ---------------------------------------------------------------------------


class _Steps:
    """A training without Lightning, a step at a time; it notes the losses and the labels of the batches."""

    def __init__(self, *options, **named):
        corpus, network = named.pop("corpus", _toy()), named.pop("network", SMALL)
        self.module = module = GANTraining(network, GANTrainingConfig(*options, **named), corpus)
        self.optimizers = module.configure_optimizers()
        self.losses, self.labels = [], []
        draw = module.batches.draw

        def noted_draw(n, random):
            batch = draw(n, random)
            self.labels.append(batch.labels)
            return batch

        def noted_backward(loss):
            self.losses.append(loss.item())
            loss.backward()

        module.optimizers = lambda: self.optimizers
        module.manual_backward, module.batches.draw = noted_backward, noted_draw

    @property
    def generator(self):
        """The weights of the generator, in one row."""
        return _row(self.module.gan.generator)

    @property
    def ema(self):
        return _row(self.module.ema_generator)

    @property
    def learning_rates(self):
        return [optimizer.param_groups[0]["lr"] for optimizer in self.optimizers]

    def step(self, at=None):
        module = self.module
        module.steps_done = module.steps_done if at is None else at
        random = torch.Generator().manual_seed(module.steps_done)
        pretrains = module.steps_done < module.config.pretrain_steps
        terms = module.pretrain_step(random) if pretrains else module.adversarial_step(random)
        module.steps_done += 1
        return {name: term.item() for name, term in terms.items()}


def _row(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_discriminator_sees_hard_cells_and_is_trained_first():
    steps = _Steps(0, 5, 8, discriminator_warmup=0)
    seen = []
    steps.module.gan.discriminator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    before = _row(steps.module.gan.discriminator)
    terms = steps.step()
    assert len(seen) == 4
    assert all(set(bars.unique().tolist()) <= {0.0, 1.0} for bars in seen)
    assert not torch.equal(_row(steps.module.gan.discriminator), before)
    assert terms["onsets_fake"] == pytest.approx(seen[1].sum((1, 2)).mean().item())
    assert terms["onsets_fake"] != pytest.approx(terms["onsets_real"])
    assert all(parameter.requires_grad for parameter in steps.module.gan.discriminator.parameters())
    # at the start neither is ahead: both losses are near log 2
    assert abs(terms["loss_d"] - 0.693) < 0.1
    assert terms["onsets_real"] == pytest.approx(words_to_bars(_toy().words, 5).sum((1, 2)).mean(), abs=3)


def test_what_is_minimised_is_the_sum_of_the_terms():
    """Half of each gamma counts; the discriminator's loss comes first."""
    steps = _Steps(0, 5, 8, discriminator_warmup=1, r1_gamma=0.5, r2_gamma=4.0, rate_matching_coef=3.0)
    first, second = steps.step(), steps.step()
    discriminator = [terms["loss_d"] + 0.25 * terms["r1"] + 2 * terms["r2"] for terms in (first, second)]
    generator = second["loss_g"] + 3 * second["rate_matching"]
    assert steps.losses == pytest.approx([*discriminator, generator])
    assert min(first["r1"], first["r2"], second["rate_matching"]) > 1e-3
    assert not {"loss_g", "rate_matching"} & set(first)


def test_pretraining_minimises_the_negative_log_likelihood():
    """Of a generator that expects 1 of every cell: −log Φ(1) for each onset, −log Φ(−1) for each rest."""
    steps = _Steps(2, 0, 8, augmented_share=0.0)
    bias = steps.module.gan.generator.to_parts.bias
    steps.module.gan.generator.expect = lambda bars, *_: torch.ones_like(bars) + 0 * bias
    drawn = steps.module.batches.draw(8, torch.Generator().manual_seed(0))
    onsets = drawn.bars.sum().item() / 8
    nll = -onsets * norm.logcdf(1) - (60 - onsets) * norm.logcdf(-1)
    assert steps.step() == pytest.approx({"nll": nll})
    assert steps.losses == pytest.approx([nll])


@pytest.mark.parametrize("pretrain_steps", [0, 1])
def test_both_networks_get_the_labels_of_every_bar(pretrain_steps):
    steps = _Steps(pretrain_steps, 5, 64, discriminator_warmup=0, corpus=_roled(), network=ROLED)
    generator, discriminator = steps.module.gan.generator, steps.module.gan.discriminator
    reported = []
    begin = generator.begin
    generator.begin = lambda labels: reported.append(labels) or begin(labels)
    discriminator.register_forward_hook(lambda _, inputs, __: reported.append(inputs[1]))
    steps.step()
    assert len(reported) == (1 if pretrain_steps else 5)
    assert all(torch.equal(labels, steps.labels[0]) for labels in reported)
    augmentation, role, style = reported[0].T
    assert 0.3 < (augmentation != 0).float().mean() < 0.9
    assert 0.2 < (role == 0).float().mean() < 0.6
    assert set(role.tolist()) == {0, 1, 2}
    assert 0.1 < (style == 1).float().mean() < 0.5
    assert set(style.tolist()) == {0, 1}


def test_the_shares_of_the_options_are_those_of_the_batches():
    steps = _Steps(0, 5, 2, any_share=0.25, style_share=0.125, augmented_share=0.5, corpus=_roled(), network=ROLED)
    drawn = [steps.module.batches.draw(5000, torch.Generator().manual_seed(seed)) for seed in range(4)]
    labels = torch.cat([batch.labels for batch in drawn]).float()
    assert (labels[:, 0] != 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert (labels[:, 1] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    # three bars of four are grooves, though one of their song's distinct ones in funk; the roots of their shares count
    assert (labels[:, 1] == 1).float().mean().item() == pytest.approx(0.75 * 3**0.5 / (3**0.5 + 1), abs=0.02)
    assert (labels[:, 2] != 0).float().mean().item() == pytest.approx(0.125, abs=0.02)
    assert not any(batch.has_previous.any() for batch in drawn)
    assert steps.module.batches.rates.shape == (3, 12, 5)


def test_the_generator_is_held_to_the_rates_of_its_roles():
    """The term of a step is that of its fake bars, by their roles."""
    steps = _Steps(0, 5, 32, discriminator_warmup=0, corpus=_roled(), network=ROLED)
    fakes = []
    generator = steps.module.gan.generator
    generator.register_forward_hook(lambda _, __, fake: fakes.append(fake.detach()))
    term = steps.step()["rate_matching"]
    (fake,), role = fakes, steps.labels[0][:, 1]
    by_hand = 0.0
    for number, rates in enumerate(steps.module.batches.rates):
        of_role = (fake[role == number] - rates).flatten(1)
        if len(of_role) > 1:
            products = of_role @ of_role.T
            by_hand += len(of_role) / 32 * products[~torch.eye(len(of_role), dtype=torch.bool)].mean().item()
    assert term == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("hidden_share", [0.0, 0.2, 1.0])
def test_so_many_steps_are_hidden_in_pretraining(hidden_share):
    steps = _Steps(1, 0, 256, hidden_share=hidden_share)
    generator = steps.module.gan.generator
    expect, seen = generator.expect, []
    generator.expect = lambda bars, labels, shown: seen.append(shown) or expect(bars, labels, shown)
    steps.step()
    assert seen[0].shape == (256, 12, 1)
    assert 1 - seen[0].mean().item() == pytest.approx(hidden_share, abs=5 * (hidden_share / 256 / 12) ** 0.5)


def test_the_adversarial_phase_begins_with_the_averaged_generator():
    steps = _Steps(4, 5, 8, pretrain_learning_rate=0.1, discriminator_warmup=5)
    for _ in range(4):
        steps.step()
    averaged = steps.ema
    assert (steps.generator - averaged).abs().max() > 1e-3
    steps.step()
    assert torch.equal(steps.generator, averaged)  # the discriminator alone is trained
    assert torch.equal(steps.ema, averaged)


@pytest.mark.parametrize(("ema_decay", "decays"), [(0.998, (0, 1 / 11, 2 / 12)), (0.1, (0, 1 / 11, 0.1))])
def test_the_average_begins_anew_with_pretraining(ema_decay, decays):
    """At step i it keeps i / (i + 10) of itself, up to the decay."""
    steps = _Steps(5, 0, 8, pretrain_learning_rate=0.1, ema_decay=ema_decay)
    steps.module.ema_generator.to_parts.bias.data.fill_(7.0)
    _check_averages(steps, decays)


@pytest.mark.parametrize(("ema_decay", "decays"), [(0.998, (0, 1 / 200, 2 / 200)), (0.007, (0, 1 / 200, 0.007))])
def test_the_average_begins_anew_when_the_generator_joins_the_adversarial_phase(ema_decay, decays):
    """i steps after the warm-up of the discriminator it keeps i / 200 of itself, up to the decay."""
    steps = _Steps(0, 50, 8, generator_learning_rate=0.1, discriminator_warmup=2, ema_decay=ema_decay)
    steps.module.ema_generator.to_parts.bias.data.fill_(7.0)
    for _ in range(2):
        averaged = steps.ema
        steps.step()
        assert torch.equal(steps.ema, averaged)
    _check_averages(steps, decays)


def _check_averages(steps, decays):
    for decay in decays:
        averaged = steps.ema
        steps.step()
        torch.testing.assert_close(steps.ema, decay * averaged + (1 - decay) * steps.generator, atol=1e-6, rtol=0)
        assert torch.equal(steps.ema, steps.generator) == (decay == 0)


def test_learning_rates_by_hand():
    """Pretraining: up over 200 steps, down to a fiftieth. Then: level for three tenths, down to a twentieth."""
    rates = {"pretrain_learning_rate": 1.0, "generator_learning_rate": 2.0, "discriminator_learning_rate": 3.0}
    steps = _Steps(400, 100, 2, **rates)
    for at, expected in ((0, 1 / 200), (200, 0.51), (399, 0.02)):
        steps.step(at)
        assert steps.learning_rates[0] == pytest.approx(expected, abs=1e-4)
    for at, expected in ((0, 1), (30, 1), (65, 0.525), (99, 0.05)):
        steps.step(400 + at)
        assert steps.learning_rates[1:] == pytest.approx([2 * expected, 3 * expected], abs=2e-3)


def test_a_run_without_pretraining_begins_with_its_own_generator():
    """The average, which is another one here, is not what it goes on with."""
    steps = _Steps(0, 5, 8, discriminator_warmup=5)
    before = steps.generator
    steps.module.ema_generator.to_parts.bias.data.fill_(7.0)
    steps.step()
    assert torch.equal(steps.generator, before)


def test_the_optimizers_are_those_of_the_options():
    likelihood, generator, discriminator = _Steps(1, 5, 8, weight_decay=0.25).optimizers
    assert (likelihood.defaults["betas"], likelihood.defaults["weight_decay"]) == ((0.9, 0.99), 0.25)
    for optimizer in (generator, discriminator):
        assert (optimizer.defaults["betas"], optimizer.defaults["weight_decay"]) == ((0.0, 0.99), 0)


def test_ema_by_hand():
    module = GANTraining(SMALL, GANTrainingConfig(0, 1, 8), _toy())
    with torch.no_grad():
        module.gan.generator.to_parts.bias.fill_(10.0)
        module.ema_generator.to_parts.bias.fill_(2.0)
    update_ema(module.ema_generator, module.gan.generator, 0.75)
    assert module.ema_generator.to_parts.bias.tolist() == [4.0] * 5
    assert (module.finished_gan().generator.to_parts.bias == 4).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_steps": -1}, "below 0"),
        ({"pretrain_steps": 0, "train_steps": 0}, "at least one step"),
        ({"batch_size": 1}, "2 to 65536 bars"),
        ({"seed": -1}, "seed"),
        ({"song_exponent": 1.1}, r"song_exponent lies in 0 … 1"),
        ({"any_share": 1.01}, r"any_share lies in 0 … 1"),
        ({"any_share": -0.2}, "any_share"),
        ({"style_share": 2.0}, r"style_share lies in 0 … 1"),
        ({"style_share": float("inf")}, "style_share"),
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
    defaults = {field.name.replace("_", "-"): str(field.default) for field in (*fields(network), *fields(training))}
    named = shown.keys() & defaults.keys()
    assert len(named) >= 6
    assert {name: shown[name] for name in named} == {name: defaults[name] for name in named}


def test_nothing_to_train_on_is_refused(tmp_path):
    corpus = load_patterns()
    with pytest.raises(ValueError, match="nothing to train on"):
        train_gan(corpus.only(np.zeros(len(corpus), bool)), tmp_path)
    with pytest.raises(ValueError, match="kit gm9"):
        train_gan(corpus, tmp_path, network=GANConfig(kit=JAKI5.name))
    with pytest.raises(ValueError, match="none of the bars is a fill"):
        train_gan(corpus, tmp_path / "run", network=GANConfig(corpus.kit.name, corpus.steps, roles=("fill",)))


def test_another_run_is_not_overwritten(tmp_path):
    train_gan(_toy(), tmp_path, GANTrainingConfig(3, 2, 8), network=SMALL)
    kept = (tmp_path / WEIGHTS).read_bytes()
    for corpus, training, network, message in (
        (_toy(seed=1), GANTrainingConfig(3, 2, 8), SMALL, "other data"),
        (_toy(), GANTrainingConfig(3, 2, 16), SMALL, "batch_size 8, not 16"),
        (_toy(), GANTrainingConfig(3, 2, 8), replace(SMALL, width=25), "width 24, not 25"),
    ):
        with pytest.raises(ValueError, match=message):
            train_gan(corpus, tmp_path, training, network=network)
    assert (tmp_path / WEIGHTS).read_bytes() == kept


def test_a_run_on_other_roles_or_styles_is_not_resumed(tmp_path):
    """Neither if the networks are to learn others, nor if the bars of the same songs have others."""
    corpus, training = _roled(), GANTrainingConfig(3, 2, 8, discriminator_warmup=1)
    train_gan(corpus, tmp_path, training, network=ROLED)
    kept = (tmp_path / WEIGHTS).read_bytes()
    turned = replace(corpus, role=np.roll(corpus.role, 1))
    restyled = replace(corpus, file_style=1 - corpus.file_style)
    renamed = replace(corpus, styles=("unknown", "rock"))
    for data, network, message in (
        (turned, ROLED, "a run on other data"),
        (restyled, ROLED, "a run on other data"),
        (renamed, ROLED, "a run on other data"),
        (corpus, replace(ROLED, roles=("groove",)), r"network roles \['groove', 'fill'\], not \['groove'\]"),
        (corpus, replace(ROLED, roles=("fill", "groove")), "network roles"),
        (corpus, replace(ROLED, styles=()), r"network styles \['funk'\], not \[\]"),
    ):
        with pytest.raises(ValueError, match=message):
            train_gan(data, tmp_path, training, network=network)
    assert (tmp_path / WEIGHTS).read_bytes() == kept
    train_gan(corpus, tmp_path, replace(training, train_steps=3), network=ROLED)
    assert (tmp_path / WEIGHTS).read_bytes() != kept


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


def _points(out):
    board = EventAccumulator(str(out)).Reload()  # files of one second are read in any order
    names = board.Tags()["scalars"]
    return {name: sorted((point.step, point.value) for point in board.Scalars(name)) for name in names}


ONCE_KILLED = GANTrainingConfig(60, 60, 8, discriminator_warmup=1, denoiser_steps=2)


def train_until_killed(out):
    """Train between two checkpoints, when some of what will be done again is logged already, and no further."""

    def progress(done, total, phase):
        if done == 75:
            os.kill(os.getpid(), signal.SIGKILL)

    train_gan(_toy(), out, ONCE_KILLED, network=SMALL, accelerator="cpu", progress=progress)


def test_a_killed_run_logs_each_step_once_and_ends_as_one_that_was_not(tmp_path):
    code = "import sys, test_train_gan; test_train_gan.train_until_killed(sys.argv[1])"
    command = [sys.executable, "-c", code, tmp_path / "killed"]
    assert subprocess.run(command, cwd=Path(__file__).parent, check=False).returncode == -signal.SIGKILL
    assert read_checkpoint(tmp_path / "killed" / CHECKPOINT)["steps_done"] == 50
    runs = [
        train_gan(_toy(), tmp_path / name, ONCE_KILLED, network=SMALL, accelerator="cpu") for name in ("killed", "once")
    ]
    killed, once = map(load_file, runs)
    assert [name for name in once if not torch.equal(killed[name], once[name])] == []
    assert _points(tmp_path / "killed") == _points(tmp_path / "once")
    assert [step for step, _ in _points(tmp_path / "once")["epoch"]] == list(range(9, 120, 10))


def test_what_a_checkpoint_lacks_or_mistypes_is_refused_and_all_stays(tmp_path):
    training = GANTrainingConfig(3, 4, 8, discriminator_warmup=1)
    train_gan(_toy(), tmp_path, training, network=SMALL, accelerator="cpu")
    whole = read_checkpoint(tmp_path / CHECKPOINT)
    wrong = [{key: value for key, value in whole.items() if key != name} for name in whole]
    wrong += [whole | {name: value} for name in whole for value in (None, True, -1, "x", 0.5, [1], {"a": 1})]
    for state in wrong:
        if any(state.get(name) == value for name, value in (("epoch", -1), ("global_step", -1), ("seconds", 0.5))):
            continue  # numbers of the right type
        if state.get("pytorch-lightning_version") == "x":
            continue
        write_checkpoint(tmp_path / CHECKPOINT, state)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: .") as refusal:
            train_gan(_toy(), tmp_path, training, network=SMALL, accelerator="cpu")
        assert "\n" not in str(refusal.value)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_is_for_one_training(tmp_path):
    with locked_folder(tmp_path), pytest.raises(ValueError, match="another training runs in this folder"):
        train_gan(_toy(), tmp_path, GANTrainingConfig(3, 4, 8), network=SMALL, accelerator="cpu")
    assert not list(tmp_path.iterdir())


def test_what_a_run_is_made_of_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Or its checkpoint could not be resumed after a power loss."""
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("synced"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda part, name: (done.append(os.path.basename(name)), rename(part, name)))
    write_config(tmp_path, {"model": "gan"})
    assert done[:2] == ["synced", CONFIG]


_RUN = ("--batch-size", "8", "--width", "24", "--threads", "1", "--accelerator", "cpu")


def _start(*options):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "rhythmgan", "train", "gan", *map(str, options), *_RUN]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _here(out, **options):
    """What the command does, in this process."""
    patterns = load_patterns()
    network = GANConfig(
        patterns.kit.name, patterns.steps, width=24, roles=roles_of(patterns), styles=styles_of(patterns)
    )
    train_gan(patterns, out, GANTrainingConfig(batch_size=8, **options), network=network, accelerator="cpu")
    return load_file(out / WEIGHTS)


def test_mixed_precision_on_a_cpu(tmp_path):
    """Every phase takes a step, and half the bits make no other model than all of them."""
    made = {}
    for precision in ("bf16-mixed", "32-true"):
        out = tmp_path / precision
        training = GANTrainingConfig(batch_size=8, pretrain_steps=1, train_steps=1, denoiser_steps=1)
        train_gan(load_patterns(), out, training, network=_NARROW, accelerator="cpu", precision=precision)
        made[precision] = load_gan(out / WEIGHTS).generator.state_dict()
    half, whole = made.values()
    assert all(weights.dtype == torch.float32 for weights in half.values())
    assert max(float((half[name] - weights).abs().max()) for name, weights in whole.items()) < 0.1


@pytest.mark.parametrize("devices", ["5000", "1" + "0" * 30])
def test_more_devices_than_there_are_leave_no_folder(tmp_path, capsys, devices):
    arguments = ("train", "gan", "--out", str(tmp_path / "run"), "--devices", devices, "--quiet")
    assert main([*arguments, "--accelerator", "cpu"]) == 2
    said = capsys.readouterr().err
    assert said == f"rhythmgan: --devices {devices}: there may be {4 * os.cpu_count()} here, 4 processes a CPU\n"
    assert not (tmp_path / "run").exists()


_NARROW = GANConfig(load_patterns().kit.name, load_patterns().steps, width=8, discriminator_width=8)


def test_killed_by_the_system_and_resumed(tmp_path, capsys):
    """SIGKILL in the middle: the files that are there are whole, and the same command finishes the run."""
    options = ("--out", tmp_path / "run", "--pretrain-steps", 200, "--train-steps", 5)
    with _start(*options) as run:
        while not (tmp_path / "run" / CHECKPOINT).exists():
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
    load_gan(tmp_path / "run" / WEIGHTS)
    done = int(json.loads(read_metadata(tmp_path / "run" / WEIGHTS)["provenance"])["trained_steps"])
    assert 50 <= done < 205
    assert main(["train", "gan", *map(str, options), *_RUN]) == 0
    shown = capsys.readouterr().err
    assert "205/205" in shown
    # it did not begin again: the first number shown is past the checkpoint
    assert " 1/205" not in shown
    assert '"trained_steps": "205"' in read_metadata(tmp_path / "run" / WEIGHTS)["provenance"]
    killed, whole = load_file(tmp_path / "run" / WEIGHTS), _here(tmp_path / "once", pretrain_steps=200, train_steps=5)
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_two_processes_train_one_model(tmp_path):
    """DDP on the CPU: each process draws its own batch, so the weights differ from one process's."""
    with _start("--out", tmp_path / "2", "--devices", 2, "--pretrain-steps", 3, "--train-steps", 3) as run:
        printed, errors = run.communicate()
    assert run.returncode == 0, errors
    assert printed.count("weights:") == 1
    assert "Warning" not in errors
    one, two = _here(tmp_path / "1", pretrain_steps=3, train_steps=3), load_file(tmp_path / "2" / WEIGHTS)
    assert not torch.equal(one["generator.to_parts.weight"], two["generator.to_parts.weight"])
    assert '"trained_steps": "6"' in read_metadata(tmp_path / "2" / WEIGHTS)["provenance"]
