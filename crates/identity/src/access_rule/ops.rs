//! Creating and deleting access rules.

use db::{Table as _, Tx};
use kernel::{AccessRule, Error, Result, UserId};

use super::stored::CredentialRules;
use super::wire::AskedRule;
use super::{UserRule, table};
use crate::app_credential;
use crate::errors::missing;
use crate::ids::AccessRuleId;
use crate::state::State;
use crate::user;

/// Maximum number of rules of a user.
const USER_LIMIT: usize = 1000;

pub(crate) async fn get(state: &State, user_id: &str, id: &str) -> Result<UserRule> {
    let found = table::by_id(&state.db, user_id, id).await?;
    found.ok_or_else(|| missing("Access Rule", id))
}

/// The rules of a new application credential, of which those that the user does not have
/// are created. The user is locked. No rules mean no restriction: the openstack client
/// sends an empty list, and Keystone stores nothing for it.
pub(crate) async fn find_or_create(
    tx: &mut Tx,
    user_id: &UserId,
    asked: &[AskedRule],
) -> Result<CredentialRules> {
    if asked.is_empty() {
        return Ok(CredentialRules::default());
    }
    let mut all = table::read_of_user(tx, user_id).await?;
    let mut rules: Vec<AccessRule> = Vec::new();
    for asked in asked {
        let rule = match asked {
            AskedRule::Id(id) => {
                let found = all.iter().find(|r| r.id == *id);
                found.ok_or_else(|| missing("Access Rule", id))?.rule()
            }
            AskedRule::New {
                service,
                path,
                method,
            } => {
                let same =
                    |r: &&UserRule| r.service == *service && r.path == *path && r.method == *method;
                match all.iter().find(same) {
                    Some(found) => found.rule(),
                    None => {
                        refuse_beyond_limit(all.len())?;
                        let new = UserRule {
                            id: AccessRuleId::random(),
                            user_id: user_id.clone(),
                            service: service.clone(),
                            path: path.clone(),
                            method: method.clone(),
                        };
                        new.insert(tx).await?;
                        let rule = new.rule();
                        all.push(new);
                        rule
                    }
                }
            }
        };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Ok(CredentialRules(Some(rules.into())))
}

fn refuse_beyond_limit(count: usize) -> Result<()> {
    if count >= USER_LIMIT {
        return Err(Error::forbidden(format!(
            "Unable to create additional access rules, maximum of {USER_LIMIT} already exceeded for user."
        )));
    }
    Ok(())
}

/// Deletes a rule that no application credential has.
pub(crate) async fn delete(state: &State, user_id: &str, id: &str) -> Result<()> {
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        // A credential with the rule may be just created.
        user::table::lock(tx, user_id).await?;
        let credentials = app_credential::table::read_of_user(tx, user_id).await?;
        let mut used = credentials.iter().filter_map(|c| c.access_rules.0.as_ref());
        if used.any(|rules| rules.iter().any(|rule| rule.id == id)) {
            return Err(Error::forbidden("May not delete access rule in use"));
        }
        if table::delete(tx, user_id, id).await? == 0 {
            return Err(missing("Access Rule", id));
        }
        Ok(())
    })
}
