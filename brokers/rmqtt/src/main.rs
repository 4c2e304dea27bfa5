//! RMQTT as a broker by name: what it is to be stands in a file.
//! Belongs here: those wishes in its options. Does not belong here: mending it.

use std::error::Error;
use std::num::NonZeroU16;
use std::time::Duration;

use rmqtt::codec::types::QoS;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;
use serde_json::Value;
use tokio::signal::unix::{signal, SignalKind};

/// The plugins of rmqttd that a broker needs to keep retained messages and to share subscriptions, as they come.
const RETAINER: &str = "rmqtt-retainer";
const SHARED: &str = "rmqtt-shared-subscription";

/// What a Remaining Length can say, in bytes.
const LARGEST_PACKET: u32 = 268_435_455;

fn with(listener: Builder, name: &str, value: &Value) -> Result<Builder, Box<dyn Error>> {
    let number = value.as_u64().ok_or(format!("{name} is no number"))?;
    Ok(match name {
        "maximum_packet_size" => listener.max_packet_size(number.try_into()?),
        "maximum_qos" => listener.max_qos_allowed(QoS::try_from(u8::try_from(number)?)?),
        "queue_maximum_messages" => listener.max_mqueue_len(number.try_into()?),
        "receive_maximum" => listener.max_inflight(NonZeroU16::try_from(u16::try_from(number)?)?),
        "session_expiry_maximum" => listener.max_session_expiry_interval(Duration::from_secs(number)),
        "topic_alias_maximum" => listener.max_topic_aliases(number.try_into()?),
        _ => return Err(format!("no such setting: {name}").into()),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    simple_logger::init_with_level(log::Level::Warn)?;
    let file = std::env::args().nth(1).ok_or("the file with what is wished for is missing")?;
    let wish: Value = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let text = |name: &str| wish[name].as_str().ok_or(format!("{name} is missing"));
    let address = format!("{}:{}", text("host")?, wish["port"]).parse()?;
    // Or every message expires after five minutes, a packet may have no more than 1 MiB, and there are no topic aliases.
    let mut listener = Builder::new()
        .name("interop")
        .laddr(address)
        .nodelay(true)
        .message_expiry_interval(Duration::ZERO)
        .max_packet_size(LARGEST_PACKET)
        .max_topic_aliases(16);
    for (name, value) in wish["settings"].as_object().into_iter().flatten() {
        listener = with(listener, name, value)?;
    }
    let context = ServerContext::new()
        // Or it refuses connections where the machine has much to do.
        .busy_check_enable(false)
        // Or a retained message expires as soon as one would that says nothing of it: at once.
        .plugins_config_map_add(RETAINER, "retained_message_ttl = \"0s\"")
        .plugins_config_map_add(SHARED, "")
        .build()
        .await;
    rmqtt_retainer::register_named(&context, RETAINER, true, false).await?;
    rmqtt_shared_subscription::register_named(&context, SHARED, true, false).await?;
    let bound = listener.bind()?;
    let bound = if text("transport")? == "ws" { bound.ws()? } else { bound.tcp()? };
    MqttServer::new(context).listener(bound).build().start();
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
