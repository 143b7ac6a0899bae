use proptest::prelude::*;
use tungstenite::handshake::server::{Request, create_response, write_response};

use super::*;

proptest! {
    #[test]
    fn only_a_key_of_16_bytes_is_answered_and_as_tungstenite_answers_it(
        key in "[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{21}[AQgw]==|[A-Za-z0-9+/=]{20,26}|\\PC{24}",
    ) {
        let ours = response(Some(key.as_bytes())).ok();
        prop_assert_eq!(ours.is_some(), is_16_bytes_in_base64(&key));
        if let Some(ours) = ours {
            // Tungstenite also answers some invalid keys, with padding in their middle.
            prop_assert_eq!(Some(lines(&ours)), tungstenites(&key).as_deref().map(lines));
        }
    }
}

#[test]
fn a_key_with_padding_in_its_middle_is_refused() {
    assert!(response(Some(b"AA0a/AAaAAo=aaE=00+A+00A")).is_err());
}

/// Follows RFC 4648 to the letter: four bits of the last digit are unused, and zero.
fn is_16_bytes_in_base64(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let Some(digits) = key.as_bytes().strip_suffix(b"==") else {
        return false;
    };
    digits.len() == 22 && digits.iter().all(|&byte| is_digit(byte)) && b"AQgw".contains(&digits[21])
}

/// Tungstenite's answer to a handshake with `key`, if it accepts the key.
fn tungstenites(key: &str) -> Option<Vec<u8>> {
    let request = Request::builder()
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", key);
    let response = create_response(&request.body(()).ok()?).ok()?;
    let mut out = Vec::new();
    write_response(&mut out, &response).unwrap();
    Some(out)
}

/// The lines of a head, with header names in lower case, because only the values are
/// case-sensitive.
fn lines(head: &[u8]) -> Vec<String> {
    let head = std::str::from_utf8(head).unwrap();
    let line = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    };
    head.split("\r\n").map(line).collect()
}
