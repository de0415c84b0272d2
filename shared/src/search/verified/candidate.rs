//! Releases of an answer with the key logs they need: read at once, verified when somebody is to be shown them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_bytes::ByteBuf;

use super::{Hit, Known, RefusedError};
use crate::id::{Network, PublisherId, RecordId};
use crate::record::{self, Inception, PresumedKeyLog, Release, Unverified};

/// Key logs of an answer, by publisher; each is verified when a record is there that needs it. They are found by what they say, not by their place
/// in the answer, so that one that can't be read does not shift the others. One that names no publisher is left out: the releases that
/// needed it are then without.
pub(super) struct KeyLogs<'a> {
    network: &'a Network,
    is_in_full: bool,
    by_publisher: BTreeMap<PublisherId, KeyLogOnce<'a>>,
}

/// A key log that is verified once.
struct KeyLogOnce<'a> {
    events: &'a [ByteBuf],
    /// The first event; None when the key log is known.
    inception: Option<Unverified<Inception>>,
    verified: OnceCell<Result<PresumedKeyLog, record::Error>>,
}

impl<'a> KeyLogs<'a> {
    pub(super) fn of(key_logs: &'a [Vec<ByteBuf>], network: &'a Network, known: &Known) -> Self {
        let mut by_publisher = BTreeMap::new();
        for events in key_logs {
            if let Some((publisher, key_log)) = known.key_log(events) {
                let verified = OnceCell::from(Ok(key_log));
                by_publisher.entry(publisher).or_insert(KeyLogOnce { events, inception: None, verified });
            } else if let Ok(inception) = inception_of(events) {
                let publisher = PublisherId::from_inception(inception.id());
                let new = KeyLogOnce { events, inception: Some(inception), verified: OnceCell::new() };
                by_publisher.entry(publisher).or_insert(new);
            }
        }
        Self { network, is_in_full: false, by_publisher }
    }

    /// With the signatures of inceptions, which showing a release does not take; for somebody who knows none of them yet.
    pub(super) fn in_full(self) -> Self {
        Self { is_in_full: true, ..self }
    }

    /// The key log of a publisher.
    pub(super) fn get(&self, publisher: &PublisherId, known: &mut Known) -> Result<&PresumedKeyLog, RefusedError> {
        let KeyLogOnce { events, inception, verified } =
            self.by_publisher.get(publisher).ok_or(RefusedError::NoKeyLog(*publisher))?;
        let verify = || {
            let inception = inception.clone().map_or_else(|| inception_of(events), Ok)?;
            let mut key_log = PresumedKeyLog::read(inception, events.get(1..).unwrap_or_default(), self.network)?;
            if self.is_in_full {
                key_log = key_log.verified(self.network)?.into();
            }
            known.keep_key_log(events, *publisher, &key_log);
            Ok(key_log)
        };
        let key_log = verified.get_or_init(verify).as_ref();
        key_log.map_err(|error| RefusedError::KeyLog { publisher: *publisher, error: error.clone() })
    }
}

/// What a key log begins with; it says whose it is.
pub(super) fn inception_of(events: &[ByteBuf]) -> Result<Unverified<Inception>, record::Error> {
    Unverified::decode(events.first().map_or(&[], |event| &event[..]))
}

/// A release as it came, or as it was verified before.
pub(super) enum Candidate {
    Unverified(Box<Unverified<Release>>),
    Known(Box<Hit>),
}

impl Candidate {
    pub(super) fn read(bytes: &[u8], known: &Known) -> Result<Self, RefusedError> {
        Ok(match known.release(bytes) {
            Some(hit) => Self::Known(Box::new(hit.clone())),
            None => Self::Unverified(Box::new(Unverified::decode(bytes)?)),
        })
    }

    /// What it says, and its id.
    pub(super) fn claims(&self) -> (&Release, RecordId) {
        match self {
            Self::Unverified(release) => (release.claims(), release.id()),
            Self::Known(hit) => (&hit.release, hit.release.id()),
        }
    }

    pub(super) fn verify(self, key_logs: &KeyLogs<'_>, known: &mut Known) -> Result<Hit, RefusedError> {
        let key_log = key_logs.get(&self.claims().0.publisher, known)?;
        let release = match self {
            // What holds under one key log may not hold under another.
            Self::Known(hit) if hit.key_log == *key_log => return Ok(*hit),
            Self::Known(hit) => Unverified::decode(hit.release.bytes())?,
            Self::Unverified(release) => *release,
        };
        let release = key_log.verify(release, key_logs.network)?;
        let hit = Hit { release, key_log: key_log.clone(), status: None, in_checkpoint: false };
        known.keep_release(&hit);
        Ok(hit)
    }
}
