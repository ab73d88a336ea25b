//! Requests at the same time: what a request depends on is deleted or disabled by
//! another server after the request has read it and before it stores anything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use std::time::{Duration, Instant};

use db::{Db, Value as Sql, values};
use fixture::{Fixture, text};
use serde_json::{Value, json};

/// How long a server sends no statement when it waits.
const QUIET: Duration = Duration::from_millis(200);

struct Setup {
    w: Fixture,
    admin: String,
    /// The database of the server.
    db: Db,
    /// The same database for the other server.
    other: Db,
}

type Statements<'a> = &'a [(&'a str, Vec<Sql>)];

impl Setup {
    async fn new(test: &testkit::TestDb) -> Self {
        let w = Fixture::on(&test.db).await;
        let admin = w.admin().await;
        let other = Db::connect(&test.url).await.unwrap();
        let db = test.db.clone();
        Self {
            w,
            admin,
            db,
            other,
        }
    }

    async fn made(&self, noun: &str, fields: Value) -> String {
        let line = format!("POST /v3/{noun}s");
        let made = self
            .w
            .call(&line, &self.admin, json!({noun: fields}), 201)
            .await;
        text(&made[noun]["id"])
    }

    async fn role(&self, name: &str) -> String {
        let line = format!("GET /v3/roles?name={name}");
        let found = self.w.call(&line, &self.admin, Value::Null, 200).await;
        text(&found["roles"][0]["id"])
    }

    /// Sends a request while another server has a transaction with these statements
    /// open, which is committed when the request waits or was answered.
    async fn race(
        &self,
        statements: Statements<'_>,
        (token, line): (&str, &str),
        body: Value,
    ) -> u16 {
        let mut tx = self.other.begin().await.unwrap();
        for (sql, args) in statements {
            if sql.starts_with("SELECT") {
                tx.lock_opt(sql, args.clone()).await.unwrap();
            } else {
                tx.execute(sql, args.clone()).await.unwrap();
            }
        }
        let sent = self.db.queries();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = self.w.send(line, token, "", &body);
        let commit = async {
            while self.db.queries() == sent {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let (mut seen, mut since) = (self.db.queries(), Instant::now());
            while since.elapsed() < QUIET {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let now = self.db.queries();
                if now != seen {
                    (seen, since) = (now, Instant::now());
                }
            }
            tx.commit().await.unwrap();
        };
        tokio::join!(request, commit).0.status
    }

    async fn count(&self, sql: &str, args: Vec<Sql>) -> usize {
        self.db.query(sql, args).await.unwrap().len()
    }
}

#[tokio::test]
async fn no_role_is_granted_on_what_is_being_deleted() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        for (deleted, sql) in [
            ("project", "DELETE FROM project WHERE id = ?"),
            ("domain", "DELETE FROM project WHERE id = ?"),
            ("user", "DELETE FROM identity_user WHERE id = ?"),
            ("role", "DELETE FROM identity_role WHERE id = ?"),
        ] {
            let fields = json!({"name": format!("the {deleted}")});
            let id = s.made(deleted, fields).await;
            let of = |noun: &str| (noun == deleted).then(|| id.clone());
            let user = match of("user") {
                Some(id) => id,
                None => {
                    s.made("user", json!({"name": format!("for {deleted}")}))
                        .await
                }
            };
            let role = match of("role") {
                Some(id) => id,
                None => s.role("member").await,
            };
            let target = match (of("project"), of("domain")) {
                (Some(id), _) => format!("projects/{id}"),
                (_, Some(id)) => format!("domains/{id}"),
                _ => "system".to_owned(),
            };
            let line = format!("PUT /v3/{target}/users/{user}/roles/{role}");
            let status = s
                .race(&[(sql, values![&id])], (&s.admin, &line), Value::Null)
                .await;
            assert_eq!(status, 404, "{deleted} on {}", test.name);
            let left = "SELECT role_id FROM role_assignment WHERE user_id = ?";
            assert_eq!(s.count(left, values![&user]).await, 0, "{deleted}");
        }
    }
}

#[tokio::test]
async fn a_group_or_user_that_is_being_deleted_gets_no_members_and_no_roles() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        let member = s.role("member").await;
        for (deleted, sql) in [
            ("group", "DELETE FROM identity_group WHERE id = ?"),
            ("user", "DELETE FROM identity_user WHERE id = ?"),
        ] {
            let group = s.made("group", json!({"name": deleted})).await;
            let user = s.made("user", json!({"name": deleted})).await;
            let id = if deleted == "group" { &group } else { &user };
            let line = format!("PUT /v3/groups/{group}/users/{user}");
            let gone = [(sql, values![id])];
            let status = s.race(&gone, (&s.admin, &line), Value::Null).await;
            assert_eq!(status, 404, "{deleted} on {}", test.name);
            let left = "SELECT user_id FROM group_member WHERE group_id = ?";
            assert_eq!(s.count(left, values![&group]).await, 0, "{deleted}");
        }
        let group = s.made("group", json!({"name": "third"})).await;
        let line = format!("PUT /v3/system/groups/{group}/roles/{member}");
        let gone = [("DELETE FROM identity_group WHERE id = ?", values![&group])];
        let status = s.race(&gone, (&s.admin, &line), Value::Null).await;
        assert_eq!(status, 404, "on {}", test.name);
        let left = "SELECT role_id FROM group_assignment WHERE group_id = ?";
        assert_eq!(s.count(left, values![&group]).await, 0);
    }
}

#[tokio::test]
async fn nothing_is_created_in_a_domain_or_project_that_is_being_deleted_or_disabled() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        let delete = "DELETE FROM project WHERE id = ?";
        let disable = "UPDATE project SET enabled = NOT enabled WHERE id = ?";
        for (noun, parent, sql, want) in [
            ("user", "domain", delete, 404),
            ("project", "domain", delete, 404),
            ("project", "domain", disable, 403),
            ("project", "project", delete, 404),
            ("project", "project", disable, 403),
        ] {
            let name = format!("{noun} in {parent} {want}");
            let domain = s.made("domain", json!({"name": format!("d {name}")})).await;
            let mut fields = json!({"name": format!("c {name}"), "domain_id": domain});
            let mut ended = domain.clone();
            if parent == "project" {
                ended = s
                    .made(
                        "project",
                        json!({"name": format!("p {name}"), "domain_id": domain}),
                    )
                    .await;
                fields["parent_id"] = ended.clone().into();
            }
            let lock = "SELECT id FROM project WHERE id = ?";
            let statements = [(lock, values![&domain]), (sql, values![&ended])];
            let line = format!("POST /v3/{noun}s");
            let status = s
                .race(&statements, (&s.admin, &line), json!({noun: fields}))
                .await;
            assert_eq!(status, want, "{name} on {}", test.name);
        }
    }
}

#[tokio::test]
async fn what_is_being_created_is_counted_when_its_parent_is_deleted_or_disabled() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        let domain = s.made("domain", json!({"name": "d"})).await;
        let parent = s
            .made("project", json!({"name": "p", "domain_id": domain}))
            .await;
        let lock = ("SELECT id FROM project WHERE id = ?", values![&domain]);
        let child = |id: &str| {
            let sql = "INSERT INTO project (id, name, domain_id, parent_id, is_domain, enabled, \
                       description) VALUES (?, ?, ?, ?, ?, ?, '')";
            (sql, values![id, id, &domain, &parent, false, true])
        };
        let off = json!({"project": {"enabled": false}});
        let line = format!("PATCH /v3/projects/{parent}");
        let status = s
            .race(&[lock.clone(), child("c1")], (&s.admin, &line), off)
            .await;
        assert_eq!(status, 403, "{}", test.name);
        s.w.call("DELETE /v3/projects/c1", &s.admin, Value::Null, 204)
            .await;
        let line = format!("DELETE /v3/projects/{parent}");
        let status = s
            .race(&[lock.clone(), child("c2")], (&s.admin, &line), Value::Null)
            .await;
        assert_eq!(status, 403, "{}", test.name);

        let off = json!({"domain": {"enabled": false}});
        let line = format!("PATCH /v3/domains/{domain}");
        s.w.call(&line, &s.admin, off, 200).await;
        let sql = "INSERT INTO identity_user (id, name, domain_id, enabled, description, \
                   tokens_after) VALUES ('u', 'u', ?, ?, '', 0)";
        let user = (sql, values![&domain, true]);
        let line = format!("DELETE /v3/domains/{domain}");
        let status = s
            .race(&[lock, user, child("c3")], (&s.admin, &line), Value::Null)
            .await;
        assert_eq!(status, 204, "{}", test.name);
        let left = "SELECT id FROM identity_user WHERE id = 'u'";
        assert_eq!(s.count(left, vec![]).await, 0, "{}", test.name);
        let left = "SELECT id FROM project WHERE domain_id = ?";
        assert_eq!(s.count(left, values![&domain]).await, 0, "{}", test.name);
    }
}

#[tokio::test]
async fn an_application_credential_does_not_survive_a_role_that_is_being_revoked() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        let got =
            s.w.login("demo", &s.w.demo_password, fixture::project("demo"))
                .await;
        let (token, user) = (got.token(), text(&got.body["token"]["user"]["id"]));
        let path = format!("/v3/users/{user}/application_credentials");
        let line = format!("POST {path}");
        let named = |name: &str| json!({"application_credential": {"name": name}});
        let lock = ("SELECT id FROM identity_user WHERE id = ?", values![&user]);
        let status = s
            .race(std::slice::from_ref(&lock), (&token, &line), named("a"))
            .await;
        assert_eq!(status, 201, "{}", test.name);
        let statements = [
            lock,
            (
                "DELETE FROM role_assignment WHERE user_id = ?",
                values![&user],
            ),
            (
                "DELETE FROM app_credential WHERE user_id = ?",
                values![&user],
            ),
        ];
        let status = s.race(&statements, (&token, &line), named("b")).await;
        assert_eq!(status, 400, "{}", test.name);
        let left = "SELECT id FROM app_credential WHERE user_id = ?";
        assert_eq!(s.count(left, values![&user]).await, 0, "{}", test.name);
    }
}

#[tokio::test]
async fn a_grant_of_a_deleted_project_user_or_role_can_be_revoked() {
    let test = testkit::TestDb::sqlite(identity::migrations()).await;
    let s = Setup::new(&test).await;
    let user = s.made("user", json!({"name": "u"})).await;
    let project = s.made("project", json!({"name": "p"})).await;
    let role = s.role("member").await;
    for (user, project, role) in [
        ("gone", project.as_str(), role.as_str()),
        (&user, "gone", &role),
        (&user, &project, "gone"),
    ] {
        let sql = "INSERT INTO role_assignment (user_id, target_kind, target_id, role_id) \
                   VALUES (?, 'project', ?, ?)";
        db::write!(s.db, |tx| tx
            .execute(sql, values![user, project, role])
            .await)
        .unwrap();
        let line = format!("/v3/projects/{project}/users/{user}/roles/{role}");
        let revoke = format!("DELETE {line}");
        s.w.call(&format!("PUT {line}"), &s.admin, Value::Null, 404)
            .await;
        s.w.call(&revoke, &s.admin, Value::Null, 204).await;
        s.w.call(&revoke, &s.admin, Value::Null, 404).await;
    }
}

#[tokio::test]
async fn no_trust_is_created_from_what_is_being_deleted_or_revoked() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        let place = fixture::project("demo");
        let got = s.w.login("demo", &s.w.demo_password, place).await;
        let (token, user) = (got.token(), text(&got.body["token"]["user"]["id"]));
        let project = text(&got.body["token"]["project"]["id"]);
        let trustee = s.made("user", json!({"name": "u", "password": "p"})).await;
        let body = |more: Value| {
            let mut trust = json!({"trustor_user_id": user, "trustee_user_id": trustee,
                "project_id": project, "impersonation": false, "roles": [{"name": "member"}]});
            for (name, value) in more.as_object().unwrap() {
                trust[name] = value.clone();
            }
            json!({"trust": trust})
        };
        let line = "POST /v3/OS-TRUST/trusts";
        let once = body(json!({"remaining_uses": 1}));
        let made = s.w.call(line, &token, once, 201).await;
        // A use of a trust that is being deleted.
        let login = json!({"auth": {"scope": {"OS-TRUST:trust": {"id": made["trust"]["id"]}},
            "identity": {"methods": ["password"], "password": {"user":
                {"id": trustee, "password": "p"}}}}});
        let gone = [("DELETE FROM identity_trust", vec![])];
        let status = s.race(&gone, ("", "POST /v3/auth/tokens"), login).await;
        assert_eq!(status, 401, "{}", test.name);

        let lock = ("SELECT id FROM identity_user WHERE id = ?", values![&user]);
        let status = s
            .race(std::slice::from_ref(&lock), (&token, line), body(json!({})))
            .await;
        assert_eq!(status, 201, "{}", test.name);
        db::write!(s.db, |tx| tx
            .execute("DELETE FROM identity_trust", vec![])
            .await)
        .unwrap();
        let member = s.role("member").await;
        let grant = format!("PUT /v3/projects/{project}/users/{user}/roles/{member}");
        for ended in ["trustee", "roles", "project"] {
            s.w.call(&grant, &s.admin, Value::Null, 204).await;
            let trustee = s.made("user", json!({"name": ended})).await;
            let statements = match ended {
                "trustee" => vec![("DELETE FROM identity_user WHERE id = ?", values![&trustee])],
                "roles" => vec![
                    lock.clone(),
                    (
                        "DELETE FROM role_assignment WHERE user_id = ?",
                        values![&user],
                    ),
                ],
                _ => vec![("DELETE FROM project WHERE id = ?", values![&project])],
            };
            let more = json!({"trustee_user_id": trustee});
            let status = s.race(&statements, (&token, line), body(more)).await;
            assert_eq!(status, 404, "{ended} on {}", test.name);
            let left = "SELECT id FROM identity_trust";
            assert_eq!(s.count(left, vec![]).await, 0, "{ended} on {}", test.name);
        }
    }
}

#[tokio::test]
async fn nothing_is_stored_for_a_user_or_project_that_is_being_deleted() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::new(&test).await;
        for (deleted, sql) in [
            ("user", "DELETE FROM identity_user WHERE id = ?"),
            ("project", "DELETE FROM project WHERE id = ?"),
        ] {
            let user = s.made("user", json!({"name": deleted})).await;
            let project = s.made("project", json!({"name": deleted})).await;
            let id = if deleted == "user" { &user } else { &project };
            let fields =
                json!({"type": "cert", "blob": "b", "user_id": user, "project_id": project});
            let body = json!({"credential": fields});
            let line = (s.admin.as_str(), "POST /v3/credentials");
            let status = s.race(&[(sql, values![id])], line, body).await;
            assert_eq!(status, 404, "{deleted} on {}", test.name);
        }
        let left = "SELECT id FROM identity_credential";
        assert_eq!(s.count(left, vec![]).await, 0, "{}", test.name);

        let project = s.made("project", json!({"name": "short"})).await;
        let line = "GET /v3/endpoints";
        let listed = s.w.call(line, &s.admin, Value::Null, 200).await;
        let endpoint = text(&listed["endpoints"][0]["id"]);
        let line = format!("PUT /v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}");
        let delete = ("DELETE FROM project WHERE id = ?", values![&project]);
        let status = s.race(&[delete], (&s.admin, &line), Value::Null).await;
        assert_eq!(status, 404, "{}", test.name);
        let left = "SELECT project_id FROM identity_project_endpoint";
        assert_eq!(s.count(left, vec![]).await, 0, "{}", test.name);
    }
}
