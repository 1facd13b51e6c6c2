"""The benchmark: targets are what they are called, bars are matched fairly, and a report says what was measured."""

import json
import os
from collections import Counter
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rhythmgan.bars import words_to_bars
from rhythmgan.conditions import ANY, Condition
from rhythmgan.data import Corpus
from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM12, JAKI5
from rhythmgan.models.gan import GAN, load_gan
from rhythmgan.models.weights import fingerprint
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior
from rhythmgan.patterns import load_patterns
from rhythmgan.training import critic
from rhythmgan.training import prior as prior_training
from rhythmgan.training.critic import train_critic
from rl_tuner.benchmark import protocol as protocols
from rl_tuner.benchmark import report as reports
from rl_tuner.benchmark import rows as listed
from rl_tuner.benchmark.config import QUICK, QUICK_ROWS, BenchmarkConfig, RealismConfig
from rl_tuner.benchmark.evaluators import Evaluators, make_evaluators
from rl_tuner.benchmark.protocol import _RowCache, interval, measure, measure_diversity, run
from rl_tuner.benchmark.realism import (
    RealBars,
    Realism,
    diversity,
    leakage,
    matched,
    mean_log_p,
    normality,
    rank_correlation,
)
from rl_tuner.benchmark.report import (
    AGENT,
    COMPARED,
    PLOTTED,
    add_equal_time,
    all_to_markdown,
    calls_to_markdown,
    criteria,
    criteria_to_markdown,
    measured,
    realism_to_markdown,
    to_markdown,
    write_report,
)
from rl_tuner.benchmark.rows import Row, Steered, baselines
from rl_tuner.benchmark.targets import FEASIBLE, INFEASIBLE, families
from rl_tuner.config import ReadOutConfig
from rl_tuner.latent.agent import LatentAgent, LatentAgentConfig, load_latent_agent
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.actor import Actor
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.problem import NEVER, SearchResult

TINY = BenchmarkConfig(
    seeds=(0, 1),
    pairs=6,
    crossed=5,
    corners=6,
    infeasible=4,
    max_calls=32,
    long_calls=40,
    starts=4,
    shared_targets=3,
    actor_seconds=0.2,
    realism=RealismConfig(unsteered=300, repeats=1),
)
SIZES = TINY.sizes


@pytest.fixture(scope="module")
def models(one_thread):
    return load_gan().with_condition(ANY, ANY), load_prior().with_condition(ANY, ANY), load_latent_agent()


@pytest.fixture(scope="module")
def steered(models):
    gan, prior, _ = models
    return Steered.of(gan, gan, prior)


class _Quick(GAN):
    """A generator whose bars cost nothing: a cell sounds where its z is over 1.2."""

    def decode(self, z):
        return (np.asarray(z) > 1.2).reshape(-1, 16, 12)


@pytest.fixture(scope="module")
def quick(models):
    """A quick generator that the agent takes for the bundled one."""
    gan = models[0]
    generator = _Quick(gan.config).eval().requires_grad_(False)
    generator.load_state_dict(gan.state_dict())
    return generator.with_condition(ANY, ANY)


@pytest.fixture(scope="module")
def quick_steered(quick, models):
    return Steered.of(quick, quick, models[1])


@pytest.fixture(scope="module")
def small_prior(one_thread):
    torch.manual_seed(0)
    return WordLSTM(WordLSTMConfig(width=8, word_width=8)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def corpus():
    """Sixty songs of eight bars: the first half of one textbook bar and the second half of another."""
    rng = np.random.default_rng(0)
    patterns = load_patterns().words << 3  # in the kit of the bundled models, without hand percussion
    first, second = (patterns[rng.integers(0, len(patterns), 480)] for _ in range(2))
    rows = np.concatenate([first[:, :8], second[:, 8:]], 1)
    song = np.repeat(np.arange(60, dtype=np.int32), 8)
    bar = np.tile(np.arange(8, dtype=np.int32), 60)
    names = tuple(f"song {i}" for i in range(60))
    return Corpus.of(rows, song, np.zeros(480, np.int32), bar, names, ("made",), GM12)


@pytest.fixture(scope="module")
def values(corpus):
    return values_of(words_to_bars(corpus.words, 12), TARGETS, GM12)


# targets ----------------------------------------------------------------------------------------------------


def test_families_have_the_sizes_that_were_asked_for(values):
    found = families(values, {"pairs": 30, "crossed": 20, "corners": 10, "infeasible": 7}, seed=0)
    assert list(found) == [*FEASIBLE, INFEASIBLE]
    assert [tuple(each.shape) for each in found.values()] == [(30, 2), (20, 2), (10, 2), (7, 2)]
    again, other = families(values, SIZES, 3), families(values, SIZES, 4)
    assert all(torch.equal(again[name], each) for name, each in families(values, SIZES, 3).items())
    assert not torch.equal(again["pairs"], other["pairs"])
    assert torch.equal(again["corners"], other["corners"])


def test_pairs_are_those_of_real_bars_and_crossed_ones_are_not(values):
    known = {tuple(row) for row in values.tolist()}
    found = families(values, SIZES | {"pairs": 400, "crossed": 400}, seed=1)
    assert all(tuple(row) in known for row in found["pairs"].tolist())
    assert not all(tuple(row) in known for row in found["crossed"].tolist())
    for i in range(2):
        assert set(found["crossed"][:, i].tolist()) <= set(values[:, i].tolist())
    ladder = torch.arange(500.0)[:, None].repeat(1, 2)  # two features that are one
    found = families(ladder, SIZES | {"pairs": 400, "crossed": 400}, seed=1)
    assert (found["pairs"][:, 0] == found["pairs"][:, 1]).all()
    assert abs(np.corrcoef(found["crossed"].T.numpy())[0, 1]) < 0.2


def test_corners_are_the_four_of_the_quantiles(values):
    ladder = torch.arange(101.0)[torch.randperm(101, generator=torch.Generator().manual_seed(0))]
    corners = families(torch.stack([ladder, 2 * ladder.flip(0)], 1), SIZES | {"corners": 8}, 0)["corners"]
    four = {(5.0, 10.0), (5.0, 190.0), (95.0, 10.0), (95.0, 190.0)}
    assert {tuple(row) for row in corners[:4].tolist()} == four
    assert Counter(map(tuple, corners.tolist())) == dict.fromkeys(four, 2)


def test_no_bar_can_have_what_is_infeasible(values):
    """The most syncopation of three lines with d onsets in all, by looking at every line there is."""
    lines = ((np.arange(1 << 16)[:, None] >> np.arange(16)) & 1).astype(bool)
    bars = np.zeros((1 << 16, 16, 12), bool)
    bars[:, :, 0] = lines
    found, onsets = syncopation(bars, GM12).numpy(), lines.sum(1)
    one = np.array([found[onsets <= k].max() for k in range(17)])
    three = [
        max(one[i] + one[j] + one[min(d - i - j, 16)] for i in range(min(d, 16) + 1) for j in range(min(d - i, 16) + 1))
        for d in range(49)
    ]
    assert three[4] == 15  # by hand: two kicks off the beat with 7, and a snare and a hat with 4 each
    targets = families(values, BenchmarkConfig().sizes, 0)[INFEASIBLE]
    assert len(targets) == 100
    for wanted, syncopated in targets.tolist():
        most = three[min(int(wanted) + 1, 48)]
        assert wanted - 1 > 16 * 12 or syncopated - 1 > most


# matching and intervals ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25),
    st.integers(0, 99),
)
def test_matched_rows_are_equal_and_used_once(values, pool, seed):
    values, pool = np.array(values, np.float32), np.array(pool, np.float32)
    mine, theirs = matched(values, pool, np.random.default_rng(seed))
    assert (values[mine] == pool[theirs]).all()
    assert len(set(theirs.tolist())) == len(theirs)
    assert (np.diff(mine) > 0).all()
    # as many as there can be, and the first of those that want the same
    mine_of, theirs_of = (Counter(map(tuple, rows.tolist())) for rows in (values, pool))
    assert len(mine) == sum(min(n, theirs_of[row]) for row, n in mine_of.items())
    taken = Counter()
    expected = []
    for i, row in enumerate(map(tuple, values.tolist())):
        if taken[row] < theirs_of[row]:
            taken[row] += 1
            expected.append(i)
    assert mine.tolist() == expected


def test_matched_draws_from_all_that_fit():
    pool = np.zeros((200, 2))
    drawn = {matched(pool[:1], pool, np.random.default_rng(seed))[1][0] for seed in range(30)}
    assert len(drawn) > 20


def test_nothing_matches_nothing():
    mine, theirs = matched(np.zeros((0, 2)), np.zeros((3, 2)), np.random.default_rng(0))
    assert mine.dtype == theirs.dtype == int
    assert len(mine) == len(theirs) == 0


def test_intervals_are_those_of_a_table():
    """Student's t at 97.5 %: 2.776 of four degrees of freedom, 12.706 of one."""
    seeds = np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5], [0.4, 0.5], [0.5, 0.5]])
    spread = np.sqrt(0.025)  # of 0.1 … 0.5, with n − 1
    assert interval(seeds) == pytest.approx([2.776 * spread / np.sqrt(5), 0], abs=1e-4)
    assert interval(np.array([[0.0], [1.0]]))[0] == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert interval(np.array([[0.3, 0.4]])).tolist() == [0, 0]


def test_rank_correlation_of_a_constant_is_zero():
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])) == pytest.approx(0.5)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])) == 0


def test_rank_correlation_with_constant_targets_is_zero_too():
    assert rank_correlation(np.array([2.0, 2.0, 2.0]), np.array([1.0, 5.0, 3.0])) == 0


# tables -----------------------------------------------------------------------------------------------------


def _by_hand():
    """Two baselines, the agent, a changed one, and the unsteered row, with numbers that can be added in the head."""

    def row(name, kind, pairs, times, **more):
        curve = {"pairs": pairs, "crossed": [x / 2 for x in pairs], "corners": [0.0] * len(pairs)}
        return {
            "id": name,
            "kind": kind,
            "title": f"the {name}",
            "marks": [1, 8, 32, 64][: len(pairs)],
            "success": curve,
            "interval": {family: [0.01] * len(pairs) for family in FEASIBLE},
            "exact": [None, 0.25],
            "error": [0.1, 0.3],
            "milliseconds": [0.5, 1.5],
            "spent": 32.0,
            "time_curve": times,
        } | more

    said = {"log_p": 0.125, "log_p_of_the_reward": 0.25, "logit": -0.5, "logit_of_the_reward": 0.75}
    z = {"mean_square": 0.99, "numbers": 0.004, "numbers_p": 0.25, "lengths": 0.05, "lengths_p": 0.0}
    agent_times = [[0.1, 0.1, 0.0], [0.5, 0.7, 0.4], [2.0, 0.9, 0.6], [4.0, 1.0, 1.0]]
    planned = {"exact": [0.4, 0.6], "exact_curve": {"pairs": [0.0, 0.4, 0.6, 1.0]}}
    unsteered = {"id": "unsteered", "kind": "reference", "title": "random z", "c2st": 0.55, "copies": 0.01, "z": z}
    nan = None
    best_times = [[0.25, 0.2, nan], [1.0, 0.4, nan], [4.0, 0.8, nan]]
    rows = [
        unsteered,
        row("best-of-n", "baseline", [0.1, 0.4, 0.5, 0.8], best_times, c2st=0.54),
        row("slow", "baseline", [0.1, 0.4], [[9.0, 1.0, nan]]),
        row(
            "particle-filter",
            "baseline",
            [0.1, 0.75, 0.85, 0.85, 0.9],
            [[0.1, 0.1, 0.0], [1.0, 0.75, 0.2], [4.0, 0.85, 0.7]],
            exact=[0.2, 0.7],
            exact_curve={"pairs": [0.0, 0.2, 0.5, 0.7, 0.75]},
            marks=[1, 8, 16, 32, 64],
        ),
        row(AGENT, "agent", [0.1, 0.7, 0.9, 1.0], agent_times, c2st=0.57, unique=0.9, z=z, **said, **planned),
        row("agent-changed", "ablation", [0.1, 0.9], [[0.5, 0.6, nan], [9.0, 0.9, nan]]),
    ]
    report = {"config": asdict(BenchmarkConfig()), "rows": rows}
    add_equal_time(report)
    report["criteria"] = criteria(report)
    return report


def test_equal_time_is_the_agents_at_8_and_at_32_calls():
    """The agent's are half a second and two seconds, half way in the logarithm between what others took."""
    rows = {row["id"]: row for row in _by_hand()["rows"]}
    assert "success_at_equal_time" not in rows["unsteered"]
    assert rows["best-of-n"]["success_at_equal_time"] == pytest.approx([0.3, 0.6])
    assert rows["best-of-n"]["exact_at_equal_time"] == [None, None]  # it stops at a success, exact or not
    assert rows["slow"]["success_at_equal_time"] == [0, 0]  # its first call is not over
    assert rows[AGENT]["success_at_equal_time"] == pytest.approx([0.7, 0.9])
    assert rows[AGENT]["exact_at_equal_time"] == pytest.approx([0.4, 0.6])
    assert rows["particle-filter"]["success_at_equal_time"][1] == pytest.approx(0.8)
    assert rows["particle-filter"]["exact_at_equal_time"][1] == pytest.approx(0.45)
    assert rows["agent-changed"]["success_at_equal_time"][0] == 0.6


def test_equal_time_is_that_of_the_protocols_budgets():
    report = _by_hand()
    report["config"] |= {"short_calls": 1, "calls": 64}
    add_equal_time(report)
    assert report["rows"][1]["success_at_equal_time"] == [0, 0.8]


def test_without_an_agent_nothing_is_compared_with_it():
    report = _by_hand()
    report = {"config": report["config"], "rows": [row for row in report["rows"] if row["id"] != AGENT]}
    for row in report["rows"]:
        row.pop("success_at_equal_time", None)
    add_equal_time(report)
    assert criteria(report) == []
    assert not any("success_at_equal_time" in row for row in report["rows"])
    report["criteria"] = []
    assert to_markdown(report).splitlines()[-1].endswith("|  |")


def test_criteria_are_the_lines_that_the_agent_is_held_to():
    report = _by_hand()
    lines = dict(zip((line["text"] for line in report["criteria"]), report["criteria"], strict=True))
    missed = {text: line["missed_by"] for text, line in lines.items()}
    assert missed == {
        "pairs within ±1 at 32 calls: 90.0 %, at least 99 %": pytest.approx(9),
        "crossed within ±1 at 32 calls: 45.0 %, at least 99 %": pytest.approx(54),
        "corners within ±1 at 32 calls: 0.0 %, at least 97 %": pytest.approx(97),
        "pairs exactly at 32 calls: 60.0 %, at least 80 %": pytest.approx(20),
        "pairs within ±1 at 8 calls: 70.0 %, at least 90 %": pytest.approx(20),
        "crossed within ±1 at 8 calls: 35.0 %, at least 90 %": pytest.approx(55),
        "corners within ±1 at 8 calls: 0.0 %, at least 80 %": pytest.approx(80),
        "C2ST of successes over best of N's: +0.030, at most +0.015": pytest.approx(0.015),
        "unique share of successes: 90.0 %, at least 97 %": pytest.approx(7),
        # (75 + 37.5) / 3 beside (70 + 35) / 3
        "nobody has more successes with 8 calls, mean of the families: the agent has 35.0 %, "
        "and the particle-filter 2.5 more": pytest.approx(2.5),
        "nobody has more exact answers to pairs with 8 calls: the agent has 40.0 %": 0,
        "nobody has more successes with pairs in the time of its 8 calls: the agent has 70.0 %": 0,
        "nobody has more exact answers with pairs in the time of its 8 calls: the agent has 40.0 %": 0,
        "nobody has more successes with 32 calls, mean of the families: the agent has 45.0 %": 0,
        "nobody has more exact answers to pairs with 32 calls: the agent has 60.0 %, "
        "and the particle-filter 10.0 more": pytest.approx(10),
        "nobody has more successes with pairs in the time of its 32 calls: the agent has 90.0 %": 0,
        "nobody has more exact answers with pairs in the time of its 32 calls: the agent has 60.0 %": 0,
    } | {"pairs at 8 calls, beside the particle filter at 16: 70.0 %, at least 85 %": pytest.approx(15)}


def test_criteria_are_said_in_a_list():
    lines = [
        {"text": "a", "missed_by": 0.0},
        {"text": "b", "missed_by": 2.5},
        {"text": "c", "missed_by": 0.0154},
        {"text": "d", "missed_by": None},
    ]
    expected = "- met: a\n- missed by 2.5: b\n- missed by 0.0154: c\n- not measured: d\n"
    assert criteria_to_markdown({"criteria": lines}) == expected


def test_what_no_target_was_reached_twice_for_is_not_measured():
    report = _by_hand()
    for name in ("unique", "c2st"):
        del next(row for row in report["rows"] if row["id"] == AGENT)[name]
    unmeasured = [line["text"] for line in criteria(report) if line["missed_by"] is None]
    assert unmeasured == ["C2ST of successes over best of N's", "unique share of successes"]


def test_titles_decide_nothing():
    report = _by_hand()
    before, shown = report["criteria"], [row["id"] for row in measured(report)]
    for i, row in enumerate(report["rows"]):
        row["title"] = ("agent, ", "best of N", "unsteered")[i % 3] + str(i)
    add_equal_time(report)
    assert [line["missed_by"] for line in criteria(report)] == [line["missed_by"] for line in before]
    assert [row["id"] for row in measured(report)] == shown


def test_baselines_and_agents_are_measured_the_one_that_counts_last():
    assert [row["id"] for row in measured(_by_hand())] == ["best-of-n", "slow", "particle-filter", AGENT]


def _cells(table):
    head, rule, *rows = table.splitlines()
    assert len({line.count("|") for line in (head, rule, *rows)}) == 1
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in (head, *rows)]


def test_the_first_table_has_what_is_reached_and_what_it_costs():
    report = _by_hand()
    head, *rows = _cells(to_markdown(report))
    assert head == ["", *FEASIBLE, "exact at 8 / 32", "error", "calls", "ms at 8 / 32", "equal time"]
    assert [row[0] for row in rows] == [row["title"] for row in report["rows"]]
    assert rows[0][1:] == [""] * 8
    reached = ["50.0 ± 1.0", "25.0 ± 1.0", "0.0 ± 1.0"]
    assert rows[1][1:] == [*reached, "– / 25", "0.20", "32.0", "0.5 / 1.5", "30.0 / 60.0"]
    assert rows[4][4] == "40 / 60"


def test_the_second_table_has_realism_and_where_z_lies():
    head, *rows = _cells(realism_to_markdown(_by_hand()))
    assert head[1:] == ["C2ST", "unique", "copies", "log p", "logit", "z²", "numbers of z", "lengths of z"]
    z = ["0.990", "0.004 (0.25)", "0.050 (0.00)"]
    assert rows[0][1:] == ["0.550", "", "0.010", "", "", *z]
    assert rows[1][1:] == ["0.540", *[""] * 7]
    assert rows[4][1:] == ["0.570", "0.900", "", "+0.125 (+0.250)", "-0.500 (+0.750)", *z]


def test_the_third_table_has_success_at_each_budget_and_exact_answers_of_rows_that_plan():
    head, *rows = _cells(calls_to_markdown(_by_hand()))
    assert head == ["", "4 calls", "8 calls", "16 calls", "32 calls", "64 calls"]
    assert rows[0] == ["the best-of-n", "", "40.0 / 20.0 / 0.0", "", "50.0 / 25.0 / 0.0", "80.0 / 40.0 / 0.0"]
    assert rows[1] == ["the slow", "", "40.0 / 20.0 / 0.0", "", "", ""]
    mine = ["", "70.0 / 35.0 / 0.0 (40)", "", "90.0 / 45.0 / 0.0 (60)", "100.0 / 50.0 / 0.0 (100)"]
    assert rows[-1] == [f"the {AGENT}", *mine]
    assert len(rows) == 4


def test_a_report_is_four_files(tmp_path):
    report = _by_hand()
    paths = write_report(report, tmp_path / "new")
    assert [path.name for path in paths] == ["steering.md", "steering.json", "steering.png", "steering-all.png"]
    assert sorted(os.listdir(tmp_path / "new")) == sorted(path.name for path in paths)
    assert json.loads(paths[1].read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    assert paths[0].read_text(encoding="utf-8") == all_to_markdown(report)
    for path in paths[2:]:
        with Image.open(path) as picture:
            assert picture.size[0] > 900


def test_the_short_plot_shows_the_agent_the_filters_and_best_of_n(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(reports, "_save", lambda figure, path: drawn.append(figure))
    reports.plot(_by_hand(), tmp_path / "short.png")
    reports.plot_all(_by_hand(), tmp_path / "all.png")
    within, exactly = drawn[0].axes
    assert [line.get_label() for line in within.lines] == ["the best-of-n", "the particle-filter", f"the {AGENT}"]
    assert list(within.lines[-1].get_xdata()) == [1, 8, 32, 64]
    np.testing.assert_allclose(within.lines[-1].get_ydata(), [5, 35, 45, 50])  # the mean of three families
    assert [list(line.get_ydata()) for line in exactly.lines] == [[0, 20, 50, 70, 75], [0, 40, 60, 100]]
    assert len(drawn[1].axes[0].lines) == 4


def test_what_is_no_number_is_null_in_json(tmp_path, monkeypatch):
    for name in ("plot", "plot_all"):
        monkeypatch.setattr(reports, name, lambda *arguments: None)
    report = _by_hand()
    report["rows"][3]["exact"] = [np.nan, 0.5]

    def refuse(constant):
        raise ValueError(constant)

    kept = json.loads(write_report(report, tmp_path)[1].read_text(encoding="utf-8"), parse_constant=refuse)
    assert kept["rows"][3]["exact"] == [None, 0.5]


# the pieces of a run ------------------------------------------------------------------------------------------


def test_a_row_is_measured_at_its_marks(quick_steered, values):
    how = replace(TINY, pairs=60, crossed=60, corners=4, calls=8)
    found, answers = measure(quick_steered, Row("best-of-n", "baseline", "", best_of_n, 10), values, how)
    assert found["marks"] == [1, 2, 4, 8]
    for family in FEASIBLE:
        curve = found["success"][family]
        assert len(curve) == len(found["interval"][family]) == 4
        assert (np.diff(curve) >= 0).all()
        assert 0 <= curve[0] <= curve[-1] <= 1
    assert found["ends_cleanly"]
    assert len(found["time_curve"]) == 10
    seconds, shares, exact_shares = np.array(found["time_curve"]).T
    assert (np.diff(seconds) >= 0).all()
    assert (np.diff(shares) >= 0).all()
    assert np.isnan(exact_shares).all()  # it stops at a success, exact or not
    # by hand, of the same search at the protocol's budget
    errors, exact, hits = [], [], []
    for family in ("pairs", "crossed"):
        for seed in how.seeds:
            targets = families(values, how.sizes, seed)[family]
            answer = Row("", "baseline", "", best_of_n).solve(quick_steered, targets, 8, seed)
            gaps = np.abs(answer.values - targets.numpy())
            errors.append((gaps / values.std(0).numpy()).mean(0))
            exact.append((gaps == 0).all(1).mean())
            hits.append((gaps <= 1).all(1).mean())
            assert (answers[len(hits) - 1].bars == answer.bars).all()
    assert len(answers) == 4
    assert found["error"] == pytest.approx(np.mean(errors, 0))
    assert np.isnan(found["exact"][0])
    assert found["exact"][1] == pytest.approx(np.mean(exact[:2]))  # of pairs
    assert 4 < found["spent"] < 8  # a success is the end
    assert found["success"]["pairs"][-1] == pytest.approx(np.mean(hits[:2]))
    assert found["success"]["crossed"][-1] == pytest.approx(np.mean(hits[2:]))
    assert 0 < found["rank"][0] <= 1


def test_a_row_that_plans_is_searched_anew_for_each_mark(quick_steered, values):
    """A search that succeeds only if it may use four calls: within four of a longer budget it would not have."""
    budgets = []

    def search(problem):
        budgets.append(problem.calls)
        state = problem.look_at(z := problem.random_points(), torch.from_numpy(problem.generator.decode(z)))
        state.success[:] = float(problem.calls == 4)
        problem.record(state)

    how = replace(TINY, seeds=(0,), calls=8, max_calls=8)
    for plans, expected in ((True, [0, 0, 1, 0]), (False, [0, 0, 0, 0])):
        found, _ = measure(quick_steered, Row("", "agent", "", search, plans=plans), values, how)
        assert found["success"]["pairs"] == expected
    assert set(budgets) == {1, 2, 4, 8}


def test_a_row_that_plans_is_timed_by_the_searches_of_its_marks(quick_steered, values):
    """A search of k calls takes 10 k seconds and reaches the first k of its targets, every second one exactly."""
    prepared, how = [], replace(TINY, seeds=(0,), pairs=6, crossed=6, short_calls=2, calls=4, max_calls=4, step_calls=4)

    def search(problem):
        assert prepared  # before the clock started
        state = problem.look_at(z := problem.random_points(), torch.from_numpy(problem.generator.decode(z)))
        places = torch.arange(len(problem.open))
        state.success[:] = (places < problem.calls).float()
        state.values[:] = problem.targets + torch.where(places % 2 == 0, 0.0, 0.5)[:, None]
        problem.record(state, problem.calls)
        problem._seconds = [10.0 * problem.calls] * problem.calls

    told, row = [], Row("", "baseline", "", search, 4, plans=True, prepare=lambda: prepared.append(1))
    found, _ = measure(quick_steered, row, values, how, told.append)
    assert told == [1]
    assert found["marks"] == [1, 2, 4]
    assert found["success"]["pairs"] == pytest.approx([1 / 6, 2 / 6, 4 / 6])
    np.testing.assert_allclose(found["time_curve"], [[10, 1 / 6, 0.5], [20, 2 / 6, 0.5], [40, 4 / 6, 0.5]])
    assert found["exact_curve"]["pairs"] == [0.5] * 3
    assert found["exact"] == [0.5, 0.5]
    assert found["milliseconds"] == pytest.approx([1000 * 20 / 6, 1000 * 40 / 6])
    others, _ = measure(quick_steered, Row("", "baseline", "", best_of_n, 4), values, how)
    assert "exact_curve" not in others
    assert len(others["time_curve"]) == 4


def test_a_row_has_the_coefficients_that_it_says(quick_steered):
    asked = []

    def search(problem):
        asked.append(problem.goals)
        best_of_n(problem)

    targets = torch.tensor([[16.0, 6.0], [20.0, 8.0]])
    Row("", "agent", "", search, coefs={"realism": 0.25, "kl": 0.5}).solve(quick_steered, targets, 2, 0)
    Row("", "agent", "", search).solve(quick_steered, targets, 2, 0, importance=torch.tensor([[1.0, 0.0]] * 2))
    some, none = asked
    coefs = {name: coef.tolist() for name, coef in some.coefs.items()}
    assert coefs == {"realism": [0.25, 0.25], "kl": [0.5, 0.5]}
    assert some.importance.tolist() == [[1, 1], [1, 1]]
    assert none.coefs == {}
    assert none.importance.tolist() == [[1, 0], [1, 0]]


def test_the_row_of_whole_bar_moves_answers_better_than_a_first_draw(steered, models, corpus, values):
    targets = families(values, SIZES | {"pairs": 40}, 0)["pairs"]
    rows = {row.id: row for row in baselines(steered, words_to_bars(corpus.words, 12), TINY, models[2])}
    found = rows["latent-agent"].solve(steered, targets, 32, 0)
    assert found.success_within(32).mean() > found.success_within(1).mean() + 0.3
    gaps = np.abs(found.values - targets.numpy())
    assert (found.success == (gaps <= 1).all(1)).all()


def test_every_baseline_is_there_once(quick_steered, models, corpus):
    known = words_to_bars(corpus.words, 12)
    rows = baselines(quick_steered, known, TINY, models[2])
    ids = [row.id for row in rows]
    assert len(set(ids)) == len({row.title for row in rows}) == len(rows) == 20
    assert {row.kind for row in rows} == {"baseline"}
    filters = ["", "-learned", "-candidates", "-candidates-learned", "-candidates-hasty", "-candidates-real"]
    by_step = [f"particle-filter{name}" for name in filters]
    by_step += ["greedy-by-step", "greedy-by-step-more", "rejection-by-step"]
    assert [row.id for row in rows if row.plans] == [*by_step, "latent-agent"]
    assert {row.calls for row in rows if row.id in by_step} == {64}
    coefs = {row.id: set(row.coefs) for row in rows if row.coefs}
    real = {"realism", "likelihood"}
    whole = {"latent-agent": real | {"kl"}}
    assert coefs == {"best-of-n-real": real, "particle-filter-candidates-real": real} | whole
    assert {*QUICK_ROWS, *PLOTTED, *COMPARED} - {AGENT, "unsteered"} <= set(ids)
    # of a generator whose latent space nobody knows, those that need it are left out
    without = [row.id for row in baselines(quick_steered, known, TINY)]
    assert [name for name in ids if name not in without] == ["random-walk", "greedy", "linear", "latent-agent"]


def test_diversity_asks_for_the_same_targets_from_many_starts(quick_steered, values):
    asked = []

    def search(problem):
        asked.append((problem.targets, problem.calls))
        best_of_n(problem)

    how = replace(TINY, short_calls=1, calls=2)
    measure_diversity(quick_steered, Row("", "baseline", "", search), values, how)
    ((targets, calls),) = asked
    assert torch.equal(targets, families(values, how.sizes, 0)["pairs"][[0] * 4 + [1] * 4 + [2] * 4])
    assert calls == 2


def test_diversity_is_that_of_the_successes(models):
    bars = models[0].sample(12, seed=5)
    bars[1] = bars[0]
    success = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], bool)  # three of the first target, one of the next, none
    nothing = np.zeros(12)
    result = SearchResult(bars, np.zeros((12, 2)), success, np.where(success, 1, NEVER), nothing, nothing)
    found = diversity(result, starts=4)
    assert found["unique"] == pytest.approx(2 / 3)
    assert found["hamming"] == pytest.approx(2 * (bars[0] != bars[2]).sum() / 3)  # of the pairs 01, 02, 12
    assert diversity(replace(result, success=np.zeros(12, bool)), starts=4) == {}


def test_leakage_is_what_becomes_of_the_feature_that_was_not_asked_for(quick_steered):
    """Two targets; the answers have densities 11 and 13 and syncopations 3 and 9, whatever is asked for."""
    asked = []

    def solve(steered, targets, calls, seed, importance):
        asked.append((calls, importance.tolist()))
        return SimpleNamespace(values=np.array([[11, 3], [13, 9]]), success=np.array([True, False]))

    values = torch.tensor([[1.0, 7.0], [3.0, 1.0], [5.0, 3.0]])
    row = SimpleNamespace(solve=solve)
    found = leakage(quick_steered, row, torch.tensor([[8.0, 2.0], [9.0, 1.0]]), values, 3)
    assert asked == [(3, [[1, 0], [1, 0]]), (3, [[0, 1], [0, 1]])]
    assert found == {
        "correlation of real bars": pytest.approx(-0.5),
        "density alone: success": 0.5,
        "density alone: correlation": pytest.approx(1),  # targets 8, 9 and syncopations 3, 9
        "syncopation alone: success": 0.5,
        "syncopation alone: correlation": pytest.approx(-1),  # targets 2, 1 and densities 11, 13
    }


def test_points_of_n_0_1_are_told_from_others():
    random = np.random.default_rng(0)
    drawn = random.standard_normal((400, 50)).astype(np.float32)
    found = normality(drawn)
    assert found["mean_square"] == pytest.approx(1, abs=0.03)
    assert min(found["numbers_p"], found["lengths_p"]) > 0.01
    # numbers one by one as they should be, but all of a point alike: the lengths show it
    alike = np.repeat(drawn[:, :1], 50, 1)
    assert normality(alike)["lengths"] > 0.3 > 0.1 > normality(alike)["numbers"]
    # the signs alone: every length is the very same, and so is every number's
    signs = normality(np.sign(drawn))
    assert signs["mean_square"] == 1
    assert signs["numbers"] == pytest.approx(0.341, abs=0.02)  # half of the numbers where Φ has .159: .5 − .159
    assert signs["lengths_p"] < 1e-9


# realism ------------------------------------------------------------------------------------------------------


def test_mean_log_p_is_that_of_a_step():
    prior = SimpleNamespace(log_prob=lambda bars: torch.tensor([-32.0, -16.0, -24.0]))
    assert mean_log_p(prior, np.zeros((3, 16, 12), bool)) == -1.5


class _Counting:
    """In place of a network: what it says of a bar is how often a part sounds, a step or a bar."""

    def __init__(self, part):
        self.part = part

    def log_prob(self, bars):
        return 16.0 * self.logits(bars)

    def logits(self, bars):
        return torch.from_numpy(bars[:, :, self.part].sum(1)).double()


def _four_on_the_floor(parts):
    """A bar for each part, which sounds on the four beats: density 4 and syncopation 0 whatever the part."""
    bars = np.zeros((len(parts), 16, 12), bool)
    for bar, part in zip(bars, parts, strict=True):
        bar[::4, part] = True
    return bars


def test_realism_asks_the_held_out_networks_and_in_brackets_those_of_the_reward():
    """Of 40 bars 20, 10, 6 and 4 play the parts 0 to 3, of as many unsteered ones ten each.

    Eight more bars of three onsets have a real one like them but no unsteered one: the networks are not asked.
    """
    unsteered = _four_on_the_floor([0, 1, 2, 3] * 10)
    three = _four_on_the_floor([0] * 8)
    three[:, 12] = False
    bars = np.concatenate([three, _four_on_the_floor([0] * 20 + [1] * 10 + [2] * 6 + [3] * 4)])
    values = torch.tensor([[3.0, 0.0]] * 8 + [[4.0, 0.0]] * 40)
    real = RealBars(np.concatenate([three, unsteered]), np.arange(48) % 8, values, unsteered[:2])
    generator = SimpleNamespace(kit=GM12, sample=lambda n, seed: unsteered[:n])
    models = SimpleNamespace(prior=_Counting(2), critic=_Counting(3))
    rewarding = SimpleNamespace(generator=generator, kit=GM12, models=models)
    evaluators = Evaluators(critic=_Counting(1), prior=_Counting(0))
    how = RealismConfig(unsteered=40, fewest_bars=48, repeats=1)
    found = Realism(rewarding, evaluators, real, how).of_bars(bars, values.numpy())
    assert found["matched"] == 48
    assert found["log_p"] == pytest.approx(4 * (20 - 10) / 40)
    assert found["logit"] == pytest.approx(0)  # ten of either play part 1
    assert found["log_p_of_the_reward"] == pytest.approx(4 * (6 - 10) / 40)
    assert found["logit_of_the_reward"] == pytest.approx(4 * (4 - 10) / 40)
    assert found["copies"] == pytest.approx(30 / 48)  # the known bars play the parts 0 and 1
    for most, fewest in ((3000, 49), (30, 31)):
        limited = replace(how, most_bars=most, fewest_bars=fewest)
        few = Realism(rewarding, evaluators, real, limited).of_bars(bars, values.numpy())
        assert few == {"matched": min(most, 48)}


def test_realism_tells_real_bars_from_noise_and_unsteered_bars_from_none(steered, models, corpus, values):
    gan, prior, _ = models
    bars = words_to_bars(corpus.words, 12)
    real = RealBars(bars, corpus.song_id, values, bars[:40])
    how = RealismConfig(unsteered=3000, fewest_bars=100, repeats=1)
    reported = Realism(steered, Evaluators(gan, prior), real, how)
    unsteered = reported.of_unsteered(1600)
    assert unsteered["z"]["mean_square"] == pytest.approx(1, abs=0.02)
    assert unsteered["matched"] >= 100
    assert unsteered["log_p"] == pytest.approx(0, abs=0.1)

    rng = np.random.default_rng(0)
    noise = rng.permuted(bars.reshape(480, -1), axis=1).reshape(bars.shape)  # as dense as real bars are
    results = []
    for these in (bars, noise):
        mine = torch.stack([density(these, GM12), syncopation(these, GM12)], 1).numpy()
        z = np.full((480, 192), np.nan)
        results.append(SearchResult(these, mine, np.arange(480) < 400, np.ones(480, int), np.zeros(1), z))
    of_real = reported.of_successes([results[0]])
    assert of_real["matched"] == 400
    assert "z" not in of_real
    assert of_real["copies"] > 0
    few = reported.of_successes([replace(results[1], success=np.arange(480) < 3)])
    assert few == {"matched": few["matched"]}
    assert few["matched"] <= 3
    noisy = reported.of_successes([results[1]])
    assert noisy["matched"] >= 100
    assert noisy["c2st"] > of_real["c2st"]
    assert noisy["log_p"] < of_real["log_p"] - 1
    assert noisy["logit"] < of_real["logit"]


# a whole run --------------------------------------------------------------------------------------------------

SMALLEST = BenchmarkConfig(
    seeds=(3,),
    pairs=3,
    crossed=3,
    corners=4,
    infeasible=4,
    short_calls=2,
    calls=4,
    max_calls=4,
    long_calls=8,
    step_calls=8,
    starts=2,
    shared_targets=2,
    read_out=ReadOutConfig(bars=400, train_steps=3, batch_size=50),
    realism=RealismConfig(unsteered=300, repeats=1),
)


def _agents(steered):
    """In place of an agent: best of N that plans, and with a part changed."""
    return [
        Row(AGENT, "agent", "the agent", best_of_n, SMALLEST.step_calls, plans=True),
        Row("agent-changed", "ablation", "the agent, changed", best_of_n, SMALLEST.calls, plans=True),
    ]


@pytest.fixture(scope="module")
def whole(quick, models, corpus, tmp_path_factory):
    """A run of every row in a folder: a function that begins it again, its report, and how far it said it was."""
    _, prior, latent_agent = models

    def untrained(generator, scale, values, seconds):
        torch.manual_seed(0)
        return Actor(192, 2, width=8).eval().requires_grad_(False)

    folder, heard = tmp_path_factory.mktemp("rows"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed, "train_actor", untrained)  # what is trained for a time differs each time

        def begin(held_out=prior, latent_agent=latent_agent, agents=_agents, **options):
            evaluators = Evaluators(quick, held_out)
            return run(quick, prior, corpus, evaluators, SMALLEST, agents=agents, latent_agent=latent_agent, **options)

        yield begin, begin(folder=folder, progress=lambda *told: heard.append(told)), folder, heard


def test_a_run_measures_every_row(whole, quick_steered, models, corpus, tmp_path):
    _, report, _, heard = whole
    rows = baselines(quick_steered, words_to_bars(corpus.words, 12), SMALLEST, models[2])
    expected = [("unsteered", "reference"), ("prior", "reference"), *((row.id, row.kind) for row in rows)]
    expected += [(AGENT, "agent"), ("agent-changed", "ablation")]
    assert [(row["id"], row["kind"]) for row in report["rows"]] == expected
    assert list(dict.fromkeys(title for *_, title in heard)) == [*(row["title"] for row in report["rows"]), ""]
    assert report["config"] == asdict(SMALLEST)
    for row in report["rows"][2:]:
        assert row["ends_cleanly"], row["id"]
        assert row["marks"][-1] <= row["calls"]
        assert all(0 <= share <= 1 for curve in row["success"].values() for share in curve)
        assert all(0 <= share <= 1 for share in row["success_at_equal_time"])
        assert "matched" in row
    paths = write_report(report, tmp_path)
    assert all(path.stat().st_size for path in paths)
    assert len(to_markdown(report).splitlines()) == 2 + 24
    assert len(report["criteria"]) == 18
    assert len(report["leakage"]) == 5


def test_a_run_says_how_far_it_is(whole):
    """24 rows, each of a seed and what follows."""
    _, _, _, heard = whole
    assert {total for _, total, _ in heard} == {48}
    done = [each for each, *_ in heard]
    assert done == sorted(done)
    assert set(done) == set(range(0, 49)) - {1, 3}  # the references have no seeds
    assert done[-1] == 48


def test_a_run_is_resumed_from_the_rows_of_its_folder(whole, small_prior, monkeypatch):
    begin, report, folder, _ = whole
    assert len(list(folder.iterdir())) == 24
    begun = []
    measure = protocols.measure

    def measured(steered, row, *arguments):
        begun.append(row.id)
        return measure(steered, row, *arguments)

    monkeypatch.setattr(protocols, "measure", measured)
    assert json.dumps(begin(folder=folder)) == json.dumps(report)
    assert begun == []
    # of other models none of them is taken
    begin(folder=folder, only=["retrieval"], held_out=small_prior)
    assert begun == ["best-of-n", "retrieval", "particle-filter", AGENT]
    begin(folder=folder, only=["retrieval"], agent_fingerprint="another")
    assert len(begun) == 8


def test_some_rows_alone_are_the_same_as_in_a_whole_run(whole):
    begin, report, _, _ = whole
    some = begin(only=["gradient", "prior"])
    assert {row["id"] for row in some["rows"]} == {*COMPARED, "gradient", "prior"}

    def timeless(report):
        timed = ("milliseconds", "success_at_equal_time", "exact_at_equal_time", "time_curve")
        return {row["id"]: {name: row[name] for name in row if name not in timed} for row in report["rows"]}

    of_whole = timeless(report)
    assert timeless(some) == {name: of_whole[name] for name in timeless(some)}
    assert some["leakage"] == report["leakage"]


def test_a_run_without_agents_has_baselines_alone(whole):
    begin, _, _, _ = whole
    report = begin(only=["cma-es"], agents=None, latent_agent=None)
    assert [row["id"] for row in report["rows"]] == ["unsteered", "best-of-n", "cma-es", "particle-filter"]
    assert report["criteria"] == []
    assert "leakage" not in report
    with pytest.raises(ValueError, match="no row has the id 'latent-agent'"):
        begin(only=["latent-agent"], latent_agent=None)


def test_runs_that_cannot_be_are_refused(models, corpus):
    gan, prior, _ = models
    evaluators = Evaluators(gan, prior)
    for part in ("train", "test"):
        with pytest.raises(ValueError, match="of train and of test songs"):
            run(gan, prior, corpus.split(part), evaluators, TINY)
    other = LatentAgent(LatentAgentConfig.of(gan, features=("density",)))
    with pytest.raises(ValueError, match="density and syncopation"):
        run(gan, prior, corpus, evaluators, TINY, latent_agent=other)
    foreign = LatentAgent(LatentAgentConfig("0" * 16, 192, 192))
    with pytest.raises(ValueError, match="another generator"):
        run(gan, prior, corpus, evaluators, TINY, latent_agent=foreign)
    with pytest.raises(ValueError, match="'cma'; there are unsteered, prior, best-of-n, "):
        run(gan, prior, corpus, evaluators, TINY, only=["gradient", "cma"])
    with pytest.raises(ValueError, match="at 32 calls: the curves go up to these at least, not to 16"):
        replace(QUICK, max_calls=16)
    with pytest.raises(ValueError, match="at 32 calls: the curves go up to these at least, not to 8"):
        replace(QUICK, step_calls=8)
    with pytest.raises(ValueError, match="the short budget has 32 calls at most, not 33"):
        replace(QUICK, short_calls=33)


# held-out evaluators ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def evaluators(models, corpus, small_prior, tmp_path_factory):
    """Evaluators made in a new folder, and made again: both, what was logged, and what the prior was trained on."""
    folder, logged, trained = tmp_path_factory.mktemp("evaluators") / "new", [], []

    def train(corpus, valid, out, recipe, network):
        trained.append((corpus, valid))
        out.mkdir(exist_ok=True)
        save_prior(out / "prior.safetensors", small_prior, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(critic, "_BATCH", 16)
        patch.setattr(prior_training, "train_prior", train)
        made = [make_evaluators(corpus, models[0], folder, critic_steps=3, log=logged.append)]
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        made.append(make_evaluators(corpus, models[0], folder, critic_steps=3, log=logged.append))
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return made, logged, trained


def test_evaluators_are_trained_once_for_each_generator(evaluators):
    (first, again), logged, trained = evaluators
    assert logged == ["training the held-out discriminator", "training the held-out prior"]
    assert len(trained) == 1
    assert again.critic.critic_fingerprint == first.critic.critic_fingerprint
    assert again.prior.fingerprint == first.prior.fingerprint


def test_evaluators_are_not_the_networks_of_the_reward(evaluators, models, small_prior):
    gan, prior, _ = models
    for made in evaluators[0]:
        # both are asked for bars of any role, as they were trained
        assert made.critic.condition == made.prior.condition == Condition()
        # the same generator, another discriminator, of another width
        assert made.critic.fingerprint == gan.fingerprint
        assert made.critic.config.discriminator_width != gan.config.discriminator_width
        assert made.critic.critic_fingerprint != gan.critic_fingerprint
        # the very prior that was trained for this
        assert made.prior.fingerprint == small_prior.fingerprint != prior.fingerprint


def test_the_held_out_prior_is_trained_on_songs_that_the_rewards_is_not(evaluators, corpus):
    ((songs, stopped_by),) = evaluators[2]
    assert {corpus.songs[i] for i in songs.song_id} == {corpus.songs[i] for i in corpus.split("valid").song_id}
    assert {corpus.songs[i] for i in stopped_by.song_id} <= {corpus.songs[i] for i in corpus.split("train").song_id}


def test_a_second_critic_learns_to_tell(models, corpus, monkeypatch, tmp_path):
    monkeypatch.setattr(critic, "_BATCH", 64)

    def trained(seed):
        state = torch.random.get_rng_state()
        train_critic(noisy, gan, tmp_path / f"{seed}.safetensors", seed, train_steps=25)
        assert torch.equal(torch.random.get_rng_state(), state)
        return load_gan(tmp_path / f"{seed}.safetensors")

    gan = models[0]
    noise = np.random.default_rng(0).integers(0, 4096, corpus.words.shape).astype(np.uint16)
    noisy = Corpus.of(
        noise, corpus.song_id, corpus.file_id, corpus.bar_index, corpus.songs, corpus.files, GM12
    )  # for real ones: easy to tell from what a generator makes
    before = fingerprint(gan)
    judge = trained(1)
    assert fingerprint(gan) == before
    logits = [judge.logits(bars) for bars in (words_to_bars(noise, 12), gan.sample(200, seed=900))]
    assert logits[0].mean() > logits[1].mean() + logits[1].std()
    assert fingerprint(trained(1)) == fingerprint(judge)
    assert fingerprint(trained(2)) != fingerprint(judge)


def test_evaluators_without_train_songs_are_refused(models, corpus, tmp_path):
    with pytest.raises(ValueError, match="bars of train and of valid songs"):
        make_evaluators(corpus.split("valid"), models[0], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_evaluators_of_another_kit_are_refused(models, corpus, tmp_path):
    other = replace(corpus, distinct_words=corpus.distinct_words & 31, kit=JAKI5)
    with pytest.raises(ValueError, match="kit"):
        make_evaluators(other, models[0], tmp_path)


@pytest.mark.parametrize("kept", [b"[" * 100_000, b"[]", b"7", b"", b"\xff"])
def test_a_kept_row_that_cannot_be_read_is_one_line(tmp_path, kept):
    cache = _RowCache(tmp_path, [])
    assert cache.take("row", None, lambda: {"a": 1.0, "b": float("nan")}) == {"a": 1.0, "b": None}
    (path,) = tmp_path.iterdir()
    path.write_bytes(kept)
    with pytest.raises(ValueError, match=r"^[^\n]*\.json: no JSON object can be read: [^\n]*$"):
        cache.take("row", None, dict)
