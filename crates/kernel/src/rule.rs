//! Rules of the policy, and the record of those that allowed something.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Scope;

/// A named rule, such as `cluster:create`. Services declare their rules as
/// constants, so that a rule that does not exist does not compile.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name in the policy file of the operator.
    pub name: &'static str,
    /// The default, in the language of oslo.policy.
    pub default: &'static str,
    /// What the rule permits, for `jeroboam policy list`.
    pub about: &'static str,
    /// The scopes of tokens that the rule applies to; it denies all others,
    /// whatever its text says.
    pub scopes: Scopes,
}

/// Scopes of tokens, the `scope_types` of oslo.policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scopes {
    /// All scopes, and tokens without a scope.
    Any,
    /// A project.
    Project,
    /// A project or the system, but not a domain: an administrator of one domain
    /// has no rights on the objects of others.
    ProjectOrSystem,
}

impl Scopes {
    /// The words of oslo.policy's `scope_types`; empty: all.
    #[must_use]
    pub fn as_words(self) -> &'static [&'static str] {
        match self {
            Self::Any => &[],
            Self::Project => &["project"],
            Self::ProjectOrSystem => &["project", "system"],
        }
    }

    /// Whether a token with this scope is covered.
    #[must_use]
    pub fn include(self, scope: &Scope) -> bool {
        match self {
            Self::Any => true,
            Self::Project => matches!(scope, Scope::Project { .. }),
            Self::ProjectOrSystem => matches!(scope, Scope::Project { .. } | Scope::System),
        }
    }
}

/// The rules that allowed something in one request. The HTTP layer refuses to
/// send a successful answer of a route whose rule is not among them, so that no
/// route can forget its check. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct Granted(Arc<Mutex<Vec<&'static str>>>);

impl Granted {
    /// Records that the rule allowed the operation, or that the operation is
    /// permitted for another reason that the caller has verified.
    pub fn record(&self, rule: &Rule) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains(&rule.name) {
            names.push(rule.name);
        }
    }

    #[must_use]
    pub fn has(&self, rule: &Rule) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(&rule.name)
    }
}
