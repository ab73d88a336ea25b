//! A request to a resource route, and its answer.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kernel::{Ctx, Error, Kind, Result, Scope, Target};
use rest::{Dialect as _, RequestId};
use serde_json::{Map, Value, json};

use crate::Identity;
use crate::dialect::Keystone;

/// Keystone's limit of a body, in bytes.
const BODY: usize = 114_688;
/// The most items of one list answer.
const MAX_LIMIT: usize = 1000;

/// Input of a handler.
pub(crate) struct Call {
    pub identity: Identity,
    /// `None` on public routes only.
    caller: Option<Ctx>,
    pub headers: HeaderMap,
    pub query: Vec<(String, String)>,
    /// `scheme://host` for links.
    pub base: String,
    body: Bytes,
}

/// An error that [`render_refusals`] renders.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Error);

pub(crate) type Reply = Result<Response, Refusal>;

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Self(e)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware that renders errors and logs the request id.
pub(crate) async fn render_refusals(request: Request, next: Next) -> Response {
    let id = RequestId::of(request.extensions());
    let response = next.run(request).await;
    match response.extensions().get::<Refusal>() {
        Some(Refusal(e)) => Keystone.render(e, &id),
        None => response,
    }
}

impl FromRequest<Identity> for Call {
    type Rejection = Refusal;

    async fn from_request(request: Request, identity: &Identity) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        rest::query::check_text(&parts.uri)?;
        let caller = parts.extensions.get::<rest::Caller>().map(|c| c.0.clone());
        Ok(Self {
            base: rest::link::base(&parts.headers, identity.public_endpoint.as_deref()),
            query: rest::query::pairs(parts.uri.query()),
            identity: identity.clone(),
            caller,
            headers: parts.headers,
            body: axum::body::to_bytes(body, BODY).await.map_err(|e| {
                let text = format!("The body is larger than {BODY} bytes, or ended early.");
                Error::new(Kind::NotSupported { status: 413 }, text).context(e)
            })?,
        })
    }
}

impl Call {
    pub(crate) fn ctx(&self) -> Result<&Ctx> {
        self.caller.as_ref().ok_or_else(Error::unauthenticated)
    }

    /// # Errors
    /// `Forbidden` with Keystone's text.
    pub(crate) fn allow(&self, rule: &str, target: &Target) -> Result<()> {
        self.identity.allow(rule, self.ctx()?, target)
    }

    /// The domain that the caller acts in.
    pub(crate) fn domain_id(&self) -> Result<String> {
        Ok(match &self.ctx()?.scope {
            Scope::Project { domain_id, .. } => domain_id.clone(),
            Scope::Domain { id, .. } => id.clone(),
            _ => "default".into(),
        })
    }

    /// The object with this key in the body.
    pub(crate) fn object(&self, noun: &str) -> Result<Fields> {
        let body = rest::body::json(&self.body, &self.headers)?;
        match body.get(noun) {
            Some(Value::Object(map)) => Ok(Fields(map.clone())),
            _ => Err(Error::invalid(
                noun,
                format!("'{noun}' is a required property, and must be an object."),
            )),
        }
    }

    /// The value of a query parameter.
    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A flag parameter, which is set when present, unless it is 0.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.asked(name).is_some_and(|v| v != "0")
    }

    /// A list answer: filtered by the exact `filters` and by `name__…`, limited
    /// by `limit` and `marker`. `path` is relative to `/identity/v3`.
    pub(crate) fn list(
        &self,
        noun: &str,
        path: &str,
        items: Vec<Value>,
        filters: &[&str],
    ) -> Result<Response> {
        let mut items: Vec<Value> = items
            .into_iter()
            .filter(|item| self.matches(item, filters))
            .collect();
        if let Some(marker) = self.asked("marker") {
            let at = items.iter().position(|i| i["id"] == marker);
            let at = at.ok_or_else(|| {
                Error::new(
                    Kind::NotFound,
                    format!("Marker {marker} could not be found."),
                )
            })?;
            items.drain(..=at);
        }
        let own = format!("{}/identity/v3{path}", self.base);
        let mut links = json!({"self": own, "previous": null, "next": null});
        let mut body = Map::new();
        if let Some(limit) = self.limit()?
            && items.len() > limit
        {
            items.truncate(limit);
            body.insert("truncated".into(), true.into());
            if let Some(last) = items.last().and_then(|i| i["id"].as_str()) {
                let mut query: Vec<(&str, &str)> = self
                    .query
                    .iter()
                    .filter(|(n, _)| n != "marker")
                    .map(|(n, v)| (n.as_str(), v.as_str()))
                    .collect();
                query.push(("marker", last));
                links["next"] = rest::link::with_query(&own, &query).into();
            }
        }
        body.insert(noun.into(), items.into());
        body.insert("links".into(), links);
        Ok(Json(Value::Object(body)).into_response())
    }

    fn limit(&self) -> Result<Option<usize>> {
        let Some(text) = self.asked("limit") else {
            return Ok(None);
        };
        let wrong = || {
            Error::invalid(
                "limit",
                format!(
                    "Invalid input for field/attribute limit. Value: {text}. A whole number is expected."
                ),
            )
        };
        let number: i64 = text.parse().map_err(|_| wrong())?;
        Ok(usize::try_from(number).ok().map(|n| n.min(MAX_LIMIT)))
    }

    fn matches(&self, item: &Value, filters: &[&str]) -> bool {
        self.query.iter().all(|(name, wanted)| {
            if name == "enabled" && filters.contains(&"enabled") {
                let wanted = !["0", "false"].contains(&wanted.to_ascii_lowercase().as_str());
                return item["enabled"] == wanted;
            }
            if filters.contains(&"tags")
                && let Some(matches) = matches_tags(&item["tags"], name, wanted)
            {
                return matches;
            }
            if filters.contains(&name.as_str()) {
                return item[name] == *wanted;
            }
            let Some((field, how)) = name.split_once("__") else {
                return true;
            };
            match item[field].as_str() {
                Some(have) if filters.contains(&field) => matches_operator(have, how, wanted),
                _ => true,
            }
        })
    }
}

/// Whether tags fulfil a filter with a list of tags; `None` if it is another
/// filter.
fn matches_tags(tags: &Value, name: &str, wanted: &str) -> Option<bool> {
    let has = |tag: &str| tags.as_array().is_some_and(|t| t.iter().any(|t| t == tag));
    let mut listed = wanted.split(',').filter(|tag| !tag.is_empty());
    match name {
        "tags" => Some(listed.all(has)),
        "tags-any" => Some(listed.any(has)),
        "not-tags" => Some(!listed.all(has)),
        "not-tags-any" => Some(!listed.any(has)),
        _ => None,
    }
}

fn matches_operator(have: &str, how: &str, wanted: &str) -> bool {
    let (low, want) = (have.to_lowercase(), wanted.to_lowercase());
    match how {
        "contains" => have.contains(wanted),
        "icontains" => low.contains(&want),
        "startswith" => have.starts_with(wanted),
        "istartswith" => low.starts_with(&want),
        "endswith" => have.ends_with(wanted),
        "iendswith" => low.ends_with(&want),
        _ => true,
    }
}

/// The fields of the object in a body.
pub(crate) struct Fields(pub Map<String, Value>);

impl Fields {
    /// `None` where the field is absent.
    pub(crate) fn text(&self, name: &str, max: usize) -> Result<Option<String>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(s)) if s.chars().count() <= max => Ok(Some(s.clone())),
            Some(Value::String(s)) => Err(wrong(
                name,
                s,
                &format!("at most {max} characters are allowed."),
            )),
            Some(other) => Err(wrong(name, &other.to_string(), "text is expected.")),
        }
    }

    /// `Some(None)` where the field is null.
    pub(crate) fn nullable(&self, name: &str, max: usize) -> Result<Option<Option<String>>> {
        match self.0.get(name) {
            Some(Value::Null) => Ok(Some(None)),
            _ => Ok(self.text(name, max)?.map(Some)),
        }
    }

    /// A name, which must not be blank.
    pub(crate) fn name(&self, max: usize) -> Result<Option<String>> {
        match self.text("name", max)? {
            Some(name) if name.trim().is_empty() => {
                Err(wrong("name", &name, "it must not be blank."))
            }
            name => Ok(name),
        }
    }

    pub(crate) fn required_name(&self, max: usize) -> Result<String> {
        self.name(max)?
            .ok_or_else(|| Error::invalid("name", "'name' is a required property"))
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Bool(b)) => Ok(Some(*b)),
            Some(other) => Err(wrong(
                name,
                &other.to_string(),
                "true or false is expected.",
            )),
        }
    }
}

pub(crate) fn wrong(field: &str, value: &str, why: &str) -> Error {
    Error::invalid(
        field,
        format!("Invalid input for field/attribute {field}. Value: {value}. {why}"),
    )
}

pub(crate) fn missing(what: &str, id: &str) -> Error {
    Error::new(Kind::NotFound, format!("Could not find {what}: {id}."))
}

pub(crate) fn forbidden(action: &str) -> Error {
    Error::forbidden(format!(
        "You are not authorized to perform the requested action: {action}."
    ))
}

/// Converts a unique violation; other errors are unchanged.
pub(crate) fn as_conflict(e: Error, text: String) -> Error {
    if e.kind == Kind::AlreadyExists {
        Error::exists(text)
    } else {
        e
    }
}

pub(crate) fn created(body: Value) -> Response {
    (StatusCode::CREATED, Json(body)).into_response()
}

pub(crate) fn shown(body: Value) -> Response {
    Json(body).into_response()
}

pub(crate) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Handles all other paths under our prefix.
pub(crate) async fn unknown() -> Refusal {
    Refusal(Error::new(
        Kind::NotFound,
        "The resource could not be found.",
    ))
}
