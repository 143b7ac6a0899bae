//! Whether servers printed the same tape: their recordings are compared line by line, over the time
//! that they have in common.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::PathBuf;

use crate::wire::tick;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Recordings with lines.
    pub(crate) recordings: usize,
    /// How many lines were compared, in all recordings together.
    pub(crate) compared: usize,
    /// The first lines that differ, one of each recording that has some.
    pub(crate) differences: Vec<String>,
}

/// A line by its stamp, with a hash of all of it.
type Line = (u64, u64);

/// Compares recordings. One that goes on when another ends, because a server was started again,
/// need not have anything in common with it.
pub(crate) fn compare(recordings: &[PathBuf]) -> io::Result<Comparison> {
    let mut tapes = Vec::new();
    for path in recordings {
        let text = fs::read(path)?;
        let (lines, problem) = lines(&text);
        tapes.push((path, lines, problem));
    }
    tapes.retain(|(_, lines, problem)| !lines.is_empty() || problem.is_some());
    tapes.sort_by_key(|(_, lines, _)| lines.first().map(|(sent, _)| *sent));
    let mut comparison = Comparison {
        recordings: tapes.len(),
        ..Comparison::default()
    };
    // All that the recordings so far have.
    let mut known: Vec<Line> = Vec::new();
    for (path, lines, problem) in tapes {
        let (compared, difference) = compare_with(&known, &lines);
        comparison.compared += compared;
        let difference = problem.or(difference);
        let name = path.file_name().unwrap_or_default().display();
        comparison
            .differences
            .extend(difference.map(|difference| format!("{name}: {difference}")));
        let end = known.last().map_or(0, |(sent, _)| *sent);
        known.extend(lines.into_iter().filter(|(sent, _)| *sent > end));
    }
    Ok(comparison)
}

/// Compares `lines` with the `known` ones. Returns how many were compared, and the first difference.
fn compare_with(known: &[Line], lines: &[Line]) -> (usize, Option<String>) {
    let (Some((first, _)), Some((last, _))) = (lines.first(), known.last()) else {
        return (0, None);
    };
    let known = &known[known.partition_point(|(sent, _)| sent < first)..];
    let lines = &lines[..lines.partition_point(|(sent, _)| sent <= last)];
    // The last ones of those known may be later than the last one here.
    let until = lines.last().map_or(0, |(sent, _)| *sent);
    let known = &known[..known.partition_point(|(sent, _)| *sent <= until)];
    let same = known
        .iter()
        .zip(lines)
        .take_while(|(one, other)| one == other);
    let same = same.count();
    let difference = match (known.get(same), lines.get(same)) {
        (_, None) => None,
        (None, Some((sent, _))) => {
            Some(format!("line {}, sent at {sent}, is in no other", same + 1))
        }
        (Some((theirs, _)), Some((ours, _))) if theirs == ours => Some(format!(
            "line {} differs from the one that others have, sent at {ours}",
            same + 1
        )),
        (Some((theirs, _)), Some((ours, _))) => Some(format!(
            "line {} was sent at {ours}, but others have one sent at {theirs} there",
            same + 1
        )),
    };
    (lines.len(), difference)
}

/// The lines of a recording, and what is wrong with it. The last line may be torn, by a SIGKILL.
fn lines(text: &[u8]) -> (Vec<Line>, Option<String>) {
    let end = text.iter().rposition(|&byte| byte == b'\n');
    let text = &text[..end.unwrap_or(0)];
    let mut lines: Vec<Line> = Vec::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        let Some(tick) = tick(line) else {
            return (lines, Some(format!("line {number} is no tick")));
        };
        if lines.last().is_some_and(|(sent, _)| tick.sent <= *sent) {
            return (
                lines,
                Some(format!("line {number} was sent before the line above")),
            );
        }
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        lines.push((tick.sent, hasher.finish()));
    }
    (lines, None)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;
    use std::ops::RangeInclusive;

    use testkit::TempDir;

    use super::*;

    fn line(sent: u64, price: u64) -> String {
        format!("{{\"symbol\":\"A/B\",\"price\":{price},\"seq\":{sent},\"sent\":{sent}}}\n")
    }

    fn tape(range: RangeInclusive<u64>) -> String {
        range.fold(String::new(), |mut tape, sent| {
            let _ = write!(tape, "{}", line(sent, sent));
            tape
        })
    }

    fn compared(texts: &[String]) -> Comparison {
        let folder = TempDir::new().unwrap();
        let write = |(number, text): (usize, &String)| {
            let path = folder.path().join(format!("{number}.ndjson"));
            fs::write(&path, text).unwrap();
            path
        };
        let paths: Vec<_> = texts.iter().enumerate().map(write).collect();
        compare(&paths).unwrap()
    }

    #[test]
    fn equal_lines_over_the_common_range_are_enough() {
        let comparison = compared(&[tape(1..=20), tape(5..=25), tape(3..=8), String::new()]);
        assert_eq!(
            comparison,
            Comparison {
                recordings: 3,
                compared: 6 + 16,
                differences: Vec::new()
            }
        );
    }

    #[test]
    fn a_server_that_was_started_again_has_two_recordings() {
        let comparison = compared(&[tape(1..=5), tape(1..=9), tape(8..=9), tape(12..=13)]);
        assert_eq!(comparison.differences, [""; 0]);
        assert_eq!(comparison.compared, 5 + 2);
    }

    #[test]
    fn a_line_that_is_missing_or_other_is_found() {
        let without = tape(1..=4) + &tape(6..=9);
        let other = tape(1..=4) + &line(5, 0) + &tape(6..=9);
        for (text, difference) in [
            (
                &without,
                "1.ndjson: line 5 was sent at 6, but others have one sent at 5 there",
            ),
            (
                &other,
                "1.ndjson: line 5 differs from the one that others have, sent at 5",
            ),
        ] {
            let comparison = compared(&[tape(1..=9), text.clone()]);
            assert_eq!(comparison.differences, [difference]);
        }
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_other_lines_have_to_be_ticks_in_order() {
        let torn = tape(1..=3) + "{\"symbol\":\"A";
        assert_eq!(compared(&[tape(1..=3), torn]).differences, [""; 0]);
        let mixed = tape(1..=3) + "hello\n";
        assert_eq!(
            compared(&[mixed]).differences,
            ["0.ndjson: line 4 is no tick"]
        );
        let back = tape(1..=3) + &tape(3..=4);
        let expected = "0.ndjson: line 4 was sent before the line above";
        assert_eq!(compared(&[back]).differences, [expected]);
    }
}
