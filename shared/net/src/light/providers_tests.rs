#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const START: Duration = Duration::from_secs(1_000_000);

fn named(count: usize) -> Vec<(PeerId, Vec<Multiaddr>)> {
    (0..count).map(|_| (PeerId::random(), vec!["/ip4/127.0.0.1/tcp/9".parse().unwrap()])).collect()
}

fn all(providers: &mut Providers<u8>, now: Duration) -> Vec<PeerId> {
    std::iter::from_fn(|| providers.next(now)).map(|(peer, _)| peer).collect()
}

fn told(found: &mut mpsc::Receiver<PeerId>) -> Vec<PeerId> {
    std::iter::from_fn(|| found.try_recv().ok()).collect()
}

#[test]
fn of_one_answer_only_so_many_are_dialed_and_each_that_leads_nowhere_makes_room_for_the_next() {
    let (mut providers, (found, mut told_of)) = (Providers::new(), mpsc::channel(8));
    let answer = named(MAX_PROVIDERS_OF_ANSWER);
    providers.offer(1, &found, answer.clone());
    let mut now = START;
    let mut dialed = Vec::new();
    while dialed.len() < answer.len() {
        let some = all(&mut providers, now);
        assert!((1..=MAX_DIALING_OF_ANSWER).contains(&some.len()), "{}", some.len());
        some.iter().for_each(|peer| providers.dials(peer, ConnectionId::new_unchecked(1)));
        assert_eq!(providers.next_step(), Some(now + DIAL_TIMEOUT));
        assert_eq!(providers.expire(now + DIAL_TIMEOUT - Duration::from_millis(1)), []);
        now += DIAL_TIMEOUT;
        let mut expired = providers.expire(now);
        expired.sort();
        dialed.extend(some.iter().copied());
        let mut some = some;
        some.sort();
        assert_eq!(expired, some, "they are given up");
    }
    assert!(answer.iter().all(|(peer, _)| dialed.contains(peer)));
    assert_eq!((all(&mut providers, now), providers.next_step()), (vec![], None));
    assert_eq!(told(&mut told_of), []);
}

#[test]
fn another_answer_and_another_lookup_have_their_place_at_once() {
    let (mut providers, (found, _told)) = (Providers::new(), mpsc::channel(8));
    providers.offer(1, &found, named(20));
    assert_eq!(all(&mut providers, START).len(), MAX_DIALING_OF_ANSWER);
    let good = named(1);
    providers.offer(1, &found, good.clone());
    assert_eq!(providers.next(START).unwrap().0, good[0].0);

    // All places are taken by many answers of one lookup: the first place that is free is another lookup's.
    providers.offer(1, &found, named(20));
    let mut last = all(&mut providers, START);
    assert_eq!(providers.dialing.len(), MAX_DIALING);
    let other = named(1);
    providers.offer(2, &found, other.clone());
    assert!(providers.next(START).is_none());
    providers.failed(&last.pop().unwrap(), None);
    assert_eq!(providers.next(START).unwrap().0, other[0].0);
}

#[test]
fn what_is_named_is_bounded_in_an_answer_in_a_lookup_and_in_addresses() {
    let (mut providers, (found, _told)) = (Providers::new(), mpsc::channel(8));
    let addresses: Vec<Multiaddr> =
        (1..=2000).map(|port| format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()).collect();
    providers.offer(1, &found, (0..1000).map(|_| (PeerId::random(), addresses.clone())));
    assert_eq!(providers.waiting.len(), MAX_PROVIDERS_OF_ANSWER);
    assert!(providers.next(START).unwrap().1.len() <= ggen_shared::limits::MAX_ADDRESSES_PER_RELAY);
    (0..1000).for_each(|_| providers.offer(1, &found, named(20)));
    assert_eq!(providers.waiting.len(), MAX_WAITING_OF_LOOKUP);
    providers.offer(2, &found, named(1));
    assert_eq!(providers.waiting.len(), MAX_WAITING_OF_LOOKUP + 1);
}

#[test]
fn whoever_looks_for_a_peer_is_told_when_it_is_connected_however_it_was() {
    let (mut providers, (first, mut told_first), (second, mut told_second)) =
        (Providers::new(), mpsc::channel(8), mpsc::channel(8));
    let answer = named(1);
    let peer = answer[0].0;
    providers.offer(1, &first, answer.clone());
    providers.offer(2, &second, answer);
    assert_eq!(all(&mut providers, START), [peer], "it is dialed once");
    providers.connected(peer);
    assert_eq!((told(&mut told_first), told(&mut told_second)), (vec![peer], vec![peer]));
    assert_eq!((all(&mut providers, START), providers.dialing.len()), (vec![], 0));
}

#[test]
fn one_that_failed_at_false_addresses_is_dialed_at_those_that_another_answer_has() {
    let (mut providers, (found, _told)) = (Providers::new(), mpsc::channel(8));
    let peer = PeerId::random();
    let at = |port: u16| -> Vec<Multiaddr> { vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()] };
    providers.offer(1, &found, [(peer, at(1))]);
    providers.offer(1, &found, [(peer, at(2))]);
    assert_eq!(providers.next(START), Some((peer, at(1))));
    let (ours, others) = (ConnectionId::new_unchecked(1), ConnectionId::new_unchecked(2));
    providers.dials(&peer, ours);
    providers.failed(&peer, Some(others));
    assert_eq!(providers.next(START), None, "ours may still succeed");
    providers.failed(&peer, Some(ours));
    assert_eq!(providers.next(START), Some((peer, at(2))));
    // One that somebody else dials is waited for, and not given up for them.
    assert_eq!(providers.expire(START + DIAL_TIMEOUT), []);
    assert!(providers.dialing.is_empty());
}

#[test]
fn nobody_is_dialed_for_who_does_not_look_any_more() {
    let (mut providers, (found, told)) = (Providers::new(), mpsc::channel(8));
    providers.offer(1, &found, named(3));
    drop(told);
    assert_eq!(all(&mut providers, START), []);
    assert!(providers.waiting.is_empty());
}
