"""How long many visitors at once wait for the page, and how much work and memory they are for the server (on Linux).

A visitor is a connection that speaks Streamlit's protocol, as a browser does, and draws nothing: the server is
measured, and no browser. All visitors ask in the same moment; an answer ends with the message that the script has
finished. Each of them asks for something else, so no answer is remembered.

With --chromium each visitor is a page in headless Chromium, and an answer ends when it is painted. Chromium shares the
cores of the machine with the server, so most of the time is Chromium's own.

With --minutes visitors go on coming, asking and going for so long, and the server's memory is told minute by minute;
with --uploads as well another visitor uploads meanwhile, one after the other, files of the most bytes that are read,
made to be read as slowly as was found. Then it is measured what such uploads cost a single visitor.

Run: python benchmarks/visitors.py [--visitors 20] [--chromium | --minutes 10 [--uploads]]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import secrets
import struct
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that the other script is found, run from wherever

from benchmarks.page import chromium, flags, server

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, WebSocket

ROUNDS = 3
"""How often each visitor asks for something on each tab."""

VISITS = (20, 100)
"""Visits after which memory is told."""

WARM = 2
"""Minutes after which memory is to stay: as long as Streamlit holds the session of somebody who has gone."""

ASKED = 30
"""How often a single visitor asks, with uploads and without."""


class Visitor(Protocol):
    """Somebody who has the page open."""

    received: int
    """Bytes of the messages that came as the last answer."""

    async def open(self) -> None:
        """Come to the page, and wait until all of it is there."""

    async def choose_tab(self, name: str) -> None:
        """Choose a tab, and wait until it is there."""

    async def type_number(self, label: str, value: float) -> None:
        """Put a number into a field, and wait for the answer."""

    async def move_dial(self, name: str, value: float) -> None:
        """Move a dial, and wait for the answer."""

    async def close(self) -> None:
        """Leave."""


# -- visitors without a browser ------------------------------------------------------------------------

_EVENTS = "$$STREAMLIT_INTERNAL_KEY_{id}__events"
"""The widget by which the element of an id tells what happened there, as Streamlit's ``_make_trigger_id`` names it."""


@dataclass
class Connection:
    """A visitor who is only a connection, and reads what comes.

    Attributes:
        address: of the page.
        ids: of the tabs by "tabs", of each field for numbers by its label, of each element of our own by its class, of
            the field for a file by "file".
        shown: the loop on the stage.
        query: what the address says.
        warned: the last warning of the page.
    """

    address: str
    query: str = ""
    warned: str = ""
    received: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    _socket: ClientConnection | None = None
    _said: dict[str, WidgetState] = field(default_factory=dict)  # what widgets say
    _known: set[str] = field(default_factory=set)  # messages that need not come again
    _moves: int = 0

    async def open(self) -> None:
        self._socket = await connect(
            f"{self.address.replace('http', 'ws', 1)}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
            compression=None,
        )
        await self._ask()

    async def choose_tab(self, name: str) -> None:
        self._said = {"tabs": WidgetState(id=self.ids["tabs"], string_value=name)}
        await self._ask()

    async def type_number(self, label: str, value: float) -> None:
        self._said[label] = WidgetState(id=self.ids[label], double_value=value)
        await self._ask()

    async def move_dial(self, name: str, value: float) -> None:
        self._moves += 1
        event = {"event": "moved", "value": {"number": self._moves, "values": {name: value}}}
        await self._ask(WidgetState(id=_EVENTS.format(id=self.ids["dials"]), json_trigger_value=json.dumps([event])))

    async def upload(self, name: str, content: bytes) -> None:
        """Upload a MIDI file, and wait until it was read or refused."""
        assert self._socket is not None
        asked = BackMsg()
        asked.file_urls_request.request_id = name
        asked.file_urls_request.file_names.append(name)
        await self._socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(await self._socket.recv(decode=False))
            if message.WhichOneof("type") == "file_urls_response":
                break
        (place,) = message.file_urls_response.file_urls
        await asyncio.to_thread(_put, self.address + place.upload_url, name, content)
        state = WidgetState(id=self.ids["file"])
        state.file_uploader_state_value.uploaded_file_info.add(
            file_id=place.file_id, name=name, size=len(content), file_urls=place
        )
        self._said["file"], self.warned = state, ""
        await self._ask()

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def _ask(self, *events: WidgetState) -> None:
        """Have the script run, and wait until it has.

        Raises:
            RuntimeError: the page shows an error.
        """
        assert self._socket is not None
        asked = BackMsg()
        asked.rerun_script.query_string = self.query
        asked.rerun_script.widget_states.widgets.extend([*self._said.values(), *events])
        asked.rerun_script.cached_message_hashes.extend(self._known)
        await self._socket.send(asked.SerializeToString())
        self.received = 0
        finished = False
        while not finished:
            data = await self._socket.recv(decode=False)
            self.received += len(data)
            message = ForwardMsg.FromString(data)
            if message.metadata.cacheable:
                self._known.add(message.hash)
            self._see(message)
            finished = message.WhichOneof("type") == "script_finished"

    def _see(self, message: ForwardMsg) -> None:
        """Note the widgets and the loop that came."""
        if tabs := message.delta.add_block.tab_container.id:
            self.ids["tabs"] = tabs
        element = message.delta.new_element
        kind = element.WhichOneof("type")
        if kind == "exception":
            raise RuntimeError(f"the page shows an error: {element.exception.message}")
        if kind == "bidi_component":
            name = element.bidi_component.component_name.rpartition(".")[2]
            self.ids[name] = element.bidi_component.id
            if name == "stage":
                self.shown = json.loads(element.bidi_component.json)["loop"]
        elif kind == "number_input":
            self.ids[element.number_input.label] = element.number_input.id
        elif kind == "file_uploader":
            self.ids["file"] = element.file_uploader.id
        elif kind == "alert":
            self.warned = element.alert.body


def _put(address: str, name: str, content: bytes) -> None:
    """Put a file on the server, as a form with a token in a cookie and in a header."""
    token, line = secrets.token_hex(16), secrets.token_hex(16)
    head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    request = urllib.request.Request(
        address,
        head.encode() + content + f"\r\n--{line}--\r\n".encode(),
        {
            "Content-Type": f"multipart/form-data; boundary={line}",
            "Cookie": f"_streamlit_xsrf={token}",
            "X-Xsrftoken": token,
        },
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=120):
        pass


# -- visitors with one ---------------------------------------------------------------------------------

_MOVE = "(dial, value) => { dial.value = value; dial.dispatchEvent(new Event('input', { bubbles: true })); }"

_PAINTED = "() => new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))"


@dataclass
class Window:
    """A visitor with a page of headless Chromium.

    Attributes:
        chrome: the browser.
        address: of the page.
    """

    chrome: Browser
    address: str
    received: int = 0
    _page: Page | None = None
    _finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def page(self) -> Page:
        assert self._page is not None
        return self._page

    async def open(self) -> None:
        self._page = await self.chrome.new_page(viewport={"width": 1280, "height": 900})
        self._page.set_default_timeout(120_000)
        self._page.on("websocket", self._listen)
        await self._answered(self._page.goto(self.address, wait_until="commit"))

    async def choose_tab(self, name: str) -> None:
        await self._answered(self.page.get_by_role("tab", name=name).click())

    async def type_number(self, label: str, value: float) -> None:
        async def typed() -> None:
            entry = self.page.get_by_role("spinbutton", name=label)
            await entry.fill(f"{value:.0f}")
            await entry.press("Enter")

        await self._answered(typed())

    async def move_dial(self, name: str, value: float) -> None:
        await self._answered(self.page.locator(f"#dial-{name}").evaluate(_MOVE, value))

    async def close(self) -> None:
        await self.page.close()

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._hear)

    def _hear(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.received += len(data)
            if ForwardMsg.FromString(data).WhichOneof("type") == "script_finished":
                self._finished.set()

    async def _answered(self, asked: Awaitable[object]) -> None:
        self.received = 0
        self._finished.clear()
        await asked
        await asyncio.wait_for(self._finished.wait(), 120)
        await self.page.evaluate(_PAINTED)


# -- all at once ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wait:
    """How long visitors waited for answers, and how much came.

    Attributes:
        seconds: of each answer.
        received: bytes of each answer.
        work: seconds of processor time that the server needed for all of them.
    """

    seconds: np.ndarray
    received: np.ndarray
    work: float

    def __str__(self) -> str:
        middle, late = np.percentile(self.seconds, [50, 90])
        each = 1000 * self.work / len(self.seconds)
        return f"{middle:.2f} | {late:.2f} | {each:.0f} | {np.median(self.received) / 1000:,.0f}"


async def at_once(
    visitors: Sequence[Visitor], ask: Callable[[int, Visitor], Awaitable[None]], process: int, rounds: int = 1
) -> Wait:
    """Let all visitors ask in the same moment, and again when all have their answers.

    Args:
        visitors: who asks.
        ask: called with a visitor, and with a number that no other call has.
        process: the server's.
        rounds: how often.
    """
    before = work(process)
    seconds: list[float] = []
    received: list[int] = []

    async def one(number: int, visitor: Visitor) -> None:
        begun = time.perf_counter()
        await ask(number, visitor)
        seconds.append(time.perf_counter() - begun)
        received.append(visitor.received)

    for turn in range(rounds):
        await asyncio.gather(*(one(turn * len(visitors) + i, visitor) for i, visitor in enumerate(visitors)))
    return Wait(np.array(seconds), np.array(received), work(process) - before)


async def visit(visitors: Sequence[Visitor], process: int, first: int, rounds: int = ROUNDS) -> dict[str, Wait]:
    """Let visitors come, ask for seeds on Sample and for densities on Steer, and go.

    Args:
        visitors: who comes.
        process: the server's.
        first: a number; visits whose numbers are as far apart as they have visitors times rounds ask for other things.
        rounds: how often each of them asks.
    """

    async def sample(number: int, visitor: Visitor) -> None:
        await visitor.type_number("Seed", 1000 * (1 + first + number))

    async def steer(number: int, visitor: Visitor) -> None:
        await visitor.move_dial("density", 8 + number // len(visitors) * 5 % 11)

    waits = {
        "open the page": await at_once(visitors, lambda _, visitor: visitor.open(), process),
        "sample: another seed": await at_once(visitors, sample, process, rounds),
        "open Steer": await at_once(visitors, lambda _, visitor: visitor.choose_tab("Steer"), process),
        "steer: another density": await at_once(visitors, steer, process, rounds),
    }
    await asyncio.gather(*(visitor.close() for visitor in visitors))
    return waits


def work(process: int) -> float:
    """The processor time that a process has needed so far, in seconds."""
    numbers = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """The memory that a process holds now, in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- for minutes ---------------------------------------------------------------------------------------


def slow_file(number: int) -> bytes:
    """A MIDI file of nearly 4 MB that is read byte by byte: its track ends before it says.

    Args:
        number: files of different ones differ.
    """
    notes = b"\x00\x99\x24\x5a\x60\x24" + bytes([1 + number % 127])
    head = b"MThd" + struct.pack(">IHHH", 6, 1, 1, 480)
    return head + b"MTrk" + struct.pack(">I", (1 << 24) - 1) + notes + b"\x00\xff\x01\x00" * 999_900


@dataclass
class Uploader:
    """A visitor who uploads slow files, one after the other.

    Attributes:
        address: of the page.
        seconds: that each took until it was read or refused.
    """

    address: str
    seconds: list[float] = field(default_factory=list)

    async def go_on(self) -> None:
        """Upload until this is cancelled."""
        for number in itertools.count():
            if number % 50 == 0:
                visitor = Connection(self.address, "begin=Your+file")
                await visitor.open()
            begun = time.perf_counter()
            await visitor.upload(f"{number}.mid", slow_file(number))
            self.seconds.append(time.perf_counter() - begun)


@contextlib.asynccontextmanager
async def uploads(address: str) -> AsyncIterator[Uploader]:
    """Slow files are uploaded meanwhile."""
    uploader = Uploader(address)
    task = asyncio.create_task(uploader.go_on())
    try:
        yield uploader
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _joined(waits: Sequence[Wait]) -> Wait:
    """All of them as one."""
    return Wait(
        np.concatenate([wait.seconds for wait in waits]),
        np.concatenate([wait.received for wait in waits]),
        sum(wait.work for wait in waits),
    )


async def for_minutes(
    come: Callable[[], Sequence[Visitor]], process: int, minutes: float
) -> tuple[dict[str, Wait], list[float]]:
    """Let visitors come, ask and go, again and again.

    Args:
        come: gives those who come.
        process: the server's.
        minutes: for how long.

    Returns:
        What each answer took, by action, and the server's memory at the end of each minute, in MB.
    """
    begun = time.perf_counter()
    waits: dict[str, list[Wait]] = {}
    held: list[float] = []
    first = 0
    while time.perf_counter() - begun < 60 * minutes:
        visitors = come()
        for what, wait in (await visit(visitors, process, first)).items():
            waits.setdefault(what, []).append(wait)
        first += ROUNDS * len(visitors)
        held += [memory(process)] * (int((time.perf_counter() - begun) / 60) - len(held))
    return {what: _joined(each) for what, each in waits.items()}, held


async def _measure_minutes(address: str, process: int, n: int, minutes: float, with_uploads: bool) -> None:
    await visit([Connection(address)], process, 0)  # the first one loads the models

    def come() -> list[Visitor]:
        return [Connection(address) for _ in range(n)]

    async with contextlib.AsyncExitStack() as stack:
        uploader = await stack.enter_async_context(uploads(address)) if with_uploads else None
        waits, held = await for_minutes(come, process, minutes)
    print(_table({n: waits}))
    asked = sum(len(wait.seconds) for wait in waits.values())
    warm = f"{held[WARM - 1]:,.0f} MB after {WARM} minutes, " if len(held) > WARM else ""
    print(f"\n{asked:,} answers in {minutes:g} minutes. The server holds {warm}{memory(process):,.0f} at the end.")
    print(f"Minute by minute, MB: {', '.join(f'{mb:.0f}' for mb in held)}")
    if uploader is not None:
        print(f"{len(uploader.seconds)} uploads meanwhile, {np.median(uploader.seconds):.1f} s each at the median.")
        await _measure_uploads(address, process)


async def _measure_uploads(address: str, process: int) -> None:
    """What uploads of somebody else cost a single visitor."""
    print("\n| a single visitor | | median, s | 90th percentile, s | most, s |\n| --- | --- | ---: | ---: | ---: |")
    for told, first in (("alone", 10**5), ("while another uploads", 2 * 10**5)):
        async with contextlib.AsyncExitStack() as stack:
            if first > 10**5:
                await stack.enter_async_context(uploads(address))
                await asyncio.sleep(2)
            waits = await visit([Connection(address)], process, first, ASKED)
        for what in ("sample: another seed", "steer: another density"):
            seconds = waits[what].seconds
            middle, late = np.percentile(seconds, [50, 90])
            print(f"| {told} | {what} | {middle:.2f} | {late:.2f} | {seconds.max():.2f} |")


def _table(visits: dict[int, dict[str, Wait]]) -> str:
    lines = [
        "| visitors at once | | median, s | 90th percentile, s | server's work each, ms | kB each |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
        *(f"| {n} | {what} | {wait} |" for n, waits in visits.items() for what, wait in waits.items()),
    ]
    return "\n".join(lines)


async def _measure(address: str, process: int, n: int) -> None:
    def come(count: int) -> list[Visitor]:
        return [Connection(address) for _ in range(count)]

    await visit(come(1), process, 0)  # the first one loads the models
    held = {1: memory(process)}
    visits, past = {}, 1
    for count in (1, n):
        visits[count] = await visit(come(count), process, first=ROUNDS * past)
        past += count
    for many in VISITS:
        while past < many:
            await visit(come(n), process, first=ROUNDS * past)
            past += n
        held[past] = memory(process)
    print(_table(visits))
    told = [f"{mb:,.0f} MB after {past:,} visits" for past, mb in held.items()]
    print(f"\nThe server holds {', '.join(told)}.")


async def _measure_in_chromium(address: str, process: int, n: int) -> None:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chrome = await playwright.chromium.launch(executable_path=chromium(), args=flags())
        await visit([Connection(address)], process, 0)  # loads the models
        visits = {}
        for count in (1, n):
            visitors = [Window(chrome, address) for _ in range(count)]
            visits[count] = await visit(visitors, process, first=ROUNDS * (1 + count))
        await chrome.close()
    print(_table(visits))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=20, help="how many there are at once (%(default)s)")
    parser.add_argument("--chromium", action="store_true", help="let each be a page in headless Chromium")
    parser.add_argument("--minutes", type=float, default=0, help="how long visitors go on coming")
    parser.add_argument(
        "--uploads", action="store_true", help="with --minutes: another one uploads slow files meanwhile"
    )
    options = parser.parse_args(arguments)
    if (options.chromium and options.minutes) or (options.uploads and not options.minutes):
        parser.error("--uploads goes with --minutes, and --chromium with neither")
    if options.chromium and chromium() is None:
        sys.exit("there is no Chromium on this machine")
    with server() as (address, process):
        if options.chromium:
            asyncio.run(_measure_in_chromium(address, process, options.visitors))
        elif options.minutes:
            asyncio.run(_measure_minutes(address, process, options.visitors, options.minutes, options.uploads))
        else:
            asyncio.run(_measure(address, process, options.visitors))


if __name__ == "__main__":
    main()
