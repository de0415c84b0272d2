//! Stamps: a hash of what a step was made from, so that a step whose inputs are unchanged is skipped.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths;

/// Directories that are made, not written.
const MADE: [&str; 4] = ["node_modules", "dist", ".svelte-kit", "target"];

/// What a step is made from.
pub(crate) struct Inputs(DefaultHasher);

impl Inputs {
    /// Inputs of a step; `recipe` names how it is made and changes when that does.
    pub(crate) fn of(recipe: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        recipe.hash(&mut hasher);
        Self(hasher)
    }

    /// Adds a file, or all files of a directory except made ones. What does not exist counts as such.
    pub(crate) fn add(&mut self, path: &Path) -> Result<()> {
        path.hash(&mut self.0);
        if path.is_dir() {
            for entry in sorted(path)? {
                if !MADE.iter().any(|made| entry.ends_with(made)) {
                    self.add(&entry)?;
                }
            }
        } else if path.exists() {
            fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut self.0);
        }
        Ok(())
    }

    /// Whether the step `name` was last done from these inputs; if not, the ticket to say later that it was.
    pub(crate) fn fresh(self, name: &str) -> Freshness {
        let hash = format!("{:016x}", self.0.finish());
        let path = paths::state().join(format!("{name}.stamp"));
        if fs::read_to_string(&path).is_ok_and(|stamp| stamp == hash) {
            Freshness::Fresh
        } else {
            Freshness::Stale(Ticket { path, hash })
        }
    }
}

/// Whether a step has to be done.
pub(crate) enum Freshness {
    /// Nothing changed since it was done.
    Fresh,
    /// It has to be done; redeem the ticket afterwards.
    Stale(Ticket),
}

/// Says, once redeemed, that a step was done.
pub(crate) struct Ticket {
    path: PathBuf,
    hash: String,
}

impl Ticket {
    /// The step was done.
    pub(crate) fn redeem(self) -> Result<()> {
        fs::create_dir_all(paths::state())?;
        fs::write(&self.path, self.hash).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
