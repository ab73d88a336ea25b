//! Requests to routes of identity: policy checks and the domain of the caller.

use std::sync::Arc;

use kernel::{Error, Result, Rule, Scope, Target};

use crate::errors::forbidden;
use crate::state::State;
use crate::token::Valid;
use crate::token::ops::validate::validate_uncached;

/// A request; `B` is the type of its body.
pub(crate) type Call<B = ()> = rest::Call<State, B>;

/// What all handlers of identity need of a request.
pub(crate) trait IdentityCall {
    /// `scheme://host` for links.
    fn base(&self) -> &str;

    /// # Errors
    /// `Forbidden` with Keystone's text if the rule denies.
    fn allow(&self, rule: &'static Rule, target: &Target) -> Result<()>;

    /// Like [`IdentityCall::allow`], for an object that was looked up. The error must
    /// not show which objects exist. Therefore a caller who may access only objects
    /// of the own domain gets the error `missing` for an object of another domain,
    /// as for an absent object, and a caller who may access no object gets
    /// `Forbidden` in both cases.
    fn allow_found<T>(
        &self,
        rule: &'static Rule,
        found: Result<T>,
        target: impl Fn(&T) -> Target,
        missing: impl FnOnce() -> Error,
    ) -> Result<T>;

    /// Whether the rule allows the call.
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

    fn allow_found<T>(
        &self,
        rule: &'static Rule,
        found: Result<T>,
        target: impl Fn(&T) -> Target,
        missing: impl FnOnce() -> Error,
    ) -> Result<T> {
        let own = Target::domain(self.domain_id()?);
        match found {
            Ok(object) if self.allows(rule, &target(&object)) => {
                self.allow(rule, &target(&object)).map(|()| object)
            }
            Ok(_) if self.allows(rule, &own) => Err(missing()),
            Ok(_) => Err(forbidden(rule)),
            Err(e) => self.allow(rule, &own).and(Err(e)),
        }
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

/// The token of the caller, by the present contents of the database: what is created
/// with it can outlive it, so the cache does not decide.
pub(crate) async fn token_of_caller<B>(call: &Call<B>) -> Result<Arc<Valid>> {
    let token = call.header("x-auth-token");
    let token = token.ok_or_else(Error::unauthenticated)?;
    validate_uncached(&call.state, token.trim()).await
}

/// A flag parameter, which is set when present, unless it is 0.
pub(crate) fn flag<B>(call: &Call<B>, name: &str) -> bool {
    call.asked(name).is_some_and(|v| v != "0")
}
