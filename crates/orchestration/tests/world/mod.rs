//! A private world: a SQLite file, faces in memory that can crash the caller,
//! and a hand that turns the reconciler.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test whose world breaks fails"
)]

pub mod cloud;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db::Db;
use flow::Reconciler;
use kernel::{Ctx, OwnerKey};
use orchestration::face::{
    Action, NewStack, Stack, StackResource, StackUpdate, Stacks, Status, Unhealthy,
};
use orchestration::{Orchestration, PlainSealer};
use serde_json::Value;
use testkit::TestDb;

pub use cloud::Cloud;

pub const PROJECT: &str = "p1";

pub struct World {
    pub test: TestDb,
    pub db: Db,
    pub cloud: Arc<Cloud>,
    pub stacks: Arc<dyn Stacks>,
    pub engine: Arc<dyn Reconciler>,
    pub service: Orchestration,
    pub ctx: Ctx,
}

impl World {
    pub async fn new() -> Self {
        Self::over(TestDb::sqlite(orchestration::migrations()).await)
    }

    pub fn over(test: TestDb) -> Self {
        let db = test.db.clone();
        let cloud = Arc::new(Cloud::new(db.clone()));
        let service = Orchestration::new(
            db.clone(),
            cloud.network(),
            cloud.compute(),
            Arc::new(PlainSealer),
        );
        Self {
            test,
            db,
            stacks: service.face().stacks,
            engine: service.reconcilers().remove(0),
            service,
            cloud,
            ctx: Ctx::for_project("req-test", PROJECT),
        }
    }

    pub fn new_stack(template: &str) -> NewStack {
        NewStack {
            id: kernel::ids::uuid(),
            project_id: PROJECT.into(),
            name: "s1".into(),
            template: template.into(),
            disable_rollback: true,
            owner: Some(OwnerKey::new("cluster", "c1")),
            ..NewStack::default()
        }
    }

    pub async fn create(&self, new: NewStack) -> Stack {
        self.stacks.create(&self.ctx, new).await.expect("accepted")
    }

    pub async fn update(
        &self,
        id: &str,
        template: Option<&str>,
        params: &[(&str, Value)],
    ) -> Stack {
        self.try_update(id, template, params, true)
            .await
            .expect("accepted")
    }

    pub async fn try_update(
        &self,
        id: &str,
        template: Option<&str>,
        params: &[(&str, Value)],
        disable_rollback: bool,
    ) -> kernel::Result<Stack> {
        let update = StackUpdate {
            template: template.map(str::to_owned),
            parameters: parameters(params),
            timeout_mins: None,
            disable_rollback,
        };
        self.stacks.update(&self.ctx, id, update).await
    }

    /// Reports a member of a group, or a resource, to be unhealthy.
    pub async fn unhealthy(&self, id: &str, group: Option<&str>, name: &str, incident: &str) {
        let resource = Unhealthy {
            group: group.map(str::to_owned),
            name: name.into(),
            incident: incident.into(),
        };
        self.stacks
            .mark_unhealthy(&self.ctx, id, &[resource], "lost")
            .await
            .expect("accepted");
    }

    /// Changes rows behind the engine's back.
    pub async fn sql(&self, sql: &str) {
        let mut tx = self.db.begin().await.expect("begin");
        tx.execute(sql, vec![]).await.expect("statement");
        tx.commit().await.expect("commit");
    }

    pub async fn show(&self, id: &str) -> Option<Stack> {
        match self.stacks.show(&self.ctx, id).await {
            Ok(s) => Some(s),
            Err(e) if e.is_not_found() => None,
            Err(e) => panic!("{e}"),
        }
    }

    pub async fn resources(&self, id: &str) -> Vec<StackResource> {
        self.stacks.resources(&self.ctx, id).await.expect("listed")
    }

    /// One claimed run, dropped where the cloud crashes. `false`: no key is due.
    pub async fn turn(&self) -> bool {
        // Nobody renews it here.
        let lease = Duration::from_secs(600);
        let leases = db::claim_for(&self.db, &["stack"], "me", 8, lease)
            .await
            .expect("claim");
        let any = !leases.is_empty();
        for lease in leases {
            let crashed = self.cloud.crashed.notified();
            let outcome = tokio::select! {
                biased;
                () = crashed => None,
                r = self.engine.run(&lease) => Some(r.expect("run")),
            };
            match outcome {
                None => db::release_all(&self.db).await.expect("release"),
                Some(next) => {
                    db::complete(&self.db, &lease, &next.into())
                        .await
                        .expect("complete");
                }
            }
        }
        any
    }

    /// Turns until nothing is due at once.
    pub async fn settle(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.turn().await {
            assert!(Instant::now() < end, "the engine never rests");
        }
    }

    /// Settles and expects this end.
    pub async fn ends(&self, id: &str, action: Action, status: Status) -> Stack {
        self.settle().await;
        let s = self.show(id).await.expect("the stack exists");
        assert_eq!(
            (s.action, s.status),
            (action, status),
            "{}",
            s.status_reason
        );
        s
    }

    /// Makes the key due again, as the safety net would later.
    pub async fn poke(&self, id: &str) {
        let mut tx = self.db.begin().await.expect("begin");
        db::mark(&mut tx, "stack", id).await.expect("mark");
        tx.commit().await.expect("commit");
        self.settle().await;
    }

    pub async fn delete(&self, id: &str) {
        self.stacks.delete(&self.ctx, id).await.expect("accepted");
    }

    /// How often the owner's key was marked.
    pub async fn owner_marks(&self) -> i64 {
        let row = self
            .db
            .query_opt(
                "SELECT generation FROM flow_key WHERE kind = 'cluster' AND id = 'c1'",
                vec![],
            )
            .await
            .expect("query");
        row.map_or(0, |r| r.int("generation").expect("a number"))
    }
}

pub fn parameters(params: &[(&str, Value)]) -> BTreeMap<String, Value> {
    params
        .iter()
        .map(|(k, v)| ((*k).to_owned(), v.clone()))
        .collect()
}
