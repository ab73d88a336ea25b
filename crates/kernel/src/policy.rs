//! The port through which operations check permissions. The language itself
//! (oslo.policy) is implemented in `rest`.

use crate::{Ctx, DomainId, ProjectId, Result, Rule, UserId};

/// The owner of the object of a policy check.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub project_id: Option<ProjectId>,
    pub user_id: Option<UserId>,
    pub domain_id: Option<DomainId>,
}

impl Target {
    #[must_use]
    pub fn domain(id: impl Into<DomainId>) -> Self {
        Self {
            domain_id: Some(id.into()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn project(id: impl Into<ProjectId>) -> Self {
        Self {
            project_id: Some(id.into()),
            ..Self::default()
        }
    }
}

/// Evaluates rules.
pub trait Enforcer: Send + Sync {
    /// Whether the rule allows the operation.
    fn allows(&self, rule: &Rule, ctx: &Ctx, target: &Target) -> bool;

    /// As [`Enforcer::allows`]; records a positive decision in the context.
    ///
    /// # Errors
    /// `Forbidden` with the text of oslo.policy if the rule denies.
    fn check(&self, rule: &Rule, ctx: &Ctx, target: &Target) -> Result<()> {
        if self.allows(rule, ctx, target) {
            ctx.granted.record(rule);
            Ok(())
        } else {
            Err(crate::Error::forbidden(format!(
                "Policy doesn't allow {} to be performed.",
                rule.name
            )))
        }
    }
}

/// Declares the rules of a service as constants, and `RULES` with all of them:
/// `rules! { LIST_USERS = "identity:list_users", "role:reader", "List users."; }`.
/// A fourth value limits the [`Scopes`](crate::Scopes) of the callers.
#[macro_export]
macro_rules! rules {
    (@scopes) => { $crate::Scopes::Any };
    (@scopes $scopes:ident) => { $crate::Scopes::$scopes };
    ($($name:ident = $rule:expr, $default:expr, $about:expr $(, $scopes:ident)?;)*) => {
        $(
            #[doc = concat!("`", $rule, "`")]
            pub static $name: $crate::Rule = $crate::Rule {
                name: $rule,
                default: $default,
                about: $about,
                scopes: $crate::rules!(@scopes $($scopes)?),
            };
        )*

        /// All rules of this service.
        pub static RULES: &[&$crate::Rule] = &[$(&$name),*];
    };
}
