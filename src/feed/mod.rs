//! Where prices come from. A feed runs on the loop and hands each price to a [`Publish`]er. It does
//! not know the tape or the clients, and they do not know the feed.

pub use self::config::{ExchangeChoice, LiveOptions, OpenError, Settings, Source, catalogue};
pub use self::live::{Failure, FetchDurations, HasSources, Live, SourceStatus, Sources};
pub use self::publish::{Feed, Publish, Watched};
pub use self::recorder::Recorder;
pub use self::replay::{Replay, ReplayError, Speed};
pub use self::simulated::Sim;

mod config;
pub(crate) mod live;
mod publish;
mod recorder;
pub(crate) mod replay;
mod simulated;
#[cfg(test)]
mod testing;
