//! Faults of streams.

use std::time::Duration;

use super::case::{Case, harmful, harmless, try_all};
use testkit::fake_exchange::{FakeExchange, Fault, Stage};

#[test]
fn every_fault_of_a_stream_is_logged_and_survived() {
    let cases = cases();
    // Faults of bodies, and of symbols and limits in them, belong to answers.
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

/// A fault that strikes handshakes needs one.
fn connect_anew(exchange: &FakeExchange, case: &Case) {
    if case.fault.stage() == Some(Stage::Head) {
        exchange.hang_up();
    }
}

/// Those with long pauses come first. The connection that is cut before the handshake is logged
/// too, as a broken connection; so one that breaks again is not logged.
fn cases() -> Vec<Case> {
    use Fault as F;
    let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
    vec![
        harmful(F::Blocked, "not available from here: HTTP 451", "blocked").times(1),
        harmful(F::TooMany(second), "too many requests", "rate_limited"),
        harmful(F::Banned(second), "too many requests", "rate_limited"),
        harmful(F::StreamSilent, "open but without a price for", "silent").times(0),
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
        harmless(F::StreamGarbage),
        harmless(F::ClockAhead(hour)),
        harmless(F::ClockBehind(hour)),
        harmless(F::PriceAsNumber),
        harmless(F::PriceAsString),
        harmless(F::Unchanged),
        // The connection that is cut for it is logged.
        harmful(
            F::Delay(Duration::from_millis(260)),
            "broken connection: ",
            "broken",
        )
        .times(1),
    ]
}

const EXPIRED: &str = "cannot be trusted: its certificate has expired";
