//! What the symbols of a list are like at present, for clients that ask once.

use std::time::{Duration, Instant};

use super::pattern::bare;
use super::{Hub, ListId};
use crate::server::hub::instrument::Instrument;

/// What a client can learn of a symbol besides its price.
pub(crate) struct SymbolInfo<'a> {
    /// Its name in quotes and escaped.
    pub(crate) name_json: &'a str,
    /// The source in its name, if there is one.
    pub(crate) source: Option<&'a str>,
    /// The market that it is a price of.
    pub(crate) market: &'a str,
    /// How long it may be silent; `None` for any time.
    pub(crate) stale_after: Option<Duration>,
    /// How long it has been silent, if it is stale.
    pub(crate) stale_for: Option<Duration>,
    /// How old its newest price is; `None` before the first.
    pub(crate) age: Option<Duration>,
    /// The number and the stamp of its newest tick; zero before the first.
    pub(crate) seq: u64,
    pub(crate) sent: u64,
}

impl Hub {
    /// The newest tick of each symbol of a list, as JSON, in the order in which symbols were added.
    pub(crate) fn newest_in(&self, list: ListId) -> impl Iterator<Item = &[u8]> {
        let ticks = self.listed_in(list).map(Instrument::json);
        ticks.filter(|json| !json.is_empty())
    }

    /// What is known of each symbol of a list, in the same order.
    pub(crate) fn infos_in(
        &self,
        list: ListId,
        now: Instant,
    ) -> impl Iterator<Item = SymbolInfo<'_>> {
        self.listed_in(list)
            .map(move |instrument| self.info(instrument, now))
    }

    fn info<'a>(&'a self, instrument: &'a Instrument, now: Instant) -> SymbolInfo<'a> {
        let name = &*instrument.name;
        let source = bare(name).map(|bare| &name[..name.len() - bare.len() - 1]);
        let watch = instrument.watch.as_ref();
        SymbolInfo {
            name_json: &instrument.name_json,
            source,
            market: self.markets.name(instrument.market),
            stale_after: watch.map(|watch| watch.stale_after),
            stale_for: instrument.stale_for(now),
            age: instrument.age(now),
            seq: instrument.seq,
            sent: instrument.sent,
        }
    }

    fn listed_in(&self, list: ListId) -> impl Iterator<Item = &Instrument> {
        let mut walk = self.lists.symbols(list).walk();
        let wanted = self.listed_ids().filter(move |&id| walk.contains(id));
        wanted.map(|id| self.instrument(id))
    }
}
