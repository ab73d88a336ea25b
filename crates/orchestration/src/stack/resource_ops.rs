//! Operations on single resources of a stack: reports of failures and signals.

use kernel::{Ctx, Error, Result, clock};

use super::model::{ResourceSummary, SignalRow, SignalStatus, StackRow, Unhealthy as UnhealthyRow};
use super::{Store, event_table, report_table, resource_table, signal_table, stack_table};
use crate::api::{Action, Signal, Unhealthy};
use crate::{KIND, StackId};

const GROUP: &str = "OS::Heat::ResourceGroup";

pub(super) fn not_found(id: &StackId) -> Error {
    Error::new(
        kernel::Kind::NotFound,
        format!("The Stack ({id}) could not be found."),
    )
}

fn no_resource(name: &str, stack: &str) -> Error {
    let why = format!("The Resource ({name}) could not be found in Stack {stack}.");
    Error::new(kernel::Kind::NotFound, why)
}

/// The current resource of a name.
fn current<'p>(
    summaries: &'p [ResourceSummary],
    group: Option<&str>,
    name: &str,
) -> Option<&'p ResourceSummary> {
    let of = |parent: Option<&str>, name: &str| {
        let own = |p: &&ResourceSummary| {
            p.name == name
                && p.parent.as_deref() == parent
                && !p.to_remove
                && p.action != Action::Delete
        };
        summaries.iter().rev().find(own)
    };
    match group {
        None => of(None, name),
        Some(group) => of(Some(&of(None, group)?.id), name),
    }
}

/// Stores reports of unhealthy resources, which the next update repairs.
pub(super) async fn mark_unhealthy(
    store: &Store,
    ctx: &Ctx,
    s: &StackRow,
    resources: &[Unhealthy],
    reason: &str,
) -> Result<()> {
    let id = &s.id;
    if s.action == Action::Delete {
        return Err(Error::conflict(format!(
            "The Stack ({}) is being removed; its resources cannot be marked.",
            s.name
        )));
    }
    let summaries = resource_table::names(&store.db, id).await?;
    let (mut reports, mut events) = (Vec::new(), Vec::new());
    for r in resources {
        let summary = current(&summaries, r.group.as_deref(), &r.name)
            .ok_or_else(|| no_resource(&r.name, &s.name))?;
        if summary.resource_type == GROUP {
            let why = format!("{}: name a member of the group.", r.name);
            return Err(Error::invalid("resource", why));
        }
        if r.incident.is_empty() || r.incident.len() > 128 {
            return Err(Error::invalid(
                "incident",
                "incident: 1 to 128 characters that name what has happened",
            ));
        }
        let report = UnhealthyRow {
            resource_id: summary.id.clone(),
            incident: r.incident.clone(),
            reason: format!("marked unhealthy: {reason}"),
        };
        events.push(summary.event(&report.reason));
        reports.push(report);
    }
    let now = clock::now();
    db::write!(store.db, |tx| {
        db::mark(tx, KIND, id).await?;
        db::check_generation(tx, KIND, id, ctx.generation()).await?;
        let Some(traversal) = stack_table::lock(tx, id).await? else {
            return Err(not_found(id));
        };
        for report in &reports {
            report_table::put(tx, id, traversal, report).await?;
        }
        event_table::insert(tx, id, &events, now, 0).await
    })
}

/// Stores a signal to a resource.
pub(super) async fn signal(
    store: &Store,
    ctx: &Ctx,
    s: &StackRow,
    resource: &str,
    signal: Signal,
) -> Result<()> {
    let id = &s.id;
    if s.action == Action::Delete {
        return Err(Error::conflict(
            "Signal resource during DELETE is not supported.",
        ));
    }
    let status = SignalStatus::parse(&signal.status).map_err(|_| {
        let why = format!("status: '{}' is neither SUCCESS nor FAILURE", signal.status);
        Error::invalid("status", why)
    })?;
    if signal.id.is_empty() || signal.id.len() > 128 {
        return Err(Error::invalid(
            "id",
            "id: a signal needs an id of 1 to 128 characters",
        ));
    }
    let summaries = resource_table::named(&store.db, id, resource).await?;
    let summary =
        current(&summaries, None, resource).ok_or_else(|| no_resource(resource, &s.name))?;
    let handle = match (&summary.physical_id, summary.resource_type.as_str()) {
        (Some(id), "OS::Heat::WaitConditionHandle") => id.clone(),
        _ => {
            let why = format!("{} does not take signals.", summary.resource_type);
            return Err(Error::invalid("resource", why));
        }
    };
    let row = SignalRow {
        handle,
        id: signal.id,
        status,
        reason: signal.reason,
        data: signal.data,
        at: clock::now(),
    };
    let message = format!(
        "Signal: status:{} reason:{}",
        status.as_stored(),
        row.reason
    );
    let (sealer, event) = (store.sealer.as_ref(), [summary.event(&message)]);
    db::write!(store.db, |tx| {
        db::mark(tx, KIND, id).await?;
        // The signal is not stored if it was delayed and a newer call has sent
        // another one.
        if signal_table::put(tx, sealer, id, &row, ctx.generation()).await? {
            event_table::insert(tx, id, &event, row.at, 0).await?;
        }
        Ok(())
    })
}
