//! Paging of lists in SQL: keyset on one sort column with the uuid as
//! tie-breaker, and the paging parameters of the API.

use db::{Value, values};
use kernel::{Page, Result, SortDir, ids};

use crate::errors::{bad_request, invalid_field};

/// Default and maximum page size.
pub(crate) const MAX_LIMIT: u32 = 1000;

/// How a column is compared; nulls are replaced by these defaults, so that they
/// sort first on every database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Int,
    Flag,
}

/// A column that a list may be sorted by.
pub(crate) type Column = (&'static str, Kind);

/// Builds the SELECT of one page.
pub(crate) fn select(
    columns: &str,
    table: &str,
    scope: &str,
    mut args: Vec<Value>,
    page: &Page,
    sortable: &[Column],
) -> Result<(String, Vec<Value>)> {
    let key = page
        .sort_key
        .as_deref()
        .filter(|k| !k.is_empty())
        .unwrap_or("id");
    // Row ids are in the order of creation.
    let expr = if key == "id" {
        "created_at".to_owned()
    } else {
        let Some((column, kind)) = sortable.iter().find(|(c, _)| *c == key) else {
            return Err(bad_request(
                "sort_key",
                format!("The sort_key value \"{key}\" is an invalid field for sorting"),
            ));
        };
        match kind {
            Kind::Text => format!("COALESCE({column}, '')"),
            Kind::Int => format!("COALESCE({column}, -1)"),
            Kind::Flag => format!("CASE WHEN {column} THEN 1 ELSE 0 END"),
        }
    };
    let (than, dir) = match page.sort_dir {
        SortDir::Asc => (">", "ASC"),
        SortDir::Desc => ("<", "DESC"),
    };
    let mut sql = format!("SELECT {columns} FROM {table} WHERE {scope}");
    if let Some(marker) = &page.marker {
        let of_marker = format!("(SELECT {expr} FROM {table} WHERE uuid = ?)");
        sql.push_str(&format!(
            " AND ({expr} {than} {of_marker} OR ({expr} = {of_marker} AND uuid {than} ?))"
        ));
        args.extend(values![marker, marker, marker]);
    }
    sql.push_str(&format!(
        " ORDER BY {expr} {dir}, uuid {dir} LIMIT {}",
        page.limit.unwrap_or(MAX_LIMIT)
    ));
    Ok((sql, args))
}

/// Parses the query parameters of a list. `extra` names the additional filters.
pub(crate) fn parse(
    query: &[(String, String)],
    extra: &[&str],
) -> Result<(Page, Vec<(String, String)>)> {
    let mut page = Page {
        limit: Some(MAX_LIMIT),
        ..Page::default()
    };
    let mut filters = Vec::new();
    for (name, value) in query {
        match name.as_str() {
            "limit" => page.limit = Some(limit(value)?),
            "marker" => {
                if !ids::is_uuid_like(value) {
                    let why = format!(
                        "unable to convert to uuid. Error: Expected a uuid but received {value}."
                    );
                    return Err(invalid_field("marker", value, &why));
                }
                page.marker = Some(value.clone());
            }
            "sort_key" => page.sort_key = Some(value.clone()),
            "sort_dir" => page.sort_dir = direction(value)?,
            other if extra.contains(&other) => filters.push((name.clone(), value.clone())),
            other => {
                return Err(bad_request(other, format!("Unknown argument: \"{other}\"")));
            }
        }
    }
    Ok((page, filters))
}

fn limit(text: &str) -> Result<u32> {
    let Ok(limit) = text.trim().parse::<i64>() else {
        return Err(invalid_field(
            "limit",
            text,
            "Wrong type. Expected '<class 'int'>', got '<class 'str'>'",
        ));
    };
    if limit <= 0 {
        return Err(bad_request("limit", "Limit must be positive"));
    }
    Ok(u32::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT))
}

fn direction(text: &str) -> Result<SortDir> {
    match text {
        "asc" | "" => Ok(SortDir::Asc),
        "desc" => Ok(SortDir::Desc),
        _ => Err(bad_request(
            "sort_dir",
            format!("Invalid sort direction: {text}. Acceptable values are 'asc' or 'desc'"),
        )),
    }
}

/// The `next` link after a full page; filters are kept.
pub(crate) fn next(
    base: &str,
    page: &Page,
    filters: &[(String, String)],
    returned: usize,
    last: Option<&str>,
) -> Option<String> {
    let limit = page.limit.unwrap_or(MAX_LIMIT);
    let last = last?;
    if returned != limit as usize {
        return None;
    }
    let key = page
        .sort_key
        .as_deref()
        .filter(|k| !k.is_empty())
        .unwrap_or("id");
    let limit = limit.to_string();
    let mut query = vec![
        ("sort_key", key),
        ("sort_dir", page.sort_dir.as_str()),
        ("limit", &limit),
        ("marker", last),
    ];
    query.extend(filters.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    Some(rest::link::with_query(base, &query))
}
