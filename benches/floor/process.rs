//! The two servers under test, as processes.

use std::fmt;
use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::process::{Cores, Service};
use crate::lists;

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The least that a server can do.
    Floor,
    /// The server of this project.
    Ours,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "the floor",
            Self::Ours => "our server",
        })
    }
}

/// The prices that a server sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    /// The time between two ticks of a symbol.
    pub(crate) interval: Duration,
    /// How many symbols; `None` is the single default symbol.
    pub(crate) symbols: Option<u32>,
    /// Whether they are spread over the interval instead of published at once.
    pub(crate) is_spread: bool,
}

impl From<Duration> for Prices {
    /// One symbol, a tick every `interval`.
    fn from(interval: Duration) -> Self {
        Self {
            interval,
            symbols: None,
            is_spread: false,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) service: Service,
    which: Which,
}

impl Server {
    /// Starts it, and waits until it reports that it listens.
    pub(crate) fn start(
        which: Which,
        prices: impl Into<Prices>,
        cores: &Cores,
    ) -> Result<Self, String> {
        let mut command = command(which, prices.into(), cores)?;
        let service = Service::start(&mut command).map_err(|error| format!("{which} {error}"))?;
        Ok(Self { service, which })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.service.pid()
    }

    pub(crate) fn address(&self) -> &str {
        &self.service.address
    }

    /// Stops it. Returns what the floor had to omit: ticks dropped, clients lost.
    pub(crate) fn stop(self) -> Result<Option<String>, String> {
        let Self { service, which } = self;
        let signal = match which {
            Which::Floor => None,
            Which::Ours => Some(Signal::TERM),
        };
        let (_, log) = service
            .stop(signal)
            .map_err(|error| format!("{which} {error}"))?;
        let lost = log.iter().find_map(|line| {
            let (dropped, torn) = line.strip_prefix("lost: ")?.split_once(' ')?;
            let lost = format!("the floor dropped {dropped} ticks and tore {torn} streams");
            (dropped != "0" || torn != "0").then_some(lost)
        });
        Ok(lost)
    }
}

fn command(which: Which, prices: Prices, cores: &Cores) -> Result<Command, String> {
    let interval = format!("{}us", prices.interval.as_micros());
    match which {
        Which::Floor => {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            let mut command = cores.server(&program.to_string_lossy());
            command.args([crate::SERVE_FLOOR, &interval]);
            command.args(prices.symbols.map(|symbols| symbols.to_string()));
            command.args(prices.is_spread.then_some(crate::SPREAD));
            Ok(command)
        }
        Which::Ours => {
            let program = std::env::var(SERVER_VARIABLE);
            let built = || env!("CARGO_BIN_EXE_server").to_owned();
            let mut command = cores.server(&program.unwrap_or_else(|_| built()));
            command.args(["--port", "0", "--source", "sim", "--interval", &interval]);
            if let Some(symbols) = prices.symbols {
                command.args(["--symbols", &names(symbols)?]);
            }
            command.args(prices.is_spread.then_some("--spread"));
            Ok(command)
        }
    }
}

/// The value of `--symbols` for this many symbols: a file, if they are too many for an argument.
fn names(symbols: u32) -> Result<String, String> {
    let names: Vec<_> = (0..symbols).map(lists::name).collect();
    let list = names.join(",");
    if list.len() < ARGUMENT_LENGTH_MAX {
        return Ok(list);
    }
    let path = format!("{}/symbols-{symbols}.txt", env!("CARGO_TARGET_TMPDIR"));
    fs::write(&path, names.join("\n")).map_err(|error| format!("cannot write {path}: {error}"))?;
    Ok(format!("@{path}"))
}

/// Names a server to measure instead of this build's.
const SERVER_VARIABLE: &str = "TICKERTAPE_SERVER";

/// Linux accepts 128 KiB.
const ARGUMENT_LENGTH_MAX: usize = 100_000;
