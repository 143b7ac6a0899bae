//! The fiber between a node and its broker: it keeps one connection, at one server after the other.
//! What it does there is a [`Session`]'s business. It decides nothing about the log.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use fastrand::Rng;
use ioloop::fiber::{self, Emitter};

use super::link::{DownReason, End, Link, LinkEvent};
use super::node::Input;
use super::session::Session;
use crate::nats::{Connection, ServerAddress, Servers};

/// What the fiber remembers of its connections.
struct History {
    servers: Servers,
    /// Since when there is no connection.
    lost: Instant,
    /// Some server has had a log that we could use.
    has_worked: bool,
    /// Until then: the servers that will not do, and why.
    refusals: BTreeMap<String, String>,
}

impl Link {
    /// Keeps a connection until it is cancelled.
    pub(crate) fn run(&self, emitter: &Emitter<LinkEvent>) -> io::Result<()> {
        let mut history = History {
            servers: Servers::new(&self.settings.url, Rng::new()),
            lost: fiber::time(),
            has_worked: false,
            refusals: BTreeMap::new(),
        };
        loop {
            let (server, pause) = history.servers.next(fiber::time());
            fiber::sleep(pause)?;
            let end = self.connect(&server, &mut history, emitter);
            if fiber::is_cancelled() {
                return Ok(());
            }
            let hopeless = self.note_refusal(&server, &end, &mut history);
            emitter.emit(match hopeless {
                Some(why) => LinkEvent::Hopeless(why),
                None => LinkEvent::Down {
                    server: server.to_string(),
                    why: end.why,
                    reason: end.reason,
                },
            })?;
        }
    }

    /// Makes a connection and uses it to its end.
    fn connect(
        &self,
        server: &ServerAddress,
        history: &mut History,
        emitter: &Emitter<LinkEvent>,
    ) -> End {
        let deadline = fiber::time() + self.settings.connect_timeout;
        let opened = Connection::open(&self.http_client, &self.settings, server, deadline);
        let connection = match opened {
            Ok(connection) => connection,
            Err(failure) => return End::of(&failure, DownReason::Connect),
        };
        let now = fiber::time();
        history.servers.connected(now);
        history.refusals.remove(&server.to_string());
        // What was asked for without a connection is out of date.
        self.outbox.take();
        let after = now.saturating_duration_since(history.lost);
        let mut session = Session::new(self, connection, server, history.has_worked);
        let begun = session.begin(after, emitter);
        let ended = begun.and_then(|()| session.serve(&mut history.servers, emitter));
        history.has_worked = session.has_worked();
        if session.is_up() && !fiber::is_cancelled() {
            history.lost = fiber::time();
            // Whoever was cancelled meanwhile looks at that first.
            let _ = emitter.emit(LinkEvent::Input(Input::Disconnected));
        }
        match ended {
            Ok(()) => End::new(DownReason::Leaving, "it is about to shut down"),
            Err(end) => end,
        }
    }

    /// Notes whether a server will not do. Returns why there is no hope, if that is so of all servers
    /// of the URL and none has ever worked.
    fn note_refusal(
        &self,
        server: &ServerAddress,
        end: &End,
        history: &mut History,
    ) -> Option<String> {
        if history.has_worked || !end.is_lasting {
            return None;
        }
        let refusals = &mut history.refusals;
        refusals.insert(server.to_string(), end.why.clone());
        let mut servers = self.settings.url.servers.iter();
        if !servers.all(|server| refusals.contains_key(&server.to_string())) {
            return None;
        }
        let all = refusals
            .iter()
            .map(|(server, why)| format!("{server} {why}"));
        Some(all.collect::<Vec<_>>().join("; "))
    }
}
