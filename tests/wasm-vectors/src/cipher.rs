//! Messages that another implementation encrypted: the cipher of connections is another one in WebAssembly than elsewhere.

use chacha20poly1305::{AeadInPlace, ChaCha20Poly1305, KeyInit, Nonce, Tag};
use serde::Deserialize;

use crate::content::{Computed, fill};
use crate::{Checked, hex, parse, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    size: usize,
    key: String,
    nonce: String,
    associated: String,
    /// Of what was encrypted, so nothing else says what that is.
    tag: String,
}

pub(crate) fn check(json: &str) -> Checked {
    parse::<Computed<Sealed>>("cipher.json", json)?.vectors.iter().map(check_sealed).sum()
}

fn check_sealed(sealed: &Sealed) -> Checked {
    let vector = format!("sealed {}", sealed.size);
    let [key, nonce, associated] = [&sealed.key, &sealed.nonce, &sealed.associated].map(|text| hex(&vector, text));
    let (key, nonce, associated) = (key?, nonce?, associated?);
    let cipher = ChaCha20Poly1305::new_from_slice(&key).map_err(|_| format!("{vector}: no key"))?;
    let nonce: [u8; 12] = nonce.try_into().map_err(|_| format!("{vector}: no nonce"))?;
    let nonce = Nonce::from(nonce);
    let message = fill("lcg", sealed.size).ok_or_else(|| format!("{vector}: unknown fill"))?;

    let mut bytes = message.clone();
    let tag =
        cipher.encrypt_in_place_detached(&nonce, &associated, &mut bytes).map_err(|_| format!("{vector}: refused"))?;
    same(&vector, "the tag", data_encoding::HEXLOWER.encode(&tag), sealed.tag.clone())?;

    // With anything changed it is refused, and stays as it is.
    let encrypted = bytes.clone();
    let refuse = |what: &str, associated: &[u8], bytes: &mut [u8], tag: &Tag| {
        let before = bytes.to_vec();
        if cipher.decrypt_in_place_detached(&nonce, associated, bytes, tag).is_ok() {
            return Err(format!("{vector}: {what} is changed, and it is decrypted"));
        }
        same(&vector, what, bytes.to_vec(), before)
    };
    let mut other = tag;
    other[15] ^= 1;
    refuse("the tag", &associated, &mut bytes, &other)?;
    refuse("what goes with it", &[&associated[..], &[0]].concat(), &mut bytes, &tag)?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 128;
        refuse("the last byte", &associated, &mut bytes, &tag)?;
    }

    let mut bytes = encrypted;
    cipher
        .decrypt_in_place_detached(&nonce, &associated, &mut bytes, &tag)
        .map_err(|_| format!("{vector}: not decrypted"))?;
    same(&vector, "what was decrypted", bytes, message)?;
    Ok(1)
}
