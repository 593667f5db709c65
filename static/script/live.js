// The stream that keeps a page up to date, from the cursor that was read together with the page.

import { $, parse, say, unescape } from "./page.js";
import { selecting, ticking } from "./held.js";
import { children, patch } from "./patch.js";
import { rough, serverNow, setSkew, times } from "./times.js";

const SILENCE_MAX = 25000, HIDDEN_MAX = 20000, PAUSE_MIN = 500, PAUSE_MAX = 15000;
let address = document.body.dataset.live ? new URL(document.body.dataset.live, location.href) : null;
let stream = null, pause = PAUSE_MIN, heard = Date.now(), state = "", timer = 0, hiding = 0, fatal = 0, well = true;
const made = $("live-word")?.querySelector("time")?.textContent ?? "";
let asOf = made;

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
    text = selecting() ? "Paused (you are selecting)" : ticking() ? "List paused (rows are ticked)" : `Live · ${rough(Math.floor((Date.now() - heard) / 1000))}`;
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
  asOf = clock(serverNow());
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
    setSkew(Date.parse(now) - Date.now());
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
    address = new URL(unescape(live[1]), location.href);
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
