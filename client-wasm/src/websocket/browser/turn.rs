//! The browser's turn.

use js_sys::Function;
use wasm_bindgen::JsValue;
use web_sys::{MessageChannel, MessagePort};

/// A message to ourselves: it comes when the browser did what was due before it. Of the ways to ask for that, it is the one that every
/// browser has, that workers have too, and that waits for no clock.
pub(super) struct Turn {
    ask: MessagePort,
    come: MessagePort,
}

impl Turn {
    pub(super) fn new() -> Result<Self, JsValue> {
        let channel = MessageChannel::new()?;
        Ok(Self { ask: channel.port1(), come: channel.port2() })
    }

    /// Has the handler called once, later.
    pub(super) fn ask(&self) {
        // It throws for what can't be copied only.
        let _ = self.ask.post_message(&JsValue::NULL);
    }

    /// Sets what is called, or that nothing is.
    pub(super) fn set_handler(&self, handler: Option<&Function>) {
        self.come.set_onmessage(handler);
    }
}

impl Drop for Turn {
    /// Browsers keep a channel for as long as it is open.
    fn drop(&mut self) {
        self.ask.close();
        self.come.close();
    }
}
