//! `kill -9` of a relay or a client at random moments of publishing, fetching and installing: nothing that was acknowledged is lost, nothing
//! half-written is visible, and every record has an index of its own. `cargo xtask soak` asks for more kills than a test run does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use ggen_net::address;
use ggen_relay::market::keys::PublisherKey;
use ggen_relay::market::ledger::{self, Ledger, Locked};
use ggen_shared::catalogue::keys;
use ggen_shared::id::RecordId;
use ggen_shared::limits::MAX_RECORDS_PER_REQUEST;
use ggen_shared::protocol::query;
use ggen_shared::record::{KeyLog, Record, Release, Verified};
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{Asked, verify_range, verify_records};
use ggen_tests::install::files;
use ggen_tests::process::RelayProcess;
use ggen_tests::terminal::{Run, Terminal, write_package};
use ggen_tests::{TestPeer, network, until, within};
use tempfile::TempDir;

/// Kills of a test run; `GGEN_KILLS` asks for others.
const KILLS: u32 = 18;
/// Packages that are published at once, one of them with content of several blocks.
const PACKAGES: usize = 6;
/// Packages that are installed: the first needs all others.
const NEEDED: usize = 8;
/// Blocks of content that are fetched at once: below what a relay lets one peer ask for.
const FETCHES: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Publish,
    Fetch,
    Install,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Client,
    Relay,
}

const ALL: [(Work, Victim); 6] = [
    (Work::Publish, Victim::Client),
    (Work::Publish, Victim::Relay),
    (Work::Fetch, Victim::Client),
    (Work::Fetch, Victim::Relay),
    (Work::Install, Victim::Client),
    (Work::Install, Victim::Relay),
];

/// Numbers that depend on a seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let high = u32::try_from(self.0 >> 32).unwrap();
        high % limit
    }

    /// Bytes that hardly get smaller.
    fn noise(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.below(256).to_le_bytes()[0]).take(length).collect()
    }
}

/// A relay that is started again whenever it was killed.
struct Seat {
    directory: TempDir,
    process: Option<RelayProcess>,
    /// What it has acknowledged.
    owed: BTreeSet<RecordId>,
}

impl Seat {
    async fn start(others: &[libp2p::Multiaddr]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Some(RelayProcess::joined(directory.path(), others).await);
        Self { directory, process, owed: BTreeSet::new() }
    }

    fn relay(&self) -> &RelayProcess {
        self.process.as_ref().expect("it was started again")
    }

    async fn peer(&self) -> TestPeer {
        TestPeer::at(&[self.relay().tcp()]).await
    }

    /// The releases of these ids that it has.
    async fn releases(&self, ids: &BTreeSet<RecordId>, key_log: &KeyLog) -> Vec<Box<Verified<Release>>> {
        let (peer, ids) = (self.peer().await, ids.iter().copied().collect::<Vec<_>>());
        let mut there = Vec::new();
        for ids in ids.chunks(MAX_RECORDS_PER_REQUEST) {
            let question = query::Records { ids: ids.to_vec() };
            let answer = peer.peer.ask(self.relay().peer_id(), question.clone()).await.unwrap();
            let verified = verify_records(&question, answer, &network(), |_| Some(key_log.clone())).unwrap();
            assert!(verified.unanswered.is_empty());
            there.extend(verified.records.into_iter().flatten().map(|record| match record.unwrap() {
                Record::Release(release) => release,
                other => panic!("no release: {other:?}"),
            }));
        }
        there
    }

    /// Demands that it has what it acknowledged.
    async fn keeps_its_word(&self, key_log: &KeyLog) {
        let there: BTreeSet<_> = self.releases(&self.owed, key_log).await.iter().map(|release| release.id()).collect();
        let lost: Vec<_> = self.owed.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}\n{}", self.relay().log());
    }

    /// How many packages it lists.
    async fn listed(&self) -> u64 {
        let peer = self.peer().await;
        let newest = query::RangeOf::first(&keys::newest(), 0);
        let listed = peer.peer.ask(self.relay().peer_id(), newest.clone()).await.unwrap();
        let relay = address::key_of(&self.relay().peer_id()).unwrap();
        let asked = Asked { network: &network(), relay: &relay, epoch: peer.peer.epoch(), rules: Rules::FIRST };
        verify_range(&newest, &listed, &asked).unwrap().total
    }
}

struct Drill {
    dice: Dice,
    relays: [Seat; 2],
    terminal: Terminal,
    publisher: String,
    /// How long each kind of work takes that nobody interrupts.
    takes: BTreeMap<Work, Duration>,
    kills: BTreeMap<(Work, Victim), u32>,
    acknowledged: BTreeSet<RecordId>,
    /// What an installation has on the disk.
    installed: BTreeMap<String, Vec<u8>>,
    rounds: u32,
}

impl Drill {
    /// Starts relays, and publishes what is to be fetched and installed.
    async fn start(seed: u64) -> Self {
        let first = Seat::start(&[]).await;
        let second = Seat::start(&[first.relay().tcp()]).await;
        let terminal = Terminal::without_key(&[]).as_publisher("alice").await;
        let publisher = terminal.publisher().await;
        let mut drill = Self {
            dice: Dice(seed),
            relays: [first, second],
            terminal,
            publisher,
            takes: BTreeMap::new(),
            kills: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            installed: BTreeMap::new(),
            rounds: 0,
        };
        drill.publish_needed().await;
        for work in [Work::Publish, Work::Fetch, Work::Install] {
            let begun = Instant::now();
            let done = drill.uninterrupted(work).await;
            assert_eq!(done.code, 0, "{work:?}: {done:?}");
            drill.takes.insert(work, begun.elapsed());
            match work {
                Work::Publish => drill.note_said(0, &done.out),
                Work::Fetch => assert!(drill.fetched().join("package.toml").exists()),
                Work::Install => drill.installed = files(&drill.packages()),
            }
            drill.clear();
        }
        assert_eq!(drill.installed.len(), NEEDED * 2 + 1, "{:?}", drill.installed.keys());
        drill
    }

    async fn publish_needed(&mut self) {
        let shown = self.terminal.run(&["key", "show"]).await.out;
        let id = shown.lines().find_map(|line| line.strip_prefix("publisher ")).unwrap().to_owned();
        let root = self.terminal.home.path().join("needed");
        for number in 0..NEEDED {
            let directory = root.join(number.to_string());
            write_package(&directory, &format!("needed-{number}"), "1.0.0");
            fs::write(directory.join("noise"), self.dice.noise(300_000)).unwrap();
            if number == 0 {
                let all: String = (1..NEEDED)
                    .map(|other| format!("needed-{other} = {{ version = \"1\", publisher = \"{id}\" }}\n"))
                    .collect();
                let manifest = fs::read_to_string(directory.join("package.toml")).unwrap();
                fs::write(directory.join("package.toml"), format!("{manifest}\n[dependencies]\n{all}")).unwrap();
            }
        }
        self.use_relays(&[0]);
        let done = self.terminal.with_relays(&["publish", "--all", &root.display().to_string()]).await;
        assert_eq!(done.code, 0, "{done:?}");
        self.note_said(0, &done.out);
        self.use_relays(&[0, 1]);
        for number in 0..NEEDED {
            let name = format!("{}/needed-{number}", self.publisher);
            until("checkpoints that have it", async || {
                let info = self.terminal.ask(&["info", &name, "--json"]).await;
                let by = (info.code == 0).then(|| info.json()["confirmed_by"].as_array().map(Vec::len)).flatten();
                (by == Some(2)).then_some(())
            })
            .await;
        }
    }

    fn use_relays(&mut self, numbers: &[usize]) {
        self.terminal.relays = numbers.iter().map(|number| self.relays[*number].relay().tcp().to_string()).collect();
    }

    fn fetched(&self) -> PathBuf {
        self.terminal.home.path().join("fetched/needed")
    }

    fn packages(&self) -> PathBuf {
        self.terminal.home.path().join("packages")
    }

    /// Removes what was fetched and installed.
    fn clear(&self) {
        for path in [self.fetched(), self.packages(), self.terminal.home.path().join(".cache")] {
            if path.exists() {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }

    /// The arguments of some work; publications go to one relay alone, so that it is known who acknowledged them.
    fn begin(&mut self, work: Work, relay: usize) -> Vec<String> {
        self.rounds += 1;
        self.use_relays(if work == Work::Publish { std::slice::from_ref(&relay) } else { &[0, 1] });
        let first = format!("{}/needed-0", self.publisher);
        let (fetched, packages) = (self.fetched(), self.packages());
        let arguments = match work {
            Work::Publish => ["publish", "--all", &self.tree().display().to_string()].map(str::to_owned).to_vec(),
            Work::Fetch => {
                fs::create_dir_all(fetched.parent().unwrap()).unwrap();
                ["fetch", &first, "--to", &fetched.display().to_string(), "--network", network().as_str()]
                    .map(str::to_owned)
                    .to_vec()
            }
            Work::Install => {
                ["install", &first, "--to", &packages.display().to_string(), "--network", network().as_str()]
                    .map(str::to_owned)
                    .to_vec()
            }
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.terminal.to_relays(&arguments).into_iter().map(str::to_owned).collect()
    }

    /// New packages.
    fn tree(&mut self) -> PathBuf {
        let root = self.terminal.home.path().join(format!("round-{}", self.rounds));
        for number in 0..PACKAGES {
            write_package(&root.join(number.to_string()), &format!("package-{}-{number}", self.rounds), "1.0.0");
        }
        fs::write(root.join("0/noise"), self.dice.noise(700_000)).unwrap();
        root
    }

    async fn uninterrupted(&mut self, work: Work) -> Run {
        let arguments = self.begin(work, 0);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.terminal.run(&arguments).await
    }

    /// Starts some work and kills somebody at a random moment of it, unless it has ended by then.
    async fn round(&mut self, work: Work, victim: Victim) {
        let relay = self.dice.below(2) as usize;
        let arguments = self.begin(work, relay);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let out = self.terminal.home.path().join("out");
        let mut command = self.terminal.command(&arguments);
        let mut client = command.stdout(File::create(&out).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let moment = self.takes[&work] * self.dice.below(1000) / 1000;
        let ended = tokio::time::timeout(moment, client.wait()).await;
        let is_killed = ended.is_err();
        if is_killed && victim == Victim::Client {
            within("the client's end after SIGKILL", client.kill()).await.unwrap();
        } else if is_killed {
            let [first, second] = &mut self.relays;
            let (seat, other) = if relay == 0 { (first, second) } else { (second, first) };
            seat.process.take().unwrap().kill().await;
            within("the client's end without the relay", client.wait()).await.unwrap();
            let again = RelayProcess::joined(seat.directory.path(), &[other.relay().tcp()]).await;
            seat.process = Some(again);
        }
        *self.kills.entry((work, victim)).or_default() += u32::from(is_killed);
        let said = fs::read_to_string(out).unwrap();
        match work {
            Work::Publish => self.note_said(relay, &said),
            Work::Fetch => self.check_fetched(),
            Work::Install => self.check_installed().await,
        }
        if work == Work::Publish || victim == Victim::Relay {
            self.relays[relay].keeps_its_word(&self.key_log()).await;
        }
    }

    /// Takes note of what a publishing client said that a relay has acknowledged: the whole lines of it.
    fn note_said(&mut self, relay: usize, said: &str) {
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        let signed: BTreeSet<RecordId> = self.ledger().ids().collect();
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            // `sent published NAME VERSION ID` is what waited; what waits now is signed, and nobody has acknowledged it.
            let (id, is_acknowledged) = match words[0] {
                "sent" => (words[4], true),
                verb => (words[3], verb == "published"),
            };
            let id: RecordId = id.parse().unwrap();
            assert!(signed.contains(&id), "what was said to be signed is in the ledger: {line}");
            if is_acknowledged {
                self.relays[relay].owed.insert(id);
                self.acknowledged.insert(id);
            }
        }
    }

    /// A fetched package is there whole or not at all.
    fn check_fetched(&self) {
        if self.fetched().exists() {
            assert_same(&files(&self.fetched()), &self.of_installed("needed-0-1.0.0"), "a fetched package is whole");
            fs::remove_dir_all(self.fetched()).unwrap();
        }
        let beside = fs::read_dir(self.fetched().parent().unwrap()).unwrap();
        let beside: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(beside.iter().all(|name| name.starts_with('.')), "nothing else is visible: {beside:?}");
    }

    fn of_installed(&self, directory: &str) -> BTreeMap<String, Vec<u8>> {
        let below = |(path, bytes): (&String, &Vec<u8>)| {
            Some((path.strip_prefix(directory)?.strip_prefix('/')?.to_owned(), bytes.clone()))
        };
        self.installed.iter().filter_map(below).collect()
    }

    /// Packages are there whole or not at all, and half of the times the next run installs the others.
    async fn check_installed(&mut self) {
        let there = fs::read_dir(self.packages()).into_iter().flatten();
        let there: Vec<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let visible: Vec<_> = there.iter().filter(|name| !name.starts_with('.')).collect();
        for name in &visible {
            match &name[..] {
                "ggen.lock" => {
                    assert_eq!(fs::read(self.packages().join(name)).unwrap(), self.installed["ggen.lock"]);
                    assert_eq!(visible.len(), NEEDED + 1, "a lock file stands for packages that are there");
                }
                name => {
                    let whole = format!("{name} is whole");
                    assert_same(&files(&self.packages().join(name)), &self.of_installed(name), &whole);
                }
            }
        }
        let is_whole = visible.len() == NEEDED + 1;
        if is_whole || self.dice.below(2) == 0 {
            let first = format!("{}/needed-0", self.publisher);
            let packages = self.packages().display().to_string();
            self.use_relays(&[0, 1]);
            until("an installation that goes on", async || {
                let done = self.terminal.ask(&["install", &first, "--to", &packages]).await;
                (done.code == 0).then_some(())
            })
            .await;
            assert_same(&files(&self.packages()), &self.installed, "nothing is missing and nothing is left over");
            self.clear();
        }
    }

    fn key(&self) -> PathBuf {
        self.terminal.config().join("market.key")
    }

    fn key_log(&self) -> KeyLog {
        PublisherKey::load(&self.key()).unwrap().key_log
    }

    fn ledger(&self) -> Ledger {
        let key = PublisherKey::load(&self.key()).unwrap();
        Locked::of(&ledger::path_of(&self.key())).unwrap().read(&key.key_log, &key.network).unwrap()
    }

    /// Delivers what waits, and demands that both relays have all that was ever signed, each at an index of its own.
    async fn end(mut self) {
        self.use_relays(&[0, 1]);
        until("everything to be sent", async || {
            let sent = self.terminal.with_relays(&["send"]).await;
            (sent.code == 0).then_some(())
        })
        .await;
        let waiting = fs::read_dir(self.terminal.config().join("market.key.waiting")).unwrap().count();
        assert_eq!(waiting, 0, "nothing is left over");
        let (key_log, ledger) = (self.key_log(), self.ledger());
        let signed: BTreeSet<RecordId> = ledger.ids().collect();
        let indices: BTreeSet<u32> = (0..u32::try_from(signed.len()).unwrap()).collect();
        assert_eq!(ledger.next_index() as usize, signed.len(), "the next index follows");
        for seat in &self.relays {
            let there = until("records that the other relay has", async || {
                let there = seat.releases(&signed, &key_log).await;
                (there.len() == signed.len()).then_some(there)
            })
            .await;
            let at: BTreeSet<u32> = there.iter().map(|release| release.index).collect();
            assert_eq!(at, indices, "no index is used twice, and none is left out");
            until("a checkpoint of just these", async || (seat.listed().await == signed.len() as u64).then_some(()))
                .await;
            let peer = &seat.peer().await.peer;
            let whole = stream::iter(&there).map(Ok).try_for_each_concurrent(FETCHES, async |release| {
                until("content", async || peer.fetch(release.artifact).await.ok()).await;
                Ok::<_, std::convert::Infallible>(())
            });
            within("all content", whole).await.unwrap();
            assert_eq!(seat.relay().panics(), [""; 0]);
        }
        println!("{} rounds, {} kills:", self.rounds, self.kills.values().sum::<u32>());
        for ((work, victim), count) in &self.kills {
            println!("{count:>5} of the {victim:?} during {work:?}");
        }
        let (signed, acknowledged) = (signed.len(), self.acknowledged.len());
        println!(
            "{signed} records signed, {acknowledged} of them acknowledged to runs that may have been killed; all of them at both relays, with their content"
        );
    }
}

/// Compares files, and says no more of those that differ than their names.
fn assert_same(there: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, claim: &str) {
    let names = there.keys().chain(expected.keys()).collect::<BTreeSet<_>>();
    let different: Vec<_> = names.into_iter().filter(|name| there.get(*name) != expected.get(*name)).collect();
    assert!(different.is_empty(), "{claim}, but not {different:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_nothing_acknowledged_and_show_nothing_half_written() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("GGEN_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("GGEN_SEED={seed} throws the same dice again");
    let kills = number("GGEN_KILLS").map_or(KILLS, |kills| u32::try_from(kills).unwrap());
    let mut drill = Drill::start(seed).await;
    for (work, victim) in ALL.into_iter().cycle().take(4 * kills as usize) {
        drill.round(work, victim).await;
        let done: u32 = drill.kills.values().sum();
        if done == kills {
            break;
        }
    }
    // The kills came while something was under way, or this test would show less than it says.
    assert_eq!(drill.kills.values().sum::<u32>(), kills);
    drill.end().await;
}
