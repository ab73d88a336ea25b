//! Objects in request bodies: each resource declares its fields once, and from
//! that the body is checked and its schema is made.

use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use kernel::{Error, Result};

use crate::errors::wrong;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Text that is not blank.
    Name,
    Text,
    /// Text or null.
    Nullable,
    /// As `Nullable`; errors do not repeat the value.
    Secret,
    /// As `Text`; errors do not repeat the value.
    SecretText,
    /// Only null: what a later release will accept.
    Null,
    /// Only an empty list: what a later release will accept.
    NoItems,
    Flag,
    /// Only true: what every object of the resource is.
    True,
    /// A map of resource options; see [`crate::options`].
    Options,
    /// Checked by the operation.
    Any,
}

/// A field of a resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) holds: Holds,
    /// Maximum number of characters of a text.
    pub(crate) max: usize,
}

pub(crate) const fn field(name: &'static str, holds: Holds, max: usize) -> Field {
    Field { name, holds, max }
}

/// Maximum number of characters of a description.
pub(crate) const LONG: usize = 65_535;

/// What happens to attributes that are not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Stored and shown, as Keystone does.
    Kept,
    Refused,
}

/// A resource as a client sends it, below its noun: `{"user": {…}}`.
pub(crate) trait FromObject: Sized {
    const NOUN: &'static str;
    const FIELDS: &'static [Field];
    /// What a new object must have.
    const REQUIRED: &'static [&'static str];
    const UNKNOWN: Unknown;

    /// # Errors
    /// `Invalid`.
    fn from_object(object: Object) -> Result<Self>;
}

/// The body of an update.
pub(crate) struct Change<T> {
    fields: T,
    id: Option<Value>,
}

impl<T> Change<T> {
    /// The changes of the object with this id, which the body may repeat.
    ///
    /// # Errors
    /// `Invalid` if the body has another id.
    pub(crate) fn of(self, id: &str) -> Result<T> {
        match self.id {
            Some(other) if other != id => Err(wrong("id", &other.to_string(), "Cannot change ID.")),
            _ => Ok(self.fields),
        }
    }
}

/// The body of a creation.
pub(crate) struct New<T>(pub(crate) T);

impl<T: FromObject> RequestBody for Change<T> {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(schema::<T>(&[]))
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let mut object = Object::of_body(body, T::NOUN)?;
        let id = object.value("id");
        object.check(T::FIELDS, T::UNKNOWN)?;
        let fields = T::from_object(object)?;
        Ok(Self { fields, id })
    }
}

impl<T: FromObject> RequestBody for New<T> {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Some(schema::<T>(T::REQUIRED))
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let object = Object::of_body(body, T::NOUN)?;
        object.check(T::FIELDS, T::UNKNOWN)?;
        for name in T::REQUIRED {
            if !object.0.contains_key(*name) {
                let text = format!("'{name}' is a required property");
                return Err(Error::invalid(*name, text));
            }
        }
        T::from_object(object).map(Self)
    }
}

fn schema<T: FromObject>(required: &[&str]) -> Schema {
    let one = |f: &Field| {
        let text = |min: usize| json!({"type": "string", "minLength": min, "maxLength": f.max});
        let value = match f.holds {
            Holds::Name => {
                let mut name = text(1);
                name["pattern"] = json!("\\S");
                name
            }
            Holds::Text | Holds::SecretText => text(0),
            Holds::Null => json!({"type": "null"}),
            Holds::NoItems => json!({"type": "array", "maxItems": 0}),
            Holds::Nullable | Holds::Secret => {
                json!({"type": ["string", "null"], "maxLength": f.max})
            }
            Holds::Flag => json!({"type": "boolean"}),
            Holds::True => json!({"type": "boolean", "enum": [true]}),
            Holds::Options => json!({"type": "object"}),
            Holds::Any => json!({}),
        };
        (f.name.to_owned(), value)
    };
    let fields: Map<String, Value> = T::FIELDS.iter().map(one).collect();
    let object = json!({"type": "object", "properties": fields, "required": required,
        "additionalProperties": T::UNKNOWN == Unknown::Kept});
    let body = json!({"type": "object", "properties": {T::NOUN: object}, "required": [T::NOUN]});
    Schema::try_from(body).unwrap_or_default()
}

/// An object of a body.
pub(crate) struct Object(Map<String, Value>);

impl Object {
    fn of_body(body: Option<Value>, noun: &str) -> Result<Self> {
        let mut body = body.unwrap_or_default();
        let Some(Value::Object(map)) = body.get_mut(noun).map(Value::take) else {
            return Err(Error::invalid(
                noun,
                format!("'{noun}' is a required property, and must be an object."),
            ));
        };
        Ok(Self(map))
    }

    /// Checks the declared fields.
    fn check(&self, fields: &[Field], unknown: Unknown) -> Result<()> {
        for field in fields {
            if let Some(value) = self.0.get(field.name) {
                check(field, value)?;
            }
        }
        let declared = |name: &String| fields.iter().any(|f| f.name == name);
        if unknown == Unknown::Refused
            && let Some((name, value)) = self.0.iter().find(|(name, _)| !declared(name))
        {
            let why = "there is no such attribute; leave it out.";
            return Err(wrong(name, &value.to_string(), why));
        }
        Ok(())
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.0.shift_remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// `Some(None)` where the field is null.
    pub(crate) fn nullable(&mut self, name: &str) -> Option<Option<String>> {
        match self.0.shift_remove(name)? {
            Value::String(text) => Some(Some(text)),
            _ => Some(None),
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        self.0.shift_remove(name)?.as_bool()
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    pub(crate) fn map(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.0.shift_remove(name)? {
            Value::Object(map) => Some(map),
            _ => None,
        }
    }

    /// What no reader has taken. Keystone ignores the id of a new object, and the
    /// links of an object that a client sends back.
    pub(crate) fn extra(mut self) -> Map<String, Value> {
        for name in ["id", "links"] {
            self.0.shift_remove(name);
        }
        self.0
    }
}

fn check(field: &Field, value: &Value) -> Result<()> {
    let name = field.name;
    let shown = || match field.holds {
        Holds::Secret | Holds::SecretText => "***".to_owned(),
        _ => value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned),
    };
    match (field.holds, value) {
        (Holds::Any, _) => Ok(()),
        (Holds::Nullable | Holds::Secret | Holds::Null, Value::Null) => Ok(()),
        (Holds::NoItems, Value::Array(items)) if items.is_empty() => Ok(()),
        (Holds::Null | Holds::NoItems, _) => Err(wrong(
            name,
            &shown(),
            "this is not supported yet; leave it out.",
        )),
        (Holds::Flag, Value::Bool(_))
        | (Holds::True, Value::Bool(true))
        | (Holds::Options, Value::Object(_)) => Ok(()),
        (Holds::True, _) => Err(wrong(name, &shown(), "true is expected.")),
        (Holds::Flag, _) => Err(wrong(name, &shown(), "true or false is expected.")),
        (Holds::Options, _) => Err(wrong(name, &shown(), "an object is expected.")),
        (_, Value::String(text)) => {
            if text.chars().count() > field.max {
                let why = format!("at most {} characters are allowed.", field.max);
                return Err(wrong(name, &shown(), &why));
            }
            if field.holds == Holds::Name && text.trim().is_empty() {
                return Err(wrong(name, text, "it must not be blank."));
            }
            Ok(())
        }
        _ => Err(wrong(name, &shown(), "text is expected.")),
    }
}
