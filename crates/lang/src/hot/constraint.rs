//! Constraints of parameters.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::keys::unknown_keys;
use super::param_type::ParamType;
use super::text::python_text;
use crate::{Kind, Node, Path, Problem};

/// Maximum size of a compiled pattern, bytes.
const MAX_PATTERN: usize = 1024 * 1024;
/// Maximum number of patterns of a template, because compiling a short pattern can
/// take much time and memory.
pub(super) const MAX_PATTERNS: usize = 100;

/// A constraint, with the description in the template, which is its error text.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    rule: Rule,
    description: Option<String>,
}

#[derive(Debug, Clone)]
enum Rule {
    Length {
        min: Option<i64>,
        max: Option<i64>,
    },
    Range {
        min: Option<f64>,
        max: Option<f64>,
    },
    Modulo {
        step: i64,
        offset: i64,
    },
    Values(Vec<Value>),
    Pattern {
        shown: String,
        regex: Regex,
    },
    /// Not checked here but where the value is used, because this crate calls no
    /// services.
    Custom,
}

const KINDS: &[&str] = &[
    "length",
    "range",
    "modulo",
    "allowed_values",
    "allowed_pattern",
    "custom_constraint",
    "description",
];

pub(super) fn parse(
    node: Option<&Node>,
    kind: ParamType,
    path: &Path<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Constraint> {
    let Some(node) = node.filter(|n| !n.is_null()) else {
        return Vec::new();
    };
    let path = path.key("constraints");
    let Some(items) = node.as_list() else {
        problems.push(Problem::new(
            path,
            node.pos,
            "\"constraints\" must be a list.",
        ));
        return Vec::new();
    };
    let mut out = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let path = path.index(i);
        if let Some(map) = item.as_map() {
            unknown_keys(map, KINDS, &path, problems);
        }
        match rule(item, kind) {
            Ok(rule) => out.push(Constraint {
                rule,
                description: item
                    .get("description")
                    .and_then(Node::as_text)
                    .map(str::to_owned),
            }),
            Err(why) => problems.push(Problem::new(path, item.pos, why)),
        }
    }
    out
}

fn rule(item: &Node, kind: ParamType) -> Result<Rule, String> {
    let map = item.as_map().ok_or("A constraint is a map.")?;
    let (name, entry) = map
        .iter()
        .find(|(k, _)| k.as_str() != "description")
        .ok_or("A constraint needs a kind, such as 'length' or 'allowed_values'.")?;
    let body = &entry.value;
    let fits = match name.as_str() {
        "length" => matches!(kind, ParamType::Text | ParamType::List | ParamType::Json),
        "range" | "modulo" => kind == ParamType::Number,
        "allowed_pattern" => kind == ParamType::Text,
        "allowed_values" | "custom_constraint" => kind != ParamType::Json,
        _ => true,
    };
    if !fits {
        return Err(format!(
            "'{name}' is not valid for a parameter of this type."
        ));
    }
    match name.as_str() {
        "length" => {
            let (min, max) = (int(body, "min")?, int(body, "max")?);
            if min.is_none() && max.is_none() {
                return Err("'length' needs 'min' or 'max'.".into());
            }
            Ok(Rule::Length { min, max })
        }
        "range" => {
            let (min, max) = (float(body, "min")?, float(body, "max")?);
            if min.is_none() && max.is_none() {
                return Err("'range' needs 'min' or 'max'.".into());
            }
            Ok(Rule::Range { min, max })
        }
        "modulo" => {
            let (step, offset) = (int(body, "step")?, int(body, "offset")?);
            let (Some(step), Some(offset)) = (step, offset) else {
                return Err("'modulo' needs 'step' and 'offset'.".into());
            };
            if step == 0
                || offset.unsigned_abs() >= step.unsigned_abs()
                || (offset != 0 && (step < 0) != (offset < 0))
            {
                return Err(
                    "'step' must not be 0; 'offset' must be smaller and of the same sign.".into(),
                );
            }
            Ok(Rule::Modulo { step, offset })
        }
        "allowed_values" => {
            let values = body.as_list().ok_or("'allowed_values' must be a list.")?;
            let convert = |n: &Node| match kind {
                ParamType::List => Ok(Value::String(python_text(&n.to_json()))),
                _ => kind.convert(&n.to_json()),
            };
            Ok(Rule::Values(
                values.iter().map(convert).collect::<Result<_, _>>()?,
            ))
        }
        "allowed_pattern" => {
            let shown = body.as_text().ok_or("'allowed_pattern' must be text.")?;
            let regex = RegexBuilder::new(&format!("^(?:{shown})$"))
                .size_limit(MAX_PATTERN)
                .build()
                .map_err(|_| format!("'{shown}' is not a supported regular expression."))?;
            Ok(Rule::Pattern {
                shown: shown.to_owned(),
                regex,
            })
        }
        "custom_constraint" => Ok(Rule::Custom),
        _ => Err(format!("Unknown constraint '{name}'.")),
    }
}

fn int(body: &Node, key: &str) -> Result<Option<i64>, String> {
    match body.get(key).map(|n| &n.kind) {
        None => Ok(None),
        Some(Kind::Int(i)) => Ok(Some(*i)),
        Some(_) => Err(format!("'{key}' must be an integer.")),
    }
}

fn float(body: &Node, key: &str) -> Result<Option<f64>, String> {
    match body.get(key).map(|n| &n.kind) {
        None => Ok(None),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a bound of a range, compared only"
        )]
        Some(Kind::Int(i)) => Ok(Some(*i as f64)),
        Some(Kind::Float(f)) => Ok(Some(*f)),
        Some(_) => Err(format!("'{key}' must be a number.")),
    }
}

impl Constraint {
    /// Checks a value. The error is the description in the template, or else Heat's
    /// text, which does not quote a hidden value.
    pub(super) fn check(&self, value: &Value, hidden: bool) -> Result<(), String> {
        let Err(why) = self.rule.check(value) else {
            return Ok(());
        };
        let shown = if hidden {
            "******".into()
        } else {
            python_text(value)
        };
        Err(self
            .description
            .clone()
            .unwrap_or_else(|| why.replace("{value}", &shown)))
    }
}

impl Rule {
    fn check(&self, value: &Value) -> Result<(), String> {
        match self {
            Self::Length { min, max } => {
                let n = match value {
                    Value::String(s) => s.chars().count(),
                    Value::Array(a) => a.len(),
                    Value::Object(o) => o.len(),
                    _ => return Ok(()),
                };
                let n = i64::try_from(n).unwrap_or(i64::MAX);
                within(n, *min, *max).then_some(()).ok_or_else(|| {
                    format!(
                        "length ({n}) is out of range ({})",
                        bounds(min.as_ref(), max.as_ref())
                    )
                })
            }
            Self::Range { min, max } => {
                let n = value.as_f64().unwrap_or_default();
                within(n, *min, *max).then_some(()).ok_or_else(|| {
                    format!(
                        "{{value}} is out of range ({})",
                        bounds(min.as_ref(), max.as_ref())
                    )
                })
            }
            Self::Modulo { step, offset } => {
                let ok = value
                    .as_i64()
                    .is_some_and(|v| v.wrapping_rem(*step) == *offset);
                ok.then_some(()).ok_or_else(|| {
                    format!("{{value}} is not a multiple of {step} with an offset of {offset}")
                })
            }
            Self::Values(allowed) => {
                let ok = match value {
                    Value::Array(items) => items.iter().all(|v| allowed.contains(v)),
                    other => allowed.iter().any(|a| same(a, other)),
                };
                ok.then_some(()).ok_or_else(|| {
                    let shown: Vec<String> = allowed.iter().map(python_text).collect();
                    format!("{{value}} is not an allowed value [{}]", shown.join(", "))
                })
            }
            Self::Pattern { shown, regex } => {
                let ok = value.as_str().is_some_and(|s| regex.is_match(s));
                ok.then_some(())
                    .ok_or_else(|| format!("\"{{value}}\" does not match pattern \"{shown}\""))
            }
            Self::Custom => Ok(()),
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

fn within<T: PartialOrd>(n: T, min: Option<T>, max: Option<T>) -> bool {
    min.is_none_or(|m| n >= m) && max.is_none_or(|m| n <= m)
}

fn bounds<T: ToString>(min: Option<&T>, max: Option<&T>) -> String {
    let show = |x: Option<&T>| x.map_or_else(|| "None".to_owned(), ToString::to_string);
    format!("min: {}, max: {}", show(min), show(max))
}
