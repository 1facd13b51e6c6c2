"""Training a network of texts of bars: on passages of songs, or as published on windows of one long text.

The validation songs decide which weights are kept, and when to stop.
"""

from __future__ import annotations

import copy
import math
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rhythmgan.data import Corpus, digest
from rhythmgan.files import make_folder
from rhythmgan.models.config import TextLSTMConfig
from rhythmgan.models.text_lstm import TextLSTM, load_text_lstm, rounded, save_text_lstm
from rhythmgan.training.batches import check_trainable
from rhythmgan.training.config import PublishedTextTrainingConfig, TextLSTMTrainingConfig
from rhythmgan.training.likelihood import LikelihoodTraining
from rhythmgan.training.run import Progress, train

WEIGHTS = "text-lstm.safetensors"

_VALIDATED = 512
"""Passages of the validation songs that are looked at."""

_VALIDATED_WINDOWS = 4096
"""Windows of a text that are."""


class _TextTraining(LikelihoodTraining[TextLSTM]):
    """What both trainings share: the network, and what is written of it."""

    model: TextLSTM
    best: TextLSTM

    def _build(self, network: TextLSTMConfig, seed: int, start: TextLSTM | None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = TextLSTM(network)
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        self.best = copy.deepcopy(self.model).eval().requires_grad_(False)

    @property
    def trained(self) -> TextLSTM:
        return self.model

    @property
    @abstractmethod
    def unit(self) -> str:
        """What the validation loss is counted per: "step" or "token"."""

    def save(self, out: Path, provenance: Mapping[str, str]) -> None:
        """Write the weights that were best on the validation songs."""
        facts = {"best_step": str(self.best_step), f"validation_nll_per_{self.unit}": f"{self.best_nll:.4f}"}
        save_text_lstm(out / WEIGHTS, self.best, dict(provenance) | facts)


class Passages(NamedTuple):
    """Where passages of songs may begin, and how far they go.

    Attributes:
        words: (n, steps) ints, bars in the order of their songs.
        left: (n,) ints, how many bars in a row there are from each on.
        chance: (n,) float64, how often a passage begins with each; they sum to 1.
    """

    words: np.ndarray
    left: np.ndarray
    chance: np.ndarray


def passages_of(corpus: Corpus, weight: np.ndarray) -> Passages:
    """The passages of a corpus whose bars begin one as often as their weights (n,) say.

    Raises:
        ValueError: weights of another number, below 0 or all 0.
    """
    if weight.shape != (len(corpus),) or not (weight >= 0).all() or not weight.sum() > 0:
        raise ValueError(f"expected a weight from 0 on for each of {len(corpus)} bars, and not all 0")
    follows = np.zeros(len(corpus) + 1, bool)
    follows[corpus.followers()] = True
    ends = np.flatnonzero(~follows[1:])  # the last bar of each row of bars
    left = ends[np.searchsorted(ends, np.arange(len(corpus)))] - np.arange(len(corpus)) + 1
    return Passages(corpus.words, left, weight / weight.sum())


def song_weights(corpus: Corpus, song_exponent: float) -> np.ndarray:
    """(n,) float64: how often each bar begins a passage, a song of n bars from n to this power times as often."""
    count = np.bincount(corpus.song_id, minlength=len(corpus.songs))[corpus.song_id]
    return np.asarray(count ** (song_exponent - 1.0))


class TextLSTMTraining(_TextTraining):
    """The training of a network on passages of songs, masked as it is drawn; see ``LikelihoodTraining``."""

    unit = "step"

    config: TextLSTMTrainingConfig
    ema: TextLSTM
    words: Tensor
    left: Tensor
    chance: Tensor
    validated: Tensor
    validated_left: Tensor

    def __init__(
        self,
        network: TextLSTMConfig,
        training: TextLSTMTrainingConfig,
        passages: Passages,
        validation: Passages,
        start: TextLSTM | None = None,
    ) -> None:
        """Build the network and keep the bars.

        Args:
            network: its shape.
            training: how to train.
            passages: those to learn from.
            validation: of other songs.
            start: a network of the same shape to go on from.
        """
        super().__init__(training)
        self._build(network, training.seed, start)
        self.ema = copy.deepcopy(self.best)
        words = torch.from_numpy(passages.words.astype(np.int64))
        # a passage may reach beyond the last bar; what it finds there does not count
        self.register_buffer("words", F.pad(words, (0, 0, 0, training.bars)), persistent=False)
        self.register_buffer("left", torch.from_numpy(passages.left), persistent=False)
        self.register_buffer("chance", torch.from_numpy(passages.chance).cumsum(0), persistent=False)
        rows = np.random.default_rng(0).choice(len(validation.words), _VALIDATED, p=validation.chance)
        found = np.pad(validation.words.astype(np.int64), ((0, training.bars), (0, 0)))
        of_rows = torch.from_numpy(found[rows[:, None] + np.arange(training.bars)])
        self.register_buffer("validated", of_rows, persistent=False)
        self.register_buffer("validated_left", torch.from_numpy(validation.left[rows]), persistent=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        config = self.config
        return torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of the words of a batch of passages, nats a step."""
        config = self.config
        number = torch.rand(config.batch_size, generator=random, device=self.device, dtype=torch.float64)
        row = torch.searchsorted(self.chance, number).clamp(max=len(self.chance) - 1)
        bars = torch.arange(config.bars, device=self.device)
        return self._nll(self.model, self.words[row[:, None] + bars], self.left[row])

    def _nll(self, model: TextLSTM, words: Tensor, left: Tensor) -> Tensor:
        """Cross-entropy of the words (n, bars, steps) of passages of which so many bars (n,) count, nats a step."""
        tokens = torch.from_numpy(model.tokens.of_words(words.cpu().numpy())).to(words.device).flatten(1)
        logits = model.masked(model(tokens))
        nll = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
        n_bars = words.shape[1]
        counts = (torch.arange(n_bars, device=left.device) < left[:, None]).to(nll.dtype)
        of_bars = nll.view(len(words), n_bars, -1).sum(2)
        return (of_bars * counts).sum() / (counts.sum() * model.steps)

    def candidate(self) -> TextLSTM:
        """The averaged weights as a file holds them."""
        return rounded(super().candidate())

    @torch.no_grad()
    def validation_nll(self, model: TextLSTM) -> float:
        """Nats a step of passages of the validation songs."""
        total, n_steps = 0.0, 0
        for first in range(0, len(self.validated), 64):
            rows = slice(first, first + 64)
            left = self.validated_left[rows]
            n = int(left.clamp(max=self.config.bars).sum())
            total += float(self._nll(model, self.validated[rows], left)) * n
            n_steps += n
        return total / n_steps


class PublishedTextTraining(_TextTraining):
    """The training of a network on windows of a text as published: Adam, no mask, one token predicted a window.

    The softmax is over the tokens of the training text. Of other texts those that it does not know are left out.
    No weights are averaged, and the learning rate stays. See ``PublishedTextTrainingConfig``.
    """

    unit = "token"
    max_gradient_norm = math.inf

    config: PublishedTextTrainingConfig
    text: Tensor
    validation_text: Tensor
    places: Tensor

    def __init__(
        self, network: TextLSTMConfig, training: PublishedTextTrainingConfig, text: np.ndarray, validation: np.ndarray
    ) -> None:
        """Build the network and keep the texts.

        Args:
            network: its shape; it must not see bars.
            training: how to train.
            text: (t,) ints, the tokens of the training text.
            validation: of another text.
        """
        super().__init__(training)
        self.ema = None
        self._build(network, training.seed, None)
        known = torch.zeros_like(self.model.known)
        known[torch.from_numpy(np.unique(text))] = True
        self.model.known.copy_(known)
        self.best.known.copy_(known)
        for name, tokens in (("text", text), ("validation_text", validation)):
            self.register_buffer(name, torch.from_numpy(tokens.astype(np.int64)), persistent=False)
        places = training.maxlen + training.window_step * torch.arange(training.shared_windows)
        self.register_buffer("places", places, persistent=False)

    def learning_rate(self, done: int) -> float:
        return self.config.learning_rate

    def candidate(self) -> TextLSTM:
        return copy.deepcopy(self.model).eval()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.model.parameters(), self.config.learning_rate)

    def batch_nll(self, random: torch.Generator) -> Tensor:
        """Cross-entropy of the tokens behind a batch of windows, nats a token."""
        config = self.config
        n_groups = config.batch_size // config.shared_windows
        n_starts = (len(self.text) - config.reach) // config.window_step + 1
        starts = torch.randint(n_starts, (n_groups,), generator=random, device=self.device) * config.window_step
        return self._nll(self.model, self.text, starts)

    def _nll(self, model: TextLSTM, text: Tensor, starts: Tensor) -> Tensor:
        read = text[starts[:, None] + torch.arange(self.config.reach, device=starts.device)]
        logits = model(read, self.places)
        targets = read[:, self.places].flatten()
        return F.cross_entropy(logits.flatten(0, 1)[model.known[targets]], targets[model.known[targets]])

    @torch.no_grad()
    def validation_nll(self, model: TextLSTM) -> float:
        """Nats a token behind windows of the validation text."""
        return self.text_nll(model, self.validation_text)

    @torch.no_grad()
    def text_nll(self, model: TextLSTM, text: Tensor) -> float:
        """Nats a token behind windows of a text, of as many as are looked at, evenly over it."""
        config = self.config
        n_starts = (len(text) - config.reach) // config.window_step + 1
        n_groups = max(1, _VALIDATED_WINDOWS // config.shared_windows)
        starts = torch.linspace(0, n_starts - 1, n_groups, device=text.device).long() * config.window_step
        return float(self._nll(model, text, starts))


def train_text_lstm(
    corpus: Corpus,
    validation: Corpus,
    out: str | os.PathLike[str],
    training: TextLSTMTrainingConfig | PublishedTextTrainingConfig | None = None,
    *,
    network: TextLSTMConfig | None = None,
    weight: np.ndarray | None = None,
    start: str | os.PathLike[str] | None = None,
    devices: int = 1,
    accelerator: str = "auto",
    precision: str = "32-true",
    progress: Progress | None = None,
) -> Path:
    """Train a network of texts of bars on songs, or resume the run that was stopped in ``out``.

    Writes into ``out``: ``text-lstm.safetensors`` (the weights that were best on the validation songs, in half
    precision), ``last.ckpt`` (to resume), ``config.json`` and TensorBoard's events.

    Args:
        corpus: the training bars, in the order of their songs, as ``load_corpus(…).split("train")``.
        validation: bars of other songs, which decide when to stop.
        out: a folder, created if missing.
        training: how to train; as published where it is a ``PublishedTextTrainingConfig``, on all bars as one text.
        network: the shape of the network; its kit and grid must be those of the bars, and are by default.
        weight: (n,) float64, how often each training bar begins a passage; by default as ``song_exponent`` says.
        start: weights of a network of the same shape to go on from.
        devices, accelerator, precision, progress: as ``run.train``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: bars of another kit or grid than the network's, none to learn from or to stop by, a text shorter
            than a window, weights or a shape that do not fit, or as ``run.train``.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: stopped by the user; the same call resumes from the last checkpoint.
    """
    training = training or TextLSTMTrainingConfig()
    published = isinstance(training, PublishedTextTrainingConfig)
    network = network or TextLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, sees_bars=not published)
    check_trainable(corpus, network.kit, network.steps)
    if not len(validation):
        raise ValueError("there is nothing to stop by: no song of the data falls into the valid split")
    check_trainable(validation, network.kit, network.steps)
    first = None if start is None else load_text_lstm(start)
    if first is not None and first.config != network:
        raise ValueError(f"{start}: weights of another shape than the network's cannot be gone on from")
    described = {"data": digest(corpus.words, corpus.song_id, validation.words, validation.song_id)}
    module: _TextTraining
    if isinstance(training, PublishedTextTrainingConfig):
        if network.sees_bars or weight is not None or first is not None:
            raise ValueError("as published a network sees no bars, every window counts alike, and training begins anew")
        texts = [_text_of(songs, network) for songs in (corpus, validation)]
        for name, text in zip(("training", "validation"), texts, strict=True):
            if len(text) < training.reach:
                raise ValueError(
                    f"the {name} songs have a text of {len(text):,} tokens; {training.shared_windows} windows of "
                    f"{training.maxlen}, each {training.window_step} behind the last, and what follows them need "
                    f"{training.reach:,}: take more songs, or a smaller maxlen or window_step"
                )
        module = PublishedTextTraining(network, training, *texts)
    else:
        if weight is None:
            weight = song_weights(corpus, training.song_exponent)
        else:
            described["weight"] = digest((weight / weight.max() * 65535).astype(np.uint16))
        described["start"] = "" if first is None else first.fingerprint
        of_validation = passages_of(validation, song_weights(validation, training.song_exponent))
        module = TextLSTMTraining(network, training, passages_of(corpus, weight), of_validation, first)
    train(
        module,
        make_folder(out),
        {
            "model": "text-lstm",
            "data": "".join(described.values()),
            "network": asdict(network),
            "training": asdict(training),
        },
        {
            "trained_bars": str(len(corpus)),
            "trained_songs": str(len(np.unique(corpus.song_id))),
            "trained_seed": str(training.seed),
        },
        devices=devices,
        accelerator=accelerator,
        precision=precision,
        progress=progress,
    )
    return Path(out) / WEIGHTS


def _text_of(corpus: Corpus, network: TextLSTMConfig) -> np.ndarray:
    """(t,) int64: all bars of a corpus as one text."""
    return TextLSTM(network).tokens.of_words(corpus.words).reshape(-1)
