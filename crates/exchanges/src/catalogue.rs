//! The list of exchanges: those that come with the program, and a user's own.

use std::collections::HashSet;
use std::fmt;

use super::Exchange;
use super::entry::read_entries;

/// The exchanges that are known.
#[derive(Clone, Debug)]
pub struct Catalogue(Vec<Exchange>);

/// A catalogue file that cannot be read; its text names the entry and the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCatalogue(pub(super) String);

/// An exchange that is in no catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownExchange {
    asked: String,
    near: Vec<String>,
}

impl Catalogue {
    /// The exchanges that come with the program.
    ///
    /// # Panics
    /// Never: a test reads the same file.
    pub fn builtin() -> Self {
        let entries = read_entries(BUILTIN).expect("the catalogue's own test reads it");
        Self(entries.into_iter().map(Exchange::new).collect())
    }

    /// Adds the entries of a user's file. One with a name that exists replaces what had it, so that
    /// a user can correct an entry or give another host.
    ///
    /// # Errors
    /// [`BadCatalogue`] names the entry and the field.
    pub fn with_file(mut self, text: &str) -> Result<Self, BadCatalogue> {
        let mut ids = HashSet::new();
        for entry in read_entries(text)? {
            let exchange = Exchange::new(entry);
            if !ids.insert(exchange.id().to_owned()) {
                let id = exchange.id();
                let reason = "field id: another exchange in this file has it too";
                return Err(BadCatalogue(format!("exchange '{id}': {reason}")));
            }
            match self.0.iter_mut().find(|known| known.id() == exchange.id()) {
                Some(known) => *known = exchange,
                None => self.0.push(exchange),
            }
        }
        Ok(self)
    }

    /// The exchange called `name`, in any case, or by an older name of it.
    ///
    /// # Errors
    /// [`UnknownExchange`] lists what may have been meant.
    pub fn get(&self, name: &str) -> Result<&Exchange, UnknownExchange> {
        let asked = name.to_lowercase();
        let by_id = self.0.iter().find(|exchange| exchange.id() == asked);
        let by_alias = || {
            let mut exchanges = self.0.iter();
            exchanges.find(|exchange| exchange.entry.aliases.contains(&asked))
        };
        by_id.or_else(by_alias).ok_or_else(|| UnknownExchange {
            asked: name.to_owned(),
            near: self.near(&asked),
        })
    }

    /// All of them, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.0.iter()
    }

    /// The list of sources, aligned, a line for each, at most 100 columns wide.
    pub fn table(&self) -> String {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.0.iter().map(row).map(shortened));
        let mut widths = [0; COLUMNS];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        rows.iter().map(|row| aligned(row, &widths)).collect()
    }

    /// Names that few letters tell from the one asked for, the nearest first.
    fn near(&self, asked: &str) -> Vec<String> {
        let distance = |name: &str| strsim::damerau_levenshtein(asked, name);
        let mut near: Vec<_> = self
            .0
            .iter()
            .filter_map(|exchange| {
                let aliases = exchange.entry.aliases.iter();
                let names = aliases.map(|alias| distance(alias));
                let least = names.fold(distance(exchange.id()), usize::min);
                let begins = asked.len() >= 3 && exchange.id().starts_with(asked);
                (least <= DISTANCE_MAX || begins).then(|| (least, exchange.id().to_owned()))
            })
            .collect();
        near.sort();
        near.truncate(NEAR_MAX);
        near.into_iter().map(|(_, name)| name).collect()
    }
}

/// A source in the list: what a user chooses by.
fn row(exchange: &Exchange) -> [String; COLUMNS] {
    let entry = &exchange.entry;
    let many = match &entry.many {
        None => "one",
        Some(many) if many.url.holes().next().is_none() => "one, all",
        Some(_) => "one, many",
    };
    let stream = match &entry.stream {
        None => "-",
        Some(_) => "yes",
    };
    let example = match entry.example.parse() {
        Ok(symbol) => exchange.market(&symbol),
        Err(_) => String::new(),
    };
    [
        entry.id.clone(),
        entry.name.clone(),
        many.to_owned(),
        format!("{} ms", entry.interval_ms),
        stream.to_owned(),
        entry.example.clone(),
        example,
    ]
}

/// A user's own entry may have a long name.
fn shortened(mut row: [String; COLUMNS]) -> [String; COLUMNS] {
    for (cell, width) in row.iter_mut().zip(WIDTHS_MAX) {
        if let Some((end, _)) = cell.char_indices().nth(width - 1)
            && cell.chars().count() > width
        {
            cell.truncate(end);
            cell.push('…');
        }
    }
    row
}

fn aligned(row: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::new();
    for (cell, &width) in row.iter().zip(widths) {
        line += &format!("{cell:width$}  ");
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

const COLUMNS: usize = 7;

const HEADINGS: [&str; COLUMNS] = [
    "SOURCE",
    "NAME",
    "PER REQUEST",
    "EVERY",
    "STREAM",
    "SYMBOL",
    "SPELLED THERE",
];

/// Together with two blanks between columns, 99.
const WIDTHS_MAX: [usize; COLUMNS] = [16, 20, 11, 9, 6, 12, 13];

const BUILTIN: &str = include_str!("../exchanges.json");

/// Two slips of the finger; three would find `okx` near everything.
const DISTANCE_MAX: usize = 2;

/// More would be a list, and there is one already.
const NEAR_MAX: usize = 3;

impl fmt::Display for BadCatalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCatalogue {}

impl fmt::Display for UnknownExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, near } = self;
        write!(f, "unknown exchange '{asked}'")?;
        match near.as_slice() {
            [] => f.write_str(", see --list-sources"),
            [near @ .., last] if !near.is_empty() => {
                write!(f, ", did you mean {} or {last}?", near.join(", "))
            }
            [only, ..] => write!(f, ", did you mean {only}?"),
        }
    }
}

impl std::error::Error for UnknownExchange {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_catalogue_is_whole() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.iter().count(), 21);
        for exchange in catalogue.iter() {
            assert!(std::ptr::eq(
                catalogue.get(exchange.id()).unwrap(),
                exchange
            ));
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_by_older_names() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.get("Kraken").unwrap().id(), "kraken");
        assert_eq!(catalogue.get("gateio").unwrap().id(), "gate");
        assert_eq!(catalogue.get("huobi").unwrap().id(), "htx");
    }

    #[test]
    fn an_unknown_exchange_brings_near_names() {
        let catalogue = Catalogue::builtin();
        let error = |name| catalogue.get(name).unwrap_err().to_string();
        assert_eq!(
            error("binnace"),
            "unknown exchange 'binnace', did you mean binance?"
        );
        assert_eq!(
            error("bitme"),
            "unknown exchange 'bitme', did you mean bitmex or bitget?"
        );
        assert_eq!(
            error("somewhere"),
            "unknown exchange 'somewhere', see --list-sources"
        );
    }

    #[test]
    fn the_table_is_aligned_and_fits() {
        let long = "x".repeat(200);
        let entry = format!(
            r#"{{"exchanges":[{{"id":"{long}","name":"{long}","example":"ABCDEFGHIJKL/USDT",
            "interval_ms":86400000,"spelling":{{"market":"{{BASE}}{long}"}},
            "one":{{"url":"http://a/{{market}}","answer":{{"last":"/p"}}}}}}]}}"#
        );
        let table = Catalogue::builtin().with_file(&entry).unwrap().table();
        assert_eq!(table.lines().count(), 23);
        let width = |line: &str| line.chars().count();
        assert!(table.lines().all(|line| width(line) <= 100), "{table}");
        let column = table.find("SYMBOL").unwrap();
        assert!(table.lines().all(|line| {
            line.chars().nth(column - 1) == Some(' ') && line.chars().nth(column) != Some(' ')
        }));
        assert!(table.contains("kraken"), "{table}");
    }
}
