//! Runs a table of cases, some at a time, and keeps what failed.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Whether a case was answered as the contract says; if not, how it was.
pub(crate) type Check = Result<(), String>;

/// Runs `check` on every one of `cases`. Returns a line for each that failed, and prints how many
/// there were.
pub(crate) fn run<C: Sync>(
    family: &str,
    cases: &[C],
    name: impl Fn(&C) -> &str + Sync,
    check: impl Fn(&C) -> Check + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let checked = catch_unwind(AssertUnwindSafe(|| check(case)));
            if let Err(error) = checked.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                failures
                    .lock()
                    .unwrap()
                    .push(format!("{family}, {}: {error}", name(case)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{family}: {} cases, {} failed", cases.len(), failures.len());
    failures
}

/// An error that names both values if they differ.
pub(crate) fn equal<T: Copy + PartialEq + Debug>(what: &str, found: T, expected: T) -> Check {
    must(found == expected, || {
        format!("{what} is {found:?}, not {expected:?}")
    })
}

/// An error in the words of `message` if `holds` is not so.
pub(crate) fn must(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

/// Most of them wait for one limit or another.
const AT_A_TIME: usize = 12;
