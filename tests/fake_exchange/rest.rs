//! The promise of the fake exchange: it speaks as the exchanges do, writes down each price that
//! it sends, and fails exactly as it is told to. Asked with blocking clients, none of them ours.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exchanges::{Catalogue, Exchange, Quote, QuoteError, Request, Symbol};
use testkit::fake_exchange::{
    Config, Delivery, FakeExchange, Fault, Outcome, Stage, home, random, sources,
};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// One that is quick, for tests that wait for it.
fn start_fake() -> FakeExchange {
    FakeExchange::start(Config {
        tick_every: Duration::from_millis(10),
        patience: Duration::from_millis(400),
        ..Config::default()
    })
    .unwrap()
}

fn agent(fake: &FakeExchange) -> ureq::Agent {
    let root = Certificate::from_pem(fake.pem().as_bytes()).unwrap();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root]));
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .proxy(None)
        .tls_config(tls.build())
        .http_status_as_error(false)
        .build()
        .into()
}

fn symbols(texts: &[impl AsRef<str>]) -> Vec<Symbol> {
    let texts = texts.iter();
    texts.map(|text| text.as_ref().parse().unwrap()).collect()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// As the server's `--upstream` makes it.
fn upstream(base: &str, url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap();
    format!("{base}/{rest}")
}

/// Status and body of a GET or of an empty POST.
fn fetch(agent: &ureq::Agent, url: &str, post: bool) -> Result<(u16, Vec<u8>), ureq::Error> {
    let mut response = if post {
        agent.post(url).send_empty()?
    } else {
        agent.get(url).call()?
    };
    let body = response.body_mut().read_to_vec()?;
    Ok((response.status().as_u16(), body))
}

type Answered = Result<Vec<Result<Quote, QuoteError>>, QuoteError>;

fn ask(agent: &ureq::Agent, base: &str, exchange: &Exchange, request: &Request) -> Answered {
    let url = upstream(base, &request.url_at(now_ms()));
    let (status, body) = match &request.post {
        Some(body) => {
            let mut response = agent.post(url).send(body).unwrap();
            let body = response.body_mut().read_to_vec().unwrap();
            (response.status().as_u16(), body)
        }
        None => fetch(agent, &url, false).unwrap(),
    };
    exchange.read(request, status, &body, now_ms())
}

/// What a client should have of the last delivery of a symbol.
fn last(deliveries: &[Delivery], source: &str, symbol: &Symbol) -> (String, Option<u64>) {
    let mut deliveries = deliveries.iter().rev();
    let is_meant = |it: &&Delivery| it.source == source && it.symbol == symbol.as_str();
    let delivery = deliveries.find(is_meant).unwrap();
    assert_eq!(delivery.outcome, Outcome::Good, "{delivery:?}");
    (delivery.price.clone(), delivery.timestamp_ms)
}

fn told(quote: &Result<Quote, QuoteError>) -> (String, Option<u64>) {
    let quote = quote.as_ref().unwrap();
    (quote.price.to_string(), quote.timestamp_ms)
}

#[test]
fn every_exchange_with_a_list_of_markets_lists_what_it_trades_now() {
    let fake = start_fake();
    let agent = agent(&fake);
    let catalogue = Catalogue::builtin();
    let mut wrong = Vec::new();
    for exchange in catalogue.iter() {
        let id = exchange.id();
        let Some(url) = exchange.market_list_url() else {
            continue;
        };
        let (_, quote) = exchange.example().split_once('/').unwrap();
        // Bitfinex separates the two currencies only if one has more than three letters.
        let is_of_quote = |symbol: &String| {
            let (base, its) = symbol.split_once('/').unwrap();
            its == quote && base.len() > 2
        };
        for is_listed in [true, false] {
            fake.list(id, exchange.example(), is_listed);
            let (status, body) = fetch(&agent, &upstream(&fake.http(), &url), false).unwrap();
            let read = exchange.read_market_list((status, &body), &mut || {});
            let read = read.map(|symbols| {
                let symbols = symbols.iter().map(ToString::to_string);
                symbols.filter(is_of_quote).collect::<Vec<_>>()
            });
            let traded = fake.listed(id).into_iter().filter(is_of_quote).collect();
            if read != Ok(traded) {
                wrong.push((id, read));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_exchange_answers_with_the_recorded_digits() {
    let fake = start_fake();
    let agent = agent(&fake);
    let catalogue = Catalogue::builtin();
    for exchange in catalogue.iter() {
        let id = exchange.id();
        let one = vec![exchange.example().to_owned()];
        let quote = home(id).unwrap_or("USDT");
        let several = (0..30).map(|n| format!("A{n}/{quote}")).collect();
        let mut small = vec![format!("SHIB/{quote}")];
        if home(id).is_none() {
            small.push("SHIB/BTC".to_owned());
        }
        for texts in [one, small, several] {
            let symbols = symbols(&texts);
            for request in exchange.requests(&symbols) {
                let read = ask(&agent, &fake.http(), exchange, &request);
                let quotes = read.unwrap_or_else(|error| panic!("{id}: {error}"));
                let deliveries = fake.deliveries();
                assert_eq!(quotes.len(), request.symbols.len(), "{id}");
                for (symbol, quote) in request.symbols.iter().zip(&quotes) {
                    assert_eq!(told(quote), last(&deliveries, id, symbol), "{id}");
                }
            }
        }
    }
    let seen = fake.seen();
    assert!(!seen.is_empty() && seen.iter().all(|seen| seen.fault == Fault::None));
    for exchange in catalogue.iter() {
        let stream = format!("{}+stream", exchange.id());
        assert!(sources().contains(&exchange.id().to_owned()));
        assert!(!exchange.has_stream() || sources().contains(&stream));
    }
}

#[test]
fn lists_can_be_as_long_as_real_ones() {
    let config = Config {
        fillers: 2000,
        ..Config::default()
    };
    let fake = FakeExchange::start(config).unwrap();
    let agent = agent(&fake);
    let several: Vec<_> = (0..30).map(|n| format!("A{n}/USDT")).collect();
    let catalogue = Catalogue::builtin();
    for id in ["okx", "whitebit", "bitvavo"] {
        let exchange = catalogue.get(id).unwrap();
        let request = &exchange.requests(&symbols(&several))[0];
        let url = upstream(&fake.http(), &request.url);
        let (status, body) = fetch(&agent, &url, false).unwrap();
        assert!(body.len() > 300_000);
        let quotes = exchange.read(request, status, &body, now_ms()).unwrap();
        let good = quotes.iter().filter(|quote| quote.is_ok()).count();
        assert_eq!(good, several.len(), "{id}");
        assert!(fake.deliveries().len() < 3 * 100);
    }
}

#[test]
fn unknown_symbols_and_rate_limits_are_answered_in_each_exchanges_own_words() {
    let fake = start_fake();
    let agent = agent(&fake);
    let base = fake.http();
    for exchange in Catalogue::builtin().iter() {
        let id = exchange.id();
        let request = exchange.request(&"NO/SUCH".parse().unwrap()).unwrap();
        let first = |read: Answered| read.and_then(|mut quotes| quotes.remove(0)).unwrap_err();
        let error = first(ask(&agent, &base, exchange, &request));
        assert_eq!(error, QuoteError::UnknownSymbol, "{id}");

        let symbol = exchange.example().parse().unwrap();
        let request = exchange.request(&symbol).unwrap();
        for fault in [Fault::RateLimited, Fault::TooMany(Duration::from_secs(1))] {
            fake.set(id, fault);
            let error = first(ask(&agent, &base, exchange, &request));
            assert_eq!(error, QuoteError::RateLimited, "{id} {fault}");
        }
        fake.set(id, Fault::None);
        fake.list(id, symbol.as_str(), false);
        let error = first(ask(&agent, &base, exchange, &request));
        assert_eq!(error, QuoteError::UnknownSymbol, "{id}");
        fake.list(id, symbol.as_str(), true);
        assert!(ask(&agent, &base, exchange, &request).is_ok(), "{id}");
    }
}

/// Binance's answers over TLS.
struct Binance {
    fake: FakeExchange,
    catalogue: Catalogue,
}

impl Binance {
    fn new(fake: FakeExchange) -> Self {
        Self {
            catalogue: Catalogue::builtin(),
            fake,
        }
    }

    /// The price, or what went wrong in words. On a connection of its own, lest the end of an old
    /// one is taken for a fault.
    fn ask(&self) -> Result<(String, Option<u64>), String> {
        let exchange = self.catalogue.get("binance").unwrap();
        let request = exchange.request(&"BTC/USDT".parse().unwrap()).unwrap();
        let url = upstream(&self.fake.https(), &request.url);
        let (status, body) = fetch(&agent(&self.fake), &url, false)
            .map_err(|error| format!("transport: {error}"))?;
        let quotes = exchange.read(&request, status, &body, now_ms());
        let quote = quotes.and_then(|mut quotes| quotes.remove(0));
        let quote = quote.map_err(|error| error.to_string())?;
        Ok((quote.price.to_string(), quote.timestamp_ms))
    }
}

#[test]
fn every_fault_of_an_answer_strikes_and_ends_as_asked() {
    let binance = Binance::new(start_fake());
    let mut good = Vec::new();
    for (name, expected) in [
        ("none", ""),
        ("delay", ""),
        ("redirect", ""),
        ("drip", ""),
        ("chunked", ""),
        ("gzip", ""),
        ("keep-alive-dropped", ""),
        ("clock-ahead", ""),
        ("clock-behind", ""),
        ("price-as-number", ""),
        ("price-as-string", ""),
        ("unchanged", ""),
        ("hang-before", "transport: "),
        ("reset", "transport: "),
        ("not-http", "transport: "),
        ("header-flood", "transport: "),
        ("redirect-loop", "transport: too many redirects"),
        ("early-close", "transport: "),
        ("reset-inside", "transport: "),
        ("hang-inside", "transport: "),
        (
            "huge-body",
            "transport: the response body is larger than request limit",
        ),
        ("429", "too many requests"),
        ("418", "too many requests"),
        (
            "451",
            "not available from here: HTTP 451, Service unavailable",
        ),
        ("500", "temporarily unavailable: HTTP 500"),
        ("garbage", "unexpected answer: "),
        ("wrong-type", "no price: it is {"),
        ("no-price", "no price: it is null"),
        ("unknown-symbol", "unknown symbol"),
        ("rate-limited", "too many requests"),
    ] {
        let fault: Fault = name.parse().unwrap();
        binance.fake.set("binance", fault);
        let began = Instant::now();
        match binance.ask() {
            Ok(quote) => {
                assert!(expected.is_empty(), "{name}: {quote:?}");
                good.push(quote);
            }
            Err(error) => {
                assert!(
                    !expected.is_empty() && error.starts_with(expected),
                    "{name}: {error}"
                );
            }
        }
        if let Fault::Delay(delay) = fault {
            assert!(began.elapsed() >= delay);
        }
        binance.fake.clear();
        good.push(
            binance
                .ask()
                .unwrap_or_else(|error| panic!("after {name}: {error}")),
        );
    }
    let written = binance.fake.good("binance", "BTC/USDT");
    let written: Vec<_> = written
        .into_iter()
        .map(|quote| (quote.price, quote.timestamp_ms))
        .collect();
    assert_eq!(good, written, "each good one once, in order");
    assert_eq!(good.iter().filter(|quote| **quote == good[0]).count(), 1);
}

#[test]
fn certificates_are_checked_again_when_they_change() {
    let binance = Binance::new(start_fake());
    assert!(binance.ask().is_ok());
    for fault in [Fault::CertificateExpired, Fault::CertificateOtherName] {
        binance.fake.set("", fault);
        let error = binance.ask().unwrap_err();
        let words = if fault == Fault::CertificateExpired {
            "expired"
        } else {
            "not valid for name"
        };
        assert!(error.contains(words), "{error}");
        binance.fake.set("", Fault::None);
        assert!(binance.ask().is_ok());
    }
}

#[test]
fn a_connection_is_kept_until_it_is_dropped_and_the_host_header_does_for_an_authority() {
    let fake = start_fake();
    let mut socket = TcpStream::connect(fake.address).unwrap();
    let mut get = || {
        let request = "GET /api/v3/ticker/24hr?symbol=BTCUSDT HTTP/1.1\r\nHost: data-api.binance.vision\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut text = Vec::new();
        while !text.ends_with(b"}") {
            let mut piece = [0; 4096];
            let length = socket.read(&mut piece).unwrap();
            text.extend_from_slice(&piece[..length]);
            if length == 0 {
                return String::new();
            }
        }
        String::from_utf8(text).unwrap()
    };
    let first = get();
    fake.set_times("binance", Fault::KeepAliveDropped, 1);
    let second = get();
    let good = fake.good("binance", "BTC/USDT");
    assert_eq!(good.len(), 2);
    for (text, delivery) in [first, second].iter().zip(good) {
        let price = format!(r#""lastPrice":"{}""#, delivery.price);
        assert!(text.contains(&price), "{text}");
    }
    // The end of the stream, or a reset if it is quicker.
    assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    let connections: Vec<_> = fake.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 1]);
}

#[test]
fn a_redirect_can_lead_to_the_exchange_itself() {
    let fake = start_fake();
    fake.set("kraken", Fault::RedirectAway);
    let target = "api.kraken.com/0/public/Ticker?pair=XBTUSD";
    let url = format!("{}/{target}", fake.http());
    // Not to be followed: that would be the network.
    let get = agent(&fake).get(url).config().max_redirects(0);
    let response = get.max_redirects_will_error(false).build().call();
    let location = response.unwrap().headers()["location"].clone();
    let location = location.to_str().unwrap();
    assert!(location.starts_with(&format!("https://{target}")));
    let followed = upstream(&fake.http(), location);
    assert_eq!(fetch(&agent(&fake), &followed, false).unwrap().0, 200);
}

#[test]
fn faults_are_switched_by_http_too() {
    let fake = start_fake();
    let agent = agent(&fake);
    let control = |query: &str, post| {
        let url = format!("{}/_control{query}", fake.http());
        let (status, body) = fetch(&agent, &url, post).unwrap();
        (status, String::from_utf8(body).unwrap())
    };
    let (status, state) = control("?fault=delay&ms=300&source=binance%2Bstream", true);
    assert_eq!(status, 200);
    assert!(
        state.starts_with("binance+stream: delay 300ms\n"),
        "{state}"
    );
    control("?fault=451&times=1", true);
    let url = format!("{}/api.kraken.com/0/public/Ticker?pair=XBTUSD", fake.http());
    assert_eq!(fetch(&agent, &url, false).unwrap().0, 451);
    assert_eq!(fetch(&agent, &url, false).unwrap().0, 200);
    let (status, error) = control("?fault=odd", true);
    assert!(status == 400 && error.starts_with("error: unknown fault 'odd': expected none, "));
    assert_eq!(control("?source=nobody", true).0, 400);
    control("?clear", true);
    assert!(control("", false).1.starts_with("connections: "));
    let url = format!("{}/_deliveries", fake.http());
    let (_, lines) = fetch(&agent, &url, false).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert!(
        lines.starts_with("kraken BTC/USD ") && lines.ends_with(" Good\n"),
        "{lines}"
    );
}

#[test]
fn prices_and_random_faults_are_the_same_for_the_same_seed() {
    let prices = |seed| {
        let fake = FakeExchange::start(Config {
            seed,
            ..Config::default()
        })
        .unwrap();
        let agent = agent(&fake);
        let url = format!("{}/api.kraken.com/0/public/Ticker?pair=XBTUSD", fake.http());
        for _ in 0..20 {
            fetch(&agent, &url, false).unwrap();
        }
        let good = fake.good("kraken", "BTC/USD").into_iter();
        good.map(|delivery| delivery.price).collect::<Vec<_>>()
    };
    let mut first = prices(7);
    assert_eq!(first, prices(7));
    assert_ne!(first, prices(8));
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
    first.sort();
    first.dedup();
    assert_eq!(first.len(), 20);

    let faults = |seed| {
        let numbers = 1..400;
        let fault = |number| random(seed, "okx", &[Stage::Head, Stage::Body], number);
        numbers.map(fault).collect::<Vec<_>>()
    };
    assert_eq!(faults(1), faults(1));
    assert_ne!(faults(1), faults(2));
    let struck = faults(1)
        .iter()
        .filter(|fault| **fault != Fault::None)
        .count();
    assert!((50..150).contains(&struck), "{struck}");
}

#[test]
fn with_faults_at_random_all_good_answers_are_whole() {
    let binance = Binance::new(
        FakeExchange::start(Config {
            random_faults: Some(5),
            patience: Duration::from_millis(20),
            ..Config::default()
        })
        .unwrap(),
    );
    let good: Vec<_> = (0..60).filter_map(|_| binance.ask().ok()).collect();
    let written = binance.fake.good("binance", "BTC/USDT");
    let written: Vec<_> = written
        .into_iter()
        .map(|quote| (quote.price, quote.timestamp_ms))
        .collect();
    assert_eq!(good, written);
    let mut prices: Vec<_> = good.iter().map(|(price, _)| price.as_str()).collect();
    let check = |prices: &[&str]| binance.fake.check("binance", "BTC/USDT", prices);
    assert_eq!(check(&prices[3..]), Ok(0));
    assert_eq!(check(&prices[3..prices.len() - 2]), Ok(2));
    prices.remove(9);
    assert!(check(&prices).unwrap_err().ends_with(" as number 9"));
    prices.insert(9, prices[8]);
    assert!(check(&prices).unwrap_err().ends_with(" as number 9"));
    assert_eq!(check(&["1.5"]), Err("1.5 was never sent".to_owned()));
    let seen = binance.fake.seen();
    assert!(seen.iter().filter(|seen| seen.fault != Fault::None).count() >= 5);
    assert!(good.len() >= 20);
}
