// A pad of bars: move, and hear the bar under the puck; what it passes is the path.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".morph");
  const rows = data.bars.length;
  const columns = data.bars[0].length;
  // the path is the browser's own: an answer with what it sent, or with a new heart, must not draw the pad anew
  const drawn = JSON.stringify([data.bars, data.corners]);
  root.data = data;
  root.hearts ??= hearts((wanted) => setTriggerValue("kept", wanted));
  root.hearts.know(data.kept);
  if (root.drawn !== drawn) {
    root.drawn = drawn;
    const field = document.createElementNS(SVG, "svg");
    field.setAttribute("viewBox", `0 0 ${columns * 10} ${rows * 10}`);
    field.setAttribute("class", "field");
    field.setAttribute("role", "application");
    field.setAttribute("tabindex", "0");
    field.setAttribute("aria-label", "Pad of bars: the arrow keys move, space plays, enter begins a new path here");
    const most = Math.max(...data.bars.flat().map((bar) => bar.density), 1);
    data.bars.forEach((row, j) =>
      row.forEach((bar, i) => {
        const tile = document.createElementNS(SVG, "rect");
        tile.setAttribute("x", i * 10 + 0.4);
        tile.setAttribute("y", j * 10 + 0.4);
        tile.setAttribute("width", 9.2);
        tile.setAttribute("height", 9.2);
        tile.setAttribute("rx", 1.2);
        tile.setAttribute("class", "tile");
        tile.style.opacity = 0.1 + (0.5 * bar.density) / most;
        field.append(tile);
      }),
    );
    const trail = document.createElementNS(SVG, "polyline");
    trail.setAttribute("class", "trail");
    const puck = document.createElementNS(SVG, "circle");
    puck.setAttribute("r", 3.4);
    puck.setAttribute("class", "puck");
    field.append(trail, puck);
    const corners = data.corners.map((name, at) => node("span", { class: `corner corner-${at}` }, name));
    const board = node("div", { class: "board" }, ...corners, field);
    const seen = node("div", { class: "bars large", style: "--columns: 1" });
    const hear = node("button", { class: "hear" });
    root.replaceChildren(board, node("div", { class: "heard" }, seen, hear));

    let path = data.path;
    let [i, j] = path[path.length - 1];
    let moved = false;
    const bars = () => path.map(([x, y]) => data.bars[y][x]);
    const send = {
      play: (bar) => player.toggle(bar.code, [bar]),
      choose: (bar) => setTriggerValue("chosen", bar.code),
      keep(bar) {
        root.hearts.click(bar);
        update();
      },
    };
    const update = () => {
      const [card_] = seen.children;
      card_?.update(root.data.chosen, root.hearts);
      const plays = player.id === "path";
      hear.textContent = plays ? "■ Stop" : `▶ Play the path (${path.length} ${path.length === 1 ? "bar" : "bars"})`;
      const at = plays && player.place ? path[player.place.bar % path.length] : [i, j];
      puck.setAttribute("cx", at[0] * 10 + 5);
      puck.setAttribute("cy", at[1] * 10 + 5);
    };
    const draw = () => {
      trail.setAttribute("points", path.map(([x, y]) => `${x * 10 + 5},${y * 10 + 5}`).join(" "));
      seen.replaceChildren(card(data.bars[j][i], { ...data, names: true, pictured: true }, send));
      update();
    };
    const go = (x, y, begins) => {
      x = Math.max(0, Math.min(columns - 1, x));
      y = Math.max(0, Math.min(rows - 1, y));
      if (!begins && x === i && y === j) return;
      const sounds = player.id !== null;
      [i, j] = [x, y];
      path = begins ? [[x, y]] : [...path, [x, y]].slice(-data.most);
      moved = true;
      if (sounds) player.play(data.bars[j][i].code, [data.bars[j][i]]);
      draw();
    };
    const tell = () => {
      if (moved) setTriggerValue("path", path);
      moved = false;
    };
    const under = (event) => {
      const box = field.getBoundingClientRect();
      return [
        Math.floor(((event.clientX - box.left) / box.width) * columns),
        Math.floor(((event.clientY - box.top) / box.height) * rows),
      ];
    };
    field.onpointerdown = (event) => {
      field.setPointerCapture(event.pointerId);
      if (player.id === null) player.play("pad", [data.bars[j][i]]);
      go(...under(event), true);
    };
    field.onpointermove = (event) => {
      if (field.hasPointerCapture(event.pointerId)) go(...under(event), false);
    };
    field.onpointerup = tell;
    field.onkeydown = (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (step) go(i + step[0], j + step[1], false);
      else if (event.key === "Enter") go(i, j, true);
      else if (event.key === " ") player.toggle(data.bars[j][i].code, [data.bars[j][i]]);
      else return;
      event.preventDefault();
    };
    field.onkeyup = (event) => {
      if (event.key.startsWith("Arrow") || event.key === "Enter") tell();
    };
    hear.onclick = () => player.toggle("path", bars());
    draw();
    root.update = update;
  }
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  return () => root.unlisten?.();
}
