//! The feed of a server that follows a log: it has no prices of its own.

use ioloop::IoLoop;

use super::publish::{Feed, Publish};
use crate::nats::NatsUrl;

/// Stands for the log that other servers write.
#[derive(Debug)]
pub(super) struct Followed(pub(super) NatsUrl);

impl<S: Publish> Feed<S> for Followed {
    fn symbols(&self) -> Vec<String> {
        Vec::new()
    }

    fn follows_symbols(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("prices come from the log {}", self.0)
    }

    fn start(self: Box<Self>, _: &mut IoLoop<S>) {}
}
