"""The convolutional GAN of phrases: its layers by hand, its critic's terms, phrases by seed, and its training."""

import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rhythmgan.bars import bars_to_words
from rhythmgan.kit import JAKI5
from rhythmgan.models import phrase_conv_gan
from rhythmgan.models.catalogue import load_model
from rhythmgan.models.config import PhraseConvGANConfig
from rhythmgan.models.interfaces import PhraseSampler
from rhythmgan.models.phrase_conv_gan import ConvCritic, ConvGenerator, PhraseConvGAN, save_phrase_conv_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.seeds import RANDOM_STREAMS, seeds_to_z
from rhythmgan.song_phrases import SongPhrases
from rhythmgan.training.config import PhraseConvGANTrainingConfig
from rhythmgan.training.phrase_conv_gan import WEIGHTS, PhraseConvGANTraining, train_phrase_conv_gan

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = PhraseConvGANConfig("jaki5", 12, bars=2, latent_dim=6, width=8)
SEEDS = np.arange(50)


@pytest.fixture(scope="module")
def small(one_thread):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        gan = PhraseConvGAN(SMALL).eval().requires_grad_(False)
    for layer in gan.generator.layers:
        if isinstance(layer, torch.nn.ConvTranspose3d):
            layer.weight.mul_(3)
    gan.generator.layers[-1].bias.zero_()  # about as many cells on as off
    return gan


def test_z_unfolds_into_bars_then_beats_then_steps_then_parts():
    """With weights that each tell one place apart the logit of a cell is the product of its four."""
    generator = ConvGenerator(PhraseConvGANConfig("jaki5", 12, bars=2, latent_dim=1, width=8)).eval()
    convolutions = [layer for layer in generator.layers if isinstance(layer, torch.nn.ConvTranspose3d)]
    assert [layer.kernel_size for layer in convolutions] == [(2, 1, 1), (1, 4, 1), (1, 3, 1), (1, 1, 5)]
    factors = []
    for layer in convolutions:
        size = layer.weight[0, 0].shape
        factor = torch.arange(1, 1 + size.numel()).float()
        layer.weight.data.zero_()
        layer.weight.data[0, 0] = factor.view(size)
        factors.append(factor)
    convolutions[-1].bias.data.zero_()
    found = generator(torch.ones(1, 1))[0]
    bar, beat, step, part = factors
    # batch normalisation without statistics divides by the root of 1 + 1e-5, three times
    expected = torch.einsum("a,b,c,d->abcd", bar, beat, step, part).reshape(2, 12, 5) / (1 + 1e-5) ** 1.5
    torch.testing.assert_close(found, expected)


def test_the_critic_scores_phrases_alone():
    critic = ConvCritic(SMALL)
    cells = torch.rand(5, 2, 12, 5, generator=torch.Generator().manual_seed(0))
    scores = critic(cells)
    assert scores.shape == (5,)
    torch.testing.assert_close(critic(cells[2:3]), scores[2:3])


def test_the_critic_lets_a_fifth_of_what_is_below_zero_through():
    """Its last convolution says -1 whatever it sees, and the score is the mean of what is left of it."""
    critic = ConvCritic(SMALL)
    for parameter in critic.parameters():
        parameter.data.zero_()
    *_, last, _, _, linear = critic.layers
    last.bias.data.fill_(-1)
    linear.weight.data.fill_(1 / 8)
    torch.testing.assert_close(critic(torch.ones(2, 2, 12, 5)), torch.full((2,), -0.2))


@pytest.mark.parametrize("options", [{"width": 12}, {"width": 4}, {"bars": 0}, {"latent_dim": 0}, {"steps": 17}])
def test_shapes_that_cannot_be_built_are_refused(options):
    with pytest.raises(ValueError, match=r"width|1 to 16 bars|latent_dim lies in|steps"):
        PhraseConvGANConfig(**options)


def test_phrases_of_seeds_are_cut_at_one_half(small):
    assert isinstance(small, PhraseSampler)
    phrases = small.phrases(SEEDS, 2)
    assert phrases.shape == (50, 2, 12, 5)
    z = seeds_to_z(SEEDS, 6, RANDOM_STREAMS["phrase"][0])
    soft = torch.sigmoid(small.generator(torch.from_numpy(z)))
    clear = (soft - 0.5).abs() > 1e-5
    assert torch.equal(torch.from_numpy(phrases)[clear], (soft > 0.5)[clear])
    assert np.array_equal(small.phrases(SEEDS[[31, 7]], 2), phrases[[31, 7]])
    assert np.array_equal(small.phrases(SEEDS, 1), phrases[:, :1])
    assert len(np.unique(bars_to_words(phrases).reshape(50, -1), axis=0)) > 10


def test_the_temperature_is_by_how_much_z_is_stretched(small):
    gan = copy.deepcopy(small)
    gan.generator.layers[-1].bias.fill_(-0.2)  # without it the side of one half would be the same at any temperature
    z = torch.from_numpy(seeds_to_z(SEEDS, 6, RANDOM_STREAMS["phrase"][0])).double()
    for temperature in (0.25, 1.0, 4.0):
        logits = copy.deepcopy(gan.generator).double()(temperature * z)
        assert np.array_equal(gan.phrases(SEEDS, 2, temperature), logits.numpy() > 0)
    assert not np.array_equal(gan.phrases(SEEDS, 2, 0.25), gan.phrases(SEEDS, 2, 4.0))


def test_a_phrase_is_the_same_in_any_batch_while_the_network_is_trained(small, monkeypatch):
    """Batch normalisation goes by what it has learned, and learns nothing of what is drawn."""
    gan = copy.deepcopy(small).train()
    before = gan.fingerprint
    assert np.array_equal(gan.phrases(SEEDS, 2), small.phrases(SEEDS, 2))
    assert (gan.fingerprint, gan.training) == (before, True)
    monkeypatch.setattr(phrase_conv_gan, "_BATCH", 7)
    assert np.array_equal(gan.phrases(SEEDS, 2), small.phrases(SEEDS, 2))


def test_it_goes_on_from_no_bars_and_refuses_what_it_cannot_make(small):
    with pytest.raises(ValueError, match="cannot go on from bars that are given"):
        small.phrases(SEEDS, 2, given=np.zeros((1, 12, 5), bool))
    for n_bars in (0, 3):
        with pytest.raises(ValueError, match=f"1 to 2 bars, a whole number, not {n_bars}"):
            small.phrases(SEEDS, n_bars)
    for temperature in (-1.0, 0.0, 1001.0):
        with pytest.raises(ValueError, match=f"the temperature is over 0, up to 1000, not {temperature}"):
            small.phrases(SEEDS, 2, temperature)


def test_weights_come_back_as_they_were(small, tmp_path):
    save_phrase_conv_gan(tmp_path / "weights.safetensors", small, {})
    again = load_model(tmp_path / "weights.safetensors")
    assert again.config == SMALL
    assert again.fingerprint == small.fingerprint
    assert (again.kit, again.steps, again.max_bars) == (JAKI5, 12, 2)
    assert np.array_equal(again.phrases(SEEDS, 2), small.phrases(SEEDS, 2))


# -- training -------------------------------------------------------------------------------------


def toy_phrases():
    """Two songs: kicks on all beats with hats on all steps, or snares on all steps of the second bar."""
    words = np.zeros((2, 2, 12), np.uint16)
    words[:, :, ::3] = 0b10000
    words[0] |= 0b00100
    words[1, 1] |= 0b01000
    return SongPhrases(words, np.arange(2), np.ones(2, int), np.zeros(2, int), JAKI5)


TRAINING = PhraseConvGANTrainingConfig(train_steps=150, batch_size=16, critic_steps=3, learning_rate=2e-3)


def test_the_terms_of_the_critic_by_hand():
    """A critic that is 3 times the first cell: the gradient is 3 long everywhere, so that the penalty is 4."""
    module = PhraseConvGANTraining(SMALL, TRAINING, toy_phrases())
    module.critic.forward = lambda cells: 3 * cells[:, 0, 0, 0]
    real, fake = torch.ones(4, 2, 12, 5), torch.full((4, 2, 12, 5), 0.25)
    terms = module.critic_terms(real, fake, torch.Generator().manual_seed(0))
    assert terms["loss_d"].item() == pytest.approx(3 * (0.25 - 1))
    assert terms["penalty"].item() == pytest.approx(4)


def test_the_penalty_is_taken_between_a_real_and_a_fake_phrase():
    """The gradient of half the sum of squares at a point is the point: between 0 and 1 it is shorter than at 1."""
    module = PhraseConvGANTraining(SMALL, TRAINING, toy_phrases())
    module.critic.forward = lambda cells: cells.square().sum((1, 2, 3)) / 2
    real, fake = torch.ones(500, 2, 12, 5), torch.zeros(500, 2, 12, 5)
    terms = module.critic_terms(real, fake, torch.Generator().manual_seed(0))
    length = 120**0.5  # of a point that is all 1; the mean of (u · length - 1)² over u of 0 … 1
    assert terms["penalty"].item() == pytest.approx(120 / 3 - length + 1, rel=0.1)


def test_every_phrase_is_penalised_at_a_point_of_its_own():
    """Of a critic that is half the sum of squares the gradient is the point: as many lengths as phrases."""
    module = PhraseConvGANTraining(SMALL, TRAINING, toy_phrases())
    points = []
    module.critic.forward = lambda cells: points.append(cells.detach()) or cells.square().sum((1, 2, 3)) / 2
    module.critic_terms(torch.ones(9, 2, 12, 5), torch.zeros(9, 2, 12, 5), torch.Generator().manual_seed(0))
    assert len(points[0][:, 0, 0, 0].unique()) == 9
    assert all(len(point.unique()) == 1 for point in points[0])


def _one_step(module):
    """A step without Lightning: what was minimised, its terms, and the optimisers."""
    losses, terms, optimizers = [], {}, module.configure_optimizers()
    module.optimizers = lambda: optimizers
    module.manual_backward = lambda loss: losses.append(loss.item()) or loss.backward()
    module.log_dict = lambda found: terms.update({name: term.item() for name, term in found.items()})
    module._trainer = SimpleNamespace(should_stop=False, global_rank=0)
    module.training_step(None, 0)
    return losses, terms, optimizers


def test_a_step_trains_the_critic_so_often_and_then_the_generator_once():
    module = PhraseConvGANTraining(SMALL, replace(TRAINING, penalty_coef=7.0), toy_phrases())
    losses, terms, optimizers = _one_step(module)
    assert len(losses) == 3 + 1
    assert losses[2] == pytest.approx(terms["loss_d"] + 7 * terms["penalty"])
    assert losses[3] == pytest.approx(terms["loss_g"])
    assert [each.defaults["betas"] for each in optimizers] == [(0.5, 0.9)] * 2
    assert all(parameter.requires_grad for parameter in module.critic.parameters())
    assert (module.steps_done, module.seconds > 0, module.trainer.should_stop) == (1, True, False)


def test_what_is_drawn_is_of_the_seed_and_the_step():
    def losses(seed, at=0):
        module = PhraseConvGANTraining(SMALL, replace(TRAINING, seed=seed, critic_steps=1), toy_phrases())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module.gan, module.critic = PhraseConvGAN(SMALL), ConvCritic(SMALL)  # of the same weights
        module.steps_done = at
        return _one_step(module)[0]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)
    assert losses(1) != losses(1, at=1)


def test_the_weights_to_begin_with_are_of_the_seed():
    first, again, other = (
        PhraseConvGANTraining(SMALL, replace(TRAINING, seed=seed), toy_phrases()).gan.fingerprint for seed in (1, 1, 2)
    )
    assert first == again != other


def test_weights_that_are_saved_on_the_way_leave_the_training_alone(tmp_path):
    module = PhraseConvGANTraining(SMALL, TRAINING, toy_phrases()).train()
    module.save(tmp_path, {})
    assert module.gan.training
    assert all(parameter.requires_grad for parameter in module.gan.parameters())


def test_a_checkpoint_says_how_far_a_run_is():
    module, again = (PhraseConvGANTraining(SMALL, TRAINING, toy_phrases()) for _ in range(2))
    module.steps_done, module.seconds = 7, 2.5
    module.on_save_checkpoint(checkpoint := {})
    again.on_load_checkpoint(checkpoint)
    assert (again.steps_done, again.seconds) == (7, 2.5)


def test_it_learns_the_phrases_of_a_toy(tmp_path):
    weights = train_phrase_conv_gan(
        toy_phrases(), tmp_path, TRAINING, network=replace(SMALL, width=32), accelerator="cpu"
    )
    assert weights == tmp_path / WEIGHTS
    phrases = load_model(weights).phrases(np.arange(200), 2)
    rates = phrases.mean(0)
    assert rates[:, ::3, 0].min() > 0.7  # the kicks of both
    assert rates[:, 1::3, 0].max() < 0.2
    assert 0.1 < rates[1, :, 1].mean() < 0.9  # the snares of one
    assert rates[0, :, 1].max() < 0.2
    facts = json.loads(read_metadata(weights)["provenance"])
    assert (facts["trained_songs"], facts["trained_steps"]) == ("2", "150")


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path):
    short, long = replace(TRAINING, train_steps=50, critic_steps=1), replace(TRAINING, train_steps=53, critic_steps=1)

    def run(name, config):
        return load_model(
            train_phrase_conv_gan(toy_phrases(), tmp_path / name, config, network=SMALL, accelerator="cpu")
        ).fingerprint

    run("two", short)
    assert run("two", long) == run("one", long)


def test_phrases_of_another_shape_are_refused(tmp_path):
    with pytest.raises(ValueError, match="2 bars of 12 steps in kit jaki5, those of the networks 4 of 16 in rythmgan7"):
        train_phrase_conv_gan(toy_phrases(), tmp_path, TRAINING, network=PhraseConvGANConfig())
