//! How exchanges write the name of a market.

pub(super) fn joined(base: &str, quote: &str) -> String {
    format!("{base}{quote}")
}

pub(super) fn lower(base: &str, quote: &str) -> String {
    joined(base, quote).to_lowercase()
}

pub(super) fn dashed(base: &str, quote: &str) -> String {
    format!("{base}-{quote}")
}

pub(super) fn underscored(base: &str, quote: &str) -> String {
    format!("{base}_{quote}")
}

pub(super) fn slashed(base: &str, quote: &str) -> String {
    format!("{base}/{quote}")
}

pub(super) fn quote_first(base: &str, quote: &str) -> String {
    dashed(quote, base)
}

pub(super) fn lower_underscored(base: &str, quote: &str) -> String {
    underscored(base, quote).to_lowercase()
}

pub(super) fn base_only(base: &str, _: &str) -> String {
    base.to_owned()
}
