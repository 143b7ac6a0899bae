//! Where prices come from. A feed runs on the loop and hands each price to a [`Publish`]er. It does
//! not know the tape or the clients, and they do not know the feed.

pub use self::config::{ExchangeChoice, LiveOptions, OpenError, Settings, Source, catalogue};
pub use self::lines::{Lines, LinesFrom};
pub use self::live::groups::Live;
pub use self::live::{Failure, FetchDurations, HasSources, SourceStatus, Sources};
pub use self::publish::{Feed, Publish, Watched};
pub use self::recorder::Recorder;
pub use self::replay::{Replay, ReplayError, Speed};
pub use self::simulated::Sim;
pub use self::source_header::SourceHeader;
pub(crate) use self::symbol_name::{NAME_LENGTH_MAX, check_market, check_pattern};
pub use self::url_source::{Places, UrlSource, row};
pub use self::wanted::Selection;
pub use crate::nats::NatsUrl;

mod config;
mod followed;
mod lines;
pub(crate) mod live;
mod publish;
mod recorder;
pub(crate) mod replay;
mod simulated;
mod source_header;
mod symbol_name;
#[cfg(test)]
mod testing;
mod url_source;
mod wanted;
