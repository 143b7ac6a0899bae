use proptest::prelude::*;
use tungstenite::handshake::server::{Request, create_response, write_response};

use super::*;

proptest! {
    #[test]
    fn a_key_of_16_bytes_is_answered_as_tungstenite_would_and_no_other(
        key in "[A-Za-z0-9+/]{22}==|[A-Za-z0-9+/]{21}[AQgw]==|[A-Za-z0-9+/=]{20,26}|\\PC{24}",
    ) {
        let ours = response(Some(key.as_bytes())).ok();
        prop_assert_eq!(ours.is_some(), is_16_bytes_in_base64(&key));
        if let Some(ours) = ours {
            // Tungstenite answers some others too, with padding in their middle.
            prop_assert_eq!(Some(lines(&ours)), tungstenites(&key).as_deref().map(lines));
        }
    }
}

#[test]
fn a_key_with_padding_in_its_middle_is_refused() {
    assert!(response(Some(b"AA0a/AAaAAo=aaE=00+A+00A")).is_err());
}

/// By the letter of RFC 4648: four bits of the last digit are not used, and zero.
fn is_16_bytes_in_base64(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let Some(digits) = key.as_bytes().strip_suffix(b"==") else {
        return false;
    };
    digits.len() == 22 && digits.iter().all(|&byte| is_digit(byte)) && b"AQgw".contains(&digits[21])
}

/// Tungstenite's answer to a handshake with `key`, if it accepts that.
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

/// The lines of a head. The names of headers may be in either case, which their values may not.
fn lines(head: &[u8]) -> Vec<String> {
    let head = std::str::from_utf8(head).unwrap();
    let line = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    };
    head.split("\r\n").map(line).collect()
}
