//! The result: an aligned table for people, and the same as JSON.

use serde_json::{Value, json};

use crate::common::number;

/// One number of both servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figure {
    pub(crate) floor: Option<f64>,
    pub(crate) ours: Option<f64>,
    /// Ours by the floor's.
    pub(crate) ratio: Option<f64>,
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    RatioAtMost(f64),
    RatioAtLeast(f64),
    OursAtMost(f64),
    OursAtLeast(f64),
}

/// The rows so far, by scenario.
#[derive(Default)]
pub(crate) struct Table(Vec<Scenario>);

struct Scenario {
    name: &'static str,
    /// What was done.
    title: String,
    rows: Vec<Row>,
}

struct Row {
    label: &'static str,
    decimals: usize,
    figure: Figure,
    target: Option<Target>,
}

impl Table {
    /// Begins a scenario; the rows to come are its.
    pub(crate) fn begin(&mut self, name: &'static str, title: String) {
        let rows = Vec::new();
        self.0.push(Scenario { name, title, rows });
    }

    /// Adds a row whose numbers have so many decimals.
    pub(crate) fn row(
        &mut self,
        label: &'static str,
        decimals: usize,
        figure: Figure,
        target: Option<Target>,
    ) {
        if let Some(scenario) = self.0.last_mut() {
            scenario.rows.push(Row {
                label,
                decimals,
                figure,
                target,
            });
        }
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<31}{:>12}{:>12}{:>8}  target",
            "", "floor", "ours", "ratio"
        );
        for scenario in &self.0 {
            println!("\n{}: {}", scenario.name, scenario.title);
            for row in &scenario.rows {
                println!("{}", row.line());
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.0.iter().flat_map(|scenario| {
            scenario.rows.iter().map(|row| {
                json!({
                    "scenario": scenario.name,
                    "figure": row.label,
                    "floor": row.figure.floor,
                    "ours": row.figure.ours,
                    "ratio": row.figure.ratio,
                    "target": row.target.map(Target::text),
                    "met": row.target.and_then(|target| target.is_met(&row.figure)),
                })
            })
        });
        Value::Array(rows.collect())
    }
}

impl Row {
    fn line(&self) -> String {
        let cell = |value: Option<f64>, decimals| {
            value.map_or_else(|| "-".to_owned(), |value| number(value, decimals))
        };
        let Figure { floor, ours, ratio } = self.figure;
        let target = self.target.map_or_else(String::new, |target| {
            let verdict = match target.is_met(&self.figure) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            format!("  {} {verdict}", target.text())
        });
        let line = format!(
            "  {:<29}{:>12}{:>12}{:>8}{target}",
            self.label,
            cell(floor, self.decimals),
            cell(ours, self.decimals),
            cell(ratio, 2),
        );
        line.trim_end().to_owned()
    }
}

impl Target {
    fn is_met(self, figure: &Figure) -> Option<bool> {
        match self {
            Self::RatioAtMost(most) => figure.ratio.map(|ratio| ratio <= most),
            Self::RatioAtLeast(least) => figure.ratio.map(|ratio| ratio >= least),
            Self::OursAtMost(most) => figure.ours.map(|ours| ours <= most),
            Self::OursAtLeast(least) => figure.ours.map(|ours| ours >= least),
        }
    }

    fn text(self) -> String {
        match self {
            Self::RatioAtMost(most) => format!("≤ {most}×"),
            Self::RatioAtLeast(least) => format!("≥ {least}×"),
            Self::OursAtMost(most) => format!("≤ {most}"),
            Self::OursAtLeast(least) if least >= 1e6 => format!("≥ {} M", least / 1e6),
            Self::OursAtLeast(least) => format!("≥ {least}"),
        }
    }
}
