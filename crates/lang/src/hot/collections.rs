//! Functions of lists, maps and texts that need no scope.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::budget::{Budget, MAX_OUTPUT, size};
use super::text::{python_text, to_sorted_json};

/// Calls a function with evaluated arguments. The result may have `left` bytes.
///
/// # Errors
/// The error in the arguments.
pub(super) fn call(name: &str, args: Value, left: usize) -> Result<Value, String> {
    match (name, args) {
        ("list_join", Value::Array(items)) => list_join(&items, left),
        ("str_split", Value::Array(items)) => str_split(&items, left),
        ("map_merge", Value::Array(items)) => map_merge(items),
        ("map_replace", Value::Array(items)) => map_replace(&items),
        ("list_concat", Value::Array(items)) => list_concat(items, false),
        ("list_concat_unique", Value::Array(items)) => list_concat(items, true),
        ("filter", Value::Array(items)) => filter(&items),
        ("contains", Value::Array(items)) => contains(&items),
        _ => Err(format!("\"{name}\" takes a list of arguments.")),
    }
}

/// Parses an index into a list of `len` items; negative numbers count from the
/// end.
pub(super) fn parse_index(text: &str, len: usize) -> Option<usize> {
    let i: i64 = text.trim().parse().ok()?;
    let len = i64::try_from(len).ok()?;
    let i = if i < 0 { i + len } else { i };
    usize::try_from(i).ok().filter(|_| i < len)
}

fn list_join(items: &[Value], left: usize) -> Result<Value, String> {
    let [Value::String(delimiter), lists @ ..] = items else {
        return Err("\"list_join\" takes [delimiter, list, …].".into());
    };
    if lists.is_empty() {
        return Err("\"list_join\" takes [delimiter, list, …].".into());
    }
    let mut texts = Vec::new();
    for list in lists {
        let items = match list {
            Value::Null => continue,
            Value::Array(items) => items,
            _ => return Err("\"list_join\" joins lists of text.".into()),
        };
        for item in items {
            texts.push(match item {
                Value::Null => String::new(),
                Value::String(s) => s.clone(),
                Value::Array(_) | Value::Object(_) => to_sorted_json(item),
                _ => return Err(format!("Items to join must be text, not {item}.")),
            });
        }
    }
    let size = texts.iter().map(String::len).sum::<usize>();
    let between = delimiter.len().saturating_mul(texts.len());
    if size.saturating_add(between) > left.saturating_add(delimiter.len()) {
        return Err(too_large());
    }
    Ok(Value::String(texts.join(delimiter)))
}

fn str_split(items: &[Value], left: usize) -> Result<Value, String> {
    let usage = "\"str_split\" takes [delimiter, text] or [delimiter, text, index].";
    let (Value::String(delimiter), text, index) = (match items {
        [d, t] => (d, t, None),
        [d, t, i] => (d, t, Some(i)),
        _ => return Err(usage.into()),
    }) else {
        return Err(usage.into());
    };
    let text = match text {
        Value::Null => return Ok(Value::Null),
        Value::String(s) => s,
        _ => return Err(usage.into()),
    };
    if delimiter.is_empty() {
        return Err("The delimiter of str_split must not be empty.".into());
    }
    if text.matches(delimiter.as_str()).count().saturating_mul(16) > left {
        return Err(too_large());
    }
    let parts: Vec<Value> = text.split(delimiter.as_str()).map(Value::from).collect();
    let Some(index) = index else {
        return Ok(Value::Array(parts));
    };
    let at = parse_index(&python_text(index), parts.len()).ok_or_else(|| {
        format!(
            "Incorrect index to \"str_split\" should be between 0 and {}",
            parts.len() - 1
        )
    })?;
    Ok(parts[at].clone())
}

fn map_merge(items: Vec<Value>) -> Result<Value, String> {
    let mut out = Map::new();
    for item in items {
        match item {
            Value::Null => {}
            Value::Object(map) => out.extend(map),
            _ => return Err("\"map_merge\" takes a list of maps.".into()),
        }
    }
    Ok(Value::Object(out))
}

fn map_replace(items: &[Value]) -> Result<Value, String> {
    let usage = "\"map_replace\" takes [map, {keys: map, values: map}].";
    let [Value::Object(map), Value::Object(changes)] = items else {
        return Err(usage.into());
    };
    let empty = Map::new();
    let part = |key: &str| match changes.get(key) {
        None | Some(Value::Null) => Ok(&empty),
        Some(Value::Object(m)) => Ok(m),
        Some(_) => Err(usage.to_owned()),
    };
    let (keys, values) = (part("keys")?, part("values")?);
    let mut out = Map::new();
    for (key, value) in map {
        let new_key = keys.get(key).map_or_else(|| key.clone(), python_text);
        if new_key != *key && (map.contains_key(&new_key) || out.contains_key(&new_key)) {
            return Err(format!("map_replace: the key '{new_key}' exists already."));
        }
        let new_value = match value {
            Value::Array(_) | Value::Object(_) => None,
            scalar => values.get(&python_text(scalar)),
        };
        out.insert(new_key, new_value.unwrap_or(value).clone());
    }
    Ok(Value::Object(out))
}

fn list_concat(items: Vec<Value>, unique: bool) -> Result<Value, String> {
    let mut out: Vec<Value> = Vec::new();
    let mut seen = HashSet::new();
    for item in items {
        match item {
            Value::Null => {}
            Value::Array(list) => {
                for value in list {
                    if !unique || seen.insert(value.clone()) {
                        out.push(value);
                    }
                }
            }
            _ => return Err("\"list_concat\" takes a list of lists.".into()),
        }
    }
    Ok(Value::Array(out))
}

fn filter(items: &[Value]) -> Result<Value, String> {
    match items {
        [Value::Array(excluded), Value::Array(list)] => {
            let excluded: HashSet<&Value> = excluded.iter().collect();
            let kept = list.iter().filter(|v| !excluded.contains(v));
            Ok(kept.cloned().collect())
        }
        [_, list @ (Value::Null | Value::Array(_))] => Ok(list.clone()),
        _ => Err("\"filter\" takes [values, list].".into()),
    }
}

fn contains(items: &[Value]) -> Result<Value, String> {
    match items {
        [value, Value::Array(list)] => Ok(Value::Bool(list.contains(value))),
        [value, Value::String(text)] => Ok(Value::Bool(text.contains(&python_text(value)))),
        _ => Err("\"contains\" takes [value, list].".into()),
    }
}

/// Repeats the template for all combinations of the list items, of which the last
/// variable varies fastest, or for the items with the same index if `permutations` is
/// false.
pub(super) fn repeat(
    budget: &Budget,
    template: &Value,
    for_each: &Value,
    permutations: &Value,
) -> Result<Value, String> {
    let usage = "\"repeat\" takes {template, for_each: {variable: list}}.";
    let Value::Object(for_each) = for_each else {
        return Err(usage.into());
    };
    let mut names = Vec::new();
    let mut lists: Vec<Vec<String>> = Vec::new();
    for (name, values) in for_each {
        names.push(name.as_str());
        lists.push(match values {
            Value::Null => Vec::new(),
            Value::Array(items) => items
                .iter()
                .map(|i| i.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| format!("\"repeat\": the items of {name} must be text."))?,
            Value::Object(map) => map.keys().cloned().collect(),
            _ => return Err(usage.into()),
        });
    }
    let zip = permutations == &Value::Bool(false);
    let count = if zip {
        let first = lists.first().map_or(0, Vec::len);
        if lists.iter().any(|l| l.len() != first) {
            return Err("\"repeat\" without permutations needs lists of one length.".into());
        }
        first
    } else {
        lists
            .iter()
            .try_fold(1_usize, |n, l| n.checked_mul(l.len()))
            .unwrap_or(usize::MAX)
    };
    // The budget is charged before the list is built, because the number of
    // combinations may be huge.
    budget.spend(count.saturating_mul(size(template)))?;
    let mut out = Vec::with_capacity(count.min(1024));
    for i in 0..count {
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(names.len());
        let mut rest = i;
        for (name, list) in names.iter().zip(&lists).rev() {
            let at = if zip { i } else { rest % list.len() };
            if !zip {
                rest /= list.len();
            }
            pairs.push((name, &list[at]));
        }
        pairs.reverse();
        let value = substitute(template, &pairs, &mut budget.left())?;
        budget.spend(size(&value))?;
        out.push(value);
    }
    Ok(Value::Array(out))
}

fn substitute(value: &Value, pairs: &[(&str, &str)], left: &mut usize) -> Result<Value, String> {
    Ok(match value {
        Value::String(s) => Value::String(substitute_text(s, pairs, left)?),
        Value::Array(items) => items
            .iter()
            .map(|v| substitute(v, pairs, left))
            .collect::<Result<_, _>>()?,
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                let key = substitute_text(key, pairs, left)?;
                out.insert(key, substitute(value, pairs, left)?);
            }
            Value::Object(out)
        }
        other => other.clone(),
    })
}

/// Replaces variables in a text. A value may contain the next variable, so each
/// replacement can multiply the length. Therefore the length is checked before it.
fn substitute_text(text: &str, pairs: &[(&str, &str)], left: &mut usize) -> Result<String, String> {
    let mut out = text.to_owned();
    for (from, to) in pairs.iter().filter(|(f, _)| !f.is_empty()) {
        let found = out.matches(from).count();
        let size = found.saturating_mul(to.len()).saturating_add(out.len());
        if size - found * from.len() > *left {
            return Err(too_large());
        }
        if found > 0 {
            out = out.replace(from, to);
        }
    }
    *left = left.saturating_sub(out.len());
    Ok(out)
}

fn too_large() -> String {
    format!("The value would take more than {MAX_OUTPUT} bytes.")
}
