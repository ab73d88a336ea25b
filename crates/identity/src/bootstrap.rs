//! Initial contents of a new database: roles, a domain, two projects, two
//! users.

use db::{Db, Table as _, Tx};
use kernel::{Kind, Result, ids};

use crate::attributes::Attributes;
use crate::password;
use crate::project::{self, Project};
use crate::role::{self, Assignment, Role};
use crate::user::User;

/// The generated passwords, which only the server that won the bootstrap has.
#[derive(Debug, Clone)]
pub struct Bootstrapped {
    pub admin_password: String,
    pub demo_password: String,
}

/// Fills a new database in one transaction; returns `None` if another server
/// did it.
pub(crate) async fn run(db: &Db) -> Result<Option<Bootstrapped>> {
    if project::table::by_id(db, "default").await?.is_some() {
        return Ok(None);
    }
    let first = Bootstrapped {
        admin_password: ids::secret_hex(16),
        demo_password: ids::secret_hex(16),
    };
    let admin_hash = password::hash(first.admin_password.clone()).await?;
    let demo_hash = password::hash(first.demo_password.clone()).await?;
    let filled = db::write!(db, |tx| {
        // The passwords are shown once, by the server that generated them.
        tx.write_receipt().await?;
        fill(tx, &admin_hash, &demo_hash).await
    });
    match filled {
        Ok(()) => Ok(Some(first)),
        // Another server inserted the domain first.
        Err(e) if e.kind == Kind::AlreadyExists => Ok(None),
        Err(e) => Err(e),
    }
}

async fn fill(tx: &mut Tx, admin_hash: &str, demo_hash: &str) -> Result<()> {
    let domain = Project {
        id: "default".into(),
        name: "Default".into(),
        domain_id: String::new(),
        parent_id: None,
        is_domain: true,
        enabled: true,
        description: "The default domain".into(),
        options: Attributes::default(),
        extra: Attributes::default(),
    };
    domain.insert(tx).await?;
    let mut roles = Vec::new();
    for name in ["admin", "manager", "member", "reader", "service"] {
        let role = Role {
            id: ids::hex(),
            name: name.into(),
            description: String::new(),
            options: Attributes::default(),
        };
        role.insert(tx).await?;
        roles.push(role);
    }
    for (prior, implied) in [(0, 1), (1, 2), (2, 3)] {
        role::table::imply(tx, &roles[prior].id, &roles[implied].id).await?;
    }
    for (name, hash, role) in [("admin", admin_hash, 0), ("demo", demo_hash, 2)] {
        let project = Project {
            id: ids::hex(),
            name: name.into(),
            domain_id: "default".into(),
            parent_id: Some("default".into()),
            is_domain: false,
            enabled: true,
            description: String::new(),
            options: Attributes::default(),
            extra: Attributes::default(),
        };
        project.insert(tx).await?;
        let user = User {
            id: ids::hex(),
            name: name.into(),
            domain_id: "default".into(),
            password_hash: Some(hash.to_owned()),
            enabled: true,
            default_project_id: None,
            email: None,
            description: String::new(),
            tokens_after: 0,
            options: Attributes::default(),
            extra: Attributes::default(),
        };
        user.insert(tx).await?;
        let mut targets = vec![("project", project.id)];
        if name == "admin" {
            targets.push(("domain", "default".into()));
            targets.push(("system", "all".into()));
        }
        for (kind, target_id) in targets {
            let grant = Assignment {
                user_id: user.id.clone(),
                kind: kind.into(),
                target_id,
                role_id: roles[role].id.clone(),
            };
            role::table::grant(tx, &grant).await?;
        }
    }
    Ok(())
}
