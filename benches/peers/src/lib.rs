//! What the peers have in common: the tick, the beats, the way to start and to stop.
//!
//! A peer is started with the time between two ticks in µs. It takes a free port of the loopback,
//! says "listening on 127.0.0.1:PORT" on stderr, and ends when its stdin is closed, so that it
//! cannot outlive who started it.

mod board;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use self::board::{Board, Ticks};

/// A simulated price.
#[derive(Debug)]
pub struct Ticker {
    cents: u64,
    seq: u64,
    sent: u64,
}

impl Default for Ticker {
    fn default() -> Self {
        Self {
            cents: 9_712_345,
            seq: 0,
            sent: 0,
        }
    }
}

impl Ticker {
    /// Makes the next tick. To be called right before it is sent, as `sent` is the time now.
    pub fn tick(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        self.cents = (self.cents + fastrand::u64(0..=400)).saturating_sub(fastrand::u64(0..=400));
        self.seq += 1;
        self.sent = now.max(self.sent + 1);
        format!(
            r#"{{"symbol":"sim:BTC/USDT","price":{}.{:02},"timestamp":{},"seq":{},"sent":{}}}"#,
            self.cents / 100,
            self.cents % 100,
            now / 1000,
            self.seq,
            self.sent,
        )
    }
}

/// Calls `broadcast` with a tick at once and then at each beat, on a fixed grid. Beats that were
/// missed are left out.
pub async fn tick_forever(interval: Duration, mut broadcast: impl FnMut(String)) {
    let mut ticker = Ticker::default();
    let mut beats = interval_at(Instant::now(), interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        beats.tick().await;
        broadcast(ticker.tick());
    }
}

/// The time between two ticks, as the command line has it.
///
/// # Errors
/// When there is none.
pub fn interval_from_arguments() -> io::Result<Duration> {
    let micros = std::env::args().nth(1).and_then(|text| text.parse().ok());
    micros
        .filter(|&micros| micros > 0)
        .map(Duration::from_micros)
        .ok_or_else(|| io::Error::other("the time between two ticks is missing, in µs"))
}

/// Listens on a free port of the loopback and says where. Nothing is delayed (`TCP_NODELAY`).
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

/// Waits until stdin, a pipe, is closed. When it is none, that is an error.
async fn stdin_is_closed() -> io::Result<()> {
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    pipe::Receiver::from_owned_fd(stdin)?.readable().await?;
    Ok(())
}

/// Runs on one thread what takes clients and sends ticks, until stdin is closed. As the runtime's
/// main future, `serve` gets its turn between any 61 tasks: ticks come on time while clients are
/// still being written to, who then get several at once.
///
/// # Errors
/// When the server could not start, or went.
pub fn run(serve: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_io().enable_time().build()?;
    let done = runtime.block_on(async {
        tokio::select! {
            served = serve => served,
            closed = stdin_is_closed() => closed,
        }
    });
    // Not task by task: thousands of clients would take their time.
    runtime.shutdown_background();
    done
}

/// As many handshakes as may wait: all of them, the system's own limit permitting.
const BACKLOG: i32 = 4096;
