//! One server from its start to its end, and its own measurements.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::process::{Cores, Service};
use crate::common::{Findings, Load, at, interrupted};
use crate::server::{SERVE, SERVE_BLOCKING};
use crate::upstream::{Upstream, this_program};
use crate::{INTERVAL, common};

/// A running server that has a price of each symbol.
pub(crate) struct Life {
    name: String,
    service: Service,
    /// The largest number of threads seen.
    threads: usize,
}

/// The source of the server's prices.
#[derive(Clone, Copy)]
pub(crate) enum Prices<'a> {
    /// Simulated prices.
    Simulated,
    /// These symbols at these exchanges.
    Fetched(&'a Upstream, &'a str, &'a str),
    /// One symbol at one exchange, fetched with blocking calls.
    FetchedBlocking(&'a Upstream, &'a str, &'a str),
}

/// The results of a server's life.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) threads: usize,
    /// The loop's report, see `server.rs`.
    lag: Value,
}

/// The answers that the sources have received so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    /// Of all sources together.
    pub(crate) good: u64,
    pub(crate) failed: u64,
    /// Of the source with the fewest.
    pub(crate) least: u64,
    /// The number of sources with an answer.
    pub(crate) sources: usize,
}

impl Life {
    /// Starts a server and waits until it is ready.
    pub(crate) fn begin(name: &str, prices: Prices<'_>, cores: &Cores) -> Result<Self, String> {
        let mut command = command(prices, cores)?;
        let service =
            Service::start(&mut command).map_err(|error| format!("the server {error}"))?;
        let life = Self {
            name: name.to_owned(),
            service,
            threads: 0,
        };
        life.wait_until(Self::is_ready)?;
        Ok(life)
    }

    fn is_ready(&self) -> io::Result<bool> {
        Ok(self.get("/readyz")?.starts_with("HTTP/1.1 200 "))
    }

    /// Waits for this part of the time between two prices. A blocking server answers right after it
    /// has received a price: a client that always comes then would never see it blocked.
    pub(crate) fn wait_for_phase(&self, part: f64) -> Result<(), String> {
        self.wait_until(Self::is_ready)?;
        // If answers take longer than the interval, prices come every other interval.
        thread::sleep((2 * INTERVAL).mul_f64(part));
        Ok(())
    }

    /// Sends clients to the server.
    pub(crate) fn load(
        &mut self,
        load: &Load,
        cores: &Cores,
        findings: &mut Findings,
    ) -> Result<Value, String> {
        let (pid, threads) = (self.service.pid(), &mut self.threads);
        load.run(&self.name, &self.service, cores, findings, || {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"));
            *threads = tasks.map_or(0, Iterator::count).max(*threads);
        })
    }

    /// Waits until `condition` holds, but not for ever.
    pub(crate) fn wait_until(
        &self,
        condition: impl Fn(&Self) -> io::Result<bool>,
    ) -> Result<(), String> {
        let give_up = Instant::now() + WAIT_LIMIT;
        while !condition(self).map_err(|error| format!("the server does not answer: {error}"))? {
            if interrupted() {
                return Err("it was interrupted".to_owned());
            }
            if Instant::now() > give_up {
                return Err(format!("it is not ready after {WAIT_LIMIT:?}"));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// Reads the answers so far from `/metrics`.
    pub(crate) fn answers(&self) -> io::Result<Answers> {
        let metrics = self.get("/metrics")?;
        let counts = |name: &'static str| {
            let of_name =
                move |line: &'_ str| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse().ok();
            metrics.lines().filter_map(of_name).collect::<Vec<u64>>()
        };
        let good = counts("tickertape_source_answers_total{");
        Ok(Answers {
            good: good.iter().sum(),
            failed: counts("tickertape_source_failures_total{").iter().sum(),
            least: good.iter().copied().min().unwrap_or(0),
            sources: good.iter().filter(|count| **count > 0).count(),
        })
    }

    /// The resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        common::memory::resident_bytes(self.service.pid())
            .map_err(|error| format!("its memory cannot be read: {error}"))
    }

    /// Ends the server, and notes its warnings.
    pub(crate) fn end(self, findings: &mut Findings) -> Result<Death, String> {
        let stopped = self.service.stop(Some(Signal::TERM));
        let (out, log) = stopped.map_err(|error| format!("the server {error}"))?;
        for line in log {
            if line.starts_with("error") || line.starts_with("warn") {
                findings.note(format!("{}: {line}", self.name));
            }
        }
        let line = out.lines().next_back().unwrap_or_default();
        let lag = serde_json::from_str(line).map_err(|_| "the server has no report")?;
        Ok(Death {
            threads: self.threads,
            lag,
        })
    }

    fn get(&self, path: &str) -> io::Result<String> {
        let address = &self.service.address;
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(WAIT_LIMIT))?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Death {
    /// A number in the loop's report.
    pub(crate) fn lag(&self, name: &str) -> Option<f64> {
        at(&self.lag, &format!("/{name}"))
    }

    /// The same in ms, if the report has it in µs.
    pub(crate) fn lag_ms(&self, name: &str) -> Option<f64> {
        Some(self.lag(name)? / 1e3)
    }
}

fn command(prices: Prices<'_>, cores: &Cores) -> Result<Command, String> {
    let mut command = cores.server(&this_program()?);
    let (source, symbols) = match prices {
        Prices::Simulated => {
            command.arg(SERVE);
            ("sim", "BTC/USDT")
        }
        Prices::Fetched(_, source, symbols) => {
            command.arg(SERVE);
            (source, symbols)
        }
        Prices::FetchedBlocking(upstream, source, symbols) => {
            command.arg(SERVE_BLOCKING).arg(upstream.url());
            (source, symbols)
        }
    };
    if let Prices::Fetched(upstream, ..) | Prices::FetchedBlocking(upstream, ..) = prices {
        upstream.be_asked_by(&mut command);
    }
    let interval = format!("{}ms", INTERVAL.as_millis());
    command.args(["--port", "0", "--interval", &interval]);
    command.args(["--source", source, "--symbols", symbols]);
    Ok(command)
}

/// The slowest exchange may be polled only every other second, and it takes a few answers.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

const LOOK_INTERVAL: Duration = Duration::from_millis(50);
