//! The newest tick for who joins, and the channel to who has joined.

use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{Receiver, Sender, channel};

/// Where ticks are published, encoded as `T`.
#[derive(Debug)]
pub struct Board<T> {
    newest: Mutex<T>,
    ticks: Sender<T>,
}

impl<T: Clone + Default> Default for Board<T> {
    fn default() -> Self {
        let (ticks, _) = channel(BEHIND_MAX);
        Self {
            newest: Mutex::default(),
            ticks,
        }
    }
}

impl<T: Clone> Board<T> {
    /// Sends a tick to all who have joined.
    pub fn publish(&self, tick: T) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = tick.clone();
        // It fails while nobody has.
        let _ = self.ticks.send(tick);
    }

    /// The newest tick, and all from there on.
    pub fn join(&self) -> (T, Ticks<T>) {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        (newest.clone(), Ticks(self.ticks.subscribe()))
    }
}

/// The ticks for one client.
#[derive(Debug)]
pub struct Ticks<T>(Receiver<T>);

impl<T: Clone> Ticks<T> {
    /// Waits for the next tick; none when there will be no more.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            match self.0.recv().await {
                Ok(tick) => return Some(tick),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The next tick, if there is one already.
    pub fn waiting(&mut self) -> Option<T> {
        loop {
            match self.0.try_recv() {
                Ok(tick) => return Some(tick),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

/// How many ticks a client may be behind before it loses the oldest.
const BEHIND_MAX: usize = 1024;
