//! `ggen-market install`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use futures::stream::{self, StreamExt};
use ggen_net::P2PRegistry;
use ggen_relay::causes;
use ggen_relay::market::install::archives::Archives;
use ggen_relay::market::install::gather::{self, Market};
use ggen_relay::market::install::known::{Known, PassedOver};
use ggen_relay::market::install::lock::{Lock, Locked};
use ggen_relay::market::install::locked;
use ggen_relay::market::install::pins::Pins;
use ggen_relay::market::install::place::Place;
use ggen_relay::market::install::resolve::{Chosen, Request, Solution, Wanted};
use ggen_relay::market::install::series::Pick;
use ggen_relay::market::install::wanted::Asked;
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::Network;
use ggen_shared::record::Content;
use indicatif::ProgressBar;
use serde_json::json;

use crate::find::Ask;
use crate::progress::{self, Came};

/// Where packages are installed, if nothing else is said.
pub(crate) const DIRECTORY: &str = "ggen_packages";

/// Relays that have to have a release in their checkpoints: a stolen key and one relay must not be enough.
pub(crate) const ANCHORS: usize = 2;

/// Archives that are fetched at once, and packages that are checked.
const CONCURRENCY: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Install {
    /// What to install: handle~fingerprint/name, or handle/name or name where only one publisher may be meant; behind @ a requirement
    /// such as 1.2 or =1.2.3, or the id of a release. Nothing: what the lock file says.
    #[arg(value_name = "NAME[@REQ]")]
    names: Vec<Asked>,
    /// Where to put it, each package in a directory NAME-VERSION of its own, with the lock file ggen.lock beside them.
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    to: PathBuf,
    /// Install just what the lock file says, by release ids and CIDs, whatever was said of these versions since.
    #[arg(long, conflicts_with_all = ["names", "upgrade", "with_optional", "trust_one_relay"])]
    locked: bool,
    /// With --locked: install also what no relay can check any more.
    #[arg(long, requires = "locked")]
    trust_lock: bool,
    /// Choose the newest versions for all that was ever asked for, instead of keeping those in the lock file.
    #[arg(long)]
    upgrade: bool,
    /// With the optional dependencies of the named packages.
    #[arg(long, requires = "names")]
    with_optional: bool,
    /// Install what a single relay says. A stolen key and a relay of the thief's are enough then to give you something else.
    #[arg(long)]
    trust_one_relay: bool,
    #[command(flatten)]
    ask: Ask,
}

/// What was done with a package.
struct Done {
    directory: String,
    is_new: bool,
    /// How its archive came; None: it was on this machine.
    came: Option<Came>,
}

/// Exit code 0: all is installed; 1: it is not; 2: nobody could be asked.
pub(crate) async fn run(arguments: Install) -> Result<ExitCode> {
    let is_json = arguments.ask.is_json();
    let network = arguments.ask.network()?;
    let directory = arguments.to.clone();
    let place = Place::open(&directory)?;
    let before = Lock::read(&directory)?;
    if let Some(lock) = &before
        && lock.network != network
    {
        bail!("{} holds packages of the network {}: say --network {0}", directory.display(), lock.network);
    }
    let archives = Archives::of_user();
    let Some((lock, registry)) = (match (arguments.locked, before.clone()) {
        (true, Some(lock)) => checked(arguments, &lock, &archives).await?.map(|registry| (lock, registry)),
        (_, None) if arguments.names.is_empty() => {
            bail!("{} has no lock file: say what to install", directory.display())
        }
        (_, before) => chosen(arguments, network, before).await?,
    }) else {
        return Ok(ExitCode::from(1));
    };
    remove_replaced(&place, before.as_ref(), &lock, &archives)?;
    let done = match put(&place, &lock, &archives, registry.as_ref()).await {
        Ok(done) => done,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(1));
        }
    };
    if before.as_ref() != Some(&lock) {
        place.write(&lock)?;
    }
    let removed = remove_others(&place, before.as_ref(), &lock, &archives)?;
    pin(&lock, before.as_ref())?;
    print(&directory, &lock, &done, &removed, is_json);
    Ok(ExitCode::SUCCESS)
}

/// Chooses versions, as anchors confirm them. None: it was said why there are none.
async fn chosen(
    arguments: Install,
    network: Network,
    before: Option<Lock>,
) -> Result<Option<(Lock, Option<P2PRegistry<Tokio>>)>> {
    let Install { names, upgrade, with_optional, trust_one_relay, ask, .. } = arguments;
    let registry = ask.registry().await?;
    let anchors = registry.peer().connections().into_iter().filter(|it| it.anchor && it.is_connected()).count();
    let needed = if trust_one_relay { 1 } else { ANCHORS };
    if anchors < needed {
        eprintln!(
            "error: {anchors} relay answers, and one relay's word is not enough to install by: who has it and a publisher's stolen key could \
             give you anything. Name another relay with --relay, or say --trust-one-relay"
        );
        return Ok(None);
    }
    let pins = Pins::read(&Pins::path())?;
    let market = Market { registry: registry.clone(), needed, pins: &pins };
    let mut request = Request::default();
    if let Some(before) = before {
        request.wanted = before.wanted.into_iter().map(|(pick, wanted)| (pick.package, wanted)).collect();
        for (pick, locked) in before.packages {
            request.keep.entry(pick.package).or_default().insert(locked.release);
        }
    }
    if upgrade {
        request.keep.clear();
    }
    for Asked { name, which } in names {
        let package = match market.meant(&name).await {
            Ok(package) => package,
            Err(error) => return refused(&error),
        };
        // Who names it wants the newest that fits.
        request.keep.remove(&package);
        request.wanted.insert(package, Wanted { which, with_optional });
    }
    let mut known = Known::default();
    let chosen = match market.choose(&request, &mut known).await {
        Ok(chosen) => chosen,
        Err(error) => {
            let refused = refused(&error)?;
            if known.is_any_unconfirmed() {
                eprintln!(
                    "note: relays confirm what they have at the end of each epoch of {} s: what was published just now can be \
                     installed after that",
                    registry.peer().epoch_length().as_secs()
                );
            }
            return Ok(refused);
        }
    };
    notice(&chosen, &known);
    Ok(Some((lock_of(network, &request, chosen, &known), Some(registry))))
}

/// Says why not. What relays say of themselves is an error.
fn refused<T>(error: &gather::Error) -> Result<Option<T>> {
    if error.is_of_network() {
        bail!("{}", causes::of(error));
    }
    eprintln!("error: {}", causes::of(error));
    Ok(None)
}

/// Says what is better than what was chosen, and why it was not.
fn notice(solution: &Solution, known: &Known) {
    let mut notes = BTreeSet::new();
    for (Pick { package, .. }, Chosen { candidate, .. }) in &solution.packages {
        let name = known.short_name(package);
        if let Some(reason) = &candidate.deprecated {
            let colon = if reason.is_empty() { "" } else { ": " };
            eprintln!("warning: {name} {} is deprecated{colon}{reason}", candidate.version);
        }
        if let Some(why) = candidate.passed_over {
            eprintln!("warning: {name} {} is {why}", candidate.version);
        }
        // What only some relays know may be a theft, or come from just now; what the publisher withdrew is as it should be.
        let is_worth_it = |why| matches!(why, PassedOver::Contested | PassedOver::Unconfirmed { .. });
        let others = known.versions(package).into_iter().flat_map(|versions| &versions.candidates);
        let newer = others.filter(|it| it.version > candidate.version && it.passed_over.is_some_and(is_worth_it));
        // Two versions of one package have the same ones.
        notes.extend(newer.filter_map(|it| Some((name.clone(), &it.version, it.passed_over?.to_string()))));
    }
    for (name, version, why) in notes {
        eprintln!("note: {name} {version} is not chosen: it is {why}");
    }
}

fn lock_of(network: Network, request: &Request, solution: Solution, known: &Known) -> Lock {
    let wanted = |(package, pick)| Some((pick, request.wanted.get(&package)?.clone()));
    let locked = |(pick, Chosen { candidate, needs }): (Pick, Chosen)| {
        let full_name = known.versions(&pick.package)?.full_name.clone();
        let (release, record, content) = (candidate.release, Some(candidate.record), candidate.content);
        Some((pick, Locked { full_name, release, record, content, needs }))
    };
    let wanted = solution.wanted.into_iter().filter_map(wanted).collect();
    Lock { network, wanted, packages: solution.packages.into_iter().filter_map(locked).collect() }
}

/// Checks what a lock file names by the releases. None: it was said why it is not installed. Some of no relay: nobody can be asked, and nobody has to.
async fn checked(arguments: Install, lock: &Lock, archives: &Archives) -> Result<Option<Option<P2PRegistry<Tokio>>>> {
    let registry = match arguments.ask.registry().await {
        Ok(registry) => registry,
        Err(error) => {
            for locked in lock.packages.values() {
                if archives.get(&locked.content)?.is_none() {
                    return Err(error);
                }
            }
            eprintln!("warning: no relay was asked what was said of these versions since they were locked: {error:#}");
            return Ok(Some(None));
        }
    };
    let market = &Market { registry: registry.clone(), needed: 1, pins: &Pins::default() };
    let mut checks = stream::iter(&lock.packages)
        .map(async |(pick, locked)| (pick, locked, Box::pin(market.check(pick, locked)).await))
        .buffered(CONCURRENCY);
    let mut is_good = true;
    while let Some((pick, locked, check)) = checks.next().await {
        let name = format!("{} {}", locked.full_name, pick.version);
        match check {
            Ok(None) => {}
            Ok(Some(said)) => eprintln!("warning: {name} {said}"),
            Err(error @ (locked::Error::NoRecord(_) | locked::Error::Void(_))) if arguments.trust_lock => {
                eprintln!("warning: {name}: {}", causes::of(&error));
            }
            Err(error) => {
                is_good = false;
                eprintln!("error: {name}: {}", causes::of(&error));
            }
        }
    }
    drop(checks);
    Ok(is_good.then_some(Some(registry)))
}

/// Fetches what is not here, some archives at once, and puts each package in place when its archive is there.
async fn put(
    place: &Place,
    lock: &Lock,
    archives: &Archives,
    registry: Option<&P2PRegistry<Tokio>>,
) -> Result<BTreeMap<Pick, Done>, String> {
    let directories = lock.directories();
    let progress = progress::bar(lock.packages.values().map(|locked| locked.content.size).sum());
    let mut fetched = stream::iter(&lock.packages)
        .map(async |(pick, locked)| {
            progress.set_message(locked.full_name.name.to_string());
            let archive = archive(archives, locked.content, registry, &progress).await;
            (pick, locked, archive)
        })
        .buffer_unordered(CONCURRENCY);
    let mut done = BTreeMap::new();
    while let Some((pick, locked, archive)) = fetched.next().await {
        let said = |error: String| format!("{} {}: {error}", locked.full_name, pick.version);
        let (directory, (archive, came)) = (directories[pick].clone(), archive.map_err(said)?);
        let put = tokio::task::block_in_place(|| place.put(&directory, &archive));
        let is_new = put.map_err(|error| said(causes::of(&error)))?;
        done.insert(pick.clone(), Done { directory, is_new, came });
    }
    progress.finish_and_clear();
    Ok(done)
}

/// An archive: from this machine, else from relays, and kept; and how it came. Its bytes are added to the progress.
pub(crate) async fn archive(
    archives: &Archives,
    content: Content,
    registry: Option<&P2PRegistry<Tokio>>,
    progress: &ProgressBar,
) -> Result<(Vec<u8>, Option<Came>), String> {
    let said = |error: std::io::Error| format!("fetched archives can't be kept: {error}");
    if let Some(archive) = tokio::task::block_in_place(|| archives.get(&content)).map_err(said)? {
        progress.inc(content.size);
        return Ok((archive, None));
    }
    let registry = registry.ok_or("its archive is not on this machine, and no relay can be asked")?;
    let (archive, came) =
        progress::fetch(registry.peer(), content, progress).await.map_err(|error| causes::of(&error))?;
    tokio::task::block_in_place(|| archives.put(&content, &archive)).map_err(said)?;
    Ok((archive, Some(came)))
}

/// Removes what something else is to stand in place of: another release of the same version. What was changed by somebody stays, in its way.
fn remove_replaced(place: &Place, before: Option<&Lock>, lock: &Lock, archives: &Archives) -> Result<()> {
    let directories = lock.directories();
    let content = |lock: &Lock, pick: &Pick| lock.packages.get(pick).map(|locked: &Locked| locked.content);
    let Some(before) = before else { return Ok(()) };
    for (pick, directory) in before.directories() {
        let old = content(before, &pick);
        if directories.get(&pick) == Some(&directory)
            && content(lock, &pick) != old
            && let Some(archive) = old.map(|old| archives.get(&old)).transpose()?.flatten()
        {
            place.remove(&directory, &archive)?;
        }
    }
    Ok(())
}

/// Removes what was installed before and is not now. What was changed by somebody stays, and is named.
fn remove_others(place: &Place, before: Option<&Lock>, lock: &Lock, archives: &Archives) -> Result<Vec<String>> {
    let kept: BTreeSet<String> = lock.directories().into_values().collect();
    let mut removed = Vec::new();
    for (pick, directory) in before.map(Lock::directories).unwrap_or_default() {
        if kept.contains(&directory) {
            continue;
        }
        let content = before.and_then(|before| before.packages.get(&pick)).map(|locked| locked.content);
        let archive = content.map(|content| archives.get(&content)).transpose()?.flatten();
        match archive.map(|archive| place.remove(&directory, &archive)).transpose()? {
            Some(true) => removed.push(directory),
            Some(false) | None => {
                eprintln!("warning: {directory} is not needed any more, and stays: it may have been changed")
            }
        }
    }
    Ok(removed)
}

/// Whose packages somebody has asked for, he knows from now on. Whom these depend on, they chose; and what a lock file asked for already, whoever
/// wrote it did, who may be somebody else.
fn pin(lock: &Lock, before: Option<&Lock>) -> Result<()> {
    let new = lock.wanted.keys().filter(|pick| before.is_none_or(|before| !before.wanted.contains_key(pick)));
    let wanted = new.filter_map(|pick| {
        let handle = lock.packages.get(pick)?.full_name.handle.clone()?;
        Some((handle, pick.package.publisher))
    });
    let wanted: Vec<_> = wanted.collect();
    Pins::add(&Pins::path(), &lock.network, &wanted)?;
    Ok(())
}

fn print(directory: &Path, lock: &Lock, done: &BTreeMap<Pick, Done>, removed: &[String], is_json: bool) {
    let mut rows: Vec<_> =
        lock.packages.iter().filter_map(|(pick, locked)| Some((pick, locked, done.get(pick)?))).collect();
    rows.sort_by_key(|(_, locked, _)| locked.full_name.to_string());
    if is_json {
        let package = |(pick, locked, done): &(&Pick, &Locked, &Done)| {
            json!({
                "full_name": locked.full_name.to_string(),
                "version": pick.version.to_string(),
                "record": locked.release.to_string(),
                "content": locked.content.cid.to_string(),
                "size": locked.content.size,
                "path": directory.join(&done.directory).display().to_string(),
                "new": done.is_new,
                "fetched": done.came.as_ref().map(Came::json),
            })
        };
        println!("{:#}", json!({ "packages": rows.iter().map(package).collect::<Vec<_>>(), "removed": removed }));
        return;
    }
    for (pick, locked, done) in &rows {
        let verb = if done.is_new { "installed" } else { "already" };
        println!("{verb} {} {} {}", locked.full_name, pick.version, directory.join(&done.directory).display());
    }
    for directory in removed {
        println!("removed {directory}");
    }
    let new = rows.iter().filter(|(.., done)| done.is_new).count();
    eprintln!("{} packages, {new} of them new", rows.len());
}
