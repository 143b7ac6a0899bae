use super::*;
use proptest::prelude::*;

fn may(origin: &str, host: &str, origins: &Origins) -> bool {
    check_origin(Some(origin.as_bytes()), Some(host.as_bytes()), origins).is_ok()
}

#[test]
fn a_page_may_connect_to_the_host_that_it_came_from() {
    for (origin, host) in [
        ("http://a.example", "a.example"),
        ("https://A.example:8888", "a.EXAMPLE:8888"),
        ("http://127.0.0.1:8888", "127.0.0.1:8888"),
        ("http://[::1]:8888", "[::1]:8888"),
        ("https://[2001:db8::1]", "[2001:DB8::1]"),
    ] {
        assert!(may(origin, host, &Origins::default()), "{origin} at {host}");
    }
    assert!(check_origin(None, Some(b"a"), &Origins::default()).is_ok());
}

#[test]
fn other_pages_and_invalid_origins_are_refused() {
    for (origin, host) in [
        ("http://b.example", "a.example"),
        ("http://a.example:8889", "a.example:8888"),
        ("http://a.example", "a.example:8888"),
        // No browser writes the scheme's default port, so the comparison is exact.
        ("http://a.example:80", "a.example"),
        ("http://a.example.b.example", "a.example"),
        ("http://a.example http://b.example", "a.example"),
        ("http://a.example/", "a.example"),
        ("null", "null"),
        ("", ""),
        ("a.example", "a.example"),
        // These texts equal their hosts, but are not valid origins.
        ("://a.example", "a.example"),
        ("http://", ""),
        ("not a scheme://a.example", "a.example"),
        ("http://user@a.example", "user@a.example"),
        ("http://a.example:99999", "a.example:99999"),
        ("http://a.example:", "a.example:"),
        ("http://[::1", "[::1"),
        ("http://[::1]x", "[::1]x"),
        ("http://[a.example]", "[a.example]"),
        ("http://a.example?x", "a.example?x"),
        ("http://\u{e9}.example", "\u{e9}.example"),
    ] {
        assert!(
            !may(origin, host, &Origins::default()),
            "{origin} at {host}"
        );
        assert!(may(origin, host, &Origins::any()));
    }
}

/// Lets pages of these origins connect.
fn listed(origins: &[&str]) -> Origins {
    let mut allowed = Origins::default();
    for origin in origins {
        allowed.allow(origin).unwrap();
    }
    allowed
}

#[test]
fn an_origin_is_allowed_by_name_or_by_a_pattern() {
    for (pattern, origin, expected) in [
        ("https://Example.org", "https://example.org", true),
        ("https://example.org:443", "https://example.org", true),
        ("http://example.org:443", "http://example.org:443", true),
        ("http://[::1]:80", "http://[::1]", true),
        ("https://example.org", "http://example.org", false),
        ("https://example.org", "https://example.org:8443", false),
        ("https://*.example.org", "https://a.b.example.org", true),
        ("https://*.example.org", "https://example.org", false),
        ("https://*.example.org", "https://evilexample.org", false),
        ("http://localhost:*", "http://localhost:5173", true),
        ("http://localhost:*", "http://localhost", true),
        ("https://*", "https://anything:1", true),
        ("https://*", "http://anything", false),
        ("null", "null", true),
        ("file://", "file://", true),
        ("null", "file://", false),
        ("capacitor://localhost", "capacitor://localhost", true),
        (
            "chrome-extension://abcdef",
            "chrome-extension://abcdef",
            true,
        ),
    ] {
        let origins = listed(&["http://other", pattern]);
        assert_eq!(
            may(origin, "here", &origins),
            expected,
            "{pattern}: {origin}"
        );
    }
    for text in [
        "example.org",
        "https://example.org/",
        "https://",
        "",
        "http://a.*",
        "http://a:b",
    ] {
        let error = Origins::default().allow(text).unwrap_err();
        assert!(error.contains("expected something like"), "{error}");
    }
}

#[test]
fn pages_of_this_machine_may_connect_while_others_cannot_reach_the_server() {
    let (open, mut local) = (Origins::default(), Origins::default());
    local.set_local(true);
    for origin in [
        "http://localhost:5173",
        "https://localhost",
        "http://127.0.0.1:3000",
        "http://[::1]:3000",
        "http://app.localhost",
        "file://",
    ] {
        assert!(may(origin, "127.0.0.1:8888", &local), "{origin}");
        assert!(!may(origin, "prices.example", &open), "{origin}");
    }
    // Any site can make a frame of the origin null, or a name that begins like one of ours.
    for origin in [
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "ftp://localhost",
        "file:///etc",
    ] {
        assert!(!may(origin, "127.0.0.1:8888", &local), "{origin}");
    }
}

#[test]
fn a_local_server_answers_to_names_of_this_machine_and_to_those_that_are_allowed() {
    let answers = |host: &str, origins: &Origins| {
        let host = Some(host.as_bytes()).filter(|host| !host.is_empty());
        let checks = [true, false].map(|is_handshake| check_host(host, is_handshake, origins));
        let statuses = checks.map(|check| check.err().map_or(200, |it| it.status.as_u16()));
        match statuses {
            [200, 200] => true,
            [403, 421] => false,
            other => panic!("{other:?}"),
        }
    };
    let mut local = Origins::any();
    local.set_local(true);
    for host in [
        "localhost:8888",
        "127.0.0.1",
        "[::1]:8888",
        "x.localhost",
        "",
    ] {
        assert!(answers(host, &local), "{host}");
    }
    // The last one is the page's own origin, by its name's new address.
    for host in [
        "prices.example",
        "10.0.0.1:8888",
        "localhost.evil.example",
        "a b",
        "evil.example:8888",
    ] {
        assert!(!answers(host, &local), "{host}");
        assert!(answers(host, &Origins::default()), "{host}");
    }
    local.allow_host("prices.example").unwrap();
    assert!(answers("prices.example", &local) && answers("localhost", &local));
    assert!(!answers("other.example", &local));
    let mut named = Origins::default();
    named.allow_host("*.example").unwrap();
    assert!(answers("prices.example:443", &named) && !answers("10.0.0.1", &named));
    named.allow_host("*").unwrap();
    assert!(answers("10.0.0.1", &named));
}

#[test]
fn a_refusal_names_both_values_and_the_way_out_without_their_tricks() {
    let origin = Some(&b"http://b.example"[..]);
    let refused = check_origin(origin, Some(b"a\x1b[2J"), &Origins::default()).unwrap_err();
    let advice = refused.advice.unwrap();
    for words in ["http://b.example", "a\\u{1b}[2J", "--allow-origin", "proxy"] {
        assert!(advice.contains(words), "{advice}");
    }
    let mut local = Origins::default();
    local.set_local(true);
    let refused = check_host(Some(b"evil.example:8888"), true, &local).unwrap_err();
    let advice = refused.advice.unwrap();
    assert!(advice.contains("evil.example:8888") && advice.contains("--allow-host evil.example "));
    let tricked = check_origin(Some(b"https://*.example"), Some(b"a"), &local).unwrap_err();
    assert_eq!(tricked.advice, None);
}

proptest! {
    #[test]
    fn any_text_is_checked_without_a_panic(origin in "\\PC{0,30}", host in "\\PC{0,30}") {
        may(&origin, &host, &Origins::default());
        let _ = Origins::default().allow(&origin);
    }
}
