//! Holds the direction of imports: a room knows only those below it, and no two children of a module
//! import each other in a circle, whatever their files. In some rooms and in the crates no files do,
//! not even a file and its parent; elsewhere a file may name what its parent defines, as the files of
//! the hub do. `server` and `client` have tables of their own for their rooms.

use std::path::Path;

use testkit::imports::{Module, circle, circle_of_children, modules};

/// The rooms in the order of the table in `lib.rs`, each with those that it may import. `fuzzing` is
/// for tests.
const ROOMS: [(&str, &[&str]); 17] = [
    ("tick", &[]),
    ("frame", &[]),
    ("tape", &[]),
    ("error_text", &[]),
    ("typo", &[]),
    ("backoff", &[]),
    ("token_bucket", &[]),
    ("writable", &[]),
    ("cli", &["error_text", "typo"]),
    ("process", &["tick"]),
    ("log", &["token_bucket", "writable"]),
    ("tls", &["error_text"]),
    ("http_client", &["error_text", "tick", "tls"]),
    ("nats", &["backoff", "error_text", "http_client"]),
    ("cluster", &["http_client", "nats", "tick"]),
    (
        "feed",
        &[
            "backoff",
            "error_text",
            "http_client",
            "nats",
            "tape",
            "tick",
            "token_bucket",
        ],
    ),
    (
        "client",
        &[
            "backoff",
            "cli",
            "error_text",
            "frame",
            "http_client",
            "process",
            "tick",
            "tls",
            "writable",
        ],
    ),
];

/// The crates at the top of that table.
const CRATES: [&str; 2] = ["exchanges", "ioloop"];

/// What the server may not import: all else is below it.
const ABOVE_THE_SERVER: [&str; 1] = ["client"];

/// All modules of this crate.
pub(crate) fn of_this_crate() -> Vec<Module> {
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs"))
}

/// Panics if code below `parent` names a room that its own room may not import.
#[track_caller]
pub(crate) fn check(parent: &str, may_import: impl Fn(&str, &str) -> bool) {
    for module in of_this_crate().iter().filter(|module| !module.is_test) {
        let Some(room) = module.child_of(parent) else {
            continue;
        };
        for (imported, path) in module.imports_from(parent) {
            assert!(
                imported == room || may_import(room, imported),
                "{} names {path}: {room} may not import {imported}",
                module.file.display()
            );
        }
    }
}

/// Whether a table of rooms, each with those that it may import, has `imported` in the row of
/// `room`.
pub(crate) fn allows(rooms: &[(&str, &[&str])], room: &str, imported: &str) -> bool {
    let mut rows = rooms.iter();
    rows.any(|(name, may_import)| *name == room && may_import.contains(&imported))
}

/// The names in the first column of the tables in a module's documentation, in lower case.
pub(crate) fn table(source: &str) -> Vec<String> {
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    let cells = rows.filter_map(|row| row.split('|').next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_lowercase).collect()
}

#[test]
fn the_table_in_lib_rs_has_all_rooms_in_their_order() {
    let (client, below) = ROOMS.split_last().expect("there are rooms");
    let below = below.iter().map(|(room, _)| *room);
    let rooms = below.chain(["server", client.0]);
    let expected: Vec<_> = CRATES.into_iter().chain(rooms).collect();
    assert_eq!(table(include_str!("lib.rs")), expected);
}

#[test]
fn rooms_import_only_what_is_below_them() {
    let mut below = Vec::new();
    for (room, may_import) in ROOMS {
        let is_below = |import: &&str| below.contains(import);
        assert!(may_import.iter().all(is_below), "{room} looks up");
        below.push(room);
    }
    check("crate", |room, imported| match room {
        "server" => !ABOVE_THE_SERVER.contains(&imported),
        _ => allows(&ROOMS, room, imported),
    });
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = of_this_crate();
    for room in ["feed", "http_client", "log", "nats", "tls"] {
        let files = modules
            .iter()
            .filter(|module| module.child_of("crate") == Some(room));
        assert_eq!(circle(files), [""; 0]);
    }
}

#[test]
fn no_files_of_the_crates_import_each_other_in_a_circle() {
    for name in CRATES {
        let root = format!("crates/{name}/src/lib.rs");
        let modules = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        // The root has what the whole crate is about.
        let files = modules.iter().filter(|module| module.path != "crate");
        assert_eq!(circle(files), [""; 0], "{name}");
        for parent in &modules {
            let circle = circle_of_children(&modules, &parent.path);
            assert_eq!(circle, [""; 0], "{name}: {}", parent.path);
        }
    }
}

#[test]
fn no_siblings_import_each_other_in_a_circle() {
    let modules = of_this_crate();
    for parent in &modules {
        assert_eq!(
            circle_of_children(&modules, &parent.path),
            [""; 0],
            "{}",
            parent.path
        );
    }
}
