//! The modules of our crates, read with syn: what each declares, imports and
//! uses, and what a path denotes.

mod reader;
mod tree;

pub use reader::Function;
pub use tree::{Modules, Target};

use super::syntax::Syntax;

/// `lib.rs`, `main.rs` and each file below `bin` begin a module tree.
pub fn roots(files: &Syntax) -> impl Iterator<Item = &str> {
    files.keys().map(String::as_str).filter(|path| {
        path.split_once("/src/").is_some_and(|(_, rest)| {
            matches!(rest, "lib.rs" | "main.rs")
                || rest
                    .strip_prefix("bin/")
                    .is_some_and(|r| !r.contains('/') || r.ends_with("/main.rs"))
        })
    })
}
