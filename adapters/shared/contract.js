// The adapter contract for clients in JavaScript: commands in, events out, property names and values there and back.
// Belongs here: what every adapter in JavaScript needs. Does not belong here: a client library.
"use strict";

const readline = require("node:readline");

const BINARY = new Set(["correlation_data", "authentication_data"]);
const LISTS = new Set(["user_property", "subscription_identifier"]);
const BOOLEAN = new Set([
  "payload_format_indicator", "request_problem_information", "request_response_information", "retain_available",
  "wildcard_subscription_available", "subscription_identifier_available", "shared_subscription_available",
]);

/** All names of properties. */
const PROPERTIES = [
  "payload_format_indicator", "message_expiry_interval", "content_type", "response_topic", "correlation_data",
  "subscription_identifier", "session_expiry_interval", "assigned_client_identifier", "server_keep_alive",
  "authentication_method", "authentication_data", "request_problem_information", "will_delay_interval",
  "request_response_information", "response_information", "server_reference", "reason_string", "receive_maximum",
  "topic_alias_maximum", "topic_alias", "maximum_qos", "retain_available", "user_property", "maximum_packet_size",
  "wildcard_subscription_available", "subscription_identifier_available", "shared_subscription_available",
];

/** Ends a command with an error of the contract. */
class Unsuccessful extends Error {
  constructor(error, detail = "", fields = {}) {
    super(detail || error);
    this.event = { event: "error", error, detail, ...fields };
  }
}

/** Values of the contract in JavaScript's types: binary ones as buffers, flags as booleans. */
function decoded(properties) {
  const values = {};
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (Array.isArray(value) && value.length === 0) continue;
    if (BINARY.has(name)) values[name] = Buffer.from(value, "base64");
    else if (BOOLEAN.has(name)) values[name] = value === 1;
    else values[name] = value;
  }
  return values;
}

/** The way back. */
function encoded(values) {
  const properties = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue;
    if (BINARY.has(name)) properties[name] = Buffer.from(value).toString("base64");
    else if (Array.isArray(value) && !LISTS.has(name)) properties[name] = value.at(-1); // sent twice, which is malformed
    else if (typeof value === "boolean") properties[name] = Number(value);
    else properties[name] = value;
  }
  return properties;
}

/**
 * Serve the contract on standard input and output with one `Client` after another.
 *
 * A `Client` is made with `emit(event)`, has a method `do(command)` for each verb it knows, named `do_<verb>`, that gives
 * the answer or a promise of it, and `abandon()`. What an abandoned client still says or answers is nobody's business.
 */
function serve(hello, Client) {
  console.log = console.error; // standard output is the contract's
  process.on("uncaughtException", (problem) => console.error(problem)); // a library's; applications that go on have this
  const write = (event) => process.stdout.write(JSON.stringify(event) + "\n");
  let client;
  const renew = () => {
    const mine = new Client((event) => client === mine && write(event));
    client = mine;
  };
  const answer = async (command) => {
    const verb = client[`do_${command.do}`];
    if (!verb) throw new Unsuccessful("unsupported", `there is no '${command.do}' here`);
    return verb.call(client, command);
  };
  const failure = (problem) => {
    if (problem instanceof Unsuccessful) return problem.event;
    console.error(problem);
    return { event: "error", error: "failed", detail: String(problem.message ?? problem) };
  };
  renew();
  const lines = readline.createInterface({ input: process.stdin, terminal: false, crlfDelay: Infinity });
  lines.on("line", (line) => {
    const command = JSON.parse(line);
    const say = (event) => write({ ...event, id: command.id });
    if (command.do === "hello") say({ event: "hello", contract: 1, ...hello });
    else if (command.do === "reset" || command.do === "exit") {
      const old = client;
      renew();
      old.abandon();
      say({ event: command.do === "reset" ? "ready" : "bye" });
      if (command.do === "exit") process.exit(0);
    } else {
      const asked = client;
      answer(command).catch(failure).then((event) => client === asked && say(event));
    }
  });
  lines.on("close", () => process.exit(0));
}

module.exports = { PROPERTIES, Unsuccessful, decoded, encoded, serve };
