//! The pages that each endpoint serves, and the policy that requests are checked against.

use tungstenite::http::StatusCode;

use crate::server::admission::origin::Origins;
use crate::server::admission::tokens::Tokens;
use crate::server::config::Config;
use crate::server::rejection::Rejection;

/// The pages beside the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Live,
    Metrics,
    Health,
    Ready,
}

/// The port that a connection came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The port that clients connect to.
    #[default]
    Public,
    /// The port of `--admin`.
    Admin,
}

/// The policy that a request is checked against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) origins: &'a Origins,
    /// A request without one of these is rejected, health pages excepted.
    pub(crate) tokens: Option<&'a Tokens>,
    /// `/metrics` is served at another port.
    pub(crate) metrics_elsewhere: bool,
}

impl<'a> Policy<'a> {
    /// The policy at `endpoint`.
    pub(crate) fn of(config: &'a Config, endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            origins: &config.origins,
            tokens: config.tokens.as_ref(),
            metrics_elsewhere: config.admin.is_some(),
        }
    }
}

/// The page at `path`.
///
/// # Errors
/// When this endpoint has no such page.
pub(crate) fn page(path: &str, policy: Policy<'_>) -> Result<Page, Rejection> {
    match path {
        "/" => Ok(Page::Live),
        "/metrics" if policy.endpoint == Endpoint::Admin || !policy.metrics_elsewhere => {
            Ok(Page::Metrics)
        }
        "/healthz" => Ok(Page::Health),
        "/readyz" => Ok(Page::Ready),
        _ => Err(not_found(policy)),
    }
}

/// The answer to a path that is not served at this endpoint.
pub(crate) fn not_found(policy: Policy<'_>) -> Rejection {
    let message = match (policy.endpoint, policy.metrics_elsewhere) {
        (Endpoint::Admin, _) => "no such page: this port has /metrics, /healthz and /readyz",
        (Endpoint::Public, true) => {
            "no such page: this port has /, /sse, /check, /healthz and /readyz"
        }
        (Endpoint::Public, false) => {
            "no such page: this port has /, /sse, /check, /metrics, /healthz and /readyz"
        }
    };
    Rejection::new(StatusCode::NOT_FOUND, message)
}
