//! Options for the report: what to print, where to write it, and which thresholds to apply.

use std::path::Path;

use crate::cli::{BadOption, Options, path, period};
use crate::client::config::Config;
use crate::client::config::limits::RUNS_MAX;

/// Reads these options into `config`; those not given keep their defaults.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    config.json = options.flag("--json");
    config.print = options.flag("--print");
    config.quiet = options.flag("--quiet");
    config.csv = options.value("--csv", path)?;
    config.hdr = options.value("--hdr", path)?;
    config.plot = options.value("--plot", path)?;
    config.compare = options.values("--compare", path)?;
    let thresholds = &mut config.thresholds;
    thresholds.max_p99 = options.value("--max-p99", period)?;
    thresholds.max_p999 = options.value("--max-p999", period)?;
    thresholds.max_errors = options.value("--max-errors", errors)?;
    thresholds.min_throughput = options.value("--min-throughput", throughput)?;
    check(config)
}

/// Rejects options that contradict each other.
fn check(config: &Config) -> Result<(), BadOption> {
    if !config.compare.is_empty() && config.plot.is_none() {
        return Err(BadOption::new(
            "--compare",
            "only makes sense with --plot FILE",
        ));
    }
    if config.compare.len() >= RUNS_MAX {
        return Err(BadOption::new(
            "--compare",
            format!("one chart shows at most {} earlier runs", RUNS_MAX - 1),
        ));
    }
    if config.print && config.csv_to_stdout() {
        return Err(BadOption::new(
            "--csv",
            "'-' is stdout, which --print uses for the ticks, name a file",
        ));
    }
    check_files(config)
}

/// Rejects two outputs to one file.
fn check_files(config: &Config) -> Result<(), BadOption> {
    let mut known: Vec<(&str, &Path)> = Vec::new();
    for (name, file) in [
        ("--csv", &config.csv),
        ("--hdr", &config.hdr),
        ("--plot", &config.plot),
    ] {
        let Some(file) = file.as_deref() else {
            continue;
        };
        if let Some((other, _)) = known.iter().find(|(_, path)| *path == file) {
            let file = file.display();
            let error =
                format!("invalid file '{file}': {other} is written there; expected another");
            return Err(BadOption::new(name, error));
        }
        known.push((name, file));
    }
    Ok(())
}

fn errors(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("invalid count '{text}': expected a whole number"))
}

fn throughput(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| {
            format!("invalid rate '{text}': expected a number like 100 (messages per second)")
        })
}
