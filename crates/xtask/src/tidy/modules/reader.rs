//! What one module declares, imports and uses, apart from its tests.

use std::collections::{HashMap, HashSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::tidy::syntax::{is_test, line_of, path_segments};

/// A use of a path.
#[derive(Debug)]
pub struct Reference {
    pub path: Vec<String>,
    /// `path` is the type of `self`, and this method is called on it.
    pub method: Option<String>,
    pub line: usize,
}

#[derive(Debug, Default)]
pub struct Contents {
    pub items: HashSet<String>,
    /// Imported name to paths; a name may denote a type and a function.
    pub imports: HashMap<String, Vec<Vec<String>>>,
    /// Modules whose names are all imported.
    pub globs: Vec<Vec<String>>,
    /// Methods of `impl` blocks without a trait: path of the type, method.
    pub methods: Vec<(Vec<String>, String)>,
    pub references: Vec<Reference>,
}

/// Reads a module; its child modules are returned unread.
pub fn read(items: &[syn::Item]) -> (Contents, Vec<&syn::ItemMod>) {
    let mut reader = Reader::default();
    let mut children = Vec::new();
    for item in items.iter().filter(|i| !is_test(i)) {
        match item {
            syn::Item::Mod(child) => children.push(child),
            _ => {
                reader.contents.items.extend(name_of(item));
                reader.visit_item(item);
            }
        }
    }
    (reader.contents, children)
}

fn name_of(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(i) => &i.ident,
        syn::Item::Enum(i) => &i.ident,
        syn::Item::Fn(i) => &i.sig.ident,
        syn::Item::Macro(i) => i.ident.as_ref()?,
        syn::Item::Static(i) => &i.ident,
        syn::Item::Struct(i) => &i.ident,
        syn::Item::Trait(i) => &i.ident,
        syn::Item::TraitAlias(i) => &i.ident,
        syn::Item::Type(i) => &i.ident,
        syn::Item::Union(i) => &i.ident,
        _ => return None,
    };
    Some(name.to_string())
}

#[derive(Default)]
struct Reader {
    contents: Contents,
    /// The type of the `impl` block that is read.
    self_type: Option<Vec<String>>,
}

impl Reader {
    fn refer(&mut self, path: Vec<String>, line: usize) {
        let (path, method) = match (&self.self_type, path.first().map(String::as_str)) {
            (Some(own), Some("Self")) => (own.clone(), path.get(1).cloned()),
            _ => (path, None),
        };
        self.contents
            .references
            .push(Reference { path, method, line });
    }

    fn call_on_self(&mut self, method: &proc_macro2::Ident) {
        if let Some(path) = self.self_type.clone() {
            self.contents.references.push(Reference {
                path,
                method: Some(method.to_string()),
                line: method.span().start().line,
            });
        }
    }

    fn import(&mut self, tree: &syn::UseTree, prefix: &[String], exported: bool) {
        let with = |name: &proc_macro2::Ident| {
            let mut path = prefix.to_vec();
            path.push(name.to_string());
            path
        };
        let (mut name, mut path, last) = match tree {
            syn::UseTree::Path(p) => return self.import(&p.tree, &with(&p.ident), exported),
            syn::UseTree::Group(g) => {
                for tree in &g.items {
                    self.import(tree, prefix, exported);
                }
                return;
            }
            syn::UseTree::Glob(_) => return self.contents.globs.push(prefix.to_vec()),
            syn::UseTree::Name(n) => (n.ident.to_string(), with(&n.ident), &n.ident),
            syn::UseTree::Rename(r) => (r.rename.to_string(), with(&r.ident), &r.ident),
        };
        // `use a::{self}` imports `a`.
        let line = last.span().start().line;
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
            if name == "self" {
                name = path.last().cloned().unwrap_or_default();
            }
        }
        if !exported {
            self.contents.references.push(Reference {
                path: path.clone(),
                method: None,
                line,
            });
        }
        self.contents.imports.entry(name).or_default().push(path);
    }

    /// Paths in the input of a macro: names with `::` between them. `strings`
    /// are names in string literals, as serde takes them.
    fn tokens(&mut self, stream: TokenStream, strings: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let punct = |i: usize, c: char| matches!(tokens.get(i), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut i = 0;
        while let Some(token) = tokens.get(i) {
            match token {
                TokenTree::Group(group) => self.tokens(group.stream(), strings),
                TokenTree::Literal(literal) if strings => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                        self.refer(path_segments(&path), literal.span().start().line);
                    }
                }
                TokenTree::Ident(first) if i == 0 || !punct(i - 1, '.') => {
                    let mut path = vec![first.to_string()];
                    while punct(i + 1, ':')
                        && punct(i + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(i + 3)
                    {
                        path.push(next.to_string());
                        i += 3;
                    }
                    if path == ["self"]
                        && punct(i + 1, '.')
                        && let Some(TokenTree::Ident(method)) = tokens.get(i + 2)
                        && matches!(tokens.get(i + 3), Some(TokenTree::Group(_)))
                    {
                        self.call_on_self(method);
                    }
                    self.refer(path, first.span().start().line);
                }
                _ => {}
            }
            i += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        if item.leading_colon.is_none() {
            self.import(&item.tree, &[], exported);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let own = match &*item.self_ty {
            syn::Type::Path(p) if p.qself.is_none() => Some(path_segments(&p.path)),
            _ => None,
        };
        if let (Some(own), None) = (&own, &item.trait_) {
            for inner in &item.items {
                if let syn::ImplItem::Fn(f) = inner {
                    let name = f.sig.ident.to_string();
                    self.contents.methods.push((own.clone(), name));
                }
            }
        }
        let outer = std::mem::replace(&mut self.self_type, own);
        visit::visit_item_impl(self, item);
        self.self_type = outer;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.refer(path_segments(path), line_of(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if matches!(&*call.receiver, syn::Expr::Path(p) if p.path.is_ident("self")) {
            self.call_on_self(&call.method);
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.refer(path_segments(&mac.path), line_of(&mac.path));
        self.tokens(mac.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("serde")
            && let syn::Meta::List(list) = &attribute.meta
        {
            self.tokens(list.tokens.clone(), true);
        }
    }
}
