//! The tokens that clients need, from a file that can be reloaded.
//!
//! Tokens are compared in constant time and are never shown: not in logs, errors or `Debug`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use subtle::{Choice, ConstantTimeEq};
use tungstenite::http::StatusCode;

use crate::error_text::plain;
use crate::server::rejection::Rejection;

/// The accepted tokens. Having several allows one to be replaced while some clients use the old
/// token and some the new one.
#[derive(Clone)]
pub struct Tokens {
    path: PathBuf,
    tokens: Vec<Box<[u8]>>,
}

impl Tokens {
    /// Reads a file with one token per line, besides comments (`#`) and blank lines. Warns if users
    /// other than its owner and group can read it.
    ///
    /// # Errors
    /// A sentence that names the file but never quotes its content.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, String> {
        let path = path.into();
        let tokens = read(&path)
            .map_err(|error| format!("cannot use the tokens in {}: {error}", path.display()))?;
        Ok(Self { path, tokens })
    }

    /// Reads the file again. If that fails, the previous tokens stay.
    ///
    /// # Errors
    /// The same as [`read`](Self::read).
    pub fn reload(&mut self) -> Result<(), String> {
        *self = Self::read(&*self.path)?;
        Ok(())
    }

    /// Accepts a request that has a token in its `Authorization` header or in its query.
    pub(crate) fn check(&self, authorization: Option<&[u8]>, query: &str) -> Result<(), Rejection> {
        let in_header = authorization.and_then(bearer);
        if in_header.is_some_and(|token| self.admit(token)) {
            return Ok(());
        }
        let in_query = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        // No token contains a blank, so a blank is a plus sign that was not encoded.
        if in_query.is_some_and(|(_, token)| self.admit(token.replace(' ', "+").as_bytes())) {
            return Ok(());
        }
        // Never quote what the client sent: it may be a token for something else.
        let message =
            "missing or unknown token: expected Authorization: Bearer TOKEN, or ?token=TOKEN";
        Err(Rejection::new(StatusCode::UNAUTHORIZED, message))
    }

    /// Whether `token` is accepted. The time it takes depends on the number of tokens, and on
    /// whether the length matches one, but not on how much of a token was guessed.
    fn admit(&self, token: &[u8]) -> bool {
        let none = Choice::from(0);
        let found = |found, one: &[u8]| found | one.ct_eq(token);
        let tokens = self.tokens.iter().map(AsRef::as_ref);
        tokens.fold(none, found).into()
    }
}

/// Names the file and the number of tokens.
impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, path) = (self.tokens.len(), self.path.display());
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} token{plural} from {path}")
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({self})")
    }
}

/// The token of an `Authorization` header (RFC 6750 section 2.1); the scheme's case is ignored.
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii_start())
}

fn read(path: &Path) -> Result<Vec<Box<[u8]>>, String> {
    let file = OpenOptions::new()
        .read(true)
        // Reading a pipe without a writer would block the whole server.
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(|error| plain(&error))?;
    let metadata = file.metadata().map_err(|error| plain(&error))?;
    let mut text = Vec::new();
    file.take(FILE_LENGTH_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => "it is still empty".to_owned(),
            _ => plain(&error),
        })?;
    if text.len() as u64 > FILE_LENGTH_MAX {
        return Err(format!("it is longer than {FILE_LENGTH_MAX} bytes"));
    }
    let tokens = parse(&text)?;
    if metadata.mode() & READABLE_BY_OTHERS != 0 {
        let path = path.display();
        log::warn!("any user of this machine can read the tokens in {path} (try chmod o-r)");
    }
    Ok(tokens)
}

fn parse(text: &[u8]) -> Result<Vec<Box<[u8]>>, String> {
    let mut tokens = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        // A header cannot carry such a token, so no client could use it.
        if !line.iter().all(u8::is_ascii_graphic) {
            let number = index + 1;
            return Err(format!(
                "invalid token in line {number}: expected printable ASCII without blanks"
            ));
        }
        tokens.push(line.into());
    }
    if tokens.is_empty() {
        return Err("there are none: expected one per line".to_owned());
    }
    Ok(tokens)
}

/// The longest file accepted, in bytes: some twenty thousand tokens.
const FILE_LENGTH_MAX: u64 = 1 << 20;

/// The permission bit that lets other users read the file.
const READABLE_BY_OTHERS: u32 = 0o004;

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Tokens {
        Tokens {
            path: "tokens".into(),
            tokens: parse(text.as_bytes()).unwrap(),
        }
    }

    #[test]
    fn a_file_has_one_token_per_line() {
        let tokens = tokens("# of 2026\n\n  first \r\nsec+ond=\n# third\n");
        for (token, expected) in [
            ("first", true),
            ("sec+ond=", true),
            ("firs", false),
            ("first1", false),
            ("First", false),
            ("# third", false),
            ("", false),
        ] {
            assert_eq!(tokens.admit(token.as_bytes()), expected, "{token}");
        }
    }

    #[test]
    fn tokens_are_never_shown() {
        assert_eq!(
            format!("{:?}", tokens("secret")),
            "Tokens(1 token from tokens)"
        );
        let error = parse(b"fine\nsecret with blanks").unwrap_err();
        assert_eq!(
            error,
            "invalid token in line 2: expected printable ASCII without blanks"
        );
        assert!(parse("secr\u{e9}t".as_bytes()).is_err());
        assert!(
            parse(b"# nothing\n\n")
                .unwrap_err()
                .contains("there are none")
        );
    }

    #[test]
    fn an_error_names_the_file_and_keeps_the_previous_tokens() {
        let error = Tokens::read("/nowhere/tokens").unwrap_err();
        assert!(
            error.starts_with("cannot use the tokens in /nowhere/tokens: "),
            "{error}"
        );
        let error = Tokens::read("/dev/zero").unwrap_err();
        assert!(error.contains("it is longer than"), "{error}");
        let mut tokens = tokens("secret");
        assert!(tokens.reload().is_err() && tokens.admit(b"secret"));
    }
}
