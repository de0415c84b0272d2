//! What is written to standard output.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes a line.
///
/// # Panics
/// As [`text`].
pub(crate) fn line(line: Arguments<'_>) {
    text(&format!("{line}\n"));
}

/// Writes a line to standard error, as far as that goes: what is said there is for who watches.
pub(crate) fn error_line(line: Arguments<'_>) {
    _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Writes a text. Whoever closes the pipe has seen enough, as `head` has of `ggen-market tree`: what is under way is ended all the same.
///
/// # Panics
/// When it can't be written for another reason, such as a full disk: nobody must take half of an answer for all of it.
pub(crate) fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("standard output can't be written: {error}"),
        _ => {}
    }
}
