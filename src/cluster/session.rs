//! One connection of a [`Link`], with the requests that wait for answers: it sends what the node asks
//! for and passes on what comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fastrand::Rng;
use ioloop::fiber::{self, Emitter};

use super::link::{DownReason, End, Link, LinkEvent};
use super::node::{Command, Input, Request, Subject};
use super::obstacle::{self, LogState};
use super::waiting::BATCH_LENGTH_MAX;
use crate::nats::jetstream::{self, Api, GetAnswer, StoreAnswer, StreamAnswer, StreamInfo};
use crate::nats::{Connection, Denial, Inbox, Message, Received, Right, ServerAddress, Servers};

/// A connection in use.
pub(super) struct Session<'a> {
    link: &'a Link,
    connection: Connection,
    server: ServerAddress,
    api: Api,
    inbox: Inbox,
    /// The requests, by the number in their subjects, with the time until when to wait.
    waiting: BTreeMap<u64, (Ask, Instant)>,
    requests: u64,
    /// When something last came.
    heard: Instant,
    has_pinged: bool,
    /// How many servers of its cluster the server has told of.
    peers: usize,
    /// The node knows of the connection.
    is_up: bool,
    /// The log was of use, here or before.
    has_worked: bool,
    /// What its answers to other requests say of the log.
    state: LogState,
    rights: Rights,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Node(Request),
    /// The state of the log, for its operator.
    State,
}

/// The rights that are missing.
#[derive(Default)]
struct Rights {
    denied: BTreeSet<Denial>,
    /// Subscriptions that are being tried again: granted unless the server complains before it
    /// answers a ping.
    tried: BTreeSet<Denial>,
    /// When to try again.
    try_at: Option<Instant>,
    /// The server does not let us ask for the state of the log.
    hides_state: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        link: &'a Link,
        connection: Connection,
        server: &ServerAddress,
        has_worked: bool,
    ) -> Self {
        let url = &link.settings.url;
        Self {
            link,
            connection,
            server: server.clone(),
            api: Api::new(&url.name, url.domain.as_deref(), KINDS),
            inbox: Inbox::new(&mut Rng::new()),
            waiting: BTreeMap::new(),
            requests: 0,
            heard: fiber::time(),
            has_pinged: false,
            peers: 0,
            is_up: false,
            has_worked,
            state: LogState::Silent,
            rights: Rights::default(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.is_up
    }

    pub(super) fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// Subscribes, and reports the connection.
    pub(super) fn begin(
        &mut self,
        after: Duration,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        self.connection.subscribe(&self.api.live_filter(), LIVE);
        self.connection.subscribe(&self.inbox.filter(), INBOX);
        if self.link.is_origin {
            self.try_to_publish();
        }
        self.flush()?;
        let server = self.server.to_string();
        let room = self.connection.max_payload();
        if room < PAYLOAD_LENGTH_MIN {
            let why = format!(
                "takes messages of up to {room} bytes, expected at least {PAYLOAD_LENGTH_MIN}: raise \
                 its max_payload"
            );
            return Err(End::refused(&why));
        }
        let version = self.connection.version();
        let up = LinkEvent::Up {
            server,
            version,
            after,
        };
        tell(emitter, up)?;
        self.is_up = true;
        tell(emitter, LinkEvent::Input(Input::Connected))
    }

    /// Publishes messages that no stream takes, so that a missing right shows now and not when this
    /// server takes over.
    fn try_to_publish(&mut self) {
        for kind in KINDS {
            let subject = self.api.subject(kind);
            let headers = [(jetstream::EXPECTED_STREAM, NO_STREAM)];
            self.connection.publish(&subject, None, &headers, b"");
        }
    }

    /// Sends and receives until the server leaves.
    pub(super) fn serve(
        &mut self,
        servers: &mut Servers,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        loop {
            for command in self.link.outbox.take() {
                self.send(command);
            }
            if self.link.outbox.take_wants_state() {
                self.ask_for_state(emitter)?;
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
                Received::Denied(denial) => self.on_denied(denial, emitter)?,
                Received::Complaint(text) => tell(emitter, LinkEvent::Complaint(text))?,
                Received::Pong => {
                    let granted = std::mem::take(&mut self.rights.tried);
                    self.grant(|denial| granted.contains(denial), emitter)?;
                }
                Received::Nudged | Received::TimedOut => {}
            }
            self.expire(now, emitter)?;
            self.subscribe_again(now);
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
        let others = [answer, self.rights.try_at].into_iter().flatten();
        others.fold(silent, Instant::min)
    }

    /// Notes that a right is missing. At the start that ends the connection.
    fn on_denied(&mut self, mut denial: Denial, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        if denial.subject == self.inbox.filter() {
            // The next connection has another one.
            INBOXES.clone_into(&mut denial.subject);
        }
        let is_for_state = denial.subject == self.api.stream_info().0;
        if is_for_state && !self.link.is_origin {
            // An edge can do without.
            self.rights.hides_state = true;
            self.waiting
                .retain(|_, (ask, _)| !matches!(ask, Ask::State));
            return tell(emitter, LinkEvent::Log(self.state.clone()));
        }
        if !self.has_worked {
            return Err(End::refused(&obstacle::refuses(&denial)));
        }
        if denial.right == Right::Subscribe {
            self.rights.tried.remove(&denial);
            self.rights.try_at = Some(fiber::time() + TRY_AGAIN_AFTER);
        }
        self.rights.denied.insert(denial.clone());
        tell(emitter, LinkEvent::Denied(denial))
    }

    /// Notes that rights are not missing any more.
    fn grant(
        &mut self,
        is_granted: impl Fn(&Denial) -> bool,
        emitter: &Emitter<LinkEvent>,
    ) -> Result<(), End> {
        let granted = self.rights.denied.iter();
        let granted: Vec<_> = granted
            .filter(|denial| is_granted(denial))
            .cloned()
            .collect();
        for denial in granted {
            self.rights.denied.remove(&denial);
            tell(emitter, LinkEvent::Granted(denial))?;
        }
        Ok(())
    }

    /// A server that takes a right away ends the subscription, and one that gives it back does not
    /// begin it again.
    fn subscribe_again(&mut self, now: Instant) {
        if self.rights.try_at.is_none_or(|at| now < at) {
            return;
        }
        self.rights.try_at = None;
        let denied = self.rights.denied.iter();
        let denied = denied.filter(|denial| denial.right == Right::Subscribe);
        self.rights.tried = denied.cloned().collect();
        self.connection.subscribe(&self.api.live_filter(), LIVE);
        self.connection.subscribe(&self.inbox.filter(), INBOX);
        self.connection.ping();
    }

    /// Asks how the log is set up, or says what is known where that is not allowed.
    fn ask_for_state(&mut self, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        if self.rights.hides_state {
            return tell(emitter, LinkEvent::Log(self.state.clone()));
        }
        let (subject, body) = self.api.stream_info();
        let reply = self.expect_answer(Ask::State);
        let body = body.as_bytes();
        self.connection.publish(&subject, Some(&reply), &[], body);
        Ok(())
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
            let (ask, _) = entry.remove();
            if !matches!(ask, Ask::Node(Request::Get(_))) {
                self.state = LogState::Silent;
            }
            tell(
                emitter,
                match ask {
                    Ask::Node(request) => LinkEvent::Input(Input::Unanswered(request)),
                    Ask::State => LinkEvent::Log(LogState::Silent),
                },
            )?;
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
        let reply = self.expect_answer(Ask::Node(request));
        let body = body.as_bytes();
        self.connection.publish(&subject, Some(&reply), &[], body);
    }

    fn append(&mut self, request: Request, expect: u64, subject: Subject, payload: &[u8]) {
        let reply = self.expect_answer(Ask::Node(request));
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
    fn expect_answer(&mut self, ask: Ask) -> String {
        self.requests += 1;
        let until = fiber::time() + self.link.timeout;
        self.waiting.insert(self.requests, (ask, until));
        self.inbox.subject(self.requests)
    }

    fn on_message(&mut self, message: Message, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        if message.sid == LIVE {
            return match self.api.republished(&message) {
                Ok(seq) => {
                    let payload = message.payload;
                    tell(emitter, LinkEvent::Input(Input::Live { seq, payload }))
                }
                Err(why) => tell(emitter, LinkEvent::Forged(why)),
            };
        }
        let number = self.inbox.request(&message.subject);
        let Some((ask, _)) = number.and_then(|number| self.waiting.remove(&number)) else {
            // It came too late.
            return Ok(());
        };
        let request = match ask {
            Ask::State => return self.read_state(&message, emitter),
            Ask::Node(request) => request,
        };
        self.grant_asking(request, emitter)?;
        for event in self.read_answer(request, message)? {
            self.note_use(&event);
            tell(emitter, event)?;
        }
        Ok(())
    }

    /// An answer shows that asking was allowed.
    fn grant_asking(&mut self, request: Request, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        if self.rights.denied.is_empty() {
            return Ok(());
        }
        let subjects = match request {
            Request::Append { .. } => KINDS.iter().map(|kind| self.api.subject(kind)).collect(),
            Request::Get(_) | Request::GetLast { .. } => vec![self.api.get(0).0],
            Request::Inspect => vec![self.api.create_stream(1).0, self.api.stream_info().0],
        };
        let is_granted =
            |denial: &Denial| denial.right == Right::Publish && subjects.contains(&denial.subject);
        self.grant(is_granted, emitter)
    }

    /// Notes whether the log is of use.
    fn note_use(&mut self, event: &LinkEvent) {
        let is_used = matches!(
            event,
            LinkEvent::Input(
                Input::Stored { .. }
                    | Input::Inspected { .. }
                    | Input::Got { found: Some(_), .. }
                    | Input::GotLast { found: Some(_), .. }
            )
        );
        self.has_worked |= is_used;
    }

    /// Passes on how the log is set up. A server without JetStream is left for another one, as long
    /// as no server has had the log.
    fn read_state(&mut self, answer: &Message, emitter: &Emitter<LinkEvent>) -> Result<(), End> {
        self.state = match StreamAnswer::read(answer) {
            StreamAnswer::Found(stream) => match self.api.differences(&stream).as_slice() {
                [] => LogState::Usable,
                differences => LogState::Foreign(differences.join(", ")),
            },
            StreamAnswer::NotFound => LogState::Missing,
            StreamAnswer::Unavailable => self.state_without_answer(),
            StreamAnswer::Refused { text, .. } => LogState::Refused(text),
        };
        tell(emitter, LinkEvent::Log(self.state.clone()))?;
        let has_others = self.link.settings.url.servers.len() > 1;
        if self.state == LogState::NoJetStream && has_others && !self.has_worked {
            return Err(End::new(DownReason::Refused, obstacle::NO_JETSTREAM));
        }
        Ok(())
    }

    /// What it means that nobody is there to answer.
    fn state_without_answer(&self) -> LogState {
        let is_elsewhere = self.link.settings.url.domain.is_some();
        if self.connection.has_jetstream() || is_elsewhere {
            LogState::Silent
        } else {
            LogState::NoJetStream
        }
    }

    fn read_answer(&mut self, request: Request, answer: Message) -> Result<Vec<LinkEvent>, End> {
        Ok(match request {
            Request::Append { message } => {
                let input = match self.api.store_answer(&answer) {
                    StoreAnswer::Stored { .. } => Input::Stored { message },
                    StoreAnswer::WrongLastSequence { .. } => Input::Refused { message },
                    StoreAnswer::NoStream => Input::NoLog,
                    StoreAnswer::NoLeader => Input::NoLeader { message },
                    StoreAnswer::Refused { text, .. } => return Ok(refused(request, text)),
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
                let answer = GetAnswer::read(answer);
                self.state = match &answer {
                    GetAnswer::Found { .. } | GetAnswer::NotFound => LogState::Usable,
                    // Nobody answers for a log that is not there.
                    GetAnswer::Unavailable => match self.state_without_answer() {
                        LogState::Silent => LogState::Missing,
                        state => state,
                    },
                    GetAnswer::Refused { text, .. } => LogState::Refused(text.clone()),
                };
                let found = match answer {
                    GetAnswer::Found { seq, payload, .. } => Some((seq, payload)),
                    GetAnswer::NotFound | GetAnswer::Unavailable => None,
                    GetAnswer::Refused { text, .. } => return Ok(refused(request, text)),
                };
                let input = Input::GotLast {
                    look,
                    subject,
                    found,
                };
                vec![LinkEvent::Input(input)]
            }
            Request::Inspect => return self.read_inspection(&answer),
        })
    }

    fn read_inspection(&mut self, answer: &Message) -> Result<Vec<LinkEvent>, End> {
        match StreamAnswer::read(answer) {
            StreamAnswer::Found(stream) => self.inspect(&stream),
            StreamAnswer::Unavailable => match self.state_without_answer() {
                state @ LogState::NoJetStream => {
                    self.unusable(state, &format!("is no use: {}", obstacle::NO_JETSTREAM))
                }
                _ => Ok(unanswered(Request::Inspect)),
            },
            StreamAnswer::NotFound => Ok(unanswered(Request::Inspect)),
            StreamAnswer::Refused {
                code: jetstream::NAME_IN_USE,
                ..
            } => {
                let reply = self.expect_answer(Ask::Node(Request::Inspect));
                let (subject, body) = self.api.stream_info();
                let body = body.as_bytes();
                self.connection.publish(&subject, Some(&reply), &[], body);
                Ok(Vec::new())
            }
            // A cluster that has just begun does not know all of its servers yet.
            StreamAnswer::Refused {
                code: jetstream::NO_PEERS,
                text,
            } => Ok(refused(Request::Inspect, text)),
            StreamAnswer::Refused { code, text } => {
                let hint = if code == jetstream::NOT_CLUSTERED {
                    NEEDS_CLUSTER
                } else {
                    ""
                };
                let name = &self.link.settings.url.name;
                let why = format!("cannot make the log '{name}': {text}{hint}");
                self.unusable(LogState::Refused(format!("{text}{hint}")), &why)
            }
        }
    }

    /// Uses a log that somebody has made, if it is set up as it has to be.
    fn inspect(&self, stream: &StreamInfo) -> Result<Vec<LinkEvent>, End> {
        let differences = self.api.differences(stream);
        if differences.is_empty() {
            let last = stream.state.last_seq;
            return Ok(vec![LinkEvent::Input(Input::Inspected { last })]);
        }
        let differences = differences.join(", ");
        let why = obstacle::foreign(&self.link.settings.url.name, &differences);
        self.unusable(LogState::Foreign(differences), &format!("is no use: {why}"))
    }

    /// There is no log that this server could write, which does not pass by itself. At the start
    /// that ends the connection; later, what is wrong with the log may yet be mended.
    fn unusable(&self, state: LogState, why: &str) -> Result<Vec<LinkEvent>, End> {
        if !self.has_worked {
            return Err(End::refused(why));
        }
        let unanswered = LinkEvent::Input(Input::Unanswered(Request::Inspect));
        Ok(vec![LinkEvent::Log(state), unanswered])
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

/// How soon a subscription that was denied is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What the permissions of a user call the subjects for answers.
const INBOXES: &str = "_INBOX.>";

/// No stream can have this name.
const NO_STREAM: &str = "no.stream";

/// What to do when a single server cannot keep several copies.
const NEEDS_CLUSTER: &str =
    " (put ?replicas=1 at the end of the URL, or make the servers a cluster)";

/// What the subjects of the log end in.
const KINDS: &[&str] = &["ticks", "key"];
