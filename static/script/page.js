// The page itself: finding a part, making parts of what the server sent, and the one line that is read aloud.

const policy = window.trustedTypes?.createPolicy("live", { createHTML: (html) => html }) ?? { createHTML: (html) => html };

export const $ = (id) => document.getElementById(id);

// What the server rendered, as nodes; the server has escaped whatever came from outside.
export function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

export function unescape(text) {
  const field = document.createElement("textarea");
  field.innerHTML = policy.createHTML(text);
  return field.value;
}

export const say = (words) => { if ($("say")) $("say").textContent = words; };
