"""The classifiers tell a model that plays what it is asked for from one that does not."""

from dataclasses import replace

import numpy as np
import pytest

from rhythmgan.bars import bars_to_words
from rhythmgan.candidates import Candidate, from_bars
from rhythmgan.conditions_met import roles_met, styles_met, to_markdown
from rhythmgan.data import Corpus
from rhythmgan.kit import GM9

GROOVE, VARIATION, FILL = range(3)


def _bars(rng, role, style, n):
    """Noise with what tells it: a tom line of fills, a ride of funk, a crash of rock; roles matter more in funk."""
    bars = rng.random((n, 16, 9)) < 0.1
    bars[:, :, 4] |= (role == FILL) & (rng.random((n, 16)) < 0.6)
    bars[:, ::2, 7] |= (style == "funk") & (rng.random((n, 8)) < 0.7)
    bars[:, ::2, 8] |= (style == "rock") & (rng.random((n, 8)) < 0.7)
    bars[:, 0, 0] = True
    return bars


def _songs(seed, files_each=24, bars_each=6):
    """Files of funk, rock and jazz in turn, every third bar a fill; each file is a song."""
    rng = np.random.default_rng(seed)
    styles = ("unknown", "funk", "rock", "jazz")
    n_files = files_each * 2 + 5  # five of jazz
    style = np.array([1, 2] * files_each + [3] * 5)
    role = np.where(np.arange(n_files * bars_each) % 3 == 2, FILL, GROOVE)
    file = np.repeat(np.arange(n_files), bars_each)
    bars = np.concatenate([_bars(rng, r, styles[style[f]], 1) for r, f in zip(role, file, strict=True)])
    names = tuple(f"{seed}/{index}" for index in range(n_files))
    index = np.tile(np.arange(bars_each), n_files)
    corpus = Corpus.of(bars_to_words(bars), file, file, index, names, names, GM9, role)
    return replace(corpus, styles=styles, file_style=style.astype(np.int16))


def _model(name, plays, roles=("groove", "fill"), styles=("funk", "rock")):
    """A conditional model: ``plays`` (role, style) → the role and style that it plays."""
    asked_for = []

    def ask(role, style):
        def draw(n, seed):
            asked_for.append((role, style))
            played = plays(role, style)
            return _bars(np.random.default_rng([seed, *name.encode()]), *played, n), None

        return draw

    model = Candidate(name, ask("any", "any"), ask=ask, roles=roles, styles=styles)
    return model, asked_for


ROLE = {"any": GROOVE, "groove": GROOVE, "variation": VARIATION, "fill": FILL}


def _obeys(role, style):
    return ROLE[role], style


def test_a_model_that_plays_what_it_is_asked_for_is_told_as_well_as_real_bars():
    held, training = _songs(1), _songs(2)
    obedient, asked_for = _model("obeys", _obeys)
    deaf, _ = _model("deaf", lambda role, style: (GROOVE, style))
    found = roles_met(held, training, [obedient, deaf, from_bars("bars", np.ones((200, 16, 9), bool))], 300, 0)
    assert (found["labels"], found["held_out"]) == (["groove", "fill"], {"groove": 53, "fill": 53})
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["real, held-out songs", "obeys", "deaf"]
    assert rows["real, held-out songs"]["mean"] > 0.9
    assert abs(rows["obeys"]["mean"] - rows["real, held-out songs"]["mean"]) < 0.05
    assert rows["deaf"]["groove"] > 0.9
    assert rows["deaf"]["fill"] < 0.1
    for row in rows.values():
        assert row["mean"] == pytest.approx((row["groove"] + row["fill"]) / 2)
    assert asked_for == [("groove", "any"), ("fill", "any")]


def test_styles_with_enough_performances_are_told_from_each_other():
    held, training = _songs(1), _songs(2)
    obedient, asked_for = _model("obeys", _obeys)
    swapped, _ = _model("swapped", lambda role, style: (ROLE[role], {"funk": "rock", "rock": "funk"}[style]))
    found = styles_met(held, training, [obedient, swapped], 300, 0)
    assert found["held_out"] == {"funk": 24, "rock": 24}  # five performances of jazz are too few
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["real, held-out songs"]["mean"] > 0.9
    assert rows["obeys"]["mean"] > 0.9
    assert rows["swapped"]["mean"] < 0.1
    # the roles of a style in the shares of its songs, two thirds grooves
    assert set(asked_for) == {(role, style) for role in ("groove", "fill") for style in ("funk", "rock")}
    found = styles_met(held.with_role("fill"), training.with_role("fill"), [_model("x", _obeys)[0]], 200, 0, "fill")
    assert found["rows"][1]["mean"] > 0.9


def test_performances_weigh_the_same():
    """One rock song of 6,000 bars without a sign of rock is one of 24 all the same."""
    held = _songs(1)
    plain = held.only(np.concatenate([np.arange(len(held)), np.repeat(np.flatnonzero(held.file_id == 1), 1000)]))
    model, _ = _model("obeys", _obeys)
    ours, theirs = (styles_met(songs, _songs(2), [model], 300, 0)["rows"][0] for songs in (held, plain))
    assert abs(ours["rock"] - theirs["rock"]) < 0.05


def test_nothing_is_said_where_there_is_nothing_to_tell():
    held, training = _songs(1), _songs(2)
    model, _ = _model("m", _obeys)
    assert roles_met(held, training, [from_bars("bars", np.ones((200, 16, 9), bool))], 100, 0) is None
    assert roles_met(held, training, [_model("m", _obeys, roles=("groove",))[0]], 100, 0) is None
    assert roles_met(held.with_role("groove"), training, [model], 100, 0) is None
    assert styles_met(held, training, [_model("m", _obeys, styles=("funk",))[0]], 100, 0) is None
    assert styles_met(held.only(held.file_id < 30), training, [model], 100, 0) is None  # 15 performances of each
    assert styles_met(held, training.with_style("funk"), [model], 100, 0) is None


def test_the_table_by_hand():
    found = {
        "labels": ["funk", "rock"],
        "held_out": {"funk": 26, "rock": 44},
        "rows": [{"name": "a|b", "funk": 0.66251, "rock": 0.9, "mean": 0.78126}],
    }
    title, _, said, _, *table = to_markdown("styles", found)
    assert title == "## Styles that are asked for"
    assert said.endswith("26 performances of funk, 44 performances of rock.")
    assert table == [
        "| bars | funk | rock | mean |",
        "| --- | ---: | ---: | ---: |",
        "| a\\|b | 0.663 | 0.900 | 0.781 |",
        "",
    ]
