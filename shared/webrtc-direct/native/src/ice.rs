//! ICE between two peers of which one is where its address says: whose requests are answered, when the peer is asked, and when it
//! is gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use webrtc_direct::ufrag::UserName;

use crate::limits::{ASK_AFTER, ASK_EVERY, FIRST_ASK_EVERY, LOST_AFTER};
use crate::session::Role;
use crate::stun::{self, Class, Message, Request, Transaction};

#[cfg(test)]
#[path = "ice_tests.rs"]
mod tests;

/// One connection's.
pub(crate) struct Ice {
    role: Role,
    own: Credentials,
    peer: Credentials,
    remote: SocketAddr,
    tie_breaker: u64,
    /// When the peer was heard for certain.
    heard: Instant,
    /// Whether the peer has ever answered. Who listens has heard the peer before.
    answered: bool,
    asked: Option<Transaction>,
    ask_at: Instant,
    /// Where the peer says that it is now, and what it is asked there. Anybody can write an address on a datagram: it is believed once the answer has
    /// come from there, or a stranger would get what the peer has asked for.
    moving: Option<(SocketAddr, Transaction)>,
}

struct Credentials {
    fragment: String,
    password: String,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Send this.
    Ask(Vec<u8>),
    /// The peer has been silent for too long.
    Lost,
}

impl Ice {
    pub(crate) fn new(role: Role, name: &UserName<'_>, remote: SocketAddr, tie_breaker: u64, now: Instant) -> Self {
        let of = |fragment: &str, password: &str| Credentials { fragment: fragment.into(), password: password.into() };
        let server = of(name.server(), name.server_password());
        let client = of(name.client(), name.client_password());
        let (own, peer) = if role == Role::Server { (server, client) } else { (client, server) };
        let answered = role == Role::Server;
        Self { role, own, peer, remote, tie_breaker, heard: now, answered, asked: None, ask_at: now, moving: None }
    }

    /// Where the peer is.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Whether the peer is there, as far as is known.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered
    }

    /// Something came that was the peer's for certain.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A request of the peer's was verified. One that nominates says where the peer wants to be sent to: what to ask there first, if it is elsewhere.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        from: SocketAddr,
        nominates: bool,
        random: impl FnOnce() -> Transaction,
    ) -> Option<Vec<u8>> {
        if from == self.remote {
            self.heard = now;
            return None;
        }
        if !nominates || self.role == Role::Client {
            return None;
        }
        let transaction = random();
        self.moving = Some((from, transaction));
        Some(self.request(transaction))
    }

    /// Takes a message of STUN, and returns the answer if it wants one.
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = Message::parse(bytes).ok()?;
        match message.class {
            Class::Request => {
                let (to, by) = std::str::from_utf8(message.user_name?).ok()?.split_once(':')?;
                let known = to == self.own.fragment && by == self.peer.fragment;
                (known && message.is_signed_by(&self.own.password)).then(|| {
                    if from == self.remote {
                        self.heard = now;
                    }
                    stun::success(&message.transaction, from, &self.own.password)
                })
            }
            Class::Success => {
                let is_there = from == self.remote && self.asked == Some(message.transaction);
                let has_moved = self.moving == Some((from, message.transaction));
                if (is_there || has_moved) && message.is_signed_by(&self.peer.password) {
                    self.heard = now;
                    self.answered = true;
                    self.remote = from;
                    (self.asked, self.moving) = (None, self.moving.filter(|_| !has_moved));
                }
                None
            }
            Class::Indication | Class::Failure => None,
        }
    }

    /// Does what is due at [`Ice::deadline`]; `random` makes a transaction, where one begins.
    pub(crate) fn advance(&mut self, now: Instant, random: impl FnOnce() -> Transaction) -> Due {
        if now >= self.heard + LOST_AFTER {
            return Due::Lost;
        }
        if now < self.next_ask() {
            return Due::Nothing;
        }
        let transaction = random();
        self.asked = Some(transaction);
        self.ask_at = now + if self.answered { ASK_EVERY } else { FIRST_ASK_EVERY };
        Due::Ask(self.request(transaction))
    }

    fn request(&self, transaction: Transaction) -> Vec<u8> {
        let user_name = format!("{}:{}", self.peer.fragment, self.own.fragment);
        let controls = self.role == Role::Client;
        let password = &self.peer.password;
        Request { transaction, user_name: &user_name, password, controls, tie_breaker: self.tie_breaker }.encode()
    }

    /// When [`Ice::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Instant {
        self.next_ask().min(self.heard + LOST_AFTER)
    }

    fn next_ask(&self) -> Instant {
        let silent_until = self.heard + if self.answered { ASK_AFTER } else { Duration::ZERO };
        silent_until.max(self.ask_at)
    }
}
