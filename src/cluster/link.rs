//! The fiber between a node and its broker: it keeps one connection, sends what the node asks for
//! and passes on what comes. It decides nothing about the log.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ioloop::fiber::{self, Emitter};

use super::node::{Command, Input, Request, Subject};
use crate::backoff::Backoff;
use crate::http_client::HttpClient;
use crate::nats::{
    Api, Connection, CreateAnswer, Failure, GetAnswer, Message, Received, ServerAddress, Servers,
    Settings, StoreAnswer,
};

/// How the broker is reached.
pub(crate) struct Link {
    pub(crate) http_client: HttpClient,
    pub(crate) settings: Settings,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// Whether the log may be made here.
    pub(crate) is_origin: bool,
    pub(crate) outbox: Outbox,
}

/// The commands that wait for the fiber. It is nudged when there are some.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Rc<Cell<Vec<Command>>>);

/// What the fiber reports.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    Input(Input),
    /// There is a connection to this server, after so long without one.
    Up { server: String, after: Duration },
    /// The connection to this server is gone, or could not be made; the next attempt follows after
    /// the pause.
    Down {
        server: String,
        why: String,
        reason: DownReason,
        pause: Duration,
    },
    /// The broker will not do what it has to, for a reason that does not pass by itself.
    Refused(String),
    /// The broker complains.
    Complaint(String),
    /// The log has these settings, which differ from ours, but will do.
    OtherSettings(String),
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

/// A connection with the requests that wait for answers.
struct Session<'a> {
    link: &'a Link,
    connection: Connection,
    api: Api,
    /// The beginning of the subjects for answers.
    inbox: String,
    /// The requests, by the number in their subjects, with the time until when to wait.
    waiting: BTreeMap<u64, (Request, Instant)>,
    requests: u64,
    /// When something last came.
    heard: Instant,
    has_pinged: bool,
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
        let mut all = self.0.take();
        all.extend(commands);
        self.0.set(all);
    }

    fn take(&self) -> Vec<Command> {
        self.0.take()
    }
}

impl Link {
    /// Keeps a connection until it is cancelled.
    pub(crate) fn run(&self, emitter: &Emitter<LinkEvent>) -> io::Result<()> {
        let mut servers = Servers::new(&self.settings.url, Rng::new());
        let mut backoff = Backoff::new(Rng::new());
        let mut lost = fiber::time();
        loop {
            let server = servers.next();
            let end = self.connect(&server, lost, &mut servers, emitter);
            if fiber::is_cancelled() {
                return Ok(());
            }
            let (reason, why, was_connected) = match end {
                Err(End::NotConnected(failure)) => {
                    let reason = match &failure {
                        Failure::Refused(_) => DownReason::Refused,
                        _ => DownReason::Connect,
                    };
                    (reason, failure.to_string(), false)
                }
                Err(End::Lost(failure)) => (DownReason::Lost, failure.to_string(), true),
                Err(End::Silent) => (DownReason::Silent, "it is silent".to_owned(), true),
                Ok(()) => (DownReason::Leaving, "it is leaving".to_owned(), true),
            };
            if was_connected {
                lost = fiber::time();
                backoff.succeeded();
                emitter.emit(LinkEvent::Input(Input::Disconnected))?;
            }
            let pause = if was_connected {
                // The next server is tried at once.
                Duration::ZERO
            } else {
                backoff.failed(PAUSE_MIN, PAUSE_MAX)
            };
            let server = server.to_string();
            emitter.emit(if reason == DownReason::Refused {
                LinkEvent::Refused(why)
            } else {
                LinkEvent::Down {
                    server,
                    why,
                    reason,
                    pause,
                }
            })?;
            fiber::sleep(pause)?;
        }
    }

    /// Makes a connection and uses it to its end.
    fn connect(
        &self,
        server: &ServerAddress,
        lost: Instant,
        servers: &mut Servers,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        let deadline = fiber::time() + self.settings.connect_timeout;
        let opened = Connection::open(&self.http_client, &self.settings, server, deadline);
        let connection = opened.map_err(End::NotConnected)?;
        let now = fiber::time();
        let mut session = Session {
            link: self,
            connection,
            api: Api::new(&self.settings.url),
            inbox: format!("_INBOX.{:016x}", Rng::new().u64(..)),
            waiting: BTreeMap::new(),
            requests: 0,
            heard: now,
            has_pinged: false,
        };
        session.subscribe()?;
        // Commands of the time without a connection are out of date.
        self.outbox.take();
        let after = now.saturating_duration_since(lost);
        let server = session.connection.server_name().to_owned();
        tell(emitter, LinkEvent::Up { server, after })?;
        tell(emitter, LinkEvent::Input(Input::Connected))?;
        session.serve(servers, emitter)
    }
}

/// Why a connection ended before its server asked for it.
enum End {
    NotConnected(Failure),
    Lost(Failure),
    Silent,
}

impl Session<'_> {
    fn subscribe(&mut self) -> Result<(), End> {
        let name = &self.link.settings.url.name;
        self.connection.subscribe(&format!("{name}.live.>"), LIVE);
        let inbox = format!("{}.*", self.inbox);
        self.connection.subscribe(&inbox, INBOX);
        self.flush()
    }

    /// Sends and receives until the server leaves.
    fn serve(
        &mut self,
        servers: &mut Servers,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        loop {
            for command in self.link.outbox.take() {
                self.send(command);
            }
            self.flush()?;
            let received = self.connection.receive(self.until());
            let received = received.map_err(End::Lost)?;
            servers.add(self.connection.servers_heard_of());
            let now = fiber::time();
            if !matches!(received, Received::Nudged | Received::TimedOut) {
                (self.heard, self.has_pinged) = (now, false);
            }
            match received {
                Received::Message(message) => self.on_message(message, emitter)?,
                Received::Leaving => return Ok(()),
                Received::Complaint(text) => tell(emitter, LinkEvent::Complaint(text))?,
                Received::Pong | Received::Nudged | Received::TimedOut => {}
            }
            self.expire(now, emitter)?;
            self.keep_alive(now)?;
        }
    }

    /// Until when to wait for the next message.
    fn until(&self) -> Instant {
        let answer = self.waiting.values().next().map(|(_, until)| *until);
        let silent = self.heard + if self.has_pinged { SILENCE_MAX } else { PING_AFTER };
        answer.map_or(silent, |answer| answer.min(silent))
    }

    /// A connection may be dead without either end noticing.
    fn keep_alive(&mut self, now: Instant) -> Result<(), End> {
        let silence = now.saturating_duration_since(self.heard);
        if silence >= SILENCE_MAX {
            return Err(End::Silent);
        }
        if silence >= PING_AFTER && !self.has_pinged {
            self.has_pinged = true;
            self.connection.ping();
        }
        Ok(())
    }

    /// Gives up on answers that are overdue.
    fn expire(&mut self, now: Instant, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        while let Some(entry) = self.waiting.first_entry()
            && entry.get().1 <= now
        {
            let (request, _) = entry.remove();
            tell(emitter, LinkEvent::Input(Input::Unanswered(request)))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), End> {
        let deadline = fiber::time() + SILENCE_MAX;
        self.connection.flush(deadline).map_err(End::Lost)
    }

    fn send(&mut self, command: Command) {
        let (request, (subject, body)) = match command {
            Command::Append {
                message,
                expect,
                subject,
                payload,
            } => {
                let reply = self.expect_answer(Request::Append { message });
                let subject = self.subject(subject);
                let expected = expect.to_string();
                let headers = [("Nats-Expected-Last-Sequence", expected.as_str())];
                self.connection
                    .publish(&subject, Some(&reply), &headers, &payload);
                return;
            }
            Command::Get(seq) => (Request::Get(seq), self.api.get(seq)),
            Command::GetLast(subject) => {
                let newest = self.api.get_last(&self.subject(subject));
                (Request::GetLast(subject), newest)
            }
            Command::Inspect => {
                let replicas = self.link.settings.url.replicas;
                (Request::Inspect, self.api.create_stream(replicas))
            }
        };
        let reply = self.expect_answer(request);
        self.connection
            .publish(&subject, Some(&reply), &[], body.as_bytes());
    }

    /// Notes that an answer is due, and returns the subject for it.
    fn expect_answer(&mut self, request: Request) -> String {
        self.requests += 1;
        let until = fiber::time() + self.link.timeout;
        self.waiting.insert(self.requests, (request, until));
        format!("{}.{}", self.inbox, self.requests)
    }

    fn subject(&self, subject: Subject) -> String {
        let name = &self.link.settings.url.name;
        match subject {
            Subject::Ticks => format!("{name}.ticks"),
            Subject::Key => format!("{name}.key"),
        }
    }

    fn on_message(
        &mut self,
        message: Message,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        if message.sid == LIVE {
            let seq = message.header("Nats-Sequence").and_then(|seq| seq.parse().ok());
            return match seq {
                Some(seq) => {
                    let payload = message.payload;
                    tell(emitter, LinkEvent::Input(Input::Live { seq, payload }))
                }
                None => Ok(()),
            };
        }
        let number = message.subject.rsplit('.').next();
        let number: Option<u64> = number.and_then(|number| number.parse().ok());
        let Some((request, _)) = number.and_then(|number| self.waiting.remove(&number)) else {
            // It came too late.
            return Ok(());
        };
        for event in self.read_answer(request, &message) {
            tell(emitter, event)?;
        }
        Ok(())
    }

    fn read_answer(&mut self, request: Request, message: &Message) -> Vec<LinkEvent> {
        let input = match request {
            Request::Append { message } => match StoreAnswer::read(answer) {
                StoreAnswer::Stored { .. } => Input::Stored { message },
                StoreAnswer::WrongLastSequence { .. } => Input::Refused { message },
                StoreAnswer::NoStream => Input::NoLog,
                StoreAnswer::NoLeader => Input::Unanswered(request),
                StoreAnswer::Refused { text, .. } => {
                    return vec![
                        LinkEvent::Complaint(text),
                        LinkEvent::Input(Input::Unanswered(request)),
                    ];
                }
            },
            Request::Get(seq) => match GetAnswer::read(message) {
                GetAnswer::Found { payload, .. } => Input::Got {
                    seq,
                    found: Some(payload),
                },
                GetAnswer::NotFound => Input::Got { seq, found: None },
                GetAnswer::Unavailable => Input::Unanswered(request),
            },
            Request::GetLast(subject) => match GetAnswer::read(message) {
                GetAnswer::Found { seq, payload, .. } => Input::GotLast {
                    subject,
                    found: Some((seq, payload)),
                },
                GetAnswer::NotFound => Input::GotLast {
                    subject,
                    found: None,
                },
                // Nobody answers for a log that is not there.
                GetAnswer::Unavailable if self.link.is_origin => Input::GotLast {
                    subject,
                    found: None,
                },
                GetAnswer::Unavailable => Input::Unanswered(request),
            },
            Request::Inspect => return self.read_inspection(message),
        };
        vec![LinkEvent::Input(input)]
    }

    fn read_inspection(&mut self, message: &Message) -> Vec<LinkEvent> {
        match CreateAnswer::read(message) {
            CreateAnswer::Is { last_seq, differs } => {
                let mut events: Vec<_> = differs
                    .into_iter()
                    .map(LinkEvent::OtherSettings)
                    .collect();
                events.push(LinkEvent::Input(Input::Inspected { last: last_seq }));
                events
            }
            CreateAnswer::Differs => {
                let reply = self.expect_answer(Request::Inspect);
                let (subject, body) = self.api.stream_info();
                self.connection
                    .publish(&subject, Some(&reply), &[], body.as_bytes());
                Vec::new()
            }
            CreateAnswer::Refused(why) => vec![
                LinkEvent::Refused(why),
                LinkEvent::Input(Input::Unanswered(Request::Inspect)),
            ],
            CreateAnswer::Unavailable => {
                vec![LinkEvent::Input(Input::Unanswered(Request::Inspect))]
            }
        }
    }
}

fn tell(emitter: &Emitter<LinkEvent>, event: LinkEvent) -> Result<(), End> {
    // Whoever was cancelled looks at that first.
    emitter.emit(event).map_err(|_| End::Silent)
}

/// The numbers of the two subscriptions.
const LIVE: u64 = 1;
const INBOX: u64 = 2;

/// A connection that is silent for this long is asked for a sign of life, and one that is silent
/// for that long is given up: an origin writes at least once a second.
const PING_AFTER: Duration = Duration::from_millis(1_200);
const SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// The pauses between attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
