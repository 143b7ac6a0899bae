//! Resolves host names without blocking: a stub resolver for fibers.
//!
//! `getaddrinfo` blocks, and `ureq` would start a thread for it. This resolver supports what a
//! server needs: literal addresses, the hosts file, and the name servers in `resolv.conf`. It asks
//! for IPv4 and IPv6 at once, by UDP, and by TCP if an answer is too long for that. It caches
//! answers, and uses an old one when no server gives a new one. It does not support mDNS or
//! `nsswitch.conf`.

mod cache;
mod files;
mod message;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod system;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ioloop::net::{FiberDatagram, FiberStream};
use ioloop::{Registrar, fiber};
use simple_dns::{RCODE, TYPE};

use self::cache::{Cache, Found};
use self::files::Files;
use self::message::{Question, Reply};
pub use self::system::{Hosts, ResolvConf};
use crate::error_text::plain;

/// A resolver. Clones share a cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registrar: Registrar,
    /// Neither this nor the cache may be locked across a wait: another fiber that locks it would
    /// block the whole thread.
    system: Mutex<System>,
    cache: Mutex<Cache>,
}

/// The system's configuration.
#[derive(Debug)]
struct System {
    /// Shared with lookups under way.
    conf: Arc<ResolvConf>,
    hosts: Hosts,
    /// `None` for a configuration that does not come from the system's files.
    files: Option<Files>,
}

/// The addresses of a name, and how long they are valid.
struct Answer {
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

impl Resolver {
    /// A resolver with the system's configuration, which it reloads when it changes. Reads files,
    /// so create it before the loop starts.
    pub fn system(registrar: &Registrar) -> Self {
        let (conf, hosts) = (RESOLV_CONF.into(), HOSTS.into());
        let (files, conf, hosts) = Files::read(conf, hosts, Instant::now());
        Self::with(registrar, conf, hosts, Some(files))
    }

    /// A resolver with the given configuration.
    pub fn new(registrar: &Registrar, conf: ResolvConf, hosts: Hosts) -> Self {
        Self::with(registrar, conf, hosts, None)
    }

    fn with(registrar: &Registrar, conf: ResolvConf, hosts: Hosts, files: Option<Files>) -> Self {
        let conf = Arc::new(conf);
        let inner = Inner {
            registrar: registrar.clone(),
            system: Mutex::new(System { conf, hosts, files }),
            cache: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The addresses of `host`, in the order to try them. May suspend the running fiber.
    ///
    /// # Errors
    /// `NotFound` when the name does not exist or has no address; `TimedOut` at the deadline or
    /// when no server answers; otherwise the error of the last server.
    pub fn lookup(&self, host: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        let host = host.to_ascii_lowercase();
        self.reload_changed_files(Instant::now());
        if let Some(addresses) = self.local(&host) {
            return Ok(addresses);
        }
        let found = self.cache().find(&host, Instant::now());
        match found {
            Some(Found::Fresh(addresses)) => Ok(addresses),
            Some(Found::Stale(addresses)) => {
                let soon = Instant::now() + REFRESH_LIMIT;
                match self.refresh(&host, deadline.min(soon)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        // Warn once, however long the outage lasts.
                        if self.cache().postpone(&host, Instant::now()) {
                            log::warn!("using an old address of {host}: {}", plain(&error));
                        }
                        Ok(addresses)
                    }
                    refreshed => refreshed,
                }
            }
            None => self.refresh(&host, deadline),
        }
    }

    /// Resolves without a server: a literal address, a name in the hosts file, or `localhost`
    /// (RFC 6761, section 6.3).
    fn local(&self, host: &str) -> Option<Vec<IpAddr>> {
        // A URL has an IPv6 address in brackets.
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse() {
            return Some(vec![address]);
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Some(addresses) = self.state().hosts.addresses(host) {
            return Some(addresses.to_vec());
        }
        let is_local = host == "localhost" || host.ends_with(".localhost");
        is_local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    /// Asks servers for `host` and caches the answer.
    fn refresh(&self, host: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        if host
            .strip_suffix('.')
            .unwrap_or(host)
            .split('.')
            .any(str::is_empty)
        {
            return Err(not_found(host));
        }
        let conf = Arc::clone(&self.state().conf);
        let mut unsure = None;
        for name in conf.candidates(host) {
            match self.ask_servers(&conf, &name, deadline) {
                Ok(answer) => {
                    let now = Instant::now();
                    let addresses = answer.addresses.clone();
                    self.cache().insert(host, addresses, answer.ttl, now);
                    return Ok(answer.addresses);
                }
                // The next domain of the search list may have it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // Servers that do not answer for this name will not for the next one. A refusal,
                // however, may concern this name only: not every server knows all search domains.
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error),
                Err(error) => unsure = unsure.or(Some(error)),
            }
        }
        if let Some(error) = unsure {
            return Err(error);
        }
        self.cache().remove(host);
        Err(not_found(host))
    }

    /// Loads the system's files again if they have changed.
    fn reload_changed_files(&self, now: Instant) {
        let mut system = self.state();
        let Some(files) = &mut system.files else {
            return;
        };
        let changes = files.changes(now);
        if let Some(hosts) = changes.hosts {
            system.hosts = hosts;
        }
        if let Some(conf) = changes.conf {
            log::info!("the configuration of name servers has changed");
            system.conf = Arc::new(conf);
            drop(system);
            // The new servers may give other addresses; until they do, the old ones are usable.
            self.cache().expire_all(now);
        }
    }

    /// Asks one server after the other until one answers.
    fn ask_servers(&self, conf: &ResolvConf, name: &str, deadline: Instant) -> io::Result<Answer> {
        let mut last = io::Error::from(ErrorKind::TimedOut);
        let count = conf.servers.len();
        for (tried, server) in conf
            .servers
            .iter()
            .cycle()
            .take(count * conf.attempts)
            .enumerate()
        {
            let now = Instant::now();
            if now >= deadline || fiber::is_cancelled() {
                break;
            }
            // A dead server must not use up the time of those that have not been asked yet.
            let others = u32::try_from(count - tried % count).unwrap_or(u32::MAX);
            let share = (deadline - now) / others;
            match self.ask(*server, name, now + conf.timeout.min(share)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    log::debug!("name server {server} on {name}: {error}");
                    last = error;
                }
                answered => return answered,
            }
        }
        Err(last)
    }

    /// Asks one server for IPv4 and IPv6 addresses, from a new port.
    fn ask(&self, server: SocketAddr, name: &str, mut deadline: Instant) -> io::Result<Answer> {
        let mut socket = FiberDatagram::connect(&self.inner.registrar, server)?;
        let mut questions = vec![
            Question::new(name, TYPE::A),
            Question::new(name, TYPE::AAAA),
        ];
        for question in &questions {
            socket.send(&question.message()?)?;
        }
        let mut answer = Answer::none();
        let mut failure = not_found(name);
        while !questions.is_empty() {
            let (question, mut reply) = match receive(&mut socket, &mut questions, deadline) {
                // Addresses of one kind are enough to connect.
                Err(_) if !answer.addresses.is_empty() => break,
                received => received?,
            };
            if reply == Reply::Truncated {
                match self.ask_by_tcp(server, &question, deadline) {
                    Ok(full) => reply = full,
                    Err(error) => failure = error,
                }
            }
            match reply {
                Reply::Addresses(addresses, ttl) => answer.add(addresses, ttl),
                Reply::NoName => {
                    failure = not_found(name);
                    break;
                }
                Reply::NoAddress | Reply::Truncated => {}
                Reply::Failed(code) => failure = refused(code),
            }
            if !answer.addresses.is_empty() {
                deadline = deadline.min(Instant::now() + OTHER_KIND_LIMIT);
            }
        }
        answer.in_order().ok_or(failure)
    }

    /// Asks again by TCP, where answers may be longer (RFC 7766).
    fn ask_by_tcp(
        &self,
        server: SocketAddr,
        question: &Question,
        deadline: Instant,
    ) -> io::Result<Reply> {
        let deadline = Some(deadline);
        let mut stream = FiberStream::connect(&self.inner.registrar, server, deadline)?;
        stream.set_deadline(deadline);
        let message = question.message()?;
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), message.as_slice()].concat())?;

        let mut length = [0; 2];
        stream.read_exact(&mut length).map_err(hung_up)?;
        let length = u16::from_be_bytes(length).min(TCP_MESSAGE_MAX);
        let mut message = vec![0; length.into()];
        stream.read_exact(&mut message).map_err(hung_up)?;
        match question.reply(&message) {
            Some(reply) if reply != Reply::Truncated => Ok(reply),
            _ => {
                let error = "the name server's answer by TCP is invalid";
                Err(io::Error::new(ErrorKind::InvalidData, error))
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // A fiber that panicked while it held the lock had not begun to change the cache.
        let cache = self.inner.cache.lock();
        cache.unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, System> {
        let system = self.inner.system.lock();
        system.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn none() -> Self {
        Self {
            addresses: Vec::new(),
            ttl: Duration::MAX,
        }
    }

    fn add(&mut self, addresses: Vec<IpAddr>, ttl: Duration) {
        self.addresses.extend(addresses);
        self.ttl = self.ttl.min(ttl);
    }

    /// Puts IPv4 first. Addresses are tried one after the other. A missing IPv4 route is noticed at
    /// once, but the more common fault, IPv6 that is configured and leads nowhere, costs seconds.
    fn in_order(mut self) -> Option<Self> {
        self.addresses.sort_by_key(IpAddr::is_ipv6);
        (!self.addresses.is_empty()).then_some(self)
    }
}

/// Waits for a reply to one of `questions`, and removes that question.
fn receive(
    socket: &mut FiberDatagram,
    questions: &mut Vec<Question>,
    deadline: Instant,
) -> io::Result<(Question, Reply)> {
    let mut buffer = [0; DATAGRAM_MAX];
    loop {
        let length = socket.receive(&mut buffer, deadline)?;
        for index in 0..questions.len() {
            if let Some(reply) = questions[index].reply(&buffer[..length]) {
                return Ok((questions.swap_remove(index), reply));
            }
        }
    }
}

/// Names the server in the error about a stream that ended too early.
fn hung_up(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::other("the name server closed the connection"),
        _ => error,
    }
}

/// The error that a name server returned instead of an answer (RFC 1035, section 4.1.1).
fn refused(code: RCODE) -> io::Error {
    io::Error::other(match code {
        RCODE::ServerFailure => "the name server failed (SERVFAIL)".to_owned(),
        RCODE::Refused => "the name server refused (REFUSED)".to_owned(),
        code => format!("the name server answered {code:?}"),
    })
}

fn not_found(host: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("no address of {host}"))
}

/// Where the system keeps its configuration.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// How long a request waits for new addresses while it has old ones (RFC 8767, section 5).
const REFRESH_LIMIT: Duration = Duration::from_millis(1800);

/// How long one kind of addresses waits for the other kind (RFC 8305, section 3).
const OTHER_KIND_LIMIT: Duration = Duration::from_millis(50);

/// Servers should send no more than 512 bytes unless asked to, but some send more.
const DATAGRAM_MAX: usize = 4096;

/// Room for more than a thousand addresses. A longer message is cut off, which makes it invalid.
const TCP_MESSAGE_MAX: u16 = 16 * 1024;

#[cfg(test)]
mod tests {
    use ioloop::IoLoop;
    use ioloop::fiber::STACK_SIZE;

    use super::*;

    #[test]
    fn an_old_address_is_used_while_no_server_answers() {
        let mut io_loop = IoLoop::<()>::new().unwrap();
        // The socket is closed at once, so this server never answers.
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = server.local_addr().unwrap();
        let mut conf = ResolvConf::parse("");
        conf.servers = vec![server];
        let resolver = Resolver::new(io_loop.registrar(), conf, Hosts::default());
        let old = vec![IpAddr::from([192, 0, 2, 1])];
        let learned = Instant::now() - cache::TTL_MIN;
        let mut cache = resolver.cache();
        cache.insert("api.test", old.clone(), Duration::ZERO, learned);
        drop(cache);
        let body = move |_: &fiber::Emitter<()>| {
            let deadline = Instant::now() + Duration::from_secs(2);
            assert_eq!(resolver.lookup("api.test", deadline)?, old);
            // The next refresh is not attempted at once.
            let found = resolver.cache().find("api.test", Instant::now());
            assert_eq!(found, Some(Found::Fresh(old)));
            assert!(resolver.lookup("other.test", deadline).is_err());
            Ok(())
        };
        let on_exit = |(): &mut _, io_loop: &mut IoLoop<()>, exit| {
            assert!(matches!(exit, fiber::Exit::Returned(Ok(()))), "{exit:?}");
            io_loop.stop();
        };
        let spawned = io_loop.spawn(STACK_SIZE, body, |(), _, ()| {}, on_exit);
        spawned.unwrap();
        io_loop.start(&mut ()).unwrap();
    }
}
