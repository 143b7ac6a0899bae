//! Follows changes of the system's files about names. A laptop that changes networks, or a machine
//! that had no network when the program started, gets another `resolv.conf`, and that must not
//! require a restart.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::system::{Hosts, ResolvConf};

/// The two files, with their state when they were last read.
#[derive(Clone, Debug)]
pub(super) struct Files {
    conf: File,
    hosts: File,
    checked: Instant,
}

/// The new contents of the files that have changed since they were last read.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) conf: Option<ResolvConf>,
    pub(super) hosts: Option<Hosts>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    /// `None` while the file does not exist.
    stamp: Option<Stamp>,
}

/// Identifies a state of a file: its time of change, its length and its inode. The latter shows
/// that a new file, or a link to one, has replaced it, as is common.
type Stamp = (SystemTime, u64, u64);

impl Files {
    /// Reads both files. Blocks, but only for as long as reading local files takes.
    pub(super) fn read(conf: PathBuf, hosts: PathBuf, now: Instant) -> (Self, ResolvConf, Hosts) {
        let mut files = Self {
            conf: File::new(conf),
            hosts: File::new(hosts),
            checked: now,
        };
        let (conf, hosts) = (files.conf.text(), files.hosts.text());
        (files, ResolvConf::parse(&conf), Hosts::parse(&hosts))
    }

    /// Checks whether the files have changed. Every request calls this, but it checks at most once
    /// per [`CHECK_EVERY`], with two system calls that need no disk.
    pub(super) fn changes(&mut self, now: Instant) -> Changes {
        if now.saturating_duration_since(self.checked) < CHECK_EVERY {
            return Changes::default();
        }
        self.checked = now;
        let (conf, hosts) = (self.conf.text_if_changed(), self.hosts.text_if_changed());
        Changes {
            conf: conf.map(|text| ResolvConf::parse(&text)),
            hosts: hosts.map(|text| Hosts::parse(&text)),
        }
    }
}

impl File {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None }
    }

    fn current_stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), inode(&metadata)))
    }

    /// The file's text: empty if it is missing or unreadable, and with replacement characters if it
    /// is not UTF-8.
    fn text(&mut self) -> String {
        // Take the stamp first, so a change in between is noticed at the next check.
        self.stamp = self.current_stamp();
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn text_if_changed(&mut self) -> Option<String> {
        (self.current_stamp() != self.stamp).then(|| self.text())
    }
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// The time between two checks of the files.
const CHECK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn a_file_that_changes_appears_or_disappears_is_read_again() {
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
        let early = files.changes(start + CHECK_EVERY / 2);
        assert!(early.conf.is_none() && early.hosts.is_none());
        let changes = files.changes(start + CHECK_EVERY);
        let servers = changes.conf.unwrap().servers;
        assert_eq!(servers, ["192.0.2.53:53".parse().unwrap()]);
        let address = IpAddr::from([192, 0, 2, 22]);
        assert_eq!(
            changes.hosts.unwrap().addresses("api.test"),
            Some(&[address][..])
        );

        fs::remove_file(&hosts).unwrap();
        let changes = files.changes(start + 2 * CHECK_EVERY);
        assert!(changes.conf.is_none());
        assert_eq!(changes.hosts, Some(Hosts::default()));
        let none = files.changes(start + 3 * CHECK_EVERY);
        assert!(none.conf.is_none() && none.hosts.is_none());
    }
}
