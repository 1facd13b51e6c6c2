"""Every door through which something comes in from outside, as a function of bytes, with what it promises.

A door is opened with hostile bytes. It answers, or it refuses: with a ``ValueError`` (``NoBars`` among them) or an
``OSError`` of one line that is not empty, and that names the file where the door promises so. All else is a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import mutations
import valid
from mutations import Mutator, both

sys.path.append(
    str(valid.ROOT / "demo")
)  # where streamlit puts the folder of its script: the page's modules are page.x


@dataclass(frozen=True)
class Door:
    """A way in.

    Attributes:
        name: of the door.
        share: of all inputs, compared with the other doors: fewer where an input costs more.
        valid: the inputs that hostile ones are made of.
        mutate: what makes them.
        opened: takes bytes and a path: of a file, which holds them, or of a folder for the door's own use.
        suffix: of the file; None where the door takes bytes, and no file is written.
        names_file: whether what it refuses is named.
    """

    name: str
    share: float
    valid: Callable[[], list[bytes]]
    mutate: Mutator
    opened: Callable[[bytes, Path], object]
    suffix: str | None = None
    names_file: bool = False


def refusal(error: BaseException, door: Door, path: Path) -> str:
    """What is wrong with an exception that a door raised; "" of a refusal as it is promised.

    Raises:
        MemoryError: the door says that there was too little memory.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, UnicodeError) or not isinstance(error, (ValueError, OSError)):
        return type(error).__name__
    said = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        said = f"{error.filename}: {error.strerror or error}" if error.filename else str(error.strerror)
    if any(word in said.lower() for word in ("allocate", "not enough memory", "out of memory")):
        raise MemoryError(said)
    if not said.strip():
        return "an empty message"
    if len(said.splitlines()) > 1:
        return "a message of several lines"
    if door.names_file and path.name not in said:
        return "a message that names no file"
    return ""


# --- Songs -------------------------------------------------------------------------------------------


def _midi(data: bytes, path: Path) -> None:
    """As every reader of MIDI goes on: onsets, bars on their own grids, a loop."""
    from rhythmgan.grid import quantise_by_grid_or_explain
    from rhythmgan.kit import GM12
    from rhythmgan.midi_reader import parse_midi

    quantise_by_grid_or_explain(parse_midi(data, path.name), GM12)


def _loop(data: bytes, path: Path) -> None:
    """A loop of one's own, as ``steer``, ``vary``, ``fill`` and ``continue`` read it."""
    from rhythmgan.generate.config import MAX_BARS
    from rhythmgan.kit import GM12
    from rhythmgan.load import load_loop

    loop, _ = load_loop(path, GM12, 12 if data[-1:] == b"\0" else 16)
    if len(loop) <= MAX_BARS:
        loop.folded(GM12)


def _pack(data: bytes, path: Path) -> None:
    """A file of a loop pack, as ``standardise`` and ``combine`` read it."""
    from rhythmgan.kit import GM12
    from rhythmgan.loop_packs import Heard, standard_midi
    from rhythmgan.midi_reader import parse_midi

    name = path.with_name("Kick 01.mid").name
    heard = Heard(name, parse_midi(standard_midi(data, name).data, name), GM12)
    heard.on_grid(heard.own_grid or 16, 8)  # on 0 where there is no grid of its own


def _upload(data: bytes, path: Path) -> None:
    """A file that a visitor of the page uploads; its first byte chooses what it is called."""
    from page import reading, upload

    def read_here(name: str, content: bytes, steps: int) -> Any:
        """As the server reads it, but in this process: to start another takes a hundred times as long as to read."""
        found = path.with_name(f"{name}.mid")
        found.write_bytes(content)
        return reading.read(found, steps)

    names = (
        *("loop.mid", "a\nb.mid", "../../etc/passwd", "", ".mid", "x" * 5000, "\ud800.mid", "Kick 01.MIDI", "con"),
        *("\\\\a\\b",),
    )
    for steps in (16, 12):
        try:
            with mock.patch.object(reading, "read_apart", read_here):
                found = upload.read(names[sum(data[:64]) % len(names)], data, steps)
        except ValueError:
            if steps == 12:
                raise
            continue
        assert len(found.name.splitlines()) == 1


def _lpd(data: bytes, path: Path) -> None:
    """A pianoroll of LPD."""
    from rhythmgan.grid import quantise_by_grid_or_explain
    from rhythmgan.kit import GM12
    from rhythmgan.lpd import read_lpd, read_lpd_bpm, read_lpd_cells

    quantise_by_grid_or_explain(read_lpd(path), GM12)
    read_lpd_bpm(path)
    read_lpd_cells(path)


def _songs(data: bytes, path: Path) -> None:
    """A source of songs, as ``prepare`` lists it, reads it and joins its songs, in this process."""
    from rhythmgan.songs.preparation import prepare

    prepare(path, path.with_name("corpus.npz"), workers=1)


def _manifest(data: bytes, path: Path) -> None:
    """A manifest."""
    from rhythmgan.songs.manifests import Named, read_manifest

    table = read_manifest(str(path), path.name, [0])
    table.match([Named(0, "a/one.mid"), Named(0, "two.mid")], [["songs", "all/songs"]])
    table.notice()


def _duplicates(data: bytes, path: Path) -> None:
    """A list of songs that are the same."""
    from rhythmgan.songs.manifests import join_songs, read_duplicates

    join_songs(["a", "b"], ["0" * 32, "1" * 32], read_duplicates(path))


# --- Bars --------------------------------------------------------------------------------------------


def _corpus(data: bytes, path: Path) -> None:
    """A corpus, with all that is read of one."""
    from rhythmgan.corpus_file import corpus_counts, corpus_grids, load_corpus

    corpus_grids(path)
    corpus_counts(path)
    corpus = load_corpus(path)
    corpus.distinct()
    for split in ("train", "validation", "test"):
        corpus.split(split)
    if corpus.playing is not None:
        corpus.performance(corpus.rows[:4] if corpus.rows is not None else None)


def _bars(data: bytes, path: Path) -> None:
    """Bars of any kind of file, as ``features``, ``evaluate`` and the likes read them."""
    from rhythmgan.features import measure
    from rhythmgan.load import load_bars

    bars, _, kit = load_bars(path)
    measure(bars[:20], kit, ["density", "syncopation"])


def _points(data: bytes, path: Path) -> None:
    """Latent points to go through."""
    from rhythmgan.commands.interpolate import _read_z

    _read_z(str(path), 192)


def _patterns(data: bytes, path: Path) -> None:
    """A text of bars."""
    from rhythmgan.models.tokens import Tokens
    from rhythmgan.patterns import load_patterns

    with contextlib.suppress(ValueError):
        Tokens(9, 16, characters=True).of_text(data.decode("utf-8", "replace"))
    load_patterns(path)


def _folder(data: bytes, path: Path) -> None:
    """A folder that a command wrote, and that something else changed."""
    from rhythmgan.load import load_bars
    from rhythmgan.samples import export_samples

    folder = path.with_name("written")
    with _unpacked(data, folder):
        load_bars(folder)
        if (folder / "sample.json").exists():
            from rhythmgan.generate.config import SampleConfig

            export_samples(_generator(), SampleConfig(n=1), folder)


@contextlib.contextmanager
def _unpacked(data: bytes, folder: Path) -> Iterator[None]:
    """A folder with the members of a .zip as far as they can be read; it is removed afterwards."""
    folder.mkdir()
    try:
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.file_size < mutations.MAX_BYTES and Path(info.filename).name == info.filename:
                    (folder / info.filename).write_bytes(mutations.read_member(archive, info))
        yield
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _info(data: bytes, path: Path) -> None:
    """Whatever a file holds, as ``info`` says it, under each ending: in lines of ours, and as a document."""
    from rhythmgan.commands.info import to_document, to_lines
    from rhythmgan.console import without_nan
    from rhythmgan.info import describe
    from rhythmgan.inputs import one_line

    endings = (".npz", ".mid", ".txt", ".safetensors", ".zip", "")
    other = path.with_suffix(endings[sum(data[-64:]) % len(endings)])
    for named in {path, other}:
        if named != path:
            os.replace(path, named)
        try:
            facts = describe(named)
            lines = to_lines(facts)
            json.dumps(without_nan(to_document(facts)), allow_nan=False)
        finally:
            if named != path:
                os.replace(named, path)
        assert all(one_line(line) == line and len(line) < _MOST_SHOWN for line in lines), "a line that is none"
        assert lines[0] == f"file: {named}"
        ours = [line.partition(":")[0] for line in lines if not line.startswith("  ")]
        assert len(set(ours)) == len(ours), "a line that is there twice"


_MOST_SHOWN = 10_000
"""Letters of a line that ``info`` prints: a hundred names of eighty and their numbers."""


# --- Models ------------------------------------------------------------------------------------------


@cache
def _generator() -> Any:
    from rhythmgan.models.catalogue import load_generator

    with _file(valid.weights()[0]) as path:
        return load_generator(path)


@contextlib.contextmanager
def _file(data: bytes) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(data)
        yield path


def _weights(data: bytes, path: Path) -> None:
    """Weights of any model, as every command loads them."""
    from rhythmgan.models.catalogue import load_model

    load_model(path)


def _agent(kind: str, data: bytes, path: Path) -> None:
    """Weights of an agent of a kind."""
    from rl_tuner import agent as stepwise
    from rl_tuner.append import agent as append
    from rl_tuner.edit import agent as edit
    from rl_tuner.latent import agent as latent
    from rl_tuner.toggle import agent as toggle
    from rl_tuner.toggle import toggler

    loads: dict[str, Callable[[Path], object]] = {
        "stepwise": stepwise.load_agent,
        "latent": latent.load_latent_agent,
        "edit": edit.load_edit_agent,
        "append": lambda path: append.load_append_agent(path, valid.note_model()),
        "published": lambda path: append.load_published(path, valid.note_model()),
        "answer": lambda path: toggle.load_answer_agent(path, valid.answer_model()),
        "toggle": toggler.load_toggle_agent,
    }
    loads[kind](path)


def _reference(data: bytes, path: Path) -> None:
    """A reference of features, also beside weights."""
    from rhythmgan.reference import load_reference, saved_references

    for key in saved_references(path):
        _, kind, role, steps = key.split("/")
        found = load_reference(path, kind, role, int(steps))
        for name in found.quantiles:
            found.value(name, 50)
    load_reference(path)


@cache
def _learner() -> Any:
    """A learner whose checkpoints are read: a tiny DQN."""
    import gymnasium

    from rl_tuner.config import DQNConfig
    from rl_tuner.dqn import DQN, QNetwork

    envs = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    shape = DQNConfig(train_steps=100, buffer_size=64, learning_starts=8, batch_size=4)
    return DQN(envs, shape, QNetwork(4, 2, 4, 1))


def _checkpoint(data: bytes, path: Path) -> None:
    """A checkpoint of an agent that learns."""
    _learner().load(path)


def _run_note(data: bytes, path: Path) -> None:
    """What a folder says of the run in it, as it is read before a run is resumed."""
    from rhythmgan.training.folder import CHECKPOINT, CONFIG, state_to_resume
    from rl_tuner.training import _is_same_run

    folder = path.with_name("run")
    folder.mkdir()
    (folder / CONFIG).write_bytes(data)
    (folder / CHECKPOINT).write_bytes(_steps_done())
    _is_same_run(folder, valid.DESCRIBED)
    state_to_resume(folder, valid.DESCRIBED, 100)


@cache
def _steps_done() -> bytes:
    """The checkpoint of a run that says how far it is, and no more."""
    from rhythmgan.training.checkpoint import write_checkpoint

    return valid.written(lambda path: write_checkpoint(path, {"steps_done": 3}), "last.ckpt")


def _retold(random: Random, data: bytes) -> bytes:
    """A checkpoint of other values, with a checksum that fits; or damage, which the checksum tells."""
    import torch

    from rhythmgan.training.checkpoint import read_checkpoint, write_checkpoint

    if random.random() < 0.4:
        return mutations.safetensors(random, data)
    with _file(data) as path:
        try:
            tree = mutations.mutate_tree(random, read_checkpoint(path))
        except ValueError:
            raise mutations.Unreadable from None
        for node, key in mutations.nodes(tree):
            if isinstance(node[key], torch.Tensor) and random.random() < 0.05:
                shape = random.choice(((), (1,), (0,), (3, 2), tuple(node[key].shape)))
                node[key] = torch.zeros(
                    shape, dtype=random.choice((torch.float64, torch.int64, torch.float32, torch.bool))
                )
        if not isinstance(tree, dict):
            tree = {"config": tree}
        write_checkpoint(path, tree)
        return path.read_bytes()


# --- The page ----------------------------------------------------------------------------------------


def _votes(data: bytes, path: Path) -> None:
    """A file of votes: what it comes to, and one more vote."""
    from page.votes import Vote, results, store, verdict

    verdict(results(path))
    store(path, Vote("a", "GAN", "real", "2.x", "2.y", 120.0, 0.5, None))
    verdict(results(path))


def _code(data: bytes, path: Path) -> None:
    """The code of a loop in an address."""
    from page.loop import Loop

    code = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
    loop = Loop.read(code, "shared")
    assert Loop.read(loop.code, "again") == loop.named("again")
    assert loop.sent


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


class _State(dict[str, Any]):
    """What Streamlit keeps of a session, without a server."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]


@contextlib.contextmanager
def _session(query: Mapping[str, Any]) -> Iterator[_State]:
    """A session of the page at an address, outside of a server."""
    import streamlit

    state = _State()
    with (
        mock.patch.object(streamlit, "session_state", state),
        mock.patch.object(streamlit, "query_params", dict(query)),
        mock.patch.object(streamlit, "toast"),
    ):
        yield state


def _sent(data: bytes) -> Any:
    """What a browser sends; the server reads the JSON, and of what is none nothing comes to us."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _address(data: bytes, path: Path) -> None:
    """Query parameters: every browser may send any text under any name."""
    from page import sample, session, steer, transport

    said = _sent(data)
    query = {str(name): str(value) for name, value in said.items()} if isinstance(said, dict) else {"loop": str(said)}
    with _session(query):
        session.begin(valid.loops()[0])
        transport.begin()
        session.follow_address()
        sample._temperature()
        for name in ("density", "syncopation"):
            steer._of_address(name)


def _value(data: bytes, path: Path) -> None:
    """What a browser sends as the value of a component of ours: any JSON."""
    from page import session, stage, transport

    said = _sent(data)
    name, sent = (str(said[0]), said[1]) if isinstance(said, list) and len(said) > 1 else ("", said)
    hand = valid.loops()[1]
    with _session({}) as state:
        state.visitor = visitor = session.Visitor(hand, history=[hand], past=[valid.loops()[0]])
        desk = stage.Desk(hand, hand, [False] * 12)
        told = transport._Told(epoch="e")
        for each in [name] if name in _RECEIVERS else _RECEIVERS:
            _RECEIVERS[each](sent, state, desk, told)
        assert visitor.hand.sent
        visitor.mix.levels()
        visitor.playback(16)


def _edited(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import stage

    for stroke in stage._strokes(sent):
        if desk.receive(stroke):
            state.visitor.take(desk.loop)


def _mixed(sent: Any, state: _State, desk: Any, told: Any) -> None:
    """As ``stage.show`` takes it: the function is inside another one."""
    from page import stage

    component = mock.Mock()
    state["stage-desk"], state["stage"] = desk, _State(mixed=sent, edited=sent, kept=sent)
    with mock.patch.object(stage, "_stage", component):
        stage.show()
    component.call_args.kwargs["on_mixed_change"]()


def _kept(sent: Any, state: _State, desk: Any, told: Any) -> None:
    state.visitor.keep(sent, {state.visitor.hand.code: state.visitor.hand})


def _favourites(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import session

    session._readable(sent)


def _changed(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import transport

    transport._change(state.visitor, told, sent)


def _moved(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import transport

    transport._move(state.visitor, told, sent)


def _dialled(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import dials

    component, dial = mock.Mock(), dials.Dial("density", "Density", 0, 30, 1, 12)
    state["some"] = _State(moved=sent)
    with mock.patch.object(dials, "_dials", component):
        dials.show([dial], "some", lambda values: None)
    component.call_args.kwargs["on_moved_change"]()


def _walked(sent: Any, state: _State, desk: Any, told: Any) -> None:
    from page import morph

    morph._readable((sent if isinstance(sent, dict) else {}).get("path"), mock.Mock(n_columns=3, n_rows=3))


_RECEIVERS: dict[str, Callable[[Any, _State, Any, Any], None]] = {
    "stage edited": _edited,
    "stage mixed": _mixed,
    "kept": _kept,
    "favourites": _favourites,
    "controls changed": _changed,
    "controls moved": _moved,
    "dials": _dialled,
    "pad": _walked,
}


# --- Words -------------------------------------------------------------------------------------------


@cache
def _parsers() -> dict[str, argparse.ArgumentParser]:
    import rhythmgan.cli
    import rl_tuner.cli

    return {"rhythmgan": rhythmgan.cli._parser(), "rl-tuner": rl_tuner.cli._parser()}


def _options(data: bytes, path: Path) -> None:
    """Options as they are written: of a command line, or of one option that has a grammar of its own."""
    parts = [
        os.fsdecode(part) if not _is_text(part) else part.decode("utf-8", "surrogatepass") for part in data.split(b"\0")
    ]
    head, rest = parts[0], parts[1:]
    if head in _parsers():
        _command(_parsers()[head], rest)
    elif head in _GRAMMARS:
        _GRAMMARS[head](rest)
    else:
        for grammar in _GRAMMARS.values():
            grammar(parts)


def _command(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    """Parse a command line, and what its options become before anything is loaded."""
    from rhythmgan import console
    from rhythmgan.generate import config
    from rl_tuner.commands import steer

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            options = parser.parse_args(arguments)
    except SystemExit as ended:
        if ended.code not in (0, 2) or not said.getvalue():
            raise AssertionError(f"exit status {ended.code} and {len(said.getvalue())} letters") from None
        return
    found = vars(options)
    if found.get("format") is not None:
        console.formats_given(options)
    if "density" in found and "target" in found:
        steer._wishes(options)
    for shape in (config.SampleConfig, config.PathConfig, config.VariationConfig, config.CombineConfig):
        names = [
            name
            for name in shape.__dataclass_fields__
            if found.get(name) is not None and name not in ("formats", "where")
        ]
        shape(**console.given(options, *names))


def _wishes(parts: list[str]) -> None:
    from rhythmgan.performance import Performance
    from rl_tuner.wishes import parse_wishes, to_targets

    loop = Performance.of(valid.some_bars(4), valid.loops()[0].performance.kit)
    wishes = {parts[0] if len(parts) > 1 else "density": parse_wishes(parts[-1] if parts else "")}
    to_targets(wishes, loop, whole_loop=len(next(iter(wishes.values()))) == 1)


def _criteria(parts: list[str]) -> None:
    from rhythmgan.generate.selection import parse_criteria

    parse_criteria(parts)


def _line(parts: list[str]) -> None:
    from rl_tuner.toggle.lines import parse_line

    parse_line("".join(parts))


def _level(parts: list[str]) -> None:
    from rl_tuner.edit.levels import LEVELS, target_given

    for feature in [parts[0]] if parts and parts[0] in LEVELS else LEVELS:
        target_given(feature, parts[-1] if parts else "")


def _lock_bars(parts: list[str]) -> None:
    from rl_tuner.commands.steer import _numbers

    _numbers(",".join(parts), 8)


def _parts(parts: list[str]) -> None:
    from rhythmgan.generate.variation import lock_parts
    from rhythmgan.kit import GM12

    lock_parts(GM12, 16, parts)


def _seeds(parts: list[str]) -> None:
    from rhythmgan.seeds import check_seed

    options = argparse.Namespace(seeds="-".join(parts), loops=None, z=None, bpm=None, swing=None, kit=None)
    from rhythmgan.commands.interpolate import _ends

    _ends(options, mock.Mock(latents=lambda seeds: [check_seed(seed) for seed in seeds]))


_GRAMMARS: dict[str, Callable[[list[str]], None]] = {
    "where": _criteria,
    "wishes": _wishes,
    "lines": _line,
    "level": _level,
    "lock bars": _lock_bars,
    "parts": _parts,
    "seeds": _seeds,
}


# --- The table ---------------------------------------------------------------------------------------


def _member(name: str) -> Mutator:
    """What mutates a member of an archive."""
    endings = {
        ".npy": mutations.npy,
        ".json": mutations.as_json,
        ".mid": mutations.midi,
        ".csv": mutations.table,
        ".npz": mutations.zipped(_member),
    }
    return next((mutate for ending, mutate in endings.items() if name.endswith(ending)), mutations.plain)


def _written_checkpoint() -> list[bytes]:
    return [valid.written(lambda path: _learner().save(path, {"best": 1.0}), "last.ckpt")]


def _arrays(random: Random, data: bytes) -> bytes:
    """A .npy file alone, or a .npz file of several."""
    return (mutations.npy if data[:1] == b"\x93" else _NPZ)(random, data)


def _anything(random: Random, data: bytes) -> bytes:
    """A file of any kind, by its first bytes."""
    for begin, mutate in (
        (b"PK", _NPZ),
        (b"MThd", mutations.midi),
        (b"RIFF", mutations.midi),
        (b"\x93", mutations.npy),
    ):
        if data.startswith(begin):
            return mutate(random, data)
    return mutations.safetensors(random, data) if b"__metadata__" in data[:4000] else mutations.text(random, data)


_NPZ = mutations.zipped(_member)
_TAR = mutations.tarred(_member)


def _all_kinds() -> list[bytes]:
    found = [valid.midi, valid.lpd, valid.corpora, valid.bars, valid.texts, valid.references, valid.points]
    return [data for made in found for data in made()] + valid.weights()[:3]


DOORS: tuple[Door, ...] = (
    Door("MIDI: a song", 8, valid.midi, both(mutations.midi), _midi),
    Door("MIDI: a loop", 4, valid.midi, both(mutations.midi), _loop, ".mid", True),
    Door("MIDI: a loop pack", 3, lambda: valid.pack() + valid.midi()[:3], both(mutations.midi), _pack),
    Door("page: an upload", 3, valid.midi, both(mutations.midi), _upload),
    Door("LPD", 5, valid.lpd, both(_NPZ), _lpd, ".npz"),
    Door("songs: .zip", 2, valid.zips, both(_NPZ), _songs, ".zip"),
    Door("songs: .tar, .tar.gz", 2, valid.tars, both(_TAR), _songs, ".tar"),
    Door("songs: .parquet", 1, valid.parquets, mutations.plain, _songs, ".parquet"),
    Door("songs: manifest", 8, valid.manifests, both(mutations.table), _manifest, ".csv", True),
    Door("songs: duplicates", 8, valid.duplicates, both(mutations.as_json), _duplicates, ".json", True),
    Door("corpus", 3, valid.corpora, both(_NPZ, 0.15), _corpus, ".npz", True),
    Door("bars: .npz", 5, valid.bars, both(_NPZ, 0.15), _bars, ".npz", True),
    Door("bars: a loop in .npz", 3, valid.bars, both(_NPZ, 0.15), _loop, ".npz", True),
    Door("bars: text", 6, valid.texts, both(mutations.text), _patterns, ".txt", True),
    Door("bars: a folder", 2, valid.folders, both(_NPZ, 0.1), _folder, ".zip"),
    Door("latent points", 8, valid.points, both(_arrays), _points, ".npz", True),
    Door("info: any file", 3, _all_kinds, both(_anything), _info, ".npz"),
    Door("weights of models", 5, valid.weights, both(mutations.safetensors), _weights, ".safetensors", True),
    *(
        Door(
            *(f"agent: {kind}", 1, partial(lambda kind: [valid.agents()[kind]], kind), both(mutations.safetensors)),
            *(partial(_agent, kind), ".safetensors", True),
        )
        for kind in ("stepwise", "latent", "edit", "append", "published", "answer", "toggle")
    ),
    Door("reference of features", 3, valid.references, both(mutations.safetensors), _reference, ".safetensors", True),
    Door("training: checkpoint", 2, _written_checkpoint, both(_retold), _checkpoint, ".ckpt", True),
    Door(
        "training: config.json",
        8,
        lambda: [json.dumps(valid.DESCRIBED).encode()],
        both(mutations.as_json),
        _run_note,
        ".json",
    ),
    Door("page: votes", 3, valid.votes, both(mutations.sqlite, 0.1), _votes, ".sqlite", True),
    Door("page: code of a loop", 16, valid.codes, both(mutations.text, 0.5), _code),
    Door("page: address", 8, valid.addresses, both(mutations.sent, 0), _address),
    Door("page: values of components", 10, valid.values, both(mutations.sent, 0), _value),
    Door("options", 14, valid.options, both(mutations.words, 0.05), _options),
)
