//! Creates the stack of a cluster.

use flow::Next;
use kernel::{Error, OwnerKey, Result};
use orchestration::api::NewStack;
use serde_json::json;

use super::run::{RESYNC_INTERVAL, Run};
use super::sizes;
use crate::cluster::{KIND, stack};
use crate::coe::hot;
use crate::{nodegroup, template, tokens};

pub(super) async fn create_stack(run: &Run<'_>) -> Result<Next> {
    let (d, c) = (run.d, &run.cluster);
    let groups = nodegroup::table::of_operation(&d.db, &c.uuid).await?;
    let template = template::table::find(&d.db, &c.cluster_template_id, false, None)
        .await?
        .pop()
        .ok_or_else(|| Error::not_found("ClusterTemplate", &c.cluster_template_id))?;
    let balanced = run.balancer().is_some();
    let shape = stack::shape(d, &run.ctx, c, (&template, &groups), balanced).await?;
    let parts = run
        .coe
        .template_parts(run.coe.api_port(template.apiserver_port));
    let sizes = sizes::of_groups(&d.sealer, &groups, &run.nodes)?;
    let mut parameters = hot::size_parameters(&sizes);
    parameters.extend(stack::fixed_parameters(d, c, &groups));
    if let Some(n) = run.balancer() {
        let token = tokens::stack_token(&d.sealer, n)?;
        parameters.insert("balancer_token".into(), json!(token));
    }
    let new = NewStack {
        id: c.stack_id.clone(),
        project_id: c.project_id.clone(),
        name: stack::name(c),
        template: hot::template(&shape, &parts),
        parameters,
        timeout_mins: run.timeout_mins(),
        disable_rollback: true,
        owner: Some(OwnerKey::new(KIND, &c.uuid)),
    };
    d.orchestration.stacks.create(&run.ctx, new).await?;
    run.mark_generation_sent().await?;
    Ok(Next::After(RESYNC_INTERVAL))
}
