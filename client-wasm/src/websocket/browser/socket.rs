//! One WebSocket and its event handlers.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

use super::{
    super::{
        Error, MAX_UNREAD_BYTES,
        turns::{Turns, can_wait},
    },
    turn::Turn,
};
use crate::inbound::Inbound;

/// The end of a stream in the words of RFC 6455: normal, going away, and no code given.
const NORMAL_END_CODES: [u16; 3] = [1000, 1001, 1005];
const CLOSE_NORMAL: u16 = 1000;
/// Scripts may close with 1000 or a private code only; any other throws and leaves the socket open. These stand for
/// 1003 (unsupported data) and 1009 (too big).
const CLOSE_NOT_BINARY: u16 = 4003;
const CLOSE_OVERRUN: u16 = 4009;

/// A socket with its handlers attached. Dropping it detaches them and closes the socket.
pub(super) struct Socket {
    core: Rc<Core>,
    // Only kept alive: the browser calls into them for as long as they are attached.
    _handlers: Handlers,
}

/// What the handlers and the owner share.
struct Core {
    socket: WebSocket,
    turn: Turn,
    url: String,
    /// Never borrowed while a waker or the browser is called.
    state: RefCell<State>,
}

struct State {
    phase: Phase,
    inbound: Inbound,
    /// Who waits for `open` or for bytes.
    reader: Option<Waker>,
    /// Who waits for `bufferedAmount` to fall, or for the browser's turn.
    writer: Option<Waker>,
    turns: Turns,
}

enum Phase {
    Connecting,
    Open,
    /// Closed with a closing handshake, by either side.
    Finished,
    Failed(Error),
}

/// `Fn`, not `FnMut`: a handler that were to run inside another would otherwise throw into the page.
struct Handlers {
    open: Closure<dyn Fn()>,
    message: Closure<dyn Fn(MessageEvent)>,
    error: Closure<dyn Fn()>,
    close: Closure<dyn Fn(CloseEvent)>,
    turn: Closure<dyn Fn()>,
}

impl Socket {
    /// Begins to open `url`.
    pub(super) fn new(url: String) -> Result<Self, Error> {
        let (turn, socket) = match Turn::new().and_then(|turn| Ok((turn, WebSocket::new(&url)?))) {
            Ok(made) => made,
            Err(exception) => {
                return Err(Error::Refused { url, reason: text_of(&exception) });
            }
        };
        socket.set_binary_type(BinaryType::Arraybuffer);
        let inbound = Inbound::new(MAX_UNREAD_BYTES);
        let state = State { phase: Phase::Connecting, inbound, reader: None, writer: None, turns: Turns::default() };
        let core = Rc::new(Core { socket, turn, url, state: RefCell::new(state) });
        let handlers = Handlers::attach(&core);
        Ok(Self { core, _handlers: handlers })
    }

    /// Ready once the socket is open or is known not to open.
    pub(super) fn poll_open(&self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.core.state.borrow_mut();
        match &state.phase {
            Phase::Connecting => {
                register(&mut state.reader, context);
                Poll::Pending
            }
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Finished => Poll::Ready(Err(Error::AlreadyClosed)),
            Phase::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }

    /// Moves unread bytes into `buffer`. Zero is the end, or an empty `buffer`.
    pub(super) fn poll_read(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Error>> {
        let mut state = self.core.state.borrow_mut();
        // What arrived before the end is handed out before the end is told.
        let n = state.inbound.read(buffer);
        if n > 0 || buffer.is_empty() {
            return Poll::Ready(Ok(n));
        }
        match &state.phase {
            Phase::Connecting | Phase::Open => {
                register(&mut state.reader, context);
                Poll::Pending
            }
            Phase::Finished => Poll::Ready(Ok(0)),
            Phase::Failed(error) => Poll::Ready(Err(error.clone())),
        }
    }

    /// Hands one message to the browser.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), Error> {
        self.check_open()?;
        self.core.state.borrow_mut().turns.count(message.len());
        // Throws only before the socket is open.
        self.core.socket.send_with_u8_array(message).map_err(|_| Error::Broken)
    }

    /// Ready when a writer need not make way for the browser.
    pub(super) fn poll_turn(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.core.state.borrow_mut();
        if state.turns.admits() {
            return Poll::Ready(());
        }
        register(&mut state.writer, context);
        drop(state);
        self.core.ask_turn();
        Poll::Pending
    }

    /// An error once nothing can be sent any more. A browser takes bytes after the end as well, and drops them: then
    /// `bufferedAmount` grows and never falls.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &self.core.state.borrow().phase {
            Phase::Connecting | Phase::Open => Ok(()),
            Phase::Finished => Err(Error::AlreadyClosed),
            Phase::Failed(error) => Err(error.clone()),
        }
    }

    /// Bytes that the browser was given and did not send yet.
    pub(super) fn buffered_bytes(&self) -> usize {
        usize::try_from(self.core.socket.buffered_amount()).unwrap_or(usize::MAX)
    }

    /// Wakes this task at the next event after which a writer should look again.
    pub(super) fn register_writer(&self, context: &Context<'_>) {
        register(&mut self.core.state.borrow_mut().writer, context);
    }

    /// Begins the closing handshake. The browser first sends all that it was given, also when this is dropped.
    pub(super) fn close(&self) {
        self.core.end(Phase::Finished, CLOSE_NORMAL);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A handler that is called after its closure was freed throws into the page, so they are detached first.
        let socket = &self.core.socket;
        socket.set_onopen(None);
        socket.set_onmessage(None);
        socket.set_onerror(None);
        socket.set_onclose(None);
        self.core.turn.set_handler(None);
        self.close();
    }
}

impl Handlers {
    fn attach(core: &Rc<Core>) -> Self {
        let handlers = Self {
            open: Closure::new({
                let core = Rc::clone(core);
                move || core.on_open()
            }),
            message: Closure::new({
                let core = Rc::clone(core);
                move |event: MessageEvent| core.on_message(&event)
            }),
            error: Closure::new({
                let core = Rc::clone(core);
                move || core.on_error()
            }),
            close: Closure::new({
                let core = Rc::clone(core);
                move |event: CloseEvent| core.on_close(&event)
            }),
            turn: Closure::new({
                let core = Rc::clone(core);
                move || core.on_turn()
            }),
        };
        let socket = &core.socket;
        socket.set_onopen(Some(handlers.open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(handlers.message.as_ref().unchecked_ref()));
        socket.set_onerror(Some(handlers.error.as_ref().unchecked_ref()));
        socket.set_onclose(Some(handlers.close.as_ref().unchecked_ref()));
        core.turn.set_handler(Some(handlers.turn.as_ref().unchecked_ref()));
        handlers
    }
}

impl Core {
    fn on_open(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(state.phase, Phase::Connecting) {
            state.phase = Phase::Open;
        }
        drop(state);
        self.wake();
    }

    fn on_message(&self, event: &MessageEvent) {
        match event.data().dyn_into::<ArrayBuffer>() {
            Ok(data) => self.take(&Uint8Array::new(&data)),
            Err(_) => self.end(Phase::Failed(Error::NotBinary), CLOSE_NOT_BINARY),
        }
    }

    fn take(&self, data: &Uint8Array) {
        let mut state = self.state.borrow_mut();
        if !matches!(state.phase, Phase::Connecting | Phase::Open) {
            return;
        }
        // Asked first, so that what is refused is never copied.
        let len = usize::try_from(data.length()).unwrap_or(usize::MAX);
        let taken = state.inbound.check(len).and_then(|()| state.inbound.push(data.to_vec()));
        if taken.is_err() {
            state.inbound.clear();
        }
        let can_wait = can_wait(len, state.inbound.held());
        drop(state);
        match taken {
            Ok(()) if can_wait => self.ask_turn(),
            // The peer has usually sent this because it got something, so a writer may find room now.
            Ok(()) => self.wake(),
            Err(_) => self.end(Phase::Failed(Error::Overrun), CLOSE_OVERRUN),
        }
    }

    fn on_error(&self) {
        self.settle(None);
    }

    fn on_close(&self, event: &CloseEvent) {
        self.settle(event.was_clean().then(|| (event.code(), event.reason())));
    }

    /// The browser says that the socket ended: with a closing handshake, or without one.
    fn settle(&self, handshake: Option<(u16, String)>) {
        let mut state = self.state.borrow_mut();
        let ended = match (&state.phase, handshake) {
            // An error is always followed by a close; the first to tell is believed.
            (Phase::Finished | Phase::Failed(_), _) => None,
            (Phase::Connecting, _) => Some(Phase::Failed(Error::Unreachable { url: self.url.clone() })),
            (Phase::Open, None) => Some(Phase::Failed(Error::Broken)),
            (Phase::Open, Some((code, _))) if NORMAL_END_CODES.contains(&code) => Some(Phase::Finished),
            (Phase::Open, Some((code, reason))) => Some(Phase::Failed(Error::Closed { code, reason })),
        };
        if let Some(phase) = ended {
            state.phase = phase;
        }
        drop(state);
        self.wake();
    }

    /// This side ends it. The first end stands.
    fn end(&self, phase: Phase, code: u16) {
        let mut state = self.state.borrow_mut();
        let ended = matches!(state.phase, Phase::Connecting | Phase::Open);
        if ended {
            state.phase = phase;
        }
        drop(state);
        if ended {
            // It throws for codes other than ours only, so there is nothing to learn from the result.
            let _ = self.socket.close_with_code(code);
            self.wake();
        }
    }

    fn ask_turn(&self) {
        let wants_asking = self.state.borrow_mut().turns.wants_asking();
        if wants_asking {
            self.turn.ask();
        }
    }

    fn on_turn(&self) {
        self.state.borrow_mut().turns.came();
        self.wake();
    }

    /// Wakes both sides.
    fn wake(&self) {
        let mut state = self.state.borrow_mut();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

fn register(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(context.waker()),
        None => *slot = Some(context.waker().clone()),
    }
}

/// An exception in words: its name and message when it has them.
fn text_of(exception: &JsValue) -> String {
    exception.dyn_ref::<js_sys::Error>().map_or_else(
        || exception.as_string().unwrap_or_else(|| "an exception without a message".into()),
        |error| String::from(error.to_string()),
    )
}
