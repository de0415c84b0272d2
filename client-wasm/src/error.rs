//! Errors as JavaScript sees them: a stable code for programs, a sentence for people. The one place that maps to codes.

use ggen_net::exchange;
use ggen_net::light::{AskError, FetchError, HeadError};
use ggen_shared::id;
use ggen_shared::registry::{DeleteError, GetError, PublishError, SearchError};

/// What a method of the client throws.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Error {
    /// Stable; the TypeScript declarations list them.
    pub code: &'static str,
    /// Says what happened. Parts of it may come from a peer: it is shown as text.
    pub message: String,
}

impl Error {
    fn new(code: &'static str, source: &impl ToString) -> Self {
        Self { code, message: source.to_string() }
    }

    /// An option that is missing, of another type, or out of range.
    pub(crate) fn bad_options(message: impl Into<String>) -> Self {
        Self { code: "client/bad-options", message: message.into() }
    }

    /// A cursor that no answer of ours had.
    pub(crate) fn bad_cursor() -> Self {
        Self { code: "query/bad-cursor", message: "the cursor is not one that a search gave".into() }
    }

    /// Text that names no package, version or content.
    pub(crate) fn invalid_name(reason: impl ToString) -> Self {
        Self::new("name/invalid", &reason)
    }

    /// Evidence that shows nothing.
    pub(crate) fn bad_evidence(reason: impl ToString) -> Self {
        Self::new("evidence/refused", &reason)
    }

    /// The client was closed.
    pub(crate) fn closed() -> Self {
        Self::new("client/closed", &AskError::Closed)
    }

    /// A fault of this module; a bug.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: "client/internal", message: message.into() }
    }
}

impl From<SearchError> for Error {
    fn from(error: SearchError) -> Self {
        Self::new(error.code(), &error)
    }
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Self {
        // What is wrong with a record says more than that none is valid.
        if let GetError::Refused(records) = &error
            && let Some(first) = records.first()
        {
            return Self::new(error.code(), &first.refused.error);
        }
        Self::new(error.code(), &error)
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        Self::new(error.code(), &error)
    }
}

impl From<DeleteError> for Error {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Get(error) => error.into(),
            error => Self::new(error.code(), &error),
        }
    }
}

impl From<AskError> for Error {
    fn from(error: AskError) -> Self {
        let code = match &error {
            AskError::Unreachable | AskError::Open(_) | AskError::Exchange(exchange::Error::Io(_)) => {
                "network/unreachable"
            }
            AskError::Timeout(_) => "network/timeout",
            AskError::Exchange(exchange::Error::Refused(_)) => "relay/refused",
            AskError::Exchange(_) => "relay/broke-protocol",
            AskError::Closed => "client/closed",
        };
        Self::new(code, &error)
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error.code() {
            Some(code) => Self::new(code, &error),
            None => Self::new("network/unreachable", &error),
        }
    }
}

impl From<HeadError> for Error {
    fn from(error: HeadError) -> Self {
        let code = match &error {
            HeadError::NotFound => "package/not-found",
            HeadError::Refused(error) => error.code(),
            HeadError::Closed => "client/closed",
        };
        Self::new(code, &error)
    }
}

impl From<id::ParseError> for Error {
    fn from(error: id::ParseError) -> Self {
        Self::invalid_name(error)
    }
}
