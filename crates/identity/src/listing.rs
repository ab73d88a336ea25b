//! Lists: filters, paging, and their answers.

use kernel::{Error, Kind, Result};
use rest::{Json, Param};

use crate::call::Call;
use crate::envelope::{ListLinks, Many, Noun};

/// The most items of one answer.
const MAX_LIMIT: usize = 1000;

/// Parameters of every list.
pub(crate) const PAGING: &[Param] = &[
    Param::integer("limit", "The most items of the answer, at most 1000."),
    Param::text("marker", "The id of the last item seen."),
];

/// The value of a field that a list can be filtered by.
pub(crate) enum Filter<'a> {
    Text(&'a str),
    /// Null, which equals no text.
    Nothing,
    Flag(bool),
    Tags(&'a [String]),
}

/// An item of a list.
pub(crate) trait Listed: Noun {
    fn id(&self) -> &str;

    /// The value of a field; `None` if the list has no such filter.
    fn filter(&self, name: &str) -> Option<Filter<'_>>;
}

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
    let own = format!("{}/identity/v3{path}", call.parts.base);
    let limit = limit(call)?.filter(|limit| items.len() > *limit);
    let mut next = None;
    if let Some(limit) = limit {
        items.truncate(limit);
        let pairs = call.parts.query.iter();
        let mut query: Vec<(&str, &str)> = pairs
            .filter(|(n, _)| n != "marker")
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        next = items.last().map(|last| {
            query.push(("marker", last.id()));
            rest::link::with_query(&own, &query)
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
        .map_err(|_| crate::errors::wrong("limit", text, "A whole number is expected."))?;
    // Keystone ignores negative numbers.
    Ok(usize::try_from(number).ok().map(|n| n.min(MAX_LIMIT)))
}

fn selects<T: Listed>(query: &[(String, String)], item: &T) -> bool {
    query.iter().all(|(name, wanted)| {
        if let Some(Filter::Tags(tags)) = item.filter("tags")
            && let Some(matches) = matches_tags(tags, name, wanted)
        {
            return matches;
        }
        match item.filter(name) {
            Some(Filter::Text(have)) => return have == wanted,
            Some(Filter::Nothing) => return false,
            Some(Filter::Flag(have)) => {
                return have != ["0", "false"].contains(&wanted.to_ascii_lowercase().as_str());
            }
            Some(Filter::Tags(_)) | None => {}
        }
        let Some((field, how)) = name.split_once("__") else {
            return true;
        };
        match item.filter(field) {
            Some(Filter::Text(have)) => matches_operator(have, how, wanted),
            Some(Filter::Nothing) => false,
            _ => true,
        }
    })
}

/// Whether tags fulfil a filter with a list of tags; `None` if it is another
/// filter.
fn matches_tags(tags: &[String], name: &str, wanted: &str) -> Option<bool> {
    let has = |tag: &str| tags.iter().any(|t| t == tag);
    let mut listed = wanted.split(',').filter(|tag| !tag.is_empty());
    match name {
        "tags" => Some(listed.all(has)),
        "tags-any" => Some(listed.any(has)),
        "not-tags" => Some(!listed.all(has)),
        "not-tags-any" => Some(!listed.any(has)),
        _ => None,
    }
}

fn matches_operator(have: &str, how: &str, wanted: &str) -> bool {
    let (low, want) = (have.to_lowercase(), wanted.to_lowercase());
    match how {
        "contains" => have.contains(wanted),
        "icontains" => low.contains(&want),
        "startswith" => have.starts_with(wanted),
        "istartswith" => low.starts_with(&want),
        "endswith" => have.ends_with(wanted),
        "iendswith" => low.ends_with(&want),
        _ => true,
    }
}
