"""What is installed, and what the code may not do: bounds, lock and workflows agree; nothing runs code of a file."""

import ast
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


# --- What the code may not do ------------------------------------------------------------------------

# what runs code, or a shell, or writes where a file says; by the name that it is imported under
FORBIDDEN = {
    "builtins": "eval exec compile __import__",
    "os": "system popen execl execle execlp execlpe execv execve execvp execvpe spawnl spawnv spawnvp startfile",
    "subprocess": "getoutput getstatusoutput",
    "tempfile": "mktemp",
    "shutil": "unpack_archive",
    "hashlib": "md5 sha1 new",
    "torch": "load save",
    "torch.jit": "load",
    "torch.hub": "load load_state_dict_from_url",
    "pandas": "read_pickle read_xml read_html",
    "runpy": "run_path run_module",
    "importlib": "import_module",
}
FORBIDDEN_NAMES = {f"{module}.{name}" for module, names in FORBIDDEN.items() for name in names.split()}
FORBIDDEN_MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "dbm", "yaml"),
    *("code", "codeop", "ctypes", "cffi", "xml", "lxml", "xmlrpc"),
    *("socket", "ssl", "ftplib", "smtplib", "telnetlib", "http", "urllib.request", "requests", "httpx", "aiohttp"),
    *("websockets", "webbrowser"),
}
STARTS_PROGRAMS = {f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output")}
OPENS_ARRAYS = {"numpy.load", "numpy.lib.format.read_array", "numpy.lib.npyio.NpzFile"}


def _forbidden_in_python(source):
    """(line, what) of everything in a module that is on one of the lists above, under whatever name it goes."""
    tree = ast.parse(source)
    names = {name: f"builtins.{name}" for name in FORBIDDEN["builtins"].split()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.split(".")[0]] = each.name if each.asname else each.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for each in node.names:
                names[each.asname or each.name] = f"{node.module}.{each.name}"

    def full_name(node):
        if isinstance(node, ast.Attribute):
            before = full_name(node.value)
            return before and f"{before}.{node.attr}"
        return names.get(node.id) if isinstance(node, ast.Name) else None

    careful = set()  # arrays that are opened without pickles
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if isinstance(node, ast.Import):
                modules = [each.name for each in node.names]
            else:
                modules = [f"{node.module}.{each.name}" for each in node.names if not node.level]
            for module in modules:
                parts = module.split(".")
                if {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & FORBIDDEN_MODULES:
                    yield node.lineno, f"import {module}"
                elif module in FORBIDDEN_NAMES:
                    yield node.lineno, module
        elif isinstance(node, ast.Call):
            called = full_name(node.func)
            for option in node.keywords:
                given = option.value.value if isinstance(option.value, ast.Constant) else ...
                if (option.arg, given) in {("allow_pickle", False)}:
                    careful.add(node.func)
                if option.arg in ("shell", "allow_pickle", "unsafe_allow_html", "unsafe_allow_javascript"):
                    if given is not False:
                        yield node.lineno, f"{option.arg}=…"
                elif option.arg == "weights_only" and given is not True:
                    yield node.lineno, "weights_only=…"
            if called in STARTS_PROGRAMS and node.args and isinstance(node.args[0], (ast.Constant, ast.JoinedStr)):
                yield node.lineno, f"{called} of a string"
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("extract", "extractall"):
                yield node.lineno, f".{node.func.attr}()"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Load):
            named = full_name(node)
            if named in FORBIDDEN_NAMES or (named in OPENS_ARRAYS and node not in careful):
                yield node.lineno, named


FORBIDDEN_IN_SCRIPTS = (
    r"\beval\s*\(", r"\bFunction\s*\(", r"\b(?:inner|outer)HTML\b", r"\binsertAdjacentHTML\b", r"\bdocument\.write",
    r"\bsrcdoc\b", r"\bset(?:Timeout|Interval)\s*\(\s*[\"'`]", r"javascript:", r"\bcreateContextualFragment\b",
    r"\bsetHTML\w*", r"\bimportScripts\b", r"\bimport\s*\(",
)  # fmt: skip


def _forbidden_in_script(source):
    """(line, what) of everything in a script of the page that makes code or elements of a text."""
    for number, line in enumerate(source.splitlines(), 1):
        for pattern in FORBIDDEN_IN_SCRIPTS:
            for found in re.findall(pattern, line):
                yield number, found.strip()


# file, what → why it is there all the same
ALLOWED = {
    ("rhythmgan/commands/demo.py", "import socket"): "asks whether the page's port is free",
    ("demo/page/frame.py", "importlib.import_module"): "the page's own tabs, by the tables above it",
    ("demo/page/guard.py", "import socket"): "asks the system for its own names",
    ("demo/page/guard.py", "import webbrowser"): "opens the page that was just served",
    ("benchmarks/page.py", "import socket"): "asks the system for a free port",
    ("benchmarks/page.py", "import urllib.request"): "asks its own server whether it is up",
    ("benchmarks/visitors.py", "import urllib.request"): "uploads to its own server",
    ("benchmarks/visitors.py", "import websockets.asyncio.client.ClientConnection"): "visits its own server",
    ("benchmarks/visitors.py", "import websockets.asyncio.client.connect"): "visits its own server",
    ("benchmarks/visitors.py", "import websockets.typing.Subprotocol"): "visits its own server",
}


def _scanned(suffix):
    folders = ("rhythmgan", "rl_tuner", "demo", "benchmarks", "recipes")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob(f"*{suffix}"))]


def test_nothing_runs_code_of_a_file_or_opens_a_connection():
    """The tests themselves are left out: they write the files that are refused."""
    found = set()
    for suffix, search in ((".py", _forbidden_in_python), (".js", _forbidden_in_script)):
        paths = _scanned(suffix)
        assert len(paths) > 10, suffix
        for path in paths:
            name = path.relative_to(ROOT).as_posix()
            found |= {(name, what) for _, what in search(path.read_text(encoding="utf-8"))}
    assert sorted(found) == sorted(ALLOWED)  # an entry that nothing needs any more would let the next one in


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("eval('1')", "builtins.eval"),
        ("run = exec", "builtins.exec"),
        ("import builtins as b\nb.eval('1')", "builtins.eval"),
        ("import pickle", "import pickle"),
        ("def f():\n    from pickle import loads as read", "import pickle.loads"),
        ("import joblib.externals", "import joblib.externals"),
        ("import xml.etree.ElementTree as tree", "import xml.etree.ElementTree"),
        ("from urllib import request", "import urllib.request"),
        ("import torch\ntorch.load('x', weights_only=True)", "torch.load"),
        ("import torch as t\nread = t.load", "torch.load"),
        ("from torch import load", "torch.load"),
        ("from torch import save as keep\nkeep(1, 'x')", "torch.save"),
        ("f(weights_only=False)", "weights_only=…"),
        ("import numpy as np\nnp.load('x')", "numpy.load"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle=…"),
        ("import numpy as np\nnp.load('x', allow_pickle=0 == 1)", "allow_pickle=…"),
        ("from numpy.lib.format import read_array\nread_array(f)", "numpy.lib.format.read_array"),
        ("import yaml", "import yaml"),
        ("import subprocess as s\ns.run(['x'], shell=True)", "shell=…"),
        ("import subprocess\nsubprocess.run('rm x')", "subprocess.run of a string"),
        ("from subprocess import Popen\nPopen(f'rm {x}')", "subprocess.Popen of a string"),
        ("import os\nos.system('x')", "os.system"),
        ("from os import popen", "os.popen"),
        ("import tempfile\ntempfile.mktemp()", "tempfile.mktemp"),
        ("archive.extractall('x')", ".extractall()"),
        ("with tarfile.open(x) as t:\n    t.extract(m)", ".extract()"),
        ("import hashlib\nhashlib.md5(b'')", "hashlib.md5"),
        ("import streamlit as st\nst.markdown(x, unsafe_allow_html=True)", "unsafe_allow_html=…"),
        ("from importlib import import_module\nimport_module(x)", "importlib.import_module"),
    ],
)
def test_what_python_may_not_do_is_found(source, expected):
    assert expected in {what for _, what in _forbidden_in_python(source)}


@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\nnp.load('x', allow_pickle=False)",
        "model.eval()",
        "import ast, re\nast.literal_eval('1'), re.compile('x')",
        "import subprocess\nsubprocess.run(['x', f'{y}'], shell=False)",
        "from urllib.parse import urlencode",
        "import torch\ntorch.zeros(3), json.load(file), table.load(file)",
        "import hashlib\nhashlib.sha256(b'')",
        "from . import code, pickle",
        "def load(): ...\nload()",
    ],
)
def test_what_python_may_do_is_left_alone(source):
    assert list(_forbidden_in_python(source)) == []


@pytest.mark.parametrize(
    "source",
    [
        "eval('x')",
        "const f = new Function('x')",
        "root.innerHTML = name",
        "root.outerHTML += name",
        "root.insertAdjacentHTML('beforeend', name)",
        "document.write(name)",
        "setTimeout('x()', 3)",
        "frame.srcdoc = name",
        "link.href = 'javascript:x'",
        "const more = await import(address)",
    ],
)
def test_what_a_script_may_not_do_is_found(source):
    assert list(_forbidden_in_script(source))


def test_what_a_script_may_do_is_left_alone():
    assert list(_forbidden_in_script("setTimeout(() => f(), 3); function g() {}; cell.textContent = name")) == []
