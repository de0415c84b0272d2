//! Announcements: signed records, as gossip carries them.

/// The id of an announcement: BLAKE3 of the record's bytes, signature included.
///
/// The record's id would leave the signature out: a copy with a forged signature, sent first, would then take the genuine
/// record's place in every peer's memory of what it has seen.
pub fn message_id(record: &[u8]) -> [u8; 32] {
    blake3::derive_key("ggen marketplace 2026 announcement message id", record)
}
