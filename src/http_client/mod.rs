//! HTTP for fibers: host names without a thread, trusted root certificates, `ureq` over sockets that
//! suspend, and streams for other protocols.

mod agent;
mod client;
pub mod dns;
mod error;
mod no_proxy;
mod redirect;
mod retry_after;
mod roots;
mod route;
mod upstream_override;

pub(crate) use agent::USER_AGENT;
pub use agent::{TransportConfig, agent};
pub(crate) use client::{HttpClient, Opened};
pub use error::{LookupError, TransportError};
pub use no_proxy::NoProxy;
pub(crate) use retry_after::retry_after;
pub use roots::Roots;
pub(crate) use route::Route;
pub use upstream_override::UpstreamOverride;
