//! `ggen-market` as somebody at a terminal runs it: by its words, exit codes and files.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{EPOCH, TestRelay, network, program, within};

/// What a run said, and how it ended.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub code: i32,
    /// What it wrote for programs.
    pub out: String,
    /// What it wrote for people.
    pub err: String,
}

impl Run {
    /// Demands that it succeeded.
    ///
    /// # Panics
    /// When it did not.
    pub fn assert_good(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }

    /// Standard output of a run that succeeded.
    ///
    /// # Panics
    /// When it failed, or wrote something else.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A publisher at a terminal, with a key of its own, and relays.
pub struct Terminal {
    /// What `HOME` names.
    pub home: TempDir,
    /// Addresses of relays.
    pub relays: Vec<String>,
    /// The epoch of the relays' network, in seconds.
    pub epoch: String,
    environment: Vec<(String, String)>,
}

impl Terminal {
    /// Makes a key that is not encrypted, and its next key in a safe place.
    ///
    /// # Panics
    /// When no key is made.
    pub async fn of(relays: &[&TestRelay]) -> Self {
        Self::without_key(relays).as_publisher("alice").await
    }

    /// As [`Self::of`], of somebody who claims another handle, or whose relays have another epoch.
    ///
    /// # Panics
    /// When no key is made.
    pub async fn as_publisher(self, handle: &str) -> Self {
        let terminal = self;
        let next = terminal.next_key(1);
        let network = network();
        let new = ["key", "new", "--handle", handle, "--network", network.as_str(), "--no-passphrase"];
        let made = terminal.run(&[&new[..], &["--next-key", &next]].concat()).await;
        assert_eq!(made.code, 0, "{made:?}");
        terminal
    }

    /// Has no key yet.
    ///
    /// # Panics
    /// When there is no temporary directory.
    pub fn without_key(relays: &[&TestRelay]) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(home.path().join("safe")).expect("a directory in a new one");
        let epoch = relays.first().map_or(EPOCH, |relay| relay.epoch()).as_secs().to_string();
        Self { home, relays: Vec::new(), epoch, environment: Vec::new() }.at(relays)
    }

    /// The same home, with other relays.
    pub fn at(self, relays: &[&TestRelay]) -> Self {
        let relays = relays.iter().map(|relay| relay.address("/tcp/", false).to_string()).collect();
        Self { relays, ..self }
    }

    /// With a variable in the environment of all further runs.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Where the key is, and the ledger beside it.
    pub fn config(&self) -> PathBuf {
        self.home.path().join(".config/ggen")
    }

    /// Where the next keys are: in a safe place.
    pub fn next_key(&self, number: usize) -> String {
        self.home.path().join("safe").join(format!("next-{number}")).display().to_string()
    }

    /// Rotates by one of the next keys, to another one.
    pub async fn rotate(&self, number: usize, but: &[&str]) -> Run {
        let (with, next) = (self.next_key(number), self.next_key(number + 1));
        self.with_relays(&[&["key", "rotate", "--with", &with, "--next-key", &next][..], but].concat()).await
    }

    /// The program as it is, in a home of its own, which is killed when nobody waits for it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("ggen-market"));
        command.args(arguments).env("HOME", self.home.path()).stdin(Stdio::null()).kill_on_drop(true);
        let own = ["RUST_LOG", "GGEN_RELAY", "GGEN_PASSPHRASE", "GGEN_NEXT_PASSPHRASE", "GGEN_HOME"];
        for name in own.into_iter().chain(["XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"]) {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it does not end, or not by itself.
    pub async fn run(&self, arguments: &[&str]) -> Run {
        let output = within("the program's end", self.command(arguments).output()).await.expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
        let code = output.status.code().expect("nobody kills it");
        Run { code, out: text(output.stdout), err: text(output.stderr) }
    }

    /// Arguments with all relays behind them.
    pub fn to_relays<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        let relays = self.relays.iter().flat_map(|relay| ["--relay", relay]);
        arguments.iter().copied().chain(relays).chain(["--epoch-seconds", &self.epoch]).collect()
    }

    /// Runs a command with all relays.
    pub async fn with_relays(&self, arguments: &[&str]) -> Run {
        self.run(&self.to_relays(arguments)).await
    }

    /// As a visitor: by the network's name too.
    pub async fn ask(&self, arguments: &[&str]) -> Run {
        self.with_relays(&[arguments, &["--network", network().as_str()]].concat()).await
    }

    /// Writes a package directory, and gives its path.
    pub fn package(&self, name: &str, version: &str) -> String {
        let directory = self.home.path().join(format!("{name}-{version}"));
        write_package(&directory, name, version);
        directory.display().to_string()
    }

    /// Publishes a package that is made up.
    ///
    /// # Panics
    /// When it is not published.
    pub async fn published(&self, name: &str, version: &str) {
        let run = self.with_relays(&["publish", &self.package(name, version)]).await;
        assert_eq!(run.code, 0, "{run:?}");
    }

    /// `alice~fingerprint`.
    ///
    /// # Panics
    /// When there is no key.
    pub async fn publisher(&self) -> String {
        let shown = self.run(&["key", "show"]).await.out;
        shown.lines().find_map(|line| line.strip_prefix("full-name ")).expect("a full name").to_owned()
    }
}

/// Writes a package directory.
///
/// # Panics
/// When it can't be written.
pub fn write_package(directory: &Path, name: &str, version: &str) {
    std::fs::create_dir_all(directory).expect("a directory");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"A thing for tests of terminals.\"\nlicense = \"MIT\"\n"
    );
    std::fs::write(directory.join("package.toml"), manifest).expect("a file");
}
