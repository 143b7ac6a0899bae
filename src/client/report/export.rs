//! The output files of a run: opened before it begins, so that it fails early if one cannot be
//! written, and filled when it has ended.

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

/// The files that a run writes besides its report.
#[derive(Debug)]
pub struct Export {
    csv: Option<Output>,
    hdr: Option<Output>,
    plot: Option<Output>,
    compare: Vec<(String, Report)>,
    csv_to_stdout: bool,
}

impl Export {
    /// Opens the files that `config` names, and reads the reports to compare with. Existing
    /// contents are kept until the run has ended.
    ///
    /// # Errors
    /// A sentence about the first file that cannot be opened or read.
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

    /// Writes all files, even if one of them fails; none if the run had no connection.
    ///
    /// # Errors
    /// A sentence about the first file that could not be written.
    pub fn write(self, report: &Report) -> Result<(), String> {
        if report.clients.connected == 0 {
            // Such a run has no results, and those of an earlier run may still be needed.
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
        // Last, because the reader of stdout may be slow.
        let stdout = self.csv_to_stdout.then(|| {
            let printed = print(&csv::of(report));
            printed.map_err(|error| format!("cannot write the CSV: {error}"))
        });
        [csv, hdr, plot, stdout].into_iter().flatten().collect()
    }
}

/// The name of a run in the chart: the file's name without its extension, or the whole path if
/// another file has the same name.
fn label(path: &Path, all: &[PathBuf]) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    let namesakes = all
        .iter()
        .filter(|other| other.file_stem() == path.file_stem());
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

/// Device and inode, which identify a file under any name.
type FileNumber = (u64, u64);

/// The identity of a regular file. Other kinds may have several writers.
fn number(file: BorrowedFd<'_>) -> Option<FileNumber> {
    let status = rustix::fs::fstat(file).ok()?;
    let is_file = rustix::fs::FileType::from_raw_mode(status.st_mode).is_file();
    is_file.then_some((status.st_dev, status.st_ino))
}

/// Opens a pipe at once or not at all, even if no process reads it.
fn without_waiting() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
}

/// An open file to be filled later.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    /// Whether this run created the file, and it is still empty.
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
                Some(Errno::NXIO) => "no process is reading it".to_owned(),
                _ => plain(&error),
            };
            BadOption::new(option, format!("cannot write {name}: {why}"))
        };
        let mut options = without_waiting();
        // Not truncated: existing contents stay until there are new ones.
        options.write(true);
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path).map_err(refused)?, false)
            }
            opened => (opened.map_err(refused)?, true),
        };
        // From here on, writing may wait for the reader, as in other programs.
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

    /// A regular file is replaced as a whole or not at all; a pipe or a device gets the bytes.
    fn replace(&mut self, content: &[u8]) -> io::Result<()> {
        if !self.file.metadata()?.is_file() {
            return self.file.write_all(content);
        }
        // Replaces the file that a link points to, not the link.
        let path = fs::canonicalize(&self.path)?;
        let beside = beside(&path);
        let written = fs::write(&beside, content);
        if written.as_ref().is_err_and(is_forbidden) {
            // The directory is not writable, but the file is.
            self.file.set_len(0)?;
            return self.file.write_all(content);
        }
        let replaced = written
            .and_then(|()| fs::set_permissions(&beside, self.file.metadata()?.permissions()))
            .and_then(|()| fs::rename(&beside, &path));
        if replaced.is_err() {
            // The file may not exist; if it does, it is useless. Either way there is no more to do.
            let _ = fs::remove_file(&beside);
        }
        replaced
    }
}

impl Drop for Output {
    /// Removes the empty file if the run had no results.
    fn drop(&mut self) {
        if self.is_new {
            // The file was created a moment ago; if it cannot be removed, it is empty and does no
            // harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The name of the temporary file that will replace `path`.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests;
