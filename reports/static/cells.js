// The list of cells with its filters. Rows look as templates/parts.html.j2 writes them.

const SELECTS = [["client", "Client"], ["broker", "Broker"], ["mqtt", "Version"], ["transport", "Transport"], ["area", "Area"], ["defect", "Defect"]];
const BATCH = 200;

const cellLink = (cell) => `#cell/${cell.id.split("/").map(encodeURIComponent).join("/")}`;

class CellList {
  /** `index` holds all cells in reading order; `changed(query)` is told when the reader changes a filter. */
  constructor(index, changed) {
    this.index = index;
    this.changed = changed;
    this.box = document.getElementById("filters");
    this.list = document.getElementById("list");
    this.heading = document.getElementById("cells-heading");
    for (const cell of index) cell.text = [cell.id, cell.title, cell.reason, cell.known ?? "", ...cell.cites].join("\n").toLowerCase();
    this.build();
    this.apply(new URLSearchParams());
  }

  build() {
    const choices = new Map(SELECTS.map(([key]) => [key, choicesOf(this.index, key)]).filter(([key, values]) => key !== "defect" || values.length));
    this.selects = new Map([...choices].map(([key, values]) => {
      const options = values.map((value) => h("option", {value}, key === "defect" ? `${value}. ${metadata.defects[value - 1]}` : value));
      return [key, h("select", {id: `filter-${key}`, onchange: () => this.edited()}, h("option", {value: ""}, "all"), options)];
    }));
    this.input = h("input", {type: "search", id: "filter-text", placeholder: "scenario, reason, statement …", oninput: () => this.edited()});
    this.chips = h("div", {class: "chips", role: "group", "aria-label": "verdicts shown"});
    this.box.replaceChildren(
      h("div", {class: "fields-row"},
        SELECTS.filter(([key]) => choices.has(key)).map(([key, label]) => h("label", {for: `filter-${key}`}, h("span", {}, label), this.selects.get(key))),
        h("label", {for: "filter-text", class: "grow"}, h("span", {}, "Text"), this.input)),
      this.chips);
    this.box.hidden = false;
  }

  /** Take the filters of a link; without any, show what needs a look. */
  apply(query) {
    for (const [key, select] of this.selects) select.value = query.get(key) ?? "";
    this.input.value = query.get("text") ?? "";
    const named = query.get("verdict");
    const loud = metadata.outcomes.filter((outcome) => !outcome.quiet).map((outcome) => outcome.id);
    const everything = named === "all" || (named === null && query.size);
    this.shown = new Set(everything ? outcomes.keys() : named?.split(",") ?? loud);
    this.draw();
  }

  edited() {
    this.draw();
    this.changed(this.query());
  }

  /** The filters as a link has them. */
  query() {
    const query = new URLSearchParams();
    for (const [key, select] of this.selects) if (select.value) query.set(key, select.value);
    if (this.input.value) query.set("text", this.input.value);
    if (this.shown.size < outcomes.size) query.set("verdict", [...this.shown].join(","));
    else if (!query.size) query.set("verdict", "all");
    return query;
  }

  /** Cells that pass all filters but the verdict's. */
  candidates() {
    const wanted = [...this.selects].filter(([, select]) => select.value);
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    return this.index.filter((cell) =>
      wanted.every(([key, select]) => String(cell[key]) === select.value) && words.every((word) => cell.text.includes(word)));
  }

  draw() {
    const candidates = this.candidates();
    this.matching = candidates.filter((cell) => this.shown.has(cell.outcome));
    this.drawChips(candidates);
    const loudOnly = [...this.shown].every((id) => !outcomes.get(id)?.quiet);
    this.heading.textContent = loudOnly ? "What needs a look" : "Cells";
    this.list.replaceChildren();
    this.drawn = 0;
    this.group = null;
    if (this.matching.length) this.more();
    else this.list.append(h("p", {class: "empty"}, this.emptyWords(candidates)));
    announce(`${plural(this.matching.length, "cell")} listed`);
  }

  emptyWords(candidates) {
    if (!this.index.length) return "Nothing ran.";
    if (!candidates.length) return "No cell is like this.";
    const hidden = plural(candidates.length, "cell");
    return candidates.length === this.index.length && this.shown.size
      ? `Nothing needs a look: none of the ${hidden} failed.`
      : `None of the ${hidden} here came to what is chosen above.`;
  }

  drawChips(candidates) {
    const counts = Map.groupBy ? Map.groupBy(candidates, (cell) => cell.outcome) : groupBy(candidates, (cell) => cell.outcome);
    const present = metadata.outcomes.filter((outcome) => this.index.some((cell) => cell.outcome === outcome.id));
    const all = present.every((outcome) => this.shown.has(outcome.id));
    this.chips.replaceChildren(
      h("button", {type: "button", class: "chip all", "aria-pressed": String(all), onclick: () => this.toggleAll(all)}, "everything"),
      ...present.map(({id, label, meaning}) => h("button", {
        type: "button", class: `chip o-${id}`, title: meaning, "aria-pressed": String(this.shown.has(id)), onclick: () => this.toggle(id),
      }, icon(id), label, h("span", {class: "count"}, (counts.get(id)?.length ?? 0).toLocaleString("en")))));
  }

  toggle(id) {
    if (this.shown.has(id)) this.shown.delete(id);
    else this.shown.add(id);
    this.keepFocus(() => this.edited());
  }

  toggleAll(all) {
    this.shown = new Set(metadata.outcomes.filter((outcome) => !all || !outcome.quiet).map((outcome) => outcome.id));
    this.keepFocus(() => this.edited());
  }

  /** The chips are drawn anew; the keyboard stays on the one that was pressed. */
  keepFocus(change) {
    const place = [...this.chips.children].indexOf(document.activeElement);
    change();
    if (place >= 0) this.chips.children[place].focus();
  }

  /** The next rows, under a heading for each outcome. */
  more() {
    this.list.querySelector(".more")?.remove();
    const batch = this.matching.slice(this.drawn, this.drawn + BATCH);
    for (const cell of batch) {
      if (this.group !== cell.outcome) this.open(cell.outcome);
      this.rows.append(row(cell));
    }
    this.drawn += batch.length;
    const left = this.matching.length - this.drawn;
    if (!left) return;
    this.list.append(h("button", {type: "button", class: "more", onclick: () => {
      const first = this.drawn;
      this.more();
      this.list.querySelectorAll("a.row")[first]?.focus();
    }}, `Show ${Math.min(left, BATCH)} more of ${left.toLocaleString("en")}`));
  }

  open(outcome) {
    const {label, meaning} = outcomes.get(outcome);
    const count = this.matching.filter((cell) => cell.outcome === outcome).length;
    this.group = outcome;
    this.rows = h("ul", {class: "rows"});
    this.list.append(h("h3", {class: `group o-${outcome}`}, icon(outcome), ` ${label} `,
      h("span", {class: "count"}, count.toLocaleString("en")), " ", h("span", {class: "meaning"}, meaning)), this.rows);
  }
}

/** The values of a filter, in order; a cell that shows no defect has none. */
function choicesOf(index, key) {
  const values = [...new Set(index.map((cell) => cell[key]))].filter((value) => value !== null);
  return key === "defect" ? values.sort((one, two) => one - two) : values.sort();
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
}

function row(cell) {
  return h("li", {}, h("a", {class: `row o-${cell.outcome}`, href: cellLink(cell)},
    icon(cell.outcome),
    h("span", {class: "what"},
      h("b", {class: "scenario"}, cell.scenario),
      h("span", {class: "reason"}, cell.reason || cell.title),
      cell.known ? h("span", {class: "known"}, `Listed as known: ${cell.known}`) : null,
      cell.cites.length ? h("span", {class: "cites"}, cell.cites.map((cite) => h("code", {}, cite))) : null),
    h("span", {class: "where"}, h("b", {}, cell.client), ` with ${cell.broker}`,
      h("span", {}, `MQTT ${cell.mqtt} over ${cell.transport}`))));
}
