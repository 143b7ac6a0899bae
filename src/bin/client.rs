//! `client`: listens to a price server and reports what arrived.

use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tickertape::cli::{self, BadOption, Options, fail, print};
use tickertape::client;
use tickertape::client::config::Config;
use tickertape::client::config::options::{self as command_line, HELP};
use tickertape::client::report::Report;
use tickertape::client::report::export::Export;
use tickertape::client::workers::worker;

fn main() -> ExitCode {
    let mut options = Options::from_env();
    if let Some(text) = options.information(HELP) {
        return cli::say(text);
    }
    match configure(options) {
        Ok((config, Some(export))) => run(config, export),
        Ok((config, None)) => run_worker(&config),
        Err(error) => fail(&error, 2),
    }
}

/// Reads the options. A worker leaves files to the coordinator.
fn configure(options: Options) -> Result<(Config, Option<Export>), BadOption> {
    let config = command_line::parse(options)?;
    if config.share.is_some() {
        worker::check_pipes()?;
    }
    command_line::reserve_descriptors(&config)?;
    config.access.roots()?;
    if config.share.is_some() {
        return Ok((config, None));
    }
    let export = Export::open(&config)?;
    Ok((config, Some(export)))
}

fn run(config: Config, export: Export) -> ExitCode {
    let wanted = config.clone();
    let measured = Signals::new([SIGINT, SIGTERM]).and_then(|signals| match config.processes {
        1 => client::run(config, Some(signals)),
        _ => run_in_workers(&config, signals),
    });
    // The measuring is over, and the reader of the report may take forever.
    if let Err(error) = restore_default_signals() {
        return fail(&error, 1);
    }
    match measured {
        Ok(report) => {
            // The files first: the reader of stdout may be slow.
            let written = export.write(&report);
            let printed = print_report(&report, &wanted);
            let printed = printed.map_err(|error| format!("cannot write the report: {error}"));
            finish(&report, &wanted, written.and(printed))
        }
        Err(error) => fail(&error, 1),
    }
}

/// Restores the default action of signals.
fn restore_default_signals() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_default(signal, Arc::new(true.into()))?;
    }
    Ok(())
}

fn run_in_workers(config: &Config, signals: Signals) -> io::Result<Report> {
    let (program, of) = (std::env::current_exe()?, config.processes);
    client::run_in_workers(config, Some(signals), |number| {
        let mut command = Command::new(&program);
        command.arg(format!("--share={number}/{of}"));
        command.args(std::env::args_os().skip(1));
        command
    })
}

/// Runs one of several processes. It reports to the coordinator, which also ends it; a terminal's
/// signal to all its programs is ignored.
fn run_worker(config: &Config) -> ExitCode {
    let ignored = Signals::new([SIGINT, SIGTERM]);
    match ignored.and_then(|_ignored| worker::run(config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the report to stdout, unless stdout has another use.
fn print_report(report: &Report, wanted: &Config) -> Result<(), String> {
    let text = if wanted.json {
        report.to_json() + "\n"
    } else if report.clients.connected == 0 || report.reader_left() {
        // If no client connected, there is only the error to print, and a reader that has left
        // reads no report.
        return Ok(());
    } else {
        report.to_string()
    };
    if wanted.print || wanted.csv_to_stdout() {
        // If stderr cannot be written, there is no way to report that.
        let _ = std::io::stderr().write_all(text.as_bytes());
        Ok(())
    } else {
        print(&text)
    }
}

fn finish(report: &Report, wanted: &Config, written: Result<(), String>) -> ExitCode {
    let missed: Vec<_> = report.missed_thresholds().collect();
    for verdict in &missed {
        let _ = writeln!(std::io::stderr(), "missed: {verdict}");
    }
    match (report.error(), written) {
        (Some(error), _) if report.nothing_came() && wanted.duration < SHORT => {
            let hint = format!("{error} in {:?} (try a longer --duration)", wanted.duration);
            fail(&hint, 1)
        }
        (Some(error), _) | (None, Err(error)) => fail(&error, 1),
        (None, Ok(())) if missed.is_empty() => ExitCode::SUCCESS,
        (None, Ok(())) => ExitCode::from(3),
    }
}

/// A live server may well send no message for this long.
const SHORT: Duration = Duration::from_secs(5);
