//! What a relay answers to another one that syncs with it.

use serde_bytes::ByteBuf;

use super::{Part, SALT_BYTES, tag};
use crate::catalogue::{Catalogue, Leaf, keys};
use crate::limits::{MAX_PARTS_PER_REQUEST, MAX_RECORDS_ANSWER_BYTES};
use crate::merkle::Map;
use crate::protocol::query::{Refusal, Reply};
use crate::protocol::sync::{Below, Compare, Compared, RecordsOf, RecordsOfAnswer};

/// What some parts of the records consist of now.
///
/// # Errors
/// A refusal: `query/bad-range`.
pub fn compare(map: &Map<Leaf>, question: &Compare) -> Reply<Compared> {
    check(&question.parts)?;
    let salt = question.salt[..].try_into();
    let salt = salt.map_err(|_| Refusal::new("query/bad-range", format!("a salt has {SALT_BYTES} bytes")))?;
    Ok(Compared { parts: question.parts.iter().map(|part| below(map, part, salt)).collect() })
}

fn below(map: &Map<Leaf>, part: &Part, salt: &[u8; SALT_BYTES]) -> Below {
    let Some(common) = part.common_in(map) else { return Below::default() };
    if common.is_key() {
        return Below { common: Some(common), counts: vec![1], tags: ByteBuf::new() };
    }
    let (mut counts, mut tags) = (Vec::with_capacity(Part::CHILDREN), ByteBuf::new());
    for half in 0..Part::CHILDREN as u8 {
        let prefix = common.child(half).prefix();
        counts.push(map.count_under(&prefix));
        tags.extend(map.hash_under(&prefix).iter().flat_map(|hash| tag(salt, hash)));
    }
    Below { common: Some(common).filter(|common| common != part), counts, tags }
}

/// The records of some parts, as many as fit in an answer.
///
/// # Errors
/// A refusal: `query/bad-range`.
pub fn records_of(catalogue: &Catalogue, question: &RecordsOf) -> Reply<RecordsOfAnswer> {
    check(&question.parts)?;
    let are_apart = |pair: &[Part]| !pair[0].meets(&pair[1]);
    if !question.parts.is_sorted() || !question.parts.windows(2).all(are_apart) {
        return Err(Refusal::new("query/bad-range", "parts stand in order and apart"));
    }
    let mut answer = RecordsOfAnswer { records: Vec::new(), rest: false };
    let mut bytes = 0;
    for part in &question.parts {
        for (entry, _) in part.entries(catalogue.map(), question.after.as_ref()) {
            let Some(record) = keys::record_of(&entry).and_then(|id| catalogue.record(&id)) else { continue };
            bytes += record.bytes().len();
            // One record fits, however large it is: else there would be no end.
            if bytes > MAX_RECORDS_ANSWER_BYTES && !answer.records.is_empty() {
                answer.rest = true;
                return Ok(answer);
            }
            answer.records.push(ByteBuf::from(record.bytes().to_vec()));
        }
    }
    Ok(answer)
}

fn check(parts: &[Part]) -> Result<(), Refusal> {
    if parts.len() <= MAX_PARTS_PER_REQUEST {
        return Ok(());
    }
    let message = format!("at most {MAX_PARTS_PER_REQUEST} parts may be asked about at once");
    Err(Refusal::new("query/bad-range", message))
}
