//! What a feed is, and what it needs of the state that it publishes to.

use std::time::Duration;

use ioloop::IoLoop;
use mio::Token;

use super::live::sources::Sources;
use crate::tick::Tick;

/// The state of a loop that takes prices.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);

    /// Notes that the price of `symbol`, named as on the wire, was confirmed unchanged, if that is
    /// not to be a tick.
    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str);

    /// Adds symbols, named as on the wire, that clients can ask for from now on.
    fn list(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// Adds symbols that must not fall silent from now on.
    fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>);

    /// Removes symbols that clients can no longer ask for.
    fn delist(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// The symbols that the user wants now, once after they have changed.
    fn take_wanted(&mut self) -> Option<Vec<String>> {
        None
    }

    /// Ends the feed's wait for `token` whenever there is something to take.
    fn wake_for_wanted(&mut self, _token: Token) {}

    /// What the feed knows about its sources. It is kept here, since everything that runs on the
    /// loop shares the loop's state only.
    fn sources(&mut self) -> &mut Sources;
}

/// A symbol that must not fall silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The symbol as on the wire.
    pub symbol: String,
    /// The market that it is a price of. One live price of each market is enough.
    pub market: String,
    /// How long it may be silent.
    pub stale_after: Duration,
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// All symbols that it will publish, named as on the wire. They are known before it starts, so
    /// that requests for any other can be refused.
    fn symbols(&self) -> Vec<String>;

    /// The symbols that must not fall silent. Simulated and replayed ones may.
    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }

    /// Whether it follows [`Publish::take_wanted`] while it runs.
    fn follows_symbols(&self) -> bool {
        false
    }

    /// One line for the log at start-up: its sources and what its users should know.
    fn describe(&self) -> String;

    /// Starts to publish, from the first turn of the loop on.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}
