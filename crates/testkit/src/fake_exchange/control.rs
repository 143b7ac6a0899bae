//! Switches faults, lists and delists markets, and shows deliveries over HTTP, for people and scripts outside the process.

use std::time::Duration;

use super::answer::Answer;
use super::fault::Fault;
use super::request::Request;
use super::sources;
use super::state::Shared;

/// Answers a request about the fake exchange itself.
pub(super) fn answer(shared: &Shared, request: &Request) -> Answer {
    let (path, query) = request
        .target
        .split_once('?')
        .unwrap_or((&request.target, ""));
    match (request.method.as_str(), path) {
        ("POST", "/_control") => match switch(shared, query) {
            Ok(()) => Answer::new(200, state(shared)),
            Err(reason) => Answer::new(400, format!("error: {reason}\n")),
        },
        ("GET", "/_control") => Answer::new(200, state(shared)),
        ("GET", "/_deliveries") => Answer::new(200, deliveries(shared)),
        ("GET", "/_requests") => Answer::new(200, requests(shared)),
        ("GET", "/_ca") => Answer::new(200, shared.authority.pem.clone()),
        _ => Answer::new(404, HELP),
    }
}

/// Handles `fault=delay&ms=260&source=binance%2Bstream&times=3`, or `clear`, or
/// `source=binance&delist=BTC/USDT`.
fn switch(shared: &Shared, query: &str) -> Result<(), String> {
    let mut name = None;
    let mut duration = None;
    let mut source = String::new();
    let mut times = None;
    let mut listings = Vec::new();
    let number = |name: &str, value: &str| {
        let number = value.parse::<u64>();
        number.map_err(|_| format!("invalid {name} '{value}': expected a number"))
    };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "clear" => shared.clear(),
            "fault" => name = Some(value.into_owned()),
            "ms" => duration = Some(Duration::from_millis(number("ms", &value)?)),
            "times" => times = Some(number("times", &value)?),
            "list" => listings.push((value.into_owned(), true)),
            "delist" => listings.push((value.into_owned(), false)),
            // A plus in a query means a space, but people forget to escape it.
            "source" => source = value.replace(' ', "+"),
            other => return Err(format!("unknown parameter '{other}'")),
        }
    }
    if !source.is_empty() && !sources().contains(&source) {
        return Err(format!("unknown source '{source}'"));
    }
    if !listings.is_empty() && source.is_empty() {
        return Err("a market is listed at a source: add source=NAME".to_owned());
    }
    for (symbol, is_listed) in listings {
        let exchange = source.trim_end_matches("+stream");
        if !shared.trades(exchange, &symbol) {
            return Err(format!(
                "unknown symbol '{symbol}': expected one of --symbols"
            ));
        }
        shared.list(exchange, &symbol, is_listed);
    }
    if let Some(name) = name {
        shared.set(&source, Fault::parse(&name, duration)?, times);
    }
    Ok(())
}

fn state(shared: &Shared) -> String {
    let faults = shared.faults();
    let faults = faults.iter().map(|(source, fault)| {
        let source = match source.as_str() {
            "" => "all",
            source => source,
        };
        format!("{source}: {fault}\n")
    });
    let connections = shared.connections();
    format!("{}connections: {connections}\n", faults.collect::<String>())
}

/// One line per price: source, symbol, digits, time, connection, outcome.
fn deliveries(shared: &Shared) -> String {
    let lines = shared.deliveries().into_iter().map(|delivery| {
        let time = delivery.timestamp_ms.map(|ms| ms.to_string());
        format!(
            "{} {} {} {} {} {:?}\n",
            delivery.source,
            delivery.symbol,
            delivery.price,
            time.as_deref().unwrap_or("-"),
            delivery.connection,
            delivery.outcome
        )
    });
    lines.collect()
}

/// One line per request: seconds since the first, connection, source, target, fault.
fn requests(shared: &Shared) -> String {
    let seen = shared.seen();
    let lines = seen.iter().map(|request| {
        let since = request.at.duration_since(seen[0].at).as_secs_f64();
        format!(
            "{since:.3} {} {} {} {}\n",
            request.connection, request.source, request.target, request.fault
        )
    });
    lines.collect()
}

const HELP: &str = "\
POST /_control?fault=NAME[&ms=N][&times=N][&source=binance|binance%2Bstream]
POST /_control?clear
POST /_control?source=binance&delist=BTC/USDT    or list=
GET  /_control      faults and connections
GET  /_deliveries   all prices that were sent
GET  /_requests     all requests that came in
GET  /_ca           the certificate for --ca
";
