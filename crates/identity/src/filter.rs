//! Filters of lists: which items a query selects.

use crate::envelope::Noun;

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

/// Whether the filters of a query select an item. Parameters that are not filters
/// of its list are ignored.
pub(crate) fn selects<T: Listed>(query: &[(String, String)], item: &T) -> bool {
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
