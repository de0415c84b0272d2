//! `ggen-market yank`, `unyank`, `deprecate` and `retract`.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Result, bail};
use ggen_net::P2PRegistry;
use ggen_relay::causes;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishers, Publishing};
use ggen_relay::market::status::{Said, Saying, Subject};
use ggen_shared::id::{FullName, PackageId};
use ggen_shared::record::State;
use ggen_shared::registry::Registry;

use crate::own::Own;
use crate::publish::warn_of;

#[derive(clap::Args)]
pub(crate) struct Say {
    /// Which version, such as my-package@0.1.0.
    #[arg(value_name = "NAME@VERSION")]
    subject: Subject,
    /// Why, in a line that everybody sees.
    #[arg(long, visible_alias = "message", default_value = "", hide_default_value = true, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    own: Own,
}

#[derive(clap::Args)]
pub(crate) struct Deprecate {
    #[command(flatten)]
    say: Say,
    /// The package to use instead: one of your own by its name, or handle~fingerprint/name.
    #[arg(long = "use", value_name = "PACKAGE")]
    instead: Option<String>,
}

/// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried.
pub(crate) async fn run(Say { subject, reason, own }: Say, state: State) -> Result<ExitCode> {
    let (_, publishing) = own.publishing(Publishers::new()).await?;
    say(&publishing, subject, Saying { state, reason, instead: None }).await
}

pub(crate) async fn deprecate(Deprecate { say: arguments, instead }: Deprecate) -> Result<ExitCode> {
    let Say { subject, reason, own } = arguments;
    let (_, publishing) = own.publishing(Publishers::new()).await?;
    let instead = match instead {
        Some(instead) => Some(package(&publishing, &instead).await?),
        None => None,
    };
    say(&publishing, subject, Saying { state: State::Deprecated, reason, instead }).await
}

/// The package that a name means: one of the publisher's own, or what relays know by the full name.
async fn package(publishing: &Publishing<Tokio>, text: &str) -> Result<PackageId> {
    let Ok(name) = text.parse::<FullName>() else {
        return Ok(PackageId { publisher: publishing.publisher(), name: text.parse()? });
    };
    match P2PRegistry::new(publishing.peer().clone()).metadata(&name).await {
        Ok(release) => Ok(release.package()),
        Err(error) => bail!("the package to use instead cannot be named: {error}"),
    }
}

async fn say(publishing: &Publishing<Tokio>, subject: Subject, saying: Saying) -> Result<ExitCode> {
    let Said { status, new, failed_at } = match publishing.say(&subject, &saying).await {
        Ok(said) => said,
        Err(error) => {
            eprintln!("not said: {}", causes::of(&error));
            return Ok(ExitCode::from(1));
        }
    };
    let (Subject { name, version }, state) = (&subject, saying.state.as_str());
    if !std::io::stdout().is_terminal() {
        println!("{} {name} {version} {}", if new { state } else { "already" }, status.id());
    }
    eprintln!("{name} {version} is {}{state}", if new { "" } else { "already " });
    warn_of(&failed_at, "that");
    Ok(ExitCode::SUCCESS)
}
