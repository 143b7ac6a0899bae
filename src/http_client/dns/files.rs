//! The system's files about names as they are now: a laptop that changes networks, or a machine
//! that had none when the program began, gets another `resolv.conf`, and nobody restarts a program
//! for that.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::system::{Hosts, ResolvConf};

/// What the two files say, and how they were when they were read.
#[derive(Clone, Debug)]
pub(super) struct Files {
    conf: File,
    hosts: File,
    looked: Instant,
}

/// What has changed since the files were read last.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) conf: Option<ResolvConf>,
    pub(super) hosts: Option<Hosts>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    /// None while there is no such file.
    stamp: Option<Stamp>,
}

/// Tells one state of a file from another: by its time, its length and, as it is often replaced by
/// a new one or is a link to one that is, by its number.
type Stamp = (SystemTime, u64, u64);

impl Files {
    /// Reads both. Blocks, but no longer than a local file takes.
    pub(super) fn read(conf: PathBuf, hosts: PathBuf, now: Instant) -> (Self, ResolvConf, Hosts) {
        let mut files = Self {
            conf: File::new(conf),
            hosts: File::new(hosts),
            looked: now,
        };
        let (conf, hosts) = (files.conf.text(), files.hosts.text());
        (files, ResolvConf::parse(&conf), Hosts::parse(&hosts))
    }

    /// Looks whether the files are others than they were, now and then: every request asks. A look
    /// is two calls of the system that no disk is needed for.
    pub(super) fn news(&mut self, now: Instant) -> News {
        if now.saturating_duration_since(self.looked) < LOOK_EVERY {
            return News::default();
        }
        self.looked = now;
        let (conf, hosts) = (self.conf.news(), self.hosts.news());
        News {
            conf: conf.map(|text| ResolvConf::parse(&text)),
            hosts: hosts.map(|text| Hosts::parse(&text)),
        }
    }
}

impl File {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None }
    }

    fn stamp_now(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), number(&metadata)))
    }

    /// What it says. A missing or unreadable file says nothing; one that is not UTF-8 says what can
    /// be read of it.
    fn text(&mut self) -> String {
        // The stamp comes first: what changes in between is seen at the next look.
        self.stamp = self.stamp_now();
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn news(&mut self) -> Option<String> {
        (self.stamp_now() != self.stamp).then(|| self.text())
    }
}

#[cfg(unix)]
fn number(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> u64 {
    0
}

/// Between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn files_that_change_appear_or_go_are_read_again() {
        let folder = testkit::TempDir::new().unwrap();
        let (conf, hosts) = ["resolv.conf", "hosts"]
            .map(|name| folder.path().join(name))
            .into();
        fs::write(&hosts, "192.0.2.1 api.test\n").unwrap();
        let start = Instant::now();
        let (mut files, first, _) = Files::read(conf.clone(), hosts.clone(), start);
        assert_eq!(first, ResolvConf::parse(""));

        fs::write(&conf, "nameserver 192.0.2.53\n").unwrap();
        fs::write(&hosts, "192.0.2.22 api.test\n").unwrap();
        let early = files.news(start + LOOK_EVERY / 2);
        assert!(early.conf.is_none() && early.hosts.is_none());
        let news = files.news(start + LOOK_EVERY);
        let servers = news.conf.unwrap().servers;
        assert_eq!(servers, ["192.0.2.53:53".parse().unwrap()]);
        let address = IpAddr::from([192, 0, 2, 22]);
        assert_eq!(
            news.hosts.unwrap().addresses("api.test"),
            Some(&[address][..])
        );

        fs::remove_file(&hosts).unwrap();
        let news = files.news(start + 2 * LOOK_EVERY);
        assert!(news.conf.is_none());
        assert_eq!(news.hosts, Some(Hosts::default()));
        let none = files.news(start + 3 * LOOK_EVERY);
        assert!(none.conf.is_none() && none.hosts.is_none());
    }
}
