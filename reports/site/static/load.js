// Data of the site, each piece by itself: a file is a script that hands its value over, by its name.

const root = document.body.dataset.root;
const awaited = new Map();

window.arrived = (name, value) => awaited.get(name)?.done(value);

/** The value of a file of the folder `data`. */
function load(name) {
  if (!awaited.has(name)) {
    const entry = {};
    entry.value = new Promise((done, failed) => {
      entry.done = done;
      const script = h("script", {src: `${root}data/${name}.js`, onerror: () => failed(new Error(`data/${name}.js cannot be read`))});
      document.head.append(script);
    });
    awaited.set(name, entry);
  }
  return awaited.get(name).value;
}

/** The address has the filter: what it says, and another filter put there. */
const asked = () => new URLSearchParams(location.search);

function putInAddress(wanted) {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

/** A select for each of some words, with the values there are; `changed` is told of all that are chosen. */
function selects(box, choices, changed) {
  const query = asked();
  const made = new Map(choices.map(([key, label, values]) => {
    const options = values.map((value) => h("option", {value}, value));
    const select = h("select", {id: `filter-${key}`, onchange: edited}, h("option", {value: ""}, "all"), options);
    select.value = values.includes(query.get(key)) ? query.get(key) : "";
    return [key, [label, select]];
  }));
  function edited() {
    const wanted = Object.fromEntries([...made].map(([key, [, select]]) => [key, select.value]));
    putInAddress(wanted);
    changed(wanted);
  }
  box.replaceChildren(h("div", {class: "fields-row"}, [...made].map(([key, [label, select]]) =>
    h("label", {for: `filter-${key}`}, h("span", {}, label), select))));
  box.hidden = false;
  changed(Object.fromEntries([...made].map(([key, [, select]]) => [key, select.value])));
}

const sortedValues = (values) => [...new Set(values)].sort();

/** A play in words, with when it was. */
const playName = (play) => `${play.label}, ${play.cells.toLocaleString("en")} cells`;
