// The gate: no decision while offline or by evidence that has grown old, and none that nobody knows the fate of.

import { $, parse, say } from "./muster.js";

const form = document.querySelector("form.decision");
if (form) {
  const buttons = [...form.querySelectorAll("button:enabled")].map((button) => [button, button.textContent]);
  let isOld = false;
  const look = () => {
    for (const [button, words] of buttons) {
      button.disabled = !navigator.onLine || (isOld && button.value === "approve");
      button.textContent = navigator.onLine ? words : "Offline";
    }
  };
  addEventListener("online", look);
  addEventListener("offline", look);
  look();

  const hold = form.querySelector("#hold[data-in]");
  if (hold) setTimeout(() => {
    isOld = true;
    hold.hidden = false;
    say(hold.firstChild.textContent);
    look();
  }, hold.dataset.in);

  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    const fields = new URLSearchParams(new FormData(form, event.submitter));
    for (const [button] of buttons) button.disabled = true;
    send(fields, event.submitter?.value === "reject" ? "rejection" : "approval");
  });
}

// The same operation is asked again until an answer comes: the server does it once.
async function send(fields, what) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields });
    if (answer.ok) return location.replace(answer.url);
    const main = parse(await answer.text()).querySelector("main");
    if (!main) return form.submit();
    $("main").replaceChildren(...main.childNodes);
    scrollTo(0, 0);
  } catch {
    const words = `We do not know if your ${what} arrived — checking`;
    const fault = $("fate") ?? document.createElement("p");
    Object.assign(fault, { id: "fate", className: "warning", textContent: words });
    form.prepend(fault);
    say(words);
    setTimeout(() => send(fields, what), 2000);
  }
}
