//! The options about the shape of the load: who hardly reads, who comes and goes, how many processes.

use super::Config;
use crate::options::{BadOption, Options, count};

/// What clients do besides listening.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// So many of the clients hardly read.
    pub slow: usize,
    /// So many connections per second are closed and opened anew.
    pub churn: Option<f64>,
    /// Whether a lost connection is opened anew.
    pub reconnect: bool,
}

/// Reads them into `config`; those not given stay as they are.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let shape = Shape {
        slow: options.value("--slow", count)?.unwrap_or_default(),
        churn: options.value("--churn", churn)?,
        reconnect: options.flag("--reconnect"),
    };
    if shape.slow >= config.clients && shape.slow > 0 {
        let error = format!(
            "{} of {} clients leave none to measure, raise --clients",
            shape.slow, config.clients
        );
        return Err(BadOption::new("--slow", error));
    }
    config.shape = shape;
    Ok(())
}

fn churn(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=1e5).contains(rate))
        .ok_or_else(|| format!("'{text}' is no rate, try 10 (reconnects per second)"))
}
