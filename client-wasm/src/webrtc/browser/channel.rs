//! One data channel as a stream of bytes. Libp2p's framing goes on top.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use ggen_net::light::Platform;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::super::MAX_UNREAD_BYTES;
use crate::inbound::Inbound;
use crate::platform::Browser;

/// The largest message of the specification, in bytes.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;
/// A writer waits from this `bufferedAmount` on, in bytes; the browser's own limit is far higher.
const HIGH_WATER_BYTES: u32 = 256 * 1024;
/// A writer that waits goes on at this `bufferedAmount`, of which the browser tells by an event.
const LOW_WATER_BYTES: u32 = 64 * 1024;

/// How long the browser keeps a channel after its stream. The number of a closed channel is used again, and a relay's SCTP
/// may send what it still has for the old stream after the reset: it would arrive in the new one. By then it was sent.
const LINGER: Duration = Duration::from_secs(3);

/// A data channel with its handlers attached. Clones share it; with the last one it is detached and closed.
#[derive(Clone)]
pub(super) struct Channel(Rc<Attached>);

struct Attached {
    core: Rc<Core>,
    closes: bool,
    // Only kept alive: the browser calls into them for as long as they are attached.
    _handlers: Handlers,
}

struct Core {
    channel: RtcDataChannel,
    /// Never borrowed while a waker or the browser is called.
    state: RefCell<State>,
}

struct State {
    phase: Phase,
    inbound: Inbound,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy)]
enum Phase {
    Connecting,
    Open,
    Ended(End),
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
enum End {
    #[error("the data channel is closed")]
    Closed,
    #[error("the peer sent something other than a binary message")]
    NotBinary,
    #[error("the peer sent more than {MAX_UNREAD_BYTES} unread bytes")]
    Overrun,
}

/// `Fn`, not `FnMut`: a handler that were to run inside another would otherwise throw into the page.
struct Handlers {
    event: Closure<dyn Fn()>,
    message: Closure<dyn Fn(MessageEvent)>,
}

/// Ends a channel from outside, if it still exists: a connection that is closed tells its channels nothing.
pub(super) struct Ender(Weak<Core>);

impl Channel {
    /// Takes over a channel; must be called before the browser can deliver a message to it.
    pub(super) fn new(channel: RtcDataChannel) -> Self {
        Self::attach(channel, true)
    }

    /// The same, but the channel stays open in the browser: the handshake's, which both sides have without negotiation.
    pub(super) fn handshake(channel: RtcDataChannel) -> Self {
        Self::attach(channel, false)
    }

    fn attach(channel: RtcDataChannel, closes: bool) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW_WATER_BYTES);
        let inbound = Inbound::new(MAX_UNREAD_BYTES);
        let state = State { phase: Phase::Connecting, inbound, reader: None, writer: None };
        let core = Rc::new(Core { channel, state: RefCell::new(state) });
        let handlers = Handlers::attach(&core);
        // A channel that the peer opened may be open already, without an event.
        core.on_event();
        Self(Rc::new(Attached { core, closes, _handlers: handlers }))
    }

    pub(super) fn ender(&self) -> Ender {
        Ender(Rc::downgrade(&self.0.core))
    }
}

impl Ender {
    pub(super) fn end(&self) {
        if let Some(core) = self.0.upgrade() {
            core.end(End::Closed);
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // A handler that is called after its closure was freed throws into the page, so they are detached first.
        let channel = &self.core.channel;
        channel.set_onopen(None);
        channel.set_onmessage(None);
        channel.set_onerror(None);
        channel.set_onclose(None);
        channel.set_onbufferedamountlow(None);
        if self.closes {
            let channel = channel.clone();
            Browser.spawn(async move {
                Browser.sleep(LINGER).await;
                channel.close();
            });
        }
    }
}

impl Handlers {
    fn attach(core: &Rc<Core>) -> Self {
        let handlers = Self {
            event: Closure::new({
                let core = Rc::clone(core);
                move || core.on_event()
            }),
            message: Closure::new({
                let core = Rc::clone(core);
                move |event: MessageEvent| core.on_message(&event)
            }),
        };
        let channel = &core.channel;
        let event = Some(handlers.event.as_ref().unchecked_ref());
        channel.set_onopen(event);
        channel.set_onerror(event);
        channel.set_onclose(event);
        channel.set_onbufferedamountlow(event);
        channel.set_onmessage(Some(handlers.message.as_ref().unchecked_ref()));
        handlers
    }
}

impl Core {
    /// Something happened other than a message: the channel itself says what it is now.
    fn on_event(&self) {
        let now = self.channel.ready_state();
        let mut state = self.state.borrow_mut();
        state.phase = match (state.phase, now) {
            (Phase::Ended(end), _) => Phase::Ended(end),
            (phase, RtcDataChannelState::Connecting) => phase,
            (_, RtcDataChannelState::Open) => Phase::Open,
            (_, _) => Phase::Ended(End::Closed),
        };
        drop(state);
        self.wake();
    }

    fn on_message(&self, event: &MessageEvent) {
        match event.data().dyn_into::<ArrayBuffer>() {
            Ok(data) => self.take(&Uint8Array::new(&data)),
            Err(_) => self.end(End::NotBinary),
        }
    }

    fn take(&self, data: &Uint8Array) {
        let mut state = self.state.borrow_mut();
        if matches!(state.phase, Phase::Ended(_)) {
            return;
        }
        // Asked first, so that what is refused is never copied.
        let len = usize::try_from(data.length()).unwrap_or(usize::MAX);
        let taken = state.inbound.check(len).and_then(|()| state.inbound.push(data.to_vec()));
        if taken.is_err() {
            state.inbound.clear();
        }
        drop(state);
        match taken {
            Ok(()) => self.wake(),
            Err(_) => self.end(End::Overrun),
        }
    }

    fn end(&self, end: End) {
        let mut state = self.state.borrow_mut();
        if !matches!(state.phase, Phase::Ended(_)) {
            state.phase = Phase::Ended(end);
        }
        drop(state);
        self.wake();
    }

    fn wake(&self) {
        let mut state = self.state.borrow_mut();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        let kind = match end {
            End::Closed => io::ErrorKind::ConnectionReset,
            End::NotBinary | End::Overrun => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, end)
    }
}

impl AsyncRead for Channel {
    /// What arrived before the end is handed out before the end is told. The end is an error: a peer that has sent all says
    /// so in a message.
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.core.state.borrow_mut();
        let n = state.inbound.read(buffer);
        if n > 0 || buffer.is_empty() {
            return Poll::Ready(Ok(n));
        }
        match state.phase {
            Phase::Connecting | Phase::Open => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Phase::Ended(end) => Poll::Ready(Err(end.into())),
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let core = &self.0.core;
        let mut state = core.state.borrow_mut();
        match state.phase {
            Phase::Ended(end) => return Poll::Ready(Err(end.into())),
            Phase::Open if core.channel.buffered_amount() < HIGH_WATER_BYTES => {}
            Phase::Connecting | Phase::Open => {
                state.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
        }
        drop(state);
        let data = &data[..data.len().min(MAX_MESSAGE_BYTES)];
        match core.channel.send_with_u8_array(data) {
            Ok(()) => Poll::Ready(Ok(data.len())),
            Err(_) => Poll::Ready(Err(End::Closed.into())),
        }
    }

    /// Done when the browser has the bytes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing to do: streams end by a message, and the channel with the last of its owners.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
