//! One `RTCPeerConnection`: its channels and its state.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcPeerConnection, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use super::{
    super::{MAX_WAITING_STREAMS, sdp},
    Error,
    channel::{Channel, Ender},
};

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
    /// Never borrowed while a waker or the browser is called.
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    gone: bool,
    /// Opened by the peer; at most [`MAX_WAITING_STREAMS`].
    waiting: VecDeque<Channel>,
    /// Of all channels that may still exist.
    enders: Vec<Ender>,
    waker: Option<Waker>,
}

struct Handlers {
    channel: Closure<dyn Fn(RtcDataChannelEvent)>,
    state: Closure<dyn Fn()>,
}

impl Peer {
    /// A connection that takes the peer's channels from the first one on.
    pub(super) fn new() -> Result<Self, Error> {
        let connection = RtcPeerConnection::new().map_err(Error::refused("make a connection"))?;
        let core = Rc::new(Core { connection, state: RefCell::default() });
        let handlers = Handlers::attach(&core);
        Ok(Self { core, _handlers: handlers })
    }

    /// The channel of the Noise handshake: number 0 on both sides. To be opened before [`Self::offer`].
    pub(super) fn handshake(&self) -> Result<Channel, Error> {
        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(0);
        let opener: &Opener = self.core.connection.unchecked_ref();
        let channel = opener.open_with("", &options).map_err(Error::refused("open a channel"))?;
        Ok(self.core.remember(Channel::handshake(channel)))
    }

    /// Opens a channel.
    pub(super) fn open(&self) -> Result<Channel, Error> {
        if self.core.state.borrow().gone {
            return Err(Error::Gone);
        }
        let opener: &Opener = self.core.connection.unchecked_ref();
        let channel = opener.open("").map_err(Error::refused("open a channel"))?;
        Ok(self.core.remember(Channel::new(channel)))
    }

    /// Makes an offer and has the browser take it with these ICE credentials. Returns the SHA-256 of its certificate.
    pub(super) async fn offer(&self, ufrag: &str) -> Result<[u8; 32], Error> {
        let step = "make an offer";
        let connection = &self.core.connection;
        let offer = JsFuture::from(connection.create_offer()).await.map_err(Error::refused(step))?;
        let offer = offer.unchecked_into::<RtcSessionDescriptionInit>().get_sdp().unwrap_or_default();
        let edited = RtcSessionDescriptionInit::new(RtcSdpType::Offer);
        edited.set_sdp(&sdp::with_credentials(&offer, ufrag));
        let set = connection.set_local_description(&edited);
        JsFuture::from(set).await.map_err(Error::refused("take the edited offer"))?;
        sdp::fingerprint(&offer).ok_or(Error::NoFingerprint)
    }

    /// Has the browser take an answer, and so connect.
    pub(super) async fn answer(&self, answer: &str) -> Result<(), Error> {
        let description = RtcSessionDescriptionInit::new(RtcSdpType::Answer);
        description.set_sdp(answer);
        let set = self.core.connection.set_remote_description(&description);
        JsFuture::from(set).await.map_err(Error::refused("take the answer"))?;
        Ok(())
    }

    /// The next channel that the peer opened.
    pub(super) fn poll_channel(&self, context: &Context<'_>) -> Poll<Result<Channel, Error>> {
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
        self.core.connection.set_ondatachannel(None);
        self.core.connection.set_onconnectionstatechange(None);
        self.close();
    }
}

impl Handlers {
    fn attach(core: &Rc<Core>) -> Self {
        let handlers = Self {
            channel: Closure::new({
                let core = Rc::clone(core);
                move |event: RtcDataChannelEvent| core.on_channel(&event)
            }),
            state: Closure::new({
                let core = Rc::clone(core);
                move || core.on_state()
            }),
        };
        core.connection.set_ondatachannel(Some(handlers.channel.as_ref().unchecked_ref()));
        core.connection.set_onconnectionstatechange(Some(handlers.state.as_ref().unchecked_ref()));
        handlers
    }
}

impl Core {
    fn on_channel(&self, event: &RtcDataChannelEvent) {
        // At once, so that no message comes before there is a handler for it.
        let channel = self.remember(Channel::new(event.channel()));
        let mut state = self.state.borrow_mut();
        if state.waiting.len() >= MAX_WAITING_STREAMS {
            drop(state);
            drop(channel);
            return;
        }
        state.waiting.push_back(channel);
        drop(state);
        self.wake();
    }

    fn on_state(&self) {
        // `disconnected` may pass; a peer that is dead is noticed by a ping before the browser gives up.
        if matches!(self.connection.connection_state(), RtcPeerConnectionState::Failed | RtcPeerConnectionState::Closed)
        {
            self.end();
        }
    }

    fn remember(&self, channel: Channel) -> Channel {
        let mut state = self.state.borrow_mut();
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
