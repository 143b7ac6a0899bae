//! The headers that matter to a request, each allowed at most once.

use httparse::Header;
use tungstenite::http::StatusCode;

use crate::server::rejection::Rejection;

/// The headers that matter, each allowed at most once.
#[derive(Default)]
pub(crate) struct Headers<'a> {
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) origin: Option<&'a [u8]>,
    pub(crate) authorization: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) version: Option<&'a [u8]>,
    pub(crate) if_none_match: Option<&'a [u8]>,
    pub(crate) last_event_id: Option<&'a [u8]>,
    /// Upgrade names websocket.
    pub(crate) upgrade: bool,
    /// Connection names Upgrade.
    pub(crate) connection_upgrade: bool,
    /// Connection names close.
    pub(crate) close: bool,
    /// Connection names keep-alive, which clients of HTTP/1.0 have to ask for.
    pub(crate) keep_alive: bool,
    /// The content types that Accept names.
    pub(crate) accept: Accept,
}

/// The content types that a client names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) html: bool,
    pub(crate) json: bool,
    pub(crate) ndjson: bool,
}

impl Accept {
    /// Notes the types in a comma-separated list. A type whose quality is zero is not accepted.
    fn note(&mut self, value: &[u8]) {
        for item in items(value) {
            if item.is("text/html") {
                self.html = true;
            } else if item.is("application/json") {
                self.json = true;
            } else if item.is("application/x-ndjson") {
                self.ndjson = true;
            }
        }
    }
}

impl<'a> Headers<'a> {
    pub(crate) fn of(lines: &[Header<'a>]) -> Result<Self, Rejection> {
        let mut headers = Self::default();
        for &Header { name, value } in lines {
            // Few header names have the length of one that matters, so most headers cost one
            // comparison.
            match name.len() {
                6 if name.eq_ignore_ascii_case("accept") => headers.accept.note(value),
                4 if name.eq_ignore_ascii_case("host") => once(&mut headers.host, name, value)?,
                6 if name.eq_ignore_ascii_case("origin") => {
                    once(&mut headers.origin, name, value)?;
                }
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    headers.upgrade |= lists(value, "websocket");
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    headers.connection_upgrade |= lists(value, "upgrade");
                    headers.close |= lists(value, "close");
                    headers.keep_alive |= lists(value, "keep-alive");
                }
                17 if name.eq_ignore_ascii_case("sec-websocket-key") => {
                    once(&mut headers.key, name, value)?;
                }
                21 if name.eq_ignore_ascii_case("sec-websocket-version") => {
                    once(&mut headers.version, name, value)?;
                }
                13 if name.eq_ignore_ascii_case("if-none-match") => {
                    headers.if_none_match = Some(value);
                }
                13 if name.eq_ignore_ascii_case("authorization") => {
                    once(&mut headers.authorization, name, value)?;
                }
                13 if name.eq_ignore_ascii_case("last-event-id") => {
                    once(&mut headers.last_event_id, name, value)?;
                }
                14 if name.eq_ignore_ascii_case("content-length") && value != b"0" => {
                    return Err(Rejection::bad_request(
                        "requests with a body are not accepted",
                    ));
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    return Err(Rejection::bad_request(
                        "requests with a body are not accepted",
                    ));
                }
                _ => {}
            }
        }
        Ok(headers)
    }
}

fn once<'a>(field: &mut Option<&'a [u8]>, name: &str, value: &'a [u8]) -> Result<(), Rejection> {
    match field.replace(value.trim_ascii()) {
        None => Ok(()),
        Some(_) if name.eq_ignore_ascii_case("origin") => Err(Rejection::new(
            StatusCode::FORBIDDEN,
            "several Origin headers",
        )),
        Some(_) => Err(Rejection::bad_request(format!("several {name} headers"))),
    }
}

/// An item of a list, such as `text/html;q=0.9`, that is accepted.
#[derive(Clone, Copy)]
struct Item<'a>(&'a [u8]);

impl Item<'_> {
    fn is(self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The items of a comma-separated list, without those whose quality is zero (RFC 9110 section
/// 12.4.2).
fn items(value: &[u8]) -> impl Iterator<Item = Item<'_>> {
    value.split(|&byte| byte == b',').filter_map(|item| {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next()?;
        let is_refused = parts.any(|part| {
            let quality = part.strip_prefix(b"q=").or(part.strip_prefix(b"Q="));
            quality.is_some_and(|digits| digits.iter().all(|&digit| matches!(digit, b'0' | b'.')))
        });
        (!is_refused).then_some(Item(name))
    })
}

/// Whether a comma-separated list of tokens has `token` (RFC 9110 section 5.6.1).
fn lists(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
