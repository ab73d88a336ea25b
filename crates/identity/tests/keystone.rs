//! Identity over HTTP: a real listener and the bodies that clients send.

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

#[tokio::test]
async fn scopes_and_bodies_of_tokens() {
    let w = Fixture::start().await;
    let secret = w.admin_password.clone();
    let got = w.login("admin", &secret, project("admin")).await;
    let token = &got.body["token"];
    assert_eq!(token["project"]["name"], "admin");
    assert_eq!(token["methods"], json!(["password"]));
    let roles: Vec<_> = token["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| text(&r["name"]))
        .collect();
    for role in ["admin", "manager", "member", "reader"] {
        assert!(roles.contains(&role.to_owned()), "{roles:?}");
    }
    assert!(!roles.contains(&"service".to_owned()));
    assert_eq!(token["catalog"].as_array().unwrap().len(), 2);
    assert_eq!(token["catalog"][0]["type"], "container-infra");
    let url = text(&token["catalog"][0]["endpoints"][0]["url"]);
    assert_eq!(url, format!("http://{}/container-infra/v1", w.at));
    let domain = w
        .login("admin", &secret, json!({"domain": {"id": "default"}}))
        .await;
    assert_eq!(domain.body["token"]["domain"]["name"], "Default");
    let system = w
        .login("admin", &secret, json!({"system": {"all": true}}))
        .await;
    assert_eq!(system.body["token"]["system"], json!({"all": true}));
    let unscoped = w.login("admin", &secret, json!("unscoped")).await;
    assert!(unscoped.body["token"].get("roles").is_none());

    // Exchanging a token keeps its expiry and its audit chain.
    let source = json!({"methods": ["token"], "token": {"id": unscoped.token()}});
    let again = w.auth(source, project("admin")).await;
    assert_eq!(
        again.body["token"]["expires_at"],
        unscoped.body["token"]["expires_at"]
    );
    assert_eq!(
        again.body["token"]["audit_ids"][1],
        unscoped.body["token"]["audit_ids"][0]
    );
}

#[tokio::test]
async fn refusals_are_keystones() {
    let w = Fixture::start().await;
    let wrong = w.login("admin", "wrong", project("admin")).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.headers.contains("www-authenticate: Keystone uri="));
    let body = json!({"error": {"code": 401, "title": "Unauthorized",
        "message": "The request you have made requires authentication."}});
    assert_eq!(wrong.body, body);
    for (user, secret, scope) in [
        ("nobody", "x", project("admin")),
        ("demo", w.demo_password.as_str(), project("admin")),
        ("demo", w.demo_password.as_str(), project("nowhere")),
        (
            "demo",
            w.demo_password.as_str(),
            json!({"system": {"all": true}}),
        ),
    ] {
        assert_eq!(w.login(user, secret, scope).await.body, body);
    }
    assert_eq!(
        w.send("POST /v3/auth/tokens", "", "", "{").await.status,
        400
    );
    assert_eq!(
        w.send("POST /v3/auth/tokens", "", "", "{}").await.status,
        400
    );

    // No token, an invalid token, a token with keys of another cloud.
    let other = Fixture::start().await;
    let foreign = other.admin().await;
    for token in ["", "nonsense", foreign.as_str()] {
        w.call("GET /v3/users", token, Value::Null, 401).await;
    }
    let admin = w.admin().await;
    assert_eq!(
        w.send("GET /v3/auth/tokens", &admin, &foreign, "")
            .await
            .status,
        404
    );
    w.call("GET /v3/nowhere", &admin, Value::Null, 404).await;
    let large = format!("{{\"user\": {{\"name\": \"{}\"}}}}", "x".repeat(120_000));
    assert_eq!(
        w.send("POST /v3/users", &admin, "", &large).await.status,
        413
    );
}

#[tokio::test]
async fn a_member_reads_the_own_and_writes_nothing() {
    let w = Fixture::start().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let (demo, me) = (got.token(), text(&got.body["token"]["user"]["id"]));
    let mine = text(&got.body["token"]["project"]["id"]);
    let body = json!({"project": {"name": "p"}});
    let denied = w.call("POST /v3/projects", &demo, body, 403).await;
    let message =
        "You are not authorized to perform the requested action: identity:create_project.";
    assert_eq!(denied["error"]["message"], message);
    let admin = w.admin().await;
    let roles = w
        .call("GET /v3/roles?name=admin", &admin, Value::Null, 200)
        .await;
    let role = text(&roles["roles"][0]["id"]);
    for (line, body) in [
        ("GET /v3/users".to_owned(), Value::Null),
        ("GET /v3/projects".to_owned(), Value::Null),
        ("GET /v3/roles".to_owned(), Value::Null),
        ("GET /v3/services".to_owned(), Value::Null),
        ("GET /v3/role_assignments".to_owned(), Value::Null),
        ("POST /v3/users".to_owned(), json!({"user": {"name": "u"}})),
        (
            "POST /v3/domains".to_owned(),
            json!({"domain": {"name": "d"}}),
        ),
        ("POST /v3/roles".to_owned(), json!({"role": {"name": "r"}})),
        (
            format!("PATCH /v3/users/{me}"),
            json!({"user": {"enabled": true}}),
        ),
        (format!("DELETE /v3/projects/{mine}"), Value::Null),
        (
            format!("PUT /v3/projects/{mine}/users/{me}/roles/{role}"),
            Value::Null,
        ),
        (
            format!("PUT /v3/system/users/{me}/roles/{role}"),
            Value::Null,
        ),
        ("GET /v3/users/unknown".to_owned(), Value::Null),
    ] {
        w.call(&line, &demo, body, 403).await;
    }
    w.call(&format!("GET /v3/users/{me}"), &demo, Value::Null, 200)
        .await;
    w.call(&format!("GET /v3/projects/{mine}"), &demo, Value::Null, 200)
        .await;
    let own = w
        .call("GET /v3/auth/projects", &demo, Value::Null, 200)
        .await;
    assert_eq!(own["projects"][0]["id"], mine.as_str());
    let domains = w.call("GET /v3/domains", &demo, Value::Null, 200).await;
    assert_eq!(domains["domains"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_user_logs_in_until_the_role_is_taken_away() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let p = w
        .call(
            "POST /v3/projects",
            &admin,
            json!({"project": {"name": "web", "domain_id": "default"}}),
            201,
        )
        .await;
    assert_eq!(p["project"]["parent_id"], "default");
    let p = text(&p["project"]["id"]);
    w.call(
        "POST /v3/projects",
        &admin,
        json!({"project": {"name": "web"}}),
        409,
    )
    .await;
    let u = w
        .call(
            "POST /v3/users",
            &admin,
            json!({"user": {"name": "ann", "password": "s3", "email": "a@b"}}),
            201,
        )
        .await;
    assert!(u["user"].get("password").is_none(), "{u}");
    let u = text(&u["user"]["id"]);
    assert_eq!(w.login("ann", "s3", project("web")).await.status, 401);
    let roles = w
        .call("GET /v3/roles?name=member", &admin, Value::Null, 200)
        .await;
    let r = text(&roles["roles"][0]["id"]);
    let grant = format!("/v3/projects/{p}/users/{u}/roles/{r}");
    w.call(&format!("GET {grant}"), &admin, Value::Null, 404)
        .await;
    for _ in 0..2 {
        w.call(&format!("PUT {grant}"), &admin, Value::Null, 204)
            .await;
    }
    w.call(&format!("HEAD {grant}"), &admin, Value::Null, 204)
        .await;
    let ann = w.login("ann", "s3", project("web")).await.token();
    let line = format!("GET /v3/role_assignments?user.id={u}&include_names&effective");
    let list = w.call(&line, &admin, Value::Null, 200).await;
    let names: Vec<_> = list["role_assignments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| text(&a["role"]["name"]))
        .collect();
    assert_eq!(names, ["member", "reader"]);
    assert_eq!(
        list["role_assignments"][0]["scope"]["project"]["domain"]["name"],
        "Default"
    );

    // Revoking the role invalidates the issued token.
    w.call(&format!("GET /v3/users/{u}"), &ann, Value::Null, 200)
        .await;
    w.call(&format!("DELETE {grant}"), &admin, Value::Null, 204)
        .await;
    w.call(&format!("GET /v3/users/{u}"), &ann, Value::Null, 401)
        .await;
    w.call(&format!("DELETE {grant}"), &admin, Value::Null, 404)
        .await;
    w.call(&format!("DELETE /v3/users/{u}"), &admin, Value::Null, 204)
        .await;
    w.call(&format!("DELETE /v3/users/{u}"), &admin, Value::Null, 404)
        .await;
    w.call(
        &format!("DELETE /v3/projects/{p}"),
        &admin,
        Value::Null,
        204,
    )
    .await;
}

#[tokio::test]
async fn revoked_tokens_and_changed_passwords() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let (demo, me) = (got.token(), text(&got.body["token"]["user"]["id"]));
    assert_eq!(
        w.send("GET /v3/auth/tokens", &demo, &admin, "")
            .await
            .status,
        403
    );
    assert_eq!(
        w.send("HEAD /v3/auth/tokens", &admin, &demo, "")
            .await
            .status,
        200
    );
    assert_eq!(
        w.send("DELETE /v3/auth/tokens", &admin, &demo, "")
            .await
            .status,
        204
    );
    w.call("GET /v3/auth/projects", &demo, Value::Null, 401)
        .await;
    assert_eq!(
        w.send("GET /v3/auth/tokens", &admin, &demo, "")
            .await
            .status,
        404
    );

    let old = w
        .login("demo", &w.demo_password, project("demo"))
        .await
        .token();
    let line = format!("POST /v3/users/{me}/password");
    let change =
        |from: &str, to: &str| json!({"user": {"original_password": from, "password": to}});
    w.call(&line, "", change("wrong", "new"), 401).await;
    w.call(&line, "", change(&w.demo_password, "new"), 204)
        .await;
    // A token of the same second as the change is invalid too, and one issued
    // after the change in that second is valid.
    w.call("GET /v3/auth/projects", &old, Value::Null, 401)
        .await;
    assert_eq!(
        w.login("demo", &w.demo_password, project("demo"))
            .await
            .status,
        401
    );
    let new = w.login("demo", "new", project("demo")).await.token();
    w.call("GET /v3/auth/projects", &new, Value::Null, 200)
        .await;

    let line = format!("PATCH /v3/users/{me}");
    w.call(&line, &admin, json!({"user": {"enabled": false}}), 200)
        .await;
    w.call("GET /v3/auth/projects", &new, Value::Null, 401)
        .await;
    // Enabling the user again does not restore old tokens.
    w.call(&line, &admin, json!({"user": {"enabled": true}}), 200)
        .await;
    w.call("GET /v3/auth/projects", &new, Value::Null, 401)
        .await;
}

#[tokio::test]
async fn application_credentials_carry_no_more_than_they_were_given() {
    let w = Fixture::start().await;
    let got = w.login("demo", &w.demo_password, project("demo")).await;
    let (demo, me) = (got.token(), text(&got.body["token"]["user"]["id"]));
    let path = format!("/v3/users/{me}/application_credentials");
    let make = |v: Value| json!({"application_credential": v});
    let made = w
        .call(
            &format!("POST {path}"),
            &demo,
            make(json!({"name": "ci", "roles": [{"name": "reader"}], "access_rules": []})),
            201,
        )
        .await;
    let made = &made["application_credential"];
    let (id, secret) = (text(&made["id"]), text(&made["secret"]));
    w.call(
        &format!("POST {path}"),
        &demo,
        make(json!({"name": "ci"})),
        409,
    )
    .await;
    w.call(
        &format!("POST {path}"),
        &demo,
        make(json!({"name": "x", "roles": [{"name": "admin"}]})),
        400,
    )
    .await;
    w.call(
        &format!("POST {path}"),
        &w.admin().await,
        make(json!({"name": "x"})),
        403,
    )
    .await;

    let ruled =
        json!({"name": "r", "access_rules": [{"path": "x", "method": "GET", "service": "x"}]});
    w.call(&format!("POST {path}"), &demo, make(ruled), 400)
        .await;

    let by = |secret: &str| json!({"methods": ["application_credential"], "application_credential": {"id": id, "secret": secret}});
    assert_eq!(w.auth(by("wrong"), Value::Null).await.status, 401);
    let got = w.auth(by(&secret), Value::Null).await;
    assert_eq!(got.body["token"]["roles"].as_array().unwrap().len(), 1);
    assert_eq!(got.body["token"]["project"]["name"], "demo");
    let token = got.token();
    // The credential cannot create other credentials or tokens.
    w.call(
        &format!("POST {path}"),
        &token,
        make(json!({"name": "y"})),
        403,
    )
    .await;
    w.call(&format!("GET {path}"), &token, Value::Null, 403)
        .await;
    let source = json!({"methods": ["token"], "token": {"id": token}});
    assert_eq!(w.auth(source, project("demo")).await.status, 403);

    let shown = w
        .call(&format!("GET {path}/{id}"), &demo, Value::Null, 200)
        .await;
    assert!(shown["application_credential"].get("secret").is_none());
    w.call(&format!("DELETE {path}/{id}"), &demo, Value::Null, 204)
        .await;
    w.call("GET /v3/auth/projects", &token, Value::Null, 401)
        .await;
    assert_eq!(w.auth(by(&secret), Value::Null).await.status, 401);
}

#[tokio::test]
async fn domains_roles_and_lists() {
    let w = Fixture::start().await;
    let a = w.admin().await;
    let d = w
        .call(
            "POST /v3/domains",
            &a,
            json!({"domain": {"name": "acme"}}),
            201,
        )
        .await;
    let d = text(&d["domain"]["id"]);
    let inside = json!({"project": {"name": "p", "domain_id": d}});
    let p = text(&w.call("POST /v3/projects", &a, inside, 201).await["project"]["id"]);
    let child = json!({"project": {"name": "c", "domain_id": d, "parent_id": p}});
    let c = text(&w.call("POST /v3/projects", &a, child, 201).await["project"]["id"]);
    let stray = json!({"project": {"name": "s", "domain_id": "default", "parent_id": p}});
    w.call("POST /v3/projects", &a, stray, 400).await;
    w.call(&format!("DELETE /v3/projects/{p}"), &a, Value::Null, 403)
        .await;
    w.call(
        &format!("PATCH /v3/projects/{p}"),
        &a,
        json!({"project": {"enabled": false}}),
        403,
    )
    .await;
    w.call(&format!("DELETE /v3/domains/{d}"), &a, Value::Null, 403)
        .await;
    let off = json!({"domain": {"enabled": false}});
    w.call("PATCH /v3/domains/default", &a, off.clone(), 403)
        .await;
    w.call(&format!("PATCH /v3/domains/{d}"), &a, off, 200)
        .await;
    w.call(&format!("DELETE /v3/domains/{d}"), &a, Value::Null, 204)
        .await;
    w.call(&format!("GET /v3/projects/{c}"), &a, Value::Null, 404)
        .await;

    let roles = w.call("GET /v3/roles", &a, Value::Null, 200).await;
    for role in roles["roles"].as_array().unwrap() {
        w.call(
            &format!("DELETE /v3/roles/{}", text(&role["id"])),
            &a,
            Value::Null,
            403,
        )
        .await;
    }
    let r = w
        .call(
            "POST /v3/roles",
            &a,
            json!({"role": {"name": "auditor"}}),
            201,
        )
        .await;
    let r = text(&r["role"]["id"]);
    w.call(
        &format!("PATCH /v3/roles/{r}"),
        &a,
        json!({"role": {"name": "judge"}}),
        200,
    )
    .await;
    w.call(&format!("DELETE /v3/roles/{r}"), &a, Value::Null, 204)
        .await;

    let first = w.call("GET /v3/users?limit=1", &a, Value::Null, 200).await;
    assert_eq!(
        (&first["truncated"], first["users"][0]["name"].as_str()),
        (&json!(true), Some("admin"))
    );
    assert!(text(&first["links"]["next"]).contains("marker="));
    let some = w
        .call("GET /v3/users?name__startswith=de", &a, Value::Null, 200)
        .await;
    assert_eq!(some["users"][0]["name"], "demo");
    w.call("GET /v3/users?limit=x", &a, Value::Null, 400).await;
    w.call("GET /v3/users?marker=zz", &a, Value::Null, 404)
        .await;
    w.call("GET /v3/users/demo", &a, Value::Null, 404).await;
    for bad in [
        json!({}),
        json!({"user": []}),
        json!({"user": {"name": " "}}),
        json!({"user": {"name": 1}}),
        json!({"user": {"name": "n", "enabled": "yes"}}),
    ] {
        w.call("POST /v3/users", &a, bad, 400).await;
    }
    let endpoints = w
        .call("GET /v3/endpoints?interface=public", &a, Value::Null, 200)
        .await;
    assert_eq!(endpoints["endpoints"].as_array().unwrap().len(), 2);
    w.call("GET /v3/regions/RegionOne", &a, Value::Null, 200)
        .await;
    w.call("GET /v3/groups", &a, Value::Null, 200).await;
}

#[tokio::test]
async fn control_characters_are_refused_and_tags_are_a_filter() {
    let w = Fixture::start().await;
    let admin = w.admin().await;
    for path in ["/v3/users/a%00b", "/v3/users?name=%00", "/v3/projects/%0a"] {
        w.call(&format!("GET {path}"), &admin, Value::Null, 400)
            .await;
    }
    let new = json!({"user": {"name": "a\0b"}});
    let got = w.call("POST /v3/users", &admin, new, 400).await;
    assert_eq!(
        got["error"]["message"],
        "name: the character NUL is not allowed; remove it."
    );
    // Without a token, too.
    assert_eq!(w.login("a\0b", "x", Value::Null).await.status, 400);
    let change = json!({"user": {"original_password": "a", "password": "b"}});
    w.call("POST /v3/users/%00/password", "", change, 400).await;

    let count = async |query: &str| {
        let line = format!("GET /v3/projects?{query}");
        let got = w.call(&line, &admin, Value::Null, 200).await;
        got["projects"].as_array().unwrap().len()
    };
    let all = count("").await;
    assert!(all > 0);
    assert_eq!(count("tags=x").await, 0);
    assert_eq!(count("tags-any=x,y").await, 0);
    assert_eq!(count("not-tags=x").await, all);
    assert_eq!(count("not-tags-any=x,y").await, all);
}
