// An output that grows is followed only while the person is at its end; and ids that are copied by one press.

const follow = (log) => {
  let atEnd = true, count = log.childElementCount;
  const end = () => { log.scrollTop = log.scrollHeight; };
  const jump = () => document.getElementById("jump");
  if (!location.hash) end();
  log.addEventListener("scroll", () => {
    atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
    if (atEnd) { count = log.childElementCount; jump()?.remove(); }
  });
  new MutationObserver(() => {
    if (atEnd) return end();
    const button = jump() ?? document.createElement("button");
    Object.assign(button, { id: "jump", type: "button", className: "news", textContent: `Jump to newest (${log.childElementCount - count})`, onclick: end });
    if (log.childElementCount > count && !button.isConnected) log.after(button);
  }).observe(log, { childList: true });
};

const ready = () => {
  for (const log of document.querySelectorAll("[data-tail]:not([data-followed])")) { log.dataset.followed = ""; follow(log); }
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = !navigator.clipboard;
};
addEventListener("click", async ({ target }) => {
  const id = target.dataset?.copy;
  if (!id) return;
  await navigator.clipboard.writeText(document.getElementById(id).textContent);
  target.textContent = "Copied";
});
ready();
const step = document.getElementById("step");
if (step) new MutationObserver(ready).observe(step, { childList: true, subtree: true });
