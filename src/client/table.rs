//! A report as text for people: aligned, within 80 columns, a unit on every number.

use std::fmt;

use super::report::{Delivery, Report, Response, ServerUsage};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.url)?;
        self.messages(f)?;
        delivery(f, &self.delivery_us)?;
        self.losses(f)?;
        if self.clients.asked > 1 {
            response(f, &self.response_s)?;
        }
        row(
            f,
            "CPU, client",
            &fixed(self.client.cpu_percent, 1),
            "% of one core",
        )?;
        row(f, "Memory, client", &megabytes(self.client.rss_bytes), "MB")?;
        if let Some(usage) = &self.server {
            server(f, usage)?;
        }
        self.warnings
            .iter()
            .try_for_each(|warning| paragraph(f, "warning: ", warning))
    }
}

impl Report {
    fn messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (joining_s, warmup_s) = (self.joining_s, self.warmup_s);
        let phases = format!("s, after {joining_s:.3} s joining and {warmup_s:.3} s warm-up");
        row(
            f,
            "Test duration",
            &fixed(Some(self.duration_s), 3),
            &phases,
        )?;
        let asked = format!("connected of {} asked for", self.clients.asked);
        row(f, "Clients", &self.clients.connected.to_string(), &asked)?;
        let kinds = format!("of which {} are ticks", self.ticks);
        row(f, "Total messages", &self.messages.to_string(), &kinds)?;
        row(
            f,
            "Throughput",
            &fixed(self.messages_per_s, 2),
            "messages/s",
        )?;
        let between = fixed(self.time_between_messages_s_mean, 4);
        let unit = "s/message per client (\"latency\" in the seed)";
        row(f, "Time between messages", &between, unit)?;
        row(
            f,
            "Message size, mean",
            &fixed(self.message_size_bytes_mean, 1),
            "bytes",
        )
    }

    fn losses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missed = format!("with {} ticks missed", self.missed);
        row(f, "Gaps", &self.gaps.to_string(), &missed)?;
        row(
            f,
            "Repeats",
            &self.repeats.to_string(),
            "ticks not newer than the one before",
        )?;
        row(f, "Errors", &self.errors.total.to_string(), "")?;
        for (kind, count) in &self.errors.kinds {
            row(f, &format!("  {kind}"), &count.to_string(), "")?;
        }
        for example in &self.errors.examples {
            paragraph(f, "    e.g. ", example)?;
        }
        Ok(())
    }
}

/// All rows in one unit, so that they compare at a glance.
fn delivery(f: &mut fmt::Formatter<'_>, delivery: &Delivery) -> fmt::Result {
    let in_ms = delivery.max.is_some_and(|max| max >= 10_000);
    let (unit, per_unit) = if in_ms { ("ms", 1000.0) } else { ("µs", 1.0) };
    let decimals = if in_ms { 3 } else { 0 };
    let count = format!("{unit}, of {} deliveries", delivery.count);
    let scaled = |us: Option<f64>| fixed(us.map(|us| us / per_unit), decimals);
    row(f, "Delivery latency, mean", &scaled(delivery.mean), &count)?;
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
    let unit = format!(
        "s from connect to first tick, of {} clients",
        response.count
    );
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

fn row(f: &mut fmt::Formatter<'_>, label: &str, number: &str, unit: &str) -> fmt::Result {
    let line = format!("  {label:<24}{number:>12} {unit}");
    writeln!(f, "{}", line.trim_end())
}

/// A sentence behind its mark, broken between words.
fn paragraph(f: &mut fmt::Formatter<'_>, mark: &str, sentence: &str) -> fmt::Result {
    let mut line = mark.to_owned();
    for word in sentence.split(' ') {
        if line.chars().count() + word.chars().count() >= COLUMNS {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(mark.len());
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(f, "{}", line.trim_end())
}

fn fixed(number: Option<f64>, decimals: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.decimals$}"))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

const COLUMNS: usize = 80;
