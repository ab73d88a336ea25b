//! Rules of the policy, and the record of those that allowed something.

use std::sync::{Arc, Mutex, PoisonError};

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
