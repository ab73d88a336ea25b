//! Each rule reports its violation and ignores similar code.

use super::file::File;
use super::{evaluate, source};

fn rules_of(path: &str, text: &str) -> Vec<&'static str> {
    evaluate(&File::new(path, text.to_owned()))
        .iter()
        .filter(|f| !f.warning)
        .map(|f| f.rule)
        .collect()
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let lines = source::read(
        "let a = \"x // y\"; // unsafe {\n/* unsafe { /* */ */ let b = '\"'; let c: &'static str = r#\"q\"q\"#;",
    );
    assert_eq!(lines[0].code, "let a = \"\"; ");
    assert_eq!(lines[0].strings, ["x // y"]);
    assert_eq!(lines[1].code, " let b = ''; let c: &'static str = \"\";");
    assert_eq!(lines[1].strings, ["q\"q"]);
}

#[test]
fn a_string_over_lines_keeps_the_count() {
    let lines = source::read("a(\"one\n two \\\n three\");\nb();");
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3].code, "b();");
}

#[test]
fn the_end_of_a_test_module_is_found() {
    let lines = source::read("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}");
    assert_eq!(
        lines.iter().map(|l| l.test).collect::<Vec<_>>(),
        [false, true, true, true, true, false]
    );
    let lines = source::read("#[cfg(test)]\nmod tests;\nfn c() {}");
    assert_eq!(
        lines.iter().map(|l| l.test).collect::<Vec<_>>(),
        [true, true, false]
    );
}

#[test]
fn length() {
    let long = "fn a() {}\n".repeat(601);
    assert_eq!(rules_of("crates/a/src/b.rs", &long), ["length"]);
    assert!(rules_of("crates/a/src/b.rs", &"fn a() {}\n".repeat(600)).is_empty());
    assert!(rules_of("crates/a/src/tests.rs", &long).is_empty());
    let mostly_tests = format!("#[cfg(test)]\nmod tests {{\n{long}}}\n");
    assert!(rules_of("crates/a/src/b.rs", &mostly_tests).is_empty());
}

#[test]
fn header() {
    assert_eq!(rules_of("crates/a/src/lib.rs", "mod a;"), ["header"]);
    assert!(rules_of("crates/a/src/lib.rs", "\n//! What it is.\nmod a;").is_empty());
    assert!(rules_of("crates/a/src/a.rs", "mod a;").is_empty());
}

#[test]
fn names() {
    assert_eq!(rules_of("crates/a/src/util.rs", ""), ["names"]);
    assert_eq!(rules_of("crates/a/src/base/x.rs", ""), ["names"]);
    assert_eq!(
        rules_of("crates/a/src/x.rs", "pub(crate) mod helpers;"),
        ["names"]
    );
    assert!(rules_of("crates/a/src/x.rs", "mod database;\n// mod util;").is_empty());
}

#[test]
fn sql_only_in_table_files() {
    let text = "db.query(\"SELECT id\n FROM cluster WHERE a = ?\", v)";
    assert_eq!(
        rules_of("crates/clusters/src/cluster/ops.rs", text),
        ["sql"]
    );
    assert!(rules_of("crates/clusters/src/cluster/table.rs", text).is_empty());
    assert!(rules_of("crates/db/src/lease.rs", text).is_empty());
    assert!(
        rules_of(
            "crates/clusters/src/ops.rs",
            "fail(\"Select one from the list\")"
        )
        .contains(&"sql")
    );
    assert!(rules_of("crates/clusters/src/ops.rs", "fail(\"update failed\")").is_empty());
}

#[test]
fn unsafe_code() {
    assert_eq!(
        rules_of("crates/docker/src/x.rs", "unsafe { a() }"),
        ["unsafe"]
    );
    assert!(rules_of("crates/docker/src/x.rs", "#![forbid(unsafe_code)]").is_empty());
}

#[test]
fn pure_files_are_not_async() {
    assert_eq!(
        rules_of("crates/clusters/src/cluster/model.rs", "async fn a() {}"),
        ["pure"]
    );
    assert!(rules_of("crates/clusters/src/cluster/ops.rs", "async fn a() {}").is_empty());
}

#[test]
fn banned_words_are_found_in_names_and_comments() {
    let path = "crates/kernel/src/x.rs";
    let broken =
        |text: &str| rules_of(path, &format!("//! A module.\n{text}")).contains(&"plain_language");
    assert!(broken("fn tell_all() {}"));
    assert!(broken("struct OracleAnswer;"));
    assert!(broken("// Whoever calls this waits."));
    assert!(broken("fn a() {} // It was struck."));
    assert!(!broken("fn teller() {}"));
    assert!(!broken("// The column `doomed` is stored."));
    assert!(!broken("// Part of the control plane."));
    assert_eq!(
        rules_of(path, "// A node that nobody\n// knows comes\n// back."),
        ["plain_language", "plain_language"]
    );
    assert!(rules_of("crates/kernel/src/face.rs", "//! A module.").contains(&"plain_language"));
}

#[test]
fn banned_words_are_found_in_messages() {
    let path = "crates/kernel/src/x.rs";
    let broken = |text: &str| rules_of(path, text).contains(&"plain_language");
    assert!(broken("fail(\"somebody removed it\")"));
    assert!(broken("fail(\"The server {id} was \\\n  struck.\")"));
    assert!(!broken("const A: &str = \"somebody\";"));
    assert!(!broken("args([\"strike\", \"the {id}\"])"));
    assert!(!broken(
        "db.query(\"SELECT doomed FROM resource WHERE id = ?\")"
    ));
    assert!(!broken("fail(\"The field `doomed` is {value}.\")"));
    assert!(!broken(
        "#[cfg(test)]\nmod tests {\n    const A: &str = \"somebody removed it\";\n}"
    ));
    assert!(
        !rules_of(
            "crates/kernel/src/tests.rs",
            "fail(\"somebody removed it\")"
        )
        .contains(&"plain_language")
    );
}
