//! Tornado's `IOLoop` over [`mio::Poll`]: callbacks, timeouts and handlers on one thread.
//!
//! One turn of [`IoLoop::start`], in this order and for these reasons:
//!
//! 1. **callbacks** that were queued before the turn. One queued *during* the turn waits for the
//!    next, so work that goes on by queueing itself leaves room for events in between.
//! 2. **timeouts** that are due, earliest first, those with equal deadlines in the order asked for.
//!    They come after callbacks so that a callback can still cancel one.
//! 3. **poll**, without waiting if callbacks are queued, else until the next deadline.
//! 4. **handlers** of what became ready, and waits that it ends.
//!
//! State is passed in, never captured: everything that runs here gets `(&mut S, &mut IoLoop<S>)`.
//! Time is the loop's own ([`IoLoop::time`]), as Tornado's is. A test can so turn the same loop by
//! hand, with a clock that it sets ([`ManualClock`]) and events that it makes up.
//!
//! The loop is independent of the programs that use it; server and client run on it unchanged. It
//! measures itself ([`IoLoop::lag`]), because it cannot report in time that it blocks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mio::event::{Event, Source};
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::clock::{Clock, ManualClock};
use crate::lag::Lag;
use crate::timer_fd::TimerFd;

/// The function that runs when a source becomes ready. It is a plain function pointer, hence
/// `Copy`: the loop copies it out and calls it, so it may add or remove handlers, including itself.
pub type Handler<S> = fn(&mut S, &mut IoLoop<S>, Token, Ready);

type Callback<S> = Box<dyn FnOnce(&mut S, &mut IoLoop<S>)>;
type WakeCallback<S> = Box<dyn FnOnce(&mut S, &mut IoLoop<S>, Wake)>;

/// A single-threaded event loop over the state `S`, modelled on Tornado's `IOLoop`.
pub struct IoLoop<S> {
    clock: Clock,
    poll: Poll,
    /// Ends the poll at a deadline with a better precision than whole milliseconds.
    timer_fd: Option<TimerFd>,
    handlers: Slab<Registration<S>>,
    /// Grows with every registration, so a token is never mistaken for its slot's earlier owner.
    generation: u32,
    registrar: Registrar,
    /// Callbacks that run once when their token becomes ready; coroutines wait for their sockets
    /// with them.
    waits: HashMap<Token, Wait<S>>,
    /// Events from the last poll whose handlers have not run yet.
    ready: VecDeque<(Token, Ready)>,
    /// How many events one poll fetches; more wait for the next turn, after the timers.
    events_per_turn: usize,
    /// Whether the last poll fetched as many events as allowed, so that there may be more.
    has_more_events: bool,
    callbacks: VecDeque<Callback<S>>,
    timeouts: BTreeMap<Timeout, Callback<S>>,
    next_timeout_id: u64,
    /// When the current turn began.
    turn_began: Instant,
    /// How many turns there have been.
    turns: u64,
    /// An earlier deadline is raised to this one, so that it cannot overtake timeouts that are due.
    earliest: Instant,
    running: bool,
    lag: Lag,
}

struct Registration<S> {
    generation: u32,
    handler: Handler<S>,
}

struct Wait<S> {
    timeout: Option<Timeout>,
    callback: WakeCallback<S>,
}

/// A pending timeout: the key under which the loop keeps it, and the handle that removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timeout {
    deadline: Instant,
    id: u64,
}

/// What a source is ready for. Events are edges: use up all that is ready, there is no reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Bytes to read, the end of the stream, or an error to fetch.
    pub readable: bool,
    /// Space to write to, or an error to fetch.
    pub writable: bool,
    /// The stream ends or is broken after the bytes to read. No other event will report it.
    pub closed: bool,
}

/// The event that ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The source is ready, or seems to be: try, and wait again if it is not.
    Ready,
    /// The deadline came first.
    TimedOut,
}

/// Registers sources where the loop itself is not accessible: in a coroutine.
///
/// Its sources have no handler. A coroutine waits for one when necessary, with
/// [`IoLoop::call_when_ready`]; events without a wait are dropped. It is shared by `Arc` and counts
/// with an atomic only because `ureq` requires its connectors to be `Send` and `Sync`.
#[derive(Clone, Debug)]
pub struct Registrar {
    registry: Arc<Registry>,
    next: Arc<AtomicUsize>,
}

/// The source of a turn's events. [`IoLoop::start`] uses the system's poll; a simulation generates
/// events for sources in memory, and inspects the state between any two steps.
pub trait Driver<S> {
    /// Waits for events, at most for `timeout` (`None` means without limit), and adds a turn's
    /// share of them to `ready`.
    fn poll(
        &mut self,
        poll: &mut Poll,
        timeout: Option<Duration>,
        ready: &mut VecDeque<(Token, Ready)>,
    ) -> io::Result<()>;

    /// Runs after each callback, timeout and handler.
    fn after_each(&mut self, _state: &mut S, _io_loop: &mut IoLoop<S>) {}
}

/// The system's poll.
struct SystemEvents(Events);

impl<S> Driver<S> for SystemEvents {
    fn poll(
        &mut self,
        poll: &mut Poll,
        timeout: Option<Duration>,
        ready: &mut VecDeque<(Token, Ready)>,
    ) -> io::Result<()> {
        match poll.poll(&mut self.0, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                ready.extend(self.0.iter().map(|event| (event.token(), Ready::of(event))));
                Ok(())
            }
        }
    }
}

impl<S> IoLoop<S> {
    /// Makes an idle loop.
    ///
    /// # Errors
    /// When the system gives no poll descriptor.
    pub fn new() -> io::Result<Self> {
        let mut io_loop = Self::with_clock(Clock::System, EVENTS_PER_TURN)?;
        io_loop.timer_fd = TimerFd::new(io_loop.poll.registry(), TIMER_FD).ok();
        Ok(io_loop)
    }

    /// Makes a loop that uses `clock` and fetches at most `events_per_turn` events in one turn.
    ///
    /// # Errors
    /// When the system gives no poll descriptor.
    pub fn by_hand(clock: ManualClock, events_per_turn: usize) -> io::Result<Self> {
        Self::with_clock(Clock::Manual(clock), events_per_turn)
    }

    fn with_clock(clock: Clock, events_per_turn: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registrar = Registrar {
            registry: Arc::new(poll.registry().try_clone()?),
            next: Arc::default(),
        };
        let now = clock.time();
        Ok(Self {
            clock,
            poll,
            timer_fd: None,
            handlers: Slab::new(),
            generation: 0,
            registrar,
            waits: HashMap::new(),
            ready: VecDeque::with_capacity(events_per_turn),
            events_per_turn,
            has_more_events: false,
            callbacks: VecDeque::new(),
            timeouts: BTreeMap::new(),
            next_timeout_id: 0,
            turn_began: now,
            turns: 0,
            earliest: now,
            running: true,
            lag: Lag::new(),
        })
    }

    /// Runs turns until [`stop`](Self::stop) (Tornado's `IOLoop.start`).
    ///
    /// # Errors
    /// Only errors of the poll; an interrupted poll is repeated.
    pub fn start(&mut self, state: &mut S) -> io::Result<()> {
        let mut events = SystemEvents(Events::with_capacity(self.events_per_turn));
        self.running = true;
        self.turn_began = self.time();
        self.earliest = self.turn_began;
        while self.running {
            self.turn(state, &mut events)?;
        }
        Ok(())
    }

    /// Runs one turn with the events of `driver`.
    ///
    /// # Errors
    /// Errors of the driver's poll.
    pub fn turn(&mut self, state: &mut S, driver: &mut impl Driver<S>) -> io::Result<()> {
        self.run_callbacks(state, driver);
        self.run_timeouts(state, driver);
        self.poll(driver)?;
        self.dispatch(state, driver);
        Ok(())
    }

    /// Ends [`start`](Self::start) after the current turn.
    pub fn stop(&mut self) {
        self.running = false;
    }

    /// Whether it has not been stopped since it was made or last started.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Whether callbacks are queued for the next turn, which then does not wait for events.
    pub fn has_callbacks(&self) -> bool {
        !self.callbacks.is_empty()
    }

    /// The time of the loop's clock (Tornado's `IOLoop.time`), which everything on the loop uses.
    pub fn time(&self) -> Instant {
        self.clock.time()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Watches `source`; `handler` runs whenever it becomes ready for `interest`.
    ///
    /// The token stays valid until [`remove_handler`](Self::remove_handler); its [`slot`] is a
    /// small dense number, suitable as an index into tables.
    ///
    /// # Errors
    /// What the system answers to the registration.
    pub fn add_handler(
        &mut self,
        source: &mut impl Source,
        interest: Interest,
        handler: Handler<S>,
    ) -> io::Result<Token> {
        let entry = self.handlers.vacant_entry();
        let token = Token((self.generation as usize) << SLOT_BITS | entry.key());
        self.poll.registry().register(source, token, interest)?;
        entry.insert(Registration {
            generation: self.generation,
            handler,
        });
        self.generation = self.generation.wrapping_add(1);
        Ok(token)
    }

    /// Stops watching `source`. The remaining events of this turn for it are dropped.
    ///
    /// # Errors
    /// What the system answers; the handler is gone in any case.
    pub fn remove_handler(&mut self, source: &mut impl Source, token: Token) -> io::Result<()> {
        self.forget_handler(token);
        self.poll.registry().deregister(source)
    }

    /// Stops watching `source` and closes it. Closing removes it from the poll, so this costs one
    /// system call less than [`remove_handler`](Self::remove_handler). The remaining events of this
    /// turn for it are dropped.
    ///
    /// The source must be the only owner of its descriptor: the poll would keep watching a
    /// duplicate.
    pub fn close_source(&mut self, source: impl Source, token: Token) {
        self.forget_handler(token);
        drop(source);
    }

    fn forget_handler(&mut self, token: Token) {
        if self.handler(token).is_some() {
            self.handlers.remove(slot(token));
        }
    }

    /// Runs `callback` in the next turn.
    pub fn add_callback(&mut self, callback: impl FnOnce(&mut S, &mut Self) + 'static) {
        self.callbacks.push_back(Box::new(callback));
    }

    /// Runs `callback` after the handlers of everything that is ready by now have run. A timeout
    /// that checks whether something has arrived needs this: after a pause of the process, its
    /// deadline comes before the events that arrived meanwhile.
    ///
    /// One poll fetches a limited number of events, in the order of arrival. So the callback runs
    /// after the first poll that leaves none, or after enough polls for every source.
    pub fn call_after_events(&mut self, callback: impl FnOnce(&mut S, &mut Self) + 'static)
    where
        S: 'static,
    {
        // One more than needed for these: sources without a handler have events, too.
        let polls = (self.handlers.len() + self.waits.len()) / self.events_per_turn + 2;
        self.call_after_polls(polls, Box::new(callback));
    }

    fn call_after_polls(&mut self, polls: usize, callback: Callback<S>)
    where
        S: 'static,
    {
        self.add_callback(move |state, io_loop| {
            if io_loop.has_more_events && polls > 1 {
                io_loop.call_after_polls(polls - 1, callback);
            } else {
                callback(state, io_loop);
            }
        });
    }

    /// Runs `callback` once `delay` has passed.
    pub fn call_later(
        &mut self,
        delay: Duration,
        callback: impl FnOnce(&mut S, &mut Self) + 'static,
    ) -> Timeout {
        self.call_at(self.time() + delay, callback)
    }

    /// Runs `callback` at `deadline`, or in the next turn if that has passed.
    pub fn call_at(
        &mut self,
        deadline: Instant,
        callback: impl FnOnce(&mut S, &mut Self) + 'static,
    ) -> Timeout {
        // A past deadline must not overtake timeouts that are due, or a callback that keeps
        // scheduling itself in the past would starve all others.
        let deadline = deadline.max(self.earliest);
        let timeout = Timeout {
            deadline,
            id: self.next_timeout_id,
        };
        self.next_timeout_id += 1;
        self.timeouts.insert(timeout, Box::new(callback));
        timeout
    }

    /// Removes a timeout. Does nothing if it has run or was removed before.
    pub fn remove_timeout(&mut self, timeout: Timeout) {
        self.timeouts.remove(&timeout);
    }

    /// Runs `callback` once, when `token` becomes ready or at `deadline`, whichever comes first.
    ///
    /// The token comes from the [`registrar`](Self::registrar). Each token has one wait at a time;
    /// a second one replaces the first, whose callback is dropped.
    pub fn call_when_ready(
        &mut self,
        token: Token,
        deadline: Option<Instant>,
        callback: impl FnOnce(&mut S, &mut Self, Wake) + 'static,
    ) {
        let timeout = deadline.map(|deadline| {
            self.call_at(deadline, move |state, io_loop| {
                io_loop.wake(state, token, Wake::TimedOut);
            })
        });
        let callback = Box::new(callback);
        let replaced = self.waits.insert(token, Wait { timeout, callback });
        if let Some(timeout) = replaced.and_then(|wait| wait.timeout) {
            self.remove_timeout(timeout);
        }
    }

    /// Ends the wait for `token`, if there is one, and runs its callback now.
    pub fn wake(&mut self, state: &mut S, token: Token, wake: Wake) {
        if let Some(wait) = self.waits.remove(&token) {
            if let Some(timeout) = wait.timeout {
                self.remove_timeout(timeout);
            }
            (wait.callback)(state, self, wake);
        }
    }

    /// The registrar, for sources whose owner has no access to the loop.
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// The deadline of the earliest timeout: work that can be split ends its slice here.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timeouts
            .first_key_value()
            .map(|(timeout, _)| timeout.deadline)
    }

    /// How many polls have returned; the same for all callbacks between two polls, even when a
    /// manual clock stands still.
    pub fn turn_number(&self) -> u64 {
        self.turns
    }

    /// The loop's measurements of itself: how late timeouts ran and how long turns lasted.
    pub fn lag(&self) -> &Lag {
        &self.lag
    }

    fn run_callbacks(&mut self, state: &mut S, driver: &mut impl Driver<S>) {
        for _ in 0..self.callbacks.len() {
            if let Some(callback) = self.callbacks.pop_front() {
                callback(state, self);
                driver.after_each(state, self);
            }
        }
    }

    fn run_timeouts(&mut self, state: &mut S, driver: &mut impl Driver<S>) {
        if self.timeouts.is_empty() {
            return;
        }
        let first_new_id = self.next_timeout_id;
        let now = self.time();
        self.earliest = now;
        // One at a time, not a batch: a timeout can remove another that is due in the same turn.
        while let Some(entry) = self.timeouts.first_entry() {
            let timeout = *entry.key();
            if timeout.deadline > now || timeout.id >= first_new_id {
                break;
            }
            let callback = entry.remove();
            let late = self.time().saturating_duration_since(timeout.deadline);
            self.lag.late(late);
            callback(state, self);
            driver.after_each(state, self);
        }
    }

    fn poll(&mut self, driver: &mut impl Driver<S>) -> io::Result<()> {
        let before = self.time();
        self.lag.turn(before - self.turn_began);
        let timeout = self.poll_timeout(before);
        let polled = driver.poll(&mut self.poll, timeout, &mut self.ready);
        self.turn_began = self.time();
        self.turns += 1;
        self.earliest = self.turn_began;
        self.has_more_events = self.ready.len() >= self.events_per_turn;
        polled
    }

    /// How long the poll may wait: not at all if work is queued, else until the next deadline. A
    /// `timerfd`, where available, ends the wait on time; mio alone would round up to whole ms.
    fn poll_timeout(&mut self, now: Instant) -> Option<Duration> {
        if !self.running || !self.callbacks.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.next_deadline()?;
        let wait = deadline.saturating_duration_since(now);
        let timer_fd = self.timer_fd.as_mut().filter(|_| !wait.is_zero());
        let is_set = timer_fd.is_some_and(|timer_fd| timer_fd.set(deadline, wait).is_ok());
        if is_set { None } else { Some(wait) }
    }

    fn dispatch(&mut self, state: &mut S, driver: &mut impl Driver<S>) {
        while let Some((token, ready)) = self.ready.pop_front() {
            if let Some(handler) = self.handler(token) {
                handler(state, self, token, ready);
            } else if token == TIMER_FD {
                self.timer_fd.iter_mut().for_each(TimerFd::on_expired);
            } else {
                self.wake(state, token, Wake::Ready);
            }
            driver.after_each(state, self);
        }
    }

    /// The handler of a token; `None` for the `timerfd` and for sources that are no longer watched.
    fn handler(&self, token: Token) -> Option<Handler<S>> {
        let registration = self.handlers.get(slot(token))?;
        (registration.generation as usize == token.0 >> SLOT_BITS).then_some(registration.handler)
    }
}

impl Ready {
    fn of(event: &Event) -> Self {
        Self {
            readable: event.is_readable() || event.is_read_closed() || event.is_error(),
            writable: event.is_writable() || event.is_write_closed() || event.is_error(),
            closed: event.is_read_closed() || event.is_error(),
        }
    }
}

impl Registrar {
    /// Watches `source`, for reading and writing, until it is closed.
    ///
    /// # Errors
    /// What the system answers to the registration.
    pub fn register(&self, source: &mut impl Source) -> io::Result<Token> {
        let token = self.token();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(source, token, interest)?;
        Ok(token)
    }

    /// A token without a source: only a deadline can end a wait for it.
    pub fn token(&self) -> Token {
        Token(self.next.fetch_add(1, Ordering::Relaxed) << SLOT_BITS | WAITED)
    }
}

/// The slot of a token: dense, and reused once its source is removed.
pub fn slot(token: Token) -> usize {
    token.0 & ((1 << SLOT_BITS) - 1)
}

/// The number of a token's registration: unique until it wraps around.
pub fn generation(token: Token) -> usize {
    token.0 >> SLOT_BITS
}

/// The lower half of a token is its slot, the upper half the generation.
const SLOT_BITS: u32 = usize::BITS / 2;

/// The token of the `timerfd`, which needs no handler: its only job is to end the poll. No slot is
/// that high.
const TIMER_FD: Token = Token(usize::MAX);

/// The slot of all the registrar's tokens. No handler's slot is that high either.
const WAITED: usize = (1 << SLOT_BITS) - 2;

/// How many events one poll fetches: a handshake each is a millisecond's work. More wait for the
/// next turn, after the timers.
pub const EVENTS_PER_TURN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    type Words = Vec<&'static str>;

    fn run(set_up: impl FnOnce(&mut IoLoop<Words>)) -> Words {
        let mut io_loop = IoLoop::new().expect("a poll descriptor");
        io_loop.call_later(Duration::from_secs(5), |_, _| panic!("the loop hangs"));
        set_up(&mut io_loop);
        let mut words = Vec::new();
        io_loop.start(&mut words).expect("polling works");
        words
    }

    #[test]
    fn callbacks_run_in_order_and_a_new_one_waits_for_the_next_turn() {
        let words = run(|io_loop| {
            io_loop.add_callback(|words, io_loop| {
                words.push("first");
                io_loop.add_callback(|words, io_loop| {
                    words.push("next turn");
                    io_loop.stop();
                });
            });
            io_loop.add_callback(|words, _| words.push("second"));
            io_loop.call_at(Instant::now(), |words, _| words.push("timeout"));
        });
        assert_eq!(words, ["first", "second", "timeout", "next turn"]);
    }

    #[test]
    fn timeouts_fire_by_deadline_and_ties_in_order_of_creation() {
        let soon = Instant::now() + Duration::from_millis(5);
        let words = run(|io_loop| {
            io_loop.call_at(soon + Duration::from_millis(2), |words, io_loop| {
                words.push("last");
                io_loop.stop();
            });
            io_loop.call_at(soon, |words, _| words.push("one"));
            io_loop.call_at(soon, |words, _| words.push("two"));
        });
        assert_eq!(words, ["one", "two", "last"]);
    }

    #[test]
    fn a_timeout_can_remove_another_that_is_due_in_the_same_turn() {
        let words = run(|io_loop| {
            let now = Instant::now();
            let doomed = io_loop.call_at(now + Duration::from_micros(1), |words: &mut Words, _| {
                words.push("never");
            });
            io_loop.call_at(now, move |words, io_loop| {
                words.push("remover");
                io_loop.remove_timeout(doomed);
                io_loop.remove_timeout(doomed);
            });
            io_loop.call_later(Duration::from_millis(3), |_, io_loop| io_loop.stop());
        });
        assert_eq!(words, ["remover"]);
    }

    #[test]
    fn a_timeout_that_reschedules_itself_in_the_past_starves_no_other() {
        fn again(words: &mut Words, io_loop: &mut IoLoop<Words>) {
            if words.len() < 50 {
                words.push("again");
                io_loop.call_at(Instant::now() - Duration::from_secs(1), again);
            }
        }
        let words = run(|io_loop| {
            let now = Instant::now();
            io_loop.call_at(now - Duration::from_millis(1), again);
            io_loop.call_at(now, |words, io_loop| {
                words.push("other");
                io_loop.stop();
            });
        });
        assert_eq!(words, ["again", "other"]);
    }

    #[test]
    fn a_deadline_is_met_with_better_than_a_millisecond() {
        let mut best = Duration::MAX;
        // The best of many: the machine may be busy, but mio's rounding up would affect every one.
        for _ in 0..50 {
            let wait = Duration::from_micros(300);
            let began = Instant::now();
            run(|io_loop| {
                io_loop.call_at(began + wait, |_, io_loop| io_loop.stop());
            });
            best = best.min(began.elapsed());
        }
        assert!(best >= Duration::from_micros(300), "early: {best:?}");
        if cfg!(target_os = "linux") {
            assert!(best < Duration::from_micros(900), "rounded up: {best:?}");
        }
    }

    #[test]
    fn a_handler_may_remove_itself_and_drop_its_events() {
        struct State {
            pipe: Option<(mio::unix::pipe::Receiver, Token)>,
            runs: u32,
        }
        let (mut sender, mut receiver) = mio::unix::pipe::new().expect("a pipe");
        let mut io_loop = IoLoop::<State>::new().expect("a poll descriptor");
        let token = io_loop
            .add_handler(
                &mut receiver,
                Interest::READABLE,
                |state, io_loop, token, ready| {
                    assert!(ready.readable);
                    state.runs += 1;
                    let (mut receiver, own) = state.pipe.take().expect("it runs once");
                    assert_eq!(own, token);
                    io_loop
                        .remove_handler(&mut receiver, token)
                        .expect("it was registered");
                    // The slot is free again, the token is not.
                    let (_, mut other) = mio::unix::pipe::new().expect("a pipe");
                    let reused = io_loop
                        .add_handler(&mut other, Interest::READABLE, |_, _, _, _| {})
                        .expect("registered");
                    assert_eq!(slot(reused), slot(token));
                    assert_ne!(reused, token);
                    io_loop.call_later(Duration::from_millis(2), |_, io_loop| io_loop.stop());
                },
            )
            .expect("registered");
        let mut state = State {
            pipe: Some((receiver, token)),
            runs: 0,
        };
        sender.write_all(b"x").expect("room in the pipe");
        io_loop.start(&mut state).expect("polling works");
        assert_eq!(state.runs, 1);
    }

    #[test]
    fn a_closed_source_has_no_more_events() {
        type Pipe = (mio::unix::pipe::Receiver, Token);
        let mut io_loop = IoLoop::<Vec<Pipe>>::new().expect("a poll descriptor");
        let pipes: Vec<_> = (0..2)
            .map(|_| mio::unix::pipe::new().expect("a pipe"))
            .collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
        let mut state = Vec::new();
        for mut receiver in receivers {
            // Both are ready in the same turn; the first one to run closes both.
            let handler = |pipes: &mut Vec<Pipe>, io_loop: &mut IoLoop<Vec<Pipe>>, _, _| {
                assert_eq!(pipes.len(), 2, "an event of a source that is closed");
                for (receiver, token) in pipes.drain(..) {
                    io_loop.close_source(receiver, token);
                }
                io_loop.call_later(Duration::from_millis(2), |_, io_loop| io_loop.stop());
            };
            let token = io_loop
                .add_handler(&mut receiver, Interest::READABLE, handler)
                .expect("registered");
            state.push((receiver, token));
        }
        for mut sender in &senders {
            sender.write_all(b"x").expect("room in the pipe");
        }
        io_loop.start(&mut state).expect("polling works");
        assert!(io_loop.handlers.is_empty() && state.is_empty());
        let closed = (&senders[0]).write_all(b"x").expect_err("no reader");
        assert_eq!(closed.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_wait_ends_once_when_its_source_is_ready_or_at_its_deadline() {
        let (mut sender, mut receiver) = mio::unix::pipe::new().expect("a pipe");
        let words = run(|io_loop| {
            let token = io_loop.registrar().register(&mut receiver);
            let token = token.expect("registered");
            let far = Instant::now() + Duration::from_secs(60);
            io_loop.call_when_ready(token, Some(far), |words, io_loop, wake| {
                assert_eq!(wake, Wake::Ready);
                words.push("ready");
                let never = io_loop.registrar().token();
                let soon = Instant::now() + Duration::from_millis(2);
                io_loop.call_when_ready(never, Some(soon), |words, io_loop, wake| {
                    assert_eq!(wake, Wake::TimedOut);
                    words.push("deadline");
                    assert_eq!(io_loop.timeouts.len(), 1, "the test's own");
                    io_loop.stop();
                });
            });
            sender.write_all(b"x").expect("room in the pipe");
        });
        assert_eq!(words, ["ready", "deadline"]);
    }

    #[test]
    fn a_second_wait_for_a_token_replaces_the_first() {
        let words = run(|io_loop| {
            let token = io_loop.registrar().token();
            let soon = Instant::now() + Duration::from_millis(1);
            io_loop.call_when_ready(token, Some(soon), |words, _, _| words.push("never"));
            let later = soon + Duration::from_millis(1);
            io_loop.call_when_ready(token, Some(later), |words, io_loop, _| {
                words.push("second");
                io_loop.stop();
            });
        });
        assert_eq!(words, ["second"]);
    }

    /// A source in memory that becomes ready when a test says so.
    struct InMemory;

    impl Source for InMemory {
        fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
            Ok(())
        }

        fn deregister(&mut self, _: &Registry) -> io::Result<()> {
            Ok(())
        }
    }

    /// Passes these events to the next poll, and counts the steps of turns.
    #[derive(Default)]
    struct ByHand {
        events: Vec<(Token, Ready)>,
        steps: usize,
    }

    impl<S> Driver<S> for ByHand {
        fn poll(
            &mut self,
            _: &mut Poll,
            _: Option<Duration>,
            ready: &mut VecDeque<(Token, Ready)>,
        ) -> io::Result<()> {
            ready.extend(self.events.drain(..));
            Ok(())
        }

        fn after_each(&mut self, _: &mut S, _: &mut IoLoop<S>) {
            self.steps += 1;
        }
    }

    #[test]
    fn a_loop_turned_by_hand_uses_its_own_clock() {
        const HOUR: Duration = Duration::from_secs(3600);
        let clock = ManualClock::new(Instant::now());
        let mut io_loop = IoLoop::<Words>::by_hand(clock.clone(), 1).expect("a poll descriptor");
        let (mut words, mut hand) = (Words::new(), ByHand::default());
        let token = io_loop
            .add_handler(&mut InMemory, Interest::READABLE, |words, _, _, ready| {
                assert!(ready.readable && !ready.writable);
                words.push("handler");
            })
            .expect("registered");
        io_loop.call_later(HOUR, |words: &mut Words, io_loop| {
            words.push("timeout");
            io_loop.stop();
        });
        io_loop.add_callback(|words, _| words.push("callback"));
        let readable = Ready {
            readable: true,
            writable: false,
            closed: false,
        };
        hand.events.push((token, readable));
        io_loop.turn(&mut words, &mut hand).expect("no real poll");
        assert_eq!(words, ["callback", "handler"]);
        clock.advance(HOUR);
        assert!(io_loop.is_running() && !io_loop.has_callbacks());
        io_loop.turn(&mut words, &mut hand).expect("no real poll");
        assert_eq!(words, ["callback", "handler", "timeout"]);
        assert!(!io_loop.is_running());
        assert_eq!(hand.steps, 3);
        assert_eq!(io_loop.lag().lateness().max(), 0);
    }

    #[test]
    fn a_timeout_in_the_past_delays_no_other() {
        let start = Instant::now();
        let clock = ManualClock::new(start);
        let mut io_loop = IoLoop::<Words>::by_hand(clock.clone(), 1).expect("a poll descriptor");
        let (mut words, mut hand) = (Words::new(), ByHand::default());
        let after = move |ms| start + Duration::from_millis(ms);
        io_loop.call_at(after(1), move |words: &mut Words, io_loop| {
            words.push("first");
            io_loop.call_at(after(2), |words, _| words.push("late"));
        });
        io_loop.call_at(after(3), |words, _| words.push("second"));
        clock.advance(Duration::from_millis(10));
        io_loop.turn(&mut words, &mut hand).expect("no real poll");
        assert_eq!(words, ["first", "second"]);
        io_loop.turn(&mut words, &mut hand).expect("no real poll");
        assert_eq!(words, ["first", "second", "late"]);
    }

    #[test]
    fn the_loop_measures_how_late_timeouts_ran_and_how_long_turns_lasted() {
        let mut io_loop = IoLoop::<()>::new().expect("a poll descriptor");
        let busy = Duration::from_millis(3);
        let due = Instant::now();
        io_loop.add_callback(move |_, _| while due.elapsed() < busy {});
        io_loop.call_at(due, |_, io_loop| io_loop.stop());
        io_loop.start(&mut ()).expect("polling works");
        assert!(io_loop.lag().lateness().max() >= 2_900);
        assert!(io_loop.lag().turns().max() >= 2_900);
    }
}
