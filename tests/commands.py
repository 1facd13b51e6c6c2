"""Commands as a user types them, each in a process of its own: ``run``.

Most of what a command takes is the import of torch. So where a system can fork, commands are forked from a process that
has imported the libraries and nothing of ours; what a command itself imports, and all that it does, is as in a shell.
A command that is given more than words and a folder, as an environment or an input, begins from nothing.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_LIBRARIES = ("torch", "numpy", "scipy.stats", "safetensors.torch", "symusic", "gymnasium", "tqdm")
_AT_START = ("PYTHON", "LC_", "LANG", "OMP_", "MKL_", "OPENBLAS_")
"""What variables are called that Python and its libraries read as they begin."""


def run(*arguments, module="rhythmgan", cwd=None, text=True, errors="strict", **options):
    """Run ``python -m module`` with arguments; gives what ``subprocess.run`` does, with all output caught.

    Args:
        cwd: the folder that it runs in; this one by default.
        text, errors: whether output is text, not bytes, and what is done about bytes that are none.
        options: of ``subprocess.run``; ``env`` is what is added to the variables of this process.
    """
    words = [os.fspath(argument) if isinstance(argument, os.PathLike) else str(argument) for argument in arguments]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | options.pop("env", {})
    command = [sys.executable, "-m", module, *words]
    if sys.platform == "linux" and not options and _server().may_run(variables):
        status, out, err = _server().run(module, words, cwd or Path.cwd(), variables)
        done = subprocess.CompletedProcess(command, status, out, err)
    else:
        done = subprocess.run(command, capture_output=True, cwd=cwd, env=variables, **options)
    if text:
        done.stdout, done.stderr = (_text(said, errors) for said in (done.stdout, done.stderr))
    return done


def _text(said, errors):
    return io.TextIOWrapper(io.BytesIO(said), encoding="utf-8", errors=errors).read()


def _at_start(variables):
    return {name: value for name, value in variables.items() if name.startswith(_AT_START)}


class _Server:
    """The process that commands are forked from: a line of JSON asks for one, a line with its exit status answers."""

    def __init__(self):
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        self._began = _at_start(variables)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        )
        atexit.register(self._process.communicate)  # the end of its input is its end

    def may_run(self, variables):
        """Whether a process with these variables would have begun as this one."""
        return _at_start(variables) == self._began

    def run(self, module, words, cwd, variables):
        """Exit status of a command, negative where a signal ended it, and the bytes of its output."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in (out, err)]
            told = {"module": module, "words": words, "cwd": os.fspath(cwd), "variables": variables, "files": files}
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
            status = int(self._process.stdout.readline())
            return status, out.seek(0) or out.read(), err.seek(0) or err.read()


@cache
def _server():
    return _Server()


def _serve():
    """Fork commands until the tests end; in the process of a command run it, and end as it ends."""
    for library in _LIBRARIES:
        importlib.import_module(library)
    gc.freeze()
    asked, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    for line in asked:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            asked.close()
            answers.close()
            return _become(told)
        answers.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        answers.flush()


def _become(told):
    for number, name in enumerate(told["files"], 1):
        file = os.open(name, os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(told["variables"])
    tempfile.tempdir = None  # which was looked for when a library was imported
    os.chdir(told["cwd"])
    sys.path[0] = str(Path.cwd())  # as for any module that is run; here it was the folder of this one
    sys.argv = [told["module"], *told["words"]]
    runpy.run_module(told["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
