"""What whoever starts the page may say, in environment variables: ``rhythmgan demo`` sets them from its options."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from platformdirs import user_data_path

_FOLDERS = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\\/:\n]+[\\/])*")
"""Of a path from the root on."""


def data_file() -> Path | None:
    """The corpus to browse and to take real bars from, of RHYTHMGAN_DATA; None where there is none."""
    path = os.environ.get("RHYTHMGAN_DATA")
    return Path(path) if path else None


def votes_file() -> Path:
    """Where choices of the blind test are kept: RHYTHMGAN_VOTES, or a file among the user's data."""
    path = os.environ.get("RHYTHMGAN_VOTES")
    return Path(path) if path else user_data_path("rhythmgan") / "votes.sqlite"


def hosts() -> list[str]:
    """Names by which the server may be called beside its own, of RHYTHMGAN_HOSTS, blanks between."""
    return os.environ.get("RHYTHMGAN_HOSTS", "").split()


def shown(text: str) -> str:
    """A text with the name of a file in it, as browsers can be sent it: one line; what is no UTF-8 is marked."""
    return " ".join(re.sub(r"[\ud800-\udfff]", "\ufffd", text).split())


def trouble(path: Path, error: Exception) -> str:
    """What is wrong with a file of whoever started the page, for visitors: its folder is said in the log only."""
    said = str((isinstance(error, OSError) and error.strerror) or error).removeprefix(f"{path}: ")
    logging.getLogger(__name__).warning("%s", shown(f"{path}: {said}"))
    return shown(f"{path.name}: {_FOLDERS.sub('', said)}")
