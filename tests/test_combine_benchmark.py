"""The benchmark of combined lines: packs of unrelated lines, and what is made of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from rhythmgan.data import Corpus
from rhythmgan.kit import GM9, STREAMS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script(one_thread):
    spec = importlib.util.spec_from_file_location("benchmark_combine", ROOT / "benchmarks" / "combine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def corpus():
    """Nine songs of three bars: all parts sound on the step that is the song's number."""
    words = np.zeros((27, 16), np.uint16)
    song = np.arange(27) // 3
    words[np.arange(27), song] = 0b111111111
    words[np.arange(27), 10 + np.arange(27) % 3] = 0b111111111
    place = np.arange(27).astype(np.int32)
    return Corpus.of(words, song, song, place, tuple(f"s{i}" for i in range(9)), tuple(f"f{i}" for i in range(9)), GM9)


def test_lines_of_a_pack_play_one_stream_each_and_share_no_song(script, corpus):
    for groups in script.packs(corpus, 20, 4, seed=1):
        songs = []
        for group, stream in zip(groups, STREAMS, strict=True):
            assert group.shape == (4, 1, 16, 9)
            of_stream = np.isin(np.arange(9), GM9.parts_of(stream))
            assert not group[..., ~of_stream].any()
            assert (group[..., of_stream].sum((1, 2)) == 2).all()
            songs.append(set(group[:, 0, :9].any(2).argmax(1).tolist()))
        assert not songs[0] & songs[1]
        assert not songs[0] & songs[2]
        assert not songs[1] & songs[2]


def test_each_way_makes_as_many_bars(script, corpus):
    def prior(bars):
        return -bars.sum((1, 2)).astype(float)

    def critic(bars):
        return np.zeros(len(bars))

    found = script.combined(script.packs(corpus, 2, 4, seed=0), prior, critic, 4)
    assert {name: bars.shape for name, bars in found.items()} == dict.fromkeys(script.ways(prior, critic), (8, 16, 9))
