//! Rows that a caller may use. An operation on an existing row takes such a
//! row, so that it cannot be called without the policy check.

use std::ops::Deref;

use kernel::{Ctx, Enforcer, Result, Rule, Target};

/// A row that belongs to a project.
pub(crate) trait Owned {
    /// The owner, for policy checks.
    fn target(&self) -> Target;
}

/// A row together with the proof that rules allow the caller to use it. The only
/// way to get one is a check.
#[derive(Debug)]
pub(crate) struct Authorized<T>(T);

impl<T: Owned> Authorized<T> {
    /// # Errors
    /// `Forbidden` if one of the rules denies.
    pub(crate) fn check(
        enforcer: &dyn Enforcer,
        ctx: &Ctx,
        rules: &[&'static Rule],
        row: T,
    ) -> Result<Self> {
        let target = row.target();
        for rule in rules {
            enforcer.check(rule, ctx, &target)?;
        }
        Ok(Self(row))
    }

    /// Like [`Authorized::check`], except for a row that is shared with all projects:
    /// the real service does not evaluate the rule for it, so the rule is only
    /// recorded as granted.
    pub(crate) fn check_unless_shared(
        enforcer: &dyn Enforcer,
        ctx: &Ctx,
        rule: &'static Rule,
        row: T,
        is_shared: impl FnOnce(&T) -> bool,
    ) -> Result<Self> {
        if is_shared(&row) {
            ctx.granted.record(rule);
            return Ok(Self(row));
        }
        Self::check(enforcer, ctx, &[rule], row)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Authorized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
