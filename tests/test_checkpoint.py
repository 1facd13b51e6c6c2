"""Checkpoints: all comes back as it was, and what is not as it was is refused."""

import json
import math
import os
import pickle
import resource
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rhythmgan.tensor_file import MAX_HEADER, open_tensors, read_tensor_metadata, write_tensors
from rhythmgan.training.checkpoint import check_alike, check_optimizer, read_checkpoint, write_checkpoint

DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)

STATE = {
    "weights": {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([True, False])},
    "steps": 7,
    "rate": 1e-3,
    "names": ("x", None, float("inf")),
}


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    dtype = draw(st.sampled_from(DTYPES))
    random = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    if dtype == torch.bool:
        return torch.rand(shape, generator=random) < 0.5
    if dtype.is_floating_point:
        return torch.randn(shape, generator=random).to(dtype)
    return torch.randint(0, 100, shape, generator=random).to(dtype)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.text() | st.integers()
VALUES = st.recursive(
    PLAIN | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def _same(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return repr(one) == repr(other)  # of floats also the sign of zero, and NaN


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_is_read_is_what_was_written(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("checkpoint") / "last.ckpt"
    write_checkpoint(path, state)
    assert _same(read_checkpoint(path), state)


def test_any_reader_of_safetensors_reads_the_tensors(tmp_path):
    from safetensors.torch import load_file

    views = {"turned": torch.arange(6.0).view(2, 3).T, "one": torch.tensor(3, dtype=torch.int16)}
    write_tensors(tmp_path / "f", views, {"z": "ü\n", "a": "1"})
    found = load_file(tmp_path / "f")
    assert found.keys() == views.keys()
    assert all(torch.equal(found[name], views[name]) for name in views)
    assert read_tensor_metadata(tmp_path / "f").keys() == {"sha256", "a", "z"}
    assert read_tensor_metadata(tmp_path / "f")["z"] == "ü\n"
    first = (tmp_path / "f").read_bytes()
    write_tensors(tmp_path / "f", views, {"a": "1", "z": "ü\n"})
    assert (tmp_path / "f").read_bytes() == first


def test_every_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, STATE)
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed") as refusal:
            read_checkpoint(path)
        assert "\n" not in str(refusal.value)
        assert len(str(refusal.value)) < len(str(path)) + 200


def test_every_shorter_file_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, STATE)
    whole = path.read_bytes()
    for content in (*(whole[:length] for length in range(0, len(whole), 5)), whole + b"\0"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed"):
            read_checkpoint(path)


@pytest.mark.parametrize("writer", ["torch", "torch of old", "pickle"])
def test_checkpoints_of_older_releases_are_not_unpickled(tmp_path, writer):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    path = tmp_path / "last.ckpt"
    if writer == "pickle":
        path.write_bytes(pickle.dumps({"steps_done": Payload()}))
    else:
        torch.save({"steps_done": Payload()}, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: it was written by an older release"):
        read_checkpoint(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "value", [b"bytes", {1.5: 1}, {1, 2}, 1j, torch.nn.Parameter, torch.zeros(1, dtype=torch.complex64)]
)
def test_other_values_are_not_written(tmp_path, value):
    with pytest.raises((TypeError, KeyError)):
        write_checkpoint(tmp_path / "last.ckpt", {"value": value})
    assert not list(tmp_path.iterdir())


def _header(text, tensors=b""):
    return len(text).to_bytes(8, "little") + text + tensors


HOSTILE = {
    "an endless header": (1 << 60).to_bytes(8, "little") + b"{}",
    "no object": _header(b"[1]"),
    "deep": _header(b'{"a":' + b"[" * 100_000),
    "no UTF-8": _header(b'{"\xff":1}'),
    "metadata of numbers": _header(b'{"__metadata__":{"a":1}}'),
    "no offsets": _header(b'{"a":{"dtype":"F32","shape":[1]}}'),
    "a type of its own": _header(b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}}', b"1234"),
    "a list as type": _header(b'{"a":{"dtype":[],"shape":[1],"data_offsets":[0,4]}}', b"1234"),
    "an absurd shape": _header(b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}', b"1234"),
    "a negative shape": _header(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', b"1234"),
    "a true shape": _header(b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', b"1234"),
    "a broken shape": _header(b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', b"1234"),
    "a huge shape of none": _header(b'{"a":{"dtype":"F32","shape":[0' + b",9" * 5000 + b'],"data_offsets":[0,0]}}'),
    "overlapping": _header(
        b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        b"1234",
    ),
    "a gap": _header(b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}', b"1234"),
    "bytes of nobody": _header(b"{}", b"1234"),
    "too short": _header(b'{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}', b"1234"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_headers_that_lie_are_refused_in_a_line(tmp_path, name):
    path = tmp_path / "w.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=r"w\.safetensors: not a safetensors file: .") as refusal, open_tensors(path):
        pass
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < len(str(path)) + 200


def test_truth_values_of_other_bytes_are_true(tmp_path):
    (tmp_path / "w").write_bytes(_header(b'{"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}', b"\0\1\2"))
    with open_tensors(tmp_path / "w") as file:
        assert file.read("a").view(torch.uint8).tolist() == [0, 1, 1]


def test_what_a_file_has_lost_since_it_was_opened_is_not_made_up(tmp_path):
    path = tmp_path / "w"
    write_tensors(path, {"a": torch.ones(100_000)}, {})
    with open_tensors(path) as file:
        os.truncate(path, path.stat().st_size - 4)
        with pytest.raises(ValueError, match="w: became shorter while it was read"):
            file.read("a")


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("synced"), sync(descriptor)))
    monkeypatch.setattr(os, "replace", lambda part, name: (done.append(os.path.basename(name)), rename(part, name)))
    write_checkpoint(tmp_path / "last.ckpt", STATE)
    assert done[:2] == ["synced", "last.ckpt"]


def test_a_header_of_any_length_is_no_pickle(tmp_path):
    """One of 128 or 384 bytes begins with the first byte of a pickle."""
    path, first = tmp_path / "last.ckpt", set()
    for n in range(32):
        write_checkpoint(path, {"a": "x" * 8 * n})
        first.add(path.read_bytes()[0])
        assert read_checkpoint(path) == {"a": "x" * 8 * n}
    assert 0x80 in first


def _nested(depth):
    return [] if depth == 1 else [_nested(depth - 1)]


def test_values_are_nested_64_deep_at_most(tmp_path):
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"a": _nested(64)})
    assert read_checkpoint(path) == {"a": _nested(64)}
    with pytest.raises(TypeError, match="64 deep at most"):
        write_checkpoint(path, {"a": _nested(65)})
    said = {"format": "rhythmgan.checkpoint", "version": "1", "state": json.dumps({"dict": [["a", _nested(65)]]})}
    write_tensors(path, {}, said)
    with pytest.raises(ValueError, match=r"last\.ckpt: cannot be resumed: it is nested too deep$"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"version": "2"}, "it is of version 2, and this release reads 1"),
        ({"format": "another"}, "it is no checkpoint of rhythmgan"),
        ({"more": "1"}, "it is no checkpoint of rhythmgan"),
        ({"state": "[1]"}, "it holds no names and values"),
        ({"state": '{"dict":[[[1],2]]}'}, "it holds a value of a kind that there is not"),
        ({"state": '{"dict":[[true,2]]}'}, "it holds a value of a kind that there is not"),
        ({"state": '{"dict":[[1]]}'}, "it holds a value of a kind that there is not"),
        ({"state": '{"tensor":"0"}'}, "it holds a value of a kind that there is not"),
        ({"state": '{"float":"7"}'}, "it holds a value of a kind that there is not"),
        ({"state": "["}, "."),
    ],
)
def test_what_is_no_state_is_refused(tmp_path, changed, says):
    said = {"format": "rhythmgan.checkpoint", "version": "1", "state": '{"dict":[["a",1]]}'}
    write_tensors(tmp_path / "last.ckpt", {}, said)
    assert read_checkpoint(tmp_path / "last.ckpt") == {"a": 1}
    write_tensors(tmp_path / "last.ckpt", {}, said | changed)
    with pytest.raises(ValueError, match=rf"last\.ckpt: cannot be resumed: {says}"):
        read_checkpoint(tmp_path / "last.ckpt")


def test_a_header_is_no_larger_than_it_may_be(tmp_path):
    (tmp_path / "w").write_bytes(_header(b"{}" + b" " * MAX_HEADER))
    with pytest.raises(ValueError, match="larger than"), open_tensors(tmp_path / "w"):
        pass
    with pytest.raises(ValueError, match="too large a header"):
        write_tensors(tmp_path / "other", {}, {"a": "x" * MAX_HEADER})
    assert not (tmp_path / "other").exists()


def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(OSError, match=r"regular|directory"):
            read_checkpoint(path)
        with pytest.raises(OSError, match=r"regular|directory"):
            read_tensor_metadata(path)


def test_no_copy_is_made_of_what_is_written_and_one_of_what_is_read(tmp_path):
    """In a process of its own: 64 MB of tensors are written and read, and the memory at most is measured."""
    script = (
        "import resource, sys, torch\n"
        "from rhythmgan.training.checkpoint import read_checkpoint, write_checkpoint\n"
        "path, what = sys.argv[1:]\n"
        "if what == 'write':\n"
        "    state = {'a': torch.zeros(8 << 20, dtype=torch.float64)}\n"
        "    state['a'] += 1\n"
        "write_checkpoint(path + '2', {'a': torch.zeros(1)})\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "write_checkpoint(path, state) if what == 'write' else read_checkpoint(path)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    for what, most in (("write", 24), ("read", 64 + 24)):
        command = [sys.executable, "-c", script, str(tmp_path / "c"), what]
        grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert grown * resource.getpagesize() // 4096 < most << 10, what


def test_what_differs_is_named():
    like = {"a": [1, 2.0], "b": {"c": torch.zeros(2)}, "d": (None,)}
    check_alike({"a": [5, 0.0], "b": {"c": torch.ones(2)}, "d": (None,)}, like)
    for found, says in (
        ([], "the checkpoint is of type list, not dict"),
        (like | {"e": 1}, "the checkpoint has e"),
        ({"a": [1, 2.0], "b": like["b"]}, "the checkpoint lacks d"),
        (like | {"a": [True, 2.0]}, "a: 0 is of type bool, not int"),
        (like | {"a": [1]}, "a has 1 values, not 2"),
        (like | {"b": {"c": torch.zeros(3)}}, r"b: c is float32 \(3,\), not float32 \(2,\)"),
        (like | {"b": {"c": torch.zeros(2).long()}}, r"b: c is int64 \(2,\), not float32 \(2,\)"),
        (like | {"d": [None]}, "d is of type list, not tuple"),
    ):
        with pytest.raises(ValueError, match=says):
            check_alike(found, like)


def test_the_state_of_another_optimiser_is_refused():
    def adam(width):
        layer = torch.nn.Linear(2, width)
        made = torch.optim.Adam(layer.parameters())
        layer(torch.ones(1, 2)).sum().backward()
        made.step()
        return made

    fresh = torch.optim.Adam(torch.nn.Linear(2, 3).parameters())
    state = adam(3).state_dict()
    check_optimizer(state, fresh, "it")
    check_optimizer(fresh.state_dict(), fresh, "it")
    of_one, group = state["state"][0], state["param_groups"][0]
    for found in (
        None,
        {},
        {"state": state["state"]},
        adam(4).state_dict(),
        torch.optim.SGD(torch.nn.Linear(2, 3).parameters()).state_dict(),
        state | {"state": []},
        state | {"state": {0: of_one, 7: of_one}},
        state | {"state": {0: of_one | {"more": 1}}},
        state | {"state": {0: of_one | {"step": 3.0}}},
        *(state | {"state": {0: of_one | {"step": torch.tensor(n)}}} for n in (math.nan, math.inf, -1.0)),
        state | {"state": {0: {"step": of_one["step"]}}},
        state | {"param_groups": []},
        state | {"param_groups": [group | {"lr": "fast"}]},
    ):
        with pytest.raises(ValueError, match="it"):
            check_optimizer(found, fresh, "it")
