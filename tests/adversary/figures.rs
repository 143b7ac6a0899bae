//! The effect of bad clients on good ones, in figures: the project's own client measures, first
//! without the others and then beside them.
//!
//! The everyday run is small and asserts only what does not depend on the machine: nobody misses a
//! tick, everyone is dropped in time. With `ADVERSARY=figures` it is the whole, with the limits on
//! the figures themselves; that wants an optimised build and a machine with nothing else to do,
//! since a 99th percentile counts every pause.

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cases::{self, Check};
use crate::fixture::{SLACK, metric};
use testkit::{Peer, ServerProcess};

/// How much of it.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Whether figures must keep their limits.
    is_whole: bool,
    good: usize,
    never_readers: usize,
    storm: usize,
    /// Each measurement.
    lasts: Duration,
    /// Measurements without and with, by turns.
    rounds: usize,
    /// As the server's option.
    handshake: Duration,
    /// In bytes, likewise: with less of it, a never-reader is felt sooner.
    send_buffer: u64,
}

impl Size {
    pub(crate) const WHOLE: Self = Self {
        is_whole: true,
        good: 200,
        never_readers: 40,
        storm: 5000,
        lasts: Duration::from_secs(20),
        rounds: 3,
        handshake: Duration::from_secs(5),
        send_buffer: 64 << 10,
    };

    pub(crate) const SMALL: Self = Self {
        is_whole: false,
        good: 20,
        never_readers: 8,
        storm: 500,
        lasts: Duration::from_millis(700),
        rounds: 1,
        handshake: Duration::from_millis(400),
        send_buffer: 8 << 10,
    };
}

/// What the client measured, in µs.
pub(crate) struct Measured {
    p50: f64,
    p99: f64,
    max: f64,
}

/// Never-readers beside good clients.
pub(crate) fn never_readers(size: Size) -> Check {
    let room = size.send_buffer.to_string();
    let program = crate::server(&["--interval", "2ms", "--send-buffer", &room]);
    let measure = || measure(&program, size.good, size.lasts);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=size.rounds {
        without.push(measure()?);
        let peers: Result<Vec<_>, _> = (0..size.never_readers)
            .map(|_| Peer::connect_narrow(&program.address).upgrade())
            .collect();
        let began = Instant::now();
        let (measured, flat) = thread::scope(|scope| {
            let memory = scope.spawn(|| memory(&program, began, size.lasts));
            (measure(), memory.join().unwrap())
        });
        with.push(measured?);
        let conflated = metric(&program.metrics(), "conflated_total").unwrap_or(0);
        drop(peers);
        let (low, high) = flat;
        println!(
            "round {round}: without {}, beside {} never-readers {}; {conflated} times conflated, \
             RSS from 8 s on {} to {} KiB",
            without[round - 1].words(),
            size.never_readers,
            with[round - 1].words(),
            low >> 10,
            high >> 10,
        );
        let is_flat = !size.is_whole || high - low <= FLAT;
        cases::must(is_flat, || {
            format!("memory grew from {low} to {high} bytes")
        })?;
    }
    let (without, with) = (median(&without), median(&with));
    println!(
        "p99, medians: {without} µs without, {with} µs beside them, × {:.2}",
        with / without
    );
    let is_kept = !size.is_whole || with <= 2.0 * without;
    cases::must(is_kept, || format!("p99 went from {without} to {with} µs"))
}

/// Good clients beside a storm of connections that never say a word.
pub(crate) fn storm(size: Size) -> Check {
    let limit = format!("{}ms", size.handshake.as_millis());
    let options = ["--interval", "10ms", "--handshake-timeout", &limit];
    let program = crate::server(&options);
    for round in 1..=size.rounds {
        let before = connections(&program).unwrap_or(0);
        let lasts = size.lasts.min(size.handshake * 2);
        let (measured, told) = thread::scope(|scope| {
            let measuring = scope.spawn(|| measure(&program, GOOD_CLIENTS, lasts));
            // Once all of them listen.
            let listening = await_connections(&program, before + GOOD_CLIENTS as u64);
            let told = listening.and_then(|()| connect_all(&program, size));
            (measuring.join().unwrap(), told)
        });
        let (connecting, gone) = told?;
        let measured = measured?;
        println!(
            "round {round}: {} connections in {connecting:?}, the last gone {gone:?} later; \
             {GOOD_CLIENTS} good clients {}",
            size.storm,
            measured.words(),
        );
        let is_kept = !size.is_whole || measured.p99 <= 20_000.0;
        cases::must(is_kept, || format!("p99 is {} µs", measured.p99))?;
    }
    Ok(())
}

/// Connects as fast as possible and waits until the server has dropped all. Returns how long each
/// of the two took.
fn connect_all(program: &ServerProcess, size: Size) -> Result<(Duration, Duration), String> {
    let before = connections(program).ok_or("no metrics")?;
    let began = Instant::now();
    let crowd: Vec<_> = (0..size.storm)
        .map(|_| Peer::connect(&program.address))
        .collect();
    let connecting = began.elapsed();
    let connected = Instant::now();
    while connections(program).is_none_or(|now| now > before) {
        let late = connected.elapsed() > size.handshake + SLACK;
        cases::must(!late, || "they are still held".to_owned())?;
        thread::sleep(Duration::from_millis(10));
    }
    drop(crowd);
    Ok((connecting, connected.elapsed()))
}

fn await_connections(program: &ServerProcess, wanted: u64) -> Check {
    let until = Instant::now() + SLACK * 2;
    while connections(program).is_none_or(|now| now < wanted) {
        cases::must(Instant::now() < until, || {
            "the client does not come".to_owned()
        })?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn connections(program: &ServerProcess) -> Option<u64> {
    metric(&program.metrics(), "connections")
}

/// The lowest and highest memory from eight seconds on; of a short run, from its middle on.
fn memory(program: &ServerProcess, began: Instant, lasts: Duration) -> (u64, u64) {
    let from = Duration::from_secs(8).min(lasts / 2);
    thread::sleep(from.saturating_sub(began.elapsed()));
    let (mut low, mut high) = (u64::MAX, 0);
    while began.elapsed() < lasts {
        let resident = program.footprint().resident_bytes;
        (low, high) = (low.min(resident), high.max(resident));
        thread::sleep(Duration::from_millis(50));
    }
    (low, high)
}

/// Has the client measure; gaps and errors are not allowed at all.
pub(crate) fn measure(
    program: &ServerProcess,
    clients: usize,
    lasts: Duration,
) -> Result<Measured, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_client"))
        .args([
            "--quiet",
            "--json",
            "--url",
            &format!("ws://{}/", program.address),
        ])
        .args(["--clients", &clients.to_string()])
        .args(["--duration", &format!("{}ms", lasts.as_millis())])
        .stderr(Stdio::inherit())
        .output();
    let Output { stdout, .. } = output.map_err(|error| error.to_string())?;
    let report: Value = serde_json::from_slice(&stdout).map_err(|error| error.to_string())?;
    let number = |pointer: &str| {
        let value = report.pointer(pointer).and_then(Value::as_f64);
        value.ok_or_else(|| format!("no {pointer} in {report:.300}"))
    };
    for name in ["/gaps", "/missed", "/repeats", "/errors/total"] {
        cases::equal(name, number(name)?, 0.0)?;
    }
    Ok(Measured {
        p50: number("/delivery_us/p50")?,
        p99: number("/delivery_us/p99")?,
        max: number("/delivery_us/max")?,
    })
}

impl Measured {
    pub(crate) fn words(&self) -> String {
        format!("p50 {} p99 {} max {} µs", self.p50, self.p99, self.max)
    }
}

pub(crate) fn median(all: &[Measured]) -> f64 {
    let mut p99s: Vec<_> = all.iter().map(|measured| measured.p99).collect();
    p99s.sort_by(f64::total_cmp);
    p99s[p99s.len() / 2]
}

/// Those beside the storm.
const GOOD_CLIENTS: usize = 50;

/// Memory that goes up and down by that much is flat.
const FLAT: u64 = 256 << 10;
