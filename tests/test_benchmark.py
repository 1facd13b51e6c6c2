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
from rl_tuner.benchmark import realism
from rl_tuner.benchmark import report as reports
from rl_tuner.benchmark.config import QUICK, BenchmarkConfig, RealismConfig
from rl_tuner.benchmark.evaluators import Evaluators, make_evaluators
from rl_tuner.benchmark.protocol import Row, interval, measure, measure_diversity, rows_of, run
from rl_tuner.benchmark.realism import RealBars, Realism, diversity, leakage, matched, mean_log_p, rank_correlation
from rl_tuner.benchmark.report import (
    AGENT,
    COMPARED,
    add_equal_time,
    calls_to_markdown,
    criteria,
    criteria_to_markdown,
    plotted,
    to_markdown,
    write_report,
)
from rl_tuner.benchmark.targets import FEASIBLE, INFEASIBLE, families
from rl_tuner.config import ReadOutConfig
from rl_tuner.latent.agent import LatentAgent, LatentAgentConfig, load_latent_agent
from rl_tuner.scale import TARGETS, values_of
from rl_tuner.search.actor import Actor
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.latent_agent import latent_agent_search
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
def dynamics(models):
    gan, prior, agent = models
    return agent.dynamics(gan, gan, prior)


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
def quick_dynamics(quick, models):
    _, prior, agent = models
    return agent.dynamics(quick, quick, prior)


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
    """Two baselines, the agent in two ways, and the unsteered row, with numbers that can be added in the head."""

    def row(name, kind, pairs, times, **more):
        curve = {"pairs": pairs, "crossed": [x / 2 for x in pairs], "corners": [0.0] * len(pairs)}
        return {
            "id": name,
            "kind": kind,
            "title": f"the {name}",
            "marks": [1, 32, 64, 256][: len(pairs)],
            "success": curve,
            "interval": {family: [0.01] * len(pairs) for family in FEASIBLE},
            "exact": 0.25,
            "error": [0.1, 0.3],
            "milliseconds": 1.5,
            "time_curve": times,
        } | more

    said = {"log_p": 0.125, "log_p_of_the_reward": 0.25, "logit": -0.5, "logit_of_the_reward": 0.75}
    agent_times = [[0.1 * k, 0.02 * k] for k in range(1, 33)]
    unsteered = {"id": "unsteered", "kind": "reference", "title": "random z", "c2st": 0.55, "copies": 0.01}
    rows = [
        unsteered,
        row("best-of-n", "baseline", [0.1, 0.4, 0.5, 0.8], [[1.0, 0.3], [3.2, 0.5], [3.3, 0.9]], unique=0.96),
        row("slow", "baseline", [0.1, 0.4], [[9.0, 1.0]]),
        row(AGENT, "agent", [0.1, 0.9, 0.95, 1.0], agent_times, c2st=0.57, unique=0.9, **said),
        row("agent", "agent", [0.1, 0.9], [[0.5, 0.7], [9.0, 0.9]]),
        row("agent-changed", "ablation", [0.1, 0.9], [[0.5, 0.6], [9.0, 0.9]]),
    ]
    report = {"config": asdict(BenchmarkConfig()), "rows": rows}
    add_equal_time(report)
    return report


def test_equal_time_is_the_agents_at_32_calls():
    shares = {row["id"]: row.get("success_at_equal_time") for row in _by_hand()["rows"]}
    assert shares == {
        "unsteered": None,
        "best-of-n": 0.5,  # what it has at 3.2 s, the agent's time, and not what comes after
        "slow": 0.0,  # its first call is not over
        AGENT: pytest.approx(0.64),
        "agent": 0.7,
        "agent-changed": 0.6,
    }


def test_equal_time_is_that_of_the_protocols_budget():
    report = _by_hand()
    report["config"]["calls"] = 10  # the agent's time is 1 s then
    add_equal_time(report)
    assert [row.get("success_at_equal_time") for row in report["rows"]] == [None, 0.3, 0.0, 0.2, 0.7, 0.6]


def test_criteria_are_differences_in_points():
    found = criteria(_by_hand())
    assert found["points over best of 32"] == pytest.approx({"pairs": 50, "crossed": 25, "corners": 0})
    assert found["points over best of 256"] == pytest.approx({"pairs": 10, "crossed": 5, "corners": 0})
    assert found["points over each baseline at 32 calls"] == pytest.approx({"the best-of-n": 50, "the slow": 50})
    assert found["C2ST over unsteered"] == pytest.approx(0.02)
    assert found["unique share of best of N's"] == pytest.approx(0.9 / 0.96)
    assert found["points over each baseline at equal time"] == pytest.approx({"the best-of-n": 14, "the slow": 64})
    text = criteria_to_markdown({"criteria": found})
    assert text.splitlines()[0] == "- points over best of 32: pairs +50.0, crossed +25.0, corners +0.0"
    assert "- C2ST over unsteered: +0.020" in text
    assert len(text.splitlines()) == len(found)


def test_criteria_are_not_numbers_where_no_target_was_reached_twice():
    report = _by_hand()
    del report["rows"][3]["unique"]
    assert np.isnan(criteria(report)["unique share of best of N's"])


def test_titles_decide_nothing():
    report = _by_hand()
    before, shown = criteria(report), [row["id"] for row in plotted(report)]
    for i, row in enumerate(report["rows"]):
        row["title"] = ("agent, ", "best of N", "unsteered")[i % 3] + str(i)
    add_equal_time(report)
    after = criteria(report)
    for how in ("equal time", "32 calls"):
        name = f"points over each baseline at {how}"
        assert list(after.pop(name).values()) == list(before.pop(name).values())
    assert after == before
    assert [row["id"] for row in plotted(report)] == shown


def test_the_plot_shows_baselines_and_agents_the_one_that_counts_last():
    assert [row["id"] for row in plotted(_by_hand())] == ["best-of-n", "slow", "agent", AGENT]


def test_the_table_has_a_row_for_each():
    report = _by_hand()
    head, rule, *rows = to_markdown(report).splitlines()
    assert len(rows) == 6
    assert {line.count("|") for line in (head, rule, *rows)} == {14}
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [row["title"] for row in report["rows"]]
    assert cells[0][1:] == [""] * 7 + ["0.550", "", "0.010", "", ""]
    assert cells[1][1:8] == ["40.0 ± 1.0", "20.0 ± 1.0", "0.0 ± 1.0", "25", "0.20", "1.5", "50.0"]
    assert cells[3][8:] == ["0.570", "0.900", "", "+0.125 (+0.250)", "-0.500 (+0.750)"]


def test_the_second_table_has_success_at_each_budget_and_exact_answers_of_rows_that_plan():
    report = _by_hand()
    report["rows"][3]["exact_curve"] = {"pairs": [0.0, 0.625, 0.75, 1.0]}
    head, rule, *rows = calls_to_markdown(report).splitlines()
    assert {line.count("|") for line in (head, rule, *rows)} == {6}
    assert head == "| | 8 calls | 16 calls | 32 calls | 64 calls |"
    assert rows[0] == "| the best-of-n |  |  | 40.0 / 20.0 / 0.0 | 50.0 / 25.0 / 0.0 |"
    assert rows[1] == "| the slow |  |  | 40.0 / 20.0 / 0.0 |  |"
    assert rows[-1] == f"| the {AGENT} |  |  | 90.0 / 45.0 / 0.0 (62) | 95.0 / 47.5 / 0.0 (75) |"
    assert len(rows) == 4


def test_a_report_is_three_files(tmp_path):
    report = _by_hand()
    report["criteria"] = criteria(report)
    paths = write_report(report, tmp_path / "new")
    assert [path.name for path in paths] == ["steering.md", "steering.json", "steering.png"]
    assert sorted(os.listdir(tmp_path / "new")) == ["steering.json", "steering.md", "steering.png"]
    assert json.loads(paths[1].read_text()) == json.loads(json.dumps(report))
    tables = (to_markdown(report), calls_to_markdown(report), criteria_to_markdown(report))
    assert paths[0].read_text() == "\n".join(tables)
    with Image.open(paths[2]) as picture:
        assert picture.size[0] > 900


def test_what_is_no_number_is_null_in_json(tmp_path, monkeypatch):
    monkeypatch.setattr(reports, "plot", lambda *arguments: None)
    report = _by_hand()
    del report["rows"][3]["c2st"]
    report["criteria"] = criteria(report)

    def refuse(constant):
        raise ValueError(constant)

    path = write_report(report, tmp_path)[1]
    kept = json.loads(path.read_text(), parse_constant=refuse)
    assert kept["criteria"]["C2ST over unsteered"] is None
    assert "+nan" in (tmp_path / "steering.md").read_text()


# the pieces of a run ------------------------------------------------------------------------------------------


def test_a_row_is_measured_at_its_marks(quick_dynamics, values):
    how = replace(TINY, pairs=60, crossed=60, corners=4, calls=8)
    found, answers = measure(quick_dynamics, Row("best-of-n", "baseline", "", best_of_n, 10), values, how)
    assert found["marks"] == [1, 2, 4, 8]
    for family in FEASIBLE:
        curve = found["success"][family]
        assert len(curve) == len(found["interval"][family]) == 4
        assert (np.diff(curve) >= 0).all()
        assert 0 <= curve[0] <= curve[-1] <= 1
    assert found["ends_cleanly"]
    assert len(found["time_curve"]) == 10
    assert (np.diff(found["time_curve"], axis=0) >= 0).all()
    # by hand, of the same search at the protocol's budget
    errors, exact, hits = [], [], []
    for family in ("pairs", "crossed"):
        for seed in how.seeds:
            targets = families(values, how.sizes, seed)[family]
            answer = Row("", "baseline", "", best_of_n).solve(quick_dynamics, targets, 8, seed)
            gaps = np.abs(answer.values - targets.numpy())
            errors.append((gaps / values.std(0).numpy()).mean(0))
            exact.append((gaps == 0).all(1).mean())
            hits.append((gaps <= 1).all(1).mean())
            assert (answers[len(hits) - 1].bars == answer.bars).all()
    assert len(answers) == 4
    assert found["error"] == pytest.approx(np.mean(errors, 0))
    assert found["exact"] == pytest.approx(np.mean(exact))
    assert found["success"]["pairs"][-1] == pytest.approx(np.mean(hits[:2]))
    assert found["success"]["crossed"][-1] == pytest.approx(np.mean(hits[2:]))
    assert 0 < found["rank"][0] <= 1


def test_a_row_that_plans_is_searched_anew_for_each_mark(quick_dynamics, values):
    """A search that succeeds only if it may use four calls: within four of a longer budget it would not have."""
    budgets = []

    def search(problem):
        budgets.append(problem.calls)
        state = quick_dynamics.begin(problem.noise(len(problem.open), 192), problem.goals)
        state.success[:] = float(problem.calls == 4)
        problem.record(state)

    how = replace(TINY, seeds=(0,), calls=8, max_calls=8)
    for plans, expected in ((True, [0, 0, 1, 0]), (False, [0, 0, 0, 0])):
        found, _ = measure(quick_dynamics, Row("", "agent", "", search, plans=plans), values, how)
        assert found["success"]["pairs"] == expected
    assert set(budgets) == {1, 2, 4, 8}


def test_a_row_that_spends_its_calls_at_once_is_timed_by_the_searches_of_its_marks(quick_dynamics, values):
    """A search of k calls takes 10 k seconds and reaches the first k of its targets, every second one exactly."""
    prepared, how = [], replace(TINY, seeds=(0,), pairs=6, crossed=6, calls=4, max_calls=4, step_calls=4)

    def search(problem):
        assert prepared  # before the clock started
        state = quick_dynamics.begin(problem.noise(len(problem.open), 192), problem.goals)
        places = torch.arange(len(problem.open))
        state.success[:] = (places < problem.calls).float()
        state.values[:] = problem.targets + torch.where(places % 2 == 0, 0.0, 0.5)[:, None]
        problem.record(state, problem.calls)
        problem._seconds = [10.0 * problem.calls] * problem.calls

    row = Row("", "baseline", "", search, 4, plans=True, at_once=True, prepare=lambda: prepared.append(1))
    found, _ = measure(quick_dynamics, row, values, how)
    assert found["marks"] == [1, 2, 4]
    assert found["success"]["pairs"] == pytest.approx([1 / 6, 2 / 6, 4 / 6])
    np.testing.assert_allclose(found["time_curve"], [[10, 1 / 6], [20, 2 / 6], [40, 4 / 6]])
    assert found["exact_curve"]["pairs"] == [0.5] * 3
    assert found["milliseconds"] == pytest.approx(1000 * 40 / 6)
    others, _ = measure(quick_dynamics, Row("", "baseline", "", best_of_n, 4), values, how)
    assert "exact_curve" not in others
    assert len(others["time_curve"]) == 4


def test_a_row_has_the_coefficients_that_it_says(quick_dynamics):
    asked = []

    def search(problem):
        asked.append(problem)
        best_of_n(problem)

    targets = torch.tensor([[16.0, 6.0], [20.0, 8.0]])
    Row("", "agent", "", search, coefs={"realism": 0.25, "kl": 0.5}).solve(quick_dynamics, targets, 2, 0)
    Row("", "agent", "", search, keep_best=False).solve(quick_dynamics, targets, 2, 0)
    some, none = asked
    coefs = {name: coef.tolist() for name, coef in some.goals.coefs.items()}
    assert coefs == {"realism": [0.25, 0.25], "kl": [0.5, 0.5]}
    assert some.keeps_best
    assert not none.keeps_best
    assert none.goals.coefs == {}


def test_the_agents_row_answers_better_than_a_first_draw(dynamics, models, values):
    targets = families(values, SIZES | {"pairs": 40}, 0)["pairs"]
    coefs = {"realism": 0.5, "likelihood": 0.5, "kl": 0.5}
    row = Row(AGENT, "agent", "", latent_agent_search(models[2], restarts=True), coefs=coefs)
    found = row.solve(dynamics, targets, 32, 0)
    assert found.success_within(32).mean() > found.success_within(1).mean() + 0.3
    gaps = np.abs(found.values - targets.numpy())
    assert (found.success == (gaps <= 1).all(1)).all()


def test_every_row_of_the_protocol_is_there_once(quick_dynamics, models, corpus):
    rows = rows_of(quick_dynamics, models[2], corpus, TINY)
    kinds = {row.id: row.kind for row in rows}
    assert len(kinds) == len({row.title for row in rows}) == len(rows) == 24
    assert Counter(kinds.values()) == {"baseline": 15, "agent": 2, "ablation": 7}
    assert {kinds[AGENT], kinds["agent"], kinds["best-of-n"]} == {"agent", "baseline"}
    by_id = {row.id: row for row in rows}
    assert [row.id for row in rows if not row.keep_best] == ["agent"]
    filters = ["particle-filter", "particle-filter-learned", "particle-filter-hasty"]
    by_step = [*filters, "greedy-by-step", "rejection-by-step"]
    assert [row.id for row in rows if row.at_once] == by_step
    assert [row.id for row in rows if row.plans] == [*by_step, AGENT]
    assert {by_id[name].calls for name in by_step} == {64}
    whole = {"realism": 0.25, "likelihood": 0.25, "kl": 0.25}
    assert by_id[AGENT].coefs == by_id["agent"].coefs == by_id["best-of-n-whole-reward"].coefs == whole
    assert by_id["agent-no-critic"].coefs == whole | {"realism": 0}
    assert by_id["agent-no-prior"].coefs == whole | {"likelihood": 0}
    assert by_id["agent-no-networks"].coefs == whole | {"realism": 0, "likelihood": 0}
    assert set(by_id["agent-realism-1"].coefs.values()) == {1.0}
    assert all(not row.coefs for row in rows if row.kind == "baseline" and row.id != "best-of-n-whole-reward")


def test_diversity_asks_for_the_same_targets_from_many_starts(quick_dynamics, values):
    asked = []

    def search(problem):
        asked.append((problem.targets, problem.calls))
        best_of_n(problem)

    how = replace(TINY, calls=2)
    measure_diversity(quick_dynamics, Row("", "baseline", "", search), values, how)
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


def test_leakage_is_the_change_of_what_was_not_asked_for(quick_dynamics, models, monkeypatch):
    """Two targets; the answers move density by 1 and 3 and syncopation by 2 and 4, from bars of (10, 5)."""
    importance = []

    def episodes(agent, dynamics, start, goals, seeds, returns):
        importance.append(goals.importance.tolist())
        path = np.full((2, 3, 2), np.nan)
        path[:, 0] = 10, 5
        return SimpleNamespace(values=np.array([[11, 3], [13, 9]]), path=path, success=np.array([True, False]))

    monkeypatch.setattr(realism, "run_episodes", episodes)
    values = torch.tensor([[1.0, 7.0], [3.0, 1.0], [5.0, 3.0]])  # of standard deviations 2 and 3.055
    found = leakage(quick_dynamics, models[2], torch.tensor([[8.0, 2.0], [9.0, 1.0]]), values, 3)
    assert importance == [[[1, 0], [1, 0]], [[0, 1], [0, 1]]]
    assert found["correlation of real bars"] == pytest.approx(-0.5)
    assert found["density alone: success"] == found["syncopation alone: success"] == 0.5
    assert found["density alone: change of syncopation"] == pytest.approx(3 / 3.055, abs=1e-3)
    assert found["syncopation alone: change of density"] == pytest.approx(2 / 2)
    assert found["density alone: correlation"] == pytest.approx(1)  # targets 8, 9 and syncopations 3, 9
    assert found["syncopation alone: correlation"] == pytest.approx(-1)  # targets 2, 1 and densities 11, 13


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
    rewarding = SimpleNamespace(generator=generator, prior=_Counting(2), critic=_Counting(3))
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


def test_realism_tells_real_bars_from_noise_and_unsteered_bars_from_none(dynamics, models, corpus, values):
    gan, prior, _ = models
    bars = words_to_bars(corpus.words, 12)
    real = RealBars(bars, corpus.song_id, values, bars[:40])
    how = RealismConfig(unsteered=3000, fewest_bars=100, repeats=1)
    reported = Realism(dynamics, Evaluators(gan, prior), real, how)
    unsteered = reported.of_unsteered(1600)
    assert unsteered["norm"][1] == pytest.approx(0.05, abs=0.02)  # 1 / sqrt(2 · 192)
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
    assert "norm" not in of_real
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
    calls=4,
    max_calls=4,
    long_calls=8,
    step_calls=8,
    starts=2,
    shared_targets=2,
    read_out=ReadOutConfig(bars=400, train_steps=3, batch_size=50),
    realism=RealismConfig(unsteered=300, repeats=1),
)


@pytest.fixture(scope="module")
def whole(quick, models, corpus, tmp_path_factory):
    """A run of every row in a folder: a function that begins it again, its report, and what was logged."""
    _, prior, agent = models

    def untrained(dynamics, values, seconds):
        torch.manual_seed(0)
        return Actor(192, 2, width=8).eval().requires_grad_(False)

    folder, logged = tmp_path_factory.mktemp("rows"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols, "train_actor", untrained)  # what is trained for a time differs each time

        def begin(held_out=prior, log=print, **options):
            return run(quick, prior, agent, corpus, Evaluators(quick, held_out), SMALLEST, log=log, **options)

        yield begin, begin(folder=folder, log=logged.append), folder, logged


def test_a_run_measures_every_row(whole, quick_dynamics, models, corpus, tmp_path):
    _, report, _, logged = whole
    rows = rows_of(quick_dynamics, models[2], corpus, SMALLEST)
    expected = [("unsteered", "reference"), ("prior", "reference"), *((row.id, row.kind) for row in rows)]
    assert [(row["id"], row["kind"]) for row in report["rows"]] == expected
    assert [text.rpartition(": ")[0] for text in logged] == [row["title"] for row in report["rows"]]
    assert report["config"] == asdict(SMALLEST)
    for row in report["rows"][2:]:
        assert row["ends_cleanly"], row["id"]
        assert row["marks"][-1] <= row["calls"]
        assert all(0 <= share <= 1 for curve in row["success"].values() for share in curve)
        assert 0 <= row["success_at_equal_time"] <= 1
        assert "matched" in row
    paths = write_report(report, tmp_path)
    assert all(path.stat().st_size for path in paths)
    assert len(to_markdown(report).splitlines()) == 2 + 26
    assert len(report["criteria"]) == 6
    assert len(report["leakage"]) == 7


def test_a_run_is_resumed_from_the_rows_of_its_folder(whole, small_prior):
    begin, report, folder, logged = whole
    assert len(list(folder.iterdir())) == len(logged) == 26
    more = []
    assert json.dumps(begin(folder=folder, log=more.append)) == json.dumps(report)
    assert more == []
    # of other models none of them is taken
    begin(folder=folder, log=more.append, only=["retrieval"], held_out=small_prior)
    assert [text.rpartition(": ")[0] for text in more] == [
        "unsteered",
        "best of N",
        "retrieval of a training bar",
        "agent, restarted",
    ]


def test_some_rows_alone_are_the_same_as_in_a_whole_run(whole):
    begin, report, _, _ = whole
    some = begin(only=["gradient", "prior"])
    assert {row["id"] for row in some["rows"]} == {*COMPARED, "gradient", "prior"}

    def timeless(report):
        timed = ("milliseconds", "success_at_equal_time", "time_curve")
        return {row["id"]: {name: row[name] for name in row if name not in timed} for row in report["rows"]}

    of_whole = timeless(report)
    assert timeless(some) == {name: of_whole[name] for name in timeless(some)}
    assert some["leakage"] == report["leakage"]


def test_runs_that_cannot_be_are_refused(models, corpus):
    gan, prior, agent = models
    evaluators = Evaluators(gan, prior)
    for part in ("train", "test"):
        with pytest.raises(ValueError, match="of train and of test songs"):
            run(gan, prior, agent, corpus.split(part), evaluators, TINY)
    other = LatentAgent(LatentAgentConfig.of(gan, features=("density",)))
    with pytest.raises(ValueError, match="density and syncopation"):
        run(gan, prior, other, corpus, evaluators, TINY)
    foreign = LatentAgent(LatentAgentConfig("0" * 16, 192, 192))
    with pytest.raises(ValueError, match="another generator"):
        run(gan, prior, foreign, corpus, evaluators, TINY)
    with pytest.raises(ValueError, match="'cma'; there are unsteered, prior, best-of-n, "):
        run(gan, prior, agent, corpus, evaluators, TINY, only=["gradient", "cma"])
    with pytest.raises(ValueError, match="at 32 calls: the curves go up to these at least, not to 16"):
        replace(QUICK, max_calls=16)
    with pytest.raises(ValueError, match="at 32 calls: the curves go up to these at least, not to 8"):
        replace(QUICK, step_calls=8)


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
        patch.setattr(critic, "_TRAIN_STEPS", 3)
        patch.setattr(critic, "_BATCH", 16)
        patch.setattr(prior_training, "train_prior", train)
        made = [make_evaluators(corpus, models[0], folder, log=logged.append)]
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        made.append(make_evaluators(corpus, models[0], folder, log=logged.append))
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
    monkeypatch.setattr(critic, "_TRAIN_STEPS", 25)
    monkeypatch.setattr(critic, "_BATCH", 64)

    def trained(seed):
        state = torch.random.get_rng_state()
        train_critic(noisy, gan, tmp_path / f"{seed}.safetensors", seed)
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
