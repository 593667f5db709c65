// Changing a part of the page in place, without taking anything from the person's hands.

import { $, parse, say } from "./page.js";
import { TEXT, focused, held, selecting, ticked, ticking, typed } from "./held.js";
import { times } from "./times.js";

const ROWS_MAX = 300; // rows of a timeline on the page; older ones are a link away
let kept = 0; // how much of a part had to stay as it is, because somebody holds it
let forced = false; // they said: show

// A part as far as a person reads it: without distances in time, which change by themselves.
function read(node) {
  const copy = node.cloneNode(true);
  for (const time of copy.querySelectorAll("time")) time.remove();
  return `${node.getAttribute("action")} ${copy.textContent}`.replace(/\s+/g, " ");
}

// Whether this node is in use: what they unfolded, or the form, link or button that has the focus. Under a finger
// nothing may turn into something else.
const used = (from, to) => !forced && ((from.tagName === "DETAILS" && from.open && !to.open) || (from.matches("form, a, button") && focused(from)));

function morph(from, to) {
  if (from.nodeType === 3) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeType !== 1) return;
  if (used(from, to)) {
    if (read(from) !== read(to)) kept++;
    return;
  }
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
    if (gone.nodeType === 1 && ((!forced && focused(gone)) || typed(gone))) kept++;
    else gone.remove();
  }
}

// Buttons that float over the page, so that what appears there moves nothing.
const place = document.createElement("aside");
place.className = "updates";
place.setAttribute("aria-label", "Updates");

function button(id, words, act) {
  let node = $(id);
  if (!node) {
    node = document.createElement("button");
    node.id = id;
    node.type = "button";
    place.append(node);
    document.body.append(place);
    say(words);
  }
  node.textContent = words;
  node.onclick = () => {
    node.remove();
    act();
  };
}

const later = new Map(); // what parts are to become that somebody holds, and lists whose new rows wait
let updates = 0;

function hold(data) {
  later.set(data.target, data);
  button("updates", `${++updates} update${updates === 1 ? "" : "s"} — show`, show);
}

function show() {
  const all = [...later.values()];
  later.clear();
  updates = 0;
  $("updates")?.remove();
  $("new-rows")?.remove();
  forced = true;
  all.forEach(apply);
  forced = false;
  times();
}

document.addEventListener("change", () => {
  if (!later.has("list") || ticking()) return;
  apply(later.get("list"));
  times();
});

// Keeps what is read where it is; browsers that do this by themselves give up over a change they do not understand.
function still(act) {
  const inView = (node) => node.getBoundingClientRect().bottom > 0 && node.getBoundingClientRect().top < innerHeight;
  const focus = document.activeElement;
  const anchor = focus !== document.body && inView(focus) ? focus : [...document.querySelectorAll("#events > li")].find(inView) ?? document.elementFromPoint(innerWidth / 3, 160);
  const before = anchor?.getBoundingClientRect().top;
  act();
  if (scrollY && anchor?.isConnected) scrollBy(0, anchor.getBoundingClientRect().top - before);
}

let unseen = 0; // rows that came in above what is read

function prepend(part, html) {
  const rows = [...parse(html).children].filter((row) => !$(row.id));
  const above = part.getBoundingClientRect().top < 0;
  for (const row of rows) row.classList.add("fresh");
  if (above) still(() => part.prepend(...rows));
  else part.prepend(...rows);
  if (above && rows.length) {
    unseen += rows.length;
    button("unseen", `${unseen} new`, () => part.scrollIntoView());
  }
  if (part.children.length <= ROWS_MAX || part.getBoundingClientRect().bottom < 2 * innerHeight) return;
  while (part.children.length > ROWS_MAX || !part.lastElementChild.id) part.lastElementChild.remove();
  let older = $("older");
  if (!older) {
    older = document.createElement("a");
    older.id = "older";
    older.textContent = "Older";
    part.after(older);
  }
  const address = new URL(location.href);
  address.searchParams.set("before", part.lastElementChild.id.slice(1));
  address.hash = "timeline";
  older.href = address;
}

addEventListener("scroll", () => {
  if (unseen && $("events")?.getBoundingClientRect().top >= 0) {
    unseen = 0;
    $("unseen")?.remove();
  }
}, { passive: true });

const spoken = (part) => [...part.querySelectorAll("[data-say]")].map((node) => node.textContent.trim()).join(", ");

function apply(data) {
  const { target, mode, html } = data;
  const part = $(target);
  if (!part) return;
  if (mode === "count") {
    part.textContent = html;
    part.hidden = html === "0";
    return;
  }
  if (mode === "prepend") return prepend(part, html);
  if (!forced && (target === "list" ? ticking() : ticked(part))) return hold(data);
  const content = parse(html);
  let waits = false;
  if (target === "list" && !forced && part.querySelector("li")) {
    // A new row must not push the one under the thumb away: it waits behind a button.
    const rows = [...content.querySelectorAll("li[id]")].filter((row) => !$(row.id));
    waits = rows.length > 0;
    for (const row of rows) row.remove();
    if (waits) button("new-rows", `${rows.length} new — show`, show);
  }
  kept = 0;
  const said = spoken(part);
  if (!waits || content.querySelector("li")) still(() => children(part, content));
  const says = spoken(part);
  if (says && says !== said) say(says);
  if (kept) return hold(data);
  if (waits) later.set(target, data);
  else if (later.delete(target) && !later.size) {
    updates = 0;
    $("updates")?.remove();
    $("new-rows")?.remove();
  }
}

const waiting = new Map(); // what came while the person was selecting text, by part

export function patch(data) {
  if (selecting()) {
    const before = data.mode === "prepend" && waiting.get(data.target);
    waiting.set(data.target, before ? { ...data, html: data.html + before.html } : data);
  } else apply(data);
  times();
}

document.addEventListener("selectionchange", () => {
  if (!waiting.size || selecting()) return;
  const all = [...waiting.values()];
  waiting.clear();
  all.forEach(apply);
  times();
});
