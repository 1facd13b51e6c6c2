// Bars side by side, or loops of them below each other.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".bars");
  const drawn = JSON.stringify([data.bars, data.names, data.columns, data.together, data.loops]);
  root.data = data;
  root.hearts ??= hearts((wanted) => setTriggerValue("kept", wanted));
  root.hearts.know(data.kept);
  if (root.drawn !== drawn) {
    root.drawn = drawn;
    root.style.setProperty("--columns", data.columns);
    root.classList.toggle("large", data.names);
    // all that were taken since these bars came, the latest last: of two quick clicks a server may see only one
    const taken = new Set();
    const take = (bar) => {
      taken.delete(bar.code);
      taken.add(bar.code);
      if (root.data.pictured && player.id === null) player.last = { id: bar.code, bars: [bar] };
      setTriggerValue("taken", [...taken]);
    };
    const send = {
      play(bar) {
        player.toggle(bar.code, bar.bars ?? [bar]); // what is only heard may be a loop of several
        if (player.id === bar.code) take(bar);
      },
      choose: take,
      keep(bar) {
        root.hearts.click(bar);
        root.update();
      },
    };
    // a bar without a picture is gone for good once there is another
    const gone = root.earlier?.filter((bar) => !data.bars.some((other) => other.code === bar.code)) ?? [];
    if (!data.pictured && gone.some((bar) => bar.code === player.id)) player.stop();
    root.earlier = data.bars;
    root.replaceChildren();
    if (data.legend) root.append(legend());
    let from = 0;
    root.loops = (data.loops ?? [{ name: data.together, n: data.bars.length }]).map((loop, place) => {
      const bars = data.bars.slice(from, (from += loop.n));
      // a loop of other bars is another loop
      const id = `all ${bars.map((bar) => bar.code).join(" ")}`;
      const cards = bars.map((bar) => card(bar, data, send));
      const hear = node("button", { class: "hear", onclick: () => player.toggle(id, bars) });
      const begin = node(
        "button",
        { class: "hear", "aria-label": `Start from ${loop.name}`, onclick: () => setTriggerValue("begun", place) },
        "Start from this",
      );
      if (!data.loops) {
        if (data.together) root.append(hear);
      } else if (loop.n > 1) {
        const head = node("div", { class: "loop" }, hear);
        if (loop.begins) head.append(begin);
        if (loop.note) head.append(node("span", {}, loop.note));
        root.append(head);
      } else if (loop.begins) cards[0].append(begin);
      root.append(...cards);
      const labels = data.loops ? [`Play ${loop.name}`, `Stop ${loop.name}`] : [loop.name, "Stop"];
      return { id, cards, hear, labels };
    });
  }
  root.update = () => {
    for (const { id, cards, hear, labels } of root.loops) {
      const plays = player.id === id;
      hear.textContent = `${plays ? "■" : "▶"} ${labels[Number(plays)]}`;
      if (data.loops) hear.setAttribute("aria-label", labels[Number(plays)]);
      cards.forEach((each, at) => each.update(root.data.chosen, root.hearts, plays && player.place?.bar === at));
    }
  };
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  return () => root.unlisten?.();
}
