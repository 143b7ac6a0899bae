//! What a bench is asked for, and how it ends.

use std::process::ExitCode;

/// The command line of a bench that has scenarios.
pub(crate) struct Asked {
    names: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) json: bool,
}

impl Asked {
    /// Reads `words`. Where they ask for help, or for what is none of `scenarios`, that is said,
    /// and the exit code returned. `command` is how the bench is run.
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
        let is_known = |word: &String| known.iter().any(|name| is_asked_for(name, word));
        if let Some(unknown) = words.iter().find(|word| !is_known(word)) {
            eprintln!("error: unexpected argument '{unknown}', see {command} -- --help");
            return Err(ExitCode::from(2));
        }
        Ok(Self {
            names: words,
            quick,
            json,
        })
    }

    /// Whether the scenario `name` is to be measured: all are, unless some are named.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|asked| is_asked_for(name, asked))
    }
}

/// Whether `asked` is the scenario `name`, or its group: `lists` is `lists-500` and all like it.
fn is_asked_for(name: &str, asked: &str) -> bool {
    let rest = name.strip_prefix(asked);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// That of a process that this one has started.
pub(crate) fn exit_code(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
