//! Dependencies that no code uses: declared in `[dependencies]` and used in
//! tests only or nowhere, declared in `[dev-dependencies]` and used nowhere, or
//! listed for the workspace and declared by no crate.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use toml::Table;

use super::file::{File, Finding};
use super::modules::Modules;

/// Packages whose library has another name.
const LIBRARIES: &[(&str, &str)] = &[("md-5", "md5")];

/// The unused dependencies of all manifests.
pub fn check(root: &Path, crates: &[Modules], files: &[File]) -> Result<Vec<Finding>> {
    let read = |path: &str| -> Result<Table> {
        let text = std::fs::read_to_string(root.join(path))
            .with_context(|| format!("{path} cannot be read"))?;
        toml::from_str(&text).with_context(|| format!("{path} cannot be parsed"))
    };
    let mut found = Vec::new();
    let mut declared = BTreeSet::new();
    let folders: BTreeSet<&str> = files.iter().map(|f| f.krate.as_str()).collect();
    for folder in folders {
        let path = format!("crates/{folder}/Cargo.toml");
        let manifest = read(&path)?;
        let prefix = format!("crates/{folder}/");
        let modules = crates.iter().filter(|m| m.file(0).starts_with(&prefix));
        let production: BTreeSet<&str> = modules.flat_map(Modules::external_names).collect();
        let own: Vec<&File> = files.iter().filter(|f| f.krate == folder).collect();
        for (section, is_used) in [
            (
                "dependencies",
                &(|library: &str| production.contains(library)) as &dyn Fn(&str) -> bool,
            ),
            ("dev-dependencies", &|library: &str| in_tests(&own, library)),
        ] {
            for name in keys(&manifest, section) {
                declared.insert(name.to_owned());
                if !is_used(&library(name)) {
                    found.push(finding(&path, format!("{section}: {name} is not used")));
                }
            }
        }
    }
    let workspace = read("Cargo.toml")?;
    if let Some(workspace) = workspace.get("workspace").and_then(toml::Value::as_table) {
        found.extend(
            keys(workspace, "dependencies")
                .filter(|name| !declared.contains(*name))
                .map(|name| finding("Cargo.toml", format!("no crate depends on {name}"))),
        );
    }
    Ok(found)
}

fn keys<'a>(manifest: &'a Table, section: &str) -> impl Iterator<Item = &'a str> {
    let section = manifest.get(section).and_then(toml::Value::as_table);
    section
        .into_iter()
        .flat_map(|t| t.keys().map(String::as_str))
}

fn finding(path: &str, message: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line: 0,
        rule: "unused",
        message,
        warning: false,
    }
}

/// The name by which code uses a package.
fn library(package: &str) -> String {
    LIBRARIES
        .iter()
        .find(|(name, _)| *name == package)
        .map_or_else(
            || package.replace('-', "_"),
            |(_, library)| (*library).to_owned(),
        )
}

/// Whether the tests, benches or examples of a crate name a library. Any path in their
/// text counts, because they are not parsed.
fn in_tests(files: &[&File], library: &str) -> bool {
    let path = format!("{library}::");
    let import = format!("use {library};");
    files.iter().any(|file| {
        let all = file.test || file.path.contains("/examples/");
        file.lines.iter().filter(|l| all || l.test).any(|line| {
            line.code.contains(&import)
                || line.code.match_indices(&path).any(|(at, _)| {
                    let before = &line.code[..at];
                    !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::syntax::Syntax;

    /// The messages about a crate with these manifests and this `lib.rs`.
    fn messages(workspace: &str, manifest: &str, lib: &str) -> Vec<String> {
        let root = std::env::temp_dir().join(format!("xtask-unused-{}", std::process::id()));
        let root = root.join(format!("{:?}", std::thread::current().id()));
        std::fs::create_dir_all(root.join("crates/c")).unwrap();
        std::fs::write(root.join("Cargo.toml"), workspace).unwrap();
        std::fs::write(root.join("crates/c/Cargo.toml"), manifest).unwrap();
        let path = "crates/c/src/lib.rs";
        let syntax = Syntax::from([(path.to_owned(), syn::parse_file(lib).unwrap())]);
        let crates = [Modules::read(&syntax, path)];
        let files = [File::new(path, lib.to_owned())];
        let found = check(&root, &crates, &files).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        found.into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn a_dependency_without_a_use_is_found() {
        let manifest = "[dependencies]\nuuid = '1'\ndigest-io = '1'";
        let one = "use digest_io::X;";
        assert_eq!(
            messages("", manifest, one),
            ["dependencies: uuid is not used"]
        );
        let both = "use digest_io::X; fn f() { vec![uuid::Uuid::nil()]; }";
        assert!(messages("", manifest, both).is_empty());
        let derived = "use digest_io::X; #[derive(uuid::Derive)] struct A;";
        assert!(messages("", manifest, derived).is_empty());
    }

    #[test]
    fn a_module_with_the_name_of_a_dependency_is_not_a_use() {
        let lib = "mod time { pub fn now() {} } fn f() { time::now(); tokio::time::now(); }";
        let found = messages("", "[dependencies]\ntime = '1'", lib);
        assert_eq!(found, ["dependencies: time is not used"]);
        let function = "fn time() -> time::Duration { todo!() }";
        assert!(messages("", "[dependencies]\ntime = '1'", function).is_empty());
    }

    #[test]
    fn a_use_in_tests_makes_it_a_dev_dependency() {
        let lib = "#[cfg(test)]\nmod tests {\n use uuid::Uuid;\n}";
        assert!(messages("", "[dev-dependencies]\nuuid = '1'", lib).is_empty());
        assert_eq!(messages("", "[dependencies]\nuuid = '1'", lib).len(), 1);
        assert_eq!(messages("", "[dev-dependencies]\nuuid = '1'", "").len(), 1);
    }

    #[test]
    fn a_dependency_of_the_workspace_without_a_crate_is_found() {
        let workspace = "[workspace.dependencies]\nuuid = '1'\nrand = '1'";
        let found = messages(workspace, "[dependencies]\nuuid = '1'", "use uuid::Uuid;");
        assert_eq!(found, ["no crate depends on rand"]);
    }
}
