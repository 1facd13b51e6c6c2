"""The note-wise CNN: its formula by a slow loop, its draws, its openings, its file, and that it learns a toy."""

import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from rhythmgan.kit import JAKI5, ROLAND10
from rhythmgan.loops import NoteLoops
from rhythmgan.models.catalogue import load_likelihood, load_model, load_note_model
from rhythmgan.models.config import NoteCNNConfig
from rhythmgan.models.note_cnn import NoteCNN, load_note_cnn, save_note_cnn
from rhythmgan.models.weights import read_metadata
from rhythmgan.training.config import NoteCNNTrainingConfig
from rhythmgan.training.note_cnn import WEIGHTS, count_openings, train_note_cnn

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = NoteCNNConfig(width=4, kernel=3, n_openings=2)


def random_cnn(config=SMALL, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cnn = NoteCNN(config).eval().requires_grad_(False)
    cnn.openings.copy_(torch.arange(config.n_openings * config.n_given).view(cnn.openings.shape) % cnn.n_notes)
    cnn.opening_chances.copy_(torch.full((config.n_openings,), 1 / max(config.n_openings, 1)))
    return cnn


def test_logits_are_those_of_a_slow_loop():
    """A convolution of three steps over the window padded with zeros, then one weight for each channel and place."""
    cnn = random_cnn()
    notes = torch.tensor([[1, 0, 7, 7, 2]])
    window = np.zeros((34, 10))  # one step of padding at either end
    for place, note in zip(range(27, 32), notes[0].tolist(), strict=True):
        window[place + 1, note] = 1
    kernel, bias = cnn.conv.weight.numpy().astype(float), cnn.conv.bias.numpy().astype(float)
    expected = cnn.linear.bias.numpy().astype(float).copy()
    weight = cnn.linear.weight.numpy().reshape(10, 4, 32)
    for place in range(32):
        for channel in range(4):
            found = bias[channel] + sum(kernel[channel, :, k] @ window[place + k] for k in range(3))
            expected += weight[:, channel, place] * max(found, 0)
    np.testing.assert_allclose(cnn(cnn.windows(notes))[0].numpy(), expected, atol=1e-5)


def test_the_probabilities_of_all_next_notes_sum_to_1_and_are_no_softmax_of_a_softmax():
    """Of a linear layer that is all 0 but for a bias of log 8 for the snare they are 8 / 17, and 1 / 17 each."""
    cnn = random_cnn()
    cnn.linear.weight.zero_()
    cnn.linear.bias.zero_()
    cnn.linear.bias[2] = math.log(8)
    notes = np.zeros((1, 32), int)
    notes[0, 8] = 2
    found = cnn.log_prob(notes)
    assert found.shape == (1, 24)
    assert found[0, 0].exp() == pytest.approx(8 / 17)
    assert found[0, 1:].exp().numpy() == pytest.approx(np.full(23, 1 / 17))


def test_a_note_is_as_likely_as_the_notes_before_it_say():
    cnn = random_cnn()
    notes = np.random.default_rng(0).integers(0, 10, (5, 32))
    whole = cnn.log_prob(notes)
    for step in (8, 9, 20, 31):
        seen = cnn.windows(torch.from_numpy(notes[:, :step]))
        torch.testing.assert_close(whole[:, step - 8], cnn(seen).log_softmax(1)[range(5), notes[:, step]])
    other = notes.copy()
    other[:, 21:] = 0
    torch.testing.assert_close(cnn.log_prob(other)[:, :13], whole[:, :13])
    for wrong, said in ((notes[:, :31], r"\(n, 32\)"), (notes + 1, "0 … 9"), (notes - 1, "0 … 9")):
        with pytest.raises(ValueError, match=said):
            cnn.log_prob(wrong)


def test_loops_of_a_seed_do_not_depend_on_the_batch():
    cnn = random_cnn()
    loops = cnn.sample(20, seed=5)
    assert loops.shape == (20, 2, 16, 9)
    assert loops.sum(-1).max() == 1
    np.testing.assert_array_equal(cnn.sample(3, seed=9), loops[4:7])
    assert (cnn.sample(20, seed=25) != loops).any()
    assert cnn.sample(0).shape == (0, 2, 16, 9)
    given_notes = np.tile(np.arange(8), (2, 1))
    notes = cnn.complete(given_notes, np.array([3, 4]), temperature=0.5)
    np.testing.assert_array_equal(notes[:, :8], given_notes)
    assert (
        cnn.complete(given_notes, np.array([3, 4]), temperature=1e-4)[0]
        == cnn.complete(given_notes, np.array([8, 9]), temperature=1e-4)[0]
    ).all()  # all but certain: the likeliest notes whatever the seed


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda cnn: cnn.sample(-1), "n is at least 0"),
        (lambda cnn: cnn.sample(1, seed=-1), "seeds are whole numbers"),
        (lambda cnn: cnn.sample(1, temperature=0), "temperature is a number over 0"),
        (lambda cnn: cnn.complete(np.zeros((1, 7), int), np.arange(1)), r"expected notes \(n, 8\)"),
        (lambda cnn: random_cnn(NoteCNNConfig(width=2)).sample(1), "has no openings"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call(random_cnn())


@pytest.mark.parametrize("wrong", [{"width": 0}, {"kernel": 4}, {"kernel": 33}, {"n_given": 0}, {"n_given": 32}])
def test_a_shape_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="lies in"):
        NoteCNNConfig(**wrong)


def test_its_file_gives_it_back(tmp_path):
    cnn = random_cnn()
    path = tmp_path / "cnn.safetensors"
    save_note_cnn(path, cnn, {"trained_loops": "3"})
    again = load_note_cnn(path)
    assert again.fingerprint == cnn.fingerprint
    np.testing.assert_array_equal(again.sample(4), cnn.sample(4))
    assert isinstance(load_model(path), NoteCNN)
    assert load_note_model(path).n_given == 8
    with pytest.raises(ValueError, match="no model that says how likely bars are"):
        load_likelihood(path)
    with pytest.raises(ValueError, match="no model of loops with one note a step"):
        load_note_model("prior")


def test_openings_are_those_that_two_songs_play():
    """Song 0 plays A A B, song 1 A C C, song 2 B: A thrice, B twice; C is song 1's alone."""
    notes = np.zeros((7, 32), np.uint8)
    opening = {"A": 3, "B": 1, "C": 2}
    songs = [(0, "A"), (0, "A"), (0, "B"), (1, "A"), (1, "C"), (1, "C"), (2, "B")]
    for row, (_, name) in enumerate(songs):
        notes[row, 0] = opening[name]
        notes[row, 8 + row] = 5
    loops = NoteLoops(notes, np.array([song for song, _ in songs]), ROLAND10)
    openings, chances = count_openings(loops, 8)
    assert openings[:, 0].tolist() == [1, 3]
    assert not openings[:, 1:].any()
    assert chances.tolist() == pytest.approx([0.4, 0.6])


def test_seeds_begin_as_often_as_songs_do():
    cnn = random_cnn()
    cnn.opening_chances.copy_(torch.tensor([0.3, 0.7]))
    first = cnn.draw_openings(np.arange(2000))
    assert (first == cnn.openings.numpy()[1]).all(1).mean() == pytest.approx(0.7, abs=0.03)  # 3 standard errors


# training


def toy_loops(n, seed):
    """Two songs' worth of loops: a kick or a snare on every fourth step by chance, the same for a loop, and hats."""
    rng = np.random.default_rng(seed)
    notes = np.zeros((n, 32), np.uint8)
    notes[:, 2::4] = 7
    notes[:, ::4] = rng.integers(1, 3, n)[:, None]
    return NoteLoops(notes, np.arange(n) % 7, ROLAND10)


TOY = NoteCNNTrainingConfig(train_steps=300, batch_size=64, learning_rate=1e-2)


def test_it_learns_what_loops_repeat(tmp_path):
    """After two beats nothing of the toy is chance: a note costs nothing."""
    weights = train_note_cnn(
        toy_loops(40, 0), toy_loops(20, 1), tmp_path, TOY, network=NoteCNNConfig(width=8), accelerator="cpu"
    )
    cnn = load_note_cnn(weights)
    nll = -cnn.log_prob(toy_loops(30, 2).notes).mean()
    assert nll < 0.05
    facts = json.loads(read_metadata(weights)["provenance"])
    assert facts["trained_loops"] == "40"
    assert facts["trained_songs"] == "7"
    held_out = -cnn.log_prob(toy_loops(20, 1).notes).mean()
    assert float(facts["validation_nll_per_step"]) == pytest.approx(float(held_out), abs=1e-3)
    assert cnn.openings.tolist() == [[1, 0, 7, 0] * 2, [2, 0, 7, 0] * 2]
    notes = cnn.complete(cnn.openings.numpy(), np.arange(2))
    np.testing.assert_array_equal(notes, np.tile([[1, 0, 7, 0], [2, 0, 7, 0]], 8))


def test_the_first_notes_are_not_trained_on(tmp_path):
    """Openings that nothing explains cost nothing in training: what is drawn there never is a note to predict."""
    loops = toy_loops(40, 0)
    loops.notes[:, :8] = np.random.default_rng(5).integers(0, 10, (40, 8))
    loops.notes[:, 8:] = 7
    weights = train_note_cnn(loops, loops, tmp_path, TOY, network=NoteCNNConfig(width=8), accelerator="cpu")
    assert float(json.loads(read_metadata(weights)["provenance"])["validation_nll_per_step"]) < 0.01


def test_stopped_and_resumed_equals_never_stopped(tmp_path):
    options = NoteCNNTrainingConfig(train_steps=110, batch_size=8)
    network = NoteCNNConfig(width=4)
    loops, validation = toy_loops(20, 0), toy_loops(10, 1)

    def train(folder, progress=None):
        return train_note_cnn(
            loops, validation, tmp_path / folder, options, network=network, accelerator="cpu", progress=progress
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


def test_it_stops_by_the_validation_songs(tmp_path):
    loops = toy_loops(20, 0)
    other = NoteLoops(9 - loops.notes, loops.song, ROLAND10)
    options = NoteCNNTrainingConfig(train_steps=3000, batch_size=8, patience=1)
    weights = train_note_cnn(loops, other, tmp_path, options, network=NoteCNNConfig(width=2), accelerator="cpu")
    facts = json.loads(read_metadata(weights)["provenance"])
    assert int(facts["trained_steps"]) == int(facts["best_step"]) + 250 < 3000


def test_loops_of_another_kit_are_refused(tmp_path):
    loops = toy_loops(4, 0)
    with pytest.raises(ValueError, match="the loops are of kit jaki5 and 32 steps, the network of roland10"):
        train_note_cnn(loops, NoteLoops(loops.notes % 6, loops.song, JAKI5), tmp_path)
