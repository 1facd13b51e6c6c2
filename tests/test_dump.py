"""Folders of samples: whole files, named by seed, again from where a dump stopped."""

import json
import os
import platform
import subprocess
import sys

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from PIL import Image

from rhythmgan import dump
from rhythmgan.bars import fold_bars, text_to_words, words_to_bars
from rhythmgan.dump import OPTIONS, Samples, dump_path, dump_samples, midi_name
from rhythmgan.grid import cut
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.midi import read_midi
from rhythmgan.models.gan import GAN, GANConfig


@pytest.fixture(scope="module")
def gan():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    return GAN(GANConfig(z_dim=6, width=16, discriminator_width=8, encoder_width=8)).eval()


def _samples(**changes):
    return Samples(**({"seed": 3, "bars": 1, "temperature": 1.0, "bpm": 90.0, "kit": GM9} | changes))


def test_every_format_holds_the_same_bars(gan, tmp_path):
    paths = dump_samples(gan, 5, _samples(), tmp_path, ("midi", "npz", "text", "png"))
    assert [path.name for path in paths] == [
        "seed-000003.mid",
        "seeds-000003-000007.npz",
        "seeds-000003-000007.txt",
        "seeds-000003-000007.png",
    ]
    bars = gan.sample(5, seed=3)
    for i in range(5):
        hits = read_midi(tmp_path / midi_name(3 + i))
        assert (cut(hits, GM9).bars == bars[i]).all()
    with np.load(paths[1], allow_pickle=False) as saved:
        assert set(saved.files) == {"bars", "z", "seed"}
        assert saved["bars"].dtype == bool
        assert (saved["bars"] == bars).all()
        assert (gan.decode(saved["z"]) == bars).all()
        assert saved["seed"].tolist() == [3, 4, 5, 6, 7]
    text = paths[2].read_text()
    assert (words_to_bars(np.stack(text_to_words(text, 9)), 9) == bars).all()
    assert text.startswith("# seed 3\n0b")
    with Image.open(paths[3]) as picture:
        assert picture.size[0] > 300


def test_phrases_are_loops_of_their_length(gan, tmp_path):
    _, arrays = dump_samples(gan, 2, _samples(bars=4, kit=JAKI5), tmp_path, ("midi", "npz"))
    song = pretty_midi.PrettyMIDI(str(tmp_path / midi_name(4)))
    assert song.time_signature_changes[0].numerator == 4
    assert song.get_tempo_changes()[1][0] == pytest.approx(90, abs=1e-3)
    ticks = sum(message.time for message in mido.MidiFile(tmp_path / midi_name(4)).tracks[0])
    assert ticks == 4 * 4 * 480
    with np.load(arrays) as saved:
        assert saved["bars"].shape == (8, 16, 5)
        assert saved["seed"].tolist() == [3] * 4 + [4] * 4
        assert (saved["bars"][4] == fold_bars(gan.sample(1, seed=4), GM9, JAKI5)[0]).all()
        assert (fold_bars(gan.decode(saved["z"]), GM9, JAKI5) == saved["bars"]).all()


def test_goes_on_without_rewriting_or_losing_a_file(gan, tmp_path, monkeypatch):
    monkeypatch.setattr(dump, "_CHUNK", 4)
    dump_samples(gan, 6, _samples(), tmp_path)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mid")}
    (tmp_path / midi_name(5)).unlink()
    decoded = []
    real = dump._decode
    monkeypatch.setattr(dump, "_decode", lambda g, s, seeds: decoded.append(list(seeds)) or real(g, s, seeds))
    dump_samples(gan, 10, _samples(), tmp_path)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.mid")}
    assert len(after) == 10
    assert all(after[name] == time for name, time in before.items() if name != midi_name(5))
    # the first bar, which is tried before anything is written; then only what was missing
    assert decoded == [[3], [5], [9, 10], [11, 12]]


def test_whole_files_are_kept_beside_those_of_other_seeds(gan, tmp_path):
    (first,) = dump_samples(gan, 5, _samples(), tmp_path, ["npz"])
    before = first.stat().st_mtime_ns
    dump_samples(gan, 3, _samples(seed=100), tmp_path, ["npz"])
    dump_samples(gan, 5, _samples(), tmp_path, ["npz"])
    assert first.stat().st_mtime_ns == before
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [
        "seeds-000003-000007.npz",
        "seeds-000100-000102.npz",
    ]


def test_what_a_killed_process_left_is_swept(gan, tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = platform.node()
    dead, alive = (tmp_path / f".a.npz.{host}.{pid}.part" for pid in (gone.pid, os.getpid()))
    elsewhere = tmp_path / f".a.npz.other{host}.{gone.pid}.part"
    for path in (dead, alive, elsewhere):
        path.touch()
    dump_samples(gan, 1, _samples(), tmp_path)
    assert [path.exists() for path in (dead, alive, elsewhere)] == [False, True, True]


def test_long_phrases_stay_in_memory_a_few_at_a_time(gan, tmp_path, monkeypatch):
    sizes = []
    real = dump._decode
    monkeypatch.setattr(dump, "_decode", lambda g, s, seeds: sizes.append(len(seeds) * s.bars) or real(g, s, seeds))
    dump_samples(gan, 30, _samples(bars=100), tmp_path, ["npz"])
    assert max(sizes) <= dump._CHUNK


def test_same_samples_same_bytes(gan, tmp_path):
    for name in "ab":
        dump_samples(gan, 3, _samples(), tmp_path / name, ("midi", "npz", "text", "png"))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("changes", [{"temperature": 0.5}, {"bpm": 100.0}, {"bars": 2}, {"kit": JAKI5}])
def test_other_options_are_not_mixed_in(gan, tmp_path, changes):
    dump_samples(gan, 2, _samples(), tmp_path)
    with pytest.raises(ValueError, match="choose another folder"):
        dump_samples(gan, 2, _samples(**changes), tmp_path)
    dump_samples(gan, 2, _samples(seed=8), tmp_path)


def test_other_weights_are_not_mixed_in(gan, tmp_path):
    dump_samples(gan, 2, _samples(), tmp_path)
    torch.manual_seed(6)
    other = GAN(gan.config).eval()
    with pytest.raises(ValueError, match="weights"):
        dump_samples(other, 2, _samples(), tmp_path)


def test_a_broken_note_of_options_is_not_trusted(gan, tmp_path):
    tmp_path.joinpath(OPTIONS).write_text("{")
    with pytest.raises(ValueError, match=OPTIONS):
        dump_samples(gan, 1, _samples(), tmp_path)
    tmp_path.joinpath(OPTIONS).write_text("[1]")
    with pytest.raises(ValueError, match=OPTIONS):
        dump_samples(gan, 1, _samples(), tmp_path)


@pytest.mark.parametrize(
    ("n", "changes", "formats", "message"),
    [
        (0, {}, ("midi",), "at least one bar"),
        (-1, {}, ("midi",), "at least one bar"),
        (1, {"seed": -1}, ("midi",), "whole numbers"),
        (1, {"bars": 0}, ("midi",), "phrase"),
        (1, {"bars": 10**8}, ("midi",), "phrase"),
        (2, {"seed": 2**63 - 1}, ("midi",), "whole numbers"),
        (1, {"bpm": 0.0}, ("midi",), "tempo"),
        (1, {"bpm": float("nan")}, ("midi",), "tempo"),
        (1, {"temperature": -1.0}, ("midi",), "temperature"),
        (1, {}, ("wav",), "wav"),
        (1, {}, (), "format"),
    ],
)
def test_bad_requests_write_nothing(gan, tmp_path, n, changes, formats, message):
    with pytest.raises(ValueError, match=message):
        dump_samples(gan, n, _samples(**changes), tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


def test_memory_does_not_grow_with_n(tmp_path):
    """20,000 bars take no more than 2,000 do: the npz is streamed, the files are written as they come."""
    script = (
        "import resource, sys, torch; torch.set_num_threads(1); torch.manual_seed(0)\n"
        "from rhythmgan.dump import *; from rhythmgan.models.gan import *; from rhythmgan.kit import GM9\n"
        "gan = GAN(GANConfig(z_dim=128, width=8, discriminator_width=8, encoder_width=8)).eval()\n"
        "samples = Samples(0, 1, 1.0, 120.0, GM9)\n"
        "def peak():\n    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "dump_samples(gan, 2_000, samples, sys.argv[1] + '/a', ['npz', 'text', 'png'])\n"
        "before = peak(); dump_samples(gan, 20_000, samples, sys.argv[1] + '/b', ['npz', 'text', 'png'])\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 6 << 20  # the arrays alone have 13 MB


def test_path_goes_through_its_waypoints(gan, tmp_path):
    z = gan.latents([3, 17, 5])
    bars = dump_path(gan, z, tmp_path, frames=4, kit=JAKI5)
    assert bars.shape == (7, 16, 5)
    assert (bars[[0, 3, 6]] == fold_bars(gan.decode(z), GM9, JAKI5)).all()
    assert (cut(read_midi(tmp_path / "frame-003.mid"), JAKI5).bars == bars[3]).all()
    whole = cut(read_midi(tmp_path / "path.mid"), JAKI5)
    assert (whole.bars == bars[whole.index]).all()
    with np.load(tmp_path / "path.npz") as saved:
        assert saved["z"].shape == (7, 6)
        assert (saved["bars"] == bars).all()
    assert sorted(os.listdir(tmp_path)) == [f"frame-{i:03d}.mid" for i in range(7)] + [
        "path.mid",
        "path.npz",
        "path.png",
    ]
    dump_path(gan, z[:2], tmp_path, frames=2)
    assert sorted(path.name for path in tmp_path.glob("frame-*")) == ["frame-000.mid", "frame-001.mid"]
    with pytest.raises(ValueError, match="4096"):
        dump_path(gan, z, tmp_path, frames=10**9)
    with pytest.raises(ValueError, match="two points"):
        dump_path(gan, z[:1], tmp_path)


def test_note_says_what_made_the_files(gan, tmp_path):
    dump_samples(gan, 1, _samples(), tmp_path)
    note = json.loads((tmp_path / OPTIONS).read_text())
    assert (note["bpm"], note["kit"], note["temperature"], note["bars"]) == (90.0, "gm9", 1.0, 1)
