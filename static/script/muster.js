// Muster's script. Every page works without it; it keeps pages up to date and never takes anything from the person's
// hands: no focus, no scroll, no typed text, no selection.

import "./live.js";
import "./forms.js";
import "./keys.js";
import "./list.js";
import "./icon.js";

// For scripts of single pages.
export { $, parse, say } from "./page.js";
export { pressed } from "./keys.js";

// Printing needs a script, so its buttons appear with one.
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.onclick = () => print();
}

// What only some pages need.
if (document.querySelector("form.decision")) import("./gate.js");
if (document.getElementById("step")) import("./log.js");
if (document.querySelector("[data-retry]")) import("./retry.js");
