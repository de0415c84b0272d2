//! Whether who sends from an address also receives there. Anybody can write any address on a datagram, so whoever asks from one that
//! is not known is asked first, in no more bytes than have come, and gets an answer once theirs has come.
//!
//! What is asked has a transaction that only this end can make, of the address and the name, and the answer is signed by the password
//! in that name. So it comes from who receives there and wants this connection: not from a stranger who was made to answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ring::hmac;
use webrtc_direct::ufrag::UserName;

use crate::limits::{HANDSHAKE_TIMEOUT, MAX_ASKED};
use crate::stun::{Message, Request, Transaction};

#[cfg(test)]
#[path = "return_path_tests.rs"]
mod tests;

/// Those of one socket that were asked.
pub(crate) struct ReturnPath {
    key: hmac::Key,
    tie_breaker: u64,
    /// Each has the place that its transaction says, so a flood of forged addresses pushes out any of them, and not those who are slow.
    asked: Box<[Option<Asked>]>,
}

/// Who was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    question: Transaction,
    since: Instant,
    /// A valid user name.
    pub(crate) name: Arc<str>,
    /// What the peer has asked, which waits for its answer.
    pub(crate) transaction: Transaction,
    pub(crate) nominates: bool,
}

impl Asked {
    /// By which the answer is signed that the peer waits for.
    pub(crate) fn server_password(&self) -> &str {
        self.name.split_once(':').map_or("", |(server, _)| server)
    }
}

impl ReturnPath {
    pub(crate) fn new(secret: [u8; 32], tie_breaker: u64) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        Self { key, tie_breaker, asked: vec![None; MAX_ASKED].into() }
    }

    /// What to send to who has sent a valid request from an address that is not known.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        from: SocketAddr,
        name: &UserName<'_>,
        request: &Message<'_>,
    ) -> Vec<u8> {
        let text: Arc<str> = name.to_string().into();
        let question = self.question(from, &text);
        let Message { transaction, nominates, .. } = *request;
        *self.place(question) = Some(Asked { question, since: now, name: text, transaction, nominates });
        let user_name = format!("{}:{}", name.client(), name.server());
        let password = name.client_password();
        let (controls, tie_breaker) = (false, self.tie_breaker);
        Request { transaction: question, user_name: &user_name, password, controls, tie_breaker }.encode()
    }

    /// Whom an answer proves to receive where it comes from.
    pub(crate) fn answered(&mut self, now: Instant, from: SocketAddr, answer: &Message<'_>) -> Option<Asked> {
        let asked = self.place(answer.transaction).clone().filter(|asked| asked.question == answer.transaction)?;
        let is_there = asked.question == self.question(from, &asked.name) && now < asked.since + HANDSHAKE_TIMEOUT;
        let is_signed = |name: UserName<'_>| answer.is_signed_by(name.client_password());
        if !is_there || !UserName::parse(asked.name.as_bytes()).is_ok_and(is_signed) {
            return None;
        }
        self.place(asked.question).take()
    }

    fn question(&self, from: SocketAddr, name: &str) -> Transaction {
        let mut context = hmac::Context::with_key(&self.key);
        match from.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&from.port().to_be_bytes());
        context.update(name.as_bytes());
        *context.sign().as_ref().first_chunk().expect("SHA-256 has more bytes than a transaction")
    }

    fn place(&mut self, question: Transaction) -> &mut Option<Asked> {
        let [first, second, ..] = question;
        let places = self.asked.len();
        &mut self.asked[usize::from(u16::from_be_bytes([first, second])) % places]
    }
}
