// Muster's one script. Every page works without it; it keeps pages up to date and never takes anything from the
// person's hands: no focus, no scroll, no typed text, no selection.

const policy = window.trustedTypes?.createPolicy("live", { createHTML: (html) => html }) ?? { createHTML: (html) => html };
const $ = (id) => document.getElementById(id);

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

/* ---- What the person holds ---- */

const TEXT = "input:not([type=hidden]), textarea, select";

function dirty(field) {
  if (field.type === "radio" || field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") return [...field.options].some((o, i) => o.selected !== (o.defaultSelected || (i === 0 && !field.querySelector("[selected]"))));
  return field.value !== field.defaultValue;
}

const held = (field) => field === document.activeElement || dirty(field);

function holds(node) {
  if (node.nodeType !== 1) return false;
  if (node.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (node.matches(TEXT) && held(node)) return true;
  return [...node.querySelectorAll(TEXT)].some(held);
}

const selecting = () => {
  const selection = document.getSelection();
  return selection && !selection.isCollapsed && $("main")?.contains(selection.anchorNode);
};

/* ---- Changing a part in place ---- */

let kept = 0; // parts that could not be changed because somebody holds them

function morph(from, to) {
  if (from.nodeType === 3) {
    if (from.data !== to.data) from.data = to.data;
    return;
  }
  if (from.nodeType !== 1) return;
  const isField = from.matches("input, textarea, select");
  if (isField && from.type !== "hidden" && held(from)) return;
  // What a form says the person has seen must not change while they work in it.
  if (isField && from.type === "hidden" && from.form && [...from.form.elements].some((f) => f.matches(TEXT) && held(f))) return;
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value && !(name === "open" && from.tagName === "DETAILS")) from.setAttribute(name, value);
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && name !== "open" && name !== "aria-busy") from.removeAttribute(name);
  if (from.tagName === "INPUT" && from.type !== "radio") from.value = to.getAttribute("value") ?? "";
  if (from.tagName === "TEXTAREA") return;
  children(from, to);
}

function children(from, to) {
  const byId = new Map([...from.children].filter((c) => c.id).map((c) => [c.id, c]));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    let match = next.id ? byId.get(next.id) : null;
    if (!match && at && !at.id && !next.id && at.nodeType === next.nodeType && at.tagName === next.tagName) match = at;
    if (!match) {
      from.insertBefore(next, at);
    } else {
      if (match === at) at = at.nextSibling;
      else from.insertBefore(match, at);
      morph(match, next);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    if (holds(gone)) kept++;
    else gone.remove();
  }
}

/* ---- Patches ---- */

let waiting = []; // patches that came while the person was selecting text
let fresh = null; // the newest list, while its new rows wait behind a button

function apply({ target, mode, html }) {
  const part = $(target);
  if (!part) return;
  if (mode === "count") {
    part.textContent = html;
    part.hidden = html === "0";
    return;
  }
  const content = parse(html);
  if (mode === "prepend") {
    const rows = [...content.children].filter((row) => !$(row.id));
    for (const row of rows) row.classList.add("fresh");
    part.prepend(...rows);
    while (part.children.length > 300) part.lastElementChild.remove();
    return;
  }
  if (target === "list" && part.querySelector("ul")) {
    // A new row must not push the one under the thumb away: it waits behind a button.
    const rows = [...content.querySelectorAll("li[id]")].filter((row) => !$(row.id));
    if (rows.length) {
      fresh = html;
      for (const row of rows) row.remove();
      button("news", `${rows.length} new — show`, part, () => {
        children($("list"), parse(fresh));
        fresh = null;
      });
    }
    if (!content.querySelector("li")) return;
  }
  kept = 0;
  children(part, content);
  if (kept) button(`held-${target}`, "This part has changed — show", part, () => location.reload());
}

function button(id, words, before, act) {
  const node = $(id) ?? document.createElement("button");
  node.id = id;
  node.type = "button";
  node.className = "news";
  node.textContent = words;
  node.onclick = () => {
    node.remove();
    act();
  };
  if (!node.isConnected) before.before(node);
  say(words);
}

function patch(data) {
  if (selecting()) waiting.push(data);
  else apply(data);
  times();
}

document.addEventListener("selectionchange", () => {
  if (waiting.length && !selecting()) {
    const patches = waiting;
    waiting = [];
    patches.forEach(apply);
    times();
  }
});

/* ---- Times ---- */

let skew = 0; // the server's clock less ours

function rough(s) {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

function times() {
  const now = Date.now() + skew;
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const s = Math.trunc((Date.parse(time.dateTime) - now) / 1000);
    const text = Math.abs(s) < 2 ? "now" : s < 0 ? `${rough(-s)} ago` : `in ${rough(s)}`;
    if (time.textContent !== text) time.textContent = text;
  }
}

/* ---- The stream ---- */

const SILENCE_MAX = 25000, HIDDEN_MAX = 20000, PAUSE_MIN = 500, PAUSE_MAX = 15000;
let address = document.body.dataset.live ? new URL(document.body.dataset.live, location.href) : null;
let stream = null, pause = PAUSE_MIN, heard = Date.now(), state = "", timer = 0, hiding = 0, fatal = 0, well = true;
const made = $("live-word")?.querySelector("time")?.textContent ?? "";
let asOf = made;

const say = (words) => { if ($("say")) $("say").textContent = words; };
const clock = (ms) => new Date(ms).toISOString().slice(11, 19);

function word() {
  const line = $("live-word");
  if (!line || !address) return;
  let text, stale = false;
  if (state === "gone") {
    if (!line.querySelector("[href^='/login']")) {
      const link = document.createElement("a");
      link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
      link.textContent = "Sign in again";
      line.replaceChildren(`Signed out · data from ${asOf} UTC · `, link);
    }
    document.body.classList.add("stale-page");
    return;
  }
  if (state === "live" && well) {
    text = selecting() ? "Paused (you are selecting)" : `Live · ${rough(Math.floor((Date.now() - heard) / 1000))}`;
  } else if (state === "live") {
    text = `The database does not answer · data from ${asOf} UTC`;
    stale = true;
  } else {
    text = `Reconnecting · data from ${asOf} UTC`;
    stale = Date.now() - heard > 3000;
  }
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("stale", stale);
  document.body.classList.toggle("stale-page", stale);
}

function become(next) {
  if (state === next) return;
  const before = state;
  state = next;
  if (before === "live" && next === "lost") say("Connection lost, reconnecting");
  if (before === "lost" && next === "live") say("Live again");
  word();
}

function hear() {
  heard = Date.now();
  pause = PAUSE_MIN;
  fatal = 0;
  asOf = clock(heard + skew);
  become("live");
}

function stop() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

function connect() {
  stop();
  if (!address || state === "gone" || document.hidden) return;
  address.searchParams.set("paused", $("paused")?.childElementCount ? "yes" : "no");
  const source = (stream = new EventSource(address));
  const on = (name, act) => source.addEventListener(name, (event) => {
    if (source !== stream) return;
    hear();
    act(event);
  });
  on("patch", (event) => {
    patch(JSON.parse(event.data));
    if (event.lastEventId) address.searchParams.set("after", event.lastEventId);
  });
  on("tick", (event) => {
    const { now, database } = JSON.parse(event.data);
    skew = Date.parse(now) - Date.now();
    if (well || database) asOf = clock(Date.parse(now));
    well = database;
    times();
    word();
  });
  on("resync", resync);
  on("gone", () => { stop(); become("gone"); say("You are signed out"); });
  source.onerror = () => { if (source === stream) lose(source.readyState === EventSource.CLOSED); };
}

async function lose(isFatal) {
  stop();
  become("lost");
  if (isFatal && ++fatal % 3 === 2) {
    // An answer that is no stream: ask whether we are still signed in.
    try {
      const answer = await fetch("/live?scope=none", { headers: { accept: "application/json" } });
      if (answer.status === 401) return become("gone");
    } catch { /* the next try tells */ }
  }
  timer = setTimeout(connect, pause * (0.5 + Math.random() / 2));
  pause = Math.min(pause * 2, PAUSE_MAX);
}

async function resync() {
  stop();
  try {
    const answer = await fetch(location.href);
    const html = await answer.text();
    const main = parse(html).querySelector("main");
    const live = answer.ok && /data-live="([^"]*)"/.exec(html);
    if (!main || !live) return location.reload();
    children($("main"), main);
    const next = document.createElement("textarea");
    next.innerHTML = policy.createHTML(live[1]);
    address = new URL(next.value, location.href);
    connect();
  } catch {
    lose(false);
  }
}

if (address) {
  connect();
  setInterval(() => {
    if (stream && Date.now() - heard > SILENCE_MAX) lose(false);
    word();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(() => { stop(); become("lost"); }, HIDDEN_MAX);
    else if (!stream || Date.now() - heard > 12000) { pause = PAUSE_MIN; connect(); }
  });
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  addEventListener("pagehide", stop);
  addEventListener("online", () => { pause = PAUSE_MIN; connect(); });
}
times();
setInterval(times, 5000);

/* ---- Forms: busy while sent, drafts kept until they arrived ---- */

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "1";
  setTimeout(() => { event.submitter?.setAttribute("aria-busy", "true"); }, 400);
  // The server may take its time; a second tap is harmless there, so the form comes back.
  setTimeout(() => { delete form.dataset.sent; event.submitter?.removeAttribute("aria-busy"); }, 15000);
  if (form.dataset.draft) sessionStorage.setItem(`sent:${form.dataset.draft}`, "1");
});
addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

if (document.querySelector("[data-fault]")) {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("sent:")) sessionStorage.removeItem(key);
}
for (const form of document.querySelectorAll("form[data-draft]")) {
  const key = `draft:${form.dataset.draft}`;
  const field = form.querySelector("textarea");
  if (sessionStorage.getItem(`sent:${form.dataset.draft}`)) {
    sessionStorage.removeItem(`sent:${form.dataset.draft}`);
    sessionStorage.removeItem(key);
  }
  if (!field.value) field.value = sessionStorage.getItem(key) ?? "";
  field.addEventListener("input", () => sessionStorage.setItem(key, field.value));
  field.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit(); });
}

/* ---- Keys: letters only move, but for `a`, which acknowledges and can be taken back by nobody's harm ---- */

const PLACES = { i: "/incidents", a: "/approvals", r: "/runbooks", d: "/deliveries", s: "/system" };
let going = 0, focused = 0;
addEventListener("focusin", () => { focused = Date.now(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const key = event.key;
  if (Date.now() - going < 1500 && PLACES[key]) { location.href = PLACES[key]; return; }
  going = 0;
  const rows = [...document.querySelectorAll(".incidents > li > a")];
  const at = rows.indexOf(document.activeElement);
  if (key === "g") going = Date.now();
  else if (key === "j") rows[Math.min(at + 1, rows.length - 1)]?.focus();
  else if (key === "k") rows[Math.max(at - 1, 0)]?.focus();
  else if (key === "a" && Date.now() - focused > 1000) document.querySelector("[data-key=a]")?.click();
  else if (key === "p") (document.querySelector("[data-key=p]") ?? document.querySelector("#decisions .button, #decisions button"))?.focus();
  else if (key === "n") document.querySelector("[data-draft] textarea")?.focus();
  else return;
  event.preventDefault();
});
