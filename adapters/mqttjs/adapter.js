// MQTT.js behind the contract, for 4.x and 5.x: the package is the one installed in the folder this is started in.
// Belongs here: the contract's commands in MQTT.js's calls, its callbacks as events. Does not belong here: mending it.
"use strict";

const fs = require("node:fs");
const { createRequire } = require("node:module");
const { PROPERTIES, Unsuccessful, decoded, encoded, serve } = require("../shared/contract.js");

const mqtt = createRequire(`${process.cwd()}/`)("mqtt");
const HELLO = {
  client: "mqttjs",
  version: JSON.parse(fs.readFileSync("node_modules/mqtt/package.json")).version,
  mqtt: ["3.1", "3.1.1", "5.0"],
  transports: ["tcp", "tls", "ws", "wss"],
  // Its application can hold back an acknowledgement, but then nothing else is read: not the next message, no PINGRESP.
  unsupported: ["manual-ack", "refuse-message", "auth"],
};
const VERSIONS = {
  "3.1": { protocolId: "MQIsdp", protocolVersion: 3 },
  "3.1.1": { protocolId: "MQTT", protocolVersion: 4 },
  "5.0": { protocolId: "MQTT", protocolVersion: 5 },
};
const PROTOCOLS = { tcp: "mqtt", tls: "mqtts", ws: "ws", wss: "wss" };

const RENAMED = { user_property: "userProperties", maximum_qos: "maximumQoS",
  subscription_identifier_available: "subscriptionIdentifiersAvailable" };
const camel = (name) => RENAMED[name] ?? name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());

/** Properties as MQTT.js takes them; undefined where there are none. */
function propertiesOf(values) {
  const properties = {};
  for (const [name, value] of Object.entries(decoded(values))) {
    if (name === "user_property") {
      properties.userProperties = {}; // by name, so that the order among names is lost
      for (const [key, text] of value) (properties.userProperties[key] ??= []).push(text);
    } else if (name === "subscription_identifier") properties.subscriptionIdentifier = value.length > 1 ? value : value[0];
    else properties[camel(name)] = value;
  }
  return Object.keys(properties).length ? properties : undefined;
}

/** The way back. */
function valuesOf(properties) {
  if (!properties) return undefined;
  const values = Object.fromEntries(PROPERTIES.map((name) => [name, properties[camel(name)]]));
  if (values.user_property)
    values.user_property = Object.entries(values.user_property).flatMap(([key, texts]) => [texts].flat().map((text) => [key, text]));
  if (values.subscription_identifier !== undefined) values.subscription_identifier = [values.subscription_identifier].flat();
  return encoded(values);
}

/** Where MQTT.js keeps what a session owes; without `clean: false` it forgets it at the end of each connection. */
const newStores = () => ({ incomingStore: new mqtt.Store({ clean: false }), outgoingStore: new mqtt.Store({ clean: false }) });

class MqttJs {
  messages = 0;

  constructor(emit) {
    this.emit = emit;
  }

  async do_connect(command) {
    await this.cut();
    const { will, transport } = command;
    if (command.clean_start || command.client_id !== this.clientId) this.stores = newStores();
    this.clientId = command.client_id;
    const options = {
      ...VERSIONS[command.mqtt], ...this.stores, protocol: PROTOCOLS[transport], clientId: command.client_id,
      host: command.host, hostname: command.host, port: command.port, clean: command.clean_start,
      keepalive: command.keep_alive, username: command.username, resubscribe: false, reconnectPeriod: 0,
      password: command.password === undefined ? undefined : Buffer.from(command.password, "base64"),
      ca: command.ca_file && fs.readFileSync(command.ca_file), properties: propertiesOf(command.properties),
      topicAliasMaximum: command.properties?.topic_alias_maximum, // where 4.x looks for it
      will: will && { topic: will.topic, payload: Buffer.from(will.payload, "base64"), qos: will.qos,
        retain: will.retain, properties: propertiesOf(will.properties) },
      ...(transport.startsWith("ws") && { path: command.path }), // else it is the path of a Unix socket
    };
    this.is5 = command.mqtt === "5.0";
    this.refusal = this.goodbye = this.problem = undefined;
    const connected = new Promise((resolve, reject) => (this.connecting = { resolve, reject }));
    const { receive_maximum, topic_alias_maximum } = command.properties ?? {};
    const fixed = JSON.stringify([command.mqtt, command.client_id, transport, receive_maximum, topic_alias_maximum]);
    if (this.client && this.fixed === fixed) {
      Object.assign(this.client.options, options);
      this.client.reconnect(this.stores);
    } else { // what MQTT.js reads only once
      this.fixed = fixed;
      this.client = mqtt.connect(options);
      this.listen(this.client);
    }
    return connected;
  }

  listen(client) {
    client.on("error", (problem) => (this.problem = problem));
    client.on("packetreceive", (packet) => { // `connect` comes only when all that is sent again is acknowledged
      if (packet.cmd !== "connack") return;
      this.refusal = packet;
      if (packet.reasonCode || packet.returnCode) return;
      this.connecting?.resolve({ event: "connected", reason: 0, properties: valuesOf(packet.properties),
        session_present: this.fixed.startsWith('["3.1",') ? undefined : packet.sessionPresent });
      this.connecting = undefined;
    });
    client.on("disconnect", (packet) => (this.goodbye = packet));
    client.on("message", (topic, payload, packet) => {
      this.messages += 1;
      this.emit({ event: "message", message: this.messages, topic, payload: payload.toString("base64"), qos: packet.qos,
        retain: packet.retain, dup: packet.dup, packet_id: packet.messageId, properties: valuesOf(packet.properties) });
    });
    client.on("close", () => {
      if (client !== this.client) return;
      if (this.connecting) this.connecting = this.connecting.reject(this.whyNot());
      else if (this.closing) this.closing();
      else this.emit({ event: "disconnected", by: this.goodbye ? "broker" : "network", reason: this.goodbye?.reasonCode,
        properties: valuesOf(this.goodbye?.properties) });
    });
  }

  whyNot() {
    const { reasonCode, returnCode } = this.refusal ?? {};
    const reason = reasonCode ?? returnCode;
    if (reason) return new Unsuccessful("refused", "", { reason, properties: valuesOf(this.refusal.properties) });
    return new Unsuccessful(this.problem?.syscall === "connect" ? "failed" : "cut-off", String(this.problem ?? ""));
  }

  get connected() {
    if (!this.client?.connected) throw new Unsuccessful("cut-off", "there is no connection");
    return this.client;
  }

  only5(properties, others) {
    return this.is5 ? { ...others, properties: propertiesOf(properties) } : {};
  }

  /** What a callback of MQTT.js brings; `fields` makes the answer of its second and third values. */
  asked(call, fields) {
    return new Promise((resolve, reject) => {
      call((problem, ...values) => {
        const packet = values.at(-1) ?? problem?.packet;
        if (!problem || packet?.granted) resolve(fields(packet ?? {}));
        else if (/^Connection closed|disconnecting/.test(problem.message)) reject(new Unsuccessful("cut-off", problem.message));
        else if (typeof problem.code === "number")
          reject(new Unsuccessful("refused", problem.message, { reason: problem.code, properties: valuesOf(packet?.properties) }));
        else reject(problem);
      });
    });
  }

  async do_subscribe({ subscriptions, properties }) {
    const wanted = Object.fromEntries(subscriptions.map((each) => [each.topic_filter,
      { qos: each.qos, nl: each.no_local, rap: each.retain_as_published, rh: each.retain_handling }]));
    return this.asked((done) => this.connected.subscribe(wanted, this.only5(properties), done), (packet) => ({ event: "subscribed",
      reasons: packet.granted, properties: valuesOf(packet.properties) }));
  }

  async do_unsubscribe({ topic_filters, properties }) {
    return this.asked((done) => this.connected.unsubscribe(topic_filters, this.only5(properties), done), (packet) => ({
      event: "unsubscribed", reasons: this.is5 ? packet.granted : undefined, properties: valuesOf(packet.properties) }));
  }

  async do_publish({ topic, payload, qos, retain, properties }) {
    if (!this.client) throw new Unsuccessful("failed", "not connected yet");
    const options = { qos, retain, properties: propertiesOf(properties) };
    return this.asked((done) => this.client.publish(topic, Buffer.from(payload, "base64"), options, done), (packet) => ({
      event: "published", reason: packet.reasonCode, properties: valuesOf(packet.properties) }));
  }

  async do_disconnect({ reason, properties }) {
    await this.closed(() => this.connected.end(false, this.only5(properties, { reasonCode: reason })));
    return { event: "disconnected", by: "client" };
  }

  async do_drop() {
    await this.cut();
    return { event: "dropped" };
  }

  async cut() {
    if (!this.client || this.client.stream.destroyed) return;
    this.connecting?.reject(new Unsuccessful("cut-off"));
    this.connecting = undefined;
    await this.closed(() => this.client.stream.destroy());
  }

  async closed(close) {
    const closed = new Promise((resolve) => (this.closing = resolve));
    close();
    await closed;
    this.closing = undefined;
  }

  abandon() {
    const { client } = this;
    this.client = undefined;
    client?.end(true);
    client?.stream?.destroy();
  }
}

serve(HELLO, MqttJs);
