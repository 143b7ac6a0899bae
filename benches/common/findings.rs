//! Remarks on the numbers: doubts and failures.

use serde_json::Value;

/// Doubts and failures so far.
#[derive(Default)]
pub(crate) struct Findings {
    /// Reasons to doubt the numbers, and in how many runs each occurred.
    notes: Vec<(String, u32)>,
    /// Failures.
    problems: Vec<String>,
}

impl Findings {
    /// Notes a reason for doubt. If it differs from an earlier one only in a number, it is counted
    /// with it.
    pub(crate) fn note(&mut self, note: String) {
        let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        let known = self
            .notes
            .iter_mut()
            .find(|(known, _)| words(known) == words(&note));
        match known {
            Some((_, runs)) => *runs += 1,
            None => self.notes.push((note, 1)),
        }
    }

    /// Reports a failure, at once and beside the table.
    pub(crate) fn problem(&mut self, problem: String) {
        eprintln!("error: {problem}");
        self.problems.push(problem);
    }

    /// Whether there was no failure.
    pub(crate) fn is_good(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn print(&self) {
        if !self.notes.is_empty() || !self.problems.is_empty() {
            println!();
        }
        for note in self.notes() {
            print_wrapped(&format!("note: {note}"));
        }
        for problem in &self.problems {
            print_wrapped(&format!("FAILED: {problem}"));
        }
    }

    /// Adds them to a report.
    pub(crate) fn add_to(&self, report: &mut Value) {
        report["notes"] = self.notes().collect();
        report["problems"] = self.problems.clone().into();
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        self.notes.iter().map(|(note, runs)| match runs {
            1 => note.clone(),
            runs => format!("{note} (and so in {} other runs)", runs - 1),
        })
    }
}

/// Prints text in lines that fit a terminal.
fn print_wrapped(text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 80 {
            println!("{line}");
            line = " ".to_owned();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    println!("{line}");
}

/// The class of this machine.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |name| std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
    let system = match (read("ostype"), read("osrelease")) {
        (Ok(name), Ok(release)) => format!("{} {}", name.trim(), release.trim()),
        _ => std::env::consts::OS.to_owned(),
    };
    let plural = if cores == 1 { "" } else { "s" };
    format!("{cores} core{plural}, {system}")
}
