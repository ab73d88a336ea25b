//! Requests to routes of identity: policy checks and the domain of the caller.

use kernel::{Ctx, Result, Rule, Scope, Target};

use crate::errors::forbidden;
use crate::state::State;

/// A request; `B` is the type of its body.
pub(crate) type Call<B = ()> = rest::Call<State, B>;

/// What all handlers of identity need of a request.
pub(crate) trait IdentityCall {
    fn state(&self) -> &State;

    fn caller(&self) -> Result<&Ctx>;

    /// `scheme://host` for links.
    fn base(&self) -> &str;

    /// # Errors
    /// `Forbidden` with Keystone's text if the rule denies.
    fn allow(&self, rule: &'static Rule, target: &Target) -> Result<()> {
        let policies = &self.state().policies;
        let checked = policies.check(rule, self.caller()?, target);
        checked.map_err(|_| forbidden(rule))
    }

    /// As [`IdentityCall::allow`], as a question.
    fn allows(&self, rule: &'static Rule, target: &Target) -> bool {
        let policies = &self.state().policies;
        self.caller()
            .is_ok_and(|ctx| policies.allows(rule, ctx, target))
    }

    /// The domain that the caller acts in.
    fn domain_id(&self) -> Result<String> {
        Ok(match &self.caller()?.scope {
            Scope::Project { domain_id, .. } => domain_id.clone(),
            Scope::Domain { id, .. } => id.clone(),
            _ => "default".into(),
        })
    }
}

impl<B> IdentityCall for Call<B> {
    fn state(&self) -> &State {
        &self.state
    }

    fn caller(&self) -> Result<&Ctx> {
        self.ctx()
    }

    fn base(&self) -> &str {
        &self.parts.base
    }
}

/// A flag parameter, which is set when present, unless it is 0.
pub(crate) fn flag<B>(call: &Call<B>, name: &str) -> bool {
    call.asked(name).is_some_and(|v| v != "0")
}
