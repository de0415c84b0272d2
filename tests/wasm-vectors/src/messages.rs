//! Messages of the wire: bytes that read as a message of a type, and have no other reading.

use ggen_shared::codec;
use ggen_shared::limits::MAX_ANSWER_BYTES;
use ggen_shared::protocol::publish::{Offer, ReceiptReply, WantedReply};
use ggen_shared::protocol::query::{Ask, Evidence, KeyLogAnswer, PackageAnswer, RecordsAnswer, Reply, SearchAnswer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Checked, hex, parse, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    is: String,
    /// Its fields, as Rust shows them: two messages that differ in meaning differ here.
    shows: String,
    bytes: String,
}

pub(crate) fn check(json: &str) -> Checked {
    let messages = parse::<File>("messages.json", json)?.messages;
    for message in &messages {
        check_message(message)?;
    }
    Ok(messages.len())
}

fn check_message(Message { is, shows, bytes }: &Message) -> Result<(), String> {
    let bytes = hex(is, bytes)?;
    let shown = match is.as_str() {
        "ask" => show::<Ask>(&bytes),
        "search reply" => show::<Reply<SearchAnswer>>(&bytes),
        "package reply" => show::<Reply<PackageAnswer>>(&bytes),
        "range reply" => show::<Reply<Evidence>>(&bytes),
        "records reply" => show::<Reply<RecordsAnswer>>(&bytes),
        "key log reply" => show::<Reply<KeyLogAnswer>>(&bytes),
        "offer" => show::<Offer>(&bytes),
        "wanted reply" => show::<WantedReply>(&bytes),
        "receipt reply" => show::<ReceiptReply>(&bytes),
        other => return Err(format!("no message is a {other}")),
    };
    let (shown, encoded) = shown.map_err(|error| format!("{is}: {error}"))?;
    same(is, "what it shows", &shown, shows)?;
    same(is, "the message encoded again", encoded, bytes)
}

fn show<T: Serialize + DeserializeOwned + std::fmt::Debug>(bytes: &[u8]) -> Result<(String, Vec<u8>), codec::Error> {
    let message: T = codec::decode(bytes, MAX_ANSWER_BYTES)?;
    Ok((format!("{message:?}"), codec::encode(&message)))
}
