// The icon and the title of the tab: how many decisions wait, or that the page is no longer fed.

import { $ } from "./page.js";

const link = document.querySelector("link[rel=icon]"), first = link?.getAttribute("href");
const shown = () => ($("waiting") && !$("waiting").hidden ? $("waiting").textContent : "0");
const began = shown(), title = document.title;

function draw() {
  const n = shown();
  let href = first;
  const stale = document.body.classList.contains("stale-page");
  if (stale) href = "/static/favicon-stale.svg";
  else if (n !== began) href = `/static/favicon${n === "0" ? ($("faults") ? "-fault" : "") : n > 9 ? "-many" : `-${n}`}.svg`;
  const text = stale || n !== "0" ? `(${stale ? "?" : n}) ${title}` : title;
  if (document.title !== text) document.title = text;
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
}

if (link) {
  draw();
  const watch = new MutationObserver(draw);
  watch.observe(document.body, { attributeFilter: ["class"] });
  if ($("waiting")) watch.observe($("waiting"), { attributes: true, characterData: true, childList: true, subtree: true });
}
