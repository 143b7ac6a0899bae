//! The audience of a feed in these tests, which records ticks and failures.

use std::time::{Duration, Instant};

use ioloop::IoLoop;
use tickertape::feed::{
    HasSources, LiveOptions, Publish, Settings, Source, Sources, Speed, Watched,
};
use tickertape::tick::{FieldSet, Tick};

use crate::upstream::Upstream;

/// Records the ticks and failures of a feed.
#[derive(Default)]
pub(crate) struct Audience {
    pub(crate) ticks: Vec<(Instant, Tick)>,
    pub(crate) confirmed: Vec<String>,
    /// Symbols in the order in which they were listed, and delisted.
    pub(crate) listed: Vec<String>,
    pub(crate) delisted: Vec<String>,
    pub(crate) sources: Sources,
}

impl Publish for Audience {
    fn publish(&mut self, _: &mut IoLoop<Self>, tick: Tick) {
        self.ticks.push((Instant::now(), tick));
    }

    fn confirm(&mut self, _: &mut IoLoop<Self>, symbol: &str) {
        self.confirmed.push(symbol.to_owned());
    }

    fn list(&mut self, _: &mut IoLoop<Self>, symbols: &[String]) -> usize {
        self.listed.extend_from_slice(symbols);
        0
    }

    fn watch(&mut self, _: &mut IoLoop<Self>, _: Vec<Watched>) {}

    fn delist(&mut self, _: &mut IoLoop<Self>, symbols: &[String]) {
        self.delisted.extend_from_slice(symbols);
    }
}

impl HasSources for Audience {
    fn sources(&mut self) -> &mut Sources {
        &mut self.sources
    }
}

impl Audience {
    /// The ticks received, such as `BTC/USDT 1.50`.
    pub(crate) fn received(&self) -> Vec<String> {
        let text = |(_, tick): &(Instant, Tick)| format!("{} {}", tick.symbol, tick.price);
        self.ticks.iter().map(text).collect()
    }

    /// How often a source failed with this kind of error.
    pub(crate) fn failures(&self, source: &str, kind: &str) -> u64 {
        let mut sources = self.sources.iter();
        let source = sources.find(|standing| standing.name() == source).unwrap();
        let failures = source.failures().iter();
        let of_kind = failures.filter(|(name, _)| *name == kind);
        of_kind.map(|(_, count)| count).sum()
    }
}

/// Settings for `symbols` that send all requests to `upstream`.
pub(crate) fn settings(upstream: &Upstream, symbols: &[&str]) -> Settings {
    settings_at(&upstream.url(), symbols)
}

/// Settings for `symbols` that send all requests to the server at this URL.
pub(crate) fn settings_at(url: &str, symbols: &[&str]) -> Settings {
    let mirror = tickertape::http_client::UpstreamOverride::parse(url).unwrap();
    Settings {
        symbols: symbols.iter().map(ToString::to_string).collect(),
        symbols_file: None,
        interval: Duration::from_millis(50),
        fields: FieldSet::NONE,
        spread: false,
        seed: None,
        speed: Speed::Max,
        live: LiveOptions {
            upstream: Some(mirror),
            request_timeout: Duration::from_secs(2),
            ..LiveOptions::default()
        },
    }
}

/// The error of opening `source`.
pub(crate) fn refusal(source: &str, settings: &Settings) -> String {
    match Source::parse(source).unwrap().open::<Audience>(settings) {
        Ok(_) => panic!("{source} was opened"),
        Err(error) => error.to_string(),
    }
}

/// Listens to `source` until the audience has received `enough`.
pub(crate) fn listen(
    source: &str,
    settings: &Settings,
    enough: impl Fn(&Audience) -> bool + Clone + 'static,
) -> Audience {
    let feed = Source::parse(source).unwrap().open::<Audience>(settings);
    let mut io_loop = IoLoop::new().unwrap();
    feed.unwrap().start(&mut io_loop);
    io_loop.call_later(Duration::from_secs(40), |audience: &mut Audience, _| {
        panic!("never received enough: {:?}", audience.received())
    });
    look(&mut io_loop, enough);
    let mut audience = Audience::default();
    io_loop.start(&mut audience).unwrap();
    audience
}

fn look(io_loop: &mut IoLoop<Audience>, enough: impl Fn(&Audience) -> bool + 'static) {
    io_loop.call_later(Duration::from_millis(2), move |audience, io_loop| {
        if enough(audience) {
            io_loop.stop();
        } else {
            look(io_loop, enough);
        }
    });
}
