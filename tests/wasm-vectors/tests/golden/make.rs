//! Makes the vectors: the same ones on every machine and every day.

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use ggen_shared::codec;
use ggen_shared::id::{FullName, KeyCommitment, Network, PublicKey, PublisherId, RecordId};
use ggen_shared::limits::{BASE_QUOTA, MAX_ARTIFACT_BYTES, MAX_HEAD_BYTES, MAX_RECORD_BYTES, MAX_TAGS};
use ggen_shared::protocol::{announcement, head};
use ggen_shared::record::{
    self, Artifact, Content, ContentId, Dependency, Envelope, Inception, KeyLog, Kind, Payload, Release, Verified, Work,
};
use ggen_shared::search::analyser::{self as analyse, Tokens};
use serde_json::{Map, Value, json};

use crate::cbor::{self, entries, map, text, text_of, with};

pub(crate) const ABOUT: &str =
    "made by tests/wasm-vectors; to change it on purpose: GGEN_BLESS=1 cargo test -p ggen-wasm-vectors";

const SEED: u8 = 1;
const NEXT_SEED: u8 = 2;

fn network() -> Network {
    Network::named("ggen-vectors").unwrap()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().to_bytes())
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

fn inception() -> Inception {
    Inception {
        handle: "ggen".parse().unwrap(),
        key: public(SEED),
        next: KeyCommitment::to_key(&public(NEXT_SEED)),
        work: Work::NONE,
    }
}

fn signed<T: Payload>(payload: T) -> Verified<T> {
    record::sign(payload, &key(SEED), &network()).unwrap()
}

fn key_log() -> KeyLog {
    KeyLog::new(signed(inception()))
}

fn minimal() -> Release {
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

fn full() -> Release {
    Release {
        index: BASE_QUOTA - 1,
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

fn non_ascii() -> Release {
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

fn dependency(publisher: Option<PublisherId>, name: &str, requirement: &str, optional: bool) -> Dependency {
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
        "valid": [
            valid("inception", &signed(inception()), None),
            valid_release("release: minimal", minimal()),
            valid_release("release: every field", full()),
            valid_release("release: not ASCII", non_ascii()),
        ],
        "invalid": invalid(),
        "heads": [head_of("head: minimal", minimal()), head_of("head: every field", full())],
        "invalid_heads": invalid_heads(),
        "texts": texts(),
    })
}

fn valid<T: Payload>(name: &str, record: &Verified<T>, release: Option<Value>) -> Value {
    let envelope = Envelope::decode(record.bytes()).unwrap();
    json!({
        "name": name,
        "kind": envelope.kind,
        "payload": hex(&envelope.payload),
        "id": record.id().to_string(),
        "message": hex(T::KIND.signed_message(&network(), &record.id())),
        "signature": hex(envelope.signature),
        "record": hex(&record.bytes()[..]),
        "announcement": hex(announcement::message_id(record.bytes())),
        "release": release,
    })
}

fn valid_release(name: &str, release: Release) -> Value {
    let full_name = FullName {
        handle: Some("ggen".parse().unwrap()),
        fingerprint: release.publisher.fingerprint(),
        name: release.name.clone(),
    };
    let shown = json!({
        "full_name": full_name.to_string(),
        "version": release.version.to_string(),
        "artifact": release.artifact.cid.to_string(),
        "size": release.artifact.size,
        "title": release.title,
        "description": release.description,
    });
    valid(name, &signed(release), Some(shown))
}

fn head_of(name: &str, release: Release) -> Value {
    let release = signed(release);
    json!({
        "name": name,
        "key": String::from_utf8(head::key(&release.package())).unwrap(),
        "value": hex(head::encode(&key_log(), &release).unwrap()),
        "release": release.id().to_string(),
    })
}

/// An envelope around any payload, rightly signed.
fn sealed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    sealed_for(kind, payload, SEED, &kind.signed_message(&network(), &kind.id_of(payload)))
}

fn sealed_for(kind: Kind, payload: &[u8], seed: u8, message: &[u8]) -> Vec<u8> {
    enveloped(kind.number().into(), payload, key(seed).sign(message).to_bytes())
}

fn enveloped(kind: u16, payload: &[u8], signature: [u8; 64]) -> Vec<u8> {
    codec::encode(&Envelope { kind, payload: payload.to_vec(), signature })
}

struct List(Vec<Value>);

impl List {
    fn push(&mut self, error: &str, name: &str, record: &[u8]) {
        self.push_with(error, name, record, json!({}));
    }

    fn push_with(&mut self, error: &str, name: &str, record: &[u8], more: Value) {
        let mut vector = Map::new();
        vector.insert("name".into(), format!("invalid: {name}").into());
        vector.insert("record".into(), hex(record).into());
        vector.extend(more.as_object().unwrap().clone());
        vector.insert("error".into(), error.into());
        self.0.push(Value::Object(vector));
    }
}

fn invalid() -> Value {
    let mut list = List(Vec::new());
    bad_encodings(&mut list);
    bad_signatures(&mut list);
    bad_keys(&mut list);
    bad_contexts(&mut list);
    bad_fields(&mut list);
    Value::Array(list.0)
}

fn bad_encodings(list: &mut List) {
    let payload = codec::encode(&minimal());
    let sound = sealed(Kind::Release, &payload);
    let error = "record/encoding";
    list.push(error, "nothing", &[]);
    list.push(error, "cut off", &sound[..sound.len() - 1]);
    list.push(error, "a byte after the end", &[&sound[..], &[0]].concat());
    list.push_with(error, "too long", &[], json!({ "padding": MAX_RECORD_BYTES + 1 }));
    list.push(error, "deeply nested", &[0x81; 1000]);
    for (what, changed) in spellings(&sound, "k") {
        list.push(error, &format!("envelope {what}"), &changed);
    }
    for (what, changed) in spellings(&payload, "index") {
        list.push(error, &format!("payload {what}"), &sealed(Kind::Release, &changed));
    }
    let null = with(&payload, "title", vec![0xf6]);
    list.push(error, "an absent field written as null", &sealed(Kind::Release, &null));
    for kind in [0, 2, 3, 5, u16::MAX] {
        list.push("record/unknown-kind", &format!("kind {kind}"), &enveloped(kind, &payload, [0; 64]));
    }
    list.push(error, "a release under the number of inceptions", &sealed(Kind::Inception, &payload));
}

/// Other spellings of a map with a small number under `key`.
fn spellings(canonical: &[u8], key: &str) -> Vec<(&'static str, Vec<u8>)> {
    let all = entries(canonical);
    let count = u8::try_from(all.len()).unwrap();
    let at = all.iter().position(|(known, _)| *known == text(key)).unwrap();
    let number = all[at].1[0];
    let twice = [&all[..=at], &all[at..]].concat();
    vec![
        ("with keys in reverse", map(&all.iter().rev().cloned().collect::<Vec<_>>())),
        ("with a key twice", map(&twice)),
        ("without a key", map(&[&all[..at], &all[at + 1..]].concat())),
        ("with an unknown key", with(canonical, "zzzzzzzzzzzzz", vec![0])),
        ("with a long length", [&[0xb8, count], &cbor::body(&all)[..]].concat()),
        ("of indefinite length", [&[0xbf], &cbor::body(&all)[..], &[0xff]].concat()),
        ("with a long number", with(canonical, key, vec![0x18, number])),
        ("with a number as float", with(canonical, key, [&[0xfb], &f64::from(number).to_be_bytes()[..]].concat())),
        ("with a number as null", with(canonical, key, vec![0xf6])),
        ("with a tag", [&[0xd9, 0xd9, 0xf7], canonical].concat()),
    ]
}

fn bad_signatures(list: &mut List) {
    let error = "record/bad-signature";
    let payload = codec::encode(&minimal());
    let id = Kind::Release.id_of(&payload);
    let message = Kind::Release.signed_message(&network(), &id);
    let signature = key(SEED).sign(&message).to_bytes();
    for at in [0, 31, 32, 63] {
        let mut changed = signature;
        changed[at] ^= 1;
        list.push(error, &format!("byte {at} of the signature changed"), &enveloped(4, &payload, changed));
    }
    let other_network = Kind::Release.signed_message(&Network::main(), &id);
    list.push(error, "signed for another network", &sealed_for(Kind::Release, &payload, SEED, &other_network));
    let other_kind = Kind::Inception.signed_message(&network(), &id);
    list.push(error, "signed for another kind", &sealed_for(Kind::Release, &payload, SEED, &other_kind));
    list.push(error, "the payload itself signed", &sealed_for(Kind::Release, &payload, SEED, &payload));
    list.push(error, "signed by another key", &sealed_for(Kind::Release, &payload, 3, &message));
    list.push(error, "signed by the next key", &sealed_for(Kind::Release, &payload, NEXT_SEED, &message));
    let changed = codec::encode(&Release { index: 1, ..minimal() });
    list.push(error, "the signature of another release", &enveloped(4, &changed, signature));
    list.push(error, "S + L", &enveloped(4, &payload, plus_l(signature)));
    let mut small = [0; 64];
    small[0] = 1;
    list.push(error, "R of small order", &enveloped(4, &payload, small));
}

/// The same S, the order of the group added.
fn plus_l(mut signature: [u8; 64]) -> [u8; 64] {
    let order = HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut carry = 0;
    for (byte, added) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(added) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature
}

/// Keys that prove nothing, each with R of small order and S = 0.
fn bad_keys(list: &mut List) {
    let keys = [
        ("order 1", "0100000000000000000000000000000000000000000000000000000000000000"),
        ("order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 4", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("order 4, negative", "0000000000000000000000000000000000000000000000000000000000000080"),
        ("order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        ("order 8, negative", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        ("order 8, other", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        ("order 8, other, negative", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        ("order 1, negative zero", "0100000000000000000000000000000000000000000000000000000000000080"),
        ("order 2, negative zero", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("order 4, not reduced", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 4, not reduced, negative", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("order 1, not reduced", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("order 1, not reduced, negative", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ("not reduced", "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ("no point", "0202020202020202020202020202020202020202020202020202020202020202"),
    ];
    let mut signature = [0; 64];
    signature[0] = 1;
    for (name, key) in keys {
        let key = PublicKey::from_bytes(HEXLOWER.decode(key.as_bytes()).unwrap().try_into().unwrap());
        let payload = codec::encode(&Inception { key, ..inception() });
        list.push("record/weak-key", &format!("a key of {name}"), &enveloped(1, &payload, signature));
    }
}

fn bad_contexts(list: &mut List) {
    let release = |change: &dyn Fn(&mut Release)| {
        let mut release = minimal();
        change(&mut release);
        signed(release).bytes().to_vec()
    };
    let stranger = RecordId::from_bytes([7; 32]);
    let publisher = PublisherId::from_inception(stranger);
    list.push("record/wrong-publisher", "another publisher", &release(&|it| it.publisher = publisher));
    list.push("record/unknown-key-event", "an unknown key event", &release(&|it| it.signed_under = stranger));
    list.push("record/over-quota", "an index at the quota", &release(&|it| it.index = BASE_QUOTA));
    list.push_with(
        "record/wrong-id",
        "another record than asked for",
        &release(&|_| ()),
        json!({ "asked_for": stranger.to_string() }),
    );
}

fn bad_fields(list: &mut List) {
    let error = "record/field";
    let mut field = |name: &str, change: &dyn Fn(&mut Release)| {
        let mut release = minimal();
        change(&mut release);
        list.push(error, name, &sealed(Kind::Release, &codec::encode(&release)));
    };
    field("an artifact that is too large", &|it| it.artifact.size = MAX_ARTIFACT_BYTES + 1);
    field("an empty title", &|it| it.title = Some(String::new()));
    field("a control character", &|it| it.description = "a\u{1b}[31mb".into());
    field("a character that reorders text", &|it| it.title = Some("a\u{202e}b".into()));
    field("an Arabic letter mark", &|it| it.title = Some("a\u{61c}b".into()));
    field("white space at the end", &|it| it.description = "a ".into());
    field("a long description", &|it| it.description = "a".repeat(513));
    field("a tag twice", &|it| it.tags = vec!["a".into(), "a".into()]);
    field("too many tags", &|it| it.tags = (0..=MAX_TAGS).map(|tag| tag.to_string()).collect());
    field("a link that is a script", &|it| it.homepage = Some("javascript:alert(1)".into()));
    field("a link with a quotation mark", &|it| it.repository = Some("https://example.org/\"x".into()));
    field("no requirement", &|it| it.dependencies = vec![dependency(None, "a", "latest", false)]);
    field("a dependency twice", &|it| {
        it.dependencies = vec![dependency(None, "a", "1", false), dependency(None, "a", "2", true)];
    });
    let work = Work { level: 1, nonce: 0 };
    let worked = codec::encode(&Inception { work, ..inception() });
    list.push(error, "unknown work", &sealed(Kind::Inception, &worked));
    let next = KeyCommitment::to_key(&public(SEED));
    let present = codec::encode(&Inception { next, ..inception() });
    list.push(error, "a commitment to the present key", &sealed(Kind::Inception, &present));

    let (payload, error) = (codec::encode(&minimal()), "record/encoding");
    for name in [&b".."[..], b"../pack", b"a/b", b"a..b", b".hidden", b"Pack", b"", b"pack\xff", &[b'a'; 65]] {
        let changed = with(&payload, "name", text_of(name));
        list.push(error, &format!("the name {}", name.escape_ascii()), &sealed(Kind::Release, &changed));
    }
    for version in ["1.0", "01.0.0", "1.0.0+build", "v1.0.0", "1.0.0-01", "1.0.0 "] {
        let changed = with(&payload, "version", text(version));
        list.push(error, &format!("the version {version}"), &sealed(Kind::Release, &changed));
    }
    let empty = with(&payload, "tags", cbor::list(&[text("a"), vec![0xf6]]));
    list.push(error, "a tag that is null", &sealed(Kind::Release, &empty));
}

fn invalid_heads() -> Value {
    let release = signed(minimal());
    let value = head::encode(&key_log(), &release).unwrap();
    let key = String::from_utf8(head::key(&release.package())).unwrap();
    let publisher = release.publisher;
    let stranger = PublisherId::from_bytes([7; 32]);
    let mut forged = value.clone();
    *forged.last_mut().unwrap() ^= 1;
    let vector = |error: &str, name: &str, key: &str, value: &[u8], padding: usize| json!({ "name": format!("invalid head: {name}"), "key": key, "value": hex(value), "padding": padding, "error": error });
    json!([
        vector("head/wrong-package", "another package", &format!("/ggen/package/{publisher}/other"), &value, 0),
        vector("record/wrong-id", "another publisher", &format!("/ggen/package/{stranger}/pack"), &value, 0),
        vector("head/bad-key", "no key", "/ggen/package/pack", &value, 0),
        vector("head/bad-key", "a path as name", &format!("/ggen/package/{publisher}/../pack"), &value, 0),
        vector("record/bad-signature", "the signature changed", &key, &forged, 0),
        vector("record/encoding", "cut off", &key, &value[..value.len() - 1], 0),
        vector("record/encoding", "a byte after the end", &key, &value, 1),
        vector("record/encoding", "too long", &key, &[], MAX_HEAD_BYTES + 1),
    ])
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
        let tokens: Vec<_> = Tokens::of(release)
            .iter()
            .map(|(token, fields)| json!([token, format!("{:?}", fields.best()), fields.is_described_too()]))
            .collect();
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
