//! What the masters have told, as it is stored: the last sight of the nodes,
//! and what each master says is wrong with its own API server. Pure.

use std::collections::BTreeMap;

use nodewire::Observed;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Its `problem` is in `problems`.
    #[serde(flatten)]
    pub(crate) seen: Observed,
    /// By master. One of several may fail alone, and dies without a word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) problems: BTreeMap<String, String>,
}

impl Told {
    /// `None` before the first word.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What is known after `by` has told this. Whose API server is not well
    /// sees the nodes as they were: another one's sight is kept then.
    pub(crate) fn after(before: Option<Self>, by: &str, seen: &Observed) -> Self {
        let mut seen = seen.clone();
        let Some(problem) = seen.problem.take() else {
            let mut problems = before.map(|b| b.problems).unwrap_or_default();
            problems.remove(by);
            return Self { seen, problems };
        };
        let mut told = before.unwrap_or(Self {
            seen,
            problems: BTreeMap::new(),
        });
        told.problems.insert(by.to_owned(), problem);
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(version: &str, problem: Option<&str>) -> Observed {
        Observed {
            nodes: Vec::new(),
            ipvs: true,
            version: version.into(),
            problem: problem.map(str::to_owned),
            addons: Vec::new(),
        }
    }

    #[test]
    fn one_masters_problem_is_its_own_until_it_takes_it_back() {
        let told = Told::after(None, "a", &seen("1", None));
        let told = Told::after(Some(told), "b", &seen("0", Some("no etcd")));
        assert_eq!(told.seen.version, "1");
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(Told::read(&text).as_ref(), Some(&told));
        assert_eq!(Told::read("{}"), None);
        let told = Told::after(Some(told), "a", &seen("2", None));
        assert_eq!(told.problems["b"], "no etcd");
        let told = Told::after(Some(told), "b", &seen("3", None));
        assert!(told.problems.is_empty() && told.seen.version == "3");
    }
}
