//! Groups: their users have their roles, until the user, the group or the role is gone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::setup::Setup;
use fixture::{project, text};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|o| text(&o["id"]))
        .collect()
}

#[tokio::test]
async fn a_group_is_created_listed_changed_and_deleted() {
    let s = Setup::start().await;
    let body = json!({"group": {"name": "ops", "description": null, "color": "red"}});
    let made = s.w.call("POST /v3/groups", &s.admin, body, 201).await;
    let group = &made["group"];
    let id = text(&group["id"]);
    let own = format!("http://{}/identity/v3/groups/{id}", s.w.at);
    let want = json!({"id": id, "name": "ops", "domain_id": "default", "description": "",
        "color": "red", "links": {"self": own}});
    assert_eq!(*group, want);
    assert_eq!(s.call(&format!("GET /v3/groups/{id}"), 200).await, made);

    let post = async |fields: Value, status: u16| {
        let body = json!({"group": fields});
        let got = s.w.call("POST /v3/groups", &s.admin, body, status).await;
        text(&got["error"]["message"])
    };
    assert_eq!(
        post(json!({"name": "Ops"}), 409).await,
        "Conflict occurred attempting to store group - Duplicate entry found with name Ops at \
         domain ID default."
    );
    assert_eq!(
        post(json!({"name": "x", "domain_id": "no"}), 404).await,
        "Could not find domain: no."
    );
    assert_eq!(post(json!({}), 400).await, "'name' is a required property");
    post(json!({"name": " "}), 400).await;
    post(json!({"name": "x".repeat(65)}), 400).await;
    post(json!({"name": "x", "description": 1}), 400).await;

    // The same name is free in another domain.
    let domain = s.made("domain", json!({"name": "acme"})).await;
    let other = s
        .made("group", json!({"name": "ops", "domain_id": domain}))
        .await;
    for (query, want) in [
        (String::new(), vec![&id, &other]),
        ("?name=ops".to_owned(), vec![&id, &other]),
        (format!("?name=ops&domain_id={domain}"), vec![&other]),
        ("?domain_id=default".to_owned(), vec![&id]),
        (
            "?name__startswith=o&domain_id=default".to_owned(),
            vec![&id],
        ),
        (
            "?name__icontains=PS&domain_id=default".to_owned(),
            vec![&id],
        ),
        ("?name=dev".to_owned(), vec![]),
    ] {
        let list = s.call(&format!("GET /v3/groups{query}"), 200).await;
        let (mut got, mut want) = (ids(&list["groups"]), want);
        got.sort();
        want.sort();
        assert_eq!(got.iter().collect::<Vec<_>>(), want, "{query}");
    }

    let patch = async |fields: Value, status: u16| {
        let line = format!("PATCH /v3/groups/{id}");
        let body = json!({"group": fields});
        s.w.call(&line, &s.admin, body, status).await
    };
    let changed = patch(
        json!({"name": "OPS", "description": "d", "color": "blue"}),
        200,
    )
    .await;
    let want = (json!("OPS"), json!("d"), json!("blue"));
    let group = &changed["group"];
    let got = [&group["name"], &group["description"], &group["color"]];
    assert_eq!(got, [&want.0, &want.1, &want.2]);
    patch(json!({"domain_id": domain}), 400).await;
    patch(json!({"id": "other"}), 400).await;
    s.made("group", json!({"name": "dev"})).await;
    patch(json!({"name": "DEV"}), 409).await;

    s.call(&format!("DELETE /v3/groups/{id}"), 204).await;
    for line in ["GET", "DELETE"] {
        let got = s.call(&format!("{line} /v3/groups/{id}"), 404).await;
        let want = format!("Could not find group: {id}.");
        assert_eq!(got["error"]["message"], want.as_str());
    }
}

#[tokio::test]
async fn users_join_and_leave() {
    let s = Setup::start().await;
    let (ann, bob) = (s.user("ann").await, s.user("bob").await);
    let group = s.made("group", json!({"name": "ops"})).await;
    let of = |user: &str| format!("/v3/groups/{group}/users/{user}");
    for user in [&ann, &bob, &bob] {
        s.call(&format!("PUT {}", of(user)), 204).await;
    }
    s.call(&format!("HEAD {}", of(&ann)), 204).await;
    s.call(&format!("GET {}", of(&bob)), 204).await;
    let list = s.call(&format!("GET /v3/groups/{group}/users"), 200).await;
    assert_eq!(ids(&list["users"]), [ann.clone(), bob.clone()]);
    assert!(list["users"][0].get("password").is_none());
    let line = format!("GET /v3/groups/{group}/users?name=bob");
    assert_eq!(ids(&s.call(&line, 200).await["users"]), [bob.as_str()]);
    // Ann sees her groups herself, and not those of others.
    let own = s.token("ann", Value::Null).await;
    let line = |user: &str| format!("GET /v3/users/{user}/groups?name=ops");
    let seen = s.w.call(&line(&ann), &own, Value::Null, 200).await;
    assert_eq!(ids(&seen["groups"]), [group.as_str()]);
    s.w.call(&line(&bob), &own, Value::Null, 403).await;
    s.w.call(&format!("GET /v3/groups/{group}"), &own, Value::Null, 403)
        .await;
    s.w.call(&format!("DELETE {}", of(&ann)), &own, Value::Null, 403)
        .await;

    s.call(&format!("DELETE {}", of(&ann)), 204).await;
    for verb in ["GET", "DELETE"] {
        let got = s.call(&format!("{verb} {}", of(&ann)), 404).await;
        let want = format!("User '{ann}' not found in group '{group}'");
        assert_eq!(got["error"]["message"], want.as_str());
    }
    for verb in ["PUT", "GET", "DELETE"] {
        let got = s.call(&format!("{verb} {}", of("nobody")), 404).await;
        assert_eq!(got["error"]["message"], "Could not find user: nobody.");
        let line = format!("{verb} /v3/groups/none/users/{ann}");
        let got = s.call(&line, 404).await;
        assert_eq!(got["error"]["message"], "Could not find group: none.");
    }
    // The membership of a deleted user is gone.
    s.call(&format!("DELETE /v3/users/{bob}"), 204).await;
    let list = s.call(&format!("GET /v3/groups/{group}/users"), 200).await;
    assert_eq!(list["users"], json!([]));
}

#[tokio::test]
async fn the_roles_of_a_group_are_in_the_tokens_of_its_users() {
    let s = Setup::start().await;
    let ann = s.user("ann").await;
    let web = s.made("project", json!({"name": "web"})).await;
    let group = s.made("group", json!({"name": "ops"})).await;
    let member = s.role("member").await;
    let on_project = format!("/v3/projects/{web}/groups/{group}/roles");
    let on_domain = format!("/v3/domains/default/groups/{group}/roles");
    let on_system = format!("/v3/system/groups/{group}/roles");
    let membership = format!("/v3/groups/{group}/users/{ann}");
    s.call(&format!("PUT {membership}"), 204).await;
    assert_eq!(s.roles_on("ann", "web").await, Err(401));

    for path in [&on_project, &on_domain, &on_system] {
        let one = format!("{path}/{member}");
        s.call(&format!("GET {one}"), 404).await;
        for _ in 0..2 {
            s.call(&format!("PUT {one}"), 204).await;
        }
        s.call(&format!("HEAD {one}"), 204).await;
        let list = s.call(&format!("GET {path}"), 200).await;
        assert_eq!(ids(&list["roles"]), [member.as_str()]);
        let own = format!("http://{}/identity{path}", s.w.at);
        assert_eq!(list["links"]["self"], own.as_str());
        s.call(&format!("PUT {path}/norole"), 404).await;
    }
    s.call(
        &format!("PUT /v3/projects/{web}/groups/no/roles/{member}"),
        404,
    )
    .await;
    // The user has no grant of her own.
    let own = s
        .call(&format!("GET /v3/projects/{web}/users/{ann}/roles"), 200)
        .await;
    assert_eq!(own["roles"], json!([]));

    let implied = vec!["member".to_owned(), "reader".to_owned()];
    assert_eq!(s.roles_on("ann", "web").await, Ok(implied));
    let token = s.token("ann", project("web")).await;
    let seen = async |path: &str| s.w.call(path, &token, Value::Null, 200).await;
    assert_eq!(
        ids(&seen("GET /v3/auth/projects").await["projects"]),
        [web.as_str()]
    );
    assert_eq!(
        ids(&seen("GET /v3/auth/domains").await["domains"]),
        ["default"]
    );
    let system = seen("GET /v3/auth/system").await;
    assert_eq!(system["system"], json!([{"all": true}]));
    let own = seen(&format!("GET /v3/users/{ann}/projects")).await;
    assert_eq!(ids(&own["projects"]), [web.as_str()]);
    let domain = s.token("ann", json!({"domain": {"id": "default"}})).await;
    let whole = s.token("ann", json!({"system": {"all": true}})).await;

    // A revoked grant ends the tokens that depend on it, and no others.
    let me = format!("GET /v3/users/{ann}");
    for (path, scoped) in [(&on_domain, &domain), (&on_system, &whole)] {
        s.w.call(&me, scoped, Value::Null, 200).await;
        s.call(&format!("DELETE {path}/{member}"), 204).await;
        s.w.call(&me, scoped, Value::Null, 401).await;
        let gone = s.call(&format!("DELETE {path}/{member}"), 404).await;
        let message = text(&gone["error"]["message"]);
        assert!(
            message.starts_with("Could not find role assignment with role:"),
            "{message}"
        );
    }
    s.w.call(&me, &token, Value::Null, 200).await;

    // So does leaving the group, also for a token of another scope.
    let unscoped = s.token("ann", json!("unscoped")).await;
    s.call(&format!("DELETE {membership}"), 204).await;
    s.w.call(&me, &token, Value::Null, 401).await;
    s.w.call(&me, &unscoped, Value::Null, 401).await;
    assert_eq!(s.roles_on("ann", "web").await, Err(401));
    let again = s.token("ann", json!("unscoped")).await;
    s.w.call(&me, &again, Value::Null, 200).await;

    // And so does the end of the group.
    s.call(&format!("PUT {membership}"), 204).await;
    let token = s.token("ann", project("web")).await;
    s.call(&format!("DELETE /v3/groups/{group}"), 204).await;
    s.w.call(&me, &token, Value::Null, 401).await;
    let left = s.call("GET /v3/role_assignments", 200).await;
    assert!(!left.to_string().contains(&group), "{left}");
}

#[tokio::test]
async fn an_application_credential_ends_with_the_role_of_the_group() {
    let s = Setup::start().await;
    let ann = s.user("ann").await;
    let web = s.made("project", json!({"name": "web"})).await;
    let group = s.made("group", json!({"name": "ops"})).await;
    let member = s.role("member").await;
    let grant = format!("/v3/projects/{web}/groups/{group}/roles/{member}");
    s.call(&format!("PUT {grant}"), 204).await;
    s.call(&format!("PUT /v3/groups/{group}/users/{ann}"), 204)
        .await;
    let token = s.token("ann", project("web")).await;
    let line = format!("POST /v3/users/{ann}/application_credentials");
    let body = json!({"application_credential": {"name": "ci"}});
    let made = s.w.call(&line, &token, body, 201).await;
    let made = &made["application_credential"];
    let by = json!({"methods": ["application_credential"], "application_credential":
        {"id": made["id"], "secret": made["secret"]}});
    let issued = s.w.auth(by.clone(), Value::Null).await.token();
    s.w.call("GET /v3/auth/projects", &issued, Value::Null, 200)
        .await;
    s.call(&format!("DELETE {grant}"), 204).await;
    s.w.call("GET /v3/auth/projects", &issued, Value::Null, 401)
        .await;
    assert_eq!(s.w.auth(by, Value::Null).await.status, 401);
}

#[tokio::test]
async fn assignments_of_groups_are_listed_as_granted_and_as_effective() {
    let s = Setup::start().await;
    let (ann, bob) = (s.user("ann").await, s.user("bob").await);
    let web = s.made("project", json!({"name": "web"})).await;
    let group = s.made("group", json!({"name": "ops"})).await;
    let member = s.role("member").await;
    for user in [&ann, &bob] {
        s.call(&format!("PUT /v3/groups/{group}/users/{user}"), 204)
            .await;
    }
    s.call(
        &format!("PUT /v3/projects/{web}/groups/{group}/roles/{member}"),
        204,
    )
    .await;
    s.call(
        &format!("PUT /v3/projects/{web}/users/{bob}/roles/{member}"),
        204,
    )
    .await;
    let list = async |query: &str| {
        let line = format!("GET /v3/role_assignments?{query}");
        s.call(&line, 200).await["role_assignments"]
            .as_array()
            .unwrap()
            .clone()
    };
    let base = format!("http://{}/identity/v3", s.w.at);
    let by_group = format!("{base}/projects/{web}/groups/{group}/roles/{member}");
    let granted = list(&format!("group.id={group}")).await;
    let want = json!({"group": {"id": group}, "role": {"id": member},
        "scope": {"project": {"id": web}}, "links": {"assignment": by_group}});
    assert_eq!(granted, [want]);
    let named = list(&format!("group.id={group}&include_names")).await;
    let want = json!({"id": group, "name": "ops", "domain": {"id": "default", "name": "Default"}});
    assert_eq!(named[0]["group"], want);
    // Without `effective` a user has only the own grants.
    assert_eq!(list(&format!("user.id={ann}")).await.len(), 0);
    assert_eq!(list(&format!("scope.project.id={web}")).await.len(), 2);

    let effective = list(&format!("user.id={ann}&effective&role.id={member}")).await;
    let want = json!({"user": {"id": ann}, "role": {"id": member},
        "scope": {"project": {"id": web}}, "links": {"assignment": by_group,
        "membership": format!("{base}/groups/{group}/users/{ann}")}});
    assert_eq!(effective, [want]);
    // Bob has the role twice: the two ways have different links.
    assert_eq!(
        list(&format!("user.id={bob}&effective&role.id={member}"))
            .await
            .len(),
        2
    );
    let all = list(&format!("scope.project.id={web}&effective&include_names")).await;
    assert_eq!(all.len(), 6);
    assert!(
        all.iter()
            .all(|a| a.get("group").is_none() && a["user"]["name"].is_string())
    );

    for (query, text) in [
        (
            format!("effective&group.id={group}"),
            "Combining effective and group filter will always result in an empty list.",
        ),
        (
            format!("user.id={ann}&group.id={group}"),
            "Specify a user or group, not both",
        ),
        (
            format!("scope.system=all&scope.project.id={web}"),
            "Specify system or project, not both",
        ),
        (
            "scope.system=all&scope.domain.id=default".to_owned(),
            "Specify system or domain, not both",
        ),
    ] {
        let got = s
            .call(&format!("GET /v3/role_assignments?{query}"), 400)
            .await;
        assert_eq!(got["error"]["message"], text);
    }
}

#[tokio::test]
async fn a_domain_manager_manages_groups_of_the_domain_only() {
    let s = Setup::start().await;
    let acme = s.made("domain", json!({"name": "acme"})).await;
    let inside = async |noun: &str, name: &str| {
        let fields = json!({"name": name, "domain_id": acme});
        s.made(noun, fields).await
    };
    let (boss, dev) = (s.user("boss").await, inside("user", "dev").await);
    let outsider = s.user("outsider").await;
    let (web, foreign) = (
        inside("project", "web").await,
        s.made("group", json!({"name": "g"})).await,
    );
    let role = async |name: &str| s.role(name).await;
    let (manager, admin, reader) = (
        role("manager").await,
        role("admin").await,
        role("reader").await,
    );
    s.call(
        &format!("PUT /v3/domains/{acme}/users/{boss}/roles/{manager}"),
        204,
    )
    .await;
    let token = s.token("boss", json!({"domain": {"id": acme}})).await;
    let by_boss =
        async |line: &str, body: Value, status: u16| s.w.call(line, &token, body, status).await;
    let get = async |line: &str, status: u16| by_boss(line, Value::Null, status).await;

    // The domain of the token is the default.
    let body = json!({"group": {"name": "team"}});
    let made = by_boss("POST /v3/groups", body, 201).await;
    assert_eq!(made["group"]["domain_id"], acme.as_str());
    let team = text(&made["group"]["id"]);
    let body = json!({"group": {"name": "x", "domain_id": "default"}});
    by_boss("POST /v3/groups", body, 403).await;
    assert_eq!(
        ids(&get("GET /v3/groups", 200).await["groups"]),
        [team.as_str()]
    );
    get(&format!("GET /v3/groups/{foreign}"), 404).await;
    get(&format!("DELETE /v3/groups/{foreign}"), 404).await;
    get(&format!("GET /v3/groups/{foreign}/users"), 404).await;

    get(&format!("PUT /v3/groups/{team}/users/{dev}"), 204).await;
    for (group, user) in [(&team, &outsider), (&foreign, &dev)] {
        get(&format!("PUT /v3/groups/{group}/users/{user}"), 403).await;
        get(&format!("GET /v3/groups/{group}/users/{user}"), 403).await;
    }
    let on_web = format!("/v3/projects/{web}/groups/{team}/roles");
    get(&format!("PUT {on_web}/{reader}"), 204).await;
    get(&format!("PUT {on_web}/{admin}"), 403).await;
    get(&format!("PUT /v3/system/groups/{team}/roles/{reader}"), 403).await;
    get(
        &format!("PUT /v3/domains/default/groups/{team}/roles/{reader}"),
        403,
    )
    .await;

    // The users of a group have its roles: a manager cannot add users to a group with
    // roles outside of the domain.
    for (target, role) in [
        ("system".to_owned(), &reader),
        (format!("projects/{web}"), &admin),
    ] {
        let grant = format!("/v3/{target}/groups/{team}/roles/{role}");
        s.call(&format!("PUT {grant}"), 204).await;
        let dev2 = inside("user", &format!("dev of {role}")).await;
        get(&format!("PUT /v3/groups/{team}/users/{dev2}"), 403).await;
        get(&format!("DELETE /v3/groups/{team}/users/{dev}"), 403).await;
        get(&format!("DELETE /v3/groups/{team}"), 403).await;
        // Nor take over a user with such roles by the group.
        let body = json!({"user": {"password": "stolen"}});
        by_boss(&format!("PATCH /v3/users/{dev}"), body, 403).await;
        s.call(&format!("DELETE {grant}"), 204).await;
    }
    get(&format!("DELETE /v3/groups/{team}/users/{dev}"), 204).await;
    get(&format!("DELETE /v3/groups/{team}"), 204).await;
}

#[tokio::test]
async fn what_is_deleted_takes_the_grants_of_groups_with_it() {
    let s = Setup::start().await;
    let acme = s.made("domain", json!({"name": "acme"})).await;
    let ann = s.user("ann").await;
    let group = s.made("group", json!({"name": "ops"})).await;
    let inner = s
        .made("group", json!({"name": "in", "domain_id": acme}))
        .await;
    let project = s.made("project", json!({"name": "web"})).await;
    let role = s.made("role", json!({"name": "auditor"})).await;
    let member = s.role("member").await;
    for id in [&group, &inner] {
        s.call(&format!("PUT /v3/groups/{id}/users/{ann}"), 204)
            .await;
    }
    for (target, of, role) in [
        (format!("projects/{project}"), &group, &member),
        (format!("domains/{acme}"), &group, &member),
        ("domains/default".to_owned(), &group, &role),
        ("system".to_owned(), &inner, &member),
    ] {
        s.call(&format!("PUT /v3/{target}/groups/{of}/roles/{role}"), 204)
            .await;
    }
    let left = async || {
        let line = format!("GET /v3/role_assignments?effective&user.id={ann}");
        s.call(&line, 200).await["role_assignments"]
            .as_array()
            .unwrap()
            .len()
    };
    // Three times member with reader, and auditor.
    assert_eq!(left().await, 7);
    s.call(&format!("DELETE /v3/projects/{project}"), 204).await;
    assert_eq!(left().await, 5);
    s.call(&format!("DELETE /v3/roles/{role}"), 204).await;
    assert_eq!(left().await, 4);
    let whole = s.token("ann", json!({"system": {"all": true}})).await;
    let off = json!({"domain": {"enabled": false}});
    let line = format!("PATCH /v3/domains/{acme}");
    s.w.call(&line, &s.admin, off, 200).await;
    s.call(&format!("DELETE /v3/domains/{acme}"), 204).await;
    assert_eq!(left().await, 0);
    s.call(&format!("GET /v3/groups/{inner}"), 404).await;
    s.w.call("GET /v3/auth/system", &whole, Value::Null, 401)
        .await;
}
