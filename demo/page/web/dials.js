// Sliders whose moves are sent while they move: one at a time, the latest as soon as the one before is answered.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".dials");
  const names = JSON.stringify(data.dials.map((dial) => dial.name));
  root.send = setTriggerValue;
  if (root.names !== names) build();
  root.answered = Math.max(root.answered, data.answered);
  data.dials.forEach(show);
  flush();

  function build() {
    root.names = names;
    root.number = root.answered = data.answered; // of the last move that was sent, and that was answered
    root.moved = {}; // what is still to be sent
    root.held = {}; // what the visitor sees, until Python has answered it
    root.rows = {};
    root.replaceChildren(
      ...data.dials.map(({ name, label }) => {
        const made = (tag, kind) => Object.assign(document.createElement(tag), { className: kind });
        const row = made("div", "dial");
        const title = made("label", "title");
        const said = made("output", "said");
        const input = Object.assign(made("input", ""), { type: "range", id: `dial-${name}` });
        const [low, high] = [made("span", "end"), made("span", "end")];
        title.htmlFor = input.id;
        title.textContent = label;
        // a finger that scrolls the page over a slider leaves it alone: it moves sideways first
        let touched = null;
        input.onpointerdown = (event) => {
          touched = event.pointerType === "touch" ? { x: event.clientX, value: input.value, moves: false } : null;
        };
        input.onpointermove = (event) => {
          if (touched && Math.abs(event.clientX - touched.x) > 6) touched.moves = true;
        };
        input.onpointercancel = () => {
          if (touched && !touched.moves) paint(root.rows[name], touched.value);
          touched = null;
        };
        input.onpointerup = () => {
          const tapped = touched && !touched.moves;
          touched = null;
          if (tapped) input.oninput();
        };
        input.oninput = () => {
          if (touched && !touched.moves) return;
          root.moved[name] = root.held[name] = Number(input.value);
          paint(root.rows[name], Number(input.value));
          flush();
        };
        row.append(title, said, input, low, high);
        root.rows[name] = { row, title, said, input, low, high };
        return row;
      }),
    );
  }

  function show(dial) {
    const { row, title, said, input, low, high } = root.rows[dial.name];
    if (root.answered === root.number && !(dial.name in root.moved)) delete root.held[dial.name];
    row.title = dial.help;
    title.textContent = dial.label;
    Object.assign(input, { min: dial.low, max: dial.high, step: dial.step });
    said.textContent = dial.said;
    [low.textContent, high.textContent] = dial.ends;
    paint(root.rows[dial.name], root.held[dial.name] ?? dial.value);
  }

  function paint({ input }, value) {
    input.value = value;
    const share = (value - input.min) / (input.max - input.min || 1);
    input.style.setProperty("--share", `${100 * share}%`);
  }

  function flush() {
    if (root.answered < root.number || !Object.keys(root.moved).length) return;
    root.number += 1;
    const values = root.moved;
    root.moved = {};
    root.send("moved", { number: root.number, values });
  }
}
