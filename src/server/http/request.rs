//! The request head: what a client that has just connected wants.
//!
//! Pure: bytes in, a decision out. The head is parsed once, when its end has arrived, so that a
//! client that sends it byte by byte costs no more than one that sends it whole. The checks are those
//! of RFC 6455 section 4.2.1 and of Tornado's `WebSocketHandler.get`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use httparse::Header;
use tungstenite::handshake::derive_accept_key;
use tungstenite::http::StatusCode;

use crate::server::admission::origin::{Origins, check_origin};
use crate::server::admission::tokens::Tokens;
use crate::server::config::Config;
use crate::server::metrics::Format;
use crate::server::protocol::parse_every;
use crate::server::subscriber::Delivery;

/// The longest head that is read, in bytes.
pub(crate) const HEAD_LENGTH_MAX: usize = 16 * 1024;

/// More header lines than that, and the head is refused.
const HEADERS_MAX: usize = 64;

/// What the head asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To become a WebSocket.
    Upgrade(Upgrade),
    /// For a page; only for its head if `head_only`.
    Page { page: Page, head_only: bool },
}

/// A handshake that is fine.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// The 101 answer.
    pub(crate) response: Vec<u8>,
    /// The names and patterns of symbols asked for; none for all.
    pub(crate) symbols: Option<Vec<String>>,
    /// The last stamp that the client saw, Unix µs.
    pub(crate) since: Option<u64>,
    /// How it wants its messages.
    pub(crate) delivery: Delivery,
}

/// What there is beside the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Live,
    Metrics(Format),
    Health,
    Ready,
}

/// Which of the server's ports a connection came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Port {
    /// That of the clients.
    #[default]
    Public,
    /// That of `--admin`.
    Admin,
}

/// What a head is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) port: Port,
    pub(crate) origins: &'a Origins,
    /// Who has none of these is told so, whatever it asks for.
    pub(crate) tokens: Option<&'a Tokens>,
    /// `/metrics` is served at another port.
    pub(crate) metrics_elsewhere: bool,
}

impl<'a> Rules<'a> {
    /// The rules at `port`.
    pub(crate) fn of(config: &'a Config, port: Port) -> Self {
        Self {
            port,
            origins: &config.origins,
            tokens: config.tokens.as_ref(),
            metrics_elsewhere: config.admin.is_some(),
        }
    }
}

/// A head that cannot be followed, and how that is answered.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// It answers a HEAD request, so it has no body.
    pub(crate) head_only: bool,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            head_only: false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.message)
    }
}

/// The answer to whoever speaks HTTP in plain text where TLS is spoken; as far as it has come.
pub(crate) fn without_tls(head: &[u8]) -> Refusal {
    Refusal {
        head_only: head.starts_with(b"HEAD "),
        ..bad("this port speaks TLS: use https:// or wss://")
    }
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

/// Where the head in `bytes` ends, looking only at what came after the first `known` bytes.
///
/// # Errors
/// When it can be no request, or has become too long.
pub(crate) fn end(bytes: &[u8], known: usize) -> Result<Option<usize>, Refusal> {
    let from = known.saturating_sub(3);
    let line_ends = (from..bytes.len()).filter(|&at| bytes[at] == b'\n');
    for at in line_ends {
        let behind = &bytes[at + 1..];
        let empty_line = if behind.starts_with(b"\r\n") { 2 } else { 1 };
        if empty_line == 2 || behind.starts_with(b"\n") {
            return within_limit(at + 1 + empty_line).map(Some);
        }
    }
    // Anything else that speaks first, a TLS hello for one, need not wait for the limit.
    if bytes
        .first()
        .is_some_and(|byte| !byte.is_ascii_graphic() && !b"\r\n".contains(byte))
    {
        return Err(bad("this port speaks plain HTTP and WebSocket"));
    }
    within_limit(bytes.len()).map(|_| None)
}

/// The answer to a head whose end will not come.
pub(crate) fn cut_off() -> Refusal {
    bad("the request ended before its head did")
}

fn within_limit(length: usize) -> Result<usize, Refusal> {
    if length <= HEAD_LENGTH_MAX {
        return Ok(length);
    }
    let message = format!("the request head exceeds {HEAD_LENGTH_MAX} bytes");
    Err(Refusal::new(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        message,
    ))
}

/// Reads a whole head. `more` says whether anything came behind it.
///
/// # Errors
/// The answer to give, if it cannot be followed.
pub(crate) fn read(head: &[u8], more: bool, rules: Rules<'_>) -> Result<Asked, Refusal> {
    let head_only = head.starts_with(b"HEAD ");
    parse(head, more, rules).map_err(|refusal| Refusal {
        head_only,
        ..refusal
    })
}

fn parse(head: &[u8], more: bool, rules: Rules<'_>) -> Result<Asked, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(bad("the request head is incomplete")),
        Err(httparse::Error::TooManyHeaders) => {
            let message = format!("more than {HEADERS_MAX} header lines");
            return Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                message,
            ));
        }
        Err(error) => return Err(bad(format!("the request head is malformed: {error}"))),
    }
    let method = request.method.unwrap_or_default();
    if method != "GET" && method != "HEAD" {
        return Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD here",
        ));
    }
    let fields = Fields::of(request.headers)?;
    let modern = request.version == Some(1);
    if modern && fields.host.is_none_or(<[u8]>::is_empty) {
        return Err(bad("the Host header is missing"));
    }
    let (path, query) = target(request.path.unwrap_or_default())?;
    // The health pages are for everybody: whoever looks after the server need be no client of its.
    if let Some(tokens) = rules.tokens
        && !matches!(path, "/healthz" | "/readyz")
    {
        tokens.check(fields.authorization, query)?;
    }
    if rules.port == Port::Admin && (fields.upgrade || path == "/") {
        return Err(not_found(rules));
    }
    if fields.upgrade {
        let request = Handshake {
            path,
            query,
            modern,
            get: method == "GET",
            more,
        };
        return request.check(&fields, rules).map(Asked::Upgrade);
    }
    let page = page(path, &fields, rules)?;
    Ok(Asked::Page {
        page,
        head_only: method == "HEAD",
    })
}

/// A request that asks for the upgrade.
struct Handshake<'a> {
    path: &'a str,
    query: &'a str,
    modern: bool,
    get: bool,
    more: bool,
}

impl Handshake<'_> {
    fn check(&self, fields: &Fields<'_>, rules: Rules<'_>) -> Result<Upgrade, Refusal> {
        if !self.get {
            return Err(bad("a WebSocket handshake is a GET request"));
        }
        if !self.modern {
            return Err(bad("a WebSocket handshake needs HTTP/1.1"));
        }
        if self.path != "/" {
            return Err(not_found(rules));
        }
        if !fields.connection_upgrade {
            return Err(bad("the Connection header does not say Upgrade"));
        }
        if fields.version != Some(b"13") {
            let message = "this server speaks version 13 of WebSocket";
            return Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, message));
        }
        check_origin(fields.origin, fields.host, rules.origins)?;
        if self.more {
            // RFC 6455 section 4.1: the client waits for the answer.
            return Err(bad("data came before the handshake was answered"));
        }
        let wishes = Wishes::read(self.query)?;
        Ok(Upgrade {
            response: response(fields.key)?,
            symbols: wishes.symbols,
            since: wishes.since,
            delivery: wishes.delivery,
        })
    }
}

/// The 101 answer to a key (RFC 6455 section 4.2.2).
///
/// Tungstenite's `create_response` gives the same answer to the same requests, but takes them as a
/// header map, which would have to be filled for it from what has been checked already.
fn response(key: Option<&[u8]>) -> Result<Vec<u8>, Refusal> {
    let key = key
        .filter(|key| is_key(key))
        .ok_or_else(|| bad("the Sec-WebSocket-Key header is not a key of 16 bytes"))?;
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(derive_accept_key(key).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    Ok(out)
}

/// Whether it is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    // The decoder asks for room for whole groups of three bytes.
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// What the query asks for: `symbols=A,B`, `since=STAMP`, `every=TIME`, `batch`. Others are not ours
/// to refuse.
#[derive(Default)]
struct Wishes {
    symbols: Option<Vec<String>>,
    since: Option<u64>,
    delivery: Delivery,
}

impl Wishes {
    fn read(query: &str) -> Result<Self, Refusal> {
        let mut wishes = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "symbols" => {
                    let entries = value.split(',').filter(|entry| !entry.is_empty());
                    let list = wishes.symbols.get_or_insert_default();
                    list.extend(entries.map(String::from));
                }
                "since" => {
                    let stamp = value.parse().map_err(|_| {
                        bad("invalid since: expected the stamp of a tick, its 'sent' in Unix µs")
                    })?;
                    wishes.since = Some(stamp);
                }
                "every" => {
                    wishes.delivery.every = Some(parse_every(&value).map_err(bad)?);
                }
                "batch" => {
                    wishes.delivery.batches = match &*value {
                        "" | "1" | "true" => true,
                        "0" | "false" => false,
                        _ => return Err(bad("invalid batch: expected true or false, or no value")),
                    };
                }
                _ => {}
            }
        }
        wishes.symbols = wishes.symbols.filter(|list| !list.is_empty());
        Ok(wishes)
    }
}

fn page(path: &str, fields: &Fields<'_>, rules: Rules<'_>) -> Result<Page, Refusal> {
    match path {
        "/" => Ok(Page::Live),
        "/metrics" if rules.port == Port::Admin || !rules.metrics_elsewhere => {
            let format = fields.accept.map(Format::accepted);
            Ok(Page::Metrics(format.unwrap_or_default()))
        }
        "/healthz" => Ok(Page::Health),
        "/readyz" => Ok(Page::Ready),
        _ => Err(not_found(rules)),
    }
}

fn not_found(rules: Rules<'_>) -> Refusal {
    let message = match (rules.port, rules.metrics_elsewhere) {
        (Port::Admin, _) => "there are only /metrics, /healthz and /readyz",
        (Port::Public, true) => "there are only /, /healthz and /readyz",
        (Port::Public, false) => "there are only /, /metrics, /healthz and /readyz",
    };
    Refusal::new(StatusCode::NOT_FOUND, message)
}

/// Path and query of a request target in origin or absolute form (RFC 9112 section 3.2).
fn target(target: &str) -> Result<(&str, &str), Refusal> {
    let origin_form = match target.split_once("://") {
        Some(("http" | "https" | "ws" | "wss", rest)) => match rest.find(['/', '?']) {
            Some(at) => &rest[at..],
            None => "/",
        },
        _ => target,
    };
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    match path {
        "" => Ok(("/", query)),
        path if path.starts_with('/') => Ok((path, query)),
        _ => Err(bad("the request target is not a path")),
    }
}

/// The headers that matter, each checked to be there once at most.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    authorization: Option<&'a [u8]>,
    /// The first one; others add nothing that is asked for here.
    accept: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    /// Upgrade names websocket.
    upgrade: bool,
    /// Connection names Upgrade.
    connection_upgrade: bool,
}

impl<'a> Fields<'a> {
    fn of(headers: &[Header<'a>]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for &Header { name, value } in headers {
            // Few names have the length of one that matters, so most headers cost one comparison.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => once(&mut fields.host, name, value)?,
                6 if name.eq_ignore_ascii_case("accept") => {
                    fields.accept.get_or_insert(value);
                }
                6 if name.eq_ignore_ascii_case("origin") => {
                    once(&mut fields.origin, name, value)?;
                }
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    fields.upgrade |= lists(value, "websocket");
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    fields.connection_upgrade |= lists(value, "upgrade");
                }
                17 if name.eq_ignore_ascii_case("sec-websocket-key") => {
                    once(&mut fields.key, name, value)?;
                }
                21 if name.eq_ignore_ascii_case("sec-websocket-version") => {
                    once(&mut fields.version, name, value)?;
                }
                13 if name.eq_ignore_ascii_case("authorization") => {
                    once(&mut fields.authorization, name, value)?;
                }
                14 if name.eq_ignore_ascii_case("content-length") && value != b"0" => {
                    return Err(bad("requests with a body are not read here"));
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    return Err(bad("requests with a body are not read here"));
                }
                _ => {}
            }
        }
        Ok(fields)
    }
}

fn once<'a>(field: &mut Option<&'a [u8]>, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
    match field.replace(value.trim_ascii()) {
        None => Ok(()),
        Some(_) if name.eq_ignore_ascii_case("origin") => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "several Origin headers",
        )),
        Some(_) => Err(bad(format!("several {name} headers"))),
    }
}

/// Whether a comma-separated list of tokens has `token` (RFC 9110 section 5.6.1).
fn lists(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests;
