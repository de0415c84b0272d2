//! Ordered Merkle maps: roots, proofs of ranges and of levels, and proofs that show nothing.

use std::sync::Arc;

use ggen_shared::merkle::proof::{Piece, Prefix, Range, verify_levels, verify_run};
use ggen_shared::merkle::{Hash, Map};
use serde::Deserialize;

use crate::{Checked, hex, parse, same};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    maps: Vec<MapOf>,
    proofs: Vec<Proof>,
    levels: Vec<Levels>,
    refused: Vec<Refused>,
    prefixes: Vec<PrefixOf>,
}

/// Entries in the order of their keys, and the root of the map that they are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapOf {
    map: String,
    entries: Vec<(String, String)>,
    root: String,
}

/// The first entries of a range.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    #[serde(rename = "name")]
    _name: String,
    map: String,
    prefix: String,
    after: Option<String>,
    /// None: all of them.
    limit: Option<usize>,
    proof: String,
    entries: Vec<(String, String)>,
    skipped: u64,
    rest: u64,
    /// The hash of all entries with the prefix.
    hash: Option<String>,
}

/// What stands under a prefix.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    #[serde(rename = "name")]
    _name: String,
    map: String,
    prefix: PrefixOf,
    levels: u8,
    proof: String,
    pieces: Vec<PieceOf>,
    hash: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum PieceOf {
    Entry { key: String, value: String },
    Hidden { bits: u16, bytes: String, count: u64, hash: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrefixOf {
    bits: u16,
    bytes: String,
    valid: bool,
}

/// A proof that shows nothing, and why.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    map: String,
    /// Of a proof of the first entries of a range.
    prefix: Option<String>,
    after: Option<String>,
    /// Of a proof of what stands under a prefix.
    levels_of: Option<PrefixOf>,
    proof: String,
    error: String,
}

pub(crate) fn check(json: &str) -> Checked {
    let file: File = parse("merkle.json", json)?;
    for map in &file.maps {
        check_map(map)?;
    }
    for proof in &file.proofs {
        check_proof(proof, &file)?;
    }
    for levels in &file.levels {
        check_levels(levels, &file)?;
    }
    for refused in &file.refused {
        check_refused(refused, &file)?;
    }
    for prefix in &file.prefixes {
        read_prefix(prefix)?;
    }
    Ok(file.maps.len() + file.proofs.len() + file.levels.len() + file.refused.len() + file.prefixes.len())
}

fn show(hash: Hash) -> String {
    hash.to_string()
}

fn unhex(what: &str, entries: &[(String, String)]) -> Result<Entries, String> {
    entries.iter().map(|(key, value)| Ok((hex(what, key)?, hex(what, value)?))).collect()
}

fn build(map: &MapOf) -> Result<Map<Arc<[u8]>>, String> {
    let entries = unhex(&map.map, &map.entries)?.into_iter();
    let entries: Vec<(Vec<u8>, Arc<[u8]>)> = entries.map(|(key, value)| (key, value.into())).collect();
    Map::from_sorted(&entries).ok_or_else(|| format!("{}: its entries are not in order", map.map))
}

fn find(name: &str, file: &File) -> Result<Map<Arc<[u8]>>, String> {
    build(file.maps.iter().find(|map| map.map == name).ok_or_else(|| format!("there is no map {name}"))?)
}

fn check_map(vector: &MapOf) -> Result<(), String> {
    let map = build(vector)?;
    same(&vector.map, "the root", show(map.root()), vector.root.clone())?;
    let mut inserted = Map::new();
    for (key, value) in map.iter(&[]).collect::<Vec<_>>().into_iter().rev() {
        inserted.insert(&key, value.clone()).map_err(|error| format!("{}: {error}", vector.map))?;
    }
    same(&vector.map, "the root, built one by one", show(inserted.root()), vector.root.clone())
}

fn check_proof(vector: &Proof, file: &File) -> Result<(), String> {
    let map = find(&vector.map, file)?;
    let name = format!("a proof of {}", vector.map);
    let after = vector.after.as_ref().map(|after| hex(&name, after)).transpose()?;
    let range = Range { after, ..Range::of(&hex(&name, &vector.prefix)?) };
    let proof = hex(&name, &vector.proof)?;
    same(&name, "the proof", map.prove(&range, vector.limit.unwrap_or(usize::MAX)), proof.clone())?;
    let run = verify_run(&map.root(), &range, &proof).map_err(|error| format!("{name}: {error}"))?;
    let shown: Entries = run.entries.iter().map(|(key, value)| (key.clone(), value.to_vec())).collect();
    same(&name, "what it shows", shown, unhex(&name, &vector.entries)?)?;
    same(&name, "what it counts", (run.skipped, run.rest), (vector.skipped, vector.rest))?;
    same(&name, "the hash of the range", run.hash.map(show), vector.hash.clone())
}

fn check_levels(vector: &Levels, file: &File) -> Result<(), String> {
    let map = find(&vector.map, file)?;
    let name = format!("levels of {}", vector.map);
    let prefix = read_prefix(&vector.prefix)?.ok_or_else(|| format!("{name}: no prefix"))?;
    let proof = hex(&name, &vector.proof)?;
    same(&name, "the proof", map.prove_levels(&prefix, vector.levels), proof.clone())?;
    let (pieces, hash) =
        verify_levels(&map.root(), &prefix, vector.levels, &proof).map_err(|error| format!("{name}: {error}"))?;
    let encode = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let shown = pieces.iter().map(|piece| match piece {
        Piece::Entry { key, value } => PieceOf::Entry { key: encode(key), value: encode(value) },
        Piece::Hidden { prefix, count, hash } => {
            let (bits, bytes) = prefix.parts();
            PieceOf::Hidden { bits, bytes: encode(bytes), count: *count, hash: show(*hash) }
        }
    });
    same(&name, "what it shows", &shown.collect::<Vec<_>>(), &vector.pieces)?;
    same(&name, "the hash", hash.map(show), vector.hash.clone())
}

fn check_refused(vector: &Refused, file: &File) -> Result<(), String> {
    let root = find(&vector.map, file)?.root();
    let proof = hex(&vector.name, &vector.proof)?;
    let outcome = match (&vector.prefix, &vector.levels_of) {
        (Some(prefix), None) => {
            let after = vector.after.as_ref().map(|after| hex(&vector.name, after)).transpose()?;
            let range = Range { after, ..Range::of(&hex(&vector.name, prefix)?) };
            verify_run(&root, &range, &proof).map(|_| ())
        }
        (None, Some(prefix)) => {
            let prefix = read_prefix(prefix)?.ok_or_else(|| format!("{}: no prefix", vector.name))?;
            verify_levels(&root, &prefix, 0, &proof).map(|_| ())
        }
        _ => return Err(format!("{}: neither a range nor a prefix", vector.name)),
    };
    same(&vector.name, "the outcome", format!("{outcome:?}"), format!("Err({})", vector.error))
}

fn read_prefix(vector: &PrefixOf) -> Result<Option<Prefix>, String> {
    let name = format!("the prefix {} of {} bits", vector.bytes, vector.bits);
    let prefix = Prefix::from_parts(vector.bits, hex(&name, &vector.bytes)?);
    same(&name, "whether it is one", prefix.is_some(), vector.valid)?;
    Ok(prefix)
}
