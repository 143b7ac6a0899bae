//! Clients that change their lists ten times a second: none of them misses a tick of what it keeps,
//! and others notice nothing.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use testkit::{PATIENCE, ServerProcess};
use tungstenite::{Error, Message, WebSocket};

use crate::cases::{self, Check};
use crate::figures::{Measured, measure, median};

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    clients: usize,
    lasts: Duration,
    /// Between two ticks of a symbol, as the server's option.
    interval: &'static str,
    /// Measurements of good clients without and beside them, alternately; for figures only.
    rounds: usize,
}

impl Size {
    pub(crate) const WHOLE: Self = Self {
        clients: 1000,
        lasts: Duration::from_secs(10),
        interval: "1s",
        rounds: 3,
    };

    pub(crate) const SMALL: Self = Self {
        clients: 100,
        lasts: Duration::from_secs(2),
        interval: "200ms",
        rounds: 0,
    };
}

/// A client that keeps some symbols and takes up and drops others.
struct Changer {
    socket: WebSocket<TcpStream>,
    kept: HashSet<String>,
    extra: Vec<String>,
    rng: Rng,
    seqs: HashMap<String, u64>,
    requests: usize,
    answers: usize,
    ticks_kept: usize,
}

/// Runs it.
pub(crate) fn run(size: Size) -> Check {
    let names: Vec<_> = (0..SYMBOLS)
        .map(|number| format!("S{number}/USDT"))
        .collect();
    let names = names.join(",");
    // A machine that stalls for a second must not cause a conflation.
    let patient = ["--conflate-after", "60s", "--tape", "32MiB"];
    let options = ["--symbols", &names, "--interval", size.interval, "--spread"];
    let program = crate::server(&[&options[..], &patient].concat());
    if size.rounds == 0 {
        return among_themselves(&program, size, || Ok(()));
    }
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=size.rounds {
        without.push(measure(&program, GOOD_CLIENTS, size.lasts)?);
        among_themselves(&program, size, || {
            with.push(measure(&program, GOOD_CLIENTS, size.lasts)?);
            Ok(())
        })?;
        let words = |all: &[Measured]| all.last().map(Measured::words).unwrap_or_default();
        println!(
            "round {round}: without {}, beside them {}",
            words(&without),
            words(&with)
        );
    }
    let (without, with) = (median(&without), median(&with));
    println!("p99, medians: {without} µs without, {with} µs beside them");
    cases::must(with <= 2.0 * without, || {
        format!("p99 went from {without} to {with} µs")
    })
}

/// All of them, for a while, and `beside` meanwhile.
fn among_themselves(program: &ServerProcess, size: Size, beside: impl FnOnce() -> Check) -> Check {
    let leaves = AtomicBool::new(false);
    let until = Instant::now() + size.lasts;
    let checked = thread::scope(|scope| {
        let leaves = &leaves;
        let run = |number| {
            let change = move || Changer::join(program, number)?.run(leaves);
            let thread = thread::Builder::new().stack_size(256 << 10);
            thread.spawn_scoped(scope, change).unwrap()
        };
        let changers: Vec<_> = (0..size.clients as u64).map(run).collect();
        let measured = beside();
        thread::sleep(until.saturating_duration_since(Instant::now()));
        leaves.store(true, Ordering::Relaxed);
        let ends = changers.into_iter().map(|changer| changer.join().unwrap());
        let ends: Result<Vec<_>, _> = ends.collect();
        measured.and(ends)
    });
    let (requests, ticks) = checked?.into_iter().fold((0, 0), |(requests, ticks), end| {
        (requests + end.0, ticks + end.1)
    });
    println!(
        "{} clients made {requests} changes and had {ticks} ticks of what they kept",
        size.clients
    );
    cases::must(ticks > size.clients, || format!("only {ticks} ticks"))
}

impl Changer {
    fn join(program: &ServerProcess, number: u64) -> Result<Self, String> {
        let mut rng = Rng::with_seed(number);
        let name = |number: usize| format!("sim:S{number}/USDT");
        let kept: HashSet<_> = rng
            .choose_multiple(0..SYMBOLS, KEPT)
            .into_iter()
            .map(name)
            .collect();
        let others = (0..SYMBOLS).map(name).filter(|name| !kept.contains(name));
        let extra = rng.choose_multiple(others, 20);
        let list: Vec<_> = kept.iter().map(String::as_str).collect();
        let url = format!("ws://{}/?symbols={}", program.address, list.join(","));
        let stream = TcpStream::connect(&program.address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(url, stream).map_err(|error| error.to_string())?;
        Ok(Self {
            socket,
            kept,
            extra,
            rng,
            seqs: HashMap::new(),
            requests: 0,
            answers: 0,
            ticks_kept: 0,
        })
    }

    /// Returns how often it changed its list, and how many ticks it had of what it kept.
    fn run(mut self, leaves: &AtomicBool) -> Result<(usize, usize), String> {
        let began = Instant::now();
        while !leaves.load(Ordering::Relaxed) {
            let due = began + BETWEEN_CHANGES * self.requests as u32;
            let now = Instant::now();
            if now >= due {
                self.change()?;
            } else {
                self.read(due - now)?;
            }
        }
        let until = Instant::now() + PATIENCE * 3;
        while self.answers < self.requests {
            cases::must(Instant::now() < until, || "answers are missing".to_owned())?;
            self.read(BETWEEN_CHANGES)?;
        }
        Ok((self.requests, self.ticks_kept))
    }

    /// Takes something up, or lets something go.
    fn change(&mut self) -> Check {
        let some = self.rng.usize(1..=3);
        let mut symbols = self.rng.choose_multiple(self.extra.iter().cloned(), some);
        let op = ["subscribe", "unsubscribe"][self.requests % 2];
        if self.requests % 10 == 4 {
            // A pattern of everything, and then the whole list once more.
            symbols = vec!["*".to_owned()];
        } else if self.requests % 10 == 5 {
            symbols.clone_from(&self.extra);
        }
        let request = json!({"op": op, "symbols": symbols, "id": self.requests});
        self.requests += 1;
        let sent = self.socket.send(Message::text(request.to_string()));
        sent.map_err(|error| error.to_string())
    }

    fn read(&mut self, limit: Duration) -> Check {
        let limit = limit.max(Duration::from_millis(1));
        self.socket.get_ref().set_read_timeout(Some(limit)).unwrap();
        match self.socket.read() {
            Ok(Message::Text(text)) => self.take(&text),
            Ok(Message::Ping(_)) => self.socket.flush().map_err(|error| error.to_string()),
            Ok(other) => Err(format!("{other:?}")),
            Err(Error::Io(error))
                if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn take(&mut self, text: &str) -> Check {
        let message: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(id) = message.get("id") {
            let is_answer = *id == self.answers && message["op"] != "error";
            self.answers += 1;
            return cases::must(is_answer, || format!("no answer: {text:.300}"));
        }
        let symbol = message["symbol"].as_str().ok_or_else(|| text.to_owned())?;
        if !self.kept.contains(symbol) {
            return Ok(());
        }
        self.ticks_kept += 1;
        let seq = message["seq"].as_u64().ok_or_else(|| text.to_owned())?;
        let last = self.seqs.insert(symbol.to_owned(), seq);
        cases::must(last.is_none_or(|last| seq == last + 1), || {
            format!(
                "{symbol}: {seq} follows {last:?} after {} changes",
                self.requests
            )
        })
    }
}

/// Enough to choose from.
const SYMBOLS: usize = 200;

/// How many symbols each client keeps throughout.
const KEPT: usize = 5;

const BETWEEN_CHANGES: Duration = Duration::from_millis(100);

/// Those that are measured.
const GOOD_CLIENTS: usize = 50;
