// A pad of loops: move the puck, and the loop under it is in hand; what it passes is the path.
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PARTS = 12; // two letters a step, of six bits each

// The loops of a pad by place, [column, row], made where they are asked for. It mirrors page/lattice.py.
function latticeOf(data) {
  const rows = data.bars.length;
  const columns = data.bars[0].length;
  const bars = data.letters.map((letters) =>
    Array.from({ length: letters.length / 2 }, (_, step) => 64 * DIGITS.indexOf(letters[2 * step]) + DIGITS.indexOf(letters[2 * step + 1])),
  );
  // the cells of a bar that sound, by steps and parts
  const onsets = bars.map((words) => {
    const cells = Array.from({ length: words.length * PARTS }, (_, cell) => cell);
    return cells.filter((cell) => sounds(words[Math.floor(cell / PARTS)], cell % PARTS, PARTS));
  });
  const corners = [[0, 0], [columns - 1, 0]];
  if (rows > 1) corners.push([0, rows - 1], [columns - 1, rows - 1]);

  // of each corner and bar, for each cell that sounds there [velocity, offset]
  const playing = data.playing?.map(({ velocities, offsets }, corner) => {
    const [x, y] = corners[corner];
    return data.bars[y][x].map((bar, at) => new Map(onsets[bar].map((cell, i) => [cell, [velocities[at][i], offsets[at][i]]])));
  });

  function nearness([x, y]) {
    return corners.map(([i, j]) => (columns - 1 - Math.abs(x - i)) * (rows > 1 ? rows - 1 - Math.abs(y - j) : 1));
  }

  // a bar's velocities and offsets: of each cell the mean of the corners in which it sounds
  function played(bar, at, shares) {
    const velocities = new Array(bars[bar].length * PARTS).fill(0);
    const offsets = [...velocities];
    for (const cell of onsets[bar]) {
      let [total, velocity, offset] = [0, 0, 0];
      playing.forEach((corner, i) => {
        const heard = corner[at].get(cell);
        if (!heard) return;
        total += shares[i];
        velocity += shares[i] * heard[0];
        offset += shares[i] * heard[1];
      });
      velocities[cell] = Math.floor((2 * velocity + total) / (2 * total));
      offsets[cell] = Math.floor((2 * offset + total) / (2 * total)) / data.per_step;
    }
    return { velocities, offsets };
  }

  return {
    rows,
    columns,
    corners,
    density: ([x, y]) => data.bars[y][x].reduce((sum, bar) => sum + onsets[bar].length, 0),
    at([x, y]) {
      const own = data.bars[y][x];
      const found = playing && own.map((bar, at) => played(bar, at, nearness([x, y])));
      return {
        code: data.head ? data.head + own.map((bar) => data.letters[bar]).join("") : null,
        name: `morph ${x + 1}, ${y + 1}`,
        steps: bars[0].length,
        bars: own.map((bar) => bars[bar]),
        velocities: found?.map((bar) => bar.velocities) ?? null,
        offsets: found?.map((bar) => bar.offsets) ?? null,
      };
    },
  };
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".pad");
  const drawn = JSON.stringify([data.epoch, data.letters, data.bars, data.playing]);
  if (root.drawn !== drawn) {
    root.drawn = drawn;
    build(root, data, setTriggerValue);
  }
  root.know(data);
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  return () => root.unlisten?.();
}

function build(root, data, setTriggerValue) {
  const lattice = latticeOf(data);
  const { rows, columns } = lattice;
  // the tiles of a strip are taller than wide; on a phone those of a pad are flat, so that the stage stays in sight
  const tall = rows === 1 ? 34 : matchMedia("(max-width: 40rem)").matches ? 6 : 10;
  const middle = ([x, y]) => [x * 10 + 5, (y + 0.5) * tall];
  const isSame = (one, other) => one[0] === other[0] && one[1] === other[1];

  const places = data.bars.flatMap((row, y) => row.map((_, x) => [x, y]));
  const densities = places.map(lattice.density);
  const densest = Math.max(...densities, 1);
  const tiles = places.map(([x, y], at) =>
    shape("rect", { x: x * 10 + 0.4, y: y * tall + 0.4, width: 9.2, height: tall - 0.8, rx: 1.2, class: "tile", opacity: 0.1 + (0.5 * densities[at]) / densest }),
  );
  const names = lattice.corners.map((place, at) => {
    const [x, y] = middle(place);
    return shape("text", { x, y, class: "corner" }, "ABCD"[at]);
  });
  const trail = shape("polyline", { class: "trail" });
  const puck = shape("circle", { r: Math.min(3.4, 0.45 * tall), class: "puck" });
  const field = shape(
    "svg",
    {
      viewBox: `0 0 ${columns * 10} ${rows * tall}`,
      class: rows > 1 ? "field" : "field strip",
      role: "application",
      tabindex: 0,
      "aria-label": "Pad of loops. The arrow keys move, and what is there is in hand; Enter begins a new path",
    },
    ...tiles,
    trail,
    ...names,
    puck,
  );
  const said = node("div", { class: "said", "aria-live": "polite" });
  root.replaceChildren(field, said);

  let { path, revision } = data;
  let here = data.puck; // where the loop in hand is: a place, or one for each of its bars, or nowhere
  let moved = false; // and not yet told
  const last = () => here.at(-1) ?? path.at(-1);

  function update() {
    const along = player.id === "hand" && player.place ? here[player.place.bar % here.length] : null;
    const [x, y] = middle(along ?? last());
    puck.setAttribute("cx", x);
    puck.setAttribute("cy", y);
    puck.classList.toggle("away", !here.length);
  }

  function draw() {
    trail.setAttribute("points", path.map((place) => middle(place).join(",")).join(" "));
    update();
  }

  // `begins` a new path; `starts` what is silent
  function go([x, y], begins, starts) {
    const to = [Math.max(0, Math.min(columns - 1, x)), Math.max(0, Math.min(rows - 1, y))];
    if (!begins && here.length === 1 && isSame(to, last())) return;
    // a path goes on from its end; from elsewhere another one begins
    const before = isSame(path.at(-1), last()) ? path : [last()];
    path = begins ? [to] : [...before, to].slice(-data.most);
    here = [to];
    moved = true;
    const loop = lattice.at(to);
    const waits = player.id === "hand" || (player.id === null && !starts);
    if (waits) player.queue("hand", loop);
    else player.play("hand", loop);
    said.textContent = `column ${to[0] + 1}${rows > 1 ? `, row ${to[1] + 1}` : ""}, ${lattice.density(to)} onsets`;
    draw();
  }

  function tell() {
    if (moved) setTriggerValue("moved", { epoch: root.epoch, revision: ++revision, path });
    moved = false;
  }

  function under(event) {
    const box = field.getBoundingClientRect();
    return [
      Math.floor(((event.clientX - box.left) / box.width) * columns),
      Math.floor(((event.clientY - box.top) / box.height) * rows),
    ];
  }

  field.onpointerdown = (event) => {
    if (event.button) return;
    field.setPointerCapture(event.pointerId);
    go(under(event), true, true);
  };
  field.onpointermove = (event) => {
    if (field.hasPointerCapture(event.pointerId)) go(under(event), false, true);
  };
  field.onpointerup = field.onpointercancel = tell;
  field.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [x, y] = last();
    if (step) go([x + step[0], y + step[1]], false, false);
    else if (event.key === "Enter") go([x, y], true, false);
    else return;
    event.preventDefault();
  };
  field.onkeyup = (event) => {
    if (event.key.startsWith("Arrow") || event.key === "Enter") tell();
  };
  field.onblur = tell; // the key may come up elsewhere

  root.update = update;
  // what the server says, unless the puck has moved on since
  root.know = (data) => {
    root.epoch = data.epoch;
    if (moved || data.revision !== revision) return;
    here = data.puck;
    draw();
  };
}
