//! The phases of a run: what each waits for, what begins and ends with it.

use std::time::Duration;

use ioloop::IoLoop;

use crate::client::run::{CLOSE_TIMEOUT, CONNECTIONS_PER_TURN, Client};
use crate::client::workers::worker::News;
use crate::client::ws::connection::State;
use crate::client::ws::error::Failure;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Phase {
    /// Connections are being opened and upgraded.
    Joining,
    /// All have joined or failed. The clocks are compared.
    Syncing,
    /// So far this process has got; others may not have.
    Gathering,
    /// Nothing counts yet.
    WarmingUp,
    /// What arrives counts.
    Measuring,
    /// Replies to requests of the window may still come.
    Awaiting,
    /// Close frames are out; the servers have their time to answer.
    Closing,
}

impl Phase {
    /// Whether the measured window has ended, or will never begin.
    pub(in crate::client) fn is_over(self) -> bool {
        matches!(self, Self::Awaiting | Self::Closing)
    }
}

impl Client {
    /// Enters the next phase if what the present one waits for has happened.
    pub(in crate::client) fn proceed(&mut self, io_loop: &mut IoLoop<Self>) {
        let none_open = self.tally.is_nobody_there();
        match self.phase {
            Phase::Joining if !self.connector.is_done() => {}
            Phase::Joining if none_open => self.end(io_loop),
            Phase::Joining if self.config.sync => {
                self.phase = Phase::Syncing;
                self.begin_sync(io_loop);
            }
            Phase::Joining => self.gather(io_loop),
            Phase::Closing if self.tally.alive == 0 => io_loop.stop(),
            Phase::Closing => {}
            phase if none_open => {
                self.all_lost |= phase == Phase::Measuring;
                self.end(io_loop);
            }
            _ => {}
        }
    }

    /// Waits for the other processes, if there are any, or goes on.
    pub(in crate::client) fn gather(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.line.is_some() {
            self.phase = Phase::Gathering;
            self.tell(&News::Joined);
        } else {
            self.warm_up(io_loop);
        }
    }

    pub(in crate::client) fn warm_up(&mut self, io_loop: &mut IoLoop<Self>) {
        self.phase = Phase::WarmingUp;
        self.joined = Some(self.moment());
        self.begin_churn(io_loop);
        if self.config.warmup.is_zero() {
            self.measure(io_loop);
        } else {
            io_loop.call_later(self.config.warmup, Self::measure);
        }
        // Behind the window's beginning if it is now, so that the first request counts.
        self.begin_requests(io_loop);
    }

    fn measure(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::WarmingUp {
            let now = self.moment();
            let end = now.at + self.config.duration;
            let limit = self.began.at + self.config.window_limit();
            self.cut_short = limit < end;
            io_loop.call_at(end.min(limit), Self::end_measured);
            self.tally.listened_until = Some(now.at);
            self.record_intervals(io_loop, now.at);
            let began = now.at;
            self.window_began = Some(now);
            self.statistics.begin_window();
            self.heartbeat.begin_window(began);
            self.phase = Phase::Measuring;
            self.tell(&News::Measuring);
        }
    }

    /// Ends the window when its time has come, unless it has ended before.
    fn end_measured(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.end(io_loop);
        }
    }

    /// Ends the measuring, or whatever phase there is, then the waiting for replies.
    pub(in crate::client) fn end(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase.is_over() {
            self.begin_closing(io_loop);
            return;
        }
        let was_measuring = self.phase == Phase::Measuring;
        self.phase = Phase::Awaiting;
        if was_measuring {
            self.end_window();
        }
        let ended = self.moment();
        if was_measuring {
            self.heartbeat.end_window(ended.at);
            self.record_interval(ended.at);
        }
        self.statistics.measuring = false;
        self.tally.change_open(|open| open);
        self.tally.listened_until = None;
        self.ended = Some(ended);
        self.tell(&News::Ended);
        self.connector.stop();
        io_loop.call_later(CLOSE_TIMEOUT, |_, io_loop| io_loop.stop());
        if self.awaits_replies() {
            io_loop.call_later(REPLY_TIMEOUT, Self::begin_closing);
        } else {
            self.begin_closing(io_loop);
        }
    }

    pub(in crate::client) fn begin_closing(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.end_requests();
            self.record_late_replies();
            self.close_from(io_loop, 0);
        }
    }

    /// Closes the connections from the slot `first` on, a slice per turn.
    fn close_from(&mut self, io_loop: &mut IoLoop<Self>, first: usize) {
        let end = self.connections.len().min(first + CONNECTIONS_PER_TURN);
        for index in first..end {
            self.close(io_loop, index);
        }
        if end < self.connections.len() {
            io_loop.add_callback(move |client, io_loop| client.close_from(io_loop, end));
        }
        self.proceed(io_loop);
    }

    fn close(&mut self, io_loop: &mut IoLoop<Self>, index: usize) {
        let Some(connection) = &mut self.connections[index] else {
            return;
        };
        let token = connection.token;
        let is_slow = connection.seat.slow;
        let is_deaf = !connection.has_heard();
        let is_incomplete = connection.listener.asked.is_unanswered();
        match connection.state {
            State::Open(_) => {
                let closed = connection.close();
                if is_deaf && !is_slow {
                    self.statistics.failure(&Failure::NoTick);
                }
                if is_incomplete {
                    self.statistics.failure(&Failure::SubscribeUnanswered);
                }
                if closed.is_err() {
                    self.remove(io_loop, token);
                } else if is_slow {
                    // From here on it reads as others do, or it would not see the answer.
                    self.drain(io_loop, token);
                }
            }
            State::Connecting(_) | State::Handshaking(_) => self.remove(io_loop, token),
            State::Closing(_) | State::Draining => {}
        }
    }
}

/// How long replies may take after the window.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
