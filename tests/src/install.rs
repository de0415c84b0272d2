//! What tests of installing share: relays whose checkpoints stay fresh on a machine that does much else, and what stands on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::terminal::{Run, Terminal};
use crate::{TestRelay, until};

/// Longer than elsewhere: what is installed has to be in the checkpoints of two relays that both are no older than two epochs.
pub const LONG_EPOCH: Duration = Duration::from_secs(4);

/// Two relays that know each other.
pub async fn two_relays() -> [TestRelay; 2] {
    let first = TestRelay::configured(|config| config.epoch = LONG_EPOCH).await;
    let bootstrap = first.address("/tcp/", false);
    let second = TestRelay::configured(|config| {
        config.epoch = LONG_EPOCH;
        config.bootstrap = vec![bootstrap];
    });
    [first, second.await]
}

impl Terminal {
    /// Where things are installed.
    pub fn installed(&self) -> PathBuf {
        self.home.path().join("ggen_packages")
    }

    /// Installs something there.
    pub async fn install(&self, arguments: &[&str]) -> Run {
        let directory = self.installed().display().to_string();
        self.ask(&[&["install"], arguments, &["--to", &directory]].concat()).await
    }

    /// Waits until the checkpoints of all relays have a version.
    ///
    /// # Panics
    /// When they don't, or what is shown has not the shape of a package.
    pub async fn confirmed(&self, package: &str) {
        until("checkpoints that have it", async || {
            let info = self.ask(&["info", package, "--json"]).await;
            let confirmed = (info.code == 0).then(|| info.json()["confirmed_by"].as_array().map(Vec::len)).flatten();
            (confirmed == Some(self.relays.len())).then_some(())
        })
        .await;
    }
}

/// All files below a directory, with their bytes; none where there is no directory.
///
/// # Panics
/// When one can't be read.
pub fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8").to_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            found.insert(name, fs::read(path).expect("a file"));
        }
    }
    found
}
