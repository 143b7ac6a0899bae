//! Why clients are refused, as `/metrics` tells it: a fixed set of causes, so that whatever is sent
//! here makes no new one.

use tungstenite::http::StatusCode;

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request cannot be followed.
    BadRequest,
    /// Who it is, or is not.
    Unauthorized,
    /// It comes from a page that may not connect.
    Forbidden,
    /// There is no such page.
    NotFound,
    /// Neither GET nor HEAD.
    Method,
    /// No request within the limit.
    Timeout,
    /// A version of WebSocket that is not spoken.
    Version,
    /// More than one client may ask for.
    TooMany,
    /// A head over its limit.
    HeadTooLong,
    /// For the moment: it shuts down, or has no memory left for one more set of symbols.
    Unavailable,
    /// As many clients as may be.
    Full,
    /// As many descriptors as there are.
    Descriptors,
    /// Any other status.
    Other,
}

impl Cause {
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
pub(crate) const LABELS: [(&str, &str); Cause::Other as usize + 1] = [
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
            let known = Cause::of(StatusCode::from_u16(status).unwrap());
            assert_eq!(LABELS[known.index()].0, status.to_string(), "{cause}");
        }
        let unheard_of = Cause::of(StatusCode::from_u16(599).unwrap());
        assert_eq!(LABELS[unheard_of.index()], ("other", "other"));
    }
}
