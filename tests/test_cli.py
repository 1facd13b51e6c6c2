"""The commands as a user types them, by subprocess: what they make, and one clear line for what is wrong."""

import csv
import json
import os
import shutil
import subprocess
import sys

import mido
import numpy as np
import pytest
from commands import run
from PIL import Image

from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars, words_to_text
from rhythmgan.corpus_file import load_corpus, save_corpus
from rhythmgan.data import Corpus
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, GM12, JAKI5, KITS, ROLAND10
from rhythmgan.load import load_bars
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.weights import bundled
from rhythmgan.patterns import patterns_path
from rhythmgan.performance import Performance
from rhythmgan.reference import load_reference, saved_references


def _refused(*arguments, says, **options):
    """The command fails with status 2 and one line on stderr, apart from a progress bar."""
    done = run(*arguments, **options)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.replace("\r", "\n").splitlines()[-1]
    assert last.startswith("rhythmgan: "), done.stderr
    assert says in last, last
    return done


@pytest.fixture
def songs(tmp_path):
    """Two songs of three bars, and four files that give none."""
    folder = tmp_path / "songs"
    for name, part in (("one", 0), ("two", 2)):
        (folder / name).mkdir(parents=True)
        bars = np.zeros((3, 16, 9), bool)
        bars[:, [0, 6, 11], part] = True
        bars[2, 5, 1] = True
        write_midi(folder / name / "drums.mid", bars)
    (folder / "empty.mid").write_bytes(b"")
    (folder / "text.mid").write_text("not a song", encoding="utf-8")
    (folder / "broken.npz").write_bytes(b"PK\x03\x04")
    np.savez(folder / "pickled.npz", np.array([{}], dtype=object))
    return folder


def test_prepare_counts_and_says_why(songs, tmp_path):
    out = tmp_path / "bars.npz"
    done = run("prepare", songs, "--out", out, "--dropped", tmp_path / "dropped.csv")
    assert done.returncode == 0, done.stderr
    assert "| songs | 6 | 2 | 2 | 6 | 6 | 0 | 0 | 0 | 0 | 4 | 1.5 |" in done.stdout
    corpus = load_corpus(out)
    assert len(corpus) == 6
    assert corpus.songs == ("songs/one", "songs/two")
    assert len(corpus.distinct()) == 4
    dropped = (tmp_path / "dropped.csv").read_text(encoding="utf-8")
    assert dropped.count("\n") == 5
    assert "pickled.npz" in dropped


def test_prepare_then_train_then_sample(songs, tmp_path):
    for i in range(8):  # eight songs: some fall into the training part
        shutil.copytree(songs / "one", songs / f"song{i}")
    assert run("prepare", songs, "--out", tmp_path / "b.npz", "--kit", "jaki5").returncode == 0
    training = ("train", "gan", "--data", tmp_path / "b.npz", "--out", tmp_path / "run")
    done = run(*training, "--pretrain-steps", 2, "--train-steps", 2, "--batch-size", 4, "--width", 8)
    assert done.returncode == 0, done.stderr
    weights = tmp_path / "run" / "gan.safetensors"
    done = run("sample", "--n", 3, "--weights", weights, "--out", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "s").glob("*.mid"))) == 3
    _refused("sample", "--weights", weights, "--kit", "gm9", "--out", tmp_path / "t", says="jaki5 cannot be folded")
    says = "the prior is of kit gm12 and 16 steps, the bars of jaki5 and 16"
    _refused("sample", "--weights", weights, "--bars", 2, "--out", tmp_path / "t", says=says)
    assert not (tmp_path / "t").exists()
    facts = run("info", weights).stdout
    assert "kit: jaki5" in facts
    assert "trained_steps: 4" in facts


def test_sample_draws_a_bar_and_says_where(tmp_path):
    done = run("sample", "--n", 2, "--seed", 5, "--out", tmp_path / "s", "--format", "midi,npz,text,png")
    assert done.returncode == 0, done.stderr
    assert f"2 bars in {tmp_path / 's'}: seed-000005.mid, seeds-000005-000006.npz," in done.stdout
    assert done.stdout.startswith("seed 5\n")
    bar = quantise(read_midi(tmp_path / "s" / "seed-000005.mid"), GM12).bars[0]
    assert done.stdout.split("\n\n")[0].count("x") == bar.sum()


def test_sample_takes_bars_that_fit(tmp_path):
    """Each is the bar of its seed; a resumed command says how many were there."""
    wanted = (
        "--where",
        "density>=14 and kick density<4",
        "--where",
        "off-beat share>.4",
        "--unique",
        "--min-onsets",
        9,
    )
    command = ("sample", "--seed", 7, *wanted, "--format", "midi,npz,features", "--quiet", "--out", tmp_path / "s")
    done = run(*command, "--n", 12)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "s" / "seeds-000007-first-12.features.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    seeds = [int(row["seed"]) for row in rows]
    tried = seeds[-1] - 7 + 1
    assert tried > len(rows) == 12
    assert seeds == sorted(set(seeds))
    assert done.stdout == (
        f"12 bars in {tmp_path / 's'}: seed-{seeds[0]:06}.mid, seeds-000007-first-12.npz, "
        f"seeds-000007-first-12.features.csv\n{tried:,} seeds were tried\n"
    )
    for row in rows:
        assert float(row["density"]) >= 14
        assert float(row["kick density"]) < 4
        assert float(row["off-beat share"]) > 0.4
    with np.load(tmp_path / "s" / "seeds-000007-first-12.npz") as saved:
        assert saved["seed"].tolist() == seeds
        assert saved["bars"].sum((1, 2)).tolist() == [int(row["density"]) for row in rows]
        assert len(np.unique(saved["bars"].reshape(12, -1), axis=0)) == 12
    name = f"seed-{seeds[5]:06}.mid"
    assert run("sample", "--n", 1, "--seed", seeds[5], "--out", tmp_path / "one").returncode == 0
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "s" / name).read_bytes()
    said = json.loads(run(*command, "--n", 15, "--json").stdout)
    assert (said["n"], said["seed"], said["were_there"]) == (15, 7, 12)
    assert (said["unique"], said["min-onsets"]) == (True, 9)
    assert said["where"] == ["density >= 14", "kick density < 4", "off-beat share > 0.4"]
    files = [int(name[5:11]) for name in said["files"]["midi"]]
    assert (files[:12], len(files), said["tried"]) == (seeds, 15, files[-1] - 7 + 1)
    assert "15 of 15 bars were there" in run(*command, "--n", 15).stdout
    _refused(*command[:-1], tmp_path / "s", "--where", "density<30", says="samples with where ['density >= 14', 'kick")


def test_sample_keeps_what_it_found_where_nothing_more_fits(tmp_path):
    command = ("sample", "--n", 50, "--where", "density>=50", "--tries", 300, "--quiet", "--format", "midi,npz")
    done = _refused(
        *command, "--out", tmp_path, says="has a bar with density >= 50; ask for fewer or for less, or raise"
    )
    assert done.stderr.count("\n") == 1
    found = len(list(tmp_path.glob("*.mid")))
    assert done.stderr.startswith(f"rhythmgan: {found} of 50 bars were found: none of the 300 seeds from ")
    archives = [path.name for path in tmp_path.glob("*.npz")]
    assert archives == ([f"seeds-000000-first-{found}.npz"] if found else [])


def test_sample_writes_several_kits(tmp_path):
    done = run("sample", "--n", 3, "--kit", "gm9, roland10,jaki5", "--format", "npz", "--quiet", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout
        == f"3 bars in {tmp_path}: "
        + ", ".join(f"{kit}/seeds-000000-000002.npz" for kit in ("gm9", "roland10", "jaki5"))
        + "\n"
    )
    own = load_bars(tmp_path / "gm9")[0]
    for kit in (ROLAND10, JAKI5):
        bars, _, found = load_bars(tmp_path / kit.name)
        assert found == kit
        assert (bars == fold_bars(own, GM9, kit)).all()
    _refused("sample", "--kit", "gm9,tr808", "--out", tmp_path / "new", says="no kit is named 'tr808'")


@pytest.mark.parametrize("unique", [(), ("--unique",)])
def test_no_bar_of_20000_is_silent_and_none_is_there_twice_if_asked(tmp_path, unique):
    done = run("sample", "--n", 20_000, *unique, "--format", "npz", "--quiet", "--json", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (name,) = json.loads(done.stdout)["files"]["npz"]
    with np.load(tmp_path / name) as saved:
        bars = saved["bars"].reshape(20_000, -1)
    assert bars.any(1).all()
    n_distinct = len(np.unique(np.packbits(bars, axis=1), axis=0))
    assert n_distinct == 20_000 if unique else n_distinct < 20_000


def test_sample_makes_the_phrases_of_its_prior(tmp_path):
    """The bundled one, or the one that is named; what one made is not mixed with what the other makes."""
    import torch

    from rhythmgan.generate.phrases import phrases
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior

    torch.manual_seed(0)
    own = load_prior()
    other = WordLSTM(WordLSTMConfig(width=8, word_width=8, n_forms=len(own.forms))).eval()
    other.keep_forms(own.forms)
    save_prior(tmp_path / "p.safetensors", other, {})
    command = ("sample", "--n", 4, "--bars", 3, "--seed", 6, "--format", "npz,text", "--out")
    for name, options, prior in (("own", (), own), ("other", ("--prior", tmp_path / "p.safetensors"), other)):
        done = run(*command, tmp_path / name, *options)
        assert done.returncode == 0, done.stderr
        assert f"4 phrases of 3 bars in {tmp_path / name}: seeds-000006-000009.npz" in done.stdout
        bars, z = phrases(load_gan(), prior, range(6, 10), 3)
        with np.load(tmp_path / name / "seeds-000006-000009.npz") as saved:
            assert (saved["bars"] == bars.reshape(12, 16, 12)).all()
            assert (saved["z"] == z.reshape(12, -1)).all()
    with np.load(tmp_path / "own" / "seeds-000006-000009.npz") as saved:
        assert (saved["bars"] != bars.reshape(12, 16, 12)).any()
    _refused(*command, tmp_path / "other", says="samples with prior")


def test_a_prior_that_is_none_is_refused(tmp_path):
    out = tmp_path / "s"
    gan = bundled("gan.safetensors")
    _refused("sample", "--bars", 2, "--prior", gan, "--out", out, says=f"{gan}: ")
    (tmp_path / "p.safetensors").write_text("words", encoding="utf-8")
    _refused("sample", "--bars", 2, "--prior", tmp_path / "p.safetensors", "--out", out, says="not a safetensors file")
    assert not out.exists()


def test_interpolate_from_seeds_and_from_a_file(tmp_path):
    done = run("interpolate", "--seeds", "3-17", "--frames", 5, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert "5 bars" in done.stdout
    again = run(
        "interpolate", "--z", tmp_path / "a" / "path.npz", "--frames", 2, "--mode", "lerp", "--out", tmp_path / "b"
    )
    assert again.returncode == 0, again.stderr
    with np.load(tmp_path / "a" / "path.npz") as a, np.load(tmp_path / "b" / "path.npz") as b:
        assert (a["bars"] == b["bars"]).all()
    z_dim = 16 * 12
    np.save(tmp_path / "z.npy", np.zeros((2, z_dim - 1), np.float32))
    _refused("interpolate", "--z", tmp_path / "z.npy", says=f"expected finite floats (n, {z_dim})")
    np.save(tmp_path / "z.npy", np.array([{}, {}], dtype=object))
    _refused("interpolate", "--z", tmp_path / "z.npy", says="not a file of latent points")
    _refused("interpolate", "--seeds", "3", says="3-17")
    _refused("interpolate", "--seeds=-3-17", says="3-17")


def test_interpolate_changes_few_cells_at_a_time(tmp_path):
    from rhythmgan.generate.morph import most_changes

    done = run("interpolate", "--seeds", "3-17", "--frames", 6, "--out", tmp_path / "a")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "a" / "path.npz") as saved:
        bars = saved["bars"]
    changed = (bars[1:] != bars[:-1]).sum((1, 2))
    assert max(changed) <= most_changes(int((bars[0] != bars[-1]).sum()), 6)
    assert f"cells that change from bar to bar: {' '.join(map(str, changed))}\n" in done.stdout


def test_interpolate_between_loops(tmp_path):
    beat = np.zeros((1, 16, 12), bool)
    beat[:, [0, 8], 0] = beat[:, [4, 12], 1] = beat[:, ::2, 2] = True
    half = beat.copy()
    half[:, 2::4, 2] = False
    for name, bars in (("a", beat), ("b", half), ("c", np.concatenate([beat, half]))):
        np.savez(tmp_path / f"{name}.npz", bars=bars)
    a, b, c = (tmp_path / f"{name}.npz" for name in "abc")
    done = run("interpolate", "--loops", a, b, "--frames", 5, "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "o" / "path.npz") as saved:
        np.testing.assert_array_equal(saved["bars"][[0, -1]], np.concatenate([beat, half]))
    done = run("interpolate", "--loops", c, c, "--frames", 3, "--out", tmp_path / "p")
    assert "3 loops" in done.stdout
    _refused("interpolate", "--loops", a, c, says="as many bars each; these have 1, 2")
    _refused("interpolate", "--loops", a, says="two points")


@pytest.fixture
def own_loop():
    """Four bars of the same beat in gm12, the third of them with a ride and the last with a fill."""
    bars = np.zeros((4, 16, 12), bool)
    bars[:, [0, 7], 0] = bars[:, [4, 12], 1] = bars[:, ::2, 2] = True
    bars[2, 0, 7] = bars[3, 13:, 4] = True
    return bars


def test_vary_keeps_the_loop_and_says_how_far_the_others_went(own_loop, tmp_path):
    from rhythmgan.folders import export_variations
    from rhythmgan.generate.config import VariationConfig
    from rhythmgan.models.gan import load_gan

    write_midi(tmp_path / "own.mid", own_loop, bpm=97)
    command = ("vary", tmp_path / "own.mid", "--n", 3, "--amount", 0.2, "--seed", 5, "--out")
    done = run(*command, tmp_path / "v")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "v" / "variations.npz") as saved:
        bars = saved["bars"]
    config = VariationConfig(3, amount=0.2, seed=5)
    assert (bars == export_variations(load_gan(), own_loop, tmp_path / "same", config).bars).all()
    assert (bars[0] == own_loop).all()
    assert (quantise(read_midi(tmp_path / "v" / "loop.mid"), GM12).bars == own_loop).all()
    assert len(list((tmp_path / "v").glob("variation-*.mid"))) == 3
    assert done.stdout.startswith(f"3 variations in {tmp_path / 'v'}: loop.mid, variation-001.mid")
    changed = [int((these != own_loop).sum()) for these in bars[1:]]
    assert done.stdout.endswith(f"cells that differ from the loop: {' '.join(map(str, changed))}\n")
    done = run(*command, tmp_path / "j", "--kit", "jaki5", "--bpm", 97)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "j" / "variations.npz") as saved:
        assert (saved["bars"] == fold_bars(bars, GM12, JAKI5)).all()


def test_a_varied_loop_keeps_its_playing_and_its_tempo(own_loop, tmp_path):
    """Cells that stay have the velocities and the offsets of the loop, new ones accents."""
    random = np.random.default_rng(5)
    played = Performance.of(own_loop, GM12, random.integers(1, 76, own_loop.shape), np.array(0.2))
    write_midi(tmp_path / "own.mid", played, bpm=97)
    done = run("vary", tmp_path / "own.mid", "--n", 2, "--amount", 0.3, "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "v" / "loop.mid").read_bytes() == (tmp_path / "own.mid").read_bytes()
    with np.load(tmp_path / "v" / "variations.npz") as saved:
        bars = saved["bars"][1]
    onsets = read_midi(tmp_path / "v" / "variation-001.mid")
    assert onsets.bpm == pytest.approx(97, abs=1e-3)
    heard = quantise(onsets, GM12)
    stays = bars & own_loop
    assert stays.sum() > 5
    assert (bars & ~own_loop).sum() > 0
    assert (heard.velocities[stays] == played.velocities[stays]).all()
    np.testing.assert_allclose(heard.offsets[stays], 0.2, atol=1e-6)
    new = bars & ~own_loop
    assert (heard.velocities == np.where(new, Performance.of(bars).velocities, heard.velocities)).all()
    # new ones are as late as what the loop plays on such steps, or on the grid where it plays nothing there
    assert set(heard.offsets[new].astype(float).round(3).tolist()) <= {0.0, 0.2}
    # a tempo that is asked for is that of all files, and a kit folds the playing too
    done = run("vary", tmp_path / "own.mid", "--n", 1, "--bpm", 150, "--kit", "jaki5", "--out", tmp_path / "j")
    assert done.returncode == 0, done.stderr
    onsets = read_midi(tmp_path / "j" / "loop.mid")
    assert onsets.bpm == 150
    assert (quantise(onsets, JAKI5).velocities == played.folded(JAKI5).velocities).all()


@pytest.mark.parametrize("kind", ["own.txt", "own.npz"])
def test_vary_takes_a_loop_whole_from_a_text_or_an_archive(own_loop, tmp_path, kind):
    """A bar that comes twice is not left out, and one of nine parts is one of twelve without percussion."""
    (tmp_path / "own.txt").write_text(
        f"# kit: gm9\n{words_to_text(bars_to_words(own_loop[..., :9]), 9)}", encoding="utf-8"
    )
    np.savez(tmp_path / "own.npz", bars=own_loop)
    done = run("vary", tmp_path / kind, "--n", 1, "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "v" / "variations.npz") as saved:
        assert (saved["bars"][0] == own_loop).all()


def test_vary_keeps_a_silent_bar_of_the_loop(own_loop, tmp_path):
    own_loop[1] = False
    write_midi(tmp_path / "own.mid", own_loop)
    done = run("vary", tmp_path / "own.mid", "--n", 1, "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "v" / "variations.npz") as saved:
        assert saved["bars"].shape == (2, 4, 16, 12)
        assert (saved["bars"][0] == own_loop).all()


def test_onsets_that_a_loop_has_no_cell_for_are_said(own_loop, save_midi, tmp_path):
    """A side stick beside the snare, and two whistles, but no conga; a loop of which all is kept says nothing."""
    write_midi(tmp_path / "own.mid", own_loop)
    done = run("vary", tmp_path / "own.mid", "--n", 1, "--quiet", "--out", tmp_path / "a")
    assert (done.returncode, done.stderr) == (0, "")
    hits = [(0, 36), (480, 38), (480, 37), (600, 71), (720, 63), (960, 36), (1080, 72), (1440, 38)]
    events = []
    for tick, pitch in hits:
        events += [(tick, mido.Message("note_on", channel=9, note=pitch, velocity=90 + pitch % 3))]
        events += [(tick + 60, mido.Message("note_off", channel=9, note=pitch))]
    done = run("vary", save_midi("mixed.mid", events), "--n", 1, "--quiet", "--out", tmp_path / "b")
    assert done.returncode == 0
    assert "mixed.mid: 3 of its drum onsets are left out: they are no part of kit gm12, share a cell" in done.stderr


def test_what_cannot_be_varied_is_refused_in_one_line(own_loop, songs, save_midi, tmp_path):
    write_midi(tmp_path / "own.mid", own_loop)
    note = [(0, mido.Message("note_on", note=60, velocity=90)), (120, mido.Message("note_off", note=60))]
    melody = save_midi("melody.mid", note)
    np.savez(tmp_path / "small.npz", bars=own_loop[..., :5])
    out = ("--out", tmp_path / "v")
    for arguments, says in (
        ((tmp_path / "missing.mid",), f"{tmp_path / 'missing.mid'}: No such file"),
        ((melody,), "melody.mid: no drums"),
        ((songs,), "a loop is one file"),
        ((tmp_path / "own.mid", "--out", tmp_path), "holds the loop itself"),
        ((songs / "text.mid",), "unreadable"),
        ((tmp_path / "small.npz",), "small.npz: bars of kit jaki5 cannot be folded into kit gm12"),
        ((tmp_path / "own.mid", "--amount", 2), "amount"),
        ((tmp_path / "own.mid", "--amount", 0), "amount"),
        ((tmp_path / "own.mid", "--bpm", 0), "tempo"),
        ((tmp_path / "own.mid", "--seed=-1"), "whole numbers from 0"),
    ):
        done = _refused("vary", *out, *arguments, says=says)
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "v").exists()


def test_info_of_every_kind(songs, tmp_path):
    assert "width: " in run("info").stdout
    said = run("info", songs / "one" / "drums.mid").stdout
    assert "\nonsets: 10\nbars: 3\nbars of 16 steps: 3\ntempo: 120.0\noutside kit: 0\n" in said
    assert "why" not in said
    assert "\nbars: 0\noutside kit: 0\nwhy: unreadable: not a MIDI file\n" in run("info", songs / "text.mid").stdout
    assert "\nwhy: not a corpus" in run("info", songs / "pickled.npz").stdout
    _refused("info", tmp_path / "missing.npz", says="No such file")
    _refused("info", tmp_path, says="not a file")
    os.mkfifo(tmp_path / "pipe.mid")
    _refused("info", tmp_path / "pipe.mid", says="not a file")
    assert "bars of 32 steps: 56" in run("info", patterns_path()).stdout
    run("sample", "--n", 2, "--kit", "jaki5", "--format", "npz,text", "--out", tmp_path / "s")
    assert "seed: int64 (2,)" in run("info", tmp_path / "s" / "seeds-000000-000001.npz").stdout
    assert "kit: jaki5" in run("info", tmp_path / "s" / "seeds-000000-000001.txt").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("sample", "--n", 0), "at least one bar"),
        (("sample", "--seed=-1"), "whole numbers from 0"),
        (("sample", "--temperature", "nan"), "temperature"),
        (("sample", "--bpm", 0), "tempo"),
        (("sample", "--format", "mp3"), "midi, wav, npz, text, png, csv, features, json"),
        (("sample", "--kit", "tr808"), ", ".join(KITS)),
        (("sample", "--weights", "missing.safetensors"), "missing.safetensors: No such file"),
        (("sample", "--bars", 2, "--prior", "missing.safetensors"), "missing.safetensors: No such file"),
        (("sample", "--bars", 1, "--prior", "missing.safetensors"), "--bars 2 or more"),
        (("prepare", "missing", "--out", "b.npz"), "missing: no such file or folder"),
        (("prepare", ".", "--out", "b.npz"), "no .mid, .midi, .kar, .rmi or .npz file"),
        (("train", "gan", "--out", "b", "--grid", 15), "no bar of 15 steps"),
        (("train", "gan", "--data", "missing.npz", "--out", "run"), "missing.npz: No such file"),
        (("train", "gan", "--out", "run", "--batch-size", 1), "2 to 65536 bars"),
        (("train", "gan", "--out", "run", "--r1-gamma", "nan"), "r1_gamma"),
        (("sample", "--bars", 10**8), "1 to 256 bars"),
        (("sample", "--where", "densty>=12"), "no feature is called 'densty'; there are density, kick density,"),
        (("sample", "--where", "density=12"), "no operator is written '='; there are >=, <=, >, <, ==, !="),
        (("sample", "--where", "density"), "FEATURE OPERATOR NUMBER, such as 'density>=12'"),
        (("sample", "--min-onsets=-1"), "0 onsets or more"),
        (("sample", "--min-onsets", 1000), "at most 192 onsets, not 1000"),
        (("sample", "--tries", 0), "at least one seed must be tried"),
        (
            ("sample", "--where", "density>190", "--tries", 10, "--quiet"),
            "0 of 64 bars were found: none of the 10 seeds from 0 on",
        ),
        (("sample", "--out", ""), "empty"),
        (("interpolate", "--seeds", "3-17", "--frames", 10**9), "4096"),
        (("interpolate", "--seeds", "3-17", "--frames", 1), "2 frames"),
        (("interpolate", "--seeds", "3-17", "--frames", 1, "--mode", "slerp"), "2 frames"),
        (("interpolate", "--seeds", "3-17", "--bpm", 0), "tempo"),
        (("vary", "missing.mid"), "missing.mid: No such file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, arguments, says):
    done = _refused(*arguments, says=says, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []
    if arguments[0] != "train":  # which says first what it will train on
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"words"])
def test_broken_data_is_refused_before_training(tmp_path, content):
    (tmp_path / "b.npz").write_bytes(content)
    _refused("train", "gan", "--data", tmp_path / "b.npz", "--out", tmp_path / "run", says="not a corpus")
    assert not (tmp_path / "run").exists()


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for command in ("sample", "interpolate --seeds 3-17"):
        _refused(*command.split(), "--out", tmp_path / "file", says=str(tmp_path / "file"))
    _refused("prepare", tmp_path, "--out", tmp_path / "file" / "b.npz", says="file")


def test_full_disk_midway_keeps_what_is_whole(tmp_path):
    """A limit on the size of files stands in for a disk that fills up: the npz onsets it, the MIDI files do not."""
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from rhythmgan.cli import main\n"
        "sys.exit(main(['sample', '--n', '300', '--format', 'midi,npz', '--out', sys.argv[1]]))"
    )
    out = tmp_path / "s"
    done = subprocess.run([sys.executable, "-c", script, out], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"rhythmgan: {out / 'seeds-000000-000299.npz'}: File too large" in done.stderr
    assert len(list(out.glob("*.mid"))) == 300
    assert not list(out.glob("*.npz"))
    assert not list(out.glob(".*"))
    assert run("sample", "--n", 300, "--format", "midi,npz", "--out", out).returncode == 0
    assert len(list(out.glob("*.npz"))) == 1


def test_outputs_that_are_no_files_are_left_alone(songs, tmp_path):
    """A folder, a device or a pipe in the way is not replaced; behind a link, the file is."""
    _refused("prepare", songs, "--out", songs, says="not a regular file")
    os.mkfifo(tmp_path / "pipe")
    _refused("prepare", songs, "--out", tmp_path / "pipe", says="not a regular file")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    (tmp_path / "real.npz").write_text("old", encoding="utf-8")
    assert run("prepare", songs, "--out", tmp_path / "link.npz").returncode == 0
    assert (tmp_path / "link.npz").is_symlink()
    assert len(load_corpus(tmp_path / "real.npz")) == 6


def test_no_such_accelerator(tmp_path):
    _refused("train", "gan", "--out", tmp_path / "run", "--accelerator", "gpu", says="No supported gpu")


def test_output_into_a_closed_pipe(tmp_path):
    command = f"{sys.executable} -m rhythmgan info | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("file: ")
    assert done.stderr == ""


def test_help_is_quick_and_names_every_command():
    done = run("--help")
    assert done.returncode == 0
    for command in ("prepare", "train", "sample", "interpolate", "vary", "evaluate", "features", "info"):
        assert command in done.stdout
    loaded = "import sys, rhythmgan.cli; sys.exit(bool({'torch', 'numpy', 'symusic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loaded]).returncode == 0


def test_sampling_does_not_wait_for_lightning_or_a_compiler(tmp_path):
    loaded = (
        "import sys, torch; first = set(sys.modules); from rhythmgan.cli import main\n"
        "main(['sample', '--n', '1', '--out', sys.argv[1]])\n"
        "slow = {'pytorch_lightning', 'pypianoroll', 'pretty_midi', 'tensorboard', 'torch._dynamo', 'sympy'}\n"
        "sys.exit(bool(slow & (set(sys.modules) - first)))"
    )
    assert subprocess.run([sys.executable, "-c", loaded, tmp_path], capture_output=True).returncode == 0


def test_bundled_weights_are_a_few_megabytes():
    assert bundled("gan.safetensors").stat().st_size < 8 << 20


@pytest.fixture(scope="module")
def words_file(tmp_path_factory):
    """A corpus of 200 made-up songs: a rock beat each, with onsets of its own added."""
    rng = np.random.default_rng(99)
    beat = np.zeros((16, 9), bool)
    beat[[0, 8], 0] = beat[[4, 12], 1] = beat[::2, 2] = True
    bars = np.repeat(beat[None], 1600, 0) | (rng.random((1600, 16, 9)) < 0.12)
    number = np.arange(1600, dtype=np.int32)
    names = tuple(f"song {i}" for i in range(200))
    corpus = Corpus.of(bars_to_words(bars), number // 8, number // 8, number % 8, names, names, GM9)
    path = tmp_path_factory.mktemp("words") / "bars.npz"
    save_corpus(path, corpus)
    return path


def _rows(table):
    """Name → cells of the rows of Markdown tables; of a name that several have the first."""
    found = {}
    for line in table.splitlines():
        if "|" in line:
            name, *cells = (cell.strip() for cell in line.strip("| ").split("|"))
            found.setdefault(name, cells)
    return found


def test_evaluate_prints_a_table_and_writes_what_it_says(words_file, tmp_path):
    options = ("--data", words_file, "--quick", "--n", 150)
    done = run("evaluate", *options, "--baseline", "memoriser", "--baseline", "independent", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    distinct, played = (_rows(part) for part in done.stdout.split("## Beside bars as played"))
    rows = distinct
    assert list(played) == list(distinct)
    assert next(iter(rows)) == "bars"
    assert list(rows)[2:6] == ["real, held-out songs", "real, training songs", "memoriser", "independent cells"]
    assert len({len(row) for row in list(rows.values())[:6]}) == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert (report["kit"], report["steps"], report["split"], report["role"]) == ("gm9", 16, "test", "any")
    for found in report["references"].values():
        assert [row["name"] for row in found["rows"]] == list(rows)[2:6]
        assert found["rows"][2]["copies"] == 1
        assert found["rows"][2]["nearest"] == 0
        assert found["rows"][3]["copies"] < 0.1
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").strip() in done.stdout
    for name in ("1-real--training-songs", "2-memoriser", "3-independent-cells"):
        for kind in ("features-distinct", "samples-distinct", "features-as-played", "samples-as-played"):
            with Image.open(tmp_path / "out" / f"{kind}-{name}.png") as picture:
                assert min(picture.size) > 100
    again = run("evaluate", *options, "--baseline", "memoriser", "--baseline", "independent")
    assert again.stdout.strip() == (tmp_path / "out" / "table.md").read_text(encoding="utf-8").strip()


def test_evaluate_takes_what_sample_makes(words_file, tmp_path):
    """The same bars as MIDI and as .npz have the same row, but for bars without an onset, which no MIDI file gives."""
    run("sample", "--n", 120, "--format", "midi,npz", "--out", tmp_path / "s")
    archive = tmp_path / "s" / "seeds-000000-000119.npz"
    done = run("evaluate", archive, tmp_path / "s", "gan", "--data", words_file, "--quick", "--n", 100)
    assert done.returncode == 0, done.stderr
    rows = _rows(done.stdout)
    assert list(rows)[4:7] == [str(archive), str(tmp_path / "s"), "GAN"]
    from_file, from_midi = (rows[str(path)] for path in (archive, tmp_path / "s"))
    assert abs(float(from_file[14]) - float(from_midi[14])) < 1.5  # onsets
    assert "independent cells" in rows


def test_evaluate_without_inputs_judges_the_bundled_models(words_file, tmp_path):
    """In twelve parts, as they are; and folded into nine, where the prior's nats are those of nine."""
    corpus = load_corpus(words_file)
    bars = np.pad(words_to_bars(corpus.words, 9), ((0, 0), (0, 0), (0, 3)))
    columns = (corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, GM12)
    save_corpus(tmp_path / "wide.npz", Corpus.of(bars_to_words(bars), *columns))
    options = ("--data", tmp_path / "wide.npz", "--quick", "--n", 100)
    done = run("evaluate", *options)
    assert done.returncode == 0, done.stderr
    rows = _rows(done.stdout)
    for name in ("GAN", "prior", "memoriser", "order-1 Markov"):
        assert name in rows
    assert float(rows["uniform"][0]) == pytest.approx(np.log(4096), abs=1e-3)
    report = json.loads(run("evaluate", "prior", *options, "--kit", "gm9", "--baseline", "memoriser", "--json").stdout)
    assert report["kit"] == "gm9"
    nats = report["references"]["distinct"]["nll_per_step"]
    assert nats["uniform"] == pytest.approx(np.log(512))
    whole = float(rows["prior, given the bar before"][0])
    assert 0 < nats["prior, given the bar before"] < whole < np.log(4096)  # nine parts are less to be told than twelve


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing.npz",), "nothing.npz: No such file or directory"),
        (("--baseline", "nosuch"), "no baseline is called 'nosuch'; there are memoriser"),
        (("gan", "--split", "valid", "--seed", "-1"), "seeds are whole numbers"),
        ((".",), "no"),
    ],
)
def test_evaluate_refuses_in_one_line(words_file, tmp_path, arguments, says):
    _refused("evaluate", *arguments, "--data", words_file, "--quick", says=says, cwd=tmp_path)


def test_evaluate_refuses_another_grid(tmp_path):
    run("prepare", patterns_path().parent, "--out", tmp_path / "x.npz")
    bars = np.zeros((400, 12, 9), bool)
    bars[np.arange(400), np.arange(400) % 12, np.arange(400) % 9] = True
    bars[np.arange(400), np.arange(400) % 11, 0] = True
    number = np.arange(400, dtype=np.int32)
    names = tuple(map(str, range(400)))
    save_corpus(tmp_path / "triplets.npz", Corpus.of(bars_to_words(bars), number, number, number, names, names, GM9))
    data = ("--data", tmp_path / "triplets.npz")
    _refused("evaluate", "gan", *data, says="it has no bars of 16 steps; there are bars of 12")
    says = "gan.safetensors makes bars of kit gm12 and 16 steps, but kit gm12 and 12 steps are needed"
    _refused("evaluate", bundled("gan.safetensors"), *data, "--grid", 12, says=says)
    says = "at least 100 bars of held-out songs are needed"  # the bundled GAN of this grid would do
    _refused("evaluate", "gan", *data, "--grid", 12, says=says)
    _refused("evaluate", "gan", *data, "--grid", 13, says="13")
    _refused("evaluate", *data, "--grid", 12, "--role", "fill", says="no fill of it falls into the train split")
    options = ("--baseline", "memoriser", "--grid", 12, "--kit", "jaki5")
    _refused("evaluate", *data, *options, says="at least 100 bars of held-out songs are needed")


def test_evaluate_compares_bars_of_one_role(words_file, tmp_path):
    """Fills of songs that play a rock beat: what the real rows measure is fills alone."""
    corpus = load_corpus(words_file)
    role = np.where(np.arange(len(corpus)) % 2, 2, 0)
    columns = (corpus.words, corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, GM9, role)
    save_corpus(tmp_path / "roles.npz", Corpus.of(*columns))
    options = ("--baseline", "memoriser", "--n", 100, "--quick", "--json")
    report = json.loads(run("evaluate", "--data", tmp_path / "roles.npz", "--role", "fill", *options).stdout)
    assert (report["role"], report["style"]) == ("fill", "any")
    fills = corpus.only(role == 2).split("train").distinct()
    assert report["training"]["bars"] == len(fills)
    options = (*options, "--data", tmp_path / "roles.npz", "--role", "fill")
    half = json.loads(run("evaluate", *options, "--songs-share", 0.5).stdout)
    assert half["training"]["songs"] == len(set(fills.share(0.5).song_id.tolist())) < report["training"]["songs"]
    assert half["references"]["distinct"]["rows"][0]["onsets"] == report["references"]["distinct"]["rows"][0]["onsets"]
    _refused("evaluate", *options, "--songs-share", 0, says="a share of the songs lies over 0, to 1; not 0.0")
    _refused("evaluate", *options, "--style", "polka", says="no style of this corpus is called 'polka'")


def test_features_are_summed_up_and_kept(words_file, tmp_path):
    done = run("features", words_file, "--split", "train", "--reference", tmp_path / "ref.safetensors")
    assert done.returncode == 0, done.stderr
    rows = _rows(done.stdout)
    corpus = load_corpus(words_file).split("train").distinct()
    assert float(rows["density"][0]) == pytest.approx(words_to_bars(corpus.words, 9).sum((1, 2)).mean(), rel=1e-3)
    assert {"syncopation", "Witek", "nPVI"} < set(rows)
    assert load_reference(tmp_path / "ref.safetensors").n_bars == len(corpus)
    assert saved_references(tmp_path / "ref.safetensors") == {
        "gm9/distinct/any/16": len(corpus),
        "gm9/as_played/any/16": len(load_corpus(words_file).split("train")),
        "gm9/distinct/groove/16": len(corpus),
        "gm9/as_played/groove/16": len(load_corpus(words_file).split("train")),
    }
    _refused("features", tmp_path / "ref.safetensors", says="ref.safetensors: no bars in the file: 1 unreadable")


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A corpus by hand, in gm9: song 0 plays 3 onsets three times and a fill of 9; song 1 a groove of 5; song 2 is of
    24 steps."""
    path = tmp_path_factory.mktemp("played") / "played.npz"
    corpora = []
    for steps, onsets, song, role in ((16, [3, 3, 3, 9, 5], [0, 0, 0, 0, 1], [0, 0, 0, 2, 0]), (24, [7], [2], [0])):
        cells = (np.arange(steps * 9) < np.array(onsets)[:, None]).reshape(-1, steps, 9)
        columns = np.array(song), np.array(song), np.arange(len(song))
        corpora.append(Corpus.of(bars_to_words(cells), *columns, tuple("abc"), ("x/a", "x/b", "x/c"), GM9, role))
    save_corpus(path, *corpora)
    return path


@pytest.mark.parametrize(
    ("arguments", "n_bars", "mean"),
    [
        ((), 3, 17 / 3),
        (("--as-played",), 5, (18 / 4 + 5) / 2),
        (("--as-played", "--role", "groove"), 4, (3 + 5) / 2),
        (("--role", "fill"), 1, 9),
        (("--grid", "24"), 1, 7),
        (("--kit", "jaki5"), 3, (3 + 5 + 5) / 3),  # nine parts that all sound on 1 are five
    ],
)
def test_features_of_bars_that_are_chosen(played, arguments, n_bars, mean):
    done = run("features", played, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["bars"] == n_bars
    assert found["kit"] == ("jaki5" if "jaki5" in arguments else "gm9")
    assert found["features"]["density"]["mean"] == pytest.approx(mean)
    assert found["reference"] == ("as_played" if "--as-played" in arguments else "distinct")


def test_features_that_need_a_corpus_say_so(tmp_path, played):
    np.savez(tmp_path / "bars.npz", bars=np.ones((3, 16, 9), bool))
    for option in (
        ("--as-played",),
        ("--role", "fill"),
        ("--style", "rock"),
        ("--reference", tmp_path / "r.safetensors"),
    ):
        _refused("features", tmp_path / "bars.npz", *option, says=f"{option[0]} needs a corpus that `rhythmgan prepare")
    _refused("features", played, "--role", "break", says="a role is one of groove, variation, fill, any; not 'break'")
    _refused("features", played, "--role", "variation", says="no bar of it has role variation in these songs")
    _refused("features", played, "--style", "rock", says="no style of this corpus is called 'rock'")
    _refused("features", played, "--grid", 12, says="it has no bars of 12 steps; there are bars of 16, 24")


def test_a_reference_file_has_the_corpuss_kit_and_the_one_that_is_asked_for(played, tmp_path):
    path = tmp_path / "r.safetensors"
    assert run("features", played, "--kit", "jaki5", "--reference", path).returncode == 0
    assert next(iter(saved_references(path))) == "jaki5/distinct/any/16"
    assert load_reference(path).kit == JAKI5
    assert load_reference(path).steps == 16
    assert load_reference(path, "as_played", "groove", kit=GM9).means["density"] == pytest.approx(4)
    assert load_reference(path, steps=24, kit=GM9).means["density"] == 7
    assert len(saved_references(path)) == 2 * (2 * 3 + 2 * 2)


def test_the_reference_that_ships_knows_percentiles():
    reference = load_reference()
    assert reference.n_bars > 18_000
    middle = reference.value("density", 50)
    assert 12 <= middle <= 18
    assert 45 < reference.percentile("density", middle) < 55


def test_a_page_that_cannot_be_opened_says_why(songs, tmp_path):
    pytest.importorskip("streamlit")
    _refused("demo", "--data", tmp_path / "none.npz", says="none.npz: No such file")
    _refused("demo", "--data", songs / "text.mid", says="not a corpus")
    _refused("demo", "--votes", tmp_path, says="is not a regular file")
    _refused("demo", "--port", "65536", says="a port lies in 1 … 65535, not at 65536")


def test_without_streamlit_the_page_says_what_to_install():
    hidden = """
import importlib.util, sys
from rhythmgan.cli import main
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "streamlit" else real(name, *more)
sys.exit(main(["demo"]))
"""
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "rhythmgan: the page needs Streamlit: pip install 'rhythmgan[page]'\n"


def test_a_loop_of_triplets_that_is_read_on_sixteenths_is_said(tmp_path):
    bars = np.zeros((2, 12, 12), bool)
    bars[:, ::3, 0] = bars[:, 2::3, 7] = True  # a shuffle
    write_midi(tmp_path / "shuffle.mid", bars)
    done = run("vary", tmp_path / "shuffle.mid", "--n", 1, "--format", "midi", "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    assert "shuffle.mid: most of its bars are on 12 steps, but are read on the 16 of the model" in done.stderr
    done = run("vary", tmp_path / "shuffle.mid", "--grid", 12, "--n", 1, "--format", "npz", "--out", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with np.load(tmp_path / "w" / "variations.npz") as found:
        assert (found["bars"][0] == bars).all()


def test_bars_of_nine_parts_are_a_loop_of_twelve(tmp_path):
    done = run("vary", patterns_path(), "--n", 1, "--amount", 0.01, "--format", "npz", "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "v" / "variations.npz") as found:
        assert found["bars"].shape == (2, 72, 16, 12)
        assert not found["bars"][0, :, :, 9:].any()


def test_phrases_of_weights_for_triplets_take_the_prior_of_triplets(tmp_path):
    weights = bundled("gan12.safetensors")
    done = run("sample", "--weights", weights, "--bars", 2, "--n", 1, "--format", "npz", "--out", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "s" / "seeds-000000-000000.npz") as found:
        assert found["bars"].shape == (2, 12, 12)
