use std::time::Duration;

use super::*;

fn at(ip: u32, port: u16) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a00_0000 + ip), port).into()
}

fn start() -> Instant {
    crate::clock::now()
}

#[test]
fn a_candidate_becomes_a_handshake_and_a_connection() {
    let (now, mut table) = (start(), Table::new());
    let from = at(1, 1);
    assert_eq!((table.owner(now, from), table.asker(now, from, "name")), (Owner::Nobody, Asker::Stranger));
    assert_eq!(table.admit(now, from, "name"), None);
    assert_eq!((table.asker(now, from, "name"), table.asker(now, from, "other")), (Asker::Candidate, Asker::Stranger));
    assert_eq!(table.owner(now, from), Owner::Candidate);
    let (id, name) = table.begin(now, from, 'a').unwrap();
    assert_eq!(&*name, "name");
    assert_eq!(table.owner(now, from), Owner::Connection('a'));
    assert_eq!(table.counts(), (0, 1, 0));
    table.authenticate(id);
    assert_eq!(table.counts(), (0, 0, 1));
    assert_eq!(table.asker(now, from, "name"), Asker::Connection('a'));
    table.remove(id);
    assert_eq!(table.owner(now, from), Owner::Nobody);
    assert_eq!(table.counts(), (0, 0, 0));
}

#[test]
fn a_connection_is_followed_to_its_other_addresses_and_to_nobody_elses() {
    let (now, mut table) = (start(), Table::new());
    table.admit(now, at(1, 1), "one");
    table.admit(now, at(1, 2), "one");
    table.admit(now, at(2, 1), "two");
    table.begin(now, at(1, 1), '1').unwrap();
    table.begin(now, at(2, 1), '2').unwrap();
    // Its first datagram from elsewhere begins nothing.
    assert_eq!(table.begin(now, at(1, 2), 'x'), None);
    assert_eq!(table.asker(now, at(1, 2), "one"), Asker::Connection('1'));
    assert_eq!(table.owner(now, at(1, 2)), Owner::Connection('1'));
    // Whoever knows the name of the one can't take the address of the other, nor can a stranger.
    for name in ["one", "three"] {
        assert_eq!((table.asker(now, at(2, 1), name), table.admit(now, at(2, 1), name)), (Asker::Nobody, None));
    }
    assert_eq!(table.owner(now, at(2, 1)), Owner::Connection('2'));
    // The one that it has not asked from for longest makes way, so that it can always move.
    for port in 10..100 {
        assert_eq!(table.asker(now, at(1, 1), "one"), Asker::Connection('1'));
        assert_eq!(table.admit(now, at(3, port), "one"), Some('1'));
        assert_eq!(table.owner(now, at(3, port)), Owner::Connection('1'));
    }
    assert_eq!(table.owner(now, at(1, 1)), Owner::Connection('1'));
    assert_eq!(table.owner(now, at(1, 2)), Owner::Nobody);
    assert_eq!(table.by_address.len(), 1 + MAX_ADDRESSES);
}

#[test]
fn candidates_are_bounded_and_the_oldest_make_way() {
    let (now, mut table) = (start(), Table::<()>::new());
    for port in 1..=200 {
        table.admit(now, at(1, port), &port.to_string());
    }
    assert_eq!(table.counts().0, MAX_CANDIDATES_OF_ONE);
    assert_eq!(table.owner(now, at(1, 200)), Owner::Candidate);
    for ip in 0..10_000 {
        table.admit(now, at(100 + ip, 1), "x");
    }
    assert_eq!(table.counts().0, MAX_CANDIDATES);
    assert!(table.by_age.len() <= 2 * MAX_CANDIDATES + 200);
    assert_eq!(table.owner(now, at(10_099, 1)), Owner::Candidate);
    // Later they are all forgotten.
    let later = now + HANDSHAKE_TIMEOUT + Duration::from_millis(1);
    assert_eq!(table.owner(later, at(10_099, 1)), Owner::Nobody);
    table.admit(later, at(9, 9), "y");
    assert_eq!((table.counts().0, table.by_age.len()), (1, 1));
}

#[test]
fn handshakes_are_bounded_of_one_and_of_all() {
    let (now, mut table) = (start(), Table::new());
    let mut begun = Vec::new();
    for ip in 1..=20 {
        for port in 1..=50 {
            table.admit(now, at(ip, port), &format!("{ip} {port}"));
            begun.extend(table.begin(now, at(ip, port), ()).map(|(id, _)| (ip, id)));
        }
    }
    assert_eq!(begun.len(), MAX_HANDSHAKES);
    assert_eq!(begun.iter().filter(|(ip, _)| *ip == 1).count(), MAX_HANDSHAKES_OF_ONE);
    for (_, id) in &begun {
        table.remove(*id);
    }
    assert_eq!((table.counts().1, table.counts().2), (0, 0));
    assert!(table.loads.values().all(|load| load.handshakes == 0));
}

#[test]
fn requests_of_one_address_are_counted_and_those_of_connections_are_not() {
    let (now, mut table) = (start(), Table::new());
    let asked = |table: &mut Table<()>, now, from| (0..1000).filter(|_| table.may_ask(now, from)).count();
    assert_eq!(asked(&mut table, now, at(1, 1)), STUN_BURST as usize);
    assert_eq!(asked(&mut table, now + Duration::from_secs(1), at(1, 2)), STUN_PER_SECOND as usize);
    assert_eq!(asked(&mut table, now + Duration::from_secs(1), at(2, 1)), STUN_BURST as usize);
    table.admit(now, at(1, 3), "name");
    let (id, _) = table.begin(now, at(1, 3), ()).unwrap();
    assert_eq!(asked(&mut table, now + Duration::from_secs(1), at(1, 3)), 0, "not before it is authenticated");
    table.authenticate(id);
    assert_eq!(asked(&mut table, now + Duration::from_secs(1), at(1, 3)), 1000);
    assert_eq!(asked(&mut table, now, "127.0.0.1:1".parse().unwrap()), 1000);
    // All addresses of a /64 are one.
    assert_eq!(asked(&mut table, now, "[2001:db8::1]:1".parse().unwrap()), STUN_BURST as usize);
    assert_eq!(asked(&mut table, now, "[2001:db8::2]:1".parse().unwrap()), 0);
}

#[test]
fn addresses_that_are_counted_are_bounded() {
    let (now, mut table) = (start(), Table::<()>::new());
    for ip in 0..3 * MAX_COUNTED_IPS as u32 {
        table.may_ask(now, at(ip, 1));
        table.admit(now, at(ip, 1), "x");
    }
    assert!(table.loads.len() <= MAX_COUNTED_IPS + 1);
}
