//! The request body of `POST /v3/auth/tokens`.

use kernel::{Error, Result};
use rest::RequestBody;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::errors::wrong;

/// Reference to a user, project or domain: by id, or by name in a domain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reference {
    pub id: Option<String>,
    pub name: Option<String>,
    pub domain_id: Option<String>,
    pub domain_name: Option<String>,
}

impl Reference {
    /// `place` names the value in errors.
    fn read(value: &Value, place: &str) -> Result<Self> {
        if !value.is_object() {
            return Err(wrong(place, &value.to_string(), "an object is expected."));
        }
        let mut read = Self {
            id: text(value, "id", place)?,
            name: text(value, "name", place)?,
            ..Self::default()
        };
        if let Some(domain) = value.get("domain") {
            let place = format!("{place}/domain");
            let domain = Self::read(domain, &place)?.named(&place)?;
            (read.domain_id, read.domain_name) = (domain.id, domain.name);
        }
        Ok(read)
    }

    /// Refuses a reference without an id and a name.
    fn named(self, place: &str) -> Result<Self> {
        if self.id.is_none() && self.name.is_none() {
            let text =
                format!("Invalid input for field {place}: id or name must be present. {TAIL}");
            return Err(Error::invalid(place, text));
        }
        Ok(self)
    }
}

/// A member that is a text, if it is present. Another value must not have the same
/// effect as an absent one.
fn text(value: &Value, name: &str, place: &str) -> Result<Option<String>> {
    match value.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => {
            let field = format!("{place}/{name}");
            Err(wrong(&field, &other.to_string(), "text is expected."))
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
    /// The trust with this id.
    Trust(String),
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
    let given = identity.get("methods").and_then(Value::as_array);
    let given = given.ok_or_else(|| expecting("methods", "identity"))?;
    let mut methods = Vec::new();
    for method in given {
        let why = "the name of a method is expected.";
        let name = method.as_str();
        methods.push(name.ok_or_else(|| wrong("identity/methods", &method.to_string(), why))?);
    }
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
                user: {
                    let place = "identity/password/user";
                    Reference::read(user, place)?.named(place)?
                },
                password: need(&user["password"], "password", "user")?,
            }
        }
        "token" => Proof::Token(need(&part("token")?["id"], "id", "token")?),
        "application_credential" => {
            let credential = part("application_credential")?;
            let place = "identity/application_credential";
            let user = credential.get("user");
            let user = user.map(|user| Reference::read(user, &format!("{place}/user")));
            Proof::AppCredential {
                credential: Reference::read(credential, place)?,
                user: user.transpose()?.unwrap_or_default(),
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
    Ok(AuthRequest {
        proof,
        wanted: wanted(auth.get("scope"))?,
    })
}

/// The kinds of scopes.
const SCOPES: [&str; 5] = ["project", "domain", "system", "unscoped", "OS-TRUST:trust"];

fn wanted(scope: Option<&Value>) -> Result<Wanted> {
    let one = || {
        expecting(
            "exactly one of project, domain, system, OS-TRUST:trust or unscoped",
            "scope",
        )
    };
    let scope = match scope {
        None => return Ok(Wanted::Default),
        Some(Value::String(s)) if s == "unscoped" => return Ok(Wanted::Unscoped),
        Some(scope) => scope,
    };
    let mut given = SCOPES
        .iter()
        .filter_map(|kind| Some((*kind, scope.get(kind)?)));
    let (Some((kind, value)), None) = (given.next(), given.next()) else {
        return Err(one());
    };
    match kind {
        "project" => {
            let place = "scope/project";
            Ok(Wanted::Project(
                Reference::read(value, place)?.named(place)?,
            ))
        }
        "domain" => {
            let place = "scope/domain";
            Ok(Wanted::Domain(Reference::read(value, place)?.named(place)?))
        }
        // Keystone ignores the value. A client that sends false must not get the
        // most powerful token.
        "system" if value.get("all") == Some(&Value::Bool(true)) => Ok(Wanted::System),
        "system" => {
            let why = "{\"all\": true} is expected.";
            Err(wrong("scope/system", &value.to_string(), why))
        }
        "unscoped" => Ok(Wanted::Unscoped),
        _ => match text(value, "id", "scope/OS-TRUST:trust")? {
            Some(id) if !id.is_empty() => Ok(Wanted::Trust(id)),
            _ => Err(expecting("trust_id", "trust")),
        },
    }
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
        let system = json!({"type": "object", "properties": {"all": {"type": "boolean", "enum": [true]}},
            "required": ["all"]});
        let trust = json!({"type": "object", "properties": {"id": {"type": "string", "minLength": 1}},
            "required": ["id"]});
        let scoped = |name: &str, value: &Value| json!({"type": "object", "properties": {name: value}, "required": [name]});
        let scope = json!({"oneOf": [
            {"type": "string", "enum": ["unscoped"]},
            scoped("project", &named),
            scoped("domain", &named),
            scoped("system", &system),
            scoped("OS-TRUST:trust", &trust),
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
