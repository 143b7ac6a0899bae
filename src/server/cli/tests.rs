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
                    // A value in brackets may be left out.
                    .is_some_and(|word| word.chars().all(|c| c != '[' && !c.is_lowercase())),
            )
        })
}

#[test]
fn every_documented_option_is_understood() {
    for (name, takes_value) in documented().filter(|(_, takes_value)| *takes_value) {
        let error = parse(name).unwrap_err().to_string();
        assert_eq!(error, format!("{name}: missing value"), "{takes_value}");
    }
    assert!(documented().count() > 20);
}

/// Defaults that the help describes in words, and options that ask for the same.
const DEFAULTS_IN_WORDS: &[(&str, &str, &str)] = &[
    ("--max-clients", "as descriptors allow", ""),
    ("--max-clients-per-ip", "no limit", ""),
    ("--fields", "none", ""),
    ("--stale-after", "three intervals, at least 5s", ""),
    ("--ping-timeout", "as --ping-interval", "--ping-timeout 20s"),
];

/// Each option whose help states a default, with that default.
fn stated_defaults() -> Vec<(&'static str, String)> {
    let entries = HELP.split("\n  --").skip(1);
    let stated = entries.filter_map(|entry| {
        let (_, behind) = entry.split_once("[default: ")?;
        let words = behind.split_once(']')?.0.split_whitespace();
        let name = documented()
            .map(|(name, _)| name)
            .find(|name| entry.starts_with(&format!("{} ", &name[2..])))?;
        Some((name, words.collect::<Vec<_>>().join(" ")))
    });
    stated.collect()
}

/// A source that uses this option, as an option; by default all do.
fn source_for(name: &str) -> &'static str {
    match name {
        "--speed" => "--source replay:x",
        "--changes-only" | "--stale-after" | "--request-timeout" => "--source binance",
        "--takeover-after" | "--broker-timeout" | "--broker-connect" => "--publish nats://h/log",
        _ => "",
    }
}

#[test]
fn the_stated_defaults_match_the_real_ones() {
    let stated = stated_defaults();
    assert_eq!(HELP.matches("[default: ").count(), stated.len());
    for (name, value) in stated {
        let in_words = DEFAULTS_IN_WORDS
            .iter()
            .find(|(option, ..)| *option == name);
        let line = match in_words {
            Some((_, words, line)) => {
                assert_eq!(value, *words, "{name}");
                (*line).to_owned()
            }
            None => format!("{name} {value}"),
        };
        let source = source_for(name);
        let with = args(&format!("{source} {line}"));
        assert_eq!(format!("{with:?}"), format!("{:?}", args(source)), "{line}");
    }
}

#[test]
fn a_value_other_than_the_stated_default_changes_the_result() {
    for (name, value) in stated_defaults() {
        let other = match value.as_str() {
            "127.0.0.1" => "127.0.0.2",
            "sim" => "binance",
            "BTC/USDT" => "ETH/USDT",
            "info" => "debug",
            "none" => "bid",
            value if value.ends_with('B') => "1MiB",
            _ if name == "--ping-interval" => "21s",
            _ => "7",
        };
        let source = source_for(name);
        let line = format!("{source} {name} {other}");
        let with = args(&line);
        assert_ne!(format!("{with:?}"), format!("{:?}", args(source)), "{line}");
    }
}

#[test]
fn an_error_names_the_bad_value_and_the_expected_one() {
    for (line, expected) in [
        (
            "--port 99999",
            "--port: invalid port '99999': expected a number from 0 to 65535",
        ),
        (
            "--symbols BTC",
            "--symbols: invalid symbol 'BTC': expected BASE/QUOTE, such as BTC/USDT",
        ),
        ("--symbols A/B,A/B", "--symbols: duplicate symbol 'A/B'"),
        (
            "--ping-timeout 1m",
            "--ping-timeout: expected at most --ping-interval, which is 20s",
        ),
        (
            "--ping-interval 0 --ping-timeout 5s",
            "--ping-timeout: only makes sense with pings, but --ping-interval is 0",
        ),
        (
            "--source replay:a.ndjson --record a.ndjson",
            "--record: this is the recording that is replayed: expected another file",
        ),
        (
            "--allow-origin x",
            "--allow-origin: invalid origin 'x': expected something like https://example.org, https://*.example.org, file://, null, or * for every page",
        ),
        (
            "--allow-origin https://example.org/",
            "--allow-origin: invalid origin 'https://example.org/': expected something like https://example.org, https://*.example.org, file://, null, or * for every page",
        ),
        (
            "--allow-host a.*",
            "--allow-host: invalid host 'a.*': expected something like prices.example.org, *.example.org, or * for every name",
        ),
        (
            "--admin 9100",
            "--admin: invalid address '9100': expected ADDRESS:PORT, such as 127.0.0.1:9100",
        ),
        (
            "--admin 127.0.0.1:8888",
            "--admin: invalid address: clients connect there; expected another port",
        ),
        (
            "--max-clients-per-ip 0",
            "--max-clients-per-ip: invalid count '0': expected a whole number from 1",
        ),
        ("--tape 1", "--tape: invalid size: expected at least 64KiB"),
        ("--tape 5GiB", "--tape: invalid size: expected at most 4GiB"),
        (
            "--max-batch 0",
            "--max-batch: invalid count '0': expected a whole number from 1",
        ),
        (
            "--max-message-size 0",
            "--max-message-size: invalid size: expected at least 1B",
        ),
        (
            "--symbols A/B,BT*/USDT",
            "--symbols: invalid pattern 'BT*/USDT': a * stands for a whole part, as in */USDT, BTC/*, binance:*/EUR or *",
        ),
        (
            "--symbols A/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
            "--symbols: invalid symbol 'A/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB': expected at most 53 bytes",
        ),
        (
            "--symbols @/no/such/file",
            "--symbols: cannot read /no/such/file: no such file or directory",
        ),
        (
            "--tape 8589934592GiB",
            "--tape: invalid size: expected at most 4GiB",
        ),
        (
            "--upstream localhost:9000",
            "--upstream: invalid address 'localhost:9000': expected something like http://127.0.0.1:9000",
        ),
        (
            "--source binance --spread",
            "--spread: works with --source sim only",
        ),
        ("--tls-cert a.pem", "--tls-cert: needs --tls-key too"),
        ("--tls-key a.pem", "--tls-key: needs --tls-cert too"),
        (
            "--interval 0",
            "--interval: invalid duration '0': expected more than 0, such as 1ms",
        ),
        ("--verbose", "unexpected argument '--verbose', see --help"),
        ("--prot 80", "unknown option '--prot', did you mean --port?"),
        ("--port 80 --port 81", "--port is given twice"),
    ] {
        assert_eq!(parse(line).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_admin_address_may_not_overlap_the_clients_address() {
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
fn repeated_origins_and_hosts_are_all_allowed() {
    let two =
        args("--allow-origin http://A:80 --allow-origin http://b --allow-host c --allow-host d");
    let mut expected = Origins::default();
    for origin in ["http://a", "http://b"] {
        expected.allow(origin).unwrap();
    }
    for host in ["c", "d"] {
        expected.allow_host(host).unwrap();
    }
    expected.set_local(true);
    assert_eq!(two.config.origins, expected);
    let any = args("--allow-origin http://a --allow-origin *");
    assert!(any.config.origins.is_any());
}

#[test]
fn only_a_loopback_address_is_reached_from_this_machine_only() {
    for (line, is_local) in [
        ("", true),
        ("--address ::1", true),
        ("--address 127.0.0.2", true),
        ("--address 0.0.0.0", false),
        ("--address ::", false),
        ("--address 10.0.0.1", false),
    ] {
        let mut expected = Origins::default();
        expected.set_local(is_local);
        assert_eq!(args(line).config.origins, expected, "{line}");
    }
}

#[test]
fn flags_need_no_value() {
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
    let live = args("--source binance --changes-only").feed.live;
    assert!(live.changes_only);
    assert!(args("--spread").feed.spread);
    assert!(matches!(
        parse("--list-sources"),
        Ok(Command::ListSources(_, None))
    ));
    let Ok(Command::ListSources(options, Some(name))) =
        parse("--list-sources kraken --exchanges more.json")
    else {
        panic!("it has a name and a file");
    };
    assert_eq!(name, "kraken");
    assert_eq!(options.exchanges, Some("more.json".into()));
    assert!(matches!(
        parse("--list-sources=kraken"),
        Ok(Command::ListSources(_, Some(name))) if name == "kraken"
    ));
    assert!(parse("--list-sources=kraken binance").is_err());
    assert!(parse("--list-sources kraken binance").is_err());
}

#[test]
fn a_url_requires_a_symbol_and_a_price_pointer() {
    let url = "--source https://a.b/c";
    for (more, expected) in [
        (
            "--symbols A/B",
            "--price: missing: expected where the price is, such as /data/price",
        ),
        (
            "--price /p",
            "--symbols: expected exactly one with a URL, such as BTC/USDT",
        ),
        (
            "--price /p --symbols A/B,A/C",
            "--symbols: expected exactly one with a URL, such as BTC/USDT",
        ),
        (
            "--price p",
            "--price: invalid JSON pointer 'p': expected something like /data/0/last",
        ),
    ] {
        let error = parse(&format!("{url} {more}")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let whole = args(&format!("{url} --price /p --time /t --symbols A/B"));
    assert_eq!(whole.source.urls().len(), 1);
}

#[test]
fn options_that_the_source_would_ignore_are_refused() {
    let recording = "--source replay:x";
    for (line, expected) in [
        (
            "--source binance --seed 7",
            "--seed: works with --source sim only",
        ),
        ("--speed 2", "--speed: works with --source replay:FILE only"),
        (
            "--stale-after 7s",
            "--stale-after: works with live prices only, such as --source binance",
        ),
        (
            "--source sim --ca x",
            "--ca: works with prices of the web and with brokers only, such as --source binance",
        ),
        (
            "--exchanges x",
            "--exchanges: works with exchanges only, such as --source binance",
        ),
        (
            "--source binance --price /p",
            "--price: works with --source https://… only",
        ),
        ("--time /t", "--time: works with --source https://… only"),
        (
            "--source - --source-header a:b",
            "--source-header: works with --source https://… only",
        ),
        (
            "--source A/B=http://a/#/p --symbols A/B",
            "--symbols: not with --source NAME=https://…, which names its symbol itself",
        ),
        (
            "--source A/B=http://a/#/p --price /q",
            "--price: has no effect: each --source https://… has its own behind the #",
        ),
        (
            "--source A/B=http://a/#/p&time=/t --source A/C=http://a/#/p&time=/u --time /v",
            "--time: has no effect: each --source https://… has its own behind the #",
        ),
        (
            "--source A/B=http://a/#/p&scale=-8 --scale -6",
            "--scale: has no effect: each --source https://… has its own behind the #",
        ),
        (
            "--source A/B=http://a/#column:p&row=first --row last",
            "--row: has no effect: each --source https://… has its own behind the #",
        ),
        (
            &format!("{recording} --symbols A/B"),
            "--symbols: a recording has its own symbols",
        ),
        (
            &format!("{recording} --interval 1s"),
            "--interval: a recording has its own pace, see --speed",
        ),
    ] {
        assert_eq!(parse(line).unwrap_err().to_string(), expected);
    }
    // What --list-sources prints has no source of prices.
    assert!(parse("--list-sources --exchanges x").is_ok());
    // One URL that does not say it itself is enough.
    assert!(parse("--source A/B=http://a/#/p&time=/t --source A/C=http://a/#/p --time /u").is_ok());
}

#[test]
fn blanks_around_the_commas_of_symbols_do_not_count() {
    let line = ["--symbols", "BTC/USDT, 币安人生/USDT ,*/EUR"].map(OsString::from);
    let Ok(Command::Serve(args)) = Command::parse(Options::new(line.to_vec())) else {
        panic!("the symbols are refused");
    };
    let symbols = ["BTC/USDT", "币安人生/USDT", "*/EUR"];
    assert_eq!(args.feed.symbols, symbols);
}
