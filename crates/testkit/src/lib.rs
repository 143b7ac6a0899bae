//! Code shared by tickertape's tests. It knows the product only from outside: programs are started
//! by path, and used through their public interfaces.
//!
//! [`ServerProcess`] is a server under test, [`Browser`](browser::Browser) looks at its page, and
//! [`Peer`] is a raw socket that behaves like broken and hostile peers;
//! [`FakeExchange`](fake_exchange::FakeExchange) and [`NameServer`] stand in for the services that a
//! server depends on, with all their possible faults; [`NatsServer`]
//! runs a real one. [`imports`] reads sources.
#![allow(
    clippy::unwrap_used,
    reason = "a failed assumption in a test should say so with a panic"
)]

mod authority;
pub mod browser;
pub mod fake_exchange;
pub mod frames;
pub mod http;
pub mod imports;
pub mod metrics;
mod name_server;
mod nats_server;
mod peer;
mod process_log;
mod server_process;
pub mod tcp;

use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

pub use authority::{Authority, Validity};
pub use name_server::{Asked, NameFault, NameServer};
pub use nats_server::{NatsCluster, NatsServer};
pub use peer::{End, Peer, Received};
pub use server_process::{Footprint, ServerProcess};
pub use tempfile::{NamedTempFile, TempDir};

/// No wait takes this long, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a process to end; `None` if it has not ended within `limit`.
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

/// Whether every tool that a test wants has to be here: where `CI` is set, and not empty, as
/// `.ci/run` reads it too.
pub fn needs_all_tools() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// A temporary file with this text, which is deleted when dropped.
pub fn temp_file(text: impl AsRef<[u8]>) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("room for a file");
    file
}
