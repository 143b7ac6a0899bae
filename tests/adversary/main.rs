//! The promise that no client can hurt another: raw sockets do what hostile and broken peers do to a
//! server process, while a control client listens to it.
//!
//! Each case asserts the answer that the contract gives, and how the connection ends. The control
//! client must miss no tick, and wait for none longer than the interval and 50 ms. Afterwards the
//! server has the memory, the descriptors and the clients that it had before.
//!
//! ```text
//! ADVERSARY=full cargo test --release --test adversary -- --nocapture
//! ```
//!
//! runs all of it with the server's default limits, which takes a minute; otherwise the limits are
//! small. With `ADVERSARY=figures` (and the test's name `figures`) it prints what good clients notice
//! of others.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod cases;
mod consumers;
mod control_client;
mod figures;
mod fixture;
mod frames;
mod handshake;
mod json;
mod lists;
mod process;

use std::thread;

use fixture::{Fixture, Limits};
use testkit::ServerProcess;

#[test]
fn hostile_clients_get_their_answers_and_hurt_nobody_else() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let fixture = Fixture::start(limits());
    let before = fixture.warm_up();
    let families = [
        handshake::run,
        frames::run,
        json::run,
        lists::run,
        consumers::run,
    ];
    let mut wrongs: Vec<_> = thread::scope(|scope| {
        let fixture = &fixture;
        let families = families.map(|run| scope.spawn(move || run(fixture)));
        families
            .into_iter()
            .flat_map(|family| family.join().unwrap())
            .collect()
    });
    wrongs.extend(fixture.settle(before));
    wrongs.extend(fixture.finish());
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn trouble_with_the_process_costs_no_client_a_tick() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let wrongs = process::run();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn the_heaviest_requests_of_a_large_market_keep_nobody_waiting() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let size = match asked().as_deref() {
        Some(_) => lists::floods::Size::WHOLE,
        None => lists::floods::Size::SMALL,
    };
    let wrongs = lists::floods::run(size);
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn a_client_that_changes_its_list_misses_no_tick_of_what_it_keeps() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let size = match asked().as_deref() {
        Some("figures") => lists::changes::Size::WHOLE,
        _ => lists::changes::Size::SMALL,
    };
    if let Err(wrong) = lists::changes::run(size) {
        panic!("{wrong}");
    }
}

#[test]
fn good_clients_measure_the_same_beside_bad_ones() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let size = match asked().as_deref() {
        Some("figures") => figures::Size::WHOLE,
        _ => figures::Size::SMALL,
    };
    let wrongs: Vec<_> = [figures::never_readers(size), figures::storm(size)]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

/// A server to do it to.
fn server(arguments: &[&str]) -> ServerProcess {
    ServerProcess::start(env!("CARGO_BIN_EXE_server"), arguments)
}

/// Small limits for everyday runs, the server's defaults for a full run.
fn limits() -> Limits {
    if is_full() {
        Limits::DEFAULT
    } else {
        Limits::SMALL
    }
}

fn is_full() -> bool {
    asked().as_deref() == Some("full")
}

/// Which run the environment asks for.
fn asked() -> Option<String> {
    let asked = std::env::var("ADVERSARY").ok();
    let is_known = asked
        .as_deref()
        .is_none_or(|asked| ["full", "figures"].contains(&asked));
    assert!(is_known, "ADVERSARY is full or figures, or not set");
    asked
}
