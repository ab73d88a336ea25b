//! Evaluation of a parsed rule.

use std::collections::BTreeMap;

use kernel::{Ctx, Scope, Target};

/// Maximum depth of rule references; cycles deny.
const DEPTH: usize = 32;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    True,
    False,
    Not(Box<Check>),
    All(Vec<Check>),
    Any(Vec<Check>),
    Rule(String),
    Role(String),
    /// `left:right`, where either may refer to the target by `%(name)s`.
    Match {
        left: String,
        right: String,
    },
}

impl Check {
    pub(super) fn allows(
        &self,
        ctx: &Ctx,
        target: &Target,
        rules: &BTreeMap<String, Check>,
        depth: usize,
    ) -> bool {
        let inner = |c: &Check| c.allows(ctx, target, rules, depth + 1);
        match self {
            _ if depth > DEPTH => false,
            Self::True => true,
            Self::False => false,
            Self::Not(c) => depth < DEPTH && !inner(c),
            Self::All(list) => list.iter().all(inner),
            Self::Any(list) => list.iter().any(inner),
            Self::Rule(name) => rules.get(name).is_some_and(inner),
            Self::Role(name) => ctx.has_role(name),
            Self::Match { left, right } => matches(left, right, ctx, target),
        }
    }
}

impl Check {
    /// The first reference to a rule, a credential or a field of the target that
    /// does not exist.
    pub(super) fn unknown(&self, rules: &BTreeMap<String, Check>) -> Option<String> {
        match self {
            Self::True | Self::False | Self::Role(_) => None,
            Self::Not(c) => c.unknown(rules),
            Self::All(list) | Self::Any(list) => list.iter().find_map(|c| c.unknown(rules)),
            Self::Rule(name) => (!rules.contains_key(name)).then(|| format!("rule:{name}")),
            Self::Match { left, right } => {
                let field = right.strip_prefix("%(").and_then(|r| r.strip_suffix(")s"));
                if let Some(field) = field
                    && !TARGET.contains(&field.trim_start_matches("target."))
                {
                    return Some(right.clone());
                }
                let literal = left.starts_with(['\'', '"']);
                (!literal && !CALLER.contains(&left.as_str())).then(|| left.clone())
            }
        }
    }
}

/// The fields of a target that a rule can name, without `target.`.
const TARGET: &[&str] = &[
    "project_id",
    "tenant_id",
    "project.id",
    "user_id",
    "user.id",
    "domain_id",
    "domain.id",
    "project.domain_id",
    "user.domain_id",
];

/// The credentials of a caller that a rule can name.
const CALLER: &[&str] = &[
    "user_id",
    "project_id",
    "tenant_id",
    "domain_id",
    "system_scope",
    "user_domain_id",
    "is_admin",
];

/// `kind:value`: the credential `kind` equals `value`, which may refer to the
/// target. A missing value never matches, not even another missing one.
fn matches(left: &str, right: &str, ctx: &Ctx, target: &Target) -> bool {
    let wanted = match right.strip_prefix("%(").and_then(|r| r.strip_suffix(")s")) {
        Some(name) => of_target(name, target),
        None => Some(right.trim_matches(|c| c == '\'' || c == '"').to_owned()),
    };
    let literal = left.trim_matches(|c| c == '\'' || c == '"');
    let held = if literal.len() == left.len() {
        of_caller(left, ctx)
    } else {
        Some(literal.to_owned())
    };
    matches!((held, wanted), (Some(a), Some(b)) if a == b)
}

fn of_target(name: &str, target: &Target) -> Option<String> {
    match name.trim_start_matches("target.") {
        "project_id" | "tenant_id" | "project.id" => target.project_id.clone(),
        "user_id" | "user.id" => target.user_id.clone(),
        "domain_id" | "domain.id" | "project.domain_id" | "user.domain_id" => {
            target.domain_id.clone()
        }
        _ => None,
    }
}

fn of_caller(name: &str, ctx: &Ctx) -> Option<String> {
    match (name, &ctx.scope) {
        ("user_id", _) => Some(ctx.user_id.clone()),
        ("project_id" | "tenant_id", Scope::Project { id, .. }) => Some(id.clone()),
        ("domain_id", Scope::Domain { id, .. }) => Some(id.clone()),
        ("system_scope", Scope::System) => Some("all".into()),
        ("user_domain_id", _) => Some(ctx.user_domain_id.clone()),
        // Python's spelling, as used in rules.
        ("is_admin", _) => Some(if ctx.is_admin() {
            "True".into()
        } else {
            "False".into()
        }),
        _ => None,
    }
}
