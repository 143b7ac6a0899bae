//! Errors between us and a host, in the kinds that matter to a reader of the log. The log uses the
//! text of a [`TransportError`].

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use ureq::{Proxy, Timeout};

use crate::error_text::plain;

/// Why a request or a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// The host name has no address, or no name server answered.
    Name(String),
    /// No connection to the host could be made.
    Connect(String),
    /// The host cannot prove its identity, or TLS failed in another way.
    Tls(String),
    /// The host did not answer in time.
    Timeout(String),
    /// The connection broke, or the host does not follow the protocol.
    Broken(String),
    /// The answer is longer than this many MiB.
    TooLong(usize),
}

impl TransportError {
    /// One word for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Name(_) => "name",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Broken(_) => "broken",
            Self::TooLong(_) => "garbage",
        }
    }

    /// An error of a socket, before or after it was connected.
    pub(crate) fn from_io(error: &io::Error) -> Self {
        if let Some(error) = cause::<rustls::Error>(error) {
            return Self::from_tls(error);
        }
        // Reading a body goes through std's traits, which wrap ureq's errors.
        if let Some(error) = cause::<ureq::Error>(error) {
            return Self::from_ureq(error);
        }
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied => Self::Connect(plain(error)),
            ErrorKind::TimedOut => Self::Timeout("no answer within the limit".to_owned()),
            ErrorKind::UnexpectedEof => Self::Broken("unexpected end of the stream".to_owned()),
            _ => Self::Broken(plain(error)),
        }
    }

    /// An error of TLS.
    fn from_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError::{Expired, ExpiredContext};
        Self::Tls(match error {
            // rustls's own text has the times as numbers of seconds.
            rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => {
                "its certificate has expired".to_owned()
            }
            error => error.to_string(),
        })
    }

    /// An error of a request.
    pub(crate) fn from_ureq(error: &ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) => Self::from_io(error),
            ureq::Error::Rustls(error) => Self::from_tls(error),
            ureq::Error::Tls(what) => Self::Tls((*what).to_owned()),
            ureq::Error::HostNotFound => Self::Name("no such host".to_owned()),
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

    /// The same error of a connection through `proxy`. We look up and connect to the proxy only, so
    /// an error there says nothing about the host.
    pub(crate) fn through_proxy(self, proxy: &Proxy) -> Self {
        let (host, port) = (proxy.host(), proxy.port());
        let named = |why| Self::Connect(format!("proxy {host}:{port}: {why}"));
        match self {
            Self::Name(why) => named(format!("cannot resolve its name: {why}")),
            Self::Connect(why) => named(why),
            other => other,
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(why) => write!(f, "cannot resolve its name: {why}"),
            Self::Connect(why) => write!(f, "cannot be reached: {why}"),
            Self::Tls(why) => write!(f, "cannot be trusted: {why}"),
            Self::Timeout(why) => f.write_str(why),
            Self::Broken(why) => write!(f, "broken connection: {why}"),
            Self::TooLong(size) => write!(f, "unexpected answer: longer than {size} MiB"),
        }
    }
}

impl Error for TransportError {}

/// A failed lookup: no name server gave an answer, so the host may or may not have an address.
#[derive(Debug)]
pub struct LookupError(pub io::Error);

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ErrorKind::TimedOut => f.write_str("no name server answers"),
            _ => write!(f, "the lookup failed: {}", plain(&self.0)),
        }
    }
}

impl Error for LookupError {}

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
    fn errors_of_sockets_are_classified() {
        let io = |kind: ErrorKind| TransportError::from_io(&kind.into()).kind();
        assert_eq!(io(ErrorKind::ConnectionRefused), "connect");
        assert_eq!(io(ErrorKind::ConnectionReset), "broken");
        assert_eq!(io(ErrorKind::UnexpectedEof), "broken");
        assert_eq!(io(ErrorKind::TimedOut), "timeout");
        let tls = rustls::Error::NoCertificatesPresented;
        let wrapped = io::Error::new(ErrorKind::InvalidData, tls);
        let ureq = |error: ureq::Error| TransportError::from_ureq(&error).kind();
        assert_eq!(TransportError::from_io(&wrapped).kind(), "tls");
        assert_eq!(ureq(wrapped.into()), "tls");
        assert_eq!(ureq(ureq::Error::HostNotFound), "name");
    }

    #[test]
    fn the_text_does_not_contain_the_systems_error_number() {
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(
            TransportError::from_io(&refused).to_string(),
            "cannot be reached: connection refused"
        );
    }
}
