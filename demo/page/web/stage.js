// The loop in hand, large: its bars in a strip, and one of them as a grid to draw in, by mouse, touch and keys.
const HAND = "hand";
const LOUDEST = 127;
const STRONG = 112;
const GHOST = 40;
const SLOP = 5; // pixels that a click may move
const TOUCH_SLOP = 8; // and a finger
const HOLD = 350; // milliseconds after which a finger that stays changes the velocity
const MOST_STROKES = 12; // that wait for an answer
const QUIET = 350; // milliseconds after which turning a wheel, or pressing a key again and again, is one change

const STAGE_KEYS = [
  ["← → ↑ ↓", "Move in the grid, at its ends to the next bar"],
  ["1 – 8", "Show a bar"],
  ["Enter", "Cell on or off"],
  ["+ −", "Louder, softer"],
  ["A", "Accent"],
  ["G", "Ghost note"],
  ["Delete", "Clear the cell"],
  ["C  V", "Copy the beat, paste it"],
  [",  .", "Rotate the part by a step"],
  ["X", "Clear the part"],
  ["M  S  L", "Mute, solo, lock the part"],
  ["Drag ↔", "Draw cells, or take them away"],
  ["Drag ↕, wheel", "Velocity of a cell"],
  ["Hold, drag ↕", "Velocity of a cell, by touch"],
].map((line) => [...line, "In the grid"]);

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".stage");
  root.stage ??= stageOf(root, parentElement);
  root.stage.receive(data, setTriggerValue);
  root.unlisten?.();
  root.unlisten = root.stage.listen();
  return () => root.unlisten?.();
}

function stageOf(root, parentElement) {
  let data, kit, send;
  let drawn; // the loop as it is drawn, see editing.js
  let before = null; // the words of what it came of
  let locks = [];
  let mix = null;
  let epoch = null;
  let revision = -1;
  let others = null; // how often another loop came in hand, as the server counts
  const unanswered = {}; // what was said and not yet answered; each message says it again, as a server hears the last only
  let strokes = []; // of these those that were drawn, each a step to undo
  let bar = 0; // that the grid shows
  let at = { part: 0, step: 0 }; // where the keys are
  let follows = true;
  let played = null; // what the player played when it was looked at last
  let stroke = null; // of a pointer
  let later = null; // a change that is told when it is over
  let beat = null; // that was copied
  let scrolled = -Infinity; // when the page was scrolled last
  let unseen = ""; // the changes that the visitor does not want to see
  let pointed = null; // what was pressed by a pointer last: its focus is not that of the keyboard
  let view; // elements

  const hold = hearts((wanted) => say("kept", wanted));

  const parts = () => kit.names.length;
  const cell = (part, step) => ({ bar, step, part });
  const busy = () => stroke !== null || later !== null;

  // -- what the server says, and what it is told ------------------------------------------------------

  function receive(sent, setTriggerValue) {
    [data, kit, send] = [sent, sent.kit, setTriggerValue];
    const isOther = epoch !== data.epoch;
    strokes = isOther ? [] : strokes.filter((each) => each.revision > data.revision);
    if (isOther || (!busy() && data.revision >= revision)) take(isOther);
    if (unanswered.mixed && JSON.stringify(unanswered.mixed) === JSON.stringify(data.mix)) delete unanswered.mixed;
    if (!unanswered.mixed) {
      mix = structuredClone(data.mix);
      player.setMix(mix);
    }
    hold.know(data.kept);
    if (!hold.waits()) delete unanswered.kept;
    paint();
    follow();
  }

  function take(isOther) {
    clearTimeout(later);
    clearTimeout(stroke?.held);
    stroke = later = null;
    delete unanswered.edited;
    ({ epoch, revision } = data);
    const wasShape = drawn && [drawn.steps, drawn.velocities.length].join();
    const wasOthers = others;
    ({ others } = data);
    const { code } = data.loop;
    if (isOther) player.queue(HAND, data.loop);
    else if (drawn.code !== code) player.replace(HAND, data.loop); // the same, under its code
    drawn = drawnLoop(data.loop, kit);
    before = data.before;
    locks = [...data.locks];
    const isReshaped = wasShape !== [drawn.steps, drawn.velocities.length].join();
    // another loop is seen from where it begins to sound; what came of the one that is seen, in the same bar
    if (isReshaped || (others !== wasOthers && !playsHand())) bar = firstHeard();
    if (isReshaped) build();
    if (isOther) said(before ? toldChanges() : "");
  }

  function say(what, value) {
    unanswered[what] = value;
    for (const [name, last] of Object.entries(unanswered)) send(name, last);
  }

  // a change is over: a stroke, or a key
  function tell() {
    clearTimeout(later);
    later = null;
    revision += 1;
    const { bars, velocities, offsets } = loopOf(drawn, kit);
    strokes = [...strokes, { revision, bars, velocities, offsets, locks: [...locks] }].slice(-MOST_STROKES);
    const [last, ...earlier] = [...strokes].reverse();
    say("edited", { epoch, ...last, earlier: earlier.reverse() });
  }

  // or goes on
  function tellLater() {
    clearTimeout(later);
    later = setTimeout(tell, QUIET);
  }

  function edited() {
    drawn.code = null; // until the server says it
    if (drawn.velocities.length > 1) follows = false; // the bar that is drawn in stays
    player.replace(HAND, loopOf(drawn, kit));
    paint();
  }

  function put(part, step, velocity) {
    if (velocityAt(drawn, cell(part, step), kit) === velocity) return false;
    setCell(drawn, cell(part, step), velocity, kit);
    edited();
    return true;
  }

  function mixed() {
    player.setMix(mix);
    say("mixed", structuredClone(mix));
    paint();
  }

  function turn(list, part) {
    list[part] = !list[part];
    if (list === locks) {
      tell();
      paint();
    } else mixed();
  }

  function said(text) {
    view.live.textContent = text;
  }

  function toldChanges() {
    const words = wordsOf(drawn, kit);
    const told = words.map((of, i) => [i, changes(of, before[i], kit)]).filter(([, text]) => text !== "nothing changed");
    return told.map(([i, text]) => (words.length > 1 ? `bar ${i + 1}: ${text}` : text)).join(". ") || "nothing changed";
  }

  // -- elements ---------------------------------------------------------------------------------------

  function build() {
    const { steps } = drawn;
    const n = drawn.velocities.length;
    at = { part: Math.min(at.part, parts() - 1), step: Math.min(at.step, steps - 1) };
    const button = (kind, label, onclick) => node("button", { class: kind, type: "button", "aria-label": label, onclick });
    view = { cells: [], rows: [], bars: [], lock: [], mute: [], solo: [], level: [] };
    view.name = node("span", { class: "name" });
    view.keep = hold.button();
    view.follow = node("button", { class: "toggle", type: "button", onclick: () => turnFollow() }, "Follow");
    view.mixer = node("button", { class: "toggle narrow", type: "button", onclick: turnMixer }, "Mixer");
    view.live = node("div", { class: "live", role: "status" });
    const head = node("header", {}, view.name, view.keep, ...(n > 1 ? [view.follow] : []), view.mixer);
    view.strip = node("div", { class: `strip bars-${n}`, role: "group", "aria-label": "Bars of the loop" });
    for (let i = 0; i < n; i++) {
      const chooser = button("bar", "", () => choose(i));
      chooser.onkeydown = (event) => alongStrip(event, i);
      view.bars.push(chooser);
      view.strip.append(chooser);
    }
    view.strip.hidden = n === 1;
    view.grid = node("div", { class: "grid", role: "grid", "aria-multiselectable": "true" });
    for (let part = parts() - 1; part >= 0; part--) {
      const called = kit.names[part];
      view.lock[part] = button("lock", "", () => turn(locks, part));
      view.mute[part] = button("mute", `Mute ${called}`, () => turn(mix.mute, part));
      view.solo[part] = button("solo", `Solo ${called}`, () => turn(mix.solo, part));
      view.level[part] = node("input", { class: "level", type: "range", min: 0, max: 1.5, step: 0.05, "aria-label": `Level of ${called}` });
      view.level[part].oninput = (event) => {
        mix.level[part] = Number(event.target.value);
        mixed();
      };
      view.level[part].ondblclick = () => {
        mix.level[part] = 1;
        mixed();
      };
      view.mute[part].textContent = "M";
      view.solo[part].textContent = "S";
      const label = node("span", { class: "label" });
      label.append(node("span", { class: "long" }, called), node("span", { class: "short" }, kit.short[part]));
      const header = node("div", { class: "part", role: "rowheader", "aria-label": called });
      header.append(label, view.lock[part], view.mute[part], view.solo[part], view.level[part]);
      view.rows[part] = node("div", { class: "row", role: "row", style: `--ink: ${ink(kit.hues[part])}` }, header);
      view.cells[part] = Array.from({ length: steps }, (_, step) => {
        const made = node("div", { class: step % (steps / 4) ? "cell" : "cell beat", role: "gridcell", tabindex: "-1" });
        made.at = { part, step };
        return made;
      });
      view.rows[part].append(...view.cells[part]);
      view.grid.append(view.rows[part]);
    }
    view.grid.style.setProperty("--steps", steps);
    view.grid.onpointerdown = press;
    view.grid.onpointermove = move;
    view.grid.onpointerup = view.grid.onpointercancel = lift;
    view.grid.addEventListener("touchmove", (event) => draws() && event.preventDefault(), { passive: false });
    view.grid.oncontextmenu = (event) => stroke && event.preventDefault(); // of a finger that stays
    view.grid.addEventListener("wheel", wheel, { passive: false });
    view.grid.addEventListener("focusin", (event) => {
      if (!event.target.at || event.target.at === at) return;
      at = event.target.at;
      paint();
    });
    view.legend = legend();
    view.legend.append(node("button", { class: "toggle", type: "button", onclick: hideChanges }, "Hide changes"));
    const mixing = root.firstElementChild?.classList.contains("mixing");
    view.all = node("div", { class: mixing ? "all mixing" : "all" }, head, view.strip, view.grid, view.legend, view.live);
    view.all.onkeydown = toBar;
    view.grid.onkeydown = (event) => {
      if (event.target.at && isBare(event) && keyed(event.key)) claim(event);
    };
    const hadFocus = Boolean(parentElement.activeElement?.at); // of a grid that is gone
    root.replaceChildren(view.all);
    if (hadFocus) view.cells[at.part][at.step].focus({ preventScroll: true });
  }

  function turnFollow() {
    follows = !follows;
    follow();
    paint();
  }

  function turnMixer() {
    view.all.classList.toggle("mixing");
    paint();
  }

  function hideChanges() {
    unseen = JSON.stringify(before);
    paint();
    view.cells[at.part][at.step].focus();
  }

  // -- which bar is seen ------------------------------------------------------------------------------

  function firstHeard() {
    return Math.max(drawn.velocities.findIndex((of) => of.some(Boolean)), 0);
  }

  function choose(wanted) {
    bar = wanted;
    if (playsHand()) follows = false;
    paint();
    follow();
  }

  function toBar(event) {
    if (!/^[1-8]$/.test(event.key) || !isBare(event) || view.bars.length === 1) return;
    if (Number(event.key) <= view.bars.length) choose(Number(event.key) - 1);
    claim(event);
  }

  function alongStrip(event, from) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !isBare(event)) return;
    const n = view.bars.length;
    choose((from + by + n) % n);
    view.bars[bar].focus();
    claim(event);
  }

  function playsHand() {
    return player.id === HAND;
  }

  // where it sounds: the grid and the strip go along
  function follow() {
    const plays = playsHand() ? HAND : null;
    if (plays && !played) follows = true;
    if (plays !== played) view.follow.hidden = !plays;
    played = plays;
    const place = plays && player.loop?.steps === drawn.steps && player.place?.bar < view.bars.length ? player.place : null;
    if (place && follows && !busy() && place.bar !== bar) {
      bar = place.bar;
      paint();
    }
    view.bars.forEach((each, i) => each.classList.toggle("heard", place?.bar === i));
    const step = place?.bar === bar ? place.step : null;
    if (view.step === step) return;
    for (const line of view.cells) {
      if (view.step !== null) line[view.step]?.classList.remove("heard");
      if (step !== null) line[step].classList.add("heard");
    }
    view.step = step;
  }

  // -- pointers ---------------------------------------------------------------------------------------

  function press(event) {
    const under = event.target.closest(".cell");
    if (!under || event.button || stroke) return;
    event.preventDefault();
    view.grid.setPointerCapture(event.pointerId);
    const place = [event.clientX, event.clientY];
    const velocity = velocityAt(drawn, cell(under.at.part, under.at.step), kit);
    stroke = { pointer: event.pointerId, under, velocity, from: place, last: place, changed: false };
    if (event.pointerType === "touch") {
      // nobody knows yet: a tap turns the cell, sideways it paints, a finger that stays tells the velocity, and one that
      // goes up or down scrolls the page
      stroke.kind = "touch";
      stroke.held = setTimeout(stay, HOLD);
      return;
    }
    reach(under);
    // of a cell that sounds nobody knows yet: a click silences it, sideways it silences others too, upwards it is louder
    stroke.kind = velocity ? "undecided" : "on";
    if (!velocity) paintOn(under);
    else paint();
  }

  function reach(under) {
    at = under.at;
    under.focus({ preventScroll: true });
  }

  // a finger stays: its cell sounds from now on, as loud as it is drawn up or down
  function stay() {
    const { under } = stroke;
    stroke.kind = "velocity";
    reach(under);
    under.classList.add("telling", "held");
    if (!stroke.velocity) {
      stroke.velocity = accentAt(drawn, at.step, kit);
      stroke.changed = put(at.part, at.step, stroke.velocity);
    } else paint();
  }

  // whether what a finger does belongs to the grid, and not to the page that it could scroll
  function draws() {
    return stroke !== null && stroke.kind !== "touch" && stroke.kind !== "scroll";
  }

  function move(event) {
    if (event.pointerId !== stroke?.pointer) return;
    const [x, y] = [event.clientX, event.clientY];
    const [dx, dy] = [x - stroke.from[0], y - stroke.from[1]];
    const isUpright = Math.abs(dy) > Math.abs(dx);
    if (stroke.kind === "undecided" && Math.hypot(dx, dy) > SLOP) stroke.kind = isUpright ? "velocity" : "off";
    if (stroke.kind === "touch" && Math.hypot(dx, dy) > TOUCH_SLOP) {
      clearTimeout(stroke.held);
      stroke.kind = isUpright ? "scroll" : stroke.velocity ? "off" : "on";
      if (!isUpright) reach(stroke.under);
    }
    if (stroke.kind === "velocity") {
      const { part, step } = stroke.under.at;
      stroke.under.classList.add("telling");
      if (put(part, step, bounded(stroke.velocity - 1.25 * dy))) stroke.changed = true;
    } else if (stroke.kind === "on" || stroke.kind === "off") {
      // a quick hand leaves out cells: what lies between the last place and this one is painted too
      const [fromX, fromY] = stroke.last;
      const pieces = Math.max(1, Math.ceil(Math.hypot(x - fromX, y - fromY) / 6));
      for (let piece = 0; piece <= pieces; piece++) {
        const share = piece / pieces;
        paintOn(parentElement.elementFromPoint(fromX + (x - fromX) * share, fromY + (y - fromY) * share));
      }
      stroke.last = [x, y];
    }
  }

  function paintOn(element) {
    const under = element?.closest?.(".cell");
    if (!under?.at) return;
    const { part, step } = under.at;
    const sounding = velocityAt(drawn, cell(part, step), kit) > 0;
    if (sounding === (stroke.kind === "on")) return;
    at = under.at;
    if (put(part, step, sounding ? 0 : accentAt(drawn, step, kit))) stroke.changed = true;
  }

  // a pointer that is cancelled became the browser's, which scrolls: what was undecided changes nothing
  function lift(event) {
    if (event.pointerId !== stroke?.pointer) return;
    clearTimeout(stroke.held);
    const { under, kind, velocity } = stroke;
    under.classList.remove("telling", "held");
    if (event.type === "pointerup" && (kind === "undecided" || kind === "touch")) {
      const { part, step } = under.at;
      if (kind === "touch") reach(under);
      if (put(part, step, velocity ? 0 : accentAt(drawn, step, kit))) stroke.changed = true;
    }
    const { changed: hasChanged } = stroke;
    stroke = null;
    if (hasChanged) tell(); // a stroke is one change
    else receive(data, send); // an answer may have come meanwhile
  }

  function wheel(event) {
    const under = event.target.closest(".cell");
    const velocity = under && velocityAt(drawn, cell(under.at.part, under.at.step), kit);
    // who scrolls the page over the grid does not mean its cells
    if (!velocity || event.ctrlKey || event.timeStamp - scrolled < 400) {
      scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    at = under.at;
    const by = (event.deltaMode ? 12 : 0.25) * event.deltaY;
    if (put(at.part, at.step, bounded(velocity - Math.sign(by) * Math.max(1, Math.min(16, Math.abs(by)))))) tellLater();
  }

  // to the player, and to what happens around the grid
  function listen() {
    const scroll = (event) => {
      if (!event.composedPath().includes(root)) scrolled = event.timeStamp;
    };
    // what comes next, as an undo, comes after what was drawn
    const flush = (event) => {
      const isOurs = event.composedPath().includes(view.grid) || (event.type === "keydown" && isFree(event));
      if (later !== null && !(isOurs && isBare(event))) tell();
    };
    const touched = (event) => {
      pointed = event.composedPath().find((each) => each instanceof Element && each.matches("button, summary")) ?? null;
    };
    // where nothing has the focus that has a use for keys, they are the grid's; before Streamlit sees its letters
    const elsewhere = (event) => {
      if (event.key === "Tab") pointed = null; // a key that moves the focus makes it the keyboard's
      if (!isBare(event) || !isFree(event)) return;
      toBar(event);
      if (!event.defaultPrevented && keyed(event.key)) claim(event);
    };
    const heard = [
      [window, "wheel", scroll, { passive: true }],
      [window, "keydown", flush, true],
      [window, "pointerdown", flush, true],
      [window, "pointerdown", touched, true],
      [document.documentElement, "keydown", elsewhere, true], // after the transport, which hears the document
    ];
    for (const [place, event, what, how] of heard) place.addEventListener(event, what, how);
    const unlisten = player.listen(follow);
    player.keys.push(...STAGE_KEYS);
    return () => {
      unlisten();
      player.keys = player.keys.filter((line) => !STAGE_KEYS.includes(line));
      for (const [place, event, what, how] of heard) place.removeEventListener(event, what, how);
    };
  }

  function bounded(velocity) {
    return Math.max(1, Math.min(LOUDEST, Math.round(velocity)));
  }

  // -- keys -------------------------------------------------------------------------------------------

  function isBare(event) {
    return !(event.ctrlKey || event.metaKey || event.altKey);
  }

  // whether a key goes to the blank page, or to a button that a pointer pressed
  function isFree(event) {
    const path = event.composedPath();
    if (path.some((each) => each instanceof Element && each.matches("dialog, [role=dialog]"))) return false;
    const where = path[0];
    if (!(where instanceof Element) || where.isContentEditable) return false;
    if (view.bars.includes(where) && /^Arrow(Left|Right)$/.test(event.key)) return false; // walk along the strip
    if (where.matches("html, body, main, [role=main], [data-testid=stMain]")) return true;
    const hasRole = where.hasAttribute("role") && where.getAttribute("role") !== "button";
    return where.matches("button, summary") && !hasRole && (where === pointed || !where.matches(":focus-visible"));
  }

  function claim(event) {
    event.preventDefault();
    event.stopPropagation(); // Streamlit has letters of its own
  }

  // returns whether it was a key of the grid
  function keyed(key) {
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[key];
    if (way) {
      walk(...way);
      return true;
    }
    const { part, step } = at;
    const velocity = velocityAt(drawn, cell(part, step), kit);
    const accent = accentAt(drawn, step, kit);
    const now = (wanted) => put(part, step, wanted) && tell();
    const soon = (wanted) => velocity && put(part, step, bounded(wanted)) && tellLater();
    const whole = (change) => {
      change();
      edited();
      tell();
    };
    const actions = {
      enter: () => now(velocity ? 0 : accent),
      a: () => now(velocity === LOUDEST ? STRONG : LOUDEST),
      g: () => now(velocity === GHOST ? accent : GHOST),
      "+": () => soon(velocity + 8),
      "=": () => soon(velocity + 8),
      "-": () => soon(velocity - 8),
      "−": () => soon(velocity - 8),
      delete: () => now(0),
      backspace: () => now(0),
      m: () => turn(mix.mute, part),
      s: () => turn(mix.solo, part),
      l: () => turn(locks, part),
      ",": () => whole(() => rotatePart(drawn, part, -1, kit)),
      ".": () => whole(() => rotatePart(drawn, part, 1, kit)),
      x: () => whole(() => clearPart(drawn, part, kit)),
      c: () => {
        beat = copyBeat(drawn, { bar, step }, kit);
        said("beat copied");
      },
      v: () => {
        if (beat && pasteBeat(drawn, { bar, step }, beat, kit)) whole(() => {});
        else said(beat ? "the beat is of another grid" : "no beat was copied");
      },
    };
    const action = actions[key.toLowerCase()];
    action?.();
    if (action && velocityAt(drawn, cell(part, step), kit) !== velocity) said(toldCell(part, step));
    return Boolean(action);
  }

  // at the ends of a bar lies the next one
  function walk(up, along) {
    const n = view.bars.length;
    let { part, step } = at;
    part = (part + up + parts()) % parts();
    step += along;
    if (step < 0 || step === drawn.steps) {
      step = (step + drawn.steps) % drawn.steps;
      if (n > 1) choose((bar + along + n) % n);
    }
    view.cells[part][step].focus();
  }

  // -- painting ---------------------------------------------------------------------------------------

  function toldCell(part, step) {
    const velocity = velocityAt(drawn, cell(part, step), kit);
    return velocity ? `velocity ${velocity}` : "off";
  }

  function paint() {
    const words = wordsOf(drawn, kit);
    const n = words.length;
    const shows = before !== null && JSON.stringify(before) !== unseen;
    paintStrip(words, shows);
    view.name.textContent = data.loop.name;
    view.keep.show(data.loop);
    view.follow.setAttribute("aria-pressed", follows);
    view.follow.hidden = !playsHand();
    view.mixer.setAttribute("aria-pressed", view.all.classList.contains("mixing"));
    view.grid.setAttribute("aria-label", n > 1 ? `Step sequencer, bar ${bar + 1} of ${n}` : "Step sequencer");
    view.legend.hidden = !shows;
    const someSolo = mix.solo.some(Boolean);
    for (let part = 0; part < parts(); part++) {
      const called = kit.names[part];
      view.rows[part].classList.toggle("silent", mix.mute[part] || (someSolo && !mix.solo[part]));
      view.rows[part].classList.toggle("locked", locks[part]);
      setPressed(view.mute[part], mix.mute[part]);
      setPressed(view.solo[part], mix.solo[part]);
      setPressed(view.lock[part], locks[part]);
      view.lock[part].setAttribute("aria-label", `${locks[part] ? "Unlock" : "Lock"} ${called}`);
      if (view.lock[part].closed !== locks[part]) view.lock[part].replaceChildren(padlock((view.lock[part].closed = locks[part])));
      if (Number(view.level[part].value) !== mix.level[part]) view.level[part].value = mix.level[part];
      view.level[part].setAttribute("aria-valuetext", `${Math.round(100 * mix.level[part])} %`);
      // one row is in the way of the tab key, not twelve
      const reached = part === at.part || view.all.classList.contains("mixing") ? 0 : -1;
      for (const each of [view.lock, view.mute, view.solo, view.level]) each[part].tabIndex = reached;
      for (let step = 0; step < drawn.steps; step++) paintCell(part, step, shows ? before[bar][step] : null, words[bar][step]);
    }
  }

  function setPressed(button, on) {
    button.setAttribute("aria-pressed", Boolean(on));
  }

  function paintCell(part, step, was, is) {
    const place = view.cells[part][step];
    place.tabIndex = at.part === part && at.step === step ? 0 : -1;
    const velocity = velocityAt(drawn, cell(part, step), kit);
    const late = drawn.offsets[bar][step * parts() + part];
    const wasOn = was !== null && sounds(was, part, parts());
    const kind = was === null || !(wasOn || velocity) ? "" : !velocity ? "removed" : wasOn ? "kept" : "added";
    const seen = [bar, velocity, late, kind].join();
    if (place.seen === seen) return;
    place.seen = seen;
    const told = [`${kit.names[part]}, step ${step + 1}`];
    if (velocity) told.push(`velocity ${velocity}`);
    if (kind === "added" || kind === "removed") told.push(kind);
    place.setAttribute("aria-label", told.join(", "));
    place.setAttribute("aria-selected", velocity > 0);
    place.dataset.velocity = velocity;
    place.dataset.change = kind;
    place.style.setProperty("--high", velocity ? height(velocity) : 0);
    place.style.setProperty("--dense", velocity ? density(velocity) : 0);
    place.style.setProperty("--late", late);
    place.replaceChildren(...(kind === "added" || kind === "removed" ? [mark(kind)] : []));
  }

  function paintStrip(words, shows) {
    const playings = playingsOf(drawn);
    const called = letters(words.map((of, i) => ({ words: of, playing: playings[i] })));
    view.bars.forEach((chooser, i) => {
      const velocities = drawn.velocities[i];
      const differs = shows && words[i].some((word, step) => word !== before[i][step]);
      const seen = JSON.stringify([words[i], velocities, differs]);
      if (chooser.seen !== seen) {
        chooser.seen = seen;
        const picture = drawing({ words: words[i], velocities }, kit);
        picture.setAttribute("aria-hidden", "true");
        chooser.replaceChildren(picture, node("span", { class: "letter" }), ...(differs ? [mark("added")] : []));
      }
      const { letter, primes } = called[i];
      const name = letter + "′".repeat(primes);
      chooser.querySelector(".letter").textContent = name;
      const told = [`Bar ${i + 1} of ${words.length}`, name];
      if (primes) told.push(`the cells of ${letter}, played in another way`);
      if (differs) told.push("changed");
      chooser.setAttribute("aria-label", told.join(", "));
      chooser.setAttribute("aria-pressed", i === bar);
      chooser.tabIndex = i === bar ? 0 : -1;
    });
  }

  function padlock(closed) {
    const shackle = closed ? "M2.5 6V3.5a2.5 2.5 0 0 1 5 0V6" : "M2.5 6V2.5a2.3 2.3 0 0 1 4.5-.6";
    const outline = shape("path", { d: `${shackle}M1 6h8v5.5H1z`, fill: closed ? "currentColor" : "none", stroke: "currentColor" });
    return shape("svg", { viewBox: "0 -0.5 10 13", "aria-hidden": "true" }, outline);
  }

  return { receive, listen };
}
