//! Requests to routes of identity: policy checks and the domain of the caller.

use kernel::{Result, Rule, Scope, Target};

use crate::errors::forbidden;
use crate::state::State;

/// A request; `B` is the type of its body.
pub(crate) type Call<B = ()> = rest::Call<State, B>;

/// What all handlers of identity need of a request.
pub(crate) trait IdentityCall {
    /// `scheme://host` for links.
    fn base(&self) -> &str;

    /// # Errors
    /// `Forbidden` with Keystone's text if the rule denies.
    fn allow(&self, rule: &'static Rule, target: &Target) -> Result<()>;

    /// As [`IdentityCall::allow`], as a question.
    fn allows(&self, rule: &'static Rule, target: &Target) -> bool;

    /// The domain that the caller acts in.
    fn domain_id(&self) -> Result<String>;
}

impl<B> IdentityCall for Call<B> {
    fn base(&self) -> &str {
        &self.parts.base
    }

    fn allow(&self, rule: &'static Rule, target: &Target) -> Result<()> {
        let checked = self.state.policies.check(rule, self.ctx()?, target);
        checked.map_err(|_| forbidden(rule))
    }

    fn allows(&self, rule: &'static Rule, target: &Target) -> bool {
        let policies = &self.state.policies;
        self.ctx()
            .is_ok_and(|ctx| policies.allows(rule, ctx, target))
    }

    fn domain_id(&self) -> Result<String> {
        Ok(match &self.ctx()?.scope {
            Scope::Project { domain_id, .. } => domain_id.clone().into(),
            Scope::Domain { id, .. } => id.clone().into(),
            _ => "default".into(),
        })
    }
}

/// A flag parameter, which is set when present, unless it is 0.
pub(crate) fn flag<B>(call: &Call<B>, name: &str) -> bool {
    call.asked(name).is_some_and(|v| v != "0")
}
