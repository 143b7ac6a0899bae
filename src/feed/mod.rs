//! Where prices come from. A feed runs on the loop and hands each price to whoever publishes it;
//! it knows nothing of tapes or clients, and those know nothing of it.

use crate::io_loop::IoLoop;
use crate::tick::Tick;

pub use record::Recorder;
pub use sim::Sim;

mod record;
mod sim;

/// The state of a loop that prices can be handed to.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// The symbols that it will ever publish, as they read on the wire. Known before it starts, so
    /// that a client's request for any other can be refused.
    fn symbols(&self) -> Vec<String>;

    /// One line for the log at start-up: what it is and what its user should know.
    fn describe(&self) -> String;

    /// Begins to publish, from the first turn of the loop on.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}

#[cfg(test)]
mod testing {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    /// Keeps what a feed publishes and stops the loop once there is enough of it.
    pub(super) struct Audience {
        pub(super) ticks: Vec<Tick>,
        enough: usize,
    }

    impl Publish for Audience {
        fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
            self.ticks.push(tick);
            if self.ticks.len() == self.enough {
                io_loop.stop();
            }
        }
    }

    /// The ticks of a feed, up to the end of the turn that brought `enough` of them.
    pub(super) fn listen(feed: impl Feed<Audience> + 'static, enough: usize) -> Vec<Tick> {
        let mut io_loop = IoLoop::new().expect("a poll descriptor");
        io_loop.call_later(Duration::from_secs(5), |_, _| panic!("the feed is silent"));
        let mut audience = Audience {
            ticks: Vec::new(),
            enough,
        };
        Box::new(feed).start(&mut io_loop);
        io_loop.start(&mut audience).expect("polling works");
        audience.ticks
    }

    /// A file of its own for a test, gone with it.
    pub(super) struct TempFile(PathBuf);

    impl TempFile {
        pub(super) fn new(text: &str) -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let name = format!("tickertape-test-{process}-{count}");
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).expect("the temporary directory takes files");
            Self(path)
        }

        pub(super) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
