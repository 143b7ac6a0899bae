//! Where prices come from. A feed runs on the loop and hands each price to whoever publishes it;
//! it knows nothing of tapes or clients, and those know nothing of it.

use std::time::Duration;

use ioloop::IoLoop;
use mio::Token;

use crate::tick::Tick;

pub use self::config::{Online, OpenError, Settings, Source, Wanted, catalogue};
pub use self::live::{Failure, FetchDurations, Live, SourceStatus, Sources};
pub use self::recorder::Recorder;
pub use self::replay::{Replay, ReplayError, Speed};
pub use self::simulated::Sim;

mod config;
pub(crate) mod live;
mod recorder;
pub(crate) mod replay;
mod simulated;
#[cfg(test)]
mod testing;

/// The state of a loop that prices can be handed to.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);

    /// Takes note that the price of `symbol`, as it reads on the wire, has not changed where that
    /// is no tick.
    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str);

    /// Takes symbols that can be asked for from now on, as they read on the wire.
    fn list(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// Takes those of the symbols that must not fall silent from now on.
    fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>);

    /// Takes symbols away that can no longer be asked for.
    fn delist(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// The symbols that the user wants now, once after that has changed.
    fn take_wanted(&mut self) -> Option<Vec<String>> {
        None
    }

    /// Ends the feed's wait for `token` whenever there is something to take.
    fn wake_for_wanted(&mut self, _token: Token) {}

    /// What the feed knows of its sources. It is kept here, since what runs on the loop shares
    /// nothing but the loop's state.
    fn sources(&mut self) -> &mut Sources;
}

/// A symbol that must not fall silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The symbol as it reads on the wire.
    pub symbol: String,
    /// What it is a price of. One live price of each of these is enough.
    pub market: String,
    /// How long it may be silent.
    pub stale_after: Duration,
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// The symbols that it will ever publish, as they read on the wire. Known before it starts, so
    /// that a client's request for any other can be refused.
    fn symbols(&self) -> Vec<String>;

    /// Those that must not fall silent. What is made up or replayed may.
    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }

    /// Whether it goes by what [`Publish::take_wanted`] says while it runs.
    fn follows_symbols(&self) -> bool {
        false
    }

    /// One line for the log at start-up: what it is and what its user should know.
    fn describe(&self) -> String;

    /// Begins to publish, from the first turn of the loop on.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}
