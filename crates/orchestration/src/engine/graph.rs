//! The dependency graph of a template.

use std::collections::{BTreeSet, HashMap, HashSet};

use lang::hot::Bound;
use lang::{Node, Path, Pos, Problem};

/// The resources whose conditions hold, numbered so that each comes after its
/// dependencies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    needs: Vec<Vec<usize>>,
    users: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of a template.
    ///
    /// # Errors
    /// A circular dependency, with the names along it.
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
            // A resource with a false condition is not waited for.
            needs.retain(|n| bound.has(n));
            deps.insert((*name).clone(), needs);
        }
        add_implicit(bound, &names, &mut deps);
        let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        match sort(&names, &deps) {
            Ok(order) => Ok(Self::numbered(order, &deps)),
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

    fn numbered(names: Vec<String>, deps: &HashMap<String, BTreeSet<String>>) -> Self {
        let numbers: HashMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(i, n)| (n.clone(), i))
            .collect();
        let mut users = vec![Vec::new(); names.len()];
        let mut needs = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let own: Vec<usize> = deps
                .get(name)
                .into_iter()
                .flatten()
                .filter_map(|n| numbers.get(n).copied())
                .collect();
            for n in &own {
                users[*n].push(i);
            }
            needs.push(own);
        }
        Self {
            names,
            numbers,
            needs,
            users,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn name(&self, number: usize) -> &str {
        &self.names[number]
    }

    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The dependencies of a resource by number, ordered by name.
    pub(crate) fn needs(&self, number: usize) -> &[usize] {
        &self.needs[number]
    }

    /// The dependents of a resource, by number.
    pub(crate) fn users(&self, number: usize) -> &[usize] {
        &self.users[number]
    }
}

/// The names in topological order; names that become ready together keep their
/// given order.
///
/// # Errors
/// The names along a cycle, with the first repeated at the end.
pub(super) fn sort(
    names: &[&str],
    deps: &HashMap<String, BTreeSet<String>>,
) -> Result<Vec<String>, Vec<String>> {
    let numbers: HashMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    let mut missing = vec![0_usize; names.len()];
    for (i, name) in names.iter().enumerate() {
        for need in deps.get(*name).into_iter().flatten() {
            missing[i] += 1;
            // A dependency that is not among the names never becomes ready.
            if let Some(n) = numbers.get(need.as_str()) {
                users[*n].push(i);
            }
        }
    }
    let mut order: Vec<String> = Vec::with_capacity(names.len());
    let mut ready: Vec<usize> = (0..names.len()).filter(|i| missing[*i] == 0).collect();
    while !ready.is_empty() {
        let mut next = Vec::new();
        for i in ready {
            order.push(names[i].to_owned());
            for user in &users[i] {
                missing[*user] -= 1;
                if missing[*user] == 0 {
                    next.push(*user);
                }
            }
        }
        next.sort_unstable();
        ready = next;
    }
    if order.len() == names.len() {
        return Ok(order);
    }
    let left = (0..names.len()).filter(|i| missing[*i] > 0);
    Err(find_cycle(left.map(|i| names[i]).collect(), deps))
}

/// Finds a cycle among the names in `left`. Each of them depends on another one of
/// them, so following the dependencies leads to a cycle.
fn find_cycle(left: Vec<&str>, deps: &HashMap<String, BTreeSet<String>>) -> Vec<String> {
    let among: HashSet<&str> = left.iter().copied().collect();
    let mut path: Vec<&str> = left.first().copied().into_iter().collect();
    let mut seen: HashMap<&str, usize> = path.iter().map(|n| (*n, 0)).collect();
    while let Some(at) = path.last().copied() {
        let next = deps
            .get(at)
            .and_then(|d| d.iter().find(|n| among.contains(n.as_str())));
        let Some(next) = next.map(String::as_str) else {
            break;
        };
        let start = seen.insert(next, path.len());
        path.push(next);
        if let Some(start) = start {
            return path[start..].iter().map(|n| (*n).to_owned()).collect();
        }
    }
    path.into_iter().map(str::to_owned).collect()
}

/// A resource attached to networks: a port, a server, or a group of them.
/// `None` represents an unknown network.
struct Attached<'a> {
    name: &'a String,
    networks: Vec<Option<String>>,
}

/// Adds Heat's implicit dependencies: a port and a server depend on every subnet of
/// their networks, and a server with an unknown network depends on every subnet.
/// Networks are equal if their expressions are equal. A dependency that would close
/// a cycle is omitted.
fn add_implicit(bound: &Bound, names: &[&String], deps: &mut HashMap<String, BTreeSet<String>>) {
    let mut all: Vec<&String> = Vec::new();
    let mut by_network: HashMap<Option<String>, Vec<&String>> = HashMap::new();
    for name in names {
        let def = &bound.template.resources[*name];
        if def.resource_type == "OS::Neutron::Subnet" {
            let network = expression(&def.properties, &["network", "network_id"]);
            by_network.entry(network).or_default().push(name);
            all.push(name);
        }
    }
    if all.is_empty() {
        return;
    }
    let attached: Vec<Attached<'_>> = names.iter().filter_map(|n| attached(bound, n)).collect();
    let dependents = dependents(&attached, deps);
    for a in &attached {
        let mut needed: Vec<&String> = Vec::new();
        if a.networks.iter().any(Option::is_none) {
            needed.extend(&all);
        } else {
            for network in &a.networks {
                needed.extend(by_network.get(network).into_iter().flatten());
            }
        }
        for subnet in needed {
            // Only a subnet that depends on a port or server can close a cycle.
            if dependents.contains(subnet.as_str()) && reaches(subnet, a.name, deps) {
                continue;
            }
            deps.entry(a.name.clone())
                .or_default()
                .insert(subnet.clone());
        }
    }
}

fn attached<'a>(bound: &Bound, name: &'a String) -> Option<Attached<'a>> {
    let def = &bound.template.resources[name];
    let (kind, properties) = match def.properties.get("resource_def") {
        Some(member) if def.resource_type == "OS::Heat::ResourceGroup" => (
            member
                .get("type")
                .and_then(Node::as_text)
                .unwrap_or_default(),
            member.get("properties")?,
        ),
        _ => (def.resource_type.as_str(), &def.properties),
    };
    let networks = match kind {
        "OS::Neutron::Port" => vec![expression(properties, &["network", "network_id"])],
        "OS::Nova::Server" => match properties.get("networks").map(Node::as_list) {
            Some(Some(items)) => items
                .iter()
                .filter(|i| i.get("port").is_none())
                .map(|i| expression(i, &["network"]))
                .collect(),
            Some(None) => vec![None],
            None => vec![],
        },
        _ => return None,
    };
    Some(Attached { name, networks })
}

/// The names of all resources that depend on one of these, directly or indirectly.
fn dependents(
    attached: &[Attached<'_>],
    deps: &HashMap<String, BTreeSet<String>>,
) -> HashSet<String> {
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    for (user, needs) in deps {
        for need in needs {
            users.entry(need).or_default().push(user);
        }
    }
    let mut seen: HashSet<String> = HashSet::new();
    let mut todo: Vec<&str> = attached.iter().map(|a| a.name.as_str()).collect();
    while let Some(at) = todo.pop() {
        for user in users.get(at).into_iter().flatten() {
            if seen.insert((*user).to_owned()) {
                todo.push(user);
            }
        }
    }
    seen
}

/// The expression of the first of these properties that is given.
fn expression(properties: &Node, names: &[&str]) -> Option<String> {
    names
        .iter()
        .find_map(|n| properties.get(n))
        .map(|n| n.to_json().to_string())
}

/// Whether `from` depends on `to`, directly or indirectly.
fn reaches(from: &str, to: &str, deps: &HashMap<String, BTreeSet<String>>) -> bool {
    let mut seen = HashSet::new();
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
