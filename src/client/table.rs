//! A report as text for people: aligned, within 80 columns, a unit on every number.

use std::collections::BTreeMap;
use std::fmt;

use super::report::{Delivery, Report, Response, ServerUsage};
use super::table_figures;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", cut(&self.url))?;
        self.phases(f)?;
        if self.duration_s > 0.0 {
            self.measured(f)?;
        } else {
            self.errors(f)?;
        }
        self.warnings
            .iter()
            .try_for_each(|warning| paragraph(f, "warning: ", warning))
    }
}

impl Report {
    /// What there is to say of a run that got as far as its window.
    fn measured(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.messages(f)?;
        if self.stamped > 0 || self.ticks == 0 {
            percentiles(f, "Delivery latency, mean", "deliveries", &self.delivery_us)?;
        }
        table_figures::rows(f, self)?;
        table_figures::losses(f, self)?;
        self.errors(f)?;
        if self.clients.asked > 1 {
            response(f, &self.response_s)?;
        }
        if let Some(slow) = &self.slow {
            slow.rows(f)?;
        }
        if let Some(reconnects) = &self.reconnects {
            reconnects.rows(f)?;
        }
        row(
            f,
            "CPU, client",
            &fixed(self.client.cpu_percent, 1),
            "% of one core",
        )?;
        let per_tick = fixed(self.client.cpu_us_per_tick, 2);
        row(f, "  per tick received", &per_tick, "µs")?;
        row(f, "Memory, client", &megabytes(self.client.rss_bytes), "MB")?;
        match &self.server {
            Some(usage) => server(f, usage),
            None => Ok(()),
        }
    }

    fn phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (joining_s, warmup_s) = (self.joining_s, self.warmup_s);
        let phases = format!("s, after {joining_s:.2} s joining, {warmup_s:.2} s warm-up");
        row(
            f,
            "Test duration",
            &fixed(Some(self.duration_s), 3),
            &phases,
        )?;
        let asked = format!("connected of {} asked for", self.clients.asked);
        row(f, "Clients", &self.clients.connected.to_string(), &asked)
    }

    fn messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = format!("of which {} are ticks", self.ticks);
        row(f, "Total messages", &self.messages.to_string(), &kinds)?;
        row(
            f,
            "Throughput",
            &fixed(self.messages_per_s, 2),
            "messages/s",
        )?;
        let between = fixed(self.time_between_messages_s_mean, 4);
        let unit = "s/message per client, the seed's latency";
        row(f, "Time between messages", &between, unit)?;
        row(
            f,
            "Message size, mean",
            &fixed(self.message_size_bytes_mean, 1),
            "bytes",
        )
    }

    fn errors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        row(f, "Errors", &self.errors.total.to_string(), "")?;
        kinds(f, &self.errors.kinds)?;
        for example in &self.errors.examples {
            paragraph(f, "    e.g. ", example)?;
        }
        Ok(())
    }
}

/// How many there are of each kind, of no more kinds than a screen has room for.
pub(super) fn kinds(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<String, u64>) -> fmt::Result {
    let mut frequent: Vec<_> = counts.iter().collect();
    frequent.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let others = frequent.split_off(frequent.len().min(KINDS_SHOWN_MAX));
    frequent.sort_unstable();
    for (kind, count) in frequent {
        row(f, &format!("  {kind}"), &count.to_string(), "")?;
    }
    if others.is_empty() {
        return Ok(());
    }
    let sum = others
        .iter()
        .fold(0_u64, |sum, &(_, &count)| sum.saturating_add(count));
    row(f, "  other kinds", &sum.to_string(), "")
}

/// All rows in one unit, so that they compare at a glance.
pub(super) fn percentiles(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    things: &str,
    delivery: &Delivery,
) -> fmt::Result {
    let in_ms = delivery.max.is_some_and(|max| max >= 10_000);
    let (unit, per_unit) = if in_ms { ("ms", 1000.0) } else { ("µs", 1.0) };
    let decimals = if in_ms { 3 } else { 0 };
    let count = format!("{unit}, of {} {things}", delivery.count);
    let scaled = |us: Option<f64>| fixed(us.map(|us| us / per_unit), decimals);
    row(f, label, &scaled(delivery.mean), &count)?;
    for (name, us) in [
        ("p50", delivery.p50),
        ("p90", delivery.p90),
        ("p99", delivery.p99),
        ("p99.9", delivery.p999),
        ("max", delivery.max),
    ] {
        row(
            f,
            &format!("  {name}"),
            &scaled(us.map(|us| us as f64)),
            unit,
        )?;
    }
    Ok(())
}

fn response(f: &mut fmt::Formatter<'_>, response: &Response) -> fmt::Result {
    let unit = format!("s to the first tick, of {} clients", response.count);
    row(f, "Response time, mean", &fixed(response.mean, 4), &unit)?;
    row(f, "  median", &fixed(response.median, 4), "s")?;
    row(f, "  stdev", &fixed(response.stdev, 4), "s")?;
    row(f, "  min", &fixed(response.min, 4), "s")?;
    row(f, "  max", &fixed(response.max, 4), "s")
}

fn server(f: &mut fmt::Formatter<'_>, usage: &ServerUsage) -> fmt::Result {
    let parts = format!(
        "% of one core, {:.2} s user, {:.2} s system",
        usage.user_s, usage.system_s
    );
    let label = format!("CPU, server ({})", usage.pid);
    row(f, &label, &fixed(usage.cpu_percent, 1), &parts)?;
    let user = fixed(usage.user_us_per_tick, 2);
    let unit = format!("µs, of which {user} µs user");
    row(
        f,
        "  per tick delivered",
        &fixed(usage.cpu_us_per_tick, 2),
        &unit,
    )?;
    let joined = fixed(usage.joining_cpu_us_per_client, 1);
    row(f, "  per client joined", &joined, "µs")?;
    row(
        f,
        "Memory, server",
        &megabytes(usage.rss_bytes_after),
        "MB when the window ended",
    )?;
    row(
        f,
        "  before",
        &megabytes(usage.rss_bytes_before),
        "MB when it began",
    )
}

/// A label that is too long takes room from the number's column, so that numbers stay aligned. What
/// still does not fit goes on in a line of its own.
pub(super) fn row(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    number: &str,
    unit: &str,
) -> fmt::Result {
    let room = (NUMBER_END - 2).saturating_sub(label.chars().count());
    let line = format!("  {label}{:>room$} {unit}", format!(" {number}"));
    let line = line.trim_end();
    if line.chars().count() <= COLUMNS {
        return writeln!(f, "{line}");
    }
    writeln!(f, "  {label}{:>room$}", format!(" {number}"))?;
    paragraph(f, &" ".repeat(NUMBER_END + 1), unit)
}

/// A sentence behind its mark, broken between words.
fn paragraph(f: &mut fmt::Formatter<'_>, mark: &str, sentence: &str) -> fmt::Result {
    let mut line = mark.to_owned();
    let longest = COLUMNS - mark.chars().count() - 1;
    for word in sentence.split(' ').flat_map(|word| pieces(word, longest)) {
        if line.chars().count() + word.chars().count() >= COLUMNS {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(mark.chars().count());
        }
        line.push_str(&word);
        line.push(' ');
    }
    writeln!(f, "{}", line.trim_end())
}

/// A word in pieces of at most `length` characters: servers choose the words of their closes.
fn pieces(word: &str, length: usize) -> impl Iterator<Item = String> {
    let characters: Vec<_> = word.chars().collect();
    let count = characters.len().div_ceil(length).max(1);
    (0..count).map(move |i| {
        let from = i * length;
        let to = characters.len().min(from + length);
        characters[from..to].iter().collect()
    })
}

/// A line of text, as far as it fits. The JSON has it in full.
fn cut(text: &str) -> String {
    match text.chars().count() {
        ..=COLUMNS => text.to_owned(),
        _ => text.chars().take(COLUMNS - 1).chain(['…']).collect(),
    }
}

pub(super) fn fixed(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

const COLUMNS: usize = 80;

const KINDS_SHOWN_MAX: usize = 20;

/// The column in which numbers end.
const NUMBER_END: usize = 38;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::figures::Losses;
    use crate::client::report::tests::{sample, with_requests, with_schedule};

    #[test]
    fn a_report_of_many_clients_reads_well() {
        let text = sample().to_string();
        let expected = r#"ws://127.0.0.1:8888/

  Test duration                 60.000 s, after 0.52 s joining, 2.00 s warm-up
  Clients                          998 connected of 1000 asked for
  Total messages                 59881 of which 59880 are ticks
  Throughput                    998.00 messages/s
  Time between messages         1.0000 s/message per client, the seed's latency
  Message size, mean              97.0 bytes
  Delivery latency, mean         2.346 ms, of 59880 deliveries
    p50                          2.300 ms
    p90                          4.100 ms
    p99                          4.900 ms
    p99.9                        9.000 ms
    max                         12.345 ms
  Gaps                               3 with 17 ticks missed
  Repeats                            0 ticks that came again
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
    fn one_client_has_no_spread_of_response_times_and_few_errors_are_a_zero() {
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
    fn of_many_kinds_the_most_frequent_are_shown() {
        let mut report = sample();
        let kind = |code: u64| (format!("closed by server ({code})"), code);
        report.errors.kinds = (4001..=4030).map(kind).collect();
        let text = report.to_string();
        assert_eq!(text.matches("closed by server (").count(), KINDS_SHOWN_MAX);
        assert!(
            !text.contains("(4010)") && text.contains("(4011)"),
            "{text}"
        );
        let others = (4001..=4010).sum::<u64>().to_string();
        let row = text.lines().find(|line| line.contains("other kinds"));
        assert!(row.is_some_and(|row| row.ends_with(&others)), "{text}");
    }

    #[test]
    fn no_number_is_too_big_and_no_text_too_long_for_80_columns() {
        let mut report = with_requests(with_schedule(sample()));
        report.url = format!("ws://127.0.0.1:8888/?symbols={}", "BTC/USDT,".repeat(40));
        report.clients.asked = 20_000;
        report.clients.connected = 20_000;
        report.duration_s = 604_800.123;
        (report.joining_s, report.warmup_s) = (123_456.7, 86_400.5);
        report.messages = u64::MAX;
        report.ticks = u64::MAX;
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
        };
        for kind in ["handshake refused (403)", "closed by server (65535)"] {
            report.errors.kinds.insert(kind.to_owned(), u64::MAX);
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
}
