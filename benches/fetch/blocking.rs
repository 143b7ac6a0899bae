//! The fetch of the Python original: on the loop, with blocking calls. The product does not contain
//! it; it shows what the product gains by avoiding it.

use std::time::Duration;

use exchanges::{Exchange, Request};
use ioloop::{IoLoop, PeriodicCallback};
use tickertape::feed::{Feed, Publish, Settings, Source, catalogue};
use tickertape::http_client::Roots;
use tickertape::tick::{Tick, unix_us};
use ureq::Agent;
use ureq::tls::TlsConfig;

/// A feed of one symbol's prices that blocks the loop for as long as each request takes.
pub(crate) struct Blocking {
    agent: Agent,
    exchange: Exchange,
    request: Request,
    /// The URL of the request at the fake exchange.
    url: String,
    symbol: String,
    interval: Duration,
}

impl Blocking {
    /// A feed of the first exchange in `source` and the first symbol, with `upstream` in its place.
    pub(crate) fn new(
        upstream: &str,
        source: &Source,
        settings: &Settings,
    ) -> Result<Self, String> {
        let Source::Exchanges(list) = source else {
            return Err("expected an exchange".to_owned());
        };
        let (wanted, symbol) = (list.first(), settings.symbols.first());
        let (wanted, symbol) = wanted
            .zip(symbol)
            .ok_or("expected an exchange and a symbol")?;
        let catalogue = catalogue(&settings.live)?;
        let exchange = catalogue.get(&wanted.name);
        let exchange = exchange.map_err(|error| error.to_string())?.clone();
        let request = exchange.request(&symbol.parse().map_err(|_| "invalid symbol")?);
        let request = request.ok_or("expected an exchange that answers requests")?;
        let path = request.url.trim_start_matches("https://");
        let roots = match &settings.live.ca {
            Some(path) => Roots::with_file(path).map_err(|error| error.to_string())?,
            None => Roots::default(),
        };
        let tls = TlsConfig::builder().root_certs(roots.for_ureq()).build();
        // With a timeout, ureq would look up names in a thread, but there must be only one thread.
        let config = Agent::config_builder().tls_config(tls).proxy(None).build();
        Ok(Self {
            agent: config.into(),
            url: format!("{upstream}/{path}"),
            symbol: symbol.clone(),
            interval: settings.interval,
            exchange,
            request,
        })
    }

    fn publish<S: Publish>(&self, state: &mut S, io_loop: &mut IoLoop<S>) {
        match self.fetch() {
            Ok(tick) => state.publish(io_loop, tick),
            Err(error) => log::error!("no price: {error}"),
        }
    }

    fn fetch(&self) -> Result<Tick, String> {
        let mut response = self.agent.get(&self.url).call().map_err(text)?;
        let status = response.status().as_u16();
        let body = response.body_mut().read_to_vec().map_err(text)?;
        let now = unix_us() / 1_000;
        let quotes = self.exchange.read(&self.request, status, &body, now);
        let quote = quotes.map_err(text)?.into_iter().next();
        let quote = quote.ok_or("the answer is empty")?.map_err(text)?;
        Ok(Tick::new(
            &*self.symbol,
            quote.price,
            quote.timestamp_ms.unwrap_or(now),
        ))
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl<S: Publish> Feed<S> for Blocking {
    fn symbols(&self) -> Vec<String> {
        vec![self.symbol.clone()]
    }

    fn describe(&self) -> String {
        format!("fetching prices from {} with blocking calls", self.url)
    }

    fn start(self: Box<Self>, io_loop: &mut IoLoop<S>) {
        io_loop.add_callback(move |state, io_loop| {
            self.publish(state, io_loop);
            PeriodicCallback::start(io_loop, self.interval, move |state, io_loop| {
                self.publish(state, io_loop);
            });
        });
    }
}
