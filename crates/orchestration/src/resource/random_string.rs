//! `OS::Heat::RandomString`.

use kernel::ids;
use serde_json::{Map, Value, json};

use super::operations::{Job, Local};
use super::schema::{Check, Default, Kind, PLAIN, Property, Schema};
use super::step::{Progress, StepError, attributes};
use crate::stack::Signals;

const CLASSES: &[&str] = &[
    "lettersdigits",
    "letters",
    "lowercase",
    "uppercase",
    "digits",
    "hexdigits",
    "octdigits",
];

pub(super) const SCHEMA: Schema = Schema {
    name: "OS::Heat::RandomString",
    properties: &[
        Property::new("length", Kind::Integer)
            .or(Default::Int(32))
            .check(Check::Range(1, 512)),
        Property::new(
            "character_classes",
            Kind::List(&Kind::Object(&[
                Property::new("class", Kind::Text)
                    .or(Default::Text("lettersdigits"))
                    .check(Check::OneOf(CLASSES)),
                Property::new("min", Kind::Integer)
                    .or(Default::Int(1))
                    .check(Check::Range(1, 512)),
            ])),
        ),
        Property::new(
            "character_sequences",
            Kind::List(&Kind::Object(&[
                Property::new("sequence", Kind::Text).required(),
                Property::new("min", Kind::Integer)
                    .or(Default::Int(1))
                    .check(Check::Range(1, 512)),
            ])),
        ),
        Property::new("salt", Kind::Text),
    ],
    attributes: Some(&["value"]),
    ..PLAIN
};

pub(super) struct RandomString;

impl Local for RandomString {
    fn run(&self, job: &Job, _: &Signals) -> Result<Progress, StepError> {
        let wanted = job
            .props
            .get("length")
            .and_then(Value::as_u64)
            .unwrap_or(32);
        let mut sets = Vec::new();
        for (list, field) in [
            ("character_classes", "class"),
            ("character_sequences", "sequence"),
        ] {
            let items = job.props.get(list).and_then(Value::as_array);
            for item in items.into_iter().flatten() {
                let name = item.get(field).and_then(Value::as_str).unwrap_or_default();
                let min = item.get("min").and_then(Value::as_u64).unwrap_or(1);
                let chars = if field == "class" {
                    class(name)
                } else {
                    name.to_owned()
                };
                let chars: Vec<char> = chars.chars().collect();
                if !chars.is_empty() {
                    sets.push((chars, min));
                }
            }
        }
        if sets.is_empty() {
            sets.push((class("lettersdigits").chars().collect(), 1));
        }
        if sets.iter().map(|(_, min)| *min).sum::<u64>() > wanted {
            let why = "Length property cannot be smaller than combined character class and character sequence minimums";
            return Err(StepError::failed("StackValidationFailed", why));
        }
        let mut out: Vec<char> = Vec::new();
        for (chars, min) in &sets {
            out.extend((0..*min).map(|_| chars[below(chars.len())]));
        }
        let all: Vec<char> = sets.into_iter().flat_map(|(chars, _)| chars).collect();
        while (out.len() as u64) < wanted {
            out.push(all[below(all.len())]);
        }
        for i in (1..out.len()).rev() {
            out.swap(i, below(i + 1));
        }
        let value: String = out.into_iter().collect();
        Ok(Progress::Done(attributes(json!({ "value": value }))))
    }

    fn reference(&self, physical_id: &str, attrs: &Map<String, Value>) -> Value {
        attrs
            .get("value")
            .cloned()
            .unwrap_or_else(|| Value::from(physical_id))
    }
}

fn class(name: &str) -> String {
    let lower = "abcdefghijklmnopqrstuvwxyz";
    let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digits = "0123456789";
    match name {
        "letters" => format!("{lower}{upper}"),
        "lowercase" => lower.to_owned(),
        "uppercase" => upper.to_owned(),
        "digits" => digits.to_owned(),
        "hexdigits" => format!("{digits}ABCDEF"),
        "octdigits" => "01234567".to_owned(),
        _ => format!("{lower}{upper}{digits}"),
    }
}

/// A random number below `n`; the bias of 64 bits is negligible.
fn below(n: usize) -> usize {
    let random = u64::from_str_radix(&ids::secret_hex(8), 16).unwrap_or_default();
    usize::try_from(random % (n.max(1) as u64)).unwrap_or_default()
}
