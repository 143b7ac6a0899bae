//! Words of a server in our own sentences: short, and without characters that rewrite what is
//! around them.

use exchanges::text::printable;

/// The begin of a server's words, safe to show.
pub(super) fn shown(text: &str) -> String {
    shown_up_to(LENGTH_MAX, text)
}

/// The same, with a limit of its own.
pub(super) fn shown_up_to(length_max: usize, text: &str) -> String {
    let begin: String = text.chars().take(length_max).collect();
    printable(&begin)
}

/// Enough for a refused subject and why it is.
const LENGTH_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_and_cleaned() {
        assert_eq!(shown("a\r\nb\u{1b}[31m"), "a  b [31m");
        assert_eq!(shown("\u{202e}x"), "\u{fffd}x");
        assert_eq!(shown(&"é".repeat(1000)), "é".repeat(300));
        assert_eq!(shown_up_to(2, "abc"), "ab");
    }
}
