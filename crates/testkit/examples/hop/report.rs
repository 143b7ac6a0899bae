//! The tables that a run ends with, and the judgement.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::http;
use crate::node::Figures;
use crate::operator::Outcome;
use crate::options::Options;
use crate::readiness::Unready;
use crate::seen::{Seen, SeenAt};
use crate::tapes::Comparison;

/// All that is known about a run.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    /// What the program of the broker calls its version.
    pub(crate) version: String,
    pub(crate) begun: Instant,
    pub(crate) length: Duration,
    /// Of the edges, and then of the single server, if there was one.
    pub(crate) seen: Vec<Seen>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) unready: Vec<Unready>,
    pub(crate) figures: Vec<Figures>,
    pub(crate) first_ticks: Vec<Duration>,
    pub(crate) tapes: Comparison,
}

impl Report<'_> {
    /// The tables.
    pub(crate) fn text(&self) -> String {
        let mut tables = vec![self.clients()];
        if !self.outcomes.is_empty() {
            tables.push(self.kills());
        }
        if self.options.stale_after.is_some() {
            tables.push(self.staleness());
        }
        tables.push(self.servers());
        let tables: String = tables
            .iter()
            .map(|table| format!("\n{}", aligned(table)))
            .collect();
        format!("{}{tables}\n{}\n", self.title(), self.recordings())
    }

    /// What must not be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (seen, tape) in self.seen.iter().zip(TAPES) {
            let silent = self.options.clients > 0 && seen.ticks == 0;
            let counts = [
                ("no ticks came", u64::from(silent)),
                ("unannounced gaps", self.unannounced(seen, tape)),
                ("repeated ticks", seen.repeats),
                ("ticks in the wrong order", seen.disorders),
            ];
            for (what, count) in counts.iter().filter(|(_, count)| *count > 0) {
                failures.push(format!("{tape}: {what}: {count}"));
            }
        }
        for outcome in &self.outcomes {
            let failure = outcome.failure.iter();
            failures.extend(failure.map(|failure| format!("--kill {}: {failure}", outcome.kill)));
        }
        for figures in &self.figures {
            let name = "tickertape_broker_disagreements_total";
            if let Some(count @ 1.0..) = http::value(&figures.page, name) {
                failures.push(format!("{}: disagreements: {count}", figures.name));
            }
        }
        let differences = self.tapes.differences.iter();
        failures.extend(differences.map(|difference| format!("tapes differ: {difference}")));
        if self.tapes.compared == 0 && self.tapes.recordings != 1 {
            failures.push("no recordings to compare".to_owned());
        }
        failures
    }

    /// Gaps that clients saw at servers that counted none.
    fn unannounced(&self, seen: &Seen, tape: &str) -> u64 {
        let is_announced = |at: usize| {
            let name = if tape == TAPES[0] {
                format!("edge-{}", at + 1)
            } else {
                tape.to_owned()
            };
            let figures = self.figures.iter().find(|figures| figures.name == name);
            let count = |metric| figures.and_then(|figures| http::value(&figures.page, metric));
            let skips = count("tickertape_conflated_total").unwrap_or(0.0);
            skips + count("tickertape_broker_gaps_total").unwrap_or(0.0) > 0.0
        };
        let at = seen.at.iter().enumerate();
        at.filter(|(at, _)| !is_announced(*at))
            .map(|(_, seen)| seen.gaps)
            .sum()
    }

    fn title(&self) -> String {
        let Options {
            brokers,
            origins,
            edges,
            clients,
            ..
        } = self.options;
        let hop = match self.options.hop {
            Duration::ZERO => "that stay where they are".to_owned(),
            hop => format!("that change edges every {hop:?}"),
        };
        let source = match self.options.stale_after {
            Some(limit) => format!("of a fake exchange, stale after {limit:?}"),
            None if self.options.together => "all at once".to_owned(),
            None => "one after the other".to_owned(),
        };
        format!(
            "{} of nats-server {}, {}, {}, {} {hop}\n{} every {:?}, {source}; {:.0?} long\n",
            count(*brokers, "server"),
            self.version,
            count(*origins, "origin"),
            count(*edges, "edge"),
            count(*clients, "client"),
            count(self.options.symbols.len(), "symbol"),
            self.options.interval,
            self.length,
        )
    }

    fn clients(&self) -> Table {
        let mut table = vec![head("clients saw")];
        table[0].extend(
            TAPES
                .iter()
                .take(self.seen.len())
                .map(|&tape| tape.to_owned()),
        );
        let mut row = |name: &str, cell: &dyn Fn(&Seen) -> String| {
            let cells = self.seen.iter().map(cell);
            table.push([name.to_owned()].into_iter().chain(cells).collect());
        };
        row("  ticks", &|seen| seen.ticks.to_string());
        row("  gaps", &|seen| seen.gaps().to_string());
        row("  ticks missed in gaps", &|seen| seen.missed.to_string());
        row("  repeats", &|seen| seen.repeats.to_string());
        row("  in the wrong order", &|seen| seen.disorders.to_string());
        row("  longest pause", &|seen| {
            milliseconds(seen.pauses.iter().max().copied())
        });
        row("  connections opened", &|seen| seen.opened.to_string());
        row("    refused", &|seen| seen.refused.to_string());
        row("    lost", &|seen| seen.lost.to_string());
        row("  delivery latency p50", &|seen| latency(seen, 50.0));
        row("    p99", &|seen| latency(seen, 99.0));
        if self.options.compare {
            row("  ticks per CPU second", &|seen| {
                let rate = seen.ticks_per_cpu_second();
                rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"))
            });
        }
        if let [edges, single] = self.seen.as_slice() {
            let added = |percentile| {
                let (more, less) = (
                    edges.latency_ms(percentile)?,
                    single.latency_ms(percentile)?,
                );
                Some(format!("{:+.3} ms", more - less))
            };
            for (name, percentile) in [("  added by the hop p50", 50.0), ("    p99", 99.0)] {
                let added = added(percentile).unwrap_or_else(|| "-".to_owned());
                table.push(vec![name.to_owned(), added, String::new()]);
            }
        }
        table
    }

    /// What each kill did. Its pause ends before the next kill.
    fn kills(&self) -> Table {
        let heads = ["at", "signal", "to", "longest pause", "back after"];
        let mut table = vec![head("kills")];
        table[0].extend(heads.map(str::to_owned));
        for (number, outcome) in self.outcomes.iter().enumerate() {
            let kill = &outcome.kill;
            let name = kill.to_string();
            let back = outcome.ended.and_then(|ended| Some(outcome.back? - ended));
            table.push(vec![
                format!("  {}", name.split('@').next().unwrap_or_default()),
                format!("{:.1} s", kill.at.as_secs_f64()),
                kill.way.signal().to_owned(),
                outcome.names.clone(),
                milliseconds(self.seen[0].pauses.get(number + 1).copied()),
                milliseconds(back),
            ]);
        }
        table
    }

    /// When edges said that prices were stale, and live again.
    fn staleness(&self) -> Table {
        let heads = [
            "stale events",
            "longest silence",
            "not ready for",
            "live again after",
        ];
        let mut table = vec![head("staleness")];
        table[0].extend(heads.map(str::to_owned));
        let back = self
            .outcomes
            .iter()
            .filter_map(|outcome| outcome.back)
            .next_back();
        for (edge, seen) in self.seen[0].at.iter().enumerate() {
            let SeenAt {
                stale_events,
                silence,
                live,
                ..
            } = *seen;
            let end = self.begun + self.length;
            let times = self.unready.iter().filter(|time| time.edge == edge);
            let unready = times.map(|time| time.to.unwrap_or(end) - time.from).max();
            let live = live
                .zip(back)
                .map(|(live, back)| live.saturating_duration_since(back));
            table.push(vec![
                format!("  edge-{}", edge + 1),
                stale_events.to_string(),
                milliseconds((stale_events > 0).then_some(silence)),
                milliseconds(unready),
                milliseconds(live),
            ]);
        }
        table
    }

    fn servers(&self) -> Table {
        let heads = [
            "CPU",
            "loop late p99",
            "first tick",
            "fetched",
            "gaps",
            "unrecorded",
        ];
        let mut table = vec![head("servers")];
        table[0].extend(heads.map(str::to_owned));
        for figures in &self.figures {
            let count = |name: &str| {
                let value = http::value(&figures.page, &format!("tickertape_{name}"));
                value.map_or("-".to_owned(), |value| value.to_string())
            };
            let leads = http::value(&figures.page, "tickertape_broker_leading") == Some(1.0);
            let edge = figures.name.strip_prefix("edge-");
            let edge = edge.and_then(|number| number.parse::<usize>().ok());
            // Measured before the run, so not for a server that has been started again.
            let first = edge.filter(|_| figures.lives == 1);
            let first = first.and_then(|number| self.first_ticks.get(number - 1).copied());
            let late = figures.lateness_ms;
            table.push(vec![
                format!("  {}{}", figures.name, if leads { ", leads" } else { "" }),
                format!("{:.1} %", figures.cpu),
                match late {
                    // Above the last bound that the server has.
                    Some(f64::INFINITY) => "long".to_owned(),
                    Some(late) => format!("{late} ms"),
                    None => "-".to_owned(),
                },
                milliseconds(first),
                count("broker_fetched_total"),
                count("broker_gaps_total"),
                count("unrecorded_ticks_total"),
            ]);
        }
        table
    }

    fn recordings(&self) -> String {
        let Comparison {
            recordings,
            compared,
            differences,
        } = &self.tapes;
        let equal = if differences.is_empty() {
            "equal"
        } else {
            "NOT equal"
        };
        format!("tapes of {recordings} recordings: {equal}, {compared} lines compared")
    }
}

/// Rows of cells; the first cell of each is its name.
type Table = Vec<Vec<String>>;

fn head(name: &str) -> Vec<String> {
    vec![name.to_owned()]
}

/// The rows as lines, with names on the left, and all else on the right.
fn aligned(table: &Table) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in table {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "   {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn latency(seen: &Seen, percentile: f64) -> String {
    let latency = seen.latency_ms(percentile);
    latency.map_or("-".to_owned(), |latency| format!("{latency:.3} ms"))
}

fn milliseconds(time: Option<Duration>) -> String {
    let time = time.map(|time| 1_000.0 * time.as_secs_f64());
    time.map_or("-".to_owned(), |time| format!("{time:.0} ms"))
}

/// `1 edge`, `2 edges`.
fn count(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// What the tapes are called.
const TAPES: [&str; 2] = ["edges", "single"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_on_the_left_and_figures_on_the_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = vec![
            head("kills"),
            row(["  edge", "1 s", "-"]),
            row(["", "10 s", "25 ms"]),
        ];
        assert_eq!(
            aligned(&table),
            "kills\n  edge    1 s       -\n         10 s   25 ms\n"
        );
    }
}
