"""Plots in the page's own light or dark."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from rhythmgan.draw import histogram_edges

_ORANGE, _GREY = "#d55e00", "#8a8a8a"


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
