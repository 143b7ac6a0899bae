//! Added symbols: clients' lists take those that their patterns match.

use ioloop::IoLoop;

use crate::server::Server;
use crate::server::scaled::Scaled;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Starts to add new symbols to the clients' lists.
    pub(super) fn begin_to_refresh_lists(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.refreshes_lists {
            self.must_refresh_again = true;
        } else {
            self.refreshes_lists = true;
            self.refresh_lists(io_loop, 0);
        }
    }

    /// Adds new symbols to the clients' lists from a slot on, some clients at a time.
    fn refresh_lists(&mut self, io_loop: &mut IoLoop<Self>, from: usize) {
        let (connections, mut context) = self.parts(io_loop.time());
        // This work has its own share of the turn, so that a flood of requests cannot keep lists
        // from growing.
        let requested = context.hub.work();
        context.hub.rest();
        let slots = connections.slots();
        let mut slot = from;
        while slot < slots && slot < from + LISTS_PER_TURN.get() && !context.hub.is_overworked() {
            if let Some(connection) = connections.at(slot) {
                connection.refresh(&mut context);
            }
            slot += 1;
        }
        context.hub.set_work(requested);
        if slot < slots {
            io_loop.add_callback(move |server, io_loop| server.refresh_lists(io_loop, slot));
        } else if std::mem::take(&mut self.must_refresh_again) {
            io_loop.add_callback(move |server, io_loop| server.refresh_lists(io_loop, 0));
        } else {
            self.refreshes_lists = false;
        }
        if self.hub.take_call() {
            self.broadcast_soon(io_loop);
        }
    }
}

/// How many lists one turn refreshes when symbols were added; few in tests, so that some turns fall
/// between the first and the last.
const LISTS_PER_TURN: Scaled = Scaled::new(512, 8);
