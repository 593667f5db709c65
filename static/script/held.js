// What the person holds in their hands: the focus, a field they changed, a ticked row, a selection. Nothing takes it away.

import { $ } from "./page.js";

export const TEXT = "input:not([type=hidden]), textarea, select";

export function dirty(field) {
  if (field.type === "radio" || field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return [...field.options].some((o, i) => o.selected !== (o.defaultSelected || (i === 0 && !field.querySelector("[selected]"))));
  return field.value !== field.defaultValue;
}

export const held = (field) => field === document.activeElement || dirty(field);

export const focused = (node) => document.activeElement !== document.body && node.contains(document.activeElement);

export const typed = (node) => (node.matches(TEXT) && dirty(node)) || [...node.querySelectorAll(TEXT)].some(dirty);

// Rows with a tick do not move under the thumb.
export const ticked = (part) => [...part.querySelectorAll(":is(li, tr) input[type=checkbox]")].some(dirty);

// Rows that somebody ticked: their list stays as it is until nothing is ticked.
export const ticking = () => $("list")?.querySelector("input:checked");

export const selecting = () => {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && $("main")?.contains(selection.anchorNode);
};
