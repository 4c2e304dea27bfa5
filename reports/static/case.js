// The page of one cell: what it is about, expected against observed, the packets, the steps, how to run it again.

class CasePage {
  constructor(cell, record, neighbours, siblings) {
    this.cell = cell;
    this.record = {...record, id: cell.id};
    this.neighbours = neighbours;
    this.siblings = siblings;
  }

  draw(parent) {
    parent.replaceChildren(...worthShowing([
      this.navigation(),
      h("header", {class: "top"},
        h("p", {class: "eyebrow"}, this.record.scenario),
        h("h1", {tabindex: "-1"}, this.record.title)),
      this.banner(), this.intent(), this.divergences(), this.packets(), this.steps(), this.log(), this.elsewhere()]));
    this.mountChart();
  }

  navigation() {
    const {before, after, place, count} = this.neighbours;
    const step = (cell, words, rel) => (cell ? h("a", {href: cellLink(cell), rel}, words) : h("span", {class: "off"}, words));
    return h("nav", {class: "crumbs", "aria-label": "cells"},
      h("a", {href: "#cells", class: "back"}, "← All cells"),
      h("span", {class: "grow"}),
      step(before, "‹ Previous", "prev"),
      place === null ? null : h("span", {class: "place"}, `${place + 1} of ${count}`),
      step(after, "Next ›", "next"));
  }

  banner() {
    const {record, cell} = this;
    const {client, broker} = record.implementations;
    const blame = {client: `the client, ${record.client}`, broker: `the broker, ${record.broker}`, both: "both sides", unknown: "not known which side"}[record.blame];
    const facts = [
      ["client", versioned(record.client, client)],
      ["broker", versioned(record.broker, broker)],
      ["MQTT", `${record.mqtt} over ${record.transport}`],
      record.network ? ["network", record.network] : null,
      ["time", `${span(record.seconds)}, of it ${span(record.waiting_seconds)} waiting and ${span(record.overhead_seconds)} overhead`],
      record.started_at ? ["started", record.started_at] : null,
      record.attempts > 1 ? ["attempts", String(record.attempts)] : null,
      blame ? ["at fault", blame] : null,
      cell.defect ? ["defect", h("a", {href: `#cells?defect=${cell.defect}`}, `${cell.defect} of ${metadata.defects.length}`)] : null,
    ].filter(Boolean);
    return h("section", {class: `card banner o-${cell.outcome}`, "aria-label": "verdict"},
      h("p", {class: "verdict"}, tag(cell.outcome), h("span", {}, record.reason || outcomes.get(cell.outcome).meaning)),
      cell.first_time ? h("p", {class: "first-time"}, cell.first_time) : null,
      this.known(),
      h("dl", {class: "facts"}, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      record.rerun ? this.rerun() : null);
  }

  known() {
    const known = this.record.known_failure;
    const unexpected = this.record.unexpected_pass ? "It is listed as a known failure, so the list is out of date. " : null;
    if (!known) return unexpected && h("p", {class: "known"}, unexpected);
    return h("p", {class: "known"}, unexpected ?? "Listed as a known failure: ", h("b", {}, known.reason), known.link ? [" ", webLink(known.link)] : null,
      (known.readings ?? []).map((reading, place) => [h("br"), `Reading ${place + 1}: ${reading}`]),
      (known.evidence ?? []).map((each) => [h("br"), "Evidence: ", webLink(each)]));
  }

  rerun() {
    const code = h("code", {tabindex: "0"}, this.record.rerun);
    const button = h("button", {type: "button", onclick: async () => {
      button.textContent = (await copy(code)) ? "Copied" : "Press Ctrl+C";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    }}, "Copy");
    return h("div", {class: "command"}, h("span", {class: "label"}, "Run just this cell again"), h("div", {class: "line"}, code, button));
  }

  intent() {
    const {record} = this;
    const words = {must: "It must hold.", should: "It should hold.", may: "It may be either way."}[record.level];
    return h("section", {class: "card", "aria-labelledby": "intent"},
      h("h2", {id: "intent"}, "What it is about"),
      record.about ? h("p", {class: "about"}, record.about) : null,
      h("p", {class: "statements"}, record.cites.length ? `${words} Statements of MQTT ${record.mqtt}:` : words),
      record.cites.length ? statementList(record.cites, record.mqtt) : null);
  }

  divergences() {
    const {record} = this;
    if (!record.findings.length) return null;
    return h("section", {class: "card", "aria-labelledby": "divergences"},
      h("h2", {id: "divergences"}, "Expected against observed"),
      record.findings.map((finding, order) => this.finding(finding, order + 1)));
  }

  finding(finding, order) {
    const {mqtt, trace, cites} = this.record;
    const told = finding.cites.filter((id) => cites.includes(id));  // with their sentences, above
    const untold = finding.cites.filter((id) => !cites.includes(id));
    const origin = finding.source === "judge" ? `rule ${finding.rule}` : `step ${finding.step ?? ""} (${finding.rule})`;
    const blame = finding.blame === "unknown" ? "side unknown" : `by the ${finding.blame}`;
    const side = (name, text) => h("div", {class: name}, h("h3", {}, name === "expected" ? "Expected" : "Observed"), h("p", {}, text || "not recorded"));
    return h("article", {class: `finding level-${finding.level}`},
      h("p", {class: "message"}, h("span", {class: "order"}, String(order)), h("b", {}, finding.message)),
      h("p", {class: "statements"}, h("span", {class: "level"}, finding.level.toUpperCase()), ` broken ${blame}, found by ${origin}. `,
        told.map((id) => [statement(id, mqtt), " "]),
        trace[finding.trace_index]
          ? h("button", {type: "button", class: "link", onclick: () => this.show(finding.trace_index)}, "Show the packet")
          : null),
      untold.length ? statementList(untold, mqtt) : null,
      finding.expected || finding.observed ? h("div", {class: "sides"}, side("expected", finding.expected), side("observed", finding.observed)) : null);
  }

  packets() {
    const {record} = this;
    if (!record.trace.length) {
      return h("section", {class: "card", "aria-labelledby": "packets"}, h("h2", {id: "packets"}, "Packets"),
        h("p", {class: "empty"}, "Nothing was recorded on the wire."));
    }
    this.stage = h("div", {class: "stage"});
    this.panel = h("aside", {class: "packet", "aria-label": "the chosen packet", "aria-live": "polite"});
    return h("section", {class: "card", "aria-labelledby": "packets"},
      h("div", {class: "heading"}, h("h2", {id: "packets"}, "Packets"),
        h("span", {class: "downloads"},
          h("button", {type: "button", onclick: () => this.download("json")}, "Trace (JSON)"),
          h("button", {type: "button", onclick: () => this.download("pcapng")}, "Capture (pcapng)"))),
      h("p", {class: "hint"}, `${plural(record.trace.length, "entry").replace("entrys", "entries")}. Choose one for its fields and bytes; the arrow keys go up and down.`),
      h("div", {class: "packets"}, this.stage, this.panel),
      h("details", {}, h("summary", {}, "The same as a table"), this.table()));
  }

  /** The chart is drawn once its place is on the page, since its width depends on it. */
  mountChart() {
    if (!this.stage) return;
    const {record} = this;
    const chosen = this.chart?.chosen ?? this.firstOfInterest();
    this.chart = new SequenceChart(record, this.stage.clientWidth, (index) => this.choose(index));
    this.stage.replaceChildren(this.chart.draw());
    this.chart.choose(chosen, {scroll: true});
  }

  /** What diverges, else the first packet. */
  firstOfInterest() {
    const {findings, trace} = this.record;
    const diverging = findings.find((finding) => trace[finding.trace_index]);
    return diverging ? diverging.trace_index : Math.max(0, trace.findIndex(carriesBytes));
  }

  choose(index) {
    const findings = this.record.findings.filter((finding) => finding.trace_index === index);
    this.panel.replaceChildren(...worthShowing(packetPanel(this.record.trace[index], index, findings)));
  }

  show(index) {
    this.stage.scrollIntoView({block: "nearest"});
    this.chart.choose(index, {focus: true});
  }

  table() {
    const row = (entry) => h("tr", {},
      h("td", {class: "number"}, entry.at.toFixed(3)), h("td", {}, `${entry.link} ${entry.connection}`), h("td", {}, directionOf(entry)),
      h("td", {}, labelOf(entry)), h("td", {}, entry.fate === "forwarded" ? "" : entry.fate),
      h("td", {class: "number"}, carriesBytes(entry) ? entry.size_bytes.toLocaleString("en") : ""));
    return h("div", {class: "scroll", role: "region", "aria-label": "packets as a table", tabindex: "0"}, h("table", {class: "plain"},
      h("thead", {}, h("tr", {}, ["seconds", "link", "direction", "what", "fate", "bytes"].map((name) => h("th", {scope: "col"}, name)))),
      h("tbody", {}, this.record.trace.map(row))));
  }

  steps() {
    const {steps, findings} = this.record;
    if (!steps.length) return null;
    const shapes = {passed: "pass", failed: "fail", skipped: "unsupported", "not-run": "unsupported"};
    return h("section", {class: "card", "aria-labelledby": "steps"},
      h("h2", {id: "steps"}, "Steps"),
      h("ol", {class: "steps"}, steps.map((step) => {
        const shape = shapes[step.status];
        return h("li", {class: `step is-${step.status}`, value: step.number},
          h("span", {class: `state o-${shape}`}, icon(shape), step.status.replace("-", " ")),
          h("div", {class: "body"},
            h("code", {}, stepText(step.text)),
            findings.filter((finding) => finding.step === step.number).map((finding) => h("p", {class: "message"}, finding.message)),
            step.window ? timingBar(step) : null),
          h("span", {class: "when"}, step.at === null ? "" : `${step.at.toFixed(3)} s`,
            step.line === null ? null : h("small", {}, `line ${step.line}`)));
      })));
  }

  log() {
    const {log, verdict} = this.record;
    if (!log) return null;
    return h("details", {class: "card", open: verdict === "harness-error" || verdict === "setup-failed"},
      h("summary", {}, h("h2", {}, "Log of the adapter and the broker")),
      h("pre", {class: "log", tabindex: "0"}, log));
  }

  elsewhere() {
    const others = this.siblings.filter((cell) => cell.id !== this.cell.id);
    if (!others.length) return null;
    return h("section", {class: "card", "aria-labelledby": "elsewhere"},
      h("h2", {id: "elsewhere"}, "The same scenario elsewhere"),
      h("ul", {class: "elsewhere"}, others.map((cell) => h("li", {}, h("a", {href: cellLink(cell), title: cell.reason || cell.title},
        tag(cell.outcome), h("span", {}, h("b", {}, cell.client), ` with ${cell.broker}, ${cell.mqtt}, ${cell.transport}`))))));
  }

  download(kind) {
    const name = this.cell.id.replace(/[^\w.-]+/g, "_");
    save(kind === "json" ? new Blob([JSON.stringify(this.record, null, 1)], {type: "application/json"}) : pcapng(this.record), `${name}.${kind}`);
  }
}

/** "paho 2.2.0", whether the version comes with the product's name or without. */
function versioned(name, version) {
  if (!version || version === name) return name;
  return /^\d/.test(version) ? `${name} ${version}` : version.startsWith(name) ? version : `${name} (${version})`;
}

/** The verb of a step stands out. */
function stepText(text) {
  const verb = /\bdo:\s*([\w-]+)/.exec(text);
  if (!verb) return text;
  const start = verb.index + verb[0].length - verb[1].length;
  return [text.slice(0, start), h("b", {}, verb[1]), text.slice(start + verb[1].length)];
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", {href: address, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Copy the text of an element; where the browser forbids it, select it. */
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
