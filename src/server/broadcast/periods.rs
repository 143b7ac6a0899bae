//! The beats of clients that chose their own rate (`?every=`).

use std::time::Instant;

use ioloop::IoLoop;
use ioloop::periodic::next_deadline;

use crate::server::Server;
use crate::server::hub::PeriodId;
use crate::server::socket::Transport;

impl<S: Transport> Server<S> {
    /// Starts the timers of periods that have their first readers.
    pub(crate) fn start_new_periods(&mut self, io_loop: &mut IoLoop<Self>) {
        while let Some((period, length)) = self.hub.periods().next_new() {
            self.beat_at(io_loop, io_loop.time() + length, period);
        }
    }

    fn beat_at(&mut self, io_loop: &mut IoLoop<Self>, beat: Instant, period: PeriodId) {
        io_loop.call_at(beat, move |server: &mut Self, io_loop| {
            let length = server.hub.period_length(period);
            if server.hub.beat(period) {
                server.broadcast_soon(io_loop);
                let next = next_deadline(beat, length, io_loop.time());
                server.beat_at(io_loop, next, period);
            }
        });
    }
}
