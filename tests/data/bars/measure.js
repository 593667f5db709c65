// What a rule cannot tell and a ruler can. Runs inside the page; `arguments[0]` says what is asked.
const asked = arguments[0];
const shown = (node) => {
  const box = node.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && getComputedStyle(node).visibility !== "hidden" && !node.closest(".sr, .skip");
};
const name = (node) => `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""} "${(node.textContent || node.name || "").trim().replace(/\s+/g, " ").slice(0, 40)}"`;
const found = [];

if (asked.unfold) for (const details of document.querySelectorAll("main details")) details.open = true;
if (asked.double) {
  // Text of twice the size, as a person sets it who sees badly, and nothing else of twice the size.
  const sizes = [...document.body.querySelectorAll("*")].map((node) => [node, parseFloat(getComputedStyle(node).fontSize)]);
  for (const [node, size] of sizes) node.style.fontSize = `${size * 2}px`;
}

const root = document.documentElement;
const over = root.scrollWidth - root.clientWidth;
if (over > 0) {
  const wide = [...document.querySelectorAll("body *")].filter((node) => node.getBoundingClientRect().right > root.clientWidth + 1).pop();
  found.push(`hangs over by ${over} px${wide ? `: ${name(wide)}` : ""}`);
}

if (asked.targets) {
  for (const node of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    if (!shown(node)) continue;
    // A tap on its label is a tap on it.
    const boxes = [node, ...(node.labels ?? [])].map((part) => part.getBoundingClientRect());
    const height = Math.max(...boxes.map((box) => box.height));
    const width = Math.max(...boxes.map((box) => box.width));
    // A link inside a sentence may be as high as its line.
    const inline = node.tagName === "A" && getComputedStyle(node).display === "inline" && node.parentElement.textContent.trim() !== node.textContent.trim();
    if (!inline && (height < 23.5 || width < 23.5)) found.push(`target of ${Math.round(width)} × ${Math.round(height)} px: ${name(node)}`);
    if (asked.actions && node.matches("main button, main .button, main input[type=submit]") && height < 43.5) found.push(`action ${Math.round(height)} px high: ${name(node)}`);
  }
}

for (const { name: address } of performance.getEntriesByType("resource")) {
  if (new URL(address).host !== location.host) found.push(`asks another host: ${address}`);
}
if (asked.targets) {
  if (document.querySelectorAll("h1").length !== 1) found.push(`${document.querySelectorAll("h1").length} h1`);
  if (document.querySelector("[style]:not(body *)")) found.push("a style attribute");
}
return found;
