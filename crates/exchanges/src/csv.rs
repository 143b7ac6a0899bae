//! Reads an answer in CSV: one row of it, as the JSON object of its columns. So the price and its
//! time are found by pointers there, as in any other answer.
//!
//! The row with the names of the columns need not be the first: some sources write a few lines about
//! themselves before it. Nor is the separator always a comma.

use super::answer::text_of;
use super::json::excerpt;
use super::price::Price;
use super::quote::QuoteError;

/// The row whose price counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Row {
    /// The first one, of answers that begin with the newest.
    First,
    /// The last one.
    #[default]
    Last,
}

/// How an answer in CSV is read.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The column of the price.
    pub(super) column: String,
    pub(super) row: Row,
}

impl Table {
    /// The row that counts, of those with a price, as a JSON object. Calls `pause` now and then.
    pub(super) fn read(&self, body: &[u8], pause: &mut dyn FnMut()) -> Result<String, QuoteError> {
        row_as_json(text_of(body)?, &self.column, self.row, pause)
    }
}

fn row_as_json(
    text: &str,
    wanted: &str,
    row: Row,
    pause: &mut dyn FnMut(),
) -> Result<String, QuoteError> {
    let header = SEPARATORS.iter().find_map(|separator| {
        let mut reader = reader(text, *separator);
        let mut names = ::csv::StringRecord::new();
        for _ in 0..LINES_BEFORE_MAX {
            if !reader.read_record(&mut names).ok()? {
                return None;
            }
            if let Some(column) = names.iter().position(|name| name.trim() == wanted) {
                return Some((reader, names, column));
            }
        }
        None
    });
    let Some((mut reader, names, column)) = header else {
        let beginning = excerpt(text.lines().next().unwrap_or_default());
        return Err(QuoteError::Garbage(format!(
            "no column {wanted} in CSV that begins with: {beginning}"
        )));
    };
    let mut found: Option<::csv::StringRecord> = None;
    let mut other = String::new();
    let mut record = ::csv::StringRecord::new();
    for number in 1.. {
        let more = reader.read_record(&mut record);
        let more = more.map_err(|error| QuoteError::Garbage(format!("invalid CSV: {error}")))?;
        if !more {
            break;
        }
        if number % RECORDS_PER_PAUSE == 0 {
            pause();
        }
        let cell = record.get(column).unwrap_or_default().trim();
        if Price::parse(cell).is_ok() {
            std::mem::swap(found.get_or_insert_default(), &mut record);
            if row == Row::First {
                break;
            }
        } else if !cell.is_empty() && found.is_none() {
            other = excerpt(cell);
        }
    }
    let found = found.ok_or_else(|| no_number(wanted, &other))?;
    Ok(object(&names, &found).to_string())
}

/// The cells of a row by the names of their columns. The first column of a name counts, as it does
/// for the price.
fn object(names: &::csv::StringRecord, row: &::csv::StringRecord) -> serde_json::Value {
    let mut members = serde_json::Map::new();
    for (name, cell) in names.iter().zip(row) {
        let member = members.entry(name.trim());
        member.or_insert_with(|| cell.trim().into());
    }
    members.into()
}

/// The error of a table without any price. `other` is its last cell that says something else.
fn no_number(wanted: &str, other: &str) -> QuoteError {
    let mut why = format!("no row has a number in the column {wanted}");
    if !other.is_empty() {
        why += &format!(", the last one has '{other}'");
    }
    QuoteError::NoPrice(why)
}

fn reader(text: &str, separator: u8) -> ::csv::Reader<&[u8]> {
    ::csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        // Lines before the table, and short rows in it, are no reason to refuse the rest.
        .flexible(true)
        .from_reader(text.as_bytes())
}

const SEPARATORS: &[u8] = b",;\t|";

/// How many lines may come before the names of the columns.
const LINES_BEFORE_MAX: usize = 20;

/// A fraction of a millisecond's work.
const RECORDS_PER_PAUSE: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(text: &str, wanted: &str, row: Row) -> Result<String, String> {
        row_as_json(text, wanted, row, &mut || {}).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_or_the_last_row_counts() {
        let text = "Date,Close\n2024-11-21,1.50\n2024-11-22,1.60\n";
        let first = r#"{"Close":"1.50","Date":"2024-11-21"}"#;
        let last = r#"{"Close":"1.60","Date":"2024-11-22"}"#;
        assert_eq!(row(text, "Close", Row::First).as_deref(), Ok(first));
        assert_eq!(row(text, "Close", Row::Last).as_deref(), Ok(last));
    }

    #[test]
    fn a_row_counts_only_if_its_cell_can_be_read_as_a_price() {
        let expected = Ok(r#"{"DATE":"1","V":"2.5"}"#);
        for other in [
            "2,.", "2,", "2", "2,ND", "2,n/a", "2,#N/A", "2,NaN", "2,--", "2,-", "2,null", "2,x1",
        ] {
            let text = format!("DATE,V\n1,2.5\n{other}\n");
            assert_eq!(row(&text, "V", Row::Last).as_deref(), expected, "{other}");
            let text = format!("DATE,V\n{other}\n1,2.5\n");
            assert_eq!(row(&text, "V", Row::First).as_deref(), expected, "{other}");
        }
    }

    #[test]
    fn a_table_without_a_price_is_told_what_its_cells_have() {
        let error = |text| row(text, "V", Row::Last).unwrap_err();
        assert_eq!(
            error("DATE,V\n1,\n"),
            "no price: no row has a number in the column V"
        );
        assert_eq!(
            error("DATE;V\n1;1,4\n2;1,5\n3;\n"),
            "no price: no row has a number in the column V, the last one has '1,5'"
        );
    }

    #[test]
    fn the_first_column_of_a_name_counts_for_the_row_and_for_the_price() {
        let text = "Date,Close,Vol,Close\n2024-01-01,7,2,8\n2024-01-02,ND,3,9\n";
        let expected = r#"{"Close":"7","Date":"2024-01-01","Vol":"2"}"#;
        assert_eq!(row(text, "Close", Row::Last).as_deref(), Ok(expected));
    }

    #[test]
    fn cells_may_be_quoted_and_separated_in_several_ways() {
        let quoted = "\"Name, long\",\"a \"\"b\"\"\"\r\n\"x,\ny\",7\r\n";
        let expected = r#"{"Name, long":"x,\ny","a \"b\"":"7"}"#;
        assert_eq!(row(quoted, "a \"b\"", Row::Last).as_deref(), Ok(expected));
        let semicolons =
            "\"PublishingDate\";\"2024-11-22\"\n\n\"Date\";\"Value\"\n\"2024-11\";\"0.88\"\n";
        let expected = r#"{"Date":"2024-11","Value":"0.88"}"#;
        assert_eq!(row(semicolons, "Value", Row::Last).as_deref(), Ok(expected));
        assert_eq!(
            row("a\tb\n1\t2\n", "b", Row::Last).as_deref(),
            Ok(r#"{"a":"1","b":"2"}"#)
        );
    }

    #[test]
    fn an_unknown_column_is_named() {
        assert_eq!(
            row("Date,Close\n1,2\n", "Last", Row::Last).unwrap_err(),
            "unexpected answer: no column Last in CSV that begins with: Date,Close"
        );
        assert!(row("", "Last", Row::Last).is_err());
    }

    #[test]
    fn a_long_table_is_read_in_pieces() {
        let text = format!("V\n{}", "1\n".repeat(10_000));
        let mut pauses = 0;
        row_as_json(&text, "V", Row::Last, &mut || pauses += 1).unwrap();
        assert!(pauses >= 30, "{pauses}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-c,;\"\n\r]{0,60}", wanted in "[a-c]{0,2}") {
            let _ = row(&text, &wanted, Row::Last);
        }

        #[test]
        fn a_cell_keeps_its_digits(price in "[0-9]{1,20}\\.[0-9]{1,20}") {
            let expected = format!(r#"{{"p":"{price}"}}"#);
            prop_assert_eq!(row(&format!("p\n{price}\n"), "p", Row::Last), Ok(expected));
        }
    }
}
