//! A fake of every exchange of the catalogue: real formats over HTTP, HTTPS, ws and wss on one
//! port of loopback, for tests and demos.
//!
//! The first element of a path is the intended authority, as the server's `--upstream` sends it:
//! `/data-api.binance.vision/api/v3/ticker/24hr?symbol=BTCUSDT`. A Host header with that authority works as
//! well. Prices change all the time, and each one sent is recorded. Faults are switched at run
//! time, in the process or by a POST to `/_control`.
//!
//! It uses a thread for each connection, since it is not the product.

mod answer;
mod clock;
mod control;
mod fault;
mod formats;
mod http;
mod notation;
mod prices;
mod protobuf;
mod request;
mod rest;
mod state;
mod stream;
mod template;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use fault::{Fault, Stage, random};
pub use prices::{Delivery, Outcome};
use state::Shared;

/// The configuration of a fake exchange.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port to listen on; 0 for any.
    pub port: u16,
    /// The seed of the prices.
    pub seed: u64,
    /// The seed of random faults, if they are wanted.
    pub random_faults: Option<u64>,
    /// Faults that never occur at random.
    pub spared: &'static [Fault],
    /// The symbols that all exchanges trade, in unified notation.
    pub symbols: Vec<String>,
    /// How many more markets lists of all markets contain, for realistic sizes: a list of 2000 is
    /// half a megabyte. Clients do not ask for them, so their prices do not change and are not
    /// recorded.
    pub fillers: usize,
    /// How often a stream sends a price of each symbol.
    pub tick_every: Duration,
    /// How long a hanging fault lasts.
    pub patience: Duration,
    /// The intervals of all ping rules are divided by this.
    pub haste: u32,
}

impl Default for Config {
    fn default() -> Self {
        let quotes = ["USDT", "USD", "EUR", "KRW", "USDC"];
        let bases = ["BTC", "ETH", "SOL", "DOGE"];
        let pairs = quotes
            .iter()
            .flat_map(|quote| bases.map(|base| format!("{base}/{quote}")));
        let fillers = (0..50).map(|n| format!("A{n}/USDT"));
        let local = LOCAL_CURRENCIES.map(|quote| format!("BTC/{quote}"));
        let exponents = ["ETH/BTC", "SHIB/USDT", "SHIB/BTC"].map(str::to_owned);
        Self {
            port: 0,
            seed: 1,
            random_faults: None,
            spared: &[],
            symbols: pairs.chain(local).chain(exponents).chain(fillers).collect(),
            fillers: 0,
            tick_every: Duration::from_millis(100),
            patience: Duration::from_secs(20),
            haste: 1,
        }
    }
}

/// The currencies that only exchanges of one country have.
const LOCAL_CURRENCIES: [&str; 14] = [
    "AUD", "BRL", "CAD", "CZK", "GBP", "IDR", "INR", "JPY", "MXN", "PHP", "THB", "TRY", "TWD",
    "ZAR",
];

/// A running fake exchange; it stops when dropped.
pub struct FakeExchange {
    /// The address that it listens on, for plain connections and TLS alike.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request that arrived, or the handshake of a stream.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When its head had arrived.
    pub at: Instant,
    /// The source in the format of the server's command line; empty if it is unknown.
    pub source: String,
    /// The target without the authority.
    pub target: String,
    /// The number of the connection, counted from 1.
    pub connection: u64,
    /// The fault that struck it.
    pub fault: Fault,
}

impl FakeExchange {
    /// Starts a fake exchange, which accepts connections as soon as this returns.
    pub fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(config));
        let served = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &served));
        Ok(Self { address, shared })
    }

    /// The value of `--upstream`.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value of `--upstream` with TLS; goes with [`pem`](Self::pem).
    pub fn https(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate of its authority, for `--ca`.
    pub fn pem(&self) -> &str {
        &self.shared.authority.pem
    }

    /// Replaces the fault of `source` (`binance`, `binance+stream`, or an empty name for all);
    /// [`Fault::None`] ends it. A fault of the certificate strikes all connections; existing ones
    /// are closed.
    pub fn set(&self, source: &str, fault: Fault) {
        self.shared.set(source, fault, None);
    }

    /// Lets the fault strike the next `times` requests or prices of `source`.
    pub fn set_times(&self, source: &str, fault: Fault, times: u64) {
        self.shared.set(source, fault, Some(times));
    }

    /// Starts random faults with this seed, or stops them.
    pub fn leave_to_chance(&self, seed: Option<u64>) {
        self.shared.leave_to_chance(seed);
    }

    /// How often each fault has struck, by name.
    pub fn struck(&self) -> BTreeMap<&'static str, u64> {
        self.shared.struck()
    }

    /// Ends all faults that were set.
    pub fn clear(&self) {
        self.shared.clear();
    }

    /// Sets whether this exchange trades this symbol, which is one of [`Config::symbols`]. Its list
    /// of markets and its prices by request follow at once, streams with the next subscription.
    pub fn list(&self, exchange: &str, symbol: &str, is_listed: bool) {
        self.shared.list(exchange, symbol, is_listed);
    }

    /// The symbols that this exchange trades, in order.
    pub fn listed(&self, exchange: &str) -> Vec<String> {
        let symbols = self.shared.symbols(exchange);
        let mut symbols: Vec<_> = symbols.iter().map(|it| it.unified.to_owned()).collect();
        symbols.sort();
        symbols.dedup();
        symbols
    }

    /// Lets this much time pass on the clock of all streams: what is due meanwhile is sent before
    /// this returns, and clients that have missed a duty are dropped.
    pub fn advance(&self, by: Duration) {
        self.shared.advance(by);
    }

    /// Closes all connections without notice.
    pub fn hang_up(&self) {
        self.shared.hang_up();
    }

    /// Closes the connections of this source without notice.
    pub fn cut(&self, source: &str) {
        self.shared.cut(source);
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// All prices sent, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.deliveries()
    }

    /// The prices of a symbol that a client must have received: those sent without a harmful fault.
    pub fn good(&self, source: &str, symbol: &str) -> Vec<Delivery> {
        let mut deliveries = self.deliveries();
        deliveries.retain(|delivery| {
            let is_meant = delivery.source == source && delivery.symbol == symbol;
            is_meant && delivery.outcome == Outcome::Good
        });
        deliveries
    }

    /// Compares the prices of a symbol that a client received with those sent without a harmful
    /// fault: from the client's first one on, none may be missing, doubled or different. The last
    /// few that were sent may still be in flight; their number is returned.
    pub fn check(
        &self,
        source: &str,
        symbol: &str,
        delivered: &[impl AsRef<str>],
    ) -> Result<usize, String> {
        let good = self.good(source, symbol);
        let Some(first) = delivered.first() else {
            return Ok(good.len());
        };
        let begin = good.iter().position(|tick| tick.price == first.as_ref());
        let begin = begin.ok_or_else(|| format!("{} was never sent", first.as_ref()))?;
        for (index, price) in delivered.iter().enumerate() {
            let price = price.as_ref();
            match good.get(begin + index) {
                Some(sent) if sent.price == price => {}
                Some(sent) => {
                    return Err(format!(
                        "{price} instead of {} as number {index}",
                        sent.price
                    ));
                }
                None => return Err(format!("{price} after all that was sent")),
            }
        }
        Ok(good.len() - begin - delivered.len())
    }

    /// All requests, in the order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }
}

impl Drop for FakeExchange {
    fn drop(&mut self) {
        self.shared.stop();
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

/// The names of all exchanges and of their streams.
pub fn sources() -> Vec<String> {
    formats::exchanges()
        .map(|exchange| exchange.id.to_owned())
        .chain(formats::streams().map(|stream| format!("{}+stream", stream.id)))
        .collect()
}

/// The one quote currency of an exchange that has only one: it trades every base in that, and no
/// other symbol.
pub fn home(exchange: &str) -> Option<&'static str> {
    formats::home(exchange)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming().flatten() {
        let Some(number) = shared.opened(&socket) else {
            return;
        };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // A client may hang up at any time, and some faults are meant to make it.
            let _ = http::serve(&shared, socket, number);
            shared.closed(number);
        });
    }
}
