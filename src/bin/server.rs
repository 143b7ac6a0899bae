//! The server: parses its options, binds, opens the feed and runs the loop.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ioloop::{IoLoop, PeriodicCallback};
use signal_hook::consts::SIGHUP;
use tickertape::cli::{Options, fail, say};
use tickertape::error_text::plain;
use tickertape::feed::{Feed, LiveOptions, Publish, Recorder, catalogue};
use tickertape::process;
use tickertape::server::cli::{Args, Command};
use tickertape::server::{Config, Member, Server, Tokens, listen};

fn main() -> ExitCode {
    match Command::parse(Options::from_env()) {
        Ok(Command::Print(text)) => say(text),
        Ok(Command::ListSources(options, name)) => match list(&options, name.as_deref()) {
            Ok(text) => say(&text),
            Err(error) => fail(&error, 1),
        },
        Ok(Command::Serve(args)) => match serve(*args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error, 1),
        },
        Err(error) => fail(&error, 2),
    }
}

/// The known exchanges, or all about one of them.
fn list(options: &LiveOptions, name: Option<&str>) -> Result<String, String> {
    let catalogue = catalogue(options)?;
    let Some(name) = name else {
        return Ok(format!(
            "{}\n{}",
            catalogue.table(),
            catalogue.fields_table()
        ));
    };
    let exchange = catalogue.get(name).map_err(|error| error.to_string())?;
    Ok(exchange.details())
}

fn serve(args: Args) -> Result<(), String> {
    tickertape::log::start(args.log);
    // Exchanges may take seconds to be asked for their symbols. A SIGHUP meanwhile has nothing to
    // reload, but must not end the process either.
    signal_hook::flag::register(SIGHUP, Arc::default())
        .map_err(|error| format!("cannot watch signals: {}", plain(&error)))?;
    if let Err(error) = process::raise_descriptor_limit() {
        let error = plain(&error);
        log::warn!("cannot raise the limit on open files: {error}");
    }
    let feed: Box<dyn Feed<Server>> = args
        .source
        .open(&args.feed)
        .map_err(|error| error.to_string())?;
    let cluster = args.cluster.map(|cluster| cluster.prepare(&args.feed));
    let cluster = cluster.transpose()?;
    let symbols_file = args.feed.symbols_file.filter(|_| feed.follows_symbols());
    let recorder = args.record.as_deref();
    let recorder = recorder.map(|path| record(path, cluster.is_some()));
    let recorder = recorder.transpose()?;
    let mut config = args.config;
    if let Some(path) = args.token_file {
        config.tokens = Some(Tokens::read(path)?);
    }
    let listen = |address| {
        listen(address, &config)
            .map_err(|error| format!("cannot listen on {address}: {}", plain(&error)))
    };
    let listeners = (listen(args.address)?, config.admin.map(listen).transpose()?);
    run(listeners, config, (feed, symbols_file), (recorder, cluster))
        .map_err(|error| error.to_string())
}

/// Opens a recording. What one of many servers prints at first, it may have printed before.
fn record(path: &Path, may_repeat: bool) -> Result<Recorder, String> {
    let open = if may_repeat {
        Recorder::resume
    } else {
        Recorder::create
    };
    open(path).map_err(|error| format!("cannot record to {}: {}", path.display(), plain(&error)))
}

fn run(
    (listener, admin): (TcpListener, Option<TcpListener>),
    config: Config,
    (feed, symbols_file): (Box<dyn Feed<Server>>, Option<PathBuf>),
    (recorder, cluster): (Option<Recorder>, Option<Member>),
) -> io::Result<()> {
    if let Some(tls) = &config.tls {
        log::info!("serving TLS with the certificate in {}", tls.cert.display());
    }
    let mut io_loop = IoLoop::new()?;
    // What one of many servers serves, the log says.
    let (mut symbols, mut sources_symbols) = (feed.symbols(), Vec::new());
    if cluster.is_some() {
        std::mem::swap(&mut symbols, &mut sources_symbols);
    }
    let mut server = Server::new(&mut io_loop, listener, config, symbols)?;
    if let Some(member) = cluster {
        server.join(&mut io_loop, member)?;
        server.list(&mut io_loop, &sources_symbols);
    }
    if let Some(admin) = admin {
        log::info!("serving /metrics on {}", admin.local_addr()?);
        server.serve_admin(&mut io_loop, admin)?;
    }
    if let Some(file) = symbols_file {
        server.follow_symbols(file);
    }
    server.stop_on_signals(&mut io_loop)?;
    server.watch(&mut io_loop, feed.watched());
    if let Some(recorder) = recorder {
        server.record(&mut io_loop, recorder);
    }
    log::info!("{}", feed.describe());
    if let Some(address) = server.address() {
        log::info!("listening on {address}");
    }
    PeriodicCallback::start(&mut io_loop, tickertape::log::CATCH_UP_INTERVAL, |_, _| {
        tickertape::log::catch_up();
    });
    feed.start(&mut io_loop);
    io_loop.start(&mut server)?;
    server.flush_recorder();
    tickertape::log::catch_up();
    match server.failure() {
        Some(why) => Err(io::Error::other(why)),
        None => Ok(()),
    }
}
