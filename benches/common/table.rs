//! The results as an aligned table for people, and as JSON.

use serde_json::{Value, json};

use super::number;

/// The column of a ratio, which has its own number of decimals.
pub(crate) const RATIO: &str = "ratio";

/// One number for each column.
pub(crate) type Figure = Vec<Option<f64>>;

/// The target of a figure.
#[allow(dead_code, reason = "no bench has targets of all kinds")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The number in this column is at most this.
    AtMost(usize, f64),
    /// The number in this column is at least this.
    AtLeast(usize, f64),
    /// The number in this column is at most this many times the first.
    TimesFirst(usize, f64),
    /// All numbers are at most this.
    AllAtMost(f64),
}

/// The rows so far, by scenario.
#[derive(Default)]
pub(crate) struct Table(Vec<Scenario>);

struct Scenario {
    name: &'static str,
    /// A description of the scenario.
    title: String,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    label: &'static str,
    decimals: usize,
    figure: Figure,
    target: Option<Target>,
}

impl Table {
    /// Begins a scenario, to which all further rows belong.
    pub(crate) fn begin(&mut self, name: &'static str, title: String, columns: &[&'static str]) {
        self.0.push(Scenario {
            name,
            title,
            columns: columns.to_vec(),
            rows: Vec::new(),
        });
    }

    /// Adds a row whose numbers have this many decimals.
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
        for scenario in &self.0 {
            println!("\n{}: {}", scenario.name, scenario.title);
            let mut head = " ".repeat(LABEL_WIDTH);
            for column in &scenario.columns {
                head += &format!("{column:>COLUMN_WIDTH$}");
            }
            println!("{head}  target");
            for row in &scenario.rows {
                println!("{}", row.line(&scenario.columns));
            }
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let rows = self.0.iter().flat_map(|scenario| {
            scenario.rows.iter().map(|row| {
                let names = scenario.columns.iter().map(ToString::to_string);
                let values = row.figure.iter().map(|value| json!(value));
                json!({
                    "scenario": scenario.name,
                    "figure": row.label.trim(),
                    "values": Value::Object(names.zip(values).collect()),
                    "target": row.target.map(|target| target.text(&scenario.columns)),
                    "met": row.target.and_then(|target| target.is_met(&row.figure)),
                })
            })
        });
        Value::Array(rows.collect())
    }
}

impl Row {
    fn line(&self, columns: &[&str]) -> String {
        let mut line = format!("  {:<width$}", self.label, width = LABEL_WIDTH - 2);
        for (value, column) in self.figure.iter().zip(columns) {
            let decimals = if *column == RATIO { 2 } else { self.decimals };
            let cell = value.map_or_else(|| "-".to_owned(), |value| number(value, decimals));
            line += &format!("{cell:>COLUMN_WIDTH$}");
        }
        if let Some(target) = self.target {
            let verdict = match target.is_met(&self.figure) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            line += &format!("  {} {verdict}", target.text(columns));
        }
        line.trim_end().to_owned()
    }
}

impl Target {
    fn is_met(self, figure: &Figure) -> Option<bool> {
        let value = |column: usize| figure.get(column).copied().flatten();
        match self {
            Self::AtMost(column, most) => Some(value(column)? <= most),
            Self::AtLeast(column, least) => Some(value(column)? >= least),
            Self::TimesFirst(column, most) => Some(value(column)? <= most * value(0)?),
            Self::AllAtMost(most) => {
                let all: Option<Vec<_>> = figure.iter().copied().collect();
                Some(all?.into_iter().all(|value| value <= most))
            }
        }
    }

    fn text(self, columns: &[&str]) -> String {
        match self {
            Self::AtMost(column, most) => format!("{} ≤ {most}", columns[column]),
            Self::AtLeast(column, least) => {
                format!("{} ≥ {}", columns[column], number(least, 0))
            }
            Self::TimesFirst(column, 1.0) => format!("{} ≤ {}", columns[column], columns[0]),
            Self::TimesFirst(column, most) => {
                format!("{} ≤ {most}× {}", columns[column], columns[0])
            }
            Self::AllAtMost(most) => format!("each ≤ {most}"),
        }
    }
}

const LABEL_WIDTH: usize = 33;
const COLUMN_WIDTH: usize = 14;
