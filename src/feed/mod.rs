//! Where prices come from. A feed runs on the loop and hands each price to whoever publishes it;
//! it knows nothing of tapes or clients, and those know nothing of it.

use std::time::Duration;

use ioloop::IoLoop;
use mio::Token;

use crate::tick::Tick;

pub(crate) use self::backoff::Backoff;
pub use failure::Failure;
pub use live::Live;
pub use pace::Speed;
pub use record::Recorder;
pub use replay::{Replay, ReplayError};
pub use sim::Sim;
pub use source::{Online, OpenError, Settings, Source, Wanted, catalogue};
pub use sources::Sources;
pub use standing::{FetchDurations, Standing};
pub use upstream::Mirror;

mod backoff;
mod chatter;
mod check;
mod failover;
mod failure;
mod health;
mod live;
mod near;
mod pace;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod record;
mod recording;
mod replay;
mod rest;
mod route;
mod sim;
mod socket;
mod source;
mod sources;
mod standing;
mod stream;
mod timeline;
mod upstream;

/// The state of a loop that prices can be handed to.
pub trait Publish: Sized + 'static {
    /// Takes a new price. Called on the loop, so it must not block.
    fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick);

    /// Takes note that the price of `symbol`, as it reads on the wire, has not changed where that
    /// is no tick.
    fn confirm(&mut self, io_loop: &mut IoLoop<Self>, symbol: &str);

    /// Takes symbols that can be asked for from now on, as they read on the wire.
    fn list(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// Takes those of the symbols that must not fall silent from now on.
    fn watch(&mut self, io_loop: &mut IoLoop<Self>, watched: Vec<Watched>);

    /// Takes symbols away that can no longer be asked for.
    fn delist(&mut self, io_loop: &mut IoLoop<Self>, symbols: &[String]);

    /// The symbols that the user wants now, once after that has changed.
    fn take_wanted(&mut self) -> Option<Vec<String>> {
        None
    }

    /// Ends the feed's wait for `token` whenever there is something to take.
    fn wake_for_wanted(&mut self, _token: Token) {}

    /// What the feed knows of its sources. It is kept here, since what runs on the loop shares
    /// nothing but the loop's state.
    fn sources(&mut self) -> &mut Sources;
}

/// A symbol that must not fall silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The symbol as it reads on the wire.
    pub symbol: String,
    /// What it is a price of. One live price of each of these is enough.
    pub market: String,
    /// How long it may be silent.
    pub stale_after: Duration,
}

/// A source of prices.
pub trait Feed<S: Publish> {
    /// The symbols that it will ever publish, as they read on the wire. Known before it starts, so
    /// that a client's request for any other can be refused.
    fn symbols(&self) -> Vec<String>;

    /// Those that must not fall silent. What is made up or replayed may.
    fn watched(&self) -> Vec<Watched> {
        Vec::new()
    }

    /// Whether it goes by what [`Publish::take_wanted`] says while it runs.
    fn follows_symbols(&self) -> bool {
        false
    }

    /// One line for the log at start-up: what it is and what its user should know.
    fn describe(&self) -> String;

    /// Begins to publish, from the first turn of the loop on.
    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>);
}

#[cfg(test)]
mod testing {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Keeps what a feed publishes and stops the loop once there is enough of it.
    pub(super) struct Audience {
        pub(super) ticks: Vec<Tick>,
        enough: usize,
        sources: Sources,
    }

    impl Publish for Audience {
        fn publish(&mut self, io_loop: &mut IoLoop<Self>, tick: Tick) {
            self.ticks.push(tick);
            if self.ticks.len() == self.enough {
                io_loop.stop();
            }
        }

        fn confirm(&mut self, _: &mut IoLoop<Self>, _: &str) {}

        fn list(&mut self, _: &mut IoLoop<Self>, _: &[String]) {}

        fn watch(&mut self, _: &mut IoLoop<Self>, _: Vec<Watched>) {}

        fn delist(&mut self, _: &mut IoLoop<Self>, _: &[String]) {}

        fn sources(&mut self) -> &mut Sources {
            &mut self.sources
        }
    }

    /// The ticks of a feed, up to the end of the turn that brought `enough` of them.
    pub(super) fn listen(feed: impl Feed<Audience> + 'static, enough: usize) -> Vec<Tick> {
        let mut io_loop = IoLoop::new().expect("a poll descriptor");
        io_loop.call_later(Duration::from_secs(5), |_, _| panic!("the feed is silent"));
        let mut audience = Audience {
            ticks: Vec::new(),
            enough,
            sources: Sources::default(),
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
