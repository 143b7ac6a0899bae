//! Where prices come from. A feed runs on the loop and hands each price to whoever publishes it;
//! it knows nothing of tapes or clients, and those know nothing of it.

use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;

use crate::io_loop::IoLoop;
use crate::tick::Tick;

pub use pace::Speed;
pub use record::Recorder;
pub use replay::{Replay, ReplayError};
pub use sim::Sim;

mod pace;
mod record;
mod recording;
mod replay;
mod sim;

/// The most symbols that a feed may have: a snapshot of them all must fit what one client may have
/// unsent.
pub const SYMBOLS_MAX: usize = 256;

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

/// Which feed is asked for, as the command line spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `sim`: prices made up.
    Sim,
    /// `replay:FILE`: prices recorded before.
    Replay(PathBuf),
}

/// What feeds are opened with. Each takes from it what concerns it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The symbols to simulate; a recording brings its own.
    pub symbols: Vec<String>,
    /// The time between two simulated prices of a symbol.
    pub interval: Duration,
    /// Makes a simulation repeatable.
    pub seed: Option<u64>,
    /// How fast a recording is replayed.
    pub speed: Speed,
}

impl Source {
    /// Reads `sim` or `replay:FILE`.
    ///
    /// # Errors
    /// A sentence that lists what there is.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("sim", "") => Ok(Self::Sim),
            ("replay", "") => Err("a file is missing, try replay:ticks.ndjson".to_owned()),
            ("replay", path) => Ok(Self::Replay(path.into())),
            _ => Err(format!(
                "'{text}' is no source of prices, there are: sim, replay:FILE"
            )),
        }
    }

    /// Makes the feed. May block, so it comes before the loop starts.
    ///
    /// # Errors
    /// When a recording cannot be replayed.
    pub fn open<S: Publish>(self, settings: &Settings) -> Result<Box<dyn Feed<S>>, ReplayError> {
        Ok(match self {
            Self::Sim => {
                let rng = settings.seed.map_or_else(Rng::new, Rng::with_seed);
                Box::new(Sim::new(&settings.symbols, settings.interval, rng))
            }
            Self::Replay(path) => Box::new(Replay::open(&path, settings.speed)?),
        })
    }
}

#[cfg(test)]
mod testing {
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_name_and_for_a_replay_its_file() {
        assert_eq!(Source::parse("sim"), Ok(Source::Sim));
        assert_eq!(
            Source::parse("replay:a:b.ndjson"),
            Ok(Source::Replay("a:b.ndjson".into()))
        );
    }

    #[test]
    fn an_unknown_source_is_answered_with_those_there_are() {
        for text in ["", "simm", "sim:x", "binnance"] {
            let error = Source::parse(text).unwrap_err();
            assert!(error.ends_with("there are: sim, replay:FILE"), "{error}");
        }
        for text in ["replay", "replay:"] {
            assert_eq!(
                Source::parse(text).unwrap_err(),
                "a file is missing, try replay:ticks.ndjson"
            );
        }
    }

    #[test]
    fn a_source_opens_the_feed_that_it_names() {
        let settings = Settings {
            symbols: vec!["BTC/USDT".to_owned()],
            interval: Duration::from_millis(1),
            seed: Some(1),
            speed: Speed::Max,
        };
        let sim: Box<dyn Feed<testing::Audience>> = Source::Sim.open(&settings).unwrap();
        assert_eq!(sim.symbols(), ["sim:BTC/USDT"]);
        let missing = Source::Replay("/no/such/recording".into());
        assert!(missing.open::<testing::Audience>(&settings).is_err());
    }
}
