// Two runs side by side: cells whose verdicts differ, as reports/diff.py has it.

const YOURS = "yours";
const SIDES = ["before", "after"];
const DRAWN_AT_ONCE = 300;

async function showCompare() {
  const {common, plays} = await load("plays");
  openResults(common, () => []);
  const runs = [...Map.groupBy(plays.map((play, number) => ({...play, number})), (play) => play.run)];
  const files = new Map();
  const trouble = document.getElementById("trouble");
  const box = document.getElementById("filters");
  const query = asked();
  let kinds = new Set(query.get("change")?.split(",") ?? common.changes.map(({id}) => id));
  const input = h("input", {type: "search", id: "filter-text", placeholder: "scenario, client …", value: query.get("text") ?? "", oninput: () => draw()});
  let found = [], same = 0, loading = 0;

  const sides = new Map(SIDES.map((side) => {
    const select = h("select", {id: `filter-${side}`, onchange: () => fetchBoth()}, h("option", {value: ""}, "choose …"),
      runs.map(([run, members], place) => h("optgroup", {label: run},
        members.length > 1 ? h("option", {value: `run-${place}`}, `all of ${run}`) : null,
        members.map((play) => h("option", {value: String(play.number)}, playName(play))))),
      h("option", {value: YOURS}, "your own results.jsonl"));
    select.value = query.get(side) ?? "";
    const file = h("input", {type: "file", id: `file-${side}`, accept: ".jsonl,.json,application/jsonl", onchange: async () => {
      select.value = YOURS;
      files.set(side, file.files[0]);
      await fetchBoth();
    }});
    return [side, {select, file}];
  }));
  box.replaceChildren(...[...sides].map(([side, {select, file}]) => h("div", {class: "fields-row"},
    h("label", {for: `filter-${side}`}, h("span", {}, side === "before" ? "Before" : "After"), select),
    h("label", {for: `file-${side}`}, h("span", {}, `or your own, ${side}`), file))));
  box.hidden = false;
  document.getElementById("choices").replaceChildren(
    h("div", {class: "fields-row"}, h("label", {for: "filter-text", class: "grow"}, h("span", {}, "Text"), input)), h("div", {class: "chips", id: "chips", role: "group", "aria-label": "changes shown"}));
  await fetchBoth();

  function inAddress() {
    putInAddress({
      ...Object.fromEntries([...sides].map(([side, {select}]) => [side, select.value === YOURS ? "" : select.value])),
      change: kinds.size < common.changes.length ? [...kinds].join(",") : "", text: input.value,
    });
  }

  async function fetchBoth() {
    inAddress();
    const turn = ++loading;
    trouble.textContent = "";
    try {
      const [before, after] = await Promise.all(SIDES.map((side) => cellsOf(sides.get(side).select.value, files.get(side))));
      if (turn !== loading) return;
      document.getElementById("differences").hidden = !before || !after;
      if (!before || !after) return;
      ({found, same} = differences(before, after, common));
      draw();
    } catch (error) {
      trouble.textContent = error.message;
    }
  }

  /** The cells of one side, and how many clients and brokers there are: by the cell's name where there is one of each. */
  async function cellsOf(chosen, file) {
    if (!chosen || (chosen === YOURS && !file)) return null;
    if (chosen === YOURS) return indexOf(await readResults(file, common), common);
    const members = chosen.startsWith("run-") ? runs[Number(chosen.slice(4))]?.[1] : plays[chosen] && [{number: Number(chosen)}];
    if (!members) throw new Error(`There is no ${chosen} here.`);
    return (await Promise.all(members.map(async ({number}) => {
      const cells = await unpack((await load(`play-${number}`)).index);
      return cells.map((cell) => ({...cell, href: `${root}cells.html?play=${number}${cellLink(cell)}`}));
    }))).flat();
  }

  function draw() {
    inAddress();
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = found.filter((each) => words.every((word) => each.text.includes(word)));
    const counts = Map.groupBy(fitting, (each) => each.change);
    document.getElementById("differences-heading").textContent = found.length
      ? `${plural(found.length, "cell")} ${found.length === 1 ? "differs" : "differ"}, ${same.toLocaleString("en")} ${same === 1 ? "does" : "do"} not`
      : `No verdict differs in ${plural(same, "cell")}`;
    const chips = document.getElementById("chips");
    const focused = [...chips.children].indexOf(document.activeElement);
    chips.replaceChildren(...common.changes.map(({id, label}) => h("button", {
      type: "button", class: "chip", "aria-pressed": String(kinds.has(id)), onclick: () => {
        if (!kinds.delete(id)) kinds.add(id);
        draw();
      },
    }, label, h("span", {class: "count"}, (counts.get(id)?.length ?? 0).toLocaleString("en")))));
    chips.children[focused]?.focus();
    const groups = common.changes.filter(({id}) => kinds.has(id) && counts.has(id)).map(({id, label}) => groupOf(label, counts.get(id)));
    document.getElementById("list").replaceChildren(...groups.flat());
  }
}

function groupOf(label, members) {
  const rows = h("ul", {class: "rows"});
  const more = h("button", {type: "button", class: "more", onclick: () => add(true)});
  const add = (moveFocus) => {
    const first = rows.children.length;
    rows.append(...members.slice(first, first + DRAWN_AT_ONCE).map(changed));
    const left = members.length - rows.children.length;
    more.hidden = !left;
    more.textContent = `Show ${Math.min(left, DRAWN_AT_ONCE)} more of ${left.toLocaleString("en")}`;
    if (moveFocus) rows.children[first]?.querySelector("a")?.focus();
  };
  add(false);
  return [h("h3", {class: "group"}, label, " ", h("span", {class: "count"}, members.length.toLocaleString("en"))), rows, more];
}

function changed({cell, before, after}) {
  const side = (name, of) => h("div", {class: "side-of"}, h("span", {class: "visually-hidden"}, `${name}: `),
    of ? [of.href ? h("a", {href: of.href}, tag(of.outcome), h("span", {class: "visually-hidden"}, ` ${cell.scenario} ${name}`)) : tag(of.outcome), of.reason ? h("span", {class: "reason"}, of.reason) : null]
      : h("span", {class: "hint"}, "no such cell"));
  return h("li", {class: "change"},
    h("div", {class: "what"}, h("b", {class: "scenario"}, cell.scenario), h("span", {class: "hint"}, `${cell.client} with ${cell.broker}, MQTT ${cell.mqtt} over ${cell.transport}`)),
    side("before", before), side("after", after));
}

/** What differs, and how many cells do not. Two plays are compared by scenario, version and transport: their releases differ anyway. */
function differences(before, after, common) {
  const single = [before, after].every((cells) => new Set(cells.map((cell) => `${cell.client}\n${cell.broker}`)).size === 1);
  const keyOf = (cell) => (single ? `${cell.scenario}\n${cell.mqtt}\n${cell.transport}` : cell.id);
  const [one, two] = [before, after].map((cells) => new Map(cells.map((cell) => [keyOf(cell), cell])));
  const found = [];
  let same = 0;
  for (const key of new Set([...one.keys(), ...two.keys()])) {
    const [was, is] = [one.get(key), two.get(key)];
    if (was?.verdict === is?.verdict) {
      same += 1;
      continue;
    }
    const step = was && is ? common.badness[is.verdict] - common.badness[was.verdict] : 0;
    const change = !was ? "new" : !is ? "gone" : step > 0 ? "worse" : step < 0 ? "better" : "changed";
    const cell = is ?? was;
    found.push({cell, before: was, after: is, change, text: `${cell.id}\n${was?.reason ?? ""}\n${is?.reason ?? ""}`.toLowerCase()});
  }
  return {found: found.sort((x, y) => (x.cell.id < y.cell.id ? -1 : 1)), same};
}
