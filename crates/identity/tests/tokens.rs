//! Tokens and what ends them: revocation, disabled projects, application
//! credentials.

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

/// The body of an authentication by a token.
fn by_token(token: &str) -> Value {
    json!({"methods": ["token"], "token": {"id": token}})
}

/// A user of the default domain with this role on a project, who logs in with
/// the password "secret".
async fn new_user(w: &Fixture, admin: &str, name: &str, role: &str, project_id: &str) -> String {
    let body =
        json!({"user": {"name": name, "password": "secret", "default_project_id": project_id}});
    let made = w.call("POST /v3/users", admin, body, 201).await;
    let id = text(&made["user"]["id"]);
    let role = role_id(w, admin, role).await;
    let line = format!("PUT /v3/projects/{project_id}/users/{id}/roles/{role}");
    w.call(&line, admin, Value::Null, 204).await;
    id
}

async fn role_id(w: &Fixture, admin: &str, name: &str) -> String {
    let line = format!("GET /v3/roles?name={name}");
    let found = w.call(&line, admin, Value::Null, 200).await;
    text(&found["roles"][0]["id"])
}

async fn new_project(w: &Fixture, admin: &str, name: &str, parent: Option<&str>) -> String {
    let body = json!({"project": {"name": name, "domain_id": "default", "parent_id": parent}});
    let made = w.call("POST /v3/projects", admin, body, 201).await;
    text(&made["project"]["id"])
}

async fn enable(w: &Fixture, admin: &str, project_id: &str, enabled: bool) {
    let line = format!("PATCH /v3/projects/{project_id}");
    let body = json!({"project": {"enabled": enabled}});
    w.call(&line, admin, body, 200).await;
}

#[tokio::test]
async fn a_stolen_token_leads_to_nothing_after_a_password_change_on_another_server() {
    let first = Fixture::start().await;
    let second = first.second_server().await;
    let got = first
        .login("demo", &first.demo_password, project("demo"))
        .await;
    let (stolen, user) = (got.token(), text(&got.body["token"]["user"]["id"]));
    // Now the second server has it in its cache.
    second
        .call("GET /v3/auth/projects", &stolen, Value::Null, 200)
        .await;
    let change = json!({"user": {"original_password": first.demo_password, "password": "new"}});
    let line = format!("POST /v3/users/{user}/password");
    first.call(&line, "", change, 204).await;
    let got = second.auth(by_token(&stolen), project("demo")).await;
    assert_eq!(got.status, 401, "{}", got.body);
    // Nor an application credential, which would outlive the password.
    let line = format!("POST /v3/users/{user}/application_credentials");
    let body = json!({"application_credential": {"name": "ci"}});
    second.call(&line, &stolen, body, 401).await;
}

#[tokio::test]
async fn revoking_a_token_revokes_those_issued_from_it() {
    let w = Fixture::start().await;
    let login = async || {
        let got = w.login("demo", &w.demo_password, json!("unscoped")).await;
        got.token()
    };
    let from = async |token: &str, scope: Value| w.auth(by_token(token), scope).await.token();
    let delete = async |token: &str| {
        let got = w.send("DELETE /v3/auth/tokens", token, token, "").await;
        assert_eq!(got.status, 204);
    };
    let expect = async |tokens: &[&String], status: u16| {
        for token in tokens {
            w.call("GET /v3/auth/projects", token, Value::Null, status)
                .await;
        }
    };
    let (first, other) = (login().await, login().await);
    let second = from(&first, project("demo")).await;
    let third = from(&second, project("demo")).await;
    let unscoped = from(&first, json!("unscoped")).await;
    let others = from(&other, project("demo")).await;
    // Of a token that was issued from another one, those for the same project end.
    delete(&second).await;
    expect(&[&second, &third], 401).await;
    expect(&[&first, &unscoped, &other, &others], 200).await;
    // The first token of a chain ends with all of it, and a token without a project, too.
    delete(&first).await;
    expect(&[&first, &unscoped], 401).await;
    // A project can be used again in the same second.
    delete(&others).await;
    let others = from(&other, project("demo")).await;
    expect(&[&others], 200).await;
    let again = from(&other, json!("unscoped")).await;
    delete(&again).await;
    expect(&[&other, &others, &again], 401).await;
}

#[tokio::test]
async fn an_unscoped_token_is_used_for_one_project_after_another() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let one = new_project(&w, &admin, "one", None).await;
    let user = new_user(&w, &admin, "ann", "member", &one).await;
    let two = new_project(&w, &admin, "two", None).await;
    let member = role_id(&w, &admin, "member").await;
    for target in [format!("projects/{two}"), "domains/default".to_owned()] {
        let line = format!("PUT /v3/{target}/users/{user}/roles/{member}");
        w.call(&line, &admin, Value::Null, 204).await;
    }
    let source = w.login("ann", "secret", json!("unscoped")).await;
    let (ends, about) = (
        source.body["token"]["expires_at"].clone(),
        source.body["token"]["user"].clone(),
    );
    let source = source.token();
    for scope in [
        project("one"),
        project("two"),
        json!({"domain": {"id": "default"}}),
    ] {
        let got = w.auth(by_token(&source), scope.clone()).await;
        assert_eq!(got.body["token"]["expires_at"], ends);
        assert_eq!(got.body["token"]["user"], about);
        assert_eq!(got.body["token"]["methods"], json!(["password", "token"]));
        let token = got.token();
        // A token with a scope can be exchanged for one with another.
        let next = w.auth(by_token(&token), project("one")).await.token();
        w.call("GET /v3/auth/projects", &next, Value::Null, 200)
            .await;
        w.send("DELETE /v3/auth/tokens", &token, &token, "").await;
        let got = w.auth(by_token(&token), project("two")).await;
        assert_eq!(got.status, 401, "{}", got.body);
    }
    // Not for what the user may not do.
    for scope in [project("admin"), json!({"system": {"all": true}})] {
        assert_eq!(w.auth(by_token(&source), scope).await.status, 401);
    }
    let system = w
        .login("admin", &w.admin_password, json!({"system": {"all": true}}))
        .await
        .token();
    for scope in [project("admin"), json!({"domain": {"id": "default"}})] {
        assert_eq!(w.auth(by_token(&system), scope).await.status, 403);
    }
}

#[tokio::test]
async fn services_and_system_readers_validate_tokens_of_others_and_revoke_none() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let demo = w
        .login("demo", &w.demo_password, project("demo"))
        .await
        .token();
    let place = new_project(&w, &admin, "place", None).await;
    new_user(&w, &admin, "magnum", "service", &place).await;
    let reader = new_user(&w, &admin, "auditor", "reader", &place).await;
    let line = format!(
        "PUT /v3/system/users/{reader}/roles/{}",
        role_id(&w, &admin, "reader").await
    );
    w.call(&line, &admin, Value::Null, 204).await;
    let service = w.login("magnum", "secret", project("place")).await.token();
    let everywhere = json!({"system": {"all": true}});
    let system = w.login("auditor", "secret", everywhere).await.token();
    let plain = w.login("auditor", "secret", project("place")).await.token();
    for (token, shown) in [(&service, 200), (&system, 200), (&plain, 403)] {
        let got = w.send("GET /v3/auth/tokens", token, &demo, "").await;
        assert_eq!(got.status, shown, "{}", got.body);
        let got = w.send("DELETE /v3/auth/tokens", token, &demo, "").await;
        assert_eq!(got.status, 403, "{}", got.body);
    }
    w.call("GET /v3/auth/projects", &demo, Value::Null, 200)
        .await;
}

#[tokio::test]
async fn padding_does_not_make_another_token() {
    let w = Fixture::start().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let token = got.token();
    for end in ["=", "=="] {
        let padded = format!("{token}{end}");
        w.call("GET /v3/auth/projects", &padded, Value::Null, 200)
            .await;
    }
    w.send("DELETE /v3/auth/tokens", &token, &token, "").await;
    for end in ["", "=", "=="] {
        let padded = format!("{token}{end}");
        w.call("GET /v3/auth/projects", &padded, Value::Null, 401)
            .await;
    }
}

#[tokio::test]
async fn a_disabled_default_project_gives_an_unscoped_token() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let home = new_project(&w, &admin, "home", None).await;
    new_user(&w, &admin, "ann", "member", &home).await;
    let got = w.login("ann", "secret", Value::Null).await;
    assert_eq!(got.body["token"]["project"]["name"], "home");
    enable(&w, &admin, &home, false).await;
    let got = w.login("ann", "secret", Value::Null).await;
    let token = got.token();
    assert!(got.body["token"].get("project").is_none(), "{}", got.body);
    // A catalogue needs a scope.
    w.call("GET /v3/auth/catalog", &token, Value::Null, 403)
        .await;
    w.call("GET /v3/auth/catalog", &admin, Value::Null, 200)
        .await;
}

#[tokio::test]
async fn a_project_below_a_disabled_one_gives_no_token() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let top = new_project(&w, &admin, "top", None).await;
    let middle = new_project(&w, &admin, "middle", Some(&top)).await;
    let low = new_project(&w, &admin, "low", Some(&middle)).await;
    new_user(&w, &admin, "ann", "member", &low).await;
    let token = w.login("ann", "secret", project("low")).await.token();
    enable(&w, &admin, &low, false).await;
    enable(&w, &admin, &middle, false).await;
    let line = format!("PATCH /v3/projects/{low}");
    let body = json!({"project": {"enabled": true}});
    w.call(&line, &admin, body, 403).await;
    enable(&w, &admin, &middle, true).await;
    enable(&w, &admin, &low, true).await;
    // Two changes at the same time can leave this behind.
    w.set_enabled(&top, false).await;
    let second = w.second_server().await;
    second
        .call("GET /v3/auth/projects", &token, Value::Null, 401)
        .await;
    let got = w.login("ann", "secret", project("low")).await;
    assert_eq!(got.status, 401, "{}", got.body);
    let got = w.login("ann", "secret", Value::Null).await;
    assert!(got.body["token"].get("project").is_none(), "{}", got.body);
    w.set_enabled(&top, true).await;
    let got = w.login("ann", "secret", project("low")).await;
    assert_eq!(got.status, 201, "{}", got.body);
}

#[tokio::test]
async fn a_token_says_by_which_application_credential_it_was_issued() {
    let w = Fixture::start().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let (token, user) = (got.token(), text(&got.body["token"]["user"]["id"]));
    let line = format!("POST /v3/users/{user}/application_credentials");
    let body = json!({"application_credential": {"name": "ci"}});
    let made = w.call(&line, &token, body, 201).await;
    let made = &made["application_credential"];
    let proof = json!({"methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": made["secret"]}});
    let got = w.auth(proof, Value::Null).await;
    let block = json!({"id": made["id"], "name": "ci", "restricted": true});
    assert_eq!(got.body["token"]["application_credential"], block);
    let token = got.token();
    let shown = w.send("GET /v3/auth/tokens", &token, &token, "").await;
    assert_eq!(shown.body["token"]["application_credential"], block);
}

#[tokio::test]
async fn a_token_can_be_revoked_without_those_issued_from_it() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let first = w.login("admin", &w.admin_password, json!("unscoped")).await;
    let first = first.token();
    let source = json!({"methods": ["token"], "token": {"id": first}});
    let second = w.auth(source, project("admin")).await.token();
    let one = "DELETE /v3/auth/tokens?cascade=false";
    assert_eq!(w.send(one, &admin, &first, "").await.status, 204);
    let ask = |token: String| {
        let admin = admin.clone();
        let w = &w;
        async move {
            w.send("GET /v3/auth/tokens", &admin, &token, "")
                .await
                .status
        }
    };
    assert_eq!(ask(first).await, 404);
    assert_eq!(ask(second.clone()).await, 200);
    let all = "DELETE /v3/auth/tokens";
    assert_eq!(w.send(all, &admin, &second, "").await.status, 204);
    assert_eq!(ask(second).await, 404);
}

#[tokio::test]
async fn an_administrator_who_lost_the_role_at_another_server_changes_nothing() {
    let first = Fixture::start().await;
    let admin = first.admin().await;
    let project_id = new_project(&first, &admin, "p", None).await;
    let user = new_user(&first, &admin, "chief", "admin", &project_id).await;
    let second = first.second_server().await;
    let chief = first.login("chief", "secret", project("p")).await.token();
    let role = role_id(&first, &admin, "admin").await;
    let victim = new_user(&first, &admin, "victim", "member", &project_id).await;
    let grant = format!("/v3/projects/{project_id}/users/{user}/roles/{role}");
    // Now the second server has the token in its cache.
    second.call("GET /v3/users", &chief, Value::Null, 200).await;
    first
        .call(&format!("DELETE {grant}"), &admin, Value::Null, 204)
        .await;
    let named = |noun: &str| json!({noun: {"name": "n"}});
    let system = format!("/v3/system/users/{user}/roles/{role}");
    for (line, body) in [
        (format!("PUT {system}"), Value::Null),
        (format!("PUT {grant}"), Value::Null),
        (format!("DELETE {grant}"), Value::Null),
        ("POST /v3/users".to_owned(), named("user")),
        ("POST /v3/projects".to_owned(), named("project")),
        ("POST /v3/domains".to_owned(), named("domain")),
        ("POST /v3/roles".to_owned(), named("role")),
        (
            format!("PATCH /v3/users/{victim}"),
            json!({"user": {"password": "q"}}),
        ),
        (format!("PATCH /v3/projects/{project_id}"), named("project")),
        ("PATCH /v3/domains/default".to_owned(), named("domain")),
        (format!("DELETE /v3/users/{victim}"), Value::Null),
        (format!("DELETE /v3/projects/{project_id}"), Value::Null),
        (
            format!("POST /v3/users/{user}/application_credentials"),
            named("application_credential"),
        ),
    ] {
        second.call(&line, &chief, body, 401).await;
    }
}

#[tokio::test]
async fn no_token_is_revived_when_a_project_or_domain_is_enabled_again() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let body = json!({"domain": {"name": "d"}});
    let made = w.call("POST /v3/domains", &admin, body, 201).await;
    let domain = text(&made["domain"]["id"]);
    let body = json!({"project": {"name": "p", "domain_id": domain}});
    let made = w.call("POST /v3/projects", &admin, body, 201).await;
    let project_id = text(&made["project"]["id"]);
    new_user(&w, &admin, "ann", "member", &project_id).await;
    let scope = json!({"project": {"id": project_id}});
    let mut token = w.login("ann", "secret", scope.clone()).await.token();
    let unscoped = w.login("ann", "secret", json!("unscoped")).await.token();
    for (path, noun) in [
        (format!("/v3/projects/{project_id}"), "project"),
        (format!("/v3/domains/{domain}"), "domain"),
    ] {
        w.call("GET /v3/auth/projects", &token, Value::Null, 200)
            .await;
        for enabled in [false, true] {
            let body = json!({noun: {"enabled": enabled}});
            w.call(&format!("PATCH {path}"), &admin, body, 200).await;
            w.call("GET /v3/auth/projects", &token, Value::Null, 401)
                .await;
        }
        let got = w.auth(by_token(&token), scope.clone()).await;
        assert_eq!(got.status, 401, "{noun}");
        // Tokens with other scopes stay valid, and new ones are valid at once.
        w.call("GET /v3/auth/projects", &unscoped, Value::Null, 200)
            .await;
        token = w.login("ann", "secret", scope.clone()).await.token();
    }
    w.call("GET /v3/auth/projects", &token, Value::Null, 200)
        .await;
}
