//! Prepares a run before it opens connections: finds the server's address, the certificates to
//! trust, and the symbols to watch.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ioloop::Registrar;
use signal_hook_mio::v1_0::Signals;

use crate::client::config::Config;
use crate::client::config::url::Url;
use crate::client::run::question::ask;
use crate::client::run::symbol_list;
use crate::client::run::watchlists::Watchlists;
use crate::client::ws::tls::TlsConnector;
use crate::error_text::plain;
use crate::http_client::dns::Resolver;

/// The results of the preparation.
pub(crate) struct Prepared {
    /// The configuration, with a seed if one is needed.
    pub(crate) config: Config,
    /// The server's addresses.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The TLS settings, for a `wss://` URL.
    pub(crate) tls: Option<TlsConnector>,
    /// The symbols that each client draws from, if clients have their own lists.
    pub(crate) lists: Option<Watchlists>,
    /// When the limits of the run start to count.
    pub(crate) began: Instant,
}

/// Prepares a run with this configuration.
///
/// # Errors
/// A sentence: when the host is unknown, the certificates are unusable, the server does not list
/// its symbols, or a signal arrives.
pub(crate) fn prepare(config: &Config, mut signals: Option<&mut Signals>) -> io::Result<Prepared> {
    let mut config = config.clone();
    let mut began = Instant::now();
    let addresses = match config.addresses.as_slice() {
        [] => resolve(&config.url, signals.as_deref_mut())?,
        known => known.to_vec(),
    };
    let tls = tls_connector(&config)?;
    if let Some(watch) = &mut config.watch {
        watch.settle_seed();
    }
    let server = (&*addresses, tls.as_ref());
    let lists = symbol_list::watchlists(&config, server, signals)?;
    if lists.is_some() {
        // The request for symbols has its own limit.
        began = Instant::now();
    }
    Ok(Prepared {
        config,
        addresses,
        tls,
        lists,
        began,
    })
}

fn tls_connector(config: &Config) -> io::Result<Option<TlsConnector>> {
    if !config.url.is_secure() {
        return Ok(None);
    }
    let roots = config.access.roots().map_err(io::Error::other)?;
    TlsConnector::new(config.url.host(), &roots, config.access.insecure).map(Some)
}

/// Resolves the host of `url`; IPv4 addresses come first.
///
/// # Errors
/// A sentence that names the host: when it is unknown, when no name server answers within two
/// seconds, or at a signal.
pub(super) fn resolve(url: &Url, signals: Option<&mut Signals>) -> io::Result<Vec<SocketAddr>> {
    resolve_with(url, signals, Resolver::system)
}

fn resolve_with(
    url: &Url,
    signals: Option<&mut Signals>,
    resolver: fn(&Registrar) -> Resolver,
) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = url.host().parse::<IpAddr>() {
        return Ok(vec![(address, url.port()).into()]);
    }
    let began = Instant::now();
    let host = url.host().to_owned();
    let found = ask(signals, move |registrar| {
        resolver(registrar).lookup(&host, Instant::now() + LIMIT)
    })?;
    let mut addresses = match found {
        Some(Ok(addresses)) => addresses,
        failed => return Err(cannot(url.host(), failed.and_then(Result::err), began)),
    };
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    let addresses = addresses.into_iter();
    Ok(addresses
        .map(|address| (address, url.port()).into())
        .collect())
}

/// The error for a host without an address.
fn cannot(host: &str, error: Option<io::Error>, began: Instant) -> io::Error {
    let why = match &error {
        None => "interrupted by a signal".to_owned(),
        Some(error) if error.kind() == io::ErrorKind::TimedOut => {
            format!("no answer in {:.1} s", began.elapsed().as_secs_f64())
        }
        Some(error) if error.kind() == io::ErrorKind::NotFound => {
            "the name has no address".to_owned()
        }
        Some(error) => plain(error),
    };
    let kind = error.map_or(io::ErrorKind::Interrupted, |error| error.kind());
    io::Error::new(kind, format!("cannot resolve {host}: {why}"))
}

/// How long name servers may take: as long as joining may without shortening the window.
const LIMIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::dns::{Hosts, ResolvConf};
    use std::net::UdpSocket;
    use std::sync::Mutex;

    /// A name server that receives requests and never answers, for as long as the tests run.
    static SILENT: Mutex<Option<UdpSocket>> = Mutex::new(None);

    fn asking_a_silent_server(registrar: &Registrar) -> Resolver {
        let mut silent = SILENT.lock().unwrap();
        let server = silent.get_or_insert_with(|| UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut conf = ResolvConf::parse("");
        conf.servers = vec![server.local_addr().unwrap()];
        Resolver::new(registrar, conf, Hosts::default())
    }

    fn error_of(signals: Option<&mut Signals>) -> String {
        let url = Url::parse("ws://slow.test/").unwrap();
        let error = resolve_with(&url, signals, asking_a_silent_server).unwrap_err();
        error.to_string()
    }

    #[test]
    fn addresses_and_local_names_resolve_without_a_name_server() {
        for (text, address) in [
            ("ws://[::1]:8888/", "[::1]:8888"),
            ("ws://127.0.0.1/", "127.0.0.1:80"),
            ("ws://localhost:8888/", "127.0.0.1:8888"),
        ] {
            let url = Url::parse(text).unwrap();
            let addresses = resolve_with(&url, None, asking_a_silent_server).unwrap();
            assert_eq!(addresses[0], address.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn a_silent_name_server_times_out_after_two_seconds() {
        let began = Instant::now();
        let error = error_of(None);
        assert!(
            error.starts_with("cannot resolve slow.test: no answer in 2."),
            "{error}"
        );
        assert!(began.elapsed() < LIMIT * 2, "{:?}", began.elapsed());
    }

    #[test]
    fn a_signal_ends_the_resolving_and_reaches_the_next_loop() {
        // No other test raises this signal, and by default it is ignored.
        let mut signals = Signals::new([signal_hook::consts::SIGWINCH]).unwrap();
        for _ in 0..2 {
            let began = Instant::now();
            signal_hook::low_level::raise(signal_hook::consts::SIGWINCH).unwrap();
            let error = error_of(Some(&mut signals));
            assert_eq!(error, "cannot resolve slow.test: interrupted by a signal");
            assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
        }
    }
}
