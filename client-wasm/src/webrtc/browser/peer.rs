//! One `RTCPeerConnection`: its channels and its state.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use ggen_net::light::Platform;
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcIceConnectionState, RtcPeerConnection,
    RtcPeerConnectionState, RtcSdpType, RtcSessionDescriptionInit,
};
use webrtc_direct::ufrag::Version;

use super::{
    Error,
    channel::{DataChannel, Ender, Unread},
};
use crate::platform::Browser;

/// Streams that a peer opened and nobody took yet; more are refused.
const MAX_WAITING_STREAMS: usize = 64;

/// Channels of a connection: of more, the peer's are refused and ours wait. Browsers have numbers for 512 of each side's.
const MAX_CHANNELS: usize = 448;

/// How long a connection may be without an answer from its peer, behind the seconds in which the browser noticed. It may come back: the
/// machine has changed networks, or was asleep.
const DISCONNECTED_FOR: Duration = Duration::from_secs(2);

#[wasm_bindgen]
extern "C" {
    /// The same class; web-sys does not expect these methods to throw, which they do on a closed connection and when all
    /// stream numbers are taken.
    #[wasm_bindgen(extends = RtcPeerConnection)]
    type Opener;

    #[wasm_bindgen(method, catch, js_name = createDataChannel)]
    fn open(this: &Opener, label: &str) -> Result<RtcDataChannel, JsValue>;

    #[wasm_bindgen(method, catch, js_name = createDataChannel)]
    fn open_with(this: &Opener, label: &str, options: &RtcDataChannelInit) -> Result<RtcDataChannel, JsValue>;
}

/// A connection with its handlers attached. Dropping it detaches them, ends its channels and closes it.
pub(super) struct Peer {
    core: Rc<Core>,
    _handlers: Handlers,
}

struct Core {
    connection: RtcPeerConnection,
    version: Version,
    unread: Unread,
    /// Never borrowed while a waker or the browser is called.
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    gone: bool,
    /// How often the peer has fallen silent.
    silences: u32,
    /// Opened by the peer; at most [`MAX_WAITING_STREAMS`].
    waiting: VecDeque<DataChannel>,
    /// Of all channels that may still exist.
    enders: Vec<Ender>,
    /// Channels that are not closed yet, but for the handshake's; at most [`MAX_CHANNELS`].
    channels: usize,
    /// Of the one task that polls the connection.
    waker: Option<Waker>,
}

struct Handlers {
    channel: Closure<dyn Fn(RtcDataChannelEvent)>,
    state: Closure<dyn Fn()>,
}

/// Counts a channel until it is closed.
pub(super) struct Slot(Weak<Core>);

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.state.borrow_mut().channels -= 1;
            core.wake();
        }
    }
}

impl Peer {
    /// A connection that takes the peer's channels from the first one on.
    pub(super) fn new(version: Version) -> Result<Self, Error> {
        let connection = RtcPeerConnection::new().map_err(Error::refused("make a connection"))?;
        let core = Rc::new(Core { connection, version, unread: Unread::default(), state: RefCell::default() });
        let handlers = Handlers::attach(&core);
        Ok(Self { core, _handlers: handlers })
    }

    /// By which version the peer is to be reached.
    pub(super) fn version(&self) -> Version {
        self.core.version
    }

    /// The channel of the Noise handshake: number 0 on both sides. To be opened before [`Self::offer`].
    pub(super) fn handshake(&self) -> Result<DataChannel, Error> {
        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(0);
        let channel = self.opener().open_with("", &options).map_err(Error::refused("open a channel"))?;
        let channel = DataChannel::handshake(channel, self.core.unread.clone());
        self.core.state.borrow_mut().enders.push(channel.ender());
        Ok(channel)
    }

    /// Opens a channel, once there may be one more.
    pub(super) fn poll_open(&self, context: &Context<'_>) -> Poll<Result<DataChannel, Error>> {
        let mut state = self.core.state.borrow_mut();
        if state.gone {
            return Poll::Ready(Err(Error::Gone));
        }
        if state.channels >= MAX_CHANNELS {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        let channel = self.opener().open("").map_err(Error::refused("open a channel"))?;
        Poll::Ready(Ok(self.core.take_over(channel)))
    }

    fn opener(&self) -> &Opener {
        self.core.connection.unchecked_ref()
    }

    /// Has the browser take its own offer, edited where `edit` gives something. Gives the description that holds then.
    pub(super) async fn offer(&self, edit: impl FnOnce(&str) -> Option<String>) -> Result<String, Error> {
        let connection = &self.core.connection;
        let offer = JsFuture::from(connection.create_offer()).await.map_err(Error::refused("make an offer"))?;
        let offer: RtcSessionDescriptionInit = offer.unchecked_into();
        if let Some(edited) = edit(&offer.get_sdp().unwrap_or_default()) {
            offer.set_sdp(&edited);
        }
        let set = connection.set_local_description(&offer);
        JsFuture::from(set).await.map_err(Error::refused("take the offer"))?;
        Ok(connection.local_description().map(|description| description.sdp()).unwrap_or_default())
    }

    /// Has the browser take an answer, and so connect.
    pub(super) async fn answer(&self, answer: &str) -> Result<(), Error> {
        let description = RtcSessionDescriptionInit::new(RtcSdpType::Answer);
        description.set_sdp(answer);
        let set = self.core.connection.set_remote_description(&description);
        JsFuture::from(set).await.map_err(Error::refused("take the answer"))?;
        Ok(())
    }

    /// Ready once the peer has answered: it is there, and speaks this version.
    pub(super) fn poll_reached(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.core.state.borrow_mut();
        if state.gone {
            return Poll::Ready(Err(Error::Gone));
        }
        match self.core.connection.ice_connection_state() {
            RtcIceConnectionState::Connected | RtcIceConnectionState::Completed => Poll::Ready(Ok(())),
            _ => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next channel that the peer opened.
    pub(super) fn poll_channel(&self, context: &Context<'_>) -> Poll<Result<DataChannel, Error>> {
        let mut state = self.core.state.borrow_mut();
        if let Some(channel) = state.waiting.pop_front() {
            return Poll::Ready(Ok(channel));
        }
        if state.gone {
            return Poll::Ready(Err(Error::Gone));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Closes the connection and ends its channels; a second time it does nothing.
    pub(super) fn close(&self) {
        self.core.end();
        self.core.connection.close();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A handler that is called after its closure was freed throws into the page, so they are detached first.
        let connection = &self.core.connection;
        connection.set_ondatachannel(None);
        connection.set_onconnectionstatechange(None);
        connection.set_oniceconnectionstatechange(None);
        self.close();
    }
}

impl Handlers {
    fn attach(core: &Rc<Core>) -> Self {
        let handlers = Self {
            channel: Closure::new({
                let core = Rc::clone(core);
                move |event: RtcDataChannelEvent| core.on_channel(event.channel())
            }),
            state: Closure::new({
                let core = Rc::clone(core);
                move || core.on_state()
            }),
        };
        let state = Some(handlers.state.as_ref().unchecked_ref());
        core.connection.set_ondatachannel(Some(handlers.channel.as_ref().unchecked_ref()));
        core.connection.set_onconnectionstatechange(state);
        core.connection.set_oniceconnectionstatechange(state);
        handlers
    }
}

impl Core {
    fn on_channel(self: &Rc<Self>, channel: RtcDataChannel) {
        let state = self.state.borrow();
        let refused = state.waiting.len() >= MAX_WAITING_STREAMS || state.channels >= MAX_CHANNELS;
        drop(state);
        if refused {
            return channel.close();
        }
        // At once, so that no message comes before there is a handler for it.
        let channel = self.take_over(channel);
        self.state.borrow_mut().waiting.push_back(channel);
        self.wake();
    }

    fn on_state(self: &Rc<Self>) {
        match self.connection.connection_state() {
            RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed => self.end(),
            RtcPeerConnectionState::Disconnected => self.wait_for_peer(),
            _ => self.wake(),
        }
    }

    /// Gives up the connection if the peer does not come back.
    fn wait_for_peer(self: &Rc<Self>) {
        let silence = self.state.borrow().silences.wrapping_add(1);
        self.state.borrow_mut().silences = silence;
        let core = Rc::downgrade(self);
        Browser.spawn(async move {
            Browser.sleep(DISCONNECTED_FOR).await;
            let Some(core) = core.upgrade() else { return };
            let is_same = core.state.borrow().silences == silence;
            if is_same && core.connection.connection_state() == RtcPeerConnectionState::Disconnected {
                core.end();
            }
        });
    }

    fn take_over(self: &Rc<Self>, channel: RtcDataChannel) -> DataChannel {
        let (linger, slot) = (super::linger(self.version), Slot(Rc::downgrade(self)));
        let channel = DataChannel::new(channel, self.unread.clone(), linger, slot);
        let mut state = self.state.borrow_mut();
        state.channels += 1;
        // So that the list stays about as long as there are channels, at a constant cost for each.
        if state.enders.len() == state.enders.capacity() {
            state.enders.retain(|ender| !ender.is_gone());
        }
        state.enders.push(channel.ender());
        channel
    }

    fn end(&self) {
        let mut state = self.state.borrow_mut();
        state.gone = true;
        let waiting = std::mem::take(&mut state.waiting);
        let enders = std::mem::take(&mut state.enders);
        drop(state);
        drop(waiting);
        enders.iter().for_each(Ender::end);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.state.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
