//! `/readyz`: whether every market has a current price, and if not, which prices are missing and
//! since when.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tungstenite::http::StatusCode;

use crate::feed::Sources;
use crate::server::hub::Hub;
use crate::server::relay::Relay;

/// The state that decides whether a server is ready.
pub(crate) struct Readiness<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) sources: &'a Sources,
    /// A shutdown has begun.
    pub(crate) is_stopping: bool,
    /// What it does about the log, if it is one of many servers.
    pub(crate) relay: Option<&'a Relay>,
    pub(crate) now: Instant,
}

impl Readiness<'_> {
    /// Ready when all markets are known, there are some, every one has a current price and no
    /// shutdown has begun.
    pub(crate) fn is_ready(&self) -> bool {
        let has_symbols = self.hub.counts().0 > 0;
        let has_log = self
            .relay
            .is_none_or(|relay| relay.trouble(self.now).is_none());
        !self.is_stopping
            && has_log
            && self.sources.has_lists()
            && has_symbols
            && self.hub.is_ready()
    }

    /// The page: a line for each list of markets that is awaited, for each of the first symbols
    /// without a current price, longest silence first, and for each of the first sources that fail.
    pub(crate) fn page(&self, now: Instant) -> (StatusCode, String) {
        if self.is_ready() {
            return (StatusCode::OK, "ready\n".to_owned());
        }
        let mut body = String::new();
        if self.is_stopping {
            body.push_str("shutting down\n");
        }
        if self.hub.counts().0 == 0 {
            body.push_str("there are no symbols yet\n");
        }
        if let Some(trouble) = self.relay.and_then(|relay| relay.trouble(now)) {
            body.push_str(&trouble);
            body.push('\n');
        }
        for obstacle in self.sources.obstacles(now) {
            body.push_str(&obstacle);
            body.push('\n');
        }
        let mut unserved = self.hub.silences(now);
        unserved.sort_by_key(|(_, silence)| std::cmp::Reverse(*silence));
        write_some(
            &mut body,
            &unserved,
            |out, (symbol, silence)| match silence {
                Some(silence) => line(out, symbol, "no price", *silence, ""),
                None => writeln!(out, "{symbol}: no price yet"),
            },
        );
        let failing = self.sources.iter().filter_map(|source| {
            let (kind, since) = source.failing()?;
            let waits = source.waits(now).filter(|waits| !waits.is_zero());
            let next = waits.map_or(String::new(), |waits| {
                format!(", next attempt in {waits:.1?}")
            });
            Some((
                source.name(),
                kind,
                now.saturating_duration_since(since),
                next,
            ))
        });
        let failing: Vec<_> = failing.collect();
        write_some(&mut body, &failing, |out, (name, kind, lasting, next)| {
            line(out, name, &format!("failing ({kind})"), *lasting, next)
        });
        (StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

/// `BTC/USDT: no price for 12.3s, since 2026-11-22T19:00:00Z`, with `more` before the comma.
fn line(
    out: &mut String,
    name: &str,
    what: &str,
    lasting: Duration,
    more: &str,
) -> std::fmt::Result {
    write!(out, "{name}: {what} for {lasting:.1?}{more}")?;
    let since = SystemTime::now().checked_sub(lasting);
    if let Some(since) = since.and_then(|since| Timestamp::try_from(since).ok()) {
        write!(out, ", since {since:.0}")?;
    }
    out.push('\n');
    Ok(())
}

fn write_some<T>(
    out: &mut String,
    all: &[T],
    write_one: impl Fn(&mut String, &T) -> std::fmt::Result,
) {
    for one in all.iter().take(LINES_MAX) {
        // Writing to a string cannot fail.
        let _ = write_one(out, one);
    }
    if all.len() > LINES_MAX {
        let _ = writeln!(out, "and {} more", all.len() - LINES_MAX);
    }
}

/// The most symbols, and the most sources, that the page names.
const LINES_MAX: usize = 20;
