// Favourites live in the visitor's own browser: they survive a reload, and no server knows them.
const PLACE = "rhythmgan.favourites";
const PATIENCE = 2000; // milliseconds until what was said and not answered is said again

// what is kept, as text; null where the browser keeps nothing for us
function stored() {
  try {
    return localStorage.getItem(PLACE) ?? "[]";
  } catch {
    return null;
  }
}

function read(text) {
  try {
    const list = JSON.parse(text);
    return Array.isArray(list) ? list : [];
  } catch {
    return []; // somebody else wrote there
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  // the same visitor with another page open
  const changed = (event) => {
    if (event.key === PLACE) setTriggerValue("changed", read(event.newValue));
  };
  const root = parentElement.querySelector(".keeper");
  root.unlisten?.();
  root.unlisten = () => {
    clearInterval(root.asking);
    window.removeEventListener("storage", changed);
  };
  window.addEventListener("storage", changed);
  const kept = stored();
  if (kept !== null && data.favourites === null) {
    const list = read(kept);
    const say = () => setTriggerValue("found", list);
    if (list.length) {
      say();
      // a message that comes with another one may redraw a part of the page only, and this is not in it
      root.asking = setInterval(say, PATIENCE);
    }
  } else if (kept !== null) {
    const wanted = JSON.stringify(data.favourites);
    try {
      if (wanted !== kept) localStorage.setItem(PLACE, wanted);
    } catch {
      // the store is full: what was kept stays
    }
  }
  return root.unlisten;
}
