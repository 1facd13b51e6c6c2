// A link to the loop in hand by one button, and its MIDI file to drag out of the page.
export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector(".takeaway");
  root.data = data;
  if (!root.know) {
    const address = () => `${location.origin}${location.pathname}?${root.data.query}`;
    const copy = node("button", { class: "take", type: "button" }, "Copy link");
    const shown = node("input", { class: "link", type: "text", readonly: "", "aria-label": "Link to this loop", hidden: "" });
    const said = node("span", { class: "said", role: "status" });
    copy.onclick = async () => {
      try {
        await navigator.clipboard.writeText(address()); // there is none where the page is not served safely
        shown.hidden = true;
        said.textContent = "Link copied";
      } catch {
        shown.value = address();
        shown.hidden = false;
        shown.select();
        said.textContent = "Copy it from here";
      }
      clearTimeout(root.timer);
      root.timer = setTimeout(() => (said.textContent = ""), 4000);
    };
    const drag = node("a", { class: "take drag" });
    // Chromium makes a file of what is dragged out, of a data or a remote address but not of a blob's; others do not
    const drags = /Chrom(e|ium)\//.test(navigator.userAgent);
    drag.draggable = drags;
    drag.textContent = drags ? "⠿ Drag MIDI" : "Download MIDI";
    drag.title = drags
      ? "Drag it into a DAW or a folder; a click downloads it"
      : "Downloads the loop: this browser cannot drag files out of a page";
    drag.ondragstart = (event) => {
      const { mime, file } = root.data;
      event.dataTransfer.effectAllowed = "copy";
      event.dataTransfer.setData("DownloadURL", `${mime}:${file}:${drag.href}`);
      event.dataTransfer.setData("text/uri-list", drag.href);
    };
    root.replaceChildren(copy, drag, said, shown);
    root.know = () => {
      drag.href = `data:${root.data.mime};base64,${root.data.content}`;
      drag.download = root.data.file;
      shown.hidden = true; // of a loop that was in hand before
    };
  }
  root.know();
}
