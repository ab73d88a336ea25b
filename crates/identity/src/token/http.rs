//! Routes of `/v3/auth`.

use std::sync::Arc;

use kernel::{Ctx, Error, Kind, Result, Scope};
use rest::{Access, Created, Json, NoContent, Param, Route, With, delete, get, post};
use schemars::JsonSchema;
use serde::Serialize;

use super::ops::revoke::Extent;
use super::ops::validate::{validate, validate_expired};
use super::request::AuthRequest;
use super::wire::{TokenBody, WholeSystem};
use super::{Valid, ops, payload};
use crate::call::{Call, IdentityCall, flag};
use crate::catalog::{self, Bearer, CatalogService};
use crate::domain::wire::DomainBody;
use crate::envelope::{ListLinks, Many, SelfLink};
use crate::errors::forbidden_action;
use crate::project;
use crate::project::wire::ProjectBody;
use crate::role::effective;
use crate::state::State;

const NOCATALOG: &[Param] = &[Param::text(
    "nocatalog",
    "Leave the catalogue out, unless the value is 0.",
)];
const ALLOW_EXPIRED: &[Param] = &[Param::text(
    "allow_expired",
    "Services and administrators validate a token for two days after its end, too.",
)];
const CASCADE: &[Param] = &[Param::text(
    "cascade",
    "With false, tokens issued from this one stay valid.",
)];

const OWN: Access = Access::AnyToken("The answer is about the caller only.");
/// The rules depend on whose token is examined; see [`Use::is_permitted`].
const SUBJECT: Access = Access::AnyToken(
    "Own tokens; those of others for admin, and to validate them for services and system readers.",
);

pub(crate) fn routes() -> Vec<Route<State>> {
    let tokens = "/v3/auth/tokens";
    vec![
        post(
            tokens,
            Access::Public("The credentials in the body authenticate."),
            "Issue a token.",
            issue,
        )
        .query(&[NOCATALOG]),
        get(tokens, SUBJECT, "Validate a token.", show)
            .query(&[NOCATALOG, ALLOW_EXPIRED])
            .without_access_rules(),
        delete(tokens, SUBJECT, "Revoke a token.", revoke).query(&[CASCADE]),
        get("/v3/auth/catalog", OWN, "Show the catalogue.", auth_catalog),
        get(
            "/v3/auth/projects",
            OWN,
            "List projects to scope to.",
            auth_projects,
        ),
        get(
            "/v3/auth/domains",
            OWN,
            "List domains to scope to.",
            auth_domains,
        ),
        get("/v3/auth/system", OWN, "List system scopes.", auth_system),
    ]
}

async fn issue(call: Call<AuthRequest>) -> Result<With<Created<TokenBody>>> {
    let (token, valid) = ops::issue::issue(&call.state, call.body()?).await?;
    let body = TokenBody::new(&valid, rendered_catalog(&call, &valid).await?);
    Ok(subject(Created(body), token))
}

/// The catalogue in the answer with a token.
pub(crate) async fn rendered_catalog<B>(
    call: &Call<B>,
    valid: &Valid,
) -> Result<Option<Vec<CatalogService>>> {
    if flag(call, "nocatalog") || valid.payload.scope == payload::Scope::Unscoped {
        return Ok(None);
    }
    // Keystone renders the catalogue of a trust for the trustor.
    let trust = valid.trust.as_ref();
    let bearer = Bearer {
        user_id: trust.map_or(&valid.user.id, |t| &t.trustor_user_id),
        project_id: valid.project_id(),
    };
    let catalog = catalog::load(&call.state).await?;
    Ok(Some(catalog::render(&catalog, call.base(), bearer)))
}

/// An answer with a token in its header.
pub(crate) fn subject<T>(answer: T, token: String) -> With<T> {
    let name = http::HeaderName::from_static("x-subject-token");
    With {
        answer,
        headers: vec![(name, token)],
    }
}

/// What is done with the token that a request names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Show,
    Revoke,
}

impl Use {
    /// Whether these roles permit it for tokens of other users. A service
    /// validates the tokens of its callers and revokes none.
    fn is_permitted(self, caller: &Ctx) -> bool {
        let has = |name: &str| caller.has_role(name);
        let system = caller.scope == Scope::System;
        has("admin") || self == Self::Show && (has("service") || system && has("reader"))
    }

    fn action(self) -> &'static str {
        match self {
            Self::Show => "identity:validate_token",
            Self::Revoke => "identity:revoke_token",
        }
    }
}

/// The text of the token that is examined, and its contents. Every user
/// may examine and revoke tokens of their own.
async fn subject_token(call: &Call, purpose: Use) -> Result<(String, Arc<Valid>)> {
    let state = &call.state;
    let caller = call.ctx()?;
    let subject = call
        .header("x-subject-token")
        .ok_or_else(|| Error::not_found("Token", "without X-Subject-Token"))?;
    let permitted = purpose.is_permitted(caller);
    let about = if permitted && flag(call, "allow_expired") {
        validate_expired(state, subject).await
    } else {
        validate(state, subject).await
    };
    let about = about.map_err(|e| match e.kind {
        Kind::Unauthenticated => Error::new(Kind::NotFound, "Could not recognize Fernet token"),
        // A failure of the database says nothing about the token.
        _ => e,
    })?;
    // The token of a trust belongs to the trustee, too.
    let is_own = [&about.user.id, &about.payload.user_id].contains(&&caller.user_id);
    if !is_own && !permitted {
        return Err(forbidden_action(purpose.action()));
    }
    Ok((subject.to_owned(), about))
}

async fn show(call: Call) -> Result<With<Json<TokenBody>>> {
    let (token, valid) = subject_token(&call, Use::Show).await?;
    if valid.access_rules().is_some() && !knows_access_rules(&call) {
        return Err(Error::new(Kind::NotFound, "Failed to validate token"));
    }
    let body = TokenBody::new(&valid, rendered_catalog(&call, &valid).await?);
    Ok(subject(Json(body), token))
}

/// Whether the caller says that it enforces the access rules of tokens.
fn knows_access_rules(call: &Call) -> bool {
    let version = call.header("openstack-identity-access-rules");
    let version = version.and_then(|v| v.trim().parse::<f64>().ok());
    version.is_some_and(|v| v >= 1.0)
}

async fn revoke(call: Call) -> Result<NoContent> {
    let (_, valid) = subject_token(&call, Use::Revoke).await?;
    let single = ["false", "0"].contains(&call.asked("cascade").unwrap_or_default());
    let extent = if single { Extent::One } else { Extent::Chain };
    ops::revoke::revoke(&call.state, &valid, extent).await?;
    Ok(NoContent)
}

#[derive(Debug, Serialize, JsonSchema)]
struct CatalogBody {
    catalog: Vec<CatalogService>,
    links: ListLinks,
}

fn links(call: &Call, path: &str) -> ListLinks {
    ListLinks {
        next: None,
        own: format!("{}/identity/v3{path}", call.base()),
        previous: None,
    }
}

async fn auth_catalog(call: Call) -> Result<Json<CatalogBody>> {
    let ctx = call.ctx()?;
    let project_id = match &ctx.scope {
        Scope::Unscoped => return Err(forbidden_action("identity:get_auth_catalog")),
        Scope::Project { id, .. } => Some(id.as_str()),
        _ => None,
    };
    let bearer = Bearer {
        user_id: &ctx.user_id,
        project_id,
    };
    let catalog = catalog::load(&call.state).await?;
    Ok(Json(CatalogBody {
        catalog: catalog::render(&catalog, call.base(), bearer),
        links: links(&call, "/auth/catalog"),
    }))
}

async fn auth_projects(call: Call) -> Result<Json<Many<ProjectBody>>> {
    let user = &call.ctx()?.user_id;
    let found = project::accessible::projects(&call.state.db, user).await?;
    let items = found.into_iter().map(|p| ProjectBody::new(p, call.base()));
    Ok(Json(Many {
        items: items.collect(),
        truncated: false,
        links: links(&call, "/auth/projects"),
    }))
}

async fn auth_domains(call: Call) -> Result<Json<Many<DomainBody>>> {
    let user = &call.ctx()?.user_id;
    let found = project::accessible::domains(&call.state.db, user).await?;
    let items = found.into_iter().map(|d| DomainBody::new(d, call.base()));
    Ok(Json(Many {
        items: items.collect(),
        truncated: false,
        links: links(&call, "/auth/domains"),
    }))
}

#[derive(Debug, Serialize, JsonSchema)]
struct SystemScopes {
    system: Vec<WholeSystem>,
    links: SelfLink,
}

async fn auth_system(call: Call) -> Result<Json<SystemScopes>> {
    let user = &call.ctx()?.user_id;
    let held = effective::on_target(&call.state.db, user, "system", "all").await?;
    let all = (!held.is_empty()).then_some(WholeSystem { all: true });
    Ok(Json(SystemScopes {
        system: all.into_iter().collect(),
        links: SelfLink::new(call.base(), "/auth/system"),
    }))
}
