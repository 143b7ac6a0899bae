//! One HTTP answer after the other, from a connection that goes on.

use std::io::{self, Read};

use serde_json::Value;

use crate::tcp::read_head;

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header lines, with their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body as it was sent.
    pub bytes: Vec<u8>,
    /// Its body as text.
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> Value {
        let json = serde_json::from_str(&self.body);
        json.unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }
}

/// Reads one answer to a GET, and no byte more.
///
/// # Errors
/// When the connection ends before it is whole.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let head = read_head(stream)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, length)| length.parse().ok());
    let mut bytes = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut bytes)?;
    Ok(Answer {
        status: status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?,
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
        bytes,
    })
}
