//! The operations of the face: authorise, validate, one transaction.

use async_trait::async_trait;
use kernel::{Ctx, Error, Result, clock};
use lang::hot::Pseudo;

use super::model::{Part, Previous, SignalRow, StackRow};
use super::{Store, event_table, part_table, signal_table, stack_table, validate};
use crate::KIND;
use crate::face::{
    Action, NewStack, Signal, Stack, StackEvent, StackResource, StackUpdate, Stacks, Status,
};

const DEFAULT_TIMEOUT_MINS: i64 = 60;
const MAX_TIMEOUT_MINS: i64 = 10_080;
const MICROS_PER_MINUTE: i64 = 60_000_000;
/// How often an operation tries again where the engine was faster.
const TRIES: u32 = 8;

/// The embedded implementation of [`Stacks`].
pub(crate) struct Ops(pub Store);

fn not_found(id: &str) -> Error {
    Error::new(
        kernel::Kind::NotFound,
        format!("The Stack ({id}) could not be found."),
    )
}

fn timeout(given: Option<i64>, kept: i64) -> Result<i64> {
    match given {
        None => Ok(kept),
        Some(m) if (1..=MAX_TIMEOUT_MINS).contains(&m) => Ok(m),
        Some(m) => Err(Error::invalid(
            "timeout_mins",
            format!("timeout_mins: {m} is out of range (min: 1, max: {MAX_TIMEOUT_MINS})"),
        )),
    }
}

fn check_name(name: &str) -> Result<()> {
    let ok = name.len() <= 255
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if ok {
        return Ok(());
    }
    Err(Error::invalid(
        "stack_name",
        format!(
            "Invalid stack name {name} must contain only alphanumeric or \"_-.\" characters, \
             must start with alpha and must be 255 characters or less."
        ),
    ))
}

impl StackRow {
    /// Aims the stack at something new: what runs for the old aim is void.
    pub(crate) fn aim(&mut self, action: Action, now: i64) {
        self.action = action;
        self.status = Status::InProgress;
        self.reason = format!("Stack {} started", super::action_word(action));
        self.cause = None;
        self.traversal += 1;
        self.started_at = now;
        self.deadline_at = now + self.timeout_mins * MICROS_PER_MINUTE;
    }
}

impl Ops {
    async fn load(&self, ctx: &Ctx, id: &str) -> Result<StackRow> {
        match stack_table::load(&self.0, id).await? {
            Some(s) if ctx.is_admin() || ctx.project_id() == Some(&s.project_id) => Ok(s),
            _ => Err(not_found(id)),
        }
    }

    /// Writes a new aim, wakes the engine and the owner. `false`: the stack
    /// has another traversal meanwhile.
    async fn save(&self, s: &StackRow, traversal: i64) -> Result<bool> {
        let mut tx = self.0.db.begin().await?;
        if !stack_table::save(&mut tx, self.0.sealer.as_ref(), s, traversal).await? {
            return Ok(false);
        }
        event_table::insert(&mut tx, &s.id, &s.event(), clock::now_micros(), 0).await?;
        db::mark(&mut tx, KIND, &s.id).await?;
        if let Some(owner) = &s.owner {
            db::mark(&mut tx, &owner.kind, &owner.id).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    fn busy(id: &str) -> Error {
        Error::conflict(format!("The Stack ({id}) is changing; try again."))
    }

    fn updated(mut s: StackRow, update: &StackUpdate) -> Result<StackRow> {
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
        let who = pseudo(&s);
        let (bound, _) = validate(
            &s.template,
            &mut s.parameters,
            &who,
            update.template.is_some(),
        )?;
        super::validate::immutable(&before.template, &before.parameters, &bound, &who)?;
        // Goes back to what last worked, however many updates came since.
        if s.status == Status::Complete && s.action != Action::Rollback || s.previous.is_none() {
            s.previous =
                (s.action != Action::Create || s.status == Status::Complete).then_some(before);
        }
        s.timeout_mins = minutes;
        s.disable_rollback = update.disable_rollback;
        s.generation += 1;
        s.aim(Action::Update, clock::now_micros());
        Ok(s)
    }
}

fn pseudo(s: &StackRow) -> Pseudo {
    Pseudo {
        stack_name: s.name.clone(),
        stack_id: s.id.clone(),
        project_id: s.project_id.clone(),
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
        // The caller stored the id first: a repeat finds what exists.
        if let Ok(existing) = self.load(ctx, &new.id).await {
            return Ok(existing.face());
        }
        let now = clock::now_micros();
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
        let who = pseudo(&s);
        validate(&s.template, &mut s.parameters, &who, false)?;
        s.aim(Action::Create, now);
        let mut tx = self.0.db.begin().await?;
        let inserted = stack_table::insert(&mut tx, self.0.sealer.as_ref(), &s).await;
        inserted.map_err(|e| match e.kind {
            kernel::Kind::AlreadyExists => {
                Error::exists(format!("The Stack ({}) already exists.", s.name))
            }
            _ => e,
        })?;
        event_table::insert(&mut tx, &s.id, &s.event(), now, 0).await?;
        db::mark(&mut tx, KIND, &s.id).await?;
        tx.commit().await?;
        Ok(s.face())
    }

    async fn show(&self, ctx: &Ctx, id: &str) -> Result<Stack> {
        Ok(self.load(ctx, id).await?.face())
    }

    async fn update(&self, ctx: &Ctx, id: &str, update: StackUpdate) -> Result<Stack> {
        for _ in 0..TRIES {
            let s = self.load(ctx, id).await?;
            let traversal = s.traversal;
            let s = Self::updated(s, &update)?;
            if self.save(&s, traversal).await? {
                return Ok(s.face());
            }
        }
        Err(Self::busy(id))
    }

    async fn delete(&self, ctx: &Ctx, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let mut s = self.load(ctx, id).await?;
            if s.action == Action::Delete && s.status == Status::InProgress {
                return Ok(());
            }
            let traversal = s.traversal;
            s.emptying = true;
            s.generation += 1;
            s.aim(Action::Delete, clock::now_micros());
            if self.save(&s, traversal).await? {
                return Ok(());
            }
        }
        Err(Self::busy(id))
    }

    async fn resources(&self, ctx: &Ctx, id: &str) -> Result<Vec<StackResource>> {
        self.load(ctx, id).await?;
        let parts = part_table::load(&self.0, id).await?;
        let names: std::collections::HashMap<String, String> = parts
            .iter()
            .map(|p| (p.id.clone(), p.name.clone()))
            .collect();
        let of = |p: &Part| p.parent.as_ref().and_then(|id| names.get(id)).cloned();
        Ok(parts
            .into_iter()
            .map(|p| {
                let parent = of(&p);
                p.face(parent)
            })
            .collect())
    }

    async fn events(&self, ctx: &Ctx, id: &str, limit: u32) -> Result<Vec<StackEvent>> {
        self.load(ctx, id).await?;
        event_table::newest(&self.0, id, limit).await
    }

    async fn signal(&self, ctx: &Ctx, id: &str, resource: &str, signal: Signal) -> Result<()> {
        let s = self.load(ctx, id).await?;
        if s.action == Action::Delete {
            return Err(Error::conflict(
                "Signal resource during DELETE is not supported.",
            ));
        }
        if !matches!(signal.status.as_str(), "SUCCESS" | "FAILURE") {
            let why = format!("status: '{}' is neither SUCCESS nor FAILURE", signal.status);
            return Err(Error::invalid("status", why));
        }
        if signal.id.is_empty() || signal.id.len() > 128 {
            return Err(Error::invalid(
                "id",
                "id: a signal needs an id of 1 to 128 characters",
            ));
        }
        let parts = part_table::load(&self.0, id).await?;
        let part = parts
            .iter()
            .find(|p| p.parent.is_none() && !p.doomed && p.name == resource)
            .ok_or_else(|| {
                let why = format!(
                    "The Resource ({resource}) could not be found in Stack {}.",
                    s.name
                );
                Error::new(kernel::Kind::NotFound, why)
            })?;
        let handle = match (&part.physical_id, part.resource_type.as_str()) {
            (Some(id), "OS::Heat::WaitConditionHandle") => id.clone(),
            _ => {
                let why = format!("{} does not take signals.", part.resource_type);
                return Err(Error::invalid("resource", why));
            }
        };
        let row = SignalRow {
            handle,
            id: signal.id,
            status: signal.status,
            reason: signal.reason,
            data: signal.data,
            at: clock::now_micros(),
        };
        let mut tx = self.0.db.begin().await?;
        signal_table::put(&mut tx, self.0.sealer.as_ref(), id, &row).await?;
        let told = format!("Signal: status:{} reason:{}", row.status, row.reason);
        event_table::insert(&mut tx, id, &part.event(&told), row.at, 0).await?;
        db::mark(&mut tx, KIND, id).await?;
        tx.commit().await
    }
}
