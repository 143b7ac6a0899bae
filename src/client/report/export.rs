//! The files of a run: refused before it begins if they cannot be written, filled when it has
//! ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cli::{BadOption, print};
use crate::client::config::Config;
use crate::client::report::{Report, csv, hdr_log, plot};
use crate::error_text::plain;

/// What a run is to leave behind beside its report.
#[derive(Debug)]
pub struct Export {
    csv: Option<Output>,
    hdr: Option<Output>,
    plot: Option<Output>,
    compare: Vec<(String, Report)>,
    csv_to_stdout: bool,
}

impl Export {
    /// Opens the files that `config` names, and reads those that it compares with. What is in a
    /// file stays there until the run has ended.
    ///
    /// # Errors
    /// A sentence about the first that cannot be opened or read.
    pub fn open(config: &Config) -> Result<Self, BadOption> {
        let csv_to_stdout = config.csv_to_stdout();
        let csv = config.csv.as_ref().filter(|_| !csv_to_stdout);
        let mut taken = Vec::from_iter(number(io::stdout().as_fd()));
        let mut compare = Vec::new();
        for path in &config.compare {
            let label = label(path, &config.compare);
            compare.push((label, read(path, &mut taken)?));
        }
        Ok(Self {
            csv: Output::open("--csv", csv, &mut taken)?,
            hdr: Output::open("--hdr", config.hdr.as_ref(), &mut taken)?,
            plot: Output::open("--plot", config.plot.as_ref(), &mut taken)?,
            compare,
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
            let earlier = self
                .compare
                .iter()
                .map(|(label, report)| (&**label, report));
            let runs: Vec<_> = [("this run", report)].into_iter().chain(earlier).collect();
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

/// What a run is called in the picture: the file's name without its ending, or all of it where
/// another one has the same.
fn label(path: &Path, all: &[PathBuf]) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    let namesakes = all.iter().filter(|it| it.file_stem() == path.file_stem());
    let label = if namesakes.count() > 1 {
        path.as_os_str()
    } else {
        name
    };
    label.to_string_lossy().into_owned()
}

fn read(path: &Path, taken: &mut Vec<FileNumber>) -> Result<Report, BadOption> {
    let refused = |error: String| BadOption::new("--compare", error);
    let name = path.display();
    let cannot = |error: io::Error| refused(format!("cannot read {name}: {}", plain(&error)));
    let mut file = without_waiting().read(true).open(path).map_err(cannot)?;
    let Some(number) = number(file.as_fd()) else {
        return Err(refused(format!("cannot read {name}: not a regular file")));
    };
    taken.push(number);
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(cannot)?;
    Report::from_json(&text).map_err(|error| {
        refused(format!(
            "{name} is not a report printed with --json: {error}"
        ))
    })
}

/// Device and number: what tells a file from others, whatever its names are.
type FileNumber = (u64, u64);

/// The number of a regular file; all else may be written to by several.
fn number(file: BorrowedFd<'_>) -> Option<FileNumber> {
    let status = rustix::fs::fstat(file).ok()?;
    let is_file = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
    is_file.then_some((status.st_dev, status.st_ino))
}

/// A pipe without another end is opened at once, or not at all.
fn without_waiting() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
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
    fn open(
        option: &str,
        path: Option<&PathBuf>,
        taken: &mut Vec<FileNumber>,
    ) -> Result<Option<Self>, BadOption> {
        let Some(path) = path else { return Ok(None) };
        let refused = |error: io::Error| {
            let name = path.display();
            let why = match Errno::from_io_error(&error) {
                Some(Errno::NXIO) => "nobody is reading it".to_owned(),
                _ => plain(&error),
            };
            BadOption::new(option, format!("cannot write {name}: {why}"))
        };
        let mut options = without_waiting();
        // Not truncated: what is there is only replaced by something.
        options.write(true);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path).map_err(refused)?, false)
            }
            opened => (opened.map_err(refused)?, true),
        };
        // From here on it may wait for its reader, as others do.
        rustix::io::ioctl_fionbio(&file, false).map_err(|error| refused(error.into()))?;
        let path = path.clone();
        let output = Self { file, path, is_new };
        match number(output.file.as_fd()) {
            Some(number) if taken.contains(&number) => Err(BadOption::new(
                option,
                format!(
                    "{} is already in use by another option or stdout, name another file",
                    output.path.display()
                ),
            )),
            number => {
                taken.extend(number);
                Ok(Some(output))
            }
        }
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
mod tests;
