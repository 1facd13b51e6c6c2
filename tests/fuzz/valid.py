"""Valid inputs of every door, which hostile ones are made of: real files where there are any, and files of our own."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import sqlite3
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mido
import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
SHARED = ROOT.parent / "shared"
"""Real songs beside the repository, on machines that have them."""


def _small(folder: str, pattern: str, n: int, most: int) -> list[bytes]:
    """The first n files of a folder of real data, in the order of their names, that have ``most`` bytes at most."""
    files = sorted(path for path in (SHARED / folder).rglob(pattern) if path.stat().st_size <= most)
    return [path.read_bytes() for path in files[:: max(len(files) // n, 1)][:n]]


def written(write: Callable[[Path], object], name: str = "file") -> bytes:
    """What a function writes into a file of this name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def some_bars(n: int = 2, parts: int = 12, steps: int = 16) -> np.ndarray:
    """Bars (n, steps, parts) bool with a backbeat and something of their own."""
    bars = np.random.default_rng(steps + parts).random((n, steps, parts)) < 0.1
    bars[:, ::4, 0] = bars[:, 4::8, 1] = bars[:, ::2, 2] = True
    return bars


# --- Songs -------------------------------------------------------------------------------------------


@cache
def midi() -> list[bytes]:
    """MIDI files: of our own and of Python's library, with a RIFF around one; real ones."""
    from rhythmgan.kit import GM12
    from rhythmgan.midi import write_midi

    own = written(lambda path: write_midi(path, some_bars(), GM12))
    song = mido.MidiFile(type=1, ticks_per_beat=96)
    for channel, name in ((0, "Bass"), (9, "Drums"), (2, "Snare Drum")):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        if channel == 0:
            track += [mido.MetaMessage("time_signature", numerator=4), mido.MetaMessage("set_tempo", tempo=600_000)]
            track.append(mido.Message("sysex", data=(0x7E, 0x7F, 9, 1)))
        for beat in range(16):
            track.append(mido.Message("note_on", channel=channel, note=36 + beat % 4, velocity=90, time=24))
            track.append(mido.Message("note_off", channel=channel, note=36 + beat % 4, time=24))
        song.tracks.append(track)
    other = io.BytesIO()
    song.save(file=other)
    riff = b"RIFF" + (len(own) + 12).to_bytes(4, "little") + b"RMIDdata" + len(own).to_bytes(4, "little") + own
    real = _small("cases/midi", "*.mid", 12, 4000) + _small("data/groove", "*.mid", 6, 4000)
    return [own, other.getvalue(), riff, *real, *_small("data/lakh", "*.mid", 4, 12_000)]


@cache
def pack() -> list[bytes]:
    """Files of a loop pack: a kick alone."""
    from rhythmgan.kit import GM12
    from rhythmgan.midi import write_midi

    def kick(steps: int) -> bytes:
        return written(lambda path: write_midi(path, some_bars(2, 12, steps) & (np.arange(12) == 0), GM12))

    return [kick(16), kick(12)]


def npy(array: Any) -> bytes:
    """An array as NumPy writes it."""
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


def npz(**members: Any) -> bytes:
    """Arrays as NumPy writes them together."""
    out = io.BytesIO()
    np.savez_compressed(out, **members)
    return out.getvalue()


@cache
def lpd() -> list[bytes]:
    """LPD pianorolls."""
    ticks = np.arange(0, 192, 12)
    pitches = np.repeat([36, 38], 8)
    info = {"0": {"program": 0, "is_drum": True, "name": "Drums"}, "1": {"is_drum": False}, "resolution": 24}
    starts = np.append(0, np.cumsum(np.bincount(pitches, minlength=128))).astype(np.int32)
    members = {
        "pianoroll_0_csc_data.npy": npy(np.full(16, 90, np.uint8)),
        "pianoroll_0_csc_indices.npy": npy(np.tile(ticks[::2], 2).astype(np.int32)),
        "pianoroll_0_csc_indptr.npy": npy(starts),
        "pianoroll_0_csc_shape.npy": npy([192, 128]),
        "tempo.npy": npy(np.full(192, 120.0)),
        "downbeat.npy": npy(np.arange(192) % 96 == 0),
        "info.json": json.dumps(info).encode(),
    }
    return [_zip(members, zipfile.ZIP_DEFLATED), *_small("cases/lpd", "*.npz", 4, 20_000)]


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@cache
def _songs() -> dict[str, bytes]:
    """The files of an archive of songs, with a manifest."""
    rows = io.StringIO()
    csv.writer(rows).writerows([("file", "song", "style"), ("a/one.mid", "first", "funk"), ("two", "second", "jazz")])
    return {
        "a/one.mid": midi()[0],
        "a/two.mid": midi()[1],
        "b/three.npz": lpd()[0],
        "manifest.csv": rows.getvalue().encode(),
    }


@cache
def zips() -> list[bytes]:
    """.zip files of songs, packed in four ways."""
    return [
        _zip(_songs(), method)
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ]


@cache
def tars() -> list[bytes]:
    """.tar files of songs, plain and compressed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in _songs().items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return [out.getvalue(), gzip.compress(out.getvalue(), mtime=0)]


@cache
def parquets() -> list[bytes]:
    """Tables of songs; none where pyarrow is missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return []

    def written(**columns: Any) -> bytes:
        out = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), out)
        return out.getvalue()

    songs = [midi()[0], midi()[1], b"", None]
    return [
        written(music=songs, md5=["0" * 32, "1" * 32, "x", None], genre=["funk", None, "", "jazz"]),
        written(audio=[{"bytes": song, "path": "x"} for song in songs]),
        written(data=[list(song) if song is not None else None for song in songs[1:]]),
    ]


@cache
def manifests() -> list[bytes]:
    """CSV manifests, as ours and as Groove's."""
    groove = b"drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,audio_filename,duration,split\n"
    groove += b"drummer1,s1,drummer1/eval/1,funk/groove1,138,beat,4-4,drummer1/eval/1.mid,,27.8,test\n" * 2
    return [_songs()["manifest.csv"], groove, b"md5,song\n" + b"0" * 32 + b",one\n" + b"f" * 32 + b",\n"]


@cache
def duplicates() -> list[bytes]:
    """Lists of songs that are the same, as JSON and as text."""
    one, two, three = "0" * 32, "1" * 32, "a" * 32
    return [json.dumps(tree).encode() for tree in ([[one, two], [three]], {one: [two, {"x": three}]})] + [
        f"{one}\t{two}\n".encode()
    ]


# --- Bars --------------------------------------------------------------------------------------------


@cache
def corpora() -> list[bytes]:
    """Corpora: with and without how bars are played."""
    from rhythmgan.corpus_file import save_corpus
    from rhythmgan.patterns import load_patterns
    from rhythmgan.songs.preparation import prepare

    def prepared(path: Path) -> None:
        source = path.parent / "songs.zip"
        source.write_bytes(zips()[0])
        prepare(source, path, workers=1)

    counts = {
        "n_onsets": 3,
        "n_onsets_outside": 0,
        "n_off_grid": 0,
        "n_merged": 0,
        "roles": {"groove": 1},
        "styles": {},
    }
    few = load_patterns().only(np.arange(6))
    return [
        written(prepared, "corpus.npz"),
        written(lambda path: save_corpus(path, few, counts=[counts]), "corpus.npz"),
    ]


@cache
def bars() -> list[bytes]:
    """.npz files of bars, as commands write them."""
    seeds = np.arange(2)
    return [
        npz(bars=some_bars(), seed=seeds, z=np.zeros((2, 192), np.float32)),
        npz(
            bars=some_bars(4).reshape(2, 2, 16, 12),
            velocities=np.full((2, 2, 16, 12), 90, np.uint8),
            offsets=np.zeros((2, 2, 16, 12)),
        ),
        npz(bars=some_bars(3, 9, 12), kit=np.array("gm9")),
    ]


@cache
def points() -> list[bytes]:
    """Files of latent points of 192 numbers."""
    return [
        npy(np.ones((3, 192), np.float32)),
        npz(z=np.ones((2, 192))),
        npz(z=np.ones((2, 1, 192), np.float16), bars=some_bars()),
    ]


@cache
def texts() -> list[bytes]:
    """Texts of bars."""
    own = (ROOT / "data" / "patterns.txt").read_bytes()
    return [
        own[: own.rindex(b"BAR", 0, 3000) + 4],
        b"# one\n" + b"0b100000000 " * 16 + b"BAR\n",
        b"0b101000000001\n" * 12 + b"BAR\n",
    ]


@cache
def folders() -> list[bytes]:
    """Folders that commands wrote, as .zip files of what is in them."""
    note = json.dumps({"weights": "x", "n": 2, "temperature": 1.0, "kit": "gm12", "where": []}).encode()
    return [
        _zip({"sample.json": note, "seeds-000000-000001.npz": bars()[0], "seed-000000.mid": midi()[0]}),
        _zip({"variations.npz": bars()[1], "loop.mid": midi()[0], "variation-001.mid": midi()[0]}),
    ]


# --- Models ------------------------------------------------------------------------------------------

SAID = {"trained on": "nothing", "bars": "0"}


@cache
def weights() -> list[bytes]:
    """A file of weights of every model of the catalogue, each as small as it can be, and one of a kind at full size."""
    from rhythmgan.models import answer_net, bar_lstm, gan, note_cnn, phrase_conv_gan, phrase_gan, text_lstm, word_lstm
    from rhythmgan.models import config as shapes

    roles, styles = ("groove", "fill"), ("funk",)
    one = shapes.GANConfig("gm9", width=6, discriminator_width=8, denoiser_width=8, roles=roles, styles=styles)
    phrases = shapes.PhraseGANConfig(width=6, discriminator_width=8, denoiser_width=8, bars=2)
    made: list[Callable[[Path], object]] = [
        lambda path: gan.save_gan(path, gan.GAN(one), SAID),
        lambda path: word_lstm.save_prior(
            path, word_lstm.WordLSTM(shapes.WordLSTMConfig("gm9", width=8, word_width=8, roles=roles)), SAID
        ),
        lambda path: bar_lstm.save_bar_lstm(
            path, bar_lstm.BarLSTM(shapes.BarLSTMConfig(width=6, summary_width=6, decoder_width=4)), SAID
        ),
        lambda path: note_cnn.save_note_cnn(path, note_cnn.NoteCNN(shapes.NoteCNNConfig(width=4)), SAID),
        lambda path: answer_net.save_answer_net(
            path, answer_net.AnswerNet(shapes.AnswerConfig(width=6, layers=1)), SAID
        ),
        lambda path: phrase_gan.save_phrase_gan(path, phrase_gan.PhraseGAN(phrases), SAID),
        lambda path: phrase_conv_gan.save_phrase_conv_gan(
            path, phrase_conv_gan.PhraseConvGAN(shapes.PhraseConvGANConfig(latent_dim=4, width=8)), SAID
        ),
        lambda path: text_lstm.save_text_lstm(
            path, text_lstm.TextLSTM(shapes.TextLSTMConfig(width=6, characters=True)), SAID
        ),
    ]
    return [written(save) for save in made]


@cache
def note_model() -> Any:
    """The tiny CNN that the tiny agents that append notes were started from."""
    return _loaded(3)


@cache
def answer_model() -> Any:
    """The tiny network whose answers the tiny agent improves."""
    return _loaded(4)


def _loaded(place: int) -> Any:
    from rhythmgan.models.catalogue import load_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(weights()[place])
        return load_model(path)


@cache
def agents() -> dict[str, bytes]:
    """A file of weights of every kind of agent."""
    from rl_tuner import agent as stepwise
    from rl_tuner.append import agent as append
    from rl_tuner.edit import agent as edit
    from rl_tuner.latent import agent as latent
    from rl_tuner.toggle import agent as toggle
    from rl_tuner.toggle import toggler

    cnn, answers = note_model(), answer_model()
    saves: dict[str, Callable[[Path], object]] = {
        "stepwise": lambda path: stepwise.save_agent(
            path, stepwise.Agent(stepwise.AgentConfig("x", 16, 9, 4, n_candidates=4, n_changes=2, width=8)), SAID
        ),
        "latent": lambda path: latent.save_latent_agent(
            path, latent.LatentAgent(latent.LatentAgentConfig("x", 16, 144, width=8)), SAID
        ),
        "edit": lambda path: edit.save_edit_agent(path, edit.EditAgent(edit.EditAgentConfig("x", width=4)), SAID),
        "append": lambda path: append.save_append_agent(
            path, append.AppendAgent(append.AppendAgentConfig(cnn.fingerprint, width=4), cnn), SAID
        ),
        "published": lambda path: append.save_published(path, append.PublishedAgents(cnn.fingerprint, cnn), SAID),
        "answer": lambda path: toggle.save_answer_agent(
            path,
            toggle.AnswerAgent(toggle.AnswerAgentConfig(answers.fingerprint, width=4, critic_width=4), answers),
            SAID,
        ),
        "toggle": lambda path: toggler.save_toggle_agent(
            path, toggler.ToggleAgent(toggler.ToggleAgentConfig(width=4)), SAID
        ),
    }
    return {kind: written(save) for kind, save in saves.items()}


@cache
def references() -> list[bytes]:
    """A reference of features of a few bars."""
    from rhythmgan.patterns import load_patterns
    from rhythmgan.reference import references_of, save_reference

    return [written(lambda path: save_reference(path, *references_of(load_patterns())[:1]))]


DESCRIBED = {
    "model": "gan",
    "data": "textbook",
    "devices": 1,
    "network": {"width": 4, "roles": ["groove"]},
    "training": {"train_steps": 100, "learning_rate": 0.1},
}
"""What a run of training is made of, as its config.json says it."""


# --- The page ----------------------------------------------------------------------------------------


@cache
def votes() -> list[bytes]:
    """Files of votes, as the page writes them, and as it wrote them before there were ties."""
    from page.votes import Vote, store

    def old(path: Path) -> None:
        base = sqlite3.connect(path)
        texts = ", ".join(f"{name} TEXT NOT NULL" for name in ("time", "listener", "first", "second", "a", "b"))
        base.execute(
            f"CREATE TABLE votes ({texts}, bpm REAL NOT NULL, swing REAL NOT NULL, first_won INTEGER NOT NULL)"
        )
        base.execute("INSERT INTO votes VALUES ('2025', 'x', 'GAN', 'real', '2.a', '2.b', 120, 0.5, 1)")
        base.commit()
        base.close()

    some = [Vote("a", "GAN", "real", "2.x", "2.y", 120.0, 0.5, won) for won in (True, False, None)]
    return [written(lambda path: store(path, *some)), written(old)]


@cache
def loops() -> list[Any]:
    """Loops in hand on the page: plain, played, and in triplets."""
    from page.loop import KIT, Loop
    from rhythmgan.performance import Performance

    four, triplets = some_bars(4), some_bars(1, 12, 12)
    velocities = np.where(four, 77, 0).astype(np.uint8)
    offsets = np.where(four, np.float32(0.125), np.float32(0))
    played = Performance.of(four, KIT, velocities, offsets)
    return [Loop.of(four, "plain"), Loop.of(played, "played"), Loop.of(triplets, "triplets")]


@cache
def codes() -> list[bytes]:
    """Codes of loops in addresses, of both versions."""
    nine = base64.urlsafe_b64encode(np.packbits(some_bars(1, 9)).tobytes())
    return [loop.code.encode() for loop in loops()] + [nine, b"12.AAAAAAAAAAAAAAAAAAAAAAAA"]


@cache
def values() -> list[bytes]:
    """What components of the page may send: a name, and what the browser says, as JSON."""
    loop = loops()[1]
    drawn = {"epoch": 0, "revision": 1, "locks": [False] * 12} | {
        name: loop.sent[name] for name in ("bars", "velocities", "offsets")
    }
    mix = {"mute": [False] * 12, "solo": [False] * 12, "level": [1.0] * 12}
    controls = {"epoch": "e", "revision": 1, "bpm": 100, "swing": 0.6, "feel": "own", "sounds": "acoustic"}
    said: list[Any] = [
        ["stage edited", drawn | {"earlier": [drawn]}],
        ["stage mixed", mix],
        ["kept", [[loop.code, True], ["x", False]]],
        ["favourites", [[loop.code, "a name"], [loop.code, "another"]]],
        ["controls changed", controls],
        ["controls moved", {"epoch": "e", "moves": [[1, "undo"], [2, "redo"]]}],
        ["dials", {"number": 1, "values": {"density": 12, "temperature": 0.7}}],
        ["pad", {"epoch": 0, "revision": 1, "path": [[0, 0], [1, 1]]}],
    ]
    return [json.dumps(one).encode() for one in said]


@cache
def addresses() -> list[bytes]:
    """Query parameters of the page, as JSON."""
    code = loops()[0].code
    return [
        json.dumps(one).encode()
        for one in (
            {"loop": code, "bpm": "97.5", "swing": "60", "seed": "3", "temperature": "0.8"},
            {"bar": codes()[3].decode(), "density": "12", "syncopation": "3"},
            {"grid": "12", "bars": "4", "role": "fill", "style": "funk", "way": "Map"},
        )
    ]


# --- Words -------------------------------------------------------------------------------------------


def _said(*lines: str) -> list[bytes]:
    """Words with a zero byte between them; in a line there is a bar between."""
    return ["\0".join(line.split("|")).encode() for line in lines]


@cache
def options() -> list[bytes]:
    """Command lines, and single options with a word of what reads them before."""
    return _said(
        "rhythmgan|sample|--n|3|--seed|5|--bars|4|--fill|last|--temperature|.8|--unique|--where|density>=12|--format|midi,wav",
        "rhythmgan|interpolate|--seeds|1-2-3|--frames|9|--mode|slerp|--bpm|100|--swing|.6|--kit|gm9",
        "rhythmgan|vary|loop.mid|--n|3|--amount|.3|--lock|kick,hats|--grid|12|--swing|80%",
        "rhythmgan|fill|loop.mid|--lock|kick|--n|2|--seed|7",
        "rhythmgan|combine|pack|--parts|kick,snare|--n|4|--threads|1",
        "rl-tuner|steer|--density|+4|--syncopation|80%|--target|kick density=3|--n|2|--closeness|.4|--lock-bars|1,3",
        "rl-tuner|continue|loop.mid|--cymbals|high|--drums|8|--repetition|.5",
        "where|density>=12 and repetition > .5|kick density<4",
        "wishes|density|16,+4,80%,-3",
        "wishes|sixteenth swing|.6",
        "lines|x o o o x o o o",
        "level|cymbals|high",
        "lock bars|1,3-4",
        "parts|kick|hats|low tom",
        "seeds|3-17",
    )
