//! The graph of a template: which resource needs which.

use std::collections::{BTreeSet, HashMap};

use lang::hot::Bound;
use lang::{Node, Path, Pos, Problem};
use serde_json::Value;

/// Names of the resources that exist, and what each needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    /// Each after all that it needs.
    pub order: Vec<String>,
    pub deps: HashMap<String, BTreeSet<String>>,
}

impl Graph {
    /// # Errors
    /// A circle, with the names along it.
    pub(crate) fn of(bound: &Bound) -> Result<Self, Problem> {
        let mut deps: HashMap<String, BTreeSet<String>> = HashMap::new();
        let names: Vec<&String> = bound
            .template
            .resources
            .keys()
            .filter(|n| bound.has(n))
            .collect();
        let root = Path::root("resources");
        for name in &names {
            let def = &bound.template.resources[*name];
            let path = root.key(name);
            let mut needs: BTreeSet<String> = def.depends_on.iter().cloned().collect();
            for node in [&def.properties, &def.metadata] {
                needs.extend(
                    bound
                        .references(node, &path)
                        .into_iter()
                        .map(|r| r.resource),
                );
            }
            // What a condition turned off is not waited for.
            needs.retain(|n| bound.has(n));
            deps.insert((*name).clone(), needs);
        }
        implied(bound, &names, &mut deps);
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        match sort(&names, &deps) {
            Ok(order) => Ok(Self { order, deps }),
            Err(circle) => {
                let pos = circle.first().and_then(|n| bound.template.resources.get(n));
                let why = format!("Circular Dependency Found: {}", circle.join(" -> "));
                Err(Problem::new(
                    "resources",
                    pos.map_or(Pos::default(), |d| d.pos),
                    why,
                ))
            }
        }
    }
}

/// The names in an order that respects the needs.
///
/// # Errors
/// The names along a circle, the first repeated at the end.
pub(super) fn sort(
    names: &[&str],
    deps: &HashMap<String, BTreeSet<String>>,
) -> Result<Vec<String>, Vec<String>> {
    let mut order: Vec<String> = Vec::with_capacity(names.len());
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<&str> = names.to_vec();
    while !left.is_empty() {
        let ready = |n: &&str| {
            deps.get(*n)
                .is_none_or(|d| d.iter().all(|x| done.contains(x.as_str())))
        };
        let (now, later): (Vec<&str>, Vec<&str>) = left.iter().copied().partition(ready);
        if now.is_empty() {
            return Err(circle(&later, deps));
        }
        order.extend(now.iter().map(|n| (*n).to_owned()));
        done.extend(now);
        left = later;
    }
    Ok(order)
}

/// Every name of `left` needs another one of it: walking ends in a circle.
fn circle(left: &[&str], deps: &HashMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut way: Vec<&str> = left.first().copied().into_iter().collect();
    while let Some(at) = way.last().copied() {
        let next = deps
            .get(at)
            .and_then(|d| d.iter().find(|n| left.contains(&n.as_str())));
        let Some(next) = next.map(String::as_str) else {
            break;
        };
        if let Some(start) = way.iter().position(|n| *n == next) {
            way.push(next);
            return way[start..].iter().map(|n| (*n).to_owned()).collect();
        }
        way.push(next);
    }
    way.into_iter().map(str::to_owned).collect()
}

/// Heat's implied edges: a port and a server need every subnet of their
/// networks, and a server whose network is not known every subnet. Compared as
/// they are written; an edge that would close a circle is left out.
fn implied(bound: &Bound, names: &[&String], deps: &mut HashMap<String, BTreeSet<String>>) {
    let of_type = |name: &str| bound.template.resources[name].resource_type.clone();
    let subnets: Vec<(&String, Option<Value>)> = names
        .iter()
        .filter(|n| of_type(n) == "OS::Neutron::Subnet")
        .map(|n| {
            (
                *n,
                written(
                    &bound.template.resources[*n].properties,
                    &["network", "network_id"],
                ),
            )
        })
        .collect();
    for name in names {
        let def = &bound.template.resources[*name];
        let (kind, properties) = match def.properties.get("resource_def") {
            Some(member) if def.resource_type == "OS::Heat::ResourceGroup" => (
                member
                    .get("type")
                    .and_then(Node::as_text)
                    .unwrap_or_default(),
                member.get("properties"),
            ),
            _ => (def.resource_type.as_str(), Some(&def.properties)),
        };
        let Some(properties) = properties else {
            continue;
        };
        let networks: Vec<Option<Value>> = match kind {
            "OS::Neutron::Port" => vec![written(properties, &["network", "network_id"])],
            "OS::Nova::Server" => match properties.get("networks").map(Node::as_list) {
                Some(Some(items)) => items
                    .iter()
                    .filter(|i| i.get("port").is_none())
                    .map(|i| written(i, &["network"]))
                    .collect(),
                Some(None) => vec![None],
                None => vec![],
            },
            _ => continue,
        };
        for (subnet, network) in &subnets {
            let needed = networks.iter().any(|n| n.is_none() || n == network);
            if needed && !reaches(subnet, name, deps) {
                deps.entry((*name).clone())
                    .or_default()
                    .insert((*subnet).clone());
            }
        }
    }
}

fn written(properties: &Node, names: &[&str]) -> Option<Value> {
    names
        .iter()
        .find_map(|n| properties.get(n))
        .map(Node::to_json)
}

fn reaches(from: &str, to: &str, deps: &HashMap<String, BTreeSet<String>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        if at == to {
            return true;
        }
        if seen.insert(at) {
            todo.extend(deps.get(at).into_iter().flatten().map(String::as_str));
        }
    }
    false
}
