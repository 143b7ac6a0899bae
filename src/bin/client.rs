//! `client`: listens to a price server and reports what arrived.

use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tickertape::client::options::{Config, HELP};
use tickertape::client::report::Report;
use tickertape::options::{BadOption, Options, fail, print};

fn main() -> ExitCode {
    match configure() {
        Ok(None) => {
            print(HELP);
            ExitCode::SUCCESS
        }
        Ok(Some(config)) => run(config),
        Err(error) => fail(&error, 2),
    }
}

fn configure() -> Result<Option<Config>, BadOption> {
    let config = Config::parse(Options::from_env())?;
    if let Some(config) = &config {
        config.reserve_descriptors()?;
    }
    Ok(config)
}

fn run(config: Config) -> ExitCode {
    let json = config.json;
    let measured = Signals::new([SIGINT, SIGTERM])
        .and_then(|signals| tickertape::client::run(config, Some(signals)));
    match measured {
        Ok(report) => finish(&report, json),
        Err(error) => fail(&error, 1),
    }
}

fn finish(report: &Report, json: bool) -> ExitCode {
    if json {
        print(&(report.to_json() + "\n"));
    } else if report.clients.connected > 0 {
        // Where nobody could connect there is nothing to read but the error.
        print(&report.to_string());
    }
    match report.error() {
        None => ExitCode::SUCCESS,
        Some(error) => fail(&error, 1),
    }
}
