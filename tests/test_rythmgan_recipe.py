"""The recipe of RythmGAN's page: its runs, its measures and counts by hand, and its tables."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import jobs
from rhythmgan.grid import Onsets, TimeSignature
from rhythmgan.kit import RYTHMGAN7
from rhythmgan.song_phrases import SongPhrases

ROOT = Path(__file__).resolve().parent.parent
KICK, SNARE, HAT = 36, 38, 42

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recipe():
    path = ROOT / "recipes" / "reproductions" / "rythmgan.py"
    spec = importlib.util.spec_from_file_location("recipe_rythmgan", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipe_rythmgan"] = module  # where its dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def setting(recipe, tmp_path):
    (tmp_path / "jobs").mkdir()
    return recipe.PhraseSetting(tmp_path / "corpus.npz", tmp_path, False, tmp_path / "songs")


def onsets(*notes, signatures=()):
    """Notes as (quarter notes from the start, pitch)."""
    beat, pitch = zip(*notes, strict=True) if notes else ((), ())
    return Onsets(np.array(beat, float), np.array(pitch, np.uint8), np.full(len(notes), 90, np.uint8), signatures)


def test_every_training_comes_before_what_needs_it(recipe):
    names = [job.name for job in recipe.all_jobs(3)]
    assert len(set(names)) == len(names)
    assert names.index("ours-16") < names.index("given")
    assert [name for name in names if name.startswith("published")] == [f"published-{seed}" for seed in range(3)]
    assert {job.kind for job in recipe.all_jobs(1)} == set(recipe._RUN)


# -- bars of two grids ----------------------------------------------------------------------------


def test_a_bar_with_a_beat_of_either_kind_is_mixed(recipe):
    """Sixteenths in the first beat, triplets in the second, quarters in the others."""
    found = recipe.mixed_bars(
        onsets((0.0, KICK), (0.25, HAT), (1.0, SNARE), (1 + 1 / 3, SNARE), (1 + 2 / 3, SNARE), (2.0, KICK), (3.0, KICK))
    )
    assert found.n_bars == 1
    assert found.is_clean
    kick, snare, hat = (RYTHMGAN7.part_of_pitch[pitch] for pitch in (KICK, SNARE, HAT))
    assert found.cells == [
        ((0, kick), (6, hat), (24, snare), (32, snare), (40, snare), (48, kick), (72, kick)),
    ]


@pytest.mark.parametrize(
    "notes",
    [
        [(0.0, KICK), (0.25, HAT), (1.5, HAT)],  # sixteenths alone; an eighth is on both grids
        [(0.0, KICK), (1 / 3, HAT), (1.5, HAT)],  # triplets alone
        [(0.25, HAT), (4 + 1 / 3, HAT)],  # each in a bar of its own
        [(0.25, HAT), (1 + 1 / 3, HAT), (2.42, HAT)],  # an onset on neither
        [(0.25, HAT), (1 + 1 / 3, HAT), (1.25, HAT)],  # both in one beat
        [(0.25, 3), (1 + 1 / 3, HAT)],  # no pitch of the kit
        [],
    ],
)
def test_a_bar_without_both_kinds_of_whole_beats_is_not(recipe, notes):
    assert recipe.mixed_bars(onsets(*notes)).cells == []


def test_an_onset_just_ahead_of_a_beat_belongs_to_it(recipe):
    """The triplets' beat begins a little early, and the bar before has nothing."""
    found = recipe.mixed_bars(onsets((3.98, KICK), (4 + 1 / 3, HAT), (5.25, HAT)))
    assert found.n_bars == 1
    assert [place for place, _ in found.cells[0]] == [0, 8, 30]


def test_songs_that_people_play_are_told_from_written_ones(recipe):
    """Nine beats on a grid and one elsewhere are clean, eight and two are not."""
    clean = [(float(beat), KICK) for beat in range(9)]
    assert recipe.mixed_bars(onsets(*clean, (9.42, HAT))).is_clean
    assert not recipe.mixed_bars(onsets(*clean[:8], (8.42, HAT), (9.42, HAT))).is_clean


def test_songs_of_other_time_signatures_are_not_counted(recipe):
    note = (0.25, HAT)
    assert recipe.mixed_bars(onsets(note, signatures=(TimeSignature(0, 3, 4),))) is None
    assert recipe.mixed_bars(onsets(note, signatures=(TimeSignature(0, 4, 4), TimeSignature(6, 4, 4)))) is None
    assert recipe.mixed_bars(onsets(note, signatures=(TimeSignature(0, 4, 4), TimeSignature(8, 4, 4)))) is not None


# -- pianorolls -----------------------------------------------------------------------------------


def test_a_roll_is_counted_until_its_last_bar(recipe, save_lpd):
    """Two bars: a kick of two ticks, a hat in the second, and a whistle of no part of the nine."""
    path = save_lpd("song.npz", [(0, KICK, 90), (1, KICK, 90), (150, HAT, 90), (100, 34, 90)])
    found = recipe.reduction(path)
    assert found == {"roll": 2 * 96 * 128, "bars": 2 * 16 * 7, "sounding": 4, "points": 2}


def test_the_reduction_of_a_bar_is_the_one_that_was_published(recipe, setting, monkeypatch):
    monkeypatch.setattr(recipe, "corpus_counts", lambda path: [])
    monkeypatch.setattr(recipe, "_onsets", lambda setting, grid: 1000 * grid)
    found = recipe.run_rolls(setting, recipe.PhraseJob("rolls", "rolls"))
    shares = dict(zip(("musegan", "lpd"), found["bar"].values(), strict=True))
    assert shares["musegan"] == pytest.approx(1 - 112 / 8064)
    assert f"{shares['musegan']:.1%}" == "98.6%"
    assert shares["lpd"] == pytest.approx(1 - 112 / 12288)
    lines = recipe.rolls_table(found)
    assert "| 98.61% |" in lines
    assert "16,000 on 16 steps, 12,000 on 12 steps, 24,000 on 24 steps" in lines


def test_every_dropped_file_has_a_reason(recipe):
    sources = [
        {"source": "/x/lakh", "n_files": 2000, "n_files_with_bars": 1990, "n_songs": 900, "none": {"no drums": 10}},
        {"source": "lpd", "n_files": 5, "n_files_with_bars": 4, "n_songs": 3, "none": {"unreadable": 1}},
    ]
    assert recipe.dropped_table(sources).splitlines() == [
        "| source | files | with bars | songs | no drums | unreadable |",
        "|---|---:|---:|---:|---:|---:|",
        "| lakh | 2,000 | 1,990 | 900 | 10 | 0 |",
        "| lpd | 5 | 4 | 3 | 0 | 1 |",
    ]


# -- measures -------------------------------------------------------------------------------------


def test_measures_of_phrases_by_hand(recipe, setting, monkeypatch):
    """Forty phrases; a fifth are training phrases, a quarter come back to bar 1, one bar in eight is empty."""
    random = np.random.default_rng(0)
    words = random.integers(1, 128, (40, 4, 16)).astype(np.uint16)
    song = np.arange(40)
    known = SongPhrases(words, song, np.ones(40, int), np.zeros(40, int), RYTHMGAN7)
    monkeypatch.setattr(recipe.PhraseSetting, "phrases", lambda setting, split, grid: known)
    seen = []
    monkeypatch.setattr(recipe, "c2st", lambda *each: seen.append(each) or {"c2st": 0.1 * len(seen)})
    bars = (random.random((40, 4, 16, 7)) < 0.3) | (np.arange(16) == 0)[:, None]
    bars[:8] = known.bars[:8]
    bars[10:20, 2] = bars[10:20, 0]
    bars[20:40, 3] = False
    found = recipe.measures(setting, 16, bars)
    assert (found["c2st"], found["c2st_bar"]) == (0.1, 0.2)
    assert [each[0].shape for each in seen] == [(40, 64, 7), (40, 16, 7)]
    assert np.array_equal(seen[1][2], bars[:, 0])
    assert found["copies"] == 8 / 40
    assert found["unique"] == 1
    assert found["third_is_first"] == 10 / 40
    assert found["second_is_first"] == 0
    assert found["empty"] == 20 / 160
    assert found["onsets"] == pytest.approx(bars.sum() / 160)
    assert found["fd"] > 0
    assert 0 <= found["coverage"] <= 1


def test_the_report_has_a_table_of_each_grid_in_order(recipe, setting):
    runs = recipe.all_jobs(2)

    def write(name, **found):
        facts = {"is_whole": True, "minutes": 1.0, "machine": "m"}
        (setting.out / "jobs" / f"{name}.json").write_text(json.dumps(facts | found))

    write("published-0", rows={"as published": {"c2st": 0.9}})
    write("published-1", rows={"as published": {"c2st": 0.8}})
    counts = {"phrases": 1234, "songs": 56, "on_time": 300}
    write("ours-16", rows={"ours, pretrained only": {"c2st": 0.6}, "ours": {"c2st": 0.5}}, **counts)
    write("ours-12", rows={"ours": {"c2st": 0.4}}, is_whole=False)
    write("rivals-16", rows={"songs of training": {"c2st": 0.51}, "GAN": {"c2st": 0.7}})
    write("mixed", mixed={"bars": 1000, "mixed": 7})
    write("given", completions={"1 given, ours": {"c2st": 0.55, "again": 0.25}})
    folder = setting.folder(recipe.PhraseJob("ours-12", "ours"))
    folder.mkdir(parents=True)
    (folder / "rythmgan.safetensors").write_bytes(b"weights")
    lines = recipe.report(setting, runs).splitlines()
    assert lines[0] == "Grid 16: 1,234 distinct phrases of 56 training songs, of which 300 begin on time"
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert names[1:6] == ["songs of training", "as published", "ours", "ours, pretrained only", "GAN"]
    assert any(line.startswith("| as published | 2 | 0.850 ± 0.050 |") for line in lines)
    assert "Bars that mix both grids: 1,000 bars, 7 mixed" in lines
    assert "| 1 given, ours | 1 | 0.550 | 0.25 |" in lines
    assert [path.name for path in (setting.out / "weights").iterdir()] == ["rythmgan12.safetensors"]


def test_its_jobs_are_those_of_all_recipes(recipe):
    assert issubclass(recipe.PhraseJob, jobs.Job)
    assert issubclass(recipe.PhraseSetting, jobs.Setting)
