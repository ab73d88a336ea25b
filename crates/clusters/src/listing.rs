//! Paging of lists in SQL: keyset on one sort column with the uuid as
//! tie-breaker, and the paging parameters of the API.

use db::{Db, Row, Value, values};
use kernel::{Page, Result, SortDir, ids};
use rest::{Param, link};

use crate::errors::{bad_request, invalid_field};

/// Default and maximum page size.
pub(crate) const MAX_LIMIT: u32 = 1000;
/// Approximate maximum size of the rows of one page, bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The bytes of a row apart from its long values.
const ROW_BYTES: usize = 2 * 1024;

/// The query parameters of every list.
pub(crate) const PAGING: &[Param] = &[
    Param::positive(
        "limit",
        "Most objects of the page, from 1; at most 1000 are sent.",
    ),
    Param::text("marker", "The uuid of the last object of the page before."),
    Param::text("sort_key", "The attribute to sort by."),
    Param::words("sort_dir", &["asc", "desc", ""], "The direction."),
];

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
fn select(
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

/// Rows of one page.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) rows: Vec<T>,
    /// Whether the page is full, so that there may be more rows.
    pub(crate) has_more: bool,
}

/// What a list reads of its rows.
pub(crate) struct Selection<T> {
    pub(crate) table: &'static str,
    pub(crate) columns: String,
    pub(crate) sortable: &'static [Column],
    pub(crate) read: fn(&Row) -> Result<T>,
    /// The bytes of the long values of a row.
    pub(crate) size: fn(&T) -> usize,
}

/// Reads one page of the rows that match `scope`. The page ends early where the
/// rows would have more than [`MAX_BYTES`] together.
pub(crate) async fn page<T>(
    db: &Db,
    (scope, args): (&str, Vec<Value>),
    page: &Page,
    what: &Selection<T>,
) -> Result<Listed<T>> {
    let limit = page.limit.unwrap_or(MAX_LIMIT) as usize;
    let (sql, args) = select(&what.columns, what.table, scope, args, page, what.sortable)?;
    let found = db.query(&sql, args).await?;
    let mut budget = Budget::default();
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let row = (what.read)(row)?;
        if !budget.fits((what.size)(&row)) {
            break;
        }
        rows.push(row);
    }
    Ok(Listed {
        has_more: rows.len() < found.len() || found.len() == limit,
        rows,
    })
}

/// What is left of the bytes of a page.
pub(crate) struct Budget {
    left: usize,
    is_empty: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: MAX_BYTES,
            is_empty: true,
        }
    }
}

impl Budget {
    /// Whether a row with long values of so many bytes still fits. The first one
    /// always does, so that every list can be read to its end.
    pub(crate) fn fits(&mut self, bytes: usize) -> bool {
        let is_small = self.is_empty || bytes + ROW_BYTES <= self.left;
        self.is_empty = false;
        self.left = self.left.saturating_sub(bytes + ROW_BYTES);
        is_small
    }
}

/// Parses the paging parameters of a list.
pub(crate) fn parse(query: &[(String, String)]) -> Result<Page> {
    let mut page = Page {
        limit: Some(MAX_LIMIT),
        ..Page::default()
    };
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
            // Filters of the resource; the route table refuses unknown ones.
            _ => {}
        }
    }
    Ok(page)
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
    url: &str,
    page: &Page,
    filters: &[(&str, &str)],
    has_more: bool,
    last: Option<&str>,
) -> Option<String> {
    let last = last.filter(|_| has_more)?;
    let limit = page.limit.unwrap_or(MAX_LIMIT).to_string();
    let key = page.sort_key.as_deref().filter(|k| !k.is_empty());
    let mut query = vec![
        ("sort_key", key.unwrap_or("id")),
        ("sort_dir", page.sort_dir.as_str()),
        ("limit", &limit),
        ("marker", last),
    ];
    query.extend(filters);
    Some(link::with_query(url, &query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_has_too_many_bytes() {
        let fitting = |size: usize| {
            let mut budget = Budget::default();
            (0..1000).take_while(|_| budget.fits(size)).count()
        };
        assert_eq!(fitting(1000), 1000);
        assert_eq!(fitting(64 * 1024), 124);
        assert_eq!(fitting(MAX_BYTES), 1);
    }

    #[test]
    fn the_link_to_the_next_page_keeps_the_query_encoded() {
        let page = Page {
            limit: Some(2),
            sort_key: Some("name".into()),
            ..Page::default()
        };
        let filters = [("role", "a b&c")];
        let got = next("http://h/x", &page, &filters, true, Some("u"));
        let want = "http://h/x?sort_key=name&sort_dir=asc&limit=2&marker=u&role=a%20b%26c";
        assert_eq!(got.as_deref(), Some(want));
        assert_eq!(next("http://h/x", &page, &filters, false, Some("u")), None);
    }
}
