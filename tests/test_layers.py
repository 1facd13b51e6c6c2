"""Imports go downwards only, and what is slow to import is imported late."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rhythmgan
import rl_tuner

ROOT = Path(__file__).resolve().parent.parent

# from the bottom up; a module imports only from layers below its own
LAYERS = (
    {"rhythmgan.kit", "rhythmgan.inputs", "rhythmgan.locks", "rhythmgan.npy", "rhythmgan.zips"},
    {f"rhythmgan.{room}" for room in ("files", "npz", "bars", "seeds", "latent", "grid_choice", "conditions")},
    {"rhythmgan.grid", "rhythmgan.playback", "rhythmgan.calls", "rhythmgan.tensor_file"},
    {"rhythmgan.performance"},
    {"rhythmgan.features.metrical", "rhythmgan.features.lines", "rhythmgan.roles"},
    {
        f"rhythmgan.features.{room}"
        for room in ("complexity", "counts", "note_rest", "shape", "syncopation_measures", "timing")
    },
    {"rhythmgan.features.table", "rhythmgan.features.grooves"},
    {"rhythmgan.features", "rhythmgan.augment", "rhythmgan.synth.waves"},
    {"rhythmgan.synth.acoustic", "rhythmgan.synth.tr808"},
    {"rhythmgan.synth.lo_fi"},
    {"rhythmgan.synth"},
    {"rhythmgan.midi", "rhythmgan.midi_events"},
    {"rhythmgan.midi_drums"},
    {"rhythmgan.midi_reader", "rhythmgan.lpd"},
    {"rhythmgan.draw", "rhythmgan.groove", "rhythmgan.sound"},
    {"rhythmgan.export"},
    {"rhythmgan.console"},
    {
        "rhythmgan.metrics",
        "rhythmgan.songs",
        "rhythmgan.songs.members",
        "rhythmgan.songs.pages",
        "rhythmgan.songs.workers",
        "rhythmgan.songs.parts",
    },
    {"rhythmgan.songs.parquet"},
    {"rhythmgan.songs.archives"},
    {"rhythmgan.songs.manifests", "rhythmgan.data"},
    {f"rhythmgan.{room}" for room in ("forms", "loop_packs", "loops", "song_phrases", "doubled")},
    {"rhythmgan.songs.contents"},
    {"rhythmgan.songs.listing"},
    {f"rhythmgan.{room}" for room in ("patterns", "songs.sources", "baselines", "reference", "line_pairs")},
    {"rhythmgan.corpus_file"},
    {"rhythmgan.songs.reading", "rhythmgan.songs.counts", "rhythmgan.songs.targets"},
    {"rhythmgan.songs.preparation"},
    {"rhythmgan.load"},
    {"rhythmgan.interop", "rhythmgan.models"},
    {"rhythmgan.models.products"},
    {
        "rhythmgan.models.config",
        "rhythmgan.models.weights",
        "rhythmgan.models.interfaces",
        "rhythmgan.models.phrase_checks",
        "rhythmgan.models.precision",
        "rhythmgan.models.word_tables",
        "rhythmgan.models.tokens",
    },
    {"rhythmgan.models.labels"},
    {"rhythmgan.models.denoiser"},
    {
        f"rhythmgan.models.{model}"
        for model in ("gan", "word_lstm", "bar_lstm", "note_cnn", "answer_net", "phrase_conv_gan", "text_lstm")
    },
    {"rhythmgan.models.phrase_gan"},
    {"rhythmgan.models.catalogue"},
    {"rhythmgan.generate.config"},
    {"rhythmgan.generate", "rhythmgan.generate.naturalness"},
    {f"rhythmgan.generate.{room}" for room in ("combine", "morph", "phrases", "selection", "variation")},
    {"rhythmgan.generate.sampling"},
    {"rhythmgan.candidates"},
    {"rhythmgan.conditions_met"},
    {"rhythmgan.folders", "rhythmgan.samples", "rhythmgan.evaluate", "rhythmgan.info", "rhythmgan.training"},
    {"rhythmgan.training.checkpoint", "rhythmgan.training.events"},
    {f"rhythmgan.training.{room}" for room in ("config", "schedule", "folder", "batches", "gan_loss")},
    {"rhythmgan.training.phrase_batches", "rhythmgan.training.phrase_picture"},
    {"rhythmgan.training.run", "rhythmgan.training.calibration", "rhythmgan.training.denoiser"},
    {f"rhythmgan.training.{room}" for room in ("likelihood", "adversarial", "phrase_run")},
    {f"rhythmgan.training.{model}" for model in ("gan", "prior", "critic", "bar_lstm", "note_cnn", "answer_net")},
    {f"rhythmgan.training.{model}" for model in ("phrase_gan", "phrase_conv_gan", "text_lstm")},
    {"rhythmgan.commands", "rhythmgan.commands.models"},
    {"rhythmgan.commands.vary"},
    {
        f"rhythmgan.commands.{name}"
        for name in (
            "prepare",
            "train",
            "sample",
            "interpolate",
            "fill",
            "standardise",
            "combine",
            "evaluate",
            "features",
            "grooves",
            "info",
            "demo",
        )
    },
    {"rhythmgan"},  # the names of the package itself
    {"rhythmgan.cli"},
    {"rhythmgan.__main__"},
    {"rl_tuner.config", "rl_tuner.layout", "rl_tuner.replay", "rl_tuner.rewards", "rl_tuner.scale"},
    {"rl_tuner.steered_generator"},
    {"rl_tuner.wishes"},
    {"rl_tuner.learner"},
    {"rl_tuner.dqn", "rl_tuner.goals", "rl_tuner.soft_q"},
    {"rl_tuner.dynamics", "rl_tuner.training", "rl_tuner.append"},
    {f"rl_tuner.append.{room}" for room in ("alphabet", "network", "percussion", "measures")},
    {"rl_tuner.append.agent", "rl_tuner.append.critic"},
    {"rl_tuner.latent", "rl_tuner.latent.space", "rl_tuner.stepwise", "rl_tuner.stepwise.read_out"},
    {"rl_tuner.toggle", "rl_tuner.toggle.lines"},
    {"rl_tuner.toggle.terms", "rl_tuner.toggle.observation"},
    {"rl_tuner.stepwise.draws", "rl_tuner.stepwise.resampling"},
    {"rl_tuner.latent.moves", "rl_tuner.stepwise.learned", "rl_tuner.stepwise.candidates", "rl_tuner.stepwise.layouts"},
    {"rl_tuner.latent.dynamics", "rl_tuner.stepwise.dynamics"},
    {"rl_tuner.stepwise.particles"},
    {"rl_tuner.stepwise.answers"},
    {"rl_tuner.agent", "rl_tuner.latent.agent", "rl_tuner.envs", "rl_tuner.envs.episodes"},
    {"rl_tuner.envs.latent", "rl_tuner.envs.stepwise", "rl_tuner.envs.append", "rl_tuner.envs.toggle"},
    {"rl_tuner.toggle.agent", "rl_tuner.toggle.toggler"},
    {"rl_tuner.toggle.loops"},
    {"rl_tuner.edit", "rl_tuner.edit.levels"},
    {"rl_tuner.edit.edits"},
    {"rl_tuner.edit.observation"},
    {"rl_tuner.edit.editing", "rl_tuner.edit.network"},
    {"rl_tuner.edit.agent", "rl_tuner.envs.edit"},
    {"rl_tuner.edit.files", "rl_tuner.tune.edit", "rl_tuner.tune.append", "rl_tuner.tune.append_words"},
    {"rl_tuner.tune.edit_published"},
    {"rl_tuner.search", "rl_tuner.search.problem"},
    {f"rl_tuner.search.{room}" for room in ("best_of_n", "random_moves", "evolution", "gradient", "linear", "edit")},
    {f"rl_tuner.search.{room}" for room in ("retrieval", "actor", "agent", "latent_agent", "stepwise")},
    {"rl_tuner.result"},
    {"rl_tuner.steering", "rl_tuner.tune", "rl_tuner.tune.latent", "rl_tuner.tune.stepwise", "rl_tuner.tune.toggle"},
    {"rl_tuner.export", "rl_tuner.benchmark"},
    {"rl_tuner.benchmark.config", "rl_tuner.benchmark.targets"},
    {"rl_tuner.benchmark.evaluators"},
    {"rl_tuner.benchmark.report"},
    {"rl_tuner.benchmark.rows"},
    {"rl_tuner.benchmark.realism"},
    {"rl_tuner.benchmark.protocol", "rl_tuner.benchmark.sweep"},
    {"rl_tuner.commands", "rl_tuner.commands.models"},
    {"rl_tuner.commands.trainable"},
    {f"rl_tuner.commands.trainable.{env}" for env in ("edit", "latent", "stepwise", "append", "toggle")},
    {
        f"rl_tuner.commands.{command}"
        for command in ("steer", "continuation", "append", "toggle", "train", "evaluate", "sweep")
    },
    {"rl_tuner"},  # the names of the package itself
    {"rl_tuner.cli"},
    {"rl_tuner.__main__"},
    {"demo"},
)
PACKAGES = ("rhythmgan", "rl_tuner", "demo")


def _sources(*packages):
    """(name, path) of every module of the packages that there are; of a package's names the stub that lists them."""
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            path = path.with_suffix(".pyi") if path.with_suffix(".pyi").exists() else path
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


NAMES = {name for name, _ in _sources(*PACKAGES)}


def _layer(name):
    """The height of a module: its own entry, or that of the page."""
    package = name.partition(".")[0]
    for height, layer in enumerate(LAYERS):
        if name in layer or (package == "demo" and package in layer):
            return height
    return None


def _imports(name, source, is_package=False, names=frozenset()):
    """Every module that a source imports anywhere in it, by whatever form; of ``names`` the submodules too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = name.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                origin = ".".join([*parents, *([origin] if origin else [])])
            # "from rhythmgan import lpd" imports rhythmgan.lpd, not the package's names
            modules = {f"{origin}.{alias.name}" for alias in node.names} & names
            found |= modules
            if len(modules) < len(node.names):
                found.add(origin)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                found.add(node.args[0].value)
    return found


def test_the_finder_finds_every_form():
    source = """
import numpy as np, os.path
from typing import TYPE_CHECKING
from rhythmgan import lpd, __version__
if TYPE_CHECKING:
    from rhythmgan.train import DQNConfig
def late():
    from . import bars
    from .models.gan import GAN
    import torch
    __import__("json")
    return importlib.import_module("csv")
"""
    names = frozenset({"rhythmgan.lpd", "rhythmgan.bars", "rhythmgan.models.gan"})
    assert _imports("rhythmgan.grid", source, names=names) == {
        "numpy",
        "os.path",
        "typing",
        "rhythmgan.lpd",
        "rhythmgan",
        "rhythmgan.train",
        "rhythmgan.bars",
        "rhythmgan.models.gan",
        "torch",
        "json",
        "csv",
    }
    assert _imports("rhythmgan.models", "from . import gan", is_package=True, names=names) == {"rhythmgan.models.gan"}
    assert _imports("rhythmgan.models.gan", "from ..bars import BEATS") == {"rhythmgan.bars"}


def test_every_module_has_a_layer():
    assert {"rhythmgan.kit", "rhythmgan.models.gan", "rhythmgan", "rl_tuner.cli"} <= NAMES
    assert [name for name in sorted(NAMES) if _layer(name) is None] == []


@pytest.mark.parametrize(("name", "path"), list(_sources(*PACKAGES)), ids=lambda value: str(value).split("/")[-1])
def test_imports_go_downwards(name, path):
    imported = _imports(name, path.read_text(encoding="utf-8"), path.stem == "__init__", NAMES)
    package = name.partition(".")[0]
    for module in sorted(imported & NAMES):
        if package == "demo" and module.partition(".")[0] == package:
            continue  # what the page imports of itself is not for this table
        assert _layer(module) < _layer(name), f"{name} imports {module}"
    # nothing inside the packages that the table does not know
    unknown = {module for module in imported if module.partition(".")[0] in PACKAGES} - NAMES
    assert not unknown


@pytest.mark.parametrize("package", [rhythmgan, rl_tuner], ids=lambda package: package.__name__)
def test_the_names_of_a_package_are_what_its_stub_says(package):
    """``import *`` and ``dir`` give them, each is what the named module has, and there is no other."""
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    named = {
        alias.name: f"{package.__name__}.{node.module}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    (listed,) = (
        ast.literal_eval(node.value)
        for node in stub.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
    )
    assert sorted(named) == sorted(listed) == sorted(package.__all__) == sorted(dir(package))
    for name, module in named.items():
        assert getattr(package, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_a_name_of_the_package_is_the_same_whatever_was_imported_before():
    code = """
import rhythmgan.generate.phrases, rhythmgan.features.table, rhythmgan.sound
import rhythmgan
from rhythmgan import density, phrases, render
assert rhythmgan.phrases is phrases is rhythmgan.generate.phrases.phrases
assert rhythmgan.density is density is rhythmgan.features.density
assert rhythmgan.render is render
assert callable(phrases) and callable(density)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def _within(name, *packages):
    """Whether a module is one of these or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _imports_of(path):
    name = next(module for module, source in _sources(*PACKAGES) if source == path)
    return _imports(name, path.read_text(encoding="utf-8"), path.stem == "__init__", NAMES)


SHARED_OF_MODELS = {
    f"rhythmgan.models{room}" for room in ("", ".interfaces", ".catalogue", ".config", ".weights", ".precision")
}
MODELS = {name for name in NAMES if _within(name, "rhythmgan.models")} - SHARED_OF_MODELS

LEARNER = ("rl_tuner", "rl_tuner.replay", "rl_tuner.config", "rl_tuner.learner")

# rooms that may land later have their walls already; what is inside a room → what it never imports
# checkpoints are no music: learners write them, and know nothing else of rhythmgan
CHECKPOINTS = ("rhythmgan.training", "rhythmgan.training.checkpoint")
MUSIC = tuple(name for name in NAMES if name.startswith("rhythmgan.") and name not in CHECKPOINTS)
WALLS = {
    "rl_tuner.dqn": (*MUSIC, *(name for name in NAMES if _within(name, "rl_tuner") and name not in LEARNER)),
    "rl_tuner.replay": (*MUSIC, "rl_tuner"),
    "rl_tuner.learner": (*MUSIC, "rl_tuner"),
    "rl_tuner.soft_q": (*MUSIC, *(name for name in NAMES if _within(name, "rl_tuner") and name not in LEARNER)),
    # an environment says what it needs by interfaces; Gymnasium's names are made by `tune`
    "rl_tuner.envs": (
        *MODELS,
        "rhythmgan.models.catalogue",
        *(f"rl_tuner.{room}" for room in ("agent", "latent.agent", "append.agent", "dqn", "replay", "tune", "search")),
    ),
    "rl_tuner.tune": (*MODELS, "rl_tuner.search", "rl_tuner.benchmark"),
    "rl_tuner.search": (*MODELS, "rl_tuner.tune", "rl_tuner.benchmark"),
    "rl_tuner.rewards": (*MODELS, "rl_tuner.envs"),
    "rhythmgan.generate": (*MODELS, "rhythmgan.models.catalogue", "rhythmgan.training"),
    "rhythmgan.models": ("rhythmgan.generate", "rhythmgan.training"),
}


DOOR = "rhythmgan.generate.sampling"
"""The bundled models in one call: all else that generates is given a model."""


@pytest.mark.parametrize("room", WALLS)
def test_what_a_room_never_imports(room):
    found = {
        (name, module)
        for name, path in _sources(*PACKAGES)
        if _within(name, room) and name != DOOR
        for module in _imports_of(path)
        if _within(module, *WALLS[room])
    }
    assert not found


def test_only_training_knows_a_model_by_its_class():
    """Whoever else needs one asks the catalogue or says what it needs by an interface; loaders may be imported."""
    assert {"rhythmgan.models.gan", "rhythmgan.models.word_lstm"} <= MODELS
    others = {
        name: path for name, path in _sources(*PACKAGES) if not _within(name, "rhythmgan.models", "rhythmgan.training")
    }
    assert {name for name, path in others.items() if _imports_of(path) & MODELS} <= {"rhythmgan"}
    rooms = {model.removeprefix("rhythmgan.") for model in MODELS}
    for name in ("rhythmgan", "rhythmgan.cli"):
        tree = ast.parse(others[name].read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        found = [node for node in nodes if (node.module or "").removeprefix("rhythmgan.") in rooms]
        assert all(alias.name.startswith("load_") for node in found for alias in node.names)


def test_only_a_gan_and_its_training_open_it():
    """Its discriminator is a part of it; others call ``logits``."""
    found = {
        name
        for name, path in _sources(*PACKAGES, "benchmarks")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "discriminator"
    }
    assert found == {"rhythmgan.models.gan", "rhythmgan.training.adversarial", "rhythmgan.training.critic"}


def test_every_entry_of_the_table_is_a_module():
    entries = [name for layer in LAYERS for name in layer]
    assert len(entries) == len(set(entries))
    assert set(entries) - NAMES <= {"demo"}


def test_only_training_imports_lightning():
    lightning = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities")
    importers = {
        path.relative_to(ROOT).as_posix()
        for name, path in _sources(*PACKAGES, "benchmarks")
        for module in _imports(name, path.read_text(encoding="utf-8"))
        if module.partition(".")[0] in lightning
    }
    assert importers == {
        f"rhythmgan/training/{room}.py" for room in ("adversarial", "likelihood", "phrase_conv_gan", "run")
    }


def test_only_the_page_imports_streamlit():
    importers = {
        path.relative_to(ROOT / "demo").as_posix() if path.is_relative_to(ROOT / "demo") else str(path)
        for name, path in _sources(*PACKAGES, "benchmarks")
        for module in _imports(name, path.read_text(encoding="utf-8"))
        if module.partition(".")[0] == "streamlit"
    }
    # the command starts it, and a benchmark speaks its protocol
    others = {str(ROOT / "rhythmgan" / "commands" / "demo.py"), str(ROOT / "benchmarks" / "visitors.py")}
    assert importers - others == {"app.py"} | {
        f"page/{room}.py"
        for room in (
            *("asking", "blind", "cards", "component", "continuation", "data", "dials", "edit", "frame"),
            *("guard", "models", "morph", "sample", "session", "songs", "stage", "steer", "takeaway"),
            *("transport", "upload", "wire"),
        )
    }


def _loaded_by(*modules):
    """The top-level modules that are there after importing these, in a process of its own."""
    code = "import sys\n" + "".join(f"import {module}\n" for module in modules)
    code += "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_reading_does_not_wait_for_torch():
    loaded = _loaded_by("rhythmgan", "rhythmgan.midi", "rhythmgan.data", "rhythmgan.sound")
    assert {"rhythmgan", "numpy", "symusic"} <= loaded
    slow = {"torch", "pytorch_lightning", "lightning", "pypianoroll", "pretty_midi", "matplotlib", "scipy", "sklearn"}
    assert not loaded & slow


def test_the_bare_package_imports_nothing():
    assert not _loaded_by("rhythmgan") & {"numpy", "symusic", "torch"}
    assert not _loaded_by("rhythmgan.cli") & {"numpy", "symusic", "torch"}
    # what help texts read their defaults from
    assert not _loaded_by("rhythmgan.models.config", "rhythmgan.training.config") & {"numpy", "symusic", "torch"}


def test_the_agents_help_and_steering_do_not_wait():
    assert not _loaded_by("rl_tuner", "rl_tuner.cli") & {"numpy", "symusic", "torch", "gymnasium"}
    assert not _loaded_by("rl_tuner.steering") & {"pytorch_lightning", "lightning", "stable_baselines3", "sklearn"}


def test_sampling_does_not_wait_for_lightning():
    loaded = _loaded_by("rhythmgan.models.gan")
    assert "torch" in loaded
    assert not loaded & {"pytorch_lightning", "lightning", "pypianoroll", "pretty_midi", "matplotlib", "sklearn"}
