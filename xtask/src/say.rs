//! Progress: short lines that begin with the seconds since the start.

use std::sync::OnceLock;
use std::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Begins to count the seconds that each line shows.
pub(crate) fn start_clock() {
    START.get_or_init(Instant::now);
}

/// Prints a line of progress.
pub(crate) fn line(text: &str) {
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs_f32();
    println!("[{seconds:6.1} s] {text}");
}
