//! One connection to a server: bytes in, messages out. It counts nothing.

pub(super) mod codec;
pub(super) mod connection;
pub(super) mod error;
pub(super) mod frames;
pub(super) mod handshake;
pub(super) mod stream;
pub(super) mod tls;
