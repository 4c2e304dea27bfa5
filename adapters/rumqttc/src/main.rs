//! rumqttc, for MQTT 3.1.1, behind the contract.
//! Belongs here: the contract's commands in its calls, its events as ours. Does not belong here: mending it.

#[path = "../../shared/rust/contract.rs"]
mod contract;

use contract::{base64, bytes_of, error, say, serve, text, Adapter, Waiting};
use rumqttc::mqttbytes::v4::{PubAck, PubComp, SubscribeReasonCode, SubscribeReasonCode::Success};
use rumqttc::ConnectionError::{self, ConnectionRefused as Refused, Io};
use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS};
use serde_json::{json, Value};
use std::{io::ErrorKind, time::Duration};

const ROOM: usize = 100_000; // requests that may wait for the event loop
const LARGEST_BYTES: usize = 16 * 1024 * 1024;
/// One client instance, but for its event loop.
#[derive(Default)]
struct Rumqttc {
    client: Option<AsyncClient>,
    made_for: String,
    is_open: bool,
    is_connected: bool,
    waiting: Waiting,
    messages: Vec<Publish>,
}

fn level(qos: &Value) -> QoS {
    rumqttc::mqttbytes::qos(qos.as_u64().unwrap_or(0) as u8).unwrap_or(QoS::AtMostOnce)
}

fn options_of(command: &Value) -> MqttOptions {
    let (id, host) = (text(&command["client_id"]), text(&command["host"]));
    let mut options = MqttOptions::new(id, host, command["port"].as_u64().unwrap_or(0) as u16);
    options.set_clean_session(command["clean_start"] != false);
    options.set_keep_alive(Duration::from_secs(command["keep_alive"].as_u64().unwrap_or(0)));
    options.set_max_packet_size(LARGEST_BYTES, LARGEST_BYTES).set_manual_acks(command["manual_ack"] == true);
    if let Some(username) = command["username"].as_str() {
        options.set_credentials(username, String::from_utf8_lossy(&bytes_of(&command["password"])));
    }
    if let Some(will) = command["will"].as_object() {
        let (topic, payload) = (text(&will["topic"]), bytes_of(&will["payload"]));
        options.set_last_will(LastWill::new(topic, payload, level(&will["qos"]), will["retain"] == true));
    }
    options
}

impl Adapter for Rumqttc {
    type EventLoop = EventLoop;
    type Happened = Result<Event, ConnectionError>;

    fn hello() -> Value {
        let lacks = ["empty-client-id"]; // it wants one in a kept session
        json!({"event": "hello", "contract": 1, "client": "rumqttc", "version": "0.25.1", "mqtt": ["3.1.1"], "unsupported": lacks})
    }

    fn is_open(&self) -> bool { self.is_open }

    async fn poll(event_loop: &mut EventLoop) -> Self::Happened { event_loop.poll().await }

    /// Closes the network connection, too.
    fn close(event_loop: &mut EventLoop) { event_loop.clean() }

    fn take(&mut self, happened: Self::Happened) {
        match happened {
            Ok(Event::Incoming(packet)) => self.came(packet),
            Ok(Event::Outgoing(outgoing)) => self.went(outgoing),
            Err(problem) => self.ended(problem),
        }
    }

    /// Begin a connection, which `main` opens; with the event loop there is, or a new one.
    fn connect(&mut self, command: &Value, event_loop: &mut Option<EventLoop>) {
        if String::from_utf8(bytes_of(&command["password"])).is_err() {
            return say(Some(&command["id"]), error("unsupported", "its password is text"));
        }
        let (id, options) = (text(&command["client_id"]), options_of(command));
        match event_loop {
            Some(event_loop) if self.made_for == id => event_loop.mqtt_options = options,
            _ => {
                self.waiting.cut_off(&["publish"]);
                let (client, made) = AsyncClient::new(options, ROOM);
                (self.client, *event_loop) = (Some(client), Some(made));
            }
        }
        self.made_for = id;
        self.is_open = true;
        self.waiting.now("connect", &command["id"]);
    }

    /// The connection is over, for whatever reason.
    fn over(&mut self) {
        (self.is_open, self.is_connected) = (false, false);
        self.waiting.cut_off(&["connect", "subscribe", "unsubscribe"]);
    }

    /// Carry out any other command; gives the answer unless it comes later.
    fn answer(&mut self, command: &Value) -> Option<Value> {
        let (id, verb) = (&command["id"], command["do"].as_str().unwrap_or(""));
        if !["subscribe", "unsubscribe", "publish", "ack", "disconnect"].contains(&verb) {
            return Some(error("unsupported", verb));
        }
        let Some(client) = self.client.as_ref().filter(|_| self.is_connected || verb == "publish") else {
            return Some(error("cut-off", "there is no connection"));
        };
        let done = match verb {
            "subscribe" => client.try_subscribe_many(command["subscriptions"].as_array()?.iter().map(|each| {
                rumqttc::SubscribeFilter::new(text(&each["topic_filter"]), level(&each["qos"]))
            })),
            "unsubscribe" if !command["topic_filters"][1].is_null() => return Some(error("unsupported", "several filters")),
            "unsubscribe" => client.try_unsubscribe(text(&command["topic_filters"][0])),
            "publish" => {
                let (topic, payload) = (text(&command["topic"]), bytes_of(&command["payload"]));
                client.try_publish(topic, level(&command["qos"]), command["retain"] == true, payload)
            }
            "ack" => match command["message"].as_u64().and_then(|number| self.messages.get(number as usize - 1)) {
                Some(message) => client.try_ack(message),
                None => return Some(error("failed", "there is no such message")),
            },
            _ => client.try_disconnect(),
        };
        match (done, verb) {
            (Err(problem), _) => return Some(error("failed", problem)),
            (_, "subscribe") => self.waiting.expect("subscribe", id),
            (_, "unsubscribe") => self.waiting.expect("unsubscribe", id),
            (_, "publish") if command["qos"] == 0 => return Some(json!({"event": "published"})), // it tells no more
            (_, "publish") => self.waiting.expect("publish", id),
            (_, "ack") => return Some(json!({"event": "acked"})),
            _ => self.waiting.now("disconnect", id),
        }
        None
    }
}

impl Rumqttc {
    fn came(&mut self, packet: Packet) {
        match packet {
            Packet::ConnAck(connack) => {
                self.is_connected = true;
                if !connack.session_present {
                    self.waiting.cut_off(&["publish"]); // rumqttc has forgotten them
                }
                let event = json!({"event": "connected", "session_present": connack.session_present, "reason": 0});
                self.waiting.settle("connect", 0, event);
            }
            Packet::SubAck(ack) => {
                let code = |code: &SubscribeReasonCode| if let Success(qos) = code { *qos as u8 } else { 0x80 };
                let reasons: Vec<u8> = ack.return_codes.iter().map(code).collect();
                self.waiting.settle("subscribe", ack.pkid, json!({"event": "subscribed", "reasons": reasons}));
            }
            Packet::UnsubAck(ack) => self.settle("unsubscribe", ack.pkid, "unsubscribed"),
            Packet::PubAck(PubAck { pkid }) | Packet::PubComp(PubComp { pkid }) => self.settle("publish", pkid, "published"),
            Packet::Publish(publish) => {
                self.messages.push(publish.clone());
                say(None, json!({"event": "message", "message": self.messages.len(), "topic": publish.topic,
                    "payload": base64(&publish.payload), "qos": publish.qos as u8, "retain": publish.retain, "dup": publish.dup,
                    "packet_id": (publish.pkid > 0).then_some(publish.pkid)}));
            }
            _ => {}
        }
    }

    fn settle(&mut self, verb: &'static str, packet_id: u16, event: &str) {
        self.waiting.settle(verb, packet_id, json!({"event": event}));
    }

    fn went(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Publish(0) => {}
            Outgoing::Publish(packet_id) => self.waiting.went_out("publish", packet_id),
            Outgoing::Subscribe(packet_id) => self.waiting.went_out("subscribe", packet_id),
            Outgoing::Unsubscribe(packet_id) => self.waiting.went_out("unsubscribe", packet_id),
            Outgoing::Disconnect => {
                self.over();
                self.waiting.settle("disconnect", 0, json!({"event": "disconnected", "by": "client"}));
            }
            _ => {}
        }
    }

    fn ended(&mut self, problem: ConnectionError) {
        let mut answer = error("cut-off", &problem);
        match problem {
            Refused(code) => answer = json!({"event": "error", "error": "refused", "reason": code as u8}),
            Io(why) if why.kind() == ErrorKind::ConnectionRefused => answer["error"] = json!("failed"),
            _ => {}
        }
        let is_answer = self.waiting.settle("connect", 0, answer);
        self.over();
        if !is_answer {
            say(None, json!({"event": "disconnected", "by": "network"}));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() { serve::<Rumqttc>().await }
