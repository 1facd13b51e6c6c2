"""The recipe of RythmGAN's page: its runs, its measures and counts by hand, and its tables."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest

import jobs
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.grid import Onsets, TimeSignature
from rhythmgan.kit import GM12, RYTHMGAN7
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


def test_a_beat_goes_on_to_the_next_one(recipe):
    """The last sixteenth of a beat is nearer to the next one, but is of its own."""
    found = recipe.mixed_bars(onsets((0.75, HAT), (1 + 1 / 3, HAT)))
    assert [place for place, _ in found.cells[0]] == [18, 32]


def test_beats_without_an_onset_make_no_song_clean(recipe):
    """Two beats on a grid and one elsewhere, in ten bars."""
    found = recipe.mixed_bars(onsets((0.0, KICK), (1.42, HAT), (39.0, KICK)))
    assert (found.n_bars, found.is_clean) == (2, False)


def _write_drums(save_midi, name, *bars, numerator=4):
    """A song with a hat at each of the times of each bar, in ticks of 96 a beat."""
    events = [(0, mido.MetaMessage("time_signature", numerator=numerator, denominator=4))]
    for bar, ticks in enumerate(bars):
        for tick in ticks:
            events.append((384 * bar + tick, mido.Message("note_on", channel=9, note=HAT, velocity=90)))
            events.append((384 * bar + tick + 4, mido.Message("note_off", channel=9, note=HAT)))
    save_midi(f"songs/lakh/{name}", *[events], ticks_per_beat=96)


def test_mixed_bars_of_a_folder_are_counted_by_song(recipe, setting, save_midi, monkeypatch):
    """Two versions of one song share a mixed bar; the first has another one. A played song has one too."""
    mixed, other, off = (24, 128), (24, 224), (40, 136, 232)
    _write_drums(save_midi, "a/1.mid", mixed, other)
    _write_drums(save_midi, "a/2.mid", (), mixed)
    _write_drums(save_midi, "b/played.mid", mixed, off)
    _write_drums(save_midi, "b/sixteenths.mid", (0, 24))
    _write_drums(save_midi, "c/waltz.mid", mixed, numerator=3)
    (setting.songs / "lakh" / "c" / "broken.mid").write_bytes(b"MThd")
    (setting.songs / "lakh" / "c" / "empty.mid").write_bytes(b"")

    def corpus(path, grid):
        """Of the second version there are bars on thirty-seconds alone."""
        file_id = np.array([1 if grid == 32 else 0])
        return SimpleNamespace(
            files=("lakh/a/1.mid", "lakh/a/2.mid"), songs=("z", "one song"), file_id=file_id, song_id=np.array([1])
        )

    monkeypatch.setattr(recipe, "load_corpus", corpus)
    assert recipe.run_mixed(setting, recipe.PhraseJob("mixed", "mixed"))["mixed"] == {
        "files": 4,
        "bars": 6,
        "mixed": 4,
        "mixed in written songs": 3,
        "distinct": 2,
        "songs": 1,
        "other time signatures": 1,
        "unreadable or without drums": 2,
    }


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


def test_points_are_cells_of_the_nearest_steps(recipe, save_lpd):
    """A step has six ticks: ticks 4 and 8 are on the second one, and a hit of each part is a point of its own."""
    path = save_lpd("song.npz", [(4, KICK, 90), (8, KICK, 80), (4, SNARE, 70), (12, KICK, 90), (0, HAT, 60)])
    assert recipe.reduction(path)["points"] == 4


def test_rolls_of_all_files_are_added(recipe, setting, save_lpd, monkeypatch):
    monkeypatch.setattr(recipe, "corpus_counts", lambda path: [])
    monkeypatch.setattr(recipe, "_onsets", lambda setting, grid: 0)
    save_lpd("songs/lpd/genuine/A/one.npz", [(0, KICK, 90), (1, KICK, 90), (150, HAT, 90)])
    save_lpd("songs/lpd/genuine/B/C/two.npz", [(6, SNARE, 90), (7, SNARE, 90), (8, SNARE, 90)])
    found = recipe.run_rolls(setting, recipe.PhraseJob("rolls", "rolls"))
    assert found["files"] == {
        "genuine": {"files": 2, "roll": 3 * 96 * 128, "bars": 3 * 16 * 7, "sounding": 6, "points": 3},
        "lpd_5": {"files": 0},
    }
    lines = recipe.rolls_table(found).splitlines()
    assert "| the drum rolls of 2 files of LPD (genuine), cells | 99.09% |" in lines
    assert "| the same, sounding cells instead of points: 6 to 3 | 50.00% |" in lines
    assert not any("lpd_5" in line for line in lines)


def test_points_of_all_bars_of_a_source_are_counted(recipe, setting):
    """Bars that come again count again, those of another source do not: 3 · 3 + 1 points of Lakh."""
    three, one = np.zeros((2, 16), np.uint16)
    three[0], three[5] = 0b101 << 9, 1 << 10  # kick and hat, and a snare
    one[3] = 1 << 11
    words, of = np.stack([three, three, three, one, three]), np.array([0, 0, 0, 0, 1])
    names = ("lakh/a.mid", "groove/b.mid")
    save_corpus(setting.data, Corpus.of(words, of, of, np.array([0, 1, 2, 3, 0]), ("a", "b"), names, GM12))
    assert recipe._onsets(setting, 16) == 10


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


def test_coverage_is_of_what_songs_play(recipe, setting, monkeypatch):
    """Phrases of one onset a bar are near no phrase of dense songs, however near they are to one another."""
    words = np.random.default_rng(0).integers(64, 128, (40, 4, 16)).astype(np.uint16)
    known = SongPhrases(words, np.arange(40), np.ones(40, int), np.zeros(40, int), RYTHMGAN7)
    monkeypatch.setattr(recipe.PhraseSetting, "phrases", lambda setting, split, grid: known)
    monkeypatch.setattr(recipe, "c2st", lambda *each: {"c2st": 1.0})
    bars = np.zeros((40, 4, 16, 7), bool)
    bars[np.arange(40), :, np.arange(40) % 16, 1] = True
    assert recipe.measures(setting, 16, bars)["coverage"] == 0
    assert recipe.measures(setting, 16, known.draw(40).bars)["coverage"] > 0.5


def test_what_follows_given_bars_is_compared_with_other_songs(recipe, tmp_path, monkeypatch):
    """Songs repeat bars by twos: A A B B; what is made of them here goes on with bar 1 for ever."""
    setting = recipe.PhraseSetting(tmp_path / "corpus.npz", tmp_path, True, tmp_path)
    pairs = np.random.default_rng(0).integers(1, 128, (60, 2, 16)).astype(np.uint16)
    held_out = SongPhrases(pairs[:, [0, 0, 1, 1]], np.arange(60), np.ones(60, int), np.zeros(60, int), RYTHMGAN7)
    monkeypatch.setattr(recipe.PhraseSetting, "phrases", lambda setting, split, grid: held_out)
    seen = []
    monkeypatch.setattr(recipe, "c2st", lambda *each: seen.append(each) or {"c2st": len(seen) / 10})

    class Gan:
        def complete(self, given, seeds):
            return np.concatenate([given, given[:, :1].repeat(4 - given.shape[1], 1)], 1)

    monkeypatch.setattr(recipe, "load_phrase_gan", lambda path: Gan())
    found = recipe.run_given(setting, recipe.PhraseJob("given", "given"))["completions"]
    assert [row["c2st"] for row in found.values()] == pytest.approx(np.arange(1, 10) / 10)
    assert [found[f"{n} given, the song's own"]["again"] for n in (1, 2, 3)] == [1, 0, 1]
    assert [found[f"{n} given, ours"]["again"] for n in (1, 2, 3)] == [1, 1, 0]
    assert all((real % 2 == 0).all() and (song % 2 == 1).all() for _, real, _, song, _ in seen)
    for n_given, (_, foreign, own) in enumerate(zip(*[iter(seen)] * 3, strict=True), 1):
        cut = 16 * n_given
        assert np.array_equal(foreign[2][:, :cut], own[2][:, :cut])
        assert (foreign[2][:, cut:] != own[2][:, cut:]).any((1, 2)).mean() > 0.9


def test_the_report_has_a_table_of_each_grid_in_order(recipe, setting):
    runs = recipe.all_jobs(2)

    def write(name, **found):
        facts = {"is_whole": True, "minutes": 1.0, "machine": "m"}
        (setting.out / "jobs" / f"{name}.json").write_text(json.dumps(facts | found), encoding="utf-8")

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


def test_weights_ship_under_the_names_of_their_grids(recipe, setting):
    """Of the runs as published that of seed 0 ships."""
    for run, name in (("ours-16", "rythmgan"), ("ours-24", "rythmgan"), ("published-0", "rythmgan-published")):
        (setting.out / "runs" / run).mkdir(parents=True, exist_ok=True)
        (setting.out / "runs" / run / f"{name}.safetensors").write_text(run, encoding="utf-8")
    (setting.out / "runs" / "published-1").mkdir()
    (setting.out / "runs" / "published-1" / "rythmgan-published.safetensors").write_text(
        "published-1", encoding="utf-8"
    )
    recipe.export_weights(setting)
    shipped = {path.name: path.read_text(encoding="utf-8") for path in (setting.out / "weights").iterdir()}
    assert shipped == {
        "rythmgan.safetensors": "ours-16",
        "rythmgan24.safetensors": "ours-24",
        "rythmgan-published.safetensors": "published-0",
    }


def test_its_jobs_are_those_of_all_recipes(recipe):
    assert issubclass(recipe.PhraseJob, jobs.Job)
    assert issubclass(recipe.PhraseSetting, jobs.Setting)
