//! The exchange as a separate process: the fake of the tests.

use std::path::PathBuf;
use std::process::{Command, id};
use std::time::Duration;
use std::{fs, io};

use crate::common::process::{Cores, Service};
use testkit::fake_exchange::{Config, FakeExchange, Fault};

/// The bench passes this to itself, with a file for the certificate and the time of an answer in
/// ms, to become the exchange.
pub(crate) const FAKE: &str = "--fake-exchange";

/// Answers until stdin is closed.
pub(crate) fn fake(words: &[String]) -> Result<(), String> {
    let [file, ms] = words else {
        return Err("expected a file and a time".to_owned());
    };
    let ms: u64 = ms
        .parse()
        .map_err(|_| format!("invalid time '{ms}': expected milliseconds"))?;
    let config = Config {
        fillers: OTHER_MARKETS,
        ..Config::default()
    };
    let exchange = FakeExchange::start(config).map_err(|error| error.to_string())?;
    fs::write(file, exchange.pem()).map_err(|error| format!("{file}: {error}"))?;
    if ms > 0 {
        exchange.set("", Fault::Delay(Duration::from_millis(ms)));
    }
    eprintln!("info: listening on {}", exchange.address);
    io::copy(&mut io::stdin(), &mut io::sink())
        .map(drop)
        .map_err(|error| error.to_string())
}

/// A running exchange.
pub(crate) struct Upstream {
    service: Service,
    /// A file with the certificate of its authority.
    ca: NamedTempFile,
}

impl Upstream {
    /// Starts an exchange that takes this long to answer, on the client's core, so that the servers
    /// do not share theirs.
    pub(crate) fn start(cores: &Cores, answer_time: Duration) -> Result<Self, String> {
        let program = this_program()?;
        let ca = temp_file("");
        let service = Service::start(
            cores
                .client(&program)
                .arg(FAKE)
                .arg(ca.path())
                .arg(answer_time.as_millis().to_string()),
        );
        let service = service.map_err(|error| format!("the exchange {error}"))?;
        Ok(Self { service, ca })
    }

    /// The value of a server's `--upstream`.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.service.address)
    }

    /// Makes a server send its requests here.
    pub(crate) fn be_asked_by(&self, server: &mut Command) {
        server
            .args(["--upstream", &self.url(), "--ca"])
            .arg(self.ca.path());
    }
}

/// The path of this program, to run it as another process.
pub(crate) fn this_program() -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(program.to_string_lossy().into_owned())
}

/// How many other markets are in a list of all, which some exchanges send if 50 are requested: half
/// a megabyte.
const OTHER_MARKETS: usize = 2_000;
