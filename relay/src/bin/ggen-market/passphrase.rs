//! Passphrases: from a file, from the environment, or from whoever sits at the terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ggen_relay::market::seal::Passphrase;

/// The environment's passphrase of the key.
const VARIABLE: &str = "GGEN_PASSPHRASE";
/// The environment's passphrase of the next key, where it has another one.
const NEXT_VARIABLE: &str = "GGEN_NEXT_PASSPHRASE";

// No doc comment: it would take the place of the help of each command that has this.
#[derive(clap::Args)]
pub(crate) struct Given {
    /// A file whose first line is the key's passphrase [default: GGEN_PASSPHRASE, or it is asked for at a terminal].
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Given {
    /// The passphrase to decrypt something with.
    pub(crate) fn to_open(&self, what: &str) -> Result<Passphrase> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask(&format!("Passphrase of {what}: ")).with_context(|| {
                format!("{what} is encrypted: give its passphrase with --passphrase-file FILE or {VARIABLE}")
            }),
        }
    }

    /// The passphrase to encrypt something with, asked for twice where it is typed.
    pub(crate) fn to_seal(&self, what: &str) -> Result<Passphrase> {
        match self.given()? {
            Some(passphrase) => Ok(passphrase),
            None => ask_twice().with_context(|| {
                format!(
                    "{what} is to be encrypted: give a passphrase with --passphrase-file FILE or {VARIABLE}, or say --no-passphrase where \
                     that is allowed"
                )
            }),
        }
    }

    fn given(&self) -> Result<Option<Passphrase>> {
        match &self.passphrase_file {
            Some(path) => from_file(path).map(Some),
            None => Ok(std::env::var(VARIABLE).ok().and_then(Passphrase::new)),
        }
    }
}

/// A new passphrase: from a file, or typed twice.
pub(crate) fn new(file: Option<&Path>) -> Result<Passphrase> {
    match file {
        Some(path) => from_file(path),
        None => ask_twice().context("give the new passphrase with --new-passphrase-file FILE, or say --no-passphrase"),
    }
}

/// The passphrase of a next key that has another one than the key.
pub(crate) fn of_next_key() -> Result<Passphrase> {
    match std::env::var(NEXT_VARIABLE).ok().and_then(Passphrase::new) {
        Some(passphrase) => Ok(passphrase),
        None => ask("Passphrase of the next key: ")
            .with_context(|| format!("the next key is encrypted: give its passphrase with {NEXT_VARIABLE}")),
    }
}

fn from_file(path: &Path) -> Result<Passphrase> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    Passphrase::new(line.into()).with_context(|| format!("{} has no passphrase in its first line", path.display()))
}

fn ask(prompt: &str) -> Result<Passphrase> {
    // A pipe may be anything: it is not asked, and never waited for.
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask at");
    }
    Passphrase::new(rpassword::prompt_password(prompt)?).context("a passphrase is not empty")
}

fn ask_twice() -> Result<Passphrase> {
    let first = ask("New passphrase: ")?;
    if !first.is(&ask("The same again: ")?) {
        bail!("the two are not the same");
    }
    Ok(first)
}
