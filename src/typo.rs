//! Whether a word is another one with a typo.

/// Whether somebody who typed `text` may have meant `word`, which is in lower case.
pub(crate) fn is_typo(text: &str, word: &str) -> bool {
    // Long texts are not compared: whoever sends them may send many.
    let may_be = text != word && text.len() <= 2 * word.len();
    may_be && strsim::osa_distance(&text.to_lowercase(), word) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_more_less_other_or_swapped_is_a_typo() {
        for text in [
            "symbol", "symbolss", "simbols", "sybmols", "Symbols", "SYMBOLS",
        ] {
            assert!(is_typo(text, "symbols"), "{text}");
        }
        for text in ["symbols", "", "_", "t", "simbol", &"symbols".repeat(3)] {
            assert!(!is_typo(text, "symbols"), "{text}");
        }
    }
}
