//! The options about the load: how many connections, how fast, for how long.

use crate::client::config::Config;
use crate::options::{BadOption, Options, count, duration, period};

/// Reads them into `config`; those not given stay as they are.
pub(in crate::client) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    if let Some(clients) = options.value("--clients", count)? {
        config.clients = clients;
    }
    if let Some(duration) = options.value("--duration", period)? {
        config.duration = duration;
    }
    if let Some(warmup) = options.value("--warmup", duration)? {
        config.warmup = warmup;
    }
    config.ramp = options.value("--ramp", |text| rate(text, "connections"))?;
    if let Some(in_flight) = options.value("--in-flight", count)? {
        config.in_flight = in_flight;
    }
    if let Some(timeout) = options.value("--connect-timeout", period)? {
        config.connect_timeout = timeout;
    }
    Ok(())
}

/// Reads how many `things` there shall be per second.
pub(in crate::client) fn rate(text: &str, things: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| format!("'{text}' is no rate, try 100 ({things} per second)"))
}
