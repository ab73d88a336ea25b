//! The code rules that can be checked automatically. A rule is a function from
//! a file to findings; exemptions are listed next to the rule with their
//! reasons.

mod cycles;
mod fenced;
mod file;
mod language;
mod modules;
mod passages;
mod rules;
pub mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod unused;

use std::path::Path;

use anyhow::{Context as _, Result};

pub use self::file::{File, Finding};
use self::modules::Modules;
use self::syntax::Syntax;

/// All findings in the crates, documents and scripts below `root`.
pub fn scan(root: &Path) -> Result<Vec<Finding>> {
    let mut paths = Vec::new();
    walk(&root.join("crates"), &mut paths)?;
    paths.sort();
    let mut found = Vec::new();
    let mut syntax = Syntax::new();
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let short = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        let file = File::new(&short, text);
        if !file.test {
            let parsed =
                syn::parse_file(&file.text).with_context(|| format!("{short} cannot be parsed"))?;
            syntax.insert(short, parsed);
        }
        found.extend(evaluate(&file));
        files.push(file);
    }
    let crates: Vec<Modules> = modules::roots(&syntax)
        .map(|root| Modules::read(&syntax, root))
        .collect();
    found.extend(cycles::check(&crates));
    found.extend(fenced::check(&crates));
    found.extend(unused::check(root, &crates, &files)?);
    found.extend(passages::documents::scan(root)?);
    Ok(found)
}

/// The findings of one file.
pub fn evaluate(file: &File) -> Vec<Finding> {
    let mut found: Vec<Finding> = rules::ALL.iter().flat_map(|rule| rule(file)).collect();
    found.sort_by_key(|f| f.line);
    found
}

fn walk(dir: &Path, into: &mut Vec<std::path::PathBuf>) -> Result<()> {
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("{} cannot be listed", dir.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                walk(&path, into)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
    Ok(())
}
