//! Prices and symbols for clients that ask once: `/ticks`, `/symbols`.
//!
//! Ticks are the bytes that are on the tape, so every digit is as the stream has it.

use std::fmt::Write;
use std::time::Instant;

use tungstenite::http::StatusCode;

use crate::server::counters::Route;
use crate::server::http::headers::Accept;
use crate::server::http::response::JSON;
use crate::server::http::selection::select;
use crate::server::hub::{Hub, SelectError, SymbolInfo};
use crate::server::rejection::Rejection;

/// A request for prices or symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// The newest ticks.
    Ticks { which: Which, format: Format },
    /// What the tape still has of a symbol.
    History {
        symbol: String,
        since: Option<u64>,
        limit: usize,
        format: Format,
    },
    /// What is known of symbols; `None` for all.
    Symbols {
        symbols: Option<Vec<String>>,
        format: Format,
    },
}

/// The symbols that a request for ticks is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one in the path.
    One(String),
    /// Those in the query; `None` for all.
    Many(Option<Vec<String>>),
}

/// How a list of JSON objects is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON list.
    Json,
    /// A line for each.
    Ndjson,
}

/// The body of an answer.
pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Data {
    /// How the metrics count it.
    pub(crate) fn route(&self) -> Route {
        match self {
            Self::Ticks { .. } => Route::Ticks,
            Self::History { .. } => Route::History,
            Self::Symbols { .. } => Route::Symbols,
        }
    }

    /// The answer, as of `now`.
    ///
    /// # Errors
    /// When a name stands for no symbol.
    pub(crate) fn answer(&self, hub: &mut Hub, now: Instant) -> Result<Body, Rejection> {
        match self {
            Self::Ticks { which, format } => ticks(which, *format, hub),
            Self::History {
                symbol,
                since,
                limit,
                format,
            } => history(symbol, *since, *limit, *format, hub),
            Self::Symbols { symbols, format } => {
                let list = select(symbols.as_deref(), hub)?;
                let mut objects = Objects::new(*format);
                for info in hub.infos_in(list, now) {
                    objects.push(info_json(&info).as_bytes());
                }
                hub.give_back(list);
                Ok(objects.finish(hub))
            }
        }
    }
}

fn ticks(which: &Which, format: Format, hub: &mut Hub) -> Result<Body, Rejection> {
    let mut objects = Objects::new(format);
    match which {
        Which::One(name) => {
            let newest = hub.newest(name).map_err(|error| unknown_symbol(&error))?;
            if newest.is_empty() {
                let error = format!("there is no price of '{name}' yet");
                return Err(Rejection::new(StatusCode::NOT_FOUND, error));
            }
            objects.push(newest);
            Ok(objects.finish_one(hub))
        }
        Which::Many(symbols) => {
            let list = select(symbols.as_deref(), hub)?;
            for tick in hub.newest_in(list) {
                objects.push(tick);
            }
            hub.give_back(list);
            Ok(objects.finish(hub))
        }
    }
}

fn history(
    symbol: &str,
    since: Option<u64>,
    limit: usize,
    format: Format,
    hub: &Hub,
) -> Result<Body, Rejection> {
    let history = hub.history(symbol, since, limit);
    let history = history.map_err(|error| unknown_symbol(&error))?;
    let mut objects = Objects::new(format);
    for tick in &history.ticks {
        objects.push(tick);
    }
    let mut body = objects.finish(hub);
    if format == Format::Json {
        let begin = format!(r#"{{"complete":{},"ticks":"#, history.is_complete);
        body.bytes = [begin.as_bytes(), &body.bytes, b"}"].concat();
    }
    Ok(body)
}

/// The path names a symbol, so one that does not exist is a page that does not.
fn unknown_symbol(error: &SelectError) -> Rejection {
    Rejection::new(StatusCode::NOT_FOUND, error.to_string())
}

/// The JSON of a line of `/symbols`.
fn info_json(info: &SymbolInfo<'_>) -> String {
    let text = |text: Option<&str>| serde_json::Value::from(text).to_string();
    let ms = |time: Option<std::time::Duration>| {
        time.map_or("null".to_owned(), |time| time.as_millis().to_string())
    };
    let mut out = format!(
        r#"{{"symbol":{},"market":{},"source":{},"stale":{},"age":{},"stale_after":{}"#,
        info.name_json,
        text(Some(info.market)),
        text(info.source),
        info.stale_for.is_some(),
        ms(info.age),
        ms(info.stale_after),
    );
    // Writing to a string cannot fail.
    let _ = match info.seq {
        0 => write!(out, r#","seq":0,"sent":null}}"#),
        seq => write!(out, r#","seq":{seq},"sent":{}}}"#, info.sent),
    };
    out
}

/// A list of JSON objects in the making.
struct Objects {
    format: Format,
    out: Vec<u8>,
    count: usize,
}

impl Objects {
    fn new(format: Format) -> Self {
        Self {
            format,
            out: Vec::new(),
            count: 0,
        }
    }

    fn push(&mut self, object: &[u8]) {
        if self.format == Format::Json {
            self.out.push(if self.count == 0 { b'[' } else { b',' });
        }
        self.out.extend_from_slice(object);
        if self.format == Format::Ndjson {
            self.out.push(b'\n');
        }
        self.count += 1;
    }

    /// The list. Its length is work like any other that clients ask for.
    fn finish(mut self, hub: &Hub) -> Body {
        hub.worked(self.out.len() / BYTES_PER_LOOK);
        if self.format == Format::Json {
            let end: &[u8] = if self.count == 0 { b"[]" } else { b"]" };
            self.out.extend_from_slice(end);
        }
        self.into_body()
    }

    /// The only object, not as a list.
    fn finish_one(mut self, hub: &Hub) -> Body {
        hub.worked(1);
        if self.format == Format::Json {
            self.out.remove(0);
        }
        self.into_body()
    }

    fn into_body(self) -> Body {
        Body {
            content_type: match self.format {
                Format::Json => JSON,
                Format::Ndjson => "application/x-ndjson",
            },
            bytes: self.out,
        }
    }
}

impl Format {
    /// The format that a client accepts.
    pub(crate) fn accepted(accept: Accept) -> Self {
        if accept.ndjson && !accept.json {
            Self::Ndjson
        } else {
            Self::Json
        }
    }
}

/// Copying this many bytes takes about as long as looking at a symbol.
const BYTES_PER_LOOK: usize = 64;
