//! `ggen-market yank`, `unyank`, `deprecate` and `retract`.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Result, bail};
use ggen_net::P2PRegistry;
use ggen_relay::causes;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Delivery, Publishers, Publishing, Taken};
use ggen_relay::market::status::{Said, Saying, Subject};
use ggen_shared::id::{FullName, PackageId};
use ggen_shared::record::State;
use ggen_shared::registry::Registry;
use serde_json::json;

use crate::own::Own;
use crate::report::{WAITING, failures_json, warn_of, warn_of_one};
use crate::send;

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

/// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried; 3: it is signed, and waits for a relay.
pub(crate) async fn run(Say { subject, reason, own }: Say, state: State) -> Result<ExitCode> {
    let is_json = own.is_json();
    let (_, publishing) = own.publishing(Publishers::new(), Vec::new()).await?;
    say(&publishing, subject, Saying { state, reason, instead: None }, is_json).await
}

pub(crate) async fn deprecate(Deprecate { say: arguments, instead }: Deprecate) -> Result<ExitCode> {
    let Say { subject, reason, own } = arguments;
    let is_json = own.is_json();
    let (_, publishing) = own.publishing(Publishers::new(), Vec::new()).await?;
    let instead = match instead {
        Some(instead) => Some(package(&publishing, &instead).await?),
        None => None,
    };
    say(&publishing, subject, Saying { state: State::Deprecated, reason, instead }, is_json).await
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

async fn say(publishing: &Publishing<Tokio>, subject: Subject, saying: Saying, is_json: bool) -> Result<ExitCode> {
    send::before(publishing, is_json).await?;
    let Said { status, delivery } = match publishing.say(&subject, &saying).await {
        Ok(said) => said,
        Err(error) => {
            eprintln!("not said: {}", causes::of(&error));
            return Ok(ExitCode::from(1));
        }
    };
    let (Subject { name, version }, state) = (&subject, saying.state.as_str());
    let (verb, failed_at, waits) = match &delivery {
        Delivery::Taken(Taken { new, failed_at, waits }) => (if *new { state } else { "already" }, failed_at, *waits),
        Delivery::Waiting(reasons) => ("waiting", reasons, true),
    };
    if is_json {
        let (version, record) = (version.to_string(), status.id().to_string());
        let outcome = if verb == state { "said" } else { verb };
        println!(
            "{:#}",
            json!({
                "name": name.as_str(), "version": version, "state": state, "outcome": outcome, "record": record,
                "waits": waits, "failed_at": failures_json(failed_at),
            })
        );
    } else {
        if !std::io::stdout().is_terminal() {
            println!("{verb} {name} {version} {}", status.id());
        }
        match verb {
            "already" => eprintln!("{name} {version} is already {state}"),
            "waiting" => eprintln!("that {name} {version} is {state} is signed, and waits for a relay"),
            _ => eprintln!("{name} {version} is {state}"),
        }
    }
    if let Delivery::Taken(taken) = &delivery {
        warn_of_one(taken, "that");
    }
    warn_of(failed_at, "that");
    Ok(if verb == "waiting" { ExitCode::from(WAITING) } else { ExitCode::SUCCESS })
}
