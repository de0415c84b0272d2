//! Records, key logs and heads that are refused, each for one reason.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use ed25519_dalek::Signer;
use ggen_shared::codec;
use ggen_shared::id::{KeyCommitment, Network, PublicKey, PublisherId, RecordId};
use ggen_shared::limits::{
    MAX_ARTIFACT_BYTES, MAX_HEAD_BYTES, MAX_KEPT_PER_PAGE, MAX_PAGES_PER_ROTATION, MAX_QUOTA, MAX_REASON_BYTES,
    MAX_RECORD_BYTES, MAX_TAGS,
};
use ggen_shared::protocol::head;
use ggen_shared::record::{self, Envelope, Inception, KeepPage, Kind, Release, Rotation, Status, Work};
use serde_json::{Map, Value, json};

use crate::cbor::{self, entries, map, text, text_of, with};
use crate::make::*;

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

pub(crate) fn invalid() -> Value {
    let mut list = List(Vec::new());
    bad_encodings(&mut list);
    bad_signatures(&mut list);
    bad_keys(&mut list);
    bad_contexts(&mut list);
    bad_fields(&mut list);
    bad_rotations(&mut list);
    bad_statuses(&mut list);
    bad_unknown_kinds(&mut list);
    rotated_out(&mut list);
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
    for kind in [0, 256, u16::MAX] {
        list.push("record/unknown-kind", &format!("kind {kind}"), &enveloped(kind, &payload, [0; 64]));
    }
    for (kind, of) in [(Kind::KeepPage, "keep pages"), (Kind::Rotation, "rotations"), (Kind::Status, "statuses")] {
        list.push(error, &format!("a release under the number of {of}"), &sealed(kind, &payload));
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
    list.push("record/over-quota", "an index at the quota", &release(&|it| it.index = MAX_QUOTA));
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

fn bad_rotations(list: &mut List) {
    let by_next = |kind: Kind, payload: &[u8]| {
        sealed_for(kind, payload, NEXT_SEED, &kind.signed_message(&network(), &kind.id_of(payload)))
    };
    let mut one = |error: &str, name: &str, change: &dyn Fn(&mut Rotation)| {
        let mut it = rotation();
        change(&mut it);
        list.push(error, &format!("a rotation {name}"), &by_next(Kind::Rotation, &codec::encode(&it)));
    };
    let ids = |count: usize| (0..count).map(numbered).collect::<Vec<_>>();
    let stranger = RecordId::from_bytes([7; 32]);
    one("record/field", "that commits to the key that it puts in force", &|it| {
        it.next = KeyCommitment::to_key(&it.key)
    });
    one("record/field", "that commits to the key that it reveals", &|it| it.next = KeyCommitment::to_key(&it.revealed));
    one("record/field", "that puts the key in force that it reveals", &|it| it.key = it.revealed);
    one("record/weak-key", "that puts a weak key in force", &|it| it.key = PublicKey::from_bytes([0; 32]));
    one("record/field", "with pages out of order", &|it| it.pages = vec![numbered(2), numbered(1)]);
    one("record/field", "with a page twice", &|it| it.pages = vec![numbered(1), numbered(1)]);
    one("record/field", "with too many pages", &|it| it.pages = ids(MAX_PAGES_PER_ROTATION + 1));
    one("record/not-committed", "that reveals a key that nothing committed to", &|it| it.revealed = public(9));
    one("record/not-committed", "that reveals the present key", &|it| it.revealed = public(SEED));
    one("record/unknown-key-event", "after an unknown key event", &|it| it.prev = stranger);
    one("record/wrong-publisher", "of another publisher", &|it| it.publisher = PublisherId::from_inception(stranger));

    let mut one = |error: &str, name: &str, change: &dyn Fn(&mut KeepPage)| {
        let mut it = page();
        change(&mut it);
        list.push(error, &format!("a keep page {name}"), &by_next(Kind::KeepPage, &codec::encode(&it)));
    };
    one("record/field", "that keeps nothing", &|it| it.keep = Vec::new());
    one("record/field", "out of order", &|it| it.keep = vec![numbered(2), numbered(1)]);
    one("record/field", "with a record twice", &|it| it.keep = vec![numbered(1), numbered(1)]);
    one("record/field", "that is too long", &|it| it.keep = ids(MAX_KEPT_PER_PAGE + 1));
    one("record/not-committed", "of a key that nothing committed to", &|it| it.revealed = public(9));
    one("record/unknown-key-event", "after an unknown key event", &|it| it.prev = stranger);
    one("record/wrong-publisher", "of another publisher", &|it| it.publisher = PublisherId::from_inception(stranger));

    let error = "record/bad-signature";
    let (rotation, page) = (codec::encode(&rotation()), codec::encode(&page()));
    list.push(error, "a rotation signed by the key that it ends", &sealed(Kind::Rotation, &rotation));
    list.push(error, "a keep page signed by the key of what it keeps", &sealed(Kind::KeepPage, &page));
    let fresh = Kind::Rotation.signed_message(&network(), &Kind::Rotation.id_of(&rotation));
    let fresh = sealed_for(Kind::Rotation, &rotation, FRESH_SEED, &fresh);
    list.push(error, "a rotation signed by the key that it puts in force", &fresh);
    let other_kind = Kind::KeepPage.signed_message(&network(), &Kind::Rotation.id_of(&rotation));
    let other_kind = sealed_for(Kind::Rotation, &rotation, NEXT_SEED, &other_kind);
    list.push(error, "a rotation signed as a keep page", &other_kind);
    let elsewhere = Kind::Rotation.signed_message(&Network::main(), &Kind::Rotation.id_of(&rotation));
    let elsewhere = sealed_for(Kind::Rotation, &rotation, NEXT_SEED, &elsewhere);
    list.push(error, "a rotation signed for another network", &elsewhere);
}

fn numbered(number: usize) -> RecordId {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&(number as u64).to_be_bytes());
    RecordId::from_bytes(id)
}

fn bad_statuses(list: &mut List) {
    let mut one = |error: &str, name: &str, change: &dyn Fn(&mut Status)| {
        let mut it = yank();
        change(&mut it);
        list.push(error, &format!("a status {name}"), &sealed(Kind::Status, &codec::encode(&it)));
    };
    let stranger = RecordId::from_bytes([7; 32]);
    one("record/field", "with a long reason", &|it| it.reason = "a".repeat(MAX_REASON_BYTES + 1));
    one("record/field", "with a reason of two lines", &|it| it.reason = "a\nb".into());
    one("record/field", "that yanks and names another", &|it| it.instead = Some(it.package()));
    one("record/over-quota", "at an index over the quota", &|it| it.index = MAX_QUOTA);
    one("record/unknown-key-event", "under an unknown key event", &|it| it.signed_under = stranger);
    one("record/wrong-publisher", "of another publisher", &|it| it.publisher = PublisherId::from_inception(stranger));
    let payload = codec::encode(&yank());
    let other_state = with(&payload, "state", text("deleted"));
    list.push("record/encoding", "a status with an unknown state", &sealed(Kind::Status, &other_state));
    let null = with(&payload, "instead", vec![0xf6]);
    list.push("record/encoding", "a status with null instead of nothing", &sealed(Kind::Status, &null));
    let next = Kind::Status.signed_message(&network(), &Kind::Status.id_of(&payload));
    let next = sealed_for(Kind::Status, &payload, NEXT_SEED, &next);
    list.push("record/bad-signature", "a status signed by the next key", &next);
}

fn bad_unknown_kinds(list: &mut List) {
    let kind = Kind::Unknown(UNKNOWN);
    let payload = unknown();
    for (what, changed) in spellings(&payload, "index") {
        let error = match what {
            // Whatever else it says is for those to judge who know the kind.
            "with an unknown key" => continue,
            "without a key" | "with a number as float" | "with a number as null" => "record/field",
            _ => "record/encoding",
        };
        list.push(error, &format!("unknown kind {what}"), &sealed(kind, &changed));
    }
    let without =
        |key: &str| map(&entries(&payload).into_iter().filter(|(it, _)| *it != text(key)).collect::<Vec<_>>());
    let fields = [
        ("without a publisher", without("publisher")),
        ("without a key event", without("signed_under")),
        ("with a short publisher", with(&payload, "publisher", bytes_of(&[7; 31]))),
        ("with a long key event", with(&payload, "signed_under", bytes_of(&[7; 33]))),
        ("with a publisher as text", with(&payload, "publisher", text("publisher"))),
        ("with a negative index", with(&payload, "index", vec![0x20])),
        ("with an index of 33 bits", with(&payload, "index", cbor::head(0, 1 << 32))),
    ];
    for (what, changed) in fields {
        list.push("record/field", &format!("unknown kind {what}"), &sealed(kind, &changed));
    }
    list.push("record/encoding", "unknown kind that is no map", &sealed(kind, &cbor::list(&[])));
    let nan = with(&payload, "says", [&[0xfb][..], &f64::NAN.to_be_bytes()].concat());
    list.push("record/encoding", "unknown kind with a number that is none", &sealed(kind, &nan));
    let long = [&payload[..], &[0]].concat();
    list.push("record/encoding", "unknown kind with a byte after the end", &sealed(kind, &long));
    let stranger = bytes_of(&[7; 32]);
    let publisher = with(&payload, "publisher", stranger.clone());
    list.push("record/wrong-publisher", "unknown kind of another publisher", &sealed(kind, &publisher));
    let event = with(&payload, "signed_under", stranger);
    list.push("record/unknown-key-event", "unknown kind under an unknown key event", &sealed(kind, &event));
    let index = with(&payload, "index", cbor::head(0, MAX_QUOTA.into()));
    list.push("record/over-quota", "unknown kind at an index over the quota", &sealed(kind, &index));
    let error = "record/bad-signature";
    let signature = key(SEED).sign(&kind.signed_message(&network(), &kind.id_of(&payload))).to_bytes();
    list.push(error, "unknown kind under another number", &enveloped(201, &payload, signature));
    let release = enveloped(6, &codec::encode(&minimal()), [0; 64]);
    list.push(error, "a release under the number of an unknown kind, not signed", &release);
}

/// What the key log makes of records whose signatures hold.
fn rotated_out(list: &mut List) {
    let mut one = |error: &str, name: &str, key_log: &[&str], record: &[u8]| {
        list.push_with(error, name, record, json!({ "key_log": key_log }));
    };
    let void = "record/void";
    let other = signed(non_ascii());
    one(void, "a release that the rotation does not keep", ROTATED, other.bytes());
    one(void, "a status that the rotation does not keep", ROTATED, signed(yank()).bytes());
    one(void, "unknown kind that the rotation does not keep", ROTATED, &sealed(Kind::Unknown(UNKNOWN), &unknown()));
    one(void, "a release that neither rotation keeps", FROZEN, other.bytes());
    one("record/no-keep-page", "a release whose page is not here", WITHOUT_PAGE, signed(minimal()).bytes());
    let after = signed_by(FRESH_SEED, after_rotation());
    one("record/unknown-key-event", "a release under a rotation that is not here", INCEPTION, after.bytes());
    one("record/unknown-key-event", "a release under a rotation of two", FROZEN, after.bytes());
    let old_key = record::sign(after_rotation(), &key(SEED), &network()).unwrap();
    one("record/bad-signature", "a release after a rotation, signed by the key before it", ROTATED, old_key.bytes());
    let revealed = signed_by(NEXT_SEED, after_rotation());
    one(
        "record/bad-signature",
        "a release after a rotation, signed by the key that it revealed",
        ROTATED,
        revealed.bytes(),
    );
    // Who has the key in force can neither go on nor fork what came before.
    let thief = Rotation { revealed: public(FRESH_SEED), key: public(9), ..rival() };
    let fork = signed_by(FRESH_SEED, thief.clone());
    one("record/not-committed", "a rotation beside another, by the key in force", ROTATED, fork.bytes());
    let on = signed_by(FRESH_SEED, Rotation { prev: signed_by(NEXT_SEED, rotation()).id(), ..thief });
    one("record/not-committed", "a rotation after another, by the key in force", ROTATED, on.bytes());
    let quota = signed_by(FRESH_SEED, Release { index: MAX_QUOTA, ..after_rotation() });
    one("record/over-quota", "a release after a rotation, with an index at the quota", ROTATED, quota.bytes());
}

pub(crate) fn invalid_key_logs() -> Value {
    let (inception, rotation) = (signed(inception()), signed_by(NEXT_SEED, rotation()));
    let (page, rival) = (signed_by(NEXT_SEED, page()), signed_by(NEXT_SEED, rival()));
    let second = signed_by(
        LAST_SEED,
        Rotation {
            prev: rotation.id(),
            revealed: public(LAST_SEED),
            key: public(8),
            next: KeyCommitment::to_key(&public(5)),
            pages: Vec::new(),
            ..(*rotation).clone()
        },
    );
    let stranger = signed(Inception { handle: "other".parse().unwrap(), ..self::inception() });
    let release = signed(minimal());
    let mut not_named = self::page();
    not_named.keep.truncate(1);
    let not_named = signed_by(NEXT_SEED, not_named);
    let events: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("inception", &inception.bytes()[..]),
        ("rotation", &rotation.bytes()[..]),
        ("page", &page.bytes()[..]),
        ("rival", &rival.bytes()[..]),
        ("second", &second.bytes()[..]),
        ("stranger", &stranger.bytes()[..]),
        ("release", &release.bytes()[..]),
        ("not named", &not_named.bytes()[..]),
    ]);
    let one = |error: &str, name: &str, of: &[&str]| {
        let events: Vec<_> = of.iter().map(|event| hex(events[event])).collect();
        json!({ "name": format!("invalid key log: {name}"), "events": events, "error": error })
    };
    json!([
        one("record/field", "empty", &[]),
        one("record/wrong-id", "another publisher's", &["stranger"]),
        one("record/unknown-kind", "that begins with a rotation", &["rotation", "inception"]),
        one("record/unknown-kind", "with a second inception", &["inception", "inception"]),
        one("record/unknown-kind", "with a release", &["inception", "release"]),
        one("record/field", "with a rotation twice", &["inception", "rotation", "rotation"]),
        one("record/field", "with a page twice", &["inception", "rotation", "page", "page"]),
        one("record/field", "with a page before its rotation", &["inception", "page", "rotation"]),
        one("record/field", "with a page that no rotation names", &["inception", "rotation", "not named"]),
        one("record/unknown-key-event", "with a rotation left out", &["inception", "second"]),
        one("record/unknown-key-event", "that goes on after a fork", &["inception", "rotation", "rival", "second"]),
    ])
}

pub(crate) fn invalid_heads() -> Value {
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
