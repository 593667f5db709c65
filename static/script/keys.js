// Keys: letters only move, but for `a`, which acknowledges. `/help/keys` lists them; a person may have them off, or only
// with Alt.

import { reach } from "./incident.js";

const PLACES = { i: "/incidents", a: "/approvals", r: "/runbooks", d: "/drills", l: "/deliveries", s: "/system", t: "/settings/targets", h: "/help" };
const how = document.documentElement.dataset.keys ?? "on";
const PLAIN = { Slash: "/", BracketLeft: "[", BracketRight: "]" };
const SECTIONS = { p: "#decisions :is(.button, button)", r: "#runs :is(a, summary, button)", n: "[data-draft] textarea" };
let going = 0, focused = 0;

// With Alt some keyboards make other signs, so there the key counts and not the sign.
function letter(event) {
  if (how !== "alt") return event.key;
  if (event.code === "Slash" && event.shiftKey) return "?";
  return PLAIN[event.code] ?? event.code.replace(/^Key/, "").toLowerCase();
}

function step(nodes, by) {
  const at = nodes.indexOf(document.activeElement);
  const next = nodes[Math.max(0, Math.min(at + by, nodes.length - 1))];
  if (next && !next.matches("a, button, input, [tabindex]")) next.tabIndex = -1;
  next?.focus();
  return next;
}

// The sign of a key that is meant for the page: pressed outside fields, in the way the person has chosen.
export function pressed(event) {
  if (how === "off" || event.ctrlKey || event.metaKey || event.altKey !== (how === "alt")) return "";
  if (event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]")) return "";
  return letter(event);
}

addEventListener("focusin", () => { focused = Date.now(); });
addEventListener("keydown", (event) => {
  const key = pressed(event);
  if (!key) return;
  const all = (selector) => [...document.querySelectorAll(selector)];
  if (Date.now() - going < 1500 && PLACES[key]) { event.preventDefault(); location.href = PLACES[key]; return; }
  going = 0;
  const own = /^[a-z]$/i.test(key) ? document.querySelector(`[data-key="${key}"]`) : null;
  if (key === "g") going = Date.now();
  else if (key === "?") location.href = "/help/keys";
  else if (key === "/") (document.querySelector("main [type=search]") ?? { focus() { location.href = "/incidents"; } }).focus();
  else if (key === "j" || key === "k") step(all("[data-row], .incidents > li > a"), key === "j" ? 1 : -1);
  else if (key === "[" || key === "]") step(all("main h1, main h2"), key === "]" ? 1 : -1)?.scrollIntoView({ block: "start" });
  else if (key === "a" && own) { if (Date.now() - focused > 1000) own.click(); }
  else if (own || SECTIONS[key]) reach(own ?? document.querySelector(SECTIONS[key]));
  else return;
  event.preventDefault();
});
