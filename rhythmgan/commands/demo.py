"""``rhythmgan demo``: the page, served on this machine."""

from __future__ import annotations

import argparse
import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from rhythmgan.console import positive

# what is slow to import is imported by the function that needs it: help and errors answer at once


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "demo", help="open the page: sample, steer, morph, edit and listen in a browser", description="Open the page."
    )
    parser.set_defaults(run=_run)
    parser.add_argument("--data", metavar="CORPUS", help="songs to browse and to compare with (the textbook bars)")
    parser.add_argument("--votes", metavar="FILE", help="SQLite file for the votes of the blind test (your user data)")
    parser.add_argument("--port", type=positive, default=8501, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--address",
        default="localhost",
        help="address to listen on; 0.0.0.0 lets others on your network in (%(default)s)",
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        type=_host,
        metavar="NAME",
        help="another name that the page has, as that of a proxy before it; --host again for each one more (none)",
    )
    parser.add_argument("--no-browser", action="store_true", help="only serve; do not open a browser")


def _host(name: str) -> str:
    """The name of a server, without a port."""
    if not re.fullmatch(r"[\w.-]+|\[?[0-9a-fA-F:.]+\]?", name, re.ASCII):
        raise argparse.ArgumentTypeError(f"expected a name without a port, as drums.example, not {name!r}")
    return name


def _run(options: argparse.Namespace) -> None:
    from importlib.util import find_spec
    from threading import Thread

    if find_spec("streamlit") is None:
        raise ValueError("the page needs Streamlit: pip install 'rhythmgan[page]'")
    if options.port > 65535:
        raise ValueError(f"a port lies in 1 … 65535, not at {options.port}")
    _set_environment(options)
    _check_free(options.address, options.port)
    package = Path(__file__).parent.parent
    inside = package / "demo" / "app.py"
    app = inside if inside.exists() else package.parent / "demo" / "app.py"
    Thread(target=_warm_up, daemon=True).start()

    from streamlit.web import cli

    settings = [f"--server.port={options.port}", f"--server.address={options.address}", "--server.fileWatcherType=none"]
    if options.no_browser:
        settings.append("--server.headless=true")
    cli.main(["run", str(app), *settings], standalone_mode=False)


def _check_free(address: str, port: int) -> None:
    """Listen for a moment as the server will: what it says of a port that is taken names no address, nor the option.

    Raises:
        ValueError: no address of this machine, or a port that another program has or that this one may not have.
    """
    import socket

    if not address:  # to the system it is every address that there is
        raise ValueError("--address is empty: give localhost, or 0.0.0.0 to let others on your network in")
    is_ipv6 = ":" in address
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as listening:
        if os.name == "posix":  # elsewhere it lets two programs have the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
            listening.listen()
        except (OSError, UnicodeError) as error:
            is_taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
            option = f"--port {port}" if is_taken else f"--address {address}"
            where = f" at {address}" if is_taken else ""
            raise ValueError(f"{option}: cannot listen there{where}: {_why(error)}") from None


def _why(error: OSError | UnicodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "not an address"


def _set_environment(options: argparse.Namespace) -> None:
    """Tell the page its files; those that it could not use are refused here, not in the page."""
    from rhythmgan.files import check_target, make_folder
    from rhythmgan.inputs import open_input

    if options.data:
        from rhythmgan.corpus_file import load_corpus

        load_corpus(options.data)
        os.environ["RHYTHMGAN_DATA"] = str(Path(options.data).resolve())
    os.environ["RHYTHMGAN_HOSTS"] = " ".join(options.host)
    if options.votes:
        make_folder(Path(options.votes).parent)
        with suppress(FileNotFoundError), open_input(check_target(options.votes)) as file:
            if file.read(16) not in (b"", b"SQLite format 3\0"):
                raise ValueError(f"{options.votes}: not an SQLite file")
        os.environ["RHYTHMGAN_VOTES"] = str(Path(options.votes).resolve())


def _warm_up() -> None:
    """Do what takes seconds while the server starts and the browser opens: import torch, compute the drum kit.

    What is there then is there for good, so Python need not look through it for garbage any more.
    """
    import gc

    from rhythmgan.kit import GM12
    from rhythmgan.models import catalogue  # noqa: F401
    from rhythmgan.synth import one_shots

    one_shots(GM12)
    gc.collect()
    gc.freeze()
