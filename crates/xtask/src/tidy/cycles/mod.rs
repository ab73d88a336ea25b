//! Cycles between the modules of a crate. A module is a file; it depends on the
//! files that define the items that it uses. A re-export is not a use: the user of
//! a re-exported item depends on the file that defines it. Tests do not count.
//!
//! A call of a method is seen only if the receiver is `self`, because the types
//! of other expressions are unknown here.

mod graph;
#[cfg(test)]
mod tests;

use self::graph::Graph;
use super::file::Finding;
use super::modules::{Modules, Target};

/// The cycles of all crates.
pub fn check(crates: &[Modules]) -> Vec<Finding> {
    crates.iter().flat_map(of_crate).collect()
}

/// The cycles of a crate.
fn of_crate(modules: &Modules) -> Vec<Finding> {
    let graph = dependencies(modules);
    let root = modules.file(0);
    let (base, _) = root.rsplit_once('/').unwrap_or_default();
    let components = graph.components();
    let cycles = components.into_iter();
    cycles.map(|c| describe(&graph, &c, base)).collect()
}

fn dependencies(modules: &Modules) -> Graph {
    let mut graph = Graph::default();
    for (module, reference) in modules.references() {
        let from = modules.file(module);
        let mut depend = |target: usize, item: &str| {
            let to = modules.file(target);
            if from != to {
                graph.add(from, to, item, reference.line);
            }
        };
        match modules.resolve(module, &reference.path) {
            Some(Target::Item { module, name, rest }) => {
                // A method can be in another file than its type.
                if let Some(method) = rest.first().or(reference.method.as_ref())
                    && let Some(implementing) = modules.method(module, &name, method)
                {
                    depend(implementing, &format!("{name}::{method}"));
                }
                depend(module, &name);
            }
            Some(Target::Module(_)) | None => {}
        }
    }
    graph
}

fn describe(graph: &Graph, component: &[&str], base: &str) -> Finding {
    let short = |path: &str| path.strip_prefix(base).unwrap_or(path)[1..].to_owned();
    let cycle = graph.shortest_cycle(component);
    let mut message = format!("{} files depend on each other", component.len());
    if component.len() > cycle.len() {
        let names: Vec<String> = component.iter().map(|f| short(f)).collect();
        message.push_str(&format!(" ({})", names.join(", ")));
    }
    message.push_str("; shortest cycle: ");
    for step in &cycle {
        message.push_str(&format!("{} -> {} -> ", short(step.from), step.item));
    }
    message.push_str(&cycle.first().map(|s| short(s.from)).unwrap_or_default());
    message.push_str(
        "; move what both files need into a file that uses neither, or pass it as an argument",
    );
    Finding {
        path: cycle.first().map(|s| s.from).unwrap_or(base).to_owned(),
        line: cycle.first().map_or(0, |s| s.line),
        rule: "cycles",
        message,
        warning: false,
    }
}
