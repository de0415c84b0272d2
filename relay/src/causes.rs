//! An error as a sentence for people: what went wrong, and what it comes from.

use std::error::Error;

/// Characters of one message that are shown.
const MAX_CHARS: usize = 2000;

/// The error and its causes, each said once: many messages hold that of their cause already, and some say nothing at all.
pub fn of(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        next = cause.source();
        let text = one_line(&cause.to_string());
        if text.is_empty() || said.contains(&text) {
            continue;
        }
        if !said.is_empty() {
            said.push_str(": ");
        }
        said.push_str(&text);
    }
    if said.is_empty() { "no reason was given".into() } else { said }
}

/// A message of libp2p as people read it: what it tried in one line, and no colon where it leaves out its cause.
pub fn one_line(message: &str) -> String {
    let message = message.replace("Multiple dial errors occurred:\n - ", "").replace("\n - ", "; ");
    // Some quote what a peer sent: nothing of it may steer a terminal, or go on for ever.
    let shown = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    message.trim().trim_end_matches(':').chars().take(MAX_CHARS).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::core::transport::TransportError;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{file}: {source}")]
    struct WithCause {
        file: &'static str,
        source: io::Error,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write {file}")]
    struct WithoutCause {
        file: &'static str,
        source: WithCause,
    }

    #[test]
    fn every_cause_is_said_once() {
        let inner = || WithCause { file: "a.toml", source: io::Error::other("no such file") };
        assert_eq!(of(&inner()), "a.toml: no such file");
        assert_eq!(of(&WithoutCause { file: "b.toml", source: inner() }), "cannot write b.toml: a.toml: no such file");
        let error = anyhow::Error::from(inner()).context("the relay did not start");
        assert_eq!(of(error.as_ref()), "the relay did not start: a.toml: no such file");
    }

    #[test]
    fn an_error_without_words_gives_way_to_its_cause() {
        let error = TransportError::Other(io::Error::other("address already in use"));
        assert_eq!(error.to_string(), "");
        assert_eq!(of(&error), "address already in use");
        assert_eq!(of(&io::Error::other("")), "no reason was given");
        let tried = io::Error::other("Multiple dial errors occurred:\n - connection refused\n - timeout");
        assert_eq!(of(&tried), "connection refused; timeout");
    }
}
