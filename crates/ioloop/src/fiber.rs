//! Coroutines of the loop: code that reads as if it blocked, and suspends instead.
//!
//! Where a Tornado coroutine has `await` or `yield`, a fiber has a plain call, at any depth of its
//! stack: [`wait`] for a socket, [`sleep_until`], [`Emitter::emit`] a value to the loop's state.
//! That is how `ureq`, which blocks, runs on a loop that never does. Code in a fiber has no access
//! to the loop: it emits values to it and registers sockets with a
//! [`Registrar`](crate::io_loop::Registrar).
//!
//! A suspended fiber is owned by the wait or the callback that will resume it, and so ends with the
//! loop. Dropping a fiber cancels it and lets it run to its end first: its destructors run as after
//! any error, and no stack is unwound by force.
// A coroutine suspends through a pointer to its own stack, which no lifetime can describe. This is
// the only place in the project that needs `unsafe`.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use mio::Token;

use crate::clock::Clock;
use crate::io_loop::{IoLoop, Wake};

/// Enough for HTTPS in a debug build, which needs more than 128 KiB; a release build needs 37. Only
/// touched pages take memory, and a guard page below the stack catches an overflow.
pub const STACK_SIZE: usize = 512 * 1024;

/// A handle to a coroutine. Dropping it does not affect the coroutine, which belongs to the loop.
#[derive(Clone)]
pub struct Fiber {
    shared: Rc<Shared>,
}

/// How a fiber ended.
#[derive(Debug)]
pub enum Exit {
    /// Its body returned, with this result.
    Returned(io::Result<()>),
    /// It was cancelled, and its body has ended since.
    Cancelled,
    /// It panicked with this message. The loop continues; the panic has been logged.
    Panicked(String),
}

/// Passes values from a fiber to the loop's state.
pub struct Emitter<T> {
    emitted: Rc<Cell<Option<T>>>,
}

/// The fiber was cancelled. Every later wait returns this error, too, so the body can only return.
/// It converts into an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

/// A nudge ended the wait, see [`Fiber::nudge`]. It is not a failure: look at what the nudge was
/// about, and wait again. It converts into an [`io::Error`], which [`is_nudge`] recognises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nudged;

impl<S> IoLoop<S> {
    /// Runs `body` as a coroutine on a stack of `stack_size` bytes, from the next turn on.
    ///
    /// `on_emit` receives each value that it emits, on the loop. `on_exit` runs when it ends,
    /// unless the loop itself is dropped.
    ///
    /// # Errors
    /// When there is no memory for the stack.
    pub fn spawn<T: 'static>(
        &mut self,
        stack_size: usize,
        body: impl FnOnce(&Emitter<T>) -> io::Result<()> + 'static,
        on_emit: impl FnMut(&mut S, &mut Self, T) + 'static,
        on_exit: impl FnOnce(&mut S, &mut Self, Exit) + 'static,
    ) -> io::Result<Fiber> {
        let shared = Rc::new(Shared::new(self.registrar().token(), self.clock().clone()));
        let emitted = Rc::new(Cell::new(None));
        let emitter = Emitter {
            emitted: Rc::clone(&emitted),
        };
        let task = Task {
            running: Running::new(stack_size, &shared, move || body(&emitter))?,
            emitted,
            on_emit,
            on_exit,
        };
        self.add_callback(move |state, io_loop| task.step(state, io_loop, Wake::Ready));
        Ok(Fiber { shared })
    }
}

impl<S: 'static> IoLoop<S> {
    /// Runs `body` as a coroutine on a stack of [`STACK_SIZE`] bytes, from the next turn on, and
    /// logs the error that it returns, if any (Tornado's `spawn_callback`).
    ///
    /// # Errors
    /// When there is no memory for the stack.
    pub fn spawn_callback(
        &mut self,
        body: impl FnOnce() -> io::Result<()> + 'static,
    ) -> io::Result<Fiber> {
        let on_exit = |_: &mut S, _: &mut Self, exit| {
            if let Exit::Returned(Err(error)) = exit {
                log::warn!("a coroutine failed: {error}");
            }
        };
        self.spawn(STACK_SIZE, |_: &Emitter<()>| body(), |_, _, ()| {}, on_exit)
    }
}

impl Fiber {
    /// Cancels the fiber: its current wait, and every later one, returns [`Cancelled`].
    pub fn cancel<S>(&self, io_loop: &mut IoLoop<S>) {
        self.shared.cancelled.set(true);
        // A fiber that is not waiting is queued to run, or is running.
        if let Some(token) = self.shared.waits_for.take() {
            io_loop.add_callback(move |state, io_loop| io_loop.wake(state, token, Wake::Ready));
        }
    }

    /// Ends the fiber's current wait if that one accepts nudges ([`wait_or_nudge`]), or else the next
    /// one that does. All other waits are left alone. It tells a fiber that waits for its socket
    /// that there is something to fetch where both can reach it; several nudges count as one.
    pub fn nudge<S>(&self, io_loop: &mut IoLoop<S>) {
        self.shared.is_nudged.set(true);
        if !self.shared.accepts_nudges.get() {
            return;
        }
        if let Some(token) = self.shared.waits_for.take() {
            io_loop.add_callback(move |state, io_loop| io_loop.wake(state, token, Wake::Ready));
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        !self.shared.ended.get()
    }
}

impl<T> Emitter<T> {
    /// Passes `value` to the loop's state and continues in the next turn.
    ///
    /// # Errors
    /// [`Cancelled`], either before the value was passed on or after.
    pub fn emit(&self, value: T) -> Result<(), Cancelled> {
        self.emitted.set(Some(value));
        let resumed = suspend(Pause::Turn);
        self.emitted.take();
        resumed.map(drop)
    }
}

/// Suspends the running fiber until `token` seems ready. Try the I/O first, because an event
/// without a wait is dropped; and try it again afterwards, because an event may be outdated.
///
/// # Errors
/// `TimedOut` at the deadline; [`Cancelled`] when cancelled, and outside a fiber.
pub fn wait(token: Token, deadline: Option<Instant>) -> io::Result<()> {
    match suspend(Pause::Wait { token, deadline })? {
        Wake::Ready => Ok(()),
        Wake::TimedOut => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Does the same as [`wait`], but a nudge ends the wait, too: also one from before it began.
///
/// # Errors
/// [`Nudged`] when nudged, and the errors of [`wait`].
pub fn wait_or_nudge(token: Token, deadline: Option<Instant>) -> io::Result<()> {
    take_nudge()?;
    let fiber = current().ok_or(Cancelled)?;
    fiber.accepts_nudges.set(true);
    let waited = wait(token, deadline);
    fiber.accepts_nudges.set(false);
    take_nudge()?;
    waited
}

/// Suspends the running fiber until `deadline`.
///
/// # Errors
/// [`Cancelled`], also outside a fiber.
pub fn sleep_until(deadline: Instant) -> Result<(), Cancelled> {
    let token = current().ok_or(Cancelled)?.own_token;
    let deadline = Some(deadline);
    suspend(Pause::Wait { token, deadline }).map(drop)
}

/// Suspends the running fiber for `duration`.
///
/// # Errors
/// [`Cancelled`], also outside a fiber.
pub fn sleep(duration: Duration) -> Result<(), Cancelled> {
    sleep_until(time() + duration)
}

/// The time of the loop that runs this fiber, see [`IoLoop::time`]; outside a fiber, the system's.
pub fn time() -> Instant {
    current().map_or_else(Instant::now, |fiber| fiber.clock.time())
}

/// Lets the rest of the loop run: the fiber continues in the next turn.
///
/// # Errors
/// [`Cancelled`], also outside a fiber.
pub fn yield_now() -> Result<(), Cancelled> {
    suspend(Pause::Turn).map(drop)
}

/// Whether the running fiber was cancelled; if so, retrying after an error is pointless.
pub fn is_cancelled() -> bool {
    current().is_some_and(|fiber| fiber.cancelled.get())
}

/// Whether `error` is [`Nudged`], which ended a read early: read again, nothing was lost.
pub fn is_nudge(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<Nudged>())
}

/// Fails if the running fiber was nudged and has not been told so yet.
pub(crate) fn take_nudge() -> Result<(), Nudged> {
    match current() {
        // The wait that follows, or that just ended, says so.
        Some(fiber) if fiber.cancelled.get() => Ok(()),
        Some(fiber) if fiber.is_nudged.take() => Err(Nudged),
        _ => Ok(()),
    }
}

/// Whether the running code belongs to a fiber.
pub(crate) fn is_in_fiber() -> bool {
    current().is_some()
}

/// The state that a fiber, its handle and its owner share.
struct Shared {
    /// Suspends the coroutine; present while its body runs.
    yielder: Cell<Option<NonNull<Yielder<Wake, Pause>>>>,
    /// For waits that only a deadline ends.
    own_token: Token,
    /// The clock of its loop.
    clock: Clock,
    waits_for: Cell<Option<Token>>,
    /// Whether a nudge may end the current wait.
    accepts_nudges: Cell<bool>,
    /// Whether a nudge came of which the fiber does not know yet.
    is_nudged: Cell<bool>,
    cancelled: Cell<bool>,
    /// How many waits were refused since it was cancelled.
    refused: Cell<u32>,
    ended: Cell<bool>,
}

/// The reason why a fiber suspends.
enum Pause {
    /// It waits for a source, or the deadline.
    Wait {
        token: Token,
        deadline: Option<Instant>,
    },
    /// It waits for the next turn of the loop, after passing on the value that it may have emitted.
    Turn,
}

/// A fiber with everything that the loop needs to drive it.
struct Task<T, E, X> {
    running: Running,
    emitted: Rc<Cell<Option<T>>>,
    on_emit: E,
    on_exit: X,
}

impl<T: 'static, E: 'static, X: 'static> Task<T, E, X> {
    /// Runs the fiber to its next pause, and passes it to the event that will end the pause.
    fn step<S>(mut self, state: &mut S, io_loop: &mut IoLoop<S>, wake: Wake)
    where
        E: FnMut(&mut S, &mut IoLoop<S>, T),
        X: FnOnce(&mut S, &mut IoLoop<S>, Exit),
    {
        match self.running.resume(wake) {
            Ok(Pause::Wait { token, deadline }) => {
                self.running.shared.waits_for.set(Some(token));
                io_loop.call_when_ready(token, deadline, move |state, io_loop, wake| {
                    self.step(state, io_loop, wake);
                });
            }
            Ok(Pause::Turn) => {
                if let Some(value) = self.emitted.take() {
                    (self.on_emit)(state, io_loop, value);
                }
                io_loop.add_callback(move |state, io_loop| self.step(state, io_loop, Wake::Ready));
            }
            Err(exit) => (self.on_exit)(state, io_loop, exit),
        }
    }
}

/// The coroutine itself.
struct Running {
    coroutine: Coroutine<Wake, Pause, io::Result<()>>,
    shared: Rc<Shared>,
}

impl Running {
    fn new(
        stack_size: usize,
        shared: &Rc<Shared>,
        body: impl FnOnce() -> io::Result<()> + 'static,
    ) -> io::Result<Self> {
        let inside = Rc::clone(shared);
        // The coroutine copies its argument to its stack and panics if that exceeds a kilobyte.
        let body = Box::new(body);
        let coroutine = Coroutine::with_stack(
            DefaultStack::new(stack_size)?,
            move |yielder: &Yielder<Wake, Pause>, _| {
                if inside.cancelled.get() {
                    return Ok(());
                }
                inside.yielder.set(Some(NonNull::from(yielder)));
                let _guard = YielderGuard(&inside);
                body()
            },
        );
        let shared = Rc::clone(shared);
        Ok(Self { coroutine, shared })
    }

    fn resume(&mut self, wake: Wake) -> Result<Pause, Exit> {
        self.shared.waits_for.set(None);
        let outer = CURRENT.replace(Some(Rc::clone(&self.shared)));
        // Unwinding is safe: mutexes notice that they are poisoned, and the fiber shares no other
        // state that could be left inconsistent.
        let resumed = catch_unwind(AssertUnwindSafe(|| self.coroutine.resume(wake)));
        CURRENT.set(outer);
        let exit = match resumed {
            Ok(CoroutineResult::Yield(pause)) => return Ok(pause),
            Ok(CoroutineResult::Return(_)) if self.shared.cancelled.get() => Exit::Cancelled,
            Ok(CoroutineResult::Return(result)) => Exit::Returned(result),
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                log::error!("a coroutine panicked: {message}");
                Exit::Panicked(message)
            }
        };
        self.shared.ended.set(true);
        Err(exit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.coroutine.started() && !self.coroutine.done() {
            self.shared.cancelled.set(true);
            // Resuming it once is enough: a cancelled fiber never suspends again.
            let _ = self.resume(Wake::Ready);
        }
        self.shared.ended.set(true);
    }
}

impl Shared {
    fn new(own_token: Token, clock: Clock) -> Self {
        Self {
            yielder: Cell::new(None),
            own_token,
            clock,
            waits_for: Cell::new(None),
            accepts_nudges: Cell::new(false),
            is_nudged: Cell::new(false),
            cancelled: Cell::new(false),
            refused: Cell::new(0),
            ended: Cell::new(false),
        }
    }

    /// Refuses a wait of a cancelled fiber. A fiber that ignores the error and keeps trying in a
    /// loop would block all others, so a panic ends it.
    fn check(&self) -> Result<(), Cancelled> {
        if !self.cancelled.get() {
            return Ok(());
        }
        self.refused.set(self.refused.get() + 1);
        let goes_on = self.refused.get() > REFUSALS_MAX && !std::thread::panicking();
        assert!(!goes_on, "a cancelled coroutine does not end");
        Err(Cancelled)
    }
}

/// Clears the yielder of a coroutine when its body ends, by whatever way.
struct YielderGuard<'a>(&'a Shared);

impl Drop for YielderGuard<'_> {
    fn drop(&mut self) {
        self.0.yielder.set(None);
    }
}

thread_local! {
    /// The fiber whose code is running on this thread. It is set only around resumptions, so that
    /// it stays correct even when a fiber runs a loop with fibers of its own.
    static CURRENT: Cell<Option<Rc<Shared>>> = const { Cell::new(None) };
}

fn current() -> Option<Rc<Shared>> {
    let current = CURRENT.take();
    CURRENT.set(current.clone());
    current
}

fn suspend(pause: Pause) -> Result<Wake, Cancelled> {
    let fiber = current().ok_or(Cancelled)?;
    fiber.check()?;
    // A destructor must not suspend a stack that is being unwound: panics are counted per thread,
    // so the code that runs meanwhile would seem to be panicking.
    if std::thread::panicking() {
        return Err(Cancelled);
    }
    let yielder = fiber.yielder.get().ok_or(Cancelled)?;
    // SAFETY: the yielder is part of the coroutine's stack, and the pointer exists only while the
    // body runs (`YielderGuard`), so it is valid. It is also the right one: `CURRENT` names the
    // fiber whose code is running, hence this code is on that fiber's own stack.
    let wake = unsafe { yielder.as_ref() }.suspend(pause);
    fiber.check()?;
    Ok(wake)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        // Not `Interrupted`, which callers take for "try again".
        Self::other(cancelled)
    }
}

impl fmt::Display for Nudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nudged")
    }
}

impl std::error::Error for Nudged {}

impl From<Nudged> for io::Error {
    fn from(nudged: Nudged) -> Self {
        // Neither `Interrupted` nor `WouldBlock`: layers in between would take it for their own
        // business, and try again or wait.
        Self::other(nudged)
    }
}

/// How many waits a cancelled fiber may attempt before a panic ends it. Well-behaved code needs one
/// for each of its open streams.
const REFUSALS_MAX: u32 = 1000;
