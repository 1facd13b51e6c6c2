"""Lines that are combined to loops: which combinations are drawn, and the command that writes them."""

import json
from collections import Counter

import mido
import numpy as np
import pytest
import torch

import rhythmgan.cli
from rhythmgan.folders import COMBINED, _played_together, bars_of_loops
from rhythmgan.generate.combine import POOL, _dealt, _scores, _swapped, combine, on_coarser_grid, score_of, together
from rhythmgan.grid import quantise
from rhythmgan.kit import GM9, GM12
from rhythmgan.load import load_bars
from rhythmgan.midi_reader import read_midi
from rhythmgan.performance import Performance
from rhythmgan.seeds import RANDOM_STREAMS


def _lines(*cells, part=0, steps=16, n_bars=1):
    """A group of lines: each has an onset of the part on one step of each bar."""
    group = np.zeros((len(cells), n_bars, steps, 12), bool)
    for line, step in enumerate(cells):
        group[line, :, step, part] = True
    return group


# -- the draw ------------------------------------------------------------------------------------


def _behind(bars):
    """A score that wants the hat two steps behind the kick."""
    kick, hat = bars[..., 0].argmax(1), bars[..., 2].argmax(1)
    return np.where(hat - kick == 2, 20.0, 0.0)


def _swapped_loops(groups, n, seed, score):
    loops, numbers = _dealt([len(group) for group in groups], n, seed, 0)
    return _swapped(groups, loops, numbers, score)


def test_lines_that_go_together_are_combined():
    """Four of five kicks have a hat; the fifth kick and the fifth hat are left over for each other."""
    groups = [_lines(0, 4, 8, 12, 14, part=0), _lines(2, 6, 10, 14, 15, part=2)]
    counts = Counter(map(tuple, _swapped_loops(groups, 500, 0, _behind).tolist()))
    assert sum(counts[line, line] for line in range(5)) >= 450  # 100 as dealt; some have not met their match yet
    assert len(set(map(tuple, combine(groups, 25, 0).tolist()))) == 25


def test_combinations_come_as_often_as_their_score_says():
    """Two kicks by two hats, the diagonal a nat better: as lines come alike, a²/(½ − a)² = e², so 2a = e/(1 + e)."""
    groups = [_lines(0, 8, part=0), _lines(2, 10, part=2)]
    loops = _swapped_loops(groups, 4000, 1, lambda bars: _behind(bars) / 20)
    assert (loops[:, 0] == loops[:, 1]).mean() == pytest.approx(np.e / (1 + np.e), abs=0.02)


def test_every_line_is_dealt_as_often_as_any_other_and_stays_so():
    groups = [_lines(*range(7), part=0), _lines(*range(10), part=1), _lines(*range(16), part=2)]
    dealt, _ = _dealt([7, 10, 16], 300, 5, 0)
    swapped = _swapped_loops(groups, 300, 5, _behind)
    assert (dealt != swapped).any(0).all()  # lines of every group are swapped
    for loops in (dealt, swapped):
        for lines, count in zip(loops.T, (7, 10, 16), strict=True):
            assert set(np.bincount(lines).tolist()) <= {300 // count, 300 // count + 1}
    assert all(len(np.unique(lines)) == 30 for lines in _dealt([30, 40], 30, 0, 0)[0].T)


def test_loops_that_cannot_swap_stay():
    """An odd one out waits for the next sweep, and a single loop for ever."""
    groups = [_lines(0, 8, part=0), _lines(2, 10, part=2)]
    for n in (1, 2, 3):
        loops, numbers = _dealt([2, 2], n, 0, 0)
        assert _swapped(groups, loops, numbers, _behind).shape == (n, 2)
    loops, numbers = _dealt([2, 2], 1, 0, 0)
    assert (_swapped(groups, loops, numbers, _behind) == loops).all()


def test_no_combination_comes_twice_and_more_are_these_and_more():
    groups = [_lines(0, 8, part=0), _lines(4, 12, 13, part=1), _lines(2, 6, part=2)]
    drawn = combine(groups, 12, seed=3)
    assert sorted(map(tuple, drawn.tolist())) == [(a, b, c) for a in range(2) for b in range(3) for c in range(2)]
    assert combine(groups, 5, seed=3).tolist() == drawn[:5].tolist()
    assert combine(groups, 5, seed=4).tolist() != drawn[:5].tolist()
    some = combine(groups, 4, 3, _behind).tolist()
    assert combine(groups, 3, 3, _behind).tolist() == some[:3]


def test_more_loops_than_go_together_are_refused(monkeypatch):
    """Whatever is dealt, loops swap until there are four different ones."""
    groups = [_lines(0, 4, 8, 12, part=0), _lines(2, 6, 10, 14, part=2)]
    rounds = []

    def swapped(groups, loops, *others):
        rounds.append(len(loops))
        return np.stack([loops[:, 0], loops[:, 0]], 1)

    monkeypatch.setattr("rhythmgan.generate.combine._swapped", swapped)
    assert len(combine(groups, 4, 0, _behind)) == 4
    assert rounds == [POOL]
    with pytest.raises(ValueError, match="only 4 loops of these lines go together, not 5: choose at most --n 4"):
        combine(groups, 5, 0, _behind)
    assert len(rounds) == 1 + len(RANDOM_STREAMS["combination"])
    assert len(combine(groups, 5, 0, _behind, or_fewer=True)) == 4


def test_a_loop_is_scored_by_its_different_bars(monkeypatch):
    """Two bars that are equal count once, two that differ both."""
    kicks = _lines(0, 0, part=0, n_bars=2)
    kicks[1, 1, 4, 0] = True  # its second bar has one onset more
    hats = _lines(2, 3, part=2, n_bars=2)
    found = []

    def score(bars):
        found.extend(bars.sum((1, 2)).tolist())
        return np.full(len(bars), 10.0)

    loops, known = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), {}
    assert _scores([kicks, hats], loops, score, known).tolist() == [10, 10, 20, 20]
    assert sorted(found) == [2, 2, 3, 3]  # of eight bars in all four are different
    assert _scores([kicks, hats], loops[::-1], score, known).tolist() == [20, 20, 10, 10]
    assert len(found) == 4  # nothing is scored twice
    monkeypatch.setattr("rhythmgan.generate.combine._AT_ONCE", 2)  # a loop at a time
    assert _scores([kicks, hats], loops, score, {}).tolist() == [10, 10, 20, 20]


def test_lines_together_by_hand():
    groups = [_lines(0, 8, part=0, n_bars=2), _lines(4, part=1, n_bars=2)]
    loops = together(groups, np.array([[1, 0]]))
    assert loops.shape == (1, 2, 16, 12)
    assert np.argwhere(loops[0]).tolist() == [[0, 4, 1], [0, 8, 0], [1, 4, 1], [1, 8, 0]]
    assert groups[0].sum() == 4  # they stay as they were


@pytest.mark.parametrize(
    ("groups", "n", "says"),
    [
        ([_lines(0)], 1, "two groups of lines or more"),
        ([_lines(0), _lines()], 1, r"none of them empty; not of \[1, 0\]"),
        ([_lines(0, 1), _lines(2, 3)], 5, "of these lines 4 loops can be combined, not 5: choose at most --n 4"),
        ([_lines(0), _lines(2)], 4, "of these lines 1 loop can be combined, not 4: choose at most --n 1"),
        ([_lines(0, 1), _lines(2, 3)], 0, "not 0"),
    ],
)
def test_what_cannot_be_combined_is_refused(groups, n, says):
    with pytest.raises(ValueError, match=says):
        combine(groups, n)


class _Prior:
    """A prior by which a bar is the likelier the fewer onsets it has."""

    kit, steps = GM12, 16

    def in_double(self):
        return self

    def log_prob(self, bars):
        return -torch.from_numpy(bars.sum((1, 2))).double()


class _Critic:
    """A discriminator that finds kicks real."""

    kit, steps = GM12, 16

    def logits(self, bars):
        return torch.from_numpy(bars[..., 0].sum(1)).float()


def test_the_score_is_the_prior_and_the_discriminator():
    bars = np.zeros((2, 16, 12), bool)
    bars[0, 0, 0] = bars[1, 0, 1] = bars[1, 4, 2] = True
    assert score_of(_Prior(), _Critic())(bars).tolist() == [0, -2]
    other = _Critic()
    other.kit = GM9
    with pytest.raises(ValueError, match="the discriminator makes bars of kit gm9"):
        score_of(_Prior(), other)
    other = _Critic()
    other.steps = 12
    with pytest.raises(ValueError, match="the discriminator makes bars of"):
        score_of(_Prior(), other)


def test_a_finer_grid_is_judged_on_a_coarser_one():
    """32 steps are 16 of two: a roll is one onset, and nothing is between two steps."""
    bars = np.zeros((1, 32, 12), bool)
    bars[0, [0, 1, 2, 31], 2] = True
    seen = []
    assert on_coarser_grid(lambda coarse: seen.append(coarse) or np.array([7.0]), 2)(bars).tolist() == [7]
    assert seen[0].shape == (1, 16, 12)
    assert np.argwhere(seen[0]).tolist() == [[0, 0, 2], [0, 1, 2], [0, 15, 2]]


def test_bundled_models_tell_a_beat_from_its_shifted_snare(one_thread):
    from rhythmgan.models.gan import load_gan
    from rhythmgan.models.word_lstm import load_prior

    beat = np.zeros((2, 16, 12), bool)
    beat[:, [0, 8], 0] = beat[:, ::2, 2] = True
    beat[0, [4, 12], 1] = beat[1, [5, 13], 1] = True
    backbeat, shifted = score_of(load_prior(), load_gan())(beat).tolist()
    assert backbeat > shifted + 3


# -- the command ---------------------------------------------------------------------------------


def _write(path, hits, bpm=140, n_beats=4, metre=(4, 4)):
    """A MIDI file of one pitch that is no drum: hits are (sixteenth, velocity), 96 ticks a beat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    song, track = mido.MidiFile(ticks_per_beat=96), mido.MidiTrack()
    song.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm)))
    track.append(mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]))
    now = 0
    for place, velocity in hits:
        tick = round(place * 24)
        track.append(mido.Message("note_on", note=60, velocity=velocity, time=tick - now))
        track.append(mido.Message("note_off", note=60, time=6))
        now = tick + 6
    track.append(mido.MetaMessage("end_of_track", time=n_beats * 96 - now))
    song.save(path)


@pytest.fixture
def pack(tmp_path):
    """Three kicks, two snares and three hats, one of them two bars long, one with a late and quiet hit."""
    kicks = ([(0, 100), (8, 90)], [(0, 100), (6, 50), (10, 90)], [(0, 100), (7, 80)])
    for number, hits in enumerate(kicks, 1):
        _write(tmp_path / "pack" / f"Kick_{number:02d}.mid", hits)
    _write(tmp_path / "pack" / "Snares" / "a.mid", [(4, 101), (12, 103)])
    _write(tmp_path / "pack" / "Snares" / "b.mid", [(8, 99)])
    _write(tmp_path / "pack" / "Hi_Hat_01.mid", [(i, 70) for i in range(0, 16, 2)])
    _write(tmp_path / "pack" / "Hi_Hat_02.mid", [(i, 60) for i in range(16)] + [(16, 33), (24.25, 34)], n_beats=8)
    _write(tmp_path / "pack" / "Open_Hat.mid", [(i, 70) for i in range(2, 16, 4)])
    return tmp_path / "pack"


def _run(capsys, *arguments):
    """The JSON document of the command, and what it says on stderr."""
    status = rhythmgan.cli.main(["combine", *map(str, arguments), "--json", "--quiet"])
    out, error = capsys.readouterr()
    assert status == 0, error
    return json.loads(out), error


@pytest.mark.usefixtures("one_thread")
def test_loops_have_the_patterns_that_the_report_names(pack, tmp_path, capsys):
    said, error = _run(capsys, pack, "--n", 6, "--out", tmp_path / "out")
    assert error == ""
    assert said["patterns"] == {"kick": 3, "snare": 2, "hat": 3}
    assert said["files"]["midi"] == [f"combined-{i:03d}.mid" for i in range(1, 7)]
    named = json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"]
    assert len({tuple(names) for names in named.values()}) == 6
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        bars, velocities, offsets = saved["bars"], saved["velocities"], saved["offsets"]
    assert bars.shape == (6, 2, 16, 12)  # as long as the longest pattern
    for place, (kick, snare, hat) in enumerate(named.values()):
        assert kick.startswith("Kick_")
        assert snare.startswith("Snares/")
        backbeat = [4, 12] if snare == "Snares/a.mid" else [8]
        assert [np.flatnonzero(bar[:, 1]).tolist() for bar in bars[place]] == [backbeat, backbeat]
        assert velocities[place, 1, backbeat[0], 1] == (101 if snare == "Snares/a.mid" else 99)
        if hat == "Hi_Hat_02.mid":
            assert velocities[place, 1, [0, 8], 2].tolist() == [33, 34]
            assert offsets[place, 1, [0, 8], 2].tolist() == [0, 0.25]
        heard = read_midi(tmp_path / "out" / f"combined-{place + 1:03d}.mid")
        assert (quantise(heard, GM12).bars == bars[place]).all()
        assert heard.bpm == pytest.approx(140, abs=0.001)
    read, _, kit = load_bars(tmp_path / "out")
    assert (read.shape, kit) == ((12, 16, 12), GM12)


def test_the_loops_in_json_and_the_report_are_two_files(pack, tmp_path, capsys):
    said, _ = _run(capsys, pack, "--any", "--n", 2, "--format", "json,midi", "--out", tmp_path / "out")
    assert said["files"]["json"] == ["combined.json"]
    named = json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"]
    assert list(named) == ["combined-001", "combined-002"]
    loops = json.loads((tmp_path / "out" / "combined.json").read_text(encoding="utf-8"))["loops"]
    assert [loop["name"] for loop in loops] == list(named)


@pytest.mark.usefixtures("one_thread")
def test_the_same_seed_makes_the_same_files_and_another_call_replaces_them(pack, tmp_path, capsys):
    _run(capsys, pack, "--n", 4, "--out", tmp_path / "a")
    _run(capsys, pack, "--n", 6, "--out", tmp_path / "b")
    _run(capsys, pack, "--n", 4, "--out", tmp_path / "b")
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_any_takes_all_grids_and_all_patterns(pack, tmp_path, capsys):
    said, _ = _run(capsys, pack, "--any", "--grid", 32, "--n", 18, "--format", "npz,csv", "--out", tmp_path / "out")
    assert said["files"] == {"npz": ["combined.npz"], "csv": ["combined.csv"]}
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        assert saved["bars"].shape == (18, 2, 32, 12)
    named = json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"]
    assert len({tuple(names) for names in named.values()}) == 18  # 3 · 2 · 3: each once


@pytest.mark.usefixtures("one_thread")
def test_rolls_are_read_on_thirty_seconds_unasked(pack, tmp_path, capsys):
    """A roll of 32nds has a cell for each onset, and triplets beside it keep their time; --grid 16 loses some."""
    _write(pack / "Hi_Hat_03.mid", [(i / 2, 40 + i) for i in range(32)])
    _write(pack / "Hi_Hat_04.mid", [(i * 4 / 3, 50) for i in range(12)])
    for options, steps in (((), 32), (("--grid", 16), 16), (("--any",), 32)):
        _run(capsys, pack, "--n", 12, "--seed", 2, *options, "--out", tmp_path / "out")
        named = json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"]
        with np.load(tmp_path / "out" / "combined.npz") as saved:
            bars, velocities, offsets = saved["bars"], saved["velocities"], saved["offsets"]
        assert bars.shape == (12, 2, steps, 12)
        hats = [names[2] for names in named.values()]
        assert {"Hi_Hat_03.mid", "Hi_Hat_04.mid"} <= set(hats)
        if steps == 32:
            assert velocities[hats.index("Hi_Hat_03.mid"), 0, :, 2].tolist() == list(range(40, 72))
        triplets = hats.index("Hi_Hat_04.mid")
        step = np.flatnonzero(bars[triplets, 0, :, 2])
        time = (step + offsets[triplets, 0, step, 2]) * 4 / steps
        np.testing.assert_allclose(time, np.arange(12) / 3, atol=0.01)


@pytest.fixture
def triplets(tmp_path):
    """Two hats and a kick on eighth triplets, a kick and a snare on beats, and a snare on sixteenths."""
    pack = tmp_path / "triplets"
    third = 4 / 3
    _write(pack / "Hat_01.mid", [(i * third, 60 + i) for i in range(12)])
    _write(pack / "Hat_02.mid", [(i * third, 60) for i in range(12) if i % 3 != 1])
    _write(pack / "Kick_01.mid", [(0, 90), (2 * third, 80), (8, 90)])
    _write(pack / "Kick_02.mid", [(0, 90), (8, 90)])
    _write(pack / "Snare_01.mid", [(4, 90), (12, 90)])
    _write(pack / "Snare_02.mid", [(4, 90), (7, 40), (12, 90)])
    return pack


_ON_16 = "Snare_02.mid: most of its bars are on 16 steps, but are read on the 12 of the loops"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("how", [(), ("--any",)])
def test_patterns_on_triplets_are_read_on_twelve_steps_unasked(triplets, tmp_path, capsys, how):
    _, error = _run(capsys, triplets, "--n", 8, *how, "--out", tmp_path / "out")
    assert error.splitlines() == [_ON_16]
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        bars, velocities = saved["bars"], saved["velocities"]
    assert bars.shape == (8, 1, 12, 12)
    hats = [
        names[2] for names in json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"].values()
    ]
    assert velocities[hats.index("Hat_01.mid"), 0, :, 2].tolist() == list(range(60, 72))


def test_patterns_in_twelve_eight_are_read_on_twelve_steps_unasked(tmp_path, capsys):
    """Dotted quarters are beats: their thirds are eighths."""
    for name, eighths in (("Kick", [0, 6]), ("Snare", [3, 8, 9]), ("Hat", range(12))):
        _write(tmp_path / "pack" / f"{name}.mid", [(2 * eighth, 90) for eighth in eighths], n_beats=6, metre=(12, 8))
    said, error = _run(capsys, tmp_path / "pack", "--any", "--n", 1, "--out", tmp_path / "out")
    assert (said["left_out"], error) == (0, "")
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        bars = saved["bars"]
    assert bars.shape == (1, 1, 12, 12)
    assert np.flatnonzero(bars[0, 0, :, 1]).tolist() == [3, 8, 9]


def test_what_is_left_out_is_said_also_where_a_part_is_missing(pack, tmp_path, capsys):
    (pack / "Crash.mid").write_bytes(b"")
    given = [str(pack), "--any", "--parts", "kick,crash", "--out", str(tmp_path / "out")]
    assert rhythmgan.cli.main(["combine", *given]) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert first == "Crash.mid: empty: no bytes"
    assert "no file plays crash" in last


def test_each_pattern_that_does_not_fit_the_grid_is_one_line(triplets, tmp_path, capsys):
    _write(triplets / "Crash.mid", [(0, 90), (4 / 3, 90)])  # of no part that is asked for
    _write(triplets / "Snare_03.mid", [(0.5, 90), (4.5, 40), (12, 90)])  # laid-back, or on no grid
    _, error = _run(capsys, triplets, "--any", "--grid", 16, "--n", 2, "--out", tmp_path / "out")
    says = "most of its bars are on 12 steps, but are read on the 16 of the loops"
    assert error.splitlines() == [
        f"Kick_01.mid: {says}",
        "Snare_03.mid: most of its bars are on no grid, but are read on the 16 steps of the loops",
        f"Hat_01.mid: {says}",
        f"Hat_02.mid: {says}",
    ]
    _write(triplets / "Hat_03.mid", [(0, 40), (0.4, 30), *((i, 40) for i in range(1, 16))])
    _, error = _run(capsys, triplets, "--any", "--grid", 16, "--n", 2, "--out", tmp_path / "out")
    assert error.splitlines()[-1] == (
        "Hat_03.mid: it loses 1 of its onsets to louder ones of the same cell of 16 steps, or because they lie in "
        "another time signature"
    )


@pytest.mark.usefixtures("one_thread")
def test_the_patterns_choose_the_grid_and_not_the_weights(pack, triplets, tmp_path, capsys):
    from rhythmgan.models.config import GANConfig
    from rhythmgan.models.gan import GAN, save_gan

    weights = tmp_path / "gan12.safetensors"
    save_gan(weights, GAN(GANConfig("gm12", steps=12, width=4, discriminator_width=4)), {})
    _run(capsys, triplets, "--weights", weights, "--n", 2, "--out", tmp_path / "out")
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        assert saved["bars"].shape == (2, 1, 12, 12)
    given = [str(pack), "--weights", str(weights), "--n", "2", "--out", str(tmp_path / "no")]
    assert rhythmgan.cli.main(["combine", *given]) == 2
    assert capsys.readouterr().err == (
        f"rhythmgan: {weights}: its bars have 12 steps, which do not divide 16 of the patterns: "
        "name one with --grid, such as 12\n"
    )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("lengths", "n_bars"),
    [({1}, 1), ({1, 2}, 2), ({1, 2, 3}, 6), ({4, 6}, 6), ({3, 4}, 4), ({2, 16}, 16), ({3, 16}, 16)],
)
def test_loops_are_as_long_as_all_patterns_need_within_reason(lengths, n_bars):
    assert bars_of_loops(lengths) == n_bars


def test_no_pattern_is_cut_where_one_has_three_bars(pack, tmp_path, capsys):
    """The hats of two bars come three times, beside a kick of three bars and those of one."""
    _write(pack / "Kick_04.mid", [(0, 90), (16, 91), (32, 92)], n_beats=12)
    _, error = _run(capsys, pack, "--any", "--n", 24, "--out", tmp_path / "out")
    assert error == "patterns of 1, 2 and 3 bars: loops have 6, in which all come again whole\n"
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        velocities = saved["velocities"]
    assert velocities.shape == (24, 6, 16, 12)
    named = list(json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"].values())
    for loop, (kick, _, hat) in zip(velocities, named, strict=True):
        if kick == "Kick_04.mid":
            assert loop[:, 0, 0].tolist() == [90, 91, 92] * 2
        if hat == "Hi_Hat_02.mid":
            assert loop[:, 0, 2].tolist() == [60, 33] * 3
    _write(pack / "Kick_05.mid", [(0, 90), (64, 91)], n_beats=20)
    _, error = _run(capsys, pack, "--any", "--n", 2, "--out", tmp_path / "out")
    assert error == "patterns of 1, 2, 3 and 5 bars: loops have 5, so those of 2 and 3 bars end in the middle\n"


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("kicks", "hats"), [(2, 2), (2, 1), (1, 1)])
def test_a_small_pack_makes_what_it_can_unless_more_are_asked_for(tmp_path, capsys, kicks, hats):
    for name, n in (("Kick", kicks), ("Snare", 1), ("Hat", hats)):
        for number in range(n):
            _write(tmp_path / "pack" / f"{name}_{number}.mid", [(number, 90), (8, 80)])
    n = kicks * hats
    loops = "1 loop" if n == 1 else f"{n} loops"
    command = ["combine", str(tmp_path / "pack"), "--out", str(tmp_path / "out"), "--quiet"]
    for how in ([], ["--any"]):
        assert rhythmgan.cli.main([*command, *how]) == 0
        out, error = capsys.readouterr()
        assert error == f"only {loops} of these patterns can be combined, not 16\n"
        assert out.startswith(f"{loops} of one bar in ")
        assert len(list((tmp_path / "out").glob("*.mid"))) == n
        assert json.loads((tmp_path / "out" / COMBINED).read_text(encoding="utf-8"))["loops"].keys() == {
            f"combined-{i:03d}" for i in range(1, n + 1)
        }
    assert rhythmgan.cli.main([*command, "--any", "--n", "16"]) == 2
    assert f"of these lines {loops} can be combined, not 16: choose at most --n {n}\n" in capsys.readouterr().err
    said, error = _run(capsys, tmp_path / "pack", "--any", "--n", n, "--out", tmp_path / "out")
    assert (said["n"], error) == (n, "")


@pytest.mark.usefixtures("one_thread")
def test_fewer_loops_that_go_together_than_can_be_combined_are_said_so(pack, tmp_path, capsys, monkeypatch):
    """Whatever is dealt, loops swap until there are three different ones of the 18."""
    monkeypatch.setattr("rhythmgan.generate.combine._swapped", lambda groups, loops, *others: loops[:3])
    monkeypatch.setitem(RANDOM_STREAMS, "combination", RANDOM_STREAMS["combination"][:1])
    said, error = _run(capsys, pack, "--out", tmp_path / "out")
    assert (said["n"], error) == (3, "only 3 loops of these patterns were found to go together, not 16\n")
    assert rhythmgan.cli.main(["combine", str(pack), "--n", "4", "--out", str(tmp_path / "out")]) == 2
    assert "only 3 loops of these lines go together, not 4: choose at most --n 3" in capsys.readouterr().err


def test_parts_of_a_loop_are_named(pack, tmp_path, capsys):
    wanted = ("--parts", "kick,closed hat,open-hat", "--any", "--n", 5, "--kit", "gm9")
    said, _ = _run(capsys, pack, *wanted, "--out", tmp_path / "out")
    assert said["patterns"] == {"kick": 3, "closed hat": 2, "open-hat": 1}
    with np.load(tmp_path / "out" / "combined.npz") as saved:
        assert saved["bars"].shape[-1] == 9
        assert not saved["bars"][..., 1].any()
        assert saved["bars"][..., 3].any((1, 2)).all()


def test_two_files_that_play_the_same_are_one_pattern(pack, tmp_path, capsys):
    (pack / "Kick_04.mid").write_bytes((pack / "Kick_01.mid").read_bytes())
    said, _ = _run(capsys, pack, "--any", "--n", 2, "--out", tmp_path / "out")
    assert said["patterns"]["kick"] == 3
    _write(pack / "Kick_05.mid", [(0, 100), (8, 91)])  # as Kick_01, but a little louder
    _write(pack / "Kick_06.mid", [(0, 100), (8.25, 90)])  # or later
    said, _ = _run(capsys, pack, "--any", "--n", 2, "--out", tmp_path / "out")
    assert said["patterns"]["kick"] == 5


def test_the_tempo_is_that_of_most_patterns_that_are_asked_for(pack, tmp_path, capsys):
    """One snare of eight patterns is slower, and so are nine crashes, which no loop has."""
    _write(pack / "Snares" / "b.mid", [(8, 99)], bpm=100)
    for number in range(9):
        _write(pack / f"Crash_{number}.mid", [(number, 90)], bpm=90)
    _run(capsys, pack, "--any", "--n", 2, "--out", tmp_path / "out")
    assert read_midi(tmp_path / "out" / "combined-001.mid").bpm == pytest.approx(140, abs=0.001)


def test_of_two_onsets_of_one_cell_the_louder_is_heard():
    velocities, offsets = np.zeros((2, 1, 16, 12), np.uint8), np.zeros((2, 1, 16, 12), np.float32)
    velocities[:, 0, 3, 0], offsets[:, 0, 3, 0] = (50, 70), (0.125, -0.25)
    velocities[:, 0, 5, 0], offsets[:, 0, 5, 0] = (90, 20), (0.25, 0.375)
    velocities[1, 0, 8, 2], offsets[1, 0, 8, 2] = 33, 0.5
    first, second = (Performance(level > 0, level, late, GM12) for level, late in zip(velocities, offsets, strict=True))
    loop = _played_together([first, second])
    cells = [tuple(cell) for cell in np.argwhere(loop.bars).tolist()]
    assert cells == [(0, 3, 0), (0, 5, 0), (0, 8, 2)]
    assert [int(loop.velocities[cell]) for cell in cells] == [70, 90, 33]
    assert [float(loop.offsets[cell]) for cell in cells] == [-0.25, 0.25, 0.5]
    assert first.velocities[0, 3, 0] == 50  # lines stay as they were


def test_a_bad_file_is_one_line_and_the_rest_goes_on(pack, tmp_path, capsys):
    (pack / "bro\nken_kick.mid").write_bytes(b"MThd")
    (pack / "empty_snare.mid").write_bytes(b"")
    said, error = _run(capsys, pack, "--any", "--n", 2, "--out", tmp_path / "out")
    assert said["left_out"] == 2
    assert error.splitlines() == ["bro ken_kick.mid: unreadable: not a MIDI file", "empty_snare.mid: empty: no bytes"]


@pytest.mark.usefixtures("one_thread")
def test_what_the_command_cannot_do_is_one_line(pack, tmp_path, capsys):
    from rhythmgan.models.config import GANConfig
    from rhythmgan.models.gan import GAN, save_gan

    weights = tmp_path / "gan.safetensors"
    save_gan(weights, GAN(GANConfig("gm12", width=4, discriminator_width=4)), {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "combined-001.mid").write_text("mine", encoding="utf-8")
    for arguments, says in (
        ((tmp_path / "empty",), "holds no MIDI file"),
        ((tmp_path / "missing",), "No such file"),
        ((pack, "--n", 19), "of these lines 18 loops can be combined, not 19: choose at most --n 18"),
        ((pack, "--n", 0), "1 to 4096 loops are made, not 0"),
        ((pack, "--parts", "kick,snare,gong"), "no part of kit gm12 is called 'gong'"),
        ((pack, "--parts", "kick,snare,crash"), "no file plays crash: name other parts with --parts"),
        ((pack, "--parts", "hat,open hat"), "'open hat' is asked for twice"),
        ((pack, "--parts", "kick"), "name two parts or more, with commas between; not only 'kick'"),
        ((pack, "--any", "--style", "funk"), "--style says which patterns go together; with --any all do"),
        ((pack, "--any", "--prior", "x"), "--prior says which patterns go together; with --any all do"),
        ((pack, "--weights", weights, "--grid", 24), "its bars have 16 steps, which do not divide 24"),
        ((pack, "--grid", 17), "a bar may have 12, 16, 24, 32, 48 steps, not 17"),
        ((pack, "--any", "--grid", 17), "not 17"),
        ((pack, "--out", pack), "lies in the folder that is read"),
        ((pack, "--format", "mp3"), "unknown format"),
        ((pack, "--bpm", 1), "tempo"),
        ((pack, "--out", tmp_path / "theirs"), "holds combined-001.mid, which no earlier call wrote"),
    ):
        given = [*map(str, arguments)]
        status = rhythmgan.cli.main(["combine", "--out", str(tmp_path / "out"), *given, "--quiet"])
        error = capsys.readouterr().err
        assert status == 2, error
        assert error.count("\n") == 1
        assert says in error
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "theirs" / "combined-001.mid").read_text(encoding="utf-8") == "mine"


def test_the_commands_say_what_they_did(pack, tmp_path, capsys):
    assert rhythmgan.cli.main(["standardise", str(pack), "--out", str(tmp_path / "s"), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "8 files made standard, 0 were, 0 left out" in said
    assert "kick: 3, closed hat: 2, snare: 2, open hat: 1" in said
    assert rhythmgan.cli.main(["standardise", str(tmp_path / "s"), "--out", str(tmp_path / "t"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == 8
    assert rhythmgan.cli.main(["combine", str(tmp_path / "s"), "--any", "--n", "2", "--out", str(tmp_path / "c")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("combined-001\n      kick  ")
    assert "2 loops of 2 bars in " in said
    assert said.endswith("combined of 3 kick, 2 snare, 3 hat patterns\n")


def test_a_pack_without_a_single_usable_file_is_an_error(tmp_path, capsys):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "Kick.mid").write_bytes(b"")
    status = rhythmgan.cli.main(["standardise", str(tmp_path / "pack"), "--out", str(tmp_path / "out"), "--quiet"])
    assert status == 2
    assert "none of its 1 files can be made standard" in capsys.readouterr().err
