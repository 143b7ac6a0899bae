//! The newest ticks, for joining clients, and the channels to clients: one shared by all that watch
//! everything, and one for each client with a list, fed by every symbol on it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc};

/// Publishes ticks, encoded as `T`.
#[derive(Debug)]
pub struct Hub<T> {
    symbols: Mutex<Vec<Symbol<T>>>,
    ticks: broadcast::Sender<T>,
}

#[derive(Debug)]
struct Symbol<T> {
    newest: T,
    watchers: Vec<mpsc::Sender<T>>,
}

impl<T: Clone + Default> Hub<T> {
    /// A hub for this many symbols.
    pub fn new(symbols: usize) -> Self {
        let (ticks, _) = broadcast::channel(BEHIND_MAX);
        let symbol = || Symbol {
            newest: T::default(),
            watchers: Vec::new(),
        };
        Self {
            symbols: Mutex::new((0..symbols).map(|_| symbol()).collect()),
            ticks,
        }
    }
}

impl<T: Clone> Hub<T> {
    /// Sends a tick to all clients that watch its symbol.
    pub fn publish(&self, symbol: usize, tick: T) {
        let mut symbols = self.lock();
        let symbol = &mut symbols[symbol];
        symbol.newest = tick.clone();
        // A client that is too far behind loses the tick; one that has left is removed.
        symbol.watchers.retain(|watcher| {
            !matches!(watcher.try_send(tick.clone()), Err(TrySendError::Closed(_)))
        });
        // It fails while no client watches everything.
        let _ = self.ticks.send(tick);
    }

    /// The newest ticks of the symbols on `list`, or of all without one, and the ticks that follow.
    pub fn join(&self, list: Option<&[usize]>) -> (Vec<T>, Ticks<T>) {
        let mut symbols = self.lock();
        let Some(list) = list else {
            let newest = symbols.iter().map(|symbol| symbol.newest.clone());
            return (newest.collect(), Ticks::All(self.ticks.subscribe()));
        };
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        let mut newest = Vec::new();
        for &symbol in list {
            if let Some(symbol) = symbols.get_mut(symbol) {
                newest.push(symbol.newest.clone());
                symbol.watchers.push(sender.clone());
            }
        }
        (newest, Ticks::Listed(receiver))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Symbol<T>>> {
        self.symbols.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ticks for one client.
#[derive(Debug)]
pub enum Ticks<T> {
    /// Of all symbols.
    All(broadcast::Receiver<T>),
    /// Of the symbols on its list.
    Listed(mpsc::Receiver<T>),
}

impl<T: Clone> Ticks<T> {
    /// Waits for the next tick; `None` when no more will come.
    pub async fn next(&mut self) -> Option<T> {
        match self {
            Self::All(receiver) => loop {
                match receiver.recv().await {
                    Ok(tick) => return Some(tick),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            },
            Self::Listed(receiver) => receiver.recv().await,
        }
    }

    /// The next tick, if it has already arrived.
    pub fn waiting(&mut self) -> Option<T> {
        match self {
            Self::All(receiver) => loop {
                match receiver.try_recv() {
                    Ok(tick) => return Some(tick),
                    Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
                }
            },
            Self::Listed(receiver) => receiver.try_recv().ok(),
        }
    }
}

/// How many ticks a client may be behind before it loses some.
const BEHIND_MAX: usize = 1024;
