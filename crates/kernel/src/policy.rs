//! The port through which `ops.rs` checks permissions. The language itself
//! (oslo.policy) is implemented in `rest`.

use crate::{Ctx, Result};

/// The owner of the object of a policy check.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    pub domain_id: Option<String>,
}

impl Target {
    #[must_use]
    pub fn domain(id: impl Into<String>) -> Self {
        Self {
            domain_id: Some(id.into()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn project(id: impl Into<String>) -> Self {
        Self {
            project_id: Some(id.into()),
            ..Self::default()
        }
    }
}

/// Evaluates named rules, such as `cluster:create`.
pub trait Enforcer: Send + Sync {
    /// Whether the rule allows the operation. An unknown rule denies.
    fn allows(&self, rule: &str, ctx: &Ctx, target: &Target) -> bool;

    /// As `allows`.
    ///
    /// # Errors
    /// `Forbidden` with the text of oslo.policy if the rule denies.
    fn check(&self, rule: &str, ctx: &Ctx, target: &Target) -> Result<()> {
        if self.allows(rule, ctx, target) {
            Ok(())
        } else {
            Err(crate::Error::forbidden(format!(
                "Policy doesn't allow {rule} to be performed."
            )))
        }
    }
}
