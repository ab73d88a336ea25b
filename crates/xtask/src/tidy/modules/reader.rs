//! Reads what a module declares, imports and uses, without its tests.

use std::collections::{HashMap, HashSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use crate::tidy::syntax::{is_test, line_of, path_segments};

/// A use of a path.
#[derive(Debug)]
pub struct Reference {
    pub path: Vec<String>,
    /// The called method, if `path` is the type of `self`.
    pub method: Option<String>,
    pub line: usize,
}

/// A function, or the items of a module outside of functions.
#[derive(Debug, Default)]
pub struct Function {
    pub name: String,
    /// The type of its `impl` block.
    pub self_type: Option<Vec<String>>,
    /// Whether one of its parameters is a lease.
    pub leased: bool,
    /// Indices of its references in [`Contents::references`].
    pub references: std::ops::Range<usize>,
    /// Whether its `impl` block implements a trait.
    pub of_trait: bool,
    /// Methods of other values than `self` that it calls and awaits.
    pub calls: Vec<String>,
    /// Lines of transactions without a fence.
    pub unfenced: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct Contents {
    pub items: HashSet<String>,
    /// Those of `items` that can be followed by `::`.
    pub types: HashSet<String>,
    /// The paths of imported names; a name may denote both a type and a function.
    pub imports: HashMap<String, Vec<Vec<String>>>,
    /// Modules whose names are all imported.
    pub globs: Vec<Vec<String>>,
    /// Methods of `impl` blocks without a trait: path of the type, method.
    pub methods: Vec<(Vec<String>, String)>,
    pub references: Vec<Reference>,
    pub functions: Vec<Function>,
    /// Types with a field that is a lease.
    pub lease_holders: HashSet<String>,
}

/// Reads a module; its child modules are returned unread.
pub fn read(items: &[syn::Item]) -> (Contents, Vec<&syn::ItemMod>) {
    let mut reader = Reader::default();
    let mut children = Vec::new();
    for item in items.iter().filter(|i| !is_test(i)) {
        match item {
            syn::Item::Mod(child) => children.push(child),
            _ => {
                let name = name_of(item);
                if is_type(item) {
                    reader.contents.types.extend(name.clone());
                }
                reader.contents.items.extend(name);
                reader.visit_item(item);
            }
        }
    }
    (reader.contents, children)
}

fn is_type(item: &syn::Item) -> bool {
    !matches!(
        item,
        syn::Item::Const(_) | syn::Item::Fn(_) | syn::Item::Macro(_) | syn::Item::Static(_)
    )
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

/// Whether a type is a lease or a reference to one.
fn names_lease(ty: &syn::Type) -> bool {
    match ty {
        syn::Type::Reference(inner) => names_lease(&inner.elem),
        syn::Type::Path(p) => p.path.segments.last().is_some_and(|s| s.ident == "Lease"),
        _ => false,
    }
}

#[derive(Default)]
struct Reader {
    contents: Contents,
    /// The type of the `impl` block that is read.
    self_type: Option<Vec<String>>,
    of_trait: bool,
    /// The function that is read; nested ones belong to it.
    function: Option<Function>,
}

impl Reader {
    fn read_function(&mut self, signature: &syn::Signature, read: impl FnOnce(&mut Self)) {
        if self.function.is_some() {
            return read(self);
        }
        let begin = self.contents.references.len();
        self.function = Some(Function {
            name: signature.ident.to_string(),
            self_type: self.self_type.clone(),
            of_trait: self.of_trait,
            leased: signature.inputs.iter().any(|input| match input {
                syn::FnArg::Typed(typed) => names_lease(&typed.ty),
                syn::FnArg::Receiver(_) => false,
            }),
            ..Function::default()
        });
        read(self);
        if let Some(mut function) = self.function.take() {
            function.references = begin..self.contents.references.len();
            self.contents.functions.push(function);
        }
    }

    fn refer(&mut self, path: Vec<String>, line: usize) {
        let (path, method) = match (&self.self_type, path.first().map(String::as_str)) {
            (Some(own), Some("Self")) => (own.clone(), path.get(1).cloned()),
            _ => (path, None),
        };
        self.contents
            .references
            .push(Reference { path, method, line });
    }

    /// Records the begin of a transaction without a fence, by `db::write!` or by the
    /// function that this macro calls.
    fn note_unfenced(&mut self, path: &[String], line: usize) {
        let is = |name: &str| path.last().is_some_and(|last| last == name);
        let of_db = path.first().is_some_and(|first| first == "db");
        if (of_db && is("write") || is("commit_with_receipt"))
            && let Some(function) = &mut self.function
        {
            function.unfenced.push(line);
        }
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

    /// Reads the paths in the input of a macro. With `strings`, string literals can be
    /// paths, too, as in the attributes of serde.
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
                TokenTree::Ident(method) if i > 0 && punct(i - 1, '.') => {
                    if let Some(function) = &mut self.function
                        && matches!(tokens.get(i + 1), Some(TokenTree::Group(_)))
                        && matches!(tokens.get(i + 3), Some(TokenTree::Ident(a)) if a == "await")
                    {
                        function.calls.push(method.to_string());
                    }
                }
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while punct(i + 1, ':')
                        && punct(i + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(i + 3)
                    {
                        path.push(next.to_string());
                        i += 3;
                    }
                    if punct(i + 1, '!') {
                        self.note_unfenced(&path, first.span().start().line);
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
        let outer_type = std::mem::replace(&mut self.self_type, own);
        let outer_trait = std::mem::replace(&mut self.of_trait, item.trait_.is_some());
        visit::visit_item_impl(self, item);
        self.self_type = outer_type;
        self.of_trait = outer_trait;
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

    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        if let syn::Expr::MethodCall(call) = &*expr.base
            && let Some(function) = &mut self.function
        {
            function.calls.push(call.method.to_string());
        }
        visit::visit_expr_await(self, expr);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.read_function(&item.sig, |reader| visit::visit_item_fn(reader, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.read_function(&item.sig, |reader| visit::visit_impl_item_fn(reader, item));
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        if item.fields.iter().any(|field| names_lease(&field.ty)) {
            self.contents.lease_holders.insert(item.ident.to_string());
        }
        visit::visit_item_struct(self, item);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let path = path_segments(&mac.path);
        self.note_unfenced(&path, line_of(&mac.path));
        self.refer(path, line_of(&mac.path));
        self.tokens(mac.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let path = path_segments(attribute.path());
        let known = |name| attribute.path().is_ident(name);
        if let syn::Meta::List(list) = &attribute.meta
            && (known("serde") || known("derive"))
        {
            self.tokens(list.tokens.clone(), known("serde"));
        }
        if path.len() > 1 {
            self.refer(path, line_of(attribute.path()));
        }
    }
}
