//! Watchlists: how symbols are called, which of them each client watches, and how it asks for them.
//! Whoever needs a client's list works it out from the client's number, so nobody has to be told.

use std::fmt::Write;

use fastrand::Rng;

/// So many symbols out of all there are, at random, for each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lists {
    /// How many symbols there are.
    pub(crate) symbols: u32,
    /// How many of them each client watches; zero asks for no list, which means everything.
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

/// The symbol with this number as it reads on the wire. All names up to 9999 are equally long.
pub(crate) fn name(symbol: u32) -> String {
    format!("sim:S{symbol:04}/USDT")
}

/// The request target that asks for `list`; without one, for everything.
pub(crate) fn target(list: &[u32]) -> String {
    let mut target = "/".to_owned();
    for (index, &symbol) in list.iter().enumerate() {
        let separator = if index == 0 { "?symbols=" } else { "," };
        write!(target, "{separator}{}", name(symbol)).expect("a string takes every write");
    }
    target
}

/// The list that a request asks for.
pub(crate) fn requested(target: &str) -> Vec<u32> {
    let (_, names) = target.split_once("symbols=").unwrap_or_default();
    names.split(',').filter_map(number).collect()
}

/// The number of the symbol that `name` begins with.
fn number(name: &str) -> Option<u32> {
    let (number, _) = name.strip_prefix("sim:S")?.split_once('/')?;
    number.parse().ok()
}

const SEED: u64 = 88_172;
