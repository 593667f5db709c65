// The list of incidents: ticking rows and opening one by key, and ticks that are still there after Back.

import { pressed } from "./keys.js";
import { $, say } from "./page.js";

const list = $("list");
const ticks = () => [...document.querySelectorAll("#list ul input:checked")];
const kept = `ticks:${location.search}`;
let count = 0;

function count_ticks() {
  const now = ticks().length;
  if (now !== count && !$("tick-all")?.checked) say(now ? `${now} ticked; the list waits` : "Nothing ticked");
  count = now;
  sessionStorage.setItem(kept, JSON.stringify(ticks().map((tick) => tick.value)));
}

if (list) {
  const [how] = performance.getEntriesByType("navigation");
  if (how?.type === "back_forward" || how?.type === "reload") {
    const before = JSON.parse(sessionStorage.getItem(kept) ?? "[]");
    for (const tick of list.querySelectorAll("ul input")) if (before.includes(tick.value)) tick.checked = true;
  }
  list.addEventListener("change", count_ticks);
  addEventListener("keydown", (event) => {
    const key = pressed(event);
    const row = document.activeElement?.closest(".incidents > li");
    const tick = row?.querySelector("input[name=id]");
    if (key === "x" && tick) {
      tick.checked = !tick.checked;
      tick.dispatchEvent(new Event("change", { bubbles: true }));
    } else if (key === "a" && !event.repeat) {
      // With nothing ticked it is about the row that was moved to.
      if (tick && !ticks().length && !$("tick-all").checked) tick.checked = true;
      const all = $("tick-all")?.checked;
      if (!all && !ticks().length) return;
      const button = document.querySelector("#bulk [value=acknowledge]");
      button.form.requestSubmit(button);
    } else if (key === "Enter" && tick && document.activeElement === tick) {
      // A browser would send the form, and with it the first act of the list.
      row.querySelector("a").click();
    } else if (key === "c") document.querySelector("[data-key=c]")?.click();
    else return;
    event.preventDefault();
  });
}
