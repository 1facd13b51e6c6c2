"""The page for everybody: with a keyboard alone, and by the rules of axe-core, in light and dark."""

import importlib.util
from pathlib import Path

import pytest
from browsing import PLAYER, open_tab, settled, wait_for_sound, watched

pytest.importorskip("streamlit", reason="the page needs Streamlit")
pytest.importorskip("playwright", reason="opening the page needs Playwright")

pytest_plugins = ["browsing"]

TABS = ("Sample", "Steer", "Morph", "Edit", "Blind test", "Data")


@pytest.fixture(scope="module")
def axe():
    """The script of axe-core."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None:
        pytest.skip("axe-core is not on this machine (pip install axe-playwright-python)")
    return (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def _findings(page, axe):
    """What axe-core holds to be serious or critical: rule, element, what is wrong."""
    page.evaluate(axe)
    said = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        (rule["id"], node["target"][-1], node["failureSummary"])
        for rule in said["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("device", ["page", "phone"])
@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_nothing_serious(tab, device, request, address, axe):
    """At a desktop in light, on a phone in dark."""
    page = request.getfixturevalue(device)
    open_tab(page, address, tab)
    settled(page)
    assert _findings(page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_where_there_are_no_songs(scheme, script, chrome, axe):
    with script.served() as place, chrome.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        wrong = watched(page, place)
        open_tab(page, place, "Data")
        page.get_by_text("rhythmgan prepare").wait_for()
        settled(page)
        assert _findings(page, axe) == []
        assert wrong == []


def test_axe_finds_nothing_serious_in_what_was_steered(page, address, axe):
    open_tab(page, address, "Steer")
    page.get_by_role("button", name="Busier").click()
    settled(page)
    assert page.get_by_text("added").count()
    assert _findings(page, axe) == []


def test_axe_sees_what_is_wrong(page, address, axe):
    """A button without a name, within one of our own elements, is found: nothing hides there."""
    open_tab(page, address)
    settled(page)
    page.locator(".dials").first.evaluate("dials => dials.append(document.createElement('button'))")
    assert [rule for rule, *_ in _findings(page, axe)] == ["button-name"]


_FOCUSED = """() => {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found.getAttribute("aria-label") || found.labels?.[0]?.innerText || found.innerText || "";
}"""
"""What a screen reader calls the element that has the focus, also within our own elements."""


def _tab_to(page, name, most=70):
    """Press Tab until something has the focus whose name begins so; returns the names of all that were passed."""
    passed = []
    while len(passed) < most:
        page.keyboard.press("Tab")
        passed.append(page.evaluate(_FOCUSED).strip())
        if passed[-1].startswith(name):
            return passed
    raise AssertionError(f"Tab does not lead to {name!r}: {passed}")


def _code(page):
    """The loop in hand, as the address has it."""
    return page.evaluate("new URLSearchParams(location.search).get('loop')")


def test_a_loop_is_steered_played_edited_and_undone_by_the_keyboard_alone(page, address):
    open_tab(page, address)
    settled(page)
    _tab_to(page, "Sample")
    page.keyboard.press("ArrowRight")
    page.locator("#dial-density").wait_for()
    settled(page)
    _tab_to(page, "Density")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("new URLSearchParams(location.search).get('loop') !== null")
    settled(page)
    steered = _code(page)
    page.keyboard.press("Space")
    wait_for_sound(page)
    page.keyboard.press("Space")
    page.wait_for_function(f"{PLAYER}.id === null")
    _tab_to(page, "Skip to main content")
    _tab_to(page, "kick, step 1,")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("code => new URLSearchParams(location.search).get('loop') !== code", arg=steered)
    page.keyboard.press("Control+z")
    page.wait_for_function("code => new URLSearchParams(location.search).get('loop') === code", arg=steered)
    page.keyboard.press("Control+Shift+z")
    page.wait_for_function("code => new URLSearchParams(location.search).get('loop') !== code", arg=steered)
    settled(page)


@pytest.mark.parametrize("tab", TABS)
def test_the_keyboard_reaches_all_of_a_tab_and_comes_round(tab, page, address):
    """No element holds the focus, and each has a name."""
    open_tab(page, address, tab)
    settled(page)
    _tab_to(page, "Skip to main content")
    passed = _tab_to(page, "Skip to main content", 150)
    assert [name for name in passed if not name] == []
    if tab in TABS[:4]:
        assert {"Play", "Tempo, bpm", "Keys"} <= set(passed)
