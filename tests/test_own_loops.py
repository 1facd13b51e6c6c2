"""Loops of one's own through `vary` and `rl-tuner steer`: tempo, velocities, timing and swing, as others read them."""

import importlib.util
import json
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest

import rhythmgan.cli
import rl_tuner.cli
from rhythmgan.features import measure, measure_performance, sixteenth_swing, swing_of_onsets
from rhythmgan.groove import groove_swing, swing_at
from rhythmgan.kit import GM12
from rhythmgan.load import load_loop
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.catalogue import load_generator
from rl_tuner.steering import steer

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parent.parent

CELLS = [
    # step, pitch, ticks late, velocity; 480 ticks a beat, 120 a step
    *[(0, 36, 5, 117), (1, 42, 24, 30), (2, 42, 20, 41), (3, 42, 36, 33), (4, 38, -20, 96), (7, 42, 30, 29)],
    *[(8, 36, 7, 55), (12, 38, 20, 101), (14, 42, -13, 63), (16, 36, -20, 111), (18, 42, 9, 44), (20, 38, 3, 90)],
    *[(24, 36, -8, 71), (28, 38, 11, 99), (31, 46, 12, 52)],
]
"""Two bars. The second sixteenths lie at .6, .65 and .625 of their eighths in the first, at .55 in the second."""


@pytest.fixture
def loop(save_midi):
    """The path of a loop at 94 beats a minute, with its own velocities, each onset up to 20 ticks early or late."""
    events = [(0, mido.MetaMessage("set_tempo", tempo=round(60e6 / 94)))]
    for step, pitch, late, velocity in CELLS:
        tick = step * 120 + late
        events.append((tick, mido.Message("note_on", channel=9, note=pitch, velocity=velocity)))
        events.append((tick + 20, mido.Message("note_off", channel=9, note=pitch)))
    return save_midi("loop.mid", events)


def _heard(path):
    """(tick, pitch, velocity) of each note in order, and the tempo, as pretty_midi reads them."""
    song = pretty_midi.PrettyMIDI(str(path))
    (track,) = song.instruments
    notes = sorted((song.time_to_tick(note.start), note.pitch, note.velocity) for note in track.notes)
    return notes, song.get_tempo_changes()[1].tolist()


def _own(first=0, last=32):
    """The loop's notes of these steps, as ``_heard``."""
    return sorted(
        (max((step - first) * 120 + late, 0), pitch, velocity)
        for step, pitch, late, velocity in CELLS
        if first <= step < last
    )


def _vary(loop, out, *options):
    assert rhythmgan.cli.main(["vary", str(loop), "--n", "3", "--out", str(out), "--quiet", *options]) == 0
    return out


def _steer(out, *options):
    assert rl_tuner.cli.main(["steer", "--calls", "8", "--out", str(out), "--quiet", *options]) == 0
    return out


def test_the_loop_beside_its_variations_is_the_files_own(loop, tmp_path):
    out = _vary(loop, tmp_path / "v")
    notes, tempo = _heard(out / "loop.mid")
    assert notes == _own()
    assert tempo == pytest.approx([94], abs=1e-3)


def test_what_stays_in_a_variation_is_played_as_in_the_loop(loop, tmp_path):
    out = _vary(loop, tmp_path / "v")
    own = set(_own())
    for i in (1, 2, 3):
        notes, tempo = _heard(out / f"variation-00{i}.mid")
        assert tempo == pytest.approx([94], abs=1e-3)
        steps = {(round(tick / 120), pitch) for tick, pitch, _ in own}
        stays = [note for note in notes if (round(note[0] / 120), note[1]) in steps]
        assert stays
        assert set(stays) <= own


def test_the_bars_before_steering_are_the_files_own(loop, tmp_path):
    """A bar of its own begins with what was early in the loop."""
    out = _steer(tmp_path / "s", "--density", "10", "--from-midi", str(loop))
    assert _heard(out / "before.mid")[0] == _own()
    for name, own in (("before-001.mid", _own(0, 16)), ("before-002.mid", _own(16, 32))):
        notes, tempo = _heard(out / name)
        assert notes == own
        assert tempo == pytest.approx([94], abs=1e-3)
    assert _heard(out / "after-001.mid")[1] == pytest.approx([94], abs=1e-3)


# -- swing -----------------------------------------------------------------------------------------


def _swing(path):
    onsets = read_midi(path)
    bar = (onsets.beat // 4).astype(int)
    return swing_of_onsets(onsets.beat, bar, int(bar.max()) + 1, "sixteenths").numpy()


def test_a_steered_loop_swings_as_asked_for_and_keeps_its_scatter(loop, tmp_path):
    """From .625 on average to .64: its second sixteenths are 3.6 ticks later, nothing else moves."""
    out = _steer(tmp_path / "s", "--swing", ".64", "--from-midi", str(loop))
    notes, _ = _heard(out / "after-001.mid")
    moved = {1: 24 + 3.6, 3: 36 + 3.6, 7: 30 + 3.6}
    expected = [(step * 120 + moved.get(step, late), pitch, velocity) for step, pitch, late, velocity in CELLS[:9]]
    for (tick, *others), (wanted, *own) in zip(notes, sorted(expected), strict=True):
        assert tick == pytest.approx(wanted, abs=0.51)
        assert others == own
    assert _heard(out / "before-001.mid")[0] == _own(0, 16)
    for i in (1, 2):
        assert _swing(out / f"after-00{i}.mid") == pytest.approx([0.64], abs=0.01)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert [each["targets"] for each in report["bars"]] == [{"sixteenth swing": 0.64}] * 2
    assert [each["after"]["sixteenth swing"] for each in report["bars"]] == pytest.approx([0.64] * 2, abs=1e-4)
    assert report["sentence"] == "2 bars: as they were; with sixteenth swing 0.64; no cell changed"


def test_a_swing_may_be_a_change_of_what_the_loop_has(loop, tmp_path):
    """Its bars have .625 and .55, .5875 on average."""
    out = _steer(tmp_path / "s", "--target", "sixteenth swing=+.03", "--from-midi", str(loop))
    targets = [each["targets"] for each in json.loads((out / "report.json").read_text(encoding="utf-8"))["bars"]]
    assert targets == [{"sixteenth swing": pytest.approx(0.6175)}] * 2
    assert _swing(out / "steered-001.mid") == pytest.approx([0.6175] * 2, abs=0.01)


def test_variations_swing_as_asked_for_and_the_loop_as_it_did(loop, tmp_path):
    out = _vary(loop, tmp_path / "v", "--swing", ".6")
    assert _heard(out / "loop.mid")[0] == _own()
    for i in (1, 2, 3):
        swings = _swing(out / f"variation-00{i}.mid")
        assert swings[~np.isnan(swings)] == pytest.approx([0.6] * int((~np.isnan(swings)).sum()), abs=0.01)
    straight = _vary(loop, tmp_path / "w", "--swing", ".5")
    swings = _swing(straight / "variation-001.mid")
    assert swings[~np.isnan(swings)] == pytest.approx([0.5] * int((~np.isnan(swings)).sum()), abs=0.01)


@pytest.mark.parametrize("target", [0.5, 0.58, 0.7])
def test_swing_is_a_target_beside_those_of_the_bar(target):
    found = steer({"density": 20, "sixteenth swing": target}, 6, calls=16, seed=3)
    played = found.performance()
    assert measure(found.after, names=["density"])["density"].tolist() == found.values[:, 0].tolist()
    reached = measure_performance(played)["sixteenth swing"].numpy()
    np.testing.assert_array_equal(found.swing_reached()["sixteenth swing"], reached)
    has = ~np.isnan(reached)
    assert has.any()
    assert reached[has] == pytest.approx(target, abs=1e-4)
    # a bar has no swing where it has no second sixteenth: the sentence counts them
    assert found.after[:, 1::2].any((1, 2)).tolist() == has.tolist()
    assert (f"{(~has).sum()} without such off-beats" in found.sentence()) == (not has.all())
    assert f"sixteenth swing {target:.3g}" in found.sentence()


def test_the_swing_of_the_eighths_is_a_target_too():
    found = steer({"density": 20, "swing": 0.6}, 4, calls=8)
    reached = found.swing_reached()["swing"]
    assert reached[~np.isnan(reached)] == pytest.approx(0.6, abs=1e-4)
    # on 16 steps an eighth stays its step: it comes to .625
    far = steer({"swing": 0.625}, 4).swing_reached()["swing"]
    assert far[~np.isnan(far)] == pytest.approx(0.625, abs=1e-3)
    with pytest.raises(ValueError, match=r"eighths of 16 steps swing up to 0\.625, not 0\.7"):
        steer({"swing": 0.7}, 4)


def test_swing_alone_leaves_the_bars_as_they_are():
    bars = load_generator().sample(3, seed=5)
    found = steer({"sixteenth swing": 0.6}, 2, given=bars)
    assert (found.after == np.tile(bars, (2, 1, 1))).all()
    assert found.success.all()
    assert (found.calls == 0).all()


def test_steered_bars_and_their_files_agree(tmp_path):
    out = _steer(tmp_path / "s", "--density", "18", "--swing", ".62", "--n", "3")
    for i in (1, 2, 3):
        loop, playback = load_loop(out / f"after-00{i}.mid", GM12, 16)
        assert playback.bpm == 120
        swing = sixteenth_swing(loop).item()
        assert np.isnan(swing) or swing == pytest.approx(0.62, abs=0.01)
    with np.load(out / "steered.npz") as saved:
        assert (saved["offsets"][saved["bars"]] > 0).any()


@pytest.mark.parametrize("wrong", [0.45, 0.71, 3, float("nan")])
def test_a_swing_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="swing lies between"):
        steer({"density": 20, "sixteenth swing": wrong})


# -- percentiles -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["swing", "sixteenth swing"])
def test_grooves_quantiles_rise_and_give_percentiles(name):
    quantiles = groove_swing()[name]
    assert quantiles.shape == (1001,)
    assert (np.diff(quantiles) >= 0).all()
    assert 0.375 <= quantiles[0] < 0.5 < quantiles[-1] < 0.71
    for percentile in (75, 80, 90, 95):
        assert (quantiles < swing_at(percentile, name)).mean() == pytest.approx(percentile / 100, abs=0.01)
    assert swing_at(0, name) == 0.5
    assert swing_at(100, name) == 0.7
    for wrong in (-1, 101, float("nan")):
        with pytest.raises(ValueError, match="percentiles lie in"):
            swing_at(wrong, name)


def test_the_recipe_counts_each_bar_with_such_off_beats_once(tmp_path, capsys, monkeypatch):
    """Three bars swung at .6, one straight one, and one without second sixteenths, whose eighths are straight."""
    spec = importlib.util.spec_from_file_location("recipe_groove_swing", ROOT / "recipes" / "groove_swing.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    sixteenths, eighths = np.zeros((16, 9), bool), np.zeros((16, 9), bool)
    sixteenths[:, 2] = eighths[::2, 2] = True
    write_midi(tmp_path / "a.mid", np.stack([sixteenths] * 3), swing=0.6)
    write_midi(tmp_path / "b.mid", sixteenths)
    write_midi(tmp_path / "c.mid", eighths)
    names = "".join(f"{name}.mid\n" for name in ("a", "b", "c", "not-here"))
    (tmp_path / "info.csv").write_text(f"midi_filename\n{names}", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["groove_swing.py", str(tmp_path), str(tmp_path / "out.json")])
    recipe.main()
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["bars"] == 5
    assert content["counted"] == {"swing": 5, "sixteenth swing": 4}
    quantiles = content["quantiles"]["sixteenth swing"]
    assert (quantiles[0], quantiles[250], quantiles[251], quantiles[1000]) == (0.5, 0.5, 0.6, 0.6)
    assert set(content["quantiles"]["swing"]) == {0.5}
    assert "sixteenth swing: 4 of 5 bars" in capsys.readouterr().out


def _targets(out):
    """The targets of the first steered bar of a folder."""
    return json.loads((out / "report.json").read_text(encoding="utf-8"))["bars"][0]["targets"]


def test_every_command_takes_a_percentile_of_swing(loop, tmp_path, capsys):
    wanted = swing_at(90)
    assert wanted > 0.55
    main, steer_main = rhythmgan.cli.main, rl_tuner.cli.main
    assert main(["sample", "--n", "2", "--swing", "90%", "--out", str(tmp_path / "a"), "--quiet"]) == 0
    assert json.loads((tmp_path / "a" / "sample.json").read_text(encoding="utf-8"))["swing"] == wanted
    assert main(["interpolate", "--seeds", "3-17", "--frames", "3", "--swing", "90%", "--format", "json", "--out",
                 str(tmp_path / "b"), "--quiet"]) == 0  # fmt: skip
    assert json.loads((tmp_path / "b" / "path.json").read_text(encoding="utf-8"))["swing"] == wanted
    out = _vary(loop, tmp_path / "c", "--swing", "90%")
    assert np.nanmean(_swing(out / "variation-001.mid")) == pytest.approx(wanted, abs=0.01)
    out = _steer(tmp_path / "d", "--swing", "90%", "--density", "12", "--n", "2")
    assert _targets(out) == {"density": 12, "sixteenth swing": wanted}
    out = _steer(tmp_path / "e", "--target", "swing=80%", "--density", "12", "--n", "2")
    assert _targets(out) == {"density": 12, "swing": swing_at(80, "swing")}
    for wrong in ("101%", "-1%", "x%", "%"):
        with pytest.raises(SystemExit) as ended:
            steer_main(["steer", "--swing", wrong])
        assert ended.value.code == 2
    assert "percentiles lie in 0 … 100, not 101" in capsys.readouterr().err
