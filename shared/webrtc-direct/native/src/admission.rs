//! Who may begin a connection, and whose datagrams are whose.
//!
//! Anybody can make up a valid request, so what one costs is bounded: in three steps a peer goes from a candidate, which is a name and
//! an address where it receives, to a handshake, and to a connection.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{
    HANDSHAKE_TIMEOUT, MAX_ADDRESSES, MAX_CANDIDATES, MAX_CANDIDATES_OF_ONE, MAX_COUNTED_IPS, MAX_HANDSHAKES,
    MAX_HANDSHAKES_OF_ONE, STUN_BURST, STUN_PER_SECOND,
};

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;

pub(crate) type Id = u64;

/// All peers of one socket. `T` is where a connection's datagrams go.
pub(crate) struct Table<T> {
    candidates: HashMap<SocketAddr, Candidate>,
    /// Candidates by age. Some are none any longer.
    by_age: VecDeque<(Instant, SocketAddr)>,
    connections: HashMap<Id, Entry<T>>,
    by_address: HashMap<SocketAddr, Id>,
    by_name: HashMap<Arc<str>, Id>,
    handshakes: usize,
    loads: HashMap<IpAddr, Load>,
    next: Id,
}

struct Candidate {
    name: Arc<str>,
    since: Instant,
}

struct Entry<T> {
    to: T,
    name: Arc<str>,
    /// The one that was asked from last is the last one.
    addresses: Vec<SocketAddr>,
    /// Whose handshake it is, until it is authenticated.
    handshake_of: Option<IpAddr>,
}

/// What one IP address takes up.
struct Load {
    candidates: usize,
    handshakes: usize,
    /// Requests that are left to it, in thousandths.
    requests: u32,
    at: Instant,
}

/// Whom a datagram belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Owner<T> {
    /// A connection.
    Connection(T),
    /// It is the first one of a candidate.
    Candidate,
    /// It is not expected.
    Nobody,
}

/// Whose a request is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asker<T> {
    /// A connection's, from an address of its.
    Connection(T),
    /// A candidate's.
    Candidate,
    /// It is not known whether anybody receives at that address who wants to be known by that name.
    Stranger,
    /// The address belongs to a connection with another name. It keeps it, or anybody could take it away.
    Nobody,
}

/// 127.0.0.1 and ::1 are a proxy, or a test: nobody is counted there.
fn counted(address: SocketAddr) -> Option<IpAddr> {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => None,
        IpAddr::V4(ip) => Some(ip.into()),
        // Who has one address of a /64 has all of them.
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into()),
    }
}

impl<T: Clone> Table<T> {
    pub(crate) fn new() -> Self {
        Self {
            candidates: HashMap::new(),
            by_age: VecDeque::new(),
            connections: HashMap::new(),
            by_address: HashMap::new(),
            by_name: HashMap::new(),
            handshakes: 0,
            loads: HashMap::new(),
            next: 0,
        }
    }

    /// Whether a request from there is looked at. Asked before anything is computed for it.
    pub(crate) fn may_ask(&mut self, now: Instant, from: SocketAddr) -> bool {
        let Some(ip) = counted(from) else { return true };
        let connection = self.by_address.get(&from).and_then(|id| self.connections.get(id));
        if connection.is_some_and(|entry| entry.handshake_of.is_none()) {
            return true;
        }
        let load = self.load(now, ip);
        let since = u32::try_from((now - load.at).as_millis()).unwrap_or(u32::MAX);
        load.requests = load.requests.saturating_add(since.saturating_mul(STUN_PER_SECOND)).min(STUN_BURST * 1000);
        // What is less than a millisecond counts the next time, or who asks all the time would never be heard again.
        load.at += Duration::from_millis(since.into());
        let Some(left) = load.requests.checked_sub(1000) else { return false };
        load.requests = left;
        true
    }

    /// Whose a request under this user name is.
    pub(crate) fn asker(&mut self, now: Instant, from: SocketAddr, name: &str) -> Asker<T> {
        if let Some(entry) = self.by_address.get(&from).and_then(|id| self.connections.get_mut(id)) {
            if *entry.name != *name {
                return Asker::Nobody;
            }
            entry.addresses.retain(|address| *address != from);
            entry.addresses.push(from);
            return Asker::Connection(entry.to.clone());
        }
        let is_known = |candidate: &Candidate| *candidate.name == *name && now < candidate.since + HANDSHAKE_TIMEOUT;
        if !self.candidates.get(&from).is_some_and(is_known) {
            return Asker::Stranger;
        }
        // It may have begun from another of its addresses meanwhile.
        let connection = if self.by_name.contains_key(name) { self.admit(now, from, name) } else { None };
        connection.map_or(Asker::Candidate, Asker::Connection)
    }

    /// Who wants to be known by this user name was proven to receive there. Returns whose it is, if there is a connection already.
    pub(crate) fn admit(&mut self, now: Instant, from: SocketAddr, name: &str) -> Option<T> {
        if self.by_address.contains_key(&from) {
            return None;
        }
        let Some((id, entry)) = self.by_name.get(name).and_then(|id| Some((*id, self.connections.get_mut(id)?))) else {
            self.add_candidate(now, from, name);
            return None;
        };
        if entry.addresses.len() >= MAX_ADDRESSES {
            self.by_address.remove(&entry.addresses.remove(0));
        }
        entry.addresses.push(from);
        let to = entry.to.clone();
        self.by_address.insert(from, id);
        self.remove_candidate(from);
        Some(to)
    }

    fn add_candidate(&mut self, now: Instant, from: SocketAddr, name: &str) {
        self.remove_candidate(from);
        self.forget_candidates(now);
        if let Some(ip) = counted(from) {
            if self.load(now, ip).candidates >= MAX_CANDIDATES_OF_ONE {
                let is_of_it =
                    |address: &SocketAddr| counted(*address) == Some(ip) && self.candidates.contains_key(address);
                let oldest = self.by_age.iter().map(|(_, address)| *address).find(is_of_it);
                oldest.into_iter().for_each(|oldest| self.remove_candidate(oldest));
            }
            self.load(now, ip).candidates += 1;
        }
        self.candidates.insert(from, Candidate { name: name.into(), since: now });
        self.by_age.push_back((now, from));
    }

    /// Makes room for one more.
    fn forget_candidates(&mut self, now: Instant) {
        if self.by_age.len() >= 4 * MAX_CANDIDATES {
            let candidates = &self.candidates;
            self.by_age.retain(|(since, address)| candidates.get(address).is_some_and(|one| one.since == *since));
        }
        while let Some((since, address)) = self.by_age.front().copied() {
            let current = self.candidates.get(&address).is_some_and(|candidate| candidate.since == since);
            if current && self.candidates.len() < MAX_CANDIDATES && now < since + HANDSHAKE_TIMEOUT {
                break;
            }
            self.by_age.pop_front();
            if current {
                self.remove_candidate(address);
            }
        }
    }

    fn remove_candidate(&mut self, from: SocketAddr) {
        if self.candidates.remove(&from).is_some()
            && let Some(load) = counted(from).and_then(|ip| self.loads.get_mut(&ip))
        {
            load.candidates = load.candidates.saturating_sub(1);
        }
    }

    /// Whose a datagram is that is no request.
    pub(crate) fn owner(&mut self, now: Instant, from: SocketAddr) -> Owner<T> {
        if let Some(id) = self.by_address.get(&from) {
            return Owner::Connection(self.connections[id].to.clone());
        }
        match self.candidates.get(&from) {
            Some(candidate) if now < candidate.since + HANDSHAKE_TIMEOUT => Owner::Candidate,
            _ => Owner::Nobody,
        }
    }

    /// Makes a candidate a handshake, and returns its number and name. `None` if there are too many: the peer will try again.
    pub(crate) fn begin(&mut self, now: Instant, from: SocketAddr, to: T) -> Option<(Id, Arc<str>)> {
        let ip = counted(from);
        let of_one = ip.map_or(0, |ip| self.load(now, ip).handshakes);
        if self.handshakes >= MAX_HANDSHAKES || of_one >= MAX_HANDSHAKES_OF_ONE {
            return None;
        }
        let name = self.candidates.get(&from)?.name.clone();
        if self.by_name.contains_key(&name) {
            // It has begun from another of its addresses; its next request tells of this one.
            return None;
        }
        self.remove_candidate(from);
        let id = self.next;
        self.next += 1;
        self.handshakes += 1;
        ip.into_iter().for_each(|ip| self.load(now, ip).handshakes += 1);
        // One that is not counted by its address is counted all the same.
        let handshake_of = Some(ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        self.connections.insert(id, Entry { to, name: name.clone(), addresses: vec![from], handshake_of });
        self.by_address.insert(from, id);
        self.by_name.insert(name.clone(), id);
        Some((id, name))
    }

    /// A handshake has ended well.
    pub(crate) fn authenticate(&mut self, id: Id) {
        if let Some(ip) = self.connections.get_mut(&id).and_then(|entry| entry.handshake_of.take()) {
            self.handshakes -= 1;
            if let Some(load) = self.loads.get_mut(&ip) {
                load.handshakes = load.handshakes.saturating_sub(1);
            }
        }
    }

    /// A handshake has failed, or a connection has ended.
    pub(crate) fn remove(&mut self, id: Id) {
        self.authenticate(id);
        if let Some(entry) = self.connections.remove(&id) {
            self.by_name.remove(&entry.name);
            for address in entry.addresses {
                self.by_address.remove(&address);
            }
        }
    }

    fn load(&mut self, now: Instant, ip: IpAddr) -> &mut Load {
        if self.loads.len() >= MAX_COUNTED_IPS && !self.loads.contains_key(&ip) {
            // Who takes up nothing starts with all requests again. That this is a thousand times as many, a flood from as many
            // addresses has anyway.
            self.loads.retain(|_, load| load.candidates + load.handshakes > 0);
        }
        self.loads.entry(ip).or_insert(Load { candidates: 0, handshakes: 0, requests: STUN_BURST * 1000, at: now })
    }

    /// How many candidates, handshakes and connections there are.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.candidates.len(), self.handshakes, self.connections.len() - self.handshakes)
    }
}
