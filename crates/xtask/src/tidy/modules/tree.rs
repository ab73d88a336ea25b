//! The modules of a crate and the resolution of paths to the module that
//! defines an item.

use std::collections::{BTreeSet, HashMap};

use super::reader::{self, Contents, Function, Reference};
use crate::tidy::syntax::Syntax;

/// Import chains longer than this are circular, as `use a as a`.
const MAX_IMPORTS: usize = 32;

/// What a path denotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Module(usize),
    Item {
        /// The module that defines it.
        module: usize,
        name: String,
        /// The path after the name: a variant or an associated function.
        rest: Vec<String>,
    },
}

struct Module {
    parent: usize,
    file: String,
    children: HashMap<String, usize>,
    contents: Contents,
}

/// All modules of a crate; the root has number 0.
#[derive(Default)]
pub struct Modules {
    all: Vec<Module>,
    /// Inherent methods: module and name of the type, name of the method, to
    /// the module of the `impl` block.
    methods: HashMap<(usize, String, String), usize>,
}

impl Modules {
    /// Reads the module tree below a root file.
    pub fn read(files: &Syntax, root: &str) -> Self {
        let mut modules = Self::default();
        if let Some(file) = files.get(root) {
            let dir = root.rsplit_once('/').map_or("", |(dir, _)| dir);
            modules.add(files, 0, root, dir, &file.items);
        }
        modules.locate_methods();
        modules
    }

    /// Adds a module with its children and returns its number. `dir` is the
    /// folder with the files of the children.
    fn add(
        &mut self,
        files: &Syntax,
        parent: usize,
        file: &str,
        dir: &str,
        items: &[syn::Item],
    ) -> usize {
        let (contents, children) = reader::read(items);
        let number = self.all.len();
        self.all.push(Module {
            parent,
            file: file.to_owned(),
            children: HashMap::new(),
            contents,
        });
        for child in children {
            let name = child.ident.to_string();
            let inner = format!("{dir}/{name}");
            let added = match &child.content {
                Some((_, items)) => Some(self.add(files, number, file, &inner, items)),
                None => [format!("{inner}.rs"), format!("{inner}/mod.rs")]
                    .into_iter()
                    .find_map(|path| Some((files.get(&path)?, path)))
                    .map(|(syntax, path)| self.add(files, number, &path, &inner, &syntax.items)),
            };
            if let Some(added) = added {
                self.all[number].children.insert(name, added);
            }
        }
        number
    }

    fn locate_methods(&mut self) {
        let mut found = Vec::new();
        for (module, m) in self.all.iter().enumerate() {
            for (path, method) in &m.contents.methods {
                if let Some(Target::Item {
                    module: home, name, ..
                }) = self.resolve(module, path)
                {
                    found.push(((home, name, method.clone()), module));
                }
            }
        }
        self.methods.extend(found);
    }

    /// The file of a module.
    pub fn file(&self, module: usize) -> &str {
        self.all.get(module).map_or("", |m| &m.file)
    }

    /// The module with the inherent method of a type.
    pub fn method(&self, module: usize, name: &str, method: &str) -> Option<usize> {
        self.methods
            .get(&(module, name.to_owned(), method.to_owned()))
            .copied()
    }

    /// All uses of paths, with their modules.
    pub fn references(&self) -> impl Iterator<Item = (usize, &Reference)> {
        self.all
            .iter()
            .enumerate()
            .flat_map(|(i, m)| m.contents.references.iter().map(move |r| (i, r)))
    }

    /// All functions, with their modules.
    pub fn functions(&self) -> impl Iterator<Item = (usize, &Function)> {
        self.all
            .iter()
            .enumerate()
            .flat_map(|(i, m)| m.contents.functions.iter().map(move |f| (i, f)))
    }

    /// The uses of paths in a function.
    pub fn references_of(&self, module: usize, function: &Function) -> &[Reference] {
        self.all
            .get(module)
            .and_then(|m| m.contents.references.get(function.references.clone()))
            .unwrap_or_default()
    }

    /// Whether a type has a field that is a lease.
    pub fn holds_lease(&self, module: usize, name: &str) -> bool {
        self.all
            .get(module)
            .is_some_and(|m| m.contents.lease_holders.contains(name))
    }

    /// The first names of paths that begin outside of this crate.
    pub fn external_names(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        for (i, module) in self.all.iter().enumerate() {
            let contents = &module.contents;
            let used = contents.references.iter().map(|r| &r.path);
            let imported = contents.imports.values().flatten();
            for path in used.chain(imported).chain(&contents.globs) {
                if let [first, ..] = &path[..]
                    && !matches!(first.as_str(), "crate" | "self" | "super" | "Self")
                    && self.lookup(i, first, path.len() > 1, 0).is_none()
                {
                    found.insert(first.as_str());
                }
            }
        }
        found
    }

    /// What a path in a module denotes; `None` if it is not of this crate.
    pub fn resolve(&self, module: usize, path: &[String]) -> Option<Target> {
        self.resolve_within(module, path, 0)
    }

    fn resolve_within(&self, module: usize, path: &[String], imports: usize) -> Option<Target> {
        if imports > MAX_IMPORTS {
            return None;
        }
        let mut at = module;
        let mut rest = path;
        let mut absolute = false;
        while let Some((first, tail)) = rest.split_first() {
            at = match first.as_str() {
                "crate" => 0,
                "self" => at,
                "super" => self.all.get(at)?.parent,
                _ => break,
            };
            absolute = true;
            rest = tail;
        }
        while let Some((name, tail)) = rest.split_first() {
            match self.lookup(at, name, !tail.is_empty(), imports) {
                Some(Target::Module(inner)) => at = inner,
                Some(Target::Item {
                    module,
                    name,
                    rest: mut more,
                }) => {
                    more.extend(tail.iter().cloned());
                    return Some(Target::Item {
                        module,
                        name,
                        rest: more,
                    });
                }
                // The item may be defined by a macro.
                None if absolute => {
                    return Some(Target::Item {
                        module: at,
                        name: name.clone(),
                        rest: tail.to_vec(),
                    });
                }
                None => return None,
            }
            absolute = true;
            rest = tail;
        }
        Some(Target::Module(at))
    }

    /// A name in a module. The same name can denote a module and an item; in
    /// the middle of a path it is the module.
    fn lookup(&self, at: usize, name: &str, inside: bool, imports: usize) -> Option<Target> {
        let module = self.all.get(at)?;
        let child = module.children.get(name).copied().map(Target::Module);
        if inside && child.is_some() {
            return child;
        }
        let mut found: Vec<Target> = Vec::new();
        let items = if inside {
            &module.contents.types
        } else {
            &module.contents.items
        };
        if items.contains(name) {
            found.push(Target::Item {
                module: at,
                name: name.to_owned(),
                rest: Vec::new(),
            });
        }
        for path in module.contents.imports.get(name).into_iter().flatten() {
            found.extend(self.resolve_within(at, path, imports + 1));
        }
        found.extend(child);
        for path in &module.contents.globs {
            // A glob import of the module itself would not end.
            if let Some(Target::Module(inner)) = self.resolve_within(at, path, imports + 1)
                && inner != at
                && imports <= MAX_IMPORTS
            {
                found.extend(self.lookup(inner, name, inside, imports + 1));
            }
        }
        let wanted = |t: &Target| matches!(t, Target::Module(_)) == inside;
        found
            .iter()
            .position(wanted)
            .or_else(|| (!found.is_empty()).then_some(0))
            .map(|i| found.swap_remove(i))
    }
}
