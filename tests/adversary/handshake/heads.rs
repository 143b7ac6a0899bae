//! Heads of requests that are wrong in one thing: the line, or one of the headers.

use super::Answer::{Late, NamesVersion, Status, Upgraded};
use super::{Case, but, case, with};
use testkit::frames::handshake;

pub(super) fn lines() -> Vec<Case> {
    let method = |method: &str, status| {
        but(
            &format!("method {method}"),
            "GET ",
            &format!("{method} "),
            Status(status),
        )
    };
    let version = |version: &str, answer| but(version, "HTTP/1.1", version, answer);
    vec![
        method("POST", 405),
        method("PUT", 405),
        method("DELETE", 405),
        method("TRACE", 405),
        method("PATCH", 405),
        method("get", 405),
        method("GETGETGET", 405),
        method("HEAD", 400),
        method("G\u{e9}T", 400),
        method("", 400),
        case(
            "CONNECT to elsewhere",
            "CONNECT a:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Status(405),
        ),
        version("HTTP/1.0", Status(400)),
        version("HTTP/0.9", Status(400)),
        version("HTTP/1.2", Status(400)),
        version("HTTP/2.0", Status(400)),
        version("HTTP/1", Status(400)),
        version("http/1.1", Status(400)),
        version("HTTP/1.1 HTTP/1.1", Status(400)),
        version("HTTPS/1.1", Status(400)),
        case(
            "a page by HTTP/1.0",
            "GET /healthz HTTP/1.0\r\n\r\n",
            Status(200),
        ),
        case("HTTP/0.9", "GET /\r\n\r\n", Status(400)),
        case("HTTP/0.9 that waits", "GET /\r\n", Late),
        case("empty lines only", "\r\n\r\n\r\n", Status(400)),
        case(
            "line ends without CR",
            handshake("/").replace("\r\n", "\n"),
            Upgraded,
        ),
        case(
            "line ends without LF",
            handshake("/").replace("\r\n", "\r"),
            Late,
        ),
        but(
            "a CR in a value",
            "Host: localhost",
            "Host: localhost\rb",
            Status(400),
        ),
        but(
            "a folded line",
            "Host: localhost",
            "Host: localhost\r\n b",
            Status(400),
        ),
    ]
}

pub(super) fn headers() -> Vec<Case> {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let keyed = |name, value: &str| but(name, "dGhlIHNhbXBsZSBub25jZQ==", value, Status(400));
    let version = "Sec-WebSocket-Version: 13\r\n";
    vec![
        but("no Host", "Host: localhost\r\n", "", Status(400)),
        but("an empty Host", "Host: localhost", "Host:", Status(400)),
        with("two Hosts", "Host: b", Status(400)),
        but("version 12", "13", "12", NamesVersion),
        but("version 8", "13", "8", NamesVersion),
        but("version 013", "13", "013", NamesVersion),
        but("version 13, 8", "13", "13, 8", NamesVersion),
        but("no version", version, "", NamesVersion),
        with(
            "two versions alike",
            "Sec-WebSocket-Version: 13",
            Status(400),
        ),
        with(
            "two versions that differ",
            "Sec-WebSocket-Version: 8",
            Status(400),
        ),
        but("no key", key, "", Status(400)),
        with("two keys", &key[..key.len() - 2], Status(400)),
        keyed("an empty key", ""),
        keyed("a short key", "c2hvcnQ="),
        keyed("a long key", "dGhlIHNhbXBsZSBub25jZSBpcyBsb25n"),
        keyed("a key that is no base64", "dGhlIHNhbXBsZSBub25j****"),
        keyed("a key that is no text", "\u{fc}\u{fc}"),
        but("no Upgrade", "Upgrade: websocket\r\n", "", Status(200)),
        but(
            "Upgrade to h2c",
            "Upgrade: websocket",
            "Upgrade: h2c",
            Status(200),
        ),
        but(
            "Upgrade to h2c or websocket",
            "Upgrade: w",
            "Upgrade: h2c, w",
            Upgraded,
        ),
        but(
            "Upgrade in capitals",
            "Upgrade: websocket",
            "UPGRADE: WebSocket",
            Upgraded,
        ),
        with("two Upgrades", "Upgrade: websocket", Upgraded),
        but("no Connection", "Connection: Upgrade\r\n", "", Status(400)),
        but(
            "Connection: close",
            "Connection: Upgrade",
            "Connection: close",
            Status(400),
        ),
        but(
            "Connection: keep-alive, Upgrade",
            "ion: Up",
            "ion: keep-alive, Up",
            Upgraded,
        ),
        but(
            "Connection: upgraded",
            "ion: Upgrade",
            "ion: upgraded",
            Status(400),
        ),
        with(
            "compression is offered",
            "Sec-WebSocket-Extensions: permessage-deflate",
            Upgraded,
        ),
        with(
            "subprotocols are offered",
            "Sec-WebSocket-Protocol: mqtt, chat",
            Upgraded,
        ),
        but(
            "a space before the colon",
            "Host: localhost",
            "Host : a",
            Status(400),
        ),
        but(
            "a line without a colon",
            "Host: localhost",
            "Host: localhost\r\nnonsense",
            Status(400),
        ),
        but(
            "a name that is no token",
            "Host: localhost",
            "Host: localhost\r\nX(Y): z",
            Status(400),
        ),
        but(
            "a null byte in a name",
            "Host: localhost",
            "Host: localhost\r\nX\0: y",
            Status(400),
        ),
        but(
            "a null byte in a value",
            "Host: localhost",
            "Host: localhost\0",
            Status(400),
        ),
        but("a null byte in the path", "GET /", "GET /\0", Status(400)),
    ]
}
