//! The symbols that an origin keeps from the log although its sources have not named them yet.
//!
//! A script names its symbols line by line, and a list of markets takes a while to come. Without
//! these symbols the opening of a restarted origin would take them away from all clients, and give
//! them back a moment later with numbers that begin again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Node;

/// The symbols of the log that the sources have not named.
#[derive(Debug, Default)]
pub(super) struct Adopted {
    symbols: BTreeSet<String>,
    /// Until when they are kept.
    until: Option<Instant>,
}

impl Adopted {
    pub(super) fn has(&self, symbol: &str) -> bool {
        self.symbols.contains(symbol)
    }

    /// A source has named the symbol.
    pub(super) fn confirm(&mut self, symbol: &str) {
        self.symbols.remove(symbol);
    }
}

impl Node {
    /// Keeps the symbols of the log for a while, if the sources may name them yet.
    pub(super) fn adopt_symbols(&mut self, now: Instant) {
        let Some(origin) = self.origin.as_mut() else {
            return;
        };
        if !origin.settings.lists_later {
            return;
        }
        for (symbol, info) in self.book.infos() {
            if !origin.symbols.contains_key(symbol) {
                origin.symbols.insert(symbol.to_owned(), info.clone());
                origin.adopted.symbols.insert(symbol.to_owned());
            }
        }
        origin.adopted.until = Some(now + KEPT_FOR);
    }

    /// Removes the adopted symbols if their time is over at `now`, or at once.
    pub(super) fn give_up_adopted(&mut self, now: Option<Instant>) {
        let Some(origin) = &mut self.origin else {
            return;
        };
        let adopted = &mut origin.adopted;
        let is_over = |until: &mut Instant| now.is_none_or(|now| now >= *until);
        if adopted.until.take_if(is_over).is_some() {
            for symbol in std::mem::take(&mut adopted.symbols) {
                self.remove_symbol(&symbol);
            }
        }
    }
}

/// How long the sources have time to name their symbols.
const KEPT_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::super::testing::Desk;
    use super::*;

    #[test]
    fn an_origin_keeps_the_symbols_of_the_log_until_its_sources_have_named_theirs() {
        let mut first = Desk::new(true);
        first.lead();
        first.publish("A");
        first.publish("B");
        first.pass(Duration::from_secs(2));
        let mut second = first.successor(true);
        second.lead();
        assert_eq!(second.symbols(), ["A", "B"]);
        second.publish("A");
        second.pass(KEPT_FOR - Duration::from_secs(1));
        assert_eq!(second.symbols(), ["A", "B"]);
        second.pass(Duration::from_secs(3));
        assert_eq!(second.symbols(), ["A"]);
        // Its numbers went on.
        assert_eq!(second.newest("A"), 2);
    }

    #[test]
    fn an_origin_that_knows_its_symbols_removes_all_others_at_once() {
        let mut first = Desk::new(false);
        first.lead();
        first.publish("A");
        first.pass(Duration::from_secs(2));
        let mut second = first.successor(false);
        second.list("B");
        second.lead();
        assert_eq!(second.symbols(), ["B"]);
    }
}
