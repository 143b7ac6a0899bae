//! Faults of requests.

use std::time::Duration;

use super::case::{Case, harmful, harmless, try_all};
use testkit::fake_exchange::{Fault, Stage};

#[test]
fn request_faults_are_logged_and_survived() {
    let cases = cases();
    let strikes = |fault: &&Fault| fault.stage() != Some(Stage::Stream);
    for fault in Fault::ALL.iter().filter(strikes) {
        let name = fault.name();
        assert!(cases.iter().any(|case| case.fault.name() == name), "{name}");
    }
    try_all("binance", cases, |_, _| {});
}

/// The cases; those with long pauses come first.
fn cases() -> Vec<Case> {
    use Fault as F;
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    vec![
        harmful(F::Blocked, "not available from here: HTTP 451", "blocked").times(1),
        harmful(F::RateLimited, "too many requests", "rate_limited"),
        harmful(F::HangBefore, "no answer within the limit", "timeout").times(1),
        harmful(F::HangInside, "no answer within the limit", "timeout").times(1),
        harmful(F::TooMany(second), "too many requests", "rate_limited"),
        harmful(F::Banned(second), "too many requests", "rate_limited"),
        harmful(F::CertificateExpired, EXPIRED, "tls"),
        harmful(F::CertificateOtherName, "cannot be trusted: ", "tls"),
        harmful(F::Reset, "broken connection: ", "broken"),
        harmful(F::NotHttp, "broken connection: ", "broken"),
        harmful(F::HeaderFlood, "broken connection: ", "broken"),
        harmful(F::Broken, "temporarily unavailable: HTTP 500", "down"),
        harmful(
            F::RedirectLoop,
            "broken connection: too many redirects",
            "broken",
        )
        .times(20),
        harmful(F::EarlyClose, "broken connection: ", "broken"),
        harmful(F::ResetInside, "broken connection: ", "broken"),
        harmful(F::Garbage, "unexpected answer: ", "garbage"),
        harmful(
            F::HugeBody,
            "unexpected answer: longer than 4 MiB",
            "garbage",
        ),
        harmful(F::WrongType, "BTC/USDT: no price: it is {", "no_price"),
        harmful(F::NoPrice, "BTC/USDT: no price: it is null", "no_price"),
        harmful(
            F::UnknownSymbol,
            "BTC/USDT: unknown symbol",
            "unknown_symbol",
        )
        .times(1),
        harmless(F::Delay(Duration::from_millis(260))),
        harmless(F::Redirect),
        harmless(F::RedirectAway),
        harmless(F::Drip(Duration::from_millis(5))),
        harmless(F::Chunked),
        harmless(F::Gzip),
        harmless(F::KeepAliveDropped),
        harmless(F::ClockAhead(hour)),
        harmless(F::ClockBehind(hour)),
        harmless(F::PriceAsNumber),
        harmless(F::PriceAsString),
        harmless(F::Unchanged),
    ]
}

const EXPIRED: &str = "cannot be trusted: its certificate has expired";
