//! Messages that wait for others in front of them.

use std::collections::BTreeMap;

use crate::cluster::message::Message;

/// How a message came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the subscription. Others may publish there, too, so what does not fit proves nothing.
    Live,
    /// From the log itself.
    Fetched,
}

/// What the log has at one number.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Message(Message),
    /// It is not ours, for this reason.
    Foreign(String),
}

/// Messages by their numbers; a limited number of them.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    messages: BTreeMap<u64, (Held, Way, usize)>,
    /// The length of all.
    length: usize,
}

impl Held {
    /// Reads what the log has.
    pub(super) fn read(payload: &[u8]) -> Self {
        match Message::parse(payload) {
            Ok(message) => Self::Message(message),
            Err(why) => Self::Foreign(why),
        }
    }
}

impl Waiters {
    /// Adds a message that took `length` bytes. Where there are too many, the one with the highest
    /// number goes and is returned, since the others are needed first.
    pub(super) fn insert(&mut self, seq: u64, held: Held, way: Way, length: usize) -> Option<u64> {
        if let Some((.., before)) = self.messages.insert(seq, (held, way, length)) {
            self.length -= before;
        }
        self.length += length;
        if self.messages.len() <= COUNT_MAX
            && (self.length <= LENGTH_MAX || self.messages.len() == 1)
        {
            return None;
        }
        let (last, (.., length)) = self.messages.pop_last()?;
        self.length -= length;
        Some(last)
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<(Held, Way)> {
        let (held, way, length) = self.messages.remove(&seq)?;
        self.length -= length;
        Some((held, way))
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        self.messages.contains_key(&seq)
    }

    /// The lowest number.
    pub(super) fn first(&self) -> Option<u64> {
        self.messages.keys().next().copied()
    }

    /// How many there are in `from..=to`.
    pub(super) fn count(&self, (from, to): (u64, u64)) -> u64 {
        self.messages.range(from..=to).count() as u64
    }

    /// The length of all, in bytes.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Removes those before `seq`.
    pub(super) fn forget_before(&mut self, seq: u64) {
        while let Some(first) = self.first().filter(|&first| first < seq) {
            self.remove(first);
        }
    }

    /// Removes those from `seq` on.
    pub(super) fn forget_from(&mut self, seq: u64) {
        while let Some((&last, _)) = self.messages.last_key_value()
            && last >= seq
        {
            self.remove(last);
        }
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.length = 0;
    }
}

/// How many messages may wait: more than a minute of a busy origin.
const COUNT_MAX: usize = 20_000;

/// How many bytes they may take.
const LENGTH_MAX: usize = 32 << 20;
