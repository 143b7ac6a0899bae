//! Whole markets: what a pattern stands for is what the exchange lists, now and an hour later.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::audience::listen;
use crate::silence::{STEP, Stage};
use crate::trouble::Scene;

#[test]
fn a_pattern_serves_exactly_what_each_exchange_lists() {
    Scene::play(|scene, exchange| {
        if exchange.market_list_url().is_none() {
            return;
        }
        let id = exchange.id();
        let (_, quote) = exchange.example().split_once('/').unwrap();
        let mut traded = scene.fake.listed(id);
        traded.retain(|symbol| symbol.ends_with(&format!("/{quote}")));
        assert!(traded.len() > 1, "{id}: {traded:?}");
        let mut settings = scene.settings.clone();
        settings.symbols = vec![format!("*/{quote}")];
        let all: BTreeSet<_> = traded.iter().cloned().collect();
        let audience = listen(id, &settings, move |audience| {
            let priced = audience.ticks.iter().map(|(_, tick)| &tick.symbol);
            all.is_subset(&priced.cloned().collect())
        });
        assert_eq!(audience.listed, traded, "{id}");
        assert_eq!(audience.delisted, [""; 0], "{id}");
    });
}

#[test]
fn markets_come_and_go_with_the_list_that_is_read_each_hour() {
    for source in ["okx", "okx+stream"] {
        let mut stage = Stage::open(source, "*/EUR");
        stage.exchange.list("okx", "SOL/EUR", false);
        let has = |stage: &Stage, symbol: &str| {
            let mut ticks = stage.audience.ticks.iter();
            ticks.any(|tick| tick.symbol == symbol)
        };
        let first = ["BTC/EUR", "DOGE/EUR", "ETH/EUR"];
        stage.pass_until("prices are missing", |stage| {
            first.iter().all(|symbol| has(stage, symbol))
        });
        assert_eq!(stage.audience.listed, first, "{source}");

        // A stream has to connect again after such a leap.
        stage.step(HOUR - LAST_MINUTES);
        more_prices(&mut stage);
        let handshakes = stage.handshakes();
        stage.exchange.list("okx", "SOL/EUR", true);
        stage.exchange.list("okx", "DOGE/EUR", false);
        if source.ends_with("+stream") {
            stage.pass_in(STEP, LAST_MINUTES, |_| {});
        } else {
            stage.step(LAST_MINUTES);
        }
        stage.pass_until("no price of the new market", |stage| has(stage, "SOL/EUR"));
        assert_eq!(stage.audience.listed[3..], ["SOL/EUR"], "{source}");
        assert_eq!(stage.audience.delisted, ["DOGE/EUR"], "{source}");

        let before = stage.audience.ticks.len();
        more_prices(&mut stage);
        let mut since = stage.audience.ticks[before..].iter();
        assert!(since.all(|tick| tick.symbol != "DOGE/EUR"), "{source}");
        if source.ends_with("+stream") {
            assert_eq!(stage.handshakes(), handshakes, "it has reconnected");
        }
    }
}

fn more_prices(stage: &mut Stage) {
    let before = stage.audience.ticks.len();
    stage.pass_until("no more prices", |stage| {
        stage.audience.ticks.len() > before + 5
    });
}

/// How often the list is read.
const HOUR: Duration = Duration::from_secs(3_600);

/// The end of the hour, in which no connection is lost.
const LAST_MINUTES: Duration = Duration::from_secs(120);
