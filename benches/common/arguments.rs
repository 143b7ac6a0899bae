//! The command line of a bench, and its exit code.

use std::process::ExitCode;

/// The command line of a bench with scenarios.
pub(crate) struct Arguments {
    names: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) json: bool,
}

impl Arguments {
    /// Parses `words`. If they ask for help or are invalid, prints that and returns the exit code.
    /// `command` is how the bench is run.
    pub(crate) fn parse<'a>(
        mut words: Vec<String>,
        scenarios: impl Iterator<Item = &'a str>,
        command: &str,
        help: &str,
    ) -> Result<Self, ExitCode> {
        let mut flag = |name: &str| {
            let before = words.len();
            words.retain(|word| word != name);
            words.len() < before
        };
        flag("--bench");
        if flag("-h") || flag("--help") {
            print!("{help}");
            return Err(ExitCode::SUCCESS);
        }
        let (quick, json) = (flag("--quick"), flag("--json"));
        let known: Vec<_> = scenarios.collect();
        let mut names = Vec::new();
        for word in words {
            let found = selected(&known, &word);
            if found.is_empty() {
                eprintln!("error: unexpected argument '{word}', see {command} -- --help");
                return Err(ExitCode::from(2));
            }
            names.extend(found);
        }
        Ok(Self { names, quick, json })
    }

    /// Whether to measure the scenario `name`: all are measured unless some are named.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|selected| selected == name)
    }
}

/// The scenario named `word`, or all of that group: `lists` selects `lists-500` and its siblings.
fn selected(known: &[&str], word: &str) -> Vec<String> {
    let is_meant = |name: &str| {
        if known.contains(&word) {
            name == word
        } else {
            name.strip_prefix(word)
                .is_some_and(|rest| rest.starts_with('-'))
        }
    };
    let meant = known.iter().filter(|name| is_meant(name));
    meant.map(ToString::to_string).collect()
}

/// The exit code of a process that this one has started.
pub(crate) fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
