//! Trusts: a user delegates roles to another, who may delegate them on.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Answer, Fixture, project, text};
use serde_json::{Value, json};

const TRUSTS: &str = "/v3/OS-TRUST/trusts";

/// Ann has the roles member and chief on the project p. Bob, Eve and Joe have no role on
/// it.
struct Setup {
    w: Fixture,
    admin: String,
    project: String,
    ann: String,
    bob: String,
    eve: String,
    joe: String,
    chief: String,
    /// Ann's token for the project.
    token: String,
}

impl Setup {
    async fn new() -> Self {
        Self::on(Fixture::start().await).await
    }

    async fn on(w: Fixture) -> Self {
        let admin = w.admin().await;
        let made = |noun: &'static str, fields: Value| {
            let (w, admin) = (&w, &admin);
            async move {
                let line = format!("POST /v3/{noun}s");
                let made = w.call(&line, admin, json!({noun: fields}), 201).await;
                text(&made[noun]["id"])
            }
        };
        let project_id = made("project", json!({"name": "p"})).await;
        let home = made("project", json!({"name": "home"})).await;
        let chief = made("role", json!({"name": "chief"})).await;
        let mut users = Vec::new();
        for name in ["ann", "bob", "eve", "joe"] {
            users.push(made("user", json!({"name": name, "password": "secret"})).await);
        }
        let member = w.roles(&admin).await["member"].clone();
        for (user, place, role) in [
            (&users[0], &project_id, &member),
            (&users[0], &project_id, &chief),
            (&users[1], &home, &member),
            (&users[2], &home, &member),
        ] {
            let line = format!("PUT /v3/projects/{place}/users/{user}/roles/{role}");
            w.call(&line, &admin, Value::Null, 204).await;
        }
        let token = w.login("ann", "secret", project("p")).await.token();
        let [ann, bob, eve, joe] = users.try_into().unwrap();
        Self {
            w,
            admin,
            project: project_id,
            ann,
            bob,
            eve,
            joe,
            chief,
            token,
        }
    }

    /// A body by which Ann delegates the role member to Bob.
    fn body(&self, more: Value) -> Value {
        let mut trust = json!({"trustor_user_id": self.ann, "trustee_user_id": self.bob,
            "project_id": self.project, "impersonation": false, "roles": [{"name": "member"}]});
        for (name, value) in more.as_object().unwrap() {
            trust[name] = value.clone();
        }
        json!({"trust": trust})
    }

    async fn create(&self, token: &str, more: Value, status: u16) -> Value {
        let line = format!("POST {TRUSTS}");
        let mut made = self.w.call(&line, token, self.body(more), status).await;
        if status == 201 {
            made["trust"].take()
        } else {
            made
        }
    }

    /// The id of a new trust from Ann to Bob.
    async fn trust(&self, more: Value) -> String {
        text(&self.create(&self.token, more, 201).await["id"])
    }

    async fn login(&self, user: &str, trust: &str) -> Answer {
        let scope = json!({"OS-TRUST:trust": {"id": trust}});
        self.w.login(user, "secret", scope).await
    }

    async fn status(&self, line: &str, token: &str) -> u16 {
        self.w.send(line, token, "", "").await.status
    }

    /// Whether a token is valid, for a server that has not cached it.
    async fn is_valid(&self, token: &str) -> bool {
        let w = self.w.second_server().await;
        let status = w.send("GET /v3/auth/catalog", token, "", "").await.status;
        assert!(status == 200 || status == 401, "{status}");
        status == 200
    }
}

#[tokio::test]
async fn a_trust_is_created_shown_listed_and_deleted() {
    let s = Setup::new().await;
    let until = "2099-01-01T00:00:00.000000Z";
    let more = json!({"expires_at": until, "roles": [{"name": "member"}, {"id": s.chief},
        {"name": "member"}], "note": "kept"});
    let made = s.create(&s.token, more, 201).await;
    let id = text(&made["id"]);
    let own = format!("http://{}/identity/v3/OS-TRUST/trusts/{id}", s.w.at);
    for (name, value) in [
        ("trustor_user_id", json!(s.ann)),
        ("trustee_user_id", json!(s.bob)),
        ("project_id", json!(s.project)),
        ("impersonation", json!(false)),
        ("expires_at", json!(until)),
        ("remaining_uses", Value::Null),
        ("deleted_at", Value::Null),
        ("redelegated_trust_id", Value::Null),
        ("redelegation_count", json!(0)),
        ("links", json!({"self": own})),
        (
            "roles_links",
            json!({"self": format!("{own}/roles"), "next": null, "previous": null}),
        ),
        ("note", json!("kept")),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let roles = made["roles"].as_array().unwrap();
    let names: Vec<_> = roles.iter().map(|r| text(&r["name"])).collect();
    assert_eq!(names, ["chief", "member"]);
    assert!(roles[0]["links"]["self"].is_string() && roles[0]["options"].is_object());

    let line = format!("GET {TRUSTS}/{id}");
    let bob = s.w.login("bob", "secret", project("home")).await.token();
    let eve = s.w.login("eve", "secret", project("home")).await.token();
    for token in [&s.token, &bob, &s.admin] {
        let shown = s.w.call(&line, token, Value::Null, 200).await;
        assert_eq!(shown["trust"], made);
        let listed =
            s.w.call(&format!("{line}/roles"), token, Value::Null, 200)
                .await;
        assert_eq!(listed["roles"], made["roles"]);
        let one = format!("{line}/roles/{}", s.chief);
        let shown = s.w.call(&one, token, Value::Null, 200).await;
        assert_eq!(shown["role"], made["roles"][0]);
        assert_eq!(s.status(&one.replace("GET", "HEAD"), token).await, 200);
    }
    // To others it does not exist.
    let reader = s.w.roles(&s.admin).await["reader"].clone();
    for line in [
        line.clone(),
        format!("{line}/roles"),
        format!("{line}/roles/{}", s.chief),
        format!("DELETE {TRUSTS}/{id}"),
        format!("GET {TRUSTS}/unknown"),
    ] {
        s.w.call(&line, &eve, Value::Null, 404).await;
    }
    // A role that the trust does not give itself.
    let line = format!("{line}/roles/{reader}");
    s.w.call(&line, &s.token, Value::Null, 404).await;
    let line = format!("DELETE {TRUSTS}/{id}");
    s.w.call(&line, &bob, Value::Null, 403).await;
    s.w.call(&line, &s.token, Value::Null, 204).await;
    s.w.call(&line, &s.token, Value::Null, 404).await;
    let line = format!("GET {TRUSTS}/{id}");
    s.w.call(&line, &s.token, Value::Null, 404).await;
}

#[tokio::test]
async fn lists_are_for_the_trustor_and_the_trustee() {
    let s = Setup::new().await;
    let id = s.trust(json!({})).await;
    let bob = s.w.login("bob", "secret", project("home")).await.token();
    let eve = s.w.login("eve", "secret", project("home")).await.token();
    let (ann_id, bob_id, eve_id) = (&s.ann, &s.bob, &s.eve);
    for (token, query, want) in [
        (&s.token, format!("?trustor_user_id={ann_id}"), Some(1)),
        (&s.token, format!("?trustee_user_id={ann_id}"), Some(0)),
        (&s.token, format!("?trustee_user_id={bob_id}"), None),
        (&s.token, String::new(), None),
        (&bob, format!("?trustee_user_id={bob_id}"), Some(1)),
        (&bob, format!("?trustor_user_id={ann_id}"), None),
        (&eve, format!("?trustee_user_id={bob_id}"), None),
        (&eve, format!("?trustee_user_id={eve_id}"), Some(0)),
        (&s.admin, String::new(), Some(1)),
        (&s.admin, format!("?trustee_user_id={bob_id}"), Some(1)),
        (
            &s.admin,
            format!("?trustor_user_id={ann_id}&trustee_user_id={eve_id}"),
            Some(0),
        ),
    ] {
        let line = format!("GET {TRUSTS}{query}");
        let status = if want.is_some() { 200 } else { 403 };
        let listed = s.w.call(&line, token, Value::Null, status).await;
        let Some(want) = want else {
            continue;
        };
        let trusts = listed["trusts"].as_array().unwrap();
        assert_eq!(trusts.len(), want, "{query}");
        for trust in trusts {
            assert_eq!(trust["id"], id);
            assert!(trust.get("roles").is_none(), "{trust}");
        }
    }
}

#[tokio::test]
async fn a_trust_that_cannot_be_given_is_refused() {
    let s = Setup::new().await;
    let other =
        s.w.call("GET /v3/projects?name=home", &s.admin, Value::Null, 200)
            .await;
    let other = &other["projects"][0]["id"];
    let long = "x".repeat(65);
    for (more, want) in [
        (json!({"trustor_user_id": s.bob}), 403),
        (json!({"trustee_user_id": "unknown"}), 404),
        (json!({"trustee_user_id": long}), 400),
        (json!({"trustee_user_id": null}), 400),
        (json!({"impersonation": "yes"}), 400),
        (json!({"roles": []}), 403),
        (json!({"roles": "member"}), 400),
        (json!({"roles": [{}]}), 400),
        (json!({"roles": [{"id": "x", "name": "member"}]}), 400),
        (json!({"roles": [{"name": "unknown"}]}), 404),
        (json!({"roles": [{"id": "unknown"}]}), 404),
        (json!({"roles": [{"name": "admin"}]}), 404),
        (json!({"project_id": other}), 404),
        (json!({"project_id": "unknown"}), 404),
        (json!({"project_id": "default"}), 404),
        (json!({"project_id": null}), 404),
        (json!({"expires_at": "bad.123Z"}), 400),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), 400),
        (json!({"expires_at": 5}), 400),
        (json!({"remaining_uses": 0}), 400),
        (json!({"remaining_uses": "1"}), 400),
        (json!({"remaining_uses": 1.5}), 400),
        (json!({"remaining_uses": 4_294_967_296_i64}), 400),
        (json!({"allow_redelegation": "yes"}), 400),
        (json!({"redelegation_count": -1}), 400),
        (
            json!({"allow_redelegation": true, "redelegation_count": 4}),
            403,
        ),
        (
            json!({"allow_redelegation": true, "remaining_uses": 1}),
            400,
        ),
        (json!({"redelegated_trust_id": "x"}), 403),
    ] {
        let got = s.create(&s.token, more.clone(), want).await;
        assert!(got["error"]["message"].is_string(), "{more}");
    }
    let got = s
        .create(&s.token, json!({"roles": [{"name": "boss"}]}), 404)
        .await;
    assert_eq!(got["error"]["message"], "Role boss is not defined");
    let unscoped = s.w.login("ann", "secret", json!("unscoped")).await.token();
    s.create(&unscoped, json!({}), 403).await;
    // Without a project it gives nothing.
    let id = s.trust(json!({"project_id": null, "roles": []})).await;
    assert_eq!(s.login("bob", &id).await.status, 401);
    for name in ["trustor_user_id", "trustee_user_id", "impersonation"] {
        let mut body = s.body(json!({}));
        body["trust"].as_object_mut().unwrap().remove(name);
        s.w.call(&format!("POST {TRUSTS}"), &s.token, body, 400)
            .await;
    }
}

#[tokio::test]
async fn a_token_of_a_trust_acts_with_its_roles() {
    let s = Setup::new().await;
    for impersonation in [false, true] {
        let id = s.trust(json!({"impersonation": impersonation})).await;
        let got = s.login("bob", &id).await;
        let token = got.token();
        let body = &got.body["token"];
        let user = if impersonation { &s.ann } else { &s.bob };
        assert_eq!(body["user"]["id"], **user);
        assert_eq!(
            body["user"]["name"],
            if impersonation { "ann" } else { "bob" }
        );
        assert_eq!(body["project"]["id"], s.project);
        assert!(body.get("is_domain").is_none() && body["catalog"].is_array());
        let names: Vec<_> = body["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| text(&r["name"]))
            .collect();
        assert_eq!(names, ["member", "reader"]);
        assert_eq!(
            body["OS-TRUST:trust"],
            json!({"id": id, "trustor_user": {"id": s.ann}, "trustee_user": {"id": s.bob},
                "impersonation": impersonation})
        );
        // Validated by itself, by another server, and by the trustee.
        let second = s.w.second_server().await;
        let bob = s.w.login("bob", "secret", json!("unscoped")).await.token();
        for caller in [&token, &bob] {
            let shown = second.send("GET /v3/auth/tokens", caller, &token, "").await;
            assert_eq!(shown.status, 200, "{}", shown.body);
            assert_eq!(
                shown.body["token"]["OS-TRUST:trust"],
                body["OS-TRUST:trust"]
            );
        }
        // An existing token leads to it, too.
        let proof = json!({"methods": ["token"], "token": {"id": bob}});
        let scope = json!({"OS-TRUST:trust": {"id": id}});
        let got = s.w.auth(proof, scope.clone()).await;
        assert_eq!(got.status, 201, "{}", got.body);
        // But it leads to no other one.
        for scope in [project("p"), json!("unscoped"), scope, Value::Null] {
            let proof = json!({"methods": ["token"], "token": {"id": token}});
            let got = s.w.auth(proof, scope).await;
            assert_eq!(got.status, 403, "{}", got.body);
            let why = text(&got.body["error"]["message"]);
            assert!(
                why.contains("Using trust-scoped token to create another token."),
                "{why}"
            );
        }
    }
    // Other users get no token, as for an unknown trust.
    let id = s.trust(json!({})).await;
    for (user, id) in [
        ("ann", id.as_str()),
        ("eve", id.as_str()),
        ("bob", "unknown"),
    ] {
        assert_eq!(s.login(user, id).await.status, 401);
    }
}

#[tokio::test]
async fn a_token_of_a_trust_cannot_become_more() {
    let s = Setup::new().await;
    let id = s.trust(json!({"impersonation": true})).await;
    let token = s.login("bob", &id).await.token();
    let all = format!("/v3/users/{}/application_credentials", s.ann);
    let body = json!({"application_credential": {"name": "mine"}});
    let made =
        s.w.call(&format!("POST {all}"), &s.token, body.clone(), 201)
            .await;
    let made = &made["application_credential"];
    let one = format!("{all}/{}", text(&made["id"]));
    for (line, body) in [
        (format!("POST {all}"), body),
        (format!("GET {all}"), Value::Null),
        (format!("GET {one}"), Value::Null),
        (format!("DELETE {one}"), Value::Null),
    ] {
        let got = s.w.call(&line, &token, body, 403).await;
        assert_eq!(
            got["error"]["message"],
            "Cannot manage application credentials with a token issued via delegation."
        );
    }
    // The trust allows no redelegation.
    s.create(&token, json!({"trustee_user_id": s.eve}), 403)
        .await;

    // An administrator's trust does not lead to the administrator's password.
    let chief = s.w.roles(&s.admin).await["admin"].clone();
    let line = format!(
        "PUT /v3/projects/{}/users/{}/roles/{chief}",
        s.project, s.ann
    );
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    let more = json!({"impersonation": true, "roles": [{"name": "admin"}]});
    let id = s.trust(more).await;
    let token = s.login("bob", &id).await.token();
    let line = format!("PATCH /v3/users/{}", s.ann);
    let body = json!({"user": {"password": "stolen"}});
    s.w.call(&line, &token, body, 403).await;
    s.w.call(&line, &token, json!({"user": {"email": "a@b"}}), 200)
        .await;

    // An application credential uses no trusts, whatever it may do.
    let body = json!({"application_credential": {"name": "free", "unrestricted": true}});
    let made = s.w.call(&format!("POST {all}"), &s.token, body, 201).await;
    let made = &made["application_credential"];
    let proof = json!({"methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": made["secret"]}});
    let token = s.w.auth(proof.clone(), Value::Null).await.token();
    let got = s.create(&token, json!({}), 403).await;
    let why = text(&got["error"]["message"]);
    assert!(why.contains("not allowed for managing trusts"), "{why}");
    for line in [
        format!("GET {TRUSTS}?trustor_user_id={}", s.ann),
        format!("GET {TRUSTS}/{id}"),
        format!("GET {TRUSTS}/{id}/roles"),
        format!("GET {TRUSTS}/{id}/roles/{chief}"),
        format!("DELETE {TRUSTS}/{id}"),
    ] {
        s.w.call(&line, &token, Value::Null, 403).await;
    }
    let scope = json!({"OS-TRUST:trust": {"id": id}});
    assert_eq!(s.w.auth(proof, scope).await.status, 401);
}

#[tokio::test]
async fn a_token_ends_with_what_it_depends_on() {
    // Ann's trust to Bob, a change, and whether new tokens are refused, too.
    let off = |noun: &str| json!({noun: {"enabled": false}});
    type Line = fn(&Setup, &str) -> String;
    let cases: [(Line, Value, u16, u16); 9] = [
        (
            |_, id| format!("DELETE {TRUSTS}/{id}"),
            Value::Null,
            204,
            401,
        ),
        (
            |s, _| format!("PATCH /v3/users/{}", s.ann),
            off("user"),
            200,
            401,
        ),
        (
            |s, _| format!("PATCH /v3/users/{}", s.bob),
            off("user"),
            200,
            401,
        ),
        (
            |s, _| format!("DELETE /v3/users/{}", s.ann),
            Value::Null,
            204,
            401,
        ),
        (
            |s, _| format!("DELETE /v3/users/{}", s.bob),
            Value::Null,
            204,
            401,
        ),
        (
            |s, _| format!("PATCH /v3/projects/{}", s.project),
            off("project"),
            200,
            401,
        ),
        (
            |s, _| format!("DELETE /v3/projects/{}", s.project),
            Value::Null,
            204,
            401,
        ),
        (
            |s, _| format!("DELETE /v3/roles/{}", s.chief),
            Value::Null,
            204,
            403,
        ),
        (
            |s, _| {
                format!(
                    "DELETE /v3/projects/{}/users/{}/roles/{}",
                    s.project, s.ann, s.chief
                )
            },
            Value::Null,
            204,
            403,
        ),
    ];
    for impersonation in [false, true] {
        for (line, body, done, refused) in &cases {
            let s = Setup::new().await;
            let roles = json!([{"name": "member"}, {"name": "chief"}]);
            let more = json!({"impersonation": impersonation, "roles": roles});
            let id = s.trust(more).await;
            let token = s.login("bob", &id).await.token();
            assert!(s.is_valid(&token).await);
            let line = line(&s, &id);
            s.w.call(&line, &s.admin, body.clone(), *done).await;
            assert_eq!(
                s.status("GET /v3/auth/catalog", &token).await,
                401,
                "{line}"
            );
            assert!(!s.is_valid(&token).await, "{line}");
            let got = s.login("bob", &id).await;
            assert_eq!(got.status, *refused, "{line}: {}", got.body);
            if line.starts_with("DELETE /v3/users")
                || line.contains("/projects/")
                    && line.ends_with(&s.project)
                    && line.starts_with("DELETE")
            {
                let shown = format!("GET {TRUSTS}/{id}");
                s.w.call(&shown, &s.admin, Value::Null, 404).await;
            }
        }
    }
}

#[tokio::test]
async fn a_changed_password_of_the_trustor_ends_tokens_and_new_ones_are_valid() {
    let s = Setup::new().await;
    let id = s.trust(json!({"impersonation": true})).await;
    let old = s.login("bob", &id).await.token();
    let change = json!({"user": {"original_password": "secret", "password": "new"}});
    let line = format!("POST /v3/users/{}/password", s.ann);
    s.w.call(&line, "", change, 204).await;
    assert!(!s.is_valid(&old).await);
    let new = s.login("bob", &id).await.token();
    assert!(s.is_valid(&new).await);
}

#[tokio::test]
async fn a_trust_and_its_tokens_end_in_time() {
    let s = Setup::new().await;
    let end = kernel::clock::now() + std::time::Duration::from_mins(30);
    let id = s.trust(json!({"expires_at": end.iso_micros_z()})).await;
    let got = s.login("bob", &id).await;
    // Tokens have whole seconds, and live for an hour otherwise.
    let seconds = end.iso_z().replace('Z', ".000000Z");
    assert_eq!(got.body["token"]["expires_at"], seconds);
    let token = got.token();
    assert!(s.is_valid(&token).await);
    s.w.expire_trusts().await;
    assert!(!s.is_valid(&token).await);
    assert_eq!(s.login("bob", &id).await.status, 401);
    s.w.call(&format!("GET {TRUSTS}/{id}"), &s.token, Value::Null, 404)
        .await;
    // The next one replaces it.
    s.trust(json!({})).await;
    let listed =
        s.w.call(&format!("GET {TRUSTS}"), &s.admin, Value::Null, 200)
            .await;
    assert_eq!(listed["trusts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn uses_are_counted_also_at_the_same_time() {
    for test in testkit::every_database(identity::migrations()).await {
        let s = Setup::on(Fixture::on(&test.db).await).await;
        let id = s.trust(json!({"remaining_uses": 3})).await;
        let logins = (0..6).map(|_| s.login("bob", &id));
        let mut tokens = Vec::new();
        for got in join_all(logins).await {
            match got.status {
                201 => tokens.push(got.token()),
                status => assert_eq!(status, 401, "{}", got.body),
            }
        }
        assert_eq!(tokens.len(), 3, "{}", test.name);
        let listed =
            s.w.call(&format!("GET {TRUSTS}"), &s.admin, Value::Null, 200)
                .await;
        assert_eq!(listed["trusts"][0]["remaining_uses"], 0);
        let one = format!("{TRUSTS}/{id}");
        s.w.call(&format!("GET {one}"), &s.token, Value::Null, 404)
            .await;
        // The tokens of the last uses are valid until the trust is deleted.
        let shown =
            s.w.send("GET /v3/auth/tokens", &tokens[2], &tokens[2], "")
                .await;
        assert_eq!(shown.status, 200, "{}", shown.body);
        s.w.call(&format!("DELETE {one}"), &s.token, Value::Null, 204)
            .await;
        for token in &tokens {
            assert_eq!(s.status("GET /v3/auth/catalog", token).await, 401);
        }
    }
    // A request that fails uses nothing.
    let s = Setup::new().await;
    let id = s.trust(json!({"remaining_uses": 1})).await;
    assert_eq!(s.login("eve", &id).await.status, 401);
    let scope = json!({"OS-TRUST:trust": {"id": id}});
    assert_eq!(s.w.login("bob", "wrong", scope).await.status, 401);
    assert_eq!(s.login("bob", &id).await.status, 201);
    assert_eq!(s.login("bob", &id).await.status, 401);
}

/// The outputs of all futures, which run at the same time.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_trust_is_redelegated_with_less() {
    let s = Setup::new().await;
    let until = "2099-01-01T00:00:00.000000Z";
    let roles = json!([{"name": "member"}, {"name": "chief"}]);
    for impersonation in [true, false] {
        let more = json!({"allow_redelegation": true, "impersonation": impersonation,
            "expires_at": until, "roles": roles});
        let first = s.create(&s.token, more, 201).await;
        assert_eq!(first["redelegation_count"], 3);
        let first = text(&first["id"]);
        let token = s.login("bob", &first).await.token();
        // Bob delegates in the name of Ann, or in his own.
        let trustor = if impersonation { &s.ann } else { &s.bob };
        let more = |more: Value| {
            let mut all = json!({"trustor_user_id": trustor, "trustee_user_id": s.eve,
                "impersonation": impersonation, "allow_redelegation": true});
            for (name, value) in more.as_object().unwrap() {
                all[name] = value.clone();
            }
            all
        };
        let other =
            s.w.call("GET /v3/projects?name=home", &s.admin, Value::Null, 200)
                .await;
        let other = &other["projects"][0]["id"];
        for (change, want) in [
            (json!({"expires_at": "2099-01-01T00:00:01Z"}), 403),
            (
                json!({"allow_redelegation": false, "remaining_uses": 1}),
                403,
            ),
            (json!({"redelegation_count": 3}), 403),
            (
                json!({"roles": [{"name": "member"}, {"name": "reader"}]}),
                403,
            ),
            (json!({"project_id": other}), 403),
            (json!({"redelegated_trust_id": "other"}), 403),
            (json!({"roles": []}), 403),
        ] {
            let got = s.create(&token, more(change.clone()), want).await;
            assert!(got["error"]["message"].is_string(), "{change}");
        }
        if !impersonation {
            let got = s
                .create(&token, more(json!({"impersonation": true})), 403)
                .await;
            let why = text(&got["error"]["message"]);
            assert!(why.starts_with("Impersonation is not allowed"), "{why}");
        }
        let second = s.create(&token, more(json!({})), 201).await;
        assert_eq!(second["redelegation_count"], 2);
        assert_eq!(second["redelegated_trust_id"], first);
        assert_eq!(second["expires_at"], until);
        let second = text(&second["id"]);
        // Eve has no more than the second trust gives, and delegates it once more.
        let got = s.login("eve", &second).await;
        let names = got.body["token"]["roles"].as_array().unwrap().len();
        assert_eq!(names, 2, "{}", got.body);
        let token = got.token();
        let trustor = if impersonation { &s.ann } else { &s.eve };
        let more = json!({"trustor_user_id": trustor, "trustee_user_id": s.joe,
            "impersonation": impersonation});
        let third = s.create(&token, more.clone(), 201).await;
        assert_eq!(third["redelegation_count"], 0);
        let third = text(&third["id"]);
        let last = s.login("joe", &third).await.token();
        let more = json!({"trustor_user_id": if impersonation { &s.ann } else { &s.joe },
            "impersonation": impersonation});
        s.create(&last, more, 403).await;
        // An agent in between is disabled for a while.
        let line = format!("PATCH /v3/users/{}", s.eve);
        for (enabled, want) in [(false, 401), (true, 201)] {
            let body = json!({"user": {"enabled": enabled}});
            s.w.call(&line, &s.admin, body, 200).await;
            assert_eq!(s.login("joe", &third).await.status, want);
        }
        // All end with the first one.
        let line = format!("DELETE {TRUSTS}/{first}");
        s.w.call(&line, &s.token, Value::Null, 204).await;
        for id in [&second, &third] {
            let line = format!("GET {TRUSTS}/{id}");
            s.w.call(&line, &s.admin, Value::Null, 404).await;
        }
        assert!(!s.is_valid(&last).await);
    }
}

#[tokio::test]
async fn trusts_end_with_a_trustee_who_redelegated_them() {
    let s = Setup::new().await;
    let first = s
        .trust(json!({"allow_redelegation": true, "redelegation_count": 1}))
        .await;
    let token = s.login("bob", &first).await.token();
    let more = json!({"trustor_user_id": s.bob, "trustee_user_id": s.eve});
    let second = s.create(&token, more, 201).await;
    assert_eq!(second["redelegation_count"], 0);
    let second = text(&second["id"]);
    assert_eq!(s.login("eve", &second).await.status, 201);
    // Ann loses a role that the trusts give.
    let member = s.w.roles(&s.admin).await["member"].clone();
    let grant = format!("/v3/projects/{}/users/{}/roles/{member}", s.project, s.ann);
    s.w.call(&format!("DELETE {grant}"), &s.admin, Value::Null, 204)
        .await;
    let got = s.login("eve", &second).await;
    assert_eq!(got.status, 403, "{}", got.body);
    assert_eq!(
        got.body["error"]["message"],
        "Trustee has no delegated roles."
    );
    s.w.call(&format!("PUT {grant}"), &s.admin, Value::Null, 204)
        .await;
    assert_eq!(s.login("eve", &second).await.status, 201);
    let line = format!("DELETE /v3/users/{}", s.bob);
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    assert_eq!(s.login("eve", &second).await.status, 401);
    let listed =
        s.w.call(&format!("GET {TRUSTS}"), &s.admin, Value::Null, 200)
            .await;
    assert_eq!(listed["trusts"], json!([]));
}

#[tokio::test]
async fn a_trustor_has_at_most_a_thousand_trusts() {
    let s = Setup::new().await;
    s.w.store_trusts(&s.ann, &s.bob, 999).await;
    s.trust(json!({})).await;
    let got = s.create(&s.token, json!({}), 403).await;
    let why = text(&got["error"]["message"]);
    assert!(why.contains("maximum of 1000"), "{why}");
}

/// A caller who sets the password of a trustee gets what others have delegated to the trustee.
#[tokio::test]
async fn a_trust_of_another_domain_protects_the_trustee() {
    let s = Setup::new().await;
    let made = async |noun: &str, fields: Value| {
        let line = format!("POST /v3/{noun}s");
        let made = s.w.call(&line, &s.admin, json!({noun: fields}), 201).await;
        text(&made[noun]["id"])
    };
    let acme = made("domain", json!({"name": "acme"})).await;
    let fields = |name: &str| json!({"name": name, "password": "secret", "domain_id": acme});
    let (boss, dev) = (
        made("user", fields("boss")).await,
        made("user", fields("dev")).await,
    );
    let manager = s.w.roles(&s.admin).await["manager"].clone();
    let line = format!("PUT /v3/domains/{acme}/users/{boss}/roles/{manager}");
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    let proof = json!({"methods": ["password"], "password": {"user":
        {"id": boss, "password": "secret"}}});
    let boss =
        s.w.auth(proof, json!({"domain": {"id": acme}}))
            .await
            .token();

    let line = format!("PATCH /v3/users/{dev}");
    let body = json!({"user": {"password": "stolen"}});
    let trust = s.trust(json!({"trustee_user_id": dev})).await;
    s.w.call(&line, &boss, body.clone(), 403).await;
    let delete = format!("DELETE {TRUSTS}/{trust}");
    s.w.call(&delete, &s.admin, Value::Null, 204).await;
    s.w.call(&line, &boss, body, 200).await;
}

#[tokio::test]
async fn a_role_of_a_domain_with_the_same_name_is_not_delegated() {
    let s = Setup::new().await;
    // One of these ids is before the id of the global role.
    for n in 0..8 {
        let domain = json!({"domain": {"name": format!("d{n}")}});
        let made = s.w.call("POST /v3/domains", &s.admin, domain, 201).await;
        let role = json!({"role": {"name": "member", "domain_id": made["domain"]["id"]}});
        s.w.call("POST /v3/roles", &s.admin, role, 201).await;
    }
    let trust = s.trust(json!({"roles": [{"name": "member"}]})).await;
    assert_eq!(s.login("bob", &trust).await.status, 201);
}

#[tokio::test]
async fn attributes_that_keystone_does_not_know_are_few() {
    let s = Setup::new().await;
    s.create(&s.token, json!({"note": "x".repeat(900)}), 201)
        .await;
    s.create(&s.token, json!({"note": "x".repeat(1100)}), 400)
        .await;
}

#[tokio::test]
async fn the_token_of_a_trust_manages_this_trust_only() {
    let s = Setup::new().await;
    let more = json!({"impersonation": true, "allow_redelegation": true});
    let trust = s.trust(more).await;
    let other = s.trust(json!({"trustee_user_id": s.eve})).await;
    let token = s.login("bob", &trust).await.token();
    let below = json!({"trustee_user_id": s.joe, "impersonation": true});
    let below = text(&s.create(&token, below, 201).await["id"]);
    let of_ann = format!("GET {TRUSTS}?trustor_user_id={}", s.ann);
    let listed = s.w.call(&of_ann, &token, Value::Null, 200).await;
    let mut ids: Vec<String> = listed["trusts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| text(&t["id"]))
        .collect();
    ids.sort();
    let mut expected = vec![trust.clone(), below.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    for verb in ["GET", "DELETE"] {
        let line = format!("{verb} {TRUSTS}/{other}");
        assert_eq!(s.status(&line, &token).await, 404, "{verb}");
    }
    assert_eq!(
        s.status(&format!("DELETE {TRUSTS}/{below}"), &token).await,
        204
    );
    assert_eq!(
        s.status(&format!("GET {TRUSTS}/{other}"), &s.token).await,
        200
    );
}
