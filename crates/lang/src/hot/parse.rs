//! Converts a tree to a template, and reports all problems of its sections and keys.

use super::keys::unknown_keys;
use super::template::{OutputDef, ResourceDef, Template};
use super::{constraint, param, version};
use crate::{Entry, Kind, Node, Path, Problem};

const SECTIONS: &[&str] = &[
    "heat_template_version",
    "description",
    "parameter_groups",
    "parameters",
    "resources",
    "outputs",
    "conditions",
];

const RESOURCE_KEYS: &[&str] = &[
    "type",
    "properties",
    "metadata",
    "depends_on",
    "update_policy",
    "deletion_policy",
    "description",
    "condition",
];

impl Template {
    /// Parses a template's text.
    ///
    /// # Errors
    /// All problems of its structure, with line and path.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let root = crate::parse(text).map_err(|p| vec![p])?;
        template(&root)
    }
}

fn template(root: &Node) -> Result<Template, Vec<Problem>> {
    let Some(sections) = root.as_map() else {
        let why = format!("A template is a map of sections; this is {}.", root.noun());
        return Err(vec![Problem::new("", root.pos, why)]);
    };
    let mut problems = Vec::new();
    for (name, entry) in sections {
        if !SECTIONS.contains(&name.as_str()) {
            let why = format!("The template section is invalid: {name}");
            problems.push(Problem::new("", entry.key_pos, why));
        }
    }
    let mut out = Template {
        version: template_version(root, &mut problems),
        ..Template::default()
    };
    if let Some(text) = root.get("description").and_then(Node::as_text) {
        text.clone_into(&mut out.description);
    }
    if count_patterns(root) > constraint::MAX_PATTERNS {
        let why = format!(
            "More than {} parameters have an allowed_pattern.",
            constraint::MAX_PATTERNS
        );
        return Err(vec![Problem::new("parameters", root.pos, why)]);
    }
    for (name, entry) in section(root, "parameters", &mut problems) {
        let path = Path::root("parameters");
        if let Some(p) = param::parse(entry, &path.key(name), &mut problems) {
            out.parameters.insert(name.clone(), p);
        }
    }
    for (name, entry) in section(root, "conditions", &mut problems) {
        out.conditions.insert(name.clone(), entry.value.clone());
    }
    for (name, entry) in section(root, "resources", &mut problems) {
        let path = Path::root("resources");
        if let Some(r) = resource(name, entry, &path.key(name), &mut problems) {
            if out.parameters.contains_key(name) {
                let why = format!("Duplicate names: '{name}' is also a parameter.");
                problems.push(Problem::new(path.key(name), entry.key_pos, why));
            }
            out.resources.insert(name.clone(), r);
        }
    }
    for (name, entry) in section(root, "outputs", &mut problems) {
        let path = Path::root("outputs");
        if let Some(o) = output(entry, &path.key(name), &mut problems) {
            out.outputs.insert(name.clone(), o);
        }
    }
    if problems.is_empty() {
        Ok(out)
    } else {
        Err(problems)
    }
}

/// Counts the patterns of constraints, before they are compiled.
fn count_patterns(root: &Node) -> usize {
    let parameters = root.get("parameters").and_then(Node::as_map);
    let constraints = parameters
        .into_iter()
        .flatten()
        .filter_map(|(_, p)| p.value.get("constraints")?.as_list());
    constraints
        .flatten()
        .filter(|c| c.get("allowed_pattern").is_some())
        .count()
}

fn template_version(root: &Node, problems: &mut Vec<Problem>) -> &'static str {
    let Some(node) = root.get("heat_template_version") else {
        let why =
            "The key heat_template_version is missing; add 'heat_template_version: 2021-04-16'.";
        problems.push(Problem::new("", root.pos, why));
        return "";
    };
    let text = node.as_text().unwrap_or_default();
    version::canonical(text).unwrap_or_else(|| {
        let why = format!("Unknown version '{text}'; known are {}.", version::all());
        problems.push(Problem::new("heat_template_version", node.pos, why));
        ""
    })
}

/// The entries of a section; an absent or null section is empty.
fn section<'n>(
    root: &'n Node,
    name: &str,
    problems: &mut Vec<Problem>,
) -> impl Iterator<Item = (&'n String, &'n Entry)> + use<'n> {
    let map = match root.get(name) {
        None => None,
        Some(node) => match &node.kind {
            Kind::Null => None,
            Kind::Map(map) => Some(map),
            _ => {
                let why = format!("\"{name}\" must be a map, not {}.", node.noun());
                problems.push(Problem::new(name, node.pos, why));
                None
            }
        },
    };
    map.into_iter().flatten()
}

fn resource(
    name: &str,
    entry: &Entry,
    path: &Path<'_>,
    problems: &mut Vec<Problem>,
) -> Option<ResourceDef> {
    if name.contains('/') {
        let why = "The name of a resource may not contain '/'.";
        problems.push(Problem::new(path, entry.key_pos, why));
    }
    let Some(map) = entry.value.as_map() else {
        let why = format!(
            "A resource is a map with 'type'; this is {}.",
            entry.value.noun()
        );
        problems.push(Problem::new(path, entry.key_pos, why));
        return None;
    };
    unknown_keys(map, RESOURCE_KEYS, path, problems);
    let Some(resource_type) = entry.value.get("type").and_then(Node::as_text) else {
        let why = "A resource needs a 'type', as in 'type: OS::Nova::Server'.";
        problems.push(Problem::new(path, entry.key_pos, why));
        return None;
    };
    Some(ResourceDef {
        pos: entry.key_pos,
        resource_type: resource_type.to_owned(),
        properties: map_or_null(&entry.value, "properties", path, problems),
        metadata: map_or_null(&entry.value, "metadata", path, problems),
        depends_on: depends_on(entry.value.get("depends_on"), path, problems),
        retain: deletion_policy(entry.value.get("deletion_policy"), path, problems),
        update_policy: map.get("update_policy").map(|e| e.key_pos),
        condition: entry.value.get("condition").cloned(),
    })
}

/// The value of a key, which must be a map or null.
fn map_or_null(of: &Node, key: &str, path: &Path<'_>, problems: &mut Vec<Problem>) -> Node {
    match of.get(key) {
        None => Node::default(),
        Some(node) => {
            if !matches!(node.kind, Kind::Null | Kind::Map(_)) {
                let why = format!("\"{key}\" must be a map, not {}.", node.noun());
                problems.push(Problem::new(path.key(key), node.pos, why));
            }
            node.clone()
        }
    }
}

fn depends_on(node: Option<&Node>, path: &Path<'_>, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut names = Vec::new();
    let mut take = |n: &Node| match n.as_text() {
        Some(text) => names.push(text.to_owned()),
        None => problems.push(Problem::new(
            path.key("depends_on"),
            n.pos,
            "\"depends_on\" is the name of a resource or a list of names.",
        )),
    };
    match node.map(|n| (&n.kind, n)) {
        None | Some((Kind::Null, _)) => {}
        Some((Kind::List(items), _)) => items.iter().for_each(take),
        Some((_, n)) => take(n),
    }
    names
}

fn deletion_policy(node: Option<&Node>, path: &Path<'_>, problems: &mut Vec<Problem>) -> bool {
    let Some(node) = node else { return false };
    match node.as_text() {
        Some("Delete" | "delete") => false,
        Some("Retain" | "retain") => true,
        _ => {
            let why = "\"deletion_policy\" is Delete or Retain; other policies are not supported.";
            problems.push(Problem::new(path.key("deletion_policy"), node.pos, why));
            false
        }
    }
}

fn output(entry: &Entry, path: &Path<'_>, problems: &mut Vec<Problem>) -> Option<OutputDef> {
    let Some(map) = entry.value.as_map() else {
        let why = format!(
            "An output is a map with 'value'; this is {}.",
            entry.value.noun()
        );
        problems.push(Problem::new(path, entry.key_pos, why));
        return None;
    };
    unknown_keys(map, &["value", "description", "condition"], path, problems);
    let Some(value) = entry.value.get("value") else {
        problems.push(Problem::new(
            path,
            entry.key_pos,
            "An output needs a 'value'.",
        ));
        return None;
    };
    Some(OutputDef {
        pos: entry.key_pos,
        value: value.clone(),
        condition: entry.value.get("condition").cloned(),
    })
}
