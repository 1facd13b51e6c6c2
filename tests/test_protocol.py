"""The protocol: targets are what they are called, pairs are matched fairly, and a report says what was measured."""

import json
import os
from collections import Counter
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rhythmgan.bars import words_to_bars
from rhythmgan.data import Corpus, load_patterns
from rhythmgan.features import density, syncopation
from rhythmgan.kit import GM9, JAKI5
from rhythmgan.models.gan import load_gan
from rhythmgan.models.weights import fingerprint
from rhythmgan.models.word_lstm import WordLSTM, WordLSTMConfig, load_prior, save_prior
from rhythmgan.training import critic
from rhythmgan.training.critic import train_critic
from rl_tuner import protocol
from rl_tuner.agent import Agent, AgentConfig, load_agent
from rl_tuner.judges import Judges, make_judges
from rl_tuner.latent.space import TARGETS, values_of
from rl_tuner.protocol import AGENT, FEASIBLE, INFEASIBLE, Protocol, Row, families, lines_to_markdown, to_markdown
from rl_tuner.search.actor import Actor
from rl_tuner.search.best_of_n import best_of_n
from rl_tuner.search.problem import NEVER, SearchResult

TINY = Protocol((0, 1), 6, 5, 6, 4, 32, 40, 4, 3, 0.2, 1)


@pytest.fixture(scope="module")
def models(one_thread):
    return load_gan(), load_prior(), load_agent()


@pytest.fixture(scope="module")
def corpus():
    """Sixty songs of eight bars: the first half of one textbook bar and the second half of another."""
    rng = np.random.default_rng(0)
    patterns = load_patterns().words
    first, second = (patterns[rng.integers(0, len(patterns), 480)] for _ in range(2))
    rows = np.concatenate([first[:, :8], second[:, 8:]], 1)
    song = np.repeat(np.arange(60, dtype=np.int32), 8)
    bar = np.tile(np.arange(8, dtype=np.int32), 60)
    names = tuple(f"song {i}" for i in range(60))
    return Corpus(rows, song, np.zeros(480, np.int32), bar, names, ("made",), GM9)


@pytest.fixture(scope="module")
def values(corpus):
    return values_of(words_to_bars(corpus.words, 9), TARGETS, GM9)


# targets ----------------------------------------------------------------------------------------------------


def test_families_have_the_sizes_that_were_asked_for(values):
    found = families(values, Protocol(pairs=30, crossed=20, corners=10, infeasible=7), seed=0)
    assert list(found) == [*FEASIBLE, INFEASIBLE]
    assert [tuple(each.shape) for each in found.values()] == [(30, 2), (20, 2), (10, 2), (7, 2)]
    again, other = families(values, Protocol(), 3), families(values, Protocol(), 4)
    assert all(torch.equal(again[name], each) for name, each in families(values, Protocol(), 3).items())
    assert not torch.equal(again["pairs"], other["pairs"])
    assert torch.equal(again["corners"], other["corners"])


def test_pairs_are_those_of_real_bars_and_crossed_ones_are_not(values):
    known = {tuple(row) for row in values.tolist()}
    found = families(values, Protocol(pairs=400, crossed=400), seed=1)
    assert all(tuple(row) in known for row in found["pairs"].tolist())
    assert not all(tuple(row) in known for row in found["crossed"].tolist())
    for i in range(2):
        assert set(found["crossed"][:, i].tolist()) <= set(values[:, i].tolist())
    ladder = torch.arange(500.0)[:, None].repeat(1, 2)  # two features that are one
    found = families(ladder, Protocol(pairs=400, crossed=400), seed=1)
    assert (found["pairs"][:, 0] == found["pairs"][:, 1]).all()
    assert abs(np.corrcoef(found["crossed"].T.numpy())[0, 1]) < 0.2


def test_corners_are_the_four_of_the_quantiles(values):
    ladder = torch.arange(101.0)[torch.randperm(101, generator=torch.Generator().manual_seed(0))]
    corners = families(torch.stack([ladder, 2 * ladder.flip(0)], 1), Protocol(corners=8), 0)["corners"]
    four = {(5.0, 10.0), (5.0, 190.0), (95.0, 10.0), (95.0, 190.0)}
    assert {tuple(row) for row in corners[:4].tolist()} == four
    assert Counter(map(tuple, corners.tolist())) == dict.fromkeys(four, 2)


def test_no_bar_can_have_what_is_infeasible(values):
    """The most syncopation of three lines with d onsets in all, by looking at every line there is."""
    lines = ((np.arange(1 << 16)[:, None] >> np.arange(16)) & 1).astype(bool)
    bars = np.zeros((1 << 16, 16, 9), bool)
    bars[:, :, 0] = lines
    found, onsets = syncopation(bars, GM9).numpy(), lines.sum(1)
    one = np.array([found[onsets <= k].max() for k in range(17)])
    three = [
        max(one[i] + one[j] + one[min(d - i - j, 16)] for i in range(min(d, 16) + 1) for j in range(min(d - i, 16) + 1))
        for d in range(49)
    ]
    assert three[4] == 15  # by hand: two kicks off the beat with 7, and a snare and a hat with 4 each
    targets = families(values, Protocol(), 0)[INFEASIBLE]
    assert len(targets) == 100
    for wanted, syncopated in targets.tolist():
        most = three[min(int(wanted) + 1, 48)]
        assert wanted - 1 > 16 * 9 or syncopated - 1 > most


# matching and intervals ---------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25),
    st.integers(0, 99),
)
def test_matched_rows_are_equal_and_used_once(values, pool, seed):
    values, pool = np.array(values, np.float32), np.array(pool, np.float32)
    mine, theirs = protocol._matched(values, pool, np.random.default_rng(seed))
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
    drawn = {protocol._matched(pool[:1], pool, np.random.default_rng(seed))[1][0] for seed in range(30)}
    assert len(drawn) > 20


def test_nothing_matches_nothing():
    mine, theirs = protocol._matched(np.zeros((0, 2)), np.zeros((3, 2)), np.random.default_rng(0))
    assert mine.dtype == theirs.dtype == int
    assert len(mine) == len(theirs) == 0


def test_intervals_are_those_of_a_table():
    """Student's t at 97.5 %: 2.776 of four degrees of freedom, 12.706 of one."""
    seeds = np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5], [0.4, 0.5], [0.5, 0.5]])
    spread = np.sqrt(0.025)  # of 0.1 … 0.5, with n − 1
    assert protocol._interval(seeds) == pytest.approx([2.776 * spread / np.sqrt(5), 0], abs=1e-4)
    assert protocol._interval(np.array([[0.0], [1.0]]))[0] == pytest.approx(12.706 * 0.5, abs=1e-3)
    assert protocol._interval(np.array([[0.3, 0.4]])).tolist() == [0, 0]


def test_rank_correlation_of_a_constant_is_zero():
    assert protocol._rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])) == pytest.approx(0.5)
    assert protocol._rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])) == 0


def test_rank_correlation_with_constant_targets_is_zero_too():
    assert protocol._rank_correlation(np.array([2.0, 2.0, 2.0]), np.array([1.0, 5.0, 3.0])) == 0


# tables -----------------------------------------------------------------------------------------------------


def _by_hand():
    """Two rivals, the agent, and the unsteered row, with numbers that can be added in the head."""

    def row(name, pairs, times, **more):
        curve = {"pairs": pairs, "crossed": [x / 2 for x in pairs], "corners": [0.0] * len(pairs)}
        return {
            "name": name,
            "marks": [1, 32, 64, 256][: len(pairs)],
            "success": curve,
            "interval": {family: [0.01] * len(pairs) for family in FEASIBLE},
            "exact": 0.25,
            "error": [0.1, 0.3],
            "milliseconds": 1.5,
            "time_curve": times,
        } | more

    judged = {"nats": 0.125, "nats_of_the_reward": 0.25, "logit": -0.5, "logit_of_the_reward": 0.75}
    agent_times = [[0.1 * k, 0.02 * k] for k in range(1, 33)]
    return {
        "protocol": asdict(Protocol()),
        "rows": [
            {"name": "unsteered", "c2st": 0.55, "judged": 900, "copies": 0.01},
            row("best of N", [0.1, 0.4, 0.5, 0.8], [[1.0, 0.3], [3.2, 0.5], [3.3, 0.9]], unique=0.96),
            row("slow", [0.1, 0.4], [[9.0, 1.0]]),
            row("agent, never worse", [0.1, 0.9], [[0.5, 0.7], [9.0, 0.9]]),
            row(AGENT, [0.1, 0.9, 0.95, 1.0], agent_times, c2st=0.57, unique=0.9, **judged),
        ],
    }


def test_equal_time_is_the_agents_at_32_calls():
    report = _by_hand()
    protocol._equal_time(report)
    shares = {row["name"]: row.get("success_at_equal_time") for row in report["rows"]}
    assert shares == {
        "unsteered": None,
        "best of N": 0.5,  # what it has at 3.2 s, the agent's time, and not what comes after
        "slow": 0.0,  # its first call is not over
        "agent, never worse": 0.7,
        AGENT: pytest.approx(0.64),
    }


def test_lines_are_differences_in_points():
    report = _by_hand()
    protocol._equal_time(report)
    lines = protocol._lines(report)
    assert lines["points over best of 32"] == pytest.approx({"pairs": 50, "crossed": 25, "corners": 0})
    assert lines["points over best of 256"] == pytest.approx({"pairs": 10, "crossed": 5, "corners": 0})
    assert lines["C2ST over unsteered"] == pytest.approx(0.02)
    assert lines["unique share of best of N's"] == pytest.approx(0.9 / 0.96)
    assert lines["points over each rival at equal time"] == pytest.approx({"best of N": 14, "slow": 64})
    text = lines_to_markdown({"lines": lines})
    assert text.splitlines()[0] == "- points over best of 32: pairs +50.0, crossed +25.0, corners +0.0"
    assert "- C2ST over unsteered: +0.020" in text
    assert len(text.splitlines()) == len(lines)


def test_lines_of_an_agent_that_reached_nothing_twice():
    report = _by_hand()
    protocol._equal_time(report)
    del report["rows"][-1]["unique"]
    assert np.isnan(protocol._lines(report)["unique share of best of N's"])


def test_the_table_has_a_row_for_each():
    report = _by_hand()
    protocol._equal_time(report)
    head, rule, *rows = to_markdown(report).splitlines()
    assert len(rows) == 5
    assert {line.count("|") for line in (head, rule, *rows)} == {14}
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [row["name"] for row in report["rows"]]
    assert cells[0][1:] == [""] * 7 + ["0.550", "", "0.010", "", ""]
    assert cells[1][1:8] == ["40.0 ± 1.0", "20.0 ± 1.0", "0.0 ± 1.0", "25", "0.20", "1.5", "50.0"]
    assert cells[4][8:] == ["0.570", "0.900", "", "+0.125 (+0.250)", "-0.500 (+0.750)"]


def test_a_report_is_three_files(tmp_path):
    report = _by_hand()
    protocol._equal_time(report)
    report["lines"] = protocol._lines(report)
    paths = protocol.write_report(report, tmp_path / "new")
    assert [path.name for path in paths] == ["steering.md", "steering.json", "steering.png"]
    assert sorted(os.listdir(tmp_path / "new")) == ["steering.json", "steering.md", "steering.png"]
    assert json.loads(paths[1].read_text()) == json.loads(json.dumps(report))
    assert paths[0].read_text() == to_markdown(report) + "\n" + lines_to_markdown(report)
    with Image.open(paths[2]) as picture:
        assert picture.size[0] > 900


def test_a_report_without_judged_bars_is_json_still(tmp_path):
    report = _by_hand()
    protocol._equal_time(report)
    del report["rows"][-1]["c2st"]
    report["lines"] = protocol._lines(report)

    def refuse(constant):
        raise ValueError(constant)

    path = protocol.write_report(report, tmp_path)[1]
    json.loads(path.read_text(), parse_constant=refuse)


# the pieces of a run ------------------------------------------------------------------------------------------


def test_a_row_is_measured_at_its_marks(models, values):
    gan, prior, agent = models
    dynamics = agent.dynamics(gan, gan, prior)
    how = replace(TINY, pairs=15, crossed=15, corners=4)
    found = protocol._measure(dynamics, Row("best of N", best_of_n, 40), values, how)
    assert found["marks"] == [1, 2, 4, 8, 16, 32]
    for family in FEASIBLE:
        curve = found["success"][family]
        assert len(curve) == len(found["interval"][family]) == 6
        assert (np.diff(curve) >= 0).all()
        assert 0 <= curve[0] <= curve[-1] <= 1
    assert found["ends_cleanly"]
    assert len(found["time_curve"]) == 40
    assert (np.diff(found["time_curve"], axis=0) >= 0).all()
    # by hand, of the same search at the budget of the lines
    errors, exact, hits = [], [], []
    for seed in how.seeds:
        for family in ("pairs", "crossed"):
            targets = families(values, how, seed)[family]
            answer = protocol.search(dynamics, Row("", best_of_n), targets, 32, seed)
            gaps = np.abs(answer.values - targets.numpy())
            errors.append((gaps / values.std(0).numpy()).mean(0))
            exact.append((gaps == 0).all(1).mean())
            hits.append((gaps <= 1).all(1).mean())
    assert found["error"] == pytest.approx(np.mean(errors, 0))
    assert found["exact"] == pytest.approx(np.mean(exact))
    assert found["success"]["pairs"][-1] == pytest.approx(np.mean(hits[0::2]))
    assert found["success"]["crossed"][-1] == pytest.approx(np.mean(hits[1::2]))
    assert [len(each) for each in (found["pairs"], found["crossed"])] == [2, 2]
    assert 0 < found["rank"][0] <= 1


def test_the_agents_row_answers_better_than_a_first_draw(models, values):
    gan, prior, agent = models
    targets = families(values, replace(TINY, pairs=40), 0)["pairs"]
    row = Row(AGENT, protocol.agent_search(agent, restarts=True), 32, True, 0.5, 0.5, 0.5)
    found = protocol.search(agent.dynamics(gan, gan, prior), row, targets, 32, 0)
    assert found.success_within(32).mean() > found.success_within(1).mean() + 0.3
    gaps = np.abs(found.values - targets.numpy())
    assert (found.success == (gaps <= 1).all(1)).all()


def test_every_row_of_the_protocol_is_there_once(models, corpus):
    gan, prior, agent = models
    rows = protocol.rows_of(agent.dynamics(gan, gan, prior), agent, corpus, TINY)
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert AGENT in names
    for part in ("best of N", "whole reward", "random walk", "greedy", "CMA-ES", "gradient", "linear", "actor"):
        assert any(part in name for name in names), part
    for part in ("retrieval", "edit", "never worse", "restarted", "without discriminator", "without prior"):
        assert any(part in name for name in names), part
    plain = next(row for row in rows if row.name == "agent")
    assert not plain.selects
    assert all(row.selects for row in rows if row.name != "agent")


def test_diversity_is_that_of_the_bars_that_hit(models, values, monkeypatch):
    gan, prior, agent = models
    bars = gan.sample(12, seed=5)
    bars[1] = bars[0]
    hit = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0], bool)  # three of the first target, one of the next, none
    asked = {}

    def answer(dynamics, row, targets, calls, seed):
        asked["targets"] = targets
        nothing = np.zeros(12)
        return SearchResult(bars, np.zeros((12, 2)), hit, np.where(hit, 1, NEVER), nothing, nothing)

    monkeypatch.setattr(protocol, "search", answer)
    found = protocol._diversity(agent.dynamics(gan, gan, prior), Row("", best_of_n), values, TINY)
    expected = families(values, TINY, 0)["pairs"][:3]
    assert torch.equal(asked["targets"], expected[[0] * 4 + [1] * 4 + [2] * 4])
    assert found["unique"] == pytest.approx(2 / 3)
    assert found["hamming"] == pytest.approx(2 * (bars[0] != bars[2]).sum() / 3)  # of the pairs 01, 02, 12
    hit[:] = False
    assert protocol._diversity(agent.dynamics(gan, gan, prior), Row("", best_of_n), values, TINY) == {}


def test_the_court_tells_real_bars_from_noise_and_plain_bars_from_none(models, corpus, values, monkeypatch):
    gan, prior, agent = models
    monkeypatch.setattr(protocol, "_POOL", 1500)
    monkeypatch.setattr(protocol, "_LEAST", 100)
    real = words_to_bars(corpus.words, 9)
    how = replace(TINY, pairs=100, crossed=100)
    court = protocol._Court(
        agent.dynamics(gan, gan, prior), Judges(gan, prior), real, corpus.song_id, values, real[:40], how
    )
    unsteered = court.judge_unsteered()
    assert unsteered["norm"][1] == pytest.approx(0.06, abs=0.03)  # 1 / sqrt(2 · 144)
    assert unsteered["judged"] >= 100
    assert unsteered["nats"] == pytest.approx(0, abs=0.1)

    rng = np.random.default_rng(0)
    noise = rng.permuted(real.reshape(480, -1), axis=1).reshape(real.shape)  # as dense as real bars are
    found = []
    for bars in (real, noise):
        mine = torch.stack([density(bars, GM9), syncopation(bars, GM9)], 1).numpy()
        z = np.full((480, 144), np.nan)
        found.append(SearchResult(bars, mine, np.arange(480) < 400, np.ones(480, int), np.zeros(1), z))
    judged = court.judge([found[0]])
    assert judged["judged"] == 400
    assert "norm" not in judged
    assert judged["copies"] > 0
    few = court.judge([replace(found[1], success=np.arange(480) < 3)])
    assert few == {"judged": few["judged"]}
    assert few["judged"] <= 3
    noisy = court.judge([found[1]])
    assert noisy["judged"] >= 100
    assert noisy["c2st"] > judged["c2st"]
    assert noisy["nats"] < judged["nats"] - 1
    assert noisy["logit"] < judged["logit"]
    assert noisy["nats"] == noisy["nats_of_the_reward"]  # the same networks judge here


# a whole run --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reports(models, corpus):
    """The same tiny protocol twice, and what was told."""
    gan, prior, agent = models
    told = []

    def actor(dynamics, values, seconds, *arguments, **options):
        torch.manual_seed(0)
        return Actor(dynamics.space.latent_dim, 2, width=8).eval().requires_grad_(False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "_POOL", 300)
        patch.setattr(protocol, "CALLS", 4)
        patch.setattr(protocol, "train_actor", actor)  # what one learns in a time is another each time
        how = Protocol((0, 1), 3, 3, 4, 4, 4, 4, 2, 2, 0.1, 1)
        made = [protocol.run(gan, prior, agent, corpus, Judges(gan, prior), how, tell=told.append) for _ in range(2)]
    return made, told


def test_a_run_measures_every_row(reports, tmp_path):
    (report, _), told = reports
    names = [row["name"] for row in report["rows"]]
    assert names[0] == "unsteered"
    assert len(set(names)) == len(names) > 18
    steered = [row for row in report["rows"] if "success" in row]
    assert len(steered) >= 18
    assert all(any(text.startswith(f"{row['name']}: ") for text in told) for row in steered)
    assert report["protocol"]["seeds"] == (0, 1)
    for row in steered:
        assert row["ends_cleanly"], row["name"]
        assert row["marks"][-1] <= row["calls"]
        assert all(0 <= share <= 1 for curve in row["success"].values() for share in curve)
        assert 0 <= row["success_at_equal_time"] <= 1
        assert "pairs" not in row
    paths = protocol.write_report(report, tmp_path)
    assert all(path.stat().st_size for path in paths)
    assert len(to_markdown(report).splitlines()) == 2 + len(names)
    assert len(report["lines"]) == 5


def test_a_run_is_the_same_again_but_for_times(reports):
    def timeless(report):
        rows = [
            {k: v for k, v in row.items() if k not in ("milliseconds", "success_at_equal_time", "time_curve")}
            for row in report["rows"]
        ]
        lines = {name: line for name, line in report["lines"].items() if "time" not in name}
        return json.dumps([report["protocol"], rows, lines])

    (first, second), _ = reports
    assert timeless(first) == timeless(second)


def test_runs_that_cannot_be_are_refused(models, corpus):
    gan, prior, agent = models
    train = corpus.split("train")
    with pytest.raises(ValueError, match="of train and of test songs"):
        protocol.run(gan, prior, agent, train, Judges(gan, prior), TINY)
    other = Agent(AgentConfig(fingerprint(gan.generator), 144, ("density",)))
    with pytest.raises(ValueError, match="density and syncopation"):
        protocol.run(gan, prior, other, corpus, Judges(gan, prior), TINY)
    foreign = Agent(AgentConfig("0" * 16, 144))
    with pytest.raises(ValueError, match="another generator"):
        protocol.run(gan, prior, foreign, corpus, Judges(gan, prior), TINY)


def test_a_run_without_train_songs_is_refused(models, corpus, monkeypatch):
    gan, prior, agent = models
    monkeypatch.setattr(protocol, "_POOL", 300)
    with pytest.raises(ValueError, match="bars"):
        protocol.run(gan, prior, agent, corpus.split("test"), Judges(gan, prior), TINY)


# judges -------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_judges(monkeypatch):
    monkeypatch.setattr(critic, "_TRAIN_STEPS", 3)
    monkeypatch.setattr(critic, "_BATCH", 16)


@pytest.mark.usefixtures("quick_judges")
def test_judges_are_trained_once_for_each_generator(models, corpus, tmp_path, monkeypatch):
    import rhythmgan.training.prior as training

    gan = models[0]
    learnt = []

    def train_prior(corpus, valid, out, recipe, network):
        learnt.append((corpus, valid))
        torch.manual_seed(0)
        out.mkdir(exist_ok=True)
        save_prior(out / "prior.safetensors", WordLSTM(WordLSTMConfig(width=8, word_width=8)), {})

    monkeypatch.setattr(training, "train_prior", train_prior)
    told = []
    first = make_judges(corpus, gan, tmp_path / "judges", tell=told.append)
    assert len(told) == 2
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "judges").iterdir()}
    again = make_judges(corpus, gan, tmp_path / "judges", tell=told.append)
    assert len(told) == 2
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "judges").iterdir()} == before
    assert fingerprint(again.critic) == fingerprint(first.critic)
    # the same generator, another discriminator, of another width
    assert first.critic.fingerprint == gan.fingerprint
    assert first.critic.config.discriminator_width != gan.config.discriminator_width
    assert first.critic.critic_fingerprint != gan.critic_fingerprint
    # the prior has seen no song that the reward's may have learnt from, but to stop by
    ((seen, stopped_by),) = learnt
    assert {corpus.songs[i] for i in seen.song_id} == {corpus.songs[i] for i in corpus.split("valid").song_id}
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
    noise = np.random.default_rng(0).integers(0, 512, corpus.words.shape).astype(np.uint16)
    noisy = replace(corpus, words=noise)  # for real ones: easy to tell from what a generator makes
    before = fingerprint(gan)
    judge = trained(1)
    assert fingerprint(gan) == before
    logits = [judge.logits(bars) for bars in (words_to_bars(noise, 9), gan.sample(200, seed=900))]
    assert logits[0].mean() > logits[1].mean() + logits[1].std()
    assert fingerprint(trained(1)) == fingerprint(judge)
    assert fingerprint(trained(2)) != fingerprint(judge)


@pytest.mark.usefixtures("quick_judges")
def test_judges_without_train_songs_are_refused(models, corpus, tmp_path):
    with pytest.raises(ValueError, match="bars"):
        make_judges(corpus.split("valid"), models[0], tmp_path, tell=lambda text: None)


@pytest.mark.usefixtures("quick_judges")
def test_judges_of_another_kit_are_refused(models, corpus, tmp_path):
    other = replace(corpus, words=corpus.words & 31, kit=JAKI5)
    with pytest.raises(ValueError, match="kit"):
        make_judges(other, models[0], tmp_path, tell=lambda text: None)
