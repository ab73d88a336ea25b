//! The answers of lists: the items that the query of a request selects, in pages.

use std::io;

use kernel::{Error, Kind, Result};
use rest::{Json, Param};
use serde::Serialize;

use crate::call::Call;
use crate::envelope::{ListLinks, Many};
use crate::errors::wrong;
use crate::filter::{Listed, selects};

/// Maximum number of items in one answer.
const MAX_LIMIT: usize = 1000;
/// Maximum size of the items of one answer, bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Parameters of every list.
pub(crate) const PAGING: &[Param] = &[
    Param::integer("limit", "The most items of the answer, at most 1000."),
    Param::text("marker", "The id of the last item seen."),
];

/// The answer of a list: the items that the query selects. `path` is relative
/// to `/identity/v3`. Items that would make the answer too large are left to the next
/// page, as after the `list_limit` that an operator of Keystone sets.
///
/// # Errors
/// `Invalid` for a limit that is no number, `NotFound` for an unknown marker.
pub(crate) fn list<T: Listed + Serialize, B>(
    call: &Call<B>,
    path: &str,
    mut items: Vec<T>,
) -> Result<Json<Many<T>>> {
    items.retain(|item| selects(&call.parts.query, item));
    if let Some(marker) = call.asked("marker") {
        let at = items.iter().position(|item| item.id() == marker);
        let at = at.ok_or_else(|| {
            let text = format!("Marker {marker} could not be found.");
            Error::new(Kind::NotFound, text)
        })?;
        items.drain(..=at);
    }
    let url = format!("{}/identity/v3{path}", call.parts.base);
    let pairs = call.parts.query.iter();
    let mut query: Vec<(&str, &str)> = pairs.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let own = rest::link::with_query(&url, &query);
    let limit = limit(call)?.unwrap_or(usize::MAX).min(items.len());
    let fitting = count_fitting(&items[..limit])?;
    let truncated = fitting < items.len();
    let mut next = None;
    if truncated {
        items.truncate(fitting);
        next = items.last().map(|last| {
            query.retain(|(name, _)| *name != "marker");
            query.push(("marker", last.id()));
            rest::link::with_query(&url, &query)
        });
    }
    Ok(Json(Many {
        items,
        truncated,
        links: ListLinks {
            next,
            own,
            previous: None,
        },
    }))
}

/// How many of the first items fit into one answer. The first one always does, so
/// that every list can be read to its end.
fn count_fitting<T: Serialize>(items: &[T]) -> Result<usize> {
    let mut size = Size(0);
    for (at, item) in items.iter().enumerate() {
        serde_json::to_writer(&mut size, item)?;
        if size.0 > MAX_BYTES && at > 0 {
            return Ok(at);
        }
    }
    Ok(items.len())
}

/// Counts the bytes that are written.
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn limit<B>(call: &Call<B>) -> Result<Option<usize>> {
    let Some(text) = call.asked("limit") else {
        return Ok(None);
    };
    let number: i64 = text
        .parse()
        .map_err(|_| wrong("limit", text, "A whole number is expected."))?;
    // Keystone ignores negative numbers.
    Ok(usize::try_from(number).ok().map(|n| n.min(MAX_LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_before_it_has_too_many_bytes() {
        let fitting = |bytes: usize| count_fitting(&vec!["x".repeat(bytes); 300]).unwrap();
        assert_eq!(fitting(1000), 300);
        assert_eq!(fitting(64 * 1024), 127);
        assert_eq!(fitting(MAX_BYTES), 1);
        assert_eq!(count_fitting::<String>(&[]).unwrap(), 0);
    }
}
