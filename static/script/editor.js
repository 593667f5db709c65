// The editor of runbooks: line numbers, a check while one types, messages that move the caret, drafts. Without it the
// buttons do the same.

import { $, parse, say } from "./muster.js";

const LINE = 24; // height of a line, as in the style sheet
const form = $("editor"), field = $("yaml");
const address = form.getAttribute("action");
const gutter = document.createElement("pre");
gutter.setAttribute("aria-hidden", "true");
field.before(gutter);
field.wrap = "off";
let kept = "unsaved" in form.dataset ? null : field.value; // the text as it was saved last
let timer, asked, walked = -1;

const body = () => new URLSearchParams(new FormData(form));
const note = (words) => { $("unsaved").textContent = words; };

function number() {
  const lines = field.value.split("\n").length;
  if (gutter.dataset.lines !== `${lines}`) {
    gutter.dataset.lines = lines;
    gutter.textContent = Array.from({ length: lines }, (_, i) => i + 1).join("\n");
  }
  gutter.scrollTop = field.scrollTop;
}

async function check() {
  asked?.abort();
  asked = new AbortController();
  try {
    const answer = await fetch(`${address}/check`, { method: "POST", body: body(), signal: asked.signal });
    if (!answer.ok || answer.redirected) throw new Error();
    const fresh = parse(await answer.text());
    for (const id of ["messages", "replay", "preview"]) {
      const next = fresh.getElementById(id), now = $(id);
      // Steps that cannot be read just now stay as they were; nothing is taken from under the focus.
      if (id === "preview" && !next.querySelector(".steps") && now.querySelector(".steps")) $("preview-head").textContent = "Steps of your last text without errors";
      else if (!now.contains(document.activeElement)) now.replaceWith(next);
    }
  } catch (error) {
    if (error.name !== "AbortError") note("Not checked: Muster did not answer.");
  }
}

async function save() {
  const text = field.value, sent = body();
  sent.set("do", "save");
  try {
    const answer = await fetch(address, { method: "POST", body: sent });
    // Whoever has been signed out is led elsewhere.
    if (!answer.ok || !new URL(answer.url).searchParams.has("draft")) throw new Error();
    kept = text;
    note(`Draft saved ${new Date().toISOString().slice(11, 19)} UTC`);
  } catch {
    note("Not saved: Muster did not keep it. Your text is still here.");
  }
}

function go(link) {
  const [line, column] = link.dataset.at.split(":").map(Number);
  const lines = field.value.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  const at = before + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
  field.focus();
  field.setSelectionRange(at, at);
  field.scrollTop = (line - 8) * LINE;
  say(link.parentElement.innerText.split("\n")[0]);
}

function indent(by) {
  const start = field.value.lastIndexOf("\n", field.selectionStart - 1) + 1, end = field.selectionEnd;
  const lines = field.value.slice(start, end).split("\n");
  field.setRangeText(lines.map((text) => (by > 0 ? `  ${text}` : text.replace(/^ {1,2}/, ""))).join("\n"), start, end, lines.length > 1 ? "select" : "end");
  field.dispatchEvent(new Event("input"));
}

field.addEventListener("input", () => {
  number();
  note(field.value === kept ? "" : "Not saved");
  clearTimeout(timer);
  timer = setTimeout(check, 400);
});
// The text of a file takes the place of what is there; nothing is sent before somebody says so.
const file = $("file");
if (file) {
  file.hidden = false;
  file.addEventListener("change", async () => {
    const [picked] = file.querySelector("input").files;
    if (!picked) return;
    if (picked.size > field.maxLength) return note(`Not taken: ${picked.name} is too long for a runbook.`);
    field.value = await picked.text();
    field.dispatchEvent(new Event("input"));
    say(`${picked.name} is in the field now`);
  });
}
field.addEventListener("scroll", number);
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-at]");
  if (!link) return;
  event.preventDefault();
  go(link);
});
addEventListener("keydown", (event) => {
  const control = (event.ctrlKey || event.metaKey) && !event.altKey;
  if (control && event.key === "s") save();
  else if (control && event.target === field && "[]".includes(event.key)) indent(event.key === "]" ? 1 : -1);
  else if (event.key === "F8") {
    const links = document.querySelectorAll("[data-at]");
    if (!links.length) return say("No messages");
    walked = (Math.max(walked, event.shiftKey ? 0 : -1) + (event.shiftKey ? -1 : 1) + links.length) % links.length;
    go(links[walked] ?? links[0]);
  } else return;
  event.preventDefault();
});
// Browsers ask nobody who has not touched the page.
addEventListener("beforeunload", (event) => {
  if (field.value !== kept && !form.dataset.sent && navigator.userActivation?.hasBeenActive !== false) event.preventDefault();
});
number();
