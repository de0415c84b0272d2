//! `ggen-market fetch`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use ggen_relay::causes;
use ggen_relay::market::install::archives::Archives;
use ggen_relay::package::unpack::unpack;
use ggen_shared::id::FullName;
use ggen_shared::record::{State, Version};
use ggen_shared::registry::{PackageView, ReleaseView};
use serde_json::json;

use crate::find::{Ask, Got, get, info_json, named};
use crate::progress::{self, Came};

#[derive(clap::Args)]
pub(crate) struct Fetch {
    /// The package, as handle~fingerprint/name, or with @VERSION behind it.
    #[arg(value_name = "PACKAGE[@VERSION]", value_parser = named)]
    package: (FullName, Option<Version>),
    /// Where to put it: a directory that does not exist yet [default: NAME-VERSION here].
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    ask: Ask,
}

/// Exit code 0: it is there; 1: it is not to be had, or can't be unpacked; 2: nobody could be asked.
pub(crate) async fn run(Fetch { package: (name, version), to, ask }: Fetch) -> Result<ExitCode> {
    let is_json = ask.is_json();
    let registry = ask.registry().await?;
    let got = match get(&registry, &name, version.as_ref()).await? {
        Ok(got) => got,
        Err(code) => return Ok(code),
    };
    let view = &got.view;
    let release = &view.release.release;
    let shown = format!("{}-{}", release.name, release.version);
    let to = to.unwrap_or_else(|| shown.clone().into());
    if to.symlink_metadata().is_ok() {
        eprintln!("error: {} is there already: name another place with --to DIR", to.display());
        return Ok(ExitCode::from(1));
    }
    warn_of_state(view);
    eprintln!("confirmed by {}", got.confirmation());
    eprintln!("fetching {} bytes of {shown}", release.artifact.size);
    let progress = progress::bar(release.artifact.size);
    let fetched = progress::fetch(registry.peer(), release.artifact, &progress).await;
    progress.finish_and_clear();
    match fetched.map_err(|error| causes::of(&error)).and_then(|(archive, came)| {
        unpack(&shown, &archive, &to).map_err(|error| causes::of(&error))?;
        // For `install` and `serve`. What was asked for is there without it.
        if let Err(error) = Archives::of_user().put(&release.artifact, &archive) {
            eprintln!("warning: its archive is not kept: {error}");
        }
        Ok(came)
    }) {
        Ok(came) => print(&got, &to, &came, is_json),
        Err(reason) => {
            eprintln!("error: {shown} is not fetched: {reason}");
            return Ok(ExitCode::from(1));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn warn_of_state(view: &PackageView) {
    let ReleaseView { state, status, release, .. } = &view.release;
    let state = state.unwrap_or_default();
    if state != State::Active {
        let reason = status.as_ref().map_or("", |status| &status.reason);
        let colon = if reason.is_empty() { "" } else { ": " };
        eprintln!("warning: {} {} is {}{colon}{reason}", release.name, release.version, state.as_str());
    }
}

fn print(got: &Got, to: &Path, came: &Came, is_json: bool) {
    if is_json {
        let mut shown = info_json(got);
        shown["path"] = json!(to.display().to_string());
        shown["fetched"] = came.json();
        println!("{shown:#}");
    } else {
        came.sentences().for_each(|sentence| eprintln!("{sentence}"));
        println!("{}", to.display());
    }
}
