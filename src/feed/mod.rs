//! Where prices come from. A feed runs on the loop and hands each price to whoever publishes it;
//! it knows nothing of tapes or clients, and those know nothing of it.

use crate::io_loop::IoLoop;
use crate::tick::Tick;

/// The state of a loop that prices can be handed to.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// The symbols that it will ever publish, as they read on the wire. Known before it starts, so
    /// that a client's request for any other can be refused.
    fn symbols(&self) -> Vec<String>;

    /// One line for the log at start-up: what it is and what its user should know.
    fn describe(&self) -> String;

    /// Begins to publish, from the first turn of the loop on.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}
