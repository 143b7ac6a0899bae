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
use super::waiting::BATCH_LENGTH_MAX;
use crate::http_client::HttpClient;
use crate::nats::jetstream::{self, Api, GetAnswer, StoreAnswer, StreamAnswer, StreamInfo};
use crate::nats::{
    Connection, Failure, Inbox, Message, Received, ServerAddress, Servers, Settings,
};

/// How the broker is reached.
pub(crate) struct Link {
    pub(crate) http_client: HttpClient,
    pub(crate) settings: Settings,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
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
    /// The broker will not do what it has to, for a reason that does not pass by itself.
    Refused(String),
    /// The broker complains.
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

/// A connection with the requests that wait for answers.
struct Session<'a> {
    link: &'a Link,
    connection: Connection,
    server: ServerAddress,
    api: Api,
    inbox: Inbox,
    /// The requests, by the number in their subjects, with the time until when to wait.
    waiting: BTreeMap<u64, (Request, Instant)>,
    requests: u64,
    /// When something last came.
    heard: Instant,
    has_pinged: bool,
    /// How many servers of its cluster the server has told of.
    peers: usize,
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
        let mut lost = fiber::time();
        loop {
            let (server, pause) = servers.next(fiber::time());
            fiber::sleep(pause)?;
            let end = self.connect(&server, lost, &mut servers, emitter);
            if fiber::is_cancelled() {
                return Ok(());
            }
            let End { reason, why } = end;
            if !matches!(reason, DownReason::Connect | DownReason::Refused) {
                lost = fiber::time();
                emitter.emit(LinkEvent::Input(Input::Disconnected))?;
            }
            let server = server.to_string();
            emitter.emit(LinkEvent::Down {
                server,
                why,
                reason,
            })?;
        }
    }

    /// Makes a connection and uses it to its end.
    fn connect(
        &self,
        server: &ServerAddress,
        lost: Instant,
        servers: &mut Servers,
        emitter: &Emitter<LinkEvent>,
    ) -> End {
        let deadline = fiber::time() + self.settings.connect_timeout;
        let opened = Connection::open(&self.http_client, &self.settings, server, deadline);
        let connection = match opened {
            Ok(connection) => connection,
            Err(failure) => return End::of(&failure, DownReason::Connect),
        };
        let now = fiber::time();
        servers.connected(now);
        let url = &self.settings.url;
        let mut session = Session {
            link: self,
            connection,
            server: server.clone(),
            api: Api::new(&url.name, url.domain.as_deref(), KINDS),
            inbox: Inbox::new(&mut Rng::new()),
            waiting: BTreeMap::new(),
            requests: 0,
            heard: now,
            has_pinged: false,
            peers: 0,
        };
        // Commands from the time without a connection are out of date.
        self.outbox.take();
        let after = now.saturating_duration_since(lost);
        let ended = session.begin(after, emitter);
        match ended.and_then(|()| session.serve(servers, emitter)) {
            Ok(()) => End::new(DownReason::Leaving, "it is about to stop"),
            Err(end) => end,
        }
    }
}

/// Why a connection ended.
struct End {
    reason: DownReason,
    why: String,
}

impl End {
    fn new(reason: DownReason, why: &str) -> Self {
        let why = why.to_owned();
        Self { reason, why }
    }

    fn of(failure: &Failure, reason: DownReason) -> Self {
        let reason = match failure {
            Failure::Refused(_) => DownReason::Refused,
            _ => reason,
        };
        Self::new(reason, &failure.to_string())
    }

    fn lost(failure: &Failure) -> Self {
        Self::of(failure, DownReason::Lost)
    }
}

impl Session<'_> {
    /// Subscribes, and reports the connection.
    fn begin(&mut self, after: Duration, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        self.connection.subscribe(&self.api.live_filter(), LIVE);
        self.connection.subscribe(&self.inbox.filter(), INBOX);
        self.flush()?;
        let server = self.server.to_string();
        let room = self.connection.max_payload();
        if room < PAYLOAD_LENGTH_MIN {
            let why = format!(
                "takes messages of up to {room} bytes, expected at least {PAYLOAD_LENGTH_MIN}: raise \
                 its max_payload"
            );
            return Err(End::new(DownReason::Refused, &why));
        }
        let version = self.connection.version();
        let up = LinkEvent::Up {
            server,
            version,
            after,
        };
        tell(emitter, up)?;
        tell(emitter, LinkEvent::Input(Input::Connected))
    }

    /// Sends and receives until the server leaves.
    fn serve(&mut self, servers: &mut Servers, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        loop {
            for command in self.link.outbox.take() {
                self.send(command);
            }
            self.flush()?;
            let received = self.connection.receive(self.until());
            let received = received.map_err(|failure| End::lost(&failure))?;
            let heard_of = self.connection.servers_heard_of();
            if !heard_of.is_empty() {
                self.peers = heard_of.len();
                servers.set_heard_of(heard_of);
            }
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
        let silent = self.heard
            + if self.has_pinged {
                SILENCE_MAX
            } else {
                PING_AFTER
            };
        answer.map_or(silent, |answer| answer.min(silent))
    }

    /// A connection may be dead without either end noticing.
    fn keep_alive(&mut self, now: Instant) -> Result<(), End> {
        let silence = now.saturating_duration_since(self.heard);
        if silence >= SILENCE_MAX {
            let why = format!("no sign of life for {silence:.1?}");
            return Err(End::new(DownReason::Silent, &why));
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
        let flushed = self.connection.flush(deadline);
        flushed.map_err(|failure| End::lost(&failure))
    }

    fn send(&mut self, command: Command) {
        let (request, (subject, body)) = match command {
            Command::Append {
                message,
                expect,
                subject,
                payload,
            } => return self.append(Request::Append { message }, expect, subject, &payload),
            Command::Get(seq) => (Request::Get(seq), self.api.get(seq)),
            Command::GetLast { look, subject } => {
                let newest = self.api.get_last(&self.api.subject(kind(subject)));
                (Request::GetLast { look, subject }, newest)
            }
            Command::Inspect => (Request::Inspect, self.api.create_stream(self.replicas())),
        };
        let reply = self.expect_answer(request);
        let body = body.as_bytes();
        self.connection.publish(&subject, Some(&reply), &[], body);
    }

    fn append(&mut self, request: Request, expect: u64, subject: Subject, payload: &[u8]) {
        let reply = self.expect_answer(request);
        let subject = self.api.subject(kind(subject));
        let expect = expect.to_string();
        let headers = [(jetstream::EXPECTED_LAST_SEQUENCE, expect.as_str())];
        self.connection
            .publish(&subject, Some(&reply), &headers, payload);
    }

    /// On how many servers the log is kept if it is made here: on three of a cluster.
    fn replicas(&self) -> u8 {
        let url = &self.link.settings.url;
        let servers = self.peers.max(url.servers.len());
        url.replicas.unwrap_or(if servers >= 3 { 3 } else { 1 })
    }

    /// Notes that an answer is due, and returns the subject for it.
    fn expect_answer(&mut self, request: Request) -> String {
        self.requests += 1;
        let until = fiber::time() + self.link.timeout;
        self.waiting.insert(self.requests, (request, until));
        self.inbox.subject(self.requests)
    }

    fn on_message(&mut self, message: Message, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        if message.sid == LIVE {
            // Others may publish there, too; what the log has published again has a number.
            return match jetstream::sequence(&message) {
                Some(seq) => {
                    let payload = message.payload;
                    tell(emitter, LinkEvent::Input(Input::Live { seq, payload }))
                }
                None => Ok(()),
            };
        }
        let number = self.inbox.request(&message.subject);
        let Some((request, _)) = number.and_then(|number| self.waiting.remove(&number)) else {
            // It came too late.
            return Ok(());
        };
        for event in self.read_answer(request, message) {
            tell(emitter, event)?;
        }
        Ok(())
    }

    fn read_answer(&mut self, request: Request, answer: Message) -> Vec<LinkEvent> {
        match request {
            Request::Append { message } => {
                let input = match self.api.store_answer(&answer) {
                    StoreAnswer::Stored { .. } => Input::Stored { message },
                    StoreAnswer::WrongLastSequence { .. } => Input::Refused { message },
                    StoreAnswer::NoStream => Input::NoLog,
                    StoreAnswer::NoLeader => Input::NoLeader { message },
                    StoreAnswer::Refused { text, .. } => return refused(request, text),
                };
                vec![LinkEvent::Input(input)]
            }
            Request::Get(seq) => match GetAnswer::read(answer) {
                GetAnswer::Found { payload, .. } => {
                    let found = Some(payload);
                    vec![LinkEvent::Input(Input::Got { seq, found })]
                }
                GetAnswer::NotFound => vec![LinkEvent::Input(Input::Got { seq, found: None })],
                GetAnswer::Unavailable => unanswered(request),
                GetAnswer::Refused { text, .. } => refused(request, text),
            },
            Request::GetLast { look, subject } => {
                let found = match GetAnswer::read(answer) {
                    GetAnswer::Found { seq, payload, .. } => Some((seq, payload)),
                    // Nobody answers for a log that is not there.
                    GetAnswer::NotFound | GetAnswer::Unavailable => None,
                    GetAnswer::Refused { text, .. } => return refused(request, text),
                };
                let input = Input::GotLast {
                    look,
                    subject,
                    found,
                };
                vec![LinkEvent::Input(input)]
            }
            Request::Inspect => self.read_inspection(&answer),
        }
    }

    fn read_inspection(&mut self, answer: &Message) -> Vec<LinkEvent> {
        match StreamAnswer::read(answer) {
            StreamAnswer::Found(stream) => self.inspect(&stream),
            StreamAnswer::Unavailable if !self.connection.has_jetstream() => {
                let why = format!(
                    "{} has no JetStream: start it with -js, or name one that has",
                    self.server
                );
                vec![LinkEvent::Refused(why)]
            }
            StreamAnswer::NotFound | StreamAnswer::Unavailable => unanswered(Request::Inspect),
            StreamAnswer::Refused {
                code: jetstream::NAME_IN_USE,
                ..
            } => {
                let reply = self.expect_answer(Request::Inspect);
                let (subject, body) = self.api.stream_info();
                let body = body.as_bytes();
                self.connection.publish(&subject, Some(&reply), &[], body);
                Vec::new()
            }
            // A cluster that has just begun does not know all of its servers yet.
            StreamAnswer::Refused {
                code: jetstream::NO_PEERS,
                text,
            } => refused(Request::Inspect, text),
            StreamAnswer::Refused { text, .. } => {
                let name = &self.link.settings.url.name;
                let why = format!("cannot make the log {name}: {text}");
                vec![
                    LinkEvent::Refused(why),
                    LinkEvent::Input(Input::Unanswered(Request::Inspect)),
                ]
            }
        }
    }

    /// Uses a log that somebody has made, if it is set up as it has to be.
    fn inspect(&self, stream: &StreamInfo) -> Vec<LinkEvent> {
        let differences = self.api.differences(stream);
        if differences.is_empty() {
            let last = stream.state.last_seq;
            return vec![LinkEvent::Input(Input::Inspected { last })];
        }
        let (name, differences) = (&self.link.settings.url.name, differences.join(", "));
        let why = format!(
            "the stream {name} exists and is set up in another way: {differences}; name another log \
             in the URL, or remove that stream"
        );
        vec![
            LinkEvent::Refused(why),
            LinkEvent::Input(Input::Unanswered(Request::Inspect)),
        ]
    }
}

fn unanswered(request: Request) -> Vec<LinkEvent> {
    vec![LinkEvent::Input(Input::Unanswered(request))]
}

fn refused(request: Request, text: String) -> Vec<LinkEvent> {
    vec![
        LinkEvent::Complaint(text),
        LinkEvent::Input(Input::Unanswered(request)),
    ]
}

fn kind(subject: Subject) -> &'static str {
    match subject {
        Subject::Ticks => KINDS[0],
        Subject::Key => KINDS[1],
    }
}

fn tell(emitter: &Emitter<LinkEvent>, event: LinkEvent) -> Result<(), End> {
    // Whoever was cancelled looks at that first.
    emitter
        .emit(event)
        .map_err(|_| End::new(DownReason::Lost, "cancelled"))
}

/// The numbers of the two subscriptions.
const LIVE: u64 = 1;
const INBOX: u64 = 2;

/// A connection that is silent for this long is asked for a sign of life, and one that is silent
/// for that long is given up: an origin writes at least once a second.
const PING_AFTER: Duration = Duration::from_millis(1_200);
const SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// The longest message of the log, with room for its headers.
const PAYLOAD_LENGTH_MIN: usize = 2 * BATCH_LENGTH_MAX;

/// What the subjects of the log end in.
const KINDS: &[&str] = &["ticks", "key"];
