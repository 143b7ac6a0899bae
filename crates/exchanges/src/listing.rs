//! What a user chooses a source by: the fields that each exchange has, and all about one of them.

use super::entry::Mapping;
use super::fields::{Field, FieldSet};
use super::{Catalogue, Exchange};

impl Catalogue {
    /// Which fields each exchange has, by requests and by stream: an aligned table, one exchange per
    /// line, at most 100 columns wide.
    pub fn fields_table(&self) -> String {
        let names = self.iter().map(|exchange| exchange.id().chars().count());
        let width = names.fold("SOURCE".len(), usize::max).min(NAME_WIDTH_MAX);
        let heading = row("SOURCE", width, |field| field.name());
        let mut table = format!("Fields for --fields: r by requests, s by stream\n\n{heading}");
        for exchange in self.iter() {
            let (requests, stream) = (exchange.request_fields(), exchange.stream_fields());
            table += &row(exchange.id(), width, |field| {
                match (requests.contains(field), stream.contains(field)) {
                    (true, true) => "r s",
                    (true, false) => "r",
                    (false, true) => "  s",
                    (false, false) => "-",
                }
            });
        }
        table
    }
}

/// A line of the table, with a cell for each field.
fn row<'a>(name: &str, width: usize, cell: impl Fn(Field) -> &'a str) -> String {
    let mut line = format!("{name:width$.width$}");
    for field in Field::ALL {
        let width = field.name().len().max(3);
        line += &format!("  {:width$}", cell(field));
    }
    line.truncate(line.trim_end().len());
    line.push('\n');
    line
}

impl Exchange {
    /// All that a user wants to know of it, at most 100 columns wide unless a word is longer.
    pub fn details(&self) -> String {
        let entry = &self.entry;
        let mut text = format!("{}: {}\n", entry.id, entry.name);
        for line in wrapped(&entry.notes) {
            text += &format!("  {line}\n");
        }
        let mut facts = Vec::new();
        if !entry.aliases.is_empty() {
            facts.push(("also called", entry.aliases.join(", ")));
        }
        if let Ok(symbol) = entry.example.parse() {
            let there = self.market(&symbol);
            facts.push(("symbols", format!("{symbol} is {there} there")));
        }
        if let Some(one) = &entry.one {
            let every = format!("a request every {} ms", entry.interval_ms);
            facts.push(("one symbol", every));
            facts.extend(contents(&one.answer));
        }
        if let Some(several) = &entry.many {
            let symbols = if several.lists_all() {
                "all symbols".to_owned()
            } else {
                format!("up to {} symbols", several.most)
            };
            let every = several.interval_ms.unwrap_or(entry.interval_ms);
            let every = format!("{symbols} in a request every {every} ms");
            facts.push(("several", every));
            facts.extend(contents(&several.answer));
        }
        match (&entry.stream, self.stream_limits()) {
            (Some(stream), Some(limits)) => {
                let (id, most) = (&entry.id, limits.per_connection);
                let stated = format!("--source {id}+stream, up to {most} symbols per connection");
                facts.push(("stream", stated));
                facts.extend(contents(&stream.ticks.message));
            }
            _ => facts.push(("stream", "none".to_owned())),
        }
        let markets = match self.market_list_url() {
            Some(_) => "--symbols '*', or any pattern: it lists its markets",
            None => "none: it lists no markets, so name the symbols",
        };
        facts.push(("patterns", markets.to_owned()));
        text.push('\n');
        for (name, fact) in facts {
            text += &format!("  {name:13} {fact}\n");
        }
        text
    }
}

/// What answers or messages of this form have.
fn contents(mapping: &Mapping) -> [(&'static str, String); 2] {
    let time = match mapping.time {
        Some(_) => "the exchange's",
        None => "none, so ticks carry the time of their receipt",
    };
    [
        ("  fields", fields(mapping.fields.known())),
        ("  time", time.to_owned()),
    ]
}

fn fields(known: FieldSet) -> String {
    if known.is_empty() {
        "none".to_owned()
    } else {
        known.to_string()
    }
}

/// The words of `text` in lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < LINE_WIDTH_MAX => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Together with the cells of all fields, 93.
const NAME_WIDTH_MAX: usize = 32;

/// With the indent, 98.
const LINE_WIDTH_MAX: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_each_exchange_are_aligned_and_fit() {
        let long = "x".repeat(200);
        let entry = format!(
            r#"{{"exchanges":[{{"id":"{long}","name":"X","interval_ms":1,"spelling":{{"market":"{{BASE}}"}},
            "one":{{"url":"http://a/{{market}}","answer":{{"last":"/p","fields":{{"bid":"/b","open":"/o"}}}}}}}}]}}"#
        );
        let catalogue = Catalogue::builtin().with_file(&entry).unwrap();
        let table = catalogue.fields_table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3 + catalogue.iter().count());
        assert!(lines.iter().all(|line| line.len() <= 100), "{table}");
        let (heading, last) = (lines[2], lines[lines.len() - 1]);
        for (field, cell) in [("bid", 'r'), ("ask", '-'), ("low", '-'), ("open", 'r')] {
            let column = heading.find(&format!(" {field}")).unwrap() + 1;
            assert_eq!(last.chars().nth(column), Some(cell), "{field}: {last}");
        }
    }

    #[test]
    fn details_name_the_fields_by_requests_and_by_stream() {
        let catalogue = Catalogue::builtin();
        for exchange in catalogue.iter() {
            let details = exchange.details();
            assert!(details.starts_with(&format!("{}: ", exchange.id())));
            assert!(
                details.lines().all(|line| line.chars().count() <= 100),
                "{details}"
            );
            assert_eq!(details.contains("+stream"), exchange.has_stream());
            let has_list = exchange.market_list_url().is_some();
            assert_eq!(details.contains("--symbols '*'"), has_list);
        }
    }

    #[test]
    fn details_say_where_prices_come_without_a_time() {
        let catalogue = Catalogue::builtin();
        for (id, times) in [
            ("kraken", ["none", "none", "the exchange's"].as_slice()),
            ("luno", &["the exchange's", "the exchange's"]),
        ] {
            let details = catalogue.get(id).unwrap().details();
            let stated = details
                .lines()
                .filter_map(|line| line.strip_prefix("    time"));
            let stated: Vec<_> = stated
                .map(|time| time.trim().split(',').next().unwrap_or_default())
                .collect();
            assert_eq!(stated, times, "{details}");
        }
    }

    #[test]
    fn notes_are_wrapped_between_words() {
        let lines = wrapped(&"word ".repeat(100));
        assert!(lines.iter().all(|line| line.len() <= LINE_WIDTH_MAX));
        assert_eq!(lines.join(" "), "word ".repeat(100).trim_end());
        assert!(wrapped("").is_empty());
    }
}
