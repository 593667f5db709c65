// The icon of the tab: how many decisions wait, or that the page is no longer fed.

import { $ } from "./page.js";

const link = document.querySelector("link[rel=icon]"), first = link?.getAttribute("href");
const shown = () => ($("waiting") && !$("waiting").hidden ? $("waiting").textContent : "0");
const began = shown();

function draw() {
  const n = shown();
  let href = first;
  if (document.body.classList.contains("stale-page")) href = "/static/favicon-stale.svg";
  else if (n !== began) href = `/static/favicon${n === "0" ? ($("faults") ? "-fault" : "") : n > 9 ? "-many" : `-${n}`}.svg`;
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
}

if (link) {
  const watch = new MutationObserver(draw);
  watch.observe(document.body, { attributeFilter: ["class"] });
  if ($("waiting")) watch.observe($("waiting"), { attributes: true, characterData: true, childList: true, subtree: true });
}
