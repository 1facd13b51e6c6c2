"""A GAN of phrases: one z for all bars, phrases by seed, given bars that go on, its batches and its training."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rhythmgan.augment import EXCHANGED, THINNED
from rhythmgan.bars import bars_to_words, words_to_bars
from rhythmgan.cli import main
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.kit import GM12, JAKI5, RYTHMGAN7
from rhythmgan.models.catalogue import load_model, load_sampled
from rhythmgan.models.config import GANConfig, PhraseGANConfig
from rhythmgan.models.gan import AdversarialPair, Generator
from rhythmgan.models.interfaces import LatentModel, PhraseSampler, Sampler
from rhythmgan.models.phrase_gan import PhraseGAN, load_phrase_gan, save_phrase_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.song_phrases import SongPhrases
from rhythmgan.training import calibration, phrase_batches
from rhythmgan.training.config import PhraseGANTrainingConfig
from rhythmgan.training.phrase_batches import PhraseBatches, check_phrases, phrase_facts, phrases_digest
from rhythmgan.training.phrase_gan import WEIGHTS, PhraseGANTraining, phrase_nll, train_phrase_gan

SMALL = PhraseGANConfig("jaki5", 12, width=10, discriminator_width=8, dropout=0.1, bars=3)
SEEDS = np.arange(40)


@pytest.fixture(autouse=True)
def _quick(one_thread, monkeypatch):
    monkeypatch.setattr(calibration, "_BARS", 16)


@pytest.fixture(scope="module")
def small(one_thread):
    """A generator whose cells depend on one another, in every part about as often on as off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        gan = PhraseGAN(SMALL).eval().requires_grad_(False)
    for parameter in gan.generator.generator.parameters():
        parameter.mul_(2)
    gan.generator.generator.to_parts.bias.fill_(-0.7)
    return gan


# -- the network ----------------------------------------------------------------------------------


def test_a_phrase_is_one_bar_of_so_many_times_the_steps():
    assert (SMALL.length, SMALL.repeats) == (36, (3, 6, 12, 24))
    assert PhraseGANConfig(bars=2).repeats == (4, 8, 16)
    assert PhraseGANConfig().length == 64
    assert (GANConfig(steps=24).length, GANConfig(steps=24).repeats) == (24, (6, 12))
    generator = Generator(SMALL)
    assert generator.lags == (1, 3, 6, 12, 24)
    assert generator.from_place.shape == (36, 30)


def test_a_cell_is_expected_again_a_bar_and_two_bars_later():
    """Where nothing else speaks, a part is expected by how it was a beat, two beats, a bar and two bars before."""
    generator = Generator(SMALL).eval()
    for parameter in generator.parameters():
        parameter.data.zero_()
    weights = (0.5, 0.25, 2.0, 8.0)
    generator.to_repeats.bias.data.copy_(torch.tensor(weights).repeat_interleave(5))
    bars = (torch.rand(1, 36, 5, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    found = generator.expect(bars, torch.zeros(1, 3, dtype=torch.long))
    for step in (0, 5, 12, 23, 24, 35):
        sides = [
            weight * (2 * bars[0, step - lag] - 1)
            for lag, weight in zip((3, 6, 12, 24), weights, strict=True)
            if step >= lag
        ]
        torch.testing.assert_close(found[0, step], torch.stack(sides).sum(0) if sides else torch.zeros(5))


def test_the_discriminator_is_shown_what_differs_a_bar_and_two_bars_later(monkeypatch):
    discriminator = AdversarialPair(SMALL).discriminator
    bars = (torch.rand(2, 36, 5, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    seen = {}
    discriminator.first.register_forward_hook(lambda module, inputs, found: seen.update(x=inputs[0]))
    discriminator(bars, torch.zeros(1, 3, dtype=torch.long))
    compared = [bars != bars.roll(3, 1), *(bars[:, lag:] != bars[:, :-lag] for lag in (6, 12, 24))]
    expected = torch.cat([each.float().flatten(1) for each in compared], 1)
    torch.testing.assert_close(seen["x"][:, 36 * (5 + 32) :], expected)


def test_shapes_that_are_no_phrase_are_refused():
    for bars in (1, 17):
        with pytest.raises(ValueError, match=f"2 to 16 bars, not {bars}"):
            PhraseGANConfig(bars=bars)


# -- phrases by seed ------------------------------------------------------------------------------


def test_it_is_a_phrase_sampler_and_no_model_of_single_bars(small):
    assert isinstance(small, PhraseSampler)
    assert not isinstance(small, Sampler | LatentModel)
    assert (small.kit, small.steps, small.max_bars) == (JAKI5, 12, 3)


def test_a_phrase_is_of_its_seed_in_any_batch_and_fewer_bars_are_the_first_of_more(small):
    phrases = small.phrases(SEEDS, 3)
    assert phrases.shape == (40, 3, 12, 5)
    assert phrases.dtype == bool
    assert 0.1 < phrases.mean() < 0.9
    assert len(np.unique(bars_to_words(phrases).reshape(40, -1), axis=0)) > 30
    assert np.array_equal(small.phrases(SEEDS[[31, 7]], 3), phrases[[31, 7]])
    assert np.array_equal(small.phrases(SEEDS, 2), phrases[:, :2])
    assert not np.array_equal(small.phrases(SEEDS, 3, 0.5), phrases)


def test_phrases_of_seeds_come_as_often_as_their_chances_say(small):
    """Of every cell, given those before it: Φ of what is expected, over all phrases of many seeds."""
    bars = small.phrases(np.arange(4000), 3).reshape(4000, 36, 5)
    expected = small.generator.in_double().expect(torch.from_numpy(bars).double(), small.generator.labels)
    chance = norm.cdf(expected.numpy())
    spread = np.sqrt((chance * (1 - chance)).sum(0))
    assert np.abs((bars - chance).sum(0) / np.maximum(spread, 1)).max() < 4.5


def test_what_is_no_phrase_of_the_model_is_refused(small):
    for n_bars in (0, 4):
        with pytest.raises(ValueError, match=f"1 to 3 bars, a whole number, not {n_bars}"):
            small.phrases(SEEDS, n_bars)
    with pytest.raises(ValueError, match="temperature"):
        small.phrases(SEEDS, 3, 0.0)


# -- bars that are given --------------------------------------------------------------------------


def test_given_bars_come_first_and_the_rest_is_of_the_seed(small):
    given = np.random.default_rng(0).random((2, 12, 5)) < 0.3
    phrases = small.phrases(SEEDS, 3, given=given)
    assert (phrases[:, :2] == given).all()
    assert len(np.unique(bars_to_words(phrases[:, 2]), axis=0)) > 20
    assert np.array_equal(small.phrases(SEEDS[[31, 7]], 3, given=given), phrases[[31, 7]])
    assert np.array_equal(small.complete(given[None, :1], SEEDS, 2), small.phrases(SEEDS, 2, given=given[:1]))


def test_the_first_bars_of_a_seeds_own_phrase_bring_it_back(small):
    own = small.phrases(SEEDS, 3)
    for k in range(4):
        assert np.array_equal(small.complete(own[:, :k], SEEDS), own)


def test_what_follows_given_bars_is_of_the_temperature_that_is_asked_for(small):
    own = small.phrases(SEEDS, 3, 0.5)
    assert np.array_equal(small.complete(own[:, :1], SEEDS, temperature=0.5), own)
    assert not np.array_equal(small.complete(own[:, :1], SEEDS), own)
    for row in (3, 17):
        assert np.array_equal(small.phrases(SEEDS[[row]], 3, 0.5, own[row, :1]), own[[row]])


def test_what_follows_is_distributed_as_behind_the_same_bars_of_own_phrases(small):
    """The cells of the next step behind a bar are as the chances say, given the bar: no other distribution."""
    given = np.random.default_rng(1).random((1, 12, 5)) < 0.3
    bars = small.phrases(np.arange(3000), 3, given=given).reshape(3000, 36, 5)
    expected = small.generator.in_double().expect(torch.from_numpy(bars).double(), small.generator.labels)
    chance = norm.cdf(expected.numpy())[:, 12:]
    spread = np.sqrt((chance * (1 - chance)).sum(0))
    assert np.abs((bars[:, 12:] - chance).sum(0) / np.maximum(spread, 1)).max() < 4.5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((1, 16, 5), bool), r"\(k, 12, 5\) bool with k below 2; got bool \(1, 16, 5\)"),
        (np.zeros((1, 12, 7), bool), "got bool"),
        (np.zeros((1, 12, 5), np.uint8), "got uint8"),
        (np.zeros((2, 12, 5), bool), "k below 2; got bool"),
    ],
)
def test_given_bars_that_do_not_fit_are_refused(small, given, said):
    with pytest.raises(ValueError, match=said):
        small.phrases(SEEDS, 2, given=given)


def test_phrases_are_not_completed_from_more_bars_than_they_have(small):
    with pytest.raises(ValueError, match="3 bars are given, more than the 2 of the phrase"):
        small.complete(np.zeros((1, 3, 12, 5), bool), SEEDS, 2)


def test_as_many_rows_of_given_bars_as_seeds_are_needed(small):
    with pytest.raises(ValueError, match=r"got bool \(3, 1, 12, 5\)"):
        small.complete(np.zeros((3, 1, 12, 5), bool), SEEDS)


# -- its file -------------------------------------------------------------------------------------


def test_weights_come_back_as_they_were(small, tmp_path):
    path = tmp_path / "phrases.safetensors"
    save_phrase_gan(path, small, {"trained_songs": "3"})
    again = load_model(path)
    assert isinstance(again, PhraseGAN)
    assert again.config == SMALL
    assert again.fingerprint == small.fingerprint
    assert np.array_equal(again.phrases(SEEDS, 3), small.phrases(SEEDS, 3))
    assert load_sampled(path, 12).config == SMALL
    with pytest.raises(ValueError, match="makes bars of 12 steps, but 16 are asked for"):
        load_sampled(path, 16)


def test_weights_of_another_model_are_refused(tmp_path):
    from rhythmgan.models.gan import GAN, save_gan

    save_gan(tmp_path / "gan.safetensors", GAN(GANConfig("jaki5", width=4, discriminator_width=4)), {})
    with pytest.raises(ValueError, match="holds no weights of a GAN of phrases"):
        load_phrase_gan(tmp_path / "gan.safetensors")


# -- batches --------------------------------------------------------------------------------------


def toy_phrases(n_songs=6, kit=JAKI5):
    """Songs of three bars of 12 steps: a kick on each beat, a hat by song, a snare in the third bar; half off time."""
    words = np.zeros((2 * n_songs, 3, 12), np.uint16)
    words[:, :, ::3] |= 1 << kit.n_parts - 1
    song = np.arange(2 * n_songs) // 2
    for row, number in enumerate(song):
        words[row, :, number % 3 :: 3] |= 1 << kit.n_parts - 3
    words[:, 2, 6] |= 1 << kit.n_parts - 2
    off = np.arange(2 * n_songs) % 2
    words[off == 1] = np.roll(words[off == 1], 1, 1)  # begins with what is the third bar of the others
    return SongPhrases(words, song, np.full(2 * n_songs, 2), off, kit)


def test_phrases_begin_off_time_as_often_as_asked_and_are_labelled():
    batch = PhraseBatches(toy_phrases(), 0.0, 0.25).draw(4000, torch.Generator().manual_seed(0))
    assert batch.bars.shape == (4000, 36, 5)
    assert not batch.labels[:, 1:].any()
    off = batch.labels[:, 0]
    assert off.float().mean().item() == pytest.approx(0.25, abs=0.03)
    snare = batch.bars.view(4000, 3, 12, 5)[:, :, 6, 1]
    assert torch.equal(snare[off == 0], torch.tensor([False, False, True]).expand(int((off == 0).sum()), 3))
    assert torch.equal(snare[off == 1], torch.tensor([True, False, False]).expand(int((off == 1).sum()), 3))


def test_augmented_phrases_are_thinned_or_exchanged_and_never_rotated():
    batch = PhraseBatches(toy_phrases(), 0.6, 0.25).draw(6000, torch.Generator().manual_seed(0))
    label = batch.labels[:, 0]
    shares = [(label == each).float().mean().item() for each in (0, 1, THINNED, EXCHANGED)]
    np.testing.assert_allclose(shares, [0.3, 0.1, 0.3, 0.3], atol=0.03)
    kick = batch.bars[:, :, 0].any(1)
    assert kick[label != THINNED].all()
    assert kick[label == THINNED].float().mean().item() == pytest.approx(0.75, abs=0.04)
    on_beats = batch.bars[:, ::3, 0].all(1)
    assert torch.equal(on_beats, kick)


def test_rates_are_those_of_what_is_drawn():
    batches = PhraseBatches(toy_phrases(), 0.6, 0.25)
    batch = batches.draw(20_000, torch.Generator().manual_seed(1))
    assert batches.rates.shape == (1, 36, 5)
    np.testing.assert_allclose(batch.bars.float().mean(0), batches.rates[0], atol=0.015)


def test_rates_do_not_depend_on_what_is_in_memory(monkeypatch):
    whole = PhraseBatches(toy_phrases(), 0.6, 0.25).rates
    monkeypatch.setattr(phrase_batches, "_RATED", 5)
    torch.testing.assert_close(PhraseBatches(toy_phrases(), 0.6, 0.25).rates, whole)


def test_other_phrases_are_another_run():
    """Also where only the place differs at which they begin, or how often their song plays them."""
    phrases = toy_phrases()
    others = (
        replace(phrases, words=phrases.words[::-1]),
        replace(phrases, song=phrases.song[::-1]),
        replace(phrases, plays=phrases.plays + np.arange(12)),
        replace(phrases, off=2 * phrases.off),
    )
    assert len({phrases_digest(each) for each in (phrases, *others)}) == 5
    assert phrase_facts(phrases, 23) == {"trained_phrases": "12", "trained_songs": "6", "trained_seed": "23"}


def test_phrases_that_are_not_there_are_asked_for_in_vain():
    phrases = toy_phrases()
    with pytest.raises(ValueError, match="no song has 3 bars in a row that begin off time"):
        PhraseBatches(phrases.on_time(), 0.0, 0.2)
    with pytest.raises(ValueError, match="no song has 3 bars in a row that begin on time"):
        PhraseBatches(phrases.only(phrases.off > 0))
    assert len(PhraseBatches(phrases.on_time()).words) == 6
    with pytest.raises(ValueError, match="3 bars of 12 steps in kit jaki5, those of the networks 4 of 16 in gm9"):
        check_phrases(phrases, "gm9", 16, 4)


# -- training -------------------------------------------------------------------------------------

QUICK = PhraseGANTrainingConfig(
    pretrain_steps=300,
    train_steps=6,
    batch_size=16,
    pretrain_learning_rate=2e-2,
    discriminator_warmup=2,
    augmented_share=0.0,
    off_share=0.0,
)


def test_it_learns_the_phrases_of_a_toy(tmp_path):
    """Three songs' phrases: 36 steps whose third bar alone has a snare, which only the place and a long lag tell."""
    phrases = toy_phrases()
    told = []
    weights = train_phrase_gan(
        phrases, tmp_path, QUICK, network=SMALL, accelerator="cpu", progress=lambda *each: told.append(each)
    )
    assert weights == tmp_path / WEIGHTS
    assert {phase for *_, phase in told} == {"pretraining", "adversarial"}
    gan = load_phrase_gan(weights)
    untrained = PhraseGANTraining(SMALL, QUICK, phrases).finished_gan()
    assert phrase_nll(gan, phrases.on_time()) < 0.3 * phrase_nll(untrained, phrases.on_time())
    snare = gan.phrases(np.arange(300), 3)[..., 1].any(2).mean(0)
    assert snare[2] > 0.5 > 0.2 > snare[:2].max()
    facts = json.loads(read_metadata(weights)["provenance"])
    assert (facts["trained_phrases"], facts["trained_songs"], facts["trained_steps"]) == ("12", "6", "306")
    assert (tmp_path / "phrases.png").stat().st_size > 1000


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    phrases, short = toy_phrases(), replace(QUICK, pretrain_steps=49, train_steps=4, batch_size=4)

    def run(folder, config):
        return load_phrase_gan(train_phrase_gan(phrases, folder, config, network=SMALL, accelerator="cpu"))

    whole = run(tmp_path / "whole", short)

    def stop(done, *_):
        if done == 51:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_phrase_gan(
            phrases,
            tmp_path / "stopped",
            short,
            network=SMALL,
            accelerator="cpu",
            progress=stop,
        )
    again = run(tmp_path / "stopped", short)
    assert again.fingerprint == whole.fingerprint


def test_the_nats_of_phrases_are_those_of_their_cells_as_songs_play_them(small):
    words = np.random.default_rng(2).integers(0, 32, (3, 3, 12)).astype(np.uint16)
    phrases = SongPhrases(words, np.array([0, 0, 1]), np.array([3, 1, 5]), np.zeros(3, int), JAKI5)
    bars = torch.from_numpy(words_to_bars(words, 5)).view(3, 36, 5)
    expected = small.generator.in_double().expect(bars.double(), small.generator.labels).numpy()
    costs = -norm.logcdf(np.where(bars, expected, -expected)).sum((1, 2))
    by_hand = (3 / 8 * costs[0] + 1 / 8 * costs[1] + 1 / 2 * costs[2]) / 36
    assert phrase_nll(small, phrases) == pytest.approx(by_hand)


def save_songs(path):
    """A corpus of 30 songs of four bars of 16 steps, of the kit that songs are read into."""
    words = np.random.default_rng(0).integers(1, 1 << 12, (120, 16)).astype(np.uint16)
    song = np.repeat(np.arange(30), 4)
    names = tuple(map(str, range(30)))
    save_corpus(path, Corpus.of(words, song, song, np.tile(np.arange(4), 30), names, names, GM12))
    return path


def test_the_command_trains_both_kinds_and_their_phrases_are_sampled(tmp_path, capsys):
    corpus = save_songs(tmp_path / "songs.npz")
    options = ["--data", str(corpus), "--bars", "2", "--batch-size", "4", "--train-steps", "2", "--quiet"]
    out = tmp_path / "run"
    assert main(["train", "rythmgan", *options, "--pretrain-steps", "2", "--width", "8", "--out", str(out)]) == 0
    assert f"next: rhythmgan sample --weights {out / WEIGHTS} --bars 2" in capsys.readouterr().out
    gan = load_phrase_gan(out / WEIGHTS)
    assert (gan.kit, gan.steps, gan.max_bars, gan.config.width) == (RYTHMGAN7, 16, 2, 8)
    assert main(["sample", "--weights", str(out / WEIGHTS), "--bars", "2", "--n", "3", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.rglob("*.mid"))) == 3
    published = tmp_path / "published"
    assert main(["train", "rythmgan", *options, "--as-published", "--width", "8", "--out", str(published)]) == 0
    assert load_model(published / "rythmgan-published.safetensors").max_bars == 2
    assert main(["train", "rythmgan", *options, "--as-published", "--pretrain-steps", "2", "--out", str(out)]) == 2
    assert "--as-published has no pretraining" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bars", "0"], "a phrase has 2 to 16 bars, not 0"),
        (["--bars", "1"], "a phrase has 2 to 16 bars, not 1"),
        (["--bars", "0", "--as-published"], "a phrase has 1 to 16 bars, not 0"),
        (["--width", "0"], "the widths lie in 1 … 4096"),
        (["--width", "12", "--as-published"], "width is a multiple of 8"),
        (["--batch-size", "1"], "a batch has 2 to 65536 bars, not 1"),
    ],
)
def test_options_out_of_range_are_refused_before_the_corpus_is_read(tmp_path, capsys, options, said):
    nowhere = str(tmp_path / "nowhere.npz")
    assert main(["train", "rythmgan", "--data", nowhere, *options, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
