//! Mutated bytes for everything that reads what strangers send: a moment for each in every test run, longer where `FUZZ_SECONDS` says so.
//!
//! Mutations know nothing of the code that they reach. They begin at valid inputs, so that most of them get past the first check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use webrtc_direct::Machine;
use webrtc_direct::frame::{Decoder, Flag, Frame, MAX_DATA_BYTES};
use webrtc_direct::ufrag::{self, UserName};

use crate::certificate::Certificate;
use crate::session::{Config, Role, Session};
use crate::{clock, dcep, stun};

/// Xorshift: which numbers come does not matter, only that a run can be told from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x12, 0x08][random.below(7)],
            2 => bytes.insert(at.min(bytes.len()), random.next() as u8),
            3 if !bytes.is_empty() => _ = bytes.remove(at),
            4 => bytes.truncate(at),
            5 => {
                let other = &seeds[random.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            6 => {
                let part = bytes[at.min(bytes.len())..].to_vec();
                bytes.extend_from_slice(&part[..random.below(part.len().min(100))]);
            }
            _ => bytes.extend((0..random.below(20)).map(|_| random.next() as u8)),
        }
    }
    bytes
}

/// Calls `target` with mutations until the time is up. What made it panic is printed.
fn fuzz(name: &str, seeds: &[Vec<u8>], mut target: impl FnMut(&[u8])) {
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.3);
    let seed = u64::from_ne_bytes(clock::random()) | 1;
    let mut random = Random(seed);
    let until: Instant = clock::now() + Duration::from_secs_f64(seconds);
    let mut runs = 0_u64;
    while !runs.is_multiple_of(256) || clock::now() < until {
        let bytes = mutate(&mut random, seeds);
        runs += 1;
        if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
            panic!("{name} fails for {bytes:02x?} (seed {seed}, run {runs})");
        }
    }
    println!("{name}: {runs} inputs without a finding");
}

fn frames() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> =
        [Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck].map(|flag| Frame::flag(flag).encode()).into();
    seeds.push(Frame::data(b"hello").encode());
    seeds.push(Frame { flag: Some(Flag::Fin), data: &[7; 200] }.encode());
    seeds.push(Frame::data(&[1; MAX_DATA_BYTES]).encode());
    seeds.push(b"\x09\x08\x02\x18\x07\x21\0\0\0\0".to_vec());
    seeds.push(seeds.concat());
    seeds
}

#[test]
fn frames_that_are_cut_anywhere_say_the_same() {
    let mut random = Random(1);
    fuzz("frames", &frames(), |bytes| {
        let read = |messages: &[&[u8]]| {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            let read = messages
                .iter()
                .try_for_each(|message| decoder.feed(message, |frame| frames.push((frame.flag, frame.data.to_vec()))));
            (read, frames)
        };
        let whole = read(&[bytes]);
        let (first, rest) = bytes.split_at(random.below(bytes.len() + 1));
        assert_eq!(read(&[first, rest]), whole);
        for (flag, data) in whole.1.iter().filter(|(_, data)| data.len() < MAX_DATA_BYTES - 2) {
            let again = read(&[&Frame { flag: *flag, data }.encode()]);
            assert_eq!(again, (Ok(()), vec![(*flag, data.clone())]));
        }
    });
}

#[test]
fn streams_take_anything_and_stay_small() {
    let mut random = Random(2);
    fuzz("streams", &frames(), |bytes| {
        let mut machine = Machine::new();
        let mut flags = 0;
        for message in bytes.chunks(random.below(bytes.len()) + 1) {
            match random.below(8) {
                0 => machine.finish(),
                1 => machine.leave(),
                2 => _ = machine.read(&mut [0; 100]),
                _ => {}
            }
            if machine.has_room() {
                machine.receive(message);
            }
            flags += std::iter::from_fn(|| machine.next_flag()).count();
        }
        assert!(flags <= bytes.len() + 3);
        machine.channel_closed();
        assert!(machine.is_done());
    });
}

#[test]
fn user_names_are_read_or_refused() {
    let shared = ufrag::shared("abcdefghijklmnop").unwrap();
    let server = ufrag::server("abcdefghijklmnopqrstuvwx").unwrap();
    let seeds = [format!("{shared}:{shared}"), format!("{server}:abcd"), "a:b".into()].map(String::into_bytes);
    fuzz("user names", &seeds, |bytes| {
        if let Ok(name) = UserName::parse(bytes) {
            assert_eq!(name.to_string().as_bytes(), bytes);
            assert!(name.client_password().len() >= 22 && name.server().len() <= ufrag::MAX_CHARACTERS);
        }
    });
}

#[test]
fn nobody_signs_what_a_stranger_has_changed() {
    let password = "libp2p+webrtc+v1/abcdefghijklmnop";
    let user_name = format!("{password}:{password}");
    let request =
        stun::Request { transaction: [3; 12], user_name: &user_name, password, controls: true, tie_breaker: 5 };
    let (signed, answer) = (request.encode(), stun::success(&[3; 12], "[::1]:9".parse().unwrap(), password));
    // The checksum may be left out.
    let core = [signed[..signed.len() - 8].to_vec(), answer[..answer.len() - 8].to_vec()];
    fuzz("STUN", &[signed, answer], |bytes| {
        if stun::Message::parse(bytes).is_ok_and(|message| message.is_signed_by(password)) {
            let is_one = |core: &Vec<u8>| bytes.len() >= core.len() && bytes[4..core.len()] == core[4..];
            assert!(core.iter().any(is_one));
        }
    });
}

#[test]
fn openings_of_channels_are_read_or_refused() {
    let seeds =
        [dcep::OPENING.to_vec(), dcep::CONFIRMATION.to_vec(), b"\x03\0\x01\0\0\0\0\0\0\x02\0\x03abcde".to_vec()];
    fuzz("DCEP", &seeds, |bytes| _ = dcep::parse(bytes));
}

#[test]
fn certificates_are_read_or_refused() {
    let certificate = Certificate::generate().unwrap();
    fuzz("PEM", &[certificate.to_pem().into_bytes()], |bytes| {
        if let Some(read) = std::str::from_utf8(bytes).ok().and_then(|text| Certificate::from_pem(text).ok()) {
            assert_eq!(Certificate::from_pem(&read.to_pem()).unwrap(), read);
        }
    });
}

/// SCTP as a peer with the keys sends it, mutated inside its encryption, and so past DTLS.
#[test]
fn sctp_of_a_peer_that_has_the_keys_takes_no_connection_down_but_its_own() {
    let config = std::sync::Arc::new(Config::new(Certificate::generate().unwrap()).unwrap());
    let start = clock::now();
    let pair = || {
        let (mut client, mut server) = (
            Session::new(config.clone(), Role::Client, start).unwrap(),
            Session::new(config.clone(), Role::Server, start).unwrap(),
        );
        for _ in 0..20 {
            while let Some(datagram) = client.next_datagram() {
                server.receive(start, &datagram);
            }
            while let Some(datagram) = server.next_datagram() {
                client.receive(start, &datagram);
            }
        }
        assert!(client.is_established() && server.is_established());
        (client, server)
    };
    let (mut client, mut server) = pair();
    let seeds = client.sctp_samples(start);
    let mut now = start;
    fuzz("SCTP", &seeds, |packet| {
        now += Duration::from_millis(5);
        client.send_raw(now, packet);
        while let Some(datagram) = client.next_datagram() {
            server.receive(now, &datagram);
        }
        server.advance(now);
        while server.next_datagram().is_some() {}
        if server.take_end().is_some() {
            (client, server) = pair();
            now = start;
        }
    });
}
