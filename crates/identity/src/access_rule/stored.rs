//! The column with the rules of an application credential; null without rules. The rules
//! are copied, because they never change.

use std::sync::Arc;

use db::{Column, Row, Value};
use kernel::{AccessRule, Error, Result};

/// The rules of a credential; `None` if it can be used for all requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CredentialRules(pub(crate) Option<Arc<[AccessRule]>>);

impl Column for CredentialRules {
    fn read(row: &Row, name: &str) -> Result<Self> {
        let Some(text) = row.opt_text(name)? else {
            return Ok(Self::default());
        };
        let rules: Vec<AccessRule> = serde_json::from_str(&text)
            .map_err(|e| Error::internal(e).context(format!("column {name}")))?;
        Ok(Self(Some(rules.into())))
    }

    fn value(&self) -> Result<Value> {
        match &self.0 {
            None => Ok(None::<String>.into()),
            Some(rules) => Ok(serde_json::to_string(&**rules)?.into()),
        }
    }
}
