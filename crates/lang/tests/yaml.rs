//! YAML as in Heat's loader; the table was generated with PyYAML.
#![expect(clippy::panic, reason = "a test that cannot go on fails")]

use lang::parse;
use serde_json::{Value, json};

fn value(text: &str) -> Value {
    parse(text)
        .unwrap_or_else(|p| panic!("{text}: {p}"))
        .to_json()
}

#[test]
fn plain_scalars() {
    for (text, expected) in [
        ("010", json!(8)),
        ("-010", json!(-8)),
        ("08", json!("08")),
        ("0o10", json!("0o10")),
        ("0b11", json!(3)),
        ("0x1F", json!(31)),
        ("1_000", json!(1000)),
        ("1:30", json!(90)),
        ("yes", json!(true)),
        ("On", json!(true)),
        ("off", json!(false)),
        ("y", json!("y")),
        ("1e3", json!("1e3")),
        ("1.0e+3", json!(1000.0)),
        ("1.5", json!(1.5)),
        ("-.5", json!("-.5")),
        (".5", json!(0.5)),
        ("2013-05-23", json!("2013-05-23")),
        ("~", json!(null)),
        ("null", json!(null)),
        ("+", json!("+")),
        ("-", json!([null])),
        ("1.2.3", json!("1.2.3")),
        ("10.0.0.0/24", json!("10.0.0.0/24")),
        ("'010'", json!("010")),
        ("!!str 10", json!("10")),
        ("!!int '10'", json!(10)),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn keys_stay_text_and_maps_merge() {
    assert_eq!(value("yes: 1\n0: a"), json!({"yes": 1, "0": "a"}));
    let text = "base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\n";
    assert_eq!(value(text)["more"], json!({"y": 3, "x": 1}));
    assert_eq!(
        value("{\"a\": [1, \"\\ud83d\\ude00\"]}"),
        json!({"a": [1, "😀"]})
    );
    assert_eq!(value(""), json!(null));
}

#[test]
fn mistakes_have_their_line() {
    for (text, line, why) in [
        ("a: 1\nb: 2\na: 3", 3, "Duplicate key 'a'."),
        ("a: 1\nb: !foo x", 2, "Unknown tag"),
        ("a: .inf", 1, "cannot be read"),
        ("a: 1\n? [x]\n: 2", 2, "A key must be text"),
        ("a: 1\n---\nb: 2", 2, "single document"),
        ("a: &x [*x]", 1, "refers to a node that contains it"),
    ] {
        let p = parse(text).unwrap_err();
        assert!(p.message.contains(why), "{text}: {p}");
        assert_eq!(p.pos.unwrap().line, line, "{text}: {p}");
    }
    assert!(parse("a: [1, 2").is_err());
    assert!(parse("{\"a\": 1, \"a\": 2}").is_err());
}

#[test]
fn templates_that_expand_without_bound_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let list = vec![format!("*a{}", i - 1); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{list}]\n"));
    }
    assert!(parse(&text).unwrap_err().message.contains("unfolds"));
    let deep = format!("{}{}", "[".repeat(80), "]".repeat(80));
    assert!(parse(&deep).unwrap_err().message.contains("nesting"));
    assert!(parse(&"[".repeat(10_000)).is_err());
    assert!(parse(&" ".repeat(lang::MAX_BYTES + 1)).is_err());
}

#[test]
fn aliases_do_not_evade_the_limits() {
    let message = |text: &str| parse(text).unwrap_err().message;
    let long = format!(
        "a: &x '{}'\nb: [{}]\n",
        "y".repeat(20_000),
        "*x,".repeat(5000)
    );
    assert!(message(&long).contains("bytes"));
    let (open, close) = ("[".repeat(60), "]".repeat(60));
    let deep = format!("a: &a {open}{close}\nb: {open}*a{close}\n");
    assert!(message(&deep).contains("nesting"));
    // Every anchor is a copy.
    let anchors: String = (0..60).map(|i| format!("&n{i} [")).collect();
    let copies = format!("{anchors}{}{close}", "1,".repeat(9000));
    assert!(message(&copies).contains("values"));
}

#[test]
fn json_that_is_no_yaml_has_the_same_limits() {
    let emoji = r#""a": "\ud83d\ude00""#;
    let of_depth = |n: usize| format!("{{{emoji}, \"b\": {}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(parse(&of_depth(60)).is_ok());
    assert!(parse(&of_depth(100)).is_err());
}

#[test]
fn a_quoted_key_is_never_a_merge() {
    assert_eq!(value(r#"{"\0<<": 1}"#), json!({"\0<<": 1}));
    assert_eq!(value(r#"{"<<": 1}"#), json!({"<<": 1}));
}

proptest::proptest! {
    /// Every input is parsed or rejected without a panic.
    #[test]
    fn no_text_breaks_it(text in "[a-z0-9:{}\\[\\],&*!|>\"' \n<?-]{0,80}") {
        let _ = parse(&text);
    }
}
