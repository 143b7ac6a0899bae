//! The terminal that indicatif draws on. Each drawing is one write that never makes the client
//! wait: a drawing that does not fit is dropped.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use rustix::termios::tcgetwinsize;

use crate::writable::{Stderr, WRITE_MAX};

/// Stderr, as a terminal with a cursor.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// indicatif may draw from any thread; here there is only one.
    drawing: Mutex<Drawing>,
}

#[derive(Debug)]
struct Drawing {
    stderr: Stderr,
    unwritten: Vec<u8>,
}

impl Terminal {
    /// The stderr of the process.
    pub(crate) fn new() -> Self {
        let drawing = Drawing {
            stderr: Stderr::new(),
            unwritten: Vec::new(),
        };
        Self {
            drawing: Mutex::new(drawing),
        }
    }

    fn drawing(&self) -> MutexGuard<'_, Drawing> {
        // After a panic, the next drawing replaces what is left.
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, text: &str) -> io::Result<()> {
        self.drawing().unwritten.extend(text.as_bytes());
        Ok(())
    }

    fn move_cursor(&self, n: usize, direction: char) -> io::Result<()> {
        match n {
            0 => Ok(()),
            n => self.add(&format!("\x1b[{n}{direction}")),
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let columns = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
        match columns {
            0 => COLUMNS,
            columns => columns.min(COLUMNS_MAX),
        }
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawing = self.drawing();
        let mut text = std::mem::take(&mut drawing.unwritten);
        text.truncate(WRITE_MAX);
        // The next drawing replaces an incomplete one.
        drawing.stderr.put(&text);
        Ok(())
    }
}

/// The width to assume if the terminal does not report it.
const COLUMNS: u16 = 80;

/// A drawing must fit into one write.
const COLUMNS_MAX: u16 = 500;
