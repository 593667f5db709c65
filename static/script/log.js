// The page of a step. Its output is followed only while the person is at its end; ids are copied by one press; and `[` and
// `]` lead to the attempt before and after, where other pages have sections.
//
// New lines arrive in #log-news, as the stream brings them, and are taken from there: the lines that somebody reads stay
// where they are. The page holds LINES_MAX of them; the others are a link away, and fetched when it is used.

import { $, parse, pressed } from "./muster.js";

const LINES_MAX = 2000, LINES_CUT = 1500; // cut now and then, and then more than needed: each cut moves all of them
const number = (line) => Number(line.id.slice(1));
const grouped = (n) => n.toLocaleString("en-GB");
const lines = (part) => [...part.querySelectorAll(":scope > [id]")];
const first = () => number(log.querySelector(":scope > [id]") ?? { id: "L0" });
const last = () => (log.lastElementChild?.id ? number(log.lastElementChild) : number(lines(log).at(-1) ?? { id: "L0" }));
let log = null, news = null;
let atEnd = false; // new lines are to be shown as they come
let whole = true; // the last line here is the newest one
let newest = 0, seen = 0; // the newest line of all, and the newest one when the person left the end

const end = () => { log.scrollTop = log.scrollHeight; };

// The words and links around the lines.
function told() {
  log.hidden = !log.childElementCount;
  if (log.hidden || !log.hasAttribute("data-tail")) return;
  const from = first(), to = last(), earlier = $("earlier"), range = $("log-range");
  const words = from > 1 || to < newest ? `lines ${grouped(from)} to ${grouped(to)} of ${grouped(newest)}` : `${grouped(newest)} line${newest === 1 ? "" : "s"}`;
  if (range && range.textContent !== words) range.textContent = words;
  if (earlier) {
    const address = new URL(earlier.href);
    address.searchParams.set("to", from - 1);
    earlier.href = address;
    earlier.textContent = `Earlier ${Math.min(from - 1, 500)}`;
    earlier.hidden = from <= 1;
  }
}

function offer() {
  const more = newest - seen;
  let jump = $("jump");
  if (atEnd || more <= 0) return jump?.remove();
  if (!jump) {
    jump = document.createElement("button");
    Object.assign(jump, { id: "jump", type: "button", className: "news", onclick: toEnd });
    log.after(jump);
  }
  jump.textContent = `Jump to newest (${grouped(more)})`;
}

// What another window of the output looks like.
async function get(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(answer.status);
  return parse(await answer.text()).getElementById("lines");
}

function place(own) {
  log.replaceChildren(...own.childNodes);
  newest = Math.max(newest, last());
  whole = last() === newest;
}

async function toEnd() {
  if (!whole) {
    const address = new URL(location.href);
    address.searchParams.set("attempt", $("log").dataset.attempt);
    try { place(await get(address)); } catch { return location.reload(); }
  }
  atEnd = true;
  end();
  told();
  offer();
}

function take() {
  const come = lines(news).sort((a, b) => number(a) - number(b));
  news.replaceChildren();
  if (!come.length) return;
  newest = Math.max(newest, number(come.at(-1)));
  const after = last();
  const fresh = come.filter((line) => number(line) > after);
  for (const line of fresh) line.classList.remove("fresh");
  const joins = fresh.length && number(fresh[0]) === after + 1;
  if (!after) atEnd = true;
  if (fresh.length && atEnd) {
    // More came than a page is sent: it begins anew at the end.
    if (!joins) log.replaceChildren();
    log.append(...fresh);
    if (log.childElementCount > LINES_MAX) while (log.childElementCount > LINES_CUT) log.firstElementChild.remove();
  } else if (fresh.length && whole && joins && log.childElementCount + fresh.length <= LINES_MAX) {
    log.append(...fresh);
  } else if (fresh.length) whole = false;
  told();
  if (atEnd) end();
  offer();
}

function look() {
  if ($("lines") === log) return;
  log = $("lines");
  news = $("log-news");
  if (!log) return;
  newest = seen = last();
  whole = true;
  atEnd = log.hasAttribute("data-tail") && !location.hash;
  if (atEnd) end();
  log.addEventListener("scroll", () => {
    if (!log.hasAttribute("data-tail")) return;
    const was = atEnd;
    atEnd = whole && log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    if (was && !atEnd) seen = newest;
    offer();
  });
  new MutationObserver(take).observe(news, { childList: true });
  new MutationObserver(told).observe($("log-top"), { childList: true });
}
look();
new MutationObserver(look).observe($("output"), { childList: true });

addEventListener("click", async (event) => {
  const link = event.target.closest?.("#earlier");
  if (!link || !log?.hasAttribute("data-tail") || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  let own;
  try { own = await get(link.href); } catch { return location.assign(link.href); }
  const top = log.firstElementChild, before = log.scrollHeight - log.scrollTop;
  const nodes = [...own.children].filter((line) => !line.id || !$(line.id));
  top.before(...nodes);
  atEnd = false;
  seen = newest;
  while (log.childElementCount > LINES_MAX) {
    log.lastElementChild.remove();
    whole = false;
  }
  // The lines that were there stay, with the end of the earlier ones in sight above them.
  log.scrollTop = Math.max(0, log.scrollHeight - before - log.clientHeight / 2);
  told();
  offer();
});

addEventListener("keydown", (event) => {
  const key = pressed(event);
  if ((key !== "[" && key !== "]") || !$("attempts")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  document.querySelector(`[data-key="${key}"]`)?.click();
}, true);

if (navigator.clipboard) {
  document.body.classList.add("may-copy");
  addEventListener("click", async ({ target }) => {
    const id = target.dataset?.copy;
    if (!id) return;
    await navigator.clipboard.writeText($(id).textContent);
    target.textContent = "Copied";
  });
}
