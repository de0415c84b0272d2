//! Makes the vectors: the same ones on every machine and every day.

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use ggen_shared::id::{FullName, KeyCommitment, Network, PublicKey, PublisherId, RecordId};
use ggen_shared::limits::MAX_QUOTA;
use ggen_shared::protocol::{announcement, head};
use ggen_shared::record::{
    self, Artifact, Content, ContentId, Dependency, Envelope, Inception, KeepPage, KeyLog, Payload, Record, Release,
    Rotation, State, Status, Verified, Work,
};
use ggen_shared::search::analyser::{self as analyse, Tokens};
use serde_json::{Value, json};

use crate::cbor::{self, map, text};
use crate::refused;

pub(crate) const ABOUT: &str =
    "made by tests/wasm-vectors; to change it on purpose: GGEN_BLESS=1 cargo test -p ggen-wasm-vectors";

pub(crate) const SEED: u8 = 1;
/// The key that the inception commits to, and the rotation reveals.
pub(crate) const NEXT_SEED: u8 = 2;
/// The key that the rotation commits to.
pub(crate) const LAST_SEED: u8 = 3;
/// The key that the rotation puts in force.
pub(crate) const FRESH_SEED: u8 = 6;
/// A kind that nobody knows.
pub(crate) const UNKNOWN: u8 = 200;

/// The records that make a key log, by their names.
pub(crate) const INCEPTION: &[&str] = &["inception"];
pub(crate) const ROTATED: &[&str] = &["inception", "rotation", "keep page"];
pub(crate) const WITHOUT_PAGE: &[&str] = &["inception", "rotation"];
pub(crate) const FROZEN: &[&str] = &["inception", "rotation", "rotation: another after the same event", "keep page"];

pub(crate) fn network() -> Network {
    Network::named("ggen-vectors").unwrap()
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().to_bytes())
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

pub(crate) fn inception() -> Inception {
    Inception {
        handle: "ggen".parse().unwrap(),
        key: public(SEED),
        next: KeyCommitment::to_key(&public(NEXT_SEED)),
        work: Work::NONE,
    }
}

pub(crate) fn signed<T: Payload>(payload: T) -> Verified<T> {
    signed_by(SEED, payload)
}

pub(crate) fn signed_by<T: Payload>(seed: u8, payload: T) -> Verified<T> {
    record::sign(payload, &key(seed), &network()).unwrap()
}

pub(crate) fn key_log() -> KeyLog {
    KeyLog::new(signed(inception()))
}

/// The key log after the rotation, with its page.
fn rotated_log() -> KeyLog {
    let mut key_log = key_log();
    key_log.follow(signed_by(NEXT_SEED, rotation())).unwrap();
    key_log.add_page(signed_by(NEXT_SEED, page())).unwrap();
    key_log
}

/// Keeps the releases `minimal` and `full`.
pub(crate) fn page() -> KeepPage {
    let mut keep = vec![signed(minimal()).id(), signed(full()).id()];
    keep.sort();
    KeepPage { publisher: key_log().publisher(), prev: key_log().head(), revealed: public(NEXT_SEED), keep }
}

pub(crate) fn rotation() -> Rotation {
    Rotation {
        publisher: key_log().publisher(),
        prev: key_log().head(),
        revealed: public(NEXT_SEED),
        key: public(FRESH_SEED),
        next: KeyCommitment::to_key(&public(LAST_SEED)),
        pages: vec![signed_by(NEXT_SEED, page()).id()],
    }
}

/// It follows the same event as the other, and keeps nothing.
pub(crate) fn rival() -> Rotation {
    Rotation { key: public(7), next: KeyCommitment::to_key(&public(4)), pages: Vec::new(), ..rotation() }
}

/// What is released once the rotation has put its key in force.
pub(crate) fn after_rotation() -> Release {
    Release {
        signed_under: signed_by(NEXT_SEED, rotation()).id(),
        index: 1,
        version: "0.2.0".parse().unwrap(),
        ..minimal()
    }
}

pub(crate) fn yank() -> Status {
    Status {
        publisher: key_log().publisher(),
        signed_under: key_log().head(),
        index: 2,
        name: "pack".parse().unwrap(),
        version: "0.1.0".parse().unwrap(),
        seq: 1,
        state: State::Yanked,
        reason: "It deletes what it should keep.".into(),
        instead: None,
    }
}

fn with_state(state: State) -> Status {
    Status { index: 3 + u32::from(state.number()), seq: u64::MAX, state, reason: String::new(), ..yank() }
}

fn deprecation() -> Status {
    Status { instead: Some(signed(full()).package()), ..with_state(State::Deprecated) }
}

/// The payload of a kind that is not known: some fields are, the others may be anything.
pub(crate) fn unknown() -> Vec<u8> {
    let event = key_log().head();
    let says = cbor::list(&[text("größe"), vec![0xf6], vec![0xf5], [&[0xfb][..], &1.1_f64.to_be_bytes()].concat()]);
    let mut entries = vec![
        (text("publisher"), bytes_of(event.as_bytes())),
        (text("signed_under"), bytes_of(event.as_bytes())),
        (text("index"), vec![7]),
        (text("says"), says),
    ];
    entries.sort();
    map(&entries)
}

pub(crate) fn bytes_of(bytes: &[u8]) -> Vec<u8> {
    [&cbor::head(2, bytes.len() as u64)[..], bytes].concat()
}

pub(crate) fn minimal() -> Release {
    Release {
        publisher: key_log().publisher(),
        signed_under: key_log().head(),
        index: 0,
        name: "pack".parse().unwrap(),
        version: "0.1.0".parse().unwrap(),
        artifact: Artifact { cid: ContentId::of_raw(b"artifact"), size: 8 },
        title: None,
        description: String::new(),
        readme: None,
        categories: Vec::new(),
        tags: Vec::new(),
        license: None,
        authors: Vec::new(),
        homepage: None,
        repository: None,
        documentation: None,
        dependencies: Vec::new(),
        created: 0,
    }
}

pub(crate) fn full() -> Release {
    Release {
        index: MAX_QUOTA - 1,
        name: "event-sourcing.axum_2".parse().unwrap(),
        version: "1.20.3-rc.1".parse().unwrap(),
        artifact: Artifact { cid: ContentId::of_dag_pb(b"artifact"), size: 300_000 },
        title: Some("Event sourcing for axum".into()),
        description: "Aggregates, an event store and HTTPServer projections.".into(),
        readme: Some(Content { cid: ContentId::of_raw(b"# Read me"), size: 9 }),
        categories: vec!["web".into(), "Data structures".into()],
        tags: vec!["event-sourcing".into(), "CQRS".into(), "c++".into()],
        license: Some("MIT OR Apache-2.0".into()),
        authors: vec!["Ada Lovelace <ada@example.org>".into(), "Charles".into()],
        homepage: Some("https://example.org/".into()),
        repository: Some("https://example.org/source?a=b#c".into()),
        documentation: Some("http://example.org/docs".into()),
        dependencies: vec![
            dependency(Some(key_log().publisher()), "pack", "^0.1", false),
            dependency(None, "serde", ">=1.0.100, <2.0.0", true),
        ],
        created: 1_700_000_000,
        ..minimal()
    }
}

pub(crate) fn non_ascii() -> Release {
    Release {
        index: 256,
        title: Some("Größenmaß 数据库".into()),
        description: "Ünïcödé: ελληνικά, עברית, हिन्दी, 👩‍💻".into(),
        tags: vec!["größe".into(), "数据库".into()],
        authors: vec!["Łukasz 山田".into()],
        homepage: Some("https://例え.jp/".into()),
        created: u64::MAX,
        ..minimal()
    }
}

pub(crate) fn dependency(publisher: Option<PublisherId>, name: &str, requirement: &str, optional: bool) -> Dependency {
    Dependency { publisher, name: name.parse().unwrap(), requirement: requirement.into(), optional }
}

pub(crate) fn records() -> Value {
    let publisher = key_log().publisher();
    json!({
        "about": ABOUT,
        "network": network().as_str(),
        "publisher": {
            "seed": hex([SEED; 32]),
            "next_seed": hex([NEXT_SEED; 32]),
            "key": public(SEED).to_string(),
            "next": inception().next.to_string(),
            "handle": "ggen",
            "id": publisher.to_string(),
            "fingerprint": publisher.fingerprint().to_string(),
        },
        "valid": valid_records(),
        "invalid": refused::invalid(),
        "invalid_key_logs": refused::invalid_key_logs(),
        "heads": [
            head_of("head: minimal", &key_log(), &signed(minimal())),
            head_of("head: every field", &key_log(), &signed(full())),
            head_of("head: kept by a rotation", &rotated_log(), &signed(minimal())),
            head_of("head: after a rotation", &rotated_log(), &signed_by(FRESH_SEED, after_rotation())),
        ],
        "invalid_heads": refused::invalid_heads(),
        "texts": texts(),
    })
}

fn valid_records() -> Vec<Value> {
    let release = |release| Record::Release(Box::new(signed(release)));
    let page = || Record::KeepPage(Box::new(signed_by(NEXT_SEED, page())));
    let rotation = |rotation| Record::Rotation(Box::new(signed_by(NEXT_SEED, rotation)));
    let status = |status| Record::Status(Box::new(signed(status)));
    let after = || Record::Release(Box::new(signed_by(FRESH_SEED, after_rotation())));
    let unknown = record::sign_unknown(UNKNOWN, unknown(), &key(SEED), &network()).unwrap();
    vec![
        valid("inception", INCEPTION, SEED, &Record::Inception(signed(inception()))),
        valid("release: minimal", INCEPTION, SEED, &release(minimal())),
        valid("release: every field", INCEPTION, SEED, &release(full())),
        valid("release: not ASCII", INCEPTION, SEED, &release(non_ascii())),
        valid("keep page", INCEPTION, NEXT_SEED, &page()),
        valid("keep page: once the rotation is there", WITHOUT_PAGE, NEXT_SEED, &page()),
        valid("rotation", INCEPTION, NEXT_SEED, &rotation(self::rotation())),
        valid("rotation: another after the same event", WITHOUT_PAGE, NEXT_SEED, &rotation(rival())),
        valid("release: kept by a rotation", ROTATED, SEED, &release(minimal())),
        valid("release: kept by one rotation of two", FROZEN, SEED, &release(full())),
        valid("release: after a rotation", ROTATED, FRESH_SEED, &after()),
        valid("release: after a rotation whose pages are not here", WITHOUT_PAGE, FRESH_SEED, &after()),
        valid("status: yanked", INCEPTION, SEED, &status(yank())),
        valid("status: active", INCEPTION, SEED, &status(with_state(State::Active))),
        valid("status: deprecated", INCEPTION, SEED, &status(deprecation())),
        valid("status: retracted", INCEPTION, SEED, &status(with_state(State::Retracted))),
        valid("unknown kind", INCEPTION, SEED, &Record::Unknown(Box::new(unknown))),
    ]
}

fn valid(name: &str, key_log: &[&str], seed: u8, record: &Record) -> Value {
    let envelope = Envelope::decode(record.bytes()).unwrap();
    json!({
        "name": name,
        "kind": envelope.kind,
        "key_log": key_log,
        "seed": hex([seed; 32]),
        "payload": hex(&envelope.payload),
        "id": record.id().to_string(),
        "message": hex(record.kind().signed_message(&network(), &record.id())),
        "signature": hex(envelope.signature),
        "record": hex(&record.bytes()[..]),
        "announcement": hex(announcement::message_id(record.bytes())),
        "says": says(record),
    })
}

fn says(record: &Record) -> Value {
    let texts = |ids: &[RecordId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    match record {
        Record::Inception(_) => Value::Null,
        Record::Release(release) => json!({ "release": shown(release) }),
        Record::KeepPage(page) => json!({ "keep_page": {
            "prev": page.prev.to_string(), "revealed": page.revealed.to_string(), "keep": texts(&page.keep),
        } }),
        Record::Rotation(rotation) => json!({ "rotation": {
            "prev": rotation.prev.to_string(), "revealed": rotation.revealed.to_string(), "key": rotation.key.to_string(),
            "next": rotation.next.to_string(), "pages": texts(&rotation.pages),
        } }),
        Record::Status(status) => json!({ "status": {
            "package": status.package().to_string(), "version": status.version.to_string(), "seq": status.seq,
            "state": status.state.as_str(), "reason": status.reason,
            "instead": status.instead.as_ref().map(ToString::to_string),
        } }),
        Record::Unknown(unknown) => json!({ "unknown": {
            "publisher": unknown.publisher.to_string(), "signed_under": unknown.signed_under.to_string(), "index": unknown.index,
        } }),
    }
}

fn shown(release: &Release) -> Value {
    let full_name = FullName {
        handle: Some("ggen".parse().unwrap()),
        fingerprint: release.publisher.fingerprint(),
        name: release.name.clone(),
    };
    json!({
        "full_name": full_name.to_string(),
        "version": release.version.to_string(),
        "artifact": release.artifact.cid.to_string(),
        "size": release.artifact.size,
        "title": release.title,
        "description": release.description,
    })
}

fn head_of(name: &str, key_log: &KeyLog, release: &Verified<Release>) -> Value {
    json!({
        "name": name,
        "key": String::from_utf8(head::key(&release.package())).unwrap(),
        "value": hex(head::encode(key_log, release).unwrap()),
        "release": release.id().to_string(),
    })
}

fn texts() -> Value {
    let publisher = key_log().publisher();
    let (id, fingerprint) = (publisher.to_string(), publisher.fingerprint().to_string());
    let cid = ContentId::of_raw(b"artifact").to_string();
    let zeros = "a".repeat(52);
    let mut all: Vec<Value> = Vec::new();
    let mut add = |is: &str, valid: bool, texts: &[&str]| {
        all.extend(texts.iter().map(|text| json!({ "is": is, "text": text, "valid": valid })));
    };
    add("publisher id", true, &[&id, &zeros]);
    add("record id", true, &[&id]);
    let other_bits = format!("{}b", &zeros[1..]);
    add("publisher id", false, &["", &id.to_uppercase(), &id[1..], &format!("{id}a"), &other_bits]);
    add("fingerprint", true, &[&fingerprint]);
    add("fingerprint", false, &[&id, &fingerprint[1..], &fingerprint.to_uppercase()]);
    add("handle", true, &["ggen", "a--b", "0"]);
    add("handle", false, &["", "-a", "a-", "A", "a.b", "a~b", &"a".repeat(33)]);
    add("package name", true, &["serde_json", "tower-http", "node.js", "7zip"]);
    add("package name", false, &["", ".", "..", "a..b", ".a", "-a", "A", "a/b", "ä", &"a".repeat(65)]);
    add("full name", true, &[&format!("ggen~{fingerprint}/pack"), &format!("~{fingerprint}/pack")]);
    add("full name", false, &["ggen/pack", &format!("ggen~{fingerprint}/a/b"), &format!("ggen~{fingerprint}")]);
    add("version", true, &["0.0.0", "1.2.3", "1.0.0-rc.1", "1.0.0-0"]);
    add("version", false, &["1", "1.0", "01.0.0", "1.0.0+build", "v1.0.0", "1.0.0-01"]);
    add("content id", true, &[&cid, &ContentId::of_dag_pb(b"artifact").to_string()]);
    add("content id", false, &[&cid.to_uppercase(), &format!("/ipfs/{cid}"), &format!("{cid}aa"), &cid[1..]]);
    Value::Array(all)
}

const TEXTS: [&str; 24] = [
    "",
    "serde_json",
    "Serde-Json",
    "parseHTTP2Frame",
    "HTTPServer I/O",
    "node.js",
    "don't",
    "a---b, c--d",
    "end. Next",
    "C++ and C#, libstdc++-dev",
    "a+b c+++ ++ #tag",
    "ＦＵＬＬ ﬁle Straße ΣΊΣΥΦΟΣ",
    "e\u{301}tude ÉTUDE",
    "soft\u{ad}ware zero\u{200b}width",
    "नमस्ते दुनिया",
    "שלום، عالم",
    "数据库 データベース",
    "한국어 패키지",
    "İstanbul ıI",
    "x² Ⅻ ½",
    "👩‍💻 emoji🎉text",
    "\u{301}\u{301}",
    "antidisestablishmentarianismantidisestablishment",
    "größegrößegrößegrößegrößegrößegröße",
];

pub(crate) fn analyser() -> Value {
    let strings = |tokens: Vec<analyse::Token>| tokens.iter().map(|it| it.as_str().to_owned()).collect::<Vec<_>>();
    let texts = TEXTS.map(|text| {
        json!({ "text": text, "tokens": strings(analyse::tokens(text)), "query": strings(analyse::wholes(text)) })
    });
    let found = |name: &str, release: &Release| {
        let tokens: Vec<_> =
            Tokens::of(release).iter().map(|(token, fields)| json!([token, format!("{fields:?}")])).collect();
        json!({ "release": name, "tokens": tokens })
    };
    json!({
        "about": ABOUT,
        "nfkc_tables": analyse::NFKC_TABLES,
        "case_tables": analyse::CASE_TABLES,
        "texts": texts,
        "releases": [
            found("release: minimal", &minimal()),
            found("release: every field", &full()),
            found("release: not ASCII", &non_ascii()),
        ],
    })
}
