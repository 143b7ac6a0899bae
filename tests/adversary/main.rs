//! The promise that nothing that anyone does can hurt anyone else: raw sockets that do what hostile
//! and broken peers do, against a server process, with a bystander connected throughout.
//!
//! Every case asserts what the contract answers, the end of the connection included; the bystander
//! must miss no tick and wait for none longer than the interval and 50 ms; afterwards the server
//! has the memory, the descriptors and the clients that it had before.
//!
//! ```text
//! ADVERSARY=full cargo test --release --test adversary -- --nocapture
//! ```
//!
//! runs all of it with the default limits, which takes a minute; otherwise they are small. With
//! `ADVERSARY=figures` (and the test's name `figures`) it prints what good clients notice of others.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod bystander;
mod cases;
mod consumers;
mod figures;
mod frames;
mod handshake;
mod json;
mod lists;
mod process;
mod stage;

use std::thread;

use stage::{Limits, Stage};
use testkit::ServerProcess;

#[test]
fn whatever_clients_do_gets_its_answer_and_hurts_nobody_else() {
    tickertape::process::raise_descriptor_limit().unwrap();
    let stage = Stage::set(limits());
    let before = stage.warm_up();
    let families = [
        handshake::run,
        frames::run,
        json::run,
        lists::run,
        consumers::run,
    ];
    let mut wrongs: Vec<_> = thread::scope(|scope| {
        let stage = &stage;
        let families = families.map(|run| scope.spawn(move || run(stage)));
        families
            .into_iter()
            .flat_map(|family| family.join().unwrap())
            .collect()
    });
    wrongs.extend(stage.settle(before));
    wrongs.extend(stage.strike());
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}

#[test]
fn whatever_happens_to_the_process_hurts_nobody_either() {
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
fn others_do_not_show_in_the_figures_of_good_clients() {
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

/// Small ones for every day, the server's own when all is asked for.
fn limits() -> Limits {
    match is_full() {
        true => Limits::DEFAULT,
        false => Limits::SMALL,
    }
}

fn is_full() -> bool {
    asked().as_deref() == Some("full")
}

/// What the environment asks for.
fn asked() -> Option<String> {
    let asked = std::env::var("ADVERSARY").ok();
    let is_known = asked
        .as_deref()
        .is_none_or(|asked| ["full", "figures"].contains(&asked));
    assert!(is_known, "ADVERSARY is full or figures, or not set");
    asked
}
