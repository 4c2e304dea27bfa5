// Making elements. Text always goes in as text, never as markup, because results come from anywhere.

const SVG = "http://www.w3.org/2000/svg";

const worthShowing = (children) => children.flat(Infinity).filter((child) => child ?? false);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...worthShowing(children));
  return element;
}

/** An HTML element: h("a", {href, onclick}, "text", child, [children]). */
const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);

/** An SVG element. */
const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

const icon = (outcome) => s("svg", {class: "icon", "aria-hidden": "true"}, s("use", {href: `#icon-${outcome}`}));

const tag = (outcome) => h("span", {class: `tag o-${outcome}`}, icon(outcome), outcomes.get(outcome).label);

/** A link to the web if the address is one, else its text. */
const webLink = (address, text = address) =>
  /^https?:\/\//.test(address) ? h("a", {href: address, rel: "noreferrer"}, text) : h("span", {}, text);

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** Seconds in the unit that suits them: "0.4 ms", "41 ms", "1.41 s". */
function span(seconds) {
  if (Math.abs(seconds) >= 1) return `${seconds.toFixed(2)} s`;
  if (!seconds) return "0 s";
  const milliseconds = seconds * 1000;
  return `${Math.abs(milliseconds) < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

function announce(text) {
  document.getElementById("announce").textContent = text;
}
