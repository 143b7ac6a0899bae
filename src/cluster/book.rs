//! What the log says of all symbols, up to some message: the newest tick of each, what servers have
//! to know of it, and which are stale.

use std::collections::BTreeMap;

use super::message::{Key, Position, Printed, SymbolInfo};

/// The state of the log.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<String, Entry>,
    /// The newest stamp of all ticks, Unix µs.
    sent: u64,
}

/// One symbol.
#[derive(Debug, Default)]
struct Entry {
    newest: Option<Printed>,
    /// `None` until a key has told.
    info: Option<SymbolInfo>,
}

/// How a tick stands to the newest one that is known of its symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is the next one.
    Next,
    /// It comes after others that are missing.
    Skips(u64),
    /// It is known already.
    Known,
    /// It has a number that another tick has.
    Differs,
}

impl Book {
    /// Takes a tick, and says how it fits. One that is known or differs changes nothing.
    pub(crate) fn take(&mut self, printed: &Printed) -> Fit {
        let symbol = &printed.tick.symbol;
        let Some(entry) = self.entries.get_mut(symbol) else {
            let newest = Some(printed.clone());
            self.entries
                .insert(symbol.clone(), Entry { newest, info: None });
            self.note_sent(printed.sent);
            return Fit::Next;
        };
        let fit = match &entry.newest {
            Some(newest) if newest == printed => Fit::Known,
            // What was sent earlier was printed before.
            Some(newest) if printed.sent < newest.sent => Fit::Known,
            Some(newest) if printed.sent == newest.sent => Fit::Differs,
            Some(newest) if printed.seq == newest.seq + 1 => Fit::Next,
            Some(newest) => Fit::Skips(printed.seq.saturating_sub(newest.seq + 1)),
            None => Fit::Next,
        };
        if matches!(fit, Fit::Next | Fit::Skips(_)) {
            entry.newest = Some(printed.clone());
            self.note_sent(printed.sent);
        }
        fit
    }

    /// The number of the next tick of a symbol.
    pub(crate) fn next_seq(&self, symbol: &str) -> u64 {
        self.newest(symbol).map_or(1, |newest| newest.seq + 1)
    }

    pub(crate) fn newest(&self, symbol: &str) -> Option<&Printed> {
        self.entries.get(symbol)?.newest.as_ref()
    }

    /// The newest stamp of all ticks, Unix µs; zero before the first.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Notes a stamp that the log has given out.
    pub(crate) fn note_sent(&mut self, sent: u64) {
        self.sent = self.sent.max(sent);
    }

    /// Notes what a key says of a symbol. Returns whether that is new.
    pub(crate) fn set_info(&mut self, symbol: &str, info: &SymbolInfo) -> bool {
        let entry = self.entries.entry(symbol.to_owned()).or_default();
        let is_new = entry.info.as_ref() != Some(info);
        if is_new {
            entry.info = Some(info.clone());
        }
        is_new
    }

    /// What to suppose of a symbol that no key has told of yet. From here on it counts as told.
    pub(crate) fn info_if_missing(&mut self, symbol: &str) -> Option<SymbolInfo> {
        let entry = self.entries.get_mut(symbol)?;
        if entry.info.is_some() {
            return None;
        }
        let info = SymbolInfo::plain(symbol);
        entry.info = Some(info.clone());
        Some(info)
    }

    /// Forgets a symbol.
    pub(crate) fn remove(&mut self, symbol: &str) {
        self.entries.remove(symbol);
    }

    /// Whether it has this symbol.
    pub(crate) fn has(&self, symbol: &str) -> bool {
        self.entries.contains_key(symbol)
    }

    /// The names of all symbols, in their order.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// What is known of the symbols, in their order.
    pub(crate) fn infos(&self) -> impl Iterator<Item = (&str, &SymbolInfo)> {
        let entries = self.entries.iter();
        entries.filter_map(|(symbol, entry)| Some((symbol.as_str(), entry.info.as_ref()?)))
    }

    /// The newest ticks of `symbols`, in their order.
    pub(crate) fn newest_of<'a>(&self, symbols: impl Iterator<Item = &'a String>) -> Vec<Printed> {
        symbols
            .filter_map(|symbol| self.newest(symbol))
            .cloned()
            .collect()
    }

    /// Cuts a key of `symbols` into parts of about `length` bytes: the first symbols of all parts but
    /// the first. Also returns the length of all parts.
    pub(crate) fn cut(
        &self,
        symbols: &BTreeMap<String, SymbolInfo>,
        length: usize,
    ) -> (Vec<String>, usize) {
        let (mut cuts, mut part, mut whole) = (Vec::new(), 0, 0);
        let mut line = Vec::new();
        for (symbol, info) in symbols {
            line.clear();
            if let Some(newest) = self.newest(symbol) {
                newest.write_line(&mut line);
            }
            let bytes = line.len() + 2 * symbol.len() + info.market.len() + INFO_LENGTH;
            if part > 0 && part + bytes > length {
                cuts.push(symbol.clone());
                part = 0;
            }
            part += bytes;
            whole += bytes;
        }
        (cuts, whole)
    }
}

/// The parts of a key as they come by, to find out when it is complete.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyProgress {
    /// Where the log has its first part, the number of the next one, and their term.
    current: Option<(u64, u32, u64)>,
    /// The symbols of the parts so far.
    symbols: Vec<String>,
    /// Where the log has the first part of the newest complete key.
    complete: Option<u64>,
}

impl KeyProgress {
    /// Takes the part at `seq` of the log, of the term of `position`. Returns the symbols of the key
    /// if this completes it.
    pub(crate) fn take(&mut self, seq: u64, position: Position, key: &Key) -> Option<Vec<String>> {
        let (number, parts) = key.part;
        if number == 1 {
            self.symbols.clear();
            self.current = Some((seq, 1, position.term));
        }
        let expected = (number, position.term);
        let first = match self.current {
            Some((first, next, term)) if (next, term) == expected => first,
            _ => {
                self.current = None;
                return None;
            }
        };
        self.symbols.extend(key.symbols.keys().cloned());
        if number < parts {
            self.current = Some((first, number + 1, position.term));
            return None;
        }
        self.current = None;
        self.complete = Some(first);
        Some(std::mem::take(&mut self.symbols))
    }

    /// Where the log has the first part of the newest complete key.
    pub(crate) fn complete(&self) -> Option<u64> {
        self.complete
    }
}

/// The names and the punctuation of a symbol's information.
const INFO_LENGTH: usize = 60;
