//! `client`: listens to a price server and reports what arrived.

use std::io::{self, Write};
use std::process::{Command, ExitCode};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tickertape::client::options::{Config, HELP};
use tickertape::client::outputs::Outputs;
use tickertape::client::report::Report;
use tickertape::client::{processes, share};
use tickertape::options::{BadOption, Options, fail, print};

fn main() -> ExitCode {
    match configure() {
        Ok(None) => {
            print(HELP);
            ExitCode::SUCCESS
        }
        Ok(Some((config, Some(outputs)))) => run(config, outputs),
        Ok(Some((config, None))) => run_share(&config),
        Err(error) => fail(&error, 2),
    }
}

fn configure() -> Result<Option<(Config, Option<Outputs>)>, BadOption> {
    let Some(config) = Config::parse(Options::from_env())? else {
        return Ok(None);
    };
    config.reserve_descriptors()?;
    config.access.roots()?;
    if config.share.is_some() {
        return Ok(Some((config, None)));
    }
    let outputs = Outputs::open(&config)?;
    Ok(Some((config, Some(outputs))))
}

fn run(config: Config, outputs: Outputs) -> ExitCode {
    let wanted = config.clone();
    let measured = Signals::new([SIGINT, SIGTERM]).and_then(|signals| match config.processes {
        1 => tickertape::client::run(config, Some(signals)),
        _ => run_processes(config, signals),
    });
    match measured {
        Ok(report) => {
            say(&report, &wanted);
            finish(&report, outputs.write(&report))
        }
        Err(error) => fail(&error, 1),
    }
}

fn run_processes(config: Config, signals: Signals) -> io::Result<Report> {
    let (program, of) = (std::env::current_exe()?, config.processes);
    processes::run(config, Some(signals), |number| {
        let mut command = Command::new(&program);
        command.arg(format!("--share={number}/{of}"));
        command.args(std::env::args_os().skip(1));
        command
    })
}

/// One of several processes: what there is to say, it says to the one that started it.
fn run_share(config: &Config) -> ExitCode {
    let shared =
        Signals::new([SIGINT, SIGTERM]).and_then(|signals| share::run(config, Some(signals)));
    match shared {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The report, on stdout if that is not taken.
fn say(report: &Report, wanted: &Config) {
    let text = if wanted.json {
        report.to_json() + "\n"
    } else if report.clients.connected == 0 || report.reader_left() {
        // Where nobody could connect there is nothing to read but the error, and who has left
        // reads nothing.
        return;
    } else {
        report.to_string()
    };
    if wanted.print || wanted.csv_to_stdout() {
        let _ = std::io::stderr().write_all(text.as_bytes());
    } else {
        print(&text);
    }
}

fn finish(report: &Report, written: Result<(), String>) -> ExitCode {
    let missed: Vec<_> = report.missed_thresholds().collect();
    for verdict in &missed {
        let _ = writeln!(std::io::stderr(), "missed: {verdict}");
    }
    match (report.error(), written) {
        (Some(error), _) | (None, Err(error)) => fail(&error, 1),
        (None, Ok(())) if missed.is_empty() => ExitCode::SUCCESS,
        (None, Ok(())) => ExitCode::from(3),
    }
}
