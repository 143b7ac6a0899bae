//! Characters of foreign texts that must not be shown as they are, and texts that resemble names.

/// Whether `c` shows nothing of itself but changes how the text around it looks: control
/// characters, line separators, and format characters such as U+202E, which makes a terminal write
/// from right to left.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || FORMAT
            .iter()
            .any(|&(first, last)| (first..=last).contains(&c))
}

/// Replaces deceptive characters: control characters and separators become spaces, all others
/// U+FFFD.
pub fn printable(text: &str) -> String {
    let stand_in = |c: char| match c {
        c if c.is_control() || c.is_whitespace() => ' ',
        c if is_deceptive(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(stand_in).collect()
}

/// By how many typing errors `asked` differs from `name`, both in lower case, if it may have been
/// meant: a third of a name may be wrong, but no more than two letters, or all short names would
/// resemble each other. A part of a name will do from three letters on.
pub fn likeness(asked: &str, name: &str) -> Option<usize> {
    let distance = strsim::damerau_levenshtein(asked, name);
    let is_part = asked.len() >= 3 && name.contains(asked);
    let may_be = is_part || distance <= TYPOS_MAX.min(name.len() / 3);
    may_be.then_some(distance)
}

const TYPOS_MAX: usize = 2;

/// The ranges of Unicode's categories Cf (format), Zl and Zp (separators of lines and paragraphs).
const FORMAT: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e007f}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_name_may_be_wrong_but_no_more_than_two_letters() {
        for (asked, name, expected) in [
            ("kraken", "kraken", Some(0)),
            ("krakn", "kraken", Some(1)),
            ("karkne", "kraken", Some(2)),
            ("karkn", "kraken", Some(2)),
            ("okex", "okx", Some(1)),
            ("oooo", "okx", None),
            ("vol", "quote_volume", Some(9)),
            ("vo", "volume", None),
            ("xxxerxxx", "overtaxed", None),
            ("", "okx", None),
        ] {
            assert_eq!(likeness(asked, name), expected, "{asked} {name}");
        }
    }

    #[test]
    fn characters_that_rewrite_the_text_around_them_are_replaced() {
        for c in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{61c}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for c in ['\x1b', '\n', '\u{85}', '\x7f', '\u{2028}', '\u{a0}'] {
            assert_eq!(printable(&format!("a{c}b")), "a b", "{c:?}");
        }
        let letters = "5 µs, 币安人生, עברית, ไทย, 🐸";
        assert_eq!(printable(letters), letters);
    }
}
