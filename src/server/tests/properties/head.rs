//! Request heads: cuts make no difference, only a valid handshake is upgraded, and every answer is
//! valid HTTP.

use tungstenite::handshake::derive_accept_key;

use crate::fuzzing;
use crate::server::config::Config;
use crate::server::http::request::{self, HEAD_LENGTH_MAX, Request};
use crate::server::http::response;
use crate::server::http::router::{Endpoint, Policy};
use crate::server::http::upgrade::Upgrade;
use crate::server::rejection::Rejection;

type Decision = Option<Result<Request, Rejection>>;

/// Treats `bytes` as the first bytes of a client.
///
/// # Panics
/// When a promise is broken.
pub fn request_head(bytes: &[u8]) {
    let end = request::end(bytes, 0).ok().flatten().unwrap_or(bytes.len());
    let head = &bytes[..end];
    let is_found = request::end(bytes, 0).is_ok_and(|end| end.is_some());
    assert!(!is_found || Some(end) == empty_line(bytes), "ends at {end}");
    // No read brings more bytes at once.
    let whole = decide(head.chunks(HEAD_LENGTH_MAX));
    let described = describe(&whole);
    assert_eq!(described, describe(&decide(head.chunks(1))), "byte by byte");
    let pieces = fuzzing::pieces(head);
    assert_eq!(
        described,
        describe(&decide(pieces.into_iter())),
        "in pieces"
    );
    match &whole {
        None => assert!(head.len() <= HEAD_LENGTH_MAX, "no limit"),
        Some(Err(rejection)) => check_refusal(rejection),
        Some(Ok(asked)) => {
            check_addition(head, &described);
            if let Request::Upgrade(upgrade) = asked {
                check_upgrade(head, upgrade);
            }
        }
    }
    if let Some(Ok(Request::Get(_))) | None = whole {
        return;
    }
    // Bytes that arrive after a handshake, before its answer, end it; they change no rejection.
    let early = decide(std::iter::once(&[head, b"\x81"].concat()[..]));
    let early = early
        .and_then(Result::err)
        .map(|rejection| rejection.status.as_u16());
    let refused = whole
        .and_then(Result::err)
        .map_or(400, |rejection| rejection.status.as_u16());
    assert!(
        early == Some(refused) || head.len() >= HEAD_LENGTH_MAX,
        "{early:?}"
    );
}

/// Where the first empty line ends, not counting the very first line.
fn empty_line(bytes: &[u8]) -> Option<usize> {
    let ends = (0..bytes.len()).filter(|&at| bytes[at] == b'\n');
    let behind = ends.map(|at| (at + 1, &bytes[at + 1..]));
    let mut ends = behind.filter_map(|(at, behind)| match behind {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    });
    ends.next()
}

fn decide<'b>(mut pieces: impl Iterator<Item = &'b [u8]>) -> Decision {
    let (config, mut head) = (Config::default(), Vec::new());
    let rules = Policy::of(&config, Endpoint::Public);
    let decision = pieces.find_map(|piece| {
        let (decision, used) = request::receive(&mut head, piece, rules)?;
        assert!(
            (1..=piece.len()).contains(&used),
            "{used} of {}",
            piece.len()
        );
        Some(decision)
    });
    assert!(
        head.len() <= 2 * HEAD_LENGTH_MAX,
        "{} bytes kept",
        head.len()
    );
    decision
}

/// The words of a rejection may depend on how many bytes had arrived by then.
fn describe(decision: &Decision) -> String {
    match decision {
        Some(Err(rejection)) => format!("{} {}", rejection.status, rejection.form.head_only),
        other => format!("{other:?}"),
    }
}

fn check_refusal(rejection: &Rejection) {
    assert!(rejection.status.is_client_error(), "{rejection}");
    assert!(
        !rejection.message.contains(char::is_control),
        "{rejection:?}"
    );
    assert!(rejection.message.len() < 200, "{rejection:?}");
    let bytes = response::reject(rejection);
    let (status, headers, body) = parse_answer(&bytes);
    assert_eq!(status, rejection.status.as_u16());
    let length = header(&headers, "content-length").and_then(|text| text.parse().ok());
    if !rejection.form.json_errors {
        assert_eq!(length, Some(rejection.message.len() + 1));
    }
    let head_only = rejection.form.head_only;
    assert_eq!(Some(body), if head_only { Some(0) } else { length });
}

/// Adding a header without meaning changes no decision.
fn check_addition(head: &[u8], described: &str) {
    let without_end = head.strip_suffix(b"\r\n").or(head.strip_suffix(b"\n"));
    let longer = [without_end.unwrap_or(head), b"X-Y: \"z\"\r\n\r\n"].concat();
    let longer = describe(&decide(longer.chunks(HEAD_LENGTH_MAX)));
    let is_too_long =
        longer.starts_with("431") && head.iter().filter(|&&byte| byte == b'\n').count() > 60;
    assert!(
        longer == described || is_too_long || head.len() > HEAD_LENGTH_MAX - 20,
        "{longer}, {described}"
    );
}

fn check_upgrade(head: &[u8], upgrade: &Upgrade) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_start_matches(['\r', '\n']).lines();
    let request = lines.next().unwrap_or_default();
    assert!(
        request.starts_with("GET ") && request.ends_with(" HTTP/1.1"),
        "{request}"
    );
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let one = |name: &str| {
        let mut values = headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice");
        value
    };
    assert_eq!(one("sec-websocket-version"), Some("13"));
    assert!(one("host").is_some_and(|host| !host.is_empty()));
    assert!(one("transfer-encoding").is_none(), "a body");
    if let Some(origin) = one("origin") {
        let (_, authority) = origin.split_once("://").expect("an origin");
        assert!(authority.eq_ignore_ascii_case(one("host").unwrap_or_default()));
    }
    let accept = derive_accept_key(one("sec-websocket-key").expect("a key").as_bytes());
    let (status, answered, body) = parse_answer(&upgrade.response);
    assert_eq!((status, body, answered.len()), (101, 0, 3), "{answered:?}");
    assert_eq!(header(&answered, "sec-websocket-accept"), Some(&*accept));
    let symbols = upgrade.symbols.iter().flatten();
    let length: usize = symbols
        .inspect(|symbol| assert!(!symbol.is_empty()))
        .map(String::len)
        .sum();
    // An invalid byte becomes a character of three bytes.
    assert!(length <= 3 * request.len(), "{length} bytes of symbols");
}

type Headers = Vec<(String, String)>;

/// The status, headers and body length of an answer.
fn parse_answer(bytes: &[u8]) -> (u16, Headers, usize) {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = response.parse(bytes) else {
        panic!("no HTTP: {}", String::from_utf8_lossy(bytes))
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = response.headers.iter();
    let headers = headers.map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
    (
        response.code.unwrap_or(0),
        headers.collect(),
        bytes.len() - end,
    )
}

fn header<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz_twin;
    use proptest::prelude::*;

    /// Header lines that matter, most of them valid.
    fn line() -> impl Strategy<Value = String> {
        const RIGHT: [&str; 9] = [
            "Host: a.example",
            "host:a.example",
            "Upgrade: websocket",
            "UPGRADE: h2c, WebSocket",
            "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Origin: http://A.example",
            "Content-Length: 0",
        ];
        let name = "(Host|Origin|Upgrade|Connection|Sec-WebSocket-(Key|Version|Protocol)|Content-Length|Transfer-Encoding|X)";
        prop_oneof![
            8 => prop::sample::select(&RIGHT[..]).prop_map(str::to_owned),
            1 => (name, " ?\\PC{0,20}").prop_map(|(name, value)| format!("{name}:{value}")),
            1 => "\\PC{0,20}",
        ]
    }

    proptest! {
        #[test]
        fn any_head_gets_a_sound_decision(
            method in "(GET){8}|HEAD|POST|get", target in "(/){3}|/metrics|/\\?(symbols|since)=[A-Z0-9%/,&]{0,12}|[ -~]{0,12}",
            version in "(HTTP/1\\.1){4}|HTTP/1\\.0|HTTP/2\\.0", line_end in "\r\n|\n",
            lines in prop::collection::vec(line(), 0..9), end in any::<bool>(),
        ) {
            // The generator repeats valid parts to make them likely; one of them is meant.
            let first = |text: &str, most: usize| text[..most.min(text.len())].to_owned();
            let method = if method.starts_with("GET") { "GET".to_owned() } else { method };
            let target = if target.starts_with("//") { "/".to_owned() } else { target };
            let request = format!("{method} {target} {}", first(&version, 8));
            let mut head = [vec![request], lines].concat().join(&line_end);
            if end {
                head += &line_end.repeat(2);
            }
            request_head(head.as_bytes());
        }

        #[test]
        fn a_damaged_head_gets_a_sound_decision(bytes in fuzz_twin::damaged("request_head")) {
            request_head(&bytes);
        }
    }

    #[test]
    fn the_seeds_hold() {
        fuzz_twin::hold("request_head", request_head);
    }
}
