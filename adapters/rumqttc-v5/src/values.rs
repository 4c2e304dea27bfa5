//! The contract's values in those of rumqttc::v5, there and back.

use crate::contract::{base64, bytes_of, text};
use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::*;
use rumqttc::v5::mqttbytes::QoS;
use serde_json::{json, Value};

const LARGEST_BYTES: u32 = 268_435_455; // or it takes 10 KiB at most
const SHORTEST_KEEP_ALIVE_SECONDS: u64 = 5; // its options take no less, nor 0, which would turn it off

/// A field as whatever type is asked for; none where it is absent.
macro_rules! field {
    ($from:expr, $name:literal) => { serde_json::from_value($from[$name].clone()).ok().flatten() };
}

/// Fields of the library's properties by the contract's names, without those that are absent.
macro_rules! named {
    ($from:expr, $($field:ident as $name:literal),*) => {{
        let mut made = json!({"user_property": $from.user_properties});
        $(if !json!($from.$field).is_null() { made[$name] = json!($from.$field); })*
        made
    }};
}

/// Why its options cannot be what a `connect` asks for.
pub fn refusal(command: &Value) -> Option<&'static str> {
    if command["keep_alive"].as_u64().is_some_and(|seconds| seconds < SHORTEST_KEEP_ALIVE_SECONDS) {
        return Some("its Keep Alive is 5 s at least");
    }
    String::from_utf8(bytes_of(&command["password"])).is_err().then_some("its password is text")
}

pub fn level(qos: &Value) -> QoS {
    rumqttc::v5::mqttbytes::qos(qos.as_u64().unwrap_or(0) as u8).unwrap_or(QoS::AtMostOnce)
}

fn users(given: &Value) -> Vec<(String, String)> { field!(given, "user_property").unwrap_or_default() }

fn binary(given: &Value) -> Option<Bytes> { given.is_string().then(|| bytes_of(given).into()) }

pub fn of_connect(given: &Value) -> ConnectProperties {
    ConnectProperties {
        session_expiry_interval: field!(given, "session_expiry_interval"),
        receive_maximum: field!(given, "receive_maximum"),
        max_packet_size: field!(given, "maximum_packet_size").or(Some(LARGEST_BYTES)),
        topic_alias_max: field!(given, "topic_alias_maximum"),
        request_response_info: field!(given, "request_response_information"),
        request_problem_info: field!(given, "request_problem_information"),
        user_properties: users(given),
        authentication_method: field!(given, "authentication_method"),
        authentication_data: binary(&given["authentication_data"]),
    }
}

pub fn will(of: &Value) -> LastWill {
    let given = &of["properties"];
    let properties = LastWillProperties {
        delay_interval: field!(given, "will_delay_interval"),
        payload_format_indicator: field!(given, "payload_format_indicator"),
        message_expiry_interval: field!(given, "message_expiry_interval"),
        content_type: field!(given, "content_type"),
        response_topic: field!(given, "response_topic"),
        correlation_data: binary(&given["correlation_data"]),
        user_properties: users(given),
    };
    LastWill::new(text(&of["topic"]), bytes_of(&of["payload"]), level(&of["qos"]), of["retain"] == true, Some(properties))
}

pub fn of_publish(given: &Value) -> PublishProperties {
    PublishProperties {
        payload_format_indicator: field!(given, "payload_format_indicator"),
        message_expiry_interval: field!(given, "message_expiry_interval"),
        topic_alias: field!(given, "topic_alias"),
        response_topic: field!(given, "response_topic"),
        correlation_data: binary(&given["correlation_data"]),
        user_properties: users(given),
        subscription_identifiers: vec![],
        content_type: field!(given, "content_type"),
    }
}

pub fn of_subscribe(given: &Value) -> SubscribeProperties {
    SubscribeProperties {
        id: given["subscription_identifier"][0].as_u64().map(|id| id as usize),
        user_properties: users(given),
    }
}

pub fn of_unsubscribe(given: &Value) -> UnsubscribeProperties { UnsubscribeProperties { user_properties: users(given) } }

pub fn filter(wanted: &Value) -> Filter {
    let mut made = Filter::new(text(&wanted["topic_filter"]), level(&wanted["qos"]));
    made.nolocal = wanted["no_local"] == true;
    made.preserve_retain = wanted["retain_as_published"] == true;
    made.retain_forward_rule = match wanted["retain_handling"].as_u64() {
        Some(1) => RetainForwardRule::OnNewSubscribe,
        Some(2) => RetainForwardRule::Never,
        _ => RetainForwardRule::OnEverySubscribe,
    };
    made
}

// ---- the way back --------------------------------------------------------------------------------------------------

pub fn from_connack(given: &ConnAckProperties) -> Value {
    let mut made = named!(given, session_expiry_interval as "session_expiry_interval", receive_max as "receive_maximum",
        max_qos as "maximum_qos", retain_available as "retain_available", max_packet_size as "maximum_packet_size",
        assigned_client_identifier as "assigned_client_identifier", topic_alias_max as "topic_alias_maximum",
        reason_string as "reason_string", wildcard_subscription_available as "wildcard_subscription_available",
        subscription_identifiers_available as "subscription_identifier_available",
        shared_subscription_available as "shared_subscription_available", server_keep_alive as "server_keep_alive",
        response_information as "response_information", server_reference as "server_reference",
        authentication_method as "authentication_method");
    if let Some(data) = &given.authentication_data {
        made["authentication_data"] = base64(data);
    }
    made
}

pub fn from_publish(given: &PublishProperties) -> Value {
    let mut made = named!(given, payload_format_indicator as "payload_format_indicator", topic_alias as "topic_alias",
        message_expiry_interval as "message_expiry_interval", response_topic as "response_topic",
        subscription_identifiers as "subscription_identifier", content_type as "content_type");
    if let Some(data) = &given.correlation_data {
        made["correlation_data"] = base64(data);
    }
    made
}

/// What the acknowledgements have; each type has its own of them.
macro_rules! explained {
    ($from:expr) => { $from.as_ref().map(|given| named!(given, reason_string as "reason_string")).unwrap_or(json!({})) };
}

/// The bytes of a packet: the library shows reason codes by names only, and writes them as numbers.
fn written<E>(write: impl FnOnce(&mut BytesMut) -> Result<usize, E>) -> Vec<u8> {
    let mut buffer = BytesMut::new();
    let _ = write(&mut buffer);
    buffer.to_vec()
}

pub fn code_of_connack(code: ConnectReturnCode) -> u8 {
    written(|to| ConnAck { session_present: false, code, properties: None }.write(to))[3]
}

pub fn connected(ack: &ConnAck) -> Value {
    let properties = ack.properties.as_ref().map(from_connack).unwrap_or(json!({}));
    json!({"event": "connected", "session_present": ack.session_present, "reason": 0, "properties": properties})
}

pub fn subscribed(ack: &SubAck) -> Value {
    let bytes = written(|to| ack.write(to));
    let reasons = &bytes[bytes.len() - ack.return_codes.len()..];
    json!({"event": "subscribed", "reasons": reasons, "properties": explained!(ack.properties)})
}

pub fn unsubscribed(ack: &UnsubAck) -> Value {
    let bytes = written(|to| ack.write(to));
    let reasons = &bytes[bytes.len() - ack.reasons.len()..];
    json!({"event": "unsubscribed", "reasons": reasons, "properties": explained!(ack.properties)})
}

/// How a publish ended, by its PUBACK, PUBREC or PUBCOMP.
macro_rules! outcome {
    ($name:ident, $kind:ident) => {
        pub fn $name(ack: &$kind) -> Value {
            let bytes = written(|to| $kind { properties: None, ..ack.clone() }.write(to));
            let reason = bytes.get(4).copied().unwrap_or(0); // success is left out
            let mut made = json!({"event": "published", "reason": reason, "properties": explained!(ack.properties)});
            if reason >= 0x80 {
                (made["event"], made["error"]) = (json!("error"), json!("refused"));
            }
            made
        }
    };
}
outcome!(of_puback, PubAck);
outcome!(of_pubrec, PubRec);

pub fn message(number: usize, publish: &Publish) -> Value {
    json!({"event": "message", "message": number, "payload": base64(&publish.payload), "dup": publish.dup,
        "topic": String::from_utf8_lossy(&publish.topic), "qos": publish.qos as u8, "retain": publish.retain,
        "packet_id": (publish.pkid > 0).then_some(publish.pkid),
        "properties": publish.properties.as_ref().map(from_publish)})
}
