use webrtc_direct::ufrag;

use super::*;
use crate::{clock, stun};

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// User names of both versions, and of another peer.
fn names() -> [String; 3] {
    let shared = ufrag::shared("abcdefghijklmnopqrst").unwrap();
    let server = ufrag::server("abcdefghijklmnopqrstuvwx").unwrap();
    let other = ufrag::server("another-password-of-22".replace('-', "+").as_str()).unwrap();
    [format!("{shared}:{shared}"), format!("{server}:client"), format!("{other}:other")]
}

fn request(name: &str, transaction: Transaction) -> Vec<u8> {
    let password = name.split_once(':').unwrap().0;
    Request { transaction, user_name: name, password, controls: true, tie_breaker: 1 }.encode()
}

fn ask(path: &mut ReturnPath, now: Instant, from: &str, name: &str) -> Vec<u8> {
    let bytes = request(name, [9; 12]);
    let message = Message::parse(&bytes).unwrap();
    let question = path.ask(now, at(from), &UserName::parse(name.as_bytes()).unwrap(), &message);
    assert!(question.len() <= bytes.len(), "no more comes back than has come");
    question
}

/// The answer to a question, as who knows the name gives it.
fn answer(question: &[u8], from: &str, name: &str) -> Vec<u8> {
    let name = UserName::parse(name.as_bytes()).unwrap();
    stun::success(&Message::parse(question).unwrap().transaction, at(from), name.client_password())
}

fn answered(path: &mut ReturnPath, now: Instant, from: &str, answer: &[u8]) -> Option<Asked> {
    path.answered(now, at(from), &Message::parse(answer).unwrap())
}

#[test]
fn who_answers_is_there_and_is_so_once() {
    let now = clock::now();
    let mut path = ReturnPath::new([7; 32], 1);
    for name in names() {
        for from in ["127.0.0.1:9", "[::1]:9"] {
            let question = ask(&mut path, now, from, &name);
            let signed = Message::parse(&question).unwrap();
            assert!(signed.is_signed_by(UserName::parse(name.as_bytes()).unwrap().client_password()));
            let answer = answer(&question, from, &name);
            let asked = answered(&mut path, now, from, &answer).unwrap();
            assert_eq!((&*asked.name, asked.transaction, asked.nominates), (&*name, [9; 12], true));
            assert!(answered(&mut path, now, from, &answer).is_none());
        }
    }
}

#[test]
fn answers_from_elsewhere_or_by_strangers_or_too_late_prove_nothing() {
    let now = clock::now();
    let mut path = ReturnPath::new([7; 32], 1);
    let [name, _, other] = names();
    let from = "127.0.0.1:9";
    let question = ask(&mut path, now, from, &name);
    let right = answer(&question, from, &name);
    for elsewhere in ["127.0.0.1:10", "127.0.0.2:9", "[::1]:9"] {
        assert!(answered(&mut path, now, elsewhere, &right).is_none());
    }
    // A server of STUN, to which anybody's question can be sent, signs nothing.
    let unsigned = &right[..right.len() - 32];
    let unsigned = [&unsigned[..2], &(unsigned.len() as u16 - 20).to_be_bytes(), &unsigned[4..]].concat();
    for wrong in [&answer(&question, from, &other), &stun::success(&[1; 12], at(from), "x"), &unsigned] {
        assert!(answered(&mut path, now, from, wrong).is_none());
    }
    assert!(answered(&mut path, now + HANDSHAKE_TIMEOUT, from, &right).is_none());
    assert!(answered(&mut path, now, from, &right).is_some(), "and take nothing away");
}

#[test]
fn names_of_one_address_do_not_touch_each_other() {
    let now = clock::now();
    let mut path = ReturnPath::new([7; 32], 1);
    let [mine, _, other] = names();
    let from = "127.0.0.1:9";
    let question = ask(&mut path, now, from, &mine);
    ask(&mut path, now, from, &other);
    let asked = answered(&mut path, now, from, &answer(&question, from, &mine)).unwrap();
    assert_eq!(&*asked.name, mine);
}

#[test]
fn a_flood_of_forged_addresses_takes_bounded_room_and_leaves_some_their_place() {
    let now = clock::now();
    let mut path = ReturnPath::new([7; 32], 1);
    let [name, ..] = names();
    let questions: Vec<_> = (1..=100)
        .map(|port| {
            let from = format!("127.0.0.1:{port}");
            (ask(&mut path, now, &from, &name), from)
        })
        .collect();
    for forged in 0..MAX_ASKED {
        let from = format!("10.0.{}.{}:5", forged / 256, forged % 256);
        ask(&mut path, now, &from, &name);
    }
    let asked = path.asked.iter().flatten().count();
    assert!(asked > MAX_ASKED / 2, "{asked}");
    let left = questions
        .iter()
        .filter(|(question, from)| answered(&mut path, now, from, &answer(question, from, &name)).is_some());
    assert!((10..90).contains(&left.count()), "of as many as there are places, about a third is left");
}
