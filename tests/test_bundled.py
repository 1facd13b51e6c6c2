"""The bundled weights belong together, their manifest shows any change, and the recipe that makes them is valid."""

import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rhythmgan.cli
import rl_tuner.cli
from rhythmgan.kit import GM12
from rhythmgan.models import catalogue, interfaces
from rhythmgan.models.catalogue import load_model
from rhythmgan.models.gan import load_gan
from rhythmgan.models.weights import read_metadata
from rhythmgan.models.word_lstm import load_prior
from rhythmgan.reference import load_reference
from rhythmgan.roles import ROLES
from rl_tuner.agent import load_agent
from rl_tuner.latent.agent import load_latent_agent

ROOT = Path(__file__).resolve().parent.parent
RECIPE = ROOT / "recipes" / "manifest.py"
FILES = (
    "agent.safetensors",
    "agent12.safetensors",
    "answer-agent.safetensors",
    "answer.safetensors",
    "append-agent.safetensors",
    "append-published.safetensors",
    "bar-lstm.safetensors",
    "edit-agent.safetensors",
    "gan.safetensors",
    "gan12.safetensors",
    "latent-agent.safetensors",
    "note-cnn.safetensors",
    "prior.safetensors",
    "prior12.safetensors",
    "reference.safetensors",
    "rythmgan-published.safetensors",
    "rythmgan.safetensors",
    "rythmgan12.safetensors",
    "rythmgan24.safetensors",
    "toggle-agent.safetensors",
    "trap.safetensors",
    "trap16.safetensors",
)
MODELS = [(kind, grid) for kind in ("gan", "prior") for grid in (16, 12)]
MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def manifest(one_thread):
    spec = importlib.util.spec_from_file_location("recipe_manifest", RECIPE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=[ROOT / "rhythmgan" / "weights"], ids=["package"])
def weights(request):
    """A folder of weights that is to be shipped."""
    return request.param


@pytest.fixture
def copied(weights, tmp_path):
    """A copy of it, to be changed."""
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def _restate(path, change):
    """Rewrite the metadata of a safetensors file; its tensors stay."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    change(header["__metadata__"])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _restate_config(path, **entries):
    def change(metadata):
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | entries)

    _restate(path, change)


def _lines(manifest, folder):
    with pytest.raises(manifest.Mismatch) as caught:
        manifest.check_manifest(folder)
    return str(caught.value).splitlines()


def test_manifest_matches_the_files(manifest, weights):
    manifest.check_manifest(weights)


@pytest.mark.parametrize("grid", [16, 12])
def test_agent_belongs_to_the_generator_of_its_grid(weights, one_thread, grid):
    number, other = ("", 12) if grid == 16 else (grid, "")
    agent = load_agent(weights / f"agent{number}.safetensors")
    gan, prior = load_gan(weights / f"gan{number}.safetensors"), load_prior(weights / f"prior{number}.safetensors")
    assert agent.steered(gan).fingerprint == agent.config.generator
    assert (agent.config.steps, agent.config.n_parts) == (grid, gan.kit.n_parts)
    assert agent.config.features == ("density", "syncopation")
    dynamics = agent.dynamics(gan, gan, prior)
    assert dynamics.width == agent.shared.width + agent.config.n_candidates * agent.each.width
    with pytest.raises(ValueError, match="another generator"):
        agent.steered(load_gan(weights / f"gan{other}.safetensors"))


def test_agent_of_whole_bar_moves_belongs_to_the_generator(weights, one_thread):
    agent = load_latent_agent(weights / "latent-agent.safetensors")
    gan, prior = load_gan(weights / "gan.safetensors"), load_prior(weights / "prior.safetensors")
    assert agent.steered(gan).fingerprint == agent.config.generator
    assert agent.config.latent_dim == gan.latent_dim
    agent.dynamics(gan, gan, prior)
    with pytest.raises(ValueError, match="another generator"):
        agent.steered(load_gan(weights / "gan12.safetensors"))


@pytest.mark.parametrize("grid", [16, 12])
def test_kit_grid_roles_and_styles_agree(weights, one_thread, grid):
    """What a model of a grid can be asked for, the other can."""
    number = "" if grid == 16 else grid
    gan, prior = load_gan(weights / f"gan{number}.safetensors"), load_prior(weights / f"prior{number}.safetensors")
    assert gan.kit == prior.kit == GM12
    assert gan.steps == prior.steps == grid
    assert gan.roles == prior.roles == ROLES
    assert gan.styles == prior.styles
    assert len(gan.styles) >= 5


def test_reference_is_of_the_models_kit_and_grid(weights):
    reference = load_reference(weights / "reference.safetensors")
    assert (reference.kit, reference.steps) == (GM12, 16)


def test_manifest_says_what_the_models_say(weights, one_thread):
    """The recipe reads metadata; the loaders must find the same in it."""
    said = json.loads((weights / "manifest.json").read_text(encoding="utf-8"))
    assert list(said["shared"]) == ["12", "16"]
    steered = {name: facts["steers"] for name, facts in said["files"].items() if "steers" in facts}
    assert steered == {
        "agent.safetensors": "gan.safetensors",
        "agent12.safetensors": "gan12.safetensors",
        "latent-agent.safetensors": "gan.safetensors",
    }
    for kind, grid in MODELS:
        path = weights / f"{kind}{'' if grid == 16 else grid}.safetensors"
        model = load_model(path)
        provenance = json.loads(read_metadata(path)["provenance"])
        assert said["shared"][str(model.steps)]["kit"] == model.kit.name
        for fact in ("trained_bars", "trained_songs"):
            assert said["shared"][str(model.steps)][fact] == provenance[fact]
    assert tuple(said["files"]) == FILES
    assert {name: facts["bytes"] for name, facts in said["files"].items()} == {
        name: (weights / name).stat().st_size for name in FILES
    }


@pytest.mark.parametrize("name", FILES)
def test_weights_are_small(weights, name):
    assert (weights / name).stat().st_size <= MOST_BYTES


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found(manifest, copied, name):
    path = copied / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # in the last tensor
    path.write_bytes(data)
    (line,) = [line for line in _lines(manifest, copied) if "sha256" in line]
    assert line.startswith(f"{name} sha256: manifest.json says ")


def test_a_changed_generator_is_not_the_agents(manifest, copied):
    from rhythmgan.models.gan import save_gan

    path = copied / "gan.safetensors"
    gan = load_gan(path)
    next(gan.generator.parameters()).view(-1)[0] += 1
    save_gan(path, gan, json.loads(read_metadata(path)["provenance"]))
    assert _lines(manifest, copied)[0] == "agent.safetensors: steers no generator of this folder"
    with pytest.raises(manifest.Mismatch, match="steers no generator"):
        manifest.write_manifest(copied)


def test_a_damaged_header_is_found(manifest, copied):
    path = copied / "prior.safetensors"
    path.write_bytes(b"\xff" * 8 + path.read_bytes()[8:])
    lines = _lines(manifest, copied)
    assert len(lines) == 2
    assert lines[0].startswith("prior.safetensors: ")
    assert lines[1].startswith("prior.safetensors sha256: ")


def test_a_missing_file_is_found(manifest, copied):
    (copied / "prior.safetensors").unlink()
    lines = _lines(manifest, copied)
    assert [line.split(":")[0] for line in lines] == [
        f"prior.safetensors {fact}" for fact in ("bytes", "format", "sha256", "version")
    ]
    assert all(line.endswith("found nothing") for line in lines)


def test_a_file_that_the_manifest_does_not_name_is_found(manifest, copied):
    shutil.copy(copied / "prior.safetensors", copied / "other.safetensors")
    lines = _lines(manifest, copied)
    assert len(lines) == 4
    assert all(line.startswith("other.safetensors ") and "says nothing" in line for line in lines)


def test_an_edited_manifest_is_found(manifest, copied):
    path = copied / "manifest.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    said["shared"]["12"]["trained_songs"] = "1"
    path.write_text(json.dumps(said), encoding="utf-8")
    (line,) = _lines(manifest, copied)
    assert line.startswith("12 trained_songs: manifest.json says 1, found ")


@pytest.mark.parametrize("text", [None, "{", ""])
def test_a_manifest_that_cannot_be_read(manifest, copied, text):
    path = copied / "manifest.json"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    (line,) = _lines(manifest, copied)
    assert line.startswith(f"{path}: ")


def test_files_that_do_not_belong_together_get_no_manifest(manifest, copied):
    before = (copied / "manifest.json").read_bytes()
    _restate(copied / "reference.safetensors", lambda metadata: metadata.update(kit="jaki5"))
    _restate_config(copied / "agent.safetensors", generator="0" * 16)
    with pytest.raises(manifest.Mismatch) as caught:
        manifest.write_manifest(copied)
    assert str(caught.value).splitlines() == [
        "agent.safetensors: steers no generator of this folder",
        "kit differs: answer.safetensors has gm12, gan.safetensors has gm12, prior.safetensors has gm12, "
        "reference.safetensors has jaki5",
    ]
    assert (copied / "manifest.json").read_bytes() == before


def test_a_fact_that_is_not_stated(manifest, copied):
    _restate(copied / "prior.safetensors", lambda metadata: metadata.update(provenance="{}"))
    with pytest.raises(manifest.Mismatch, match=r"^prior.safetensors: its metadata does not state provenance"):
        manifest.write_manifest(copied)


def test_an_unknown_format(manifest, copied):
    _restate(copied / "prior.safetensors", lambda metadata: metadata.update(format="other"))
    with pytest.raises(manifest.Mismatch, match=r"^prior.safetensors: format 'other' has no row in FACTS"):
        manifest.write_manifest(copied)


def test_what_is_written_can_be_checked(manifest, weights, copied):
    (copied / "manifest.json").unlink()
    assert manifest.main([str(copied)]) == 0
    assert (copied / "manifest.json").read_bytes() == (weights / "manifest.json").read_bytes()
    assert manifest.main([str(copied), "--check"]) == 0


def test_a_folder_without_weights(manifest, tmp_path, capsys):
    assert manifest.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"{tmp_path} holds no weights files\n"
    assert not list(tmp_path.iterdir())


def test_the_command_fails_on_a_mismatch(copied):
    with open(copied / "reference.safetensors", "ab") as file:
        file.write(b"x")
    done = subprocess.run([sys.executable, RECIPE, "--check", copied], capture_output=True, text=True)
    assert done.returncode == 1
    assert "reference.safetensors sha256: " in done.stderr
    assert "Traceback" not in done.stderr


def _commands(tmp_path, **environment):
    """The commands of the recipe, each as a list of words; none is run."""
    script = ROOT / "recipes" / "bundled.sh"
    done = subprocess.run(
        ["bash", script, "songs", "out"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "DRY_RUN": "1", **environment},
    )
    assert not list(tmp_path.iterdir())
    return [line.removeprefix("+ ").partition(" | ")[0].split() for line in done.stderr.splitlines()]


@pytest.mark.parametrize("environment", [{}, {"QUICK": "1"}], ids=["full", "quick"])
def test_the_recipe_gives_options_that_the_commands_have(tmp_path, environment):
    parsers = {"rhythmgan": rhythmgan.cli._parser(), "rl-tuner": rl_tuner.cli._parser()}
    commands = [words for words in _commands(tmp_path, **environment) if words[0] in parsers]
    for program, *arguments in commands:
        try:
            parsers[program].parse_args(arguments)
        except SystemExit:
            pytest.fail(" ".join([program, *arguments]))
    assert [" ".join(words[: 3 if words[1] == "train" and words[0] == "rhythmgan" else 2]) for words in commands] == [
        "rhythmgan prepare",
        "rhythmgan grooves",
        "rhythmgan train gan",
        "rhythmgan train gan",
        "rhythmgan train prior",
        "rhythmgan train prior",
        *["rl-tuner train"] * 2,
        "rhythmgan train bar-lstm",
        "rl-tuner train",
        "rhythmgan train answer",
        "rl-tuner train",
        "rl-tuner toggle",
        "rhythmgan train note-cnn",
        "rhythmgan features",
        *["rhythmgan evaluate"] * 6,
        *["rl-tuner evaluate"] * 2,
        *["rhythmgan sample"] * 4,
        "rhythmgan interpolate",
        "rhythmgan vary",
        "rhythmgan sample",
        "rl-tuner steer",
    ]


def test_quick_is_the_same_recipe(tmp_path):
    """Only numbers and --quick differ: the same programs write the same files."""

    def files(commands):
        return [[word for word in words if "/" in word or "." in word] for words in commands]

    assert files(_commands(tmp_path)) == files(_commands(tmp_path, QUICK="1"))


def test_the_recipe_needs_two_folders(tmp_path):
    done = subprocess.run(["bash", ROOT / "recipes" / "bundled.sh", "songs"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "usage: recipes/bundled.sh SONGS OUT\n"


@pytest.mark.parametrize(
    ("load", "protocol"),
    [
        (catalogue.load_generator, interfaces.LatentCritic),
        (catalogue.load_likelihood, interfaces.SamplingLikelihood),
        (catalogue.load_phrase_prior, interfaces.PhrasePrior),
        (catalogue.load_next_bar_model, interfaces.NextBarModel),
        (catalogue.load_note_model, interfaces.NoteModel),
        (catalogue.load_answers, interfaces.LineAnswers),
    ],
    ids=lambda value: value.__name__,
)
def test_what_a_protocol_asks_for_is_found_without_running_code(load, protocol, one_thread):
    """From Python 3.12 on `isinstance` looks for it so: a buffer or a layer of a network is not found."""
    model = load()
    asked = {name for base in protocol.__mro__ for name in vars(base) if not name.startswith("_")}
    assert asked
    for name in asked:
        inspect.getattr_static(model, name)
