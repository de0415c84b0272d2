//! The golden vectors of `tests/vectors`: one body that native tests and WebAssembly run, so that both read, hash, sign and
//! refuse the same bytes.
//!
//! The module for wasm32 has no imports at all: whatever can instantiate it with `{}` can check it. [`check`] gives the number
//! of vectors that hold, or -1; then [`message_ptr`] and [`message_len`] say which one does not, and why.
//!
//! `records.json`, `messages.json`, `analyser.json`, `merkle.json`, `checkpoints.json` and `work.json` are made by this crate's test `golden`, which fails when it makes others: a format
//! or a rule has changed, and records that are out there are read differently. To change them on purpose:
//! `GGEN_BLESS=1 cargo test -p ggen-wasm-vectors`. `content.json` and `cipher.json` were computed by other implementations
//! and are never made here.

mod analyser;
mod checkpoints;
mod cipher;
mod content;
mod merkle;
mod messages;
mod records;
mod work;

use std::sync::OnceLock;

/// A fault of one vector, or how many hold.
pub type Checked = Result<usize, String>;

/// The vectors as they lie in `tests/vectors`.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    /// `records.json`.
    pub records: &'a str,
    /// `messages.json`.
    pub messages: &'a str,
    /// `analyser.json`.
    pub analyser: &'a str,
    /// `merkle.json`.
    pub merkle: &'a str,
    /// `checkpoints.json`.
    pub checkpoints: &'a str,
    /// `work.json`.
    pub work: &'a str,
    /// `content.json`.
    pub content: &'a str,
    /// `cipher.json`.
    pub cipher: &'a str,
}

/// The vectors that this crate was built with.
pub const VECTORS: Vectors<'static> = Vectors {
    records: include_str!("../../vectors/records.json"),
    messages: include_str!("../../vectors/messages.json"),
    analyser: include_str!("../../vectors/analyser.json"),
    merkle: include_str!("../../vectors/merkle.json"),
    checkpoints: include_str!("../../vectors/checkpoints.json"),
    work: include_str!("../../vectors/work.json"),
    content: include_str!("../../vectors/content.json"),
    cipher: include_str!("../../vectors/cipher.json"),
};

impl Vectors<'_> {
    /// Checks every vector.
    ///
    /// # Errors
    /// Names the first vector that does not hold, and how.
    pub fn check_all(&self) -> Checked {
        let checked = [
            self.check_records(),
            self.check_messages(),
            self.check_analyser(),
            self.check_merkle(),
            self.check_checkpoints(),
            self.check_work(),
            content::check(self.content),
            self.check_cipher(),
        ];
        checked.into_iter().sum()
    }

    /// Checks records, heads and identifiers.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_records(&self) -> Checked {
        records::check(self.records)
    }

    /// Checks messages.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_messages(&self) -> Checked {
        messages::check(self.messages)
    }

    /// Checks what texts and releases are found by.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_analyser(&self) -> Checked {
        analyser::check(self.analyser, self.records)
    }

    /// Checks roots and proofs.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_merkle(&self) -> Checked {
        merkle::check(self.merkle)
    }

    /// Checks what relays commit to.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_checkpoints(&self) -> Checked {
        checkpoints::check(self.checkpoints)
    }

    /// Checks what identities cost.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_work(&self) -> Checked {
        work::check(self.work)
    }

    /// Checks what connections are encrypted by.
    ///
    /// # Errors
    /// As [`Vectors::check_all`].
    pub fn check_cipher(&self) -> Checked {
        cipher::check(self.cipher)
    }
}

static RESULT: OnceLock<Checked> = OnceLock::new();

fn result() -> &'static Checked {
    RESULT.get_or_init(|| VECTORS.check_all())
}

/// How many vectors hold, or -1 if one does not.
#[expect(unsafe_code, reason = "an exported name is the whole interface of a module without bindings")]
#[unsafe(no_mangle)]
pub extern "C" fn check() -> i32 {
    result().as_ref().map_or(-1, |count| i32::try_from(*count).unwrap_or(i32::MAX))
}

/// Where the sentence about the fault begins, UTF-8.
#[expect(unsafe_code, reason = "an exported name is the whole interface of a module without bindings")]
#[unsafe(no_mangle)]
pub extern "C" fn message_ptr() -> *const u8 {
    message().as_ptr()
}

/// How many bytes it has; none if every vector holds.
#[expect(unsafe_code, reason = "an exported name is the whole interface of a module without bindings")]
#[unsafe(no_mangle)]
pub extern "C" fn message_len() -> usize {
    message().len()
}

fn message() -> &'static str {
    result().as_ref().err().map_or("", String::as_str)
}

fn parse<'a, T: serde::Deserialize<'a>>(file: &str, json: &'a str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("{file}: {error}"))
}

fn hex(what: &str, text: &str) -> Result<Vec<u8>, String> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|error| format!("{what}: {error}"))
}

fn same<T: PartialEq + std::fmt::Debug>(vector: &str, what: &str, actual: T, expected: T) -> Result<(), String> {
    if actual == expected {
        return Ok(());
    }
    Err(format!("{vector}: {what} is {actual:?}, the vector says {expected:?}"))
}
