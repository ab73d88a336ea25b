//! Finds writes of workers without a fence. A worker is a function that takes a
//! lease, a method of a type that contains one, or a function that a worker calls.
//! The columns that only workers write are protected by types, because their writers
//! take a `&mut Fenced`. This rule ensures what types cannot: a worker uses no plain
//! transaction for other columns, either.
//!
//! The types of values are unknown here. A method of another value than `self` is
//! followed if it is awaited and only one type of the crate has a method of this
//! name; the methods of traits are the interfaces of other services.

use std::collections::{HashMap, HashSet};

use super::file::Finding;
use super::modules::{Function, Modules, Target};

/// The crates that implement leases and transactions.
const EXEMPT: &[&str] = &["db", "flow"];

/// Functions with a plain transaction that workers may call, with the reasons.
const ALLOWED: &[(&str, &str)] = &[
    // It starts a task that continues after the run and marks the servers that wait
    // for the image. Marking a key needs no lease.
    ("crates/compute/src/server/pulls.rs", "begin"),
];

/// Module and type of a function, and its name.
type Key = (usize, Option<String>, String);

struct Workers<'a> {
    modules: &'a Modules,
    functions: HashMap<Key, (usize, &'a Function)>,
    /// The functions of types, by name.
    by_name: HashMap<&'a str, Vec<Key>>,
}

/// The unfenced writes of all crates.
pub fn check(crates: &[Modules]) -> Vec<Finding> {
    crates
        .iter()
        .filter(|modules| {
            let krate = modules.file(0).split('/').nth(1).unwrap_or_default();
            !EXEMPT.contains(&krate)
        })
        .flat_map(|modules| Workers::new(modules).unfenced(ALLOWED))
        .collect()
}

impl<'a> Workers<'a> {
    fn new(modules: &'a Modules) -> Self {
        let mut functions = HashMap::new();
        let mut by_name: HashMap<&str, Vec<Key>> = HashMap::new();
        for (module, function) in modules.functions() {
            let key = match owner(modules, module, function) {
                Some((home, name)) => (home, Some(name), function.name.clone()),
                None => (module, None, function.name.clone()),
            };
            if key.1.is_some() && !function.of_trait {
                let known = by_name.entry(&function.name).or_default();
                known.push(key.clone());
            }
            functions.insert(key, (module, function));
        }
        Self {
            modules,
            functions,
            by_name,
        }
    }

    fn is_worker(&self, (home, name, _): &Key, function: &Function) -> bool {
        let holder = name
            .as_ref()
            .is_some_and(|name| self.modules.holds_lease(*home, name));
        function.leased || holder
    }

    /// Follows the calls of all workers; each function is reported once, with
    /// the calls that lead to it.
    fn unfenced(&self, allowed: &[(&str, &str)]) -> Vec<Finding> {
        let mut open: Vec<(Key, Vec<String>)> = self
            .functions
            .iter()
            .filter(|(key, (_, function))| self.is_worker(key, function))
            .map(|(key, _)| (key.clone(), Vec::new()))
            .collect();
        open.sort();
        let mut seen: HashSet<Key> = open.iter().map(|(key, _)| key.clone()).collect();
        let mut found = Vec::new();
        let mut next = 0;
        while let Some((key, callers)) = open.get(next).cloned() {
            next += 1;
            let Some((module, function)) = self.functions.get(&key) else {
                continue;
            };
            let path = self.modules.file(*module);
            if allowed.contains(&(path, function.name.as_str())) {
                continue;
            }
            let mut path_of_calls = callers;
            path_of_calls.push(function.name.clone());
            for line in &function.unfenced {
                found.push(Finding {
                    path: path.to_owned(),
                    line: *line,
                    rule: "fenced",
                    message: format!(
                        "a worker writes without a fence ({}); use db::fenced! with its lease",
                        path_of_calls.join(" -> ")
                    ),
                    warning: false,
                });
            }
            for called in self.called(*module, function) {
                if seen.insert(called.clone()) {
                    open.push((called, path_of_calls.clone()));
                }
            }
        }
        found
    }

    /// The functions of this crate that a function names.
    fn called(&self, module: usize, function: &Function) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::new();
        for reference in self.modules.references_of(module, function) {
            let Some(Target::Item { module, name, rest }) =
                self.modules.resolve(module, &reference.path)
            else {
                continue;
            };
            keys.push(match rest.first().or(reference.method.as_ref()) {
                Some(method) => (module, Some(name), method.clone()),
                None => (module, None, name),
            });
        }
        for name in &function.calls {
            if let Some([only]) = self.by_name.get(name.as_str()).map(Vec::as_slice) {
                keys.push(only.clone());
            }
        }
        keys.retain(|key| self.functions.contains_key(key));
        keys
    }
}

/// The module and the name of the type that a function belongs to.
fn owner(modules: &Modules, module: usize, function: &Function) -> Option<(usize, String)> {
    let path = function.self_type.as_ref()?;
    match modules.resolve(module, path)? {
        Target::Item { module, name, .. } => Some((module, name)),
        Target::Module(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::syntax::Syntax;

    fn lines(allowed: &[(&str, &str)], files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let syntax: Syntax = files
            .iter()
            .map(|(path, text)| {
                let file = syn::parse_file(text).unwrap();
                (format!("crates/c/src/{path}"), file)
            })
            .collect();
        let modules = Modules::read(&syntax, "crates/c/src/lib.rs");
        Workers::new(&modules)
            .unfenced(allowed)
            .into_iter()
            .map(|f| (f.path, f.line))
            .collect()
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod work; mod ops;");
    const OPS: (&str, &str) = (
        "ops.rs",
        "pub struct Ops;\nimpl Ops {\n async fn rename(&self) {\n  db::write!(self.db, |tx| tx.x().await);\n }\n}\npub fn free() {\n db::write!(db, |tx| tx.x().await)\n}",
    );

    #[test]
    fn a_plain_transaction_of_a_worker_is_found() {
        let worker = "fn run(lease: &Lease) {\n db::write!(d.db, |tx| x(tx).await)?;\n}";
        let found = lines(&[], &[ROOT, ("work.rs", worker), OPS]);
        assert_eq!(found, [("crates/c/src/work.rs".to_owned(), 2)]);
        let holder = "struct Run<'a> { lease: &'a Lease }\nimpl Run<'_> {\n fn step(&self) {\n  join!(db::write!(d.db, |tx| x(tx).await));\n }\n}";
        let found = lines(&[], &[ROOT, ("work.rs", holder), OPS]);
        assert_eq!(found, [("crates/c/src/work.rs".to_owned(), 4)]);
    }

    #[test]
    fn methods_of_traits_and_of_collections_are_not_followed() {
        let worker = "fn run(lease: &Lease) { d.ops.rename(); api.show().await; }";
        let ops = "struct Ops; impl Ops { async fn rename(&self) { db::write!(a, |tx| b) } }\nimpl Api for Ops { async fn show(&self) { db::write!(a, |tx| b) } }";
        assert!(lines(&[], &[ROOT, ("work.rs", worker), ("ops.rs", ops)]).is_empty());
    }

    #[test]
    fn fenced_transactions_and_writes_of_operations_are_accepted() {
        let worker = "fn run(lease: &Lease) { db::fenced!(d.db, lease, |tx| x(tx).await)?; write!(text, \"a\")?; }";
        assert!(lines(&[], &[ROOT, ("work.rs", worker), OPS]).is_empty());
    }

    #[test]
    fn the_functions_that_a_worker_calls_are_followed() {
        for (call, line) in [
            ("crate::ops::free()", 8),
            ("self.ops.rename().await?", 4),
            ("db::fenced!(d, lease, |tx| ops.rename().await)", 4),
        ] {
            let worker = format!("fn run(lease: &Lease) {{ step() }}\nfn step() {{ {call}; }}");
            let found = lines(&[], &[ROOT, ("work.rs", &worker), OPS]);
            assert_eq!(found, [("crates/c/src/ops.rs".to_owned(), line)], "{call}");
        }
        let allowed = [("crates/c/src/ops.rs", "free")];
        let worker = "fn run(lease: &Lease) { crate::ops::free() }";
        assert!(lines(&allowed, &[ROOT, ("work.rs", worker), OPS]).is_empty());
    }
}
