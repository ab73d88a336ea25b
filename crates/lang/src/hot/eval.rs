//! Evaluation of nodes, with the functions that need parameters and resources. The
//! parser bounds the depth of nodes, and a budget bounds the output.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::bound::{Bound, Scope};
use super::budget::{Budget, size};
use super::condition::YAQL;
use super::text::{self, Substitute, python_text};
use super::{collections, condition, version};
use crate::{Kind, Node, Path, Problem};

const GET_FILE: &str =
    "The function get_file is not supported yet; put the content into the template or a parameter.";

/// A variable of a repeated definition, whose name is replaced by its value in the
/// texts of the definition.
#[derive(Debug, Clone, Copy)]
pub struct Variable<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// One evaluation.
pub(super) struct Eval<'a> {
    bound: &'a Bound,
    scope: &'a dyn Scope,
    variable: Option<Variable<'a>>,
    budget: Budget,
}

impl<'a> Eval<'a> {
    pub(super) fn new(
        bound: &'a Bound,
        scope: &'a dyn Scope,
        variable: Option<Variable<'a>>,
    ) -> Self {
        Self {
            bound,
            scope,
            variable,
            budget: Budget::default(),
        }
    }

    pub(super) fn node(&self, node: &Node, path: &Path<'_>) -> Result<Option<Value>, Problem> {
        let wrong = |why: String| Problem::new(path, node.pos, why);
        if let Some((name, args)) = version::call(node, self.bound.template.version) {
            return self.call(name, args, &path.key(name));
        }
        self.budget.spend(16).map_err(wrong)?;
        Ok(Some(match &node.kind {
            Kind::List(items) => {
                let mut out = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    out.extend(self.node(item, &path.index(i))?);
                }
                Value::Array(out)
            }
            Kind::Map(map) => {
                let mut out = Map::new();
                for (key, entry) in map {
                    if let Some(value) = self.node(&entry.value, &path.key(key))? {
                        out.insert(key.clone(), value);
                    }
                }
                Value::Object(out)
            }
            Kind::Text(s) => {
                let text = match self.variable {
                    Some(v) => v.substitute(s).into_owned(),
                    None => s.clone(),
                };
                self.budget.spend(text.len()).map_err(wrong)?;
                Value::String(text)
            }
            _ => node.to_json(),
        }))
    }

    /// The value of an inline condition.
    fn condition(&self, node: &Node, path: &Path<'_>) -> Result<bool, Problem> {
        match self.variable {
            Some(v) => condition::inline(self.bound, &node.replace_text(v.name, v.value), path),
            None => condition::inline(self.bound, node, path),
        }
    }

    fn call(&self, name: &str, args: &Node, path: &Path<'_>) -> Result<Option<Value>, Problem> {
        let wrong = |why: String| Problem::new(path, args.pos, why);
        if name == "if" {
            return self.choose(args, path);
        }
        if name == "repeat" {
            return self.repeat(args, path).map(Some);
        }
        let value = self.node(args, path)?.unwrap_or_default();
        let result = match name {
            "get_param" => self.get_param(&value),
            "get_resource" => match &value {
                Value::String(resource) => self.scope.reference(resource),
                _ => Err("\"get_resource\" takes the name of a resource.".into()),
            },
            "get_attr" => match value.as_array().and_then(|a| a.split_first()) {
                Some((Value::String(resource), rest)) => self.scope.attribute(resource, rest),
                _ => Err("\"get_attr\" takes [resource, attribute, key, …].".into()),
            },
            "str_replace" => self.str_replace(&value, false, false),
            "str_replace_strict" => self.str_replace(&value, true, false),
            "str_replace_vstrict" => self.str_replace(&value, true, true),
            "digest" => match value.as_array().map(Vec::as_slice) {
                Some([Value::String(algorithm), Value::String(text)]) => {
                    text::digest(algorithm, text).map(Value::String)
                }
                _ => Err("\"digest\" takes [algorithm, text].".into()),
            },
            "yaql" => Err(YAQL.into()),
            "get_file" => Err(GET_FILE.into()),
            "make_url" | "resource_facade" => {
                Err(format!("The function {name} is not supported yet."))
            }
            _ => collections::call(name, value, self.budget.left()),
        };
        let value = result.map_err(wrong)?;
        self.budget.spend(size(&value)).map_err(wrong)?;
        Ok(Some(value))
    }

    fn choose(&self, args: &Node, path: &Path<'_>) -> Result<Option<Value>, Problem> {
        let (which, yes, no) = match args.as_list() {
            Some([c, yes]) if self.bound.template.version >= "2021-04-16" => (c, yes, None),
            Some([c, yes, no]) => (c, yes, Some(no)),
            _ => {
                let why = "\"if\" takes [condition, value if true, value if false].";
                return Err(Problem::new(path, args.pos, why));
            }
        };
        if self.condition(which, path)? {
            return self.node(yes, &path.index(1));
        }
        match no {
            Some(no) => self.node(no, &path.index(2)),
            None => Ok(None),
        }
    }

    fn repeat(&self, args: &Node, path: &Path<'_>) -> Result<Value, Problem> {
        let wrong = |why: String| Problem::new(path, args.pos, why);
        let template = args.get("template").ok_or_else(|| {
            wrong("\"repeat\" takes {template, for_each: {variable: list}}.".into())
        })?;
        let part = |key: &str| match args.get(key) {
            Some(node) => self
                .node(node, &path.key(key))
                .map(|v| v.unwrap_or_default()),
            None => Ok(Value::Null),
        };
        let (for_each, permutations) = (part("for_each")?, part("permutations")?);
        let template = self
            .node(template, &path.key("template"))?
            .unwrap_or_default();
        collections::repeat(&self.budget, &template, &for_each, &permutations).map_err(wrong)
    }

    /// Looks up a parameter and follows the keys into its value. A missing element is
    /// the empty text. A text is a sequence of characters. A number that is given as
    /// text selects the item of a list or the value of a map.
    fn get_param(&self, value: &Value) -> Result<Value, String> {
        let (name, rest) = match value {
            Value::String(name) => (name.as_str(), &[][..]),
            Value::Array(items) => match items.split_first() {
                Some((Value::String(name), rest)) => (name.as_str(), rest),
                _ => return Err("\"get_param\" takes a name or [name, key, …].".into()),
            },
            _ => return Err("\"get_param\" takes a name or [name, key, …].".into()),
        };
        let mut at = self
            .bound
            .param(name)
            .ok_or_else(|| format!("The Parameter ({name}) was not provided."))?;
        let empty = || Ok(Value::String(String::new()));
        for (i, key) in rest.iter().enumerate() {
            let text = python_text(key);
            let found = match at {
                Value::Object(map) => map.get(&text),
                Value::Array(list) => {
                    collections::parse_index(&text, list.len()).and_then(|n| list.get(n))
                }
                Value::String(s) if i + 1 == rest.len() => {
                    let chars: Vec<char> = s.chars().collect();
                    let c =
                        collections::parse_index(&text, chars.len()).map(|n| chars[n].to_string());
                    return c.map_or_else(empty, |c| Ok(Value::String(c)));
                }
                _ => None,
            };
            match found {
                Some(next) => at = next,
                None => return empty(),
            }
        }
        Ok(at.clone())
    }

    fn str_replace(&self, value: &Value, strict: bool, no_empty: bool) -> Result<Value, String> {
        let template = match value.get("template") {
            Some(Value::String(s)) => s.clone(),
            Some(v @ (Value::Number(_) | Value::Bool(_))) => python_text(v),
            Some(Value::Null) => String::new(),
            _ => return Err("\"str_replace\" takes {template: text, params: map}.".into()),
        };
        let empty = Map::new();
        let params = match value.get("params") {
            Some(Value::Object(map)) => map,
            Some(Value::Null) => &empty,
            _ => return Err("\"str_replace\" takes {template: text, params: map}.".into()),
        };
        let mut list: Vec<Substitute> = Vec::with_capacity(params.len());
        for (key, value) in params {
            if no_empty && is_empty(value) {
                return Err(format!(
                    "The parameter '{key}' of str_replace_vstrict has no value."
                ));
            }
            list.push(Substitute {
                key: key.clone(),
                value: python_text(value),
                found: false,
            });
        }
        let text = text::replace_all(template, &mut list, self.budget.left())?;
        let missing: Vec<&str> = list
            .iter()
            .filter(|p| !p.found)
            .map(|p| p.key.as_str())
            .collect();
        if strict && !missing.is_empty() {
            return Err(format!(
                "The following params were not found in the template: {}",
                missing.join(",")
            ));
        }
        Ok(Value::String(text))
    }
}

impl Variable<'_> {
    /// Replaces the variable in a text.
    #[must_use]
    pub fn substitute<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains(self.name) {
            Cow::Owned(text.replace(self.name, self.value))
        } else {
            Cow::Borrowed(text)
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}
