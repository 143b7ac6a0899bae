//! What the numbers of ticks say, counted: of all symbols together, and of each.

use crate::client::measure::observer::Statistics;
use crate::client::measure::sequence::Step;
use crate::client::report::figures::{Losses, SymbolLosses};

impl Statistics {
    /// What is counted of the symbol `id`.
    pub(in crate::client) fn losses_of(&mut self, id: u32) -> &mut Losses {
        let index = id as usize;
        if self.losses_by_symbol.len() <= index {
            self.losses_by_symbol.resize(index + 1, Losses::default());
        }
        &mut self.losses_by_symbol[index]
    }

    /// What is counted of each symbol that has numbers, in the order in which they were first seen.
    pub(in crate::client) fn losses_by_name(&self) -> Vec<SymbolLosses> {
        let numbered = (0..).zip(&self.losses_by_symbol);
        let numbered = numbered.filter(|(_, losses)| losses.numbered > 0);
        let of = |(id, &losses): (u32, &Losses)| SymbolLosses {
            symbol: self.symbols.name(id).unwrap_or_default().to_owned(),
            losses,
        };
        numbered.map(of).collect()
    }

    /// Adds what another process has counted, as far as there is room for symbols.
    pub(in crate::client) fn add_losses(&mut self, by_name: &[SymbolLosses]) {
        for SymbolLosses { symbol, losses } in by_name {
            if let Some(id) = self.symbols.id(symbol, None) {
                self.losses_of(id).add(losses);
            }
        }
    }
}

impl Losses {
    /// Adds what another process has counted.
    pub(in crate::client) fn add(&mut self, other: &Self) {
        self.numbered += other.numbered;
        self.gaps += other.gaps;
        self.missed = self.missed.saturating_add(other.missed);
        self.repeats += other.repeats;
        self.reordered += other.reordered;
        self.restarts += other.restarts;
        self.conflated = self.conflated.saturating_add(other.conflated);
    }

    pub(in crate::client) fn count(&mut self, step: Step) {
        self.numbered += 1;
        match step {
            Step::Gap(missed) => {
                self.gaps += 1;
                self.missed = self.missed.saturating_add(missed);
            }
            Step::Conflated(left_out) => {
                self.conflated = self.conflated.saturating_add(left_out);
            }
            Step::Repeat => self.repeats += 1,
            Step::Reordered => {
                self.reordered += 1;
                // The gap may have been before the window.
                self.missed = self.missed.saturating_sub(1);
            }
            Step::Restart => self.restarts += 1,
            Step::First | Step::Next | Step::Unknown => {}
        }
    }
}
