// What the person holds in their hands: the focus, a field they changed, a selection. Nothing takes it away.

import { $ } from "./page.js";

export const TEXT = "input:not([type=hidden]), textarea, select";

function dirty(field) {
  if (field.type === "radio" || field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return [...field.options].some((o, i) => o.selected !== (o.defaultSelected || (i === 0 && !field.querySelector("[selected]"))));
  return field.value !== field.defaultValue;
}

export const held = (field) => field === document.activeElement || dirty(field);

export function holds(node) {
  if (node.nodeType !== 1) return false;
  if (node.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (node.matches(TEXT) && held(node)) return true;
  return [...node.querySelectorAll(TEXT)].some(held);
}

// Rows that somebody ticked: their list stays as it is until nothing is ticked.
export const ticking = () => $("list")?.querySelector("input:checked");

export const selecting = () => {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && $("main")?.contains(selection.anchorNode);
};
