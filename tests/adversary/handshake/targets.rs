//! Targets, origins, bodies, and protocols that are not HTTP.

use super::Answer::{Late, Status, Upgraded};
use super::{Case, case, with};
use testkit::frames::{frame, handshake};

pub(super) fn bodies() -> Vec<Case> {
    let frame = frame(0x81, br#"{"op":"ping"}"#);
    let piped = [handshake("/").as_bytes(), &frame].concat();
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let two = last.repeat(2);
    let smuggled = format!("0\r\n\r\n{two}");
    let posted = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    let get =
        |lines: &str| format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{smuggled}");
    vec![
        with("Content-Length: 0", "Content-Length: 0", Upgraded),
        with("Content-Length: 5", "Content-Length: 5", Status(400)),
        with("Content-Length: -1", "Content-Length: -1", Status(400)),
        with("Content-Length: 0, 5", "Content-Length: 0, 5", Status(400)),
        with(
            "two lengths",
            "Content-Length: 0\r\nContent-Length: 5",
            Status(400),
        ),
        with(
            "2^64 to come",
            "Content-Length: 18446744073709551616",
            Status(400),
        ),
        with("chunked", "Transfer-Encoding: chunked", Status(400)),
        with("identity", "Transfer-Encoding: identity", Status(400)),
        with(
            "chunked in disguise",
            "Transfer-Encoding: \tchunked",
            Status(400),
        ),
        with(
            "chunked behind a space",
            "Transfer-Encoding : chunked",
            Status(400),
        ),
        case("a body", posted, Status(405)),
        case("a body to a GET", get("Content-Length: 5"), Status(400)),
        case(
            "both",
            get("Content-Length: 5\r\nTransfer-Encoding: chunked"),
            Status(400),
        ),
        case(
            "both turned round",
            get("Transfer-Encoding: chunked\r\nContent-Length: 5"),
            Status(400),
        ),
        with("to be continued", "Expect: 100-continue", Upgraded),
        case("a request behind the last", &two, Status(200)),
        case("a frame behind the request", piped, Status(400)),
        case(
            "a request behind the handshake",
            handshake("/").repeat(2),
            Status(400),
        ),
    ]
}

pub(super) fn foreign() -> Vec<Case> {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and the rest of a TLS hello";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let proxied = format!("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{}", handshake("/"));
    vec![
        case("a TLS hello", hello, Status(400)),
        case(
            "a TLS hello in front of a request",
            [hello, handshake("/").as_bytes()].concat(),
            Status(400),
        ),
        case("HTTP/2 at once", preface, Status(400)),
        case("SOCKS 5", b"\x05\x01\x00", Status(400)),
        case("SSH", "SSH-2.0-adversary\r\n", Late),
        case("Redis", "*1\r\n$4\r\nPING\r\n", Late),
        case("a proxy's line in front", proxied, Status(400)),
        case(
            "a proxy's binary line",
            b"\r\n\r\n\0\r\nQUIT\n",
            Status(400),
        ),
        case(
            "a byte order mark",
            format!("\u{feff}{}", handshake("/")),
            Status(400),
        ),
        case("a null byte", [0], Status(400)),
        case("64 KiB of null bytes", [0; 64 << 10], Status(400)),
        case("64 KiB of 0xff", [0xff; 64 << 10], Status(400)),
        case(
            "a frame without a handshake",
            frame(0x81, b"hello"),
            Status(400),
        ),
        case("text", "hello\r\n\r\n", Status(400)),
    ]
}

pub(super) fn origins() -> Vec<Case> {
    let origin = |value: &str, answer| {
        with(
            &format!("Origin: {value}"),
            &format!("Origin: {value}"),
            answer,
        )
    };
    // A foreign site has its own name point here, and its page calls the server by that name.
    let rebound = |host: &str| {
        let own = format!("Host: {host}\r\nOrigin: http://{host}");
        let request = handshake("/").replace("Host: localhost", &own);
        case(&format!("a page of {host}"), request, Status(403))
    };
    let not_text = handshake("/").replace("Host: localhost", "Host: localhost\r\nOrigin: ");
    let not_text = not_text.split_once("Origin: ").unwrap();
    let not_text = [
        not_text.0.as_bytes(),
        b"Origin: http://\xff\xfe",
        not_text.1.as_bytes(),
    ];
    vec![
        // The server listens on a loopback address, so every page of this machine may connect.
        origin("http://localhost", Upgraded),
        origin("https://LOCALHOST", Upgraded),
        origin("http://127.0.0.1:5173", Upgraded),
        origin("file://", Upgraded),
        origin("http://b", Status(403)),
        origin("http://localhost.b", Status(403)),
        origin("http://localhost@b", Status(403)),
        rebound("evil.example"),
        rebound("evil.example:8888"),
        rebound("localhost.evil.example"),
        rebound("127.0.0.1.evil.example"),
        rebound("0.0.0.0"),
        origin("http://a:80", Status(403)),
        origin("http://a.b", Status(403)),
        origin("http://b@a", Status(403)),
        origin("http://a/", Status(403)),
        origin("http://a#b", Status(403)),
        origin("http://a?b", Status(403)),
        origin("http://a http://b", Status(403)),
        origin("http://a, http://a", Status(403)),
        origin("http://", Status(403)),
        origin("http:/a", Status(403)),
        origin("a", Status(403)),
        origin("null", Status(403)),
        origin("file:///", Status(403)),
        origin("", Status(403)),
        case("an Origin that is no text", not_text.concat(), Status(403)),
        with(
            "two Origins",
            "Origin: http://a\r\nOrigin: http://b",
            Status(403),
        ),
        with(
            "two Origins alike",
            "Origin: http://a\r\nOrigin: http://a",
            Status(403),
        ),
    ]
}

pub(super) fn targets() -> Vec<Case> {
    let join = |path: &str, answer| {
        let name = format!("join {:.40} ({} bytes)", path, path.len());
        case(&name, handshake(path), answer)
    };
    let page = |path: &str, status| {
        let name = format!("page {:.40} ({} bytes)", path, path.len());
        case(
            &name,
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
            Status(status),
        )
    };
    let names = |count| vec!["x"; count].join(",");
    vec![
        page(&format!("/{}", "x".repeat(15 << 10)), 404),
        page(&format!("/{}", "x".repeat(17 << 10)), 431),
        page(&format!("/{}", "x".repeat(1 << 20)), 431),
        page("/%2e%2e/%2e%2e/etc/passwd", 404),
        page("/../../etc/passwd", 404),
        page("/%2Fmetrics", 404),
        page("/%6detrics", 404),
        page("//metrics", 404),
        page("/metrics/", 404),
        page("/metrics%00", 404),
        page("/%", 404),
        page("/%zz", 404),
        page("*", 400),
        page("metrics", 400),
        page("http://elsewhere/healthz", 200),
        page("ftp://elsewhere/", 400),
        page("/healthz?x=%ff&&&=&a=b", 200),
        case(
            "HEAD of a page",
            "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            Status(200),
        ),
        case(
            "HEAD of nothing",
            "HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
            Status(404),
        ),
        join("/elsewhere", Status(404)),
        join("/?symbols=sim%3ABTC%2FUSDT", Upgraded),
        join("/?symbols=%73im:BTC/USDT&symbols=,,,", Upgraded),
        join("/?symbols=", Upgraded),
        join("/?symbols=%00", Status(400)),
        join("/?symbols=%ff%fe", Status(400)),
        join(&format!("/?symbols={}", "x".repeat(15 << 10)), Status(400)),
        join(&format!("/?symbols={}", names(7000)), Status(400)),
        join(
            &format!("/?symbols={}sim:BTC/USDT", "sim:BTC/USDT,".repeat(1000)),
            Upgraded,
        ),
        join(&format!("/?{}", "&".repeat(15 << 10)), Upgraded),
        join("/?since=0", Upgraded),
        join("/?since=18446744073709551615", Upgraded),
        join("/?since=18446744073709551616", Status(400)),
        join("/?since=-1", Status(400)),
        join("/?since=1e9", Status(400)),
        join("/?since=%00", Status(400)),
        join("/?since=1&since=2", Upgraded),
    ]
}
