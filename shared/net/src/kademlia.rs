//! Kademlia, with bounds on how much of it one place may be.
//!
//! Identities cost nothing, and addresses of one network little. Who has thousands of either could make them the nearest to a key, be in every
//! routing table, and be all that a lookup ever asks. So of one [`IpGroup`] a few are in the routing table, and a few are dialed by lookups:
//! the rest of what a lookup asks is elsewhere.

use std::collections::{HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::kad::{self, KBucketKey, NodeStatus};
use libp2p::swarm::behaviour::DialFailure;
use libp2p::swarm::{ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour};
use libp2p::swarm::{THandler, THandlerInEvent, THandlerOutEvent, ToSwarm};

use crate::address::{IpGroup, names_one_host};

/// Peers of one group in the routing table.
const MAX_OF_GROUP_IN_TABLE: usize = 3;
/// Peers of one group in one bucket of it.
const MAX_OF_GROUP_IN_BUCKET: usize = 2;
/// Connections to one group that lookups made.
const MAX_OF_GROUP_BY_LOOKUPS: usize = 3;
/// Dials of lookups to one group: some more, because what a peer says of where it is may lead nowhere.
const MAX_DIALS_TO_GROUP: usize = 6;
/// Connections that lookups are making, in all: each is a socket. Past it those fail that are begun, as if the peer were gone.
const MAX_DIALS_OF_LOOKUPS: usize = 128;
/// Connections that lookups made and that are kept: as many have their other end here. In a network of a thousand relays each would else be
/// connected to all others, and everybody be told of each announcement by everybody.
const MAX_KEPT_OF_LOOKUPS: usize = 40;
/// How long the others of a full bucket are left alone once its oldest was dialed for a newcomer, which waits as long for that one's place. Else
/// everybody who connects would have this peer dial one more, and that one do so in turn. In a network at rest each bucket has its turn as often as this.
const TURN_INTERVAL: Duration = Duration::from_secs(300);

/// Kademlia as libp2p has it, and what is asked of whom it lets in and dials.
pub struct Kademlia<S> {
    kad: kad::Behaviour<S>,
    local: PeerId,
    /// Where connected peers are, by their first connection. Who is reached through somebody else only is nowhere.
    places: HashMap<PeerId, IpGroup>,
    /// Where those are that are in the routing table, or were.
    table: HashMap<PeerId, IpGroup>,
    /// Those of them whom nobody reached when they were last dialed.
    unreached: HashSet<PeerId>,
    /// The last turn of each full bucket, by the logarithm of its distance.
    turns: HashMap<u32, Turn>,
    /// Connections that lookups have begun.
    lookups: HashMap<ConnectionId, Lookup>,
    /// Whom the owner of this peer has named: they are let in wherever they are, and take no place of others.
    named: HashSet<PeerId>,
}

/// Of a full bucket the oldest that is not connected is dialed, and a newcomer waits for its place.
#[derive(Debug, Clone, Copy)]
struct Turn {
    at: Duration,
    newcomer: PeerId,
    oldest: PeerId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    /// To somebody whose addresses are not known yet.
    Begun,
    /// To the oldest of a full bucket, whose place somebody waits for: it is one of few, and must not lose the place undialed.
    Turn,
    /// It dials this group.
    Dials(IpGroup),
    /// It is connected there, and was when surplus ones were last looked for.
    Connected { to: IpGroup, peer: PeerId, was_there: bool },
}

/// Lookups have as many connections to one group as they may, or as many dials.
#[derive(Debug, thiserror::Error)]
#[error("lookups are connected to enough peers there")]
struct EnoughOfGroup;

/// The address seems to lead to one place, and leads to another.
#[derive(Debug, thiserror::Error)]
#[error("the address names more than one host, or none")]
struct NotOneHost;

impl<S> Kademlia<S>
where
    S: kad::store::RecordStore + Send + 'static,
{
    pub(crate) fn new(local: PeerId, store: S, mut config: kad::Config, named: HashSet<PeerId>) -> Self {
        // Whoever is connected may enter, if there is room for its group: see `may_enter`.
        config.set_kbucket_inserts(kad::BucketInserts::Manual);
        config.set_kbucket_pending_timeout(TURN_INTERVAL);
        let kad = kad::Behaviour::with_config(local, store, config);
        let (places, table, unreached, turns, lookups) = Default::default();
        Self { kad, local, places, table, unreached, turns, lookups, named }
    }

    /// Whether this is a client that looks for nothing but the peers around it.
    fn is_client_bootstrapping(&self) -> bool {
        let mut queries = self.kad.iter_queries().peekable();
        self.kad.mode() == kad::Mode::Client
            && queries.peek().is_some()
            && queries.all(|query| matches!(query.info(), kad::QueryInfo::Bootstrap { .. }))
    }

    /// Whether a connected peer may enter the routing table, now (since whenever, by any clock). One of its group makes room for it that is not connected,
    /// and was not reached when it was last dialed: whoever is there is not always connected, and must not lose its place to a neighbour who is. In a
    /// full bucket it may wait for the place of who was not connected for longest, if nobody waits and none was dialed for a newcomer of late.
    pub(crate) fn may_enter(&mut self, peer: &PeerId, now: Duration) -> bool {
        self.has_place(peer, Some(now))
    }

    /// The same of one that is in it: nobody is dialed for it any more.
    fn may_stay(&mut self, peer: &PeerId) -> bool {
        self.has_place(peer, None)
    }

    fn has_place(&mut self, peer: &PeerId, now: Option<Duration>) -> bool {
        if self.named.contains(peer) {
            return true;
        }
        let Some(group) = self.places.get(peer).copied() else { return false };
        let distance = KBucketKey::from(self.local).distance(&KBucketKey::from(*peer));
        let Self { kad, places, table, unreached, turns, named, .. } = self;
        // The others of the group: whether it is in the same bucket, and whether it may still be there.
        let mut others: Vec<(PeerId, bool, bool)> = Vec::new();
        let mut there = HashMap::new();
        let (mut has_room, mut is_waited, mut oldest) = (true, false, None);
        for bucket in kad.kbuckets() {
            let is_same = bucket.contains(&distance);
            if is_same {
                let is_there = bucket.iter().any(|entry| entry.node.key.preimage() == peer);
                has_room = is_there || bucket.num_entries() < kad::K_VALUE.get();
                is_waited = bucket.has_pending();
                // Those that are not connected come first, by when they left.
                let first = bucket.iter().next().filter(|entry| entry.status == NodeStatus::Disconnected);
                oldest = first.map(|entry| *entry.node.key.preimage());
            }
            for entry in bucket.iter() {
                let other = *entry.node.key.preimage();
                // Of one that waited for its place the table does not say where it is.
                let place = table.get(&other).or_else(|| places.get(&other)).copied();
                let Some(place) = place.filter(|_| !named.contains(&other)) else { continue };
                there.insert(other, place);
                if place == group && other != *peer {
                    let may_be_there = entry.status == NodeStatus::Connected || !unreached.contains(&other);
                    others.push((other, is_same, may_be_there));
                }
            }
        }
        *table = there;
        unreached.retain(|peer| table.contains_key(peer));
        let in_bucket = others.iter().filter(|(_, is_same, _)| *is_same).count();
        let mut gone = None;
        if in_bucket >= MAX_OF_GROUP_IN_BUCKET || others.len() >= MAX_OF_GROUP_IN_TABLE {
            let makes_room = |is_same| is_same || in_bucket < MAX_OF_GROUP_IN_BUCKET;
            let gones = others.iter().filter(|(_, is_same, may_be_there)| makes_room(*is_same) && !may_be_there);
            gone = gones.max_by_key(|(_, is_same, _)| *is_same);
            if gone.is_none() {
                return false;
            }
        }
        if !has_room {
            let (Some(now), Some(bucket)) = (now, distance.ilog2()) else { return false };
            let turn = turns.get(&bucket);
            if is_waited {
                // Who waits may tell anew where it is. Another one would take the place that it waits for.
                return turn.is_some_and(|turn| turn.newcomer == *peer);
            }
            if !gone.is_some_and(|(_, is_same, _)| *is_same) {
                // Whichever way the clock was set.
                let was_of_late = |turn: &Turn| now.abs_diff(turn.at) < TURN_INTERVAL;
                let Some(oldest) = oldest.filter(|_| !turn.is_some_and(was_of_late)) else { return false };
                turns.insert(bucket, Turn { at: now, newcomer: *peer, oldest });
                // It takes nobody's place elsewhere before it has one here: see `poll`.
                return true;
            }
        }
        if let Some((gone, ..)) = gone {
            kad.remove_peer(gone);
            table.remove(gone);
        }
        table.insert(*peer, group);
        true
    }

    /// Who has left waits for no place: it would take one of somebody who is away no more than itself.
    fn stop_waiting(&mut self, peer: &PeerId) {
        let waits = self.turns.values().any(|turn| turn.newcomer == *peer);
        let has_place = |bucket: kad::KBucketRef<'_, kad::KBucketKey<PeerId>, kad::Addresses>| {
            bucket.iter().any(|entry| entry.node.key.preimage() == peer)
        };
        if waits && !self.kad.kbucket(*peer).is_some_and(has_place) {
            self.kad.remove_peer(peer);
        }
    }

    /// Where a connected peer is.
    pub fn place(&self, peer: &PeerId) -> IpGroup {
        self.places.get(peer).copied().unwrap_or(IpGroup::Unknown)
    }

    /// Whether lookups may have one more connection to a group.
    fn may_connect(&self, group: IpGroup) -> bool {
        let there = |lookup: &&Lookup| matches!(lookup, Lookup::Connected { to, .. } if *to == group);
        self.lookups.values().filter(there).count() < MAX_OF_GROUP_BY_LOOKUPS
    }

    fn may_dial(&self, group: IpGroup) -> bool {
        let there = |lookup: &&Lookup| **lookup == Lookup::Dials(group);
        self.may_connect(group) && self.lookups.values().filter(there).count() < MAX_DIALS_TO_GROUP
    }

    /// Connections that lookups made and that are not worth keeping, past so many: those to peers who are not in the routing table first, and the newest,
    /// who are the likeliest to leave soon. Not those to peers that are of use otherwise, not those that were made since this was last asked, and none
    /// while anything is looked for: whom a lookup has found it may still tell something.
    pub(crate) fn surplus(&mut self, is_of_use: impl Fn(&PeerId) -> bool) -> Vec<ConnectionId> {
        let is_looking = self.kad.iter_queries().next().is_some();
        let mut made: Vec<(ConnectionId, PeerId, bool)> = Vec::new();
        for (id, lookup) in &mut self.lookups {
            if let Lookup::Connected { peer, was_there, .. } = lookup {
                made.push((*id, *peer, std::mem::replace(was_there, true)));
            }
        }
        if is_looking {
            return Vec::new();
        }
        made.retain(|(_, peer, _)| !is_of_use(peer));
        // Connections are numbered as they are begun.
        made.sort_unstable_by_key(|(id, peer, _)| (!self.table.contains_key(peer), *id));
        made.into_iter().skip(MAX_KEPT_OF_LOOKUPS).filter(|(.., was_there)| *was_there).map(|(id, ..)| id).collect()
    }
}

impl<S> Deref for Kademlia<S> {
    type Target = kad::Behaviour<S>;

    fn deref(&self) -> &Self::Target {
        &self.kad
    }
}

impl<S> DerefMut for Kademlia<S> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.kad
    }
}

impl<S> NetworkBehaviour for Kademlia<S>
where
    S: kad::store::RecordStore + Send + 'static,
{
    type ConnectionHandler = <kad::Behaviour<S> as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut found = self.kad.handle_pending_outbound_connection(connection, peer, addresses, role)?;
        found.retain(names_one_host);
        if matches!(self.lookups.get(&connection), None | Some(Lookup::Turn)) {
            return Ok(found);
        }
        let dials = self.lookups.values().filter(|lookup| matches!(lookup, Lookup::Dials(_))).count();
        let group = found.iter().map(IpGroup::of).find(|group| self.may_dial(*group));
        match group {
            Some(group) if dials < MAX_DIALS_OF_LOOKUPS => {
                // One group at a time: else who names addresses everywhere would keep lookups from whoever is there.
                found.retain(|address| IpGroup::of(address) == group);
                self.lookups.insert(connection, Lookup::Dials(group));
                Ok(found)
            }
            // Others may know where the peer is: that is looked at once it is connected.
            None if found.is_empty() => Ok(found),
            _ => Err(ConnectionDenied::new(EnoughOfGroup)),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // Whoever told of it.
        if !names_one_host(address) {
            return Err(ConnectionDenied::new(NotOneHost));
        }
        if let Some(lookup) = self.lookups.get(&connection) {
            let group = IpGroup::of(address);
            if *lookup != Lookup::Turn && !self.may_connect(group) {
                return Err(ConnectionDenied::new(EnoughOfGroup));
            }
            self.lookups.insert(connection, Lookup::Connected { to: group, peer, was_there: false });
        }
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match &event {
            FromSwarm::ConnectionEstablished(established) if !established.endpoint.is_relayed() => {
                let group = IpGroup::of(established.endpoint.get_remote_address());
                self.places.entry(established.peer_id).or_insert(group);
                self.unreached.remove(&established.peer_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.lookups.remove(&closed.connection_id);
                if closed.remaining_established == 0 {
                    self.places.remove(&closed.peer_id);
                    self.stop_waiting(&closed.peer_id);
                }
            }
            FromSwarm::DialFailure(failure) => {
                self.lookups.remove(&failure.connection_id);
                let was_dialed = match failure.error {
                    DialError::Transport(_)
                    | DialError::WrongPeerId { .. }
                    | DialError::LocalPeerId { .. }
                    | DialError::NoAddresses => true,
                    DialError::Aborted | DialError::Denied { .. } | DialError::DialPeerConditionFalse(_) => false,
                };
                let is_away = |peer: &PeerId| self.table.contains_key(peer) && !self.places.contains_key(peer);
                self.unreached.extend(failure.peer_id.filter(|peer| was_dialed && is_away(peer)));
            }
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.kad.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let event = loop {
            let event = self.kad.poll(context);
            match &event {
                // Nobody asks a client for the peers around it: what its connections tell of them is enough. To dial them would connect every visitor of
                // a page to twenty relays.
                Poll::Ready(ToSwarm::Dial { opts }) if self.is_client_bootstrapping() => {
                    self.kad.on_swarm_event(FromSwarm::DialFailure(DialFailure {
                        peer_id: opts.get_peer_id(),
                        error: &DialError::Aborted,
                        connection_id: opts.connection_id(),
                    }));
                }
                _ => break event,
            }
        };
        match &event {
            Poll::Ready(ToSwarm::Dial { opts })
                if opts.get_peer_id().is_none_or(|peer| !self.named.contains(&peer)) =>
            {
                let is_turn = self.turns.values().any(|turn| Some(turn.oldest) == opts.get_peer_id());
                let lookup = if is_turn { Lookup::Turn } else { Lookup::Begun };
                self.lookups.insert(opts.connection_id(), lookup);
            }
            // One that waited for a place has it: whether there is still room for its group shows now.
            Poll::Ready(ToSwarm::GenerateEvent(kad::Event::RoutingUpdated {
                peer,
                old_peer,
                is_new_peer: true,
                ..
            })) if old_peer.is_some() || self.turns.values().any(|turn| turn.newcomer == *peer) => {
                let peer = *peer;
                if !self.may_stay(&peer) {
                    self.kad.remove_peer(&peer);
                }
            }
            _ => {}
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::ConnectedPoint;
    use libp2p::kad::store::MemoryStore;
    use libp2p::swarm::behaviour::ConnectionEstablished;

    use super::*;

    fn kademlia() -> Kademlia<MemoryStore> {
        let local = PeerId::random();
        Kademlia::new(
            local,
            MemoryStore::new(local),
            kad::Config::new(libp2p::StreamProtocol::new("/test")),
            HashSet::new(),
        )
    }

    #[test]
    fn an_address_that_leads_elsewhere_than_it_seems_to_is_neither_dialed_nor_kept() {
        let (mut kademlia, peer, id) = (kademlia(), PeerId::random(), ConnectionId::new_unchecked(1));
        let [forged, plain]: [Multiaddr; 2] =
            ["/ip4/9.9.9.9/ip4/10.1.2.3/tcp/80", "/ip4/10.1.2.3/tcp/80"].map(|text| text.parse().unwrap());
        kademlia.add_address(&peer, forged.clone());
        kademlia.add_address(&peer, plain.clone());
        let found = kademlia.handle_pending_outbound_connection(id, Some(peer), &[], Endpoint::Dialer).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("/ip4/10.1.2.3/tcp/80"));
        let mut connect = |address: &Multiaddr| {
            kademlia.handle_established_outbound_connection(id, peer, address, Endpoint::Dialer, PortUse::Reuse).is_ok()
        };
        assert!(connect(&plain) && !connect(&forged));
    }

    /// Connects a peer, and puts it into the routing table if it may be there.
    fn meet(kademlia: &mut Kademlia<MemoryStore>, peer: PeerId, from: &str) -> bool {
        meet_at(kademlia, peer, from, Duration::ZERO)
    }

    fn meet_at(kademlia: &mut Kademlia<MemoryStore>, peer: PeerId, from: &str, now: Duration) -> bool {
        let address: Multiaddr = from.parse().unwrap();
        let endpoint = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address.clone() };
        kademlia.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(0),
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        let enters = kademlia.may_enter(&peer, now);
        if enters {
            kademlia.add_address(&peer, address);
        }
        enters
    }

    fn in_table(kademlia: &mut Kademlia<MemoryStore>) -> Vec<usize> {
        kademlia.kbuckets().map(|bucket| bucket.num_entries()).filter(|entries| *entries > 0).collect()
    }

    #[test]
    fn of_one_place_few_are_in_the_routing_table_and_fewer_in_a_bucket() {
        let mut kademlia = kademlia();
        for number in 0..200 {
            meet(&mut kademlia, PeerId::random(), &format!("/ip4/10.66.{number}.1/tcp/1"));
        }
        let named = PeerId::random();
        assert!(!meet(&mut kademlia, named, "/ip4/10.66.9.1/tcp/1"));
        let entries = in_table(&mut kademlia);
        assert_eq!(entries.iter().sum::<usize>(), MAX_OF_GROUP_IN_TABLE);
        assert!(entries.iter().all(|entries| *entries <= MAX_OF_GROUP_IN_BUCKET));
        let elsewhere =
            (0..10).filter(|number| meet(&mut kademlia, PeerId::random(), &format!("/ip4/10.{number}.0.1/tcp/1")));
        assert_eq!(elsewhere.count(), 10);
        assert!(meet(&mut kademlia, PeerId::random(), "/dns4/relay.example.org/tcp/443"));
        kademlia.named.insert(named);
        assert!(meet(&mut kademlia, named, "/ip4/10.66.9.1/tcp/1"), "whom its owner named is let in");
        let relayed = "/ip4/10.20.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        assert!(!meet(&mut kademlia, PeerId::random(), relayed), "who is reached through others is nowhere");
    }

    #[test]
    fn one_that_is_not_reached_any_more_makes_room_for_one_of_its_place() {
        let mut kademlia = kademlia();
        let entered: Vec<PeerId> = (0..200)
            .map(|_| PeerId::random())
            .filter(|peer| meet(&mut kademlia, *peer, "/ip4/10.66.0.1/tcp/1"))
            .collect();
        let gone = entered[0];
        let newcomers = |kademlia: &mut Kademlia<MemoryStore>| {
            (0..200).filter(|_| meet(kademlia, PeerId::random(), "/ip4/10.66.0.2/tcp/1")).count()
        };
        let fails = |kademlia: &mut Kademlia<MemoryStore>, error: &DialError| {
            let connection_id = ConnectionId::new_unchecked(9);
            kademlia.on_swarm_event(FromSwarm::DialFailure(DialFailure { peer_id: Some(gone), error, connection_id }));
        };
        let silent = DialError::Transport(Vec::new());
        fails(&mut kademlia, &silent);
        assert_eq!(newcomers(&mut kademlia), 0, "a dial besides a connection that lasts says nothing");
        leave(&mut kademlia, gone);
        assert_eq!(newcomers(&mut kademlia), 0, "who is not connected may be there");
        fails(&mut kademlia, &DialError::Aborted);
        assert_eq!(newcomers(&mut kademlia), 0, "it was not dialed");
        fails(&mut kademlia, &silent);
        meet(&mut kademlia, gone, "/ip4/10.66.0.1/tcp/1");
        assert_eq!(newcomers(&mut kademlia), 0, "it came back");
        leave(&mut kademlia, gone);
        fails(&mut kademlia, &silent);
        assert_eq!(newcomers(&mut kademlia), 1, "one makes room for one");
        assert_eq!(in_table(&mut kademlia).iter().sum::<usize>(), MAX_OF_GROUP_IN_TABLE);
    }

    fn leave(kademlia: &mut Kademlia<MemoryStore>, peer: PeerId) {
        let address: Multiaddr = "/ip4/10.66.0.1/tcp/1".parse().unwrap();
        let endpoint = ConnectedPoint::Listener { local_addr: address.clone(), send_back_addr: address };
        kademlia.on_swarm_event(FromSwarm::ConnectionClosed(libp2p::swarm::behaviour::ConnectionClosed {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(0),
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
    }

    /// A peer at a distance with that logarithm.
    fn one_of_bucket(local: PeerId, logarithm: u32) -> PeerId {
        let distance = |peer| KBucketKey::from(local).distance(&KBucketKey::from(peer));
        std::iter::repeat_with(PeerId::random).find(|peer| distance(*peer).ilog2() == Some(logarithm)).unwrap()
    }

    /// Peers whom it dials now, other than to look for something.
    fn dials(kademlia: &mut Kademlia<MemoryStore>) -> Vec<(PeerId, ConnectionId)> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut dials = Vec::new();
        loop {
            let queries: Vec<_> = kademlia.iter_queries().map(|query| query.id()).collect();
            queries.iter().for_each(|query| kademlia.query_mut(query).unwrap().finish());
            match kademlia.poll(&mut context) {
                Poll::Ready(ToSwarm::Dial { opts }) => {
                    dials.push((opts.get_peer_id().unwrap(), opts.connection_id()));
                }
                Poll::Ready(_) => {}
                Poll::Pending => return dials,
            }
        }
    }

    fn fail(kademlia: &mut Kademlia<MemoryStore>, peer: PeerId) {
        let (error, connection_id) = (DialError::Transport(Vec::new()), ConnectionId::new_unchecked(9));
        let failure = DialFailure { peer_id: Some(peer), error: &error, connection_id };
        kademlia.on_swarm_event(FromSwarm::DialFailure(failure));
    }

    const START: Duration = Duration::from_secs(1_000_000);

    fn place(number: usize) -> String {
        format!("/ip4/10.{number}.0.1/tcp/1")
    }

    /// Fills the farthest bucket from places of their own.
    fn fill(kademlia: &mut Kademlia<MemoryStore>) -> Vec<PeerId> {
        let members: Vec<_> = (0..kad::K_VALUE.get()).map(|_| one_of_bucket(kademlia.local, 255)).collect();
        for (number, member) in members.iter().enumerate() {
            assert!(meet_at(kademlia, *member, &place(number), START));
        }
        members
    }

    #[test]
    fn of_a_full_bucket_one_is_dialed_for_newcomers_at_times_and_none_for_each_of_them() {
        let mut kademlia = kademlia();
        let local = kademlia.local;
        let new = || one_of_bucket(local, 255);
        let members = fill(&mut kademlia);
        assert!(!meet_at(&mut kademlia, new(), &place(100), START), "all are connected");
        leave(&mut kademlia, members[3]);
        leave(&mut kademlia, members[4]);
        _ = dials(&mut kademlia);
        let waits = new();
        assert!(meet_at(&mut kademlia, waits, &place(101), START), "it waits for who left first");
        let dialed = dials(&mut kademlia);
        assert_eq!(dialed.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [members[3]]);
        assert!(!meet_at(&mut kademlia, new(), &place(102), START), "somebody waits");
        assert!(meet_at(&mut kademlia, waits, &place(101), START), "who waits may say more");
        assert!(meet_at(&mut kademlia, members[4], &place(4), START), "who is there may stay");
        leave(&mut kademlia, members[4]);
        // Who leaves does not wait.
        leave(&mut kademlia, waits);
        for number in 103..110 {
            let later = START + TURN_INTERVAL - Duration::from_millis(1);
            assert!(!meet_at(&mut kademlia, new(), &place(number), later), "one was dialed of late");
        }
        assert_eq!(dials(&mut kademlia), []);
        assert!(meet_at(&mut kademlia, one_of_bucket(local, 254), &place(112), START), "another bucket has room");
        assert!(meet_at(&mut kademlia, new(), &place(111), START + TURN_INTERVAL));
        assert_eq!(dials(&mut kademlia).len(), 1);
    }

    #[test]
    fn the_oldest_of_a_full_bucket_is_dialed_whomever_lookups_are_connected_to() {
        let mut kademlia = kademlia();
        let members = fill(&mut kademlia);
        let role = Endpoint::Dialer;
        let near = |number: usize| -> Multiaddr { format!("/ip4/10.7.0.{number}/tcp/1").parse().unwrap() };
        for number in 0..MAX_OF_GROUP_BY_LOOKUPS {
            let (id, address) = (ConnectionId::new_unchecked(1000 + number), near(number));
            kademlia.lookups.insert(id, Lookup::Begun);
            let peer = PeerId::random();
            kademlia.handle_established_outbound_connection(id, peer, &address, role, PortUse::New).unwrap();
        }
        leave(&mut kademlia, members[7]);
        _ = dials(&mut kademlia);
        let newcomer = one_of_bucket(kademlia.local, 255);
        assert!(meet_at(&mut kademlia, newcomer, &place(100), START));
        let [(oldest, id)] = dials(&mut kademlia)[..] else { panic!("one is dialed") };
        assert_eq!(oldest, members[7]);
        let found = kademlia.handle_pending_outbound_connection(id, Some(oldest), &[], role).unwrap();
        assert_eq!(found.len(), 1);
        kademlia.handle_established_outbound_connection(id, oldest, &found[0], role, PortUse::New).unwrap();
        // As one of those that lookups made it is not kept for ever.
        assert!(matches!(kademlia.lookups.get(&id), Some(Lookup::Connected { .. })));
    }

    #[test]
    fn who_finds_no_room_in_its_bucket_takes_nobodys_place_in_another() {
        let mut kademlia = kademlia();
        let local = kademlia.local;
        let here = "/ip4/10.66.0.1/tcp/1";
        for bucket in [254, 254, 253] {
            let gone = one_of_bucket(local, bucket);
            assert!(meet(&mut kademlia, gone, here));
            leave(&mut kademlia, gone);
            fail(&mut kademlia, gone);
        }
        let members = fill(&mut kademlia);
        let count = |kademlia: &mut Kademlia<MemoryStore>| in_table(kademlia).iter().sum::<usize>();
        assert!(!meet_at(&mut kademlia, one_of_bucket(local, 255), here, START));
        leave(&mut kademlia, members[0]);
        assert!(meet_at(&mut kademlia, one_of_bucket(local, 255), here, START), "it waits");
        assert_eq!(count(&mut kademlia), kad::K_VALUE.get() + 3);
        assert!(meet_at(&mut kademlia, one_of_bucket(local, 254), here, START), "a place in its own bucket it takes");
        assert_eq!(count(&mut kademlia), kad::K_VALUE.get() + 3);
    }

    #[test]
    fn of_its_group_one_makes_room_first_that_is_in_its_bucket() {
        let mut kademlia = kademlia();
        let local = kademlia.local;
        let here = "/ip4/10.66.0.1/tcp/1";
        let gone = [253, 255, 254].map(|bucket| one_of_bucket(local, bucket));
        for peer in gone {
            assert!(meet(&mut kademlia, peer, here));
            leave(&mut kademlia, peer);
            fail(&mut kademlia, peer);
        }
        for number in 1..kad::K_VALUE.get() {
            assert!(meet(&mut kademlia, one_of_bucket(local, 255), &place(number)));
        }
        _ = dials(&mut kademlia);
        assert!(meet(&mut kademlia, one_of_bucket(local, 255), here));
        assert_eq!(dials(&mut kademlia), [], "it waits for nobody");
        let sizes = in_table(&mut kademlia);
        assert_eq!(sizes, [1, 1, kad::K_VALUE.get()]);
    }

    #[test]
    fn a_client_gets_to_know_the_peers_around_it_without_dialing_them_and_looks_for_others() {
        let dials_of = |mode: kad::Mode, is_lookup: bool| {
            let mut kademlia = kademlia();
            kademlia.set_mode(Some(mode));
            for number in 0..5 {
                kademlia.add_address(&PeerId::random(), format!("/ip4/10.{number}.0.1/tcp/1").parse().unwrap());
            }
            kademlia.bootstrap().unwrap();
            if is_lookup {
                kademlia.get_closest_peers(PeerId::random());
            }
            let mut context = Context::from_waker(std::task::Waker::noop());
            let events = std::iter::from_fn(|| match kademlia.poll(&mut context) {
                Poll::Ready(event) => Some(event),
                Poll::Pending => None,
            });
            events.take(100).filter(|event| matches!(event, ToSwarm::Dial { .. })).count()
        };
        assert_eq!(dials_of(kad::Mode::Client, false), 0);
        assert!(dials_of(kad::Mode::Client, true) > 0);
        assert!(dials_of(kad::Mode::Server, false) > 0);
    }

    #[test]
    fn lookups_dial_few_of_one_place_and_others_do_not_count() {
        let mut kademlia = kademlia();
        let dial = |kademlia: &mut Kademlia<MemoryStore>, number: usize, from: &str, by_lookup: bool| {
            let (id, peer) = (ConnectionId::new_unchecked(number), PeerId::random());
            if by_lookup {
                kademlia.lookups.insert(id, Lookup::Begun);
            }
            let address: Multiaddr = from.parse().unwrap();
            kademlia.add_address(&peer, address.clone());
            let begun = kademlia.handle_pending_outbound_connection(id, Some(peer), &[], Endpoint::Dialer);
            begun.is_ok()
                && kademlia
                    .handle_established_outbound_connection(id, peer, &address, Endpoint::Dialer, PortUse::New)
                    .is_ok()
        };
        let by_lookups =
            (0..50).filter(|number| dial(&mut kademlia, *number, &format!("/ip4/10.66.{number}.1/tcp/1"), true));
        assert_eq!(by_lookups.count(), MAX_OF_GROUP_BY_LOOKUPS);
        assert!(dial(&mut kademlia, 100, "/ip4/10.66.9.1/tcp/1", false), "its owner may dial whom it likes");
        assert!(dial(&mut kademlia, 101, "/ip4/10.67.0.1/tcp/1", true));
        let failed =
            DialFailure { peer_id: None, error: &DialError::Aborted, connection_id: ConnectionId::new_unchecked(0) };
        kademlia.on_swarm_event(FromSwarm::DialFailure(failed));
        assert!(dial(&mut kademlia, 102, "/ip4/10.66.9.2/tcp/1", true), "what has failed makes room");
        assert!(!dial(&mut kademlia, 103, "/ip4/10.66.9.3/tcp/1", true));
    }

    #[test]
    fn of_the_connections_that_lookups_made_those_are_kept_that_are_of_use_and_the_oldest() {
        let mut kademlia = kademlia();
        let peers: Vec<PeerId> = (0..MAX_KEPT_OF_LOOKUPS + 10).map(|_| PeerId::random()).collect();
        let id = ConnectionId::new_unchecked;
        let connect = |kademlia: &mut Kademlia<MemoryStore>, number: usize| {
            let address: Multiaddr = format!("/ip4/10.{number}.0.1/tcp/1").parse().unwrap();
            kademlia.lookups.insert(id(number), Lookup::Begun);
            let (peer, role) = (peers[number], Endpoint::Dialer);
            kademlia.handle_established_outbound_connection(id(number), peer, &address, role, PortUse::New).unwrap();
        };
        // Not in the order of their numbers: a map has none.
        (0..MAX_KEPT_OF_LOOKUPS + 5).rev().for_each(|number| connect(&mut kademlia, number));
        let [last, useful, in_table] = [0, 1, 2].map(|past| MAX_KEPT_OF_LOOKUPS + past);
        assert!(meet(&mut kademlia, peers[in_table], "/ip4/10.77.0.1/tcp/1"));
        let surplus = |kademlia: &mut Kademlia<MemoryStore>| kademlia.surplus(|peer| *peer == peers[useful]);
        assert!(surplus(&mut kademlia).is_empty(), "lookups may still go on that made them");
        (MAX_KEPT_OF_LOOKUPS + 5..peers.len()).for_each(|number| connect(&mut kademlia, number));
        let lookup = kademlia.get_closest_peers(PeerId::random());
        assert!(surplus(&mut kademlia).is_empty(), "something is looked for");
        kademlia.query_mut(&lookup).unwrap().finish();
        while kademlia.poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready() {}
        // The one of the table takes a place of those that are not, so the last of them goes.
        let all = [last - 1, last].into_iter().chain(last + 3..last + 10).map(id).collect::<Vec<_>>();
        assert_eq!(surplus(&mut kademlia), all);
    }
}
