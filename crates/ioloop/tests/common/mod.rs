//! A loop for tests of fibers, with the words that they emit as its state.

use std::time::Duration;

use ioloop::IoLoop;

pub(crate) type Words = Vec<String>;

/// Long enough that only a failure waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A loop that fails the test if it does not end.
pub(crate) fn watched_loop() -> IoLoop<Words> {
    let mut io_loop = IoLoop::new().expect("a poll descriptor");
    io_loop.call_later(Duration::from_secs(5), |_, _| panic!("the loop hangs"));
    io_loop
}
