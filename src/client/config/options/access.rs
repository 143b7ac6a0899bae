//! Options for access: certificates to trust and headers to send.

use crate::cli::{BadOption, Options, path};
use crate::client::config::{Access, Config};

/// Reads these options into `config`; those not given keep their defaults.
pub(super) fn read(options: &mut Options, config: &mut Config) -> Result<(), BadOption> {
    let access = Access {
        ca: options.value("--ca", path)?,
        insecure: options.flag("--insecure"),
        headers: options.values("--header", header)?,
    };
    for name in ["--ca", "--insecure"] {
        if options.was_given(name) && !config.url.is_secure() {
            return Err(BadOption::new(name, "only makes sense with a wss:// URL"));
        }
    }
    let headers = access.headers.iter();
    let authorizations = headers.filter(|(name, _)| is(name, "Authorization"));
    let error = match authorizations.count() {
        0 => None,
        1 if config.url.authorization().is_none() => None,
        1 => Some("the URL already has a user, so Authorization would be sent twice"),
        _ => Some("Authorization is given twice"),
    };
    if let Some(error) = error {
        return Err(BadOption::new("--header", error));
    }
    config.access = access;
    Ok(())
}

/// Reads `Name: value` (RFC 9110, section 5). Errors do not show the value, which may be secret.
fn header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("invalid header: expected 'Name: value'".to_owned());
    };
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_name) {
        // If the colon was forgotten, the value may contain one.
        return Err("invalid header name before the colon: expected 'Name: value'".to_owned());
    }
    if OWNED.iter().any(|owned| is(name, owned)) {
        return Err(format!("{name} is set by the handshake itself"));
    }
    let value = value.trim_matches([' ', '\t']);
    let in_value = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    if !value.bytes().all(in_value) {
        return Err(format!("the value of {name} contains control characters"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn is(name: &str, other: &str) -> bool {
    name.eq_ignore_ascii_case(other)
}

/// Headers that RFC 6455 section 4.1 defines, or that would announce a body.
const OWNED: [&str; 10] = [
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
    "Content-Length",
    "Transfer-Encoding",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_headers_are_accepted() {
        let two = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("X-Key:  a: b "), two("X-Key", "a: b"));
        assert_eq!(header("X-Empty:"), two("X-Empty", ""));
        for (text, part) in [
            ("secret", "expected 'Name: value'"),
            (": secret", "invalid header name"),
            ("X Y: secret", "invalid header name"),
            ("Authorization Bearer secret:more", "invalid header name"),
            ("X-A: secret\r\nHost: b", "control characters"),
            ("host: secret", "is set by the handshake"),
            ("SEC-WEBSOCKET-KEY: secret", "is set by the handshake"),
        ] {
            let error = header(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_unusable_certificate_file_is_named() {
        let access = Access {
            ca: Some("/nowhere/ca.pem".into()),
            ..Access::default()
        };
        let error = access.roots().unwrap_err().to_string();
        let expected = "--ca: cannot use /nowhere/ca.pem: no such file or directory";
        assert_eq!(error, expected);
        assert!(Access::default().roots().is_ok());
    }
}
