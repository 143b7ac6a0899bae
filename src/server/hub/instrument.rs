//! One symbol on the hub: its newest tick, and whether its price can still be trusted.

use std::time::{Duration, Instant};

use super::pattern::{Parts, bare};
use crate::frame;
use crate::tape::FrameNumber;
use crate::tick::{self, Tick};

/// One symbol and its newest tick.
pub(super) struct Instrument {
    pub(super) name: Box<str>,
    /// The name in quotes and escaped, as each of its ticks begins.
    pub(super) name_json: Box<str>,
    pub(super) parts: Parts,
    /// Whether clients can ask for it. A delisted symbol may come back, and then goes on counting.
    pub(super) is_listed: bool,
    /// Whether it has been forgotten, so that its number is free for another symbol.
    pub(super) is_gone: bool,
    /// When it last came or went, and the time before, by the hub's count of such changes.
    pub(super) moved: [u64; 2],
    /// Whether it is among the symbols that may be forgotten.
    pub(super) may_go: bool,
    pub(super) seq: u64,
    pub(super) sent: u64,
    /// When the newest tick was published, by the monotonic clock.
    pub(super) published: Option<Instant>,
    /// The newest tick, framed; empty before the first.
    pub(super) frame: Vec<u8>,
    /// The numbers of the frames on the tape: the newest tick, and the newest event.
    pub(super) tick: FrameNumber,
    pub(super) event: FrameNumber,
    /// The number of its market.
    pub(super) market: usize,
    /// `None` for a symbol that may stay silent for any length of time.
    pub(super) watch: Option<Watch>,
}

/// How a symbol is kept from falling silent unnoticed.
pub(super) struct Watch {
    pub(super) stale_after: Duration,
    /// When its price was last known; before the first price, when watching began.
    pub(super) touched: Instant,
    /// Whether its clients have been told.
    pub(super) is_stale: bool,
}

impl Instrument {
    pub(super) fn new(name: &str, parts: Parts, market: usize) -> Self {
        Self {
            name: name.into(),
            name_json: serde_json::Value::from(name).to_string().into(),
            parts,
            is_listed: true,
            is_gone: false,
            moved: [0; 2],
            may_go: false,
            seq: 0,
            sent: 0,
            published: None,
            frame: Vec::new(),
            tick: 0,
            event: 0,
            market,
            watch: None,
        }
    }

    /// What remains in place of a forgotten symbol.
    pub(super) fn gone() -> Self {
        Self {
            is_listed: false,
            is_gone: true,
            ..Self::new("", Parts::default(), 0)
        }
    }

    /// Lists or delists it, as the hub's change number `change`.
    pub(super) fn set_listed(&mut self, is_listed: bool, change: u64) {
        self.is_listed = is_listed;
        self.moved = [self.moved[1], change];
    }

    /// Whether it was listed after the hub's change number `change`; known for the last two times
    /// that it came or went.
    pub(super) fn was_listed(&self, change: u64) -> bool {
        let since = self.moved.iter().filter(|&&moved| moved > change).count();
        self.is_listed != (since == 1)
    }

    /// Whether its name without the source is `name`, ignoring case.
    pub(super) fn is_spelled(&self, name: &str) -> bool {
        // Most names differ in their last letters and need not be taken apart.
        let from = self.name.len().checked_sub(name.len());
        let end = from.and_then(|from| self.name.as_bytes().get(from..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
            && (bare(&self.name).unwrap_or(&self.name)).eq_ignore_ascii_case(name)
    }

    /// Takes a price that was given its number and stamp.
    pub(super) fn update(&mut self, tick: &Tick, (seq, sent): (u64, u64), json: &mut Vec<u8>) {
        (self.seq, self.sent) = (seq, sent);
        json.clear();
        tick::write_json(json, &self.name_json, tick, seq, sent);
        self.frame.clear();
        frame::text(&mut self.frame, json);
    }

    /// The newest tick's JSON; empty before the first.
    pub(super) fn json(&self) -> &[u8] {
        frame::payload(&self.frame)
    }

    /// Notes that the price is current. Returns whether it was stale before.
    pub(super) fn touch(&mut self, now: Instant) -> bool {
        let Some(watch) = &mut self.watch else {
            return false;
        };
        watch.touched = now;
        std::mem::replace(&mut watch.is_stale, false)
    }

    /// Whether it has fallen silent and its readers have not been told.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let watch = self.watch.as_ref().filter(|watch| !watch.is_stale);
        watch.is_some_and(|watch| watch.silence(now) > watch.stale_after)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_stale)
    }

    /// How long it has been silent if it is stale, although its readers may not have been told yet.
    pub(super) fn stale_for(&self, now: Instant) -> Option<Duration> {
        let is_stale = self.is_stale() || self.is_overdue(now);
        let watch = self.watch.as_ref().filter(|_| is_stale);
        watch.map(|watch| watch.silence(now))
    }

    /// How long ago its price was last known to be current; `None` before the first.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        let published = self.published?;
        let known = self.watch.as_ref().map_or(published, |watch| watch.touched);
        Some(now.saturating_duration_since(known))
    }

    /// Whether it has a price that counts as current.
    pub(super) fn is_live(&self) -> bool {
        self.is_listed && self.seq > 0 && !self.is_stale()
    }

    /// Appends an event with its current state: stale, with the silence so far; delisted; or live.
    pub(super) fn write_event(&self, now: Instant, out: &mut Vec<u8>) {
        let name = &self.name_json;
        let event = if !self.is_listed {
            format!(r#"{{"event":"delisted","symbol":{name}}}"#)
        } else if self.is_stale() {
            let silence = self.watch.as_ref().map(|watch| watch.silence(now));
            let age = silence.unwrap_or_default().as_millis();
            format!(r#"{{"event":"stale","symbol":{name},"age":{age}}}"#)
        } else {
            format!(r#"{{"event":"live","symbol":{name}}}"#)
        };
        frame::text(out, event.as_bytes());
    }
}

impl Watch {
    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.touched)
    }
}
