//! Policies in the language of oslo.policy: named rules with defaults that a
//! file of the operator overrides, also while the server runs.

mod check;
mod parse;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::{Ctx, Enforcer, Error, Result, Rule, Target};

use check::{Check, Decision};

type Checks = BTreeMap<String, Check>;

/// The rules of all services, with the overrides of the operator.
#[derive(Debug)]
pub struct Policies {
    declared: Vec<&'static Rule>,
    current: RwLock<Arc<Current>>,
}

#[derive(Debug)]
struct Current {
    checks: Checks,
    overrides: BTreeMap<String, String>,
}

/// A rule as it is in effect.
#[derive(Debug, Clone)]
pub struct Effective {
    pub rule: &'static Rule,
    /// The text of the override, otherwise of the default.
    pub text: String,
    pub overridden: bool,
}

impl Policies {
    /// The defaults of the declared rules.
    ///
    /// # Errors
    /// `Invalid` naming the rule that is malformed or declared twice.
    pub fn new(declared: &[&'static Rule]) -> Result<Self> {
        for (at, rule) in declared.iter().enumerate() {
            if declared[..at].iter().any(|r| r.name == rule.name) {
                return Err(refuse(rule.name, "", "it is declared twice"));
            }
        }
        let current = build(declared, BTreeMap::new())?;
        Ok(Self {
            declared: declared.to_vec(),
            current: RwLock::new(Arc::new(current)),
        })
    }

    /// Replaces all overrides; after an error the old ones stay in effect.
    ///
    /// # Errors
    /// `Invalid` naming the rule that is unknown or malformed.
    pub fn set_overrides(&self, overrides: BTreeMap<String, String>) -> Result<()> {
        for (name, text) in &overrides {
            if !self.declared.iter().any(|rule| rule.name == name) {
                return Err(refuse(name, text, "there is no rule of this name"));
            }
        }
        let current = Arc::new(build(&self.declared, overrides)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// All rules as they are in effect, in the order of their declaration.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        let current = self.current();
        let one = |rule: &&'static Rule| {
            let text = current.overrides.get(rule.name);
            Effective {
                rule,
                text: text.map_or_else(|| rule.default.to_owned(), String::clone),
                overridden: text.is_some(),
            }
        };
        self.declared.iter().map(one).collect()
    }

    fn current(&self) -> Arc<Current> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Enforcer for Policies {
    fn allows(&self, rule: &Rule, ctx: &Ctx, target: &Target) -> bool {
        rule.scopes.include(&ctx.scope) && decide(&self.current().checks, rule.name, ctx, target)
    }
}

fn decide(checks: &Checks, name: &str, ctx: &Ctx, target: &Target) -> bool {
    let mut decision = Decision {
        ctx,
        target,
        rules: checks,
        steps: 0,
    };
    let check = checks.get(name);
    check
        .and_then(|check| decision.decide(check, 0))
        .unwrap_or(false)
}

/// Rules that need not be declared.
#[cfg(any(test, feature = "fuzzing"))]
#[derive(Clone, Default)]
pub(crate) struct Undeclared(Checks);

#[cfg(any(test, feature = "fuzzing"))]
impl Undeclared {
    /// Adds a rule if its text is well-formed.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> bool {
        let parsed = parse::rule(text);
        let is_ok = parsed.is_ok();
        if let Ok(check) = parsed {
            self.0.insert(name.to_owned(), check);
        }
        is_ok
    }

    pub(crate) fn allows(&self, name: &str, ctx: &Ctx, target: &Target) -> bool {
        decide(&self.0, name, ctx, target)
    }
}

fn refuse(name: &str, text: &str, why: &str) -> Error {
    Error::invalid(name, format!("policy {name}: '{text}': {why}"))
}

fn build(declared: &[&'static Rule], overrides: BTreeMap<String, String>) -> Result<Current> {
    let mut checks = Checks::new();
    let text_of = |rule: &'static Rule| {
        overrides
            .get(rule.name)
            .map_or(rule.default, String::as_str)
    };
    for rule in declared {
        let text = text_of(rule);
        let check = parse::rule(text).map_err(|why| refuse(rule.name, text, &why))?;
        checks.insert(rule.name.to_owned(), check);
    }
    for rule in declared {
        let unknown = checks.get(rule.name).and_then(|c| c.unknown(&checks));
        if let Some(unknown) = unknown {
            let why = format!("'{unknown}' is not known here, so it would never match");
            return Err(refuse(rule.name, text_of(rule), &why));
        }
        let check = checks.get(rule.name);
        if check.is_some_and(|c| c.leads_to(rule.name, &checks)) {
            return Err(refuse(rule.name, text_of(rule), "it refers to itself"));
        }
    }
    Ok(Current { checks, overrides })
}

#[cfg(test)]
mod tests;
