//! The golden vectors hold, and are what the protocol makes today. `GGEN_BLESS=1` writes them anew: see the crate's own words.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

#[path = "../../../../shared/src/record/tests/cbor.rs"]
mod cbor;
mod checkpoints;
mod make;
mod merkle;
mod messages;
mod refused;
mod work;

use std::path::PathBuf;

use ggen_wasm_vectors::VECTORS;
use serde_json::Value;

fn compare(file: &str, known: &str, made: &Value) {
    let made = format!("{:#}\n", made);
    if std::env::var_os("GGEN_BLESS").is_some() {
        let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "vectors", file].iter().collect();
        std::fs::write(&path, made).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let differs = known.lines().zip(made.lines()).position(|(known, made)| known != made);
    let line = differs.unwrap_or_else(|| known.lines().count().min(made.lines().count()));
    assert!(
        known == made,
        "line {} of tests/vectors/{file} is not what is made today: records that are out there would be read \
         differently. If that is meant: GGEN_BLESS=1 cargo test -p ggen-wasm-vectors",
        line + 1
    );
}

#[test]
fn records_are_made_as_they_always_were() {
    compare("records.json", VECTORS.records, &make::records());
}

#[test]
fn messages_are_written_as_they_always_were() {
    compare("messages.json", VECTORS.messages, &messages::messages());
}

#[test]
fn texts_are_analysed_as_they_always_were() {
    compare("analyser.json", VECTORS.analyser, &make::analyser());
}

#[test]
fn maps_are_hashed_and_proven_as_they_always_were() {
    compare("merkle.json", VECTORS.merkle, &merkle::merkle());
}

#[test]
fn checkpoints_are_signed_as_they_always_were() {
    compare("checkpoints.json", VECTORS.checkpoints, &checkpoints::checkpoints());
}

#[test]
fn work_is_proven_as_it_always_was() {
    compare("work.json", VECTORS.work, &work::work());
}

#[test]
fn every_vector_holds() {
    let count = VECTORS.check_all().unwrap();
    assert!(count > 150, "{count}");
    assert_eq!(usize::try_from(ggen_wasm_vectors::check()), Ok(count));
    assert_eq!(ggen_wasm_vectors::message_len(), 0);
}

/// What is patched is what everybody has: a version that does not match would be taken from the registry, and browsers would be slow again.
#[test]
fn the_cipher_that_is_checked_is_the_one_that_connections_have() {
    let lock = include_str!("../../../../Cargo.lock");
    let ours: Vec<_> =
        lock.split("[[package]]").filter(|package| package.contains("name = \"chacha20poly1305\"\n")).collect();
    assert!(ours.len() == 1 && !ours[0].contains("source = "), "{ours:?}");
}

/// A check that looks away holds, too: so each value in the files is changed, and must be missed.
#[test]
fn a_vector_with_anything_changed_does_not_hold() {
    let records: Value = serde_json::from_str(VECTORS.records).unwrap();
    for (pointer, changed) in changes(&records) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { records: &changed, ..VECTORS }.check_records().is_err(), "{pointer}");
    }
    let messages: Value = serde_json::from_str(VECTORS.messages).unwrap();
    for (pointer, changed) in changes(&messages) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { messages: &changed, ..VECTORS }.check_messages().is_err(), "{pointer}");
    }
    let analyser: Value = serde_json::from_str(VECTORS.analyser).unwrap();
    for (pointer, changed) in changes(&analyser) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { analyser: &changed, ..VECTORS }.check_analyser().is_err(), "{pointer}");
    }
    let merkle: Value = serde_json::from_str(VECTORS.merkle).unwrap();
    for (pointer, changed) in changes(&merkle) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { merkle: &changed, ..VECTORS }.check_merkle().is_err(), "{pointer}");
    }
    let checkpoints: Value = serde_json::from_str(VECTORS.checkpoints).unwrap();
    for (pointer, changed) in changes(&checkpoints) {
        let changed = changed.to_string();
        assert!(
            ggen_wasm_vectors::Vectors { checkpoints: &changed, ..VECTORS }.check_checkpoints().is_err(),
            "{pointer}"
        );
    }
    let work: Value = serde_json::from_str(VECTORS.work).unwrap();
    for (pointer, changed) in changes(&work) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { work: &changed, ..VECTORS }.check_work().is_err(), "{pointer}");
    }
    let cipher: Value = serde_json::from_str(VECTORS.cipher).unwrap();
    for (pointer, changed) in changes(&cipher) {
        let changed = changed.to_string();
        assert!(ggen_wasm_vectors::Vectors { cipher: &changed, ..VECTORS }.check_cipher().is_err(), "{pointer}");
    }
}

/// The document with one value changed, for each value that says something: what is refused is as bad when it is changed, and
/// the change of a text may be a text as good.
fn changes(document: &Value) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    collect(document, String::new(), &mut pointers);
    pointers.retain(|pointer| {
        let parts: Vec<_> = pointer.split('/').collect();
        match parts[..] {
            ["", "invalid" | "invalid_heads" | "invalid_key_logs" | "refused", _, field] => field == "error",
            ["", "refused" | "invalid" | "invalid_key_logs", ..] => false,
            ["", "about" | "computed_by" | "fill"] | ["", "texts", _, "text"] | [.., "name"] => false,
            ["", "prefixes", _, field] => field == "valid",
            // Behind another place the same may stand, and of what is not there, there is more.
            ["", "proofs", _, "after"] => false,
            ["", "proofs", at, "prefix"] => {
                document.pointer(&format!("/proofs/{at}/hash")).is_some_and(Value::is_string)
            }
            _ => true,
        }
    });
    assert!(pointers.len() >= 20, "{}", pointers.len());
    let changed = pointers.into_iter().map(|pointer| {
        let (mut document, mut at) = (document.clone(), pointer.clone());
        let parts: Vec<_> = pointer.split('/').collect();
        if let ["", list @ ("invalid" | "invalid_heads" | "invalid_key_logs" | "refused"), place, field] = parts[..] {
            // The others of its list were refused before, and stand for nothing here.
            let alone = document.pointer_mut(&format!("/{list}/{place}")).expect("it was just found").take();
            document[list] = Value::Array(vec![alone]);
            at = format!("/{list}/0/{field}");
        }
        let value = document.pointer_mut(&at).expect("it was just found");
        *value = match value.take() {
            Value::Bool(bool) => Value::Bool(!bool),
            Value::Number(number) => number.as_u64().expect("all are").wrapping_add(1).into(),
            Value::String(text) => flipped(&text).into(),
            other => panic!("no leaf: {other}"),
        };
        (pointer, document)
    });
    changed.collect()
}

/// The text with its last letter or digit replaced by its neighbour.
fn flipped(text: &str) -> String {
    match text.char_indices().next_back() {
        None => "x".into(),
        Some((at, last)) => format!("{}{}", &text[..at], if last == '0' { '1' } else { '0' }),
    }
}

fn collect(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(value, format!("{pointer}/{key}"), found)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| collect(value, format!("{pointer}/{at}"), found));
        }
        Value::Null => {}
        _ => found.push(pointer),
    }
}
