//! rumqttc, for MQTT 5.0, behind the contract.
//! Belongs here: the contract's commands in its calls, its events as ours. Does not belong here: mending it.
#[path = "../../shared/rust/contract.rs"]
mod contract;
mod values;

use contract::{bytes_of, error, say, serve, text, Adapter, Waiting};
use rumqttc::v5::mqttbytes::v5::{Packet, PubRecReason, Publish};
use rumqttc::v5::ConnectionError::{self, ConnectionRefused as Refused, Io, MqttState};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions, StateError};
use rumqttc::Outgoing;
use serde_json::{json, Value};
use std::{io::ErrorKind, time::Duration};
use values::level;

const ROOM: usize = 100_000; // requests that may wait for the event loop
const LACKS: [&str; 6] =
    ["auth", "disconnect-properties", "disconnect-reason", "keep-alive", "refuse-message", "topic-alias-inbound"];

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

fn is_success(reason: PubRecReason) -> bool { matches!(reason, PubRecReason::Success | PubRecReason::NoMatchingSubscribers) }

fn options_of(command: &Value) -> MqttOptions {
    let (id, host) = (text(&command["client_id"]), text(&command["host"]));
    let mut options = MqttOptions::new(id, host, command["port"].as_u64().unwrap_or(0) as u16);
    options.set_clean_start(command["clean_start"] != false);
    options.set_keep_alive(Duration::from_secs(command["keep_alive"].as_u64().unwrap_or(60)));
    options.set_connect_properties(values::of_connect(&command["properties"]));
    options.set_manual_acks(command["manual_ack"] == true);
    if let Some(username) = command["username"].as_str() {
        options.set_credentials(username, String::from_utf8_lossy(&bytes_of(&command["password"])));
    }
    if command["will"].is_object() {
        options.set_last_will(values::will(&command["will"]));
    }
    options
}

impl Adapter for Rumqttc {
    type EventLoop = EventLoop;
    type Happened = Result<Event, ConnectionError>;

    fn hello() -> Value {
        json!({"event": "hello", "contract": 1, "client": "rumqttc-v5", "version": "0.25.1", "mqtt": ["5.0"], "unsupported": LACKS})
    }

    fn is_open(&self) -> bool { self.is_open }
    async fn poll(event_loop: &mut EventLoop) -> Self::Happened { event_loop.poll().await }

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
        if let Some(why) = values::refusal(command) {
            return say(Some(&command["id"]), error("unsupported", why));
        }
        let (id, options) = (text(&command["client_id"]), options_of(command));
        match event_loop {
            Some(event_loop) if self.made_for == id => event_loop.options = options,
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
        let (id, verb, given) = (&command["id"], command["do"].as_str().unwrap_or(""), &command["properties"]);
        if !["subscribe", "unsubscribe", "publish", "ack", "disconnect"].contains(&verb) {
            return Some(error("unsupported", verb));
        }
        let Some(client) = self.client.as_ref().filter(|_| self.is_connected || verb == "publish") else {
            return Some(error("cut-off", "there is no connection"));
        };
        let done = match verb {
            "subscribe" => {
                let filters = command["subscriptions"].as_array()?.iter().map(values::filter);
                client.try_subscribe_many_with_properties(filters, values::of_subscribe(given))
            }
            "unsubscribe" if !command["topic_filters"][1].is_null() => return Some(error("unsupported", "several filters")),
            "unsubscribe" => client.try_unsubscribe_with_properties(
                text(&command["topic_filters"][0]), values::of_unsubscribe(given)),
            "publish" => {
                let (topic, payload, retain) = (text(&command["topic"]), bytes_of(&command["payload"]), command["retain"] == true);
                client.try_publish_with_properties(topic, level(&command["qos"]), retain, payload, values::of_publish(given))
            }
            "ack" if command["reason"] != 0 => return Some(error("unsupported", "it acknowledges with success only")),
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
            Packet::ConnAck(ack) => {
                self.is_connected = true;
                if !ack.session_present {
                    self.waiting.cut_off(&["publish"]); // rumqttc has forgotten them
                }
                self.waiting.settle("connect", 0, values::connected(&ack));
            }
            Packet::SubAck(ack) => self.settle("subscribe", ack.pkid, values::subscribed(&ack)),
            Packet::UnsubAck(ack) => self.settle("unsubscribe", ack.pkid, values::unsubscribed(&ack)),
            Packet::PubAck(ack) => self.settle("publish", ack.pkid, values::of_puback(&ack)),
            Packet::PubRec(ack) if !is_success(ack.reason) => self.settle("publish", ack.pkid, values::of_pubrec(&ack)),
            Packet::PubComp(ack) => self.settle("publish", ack.pkid, json!({"event": "published", "reason": 0})),
            Packet::Publish(publish) => {
                say(None, values::message(self.messages.len() + 1, &publish));
                self.messages.push(publish);
            }
            _ => {}
        }
    }

    fn settle(&mut self, verb: &'static str, packet_id: u16, event: Value) {
        self.waiting.settle(verb, packet_id, event);
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
        let (mut answer, mut end) = (error("cut-off", &problem), json!({"event": "disconnected", "by": "network"}));
        match problem {
            Refused(code) => answer = json!({"event": "error", "error": "refused", "reason": values::code_of_connack(code)}),
            Io(why) if why.kind() == ErrorKind::ConnectionRefused => answer["error"] = json!("failed"),
            MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
                (end["by"], end["reason"]) = (json!("broker"), json!(reason_code as u8));
                if let Some(text) = reason_string {
                    end["properties"] = json!({"reason_string": text});
                }
            }
            _ => {}
        }
        let is_answer = self.waiting.settle("connect", 0, answer);
        self.over();
        if !is_answer {
            say(None, end);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() { serve::<Rumqttc>().await }
