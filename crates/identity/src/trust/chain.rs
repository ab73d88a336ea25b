//! Redelegation: a trust whose trustor got the roles by another trust.

use db::Db;
use kernel::{Error, Result, Timestamp, UserId};

use super::{MAX_REDELEGATIONS, Trust, table};

/// A trust, the one that it was redelegated from, and so on up to the first one.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub trust: Trust,
    /// The nearest one first.
    pub above: Vec<Trust>,
}

impl Chain {
    /// `None` if the trust or one above it was deleted or has expired.
    pub(crate) async fn load(db: &Db, id: &str, now: Timestamp) -> Result<Option<Self>> {
        let valid = |found: Option<Trust>| found.filter(|t| !t.is_expired(now));
        let Some(trust) = valid(table::by_id(db, id).await?) else {
            return Ok(None);
        };
        let mut above = Vec::new();
        let mut next = trust.redelegated_trust_id.clone();
        for _ in 0..MAX_REDELEGATIONS {
            let Some(id) = &next else {
                break;
            };
            let Some(found) = valid(table::by_id(db, id).await?) else {
                return Ok(None);
            };
            next = found.redelegated_trust_id.clone();
            above.push(found);
        }
        // Without this, a longer chain would end at a trust that has no roles itself.
        Ok(next.is_none().then_some(Self { trust, above }))
    }

    /// The first trust, whose trustor holds the roles.
    pub(crate) fn first(&self) -> &Trust {
        self.above.last().unwrap_or(&self.trust)
    }

    /// All trusts, the first one last.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Trust> {
        std::iter::once(&self.trust).chain(&self.above)
    }

    /// The ids of all trustors and trustees.
    pub(crate) fn users(&self) -> Vec<&UserId> {
        let mut users = Vec::new();
        for trust in self.all() {
            for user in [&trust.trustor_user_id, &trust.trustee_user_id] {
                if !users.contains(&user) {
                    users.push(user);
                }
            }
        }
        users
    }

    /// Checks each trust of the chain against the one above it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn check(&self) -> Result<()> {
        let mut below = &self.trust;
        for above in &self.above {
            check_redelegation(above, below)?;
            below = above;
        }
        Ok(())
    }
}

/// Whether a trust gives no more than the one that it is redelegated from.
///
/// # Errors
/// `Forbidden`.
pub(crate) fn check_redelegation(above: &Trust, below: &Trust) -> Result<()> {
    let depth = above.redelegation_count;
    if !(1..=MAX_REDELEGATIONS).contains(&depth) {
        return Err(Error::forbidden(format!(
            "Remaining redelegation depth of {depth} out of allowed range of [0..{MAX_REDELEGATIONS}]"
        )));
    }
    if let Some(uses) = below.remaining_uses {
        return Err(Error::forbidden(format!(
            "Field \"remaining_uses\" is set to {uses} while it must not be set in order to redelegate a trust"
        )));
    }
    let is_longer = above
        .expires_at
        .is_some_and(|end| below.expires_at.is_none_or(|asked| asked > end));
    if is_longer {
        return Err(Error::forbidden(
            "Requested expiration time is more than redelegated trust can provide",
        ));
    }
    // Keystone does not compare the projects: the trustee could get the roles on other
    // projects of the trustor.
    if below.project_id != above.project_id {
        return Err(Error::forbidden(
            "The project of a redelegated trust cannot be changed",
        ));
    }
    if !below.roles.iter().all(|role| above.roles.contains(role)) {
        return Err(Error::forbidden(
            "Some of requested roles are not in redelegated trust",
        ));
    }
    if below.impersonation && !above.impersonation {
        return Err(Error::forbidden(format!(
            "Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated trust id: {}",
            above.id
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::Attributes;

    fn trust() -> Trust {
        Trust {
            id: "t".into(),
            trustor_user_id: "a".into(),
            trustee_user_id: "b".into(),
            project_id: Some("p".into()),
            impersonation: true,
            roles: vec!["r".into(), "s".into()],
            expires_at: Some(Timestamp::from_seconds(10)),
            remaining_uses: None,
            redelegated_trust_id: None,
            redelegation_count: 2,
            extra: Attributes::default(),
        }
    }

    #[test]
    fn a_redelegated_trust_gives_no_more() {
        let below = |change: fn(&mut Trust)| {
            let mut below = trust();
            change(&mut below);
            check_redelegation(&trust(), &below).is_ok()
        };
        assert!(below(|_| {}));
        assert!(below(|t| t.roles.truncate(1)));
        assert!(below(|t| t.expires_at = Some(Timestamp::from_seconds(9))));
        assert!(below(|t| t.impersonation = false));
        assert!(!below(|t| t.roles.push("q".into())));
        assert!(!below(|t| t.expires_at = Some(Timestamp::from_seconds(11))));
        assert!(!below(|t| t.expires_at = None));
        assert!(!below(|t| t.project_id = Some("q".into())));
        assert!(!below(|t| t.remaining_uses = Some(1)));
        let above = |change: fn(&mut Trust)| {
            let mut above = trust();
            change(&mut above);
            check_redelegation(&above, &trust()).is_ok()
        };
        assert!(above(|t| t.expires_at = None));
        assert!(!above(|t| t.redelegation_count = 0));
        assert!(!above(|t| t.redelegation_count = 4));
        assert!(!above(|t| t.impersonation = false));
    }
}
