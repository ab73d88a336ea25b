//! Reading a request body field by field, with the coercions and the texts of
//! the real service (which validates with WSME). Null means unset.

use std::collections::BTreeMap;

use kernel::{Result, ids};
use serde_json::{Map, Value};

use crate::errors::{bad_request, invalid_field};

/// Most labels of one object.
const MAX_LABELS: usize = 256;
/// Longest name of a label, in characters.
const MAX_LABEL_NAME: usize = 255;
/// Longest value of a label, in bytes.
const MAX_LABEL_VALUE: usize = 16 * 1024;
/// All names and values of an object's labels together, in bytes: lists show
/// the labels of each of up to 1,000 objects.
const MAX_LABELS_SIZE: usize = 64 * 1024;
/// Most entries of a list, and the longest entry, in characters.
const MAX_ENTRIES: usize = 1000;
const MAX_ENTRY: usize = 255;

/// The body of one request.
pub(crate) struct Fields {
    map: Map<String, Value>,
}

impl Fields {
    /// `arg` is the name of the body in error texts; `read_only` keys are
    /// rejected if they have a value, `ignored` keys are dropped.
    pub(crate) fn new(
        arg: &str,
        body: Option<Value>,
        known: &[&str],
        read_only: &[&str],
        ignored: &[&str],
    ) -> Result<Self> {
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
        for key in ignored {
            map.remove(*key);
        }
        for (key, value) in &map {
            if read_only.contains(&key.as_str()) {
                if !value.is_null() {
                    return Err(invalid_field(
                        key,
                        &python(value),
                        "Cannot set read only field.",
                    ));
                }
            } else if !known.contains(&key.as_str()) {
                return Err(bad_request(
                    key,
                    format!("Unknown attribute for argument {arg}: {key}"),
                ));
            }
        }
        Ok(Self { map })
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|v| !v.is_null())
    }

    /// Text of `min` to `max` characters.
    pub(crate) fn text(&self, name: &str, min: usize, max: usize) -> Result<Option<String>> {
        self.get(name)
            .map(|v| check_text(name, v, min, max))
            .transpose()
    }

    /// As [`Fields::text`], mandatory.
    pub(crate) fn need_text(&self, name: &str, min: usize, max: usize) -> Result<String> {
        self.text(name, min, max)?
            .ok_or_else(|| invalid_field(name, "None", "Mandatory field missing."))
    }

    /// An integer, also as numeric text.
    pub(crate) fn int(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>> {
        self.get(name)
            .map(|v| check_int(name, v, min, max))
            .transpose()
    }

    /// A boolean, also as one of the usual words.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.get(name).map(|v| check_flag(name, v)).transpose()
    }

    /// Labels: text, number or boolean values, kept as text.
    pub(crate) fn labels(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        self.get(name).map(|v| check_labels(name, v)).transpose()
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.get(name) else {
            return Ok(Vec::new());
        };
        let Some(items) = value.as_array() else {
            let why = format!("Value not a valid list: {}", python(value));
            return Err(invalid_field(name, &python(value), &why));
        };
        if items.len() > MAX_ENTRIES {
            let (given, why) = (
                items.len(),
                format!("At most {MAX_ENTRIES} entries are allowed."),
            );
            return Err(invalid_field(name, &format!("{given} entries"), &why));
        }
        items
            .iter()
            .map(|v| match v {
                Value::String(_) => check_text(name, v, 0, MAX_ENTRY),
                Value::Number(n) => Ok(n.to_string()),
                _ => Err(invalid_field(name, &python(v), "Every entry must be text.")),
            })
            .collect()
    }

    /// A uuid with dashes.
    pub(crate) fn uuid(&self, name: &str) -> Result<Option<String>> {
        let Some(text) = self.text(name, 0, 255)? else {
            return Ok(None);
        };
        if ids::is_uuid_like(&text) {
            Ok(Some(text))
        } else {
            let why =
                format!("unable to convert to uuid. Error: Expected a uuid but received {text}.");
            Err(invalid_field(name, &text, &why))
        }
    }
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
        return Err(invalid_field(
            name,
            &format!("{} labels", labels.len()),
            &why,
        ));
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

/// Formats a value like Python, because the texts of the real service contain
/// such values.
pub(crate) fn python(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => python_repr(other),
    }
}

fn python_repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("'{s}'"),
        Value::Array(a) => {
            let items: Vec<_> = a.iter().map(python_repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(o) => {
            let items: Vec<_> = o
                .iter()
                .map(|(k, v)| format!("'{k}': {}", python_repr(v)))
                .collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<class 'NoneType'>",
        Value::Bool(_) => "<class 'bool'>",
        Value::Number(n) if n.is_f64() => "<class 'float'>",
        Value::Number(_) => "<class 'int'>",
        Value::String(_) => "<class 'str'>",
        Value::Array(_) => "<class 'list'>",
        Value::Object(_) => "<class 'dict'>",
    }
}
