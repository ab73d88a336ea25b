//! Evaluation of a parsed rule.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Ctx, Scope, Target};

/// Maximum depth of a rule with the rules that it refers to.
const MAX_DEPTH: usize = 32;
/// Maximum number of checks of one decision: the number multiplies if rules refer to
/// others several times.
const MAX_CHECKS: u32 = 10_000;

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

/// One decision.
pub(super) struct Decision<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) target: &'a Target,
    pub(super) rules: &'a BTreeMap<String, Check>,
    pub(super) steps: u32,
}

impl Decision<'_> {
    /// `None` if the check is too deep or takes too long, which a cycle does. It
    /// denies the whole rule, since under a `not` a denial would allow.
    pub(super) fn decide(&mut self, check: &Check, depth: usize) -> Option<bool> {
        self.steps += 1;
        if depth > MAX_DEPTH || self.steps > MAX_CHECKS {
            return None;
        }
        match check {
            Check::True => Some(true),
            Check::False => Some(false),
            Check::Not(c) => Some(!self.decide(c, depth + 1)?),
            Check::All(list) => self.first(list, false, depth),
            Check::Any(list) => self.first(list, true, depth),
            Check::Rule(name) => match self.rules.get(name) {
                Some(c) => self.decide(c, depth + 1),
                None => Some(false),
            },
            Check::Role(name) => Some(self.ctx.has_role(name)),
            Check::Match { left, right } => Some(matches(left, right, self.ctx, self.target)),
        }
    }

    /// Returns `wanted` if one of the checks has this result, otherwise the opposite.
    fn first(&mut self, list: &[Check], wanted: bool, depth: usize) -> Option<bool> {
        for c in list {
            if self.decide(c, depth + 1)? == wanted {
                return Some(wanted);
            }
        }
        Some(!wanted)
    }
}

impl Check {
    /// The rules that this check refers to.
    fn references(&self) -> Vec<&str> {
        match self {
            Self::Rule(name) => vec![name],
            Self::Not(c) => c.references(),
            Self::All(list) | Self::Any(list) => list.iter().flat_map(Self::references).collect(),
            Self::True | Self::False | Self::Role(_) | Self::Match { .. } => Vec::new(),
        }
    }

    /// Whether the check refers to the rule `name`, also through other rules.
    pub(super) fn leads_to(&self, name: &str, rules: &BTreeMap<String, Check>) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = self.references();
        while let Some(rule) = next.pop() {
            if rule == name {
                return true;
            }
            if seen.insert(rule)
                && let Some(check) = rules.get(rule)
            {
                next.extend(check.references());
            }
        }
        false
    }

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
        "project_id" | "tenant_id" | "project.id" => target.project_id.as_ref().map(Into::into),
        "user_id" | "user.id" => target.user_id.as_ref().map(Into::into),
        "domain_id" | "domain.id" | "project.domain_id" | "user.domain_id" => {
            target.domain_id.as_ref().map(Into::into)
        }
        _ => None,
    }
}

fn of_caller(name: &str, ctx: &Ctx) -> Option<String> {
    match (name, &ctx.scope) {
        ("user_id", _) => Some((&ctx.user_id).into()),
        ("project_id" | "tenant_id", Scope::Project { id, .. }) => Some(id.into()),
        ("domain_id", Scope::Domain { id, .. }) => Some(id.into()),
        ("system_scope", Scope::System) => Some("all".into()),
        ("user_domain_id", _) => Some((&ctx.user_domain_id).into()),
        // Python's spelling, as used in rules.
        ("is_admin", _) => Some(if ctx.has_role("admin") {
            "True".into()
        } else {
            "False".into()
        }),
        _ => None,
    }
}
