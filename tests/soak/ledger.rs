//! Compares the prices sent in good order with those that arrived.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use super::SYMBOLS;
use super::listener::{Listener, Received};
use testkit::fake_exchange::{Delivery, FakeExchange, Fault, Outcome};

/// The balance of one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    /// Good prices that must have arrived; none where the server may choose another source.
    pub(crate) good: Option<usize>,
    pub(crate) arrived: usize,
    /// Good prices that never came. Prices of a source that was not serving do not count.
    pub(crate) missing: usize,
    /// Prices that came again, or out of turn.
    pub(crate) twice: usize,
    /// Prices that were never sent in good order.
    pub(crate) foreign: usize,
    /// Between the server and the client.
    pub(crate) gaps: u64,
    pub(crate) stale: u64,
    /// The first few problems.
    pub(crate) notes: Vec<String>,
}

impl Account {
    /// Waits until all that has been sent has arrived, or `patience` is over, and compares.
    pub(crate) fn settle(
        source: &str,
        exchange: &FakeExchange,
        listener: &Listener,
        patience: Duration,
    ) -> Self {
        let sent = exchange.deliveries();
        let mut account = Self::default();
        let until = Instant::now() + patience.min(Duration::from_secs(5));
        loop {
            let received = listener.received();
            // Only now, so that whatever was heard is in it.
            let all = exchange.deliveries();
            account = if source.contains(',') {
                account.of_list(source, &all, &received)
            } else {
                account.of_one(source, (&sent, &all), &received)
            };
            if account.is_good() || Instant::now() > until {
                return account;
            }
            thread::sleep(Duration::from_millis(100));
            account = Self::default();
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        let wrong = self.missing + self.twice + self.foreign;
        wrong == 0 && self.gaps == 0 && self.arrived > 0
    }

    /// From the first price heard on, all that were good in time must be there.
    fn of_one(
        mut self,
        source: &str,
        (sent, all): (&[Delivery], &[Delivery]),
        received: &Received,
    ) -> Self {
        let mut due = 0;
        for symbol in SYMBOLS {
            let prices = received.prices.get(symbol).map_or(&[][..], Vec::as_slice);
            let good = good(all, source, symbol);
            let in_time = self::good(sent, source, symbol).len();
            let begin = prices.first().and_then(|first| {
                let mut good = good.iter();
                good.position(|delivery| delivery.price == *first)
            });
            let begin = begin.unwrap_or(0);
            due += in_time.saturating_sub(begin);
            let next = self.walk(source, &good[begin..], prices, true);
            self.missing += in_time.saturating_sub(begin + next);
        }
        self.good = Some(due);
        self.gaps = received.gaps;
        self.stale = received.stale;
        self
    }

    /// Prices that came must be good, and in order; the server chooses the source.
    fn of_list(mut self, list: &str, all: &[Delivery], received: &Received) -> Self {
        for source in list.split(',') {
            let id = source.split('+').next().unwrap_or(source);
            for symbol in SYMBOLS {
                if let Some(prices) = received.prices.get(&format!("{id}:{symbol}")) {
                    self.walk(source, &good(all, source, symbol), prices, false);
                }
            }
        }
        self.gaps = received.gaps;
        self.stale = received.stale;
        self
    }

    /// Finds each of `prices` in `good` behind the one before. Returns where the last one was.
    fn walk(
        &mut self,
        name: &str,
        good: &[&Delivery],
        prices: &[String],
        counts_missing: bool,
    ) -> usize {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, sent) in good.iter().enumerate() {
            places.entry(&sent.price).or_default().push(place);
        }
        let mut next = 0;
        for price in prices {
            self.arrived += 1;
            let known = places.get(price.as_str()).map_or(&[][..], Vec::as_slice);
            match known.iter().find(|place| **place >= next) {
                Some(place) => {
                    if counts_missing && *place > next {
                        self.missing += place - next;
                        self.note(format!("{name}: {:?} before {price}", good[next]));
                    }
                    next = place + 1;
                }
                None if known.is_empty() => {
                    self.foreign += 1;
                    self.note(format!("{name}: {price} was never sent in good order"));
                }
                None => {
                    self.twice += 1;
                    self.note(format!("{name}: {price} came again"));
                }
            }
        }
        next
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        }
    }
}

/// The prices that a client must have of a symbol. One with a time of an hour ago is old, and an
/// old price is never sent as new.
fn good<'d>(deliveries: &'d [Delivery], source: &str, symbol: &str) -> Vec<&'d Delivery> {
    let is_old = |delivery: &Delivery| {
        matches!(delivery.fault, Fault::ClockBehind(_)) && delivery.timestamp_ms.is_some()
    };
    let good = deliveries.iter().filter(|delivery| {
        let is_meant = delivery.source == source && delivery.symbol == symbol;
        is_meant && delivery.outcome == Outcome::Good && !is_old(delivery)
    });
    good.collect()
}

const NOTES_MAX: usize = 5;
