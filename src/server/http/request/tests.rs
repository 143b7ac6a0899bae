use super::*;
use crate::server::admission::origin::Origins;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// The handshake of RFC 6455 section 1.3 with one line replaced or added, or without one (`-Host`).
fn handshake(changed: &str) -> String {
    let name = changed
        .trim_start_matches('-')
        .split(':')
        .next()
        .unwrap_or_default();
    let lines = [
        "Host: a.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        KEY,
        "Sec-WebSocket-Version: 13",
    ];
    let others = lines
        .iter()
        .filter(|line| line.split(':').next() != Some(name));
    let added = Some(changed).filter(|line| line.contains(':'));
    let lines: Vec<_> = others.copied().chain(added).collect();
    format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"))
}

fn policy(origins: &Origins) -> Policy<'_> {
    Policy {
        endpoint: Endpoint::Public,
        origins,
        tokens: None,
        metrics_elsewhere: false,
    }
}

fn read_str(head: &str) -> Result<Request, Rejection> {
    read(head.as_bytes(), false, policy(&Origins::default()))
}

fn status(head: &str) -> u16 {
    match read_str(head) {
        Ok(Request::Upgrade(_)) => 101,
        Ok(Request::Get(_)) => 200,
        Err(rejection) => rejection.status.as_u16(),
    }
}

#[test]
fn the_rfcs_handshake_gets_the_rfcs_answer() {
    let Ok(Request::Upgrade(upgrade)) = read_str(&handshake("")) else {
        panic!("refused")
    };
    let response = String::from_utf8(upgrade.response).unwrap().to_lowercase();
    assert!(
        response.starts_with("http/1.1 101 switching protocols\r\n"),
        "{response}"
    );
    assert!(response.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
    assert!(response.ends_with("\r\n\r\n"));
}

#[test]
fn each_part_of_the_handshake_is_checked() {
    for (changed, expected) in [
        ("", 101),
        ("Connection: keep-alive, Upgrade", 101),
        ("Upgrade: h2c, WebSocket", 101),
        ("Content-Length: 0", 101),
        ("-Host", 400),
        ("Connection: close", 400),
        ("Sec-WebSocket-Version: 8", 426),
        ("-Sec-WebSocket-Version", 426),
        ("Sec-WebSocket-Key: c2hvcnQ=", 400),
        ("Sec-WebSocket-Key: no base64 at all!!!!!", 400),
        ("-Sec-WebSocket-Key", 400),
        ("Content-Length: 5", 400),
        ("Transfer-Encoding: chunked", 400),
    ] {
        let head = handshake(changed);
        assert_eq!(status(&head), expected, "{head}");
    }
    let repeated = handshake("").replace(KEY, &format!("{KEY}\r\n{KEY}"));
    assert_eq!(status(&repeated), 400);
    assert_eq!(status(&handshake("").replace("GET", "POST")), 405);
    assert_eq!(status(&handshake("").replace("GET", "HEAD")), 400);
    assert_eq!(status(&handshake("Host:")), 400);
    assert_eq!(status(&handshake("").replace("GET / ", "GET /other ")), 404);
    assert_eq!(status(&handshake("").replace("HTTP/1.1", "HTTP/1.0")), 400);
    assert_eq!(status(&handshake("").replace("HTTP/1.1", "HTTP/2.0")), 400);
    let early = read(handshake("").as_bytes(), true, policy(&Origins::default()));
    assert_eq!(early.unwrap_err().status, StatusCode::BAD_REQUEST);
}

#[test]
fn a_browser_may_connect_from_pages_of_the_same_host() {
    for (origin, expected) in [
        ("Origin: http://a.example", 101),
        ("Origin: https://A.EXAMPLE", 101),
        ("Origin: http://a.example:80", 403),
        ("Origin: http://b.example", 403),
        ("Origin: http://a.example.b.example", 403),
        ("Origin: http://a.example/path", 403),
        ("Origin: null", 403),
        ("Origin:", 403),
        ("Origin: http://a.example\r\nOrigin: http://a.example", 403),
    ] {
        assert_eq!(status(&handshake(origin)), expected, "{origin}");
    }
    let head = handshake("Origin: http://b.example");
    let mut listed = Origins::default();
    listed.allow("http://b.example").unwrap();
    for origins in [Origins::any(), listed] {
        assert!(read(head.as_bytes(), false, policy(&origins)).is_ok());
    }
}

#[test]
fn the_query_names_symbols_and_the_last_stamp() {
    let head = handshake("").replace(
        "GET / ",
        "GET /?symbols=BTC%2FUSDT,A&x=1&since=17&symbols=B ",
    );
    let Ok(Request::Upgrade(upgrade)) = read_str(&head) else {
        panic!("refused")
    };
    assert_eq!(upgrade.symbols.unwrap(), ["BTC/USDT", "A", "B"]);
    assert_eq!(upgrade.since, Some(17));
    assert_eq!(
        status(&handshake("").replace("GET / ", "GET /?since=now ")),
        400
    );
}

#[test]
fn pages_are_found_by_their_path() {
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(
        status("GET http://a/metrics?x HTTP/1.1\r\nHost: a\r\n\r\n"),
        200
    );
    assert_eq!(status("GET /healthz HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(status("HEAD /readyz HTTP/1.1\nHost: a\n\n"), 200);
    assert_eq!(status("GET /favicon.ico HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(status("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(status("GET a HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
    assert_eq!(
        status(&format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: y\r\n".repeat(64)
        )),
        431
    );
}

#[test]
fn bytes_that_cannot_become_a_request_are_refused_at_once() {
    let tls_hello = [0x16, 0x03, 0x01, 0x02];
    assert_eq!(
        end(&tls_hello, 0).unwrap_err().status,
        StatusCode::BAD_REQUEST
    );
    let endless = vec![b'x'; HEAD_LENGTH_MAX + 1];
    let rejection = end(&endless, HEAD_LENGTH_MAX).unwrap_err();
    assert_eq!(
        rejection.status,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
}
