//! What a download knows of one provider.
//!
//! Its lists are as long as the content has blocks, some hundreds: they are looked through, because each kind of map is some kilobytes of
//! a browser's download.

use std::time::Duration;

use super::{IMPATIENT, SILENT, SLOW};
use crate::record::ContentId;

/// Blocks that a provider is asked for ahead before it delivered anything. Of one that is asked in runs, half of what it may be asked for: each
/// small run at the beginning costs as much as a large one.
const FIRST_ROOM: usize = 2;
/// Blocks that a provider lacks one after the other, until it is taken to have only a part of the content.
const MISSES: usize = 3;

/// A provider. All it holds is bounded by the blocks that the content has.
#[derive(Debug)]
pub(super) struct Provider<P> {
    pub(super) peer: P,
    /// What is thought of it.
    pub(super) score: f64,
    /// Blocks that it may be asked for ahead: more while it delivers.
    room: usize,
    most_room: usize,
    in_runs: bool,
    /// Blocks that it is asked for, each with the time since which.
    asked: Vec<(ContentId, Duration)>,
    /// Blocks that it was ever asked for: it is not asked twice, so that an answer that comes late is never a wrong one.
    tried: Vec<ContentId>,
    /// Of those, what it says that it lacks.
    lacks: Vec<ContentId>,
    /// Blocks that it lacked one after the other.
    misses: usize,
    /// The block that it was asked about, whether it has it.
    asked_whether: Option<ContentId>,
    /// When it last answered, or was asked for something after it had answered all.
    heard: Duration,
    slow: bool,
    late: bool,
}

impl<P> Provider<P> {
    pub(super) fn new(peer: P, in_flight: usize, in_runs: bool, score: f64) -> Self {
        let most_room = in_flight.max(1);
        Self {
            peer,
            score,
            room: if in_runs { most_room.div_ceil(2) } else { FIRST_ROOM.min(most_room) },
            most_room,
            in_runs,
            asked: Vec::new(),
            tried: Vec::new(),
            lacks: Vec::new(),
            misses: 0,
            asked_whether: None,
            heard: Duration::ZERO,
            slow: false,
            late: false,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        !self.slow && self.asked.len() < self.room
    }

    /// How many blocks it is asked for in its turn, if there are as many: in runs, nothing until half of the last ones came.
    pub(super) fn at_once(&self) -> usize {
        match self.in_runs {
            false => 1,
            true if self.asked.len() <= self.room / 2 => self.room - self.asked.len(),
            true => 0,
        }
    }

    pub(super) const fn is_slow(&self) -> bool {
        self.slow
    }

    /// Whether it seems to have only a part of the content, or nothing of it.
    pub(super) const fn is_poor(&self) -> bool {
        self.misses >= MISSES
    }

    pub(super) fn lacks(&self, cid: &ContentId) -> bool {
        self.lacks.contains(cid)
    }

    pub(super) fn tried(&self, cid: &ContentId) -> bool {
        self.tried.contains(cid) || self.lacks.contains(cid)
    }

    pub(super) fn asked(&self) -> impl Iterator<Item = &ContentId> {
        self.asked.iter().map(|(cid, _)| cid)
    }

    pub(super) fn asked_for(&self, cid: &ContentId) -> bool {
        self.asked_at(cid).is_some()
    }

    pub(super) fn asked_at(&self, cid: &ContentId) -> Option<Duration> {
        self.asked.iter().find(|(asked, _)| asked == cid).map(|(_, since)| *since)
    }

    pub(super) fn ask(&mut self, cid: ContentId, now: Duration) {
        if self.asked.is_empty() {
            self.heard = now;
        }
        self.asked.push((cid, now));
        self.tried.push(cid);
    }

    /// Whether it is to be asked if it has the first block; it is asked once.
    pub(super) fn ask_whether(&mut self, root: &ContentId) -> bool {
        !self.tried(root) && self.asked_whether.replace(*root).is_none()
    }

    /// Notes a block from it. Whether it was asked for: a small one also comes when it was only asked whether it has it.
    pub(super) fn on_block(&mut self, cid: &ContentId, now: Duration) -> bool {
        if !self.tried.contains(cid) && self.asked_whether != Some(*cid) {
            return false;
        }
        self.answered(cid);
        self.heard = now;
        self.slow = false;
        self.misses = 0;
        self.room = (self.room + 1).min(self.most_room);
        true
    }

    pub(super) fn on_presence(&mut self, cid: ContentId, has: bool, now: Duration) {
        // Who has a block has not sent it: saying so again and again buys no time. Nor does lacking what it was not asked for.
        if has || self.lacks(&cid) || !self.asked_for(&cid) && self.asked_whether != Some(cid) {
            return;
        }
        self.answered(&cid);
        self.heard = now;
        self.slow = false;
        self.lacks.push(cid);
        // Who lacks the first block most likely has nothing.
        self.misses = if cid.is_raw() { self.misses + 1 } else { MISSES };
    }

    fn answered(&mut self, cid: &ContentId) {
        self.asked.retain(|(asked, _)| asked != cid);
    }

    /// Whether it is late with a block for the first time.
    pub(super) fn is_late(&mut self, cid: &ContentId, now: Duration) -> bool {
        let is_late = self.asked_at(cid).is_some_and(|since| since + IMPATIENT <= now);
        is_late && !std::mem::replace(&mut self.late, true)
    }

    /// Notes that another one has sent a block.
    pub(super) fn forget(&mut self, cid: &ContentId, now: Duration) {
        self.answered(cid);
        if self.asked.is_empty() {
            self.heard = now;
            // It is asked for another one: what nobody is asked for would be waited for without end.
            self.slow = false;
        }
    }

    /// When it is slow, or silent for too long, unless it answers.
    pub(super) fn next_step(&self) -> Option<Duration> {
        let patience = if self.slow { SILENT } else { SLOW };
        (!self.asked.is_empty()).then(|| self.heard + patience)
    }

    /// Looks whether it is slow. Whether it was silent for too long.
    pub(super) fn check_time(&mut self, now: Duration) -> bool {
        let silence = if self.asked.is_empty() { Duration::ZERO } else { now.saturating_sub(self.heard) };
        if silence >= SLOW && !self.slow {
            self.slow = true;
            self.room = 1;
        }
        silence >= SILENT
    }
}
