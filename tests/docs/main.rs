//! The documents keep their word: README.md, CONTRIBUTING.md and docs/ are read, and what they tell
//! users to type is typed. A new block of code is run without anything to add here.
//!
//! Sessions (`console`) are played in a shell, snippets run in python3 and in a headless Chromium,
//! and what would take too long has a reason in [`commands::NOT_PLAYED`]. Where `CI` is set, a tool
//! that is missing is a failure; elsewhere the test says so and does without.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod commands;
/// The example, which sessions start here: as a program it might have to be built first.
#[path = "../../crates/testkit/examples/fake_exchange.rs"]
#[allow(dead_code, reason = "here it is no program")]
mod fake_exchange;
mod group;
mod markdown;
mod references;
mod session;
mod snippets;
mod web;
mod wire;

use std::process::Command;
use std::time::Duration;

use markdown::blocks_in;
use session::{Session, steps};

/// Nothing here takes that long, on any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether a tool is here. Where `CI` is set it has to be.
fn has(tool: &str, arguments: &[&str]) -> bool {
    let found = Command::new(tool).args(arguments).output();
    let is_here = found.is_ok_and(|output| output.status.success());
    let must = testkit::needs_all_tools();
    assert!(is_here || !must, "{tool} {arguments:?} does not work here");
    if !is_here {
        eprintln!("{tool} {arguments:?} does not work here, so a test is left out");
    }
    is_here
}

#[test]
fn every_session_can_be_typed_as_it_stands() {
    if !has("bash", &["--version"]) || !has("curl", &["--version"]) || !has("python3", &["-V"]) {
        return;
    }
    let blocks = blocks_in("console");
    std::thread::scope(|scope| {
        for block in &blocks {
            scope.spawn(|| play(block));
        }
    });
    assert!(blocks.len() > 5);
}

fn play(block: &markdown::Block) {
    let steps: Vec<_> = steps(block)
        .into_iter()
        .filter(|step| commands::reason_not_to_play(&step.command).is_none())
        .collect();
    let needs_nats = steps.iter().any(|step| session::is_broker(&step.command));
    if needs_nats && !has(&session::nats_server(), &["--version"]) {
        return;
    }
    let first = |is_it: &dyn Fn(&str) -> bool| steps.iter().position(|step| is_it(&step.command));
    let client = first(&|command| command.starts_with("./client"));
    let server = first(&|command| command.contains("./server ") && session::serves(command));
    let mut session = Session::start();
    // Who reads about the client has a server.
    if client.is_some_and(|client| server.is_none_or(|server| server > client)) {
        session.play(&session::Step {
            command: "./server --port 8888".to_owned(),
            shown: Vec::new(),
        });
    }
    for step in &steps {
        session.play(step);
    }
}

#[test]
fn every_block_is_in_a_language_that_is_tested() {
    for document in markdown::documents() {
        for block in document.blocks() {
            // `text` is for what nobody types: diagrams, maps, examples of files and reports.
            let known = ["console", "js", "json", "python", "text"];
            let (place, language) = (&block.place, block.language.as_str());
            assert!(known.contains(&language), "{place}: '{language}'");
        }
    }
}
