//! Initial contents of a new database: roles, a domain, and the project `admin`
//! with its user; the project `demo` with its user only if it is requested.

use db::{Db, Table as _, Tx};
use kernel::{DomainId, Error, Kind, ProjectId, Result, UserId, ids};

use crate::assignment::{self, Actor, Assignment};
use crate::attributes::Attributes;
use crate::ids::RoleId;
use crate::password;
use crate::project::{self, Project};
use crate::role::{self, Role};
use crate::tags::Tags;
use crate::token::time::TokenTime;
use crate::user::{self, User};

const DOMAIN: &str = "default";
const DEMO: &str = "demo";

/// The passwords of the users that this call created; `None` for a user that
/// exists already or that another server created.
#[derive(Debug, Clone, Default)]
pub struct Bootstrapped {
    pub admin_password: Option<String>,
    pub demo_password: Option<String>,
}

/// Fills a new database; with `demo`, adds the demo project unless it exists.
pub(crate) async fn run(db: &Db, demo: bool) -> Result<Bootstrapped> {
    let mut made = Bootstrapped::default();
    if project::table::by_id(db, DOMAIN).await?.is_none() {
        let (password, hash) = new_password().await?;
        made.admin_password = created(db::write!(db, |tx| {
            // The password is shown once, by the server that generated it.
            tx.write_receipt().await?;
            fill(tx, &hash).await
        }))?
        .then_some(password);
    }
    if demo && !has_demo(db).await? {
        let role = member(db).await?;
        let (password, hash) = new_password().await?;
        made.demo_password = created(db::write!(db, |tx| {
            tx.write_receipt().await?;
            project_with_user(tx, DEMO, &hash, &role).await.map(|_| ())
        }))?
        .then_some(password);
    }
    Ok(made)
}

async fn new_password() -> Result<(String, String)> {
    let password = ids::secret_hex(16);
    let hash = password::hash(password.clone()).await?;
    Ok((password, hash))
}

/// Returns `false` if another server inserted the rows first.
fn created(done: Result<()>) -> Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(e) if e.kind == Kind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

async fn has_demo(db: &Db) -> Result<bool> {
    let project = project::table::by_name(db, DOMAIN, DEMO).await?;
    let user = user::table::by_name(db, DOMAIN, DEMO).await?;
    Ok(project.is_some() || user.is_some())
}

/// The id of the role `member`.
async fn member(db: &Db) -> Result<RoleId> {
    let roles = role::table::list(db).await?;
    let is_member = |r: &Role| r.domain_id.is_none() && r.name == "member";
    let found = roles.into_iter().find(is_member);
    found.map(|r| r.id).ok_or_else(|| {
        Error::invalid(
            "demo_project",
            "demo_project: there is no role `member` for its user; create it, or start without \
             the demo project",
        )
    })
}

async fn fill(tx: &mut Tx, admin_hash: &str) -> Result<()> {
    let domain = Project {
        id: DOMAIN.into(),
        name: "Default".into(),
        domain_id: DomainId::default(),
        parent_id: None,
        is_domain: true,
        enabled: true,
        description: "The default domain".into(),
        options: Attributes::default(),
        extra: Attributes::default(),
        tags: Tags::default(),
        tokens_after: TokenTime::default(),
    };
    domain.insert(tx).await?;
    let mut roles = Vec::new();
    for name in ["admin", "manager", "member", "reader", "service"] {
        let role = Role {
            id: RoleId::random(),
            name: name.into(),
            domain_id: None,
            description: String::new(),
            options: Attributes::default(),
            extra: Attributes::default(),
        };
        role::table::insert(tx, &role).await?;
        roles.push(role);
    }
    for (prior, implied) in [(0, 1), (1, 2), (2, 3)] {
        role::table::imply(tx, &roles[prior].id, &roles[implied].id).await?;
    }
    let user_id = project_with_user(tx, "admin", admin_hash, &roles[0].id).await?;
    for (kind, target_id) in [("domain", DOMAIN), ("system", "all")] {
        let grant = Assignment {
            actor: Actor::User(user_id.clone()),
            kind: kind.into(),
            target_id: target_id.into(),
            inherited: false,
            role_id: roles[0].id.clone(),
        };
        assignment::table::grant(tx, &grant).await?;
    }
    Ok(())
}

/// Inserts a project and a user of the same name with a role on it; returns the
/// id of the user.
async fn project_with_user(
    tx: &mut Tx,
    name: &str,
    hash: &str,
    role_id: &RoleId,
) -> Result<UserId> {
    let project = Project {
        id: ProjectId::random(),
        name: name.into(),
        domain_id: DOMAIN.into(),
        parent_id: Some(DOMAIN.into()),
        is_domain: false,
        enabled: true,
        description: String::new(),
        options: Attributes::default(),
        extra: Attributes::default(),
        tags: Tags::default(),
        tokens_after: TokenTime::default(),
    };
    project.insert(tx).await?;
    let user = User {
        id: UserId::random(),
        name: name.into(),
        domain_id: DOMAIN.into(),
        password_hash: Some(hash.to_owned()),
        enabled: true,
        default_project_id: None,
        email: None,
        description: String::new(),
        tokens_after: TokenTime::default(),
        options: Attributes::default(),
        extra: Attributes::default(),
    };
    user.insert(tx).await?;
    let grant = Assignment {
        actor: Actor::User(user.id.clone()),
        kind: "project".into(),
        target_id: project.id.into(),
        inherited: false,
        role_id: role_id.clone(),
    };
    assignment::table::grant(tx, &grant).await?;
    Ok(user.id)
}
