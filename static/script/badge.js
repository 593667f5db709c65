// The title of the tab: how many decisions wait for this person, or that nothing was heard for a while.

import { $ } from "./page.js";

const title = document.title;

export function badge(stale) {
  const waiting = Number($("waiting")?.textContent) || 0;
  const mark = stale ? "?" : waiting;
  const text = mark ? `(${mark}) ${title}` : title;
  if (document.title !== text) document.title = text;
}

badge();
