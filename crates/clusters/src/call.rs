//! An authenticated request with a negotiated version, and its answer.

use kernel::{Ctx, Result};
use serde_json::Value;

use crate::errors::bad_request;

/// Input of the route handlers.
pub(crate) struct Call {
    pub(crate) ctx: Ctx,
    /// Requested minor version.
    pub(crate) minor: u16,
    pub(crate) query: Vec<(String, String)>,
    /// `None` if the body is empty.
    pub(crate) body: Option<Value>,
    /// Root of the service, as `http://HOST/container-infra`.
    pub(crate) base: String,
}

impl Call {
    /// Rejects all query parameters.
    pub(crate) fn reject_query(&self) -> Result<()> {
        self.allow_query_keys(&[])
    }

    /// Rejects query parameters that are not in the list.
    pub(crate) fn allow_query_keys(&self, known: &[&str]) -> Result<()> {
        match self
            .query
            .iter()
            .find(|(k, _)| !known.contains(&k.as_str()))
        {
            Some((k, _)) => Err(bad_request(k, format!("Unknown argument: \"{k}\""))),
            None => Ok(()),
        }
    }

    /// A query parameter.
    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }
}

/// Result of a route handler.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) location: Option<String>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            location: None,
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            location: None,
        }
    }
}
