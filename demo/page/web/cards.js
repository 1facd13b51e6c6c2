// Bars side by side.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".bars");
  const drawn = JSON.stringify([data.bars, data.names, data.columns, data.together]);
  // a loop of other bars is another loop
  const all = `all ${data.bars.map((bar) => bar.code).join(" ")}`;
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
        player.toggle(bar.code, [bar]);
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
    root.cards = data.bars.map((bar) => card(bar, data, send));
    root.replaceChildren(...root.cards);
    root.hear = node("button", { class: "hear", onclick: () => player.toggle(all, data.bars) });
    if (data.together) root.prepend(root.hear);
  }
  root.update = () => {
    const plays = player.id === all;
    root.hear.textContent = plays ? "■ Stop" : `▶ ${data.together}`;
    root.cards.forEach((each, at) => each.update(root.data.chosen, root.hearts, plays && player.place?.bar === at));
  };
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  return () => root.unlisten?.();
}
