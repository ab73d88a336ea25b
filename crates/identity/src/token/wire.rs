//! The answer of `/v3/auth/tokens`.

use schemars::JsonSchema;
use serde::Serialize;

use super::Valid;
use super::payload::{Scope, method_names};
use crate::access_rule::wire::RuleOfCredential;
use crate::catalog::CatalogService;

/// An object by id and name.
#[derive(Debug, Serialize, JsonSchema)]
struct Named {
    id: String,
    name: String,
}

/// The user of a token.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenUser {
    id: String,
    name: String,
    password_expires_at: Option<String>,
    domain: Named,
}

/// The project of a token.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenProject {
    id: String,
    name: String,
    domain: Named,
}

/// The system as a scope.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WholeSystem {
    pub(crate) all: bool,
}

/// The application credential by which a token was issued.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenCredential {
    id: String,
    name: String,
    restricted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_rules: Option<Vec<RuleOfCredential>>,
}

/// A user by id.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenUserId {
    id: String,
}

/// The trust that a token is scoped to.
#[derive(Debug, Serialize, JsonSchema)]
struct TokenTrust {
    id: String,
    trustor_user: TokenUserId,
    trustee_user: TokenUserId,
    impersonation: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Token {
    methods: Vec<&'static str>,
    user: TokenUser,
    audit_ids: Vec<String>,
    expires_at: String,
    issued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<TokenProject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_domain: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Named>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<WholeSystem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_credential: Option<TokenCredential>,
    #[serde(rename = "OS-TRUST:trust", skip_serializing_if = "Option::is_none")]
    trust: Option<TokenTrust>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<Named>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<Vec<CatalogService>>,
}

/// The body of a token.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TokenBody {
    token: Token,
}

fn named(id: &str, name: &str) -> Named {
    Named {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

impl TokenBody {
    /// `catalog` is rendered for the host of the request; unscoped tokens have
    /// none.
    pub(crate) fn new(valid: &Valid, catalog: Option<Vec<CatalogService>>) -> Self {
        let p = &valid.payload;
        let scoped = p.scope != Scope::Unscoped;
        let (mut project, mut domain, mut system) = (None, None, None);
        match (&p.scope, &valid.target) {
            (
                Scope::Project(_) | Scope::AppCredential { .. } | Scope::Trust { .. },
                Some(target),
            ) => {
                project = Some(TokenProject {
                    id: target.id.clone().into(),
                    name: target.name.clone(),
                    domain: named(&target.domain(), &valid.target_domain_name),
                });
            }
            (Scope::Domain(_), Some(target)) => domain = Some(named(&target.id, &target.name)),
            (Scope::System, _) => system = Some(WholeSystem { all: true }),
            _ => {}
        }
        let credential = valid.credential.as_ref();
        let trust = valid.trust.as_ref();
        let user_id = |id: &str| TokenUserId { id: id.to_owned() };
        let roles = valid.roles.iter().map(|r| named(&r.id, &r.name));
        let token = Token {
            methods: method_names(p.methods),
            user: TokenUser {
                id: valid.user.id.clone().into(),
                name: valid.user.name.clone(),
                password_expires_at: None,
                domain: named(&valid.user.domain_id, &valid.user_domain_name),
            },
            audit_ids: p.audit_ids.clone(),
            expires_at: p.expires_at.iso(),
            issued_at: valid.issued_at.iso(),
            // Keystone leaves it out for trusts.
            is_domain: project
                .as_ref()
                .filter(|_| trust.is_none())
                .and(valid.target.as_ref())
                .map(|target| target.is_domain),
            project,
            domain,
            system,
            application_credential: credential.map(|c| TokenCredential {
                id: c.id.clone().into(),
                name: c.name.clone(),
                restricted: !c.unrestricted,
                access_rules: valid.access_rules().map(|r| RuleOfCredential::list(r)),
            }),
            trust: trust.map(|t| TokenTrust {
                id: t.id.clone().into(),
                trustor_user: user_id(&t.trustor_user_id),
                trustee_user: user_id(&t.trustee_user_id),
                impersonation: t.impersonation,
            }),
            roles: scoped.then(|| roles.collect()),
            catalog: catalog.filter(|_| scoped),
        };
        Self { token }
    }
}
