//! One data channel.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use ggen_net::light::Platform;
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};
use webrtc_direct::Channel;

use super::peer::Slot;
use crate::inbound::Inbound;
use crate::platform::Browser;

/// Bytes of one channel that may wait unread. A page can't hold back who sends, so protocols do: what comes past this ends the channel.
const MAX_UNREAD_BYTES: usize = 1024 * 1024;
/// The same for all channels of a connection together.
const MAX_UNREAD_BYTES_OF_ALL: usize = 16 * MAX_UNREAD_BYTES;
/// A writer waits from this `bufferedAmount` on, in bytes; the browser's own limit is far higher.
const HIGH_WATER_BYTES: u32 = 256 * 1024;
/// A writer that waits goes on at this `bufferedAmount`, of which the browser tells by an event.
const LOW_WATER_BYTES: u32 = 64 * 1024;

/// A data channel with its handlers attached. Dropping it detaches them.
pub(super) struct DataChannel {
    core: Rc<Core>,
    /// How long after its stream the channel is closed, and what is counted until then. `None` for one that stays open.
    end: Option<(Duration, Slot)>,
    // Only kept alive: the browser calls into them for as long as they are attached.
    _handlers: Handlers,
}

/// What waits unread in all channels of a connection, in bytes.
pub(super) type Unread = Rc<Cell<usize>>;

struct Core {
    channel: RtcDataChannel,
    unread: Unread,
    /// Never borrowed while a waker or the browser is called.
    state: RefCell<State>,
}

struct State {
    phase: Phase,
    inbound: Inbound,
    waker: Option<Waker>,
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
    #[error("the peer sent more unread bytes than {MAX_UNREAD_BYTES} on a stream, or {MAX_UNREAD_BYTES_OF_ALL} in all")]
    Overrun,
}

/// `Fn`, not `FnMut`: a handler that were to run inside another would otherwise throw into the page.
struct Handlers {
    event: Closure<dyn Fn()>,
    message: Closure<dyn Fn(MessageEvent)>,
}

/// Ends a channel from outside, if it still exists: a connection that is closed tells its channels nothing.
pub(super) struct Ender(Weak<Core>);

impl DataChannel {
    /// Takes over a channel; must be called before the browser can deliver a message to it. It is closed so long after its
    /// stream, and counted by the slot until then.
    pub(super) fn new(channel: RtcDataChannel, unread: Unread, linger: Duration, slot: Slot) -> Self {
        Self::attach(channel, unread, Some((linger, slot)))
    }

    /// The same, but the channel stays open in the browser: the handshake's, which both sides have without negotiation.
    pub(super) fn handshake(channel: RtcDataChannel, unread: Unread) -> Self {
        Self::attach(channel, unread, None)
    }

    fn attach(channel: RtcDataChannel, unread: Unread, end: Option<(Duration, Slot)>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW_WATER_BYTES);
        let state = State { phase: Phase::Connecting, inbound: Inbound::new(MAX_UNREAD_BYTES), waker: None };
        let core = Rc::new(Core { channel, unread, state: RefCell::new(state) });
        let handlers = Handlers::attach(&core);
        // A channel that the peer opened may be open already, without an event.
        core.on_event();
        Self { core, end, _handlers: handlers }
    }

    pub(super) fn ender(&self) -> Ender {
        Ender(Rc::downgrade(&self.core))
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

impl Drop for DataChannel {
    fn drop(&mut self) {
        // A handler that is called after its closure was freed throws into the page, so they are detached first.
        let channel = &self.core.channel;
        channel.set_onopen(None);
        channel.set_onmessage(None);
        channel.set_onerror(None);
        channel.set_onclose(None);
        channel.set_onbufferedamountlow(None);
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
        let fits = state.inbound.check(len).is_ok() && len <= MAX_UNREAD_BYTES_OF_ALL.saturating_sub(self.unread.get());
        let taken = self.counted(&mut state.inbound, |inbound| {
            let taken = fits && inbound.push(data.to_vec()).is_ok();
            if !taken {
                inbound.clear();
            }
            taken
        });
        drop(state);
        if taken { self.wake() } else { self.end(End::Overrun) }
    }

    /// Changes what waits, and counts it.
    fn counted<T>(&self, inbound: &mut Inbound, change: impl FnOnce(&mut Inbound) -> T) -> T {
        let others = self.unread.get() - inbound.held();
        let changed = change(inbound);
        self.unread.set(others + inbound.held());
        changed
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
        let waker = self.state.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.unread.set(self.unread.get() - self.state.get_mut().inbound.held());
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

impl Channel for DataChannel {
    /// What arrived before the end is handed out before the end is told.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>> {
        let mut state = self.core.state.borrow_mut();
        if let Some(message) = self.core.counted(&mut state.inbound, Inbound::pop) {
            return Poll::Ready(Some(Ok(message)));
        }
        match state.phase {
            Phase::Connecting | Phase::Open => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Phase::Ended(End::Closed) => Poll::Ready(None),
            Phase::Ended(end) => Poll::Ready(Some(Err(end.into()))),
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.core.state.borrow_mut();
        match state.phase {
            Phase::Ended(end) => Poll::Ready(Err(end.into())),
            Phase::Open if self.core.channel.buffered_amount() < HIGH_WATER_BYTES => Poll::Ready(Ok(())),
            Phase::Connecting | Phase::Open => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.core.channel.send_with_u8_array(message).map_err(|_| End::Closed.into())
    }

    /// The browser sends what it still has first.
    fn close(&mut self) {
        let Some((linger, slot)) = self.end.take() else { return };
        let channel = self.core.channel.clone();
        let close = move || {
            channel.close();
            drop(slot);
        };
        if linger.is_zero() {
            return close();
        }
        Browser.spawn(async move {
            Browser.sleep(linger).await;
            close();
        });
    }
}
