//! Code shared by the benches: processes, the load client, remarks, and numbers.

mod arguments;
mod bench;
mod client;
mod findings;
pub(crate) mod memory;
pub(crate) mod process;
pub(crate) mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};

pub(crate) use arguments::{Arguments, exit_code};
pub(crate) use bench::{Bench, Scenario};
pub(crate) use client::Load;
pub(crate) use findings::{Findings, machine};

/// The number at `path`, for example `/delivery_us/p99`, in a report.
pub(crate) fn at(report: &Value, path: &str) -> Option<f64> {
    report.pointer(path)?.as_f64()
}

/// `part` divided by `of`; `None` if that is zero.
pub(crate) fn ratio(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Whether SIGINT or SIGTERM has arrived. The current run then ends, and its processes with it.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED
        .get()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// From now on SIGINT and SIGTERM only set a flag.
pub(crate) fn stop_on_signals() {
    let flag = INTERRUPTED.get_or_init(|| Arc::new(AtomicBool::new(false)));
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(flag)) {
            eprintln!("warning: cannot handle signal {signal}: {error}");
        }
    }
}

/// A number with commas between the thousands.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    if value < 0.0 && text.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
        grouped.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
