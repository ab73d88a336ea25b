//! Reading a request body field by field, with the coercions and the texts of
//! the real service (which validates with WSME). Null means unset.

use std::collections::BTreeMap;

use kernel::{Error, Result, ids};
use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};

use crate::errors::{bad_request, invalid_field};
use crate::python::{python, python_type};

/// Maximum number of labels of one object.
const MAX_LABELS: usize = 256;
/// Maximum length of the name of a label, characters.
const MAX_LABEL_NAME: usize = 255;
/// Maximum length of the value of a label, bytes.
const MAX_LABEL_VALUE: usize = 16 * 1024;
/// Maximum length of all names and values of an object's labels together, bytes:
/// lists show the labels of up to 1,000 objects.
const MAX_LABELS_SIZE: usize = 64 * 1024;
/// Maximum number of entries of a list, and of characters of an entry.
const MAX_ENTRIES: usize = 1000;
const MAX_ENTRY: usize = 255;

/// The values that a field of a body takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Text of this many characters.
    Text(usize, usize),
    /// One of these words.
    Words(&'static [&'static str]),
    /// A text that matches the pattern, of at most this many characters.
    Pattern(&'static str, usize),
    /// An integer between these, also as numeric text.
    Int(i64, i64),
    /// A boolean, also as one of the usual words.
    Flag,
    /// Labels: text, number or boolean values, kept as text.
    Labels,
    /// A list of texts or numbers.
    Texts,
    /// A uuid with dashes.
    Uuid,
}

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    name: &'static str,
    kind: Kind,
    is_required: bool,
}

/// A field that may be absent or null.
pub(crate) const fn optional(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        is_required: false,
    }
}

/// A mandatory field.
pub(crate) const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        is_required: true,
    }
}

/// The form of a body: the readers and the schema are derived from it.
pub(crate) struct BodySpec {
    /// The name of the body in error texts.
    pub(crate) argument: &'static str,
    pub(crate) fields: &'static [Field],
    /// Rejected if they have a value.
    pub(crate) read_only: &'static [&'static str],
    /// Dropped.
    pub(crate) ignored: &'static [&'static str],
}

impl BodySpec {
    /// The schema of the body. Read-only and ignored fields are left out, because
    /// clients have no reason to send them.
    pub(crate) fn schema(&self) -> Schema {
        let properties: Map<String, Value> = self
            .fields
            .iter()
            .map(|f| (f.name.to_owned(), f.schema()))
            .collect();
        let required = self.fields.iter().filter(|f| f.is_required);
        let required: Vec<&str> = required.map(|f| f.name).collect();
        json_schema!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    }
}

impl Field {
    fn schema(&self) -> Value {
        let (kind, mut rest) = match self.kind {
            Kind::Text(min, max) => ("string", json!({"minLength": min, "maxLength": max})),
            Kind::Words(words) if self.is_required => ("string", json!({ "enum": words })),
            Kind::Words(words) => {
                let mut all: Vec<Value> = words.iter().map(|w| json!(w)).collect();
                all.push(Value::Null);
                ("string", json!({ "enum": all }))
            }
            Kind::Pattern(pattern, max) => {
                ("string", json!({"pattern": pattern, "maxLength": max}))
            }
            Kind::Int(min, max) => ("integer", json!({"minimum": min, "maximum": max})),
            Kind::Flag => ("boolean", json!({})),
            Kind::Labels => ("object", labels_schema()),
            Kind::Texts => {
                let item = json!({"type": "string", "maxLength": MAX_ENTRY});
                ("array", json!({"items": item, "maxItems": MAX_ENTRIES}))
            }
            Kind::Uuid => ("string", json!({"format": "uuid"})),
        };
        rest["type"] = if self.is_required {
            json!(kind)
        } else {
            json!([kind, "null"])
        };
        rest
    }
}

/// The limits of labels, apart from the type.
fn labels_schema() -> Value {
    json!({
        "maxProperties": MAX_LABELS,
        "propertyNames": {"minLength": 1, "maxLength": MAX_LABEL_NAME},
        "additionalProperties": {"type": ["string", "number", "boolean"],
            "maxLength": MAX_LABEL_VALUE},
    })
}

/// The body of one request.
pub(crate) struct Fields {
    spec: &'static BodySpec,
    map: Map<String, Value>,
}

impl Fields {
    pub(crate) fn new(spec: &'static BodySpec, body: Option<Value>) -> Result<Self> {
        let arg = spec.argument;
        let Some(body) = body else {
            return Err(bad_request(arg, format!("Missing argument: \"{arg}\"")));
        };
        let Value::Object(mut map) = body else {
            let why = format!(
                "Wrong type. Expected '<class 'dict'>', got '{}'",
                python_type(&body)
            );
            return Err(invalid_field(arg, &python(&body), &why));
        };
        for key in spec.ignored {
            map.remove(*key);
        }
        for (key, value) in &map {
            if spec.read_only.contains(&key.as_str()) {
                if !value.is_null() {
                    return Err(invalid_field(
                        key,
                        &python(value),
                        "Cannot set read only field.",
                    ));
                }
            } else if !spec.fields.iter().any(|f| f.name == key) {
                return Err(bad_request(
                    key,
                    format!("Unknown attribute for argument {arg}: {key}"),
                ));
            }
        }
        Ok(Self { spec, map })
    }

    /// A field with its value; `None` if it is absent or null.
    ///
    /// # Errors
    /// `Invalid` if a mandatory field is missing.
    fn get(&self, name: &str) -> Result<Option<(Kind, &Value)>> {
        let field = self.spec.fields.iter().find(|f| f.name == name);
        let field = field.ok_or_else(|| wrong_reader(name))?;
        match self.map.get(name).filter(|v| !v.is_null()) {
            Some(value) => Ok(Some((field.kind, value))),
            None if field.is_required => {
                Err(invalid_field(name, "None", "Mandatory field missing."))
            }
            None => Ok(None),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(match self.get(name)? {
            Some((Kind::Text(min, max), v)) => Some(check_text(name, v, min, max)?),
            Some((Kind::Words(_), v)) => Some(check_text(name, v, 1, MAX_ENTRY)?),
            Some((Kind::Pattern(_, max), v)) => Some(check_text(name, v, 0, max)?),
            Some((Kind::Uuid, v)) => Some(check_uuid(name, v)?),
            Some(_) => return Err(wrong_reader(name)),
            None => None,
        })
    }

    /// As [`Fields::text`] for a mandatory field.
    pub(crate) fn need_text(&self, name: &str) -> Result<String> {
        self.text(name)?.ok_or_else(|| wrong_reader(name))
    }

    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name)? {
            Some((Kind::Int(min, max), v)) => check_int(name, v, min, max).map(Some),
            Some(_) => Err(wrong_reader(name)),
            None => Ok(None),
        }
    }

    /// As [`Fields::int`] for a mandatory field.
    pub(crate) fn need_int(&self, name: &str) -> Result<i64> {
        self.int(name)?.ok_or_else(|| wrong_reader(name))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        let value = self.get(name)?;
        value.map(|(_, v)| check_flag(name, v)).transpose()
    }

    pub(crate) fn labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let value = self.get(name)?;
        value.map(|(_, v)| check_labels(name, v)).transpose()
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>> {
        let value = self.get(name)?;
        value.map_or_else(|| Ok(Vec::new()), |(_, v)| check_texts(name, v))
    }
}

/// The form of the body and its reader disagree.
fn wrong_reader(name: &str) -> Error {
    Error::internal(format!("the body has no such field {name}"))
}

fn check_texts(name: &str, value: &Value) -> Result<Vec<String>> {
    let Some(items) = value.as_array() else {
        let why = format!("Value not a valid list: {}", python(value));
        return Err(invalid_field(name, &python(value), &why));
    };
    if items.len() > MAX_ENTRIES {
        let why = format!("At most {MAX_ENTRIES} entries are allowed.");
        let given = format!("{} entries", items.len());
        return Err(invalid_field(name, &given, &why));
    }
    let entry = |v: &Value| match v {
        Value::String(_) => check_text(name, v, 0, MAX_ENTRY),
        Value::Number(n) => Ok(n.to_string()),
        _ => Err(invalid_field(name, &python(v), "Every entry must be text.")),
    };
    items.iter().map(entry).collect()
}

fn check_uuid(name: &str, value: &Value) -> Result<String> {
    let text = check_text(name, value, 0, 255)?;
    if ids::is_uuid_like(&text) {
        return Ok(text);
    }
    let why = format!("unable to convert to uuid. Error: Expected a uuid but received {text}.");
    Err(invalid_field(name, &text, &why))
}

pub(crate) fn check_text(name: &str, value: &Value, min: usize, max: usize) -> Result<String> {
    let Value::String(text) = value else {
        let why = format!(
            "Wrong type. Expected '<class 'str'>', got '{}'",
            python_type(value)
        );
        return Err(invalid_field(name, &python(value), &why));
    };
    let length = text.chars().count();
    if length < min {
        let why = format!("Value should have a minimum character requirement of {min}");
        return Err(invalid_field(name, text, &why));
    }
    if length > max {
        let why = format!("Value should have a maximum character requirement of {max}");
        return Err(invalid_field(name, text, &why));
    }
    Ok(text.clone())
}

pub(crate) fn check_int(name: &str, value: &Value, min: i64, max: i64) -> Result<i64> {
    let number = match value {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    let Some(number) = number else {
        let why = format!(
            "Wrong type. Expected '<class 'int'>', got '{}'",
            python_type(value)
        );
        return Err(invalid_field(name, &python(value), &why));
    };
    if number < min {
        let why = format!("Value should be greater or equal to {min}");
        return Err(invalid_field(name, &number.to_string(), &why));
    }
    if number > max {
        let why = format!("Value should be lower or equal to {max}");
        return Err(invalid_field(name, &number.to_string(), &why));
    }
    Ok(number)
}

pub(crate) fn check_flag(name: &str, value: &Value) -> Result<bool> {
    let word = match value {
        Value::Bool(b) => return Ok(*b),
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.trim().to_lowercase(),
        _ => String::new(),
    };
    match word.as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Ok(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Ok(false),
        _ => {
            let why = "Unrecognized value, acceptable values are: '0', '1', 'f', 'false', 'n', \
                       'no', 'off', 'on', 't', 'true', 'y', 'yes'";
            Err(invalid_field(name, &python(value), why))
        }
    }
}

pub(crate) fn check_labels(name: &str, value: &Value) -> Result<BTreeMap<String, String>> {
    let Some(map) = value.as_object() else {
        let why = format!(
            "Wrong type. Expected '<class 'dict'>', got '{}'",
            python_type(value)
        );
        return Err(invalid_field(name, &python(value), &why));
    };
    let labels: BTreeMap<String, String> = map
        .iter()
        .map(|(k, v)| {
            let text = match v {
                Value::String(s) => s.clone(),
                Value::Bool(_) | Value::Number(_) => python(v),
                _ => {
                    let why = format!(
                        "The value of label '{k}' must be text, a number or a boolean, got '{}'",
                        python_type(v)
                    );
                    return Err(invalid_field(name, &python(value), &why));
                }
            };
            check_label(name, k, &text)?;
            Ok((k.clone(), text))
        })
        .collect::<Result<_>>()?;
    check_labels_size(name, &labels)?;
    Ok(labels)
}

/// Rejects labels that have too many bytes or are too many together; those of a
/// template and of a request may be merged.
pub(crate) fn check_labels_size(name: &str, labels: &BTreeMap<String, String>) -> Result<()> {
    if labels.len() > MAX_LABELS {
        let why = format!("At most {MAX_LABELS} labels are allowed.");
        let given = format!("{} labels", labels.len());
        return Err(invalid_field(name, &given, &why));
    }
    let size: usize = labels.iter().map(|(k, v)| k.len() + v.len()).sum();
    if size > MAX_LABELS_SIZE {
        let why = format!("All labels together may have {MAX_LABELS_SIZE} bytes.");
        return Err(invalid_field(name, &format!("{size} bytes"), &why));
    }
    Ok(())
}

fn check_label(field: &str, name: &str, value: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > MAX_LABEL_NAME {
        let why = format!("The name of a label must have 1 to {MAX_LABEL_NAME} characters.");
        return Err(invalid_field(field, name, &why));
    }
    if value.len() > MAX_LABEL_VALUE {
        let why = format!(
            "The value of label '{name}' has {} bytes, at most {MAX_LABEL_VALUE} are allowed.",
            value.len()
        );
        return Err(invalid_field(field, name, &why));
    }
    Ok(())
}
