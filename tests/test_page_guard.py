"""Who may ask the server: by which names, from which pages, in no frame, and with how many uploads."""

import asyncio
import contextlib
import http.client
import importlib.util
import re
import socket
import uuid
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from starlette.responses import PlainTextResponse

from page import guard, options

ROOT = Path(__file__).resolve().parent.parent


async def _let_in(scope, receive, send):
    if scope["type"] == "http":
        await PlainTextResponse("in", 200)(scope, receive, send)
    else:
        await send({"type": "websocket.accept"})


async def _answered(app, *headers, kind="http", method="GET", path="/", server=("127.0.0.1", 8501)):
    """What a request is answered: the messages of ASGI."""
    scope = {
        "type": kind,
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "server": server,
    }
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    await app(scope, receive, send)
    return sent


def _ask(app, *headers, **request):
    return asyncio.run(_answered(app, *headers, **request))


def _status(*headers, address="localhost", more=(), **request):
    app = guard.Guard(_let_in, guard.served_names(address, more))
    (first, *_) = _ask(app, *headers, **request)
    return first.get("status", first["type"])


def _host(name, **more):
    return _status(("host", name), **more)


@pytest.mark.parametrize("port", ["", ":8501", ":9999"])  # a tunnel may have another one
@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost.", "127.0.0.1", "[::1]", "[0:0::1]"])
def test_the_machine_itself_is_always_let_in(name, port):
    assert _host(name + port) == 200


WRONG = [
    *("evil.example", "evil.example:8501", "localhost.evil.example", "evil.localhost", "127.0.0.2", "0.0.0.0"),
    *(
        "localhost:x",
        "localhost:123456",
        "localhost:",
        "localhost@evil.example",
        "localhost/",
        "localhost#",
        "",
        ":8501",
    ),
    *("local host", "[::1", "::1", "[::2]", "[evil]", "user:pw@localhost", "2130706433", "127.1", "ﬂocalhost".encode()),
]


@pytest.mark.parametrize("name", [name if isinstance(name, str) else name.decode("latin-1") for name in WRONG])
def test_a_name_that_is_not_served_is_refused_in_a_line(name):
    app = guard.Guard(_let_in, guard.served_names("localhost"))
    start, body = _ask(app, ("host", name))
    assert start["status"] == 403
    assert re.fullmatch(rb"[^\n]{20,120}\n", body["body"])
    assert _ask(app, ("host", name), kind="websocket")[0]["type"] == "websocket.close"


def test_one_host_is_named():
    assert _status() == 403
    assert _status(("host", "localhost"), ("host", "localhost")) == 403


def test_the_address_that_is_listened_on_is_let_in_and_no_other():
    assert _host("box.example:80", address="box.example") == 200
    assert _host("192.0.2.7", address="192.0.2.7") == 200
    assert _host("192.0.2.8", address="192.0.2.7") == 403


def test_who_listens_everywhere_is_called_by_the_machine_s_own_names(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    monkeypatch.setattr(socket, "getfqdn", lambda: "box.home.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(2, 1, 6, "", ("192.0.2.7", 0))])
    for address in ("0.0.0.0", "::", ""):
        for name in ("box", "box.local", "box.home.example", "192.0.2.7", "localhost"):
            assert _host(name, address=address) == 200
        for name in ("box.evil.example", "192.0.2.8", "home.example"):
            assert _host(name, address=address) == 403
    assert _host("box") == 403


def test_a_request_may_name_the_address_at_which_it_arrives():
    assert _host("192.0.2.9:8501", server=("192.0.2.9", 8501)) == 200
    assert _host("192.0.2.9:8501", server=("::ffff:192.0.2.9", 8501)) == 200
    assert _host("[2001:db8::1]", server=("2001:db8:0::1", 8501)) == 200
    assert _host("192.0.2.9", server=None) == 403


def test_names_of_a_proxy_are_told_by_who_starts_the_page(monkeypatch):
    monkeypatch.setenv("RHYTHMGAN_HOSTS", "drums.example  192.0.2.1")
    assert options.hosts() == ["drums.example", "192.0.2.1"]
    assert _host("Drums.Example", more=options.hosts()) == 200
    assert _host("192.0.2.1:443", more=options.hosts()) == 200
    assert _host("other.example", more=options.hosts()) == 403
    monkeypatch.delenv("RHYTHMGAN_HOSTS")
    assert options.hosts() == []


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_page_of_another_place_may_not_ask(kind):
    def asked(origin, host="localhost:8501"):
        return _status(("host", host), ("origin", origin), kind=kind) in (200, "websocket.accept")

    assert asked("http://localhost:8501")
    assert asked("http://LOCALHOST:8501")
    assert asked("http://localhost", "localhost")
    assert asked("http://localhost", "localhost:80")
    assert asked("https://localhost", "localhost")  # behind a proxy that encrypts
    assert asked("http://[::1]:8501", "[::1]:8501")
    for origin in (
        *("http://localhost:9999", "http://localhost", "http://127.0.0.1:8501", "http://evil.example:8501", "null", ""),
        *("http://localhost:8501/x", "http://localhost:8501@evil.example", "ftp://localhost:8501", "localhost:8501"),
        *("http://[", "http://localhost:x", "http://localhost:8501 http://localhost:8501", "file://", "http://"),
    ):
        assert not asked(origin)
    assert _status(("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://localhost")) == 403


def test_every_answer_forbids_frames_and_guesses():
    app = guard.Guard(_let_in, guard.served_names("localhost"))
    for name in ("localhost", "evil.example"):
        headers = dict(_ask(app, ("host", name))[0]["headers"])
        assert headers[b"content-security-policy"] == b"frame-ancestors 'none'"
        assert headers[b"x-frame-options"] == b"DENY"
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"referrer-policy"] == b"same-origin"
        assert headers[b"cross-origin-resource-policy"] == b"same-origin"


def test_what_is_no_request_is_passed_on():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    asyncio.run(guard.Guard(app, frozenset())({"type": "lifespan"}, None, None))
    assert seen == [{"type": "lifespan"}]


async def _take(scope, receive, send):
    """What the server answers an upload that it takes."""
    await PlainTextResponse("", 204)(scope, receive, send)


class _Files:
    """A manager of uploads that notes what it is told to forget."""

    def __init__(self):
        self.removed = []

    def remove_file(self, session, file):
        self.removed.append((session, file))


@pytest.fixture
def files(monkeypatch):
    found = _Files()
    monkeypatch.setattr(guard, "MemoryUploadedFileManager", _Files)
    monkeypatch.setattr(guard.runtime, "get_instance", lambda: type("Runtime", (), {"uploaded_file_mgr": found}))
    return found


def _put(app, session, file):
    """An upload, to be awaited: what it is answered."""
    path = f"/_stcore/upload_file/{session}/{file}"
    return _answered(app, ("host", "localhost"), method="PUT", path=path)


def _upload(app, session, file):
    return asyncio.run(_put(app, session, file))[0]["status"]


def test_a_visitor_has_a_number_of_uploads_and_the_last_are_held(files):
    status = 204

    async def take(scope, receive, send):
        await PlainTextResponse("", status)(scope, receive, send)

    app = guard.Guard(take, guard.served_names("localhost"))
    status = 413
    assert [_upload(app, "one", f"large {i}") for i in range(3)] == [413] * 3  # these are not counted
    status = 204
    assert [_upload(app, "one", i) for i in range(guard.MAX_UPLOADS)] == [204] * guard.MAX_UPLOADS
    assert files.removed == [("one", str(i)) for i in range(guard.MAX_UPLOADS - 2)]
    assert _upload(app, "one", "more") == 429
    assert _upload(app, "two", "first") == 204


def test_uploads_that_are_under_way_count(files, monkeypatch):
    """Three of two that there may be, each of which the server is asked for before any is there."""

    async def take(scope, receive, send):
        await asyncio.sleep(0)
        await PlainTextResponse("", 204)(scope, receive, send)

    async def together():
        return await asyncio.gather(*(_put(app, "one", file) for file in "abc"))

    monkeypatch.setattr(guard, "MAX_UPLOADS", 2)
    app = guard.Guard(take, guard.served_names("localhost"))
    assert [answer[0]["status"] for answer in asyncio.run(together())] == [204, 204, 429]


def test_a_file_that_is_sent_again_is_one_file(files):
    """It is not forgotten while it is the last but one."""
    app = guard.Guard(_take, guard.served_names("localhost"))
    for file in ("a", "a", "b"):
        _upload(app, "one", file)
    assert files.removed == []
    _upload(app, "one", "c")
    assert files.removed == [("one", "a")]


def test_an_upload_that_breaks_off_does_not_count(files, monkeypatch):
    async def fail(scope, receive, send):
        raise ConnectionError

    monkeypatch.setattr(guard, "MAX_UPLOADS", 1)
    app = guard.Guard(fail, guard.served_names("localhost"))
    with pytest.raises(ConnectionError):
        _upload(app, "one", "a")
    app._app = _take
    assert _upload(app, "one", "a") == 204
    assert _upload(app, "one", "b") == 429


def test_answers_to_uploads_forbid_frames_and_guesses_too(files, monkeypatch):
    monkeypatch.setattr(guard, "MAX_UPLOADS", 1)
    app = guard.Guard(_take, guard.served_names("localhost"))
    for status in (204, 429):
        first, *_ = asyncio.run(_put(app, "one", "a"))
        assert first["status"] == status
        assert dict(first["headers"])[b"x-content-type-options"] == b"nosniff"


def test_uploads_of_ten_thousand_visitors_are_counted(files, monkeypatch):
    monkeypatch.setattr(guard, "_MAX_SESSIONS", 3)
    app = guard.Guard(_take, guard.served_names("localhost"))
    for session in ("a", "b", "c", "a", "d"):
        _upload(app, session, "x")
    assert list(app._uploads) == ["c", "a", "d"]


# -- the server itself ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served():
    """The address of the page, served as users serve it."""
    spec = importlib.util.spec_from_file_location("benchmark_page", ROOT / "benchmarks" / "page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.served() as address:
        yield address


def _answer(served, path, method="GET", **headers):
    connection = http.client.HTTPConnection(served.removeprefix("http://"), timeout=60)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


_HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Version": "13",
}

PATHS = [
    "/",
    "/_stcore/health",
    "/_stcore/host-config",
    "/_stcore/metrics",
    "/media/x.mid",
    "/static/x.js",
    "/component/x",
]


def test_the_served_page_asks_for_its_name_on_every_path(served):
    port = served.rpartition(":")[2]
    for path in PATHS:
        assert _answer(served, path).status in (200, 404)
        assert _answer(served, path, Host="evil.example").status == 403
        evil = _answer(served, path, Host=f"evil.example:{port}", Origin=f"http://evil.example:{port}")
        assert evil.status == 403
        for answer in (evil, _answer(served, path)):
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_the_served_page_may_be_driven_by_itself_and_by_programs_only(served):
    port = served.rpartition(":")[2]
    stream = "/_stcore/stream"
    for headers, status in (
        ({}, 101),
        ({"Origin": served}, 101),
        ({"Origin": "http://localhost:9"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}, 403),
    ):
        connection = http.client.HTTPConnection(served.removeprefix("http://"), timeout=60)
        connection.request("GET", stream, headers={n.replace("_", "-"): v for n, v in (_HANDSHAKE | headers).items()})
        assert connection.getresponse().status == status
        connection.close()
    upload = f"/_stcore/upload_file/{uuid.uuid4()}/{uuid.uuid4()}"
    assert _answer(served, upload, "PUT", Origin="http://localhost:9").body.startswith(b"Another page")
    assert _answer(served, upload, "PUT", Origin=served).status == 403  # without its token
    assert _answer(served, upload, "DELETE", Origin="http://localhost:9").status == 403


HOSTILE = [
    b"GET /media/../../../../etc/passwd HTTP/1.1",
    b"GET /component/rhythmgan.stage/..%2f..%2f..%2f..%2fetc%2fpasswd HTTP/1.1",
    b"GET /_stcore/bidi-components/rhythmgan.stage/../../../../etc/passwd HTTP/1.1",
    b"GET /app/static/%2e%2e/app.py HTTP/1.1",
    b"GET //evil.example/ HTTP/1.1",
    b"GET /" + b"x" * 60_000 + b" HTTP/1.1",
    b"PUT /media/x HTTP/1.1",
    b"DELETE / HTTP/1.1",
    b"TRACE / HTTP/1.1",
    b"GET / HTTP/9.9",
    b"\0\xff" * 500,
]


def _raw(served, data):
    """What comes back on a connection on which these bytes are sent."""
    host, _, port = served.removeprefix("http://").partition(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection, contextlib.suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while more := connection.recv(1 << 16):
            found += more
    return found


def _masked(code, data, last=True):
    """A frame of a browser, with a mask of zeros; a long one."""
    return bytes([last << 7 | code, 0x80 | 127]) + len(data).to_bytes(8, "big") + bytes(4) + data


FRAMES = {
    "text": _masked(1, b"x"),
    "no message": _masked(2, b"\xff" * 300),
    "an unknown code": _masked(7, b"x"),
    "a piece of nothing": _masked(0, b"x"),
    "a reserved bit": b"\xf2\x81" + bytes(4) + b"x",
    "without a mask": b"\x82\x01x",
    "a close of one byte": b"\x88\x81" + bytes(4) + b"x",
    "over 2 MB": _masked(2, bytes(3 << 20)),
    "said to have 2^40 bytes": b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4),
}


def test_hostile_requests_are_refused_and_others_are_served_all_the_while(served):
    host = f"\r\nHost: {served.removeprefix('http://')}".encode()
    for line in HOSTILE:
        found = _raw(served, line + host + b"\r\nConnection: close\r\n\r\n")
        assert b"root:" not in found
        assert b"Traceback" not in found
        assert not found.startswith(b"HTTP/1.1 5")
    handshake = b"".join(b"\r\n%s: %s" % (n.replace("_", "-").encode(), v.encode()) for n, v in _HANDSHAKE.items())
    for frame in FRAMES.values():
        found = _raw(served, b"GET /_stcore/stream HTTP/1.1" + host + handshake + b"\r\n\r\n" + frame)
        assert b"101 Switching" in found
        assert b"Traceback" not in found
    assert _answer(served, "/_stcore/health").status == 200
