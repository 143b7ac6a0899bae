use super::*;
use crate::client::error_kind::ErrorKind;
use crate::client::measure::losses::Losses;
use crate::client::report::table::KINDS_SHOWN_MAX;
use crate::client::report::tests::{sample, with_requests, with_schedule};

#[test]
fn a_report_of_many_clients_is_aligned() {
    let text = sample().to_string();
    let expected = r#"ws://127.0.0.1:8888/

  Test duration                 60.000 s, after 0.52 s joining, 2.00 s warm-up
  Clients                          998 connected of 1000 asked for
  Total messages                 59881 of which 59880 are ticks
  Throughput                    998.00 messages/s
  Time between messages         1.0000 s, per client
  Message size, mean              97.0 bytes
  Delivery latency, mean         2.346 ms, of 59880 deliveries
    p50                          2.300 ms
    p90                          4.100 ms
    p99                          4.900 ms
    p99.9                        9.000 ms
    max                         12.345 ms
  Gaps                               3 with 17 ticks missed
  Repeats                            0 ticks that arrived again
  Reordered                          0 ticks behind a newer one
  Errors                             2
    connect refused                  2
    e.g. cannot connect to 127.0.0.1:8888: connection refused (is the server
         running?)
  Response time, mean           0.1235 s to the first tick, of 998 clients
    median                      0.1000 s
    stdev                       0.0200 s
    min                         0.0010 s
    max                         0.2500 s
  CPU, client                     12.3 % of one core
    per tick received           123.46 µs
  Memory, client                  12.3 MB
  CPU, server (4242)               9.0 % of one core, 0.40 s user, 5.00 s system
    per tick delivered            5.68 µs, of which 0.43 µs user
    per client joined             30.1 µs
  Memory, server                   9.1 MB when the window ended
    before                         9.0 MB when it began
warning: what makes the numbers doubtful, and what can be done about that
"#;
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
}

#[test]
fn one_client_has_no_response_times_and_no_errors_are_zero() {
    let mut report = sample();
    report.clients.asked = 1;
    report.server = None;
    report.errors.kinds.clear();
    report.errors.examples.clear();
    report.errors.total = 0;
    report.delivery_us.max = Some(9_999);
    report.messages_per_s = None;
    let text = report.to_string();
    assert!(
        !text.contains("Response time") && !text.contains("server"),
        "{text}"
    );
    assert!(
        text.contains("\n  Errors                             0\n"),
        "{text}"
    );
    assert!(
        text.contains("\n    p99                           4900 µs\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  Throughput                         - messages/s\n"),
        "{text}"
    );
}

#[test]
fn a_run_without_a_window_has_no_figures() {
    let mut report = sample();
    report.duration_s = 0.0;
    let text = report.to_string();
    for row in [
        "Throughput",
        "Delivery",
        "Gaps",
        "Response",
        "CPU",
        "Memory",
    ] {
        assert!(!text.contains(row), "{row}\n{text}");
    }
    for row in ["Test duration", "Clients", "Errors", "warning: "] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}

#[test]
fn the_most_frequent_of_many_kinds_are_shown() {
    let mut report = sample();
    let kind = |code: u16| (ErrorKind::Closed(Some(code)), u64::from(code));
    report.errors.kinds = (4001..=4030).map(kind).collect();
    let text = report.to_string();
    assert_eq!(text.matches("closed by server (").count(), KINDS_SHOWN_MAX);
    assert!(
        !text.contains("(4010)") && text.contains("(4011)"),
        "{text}"
    );
    let others = (4001..=4010_u64).sum::<u64>().to_string();
    let row = text.lines().find(|line| line.contains("other kinds"));
    assert!(row.is_some_and(|row| row.ends_with(&others)), "{text}");
}

#[test]
fn huge_numbers_and_long_texts_fit_80_columns() {
    let mut report = with_requests(with_schedule(sample()));
    report.url = format!("ws://127.0.0.1:8888/?symbols={}", "BTC/USDT,".repeat(40));
    report.clients.asked = 20_000;
    report.clients.connected = 20_000;
    report.duration_s = 604_800.123;
    (report.joining_s, report.warmup_s) = (123_456.7, 86_400.5);
    report.counters.messages = u64::MAX;
    report.counters.ticks = u64::MAX;
    report.messages_per_s = Some(1.0e15);
    report.message_size_bytes_mean = Some(1_048_576.0);
    report.delivery_us.count = u64::MAX;
    report.delivery_us.max = Some(60_000_000);
    report.losses = Losses {
        numbered: u64::MAX,
        gaps: u64::MAX,
        missed: u64::MAX,
        repeats: u64::MAX,
        reordered: u64::MAX,
        restarts: u64::MAX,
        conflated: u64::MAX,
    };
    for kind in [
        ErrorKind::HandshakeRefused(Some(403)),
        ErrorKind::Closed(Some(65_535)),
    ] {
        report.errors.kinds.insert(kind, u64::MAX);
    }
    report.errors.examples = vec![format!("the server closed: 4000 {}", "x".repeat(123))];
    if let Some(server) = &mut report.server {
        server.pid = u32::MAX;
        (server.user_s, server.system_s) = (604_800.0, 604_800.0);
        (server.cpu_us_per_tick, server.user_us_per_tick) = (Some(1e12), Some(1e12));
    }
    report.client.rss_bytes = u64::MAX;
    let text = report.to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= COLUMNS, "{line}\n{text}");
    }
    assert!(text.contains(&u64::MAX.to_string()), "{text}");
    assert!(text.starts_with("ws://127.0.0.1:8888/?symbols=BTC") && text.contains("…\n\n"));
}
