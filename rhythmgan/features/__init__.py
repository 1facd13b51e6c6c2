"""Numbers of a bar: density, syncopation in its published forms, repetition, evenness, balance; and swing where played.

A *line* is one part's onsets, or those of several parts together: (n, steps) bool. Everything is
cyclic in the bar unless said, batched, and stays on the device that it came from; NumPy arrays are
taken as well. What a function returns is a tensor (n,).

``density`` and ``syncopation`` also take cells between 0 and 1, as a generator's probabilities: they
are then the expected value over bars whose cells are drawn independently, a polynomial in the cells
that can be differentiated and that is exact where every cell is 0 or 1.
"""

from rhythmgan.features.complexity import accents, clock_score, shmulevich_povel
from rhythmgan.features.counts import GROUPS, density, off_beat_share, parts_used, step_density
from rhythmgan.features.grooves import backbeat, cymbal_steps, is_groove, kick_on_one, tom_steps, what_songs_play
from rhythmgan.features.lines import cells_of, streams, union
from rhythmgan.features.metrical import metrical_weights
from rhythmgan.features.note_rest import note_rest_lhl, syncopation
from rhythmgan.features.shape import balance, cosine_evenness, evenness, npvi, repetition
from rhythmgan.features.syncopation_measures import (
    hoesl_senn,
    keith,
    metric_complexity,
    off_beatness,
    short_sighted_lhl,
    signed_lhl,
    witek,
    wnbd,
)
from rhythmgan.features.table import (
    FEATURES,
    PERFORMANCE_FEATURES,
    check_feature,
    check_performance_feature,
    density_and_syncopation,
    features_of_grid,
    measure,
    measure_performance,
)
from rhythmgan.features.timing import LEVELS, sixteenth_swing, swing, swing_of_onsets, with_swing, with_swung_bars

__all__ = [
    "FEATURES",
    "GROUPS",
    "LEVELS",
    "PERFORMANCE_FEATURES",
    "accents",
    "backbeat",
    "balance",
    "cells_of",
    "check_feature",
    "check_performance_feature",
    "clock_score",
    "cosine_evenness",
    "cymbal_steps",
    "density",
    "density_and_syncopation",
    "evenness",
    "features_of_grid",
    "hoesl_senn",
    "is_groove",
    "keith",
    "kick_on_one",
    "measure",
    "measure_performance",
    "metric_complexity",
    "metrical_weights",
    "note_rest_lhl",
    "npvi",
    "off_beat_share",
    "off_beatness",
    "parts_used",
    "repetition",
    "shmulevich_povel",
    "short_sighted_lhl",
    "signed_lhl",
    "sixteenth_swing",
    "step_density",
    "streams",
    "swing",
    "swing_of_onsets",
    "syncopation",
    "tom_steps",
    "union",
    "what_songs_play",
    "witek",
    "with_swing",
    "with_swung_bars",
    "wnbd",
]
