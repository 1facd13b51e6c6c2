// Two loops that are heard and not seen, and which is the better.
const BLIND_KEYS = [
  ["A B", "Blind test: play A, play B"],
  ["1 2 0", "Blind test: A is better, B is better, no difference"],
  ["Enter N", "Blind test: next pair"],
];

const PRESSED_BY_ENTER = ["button", "a", "summary", "input"]
  .concat(["button", "link", "radio", "tab", "option", "menuitem", "switch"].map((role) => `[role=${role}]`))
  .join();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".blind");
  if (!root.parts) begin(root);
  root.send = setTriggerValue;
  root.data = data;
  if (root.pair !== data.pair) {
    root.pair = data.pair;
    root.heard = new Set();
    root.sent = false;
    player.stop(); // nothing goes on under A and B, and no loop of a pair that is gone
  }
  if (data.winner !== null) root.sent = false;
  root.update();
  root.unlisten?.();
  root.unlisten = player.listen(root.update);
  document.addEventListener("keydown", root.press);
  for (const line of BLIND_KEYS) if (!player.keys.includes(line)) player.keys.push(line);
  return () => {
    root.unlisten?.();
    player.keys = player.keys.filter((line) => !BLIND_KEYS.includes(line));
    document.removeEventListener("keydown", root.press);
    if (player.id === "A" || player.id === "B") player.stop();
  };
}

function begin(root) {
  const choices = [
    ["A", "A is better", "1"],
    ["", "No difference", "0"],
    ["B", "B is better", "2"],
  ];
  const make = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const key = (text) => make("kbd", { "aria-hidden": "true" }, text);
  const title = make("p", { class: "group" });
  const says = make("p", { class: "says", role: "status" });
  const plays = ["A", "B"].map((id, at) => {
    const button = make("button", { class: "hear" }, make("span", { class: "sign", "aria-hidden": "true" }), id);
    button.onclick = () => player.toggle(id, root.data.loops[at]);
    return button;
  });
  const votes = choices.map(([winner, text, letter]) => {
    const button = make("button", { class: "vote" }, text, key(letter));
    button.onclick = () => vote(winner);
    return button;
  });
  const next = make("button", { class: "next" });
  next.onclick = () => root.send("next", { pair: root.pair });
  root.append(title, make("div", { class: "pair" }, ...plays), make("div", { class: "votes" }, ...votes), says, next);
  root.parts = true;

  const ready = () => root.data.winner === null && !root.sent && root.heard.size === 2;
  function vote(winner) {
    if (!ready()) return;
    root.sent = true; // until the page has answered
    root.send("voted", { pair: root.pair, winner });
    root.update();
  }

  root.update = () => {
    const { loops, winner, kinds, group } = root.data;
    for (const [at, id] of ["A", "B"].entries()) {
      const on = player.id === id;
      if (on && player.loop?.code === loops[at].code) root.heard.add(id);
      plays[at].classList.toggle("playing", on);
      plays[at].classList.toggle("coming", player.comingId === id); // from the next bar line on
      plays[at].classList.toggle("heard", root.heard.has(id));
      plays[at].classList.toggle("winner", winner === id);
      plays[at].setAttribute("aria-label", `${on ? "Stop" : "Play"} ${id}`);
      plays[at].firstChild.textContent = on ? "■" : "▶";
    }
    title.textContent = group;
    const voted = winner !== null;
    const focused = root.getRootNode().activeElement;
    for (const button of votes) {
      button.hidden = voted;
      button.disabled = !ready();
    }
    const chosen = { A: "You chose A.", B: "You chose B.", "": "You heard no difference." };
    const left = ["A", "B"].filter((id) => !root.heard.has(id));
    says.textContent = voted
      ? `A: ${kinds[0]}. B: ${kinds[1]}. ${chosen[winner]}`
      : left.length === 2
        ? "Listen to both."
        : left.length
          ? `Listen to ${left[0]} too.`
          : "Which is the better?";
    next.replaceChildren(voted ? "Next pair" : "Another pair", key("N"));
    next.classList.toggle("primary", voted);
    if (voted && votes.includes(focused)) next.focus(); // it was on a button that is gone
  };

  // keys of the whole page while the test is open, but not where one writes or chooses
  root.press = (event) => {
    const at = event.composedPath()[0];
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.closest?.("input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable=true]")) return;
    const pressed = event.key.toLowerCase();
    const winner = { 1: "A", 2: "B", 0: "" }[pressed];
    if (pressed === "a" || pressed === "b") player.toggle(pressed.toUpperCase(), root.data.loops[Number(pressed === "b")]);
    else if (winner !== undefined) vote(winner);
    else if (pressed === "n") next.click();
    else if (pressed === "enter" && root.data.winner !== null && !at.closest?.(PRESSED_BY_ENTER)) next.click();
    else return;
    event.preventDefault();
  };
}
