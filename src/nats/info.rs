//! What a server says of itself, at the beginning and whenever it changes.

use serde::Deserialize;

/// The fields of an `INFO` that matter here. All others are ignored, and any may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) server_name: String,
    pub(super) version: String,
    /// The longest message that it accepts, headers included.
    pub(super) max_payload: u64,
    /// Whether it knows headers.
    pub(super) headers: bool,
    /// Whether it has JetStream itself. Behind a leaf node another one may have it.
    pub(super) jetstream: bool,
    pub(super) tls_required: bool,
    pub(super) tls_available: bool,
    /// To be signed by a client that has a key.
    pub(super) nonce: Option<String>,
    /// The addresses of all servers of its cluster.
    pub(super) connect_urls: Vec<String>,
    /// Lame duck mode: it will stop soon, and clients should leave now.
    #[serde(rename = "ldm")]
    pub(super) is_leaving: bool,
}
