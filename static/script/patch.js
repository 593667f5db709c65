// Changing a part of the page in place, without taking anything from the person's hands.

import { $, parse, say } from "./page.js";
import { TEXT, held, holds, selecting, ticking } from "./held.js";
import { times } from "./times.js";

let kept = 0; // parts that could not be changed because somebody holds them

function morph(from, to) {
  if (from.nodeType === 3) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeType !== 1) return;
  const isField = from.matches("input, textarea, select");
  if (isField && from.type !== "hidden" && held(from)) return;
  // What a form says the person has seen must not change while they work in it.
  if (isField && from.type === "hidden" && from.form && [...from.form.elements].some((f) => f.matches(TEXT) && held(f))) return;
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value && !(name === "open" && from.tagName === "DETAILS")) from.setAttribute(name, value);
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "open" && name !== "aria-busy") from.removeAttribute(name);
  if (from.tagName === "INPUT" && from.type !== "radio") from.value = to.getAttribute("value") ?? "";
  if (from.tagName === "TEXTAREA") return;
  children(from, to);
}

export function children(from, to) {
  const byId = new Map([...from.children].filter((c) => c.id).map((c) => [c.id, c]));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    let match = next.id ? byId.get(next.id) : null;
    if (!match && at && !at.id && !next.id && at.nodeType === next.nodeType && at.tagName === next.tagName) match = at;
    if (!match) {
      from.insertBefore(next, at);
    } else {
      if (match === at) at = at.nextSibling;
      else from.insertBefore(match, at);
      morph(match, next);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (holds(gone)) kept++;
    else gone.remove();
  }
}

let waiting = []; // patches that came while the person was selecting text
let frozen = null; // the newest list, while rows of the one that is shown are ticked
let fresh = null; // the newest list, while its new rows wait behind a button

function apply({ target, mode, html }) {
  const part = $(target);
  if (!part) return;
  if (mode === "count") {
    part.textContent = html;
    part.hidden = html === "0";
    return;
  }
  const content = parse(html);
  if (mode === "prepend") {
    const rows = [...content.children].filter((row) => !$(row.id));
    for (const row of rows) row.classList.add("fresh");
    part.prepend(...rows);
    while (part.children.length > 300) part.lastElementChild.remove();
    return;
  }
  if (target === "list" && ticking()) {
    frozen = { target, mode, html };
    return;
  }
  if (target === "list" && part.querySelector("ul")) {
    // A new row must not push the one under the thumb away: it waits behind a button.
    const rows = [...content.querySelectorAll("li[id]")].filter((row) => !$(row.id));
    if (rows.length) {
      fresh = html;
      for (const row of rows) row.remove();
      button("news", `${rows.length} new — show`, part, () => {
        children($("list"), parse(fresh));
        fresh = null;
      });
    }
    if (!content.querySelector("li")) return;
  }
  kept = 0;
  children(part, content);
  if (kept) button(`held-${target}`, "This part has changed — show", part, () => location.reload());
}

function button(id, words, before, act) {
  const node = $(id) ?? document.createElement("button");
  node.id = id;
  node.type = "button";
  node.className = "news";
  node.textContent = words;
  node.onclick = () => {
    node.remove();
    act();
  };
  if (!node.isConnected) before.before(node);
  say(words);
}

document.addEventListener("change", () => {
  if (!frozen || ticking()) return;
  const list = frozen;
  frozen = null;
  apply(list);
  times();
});

export function patch(data) {
  if (selecting()) waiting.push(data);
  else apply(data);
  times();
}

document.addEventListener("selectionchange", () => {
  if (waiting.length && !selecting()) {
    const patches = waiting;
    waiting = [];
    patches.forEach(apply);
    times();
  }
});
