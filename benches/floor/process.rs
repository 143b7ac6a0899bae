//! The two servers under test, as processes.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::process::{Cores, Service};

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The least that a server can be.
    Floor,
    /// The one of this project.
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

/// A server that listens.
pub(crate) struct Server {
    pub(crate) service: Service,
    which: Which,
}

impl Server {
    /// Starts it with a tick every `interval`, and waits until it says that it listens.
    pub(crate) fn start(which: Which, interval: Duration, cores: &Cores) -> Result<Self, String> {
        let interval = format!("{}us", interval.as_micros());
        let mut command = match which {
            Which::Floor => {
                let program = std::env::current_exe().map_err(|error| error.to_string())?;
                let mut command = cores.server(&program.to_string_lossy());
                command.args([crate::SERVE_FLOOR, &interval]);
                command
            }
            Which::Ours => {
                let mut command = cores.server(env!("CARGO_BIN_EXE_server"));
                command.args(["--port", "0", "--source", "sim", "--interval", &interval]);
                command
            }
        };
        let service = Service::start(&mut command).map_err(|error| format!("{which} {error}"))?;
        Ok(Self { service, which })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.service.pid()
    }

    pub(crate) fn address(&self) -> &str {
        &self.service.address
    }

    /// Asks it to stop. Returns what the floor had to leave out: ticks dropped, clients lost.
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
