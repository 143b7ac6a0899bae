//! The interface between a feed and the state that it publishes to.

use std::time::Duration;

use ioloop::IoLoop;
use mio::Token;

use crate::tick::Tick;

/// The state of a loop that publishes prices.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);

    /// Whether there is room for a price. A feed that can wait asks before each one, so that none has
    /// to make room for newer ones; one that cannot publishes without asking.
    fn has_room(&self, _io_loop: &IoLoop<Self>) -> bool {
        true
    }

    /// Calls `go_on` once, in a later turn in which there is room.
    fn when_there_is_room(
        &mut self,
        io_loop: &mut IoLoop<Self>,
        go_on: impl FnOnce(&mut Self, &mut IoLoop<Self>) + 'static,
    ) {
        io_loop.add_callback(go_on);
    }

    /// Notes that the price of `symbol`, named as on the wire, was confirmed unchanged: by the same
    /// price when only changes are published, or by a sign of life of a stream whose market rests.
    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str);

    /// Adds symbols, named as on the wire, that clients can ask for from now on. Returns how many of
    /// the last ones found no room.
    fn list(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]) -> usize;

    /// Adds symbols that become stale when they fall silent.
    fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>);

    /// Removes symbols that clients can no longer ask for.
    fn delist(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// The symbols that the user wants, if they have changed since the last call.
    fn take_wanted(&mut self) -> Option<Vec<String>> {
        None
    }

    /// Wakes the feed by `token` whenever [`take_wanted`](Self::take_wanted) has new symbols.
    fn wake_for_wanted(&mut self, _token: Token) {}
}

/// A symbol that becomes stale when it falls silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The symbol as on the wire.
    pub symbol: String,
    /// The market that it is a price of: of each market, one live price is enough.
    pub market: String,
    /// How long it may be silent.
    pub stale_after: Duration,
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// All symbols that it will publish, named as on the wire. They are known before the feed
    /// starts, since requests for any others are refused.
    fn symbols(&self) -> Vec<String>;

    /// The symbols that become stale when they fall silent; simulated and replayed ones never do.
    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }

    /// Whether it can change its symbols while it runs, see [`Publish::take_wanted`].
    fn follows_symbols(&self) -> bool {
        false
    }

    /// One line for the log at start-up: where the prices come from.
    fn describe(&self) -> String;

    /// Starts to publish, from the loop's first turn.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}

/// No price is stale after a shorter silence, whatever the interval.
pub(super) const STALE_AFTER_MIN: Duration = Duration::from_secs(5);
