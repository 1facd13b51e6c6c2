"""The sounds of the kits: levels, pitches, decays, places, and how they differ."""

import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from rhythmgan.kit import GM9, GM12, KITS, RYTHMGAN7, Kit, Part
from rhythmgan.performance import Performance
from rhythmgan.sound import render
from rhythmgan.synth import _VOICES, RATE, SOUNDS, lo_fi, one_shots
from rhythmgan.synth.waves import GRID, finished, on_grid, unrounded

every_kit = pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
every_sounds = pytest.mark.parametrize("sounds", SOUNDS)
every_part = pytest.mark.parametrize(("kit", "part"), [(kit, part) for kit in KITS.values() for part in kit.names])


def _shot(kit, part, sounds="acoustic"):
    """A part's one-shot, as doubles."""
    return one_shots(kit, sounds)[kit.names.index(part)].astype(float)


def _spectrum(mono):
    """Frequencies in Hz, and the power of each."""
    return np.fft.rfftfreq(len(mono), 1 / RATE), np.abs(np.fft.rfft(mono)) ** 2


def _centroid(shot):
    hz, power = _spectrum(shot.mean(1))
    return (hz * power).sum() / power.sum()


def _t60(shot):
    """Seconds to lose 60 dB, from where 5 and 25 dB of the energy that is left are lost (ISO 3382)."""
    left = np.cumsum((shot**2).sum(1)[::-1])[::-1]
    left = left / left[0]
    return 3 * (np.argmax(left < 10**-2.5) - np.argmax(left < 10**-0.5)) / RATE


def _loudness(shot, seconds=0.05):
    """The loudest 50 ms in dB, weighted as the ear does (curve A of IEC 61672, +2 dB at 1 kHz included)."""
    hz = np.fft.rfftfreq(len(shot), 1 / RATE)[:, None]
    f2 = hz**2
    gain = 12194**2 * f2**2 / ((f2 + 20.6**2) * np.sqrt((f2 + 107.7**2) * (f2 + 737.9**2)) * (f2 + 12194**2))
    heard = np.fft.irfft(np.fft.rfft(shot, axis=0) * gain * 10**0.1, len(shot), axis=0)
    n = round(seconds * RATE)
    return 10 * np.log10(max((heard[i : i + n] ** 2).mean() for i in range(0, len(heard) - n, n // 4)))


@every_sounds
@every_kit
def test_a_sound_for_every_part(kit, sounds):
    shots = one_shots(kit, sounds)
    assert len(shots) == kit.n_parts
    assert one_shots(kit, sounds) is shots
    for shot in shots:
        assert shot.dtype == np.float32
        assert shot.ndim == 2
        assert shot.shape[1] == 2
        assert np.isfinite(shot).all()
        assert not shot.flags.writeable
        assert 0.12 < np.abs(shot).max() < 0.7
        assert abs(shot.mean()) < 2e-3
    assert sum(map(len, one_shots(GM9, sounds))) <= 6 * RATE
    assert sum(map(len, one_shots(GM12, sounds))) <= 7 * RATE


@every_sounds
@every_part
def test_every_sound_begins_at_once_and_ends_on_zero(kit, part, sounds):
    shot = _shot(kit, part, sounds)
    peak = np.abs(shot).max()
    assert np.abs(shot[: RATE // 500]).max() > 0.3 * peak  # within 2 ms
    assert np.abs(shot[0]).max() < 0.05 * peak
    assert (shot[-1] == 0).all()
    assert np.abs(shot[-10:]).max() < 1e-4 * peak
    # no click on the way out: the last tenth is quieter than what is before it, sample for sample
    tail = np.abs(np.diff(shot[-len(shot) // 10 :], axis=0)).max()
    assert tail < 0.02 * np.abs(np.diff(shot, axis=0)).max()


@pytest.mark.parametrize(
    ("part", "hz", "t60"),
    [
        ("kick", (48, 62), (0.3, 0.6)),
        ("snare", (170, 230), (0.15, 0.4)),
        ("low tom", (75, 105), (0.4, 0.9)),
        ("mid tom", (100, 135), (0.4, 0.9)),
        ("high tom", (140, 185), (0.4, 0.9)),
        ("conga", (215, 245), (0.3, 0.7)),
    ],
)
def test_drums_are_tuned(part, hz, t60):
    shot = _shot(GM12, part)
    found, power = _spectrum(shot.mean(1))
    assert hz[0] < found[power.argmax()] < hz[1]
    assert t60[0] < _t60(shot) < t60[1]


@pytest.mark.parametrize(
    ("kit", "part", "centroid", "t60"),
    [
        (GM9, "closed hat", (7000, 11500), (0.06, 0.2)),
        (GM9, "open hat", (7000, 11500), (0.5, 1.0)),
        (GM9, "ride", (3000, 8000), (1.0, 3.0)),
        (GM9, "crash", (4000, 9000), (1.2, 3.0)),
        (RYTHMGAN7, "percussion", (6000, 11000), (0.1, 0.4)),
        (GM12, "shaker", (5000, 9000), (0.05, 0.2)),
        (GM12, "bell", (900, 2500), (0.3, 0.8)),
    ],
)
def test_cymbals_are_bright_and_ring(kit, part, centroid, t60):
    shot = _shot(kit, part)
    assert centroid[0] < _centroid(shot) < centroid[1]
    assert t60[0] < _t60(shot) < t60[1]
    hz, power = _spectrum(shot.mean(1))
    assert power[hz < 200].sum() < 1e-3 * power.sum()


def test_the_snare_is_a_drum_and_noise():
    hz, power = _spectrum(_shot(GM9, "snare").mean(1))
    shares = [power[(hz >= low) & (hz < high)].sum() / power.sum() for low, high in ((150, 400), (1500, 9000))]
    assert min(shares) > 0.15


def test_the_kicks_pitch_falls():
    kick = _shot(GM9, "kick").mean(1)
    up = np.flatnonzero((kick[:-1] < 0) & (kick[1:] >= 0))
    periods = np.diff(up[up < 0.2 * RATE]) / RATE
    assert periods[0] < 0.6 * periods[-1]
    assert 45 < 1 / periods[-1] < 60


def test_the_shaker_swells():
    """Its beads arrive together a little after they set off; everything else is loudest when it is struck."""
    heard = (_shot(GM12, "shaker") ** 2).sum(1)
    slices = [heard[i : i + RATE // 200].sum() for i in range(0, RATE // 20, RATE // 200)]  # of 5 ms
    assert 2 <= int(np.argmax(slices)) <= 5
    assert slices[0] < 0.5 * max(slices)


def test_the_conga_has_a_second_mode_that_dies_sooner():
    conga = _shot(GM12, "conga").mean(1)

    def share(part):
        """Of the power between 300 and 450 Hz in that of both modes."""
        hz, power = _spectrum(part * np.hanning(len(part)))
        return power[(hz > 300) & (hz < 450)].sum() / power[(hz > 150) & (hz < 450)].sum()

    n = round(0.1 * RATE)
    assert share(conga[:n]) > 0.02
    assert share(conga[n : 2 * n]) < share(conga[:n]) / 4


def test_the_bell_is_two_squares_that_do_not_agree():
    """The odd harmonics of 540 and of 800 Hz hold what there is of it below the noise of the stick."""
    hz, power = _spectrum(_shot(GM12, "bell").mean(1))
    near = np.zeros(len(hz), bool)
    for tone in (540, 800):
        for harmonic in (1, 3, 5):
            near |= np.abs(hz - harmonic * tone) < 45
    below = (hz > 300) & (hz < 4500)
    assert power[below & near].sum() > 0.9 * power[below].sum()
    peaks = [power[np.abs(hz - tone) < 25].max() for tone in (540, 800)]
    assert 0.1 < peaks[0] / peaks[1] < 10


def test_kick_and_snare_stand_in_front():
    level = {name: _loudness(_shot(GM12, name)) for name in GM12.names}
    assert max(level, key=level.get) == "snare"
    assert level["kick"] > level["closed hat"] + 4  # though the ear hardly hears 50 Hz
    for name in ("closed hat", "open hat", "ride", "shaker", "bell"):
        assert level["snare"] - 15 < level[name] < level["snare"] - 5
    assert level["snare"] - 6 < level["crash"] < level["snare"]
    toms = [level[name] for name in GM12.names if "tom" in name or name == "conga"]
    assert max(toms) - min(toms) < 8


@every_sounds
@every_kit
def test_every_part_sounds_different(kit, sounds):
    """By the power in thirds of an octave: the nearest two parts still differ by some dB in the median band."""
    edges = 40 * 2 ** (np.arange(28) / 3)
    profiles = []
    for shot in one_shots(kit, sounds):
        hz, power = _spectrum(shot.mean(1, dtype=float))
        bands = np.array([power[(hz >= low) & (hz < high)].sum() for low, high in itertools.pairwise(edges)])
        profiles.append(np.append(10 * np.log10(bands / bands.sum() + 1e-9), 40 * np.log10(_t60(shot) + 1e-3)))
    for a, b in itertools.combinations(profiles, 2):
        assert np.sqrt(((a - b) ** 2).mean()) > 3


def test_the_kit_stands_in_the_room():
    side = {}
    for name in GM12.names:
        left, right = (_shot(GM12, name) ** 2).sum(0)
        side[name] = 10 * np.log10(right / left)
        assert not np.array_equal(*_shot(GM12, name).T)  # stereo, even in the middle
    assert abs(side["kick"]) < 1
    assert abs(side["snare"]) < 2
    assert min(side["closed hat"], side["open hat"], side["crash"], side["high tom"]) > 2
    assert max(side["ride"], side["low tom"], side["shaker"]) < -2  # the shaker opposite the hats
    assert side["conga"] > 2
    assert side["low tom"] < side["mid tom"] < side["high tom"]
    assert side["closed hat"] == pytest.approx(side["open hat"], abs=0.5)  # one pair of cymbals


def test_the_same_in_every_process():
    code = (
        "import hashlib; from rhythmgan.kit import KITS; from rhythmgan.synth import SOUNDS, one_shots\n"
        "print(*(hashlib.sha256(shot.tobytes()).hexdigest()"
        " for sounds in SOUNDS for kit in KITS.values() for shot in one_shots(kit, sounds)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    here = [
        hashlib.sha256(shot.tobytes()).hexdigest()
        for sounds in SOUNDS
        for kit in KITS.values()
        for shot in one_shots(kit, sounds)
    ]
    assert done.stdout.split() == here


def test_a_pitch_that_has_no_sound_is_named():
    kit = Kit("bells", (GM9.parts[0], Part("bell tree", 84, (84,), "bell ?tree", "high")))
    with pytest.raises(ValueError, match="no sound for bell tree of kit bells"):
        one_shots(kit)
    with pytest.raises(ValueError, match="bell tree"):
        render(Performance.of(np.ones((16, 2), bool), kit))


def test_sounds_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="the sounds are acoustic, 808, lo-fi; there are no sounds '909'"):
        one_shots(GM12, "909")


@pytest.mark.parametrize("sounds", SOUNDS[1:])
def test_a_mix_keeps_its_balance_in_other_sounds(sounds):
    """Each part is about as loud to the ear as that of the acoustic kit; of an 808 the kick lies too low to tell."""
    for name in GM12.names:
        other, acoustic = _loudness(_shot(GM12, name, sounds)), _loudness(_shot(GM12, name))
        assert abs(other - acoustic) < 2, name


@pytest.mark.parametrize("kit", [GM12, RYTHMGAN7], ids=lambda kit: kit.name)
def test_every_part_differs_from_kit_to_kit(kit):
    for name in kit.names:
        a, b, c = (_shot(kit, name, sounds) for sounds in SOUNDS)
        for one, other in ((a, b), (a, c), (b, c)):
            n = min(len(one), len(other))
            likeness = (one[:n] * other[:n]).sum() / np.sqrt((one[:n] ** 2).sum() * (other[:n] ** 2).sum())
            assert abs(likeness) < 0.75, name


def test_the_808_booms_and_its_metal_is_short():
    kick = _shot(GM12, "kick", "808")
    hz, power = _spectrum(kick.mean(1))
    assert 46 < hz[power.argmax()] < 54
    assert _t60(kick) > 2 * _t60(_shot(GM12, "kick"))
    assert power[hz > 300].sum() < 0.01 * power.sum()
    assert _t60(_shot(GM12, "closed hat", "808")) < 0.1
    assert 0.3 < _t60(_shot(GM12, "open hat", "808")) < 0.7
    hz, power = _spectrum(_shot(GM12, "bell", "808").mean(1))
    strongest = hz[np.argsort(power)[-8:]]
    assert ((abs(strongest - 572) < 30) | (abs(strongest - 848) < 30)).all()


def test_lo_fi_is_darker_than_the_acoustic_kit():
    for name in GM12.names:
        if name != "kick" and "tom" not in name:
            assert _centroid(_shot(GM12, name, "lo-fi")) < 0.95 * _centroid(_shot(GM12, name)), name


# -- on every processor ---------------------------------------------------------------------------


_MARGIN = 1e-12
"""How near to where rounding turns a sample may lie: processors differ by 4e-14."""


@pytest.mark.parametrize("sounds", SOUNDS)
def test_no_sample_lies_where_another_processor_would_round_it_otherwise(sounds):
    for pitch, voice in _VOICES[sounds].items():
        steps = unrounded(voice) / GRID
        assert np.abs(steps % 1 - 0.5).min() * GRID > _MARGIN, pitch
        np.testing.assert_array_equal(finished(voice), np.rint(steps) * GRID)


def test_no_step_of_the_early_sampler_lies_there_either(monkeypatch):
    real, found = np.rint, []

    def rint(values):
        found.append(np.abs(values % 1 - 0.5).min() / 128)
        return real(values)

    monkeypatch.setattr(np, "rint", rint)
    for voice in lo_fi.VOICES.values():
        unrounded(voice)
    assert len(found) == len(lo_fi.VOICES)
    assert min(found) > _MARGIN


def test_finished_sounds_have_one_zero():
    values = np.array([-1e-9, -0.0, 0.0, 1e-9, -GRID, 0.6 * GRID])
    rounded = on_grid(values)
    assert not np.signbit(rounded[:4]).any()
    assert (rounded / GRID).tolist() == [0, 0, 0, 0, -1, 1]


_DIGEST = """
import hashlib
import numpy as np
from rhythmgan.kit import GM12
from rhythmgan.performance import Performance, Playback
from rhythmgan.sound import render, stems, velocity_to_gain, wav_bytes
from rhythmgan.synth import SOUNDS, one_shots

found = hashlib.sha256(velocity_to_gain(np.arange(1, 128)).tobytes())
random = np.random.default_rng(0)
for sounds in SOUNDS:
    for shot in one_shots(GM12, sounds):
        found.update(shot.tobytes())
    for density, bpm in ((0.1, 100), (0.4, 137.3), (1.0, 300)):
        bars = random.random((6, 16, 12)) < density
        velocities = np.where(bars, random.integers(1, 128, bars.shape), 0).astype(np.uint8)
        offsets = np.where(bars, random.uniform(-0.4, 0.4, bars.shape), 0).astype(np.float32)
        loop = Performance(bars, velocities, offsets, GM12)
        mix = render(loop, Playback(bpm), sounds=sounds, levels=random.uniform(0, 1.5, 12))
        found.update(mix.tobytes() + wav_bytes(mix))
        for sound in stems(loop, Playback(bpm), sounds=sounds).values():
            found.update(sound.tobytes())
print(found.hexdigest())
"""


def test_sounds_are_the_same_bytes_without_what_this_processor_can_do():
    can = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not can:
        pytest.skip("NumPy uses nothing here that another processor of this kind lacks")
    digests = {}
    for left_out in ([], can, can[-1:]):
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(left_out)},
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        digests[" ".join(left_out)] = done.stdout
    assert len(set(digests.values())) == 1, digests
