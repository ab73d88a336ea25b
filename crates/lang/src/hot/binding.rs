//! Binds a template to parameters, and evaluates its nodes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::bound::{Bound, Reference, Scope};
use super::eval::{Eval, Variable};
use super::param::Pseudo;
use super::template::Template;
use super::{condition, version};
use crate::{Node, Path, Pos, Problem};

/// A scope without resources, for conditions and constant values.
struct NoResources;

impl Scope for NoResources {
    fn reference(&self, resource: &str) -> Result<Value, String> {
        Err(format!("The resource '{resource}' cannot be used here."))
    }

    fn attribute(&self, resource: &str, _: &[Value]) -> Result<Value, String> {
        Err(format!("The resource '{resource}' cannot be used here."))
    }
}

impl Bound {
    /// Checks the given values, adds the defaults and evaluates the conditions.
    ///
    /// # Errors
    /// All problems: unknown and missing parameters, values of the wrong type
    /// or violating a constraint, invalid conditions.
    pub fn new(
        template: impl Into<Arc<Template>>,
        given: &BTreeMap<String, Value>,
        pseudo: &Pseudo,
    ) -> Result<Self, Vec<Problem>> {
        let template = template.into();
        let mut problems = Vec::new();
        let mut params = HashMap::new();
        for name in given
            .keys()
            .filter(|n| !template.parameters.contains_key(*n))
        {
            let why = format!("The Parameter ({name}) was not defined in template.");
            problems.push(Problem::new("parameters", Pos::default(), why));
        }
        let root = Path::root("parameters");
        for (name, param) in &template.parameters {
            let path = root.key(name);
            let checked = match given.get(name).filter(|v| !v.is_null()) {
                Some(value) => param
                    .accept(value)
                    .map_err(|why| format!("Parameter '{name}' is invalid: {why}")),
                None => param
                    .default
                    .clone()
                    .ok_or_else(|| format!("The Parameter ({name}) was not provided.")),
            };
            match checked {
                Ok(value) => drop(params.insert(name.clone(), value)),
                Err(why) => problems.push(Problem::new(path, param.pos, why)),
            }
        }
        for (name, value) in pseudo.values() {
            params.insert(name.to_owned(), value);
        }
        let mut bound = Self {
            template,
            params,
            conditions: HashMap::new(),
            disabled: HashSet::new(),
            hidden_outputs: HashSet::new(),
        };
        if problems.is_empty() {
            bound.evaluate_conditions(&mut problems);
        }
        if problems.is_empty() {
            Ok(bound)
        } else {
            Err(problems)
        }
    }

    fn evaluate_conditions(&mut self, problems: &mut Vec<Problem>) {
        self.conditions = condition::all(self, problems);
        let mut off = |section: &str, name: &str, node: Option<&Node>| {
            let root = Path::root(section);
            let entry = root.key(name);
            match node.map(|n| condition::inline(self, n, &entry.key("condition"))) {
                None | Some(Ok(true)) => false,
                Some(Ok(false)) => true,
                Some(Err(problem)) => {
                    problems.push(problem);
                    false
                }
            }
        };
        let t = &self.template;
        let resources = t.resources.iter();
        let disabled = resources
            .filter(|(n, r)| off("resources", n, r.condition.as_ref()))
            .map(|(n, _)| n.clone())
            .collect();
        let outputs = t.outputs.iter();
        let hidden = outputs
            .filter(|(n, o)| off("outputs", n, o.condition.as_ref()))
            .map(|(n, _)| n.clone())
            .collect();
        self.disabled = disabled;
        self.hidden_outputs = hidden;
    }

    /// Evaluates a node; `None` for an `if` without a third argument whose
    /// condition is false.
    ///
    /// # Errors
    /// The first problem, with its path and position.
    pub fn eval(
        &self,
        node: &Node,
        path: &Path<'_>,
        scope: &dyn Scope,
    ) -> Result<Option<Value>, Problem> {
        Eval::new(self, scope, None).node(node, path)
    }

    /// Like [`Bound::eval`], for a repeated definition, such as that of a
    /// `ResourceGroup`. The result is that of evaluating the copy that
    /// [`Node::replace_text`] creates, but no copy is made.
    ///
    /// # Errors
    /// Same errors as [`Bound::eval`].
    pub fn eval_with(
        &self,
        node: &Node,
        path: &Path<'_>,
        scope: &dyn Scope,
        variable: Variable<'_>,
    ) -> Result<Option<Value>, Problem> {
        Eval::new(self, scope, Some(variable)).node(node, path)
    }

    /// Like [`Bound::eval`], for a node that uses no resource.
    ///
    /// # Errors
    /// Same errors as [`Bound::eval`].
    pub fn constant(&self, node: &Node, path: &Path<'_>) -> Result<Option<Value>, Problem> {
        self.eval(node, path, &NoResources)
    }

    /// The resources that a node references. Of an `if`, only the selected branch
    /// counts.
    #[must_use]
    pub fn references(&self, node: &Node, path: &Path<'_>) -> Vec<Reference> {
        let mut out = Vec::new();
        self.collect(node, path, &mut out);
        out
    }

    fn collect(&self, node: &Node, path: &Path<'_>, out: &mut Vec<Reference>) {
        let Some((name, args)) = version::call(node, self.template.version) else {
            if let Some(list) = node.as_list() {
                for (i, item) in list.iter().enumerate() {
                    self.collect(item, &path.index(i), out);
                }
            } else if let Some(map) = node.as_map() {
                for (key, entry) in map {
                    self.collect(&entry.value, &path.key(key), out);
                }
            }
            return;
        };
        let here = path.key(name);
        match (name, args.as_list()) {
            ("get_resource", _) => self.refer(args, None, &here, out),
            ("get_attr", Some([resource, rest @ ..])) => {
                self.refer(resource, rest.first(), &here, out);
                for (i, item) in rest.iter().enumerate() {
                    self.collect(item, &here.index(i + 1), out);
                }
            }
            ("if", Some([condition, branches @ ..])) => {
                let taken = condition::inline(self, condition, &here);
                for (i, branch) in branches.iter().enumerate() {
                    if taken.as_ref().map_or(true, |t| *t == (i == 0)) {
                        self.collect(branch, &here.index(i + 1), out);
                    }
                }
            }
            _ => self.collect(args, &here, out),
        }
    }

    fn refer(
        &self,
        name: &Node,
        attribute: Option<&Node>,
        path: &Path<'_>,
        out: &mut Vec<Reference>,
    ) {
        let text = |n: &Node| match self.constant(n, path) {
            Ok(Some(Value::String(s))) => Some(s),
            _ => None,
        };
        if let Some(resource) = text(name) {
            out.push(Reference {
                resource,
                attribute: attribute.and_then(text),
                path: path.to_string(),
                pos: name.pos,
            });
        }
    }
}
