//! Publishing what is in Cargo's cache, once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result, bail};

use super::crates::{CrateFile, in_cache};
use super::{LOOK_EVERY, Stop, relays};
use crate::cargo::{output, program};
use crate::{paths, say};

/// How many publishers publish at once.
const AT_ONCE: usize = 2;

/// A line of progress each so many packages.
const SAY_EVERY: usize = 50;

/// Lists the crate files that were published, or refused, in earlier starts.
fn stamp(state: &Path) -> PathBuf {
    state.join("published.txt")
}

/// Whether nothing can have been published yet, because a relay has no data.
pub(super) fn is_first_start(state: &Path) -> bool {
    !relays::data_directories(state).all(|directory| directory.is_dir())
}

/// What is published: a package has a release for each of its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) releases: usize,
    pub(super) packages: usize,
}

/// Publishes the crates that no earlier start published, and gives how much is published now.
/// `check` is called again and again, and ends it by an error.
pub(super) fn new_crates(
    state: &Path,
    first_start: bool,
    relays: &[String],
    stop: &Stop,
    check: impl FnMut() -> Result<()>,
) -> Result<Count> {
    if first_start && stamp(state).exists() {
        fs::remove_file(stamp(state)).context("cannot forget what was published")?;
    }
    let all = in_cache()?;
    let known = fs::read_to_string(stamp(state)).unwrap_or_default();
    let known: BTreeMap<&str, bool> = known.lines().filter_map(read_stamp_line).collect();
    let new: Vec<_> = all.iter().filter(|file| !known.contains_key(file.file_name())).cloned().collect();
    if new.is_empty() {
        return Ok(count(&known));
    }

    let keys = state.join("keys");
    let publishers = write_publishers(state, &keys, &all)?;
    say::line(&format!("publishing {} crates from Cargo's cache", new.len()));
    let mut batches = BTreeMap::<&str, Vec<CrateFile>>::new();
    for file in new {
        batches.entry(file.handle()).or_default().push(file);
    }
    let batches = batches.into_iter().map(|(handle, files)| Batch {
        handle,
        key: key_file(&keys, handle),
        publishers: publishers.clone(),
        log: state.join(format!("publish-{handle}.log")),
        relays: relays.to_vec(),
        files,
    });
    let mut run = Run::new(batches.collect(), stamp(state));
    run.finish(stop, check)?;
    let known = fs::read_to_string(stamp(state)).unwrap_or_default();
    Ok(count(&known.lines().filter_map(read_stamp_line).collect()))
}

fn count(stamp: &BTreeMap<&str, bool>) -> Count {
    let published: Vec<_> =
        stamp.iter().filter(|(_, published)| **published).filter_map(|(file, _)| CrateFile::at(file.into())).collect();
    // As ggen-market has them: names in lower case, each publisher's its own.
    let packages: BTreeSet<_> = published.iter().map(|file| (file.handle(), file.name.to_ascii_lowercase())).collect();
    Count { releases: published.len(), packages: packages.len() }
}

/// `published FILE` or `refused FILE`.
fn read_stamp_line(line: &str) -> Option<(&str, bool)> {
    match line.split_once(' ')? {
        ("published", file) => Some((file, true)),
        ("refused", file) => Some((file, false)),
        _ => None,
    }
}

fn key_file(keys: &Path, handle: &str) -> PathBuf {
    keys.join(format!("{handle}.key"))
}

/// Makes the keys that are missing, and writes whose package each crate's name means.
fn write_publishers(state: &Path, keys: &Path, crates: &[CrateFile]) -> Result<PathBuf> {
    let next_keys = keys.join("next");
    fs::create_dir_all(&next_keys).with_context(|| format!("cannot create {}", next_keys.display()))?;
    let mut ids = BTreeMap::new();
    for handle in crates.iter().map(CrateFile::handle).collect::<BTreeSet<_>>() {
        let key = key_file(keys, handle);
        if !key.exists() {
            say::line(&format!("making the key of {handle}"));
            // Nobody would type twelve passphrases, and no demo's key is worth one.
            let next_key = key_file(&next_keys, handle).display().to_string();
            market(
                ["key", "new", "--handle", handle, "--no-passphrase", "--quota", "1024", "--next-key", &next_key],
                &key,
            )?;
        }
        let shown = market(["key", "show"], &key)?;
        let id = shown.lines().find_map(|line| line.strip_prefix("publisher "));
        ids.insert(handle, id.context("`ggen-market key show` names no publisher")?.trim().to_owned());
    }
    let names: BTreeMap<&str, &str> = crates.iter().map(|file| (file.name.as_str(), file.handle())).collect();
    let lines: String = names.iter().map(|(name, handle)| format!("{name} {}\n", ids[handle])).collect();
    let path = state.join("publishers.txt");
    fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn market<'a>(arguments: impl IntoIterator<Item = &'a str>, key: &Path) -> Result<String> {
    let mut command = program(paths::native_binary("ggen-market"), arguments);
    output(command.arg("--key").arg(key), "ggen-market failed; see what it says above")
}

/// What one publisher publishes.
struct Batch {
    handle: &'static str,
    key: PathBuf,
    publishers: PathBuf,
    log: PathBuf,
    relays: Vec<String>,
    files: Vec<CrateFile>,
}

/// What the processes that publish tell.
enum Told {
    Line(String),
    End(usize),
}

/// Publishing all batches, a few at once.
struct Run {
    waiting: VecDeque<Batch>,
    running: BTreeMap<usize, (Batch, std::process::Child)>,
    /// Crates of a running batch that were not told to be published, by name and version.
    open: BTreeMap<(String, String), CrateFile>,
    stamp: PathBuf,
    total: usize,
    published: usize,
    refused: usize,
    logs: Vec<PathBuf>,
    told: (SyncSender<Told>, Receiver<Told>),
}

impl Run {
    fn new(waiting: VecDeque<Batch>, stamp: PathBuf) -> Self {
        let files = waiting.iter().flat_map(|batch| &batch.files);
        let open: BTreeMap<_, _> =
            files.map(|file| ((file.name.clone(), file.version.clone()), file.clone())).collect();
        Self {
            total: open.len(),
            open,
            waiting,
            running: BTreeMap::new(),
            stamp,
            published: 0,
            refused: 0,
            logs: Vec::new(),
            told: sync_channel(AT_ONCE * SAY_EVERY),
        }
    }

    fn finish(&mut self, stop: &Stop, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        let mut next = 0;
        while !self.waiting.is_empty() || !self.running.is_empty() {
            while self.running.len() < AT_ONCE
                && let Some(batch) = self.waiting.pop_front()
            {
                self.start(next, batch)?;
                next += 1;
            }
            if stop.is_asked() {
                return Ok(());
            }
            check()?;
            match self.told.1.recv_timeout(LOOK_EVERY) {
                Ok(Told::Line(line)) => self.note(&line)?,
                Ok(Told::End(batch)) => self.end(batch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("nobody is left to tell what was published")
                }
            }
        }
        say::line(&format!("published {} of {}", self.published, self.total));
        if self.refused > 0 {
            let logs: Vec<_> = self.logs.iter().map(|log| log.display().to_string()).collect();
            say::line(&format!(
                "{} crates were refused, and are not tried again; the reasons are in {}",
                self.refused,
                logs.join(", ")
            ));
        }
        Ok(())
    }

    fn start(&mut self, number: usize, batch: Batch) -> Result<()> {
        let log = fs::File::create(&batch.log).with_context(|| format!("cannot write {}", batch.log.display()))?;
        let mut command = relays::child(&paths::native_binary("ggen-market"));
        command.arg("publish").args(batch.files.iter().map(|file| &file.path));
        for relay in &batch.relays {
            command.args(["--relay", relay]);
        }
        command.arg("--key").arg(&batch.key).arg("--publishers").arg(&batch.publishers);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().context("cannot start ggen-market")?;
        let stdout = process.stdout.take().expect("its standard output was asked for as a pipe");
        let tell = self.told.0.clone();
        thread::spawn(move || listen(number, stdout, &tell));
        self.running.insert(number, (batch, process));
        Ok(())
    }

    fn note(&mut self, line: &str) -> Result<()> {
        let Some(key) = told_published(line) else {
            return Ok(());
        };
        let Some(file) = self.open.remove(&key) else {
            return Ok(());
        };
        self.published += 1;
        if self.published.is_multiple_of(SAY_EVERY) {
            say::line(&format!("published {} of {}", self.published, self.total));
        }
        self.remember(&format!("published {}", file.file_name()))
    }

    fn end(&mut self, number: usize) -> Result<()> {
        let Some((batch, mut process)) = self.running.remove(&number) else {
            return Ok(());
        };
        let status = process.wait()?;
        let keys = batch.files.iter().map(|file| (file.name.clone(), file.version.clone()));
        let left: Vec<_> = keys.filter_map(|key| self.open.remove(&key)).collect();
        let Some(first) = left.first() else {
            return Ok(());
        };
        // Exit code 1 says that single packages were refused. Any other failure, or that all were, is not theirs.
        if status.code() != Some(1) || left.len() == batch.files.len() {
            let log = fs::read_to_string(&batch.log).unwrap_or_default();
            bail!(
                "{} ended with {status} without publishing {} and last said `{}`; see {}",
                batch.handle,
                first.file_name(),
                log.lines().last().unwrap_or_default(),
                batch.log.display()
            );
        }
        self.refused += left.len();
        self.logs.push(batch.log);
        left.iter().try_for_each(|file| self.remember(&format!("refused {}", file.file_name())))
    }

    fn remember(&self, line: &str) -> Result<()> {
        let mut stamp =
            OpenOptions::new().create(true).append(true).open(&self.stamp).context("cannot note what was published")?;
        writeln!(stamp, "{line}").context("cannot note what was published")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        for (_, process) in self.running.values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn listen(number: usize, stdout: ChildStdout, tell: &SyncSender<Told>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        // Nobody listens any more when the demo stops.
        let _ = tell.send(Told::Line(line));
    }
    let _ = tell.send(Told::End(number));
}

/// Name and version in `published NAME VERSION …` or `already NAME VERSION …`.
fn told_published(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    matches!(words.next()?, "published" | "already").then_some(())?;
    Some((words.next()?.to_owned(), words.next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_published_or_was_already() {
        let key = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(told_published("published tokio 1.53.0 b7x bafy"), key("tokio", "1.53.0"));
        assert_eq!(told_published("already tokio 1.53.0"), key("tokio", "1.53.0"));
        assert_eq!(told_published("publishing tokio"), None);
    }

    #[test]
    fn counts_the_versions_of_a_package_as_releases_of_one() {
        let stamp =
            "published rand-0.8.5.crate\npublished rand-0.9.2.crate\npublished a-1.0.0.crate\nrefused odd-1.0.0.crate";
        let stamp = stamp.lines().filter_map(read_stamp_line).collect();
        assert_eq!(count(&stamp), Count { releases: 3, packages: 2 });
    }

    #[test]
    fn reads_its_stamp() {
        assert_eq!(read_stamp_line("published tokio-1.53.0.crate"), Some(("tokio-1.53.0.crate", true)));
        assert_eq!(read_stamp_line("refused odd-1.0.0.crate"), Some(("odd-1.0.0.crate", false)));
        assert_eq!(read_stamp_line(""), None);
    }
}
