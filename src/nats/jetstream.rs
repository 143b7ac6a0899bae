//! JetStream's requests and answers, as far as a log needs them. Pure: subjects and bodies out,
//! messages in.
//!
//! A log is a stream that keeps what is published to a few subjects, publishes it again once it is
//! stored, and lets everybody read single messages. No consumer is involved. A message that states
//! which sequence number it expects to be the last one is stored only if it is so.

use serde::Deserialize;
use serde_json::json;

use super::message::Message;
use super::shown::shown;

/// The requests that concern one log.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    name: String,
    /// What the subjects of requests begin with, with the dot at its end.
    prefix: String,
    /// The last parts of the subjects whose messages are kept.
    kinds: &'static [&'static str],
}

/// The answer to a message that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreAnswer {
    Stored {
        seq: u64,
    },
    /// Another message is the last one.
    WrongLastSequence {
        last: Option<u64>,
    },
    NoStream,
    /// Nobody can store it now: there is no leader, or no stream that is interested.
    NoLeader,
    Refused {
        code: u32,
        text: String,
    },
}

/// The answer to a request for a stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GetAnswer {
    Found {
        seq: u64,
        subject: String,
        payload: Vec<u8>,
    },
    /// There is none, or not yet where we asked.
    NotFound,
    /// Nobody can answer now.
    Unavailable,
    Refused {
        code: u32,
        text: String,
    },
}

/// The answer to a request about the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamAnswer {
    /// It is there, or it has just been made.
    Found(Box<StreamInfo>),
    NotFound,
    /// Nobody can answer now.
    Unavailable,
    Refused {
        code: u32,
        text: String,
    },
}

/// A stream: how it was set up, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StreamInfo {
    config: StreamConfig,
    pub(crate) state: StreamState,
}

/// What a stream has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StreamState {
    /// The number of the oldest message; one more than the last if there is none.
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// The settings that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct StreamConfig {
    subjects: Vec<String>,
    retention: String,
    discard: String,
    num_replicas: u8,
    allow_direct: bool,
    no_ack: bool,
    sealed: bool,
    republish: Option<Republish>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Republish {
    src: String,
    dest: String,
    headers_only: bool,
}

/// What all answers in JSON have in common.
#[derive(Deserialize)]
struct Answer {
    error: Option<ApiError>,
    /// The stream that has stored a message, and the number that it gave it.
    stream: Option<String>,
    seq: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ApiError {
    code: u32,
    err_code: u32,
    description: String,
}

/// What kind of answer there is, whatever was asked.
enum Reply {
    Json(Answer),
    NotFound,
    Unavailable,
    Refused { code: u32, text: String },
}

impl Api {
    /// The requests about the log `name`, in a JetStream domain if one is given. `kinds` are the
    /// last parts of the subjects whose messages it keeps.
    pub(crate) fn new(name: &str, domain: Option<&str>, kinds: &'static [&'static str]) -> Self {
        let prefix = match domain {
            None => "$JS.API.".to_owned(),
            Some(domain) => format!("$JS.{domain}.API."),
        };
        Self {
            name: name.to_owned(),
            prefix,
            kinds,
        }
    }

    /// Where to publish messages of a kind.
    pub(crate) fn subject(&self, kind: &str) -> String {
        format!("{}.{kind}", self.name)
    }

    /// What to subscribe to for messages that have just been stored.
    pub(crate) fn live_filter(&self) -> String {
        format!("{}.live.>", self.name)
    }

    /// Where messages of a kind appear once they are stored.
    pub(crate) fn live_subject(&self, kind: &str) -> String {
        format!("{}.live.{kind}", self.name)
    }

    /// The number of a message that the log has stored and published again.
    ///
    /// # Errors
    /// What the message lacks of that: others may be able to publish to the same subjects.
    pub(crate) fn republished(&self, message: &Message) -> Result<u64, String> {
        let mut kinds = self.kinds.iter();
        let kind = kinds.find(|kind| message.subject == self.live_subject(kind));
        let subject = kind.map(|kind| self.subject(kind));
        let header = |name| message.headers.get(name);
        // A consumer delivers whatever a stream has, with the headers that it has there, to any
        // subject, and without asking whether its maker may publish there. It wants to be answered.
        let is_delivered = message.reply.is_some();
        let is_ours = !is_delivered
            && header(STREAM) == Some(&self.name)
            && subject.is_some()
            && header(SUBJECT) == subject.as_deref();
        let seq = message.headers.number(SEQUENCE).filter(|_| is_ours);
        seq.ok_or_else(|| {
            let (subject, name) = (shown(&message.subject), &self.name);
            format!("'{subject}' has a message that the log {name} did not publish")
        })
    }

    /// Makes the stream on this number of servers, or finds it as it should be.
    pub(crate) fn create_stream(&self, replicas: u8) -> (String, String) {
        let ours = self.republish();
        let body = json!({
            "name": self.name,
            "subjects": self.subjects(),
            "retention": RETENTION,
            "storage": "file",
            "num_replicas": replicas,
            "discard": DISCARD,
            "max_bytes": LOG_BYTES_MAX,
            "allow_direct": true,
            "republish": {"src": ours.src, "dest": ours.dest},
        });
        (self.request("STREAM.CREATE"), body.to_string())
    }

    /// Asks how the stream is set up, and what it has.
    pub(crate) fn stream_info(&self) -> (String, String) {
        (self.request("STREAM.INFO"), String::new())
    }

    /// Asks for the message with this number.
    pub(crate) fn get(&self, seq: u64) -> (String, String) {
        (
            self.request("DIRECT.GET"),
            json!({ "seq": seq }).to_string(),
        )
    }

    /// Asks for the first message of any subject with this number or a later one.
    #[cfg(test)]
    pub(crate) fn get_from(&self, seq: u64) -> (String, String) {
        let body = json!({"seq": seq, "next_by_subj": ">"});
        (self.request("DIRECT.GET"), body.to_string())
    }

    /// Asks for the newest message of a subject.
    pub(crate) fn get_last(&self, subject: &str) -> (String, String) {
        let body = json!({ "last_by_subj": subject });
        (self.request("DIRECT.GET"), body.to_string())
    }

    /// Reads the answer to a message that was to be stored.
    pub(crate) fn store_answer(&self, message: &Message) -> StoreAnswer {
        match reply(message) {
            Reply::NotFound => StoreAnswer::NoStream,
            Reply::Unavailable => StoreAnswer::NoLeader,
            Reply::Refused {
                code: WRONG_LAST_SEQUENCE,
                text,
            } => StoreAnswer::WrongLastSequence {
                last: text.rsplit(' ').next().and_then(|last| last.parse().ok()),
            },
            Reply::Refused {
                code: WRONG_LAST_SEQUENCE_UNTOLD,
                ..
            } => StoreAnswer::WrongLastSequence { last: None },
            Reply::Refused { code, text } => StoreAnswer::Refused { code, text },
            Reply::Json(Answer {
                stream: Some(stream),
                seq: Some(seq),
                ..
            }) => self.stored(&stream, seq),
            Reply::Json(_) => {
                let (code, text) = unreadable();
                StoreAnswer::Refused { code, text }
            }
        }
    }

    fn stored(&self, stream: &str, seq: u64) -> StoreAnswer {
        if stream == self.name {
            return StoreAnswer::Stored { seq };
        }
        let (stream, name) = (shown(stream), &self.name);
        let text = format!("stream '{stream}' has the subjects of '{name}'");
        StoreAnswer::Refused { code: 0, text }
    }

    /// What is not as it has to be in the settings of a stream, each with what is expected. Where
    /// it is kept, for how long and on how many servers is for its operator to choose.
    pub(crate) fn differences(&self, stream: &StreamInfo) -> Vec<String> {
        let config = &stream.config;
        let mut differences = Vec::new();
        let mut expect = |is_so: bool, setting: &str, expected: &str| {
            if !is_so {
                differences.push(format!("{setting} (expected {expected})"));
            }
        };
        let (mut subjects, mut ours) = (config.subjects.clone(), self.subjects());
        subjects.sort_unstable();
        ours.sort_unstable();
        expect(subjects == ours, "subjects", &ours.join(" and "));
        let republish = self.republish();
        let expected = format!("from {} to {}", republish.src, republish.dest);
        expect(config.republish == Some(republish), "republish", &expected);
        expect(config.allow_direct, "allow_direct", "true");
        expect(config.retention == RETENTION, "retention", RETENTION);
        expect(config.discard == DISCARD, "discard", DISCARD);
        expect(!config.no_ack, "no_ack", "false");
        expect(!config.sealed, "sealed", "false");
        differences
    }

    fn subjects(&self) -> Vec<String> {
        self.kinds.iter().map(|kind| self.subject(kind)).collect()
    }

    fn republish(&self) -> Republish {
        Republish {
            src: format!("{}.>", self.name),
            dest: self.live_filter(),
            headers_only: false,
        }
    }

    fn request(&self, what: &str) -> String {
        format!("{}{what}.{}", self.prefix, self.name)
    }
}

impl GetAnswer {
    /// Reads the answer to a request for a message.
    pub(crate) fn read(message: Message) -> Self {
        if message.status.is_none()
            && let Some(seq) = message.headers.number(SEQUENCE)
            && let Some(subject) = message.headers.get(SUBJECT)
        {
            return Self::Found {
                seq,
                subject: subject.to_owned(),
                payload: message.payload,
            };
        }
        match reply(&message) {
            Reply::NotFound => Self::NotFound,
            Reply::Unavailable => Self::Unavailable,
            Reply::Refused { code, text } => Self::Refused { code, text },
            Reply::Json(_) => {
                let (code, text) = unreadable();
                Self::Refused { code, text }
            }
        }
    }
}

impl StreamAnswer {
    /// Reads the answer to a request about the stream.
    pub(crate) fn read(message: &Message) -> Self {
        match reply(message) {
            Reply::NotFound => Self::NotFound,
            Reply::Unavailable => Self::Unavailable,
            Reply::Refused { code, text } => Self::Refused { code, text },
            Reply::Json(_) => match serde_json::from_slice(&message.payload) {
                Ok(stream) => Self::Found(Box::new(stream)),
                Err(_) => {
                    let (code, text) = unreadable();
                    Self::Refused { code, text }
                }
            },
        }
    }
}

impl StreamInfo {
    /// On how many servers it is kept.
    #[cfg(test)]
    pub(crate) fn replicas(&self) -> u8 {
        self.config.num_replicas
    }
}

fn reply(message: &Message) -> Reply {
    match message.status {
        Some(404) => return Reply::NotFound,
        Some(503) => return Reply::Unavailable,
        Some(code) => {
            let text = shown(message.headers.description());
            return Reply::Refused {
                code: code.into(),
                text,
            };
        }
        None => {}
    }
    match serde_json::from_slice::<Answer>(&message.payload) {
        Ok(Answer {
            error: Some(error), ..
        }) => error.into(),
        Ok(answer) => Reply::Json(answer),
        Err(_) => {
            let (code, text) = unreadable();
            Reply::Refused { code, text }
        }
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        match error.err_code {
            STREAM_NOT_FOUND => Self::NotFound,
            // These last, although their class says that they may pass.
            code @ (JETSTREAM_OFF | JETSTREAM_OFF_FOR_ACCOUNT | STORE_FAILED) => Self::Refused {
                code,
                text: shown(&error.description),
            },
            _ if error.code == 503 => Self::Unavailable,
            code => Self::Refused {
                code,
                text: shown(&error.description),
            },
        }
    }
}

fn unreadable() -> (u32, String) {
    (0, "JetStream's answer cannot be read".to_owned())
}

/// The header that states which number the last stored message has to have.
pub(crate) const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";

/// The header that states which stream has to store the message.
pub(crate) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// A stream of this name exists and is set up in another way.
pub(crate) const NAME_IN_USE: u32 = 10_058;

/// Too few servers are there to keep so many copies. A cluster that has just begun says so, too,
/// until it knows all of its servers: try again.
pub(crate) const NO_PEERS: u32 = 10_005;

/// The URL asks for copies on several servers, and there is only one.
pub(crate) const NOT_CLUSTERED: u32 = 10_074;

const STREAM: &str = "Nats-Stream";
const SEQUENCE: &str = "Nats-Sequence";
const SUBJECT: &str = "Nats-Subject";

const RETENTION: &str = "limits";
const DISCARD: &str = "old";

/// How much of the past is kept: minutes, since nobody comes back for more.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// "wrong last sequence: 42".
const WRONG_LAST_SEQUENCE: u32 = 10_071;
/// The same from newer servers, in some cases and without the number.
const WRONG_LAST_SEQUENCE_UNTOLD: u32 = 10_164;
const STREAM_NOT_FOUND: u32 = 10_059;
const JETSTREAM_OFF: u32 = 10_076;
const JETSTREAM_OFF_FOR_ACCOUNT: u32 = 10_039;
/// The disk is full, for example.
const STORE_FAILED: u32 = 10_077;

#[cfg(test)]
mod tests {
    use super::super::headers::Headers;
    use super::*;

    const KINDS: &[&str] = &["ticks", "key"];

    fn api() -> Api {
        Api::new("prices", None, KINDS)
    }

    fn json(payload: &str) -> Message {
        Message {
            payload: payload.into(),
            ..Message::default()
        }
    }

    fn with_headers(block: &str, payload: &str) -> Message {
        let (headers, status) = Headers::read(block.as_bytes());
        Message {
            headers,
            status,
            ..json(payload)
        }
    }

    fn refused(code: u32, text: &str) -> StoreAnswer {
        let text = text.to_owned();
        StoreAnswer::Refused { code, text }
    }

    #[test]
    fn requests_name_the_stream_and_the_domain() {
        let (subject, body) = api().create_stream(3);
        assert_eq!(subject, "$JS.API.STREAM.CREATE.prices");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = json!({
            "name": "prices", "subjects": ["prices.ticks", "prices.key"], "retention": "limits",
            "storage": "file", "num_replicas": 3, "discard": "old", "max_bytes": 16_777_216,
            "allow_direct": true, "republish": {"src": "prices.>", "dest": "prices.live.>"},
        });
        assert_eq!(body, expected);
        let hub = Api::new("prices", Some("hub"), KINDS);
        assert_eq!(hub.stream_info().0, "$JS.hub.API.STREAM.INFO.prices");
        let (subject, body) = api().get(7);
        assert_eq!(subject, "$JS.API.DIRECT.GET.prices");
        assert_eq!(body, r#"{"seq":7}"#);
        assert_eq!(api().get_from(7).1, r#"{"next_by_subj":">","seq":7}"#);
        let last = api().get_last(&api().subject("key"));
        assert_eq!(last.1, r#"{"last_by_subj":"prices.key"}"#);
        assert_eq!(api().live_subject("key"), "prices.live.key");
    }

    #[test]
    fn a_message_is_stored_or_comes_too_late() {
        let read = |payload| api().store_answer(&json(payload));
        let stored = StoreAnswer::Stored { seq: 5 };
        assert_eq!(read(r#"{"stream":"prices","seq":5}"#), stored);
        let late = read(
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 42"},"stream":"prices","seq":0}"#,
        );
        assert_eq!(late, StoreAnswer::WrongLastSequence { last: Some(42) });
        let untold =
            read(r#"{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}"#);
        assert_eq!(untold, StoreAnswer::WrongLastSequence { last: None });
    }

    #[test]
    fn reasons_for_not_storing_a_message() {
        let read = |message| api().store_answer(&message);
        let nobody = with_headers("NATS/1.0 503\r\n\r\n", "");
        assert_eq!(read(nobody), StoreAnswer::NoLeader);
        let unavailable = r#"{"error":{"code":503,"err_code":10008,"description":"x"}}"#;
        assert_eq!(read(json(unavailable)), StoreAnswer::NoLeader);
        let gone = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(read(json(gone)), StoreAnswer::NoStream);
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"full\u0007"}}"#;
        assert_eq!(read(json(full)), refused(10_077, "full "));
        let other = r#"{"error":{"code":400,"err_code":10054,"description":"too\nlong"}}"#;
        assert_eq!(read(json(other)), refused(10_054, "too long"));
        let foreign = json(r#"{"stream":"other","seq":5}"#);
        let expected = refused(0, "stream 'other' has the subjects of 'prices'");
        assert_eq!(read(foreign), expected);
        for broken in ["", "{}", "[]", r#"{"stream":"prices","seq":-1}"#, "\u{0}"] {
            let expected = refused(0, "JetStream's answer cannot be read");
            assert_eq!(read(json(broken)), expected, "{broken}");
        }
    }

    #[test]
    fn stored_messages_are_found_or_not() {
        let block = "NATS/1.0\r\nNats-Stream: prices\r\nNats-Subject: prices.key\r\nNats-Sequence: 9\r\n\r\n";
        let found = GetAnswer::Found {
            seq: 9,
            subject: "prices.key".to_owned(),
            payload: b"{}".to_vec(),
        };
        assert_eq!(GetAnswer::read(with_headers(block, "{}")), found);
        let status =
            |line: &str| GetAnswer::read(with_headers(&format!("NATS/1.0 {line}\r\n\r\n"), ""));
        assert_eq!(status("404 Message Not Found"), GetAnswer::NotFound);
        assert_eq!(status("503"), GetAnswer::Unavailable);
        let bad = GetAnswer::Refused {
            code: 408,
            text: "Bad Request".to_owned(),
        };
        assert_eq!(status("408 Bad Request"), bad);
        assert!(matches!(
            GetAnswer::read(json("")),
            GetAnswer::Refused { code: 0, .. }
        ));
    }

    #[test]
    fn a_stream_is_compared_with_what_we_need() {
        let ours: serde_json::Value = serde_json::from_str(&api().create_stream(1).1).unwrap();
        let answer = |config: serde_json::Value| {
            let state = json!({"messages": 2, "bytes": 99, "first_seq": 4, "last_seq": 5});
            let whole = json!({"type": "x", "config": config, "state": state, "created": "now"});
            match StreamAnswer::read(&json(&whole.to_string())) {
                StreamAnswer::Found(stream) => *stream,
                other => panic!("{other:?}"),
            }
        };
        let stream = answer(ours.clone());
        assert_eq!(api().differences(&stream), [""; 0]);
        assert_eq!((stream.state.first_seq, stream.state.last_seq), (4, 5));
        assert_eq!(stream.replicas(), 1);
        let mut chosen = ours;
        chosen["storage"] = "memory".into();
        chosen["max_bytes"] = 1.into();
        chosen["subjects"] = json!(["prices.key", "prices.ticks"]);
        assert_eq!(api().differences(&answer(chosen)), [""; 0]);
        let foreign = json!({"subjects": ["prices"], "retention": "workqueue", "discard": "new"});
        assert_eq!(
            api().differences(&answer(foreign)),
            [
                "subjects (expected prices.key and prices.ticks)",
                "republish (expected from prices.> to prices.live.>)",
                "allow_direct (expected true)",
                "retention (expected limits)",
                "discard (expected old)",
            ]
        );
    }

    #[test]
    fn there_may_be_no_stream_or_no_jetstream() {
        let read = |payload: &str| StreamAnswer::read(&json(payload));
        let gone = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(read(gone), StreamAnswer::NotFound);
        let off = r#"{"error":{"code":503,"err_code":10039,"description":"not enabled"}}"#;
        assert!(matches!(
            read(off),
            StreamAnswer::Refused { code: 10_039, .. }
        ));
        let nobody = with_headers("NATS/1.0 503\r\n\r\n", "");
        assert_eq!(StreamAnswer::read(&nobody), StreamAnswer::Unavailable);
        let used = r#"{"error":{"code":400,"err_code":10058,"description":"in use"}}"#;
        assert!(matches!(
            read(used),
            StreamAnswer::Refused {
                code: NAME_IN_USE,
                ..
            }
        ));
    }
}
