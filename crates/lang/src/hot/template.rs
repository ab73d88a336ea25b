//! The parts of a template without parameter values.

use indexmap::IndexMap;

use super::param::Param;
use crate::{Node, Pos};

/// A parsed template.
#[derive(Debug, Clone, Default)]
pub struct Template {
    /// Date of the language version.
    pub version: &'static str,
    pub description: String,
    pub parameters: IndexMap<String, Param>,
    pub resources: IndexMap<String, ResourceDef>,
    pub outputs: IndexMap<String, OutputDef>,
    pub conditions: IndexMap<String, Node>,
}

/// An entry of the `resources` section.
#[derive(Debug, Clone, Default)]
pub struct ResourceDef {
    pub pos: Pos,
    pub resource_type: String,
    /// A map, or null if there are no properties.
    pub properties: Node,
    pub metadata: Node,
    pub depends_on: Vec<String>,
    /// Whether the deletion policy is `Retain`, so that the object is kept when the
    /// resource is deleted.
    pub retain: bool,
    pub update_policy: Option<Pos>,
    pub condition: Option<Node>,
}

/// An entry of the `outputs` section.
#[derive(Debug, Clone, Default)]
pub struct OutputDef {
    pub pos: Pos,
    pub value: Node,
    pub condition: Option<Node>,
}
