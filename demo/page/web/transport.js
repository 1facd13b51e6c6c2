// Play, tempo, swing, feel, sounds, metronome, MIDI out, undo and redo: whatever the visitor is looking at.
const HANDS = "hand"; // the id of the loop in hand
const REPEAT_AFTER = 400; // milliseconds that a button is held until it goes on by itself
const REPEAT = 70;
const TAPS = 8; // the tempo is that of the last ones
const LONGEST_TAP = 2000; // milliseconds between two; a longer pause begins anew
const READ = 8000; // milliseconds that a line is there to be read
const UNTOLD = 200; // milliseconds after which what moves is told

const APPLE = /Mac|iPhone|iPad/.test(navigator.platform);
const TRANSPORT_KEYS = [
  ["Space", "Play, stop"],
  ["T", "Tap the tempo"],
  [APPLE ? "⌘ Z" : "Ctrl Z", "Undo"],
  [APPLE ? "⇧ ⌘ Z" : "Ctrl ⇧ Z", "Redo"],
  ["?", "Show the keys"],
];

const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  stop: "M3.5 3.5h9v9h-9z",
  undo: "M6 3L2.5 6.5L6 10M3 6.5h6a3.7 3.7 0 0 1 0 7.4H6",
  redo: "M10 3l3.5 3.5L10 10M13 6.5H7a3.7 3.7 0 0 0 0 7.4h3",
  metronome: "M6 2h4l3 12H3zM8 11l5-7M4 11h8",
  countIn: "M2.5 5v6M6.2 5v6M9.9 5v6M13.5 5v6",
  more: "M3 8h.01M8 8h.01M13 8h.01",
};

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".transport");
  root.transport ??= transportOf(root);
  root.transport.receive(data, setTriggerValue);
  root.unlisten?.();
  root.unlisten = root.transport.listen();
  return () => root.unlisten?.();
}

function icon(name) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  picture.setAttribute("class", `icon-${name}`);
  const shape = document.createElementNS(SVG, "path");
  shape.setAttribute("d", ICONS[name]);
  picture.append(shape);
  return picture;
}

function transportOf(root) {
  let data, send;
  let settings = null; // {bpm, swing, feel, sounds}: what Python knows as well
  let epoch = null;
  let revision = 0;
  let untold = null; // a change that is told when it is over
  let moves = []; // undo and redo that are not answered: [serial, "undo" or "redo"]
  let serial = 0;
  let wents = 0; // how often the browser's Back or Forward was pressed
  let taps = [];
  let held = null;
  let pointed = null; // what was pressed by a pointer last: its focus is not that of the keyboard
  let gone = null;
  let drawn = "";

  for (const line of [...TRANSPORT_KEYS].reverse()) {
    if (!player.keys.some(([keys]) => keys === line[0])) player.keys.unshift(line);
  }

  // -- what the server says, and what it is told ------------------------------------------------------

  function receive(sent, setTriggerValue) {
    const isOther = data?.loop.code !== sent.loop.code;
    [data, send] = [sent, setTriggerValue];
    if (epoch !== data.epoch) {
      [epoch, revision, serial, moves, settings] = [data.epoch, data.revision, data.moved, [], data.settings];
    } else if (untold === null && data.revision >= revision) settings = data.settings;
    moves = moves.filter(([number]) => number > data.moved);
    player.set(settings);
    if (isOther && player.id === null) player.queue(HANDS, data.loop);
    paint();
  }

  function change(more, isOver = true) {
    settings = { ...settings, ...more };
    player.set(settings);
    paint();
    clearTimeout(untold);
    untold = setTimeout(tell, isOver ? 0 : UNTOLD);
  }

  function tell() {
    clearTimeout(untold);
    untold = null;
    revision += 1;
    send("changed", { epoch, revision, ...settings });
  }

  function move(way) {
    serial += 1;
    moves.push([serial, way]);
    send("moved", { epoch, moves });
  }

  // the address is another one, which Python reads
  function went() {
    wents += 1;
    send("went", wents);
  }

  // -- what the visitor does --------------------------------------------------------------------------

  function toggle() {
    if (player.id !== null) player.stop();
    else player.play(HANDS, player.last?.id === HANDS ? player.last.loop : data.loop);
  }

  const turn = (name) => player.set({ [name]: !player.settings[name] });

  function within(bpm) {
    return Math.min(Math.max(bpm, data.slowest), data.fastest);
  }

  // to the next whole number up or down, or by several
  function step(by, isOver = true) {
    const from = by > 0 ? Math.floor(settings.bpm) : Math.ceil(settings.bpm);
    change({ bpm: within(from + by) }, isOver);
  }

  function typed() {
    const said = Number.parseFloat(parts.bpm.value.replace(",", "."));
    if (Number.isFinite(said)) change({ bpm: within(Math.round(said * 100) / 100) });
    paint(true);
  }

  function tap(time) {
    if (taps.length && (time - taps.at(-1) > LONGEST_TAP || time <= taps.at(-1))) taps = [];
    taps = [...taps, time].slice(-TAPS);
    if (taps.length < 2) return;
    const beat = (taps.at(-1) - taps[0]) / (taps.length - 1);
    change({ bpm: within(Math.round(60000 / beat)) });
  }

  function hold(by) {
    const again = (after) => {
      held = setTimeout(() => {
        step(by, false);
        again(REPEAT);
      }, after);
    };
    step(by, false);
    again(REPEAT_AFTER);
  }

  function release() {
    clearTimeout(held);
    held = null;
  }

  async function askForMidi() {
    if (!player.midi.available) {
      const why = window.isSecureContext ? "This browser has no MIDI out." : "MIDI out needs https, or localhost.";
      say(`${why} Chrome, Edge and Firefox have it.`);
      return;
    }
    let outputs;
    try {
      outputs = await player.midi.outputs();
    } catch {
      say("The browser does not allow MIDI here.");
      return;
    }
    if (!outputs.length) say("No MIDI port is open: plug one in, or open one in your DAW.");
    paint();
    parts.port.focus();
  }

  function say(text) {
    parts.said.textContent = text;
    parts.said.hidden = !text;
    clearTimeout(gone);
    if (text) gone = setTimeout(say, READ, "");
  }

  // each key in a cap of its own, but for what stands between them
  function caps(keys) {
    return keys.split(/\s+/).flatMap((key) => {
      if (key === "–") return [key, " "];
      const [, cap, comma] = key.match(/^(.+?)(,?)$/);
      return [node("kbd", {}, cap), `${comma} `];
    });
  }

  function showKeys() {
    const seen = new Set();
    const lists = new Map(); // by where they are heard
    for (const [keys, text, where = "Everywhere"] of player.keys) {
      if (seen.has(keys)) continue;
      seen.add(keys);
      if (!lists.has(where)) lists.set(where, node("dl", { "aria-label": where }));
      lists.get(where).append(node("dt", {}, ...caps(keys)), node("dd", {}, text));
    }
    parts.keys.replaceChildren(...[...lists].flatMap(([where, list]) => [node("h3", {}, where), list]));
    parts.dialog.showModal();
  }

  function open(wanted) {
    root.classList.toggle("open", wanted);
    parts.more.setAttribute("aria-expanded", wanted);
  }

  // -- keys of the document ---------------------------------------------------------------------------

  const isText = (where) =>
    where.isContentEditable ||
    where.localName === "textarea" ||
    (where.localName === "input" && !/^(button|checkbox|color|file|image|radio|range|reset|submit)$/.test(where.type));

  // a number has no blank in it
  const isNumber = (where) => where.localName === "input" && (where.type === "number" || where.getAttribute("role") === "spinbutton");

  // whether a space is the control's own
  function takesSpace(where) {
    if (where === pointed || isNumber(where) || !where.matches(":focus-visible") || where.getAttribute("role") === "gridcell") return false;
    const roles = /^(button|checkbox|combobox|link|listbox|menuitem|option|radio|switch|tab)$/;
    return /^(button|input|select|summary)$/.test(where.localName) && where.type !== "range"
      ? true
      : roles.test(where.getAttribute("role") ?? "");
  }

  let playing = false; // whether the space that is held down was ours

  function pressed(event) {
    const where = event.composedPath()[0];
    if (parts.dialog.open) event.stopPropagation(); // what is behind it hears no keys
    const key = event.key.toLowerCase();
    const isSpace = key === " " && !event.ctrlKey && !event.metaKey;
    if (!(where instanceof Element) || parts.dialog.open || (isText(where) && !(isSpace && isNumber(where)))) return;
    const commanded = event.ctrlKey || event.metaKey;
    if (event.altKey) return;
    if (commanded && (key === "z" || key === "y")) move(key === "y" || event.shiftKey ? "redo" : "undo");
    else if (commanded) return;
    else if (key === " ") {
      if (takesSpace(where)) return;
      if (where === parts.bpm) typed(); // what stands there is the tempo that is played
      playing = true;
      if (!event.repeat) toggle();
    } else if (key === "t") {
      if (!event.repeat) tap(event.timeStamp);
    } else if (key === "?") showKeys();
    else if (key === "escape" && root.classList.contains("open")) open(false);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // a button that was clicked before would be clicked again as the space bar comes up
  function lifted(event) {
    if (event.key !== " " || !playing) return;
    playing = false;
    event.preventDefault();
    event.stopPropagation();
  }

  function touched(event) {
    const path = event.composedPath();
    const isControl = (each) => each instanceof Element && each.matches("button, a, input, select, summary, [role]");
    pointed = path.find(isControl) ?? null;
    if (!path.includes(root)) open(false);
  }

  // a key that moves the focus makes it the keyboard's
  function moved(event) {
    if (event.key === "Tab") pointed = null;
  }

  function listen() {
    const heard = [
      ["keydown", pressed],
      ["keydown", moved],
      ["keyup", lifted],
      ["pointerdown", touched],
    ];
    for (const [event, what] of heard) document.addEventListener(event, what, true);
    addEventListener("popstate", went);
    const unlisten = player.listen(paint);
    return () => {
      removeEventListener("popstate", went);
      for (const [event, what] of heard) document.removeEventListener(event, what, true);
      unlisten();
    };
  }

  // -- elements ---------------------------------------------------------------------------------------

  const press = (name, label, what, ...children) =>
    node("button", { class: name, type: "button", "aria-label": label, title: label, onclick: what }, ...children);

  // a button that is held goes on by itself
  function holding(name, label, by, sign) {
    const button = press(name, label, (event) => event.detail === 0 && step(by), sign); // from the keyboard
    button.onpointerdown = (event) => {
      if (event.button) return;
      release();
      hold(by);
    };
    for (const event of ["onpointerup", "onpointercancel", "onpointerleave"]) button[event] = release;
    button.oncontextmenu = (event) => event.preventDefault(); // of a long touch
    return button;
  }

  function choice(label, options, what) {
    const select = node("select", { "aria-label": label, onchange: () => what(select.value) });
    select.append(...options.map(([value, text]) => node("option", { value }, text)));
    return select;
  }

  const named = (text, control) => node("label", { class: "named" }, node("span", {}, text), control);

  function build() {
    const made = {
      play: press("play", "Play", toggle),
      bpm: node("input", {
        type: "text",
        inputmode: "decimal",
        autocomplete: "off",
        role: "spinbutton",
        "aria-label": "Tempo, bpm",
        "aria-valuemin": data.slowest,
        "aria-valuemax": data.fastest,
      }),
      swing: node("input", { type: "range", min: 50, max: data.most_swing, step: 1, "aria-label": "Swing, %" }),
      swung: node("output", {}),
      feel: choice("Feel", [["own", "Own"], ["accents", "Straight accents"]], (feel) => change({ feel })),
      sounds: choice("Sounds", data.sounds, (sounds) => change({ sounds })),
      metronome: press("switch", "Metronome", () => turn("metronome"), icon("metronome")),
      countIn: press("switch", "Count-in", () => turn("countIn"), icon("countIn")),
      ask: press("ask", "MIDI out", askForMidi, "MIDI out …"),
      port: choice("MIDI out", [], (id) => player.midi.choose(id || null)),
      // one of them is seen: in the row, or on a phone in the sheet
      histories: [0, 1].map(() => ({
        undo: press("undo", "Undo", () => move("undo"), icon("undo")),
        redo: press("redo", "Redo", () => move("redo"), icon("redo")),
        help: press("help", "Keys", showKeys, "?"),
      })),
      more: press("more", "More", () => open(!root.classList.contains("open")), icon("more")),
      said: node("div", { class: "said", role: "status", hidden: "" }),
      paused: node(
        "button",
        { class: "paused", type: "button", hidden: "", onclick: () => player.resume() },
        "Sound is paused by the browser: touch to go on",
      ),
      keys: node("div", { class: "keys" }),
    };
    made.bpm.onfocus = () => made.bpm.select();
    made.bpm.onchange = typed;
    made.bpm.onkeydown = (event) => {
      const by = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
      if (by) step(event.shiftKey ? 10 * Math.sign(by) : by, false);
      else if (event.key === "Enter") made.bpm.blur();
      else if (event.key === "Escape") paint(true);
      else return;
      if (by) paint(true);
      event.preventDefault();
    };
    made.swing.oninput = () => change({ swing: made.swing.valueAsNumber / 100 }, false);
    made.swing.onchange = () => change({ swing: made.swing.valueAsNumber / 100 });
    made.tap = press("tap", "Tap the tempo", (event) => event.detail === 0 && tap(event.timeStamp), "Tap");
    made.tap.onpointerdown = (event) => tap(event.timeStamp); // a click comes late, when the finger is up again
    made.midi = node("div", { class: "midi" }, made.ask, made.port);
    const [inRow, inSheet] = made.histories.map(({ undo, redo, help }) => node("div", { class: "history" }, undo, redo, help));
    made.sheet = node(
      "div",
      { class: "sheet", id: "sheet" },
      named("Feel", made.feel),
      named("Sounds", made.sounds),
      node("div", { class: "switches" }, made.metronome, made.countIn),
      made.midi,
      inSheet,
    );
    made.more.setAttribute("aria-controls", "sheet");
    made.more.setAttribute("aria-expanded", "false");
    const close = node("button", { class: "close", type: "button", onclick: () => made.dialog.close() }, "Close");
    made.dialog = node("dialog", { "aria-labelledby": "keys" }, node("h2", { id: "keys" }, "Keys"), made.keys, close);
    made.dialog.onclick = (event) => event.target === made.dialog && made.dialog.close(); // beside it
    const tempo = node(
      "div",
      { class: "tempo", role: "group", "aria-label": "Tempo" },
      holding("step", "Slower", -1, "−"),
      node("label", {}, made.bpm, node("span", {}, "bpm")),
      holding("step", "Faster", 1, "+"),
    );
    const swing = node("label", { class: "swing" }, node("span", {}, "Swing ", made.swung), made.swing);
    const bar = node("div", { class: "bar" }, made.play, tempo, made.tap, swing, made.sheet, inRow, made.more);
    root.replaceChildren(made.paused, made.said, bar, made.dialog);
    return made;
  }

  let parts = null;

  function paint(isTyped = false) {
    parts ??= build();
    const { metronome, countIn } = player.settings;
    const ports = player.midi.ports;
    const plays = player.id !== null;
    const paused = plays && player.state === "suspended";
    const comes = player.coming !== null;
    const { chosen } = player.midi;
    const look = JSON.stringify([settings, metronome, countIn, ports, chosen, plays, comes, paused, data.undo, data.redo]);
    if (look === drawn && isTyped !== true) return; // it is called at every step that sounds
    drawn = look;
    const active = root.getRootNode().activeElement;
    parts.play.replaceChildren(icon(plays ? "stop" : "play"));
    parts.play.setAttribute("aria-label", plays ? "Stop" : "Play");
    parts.play.title = plays ? "Stop" : "Play";
    root.classList.toggle("playing", plays);
    root.classList.toggle("coming", comes);
    const bpm = String(Math.round(settings.bpm * 100) / 100);
    if (active !== parts.bpm || isTyped === true) parts.bpm.value = bpm;
    parts.bpm.setAttribute("aria-valuenow", bpm);
    const swing = Math.round(settings.swing * 100);
    parts.swing.value = swing;
    parts.swing.style.setProperty("--share", `${(100 * (swing - 50)) / (data.most_swing - 50)}%`);
    parts.swung.textContent = `${swing} %`;
    parts.feel.value = settings.feel;
    parts.sounds.value = settings.sounds;
    parts.metronome.setAttribute("aria-pressed", metronome);
    parts.countIn.setAttribute("aria-pressed", countIn);
    for (const { undo, redo } of parts.histories) {
      undo.disabled = !data.undo;
      redo.disabled = !data.redo;
    }
    parts.ask.hidden = ports !== null;
    parts.port.hidden = ports === null;
    if (ports && parts.listed !== JSON.stringify(ports)) {
      parts.listed = JSON.stringify(ports);
      const options = [{ id: "", name: "MIDI out: off" }, ...ports];
      parts.port.replaceChildren(...options.map(({ id, name }) => node("option", { value: id }, name)));
      if (ports.length) say("");
    }
    parts.port.value = chosen ?? "";
    parts.paused.hidden = !paused;
  }

  return { receive, listen };
}
