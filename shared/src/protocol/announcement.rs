//! Announcements: signed records, as gossip carries them.

/// The id of an announcement: BLAKE3 of the record's bytes, signature included.
///
/// The record's id would leave the signature out: a copy with a forged signature, sent first, would then take the genuine
/// record's place in every peer's memory of what it has seen.
pub fn message_id(record: &[u8]) -> [u8; 32] {
    blake3::derive_key("ggen marketplace 2026 announcement message id", record)
}

/// The id of what is said on another topic. Gossip remembers ids whatever the topic: what does not belong on this one must not stand for what belongs
/// on that one, or whoever says a valid record here has those who pass it on there taken for liars.
pub fn message_id_on(topic: &str, message: &[u8]) -> [u8; 32] {
    blake3::derive_key("ggen marketplace 2026 gossip message id", &[topic.as_bytes(), &[0], message].concat())
}
