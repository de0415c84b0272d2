//! Records, heads and identifiers: those that hold and those that are refused, with the code of the refusal.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use ggen_shared::codec;
use ggen_shared::id::{
    Fingerprint, FullName, Handle, KeyCommitment, Network, PackageName, PublicKey, PublisherId, RecordId,
};
use ggen_shared::protocol::{announcement, head};
use ggen_shared::record::{
    self, ContentId, Envelope, Indexed, KeepPage, KeyLog, Kind, Payload, Record, Release, Rotation, Status, Unknown,
    UnverifiedRecord, Verified, Version,
};
use serde::Deserialize;

use crate::{Checked, hex, parse, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    network: String,
    publisher: Publisher,
    valid: Vec<Valid>,
    invalid: Vec<Invalid>,
    invalid_key_logs: Vec<InvalidKeyLog>,
    heads: Vec<Head>,
    invalid_heads: Vec<InvalidHead>,
    texts: Vec<Text>,
}

/// The publisher of every record here, in the forms in which a publisher is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publisher {
    seed: String,
    next_seed: String,
    key: String,
    next: String,
    handle: String,
    id: String,
    fingerprint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    name: String,
    kind: u16,
    /// The valid records that make the key log it is verified against, in their order.
    key_log: Vec<String>,
    /// Whose key signs it.
    seed: String,
    payload: String,
    id: String,
    /// What is signed.
    message: String,
    signature: String,
    /// The envelope.
    record: String,
    /// The message id under which gossip carries it.
    announcement: String,
    /// What it says, by its kind; none of an inception.
    says: Option<Says>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Says {
    /// What of its fields people see first.
    Release(Shown),
    KeepPage {
        prev: String,
        revealed: String,
        keep: Vec<String>,
    },
    Rotation {
        prev: String,
        revealed: String,
        key: String,
        next: String,
        pages: Vec<String>,
    },
    Status {
        package: String,
        version: String,
        seq: u64,
        state: String,
        reason: String,
        instead: Option<String>,
    },
    /// What is known of a kind that is not.
    Unknown {
        publisher: String,
        signed_under: String,
        index: u32,
    },
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    full_name: String,
    version: String,
    artifact: String,
    size: u64,
    title: Option<String>,
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    name: String,
    /// As for a valid one; the inception alone if it is absent.
    #[serde(default = "inception_alone")]
    key_log: Vec<String>,
    record: String,
    /// Zeros after it.
    #[serde(default)]
    padding: usize,
    /// The id that was asked for, if one was.
    #[serde(default)]
    asked_for: Option<String>,
    error: String,
}

fn inception_alone() -> Vec<String> {
    vec!["inception".into()]
}

/// Key events that are not the key log of the publisher.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvalidKeyLog {
    name: String,
    events: Vec<String>,
    error: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: String,
    key: String,
    value: String,
    release: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvalidHead {
    name: String,
    key: String,
    value: String,
    #[serde(default)]
    padding: usize,
    error: String,
}

/// A text that is, or is not, the one form of an identifier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    is: String,
    text: String,
    valid: bool,
}

pub(crate) fn check(json: &str) -> Checked {
    let file: File = parse("records.json", json)?;
    let network = file.network()?;
    let key_logs = KeyLogs::of(&file, &network)?;
    check_publisher(&file.publisher, key_logs.of_names(&inception_alone())?)?;
    for vector in &file.valid {
        check_valid(vector, &file, key_logs.of_names(&vector.key_log)?, &network)?;
    }
    for vector in &file.invalid {
        check_invalid(vector, key_logs.of_names(&vector.key_log)?, &network)?;
    }
    for vector in &file.invalid_key_logs {
        check_invalid_key_log(vector, &file, &network)?;
    }
    for vector in &file.heads {
        check_head(vector, &network)?;
    }
    for InvalidHead { name, key, value, padding, error } in &file.invalid_heads {
        let mut value = hex(name, value)?;
        value.extend(std::iter::repeat_n(0, *padding));
        let outcome = head::verify(key.as_bytes(), &value, &network);
        same(name, "the outcome", outcome.map_or_else(|error| error.code(), |_| "accepted"), error.as_str())?;
    }
    for text in &file.texts {
        check_text(text)?;
    }
    let records = file.valid.len() + file.invalid.len() + file.invalid_key_logs.len();
    Ok(1 + records + file.heads.len() + file.invalid_heads.len() + file.texts.len())
}

/// The key logs that records are verified against, each verified once.
struct KeyLogs<'a>(BTreeMap<&'a [String], KeyLog>);

impl<'a> KeyLogs<'a> {
    fn of(file: &'a File, network: &Network) -> Result<Self, String> {
        let names = file.valid.iter().map(|vector| &vector.key_log);
        let mut key_logs = BTreeMap::new();
        for names in names.chain(file.invalid.iter().map(|vector| &vector.key_log)) {
            if !key_logs.contains_key(&names[..]) {
                key_logs.insert(&names[..], file.key_log(names, network)?);
            }
        }
        Ok(Self(key_logs))
    }

    fn of_names(&self, names: &[String]) -> Result<&KeyLog, String> {
        self.0.get(names).ok_or_else(|| format!("no vector has the key log {names:?}"))
    }
}

pub(crate) fn network(json: &str) -> Result<Network, String> {
    parse::<File>("records.json", json)?.network()
}

impl File {
    fn network(&self) -> Result<Network, String> {
        Network::named(self.network.clone()).map_err(|error| format!("network: {error}"))
    }

    /// The bytes of the valid record of this name.
    fn record(&self, name: &str) -> Result<Vec<u8>, String> {
        let found = self.valid.iter().find(|valid| valid.name == name);
        hex(name, &found.ok_or_else(|| format!("records.json has no valid record {name}"))?.record)
    }

    /// The key log that these records make.
    fn key_log(&self, names: &[String], network: &Network) -> Result<KeyLog, String> {
        let events = names.iter().map(|name| self.record(name)).collect::<Result<Vec<_>, _>>()?;
        let publisher = self.publisher()?;
        KeyLog::verify(&events, publisher, network).map_err(|error| format!("the key log of {names:?}: {error}"))
    }

    fn publisher(&self) -> Result<PublisherId, String> {
        self.publisher.id.parse().map_err(|error| format!("publisher: {error}"))
    }
}

/// The record of this name.
pub(crate) fn valid_record(json: &str, name: &str) -> Result<Vec<u8>, String> {
    parse::<File>("records.json", json)?.record(name)
}

/// The key log that begins with the inception, and has no more than that.
pub(crate) fn key_log(json: &str) -> Result<KeyLog, String> {
    let file: File = parse("records.json", json)?;
    file.key_log(&inception_alone(), &file.network()?)
}

fn signing_key(seed: &str) -> Result<SigningKey, String> {
    let seed = hex("seed", seed)?.try_into().map_err(|_| "a seed has 32 bytes".to_owned())?;
    Ok(SigningKey::from_bytes(&seed))
}

fn public_key(seed: &str) -> Result<PublicKey, String> {
    Ok(PublicKey::from_bytes(signing_key(seed)?.verifying_key().to_bytes()))
}

fn check_publisher(publisher: &Publisher, key_log: &KeyLog) -> Result<(), String> {
    let vector = "publisher";
    same(vector, "the key", public_key(&publisher.seed)?.to_string(), publisher.key.clone())?;
    let next = KeyCommitment::to_key(&public_key(&publisher.next_seed)?);
    same(vector, "the commitment", next.to_string(), publisher.next.clone())?;
    same(vector, "the handle", key_log.handle().as_str(), &publisher.handle)?;
    same(vector, "the id", key_log.publisher().to_string(), publisher.id.clone())?;
    same(vector, "the id of the inception", key_log.head().to_string(), publisher.id.clone())?;
    same(vector, "the fingerprint", key_log.publisher().fingerprint().to_string(), publisher.fingerprint.clone())
}

fn verify(bytes: &[u8], key_log: &KeyLog, network: &Network) -> Result<Record, record::Error> {
    UnverifiedRecord::decode(bytes)?.verify(Some(key_log), network)
}

fn check_valid(vector: &Valid, file: &File, key_log: &KeyLog, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    let bytes = hex(name, &vector.record)?;
    let record = verify(&bytes, key_log, network).map_err(|error| format!("{name}: {error}"))?;
    let key = signing_key(&vector.seed)?;
    match &record {
        Record::Inception(inception) => check_payload(vector, inception, &key, network)?,
        Record::KeepPage(page) => check_payload(vector, page, &key, network)?,
        Record::Rotation(rotation) => check_payload(vector, rotation, &key, network)?,
        Record::Release(release) => check_payload(vector, release, &key, network)?,
        Record::Status(status) => check_payload(vector, status, &key, network)?,
        Record::Unknown(unknown) => check_unknown(vector, unknown, &key, network)?,
    }
    let envelope = Envelope::decode(&bytes).map_err(|error| format!("{name}: {error}"))?;
    same(name, "the kind", envelope.kind, vector.kind)?;
    same(name, "the payload", &envelope.payload, &hex(name, &vector.payload)?)?;
    same(name, "the signature", &envelope.signature[..], &hex(name, &vector.signature)?[..])?;
    let encoded = envelope.encode().map_err(|error| format!("{name}: {error}"))?;
    same(name, "the envelope encoded again", &encoded[..], &bytes[..])?;
    same(name, "the announcement", &announcement::message_id(&bytes)[..], &hex(name, &vector.announcement)?[..])?;
    same(name, "the kind of the record", u16::from(record.kind().number()), vector.kind)?;
    same(name, "whose it is", record.publisher(), file.publisher()?)?;
    same(name, "what it says", says(&record, key_log).as_ref(), vector.says.as_ref())
}

/// What the payload's own type decides: its encoding, its id, what is signed, and that signing gives these very bytes.
fn check_payload<T: Payload>(
    vector: &Valid,
    record: &Verified<T>,
    key: &SigningKey,
    network: &Network,
) -> Result<(), String> {
    let name = &vector.name;
    let payload = codec::encode(&**record);
    same(name, "the payload encoded again", &payload, &hex(name, &vector.payload)?)?;
    check_identity(vector, T::KIND, record.id(), network)?;
    let signed = record::sign((**record).clone(), key, network).map_err(|error| format!("{name}: {error}"))?;
    same(name, "signed again", &signed.bytes()[..], &record.bytes()[..])
}

/// As [`check_payload`], of a payload that is not known but for a few fields.
fn check_unknown(
    vector: &Valid,
    record: &Verified<Unknown>,
    key: &SigningKey,
    network: &Network,
) -> Result<(), String> {
    let name = &vector.name;
    check_identity(vector, Kind::Unknown(record.kind), record.id(), network)?;
    let payload = hex(name, &vector.payload)?;
    let signed =
        record::sign_unknown(record.kind, payload, key, network).map_err(|error| format!("{name}: {error}"))?;
    same(name, "signed again", &signed.bytes()[..], &record.bytes()[..])
}

fn check_identity(vector: &Valid, kind: Kind, id: RecordId, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    same(name, "the id", id.to_string(), vector.id.clone())?;
    same(name, "the id of the payload", kind.id_of(&hex(name, &vector.payload)?), id)?;
    same(name, "the kind's number", u16::from(kind.number()), vector.kind)?;
    same(name, "what is signed", kind.signed_message(network, &id), hex(name, &vector.message)?)
}

fn says(record: &Record, key_log: &KeyLog) -> Option<Says> {
    let texts = |ids: &[RecordId]| ids.iter().map(ToString::to_string).collect();
    Some(match record {
        Record::Inception(_) => return None,
        Record::Release(release) => Says::Release(shown(release, key_log)),
        Record::KeepPage(page) => {
            let KeepPage { publisher: _, prev, revealed, keep } = &***page;
            Says::KeepPage { prev: prev.to_string(), revealed: revealed.to_string(), keep: texts(keep) }
        }
        Record::Rotation(rotation) => {
            let Rotation { publisher: _, prev, revealed, key, next, pages } = &***rotation;
            let (prev, revealed) = (prev.to_string(), revealed.to_string());
            Says::Rotation { prev, revealed, key: key.to_string(), next: next.to_string(), pages: texts(pages) }
        }
        Record::Status(status) => {
            let Status { version, seq, state, reason, instead, .. } = &***status;
            Says::Status {
                package: status.package().to_string(),
                version: version.to_string(),
                seq: *seq,
                state: state.as_str().into(),
                reason: reason.clone(),
                instead: instead.as_ref().map(ToString::to_string),
            }
        }
        Record::Unknown(unknown) => Says::Unknown {
            publisher: unknown.publisher().to_string(),
            signed_under: unknown.signed_under().to_string(),
            index: unknown.index(),
        },
    })
}

fn shown(release: &Release, key_log: &KeyLog) -> Shown {
    let full_name = FullName {
        handle: Some(key_log.handle().clone()),
        fingerprint: release.publisher.fingerprint(),
        name: release.name.clone(),
    };
    Shown {
        full_name: full_name.to_string(),
        version: release.version.to_string(),
        artifact: release.artifact.cid.to_string(),
        size: release.artifact.size,
        title: release.title.clone(),
        description: release.description.clone(),
    }
}

fn check_invalid(vector: &Invalid, key_log: &KeyLog, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    let mut bytes = hex(name, &vector.record)?;
    bytes.extend(std::iter::repeat_n(0, vector.padding));
    let outcome = verify(&bytes, key_log, network).and_then(|record| match &vector.asked_for {
        None => Ok(()),
        Some(id) => {
            let id = id.parse().unwrap_or(RecordId::from_bytes([0; 32]));
            match record {
                Record::Inception(record) => record.expect_id(id).map(drop),
                Record::KeepPage(record) => record.expect_id(id).map(drop),
                Record::Rotation(record) => record.expect_id(id).map(drop),
                Record::Release(record) => record.expect_id(id).map(drop),
                Record::Status(record) => record.expect_id(id).map(drop),
                Record::Unknown(record) => record.expect_id(id).map(drop),
            }
        }
    });
    same(name, "the outcome", outcome.map_or_else(|error| error.code(), |()| "accepted"), vector.error.as_str())
}

fn check_invalid_key_log(vector: &InvalidKeyLog, file: &File, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    let events = vector.events.iter().map(|event| hex(name, event)).collect::<Result<Vec<_>, _>>()?;
    let outcome = KeyLog::verify(&events, file.publisher()?, network);
    same(name, "the outcome", outcome.map_or_else(|error| error.code(), |_| "accepted"), vector.error.as_str())
}

fn check_head(vector: &Head, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    let value = hex(name, &vector.value)?;
    let verified = head::verify(vector.key.as_bytes(), &value, network);
    let (key_log, release) = verified.map_err(|error| format!("{name}: {error}"))?;
    same(name, "the release", release.id().to_string(), vector.release.clone())?;
    same(name, "the key", head::key(&release.package()), vector.key.clone().into_bytes())?;
    same(name, "the head encoded again", head::encode(&key_log, &release), Some(value))
}

fn check_text(Text { is, text, valid }: &Text) -> Result<(), String> {
    fn reads<T: std::str::FromStr + ToString>(text: &str) -> Option<String> {
        text.parse().ok().map(|value: T| value.to_string())
    }
    let read = match is.as_str() {
        "record id" => reads::<RecordId>(text),
        "publisher id" => reads::<PublisherId>(text),
        "fingerprint" => reads::<Fingerprint>(text),
        "handle" => reads::<Handle>(text),
        "package name" => reads::<PackageName>(text),
        "full name" => reads::<FullName>(text),
        "version" => reads::<Version>(text),
        "content id" => reads::<ContentId>(text),
        other => return Err(format!("nothing here is a {other}")),
    };
    let expected = valid.then(|| text.clone());
    same(&format!("{is} {text:?}"), "what it reads as", read, expected)
}
