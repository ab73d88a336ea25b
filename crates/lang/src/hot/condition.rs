//! Evaluation of conditions, which are names, booleans or some functions.

use std::collections::HashMap;

use serde_json::Value;

use super::bound::Bound;
use crate::{Kind, Node, Path, Problem};

pub(super) const YAQL: &str =
    "The function yaql is not supported; use conditions, map_merge, repeat and str_split.";

/// Maximum depth of conditions that refer to each other.
const MAX_DEPTH: usize = 200;

/// The values of all conditions of the `conditions` section.
pub(super) fn all(bound: &Bound, problems: &mut Vec<Problem>) -> HashMap<String, bool> {
    let mut evaluator = Evaluator::new(bound);
    for name in bound.template.conditions.keys() {
        if let Err(problem) = evaluator.named(name, None) {
            problems.push(problem);
        }
    }
    evaluator.known
}

/// The value of an inline condition.
pub(super) fn inline(bound: &Bound, node: &Node, path: &Path<'_>) -> Result<bool, Problem> {
    Evaluator::new(bound).truth(node, path)
}

struct Evaluator<'a> {
    bound: &'a Bound,
    /// Names being evaluated, to detect cycles.
    open: Vec<String>,
    /// Values of the named conditions that were evaluated, because many conditions may
    /// use the same one.
    known: HashMap<String, bool>,
    depth: usize,
}

impl<'a> Evaluator<'a> {
    fn new(bound: &'a Bound) -> Self {
        Self {
            bound,
            open: Vec::new(),
            known: HashMap::new(),
            depth: 0,
        }
    }

    fn named(&mut self, name: &str, user: Option<(&Path<'_>, &Node)>) -> Result<bool, Problem> {
        let known = self.bound.conditions.get(name);
        if let Some(known) = known.or_else(|| self.known.get(name)) {
            return Ok(*known);
        }
        let root = Path::root("conditions");
        let path = root.key(name);
        let Some(node) = self.bound.template.conditions.get(name) else {
            let why = format!("Invalid condition \"{name}\"; no such entry in 'conditions'.");
            return Err(user.map_or_else(
                || Problem::new(path, crate::Pos::default(), why.clone()),
                |(p, n)| Problem::new(p, n.pos, why.clone()),
            ));
        };
        if self.open.iter().any(|n| n == name) {
            let why = format!("Circular definition for condition \"{name}\"");
            return Err(Problem::new(path, node.pos, why));
        }
        if node.as_text().is_some() {
            let why = format!(
                "Invalid condition \"{name}\": a definition is a boolean or a function, not text."
            );
            return Err(Problem::new(path, node.pos, why));
        }
        self.open.push(name.to_owned());
        let value = self.truth(node, &path);
        self.open.pop();
        if let Ok(value) = value {
            self.known.insert(name.to_owned(), value);
        }
        value
    }

    fn truth(&mut self, node: &Node, path: &Path<'_>) -> Result<bool, Problem> {
        match &node.kind {
            Kind::Bool(b) => return Ok(*b),
            Kind::Text(name) => return self.named(name, Some((path, node))),
            _ => {}
        }
        match self.value(node, path)? {
            Value::Bool(b) => Ok(b),
            other => Err(Problem::new(
                path,
                node.pos,
                format!("A condition must be true or false, not {other}."),
            )),
        }
    }

    /// The value of a function or literal inside a condition.
    fn value(&mut self, node: &Node, path: &Path<'_>) -> Result<Value, Problem> {
        if self.depth >= MAX_DEPTH {
            let why = format!("More than {MAX_DEPTH} levels of conditions.");
            return Err(Problem::new(path, node.pos, why));
        }
        self.depth += 1;
        let value = self.operation(node, path);
        self.depth -= 1;
        value
    }

    fn operation(&mut self, node: &Node, path: &Path<'_>) -> Result<Value, Problem> {
        let wrong = |why: String| Problem::new(path, node.pos, why);
        let single = node.as_map().filter(|m| m.len() == 1);
        let Some((name, entry)) = single.and_then(|m| m.first()) else {
            return Ok(node.to_json());
        };
        let args = &entry.value;
        let here = path.key(name);
        match name.as_str() {
            "equals" => match args.as_list() {
                Some([a, b]) => {
                    let equal = self.value(a, &here)? == self.value(b, &here)?;
                    Ok(Value::Bool(equal))
                }
                _ => Err(wrong("\"equals\" takes two values: [a, b].".into())),
            },
            "not" => {
                let arg = match args.as_list() {
                    Some([one]) => one,
                    Some(_) => return Err(wrong("\"not\" takes one condition.".into())),
                    None => args,
                };
                Ok(Value::Bool(!self.truth(arg, &here)?))
            }
            "and" | "or" => {
                let items = args.as_list().filter(|l| l.len() >= 2).ok_or_else(|| {
                    wrong(format!(
                        "\"{name}\" takes a list of at least two conditions."
                    ))
                })?;
                let mut seen = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    seen.push(self.truth(item, &here.index(i))?);
                }
                let all = name == "and";
                Ok(Value::Bool(if all {
                    seen.iter().all(|b| *b)
                } else {
                    seen.contains(&true)
                }))
            }
            "get_param" | "contains" => self
                .bound
                .constant(node, path)
                .map(|v| v.unwrap_or_default()),
            "yaql" => Err(wrong(YAQL.into())),
            "get_attr" | "get_resource" | "if" | "str_replace" | "list_join" | "get_file" => {
                Err(wrong(format!(
                    "The function \"{name}\" is invalid in this context"
                )))
            }
            _ => Ok(node.to_json()),
        }
    }
}
