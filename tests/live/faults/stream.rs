//! Faults of streams.

use std::time::Duration;

use super::case::{Case, harmful, harmless, noted, try_all};
use testkit::fake_exchange::{FakeExchange, Fault, Stage};

#[test]
fn stream_faults_are_logged_and_survived() {
    let cases = cases();
    // Faults in a body, including those about symbols and limits, belong to requests.
    let strikes = |fault: &&Fault| {
        let stage = fault.stage().unwrap();
        !matches!(stage, Stage::Body | Stage::Symbol) && **fault != Fault::RateLimited
    };
    for fault in Fault::ALL.iter().filter(strikes) {
        let name = fault.name();
        assert!(cases.iter().any(|case| case.fault.name() == name), "{name}");
    }
    try_all("binance+stream", cases, connect_anew);
}

/// A fault of the handshake needs a new connection.
fn connect_anew(exchange: &FakeExchange, case: &Case) {
    if case.fault.stage() == Some(Stage::Head) {
        exchange.hang_up();
    }
}

/// The cases; those with long pauses come first. Cutting the connection before the handshake is
/// logged as a broken connection, too; so another break is not logged again.
fn cases() -> Vec<Case> {
    use Fault as F;
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    vec![
        harmful(F::Blocked, "not available from here: HTTP 451", "blocked").times(1),
        harmful(F::TooMany(second), "too many requests", "rate_limited"),
        harmful(F::Banned(second), "too many requests", "rate_limited"),
        harmful(
            F::StreamSilent,
            "open but without a sign of life for",
            "silent",
        )
        .times(0),
        harmful(F::HangBefore, "no answer within the limit", "timeout").times(1),
        harmful(F::CertificateExpired, EXPIRED, "tls"),
        harmful(F::CertificateOtherName, "cannot be trusted: ", "tls"),
        harmful(F::Reset, "broken connection: ", "broken"),
        harmful(F::NotHttp, "broken connection: ", "broken"),
        harmful(F::HeaderFlood, "broken connection: ", "broken"),
        harmful(F::Broken, "temporarily unavailable: HTTP 500", "down"),
        harmful(F::Redirect, "refused: HTTP 302", "refused"),
        harmful(F::RedirectAway, "refused: HTTP 302", "refused"),
        harmful(F::RedirectLoop, "refused: HTTP 302", "refused"),
        harmful(
            F::StreamClosed,
            "broken connection: closed by the exchange: code 1001",
            "broken",
        ),
        harmful(F::StreamCut, "broken connection: ", "broken"),
        harmful(
            F::StreamLeave,
            "broken connection: closed by the exchange: ",
            "broken",
        ),
        harmful(F::WrongType, "BTC/USDT: no price: it is {", "no_price"),
        harmful(F::NoPrice, "BTC/USDT: no price: it is null", "no_price"),
        noted(
            F::StreamGarbage,
            "cannot read a message: not JSON: <html>",
            "unreadable",
        ),
        harmless(F::StreamQuiet),
        harmless(F::ClockAhead(hour)),
        harmless(F::ClockBehind(hour)),
        harmless(F::PriceAsNumber),
        harmless(F::PriceAsString),
        harmless(F::Unchanged),
        // Cutting the connection is logged.
        harmful(
            F::Delay(Duration::from_millis(260)),
            "broken connection: ",
            "broken",
        )
        .times(1),
    ]
}

const EXPIRED: &str = "cannot be trusted: its certificate has expired";
