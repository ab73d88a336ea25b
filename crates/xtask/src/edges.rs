//! Compares the allowed edges between crates (`docs/edges.toml`) with `cargo
//! metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// The crates that each crate may use.
type Edges = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowedEdges {
    edges: Edges,
    /// Additional edges, only in tests.
    #[serde(default)]
    tests: Edges,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None`, `dev` or `build`.
    kind: Option<String>,
    /// Only set for crates of the workspace.
    path: Option<String>,
}

/// The violations, one per line.
pub fn check() -> Result<Vec<String>> {
    let path = shell::root().join("docs/edges.toml");
    let text = std::fs::read_to_string(&path).context("docs/edges.toml cannot be read")?;
    let legal: AllowedEdges = toml::from_str(&text).context("docs/edges.toml cannot be parsed")?;
    let json = shell::output(&mut shell::command(
        "cargo",
        &[
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ],
    ))?;
    let found: Metadata =
        serde_json::from_str(&json).context("unexpected output of cargo metadata")?;
    Ok(compare(&legal, &found))
}

fn compare(legal: &AllowedEdges, found: &Metadata) -> Vec<String> {
    let mut wrong = Vec::new();
    let empty = BTreeSet::new();
    for package in &found.packages {
        let name = package.name.as_str();
        let Some(allowed) = legal.edges.get(name) else {
            wrong.push(format!("{name} has no row in docs/edges.toml"));
            continue;
        };
        let in_tests = legal.tests.get(name).unwrap_or(&empty);
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let to = dependency.name.as_str();
            let test = dependency.kind.as_deref() == Some("dev");
            if !allowed.contains(to) && !(test && (in_tests.contains(to) || to == "testkit")) {
                wrong.push(format!("{name} -> {to} is not allowed; a new edge needs an ADR and a line in docs/edges.toml"));
            }
        }
        let has = |to: &str, test: bool| {
            package.dependencies.iter().any(|d| {
                d.path.is_some() && d.name == to && (d.kind.as_deref() == Some("dev")) == test
            })
        };
        for to in allowed.iter().filter(|to| !has(to, false)) {
            wrong.push(format!(
                "{name} -> {to} is not used; remove it from docs/edges.toml"
            ));
        }
        for to in in_tests.iter().filter(|to| !has(to, true)) {
            wrong.push(format!(
                "{name} -> {to} is not used in tests; remove it from docs/edges.toml"
            ));
        }
    }
    let known: BTreeSet<&str> = found.packages.iter().map(|p| p.name.as_str()).collect();
    for (name, uses) in legal.edges.iter().chain(&legal.tests) {
        for unknown in uses
            .iter()
            .chain([name])
            .filter(|n| !known.contains(n.as_str()))
        {
            wrong.push(format!(
                "docs/edges.toml names {unknown}, which is not a crate"
            ));
        }
    }
    if let Some(name) = cycle(&legal.edges) {
        wrong.push(format!("docs/edges.toml allows a cycle through {name}"));
    }
    wrong
}

/// Finds a cycle: removes crates without remaining dependencies until no crate is left
/// or the rest contains a cycle.
fn cycle(edges: &Edges) -> Option<String> {
    let mut left = edges.clone();
    for uses in left.values_mut() {
        uses.retain(|u| edges.contains_key(u));
    }
    loop {
        let free: Vec<String> = left
            .iter()
            .filter(|(_, u)| u.is_empty())
            .map(|(n, _)| n.clone())
            .collect();
        if free.is_empty() {
            return left.into_keys().next();
        }
        for name in &free {
            left.remove(name);
        }
        for uses in left.values_mut() {
            uses.retain(|u| !free.contains(u));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legal(text: &str) -> AllowedEdges {
        toml::from_str(text).unwrap()
    }

    fn found(json: &str) -> Metadata {
        serde_json::from_str(json).unwrap()
    }

    const TWO: &str = r#"{"packages":[{"name":"a","dependencies":[{"name":"b","kind":null,"path":"/b"},{"name":"serde","kind":null,"path":null}]},{"name":"b","dependencies":[]}]}"#;

    #[test]
    fn a_legal_edge_passes_and_others_do_not() {
        assert!(compare(&legal("[edges]\na = ['b']\nb = []"), &found(TWO)).is_empty());
        let wrong = compare(&legal("[edges]\na = []\nb = []"), &found(TWO));
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("a -> b"));
    }

    #[test]
    fn an_edge_without_a_use_is_reported() {
        let wrong = compare(&legal("[edges]\na = ['b']\nb = ['a']"), &found(TWO));
        assert!(wrong[0].starts_with("b -> a is not used;"), "{wrong:?}");
        let wrong = compare(
            &legal("[edges]\na = ['b']\nb = []\n[tests]\nb = ['a']"),
            &found(TWO),
        );
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("b -> a is not used in tests"));
    }

    #[test]
    fn missing_and_stale_rows_are_reported() {
        let wrong = compare(&legal("[edges]\na = ['b']\nc = []"), &found(TWO));
        assert_eq!(wrong.len(), 2);
    }

    #[test]
    fn an_edge_of_tests_is_for_tests_only() {
        let only_tests = legal("[edges]\na = []\nb = []\n[tests]\na = ['b']");
        // It is not allowed outside of tests, and not used in tests.
        assert_eq!(compare(&only_tests, &found(TWO)).len(), 2);
        let dev = TWO.replace(
            "\"kind\":null,\"path\":\"/b\"",
            "\"kind\":\"dev\",\"path\":\"/b\"",
        );
        assert!(compare(&only_tests, &found(&dev)).is_empty());
    }

    #[test]
    fn a_cycle_is_reported() {
        assert_eq!(
            cycle(&legal("[edges]\na = ['b']\nb = ['a']").edges),
            Some("a".into())
        );
        assert_eq!(cycle(&legal("[edges]\na = ['b']\nb = []").edges), None);
    }
}
