"""The network that answers a line with another: chances that add up, its file, its training, and a toy to learn."""

import itertools
import json

import numpy as np
import pytest
import torch

from rhythmgan.cli import main
from rhythmgan.corpus_file import save_corpus
from rhythmgan.models.answer_net import AnswerNet, load_answer_net, prefixes_of, save_answer_net
from rhythmgan.models.catalogue import load_answers, load_model
from rhythmgan.models.config import AnswerConfig
from rhythmgan.models.interfaces import LineAnswers
from rhythmgan.models.weights import bundled, read_metadata
from rhythmgan.training.answer_net import AnswerTraining, train_answer_net
from rhythmgan.training.config import AnswerTrainingConfig

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def net(one_thread):
    torch.manual_seed(0)
    return AnswerNet(AnswerConfig("gm9", steps=12, width=16)).eval().requires_grad_(False)


def lines(*texts):
    return torch.tensor([[cell == "x" for cell in text] for text in texts])


def test_beginnings_by_hand():
    found = prefixes_of(lines(".x.x", "....", "xx.."))
    assert found.row.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert found.following.tolist() == [1, 3, 4, 4, 0, 1, 4]
    assert found.begun.tolist() == lines("....", ".x..", ".x.x", "....", "....", "x...", "xx..").tolist()


def test_no_onset_comes_before_the_last_one_and_silence_is_no_answer(net):
    given = lines("x..x..x..x..").expand(3, -1)
    chances = net.next_log_prob(given, lines("............", "..x.........", "..x........x")).exp()
    assert chances.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert (chances > 0).tolist() == [[True] * 12 + [False], [False] * 3 + [True] * 10, [False] * 12 + [True]]


def test_chances_of_all_answers_add_up_to_one(net):
    every = torch.tensor(list(itertools.product([False, True], repeat=12)))
    given = lines("x.....x..x..").expand(len(every), -1)
    log_prob = net.log_prob(given, every)
    assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert log_prob[0] == -torch.inf
    # one of them onset by onset
    answer = lines("...x....xx..")
    total = sum(
        float(net.next_log_prob(given[:1], begun)[0, following])
        for begun, following in (
            (lines("............"), 3),
            (lines("...x........"), 8),
            (lines("...x....x..."), 9),
            (answer, 12),
        )
    )
    assert float(net.log_prob(given[:1], answer)[0]) == pytest.approx(total, abs=1e-5)


def test_lines_of_another_shape(net):
    with pytest.raises(ValueError, match=r"two lines \(n, 12\)"):
        net.log_prob(np.zeros((1, 16), bool), np.zeros((1, 16), bool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answer": "kick"}, "two parts"),
        ({"given": "gong"}, "two parts"),
        ({"steps": 13}, "a bar may have"),
        ({"width": 0}, "width"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_shapes_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        AnswerConfig(**options)


def test_a_file_holds_the_network(net, tmp_path):
    path = tmp_path / "answer.safetensors"
    save_answer_net(path, net, {"note": "x"})
    again = load_answer_net(path)
    assert again.config == net.config
    assert again.fingerprint == net.fingerprint
    assert isinstance(load_model(path), AnswerNet)
    answers = load_answers(path)
    assert isinstance(answers, LineAnswers)
    assert (answers.kit.name, answers.steps, answers.given, answers.answer) == ("gm9", 12, "kick", "snare")
    with pytest.raises(ValueError, match="no model that answers lines"):
        load_answers(bundled("prior.safetensors"))


def test_the_bundled_one_answers_a_kick_with_a_snare():
    net = load_answers()
    assert (net.kit.name, net.steps, net.given, net.answer) == ("gm12", 16, "kick", "snare")
    kick = lines("x.......x.......")
    backbeat, opposite, full = lines("....x.......x..."), lines("x.......x......."), lines("x" * 16)
    likely, unlikely, absurd = (float(net.log_prob(kick, answer)[0]) for answer in (backbeat, opposite, full))
    assert likely > unlikely + 2
    assert likely > absurd + 2
    assert bundled("answer.safetensors").stat().st_size < 1_000_000
    assert int(json.loads(read_metadata(bundled("answer.safetensors"))["provenance"])["trained_songs"]) > 500


def shifted(n, seed):
    """Lines, each answered by itself a step later."""
    given = np.random.default_rng(seed).random((n, 16)) < 0.25
    given[:, 0] |= ~given.any(1)
    return np.stack([given, np.roll(given, 1, 1)], 1)


def test_it_learns_that_an_answer_is_the_line_a_step_later():
    pairs = shifted(400, 0)
    training = AnswerTrainingConfig(batch_size=128, turned_share=0.5, learning_rate=5e-3)
    module = AnswerTraining(AnswerConfig(width=64, dropout=0.0), training, pairs, np.arange(400) // 10, pairs)
    optimizer = torch.optim.Adam(module.net.parameters(), 5e-3)
    random = torch.Generator().manual_seed(0)
    first = float(module.batch_nll(random).detach())
    for _ in range(250):
        optimizer.zero_grad()
        module.batch_nll(random).backward()
        optimizer.step()
    others = shifted(200, 1)
    nll = -module.net.eval().log_prob(others[:, 0], others[:, 1]).mean()
    assert first > 8
    assert float(nll) < 2


def test_songs_of_many_pairs_are_drawn_by_the_exponent():
    song = np.array([0] * 9 + [1])
    pairs = shifted(10, 0)
    for exponent, share in ((1.0, 0.1), (0.0, 0.5)):
        module = AnswerTraining(AnswerConfig(), AnswerTrainingConfig(song_exponent=exponent), pairs, song, pairs)
        assert float(module.chances[-1] / module.chances.sum()) == pytest.approx(share)


@pytest.fixture(scope="module")
def songs():
    """A corpus of the textbook patterns, in more songs: its training and its validation part have both parts."""
    from rhythmgan.patterns import load_patterns

    return load_patterns()


def test_a_run_is_resumed_and_its_weights_are_the_best(songs, tmp_path):
    training = AnswerTrainingConfig(train_steps=100, batch_size=16)
    whole = train_answer_net(songs, songs, tmp_path / "whole", training, network=AnswerConfig("gm9", width=16))
    part = AnswerTrainingConfig(train_steps=50, batch_size=16)
    train_answer_net(songs, songs, tmp_path / "part", part, network=AnswerConfig("gm9", width=16))
    facts = json.loads(read_metadata(whole)["provenance"])
    assert facts["trained_steps"] == "100"
    assert facts["best_step"] in ("50", "100")
    resumed = train_answer_net(songs, songs, tmp_path / "part", training, network=AnswerConfig("gm9", width=16))
    assert json.loads(read_metadata(resumed)["provenance"])["trained_steps"] == "100"
    with pytest.raises(ValueError, match="another folder"):
        train_answer_net(songs, songs, tmp_path / "part", training, network=AnswerConfig("gm9", width=8))


def test_songs_without_one_of_the_parts(songs, tmp_path):
    network = AnswerConfig("gm9", given="kick", answer="crash")
    silent = songs.only((songs.words & 1 == 0).all(1))  # the last part of the kit is the crash
    with pytest.raises(ValueError, match="both kick and crash"):
        train_answer_net(silent, silent, tmp_path / "run", network=network)


def test_the_command_trains_on_a_corpus(songs, tmp_path, capsys):
    corpus = tmp_path / "corpus.npz"
    save_corpus(corpus, songs)
    arguments = ["--data", corpus, "--out", tmp_path / "run", "--train-steps", 10, "--width", 8, "--quiet"]
    assert main(["train", "answer", *map(str, arguments)]) == 0
    said = capsys.readouterr().out
    assert "nats a line" in said
    assert load_answers(tmp_path / "run" / "answer.safetensors").kit.name == "gm9"


def test_the_network_sees_both_lines_what_they_share_and_the_last_onset():
    """Four blocks: the given line, the answer so far, both at once, and one more than the place of its last onset."""
    net = AnswerNet(AnswerConfig(width=4)).eval()
    seen = []
    net.body[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0][0]))
    given, begun = torch.zeros(1, 16, dtype=torch.bool), torch.zeros(1, 16, dtype=torch.bool)
    given[0, [0, 4]] = begun[0, [4, 6]] = True
    net(given, begun)
    assert seen[0].shape == (65,)
    assert seen[0].nonzero()[:, 0].tolist() == [0, 4, 16 + 4, 16 + 6, 32 + 4, 48 + 7]
