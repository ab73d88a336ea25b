//! The functions of HOT, with the edge cases of Heat.

use std::collections::BTreeMap;

use lang::hot::{Bound, Pseudo, Scope, Template};
use lang::{Path, describe};
use serde_json::{Value, json};

struct AllResources;

impl Scope for AllResources {
    fn reference(&self, r: &str) -> Result<Value, String> {
        Ok(json!(format!("id-of-{r}")))
    }
    fn attribute(&self, r: &str, path: &[Value]) -> Result<Value, String> {
        Ok(json!(format!("{r}:{}", Value::from(path.to_vec()))))
    }
}

const PARAMS: &str = "
parameters:
  s: {type: string, default: hello}
  n: {type: number, default: '1.50'}
  l: {type: comma_delimited_list, default: 'a,b, c'}
  j: {type: json, default: {k: {'0': zero, x: [1, 2]}, list: [p, q]}}
  b: {type: boolean, default: 'yes'}
conditions:
  t: {equals: [{get_param: b}, true]}
  f: {not: t}
  both: {and: [t, {or: [f, {equals: [{get_param: s}, hello]}]}]}
";

fn eval_in(version: &str, value: &str) -> Result<Value, String> {
    let text =
        format!("heat_template_version: {version}\n{PARAMS}\noutputs:\n  o:\n    value: {value}\n");
    let template = Template::parse(&text).map_err(|p| describe(&p))?;
    let bound =
        Bound::new(template, &BTreeMap::new(), &Pseudo::default()).map_err(|p| describe(&p))?;
    let node = bound.template.outputs["o"].value.clone();
    bound
        .eval(&node, &Path::root("o"), &AllResources)
        .map(Option::unwrap_or_default)
        .map_err(|p| p.message)
}

fn eval(value: &str) -> Result<Value, String> {
    eval_in("2021-04-16", value)
}

#[test]
fn values() {
    for (text, expected) in [
        ("{get_param: s}", json!("hello")),
        ("{get_param: n}", json!(1.5)),
        ("{get_param: [l, 2]}", json!(" c")),
        ("{get_param: [l, '1']}", json!("b")),
        ("{get_param: [j, k, '0']}", json!("zero")),
        ("{get_param: [j, k, 0]}", json!("zero")),
        ("{get_param: [j, k, x, 1]}", json!(2)),
        ("{get_param: [j, nothing, here]}", json!("")),
        ("{get_param: [s, 0]}", json!("h")),
        ("{get_param: b}", json!(true)),
        ("{get_resource: r}", json!("id-of-r")),
        ("{get_attr: [r, a, 0]}", json!("r:[\"a\",0]")),
        (
            "{str_replace: {template: 'a aa aaa', params: {a: 1, aa: two}}}",
            json!("1 two two1"),
        ),
        (
            "{str_replace: {template: '$a', params: {$a: $b, $b: no}}}",
            json!("$b"),
        ),
        (
            "{str_replace: {template: x y z, params: {x: null, y: true, z: {b: 1, a: [é]}}}}",
            json!(" True {\"a\": [\"\\u00e9\"], \"b\": 1}"),
        ),
        (
            "{list_join: [', ', [a, null, {k: 1}], null, [b]]}",
            json!("a, , {\"k\": 1}, b"),
        ),
        ("{str_split: [',', 'a,b', '1']}", json!("b")),
        ("{str_split: [',', 'a,b', -1]}", json!("b")),
        ("{str_split: [',', null]}", json!(null)),
        (
            "{repeat: {template: x-y, for_each: {x: [1a, 2a], y: [p, q]}}}",
            json!(["1a-p", "1a-q", "2a-p", "2a-q"]),
        ),
        (
            "{repeat: {template: {x: y}, for_each: {x: [a, b], y: [p, q]}, permutations: false}}",
            json!([{"a": "p"}, {"b": "q"}]),
        ),
        ("{repeat: {template: x, for_each: {x: null}}}", json!([])),
        (
            "{map_merge: [{a: 1, b: 1}, null, {b: 2}]}",
            json!({"a": 1, "b": 2}),
        ),
        (
            "{map_replace: [{a: x, b: y}, {keys: {a: A}, values: {y: Y}}]}",
            json!({"A": "x", "b": "Y"}),
        ),
        (
            "{digest: [MD5, hello]}",
            json!("5d41402abc4b2a76b9719d911017c592"),
        ),
        (
            "{digest: [sha512, {get_param: s}]}",
            json!(
                "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
            ),
        ),
        ("{if: [both, yes it is, {yaql: {}}]}", json!("yes it is")),
        ("[1, {if: [f, 2]}, 3]", json!([1, 3])),
        ("{equals: [1, 1]}", json!({"equals": [1, 1]})),
        (
            "{get_param: s, other: 1}",
            json!({"get_param": "s", "other": 1}),
        ),
        (
            "{list_concat_unique: [[a, b], null, [b, c]]}",
            json!(["a", "b", "c"]),
        ),
        ("{filter: [[a], [a, b, a]]}", json!(["b"])),
        ("{contains: [ell, {get_param: s}]}", json!(true)),
    ] {
        assert_eq!(eval(text), Ok(expected), "{text}");
    }
    assert_eq!(
        eval_in("2014-10-16", "{repeat: {template: x, for_each: {x: [a]}}}"),
        Ok(json!({"repeat": {"template": "x", "for_each": {"x": ["a"]}}})),
        "the function does not exist in this version"
    );
}

#[test]
fn refusals() {
    for (text, why) in [
        (
            "{get_param: nobody}",
            "The Parameter (nobody) was not provided.",
        ),
        (
            "{str_replace_strict: {template: a, params: {b: 1}}}",
            "not found in the template: b",
        ),
        (
            "{str_replace_vstrict: {template: a, params: {a: ''}}}",
            "has no value",
        ),
        ("{str_split: [',', 'a,b', 2]}", "should be between 0 and 1"),
        ("{list_join: [',', [1]]}", "must be text"),
        (
            "{repeat: {template: x, for_each: {x: [1]}}}",
            "must be text",
        ),
        (
            "{map_replace: [{a: 1, b: 2}, {keys: {a: b}}]}",
            "exists already",
        ),
        ("{digest: [rot13, a]}", "not supported"),
        ("{yaql: {expression: $}}", "yaql is not supported"),
        ("{get_file: a.sh}", "get_file is not supported"),
        ("{if: [nobody, 1, 2]}", "Invalid condition"),
    ] {
        let e = eval(text).unwrap_err();
        assert!(e.contains(why), "{text}: {e}");
    }
}

#[test]
fn no_value_grows_without_end() {
    let long = "x".repeat(3000);
    let list = vec!["a"; 3000].join(", ");
    for text in [
        format!("{{str_replace: {{template: {long}, params: {{x: {long}}}}}}}"),
        format!("{{repeat: {{template: x, for_each: {{x: [{list}], y: [{list}], z: [{list}]}}}}}}"),
        // The values contain the next variable.
        format!(
            "{{repeat: {{template: aaa, for_each: {{a: [{}], b: [{}], c: [{long}]}}}}}}",
            "b".repeat(3000),
            "c".repeat(3000)
        ),
        format!("{{list_join: [{long}, [{list}]]}}"),
        format!(
            "{{str_split: [a, {{str_replace: {{template: {long}, params: {{x: {}}}}}}}]}}",
            "a".repeat(2000)
        ),
    ] {
        assert!(eval(&text).unwrap_err().contains("would take more than"));
    }
}

#[test]
fn parameters_are_checked_all_at_once() {
    let text = "heat_template_version: 2021-04-16
parameters:
  name: {type: string, constraints: [{length: {min: 3, max: 5}}, {allowed_pattern: '[a-z]+'}]}
  n: {type: number, constraints: [{range: {min: 1, max: 9}}]}
  word: {type: string, default: a, constraints: [{allowed_values: [a, b], description: a or b please}]}
  secret: {type: string, hidden: true, constraints: [{allowed_pattern: '[0-9]+'}]}
  needed: {type: boolean}
";
    let template = Template::parse(text).unwrap();
    let given = BTreeMap::from([
        ("name".to_owned(), json!("ab")),
        ("n".to_owned(), json!("10")),
        ("word".to_owned(), json!("c")),
        ("secret".to_owned(), json!("hunter2")),
        ("more".to_owned(), json!(1)),
    ]);
    let problems = describe(&Bound::new(template, &given, &Pseudo::default()).unwrap_err());
    for expected in [
        "parameters: The Parameter (more) was not defined in template.",
        "parameters.name: line 3: Parameter 'name' is invalid: length (2) is out of range (min: 3, max: 5)",
        "parameters.n: line 4: Parameter 'n' is invalid: 10 is out of range (min: 1, max: 9)",
        "a or b please",
        "\"******\" does not match pattern",
        "parameters.needed: line 7: The Parameter (needed) was not provided.",
    ] {
        assert!(problems.contains(expected), "{expected}\n---\n{problems}");
    }
    assert!(!problems.contains("hunter2"));
}

#[test]
fn forms_are_checked_all_at_once() {
    let text = "heat_template_version: 1999-01-01
surprise: 1
parameters:
  p: {type: strange}
  q: {type: number, default: x, colour: red}
resources:
  a: {}
  b: {type: X, propertys: {}}
  c/d: {type: X, depends_on: [1]}
outputs:
  o: {}
";
    let problems = describe(&Template::parse(text).unwrap_err());
    for expected in [
        "heat_template_version: line 1: Unknown version '1999-01-01'",
        "line 2: The template section is invalid: surprise",
        "parameters.p: line 4: A parameter needs a 'type'",
        "parameters.q: line 5: Invalid key 'colour'",
        "parameters.q.default: line 5: Value must be a number",
        "resources.a: line 7: A resource needs a 'type'",
        "resources.b: line 8: Invalid key 'propertys'",
        "may not contain '/'",
        "resources.c/d.depends_on: line 9:",
        "outputs.o: line 11: An output needs a 'value'.",
    ] {
        assert!(problems.contains(expected), "{expected}\n---\n{problems}");
    }
    let circle = "heat_template_version: 2021-04-16\nconditions: {a: {not: b}, b: {not: a}}\n";
    let template = Template::parse(circle).unwrap();
    let e = describe(&Bound::new(template, &BTreeMap::new(), &Pseudo::default()).unwrap_err());
    assert!(e.contains("Circular definition for condition \"a\""), "{e}");
}

/// Whether a template is parsed and bound.
fn bind(sections: &str) -> Result<Bound, String> {
    let text = format!("heat_template_version: 2021-04-16\n{sections}");
    let template = Template::parse(&text).map_err(|p| describe(&p))?;
    Bound::new(template, &BTreeMap::new(), &Pseudo::default()).map_err(|p| describe(&p))
}

#[test]
fn the_smallest_integers_of_a_modulo_are_checked() {
    let modulo = |default: i64, step: i64, offset: i64| {
        bind(&format!(
            "parameters:\n  a: {{type: number, default: {default}, \
             constraints: [{{modulo: {{step: {step}, offset: {offset}}}}}]}}\n"
        ))
    };
    assert!(modulo(i64::MIN, -1, 0).is_ok());
    assert!(modulo(-7, -5, -2).is_ok());
    assert!(modulo(1, 5, i64::MIN).unwrap_err().contains("'step'"));
    assert!(modulo(1, i64::MIN, 0).unwrap_err().contains("multiple"));
}

#[test]
fn conditions_that_use_each_other_are_evaluated_once() {
    let twice: String = (0..60)
        .map(|i| format!("  c{i}: {{and: [c{0}, c{0}]}}\n", i + 1))
        .collect();
    assert!(bind(&format!("conditions:\n{twice}  c60: true\n")).is_ok());
    let deep: String = (0..5000)
        .map(|i| format!("  c{i}: {{not: c{}}}\n", i + 1))
        .collect();
    let why = bind(&format!("conditions:\n{deep}  c5000: true\n")).unwrap_err();
    assert!(why.contains("levels of conditions"), "{why:.200}");
}

#[test]
fn patterns_take_bounded_time_and_memory() {
    let with = |n: usize, pattern: &str| {
        let parameters: String = (0..n)
            .map(|i| {
                format!("  p{i}: {{type: string, default: a, constraints: [{{allowed_pattern: '{pattern}'}}]}}\n")
            })
            .collect();
        bind(&format!("parameters:\n{parameters}"))
    };
    assert!(with(100, "[a-z]{1,255}").is_ok());
    assert!(with(101, "a").unwrap_err().contains("allowed_pattern"));
    assert!(with(1, r"(\w{100}){100}").unwrap_err().contains("regular"));
}
