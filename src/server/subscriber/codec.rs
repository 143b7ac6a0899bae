//! The state machine of WebSocket for the messages of one client, while one is under way.

use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use crate::frame::Boundaries;
use crate::server::config::Config;

/// Made when a message begins, and dropped when it has ended and is answered.
pub(super) struct Codec {
    pub(super) websocket: WebSocketContext,
    pub(super) boundaries: Boundaries,
    /// What arrived behind a message whose answer the client has not taken yet.
    pub(super) backlog: Vec<u8>,
    /// Messages of what arrived have not been looked at.
    pub(super) halted: bool,
}

impl Codec {
    pub(super) fn new(config: &Config) -> Self {
        let limit = Some(config.max_message_size);
        // Its own buffers hold one unfinished frame at most: input comes from the server's one
        // scratch buffer and output goes to the outbox at once.
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
