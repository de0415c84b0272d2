//! `ggen-market send`: what was signed while no relay could be reached is delivered.

use std::process::ExitCode;

use anyhow::{Result, bail};
use ggen_relay::causes;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Delivery, Publishers, Publishing, Sent};
use ggen_shared::id::RecordId;
use ggen_shared::record::Record;
use serde_json::{Value, json};

use crate::own::Own;
use crate::report::{WAITING, failures_json, warn_of, warn_of_one};

#[derive(clap::Args)]
pub(crate) struct Send {
    /// Do not deliver this record, and forget that it waits, whether a relay has it or not: one that every relay refuses, say. The ledger
    /// has it all the same, and publishing the same package again delivers it. Repeatable.
    #[arg(long = "drop", value_name = "RECORD_ID")]
    dropped: Vec<RecordId>,
    #[command(flatten)]
    own: Own,
}

/// Exit code 0: nothing waits any more; 1: some of it can't be read, or every relay refused it; 2: nothing could be tried; 3: some waits on.
pub(crate) async fn run(Send { dropped, own }: Send) -> Result<ExitCode> {
    let is_json = own.is_json();
    let (_, publishing) = own.publishing(Publishers::new(), Vec::new()).await?;
    for id in &dropped {
        if !publishing.drop_waiting(id)? {
            bail!("{id} does not wait here: ggen-market status lists what does");
        }
        eprintln!("{id} is not waited with any more");
    }
    let (mut rows, mut refused) = (Vec::new(), false);
    publishing
        .send_waiting(|sent| {
            refused |= sent.delivery.is_err();
            if is_json { rows.push(json_of(&sent)) } else { print(&sent) }
        })
        .await?;
    let waiting = publishing.waiting()?.len();
    if is_json {
        println!("{:#}", json!({ "sent": rows, "waiting": waiting }));
    } else if waiting > 0 {
        eprintln!("{waiting} records wait on");
    } else {
        eprintln!("nothing waits");
    }
    Ok(match (refused, waiting) {
        (true, _) => ExitCode::from(1),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::from(WAITING),
    })
}

/// Delivers what waits before something new is published or said.
pub(crate) async fn before(publishing: &Publishing<Tokio>, is_json: bool) -> Result<()> {
    Ok(publishing
        .send_waiting(|sent| {
            if !is_json {
                print(&sent);
            }
        })
        .await?)
}

fn print(sent: &Sent) {
    let what = what(sent);
    match &sent.delivery {
        Ok(Delivery::Taken(taken)) => {
            let verb = if taken.waits { "waiting" } else { "sent" };
            println!("{verb} {what} {}", sent.waiting.id);
            warn_of_one(taken, &what);
            warn_of(&taken.failed_at, &what);
        }
        Ok(Delivery::Waiting(reasons)) => {
            eprintln!("{what} waits on");
            warn_of(reasons, &what);
        }
        Err(error) => eprintln!("{what} waits on: {}", causes::of(error)),
    }
}

fn json_of(sent: &Sent) -> Value {
    let mut row = json!({ "what": what(sent), "record": sent.waiting.id.to_string() });
    match &sent.delivery {
        Ok(Delivery::Taken(taken)) => {
            row["outcome"] = json!(if taken.waits { "waiting" } else { "sent" });
            row["failed_at"] = failures_json(&taken.failed_at);
        }
        Ok(Delivery::Waiting(reasons)) => {
            row["outcome"] = json!("waiting");
            row["failed_at"] = failures_json(reasons);
        }
        Err(error) => {
            row["outcome"] = json!(if sent.record.is_some() { "refused" } else { "unreadable" });
            row["reason"] = json!(causes::of(error));
        }
    }
    row
}

/// `published NAME VERSION`, `yanked NAME VERSION` and so on.
fn what(sent: &Sent) -> String {
    match &sent.record {
        Some(Record::Release(release)) => format!("published {} {}", release.name, release.version),
        Some(Record::Status(status)) => format!("{} {} {}", status.state.as_str(), status.name, status.version),
        _ => format!("record {}", sent.waiting.id),
    }
}
