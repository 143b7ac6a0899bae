//! The prices that wait to be written into the log.

use std::collections::HashMap;

use crate::tick::Tick;

/// Prices in their order of arrival. When they are too many, only the newest of each symbol is kept.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    ticks: Vec<Tick>,
    /// About how many bytes they take in the log.
    length: usize,
    /// The length at which room is made.
    limit: usize,
    /// How many made room for newer ones, ever.
    conflated: u64,
}

impl Waiting {
    /// Adds a price.
    pub(crate) fn push(&mut self, tick: Tick) {
        self.length += length(&tick);
        self.ticks.push(tick);
        if self.length > self.limit.max(LENGTH_MAX) {
            self.conflate();
            // With many symbols there may be nothing to leave out, and looking takes a while.
            self.limit = 2 * self.length;
        }
    }

    /// Takes the oldest prices, as many as fit into one message.
    pub(crate) fn take(&mut self) -> Vec<Tick> {
        let mut room = BATCH_LENGTH_MAX;
        let fit = self.ticks.iter().take_while(|tick| {
            let fits = length(tick) <= room;
            room = room.saturating_sub(length(tick));
            fits
        });
        let count = fit.count();
        let rest = self.ticks.split_off(count);
        let taken = std::mem::replace(&mut self.ticks, rest);
        self.length -= taken.iter().map(length).sum::<usize>();
        self.limit = 0;
        taken
    }

    pub(crate) fn clear(&mut self) {
        self.ticks.clear();
        (self.length, self.limit) = (0, 0);
    }

    pub(crate) fn len(&self) -> usize {
        self.ticks.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// Whether a source that can wait may go on.
    pub(crate) fn has_room(&self) -> bool {
        self.length < ROOM
    }

    /// Notes that a price made room for a newer one before it came here.
    pub(crate) fn count_conflated(&mut self) {
        self.conflated += 1;
    }

    /// How many prices made room for newer ones.
    pub(crate) fn conflated(&self) -> u64 {
        self.conflated
    }

    /// Keeps the newest price of each symbol, in the order of their last ones.
    fn conflate(&mut self) {
        let before = self.ticks.len();
        let mut last = HashMap::new();
        for (index, tick) in self.ticks.iter().enumerate() {
            last.insert(tick.symbol.clone(), index);
        }
        let mut index = 0;
        self.ticks.retain(|tick| {
            index += 1;
            last.get(&tick.symbol) == Some(&(index - 1))
        });
        self.conflated += (before - self.ticks.len()) as u64;
        self.length = self.ticks.iter().map(length).sum();
    }
}

/// About how many bytes a price takes in the log.
fn length(tick: &Tick) -> usize {
    let fields = tick.fields.iter();
    let fields = fields.map(|(_, value)| value.as_str().len() + FIELD_NAME_LENGTH);
    tick.symbol.len() + tick.price.as_str().len() + FRAME_LENGTH + fields.sum::<usize>()
}

/// The names, the stamps and the punctuation of a tick.
const FRAME_LENGTH: usize = 90;

/// The name of a field with its punctuation.
const FIELD_NAME_LENGTH: usize = 17;

/// How many bytes may wait before only the newest price of each symbol is kept. What is waiting is
/// written as soon as the log has taken the message before, which takes a millisecond.
const LENGTH_MAX: usize = 64 * 1024;

/// How many bytes may wait before sources that can wait do so: as far below the limit as no price is
/// long.
const ROOM: usize = LENGTH_MAX / 2;

/// The longest message. Brokers take up to 1 MiB; a shorter one holds others up for less long.
pub(crate) const BATCH_LENGTH_MAX: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Price;

    fn tick(symbol: &str, number: u64) -> Tick {
        Tick::new(symbol, Price::parse(&number.to_string()).unwrap(), number)
    }

    #[test]
    fn prices_come_out_in_their_order() {
        let mut waiting = Waiting::default();
        for number in 0..5 {
            waiting.push(tick("A", number));
        }
        let taken = waiting.take();
        assert!(taken.iter().map(|tick| tick.timestamp).eq(0..5));
        assert!(waiting.is_empty());
        assert_eq!(waiting.conflated(), 0);
    }

    #[test]
    fn of_too_many_the_newest_of_each_symbol_is_kept_and_the_others_are_counted() {
        let mut waiting = Waiting::default();
        for number in 0..100_000 {
            waiting.push(tick(["A", "B", "C"][number as usize % 3], number));
            assert!(waiting.length <= LENGTH_MAX, "{}", waiting.length);
        }
        let (kept, conflated) = (waiting.len() as u64, waiting.conflated());
        assert_eq!(kept + conflated, 100_000);
        let last = waiting.take();
        assert!(
            last.windows(2)
                .all(|pair| pair[0].timestamp < pair[1].timestamp)
        );
        assert_eq!(last.last().unwrap().timestamp, 99_999);
    }

    #[test]
    fn more_symbols_than_fit_into_one_message_take_several() {
        let mut waiting = Waiting::default();
        for number in 0..3_000 {
            waiting.push(tick(&format!("S{number}/USDT"), number));
        }
        assert_eq!(waiting.len(), 3_000);
        let first = waiting.take();
        assert!(first.len() < 3_000 && !first.is_empty());
        let mut all = first;
        while !waiting.is_empty() {
            all.extend(waiting.take());
        }
        assert!(all.iter().map(|tick| tick.timestamp).eq(0..3_000));
        assert_eq!(waiting.length, 0);
    }
}
