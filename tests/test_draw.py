"""Pictures of bars."""

import itertools

import numpy as np
import pytest
from PIL import Image

from rhythmgan.bars import GRIDS
from rhythmgan.draw import bars_to_image, histograms_to_image, hue, write_png
from rhythmgan.kit import GM9, GM12, JAKI5, KITS
from rhythmgan.performance import Performance

PAPER = (250, 249, 246)
CELL = 81  # pixels of a cell: nine by nine, and one between cells


def _cell_of(step, part, kit=GM9, steps=16):
    """(top, left, height, width) and the colours of what an onset changes in the picture of a silent bar."""
    bars = np.zeros((1, steps, kit.n_parts), bool)
    silent = bars_to_image(bars, kit)
    bars[0, step, part] = True
    drawn = bars_to_image(bars, kit)
    assert drawn.shape == silent.shape
    changed = (drawn != silent).any(2)
    y, x = np.nonzero(changed)
    box = (y.min(), x.min(), np.ptp(y) + 1, np.ptp(x) + 1)
    assert changed.sum() == CELL == box[2] * box[3]
    return box, {tuple(colour) for colour in drawn[changed].tolist()}


@pytest.mark.parametrize(
    ("step", "part", "colour"),
    [
        # 255 − (255 − hue) · accent / 127
        (0, 0, (30, 130, 187)),  # kick (0, 114, 178) at 112
        (4, 0, (54, 143, 194)),  # at 100
        (2, 0, (78, 157, 201)),  # at 88
        (1, 0, (102, 170, 208)),  # at 76
        (8, 1, (221, 128, 54)),  # snare (213, 94, 0)
        (8, 2, (54, 178, 144)),  # hats (0, 158, 115)
        (8, 3, (54, 178, 144)),
        (8, 4, (214, 149, 184)),  # toms (204, 121, 167)
        (8, 5, (214, 149, 184)),
        (8, 6, (214, 149, 184)),
        (8, 7, (148, 140, 85)),  # ride (120, 110, 40)
        (8, 8, (211, 164, 54)),  # crash (200, 140, 0)
    ],
)
def test_an_onset_has_its_parts_colour(step, part, colour):
    _, colours = _cell_of(step, part)
    assert len(colours) == 1
    (found,) = colours
    assert np.abs(np.subtract(found, colour)).max() <= 1


def test_a_performance_is_shaded_by_its_velocities():
    """A kick at 127 has its part's colour, one at 64 is about halfway to white, and timing is not seen."""
    bars = np.zeros((1, 16, 9), bool)
    silent = bars_to_image(bars)
    bars[0, [1, 4], 0] = True
    velocities = np.zeros((16, 9), int)
    velocities[1, 0], velocities[4, 0] = 127, 64
    drawn = bars_to_image(Performance.of(bars, GM9, velocities))
    changed = (drawn != silent).any(2)
    assert {tuple(colour) for colour in drawn[changed].tolist()} == {(0, 114, 178), (126, 183, 216)}
    late = Performance.of(bars, GM9, velocities, np.array(0.3))
    np.testing.assert_array_equal(bars_to_image(late), drawn)
    np.testing.assert_array_equal(bars_to_image(Performance.of(bars)), bars_to_image(bars))
    np.testing.assert_array_equal(bars_to_image(bars[0]), bars_to_image(bars))


def test_steps_go_right_and_parts_go_up():
    boxes = {(step, part): _cell_of(step, part)[0] for step in (0, 1, 15) for part in (0, 1, 8)}
    top, left, _, _ = boxes[0, 0]
    for (step, part), (y, x, height, width) in boxes.items():
        assert (x - left, top - y) == (step * 10, part * 10)
        assert (height, width) == (9, 9)


@pytest.mark.parametrize("steps", GRIDS)
def test_the_beats_are_marked_on_every_grid(steps):
    image = bars_to_image(np.zeros((1, steps, 5), bool), JAKI5)
    (top, left, _, _), _ = _cell_of(0, 0, JAKI5, steps)
    shades = [tuple(image[top, left + 10 * step].tolist()) for step in range(steps)]
    on_beat = {shade for step, shade in enumerate(shades) if step % (steps // 4) == 0}
    off_beat = {shade for step, shade in enumerate(shades) if step % (steps // 4)}
    assert len(on_beat) == len(off_beat) == 1
    assert len(on_beat | off_beat | {PAPER}) == 3


def test_every_family_of_parts_has_a_hue_of_its_own():
    families = {name: "tom" if "tom" in name else "hat" if "hat" in name else name for name in GM12.names}
    hues = {families[name]: hue(name) for name in GM12.names}
    assert all(hue(name) == hues[families[name]] for name in GM12.names)
    assert len(hues) == len(set(hues.values())) == 9
    # none is near another, nor near the grey of parts that have no family
    for one, other in itertools.combinations([*hues.values(), hue("something else")], 2):
        assert np.linalg.norm(np.subtract(one, other)) > 45


@pytest.mark.parametrize("kit", KITS.values(), ids=lambda kit: kit.name)
def test_every_cell_is_drawn_and_no_other(kit):
    bars = np.random.default_rng(kit.n_parts).random((3, 24, kit.n_parts)) < 0.3
    silent = bars_to_image(np.zeros_like(bars), kit, columns=2)
    drawn = bars_to_image(bars, kit, columns=2)
    assert (drawn != silent).any(2).sum() == bars.sum() * CELL
    assert (bars_to_image(bars, kit, columns=2) == drawn).all()


def test_sheets():
    one = bars_to_image(np.zeros((1, 16, 9), bool)).shape
    assert one[2] == 3
    grid_height, grid_width = 9 * 10 + 14, 16 * 10 + 14
    for n, columns, rows, wide in ((5, 2, 3, 2), (5, 5, 1, 5), (5, 9, 1, 5), (6, 1, 6, 1)):
        height, width, _ = bars_to_image(np.zeros((n, 16, 9), bool), columns=columns).shape
        assert (height - one[0], width - one[1]) == ((rows - 1) * grid_height, (wide - 1) * grid_width)
    # about as many as make a square
    height, width, _ = bars_to_image(np.zeros((36, 16, 9), bool)).shape
    assert 0.7 < height / width < 1.4


def test_bars_of_a_sheet_are_in_reading_order():
    bars = np.zeros((4, 16, 9), bool)
    silent = bars_to_image(bars, columns=2)
    corners = []
    for index in range(4):
        lit = bars.copy()
        lit[index, 0, 0] = True
        y, x = np.nonzero((bars_to_image(lit, columns=2) != silent).any(2))
        corners.append((y.min(), x.min()))
    (y, x), *others = corners
    assert others == [(y, x + 174), (y + 104, x), (y + 104, x + 174)]


def test_titles_and_names():
    bars = np.zeros((2, 16, 9), bool)
    plain = bars_to_image(bars, columns=2)
    titled = bars_to_image(bars, columns=2, titles=["seed 1", "seed 2"])
    other = bars_to_image(bars, columns=2, titles=["seed 1", "seed 3"])
    assert titled.shape[0] == plain.shape[0] + 14
    columns = np.nonzero((titled != other).any((0, 2)))[0]
    assert columns.min() > titled.shape[1] - 174
    # the parts are named in ink at the left, in rows of ten pixels
    (_, left, _, _), _ = _cell_of(0, 0)
    named = np.nonzero((plain[:, :left].min(2) < 150).any(1))[0]
    assert np.ptp(named) > 80
    assert (bars_to_image(bars[:, :, :5], JAKI5).shape[1] - 2 * 174) != left


@pytest.mark.parametrize("shape", [(9,), (0, 16, 9), (1, 16, 8), (1, 1, 16, 9)])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"expected .*\(n, steps, (9|parts)\)"):
        bars_to_image(np.zeros(shape, bool))
    with pytest.raises(ValueError, match="not 20"):
        bars_to_image(np.zeros((1, 20, 9), bool))


def test_a_png_reads_back(tmp_path):
    image = bars_to_image(np.random.default_rng(0).random((4, 16, 9)) < 0.4)
    assert image.dtype == np.uint8
    path = tmp_path / "bars.png"
    write_png(path, image)
    with Image.open(path) as read:
        assert read.format == "PNG"
        assert read.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(read), image)
    assert [child.name for child in tmp_path.iterdir()] == ["bars.png"]


# -- histograms ----------------------------------------------------------------------------------


def _features(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "density": rng.integers(0, 40, n).astype(float),
        "off-beat share": rng.random(n),
        "nPVI": rng.random(n) * 200,
    }


def _pairs(first, second):
    return {name: (first[name], second[name]) for name in first}


@pytest.mark.parametrize(("n", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 3), (6, 2, 3), (7, 3, 3)])
def test_histograms_stand_three_in_a_row(n, rows, columns):
    values = np.arange(10.0)
    image = histograms_to_image({f"feature {i}": (values, values + 1) for i in range(n)}, "real", "GAN")
    assert image.dtype == np.uint8
    assert image.shape == (260 * rows + 50, 400 * columns, 3)


def test_histograms_are_the_same_again():
    pairs = _pairs(_features(), _features(seed=1))
    image = histograms_to_image(pairs, "real", "GAN")
    np.testing.assert_array_equal(histograms_to_image(pairs, "real", "GAN"), image)
    image[:] = 0  # and the caller's own
    assert histograms_to_image(pairs, "real", "GAN").any()


def test_histograms_show_both_sets_and_what_they_are_called():
    first, second = _features(), _features(seed=1)
    image = histograms_to_image(_pairs(first, second), "real", "GAN")
    for pairs, names in (
        (_pairs(second, second), ("real", "GAN")),
        (_pairs(first, first), ("real", "GAN")),
        (_pairs(first, second), ("songs", "GAN")),
        (_pairs(first, second), ("real", "prior")),
    ):
        other = histograms_to_image(pairs, *names)
        assert other.shape != image.shape or (other != image).any()


def test_the_first_set_is_grey_and_the_second_in_colour():
    """Small values in the one, large ones in the other."""
    rng = np.random.default_rng(0)
    low, high = rng.random(200), 9 + rng.random(200)
    for pair, grey_is_left in (((low, high), True), ((high, low), False)):
        picture = histograms_to_image({"x": pair}, "real", "GAN")[70:, 60:].astype(int)  # below the names
        in_colour = np.ptp(picture, axis=2) > 100
        is_grey = (np.ptp(picture, axis=2) < 10) & (picture.mean(2) > 120) & (picture.mean(2) < 200)
        assert min(in_colour.sum(), is_grey.sum()) > 100
        assert (np.median(np.nonzero(is_grey)[1]) < np.median(np.nonzero(in_colour)[1])) == grey_is_left


def test_histograms_are_shares_of_a_set():
    """A set ten times as large with the same shares looks the same."""
    first, second = _features(), _features(seed=1)
    larger = {name: np.tile(values, 10) for name, values in second.items()}
    small, large = (histograms_to_image(_pairs(first, other), "real", "GAN") for other in (second, larger))
    assert (small != large).any(2).mean() < 0.001  # but for rounding


@pytest.mark.parametrize("value", [0.0, 3.0, 1 / 3, 1000.5])
def test_histograms_of_what_does_not_vary(value):
    same = np.full(20, value)
    for other in (same, same + 1, np.append(same, value + 100)):
        image = histograms_to_image({"constant": (same, other)}, "real", "GAN")
        assert (np.ptp(image.reshape(-1, 3).astype(int), axis=1) > 60).sum() > 10


@pytest.mark.parametrize("name", ["$#$.npz", "a_b.npz", "x" * 300, "out/{1}%.npz", "a $\\x$ b"])
def test_histograms_of_any_name(name):
    """A name is text, not mathematics."""
    values = np.arange(10.0)
    assert histograms_to_image({"density": (values, values)}, "real", name).shape[2] == 3


def test_histograms_name_files_that_begin_with_an_underscore():
    """Which matplotlib takes for a label that is not to be shown."""
    values = np.arange(10.0)
    short, long = (histograms_to_image({"density": (values, values)}, "real", name) for name in ("_a.npz", "_b c.npz"))
    assert (short != long).any()
