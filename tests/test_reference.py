"""Percentiles there and back, and the file that holds them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

from rhythmgan.bars import bars_to_words
from rhythmgan.data import Corpus
from rhythmgan.features import FEATURES, measure
from rhythmgan.kit import GM9, GM12, JAKI5
from rhythmgan.models.gan import GAN, GANConfig, save_gan
from rhythmgan.models.weights import bundled
from rhythmgan.reference import (
    Reference,
    load_reference,
    load_reference_for,
    references_of,
    save_reference,
    saved_references,
)


def _of_density(onsets, steps=16):
    """Bars with these many onsets each, filled from the first step on."""
    cells = np.arange(steps * 9) < np.array(onsets)[:, None]
    return cells.reshape(-1, steps, 9)


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(0)
    return rng.random((400, 16, 9)) < rng.random((400, 1, 1)) * 0.4


@pytest.fixture(scope="module")
def reference(bars):
    return Reference.of(bars, GM9)


# -- percentiles ---------------------------------------------------------------------------------


def test_percentiles_by_hand():
    """1001 bars are as many as the grid has quantiles: mid-ranks are exact."""
    onsets = [3] * 500 + [4] * 1 + [10] * 300 + [144] * 200
    known = Reference.of(_of_density(np.random.default_rng(0).permutation(onsets)), GM9)
    expected = {0: 0, 2: 0, 3: 250, 3.5: 500, 4: 500.5, 5: 501, 10: 651, 11: 801, 143: 801, 144: 901, 145: 1001}
    for value, bars_below in expected.items():
        assert known.percentile("density", value) == pytest.approx(100 * bars_below / 1001)
    found = known.percentile("density", list(expected))
    np.testing.assert_allclose(found, [100 * below / 1001 for below in expected.values()])
    assert known.value("density", [0, 25, 49.9, 50, 50.1, 80, 80.1, 100]).tolist() == [3, 3, 3, 4, 10, 10, 144, 144]
    assert known.value("density", 100) == 144


@pytest.mark.parametrize("n", [1, 2, 7, 10, 400, 5000])
def test_percentiles_are_mid_ranks_within_a_tenth_of_a_percent(n):
    onsets = np.random.default_rng(n).integers(0, 30, n)
    known = Reference.of(_of_density(onsets), GM9)
    for value in np.arange(-1, 31):
        exact = 100 * ((onsets < value).mean() + (onsets == value).mean() / 2)
        assert known.percentile("density", value) == pytest.approx(exact, abs=0.11)


def test_every_feature_goes_there_and_back(bars, reference):
    for name, values in measure(bars, GM9).items():
        values = values.double().numpy()
        percentiles = reference.percentile(name, values)
        assert ((percentiles > 0) & (percentiles < 100)).all()
        np.testing.assert_array_equal(reference.value(name, percentiles), values.astype(np.float32), name)
        order = np.argsort(values, kind="stable")
        assert (np.diff(percentiles[order]) >= 0).all()
        # half of the bars lie below the median, and so on: ties count half
        assert percentiles.mean() == pytest.approx(50, abs=0.2)


def test_the_ends(bars, reference):
    for name, values in measure(bars, GM9).items():
        low, high = values.min().item(), values.max().item()
        assert reference.value(name, 0) == np.float32(low)
        assert reference.value(name, 100) == np.float32(high)
        assert reference.percentile(name, low - 1) == 0
        assert reference.percentile(name, high + 1) == 100


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20), st.sampled_from(sorted(FEATURES)))
def test_values_rise_with_percentiles(percentiles, name):
    known = _small_reference()
    values = known.value(name, sorted(percentiles))
    assert values.dtype == np.float32
    assert (np.diff(values) >= 0).all()
    back = known.percentile(name, values)
    assert (np.diff(back) >= 0).all()
    for percentile, value in zip(sorted(percentiles), values, strict=True):
        # what lies strictly below is at most the percentile, what lies below or there at least
        below = known.percentile(name, np.nextafter(value, np.float32(-np.inf)))
        above = known.percentile(name, np.nextafter(value, np.float32(np.inf)))
        assert below - 0.11 <= percentile <= above + 0.11


_SMALL: list[Reference] = []


def _small_reference():
    if not _SMALL:
        _SMALL.append(Reference.of(np.random.default_rng(1).random((50, 16, 9)) < 0.2, GM9))
    return _SMALL[0]


def test_what_is_taken(reference):
    """Numbers, lists, arrays of any shape, tensors; the shape stays."""
    assert np.shape(reference.percentile("density", 3)) == ()
    grid = np.arange(6).reshape(2, 3)
    assert reference.percentile("density", grid).shape == (2, 3)
    assert reference.value("density", grid * 20).shape == (2, 3)
    np.testing.assert_array_equal(
        reference.percentile("density", torch.from_numpy(grid)), reference.percentile("density", grid)
    )
    assert reference.value("density", []).shape == (0,)


@pytest.mark.parametrize("percentile", [-0.1, 100.1, float("nan"), float("inf"), [50, 101]])
def test_percentiles_out_of_range(reference, percentile):
    with pytest.raises(ValueError, match="0 … 100"):
        reference.value("density", percentile)


def test_unknown_features_are_named(reference):
    for call in (reference.value, reference.percentile):
        with pytest.raises(ValueError, match=r"no feature is called 'groove'; there are density, "):
            call("groove", 50)


# -- what is measured ----------------------------------------------------------------------------


def test_means_and_deviations(bars, reference):
    assert list(reference.quantiles) == list(reference.means) == list(reference.deviations) == list(FEATURES)
    assert (reference.n_bars, reference.steps, reference.kit) == (400, 16, GM9)
    density = bars.sum((1, 2))
    assert reference.means["density"] == pytest.approx(density.mean())
    assert reference.deviations["density"] in (pytest.approx(density.std()), pytest.approx(density.std(ddof=1)))
    for grid in reference.quantiles.values():
        assert grid.shape == (1001,)
        assert grid.dtype == np.float32
    # quantiles are values that bars have, never between them
    assert set(reference.quantiles["density"].tolist()) <= set(density.tolist())


def test_one_bar_is_a_reference():
    known = Reference.of(_of_density([5]), GM9)
    assert known.percentile("density", [4, 5, 6]).tolist() == [0, 50, 100]
    assert set(known.value("density", [0, 50, 100]).tolist()) == {5}
    assert all(np.isfinite(value) for value in [*known.means.values(), *known.deviations.values()])


@pytest.mark.parametrize("steps", [12, 24, 32, 48])
def test_grids_have_the_features_that_they_have(steps):
    bars = np.random.default_rng(steps).random((40, steps, 5)) < 0.2
    known = Reference.of(bars, JAKI5)
    for name in FEATURES:
        try:
            measure(bars, JAKI5, [name])
        except ValueError:
            assert name not in known.quantiles
            with pytest.raises(ValueError, match=f"{name} is not defined on {steps} steps"):
                known.percentile(name, 1)
            with pytest.raises(ValueError, match=f"{name} is not defined on {steps} steps"):
                known.value(name, 1)
        else:
            assert name in known.quantiles
    assert "density" in known.quantiles
    assert "syncopation" in known.quantiles
    assert ("Keith" in known.quantiles) == (steps == 32)


@pytest.mark.parametrize(
    ("shape", "kit", "message"),
    [
        ((0, 16, 9), GM9, "no bars"),
        ((3, 16, 9), JAKI5, r"expected bars \(n, steps, 5\) for kit jaki5"),
        ((3, 17, 9), GM9, "not 17"),
        ((16, 9), GM9, "expected bars"),
    ],
)
def test_bars_that_make_no_reference(shape, kit, message):
    with pytest.raises(ValueError, match=message):
        Reference.of(np.zeros(shape, bool), kit)


def test_a_table_for_people():
    table = Reference.of(_of_density([0] * 250 + [2] * 500 + [9] * 250), GM9).to_markdown().splitlines()
    assert table[0] == "| 1,000 bars | mean | sd | 5 % | 25 % | 50 % | 75 % | 95 % | zero |"
    assert len(table) == 2 + len(FEATURES)
    assert {line.count("|") for line in table} == {10}
    density = next(line for line in table if line.startswith("| density |"))
    cells = [cell.strip() for cell in density.split("|")[2:-1]]
    assert cells[0] == "3.25"
    assert cells[2] == "0"
    assert cells[4] == "2"
    assert cells[6:] == ["9", "25%"]


# -- weights, kinds and roles --------------------------------------------------------------------


def test_weights_by_hand():
    """Bars of 3, 5 and 9 onsets that count 1 : 6 : 3."""
    known = Reference.of(_of_density([9, 3, 5]), GM9, [3, 1, 6], kind="as_played", role="fill")
    assert known.value("density", [0, 10, 10.1, 50, 70, 70.1, 100]).tolist() == [3, 3, 5, 5, 5, 9, 9]
    assert known.means["density"] == pytest.approx((9 * 3 + 3 + 5 * 6) / 10)
    assert known.deviations["density"] == pytest.approx(np.std([9] * 3 + [3] + [5] * 6))
    assert known.percentile("density", [3, 4, 5, 7]) == pytest.approx([5, 10, 40, 70], abs=0.1)
    assert (known.kind, known.role, known.n_bars) == ("as_played", "fill", 3)


def test_weights_are_repetitions(bars):
    """A bar that counts n times as much is a bar that comes n times; one that counts nothing is none."""
    counts = np.random.default_rng(3).integers(0, 6, len(bars))
    weighted, repeated = Reference.of(bars, GM9, counts), Reference.of(np.repeat(bars, counts, 0), GM9)
    for name in FEATURES:
        # sums of floats depend a little on how many bars are measured at once
        np.testing.assert_allclose(weighted.quantiles[name], repeated.quantiles[name], rtol=1e-6)
        assert weighted.means[name] == pytest.approx(repeated.means[name], rel=1e-6)
        assert weighted.deviations[name] == pytest.approx(repeated.deviations[name], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("weights", [[1, 1], [1, 1, -1], [0, 0, 0], [1, 1, np.nan], [[1], [1], [1]]])
def test_weights_that_are_none(weights):
    with pytest.raises(ValueError, match="weights are 3 numbers that are not negative"):
        Reference.of(_of_density([1, 2, 3]), GM9, weights)


def test_unknown_kinds_and_roles(tmp_path, reference):
    with pytest.raises(ValueError, match=r"a reference is one of distinct, as_played; not 'played'"):
        Reference.of(_of_density([1]), GM9, kind="played")
    with pytest.raises(ValueError, match=r"a role is one of groove, variation, fill, any; not 'break'"):
        load_reference(role="break")


def _corpus(onsets, song, role, kit=GM9, steps=16):
    """A corpus of bars with these many onsets, of songs and roles, in one file."""
    n = len(onsets)
    words = bars_to_words(_of_density(onsets, steps)[..., : kit.n_parts])
    names = tuple(f"song {i}" for i in range(max(song) + 1))
    return Corpus.of(words, np.array(song), np.zeros(n, int), np.arange(n), names, ("groove/a.mid",), kit, role)


def test_references_of_a_corpus_by_hand():
    """Song 0 plays its groove of 10 onsets three times and a fill of 20; song 1 a groove of 4 and one of 6."""
    corpus = _corpus([10, 10, 20, 10, 4, 6], [0, 0, 0, 0, 1, 1], [0, 0, 2, 0, 0, 0])
    found = {(each.kind, each.role): each for each in references_of(corpus)}
    means = {key: (each.n_bars, each.means["density"]) for key, each in found.items()}
    assert means == {
        ("distinct", "any"): (4, pytest.approx((10 + 20 + 4 + 6) / 4)),
        ("as_played", "any"): (6, pytest.approx((12.5 + 5) / 2)),
        ("distinct", "groove"): (3, pytest.approx((10 + 4 + 6) / 3)),
        ("as_played", "groove"): (5, pytest.approx((10 + 5) / 2)),
        ("distinct", "fill"): (1, 20),
        ("as_played", "fill"): (1, 20),
    }  # nobody plays a variation
    assert found["as_played", "any"].value("density", [25, 50, 80, 90]).tolist() == [4, 6, 10, 20]
    assert found["distinct", "any"].value("density", [25, 50, 75, 90]).tolist() == [4, 6, 10, 20]
    assert references_of(corpus.only(np.zeros(0, int))) == []


# -- the file ------------------------------------------------------------------------------------


def _assert_same(found, expected):
    assert (found.kit, found.steps, found.n_bars) == (expected.kit, expected.steps, expected.n_bars)
    assert (found.kind, found.role) == (expected.kind, expected.role)
    assert (found.means, found.deviations) == (expected.means, expected.deviations)
    assert list(found.quantiles) == list(expected.quantiles)
    for name, grid in expected.quantiles.items():
        assert found.quantiles[name].dtype == np.float32
        np.testing.assert_array_equal(found.quantiles[name], grid)


@pytest.mark.parametrize(("steps", "kit"), [(16, GM9), (24, JAKI5)])
def test_a_file_reads_back(tmp_path, steps, kit):
    known = Reference.of(np.random.default_rng(0).random((90, steps, kit.n_parts)) < 0.2, kit)
    path = tmp_path / "reference.safetensors"
    save_reference(path, known)
    _assert_same(load_reference(path), known)
    _assert_same(load_reference(str(path)), known)
    assert [child.name for child in tmp_path.iterdir()] == ["reference.safetensors"]
    save_reference(path, load_reference(path))
    _assert_same(load_reference(path), known)


def test_a_file_holds_several(tmp_path):
    """By kind, role, grid and kit; the first is what is meant by default."""
    path = tmp_path / "reference.safetensors"
    corpora = [_corpus([10, 10, 20], [0, 0, 0], [0, 0, 2], kit, steps) for kit, steps in ((JAKI5, 24), (GM9, 16))]
    references = [each for corpus in corpora for each in references_of(corpus)]
    save_reference(path, *references)
    assert len(references) == 12
    for each in references:
        _assert_same(load_reference(path, each.kind, each.role, each.steps, each.kit), each)
    _assert_same(load_reference(path), references[0])
    assert saved_references(path) == {
        f"{kit}/{kind}/{role}/{steps}": n_bars
        for kit, steps in (("jaki5", 24), ("gm9", 16))
        for role, kinds in (("any", (2, 3)), ("groove", (1, 2)), ("fill", (1, 1)))
        for kind, n_bars in zip(("distinct", "as_played"), kinds, strict=True)
    }
    with pytest.raises(ValueError, match=r"no reference jaki5/distinct/variation/24; it holds jaki5/.* and 4 more"):
        load_reference(path, role="variation")
    with pytest.raises(ValueError, match="two references jaki5/distinct/any/24"):
        save_reference(path, references[0], references[0])
    with pytest.raises(ValueError, match="no reference to write"):
        save_reference(path)


def test_the_same_references_are_the_same_bytes(tmp_path, reference):
    for name in ("a", "b"):
        save_reference(tmp_path / name, reference)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def _refusal(path):
    with pytest.raises(ValueError, match="not a reference of features") as refused:
        load_reference(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


KEY = "gm9/distinct/any/16"


def _rewritten(path, known, tensors=None, **changes):
    """A reference's file with metadata replaced, or left out where None; n_bars, means and deviations as JSON."""
    save_reference(path, known)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    facts = json.loads(metadata["references"])
    (key,) = facts
    for name in {"n_bars", "means", "deviations"} & set(changes):
        value = changes.pop(name)
        facts[key].pop(name)
        if value is not None:
            facts[key][name] = "REPLACED"
            metadata["references"] = json.dumps(facts).replace('"REPLACED"', value)
        else:
            metadata["references"] = json.dumps(facts)
    metadata |= changes
    if tensors is not None:
        content = {f"{key}/{name}": tensor for name, tensor in tensors.items()}
    path.write_bytes(save(content, {name: value for name, value in metadata.items() if value is not None}))
    return path


@pytest.mark.parametrize("name", ["format", "version", "kit", "steps", "references", "n_bars", "means", "deviations"])
def test_missing_metadata(tmp_path, reference, name):
    _refusal(_rewritten(tmp_path / "r.safetensors", reference, **{name: None}))


def test_a_file_of_version_1_says_how_to_make_it_anew(tmp_path, reference):
    message = _refusal(_rewritten(tmp_path / "r.safetensors", reference, version="1"))
    assert message.endswith("it is of version 1, this release reads version 2; `rhythmgan features` makes it anew")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"format": "rhythmgan.gan"}, id="format"),
        pytest.param({"version": "3"}, id="version"),
        pytest.param({"kit": "tr808"}, id="kit"),
        pytest.param({"steps": "many"}, id="steps"),
        pytest.param({"steps": "17"}, id="steps of no grid"),
        pytest.param({"n_bars": '"1.5"'}, id="bars"),
        pytest.param({"n_bars": "0"}, id="no bars"),
        pytest.param({"references": "{}"}, id="no references"),
        pytest.param({"references": "[]"}, id="a list of references"),
        pytest.param({"references": '{"gm9/16": {}}'}, id="a name with too few places"),
        pytest.param({"means": "{"}, id="no JSON"),
        pytest.param({"means": "[]"}, id="a list"),
        pytest.param({"means": "3"}, id="a number"),
        pytest.param({"means": "{}"}, id="no means"),
        pytest.param({"means": "[" * 100_000}, id="too deep"),
        pytest.param({"deviations": json.dumps(dict.fromkeys(FEATURES))}, id="null"),
        pytest.param({"deviations": json.dumps(dict.fromkeys(FEATURES, 10**400))}, id="beyond all floats"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path, reference, changes):
    _refusal(_rewritten(tmp_path / "r.safetensors", reference, **changes))


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([[3, 1000]], id="short"),
        pytest.param([[3, 500], [4, 502]], id="long"),
        pytest.param([[3, 500.5], [4, 500.5]], id="halves"),
        pytest.param([[3, 0], [4, 1001]], id="none of a value"),
        pytest.param([3, 1001], id="a row"),
        pytest.param([[3, 1001, 0]], id="three columns"),
        pytest.param([[4, 500], [3, 501]], id="falling"),
        pytest.param([[3, 500], [3, 501]], id="twice the same"),
        pytest.param([[np.nan, 1001]], id="not numbers"),
    ],
)
def test_quantiles_that_are_none(tmp_path, reference, pairs):
    tensors = {name: np.array([[3, 1001]], np.float32) for name in FEATURES}
    path = _rewritten(tmp_path / "r.safetensors", reference, tensors)
    assert load_reference(path).value("Witek", 50) == 3
    _refusal(_rewritten(path, reference, tensors | {"density": np.array(pairs, np.float32)}))
    _refusal(_rewritten(path, reference, {"density": tensors["density"]}))  # the others are missing
    _refusal(_rewritten(path, reference, tensors | {"density": tensors["density"].astype(np.float64)}))


def test_features_that_no_release_knows_are_none(tmp_path, reference):
    numbers = json.dumps({"groove": 1.0})
    tensors = {"groove": np.array([[3, 1001]], np.float32)}
    path = _rewritten(tmp_path / "r.safetensors", reference, tensors, means=numbers, deviations=numbers)
    assert "no feature that we know" in _refusal(path)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("gm9/d\x7fstinct/any/16", r"one of distinct, as_played; not 'd\\x7fstinct'"),
        ("gm9/distinct/solo/16", "not 'solo'"),
        ("gm9/distinct/16", "not enough values"),
    ],
)
def test_names_of_references_that_there_cannot_be(tmp_path, reference, key, says):
    """What else a file holds is listed, so it is checked too."""
    facts = {"n_bars": 1, "means": {}, "deviations": {}}
    path = _rewritten(tmp_path / "r.safetensors", reference, references=json.dumps({KEY: facts, key: facts}))
    with pytest.raises(ValueError, match=says) as refused:
        saved_references(path)
    assert str(refused.value).startswith(f"{path}: not a reference of features: ")


def test_foreign_files(tmp_path):
    for name, data in (("empty", b""), ("text", b"Dear diary"), ("zeros", bytes(5000)), ("ones", b"\xff" * 5000)):
        (tmp_path / name).write_bytes(data)
        _refusal(tmp_path / name)
    gan = GAN(GANConfig(width=4, discriminator_width=4))
    save_gan(tmp_path / "gan.safetensors", gan, {})
    assert "another format" in _refusal(tmp_path / "gan.safetensors")
    np.savez(tmp_path / "bars.npz", bars=np.zeros((3, 16, 9), bool))
    _refusal(tmp_path / "bars.npz")
    with pytest.raises(FileNotFoundError) as missing:
        load_reference(tmp_path / "nowhere")
    assert missing.value.filename in (tmp_path / "nowhere", str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match="directory"):
        load_reference(tmp_path)


class _Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.mkdir, (Path(self.path),)


def test_nothing_is_unpickled(tmp_path):
    mark = tmp_path / "ran"
    path = tmp_path / "r.safetensors"
    path.write_bytes(pickle.dumps(_Bomb(mark)))
    _refusal(path)
    torch.save({"density": _Bomb(mark)}, path)
    _refusal(path)
    assert not mark.exists()


def test_damage_is_reported_in_one_line_or_does_no_harm(tmp_path, reference):
    path = tmp_path / "r.safetensors"
    save_reference(path, reference)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        _refusal(path)
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(whole[:8], "little")
    n_refused = 0
    for trial in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(0, header if trial % 2 else len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        message = ""
        try:
            found = load_reference(path)
        except ValueError as error:
            message = str(error)
            n_refused += 1
        if message:
            assert "\n" not in message
            assert str(path) in message
            continue
        for name in found.quantiles:
            assert (np.diff(found.value(name, np.linspace(0, 100, 50))) >= 0).all()
    assert n_refused > 100


def test_the_bundled_reference():
    """What ships with the weights: every feature of the kit and grid that they were trained on."""
    known = load_reference()
    assert (known.kit, known.steps, list(known.quantiles)) == (GM12, 16, list(FEATURES))
    assert known.n_bars > 1000
    assert 10 < known.value("density", 50) < 25
    assert 40 < known.percentile("density", known.means["density"]) < 70


def test_bundled_grooves_are_sparser_and_straighter_than_fills():
    """As played as well: songs repeat grooves, and each of their fills is played once or twice."""
    for kind in ("distinct", "as_played"):
        groove, fill = (load_reference(None, kind, role) for role in ("groove", "fill"))
        assert groove.means["syncopation"] < fill.means["syncopation"]
    played, distinct = (load_reference(None, kind).means for kind in ("as_played", "distinct"))
    assert played["density"] < distinct["density"]
    assert played["syncopation"] < distinct["syncopation"]


# -- which weights it belongs to -----------------------------------------------------------------


@pytest.fixture
def weights(tmp_path):
    """A weights file of GM9 and 16 steps in a folder of its own."""
    path = tmp_path / "run" / "gan.safetensors"
    path.parent.mkdir()
    save_gan(path, GAN(GANConfig(kit="gm9", width=4, discriminator_width=4)), {})
    return path


def test_the_bundled_weights_have_the_bundled_reference():
    for weights in (None, bundled("gan.safetensors"), str(bundled("prior.safetensors"))):
        _assert_same(load_reference_for(weights), load_reference())


def test_weights_have_the_reference_beside_them(weights, reference):
    save_reference(weights.parent / "reference.safetensors", reference)
    save_reference(weights.parent.parent / "reference.safetensors", Reference.of(_of_density([1]), GM9))
    _assert_same(load_reference_for(weights), reference)
    _assert_same(load_reference_for(str(weights)), reference)


def test_weights_by_a_name_in_the_working_folder(weights, reference, monkeypatch):
    save_reference(weights.parent / "reference.safetensors", reference)
    monkeypatch.chdir(weights.parent)
    _assert_same(load_reference_for("gan.safetensors"), reference)


def test_weights_without_a_reference_say_how_to_make_one(weights, reference):
    """Nor is one that lies elsewhere taken, be it the bundled one."""
    save_reference(weights.parent.parent / "reference.safetensors", reference)
    with pytest.raises(ValueError, match="have no reference to take percentiles from") as refused:
        load_reference_for(weights)
    message = str(refused.value)
    assert message.startswith(f"{weights}: ")
    path = weights.parent / "reference.safetensors"
    command = f"rhythmgan features CORPUS --split train --kit gm9 --grid 16 --reference {path}"
    assert f"`{command}`" in message
    assert "\n" not in message


@pytest.mark.parametrize(("steps", "kit"), [(32, GM9), (16, JAKI5)], ids=["another grid", "another kit"])
def test_a_reference_of_other_bars_is_not_that_of_the_weights(weights, steps, kit):
    path = weights.parent / "reference.safetensors"
    save_reference(path, Reference.of(np.ones((3, steps, kit.n_parts), bool), kit))
    with pytest.raises(
        ValueError,
        match=f"holds no reference {KEY} for .*gan.safetensors; it holds {kit.name}/distinct/any/{steps}; `rhythmgan f",
    ):
        load_reference_for(weights)


def test_a_damaged_reference_is_named(weights):
    path = weights.parent / "reference.safetensors"
    path.write_bytes(b"no reference")
    with pytest.raises(ValueError, match="not a reference of features") as refused:
        load_reference_for(weights)
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize("config", [None, "{", "[]", "{}", '{"kit": "gm9"}', "[" * 100_000], ids=lambda c: str(c)[:9])
def test_files_that_hold_no_model_of_bars(weights, reference, config):
    save_reference(weights.parent / "reference.safetensors", reference)
    weights.write_bytes(save({"a": np.zeros(1)}, {} if config is None else {"config": config}))
    with pytest.raises(ValueError, match="holds no weights of a model of bars"):
        load_reference_for(weights)


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_reference_for(tmp_path / "gan.safetensors")
    (tmp_path / "text").write_text("Dear diary", encoding="utf-8")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_reference_for(tmp_path / "text")
