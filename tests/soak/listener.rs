//! A client that listens to a server from beginning to end and keeps what it hears.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tungstenite::Message;

/// The client. It ends with the server.
pub(crate) struct Listener(Arc<Mutex<Received>>);

/// The prices heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// The digits of each symbol's prices, as they read on the wire.
    pub(crate) prices: BTreeMap<String, Vec<String>>,
    /// Ticks that the server printed and we did not get.
    pub(crate) gaps: u64,
    /// Events that say that a symbol is stale.
    pub(crate) stale: u64,
    seqs: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Line<'l> {
    event: Option<String>,
    symbol: String,
    seq: Option<u64>,
    #[serde(borrow)]
    price: Option<&'l RawValue>,
}

impl Listener {
    /// Connects, and listens in a thread.
    pub(crate) fn start(address: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        let limit = Some(Duration::from_secs(30));
        socket.set_read_timeout(limit).unwrap();
        let (mut client, _) = tungstenite::client(format!("ws://{address}/"), socket).unwrap();
        let received: Arc<Mutex<Received>> = Arc::default();
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            while let Ok(message) = client.read() {
                match message {
                    Message::Text(text) => kept.lock().unwrap().take(&text),
                    Message::Ping(_) if client.flush().is_err() => return,
                    _ => {}
                }
            }
        });
        Self(received)
    }

    pub(crate) fn received(&self) -> Received {
        self.0.lock().unwrap().clone()
    }

    /// How many prices of each symbol were heard.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let received = self.0.lock().unwrap();
        let counts = received.prices.iter();
        counts
            .map(|(wire, prices)| (wire.clone(), prices.len()))
            .collect()
    }
}

impl Received {
    fn take(&mut self, text: &str) {
        let line: Line<'_> = serde_json::from_str(text).unwrap();
        if let Some(event) = line.event {
            self.stale += u64::from(event == "stale");
            return;
        }
        let (Some(price), Some(seq)) = (line.price, line.seq) else {
            panic!("no tick: {text}");
        };
        if let Some(last) = self.seqs.insert(line.symbol.clone(), seq) {
            self.gaps += seq - last - 1;
        }
        let prices = self.prices.entry(line.symbol).or_default();
        prices.push(price.get().to_owned());
    }
}
