// The stream that keeps a page up to date, from the cursor that was read together with the page.
//
// Over HTTP/1.1 a browser opens six connections to a host, and each stream keeps one. So of all pages of a browser only
// STREAMS hold one at a time, the others ask every few seconds by the same protocol, and a hidden page lets go of it.

import { $, parse, say, unescape } from "./page.js";
import { selecting, ticking } from "./held.js";
import { children, patch } from "./patch.js";
import { rough, serverNow, setSkew, times } from "./times.js";

const SILENCE_MAX = 25000, PAUSE_MIN = 500, PAUSE_MAX = 15000, STREAMS = 3, ASK = 3000, BADGE = 30000;
// Where pages cannot agree on who streams, only those that are looked at do.
const HIDDEN_MAX = navigator.locks ? 20000 : 0;
const air = new BroadcastChannel("live");
let address = document.body.dataset.live ? new URL(document.body.dataset.live, location.href) : null;
let stream = null, release = null, attempt = 0, since = 0, heard = Date.now(), pause = PAUSE_MIN, fatal = 0;
let state = "", timer = 0, hiding = 0, well = true;
let asOf = $("live-word")?.querySelector("time")?.textContent ?? "";

const clock = (ms) => new Date(ms).toISOString().slice(11, 19);

function word() {
  const line = $("live-word");
  if (!line || !address) return;
  let text, stale = true;
  if (state === "gone") {
    if (!line.querySelector("[href^='/login']")) {
      const link = document.createElement("a");
      link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
      link.textContent = "Sign in again";
      line.replaceChildren(`Signed out · data from ${asOf} UTC · `, link);
    }
  } else if (state === "live" && !well) {
    text = `The database does not answer · data from ${asOf} UTC`;
  } else if (state === "live") {
    text = selecting() ? "Paused (you are selecting)" : ticking() ? "List paused (rows are ticked)" : `Live · ${rough(Math.floor((Date.now() - heard) / 1000))}`;
    stale = false;
  } else if (state) {
    text = `Reconnecting · data from ${asOf} UTC`;
    stale = state === "rest" ? !well : Date.now() - heard > 3000;
  } else return;
  if (text && line.textContent !== text) line.textContent = text;
  line.classList.toggle("stale", stale);
  document.body.classList.toggle("stale-page", stale);
}

function become(next) {
  if (state === next) return;
  const before = state;
  state = next;
  if (before === "live" && next === "lost") say("Connection lost, reconnecting");
  if (before === "lost" && next === "live") say("Live again");
  if (next === "gone") say("You are signed out");
  word();
}

function stop() {
  clearTimeout(timer);
  attempt++;
  stream?.close();
  release?.();
  stream = release = null;
}

// A place among the streams of this browser, as what gives it back; nothing when all are taken.
async function take() {
  if (!navigator.locks) return () => {};
  for (let n = 0; n < STREAMS; n++) {
    const free = await new Promise((got) => {
      navigator.locks.request(`live-${n}`, { ifAvailable: true }, (lock) => lock ? new Promise(got) : got());
    });
    if (free) return free;
  }
  air.postMessage("a page that is looked at has no stream");
  return null;
}

async function connect() {
  stop();
  if (!address) return;
  const mine = attempt;
  const free = await take();
  if (mine !== attempt) return free?.();
  release = free;
  since = Date.now();
  address.searchParams.set("once", free ? "no" : "yes");
  address.searchParams.set("paused", $("paused")?.childElementCount ? "yes" : "no");
  const source = (stream = new EventSource(address));
  const on = (name, act) => source.addEventListener(name, (event) => {
    if (source !== stream) return;
    heard = Date.now();
    pause = PAUSE_MIN;
    fatal = 0;
    asOf = clock(serverNow());
    become("live");
    act(event);
  });
  on("patch", (event) => {
    patch(JSON.parse(event.data));
    if (event.lastEventId) address.searchParams.set("after", event.lastEventId);
  });
  on("tick", (event) => {
    const { now, database } = JSON.parse(event.data);
    setSkew(Date.parse(now) - Date.now());
    if (well || database) asOf = clock(Date.parse(now));
    well = database;
    times();
    word();
    if (release) return;
    stop();
    timer = setTimeout(connect, ASK);
  });
  on("resync", resync);
  on("gone", () => { stop(); become("gone"); });
  source.onerror = () => { if (source === stream) lose(source.readyState === EventSource.CLOSED); };
}

async function lose(isFatal) {
  stop();
  const mine = attempt;
  become("lost");
  // An answer that is no stream: ask whether we are still signed in.
  if (isFatal && ++fatal % 3 === 2 && (await ask()) === null) return become("gone");
  if (mine !== attempt) return;
  timer = setTimeout(connect, pause * (0.5 + Math.random() / 2));
  pause = Math.min(pause * 2, PAUSE_MAX);
}

// What a tab shows of itself; null when we are signed out, undefined when nobody answers.
async function ask() {
  try {
    const answer = await fetch("/live/badge", { headers: { accept: "application/json" } });
    return answer.status === 401 ? null : await answer.json();
  } catch { /* the next try tells */ }
}

// Nobody looks: no stream, only the number in the tab.
async function rest() {
  stop();
  const mine = attempt;
  state = "rest";
  const told = await ask();
  if (mine !== attempt) return;
  if (told === null) return become("gone");
  if (told?.database) patch({ target: "waiting", mode: "count", html: String(told.waiting) });
  well = Boolean(told?.database);
  word();
  timer = setTimeout(rest, BADGE);
}

async function resync() {
  stop();
  const mine = attempt;
  try {
    const answer = await fetch(location.href);
    if (answer.status >= 500) throw new Error();
    const html = await answer.text();
    if (mine !== attempt) return;
    if (answer.url.includes("/login?")) return become("gone");
    const main = parse(html).querySelector("main");
    const live = answer.ok && /data-live="([^"]*)"/.exec(html);
    if (!main || !live) return location.reload();
    children($("main"), main);
    address = new URL(unescape(live[1]), location.href);
    connect();
  } catch {
    if (mine === attempt) lose(false);
  }
}

// A connection that was open before may be dead without a word.
function again() {
  clearTimeout(hiding);
  pause = PAUSE_MIN;
  connect();
}

if (address) {
  if (document.hidden) rest();
  else connect();
  setInterval(() => {
    if (stream && Date.now() - Math.max(heard, since) > SILENCE_MAX) lose(false);
    word();
  }, 1000);
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(rest, HIDDEN_MAX);
    else again();
  });
  air.onmessage = () => { if (document.hidden && release) rest(); };
  addEventListener("pageshow", (event) => { if (event.persisted) again(); });
  addEventListener("pagehide", stop);
  addEventListener("online", again);
}
