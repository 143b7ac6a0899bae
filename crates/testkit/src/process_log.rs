//! The log of a process: a thread reads it, and a test waits for its lines.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::PATIENCE;

/// The log of a process so far.
#[derive(Default)]
pub(crate) struct ProcessLog {
    text: Mutex<LogText>,
    grew: Condvar,
}

#[derive(Default)]
struct LogText {
    lines: Vec<String>,
    /// Whether no more lines will come.
    is_over: bool,
}

impl ProcessLog {
    /// Waits for a line that contains `words`, from the line with the number `next` on, which it
    /// moves behind that line.
    pub(crate) fn wait_for(&self, words: &str, next: &mut usize) -> String {
        let until = Instant::now() + PATIENCE;
        let mut text = self.text();
        loop {
            while let Some(line) = text.lines.get(*next) {
                *next += 1;
                if line.contains(words) {
                    return line.clone();
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(
                !text.is_over && !left.is_zero(),
                "'{words}' never appeared in the log: {}",
                text.lines.join("\n")
            );
            let waited = self.grew.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All of it.
    pub(crate) fn whole(&self) -> String {
        self.text().lines.join("\n")
    }

    /// How many lines it has.
    pub(crate) fn length(&self) -> usize {
        self.text().lines.len()
    }

    /// How many of its lines contain `words`.
    pub(crate) fn count(&self, words: &str) -> u64 {
        let text = self.text();
        let lines = text.lines.iter().filter(|line| line.contains(words));
        lines.count() as u64
    }

    pub(crate) fn push(&self, line: String) {
        let mut text = self.text();
        if text.lines.len() < LINES_MAX {
            text.lines.push(line);
        }
        self.grew.notify_all();
    }

    /// Reads the log to its end.
    pub(crate) fn keep(&self, stderr: BufReader<ChildStderr>) {
        for line in stderr.lines().map_while(Result::ok) {
            self.push(line);
        }
        self.text().is_over = true;
        self.grew.notify_all();
    }

    fn text(&self) -> MutexGuard<'_, LogText> {
        // A failed assertion in one test must not cost another test its log.
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ten minutes with ten changes a second.
const LINES_MAX: usize = 6_000;
