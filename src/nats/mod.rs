//! NATS: the client protocol and JetStream's requests, by hand, in fibers. What travels in the
//! messages is no business of this room.
//!
//! | module | purpose |
//! |---|---|
//! | `address`, `nkey`, `credentials`, `url` | where servers are, and who we are |
//! | `headers`, `message`, `info`, `shown` | what a server sends, and how it is shown |
//! | `decoder`, `encoder` | bytes to operations, and back. Pure |
//! | `failure`, `denial`, `traffic`, `link`, `connection` | one connection to one server |
//! | `servers` | which server is next, and when |
//! | `inbox`, `jetstream` | requests and their answers. Pure |
//!
//! NATS's own clients are not used because they bring an async runtime or threads, for seven verbs
//! of text.

mod address;
mod connection;
mod credentials;
mod decoder;
mod denial;
mod encoder;
mod failure;
mod headers;
mod inbox;
mod info;
pub(crate) mod jetstream;
mod link;
mod message;
mod nkey;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod servers;
mod shown;
#[cfg(test)]
mod tests;
mod traffic;
mod url;

pub(crate) use self::address::ServerAddress;
pub(crate) use self::connection::{Connection, Received, Settings};
pub(crate) use self::credentials::Credentials;
pub(crate) use self::denial::{Denial, Right};
pub(crate) use self::failure::Failure;
pub(crate) use self::inbox::Inbox;
pub(crate) use self::message::Message;
pub(crate) use self::servers::Servers;
pub(crate) use self::traffic::Traffic;
pub use self::url::NatsUrl;
