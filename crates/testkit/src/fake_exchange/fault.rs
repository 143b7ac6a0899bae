//! The faults of an exchange, or of the way to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A fault. Those with a duration take it as `ms=260`, see [`Fault::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,

    // The connection; answers and WebSocket handshakes alike.
    /// The certificate expired years ago.
    CertificateExpired,
    /// The certificate is for another name.
    CertificateOtherName,
    /// The answer is late.
    Delay(Duration),
    /// No answer comes, not even a status line, for as long as the exchange's patience lasts.
    HangBefore,
    /// The connection is reset before the answer.
    Reset,
    /// The answer is not HTTP.
    NotHttp,
    /// The head of the answer does not end within two megabytes.
    HeaderFlood,
    /// HTTP 429, with this long in Retry-After.
    TooMany(Duration),
    /// HTTP 418, which follows after ignored 429s.
    Banned(Duration),
    /// HTTP 451.
    Blocked,
    /// HTTP 500.
    Broken,
    /// HTTP 302 to a target that answers correctly.
    Redirect,
    /// HTTP 302 to a correct answer at the real exchange's address: a client configured to use the
    /// fake must not follow it.
    RedirectAway,
    /// HTTP 302 to a target that answers the same.
    RedirectLoop,

    // The body of an answer.
    /// The body arrives in small pieces, this far apart.
    Drip(Duration),
    /// The body is sent in chunks, without its length.
    Chunked,
    /// The body is compressed.
    Gzip,
    /// The connection ends in the middle of the body.
    EarlyClose,
    /// The connection is reset in the middle of the body.
    ResetInside,
    /// The body stops in the middle without an end.
    HangInside,
    /// The body is a web page, or noise.
    Garbage,
    /// The body has ten megabytes.
    HugeBody,
    /// The answer is correct, but then the connection is closed without notice.
    KeepAliveDropped,

    // The prices, in answers and streams alike.
    /// Times are this far ahead.
    ClockAhead(Duration),
    /// Times are this far behind.
    ClockBehind(Duration),
    /// The price is a JSON number, whatever the exchange does.
    PriceAsNumber,
    /// The price is a JSON string, whatever the exchange does.
    PriceAsString,
    /// The price is an object.
    WrongType,
    /// The price is null.
    NoPrice,
    /// The price is the same every time.
    Unchanged,
    /// The exchange does not know any symbol.
    UnknownSymbol,
    /// The exchange's own error for too many requests, whatever its HTTP status.
    RateLimited,

    // The stream.
    /// No more prices arrive, as from a market without trades; pings are answered, and heartbeats
    /// arrive.
    StreamQuiet,
    /// Nothing arrives any more, not even answers to pings, and the connection stays open.
    StreamSilent,
    /// The stream is closed with code 1001.
    StreamClosed,
    /// The connection ends without a close frame.
    StreamCut,
    /// The exchange asks for a new connection, if it has a message for that, and closes soon after.
    StreamLeave,
    /// An unknown message precedes each price.
    StreamGarbage,
}

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The TLS handshake.
    Tls,
    /// The head of an answer, or whatever replaces it.
    Head,
    /// The body of an answer.
    Body,
    /// The requested symbol.
    Symbol,
    /// A price, in an answer or a stream.
    Price,
    /// A stream after its handshake.
    Stream,
}

impl Fault {
    /// All faults, with durations that suit tests.
    pub const ALL: &[Self] = &[
        Self::CertificateExpired,
        Self::CertificateOtherName,
        Self::Delay(Duration::from_millis(260)),
        Self::HangBefore,
        Self::Reset,
        Self::NotHttp,
        Self::HeaderFlood,
        Self::TooMany(Duration::from_secs(1)),
        Self::Banned(Duration::from_secs(2)),
        Self::Blocked,
        Self::Broken,
        Self::Redirect,
        Self::RedirectAway,
        Self::RedirectLoop,
        Self::Drip(Duration::from_millis(5)),
        Self::Chunked,
        Self::Gzip,
        Self::EarlyClose,
        Self::ResetInside,
        Self::HangInside,
        Self::Garbage,
        Self::HugeBody,
        Self::KeepAliveDropped,
        Self::ClockAhead(Duration::from_secs(3600)),
        Self::ClockBehind(Duration::from_secs(3600)),
        Self::PriceAsNumber,
        Self::PriceAsString,
        Self::WrongType,
        Self::NoPrice,
        Self::Unchanged,
        Self::UnknownSymbol,
        Self::RateLimited,
        Self::StreamQuiet,
        Self::StreamSilent,
        Self::StreamClosed,
        Self::StreamCut,
        Self::StreamLeave,
        Self::StreamGarbage,
    ];

    /// The fault with this name, and with this duration if it takes one.
    pub fn parse(name: &str, duration: Option<Duration>) -> Result<Self, String> {
        let mut all = [Self::None].into_iter().chain(Self::ALL.iter().copied());
        let fault = all.find(|fault| fault.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(Self::name).collect();
            format!(
                "unknown fault '{name}': expected none, {}",
                names.join(", ")
            )
        })?;
        Ok(match (fault, duration) {
            (Self::Delay(_), Some(duration)) => Self::Delay(duration),
            (Self::Drip(_), Some(duration)) => Self::Drip(duration),
            (Self::TooMany(_), Some(duration)) => Self::TooMany(duration),
            (Self::Banned(_), Some(duration)) => Self::Banned(duration),
            (Self::ClockAhead(_), Some(duration)) => Self::ClockAhead(duration),
            (Self::ClockBehind(_), Some(duration)) => Self::ClockBehind(duration),
            (fault, _) => fault,
        })
    }

    /// The name that [`Fault::parse`] accepts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateOtherName => "certificate-other-name",
            Self::Delay(_) => "delay",
            Self::HangBefore => "hang-before",
            Self::Reset => "reset",
            Self::NotHttp => "not-http",
            Self::HeaderFlood => "header-flood",
            Self::TooMany(_) => "429",
            Self::Banned(_) => "418",
            Self::Blocked => "451",
            Self::Broken => "500",
            Self::Redirect => "redirect",
            Self::RedirectAway => "redirect-away",
            Self::RedirectLoop => "redirect-loop",
            Self::Drip(_) => "drip",
            Self::Chunked => "chunked",
            Self::Gzip => "gzip",
            Self::EarlyClose => "early-close",
            Self::ResetInside => "reset-inside",
            Self::HangInside => "hang-inside",
            Self::Garbage => "garbage",
            Self::HugeBody => "huge-body",
            Self::KeepAliveDropped => "keep-alive-dropped",
            Self::ClockAhead(_) => "clock-ahead",
            Self::ClockBehind(_) => "clock-behind",
            Self::PriceAsNumber => "price-as-number",
            Self::PriceAsString => "price-as-string",
            Self::WrongType => "wrong-type",
            Self::NoPrice => "no-price",
            Self::Unchanged => "unchanged",
            Self::UnknownSymbol => "unknown-symbol",
            Self::RateLimited => "rate-limited",
            Self::StreamQuiet => "stream-quiet",
            Self::StreamSilent => "stream-silent",
            Self::StreamClosed => "stream-closed",
            Self::StreamCut => "stream-cut",
            Self::StreamLeave => "stream-leave",
            Self::StreamGarbage => "stream-garbage",
        }
    }

    /// The stage of an answer that the fault strikes; `None` for [`Fault::None`].
    pub fn stage(&self) -> Option<Stage> {
        use Fault as F;
        Some(match self {
            F::None => return None,
            F::CertificateExpired | F::CertificateOtherName => Stage::Tls,
            F::Delay(_) | F::HangBefore | F::Reset | F::NotHttp | F::HeaderFlood => Stage::Head,
            F::TooMany(_) | F::Banned(_) | F::Blocked | F::Broken => Stage::Head,
            F::Redirect | F::RedirectAway | F::RedirectLoop => Stage::Head,
            F::Drip(_) | F::Chunked | F::Gzip | F::EarlyClose | F::ResetInside => Stage::Body,
            F::HangInside | F::Garbage | F::HugeBody | F::KeepAliveDropped => Stage::Body,
            F::ClockAhead(_) | F::ClockBehind(_) | F::PriceAsNumber | F::PriceAsString => {
                Stage::Price
            }
            F::WrongType | F::NoPrice | F::Unchanged | F::RateLimited => Stage::Price,
            F::UnknownSymbol => Stage::Symbol,
            F::StreamSilent | F::StreamClosed | F::StreamCut | F::StreamLeave => Stage::Stream,
            F::StreamGarbage | F::StreamQuiet => Stage::Stream,
        })
    }

    /// Whether it is a redirect.
    pub fn redirects(self) -> bool {
        [Self::Redirect, Self::RedirectAway, Self::RedirectLoop].contains(&self)
    }

    /// Whether a client that behaves correctly receives the price all the same.
    pub fn is_harmless(&self) -> bool {
        use Fault as F;
        let on_the_way = [
            F::None,
            F::Redirect,
            F::Chunked,
            F::Gzip,
            F::KeepAliveDropped,
        ];
        let in_the_price = [
            F::PriceAsNumber,
            F::PriceAsString,
            F::Unchanged,
            F::StreamGarbage,
            F::StreamQuiet,
        ];
        let has_time = matches!(self, F::Delay(_) | F::Drip(_))
            || matches!(self, F::ClockAhead(_) | F::ClockBehind(_));
        has_time || on_the_way.contains(self) || in_the_price.contains(self)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, None)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Delay(by) | Self::Drip(by) | Self::TooMany(by) | Self::Banned(by) => {
                write!(f, " {by:?}")
            }
            Self::ClockAhead(by) | Self::ClockBehind(by) => write!(f, " {by:?}"),
            _ => Ok(()),
        }
    }
}

/// The fault that strikes the `number`th request of a source when faults are random: usually none.
/// It depends only on the arguments.
pub fn random(seed: u64, source: &str, stages: &[Stage], number: u64) -> Fault {
    let mut rng = fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for byte in source.bytes() {
        rng = fastrand::Rng::with_seed(rng.u64(..) ^ u64::from(byte));
    }
    // A stream draws one for each price, and most faults end the stream.
    let odds = if stages.contains(&Stage::Stream) {
        100
    } else {
        4
    };
    let strikes = |fault: &&Fault| {
        // An unknown symbol may rightly end a client, and a client that follows a redirect to the
        // real exchange would use the network.
        let is_mean = matches!(fault, Fault::UnknownSymbol | Fault::RedirectAway);
        !is_mean && fault.stage().is_some_and(|stage| stages.contains(&stage))
    };
    let choice: Vec<_> = Fault::ALL.iter().filter(strikes).collect();
    match rng.u32(..odds) {
        0 => **rng.choice(&choice).unwrap_or(&&Fault::None),
        _ => Fault::None,
    }
}
