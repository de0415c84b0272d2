//! Records, heads and identifiers: those that hold and those that are refused, with the code of the refusal.

use ed25519_dalek::SigningKey;
use ggen_shared::codec;
use ggen_shared::id::{
    Fingerprint, FullName, Handle, KeyCommitment, Network, PackageName, PublicKey, PublisherId, RecordId,
};
use ggen_shared::protocol::{announcement, head};
use ggen_shared::record::{
    self, ContentId, Envelope, Inception, KeyLog, Payload, Record, Release, Unverified, UnverifiedRecord, Verified,
    Version,
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
    payload: String,
    id: String,
    /// What is signed.
    message: String,
    signature: String,
    /// The envelope.
    record: String,
    /// The message id under which gossip carries it.
    announcement: String,
    /// What of its fields people see first; none of an inception.
    release: Option<Shown>,
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
    record: String,
    /// Zeros after it.
    #[serde(default)]
    padding: usize,
    /// The id that was asked for, if one was.
    #[serde(default)]
    asked_for: Option<String>,
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
    let network = network(json)?;
    let key_log = key_log(json)?;
    check_publisher(&file.publisher, &key_log)?;
    for vector in &file.valid {
        check_valid(vector, &file.publisher, &key_log, &network)?;
    }
    for vector in &file.invalid {
        check_invalid(vector, &key_log, &network)?;
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
    Ok(1 + file.valid.len() + file.invalid.len() + file.heads.len() + file.invalid_heads.len() + file.texts.len())
}

pub(crate) fn network(json: &str) -> Result<Network, String> {
    let file: File = parse("records.json", json)?;
    Network::named(file.network).map_err(|error| format!("network: {error}"))
}

/// The record of this name, in hex.
pub(crate) fn valid_record(json: &str, name: &str) -> Result<String, String> {
    let file: File = parse("records.json", json)?;
    let found = file.valid.into_iter().find(|valid| valid.name == name);
    Ok(found.ok_or_else(|| format!("records.json has no valid record {name}"))?.record)
}

/// The key log that begins with the first valid record.
pub(crate) fn key_log(json: &str) -> Result<KeyLog, String> {
    let inception = hex("inception", &valid_record(json, "inception")?)?;
    let network = network(json)?;
    let inception = Unverified::<Inception>::decode(&inception).and_then(|it| it.verify(&network));
    Ok(KeyLog::new(inception.map_err(|error| format!("inception: {error}"))?))
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

fn check_valid(vector: &Valid, publisher: &Publisher, key_log: &KeyLog, network: &Network) -> Result<(), String> {
    let name = &vector.name;
    let bytes = hex(name, &vector.record)?;
    let record = verify(&bytes, key_log, network).map_err(|error| format!("{name}: {error}"))?;
    let key = signing_key(&publisher.seed)?;
    match &record {
        Record::Inception(inception) => check_payload(vector, inception, &key, network)?,
        Record::Release(release) => check_payload(vector, release, &key, network)?,
        _ => return Err(format!("{name}: no vector of this kind is known")),
    }
    let envelope = Envelope::decode(&bytes).map_err(|error| format!("{name}: {error}"))?;
    same(name, "the kind", envelope.kind, vector.kind)?;
    same(name, "the payload", &envelope.payload, &hex(name, &vector.payload)?)?;
    same(name, "the signature", &envelope.signature[..], &hex(name, &vector.signature)?[..])?;
    let encoded = envelope.encode().map_err(|error| format!("{name}: {error}"))?;
    same(name, "the envelope encoded again", &encoded[..], &bytes[..])?;
    same(name, "the announcement", &announcement::message_id(&bytes)[..], &hex(name, &vector.announcement)?[..])?;
    let shown = record.release().map(|release| shown(release, key_log));
    same(name, "the release", shown.as_ref(), vector.release.as_ref())
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
    same(name, "the id", record.id().to_string(), vector.id.clone())?;
    same(name, "the id of the payload", T::KIND.id_of(&payload), record.id())?;
    same(name, "the kind", u16::from(T::KIND.number()), vector.kind)?;
    same(name, "what is signed", T::KIND.signed_message(network, &record.id()), hex(name, &vector.message)?)?;
    let signed = record::sign((**record).clone(), key, network).map_err(|error| format!("{name}: {error}"))?;
    same(name, "signed again", &signed.bytes()[..], &record.bytes()[..])
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
                Record::Release(record) => record.expect_id(id).map(drop),
                _ => Ok(()),
            }
        }
    });
    same(name, "the outcome", outcome.map_or_else(|error| error.code(), |()| "accepted"), vector.error.as_str())
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
