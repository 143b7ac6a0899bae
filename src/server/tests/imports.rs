//! The rooms of the server import in one direction: a room imports only rooms before it in the
//! list.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up, in the order of the map in the server's `mod.rs`.
const BELOW_THE_SERVER: [&str; 22] = [
    "rejection",
    "close",
    "admission",
    "config",
    "counters",
    "hub",
    "packing",
    "context",
    "socket",
    "outbox",
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
const ABOVE_THE_SERVER: [&str; 4] = ["listener", "broadcast", "liveness", "shutdown"];

/// The source files of a room: one file, or a folder without its tests.
fn sources(room: &Path, found: &mut Vec<PathBuf>) {
    let file = room.with_extension("rs");
    if file.is_file() {
        found.push(file);
    }
    let Ok(entries) = fs::read_dir(room) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The code of a file, without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\n    mod tests {").next().unwrap();
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.to_owned()
}

/// The server's own rooms that a file imports: the names after `crate::server::`.
fn imports(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for path in code.split("crate::server::").skip(1) {
        let (list, is_group) = match path.strip_prefix('{') {
            Some(group) => (group.split('}').next().unwrap(), true),
            None => (path, false),
        };
        for item in list.split(',').take(if is_group { usize::MAX } else { 1 }) {
            let item = item.trim_start();
            let end = item.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.push(&item[..end.unwrap_or(item.len())]);
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn files_of(room: &str) -> Vec<PathBuf> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
    let mut files = Vec::new();
    sources(&server.join(room), &mut files);
    assert!(!files.is_empty(), "{room} is empty");
    files
}

#[test]
fn rooms_import_only_rooms_below() {
    for (index, room) in BELOW_THE_SERVER.iter().enumerate() {
        for file in files_of(room) {
            let code = code(&file);
            for imported in imports(&code) {
                let is_allowed = BELOW_THE_SERVER[..=index].contains(&imported);
                assert!(
                    is_allowed,
                    "{} imports {imported}, which is not before {room} in BELOW_THE_SERVER of {}",
                    file.display(),
                    file!()
                );
            }
            assert!(!code.contains("super::super"), "{}", file.display());
        }
    }
    for room in ABOVE_THE_SERVER {
        for file in files_of(room) {
            for imported in imports(&code(&file)) {
                let is_allowed = imported == room || !ABOVE_THE_SERVER.contains(&imported);
                assert!(
                    is_allowed,
                    "{} imports {imported}: those in ABOVE_THE_SERVER of {} need not know of each other",
                    file.display(),
                    file!()
                );
            }
        }
    }
}

#[test]
fn few_rooms_know_the_loop() {
    for room in BELOW_THE_SERVER {
        for file in files_of(room) {
            assert!(!code(&file).contains("IoLoop"), "{}", file.display());
        }
    }
}

#[test]
fn every_room_is_in_the_list() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
    for entry in fs::read_dir(server).unwrap() {
        let path = entry.unwrap().path();
        let room = path.file_stem().unwrap().to_str().unwrap();
        let is_known = ["mod", "tests"].contains(&room)
            || BELOW_THE_SERVER.contains(&room)
            || ABOVE_THE_SERVER.contains(&room);
        assert!(is_known, "{room} has no place in the lists of {}", file!());
    }
}
