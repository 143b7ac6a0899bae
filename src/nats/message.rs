//! A message that the server delivered.

use super::headers::Headers;

/// A message, as it arrived for one of our subscriptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The number that we gave the subscription.
    pub(crate) sid: u64,
    pub(crate) subject: String,
    /// Where an answer is expected.
    pub(crate) reply: Option<String>,
    /// Set where the server answers with a status instead of a message: 404, 503 and the like.
    pub(crate) status: Option<u16>,
    pub(crate) headers: Headers,
    pub(crate) payload: Vec<u8>,
}
