// An output that grows is followed only while the person is at its end; and ids that are copied by one press.

const followed = new WeakSet();

function follow(log) {
  followed.add(log);
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
    const more = log.childElementCount - count;
    const button = jump() ?? document.createElement("button");
    Object.assign(button, { id: "jump", type: "button", className: "news", textContent: `Jump to newest (${more})`, onclick: end });
    if (more > 0 && !button.isConnected) log.after(button);
  }).observe(log, { childList: true });
}

const look = () => { for (const log of document.querySelectorAll("[data-tail]")) if (!followed.has(log)) follow(log); };
look();
new MutationObserver(look).observe(document.getElementById("step"), { childList: true, subtree: true });

if (navigator.clipboard) {
  document.body.classList.add("may-copy");
  addEventListener("click", async ({ target }) => {
    const id = target.dataset?.copy;
    if (!id) return;
    await navigator.clipboard.writeText(document.getElementById(id).textContent);
    target.textContent = "Copied";
  });
}
