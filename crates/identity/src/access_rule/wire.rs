//! Bodies of access rules.

use kernel::{AccessRule, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::UserRule;
use crate::envelope::{SelfLink, nouns};
use crate::errors::wrong;
use crate::filter::{Filter, Listed};

/// A rule inside an application credential.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RuleOfCredential {
    id: String,
    service: String,
    path: String,
    method: String,
}

impl RuleOfCredential {
    pub(crate) fn list(rules: &[AccessRule]) -> Vec<Self> {
        let rules = rules.iter().map(|rule| Self {
            id: rule.id.clone(),
            service: rule.service.clone(),
            path: rule.path.clone(),
            method: rule.method.clone(),
        });
        rules.collect()
    }
}

/// A rule as Keystone shows it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AccessRuleBody {
    id: String,
    service: String,
    path: String,
    method: String,
    links: SelfLink,
}

nouns! { AccessRuleBody = "access_rule", "access_rules"; }

impl AccessRuleBody {
    pub(crate) fn new(rule: UserRule, base: &str) -> Self {
        let path = format!("/users/{}/access_rules/{}", rule.user_id, rule.id);
        Self {
            links: SelfLink::new(base, &path),
            id: rule.id.into(),
            service: rule.service,
            path: rule.path,
            method: rule.method,
        }
    }
}

impl Listed for AccessRuleBody {
    fn id(&self) -> &str {
        &self.id
    }

    fn filter(&self, name: &str) -> Option<Filter<'_>> {
        match name {
            "service" => Some(Filter::Text(&self.service)),
            "path" => Some(Filter::Text(&self.path)),
            "method" => Some(Filter::Text(&self.method)),
            _ => None,
        }
    }
}

/// A rule that a request names or describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AskedRule {
    Id(String),
    New {
        service: String,
        path: String,
        method: String,
    },
}

/// Maximum number of rules of an application credential.
const MOST: usize = 100;
/// Maximum number of wildcards of a path: each makes it slower to match.
const MOST_WILDCARDS: usize = 8;
const METHODS: [&str; 6] = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"];

/// Reads the rules of an application credential.
///
/// # Errors
/// `Invalid`.
pub(crate) fn asked_rules(value: Option<Value>) -> Result<Vec<AskedRule>> {
    let items = match value {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(Value::Array(items)) => items,
        Some(other) => {
            let why = "a list of {\"id\"} or {\"service\", \"path\", \"method\"} is expected.";
            return Err(wrong("access_rules", &other.to_string(), why));
        }
    };
    if items.len() > MOST {
        let why = format!("at most {MOST} rules are allowed.");
        return Err(wrong(
            "access_rules",
            &format!("{} items", items.len()),
            &why,
        ));
    }
    items.iter().map(asked_rule).collect()
}

fn asked_rule(item: &Value) -> Result<AskedRule> {
    let refused = |why: &str| Err(wrong("access_rules", &item.to_string(), why));
    let texts = item.as_object().and_then(texts);
    match texts.as_deref() {
        Some([("id", id)]) => Ok(AskedRule::Id((*id).to_owned())),
        Some([("method", method), ("path", path), ("service", service)]) => {
            if !METHODS.contains(method) {
                return refused("the method is unknown.");
            }
            if !path.starts_with('/') || path.chars().count() > 225 {
                return refused(
                    "the path must start with a slash and have at most 225 characters.",
                );
            }
            if AccessRule::wildcards(path) > MOST_WILDCARDS {
                return refused(&format!(
                    "the path must have at most {MOST_WILDCARDS} of `*`, `**` and `{{name}}`."
                ));
            }
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if service.is_empty() || service.len() > 64 || !service.chars().all(is_word) {
                return refused("the service must be the type of a service.");
            }
            Ok(AskedRule::New {
                service: (*service).to_owned(),
                path: (*path).to_owned(),
                method: (*method).to_owned(),
            })
        }
        _ => refused("either {\"id\"} or {\"service\", \"path\", \"method\"} is expected."),
    }
}

/// The members of an object in the order of their names, if all are texts.
fn texts(object: &Map<String, Value>) -> Option<Vec<(&str, &str)>> {
    let members = object.iter();
    let texts = members.map(|(name, value)| value.as_str().map(|text| (name.as_str(), text)));
    let mut texts = texts.collect::<Option<Vec<_>>>()?;
    texts.sort_unstable();
    Some(texts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_has_few_wildcards() {
        let read = |path: &str| {
            let rule = json!({"service": "identity", "path": path, "method": "GET"});
            asked_rules(Some(json!([rule]))).map_err(|e| e.message)
        };
        assert!(read("/*/*/*/*/*/*/{x}/**").is_ok());
        let path = "/*/*/*/*/*/*/{x}/**/*";
        let why = read(path).unwrap_err();
        for part in ["access_rules", path, "at most 8 of `*`, `**` and `{name}`"] {
            assert!(why.contains(part), "{why}");
        }
    }
}
