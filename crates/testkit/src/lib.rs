//! What the tests of tickertape share. It knows the product only from outside: programs are started
//! by their paths, and spoken to as anybody may.
//!
//! [`ServerProcess`] is a server under test, [`Peer`] a raw socket that does to it what broken and
//! hostile peers do; [`FakeExchange`](fake_exchange::FakeExchange) and [`NameServer`] are what a
//! server depends on, with everything that can go wrong there.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod authority;
pub mod fake_exchange;
pub mod frames;
pub mod metrics;
mod name_server;
mod peer;
mod server_process;
pub mod tcp;

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

pub use authority::{Authority, Validity};
pub use name_server::{Asked, NameFault, NameServer};
pub use peer::{End, Heard, Peer};
pub use server_process::{Footprint, ServerProcess};
pub use tempfile::{NamedTempFile, TempDir};

/// Nothing here takes that long, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a process to end; none if it has not within `limit`.
pub fn await_exit(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        if Instant::now() > until {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A file of this text, which goes when it is dropped.
pub fn temp_file(text: impl AsRef<[u8]>) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("room for a file");
    file
}
