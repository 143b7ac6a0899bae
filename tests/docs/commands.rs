//! Commands that are not played, and what is checked of them all the same: that their programs and
//! targets are there, and know the options.

use std::fs;
use std::process::Command;

use crate::markdown::{blocks_in, documents, root};
use crate::session::steps;

/// Beginnings of commands that sessions leave out, and why.
pub(crate) const NOT_PLAYED: &[(&str, &str)] = &[
    ("cargo test", "this is one of its tests"),
    (".ci/run", "it runs these tests"),
    ("SIMULATION_SEED", "it is this test suite"),
    ("NATS_SERVER=", "it is this test suite"),
    ("SOAK=", "it takes minutes"),
    ("ADVERSARY=", "it takes minutes"),
    (
        "cargo bench",
        "it takes minutes, and the machine for itself",
    ),
    (
        "scripts/compare.sh",
        "it takes minutes, and installs packages",
    ),
    (
        "scripts/cluster.sh",
        "it builds a release, and needs a nats-server",
    ),
    (
        "scripts/fuzz.sh",
        "it takes minutes, and a nightly compiler",
    ),
    (
        "scripts/budget.sh",
        "it builds a release, and is a gate of its own",
    ),
];

/// Why a command is not played, if it is not.
pub(crate) fn reason_not_to_play(command: &str) -> Option<&'static str> {
    let found = NOT_PLAYED
        .iter()
        .find(|(start, _)| command.starts_with(start));
    found.map(|(_, reason)| *reason)
}

/// The words of a program's help.
fn help(program: &str) -> String {
    let output = Command::new(program).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What knows the options of a command: a help, or the text of a script or bench.
fn manual(command: &str) -> Option<String> {
    let read = |path: &str| fs::read_to_string(root().join(path)).ok();
    let script = command.split(' ').find(|word| word.starts_with("scripts/"));
    if let Some(script) = script {
        return Some(read(script).unwrap_or_else(|| panic!("there is no {script}")));
    }
    if command.contains("./server") {
        return Some(help(env!("CARGO_BIN_EXE_server")));
    }
    if command.contains("./client") {
        return Some(help(env!("CARGO_BIN_EXE_client")));
    }
    if command.starts_with("cargo bench") {
        return read("benches/floor/main.rs");
    }
    if command.contains("fake_exchange") {
        return read("crates/testkit/examples/fake_exchange.rs");
    }
    None
}

/// What is wrong with a command, as far as can be said without running it.
fn check(place: &str, command: &str) {
    let (ours, theirs) = command.split_once(" -- ").unwrap_or((command, ""));
    let of_cargo = command.split(' ').any(|word| word == "cargo");
    let words: Vec<_> = if of_cargo { theirs } else { command }
        .split([' ', '='])
        .collect();
    if let Some(manual) = manual(command) {
        for word in words.iter().filter(|word| word.starts_with("--")) {
            let known = manual.split(|c: char| !(c.is_alphanumeric() || "-_".contains(c)));
            assert!(
                known.into_iter().any(|name| name == *word),
                "{place}: {word}"
            );
        }
        let scenarios = command.starts_with("cargo bench -- ");
        for word in words
            .iter()
            .filter(|word| scenarios && !word.starts_with('-'))
        {
            let starts = |line: &str| line.trim_start().starts_with(word);
            assert!(manual.lines().any(starts), "{place}: scenario {word}");
        }
    }
    if of_cargo {
        let words: Vec<_> = ours.split(' ').collect();
        for pair in words.windows(2) {
            let exists = |path: &str| root().join(path).exists();
            let name = pair[1];
            let found = match pair[0] {
                "--test" => ["", "crates/exchanges/", "crates/ioloop/"]
                    .iter()
                    .any(|folder| {
                        exists(&format!("{folder}tests/{name}"))
                            || exists(&format!("{folder}tests/{name}.rs"))
                    }),
                "--bench" => exists(&format!("benches/{name}/main.rs")),
                "-p" | "--package" => exists(&format!("crates/{name}")),
                _ => true,
            };
            assert!(found, "{place}: there is no {name}");
        }
    }
}

/// Whether a span of code is a command.
fn is_command(span: &str) -> bool {
    let starts = [
        "./server ",
        "./client ",
        "cargo ",
        "scripts/",
        "taskset ",
        ".ci/run",
    ];
    // A list of options is not for one program to know.
    starts.iter().any(|start| span.starts_with(start))
}

#[test]
fn every_command_has_its_program_targets_and_options() {
    let mut count = 0;
    for block in blocks_in("console") {
        for step in steps(&block) {
            check(&block.place, &step.command);
            count += 1;
        }
    }
    for document in documents() {
        for (place, span) in document.spans() {
            if is_command(span) {
                check(&place, span);
                count += 1;
            }
        }
    }
    assert!(count > 40, "{count}");
}

#[test]
fn every_reason_not_to_play_a_command_is_needed() {
    let blocks = blocks_in("console");
    let in_blocks = blocks.iter().flat_map(steps).map(|step| step.command);
    let documents = documents();
    let in_spans = documents.iter().flat_map(|document| document.spans());
    let commands: Vec<_> = in_blocks
        .chain(in_spans.map(|(_, span)| span.to_owned()))
        .collect();
    for (start, reason) in NOT_PLAYED {
        let is_needed = commands.iter().any(|command| command.starts_with(start));
        assert!(is_needed, "{start}: {reason}");
    }
}

#[test]
fn the_documents_name_options_that_there_are() {
    let server = help(env!("CARGO_BIN_EXE_server"));
    let client = help(env!("CARGO_BIN_EXE_client"));
    for document in documents() {
        // Options of cargo and of scripts are checked with their commands.
        let manual = match document.name.as_str() {
            "docs/operating.md" | "docs/protocol.md" => server.clone(),
            "docs/measuring.md" => client.clone() + "--sent-unit",
            _ => format!("{server}{client}--quick --all --check --no-deps --help"),
        };
        let known: Vec<_> = words(&manual).collect();
        for (place, span) in document.spans() {
            if is_command(span) {
                continue;
            }
            for option in words(span).filter(|word| word.starts_with("--")) {
                assert!(known.contains(&option), "{place}: {option}");
            }
        }
    }
}

#[test]
fn every_option_is_in_the_document_of_its_program() {
    for (name, program) in [
        ("docs/operating.md", env!("CARGO_BIN_EXE_server")),
        ("docs/measuring.md", env!("CARGO_BIN_EXE_client")),
    ] {
        let document = crate::markdown::document(name);
        let told: Vec<_> = words(&document.text).collect();
        let help = help(program);
        let options = help.lines().filter(|line| line.starts_with("  --"));
        for option in options.filter_map(|line| words(line).find(|word| !word.is_empty())) {
            assert!(told.contains(&option), "{name} does not mention {option}");
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))
}

#[test]
fn the_documents_state_the_defaults_that_help_states() {
    let mut count = 0;
    for (name, program) in [
        ("docs/operating.md", env!("CARGO_BIN_EXE_server")),
        ("docs/measuring.md", env!("CARGO_BIN_EXE_client")),
    ] {
        let help = help(program);
        let document = crate::markdown::document(name);
        for (head, cells) in document.rows() {
            let Some(column) = head.iter().position(|cell| *cell == "default") else {
                continue;
            };
            let option = cells.iter().find_map(|cell| cell.strip_prefix("`--"));
            let Some(option) = option.and_then(|text| text.split(['`', ' ']).next()) else {
                continue;
            };
            let stated = cells[column].replace('`', "");
            let Some(default) = default_of(&help, option) else {
                continue;
            };
            assert!(
                stated.starts_with(&default),
                "{name}: --{option}: {stated}, not {default}"
            );
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

/// The default that a help states for an option, if it is a value and not a description.
fn default_of(help: &str, option: &str) -> Option<String> {
    let (_, entry) = help.split_once(&format!("\n  --{option} "))?;
    let entry = entry.split("\n  -").next()?;
    let (_, default) = entry.split_once("[default: ")?;
    let default = default.split_once(']')?.0;
    (!default.contains(char::is_whitespace)).then(|| default.to_owned())
}
