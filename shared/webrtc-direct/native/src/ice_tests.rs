use webrtc_direct::ufrag;

use super::*;

const CLIENT: &str = "127.0.0.1:1000";
const SERVER: &str = "127.0.0.1:2000";

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Both ends of a connection of version 2.
fn pair(now: Instant) -> (Ice, Ice) {
    let server = ufrag::server("abcdefghijklmnopqrstuvwx").unwrap();
    let name = format!("{server}:client");
    let name = UserName::parse(name.as_bytes()).unwrap();
    (Ice::new(Role::Client, &name, at(SERVER), 1, now), Ice::new(Role::Server, &name, at(CLIENT), 2, now))
}

fn start() -> Instant {
    crate::clock::now()
}

fn ask(ice: &mut Ice, now: Instant, number: u8) -> Vec<u8> {
    match ice.advance(now, || [number; 12]) {
        Due::Ask(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_dials_asks_until_it_is_answered() {
    let now = start();
    let (mut client, mut server) = pair(now);
    ask(&mut client, now, 1);
    assert_eq!(client.advance(now, || [2; 12]), Due::Nothing);
    let request = ask(&mut client, now + FIRST_ASK_EVERY, 3);
    let answer = server.receive(now, at(CLIENT), &request).unwrap();
    assert!(!client.is_answered());
    assert_eq!(client.receive(now, at(SERVER), &answer), None);
    assert!(client.is_answered());
    assert_eq!(client.deadline(), now + ASK_AFTER);
}

#[test]
fn an_answer_to_another_question_or_by_another_password_is_none() {
    let now = start();
    let (mut client, mut server) = pair(now);
    let request = ask(&mut client, now, 1);
    let answer = server.receive(now, at(CLIENT), &request).unwrap();
    ask(&mut client, now + FIRST_ASK_EVERY, 2);
    client.receive(now, at(SERVER), &answer);
    client.receive(now, at(SERVER), &stun::success(&[2; 12], at(CLIENT), "abcdefghijklmnopqrstuvwx"));
    assert!(!client.is_answered());
}

#[test]
fn only_the_peer_is_answered() {
    let now = start();
    let (mut client, mut server) = pair(now);
    let mut request = ask(&mut client, now, 1);
    request[30] ^= 1;
    assert_eq!(server.receive(now, at(CLIENT), &request), None);
    let user_name = "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwx:mallory";
    let password = "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwx";
    let other = Request { transaction: [1; 12], user_name, password, controls: true, tie_breaker: 3 }.encode();
    assert_eq!(server.receive(now, at(CLIENT), &other), None);
}

#[test]
fn a_silent_peer_is_asked_and_given_up_within_ten_seconds() {
    let now = start();
    let (mut client, mut server) = pair(now);
    assert_eq!(server.advance(now + ASK_AFTER - ASK_EVERY, || [0; 12]), Due::Nothing);
    // It answers once, so that the count begins anew.
    let request = ask(&mut server, now + ASK_AFTER, 1);
    let answer = client.receive(now, at(SERVER), &request).unwrap();
    server.receive(now + ASK_AFTER, at(CLIENT), &answer);
    let heard = now + ASK_AFTER;
    assert_eq!(server.advance(heard + ASK_EVERY, || [2; 12]), Due::Nothing);
    let mut asked = 0;
    let mut time = heard;
    let lost = loop {
        time = server.deadline().max(time);
        match server.advance(time, || [3; 12]) {
            Due::Ask(_) => asked += 1,
            Due::Lost => break time,
            Due::Nothing => panic!("nothing was due at {:?}", time - heard),
        }
    };
    assert!(lost - heard < Duration::from_secs(10));
    assert_eq!(asked, 5);
}

#[test]
fn who_listens_sends_where_the_dialer_nominates_once_an_answer_has_come_from_there() {
    let now = start();
    let (mut client, mut server) = pair(now);
    let elsewhere = at("127.0.0.1:3000");
    assert_eq!(server.check(now, elsewhere, false, || [1; 12]), None, "it is not nominated");
    let request = server.check(now, elsewhere, true, || [2; 12]).unwrap();
    assert_eq!(server.remote(), at(CLIENT), "anybody can have written that address");
    let answer = client.receive(now, at(SERVER), &request).unwrap();
    server.receive(now, at(CLIENT), &answer);
    assert_eq!(server.remote(), at(CLIENT), "whoever answers is not there");
    server.receive(now, elsewhere, &stun::success(&[3; 12], elsewhere, "client"));
    assert_eq!(server.remote(), at(CLIENT), "it was not asked that");
    server.receive(now, elsewhere, &answer);
    assert_eq!(server.remote(), elsewhere);
    // A listener never moves the dialer.
    assert_eq!(client.check(now, at("127.0.0.1:4000"), true, || [4; 12]), None);
    assert_eq!(client.remote(), at(SERVER));
}

#[test]
fn who_is_heard_from_elsewhere_only_is_given_up() {
    let now = start();
    let (_, mut server) = pair(now);
    server.check(now + LOST_AFTER, at("127.0.0.1:3000"), true, || [1; 12]);
    assert_eq!(server.advance(now + LOST_AFTER, || [2; 12]), Due::Lost);
}
