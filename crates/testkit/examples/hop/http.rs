//! What servers say about themselves, by short requests that a server which does not answer cannot
//! hold up.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The status and the whole answer to a GET of `path`.
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let status = status.and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(0), answer))
}

/// Whether the server is ready; an error if it does not say.
pub(crate) fn is_ready(address: SocketAddr) -> io::Result<bool> {
    Ok(get(address, "/readyz")?.0 == 200)
}

/// The CPU time that a server has used, in seconds.
pub(crate) fn cpu(address: SocketAddr) -> Option<f64> {
    let (_, page) = get(address, "/metrics").ok()?;
    value(&page, "process_cpu_seconds_total")
}

/// The value of a metric, by its whole name, on a page of metrics.
pub(crate) fn value(page: &str, name: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value)
}

/// The smallest bound of a histogram on a page of metrics that this share of its values is within.
pub(crate) fn quantile(page: &str, name: &str, share: f64) -> Option<f64> {
    let count = value(page, &format!("{name}_count"))?;
    let buckets = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?;
        let (bound, count) = rest.split_once("\"} ")?;
        let bound = bound.parse::<f64>().ok()?;
        Some((bound, count.parse::<f64>().ok()?))
    });
    let mut within = buckets.filter(|(_, so_many)| *so_many >= share * count);
    within.next().map(|(bound, _)| bound)
}

/// The label of the metric of this name whose value is 1.
pub(crate) fn label<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.lines().find_map(|line| {
        let labels = line.strip_prefix(name)?.strip_suffix("\"} 1")?;
        Some(labels.split_once("=\"")?.1)
    })
}

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE late_seconds histogram
late_seconds_bucket{le=\"0.001\"} 90
late_seconds_bucket{le=\"0.01\"} 99
late_seconds_bucket{le=\"+Inf\"} 100
late_seconds_count 100
connected{server=\"n1\"} 0
connected{server=\"n2\"} 1
cpu_seconds 1.5
";

    #[test]
    fn metrics_are_found_by_their_names() {
        assert_eq!(value(PAGE, "cpu_seconds"), Some(1.5));
        assert_eq!(value(PAGE, "cpu"), None);
        assert_eq!(label(PAGE, "connected"), Some("n2"));
        assert_eq!(label(PAGE, "leading"), None);
    }

    #[test]
    fn a_quantile_is_the_bound_that_it_is_within() {
        assert_eq!(quantile(PAGE, "late_seconds", 0.5), Some(0.001));
        assert_eq!(quantile(PAGE, "late_seconds", 0.99), Some(0.01));
        assert_eq!(quantile(PAGE, "late_seconds", 0.999), Some(f64::INFINITY));
        assert_eq!(quantile(PAGE, "early_seconds", 0.5), None);
    }
}
