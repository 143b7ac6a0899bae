//! Connections in fibers: to servers that break every rule, and to a real one.

mod cluster;
mod handshake;
mod hostile;
mod log;
mod waits;

use std::time::{Duration, Instant};

use ioloop::IoLoop;
use ioloop::fiber::{Emitter, Exit, STACK_SIZE};

use super::{
    Connection, Failure, Inbox, Message, NatsUrl, Received, ServerAddress, Settings, Traffic,
};
use crate::http_client::{HttpClient, NoProxy, Roots, TransportConfig};

/// Runs `body` in a fiber and returns its result.
fn in_fiber<T: 'static>(body: impl FnOnce(&HttpClient) -> T + 'static) -> T {
    in_fiber_with(Roots::default(), body)
}

/// Does the same with other root certificates.
fn in_fiber_with<T: 'static>(roots: Roots, body: impl FnOnce(&HttpClient) -> T + 'static) -> T {
    let mut io_loop = IoLoop::<Option<T>>::new().unwrap();
    io_loop.call_later(2 * LONG, |_, _| panic!("the loop hangs"));
    let config = TransportConfig {
        proxy: None,
        no_proxy: NoProxy::default(),
        timeout: LONG,
        roots,
    };
    let http_client = HttpClient::new(io_loop.registrar(), config, None).unwrap();
    let body = move |emitter: &Emitter<T>| Ok(emitter.emit(body(&http_client))?);
    let on_emit = |result: &mut Option<T>, _: &mut IoLoop<_>, value| *result = Some(value);
    let on_exit = |_: &mut Option<T>, io_loop: &mut IoLoop<_>, exit| {
        assert!(matches!(exit, Exit::Returned(Ok(()))), "{exit:?}");
        io_loop.stop();
    };
    io_loop.spawn(STACK_SIZE, body, on_emit, on_exit).unwrap();
    let mut result = None;
    io_loop.start(&mut result).unwrap();
    result.expect("the fiber has ended")
}

/// The settings for a URL.
fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        credentials: None,
        connect_timeout: LONG,
        client_name: "test".to_owned(),
        traffic: Traffic::default(),
    }
}

/// A connection to the first server of a URL.
fn open(http_client: &HttpClient, url: &str) -> Result<Connection, Failure> {
    let settings = settings(url);
    let deadline = Instant::now() + settings.connect_timeout;
    Connection::open(http_client, &settings, &settings.url.servers[0], deadline)
}

/// Why there is no connection to the first server of a URL.
fn refusal(url: &str) -> String {
    let url = url.to_owned();
    in_fiber(move |http_client| open(http_client, &url).err().map(|why| why.to_string()))
        .expect("a failure")
}

/// A connection with requests and their answers.
struct Client {
    connection: Connection,
    inbox: Inbox,
    requests: u64,
}

impl Client {
    fn open(http_client: &HttpClient, url: &str) -> Self {
        Self::new(open(http_client, url).unwrap())
    }

    fn new(mut connection: Connection) -> Self {
        let inbox = Inbox::new(&mut fastrand::Rng::new());
        connection.subscribe(&inbox.filter(), INBOX);
        Self {
            connection,
            inbox,
            requests: 0,
        }
    }

    fn request(&mut self, (subject, body): &(String, String)) -> Message {
        self.request_with(subject, &[], body.as_bytes())
    }

    /// The answer to a request.
    fn request_with(&mut self, subject: &str, headers: &[(&str, &str)], body: &[u8]) -> Message {
        let answer = self.answer(subject, headers, body, soon());
        answer.expect("an answer")
    }

    /// The answer to a request, if it comes in time; other messages that come meanwhile are dropped.
    fn answer(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        deadline: Instant,
    ) -> Option<Message> {
        self.requests += 1;
        let reply = self.inbox.subject(self.requests);
        self.connection
            .publish(subject, Some(&reply), headers, body);
        loop {
            let message = self.next(deadline)?;
            if self.inbox.request(&message.subject) == Some(self.requests) {
                return Some(message);
            }
        }
    }

    /// The next message.
    fn message(&mut self) -> Message {
        self.next(soon()).expect("a message")
    }

    /// The next message, if it comes in time.
    fn next(&mut self, deadline: Instant) -> Option<Message> {
        loop {
            match self.connection.receive(deadline).unwrap() {
                Received::Message(message) => return Some(message),
                Received::TimedOut => return None,
                Received::Leaving | Received::Pong => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The number of the subscription for answers.
const INBOX: u64 = 1;

fn soon() -> Instant {
    Instant::now() + LONG
}

/// No wait takes this long.
const LONG: Duration = Duration::from_secs(10);
