//! Announcements: verified, then passed on and told to the owner.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{AbortHandle, Abortable, Aborted};
use ggen_shared::id::RecordId;
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::record::{self, Followed, KeyLog, Record, UnverifiedRecord};
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::{PeerId, StreamProtocol};

use super::{Driver, Event};
use crate::exchange;
use crate::light::platform::Platform;

/// Announcements whose publisher's key log is being fetched; more are left to other peers.
const MAX_VERIFYING: usize = 32;
/// Announcements of one peer whose key logs are being fetched: it must not take the place of others.
const MAX_VERIFYING_PER_PEER: usize = 8;
/// Announced records that are remembered, so that replaying them is not news.
const MAX_SEEN: usize = 4096;

pub(super) type Verifying = Pin<Box<dyn Future<Output = Result<Checked, Aborted>> + Send>>;

/// A key log that is being fetched for an announcement.
pub(super) struct Fetch {
    pub(super) deadline: Duration,
    message: MessageId,
    from: PeerId,
    abort: AbortHandle,
}

/// An announcement whose publisher's key log was fetched.
pub(super) struct Checked {
    message: MessageId,
    from: PeerId,
    outcome: Outcome,
}

/// A verified release or status; otherwise what is wrong.
type Outcome = Result<(Record, Box<KeyLog>), Wrong>;

/// Why an announcement is not taken.
enum Wrong {
    /// What was announced does not hold.
    Announced(record::Error),
    /// The key log does not that it was to be verified by: that is the fault of who gave it, not of all who pass the same on.
    KeyLog(record::Error),
    /// The key log could not be had, which is nobody's fault.
    NoKeyLog,
}

impl<P: Platform> Driver<P> {
    pub(super) fn on_announcement(&mut self, from: PeerId, message: MessageId, data: &[u8]) {
        let record = match UnverifiedRecord::decode_known(data) {
            Ok(record) => record,
            // Later rules may know it: no fault of whoever passed it on.
            Err(record::Error::UnknownKind(_)) => return self.report(&message, from, MessageAcceptance::Ignore),
            Err(error) => return self.settle(Checked { message, from, outcome: Err(Wrong::Announced(error)) }),
        };
        // The same record under another signature, or long after gossip forgot it, is no news to pass on.
        if self.seen.contains(&record.id()) {
            return self.report(&message, from, MessageAcceptance::Ignore);
        }
        match record {
            // No relay announces it: it comes with what its publisher signs.
            UnverifiedRecord::Inception(_) => self.report(&message, from, MessageAcceptance::Ignore),
            UnverifiedRecord::Release(release) => match self.key_logs.get(&release.publisher()) {
                Some(key_log) if key_log.key_at(&release.signed_under()).is_some() => {
                    match release.clone().verify(key_log, &self.network) {
                        Err(record::Error::NoKeepPage(_)) => {
                            self.verify_later(from, message, UnverifiedRecord::Release(release));
                        }
                        outcome => {
                            let release = outcome.map(|verified| Record::Release(Box::new(verified)));
                            let outcome = release.map(|release| (release, Box::new(key_log.clone())));
                            self.settle(Checked { message, from, outcome: outcome.map_err(Wrong::Announced) });
                        }
                    }
                }
                // New to us is the publisher, or the key.
                _ => self.verify_later(from, message, UnverifiedRecord::Release(release)),
            },
            // A page may show what it is about, though it has heard of its publisher in an answer only.
            UnverifiedRecord::Status(status) if self.key_logs.get(&status.publisher()).is_none() => {
                self.verify_later(from, message, UnverifiedRecord::Status(status));
            }
            // Nothing of it is shown.
            UnverifiedRecord::Unknown(_) => self.report(&message, from, MessageAcceptance::Ignore),
            record => self.take_note(from, &message, record),
        }
    }

    /// What a publisher says after the fact. Of one that is not known here, it is asked for with the key log when it matters.
    fn take_note(&mut self, from: PeerId, message: &MessageId, record: UnverifiedRecord) {
        let id = record.id();
        let Some(mut key_log) = self.key_logs.get(&record.publisher()).cloned() else {
            return self.report(message, from, MessageAcceptance::Ignore);
        };
        let noted = record.verify(Some(&key_log), &self.network).and_then(|record| {
            let boxed = |key_log: &KeyLog| Box::new(key_log.clone());
            Ok(match record {
                Record::Rotation(rotation) => {
                    let is_new = key_log.follow(*rotation)? == Followed::New;
                    is_new.then(|| Event::Rotated { key_log: boxed(&key_log), from })
                }
                // One that comes before its rotation is fetched when a record needs it.
                Record::KeepPage(page) => key_log.add_page(*page).map(|_| None)?,
                Record::Status(status) => Some(Event::Stated { status, key_log: boxed(&key_log), from }),
                _ => None,
            })
        });
        match noted {
            Ok(event) => {
                _ = self.key_logs.remember(key_log);
                self.report(message, from, MessageAcceptance::Accept);
                self.note_seen(id);
                event.into_iter().for_each(|event| self.tell(event));
            }
            Err(error) => {
                self.settle(Checked { message: message.clone(), from, outcome: Err(Wrong::Announced(error)) })
            }
        }
    }

    /// The publisher is new to us: whoever passed the record on must have its key log.
    fn verify_later(&mut self, from: PeerId, message: MessageId, record: UnverifiedRecord) {
        let of_peer = self.fetching.iter().filter(|fetch| fetch.from == from).count();
        if self.fetching.len() >= MAX_VERIFYING || of_peer >= MAX_VERIFYING_PER_PEER {
            self.has_missed = true;
            return self.report(&message, from, MessageAcceptance::Ignore);
        }
        let (opened, stream) = oneshot::channel();
        self.swarm.behaviour_mut().p2p.streams.open(from, StreamProtocol::new(names::QUERY), opened);
        let (network, window) = (self.network.clone(), self.window(&from));
        let (abort, registration) = AbortHandle::new_pair();
        let deadline = self.platform.now() + self.request_timeout;
        self.fetching.push_back(Fetch { deadline, message: message.clone(), from, abort });
        let work = async move {
            let outcome = async {
                let mut stream = stream.await.ok().and_then(Result::ok).ok_or(Wrong::NoKeyLog)?;
                let publisher = record.publisher();
                let question = KeyLogOf { publisher };
                let answer = exchange::ask(&mut stream, question, window).await.map_err(|_| Wrong::NoKeyLog)?;
                let key_log = KeyLog::verify(&answer.events, publisher, &network).map_err(Wrong::KeyLog)?;
                let record = record.verify(Some(&key_log), &network).map_err(Wrong::Announced)?;
                Ok((record, Box::new(key_log)))
            };
            Checked { message, from, outcome: outcome.await }
        };
        self.verifying.push(Box::pin(Abortable::new(work, registration)));
    }

    /// Gives up fetches that took too long: their slots are for others.
    pub(super) fn expire_fetches(&mut self) {
        let now = self.platform.now();
        while let Some(fetch) = self.fetching.pop_front_if(|fetch| fetch.deadline <= now) {
            fetch.abort.abort();
            self.report(&fetch.message, fetch.from, MessageAcceptance::Ignore);
        }
    }

    pub(super) fn on_checked(&mut self, checked: Result<Checked, Aborted>) {
        // What was given up is settled already.
        let Ok(mut checked) = checked else { return };
        self.fetching.retain(|fetch| fetch.message != checked.message || fetch.from != checked.from);
        // A rotation that we know counts, even if whoever passed the release on says nothing of it.
        checked.outcome = checked.outcome.and_then(|(record, key_log)| {
            let key_log = self.key_logs.remember(*key_log).ok_or(Wrong::NoKeyLog)?;
            key_log.check(record.indexed().ok_or(Wrong::NoKeyLog)?, &record.id()).map_err(Wrong::Announced)?;
            Ok((record, Box::new(key_log)))
        });
        self.settle(checked);
    }

    /// Tells gossip and the owner what became of an announcement.
    fn settle(&mut self, checked: Checked) {
        let Checked { message, from, outcome } = checked;
        let event = match outcome {
            Ok((record, key_log)) => {
                self.report(&message, from, MessageAcceptance::Accept);
                self.note_seen(record.id());
                match record {
                    Record::Release(release) => Event::Announced { release, key_log, from },
                    Record::Status(status) => Event::Stated { status, key_log, from },
                    _ => return,
                }
            }
            Err(Wrong::KeyLog(error)) => {
                self.report(&message, from, MessageAcceptance::Ignore);
                Event::Refused { from, error }
            }
            Err(Wrong::Announced(error)) => {
                // Where a key log has more or less than ours, the record may hold: whoever passed it on is not at fault.
                let is_bad = !error.depends_on_key_log();
                let acceptance = if is_bad { MessageAcceptance::Reject } else { MessageAcceptance::Ignore };
                self.report(&message, from, acceptance);
                Event::Refused { from, error }
            }
            // The announcement proves nothing.
            Err(Wrong::NoKeyLog) => return self.report(&message, from, MessageAcceptance::Ignore),
        };
        self.tell(event);
    }

    fn note_seen(&mut self, id: RecordId) {
        if self.seen.len() >= MAX_SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(id);
    }

    pub(super) fn tell(&mut self, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("an announcement was dropped: nobody reads the events");
            self.has_missed = true;
        }
    }

    pub(super) fn report(&mut self, message: &MessageId, from: PeerId, acceptance: MessageAcceptance) {
        self.swarm.behaviour_mut().p2p.gossipsub.report_message_validation_result(message, &from, acceptance);
    }
}
