//! The files of a run: refused before it begins if they cannot be written, filled when it has ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::options::Config;
use super::plot::{self, Run};
use super::report::Report;
use super::{csv, hdr_log};
use crate::net::plain;
use crate::options::{BadOption, print};

/// What a run is to leave behind beside its report.
#[derive(Debug)]
pub struct Outputs {
    csv: Option<Output>,
    hdr: Option<Output>,
    plot: Option<Output>,
    compare: Vec<Run>,
    csv_to_stdout: bool,
}

impl Outputs {
    /// Opens the files that `config` names, and reads those that it compares with. What is in a
    /// file stays there until the run has ended.
    ///
    /// # Errors
    /// A sentence about the first that cannot be opened or read.
    pub fn open(config: &Config) -> Result<Self, BadOption> {
        let csv_to_stdout = config.csv_to_stdout();
        let csv = config.csv.as_ref().filter(|_| !csv_to_stdout);
        let compare = config.compare.iter().map(|path| read(path));
        Ok(Self {
            compare: compare.collect::<Result<_, _>>()?,
            csv: Output::open("--csv", csv)?,
            hdr: Output::open("--hdr", config.hdr.as_ref())?,
            plot: Output::open("--plot", config.plot.as_ref())?,
            csv_to_stdout,
        })
    }

    /// Writes them all, whatever became of the one before; none of a run without a connection.
    ///
    /// # Errors
    /// A sentence about the first that could not be written.
    pub fn write(self, report: &Report) -> Result<(), String> {
        if report.clients.connected == 0 {
            // It has nothing to say, and what an earlier run has said may still be needed.
            return Ok(());
        }
        let csv = self.csv.map(|file| file.fill(Ok(csv::of(report))));
        let hdr = self.hdr.map(|file| file.fill(hdr_log::of(report)));
        let plot = self.plot.map(|file| {
            let mut runs = vec![Run::of(report)];
            runs.extend(self.compare);
            file.fill(plot::draw(&runs))
        });
        // Last, because its reader may take its time.
        let stdout = self.csv_to_stdout.then(|| {
            let printed = print(&csv::of(report));
            printed.map_err(|error| format!("cannot write the CSV: {error}"))
        });
        [csv, hdr, plot, stdout].into_iter().flatten().collect()
    }
}

fn read(path: &Path) -> Result<Run, BadOption> {
    let name = path.display();
    let text = fs::read(path).map_err(|error| {
        BadOption::new(
            "--compare",
            format!("cannot read {name}: {}", plain(&error)),
        )
    })?;
    let label = path.file_stem().unwrap_or(path.as_os_str());
    Run::parse(&label.to_string_lossy(), &text).map_err(|error| {
        let error = format!("{name} is no report that --json has printed: {error}");
        BadOption::new("--compare", error)
    })
}

/// A file that is open and will be filled.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    /// Whether it is there because of this run, and still empty.
    is_new: bool,
}

impl Output {
    fn open(option: &str, path: Option<&PathBuf>) -> Result<Option<Self>, BadOption> {
        let Some(path) = path else { return Ok(None) };
        let refused = |error: io::Error| {
            let name = path.display();
            BadOption::new(option, format!("cannot write {name}: {}", plain(&error)))
        };
        let mut options = OpenOptions::new();
        // Not truncated: what is there is only replaced by something.
        options.write(true);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path).map_err(refused)?, false)
            }
            opened => (opened.map_err(refused)?, true),
        };
        let path = path.clone();
        Ok(Some(Self { file, path, is_new }))
    }

    fn fill(mut self, content: Result<String, String>) -> Result<(), String> {
        let name = self.path.display().to_string();
        let content = content.map_err(|error| format!("cannot write {name}: {error}"))?;
        self.replace(content.as_bytes())
            .map_err(|error| format!("cannot write {name}: {}", plain(&error)))?;
        self.is_new = false;
        Ok(())
    }

    /// A file is replaced as a whole or not at all; a pipe or a device gets what there is.
    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        if !self.file.metadata()?.is_file() {
            return self.file.write_all(content);
        }
        // What a link names is replaced, and not the link.
        let path = fs::canonicalize(&self.path)?;
        let beside = beside(&path);
        let written = fs::write(&beside, content);
        if written.as_ref().is_err_and(is_forbidden) {
            // Nothing may be put into the folder, but the file is ours to write.
            self.file.set_len(0)?;
            return self.file.write_all(content);
        }
        let replaced = written
            .and_then(|()| fs::set_permissions(&beside, self.file.metadata()?.permissions()))
            .and_then(|()| fs::rename(&beside, &path));
        if replaced.is_err() {
            // It has not even been made, or is of no use; which of both does not matter.
            let _ = fs::remove_file(&beside);
        }
        replaced
    }
}

impl Drop for Output {
    /// A run that came to nothing leaves no empty file.
    fn drop(&mut self) {
        if self.is_new {
            // It was made a moment ago; if it cannot be removed now, it is empty and does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The name of the file that is to take the place of `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::report::tests::sample;
    use crate::client::url::Url;

    /// A folder of its own for each test, gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = format!("tickertape-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(folder);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// How many files are in it.
        fn entries(&self) -> usize {
            fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn config() -> Config {
        Config::new(Url::parse("ws://127.0.0.1:1/").unwrap())
    }

    #[test]
    fn files_are_filled_at_the_end_and_what_was_there_is_replaced() {
        let folder = Folder::new("filled");
        let old = "longer than what will replace it".repeat(1000);
        let mut config = config();
        config.csv = Some(folder.0.join("run.csv"));
        config.hdr = Some(folder.0.join("run.hlog"));
        config.plot = Some(folder.0.join("run.svg"));
        config.compare = vec![folder.0.join("before.json")];
        let csv = config.csv.clone().unwrap();
        fs::write(&csv, &old).unwrap();
        fs::write(&config.compare[0], sample().to_json() + "\n").unwrap();
        let outputs = Outputs::open(&config).unwrap();
        assert_eq!(fs::read_to_string(&csv).unwrap(), old);
        outputs.write(&sample()).unwrap();
        assert_eq!(fs::read_to_string(&csv).unwrap(), csv::of(&sample()));
        let hdr = fs::read_to_string(config.hdr.unwrap()).unwrap();
        assert!(hdr.starts_with("#[Logged with tickertape "), "{hdr}");
        let svg = fs::read_to_string(config.plot.unwrap()).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains("before"), "{svg}");
    }

    #[test]
    fn a_run_that_came_to_nothing_leaves_all_as_it_was() {
        let folder = Folder::new("nothing");
        let mut config = config();
        config.csv = Some(folder.0.join("new.csv"));
        config.hdr = Some(folder.0.join("old.hlog"));
        fs::write(folder.0.join("old.hlog"), "old").unwrap();
        drop(Outputs::open(&config).unwrap());
        assert!(!folder.0.join("new.csv").exists());
        assert_eq!(
            fs::read_to_string(folder.0.join("old.hlog")).unwrap(),
            "old"
        );
    }

    #[test]
    fn a_run_without_a_connection_leaves_all_as_it_was() {
        let folder = Folder::new("unconnected");
        let mut config = config();
        config.csv = Some(folder.0.join("old.csv"));
        config.plot = Some(folder.0.join("new.svg"));
        fs::write(folder.0.join("old.csv"), "old").unwrap();
        let mut report = sample();
        report.clients.connected = 0;
        Outputs::open(&config).unwrap().write(&report).unwrap();
        let old = fs::read_to_string(folder.0.join("old.csv")).unwrap();
        assert_eq!((old.as_str(), folder.entries()), ("old", 1));
    }

    #[test]
    fn a_link_stays_one_and_nothing_is_left_beside() {
        let folder = Folder::new("link");
        let (file, link) = (folder.0.join("run.csv"), folder.0.join("latest.csv"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("run.csv", &link).unwrap();
        let mut config = config();
        config.csv = Some(link.clone());
        Outputs::open(&config).unwrap().write(&sample()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), csv::of(&sample()));
        assert!(link.is_symlink() && folder.entries() == 2);
    }

    #[test]
    fn what_cannot_be_opened_is_refused_with_its_name() {
        let folder = Folder::new("refused");
        let missing = folder.0.join("missing").join("run.csv");
        let refused = |config: &Config| Outputs::open(config).unwrap_err().to_string();
        let mut config = config();
        config.csv = Some(missing.clone());
        let name = missing.display();
        let sentence = format!("--csv: cannot write {name}: no such file or directory");
        assert_eq!(refused(&config), sentence);
        config.csv = None;
        config.compare = vec![missing.clone()];
        let sentence = format!("--compare: cannot read {name}: no such file or directory");
        assert_eq!(refused(&config), sentence);
        config.compare = vec![folder.0.join("other.json")];
        fs::write(&config.compare[0], "{\"delivery_curve\":[{\"us\":1}]}").unwrap();
        let name = config.compare[0].display();
        let sentence = format!(
            "--compare: {name} is no report that --json has printed: delivery_curve[0]: missing \
             field `quantile`"
        );
        assert!(
            refused(&config).starts_with(&sentence),
            "{}",
            refused(&config)
        );
    }

    #[test]
    fn a_disk_that_is_full_is_told() {
        let mut config = config();
        config.csv = Some("/dev/full".into());
        // Only some systems have such a device.
        if Path::new("/dev/full").exists() {
            let error = Outputs::open(&config)
                .unwrap()
                .write(&sample())
                .unwrap_err();
            assert_eq!(error, "cannot write /dev/full: no space left on device");
        }
    }
}
