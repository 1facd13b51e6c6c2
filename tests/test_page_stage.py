"""The stage: what is drawn in a browser reaches the loop in hand, and nothing that a browser says breaks it."""

import json
import re

import numpy as np
import pytest
from browsing import PLAYER, ROOT, open_tab, settled, wait_for_sound, watched
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from visiting import ANYTHING

from page import cards, session, stage
from page.loop import KIT, Loop
from page.session import Visitor
from page.stage import Desk
from rhythmgan.conditions import Condition
from rhythmgan.performance import Performance

pytest_plugins = ["browsing", "visiting"]

UNLOCKED = [False] * 12
WEB = ROOT / "demo" / "page" / "web"


@pytest.fixture(scope="module")
def loop(groove):
    """A A A B: in the last bar a crash on the one and no hats."""
    last = groove.copy()
    last[:, 2] = False
    last[0, 8] = True
    return Loop.of(np.stack([groove, groove, groove, last]), "seed 7")


@pytest.fixture(scope="module")
def played(groove):
    """One bar with velocities and timing: a soft late snare on 5, a loud early one on 13; the rest on accents."""
    bare = Performance.of(groove, KIT)
    velocities, offsets = bare.velocities.copy(), bare.offsets.copy()
    velocities[0, 4, 1], offsets[0, 4, 1] = 50, 0.25
    velocities[0, 12, 1], offsets[0, 12, 1] = 120, -0.125
    return Loop.of(Performance.of(groove[None], KIT, velocities, offsets), "own")


def _said(loop, epoch=0, revision=1, locks=UNLOCKED, **other):
    """What a browser says that drew this loop."""
    sent = loop.sent
    said = {"epoch": epoch, "revision": revision, "locks": list(locks)}
    return said | {name: sent[name] for name in ("bars", "velocities", "offsets")} | other


def _desk(loop):
    return Desk(loop, loop, list(UNLOCKED))


# -- the desk ------------------------------------------------------------------------------------------


def test_a_stroke_in_the_browser_changes_the_loop(loop):
    desk = _desk(loop)
    cells = loop.cells.copy()
    cells[2, 3, 0] = True
    locks = [True, *UNLOCKED[1:]]
    assert desk.receive(_said(Loop.of(cells, ""), locks=locks))
    assert np.argwhere(desk.loop.cells != loop.cells).tolist() == [[2, 3, 0]]
    assert desk.loop.name == "seed 7, edited"
    assert desk.loop.plain
    assert (desk.revision, desk.epoch, desk.locks) == (1, 0, locks)
    assert desk.receive(_said(loop, revision=2))
    assert desk.loop == loop  # and is called so again
    assert desk.locks == UNLOCKED


def test_what_is_drawn_in_is_still_what_was_asked_for(loop):
    asked = Condition("fill", "funk")
    desk = _desk(Loop.of(loop.performance, "seed 7", asked))
    assert desk.receive(_said(Loop.of(~loop.cells, "")))
    assert desk.loop.asked == asked


def test_velocities_and_timing_are_taken_over_as_they_were_drawn(played):
    desk = _desk(played)
    said = _said(played)
    said["velocities"][0][12 * 12 + 1] = 40
    assert desk.receive(said)
    velocities, offsets = desk.loop.performance.velocities[0], desk.loop.performance.offsets[0]
    assert (velocities[4, 1], velocities[12, 1], velocities[0, 0], velocities[0, 1]) == (50, 40, 112, 0)
    assert (offsets[4, 1], offsets[12, 1]) == (0.25, -0.125)
    # without velocities of its own a loop has accents on the grid
    assert desk.receive(_said(Loop.of(played.cells, ""), revision=2))
    assert desk.loop.plain


def test_what_the_browser_said_before_it_knew_is_too_late(loop, played):
    desk = _desk(loop)
    desk.look(Visitor(played))
    assert desk.epoch == 1
    for epoch in (0, 2, -1, True):
        assert not desk.receive(_said(played, epoch=epoch, locks=[True] * 12))
    assert not desk.receive(_said(loop, epoch=1))  # of other bars
    assert desk.receive(_said(Loop.of(~played.cells, ""), epoch=1, revision=3))
    assert not desk.receive(_said(played, epoch=1, revision=3))  # said again
    assert not desk.receive(_said(played, epoch=1, revision=2))
    assert (desk.loop.cells == ~played.cells).all()
    assert desk.loop.name == "own, edited"
    locked = Visitor(desk.loop, locks=[True] * 12)
    desk.look(locked)  # locks of another place are another epoch as well
    assert (desk.epoch, desk.revision) == (2, 0)
    desk.look(locked)
    assert desk.epoch == 2


@pytest.mark.parametrize(
    "change",
    [
        *({"bars": bars} for bars in (None, {}, 5, [[1] * 16] * 3, [[1] * 12] * 4, [[4096] * 16] * 4, [[-1] * 16] * 4)),
        *({"bars": [[word] * 16] * 4} for word in (True, 1.0, 2**70, None, "1", [1], float("nan"))),
        {"velocities": [[0] * 192] * 4},  # of cells that sound
        {"velocities": [[128] * 192] * 4},
        {"velocities": [[64.5] * 192] * 4},
        {"velocities": [[64] * 192] * 3},
        {"velocities": []},
        {"offsets": [[0.6] * 192] * 4},
        {"offsets": [[float("nan")] * 192] * 4},
        {"offsets": [[0.0] * 191] * 4},
        *({"epoch": epoch} for epoch in (float("inf"), float("nan"), [], None, False)),
        *({"revision": "x"}, {"revision": []}, {"revision": -1}, {"revision": 2**40}, {"revision": 0}),
        *({"locks": [True] * 9}, {"locks": [1] * 12}, {"locks": 5}),
    ],
)
def test_nonsense_changes_nothing(loop, change):
    desk, before = _desk(loop), _desk(loop)
    drawn = Loop.of(~loop.cells, "")
    assert not desk.receive(_said(drawn) | change)
    assert desk == before
    assert desk.receive(_said(drawn))
    assert (desk.loop.cells == ~loop.cells).all()


@settings(max_examples=150)
@given(
    sent=ANYTHING,
    entry=st.sampled_from(["epoch", "revision", "bars", "velocities", "offsets", "locks", "a bar", "a cell", None]),
)
def test_anything_from_a_browser_leaves_a_loop_on_the_desk(played, sent, entry):
    desk = _desk(played)
    drawn = _said(Loop.of(~played.cells, ""), velocities=[[100] * 192], offsets=[[0] * 192])
    if entry == "a bar":
        drawn["bars"] = [sent]
    elif entry == "a cell":
        drawn["velocities"][0][17] = drawn["offsets"][0][3] = sent
    elif entry:
        drawn[entry] = sent
    for said in (sent, [sent], drawn):
        desk.receive(said)
        assert desk.loop.cells.shape == (1, 16, 12)
        assert [type(lock) for lock in desk.locks] == [bool] * 12
        json.dumps([desk.loop.sent, desk.locks, desk.epoch, desk.revision])  # what the browser is sent


# -- the stage on the page -----------------------------------------------------------------------------


class Mounted:
    """Stands where a component is: what it was given, and what its script says."""

    def __init__(self, monkeypatch, hand):
        self.state = _State()
        self.visitor = Visitor(hand, history=[hand])
        monkeypatch.setattr(session.st, "query_params", {})
        monkeypatch.setattr(session.st, "session_state", self.state)
        for room in (stage, cards):
            monkeypatch.setattr(room.session, "visitor", lambda: self.visitor)
        monkeypatch.setattr(stage, "_stage", self._mount)
        monkeypatch.setattr(cards, "_cards", self._mount)

    def _mount(self, key, data, **callbacks):
        self.key, self.data, self.callbacks = key, data, callbacks
        json.dumps(data)

    def say(self, event, value):
        self.state[self.key] = _State({event: value})
        self.callbacks[f"on_{event}_change"]()


class _State(dict):
    __getattr__ = dict.__getitem__


@pytest.fixture
def mounted(monkeypatch, loop):
    return Mounted(monkeypatch, loop)


def test_each_stroke_is_one_step_to_undo(mounted, loop, groove):
    stage.show()
    assert (mounted.data["loop"], mounted.data["epoch"], mounted.data["revision"]) == (loop.sent, 0, 0)
    for revision in (1, 2):
        cells = mounted.visitor.hand.cells.copy()
        cells[0, revision, 5] = True
        mounted.say("edited", _said(Loop.of(cells, ""), revision=revision))
        stage.show()
        assert (mounted.data["epoch"], mounted.data["revision"]) == (0, revision)
    assert mounted.visitor.hand.cells.sum() == loop.cells.sum() + 2
    mounted.visitor.undo()
    stage.show()
    assert np.argwhere(mounted.visitor.hand.cells != loop.cells).tolist() == [[0, 1, 5]]
    assert (mounted.data["epoch"], mounted.data["revision"]) == (1, 0)
    mounted.visitor.undo()
    stage.show()
    assert mounted.data["loop"] == loop.sent
    assert mounted.visitor.past == []


def test_strokes_whose_messages_were_lost_are_steps_to_undo_as_well(mounted, loop):
    """A busy server hears the last of three messages, which tells the others again."""
    stage.show()
    strokes, cells = [], loop.cells.copy()
    for revision in (1, 2, 3):
        cells[0, revision, 5] = True
        strokes.append(_said(Loop.of(cells, ""), revision=revision))
    mounted.say("edited", strokes[0])
    # of one message all strokes are of one epoch, which it says once
    earlier = [{name: said for name, said in stroke.items() if name != "epoch"} for stroke in strokes[:2]]
    mounted.say("edited", strokes[2] | {"earlier": earlier})
    assert (mounted.visitor.hand.cells == cells).all()
    assert len(mounted.visitor.past) == 3
    for nonsense in ([None, 5, {}], 5, {"a": 1}, [strokes[0], strokes[2]]):
        mounted.say("edited", strokes[2] | {"earlier": nonsense})
    assert len(mounted.visitor.past) == 3


def test_a_stroke_and_a_button_of_the_same_moment(mounted, loop, played):
    """The button wins: what was drawn was drawn in another loop."""
    stage.show()
    mounted.visitor.take(played)
    mounted.say("edited", _said(Loop.of(~loop.cells, "")))
    assert mounted.visitor.hand == played


def test_locks_are_heard_and_are_no_step_to_undo(mounted, loop):
    stage.show()
    mounted.say("edited", _said(loop, locks=[True] * 3 + [False] * 9))
    assert mounted.visitor.locks == [True] * 3 + [False] * 9
    assert mounted.visitor.past == []
    stage.show()
    assert (mounted.data["locks"], mounted.data["epoch"]) == (mounted.visitor.locks, 0)


def test_locks_that_are_turned_elsewhere_are_told_to_the_browser(mounted, loop):
    """In the visitor's own list: neither what was told nor what was said is that list."""
    stage.show()
    mounted.visitor.locks[3] = True
    stage.show()
    assert (mounted.data["epoch"], mounted.data["locks"][3]) == (1, True)
    mounted.say("edited", _said(loop, epoch=1, locks=[True] * 12))
    mounted.visitor.locks[3] = False
    stage.show()
    assert (mounted.data["epoch"], mounted.data["locks"]) == (2, [True] * 3 + [False] + [True] * 8)


def test_what_changed_is_drawn_against_what_it_came_of_also_while_it_is_drawn_in(mounted, loop):
    stage.show()
    assert mounted.data["before"] is None
    varied = Loop.of(np.roll(loop.cells, 1, 1), "varied")
    mounted.visitor.take(varied, before=loop)
    stage.show()
    assert mounted.data["before"] == loop.words
    cells = varied.cells.copy()
    cells[0, 0, 11] = True
    mounted.say("edited", _said(Loop.of(cells, ""), epoch=1))
    stage.show()
    assert mounted.data["before"] == loop.words


def test_the_browser_is_told_whether_another_loop_came_in_hand(mounted, loop, played, groove):
    """Another one, and not what came of the one that was there: by a stroke, a button, a slider, undo or redo."""
    visitor = mounted.visitor

    def others():
        stage.show()
        return mounted.data["others"]

    assert others() == 0
    drawn = Loop.of(~loop.cells, "")
    mounted.say("edited", _said(drawn))
    assert others() == 0
    visitor.take(Loop.of(np.roll(loop.cells, 1, 1), "varied"), before=visitor.hand)
    assert others() == 0
    for move in ("undo", "undo", "redo", "redo", "undo"):
        getattr(visitor, move)()
        assert others() == 0
    visitor.take(played)
    assert others() == 1
    for shift in (1, 2):
        visitor.take(Loop.of(np.roll(groove, shift, 0), "warmer"), tag="temperature")
        assert others() == 1
    visitor.undo()
    assert others() == 1
    visitor.take(Loop.of(groove, "a card"))
    assert others() == 2
    visitor.take(loop)
    assert others() == 3
    visitor.undo()
    visitor.undo()
    visitor.redo()
    assert others() == 3
    visitor.take(drawn)
    assert others() == 4


def test_no_changes_are_drawn_against_a_loop_of_another_length(mounted, loop, played):
    mounted.visitor.take(loop.with_n_bars(2), before=loop)
    stage.show()
    assert mounted.data["before"] is None


def test_the_mixer_is_heard(mounted):
    stage.show()
    off = [False] * 12
    mounted.say("mixed", {"mute": [True, *off[1:]], "solo": off, "level": [0, 0.5, 1.5, *[1] * 9]})
    assert mounted.visitor.mix.levels().tolist() == [0, 0.5, 1.5, *[1] * 9]
    mixed = mounted.visitor.mix
    for nonsense in (
        None,
        {},
        {"mute": off, "solo": off},
        {"mute": off, "solo": off, "level": [2] * 12},
        {"mute": off, "solo": [0] * 12, "level": [1] * 12},
        {"mute": off, "solo": off, "level": [float("nan")] * 12},
    ):
        mounted.say("mixed", nonsense)
    assert mounted.visitor.mix is mixed


@given(ANYTHING)
def test_hearts_and_mixer_take_anything(sent):
    with pytest.MonkeyPatch.context() as patch:
        mounted = Mounted(patch, Loop.of(np.eye(16, 12, dtype=bool), "x"))
        stage.show()
        for event in ("kept", "mixed", "edited"):
            for said in (sent, [sent], {"mute": sent, "solo": sent, "level": sent, "epoch": 0, "earlier": sent}):
                mounted.say(event, said)
        assert mounted.visitor.favourites == []
        assert len(mounted.visitor.mix.levels()) == 12


def test_the_heart_of_the_loop_in_hand(mounted, loop):
    stage.show()
    drawn = Loop.of(~loop.cells, "")
    mounted.say("edited", _said(drawn))
    mounted.say("kept", [[loop.code, True], [drawn.code, True]])  # one that was drawn in since, too
    stage.show()
    assert mounted.data["kept"] == [drawn.code, loop.code]
    mounted.say("kept", [[drawn.code, False]])
    stage.show()
    assert mounted.data["kept"] == [loop.code]
    assert mounted.visitor.hand.code == drawn.code


# -- cards ---------------------------------------------------------------------------------------------


def test_a_card_that_is_played_is_taken_in_hand_with_what_changed(mounted, loop, played, groove):
    other = Loop.of(~groove, "other")
    cards.show([loop, played, other], "gallery", notes=["a", "b", "c"], befores=[None, Loop.of(groove, ""), None])
    assert [sent["note"] for sent in mounted.data["loops"]] == ["a", "b", "c"]
    assert [sent["before"] is None for sent in mounted.data["loops"]] == [True, False, True]
    assert mounted.data["chosen"] == loop.code
    mounted.say("taken", [other.code, "nothing", played.code])  # of quick clicks the last
    assert mounted.visitor.hand == played
    assert mounted.visitor.before == Loop.of(groove, "")
    for nonsense in (None, 5, "x", {}, [None], [[played.code]], []):
        mounted.say("taken", nonsense)
    assert mounted.visitor.hand == played


def test_of_cards_that_are_the_same_loop_the_first_is_taken(mounted, loop, played, groove):
    cards.show([played, loop, played.named("again")], "gallery", befores=[Loop.of(groove, ""), None, None], tag="steer")
    mounted.say("taken", [played.code])
    assert (mounted.visitor.hand.name, mounted.visitor.before, mounted.visitor.tag) == (
        "own",
        Loop.of(groove, ""),
        "steer",
    )
    mounted.say("kept", [[played.code, True]])
    cards.show([played], "gallery")
    assert mounted.data["kept"] == [played.code]
    assert mounted.visitor.favourites[0].name == "own"


# -- in a browser --------------------------------------------------------------------------------------
# The scripts alone, with a player that only remembers what it is told; the whole page is opened further below.

STAND_IN = """
window.player = window.rhythmganPlayer = {
  id: null, loop: null, coming: null, last: null, place: null, keys: [], told: [], listeners: new Set(),
  play(id, loop) {
    this.told.push(["play", loop]);
    Object.assign(this, { id, loop, last: { id, loop } });
    this.tell();
  },
  queue(id, loop) {
    this.told.push(["queue", loop]);
    this.last = { id, loop };
  },
  replace(id, loop) {
    this.told.push(["replace", loop]);
    if (this.id === id) this.loop = loop;
    this.last = { id, loop };
  },
  stop() { this.id = this.loop = this.place = null; this.tell(); },
  toggle(id, loop) { this.id === id ? this.stop() : this.play(id, loop); },
  setMix(mix) { this.told.push(["mix", structuredClone(mix)]); },
  listen(heard) { this.listeners.add(heard); return () => this.listeners.delete(heard); },
  at(bar, step) { this.place = { bar, step }; this.tell(); },
  tell() { this.listeners.forEach((heard) => heard()); },
};
const player = window.player;
"""

COLOURS = {
    "light": ("#31333f", "#ffffff", "#f0f2f6", "#d0d0d4"),
    "dark": ("#fafafa", "#0e1117", "#262730", "#44454c"),
}


class Alone:
    """A component on a page of its own: what its script said, as (event, value)."""

    def __init__(self, page, name, scripts, styles, scheme="light"):
        def joined(names, suffix):
            return "\n".join((WEB / f"{each}{suffix}").read_text(encoding="utf-8") for each in names)

        script = joined(scripts, ".js").replace("export default function", "window.mount = function")
        names = ("text-color", "background-color", "secondary-background-color", "border-color")
        look = ";".join(f"--st-{each}:{colour}" for each, colour in zip(names, COLOURS[scheme], strict=True))
        page.set_content(
            f"<!doctype html><style>body{{margin:0;padding:0.4rem 0.3rem;background:{COLOURS[scheme][1]};"
            f"--st-font:sans-serif;--st-primary-color:#f44;{look}}}</style><div id='host'></div>"
        )
        page.evaluate(
            """([script, name, style]) => {
                (0, eval)(script);
                const root = document.getElementById("host").attachShadow({ mode: "open" });
                root.innerHTML = `<style>${style}</style><div class="${name}">\n</div>`;
                window.said = [];
                const setTriggerValue = (event, value) => window.said.push([event, structuredClone(value)]);
                window.give = (data) => window.mount({ data, parentElement: root, setTriggerValue });
            }""",
            [f"(() => {{{STAND_IN}{script}}})()", name, joined(styles, ".css")],
        )
        self.page = page

    def give(self, **data):
        self.page.evaluate("data => give(data)", {"kit": cards.LOOK} | data)

    def said(self, event):
        return [value for name, value in self.page.evaluate("said") if name == event]

    def told(self, what):
        """What the player was told."""
        return [value for name, value in self.page.evaluate("player.told") if name == what]


@pytest.fixture
def view(chrome):
    """A page with nothing on it, whose scripts may not fail."""
    context = chrome.new_context(viewport={"width": 760, "height": 720}, has_touch=True)
    opened = context.new_page()
    wrong = watched(opened, "http://kept.test")
    opened.set_default_timeout(5_000)
    yield opened
    context.close()
    assert wrong == []


class Stage(Alone):
    def __init__(self, page, loop, scheme="light", **data):
        super().__init__(page, "stage", ["drawing", "editing", "stage"], ["cards", "stage"], scheme)
        self.hand = loop
        self.give(**data)

    def give(self, loop=None, **data):
        self.hand = loop or self.hand
        usual = {"before": None, "locks": [False] * 12, "epoch": 0, "revision": 0, "others": 0, "kept": []}
        mix = {"mute": [False] * 12, "solo": [False] * 12, "level": [1.0] * 12}
        super().give(**{"loop": self.hand.sent, "mix": mix} | usual | data)

    def cell(self, part, step):
        return self.page.get_by_role("gridcell", name=re.compile(f"^{part}, step {step}(,|$)"))

    def velocity(self, part, step):
        return int(self.cell(part, step).get_attribute("data-velocity"))

    def drawn(self):
        """The loop that the script said last, as the desk takes it."""
        sent = self.said("edited")[-1]
        desk = Desk(self.hand, self.hand, list(UNLOCKED), sent["epoch"])
        assert desk.receive(sent)
        return desk.loop

    def differences(self):
        """Where it differs from what was given: [bar, step, part]."""
        return np.argwhere(self.drawn().cells != self.hand.cells).tolist()

    def drag(self, start, end, steps=4):
        (x, y), (to_x, to_y) = (
            (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            for box in (cell.bounding_box() if hasattr(cell, "bounding_box") else cell for cell in (start, end))
        )
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(to_x, to_y, steps=steps)
        self.page.mouse.up()


SNARE, HAT, CRASH, BELL = 1, 2, 8, 11


def test_a_click_puts_a_cell_and_takes_it_away(view, loop):
    shown = Stage(view, loop)
    shown.cell("bell", 3).click()
    assert shown.velocity("bell", 3) == 88  # the accent of its place
    assert shown.differences() == [[0, 2, BELL]]
    assert shown.told("replace")[-1]["bars"][0][2] & 1  # is heard at once
    shown.cell("bell", 3).click()
    assert shown.drawn() == loop
    shown.cell("snare", 5).click()
    assert shown.differences() == [[0, 4, SNARE]]
    assert [said["revision"] for said in shown.said("edited")] == [1, 2, 3]
    assert shown.drawn().plain


def test_a_quick_stroke_paints_every_cell_and_is_one_change(view, loop):
    shown = Stage(view, loop)
    shown.drag(shown.cell("bell", 1), shown.cell("bell", 16), steps=2)
    assert shown.differences() == [[0, step, BELL] for step in range(16)]
    assert len(shown.said("edited")) == 1
    # from a cell that sounds on it silences what it passes
    shown.drag(shown.cell("closed hat", 5), shown.cell("closed hat", 9))
    assert [step for bar, step, part in shown.differences() if part == HAT] == [4, 6, 8]
    assert len(shown.said("edited")) == 2


def test_velocity_is_drawn_and_changed_by_dragging_turning_and_keys(view, played):
    shown = Stage(view, played)
    assert [shown.velocity("snare", step) for step in (1, 5, 13)] == [0, 50, 120]

    def bar(step):
        style = "cell => [getComputedStyle(cell, '::after').height, getComputedStyle(cell, '::after').opacity]"
        return [float(each.removesuffix("px")) for each in shown.cell("snare", step).evaluate(style)]

    (low, faint), (high, dense) = bar(5), bar(13)
    assert low < 0.7 * high
    assert faint < 0.8 * dense
    assert bar(1) == [0, 0]
    # up is louder, 5 velocities in 4 pixels
    box = shown.cell("snare", 5).bounding_box()
    shown.drag(shown.cell("snare", 5), box | {"y": box["y"] - 16})
    assert shown.velocity("snare", 5) == 70
    assert len(shown.said("edited")) == 1
    drawn = shown.drawn().performance
    assert (drawn.velocities[0, 4, 1], drawn.offsets[0, 4, 1]) == (70, 0.25)  # as late as it was
    # a wheel that turns is one change
    shown.cell("snare", 5).hover()
    for _ in range(3):
        view.mouse.wheel(0, 16)
    view.wait_for_function("said.length === 2")
    assert shown.drawn().performance.velocities[0, 4, 1] == 70 - 3 * 4
    for key, velocity in (("+", 66), ("-", 58), ("a", 127), ("A", 112), ("g", 40), ("G", 100), ("Delete", 0)):
        shown.cell("snare", 5).focus()
        view.keyboard.press(key)
        assert shown.velocity("snare", 5) == velocity, key
    assert shown.drawn().performance.offsets[0, 4, 1] == 0
    view.keyboard.press("g")  # what is new is on the grid
    drawn = shown.drawn().performance
    assert (drawn.velocities[0, 4, 1], drawn.offsets[0, 4, 1]) == (40, 0)


def test_who_scrolls_the_page_over_the_grid_changes_nothing(view, loop):
    shown = Stage(view, loop)
    view.evaluate("document.body.style.paddingBottom = '3000px'")
    shown.cell("bell", 2).hover()
    view.mouse.wheel(0, 8)
    view.wait_for_function("window.scrollY === 8")
    shown.cell("snare", 5).hover()
    view.mouse.wheel(0, 8)
    view.wait_for_function("window.scrollY === 16")
    assert shown.velocity("snare", 5) == 100


def test_keys_move_and_draw_as_in_a_step_sequencer(view, loop):
    shown = Stage(view, loop)
    shown.cell("kick", 1).focus()
    focused = "document.getElementById('host').shadowRoot.activeElement.getAttribute('aria-label')"

    def press(*keys):
        for key in keys:
            view.keyboard.press(key)
        return view.evaluate(focused)

    assert press("ArrowUp", "ArrowRight") == "snare, step 2"
    assert press("Enter") == "snare, step 2, velocity 76"
    assert shown.differences() == [[0, 1, SNARE]]
    assert press("ArrowDown", "ArrowDown") == "bell, step 2"
    # over the ends of a bar to the next one and back: the last bar has no hats, and a crash on the one
    assert press("ArrowLeft", "ArrowLeft") == "bell, step 16"
    assert view.get_by_role("grid").get_attribute("aria-label") == "Step sequencer, bar 4 of 4"
    assert (shown.velocity("crash", 1), shown.velocity("closed hat", 1)) == (112, 0)
    press("ArrowRight")
    assert view.get_by_role("grid").get_attribute("aria-label") == "Step sequencer, bar 1 of 4"
    press("4", "7")
    assert view.get_by_role("grid").get_attribute("aria-label") == "Step sequencer, bar 4 of 4"
    # a beat is copied with all its parts, the snare of the first beat among them, to the last beat of another bar
    press("1", "c", "4")
    shown.cell("bell", 14).focus()
    press("v")
    assert shown.differences() == [[0, 1, 1], [3, 12, 0], [3, 12, 1], [3, 12, 2], [3, 13, 1], [3, 14, 2]]
    shown.cell("crash", 3).focus()
    press(".", ".", ",")
    assert [each for each in shown.differences() if each[2] == CRASH] == [[3, 0, CRASH], [3, 1, CRASH]]
    assert shown.drawn().performance.velocities[3, 1, CRASH] == 76  # its accent is that of its new place
    press("x")
    assert not shown.drawn().cells[..., CRASH].any()
    press("m", "l")
    assert shown.said("mixed")[-1]["mute"] == [part == CRASH for part in range(12)]
    assert shown.said("edited")[-1]["locks"] == [part == CRASH for part in range(12)]
    press("m", "s")
    assert shown.told("mix")[-1] == {
        "mute": [False] * 12,
        "solo": [part == CRASH for part in range(12)],
        "level": [1] * 12,
    }
    listed = " ".join(keys for keys, *_ in view.evaluate("player.keys"))
    assert all(
        key in listed for key in ("Enter", "A", "G", "+", "−", "Delete", "M", "S", "L", ",", ".", "C", "V", "X", "1")
    )


def test_a_beat_is_pasted_as_it_is_played_and_changes_nothing_else(view, loop, played):
    """A beat of accents behind a ghost note that came after it was copied; and a soft late snare to another beat."""
    shown = Stage(view, loop)
    shown.cell("kick", 1).focus()
    view.keyboard.press("c")
    shown.cell("snare", 13).focus()
    view.keyboard.press("g")
    shown.cell("bell", 6).focus()
    view.keyboard.press("v")
    drawn = shown.drawn().performance
    assert drawn.velocities[0, 12, SNARE] == 40
    assert drawn.velocities[0, [4, 6], HAT].tolist() == [112, 88]  # as loud as where they were copied
    assert shown.differences() == [[0, 4, 0], [0, 4, SNARE], [0, 6, 0]]
    own = Stage(view, played)
    own.cell("snare", 5).focus()
    view.keyboard.press("c")
    own.cell("snare", 9).focus()
    view.keyboard.press("v")
    drawn = own.drawn().performance
    assert (drawn.velocities[0, 8, SNARE], drawn.offsets[0, 8, SNARE]) == (50, 0.25)
    assert (drawn.velocities[0, 12, SNARE], drawn.offsets[0, 12, SNARE]) == (120, -0.125)


def test_a_part_is_rotated_around_the_loop(view, played):
    """With its own velocities and timing: the snares 50 and 120 on 5 and 13."""
    two = Loop.joined([played, Loop.of(np.zeros((16, 12), bool), "")], "two")
    shown = Stage(view, two)
    shown.cell("snare", 5).focus()
    for _ in range(5):
        view.keyboard.press(",")
    drawn = shown.drawn().performance
    assert np.argwhere(drawn.bars[..., 1]).tolist() == [[0, 7], [1, 15]]
    assert (drawn.velocities[0, 7, 1], drawn.velocities[1, 15, 1]) == (120, 50)
    assert (drawn.offsets[0, 7, 1], drawn.offsets[1, 15, 1]) == (-0.125, 0.25)
    assert (np.delete(drawn.bars, 1, 2) == np.delete(two.cells, 1, 2)).all()


def test_other_keys_are_left_to_the_page(view, loop):
    shown = Stage(view, loop)
    view.evaluate("window.heard = []; document.addEventListener('keydown', event => heard.push(event.key))")
    shown.cell("kick", 1).focus()
    for key in ("Space", "Control+z", "Control+c", "t", "?", "Enter", "c", "3", "Tab"):
        view.keyboard.press(key)
    assert [key for key in view.evaluate("heard") if key != "Control"] == [" ", "z", "c", "t", "?", "Tab"]


# what may have the focus; the stage knows what a pointer pressed
_AROUND = """
document.body.insertAdjacentHTML("beforeend", `<main tabindex="0"><p>blank</p></main><button>clicked</button>
<details><summary>more</summary>text</details><input aria-label="text"><textarea></textarea>
<select><option>a</option></select><button role="tab">tab</button><div role="slider" tabindex="0">slider</div>
<input type="radio" aria-label="radio"><p contenteditable>written</p><div role="dialog"><button>inside</button></div>`);
"""
_TAKERS = ("input[aria-label=text]", "textarea", "select", "[role=tab]", "[role=slider]", "[type=radio]")


@pytest.mark.parametrize("place", ["body", "main", "text=clicked", "summary"])
def test_keys_are_the_grids_where_nothing_else_has_a_use_for_them(view, loop, place):
    shown = Stage(view, loop)
    view.evaluate(_AROUND)
    focused = "document.activeElement.shadowRoot?.activeElement.getAttribute('aria-label') ?? null"
    shown.cell("snare", 3).click()
    if place == "body":
        view.evaluate("document.activeElement.blur()")
    else:
        view.locator(place).click()
    for key in ("g", "m", "l", "+", "+", "3", "Enter", "x"):
        view.keyboard.press(key)
        assert view.evaluate(focused) is None
    grid = view.get_by_role("grid")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 3 of 4"
    assert shown.said("mixed")[-1]["mute"] == [part == SNARE for part in range(12)]
    edits = [said["velocities"] and said["velocities"][0][2 * 12 + SNARE] for said in shown.said("edited")]
    # clicked, a ghost note, with the mixer again, locked, twice louder with a cell of bar 3, and the part is empty
    assert edits == [None, 40, 40, 40, 56, None]
    view.keyboard.press("ArrowRight")
    assert view.evaluate(focused) == "snare, step 4"


@pytest.mark.parametrize("place", [*_TAKERS, "[contenteditable]", "text=inside"])
def test_keys_are_not_the_grids_where_something_takes_them(view, loop, place):
    shown = Stage(view, loop)
    view.evaluate(_AROUND)
    shown.cell("snare", 3).click()
    view.locator(place).click()
    for key in ("g", "m", "3", "Enter", "x", "ArrowRight", "Delete"):
        view.keyboard.press(key)
    assert len(view.evaluate("said")) == 1
    assert view.get_by_role("grid").get_attribute("aria-label") == "Step sequencer, bar 1 of 4"


def test_a_button_that_the_keyboard_reached_is_pressed_by_enter(view, loop):
    Stage(view, loop)
    view.evaluate(_AROUND)
    view.evaluate("() => { window.clicks = 0; document.querySelector('button').onclick = () => { clicks += 1 } }")
    view.locator("main").focus()
    view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    view.keyboard.press("m")
    assert view.evaluate("[clicks, said.length]") == [1, 0]


def test_a_bar_that_was_clicked_has_its_own_arrow_keys(view, loop):
    Stage(view, loop)
    view.get_by_role("button", name="Bar 2 of 4").click()
    view.keyboard.press("ArrowRight")
    assert view.get_by_role("grid").get_attribute("aria-label") == "Step sequencer, bar 3 of 4"
    assert view.get_by_role("button", name="Bar 3 of 4").evaluate("bar => bar.matches(':focus')")


def test_a_digit_shows_a_bar_unless_somebody_types(view, loop):
    Stage(view, loop)
    grid = view.get_by_role("grid")
    view.keyboard.press("3")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 3 of 4"
    view.evaluate("document.body.append(document.createElement('input')); document.querySelector('input').focus()")
    view.keyboard.press("2")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 3 of 4"
    assert view.locator("input:not(.level)").input_value() == "2"


def test_a_wheel_that_still_turns_is_told_before_an_undo(view, loop):
    shown = Stage(view, loop)
    shown.cell("snare", 5).hover()
    view.mouse.wheel(0, 16)
    view.wait_for_function("player.told.some(([what]) => what === 'replace')")
    view.evaluate("addEventListener('keydown', () => said.push(['undone', null]))")
    view.keyboard.press("Control+z")
    assert [event for event, _ in view.evaluate("said")][:2] == ["edited", "undone"]
    view.wait_for_timeout(500)
    assert len(shown.said("edited")) == 1


def test_an_older_answer_undoes_nothing(view, loop):
    shown = Stage(view, loop)
    shown.cell("bell", 1).click()
    shown.cell("bell", 2).click()
    first = Loop.of(loop.cells | (np.indices(loop.cells.shape).sum(0) < 0), "")
    shown.give(first, revision=1)  # the answer to the first click comes after the second
    assert (shown.velocity("bell", 1), shown.velocity("bell", 2)) == (112, 76)
    shown.hand = loop
    drawn = shown.drawn()
    shown.give(drawn, revision=2)
    assert shown.told("queue") == [loop.sent]  # nothing that the player had not, but its code
    assert shown.told("replace")[-1]["code"] == drawn.code
    # what Python put in hand meanwhile comes in at the bar line
    view.mouse.move(0, 0)
    shown.cell("bell", 3).click()
    shown.give(loop.named("other"), epoch=1)
    assert [shown.velocity("bell", step) for step in (1, 2, 3)] == [0, 0, 0]
    assert shown.told("queue")[1:] == [loop.named("other").sent]
    shown.cell("bell", 4).click()
    assert [shown.said("edited")[-1][name] for name in ("epoch", "revision")] == [1, 1]


def test_what_was_not_answered_is_said_again_with_what_comes_next(view, loop):
    """Of two messages of a component a busy server hears the last."""
    shown = Stage(view, loop)
    shown.cell("bell", 1).click()
    view.get_by_role("button", name="Keep seed 7").click()
    view.get_by_role("button", name="Mute snare").click()
    assert [len(said["earlier"]) for said in shown.said("edited")] == [0, 0, 0]
    shown.cell("bell", 2).click()
    assert [stroke["revision"] for stroke in shown.said("edited")[-1]["earlier"]] == [1]
    events = [event for event, _ in view.evaluate("said")][:6]
    assert events == ["edited", "edited", "kept", "edited", "kept", "mixed"]
    mix = shown.said("mixed")[-1]
    shown.give(shown.drawn(), revision=2, mix=mix, kept=[loop.code])
    n_said = len(view.evaluate("said"))
    view.get_by_role("button", name="Mute snare").click()
    assert [event for event, _ in view.evaluate("said")][n_said:] == ["mixed"]


def test_the_mixer_of_an_older_answer_is_not_heard(view, loop):
    shown = Stage(view, loop)
    view.get_by_role("button", name="Mute kick").click()
    first = shown.said("mixed")[-1]
    view.get_by_role("button", name="Solo ride").click()
    shown.give(mix=first)
    assert view.get_by_role("button", name="Solo ride").get_attribute("aria-pressed") == "true"
    level = view.get_by_role("slider", name="Level of kick")
    level.fill("0.5")
    assert shown.said("mixed")[-1]["level"] == [0.5, *[1] * 11]
    assert shown.told("mix")[-1] == shown.said("mixed")[-1]


def test_bars_that_are_alike_have_one_letter_and_one_is_chosen(view, loop):
    shown = Stage(view, loop)
    bars = view.get_by_role("group", name="Bars of the loop").get_by_role("button")
    assert [each.inner_text() for each in bars.all()] == ["A", "A", "A", "B"]
    bars.nth(3).click()
    shown.cell("bell", 1).click()
    assert shown.differences() == [[3, 0, BELL]]
    bars.nth(1).click()
    shown.cell("bell", 1).click()
    assert [each.inner_text() for each in bars.all()] == ["A", "B", "A", "C"]
    assert bars.nth(1).get_attribute("aria-label") == "Bar 2 of 4, B"
    shown.give(loop.bars[0], epoch=1)
    assert not bars.first.is_visible()  # of one bar there is nothing to choose


def test_a_bar_of_the_same_cells_in_another_playing_has_a_prime(view, loop, played):
    """As played, on the grid with accents, with one velocity more, as played again, and with other cells."""
    bare, own = Loop.of(played.cells, "").performance, played.performance
    velocities = np.concatenate([own.velocities, bare.velocities, own.velocities, own.velocities, own.velocities])
    offsets = np.concatenate([own.offsets, bare.offsets, own.offsets, own.offsets, own.offsets])
    cells = np.concatenate([played.cells] * 5)
    velocities[2, 0, 0] = 90
    cells[4, 1, BELL], velocities[4, 1, BELL] = True, 60
    Stage(view, Loop.of(Performance.of(cells, KIT, velocities, offsets), "five"))
    bars = view.get_by_role("group", name="Bars of the loop").get_by_role("button").all()
    assert [each.inner_text() for each in bars] == ["A", "A′", "A′′", "A", "B"]
    assert [each.get_attribute("aria-label") for each in bars[:2]] == [
        "Bar 1 of 5, A",
        "Bar 2 of 5, A′, the cells of A, played in another way",
    ]


@pytest.mark.parametrize("what", ["velocities", "offsets"])
def test_velocity_and_timing_alone_make_another_letter(view, played, what):
    bare = Loop.of(played.cells, "").performance
    own = {"velocities": bare.velocities.copy(), "offsets": bare.offsets.copy()}
    own[what] = getattr(played.performance, what)
    other = Loop.of(Performance.of(played.cells, KIT, own["velocities"], own["offsets"]), "")
    Stage(view, Loop.joined([Loop.of(played.cells, ""), other], "two"))
    bars = view.get_by_role("group", name="Bars of the loop").get_by_role("button").all()
    assert [each.inner_text() for each in bars] == ["A", "A′"]


def test_another_loop_is_seen_from_its_first_bar_that_sounds(view, loop, groove):
    silent = np.zeros((16, 12), bool)
    begins_late = Loop.of(np.stack([silent, groove, silent, groove]), "late")
    shown = Stage(view, loop)

    def seen():
        return view.get_by_role("grid").get_attribute("aria-label").removeprefix("Step sequencer, bar ")

    def choose(bar):
        view.get_by_role("button", name=re.compile(f"^Bar {bar} of ")).click()

    choose(3)
    shown.give(begins_late, epoch=1)  # by a change, or undone: the chosen bar stays, silent or not
    assert seen() == "3 of 4"
    shown.give(begins_late.named("other"), epoch=2, others=1)
    assert seen() == "2 of 4"
    choose(3)
    shown.cell("bell", 1).click()
    shown.give(shown.drawn(), epoch=2, revision=1, others=1)
    assert seen() == "3 of 4"
    shown.give(loop, epoch=3, others=2)
    assert seen() == "1 of 4"
    choose(2)
    shown.give(begins_late.with_n_bars(8), epoch=4, others=2)  # of another length, also where it came of the other
    assert seen() == "2 of 8"
    choose(7)
    shown.give(Loop.of(np.zeros((8, 12, 12), bool), "triplets"), epoch=5, others=3)
    assert seen() == "1 of 8"
    choose(7)
    view.evaluate("player.play('hand', player.last.loop); player.at(6, 5)")
    shown.give(Loop.of(np.ones((8, 12, 12), bool), "full"), epoch=6, others=4)  # while it plays the grid follows that
    assert seen() == "7 of 8"


def test_the_grid_follows_what_sounds_until_a_bar_is_chosen(view, loop):
    shown = Stage(view, loop)
    grid = view.get_by_role("grid")
    follow = view.get_by_role("button", name="Follow")
    assert not follow.is_visible()
    view.evaluate("player.play('hand', player.last.loop); player.at(2, 5)")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 3 of 4"
    heard = view.locator(".cell.heard")
    assert heard.count() == 12
    assert re.match("bell, step 6", heard.first.get_attribute("aria-label"))
    view.keyboard.press("Tab")
    view.get_by_role("button", name="Bar 1 of 4").click()
    assert follow.get_attribute("aria-pressed") == "false"
    view.evaluate("player.at(3, 0)")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 1 of 4"
    assert heard.count() == 0
    assert view.locator(".bar.heard").get_attribute("aria-label") == "Bar 4 of 4, B"
    follow.click()
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 4 of 4"
    shown.cell("bell", 1).click()  # the bar that is drawn in stays
    view.evaluate("player.at(0, 0)")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 4 of 4"
    view.evaluate("player.stop(); player.play('hand', player.last.loop); player.at(1, 1)")
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 2 of 4"
    view.evaluate("player.stop(); player.play('A', player.last.loop); player.at(2, 1)")  # another loop
    assert grid.get_attribute("aria-label") == "Step sequencer, bar 2 of 4"
    assert heard.count() == 0


def test_what_changed_is_drawn_said_and_can_be_hidden(view, loop, groove):
    before = loop.cells.copy()
    before[0, 2, HAT] = False  # so the third hat is added
    before[0, 3, SNARE] = True  # and a snare is removed
    shown = Stage(view, loop, before=Loop.of(before, "").words)
    legend = view.get_by_role("note", name="How changes are drawn")
    assert legend.is_visible()

    def kinds():
        found = view.locator(".cell").evaluate_all("all => all.map(cell => [cell.dataset.change, cell.ariaLabel])")
        return {kind: [label for other, label in found if other == kind] for kind in ("added", "removed", "kept")}

    assert kinds()["added"] == ["closed hat, step 3, velocity 88, added"]
    assert kinds()["removed"] == ["snare, step 4, removed"]
    assert len(kinds()["kept"]) == groove.sum() - 1
    shapes = [shown.cell(*place).locator("path").get_attribute("class") for place in (("closed hat", 3), ("snare", 4))]
    assert shapes == ["added", "removed"]
    assert view.get_by_role("status").inner_text() == "bar 1: added: closed hat on 3. removed: snare on 4"
    bars = view.get_by_role("group", name="Bars of the loop").get_by_role("button")
    assert [("changed" in each.get_attribute("aria-label")) for each in bars.all()] == [True, False, False, False]
    view.get_by_role("button", name="Hide changes").click()
    assert not legend.is_visible()
    assert not any(kinds().values())
    shown.give(before=loop.words, epoch=1)  # other changes are seen again, where there are any
    assert legend.is_visible()


@pytest.mark.parametrize("steps", [16, 12])
def test_on_a_phone_every_cell_is_large_enough_to_touch(view, loop, steps):
    view.set_viewport_size({"width": 390, "height": 844})
    eight = loop.with_n_bars(8) if steps == 16 else Loop.of(np.zeros((8, 12, 12), bool), "triplets")
    shown = Stage(view, eight, "dark")
    boxes = [cell.bounding_box() for cell in view.get_by_role("gridcell").all()]
    assert len(boxes) == 12 * steps
    assert min(box["width"] for box in boxes) >= 22
    assert min(box["height"] for box in boxes) >= 22
    assert max(box["y"] + box["height"] for box in boxes) < 480  # there is room for the rest
    assert view.evaluate("document.documentElement.scrollWidth") == 390
    shown.cell("bell", 4).tap()
    assert shown.differences() == [[0, 3, BELL]]
    mute = view.get_by_role("button", name="Mute snare")
    assert not mute.is_visible()
    view.get_by_role("button", name="Mixer").click()
    assert not shown.cell("bell", 4).is_visible()
    box = mute.bounding_box()
    assert min(box["width"], box["height"]) >= 24
    mute.tap()
    assert shown.said("mixed")[-1]["mute"][SNARE]
    view.get_by_role("button", name="Lock kick").tap()
    assert shown.said("edited")[-1]["locks"] == [True, *[False] * 11]
    view.get_by_role("button", name="Mixer").click()
    assert shown.cell("bell", 4).is_visible()


class Finger:
    """A finger on a page, which the browser sees as a touch; where a cell lies is asked before anything is scrolled."""

    def __init__(self, page):
        self.page = page
        self.session = page.context.new_cdp_session(page)
        self.place = None

    def _touch(self, kind, places):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def down(self, cell):
        box = cell.bounding_box()
        self.place = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self._touch("touchStart", [self.place])

    def move(self, dx, dy, steps=8):
        x, y = self.place
        for step in range(1, steps + 1):
            self.place = (x + dx * step / steps, y + dy * step / steps)
            self._touch("touchMove", [self.place])

    def up(self):
        self._touch("touchEnd", [])


@pytest.fixture
def by_touch(view, loop):
    """The stage on a phone, on a page that is longer than the screen, and a finger."""
    view.set_viewport_size({"width": 390, "height": 500})
    shown = Stage(view, loop)
    view.evaluate("document.body.style.paddingBottom = '3000px'")
    return shown, Finger(view)


def test_a_finger_that_goes_up_scrolls_the_page_and_changes_nothing(view, by_touch, loop):
    shown, finger = by_touch
    for part in ("kick", "snare"):  # from a cell that sounds and from one that does not
        before = view.evaluate("window.scrollY")
        finger.down(shown.cell(part, 1))
        finger.move(4, -100)
        finger.up()
        view.wait_for_function(f"window.scrollY > {before} + 60")
    view.wait_for_timeout(500)
    assert [shown.velocity("kick", 1), shown.velocity("snare", 1)] == [112, 0]
    assert (shown.said("edited"), shown.told("replace")) == ([], [])


def test_a_tap_turns_a_cell(view, by_touch, loop):
    shown, finger = by_touch
    for expected in ([[0, 2, BELL]], []):
        finger.down(shown.cell("bell", 3))
        assert shown.said("edited")[1:] == []
        finger.move(1, -2, steps=1)
        finger.up()
        view.wait_for_timeout(50)
        assert shown.differences() == expected
    assert len(shown.said("edited")) == 2


def test_a_finger_that_goes_sideways_paints_and_is_one_change(view, by_touch, loop):
    shown, finger = by_touch
    scrolled = view.evaluate("window.scrollY")
    width = shown.cell("bell", 1).bounding_box()["width"]
    finger.down(shown.cell("bell", 2))
    finger.move(3 * width, 3)
    finger.move(0, -6)
    finger.up()
    assert shown.differences() == [[0, step, BELL] for step in (1, 2, 3, 4)]
    finger.down(shown.cell("closed hat", 5))
    finger.move(4 * width, 0)
    finger.up()
    assert [step for _, step, part in shown.differences() if part == HAT] == [4, 6, 8]
    assert len(shown.said("edited")) == 2
    assert view.evaluate("window.scrollY") == scrolled


def test_a_finger_that_stays_changes_the_velocity_and_scrolls_nothing(view, by_touch, loop):
    shown, finger = by_touch
    finger.down(shown.cell("snare", 5))
    held = view.locator(".cell.held")
    held.wait_for()
    assert shown.velocity("snare", 5) == 100
    finger.move(3, 40)  # 5 velocities in 4 pixels
    assert shown.velocity("snare", 5) == 50
    assert shown.said("edited") == []
    finger.up()
    view.wait_for_function("said.length === 1")
    assert held.count() == 0
    assert shown.drawn().performance.velocities[0, 4, SNARE] == 50
    # a cell that does not sound begins to
    finger.down(shown.cell("bell", 2))
    held.wait_for()
    finger.move(0, 20)
    finger.up()
    view.wait_for_function("said.some(([, value]) => value.revision === 2)")
    assert shown.drawn().performance.velocities[0, 1, BELL] == 76 - 25
    # one that is held and not moved stays
    finger.down(shown.cell("snare", 13))
    held.wait_for()
    finger.up()
    held.wait_for(state="detached")
    assert shown.velocity("snare", 13) == 100
    assert view.evaluate("window.scrollY") == 0
    assert shown.said("edited")[-1]["revision"] == 2


def test_an_answer_that_comes_under_a_finger_is_taken_when_it_is_gone(view, by_touch, loop):
    shown, finger = by_touch
    shown.cell("bell", 1).click()
    drawn = shown.drawn()
    finger.down(shown.cell("kick", 1))
    finger.move(0, -60)
    shown.give(drawn, revision=1)
    finger.up()
    view.wait_for_function(f"player.last.loop.code === '{drawn.code}'")


def test_beside_the_grid_each_part_has_its_mixer(view, loop):
    Stage(view, loop)
    for what in ("Mute", "Solo", "Lock"):
        assert view.get_by_role("button", name=re.compile(f"^{what} ")).count() == 12
    assert view.get_by_role("slider", name=re.compile("^Level of ")).count() == 12
    assert not view.get_by_role("button", name="Mixer").is_visible()
    # no picture of a part is cut off
    cut = "all => all.filter(each => each.scrollWidth > each.clientWidth).map(each => each.textContent)"
    assert view.locator(".label").evaluate_all(cut) == []


# -- cards in a browser --------------------------------------------------------------------------------


class Cards(Alone):
    def __init__(self, page, loops, **data):
        super().__init__(page, "cards", ["drawing", "cards"], ["cards"])
        self.loops = loops
        self.give(**data)

    def give(self, **data):
        loops = [loop.sent | {"note": "a note", "before": None} for loop in self.loops]
        usual = {"columns": 3, "chosen": None, "kept": []}
        super().give(**{"loops": loops} | usual | data)


def test_a_card_shows_every_bar_of_a_loop_and_plays_it(view, loop, groove):
    shown = Cards(view, [loop, Loop.of(groove, "one bar"), loop.with_n_bars(8).named("eight")])
    articles = view.get_by_role("article")
    assert [each.get_by_role("img").count() for each in articles.all()] == [4, 1, 8]
    kick, snare, hat = "kick on 1 7 9", "snare on 5 13", "closed hat on 1 3 5 7 9 11 13 15"
    assert articles.nth(1).get_by_role("img").get_attribute("aria-label") == f"{kick}; {snare}; {hat}"
    assert (
        articles.nth(0).get_by_role("img").nth(3).get_attribute("aria-label") == f"bar 4: {kick}; {snare}; crash on 1"
    )
    rows = {round(each.bounding_box()["y"]) for each in articles.nth(2).get_by_role("img").all()}
    assert len(rows) == 2
    view.get_by_role("button", name="Play seed 7").click()
    assert (view.evaluate("player.id"), shown.told("play")) == ("hand", [loop.sent])
    assert shown.said("taken") == [[loop.code]]
    view.evaluate("player.at(2, 5)")
    heads = "all => all.map(each => each.style.display ? null : Number(each.getAttribute('x')))"
    assert articles.nth(0).locator(".head").evaluate_all(heads) == [None, None, 50, None]
    view.get_by_role("button", name="Take eight in hand").click()
    assert shown.told("queue")[-1]["name"] == "eight"
    assert shown.said("taken")[-1] == [loop.code, loop.with_n_bars(8).code]
    view.get_by_role("button", name="Stop seed 7").click()
    assert view.evaluate("player.id") is None


def test_a_card_that_is_taken_again_is_the_last_one_again(view, loop, groove):
    shown = Cards(view, [loop, Loop.of(groove, "one bar")])
    for name in ("seed 7", "one bar", "seed 7"):
        view.get_by_role("button", name=f"Take {name} in hand").click()
    assert shown.said("taken")[-1] == [shown.loops[1].code, loop.code]


def test_quick_hearts_are_all_said(view, loop, groove):
    shown = Cards(view, [loop, Loop.of(groove, "one bar")])
    view.get_by_role("button", name="Keep seed 7").click()
    view.get_by_role("button", name="Keep one bar").click()
    assert shown.said("kept")[-1] == [[loop.code, True], [shown.loops[1].code, True]]
    shown.give(kept=[loop.code])
    assert view.get_by_role("button", name="Do not keep one bar").count() == 1
    view.get_by_role("button", name="Do not keep seed 7").click()
    assert shown.said("kept")[-1] == [[shown.loops[1].code, True], [loop.code, False]]


def test_kept_added_and_removed_cells_of_a_card_are_drawn_and_said(view, groove):
    """By hand: the hat on 3 is added, the bell on 1 removed, all else kept."""
    before = groove.copy()
    before[2, HAT], before[0, BELL] = False, True
    one = Loop.of(groove, "varied")
    shown = Cards(view, [one])
    shown.give(loops=[one.sent | {"note": "", "before": Loop.of(before, "").words}])
    marks = view.locator(".drawn path[transform]").evaluate_all(
        "all => all.map(each => [each.getAttribute('class'), each.getAttribute('transform')])"
    )
    # columns are steps, the kick is the lowest of twelve lines
    assert [place for kind, place in marks if kind == "added"] == ["translate(20 90)"]
    assert [place for kind, place in marks if kind == "removed"] == ["translate(0 0)"]
    assert sum(kind == "kept" for kind, _ in marks) == groove.sum() - 1
    assert view.get_by_role("img").get_attribute("aria-label").endswith(". added: closed hat on 3. removed: bell on 1")
    assert view.get_by_role("note").inner_text().split() == ["kept", "added", "removed"]


# -- favourites in a browser ---------------------------------------------------------------------------


def test_the_keeper_asks_until_it_is_answered(view):
    """Whose storage is that of a page; a page without an address has none."""
    view.route("http://kept.test/", lambda route: route.fulfill(body="<html></html>", content_type="text/html"))
    view.goto("http://kept.test/")
    view.evaluate("""localStorage.setItem("rhythmgan.favourites", '[["a", "one"]]')""")
    keeper = Alone(view, "keeper", ["keeper"], [])
    keeper.give(favourites=None)
    view.wait_for_function("said.length === 2")
    assert keeper.said("found") == [[["a", "one"]]] * 2
    keeper.give(favourites=[["a", "one"], ["b", "two"]])
    assert view.evaluate("localStorage.getItem('rhythmgan.favourites')") == '[["a","one"],["b","two"]]'
    view.wait_for_timeout(2500)
    assert len(keeper.said("found")) == 2


# -- on the whole page ---------------------------------------------------------------------------------


def _held(page):
    """The loop that the address leads to."""
    return Loop.read(re.search(r"[?&]loop=([^&]*)", page.url)[1], "")


def _velocities(page, part):
    cells = page.get_by_role("gridcell", name=re.compile(f"^{part}, step "))
    return [int(each) for each in cells.evaluate_all("all => all.map(cell => cell.dataset.velocity)")]


def test_what_is_drawn_is_in_the_address_and_is_undone_by_keys(page, address, loop):
    open_tab(page, address, "Edit", loop=loop.code)
    page.get_by_role("button", name="Bar 4 of 4").click()
    page.get_by_role("gridcell", name="bell, step 3", exact=True).click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("g")
    settled(page)
    drawn = _held(page).performance
    assert np.argwhere(drawn.bars != loop.cells).tolist() == [[3, 2, BELL], [3, 3, BELL]]
    assert drawn.velocities[3, 2:4, BELL].tolist() == [88, 40]
    link = page.url
    page.keyboard.press("Control+z")
    settled(page)
    assert _velocities(page, "bell")[:4] == [0, 0, 88, 0]
    page.keyboard.press("Control+z")
    settled(page)
    assert _held(page).code == loop.code
    page.keyboard.press("Control+Shift+z")
    settled(page)
    assert _velocities(page, "bell")[:4] == [0, 0, 88, 0]
    page.goto(link)
    page.get_by_role("button", name="Bar 4 of 4").click()
    assert _velocities(page, "bell")[:4] == [0, 0, 88, 40]


def test_quick_strokes_are_all_taken_over_while_the_server_answers(page, address, loop):
    open_tab(page, address, "Edit", loop=loop.code)
    page.get_by_role("gridcell", name="bell, step 1", exact=True).wait_for()
    settled(page)
    for step in range(1, 17):
        page.get_by_role("gridcell", name=f"bell, step {step}", exact=True).click()
    page.get_by_role("button", name="Mute bell").click()
    settled(page)
    assert min(_velocities(page, "bell")) > 0
    assert _held(page).cells[0, :, BELL].all()
    assert page.get_by_role("button", name="Mute bell").get_attribute("aria-pressed") == "true"
    page.get_by_role("tab", name="Sample").click()
    settled(page)
    assert min(_velocities(page, "bell")) > 0
    assert page.get_by_role("button", name="Mute bell").get_attribute("aria-pressed") == "true"


def test_what_is_drawn_while_it_plays_is_heard_and_what_is_muted_is_not(page, address):
    open_tab(page, address, "Edit", loop=Loop.of(np.zeros((1, 16, 12), bool), "").code)
    first, last = (page.get_by_role("gridcell", name=f"snare, step {step}", exact=True) for step in (1, 16))
    first.wait_for()
    settled(page)
    first.hover()
    page.keyboard.press("Space")
    page.wait_for_function(f"{PLAYER}.id === 'hand'")
    page.mouse.down()
    last.hover()
    page.mouse.up()
    wait_for_sound(page)
    page.get_by_role("button", name="Mute snare").click()
    page.wait_for_function(f"{PLAYER}.level() < 1e-4", timeout=60_000)
    page.get_by_role("button", name="Mute snare").click()
    wait_for_sound(page)
    page.get_by_role("button", name="Solo kick").click()
    page.wait_for_function(f"{PLAYER}.level() < 1e-4", timeout=60_000)


def test_hearts_survive_a_reload_and_are_nobody_elses(page, address, chrome, loop):
    open_tab(page, address, "Sample", loop=loop.code)
    page.get_by_role("button", name="Keep a shared loop").click()
    page.get_by_text("Favourites (1)").wait_for()
    page.wait_for_function(f"localStorage.getItem('rhythmgan.favourites')?.includes('{loop.code}')")
    page.reload()
    page.get_by_role("button", name="Do not keep a shared loop").first.wait_for()
    with chrome.new_context() as other:
        visitor = other.new_page()
        visitor.goto(address)
        visitor.get_by_text("Favourites (0)").wait_for()
    page.get_by_role("button", name="Do not keep a shared loop").first.click()
    page.wait_for_function("localStorage.getItem('rhythmgan.favourites') === '[]'")


def test_favourites_of_older_versions_are_still_there(page, address):
    """Kept when the page had bars only, and nine parts: a kick on the one, and a silent one of triplets."""
    kept = [["gA" + "A" * 22, "an old kick"], ["12." + "A" * 24, "old triplets"], ["broken", "x"]]
    page.add_init_script(f"localStorage.setItem('rhythmgan.favourites', {json.dumps(json.dumps(kept))})")
    open_tab(page, address)
    page.get_by_text("Favourites (2)").click()
    page.get_by_role("button", name="Play an old kick").click()
    settled(page)
    assert np.argwhere(_held(page).cells).tolist() == [[0, 0, 0]]


def test_hearts_of_two_open_pages_are_all_kept(page, address, loop):
    open_tab(page, address, "Sample", loop=loop.code)
    other = page.context.new_page()
    open_tab(other, address, "Sample", loop=loop.bars[3].code)
    other.get_by_role("button", name="Keep a shared loop").wait_for()
    page.get_by_role("button", name="Keep a shared loop").click()
    page.get_by_text("Favourites (1)").wait_for()
    other.get_by_text("Favourites (1)").wait_for()
    other.get_by_role("button", name="Keep a shared loop").first.click()
    page.get_by_text("Favourites (2)").wait_for()
    other.close()


def test_keys_reach_the_grid_from_the_blank_page_and_from_clicked_buttons(page, address, loop):
    open_tab(page, address, "Edit", loop=loop.code)
    page.get_by_role("gridcell", name="bell, step 3", exact=True).click()
    settled(page)
    page.mouse.click(4, 400)  # beside everything
    page.keyboard.press("c")  # which is Streamlit's as well, for its cache
    page.keyboard.press("g")
    settled(page)
    assert page.get_by_role("dialog").count() == 0
    assert _held(page).performance.velocities[0, 2, BELL] == 40
    page.get_by_role("button", name="Tap the tempo").click()
    page.keyboard.press("Delete")
    page.keyboard.press("m")
    settled(page)
    assert _held(page).code == loop.code
    assert page.get_by_role("button", name="Mute bell").get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settled(page)
    assert np.argwhere(_held(page).cells != loop.cells).tolist() == [[0, 3, BELL]]


def test_on_a_phone_the_page_is_scrolled_over_the_grid(phone, address, loop):
    open_tab(phone, address, "Edit", loop=loop.code)
    finger = Finger(phone)
    cell = phone.get_by_role("gridcell", name="kick, step 1,")
    cell.wait_for()
    settled(phone)
    finger.down(cell)
    finger.move(3, -150)
    finger.up()
    phone.wait_for_function("document.querySelector('[data-testid=stMain]').scrollTop > 100")
    settled(phone)
    assert _held(phone).code == loop.code


def test_on_a_phone_the_loop_is_seen_and_drawn_in_on_every_tab(phone, address, loop):
    for tab in ("Sample", "Steer", "Morph", "Edit"):
        open_tab(phone, address, tab, loop=loop.code)
        cells = phone.get_by_role("gridcell")
        cells.first.wait_for()
        settled(phone)
        boxes = [cell.bounding_box() for cell in cells.all()]
        assert min(min(box["width"], box["height"]) for box in boxes) >= 22
        assert min(box["y"] for box in boxes) > 0
        assert max(box["y"] + box["height"] for box in boxes) < 844 - 100  # above the transport
        assert phone.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") == 390
    phone.get_by_role("gridcell", name="bell, step 3", exact=True).tap()
    settled(phone)
    assert np.argwhere(_held(phone).cells != loop.cells).tolist() == [[0, 2, BELL]]


def test_a_card_is_heard_from_the_next_bar_line_on_and_is_in_hand(page, address):
    open_tab(page, address)
    play = page.get_by_role("article").get_by_role("button", name=re.compile("^Play "))
    play.first.wait_for()
    settled(page)
    names = [each.get_attribute("aria-label").removeprefix("Play ") for each in play.all()[:2]]
    for name in names:
        page.get_by_role("button", name=f"Play {name}", exact=True).click()
        page.get_by_role("button", name=f"Stop {name}", exact=True).wait_for()
    wait_for_sound(page)
    settled(page)
    page.wait_for_function(f"{PLAYER}.loop.name === '{names[1]}'", timeout=60_000)
    assert _held(page).code == page.evaluate(f"{PLAYER}.loop.code")
    assert page.get_by_role("button", name=f"Keep {names[1]}", exact=True).count() == 2  # on its card and on the stage
