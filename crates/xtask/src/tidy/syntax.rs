//! Functions that inspect parsed code.

use std::collections::BTreeMap;

/// Parsed files by path from the checkout's root.
pub type Syntax = BTreeMap<String, syn::File>;

/// Conditions of items for the fuzz targets.
const FUZZING: &[&str] = &["feature=\"fuzzing\"", "any(test,feature=\"fuzzing\")"];

/// The names of a path, without generic arguments.
pub fn path_segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|s| s.ident.to_string()).collect()
}

/// The line on which a path begins.
pub fn line_of(path: &syn::Path) -> usize {
    path.segments
        .first()
        .map_or(0, |s| s.ident.span().start().line)
}

/// Whether an item is compiled for tests only.
pub fn is_test(item: &syn::Item) -> bool {
    attributes(item).iter().any(is_test_attribute)
}

fn is_test_attribute(attribute: &syn::Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    if !attribute.path().is_ident("cfg") {
        return false;
    }
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    // True for `test`, `all(test, …)` and the conditions of fuzz targets; code under
    // `not(test)` is production code.
    let text = list.tokens.to_string().replace(' ', "");
    text == "test" || text.starts_with("all(test,") || FUZZING.contains(&text.as_str())
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(i) => &i.attrs,
        syn::Item::Enum(i) => &i.attrs,
        syn::Item::Fn(i) => &i.attrs,
        syn::Item::Impl(i) => &i.attrs,
        syn::Item::Macro(i) => &i.attrs,
        syn::Item::Mod(i) => &i.attrs,
        syn::Item::Static(i) => &i.attrs,
        syn::Item::Struct(i) => &i.attrs,
        syn::Item::Trait(i) => &i.attrs,
        syn::Item::Type(i) => &i.attrs,
        syn::Item::Union(i) => &i.attrs,
        syn::Item::Use(i) => &i.attrs,
        _ => &[],
    }
}
