//! A run: many connections on one loop that measure what a server delivers.
//!
//! First it is prepared (`prepare`). Then it has phases (`phases`): all connections **join**, the
//! clocks are compared if requested (**syncing**), the connections listen without measuring (**warm
//! up**), they are **measured**, they **await** the replies to the last requests, and they
//! **close**. Limits (`config::limits`) end every run: `--connect-timeout` bounds the joining of
//! each connection, the clock bounds the joining of all and the phases in the middle, and awaiting
//! and closing take at most two seconds.
//!
//! ```text
//! measure ─▶ Run ─┬─ connections  opened, served and ended: a session each
//!                 │    ├─ connector    where to, from where, how many at a time
//!                 │    ├─ watchlists   which symbols each user asks for
//!                 │    └─ users        what outlives a connection; returns: reconnecting
//!                 ├─ requester    sends requests, by the open loop, and pings
//!                 ├─ loop_lag     how late this client itself is
//!                 ├─ output       progress, printed ticks, the intervals
//!                 └─ barrier      where it waits for others, if there are any
//! ```

pub(super) mod barrier;
mod connections;
mod connector;
mod loop_lag;
mod open_loop;
mod output;
pub(super) mod phase;
mod phases;
pub(super) mod prepare;
pub(super) mod progress;
mod question;
mod requester;
mod returns;
mod session;
mod state;
mod symbol_list;
mod tally;
mod tick_printer;
mod users;
pub(super) mod watchlists;

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

use ioloop::{IoLoop, PeriodicCallback, Ready};
use mio::unix::SourceFd;
use mio::{Interest, Token};
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::measure::measurement::Measurement;
use crate::client::run::barrier::Barrier;
use crate::client::run::phase::Phase;
use crate::client::run::prepare::{Prepared, prepare};
use crate::client::run::state::Run;

/// Connects, listens and counts as `config` says. A signal ends it early. With a `barrier` it keeps
/// in step with others.
///
/// # Errors
/// When preparing fails, the system gives no poll descriptor, or the others are gone. Errors of
/// connections are in the measurement.
pub(super) fn measure(
    config: &Config,
    mut signals: Option<Signals>,
    barrier: Option<Box<dyn Barrier>>,
) -> io::Result<Measurement> {
    let Prepared {
        config,
        addresses,
        tls,
        lists,
        began,
    } = prepare(config, signals.as_mut())?;
    let mut io_loop = IoLoop::new()?;
    let mut run = Run::new(config, addresses);
    (run.tls, run.lists, run.barrier) = (tls, lists, barrier);
    run.times.began.at = began;
    if let Some(mut signals) = signals {
        io_loop.add_handler(&mut signals, Interest::READABLE, Run::on_signal)?;
        run.signals = Some(signals);
    }
    if let Some(barrier) = &run.barrier {
        let descriptor = barrier.as_fd().as_raw_fd();
        let mut source = SourceFd(&descriptor);
        io_loop.add_handler(&mut source, Interest::READABLE, Run::on_command)?;
    }
    PeriodicCallback::start(&mut io_loop, loop_lag::INTERVAL, Run::on_beat);
    run.begin_output(&mut io_loop)?;
    io_loop.add_callback(Run::open_more);
    let limit = run.times.began.at + run.config.joining_limit();
    io_loop.call_at(limit, Run::end_joining);
    io_loop.start(&mut run)?;
    run.finish_output();
    match run.barrier_lost.take() {
        None => Ok(run.finish()),
        Some(error) => Err(error),
    }
}

impl Run {
    /// Measures how late the loop is, even while it only listens, and checks conditions that raise
    /// no event.
    fn on_beat(&mut self, io_loop: &mut IoLoop<Self>) {
        self.loop_lag.beat(Instant::now());
        if self.phase == Phase::Measuring {
            self.clock_steps.look();
        }
        if self.phase == Phase::Awaiting && !self.awaits_replies() {
            self.begin_closing(io_loop);
        }
    }

    fn on_signal(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        let signals = self.signals.as_mut();
        if signals.is_some_and(|signals| signals.pending().next().is_some()) {
            self.end(io_loop);
        }
    }
}
