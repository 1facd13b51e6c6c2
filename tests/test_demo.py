"""How ``rhythmgan demo`` serves the page."""

import os
import subprocess
import sys

import pytest

from rhythmgan.cli import main

pytest.importorskip("streamlit", reason="the page needs Streamlit")

_SERVED = """
import gc, threading
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
main(["demo", "--no-browser"])
"""


def test_the_server_does_not_look_for_garbage_after_every_run():
    """And what it holds for good, of which there is much, it does not look through at all."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    done = subprocess.run(
        [sys.executable, "-c", _SERVED], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    collects, watcher, frozen, others = done.stdout.split()
    assert (collects, watcher) == ("False", "none")
    assert int(frozen) > 100_000 > 10 * int(others)


@pytest.mark.parametrize("name", ["http://drums.example", "drums.example:80", "", "a b", "*", "*.example", "x/y"])
def test_another_name_of_the_page_is_a_name(name, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--host", name])
    assert "expected a name without a port, as drums.example" in capsys.readouterr().err


def test_other_names_of_the_page_are_told_to_it(monkeypatch):
    from streamlit.web import cli

    monkeypatch.setattr(cli, "main", lambda *_, **__: None)
    monkeypatch.setenv("RHYTHMGAN_HOSTS", "")
    main(["demo", "--no-browser", "--host", "drums.example", "--host", "192.0.2.1"])
    assert os.environ["RHYTHMGAN_HOSTS"] == "drums.example 192.0.2.1"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_as_file_of_votes_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert main(["demo", "--no-browser", "--votes", str(tmp_path / "pipe")]) != 0
    assert "not a regular file" in capsys.readouterr().err
