//! The WebSocket state machine for a client's messages, while a message is under way.

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::frame::Boundaries;
use crate::server::config::Config;

/// Created when a message begins, and dropped when it has ended and been answered.
pub(super) struct Codec {
    pub(super) websocket: WebSocketContext,
    pub(super) boundaries: Boundaries,
    /// The bytes behind a message whose answer the client has not taken yet.
    pub(super) backlog: Vec<u8>,
    /// Whether some of the messages that arrived have not been looked at.
    pub(super) halted: bool,
}

impl Codec {
    pub(super) fn new(config: &Config) -> Self {
        let limit = Some(config.max_message_size);
        // Its own buffers hold at most one unfinished frame: input comes from the server's one
        // scratch buffer, and output goes straight to the outbox.
        let config = WebSocketConfig::default()
            .read_buffer_size(0)
            .write_buffer_size(0)
            .max_write_buffer_size(usize::MAX)
            .max_message_size(limit)
            .max_frame_size(limit);
        let websocket = WebSocketContext::new(Role::Server, Some(config));
        Self {
            websocket,
            boundaries: Boundaries::default(),
            backlog: Vec::new(),
            halted: false,
        }
    }
}
