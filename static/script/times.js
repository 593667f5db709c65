// Distances in time, kept up by the server's clock.

// The server's clock less ours, in milliseconds: first by when it made this page, then by what the stream says.
let skew = Date.parse(document.body.dataset.made) - performance.timeOrigin - (performance.getEntriesByType("navigation")[0]?.responseStart ?? 0) || 0;

export const serverNow = () => Date.now() + skew;
export const setSkew = (ms) => { skew = ms; };

export function rough(s) {
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

export function times() {
  const now = serverNow();
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const s = Math.trunc((Date.parse(time.dateTime) - now) / 1000);
    const text = Math.abs(s) < 2 ? "now" : s < 0 ? `${rough(-s)} ago` : `in ${rough(s)}`;
    if (time.textContent !== text) time.textContent = text;
  }
  clocks();
}

// What is left, second by second.
function left() {
  for (const time of document.querySelectorAll("time[data-left]")) {
    const s = Math.floor((Date.parse(time.dateTime) - serverNow()) / 1000);
    const text = s <= 0 ? "over" : s < 3600 ? `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` : rough(s);
    if (time.textContent !== text) time.textContent = text;
  }
}

// The clock of this device behind that of everybody, for those who want it; on its own it would be read as UTC.
export function clocks() {
  const both = document.documentElement.dataset.clocks === "both" && new Date().getTimezoneOffset();
  for (const time of document.querySelectorAll("time[datetime]:not([data-here])")) {
    const here = new Date(time.dateTime).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    time.title += ` · ${here}`;
    time.dataset.here = both && !("relative" in time.dataset) ? here.replace(/.*, /, "") : "";
  }
}

times();
clocks();
setInterval(times, 5000);
setInterval(left, 1000);
