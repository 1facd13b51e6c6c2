"""How ``rhythmgan demo`` serves the page."""

import errno
import os
import socket
import subprocess
import sys

import pytest

from rhythmgan.cli import main

pytest.importorskip("streamlit", reason="the page needs Streamlit")

_SERVED = """
import gc, sys, threading
from streamlit import config
from streamlit.web import bootstrap
from rhythmgan.cli import main

def run(*_, **__):
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(60)
    print(config.get_option("runner.postScriptGC"), config.get_option("server.fileWatcherType"))
    print(gc.get_freeze_count(), len(gc.get_objects()))

bootstrap.run_asgi_app = run
main(["demo", "--no-browser", *sys.argv[1:]])
"""


def test_the_server_does_not_look_for_garbage_after_every_run():
    """And what it holds for good, of which there is much, it does not look through at all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    done = subprocess.run(
        [sys.executable, "-c", _SERVED, "--port", str(_free_port())],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    collects, watcher, frozen, others = done.stdout.split()
    assert (collects, watcher) == ("False", "none")
    assert int(frozen) > 100_000 > 10 * int(others)


@pytest.mark.parametrize("name", ["http://drums.example", "drums.example:80", "", "a b", "*", "*.example", "x/y"])
def test_another_name_of_the_page_is_a_name(name, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--host", name])
    assert "expected a name without a port, as drums.example" in capsys.readouterr().err


@pytest.fixture
def served(monkeypatch):
    """The calls of Streamlit's command line, which serves nothing here."""
    from streamlit.web import cli

    calls = []
    monkeypatch.setattr(cli, "main", lambda arguments, **_: calls.append(arguments))
    return calls


def test_a_port_that_another_program_has_is_named(served, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--no-browser", "--port", str(port), "--address", "127.0.0.1"]) == 2
    said = f"rhythmgan: --port {port}: cannot listen there at 127.0.0.1: {os.strerror(errno.EADDRINUSE)}\n"
    assert (capsys.readouterr().err, served) == (said, [])


@pytest.mark.parametrize("address", ["999.1.1.1", "203.0.113.7", "::g", "a" * 70, ".."])
def test_an_address_that_is_not_of_this_machine_is_named(served, capsys, address):
    assert main(["demo", "--no-browser", "--port", str(_free_port()), "--address", address]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"rhythmgan: --address {address}: cannot listen there: ")
    assert (said.count("\n"), served) == (1, [])


def test_no_address_is_not_every_address(served, capsys):
    assert main(["demo", "--no-browser", "--port", str(_free_port()), "--address", ""]) == 2
    assert "--address is empty: give localhost" in capsys.readouterr().err
    assert served == []


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def test_other_names_of_the_page_are_told_to_it(served, monkeypatch):
    monkeypatch.setenv("RHYTHMGAN_HOSTS", "")
    main(["demo", "--no-browser", "--port", str(_free_port()), "--host", "drums.example", "--host", "192.0.2.1"])
    assert len(served) == 1
    assert os.environ["RHYTHMGAN_HOSTS"] == "drums.example 192.0.2.1"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_as_file_of_votes_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert main(["demo", "--no-browser", "--votes", str(tmp_path / "pipe")]) != 0
    assert "not a regular file" in capsys.readouterr().err
