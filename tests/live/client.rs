//! What a client of a server under test receives.

use std::net::TcpStream;

use tungstenite::WebSocket;

/// The next message that contains `words`.
pub(crate) fn next(client: &mut WebSocket<TcpStream>, words: &str) -> String {
    loop {
        let message = client.read().unwrap();
        match message.to_text() {
            Ok(text) if text.contains(words) => return text.to_owned(),
            _ => {}
        }
    }
}
