//! The adapter contract for clients in Rust: commands in, events out, one JSON object per line.
//!
//! Belongs here: what every adapter in Rust needs. Does not belong here: a client library.

use base64::{engine::general_purpose::STANDARD, Engine};
use serde_json::{json, Value};
use std::future::Future;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, Write};
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};

/// Commands as they come in; none after the end of standard input.
fn commands() -> UnboundedReceiver<Value> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line).map(|command| sender.send(command)) {
                Ok(Ok(())) => continue,
                _ => break,
            }
        }
    });
    receiver
}

/// Write an event; as the answer to the command `id` where there is one.
pub fn say(id: Option<&Value>, mut event: Value) {
    if let Some(id) = id {
        event["id"] = id.clone();
    }
    let mut output = std::io::stdout().lock();
    // Without a reader the harness has gone, and its end of the input tells us.
    let _ = writeln!(output, "{event}").and_then(|()| output.flush());
}

/// An error of the contract.
pub fn error(kind: &str, detail: impl ToString) -> Value {
    json!({"event": "error", "error": kind, "detail": detail.to_string()})
}

/// The bytes of a base64 text; none where there is no text.
pub fn bytes_of(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or("")).unwrap_or_default()
}

/// Bytes as the contract has them.
pub fn base64(bytes: &[u8]) -> Value {
    STANDARD.encode(bytes).into()
}

/// A text, or an empty one.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

/// Commands that wait for the broker: first to be sent, in order, then by the packet identifier they were sent with.
#[derive(Default)]
pub struct Waiting {
    unsent: HashMap<&'static str, VecDeque<Value>>,
    sent: HashMap<(&'static str, u16), Value>,
    /// What went out on this connection, and what went out with an identifier whose command is not answered yet: some
    /// libraries tell of a packet that was sent when an identifier came free before they tell of what freed it.
    here: HashSet<(&'static str, u16)>,
    behind: HashMap<(&'static str, u16), Value>,
}

impl Waiting {
    /// The command `id` is to be sent after those of its verb before it.
    pub fn expect(&mut self, verb: &'static str, id: &Value) {
        self.unsent.entry(verb).or_default().push_back(id.clone());
    }

    /// The command `id` waits, without any identifier; `settle` it with 0.
    pub fn now(&mut self, verb: &'static str, id: &Value) {
        self.sent.insert((verb, 0), id.clone());
    }

    /// A packet went out; the first one on a connection with an identifier in use is sent again, all others are new.
    pub fn went_out(&mut self, verb: &'static str, packet_id: u16) {
        let key = (verb, packet_id);
        if self.here.insert(key) && self.sent.contains_key(&key) {
            return;
        }
        if let Some(id) = self.unsent.entry(verb).or_default().pop_front() {
            let place = if self.sent.contains_key(&key) { &mut self.behind } else { &mut self.sent };
            place.insert(key, id);
        }
    }

    /// Answer the command whose packet had this identifier, if there is one.
    pub fn settle(&mut self, verb: &'static str, packet_id: u16, event: Value) -> bool {
        if verb == "connect" {
            self.here.clear();
        }
        let key = (verb, packet_id);
        let id = self.sent.remove(&key);
        if let Some(next) = self.behind.remove(&key) {
            self.sent.insert(key, next);
        }
        if id.is_some() {
            say(id.as_ref(), event);
        }
        id.is_some()
    }

    /// The connection ended: answer what waits of these verbs.
    pub fn cut_off(&mut self, verbs: &[&'static str]) {
        for verb in verbs {
            let mut sent = Vec::new();
            for some in [&mut self.sent, &mut self.behind] {
                let keys: Vec<_> = some.keys().filter(|(of, _)| of == verb).cloned().collect();
                sent.extend(keys.iter().filter_map(|key| some.remove(key)));
            }
            for id in sent.iter().chain(&self.unsent.remove(verb).unwrap_or_default()) {
                say(Some(id), error("cut-off", ""));
            }
        }
    }
}

/// One client instance of a library with an event loop that has to be polled.
pub trait Adapter: Default {
    type EventLoop;
    type Happened;

    fn hello() -> Value;
    /// Whether the event loop is to be polled.
    fn is_open(&self) -> bool;
    fn poll(event_loop: &mut Self::EventLoop) -> impl Future<Output = Self::Happened>;
    fn close(event_loop: &mut Self::EventLoop);
    /// Begin a connection, with the event loop there is or a new one.
    fn connect(&mut self, command: &Value, event_loop: &mut Option<Self::EventLoop>);
    /// The connection is over, for whatever reason.
    fn over(&mut self);
    /// Carry out any other command; gives the answer unless it comes later.
    fn answer(&mut self, command: &Value) -> Option<Value>;
    /// What the event loop brought.
    fn take(&mut self, happened: Self::Happened);
}

/// Serve standard input until it ends.
pub async fn serve<A: Adapter>() {
    let (mut lines, mut adapter, mut event_loop) = (commands(), A::default(), None::<A::EventLoop>);
    loop {
        let is_open = adapter.is_open();
        let command = {
            let poll = async {
                match &mut event_loop {
                    Some(event_loop) if is_open => A::poll(event_loop).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::pin!(poll); // so that CONNECT is sent once, however many commands come meanwhile
            loop {
                tokio::select! {
                    line = lines.recv() => {
                        let Some(command) = line else { return };
                        if ["hello", "connect", "drop", "reset", "exit"].contains(&text(&command["do"]).as_str()) {
                            break command;
                        }
                        if let Some(answer) = adapter.answer(&command) {
                            say(Some(&command["id"]), answer);
                        }
                    }
                    happened = &mut poll => {
                        adapter.take(happened);
                        break Value::Null;
                    }
                }
            }
        };
        let verb = text(&command["do"]);
        let answer = match verb.as_str() {
            "hello" => Some(A::hello()),
            "reset" | "exit" => {
                (adapter, event_loop) = (A::default(), None);
                Some(json!({"event": if verb == "reset" { "ready" } else { "bye" }}))
            }
            "drop" | "connect" => {
                adapter.over();
                (verb == "drop").then(|| json!({"event": "dropped"}))
            }
            _ => None,
        };
        if let Some(event_loop) = event_loop.as_mut().filter(|_| is_open && !adapter.is_open()) {
            A::close(event_loop);
        }
        if verb == "connect" {
            adapter.connect(&command, &mut event_loop);
        }
        if let Some(answer) = answer {
            say(Some(&command["id"]), answer);
        }
        if verb == "exit" {
            return;
        }
    }
}
