//! What each path is for, and the policy that requests are checked against.
//!
//! A new endpoint is a line in [`route`], a variant of [`Target`] and a label in
//! [`Route`](crate::server::counters::Route).

use percent_encoding::percent_decode_str;
use tungstenite::http::StatusCode;

use crate::server::admission::origin::Origins;
use crate::server::admission::tokens::Tokens;
use crate::server::config::Config;
use crate::server::counters::Route;
use crate::server::http::data::{Data, Format, Which};
use crate::server::http::headers::Accept;
use crate::server::http::query::{Name, Query, WISHES};
use crate::server::rejection::Rejection;

/// What a request that is no handshake asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Live,
    /// What the server is, as JSON.
    Info,
    Metrics,
    Health,
    Ready,
    /// How a handshake for these symbols would be answered; `None` for all.
    Check(Option<Vec<String>>),
    /// Prices and symbols.
    Data(Data),
    /// What may be asked for, and by whom.
    Options,
}

impl Target {
    /// How the metrics count it.
    pub(crate) fn route(&self) -> Route {
        match self {
            Self::Live => Route::Live,
            Self::Info => Route::Info,
            Self::Metrics => Route::Metrics,
            Self::Health => Route::Health,
            Self::Ready => Route::Ready,
            Self::Check(_) => Route::Check,
            Self::Data(data) => data.route(),
            Self::Options => Route::Options,
        }
    }
}

/// The port that a connection came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The port that clients connect to.
    #[default]
    Public,
    /// The port of `--admin`.
    Admin,
}

/// The policy that a request is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) origins: &'a Origins,
    /// A request without one of these is rejected, health pages excepted.
    pub(crate) tokens: Option<&'a Tokens>,
    /// `/metrics` is served at another port.
    pub(crate) metrics_elsewhere: bool,
}

impl<'a> Policy<'a> {
    /// The policy at `endpoint`.
    pub(crate) fn of(config: &'a Config, endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            origins: &config.origins,
            tokens: config.tokens.as_ref(),
            metrics_elsewhere: config.admin.is_some(),
        }
    }
}

/// What a GET of `path` with `query` asks for.
///
/// # Errors
/// When this endpoint has no such path, or the query is invalid.
pub(crate) fn route(
    (path, query): (&str, &str),
    accept: Accept,
    policy: Policy<'_>,
) -> Result<Target, Rejection> {
    let is_public = policy.endpoint == Endpoint::Public;
    let (first, symbol) = split(path);
    match (first, symbol) {
        ("/metrics", None) if !is_public || !policy.metrics_elsewhere => Ok(Target::Metrics),
        ("/healthz", None) => Ok(Target::Health),
        ("/readyz", None) => Ok(Target::Ready),
        _ if !is_public => Err(not_found(policy)),
        ("/", None) if accept.json && !accept.html => Ok(Target::Info),
        ("/", None) => Ok(Target::Live),
        ("/check", None) => check(query),
        ("/ticks", _) => ticks(symbol, query, accept).map(Target::Data),
        ("/history", Some(symbol)) => history(symbol, query, accept).map(Target::Data),
        ("/symbols", None) => symbols(query, accept).map(Target::Data),
        _ => Err(not_found(policy)),
    }
}

fn check(query: &str) -> Result<Target, Rejection> {
    let query = Query::read(query, &WISHES)?;
    Ok(Target::Check(query.symbols))
}

/// `/ticks`, `/ticks/SYMBOL`.
fn ticks(symbol: Option<&str>, query: &str, accept: Accept) -> Result<Data, Rejection> {
    let (which, format) = match symbol {
        Some(symbol) => {
            let query = Query::read(query, &[Name::Format])?;
            (Which::One(decoded(symbol)?), query.format)
        }
        None => {
            let query = Query::read(query, &[Name::Symbols, Name::Format])?;
            (Which::Many(query.symbols), query.format)
        }
    };
    let format = format.unwrap_or_else(|| Format::accepted(accept));
    Ok(Data::Ticks { which, format })
}

/// `/history/SYMBOL`.
fn history(symbol: &str, query: &str, accept: Accept) -> Result<Data, Rejection> {
    let query = Query::read(query, &[Name::Since, Name::Limit, Name::Format])?;
    Ok(Data::History {
        symbol: decoded(symbol)?,
        since: query.since,
        limit: query.limit.unwrap_or(LIMIT),
        format: query.format.unwrap_or_else(|| Format::accepted(accept)),
    })
}

/// How many ticks of a history are sent to those who do not say.
const LIMIT: usize = 1000;

/// `/symbols`.
fn symbols(query: &str, accept: Accept) -> Result<Data, Rejection> {
    let query = Query::read(query, &[Name::Symbols, Name::Format])?;
    Ok(Data::Symbols {
        symbols: query.symbols,
        format: query.format.unwrap_or_else(|| Format::accepted(accept)),
    })
}

/// Whether programs rather than people read what is at `path`, so that errors are JSON, too.
pub(crate) fn is_for_programs(path: &str, accept: Accept) -> bool {
    matches!(split(path).0, "/ticks" | "/symbols" | "/history") || accept.json && !accept.html
}

/// The first part of a path, and what is behind the slash after it.
fn split(path: &str) -> (&str, Option<&str>) {
    let end = path.get(1..).and_then(|rest| rest.find('/'));
    match end.map(|end| path.split_at(end + 1)) {
        Some((first, rest)) => (first, Some(&rest[1..])),
        None => (path, None),
    }
}

/// A symbol in a path. It may have slashes and colons, plain or percent-encoded.
fn decoded(symbol: &str) -> Result<String, Rejection> {
    let decoded = percent_decode_str(symbol).decode_utf8();
    let symbol = decoded.map_err(|_| {
        Rejection::bad_request("invalid symbol in the path: expected percent-encoded UTF-8")
    })?;
    Ok(symbol.into_owned())
}

/// The answer to a path that is not served at this endpoint.
pub(crate) fn not_found(policy: Policy<'_>) -> Rejection {
    let message = match (policy.endpoint, policy.metrics_elsewhere) {
        (Endpoint::Admin, _) => "no such page: this port has /metrics, /healthz and /readyz",
        (Endpoint::Public, true) => {
            "no such page: this port has /, /sse, /ticks, /symbols, /history, /check, /healthz and /readyz"
        }
        (Endpoint::Public, false) => {
            "no such page: this port has /, /sse, /ticks, /symbols, /history, /check, /metrics, \
             /healthz and /readyz"
        }
    };
    Rejection::new(StatusCode::NOT_FOUND, message)
}
