//! Reads values from a server's page of metrics.

use std::time::Instant;

use crate::PATIENCE;

/// The value of a metric, by its whole name, on a page of metrics; `None` if the page lacks it, for
/// example because it is a 503.
pub fn value(page: &str, name: &str) -> Option<u64> {
    let value = |line: &str| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .parse::<f64>()
            .ok()
    };
    page.lines().find_map(value).map(|value| value as u64)
}

/// Waits until the metric that `read` returns has a `wanted` value.
pub fn wait_until(name: &str, read: impl Fn() -> u64, wanted: impl Fn(u64) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = read();
        if wanted(value) {
            return;
        }
        assert!(Instant::now() < deadline, "{name} is {value}");
    }
}
