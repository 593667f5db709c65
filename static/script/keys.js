// Keys: letters only move, but for `a`, which acknowledges.

import { reach } from "./incident.js";

const PLACES = { i: "/incidents", a: "/approvals", r: "/runbooks", d: "/deliveries", s: "/system" };
const SECTIONS = { p: "#decisions :is(.button, button)", r: "#runs :is(a, summary, button)", n: "[data-draft] textarea" };
let going = 0, focused = 0;
addEventListener("focusin", () => { focused = Date.now(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const key = event.key;
  if (Date.now() - going < 1500 && PLACES[key]) { location.href = PLACES[key]; return; }
  going = 0;
  const rows = [...document.querySelectorAll(".incidents > li > a")];
  const at = rows.indexOf(document.activeElement);
  if (key === "g") going = Date.now();
  else if (key === "j") rows[Math.min(at + 1, rows.length - 1)]?.focus();
  else if (key === "k") rows[Math.max(at - 1, 0)]?.focus();
  else if (key === "a" && Date.now() - focused > 1000) document.querySelector("[data-key=a]")?.click();
  else if ("prntues".includes(key)) reach(document.querySelector(`[data-key=${key}]`) ?? document.querySelector(SECTIONS[key]));
  else return;
  event.preventDefault();
});
