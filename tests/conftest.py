"""Fixtures: the real data, one thread, and small songs written by hand."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy or torch is imported

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import settings

pytest.register_assert_rewrite("browsing", "visiting")  # the fixtures of the page, which tests that need them name

# the same examples on every run; how long one takes says nothing on a busy machine
settings.register_profile("suite", derandomize=True, database=None, deadline=None, max_examples=30)
settings.load_profile("suite")

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "demo"))  # where streamlit puts the folder of its script: the page's modules are page.x
sys.path.append(str(ROOT / "recipes" / "reproductions"))  # and Python: the recipes share the module jobs


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data (../shared/data) is not on this machine")
    return folder


@pytest.fixture(scope="session")
def real_corpus(shared):
    """All of the real data, prepared."""
    from rhythmgan.kit import GM12
    from rhythmgan.songs.preparation import read_songs

    return read_songs([shared / name for name in ("lakh", "lpd", "groove")], GM12, 16)[0]


@pytest.fixture(scope="session")
def groove_songs(shared):
    """Every song of Groove that has 4/4 bars: its id, its label ("beat" or "fill"), its bars on sixteenths in GM9."""
    from rhythmgan.grid import quantise
    from rhythmgan.kit import GM9
    from rhythmgan.midi_reader import read_midi

    with (shared / "groove" / "info.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if (shared / "groove" / row["midi_filename"]).exists()]
    songs = [
        (row["id"], row["beat_type"], quantise(read_midi(shared / "groove" / row["midi_filename"]), GM9))
        for row in rows
    ]
    return [song for song in songs if len(song[2].bars)]


@pytest.fixture(scope="session")
def one_thread() -> None:
    """For tests that need torch: import it, with one thread."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_dynamics(one_thread):
    """A function (steps, …) → dynamics of a tiny generator of which the cells depend on one another, always the same.

    ``options`` are those of ``StepwiseDynamics``.
    """
    import torch

    from rhythmgan.models.gan import GAN, GANConfig
    from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig
    from rl_tuner.config import ReadOutConfig
    from rl_tuner.scale import find_scale
    from rl_tuner.stepwise.dynamics import StepwiseDynamics
    from rl_tuner.stepwise.read_out import fit_read_out

    def make(steps=16, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            gan = GAN(GANConfig("gm9", steps=steps, width=6, discriminator_width=8)).eval().requires_grad_(False)
            gan.generator.to_parts.bias.copy_(torch.tensor([0.0, -0.7, 0.3, -1.5, -1.6, -1.7, -1.8, -1.2, -1.9]))
            prior = WordLSTM(WordLSTMConfig("gm9", steps=steps, width=8, word_width=8)).eval().requires_grad_(False)
        scale = find_scale(gan, gan, prior, n=2000)
        return StepwiseDynamics(gan, gan, prior, scale, fit_read_out(gan, scale, ReadOutConfig(bars=2000)), **options)

    return make


@pytest.fixture(scope="session")
def dynamics(make_dynamics):
    """That of a tiny generator of bars of 16 steps and nine parts, with 8 candidates, 4 of them changes."""
    return make_dynamics()


@pytest.fixture
def save_midi(tmp_path):
    """A function (name, track, …) → path of a MIDI file; a track is a list of (tick, message) in any order."""

    def save(name, *tracks, ticks_per_beat=480):
        song = mido.MidiFile(ticks_per_beat=ticks_per_beat)
        for events in tracks:
            track = mido.MidiTrack()
            now = 0
            for tick, message in sorted(events, key=lambda event: event[0]):
                track.append(message.copy(time=tick - now))
                now = tick
            song.tracks.append(track)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        song.save(path)
        return path

    return save


@pytest.fixture
def save_lpd(tmp_path):
    """A function (name, cells, …) → path of an LPD .npz file with one drum track.

    ``cells`` are (tick, pitch, velocity); ``members`` replaces members by bytes or arrays, or leaves
    them out where None.
    """

    def save(name, cells, *, n_ticks=192, downbeats=(0, 96), info=None, members=None, packing=zipfile.ZIP_DEFLATED):
        cells = sorted(cells, key=lambda cell: (cell[1], cell[0]))
        if info is None:
            info = {"0": {"program": 0, "is_drum": True, "name": "Drums"}, "name": "x", "resolution": 24}
        content = {
            "tempo.npy": np.full(n_ticks, 120.0),
            "downbeat.npy": np.isin(np.arange(n_ticks), downbeats),
            "info.json": info if isinstance(info, bytes) else json.dumps(info).encode(),
            **_sparse_members("0", cells, n_ticks),
        }
        content |= members or {}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", packing) as archive:
            for member, value in content.items():
                if value is not None:
                    archive.writestr(member, value if isinstance(value, bytes) else _npy_bytes(value))
        return path

    return save


def _sparse_members(key, cells, n_ticks):
    """One track's four members: the compressed sparse columns of (n_ticks, 128)."""
    pitches = np.array([pitch for _, pitch, _ in cells], int)
    return {
        f"pianoroll_{key}_csc_data.npy": np.array([velocity for _, _, velocity in cells], np.uint8),
        f"pianoroll_{key}_csc_indices.npy": np.array([tick for tick, _, _ in cells], np.int32),
        f"pianoroll_{key}_csc_indptr.npy": np.append(0, np.cumsum(np.bincount(pitches, minlength=128))).astype(
            np.int32
        ),
        f"pianoroll_{key}_csc_shape.npy": np.array([n_ticks, 128]),
    }


def _npy_bytes(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
