//! The value of `--fields`.

use exchanges::text::likeness;

use crate::tick::{Field, FieldSet};

/// Reads `bid,ask`.
///
/// # Errors
/// When a name is unknown or listed twice.
pub(super) fn fields(text: &str) -> Result<FieldSet, String> {
    let mut fields = FieldSet::NONE;
    for name in text.split(',').map(str::trim) {
        let field = name.parse().map_err(|_| unknown(name))?;
        if fields.contains(field) {
            return Err(format!("'{name}' is listed twice"));
        }
        fields.insert(field);
    }
    Ok(fields)
}

fn unknown(name: &str) -> String {
    let all = FieldSet::ALL;
    match similar(name).as_slice() {
        [] => format!("unknown field '{name}': expected some of {all}"),
        names => {
            let names = names.join(" or ");
            format!("unknown field '{name}', did you mean {names}? Expected some of {all}")
        }
    }
}

/// The names of fields that resemble `name`, the closest first.
fn similar(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase();
    let resembles = |field: Field| Some((likeness(&name, field.name())?, field.name()));
    let mut similar: Vec<_> = Field::ALL.into_iter().filter_map(resembles).collect();
    similar.sort_unstable();
    similar.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_have_any_order_and_blanks() {
        let set = fields("open, bid").unwrap();
        assert!(set.iter().eq([Field::Bid, Field::Open]));
        assert_eq!(fields(&FieldSet::ALL.to_string()), Ok(FieldSet::ALL));
    }

    #[test]
    fn an_invalid_list_is_answered_with_near_names_and_all_names() {
        let all = "xpected some of bid, ask, volume, quote_volume, change, high, low, open";
        for (text, expected) in [
            ("bdi", "unknown field 'bdi', did you mean bid? E"),
            ("Ask", "unknown field 'Ask', did you mean ask? E"),
            (
                "bid,vol",
                "unknown field 'vol', did you mean volume or quote_volume? E",
            ),
            (
                "quoteVolume",
                "unknown field 'quoteVolume', did you mean quote_volume? E",
            ),
            ("last", "unknown field 'last': e"),
            ("bid,", "unknown field '': e"),
        ] {
            assert_eq!(fields(text), Err(format!("{expected}{all}")), "{text}");
        }
        assert_eq!(
            fields("bid,ask,bid"),
            Err("'bid' is listed twice".to_owned())
        );
    }
}
