//! The list of exchanges: the built-in ones, and those of a user's file.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use super::Exchange;
use super::bad_catalogue::BadCatalogue;
use super::entry::read_entries;
use super::text::{likeness, printable};

/// The known exchanges.
#[derive(Clone, Debug)]
pub struct Catalogue(Vec<Exchange>);

/// An exchange that the catalogue does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownExchange {
    asked: String,
    suggestions: Vec<String>,
}

impl Catalogue {
    /// The built-in exchanges.
    ///
    /// # Panics
    /// Never: a test reads the same file.
    pub fn builtin() -> Self {
        static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
            let entries = read_entries(BUILTIN).expect("a test reads the same file");
            Catalogue(entries.into_iter().map(Exchange::new).collect())
        });
        CATALOGUE.clone()
    }

    /// Adds the entries of a user's file. An entry replaces the one with the same id, so that users
    /// can correct it or point it at another host.
    ///
    /// # Errors
    /// [`BadCatalogue`] names the entry and the field.
    pub fn with_file(mut self, text: &str) -> Result<Self, BadCatalogue> {
        let mut ids = HashSet::new();
        for entry in read_entries(text)? {
            let exchange = Exchange::new(entry);
            if !ids.insert(exchange.id().to_owned()) {
                let id = exchange.id();
                let reason = "field id: already used by another exchange in this file";
                return Err(BadCatalogue(format!("exchange '{id}': {reason}")));
            }
            match self.0.iter_mut().find(|known| known.id() == exchange.id()) {
                Some(known) => *known = exchange,
                None => self.0.push(exchange),
            }
        }
        Ok(self)
    }

    /// The exchange called `name`, in any case; older names work too.
    ///
    /// # Errors
    /// [`UnknownExchange`] suggests similar names.
    pub fn get(&self, name: &str) -> Result<&Exchange, UnknownExchange> {
        let asked = name.to_lowercase();
        let by_id = self.0.iter().find(|exchange| exchange.id() == asked);
        let by_alias = || {
            let mut exchanges = self.0.iter();
            exchanges.find(|exchange| exchange.entry.aliases.contains(&asked))
        };
        by_id.or_else(by_alias).ok_or_else(|| UnknownExchange {
            asked: name.to_owned(),
            suggestions: self.suggest(&asked),
        })
    }

    /// All exchanges, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.0.iter()
    }

    /// The exchanges as an aligned table, one per line, at most 100 columns wide.
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

    /// Names that `asked` resembles, the closest first.
    fn suggest(&self, asked: &str) -> Vec<String> {
        let mut similar: Vec<_> = self
            .0
            .iter()
            .filter_map(|exchange| {
                let aliases = exchange.entry.aliases.iter().map(String::as_str);
                let names = aliases.chain([exchange.id()]);
                let least = names.filter_map(|name| likeness(asked, name)).min()?;
                Some((least, exchange.id().to_owned()))
            })
            .collect();
        similar.sort();
        similar.truncate(SUGGESTIONS_MAX);
        similar.into_iter().map(|(_, name)| name).collect()
    }
}

/// The cells of one exchange: what a user chooses by.
fn row(exchange: &Exchange) -> [String; COLUMNS] {
    let entry = &exchange.entry;
    let per_request = match (&entry.one, &entry.many) {
        (None, None) => "-",
        (Some(_), None) => "one",
        (None, Some(batch)) if batch.lists_all() => "all",
        (None, Some(_)) => "many",
        (Some(_), Some(batch)) if batch.lists_all() => "one, all",
        (Some(_), Some(_)) => "one, many",
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
        per_request.to_owned(),
        format!("{} ms", entry.interval_ms),
        stream.to_owned(),
        entry.example.clone(),
        example,
    ]
}

/// Cuts long cells, and replaces what cannot be seen: the name in a user's entry may be anything.
fn shortened(mut row: [String; COLUMNS]) -> [String; COLUMNS] {
    for (cell, width) in row.iter_mut().zip(WIDTHS_MAX) {
        *cell = printable(cell);
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
    "WRITTEN THERE",
];

/// Together with two blanks between columns, 99.
const WIDTHS_MAX: [usize; COLUMNS] = [16, 20, 11, 9, 6, 12, 13];

const BUILTIN: &str = include_str!("../exchanges.json");

/// More would be a list, and `--list-sources` prints one already.
const SUGGESTIONS_MAX: usize = 3;

impl fmt::Display for UnknownExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, suggestions } = self;
        write!(f, "unknown exchange '{asked}'")?;
        match suggestions.as_slice() {
            [] => f.write_str(", see --list-sources"),
            [others @ .., last] if !others.is_empty() => {
                write!(f, ", did you mean {} or {last}?", others.join(", "))
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
    fn the_built_in_catalogue_is_complete() {
        let catalogue = Catalogue::builtin();
        assert!(catalogue.iter().count() > 20);
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
        let htx = catalogue.get("huobi").unwrap();
        assert_eq!(htx.id(), "htx");
        assert!(htx.is_called("htx") && htx.is_called("Huobi") && !htx.is_called("gate"));
    }

    #[test]
    fn an_unknown_exchange_suggests_similar_names() {
        let catalogue = Catalogue::builtin();
        let error = |name| catalogue.get(name).unwrap_err().to_string();
        assert_eq!(
            error("binnace"),
            "unknown exchange 'binnace', did you mean binance?"
        );
        assert_eq!(
            error("deribbit"),
            "unknown exchange 'deribbit', did you mean deribit?"
        );
        let several = error("bitge");
        assert!(
            several.starts_with("unknown exchange 'bitge', did you mean bitget"),
            "{several}"
        );
        assert!(
            several.contains(" or ") && several.ends_with('?'),
            "{several}"
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
        let catalogue = Catalogue::builtin().with_file(&entry).unwrap();
        let table = catalogue.table();
        assert_eq!(table.lines().count(), 1 + catalogue.iter().count());
        let width = |line: &str| line.chars().count();
        assert!(table.lines().all(|line| width(line) <= 100), "{table}");
        let column = table.find("SYMBOL").unwrap();
        assert!(table.lines().all(|line| {
            line.chars().nth(column - 1) == Some(' ') && line.chars().nth(column) != Some(' ')
        }));
        assert!(table.contains("kraken"), "{table}");
    }
}
