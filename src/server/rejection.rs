//! Why a connection is rejected: what the client is answered, and the cause that `/metrics` counts.

use std::fmt;

use tungstenite::http::StatusCode;

/// What a client that gets no further is answered.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// It answers a HEAD request, so it has no body.
    pub(crate) head_only: bool,
}

impl Rejection {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            head_only: false,
        }
    }

    /// The answer to a request that is malformed.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The answer to a request that the server cannot follow at the moment.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.message)
    }
}

/// Why a connection was rejected. The set is fixed, so nothing that is sent here adds a series to the
/// metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectionCause {
    /// The request is malformed.
    BadRequest,
    /// It has no valid token.
    Unauthorized,
    /// Its page may not connect.
    Forbidden,
    /// There is no such page.
    NotFound,
    /// Neither GET nor HEAD.
    Method,
    /// No request came within the limit.
    Timeout,
    /// A WebSocket version other than 13.
    Version,
    /// Its address has too many connections.
    TooMany,
    /// The request head is over its limit.
    HeadTooLong,
    /// The server shuts down, or has no memory left for another list of symbols.
    Unavailable,
    /// The server has as many clients as it may.
    Full,
    /// The server has no descriptors left.
    Descriptors,
    /// Any other status.
    Other,
}

impl RejectionCause {
    /// The cause of an answer with `status`.
    pub(crate) fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self::BadRequest,
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::Method,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::UPGRADE_REQUIRED => Self::Version,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLong,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// Its place among [`LABELS`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Status and cause as the metric's labels have them, in the order of the causes.
pub(crate) const LABELS: [(&str, &str); RejectionCause::Other as usize + 1] = [
    ("400", "bad_request"),
    ("401", "unauthorized"),
    ("403", "forbidden"),
    ("404", "not_found"),
    ("405", "method"),
    ("408", "timeout"),
    ("426", "version"),
    ("429", "too_many"),
    ("431", "head_too_long"),
    ("503", "unavailable"),
    ("503", "full"),
    ("503", "descriptors"),
    ("other", "other"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_name_the_status_that_a_cause_comes_from() {
        for (status, cause) in LABELS {
            let Ok(status) = status.parse::<u16>() else {
                continue;
            };
            let known = RejectionCause::of(StatusCode::from_u16(status).unwrap());
            assert_eq!(LABELS[known.index()].0, status.to_string(), "{cause}");
        }
        let unheard_of = RejectionCause::of(StatusCode::from_u16(599).unwrap());
        assert_eq!(LABELS[unheard_of.index()], ("other", "other"));
    }
}
