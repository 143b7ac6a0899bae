//! The conditions for entering each phase of a run, and its beginning and end.

use std::time::Duration;

use ioloop::{IoLoop, Ready, slot};
use mio::Token;

use crate::client::error_kind::ErrorKind;
use crate::client::run::barrier::{Command, Milestone};
use crate::client::run::phase::Phase;
use crate::client::run::state::{CLOSE_TIMEOUT, CONNECTIONS_PER_TURN, Run};
use crate::client::ws::connection::State;

impl Run {
    /// Enters the next phase if the condition for it is met.
    pub(super) fn proceed(&mut self, io_loop: &mut IoLoop<Self>) {
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

    /// Continues without the clients that have not joined by now.
    pub(super) fn end_joining(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Joining {
            return;
        }
        let limit = self.config.joining_limit();
        for _ in 0..self.connector.stop() {
            self.tally.failed += 1;
            let sentence = format!(
                "joining took longer than {limit:?}, so not all connections were opened (try a \
                 longer --duration, or a --ramp)"
            );
            self.observer.error(ErrorKind::NotOpened, sentence);
        }
        let late = self.sessions.iter().flatten().filter_map(|session| {
            let age = legible(session.connection.age());
            Some((session.token, session.connection.timed_out(limit.min(age))?))
        });
        for (token, error) in late.collect::<Vec<_>>() {
            if self.sessions[slot(token)].is_some() {
                self.on_end(io_loop, token, &error);
            }
        }
        self.proceed(io_loop);
    }

    /// Waits for the others, if there are any, or continues.
    pub(super) fn gather(&mut self, io_loop: &mut IoLoop<Self>) {
        match &mut self.barrier {
            Some(barrier) => {
                self.phase = Phase::Gathering;
                barrier.reached(Milestone::Joined);
            }
            None => self.warm_up(io_loop),
        }
    }

    /// Follows a command of the others.
    pub(super) fn on_command(&mut self, io_loop: &mut IoLoop<Self>, _: Token, _: Ready) {
        loop {
            let Some(barrier) = &mut self.barrier else {
                return;
            };
            match barrier.command() {
                Ok(Some(Command::End)) => return self.end(io_loop),
                Ok(Some(Command::Go)) if self.phase == Phase::Gathering => {
                    return self.warm_up(io_loop);
                }
                Ok(Some(Command::Go)) => {}
                Ok(None) => return,
                Err(error) => {
                    self.barrier_lost = Some(error);
                    return io_loop.stop();
                }
            }
        }
    }

    fn announce(&mut self, milestone: Milestone) {
        if let Some(barrier) = &mut self.barrier {
            barrier.reached(milestone);
        }
    }

    fn warm_up(&mut self, io_loop: &mut IoLoop<Self>) {
        self.phase = Phase::WarmingUp;
        self.times.joined = Some(self.snapshot());
        self.begin_churn(io_loop);
        if self.config.warmup.is_zero() {
            self.measure(io_loop);
        } else {
            io_loop.call_later(self.config.warmup, Self::measure);
        }
        // If the window begins now, after its beginning, so that the first request counts.
        self.begin_requests(io_loop);
    }

    fn measure(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::WarmingUp {
            let now = self.snapshot();
            let began = now.at;
            let end = began + self.config.duration;
            let limit = self.times.began.at + self.config.window_limit();
            self.cut_short = limit < end;
            io_loop.call_at(end.min(limit), Self::end_measured);
            self.tally.listened_until = Some(began);
            self.record_intervals(io_loop, began);
            self.times.window_began = Some(now);
            self.observer.begin_window();
            self.loop_lag.begin_window(began);
            self.phase = Phase::Measuring;
            self.announce(Milestone::Measuring);
        }
    }

    /// Ends the window on time, unless it has already ended.
    fn end_measured(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase == Phase::Measuring {
            self.end(io_loop);
        }
    }

    /// Ends the measuring, or whatever the current phase is, and after that the wait for replies.
    pub(super) fn end(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase.is_over() {
            self.begin_closing(io_loop);
            return;
        }
        let was_measuring = self.phase == Phase::Measuring;
        self.phase = Phase::Awaiting;
        if was_measuring {
            self.end_window();
        }
        let ended = self.snapshot();
        if was_measuring {
            self.loop_lag.end_window(ended.at);
            self.record_interval(ended.at);
        }
        self.observer.measuring = false;
        self.tally.change_open(|open| open);
        self.tally.listened_until = None;
        self.times.ended = Some(ended);
        self.announce(Milestone::Ended);
        self.connector.stop();
        io_loop.call_later(CLOSE_TIMEOUT, |_, io_loop| io_loop.stop());
        if self.awaits_replies() {
            io_loop.call_later(REPLY_TIMEOUT, Self::begin_closing);
        } else {
            self.begin_closing(io_loop);
        }
    }

    pub(super) fn begin_closing(&mut self, io_loop: &mut IoLoop<Self>) {
        if self.phase != Phase::Closing {
            self.phase = Phase::Closing;
            self.end_requests();
            self.record_late_replies();
            self.close_from(io_loop, 0);
        }
    }

    /// Closes the connections from the slot `first` on, a slice per turn.
    fn close_from(&mut self, io_loop: &mut IoLoop<Self>, first: usize) {
        let end = self.sessions.len().min(first + CONNECTIONS_PER_TURN);
        for index in first..end {
            self.close(io_loop, index);
        }
        if end < self.sessions.len() {
            io_loop.add_callback(move |run, io_loop| run.close_from(io_loop, end));
        }
        self.proceed(io_loop);
    }

    fn close(&mut self, io_loop: &mut IoLoop<Self>, index: usize) {
        let Some(session) = &mut self.sessions[index] else {
            return;
        };
        let token = session.token;
        let is_slow = session.connection.is_slow;
        let has_tick = session.listener.has_tick();
        let is_incomplete = session.listener.subscription.is_pending();
        match session.connection.state {
            State::Open(_) => {
                let closed = session.connection.close();
                if !has_tick && !is_slow {
                    let sentence = "connected, but no tick arrived";
                    self.observer.error(ErrorKind::NoTick, sentence);
                }
                if is_incomplete {
                    let sentence = "the server did not answer a \"subscribe\", so clients \
                                    watched only part of their lists";
                    self.observer
                        .error(ErrorKind::SubscribeUnanswered, sentence);
                }
                if closed.is_err() {
                    self.remove(io_loop, token);
                } else if is_slow {
                    // From here on it reads like the others, or it would not see the server's
                    // answer.
                    self.drain(io_loop, token);
                }
            }
            State::Connecting(_) | State::Handshaking(_) => self.remove(io_loop, token),
            State::Closing(_) | State::Draining => {}
        }
    }
}

/// Rounds a duration to the millisecond, for a sentence.
fn legible(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// How long to wait for replies after the window.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_sentences_are_rounded() {
        let age = Duration::from_nanos(2_498_762_475);
        assert_eq!(format!("{:?}", legible(age)), "2.498s");
    }
}
