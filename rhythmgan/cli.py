"""The command line: ``rhythmgan prepare | train | sample | interpolate | vary | evaluate | features | info | demo``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhythmgan.console import (
    add_output_options,
    file_names,
    formats_given,
    given,
    output_given,
    positive,
    progress_bar,
    run_command,
)
from rhythmgan.generate.config import PathConfig, SampleConfig, VariationConfig

if TYPE_CHECKING:
    import numpy as np

# what is slow to import is imported by the command that needs it: help and errors answer at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input is one line on stderr, and status 2."""
    options = _parser().parse_args(arguments)
    resumes = options.run in (_sample, _train_gan, _train_prior)
    return run_command("rhythmgan", lambda: options.run(options), resumes)


def _parser() -> argparse.ArgumentParser:
    from rhythmgan.models.config import GANConfig, WordLSTMConfig
    from rhythmgan.training.config import GANTrainingConfig, PriorTrainingConfig

    parser = argparse.ArgumentParser(prog="rhythmgan", description=__doc__.partition(":")[2].strip(" `.\n"))
    commands = parser.add_subparsers(required=True, metavar="command")

    prepare = commands.add_parser(
        "prepare",
        help="read songs (LPD .npz, MIDI) into one file of bars",
        description="Read songs into one file of bars.",
    )
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("sources", nargs="+", metavar="SOURCE", help="a folder of .npz or .mid files, or one file")
    prepare.add_argument("--out", required=True, metavar="bars.npz", help="the corpus to write")
    prepare.add_argument(
        "--kit", default="gm9", help="parts to fold the pitches into: gm9, rythmgan7, jaki5 (%(default)s)"
    )
    prepare.add_argument("--grid", type=int, default=16, help="steps in a bar: 12, 16, 24, 32, 48 (%(default)s)")
    prepare.add_argument("--manifest", help="CSV file that names each file's song")
    prepare.add_argument("--workers", type=positive, help="processes (all cores)")
    prepare.add_argument(
        "--dropped", metavar="FILE", help="write every file that gave no bars, with its reason, as CSV"
    )

    train = commands.add_parser("train", help="train a model").add_subparsers(required=True, metavar="model")
    gan = train.add_parser("gan", help="the GAN", description="Train the GAN, or go on where a run in --out stopped.")
    gan.set_defaults(run=_train_gan)
    gan.add_argument("--data", help="a corpus or a text of bars (the textbook patterns that ship with rhythmgan)")
    gan.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    gan.add_argument("--split", choices=("train", "all"), help="songs to train on (train; all of a text of patterns)")
    _add_field(gan, GANTrainingConfig, "pretrain_steps", "batches of maximum likelihood, before the adversarial phase")
    _add_field(gan, GANTrainingConfig, "train_steps", "batches of the adversarial phase; a resumed run may raise it")
    _add_field(gan, GANTrainingConfig, "batch_size", "bars in a batch")
    _add_field(gan, GANTrainingConfig, "r1_gamma", "strength of the gradient penalty on real bars")
    _add_field(gan, GANTrainingConfig, "r2_gamma", "strength of the gradient penalty on fake bars")
    _add_field(gan, GANTrainingConfig, "seed", "of weights, batches and noise")
    _add_field(gan, GANConfig, "width", "units of the generator's state")
    _add_machine_options(gan)

    prior = train.add_parser(
        "prior", help="the LSTM prior", description="Train the prior, or go on where a run in --out stopped."
    )
    prior.set_defaults(run=_train_prior)
    prior.add_argument("--data", help="a corpus or a text of bars (the textbook patterns that ship with rhythmgan)")
    prior.add_argument("--out", required=True, metavar="DIR", help="folder of the run")
    steps = "batches at most; a resumed run may raise it; the bundled weights: 6000"
    _add_field(prior, PriorTrainingConfig, "train_steps", steps)
    _add_field(prior, PriorTrainingConfig, "batch_size", "bars in a batch")
    _add_field(prior, PriorTrainingConfig, "seed", "of weights, batches and dropout")
    _add_field(prior, WordLSTMConfig, "width", "units of each layer")
    _add_field(prior, WordLSTMConfig, "layers", "LSTMs on top of each other")
    _add_field(prior, WordLSTMConfig, "dropout", "share of units that are left out in training")
    _add_machine_options(prior)

    sample = commands.add_parser("sample", help="generate bars from seeds", description="Generate bars from seeds.")
    sample.set_defaults(run=_sample)
    sample.add_argument("--n", type=int, default=64, help="bars, or phrases with --bars (%(default)s)")
    sample.add_argument(
        "--seed", type=int, default=0, help="of the first bar; the next has the next seed (%(default)s)"
    )
    sample.add_argument("--out", default="samples", metavar="DIR", help="(%(default)s)")
    sample.add_argument(
        "--bars", type=int, default=1, help="bars in a phrase: the seed's, and what may follow it (%(default)s)"
    )
    sample.add_argument(
        "--prior", metavar="FILE", help="weights of the prior that picks a phrase's bars (the bundled one)"
    )
    sample.add_argument("--temperature", type=float, default=1.0, help="over 0; less is more ordinary (%(default)s)")
    add_output_options(sample, SampleConfig.formats)

    path = commands.add_parser(
        "interpolate", help="the bars between seeds", description="Walk through latent space from seed to seed."
    )
    path.set_defaults(run=_interpolate)
    ends = path.add_mutually_exclusive_group(required=True)
    ends.add_argument("--seeds", metavar="A-B", help="seeds to go through in turn: 3-17, or 3-17-40")
    ends.add_argument("--z", metavar="FILE", help=".npy or .npz file of latent points (rows of `z`) to go through")
    path.add_argument(
        "--frames", type=int, default=9, help="bars from each end to the next, both included (%(default)s)"
    )
    path.add_argument("--even", action="store_true", help="frames where the bar moves on by little, not at even angles")
    path.add_argument("--mode", choices=("slerp", "lerp"), default="slerp", help="(%(default)s)")
    path.add_argument("--out", default="path", metavar="DIR", help="(%(default)s)")
    add_output_options(path, PathConfig.formats)

    vary = commands.add_parser(
        "vary", help="variations of a loop of your own", description="Vary a loop: bars near it in latent space."
    )
    vary.set_defaults(run=_vary)
    vary.add_argument("loop", help="a MIDI file, a text of bars, an .npz with bars or a corpus")
    vary.add_argument("--n", type=positive, default=8, help="variations (%(default)s)")
    vary.add_argument(
        "--amount", type=float, default=0.2, help="how far: over 0 up to 1, another bar altogether (%(default)s)"
    )
    vary.add_argument("--seed", type=int, default=0, help="of the first variation (%(default)s)")
    vary.add_argument("--out", default="variations", metavar="DIR", help="(%(default)s)")
    add_output_options(vary, VariationConfig.formats, bpm="that of the loop")

    evaluate = commands.add_parser(
        "evaluate",
        help="how like real bars a model's are",
        description="Judge bars by those of songs that no model saw, beside real songs, copies and noise.",
    )
    evaluate.set_defaults(run=_evaluate)
    evaluate.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="gan, prior, a weights file, a corpus, an .npz of bars or a folder of MIDI (gan and prior)",
    )
    evaluate.add_argument("--data", required=True, metavar="bars.npz", help="a corpus that `prepare` wrote")
    evaluate.add_argument(
        "--baseline",
        action="append",
        metavar="NAME",
        help="only this one of memoriser, flipped, shuffle, markov, independent, prior; may be repeated (all)",
    )
    evaluate.add_argument("--out", metavar="DIR", help="folder for table.md, report.json and pictures (none)")
    evaluate.add_argument("--split", choices=("valid", "test"), default="test", help="songs to judge by (%(default)s)")
    evaluate.add_argument("--n", type=positive, help="bars of each row (4000; 1000 with --quick)")
    evaluate.add_argument("--seed", type=int, default=0, help="of everything (%(default)s)")
    evaluate.add_argument("--quick", action="store_true", help="1000 bars and one repeat: numbers that scatter")

    features = commands.add_parser(
        "features",
        help="density, syncopation and 21 more of a file's bars",
        description="Summarise the features of bars.",
    )
    features.set_defaults(run=_features)
    features.add_argument("file", help="a corpus, an .npz of bars, MIDI, or a folder of it")
    features.add_argument(
        "--split", choices=("train", "valid", "test", "all"), default="all", help="songs of a corpus (%(default)s)"
    )
    features.add_argument("--all-bars", action="store_true", help="repeats too, not only each song's distinct bars")
    features.add_argument(
        "--reference", metavar="FILE", help="write what percentiles are measured by, as ships with the weights"
    )

    demo = commands.add_parser(
        "demo", help="the page: sample, steer, morph, edit and listen in a browser", description="Open the page."
    )
    demo.set_defaults(run=_demo)
    demo.add_argument("--data", metavar="bars.npz", help="songs to browse and to compare with (the textbook bars)")
    demo.add_argument("--votes", metavar="FILE", help="SQLite file for the choices of the blind test (your user data)")
    demo.add_argument("--port", type=positive, default=8501, help="(%(default)s)")
    demo.add_argument(
        "--address", default="localhost", help="where to listen; 0.0.0.0 lets others on your network in (%(default)s)"
    )
    demo.add_argument("--no-browser", action="store_true", help="only serve; do not open a browser")

    info = commands.add_parser("info", help="what a file holds", description="Say what a file holds.")
    info.set_defaults(run=_info)
    info.add_argument("file", nargs="?", help="weights, words, MIDI, LPD .npz or a text of bars (the bundled weights)")
    return parser


def _add_field(parser: argparse.ArgumentParser, config: type, name: str, what: str) -> None:
    """An option for a field of a dataclass: its type and its default are read there. Not given, it is None."""
    default = getattr(config, name)
    kind = type(default)
    parser.add_argument(
        f"--{name.replace('_', '-')}", type=kind, metavar="N" if kind is int else "X", help=f"{what} ({default})"
    )


def _add_machine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--devices", type=positive, default=1, help="GPUs, or processes on a CPU (%(default)s)")
    parser.add_argument("--accelerator", default="auto", choices=("auto", "cpu", "gpu", "mps"), help="(%(default)s)")
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"), help="(%(default)s)")
    parser.add_argument("--threads", type=positive, help="CPU threads of each process (torch's choice)")


def _prepare(options: argparse.Namespace) -> None:
    from rhythmgan.data import save_corpus
    from rhythmgan.files import check_target, make_folder
    from rhythmgan.kit import kit_named
    from rhythmgan.songs import counts_table, prepare, write_dropped

    kit = kit_named(options.kit)
    make_folder(Path(options.out).parent)
    check_target(options.out)
    with progress_bar("file") as tell:
        corpus, counts = prepare(
            options.sources, kit, options.grid, manifest=options.manifest, workers=options.workers, progress=tell
        )
    save_corpus(options.out, corpus)
    print(counts_table(counts))
    parts = {name: corpus.split(name) for name in ("train", "valid", "test")}
    distinct = ", ".join(f"{len(part.distinct()):,} {name}" for name, part in parts.items())
    print(f"\n{options.out}: {len(corpus):,} bars of {len(corpus.songs):,} songs, {corpus.steps} steps, kit {kit.name}")
    print(f"each song's distinct bars, by split: {distinct}")
    if options.dropped:
        write_dropped(options.dropped, counts)


def _train_gan(options: argparse.Namespace) -> None:
    from rhythmgan.data import load_corpus, load_patterns

    # data first: a wrong path is told before torch and Lightning take their seconds
    corpus = load_corpus(options.data) if options.data else load_patterns()
    is_text = options.data is None or Path(options.data).suffix == ".txt"
    corpus = corpus.split(options.split or ("all" if is_text else "train"))
    is_first = _is_first()
    if is_first:
        print(f"training on the distinct bars of {len(set(corpus.song_id.tolist())):,} songs", file=sys.stderr)

    machine = _machine(options)

    from rhythmgan.models.config import GANConfig
    from rhythmgan.training.config import GANTrainingConfig
    from rhythmgan.training.gan import GRID, train_gan

    names = ("pretrain_steps", "train_steps", "batch_size", "seed", "r1_gamma", "r2_gamma")
    training = GANTrainingConfig(**given(options, *names))
    network = GANConfig(kit=corpus.kit.name, steps=corpus.steps, **given(options, "width"))
    with progress_bar("step") if is_first else nullcontext() as progress:
        weights = train_gan(corpus, options.out, training, network=network, progress=progress, **machine)
    if not is_first:
        return
    print(f"weights: {weights}\npicture of seeds 0-35: {weights.parent / GRID}")
    print(f"next: rhythmgan sample --weights {weights}")


def _train_prior(options: argparse.Namespace) -> None:
    from rhythmgan.data import load_corpus, load_patterns

    corpus = load_corpus(options.data) if options.data else load_patterns()
    train, validation = corpus.split("train"), corpus.split("valid")
    is_first = _is_first()
    if is_first:
        n_train, n_validation = (len(set(part.song_id.tolist())) for part in (train, validation))
        print(f"training on {n_train:,} songs, validating on {n_validation:,} others", file=sys.stderr)

    machine = _machine(options)

    from rhythmgan.evaluate import nll_per_step, nll_table
    from rhythmgan.models.config import WordLSTMConfig
    from rhythmgan.models.weights import read_metadata
    from rhythmgan.models.word_lstm import load_prior
    from rhythmgan.training.config import PriorTrainingConfig
    from rhythmgan.training.prior import train_prior

    training = PriorTrainingConfig(**given(options, "train_steps", "batch_size", "seed"))
    network = WordLSTMConfig(kit=corpus.kit.name, steps=corpus.steps, **given(options, "width", "layers", "dropout"))
    with progress_bar("step") if is_first else nullcontext() as progress:
        weights = train_prior(train, validation, options.out, training, network=network, progress=progress, **machine)
    if not is_first:
        return
    nats = nll_per_step(validation, train, {"prior": load_prior(weights)})
    print(nll_table(nats, "the validation songs, which chose the weights"))
    facts = json.loads(read_metadata(weights)["provenance"])
    done, best = int(facts["trained_steps"]), int(facts["best_step"])
    why = "all that were asked for" if done >= training.train_steps else "the validation songs stopped it"
    print(f"\n{done:,} steps ({why}); the best weights are those of step {best:,}\nweights: {weights}")
    if options.data:
        print(f"next: rhythmgan evaluate {weights} --data {options.data}")


def _is_first() -> bool:
    """With several devices Lightning runs a command once for each: the first one talks."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    """What training runs on, as its arguments; the threads are set at once."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    return {name: getattr(options, name) for name in ("devices", "accelerator", "precision")}


def _sample(options: argparse.Namespace) -> None:
    from rhythmgan.bars import bar_to_lines
    from rhythmgan.folders import export_samples
    from rhythmgan.models.catalogue import load_generator, load_likelihood

    config = SampleConfig(**given(options, "n", "seed", "bars", "temperature"), **formats_given(options))
    if options.prior and config.bars == 1:
        raise ValueError("--prior picks the bars of phrases; ask for some with --bars 2 or more")
    model = load_generator(options.weights or "gan")
    prior = load_likelihood(options.prior or "prior") if config.bars > 1 else None
    output = output_given(options, model.kit)
    n_first = min(config.n, 4)
    with progress_bar("bar") as progress:
        done = export_samples(model, config, options.out, prior=prior, n_first=n_first, progress=progress, **output)
    for seed, bars in enumerate(done.bars, config.seed):
        print(f"seed {seed}\n{bar_to_lines(bars[0], output['kit'])}\n")
    what = f"{config.n:,} bars" if config.bars == 1 else f"{config.n:,} phrases of {config.bars} bars"
    print(f"{what} in {Path(options.out).resolve()}: {', '.join(names[0] for names in done.files.values())}")


def _interpolate(options: argparse.Namespace) -> None:
    import numpy as np

    from rhythmgan.folders import export_path
    from rhythmgan.models.catalogue import load_generator

    config = PathConfig(**given(options, "frames", "mode", "even"), **formats_given(options))
    model = load_generator(options.weights or "gan")
    if options.seeds is not None:
        parts = options.seeds.split("-")
        if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(f"--seeds takes whole numbers with a dash between them, like 3-17, not {options.seeds!r}")
        waypoints = model.latents([int(part) for part in parts])
    else:
        waypoints = _read_z(options.z, model.latent_dim)
    done = export_path(model, waypoints, options.out, config, **output_given(options, model.kit))
    changed = np.logical_xor(done.bars[1:], done.bars[:-1]).sum((1, 2))
    print(f"{len(done.bars)} bars in {Path(options.out).resolve()}: {file_names(done.files)}")
    print(f"cells that change from bar to bar: {' '.join(map(str, changed))}")


def _vary(options: argparse.Namespace) -> None:
    from rhythmgan.folders import export_variations, read_loop
    from rhythmgan.models.catalogue import load_generator

    config = VariationConfig(**given(options, "n", "amount", "seed"), **formats_given(options))
    model = load_generator(options.weights or "gan")
    loop, playback = read_loop(options.loop, model, options.out)
    done = export_variations(model, loop, options.out, config, **output_given(options, model.kit, playback))
    changed = (done.bars[1:] ^ done.bars[:1]).sum((1, 2, 3))
    print(f"{config.n} variations in {Path(options.out).resolve()}: {file_names(done.files)}")
    print(f"cells that differ from the loop: {' '.join(map(str, changed))}")


def _read_z(path: str, latent_dim: int) -> np.ndarray:
    import numpy as np

    from rhythmgan.files import read_npz

    members = read_npz(path, "a file of latent points")
    z = members.get("z", members.get(""))
    if z is None:
        raise ValueError(f"{path}: not a file of latent points: it has no member z")
    if z.ndim != 2 or z.shape[1] != latent_dim or z.dtype.kind != "f" or not np.isfinite(z).all():
        raise ValueError(f"{path}: expected finite floats (n, {latent_dim}), found {z.dtype} {z.shape}")
    return z


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from rhythmgan.data import load_corpus
    from rhythmgan.files import make_folder

    corpus = load_corpus(options.data)
    training, held = corpus.split("train"), corpus.split(options.split)
    if options.out:
        make_folder(options.out)  # a folder that cannot be written is told before the minutes of judging

    from rhythmgan import evaluate as judge
    from rhythmgan.baselines import SAMPLERS

    protocol = judge.QUICK if options.quick else judge.EvaluationConfig()
    protocol = replace(protocol, seed=options.seed, **({"n": options.n} if options.n else {}))
    names = options.baseline or list(SAMPLERS)
    inputs = options.inputs or ([] if options.baseline else ["gan", "prior"])
    candidates = [judge.candidate(source, corpus.kit, corpus.steps) for source in inputs]
    candidates += [judge.baseline(name, training) for name in names]
    with progress_bar("row") as tell:
        report = judge.evaluate(held, training, candidates, protocol, out=options.out, progress=tell)
    print(judge.to_markdown(report), end="")
    if protocol.repeats == 1:
        print("\none halving only: C2ST scatters by about .02, nearer rows are not told apart", file=sys.stderr)
    if options.out:
        judge.write_report(report, options.out)
        print(f"\n{Path(options.out).resolve()}: table.md, report.json, features-….png, samples-….png")


def _features(options: argparse.Namespace) -> None:
    import numpy as np

    from rhythmgan.features import swing
    from rhythmgan.load import load_bars
    from rhythmgan.midi_reader import SUFFIXES, read_midi
    from rhythmgan.reference import Reference, load_reference, save_reference

    bars, _, kit = load_bars(options.file, split=options.split, distinct=not options.all_bars)
    reference = Reference.of(bars, kit)
    print(reference.to_markdown(load_reference()))
    if Path(options.file).suffix.lower() in SUFFIXES:
        onsets = read_midi(options.file)
        eighth = float(swing(onsets.beat, np.zeros(len(onsets.beat), int), 1))
        print(
            f"\nswing: {eighth:.3f} (.5 is straight, .667 a shuffle)" if eighth == eighth else "\nswing: no off-beats"
        )
    if options.reference:
        save_reference(options.reference, reference)


def _info(options: argparse.Namespace) -> None:
    from rhythmgan.info import describe

    for name, value in describe(options.file).items():
        print(f"{name}: {value}")


def _demo(options: argparse.Namespace) -> None:
    from importlib.util import find_spec
    from threading import Thread

    from rhythmgan.files import check_target, make_folder

    if find_spec("streamlit") is None:
        raise ValueError("the page needs Streamlit: pip install 'rhythmgan[page]'")
    if options.port > 65535:
        raise ValueError(f"a port lies in 1 … 65535, not at {options.port}")
    if options.data:
        from rhythmgan.data import load_corpus

        load_corpus(options.data)  # a file that cannot be read is told here, not in the page
        os.environ["RHYTHMGAN_DATA"] = str(Path(options.data).resolve())
    if options.votes:
        make_folder(Path(options.votes).parent)
        with suppress(FileNotFoundError), open(check_target(options.votes), "rb") as file:
            if file.read(16) not in (b"", b"SQLite format 3\0"):
                raise ValueError(f"{options.votes}: not an SQLite file")
        os.environ["RHYTHMGAN_VOTES"] = str(Path(options.votes).resolve())
    inside = Path(__file__).parent / "demo" / "app.py"
    app = inside if inside.exists() else Path(__file__).parent.parent / "demo" / "app.py"
    Thread(target=_warm_up, daemon=True).start()

    from streamlit.web import cli

    settings = [f"--server.port={options.port}", f"--server.address={options.address}", "--server.fileWatcherType=none"]
    if options.no_browser:
        settings.append("--server.headless=true")
    cli.main(["run", str(app), *settings], standalone_mode=False)


def _warm_up() -> None:
    """Do what takes seconds while the server starts and the browser opens: import torch, compute the drum kit."""
    from rhythmgan.kit import GM9
    from rhythmgan.models import gan  # noqa: F401
    from rhythmgan.synth import one_shots

    one_shots(GM9)
