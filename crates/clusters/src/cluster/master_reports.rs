//! Reports of the masters as stored: the last observation of the nodes, and the
//! problem of each API server. Pure.

use std::collections::BTreeMap;

use nodewire::Observed;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MasterReports {
    /// The field `problem` of this observation is stored in `problems` instead.
    #[serde(flatten)]
    pub(crate) seen: Observed,
    /// Problems by master. One of several masters may fail alone and stop
    /// without a report.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) problems: BTreeMap<String, String>,
}

impl MasterReports {
    /// Returns `None` before the first report.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Merges the report `seen` of the master `by`. A master whose API server
    /// has a problem has a stale view of the nodes, so the previous observation
    /// is kept.
    pub(crate) fn with_report(before: Option<Self>, by: &str, seen: &Observed) -> Self {
        let mut seen = seen.clone();
        let Some(problem) = seen.problem.take() else {
            let mut problems = before.map(|b| b.problems).unwrap_or_default();
            problems.remove(by);
            return Self { seen, problems };
        };
        let mut reports = before.unwrap_or(Self {
            seen,
            problems: BTreeMap::new(),
        });
        reports.problems.insert(by.to_owned(), problem);
        reports
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
    fn a_problem_of_a_master_lasts_until_it_reports_recovery() {
        let reports = MasterReports::with_report(None, "a", &seen("1", None));
        let reports = MasterReports::with_report(Some(reports), "b", &seen("0", Some("no etcd")));
        assert_eq!(reports.seen.version, "1");
        let text = serde_json::to_string(&reports).unwrap();
        assert_eq!(MasterReports::read(&text).as_ref(), Some(&reports));
        assert_eq!(MasterReports::read("{}"), None);
        let reports = MasterReports::with_report(Some(reports), "a", &seen("2", None));
        assert_eq!(reports.problems["b"], "no etcd");
        let reports = MasterReports::with_report(Some(reports), "b", &seen("3", None));
        assert!(reports.problems.is_empty() && reports.seen.version == "3");
    }
}
