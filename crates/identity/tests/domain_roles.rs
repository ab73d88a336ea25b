//! Roles of one domain: they give the roles that they imply, and are in no token.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

struct Setup {
    w: Fixture,
    admin: String,
    acme: String,
}

impl Setup {
    async fn start() -> Self {
        Self::with(Fixture::start().await).await
    }

    async fn with(w: Fixture) -> Self {
        let admin = w.admin().await;
        let mut s = Self {
            w,
            admin,
            acme: String::new(),
        };
        s.acme = s.made("domain", json!({"name": "acme"})).await;
        s
    }

    /// A call of the administrator.
    async fn call(&self, line: &str, status: u16) -> Value {
        self.w.call(line, &self.admin, Value::Null, status).await
    }

    async fn made(&self, noun: &str, fields: Value) -> String {
        let line = format!("POST /v3/{noun}s");
        let body = json!({noun: fields});
        text(&self.w.call(&line, &self.admin, body, 201).await[noun]["id"])
    }

    /// A role of the domain acme.
    async fn of_acme(&self, name: &str) -> String {
        self.made("role", json!({"name": name, "domain_id": self.acme}))
            .await
    }

    async fn refused(&self, line: &str, role: Value, status: u16) -> String {
        let body = json!({"role": role});
        let got = self.w.call(line, &self.admin, body, status).await;
        text(&got["error"]["message"])
    }
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap().iter();
    list.map(|o| text(&o["name"])).collect()
}

#[tokio::test]
async fn names_are_unique_in_a_domain() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::with(Fixture::on(&test.db).await).await;
        let acme = &s.acme;
        let body = json!({"role": {"name": "ops", "domain_id": acme, "description": "d"}});
        let made = s.w.call("POST /v3/roles", &s.admin, body, 201).await;
        let id = text(&made["role"]["id"]);
        let link = format!("http://{}/identity/v3/roles/{id}", s.w.at);
        let want = json!({"id": id, "name": "ops", "domain_id": acme, "description": "d",
            "options": {}, "links": {"self": link}});
        assert_eq!(made["role"], want);
        assert_eq!(s.call(&format!("GET /v3/roles/{id}"), 200).await, made);

        // The same name is free in another domain, and in none.
        let other = s.made("domain", json!({"name": "other"})).await;
        s.made("role", json!({"name": "ops", "domain_id": other}))
            .await;
        let global = s.made("role", json!({"name": "ops"})).await;
        let duplicate = json!({"name": "OPS", "domain_id": acme});
        assert_eq!(
            s.refused("POST /v3/roles", duplicate, 409).await,
            format!(
                "Conflict occurred attempting to store role - Duplicate entry found with name OPS \
                 at domain ID {acme}."
            )
        );
        let unknown = json!({"name": "x", "domain_id": "no"});
        assert_eq!(
            s.refused("POST /v3/roles", unknown, 404).await,
            "Could not find domain: no."
        );
        let long = json!({"name": "x", "domain_id": "x".repeat(65)});
        s.refused("POST /v3/roles", long, 400).await;
        let long = json!({"name": "x".repeat(256), "domain_id": acme});
        s.refused("POST /v3/roles", long, 400).await;

        // Lists are of one domain, or of none.
        let listed = async |query: &str| {
            let list = s.call(&format!("GET /v3/roles{query}"), 200).await;
            let list = list["roles"].as_array().unwrap().clone();
            list.iter().map(|r| text(&r["id"])).collect::<Vec<_>>()
        };
        assert_eq!(listed(&format!("?domain_id={acme}")).await, [id.as_str()]);
        assert_eq!(listed("?name=ops").await, [global.as_str()]);
        assert!(listed("?domain_id=no").await.is_empty());
        assert_eq!(listed("").await.len(), 6);

        let line = format!("PATCH /v3/roles/{id}");
        let moved = "Update of `domain_id` is not allowed.";
        for domain in [json!(null), json!(other)] {
            let change = json!({"domain_id": domain});
            assert_eq!(s.refused(&line, change, 400).await, moved);
        }
        s.of_acme("dev").await;
        s.refused(&line, json!({"name": "Dev"}), 409).await;
        // The names of built-in roles have no meaning in a domain.
        let body = json!({"role": {"name": "admin", "domain_id": acme}});
        let changed = s.w.call(&line, &s.admin, body, 200).await;
        assert_eq!(changed["role"]["options"], json!({}));
        s.call(&format!("DELETE /v3/roles/{id}"), 204).await;
        s.call(&format!("GET /v3/roles/{id}"), 404).await;
        // The other roles are left.
        s.call(&format!("GET /v3/roles/{global}"), 200).await;
    }
}

#[tokio::test]
async fn a_role_of_a_domain_gives_only_what_it_implies() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::with(Fixture::on(&test.db).await).await;
        let ann = s
            .made("user", json!({"name": "ann", "password": "p"}))
            .await;
        let web = s
            .made("project", json!({"name": "web", "domain_id": s.acme}))
            .await;
        // Its name must not give the rights of an administrator.
        let chief = s.of_acme("admin").await;
        let grant = format!("/v3/projects/{web}/users/{ann}/roles/{chief}");
        s.call(&format!("PUT {grant}"), 204).await;
        s.call(&format!("HEAD {grant}"), 204).await;
        let line = format!("GET /v3/projects/{web}/users/{ann}/roles");
        let list = s.call(&line, 200).await;
        assert_eq!(list["roles"][0]["domain_id"], s.acme.as_str());

        let scope = json!({"project": {"id": web}});
        let got = s.w.login("ann", "p", scope.clone()).await;
        assert_eq!(got.status, 401, "{}", got.body);
        let unscoped = s.w.login("ann", "p", json!("unscoped")).await.token();
        let projects = async || {
            let got =
                s.w.call("GET /v3/auth/projects", &unscoped, Value::Null, 200)
                    .await;
            names(&got["projects"])
        };
        assert!(projects().await.is_empty());
        let effective = format!("GET /v3/role_assignments?effective&user.id={ann}");
        let none = s.call(&effective, 200).await;
        assert_eq!(none["role_assignments"], json!([]));
        let line = format!("GET /v3/role_assignments?user.id={ann}&include_names");
        let direct = s.call(&line, 200).await;
        let want = json!({"id": chief, "name": "admin",
            "domain": {"id": s.acme, "name": "acme"}});
        assert_eq!(direct["role_assignments"][0]["role"], want);

        // Over another role of the domain.
        let clerk = s.of_acme("clerk").await;
        let member = s.w.roles(&s.admin).await["member"].clone();
        for (prior, implied) in [(&chief, &clerk), (&clerk, &member)] {
            s.call(&format!("PUT /v3/roles/{prior}/implies/{implied}"), 201)
                .await;
        }
        let got = s.w.login("ann", "p", scope).await;
        assert_eq!(names(&got.body["token"]["roles"]), ["member", "reader"]);
        assert_eq!(projects().await, ["web"]);
        let token = got.token();
        s.w.call(
            "POST /v3/domains",
            &token,
            json!({"domain": {"name": "x"}}),
            403,
        )
        .await;
        let list = s.call(&effective, 200).await;
        let list = list["role_assignments"].as_array().unwrap();
        assert_eq!(list.len(), 2);
        let base = format!("http://{}/identity", s.w.at);
        let assignment = format!("{base}{grant}");
        assert_eq!(list[0]["links"]["assignment"], assignment.as_str());
        let me = format!("GET /v3/users/{ann}");
        s.w.call(&me, &token, Value::Null, 200).await;
        s.call(&format!("DELETE /v3/roles/{clerk}"), 204).await;
        s.w.call(&me, &token, Value::Null, 401).await;
    }
}

#[tokio::test]
async fn a_role_of_a_domain_is_not_granted_elsewhere() {
    let s = Setup::start().await;
    let ann = s
        .made("user", json!({"name": "ann", "password": "p"}))
        .await;
    let web = s
        .made("project", json!({"name": "web", "domain_id": s.acme}))
        .await;
    let side = s.made("project", json!({"name": "side"})).await;
    let ops = s.of_acme("ops").await;
    let acme = &s.acme;
    let inherit = |target: &str| {
        format!("/v3/OS-INHERIT/{target}/users/{ann}/roles/{ops}/inherited_to_projects")
    };
    let direct = |target: &str| format!("/v3/{target}/users/{ann}/roles/{ops}");
    for target in [format!("projects/{web}"), format!("domains/{acme}")] {
        for grant in [direct(&target), inherit(&target)] {
            s.call(&format!("PUT {grant}"), 204).await;
            s.call(&format!("DELETE {grant}"), 204).await;
        }
    }
    let want =
        format!("Project {side} must be in the same domain as the role {ops} being assigned.");
    let on_side = format!("projects/{side}");
    for grant in [direct(&on_side), inherit(&on_side)] {
        let got = s.call(&format!("PUT {grant}"), 403).await;
        assert_eq!(got["error"]["message"], want.as_str());
        s.call(&format!("GET {grant}"), 404).await;
    }
    let got = s.call(&format!("PUT {}", direct("system")), 400).await;
    let want = format!(
        "Role {ops} is a domain-specific role. Unable to use a domain-specific role in a system \
         assignment."
    );
    assert_eq!(got["error"]["message"], want.as_str());

    // Roles of all domains depend on no domain.
    let member = s.w.roles(&s.admin).await["member"].clone();
    let global = s.made("role", json!({"name": "global"})).await;
    let got = s
        .call(&format!("PUT /v3/roles/{global}/implies/{ops}"), 403)
        .await;
    let want = format!("{ops} cannot be an implied roles.");
    assert_eq!(got["error"]["message"], want.as_str());
    let foreign = s
        .made("role", json!({"name": "ops", "domain_id": "default"}))
        .await;
    s.call(&format!("PUT /v3/roles/{ops}/implies/{foreign}"), 201)
        .await;
    s.call(&format!("PUT /v3/roles/{ops}/implies/{member}"), 201)
        .await;

    // The roles of a domain are deleted with it.
    s.call(&format!("PUT {}", direct(&format!("projects/{web}"))), 204)
        .await;
    let off = json!({"domain": {"enabled": false}});
    let line = format!("PATCH /v3/domains/{acme}");
    s.w.call(&line, &s.admin, off, 200).await;
    s.call(&format!("DELETE /v3/domains/{acme}"), 204).await;
    s.call(&format!("GET /v3/roles/{ops}"), 404).await;
    let left = s.call("GET /v3/role_inferences", 200).await;
    assert!(!left.to_string().contains(&ops), "{left}");
    let left = s.call("GET /v3/role_assignments", 200).await;
    assert!(!left.to_string().contains(&ops), "{left}");
}

#[tokio::test]
async fn managers_of_domains_do_not_see_the_roles_of_domains() {
    let s = Setup::start().await;
    let acme = &s.acme;
    let boss = s
        .made("user", json!({"name": "boss", "password": "p"}))
        .await;
    let dev = s
        .made("user", json!({"name": "dev", "domain_id": acme}))
        .await;
    let (ops, manager) = (
        s.of_acme("ops").await,
        s.w.roles(&s.admin).await["manager"].clone(),
    );
    s.call(
        &format!("PUT /v3/domains/{acme}/users/{boss}/roles/{manager}"),
        204,
    )
    .await;
    let scope = json!({"domain": {"id": acme}});
    let token = s.w.login("boss", "p", scope).await.token();
    let get = async |line: &str, status: u16| s.w.call(line, &token, Value::Null, status).await;
    let list = get("GET /v3/roles", 200).await;
    assert!(!names(&list["roles"]).contains(&"ops".to_owned()));
    get(&format!("GET /v3/roles/{manager}"), 200).await;
    get(&format!("GET /v3/roles/{ops}"), 404).await;
    get("GET /v3/roles/no", 404).await;
    get(&format!("GET /v3/roles?domain_id={acme}"), 403).await;
    get(&format!("DELETE /v3/roles/{ops}"), 403).await;
    let body = json!({"role": {"name": "x", "domain_id": acme}});
    s.w.call("POST /v3/roles", &token, body, 403).await;
    let line = format!("PATCH /v3/roles/{ops}");
    let body = json!({"role": {"name": "x"}});
    s.w.call(&line, &token, body, 403).await;
    get(
        &format!("PUT /v3/domains/{acme}/users/{dev}/roles/{ops}"),
        403,
    )
    .await;
    // The name gives no right to a role of another domain.
    let foreign = json!({"name": "member", "domain_id": "default"});
    let foreign = s.made("role", foreign).await;
    for verb in ["PUT", "GET", "DELETE"] {
        let line = format!("{verb} /v3/domains/{acme}/users/{dev}/roles/{foreign}");
        get(&line, 403).await;
    }
    let own = s.of_acme("reader").await;
    let line = format!("/v3/domains/{acme}/users/{dev}/roles/{own}");
    for verb in ["PUT", "GET", "DELETE"] {
        get(&format!("{verb} {line}"), 204).await;
    }
    let plain =
        s.w.login("demo", &s.w.demo_password, project("demo"))
            .await
            .token();
    let line = format!("GET /v3/roles/{ops}");
    s.w.call(&line, &plain, Value::Null, 403).await;
}
