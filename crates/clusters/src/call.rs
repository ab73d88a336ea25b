//! A request after authentication and version negotiation, and its answer.

use kernel::{Ctx, Result};
use serde_json::Value;

use crate::errors::bad;

/// What handlers see of a request.
pub(crate) struct Call {
    pub(crate) ctx: Ctx,
    /// Minor version asked for.
    pub(crate) minor: u16,
    pub(crate) query: Vec<(String, String)>,
    /// `None` where the body is empty.
    pub(crate) body: Option<Value>,
    /// Root of the service, as `http://HOST/container-infra`.
    pub(crate) base: String,
}

impl Call {
    /// Refuses query parameters of endpoints that know none.
    pub(crate) fn no_query(&self) -> Result<()> {
        self.only(&[])
    }

    /// Refuses all query parameters but these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        match self
            .query
            .iter()
            .find(|(k, _)| !known.contains(&k.as_str()))
        {
            Some((k, _)) => Err(bad(k, format!("Unknown argument: \"{k}\""))),
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

/// What a handler answers.
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
