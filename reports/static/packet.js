// One entry of a trace in full: what became of it, its decoded fields, its bytes.

const FATES = {
  forwarded: "passed on as it was",
  dropped: "kept by the proxy and never passed on",
  held: "kept back by the proxy for now",
  released: "passed on by the proxy, after it was kept back",
  injected: "made by the proxy",
  duplicated: "passed on twice",
  rewritten: "kept by the proxy, which sent something else in its place",
  delayed: "kept back by the proxy for a while",
  lost: "never arrived: the link was cut or frozen first",
};

const peerOf = (side) => ({client: "broker", broker: "client"})[side];
const TO_CLIENT = new Set(["CONNACK", "SUBACK", "UNSUBACK", "PINGRESP"]);

/** Who an entry was meant for. A packet of the harness that names nobody goes where its type belongs. */
function receiverOf(entry) {
  return entry.receiver ?? peerOf(entry.sender) ?? (TO_CLIENT.has(entry.packet) ? "client" : "broker");
}

const carriesBytes = (entry) => ["packet", "malformed", "frame"].includes(entry.kind);

/** What the chart and the table say of an entry. */
function labelOf(entry) {
  if (entry.kind === "close" && !entry.summary.startsWith("closed")) {
    return `closed by ${entry.sender === "harness" ? "proxy" : entry.sender}${entry.summary && entry.summary !== "close" ? ` (${entry.summary})` : ""}`;
  }
  if (entry.kind === "open") return `connection ${entry.connection}: ${entry.summary || "open"}`;
  if (entry.kind === "malformed") return `malformed: ${entry.summary}`;
  return entry.summary || entry.packet || entry.kind;
}

function directionOf(entry) {
  if (entry.kind === "fault") return `proxy, on ${entry.link}`;
  if (entry.kind === "gap") return "on all links";
  const name = (side) => (side === "client" ? entry.link : side === "harness" ? "proxy" : side);
  return carriesBytes(entry) ? `${name(entry.sender)} to ${name(receiverOf(entry))}` : `${name(entry.sender)}, on ${entry.link}`;
}

/** The panel beside the chart. */
function packetPanel(entry, index, findings) {
  const known = (entry.hex.length / 2) | 0;
  const facts = [
    ["entry", `${index}, ${entry.at.toFixed(6)} s after the cell began`],
    ["link", `${entry.link}, connection ${entry.connection}`],
    ["direction", directionOf(entry)],
  ];
  if (carriesBytes(entry) || entry.fate !== "forwarded") facts.push(["fate", `${entry.fate}: ${FATES[entry.fate]}`]);
  if (carriesBytes(entry)) facts.push(["size", plural(entry.size_bytes, "byte")]);
  return [
    h("h3", {}, labelOf(entry)),
    findings.map((finding) => h("p", {class: "diverges"}, icon("fail"), ` This diverges: ${finding.message}`)),
    h("dl", {class: "fields"}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    Object.keys(entry.fields).length ? [h("h4", {}, "Fields"), fieldList(entry.fields)] : null,
    entry.hex ? [h("h4", {}, "Bytes"), hexDump(entry.hex), known < entry.size_bytes
      ? h("p", {class: "hint"}, `The first ${known.toLocaleString("en")} of ${plural(entry.size_bytes, "byte")}; the rest was not kept.`)
      : null] : null,
  ];
}

function fieldList(fields) {
  return h("dl", {class: "fields"}, Object.entries(fields).map(([name, value]) =>
    [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, fieldValue(value))]));
}

/** A decoded value; reason codes and byte strings have forms of their own. */
function fieldValue(value) {
  if (value === null) return "none";
  if (Array.isArray(value)) {
    return value.length ? h("ul", {}, value.map((item) => h("li", {}, fieldValue(item)))) : "none";
  }
  if (typeof value === "object") {
    if ("code" in value) return `0x${value.code.toString(16).padStart(2, "0").toUpperCase()} ${value.name ?? ""}`;
    if ("bytes" in value) {
      const shown = "text" in value ? JSON.stringify(value.text) : value.hex ?? value.sha256 ?? "";
      return `${shown}${value.truncated ? " …" : ""} (${plural(value.bytes, "byte")})`;
    }
    return Object.keys(value).length ? fieldList(value) : "none";
  }
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/** Offset, hexadecimal and text; the fixed header stands out. */
function hexDump(hex) {
  const bytes = hex.match(/../g).map((pair) => parseInt(pair, 16));
  let header = 1;
  while (header < Math.min(5, bytes.length) && bytes[header] & 0x80) header += 1;
  const rows = [];
  for (let start = 0; start < bytes.length; start += 8) {
    const row = bytes.slice(start, start + 8);
    rows.push(`${start.toString(16).padStart(4, "0")}  `, row.map((byte, place) => {
      const text = byte.toString(16).padStart(2, "0") + " ";
      return start + place <= header ? h("b", {title: start + place ? "remaining length" : "type and flags"}, text) : text;
    }), " ".repeat((8 - row.length) * 3 + 1),
    row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join(""), "\n");
  }
  return h("pre", {class: "hex", tabindex: "0", "aria-label": "bytes in hexadecimal"}, rows);
}
