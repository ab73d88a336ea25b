//! A template with the values of its parameters and conditions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::template::Template;
use crate::Pos;

/// Resolves `get_resource` and `get_attr`.
pub trait Scope {
    /// The reference id of a resource.
    ///
    /// # Errors
    /// The reason if there is none.
    fn reference(&self, resource: &str) -> Result<Value, String>;

    /// An attribute, or all attributes if `path` is empty. The first element of
    /// the path is the name of the attribute.
    ///
    /// # Errors
    /// The reason if there is none; a missing element of the path is null, not
    /// an error.
    fn attribute(&self, resource: &str, path: &[Value]) -> Result<Value, String>;
}

/// A reference to a resource in a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub resource: String,
    /// The attribute; `None` for `get_resource` and for all attributes.
    pub attribute: Option<String>,
    pub path: String,
    pub pos: Pos,
}

/// A template with values for its parameters and conditions.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Shared, because a parsed template is used with any number of parameter sets.
    pub template: Arc<Template>,
    pub(super) params: HashMap<String, Value>,
    pub(super) conditions: HashMap<String, bool>,
    pub(super) disabled: HashSet<String>,
    pub(super) hidden_outputs: HashSet<String>,
}

impl Bound {
    /// Whether the condition of a resource holds.
    #[must_use]
    pub fn has(&self, resource: &str) -> bool {
        self.template.resources.contains_key(resource) && !self.disabled.contains(resource)
    }

    /// Whether the condition of an output holds.
    #[must_use]
    pub fn shows(&self, output: &str) -> bool {
        !self.hidden_outputs.contains(output)
    }

    /// The value of a parameter, which is the result of `get_param`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&Value> {
        self.params.get(name)
    }
}
