//! A report as text for people: aligned, within 80 columns, a unit on every number.

use std::fmt;

use crate::client::report::Report;
use crate::client::report::latencies::Response;
use crate::client::report::sections;
use crate::client::report::table::{COLUMNS, paragraph};
use crate::client::report::table::{fixed, kinds, percentiles, row};
use crate::client::report::usage::ServerUsage;

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
            sections::below_zero(f, self)?;
        }
        sections::rows(f, self)?;
        sections::losses(f, self)?;
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
        row(f, "Clients", &self.clients.connected.to_string(), &asked)?;
        match &self.watch {
            Some(watching) => sections::watching(f, watching),
            None => Ok(()),
        }
    }

    fn messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_ticks = self.messages - self.other_messages;
        let verb = if self.list_messages > 0 {
            "have"
        } else {
            "are"
        };
        let kinds = format!("of which {with_ticks} {verb} ticks");
        row(f, "Total messages", &self.messages.to_string(), &kinds)?;
        if self.list_messages > 0 {
            let (per_s, lists) = (fixed(self.ticks_per_s, 2), self.list_messages);
            let what = format!("{per_s} ticks/s, {lists} messages are lists");
            row(f, "  ticks", &self.ticks.to_string(), &what)?;
        }
        if self.answers > 0 {
            let what = "replies and pongs, besides";
            row(f, "  answers", &self.answers.to_string(), what)?;
        }
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

/// A line of text, as far as it fits. The JSON has it in full.
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
