//! The rejection of a connection: the answer to the client, and the cause that `/metrics` counts.

use std::fmt;

use tungstenite::http::StatusCode;

/// The answer to a client that is rejected.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// What the operator may want to change, for the log.
    pub(crate) advice: Option<String>,
    pub(crate) form: Form,
}

/// How the answer to a request is written, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// It answers a HEAD request and so has no body.
    pub(crate) head_only: bool,
    /// An error is a JSON object, for programs; otherwise plain text, for people.
    pub(crate) json_errors: bool,
    /// The origin whose pages may read the answer.
    pub(crate) readable_by: Option<Box<str>>,
}

impl Rejection {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            form: Form::default(),
            advice: None,
        }
    }

    /// Adds what the operator may want to change.
    pub(crate) fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }

    /// The answer to a malformed request.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// This rejection, written in `form`.
    pub(crate) fn in_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The answer to a request that the server cannot serve at present.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.message)
    }
}

/// The cause of a rejection. The set is fixed, so clients cannot add series to the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectionCause {
    /// The request is malformed.
    BadRequest,
    /// The request has no valid token.
    Unauthorized,
    /// The client's page may not connect.
    Forbidden,
    /// The requested page does not exist.
    NotFound,
    /// The client called the server by a name that is not the server's.
    Misdirected,
    /// The method is not GET, HEAD or OPTIONS.
    Method,
    /// No request came within the limit.
    Timeout,
    /// The WebSocket version is not 13.
    Version,
    /// The client's address has too many connections.
    TooMany,
    /// The request head is over its limit.
    HeadTooLong,
    /// The server is shutting down, or has no memory left for another list of symbols.
    Unavailable,
    /// The server is at its limit of clients.
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
            StatusCode::MISDIRECTED_REQUEST => Self::Misdirected,
            StatusCode::METHOD_NOT_ALLOWED => Self::Method,
            StatusCode::REQUEST_TIMEOUT => Self::Timeout,
            StatusCode::UPGRADE_REQUIRED => Self::Version,
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self::HeadTooLong,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// The position in [`LABELS`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// The status and cause in the labels of the metric, in the order of the causes.
pub(crate) const LABELS: [(&str, &str); RejectionCause::Other as usize + 1] = [
    ("400", "bad_request"),
    ("401", "unauthorized"),
    ("403", "forbidden"),
    ("404", "not_found"),
    ("421", "misdirected"),
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
    fn each_causes_label_names_its_status() {
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
