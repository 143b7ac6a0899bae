//! The options for limits, which the server enforces whatever its clients do.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::{BadOption, Options, count, duration, period, size};
use crate::server::admission::origin::Origins;
use crate::server::config::Config;
use crate::tape;

/// The limits; an option that is not given leaves its default.
pub(super) fn limits(options: &mut Options) -> Result<Config, BadOption> {
    let mut config = Config {
        clients_max: options.value("--max-clients", count)?,
        clients_per_address_max: options.value("--max-clients-per-ip", count)?,
        admin: options.value("--admin", address_and_port)?,
        reuse_port: options.flag("--reuse-port"),
        ..Config::default()
    };
    let mut set = |name, field: &mut Duration, parse: fn(&str) -> Result<Duration, String>| {
        options
            .value(name, parse)
            .map(|value| *field = value.unwrap_or(*field))
    };
    set("--handshake-timeout", &mut config.handshake_timeout, period)?;
    set("--close-timeout", &mut config.close_timeout, period)?;
    set("--ping-interval", &mut config.ping_interval, duration)?;
    set("--conflate-after", &mut config.conflate_after, period)?;
    set("--resume-wait", &mut config.resume_wait, duration)?;
    set("--slow-timeout", &mut config.slow_timeout, period)?;
    set("--drain", &mut config.drain, duration)?;
    set("--shutdown-timeout", &mut config.shutdown_timeout, period)?;
    let mut set = |name, field: &mut usize, least: usize| match options.value(name, size)? {
        Some(value) if value < least => {
            let error = format!("invalid size: expected at least {}", written(least));
            Err(BadOption::new(name, error))
        }
        value => {
            *field = value.unwrap_or(*field);
            Ok(())
        }
    };
    set("--max-message-size", &mut config.max_message_size, 1)?;
    set("--tape", &mut config.tape_size, TAPE_SIZE_MIN)?;
    set("--list-memory", &mut config.list_memory, 1)?;
    set("--send-buffer", &mut config.send_buffer, SEND_BUFFER_MIN)?;
    if config.tape_size > tape::SIZE_MAX {
        let error = format!("invalid size: expected at most {}GiB", tape::SIZE_MAX >> 30);
        return Err(BadOption::new("--tape", error));
    }
    if let Some(most) = options.value("--max-batch", count)? {
        config.max_batch = most;
    }
    if let Some(rate) = options.value("--message-rate", count)? {
        config.message_rate = rate as f32;
        config.message_burst = 2.0 * config.message_rate;
    }
    config.ping_timeout = ping_timeout(options, config.ping_interval)?;
    config.origins = origins(options)?;
    Ok(config)
}

/// A number of bytes as options take it.
fn written(bytes: usize) -> String {
    match bytes {
        bytes if bytes % 1024 == 0 => format!("{}KiB", bytes / 1024),
        bytes => format!("{bytes}B"),
    }
}

/// As in Tornado, the ping timeout defaults to the interval and may not exceed it.
fn ping_timeout(options: &mut Options, interval: Duration) -> Result<Duration, BadOption> {
    match options.value("--ping-timeout", period)? {
        Some(_) if interval.is_zero() => {
            let error = "only makes sense with pings, but --ping-interval is 0";
            Err(BadOption::new("--ping-timeout", error))
        }
        Some(timeout) if timeout > interval => {
            let error = format!("expected at most --ping-interval, which is {interval:?}");
            Err(BadOption::new("--ping-timeout", error))
        }
        timeout => Ok(timeout.unwrap_or(interval)),
    }
}

fn origins(options: &mut Options) -> Result<Origins, BadOption> {
    let mut origins = Origins::default();
    for origin in options.values("--allow-origin", text)? {
        let allowed = origins.allow(&origin);
        allowed.map_err(|error| BadOption::new("--allow-origin", error))?;
    }
    for host in options.values("--allow-host", text)? {
        let allowed = origins.allow_host(&host);
        allowed.map_err(|error| BadOption::new("--allow-host", error))?;
    }
    Ok(origins)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "options are read by functions that may fail"
)]
fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn address_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("invalid address '{text}': expected ADDRESS:PORT, such as 127.0.0.1:9100")
    })
}

/// Room for the longest frames and some time to read them.
const TAPE_SIZE_MIN: usize = 64 << 10;

/// Below this the system uses its own minimum.
const SEND_BUFFER_MIN: usize = 8 << 10;
