// The cells: an index of all of them, and the full record of each in chunks of its neighbours.

let metadata, outcomes, chunkOf, chunks;

/** Have these results be those that are shown: what is known of them, and what gives (a promise of) one of their chunks. */
function openResults(known, chunk) {
  metadata = known;
  outcomes = new Map(known.outcomes.map((outcome) => [outcome.id, outcome]));
  chunkOf = chunk;
  chunks = new Map();
}

/** JSON that was packed: base64 of deflate. */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** The full record of an index entry, with the defaults of what results of an earlier version do not have. */
async function loadRecord(cell) {
  if (!chunks.has(cell.chunk)) chunks.set(cell.chunk, chunkOf(cell.chunk));
  const packed = (await chunks.get(cell.chunk))[cell.place];
  const record = {...metadata.defaults.record, ...packed};
  for (const list of ["trace", "steps", "findings"]) {
    record[list] = record[list].map((item) => ({...metadata.defaults[list], ...item}));
  }
  return record;
}

/** Where the specification has a statement, or nothing: local ids and 3.1 have no numbered text to point to. */
function statementLink(id, mqtt) {
  const edition = {"3.1.1": "v3.1.1/os/mqtt-v3.1.1-os.html", "5.0": "v5.0/os/mqtt-v5.0-os.html"}[mqtt];
  if (!edition || !/^MQTT-\d/.test(id)) return null;
  const text = encodeURIComponent(`[${id}]`).replaceAll("-", "%2D");
  return `https://docs.oasis-open.org/mqtt/mqtt/${edition}#:~:text=${text}`;
}

/** The statements that are cited, each with what it says. */
function statementList(ids, mqtt) {
  const sentence = (id) => metadata.sentences[mqtt]?.[id];
  return h("ul", {class: "says"}, ids.map((id) => h("li", {}, statement(id, mqtt), sentence(id) ? ` ${sentence(id)}` : null)));
}

function statement(id, mqtt) {
  const address = statementLink(id, mqtt);
  return address
    ? h("a", {class: "cite", href: address, rel: "noreferrer", title: "this statement in the specification"}, id)
    : h("span", {class: "cite"}, id);
}
