//! Records and key logs that were asked for by what they are.

use serde_bytes::ByteBuf;

use super::candidate::{Candidate, KeyLogs};
use super::{AnswerError, Hit, Known, Refused, RefusedError, at_most};
use crate::catalogue::keys::ShortId;
use crate::id::{Network, PublisherId, RecordId};
use crate::protocol::query::{KeyLogAnswer, KeyLogOf, Named, NamedAnswer, Records, RecordsAnswer};
use crate::record::{self, KeyLog, Record, UnverifiedRecord};

/// Records that were asked for by id, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecords {
    /// One for each id that the relay answered, in the order asked for; None where it lacks the record.
    pub records: Vec<Option<Result<Record, Refused>>>,
    /// The ids that did not fit into the answer: ask for them again.
    pub unanswered: Vec<RecordId>,
}

/// Verifies records that were asked for by id. `key_log` gives the key logs that are known; those of inceptions in the same answer
/// are used besides.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol.
pub fn verify_records(
    question: &Records,
    answer: RecordsAnswer,
    network: &Network,
    key_log: impl Fn(&PublisherId) -> Option<KeyLog>,
) -> Result<VerifiedRecords, AnswerError> {
    at_most("records", answer.records.len(), question.ids.len())?;
    let inceptions: Vec<Vec<ByteBuf>> = answer.records.iter().flatten().map(|bytes| vec![bytes.clone()]).collect();
    let found = KeyLogs::of(&inceptions, network, &Known::default()).in_full();
    let key_log = |publisher: &PublisherId| match key_log(publisher) {
        Some(key_log) => Ok(key_log),
        None => match found.get(publisher, &mut Known::default())?.verified(network) {
            Ok(key_log) => Ok(key_log),
            Err(error) => Err(RefusedError::KeyLog { publisher: *publisher, error }),
        },
    };
    let verify = |(index, (bytes, id)): (usize, (&Option<ByteBuf>, &RecordId))| {
        let record = verify_record(bytes.as_ref()?, *id, key_log, network);
        Some(record.map_err(|error| Refused { index, error }))
    };
    let records = answer.records.iter().zip(&question.ids).enumerate().map(verify).collect::<Vec<_>>();
    let unanswered = question.ids[records.len()..].to_vec();
    Ok(VerifiedRecords { records, unanswered })
}

/// Verifies releases that were asked for by the short ids of entries: one for each that the relay answered; None where it lacks it.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol.
pub fn verify_named(
    question: &Named,
    answer: &NamedAnswer,
    network: &Network,
) -> Result<Vec<Option<Result<Hit, RefusedError>>>, AnswerError> {
    at_most("releases", answer.releases.len(), question.ids.len())?;
    at_most("key logs", answer.key_logs.len(), answer.releases.len())?;
    let mut known = Known::default();
    // Others may have to be convinced by them.
    let key_logs = KeyLogs::of(&answer.key_logs, network, &known).in_full();
    let verify = |(bytes, id): (&Option<ByteBuf>, &ShortId)| {
        let candidate = Candidate::read(bytes.as_ref()?, &known);
        Some(candidate.and_then(|release| match ShortId::of(&release.claims().1) == *id {
            true => release.verify(&key_logs, &mut known),
            false => Err(RefusedError::NotProven),
        }))
    };
    Ok(answer.releases.iter().zip(&question.ids).map(verify).collect())
}

/// Verifies a key log. None: the relay says that it does not know the publisher.
///
/// # Errors
/// [`AnswerError::KeyLog`].
pub fn verify_key_log(
    question: &KeyLogOf,
    answer: &KeyLogAnswer,
    network: &Network,
) -> Result<Option<KeyLog>, AnswerError> {
    if answer.events.is_empty() {
        return Ok(None);
    }
    KeyLog::verify(&answer.events, question.publisher, network).map(Some).map_err(AnswerError::KeyLog)
}

fn verify_record(
    bytes: &[u8],
    expected: RecordId,
    key_log: impl Fn(&PublisherId) -> Result<KeyLog, RefusedError>,
    network: &Network,
) -> Result<Record, RefusedError> {
    let record = UnverifiedRecord::decode_known(bytes)?;
    let actual = record.id();
    if actual != expected {
        return Err(record::Error::WrongId { expected, actual }.into());
    }
    // An inception is the key log that it is verified with.
    let key_log = key_log(&record.publisher())?;
    Ok(record.verify(Some(&key_log), network)?)
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
