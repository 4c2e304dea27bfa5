// The sequence chart: the first actor on the left, the broker in the middle, the other actors on the right, and the
// proxy between them; time goes down. Each row is one entry of the trace.

const ROW = 34;
const TIME_WIDTH = 62;
const MARGIN = 48;
const SCROLLBAR = 18;
const HEAD = 34;
const QUIET_SECONDS = 0.15;

/** Between which lifelines an entry's arrow runs: "client", "broker" or "proxy". */
function reach(entry) {
  const receiver = receiverOf(entry);
  const fromProxy = entry.sender === "harness" || entry.fate === "released" || entry.fate === "injected";
  const stays = ["dropped", "held", "delayed", "rewritten", "lost"].includes(entry.fate);
  return {starts: fromProxy ? "proxy" : entry.sender, ends: stays ? "proxy" : receiver};
}

/** The horizontal places of all lifelines, fitted to the width there is. */
function lanesOf(trace, width) {
  const links = [...new Set(trace.map((entry) => entry.link))];
  const left = TIME_WIDTH + MARGIN;
  const room = Math.max(width - left - MARGIN - SCROLLBAR, 190);
  const others = Math.max(links.length - 2, 0);
  const halves = links.length > 1 ? 4 : 2;
  const half = Math.min(210, Math.max(links.length > 1 ? 118 : 96, room / (halves + others * 0.8)));
  const places = new Map([[links[0], {client: left, proxy: left + half}]]);
  const broker = left + 2 * half;
  links.slice(1).forEach((link, order) => {
    places.set(link, {client: broker + 2 * half + order * half * 0.8, proxy: broker + half});
  });
  const right = Math.max(...[...places.values()].map((place) => place.client), broker);
  return {links, places, broker, width: right + MARGIN};
}

/** How much space a silence takes: more than nothing, far less than its share. */
const silenceHeight = (seconds) => (seconds < QUIET_SECONDS ? 0 : Math.min(64, 22 + 12 * Math.log2(1 + seconds)));

class SequenceChart {
  /** `select(index)` is called when an entry is chosen. */
  constructor(record, width, select) {
    this.record = record;
    this.select = select;
    this.lanes = lanesOf(record.trace, width);
    this.flags = new Map();
    record.findings.forEach((finding, order) => {
      if (finding.trace_index === null || !record.trace[finding.trace_index]) return;
      this.flags.set(finding.trace_index, [...(this.flags.get(finding.trace_index) ?? []), order + 1]);
    });
    this.rows = [];
    this.tops = [];
    let y = 8, last = 0;
    for (const entry of record.trace) {
      y += silenceHeight(entry.at - last);
      this.tops.push(y);
      y += ROW;
      last = entry.at;
    }
    this.height = y + 10;
  }

  /** The chart as an element: the names stay in view while the rows scroll. */
  draw() {
    const size = (height) => ({width: this.lanes.width, height, viewBox: `0 0 ${this.lanes.width} ${height}`});
    this.body = s("svg", {...size(this.height), class: "chart-body", role: "listbox", "aria-label": "the packets in the order of time"},
      this.lifelines(), this.silences(), this.record.trace.map((entry, index) => this.row(entry, index)));
    this.body.addEventListener("keydown", (event) => this.key(event));
    return h("div", {class: "chart"}, s("svg", {...size(HEAD), class: "chart-head", "aria-hidden": "true"}, this.names()), this.body);
  }

  /** x of a lifeline of a link. */
  x(link, side) {
    return side === "broker" ? this.lanes.broker : this.lanes.places.get(link)[side];
  }

  names() {
    const name = (x, text, kind) => s("g", {class: `lane-name ${kind}`},
      s("rect", {x: x - 42, y: 5, width: 84, height: 24, rx: 6}),
      s("text", {x, y: 21, "text-anchor": "middle"}, text.length > 12 ? `${text.slice(0, 11)}…` : text));
    const proxies = new Set([...this.lanes.places.values()].map((place) => place.proxy));
    return [
      s("text", {class: "unit", x: TIME_WIDTH - 12, y: 21, "text-anchor": "end"}, "seconds"),
      this.lanes.links.map((link) => name(this.x(link, "client"), link, "client")),
      [...proxies].map((x) => s("text", {class: "proxy-name", x, y: 21, "text-anchor": "middle"}, "proxy")),
      name(this.lanes.broker, "broker", "broker"),
    ];
  }

  /** Thin lines for all, a thick one on the client's while a connection is open. */
  lifelines() {
    const line = (x, kind, top = 0, bottom = this.height) => s("line", {class: `lifeline ${kind}`, x1: x, x2: x, y1: top, y2: bottom});
    const proxies = new Set([...this.lanes.places.values()].map((place) => place.proxy));
    return [
      [...proxies].map((x) => line(x, "proxy")),
      line(this.lanes.broker, "broker"),
      this.lanes.links.map((link) => line(this.x(link, "client"), "client")),
      this.connections().map(({link, top, bottom}) => line(this.x(link, "client"), "open", top, bottom)),
    ];
  }

  connections() {
    const found = new Map();
    this.record.trace.forEach((entry, index) => {
      if (!entry.connection) return;
      const key = `${entry.link} ${entry.connection}`;
      const middle = this.tops[index] + ROW - 9;
      if (!found.has(key)) found.set(key, {link: entry.link, top: middle, bottom: middle});
      found.get(key).bottom = middle;
    });
    return [...found.values()];
  }

  silences() {
    return this.record.trace.map((entry, index) => {
      const seconds = entry.at - (index ? this.record.trace[index - 1].at : 0);
      const height = silenceHeight(seconds);
      if (!height) return null;
      const y = this.tops[index] - height / 2;
      return s("g", {class: "silence"},
        s("line", {x1: 6, x2: this.lanes.width - 6, y1: y, y2: y}),
        s("rect", {x: 6, y: y - 9, width: 74, height: 18, rx: 9}),
        s("text", {x: 43, y: y + 4, "text-anchor": "middle"}, `+ ${span(seconds)}`));
    });
  }

  row(entry, index) {
    const top = this.tops[index];
    const flags = this.flags.get(index);
    const label = labelOf(entry);
    const fate = entry.fate === "forwarded" ? "" : `, ${entry.fate}`;
    const words = `${entry.at.toFixed(3)} s, ${directionOf(entry)}: ${label}${fate}${flags ? `; diverges, finding ${flags.join(" and ")}` : ""}`;
    const group = s("g", {
      class: `event ${entry.kind} from-${entry.sender} fate-${entry.fate}${flags ? " flagged" : ""}`,
      role: "option", tabindex: index ? "-1" : "0", "aria-selected": "false", "aria-label": words,
      onclick: () => this.choose(index),
    },
      s("title", {}, words),
      s("rect", {class: "ground", x: 2, y: top, width: this.lanes.width - 4, height: ROW, rx: 5}),
      flags ? this.flag(top, flags) : null,
      s("text", {class: "time", x: TIME_WIDTH - 12, y: top + 22, "text-anchor": "end"}, entry.at.toFixed(3)),
      this.drawing(entry, top + ROW - 9),
      this.label(entry, label, top + 14));
    this.rows.push(group);
    return group;
  }

  flag(top, numbers) {
    return s("g", {class: "flag"},
      s("rect", {x: 2, y: top, width: 4, height: ROW, rx: 2}),
      s("text", {x: this.lanes.width - 10, y: top + 22, "text-anchor": "end"}, `✕ ${numbers.join(", ")}`));
  }

  /** The arrow of a packet, the bar of a connection's begin or end, the band of a fault. */
  drawing(entry, y) {
    const at = (side) => this.x(entry.link, side);
    if (entry.kind === "fault" || entry.kind === "gap") {
      return s("line", {class: "band", x1: at("client"), x2: at("broker"), y1: y, y2: y});
    }
    if (!carriesBytes(entry)) {
      const from = entry.sender === "harness" ? "proxy" : entry.sender;
      return [s("line", {class: "bar", x1: at("client"), x2: at("broker"), y1: y, y2: y}),
        s(entry.kind === "open" ? "circle" : "path", entry.kind === "open"
          ? {class: "end", cx: at(from), cy: y, r: 4}
          : {class: "end", d: `M${at(from) - 4} ${y - 4}l8 8m0 -8l-8 8`})];
    }
    const {starts, ends} = reach(entry);
    const direction = Math.sign(at(receiverOf(entry)) - at(peerOf(receiverOf(entry))));
    const from = at(starts), to = starts === ends ? at(ends) + direction * 24 : at(ends);
    return [
      s("line", {class: "arrow", x1: from, x2: to - direction * 3, y1: y, y2: y}),
      ends === "proxy" ? null : s("path", {class: "head", d: `M${to - direction} ${y}l${-direction * 9} -4.5v9z`}),
      this.mark(entry.fate, at("proxy"), y),
    ];
  }

  /** What the proxy did, as a shape on its lifeline. */
  mark(fate, x, y) {
    const shapes = {
      dropped: `M${x - 4.5} ${y - 4.5}l9 9m0 -9l-9 9`,
      lost: `M${x - 4.5} ${y - 4.5}l9 9m0 -9l-9 9`,
      held: `M${x - 2.5} ${y - 5}v10m5 -10v10`,
      delayed: `M${x - 2.5} ${y - 5}v10m5 -10v10`,
      released: `M${x - 3} ${y - 5}l6 5l-6 5`,
      injected: `M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`,
      rewritten: `M${x - 5} ${y - 2.5}h10m-10 5h10`,
      duplicated: `M${x - 5} ${y - 5}h6v6h-6zm3 3h6v6h-6z`,
    };
    return fate in shapes
      ? s("g", {class: "mark"}, s("circle", {cx: x, cy: y, r: 7.5}), s("path", {d: shapes[fate]}))
      : s("circle", {class: "passing", cx: x, cy: y, r: 2});
  }

  /** The words above an arrow, cut to the space between the client and the broker. */
  label(entry, words, y) {
    const client = this.x(entry.link, "client"), broker = this.lanes.broker;
    const aside = entry.fate === "forwarded" ? "" : ` ${entry.fate}`;
    const room = Math.floor((Math.abs(broker - client) - 22) / 6.4) - aside.length;
    const shown = words.length > room ? `${words.slice(0, Math.max(room - 1, 8))}…` : words;
    const [first, ...rest] = shown.split(" ");
    return s("text", {class: "label", x: (client + broker) / 2, y, "text-anchor": "middle"},
      s("tspan", {class: "type"}, first), rest.length ? ` ${rest.join(" ")}` : "", aside ? s("tspan", {class: "fate"}, aside) : "");
  }

  /** Mark an entry as chosen and tell. */
  choose(index, {focus = false, scroll = false} = {}) {
    this.rows.forEach((row, place) => {
      row.setAttribute("aria-selected", String(place === index));
      row.setAttribute("tabindex", place === index ? "0" : "-1");
    });
    this.chosen = index;
    if (focus) this.rows[index].focus({preventScroll: true});
    if (focus || scroll) this.reveal(index);
    this.select(index);
  }

  /** Scroll the chart, and only the chart, so that a row is in view. */
  reveal(index) {
    const box = this.body.parentElement;
    const top = this.tops[index], shown = box.clientHeight - HEAD;
    if (top < box.scrollTop + 10 || top + ROW > box.scrollTop + shown) box.scrollTop = Math.max(0, top - shown / 2);
    const link = this.record.trace[index].link;
    box.scrollLeft = (this.x(link, "client") + this.lanes.broker - box.clientWidth) / 2;
  }

  key(event) {
    const last = this.rows.length - 1, now = this.chosen ?? 0;
    const next = {ArrowDown: Math.min(now + 1, last), ArrowUp: Math.max(now - 1, 0), Home: 0, End: last, Enter: now, " ": now}[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.choose(next, {focus: true});
  }
}
