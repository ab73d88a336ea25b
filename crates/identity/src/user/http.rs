//! Routes of users.

use kernel::{Result, Rule, Target};
use rest::{Access, Created, Json, NoContent, Param, Route, delete, get, patch_route, post};

use super::wire::{PasswordChange, UserBody, UserFields};
use super::{User, ops, table};
use crate::assignment::Actor;
use crate::call::{Call, IdentityCall, token_of_caller};
use crate::envelope::{Many, One};
use crate::errors::{forbidden_action, missing};
use crate::fields::{Change, New};
use crate::foreign_roles::refuse_foreign_roles;
use crate::listing::{PAGING, list as listing};
use crate::policy;
use crate::project;
use crate::project::wire::ProjectBody;
use crate::state::State;

pub(crate) const FILTERS: &[Param] = &[
    Param::text("name", "Users of this name.").comparable(),
    Param::text("domain_id", "Users of this domain."),
    Param::text("enabled", "Enabled or disabled users."),
    Param::text("idp_id", "Users of this identity provider."),
    Param::text(
        "unique_id",
        "Users with this id at their identity provider.",
    ),
    Param::text("protocol_id", "Users of this federation protocol."),
    Param::text("password_expires_at", "Users whose password expires then."),
];

pub(crate) fn routes() -> Vec<Route<State>> {
    vec![
        get("/v3/users", &policy::LIST_USERS, "List users.", list).query(&[PAGING, FILTERS]),
        post("/v3/users", &policy::CREATE_USER, "Create a user.", create),
        get(
            "/v3/users/{user_id}",
            &policy::GET_USER,
            "Show a user.",
            show,
        ),
        patch_route(
            "/v3/users/{user_id}",
            &policy::UPDATE_USER,
            "Change a user.",
            update,
        ),
        delete(
            "/v3/users/{user_id}",
            &policy::DELETE_USER,
            "Delete a user.",
            remove,
        ),
        post(
            "/v3/users/{user_id}/password",
            Access::Public(
                "A user whose password has expired has no token; the old password authenticates.",
            ),
            "Change the password of a user who knows it.",
            password,
        ),
        get(
            "/v3/users/{user_id}/projects",
            &policy::LIST_USER_PROJECTS,
            "List the projects on which a user has a role.",
            projects,
        )
        .query(&[PAGING, project::http::FILTERS]),
    ]
}

pub(crate) fn target(user: &User) -> Target {
    Target {
        user_id: Some(user.id.clone()),
        domain_id: Some(user.domain_id.clone()),
        project_id: None,
    }
}

async fn list(call: Call) -> Result<Json<Many<UserBody>>> {
    // A domain reader sees only their own domain, whatever the filter is.
    let own = call.domain_id()?;
    call.allow(&policy::LIST_USERS, &Target::domain(own.clone()))?;
    let all = call.allows(&policy::LIST_USERS, &Target::default());
    let users = table::list(&call.state.db).await?;
    let users = users
        .into_iter()
        .filter(|u| all || u.domain_id == own)
        .map(|u| UserBody::new(u, call.base()))
        .collect();
    listing(&call, "/users", users)
}

async fn create(call: Call<New<UserFields>>) -> Result<Created<One<UserBody>>> {
    let New(fields) = call.body()?;
    let domain_id = match &fields.domain_id {
        Some(id) => id.clone(),
        None => call.domain_id()?,
    };
    call.allow(&policy::CREATE_USER, &Target::domain(domain_id.clone()))?;
    let user = ops::create(&call.state, &domain_id, fields).await?;
    Ok(Created(One(UserBody::new(user, call.base()))))
}

async fn show(call: Call) -> Result<Json<One<UserBody>>> {
    let user = found(&call, &policy::GET_USER).await?;
    Ok(Json(One(UserBody::new(user, call.base()))))
}

async fn update(call: Call<Change<UserFields>>) -> Result<Json<One<UserBody>>> {
    let user = found(&call, &policy::UPDATE_USER).await?;
    protect(&call, &policy::UPDATE_USER, &user).await?;
    let fields = call.body()?.of(&user.id)?;
    if fields.password.is_some() {
        refuse_trustee(&call).await?;
    }
    let user = ops::update(&call.state, &user.id, fields).await?;
    Ok(Json(One(UserBody::new(user, call.base()))))
}

async fn remove(call: Call) -> Result<NoContent> {
    let user = found(&call, &policy::DELETE_USER).await?;
    protect(&call, &policy::DELETE_USER, &user).await?;
    ops::delete(&call.state, &user.id).await?;
    Ok(NoContent)
}

async fn password(call: Call<New<PasswordChange>>) -> Result<NoContent> {
    let New(change) = call.body()?;
    ops::change_password(&call.state, call.param("user_id")?, change).await?;
    Ok(NoContent)
}

async fn projects(call: Call) -> Result<Json<Many<ProjectBody>>> {
    let user = found(&call, &policy::LIST_USER_PROJECTS).await?;
    let list = project::accessible::projects(&call.state.db, &user.id).await?;
    let items = list
        .into_iter()
        .map(|p| ProjectBody::new(p, call.base()))
        .collect();
    listing(&call, &format!("/users/{}/projects", user.id), items)
}

/// With the password of a trustor, a trustee could get all roles of the trustor, also
/// after the end of the trust.
async fn refuse_trustee<B>(call: &Call<B>) -> Result<()> {
    let by = token_of_caller(call).await?;
    if by.trust.is_some() {
        return Err(forbidden_action(
            "Cannot change a password with a token of a trust",
        ));
    }
    Ok(())
}

/// The password of a user gives all of the user's roles.
async fn protect<B>(call: &Call<B>, rule: &'static Rule, user: &User) -> Result<()> {
    let actor = Actor::User(user.id.clone());
    refuse_foreign_roles(call, rule, &actor, &target(user)).await
}

/// Returns the user of the path if the rule allows it. Callers that may not see
/// users must not learn which users exist.
async fn found<B>(call: &Call<B>, rule: &'static Rule) -> Result<User> {
    let id = call.param("user_id")?;
    let user = ops::get(&call.state, id).await;
    call.allow_found(rule, user, target, || missing("user", id))
}
