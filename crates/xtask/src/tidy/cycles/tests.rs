//! Crates with a deliberate cycle, and similar ones without.

use super::of_crate;
use crate::tidy::modules::Modules;
use crate::tidy::syntax::Syntax;

/// The messages about a crate with these files below `src`.
fn messages(files: &[(&str, &str)]) -> Vec<String> {
    let syntax: Syntax = files
        .iter()
        .map(|(path, text)| {
            let file = syn::parse_file(text).unwrap();
            (format!("crates/c/src/{path}"), file)
        })
        .collect();
    of_crate(&Modules::read(&syntax, "crates/c/src/lib.rs"))
        .into_iter()
        .map(|f| f.message)
        .collect()
}

/// Whether `a.rs` with this text and `b.rs`, which uses `a::A`, form a cycle.
fn is_cycle(a: &str) -> bool {
    let b = "use crate::a::A; pub struct B(A); impl B { pub fn new() -> Self { todo!() } } pub fn f() {} #[macro_export] macro_rules! m { () => {} }";
    let a = format!("pub struct A; {a}");
    let found = messages(&[("lib.rs", "mod a; mod b;"), ("a.rs", &a), ("b.rs", b)]);
    found.len() == 1
}

#[test]
fn two_files_that_use_each_other_are_a_cycle() {
    let found = messages(&[
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "use crate::b::B;\npub struct A(B);"),
        ("b.rs", "use super::a::A;\npub struct B(Box<A>);"),
    ]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("a.rs -> B -> b.rs -> A -> a.rs"),
        "{found:?}"
    );
}

#[test]
fn each_way_to_name_an_item_counts() {
    assert!(is_cycle("use crate::b::B;"));
    assert!(is_cycle("use super::b::{self, f};"));
    assert!(is_cycle("fn g() { crate::b::f() }"));
    assert!(is_cycle("use super::b; fn g() { b::f() }"));
    assert!(is_cycle("use crate::b as other; fn g() { other::f() }"));
    assert!(is_cycle("fn g() { use crate::b::f; f() }"));
    assert!(is_cycle("use super::b::*; fn g() { f() }"));
    assert!(is_cycle("struct C(Vec<Option<super::b::B>>);"));
    assert!(is_cycle("fn g() { println!(\"{:?}\", [crate::b::f()]) }"));
    assert!(is_cycle(
        "struct C { #[serde(with = \"crate::b\")] c: u8, #[serde(default = \"crate::b::f\")] d: u8 }"
    ));
    assert!(is_cycle("mod inner { fn g() { super::super::b::f() } }"));
}

#[test]
fn names_of_others_tests_and_modules_alone_do_not_count() {
    assert!(!is_cycle(""));
    assert!(!is_cycle("use super::b;"));
    assert!(!is_cycle("use b::B; fn g() { b::f() }"));
    assert!(!is_cycle("#[cfg(test)] mod tests { use crate::b::B; }"));
    assert!(!is_cycle("#[cfg(test)] fn g() { crate::b::f() }"));
    assert!(is_cycle("#[cfg(not(test))] fn g() { crate::b::f() }"));
    assert!(!is_cycle(
        "/// See [`crate::b::B`].\nfn g() { \"crate::b::f()\"; }"
    ));
    assert!(!is_cycle("fn g(b: u8) { x.b(); }"));
}

#[test]
fn a_parent_that_re_exports_is_not_part_of_a_cycle() {
    let parent = (
        "p/mod.rs",
        "mod a; mod b; pub(crate) use a::A; pub(crate) use b::B;",
    );
    let free = messages(&[
        ("lib.rs", "mod p; pub use p::A;"),
        parent,
        ("p/a.rs", "use super::B; pub struct A(B);"),
        ("p/b.rs", "pub struct B;"),
    ]);
    assert!(free.is_empty(), "{free:?}");
    let through_parent = messages(&[
        ("lib.rs", "mod p; pub use p::A as Other;"),
        parent,
        ("p/a.rs", "use super::B; pub struct A(B);"),
        ("p/b.rs", "pub struct B(Box<crate::Other>);"),
    ]);
    assert_eq!(through_parent.len(), 1);
    assert!(through_parent[0].contains("p/a.rs -> B -> p/b.rs -> A -> p/a.rs"));
}

#[test]
fn a_parent_with_items_is_part_of_a_cycle_if_it_uses_the_child() {
    let child = ("p/a.rs", "pub fn a() -> u8 { super::LIMIT }");
    let constant = messages(&[
        ("lib.rs", "mod p;"),
        ("p/mod.rs", "mod a; pub use a::a; const LIMIT: u8 = 1;"),
        child,
    ]);
    assert!(constant.is_empty(), "{constant:?}");
    let user = messages(&[
        ("lib.rs", "mod p;"),
        ("p/mod.rs", "mod a; const LIMIT: u8 = 1; fn b() { a::a(); }"),
        child,
    ]);
    assert_eq!(user.len(), 1);
}

#[test]
fn a_method_in_another_file_than_its_type_is_found_at_self() {
    let files = |call: &str| {
        let a = format!("pub struct A; impl A {{ fn start(&self) {{ {call} }} }}");
        messages(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", &a),
            ("b.rs", "use crate::a::A; impl A { pub fn run(&self) {} }"),
        ])
    };
    assert!(files("").is_empty());
    for call in [
        "self.run()",
        "Self::run(self)",
        "A::run(self)",
        "join!(self.run())",
    ] {
        let found = files(call);
        assert!(
            found.len() == 1 && found[0].contains("A::run"),
            "{call}: {found:?}"
        );
    }
}

#[test]
fn the_shortest_cycle_of_a_component_is_shown() {
    let found = messages(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::c::C; pub struct B;"),
        ("c.rs", "use crate::{a::A, d::D}; pub struct C;"),
        ("d.rs", "use crate::c::C; pub struct D;"),
    ]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("4 files depend on each other (a.rs, b.rs, c.rs, d.rs)"));
    assert!(
        found[0].contains("c.rs -> D -> d.rs -> C -> c.rs"),
        "{found:?}"
    );
}
