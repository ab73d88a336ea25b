//! Reading and changing the configuration of domains.

use db::{Table as _, Tx};
use kernel::{DomainId, Result};
use serde_json::{Value, json};

use super::options::{Part, check, defaults, invalid, is_sensitive};
use super::{Config, DomainOption, DomainSecret, PURPOSE, table};
use crate::domain;
use crate::state::State;

/// The options of a part that may be shown.
///
/// # Errors
/// `Forbidden` for a part that does not exist, `NotFound` if the domain has no options in
/// it.
pub(super) async fn get(state: &State, domain_id: &str, part: Part<'_>) -> Result<Config> {
    part.check()?;
    let mut found = table::options(&state.db, domain_id).await?;
    found.retain(|o| part.includes(&o.group, &o.name));
    if found.is_empty() {
        return Err(part.missing(domain_id));
    }
    Ok(part.shown(by_group(found)))
}

fn by_group(options: Vec<DomainOption>) -> Config {
    let mut config = Config::new();
    for option in options {
        let group = config.entry(option.group).or_insert_with(|| json!({}));
        group[option.name] = option.value;
    }
    config
}

/// Keystone's defaults of a part.
pub(super) fn default_of(part: Part<'_>) -> Result<Config> {
    part.check()?;
    let mut all = defaults();
    if let (Some(group), Some(option)) = (part.group, part.option)
        && is_sensitive(group, option)
    {
        return Err(invalid(&format!(
            "Reading the default for option {option} in group {group} is not supported"
        )));
    }
    all.retain(|group, options| {
        if let Value::Object(options) = options {
            options.retain(|name, _| part.includes(group, name));
        }
        part.group.is_none_or(|g| g == group)
    });
    Ok(part.shown(all))
}

/// Replaces all options of a domain; returns whether it had some.
pub(super) async fn replace(
    state: &State,
    domain_id: &str,
    config: &Config,
) -> Result<(bool, Config)> {
    check(config)?;
    db::write!(state.db, |tx| {
        domain::ops::lock(tx, domain_id).await?;
        let had_some = !table::read_options(tx, domain_id).await?.is_empty()
            || !table::read_secrets(tx, domain_id).await?.is_empty();
        table::delete(tx, domain_id).await?;
        insert(state, tx, domain_id, config).await?;
        let stored = table::read_options(tx, domain_id).await?;
        Ok((had_some, by_group(stored)))
    })
}

/// Changes options of a part, which must exist unless it is the whole; returns all
/// options that may be shown, as Keystone does.
pub(super) async fn update(
    state: &State,
    domain_id: &str,
    part: Part<'_>,
    config: Config,
) -> Result<Config> {
    let mut config = config;
    if let (Some(group), Some(_)) = (part.group, part.option) {
        // The body has the option without its group.
        config = Config::from_iter([(group.to_owned(), Value::Object(config))]);
    }
    check(&config)?;
    part.check()?;
    part.check_only(&config)?;
    db::write!(state.db, |tx| {
        domain::ops::lock(tx, domain_id).await?;
        if part.group.is_some() {
            check_there(tx, domain_id, part).await?;
        }
        for (group, options) in &config {
            for option in options.as_object().into_iter().flat_map(|o| o.keys()) {
                table::delete_one(tx, domain_id, (group, option)).await?;
            }
        }
        insert(state, tx, domain_id, &config).await?;
        Ok(by_group(table::read_options(tx, domain_id).await?))
    })
}

async fn insert(state: &State, tx: &mut Tx, domain_id: &str, config: &Config) -> Result<()> {
    let domain_id = DomainId::from(domain_id);
    for (group, options) in config {
        for (name, value) in options.as_object().into_iter().flatten() {
            let (domain_id, group, name) = (domain_id.clone(), group.clone(), name.clone());
            if is_sensitive(&group, &name) {
                let purpose = PURPOSE.replace("{}", &domain_id);
                let sealed = state.sealer.seal(&purpose, value.to_string().as_bytes())?;
                let secret = DomainSecret {
                    domain_id,
                    group,
                    name,
                    value_sealed: sealed,
                };
                secret.insert(tx).await?;
            } else {
                let option = DomainOption {
                    domain_id,
                    group,
                    name,
                    value: value.clone(),
                };
                option.insert(tx).await?;
            }
        }
    }
    Ok(())
}

/// Names of the options of a part that a domain has, sensitive ones included.
async fn names_of(tx: &mut Tx, domain_id: &str, part: Part<'_>) -> Result<Vec<(String, String)>> {
    let options = table::read_options(tx, domain_id).await?;
    let secrets = table::read_secrets(tx, domain_id).await?;
    let mut names: Vec<_> = options.into_iter().map(|o| (o.group, o.name)).collect();
    names.extend(secrets.into_iter().map(|s| (s.group, s.name)));
    names.retain(|(group, name)| part.includes(group, name));
    Ok(names)
}

async fn check_there(tx: &mut Tx, domain_id: &str, part: Part<'_>) -> Result<()> {
    if names_of(tx, domain_id, part).await?.is_empty() {
        return Err(part.missing(domain_id));
    }
    Ok(())
}

/// Deletes a part; deleting the whole succeeds also if the domain has no options.
pub(super) async fn delete(state: &State, domain_id: &str, part: Part<'_>) -> Result<()> {
    part.check()?;
    db::write!(state.db, |tx| {
        tx.write_receipt().await?;
        domain::ops::lock(tx, domain_id).await?;
        if part.group.is_some() {
            check_there(tx, domain_id, part).await?;
        }
        for (group, name) in names_of(tx, domain_id, part).await? {
            table::delete_one(tx, domain_id, (&group, &name)).await?;
        }
        Ok(())
    })
}
