use proptest::prelude::*;

use super::*;
use crate::frame::MAX_DATA_BYTES;

/// A machine with the queue of messages that it has sent, and what its user did.
#[derive(Default)]
struct Side {
    machine: Machine,
    /// Not taken by the other side yet.
    sent: VecDeque<Vec<u8>>,
    flags: Vec<Flag>,
    written: Vec<u8>,
    read: Vec<u8>,
    finished: bool,
    left: bool,
    saw_end: bool,
    saw: Option<End>,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Writes so many bytes, with the flags that are owed before them.
    Write(usize),
    Finish,
    Leave,
    Read(usize),
    /// Sends the flags that are owed.
    Flush,
    /// Takes the next message of the other side.
    Take,
}

impl Side {
    fn flush(&mut self) {
        while let Some(flag) = self.machine.next_flag() {
            assert!(!self.flags.contains(&Flag::Reset), "nothing is said after a RESET");
            self.flags.push(flag);
            self.sent.push_back(Frame::flag(flag).encode());
        }
        assert!(!self.machine.owes());
    }

    fn write(&mut self, length: usize) {
        self.flush();
        if self.left || self.machine.check_writable().is_err() {
            return;
        }
        let from = self.written.len();
        let data: Vec<u8> = (from..from + length.min(MAX_DATA_BYTES)).map(|at| at as u8).collect();
        self.sent.push_back(Frame::data(&data).encode());
        self.written.extend(data);
    }

    fn read(&mut self, length: usize) {
        if self.left {
            return;
        }
        let mut buffer = vec![0; length];
        match self.machine.read(&mut buffer) {
            Ok(None) => assert!(!self.saw_end && self.saw.is_none()),
            Ok(Some(0)) => self.saw_end = true,
            Ok(Some(n)) => {
                assert!(!self.saw_end && self.saw.is_none());
                self.read.extend(&buffer[..n]);
            }
            Err(end) => self.saw = Some(end),
        }
    }

    fn step(&mut self, other: &mut Self, step: Step) {
        match step {
            Step::Write(length) => self.write(length),
            Step::Finish if !self.left => {
                self.finished |= self.machine.check_writable().is_ok();
                self.machine.finish();
            }
            Step::Leave if !self.left => {
                self.left = true;
                self.machine.leave();
            }
            Step::Finish | Step::Leave => {}
            Step::Read(length) => self.read(length),
            Step::Flush => self.flush(),
            Step::Take => {
                if self.machine.has_room() {
                    match other.sent.pop_front() {
                        Some(message) => self.machine.receive(&message),
                        // All of it was taken before its end is noticed.
                        None if other.closed => self.machine.channel_closed(),
                        None => {}
                    }
                }
            }
        }
        assert!(self.machine.unread.len() < MAX_READ_AHEAD_BYTES + MAX_DATA_BYTES);
        if self.left {
            assert!(self.machine.unread.is_empty());
        }
    }

    /// What [`crate::Departures`] does, and a channel that goes with either end.
    fn close_if_done(&mut self) {
        if self.left && self.machine.is_done() {
            self.closed = true;
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..3000_usize).prop_map(Step::Write),
        1 => Just(Step::Write(MAX_DATA_BYTES)),
        1 => Just(Step::Finish),
        1 => Just(Step::Leave),
        4 => (1..5000_usize).prop_map(Step::Read),
        3 => Just(Step::Flush),
        6 => Just(Step::Take),
    ]
}

/// What must hold at any moment between two machines of ours.
fn check(side: &Side, other: &Side) {
    assert!(other.written.starts_with(&side.read), "what is read is what was written");
    if side.saw_end {
        assert!(other.finished && side.read == other.written, "the end comes after all of it");
    }
    match side.saw {
        None => {}
        Some(End::ResetByPeer | End::ChannelClosed) => assert!(other.left, "only who leaves cuts a stream off"),
        Some(end) => panic!("{end:?} between two of us"),
    }
    for flag in [Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck] {
        assert!(side.flags.iter().filter(|&&said| said == flag).count() <= 1, "{flag:?} is said once");
    }
    if side.flags.contains(&Flag::FinAck) {
        assert!(other.flags.contains(&Flag::Fin));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_interleaving_keeps_what_streams_promise(steps in proptest::collection::vec((any::<bool>(), step()), 0..80)) {
        let (mut a, mut b) = (Side::default(), Side::default());
        for (first, step) in steps {
            let (side, other) = if first { (&mut a, &mut b) } else { (&mut b, &mut a) };
            side.step(other, step);
            side.close_if_done();
            check(&a, &b);
            check(&b, &a);
        }
        // Now both do what is right to the end.
        let cut_off = a.left || b.left;
        for _ in 0..200 {
            for first in [true, false] {
                let (side, other) = if first { (&mut a, &mut b) } else { (&mut b, &mut a) };
                for step in [Step::Finish, Step::Flush, Step::Take, Step::Read(MAX_READ_AHEAD_BYTES * 2)] {
                    side.step(other, step);
                }
                if side.saw_end || side.saw.is_some() {
                    side.step(other, Step::Leave);
                    side.step(other, Step::Flush);
                }
                side.close_if_done();
            }
            check(&a, &b);
            check(&b, &a);
        }
        prop_assert!(a.closed && b.closed, "no stream of two that behave is left over");
        if !cut_off {
            prop_assert_eq!((&a.read, &b.read), (&b.written, &a.written));
            prop_assert!(a.saw_end && b.saw_end);
        }
    }

    #[test]
    fn no_peer_makes_a_stream_grow_or_talk(
        frames in proptest::collection::vec((0_u8..6, 0..2000_usize, any::<bool>()), 0..200),
        garbage in proptest::collection::vec(any::<u8>(), 0..50),
        finish in any::<prop::sample::Index>(), leave in any::<prop::sample::Index>(),
    ) {
        let mut side = Side::default();
        let mut fins = 0;
        let (finish, leave) = (finish.index(300), leave.index(300));
        for (at, (flag, length, reads)) in frames.into_iter().enumerate() {
            if at == finish { side.machine.finish(); }
            if at == leave { side.machine.leave(); side.left = true; }
            let flag = [None, Some(Flag::Fin), Some(Flag::StopSending), Some(Flag::Reset), Some(Flag::FinAck)].get(usize::from(flag)).copied();
            fins += usize::from(flag == Some(Some(Flag::Fin)));
            if side.machine.has_room() {
                match flag {
                    Some(flag) => side.machine.receive(&Frame { flag, data: &vec![1; length] }.encode()),
                    None => side.machine.receive(&garbage),
                }
            }
            if reads { side.read(700); }
            while let Some(flag) = side.machine.next_flag() { side.flags.push(flag); }
            prop_assert!(side.machine.unread.len() < MAX_READ_AHEAD_BYTES + 2000);
            if side.machine.is_done() {
                prop_assert!(side.machine.check_writable().is_err());
            }
        }
        prop_assert!(side.flags.len() <= fins + 3);
        side.machine.channel_closed();
        prop_assert!(side.machine.is_done());
        prop_assert!(!side.machine.owes());
    }
}

/// A machine to which all of these came in one message.
fn told(machine: &mut Machine, frames: &[Frame<'_>]) {
    machine.receive(&frames.iter().flat_map(Frame::encode).collect::<Vec<u8>>());
}

fn flags(machine: &mut Machine) -> Vec<Flag> {
    std::iter::from_fn(|| machine.next_flag()).collect()
}

#[test]
fn both_sides_finish_and_confirm() {
    let mut machine = Machine::new();
    told(&mut machine, &[Frame::data(b"question"), Frame::flag(Flag::Fin)]);
    assert_eq!(flags(&mut machine), [Flag::FinAck]);
    let mut buffer = [0; 20];
    assert_eq!(machine.read(&mut buffer), Ok(Some(8)));
    assert_eq!(machine.read(&mut buffer), Ok(Some(0)));
    assert_eq!(machine.check_writable(), Ok(()));
    machine.finish();
    assert_eq!(flags(&mut machine), [Flag::Fin]);
    assert!(!machine.is_done());
    told(&mut machine, &[Frame::flag(Flag::FinAck)]);
    assert!(machine.is_done());
    assert_eq!(machine.check_writable(), Err(End::Closed));
}

#[test]
fn a_confirmation_of_what_was_not_sent_confirms_nothing() {
    let mut machine = Machine::new();
    told(&mut machine, &[Frame::flag(Flag::FinAck)]);
    machine.finish();
    told(&mut machine, &[Frame::flag(Flag::FinAck)]);
    assert_eq!(flags(&mut machine), [Flag::Fin]);
    told(&mut machine, &[Frame::flag(Flag::Fin)]);
    assert_eq!(flags(&mut machine), [Flag::FinAck]);
    assert!(!machine.is_done());
}

#[test]
fn who_leaves_after_finishing_waits_for_the_confirmation_alone() {
    let mut machine = Machine::new();
    machine.finish();
    machine.leave();
    assert_eq!(flags(&mut machine), [Flag::StopSending, Flag::Fin]);
    told(&mut machine, &[Frame::data(b"unwanted")]);
    assert!(!machine.is_done() && machine.unread.is_empty());
    told(&mut machine, &[Frame::flag(Flag::FinAck)]);
    assert!(machine.is_done());
}

#[test]
fn who_leaves_without_finishing_resets_and_still_confirms_what_it_got() {
    let mut machine = Machine::new();
    machine.leave();
    assert_eq!(flags(&mut machine), [Flag::Reset]);
    assert!(machine.is_done());

    let mut machine = Machine::new();
    told(&mut machine, &[Frame::flag(Flag::Fin)]);
    machine.leave();
    assert_eq!(flags(&mut machine), [Flag::FinAck, Flag::Reset]);
    assert!(machine.is_done());
}

#[test]
fn a_reset_drops_what_was_not_finished_and_keeps_what_was() {
    let mut machine = Machine::new();
    told(&mut machine, &[Frame::data(b"half of"), Frame::flag(Flag::Reset)]);
    assert_eq!(machine.read(&mut [0; 9]), Err(End::ResetByPeer));
    assert_eq!(machine.check_writable(), Err(End::ResetByPeer));
    assert!(machine.is_done());

    let mut machine = Machine::new();
    told(&mut machine, &[Frame::data(b"whole"), Frame::flag(Flag::Fin), Frame::flag(Flag::Reset)]);
    assert_eq!(machine.read(&mut [0; 9]), Ok(Some(5)));
    assert_eq!(machine.read(&mut [0; 9]), Ok(Some(0)));
    assert_eq!(machine.check_writable(), Err(End::ResetByPeer));
}

#[test]
fn a_peer_that_reads_no_more_ends_writing_and_nothing_else() {
    let mut machine = Machine::new();
    told(&mut machine, &[Frame::flag(Flag::StopSending), Frame::data(b"still here")]);
    assert_eq!(machine.check_writable(), Err(End::StoppedByPeer));
    assert_eq!(machine.read(&mut [0; 20]), Ok(Some(10)));
    machine.finish();
    assert_eq!(machine.check_finished(), Ok(()));
    assert_eq!(flags(&mut machine), [], "nobody waits for a FIN");
    assert!(!machine.is_done());
    told(&mut machine, &[Frame::flag(Flag::Fin)]);
    assert_eq!(flags(&mut machine), [Flag::FinAck]);
    assert!(machine.is_done());
}

#[test]
fn a_channel_that_ends_without_a_word_is_no_end_of_data() {
    let mut machine = Machine::new();
    told(&mut machine, &[Frame::data(b"some")]);
    machine.channel_closed();
    assert_eq!(machine.read(&mut [0; 9]), Ok(Some(4)));
    assert_eq!(machine.read(&mut [0; 9]), Err(End::ChannelClosed));
    assert_eq!(machine.check_finished(), Err(End::ChannelClosed));
    assert!(machine.is_done());
}

#[test]
fn violations_reset_once() {
    for (message, end) in [
        (&b"\x07\x12\x05abc"[..], None),
        (b"\xff\x7f", Some(End::Malformed(Malformed::TooLong))),
        (b"\x02\x08\x00\x03\x12\x01x", Some(End::DataAfterFin)),
    ] {
        let mut machine = Machine::new();
        machine.receive(message);
        match end {
            None => assert_eq!(machine.read(&mut [0; 9]), Ok(None)),
            Some(end) => {
                assert_eq!(machine.read(&mut [0; 9]), Err(end));
                assert_eq!(flags(&mut machine).last(), Some(&Flag::Reset));
                machine.receive(message);
                machine.leave();
                assert_eq!(flags(&mut machine), []);
                assert!(machine.is_done());
            }
        }
    }
}
