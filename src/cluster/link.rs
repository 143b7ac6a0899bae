//! What goes between a server and the fiber that connects it to its broker.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::node::{Command, Input};
use super::obstacle::LogState;
use crate::http_client::HttpClient;
use crate::nats::{Denial, Failure, Settings};

/// How the broker is reached.
pub(crate) struct Link {
    pub(crate) http_client: HttpClient,
    pub(crate) settings: Settings,
    /// Whether this server may write into the log.
    pub(crate) is_origin: bool,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    pub(crate) outbox: Outbox,
}

/// What waits for the fiber. It is nudged when there is something.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Rc<Waiting>);

#[derive(Default)]
struct Waiting {
    commands: Cell<Vec<Command>>,
    wants_state: Cell<bool>,
}

/// What the fiber reports.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Input(Input),
    /// There is a connection to this server, after so long without one.
    Up {
        server: String,
        version: String,
        after: Duration,
    },
    /// The connection to this server is gone, or could not be made; the next one is tried.
    Down {
        server: String,
        why: String,
        reason: DownReason,
    },
    /// No server of the URL will do, and none ever did.
    Hopeless(String),
    /// What the broker says of the log, which was [asked for](Outbox::ask_for_state).
    Log(LogState),
    /// The server refuses what we need a right for, or no longer does.
    Denied(Denial),
    Granted(Denial),
    /// Somebody else has published in place of the log.
    Forged(String),
    /// The broker complains about something else.
    Complaint(String),
}

/// Why a connection ended, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DownReason {
    /// It could not be made.
    Connect,
    /// It broke.
    Lost,
    /// The server asked its clients to go.
    Leaving,
    /// The server fell silent.
    Silent,
    /// The server refuses us.
    Refused,
}

/// Why a connection ended.
pub(super) struct End {
    pub(super) reason: DownReason,
    pub(super) why: String,
    /// Another attempt at this server would end in the same way.
    pub(super) is_lasting: bool,
}

impl DownReason {
    /// Its name in the metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Lost => "lost",
            Self::Leaving => "leaving",
            Self::Silent => "silent",
            Self::Refused => "refused",
        }
    }
}

impl Outbox {
    pub(crate) fn put(&self, commands: Vec<Command>) {
        let mut all = self.0.commands.take();
        all.extend(commands);
        self.0.commands.set(all);
    }

    /// Asks for a [`LinkEvent::Log`].
    pub(crate) fn ask_for_state(&self) {
        self.0.wants_state.set(true);
    }

    pub(super) fn take(&self) -> Vec<Command> {
        self.0.commands.take()
    }

    pub(super) fn take_wants_state(&self) -> bool {
        self.0.wants_state.take()
    }
}

impl End {
    pub(super) fn new(reason: DownReason, why: &str) -> Self {
        Self {
            reason,
            why: why.to_owned(),
            is_lasting: false,
        }
    }

    /// The end of a connection to a server that will not do, whenever it is asked.
    pub(super) fn refused(why: &str) -> Self {
        Self {
            is_lasting: true,
            ..Self::new(DownReason::Refused, why)
        }
    }

    pub(super) fn of(failure: &Failure, reason: DownReason) -> Self {
        let why = failure.to_string();
        match failure {
            Failure::Refused(_) => Self::refused(&why),
            Failure::TurnedAway(_) => Self::new(DownReason::Refused, &why),
            Failure::Transport(_) | Failure::Protocol(_) => Self::new(reason, &why),
        }
    }

    pub(super) fn lost(failure: &Failure) -> Self {
        Self::of(failure, DownReason::Lost)
    }
}
