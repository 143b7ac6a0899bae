//! How a server says it is, on its pages.

use testkit::ServerProcess;

pub(crate) fn is_healthy(server: &ServerProcess) -> bool {
    server.get("/healthz").starts_with("HTTP/1.1 200 ")
}

/// Whether each source's newest answer was a good one.
pub(crate) fn sources_are_up(server: &ServerProcess) -> bool {
    let page = server.metrics();
    let lines = page.lines();
    let up = lines.filter(|line| line.starts_with("tickertape_source_up{"));
    let value = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    let up: Vec<_> = up.map(|line| value(line) == Some(1.0)).collect();
    // A page that does not say proves nothing.
    !up.is_empty() && !up.contains(&false)
}

/// Below what 99 of 100 timers were late, and all of them.
pub(crate) fn lateness(server: &ServerProcess) -> String {
    let page = server.metrics();
    let buckets: Vec<(String, u64)> = page.lines().filter_map(bucket).collect();
    let all = buckets.last().map_or(0, |(_, count)| *count);
    let bound = |least: u64| {
        let found = buckets.iter().find(|(_, count)| *count >= least);
        found.map_or("?", |(bound, _)| bound).to_owned()
    };
    format!("{} / {}", bound(all - all / 100), bound(all))
}

/// The bound in seconds, and how many were within it.
fn bucket(line: &str) -> Option<(String, u64)> {
    let rest = line.strip_prefix("tickertape_loop_lateness_seconds_bucket{le=\"")?;
    let (bound, rest) = rest.split_once("\"}")?;
    Some((bound.to_owned(), rest.trim().parse().ok()?))
}
