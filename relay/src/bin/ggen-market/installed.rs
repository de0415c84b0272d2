//! `ggen-market verify`, `outdated` and `tree`: what is installed, and what of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ggen_relay::causes;
use ggen_relay::market::install::archives::Archives;
use ggen_relay::market::install::gather::Market;
use ggen_relay::market::install::known::Known;
use ggen_relay::market::install::lock::{Lock, Locked};
use ggen_relay::market::install::outdated::{Outdated, outdated as find_outdated};
use ggen_relay::market::install::pins::Pins;
use ggen_relay::market::install::place::{Difference, compare};
use ggen_relay::market::install::series::Pick;
use ggen_relay::market::install::tree::lines;
use serde_json::json;

use crate::find::{Ask, print_table};
use crate::install::{ANCHORS, DIRECTORY, archive};
use crate::progress;

#[derive(clap::Args)]
pub(crate) struct Installed {
    /// Where the packages are installed.
    #[arg(value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    #[command(flatten)]
    ask: Ask,
}

#[derive(clap::Args)]
pub(crate) struct Tree {
    /// Where the packages are installed.
    #[arg(value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

fn read(directory: &Path) -> Result<Lock> {
    match Lock::read(directory)? {
        Some(lock) => Ok(lock),
        None => bail!("nothing is installed in {}: it has no lock file", directory.display()),
    }
}

/// Exit code 0: every file is as its archive has it; 1: some are not; 2: that could not be looked at.
pub(crate) async fn verify(Installed { directory, ask }: Installed) -> Result<ExitCode> {
    let (lock, archives, is_json) = (read(&directory)?, Archives::of_user(), ask.is_json());
    let directories = lock.directories();
    let (mut ask, mut registry) = (Some(ask), None);
    let progress = progress::bar(lock.packages.values().map(|locked| locked.content.size).sum());
    let mut found = Vec::new();
    for (pick, locked) in &lock.packages {
        let name = &directories[pick];
        // Only what is not on this machine any more has to come from relays.
        if archives.get(&locked.content)?.is_none()
            && let Some(ask) = ask.take()
        {
            registry = Some(ask.registry().await?);
        }
        let archive = match archive(&archives, locked.content, registry.as_ref(), &progress).await {
            Ok((archive, _)) => archive,
            Err(reason) => bail!("{} {}: {reason}", locked.full_name, pick.version),
        };
        let differences = tokio::task::block_in_place(|| compare(name, &archive, &directory.join(name)));
        let differences = differences.with_context(|| format!("{} can't be compared", locked.full_name))?;
        found.extend(differences.into_iter().map(|it| (name, it)));
    }
    progress.finish_and_clear();
    found.sort();
    if is_json {
        let difference = |(package, it): &(&String, _)| {
            let Difference { path, how } = it;
            json!({ "package": package, "path": path, "how": how.as_str() })
        };
        let differences: Vec<_> = found.iter().map(difference).collect();
        println!("{:#}", json!({ "packages": lock.packages.len(), "differences": differences }));
    } else {
        for (package, it) in &found {
            println!("{} {}", it.how.as_str(), directory.join(package).join(&it.path).display());
        }
        let of = lock.packages.len();
        match found.len() {
            0 => eprintln!("{of} packages, every file as it was published"),
            count => eprintln!("{of} packages, {count} files not as they were published"),
        }
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Exit code 0: all is the newest; 1: something is not; 2: nobody could be asked.
pub(crate) async fn outdated(Installed { directory, ask }: Installed) -> Result<ExitCode> {
    let (lock, is_json) = (read(&directory)?, ask.is_json());
    let registry = ask.registry().await?;
    let anchors = registry.peer().connections().into_iter().filter(|it| it.anchor && it.is_connected()).count();
    // To show it, one relay's word will do where there is no other.
    let needed = anchors.clamp(1, ANCHORS);
    let (mut known, pins) = (Known::default(), Pins::default());
    let market = Market { registry, needed, pins: &pins };
    if let Err(error) =
        market.learn_versions(lock.packages.keys().map(|pick| pick.package.clone()).collect(), &mut known).await
    {
        bail!("{}", causes::of(&error));
    }
    let found = find_outdated(&lock, &known);
    let allowed = |it: &Outdated| it.allowed.as_ref().map(ToString::to_string);
    if is_json {
        let row = |it: &Outdated| {
            let Outdated { full_name, installed, newest, .. } = it;
            json!({
                "full_name": full_name.to_string(),
                "installed": installed.to_string(),
                "allowed": allowed(it),
                "newest": newest.to_string(),
            })
        };
        println!("{:#}", json!(found.iter().map(row).collect::<Vec<_>>()));
    } else {
        print_table(found.iter().map(|it| {
            let allowed = allowed(it).unwrap_or_else(|| "none".into());
            let allowed = format!("allowed {allowed}");
            [it.full_name.to_string(), it.installed.to_string(), allowed, format!("newest {}", it.newest)]
        }));
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Exit code 0: it is shown; 2: nothing is installed there.
pub(crate) fn tree(Tree { directory, json: is_json }: Tree) -> Result<ExitCode> {
    let lock = read(&directory)?;
    if is_json {
        let shown = |pick: &Pick| {
            let full_name = lock.packages.get(pick).map(|locked| locked.full_name.to_string());
            json!({ "full_name": full_name, "version": pick.version.to_string() })
        };
        let package = |(pick, locked): (&Pick, &Locked)| {
            let need = |(needed, requirement): (&Pick, &String)| {
                let mut need = shown(needed);
                need["requirement"] = json!(requirement);
                need
            };
            let mut package = shown(pick);
            package["needs"] = locked.needs.iter().map(need).collect();
            package
        };
        let wanted: Vec<_> = lock.wanted.keys().map(shown).collect();
        println!(
            "{:#}",
            json!({ "wanted": wanted, "packages": lock.packages.iter().map(package).collect::<Vec<_>>() })
        );
    } else {
        for line in lines(&lock) {
            println!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
