//! The options that a domain can have, and Keystone's errors about them.

use kernel::{Error, Kind, Result};
use serde_json::{Value, json};

use super::Config;

/// Options that are never shown.
const SENSITIVE: &[(&str, &str)] = &[("ldap", "password")];
/// Maximum size of the JSON of a value, bytes.
const VALUE: usize = 8192;
/// Maximum number of characters of a name that an error repeats.
const SHOWN: usize = 64;

/// All options that may be shown, with Keystone's defaults.
pub(super) fn defaults() -> Config {
    let mut ldap = Config::new();
    for part in [connection(), users(), groups()] {
        if let Value::Object(options) = part {
            ldap.extend(options);
        }
    }
    let identity = json!({"driver": "sql", "list_limit": null});
    Config::from_iter([
        ("identity".to_owned(), identity),
        ("ldap".to_owned(), Value::Object(ldap)),
    ])
}

fn connection() -> Value {
    json!({
        "url": "ldap://localhost",
        "user": null,
        "suffix": "cn=example,cn=com",
        "query_scope": "one",
        "page_size": 0,
        "alias_dereferencing": "default",
        "debug_level": null,
        "chase_referrals": null,
        "tls_cacertfile": null,
        "tls_cacertdir": null,
        "use_tls": false,
        "tls_req_cert": "demand",
        "use_pool": true,
        "pool_size": 10,
        "pool_retry_max": 3,
        "pool_retry_delay": 0.1,
        "pool_connection_timeout": -1,
        "pool_connection_lifetime": 600,
        "use_auth_pool": true,
        "auth_pool_size": 100,
        "auth_pool_connection_lifetime": 60,
    })
}

fn users() -> Value {
    json!({
        "user_tree_dn": null,
        "user_filter": null,
        "user_objectclass": "inetOrgPerson",
        "user_id_attribute": "cn",
        "user_name_attribute": "sn",
        "user_mail_attribute": "mail",
        "user_description_attribute": "description",
        "user_pass_attribute": "userPassword",
        "user_enabled_attribute": "enabled",
        "user_enabled_invert": false,
        "user_enabled_mask": 0,
        "user_enabled_default": "True",
        "user_attribute_ignore": ["default_project_id"],
        "user_default_project_id_attribute": null,
        "user_enabled_emulation": false,
        "user_enabled_emulation_dn": null,
        "user_enabled_emulation_use_group_config": false,
        "user_additional_attribute_mapping": [],
    })
}

fn groups() -> Value {
    json!({
        "group_tree_dn": null,
        "group_filter": null,
        "group_objectclass": "groupOfNames",
        "group_id_attribute": "cn",
        "group_name_attribute": "ou",
        "group_members_are_ids": false,
        "group_member_attribute": "member",
        "group_desc_attribute": "description",
        "group_attribute_ignore": [],
        "group_additional_attribute_mapping": [],
    })
}

/// 403 with Keystone's text.
pub(super) fn invalid(reason: &str) -> Error {
    Error::forbidden(format!("Invalid domain specific configuration: {reason}."))
}

pub(super) fn is_sensitive(group: &str, option: &str) -> bool {
    SENSITIVE.contains(&(group, option))
}

/// The beginning of a name that a user gives.
fn short(name: &str) -> &str {
    let end = name.char_indices().nth(SHOWN);
    end.map_or(name, |(end, _)| &name[..end])
}

/// What a request names: all options of a domain, a group, or an option of a group.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part<'a> {
    pub group: Option<&'a str>,
    pub option: Option<&'a str>,
}

impl<'a> Part<'a> {
    pub(super) fn option(group: &'a str, option: &'a str) -> Self {
        Self {
            group: Some(group),
            option: Some(option),
        }
    }

    /// # Errors
    /// `Forbidden` if there is no such group or option.
    pub(super) fn check(self) -> Result<()> {
        let Some(group) = self.group else {
            return Ok(());
        };
        let defaults = defaults();
        let Some(known) = defaults.get(group) else {
            return Err(invalid(&format!(
                "Group {} is not supported for domain specific configurations",
                short(group)
            )));
        };
        match self.option {
            Some(option) if known.get(option).is_none() && !is_sensitive(group, option) => {
                Err(invalid(&format!(
                    "Option {} in group {group} is not supported for domain specific configurations",
                    short(option)
                )))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn includes(self, group: &str, option: &str) -> bool {
        self.group.is_none_or(|g| g == group) && self.option.is_none_or(|o| o == option)
    }

    /// 404: the domain has no such options.
    pub(super) fn missing(self, domain_id: &str) -> Error {
        let what = match (self.group, self.option) {
            (Some(group), Some(option)) => format!("option {option} in group {group}"),
            (Some(group), None) => format!("group {group}"),
            _ => "any options".to_owned(),
        };
        Error::new(
            Kind::NotFound,
            format!("Could not find {what} in domain configuration for domain {domain_id}."),
        )
    }

    /// What is shown of options: those of a single option without their group.
    pub(super) fn shown(self, mut config: Config) -> Config {
        match (self.group, self.option) {
            (Some(group), Some(_)) => match config.remove(group) {
                Some(Value::Object(options)) => options,
                _ => Config::new(),
            },
            _ => config,
        }
    }

    /// Checks that an update of this part changes nothing else.
    ///
    /// # Errors
    /// `Forbidden` with Keystone's texts.
    pub(super) fn check_only(self, config: &Config) -> Result<()> {
        let Some(group) = self.group else {
            return Ok(());
        };
        if config.len() != 1 {
            return Err(invalid(&format!(
                "Trying to update group {group}, so that, and only that, group must be specified \
                 in the config"
            )));
        }
        let Some(options) = config.get(group).and_then(Value::as_object) else {
            let other = config.keys().next().map_or("", |name| short(name));
            return Err(invalid(&format!(
                "request to update group {group}, but config provided contains group {other} \
                 instead"
            )));
        };
        let Some(option) = self.option else {
            return Ok(());
        };
        if options.len() != 1 {
            return Err(invalid(&format!(
                "Trying to update option {option} in group {group}, so that, and only that, option \
                 must be specified  in the config"
            )));
        }
        if !options.contains_key(option) {
            let other = options.keys().next().map_or("", |name| short(name));
            return Err(invalid(&format!(
                "Trying to update option {option} in group {group}, but config provided contains \
                 option {other} instead"
            )));
        }
        Ok(())
    }
}

/// Checks the options that a user gives.
///
/// # Errors
/// `Forbidden` with Keystone's texts; `Invalid` for a value that is too long. They do not
/// contain values.
pub(super) fn check(config: &Config) -> Result<()> {
    if config.is_empty() {
        return Err(invalid("No options specified"));
    }
    for (group, options) in config {
        let options = options.as_object().filter(|o| !o.is_empty());
        let Some(options) = options else {
            return Err(invalid(&format!(
                "The value of group {} specified in the config should be a dictionary of options",
                short(group)
            )));
        };
        for (option, value) in options {
            Part::option(group, option).check()?;
            if value.to_string().len() > VALUE {
                let why = format!("at most {VALUE} bytes are allowed.");
                return Err(crate::errors::wrong(option, "***", &why));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(value: Value) -> Config {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn only_known_options_are_accepted() {
        let reason = |value: Value| check(&config(value)).map_err(|e| e.message);
        assert_eq!(reason(json!({"ldap": {"url": "u", "password": 1}})), Ok(()));
        for value in [
            json!({}),
            json!({"ldap": {}}),
            json!({"ldap": "url"}),
            json!({"token": {"expiration": 1}}),
            json!({"ldap": {"urls": "u"}}),
            json!({"identity": {"password": "p"}}),
        ] {
            let got = reason(value.clone()).unwrap_err();
            assert!(
                got.starts_with("Invalid domain specific configuration: "),
                "{value}: {got}"
            );
        }
        let long = reason(json!({"ldap": {"password": "p".repeat(VALUE)}}));
        assert!(!long.unwrap_err().contains("pp"));
    }

    #[test]
    fn an_update_of_a_part_changes_nothing_else() {
        let group = Part {
            group: Some("ldap"),
            option: None,
        };
        let option = Part::option("ldap", "url");
        let refused = |part: Part<'_>, value: Value| part.check_only(&config(value)).is_err();
        assert!(!refused(group, json!({"ldap": {"url": 1, "user": 2}})));
        assert!(refused(group, json!({"identity": {"driver": 1}})));
        assert!(refused(
            group,
            json!({"ldap": {"url": 1}, "identity": {"driver": 1}})
        ));
        assert!(!refused(option, json!({"ldap": {"url": 1}})));
        assert!(refused(option, json!({"ldap": {"user": 1}})));
        assert!(refused(option, json!({"ldap": {"url": 1, "user": 2}})));
    }
}
