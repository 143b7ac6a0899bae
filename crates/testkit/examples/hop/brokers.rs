//! The broker: one `nats-server`, or three that keep copies of the stream.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use testkit::{NatsCluster, NatsServer};

use crate::kill::Way;
use crate::wait_until;

/// All servers of the broker.
pub(crate) struct Brokers {
    servers: Vec<NatsServer>,
    /// Which of them are neither ended nor paused.
    running: Vec<bool>,
}

impl Brokers {
    /// Starts so many servers.
    pub(crate) fn start(count: usize) -> Result<Self, String> {
        let servers = match count {
            1 => NatsServer::start("").map(|server| vec![server]),
            _ => NatsCluster::start("").map(|cluster| cluster.servers),
        };
        let servers = servers.ok_or("there is no nats-server, see scripts/cluster.sh --help")?;
        let running = vec![true; servers.len()];
        Ok(Self { servers, running })
    }

    /// How many servers there are.
    pub(crate) fn count(&self) -> usize {
        self.servers.len()
    }

    /// The URL of the log.
    pub(crate) fn url(&self) -> String {
        let addresses = self.servers.iter().map(|server| server.address.as_str());
        let addresses: Vec<_> = addresses.collect();
        format!("nats://{}/{NAME}", addresses.join(","))
    }

    pub(crate) fn name(&self, index: usize) -> &str {
        &self.servers[index].name
    }

    /// The server with this name or address.
    pub(crate) fn named(&self, name: &str) -> Option<usize> {
        let mut servers = self.servers.iter();
        servers.position(|server| server.name == name || server.address == name)
    }

    pub(crate) fn is_running(&self, index: usize) -> bool {
        self.running[index]
    }

    /// The version of the program.
    pub(crate) fn version(&self) -> Result<String, String> {
        let info = Self::info(&self.servers[0].address).map_err(|error| error.to_string())?;
        Ok(info["version"].as_str().unwrap_or("?").to_owned())
    }

    /// The server that leads the stream, if there is one.
    pub(crate) fn leader(&self) -> Option<usize> {
        if self.count() == 1 {
            return Some(0);
        }
        let info = self.ask(&format!("$JS.API.STREAM.INFO.{NAME}"))?;
        self.named(info["cluster"]["leader"].as_str()?)
    }

    /// Makes another server lead the stream, until none of `others` does.
    pub(crate) fn keep_from_leading(&self, others: &[usize]) -> Result<(), String> {
        for _ in 0..ATTEMPTS {
            let leader = self.leader();
            if leader.is_some_and(|leader| !others.contains(&leader)) {
                return Ok(());
            }
            self.ask(&format!("$JS.API.STREAM.LEADER.STEPDOWN.{NAME}"));
            let is_another = || self.leader().is_some_and(|now| Some(now) != leader);
            wait_until("another leader of the stream", is_another)?;
        }
        Err("the stream cannot be moved to another server".to_owned())
    }

    /// Ends or pauses a server.
    pub(crate) fn end(&mut self, index: usize, way: Way) {
        self.running[index] = false;
        let server = &mut self.servers[index];
        match way {
            Way::Kill => server.kill(),
            Way::Term => server.stop(),
            Way::Pause => server.signal(Signal::STOP),
        }
    }

    /// Undoes that; the server then listens again.
    pub(crate) fn bring_back(&mut self, index: usize, way: Way) {
        let server = &mut self.servers[index];
        match way {
            Way::Kill | Way::Term => server.restart(),
            Way::Pause => server.signal(Signal::CONT),
        }
        self.running[index] = true;
    }

    /// The answer of JetStream to a request, if it answers.
    fn ask(&self, subject: &str) -> Option<Value> {
        let mut running = (0..self.count()).filter(|&index| self.running[index]);
        running.find_map(|index| request(&self.servers[index].address, subject).ok())
    }

    /// What a server says of itself.
    fn info(address: &str) -> io::Result<Value> {
        let mut line = String::new();
        BufReader::new(connect(address)?).read_line(&mut line)?;
        json(line.strip_prefix("INFO ").unwrap_or_default().as_bytes())
    }
}

/// Sends a request without a body to a server, and waits for the answer.
fn request(address: &str, subject: &str) -> io::Result<Value> {
    let mut stream = BufReader::new(connect(address)?);
    let words =
        format!("CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer 0\r\n\r\n");
    stream.get_mut().write_all(words.as_bytes())?;
    let until = Instant::now() + ANSWER_MAX;
    while Instant::now() < until {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            break;
        }
        if let Some(words) = line.strip_prefix("MSG ") {
            let length = words.trim_end().rsplit(' ').next();
            let length = length.and_then(|length| length.parse().ok());
            let mut body = Vec::new();
            stream.take(length.unwrap_or(0)).read_to_end(&mut body)?;
            return json(&body);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(stream)
}

fn json(bytes: &[u8]) -> io::Result<Value> {
    Ok(serde_json::from_slice(bytes)?)
}

/// The name of the log.
const NAME: &str = "tape";

const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How often the stream is moved, at most.
const ATTEMPTS: usize = 10;
