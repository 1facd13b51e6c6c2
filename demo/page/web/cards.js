// Loops side by side, as pictures: to play, to take in hand and to keep.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".cards");
  root.data = data;
  root.send = setTriggerValue;
  root.hearts ??= hearts((wanted) => root.send("kept", wanted));
  root.hearts.know(data.kept);
  const drawn = JSON.stringify([data.loops, data.columns]);
  if (root.drawn !== drawn) {
    root.drawn = drawn;
    build(root, data);
  }
  root.update = () => root.cards.forEach((each) => each.update(root.data.chosen));
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(() => root.update());
  return () => root.unlisten?.();
}

function build(root, data) {
  root.style.setProperty("--columns", data.columns);
  // all that were taken since these loops came, the latest last: of two quick clicks a server may see only one
  const taken = new Set();
  const take = ({ code }) => {
    taken.delete(code);
    taken.add(code);
    root.send("taken", [...taken]);
  };
  const send = {
    play(loop) {
      if (player.id === "hand" && (player.coming ?? player.loop).code === loop.code) return player.stop();
      player.play("hand", plain(loop));
      take(loop);
    },
    choose(loop) {
      player.queue("hand", plain(loop));
      take(loop);
    },
  };
  root.cards = data.loops.map((loop) => card(loop, data.kit, root.hearts, send));
  root.replaceChildren(...(data.loops.some((loop) => loop.before) ? [legend()] : []), ...root.cards);
}

// what the player is to know of it
function plain({ code, name, steps, bars, velocities, offsets }) {
  return { code, name, steps, bars, velocities, offsets };
}
