//! The header block of a message: `NATS/1.0`, perhaps a status, then lines as in HTTP.
//!
//! Whoever may publish can put anything there, and a stored message comes again at every read. So a
//! block is never an error: what cannot be read is left out.

/// The headers of a message, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    fields: Vec<(String, String)>,
    /// What the status means, in the server's words; often empty.
    description: String,
}

impl Headers {
    /// Reads a block, and returns the status that its first line may have.
    pub(super) fn read(block: &[u8]) -> (Self, Option<u16>) {
        let text = String::from_utf8_lossy(block);
        let (first, lines) = text.split_once("\r\n").unwrap_or((&text, ""));
        let Some(rest) = first.strip_prefix(VERSION) else {
            return (Self::default(), None);
        };
        let (status, description) = status(rest.trim());
        let fields = lines.rsplit("\r\n").filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        let mut fields: Vec<_> = fields.take(FIELDS_MAX).collect();
        fields.reverse();
        let headers = Self {
            fields,
            description: description.to_owned(),
        };
        (headers, status)
    }

    /// The last value of a header: the server adds its own behind those of the publisher. Names are
    /// compared as the server writes them: by letter case, too.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .rfind(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let value = self.get(name)?;
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| value.parse().ok())?
    }

    /// What the status means, in the server's words; often empty.
    pub(crate) fn description(&self) -> &str {
        &self.description
    }

    /// All headers.
    #[cfg(any(test, fuzzing))]
    pub(super) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

/// The status at the begin of `text`, and what follows it.
fn status(text: &str) -> (Option<u16>, &str) {
    let (code, description) = text.split_once(' ').unwrap_or((text, ""));
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    match code.parse() {
        Ok(code) if is_code => (Some(code), description.trim()),
        _ => (None, text),
    }
}

/// How many headers are kept, the last ones. A block may have as many bytes as a message, and would
/// take more than ten times as many as a list of short headers.
const FIELDS_MAX: usize = 100;

/// What the first line begins with.
pub(super) const VERSION: &str = "NATS/1.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let block = b"NATS/1.0\r\nNats-Sequence: 42\r\nA: first\r\nA:b:c\r\n\r\n";
        let (headers, status) = Headers::read(block);
        assert_eq!(status, None);
        assert_eq!(headers.number("Nats-Sequence"), Some(42));
        assert_eq!(headers.get("A"), Some("b:c"));
        assert_eq!(headers.get("nats-sequence"), None);
        assert_eq!(headers.number("A"), None);
    }

    #[test]
    fn a_status_has_three_digits_and_perhaps_a_description() {
        let read = |line: &str| {
            let (headers, status) = Headers::read(format!("{line}\r\n\r\n").as_bytes());
            (status, headers.description().to_owned())
        };
        assert_eq!(read("NATS/1.0 503"), (Some(503), String::new()));
        let missing = (Some(404), "Message Not Found".to_owned());
        assert_eq!(read("NATS/1.0 404 Message Not Found"), missing);
        assert_eq!(read("NATS/1.0 4040"), (None, "4040".to_owned()));
        assert_eq!(read("NATS/1.0 +40"), (None, "+40".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let (headers, status) = Headers::read(b"NATS/1.0\r\nno colon\r\nA: \xff\r\n\r\n");
        assert_eq!((headers.get("A"), status), (Some("\u{fffd}"), None));
        assert_eq!(headers.fields().len(), 1);
        for block in [&b""[..], b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"] {
            assert_eq!(Headers::read(block), (Headers::default(), None));
        }
        let (many, _) = Headers::read(&[b"NATS/1.0\r\n".to_vec(), b"A:\r\n".repeat(1000)].concat());
        assert_eq!(many.fields().len(), FIELDS_MAX);
        let (headers, _) = Headers::read(b"NATS/1.0\r\nA: 99999999999999999999\r\n\r\n");
        assert_eq!(headers.number("A"), None);
        let (headers, _) = Headers::read(b"NATS/1.0\r\nA: +1\r\nB:\r\n\r\n");
        assert_eq!((headers.number("A"), headers.number("B")), (None, None));
    }
}
