//! The request body of `POST /v3/auth/tokens`.

use kernel::{Error, Result};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Reference to a user, project or domain: by id, or by name in a domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    pub id: Option<String>,
    pub name: Option<String>,
    pub domain_id: Option<String>,
    pub domain_name: Option<String>,
}

impl Reference {
    fn read(value: &Value) -> Self {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        Self {
            id: text(&value["id"]),
            name: text(&value["name"]),
            domain_id: text(&value["domain"]["id"]),
            domain_name: text(&value["domain"]["name"]),
        }
    }
}

/// Credentials of the caller.
#[derive(Debug)]
pub(crate) enum Proof {
    Password {
        user: Reference,
        password: String,
    },
    Token(String),
    AppCredential {
        credential: Reference,
        user: Reference,
        secret: String,
    },
}

/// Requested scope.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// No scope given: the default project of the user, otherwise unscoped.
    Default,
    Unscoped,
    Project(Reference),
    Domain(Reference),
    System,
}

#[derive(Debug)]
pub(crate) struct AuthRequest {
    pub proof: Proof,
    pub wanted: Wanted,
}

const TAIL: &str = "The server could not comply with the request since it is either malformed or otherwise incorrect. The client is assumed to be in error.";

fn expecting(what: &str, place: &str) -> Error {
    Error::invalid(what, format!("Expecting to find {what} in {place}. {TAIL}"))
}

fn read(body: &Value) -> Result<AuthRequest> {
    let auth = body
        .get("auth")
        .filter(|a| a.is_object())
        .ok_or_else(|| expecting("auth", "request body"))?;
    let identity = auth
        .get("identity")
        .filter(|i| i.is_object())
        .ok_or_else(|| expecting("identity", "auth"))?;
    let methods: Vec<&str> = identity["methods"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(method) = methods.first() else {
        return Err(expecting("methods", "identity"));
    };
    if methods.len() > 1 {
        // Each method would need verification; a request with more methods than
        // needed is rejected instead of partly verified.
        return Err(Error::new(
            kernel::Kind::Unauthenticated,
            "Attempted to authenticate with several methods; use one.",
        ));
    }
    let part = |name: &str| {
        identity
            .get(name)
            .filter(|v| v.is_object())
            .ok_or_else(|| expecting(name, "identity"))
    };
    let need = |v: &Value, what: &str, place: &str| {
        v.as_str()
            .map(str::to_owned)
            .ok_or_else(|| expecting(what, place))
    };
    let proof = match *method {
        "password" => {
            let user = &part("password")?["user"];
            if !user.is_object() {
                return Err(expecting("user", "password"));
            }
            Proof::Password {
                user: Reference::read(user),
                password: need(&user["password"], "password", "user")?,
            }
        }
        "token" => Proof::Token(need(&part("token")?["id"], "id", "token")?),
        "application_credential" => {
            let credential = part("application_credential")?;
            Proof::AppCredential {
                credential: Reference::read(credential),
                user: Reference::read(&credential["user"]),
                secret: need(&credential["secret"], "secret", "application_credential")?,
            }
        }
        _ => {
            return Err(Error::new(
                kernel::Kind::Unauthenticated,
                "Attempted to authenticate with an unsupported method.",
            ));
        }
    };
    let wanted = match auth.get("scope") {
        None | Some(Value::Null) => Wanted::Default,
        Some(Value::String(s)) if s == "unscoped" => Wanted::Unscoped,
        Some(scope) if scope.get("project").is_some() => {
            Wanted::Project(Reference::read(&scope["project"]))
        }
        Some(scope) if scope.get("domain").is_some() => {
            Wanted::Domain(Reference::read(&scope["domain"]))
        }
        Some(scope) if scope.get("system").is_some() => Wanted::System,
        Some(scope) if scope.get("unscoped").is_some() => Wanted::Unscoped,
        Some(_) => return Err(expecting("project, domain or system", "scope")),
    };
    Ok(AuthRequest { proof, wanted })
}

impl RequestBody for AuthRequest {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        let text = json!({"type": "string"});
        let domain = json!({"type": "object", "properties": {"id": text, "name": text}});
        let named = json!({"type": "object",
            "properties": {"id": text, "name": text, "domain": domain}});
        let user = json!({"type": "object", "properties":
            {"id": text, "name": text, "domain": domain, "password": text}});
        let credential = json!({"type": "object", "properties":
            {"id": text, "name": text, "secret": text, "user": named}});
        let methods = ["password", "token", "application_credential"];
        let identity = json!({"type": "object", "required": ["methods"], "properties": {
            "methods": {"type": "array", "items": {"enum": methods}, "minItems": 1, "maxItems": 1},
            "password": {"type": "object", "properties": {"user": user}},
            "token": {"type": "object", "properties": {"id": text}},
            "application_credential": credential,
        }});
        let system = json!({"type": "object", "properties": {"all": {"type": "boolean"}}});
        let scoped = |name: &str, value: &Value| json!({"type": "object", "properties": {name: value}, "required": [name]});
        let scope = json!({"anyOf": [
            {"type": "string", "enum": ["unscoped"]},
            scoped("project", &named),
            scoped("domain", &named),
            scoped("system", &system),
            scoped("unscoped", &json!({})),
        ]});
        let auth = json!({"type": "object", "required": ["identity"],
            "properties": {"identity": identity, "scope": scope}});
        let body = json!({"type": "object", "required": ["auth"], "properties": {"auth": auth}});
        Schema::try_from(body).ok()
    }

    fn read(body: Option<Value>) -> Result<Self> {
        read(&body.unwrap_or_default())
    }
}
