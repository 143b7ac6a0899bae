//! The promise of the fake exchange's streams: a client that speaks as the catalogue says gets
//! the prices that are written down, and one that breaks an exchange's rules is dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use exchanges::{Catalogue, Exchange, Session, StreamMessage, Symbol};
use rustls::{ClientConnection, StreamOwned};
use testkit::PATIENCE;
use testkit::fake_exchange::{Config, FakeExchange, Fault, home};
use tickertape::http_client::Roots;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{ClientRequestBuilder, Error, Message, WebSocket};

/// One that is quick, for tests that wait for it.
fn start_fake(haste: u32) -> FakeExchange {
    FakeExchange::start(Config {
        tick_every: Duration::from_millis(10),
        haste,
        ..Config::default()
    })
    .unwrap()
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// Something that a stream can run over.
trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

type Socket = WebSocket<Box<dyn Stream>>;

/// Connects to `authority/path`; with the exchange's certificate if `tls`.
fn connect(fake: &FakeExchange, url: &str, tls: bool) -> Result<Socket, String> {
    connect_with(fake, url, tls, &mut std::iter::empty())
}

/// Connects with these headers in the handshake.
fn connect_with(
    fake: &FakeExchange,
    url: &str,
    tls: bool,
    headers: &mut dyn Iterator<Item = (&str, &str)>,
) -> Result<Socket, String> {
    let socket = TcpStream::connect(fake.address).unwrap();
    let limit = Some(Duration::from_millis(if tls { 5000 } else { 20 }));
    let stream: Box<dyn Stream> = if tls {
        let config = Roots::with_pem(fake.pem().as_bytes())
            .unwrap()
            .client_config()
            .unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let connection = ClientConnection::new(config, name).unwrap();
        Box::new(StreamOwned::new(connection, socket.try_clone().unwrap()))
    } else {
        Box::new(socket.try_clone().unwrap())
    };
    let (_, path) = url.split_once("://").unwrap();
    let url = format!("ws://{}/{path}", fake.address);
    let mut request = ClientRequestBuilder::new(url.parse().unwrap());
    for (name, value) in headers {
        request = request.with_header(name, value);
    }
    let connected = tungstenite::client(request, stream).map_err(|error| error.to_string())?;
    socket.set_read_timeout(limit).unwrap();
    Ok(connected.0)
}

/// A client that does as the catalogue says.
struct Client<'e> {
    session: Session<'e>,
    socket: Socket,
    ping_every: Option<Duration>,
    pinged: Instant,
    /// Price and time of each symbol.
    ticks: Vec<Vec<(String, Option<u64>)>>,
    acks: usize,
    heartbeats: usize,
    others: usize,
    errors: Vec<String>,
    leaves: bool,
}

impl<'e> Client<'e> {
    fn start(fake: &FakeExchange, exchange: &'e Exchange, symbols: &[Symbol], tls: bool) -> Self {
        let mut session = exchange.session(symbols).unwrap();
        let answer = session.token_url().map(|url| {
            let (_, rest) = url.split_once("://").unwrap();
            let url = format!("{}/{rest}", fake.http());
            let mut response = ureq::post(url).send_empty().unwrap();
            let body = response.body_mut().read_to_vec().unwrap();
            (response.status().as_u16(), body)
        });
        let token = answer
            .as_ref()
            .map(|(status, body)| (*status, body.as_slice()));
        let connection = session.connection(token, now_ms()).unwrap();
        let headers = &mut exchange.headers();
        let mut socket = connect_with(fake, &connection.url, tls, headers).unwrap();
        thread::sleep(connection.settle);
        for text in session.subscribe(now_ms()) {
            socket.send(Message::Text(text.into())).unwrap();
        }
        Self {
            session,
            socket,
            ping_every: connection.ping_every,
            pinged: Instant::now(),
            ticks: vec![Vec::new(); symbols.len()],
            acks: 0,
            heartbeats: 0,
            others: 0,
            errors: Vec::new(),
            leaves: false,
        }
    }

    /// Reads one message, if one comes soon, and pings if that is due.
    fn turn(&mut self) -> Result<(), Error> {
        if self
            .ping_every
            .is_some_and(|every| self.pinged.elapsed() >= every)
        {
            self.pinged = Instant::now();
            self.ping()?;
        }
        match self.socket.read() {
            Ok(Message::Text(text)) => self.on_message(text.as_bytes()),
            Ok(Message::Binary(bytes)) => self.on_message(&bytes),
            Ok(_) => Ok(()),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn ping(&mut self) -> Result<(), Error> {
        let ping = match self.session.ping(now_ms()) {
            Some(text) => Message::Text(text.into()),
            None => Message::Ping(Vec::new().into()),
        };
        self.socket.send(ping)
    }

    fn on_message(&mut self, message: &[u8]) -> Result<(), Error> {
        match self.session.read(message, now_ms()) {
            StreamMessage::Ticks(ticks) => {
                for (index, quote) in ticks {
                    let quote = match quote {
                        Ok(quote) => (quote.price.to_string(), quote.timestamp_ms),
                        Err(error) => (error.to_string(), None),
                    };
                    self.ticks[index].push(quote);
                }
            }
            StreamMessage::Ack => self.acks += 1,
            StreamMessage::Heartbeat(reply) => {
                self.heartbeats += 1;
                if let Some(reply) = reply {
                    self.socket.send(Message::Text(reply.into()))?;
                }
            }
            StreamMessage::Error(words) => self.errors.push(words),
            StreamMessage::Leave => self.leaves = true,
            StreamMessage::Alive(_) => self.heartbeats += 1,
            StreamMessage::Unreadable(_) | StreamMessage::Other => self.others += 1,
        }
        Ok(())
    }

    /// Goes on until there are this many prices of each symbol.
    fn run(&mut self, ticks: usize) {
        self.run_until(|client| client.ticks.iter().all(|received| received.len() >= ticks));
    }

    fn run_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(
                Instant::now() < until,
                "it does not come: {:?}",
                self.errors
            );
            self.turn().unwrap();
        }
    }

    /// Goes on for this long; returns whether the stream was still open then.
    fn run_for(&mut self, duration: Duration) -> bool {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            if self.turn().is_err() {
                return false;
            }
        }
        true
    }

    /// Holds what has come against what was written down.
    fn check(&self, fake: &FakeExchange, exchange: &Exchange, symbols: &[Symbol]) {
        let source = format!("{}+stream", exchange.id());
        for (symbol, ticks) in symbols.iter().zip(&self.ticks) {
            let good = fake.good(&source, symbol.as_str()).into_iter();
            let mut good: Vec<_> = good
                .map(|quote| (quote.price, quote.timestamp_ms))
                .collect();
            // Some may be under way.
            good.truncate(ticks.len());
            assert_eq!(*ticks, good, "{source} {symbol}");
        }
        assert_eq!(self.errors, [""; 0], "{source}");
    }
}

fn symbols(texts: &[impl AsRef<str>]) -> Vec<Symbol> {
    let texts = texts.iter();
    texts.map(|text| text.as_ref().parse().unwrap()).collect()
}

/// Symbols that the exchange trades.
fn symbols_at(exchange: &Exchange) -> Vec<Symbol> {
    let bases = ["BTC", "ETH", "DOGE", "SHIB"];
    match home(exchange.id()) {
        Some(quote) => symbols(&bases.map(|base| format!("{base}/{quote}"))),
        None => symbols(&["BTC/USDT", "ETH/USDT", "DOGE/USDT", "SHIB/BTC"]),
    }
}

#[test]
fn every_stream_brings_the_recorded_digits() {
    let fake = start_fake(1);
    let catalogue = Catalogue::builtin();
    thread::scope(|scope| {
        for exchange in catalogue.iter().filter(|exchange| exchange.has_stream()) {
            let fake = &fake;
            scope.spawn(move || {
                let symbols = symbols_at(exchange);
                let mut client = Client::start(fake, exchange, &symbols, false);
                client.run(3);
                let pings = client.ping_every.is_some();
                client.ping_every = None;
                if pings && client.session.ping(0).is_some() {
                    let before = client.heartbeats + client.acks;
                    client.ping().unwrap();
                    client.run(6);
                    // Deribit's answer to a ping looks like that to a subscription.
                    let after = client.heartbeats + client.acks;
                    assert!(after > before, "{} answers pings", exchange.id());
                }
                client.check(fake, exchange, &symbols);
                let acks = !UNCONFIRMED.contains(&exchange.id());
                assert_eq!(client.acks > 0, acks, "{}", exchange.id());
            });
        }
    });
}

/// The exchanges whose streams confirm nothing: the first price is the answer.
const UNCONFIRMED: [&str; 11] = [
    "upbit",
    "bithumb",
    "toobit",
    "lbank",
    "coincheck",
    "btcmarkets",
    "backpack",
    "hashkey",
    "bitkub",
    "bitopro",
    "lighter",
];

#[test]
fn streams_run_over_tls_too() {
    let fake = start_fake(1);
    let catalogue = Catalogue::builtin();
    let exchange = catalogue.get("kucoin").unwrap();
    let symbols = symbols(&["BTC/USDT"]);
    let mut client = Client::start(&fake, exchange, &symbols, true);
    client.run(5);
    client.check(&fake, exchange, &symbols);
}

#[test]
fn a_client_that_breaks_a_rule_is_dropped_and_one_that_keeps_it_is_not() {
    // Half a minute becomes 750 ms.
    let fake = start_fake(40);
    let catalogue = Catalogue::builtin();
    let symbols = symbols(&["BTC/USDT"]);
    thread::scope(|scope| {
        for id in [
            "okx",
            "bybit",
            "kucoin",
            "gate",
            "poloniex",
            "binance",
            "cryptocom",
        ] {
            for obeys in [true, false] {
                let (fake, symbols, catalogue) = (&fake, &symbols, &catalogue);
                scope.spawn(move || {
                    let exchange = catalogue.get(id).unwrap();
                    let mut client = Client::start(fake, exchange, symbols, false);
                    client.ping_every = obeys.then_some(Duration::from_millis(100));
                    let limit = Duration::from_millis(1200);
                    let stayed = match (id, obeys) {
                        // These are asked by the server, and only a deaf client does not answer.
                        ("binance" | "cryptocom", false) => {
                            thread::sleep(limit * 2);
                            client.run_for(Duration::from_secs(1))
                        }
                        ("binance" | "cryptocom", true) => {
                            client.ping_every = None;
                            client.run_for(limit)
                        }
                        _ => client.run_for(limit),
                    };
                    assert_eq!(stayed, obeys, "{id}");
                });
            }
        }
    });
}

#[test]
fn wrong_requests_are_answered_as_the_exchange_would() {
    let fake = start_fake(1);
    let say = |url: &str, text: &str| {
        let mut socket = connect(&fake, url, false).unwrap();
        socket.send(Message::Text(text.into())).unwrap();
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => return text.to_string(),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let okx = "wss://ws.okx.com/ws/v5/public";
    let unknown = r#"{"op":"subscribe","args":[{"channel":"tickers","instId":"NO-SUCH"}]}"#;
    assert!(say(okx, unknown).contains("instId NO-SUCH"));
    assert!(say(okx, r#"{"op":"subscribe","args":[]}"#).contains("60012"));
    let eleven: Vec<_> = (0..11).map(|n| format!(r#""tickers.A{n}USDT""#)).collect();
    let bybit = format!(
        r#"{{"op":"subscribe","args":[{}],"req_id":"1"}}"#,
        eleven.join(",")
    );
    assert!(say("wss://stream.bybit.com/v5/public/spot", &bybit).contains(r#""success":false"#));
    let hasty =
        r#"{"id":1,"method":"subscribe","params":{"channels":["ticker.BTC_USDT"]},"nonce":1}"#;
    let cryptocom = "wss://stream.crypto.com/exchange/v1/market";
    assert!(say(cryptocom, hasty).contains("TOO_MANY_REQUESTS"));

    for url in [
        "wss://ws-api-spot.kucoin.com/?token=forged&connectId=1",
        "wss://ws.okx.com/ws/v5/private",
        "wss://nobody.example/ws",
    ] {
        assert!(connect(&fake, url, false).is_err(), "{url}");
    }
}

#[test]
fn streams_fail_as_they_are_told_to() {
    let fake = start_fake(100);
    let catalogue = Catalogue::builtin();
    let symbols = symbols(&["BTC/USDT"]);
    let start = |id: &str| Client::start(&fake, catalogue.get(id).unwrap(), &symbols, false);

    let mut client = start("kraken");
    client.run(2);
    fake.set("kraken+stream", Fault::StreamSilent);
    // Messages in flight still arrive.
    client.run_for(Duration::from_millis(200));
    let before = (client.ticks[0].len(), client.heartbeats);
    assert!(client.run_for(Duration::from_millis(200)));
    assert_eq!((client.ticks[0].len(), client.heartbeats), before);
    fake.clear();
    client.run(before.0 + 1);
    client.check(&fake, catalogue.get("kraken").unwrap(), &symbols);

    fake.set("kraken+stream", Fault::StreamGarbage);
    client.run_until(|client| client.others > 0);
    for (fault, words) in [
        (Fault::WrongType, "no price: it is {"),
        (Fault::NoPrice, "no price: it is null"),
    ] {
        fake.set("kraken+stream", fault);
        let has_come = |client: &Client<'_>| client.ticks[0].last().unwrap().0.starts_with(words);
        client.run_until(has_come);
    }
    fake.set("kraken+stream", Fault::StreamCut);
    assert!(!client.run_for(PATIENCE));

    let mut client = start("okx");
    client.run(1);
    fake.set_times("okx+stream", Fault::StreamLeave, 1);
    assert!(!client.run_for(PATIENCE));
    assert!(client.leaves);

    let mut client = start("binance");
    client.run(1);
    fake.set("binance+stream", Fault::StreamClosed);
    let end = loop {
        match client.socket.read() {
            Ok(Message::Close(frame)) => break frame.unwrap().code,
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(end, CloseCode::Away);

    fake.set("bitget+stream", Fault::TooMany(Duration::from_secs(1)));
    let error = connect(&fake, "wss://ws.bitget.com/v2/ws/public", false);
    assert!(error.err().unwrap().contains("429"));
    fake.set("bitget+stream", Fault::UnknownSymbol);
    let mut client = start("bitget");
    client.run_until(|client| !client.errors.is_empty());
    assert_eq!(client.errors.len(), 1);
}
