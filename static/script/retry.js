// A page that could not be made asks whether it can be now, and comes anew only then, so that nothing flickers.

const seconds = Number(document.querySelector("[data-retry]")?.dataset.retry);
if (seconds) setInterval(async () => {
  try {
    if ((await fetch(location.href, { method: "HEAD" })).status < 500) location.reload();
  } catch { /* the next try tells */ }
}, seconds * 1000);
