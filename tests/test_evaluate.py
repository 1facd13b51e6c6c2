"""The table tells apart what it must, and refuses what it cannot evaluate."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rhythmgan import evaluate as judge
from rhythmgan.bars import bars_to_words, fold_bars, words_to_bars, words_to_text
from rhythmgan.baselines import COUNTED, Memoriser
from rhythmgan.candidates import (
    Candidate,
    baseline,
    candidate,
    from_bars,
    from_corpus,
    from_sampler,
)
from rhythmgan.corpus_file import save_corpus
from rhythmgan.data import Corpus
from rhythmgan.evaluate import EvaluationConfig, evaluate, nll_per_step
from rhythmgan.kit import GM9, GM12, JAKI5, ROLAND10
from rhythmgan.load import load_bars
from rhythmgan.midi import write_midi, write_midi_files
from rhythmgan.models.gan import GAN, GANConfig, save_gan
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, save_prior
from rhythmgan.songs.preparation import read_songs

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = EvaluationConfig(n=150, n_unique=200, repeats=1)


def _words(seed, n_songs=12, bars_each=15, steps=16, kit=GM9):
    """Songs with a beat of their own, each bar a little different; every song's first bar comes again."""
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.02, 0.1, 0.8], (n_songs, 1, steps, kit.n_parts), p=[0.7, 0.2, 0.1])
    bars = rng.random((n_songs, bars_each, steps, kit.n_parts)) < rates
    bars[..., 0, 0] = True
    bars[:, -1] = bars[:, 0]
    n = n_songs * bars_each
    song = np.repeat(np.arange(n_songs, dtype=np.int32), bars_each)
    names = tuple(f"{seed}/{i}" for i in range(n_songs))
    words = bars_to_words(bars.reshape(n, steps, kit.n_parts))
    return Corpus.of(words, song, song, np.tile(np.arange(bars_each, dtype=np.int32), n_songs), names, names, kit)


def _rows(report, kind="distinct"):
    return report["references"][kind]["rows"]


def _bars_of(corpus):
    return words_to_bars(corpus.words, corpus.kit.n_parts)


@pytest.fixture(scope="module")
def held():
    return _words(1)


@pytest.fixture(scope="module")
def training():
    return _words(2)


# -- what it is for: real data ---------------------------------------------------------------------

REAL = EvaluationConfig(n=1000, n_unique=2000, repeats=1)


@pytest.fixture(scope="module")
def songs(shared, one_thread):
    corpus, _ = read_songs([shared / "groove", shared / "lpd"], GM9, 16, workers=1)
    return corpus.split("test"), corpus.split("train")


@pytest.fixture(scope="module")
def report(songs):
    held, training = songs
    known = np.unique(_bars_of(training.distinct()), axis=0)
    few = known[np.random.default_rng(0).permutation(len(known))[:100]]
    candidates = [baseline(name, training) for name in ("memoriser", "flipped", "shuffle", "independent")]
    return evaluate(held, training, [*candidates, from_sampler("collapsed", Memoriser(few))], REAL)


@pytest.fixture(scope="module")
def rows(report):
    return {row["name"]: row for row in _rows(report)}


@pytest.fixture(scope="module")
def rows_as_played(report):
    return {row["name"]: row for row in _rows(report, "as_played")}


REAL_ROW = "real, training songs"


def test_a_memoriser_is_caught_by_novelty_alone(rows):
    """Nothing else sees it: it is as real as real bars are. It shares its copies with the row of training songs."""
    memoriser, real = rows["memoriser"], rows[REAL_ROW]
    assert (memoriser["copies"], memoriser["nearest"]) == (1, 0)
    assert memoriser["c2st"] < 0.58
    assert memoriser["c2st"] < real["c2st"] + 0.08
    for name in ("precision", "recall", "coverage"):
        assert memoriser[name] > real[name] - 0.05
    # what novelty alone detects: real bars of songs that were not trained on
    others = rows["real, held-out songs"]
    assert 0 < others["copies"] < 0.2
    assert 4 <= others["nearest"] <= 8


def test_noise_is_caught_by_the_classifier(rows):
    noise, real = rows["independent cells"], rows[REAL_ROW]
    assert noise["c2st"] > 0.8
    assert noise["c2st"] > real["c2st"] + 0.25
    assert noise["coverage"] < real["coverage"] - 0.2
    assert noise["fd"] > 5 * real["fd"]
    # and by neither of these
    assert abs(noise["onsets"] - real["onsets"]) < 1
    assert abs(noise["pattern"] - real["pattern"]) < 0.02
    assert noise["unique"] > 0.99
    assert noise["copies"] < 0.01


def test_structure_is_what_tells_the_noise(rows):
    """Each step further from real bars costs: cells flipped a little, parts shuffled, cells on their own."""
    c2st = [rows[name]["c2st"] for name in (REAL_ROW, "parts from unrelated bars", "independent cells")]
    assert c2st[0] + 0.03 < c2st[1] < c2st[2] - 0.1
    names = (REAL_ROW, "1 % of cells flipped", "parts from unrelated bars", "independent cells")
    coverage = [rows[name]["coverage"] for name in names]
    assert coverage == sorted(coverage, reverse=True)
    nearest = [rows[name]["nearest"] for name in names]
    assert nearest == sorted(nearest)
    assert rows["1 % of cells flipped"]["nearest"] >= 1
    assert 0.1 < rows["1 % of cells flipped"]["copies"] < 0.4  # .99 ^ 144 is .24


def test_a_collapse_is_caught_by_coverage_and_unique_share(rows):
    """A hundred real bars, over and over: each of them is as real as can be."""
    collapsed, real = rows["collapsed"], rows[REAL_ROW]
    assert collapsed["precision"] > real["precision"] - 0.1
    assert collapsed["coverage"] < 0.5 * real["coverage"]
    assert collapsed["unique"] == 100 / 2000
    assert real["unique"] > 0.9
    assert rows["memoriser"]["unique"] > 0.8
    assert collapsed["overlap"] > real["overlap"] - 0.05  # which is why overlap is no judge


def test_bars_as_played_are_other_bars(rows, rows_as_played):
    """Songs repeat their grooves: sparser, more often the same, and more often known from other songs."""
    for name in ("real, held-out songs", REAL_ROW, "memoriser"):
        assert rows_as_played[name]["onsets"] < rows[name]["onsets"] - 0.5
        assert rows_as_played[name]["unique"] < rows[name]["unique"] - 0.1
    held, distinct = (each["real, held-out songs"] for each in (rows_as_played, rows))
    assert held["copies"] > distinct["copies"]
    # the protocol: real songs cannot be told from real songs, noise can, in either table
    assert rows_as_played[REAL_ROW]["c2st"] < 0.58
    assert rows_as_played["independent cells"]["c2st"] > rows_as_played[REAL_ROW]["c2st"] + 0.2
    # what is no song's is the same in both, and stands nearer to distinct bars, of which it was drawn
    collapsed = [each["collapsed"] for each in (rows, rows_as_played)]
    assert len({(row["onsets"], row["unique"], row["copies"], row["nearest"]) for row in collapsed}) == 1


def test_every_row_has_every_number_and_it_is_a_number(report, rows, rows_as_played):
    assert list(rows_as_played) == list(rows)
    assert list(rows) == [
        "real, held-out songs",
        REAL_ROW,
        "memoriser",
        "1 % of cells flipped",
        "parts from unrelated bars",
        "independent cells",
        "collapsed",
    ]
    keys = {key for key, _, _ in judge.COLUMNS + judge.SIGNS if key != "std"} | {
        "name",
        "bars",
        "unique_of",
    }  # one repeat only
    for name, row in [*list(rows.items())[1:], *list(rows_as_played.items())[1:]]:
        assert set(row) == keys, name
        assert (row["bars"], row["unique_of"]) == (1000, 2000)
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report
    for row in [*rows.values(), *rows_as_played.values()]:
        for key in ("c2st", "trees", "mlp", "precision", "recall", "coverage", "overlap", "copies", "unique", "empty"):
            assert 0 <= row.get(key, 0) <= 1, key
        assert min(row.get(key, 0) for key in ("fd", "divergence", "nearest", "density", "onsets")) >= 0


def test_the_counts_of_the_report(songs, report):
    held, training = (corpus.distinct() for corpus in songs)
    assert (report["kit"], report["steps"]) == ("gm9", 16)
    assert list(report["references"]) == ["distinct", "as_played"]
    for found in report["references"].values():
        assert found["bars"] == len(held)
    assert report["references"]["distinct"]["songs"] == len(set(held.song_id.tolist()))
    assert report["references"]["as_played"]["songs"] == len(set(held.song_id.tolist()))  # so many draws miss none
    assert report["training"] == {"bars": len(training), "songs": len(set(training.song_id.tolist()))}
    assert report["config"] == {"n": 1000, "n_unique": 2000, "repeats": 1, "seed": 0}


def test_the_real_table_as_markdown(report):
    parts = judge.to_markdown(report).split("## ")[1:]
    assert [part.splitlines()[0] for part in parts] == ["Beside distinct bars", "Beside bars as played"]
    for part, kind in zip(parts, ("distinct", "as_played"), strict=True):
        tables = [table.splitlines() for table in part.split("\n\n") if "|" in table]
        for lines, columns in zip(tables, (judge.COLUMNS, judge.SIGNS), strict=True):
            assert {line.count("|") for line in lines} == {len(columns) + 2}
            assert [line.split("|")[1].strip() for line in lines[2:]] == [row["name"] for row in _rows(report, kind)]
        assert "nan" not in part


def test_real_words_are_likelier_the_more_is_known(songs):
    held, training = songs
    nats = nll_per_step(held, training)
    assert nats["uniform"] == pytest.approx(np.log(512))
    assert nats["uniform"] > nats["unigram"] > nats["per-position unigram"] > 1
    assert nats["unigram"] > nats["order-1 Markov"] > 1


# -- reruns --------------------------------------------------------------------------------------


def test_a_rerun_gives_the_identical_report(held, training):
    def judged(*names, protocol=SMALL):
        return evaluate(held, training, [baseline(name, training) for name in names], protocol)

    first, second = judged("independent", "shuffle"), judged("independent", "shuffle")
    assert json.dumps(first) == json.dumps(second)
    # a row does not hang on those beside it
    alone, other = judged("shuffle"), judged("independent", "shuffle", protocol=replace(SMALL, seed=1))
    for kind in ("distinct", "as_played"):
        mine = _rows(first, kind)
        assert _rows(alone, kind) == [*mine[:2], mine[3]]
        assert all(one != another for one, another in zip(mine[1:], _rows(other, kind)[1:], strict=True))
    assert _rows(other)[0] == _rows(first)[0]  # counts of all held-out bars, nothing drawn


def test_a_song_does_not_count_more_for_being_longer(held, training):
    """Every bar of one song played forty times more, in either set: neither table changes."""
    choruses = [
        corpus.only(np.repeat(np.arange(len(corpus)), 1 + 39 * (corpus.song_id == 3))) for corpus in (held, training)
    ]
    assert len(choruses[0]) > 4 * len(held)
    ours = evaluate(held, training, [baseline("memoriser", training)], SMALL)
    assert evaluate(*choruses, [baseline("memoriser", choruses[1])], SMALL) == ours
    assert ours["references"]["distinct"]["bars"] == len(held.distinct()) == 12 * 14


def test_as_played_a_song_weighs_the_same_and_repeats_what_it_repeats():
    """Song 0 plays a kick on 1 99 times and once with a snare behind it; song 1 only a backbeat."""
    words = np.zeros((200, 16), np.uint16)
    words[:100, 0] = 1 << 8
    words[99, 5] = 1 << 7  # one other bar of a hundred
    words[100:, 4] = 1 << 7
    song = np.repeat([0, 1], 100)
    corpus = Corpus.of(words, song, song, np.arange(200), ("a", "b"), ("a", "b"), GM9)
    bars, found = from_corpus("x", corpus).draw_as_played(20_000, 0)
    assert abs((found == 0).mean() - 0.5) < 0.02
    assert abs(bars[:, 5, 1].mean() - 0.005) < 0.002  # one in a hundred bars of half of the songs
    distinct, found = from_corpus("x", corpus).draw(20_000, 0)
    assert np.sort(found).tolist() == [0, 0, 1]
    assert distinct[:, 5, 1].sum() == 1


def test_the_report_is_a_value_of_its_own(held, training):
    protocol = replace(SMALL)
    report = evaluate(held, training, [], protocol)
    report["config"]["n"] = 5
    assert protocol.n == 150


# -- rows ----------------------------------------------------------------------------------------


def test_rows_measure_the_candidates_bars(held, training):
    """By numbers that are known: a set with two distinct bars, one of them silent."""
    bars = np.zeros((150, 16, 9), bool)
    bars[:50, :, 2] = True
    row = _rows(evaluate(held, training, [from_bars("two", bars)], SMALL))[-1]
    assert row["name"] == "two"
    assert (row["bars"], row["unique_of"]) == (150, 150)
    assert row["unique"] == 2 / 150
    assert row["empty"] == pytest.approx(2 / 3)
    assert row["onsets"] == pytest.approx(16 / 3)
    assert row["parts"] == pytest.approx(1 / 3)
    assert row["pattern"] == pytest.approx(0.55)
    assert row["copies"] == 0
    assert row["c2st"] > 0.95


def test_signs_of_a_groove_beside_those_of_the_held_out_songs(training):
    """A third of the songs play a rock beat, three quarters of the candidate's bars do: 2.25 times as many."""
    beat = np.zeros((16, 9), bool)
    beat[0, 0] = beat[[4, 12], 1] = beat[::4, 2] = True
    rng = np.random.default_rng(0)
    bars = rng.random((180, 16, 9)) < 0.05
    bars[:, 0, 0] = False
    bars[::3] |= beat
    song = np.repeat(np.arange(12), 15)
    names = tuple(map(str, range(12)))
    held = Corpus.of(bars_to_words(bars), song, song, np.tile(np.arange(15), 12), names, names, GM9)
    assert len(held.distinct()) == 180
    made = np.zeros((160, 16, 9), bool)
    made[:120] = beat
    report = evaluate(held, training, [from_bars("x", made)], SMALL)
    first, *_, last = _rows(report)
    assert (first["kick_on_1"], first["groove"]) == (1 / 3, 1 / 3)
    assert "groove_of_real" not in first
    assert last["groove"] == pytest.approx(0.75, abs=0.02)  # of 150 of its bars
    assert last["groove_of_real"] == pytest.approx(3 * last["groove"])
    # where no song plays a groove there is nothing to be beside
    none = replace(held, distinct_words=held.distinct_words & np.uint16(0xFF))
    assert "groove_of_real" not in _rows(evaluate(none, training, [], SMALL))[-1]


def test_as_many_bars_are_judged_as_the_protocol_says(held, training):
    asked = []

    def draw(n, seed):
        asked.append((n, seed))
        return np.random.default_rng(seed).random((n, 16, 9)) < 0.1, None

    one = Candidate("noise", draw)
    row = _rows(evaluate(held, training, [one], EvaluationConfig(n=120, n_unique=300, repeats=1, seed=7)))[-1]
    assert (row["bars"], row["unique_of"]) == (120, 300)
    row = _rows(evaluate(held, training, [one], EvaluationConfig(n=160, n_unique=100, repeats=1, seed=8)))[-1]
    assert (row["bars"], row["unique_of"]) == (160, 100)
    assert asked == [(300, 7), (160, 8)]  # and both references judge the same bars


def test_progress(held, training):
    reported = []
    evaluate(
        held,
        training,
        [from_bars("a", _bars_of(held)), from_bars("b", _bars_of(training))],
        SMALL,
        progress=lambda *row: reported.append(row),
    )
    names = [REAL_ROW, REAL_ROW, "a", "a", "b", "b", ""]  # a row for each reference
    assert reported == [(done, 6, name) for done, name in enumerate(names)]


def test_kept_bars_are_drawn_without_replacement_with_their_songs(held):
    bars = _bars_of(held)
    marked = np.arange(len(bars))
    one = from_bars("x", bars, marked)
    found, song = one.draw(50, 3)
    assert len(np.unique(song)) == len(found) == 50
    np.testing.assert_array_equal(found, bars[song])
    found, song = one.draw(10_000, 4)
    np.testing.assert_array_equal(np.sort(song), marked)
    np.testing.assert_array_equal(one.draw(9, 5)[0], one.draw(9, 5)[0])
    assert (one.draw(9, 5)[1] != one.draw(9, 6)[1]).any()
    assert from_bars("x", bars).draw(5, 0)[1] is None


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")  # test_metrics says so once
def test_a_silent_generator_has_a_row_too(held, training, tmp_path):
    """Whatever a broken generator makes, the report is JSON and the table has a cell for each number."""
    report = evaluate(
        held, training, [from_sampler("silent", Memoriser(np.zeros((1, 16, 9), bool)))], SMALL, out=tmp_path
    )
    row = _rows(report)[-1]
    assert (row["empty"], row["onsets"], row["unique"]) == (1, 0, 1 / 200)
    assert [row[key] for key in ("kick_on_1", "backbeat", "cymbals", "groove", "toms", "syncopation")] == [0] * 6
    counts = {line.count("|") for line in judge.to_markdown(report).splitlines() if "|" in line}
    assert counts == {len(judge.COLUMNS) + 2, len(judge.SIGNS) + 2}
    json.dumps(report, allow_nan=False)


def test_a_collapse_to_one_bar_is_no_cause_for_a_warning(held, training):
    row = _rows(evaluate(held, training, [from_sampler("one bar", Memoriser(_bars_of(training)[:1]))], SMALL))[-1]
    assert row["fd"] > 1
    assert row["coverage"] < 0.2
    assert row["copies"] == 1


@pytest.mark.parametrize("steps", [12, 24, 32, 48])
def test_other_grids_and_kits(steps):
    held, training = _words(3, steps=steps, kit=JAKI5), _words(4, steps=steps, kit=JAKI5)
    report = evaluate(held, training, [baseline("shuffle", training)], SMALL)
    assert (report["kit"], report["steps"]) == ("jaki5", steps)
    assert _rows(report)[-1]["c2st"] >= 0.3
    json.dumps(report, allow_nan=False)


# -- refusals ------------------------------------------------------------------------------------


def test_too_few_bars_or_songs(held, training):
    with pytest.raises(ValueError, match="at least 100 bars of held-out songs are needed, there are 84"):
        evaluate(held.only(held.song_id < 6), training, [], SMALL)
    with pytest.raises(ValueError, match="at least 100 bars of training songs are needed, there are 84"):
        evaluate(held, training.only(training.song_id < 6), [], SMALL)
    with pytest.raises(ValueError, match="at least 100 bars of held-out songs are needed, there are 0"):
        evaluate(held.only(held.song_id < 0), training, [], SMALL)
    # a hundred times the same bar are one bar
    with pytest.raises(ValueError, match=r"there are 1$"):
        evaluate(held.only(np.zeros(500, int)), training, [], SMALL)
    one_song = replace(held, distinct_song=np.zeros_like(held.distinct_song))
    with pytest.raises(ValueError, match="two songs"):
        evaluate(one_song, training, [], SMALL)
    with pytest.raises(ValueError, match="two songs"):
        evaluate(held, replace(training, distinct_song=np.zeros_like(training.distinct_song)), [], SMALL)


def test_candidates_with_too_few_bars_to_judge(held, training):
    """Said in our own words, with what is missing, not in those of the classifiers."""
    with pytest.raises(ValueError, match="bars"):
        evaluate(held, training, [from_bars("five", _bars_of(held)[:5])], SMALL)


def test_unknown_baselines(training):
    with pytest.raises(ValueError, match=r"no baseline is called 'oracle'; there are memoriser, .*independent, prior$"):
        baseline("oracle", training)


def test_baselines_are_made_of_distinct_bars(training):
    """A bar that one song plays a thousand times is as likely as any other."""
    loud = training.only(np.append(np.arange(len(training)), np.zeros(1000, int)))
    bars, song = baseline("memoriser", loud).draw(2000, 0)
    assert song is None
    assert (bars == _bars_of(training)[0]).all((1, 2)).mean() < 0.05
    assert baseline("memoriser", loud).name == "memoriser"
    assert baseline("flipped", loud).name == "1 % of cells flipped"


# -- candidates ----------------------------------------------------------------------------------


def test_candidates_of_every_kind_of_file(tmp_path, held):
    bars = _bars_of(held.distinct())[:120]
    np.savez(tmp_path / "bars.npz", bars=bars)
    save_corpus(tmp_path / "words.npz", held)
    (tmp_path / "bars.txt").write_text(words_to_text(bars_to_words(bars), 9), encoding="utf-8")
    (tmp_path / "midi").mkdir()
    for i in range(0, 120, 30):
        write_midi(tmp_path / "midi" / f"{i}.mid", bars[i : i + 30])
    write_midi(tmp_path / "loop.mid", bars)
    gan = GAN(GANConfig(kit="gm9", width=8, discriminator_width=4))
    save_gan(tmp_path / "gan.safetensors", gan, {})
    prior = WordLSTM(WordLSTMConfig(kit="gm9", width=8, word_width=8))
    save_prior(tmp_path / "prior.safetensors", prior, {})

    def drawn(name, n=1000):
        one = candidate(str(tmp_path / name), GM9, 16)
        assert one.name == str(tmp_path / name)
        return one.draw(n, 3)

    whole = np.sort(bars.reshape(120, -1) @ np.arange(144) ** 2)
    for name in ("bars.npz", "midi", "loop.mid", "bars.txt"):
        found, _ = drawn(name)
        np.testing.assert_array_equal(np.sort(found.reshape(len(found), -1) @ np.arange(144) ** 2), whole)
    found, song = drawn("words.npz")
    assert len(found) == len(held.distinct())
    for index in np.unique(song):
        mine = {bar.tobytes() for bar in found[song == index]}
        assert mine == {bar.tobytes() for bar in _bars_of(held.only(held.song_id == index))}
    for name, model in (("gan.safetensors", gan.eval()), ("prior.safetensors", prior.eval())):
        found, song = drawn(name, 20)
        np.testing.assert_array_equal(found, model.sample(20, 3))
        assert song is None


@pytest.mark.parametrize("name", ["none", "none.npz", "none.txt", "none.mid", "none.safetensors"])
def test_missing_candidates(tmp_path, name):
    with pytest.raises(FileNotFoundError) as missing:
        candidate(str(tmp_path / name), GM9, 16)
    assert str(missing.value.filename) == str(tmp_path / name)


def _refusal(path, kit=GM9, steps=16):
    with pytest.raises(ValueError, match=r".") as refused:
        candidate(str(path), kit, steps)
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_candidates_without_bars(tmp_path):
    assert "no .mid, .midi, .kar, .rmi or .npz file" in _refusal(tmp_path)
    (tmp_path / "bars.txt").write_text("Dear diary", encoding="utf-8")
    _refusal(tmp_path / "bars.txt")
    (tmp_path / "gan.safetensors").write_bytes(b"Dear diary")
    _refusal(tmp_path / "gan.safetensors")
    (tmp_path / "broken.mid").write_bytes(b"Dear diary")
    with pytest.raises(ValueError, match="no bars in the file"):
        candidate(str(tmp_path / "broken.mid"), GM9, 16)


def test_candidates_with_too_few_bars(tmp_path):
    bars = np.random.default_rng(0).random((99, 16, 9)) < 0.2
    np.savez(tmp_path / "bars.npz", bars=bars)
    assert "at least 100 bars are needed to evaluate them, there are 99" in _refusal(tmp_path / "bars.npz")
    (tmp_path / "midi").mkdir()
    write_midi(tmp_path / "midi" / "loop.mid", bars[:4] | True)
    assert "there are 4" in _refusal(tmp_path / "midi")
    np.savez(tmp_path / "bars.npz", bars=np.concatenate([bars, bars[:1]]))
    assert len(candidate(str(tmp_path / "bars.npz"), GM9, 16).draw(500, 0)[0]) == 100


def test_candidates_of_another_kit_or_grid(tmp_path):
    gan = GAN(GANConfig(kit="jaki5", width=4, discriminator_width=4))
    save_gan(tmp_path / "gan.safetensors", gan, {})
    prior = WordLSTM(WordLSTMConfig(kit="gm9", steps=32, width=4, word_width=4))
    save_prior(tmp_path / "prior.safetensors", prior, {})
    assert "kit jaki5 and 16 steps, but kit gm9 and 16 steps are needed" in _refusal(tmp_path / "gan.safetensors")
    assert "32 steps" in _refusal(tmp_path / "prior.safetensors")
    assert candidate(str(tmp_path / "gan.safetensors"), JAKI5, 16).draw(3, 0)[0].shape == (3, 16, 5)
    for name, shape in (("five", (120, 16, 5)), ("long", (120, 32, 9)), ("odd", (120, 17, 9)), ("none", (0, 16, 9))):
        np.savez(tmp_path / f"{name}.npz", bars=np.ones(shape, bool))
        _refusal(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "soft.npz", bars=np.ones((120, 16, 9), np.float32))
    assert "float32" in _refusal(tmp_path / "soft.npz")
    save_corpus(tmp_path / "words.npz", _words(0, kit=JAKI5))
    _refusal(tmp_path / "words.npz")


def test_the_bundled_gan_is_a_candidate(tmp_path, monkeypatch):
    one = candidate("gan", GM9, 16)
    assert one.name == "GAN"
    assert one.draw(3, 0)[0].shape == (3, 16, 9)
    with pytest.raises(ValueError, match=r"the bundled gan makes bars of kit gm\d+ and 16 steps"):
        candidate("gan", JAKI5, 32)
    # a file of that name is meant where there is one
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gan").mkdir()
    write_midi(tmp_path / "gan" / "loop.mid", np.ones((100, 16, 9), bool))
    assert candidate("gan", GM9, 16).draw(3, 0)[0].all()


# -- bars of files, see songs.load_bars ----------------------------------------------------------


def test_nine_parts_of_another_kit_are_refused(tmp_path):
    bars = np.random.default_rng(0).random((200, 16, 9)) < 0.3
    np.savez(tmp_path / "ten.npz", bars=bars, kit="roland10")
    with pytest.raises(ValueError, match=r"ten\.npz: bars of kit roland10 cannot be folded into kit gm9"):
        candidate(str(tmp_path / "ten.npz"), GM9, 16)
    assert candidate(str(tmp_path / "ten.npz"), ROLAND10, 16).draw(100, 0)[0].shape == (100, 16, 9)


def test_load_bars_of_a_words_file(tmp_path, held):
    path = tmp_path / "words.npz"
    save_corpus(path, held)
    bars, _, kit = load_bars(path, JAKI5)
    assert kit is JAKI5
    np.testing.assert_array_equal(bars, _bars_of(held.folded(JAKI5).distinct()))
    with pytest.raises(ValueError, match=r"no bars of 32 steps; there are bars of 16"):
        load_bars(path, steps=32)
    bars, song, kit = load_bars(path)
    assert kit is GM9
    np.testing.assert_array_equal(bars, _bars_of(held.distinct()))
    np.testing.assert_array_equal(song, held.distinct().song_id)
    bars, song, _ = load_bars(str(path), distinct=False)
    np.testing.assert_array_equal(bars, _bars_of(held))
    np.testing.assert_array_equal(song, held.song_id)
    n_bars = 0
    for split in ("train", "valid", "test"):
        chosen = held.split(split)
        n_bars += len(chosen)
        if len(chosen):
            np.testing.assert_array_equal(load_bars(path, split=split, distinct=False)[0], _bars_of(chosen))
    assert n_bars == len(held)
    train = held.split("train")
    save_corpus(path, train)
    with pytest.raises(ValueError, match=rf"{path}: no song of it falls into the valid split"):
        load_bars(path, split="valid")


@pytest.mark.parametrize("kit", [GM9, JAKI5])
@pytest.mark.parametrize("steps", [12, 16, 48])
def test_load_bars_of_bars(tmp_path, kit, steps):
    """As `sample --format npz` writes them: all of them, copies and silence too."""
    path = tmp_path / "bars.npz"
    bars = np.random.default_rng(0).random((20, steps, kit.n_parts)) < 0.2
    bars[3], bars[4] = bars[2], False
    np.savez_compressed(path, bars=bars, seed=np.arange(20))
    found, song, its_kit = load_bars(path)
    np.testing.assert_array_equal(found, bars)
    assert found.dtype == bool
    assert (song, its_kit) == (None, kit)


def test_bars_of_loops_are_read_loop_by_loop(tmp_path):
    """As `rhythmgan vary` writes them."""
    loops = np.random.default_rng(0).random((3, 2, 16, 9)) < 0.3
    np.savez(tmp_path / "variations.npz", bars=loops)
    bars, song, kit = load_bars(tmp_path / "variations.npz")
    assert (bars == loops.reshape(6, 16, 9)).all()
    assert (song, kit) == (None, GM9)


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (np.zeros((4, 16, 9), np.uint8), r"uint8 \(4, 16, 9\)"),
        (np.zeros((4, 16, 8), bool), r"bool \(4, 16, 8\)"),
        (np.zeros((16, 9), bool), r"bool \(16, 9\)"),
        (np.zeros((0, 16, 9), bool), r"bool \(0, 16, 9\)"),
        (np.zeros((1, 1, 4, 16, 9), bool), r"\(1, 1, 4, 16, 9\)"),
        (np.zeros((4, 17, 9), bool), "17"),
        (np.bool_(True), r"\(\)"),
    ],
)
def test_load_bars_that_are_none(tmp_path, bars, message):
    path = tmp_path / "bars.npz"
    np.savez(path, bars=bars)
    with pytest.raises(ValueError, match=message) as refused:
        load_bars(path)
    assert str(path) in str(refused.value)


def test_load_bars_of_an_archive_with_neither(tmp_path):
    path = tmp_path / "x.npz"
    for members in ({}, {"z": np.zeros(3)}, {"bars": np.array([{}], object)}):
        np.savez(path, **members)
        with pytest.raises(ValueError, match=r"x\.npz|no bars in the file"):
            load_bars(path)


def test_load_bars_of_a_text(tmp_path):
    bars = np.random.default_rng(0).random((6, 16, 5)) < 0.3
    (tmp_path / "bars.txt").write_text("# one\n" + words_to_text(bars_to_words(bars), 5), encoding="utf-8")
    found, _, kit = load_bars(tmp_path / "bars.txt")
    np.testing.assert_array_equal(found, bars)
    assert kit is JAKI5


def test_load_bars_of_midi_and_lpd(tmp_path, save_lpd):
    bars = np.random.default_rng(0).random((7, 16, 9)) < 0.2
    bars[:, 0, 0] = True  # a bar without an onset is no bar of a song
    folder = tmp_path / "out"
    folder.mkdir()
    write_midi_files(folder, [f"{i}.mid" for i in range(7)], bars)
    found, _, kit = load_bars(folder)
    assert kit is GM12
    np.testing.assert_array_equal(found[..., :9], bars)
    assert not found[..., 9:].any()
    found, _, kit = load_bars(folder, GM9)
    assert kit is GM9
    np.testing.assert_array_equal(found, bars)
    found, _, kit = load_bars(folder / "3.mid", JAKI5, 32)
    assert kit is JAKI5
    assert found.shape == (1, 32, 5)
    np.testing.assert_array_equal(found[0, ::2, 0], bars[3, :, 0])
    assert not found[0, 1::2].any()
    path = save_lpd("song.npz", [(0, 36, 90), (24, 38, 90)])
    found, _, _ = load_bars(path)
    assert np.argwhere(found[0]).tolist() == [[0, 0], [4, 1]]


# -- likelihoods ---------------------------------------------------------------------------------


def test_likelihoods_without_a_prior(held, training):
    nats = nll_per_step(held, training)
    assert list(nats) == ["uniform", "unigram", "per-position unigram", "order-1 Markov"]
    assert nats["uniform"] == pytest.approx(np.log(512))
    repeated = held.only(np.repeat(np.arange(len(held)), 1 + 9 * (held.song_id == 2)))
    assert nll_per_step(repeated, training.only(np.repeat(np.arange(len(training)), 2))) == nats


def test_likelihoods_of_a_prior_and_the_bar_before(held, training):
    torch.manual_seed(0)
    prior = WordLSTM(WordLSTMConfig(kit="gm9", width=8, word_width=8)).eval()
    nats = nll_per_step(held, training, {"prior": prior})
    distinct = held.distinct()
    assert nats["prior"] == pytest.approx(-prior.log_prob(_bars_of(distinct)).mean().item() / 16, rel=1e-5)
    bars = _bars_of(held)
    seen, alone, given = set(), [], []
    for row in range(1, len(held)):
        pair = (held.song_id[row], bars[row - 1].tobytes(), bars[row].tobytes())
        if held.song_id[row] == held.song_id[row - 1] and pair not in seen:
            seen.add(pair)
            alone.append(prior.log_prob(bars[[row]]).item())
            given.append(prior.log_prob(bars[[row]], bars[row - 1]).item())
    assert nats["prior, of bars with one before them"] == pytest.approx(-np.mean(alone) / 16, rel=1e-5)
    assert nats["prior, given the bar before"] == pytest.approx(-np.mean(given) / 16, rel=1e-5)
    assert nats["prior, given the bar before"] != nats["prior, of bars with one before them"]


def test_likelihoods_as_played(held, training):
    """What is played often is counted often: a song that repeats one bar is the likelier the more it does."""
    found = nll_per_step(held, training, reference="as_played", seed=4)
    bars, counted = held.as_played(len(held.distinct()), 4), training.as_played(len(training.distinct()), 4)
    assert list(found) == list(COUNTED)
    for name, count in COUNTED.items():
        assert found[name] == pytest.approx(-count(counted).log_prob(bars.words).mean())
    few = nll_per_step(held, training, reference="as_played", seed=4, n=20)
    for name, count in COUNTED.items():  # fewer bars that are judged, as many that are counted
        assert few[name] == pytest.approx(-count(counted).log_prob(held.as_played(20, 4).words).mean())
    assert nll_per_step(held, training, n=20) == nll_per_step(held, training)
    monotone = training.only(np.append(np.arange(len(training)), np.repeat(np.arange(0, len(training), 15), 500)))
    distinct, played = (nll_per_step(monotone, monotone, reference=kind) for kind in ("distinct", "as_played"))
    assert distinct["uniform"] == played["uniform"]
    assert played["order-1 Markov"] < distinct["order-1 Markov"] - 0.5


class _Noted:
    """A prior of twelve parts: each onset of what it is asked about costs a nat; it notes what it is given."""

    kit, steps, fingerprint = GM12, 16, "x"

    def __init__(self):
        self.given = []

    def step_log_prob(self, bars, previous=None, *, kit=None):
        self.given.append((bars, previous, kit))
        asked = bars if kit is None else fold_bars(bars, GM12, kit)
        return torch.from_numpy(-asked.sum(2).astype(np.float32))

    def log_prob(self, bars, previous=None):
        raise NotImplementedError

    in_double = log_prob


@pytest.mark.parametrize("reference", ["distinct", "as_played"])
def test_a_prior_of_twelve_parts_is_asked_about_nine(reference):
    """About the very bars that a prior of nine parts is asked about, each given as the twelve parts that it was."""
    wide = _words(5, kit=GM12)
    words = wide.distinct_words.copy()
    words[3] = 1 << GM12.n_parts - 1 - GM12.names.index("shaker")  # nine parts have none of its onsets
    words[4] = words[5] | 1 << GM12.n_parts - 1 - GM12.names.index("conga")  # nine parts have one bar of these two
    wide = replace(wide, distinct_words=words)
    folded, training = wide.folded(GM9), _words(6)
    assert len(folded.distinct()) == len(wide.distinct()) - 2
    prior = _Noted()
    found = nll_per_step(wide, training, {"p": prior}, reference, 3, kit=GM9)
    plain = nll_per_step(folded, training, reference=reference, seed=3)
    assert {name: found[name] for name in COUNTED} == plain

    nine = folded.distinct() if reference == "distinct" else folded.as_played(len(folded.distinct()), 3)
    after = folded.pairs()[1]
    if reference == "as_played":
        after = judge._pairs_as_played(folded, len(after), 3)
    assert found["p"] == pytest.approx(_bars_of(nine).sum() / len(nine) / 16)
    assert found["p, given the bar before"] == pytest.approx(_bars_of(after).sum() / len(after) / 16)
    (alone, nothing, kit), (later, _, _), (again, before, _) = prior.given
    assert (nothing, kit) == (None, GM9)
    np.testing.assert_array_equal(fold_bars(alone, GM12, GM9), _bars_of(nine))
    np.testing.assert_array_equal(fold_bars(later, GM12, GM9), _bars_of(after))
    np.testing.assert_array_equal(later, again)
    place = {(file, index): row for row, (file, index) in enumerate(zip(wide.file_id, wide.bar_index, strict=True))}
    rows = [place[file, index - 1] for file, index in zip(after.file_id, after.bar_index, strict=True)]
    np.testing.assert_array_equal(before, _bars_of(wide)[rows])


def test_a_prior_of_its_own_kit_is_asked_as_it_is():
    wide = _words(5, kit=GM12)
    prior = _Noted()
    found = nll_per_step(wide, wide, {"p": prior})
    assert found["uniform"] == pytest.approx(np.log(4096))
    assert found["p"] == pytest.approx(_bars_of(wide.distinct()).sum() / len(wide.distinct()) / 16)
    assert [kit for _, _, kit in prior.given] == [None] * 3
    with pytest.raises(ValueError, match="p is a prior of kit gm12; the songs are of kit gm9, to be judged in kit gm9"):
        nll_per_step(_words(1), _words(2), {"p": prior})


def test_songs_of_twelve_parts_are_judged_in_nine(tmp_path, caplog):
    wide, other = _words(5, kit=GM12), _words(6, kit=GM12)
    gan = GAN(GANConfig(kit="gm12", width=4, discriminator_width=4)).eval()
    save_gan(tmp_path / "gan.safetensors", gan, {})
    one = candidate(str(tmp_path / "gan.safetensors"), GM9, 16)
    noted = replace(from_bars("p", _bars_of(other.folded(GM9))), prior=_Noted())
    report = evaluate(wide, other, [one, noted], SMALL, kit=GM9)
    nine = evaluate(wide.folded(GM9), other.folded(GM9), [one], SMALL)
    assert report["kit"] == "gm9"
    for kind in ("distinct", "as_played"):
        assert _rows(report, kind)[:3] == _rows(nine, kind)
        assert "p, given the bar before" in report["references"][kind]["nll_per_step"]
    # songs of nine parts have not what it reads
    report = evaluate(wide.folded(GM9), other.folded(GM9), [noted], SMALL)
    assert "nll_per_step" not in report["references"]["distinct"]
    assert "no nats of p: it needs songs of kit gm12, these are of kit gm9" in caplog.text


def test_a_conditional_model_is_asked_for_what_the_table_compares(held, training):
    role = np.arange(len(training)) % 3
    songs = [replace(corpus, role=role[: len(corpus)].astype(np.uint8)) for corpus in (held, training)]
    noted = []

    def ask(role, style):
        def draw(n, seed):
            noted.append((role, style, n))
            return np.random.default_rng(seed).random((n, 16, 9)) < 0.2, None

        return draw

    model = Candidate("m", ask("groove", "any"), ask=ask, roles=("groove", "variation", "fill"), styles=())
    report = evaluate(*songs, [model], SMALL)
    assert noted[0] == ("any", "any", 200)
    assert [role for role, _, _ in noted[1:4]] == ["groove", "variation", "fill"]
    assert sum(n for _, _, n in noted[1:4]) == 200
    assert noted[4:] == [("groove", "any", 150), ("fill", "any", 150)]
    assert report["asked"] == {
        "role": "any",
        "style": "any",
        "shares": pytest.approx(dict.fromkeys(model.roles, 1 / 3)),
    }
    assert [row["name"] for row in report["conditions"]["roles"]["rows"]] == ["real, held-out songs", "m"]
    assert report["conditions"]["styles"] is None
    text = judge.to_markdown(report)
    assert "asked for role any and style any." in text
    assert "(groove 0.33, variation 0.33, fill 0.33) and style any." in text
    assert "## Roles that are asked for" in text
    json.dumps(report, allow_nan=False)

    noted.clear()
    fills = [corpus.only(np.tile(np.flatnonzero(corpus.role < 2), 1)) for corpus in songs]
    report = evaluate(*fills, [model], SMALL, role="fill")
    assert noted == [("fill", "any", 200)]
    assert report["conditions"] == {"roles": None, "styles": None}
    assert judge.to_markdown(report).count("asked for role fill and style any.") == 2


def test_pairs_as_played_are_neighbours(held):
    after = judge._pairs_as_played(held, 500, 3)
    assert len(after) == 500
    place = set(zip(held.file_id.tolist(), held.bar_index.tolist(), strict=True))
    for row in range(500):
        assert (after.file_id[row], after.bar_index[row] - 1) in place
    assert len(judge._pairs_as_played(held, 0, 3)) == 0


def test_likelihoods_where_no_bar_follows_another(held, training):
    apart = held.only(np.arange(0, len(held), 2))
    prior = WordLSTM(WordLSTMConfig(kit="gm9", width=8, word_width=8)).eval()
    assert list(nll_per_step(apart, training, {"prior": prior}))[4:] == ["prior"]


# -- showing it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_report(held, training, tmp_path_factory, one_thread):
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    candidates = [from_bars("a/b.npz", _bars_of(held)[:150]), baseline("independent", training)]
    report = evaluate(held, training, candidates, SMALL, out=out)
    report["references"]["distinct"]["nll_per_step"] = {"uniform": np.log(512), "order-1 Markov": 2.0}
    return report, out


def test_markdown_by_hand(small_report):
    row = {
        "name": "x",
        "c2st": 0.51251,
        "fd": 0.12345,
        "nearest": 6.0,
        "onsets": 16.94,
        "pattern": 0.5,
        "divergence": 0.0004,
        "kick_on_1": 0.314,
        "groove": 0.2814,
        "groove_of_real": 0.938,
    }
    title, *lines = [
        line for line in judge.to_markdown({"references": {"as_played": {"rows": [row]}}}).splitlines() if line
    ]
    signs = [line.split("|")[1:-1] for line in lines[3:]]
    assert [cells[0].strip() for cells in signs] == ["bars", "---", "x"]
    assert [cell.strip() for cell in signs[2]] == ["x", "0.31", "", "", "0.281", "0.94", "", "16.9", ""]
    lines = lines[:3]
    cells = dict(zip([c.strip() for c in lines[0].split("|")], [c.strip() for c in lines[2].split("|")], strict=True))
    assert title == "## Beside bars as played"
    assert len(lines) == 3
    assert cells["bars"] == "x"
    assert (cells["C2ST"], cells["FD"], cells["nearest"], cells["onsets"]) == ("0.513", "0.12", "6", "16.9")
    assert (cells["DP"], cells["KLD"], cells["coverage"], cells["PR density"]) == ("0.500", "0.000", "", "")


def test_all_tables(small_report):
    report, _ = small_report
    parts = [part.splitlines() for part in judge.to_markdown(report).rstrip("\n").split("\n\n")]
    (first_title,), first, first_signs, nll, (second_title,), second, second_signs = parts
    assert (first_title, second_title) == ("## Beside distinct bars", "## Beside bars as played")
    for table, kind, columns in (
        (first, "distinct", judge.COLUMNS),
        (first_signs, "distinct", judge.SIGNS),
        (second, "as_played", judge.COLUMNS),
        (second_signs, "as_played", judge.SIGNS),
    ):
        assert {line.count("|") for line in table} == {len(columns) + 2}
        assert len(table) == 2 + 4
        assert [line.split("|")[1].strip() for line in table[2:]] == [row["name"] for row in _rows(report, kind)]
    assert {line.count("|") for line in nll} == {3}
    assert nll[0] == "| distinct bars of held-out songs, by | NLL, nats per step |"
    assert nll[2:] == ["| uniform | 6.238 |", "| order-1 Markov | 2.000 |"]


@pytest.mark.parametrize("name", ["a|b.npz", "a\nb.npz"])
def test_names_do_not_break_the_table(name):
    rows = [{"name": name, "c2st": 0.5}]
    lines = [line for line in judge.to_markdown({"references": {"distinct": {"rows": rows}}}).splitlines() if line]
    bars = [line.replace("\\|", "").count("|") for line in lines[1:]]
    assert bars == [len(judge.COLUMNS) + 2] * 3 + [len(judge.SIGNS) + 2] * 3


def test_report_files(small_report, tmp_path):
    report, _ = small_report
    paths = judge.write_report(report, tmp_path / "a" / "b")
    assert [path.name for path in paths] == ["table.md", "report.json"]
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"table.md", "report.json"}
    assert paths[0].read_text(encoding="utf-8") == judge.to_markdown(report)

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    assert json.loads(paths[1].read_text(encoding="utf-8"), parse_constant=refuse) == report


def test_a_report_with_what_is_no_number_is_json(tmp_path):
    """Readers other than Python's know no NaN."""
    row = {"name": "silent", "pattern": float("nan"), "onsets": 0.0}
    with pytest.raises(ValueError, match="JSON"):
        judge.write_report({"references": {"distinct": {"rows": [row]}}}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_pictures(small_report):
    _, out = small_report
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted(
        f"{kind}-{reference}-{name}.png"
        for kind in ("features", "samples")
        for reference in ("distinct", "as-played")
        for name in ("1-real--training-songs", "2-a-b-npz", "3-independent-cells")
    )
    for path in out.iterdir():
        with Image.open(path) as image:
            assert image.size[0] > 300
            assert len(set(np.asarray(image).reshape(-1, 3).max(1).tolist())) > 3


def test_pictures_of_candidates_with_like_names(held, training, tmp_path):
    """out/v1.npz and out-v1.npz are two."""
    bars = _bars_of(held)[:150]
    evaluate(held, training, [from_bars("out/v1.npz", bars), from_bars("out-v1.npz", ~bars)], SMALL, out=tmp_path)
    assert len(list(tmp_path.glob("samples-*.png"))) == 2 * 3
