"""What can be said of Windows and macOS without them: what they lack is taken away, what they refuse is refused."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import run

from rhythmgan import files, locks
from rhythmgan.files import write_whole
from rhythmgan.load import load_bars
from rhythmgan.locks import LOCK, locked_folder

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("rhythmgan", "rl_tuner", "demo", "benchmarks", "recipes", "tests")

POSIX_ALONE = ("fcntl", "resource", "pwd", "grp", "termios", "posix_ipc", "syslog", "tty", "pty")

IMPORT_ALL = """
import importlib, os, pathlib, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[2].split():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
import numpy, torch  # these have modules of their own for each system
sys.meta_path.insert(0, Missing())
for name in sys.argv[2].split():
    sys.modules.pop(name, None)
for name in ("fork", "mkfifo", "fchmod", "nice", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
root = pathlib.Path(sys.argv[1])
for package in ("rhythmgan", "rl_tuner"):
    for path in sorted((root / package).rglob("*.py")):
        if path.stem not in ("__main__", "cli"):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            importlib.import_module(name)
print(sum(name.startswith(("rhythmgan.", "rl_tuner.")) for name in sys.modules))
"""


def test_no_module_needs_what_only_posix_has_to_be_imported():
    command = [sys.executable, "-W", "ignore", "-c", IMPORT_ALL, str(ROOT), " ".join(POSIX_ALONE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


class _Msvcrt:
    """Windows' locks of files: a byte of a file that is open, once."""

    LK_LOCK, LK_NBLCK = 1, 2

    def __init__(self):
        self.held = set()

    def locking(self, descriptor, how, n_bytes):
        assert (how, n_bytes) == (self.LK_NBLCK, 1)
        file = os.fstat(descriptor).st_ino
        if file in self.held:
            raise PermissionError(13, "Permission denied")
        self.held.add(file)


def test_folders_are_locked_as_windows_does_it(tmp_path, monkeypatch):
    system = _Msvcrt()
    monkeypatch.setattr(locks, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", system)
    with locked_folder(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
        with pytest.raises(ValueError, match="another run is writing here"), locked_folder(tmp_path):
            pytest.fail("both had it")
    assert len(system.held) == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_another_program_has_open_is_said_and_stays(tmp_path, monkeypatch):
    path = tmp_path / "loop.mid"
    path.write_bytes(b"as it was")

    def refuse(source, target):
        raise PermissionError(13, "Access is denied", source, 5, target)

    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="Access is denied") as raised:
        write_whole(path, b"new")
    assert raised.value.filename == str(path)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("loop.mid", b"as it was")]


def test_a_file_is_closed_before_it_takes_its_name_on_windows(tmp_path, monkeypatch):
    opened = set()
    replace, opening, closing = os.replace, os.open, os.close

    def take(source, target):
        assert not opened
        replace(source, target)

    def begin(*arguments, **options):
        descriptor = opening(*arguments, **options)
        opened.add(descriptor)
        return descriptor

    def end(descriptor):
        opened.discard(descriptor)
        closing(descriptor)

    monkeypatch.setattr(files, "_WINDOWS", True)
    for name, replaced in (("replace", take), ("open", begin), ("close", end)):
        monkeypatch.setattr(os, name, replaced)
    write_whole(tmp_path / "loop.mid", b"new", durable=True)
    assert (tmp_path / "loop.mid").read_bytes() == b"new"


def test_no_process_is_asked_by_a_signal_on_windows(tmp_path, monkeypatch):
    """There ``os.kill(process, 0)`` ends it."""
    left = tmp_path / f".loop.mid.{files._HOST}.{os.getpid()}.part"
    left.write_bytes(b"")
    os.utime(left, (0, 0))
    monkeypatch.setattr(files, "_WINDOWS", True)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a process was killed"))
    files.sweep_parts(tmp_path)
    assert not left.exists()


def _opened_as_text(source):
    """Lines of a source that open a text in whatever encoding the system has."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        options = {option.arg for option in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("read_text", "write_text"):
            if "encoding" not in options and len(node.args) < (1 if name == "read_text" else 2):
                yield node.lineno
        elif name == "open" and isinstance(node.func, ast.Name):
            how = node.args[1] if len(node.args) > 1 else None
            how = next((option.value for option in node.keywords if option.arg == "mode"), how)
            if not (isinstance(how, ast.Constant) and "b" in how.value) and "encoding" not in options:
                yield node.lineno


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("open(path)", [1]),
        ("open(path, 'w')", [1]),
        ("\nopen(path, mode='a')", [2]),
        ("open(path, 'rb')", []),
        ("open(path, encoding='utf-8')", []),
        ("path.read_text()", [1]),
        ("path.read_text('utf-8')", []),
        ("path.write_text(text)", [1]),
        ("path.write_text(text, encoding='utf-8')", []),
    ],
)
def test_texts_without_an_encoding_are_found(source, lines):
    assert list(_opened_as_text(source)) == lines


def test_every_text_has_an_encoding():
    """Windows' own is not UTF-8: a bar's ``×`` or a name in Portuguese would be another letter there."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in _opened_as_text(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_stubs_are_ascii():
    """lazy_loader reads them in the system's encoding, whatever that is."""
    stubs = [ROOT / name / "__init__.pyi" for name in ("rhythmgan", "rl_tuner")]
    assert [path for path in stubs if not path.read_bytes().isascii()] == []


def test_texts_of_windows_line_ends_are_read(tmp_path):
    text = (ROOT / "data" / "patterns.txt").read_bytes()
    (tmp_path / "bars.txt").write_bytes(text.replace(b"\n", b"\r\n"))
    bars, _, kit = load_bars(tmp_path / "bars.txt")
    expected, _, own = load_bars(ROOT / "data" / "patterns.txt")
    assert kit == own
    assert len(bars) > 50
    assert np.array_equal(bars, expected)


RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)


def _can_be_a_name(name):
    """Whether Windows takes a name of a file."""
    return not (re.search(r'[<>:"/\\|?*\x00-\x1f]', name) or name[-1] in ". " or RESERVED.fullmatch(name))


def test_what_is_written_has_names_that_windows_takes(tmp_path):
    assert [name for name in ("con.mid", "a:b", "b.", "x?", "seed-1.mid") if _can_be_a_name(name)] == ["seed-1.mid"]
    formats = "midi,npz,text,csv,json"
    for arguments in (
        ["sample", "--n", "2", "--kit", "gm12,gm9", "--format", formats, "--out", tmp_path / "sampled"],
        ["vary", ROOT / "data" / "patterns.txt", "--n", "1", "--format", formats, "--out", tmp_path / "varied"],
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
    names = [path.name for path in tmp_path.rglob("*")]
    assert len(names) > 12
    assert [name for name in names if not _can_be_a_name(name)] == []
    # names that differ in their case alone are one file there
    for folder in [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]:
        inside = [path.name.lower() for path in folder.iterdir()]
        assert len(inside) == len(set(inside))
    for text in (*tmp_path.rglob("*.csv"), *tmp_path.rglob("*.json"), *tmp_path.rglob("*.txt")):
        assert b"\r" not in text.read_bytes()


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_any_console_shows_every_table(encoding):
    env = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    for arguments in (["info"], ["features", "--help"], ["sample", "--n", "1", "--format", "nothing"]):
        done = run(*arguments, env=env, text=False)
        assert b"Traceback" not in done.stderr, done.stderr
        assert done.returncode == (2 if "nothing" in arguments else 0)
        (done.stdout + done.stderr).decode(encoding)
