//! WebSocket by hand: the handshake, and raw frames.

/// The request of a handshake.
pub fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A client's frame: one byte of flags and opcode, and a masked payload.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 9, 11, 13];
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// The frames that a server has sent, as the byte of flags and opcode, and the payload. An
/// incomplete last frame is omitted.
pub fn server_frames(bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let [first, length, behind @ ..] = rest {
        let (length, behind) = match (length, behind) {
            (126, [high, low, payload @ ..]) => {
                (usize::from(*high) << 8 | usize::from(*low), payload)
            }
            (126.., _) => break,
            (length, payload) => (usize::from(*length), payload),
        };
        let Some((payload, behind)) = behind.split_at_checked(length) else {
            break;
        };
        frames.push((*first, payload));
        rest = behind;
    }
    frames
}
