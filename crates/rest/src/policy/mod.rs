//! Policies in the language of oslo.policy: named rules with defaults that a
//! file of the operator may override.

mod check;
mod parse;

use std::collections::BTreeMap;

use kernel::{Ctx, Enforcer, Error, Result, Target};

use check::{Check, Decision};

/// A set of named rules.
#[derive(Debug, Clone)]
pub struct Policies {
    rules: BTreeMap<String, Check>,
}

impl Policies {
    /// Rules from a table of (name, expression).
    ///
    /// # Errors
    /// `Invalid` naming the malformed rule.
    pub fn new(defaults: &[(&str, &str)]) -> Result<Self> {
        let mut policies = Self {
            rules: BTreeMap::new(),
        };
        for (name, text) in defaults {
            policies.set(name, text)?;
        }
        Ok(policies)
    }

    /// Overrides one rule.
    ///
    /// # Errors
    /// Same errors as [`Policies::new`].
    pub fn set(&mut self, name: &str, text: &str) -> Result<()> {
        let check = parse::rule(text)
            .map_err(|why| Error::invalid(name, format!("policy {name}: '{text}': {why}")))?;
        self.rules.insert(name.to_owned(), check);
        Ok(())
    }

    /// Overrides rules from an object of name → text (JSON, or YAML in JSON
    /// syntax).
    ///
    /// # Errors
    /// As [`Policies::new`]; an unknown name is refused as a typo.
    pub fn override_with(&mut self, rules: &BTreeMap<String, String>) -> Result<()> {
        for (name, text) in rules {
            if !self.rules.contains_key(name) {
                return Err(Error::invalid(
                    name,
                    format!("policy {name}: there is no rule of this name"),
                ));
            }
            self.set(name, text)?;
        }
        Ok(())
    }
}

impl Enforcer for Policies {
    fn allows(&self, rule: &str, ctx: &Ctx, target: &Target) -> bool {
        let mut decision = Decision {
            ctx,
            target,
            rules: &self.rules,
            steps: 0,
        };
        let check = self.rules.get(rule);
        check.and_then(|c| decision.decide(c, 0)).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests;
