//! `ggen-market peers`: the relays that are named, and how they answer.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use futures::future::join_all;
use ggen_net::address::key_of;
use ggen_net::light::{Connection, LightPeer, Phase};
use ggen_relay::causes;
use ggen_relay::market::peer::Tokio;
use ggen_shared::catalogue::keys;
use ggen_shared::protocol::query::RangeOf;
use ggen_shared::search::verified::{Asked, verify_range};
use serde_json::{Value, json};

use crate::find::{Ask, print_table};

#[derive(clap::Args)]
pub(crate) struct Peers {
    #[command(flatten)]
    ask: Ask,
}

/// A relay, and what it answered to a question whose answer is small and proven.
pub(crate) struct Seen {
    pub(crate) connection: Connection,
    /// How many packages it has committed to, and how many epochs ago.
    answer: Result<(u64, u64), String>,
    /// How long answers take.
    latency: Option<Duration>,
    /// What is thought of it, from 0 to 1.
    score: f64,
}

/// Exit code 0: a relay answers as it should; 1: none does; 2: nobody could be asked.
pub(crate) async fn run(Peers { ask }: Peers) -> Result<ExitCode> {
    let is_json = ask.is_json();
    let all = look(&ask.peer().await?).await;
    if is_json {
        println!("{:#}", all.iter().map(Seen::json).collect::<Value>());
    } else {
        print_table(all.iter().map(Seen::row));
    }
    Ok(if all.iter().any(|seen| seen.answer.is_ok()) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Asks every relay that is known.
pub(crate) async fn look(peer: &LightPeer<Tokio>) -> Vec<Seen> {
    join_all(peer.connections().into_iter().map(|connection| see(peer, connection))).await
}

async fn see(peer: &LightPeer<Tokio>, connection: Connection) -> Seen {
    let id = connection.peer;
    let answer = if connection.phase == Phase::Connected {
        ask(peer, &connection).await
    } else {
        Err(connection.problem.as_deref().map_or_else(|| "no answer".into(), causes::one_line))
    };
    let reputation = peer.reputation(&id);
    let now = ggen_net::light::Platform::now(peer.platform());
    Seen { connection, answer, latency: reputation.latency(), score: reputation.score(now) }
}

async fn ask(peer: &LightPeer<Tokio>, connection: &Connection) -> Result<(u64, u64), String> {
    let (id, rules) = (connection.peer, peer.rules());
    let question = RangeOf::first(&keys::newest(), 0);
    let answer = peer.ask_by(id, question.clone(), rules).await.map_err(|error| causes::of(&error))?;
    let relay = key_of(&id).ok_or("its key is not of a kind that relays have")?;
    let epoch = peer.epoch();
    let proven = verify_range(&question, &answer, &Asked { network: peer.network(), relay: &relay, epoch, rules });
    let proven = proven.map_err(|error| {
        peer.note_fault(id);
        causes::of(&error)
    })?;
    Ok((proven.total, epoch.saturating_sub(proven.checkpoint.epoch)))
}

impl Seen {
    fn row(&self) -> [String; 5] {
        let milliseconds = self.latency.map_or_else(|| "-".into(), |latency| format!("{} ms", latency.as_millis()));
        let answer = match &self.answer {
            Ok((packages, 0)) => format!("{packages} packages, committed in this epoch"),
            Ok((packages, ago)) => format!("{packages} packages, committed {ago} epochs ago"),
            Err(reason) => reason.clone(),
        };
        let phase = if self.connection.phase == Phase::Connected { "connected" } else { "not reached" };
        let address = self.address();
        [address, phase.into(), milliseconds, format!("{:.2}", self.score), answer]
    }

    pub(crate) fn address(&self) -> String {
        let Connection { address, peer, .. } = &self.connection;
        match ggen_net::address::split_peer(address) {
            Some(_) => address.to_string(),
            None => format!("{address}/p2p/{peer}"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let (answer, problem) = match &self.answer {
            Ok(answer) => (Some(answer), None),
            Err(problem) => (None, Some(problem)),
        };
        json!({
            "peer": self.connection.peer.to_string(),
            "address": self.address(),
            "connected": self.connection.phase == Phase::Connected,
            "latency_ms": self.latency.map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            "reputation": self.score,
            "packages": answer.map(|(packages, _)| packages),
            "epochs_since_checkpoint": answer.map(|(_, ago)| ago),
            "problem": problem,
        })
    }
}
