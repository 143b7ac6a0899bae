//! What the symbols of a list are like at present, for clients that ask once.

use std::time::{Duration, Instant};

use super::pattern::bare;
use super::{Hub, ListId, SelectError};
use crate::frame;
use crate::server::hub::instrument::Instrument;
use crate::tick::WireTick;

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

/// What the tape still has of a symbol.
pub(crate) struct History<'a> {
    pub(crate) ticks: Vec<&'a [u8]>,
    /// No tick is missing among those that were asked for.
    pub(crate) is_complete: bool,
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

    /// The ticks of a symbol that are still on the tape and newer than the stamp `since`, oldest
    /// first, as JSON: the newest `most` of them.
    ///
    /// # Errors
    /// When the name stands for no symbol.
    pub(crate) fn history(
        &self,
        name: &str,
        since: Option<u64>,
        most: usize,
    ) -> Result<History<'_>, SelectError> {
        let id = self.find(name)?;
        let (mut ticks, mut goes_back) = (Vec::new(), None);
        let mut number = self.tape.newest(id);
        while number >= self.tape.tail() && number > 0 {
            let json = frame::payload(self.tape.frame(number));
            if json.starts_with(TICK) {
                if since.is_some_and(|since| self.tape.stamp_of(number) <= since) {
                    goes_back = Some(true);
                    break;
                }
                if ticks.len() == most {
                    goes_back = Some(false);
                    break;
                }
                ticks.push(json);
            }
            number = self.tape.before(number);
        }
        self.worked(ticks.len());
        ticks.reverse();
        let is_complete = goes_back.unwrap_or_else(|| match since {
            Some(since) => self.tape.resume(since).is_some(),
            None => ticks.first().is_none_or(|tick| is_first(tick)),
        });
        Ok(History { ticks, is_complete })
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

/// Whether it is the first tick that its symbol ever had.
fn is_first(json: &[u8]) -> bool {
    WireTick::parse(json).is_ok_and(|tick| tick.seq == Some(1))
}

/// How a tick begins, which an event does not.
const TICK: &[u8] = br#"{"symbol":"#;
