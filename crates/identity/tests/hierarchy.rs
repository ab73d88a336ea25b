//! Projects that act as domains, and what is above and below a project.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::setup::Setup;
use fixture::{project, text};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|o| text(&o["id"])).collect()
}

#[tokio::test]
async fn a_project_acts_as_a_domain() {
    let s = Setup::start().await;
    let body = json!({"project": {"name": "acme", "is_domain": true, "domain_id": null,
        "description": "d", "tags": ["a"]}});
    let made = s.send("POST /v3/projects", body.clone(), 201).await;
    let acme = text(&made["project"]["id"]);
    let link = format!("http://{}/identity/v3/projects/{acme}", s.w.at);
    let want = json!({"id": acme, "name": "acme", "is_domain": true, "domain_id": null,
        "parent_id": null, "enabled": true, "description": "d", "tags": ["a"], "options": {},
        "links": {"self": link}});
    assert_eq!(made["project"], want);
    let domain = s.call(&format!("GET /v3/domains/{acme}"), 200).await;
    assert_eq!(domain["domain"]["name"], "acme");
    let list = s.call("GET /v3/projects?is_domain=true", 200).await;
    assert!(ids(&list["projects"]).contains(&acme));
    let list = s.call("GET /v3/projects", 200).await;
    assert!(!ids(&list["projects"]).contains(&acme));

    s.send("POST /v3/projects", body, 409).await;
    for place in ["domain_id", "parent_id"] {
        let body = json!({"project": {"name": "x", "is_domain": true, place: "default"}});
        let got = s.send("POST /v3/projects", body, 400).await;
        let want = "only root projects are allowed to act as domains.";
        assert_eq!(got["error"]["message"], want);
    }
    let fields = json!({"name": "x", "domain_id": "default", "parent_id": acme});
    let got = s
        .send("POST /v3/projects", json!({"project": fields}), 400)
        .await;
    let want = format!(
        "Cannot create project, the parent ({acme}) is acting as a domain, but this project's \
         domain id (default) does not match the parent's id."
    );
    assert_eq!(got["error"]["message"], want.as_str());
    let web = s
        .made(
            "project",
            json!({"name": "web", "domain_id": acme, "parent_id": acme}),
        )
        .await;

    // The manager of a domain creates projects, and no domains.
    let boss = s
        .made("user", json!({"name": "boss", "password": "p"}))
        .await;
    let manager = s.w.roles(&s.admin).await["manager"].clone();
    let line = format!("PUT /v3/domains/{acme}/users/{boss}/roles/{manager}");
    s.call(&line, 204).await;
    let scope = json!({"domain": {"id": acme}});
    let token = s.w.login("boss", "p", scope).await.token();
    let body = json!({"project": {"name": "mine"}});
    s.w.call("POST /v3/projects", &token, body, 201).await;
    let body = json!({"project": {"name": "own", "is_domain": true}});
    s.w.call("POST /v3/projects", &token, body, 403).await;
    s.w.call(
        &format!("DELETE /v3/projects/{acme}"),
        &token,
        Value::Null,
        403,
    )
    .await;

    let line = format!("PATCH /v3/projects/{acme}");
    s.send(&line, json!({"project": {"is_domain": false}}), 403)
        .await;
    s.call(&format!("DELETE /v3/projects/{acme}"), 403).await;
    // Disabling it disables what is inside, and deleting it deletes that.
    s.send(&line, json!({"project": {"enabled": false}}), 200)
        .await;
    s.w.call("GET /v3/auth/projects", &token, Value::Null, 401)
        .await;
    s.call(&format!("DELETE /v3/projects/{acme}"), 204).await;
    for line in [format!("domains/{acme}"), format!("projects/{web}")] {
        s.call(&format!("GET /v3/{line}"), 404).await;
    }
}

#[tokio::test]
async fn a_domain_is_the_project_of_a_token() {
    let s = Setup::start().await;
    let acme = s
        .made("project", json!({"name": "acme", "is_domain": true}))
        .await;
    let ann = s
        .made("user", json!({"name": "ann", "password": "p"}))
        .await;
    let member = s.w.roles(&s.admin).await["member"].clone();
    let as_project = json!({"project": {"id": acme}});
    let as_domain = json!({"domain": {"id": acme}});
    let status = async |scope: &Value| s.w.login("ann", "p", scope.clone()).await.status;
    assert_eq!(status(&as_project).await, 401);
    // Roles on the domain and on the project of the same id are different ones.
    let grant = format!("/v3/projects/{acme}/users/{ann}/roles/{member}");
    s.call(&format!("PUT {grant}"), 204).await;
    s.call(&format!("GET {grant}"), 204).await;
    let line = format!("GET /v3/domains/{acme}/users/{ann}/roles/{member}");
    s.call(&line, 404).await;
    assert_eq!(status(&as_domain).await, 401);
    let got = s.w.login("ann", "p", as_project.clone()).await;
    let token = &got.body["token"];
    assert_eq!(token["is_domain"], true);
    let own = json!({"id": acme, "name": "acme"});
    let want = json!({"id": acme, "name": "acme", "domain": own});
    assert_eq!(token["project"], want);
    let token = got.token();
    let list =
        s.w.call("GET /v3/auth/projects", &token, Value::Null, 200)
            .await;
    assert_eq!(ids(&list["projects"]), [acme.as_str()]);
    let list =
        s.w.call("GET /v3/auth/domains", &token, Value::Null, 200)
            .await;
    assert_eq!(list["domains"], json!([]));
    let line = format!("POST /v3/users/{ann}/application_credentials");
    let body = json!({"application_credential": {"name": "ci"}});
    let made = s.w.call(&line, &token, body, 201).await;
    assert_eq!(made["application_credential"]["project_id"], acme.as_str());
    // A role that is inherited from the domain does not apply to it.
    s.call(&format!("DELETE {grant}"), 204).await;
    s.w.call("GET /v3/auth/projects", &token, Value::Null, 401)
        .await;
    for kind in ["projects", "domains"] {
        let grant = format!(
            "/v3/OS-INHERIT/{kind}/{acme}/users/{ann}/roles/{member}/inherited_to_projects"
        );
        s.call(&format!("PUT {grant}"), 204).await;
        assert_eq!(status(&as_project).await, 401);
        let web = json!({"name": format!("web in {kind}"), "domain_id": acme});
        let web = s.made("project", web).await;
        assert_eq!(status(&json!({"project": {"id": web}})).await, 201);
        s.call(&format!("DELETE {grant}"), 204).await;
        assert_eq!(status(&json!({"project": {"id": web}})).await, 401);
    }
}

#[tokio::test]
async fn a_project_is_shown_with_what_is_above_and_below() {
    let s = Setup::start().await;
    let ann = s
        .made("user", json!({"name": "ann", "password": "p"}))
        .await;
    let below = async |name: &str, parent: &str| {
        let fields = json!({"name": name, "domain_id": "default", "parent_id": parent});
        s.made("project", fields).await
    };
    let top = below("top", "default").await;
    let mid = below("mid", &top).await;
    let (left, right) = (below("left", &mid).await, below("right", &mid).await);
    below("side", "default").await;
    let line = |id: &str, query: &str| format!("GET /v3/projects/{id}?{query}");
    let shown = async |id: &str, query: &str| {
        let got = s.call(&line(id, query), 200).await;
        got["project"].clone()
    };

    let got = shown(&left, "parents_as_ids").await;
    assert_eq!(got["parents"], json!({&mid: {&top: {"default": null}}}));
    assert!(got.get("subtree").is_none());
    let got = shown(&top, "parents_as_ids&subtree_as_ids").await;
    assert_eq!(got["parents"], json!({"default": null}));
    assert_eq!(got["subtree"], json!({&mid: {&left: null, &right: null}}));
    let got = shown(&left, "subtree_as_ids").await;
    assert_eq!(got["subtree"], json!(null));
    assert!(got.as_object().unwrap().contains_key("subtree"));
    let got = shown("default", "parents_as_ids&subtree_as_ids").await;
    assert_eq!(got["parents"], json!(null));
    assert_eq!(got["subtree"].as_object().unwrap().len(), 4);
    let got = shown(&left, "parents_as_ids=0").await;
    assert!(got.get("parents").is_none());

    // Lists contain the projects on which the caller has a role, also an inherited one.
    let got = shown(&left, "parents_as_list").await;
    assert_eq!(got["parents"], json!([]));
    let roles = s.w.roles(&s.admin).await;
    let reader = &roles["reader"];
    for line in [
        format!("projects/{top}/users/{ann}/roles/{reader}"),
        format!("OS-INHERIT/projects/{top}/users/{ann}/roles/{reader}/inherited_to_projects"),
    ] {
        s.call(&format!("PUT /v3/{line}"), 204).await;
    }
    let token = s.w.login("ann", "p", project("top")).await.token();
    let own = async |id: &str, query: &str, status: u16| {
        let line = line(id, query);
        let got = s.w.call(&line, &token, Value::Null, status).await;
        got["project"].clone()
    };
    let nested = |list: &Value| {
        let list = list.as_array().unwrap().iter();
        let mut ids: Vec<_> = list.map(|o| text(&o["project"]["id"])).collect();
        ids.sort();
        ids
    };
    let got = own(&top, "parents_as_list&subtree_as_list", 200).await;
    assert_eq!(got["parents"], json!([]));
    let mut all = vec![left.clone(), mid.clone(), right.clone()];
    all.sort();
    assert_eq!(nested(&got["subtree"]), all);
    own(&mid, "subtree_as_ids", 403).await;
    let token = s.w.login("ann", "p", project("left")).await.token();
    let got =
        s.w.call(&line(&left, "parents_as_list"), &token, Value::Null, 200)
            .await;
    let parents = &got["project"]["parents"];
    assert_eq!(parents[0]["project"]["id"], mid.as_str());
    assert_eq!(parents[1]["project"]["id"], top.as_str());
    assert_eq!(parents.as_array().unwrap().len(), 2);

    for of in ["parents", "subtree"] {
        let query = format!("{of}_as_list&{of}_as_ids");
        let got = s.call(&line(&left, &query), 400).await;
        let want =
            format!("Cannot use {of}_as_list and {of}_as_ids query params at the same time.");
        assert_eq!(got["error"]["message"], want.as_str());
    }
}
