//! A disk in memory that forgets what was not synced when its power is cut, at a step that the test chooses.
//!
//! Pessimistic where disks differ: unsynced writes may survive in any subset, sector by sector; names and bytes are synced
//! apart from each other; a renamed file may be left under both names, one or none.

mod medium;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

const SECTOR_BYTES: usize = 512;

/// What survives of the unsynced writes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survivors {
    None,
    All,
    /// Every second one.
    Alternating,
    /// A subset that the seed decides.
    Seeded(u64),
}

/// A kind of sync that says it was done and does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lie {
    Database,
    DatabaseName,
    File,
    Directory,
}

#[derive(Debug, Clone, Default)]
pub(super) struct PowerDisk(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Clone, Default)]
struct State {
    steps: u64,
    database_syncs: u64,
    cut_at: Option<u64>,
    off: bool,
    full: bool,
    held: bool,
    waiting: bool,
    directory_syncs_fail: bool,
    lie: Option<Lie>,
    /// The names of databases: their own directory, which holds nothing else.
    database_names: Directory,
    databases: Vec<Database>,
    directories: BTreeMap<PathBuf, Directory>,
    contents: Vec<Content>,
}

#[derive(Debug, Default, Clone)]
struct Database {
    durable: Vec<u8>,
    seen: Vec<u8>,
    pending: Vec<Write>,
}

#[derive(Debug, Clone)]
enum Write {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Write {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Bytes(offset, bytes) => {
                file.resize(file.len().max(offset + bytes.len()), 0);
                file[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// The parts of which each may survive alone.
    fn sectors(self) -> Vec<Self> {
        let Self::Bytes(mut offset, bytes) = self else { return vec![self] };
        let mut rest = &bytes[..];
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let length = (SECTOR_BYTES - offset % SECTOR_BYTES).min(rest.len());
            parts.push(Self::Bytes(offset, rest[..length].to_vec()));
            offset += length;
            rest = &rest[length..];
        }
        parts
    }
}

#[derive(Debug, Default, Clone)]
struct Directory {
    durable: BTreeMap<PathBuf, Node>,
    seen: BTreeMap<PathBuf, Node>,
    pending: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Directory,
    File(usize),
}

impl Directory {
    fn set(&mut self, name: &Path, node: Option<Node>) {
        apply(&mut self.seen, name, node);
        self.pending.push((name.into(), node));
    }

    fn sync(&mut self) {
        self.pending.clear();
        self.durable = self.seen.clone();
    }

    fn file(&self, name: &str) -> Option<usize> {
        match self.seen.get(Path::new(name))? {
            Node::File(content) => Some(*content),
            Node::Directory => None,
        }
    }

    fn survivor(&self, luck: &mut Luck) -> Self {
        let mut names = self.durable.clone();
        for (name, node) in &self.pending {
            if luck.survives() {
                apply(&mut names, name, *node);
            }
        }
        Self { durable: names.clone(), seen: names, pending: vec![] }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, name: &Path, node: Option<Node>) {
    match node {
        Some(node) => names.insert(name.into(), node),
        None => names.remove(name),
    };
}

#[derive(Debug, Default, Clone)]
struct Content {
    durable: Vec<u8>,
    seen: Vec<u8>,
}

impl PowerDisk {
    pub(super) fn new() -> Self {
        let disk = Self::default();
        disk.state().directories.insert(PathBuf::new(), Directory::default());
        disk
    }

    pub(super) fn cut_power_at(&self, step: u64) {
        self.state().cut_at = Some(step);
    }

    pub(super) fn lie_about(&self, lie: Lie) {
        self.state().lie = Some(lie);
    }

    /// From now on whatever needs room fails, until there is room again.
    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// From now on no directory can be synced, though it can be changed.
    pub(super) fn fail_directory_syncs(&self, fail: bool) {
        self.state().directory_syncs_fail = fail;
    }

    pub(super) fn steps(&self) -> u64 {
        self.state().steps
    }

    pub(super) fn database_syncs(&self) -> u64 {
        self.state().database_syncs
    }

    pub(super) fn is_off(&self) -> bool {
        self.state().off
    }

    /// Makes the next step wait.
    pub(super) fn hold(&self) {
        self.state().held = true;
    }

    /// Waits until a step waits.
    pub(super) fn wait_until_held(&self) {
        let (_, changed) = &*self.0;
        let state = changed.wait_while(self.state(), |state| !state.waiting).unwrap();
        drop(state);
    }

    pub(super) fn release(&self) {
        self.state().held = false;
        self.0.1.notify_all();
    }

    /// Changes one bit of a file as decay would.
    pub(super) fn rot(&self, path: &Path) {
        let mut state = self.state();
        let content = state.file(path).unwrap();
        state.contents[content].seen[0] ^= 1;
    }

    /// The disk after the process was killed, and nothing else: unsynced writes are still seen, and still unsynced.
    pub(super) fn after_kill(&self) -> Self {
        let state = State { steps: 0, cut_at: None, off: false, ..self.state().clone() };
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    /// The disk after a power cut now.
    pub(super) fn after_power_cut(&self, survivors: Survivors) -> Self {
        let old = self.state();
        let mut luck = Luck::new(survivors);
        let mut state = State { database_names: old.database_names.survivor(&mut luck), ..State::default() };
        for database in &old.databases {
            let mut bytes = database.durable.clone();
            let parts = database.pending.iter().cloned().flat_map(Write::sectors);
            parts.filter(|_| luck.survives()).for_each(|write| write.apply(&mut bytes));
            state.databases.push(Database { durable: bytes.clone(), seen: bytes, pending: vec![] });
        }
        for content in &old.contents {
            let bytes = if content.durable == content.seen || !luck.survives() {
                content.durable.clone()
            } else {
                // A part of the bytes may be there, or only their length.
                let mut bytes = content.seen.clone();
                if !luck.survives() {
                    let kept = bytes.len() / 2;
                    bytes[kept..].fill(0);
                }
                bytes
            };
            state.contents.push(Content { durable: bytes.clone(), seen: bytes });
        }
        for (path, directory) in &old.directories {
            state.directories.insert(path.clone(), directory.survivor(&mut luck));
        }
        state.forget_unnamed_directories();
        Self(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// The state, for one more change of the disk; an error when the power is cut at it or was cut before.
    fn step(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.powered()?;
        if state.held {
            state.waiting = true;
            self.0.1.notify_all();
            state = self.0.1.wait_while(state, |state| state.held).unwrap();
            state.waiting = false;
        }
        if state.cut_at == Some(state.steps) {
            state.off = true;
            return Err(power_cut());
        }
        state.steps += 1;
        Ok(state)
    }

    fn growing_step(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = self.step()?;
        if state.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(state) }
    }

    fn powered(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = self.state();
        if state.off { Err(power_cut()) } else { Ok(state) }
    }
}

fn power_cut() -> io::Error {
    io::Error::other("the power is cut")
}

impl State {
    fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn node(&self, path: &Path) -> Option<Node> {
        let directory = self.directories.get(path.parent()?)?;
        directory.seen.get(Path::new(path.file_name()?)).copied()
    }

    fn file(&self, path: &Path) -> Option<usize> {
        match self.node(path)? {
            Node::File(content) => Some(content),
            Node::Directory => None,
        }
    }

    fn set(&mut self, path: &Path, node: Option<Node>) -> io::Result<()> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.directory(directory)?.set(Path::new(name), node);
        Ok(())
    }

    fn forget_unnamed_directories(&mut self) {
        let named: Vec<PathBuf> = self
            .directories
            .keys()
            .filter(|path| path.as_os_str().is_empty() || matches!(self.node(path), Some(Node::Directory)))
            .cloned()
            .collect();
        self.directories.retain(|path, _| named.contains(path));
        // A name that survived without its directory's own record points to an empty one.
        for name in self.directories[Path::new("")].seen.clone() {
            if let (name, Node::Directory) = name {
                self.directories.entry(name).or_default();
            }
        }
    }
}

/// Decides write by write.
struct Luck {
    survivors: Survivors,
    state: u64,
}

impl Luck {
    fn new(survivors: Survivors) -> Self {
        Self { survivors, state: if let Survivors::Seeded(seed) = survivors { seed } else { 0 } }
    }

    fn survives(&mut self) -> bool {
        match self.survivors {
            Survivors::None => false,
            Survivors::All => true,
            Survivors::Alternating => {
                self.state ^= 1;
                self.state == 1
            }
            // Seeds differ in how many survive, as a few lost and a few kept find other faults than half and half.
            Survivors::Seeded(seed) => split_mix(&mut self.state) % 8 < [1, 4, 7][(seed % 3) as usize],
        }
    }
}

/// SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Database {
    fn write(&mut self, write: Write) {
        write.apply(&mut self.seen);
        self.pending.push(write);
    }
}
