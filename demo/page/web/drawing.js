// Bars as pictures, and small help with making elements.
const SVG = "http://www.w3.org/2000/svg";

function node(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function shape(name, properties = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function sounds(word, part, parts) {
  return (word >> (parts - 1 - part)) & 1;
}

// a part's colour, a little nearer to the text's: lighter on dark paper, darker on light
function ink(hue) {
  return `color-mix(in srgb, ${hue} 82%, var(--st-text-color))`;
}

// how high and how dense a velocity is drawn, each a share of the most
function height(velocity) {
  return 0.22 + (0.78 * velocity) / 127;
}

function density(velocity) {
  return 0.35 + (0.65 * velocity) / 127;
}

// what a screen reader says of a bar
function described(words, kit) {
  const lines = kit.names.map((name, part) => {
    const steps = words.flatMap((word, step) => (sounds(word, part, kit.names.length) ? [step + 1] : []));
    return steps.length ? `${name} on ${steps.join(" ")}` : "";
  });
  return lines.filter(Boolean).join("; ") || "silence";
}

// and of what changed in it
function changes(words, before, kit) {
  const added = words.map((word, step) => word & ~before[step]);
  const removed = words.map((word, step) => before[step] & ~word);
  const said = [];
  if (added.some(Boolean)) said.push(`added: ${described(added, kit)}`);
  if (removed.some(Boolean)) said.push(`removed: ${described(removed, kit)}`);
  return said.join(". ") || "nothing changed";
}

// a cell of a bar that came of another one, at x and y, 10 wide: "kept", "added" or "removed"; shapes say it as well
function changed(kind, x, y) {
  const ways = {
    kept: "M1 1h8v8h-8z", // full, as high and wide as its place
    added: "M5 -.4L10.4 5L5 10.4L-.4 5z", // full, on its corner
    removed: "M1.6 1.6L8.4 8.4M8.4 1.6L1.6 8.4", // crossed out
  };
  return shape("path", { d: ways[kind], transform: `translate(${x} ${y})`, class: kind });
}

// one of these in a picture of its own
function mark(kind) {
  return shape("svg", { viewBox: "-1 -1 12 12", "aria-hidden": "true" }, changed(kind, 0, 0));
}

// what these three look like
function legend() {
  const list = node("div", { class: "legend", role: "note", "aria-label": "How changes are drawn" });
  for (const kind of ["kept", "added", "removed"]) list.append(node("span", {}, mark(kind), kind));
  return list;
}

// one bar of a loop, as it is drawn; `before`: the words of the bars that the loop came of, if what changed is seen
function barOf(loop, bar, before = null) {
  return { words: loop.bars[bar], velocities: loop.velocities?.[bar], before: before?.[bar] };
}

// What bars are called that have words and a playing of their own, as text: those of the same cells have one letter, and
// one of them that is played in another way a prime more: A A A′ B. Returns {letter, primes} of each bar.
function letters(bars) {
  const known = new Map(); // words → the ways in which they are played
  return bars.map(({ words, playing }) => {
    const told = words.join(" ");
    if (!known.has(told)) known.set(told, []);
    const playings = known.get(told);
    if (!playings.includes(playing)) playings.push(playing);
    const letter = String.fromCharCode(65 + [...known.keys()].indexOf(told));
    return { letter, primes: playings.indexOf(playing) };
  });
}

// the empty cells of a grid: those on beats are darker
function paper(steps, parts) {
  const lines = { off: "", "off beat": "" };
  for (let step = 0; step < steps; step++) {
    for (let part = 0; part < parts; part++) {
      lines[step % (steps / 4) ? "off" : "off beat"] += `M${step * 10 + 0.6} ${part * 10 + 0.6}h8.8v8.8h-8.8z`;
    }
  }
  return Object.entries(lines).map(([kind, d]) => shape("path", { d, class: kind }));
}

// velocities: of each cell, step after step; without them a bar has accents
function drawing({ words, velocities, before }, kit) {
  const parts = kit.names.length;
  const steps = words.length;
  const told = described(words, kit);
  const svg = shape("svg", {
    viewBox: `0 0 ${steps * 10} ${parts * 10}`,
    role: "img",
    "aria-label": before ? `${told}. ${changes(words, before, kit)}` : told,
  });
  svg.append(...paper(steps, parts));
  for (let part = 0; part < parts; part++) {
    for (let step = 0; step < steps; step++) {
      const is = sounds(words[step], part, parts);
      const was = before && sounds(before[step], part, parts);
      const velocity = velocities?.[step * parts + part] || kit.accents[steps][step];
      const [x, y] = [step * 10, (parts - 1 - part) * 10];
      if (before && (is || was)) {
        const drawn = changed(!is ? "removed" : was ? "kept" : "added", x, y);
        if (is && was) drawn.style.opacity = density(velocity);
        svg.append(drawn);
      } else if (is) {
        const high = 8.8 * height(velocity);
        const cell = shape("rect", { x: x + 0.6, y: y + 9.4 - high, width: 8.8, height: high, rx: 1.2 });
        cell.style.fill = ink(kit.hues[part]);
        cell.style.opacity = density(velocity);
        svg.append(cell);
      }
    }
  }
  svg.append(shape("rect", { class: "head", y: 0, width: 10, height: parts * 10 }));
  head(svg, null);
  return svg;
}

// where a bar sounds now; null where it does not
function head(picture, step) {
  const line = picture.lastChild;
  line.style.display = step === null ? "none" : "";
  if (step !== null) line.setAttribute("x", step * 10);
}

// Which loops are kept, as the visitor sees it: at once, and also where several clicks come before an answer.
function hearts(send) {
  let known = [];
  const wanted = new Map(); // code → whether it is to be kept, until the server says so too
  const self = {
    know(kept) {
      known = kept;
      for (const [code, want] of wanted) if (known.includes(code) === want) wanted.delete(code);
    },
    has: (code) => wanted.get(code) ?? known.includes(code),
    waits: () => wanted.size > 0,
    click(loop) {
      wanted.set(loop.code, !self.has(loop.code));
      send([...wanted]);
    },
    // a button that keeps a loop or no longer; `show` says of which
    button() {
      const made = node("button", { class: "keep", type: "button" });
      made.show = (loop) => {
        const kept = self.has(loop.code);
        made.textContent = kept ? "♥" : "♡";
        made.setAttribute("aria-pressed", kept);
        made.setAttribute("aria-label", `${kept ? "Do not keep" : "Keep"} ${loop.name}`);
        made.onclick = () => {
          self.click(loop);
          made.show(loop);
        };
      };
      return made;
    },
  };
  return self;
}

// the bars of a loop side by side, in two rows where there are eight
function pictures(loop, kit, before) {
  const drawn = loop.bars.map((_, bar) => {
    const picture = drawing(barOf(loop, bar, before), kit);
    if (loop.bars.length > 1) picture.setAttribute("aria-label", `bar ${bar + 1}: ${picture.getAttribute("aria-label")}`);
    return picture;
  });
  const made = node("div", { class: `drawn bars-${loop.bars.length}` }, ...drawn);
  made.follow = (place) => drawn.forEach((picture, bar) => head(picture, place?.bar === bar ? place.step : null));
  return made;
}

// a loop to play, to take in hand and to keep; `send` says what its buttons do
function card(loop, kit, known, send) {
  const play = node("button", { class: "play", type: "button", onclick: () => send.play(loop) });
  const keep = known.button();
  const name = node("button", { class: "name", type: "button", onclick: () => send.choose(loop) }, loop.name);
  name.setAttribute("aria-label", `Take ${loop.name} in hand`);
  const seen = pictures(loop, kit, loop.before);
  seen.onclick = () => send.play(loop);
  const made = node("article", { class: "card" }, node("header", {}, play, name, keep), seen);
  if (loop.note) made.append(node("footer", {}, loop.note));
  made.update = (chosen) => {
    const plays = player.id === "hand" && player.loop.code === loop.code;
    const stays = player.id === "hand" && (player.coming ?? player.loop).code === loop.code;
    play.textContent = stays ? "■" : "▶";
    play.setAttribute("aria-label", `${stays ? "Stop" : "Play"} ${loop.name}`);
    keep.show(loop);
    made.classList.toggle("chosen", chosen === loop.code);
    made.classList.toggle("playing", plays);
    made.classList.toggle("coming", stays && !plays);
    seen.follow(plays ? player.place : null);
  };
  return made;
}
