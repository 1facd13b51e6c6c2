// Bars as step grids, and small help with making elements.
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

function sounds(word, part, parts) {
  return (word >> (parts - 1 - part)) & 1;
}

// a part's colour, a little nearer to the text's: lighter on dark paper, darker on light
function ink(hue) {
  return `color-mix(in srgb, ${hue} 82%, var(--st-text-color))`;
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
  const cell = document.createElementNS(SVG, "path");
  const ways = {
    kept: "M1 1h8v8h-8z", // full, as high and wide as its place
    added: "M5 -.4L10.4 5L5 10.4L-.4 5z", // full, on its corner
    removed: "M1.6 1.6L8.4 8.4M8.4 1.6L1.6 8.4", // crossed out
  };
  cell.setAttribute("d", ways[kind]);
  cell.setAttribute("transform", `translate(${x} ${y})`);
  cell.setAttribute("class", kind);
  return cell;
}

// what these three look like
function legend() {
  const list = node("div", { class: "legend", role: "note", "aria-label": "How changes are drawn" });
  for (const kind of ["kept", "added", "removed"]) {
    const picture = document.createElementNS(SVG, "svg");
    picture.setAttribute("viewBox", "-1 -1 12 12");
    picture.setAttribute("aria-hidden", "true");
    picture.append(changed(kind, 0, 0));
    list.append(node("span", {}, picture, kind));
  }
  return list;
}

// `before`: the words of the bar that this one came of, if what changed is to be seen
function drawing({ words, played, before }, kit) {
  const parts = kit.names.length;
  const steps = words.length;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${steps * 10} ${parts * 10}`);
  svg.setAttribute("role", "img");
  const told = described(words, kit);
  svg.setAttribute("aria-label", before ? `${told}. ${changes(words, before, kit)}` : told);
  const onTop = []; // what is larger than its cell
  for (let part = 0; part < parts; part++) {
    for (let step = 0; step < steps; step++) {
      const cell = document.createElementNS(SVG, "rect");
      cell.setAttribute("x", step * 10 + 0.6);
      cell.setAttribute("y", (parts - 1 - part) * 10 + 0.6);
      cell.setAttribute("width", 8.8);
      cell.setAttribute("height", 8.8);
      cell.setAttribute("rx", 1.6);
      const is = sounds(words[step], part, parts);
      const was = before && sounds(before[step], part, parts);
      if (before && (is || was)) {
        const mark = changed(!is ? "removed" : was ? "kept" : "added", step * 10, (parts - 1 - part) * 10);
        if (is && was) mark.style.opacity = 0.35 + 0.5 * (played ? played.shades[step][part] : kit.shades[steps][step]);
        onTop.push(mark);
      }
      if (is && !before) {
        cell.style.fill = ink(kit.hues[part]);
        cell.style.opacity = played ? played.shades[step][part] : kit.shades[steps][step];
      } else {
        cell.setAttribute("class", step % (steps / 4) ? "off" : "off beat");
      }
      svg.append(cell);
    }
  }
  svg.append(...onTop);
  const head = document.createElementNS(SVG, "rect");
  head.setAttribute("class", "head");
  head.setAttribute("y", 0);
  head.setAttribute("width", 10);
  head.setAttribute("height", parts * 10);
  svg.append(head);
  return svg;
}

// Which bars are kept, as the visitor sees it: at once, and also where several clicks come before an answer.
function hearts(send) {
  let known = [];
  const wanted = new Map(); // code → whether it is to be kept, until the server says so too
  const self = {
    know(kept) {
      known = kept;
      for (const [code, want] of wanted) if (known.includes(code) === want) wanted.delete(code);
    },
    has: (code) => wanted.get(code) ?? known.includes(code),
    click(bar) {
      wanted.set(bar.code, !self.has(bar.code));
      send([...wanted]);
    },
  };
  return self;
}

// a bar to play, to take in hand and to keep; `send` says what its buttons do
function card(bar, data, send) {
  const play = node("button", { class: "play", onclick: () => send.play(bar) });
  const keep = node("button", { class: "keep", onclick: () => send.keep(bar) });
  const name = node("button", { class: "name", title: "take in hand", onclick: () => send.choose(bar) }, bar.title ?? bar.name);
  const picture = drawing(bar, data.kit);
  picture.onclick = () => send.play(bar);
  const names = node("div", { class: "names", "aria-hidden": "true" });
  if (data.names) for (const part of [...data.kit.names].reverse()) names.append(node("span", {}, part));
  const drawn = node("div", { class: "drawn" }, names, picture);
  const made = node("article", { class: "card" });
  if (data.pictured) made.append(node("header", {}, play, name, keep), drawn);
  else {
    made.append(node("header", {}, play, node("span", { class: "name" }, bar.name)));
    made.classList.add("heard-only");
  }
  if (bar.note) made.append(node("footer", {}, bar.note));
  // `heard` says whether it is this bar that sounds, of several that play as one loop
  made.update = (chosen, hearts, heard) => {
    const plays = player.id === bar.code;
    play.textContent = plays ? "■" : "▶";
    play.setAttribute("aria-label", `${plays ? "Stop" : "Play"} ${bar.name}`);
    const kept = hearts.has(bar.code);
    keep.textContent = kept ? "♥" : "♡";
    keep.setAttribute("aria-pressed", kept);
    keep.setAttribute("aria-label", `${kept ? "Do not keep" : "Keep"} ${bar.name}`);
    made.classList.toggle("chosen", chosen === bar.code);
    made.classList.toggle("playing", plays);
    const head = picture.lastChild;
    const seen = (plays || heard) && player.place?.step < bar.words.length;
    if (seen) head.setAttribute("x", player.place.step * 10);
    head.style.display = seen ? "" : "none";
  };
  return made;
}
