use super::*;
use crate::server::Origins;
use std::ffi::OsString;

fn parse(line: &str) -> Result<Command, BadOption> {
    Command::parse(Options::new(
        line.split_whitespace().map(OsString::from).collect(),
    ))
}

fn args(line: &str) -> Args {
    match parse(line) {
        Ok(Command::Serve(args)) => *args,
        other => panic!("{line}: {other:?}"),
    }
}

/// The options in the help text, and whether each takes a value.
fn documented() -> impl Iterator<Item = (&'static str, bool)> {
    HELP.lines()
        .filter(|line| line.starts_with("  --"))
        .map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            (
                name,
                words
                    .next()
                    .is_some_and(|word| word.chars().all(|c| !c.is_lowercase())),
            )
        })
}

#[test]
fn every_documented_option_is_understood() {
    for (name, takes_value) in documented().filter(|(_, takes_value)| *takes_value) {
        let error = parse(name).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("{name}: a value is missing"),
            "{takes_value}"
        );
    }
    assert!(documented().count() > 20);
}

#[test]
fn the_documented_defaults_are_those_that_hold() {
    let defaults = args("");
    let stated = args(
        "--port 8888 --address 127.0.0.1 --source sim --symbols BTC/USDT --interval 250ms \
         --speed 1 --max-message-size 4KiB --message-rate 50 --tape 8MiB --list-memory 64MiB --max-batch 500 --resume-wait 2s \
         --send-buffer 64KiB --request-timeout 10s --handshake-timeout 5s --close-timeout 5s --ping-interval 20s \
         --ping-timeout 20s --conflate-after 1s --slow-timeout 30s --drain 2s --shutdown-timeout 2s \
         --log info",
    );
    assert_eq!(format!("{defaults:?}"), format!("{stated:?}"));
}

#[test]
fn bad_values_are_named_with_what_would_be_right() {
    for (line, expected) in [
        (
            "--port 99999",
            "--port: '99999' is no port, try a number from 0 to 65535",
        ),
        (
            "--symbols BTC",
            "--symbols: invalid symbol 'BTC': expected BASE/QUOTE, such as BTC/USDT",
        ),
        ("--symbols A/B,A/B", "--symbols: 'A/B' is listed twice"),
        (
            "--ping-timeout 1m",
            "--ping-timeout: not longer than --ping-interval, which is 20s",
        ),
        (
            "--allow-origin x",
            "--allow-origin: 'x' is no origin, try https://example.org or *",
        ),
        (
            "--allow-origin https://example.org/",
            "--allow-origin: 'https://example.org/' is no origin, try https://example.org or *",
        ),
        (
            "--admin 9100",
            "--admin: '9100' is no address with a port, try 127.0.0.1:9100",
        ),
        (
            "--admin 127.0.0.1:8888",
            "--admin: clients connect there, take another port",
        ),
        (
            "--max-clients-per-ip 0",
            "--max-clients-per-ip: '0' is no count, try a whole number from 1",
        ),
        ("--tape 1", "--tape: at least 65536"),
        ("--tape 5GiB", "--tape: at most 4 GiB"),
        ("--max-batch 0", "--max-batch: at least 1"),
        (
            "--symbols */USDT",
            "--symbols: invalid symbol '*/USDT': clients may ask for patterns, the server needs names",
        ),
        (
            "--symbols @/no/such/file",
            "--symbols: cannot read /no/such/file: No such file or directory (os error 2)",
        ),
        ("--tape 8589934592GiB", "--tape: at most 4 GiB"),
        (
            "--upstream localhost:9000",
            "--upstream: 'localhost:9000' is no address, try http://127.0.0.1:9000",
        ),
        (
            "--source binance --spread",
            "--spread: works with --source sim only",
        ),
        ("--tls-cert a.pem", "--tls-cert: needs --tls-key too"),
        ("--tls-key a.pem", "--tls-key: needs --tls-cert too"),
        ("--interval 0", "--interval: '0' is too short, try 1ms"),
        ("--verbose", "unexpected argument '--verbose', see --help"),
    ] {
        assert_eq!(parse(line).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_admin_door_is_none_that_clients_come_to() {
    for (address, admin, is_fine) in [
        ("127.0.0.1", "127.0.0.1:8888", false),
        ("0.0.0.0", "127.0.0.1:8888", false),
        ("127.0.0.1", "0.0.0.0:8888", false),
        ("::", "[::1]:8888", false),
        ("::", "127.0.0.1:8888", true),
        ("127.0.0.1", "127.0.0.2:8888", true),
        ("0.0.0.0", "127.0.0.1:8889", true),
    ] {
        let line = format!("--reuse-port --address {address} --admin {admin}");
        assert_eq!(parse(&line).is_ok(), is_fine, "{line}");
    }
    assert!(parse("--port 0 --admin 127.0.0.1:0").is_ok());
}

#[test]
fn origins_add_up() {
    let two = args("--allow-origin http://A:80 --allow-origin http://b")
        .config
        .origins;
    assert_eq!(
        two,
        Origins::Listed(vec!["http://a".into(), "http://b".into()])
    );
    assert_eq!(
        args("--allow-origin http://a --allow-origin *")
            .config
            .origins,
        Origins::Any
    );
}

#[test]
fn what_is_no_value_is_a_flag_and_understood() {
    let flags: Vec<_> = documented()
        .filter(|(_, takes_value)| !takes_value)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        flags,
        [
            "--reuse-port",
            "--changes-only",
            "--list-sources",
            "--spread",
            "--version"
        ]
    );
    assert!(args("--reuse-port").config.reuse_port);
    assert!(args("--changes-only").feed.online.changes_only);
    assert!(args("--spread").feed.spread);
    assert!(matches!(
        parse("--list-sources"),
        Ok(Command::ListSources(_))
    ));
}

#[test]
fn a_url_needs_to_be_told_what_it_has_and_where() {
    let url = "--source https://a.b/c";
    for (more, expected) in [
        (
            "--symbols A/B",
            "--price: is missing, say where the price is: /data/price",
        ),
        (
            "--price /p",
            "--symbols: a URL has exactly one, as BTC/USDT",
        ),
        (
            "--price /p --symbols A/B,A/C",
            "--symbols: a URL has exactly one, as BTC/USDT",
        ),
        (
            "--price p",
            "--price: 'p' is no JSON pointer, try /data/price",
        ),
    ] {
        let error = parse(&format!("{url} {more}")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let whole = args(&format!("{url} --price /p --time /t --symbols A/B"));
    assert!(whole.source.is_url());
    let error = parse("--source binance --price /p").unwrap_err();
    assert_eq!(error.to_string(), "--price: is for --source https://… only");
}
