//! A small service behind the route table: what every service answers,
//! whatever its resources are.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use kernel::{AccessRule, Ctx, Error, Result, Rule, Scopes};
use rest::version::Negotiator;
use rest::{
    Access, Api, Asked, Call, Created, Dialect, Json, Microversion, NoContent, Param, RequestBody,
    Route, Service, Settings, With, delete, get, post,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

static READ: Rule = Rule {
    name: "thing:get",
    default: "",
    about: "Show a thing.",
    scopes: Scopes::Any,
};

#[derive(Serialize, JsonSchema)]
struct Thing {
    name: String,
}

struct NewThing(String);

impl RequestBody for NewThing {
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        Schema::try_from(json!({"type": "object"})).ok()
    }

    fn read(body: Option<Value>) -> Result<Self> {
        let name = body.and_then(|b| b["name"].as_str().map(str::to_owned));
        name.map(Self)
            .ok_or_else(|| Error::invalid("name", "name is missing"))
    }
}

struct Plain;

impl Dialect for Plain {
    fn render(&self, error: &Error, asked: &Asked<'_>) -> Response {
        let status = rest::status_of(&error.kind);
        (status, format!("{} at {}", error.message, asked.base)).into_response()
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

fn rule(path: &str) -> AccessRule {
    AccessRule {
        id: String::new(),
        service: "thing".into(),
        path: path.into(),
        method: "GET".into(),
    }
}

struct Tokens;

#[async_trait]
impl rest::Authenticator for Tokens {
    async fn authenticate(&self, token: &str, request_id: &str) -> Result<Ctx> {
        let access_rules = match token {
            "good" => None,
            "ruled" => Some([rule("/v1/{thing}"), rule("/things/v1/new/a/**")].into()),
            _ => return Err(Error::unauthenticated()),
        };
        Ok(Ctx {
            request_id: request_id.to_owned(),
            access_rules,
            ..Ctx::default()
        })
    }
}

async fn show(call: Call<u32>) -> Result<Json<Thing>> {
    call.ctx()?.granted.record(&READ);
    let name = format!("{} of {}", call.param("thing_id")?, call.state);
    Ok(Json(Thing { name }))
}

async fn forgetful(_: Call<u32>) -> Result<NoContent> {
    Ok(NoContent)
}

async fn broken(_: Call<u32>) -> Result<NoContent> {
    panic!("a broken invariant")
}

async fn create(call: Call<u32, NewThing>) -> Result<With<Created<Thing>>> {
    let NewThing(name) = call.body()?;
    let at = format!("{}/things/v1/{name}", call.parts.base);
    Ok(With::location(Created(Thing { name }), at))
}

const COLOR: &[Param] = &[Param::text("color", "Its color.").comparable()];

const VERSIONS: Negotiator = Negotiator {
    services: &["things"],
    min: Microversion::new(1, 1),
    max: Microversion::new(1, 9),
};

fn service() -> Service {
    let own = Access::AnyToken("The caller's own.");
    let routes: Vec<Route<u32>> = vec![
        get("/v1/{thing_id}", &READ, "Show a thing.", show).query(&[COLOR]),
        delete("/v1/{thing_id}", &READ, "Forget the check.", forgetful),
        post("/v1", own, "Create a thing.", create),
        get("/v1/new", own, "Newer.", forgetful).since(1, 5),
        get("/v1/broken", own, "Panics.", broken),
        get("/v1/new/all", own, "For all rules.", forgetful).without_access_rules(),
        get("/v1/new/{old}/{x}", own, "For some rules.", forgetful),
        get("/", Access::Public("For all."), "Nothing.", forgetful),
    ];
    let mut settings = Settings::new("things", "/things", Arc::new(Plain));
    settings.service_type = Some("thing");
    settings.authenticator = Some(Arc::new(Tokens));
    settings.versions = Some(&VERSIONS);
    settings.body_limit = 100;
    Service::new(settings, 7, routes).unwrap()
}

fn api(public_endpoint: Option<&str>) -> Api {
    let public = public_endpoint.map(str::to_owned);
    Api::new(vec![service()], Arc::new(Plain), public)
}

struct Got {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

async fn send(api: &Api, line: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let got = api.clone().into_router().oneshot(request).await.unwrap();
    let (parts, body) = got.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    assert!(parts.headers.contains_key("x-openstack-request-id"));
    Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

const TOKEN: (&str, &str) = ("x-auth-token", "good");

#[tokio::test]
async fn a_request_reaches_its_handler_or_is_refused_in_order() {
    let api = api(None);
    for (line, headers, want) in [
        ("GET /things/v1/a", &[TOKEN][..], 200),
        ("HEAD /things/v1/a", &[TOKEN], 200),
        ("GET /things/v1/a/", &[TOKEN], 200),
        ("GET /things/v1/a?color=red", &[TOKEN], 200),
        ("GET /things/v1/a?color__contains=red", &[TOKEN], 200),
        ("GET /things/v1/a?color__like=red", &[TOKEN], 400),
        ("GET /things/v1/a?size=1", &[TOKEN], 400),
        ("GET /things/v1/%ff", &[TOKEN], 400),
        ("GET /things/v1/%00", &[TOKEN], 400),
        ("GET /things/v1/a", &[], 401),
        ("GET /things/v1/a", &[("x-auth-token", "bad")], 401),
        ("GET /things", &[], 204),
        ("POST /things", &[], 405),
        ("PUT /things/v1/a", &[], 405),
        ("GET /things/v1/a/b", &[], 404),
        ("GET /thingsome/v1/a", &[TOKEN], 404),
        ("GET /things/v1/a", &[TOKEN, ("host", "a/b")], 400),
        ("GET /things/v1/broken", &[TOKEN], 500),
        // The handler succeeds, but has checked nothing.
        ("DELETE /things/v1/a", &[TOKEN], 500),
    ] {
        let got = send(&api, line, headers, "").await;
        assert_eq!(got.status, want, "{line} {headers:?}: {}", got.body);
    }
    let got = send(&api, "GET /things/v1/a%2Fb", &[TOKEN], "").await;
    assert_eq!(got.body, r#"{"name":"a/b of 7"}"#);
    let got = send(&api, "PUT /things/v1/a", &[TOKEN], "").await;
    assert_eq!(got.headers["allow"], "DELETE, GET, HEAD");
}

#[tokio::test]
async fn bodies_are_bounded_and_links_are_public() {
    let named = r#"{"name": "x"}"#;
    let long = format!(r#"{{"name": "{}"}}"#, "x".repeat(100));
    let api = api(Some("https://api.example.org/"));
    for (body, want) in [(named, 201), ("{}", 400), ("{", 400), (long.as_str(), 413)] {
        let got = send(&api, "POST /things/v1", &[TOKEN], body).await;
        assert_eq!(got.status, want, "{body}: {}", got.body);
        if want == 201 {
            assert_eq!(
                got.headers["location"],
                "https://api.example.org/things/v1/x"
            );
        } else {
            assert!(
                got.body.ends_with("at https://api.example.org"),
                "{}",
                got.body
            );
        }
    }
}

#[tokio::test]
async fn versions_decide_which_routes_exist() {
    let api = api(None);
    let version = |v: &'static str| ("openstack-api-version", v);
    for (asked, want) in [
        ("things 1.5", 204),
        ("things latest", 204),
        ("things 1.4", 404),
        ("things 1.10", 406),
        ("other 1.5", 406),
    ] {
        let got = send(&api, "GET /things/v1/new", &[TOKEN, version(asked)], "").await;
        assert_eq!(got.status, want, "{asked}: {}", got.body);
    }
    let got = send(
        &api,
        "GET /things/v1/new",
        &[TOKEN, version("things 1.5")],
        "",
    )
    .await;
    assert_eq!(got.headers["openstack-api-version"], "things 1.5");
}

#[tokio::test]
async fn the_document_and_the_figures_follow_from_the_table() {
    let api = api(None);
    send(&api, "GET /things/v1/a", &[TOKEN], "").await;
    send(&api, "GET /things/v1/a", &[], "").await;
    let services: Vec<&Service> = api.services().iter().collect();
    let document = rest::openapi::document(&services, "1");
    assert_eq!(document["openapi"], "3.1.0");
    let show = &document["paths"]["/things/v1/{thing_id}"]["get"];
    assert_eq!(show["x-access"], json!({"policy": "thing:get"}));
    assert_eq!(show["parameters"][0]["name"], "thing_id");
    assert_eq!(show["parameters"][1]["name"], "color");
    assert!(document["paths"]["/things"]["get"]["security"].is_null());
    assert_eq!(document["paths"]["/things/v1/new"]["get"]["x-since"], "1.5");
    let answered = |path: &str| {
        let all: Vec<_> = api.figures().collect();
        let one = all.iter().find(|f| f.path == path && f.method == "GET");
        one.unwrap().answered
    };
    assert_eq!(answered("/v1/{thing_id}")[2], 1);
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let twice = || get::<u32, (), NoContent, _, _>("/a", &READ, "", forgetful);
    let mut settings = Settings::new("things", "/things", Arc::new(Plain));
    assert!(Service::new(settings.clone(), 7, vec![twice()]).is_err());
    settings.authenticator = Some(Arc::new(Tokens));
    assert!(Service::new(settings.clone(), 7, vec![twice()]).is_ok());
    assert!(Service::new(settings, 7, vec![twice(), twice()]).is_err());
}

#[tokio::test]
async fn a_token_with_access_rules_is_used_for_what_they_permit() {
    let api = api(None);
    let ruled = [("x-auth-token", "ruled")];
    for (line, want) in [
        ("GET /things/v1/5", 200),
        ("GET /things/v1/%35", 200),
        ("GET /things/v1/new/a/b", 204),
        ("DELETE /things/v1/5", 401),
        ("POST /things/v1", 401),
        // Permitted to all, or not authenticated.
        ("GET /things/v1/new/all", 204),
        ("GET /things", 204),
    ] {
        let got = send(&api, line, &ruled, "").await;
        assert_eq!(got.status, want, "{line}: {}", got.body);
    }
    // A service without a type cannot be named by a rule.
    let mut settings = Settings::new("things", "/things", Arc::new(Plain));
    settings.authenticator = Some(Arc::new(Tokens));
    let routes = vec![get("/v1/{thing_id}", &READ, "Show a thing.", show)];
    let service = Service::new(settings, 7, routes).unwrap();
    let api = Api::new(vec![service], Arc::new(Plain), None);
    let got = send(&api, "GET /things/v1/5", &ruled, "").await;
    assert_eq!(got.status, 401);
    let got = send(&api, "GET /things/v1/5", &[("x-auth-token", "good")], "").await;
    assert_eq!(got.status, 200);
}
