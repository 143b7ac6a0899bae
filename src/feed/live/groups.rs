//! All live sources as one feed, in groups: the sources of a group stand in for each other, and have
//! their symbols in common.

use ioloop::IoLoop;

use super::{HasSources, LiveGroup};
use crate::feed::publish::{Feed, Watched};
use crate::http_client::HttpClient;

/// A feed of live prices.
pub struct Live(pub(in crate::feed) Vec<LiveGroup>);

impl<S: HasSources> Feed<S> for Live {
    fn symbols(&self) -> Vec<String> {
        let watched = Feed::<S>::watched(self);
        watched.into_iter().map(|watched| watched.symbol).collect()
    }

    fn watched(&self) -> Vec<Watched> {
        self.0.iter().flat_map(LiveGroup::watched).collect()
    }

    fn follows_symbols(&self) -> bool {
        self.0.iter().any(LiveGroup::follows_symbols)
    }

    fn describe(&self) -> String {
        let groups: Vec<_> = self.0.iter().map(LiveGroup::describe).collect();
        groups.join("; ")
    }

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        // All groups are reached in the same way.
        let Some(settings) = self.0.first().map(|group| group.settings.clone()) else {
            return;
        };
        let http_client =
            HttpClient::new(io_loop.registrar(), settings.transport, settings.upstream);
        let http_client = match http_client {
            Ok(http_client) => http_client,
            Err(error) => return log::error!("cannot set up TLS: {error}"),
        };
        // Callbacks run before timeouts, so the state is in place when the first fiber reports.
        io_loop.add_callback(move |state: &mut S, io_loop| {
            for (number, group) in self.0.into_iter().enumerate() {
                state.sources().add(group.initial_state(io_loop.time()));
                group.start(number, &http_client, state, io_loop);
            }
        });
    }
}
