// A capture file of a trace, for Wireshark: the MQTT bytes as plain TCP, whatever the real transport was.
//
// Two interfaces: between the clients and the proxy, and between the proxy and the broker, so that a dropped packet is
// seen on the first only and an injected one only where it went. Packets whose bytes were not all kept have a captured
// length below their original length, as in any truncated capture, and a comment that says so.

const PORT = 1883;
const PROXY = [10, 0, 0, 253];
const BROKER = [10, 0, 0, 254];
const SEGMENT_BYTES = 16384;
const FLAGS = {fin: 0x11, syn: 0x02, synAck: 0x12, rst: 0x14, data: 0x18};
const utf8 = new TextEncoder();

const u16 = (value) => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
const big16 = (value) => [(value >> 8) & 0xff, value & 0xff];
const big32 = (value) => [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
const padded = (bytes) => [...bytes, ...new Array((4 - (bytes.length % 4)) % 4).fill(0)];
const option = (code, bytes) => [...u16(code), ...u16(bytes.length), ...padded(bytes)];
const COMMENT_CHARACTERS = 2000; // an option has room for 65,535 bytes, a topic alone may be longer
const END_OF_OPTIONS = [0, 0, 0, 0];

function block(type, body) {
  const length = body.length + 12;
  return [...u32(type), ...u32(length), ...body, ...u32(length)];
}

/** The whole file as bytes. `started_at` of the record is the time of the trace's zero. */
function pcapng(record) {
  const links = [...new Set(record.trace.map((entry) => entry.link))];
  const epoch = Date.parse(record.started_at) || 0;
  const out = [block(0x0a0d0d0a, [...u32(0x1a2b3c4d), ...u16(1), ...u16(0), ...new Array(8).fill(0xff),
    ...option(1, utf8.encode(`${record.id}: made from a trace; TCP and IP headers are synthetic`)), ...END_OF_OPTIONS])];
  for (const name of ["clients - proxy", "proxy - broker"]) {
    out.push(block(1, [...u16(101), ...u16(0), ...u32(0), ...option(2, utf8.encode(name)), ...END_OF_OPTIONS]));
  }
  out.push(nameBlock(links));
  const streams = new Map();
  for (const [index, entry] of record.trace.entries()) {
    const comment = `entry ${index}, ${entry.link}: ${labelOf(entry)}${entry.fate === "forwarded" ? "" : `, ${entry.fate}`}`;
    for (const wire of [0, 1]) {
      const key = `${entry.link} ${entry.connection} ${wire}`;
      if (!streams.has(key)) streams.set(key, new Stream(wire, links.indexOf(entry.link), entry.connection));
      for (const packet of streams.get(key).packets(entry, comment)) out.push(packetBlock(wire, epoch + (packet.at ?? entry.at) * 1000, packet));
    }
  }
  for (const wire of [0, 1]) out.push(statisticsBlock(wire, epoch + record.seconds * 1000));
  return new Blob(out.map((part) => new Uint8Array(part)), {type: "application/x-pcapng"});
}

function nameBlock(links) {
  const names = [...links.map((link, place) => [clientAddress(place), link]), [PROXY, "proxy"], [BROKER, "broker"]];
  const records = names.flatMap(([address, name]) => {
    const value = [...address, ...utf8.encode(name), 0];
    return [...u16(1), ...u16(value.length), ...padded(value)];
  });
  return block(4, [...records, ...END_OF_OPTIONS]);
}

const clientAddress = (place) => [10, 0, 0, 1 + place];

/** Until when was recorded: what did not come by then was waited for. */
const statisticsBlock = (wire, milliseconds) => block(5, [...u32(wire), ...stamp(milliseconds), ...END_OF_OPTIONS]);

/** A time in microseconds, its upper half first. */
function stamp(milliseconds) {
  const microseconds = Math.round(milliseconds * 1000);
  return [...u32(Math.floor(microseconds / 2 ** 32)), ...u32(microseconds % 2 ** 32 | 0)];
}

function packetBlock(wire, milliseconds, {bytes, originalBytes, comment}) {
  const options = comment ? [...option(1, utf8.encode(comment.slice(0, COMMENT_CHARACTERS))), ...END_OF_OPTIONS] : [];
  return block(6, [...u32(wire), ...stamp(milliseconds),
    ...u32(bytes.length), ...u32(originalBytes), ...padded(bytes), ...options]);
}

/** One TCP connection on one interface: it keeps the sequence numbers. */
class Stream {
  constructor(wire, place, connection) {
    this.wire = wire;
    this.ends = wire === 0
      ? {client: [clientAddress(place), 40000 + connection], broker: [PROXY, PORT]}
      : {client: [PROXY, 40000 + 100 * place + connection], broker: [BROKER, PORT]};
    this.next = {client: 1000, broker: 5000};
    this.open = false;
    this.closed = {client: false, broker: false};
  }

  /** The segments that an entry of the trace is on this interface. */
  packets(entry, comment) {
    if (entry.kind === "open") return this.handshake(comment);
    if (entry.kind === "close") return this.close(entry, comment);
    if (!carriesBytes(entry) || entry.kind === "frame" || !this.passes(entry)) return []; // no MQTT in a PING
    return [...this.handshake(), ...this.data(entry, comment)];
  }

  /** Whether the bytes were seen on this side of the proxy. */
  passes(entry) {
    const {starts, ends} = reach(entry);
    const near = this.wire === 0 ? "client" : "broker";
    return starts === near || ends === near;
  }

  handshake(comment) {
    if (this.open) return [];
    this.open = true;
    const packets = [this.segment("client", FLAGS.syn, [], 0, comment), this.segment("broker", FLAGS.synAck, [], 0)];
    this.next.client += 1;
    this.next.broker += 1;
    return packets;
  }

  data(entry, comment) {
    const sender = peerOf(receiverOf(entry));
    const kept = (entry.hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16));
    const cut = kept.length < entry.size_bytes ? `; only the first ${kept.length} of ${entry.size_bytes} bytes were kept` : "";
    const packets = [];
    const began = entry.began_at ?? null; // then its first byte came by itself
    for (let start = 0, size; start < entry.size_bytes; start += size) {
      size = start === 0 && began !== null ? 1 : Math.min(SEGMENT_BYTES, entry.size_bytes - start);
      const packet = this.segment(sender, FLAGS.data, kept.slice(start, start + size), size, start ? "" : comment + cut);
      packets.push(start === 0 && began !== null ? {...packet, at: began} : packet);
      this.next[sender] += size;
    }
    return packets;
  }

  close(entry, comment) {
    const isReset = entry.summary.includes("RST");
    // The proxy plays the broker towards the client, and the client towards the broker.
    const side = entry.sender === "harness" ? (this.wire === 0 ? "broker" : "client") : entry.sender;
    if (!this.open || this.closed[side] || !(entry.sender === "harness" || this.passes(entry))) return [];
    this.closed[side] = true;
    const packet = this.segment(side, isReset ? FLAGS.rst : FLAGS.fin, [], 0, comment);
    this.next[side] += isReset ? 0 : 1;
    return [packet];
  }

  /** IP and TCP headers before the bytes; `size` is how many there really were. */
  segment(sender, flags, bytes, size, comment = "") {
    const [source, sourcePort] = this.ends[sender];
    const [target, targetPort] = this.ends[peerOf(sender)];
    const ip = [0x45, 0, ...big16(40 + size), 0, 0, 0x40, 0, 64, 6, 0, 0, ...source, ...target];
    const sum = ip.reduce((total, byte, place) => total + (place % 2 ? byte : byte << 8), 0);
    const folded = (sum & 0xffff) + (sum >>> 16);
    ip.splice(10, 2, ...big16(~((folded & 0xffff) + (folded >>> 16)) & 0xffff));
    const acknowledged = flags & 0x10 ? this.next[peerOf(sender)] + (flags === FLAGS.synAck ? 1 : 0) : 0;
    const tcp = [...big16(sourcePort), ...big16(targetPort), ...big32(this.next[sender]), ...big32(acknowledged),
      0x50, flags, 0xff, 0xff, 0, 0, 0, 0];
    return {bytes: [...ip, ...tcp, ...bytes], originalBytes: 40 + size, comment};
  }
}
