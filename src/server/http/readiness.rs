//! `/readyz`: whether there is a price of now to give, and if not, what is missing since when.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tungstenite::http::StatusCode;

use crate::server::Server;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Ready is who has a price of now to give, and is not about to go.
    pub(crate) fn is_ready(&self) -> bool {
        !self.shutdown.has_begun() && self.hub.is_ready()
    }

    /// The page: a line for each of the first symbols without a price of now, longest silence first,
    /// and for each of the first sources that fail.
    pub(crate) fn readiness(&self, now: Instant) -> (StatusCode, String) {
        if self.is_ready() {
            return (StatusCode::OK, "ready\n".to_owned());
        }
        let mut body = String::new();
        if self.shutdown.has_begun() {
            body.push_str("shutting down\n");
        }
        let mut unserved = self.hub.silences(now);
        unserved.sort_by_key(|(_, silence)| std::cmp::Reverse(*silence));
        let (symbols, count) = (unserved.iter(), unserved.len());
        write_some(
            &mut body,
            symbols,
            count,
            |out, (symbol, silence)| match silence {
                Some(silence) => line(out, symbol, "no price", *silence),
                None => writeln!(out, "{symbol}: no price yet"),
            },
        );
        let failing = self.sources.iter().filter_map(|source| {
            let (kind, since) = source.failing()?;
            Some((source.name(), kind, now.saturating_duration_since(since)))
        });
        let failing: Vec<_> = failing.collect();
        write_some(
            &mut body,
            failing.iter(),
            failing.len(),
            |out, (name, kind, lasting)| line(out, name, &format!("failing ({kind})"), *lasting),
        );
        (StatusCode::SERVICE_UNAVAILABLE, body)
    }
}

/// `BTC/USDT: no price for 12.3s, since 2026-11-22T19:00:00Z`.
fn line(out: &mut String, name: &str, what: &str, lasting: Duration) -> std::fmt::Result {
    write!(out, "{name}: {what} for {lasting:.1?}")?;
    let since = SystemTime::now().checked_sub(lasting);
    if let Some(since) = since.and_then(|since| Timestamp::try_from(since).ok()) {
        write!(out, ", since {since:.0}")?;
    }
    out.push('\n');
    Ok(())
}

fn write_some<T>(
    out: &mut String,
    all: impl Iterator<Item = T>,
    count: usize,
    write_one: impl Fn(&mut String, T) -> std::fmt::Result,
) {
    for one in all.take(LINES_MAX) {
        // A string takes every write.
        let _ = write_one(out, one);
    }
    if count > LINES_MAX {
        let _ = writeln!(out, "and {} more", count - LINES_MAX);
    }
}

/// Symbols and sources named by the page, of each.
const LINES_MAX: usize = 20;
