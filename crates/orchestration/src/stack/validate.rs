//! Validation of templates and parameters. All problems are reported at once,
//! each with its path and line.

use std::collections::BTreeMap;

use kernel::{Error, Result};
use lang::hot::{Bound, Pseudo, ResourceDef, Variable};
use lang::{Kind, Node, Path, Problem, describe};
use serde_json::{Map, Value};

use super::Templates;
use crate::engine::Graph;
use crate::resource::{self, Role, Schema};

/// Maximum number of resources of a template, without the members of groups.
const MAX_RESOURCES: usize = 10_000;

const MAX_TIMEOUT_MINS: i64 = 10_080;

fn invalid(problems: &[Problem]) -> Error {
    Error::invalid("template", describe(problems))
}

/// The requested timeout in minutes, or else the current one.
pub(super) fn timeout(given: Option<i64>, current: i64) -> Result<i64> {
    match given {
        None => Ok(current),
        Some(m) if (1..=MAX_TIMEOUT_MINS).contains(&m) => Ok(m),
        Some(m) => Err(Error::invalid(
            "timeout_mins",
            format!("timeout_mins: {m} is out of range (min: 1, max: {MAX_TIMEOUT_MINS})"),
        )),
    }
}

/// Checks the name of a stack.
pub(super) fn check_name(name: &str) -> Result<()> {
    let ok = name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if ok {
        return Ok(());
    }
    Err(Error::invalid(
        "stack_name",
        format!(
            "Invalid stack name {name} must contain only alphanumeric or \"_-.\" characters, \
             must start with alpha and must be 255 characters or less."
        ),
    ))
}

/// Parses and binds without examining resource types.
pub(crate) fn bind(
    templates: &Templates,
    template: &str,
    given: &BTreeMap<String, Value>,
    pseudo: &Pseudo,
) -> Result<Bound> {
    let template = templates.parse(template).map_err(|p| invalid(&p))?;
    Bound::new(template, given, pseudo).map_err(|p| invalid(&p))
}

/// Checks everything that is known before resources exist. With `drop_unknown`,
/// parameters that the template does not have are removed from `given`.
pub(crate) fn validate(
    templates: &Templates,
    text: &str,
    given: &mut BTreeMap<String, Value>,
    pseudo: &Pseudo,
    drop_unknown: bool,
) -> Result<Bound> {
    let template = templates.parse(text).map_err(|p| invalid(&p))?;
    if drop_unknown {
        given.retain(|name, _| template.parameters.contains_key(name));
    }
    let bound = Bound::new(template, given, pseudo).map_err(|p| invalid(&p))?;
    let mut problems = Vec::new();
    if bound.template.resources.len() > MAX_RESOURCES {
        let why = format!("Maximum resources per stack exceeded: {MAX_RESOURCES}.");
        problems.push(Problem::new("resources", lang::Pos::default(), why));
    }
    let root = Path::root("resources");
    for (name, def) in &bound.template.resources {
        if bound.has(name) {
            check_resource(&bound, def, &root.key(name), &mut problems);
        }
    }
    let root = Path::root("outputs");
    for (name, output) in &bound.template.outputs {
        if bound.shows(name) {
            let entry = root.key(name);
            let path = entry.key("value");
            lang::hot::check(&bound, &output.value, &path, &mut problems);
            check_references(&bound, &output.value, &path, &mut problems);
        }
    }
    if let Err(circle) = Graph::of(&bound) {
        problems.push(circle);
    }
    if problems.is_empty() {
        Ok(bound)
    } else {
        Err(invalid(&problems))
    }
}

/// Checks that an update changes no immutable parameter.
///
/// # Errors
/// `Invalid`, naming the parameter.
pub(super) fn check_immutable(
    templates: &Templates,
    old_template: &str,
    old: &BTreeMap<String, Value>,
    new: &Bound,
    pseudo: &Pseudo,
) -> Result<()> {
    let Ok(before) = bind(templates, old_template, old, pseudo) else {
        return Ok(());
    };
    for (name, param) in &new.template.parameters {
        let known = before.template.parameters.contains_key(name);
        if param.immutable && known && before.param(name) != new.param(name) {
            let why =
                format!("The following parameters are immutable and may not be updated: {name}");
            return Err(Error::invalid(name.clone(), why));
        }
    }
    Ok(())
}

fn check_resource(bound: &Bound, def: &ResourceDef, path: &Path<'_>, problems: &mut Vec<Problem>) {
    if let Some(pos) = def.update_policy {
        let why = "update_policy is not supported yet; remove it.";
        problems.push(Problem::new(path.key("update_policy"), pos, why));
    }
    for name in &def.depends_on {
        if !bound.template.resources.contains_key(name) {
            let why =
                format!("The specified reference \"{name}\" (in {path}.Properties) is incorrect.");
            problems.push(Problem::new(path.key("depends_on"), def.pos, why));
        }
    }
    let typed = Typed {
        resource_type: &def.resource_type,
        properties: &def.properties,
        metadata: &def.metadata,
        pos: def.pos,
    };
    typed.check(bound, path, false, problems);
}

/// A type with its properties: a resource, or the definition of a member.
struct Typed<'a> {
    resource_type: &'a str,
    properties: &'a Node,
    metadata: &'a Node,
    pos: lang::Pos,
}

impl Typed<'_> {
    fn check(&self, bound: &Bound, path: &Path<'_>, member: bool, problems: &mut Vec<Problem>) {
        let Some(kind) = resource::find(self.resource_type) else {
            let why = format!(
                "The Resource Type ({}) could not be found.",
                self.resource_type
            );
            problems.push(Problem::new(path.key("type"), self.pos, why));
            return;
        };
        if member && matches!(kind.role, Role::Group) {
            let why = "A group as the member of a group is not supported.";
            problems.push(Problem::new(path.key("type"), self.pos, why));
            return;
        }
        let meta = path.key("metadata");
        lang::hot::check(bound, self.metadata, &meta, problems);
        check_references(bound, self.metadata, &meta, problems);
        self.properties(bound, kind.schema, path, problems);
        if matches!(kind.role, Role::Group) {
            self.members(bound, path, problems);
        }
    }

    fn properties(
        &self,
        bound: &Bound,
        schema: &Schema,
        path: &Path<'_>,
        problems: &mut Vec<Problem>,
    ) {
        let path = path.key("properties");
        let empty = indexmap::IndexMap::new();
        let map = self.properties.as_map().unwrap_or(&empty);
        for (given, entry) in map {
            let name = schema.canonical(given);
            let here = path.key(given);
            if !schema.open && schema.property(name).is_none() {
                problems.push(Problem::new(
                    here,
                    entry.key_pos,
                    format!("Unknown Property {given}"),
                ));
                continue;
            }
            if schema.name == GROUP && name == "resource_def" {
                continue;
            }
            let before = problems.len();
            lang::hot::check(bound, &entry.value, &here, problems);
            check_references(bound, &entry.value, &here, problems);
            if problems.len() > before || !bound.references(&entry.value, &here).is_empty() {
                continue;
            }
            match bound.constant(&entry.value, &here) {
                Ok(Some(value)) if !value.is_null() => {
                    let mut faults = Vec::new();
                    schema.resolve_one(name, value, &mut faults);
                    for (at, why) in faults {
                        problems.push(Problem::new(format!("{path}.{at}"), entry.value.pos, why));
                    }
                }
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        for p in schema.properties.iter().filter(|p| p.required) {
            let given = map.keys().any(|k| schema.canonical(k) == p.name);
            if !given {
                problems.push(Problem::new(
                    path,
                    self.pos,
                    format!("Property {} not assigned", p.name),
                ));
            }
        }
    }

    fn members(&self, bound: &Bound, path: &Path<'_>, problems: &mut Vec<Problem>) {
        let properties = path.key("properties");
        let path = properties.key("resource_def");
        let null = Node::default();
        let def = self.properties.get("resource_def");
        let Some(kind) = def.and_then(|d| d.get("type")).and_then(Node::as_text) else {
            let why = "resource_def is a map that is written out, with 'type' and 'properties'.";
            problems.push(Problem::new(path, def.map_or(self.pos, |d| d.pos), why));
            return;
        };
        let def = def.unwrap_or(&null);
        for (key, entry) in def.as_map().into_iter().flatten() {
            if !matches!(key.as_str(), "type" | "properties" | "metadata") {
                let why = format!("Invalid key '{key}'; known are type, properties, metadata.");
                problems.push(Problem::new(path, entry.key_pos, why));
            }
        }
        // The definition is checked as that of member 0.
        let index_var = self.properties.get("index_var").and_then(Node::as_text);
        let first = def.replace_text(index_var.unwrap_or("%index%"), "0");
        let typed = Typed {
            resource_type: kind,
            properties: first.get("properties").unwrap_or(&null),
            metadata: first.get("metadata").unwrap_or(&null),
            pos: def.pos,
        };
        if !matches!(typed.properties.kind, Kind::Null | Kind::Map(_)) {
            let why = "\"properties\" must be a map.";
            problems.push(Problem::new(
                path.key("properties"),
                typed.properties.pos,
                why,
            ));
        }
        typed.check(bound, &path, true, problems);
    }
}

const GROUP: &str = "OS::Heat::ResourceGroup";

/// Reports references to unknown resources and attributes. An output may refer to a
/// resource with a false condition; it is then null.
fn check_references(bound: &Bound, node: &Node, path: &Path<'_>, problems: &mut Vec<Problem>) {
    for r in bound.references(node, path) {
        let Some(def) = bound.template.resources.get(&r.resource) else {
            let why = format!(
                "The specified reference \"{}\" (in {path}) is incorrect.",
                r.resource
            );
            problems.push(Problem::new(&r.path, r.pos, why));
            continue;
        };
        let known = resource::find(&def.resource_type).and_then(|t| t.schema.attributes);
        if let (Some(known), Some(attribute)) = (known, &r.attribute)
            && !known.contains(&attribute.as_str())
        {
            let why = format!(
                "The Referenced Attribute ({} {attribute}) is incorrect; known are: {}.",
                r.resource,
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                }
            );
            problems.push(Problem::new(&r.path, r.pos, why));
        }
    }
}

/// The values of the properties in a node, evaluated, and checked by a schema.
/// `variable` is the index variable if this is the definition of a member.
///
/// # Errors
/// All problems as one text.
pub(crate) fn resolve(
    bound: &Bound,
    schema: &Schema,
    properties: &Node,
    scope: &dyn lang::hot::Scope,
    variable: Option<Variable<'_>>,
) -> std::result::Result<Map<String, Value>, String> {
    let mut given = Map::new();
    let root = Path::root("properties");
    for (name, entry) in properties.as_map().into_iter().flatten() {
        if schema.name == GROUP && name == "resource_def" {
            continue;
        }
        let path = root.key(name);
        let value = match variable {
            Some(v) => bound.eval_with(&entry.value, &path, scope, v),
            None => bound.eval(&entry.value, &path, scope),
        };
        match value {
            Ok(Some(value)) => drop(given.insert(name.clone(), value)),
            Ok(None) => {}
            Err(problem) => return Err(problem.to_string()),
        }
    }
    schema.resolve(given).map_err(|faults| {
        let lines: Vec<String> = faults
            .into_iter()
            .map(|(at, why)| {
                if at.is_empty() {
                    why
                } else {
                    format!("properties.{at}: {why}")
                }
            })
            .collect();
        lines.join("; ")
    })
}
