//! The operations of the interface. Each authorises the caller, validates, and writes
//! in one transaction.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use kernel::{Ctx, Error, Result, Timestamp, clock};
use lang::hot::Pseudo;

use super::model::{Previous, ResourceSummary, StackRow};
use super::resource_ops::{self, not_found};
use super::validate::{check_name, timeout};
use super::{Store, event_table, resource_table, stack_table, validate};
use crate::api::{
    Action, NewStack, Signal, Stack, StackEvent, StackResource, StackUpdate, Stacks, Status,
    Unhealthy,
};
use crate::{KIND, ResourceId, StackId};

const DEFAULT_TIMEOUT_MINS: i64 = 60;
/// Maximum number of attempts of an operation that concurrent changes of the stack
/// make fail.
const MAX_ATTEMPTS: u32 = 8;

/// The embedded implementation of [`Stacks`].
pub(crate) struct Ops(pub Store);

impl StackRow {
    /// Gives the stack a new target. Work for the old target cannot write the stack
    /// any more.
    pub(crate) fn set_target(&mut self, action: Action, now: Timestamp) {
        self.action = action;
        self.status = Status::InProgress;
        self.reason = format!("Stack {} started", super::action_word(action));
        self.cause = None;
        self.traversal += 1;
        self.started_at = now;
        self.deadline_at = now + Duration::from_mins(u64::try_from(self.timeout_mins).unwrap_or(0));
    }
}

impl Ops {
    async fn load(&self, ctx: &Ctx, id: &StackId) -> Result<StackRow> {
        match self.find(ctx, id).await? {
            Some(s) => Ok(s),
            None => Err(not_found(id)),
        }
    }

    async fn find(&self, ctx: &Ctx, id: &StackId) -> Result<Option<StackRow>> {
        let found = stack_table::load(&self.0, id).await?;
        Ok(found.filter(|s| ctx.is_admin() || ctx.project_id() == Some(&s.project_id)))
    }

    /// Stores a new target, and marks the stack and its owner. Returns `false` if the
    /// traversal of the stack is not `traversal` any more.
    async fn save(&self, ctx: &Ctx, s: &StackRow, traversal: i64) -> Result<bool> {
        let (sealer, event, now) = (self.0.sealer.as_ref(), [s.event()], clock::now());
        db::write!(self.0.db, |tx| {
            db::mark_now(tx, KIND, &s.id).await?;
            if let Some(owner) = &s.owner {
                db::mark(tx, &owner.kind, &owner.id).await?;
            }
            if s.action == Action::Delete {
                db::record_tombstone(tx, KIND, &s.id, ctx.generation()).await?;
            } else {
                db::check_generation(tx, KIND, &s.id, ctx.generation()).await?;
            }
            let saved = stack_table::save(tx, sealer, s, traversal).await?;
            if saved {
                event_table::insert(tx, &s.id, &event, now, 0).await?;
            }
            Ok(saved)
        })
    }

    /// # Errors
    /// `AlreadyExists` for a used id or name.
    async fn insert(&self, ctx: &Ctx, s: &StackRow) -> Result<()> {
        let (sealer, event) = (self.0.sealer.as_ref(), [s.event()]);
        db::write!(self.0.db, |tx| {
            db::mark_for(tx, KIND, &s.id, &s.project_id).await?;
            db::check_generation(tx, KIND, &s.id, ctx.generation()).await?;
            stack_table::insert(tx, sealer, s).await?;
            event_table::insert(tx, &s.id, &event, s.created_at, 0).await
        })
    }

    fn busy(id: &StackId) -> Error {
        Error::conflict(format!("The Stack ({id}) is changing; try again."))
    }

    fn updated(&self, mut s: StackRow, update: &StackUpdate) -> Result<StackRow> {
        if s.action == Action::Delete {
            return Err(Error::conflict(format!(
                "The Stack ({}) is being removed and cannot be updated.",
                s.name
            )));
        }
        let minutes = timeout(update.timeout_mins, s.timeout_mins)?;
        let before = Previous {
            template: s.template.clone(),
            parameters: s.parameters.clone(),
        };
        if let Some(template) = &update.template {
            s.template.clone_from(template);
        }
        for (name, value) in &update.parameters {
            s.parameters.insert(name.clone(), value.clone());
        }
        let pseudo_parameters = pseudo(&s);
        let templates = &self.0.templates;
        let drop_unknown = update.template.is_some();
        let bound = validate(
            templates,
            &s.template,
            &mut s.parameters,
            &pseudo_parameters,
            drop_unknown,
        )?;
        let (text, parameters) = (&before.template, &before.parameters);
        super::validate::check_immutable(templates, text, parameters, &bound, &pseudo_parameters)?;
        // A rollback restores the last successful template, even after several
        // failed updates.
        if s.status == Status::Complete && s.action != Action::Rollback || s.previous.is_none() {
            s.previous =
                (s.action != Action::Create || s.status == Status::Complete).then_some(before);
        }
        s.timeout_mins = minutes;
        s.disable_rollback = update.disable_rollback;
        s.generation += 1;
        s.set_target(Action::Update, clock::now());
        Ok(s)
    }
}

fn pseudo(s: &StackRow) -> Pseudo {
    Pseudo {
        stack_name: s.name.clone(),
        stack_id: s.id.to_string(),
        project_id: s.project_id.to_string(),
    }
}

#[async_trait]
impl Stacks for Ops {
    async fn create(&self, ctx: &Ctx, new: NewStack) -> Result<Stack> {
        if !ctx.is_admin() && ctx.project_id() != Some(&new.project_id) {
            return Err(Error::forbidden(
                "You are not authorized to use stacks of this project.",
            ));
        }
        check_name(&new.name)?;
        // The caller stored the id first, so a repeated call finds the existing
        // stack.
        if let Some(existing) = self.find(ctx, &new.id).await? {
            return Ok(existing.into_api());
        }
        let now = clock::now();
        let mut s = StackRow {
            id: new.id,
            project_id: new.project_id,
            user_id: ctx.user_id.clone(),
            name: new.name,
            template: new.template,
            parameters: new.parameters,
            previous: None,
            outputs: std::collections::BTreeMap::new(),
            timeout_mins: timeout(new.timeout_mins, DEFAULT_TIMEOUT_MINS)?,
            disable_rollback: new.disable_rollback,
            owner: new.owner,
            action: Action::Create,
            status: Status::InProgress,
            reason: String::new(),
            cause: None,
            emptying: false,
            generation: 1,
            traversal: 0,
            started_at: now,
            deadline_at: now,
            created_at: now,
        };
        let pseudo_parameters = pseudo(&s);
        let templates = &self.0.templates;
        validate(
            templates,
            &s.template,
            &mut s.parameters,
            &pseudo_parameters,
            false,
        )?;
        s.set_target(Action::Create, now);
        match self.insert(ctx, &s).await {
            Ok(()) => Ok(s.into_api()),
            // A concurrent call with this id was faster, or the name is used.
            Err(e) if e.kind == kernel::Kind::AlreadyExists => match self.find(ctx, &s.id).await? {
                Some(existing) => Ok(existing.into_api()),
                None => Err(Error::exists(format!(
                    "The Stack ({}) already exists.",
                    s.name
                ))),
            },
            Err(e) => Err(e),
        }
    }

    async fn show(&self, ctx: &Ctx, id: &StackId) -> Result<Stack> {
        Ok(self.load(ctx, id).await?.into_api())
    }

    async fn update(&self, ctx: &Ctx, id: &StackId, update: StackUpdate) -> Result<Stack> {
        for _ in 0..MAX_ATTEMPTS {
            let s = self.load(ctx, id).await?;
            let traversal = s.traversal;
            let s = self.updated(s, &update)?;
            if self.save(ctx, &s, traversal).await? {
                return Ok(s.into_api());
            }
        }
        Err(Self::busy(id))
    }

    async fn mark_unhealthy(
        &self,
        ctx: &Ctx,
        id: &StackId,
        resources: &[Unhealthy],
        reason: &str,
    ) -> Result<()> {
        let s = self.load(ctx, id).await?;
        resource_ops::mark_unhealthy(&self.0, ctx, &s, resources, reason).await
    }

    async fn signal(&self, ctx: &Ctx, id: &StackId, resource: &str, signal: Signal) -> Result<()> {
        let s = self.load(ctx, id).await?;
        resource_ops::signal(&self.0, ctx, &s, resource, signal).await
    }

    async fn delete(&self, ctx: &Ctx, id: &StackId) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            let Some(mut s) = self.find(ctx, id).await? else {
                return self.delete_absent(ctx, id).await;
            };
            if s.action == Action::Delete && s.status == Status::InProgress {
                return Ok(());
            }
            let traversal = s.traversal;
            s.emptying = true;
            s.generation += 1;
            s.set_target(Action::Delete, clock::now());
            if self.save(ctx, &s, traversal).await? {
                return Ok(());
            }
        }
        Err(Self::busy(id))
    }

    async fn resources(&self, ctx: &Ctx, id: &StackId) -> Result<Vec<StackResource>> {
        self.load(ctx, id).await?;
        let resources = resource_table::names(&self.0.db, id).await?;
        let names: HashMap<ResourceId, String> = resources
            .iter()
            .map(|p| (p.id.clone(), p.name.clone()))
            .collect();
        let of = |p: &ResourceSummary| p.parent.as_ref().and_then(|id| names.get(id)).cloned();
        Ok(resources
            .into_iter()
            .map(|p| {
                let parent = of(&p);
                p.into_api(parent)
            })
            .collect())
    }

    async fn events(&self, ctx: &Ctx, id: &StackId, limit: u32) -> Result<Vec<StackEvent>> {
        self.load(ctx, id).await?;
        event_table::newest(&self.0, id, limit).await
    }
}

impl Ops {
    /// Prevents a delayed creation of the stack after its deletion.
    async fn delete_absent(&self, ctx: &Ctx, id: &StackId) -> Result<()> {
        let never_existed = stack_table::load_head(&self.0.db, id).await?.is_none();
        if never_existed && ctx.is_admin() && ctx.generation().is_some() {
            db::write!(self.0.db, |tx| {
                db::record_tombstone(tx, KIND, id, ctx.generation()).await
            })?;
        }
        Err(not_found(id))
    }
}
