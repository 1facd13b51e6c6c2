// A step sequencer: click or drag cells, arrow keys and space; locks at the left.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".editor");
  const { names, hues } = data.kit;
  const parts = names.length;
  const steps = data.words.length;
  const shades = data.kit.shades[steps];
  const SOUND = "editor";

  if (root.steps !== steps) build();
  // what was clicked while Python was on its way must not be undone by an older answer
  const painting = root.paints !== undefined;
  if (root.epoch !== data.epoch || (!painting && data.revision >= root.revision)) {
    root.epoch = data.epoch;
    root.revision = data.revision;
    root.words = [...data.words];
    root.locks = [...data.locks];
  }
  root.played = data.played;
  root.hearts ??= hearts((wanted) => setTriggerValue("kept", wanted));
  root.hearts.know(data.kept);
  root.code = data.code;
  root.called = data.name;
  root.send = setTriggerValue;
  paint();

  // what sounds now; new cells have accents until Python answers
  function played() {
    return { words: root.words, played: root.played };
  }

  function build() {
    root.steps = steps;
    root.revision = -1;
    root.cells = [];
    root.lockers = [];
    const grid = node("div", { class: "grid", role: "grid", "aria-label": "Step sequencer" });
    for (let part = parts - 1; part >= 0; part--) {
      const row = node("div", { class: "row", role: "row" });
      const lock = node("button", { class: "lock", onclick: () => turn(part) });
      root.lockers[part] = lock;
      row.append(lock);
      root.cells[part] = [];
      for (let step = 0; step < steps; step++) {
        const cell = node("button", { class: "cell", role: "gridcell" });
        cell.onpointerdown = (event) => {
          event.preventDefault();
          cell.focus();
          root.paints = !sounds(root.words[step], part, parts);
          root.from = [event.clientX, event.clientY];
          put(part, step, root.paints);
        };
        cell.onclick = (event) => {
          if (event.detail !== 0) return; // not from the keyboard
          put(part, step, !sounds(root.words[step], part, parts));
          tell();
        };
        cell.onkeydown = (event) => walk(event, part, step);
        root.cells[part][step] = cell;
        row.append(cell);
      }
      grid.append(row);
    }
    grid.onpointermove = (event) => {
      if (root.paints === undefined || !event.buttons) return;
      // a quick hand leaves out cells: what lies between the last place and this one is painted too
      const [fromX, fromY] = root.from;
      const far = Math.hypot(event.clientX - fromX, event.clientY - fromY);
      const pieces = Math.max(1, Math.ceil(far / 6));
      for (let piece = 1; piece <= pieces; piece++) {
        const share = piece / pieces;
        paintAt(fromX + (event.clientX - fromX) * share, fromY + (event.clientY - fromY) * share);
      }
      root.from = [event.clientX, event.clientY];
    };
    for (const event of ["pointerup", "pointercancel"]) {
      window.removeEventListener(event, root.lift); // of a sequencer of another grid
    }
    root.lift = () => {
      if (root.paints !== undefined) tell(); // a stroke is one change
      root.paints = undefined;
    };
    window.addEventListener("pointerup", root.lift);
    window.addEventListener("pointercancel", root.lift);
    root.hear = node("button", { class: "play", onclick: () => player.toggle(SOUND, [played()]) });
    root.keep = node("button", { class: "keep", onclick: keep });
    root.titled = node("span", { class: "name" });
    root.replaceChildren(node("header", {}, root.hear, root.titled, root.keep), grid);
    root.at = [0, 0];
    root.style.setProperty("--steps", steps);
  }

  function keep() {
    root.hearts.click({ code: root.code });
    paint();
  }

  function walk(event, part, step) {
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!way) return;
    event.preventDefault();
    root.at = [(part + way[0] + parts) % parts, (step + way[1] + steps) % steps];
    paint();
    root.cells[root.at[0]][root.at[1]].focus();
  }

  function turn(part) {
    root.locks[part] = !root.locks[part];
    paint();
    tell();
  }

  function paintAt(x, y) {
    const under = (parentElement.elementFromPoint ? parentElement : document).elementFromPoint(x, y);
    for (let part = 0; part < parts; part++) {
      const step = root.cells[part].indexOf(under);
      if (step >= 0) put(part, step, root.paints);
    }
  }

  function put(part, step, on) {
    if (Boolean(sounds(root.words[step], part, parts)) === on) return;
    root.at = [part, step];
    root.words[step] ^= 1 << (parts - 1 - part);
    player.replace(SOUND, [played()]);
    paint();
  }

  function tell() {
    root.revision += 1;
    root.send("edited", { epoch: root.epoch, revision: root.revision, words: root.words, locks: root.locks });
  }

  function paint() {
    const plays = player.id === SOUND;
    for (let part = 0; part < parts; part++) {
      const locked = root.locks[part];
      root.lockers[part].replaceChildren(padlock(locked), names[part]);
      root.lockers[part].setAttribute("aria-pressed", locked);
      root.lockers[part].setAttribute("aria-label", `${locked ? "Unlock" : "Lock"} ${names[part]}`);
      for (let step = 0; step < steps; step++) {
        const cell = root.cells[part][step];
        const on = sounds(root.words[step], part, parts);
        cell.setAttribute("aria-pressed", Boolean(on));
        cell.setAttribute("aria-label", `${names[part]}, step ${step + 1}`);
        cell.tabIndex = root.at[0] === part && root.at[1] === step ? 0 : -1;
        cell.style.setProperty("--ink", on ? ink(hues[part]) : "transparent");
        // a cell that is new in a bar of a file has no loudness of its own
        cell.style.setProperty("--shade", root.played?.shades[step][part] || shades[step]);
        cell.classList.toggle("beat", step % (steps / 4) === 0);
        cell.classList.toggle("heard", plays && player.place?.step === step);
      }
    }
    root.hear.textContent = plays ? "■" : "▶";
    root.hear.setAttribute("aria-label", plays ? "Stop the bar" : "Play the bar");
    const kept = root.hearts.has(root.code);
    root.keep.textContent = kept ? "♥" : "♡";
    root.keep.setAttribute("aria-pressed", kept);
    root.keep.setAttribute("aria-label", kept ? "Do not keep the bar" : "Keep the bar");
    root.titled.textContent = root.called;
    root.classList.toggle("playing", plays);
  }

  function padlock(closed) {
    const drawn = document.createElementNS(SVG, "svg");
    drawn.setAttribute("viewBox", "0 0 10 12");
    drawn.setAttribute("aria-hidden", "true");
    const shape = document.createElementNS(SVG, "path");
    const shackle = closed ? "M2.5 6V3.5a2.5 2.5 0 0 1 5 0V6" : "M2.5 6V2.5a2.3 2.3 0 0 1 4.5-.6";
    shape.setAttribute("d", `${shackle}M1 6h8v5.5H1z`);
    shape.setAttribute("fill", closed ? "currentColor" : "none");
    shape.setAttribute("stroke", "currentColor");
    shape.setAttribute("opacity", closed ? 1 : 0.45);
    drawn.append(shape);
    return drawn;
  }

  if (player.id === SOUND) player.replace(SOUND, [played()]);
  root.unlisten?.();
  root.unlisten = player.listen(paint);
  return () => root.unlisten?.();
}
