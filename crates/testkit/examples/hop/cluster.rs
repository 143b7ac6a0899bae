//! All processes of a run: the broker, origins, edges, and a single server to compare them with.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::fake_exchange::{Config, FakeExchange};

use crate::brokers::Brokers;
use crate::http;
use crate::kill::{Target, Way};
use crate::node::{Figures, Node};
use crate::options::Options;
use crate::wait_until;

/// The processes. They end when it is dropped.
pub(crate) struct Cluster {
    pub(crate) brokers: Brokers,
    pub(crate) origins: Vec<Node>,
    pub(crate) edges: Vec<Node>,
    pub(crate) single: Option<Node>,
    /// How long it took each edge, from its start to the first tick that a client got.
    pub(crate) first_ticks: Vec<Duration>,
    _exchange: Option<FakeExchange>,
}

/// One of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    Broker(usize),
    Origin(usize),
    Edge(usize),
}

impl Cluster {
    /// Starts all, and returns when clients may come. Recordings and logs go into `folder`.
    pub(crate) fn start(options: &Options, folder: &Path) -> Result<Self, String> {
        let brokers = Brokers::start(options.brokers)?;
        let exchange = options.stale_after.map(|_| {
            FakeExchange::start(Config {
                symbols: options.symbols.clone(),
                ..Config::default()
            })
        });
        let exchange = exchange.transpose().map_err(|error| error.to_string())?;
        let url = brokers.url();
        let prices = prices(options, exchange.as_ref());
        let node = |name: String, more: &[&str]| {
            let mut command = vec![options.program.display().to_string()];
            command.extend(more.iter().map(|&word| word.to_owned()));
            Node::start(name, command, folder)
        };
        let words: Vec<_> = prices.iter().map(String::as_str).collect();
        let publish = [&["--publish", &url], words.as_slice()].concat();
        let origins = (1..=options.origins)
            .map(|number| node(format!("origin-{number}"), &publish))
            .collect::<Result<Vec<_>, _>>()?;
        wait_until("an origin that leads", || origins.iter().any(leads))?;
        let mut cluster = Self {
            brokers,
            origins,
            edges: Vec::new(),
            single: None,
            first_ticks: Vec::new(),
            _exchange: exchange,
        };
        for number in 1..=options.edges {
            let edge = node(format!("edge-{number}"), &["--source", &url])?;
            cluster.first_ticks.push(edge.await_first_tick()?);
            cluster.edges.push(edge);
        }
        if options.compare {
            cluster.single = Some(node("single".to_owned(), &words)?);
        }
        for node in cluster.nodes_mut() {
            node.await_readiness()?;
            node.count_cpu_from_now();
        }
        Ok(cluster)
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.origins.iter().chain(&self.edges).chain(&self.single)
    }

    fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.origins
            .iter_mut()
            .chain(&mut self.edges)
            .chain(&mut self.single)
    }

    /// Where clients of the edges go.
    pub(crate) fn edge_addresses(&self) -> Vec<SocketAddr> {
        self.edges.iter().map(|edge| edge.address).collect()
    }

    /// What each server says of itself.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        self.nodes().filter_map(Node::figures).collect()
    }

    /// Which processes a kill is about, as things are.
    pub(crate) fn find(&self, target: Target) -> Result<Vec<Whom>, String> {
        let brokers = || (0..self.brokers.count()).filter(|&index| self.brokers.is_running(index));
        let origins = || (0..self.origins.len()).filter(|&index| self.origins[index].is_running());
        let one = |whom: Option<Whom>, what| whom.map(|whom| vec![whom]).ok_or(what);
        let found = match target {
            Target::Origin => {
                let leader = origins().find(|&index| leads(&self.origins[index]));
                one(leader.map(Whom::Origin), "no origin leads")
            }
            Target::Standby => {
                let follower = origins().find(|&index| !leads(&self.origins[index]));
                one(follower.map(Whom::Origin), "no origin follows")
            }
            Target::OriginAll => Ok(origins().map(Whom::Origin).collect()),
            Target::Edge => Ok(vec![Whom::Edge(0)]),
            Target::Broker => {
                let leader = self.brokers.leader();
                let mut free = self.brokers_without_edges().into_iter();
                let free = free.find(|index| Some(*index) != leader);
                one(free.map(Whom::Broker), "every server leads or has an edge")
            }
            Target::EdgeBroker => {
                let its = self.broker_of(&self.edges[0]).map(Whom::Broker);
                one(its, "the first edge has no connection")
            }
            Target::BrokerLeader => {
                let leader = self.brokers.leader().map(Whom::Broker);
                one(leader, "the stream has no leader")
            }
            Target::BrokerAll => Ok(brokers().map(Whom::Broker).collect()),
        };
        found.map_err(str::to_owned)
    }

    /// Sees to it that a kill, which comes soon, is about a server that does not lead the stream, if
    /// it is meant to be.
    pub(crate) fn prepare(&self, target: Target) -> Result<(), String> {
        if self.brokers.count() == 1 {
            return Ok(());
        }
        match target {
            Target::EdgeBroker => {
                let its = self.broker_of(&self.edges[0]);
                self.brokers.keep_from_leading(&Vec::from_iter(its))
            }
            Target::Broker => match self.brokers_without_edges().as_slice() {
                [only] => self.brokers.keep_from_leading(&[*only]),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The server of the broker that one of ours is at.
    fn broker_of(&self, node: &Node) -> Option<usize> {
        let page = node.metrics()?;
        let name = http::label(&page, "tickertape_broker_connected{server")?;
        self.brokers.named(name)
    }

    fn brokers_without_edges(&self) -> Vec<usize> {
        let taken: Vec<_> = self
            .edges
            .iter()
            .filter_map(|edge| self.broker_of(edge))
            .collect();
        let free = (0..self.brokers.count()).filter(|index| !taken.contains(index));
        free.filter(|&index| self.brokers.is_running(index))
            .collect()
    }

    /// What to call a process in a report.
    pub(crate) fn name(&self, whom: Whom) -> &str {
        match whom {
            Whom::Broker(index) => self.brokers.name(index),
            Whom::Origin(index) => &self.origins[index].name,
            Whom::Edge(index) => &self.edges[index].name,
        }
    }

    pub(crate) fn end(&mut self, whom: Whom, way: Way) -> Result<(), String> {
        let ended = match whom {
            Whom::Broker(index) => {
                self.brokers.end(index, way);
                Ok(())
            }
            Whom::Origin(index) => self.origins[index].end(way),
            Whom::Edge(index) => self.edges[index].end(way),
        };
        ended.map_err(|error| error.to_string())
    }

    pub(crate) fn bring_back(&mut self, whom: Whom, way: Way) -> Result<(), String> {
        match whom {
            Whom::Broker(index) => {
                self.brokers.bring_back(index, way);
                Ok(())
            }
            Whom::Origin(index) => self.origins[index].bring_back(),
            Whom::Edge(index) => self.edges[index].bring_back(),
        }
    }

    /// Asks all servers to end, waits for them, and returns their recordings; that of the single
    /// server is not among them.
    pub(crate) fn stop(&mut self) -> io::Result<Vec<PathBuf>> {
        for node in self.nodes_mut() {
            // A paused one would never hear it.
            let way = if node.is_running() {
                Way::Term
            } else {
                Way::Kill
            };
            node.end(way)?;
        }
        for node in self.nodes_mut() {
            node.await_end()?;
        }
        let nodes = self.origins.iter().chain(&self.edges);
        Ok(nodes.flat_map(|node| node.recordings.clone()).collect())
    }
}

/// Whether an origin leads.
fn leads(node: &Node) -> bool {
    let page = node.metrics();
    page.and_then(|page| http::value(&page, "tickertape_broker_leading")) == Some(1.0)
}

/// The options of a server that has prices of its own.
fn prices(options: &Options, exchange: Option<&FakeExchange>) -> Vec<String> {
    let micros = |time: Duration| format!("{}us", time.as_micros());
    let mut words = vec!["--symbols".to_owned(), options.symbols.join(",")];
    words.extend(["--interval".to_owned(), micros(options.interval)]);
    match exchange {
        Some(exchange) => {
            words.extend(["--source", "binance", "--upstream"].map(str::to_owned));
            words.push(exchange.http());
            let stale_after = options.stale_after.unwrap_or_default();
            words.extend(["--stale-after".to_owned(), micros(stale_after)]);
        }
        None => words.extend(["--source", "sim"].map(str::to_owned)),
    }
    if exchange.is_none() && !options.together {
        words.push("--spread".to_owned());
    }
    words
}
