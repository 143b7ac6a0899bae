//! One symbol on the board: its newest tick, and whether that is still to be trusted.

use std::time::{Duration, Instant};

use crate::frame;
use crate::tick::{self, Tick};

/// One symbol and its newest tick.
pub(super) struct Listing {
    pub(super) name: String,
    /// The name with quotes, escaped, as every tick of it begins.
    pub(super) name_json: String,
    pub(super) seq: u64,
    pub(super) sent: u64,
    /// When the newest tick was printed, by a clock that nobody sets.
    pub(super) printed: Option<Instant>,
    /// The newest tick as a frame; empty before the first.
    pub(super) frame: Vec<u8>,
    pub(super) json: Vec<u8>,
    /// None for one that may be silent as long as it likes.
    pub(super) watch: Option<Watch>,
}

/// How a symbol is kept from falling silent unnoticed.
pub(super) struct Watch {
    /// What it is a price of.
    pub(super) market: String,
    pub(super) stale_after: Duration,
    /// When its price was known last; when watching began, before the first.
    pub(super) heard: Instant,
    /// Its clients have been told.
    pub(super) is_stale: bool,
}

impl Listing {
    pub(super) fn new(name: String) -> Self {
        let name_json = serde_json::Value::from(name.as_str()).to_string();
        Self {
            name,
            name_json,
            seq: 0,
            sent: 0,
            printed: None,
            frame: Vec::new(),
            json: Vec::new(),
            watch: None,
        }
    }

    pub(super) fn update(&mut self, tick: &Tick, sent: u64) {
        self.seq += 1;
        self.sent = sent;
        self.json.clear();
        let quote = (&tick.price, tick.timestamp);
        tick::write_json(&mut self.json, &self.name_json, quote, self.seq, sent);
        self.frame.clear();
        frame::text(&mut self.frame, &self.json);
    }

    /// Its price is known to be of now. Returns whether it was stale before.
    pub(super) fn hear(&mut self, now: Instant) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        watch.heard = now;
        std::mem::replace(&mut watch.is_stale, false)
    }

    /// Whether it has fallen silent and nobody has been told. With `no_hope`, what never had a price
    /// is so at once.
    pub(super) fn is_overdue(&self, now: Instant, no_hope: bool) -> bool {
        let watch = self.watch.as_ref().filter(|watch| !watch.is_stale);
        let is_forlorn = no_hope && self.seq == 0;
        watch.is_some_and(|watch| is_forlorn || watch.silence(now) > watch.stale_after)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_stale)
    }

    /// The event that says that it has fallen silent, with the silence so far.
    pub(super) fn write_stale(&self, now: Instant, out: &mut Vec<u8>) {
        let silence = self.watch.as_ref().map(|watch| watch.silence(now));
        let age = silence.unwrap_or_default().as_millis();
        let name = &self.name_json;
        let event = format!(r#"{{"event":"stale","symbol":{name},"age":{age}}}"#);
        frame::text(out, event.as_bytes());
    }

    /// The event that says that it is back.
    pub(super) fn write_live(&self, out: &mut Vec<u8>) {
        let event = format!(r#"{{"event":"live","symbol":{}}}"#, self.name_json);
        frame::text(out, event.as_bytes());
    }
}

impl Watch {
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }
}
