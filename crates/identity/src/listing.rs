//! The answers of lists: the items that the query of a request selects, in pages.

use kernel::{Error, Kind, Result};
use rest::{Json, Param};

use crate::call::Call;
use crate::envelope::{ListLinks, Many};
use crate::errors::wrong;
use crate::filter::{Listed, selects};

/// Maximum number of items in one answer.
const MAX_LIMIT: usize = 1000;

/// Parameters of every list.
pub(crate) const PAGING: &[Param] = &[
    Param::integer("limit", "The most items of the answer, at most 1000."),
    Param::text("marker", "The id of the last item seen."),
];

/// The answer of a list: the items that the query selects. `path` is relative
/// to `/identity/v3`.
///
/// # Errors
/// `Invalid` for a limit that is no number, `NotFound` for an unknown marker.
pub(crate) fn list<T: Listed, B>(
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
    let limit = limit(call)?.filter(|limit| items.len() > *limit);
    let mut next = None;
    if let Some(limit) = limit {
        items.truncate(limit);
        next = items.last().map(|last| {
            query.retain(|(name, _)| *name != "marker");
            query.push(("marker", last.id()));
            rest::link::with_query(&url, &query)
        });
    }
    Ok(Json(Many {
        items,
        truncated: limit.is_some(),
        links: ListLinks {
            next,
            own,
            previous: None,
        },
    }))
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
