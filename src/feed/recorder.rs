//! Records published ticks for a replay: one tick a line, as on the wire.
//!
//! The loop never waits for a disk. [`Recorder::record`] only copies into a buffer of fixed size,
//! and [`Recorder::flush`] writes as much as can be written at once. A reader that is too slow
//! loses whole lines, which are counted. A file contains whole lines only, unless the process is
//! killed during a write.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error_text::plain;
use crate::tick::WireTick;

/// Records lines to a file, or to a pipe with a reader.
pub struct Recorder<W = File> {
    out: W,
    /// Its name in the log.
    name: String,
    buffer: VecDeque<u8>,
    capacity: usize,
    /// While the buffer is full and lines are left out: the number left out before that.
    full: Option<u64>,
    /// The last write failed. Each flush tries again, but the log has only one line about it.
    failing: bool,
    left_out: u64,
    /// The newest `sent` in it, if it continues a recording; else zero.
    newest: u64,
}

impl Recorder {
    /// Records to the file at `path`, and creates it if necessary.
    ///
    /// Nothing is ever overwritten. If the file ends in a whole line, the recording is appended, so
    /// a server that is started again continues it. If it does not, it is either no recording or
    /// was torn by a crash, and its owner has to decide what to do with it.
    ///
    /// # Errors
    /// When the file cannot be opened or ends in the middle of a line, or a pipe has no reader.
    pub fn create(path: &Path) -> io::Result<Self> {
        if !End::of(path)?.torn.is_empty() {
            return Err(torn());
        }
        Self::open(path)
    }

    /// Does the same for a recording of a tape that has been printed before, in part: what the file
    /// has already is left out by [`record_new`](Self::record_new). The tape has a tick that was torn
    /// by a crash again, so its line is ended, and a replay skips it.
    ///
    /// # Errors
    /// When the file cannot be opened or ends in the middle of a line that is no tick, or a pipe has
    /// no reader.
    pub fn resume(path: &Path) -> io::Result<Self> {
        let end = End::of(path)?;
        let is_tick = end.torn.starts_with(TICK_BEGIN) || TICK_BEGIN.starts_with(&end.torn);
        if !is_tick {
            return Err(torn());
        }
        let mut recorder = Self::open(path)?;
        recorder.newest = end.newest.unwrap_or(0);
        if !end.torn.is_empty() {
            log::warn!("{}: the last line is incomplete", recorder.name);
            recorder.buffer.push_back(b'\n');
        }
        Ok(recorder)
    }

    fn open(path: &Path) -> io::Result<Self> {
        let out = OpenOptions::new()
            .append(true)
            .create(true)
            // Makes a pipe without a reader an error, and never waits for a full one.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .map_err(|error| match Errno::from_io_error(&error) {
                Some(Errno::NXIO) => io::Error::new(error.kind(), "this pipe has no reader"),
                _ => error,
            })?;
        Ok(Self::new(out, path.display().to_string(), CAPACITY))
    }
}

impl<W: Write> Recorder<W> {
    fn new(out: W, name: String, capacity: usize) -> Self {
        Self {
            out,
            name,
            buffer: VecDeque::new(),
            capacity,
            full: None,
            failing: false,
            left_out: 0,
            newest: 0,
        }
    }

    /// Adds the line of a tick that was sent at `sent`, unless the recording has it already.
    pub fn record_new(&mut self, line: &[u8], sent: u64) {
        if sent > self.newest {
            self.newest = sent;
            self.record(line);
        }
    }

    /// Adds one line to the buffer: a tick's JSON, without a newline.
    pub fn record(&mut self, line: &[u8]) {
        debug_assert!(!line.contains(&b'\n'), "two lines at once");
        if self.buffer.len() > self.capacity / 2 && self.full.is_none() && !self.failing {
            // A fast feed cannot wait for the next periodic flush.
            self.flush();
        }
        if self.full.is_none() && self.buffer.len() + line.len() + 1 > self.capacity {
            self.full = Some(self.left_out);
            log::warn!(
                "the recording to {} is falling behind: leaving out ticks",
                self.name
            );
        }
        if self.full.is_some() {
            self.left_out += 1;
        } else {
            self.buffer.extend(line);
            self.buffer.push_back(b'\n');
        }
    }

    /// Writes as much as it can without waiting, and keeps the rest for the next time.
    pub fn flush(&mut self) {
        match self.write() {
            // No change: it neither works again nor fails.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    log::error!("cannot record to {}: {}", self.name, plain(&error));
                }
            }
            Ok(_) => {
                if std::mem::take(&mut self.failing) {
                    log::info!("the recording to {} works again", self.name);
                }
            }
        }
        // Wait for half of the room, or a slow reader would cause a message for every line.
        let has_room = self.buffer.len() <= self.capacity / 2;
        if let Some(before) = self.full.take_if(|_| has_room) {
            let (name, missing) = (&self.name, self.left_out - before);
            log::warn!("the recording to {name} continues; {missing} ticks are missing");
        }
    }

    /// The number of lines left out so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.buffer.is_empty() {
            match self.out.write(self.buffer.as_slices().0) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(length) => drop(self.buffer.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The end of a file.
#[derive(Default)]
struct End {
    /// The `sent` of the last tick in a whole line.
    newest: Option<u64>,
    /// What follows the last whole line.
    torn: Vec<u8>,
}

impl End {
    /// Reads the end of a file; a missing one and a pipe have none.
    fn of(path: &Path) -> io::Result<Self> {
        if !path.metadata().is_ok_and(|found| found.is_file()) {
            return Ok(Self::default());
        }
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(END_LENGTH);
        file.seek(SeekFrom::Start(from))?;
        let mut end = Vec::new();
        file.take(END_LENGTH).read_to_end(&mut end)?;
        let whole = end.iter().rposition(|byte| *byte == b'\n');
        let torn = end.split_off(whole.map_or(0, |last| last + 1));
        let mut lines = end.rsplit(|byte| *byte == b'\n');
        let newest = lines.find_map(|line| WireTick::parse_printed(line)?.sent);
        Ok(Self { newest, torn })
    }
}

fn torn() -> io::Error {
    let problem = "its last line is incomplete: move the file away, or end that line";
    io::Error::new(ErrorKind::InvalidData, problem)
}

/// What the line of a tick begins with.
const TICK_BEGIN: &[u8] = br#"{"symbol":""#;

/// How much of the end of a file is read: many ticks, each with all fields.
const END_LENGTH: u64 = 64 * 1024;

/// Ten thousand ticks: enough for a disk that hesitates for a second on a busy server.
const CAPACITY: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testkit::temp_file;

    /// How a device answers a write.
    #[derive(Clone, Debug)]
    enum Answer {
        Takes(usize),
        Fails(ErrorKind),
    }

    /// Answers writes by its script, then takes everything.
    #[derive(Default)]
    struct Device {
        answers: VecDeque<Answer>,
        taken: Vec<u8>,
    }

    impl Write for Device {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = match self.answers.pop_front() {
                Some(Answer::Fails(kind)) => return Err(kind.into()),
                Some(Answer::Takes(length)) => length.min(bytes.len()),
                None => bytes.len(),
            };
            self.taken.extend(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn recorder(capacity: usize, answers: &[Answer]) -> Recorder<Device> {
        let device = Device {
            answers: answers.iter().cloned().collect(),
            taken: Vec::new(),
        };
        Recorder::new(device, "device".to_owned(), capacity)
    }

    #[test]
    fn a_recording_is_continued_unless_its_last_line_is_torn() {
        let file = temp_file("");
        for line in ["one", "two"] {
            let mut recorder = Recorder::create(file.path()).unwrap();
            recorder.record(line.as_bytes());
            recorder.flush();
        }
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "one\ntwo\n");

        std::fs::write(file.path(), "one\ntw").unwrap();
        let error = Recorder::create(file.path()).err().unwrap();
        let expected = "last line is incomplete";
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "one\ntw");
    }

    fn tick(sent: u64) -> String {
        format!(r#"{{"symbol":"A","price":1,"timestamp":1,"seq":{sent},"sent":{sent}}}"#)
    }

    /// Resumes the recording `text`, adds ticks that were sent at these times, and returns the file.
    fn resumed(text: &str, sent: &[u64]) -> io::Result<String> {
        let file = temp_file(text);
        let mut recorder = Recorder::resume(file.path())?;
        for &sent in sent {
            recorder.record_new(tick(sent).as_bytes(), sent);
        }
        recorder.flush();
        std::fs::read_to_string(file.path())
    }

    #[test]
    fn a_resumed_recording_has_no_tick_twice() {
        let lines = |all: &[u64]| {
            all.iter()
                .map(|&sent| tick(sent) + "\n")
                .collect::<String>()
        };
        for (text, expected) in [
            (String::new(), lines(&[2, 4, 5])),
            (lines(&[1, 2, 3]), lines(&[1, 2, 3, 4, 5])),
            (
                lines(&[1]) + "nonsense\n",
                lines(&[1]) + "nonsense\n" + &lines(&[2, 4, 5]),
            ),
        ] {
            assert_eq!(resumed(&text, &[2, 4, 4, 5]).unwrap(), expected);
        }
        let long = lines(&(1..=5_000).collect::<Vec<_>>());
        assert_eq!(resumed(&long, &[4_999, 5_000]).unwrap(), long);
    }

    #[test]
    fn a_tick_that_was_torn_is_recorded_again() {
        let (first, second) = (tick(1) + "\n", tick(2));
        for torn in 1..second.len() {
            let text = first.clone() + &second[..torn];
            let expected = format!("{text}\n{second}\n");
            assert_eq!(resumed(&text, &[1, 2]).unwrap(), expected);
        }
        let error = resumed("Dear diary", &[1]).unwrap_err();
        assert!(error.to_string().contains("incomplete"), "{error}");
    }

    #[test]
    fn a_missing_file_is_created() {
        let file = temp_file("");
        std::fs::remove_file(file.path()).unwrap();
        let mut recorder = Recorder::create(file.path()).unwrap();
        recorder.record(b"one");
        recorder.flush();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "one\n");
        assert!(Recorder::create(Path::new("/no/such/directory/file")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_pipe_does_not_block() {
        use rustix::fs::{CWD, Mode, mkfifoat};

        let pipe = temp_file("");
        std::fs::remove_file(pipe.path()).unwrap();
        mkfifoat(CWD, pipe.path(), Mode::RUSR | Mode::WUSR).unwrap();
        let error = Recorder::create(pipe.path()).err().unwrap();
        assert_eq!(error.to_string(), "this pipe has no reader");

        // Opened for reading and writing, since opening it for one would wait for the other end.
        let mut reader = File::options()
            .read(true)
            .write(true)
            .open(pipe.path())
            .unwrap();
        let mut recorder = Recorder::create(pipe.path()).unwrap();
        for _ in 0..2_000 {
            recorder.record(&[b'x'; 99]);
        }
        recorder.flush();
        assert!(!recorder.failing && !recorder.buffer.is_empty());
        let mut some = vec![0; 50_000];
        reader.read_exact(&mut some).unwrap();
        let left = recorder.buffer.len();
        recorder.flush();
        assert!(recorder.buffer.len() < left);
    }

    #[test]
    fn a_slow_device_loses_whole_lines_until_half_of_the_buffer_is_free() {
        use Answer::{Fails, Takes};
        let blocked = || Fails(ErrorKind::WouldBlock);
        let mut recorder = recorder(10, &[blocked(), Takes(1), blocked()]);
        for line in ["1234", "5678", "left out"] {
            recorder.record(line.as_bytes());
        }
        recorder.flush();
        recorder.record(b"x");
        assert_eq!(recorder.left_out(), 2);
        recorder.flush();
        recorder.record(b"y");
        recorder.flush();
        assert_eq!(recorder.out.taken, b"1234\n5678\ny\n");
        assert_eq!(recorder.left_out(), 2);
    }

    #[test]
    fn a_write_to_a_full_disk_is_retried_and_the_line_completed() {
        use Answer::{Fails, Takes};
        let answers = [Takes(3), Fails(ErrorKind::StorageFull), Takes(0)];
        let mut recorder = recorder(1_000, &answers);
        recorder.record(b"one tick");
        recorder.flush();
        assert!(recorder.failing);
        recorder.flush();
        assert!(recorder.failing);
        recorder.flush();
        assert!(!recorder.failing);
        assert_eq!(recorder.out.taken, b"one tick\n");
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            4 => (0usize..60).prop_map(Answer::Takes),
            2 => Just(Answer::Fails(ErrorKind::WouldBlock)),
            1 => Just(Answer::Fails(ErrorKind::Interrupted)),
            1 => Just(Answer::Fails(ErrorKind::StorageFull)),
        ]
    }

    proptest! {
        #[test]
        fn the_file_has_whole_lines_in_order_however_writes_are_split(
            lengths in proptest::collection::vec(0usize..50, 0..60),
            flush_every in 1usize..10,
            answers in proptest::collection::vec(answer(), 0..60),
            capacity in 20usize..400,
        ) {
            let mut recorder = recorder(capacity, &answers);
            for (number, length) in lengths.iter().enumerate() {
                recorder.record(format!("{number} {}", "x".repeat(*length)).as_bytes());
                prop_assert!(recorder.buffer.len() <= capacity);
                if number % flush_every == 0 {
                    recorder.flush();
                }
            }
            while !recorder.buffer.is_empty() {
                recorder.flush();
            }
            let taken = String::from_utf8(recorder.out.taken.clone()).unwrap();
            prop_assert!(taken.is_empty() || taken.ends_with('\n'));
            let mut last = None;
            for line in taken.lines() {
                let (number, xs) = line.split_once(' ').unwrap();
                let number: usize = number.parse().unwrap();
                prop_assert_eq!(xs.len(), lengths[number]);
                prop_assert!(last < Some(number));
                last = Some(number);
            }
            prop_assert_eq!(taken.lines().count() as u64 + recorder.left_out(), lengths.len() as u64);
        }
    }
}
