"""Plots in the page's own light or dark."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from rhythmgan.draw import histogram_edges
from rl_tuner.steering import SteeringResult

_UNITS = {"density": "density, onsets"}
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#8a8a8a"


def paths(steered: SteeringResult) -> list[alt.LayerChart]:
    """For each feature its value in every episode over the calls, and the band in which the target is reached."""
    return [_one_path(steered, i, name) for i, name in enumerate(steered.features)]


def _one_path(steered: SteeringResult, i: int, name: str) -> alt.LayerChart:
    n, calls = steered.path.shape[:2]
    lines = pd.DataFrame(
        {
            "bar": np.repeat(np.arange(1, n + 1), calls),
            "call": np.tile(np.arange(1, calls + 1), n),
            "value": steered.path[:, :, i].ravel(),
        }
    ).dropna()
    found = pd.DataFrame({"bar": np.arange(1, n + 1), "call": steered.at, "value": steered.values[:, i]})
    target, unit = float(steered.targets[0, i]), float(steered.tolerance[i])
    band = pd.DataFrame({"low": [target - unit], "high": [target + unit]})
    x = alt.X("call:Q", title="call", axis=alt.Axis(format="d", tickMinStep=1))
    y = alt.Y("value:Q", title=_UNITS.get(name, name), scale=alt.Scale(zero=False))
    tips = [alt.Tooltip("bar:O"), alt.Tooltip("call:Q"), alt.Tooltip("value:Q", title=name, format=".3g")]
    return alt.layer(
        alt.Chart(band).mark_rect(color=_ORANGE, opacity=0.25).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        alt.Chart(lines).mark_line(color=_GREY, opacity=0.55, strokeWidth=1.2).encode(x, y, detail="bar:N"),
        alt.Chart(found).mark_point(color=_BLUE, filled=True, size=55, opacity=0.9).encode(x, y, tooltip=tips),
    ).properties(height=170)


def scatter(points: Mapping[str, np.ndarray], colour: str) -> alt.Chart:
    """Bars as points of a map (``seed``, ``x``, ``y``, ``density``, ``syncopation``); the nearest is picked."""
    picked = alt.selection_point(name="picked", fields=["seed"], nearest=True, empty=False)
    plain = alt.Axis(labels=False, ticks=False, grid=False, domain=False)
    return (
        alt.Chart(pd.DataFrame(points))
        .mark_circle(opacity=0.85)
        .encode(
            alt.X("x:Q", axis=plain, title="more density →"),
            alt.Y("y:Q", axis=plain, title="more syncopation →"),
            alt.Color(f"{colour}:Q", scale=alt.Scale(scheme="viridis"), legend=alt.Legend(orient="top", title=colour)),
            size=alt.condition(picked, alt.value(260), alt.value(34)),
            tooltip=["seed", "density", "syncopation"],
        )
        .properties(height=420)
        .add_params(picked)
    )


def histograms(sets: Mapping[str, np.ndarray], title: str) -> alt.Chart:
    """The shares of bars of two sets by the value of a feature, over each other."""
    edges = histogram_edges(np.concatenate(list(sets.values())))
    rows = []
    for name, values in sets.items():
        shares = np.histogram(values, edges)[0] / len(values)
        table = zip(edges, edges[1:], shares, strict=False)
        rows += [{"bars": name, "from": left, "to": right, "share": share} for left, right, share in table]
    return (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(opacity=0.55)
        .encode(
            alt.X("from:Q", bin="binned", title=title, scale=alt.Scale(nice=False)),
            alt.X2("to:Q"),
            alt.Y("share:Q", title="share of bars", axis=alt.Axis(format="%"), stack=None),
            alt.Color(
                "bars:N",
                title=None,
                scale=alt.Scale(domain=list(sets), range=[_GREY, _ORANGE]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=["bars", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=230)
    )
