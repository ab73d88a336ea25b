//! Inherited grants: roles on all projects below a project or of a domain.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::setup::Setup;
use fixture::{Fixture, project, text};
use serde_json::{Value, json};

impl Setup {
    /// A project of the default domain.
    async fn project(&self, name: &str, parent: &str) -> String {
        let fields = json!({"name": name, "domain_id": "default", "parent_id": parent});
        self.made("project", fields).await
    }
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|o| text(&o["name"])).collect()
}

fn inherit(target: &str, holder: &str, role: &str) -> String {
    format!("/v3/OS-INHERIT/{target}/{holder}/roles/{role}/inherited_to_projects")
}

#[tokio::test]
async fn the_projects_below_a_project_inherit_roles() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::with(Fixture::on(&test.db).await).await;
        let ann = s.user("ann").await;
        let top = s.project("top", "default").await;
        let mid = s.project("mid", &top).await;
        let leaf = s.project("leaf", &mid).await;
        s.project("side", "default").await;
        let member = s.role("member").await;
        let (on_top, holder) = (format!("projects/{top}"), format!("users/{ann}"));
        let grant = inherit(&on_top, &holder, &member);
        let all = format!("/v3/OS-INHERIT/{on_top}/{holder}/roles/inherited_to_projects");

        for verb in ["GET", "DELETE"] {
            s.call(&format!("{verb} {grant}"), 404).await;
        }
        s.call(&format!("PUT {grant}"), 204).await;
        s.call(&format!("PUT {grant}"), 204).await;
        for verb in ["HEAD", "GET"] {
            s.call(&format!("{verb} {grant}"), 204).await;
        }
        let list = s.call(&format!("GET {all}"), 200).await;
        assert_eq!(names(&list["roles"]), ["member"]);
        let own = format!("http://{}/identity{all}", s.w.at);
        assert_eq!(list["links"]["self"], own.as_str());
        // It is not a grant on the target itself.
        s.call(&format!("GET /v3/{on_top}/{holder}/roles/{member}"), 404)
            .await;
        let direct = s
            .call(&format!("GET /v3/{on_top}/{holder}/roles"), 200)
            .await;
        assert_eq!(direct["roles"], json!([]));

        let member_and_reader = Ok(vec!["member".to_owned(), "reader".to_owned()]);
        for (name, want) in [
            ("top", Err(401)),
            ("mid", member_and_reader.clone()),
            ("leaf", member_and_reader),
            ("side", Err(401)),
        ] {
            assert_eq!(s.roles_on("ann", name).await, want, "{name}");
        }
        let unscoped = s.token("ann", json!("unscoped")).await;
        for line in ["/v3/auth/projects", &format!("/v3/users/{ann}/projects")] {
            let line = format!("GET {line}");
            let seen = s.w.call(&line, &unscoped, Value::Null, 200).await;
            assert_eq!(names(&seen["projects"]), ["leaf", "mid"]);
        }

        // A project that is created later inherits, too.
        s.project("late", &leaf).await;
        let late = s.token("ann", project("late")).await;
        let me = format!("GET /v3/users/{ann}");
        s.w.call(&me, &late, Value::Null, 200).await;
        // The end of the grant is the end of the tokens.
        s.call(&format!("DELETE {grant}"), 204).await;
        s.w.call(&me, &late, Value::Null, 401).await;
        s.w.call(&me, &unscoped, Value::Null, 200).await;
        assert_eq!(s.roles_on("ann", "leaf").await, Err(401));
        let gone = s.call(&format!("DELETE {grant}"), 404).await;
        let want = format!(
            "Could not find role assignment with role: {member}, user or group: {ann}, \
             project, domain, or system: {top}."
        );
        assert_eq!(gone["error"]["message"], want.as_str());
    }
}

#[tokio::test]
async fn the_projects_of_a_domain_inherit_roles_of_a_group() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::with(Fixture::on(&test.db).await).await;
        let ann = s.user("ann").await;
        let group = s.made("group", json!({"name": "ops"})).await;
        s.call(&format!("PUT /v3/groups/{group}/users/{ann}"), 204)
            .await;
        let top = s.project("top", "default").await;
        s.project("leaf", &top).await;
        let acme = s.made("domain", json!({"name": "acme"})).await;
        s.made("project", json!({"name": "web", "domain_id": acme}))
            .await;
        let (reader, manager) = (s.role("reader").await, s.role("manager").await);
        let grant = inherit("domains/default", &format!("groups/{group}"), &reader);
        s.call(&format!("PUT {grant}"), 204).await;
        s.call(&format!("HEAD {grant}"), 204).await;
        let all = format!("/v3/OS-INHERIT/domains/default/groups/{group}/roles");
        let list = s
            .call(&format!("GET {all}/inherited_to_projects"), 200)
            .await;
        assert_eq!(names(&list["roles"]), ["reader"]);
        // Together with a role on one of the projects.
        let direct = format!("/v3/projects/{top}/users/{ann}/roles/{manager}");
        s.call(&format!("PUT {direct}"), 204).await;

        let reads = Ok(vec!["reader".to_owned()]);
        assert_eq!(s.roles_on("ann", "leaf").await, reads);
        assert_eq!(
            s.roles_on("ann", "top").await.unwrap(),
            ["manager", "member", "reader"]
        );
        // The domain itself does not inherit, nor do other domains.
        let on_domain = json!({"domain": {"id": "default"}});
        assert_eq!(s.w.login("ann", "p", on_domain).await.status, 401);
        let web = json!({"project": {"name": "web", "domain": {"id": acme}}});
        assert_eq!(s.w.login("ann", "p", web).await.status, 401);
        let token = s.token("ann", project("leaf")).await;
        let seen = async |line: &str, noun: &str| {
            let line = format!("GET /v3/auth/{line}");
            names(&s.w.call(&line, &token, Value::Null, 200).await[noun])
        };
        assert_eq!(
            seen("projects", "projects").await,
            ["admin", "demo", "leaf", "top"]
        );
        assert!(seen("domains", "domains").await.is_empty());

        // The tokens end with the membership, and with the group.
        let me = format!("GET /v3/users/{ann}");
        let membership = format!("/v3/groups/{group}/users/{ann}");
        s.call(&format!("DELETE {membership}"), 204).await;
        s.w.call(&me, &token, Value::Null, 401).await;
        assert_eq!(s.roles_on("ann", "leaf").await, Err(401));
        s.call(&format!("PUT {membership}"), 204).await;
        let token = s.token("ann", project("leaf")).await;
        s.call(&format!("DELETE /v3/groups/{group}"), 204).await;
        s.w.call(&me, &token, Value::Null, 401).await;
        assert_eq!(s.assignments("scope.domain.id=default").await.len(), 1);
    }
}

#[tokio::test]
async fn a_default_project_and_application_credentials_can_use_an_inherited_role() {
    let s = Setup::start().await;
    let ann = s.user("ann").await;
    let top = s.project("top", "default").await;
    let leaf = s.project("leaf", &top).await;
    let side = s.project("side", "default").await;
    let member = s.role("member").await;
    let holder = format!("users/{ann}");
    let grant = inherit(&format!("projects/{top}"), &holder, &member);
    s.call(&format!("PUT {grant}"), 204).await;
    s.call(
        &format!("PUT /v3/projects/{side}/{holder}/roles/{member}"),
        204,
    )
    .await;
    let body = json!({"user": {"default_project_id": leaf}});
    let line = format!("PATCH /v3/{holder}");
    s.w.call(&line, &s.admin, body, 200).await;
    let got = s.w.login("ann", "p", Value::Null).await;
    assert_eq!(got.body["token"]["project"]["id"], leaf.as_str());

    let credential = async |project_name: &str| {
        let token = s.token("ann", project(project_name)).await;
        let line = format!("POST /v3/users/{ann}/application_credentials");
        let body = json!({"application_credential": {"name": project_name}});
        let made = s.w.call(&line, &token, body, 201).await;
        let made = &made["application_credential"];
        json!({"methods": ["application_credential"], "application_credential":
            {"id": made["id"], "secret": made["secret"]}})
    };
    let (in_leaf, in_side) = (credential("leaf").await, credential("side").await);
    let issued = s.w.auth(in_leaf.clone(), Value::Null).await.token();
    s.call(&format!("DELETE {grant}"), 204).await;
    s.w.call("GET /v3/auth/projects", &issued, Value::Null, 401)
        .await;
    // Granting the role again does not bring the credential back.
    s.call(&format!("PUT {grant}"), 204).await;
    assert_eq!(s.w.auth(in_leaf, Value::Null).await.status, 401);
    assert_eq!(s.w.auth(in_side, Value::Null).await.status, 201);
}

#[tokio::test]
async fn assignments_show_inherited_grants_and_what_inherits_them() {
    let s = Setup::start().await;
    let (ann, bob) = (s.user("ann").await, s.user("bob").await);
    let top = s.project("top", "default").await;
    let leaf = s.project("leaf", &top).await;
    let group = s.made("group", json!({"name": "ops"})).await;
    s.call(&format!("PUT /v3/groups/{group}/users/{bob}"), 204)
        .await;
    let reader = s.role("reader").await;
    let by_user = inherit(&format!("projects/{top}"), &format!("users/{ann}"), &reader);
    let by_group = inherit("domains/default", &format!("groups/{group}"), &reader);
    s.call(&format!("PUT {by_user}"), 204).await;
    s.call(&format!("PUT {by_group}"), 204).await;
    s.call(
        &format!("PUT /v3/projects/{top}/users/{ann}/roles/{reader}"),
        204,
    )
    .await;
    let base = format!("http://{}/identity", s.w.at);

    let got = s
        .assignments(&format!(
            "user.id={ann}&scope.OS-INHERIT:inherited_to=projects"
        ))
        .await;
    let want = json!({"user": {"id": ann}, "role": {"id": reader},
        "scope": {"project": {"id": top}, "OS-INHERIT:inherited_to": "projects"},
        "links": {"assignment": format!("{base}{by_user}")}});
    assert_eq!(got, [want]);
    let got = s.assignments(&format!("group.id={group}")).await;
    let want = json!({"group": {"id": group}, "role": {"id": reader},
        "scope": {"domain": {"id": "default"}, "OS-INHERIT:inherited_to": "projects"},
        "links": {"assignment": format!("{base}{by_group}")}});
    assert_eq!(got, [want]);

    let got = s
        .assignments(&format!(
            "effective&user.id={ann}&scope.project.id={leaf}&include_names"
        ))
        .await;
    let domain = json!({"id": "default", "name": "Default"});
    let want = json!({"user": {"id": ann, "name": "ann", "domain": domain},
        "role": {"id": reader, "name": "reader"},
        "scope": {"project": {"id": leaf, "name": "leaf", "domain": domain},
            "OS-INHERIT:inherited_to": "projects"},
        "links": {"assignment": format!("{base}{by_user}")}});
    assert_eq!(got, [want]);
    let got = s
        .assignments(&format!("effective&user.id={bob}&scope.project.id={leaf}"))
        .await;
    let want = json!({"user": {"id": bob}, "role": {"id": reader},
        "scope": {"project": {"id": leaf}, "OS-INHERIT:inherited_to": "projects"},
        "links": {"assignment": format!("{base}{by_group}"),
            "membership": format!("{base}/v3/groups/{group}/users/{bob}")}});
    assert_eq!(got, [want]);

    // The projects are admin, demo, top and leaf.
    let inherited = "scope.OS-INHERIT:inherited_to";
    for (query, want) in [
        (format!("user.id={ann}"), 2),
        (format!("user.id={ann}&{inherited}=no"), 1),
        (format!("scope.project.id={top}"), 2),
        (format!("scope.project.id={top}&{inherited}=projects"), 1),
        (format!("scope.project.id={leaf}"), 0),
        (format!("scope.project.id={top}&include_subtree"), 2),
        (format!("scope.domain.id=default&{inherited}=projects"), 1),
        (format!("effective&user.id={bob}"), 4),
        (format!("effective&user.id={ann}"), 2),
        (format!("effective&user.id={ann}&{inherited}=projects"), 1),
        (format!("effective&scope.project.id={top}"), 2),
        (
            format!("effective&scope.project.id={top}&include_subtree"),
            4,
        ),
        (
            format!("effective&scope.project.id={top}&include_subtree&{inherited}=projects"),
            3,
        ),
        (
            format!("effective&role.id={reader}&scope.project.id={leaf}"),
            2,
        ),
        (
            format!("effective&scope.domain.id=default&user.id={bob}"),
            0,
        ),
    ] {
        assert_eq!(s.assignments(&query).await.len(), want, "{query}");
    }
    // Pages end, and contain each assignment once.
    let whole = s.assignments("effective").await;
    let mut line = "GET /v3/role_assignments?effective&limit=2".to_owned();
    let mut paged = Vec::new();
    loop {
        let page = s.call(&line, 200).await;
        paged.extend(page["role_assignments"].as_array().unwrap().clone());
        let Some(next) = page["links"]["next"].as_str() else {
            break;
        };
        line = format!("GET {}", next.split_once("/identity").unwrap().1);
    }
    assert_eq!(paged, whole);

    for (query, message) in [
        (
            format!("effective&scope.domain.id=default&{inherited}=projects"),
            "Combining effective, domain and inherited filters will always result in an empty list.",
        ),
        (
            "include_subtree".to_owned(),
            "scope.project.id must be specified if include_subtree is also specified",
        ),
    ] {
        let line = format!("GET /v3/role_assignments?{query}");
        let got = s.call(&line, 400).await;
        assert_eq!(got["error"]["message"], message);
    }
}

#[tokio::test]
async fn inherited_grants_are_deleted_with_what_they_refer_to() {
    let s = Setup::start().await;
    let (ann, bob) = (s.user("ann").await, s.user("bob").await);
    let top = s.project("top", "default").await;
    let role = s.made("role", json!({"name": "auditor"})).await;
    let other = s.made("role", json!({"name": "other"})).await;
    let on_top = format!("projects/{top}");
    for (target, holder, role, message) in [
        (
            "projects/no",
            format!("users/{ann}"),
            &role,
            "Could not find project: no.",
        ),
        (
            "domains/no",
            format!("users/{ann}"),
            &role,
            "Could not find domain: no.",
        ),
        (
            &*on_top,
            "users/no".to_owned(),
            &role,
            "Could not find user: no.",
        ),
        (
            &*on_top,
            "groups/no".to_owned(),
            &role,
            "Could not find group: no.",
        ),
        (
            &*on_top,
            format!("users/{ann}"),
            &"no".to_owned(),
            "Could not find role: no.",
        ),
    ] {
        for verb in ["PUT", "GET", "DELETE"] {
            let line = format!("{verb} {}", inherit(target, &holder, role));
            let got = s.call(&line, 404).await;
            assert_eq!(got["error"]["message"], message, "{line}");
        }
    }
    let acme = s.made("domain", json!({"name": "acme"})).await;
    for (target, holder, role) in [
        (on_top.clone(), &ann, &role),
        (on_top, &ann, &other),
        ("domains/default".to_owned(), &ann, &role),
        ("domains/default".to_owned(), &bob, &other),
        (format!("domains/{acme}"), &ann, &role),
    ] {
        let grant = inherit(&target, &format!("users/{holder}"), role);
        s.call(&format!("PUT {grant}"), 204).await;
    }
    let left = async || {
        s.assignments("scope.OS-INHERIT:inherited_to=projects")
            .await
            .len()
    };
    assert_eq!(left().await, 5);
    s.call(&format!("DELETE /v3/users/{bob}"), 204).await;
    assert_eq!(left().await, 4);
    s.call(&format!("DELETE /v3/roles/{other}"), 204).await;
    assert_eq!(left().await, 3);
    s.call(&format!("DELETE /v3/projects/{top}"), 204).await;
    assert_eq!(left().await, 2);
    let off = json!({"domain": {"enabled": false}});
    let line = format!("PATCH /v3/domains/{acme}");
    s.w.call(&line, &s.admin, off, 200).await;
    s.call(&format!("DELETE /v3/domains/{acme}"), 204).await;
    assert_eq!(left().await, 1);
}

#[tokio::test]
async fn a_domain_manager_grants_inherited_roles_in_the_domain_only() {
    let s = Setup::start().await;
    let acme = s.made("domain", json!({"name": "acme"})).await;
    let inside = async |noun: &str, name: &str| {
        let fields = json!({"name": name, "domain_id": acme});
        s.made(noun, fields).await
    };
    let (boss, outsider) = (s.user("boss").await, s.user("outsider").await);
    let (dev, web) = (inside("user", "dev").await, inside("project", "web").await);
    let side = s.project("side", "default").await;
    let (manager, admin) = (s.role("manager").await, s.role("admin").await);
    let member = s.role("member").await;
    let line = format!("PUT /v3/domains/{acme}/users/{boss}/roles/{manager}");
    s.call(&line, 204).await;
    let token = s.token("boss", json!({"domain": {"id": acme}})).await;
    let get = async |verb: &str, (target, user, role): (&str, &str, &str), status: u16| {
        let line = format!("{verb} {}", inherit(target, &format!("users/{user}"), role));
        s.w.call(&line, &token, Value::Null, status).await
    };
    let (own, on_web) = (format!("domains/{acme}"), format!("projects/{web}"));
    for target in [&own, &on_web] {
        let grant = (target.as_str(), dev.as_str(), member.as_str());
        get("PUT", grant, 204).await;
        get("GET", grant, 204).await;
        get("PUT", (target, &dev, &admin), 403).await;
        get("PUT", (target, &outsider, &member), 403).await;
        // The answer does not show whether a user exists.
        get("PUT", (target, "no", &member), 403).await;
        get("DELETE", grant, 204).await;
        get("DELETE", grant, 404).await;
    }
    get("PUT", (&format!("projects/{side}"), &dev, &member), 403).await;
    get("PUT", ("domains/default", &dev, &member), 403).await;
    get("GET", ("domains/default", &dev, &member), 403).await;

    // An inherited role outside of the domain protects its holder, as a direct one does.
    let foreign = inherit("domains/default", &format!("users/{dev}"), &member);
    s.call(&format!("PUT {foreign}"), 204).await;
    let body = json!({"user": {"password": "stolen"}});
    let line = format!("PATCH /v3/users/{dev}");
    s.w.call(&line, &token, body.clone(), 403).await;
    s.call(&format!("DELETE {foreign}"), 204).await;
    s.w.call(&line, &token, body, 200).await;

    // Assignments of other domains are not listed.
    get("PUT", (&own, &dev, &member), 204).await;
    let seen =
        s.w.call("GET /v3/role_assignments", &token, Value::Null, 200)
            .await;
    assert_eq!(seen["role_assignments"].as_array().unwrap().len(), 2);
    for query in [
        "scope.domain.id=default",
        "scope.system=all",
        "effective&scope.project.id=no",
    ] {
        let line = format!("GET /v3/role_assignments?{query}");
        let seen = s.w.call(&line, &token, Value::Null, 200).await;
        assert_eq!(seen["role_assignments"], json!([]), "{query}");
    }
    for (id, status) in [(web.as_str(), 200), (side.as_str(), 403), ("no", 403)] {
        let line = format!("GET /v3/role_assignments?include_subtree&scope.project.id={id}");
        s.w.call(&line, &token, Value::Null, status).await;
    }
    let plain = s.token("outsider", json!("unscoped")).await;
    let line = format!(
        "PUT {}",
        inherit(&own, &format!("users/{outsider}"), &member)
    );
    s.w.call(&line, &plain, Value::Null, 403).await;
    s.w.call("GET /v3/role_assignments", &plain, Value::Null, 403)
        .await;
}
