//! The HTTP that a WebSocket server needs: request heads, responses, and a few pages.

pub(crate) mod headers;
pub(crate) mod pages;
pub(crate) mod readiness;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod sse;
pub(crate) mod upgrade;
