//! Declarative schemas of properties, from which validation, defaults and the
//! choice between update and replacement are derived.

use std::net::IpAddr;

use lang::hot::python_text;
use serde_json::{Map, Value};

/// The declarative part of a resource type.
pub(crate) struct Schema {
    pub name: &'static str,
    pub properties: &'static [Property],
    /// Names that `get_attr` accepts; `None`: any name.
    pub attributes: Option<&'static [&'static str]>,
    /// Old names of properties, such as `network_id` for `network`.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Whether any property is accepted.
    pub open: bool,
    /// `(property, policy, as_stored)`: while the property `policy` is `as_stored`,
    /// changes of `property` are ignored.
    pub ignores: Option<(&'static str, &'static str, &'static str)>,
    /// If set, an unhealthy resource is rebuilt in place with this property of
    /// the update; otherwise it is replaced.
    pub rebuilds: Option<&'static str>,
}

/// Defaults of most schemas; used with `..PLAIN`.
pub(crate) const PLAIN: Schema = Schema {
    name: "",
    properties: &[],
    attributes: Some(&[]),
    aliases: &[],
    open: false,
    ignores: None,
    rebuilds: None,
};

pub(crate) struct Property {
    pub name: &'static str,
    kind: Kind,
    pub required: bool,
    pub update_allowed: bool,
    default: Default,
    check: Check,
}

/// Type of a value.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Any,
    Text,
    Integer,
    Number,
    Boolean,
    List(&'static Kind),
    Map,
    Object(&'static [Property]),
}

#[derive(Clone, Copy)]
pub(crate) enum Default {
    Absent,
    Text(&'static str),
    Int(i64),
    EmptyList,
}

/// Constraint of a value.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    Nothing,
    /// Range of a number, inclusive.
    Range(i64, i64),
    /// Length of a text.
    Length(usize, usize),
    OneOf(&'static [&'static str]),
    Cidr,
    Ip,
}

impl Property {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            update_allowed: false,
            default: Default::Absent,
            check: Check::Nothing,
        }
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn updatable(mut self) -> Self {
        self.update_allowed = true;
        self
    }

    pub(crate) const fn or(mut self, default: Default) -> Self {
        self.default = default;
        self
    }

    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }
}

/// A problem of a value: its path in the properties, and the reason.
pub(crate) type Fault = (String, String);

impl Schema {
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }

    /// The current name of a property.
    pub(crate) fn canonical<'a>(&self, name: &'a str) -> &'a str {
        self.aliases
            .iter()
            .find(|(old, _)| *old == name)
            .map_or(name, |(_, new)| *new)
    }

    /// Checks and converts the given values, and adds the defaults.
    ///
    /// # Errors
    /// All problems.
    pub(crate) fn resolve(
        &self,
        given: Map<String, Value>,
    ) -> Result<Map<String, Value>, Vec<Fault>> {
        if self.open {
            return Ok(given);
        }
        let given = given
            .into_iter()
            .map(|(k, v)| (self.canonical(&k).to_owned(), v))
            .collect();
        let mut faults = Vec::new();
        let out = object(self.properties, given, "", &mut faults);
        if faults.is_empty() {
            Ok(out)
        } else {
            Err(faults)
        }
    }

    /// Checks one value like [`Schema::resolve`].
    pub(crate) fn resolve_one(&self, name: &str, value: Value, faults: &mut Vec<Fault>) {
        if let Some(p) = self.property(name) {
            p.convert(value, name, faults);
        }
    }

    /// Names of the properties that differ, without those whose changes are ignored.
    pub(crate) fn changes(
        &self,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Vec<String> {
        if self.open {
            return Vec::new();
        }
        let ignored = self
            .ignores
            .filter(|(_, policy, word)| new.get(*policy).and_then(Value::as_str) == Some(*word));
        self.properties
            .iter()
            .filter(|p| old.get(p.name) != new.get(p.name))
            .filter(|p| ignored.is_none_or(|(name, policy, _)| p.name != name && p.name != policy))
            .map(|p| p.name.to_owned())
            .collect()
    }

    pub(crate) fn can_update(&self, name: &str) -> bool {
        self.property(name).is_some_and(|p| p.update_allowed)
    }
}

/// Converts a map by its properties. A null counts as absent.
fn object(
    properties: &[Property],
    mut given: Map<String, Value>,
    path: &str,
    faults: &mut Vec<Fault>,
) -> Map<String, Value> {
    let mut out = Map::new();
    for p in properties {
        let here = join(path, p.name);
        match given.remove(p.name).filter(|v| !v.is_null()) {
            Some(value) => {
                if let Some(value) = p.convert(value, &here, faults) {
                    out.insert(p.name.to_owned(), value);
                }
            }
            None if p.required => {
                faults.push((path.to_owned(), format!("Property {} not assigned", p.name)));
            }
            None => {
                if let Some(value) = p.default.value() {
                    out.insert(p.name.to_owned(), value);
                }
            }
        }
    }
    for name in given.keys() {
        if !properties.iter().any(|p| p.name == name) {
            faults.push((join(path, name), format!("Unknown Property {name}")));
        }
    }
    out
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl Property {
    fn convert(&self, value: Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
        let before = faults.len();
        let value = self.kind.convert(value, path, faults)?;
        if faults.len() == before
            && let Err(why) = self.check.run(&value)
        {
            faults.push((path.to_owned(), why));
        }
        Some(value)
    }
}

impl Kind {
    fn convert(self, value: Value, path: &str, faults: &mut Vec<Fault>) -> Option<Value> {
        // Values are not quoted, because they may come from a hidden parameter.
        let mut wrong = |why: &str| {
            faults.push((path.to_owned(), why.to_owned()));
            None
        };
        match (self, value) {
            (Self::Any, v)
            | (Self::Text, v @ Value::String(_))
            | (Self::Boolean, v @ Value::Bool(_))
            | (Self::Number, v @ Value::Number(_))
            | (Self::Map, v @ Value::Object(_)) => Some(v),
            (Self::Text, v @ (Value::Bool(_) | Value::Number(_))) => {
                Some(Value::String(python_text(&v)))
            }
            (Self::Text, _) => wrong("Value must be a string"),
            (Self::Integer, Value::Number(n)) if n.is_i64() => Some(Value::Number(n)),
            (Self::Integer, Value::String(s)) => match s.trim().parse::<i64>() {
                Ok(i) => Some(Value::from(i)),
                Err(_) => wrong("Value is not an integer"),
            },
            (Self::Integer, _) => wrong("Value is not an integer"),
            (Self::Number, Value::String(s)) => match s.trim().parse::<f64>() {
                Ok(f) => Some(Value::from(f)),
                Err(_) => wrong("Value is not a number"),
            },
            (Self::Number, _) => wrong("Value is not a number"),
            (Self::Boolean, Value::String(s)) if s.eq_ignore_ascii_case("true") => {
                Some(Value::Bool(true))
            }
            (Self::Boolean, Value::String(s)) if s.eq_ignore_ascii_case("false") => {
                Some(Value::Bool(false))
            }
            (Self::Boolean, _) => wrong("Value is not a boolean: true or false"),
            (Self::List(item), Value::Array(items)) => {
                let converted = items
                    .into_iter()
                    .enumerate()
                    .filter_map(|(i, v)| item.convert(v, &format!("{path}[{i}]"), faults));
                Some(converted.collect())
            }
            (Self::List(_), _) => wrong("Value is not a list"),
            (Self::Object(properties), Value::Object(map)) => {
                Some(Value::Object(object(properties, map, path, faults)))
            }
            (Self::Map | Self::Object(_), _) => wrong("Value is not a map"),
        }
    }
}

impl Default {
    fn value(self) -> Option<Value> {
        match self {
            Self::Absent => None,
            Self::Text(s) => Some(Value::from(s)),
            Self::Int(i) => Some(Value::from(i)),
            Self::EmptyList => Some(Value::Array(vec![])),
        }
    }
}

impl Check {
    fn run(self, value: &Value) -> Result<(), String> {
        match self {
            Self::Nothing => Ok(()),
            Self::Range(min, max) => {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "bounds of a range, compared only"
                )]
                let ok = value
                    .as_f64()
                    .is_some_and(|n| n >= min as f64 && n <= max as f64);
                if ok {
                    Ok(())
                } else {
                    Err(format!("{value} is out of range (min: {min}, max: {max})"))
                }
            }
            Self::Length(min, max) => {
                let n = value.as_str().map_or(0, |s| s.chars().count());
                if (min..=max).contains(&n) {
                    Ok(())
                } else {
                    Err(format!(
                        "length ({n}) is out of range (min: {min}, max: {max})"
                    ))
                }
            }
            Self::OneOf(words) => {
                let ok = value.as_str().is_some_and(|s| words.contains(&s));
                if ok {
                    Ok(())
                } else {
                    Err(format!(
                        "{value} is not an allowed value [{}]",
                        words.join(", ")
                    ))
                }
            }
            Self::Cidr => {
                let ok = value.as_str().is_some_and(is_cidr);
                if ok {
                    Ok(())
                } else {
                    Err(format!("{value} is not a network, as in 10.0.0.0/24"))
                }
            }
            Self::Ip => {
                let ok = value.as_str().is_some_and(|s| s.parse::<IpAddr>().is_ok());
                if ok {
                    Ok(())
                } else {
                    Err(format!("{value} is not an IP address"))
                }
            }
        }
    }
}

fn is_cidr(text: &str) -> bool {
    text.split_once('/').is_some_and(|(ip, bits)| {
        let max = match ip.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        bits.parse::<u8>().is_ok_and(|b| b <= max)
    })
}
