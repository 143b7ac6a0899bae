//! What can be wrong between an exchange and us, told apart as far as it makes a difference to who
//! reads the log. The text of a [`Failure`] is the log's wording.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use exchanges::QuoteError;
use ureq::{Proxy, Timeout};

use crate::error_text::plain;
use crate::http_client::LookupError;

/// Why there is no price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host's name has no address, or no name server would say.
    Name(String),
    /// Nobody answers at its addresses.
    Connect(String),
    /// The other end cannot prove that it is who it should be, or speaks no TLS that we do.
    Tls(String),
    /// It did not answer in time.
    Timeout(String),
    /// The connection broke, or what came is not the protocol it should be.
    Broken(String),
    /// A stream that is open but brings no price.
    Silent(Duration),
    /// What the exchange itself answered.
    Answer(QuoteError),
}

impl Failure {
    /// One word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::Silent(_) => "silent",
            Self::Answer(QuoteError::UnknownSymbol) => "unknown_symbol",
            Self::Answer(QuoteError::NoPrice(_)) => "no_price",
            Self::Answer(QuoteError::RateLimited) => "rate_limited",
            Self::Answer(QuoteError::Blocked(_)) => "blocked",
            Self::Answer(QuoteError::Down(_)) => "down",
            Self::Answer(QuoteError::Refused(_)) => "refused",
            Self::Answer(QuoteError::Garbage(_)) => "garbage",
        }
    }

    /// The pause after the first failure of this kind, and the longest one.
    pub(super) fn pauses(&self) -> (Duration, Duration) {
        let (first_ms, longest_ms) = match self {
            // A place that is not served stays so; asking is only in case it was a mistake.
            Self::Answer(QuoteError::Blocked(_)) => (5_000, 60_000),
            // Without `Retry-After`. Whoever goes on is banned.
            Self::Answer(QuoteError::RateLimited) => (2_000, 60_000),
            _ => (500, 10_000),
        };
        let ms = Duration::from_millis;
        (ms(first_ms), ms(longest_ms))
    }

    /// An error of a socket, before or after it was connected.
    pub(super) fn of_io(error: &io::Error) -> Self {
        if let Some(error) = cause::<rustls::Error>(error) {
            return Self::of_tls(error);
        }
        // The body of an answer is read through std's traits.
        if let Some(error) = cause::<ureq::Error>(error) {
            return Self::of_ureq(error);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied => Self::Connect(plain(error)),
            ErrorKind::TimedOut => Self::Timeout("no answer within the limit".to_owned()),
            ErrorKind::UnexpectedEof => Self::Broken("it ended in the middle".to_owned()),
            _ => Self::Broken(plain(error)),
        }
    }

    /// An error of TLS.
    pub(super) fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError::{Expired, ExpiredContext};
        Self::Tls(match error {
            // Its own text has both times in seconds.
            rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
                "its certificate has expired".to_owned()
            }
            error => error.to_string(),
        })
    }

    /// A stream that was refused with an HTTP status.
    pub(super) fn of_status(status: u16) -> Self {
        let why = format!("HTTP {status}");
        Self::Answer(match status {
            418 | 429 => QuoteError::RateLimited,
            403 | 451 => QuoteError::Blocked(why),
            500.. => QuoteError::Down(why),
            _ => QuoteError::Refused(why),
        })
    }

    /// An error of a request.
    pub(super) fn of_ureq(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) => Self::of_io(error),
            ureq::Error::Rustls(error) => Self::of_tls(error),
            ureq::Error::Tls(what) => Self::Tls((*what).to_owned()),
            ureq::Error::HostNotFound => Self::Name("there is no such host".to_owned()),
            ureq::Error::Other(error) if error.is::<LookupError>() => Self::Name(error.to_string()),
            ureq::Error::Timeout(Timeout::Connect) => {
                Self::Connect("no answer within the limit".to_owned())
            }
            ureq::Error::Timeout(Timeout::Resolve) => {
                Self::Name("no name server answers".to_owned())
            }
            ureq::Error::Timeout(_) => Self::Timeout("no answer within the limit".to_owned()),
            ureq::Error::ConnectProxyFailed(why) => Self::Connect(why.clone()),
            error => Self::Broken(error.to_string()),
        }
    }
}

impl Failure {
    /// The same failure on the way through `proxy`: whoever cannot be found or reached then is the
    /// proxy, which alone is asked for, and the exchange may be well.
    pub(super) fn of_proxy(self, proxy: &Proxy) -> Self {
        let (host, port) = (proxy.host(), proxy.port());
        let named = |why| Self::Connect(format!("the proxy {host}:{port}: {why}"));
        match self {
            Self::Name(why) => named(format!("no address of its name: {why}")),
            Self::Connect(why) => named(why),
            other => other,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => write!(f, "cannot be reached: no address of its name: {why}"),
            Self::Connect(why) => write!(f, "cannot be reached: {why}"),
            Self::Tls(why) => write!(f, "cannot be trusted: {why}"),
            Self::Timeout(why) => f.write_str(why),
            Self::Broken(why) => write!(f, "broken connection: {why}"),
            Self::Silent(since) => write!(f, "open but without a price for {since:.0?}"),
            Self::Answer(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<QuoteError> for Failure {
    fn from(error: QuoteError) -> Self {
        Self::Answer(error)
    }
}

/// An error of type `E` among the causes of `error`.
fn cause<E: Error + 'static>(error: &io::Error) -> Option<&E> {
    let mut next: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_sockets_are_told_apart() {
        let io = |kind: ErrorKind| Failure::of_io(&kind.into()).kind();
        assert_eq!(io(ErrorKind::ConnectionRefused), "connect");
        assert_eq!(io(ErrorKind::ConnectionReset), "broken");
        assert_eq!(io(ErrorKind::UnexpectedEof), "broken");
        assert_eq!(io(ErrorKind::TimedOut), "timeout");
        let tls = rustls::Error::NoCertificatesPresented;
        let wrapped = io::Error::new(ErrorKind::InvalidData, tls);
        assert_eq!(Failure::of_io(&wrapped).kind(), "tls");
        assert_eq!(Failure::of_ureq(&wrapped.into()).kind(), "tls");
        assert_eq!(Failure::of_ureq(&ureq::Error::HostNotFound).kind(), "name");
    }

    #[test]
    fn the_text_is_a_sentence_without_numbers_of_the_system() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(
            Failure::of_io(&refused).to_string(),
            "cannot be reached: connection refused"
        );
    }
}
