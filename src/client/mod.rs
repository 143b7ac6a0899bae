//! The load client: many connections on one loop that measure what a server delivers.
//!
//! | room | purpose |
//! |---|---|
//! | [`config`] | the configuration of a run |
//! | `ws` | one connection: bytes in, messages out; it counts nothing |
//! | [`measure`] | what is counted; it adds up and travels between processes |
//! | `run` | the loop: connections are opened, served and ended, phase by phase |
//! | [`report`] | from a measurement to numbers, text and files |
//! | [`workers`] | several processes that share a run |
//!
//! Imports point one way: workers → run → {ws, measure} → config, and report → measure → config.
//! Below all of them are two leaves: `received` (what a connection hands out and the measuring
//! takes) and [`error_kind`].
//!
//! A run always ends: with the window, at the latest five seconds after the configured time; before
//! that at a signal, or when all connections are lost; and it has a report in any case. It is an
//! error only where nothing could be measured ([`report::Report::error`]).

pub mod config;
pub mod error_kind;
pub mod measure;
mod received;
pub mod report;
mod run;
pub mod workers;
mod ws;

use std::io;
use std::process::Command;

use signal_hook_mio::v1_0::Signals;

use self::config::Config;
use self::report::Report;

/// Connects, listens and counts as `config` says. A signal ends the run early, but it still has a
/// report.
///
/// # Errors
/// When the host is unknown or the system gives no poll descriptor. What happens to connections is
/// in the report.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the configuration ends with its run"
)]
pub fn run(config: Config, signals: Option<Signals>) -> io::Result<Report> {
    let measurement = run::measure(&config, signals, None)?;
    Ok(Report::new(&config, &measurement))
}

/// Does the same in several processes, which `command` creates by number.
///
/// # Errors
/// When the host is unknown, or a process cannot be started. What happens to connections and
/// processes is in the report.
pub fn run_in_workers(
    config: &Config,
    signals: Option<Signals>,
    command: impl Fn(usize) -> Command,
) -> io::Result<Report> {
    let measurement = workers::coordinator::measure(config, signals, command)?;
    Ok(Report::new(config, &measurement))
}

#[cfg(test)]
mod tests {
    use crate::imports;

    /// The rooms that each room may import from. Every room may import the leaves.
    const ROOMS: [(&str, &[&str]); 6] = [
        ("config", &[]),
        ("ws", &["config"]),
        ("measure", &["config"]),
        ("run", &["config", "ws", "measure"]),
        ("report", &["config", "measure"]),
        ("workers", &["config", "measure", "run"]),
    ];

    const LEAVES: [&str; 2] = ["received", "error_kind"];

    #[test]
    fn rooms_import_only_rooms_below() {
        imports::check("crate::client", |room, imported| {
            imports::allows(&ROOMS, room, imported)
                || LEAVES.contains(&imported) && !LEAVES.contains(&room)
        });
    }
}
