//! `client`: listens to a price server and reports what arrived.

use std::io::Write;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tickertape::client::options::{Config, HELP};
use tickertape::client::outputs::Outputs;
use tickertape::client::report::Report;
use tickertape::options::{BadOption, Options, fail, print};

fn main() -> ExitCode {
    match configure() {
        Ok(None) => {
            print(HELP);
            ExitCode::SUCCESS
        }
        Ok(Some((config, outputs))) => run(config, outputs),
        Err(error) => fail(&error, 2),
    }
}

fn configure() -> Result<Option<(Config, Outputs)>, BadOption> {
    let Some(config) = Config::parse(Options::from_env())? else {
        return Ok(None);
    };
    config.reserve_descriptors()?;
    config.access.roots()?;
    let outputs = Outputs::open(&config)?;
    Ok(Some((config, outputs)))
}

fn run(config: Config, outputs: Outputs) -> ExitCode {
    let wanted = config.clone();
    let measured = Signals::new([SIGINT, SIGTERM])
        .and_then(|signals| tickertape::client::run(config, Some(signals)));
    match measured {
        Ok(report) => {
            say(&report, &wanted);
            finish(&report, outputs.write(&report))
        }
        Err(error) => fail(&error, 1),
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
