"""``rhythmgan train MODEL``: a corpus to the weights of the GAN, the prior or a model of a reproduced system."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import add_field, add_machine_options, add_report_options, given, progress_bar
from rhythmgan.kit import KITS
from rhythmgan.models.config import (
    PUBLISHED_TEXT_LSTM,
    AnswerConfig,
    BarLSTMConfig,
    GANConfig,
    NoteCNNConfig,
    PhraseConvGANConfig,
    PhraseGANConfig,
    TextLSTMConfig,
    WordLSTMConfig,
)
from rhythmgan.training.config import (
    AnswerTrainingConfig,
    BarLSTMTrainingConfig,
    GANTrainingConfig,
    NoteCNNTrainingConfig,
    PhraseConvGANTrainingConfig,
    PhraseGANTrainingConfig,
    PriorTrainingConfig,
    PublishedTextTrainingConfig,
    TextLSTMTrainingConfig,
)

if TYPE_CHECKING:
    from rhythmgan.data import Corpus

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's, with a command of its own for each model."""
    models = commands.add_parser("train", help="train a model", description="Train a model.").add_subparsers(
        required=True, metavar="model"
    )
    gan = models.add_parser("gan", help="the GAN", description="Train the GAN, or resume the run in --out.")
    gan.set_defaults(run=_train_gan, resumes=True)
    _add_data(gan)
    gan.add_argument("--split", choices=("train", "all"), help="songs to train on (train; all of a text of patterns)")
    add_field(gan, GANTrainingConfig, "pretrain_steps", "batches of maximum likelihood, before the adversarial phase")
    add_field(gan, GANTrainingConfig, "train_steps", "batches of the adversarial phase; a resumed run may raise it")
    add_field(gan, GANTrainingConfig, "denoiser_steps", "batches of the denoiser, after both")
    add_field(gan, GANTrainingConfig, "batch_size", "bars in a batch")
    add_field(gan, GANTrainingConfig, "r1_gamma", "strength of the gradient penalty on real bars")
    add_field(gan, GANTrainingConfig, "r2_gamma", "strength of the gradient penalty on fake bars")
    add_field(gan, GANTrainingConfig, "seed", "seed of weights, batches and noise")
    add_field(gan, GANConfig, "width", "units of the generator's state")
    _add_run(gan)

    prior = models.add_parser(
        "prior", help="the LSTM prior", description="Train the prior, or resume the run in --out."
    )
    prior.set_defaults(run=_train_prior, resumes=True)
    _add_data(prior)
    steps = "batches at most; a resumed run may raise it; the bundled weights: 4500"
    add_field(prior, PriorTrainingConfig, "train_steps", steps)
    add_field(prior, PriorTrainingConfig, "batch_size", "bars in a batch")
    add_field(prior, PriorTrainingConfig, "seed", "seed of weights, batches and dropout")
    add_field(prior, WordLSTMConfig, "width", "units of each layer")
    add_field(prior, WordLSTMConfig, "layers", "LSTMs on top of each other")
    add_field(prior, WordLSTMConfig, "dropout", "share of units that are left out in training")
    _add_run(prior)

    bar_lstm = models.add_parser(
        "bar-lstm",
        help="jaki's model of the next bar",
        description="Train a model of the next bar given the bar before, or resume the run in --out.",
    )
    bar_lstm.set_defaults(run=_train_bar_lstm, resumes=True)
    _add_data(bar_lstm)
    add_field(bar_lstm, BarLSTMTrainingConfig, "train_steps", "batches at most; a resumed run may raise it")
    add_field(bar_lstm, BarLSTMTrainingConfig, "batch_size", "pairs of bars in a batch")
    add_field(bar_lstm, BarLSTMTrainingConfig, "seed", "seed of weights, batches and dropout")
    bar_lstm.add_argument(
        "--as-published",
        action="store_true",
        help="hide the word that the bar before has on a step from the decoder, as jaki does",
    )
    _add_run(bar_lstm, kit=BarLSTMConfig.kit)

    cnn = models.add_parser(
        "note-cnn",
        help="the CNN that plays one note a step",
        description="Train the note-wise CNN on two-bar loops, or resume the run in --out.",
    )
    cnn.set_defaults(run=_train_note_cnn, resumes=True)
    cnn.add_argument("--data", required=True, metavar="CORPUS", help="a corpus: bars with how they are played")
    cnn.add_argument("--grid", type=int, metavar="STEPS", help="the bars of a corpus on this grid (that of most bars)")
    cnn.add_argument(
        "--source", default="groove/", metavar="NAME", help="the songs whose files' names begin so (%(default)s)"
    )
    add_field(cnn, NoteCNNTrainingConfig, "train_steps", "batches at most; a resumed run may raise it")
    add_field(cnn, NoteCNNTrainingConfig, "batch_size", "notes to predict in a batch")
    add_field(cnn, NoteCNNTrainingConfig, "learning_rate", "Adam's")
    add_field(cnn, NoteCNNTrainingConfig, "seed", "seed of weights and batches")
    add_field(cnn, NoteCNNConfig, "width", "channels of the convolution")
    add_field(cnn, NoteCNNConfig, "kernel", "steps that the convolution reads at a time")
    _add_run(cnn, kit=NoteCNNConfig.kit)

    answer = models.add_parser(
        "answer",
        help="the network that answers a kick line with a snare line",
        description="Train the network that answers a line with another, or resume the run in --out.",
    )
    answer.set_defaults(run=_train_answer, resumes=True)
    _add_data(answer)
    add_field(answer, AnswerTrainingConfig, "train_steps", "batches at most; a resumed run may raise it")
    add_field(answer, AnswerTrainingConfig, "batch_size", "pairs of lines in a batch")
    add_field(answer, AnswerTrainingConfig, "seed", "seed of weights, batches and dropout")
    answer.add_argument("--given", metavar="PART", help=f"the part that is answered ({AnswerConfig.given})")
    answer.add_argument("--answer", metavar="PART", help=f"the part that answers ({AnswerConfig.answer})")
    add_field(answer, AnswerConfig, "width", "units of each layer")
    add_field(answer, AnswerConfig, "layers", "layers")
    add_field(answer, AnswerConfig, "dropout", "share of units that are left out in training")
    _add_run(answer)

    rythmgan = models.add_parser(
        "rythmgan",
        help="RythmGAN: a GAN of phrases",
        description="Train a GAN that makes all bars of a phrase from one z, or resume the run in --out.",
    )
    rythmgan.set_defaults(run=_train_rythmgan, resumes=True)
    _add_data(rythmgan)
    rythmgan.add_argument("--source", metavar="NAME", help='songs whose files\' names begin so, as "lakh/" (all)')
    rythmgan.add_argument(
        "--as-published",
        action="store_true",
        help="a convolutional GAN with soft cells, as RythmGAN's of 2018 may have been, with defaults of its own: "
        f"--train-steps {PhraseConvGANTrainingConfig.train_steps}, "
        f"--batch-size {PhraseConvGANTrainingConfig.batch_size}, --width {PhraseConvGANConfig.width} channels",
    )
    add_field(rythmgan, PhraseGANConfig, "bars", "bars of a phrase")
    add_field(rythmgan, PhraseGANTrainingConfig, "pretrain_steps", "batches of maximum likelihood")
    steps = "batches of the adversarial phase; a resumed run may raise it"
    add_field(rythmgan, PhraseGANTrainingConfig, "train_steps", steps)
    add_field(rythmgan, PhraseGANTrainingConfig, "batch_size", "phrases in a batch")
    add_field(rythmgan, PhraseGANTrainingConfig, "seed", "seed of weights, batches and noise")
    add_field(rythmgan, PhraseGANConfig, "width", "units of the generator's state")
    _add_run(rythmgan, kit=PhraseGANConfig.kit)
    text = models.add_parser(
        "text-lstm",
        help="TrapGenerator's LSTM over the text of bars",
        description="Train an LSTM over the text of bars, or resume the run in --out.",
    )
    text.set_defaults(run=_train_text_lstm, resumes=True)
    _add_data(text)
    text.add_argument(
        "--doubled", action="store_true", help="learn from bars of half as many steps, too, with each step doubled"
    )
    text.add_argument("--characters", action="store_true", help="read the text by characters, not by words")
    text.add_argument(
        "--as-published",
        action="store_true",
        help="predict the token behind each window of the text, and see no more than the token before",
    )
    both = f"{TextLSTMTrainingConfig.train_steps}; {PublishedTextTrainingConfig.train_steps} as published"
    text.add_argument(
        "--train-steps", type=int, metavar="N", help=f"batches at most; a resumed run may raise it ({both})"
    )
    both = f"passages, or windows, in a batch ({TextLSTMTrainingConfig.batch_size}; "
    text.add_argument(
        "--batch-size", type=int, metavar="N", help=f"{both}{PublishedTextTrainingConfig.batch_size} as published)"
    )
    add_field(text, TextLSTMTrainingConfig, "bars", "bars of a passage")
    add_field(text, PublishedTextTrainingConfig, "maxlen", "tokens of a window, as published")
    add_field(text, PublishedTextTrainingConfig, "window_step", "tokens from one window to the next, as published")
    add_field(text, TextLSTMTrainingConfig, "seed", "seed of weights, batches and dropout")
    for name, what in (
        ("width", "units of each layer"),
        ("layers", "LSTMs on top of each other"),
        ("dropout", "share of units that are left out in training"),
    ):
        default, published = getattr(TextLSTMConfig, name), PUBLISHED_TEXT_LSTM[name]
        kind = type(default)
        text.add_argument(
            f"--{name}",
            type=kind,
            metavar="N" if kind is int else "X",
            help=f"{what} ({default}; {published} as published)",
        )
    _add_run(text, kit=TextLSTMConfig.kit)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", metavar="CORPUS", help="a corpus or a text of bars (the textbook patterns that ship with rhythmgan)"
    )
    parser.add_argument(
        "--grid", type=int, metavar="STEPS", help="the bars of a corpus on this grid (that of most bars)"
    )
    parser.add_argument("--songs-share", type=float, metavar="X", help="share of the training songs to learn from (1)")


def _add_run(parser: argparse.ArgumentParser, kit: str = "the corpus's") -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    kits = f"kit to fold the bars into: {', '.join(KITS)} ({kit})"
    parser.add_argument("--kit", metavar="NAME", help=kits)
    add_machine_options(parser, devices=True)
    add_report_options(parser)


def _corpus(options: argparse.Namespace, default_kit: str | None = None) -> Corpus:
    """The bars to learn from, on the grid and in the kit that are asked for."""
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.kit import kit_named
    from rhythmgan.patterns import patterns_path

    name = options.kit or default_kit
    kit = None if name is None else kit_named(name)
    return load_corpus(options.data or patterns_path(), options.grid, kit)


def _share(options: argparse.Namespace) -> float:
    """The share of the training songs."""
    return 1.0 if options.songs_share is None else float(options.songs_share)


def _songs(options: argparse.Namespace, corpus: Corpus) -> tuple[Corpus, Corpus]:
    """The training songs, and those that say when to stop; says how many."""
    train, validation = corpus.split("train").share(_share(options)), corpus.split("valid")
    if _is_first() and not options.quiet:
        n_train, n_validation = (len(set(part.song_id.tolist())) for part in (train, validation))
        print(f"training on {n_train:,} songs, validating on {n_validation:,} others", file=sys.stderr)
    return train, validation


def _train_gan(options: argparse.Namespace) -> None:
    # data first: a wrong path is reported before torch and Lightning take their seconds
    corpus = _corpus(options)
    is_text = options.data is None or Path(options.data).suffix == ".txt"
    corpus = corpus.split(options.split or ("all" if is_text else "train")).share(_share(options))
    talks = _is_first()
    if talks and not options.quiet:
        print(f"training on the bars of {len(set(corpus.song_id.tolist())):,} songs", file=sys.stderr)

    machine = _machine(options)

    from rhythmgan.training.batches import roles_of, styles_of
    from rhythmgan.training.gan import GRID, train_gan

    names = ("pretrain_steps", "train_steps", "denoiser_steps", "batch_size", "seed", "r1_gamma", "r2_gamma")
    training = GANTrainingConfig(**given(options, *names))
    network = GANConfig(
        kit=corpus.kit.name,
        steps=corpus.steps,
        roles=roles_of(corpus),
        styles=styles_of(corpus),
        **given(options, "width"),
    )
    with progress_bar("step", options.quiet or not talks) as progress:
        weights = train_gan(corpus, options.out, training, network=network, progress=progress, **machine)
    if talks:
        print(f"weights: {weights}\npicture of seeds 0-35: {weights.parent / GRID}")
        print(f"next: rhythmgan sample --weights {weights}")


def _train_prior(options: argparse.Namespace) -> None:
    corpus = _corpus(options)
    train, validation = _songs(options, corpus)
    talks = _is_first()

    machine = _machine(options)

    from rhythmgan.evaluate import nll_per_step, nll_table
    from rhythmgan.models.catalogue import load_likelihood
    from rhythmgan.models.weights import read_metadata
    from rhythmgan.training.batches import roles_of, styles_of
    from rhythmgan.training.prior import train_prior

    training = PriorTrainingConfig(**given(options, "train_steps", "batch_size", "seed"))
    network = WordLSTMConfig(
        kit=corpus.kit.name,
        steps=corpus.steps,
        roles=roles_of(train),
        styles=styles_of(train),
        **given(options, "width", "layers", "dropout"),
    )
    with progress_bar("step", options.quiet or not talks) as progress:
        weights = train_prior(train, validation, options.out, training, network=network, progress=progress, **machine)
    if not talks:
        return
    nll = nll_per_step(validation, train, {"prior": load_likelihood(weights)})
    print(nll_table(nll, "distinct bars of the validation songs, which chose the weights"))
    facts = json.loads(read_metadata(weights)["provenance"])
    done, best = int(facts["trained_steps"]), int(facts["best_step"])
    why = "all that were asked for" if done >= training.train_steps else "the validation songs stopped it"
    print(f"\ntheir grooves as played: {facts['validation_groove_nll_per_step']} nats a step")
    print(f"{done:,} steps ({why}); the best weights are those of step {best:,}\nweights: {weights}")
    if options.data:
        print(f"next: rhythmgan evaluate {weights} --data {options.data}")


def _train_bar_lstm(options: argparse.Namespace) -> None:
    corpus = _corpus(options, BarLSTMConfig.kit)
    train, validation = _songs(options, corpus)
    talks = _is_first()

    machine = _machine(options)

    from rhythmgan.models.weights import read_metadata
    from rhythmgan.training.bar_lstm import train_bar_lstm

    training = BarLSTMTrainingConfig(**given(options, "train_steps", "batch_size", "seed"))
    network = BarLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, sees_step=not options.as_published)
    with progress_bar("step", options.quiet or not talks) as progress:
        weights = train_bar_lstm(
            train, validation, options.out, training, network=network, progress=progress, **machine
        )
    if not talks:
        return
    facts = json.loads(read_metadata(weights)["provenance"])
    print(f"pairs of the validation songs: {facts['validation_nll_per_step']} nats a step")
    print(
        f"{facts['trained_steps']} steps; the best weights are those of step {facts['best_step']}\nweights: {weights}"
    )


def _train_note_cnn(options: argparse.Namespace) -> None:
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.kit import kit_named
    from rhythmgan.loops import note_loops

    kit = kit_named(options.kit or NoteCNNConfig.kit)
    corpus = load_corpus(options.data, options.grid).from_files(options.source)
    train, validation = (note_loops(corpus.split(split), kit) for split in ("train", "valid"))
    talks = _is_first()
    if talks and not options.quiet:
        print(f"training on {len(train):,} loops, validating on {len(validation):,} of other songs", file=sys.stderr)

    machine = _machine(options)

    from rhythmgan.models.weights import read_metadata
    from rhythmgan.training.note_cnn import train_note_cnn

    training = NoteCNNTrainingConfig(**given(options, "train_steps", "batch_size", "learning_rate", "seed"))
    network = NoteCNNConfig(kit=kit.name, steps=corpus.steps, **given(options, "width", "kernel"))
    with progress_bar("step", options.quiet or not talks) as progress:
        weights = train_note_cnn(
            train, validation, options.out, training, network=network, progress=progress, **machine
        )
    if not talks:
        return
    facts = json.loads(read_metadata(weights)["provenance"])
    print(f"validation songs: {facts['validation_nll_per_step']} nats a step, at step {int(facts['best_step']):,}")
    print(
        f"weights: {weights}\nnext: rl-tuner train --env append --data {options.data} --weights {weights} --out agent"
    )


def _train_answer(options: argparse.Namespace) -> None:
    corpus = _corpus(options)
    train, validation = corpus.split("train").share(_share(options)), corpus.split("valid")
    machine = _machine(options)

    from rhythmgan.models.weights import read_metadata
    from rhythmgan.training.answer_net import train_answer_net

    training = AnswerTrainingConfig(**given(options, "train_steps", "batch_size", "seed"))
    network = AnswerConfig(
        kit=corpus.kit.name,
        steps=corpus.steps,
        **given(options, "given", "answer", "width", "layers", "dropout"),
    )
    with progress_bar("step", options.quiet or not _is_first()) as progress:
        weights = train_answer_net(
            train, validation, options.out, training, network=network, progress=progress, **machine
        )
    if not _is_first():
        return
    facts = json.loads(read_metadata(weights)["provenance"])
    print(f"{facts['trained_pairs']} pairs of {facts['trained_songs']} songs")
    print(f"answers of the validation songs, which chose the weights: {facts['validation_nll_per_line']} nats a line")
    print(f"weights: {weights}")


def _train_rythmgan(options: argparse.Namespace) -> None:
    if options.as_published and options.pretrain_steps is not None:
        raise ValueError("--as-published has no pretraining: leave out --pretrain-steps")
    # options first: what is out of range is said before the corpus is read
    shape: dict[str, Any] = {"kit": options.kit or PhraseGANConfig.kit} | given(options, "bars", "width")
    names = given(options, "train_steps", "batch_size", "seed")
    network: PhraseGANConfig | PhraseConvGANConfig
    training: PhraseGANTrainingConfig | PhraseConvGANTrainingConfig
    if options.as_published:
        network, training = PhraseConvGANConfig(**shape), PhraseConvGANTrainingConfig(**names)
    else:
        network = PhraseGANConfig(**shape)
        training = PhraseGANTrainingConfig(**names, **given(options, "pretrain_steps"))
    corpus = _corpus(options, PhraseGANConfig.kit)
    if options.source is not None:
        corpus = corpus.from_files(options.source)

    from rhythmgan.song_phrases import song_phrases

    phrases = song_phrases(corpus.split("train").share(_share(options)), network.bars)
    talks = _is_first()
    if talks and not options.quiet:
        print(f"training on {len(phrases):,} phrases of {phrases.n_songs:,} songs", file=sys.stderr)

    machine = _machine(options)

    from rhythmgan.training.phrase_conv_gan import train_phrase_conv_gan
    from rhythmgan.training.phrase_gan import train_phrase_gan
    from rhythmgan.training.phrase_picture import PICTURE

    network = replace(network, steps=corpus.steps)
    with progress_bar("step", options.quiet or not talks) as progress:
        how: dict[str, Any] = {"training": training, "network": network, "progress": progress} | machine
        if options.as_published:
            weights = train_phrase_conv_gan(phrases, options.out, **how)
        else:
            weights = train_phrase_gan(phrases, options.out, **how)
    if talks:
        print(f"weights: {weights}\npicture of seeds 0-31: {weights.parent / PICTURE}")
        print(f"next: rhythmgan sample --weights {weights} --bars {network.bars}")


def _train_text_lstm(options: argparse.Namespace) -> None:
    training: TextLSTMTrainingConfig | PublishedTextTrainingConfig
    shared = ("train_steps", "batch_size", "seed")
    if options.as_published:
        if options.bars is not None:
            raise ValueError("--bars is of passages; as published the text is cut into windows: --maxlen")
        training = PublishedTextTrainingConfig(**given(options, *shared, "maxlen", "window_step"))
    else:
        if options.maxlen is not None or options.window_step is not None:
            raise ValueError("--maxlen and --window-step are of windows --as-published; passages have --bars")
        training = TextLSTMTrainingConfig(**given(options, *shared, "bars"))
    shape: dict[str, Any] = dict(PUBLISHED_TEXT_LSTM) if options.as_published else {}
    shape |= {"kit": options.kit or TextLSTMConfig.kit, "characters": options.characters}
    # options first: what is out of range is said before the corpus is read
    network = TextLSTMConfig(**shape | given(options, "width", "layers", "dropout"))
    corpus = _corpus(options, TextLSTMConfig.kit)
    if options.doubled:
        corpus = _with_doubled(options, corpus)
    train, validation = _songs(options, corpus)
    talks = _is_first()

    machine = _machine(options)

    from rhythmgan.models.weights import read_metadata
    from rhythmgan.training.text_lstm import train_text_lstm

    network = replace(network, steps=corpus.steps)
    with progress_bar("step", options.quiet or not talks) as progress:
        weights = train_text_lstm(
            train, validation, options.out, training, network=network, progress=progress, **machine
        )
    if not talks:
        return
    facts = json.loads(read_metadata(weights)["provenance"])
    unit = "token" if options.as_published else "step"
    print(f"validation songs: {facts[f'validation_nll_per_{unit}']} nats a {unit}")
    print(
        f"{facts['trained_steps']} steps; the best weights are those of step {facts['best_step']}\nweights: {weights}"
    )
    print(f"next: rhythmgan sample --weights {weights} --bars 4")


def _with_doubled(options: argparse.Namespace, corpus: Corpus) -> Corpus:
    """The bars to learn from with those of half as many steps, doubled.

    Raises:
        ValueError: no grid has half as many steps.
    """
    from rhythmgan.bars import GRIDS
    from rhythmgan.corpus_file import load_corpus
    from rhythmgan.doubled import with_doubled
    from rhythmgan.patterns import patterns_path

    if corpus.steps % 2 or corpus.steps // 2 not in GRIDS:
        finer = " or ".join(str(steps) for steps in GRIDS if steps // 2 in GRIDS)
        raise ValueError(
            f"--doubled: bars of {corpus.steps} steps cannot be doubled from {corpus.steps // 2}, which is no grid; "
            f"ask for --grid {finer}"
        )
    return with_doubled(corpus, load_corpus(options.data or patterns_path(), corpus.steps // 2, corpus.kit))


def _is_first() -> bool:
    """With several devices Lightning runs a command once for each: the first one talks."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


_PROCESSES_PER_CPU = 4
"""At most: each takes some hundred megabytes, and with one for each CPU all of these are busy."""


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    """What training runs on, as its arguments; the threads are set at once.

    Raises:
        ValueError: more devices than there are.
    """
    import torch

    _check_devices(options.devices, options.accelerator)
    if options.threads:
        torch.set_num_threads(options.threads)
    return {name: getattr(options, name) for name in ("devices", "accelerator", "precision")}


def _check_devices(devices: int, accelerator: str) -> None:
    """Refuse more devices than there are, before a folder is made or a process started.

    Raises:
        ValueError: there are not so many.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    n_gpus = 1 if has_mps else torch.cuda.device_count()
    if accelerator == "cpu" or (accelerator == "auto" and not n_gpus):
        most, why = _PROCESSES_PER_CPU * (os.cpu_count() or 1), f"{_PROCESSES_PER_CPU} processes a CPU"
    else:
        most, why = max(n_gpus, 1), "as many as there are GPUs"  # that there is none is said as of --accelerator
    if devices > most:
        raise ValueError(f"--devices {devices}: there may be {most} here, {why}")
