// Hands the player tempo and swing, and stops it or lets it go on, whatever the visitor is looking at.
export default function ({ data, parentElement }) {
  player.set(data.tempo);
  const root = parentElement.querySelector(".tempo");
  let button = root.querySelector("button");
  if (!button) {
    button = node("button", { class: "play" });
    root.append(button);
  }
  button.onclick = () => {
    if (player.id !== null) player.stop();
    else if (player.last) player.play(player.last.id, player.last.bars);
    else player.play(data.first.code, [data.first]);
  };
  const update = () => {
    root.classList.toggle("playing", player.id !== null);
    button.textContent = player.id === null ? "▶" : "■";
    button.setAttribute("aria-label", player.id === null ? "Play" : "Stop");
  };
  update();
  root.unlisten?.();
  root.unlisten = player.listen(update);
  return () => root.unlisten?.();
}
