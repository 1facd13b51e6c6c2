"""What is installed, and what the code may not do: bounds, lock and workflows agree; nothing runs code of a file."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def _lines(path):
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def wanted():
    """Requirement by name, of everything that pyproject.toml names but the package itself."""
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(line) for group in groups for line in group]
    return {canonicalize_name(each.name): each for each in found if each.name != project["name"]}


def _pins(path):
    """(name, version) of every line ``name==version``, with what else it says."""
    for line in _lines(path):
        name, version, more = re.fullmatch(r"([\w.\-]+)==([\w.+]+)(.*)", line).groups()
        yield canonicalize_name(name), Version(version), more


# --- Versions ----------------------------------------------------------------------------------------


def _lowest(specifiers: SpecifierSet):
    (lowest,) = [each.version for each in specifiers if each.operator == ">="]
    return Version(lowest)


def test_every_lower_bound_is_the_one_that_is_tested(wanted):
    lowest = {name: version for name, version, _ in _pins(REQUIREMENTS / "lowest.txt")}
    assert lowest == {name: _lowest(each.specifier) for name, each in wanted.items()}
    assert {name for name, each in wanted.items() if lowest[name] not in each.specifier} == set()


def test_the_lock_has_everything_within_its_bounds(wanted):
    """But PyTorch, whose build depends on the machine: constraints.txt has it."""
    locked = {}
    for name, version, _ in _pins(REQUIREMENTS / "lock.txt"):
        locked.setdefault(name, []).append(version)
    (torch,) = _pins(ROOT / "constraints.txt")
    assert torch[0] == "torch"
    assert "torch" not in locked
    locked["torch"] = [torch[1]]
    outside = {
        name: locked.get(name)
        for name, each in wanted.items()
        if not locked.get(name) or not all(version in each.specifier for version in locked[name])
    }
    assert outside == {}
    assert [name for name in locked if re.match("nvidia|cuda|triton", name)] == []


def test_everything_in_the_lock_has_hashes():
    without = [
        name for name, _, more in _pins(REQUIREMENTS / "lock.txt") if not re.search("--hash=sha256:[0-9a-f]{64}", more)
    ]
    assert without == []
    assert len(list(_pins(REQUIREMENTS / "lock.txt"))) > 100


def test_the_lock_knows_what_the_pinned_torch_needs():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    (torch,) = _pins(ROOT / "constraints.txt")
    (known,) = settings["dependency-metadata"]
    assert (known["name"], Version(known["version"])) == torch[:2]


# --- Workflows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_reads_only_and_runs_fixed_actions(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^permissions:\n((?: .*\n)+)", text, re.M) == ["  contents: read\n"]
    assert "secrets." not in text
    assert "pull_request_target" not in text
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w\-]+/[\w\-]+@[0-9a-f]{40} # v[\d.]+", each)] == []


def test_workflows_install_by_the_files_that_are_here():
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS]
    named = {name for text in texts for name in re.findall(r"requirements/\w+\.txt", text)}
    assert named == {f"requirements/{path.name}" for path in REQUIREMENTS.iterdir()}


# --- What is built -----------------------------------------------------------------------------------


def test_a_wheel_has_the_package_and_nothing_else(tmp_path):
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    import zipfile

    (path,) = wheels.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
    info = f"rhythmgan-{import_module('rhythmgan').__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"rhythmgan", "rl_tuner", info}
    built = {name for name in names if not name.startswith(info)}
    there = {
        (target / path.relative_to(ROOT / folder)).as_posix()
        for folder, target in (
            ("rhythmgan", Path("rhythmgan")),
            ("rl_tuner", Path("rl_tuner")),
            ("demo", Path("rhythmgan/demo")),
        )
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert built == there | {"rhythmgan/patterns.txt"}
    assert {f"{info}/{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")} < set(names)


def test_a_source_archive_has_no_scratch_files(tmp_path):
    sources = pytest.importorskip("hatchling.builders.sdist", reason="hatchling is not installed")
    import tarfile

    (path,) = sources.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"PKG-INFO", "pyproject.toml", "tests/conftest.py", "LICENSE", "docs/index.md"} < names
    assert [name for name in names if re.search(r"^\.(ci|git|venv)/|__pycache__|_cache/|\.part$|\.lock$", name)] == []
