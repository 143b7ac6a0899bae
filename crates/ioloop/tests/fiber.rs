//! The promise of a fiber: it reads like blocking code, blocks no other work, and always ends
//! cleanly.

mod common;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ioloop::IoLoop;
use ioloop::fiber::{self, Cancelled, Emitter, Exit, Fiber, STACK_SIZE};
use mio::Token;

use self::common::{LONG, Words, watched_loop};

type Body = fn(&Emitter<&'static str>) -> io::Result<()>;

/// Spawns a fiber that pushes the words that it emits, and `name: exit` when it ends.
fn spawn(
    io_loop: &mut IoLoop<Words>,
    name: &'static str,
    body: impl FnOnce(&Emitter<&'static str>) -> io::Result<()> + 'static,
) -> Fiber {
    io_loop
        .spawn(
            STACK_SIZE,
            body,
            |words: &mut Words, _, word| words.push(word.to_owned()),
            move |words, _, exit| {
                words.push(match exit {
                    Exit::Returned(Ok(())) => format!("{name}: returned"),
                    Exit::Returned(Err(error)) => format!("{name}: {error}"),
                    Exit::Cancelled => format!("{name}: cancelled"),
                    Exit::Panicked(message) => format!("{name}: panicked, {message}"),
                });
            },
        )
        .expect("memory for a stack")
}

fn run(mut io_loop: IoLoop<Words>) -> Words {
    let mut words = Words::new();
    io_loop.start(&mut words).expect("polling works");
    words
}

/// Stops the loop once there are `count` words.
fn stop_at(io_loop: &mut IoLoop<Words>, count: usize) {
    io_loop.add_callback(move |words, io_loop| {
        if words.len() < count {
            stop_at(io_loop, count);
        } else {
            io_loop.stop();
        }
    });
}

#[test]
fn fibers_take_turns_at_each_emitted_value() {
    let mut io_loop = watched_loop();
    spawn(&mut io_loop, "a", |emitter| {
        emitter.emit("a1")?;
        Ok(emitter.emit("a2")?)
    });
    spawn(&mut io_loop, "b", |emitter| {
        emitter.emit("b1")?;
        fiber::yield_now()?;
        Ok(emitter.emit("b2")?)
    });
    stop_at(&mut io_loop, 6);
    let words = run(io_loop);
    assert_eq!(
        words,
        ["a1", "b1", "a2", "a: returned", "b2", "b: returned"]
    );
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    let mut io_loop = watched_loop();
    let now = Instant::now();
    for (name, delay) in [("late", 90), ("early", 30), ("between", 60)] {
        spawn(&mut io_loop, "sleeper", move |emitter| {
            let deadline = now + Duration::from_millis(delay);
            fiber::sleep_until(deadline)?;
            assert!(Instant::now() >= deadline);
            Ok(emitter.emit(name)?)
        });
    }
    stop_at(&mut io_loop, 6);
    let mut words = run(io_loop);
    words.retain(|word| word != "sleeper: returned");
    assert_eq!(words, ["early", "between", "late"]);
}

#[test]
fn an_error_of_the_body_is_passed_to_on_exit() {
    let mut io_loop = watched_loop();
    let fiber = spawn(&mut io_loop, "fetch", |_| Err(io::Error::other("no route")));
    assert!(fiber.is_running());
    stop_at(&mut io_loop, 1);
    assert_eq!(run(io_loop), ["fetch: no route"]);
    assert!(!fiber.is_running());
}

#[test]
fn the_current_and_all_later_waits_of_a_cancelled_fiber_fail() {
    let mut io_loop = watched_loop();
    let sleeper = spawn(&mut io_loop, "sleeper", |emitter| {
        assert_eq!(fiber::sleep(LONG), Err(Cancelled));
        assert!(fiber::is_cancelled());
        assert_eq!(fiber::sleep(LONG), Err(Cancelled));
        assert_eq!(fiber::yield_now(), Err(Cancelled));
        assert!(fiber::wait(Token(7), None).is_err());
        assert_eq!(emitter.emit("never"), Err(Cancelled));
        Ok(())
    });
    io_loop.call_later(Duration::from_millis(2), move |_, io_loop| {
        sleeper.cancel(io_loop);
        sleeper.cancel(io_loop);
    });
    stop_at(&mut io_loop, 1);
    assert_eq!(run(io_loop), ["sleeper: cancelled"]);
}

#[test]
fn a_fiber_cancelled_before_its_first_turn_never_begins() {
    let mut io_loop = watched_loop();
    let fiber = spawn(&mut io_loop, "fiber", |emitter| Ok(emitter.emit("never")?));
    fiber.cancel(&mut io_loop);
    stop_at(&mut io_loop, 1);
    assert_eq!(run(io_loop), ["fiber: cancelled"]);
}

#[test]
fn a_cancelled_fiber_that_ignores_errors_is_ended() {
    let mut io_loop = watched_loop();
    let stubborn = spawn(&mut io_loop, "stubborn", |_| {
        loop {
            let _ = fiber::sleep(LONG);
        }
    });
    io_loop.call_later(Duration::from_millis(1), move |_, io_loop| {
        stubborn.cancel(io_loop);
    });
    stop_at(&mut io_loop, 1);
    let words = run(io_loop);
    assert_eq!(
        words,
        ["stubborn: panicked, a cancelled coroutine does not end"]
    );
}

#[test]
fn a_panic_ends_only_its_fiber() {
    let mut io_loop = watched_loop();
    spawn(&mut io_loop, "bad", |emitter| {
        emitter.emit("before")?;
        panic!("out of {}", "luck");
    });
    spawn(&mut io_loop, "good", |emitter| {
        fiber::sleep(Duration::from_millis(3))?;
        Ok(emitter.emit("after")?)
    });
    stop_at(&mut io_loop, 4);
    let words = run(io_loop);
    assert_eq!(
        words,
        [
            "before",
            "bad: panicked, out of luck",
            "after",
            "good: returned"
        ]
    );
}

/// A destructor that tries to wait, for example to close a connection politely.
struct Waiting(Rc<Cell<Option<Result<(), Cancelled>>>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set(Some(fiber::sleep(LONG)));
    }
}

#[test]
fn a_destructor_does_not_suspend_while_a_panic_unwinds() {
    let mut io_loop = watched_loop();
    let answer = Rc::new(Cell::new(None));
    let waiting = Waiting(Rc::clone(&answer));
    spawn(&mut io_loop, "bad", move |emitter| {
        emitter.emit("before")?;
        let _waiting = waiting;
        panic!("ouch");
    });
    stop_at(&mut io_loop, 2);
    assert_eq!(run(io_loop), ["before", "bad: panicked, ouch"]);
    assert_eq!(answer.take(), Some(Err(Cancelled)));
}

#[test]
fn dropping_the_loop_ends_suspended_fibers_and_runs_their_destructors() {
    let dropped = Rc::new(Cell::new(None));
    let waiting = Waiting(Rc::clone(&dropped));
    let mut io_loop = watched_loop();
    let sleeper = spawn(&mut io_loop, "sleeper", move |emitter| {
        let _waiting = waiting;
        emitter.emit("asleep")?;
        Ok(fiber::sleep(LONG)?)
    });
    let never = spawn(&mut io_loop, "never", |_| Ok(fiber::sleep(LONG)?));
    io_loop.call_later(Duration::from_millis(2), |_, io_loop| {
        spawn(io_loop, "unborn", |_| Ok(()));
        io_loop.stop();
    });
    assert_eq!(run(io_loop), ["asleep"]);
    assert_eq!(dropped.take(), Some(Err(Cancelled)));
    assert!(!sleeper.is_running() && !never.is_running());
}

#[test]
fn a_loop_dropped_by_a_panic_ends_its_fibers_too() {
    let mut io_loop = watched_loop();
    let sleeper = spawn(&mut io_loop, "sleeper", |_| Ok(fiber::sleep(LONG)?));
    io_loop.call_later(Duration::from_millis(2), |_, _| panic!("a callback's own"));
    let run = std::panic::AssertUnwindSafe(|| run(io_loop));
    assert!(std::panic::catch_unwind(run).is_err());
    assert!(!sleeper.is_running());
}

#[test]
fn thousands_of_fibers_run_side_by_side_and_one_after_the_other() {
    let mut io_loop = watched_loop();
    for _ in 0..2_000 {
        spawn(&mut io_loop, "one", |emitter| {
            fiber::sleep(Duration::from_millis(1))?;
            Ok(emitter.emit("word")?)
        });
    }
    fn again(io_loop: &mut IoLoop<Words>, left: u32) {
        let body: Body = |emitter| Ok(emitter.emit("word")?);
        let on_exit = move |_: &mut Words, io_loop: &mut IoLoop<Words>, _| match left {
            0 => stop_at(io_loop, 2 * 2_000 + 2_001),
            left => again(io_loop, left - 1),
        };
        let on_emit = |words: &mut Words, _: &mut IoLoop<Words>, word: &str| {
            words.push(word.to_owned());
        };
        let spawned = io_loop.spawn(64 * 1024, body, on_emit, on_exit);
        spawned.expect("memory for a stack");
    }
    again(&mut io_loop, 2_000);
    assert_eq!(run(io_loop).len(), 6_001);
}

#[test]
fn a_fiber_may_run_a_loop_with_fibers_of_its_own() {
    let mut io_loop = watched_loop();
    spawn(&mut io_loop, "outer", |emitter| {
        let mut inner = watched_loop();
        spawn(&mut inner, "inner", |emitter| {
            fiber::sleep(Duration::from_millis(1))?;
            Ok(emitter.emit("inner word")?)
        });
        stop_at(&mut inner, 2);
        assert_eq!(run(inner), ["inner word", "inner: returned"]);
        // Suspending works on the outer fiber again.
        fiber::sleep(Duration::from_millis(1))?;
        Ok(emitter.emit("outer word")?)
    });
    stop_at(&mut io_loop, 2);
    assert_eq!(run(io_loop), ["outer word", "outer: returned"]);
}

#[test]
fn waiting_outside_a_fiber_fails() {
    assert_eq!(fiber::sleep(LONG), Err(Cancelled));
    assert_eq!(fiber::yield_now(), Err(Cancelled));
    assert!(fiber::wait(Token(7), None).is_err());
    assert!(!fiber::is_cancelled());
}
