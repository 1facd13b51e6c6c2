"""Who may ask the server, and for how much: checked before anything of Streamlit sees a request.

* The host that a request names has to be this server. A page of somebody else could otherwise let a name of its own
  lead here (DNS rebinding), and would then pass for this page.
* A request that a page of another host or port makes is refused. Browsers say in ``Origin`` which page asks. Where it
  is missing no page of a browser asks, but a program, which could say anything: it is let in.
* No other page may show this one in a frame, and what is served is taken for what it says it is.
* A visitor has a number of uploads, of which the server holds the last ones.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import webbrowser
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from page import options

HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer."""

MAX_UPLOADS = 100
"""Files that a visitor may upload until the page is loaded again."""

_HELD = 2
"""Uploads of a visitor that the server holds: the page reads the last one."""

_MAX_SESSIONS = 10_000
"""Visitors whose uploads are counted, the latest."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+)(?::(\d{1,5}))?", re.IGNORECASE)
_UPLOAD = re.compile(r"/_stcore/upload_file/([^/]+)/([^/]+)$")
_PORTS = {"http": 80, "https": 443}


def served_names(address: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names and addresses by which a server may be called.

    Args:
        address: that it listens on; of all addresses those of this machine are meant, and its names.
        more: other names, as that of a proxy before it.
    """
    names = {*_LOCAL, *more}
    if address in _EVERYWHERE:
        own = socket.gethostname()
        names |= {own, f"{own.partition('.')[0]}.local", socket.getfqdn()}
        with suppress(OSError):
            names |= {str(found[4][0]) for found in socket.getaddrinfo(own, None)}
    else:
        names.add(address)
    return frozenset(_plain(name) for name in names)


def _plain(host: str) -> str:
    """A name or an address in the one way that it is compared in."""
    host = host.strip("[]").lower().rstrip(".")
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return str(getattr(found, "ipv4_mapped", None) or found)


@dataclass
class _Uploads:
    """What a visitor uploaded: how many files, and those that the server holds, the latest last."""

    count: int = 0
    held: list[str] = field(default_factory=list)


class Guard:
    """Middleware that does what this module says.

    Args:
        app: what answers those who may ask.
        names: of this server, see ``served_names``; it may always be called by the address at which a request arrives.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names
        self._uploads: OrderedDict[str, _Uploads] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in a line."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        if refused and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused})  # before it is open that is a 403
        elif refused:
            await PlainTextResponse(f"{refused}\n", 403)(scope, receive, answer)
        elif scope["type"] == "http" and scope["method"] == "PUT" and (found := _UPLOAD.search(scope["path"])):
            await self._upload(found[1], found[2], scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _refused(self, scope: Scope) -> str:
        """Why a request is refused; "" where it is not."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        named = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        here, _ = scope.get("server") or ("", None)
        if named is None or _plain(named[1]) not in {*self._names, _plain(here or "")}:
            return "The page is not served under this name: start it with --host NAME for each name that it has."
        if origins and not (len(origins) == 1 and _is_of(origins[0], named)):
            return "Another page may not ask for this."
        return ""

    async def _upload(self, session: str, file: str, scope: Scope, receive: Receive, answer: Send) -> None:
        """Let an upload through, where the visitor may still upload."""
        mine = self._uploads.setdefault(session, _Uploads())
        self._uploads.move_to_end(session)
        while len(self._uploads) > _MAX_SESSIONS:
            self._uploads.popitem(last=False)
        if mine.count >= MAX_UPLOADS:
            line = f"{MAX_UPLOADS} files were uploaded: load the page again for more.\n"
            await PlainTextResponse(line, 429)(scope, receive, answer)
            return
        mine.count += 1  # before it is there: several may come at once
        status = 500

        async def seen(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await answer(message)

        try:
            await self._app(scope, receive, seen)
        finally:
            if status != 204:
                mine.count -= 1
        if status == 204:
            mine.held = [*(other for other in mine.held if other != file), file]
            files = runtime.get_instance().uploaded_file_mgr
            assert isinstance(files, MemoryUploadedFileManager)
            while len(mine.held) > _HELD:
                files.remove_file(session, mine.held.pop(0))


def _is_of(origin: str, host: re.Match[str]) -> bool:
    """Whether an origin is a page of a host and its port."""
    try:
        found = urlsplit(origin)
        usual = _PORTS[found.scheme]
        name, port = found.hostname or "", found.port or usual
    except (ValueError, KeyError):
        return False
    plain = not (found.path or found.query or found.fragment or "@" in found.netloc)
    return plain and (_plain(name), port) == (_plain(host[1]), int(host[2] or usual))


def middleware() -> list[Middleware]:
    """The guard of the server as it is configured."""
    names = served_names(st.get_option("server.address") or "", options.hosts())
    return [Middleware(Guard, names=names)]


@asynccontextmanager
async def opened(_: object) -> AsyncIterator[None]:
    """While the server runs; the page is opened in a browser where it was not started without."""
    if not st.get_option("server.headless"):
        address = st.get_option("server.address") or ""
        scheme = "https" if st.get_option("server.sslCertFile") else "http"
        place = "localhost" if address in _EVERYWHERE else f"[{address}]" if ":" in address else address
        found = f"{scheme}://{place}:{st.get_option('server.port')}"
        asyncio.get_running_loop().run_in_executor(None, webbrowser.open, found)
    yield
