//! Counts gaps, repeats and the like in the numbers of ticks, in total and per symbol.

use serde::{Deserialize, Serialize};

use crate::client::measure::counters::counters;
use crate::client::measure::sequence::{SeqEvent, Symbols};

counters! {
    /// Counts from the numbers of ticks, for all connections together.
    pub struct Losses {
        /// Ticks with a number.
        numbered,
        /// Places where ticks are missing.
        gaps,
        /// How many ticks are missing there, not counting those that arrived late.
        missed,
        /// Ticks that arrived again.
        repeats,
        /// Ticks that arrived after a newer one.
        reordered,
        /// How often the server's numbers began again.
        restarts,
        /// Ticks that the server left out on request (`--every`); they are not missed.
        conflated,
    }
}

/// The counts of one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolLosses {
    /// The symbol; empty for ticks without one.
    pub symbol: String,
    /// Its counts.
    #[serde(flatten)]
    pub losses: Losses,
}

/// The counts of each symbol, indexed by its number.
#[derive(Debug, Default)]
pub(super) struct LossesBySymbol(Vec<Losses>);

impl Losses {
    pub(super) fn count(&mut self, event: SeqEvent) {
        self.numbered += 1;
        match event {
            SeqEvent::Gap(missed) => {
                self.gaps += 1;
                self.missed = self.missed.saturating_add(missed);
            }
            SeqEvent::Conflated(left_out) => {
                self.conflated = self.conflated.saturating_add(left_out);
            }
            SeqEvent::Repeat => self.repeats += 1,
            SeqEvent::Reordered => {
                self.reordered += 1;
                // The gap may have been before the window.
                self.missed = self.missed.saturating_sub(1);
            }
            SeqEvent::Restart => self.restarts += 1,
            SeqEvent::First | SeqEvent::Next | SeqEvent::Unknown => {}
        }
    }

    /// How many ticks were lost or out of order, by which symbols are ranked.
    pub(crate) fn lost(&self) -> u64 {
        let counts = [self.missed, self.gaps, self.repeats, self.reordered];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

impl LossesBySymbol {
    /// The counts of the symbol `id`.
    pub(super) fn of(&mut self, id: u32) -> &mut Losses {
        let index = id as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, Losses::default());
        }
        &mut self.0[index]
    }

    /// The counts of each symbol that has numbers, in the order of first appearance.
    pub(super) fn named(&self, symbols: &Symbols) -> Vec<SymbolLosses> {
        let numbered = (0..).zip(&self.0);
        let numbered = numbered.filter(|(_, losses)| losses.numbered > 0);
        let named = numbered.map(|(id, &losses)| SymbolLosses {
            symbol: symbols.name(id).unwrap_or_default().to_owned(),
            losses,
        });
        named.collect()
    }
}

/// Adds the counts of another process, as far as there is room for symbols.
pub(super) fn add_symbols(sum: &mut Vec<SymbolLosses>, other: Vec<SymbolLosses>) {
    let mut symbols = Symbols::default();
    for known in &*sum {
        symbols.id(&known.symbol, None);
    }
    for one in other {
        match symbols.id(&one.symbol, None).map(|id| id as usize) {
            Some(index) if index < sum.len() => sum[index].losses += one.losses,
            Some(_) => sum.push(one),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_several_processes_add_up_by_name() {
        let losses = |symbol: &str, gaps| SymbolLosses {
            symbol: symbol.to_owned(),
            losses: Losses {
                gaps,
                ..Losses::default()
            },
        };
        let mut sum = vec![losses("A", 1), losses("B", 2)];
        add_symbols(&mut sum, vec![losses("B", 3), losses("C", 4)]);
        assert_eq!(sum, [losses("A", 1), losses("B", 5), losses("C", 4)]);
    }
}
