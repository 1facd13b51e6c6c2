"""How long the page keeps a visitor waiting, in headless Chromium; with --pictures, what every tab looks like.

Needs Chromium (Debian: apt-get install chromium) and Playwright (in the dev extra).

Run: python benchmarks/page.py [--data bars.npz] [--pictures docs/page]
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from urllib.error import URLError

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

TABS = ("Sample", "Steer", "Morph", "Edit", "Blind test", "Data")

DEVICES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844},
}

MOVES = 20
"""Of sliders, for the median of how soon they are answered."""


def chromium() -> str | None:
    """The Chromium or Chrome of this machine."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@contextmanager
def served(data: str | None = None, votes: str | None = None) -> Iterator[str]:
    """The page, served by ``rhythmgan demo``; gives its address."""
    with server(data, votes) as (address, _):
        yield address


@contextmanager
def server(data: str | None = None, votes: str | None = None) -> Iterator[tuple[str, int]]:
    """The same; gives its address and the number of its process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rhythmgan", "demo", "--no-browser", "--port", str(port)]
        command += ["--votes", votes or str(Path(folder) / "votes.sqlite"), *(["--data", data] if data else [])]
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            address = f"http://localhost:{port}"
            deadline = time.monotonic() + 60
            while not _is_up(address):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the page did not start: {log.read_text(errors='replace', encoding='utf-8')[-2000:]}"
                    )
                time.sleep(0.05)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(20)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def flags() -> list[str]:
    """How Chromium is started: it calls nobody, and as root it has no sandbox to run in."""
    return ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=flags())
        try:
            yield opened
        finally:
            opened.close()


def settled(page: Page) -> None:
    """Wait until Streamlit has nothing left to do."""
    page.wait_for_timeout(300)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(300)


def first_visit(chrome: Browser, address: str) -> tuple[float, float]:
    """Seconds until a new visitor sees the title, and until there is a loop that can be played."""
    page = chrome.new_page(viewport=DEVICES["desktop"])
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.get_by_role("tab", name="Sample").wait_for()
    painted = time.perf_counter() - begun
    page.locator(".stage svg").first.wait_for()
    played = time.perf_counter() - begun
    page.close()
    return painted, played


_LIVE = """
async ([name, value]) => {
  const player = window.rhythmganPlayer;
  const code = () => (player.coming ?? player.loop).code;
  const before = code();
  const dial = [...document.querySelectorAll("*")]
    .flatMap((each) => [...(each.shadowRoot ?? each).querySelectorAll(`.dials #dial-${name}`)])[0];
  const begun = performance.now();
  dial.value = value;
  dial.dispatchEvent(new Event("input", { bubbles: true }));
  while (code() === before && performance.now() - begun < 5000) await new Promise((next) => setTimeout(next, 1));
  return performance.now() - begun;
}
"""
"""Moves a dial, and gives the milliseconds until the player holds another loop."""


def live(chrome: Browser, address: str) -> list[float]:
    """Seconds from each move of a slider on Steer to the new loop in the player, while the one before plays.

    The loop has four bars, and each answer takes 8 calls.
    """
    page = chrome.new_page(viewport=DEVICES["desktop"])
    page.goto(f"{address}/?tab=Steer")
    page.locator("#dial-density").wait_for()
    settled(page)
    page.keyboard.press("Space")
    page.wait_for_function("window.rhythmganPlayer.id === 'hand'")
    found = []
    for i in range(MOVES):
        name, value = (("density", 8 + 5 * i % 11), ("syncopation", 4 + 7 * i % 13))[i % 2]
        found.append(page.evaluate(_LIVE, [name, value]) / 1000)
        settled(page)
    page.close()
    return found


def take_pictures(chrome: Browser, address: str, folder: Path) -> None:
    """A PNG of what each tab shows without scrolling: at a desktop in light, at a phone in dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for device, size in DEVICES.items():
        context = chrome.new_context(
            color_scheme="dark" if device == "phone" else "light", viewport=size, has_touch=device == "phone"
        )
        page = context.new_page()
        for tab in TABS:
            page.goto(f"{address}/?tab={tab}")
            page.get_by_role("tab", name=tab).wait_for()
            settled(page)
            if tab == "Steer":
                page.get_by_role("button", name="Busier").click()
                settled(page)
                page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
            page.mouse.move(0, 0)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.save(folder / f"{tab.lower().replace(' ', '-')}-{device}.png", optimize=True)
        context.close()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a corpus, as for `rhythmgan demo`")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to write them; none are made without")
    options = parser.parse_args(arguments)
    if chromium() is None:
        sys.exit("there is no Chromium on this machine")
    with served(options.data) as address, browser() as chrome:
        if options.pictures:
            take_pictures(chrome, address, options.pictures)
            return
        waits = [("first visitor of a new server", first_visit(chrome, address))]
        later = sorted(first_visit(chrome, address) for _ in range(5))[2]
        waits.append(("later visitors", later))
        print("| seconds until there is | the page | a loop to play |\n| --- | ---: | ---: |")
        for who, (painted, played) in waits:
            print(f"| {who} | {painted:.2f} | {played:.2f} |")
        seconds = sorted(live(chrome, address))
        print(
            f"\n{MOVES} moves of sliders on Steer, four bars at 8 calls, until the player holds the answer: "
            f"{median(seconds):.2f} s at the median, {seconds[-1]:.2f} s at most"
        )


if __name__ == "__main__":
    main()
