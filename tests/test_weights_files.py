"""Weights files that are not trusted: what does not fit is refused in a line, before memory is taken for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rhythmgan.models.answer_net import load_answer_net
from rhythmgan.models.bar_lstm import load_bar_lstm
from rhythmgan.models.catalogue import load_model
from rhythmgan.models.config import GANConfig, NoteCNNConfig, config_of
from rhythmgan.models.gan import GAN, load_gan, save_gan
from rhythmgan.models.note_cnn import load_note_cnn
from rhythmgan.models.phrase_conv_gan import load_phrase_conv_gan
from rhythmgan.models.phrase_gan import load_phrase_gan
from rhythmgan.models.text_lstm import load_text_lstm
from rhythmgan.models.weights import bundled, fingerprint, read_metadata
from rhythmgan.models.word_lstm import load_prior
from rhythmgan.tensor_file import sort_metadata
from rl_tuner.agent import load_agent
from rl_tuner.append.agent import load_append_agent, load_published
from rl_tuner.edit.agent import load_edit_agent
from rl_tuner.latent.agent import load_latent_agent
from rl_tuner.toggle.agent import load_answer_agent
from rl_tuner.toggle.toggler import load_toggle_agent

pytestmark = pytest.mark.usefixtures("one_thread")

LOADERS = {
    "gan": load_gan,
    "prior": load_prior,
    "bar-lstm": load_bar_lstm,
    "note-cnn": load_note_cnn,
    "answer": load_answer_net,
    "rythmgan": load_phrase_gan,
    "rythmgan-published": load_phrase_conv_gan,
    "trap": load_text_lstm,
    "agent": load_agent,
    "latent-agent": load_latent_agent,
    "edit-agent": load_edit_agent,
    "answer-agent": load_answer_agent,
    "toggle-agent": load_toggle_agent,
    "append-agent": load_append_agent,
    "append-published": load_published,
}

NO_TENSOR = {
    "edit-agent": ("edits",),
    "agent": ("n_candidates", "n_changes"),
    "rythmgan": ("discriminator_width", "denoiser_width"),
}
"""Numbers on which the shape of no tensor depends."""

LARGE = (2, 4096, 65536, 10**9, 10**15, 10**400)
MISTYPED = (True, None, "7", 1.5, float("nan"), -1, [], {}, [[[]]], [1] * 100_000, "x" * 100_000)


def rewritten(path, out, change):
    """A copy of a weights file with another header, of which ``change`` gets what it says."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    changed = change(header)
    text = json.dumps(header if changed is None else changed).encode()
    out.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return out


def with_config(path, out, **options):
    def change(header):
        said = header["__metadata__"]
        said["config"] = json.dumps(json.loads(said["config"]) | options)

    return rewritten(path, out, change)


def refused(load, path):
    """That a file is refused in a line that names it."""
    with pytest.raises(ValueError, match=r"w\.safetensors: ") as refusal:
        load(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < len(str(path)) + 400


@pytest.mark.parametrize("name", LOADERS)
def test_a_config_of_another_type_or_size_is_refused(name, tmp_path):
    path = bundled(f"{name}.safetensors")
    config = json.loads(read_metadata(path)["config"])
    for field, value in config.items():
        is_size = type(value) is int
        right = {bool: (bool,), int: (int,), float: (int, float), str: (str,), list: (list,)}[type(value)]
        for other in (*MISTYPED, *(LARGE if is_size else ())):
            if type(other) in right and not (is_size and other != value):
                continue
            if type(other) is int and 0 < other <= 4096 and field in NO_TENSOR.get(name, ()):
                continue
            refused(LOADERS[name], with_config(path, tmp_path / "w.safetensors", **{field: other}))
        refused(LOADERS[name], with_config(path, tmp_path / "w.safetensors", more=1))


@pytest.mark.parametrize("name", LOADERS)
def test_other_tensors_are_refused(name, tmp_path):
    path, out = bundled(f"{name}.safetensors"), tmp_path / "w.safetensors"

    def first(header):
        return next(each for each in header if each != "__metadata__" and header[each]["dtype"] == dtype)

    dtype = "F16" if name in ("bar-lstm", "trap") else "F32"
    for change in (
        lambda header: header.update(more=header.pop(first(header))),
        lambda header: header[first(header)].update(dtype="I16" if dtype == "F16" else "I32"),
        lambda header: header[first(header)].update(shape=[1, *header[first(header)]["shape"]]),
        lambda header: header[first(header)].update(shape=[10**9]),
        lambda header: header["__metadata__"].update(version="9" * 5000),
        lambda header: header["__metadata__"].update(format="x" * 5000),
        lambda header: header["__metadata__"].update(config="[" * 100_000),
        lambda header: header["__metadata__"].update(config="[]"),
        lambda header: header["__metadata__"].update(provenance="[" * 100_000),
        lambda header: header["__metadata__"].update(more="1"),
        lambda header: header["__metadata__"].pop("config"),
        lambda header: header.pop("__metadata__"),
    ):
        refused(LOADERS[name], rewritten(path, out, lambda header, change=change: change(header) and None))


def test_pipes_and_devices_are_not_weights(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        for load in (load_model, *LOADERS.values()):
            with pytest.raises(OSError, match="not a regular file"):
                load(path)


def test_every_flipped_bit_of_weights_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    with torch.random.fork_rng(devices=[]):
        save_gan(path, GAN(GANConfig("gm9", width=1, discriminator_width=1, denoiser_width=1)), {"trained_seed": "0"})
    whole = path.read_bytes()
    load_gan(path)
    for bit in range(0, 8 * len(whole), 8 * len(whole) // 300 | 1):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        refused(load_gan, path)


def test_a_fingerprint_is_of_the_weights_and_of_what_is_asked():
    layer = torch.nn.Linear(2, 1)
    first = fingerprint(layer)
    assert fingerprint(layer) == first != fingerprint(layer, "fill")
    with torch.no_grad():
        layer.bias += 1
    assert fingerprint(layer) != first


def test_loading_draws_what_it_drew(tmp_path):
    """Of torch's own random numbers the shapes are compared without any."""
    torch.manual_seed(0)
    GAN(GANConfig("gm9", width=4, discriminator_width=4, denoiser_width=4))
    after = torch.get_rng_state()
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    save_gan(path, GAN(GANConfig("gm9", width=4, discriminator_width=4, denoiser_width=4)), {})
    torch.manual_seed(0)
    load_gan(path)
    assert torch.equal(torch.get_rng_state(), after)


def test_numbers_of_a_config():
    assert config_of(NoteCNNConfig, {"width": 3}) == NoteCNNConfig(width=3)
    assert config_of(GANConfig, {"roles": ["a"], "dropout": 0}).roles == ("a",)
    for values, says in (
        ({"width": True}, "width is of type int, not True"),
        ({"dropout": "x"}, "dropout is of type float, not 'x'"),
        ({"roles": "abc"}, "roles and styles are lists of names, not .abc."),
        ({"roles": [1]}, "roles and styles are lists of names, not .1."),
        ({"no": 1}, "the config has 'no', which there is not"),
    ):
        with pytest.raises(ValueError, match=says):
            config_of(GANConfig, values)


SCRIPT = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_weights_files import LOADERS, NO_TENSOR, bundled, json, read_metadata, with_config
folder = Path(sys.argv[1])
for name, load in LOADERS.items():
    load(bundled(f"{name}.safetensors"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tries = 0
for name, load in LOADERS.items():
    path = bundled(f"{name}.safetensors")
    for field, value in json.loads(read_metadata(path)["config"]).items():
        if type(value) is int and field not in NO_TENSOR.get(name, ()):
            for size in (1024, 4096, 65536, 10**9):
                try:
                    load(with_config(path, folder / "w.safetensors", **{field: size}))
                except ValueError:
                    tries += 1
print(tries, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_memory_is_taken_for_what_a_config_asks(tmp_path):
    """Sizes of up to 10⁹ for each number of each config, in a process of its own: it grows by less than 32 MB."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    tries, grown = map(int, done.stdout.split())
    assert tries > 100
    assert grown < 32 << 10


def test_equal_weights_are_equal_bytes():
    """The library orders metadata at random: eight facts have 40,320 orders."""
    from safetensors.numpy import load, save

    tensors = {"b": np.arange(3.0), "a": np.zeros((2, 2), np.int8)}
    facts = {name: str(i) for i, name in enumerate("hgfedcba")}
    files = {sort_metadata(save(tensors, dict(facts))) for _ in range(20)}
    assert len(files) == 1
    (data,) = files
    np.testing.assert_array_equal(load(data)["b"], tensors["b"])
    np.testing.assert_array_equal(load(data)["a"], tensors["a"])
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert list(json.loads(data[8 : 8 + length])["__metadata__"].items()) == sorted(facts.items())
