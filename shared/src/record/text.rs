//! Rules for text that people will read.

use super::Error;

/// A line of text: bounded, no control characters, none that reorder what is beside them.
pub(super) fn check_line(field: &'static str, text: &str, max_bytes: usize) -> Result<(), Error> {
    if text.len() > max_bytes {
        return Err(Error::field(field, format!("has {} bytes, at most {max_bytes} are allowed", text.len())));
    }
    // Most text is ASCII, where no character takes long to look at.
    let is_unprintable = match text.is_ascii() {
        true => text.bytes().any(|byte| byte.is_ascii_control()),
        false => text.chars().any(is_unprintable),
    };
    if is_unprintable {
        return Err(Error::field(field, "has control characters"));
    }
    if text.trim() != text {
        return Err(Error::field(field, "begins or ends with white space"));
    }
    Ok(())
}

/// As [`check_line`], and not empty.
pub(super) fn check_word(field: &'static str, text: &str, max_bytes: usize) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::field(field, "is empty"));
    }
    check_line(field, text, max_bytes)
}

/// An `http` or `https` URL: nothing else may become a link on a page.
pub(super) fn check_url(field: &'static str, url: &str, max_bytes: usize) -> Result<(), Error> {
    check_word(field, url, max_bytes)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(str::is_empty) {
        return Err(Error::field(field, "is not an http or https URL"));
    }
    if url.chars().any(|c| c.is_whitespace() || "\"'<>\\`".contains(c)) {
        return Err(Error::field(field, "has characters that a URL can't have"));
    }
    Ok(())
}

/// Control characters, line separators, and those that change the direction or the shape of the text around them: Unicode's
/// `Bidi_Control`, and the deprecated ones beside it.
pub(crate) fn is_unprintable(c: char) -> bool {
    let reorders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    c.is_control() || reorders
}
