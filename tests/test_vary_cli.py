"""The commands `vary` and `fill` on a loop of one's own: what stays, what changes, and what is said of it."""

import json

import numpy as np
import pytest

import rhythmgan.cli
from rhythmgan.generate.variation import fill, lock_parts
from rhythmgan.grid import quantise
from rhythmgan.kit import GM12
from rhythmgan.midi import write_midi
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.gan import load_gan

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def loop():
    """A A A B: a beat of 3 kicks, 2 snares and 8 hats; the last bar with an open hat and a crash more."""
    bars = np.zeros((4, 16, 12), bool)
    bars[:, [0, 7, 10], 0] = bars[:, [4, 12], 1] = bars[:, ::2, 2] = True
    bars[3, 14, 3] = bars[3, 0, 8] = True
    return bars


@pytest.fixture
def midi(loop, tmp_path):
    write_midi(tmp_path / "own.mid", loop, bpm=97)
    return tmp_path / "own.mid"


def _run(capsys, command, *arguments):
    """The JSON document of a command."""
    status = rhythmgan.cli.main([command, *map(str, arguments), "--json", "--quiet"])
    out, error = capsys.readouterr()
    assert (status, error) == (0, "")
    return json.loads(out)


def _bars(path):
    with np.load(path) as saved:
        return saved["bars"]


def test_a_loop_of_three_equal_bars_and_another_stays_one(loop, midi, tmp_path, capsys):
    said = _run(capsys, "vary", midi, "--n", 5, "--amount", ".2", "--out", tmp_path / "v")
    bars = _bars(tmp_path / "v" / "variations.npz")
    for variation, changed in zip(bars[1:], said["changed_cells"], strict=True):
        assert (variation[0] == variation[1]).all()
        assert (variation[0] == variation[2]).all()
        assert (variation != loop).sum((1, 2)).tolist() == [3, 3, 3, 3]  # .2 of 13 and of 15 onsets
        assert changed == 12


@pytest.mark.parametrize("command", ["vary", "fill"])
def test_parts_that_are_locked_by_name_stay_in_every_file(command, loop, midi, tmp_path, capsys):
    said = _run(capsys, command, midi, "--n", 4, "--lock", "kick,closed hat", "--out", tmp_path / "x")
    (arrays,) = said["files"]["npz"]
    bars = _bars(tmp_path / "x" / arrays)
    assert (bars[..., [0, 2]] == loop[..., [0, 2]]).all()
    assert (bars[1:] != loop).any((1, 2, 3)).all()
    assert said["n"] == 4
    assert said["changed_cells"] == (bars[1:] != loop).sum((1, 2, 3)).tolist()
    for name, these in zip(said["files"]["midi"], bars, strict=True):
        onsets = read_midi(tmp_path / "x" / name)
        assert onsets.bpm == pytest.approx(97, abs=1e-3)
        heard = quantise(onsets, GM12)
        assert (heard.bars == these[heard.index]).all()


def test_fill_makes_all_other_parts_anew_and_equal_bars_alike(loop, midi, tmp_path, capsys):
    options = ("--lock", "kick,snare", "--seed", 3, "--n")
    _run(capsys, "fill", midi, *options, 6, "--out", tmp_path / "six")
    bars = _bars(tmp_path / "six" / "filled.npz")
    assert (bars[1:, 0] == bars[1:, 1]).all()
    assert (bars[1:, 0] == bars[1:, 3]).all()  # kick and snare are those of the others
    assert len(np.unique(bars[1:, 0], axis=0)) >= 5  # two seeds may fill a bar alike
    assert (bars[1:] != loop)[..., 2:].any((1, 2, 3)).all()
    _run(capsys, "fill", midi, *options, 2, "--out", tmp_path / "two")
    assert (_bars(tmp_path / "two" / "filled.npz") == bars[:3]).all()
    _run(capsys, "fill", midi, *options, 2, "--temperature", ".7", "--role", "fill", "--out", tmp_path / "asked")
    asked = _bars(tmp_path / "asked" / "filled.npz")
    locked = lock_parts(GM12, 16, ["kick", "snare"])
    assert (asked[1:] == fill(load_gan().with_condition(role="fill"), loop, locked, [3, 4], 0.7)).all()
    assert (asked[1:] != bars[1:3]).any((1, 2, 3)).all()


def test_what_is_said_of_a_loop_that_was_filled_in(midi, tmp_path, capsys):
    assert rhythmgan.cli.main(["fill", str(midi), "--lock", "kick", "--n", "2", "--out", str(tmp_path / "f")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"2 loops in {tmp_path / 'f'}: loop.mid, filled-001.mid …, filled.npz, filled.png"
    changed = (_bars(tmp_path / "f" / "filled.npz")[1:] != _bars(tmp_path / "f" / "filled.npz")[0]).sum((1, 2, 3))
    assert second == f"cells that differ from the loop: {changed[0]} {changed[1]}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("vary", "--lock", "cymbal"), "no part of kit gm12 is called 'cymbal'; its parts: kick, snare,"),
        (("vary", "--lock", ""), "no part of kit gm12 is called ''"),
        (("fill", "--lock", "kick,,snare"), "no part of kit gm12 is called ''"),
        (
            ("fill", "--lock", "kick,snare,hat,tom,ride,crash,shaker,conga,bell"),
            "all parts are locked: none is left to fill in",
        ),
        (("fill", "--lock", "kick", "--temperature", "0"), "temperature"),
        (("fill", "--lock", "kick", "--n", "0"), "1 to 4096 loops"),
    ],
)
def test_locks_and_options_that_do_not_fit_are_refused_in_one_line(arguments, says, midi, tmp_path, capsys):
    command, *options = arguments
    assert rhythmgan.cli.main([command, str(midi), *options, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_fill_without_locks_is_refused(midi, capsys):
    with pytest.raises(SystemExit, match="2"):
        rhythmgan.cli.main(["fill", str(midi)])
    assert "--lock" in capsys.readouterr().err
