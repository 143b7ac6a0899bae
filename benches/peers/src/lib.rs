//! Code shared by the peers: ticks, beats, starting and stopping.
//!
//! A peer is started as `NAME MICROSECONDS [SYMBOLS [spread]]`: the time between two ticks of a
//! symbol, and the number of symbols. With `spread` they tick one after the other, otherwise all at
//! once. Without SYMBOLS there is a single one, sent to every client; otherwise each client gets
//! those listed in its URL (`?symbols=A,B`). A peer listens on a free port of the loopback, prints
//! "listening on 127.0.0.1:PORT" to stderr, and ends when its stdin is closed, so that it cannot
//! outlive the process that started it.

mod hub;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::hub::{Hub, Ticks};

/// The ticks to send, from the command line.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    interval: Duration,
    /// `None` stands for the single default symbol.
    symbols: Option<u32>,
    is_spread: bool,
}

impl Orders {
    /// Reads the command line.
    ///
    /// # Errors
    /// When the time between two ticks is missing.
    pub fn from_arguments() -> io::Result<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let number = |index: usize| {
            words
                .get(index)?
                .parse::<u32>()
                .ok()
                .filter(|&word| word > 0)
        };
        let missing = || io::Error::other("the time between two ticks is missing, in µs");
        Ok(Self {
            interval: Duration::from_micros(number(0).ok_or_else(missing)?.into()),
            symbols: number(1),
            is_spread: words.get(2).is_some_and(|word| word == "spread"),
        })
    }

    /// The number of symbols.
    pub fn symbols(&self) -> usize {
        self.symbols.unwrap_or(1) as usize
    }

    fn names(&self) -> Vec<String> {
        match self.symbols {
            None => vec!["sim:BTC/USDT".to_owned()],
            Some(count) => (0..count)
                .map(|number| format!("sim:S{number:04}/USDT"))
                .collect(),
        }
    }

    /// How many ticks are due since `began`: whole rounds, unless they are spread.
    fn due(&self, began: Instant) -> usize {
        let symbols = self.symbols() as u128;
        let (elapsed, interval) = (began.elapsed().as_nanos(), self.interval.as_nanos());
        let due = if self.is_spread {
            elapsed * symbols / interval
        } else {
            elapsed / interval * symbols
        };
        usize::try_from(due).unwrap_or(usize::MAX)
    }
}

/// The numbers of the symbols listed in a request target; `None` if it has no list.
pub fn requested(target: &str) -> Option<Vec<usize>> {
    let (_, names) = target.split_once("symbols=")?;
    let number = |name: &str| name.strip_prefix("sim:S")?.split('/').next()?.parse().ok();
    Some(names.split(',').filter_map(number).collect())
}

/// Simulated prices.
#[derive(Debug)]
struct Market {
    tickers: Vec<Ticker>,
    sent: u64,
}

#[derive(Debug)]
struct Ticker {
    symbol: String,
    cents: u64,
    seq: u64,
}

impl Market {
    fn new(orders: &Orders) -> Self {
        let ticker = |symbol| Ticker {
            symbol,
            cents: 9_712_345,
            seq: 0,
        };
        Self {
            tickers: orders.names().into_iter().map(ticker).collect(),
            sent: 0,
        }
    }

    /// Makes the next tick of a symbol. Call it right before sending, as `sent` is the current
    /// time.
    fn tick(&mut self, symbol: usize) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        self.sent = now.max(self.sent + 1);
        let ticker = &mut self.tickers[symbol];
        ticker.cents =
            (ticker.cents + fastrand::u64(0..=400)).saturating_sub(fastrand::u64(0..=400));
        ticker.seq += 1;
        format!(
            r#"{{"symbol":"{}","price":{}.{:02},"timestamp":{},"seq":{},"sent":{}}}"#,
            ticker.symbol,
            ticker.cents / 100,
            ticker.cents % 100,
            now / 1000,
            ticker.seq,
            self.sent,
        )
    }
}

/// Calls `broadcast` with each symbol and its first tick at once, then with every tick when it is
/// due. Ticks more than an interval late are omitted.
pub async fn tick_forever(orders: Orders, mut broadcast: impl FnMut(usize, String)) {
    let mut market = Market::new(&orders);
    let symbols = orders.symbols();
    (0..symbols).for_each(|symbol| broadcast(symbol, market.tick(symbol)));
    let (began, mut done) = (Instant::now(), 0);
    let period = if orders.is_spread {
        orders.interval.div_f64(symbols as f64)
    } else {
        orders.interval
    };
    let mut beats = interval_at(began + period, period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        beats.tick().await;
        let due = orders.due(began);
        for turn in done.max(due.saturating_sub(symbols))..due {
            let symbol = turn % symbols;
            broadcast(symbol, market.tick(symbol));
        }
        done = due;
    }
}

/// Listens on a free port of the loopback and prints the address. Disables delays (`TCP_NODELAY`).
///
/// # Errors
/// When the system has no port.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    eprintln!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// Waits until stdin, which must be a pipe, is closed.
async fn stdin_is_closed() -> io::Result<()> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    pipe::Receiver::from_owned_fd(stdin)?.readable().await?;
    Ok(())
}

/// Accepts clients and sends ticks on one thread, until stdin is closed. As the runtime's main
/// future, `serve` gets a turn after at most 61 tasks: ticks are on time even while clients are
/// still being written to, which then get several at once.
///
/// # Errors
/// When the server could not start, or failed.
pub fn run(serve: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            served = serve => served,
            closed = stdin_is_closed() => closed,
        }
    });
    // Does not end each task separately, which would take long for thousands of clients.
    runtime.shutdown_background();
    done
}

/// How many handshakes may wait: all of them, within the system's own limit.
const BACKLOG: i32 = 4096;
