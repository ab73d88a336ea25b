//! The error type of all crates. Public text and private context are separate;
//! only the `dialect.rs` of a service converts an error to a body.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kinds of errors, which every dialect maps to a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    Conflict,
    AlreadyExists,
    /// A field of the input is wrong.
    Invalid {
        field: String,
    },
    Unauthenticated,
    Forbidden,
    QuotaExceeded {
        resource: String,
        limit: i64,
        used: i64,
        asked: i64,
    },
    Precondition,
    /// Not supported by the API version or the media type.
    NotSupported {
        status: u16,
    },
    /// Try again after so many seconds.
    Unavailable {
        retry_after: u32,
    },
    Timeout,
    /// The connection was lost during a commit, whose outcome is unknown until
    /// it is read.
    OutcomeUnknown,
    /// The database aborted the whole transaction (a deadlock, a serialization
    /// failure): nothing was written, and it can be repeated.
    Aborted,
    Internal,
}

/// An error: its kind, the public text, and context for the log.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: Kind,
    /// Shown to the caller. Names the field, the value and the fix.
    pub message: String,
    /// Never shown; logged once with the request id.
    pub context: Option<String>,
}

impl Error {
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            context: None,
        }
    }

    /// `what` is the noun of the object, such as `Cluster`.
    #[must_use]
    pub fn not_found(what: &str, id: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} {id} could not be found."))
    }

    #[must_use]
    pub fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(
            Kind::Invalid {
                field: field.into(),
            },
            why,
        )
    }

    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    #[must_use]
    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(Kind::AlreadyExists, message)
    }

    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Kind::Forbidden, message)
    }

    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            Kind::Unauthenticated,
            "The request you have made requires authentication.",
        )
    }

    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable { retry_after: 1 }, message)
    }

    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Kind::Timeout, message)
    }

    /// A broken invariant or a failing dependency; `context` is for the log.
    #[must_use]
    pub fn internal(context: impl fmt::Display) -> Self {
        Self::new(
            Kind::Internal,
            "An internal error occurred; see the server log.",
        )
        .context(context)
    }

    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.context = Some(match self.context.take() {
            Some(inner) => format!("{context}: {inner}"),
            None => context.to_string(),
        });
        self
    }

    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether repeating the step may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unavailable { .. } | Kind::Timeout | Kind::OutcomeUnknown | Kind::Aborted
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(context) = &self.context {
            write!(f, " ({context})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Self {
        Self::internal(e).context("JSON of a row")
    }
}
