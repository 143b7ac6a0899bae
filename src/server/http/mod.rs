//! HTTP, as far as a server of WebSockets speaks it: request heads, answers, and a few pages.

pub(crate) mod pages;
pub(crate) mod readiness;
pub(crate) mod request;
pub(crate) mod response;
