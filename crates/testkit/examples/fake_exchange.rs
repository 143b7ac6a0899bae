//! The fake exchange as a program, for demos without a network.
//!
//! ```text
//! cargo run --example fake_exchange -- --port 9000 --ca /tmp/ca.pem
//! ./server --source binance --upstream https://127.0.0.1:9000 --ca /tmp/ca.pem
//! curl -X POST 'http://127.0.0.1:9000/_control?fault=delay&ms=260'
//! ```

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, thread};

use pico_args::Arguments;
use testkit::fake_exchange::{Config, FakeExchange, Fault};
use testkit::{NameFault, NameServer};

const HELP: &str = "\
A fake of all exchanges, over http, https, ws and wss on one port of loopback

Usage: fake_exchange [options]

Options:
  --port PORT           where to listen; 0 for any [default: 9000]
  --ca FILE             write the certificate of its authority there, for the server's --ca
  --seed N              of the prices [default: 1]
  --tick-every MS       how often streams have a price for each symbol [default: 100]
  --symbols LIST        what all exchanges trade: BTC/USDT,ETH/USDT [default: 73 symbols]
  --fillers N           more markets in lists of all, 2000 are half a megabyte [default: 0]
  --fault NAME          begin with this fault: delay, hang-before, 429, … (--fault help: all)
  --ms N                how long, for faults that take a time
  --faults SEED         strike at random: one request in four, one stream price in a hundred
  --patience SECONDS    how long what hangs hangs [default: 20]
  --dns PORT            be a name server too, that knows every name as 127.0.0.1
  --dns-fault NAME      and misbehaves: nxdomain, servfail, truncated, wrong-id, no-answer, …

Then:
  ./server --source binance --upstream http://127.0.0.1:9000
  curl -X POST 'http://127.0.0.1:9000/_control?fault=delay&ms=260&source=binance'
  curl -X POST 'http://127.0.0.1:9000/_control?fault=stream-silent&source=binance%2Bstream&times=50'
  curl -X POST 'http://127.0.0.1:9000/_control?clear'
  curl http://127.0.0.1:9000/_deliveries
  curl http://127.0.0.1:9000/_requests
";

fn main() -> ExitCode {
    match run(Arguments::from_env()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::from(2)
        }
    }
}

fn run(mut arguments: Arguments) -> Result<(), String> {
    if arguments.contains(["-h", "--help"]) {
        print!("{HELP}");
        return Ok(());
    }
    let _servers = start(arguments)?;
    loop {
        thread::park();
    }
}

/// The servers that run until they are dropped.
pub(crate) type Servers = (FakeExchange, Option<NameServer>);

/// Starts what the arguments ask for, and prints where it listens.
pub(crate) fn start(mut arguments: Arguments) -> Result<Servers, String> {
    let number = |arguments: &mut Arguments, name, default| {
        let given = arguments.opt_value_from_str(name);
        given.map(|given: Option<u64>| given.unwrap_or(default))
    };
    let text = |error: pico_args::Error| error.to_string();
    let port = arguments.opt_value_from_str("--port").map_err(text)?;
    let mut config = Config {
        port: port.unwrap_or(9000),
        seed: number(&mut arguments, "--seed", 1).map_err(text)?,
        tick_every: Duration::from_millis(
            number(&mut arguments, "--tick-every", 100).map_err(text)?,
        ),
        patience: Duration::from_secs(number(&mut arguments, "--patience", 20).map_err(text)?),
        random_faults: arguments.opt_value_from_str("--faults").map_err(text)?,
        ..Config::default()
    };
    let symbols: Option<String> = arguments.opt_value_from_str("--symbols").map_err(text)?;
    if let Some(symbols) = symbols {
        config.symbols = symbols.split(',').map(str::to_owned).collect();
    }
    let ca: Option<String> = arguments.opt_value_from_str("--ca").map_err(text)?;
    let fault: Option<String> = arguments.opt_value_from_str("--fault").map_err(text)?;
    let ms: Option<u64> = arguments.opt_value_from_str("--ms").map_err(text)?;
    let fault = fault.map(|name| Fault::parse(&name, ms.map(Duration::from_millis)));
    let fault = fault.transpose()?;
    let dns: Option<u16> = arguments.opt_value_from_str("--dns").map_err(text)?;
    let dns_fault: Option<NameFault> = arguments.opt_value_from_str("--dns-fault").map_err(text)?;
    let fillers: Option<usize> = arguments.opt_value_from_str("--fillers").map_err(text)?;
    config.fillers = fillers.unwrap_or(0);
    if let [unknown, ..] = arguments.finish().as_slice() {
        return Err(format!("unknown argument {}", unknown.to_string_lossy()));
    }

    let exchange =
        FakeExchange::start(config).map_err(|error| format!("cannot listen: {error}"))?;
    if let Some(file) = ca {
        fs::write(&file, exchange.pem()).map_err(|error| format!("{file}: {error}"))?;
    }
    exchange.set("", fault.unwrap_or(Fault::None));
    println!("--upstream {} or {}", exchange.http(), exchange.https());
    let names = dns.map(|port| names(port, dns_fault)).transpose()?;
    Ok((exchange, names))
}

fn names(port: u16, fault: Option<NameFault>) -> Result<NameServer, String> {
    let server = NameServer::knowing_all(port, Ipv4Addr::LOCALHOST.into());
    let server = server.map_err(|error| format!("cannot serve names: {error}"))?;
    server.set(fault.unwrap_or_default());
    println!("nameserver {}", server.address);
    Ok(server)
}
