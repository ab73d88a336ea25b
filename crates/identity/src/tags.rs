//! Tags of projects and domains: a column with a JSON list; null is an empty one, because
//! rows of older releases have no value.

use db::{Column, Row, Value};
use kernel::{Error, Result};

use crate::errors::wrong;

/// Maximum number of tags of a project.
const MOST: usize = 80;
/// Maximum number of characters of a tag.
const LONGEST: usize = 255;

/// Tags, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tags(pub(crate) Vec<String>);

impl Tags {
    /// Reads the tags of a body.
    ///
    /// # Errors
    /// `Invalid` if it is not a list of different tags.
    pub(crate) fn of_body(value: serde_json::Value) -> Result<Self> {
        let shown = value.to_string();
        let refused = |why: &str| Err(wrong("tags", &shown, why));
        let serde_json::Value::Array(items) = value else {
            return refused("a list of tags is expected.");
        };
        let mut tags = Self::default();
        for item in items {
            let serde_json::Value::String(tag) = item else {
                return refused("each tag must be text.");
            };
            check(&tag)?;
            if tags.0.contains(&tag) {
                return refused("has non-unique elements");
            }
            tags.0.push(tag);
        }
        tags.check_count()?;
        Ok(tags)
    }

    /// # Errors
    /// `Invalid` if there are too many.
    pub(crate) fn check_count(&self) -> Result<()> {
        let count = self.0.len();
        if count > MOST {
            let why = format!("at most {MOST} tags are allowed.");
            return Err(wrong("tags", &format!("{count} items"), &why));
        }
        Ok(())
    }
}

/// Checks one tag.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check(tag: &str) -> Result<()> {
    let count = tag.chars().count();
    if !(1..=LONGEST).contains(&count) {
        let why = format!("a tag has 1 to {LONGEST} characters.");
        return Err(wrong("tags", tag, &why));
    }
    if tag.contains(['/', ',']) {
        return Err(wrong("tags", tag, "'/' and ',' are not allowed in a tag."));
    }
    Ok(())
}

impl Column for Tags {
    fn read(row: &Row, name: &str) -> Result<Self> {
        let Some(text) = row.opt_text(name)? else {
            return Ok(Self::default());
        };
        let tags = serde_json::from_str(&text)
            .map_err(|e| Error::internal(e).context(format!("column {name}")))?;
        Ok(Self(tags))
    }

    fn value(&self) -> Result<Value> {
        if self.0.is_empty() {
            return Ok(None::<String>.into());
        }
        Ok(serde_json::to_string(&self.0)?.into())
    }
}
