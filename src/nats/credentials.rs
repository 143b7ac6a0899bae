//! What proves to a server who we are. None of it is ever shown.

use std::fmt;
use std::path::Path;
use std::rc::Rc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::nkey::UserKey;

/// Who we are.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// A user name and a password.
    User(String, String),
    /// A token.
    Token(String),
    /// A user's JWT, and the key to prove that it is ours.
    Jwt(String, Rc<UserKey>),
}

impl Credentials {
    /// Reads a `.creds` file, which has a JWT and a seed, each between two lines of dashes.
    pub(crate) fn from_creds_file(path: &Path) -> Result<Self, String> {
        let text = read(path)?;
        Self::from_creds(&text).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Reads a file that has a token as its first line.
    pub(crate) fn from_token_file(path: &Path) -> Result<Self, String> {
        let text = read(path)?;
        match text.lines().next().map(str::trim) {
            Some(token) if !token.is_empty() => Ok(Self::Token(token.to_owned())),
            _ => Err(format!(
                "{}: expected a token in the first line",
                path.display()
            )),
        }
    }

    fn from_creds(text: &str) -> Result<Self, String> {
        let mut parts = text.split(BEGIN).skip(1).filter_map(|part| {
            let (kind, body) = part.split_once('\n')?;
            Some((kind, body.lines().next().unwrap_or_default().trim()))
        });
        let mut find = |kind: &str| {
            let found = parts.find(|(name, _)| name.starts_with(kind));
            found.map(|(_, body)| body)
        };
        let expected = "expected a NATS user's JWT and its seed, as in a .creds file";
        let (Some(jwt), Some(seed)) = (find("NATS USER JWT"), find("USER NKEY SEED")) else {
            return Err(expected.to_owned());
        };
        if jwt.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self::Jwt(
            jwt.to_owned(),
            Rc::new(UserKey::from_seed(seed)?),
        ))
    }

    /// Adds what proves who we are to the options of a `CONNECT`. Fails if the server gave nothing
    /// to sign, but that is how these credentials work.
    pub(super) fn prove(
        &self,
        nonce: Option<&str>,
        options: &mut Map<String, Value>,
    ) -> Result<(), String> {
        let mut add = |key: &str, value: &str| options.insert(key.to_owned(), value.into());
        match self {
            Self::User(user, password) => {
                add("user", user);
                add("pass", password);
            }
            Self::Token(token) => {
                add("auth_token", token);
            }
            Self::Jwt(jwt, key) => {
                let nonce = nonce.ok_or("does not take the credentials of a .creds file")?;
                add("jwt", jwt);
                add(
                    "sig",
                    &BASE64_URL_SAFE_NO_PAD.encode(key.sign(nonce.as_bytes())),
                );
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        let why = crate::error_text::plain(&error);
        format!("cannot read {}: {why}", path.display())
    })
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User(a, b), Self::User(c, d)) => (a, b) == (c, d),
            // A JWT names the key that belongs to it.
            (Self::Token(a), Self::Token(b)) | (Self::Jwt(a, _), Self::Jwt(b, _)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Credentials {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User(..) => "a user and a password",
            Self::Token(_) => "a token",
            Self::Jwt(..) => "a JWT",
        })
    }
}

/// What the line before each part begins with.
const BEGIN: &str = "-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::super::nkey::testing::Pair;
    use super::*;

    fn creds(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        )
    }

    fn proof(credentials: &Credentials) -> String {
        let mut options = Map::new();
        credentials.prove(Some("nonce"), &mut options).unwrap();
        Value::from(options).to_string()
    }

    #[test]
    fn a_creds_file_signs_the_nonce() {
        let pair = Pair::new('U', 3);
        let credentials = Credentials::from_creds(&creds("a.b.c", &pair.seed())).unwrap();
        let signature = BASE64_URL_SAFE_NO_PAD.encode(pair.sign(b"nonce"));
        let expected = format!(r#"{{"jwt":"a.b.c","sig":"{signature}"}}"#);
        assert_eq!(proof(&credentials), expected);
        let refused = credentials.prove(None, &mut Map::new()).unwrap_err();
        assert_eq!(refused, "does not take the credentials of a .creds file");
    }

    #[test]
    fn users_and_tokens_are_sent_as_they_are() {
        let user = Credentials::User("me".to_owned(), "\"x".to_owned());
        assert_eq!(proof(&user), r#"{"pass":"\"x","user":"me"}"#);
        let file = testkit::temp_file("s3cret \nmore\n");
        let token = Credentials::from_token_file(file.path()).unwrap();
        assert_eq!(proof(&token), r#"{"auth_token":"s3cret"}"#);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_quoting_it() {
        let expected = "expected a NATS user's JWT and its seed, as in a .creds file";
        let seed = Pair::new('U', 3).seed();
        for text in [
            "",
            "s3cret",
            &creds("", &seed),
            "-----BEGIN NATS USER JWT-----\nx\n",
        ] {
            assert_eq!(Credentials::from_creds(text).unwrap_err(), expected);
        }
        let file = testkit::temp_file(creds("x", "s3cret"));
        let error = Credentials::from_creds_file(file.path()).unwrap_err();
        assert!(error.ends_with(": invalid key: expected a user's seed, which begins with SU"));
        let empty = testkit::temp_file("\n");
        let error = Credentials::from_token_file(empty.path()).unwrap_err();
        assert!(error.ends_with(": expected a token in the first line"));
        let missing = Credentials::from_token_file(Path::new("/no/such")).unwrap_err();
        assert_eq!(missing, "cannot read /no/such: no such file or directory");
    }

    #[test]
    fn nothing_secret_is_shown() {
        let user = Credentials::User("me".to_owned(), "s3cret".to_owned());
        let token = Credentials::Token("s3cret".to_owned());
        let jwt = Credentials::from_creds(&creds("s3cret", &Pair::new('U', 3).seed())).unwrap();
        assert!(!format!("{user:?} {token:?} {jwt:?}").contains("s3cret"));
    }
}
