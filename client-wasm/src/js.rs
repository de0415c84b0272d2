//! Values on their way into JavaScript and out of it.

use js_sys::Reflect;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

use crate::error::Error;

/// A plain object: numbers are `number`, maps are objects, bytes are `Uint8Array`.
pub(crate) fn to_js(view: &impl Serialize) -> Result<JsValue, Error> {
    view.serialize(&Serializer::json_compatible().serialize_bytes_as_arrays(false))
        .map_err(|error| Error::internal(error.to_string()))
}

/// As [`to_js`], of what is much and has no bytes: JavaScript reads one text in less time than it takes to be handed each string of it.
pub(crate) fn to_js_at_once(view: &impl Serialize) -> Result<JsValue, Error> {
    let text = serde_json::to_string(view).map_err(|error| Error::internal(error.to_string()))?;
    js_sys::JSON::parse(&text).map_err(|_| Error::internal("no JSON was written"))
}

/// Reads options; `undefined` and `null` are the defaults.
pub(crate) fn options<T: DeserializeOwned + Default>(value: JsValue) -> Result<T, Error> {
    if value.is_undefined() || value.is_null() {
        return Ok(T::default());
    }
    serde_wasm_bindgen::from_value(value).map_err(|error| Error::bad_options(error.to_string()))
}

/// Whether the global scope, a page's or a worker's, has something of this name.
pub(crate) fn has_global(name: &str) -> bool {
    Reflect::has(&js_sys::global(), &name.into()).unwrap_or(false)
}

/// A JavaScript `Error` with the property `code`.
impl From<Error> for JsValue {
    fn from(error: Error) -> Self {
        let thrown = Self::from(js_sys::Error::new(&error.message));
        // It fails for frozen objects only, and this one is new.
        _ = Reflect::set(&thrown, &"code".into(), &error.code.into());
        thrown
    }
}

/// Tells the console.
pub(crate) fn report(fault: &JsValue) {
    web_sys::console::error_1(fault);
}
