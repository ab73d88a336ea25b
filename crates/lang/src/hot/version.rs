//! Functions by template version. An unknown name is not a call: the map stays
//! a literal, as in Heat.

use crate::{Entry, Node};

/// Versions, oldest first, with the alias where there is one.
const VERSIONS: &[(&str, &str)] = &[
    ("2013-05-23", ""),
    ("2014-10-16", ""),
    ("2015-04-30", ""),
    ("2015-10-15", ""),
    ("2016-04-08", ""),
    ("2016-10-14", "newton"),
    ("2017-02-24", "ocata"),
    ("2017-09-01", "pike"),
    ("2018-03-02", "queens"),
    ("2018-08-31", "rocky"),
    ("2021-04-16", "wallaby"),
];

/// Functions and the first version that has them.
const FUNCTIONS: &[(&str, &str)] = &[
    ("get_param", "2013-05-23"),
    ("get_resource", "2013-05-23"),
    ("get_attr", "2013-05-23"),
    ("get_file", "2013-05-23"),
    ("list_join", "2013-05-23"),
    ("str_replace", "2013-05-23"),
    ("resource_facade", "2013-05-23"),
    ("digest", "2015-04-30"),
    ("repeat", "2015-04-30"),
    ("str_split", "2015-10-15"),
    ("map_merge", "2016-04-08"),
    ("if", "2016-10-14"),
    ("yaql", "2016-10-14"),
    ("map_replace", "2016-10-14"),
    ("filter", "2017-02-24"),
    ("str_replace_strict", "2017-02-24"),
    ("str_replace_vstrict", "2017-09-01"),
    ("contains", "2017-09-01"),
    ("list_concat", "2017-09-01"),
    ("list_concat_unique", "2017-09-01"),
    ("make_url", "2017-09-01"),
];

/// The date of a version; `None` where it is unknown.
pub(super) fn canonical(version: &str) -> Option<&'static str> {
    VERSIONS
        .iter()
        .find(|(date, alias)| *date == version || (!alias.is_empty() && *alias == version))
        .map(|(date, _)| *date)
}

/// All versions, for the text of an error.
pub(super) fn all() -> String {
    let dates: Vec<&str> = VERSIONS.iter().map(|(date, _)| *date).collect();
    dates.join(", ")
}

/// The call in a node: a map with one key that names a function of this
/// version.
pub(super) fn call<'n>(node: &'n Node, version: &str) -> Option<(&'static str, &'n Node)> {
    let map = node.as_map().filter(|m| m.len() == 1)?;
    let (name, Entry { value, .. }) = map.first()?;
    FUNCTIONS
        .iter()
        .find(|(f, since)| f == name && *since <= version)
        .map(|(f, _)| (*f, value))
}
