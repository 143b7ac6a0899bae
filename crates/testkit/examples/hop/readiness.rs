//! Watches when edges say that they are not ready.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::http;

/// A time during which an edge was not ready; it may not have ended yet. An edge that does not
/// answer is not counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unready {
    pub(crate) edge: usize,
    pub(crate) from: Instant,
    pub(crate) to: Option<Instant>,
}

/// Asks all edges again and again, until the sender of `stop` is gone.
pub(crate) fn watch(edges: &[SocketAddr], stop: &Receiver<()>) -> Vec<Unready> {
    let mut times: Vec<Unready> = Vec::new();
    while stop.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        for (edge, &address) in edges.iter().enumerate() {
            let is_ready = http::is_ready(address);
            let now = Instant::now();
            let open = times
                .iter_mut()
                .rfind(|time| time.edge == edge && time.to.is_none());
            match (is_ready, open) {
                (Ok(true), Some(time)) => time.to = Some(now),
                (Ok(false), None) => times.push(Unready {
                    edge,
                    from: now,
                    to: None,
                }),
                _ => {}
            }
        }
    }
    times
}

/// How exactly times are known.
const PERIOD: Duration = Duration::from_millis(25);
