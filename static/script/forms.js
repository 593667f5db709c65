// Forms: busy while they are sent, drafts kept until they arrived.

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
