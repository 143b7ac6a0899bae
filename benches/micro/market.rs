//! The cases with many symbols, of which each client watches some.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use tickertape::feed::Publish;
use tickertape::process::raise_descriptor_limit;
use tickertape::tick::{Fields, Tick};

use crate::pure::all_fields;
use crate::served::{AUDIENCE, Audience, Turn, Visits, run, tick};
use crate::time;

pub(super) fn upgrade(times: u32) -> Duration {
    let mut visits = Visits::new(times, targets(1_000, 20, 5_000));
    time(|| run(symbols(5_000), move |turn| visits.proceed(turn)))
}

pub(super) fn delivery(times: u32) -> Duration {
    let mut audience = Audience::new(times, targets(AUDIENCE, 5, 20), symbols(20));
    time(|| run(symbols(20), move |turn| audience.proceed(turn)))
}

pub(super) fn publish_unwatched(times: u32) -> Duration {
    publish(times, &Fields::default())
}

pub(super) fn publish_fields(times: u32) -> Duration {
    publish(times, &all_fields())
}

/// Publishes ticks with these fields to nobody.
fn publish(times: u32, fields: &Fields) -> Duration {
    let took = Rc::new(Cell::new(Duration::ZERO));
    let clock = Rc::clone(&took);
    let tick = |symbol: &String| Tick {
        fields: fields.clone(),
        ..tick(symbol)
    };
    let ticks: Vec<_> = symbols(5_000).iter().map(tick).collect();
    run(symbols(5_000), move |turn| {
        clock.set(time(|| {
            for tick in ticks.iter().cycle().take(times as usize) {
                turn.server.publish(turn.io_loop, tick.clone());
            }
        }));
        turn.io_loop.stop();
    });
    took.get()
}

pub(super) fn publish_crowd(times: u32) -> Duration {
    let took = Rc::new(Cell::new(Duration::ZERO));
    let clock = Rc::clone(&took);
    // Both ends of each connection are in this process.
    let limit = raise_descriptor_limit().unwrap_or(1_024);
    let clients = CROWD.min(usize::try_from(limit / 2).unwrap_or(CROWD) - 100);
    let mut crowd = Audience::new(0, targets(clients, 20, 5_000), Vec::new());
    run(symbols(5_000), move |turn| {
        if !crowd.has_joined() {
            return crowd.proceed(turn);
        }
        clock.set(publish_first(times, turn));
        turn.io_loop.stop();
    });
    took.get()
}

/// Publishes ticks of the symbol that is on every list, without a write in between.
fn publish_first(times: u32, turn: &mut Turn<'_>) -> Duration {
    let tick = tick(&name(0));
    time(|| {
        for _ in 0..times {
            turn.server.publish(turn.io_loop, tick.clone());
        }
    })
}

fn name(symbol: u32) -> String {
    format!("sim:S{symbol:04}/USDT")
}

fn symbols(count: u32) -> Vec<String> {
    (0..count).map(name).collect()
}

/// The targets of this many clients: the first symbol and random others, `watched` of `count` in
/// all.
fn targets(clients: usize, watched: usize, count: u32) -> Vec<String> {
    let mut rng = Rng::with_seed(1);
    let mut target = || {
        let others = rng.choose_multiple(1..count, watched - 1);
        let names: Vec<_> = std::iter::once(0).chain(others).map(name).collect();
        format!("/?symbols={}", names.join(","))
    };
    (0..clients).map(|_| target()).collect()
}

const CROWD: usize = 9_000;
