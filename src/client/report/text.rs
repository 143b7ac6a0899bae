//! A report as text for people: aligned, within 80 columns, a unit on every number.

use std::fmt;

use crate::client::report::metric::Metric;
use crate::client::report::percentiles::Response;
use crate::client::report::table::{COLUMNS, Table, fixed};
use crate::client::report::{Report, ServerUsage, sections};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.line(&cut(&self.url));
        table.line("");
        phases(&mut table, self);
        if self.duration_s > 0.0 {
            measured(&mut table, self);
        } else {
            errors(&mut table, self);
        }
        for warning in &self.warnings {
            table.paragraph("warning: ", warning);
        }
        f.write_str(&table.text)
    }
}

/// The part about the window, if the run got that far.
fn measured(table: &mut Table, report: &Report) {
    messages(table, report);
    if report.counters.stamped > 0 || report.counters.ticks == 0 {
        let label = format!("{}, mean", Metric::Delivery.title());
        table.percentiles(&label, "deliveries", &report.delivery_us);
        sections::below_zero(table, report);
    }
    sections::clocks(table, report);
    sections::schedule(table, report);
    sections::requests(table, report);
    sections::losses(table, report);
    errors(table, report);
    if report.clients.asked > 1 {
        response(table, &report.response_s);
    }
    sections::slow_clients(table, report);
    sections::reconnects(table, report);
    let client = &report.client;
    table.row("CPU, client", fixed(client.cpu_percent, 1), "% of one core");
    let per_tick = fixed(client.cpu_us_per_tick, 2);
    table.row("  per tick received", per_tick, "µs");
    table.row("Memory, client", megabytes(client.rss_bytes), "MB");
    if let Some(usage) = &report.server {
        server(table, usage);
    }
}

fn phases(table: &mut Table, report: &Report) {
    let (joining_s, warmup_s) = (report.joining_s, report.warmup_s);
    let phases = format!("s, after {joining_s:.2} s joining, {warmup_s:.2} s warm-up");
    table.row("Test duration", fixed(Some(report.duration_s), 3), &phases);
    let asked = format!("connected of {} asked for", report.clients.asked);
    table.row("Clients", report.clients.connected, &asked);
    sections::watching(table, report);
}

fn messages(table: &mut Table, report: &Report) {
    let with_ticks = report.counters.messages - report.counters.other_messages;
    let verb = match report.counters.list_messages {
        0 => "are",
        _ => "have",
    };
    let kinds = format!("of which {with_ticks} {verb} ticks");
    table.row("Total messages", report.counters.messages, &kinds);
    if report.counters.list_messages > 0 {
        let (per_s, lists) = (fixed(report.ticks_per_s, 2), report.counters.list_messages);
        let what = format!("{per_s} ticks/s, {lists} messages are lists");
        table.row("  ticks", report.counters.ticks, &what);
    }
    if report.counters.answers > 0 {
        table.row(
            "  answers",
            report.counters.answers,
            "replies and pongs, counted separately",
        );
    }
    table.row("Throughput", fixed(report.messages_per_s, 2), "messages/s");
    let between = fixed(report.time_between_messages_s_mean, 4);
    table.row("Time between messages", between, "s, per client");
    let size = fixed(report.message_size_bytes_mean, 1);
    table.row("Message size, mean", size, "bytes");
}

fn errors(table: &mut Table, report: &Report) {
    table.row("Errors", report.errors.total, "");
    table.kinds(&report.errors.kinds);
    for example in &report.errors.examples {
        table.paragraph("    e.g. ", example);
    }
}

fn response(table: &mut Table, response: &Response) {
    let unit = format!("s to the first tick, of {} clients", response.count);
    table.row("Response time, mean", fixed(response.mean, 4), &unit);
    for (label, seconds) in [
        ("  median", response.median),
        ("  stdev", response.stdev),
        ("  min", response.min),
        ("  max", response.max),
    ] {
        table.row(label, fixed(seconds, 4), "s");
    }
}

fn server(table: &mut Table, usage: &ServerUsage) {
    let parts = format!(
        "% of one core, {:.2} s user, {:.2} s system",
        usage.user_s, usage.system_s
    );
    let label = format!("CPU, server ({})", usage.pid);
    table.row(&label, fixed(usage.cpu_percent, 1), &parts);
    let user = fixed(usage.user_us_per_tick, 2);
    let unit = format!("µs, of which {user} µs user");
    let per_tick = fixed(usage.cpu_us_per_tick, 2);
    table.row("  per tick delivered", per_tick, &unit);
    let joined = fixed(usage.joining_cpu_us_per_client, 1);
    table.row("  per client joined", joined, "µs");
    let after = megabytes(usage.rss_bytes_after);
    table.row("Memory, server", after, "MB when the window ended");
    let before = megabytes(usage.rss_bytes_before);
    table.row("  before", before, "MB when it began");
}

/// A line of text, cut to fit. The JSON has all of it.
fn cut(text: &str) -> String {
    match text.chars().count() {
        ..=COLUMNS => text.to_owned(),
        _ => text.chars().take(COLUMNS - 1).chain(['…']).collect(),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests;
