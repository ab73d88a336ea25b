//! The versions of the template language, and the functions that each of them has. As
//! in Heat, a map whose key is not a function of the version is a literal.

use crate::{Entry, Node};

/// The date and the alias of each version, oldest first; an empty text: no alias.
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

/// The functions, each with the first version that has it.
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

/// The date of a version that is given by its date or alias; `None` if it is unknown.
pub(super) fn canonical(version: &str) -> Option<&'static str> {
    VERSIONS
        .iter()
        .find(|(date, alias)| *date == version || (!alias.is_empty() && *alias == version))
        .map(|(date, _)| *date)
}

/// The dates of all versions, for error texts.
pub(super) fn all() -> String {
    let dates: Vec<&str> = VERSIONS.iter().map(|(date, _)| *date).collect();
    dates.join(", ")
}

/// The function and the arguments of a call. A node is a call if it is a map with a
/// single key that names a function of this version.
pub(super) fn call<'n>(node: &'n Node, version: &str) -> Option<(&'static str, &'n Node)> {
    let map = node.as_map().filter(|m| m.len() == 1)?;
    let (name, Entry { value, .. }) = map.first()?;
    FUNCTIONS
        .iter()
        .find(|(f, since)| f == name && *since <= version)
        .map(|(f, _)| (*f, value))
}
