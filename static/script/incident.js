// The page of an incident: two lines that stay while one scrolls, a way to the forms, what can be taken back for a moment.

import { $ } from "./page.js";

const UNDO_MAX = 10000;

const head = $("head");
if (head) new IntersectionObserver(([entry]) => {
  document.documentElement.classList.toggle("scrolled", !entry.isIntersecting && entry.boundingClientRect.top < 0);
}, { rootMargin: "-120px 0px 0px" }).observe(head);

const undo = $("undo");
if (undo) {
  const gone = () => {
    if (undo.contains(document.activeElement)) setTimeout(gone, 1000);
    else undo.remove();
  };
  setTimeout(gone, UNDO_MAX);
}

// Opens whatever folds it away and puts the focus there.
export function reach(node) {
  if (!node) return;
  for (let at = node.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  const box = node.tagName === "SUMMARY" ? node.parentElement : node;
  const field = node.matches("input, textarea, select, button, a") ? node : box.querySelector("input:not([type=hidden]), textarea, select, button, a");
  (field ?? node).focus();
  box.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-at], a[href^='#']");
  if (!link) return;
  const note = link.dataset.at && document.querySelector("[name=happened]");
  if (note) {
    event.preventDefault();
    note.value = link.dataset.at;
    reach(note);
    document.querySelector("[data-key=n]").focus();
  } else if (!link.dataset.at && !link.matches(".when, .skip")) {
    const target = $(link.hash.slice(1))?.closest("details");
    if (target) reach(target.querySelector("summary"));
  }
});
