//! HTTP: request heads, the router, responses, pages, and the newest prices as JSON.

pub(crate) mod data;
pub(crate) mod headers;
pub(crate) mod pages;
pub(crate) mod query;
pub(crate) mod readiness;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod router;
pub(crate) mod selection;
pub(crate) mod sse;
pub(crate) mod unread;
pub(crate) mod upgrade;
