//! Answers requests for prices.

use super::answer::{Answer, refusal};
use super::clock::Clock;
use super::fault::Fault;
use super::formats::{Ask, KUCOIN, List, Rest, Unknown, exchanges, lists, streams};
use super::request::Request;
use super::state::{Draw, Shared, Symbol, host};
use super::template::{fill, matches, matches_target};

/// Whether an exchange answers requests at this authority.
pub(super) fn knows(authority: &str) -> bool {
    exchange(authority).is_some()
}

fn exchange(authority: &str) -> Option<&'static Rest> {
    let authority = host(authority);
    let mut elsewhere = lists().filter(|list| list.elsewhere == Some(authority));
    let listing = elsewhere.next().map(|list| list.id);
    exchanges().find(|it| it.authority == authority || Some(it.id) == listing)
}

/// The requested source in the format of the server's command line.
pub(super) fn source(request: &Request) -> String {
    let exchange = exchange(&request.authority);
    exchange.map_or("", |exchange| exchange.id).to_owned()
}

/// The answer to a request; faults that change the symbols or the prices apply here.
pub(super) fn answer(
    shared: &Shared,
    request: &Request,
    source: &str,
    connection: u64,
    fault: Fault,
) -> Answer {
    let Some(exchange) = exchange(&request.authority) else {
        let what = format!("the formats have no exchange at {}", request.authority);
        return Answer::new(404, what);
    };
    let clock = Clock::now(fault);
    let told = |(status, body): (u16, &str)| {
        Answer::new(status, fill(body, &|name| clock.placeholder(name)))
    };
    if let Some(refusal) = refusal(fault) {
        let is_limit = refusal.status == 429 || refusal.status == 418;
        let body = if is_limit {
            told(exchange.limited).body
        } else {
            refusal.body
        };
        return Answer { body, ..refusal };
    }
    match fault {
        Fault::RateLimited => return told(exchange.limited),
        Fault::UnknownSymbol => return told(exchange.unknown),
        Fault::Garbage if connection.is_multiple_of(2) => return Answer::new(200, NOISE),
        Fault::Garbage => return Answer::new(200, "<!doctype html>\n<title>Log in</title>"),
        // The price is drawn when the client follows the redirect.
        fault if fault.redirects() => return Answer::default(),
        _ => {}
    }
    if request.method == "POST" && exchange.id == "kucoin" {
        return bullet(shared, &request.target);
    }
    if let Some(header) = exchange.needs
        && request.header(header).is_none()
    {
        return Answer::new(403, format!(r#"{{"message":"missing header {header}"}}"#));
    }
    if let Some(list) = asked_list(exchange, request) {
        return Answer::new(200, markets(shared, exchange, list, clock));
    }
    let mut asks = exchange.asks.iter();
    let Some((ask, markets)) = asks.find_map(|ask| Some((ask, asked(ask, request)?))) else {
        return Answer::new(
            404,
            r#"{"message":"no such endpoint, or no such parameters"}"#,
        );
    };
    let symbols = symbols(shared, exchange, ask, &markets);
    if symbols.is_empty() {
        return told(exchange.unknown);
    }
    let mut answer = Answer::new(200, "");
    let stamp = clock.stamp(&[ask.answer, ask.entry]);
    let mut entries = Vec::new();
    for symbol in symbols {
        let draw = Draw {
            exchange: exchange.id,
            source,
            symbol,
            connection,
            fault,
            exponents: exchange.exponents,
            clock,
            stamp,
        };
        let (entry, number) = shared.draw(&draw, ask.entry, &|placeholder| match placeholder {
            "market" => Some((exchange.spell)(symbol.base, symbol.quote)),
            "key" => Some((exchange.key)(symbol.base, symbol.quote)),
            _ => None,
        });
        entries.push(entry);
        answer.drawn.push(number);
    }
    if ask.lists_all() && shared.config.fillers > 0 {
        let key = |symbol: Symbol<'_>| (exchange.key)(symbol.base, symbol.quote);
        let market = |symbol: Symbol<'_>| (exchange.spell)(symbol.base, symbol.quote);
        entries.push(shared.fillers(exchange.id, ask.entry, &market, &key));
    }
    let text = fill(ask.answer, &|placeholder| match placeholder {
        "entries" => Some(entries.join(",")),
        _ => clock.placeholder(placeholder),
    });
    answer.body = text.into_bytes();
    answer
}

/// The list of markets that is asked for, if it is one.
fn asked_list(exchange: &Rest, request: &Request) -> Option<&'static List> {
    let mut lists = lists();
    let list = lists.find(|list| list.id == exchange.id)?;
    let is_there = host(&request.authority) == list.elsewhere.unwrap_or(exchange.authority);
    let is_asked = matches_target(list.target, &request.target).is_some();
    (is_there && is_asked && request.method == "GET").then_some(list)
}

/// The list of all markets that are traded now.
fn markets(shared: &Shared, exchange: &Rest, list: &List, clock: Clock) -> String {
    let entry = |symbol: &Symbol<'_>| {
        let named = |name: fn(&str, &str) -> String| Some(name(symbol.base, symbol.quote));
        fill(list.entry, &|placeholder| match placeholder {
            "market" => named(exchange.spell),
            "key" => named(exchange.key),
            "name" => named(list.name),
            _ => clock
                .placeholder(placeholder)
                .or_else(|| symbol.placeholder(placeholder)),
        })
    };
    let traded = shared.symbols(exchange.id);
    let entries: Vec<_> = traded.iter().map(entry).collect();
    fill(list.answer, &|placeholder| match placeholder {
        "entries" => Some(entries.join(",")),
        _ => clock.placeholder(placeholder),
    })
}

/// The markets that a request of this kind asks for; `None` if it is of another kind.
fn asked(ask: &Ask, request: &Request) -> Option<Vec<String>> {
    let method = match ask.body {
        "" => "GET",
        _ => "POST",
    };
    let mut markets = matches_target(ask.target, &request.target)?.markets();
    if !ask.body.is_empty() {
        markets.extend(matches(ask.body, &request.body)?.markets());
    }
    (request.method == method).then_some(markets)
}

/// The requested symbols; `None` if the request is an error.
fn symbols<'s>(
    shared: &'s Shared,
    exchange: &Rest,
    ask: &Ask,
    markets: &[String],
) -> Vec<Symbol<'s>> {
    let traded = shared.symbols(exchange.id);
    if ask.lists_all() {
        return traded;
    }
    let find = |market: &String| {
        let mut traded = traded.iter().copied();
        traded.find(|symbol| (exchange.spell)(symbol.base, symbol.quote) == *market)
    };
    let found: Vec<_> = markets.iter().filter_map(find).collect();
    if ask.unknown == Unknown::Spoils && found.len() < markets.len() {
        Vec::new()
    } else {
        found
    }
}

/// KuCoin's answer to a client that wants to open a stream.
fn bullet(shared: &Shared, target: &str) -> Answer {
    if target != "/api/v1/bullet-public" {
        return Answer::new(404, r#"{"code":"404","msg":"Not Found"}"#);
    }
    let token = shared.token();
    let within = streams().find(|stream| stream.authority == KUCOIN);
    assert!(within.is_some(), "the token leads somewhere");
    let haste = u64::from(shared.config.haste);
    let (ping, pong) = (18_000 / haste, 10_000 / haste);
    Answer::new(
        200,
        format!(
            r#"{{"code":"200000","data":{{"token":"{token}","instanceServers":[{{"endpoint":"wss://{KUCOIN}/","encrypt":true,"protocol":"websocket","pingInterval":{ping},"pingTimeout":{pong}}}]}}}}"#
        ),
    )
}

const NOISE: &[u8] = b"\x00\xff\xfe\x93{\"price\": \xc3\x28 not text";
