use std::ffi::OsString;

use super::*;

fn parse(line: &str) -> Result<Config, String> {
    let words = line.split_whitespace().map(OsString::from).collect();
    super::parse(Options::new(words)).map_err(|error| error.to_string())
}

fn config(line: &str) -> Config {
    parse(line).unwrap()
}

/// The options of `HELP`, each with a value other than its default, and the other options that it
/// needs.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("--url", "ws://example.org/"),
    ("--symbols", "BTC/USDT"),
    ("--watch", "7"),
    ("--watch-zipf", "--watch 7"),
    ("--watch-seed", "7 --watch 7"),
    ("--every", "7s"),
    ("--batch", ""),
    ("--clients", "7"),
    ("--duration", "7s"),
    ("--warmup", "7s"),
    ("--ramp", "7"),
    ("--in-flight", "7"),
    ("--connect-timeout", "7s"),
    ("--slow", "7 --clients 8"),
    ("--churn", "7"),
    ("--reconnect", ""),
    ("--processes", "7 --clients 7"),
    ("--ca", "ca.pem --url wss://h/"),
    ("--insecure", "--url wss://h/"),
    ("--header", "X-Key:7"),
    ("--pid", "1"),
    ("--json", ""),
    ("--csv", "-"),
    ("--hdr", "run.hlog"),
    ("--plot", "run.svg"),
    ("--compare", "run.json --plot run.svg"),
    ("--print", ""),
    ("--quiet", ""),
    ("--max-p99", "5ms"),
    ("--max-p999", "5ms"),
    ("--max-errors", "0"),
    ("--min-throughput", "100"),
    ("--sent-field", "/data/ts"),
    ("--sent-unit", "ms"),
    ("--seq-field", "n"),
    ("--symbol-field", "s"),
    ("--expect", "7ms"),
    ("--sync", ""),
    ("--request", "[7]"),
    ("--rate", "7 --request [7]"),
    ("--outstanding", "7 --request [7]"),
    ("--id-field", "req_id --request [7]"),
    ("--in-order", "--request {}"),
];

#[test]
fn help_and_parser_have_the_same_options() {
    let named: Vec<_> = HELP
        .lines()
        .filter_map(|line| line.strip_prefix("  --")?.split_whitespace().next())
        .map(|name| format!("--{name}"))
        .filter(|name| name != "--version")
        .collect();
    let mut expected: Vec<_> = OTHER_VALUES.iter().map(|(name, _)| *name).collect();
    for &(name, value) in OTHER_VALUES {
        let others = value.find("--").map_or("", |at| &value[at..]);
        let with = config(&format!("{name} {value}"));
        assert_ne!(with, config(others), "{name}");
    }
    let mut named: Vec<_> = named.iter().map(String::as_str).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
}

#[test]
fn help_states_the_actual_defaults() {
    let default_of = |name: &str| {
        let (_, behind) = HELP.split_once(&format!("  {name} ")).unwrap();
        let (_, behind) = behind.split_once("[default: ").unwrap();
        behind.split_once(']').unwrap().0
    };
    for name in [
        "--url",
        "--clients",
        "--duration",
        "--warmup",
        "--in-flight",
        "--connect-timeout",
        "--sent-field",
        "--sent-unit",
        "--seq-field",
        "--symbol-field",
    ] {
        let line = format!("{name} {}", default_of(name));
        assert_eq!(config(&line), config(""), "{line}");
    }
    for name in ["--rate", "--outstanding", "--id-field"] {
        let line = format!("--request [7] {name} {}", default_of(name));
        assert_eq!(config(&line), config("--request [7]"), "{line}");
    }
}

#[test]
fn compare_accepts_several_files() {
    let config = config("--compare a.json --plot p.svg --compare=b.json");
    let names: Vec<_> = config.compare.iter().map(|path| path.to_str()).collect();
    assert_eq!(names, [Some("a.json"), Some("b.json")]);
}

#[test]
fn common_symbols_are_in_the_url_and_drawn_ones_are_not() {
    let asked = |line: &str| config(&format!("--url ws://h/?a=b {line}")).url.to_string();
    assert_eq!(
        asked("--symbols A/B,*/C --every 1500ms --batch"),
        "ws://h/?a=b&symbols=A/B,*/C&every=1500ms&batch"
    );
    assert_eq!(
        asked("--symbols A,B --watch 1 --batch"),
        "ws://h/?a=b&batch"
    );
    let zipf = |line: &str| config(line).watch.and_then(|watch| watch.zipf);
    assert_eq!(zipf("--watch 1 --json"), None);
    assert_eq!(zipf("--watch 1 --watch-zipf --json"), Some(1.0));
    assert_eq!(zipf("--watch-zipf=0.8 --watch 1"), Some(0.8));
    let must_ask = |line: &str| config(line).watch.unwrap().must_ask();
    assert!(must_ask("--watch 9") && must_ask("--watch 9 --symbols A,*/B"));
    assert!(!must_ask("--watch 1 --symbols A,B"));
}

#[test]
fn help_fits_a_terminal() {
    assert!(
        HELP.lines().all(|line| line.chars().count() <= 80),
        "{HELP}"
    );
}

#[test]
fn invalid_options_are_named() {
    for (line, error) in [
        (
            "--clients 0",
            "--clients: invalid count '0': expected a whole number from 1",
        ),
        (
            "--url http://h/",
            "--url: 'http://' is not supported, try ws://127.0.0.1:8888/",
        ),
        (
            "--url ws://u:p@h/ --header Authorization:Bearer",
            "--header: the URL already has a user, so Authorization would be sent twice",
        ),
        (
            "--clients 2 --processes 3",
            "--processes: expected at most one process per client (2)",
        ),
        (
            "--clients 2 --processes 2 --print",
            "--processes: --print works with a single process only",
        ),
        (
            "--clients 2 --slow 2",
            "--slow: 2 of 2 clients would leave none to measure, raise --clients",
        ),
        (
            "--ramp 0",
            "--ramp: invalid rate '0': expected a number like 100 (connections per second)",
        ),
        (
            "--ramp NaN",
            "--ramp: invalid rate 'NaN': expected a number like 100 (connections per second)",
        ),
        (
            "--symbols A,",
            "--symbols: invalid symbols 'A,': one is empty, expected something like \
             BTC/USDT,ETH/USDT",
        ),
        (
            "--watch 3 --symbols A,B,A",
            "--watch: cannot draw 3 different symbols: there are 2",
        ),
        (
            "--watch 10001",
            "--watch: invalid count '10001': expected at most 10000",
        ),
        (
            "--url ws://h/?symbols=A --watch 1",
            "--watch: the URL already names symbols; name those to draw from with --symbols instead",
        ),
        (
            "--watch-seed 1",
            "--watch-seed: only makes sense with --watch K",
        ),
        (
            "--watch-zipf",
            "--watch-zipf: only makes sense with --watch K",
        ),
        (
            "--watch 1 --watch-zipf=0",
            "--watch-zipf: invalid exponent '0': expected a number like 1 or 0.8",
        ),
        (
            "--watch 1 --watch-seed x",
            "--watch-seed: invalid seed 'x': expected a whole number",
        ),
        (
            "--url ws://h/?every=1s --every 2s",
            "--every: the URL already sets this",
        ),
        (
            "--sent-unit h",
            "--sent-unit: invalid unit 'h': expected us, ms, s, ns or iso",
        ),
        (
            "--sent-field /",
            "--sent-field: invalid field '/': expected something like sent or /data/sent",
        ),
        (
            "--request hi",
            "--request: invalid JSON: expected value at line 1 column 1",
        ),
        (
            "--request {\"id\":7}",
            "--request: does not say where its id goes, write \"$id\" there",
        ),
        ("--rate 5", "--rate: only makes sense with --request"),
        (
            "--request [] --outstanding 5000",
            "--outstanding: invalid count '5000': expected at most 4096",
        ),
        (
            "--pid 0",
            "--pid: invalid process id '0': expected a positive number",
        ),
        ("--pid 4294967295", "--pid: there is no process 4294967295"),
        (
            "--insecure",
            "--insecure: only makes sense with a wss:// URL",
        ),
        (
            "--url ws://h/ --ca ca.pem",
            "--ca: only makes sense with a wss:// URL",
        ),
        (
            "--compare run.json",
            "--compare: only makes sense with --plot FILE",
        ),
        (
            &format!("--plot p.svg{}", " --compare x".repeat(7)),
            "--compare: one chart shows at most 6 earlier runs",
        ),
        (
            "--print --csv -",
            "--csv: '-' is stdout, which --print uses for the ticks, name a file",
        ),
        ("--csv=", "--csv: missing value"),
        (
            "--header Authorization:a --header Authorization:b",
            "--header: Authorization is given twice",
        ),
        (
            "--hdr x --csv x",
            "--hdr: invalid file 'x': --csv is written there; expected another",
        ),
        (
            "--max-errors -1",
            "--max-errors: invalid count '-1': expected a whole number",
        ),
        (
            "--max-p99 0",
            "--max-p99: invalid duration '0': expected more than 0, such as 1ms",
        ),
        (
            "--min-throughput much",
            "--min-throughput: invalid rate 'much': expected a number like 100 (messages per second)",
        ),
        (
            "--clients 5 --fast",
            "unexpected argument '--fast', see --help",
        ),
        (
            "--client 5",
            "unknown option '--client', did you mean --clients?",
        ),
        ("--clients 5 --clients=6", "--clients is given twice"),
        // An option that only workers are started with is not suggested.
        ("--shares 4", "unexpected argument '--shares', see --help"),
    ] {
        assert_eq!(parse(line), Err(error.to_owned()));
    }
}

#[test]
fn more_clients_than_descriptors_are_refused_at_the_start() {
    let mut config = config("--clients 9");
    reserve_descriptors(&config).unwrap();
    config.clients = usize::MAX;
    // A system without a limit accepts any number.
    if let Err(error) = reserve_descriptors(&config) {
        let error = error.to_string();
        assert!(error.starts_with("--clients: the limit of "), "{error}");
        assert!(error.ends_with("raise ulimit -n"), "{error}");
    }
}

#[test]
fn options_that_do_not_suit_the_request_are_refused() {
    for (line, name) in [
        ("--id-field req_id", "--id-field: "),
        (r#"--in-order --request ["$id"]"#, "--in-order: "),
        ("--in-order --request [1] --id-field x", "--id-field: "),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}
