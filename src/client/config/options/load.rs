//! Options for the load: how many connections, how fast, for how long, and in how many processes.

use std::net::SocketAddr;

use crate::cli::{BadOption, Options, count, duration, period};
use crate::client::config::options::watch;
use crate::client::config::{Behaviour, Config};

/// Reads these options into `config`; those not given keep their defaults.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
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
    read_shape(options, config)
}

/// Reads a number of `things` per second.
pub(super) fn rate(text: &str, things: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| {
            format!("invalid rate '{text}': expected a number like 100 ({things} per second)")
        })
}

/// Reads the options for slow readers and reconnecting; those not given keep their defaults.
fn read_shape(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let behaviour = Behaviour {
        slow: options.value("--slow", count)?.unwrap_or_default(),
        churn: options.value("--churn", |text| rate(text, "reconnects"))?,
        reconnect: options.flag("--reconnect"),
    };
    if behaviour.slow >= config.clients && behaviour.slow > 0 {
        let error = format!(
            "{} of {} clients would leave none to measure, raise --clients",
            behaviour.slow, config.clients
        );
        return Err(BadOption::new("--slow", error));
    }
    config.behaviour = behaviour;
    if let Some(processes) = options.value("--processes", count)? {
        config.processes = processes;
    }
    // Internal: the coordinator starts its workers with these.
    config.share = options.internal("--share", share)?;
    if config.share.is_some()
        && let Some(known) = options.internal("--share-addresses", addresses)?
    {
        config.addresses = known;
    }
    if let (Some(_), Some(watch)) = (config.share, &mut config.watch)
        && let Some(settled) = options.internal("--share-seed", watch::seed)?
    {
        watch.seed = Some(settled);
    }
    Ok(())
}

/// Rejects options that do not work with several processes.
pub(super) fn check_processes(config: &Config) -> Result<(), BadOption> {
    let error = if config.processes > config.clients {
        format!(
            "expected at most one process per client ({})",
            config.clients
        )
    } else if config.processes > PROCESSES_MAX {
        format!("expected at most {PROCESSES_MAX}")
    } else if config.processes > 1 && config.print {
        "--print works with a single process only".to_owned()
    } else {
        return Ok(());
    };
    Err(BadOption::new("--processes", error))
}

/// Reads `1/4`, which is the second of four processes.
fn share(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    parts
        .filter(|(number, of)| number < of)
        .ok_or_else(|| format!("invalid share '{text}': expected something like 1/4"))
}

/// Reads `127.0.0.1:80,[::1]:80`.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let read = |part: &str| {
        let address = part.parse();
        address.map_err(|_| {
            format!("invalid address '{part}': expected something like 127.0.0.1:8888")
        })
    };
    text.split(',').map(read).collect()
}

/// Each process uses its own loopback addresses, of which there are 254.
const PROCESSES_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::url::Url;

    #[test]
    fn the_shares_of_all_processes_add_up() {
        for (clients, slow, of) in [(10, 3, 4), (5, 4, 3), (7, 0, 7), (1000, 999, 3), (4, 1, 2)] {
            let config = Config {
                clients,
                ramp: Some(100.0),
                behaviour: Behaviour {
                    slow,
                    churn: Some(10.0),
                    reconnect: true,
                },
                ..Config::new(Url::parse("ws://h/").unwrap())
            };
            let shares: Vec<_> = (0..of).map(|number| config.share(number, of)).collect();
            let sum = |of: fn(&Config) -> usize| shares.iter().map(of).sum::<usize>();
            let mut first = 0;
            for share in &shares {
                assert_eq!(share.first_client, first);
                first += share.clients;
            }
            assert_eq!(sum(|share| share.clients), clients);
            assert_eq!(sum(|share| share.behaviour.slow), slow);
            let rates = |of: fn(&Config) -> Option<f64>| shares.iter().filter_map(of).sum::<f64>();
            assert!((rates(|share| share.ramp) - 100.0).abs() < 1e-9);
            assert!((rates(|share| share.behaviour.churn) - 10.0).abs() < 1e-9);
            for share in shares {
                assert!(share.clients > 0 && share.behaviour.slow <= share.clients);
                assert!(share.behaviour.reconnect && share.quiet);
            }
        }
    }

    #[test]
    fn invalid_shares_are_refused() {
        assert_eq!(share("1/4"), Ok((1, 4)));
        for text in ["4/4", "1", "a/b", "-1/2", "1/0"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
