//! The rooms of the server import in one direction: a room imports only rooms before it in the
//! list.

use crate::imports;

/// From the bottom up, in the order of the table in the server's `mod.rs`.
const BELOW_THE_SERVER: [&str; 25] = [
    "scaled",
    "rejection",
    "close",
    "admission",
    "config",
    "counters",
    "hub",
    "event_stream",
    "packing",
    "context",
    "socket",
    "outbox",
    "relay",
    "protocol",
    "http",
    "turns",
    "tls",
    "peer",
    "subscriber",
    "connection",
    "connections",
    "closing",
    "metrics",
    "symbol_file",
    "cli",
];

/// These drive the server. Besides `mod.rs`, only they know the loop, and they do not know each
/// other.
const ABOVE_THE_SERVER: [&str; 5] = ["listener", "broadcast", "liveness", "shutdown", "following"];

#[test]
fn rooms_import_only_rooms_below() {
    let place = |room: &str| BELOW_THE_SERVER.iter().position(|name| *name == room);
    imports::check(SERVER, |room, imported| {
        match (place(room), place(imported)) {
            (Some(room), Some(imported)) => imported < room,
            // A name of `mod.rs` itself.
            (Some(_), None) => false,
            (None, _) => !ABOVE_THE_SERVER.contains(&imported),
        }
    });
}

#[test]
fn few_rooms_know_the_loop() {
    for module in imports::of_this_crate() {
        if module
            .child_of(SERVER)
            .is_some_and(|room| BELOW_THE_SERVER.contains(&room))
        {
            // The whole crate is imported to give it another name, or all of its names.
            let is_loop = |path: &String| path == "ioloop" || path.ends_with("::IoLoop");
            let knows = module.imports.iter().any(is_loop);
            assert!(!knows, "{}", module.file.display());
        }
    }
}

#[test]
fn the_table_in_mod_rs_has_all_rooms_in_their_order() {
    let expected = [&BELOW_THE_SERVER[..], &["server"], &ABOVE_THE_SERVER].concat();
    assert_eq!(imports::table(include_str!("../mod.rs")), expected);
}

#[test]
fn every_room_is_in_the_list() {
    for module in imports::of_this_crate() {
        if let Some(room) = module.child_of(SERVER) {
            let is_known = room == "tests"
                || BELOW_THE_SERVER.contains(&room)
                || ABOVE_THE_SERVER.contains(&room);
            assert!(is_known, "{room} has no place in the lists of {}", file!());
        }
    }
}

const SERVER: &str = "crate::server";
