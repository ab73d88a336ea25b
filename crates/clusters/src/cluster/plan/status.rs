//! The status of a cluster and of its groups.

use crate::cluster::model::Cluster;
use crate::status::{Phase, Status};

/// How far the operation of a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress<'a> {
    /// It was accepted; the text says what it waits for.
    Started(Option<&'a str>),
    /// The text says what it waits for.
    Waiting(&'a str),
    /// It failed for this reason and is tried again.
    Retrying(&'a str),
    Ended(Result<(), &'a str>),
}

/// Status and reason of a cluster. The reason of a rollback names the original
/// failure even if the rollback succeeded.
pub(crate) fn of_cluster(c: &Cluster, progress: Progress<'_>) -> (Status, Option<String>) {
    let cause = c.cause.as_deref();
    let with_cause = |why: &str, what: &str| match cause {
        Some(cause) => format!("{cause} ({what}: {why})"),
        None => why.to_owned(),
    };
    let (phase, reason) = match progress {
        Progress::Started(why) => (Phase::InProgress, why.map(str::to_owned)),
        Progress::Waiting(why) => (Phase::InProgress, Some(with_cause(why, "rolling back"))),
        Progress::Retrying(why) => (Phase::Failed, Some(with_cause(why, "rolling back"))),
        Progress::Ended(Ok(())) => (Phase::Complete, cause.map(str::to_owned)),
        Progress::Ended(Err(why)) => {
            let why = with_cause(why, "the rollback failed as well");
            (Phase::Failed, Some(why))
        }
    };
    (Status::new(c.intent.action(), phase), reason)
}

/// The status of a group when the operation of its cluster ends with `cluster`.
/// `concerned`: whether a failure concerns the group.
pub(crate) fn of_group(cluster: Status, concerned: bool) -> Status {
    if concerned {
        cluster
    } else {
        Status::new(cluster.action, Phase::Complete)
    }
}
