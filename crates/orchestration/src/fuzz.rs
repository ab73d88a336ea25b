//! Fuzz target of templates with resource types. `./x fuzz` runs it, and the
//! tests replay its corpus.

use std::collections::BTreeMap;

use lang::hot::{Pseudo, Scope};
use serde_json::{Value, json};

use crate::resource;
use crate::stack::{Templates, validate};

/// The input is a template, optionally followed by a line `%%%` and its parameters
/// in JSON.
pub fn stack(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (text, given) = text.split_once("\n%%%\n").unwrap_or((text, "{}"));
    let mut given: BTreeMap<String, Value> = serde_json::from_str(given).unwrap_or_default();
    let templates = Templates::default();
    let pseudo = Pseudo::default();
    let valid = validate::validate(&templates, text, &mut given, &pseudo, true);
    let Ok(bound) = valid else {
        return;
    };
    for (name, def) in &bound.template.resources {
        let kind = resource::find(&def.resource_type).filter(|_| bound.has(name));
        let Some(kind) = kind else {
            continue;
        };
        let properties = validate::resolve(&bound, kind.schema, &def.properties, &AllExist, None);
        if let Ok(properties) = properties {
            // The properties are stored as JSON.
            assert!(serde_json::to_string(&properties).is_ok());
        }
    }
}

/// A scope in which every resource exists.
struct AllExist;

impl Scope for AllExist {
    fn reference(&self, resource: &str) -> Result<Value, String> {
        Ok(Value::from(resource))
    }

    fn attribute(&self, resource: &str, path: &[Value]) -> Result<Value, String> {
        Ok(match path.first().and_then(Value::as_str) {
            Some("refs") => json!([resource]),
            Some("show") => json!({"id": resource}),
            _ => Value::from("10.0.0.4"),
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn corpus_passes() {
        testkit::replay("stack", super::stack);
    }
}
