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
from typing import TYPE_CHECKING
from urllib.error import URLError

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TABS = ("Sample", "Phrase", "Steer", "Morph", "Edit", "Blind test", "Data")
WIDTHS = {"desktop": (1280, "light"), "phone": (390, "dark")}
TALLEST = 1500


def chromium() -> str | None:
    """The Chromium or Chrome of this machine."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@contextmanager
def served(data: str | None = None, votes: str | None = None) -> Iterator[str]:
    """The page, served by ``rhythmgan demo``; gives its address."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rhythmgan", "demo", "--no-browser", "--port", str(port)]
        command += ["--votes", votes or str(Path(folder) / "votes.sqlite"), *(["--data", data] if data else [])]
        log = Path(folder) / "log"
        with log.open("wb") as file:
            server = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            address = f"http://localhost:{port}"
            deadline = time.monotonic() + 60
            while not _is_up(address):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the page did not start: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield address
        finally:
            server.terminate()
            server.wait(20)


def _is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless Chromium, which calls nobody."""
    from playwright.sync_api import sync_playwright

    # as root Chromium has no sandbox to run in
    flags = ["--disable-gpu", "--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=flags)
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
    """Seconds until a new visitor sees the title, and until there is a bar that can be played."""
    page = chrome.new_page(viewport={"width": 1280, "height": 900})
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.get_by_role("tab", name="Sample").wait_for()
    painted = time.perf_counter() - begun
    page.locator("article.card").first.wait_for()
    played = time.perf_counter() - begun
    page.close()
    return painted, played


def answer(chrome: Browser, address: str) -> float:
    """Seconds from a move of a slider to 16 newly steered bars at 32 calls, the middle of five."""
    page = chrome.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{address}/?tab=Steer&density=30")
    page.get_by_role("radio", name="Nothing").click()
    page.get_by_role("button", name="Play steered 3", exact=True).wait_for()
    settled(page)
    page.get_by_role("button", name="Options").click()
    page.get_by_role("slider", name="Versions").focus()
    page.keyboard.press("End")
    page.get_by_role("button", name="Play steered 16", exact=True).wait_for()
    page.keyboard.press("Escape")
    settled(page)
    density = page.get_by_role("slider", name="Density, onsets a bar")
    density.focus()
    times = []
    for wanted in range(29, 24, -1):
        begun = time.perf_counter()
        page.keyboard.press("ArrowLeft")
        page.get_by_text(f"{wanted}, denser").wait_for()
        page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
        times.append(time.perf_counter() - begun)
        settled(page)
    page.close()
    return sorted(times)[2]


def take_pictures(chrome: Browser, address: str, folder: Path) -> None:
    """A PNG of every tab at desktop width in light and at a phone's in dark."""
    folder.mkdir(parents=True, exist_ok=True)
    for device, (width, scheme) in WIDTHS.items():
        context = chrome.new_context(color_scheme=scheme, device_scale_factor=1)  # type: ignore[arg-type]
        page = context.new_page()
        for tab in TABS:
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(f"{address}/?tab={tab}")
            page.get_by_role("tab", name=tab).wait_for()
            settled(page)
            if tab == "Sample":
                page.get_by_role("button", name="Play seed 1").first.click()
                settled(page)
            height = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
            page.set_viewport_size({"width": width, "height": min(max(height, 700), TALLEST)})
            settled(page)
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
        print("| seconds until there is | the page | a bar to play |\n| --- | ---: | ---: |")
        for who, (painted, played) in waits:
            print(f"| {who} | {painted:.2f} | {played:.2f} |")
        seconds = answer(chrome, address)
        print(f"\n16 bars steered anew at 32 calls, from the move of a slider: {seconds:.2f} s")


if __name__ == "__main__":
    main()
