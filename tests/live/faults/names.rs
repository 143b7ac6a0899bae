//! Faults of name servers, up to the price.

use crate::fibers::{get, in_fiber, trusting};
use testkit::fake_exchange::{Config, FakeExchange};
use testkit::{NameFault, NameServer};
use tickertape::http_client::dns::{Hosts, ResolvConf, Resolver};

/// Requests a price over https from an exchange, found by its name.
fn ask(exchange: &FakeExchange, names: &NameServer) -> Result<u16, String> {
    let (port, server) = (exchange.address.port(), names.address);
    let settings = trusting(exchange.pem());
    in_fiber(move |registrar| {
        let mut conf = ResolvConf::parse("options timeout:1 attempts:1");
        conf.servers = vec![server];
        let resolver = Resolver::new(registrar, conf, Hosts::default());
        let agent = tickertape::http_client::agent(registrar, &resolver, &settings);
        let url = format!("https://data-api.binance.vision:{port}/data-api.binance.vision{TICKER}");
        get(&agent, &url)
            .map(|(status, _)| status)
            .map_err(|error| error.to_string())
    })
}

#[test]
fn name_server_faults_are_reported_and_survived() {
    let exchange = FakeExchange::start(Config::default()).unwrap();
    let names = NameServer::knowing_all(0, [127, 0, 0, 1].into()).unwrap();
    for (fault, says) in [
        (NameFault::NxDomain, "host not found"),
        (NameFault::ServFail, "the name server failed (SERVFAIL)"),
        (NameFault::Refused, "the name server refused (REFUSED)"),
        (
            NameFault::TruncatedForGood,
            "the name server closed the connection",
        ),
        (NameFault::WrongId, "no name server answers"),
        (NameFault::Garbage, "no name server answers"),
        (NameFault::NoAnswer, "no name server answers"),
    ] {
        names.set(fault);
        let error = ask(&exchange, &names).unwrap_err();
        assert!(error.contains(says), "{fault:?}: {error}");
        names.set(NameFault::None);
        assert_eq!(ask(&exchange, &names), Ok(200), "after {fault:?}");
    }
    names.set(NameFault::Truncated);
    assert_eq!(ask(&exchange, &names), Ok(200));
}

const TICKER: &str = "/api/v3/ticker/24hr?symbol=BTCUSDT";
