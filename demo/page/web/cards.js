// Bars side by side.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".bars");
  const drawn = JSON.stringify([data.bars, data.names, data.columns]);
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
    root.replaceChildren(...data.bars.map((bar) => card(bar, data, send)));
  }
  root.update = () => {
    for (const each of root.children) each.update(root.data.chosen, root.hearts);
  };
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  return () => root.unlisten?.();
}
