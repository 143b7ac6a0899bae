//! Watchlists: the names of symbols, the symbols that each client watches, and the request for
//! them. A list is computed from the client's number, so it need not be passed on.

use std::fmt::Write;

use fastrand::Rng;

/// A number of random symbols for each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    /// How many symbols there are.
    pub(crate) symbols: u32,
    /// How many of them each client watches; zero means everything, and requests no list.
    pub(crate) watched: u32,
    /// Whether every list contains the first symbol.
    pub(crate) have_one_in_common: bool,
}

impl Lists {
    /// The symbols that a client watches, in order; the same in every run.
    pub(crate) fn of(&self, client: usize) -> Vec<u32> {
        let mut rng = Rng::with_seed(SEED + client as u64);
        let mut list = Vec::with_capacity(self.watched as usize);
        if self.have_one_in_common {
            list.push(0);
        }
        while list.len() < self.watched.min(self.symbols) as usize {
            let symbol = rng.u32(0..self.symbols);
            if !list.contains(&symbol) {
                list.push(symbol);
            }
        }
        list.sort_unstable();
        list
    }
}

/// The name of the symbol with this number. All names up to 9999 have the same length.
pub(crate) fn name(symbol: u32) -> String {
    format!("sim:S{symbol:04}/USDT")
}

/// The request target for `list`; an empty list stands for everything.
pub(crate) fn target(list: &[u32]) -> String {
    let mut target = "/".to_owned();
    for (index, &symbol) in list.iter().enumerate() {
        let separator = if index == 0 { "?symbols=" } else { "," };
        write!(target, "{separator}{}", name(symbol)).expect("a string takes every write");
    }
    target
}

/// The list in a request target.
pub(crate) fn requested(target: &str) -> Vec<u32> {
    let (_, names) = target.split_once("symbols=").unwrap_or_default();
    names.split(',').filter_map(number).collect()
}

/// The number of the symbol at the start of `name`.
fn number(name: &str) -> Option<u32> {
    let (number, _) = name.strip_prefix("sim:S")?.split_once('/')?;
    number.parse().ok()
}

const SEED: u64 = 88_172;
