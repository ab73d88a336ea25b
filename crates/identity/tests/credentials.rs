//! Credentials of users: secrets that are sealed in the database, and that only their
//! owners and administrators reach.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use fixture::{Fixture, project, text};
use serde_json::{Value, json};

/// A member of the project `home`, and a member of another project.
struct Setup {
    w: Fixture,
    admin: String,
    home: String,
    other: String,
    ada: String,
    ada_token: String,
    bob: String,
    bob_token: String,
}

impl Setup {
    async fn start() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        let made = async |noun: &str, fields: Value| {
            let line = format!("POST /v3/{noun}s");
            let made = w.call(&line, &admin, json!({noun: fields}), 201).await;
            text(&made[noun]["id"])
        };
        let roles = w.roles(&admin).await;
        let member = async |name: &str, of: &str, role: &str| {
            let user = made("user", json!({"name": name, "password": "p"})).await;
            let path = format!("/v3/projects/{of}/users/{user}/roles/{}", roles[role]);
            w.call(&format!("PUT {path}"), &admin, Value::Null, 204)
                .await;
            user
        };
        let home = made("project", json!({"name": "home"})).await;
        let other = made("project", json!({"name": "other"})).await;
        let ada = member("ada", &home, "member").await;
        let bob = member("bob", &other, "reader").await;
        let ada_token = w.login("ada", "p", project("home")).await.token();
        let bob_token = w.login("bob", "p", project("other")).await.token();
        Self {
            w,
            admin,
            home,
            other,
            ada,
            ada_token,
            bob,
            bob_token,
        }
    }

    async fn post(&self, token: &str, fields: Value, status: u16) -> Value {
        let body = json!({"credential": fields});
        let line = "POST /v3/credentials";
        self.w.call(line, token, body, status).await
    }

    async fn get(&self, token: &str, path: &str, status: u16) -> Value {
        let line = format!("GET /v3/{path}");
        self.w.call(&line, token, Value::Null, status).await
    }

    async fn pair(&self, token: &str, user: &str, project: &str, status: u16) -> Value {
        let line = format!("POST /v3/users/{user}/credentials/OS-EC2");
        let body = json!({"tenant_id": project});
        self.w.call(&line, token, body, status).await
    }
}

fn message(answer: &Value) -> &str {
    answer["error"]["message"].as_str().unwrap()
}

fn ids(list: &Value) -> Vec<String> {
    let mut ids: Vec<String> = list["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| text(&c["id"]))
        .collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_credential_is_created_listed_changed_and_deleted() {
    let s = Setup::start().await;
    let fields = json!({"type": "cert", "blob": "pem", "user_id": s.ada, "label": "x"});
    let made = s.post(&s.ada_token, fields, 201).await;
    let id = text(&made["credential"]["id"]);
    assert_eq!(id.len(), 32);
    let own = format!("http://{}/identity/v3/credentials/{id}", s.w.at);
    let want = json!({"id": id, "type": "cert", "blob": "pem", "user_id": s.ada,
        "project_id": null, "label": "x", "links": {"self": own}});
    assert_eq!(made["credential"], want);
    assert_eq!(
        s.get(&s.ada_token, &format!("credentials/{id}"), 200).await,
        made
    );

    // The user of the token is the default.
    let fields = json!({"type": "totp", "blob": "seed", "project_id": s.home});
    let second = s.post(&s.ada_token, fields, 201).await;
    assert_eq!(second["credential"]["user_id"], json!(s.ada));
    let second = text(&second["credential"]["id"]);
    let third = s
        .post(&s.bob_token, json!({"type": "cert", "blob": "b"}), 201)
        .await;
    let third = text(&third["credential"]["id"]);
    let (ada, bob) = (&s.ada, &s.bob);
    for (token, query, want) in [
        (&s.ada_token, String::new(), vec![&id, &second]),
        (&s.ada_token, "?type=totp".to_owned(), vec![&second]),
        (&s.ada_token, "?type__contains=er".to_owned(), vec![&id]),
        (&s.ada_token, format!("?user_id={bob}"), vec![]),
        (&s.bob_token, String::new(), vec![&third]),
        (&s.admin, String::new(), vec![&id, &second, &third]),
        (&s.admin, "?type=cert".to_owned(), vec![&id, &third]),
        (&s.admin, format!("?user_id={ada}"), vec![&id, &second]),
        (&s.admin, format!("?user_id={ada}&type=cert"), vec![&id]),
    ] {
        let mut want = want;
        want.sort();
        let list = s.get(token, &format!("credentials{query}"), 200).await;
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), want, "{query}");
    }

    let line = format!("PATCH /v3/credentials/{id}");
    let patch = async |fields: Value, status: u16| {
        let body = json!({"credential": fields});
        s.w.call(&line, &s.ada_token, body, status).await
    };
    let changed = patch(json!({"blob": "new"}), 200).await;
    assert_eq!(changed["credential"]["blob"], "new");
    assert_eq!(changed["credential"]["label"], "x");
    patch(json!({}), 400).await;
    patch(json!({"blob": 1}), 400).await;
    for name in ["type", "user_id", "project_id"] {
        patch(json!({"blob": "x", name: s.bob}), 400).await;
    }
    let line = format!("DELETE /v3/credentials/{id}");
    s.w.call(&line, &s.ada_token, Value::Null, 204).await;
    let gone = s.w.call(&line, &s.admin, Value::Null, 404).await;
    assert_eq!(message(&gone), format!("Could not find credential: {id}."));
    s.get(&s.admin, &format!("credentials/{id}"), 404).await;
}

#[tokio::test]
async fn another_user_learns_nothing_about_a_credential() {
    let s = Setup::start().await;
    let fields = json!({"type": "cert", "blob": "pem"});
    let made = s.post(&s.ada_token, fields, 201).await;
    let id = text(&made["credential"]["id"]);
    let body = json!({"credential": {"blob": "x"}});
    for (verb, rule) in [("GET", "get"), ("PATCH", "update"), ("DELETE", "delete")] {
        for id in [&id, "unknown"] {
            let line = format!("{verb} /v3/credentials/{id}");
            let body = if verb == "PATCH" {
                body.clone()
            } else {
                Value::Null
            };
            let got = s.w.call(&line, &s.bob_token, body, 403).await;
            let want = format!(
                "You are not authorized to perform the requested action: identity:{rule}_credential."
            );
            assert_eq!(message(&got), want, "{line}");
        }
    }
    let fields = json!({"type": "cert", "blob": "b", "user_id": s.ada});
    s.post(&s.bob_token, fields, 403).await;
    let fields = json!({"type": "cert", "blob": "b", "user_id": "unknown"});
    s.post(&s.bob_token, fields.clone(), 403).await;
    let got = s.post(&s.admin, fields, 404).await;
    assert_eq!(message(&got), "Could not find user: unknown.");
    // A project without a role of the user does not exist for the user.
    for project in [&s.other, "unknown"] {
        let fields = json!({"type": "cert", "blob": "b", "project_id": project});
        let got = s.post(&s.ada_token, fields, 404).await;
        let want = format!("Could not find project: {project}.");
        assert_eq!(message(&got), want);
    }
    let fields = json!({"type": "cert", "blob": "b", "project_id": s.other, "user_id": s.ada});
    s.post(&s.admin, fields, 201).await;
}

#[tokio::test]
async fn blobs_are_sealed_and_read_after_a_rotation_of_the_keys() {
    let s = Setup::start().await;
    let fields = json!({"type": "cert", "blob": "first secret"});
    let made = s.post(&s.ada_token, fields, 201).await;
    let id = text(&made["credential"]["id"]);
    let sql = "SELECT blob_sealed AS found FROM identity_credential";
    let stored = s.w.stored(sql).await;
    assert!(stored[0].starts_with("jbs1.") && !stored[0].contains("secret"));
    let key = s.w.rotate_sealing_key();
    let shown = s.get(&s.ada_token, &format!("credentials/{id}"), 200).await;
    assert_eq!(shown["credential"]["blob"], "first secret");
    let line = format!("PATCH /v3/credentials/{id}");
    let body = json!({"credential": {"blob": "second secret"}});
    s.w.call(&line, &s.ada_token, body, 200).await;
    let stored = s.w.stored(sql).await;
    assert!(stored[0].starts_with(&format!("jbs1.{key}.")));
    let listed = s.get(&s.ada_token, "credentials", 200).await;
    assert_eq!(listed["credentials"][0]["blob"], "second secret");
    assert_eq!(s.w.unsealed().await, ["second secret"]);
}

#[tokio::test]
async fn what_a_credential_cannot_be_is_refused() {
    let s = Setup::start().await;
    let refused = async |fields: Value, status: u16| {
        let got = s.post(&s.ada_token, fields, status).await;
        let text = message(&got).to_owned();
        assert!(!text.contains("hidden"), "{text}");
        text
    };
    let got = refused(json!({"type": "cert"}), 400).await;
    assert_eq!(got, "'blob' is a required property");
    let got = refused(json!({"blob": "hidden"}), 400).await;
    assert_eq!(got, "'type' is a required property");
    refused(json!({"type": " ", "blob": "hidden"}), 400).await;
    refused(json!({"type": "x".repeat(256), "blob": "hidden"}), 400).await;
    refused(json!({"type": "cert", "blob": {"a": "hidden"}}), 400).await;
    refused(json!({"type": "cert", "blob": "hidden".repeat(4000)}), 400).await;
    refused(json!({"type": "cert", "blob": "b", "project_id": 1}), 400).await;

    let ec2 = |blob: &str| json!({"type": "ec2", "blob": blob, "project_id": s.home});
    let got = refused(ec2("hidden"), 400).await;
    assert_eq!(got, "Invalid blob in credential");
    let got = refused(ec2(r#"{"secret": "hidden"}"#), 400).await;
    assert!(got.starts_with("Expecting to find access in credential."));
    let got = refused(json!({"type": "ec2", "blob": r#"{"access": "a"}"#}), 400).await;
    assert_eq!(got, "'project_id' is a required property");

    // The id is the digest of the access key, so that a signed request finds it.
    let blob = r#"{"access": "abc", "secret": "hidden"}"#;
    let made = s.post(&s.ada_token, ec2(blob), 201).await;
    let id = text(&made["credential"]["id"]);
    assert_eq!(
        id,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let got = refused(ec2(blob), 409).await;
    assert_eq!(
        got,
        format!(
            "Conflict occurred attempting to store credential - Duplicate entry found with ID {id}."
        )
    );
    let line = format!("PATCH /v3/credentials/{id}");
    let patch = async |blob: &str, status: u16| {
        let body = json!({"credential": {"blob": blob}});
        s.w.call(&line, &s.ada_token, body, status).await
    };
    let got = patch(r#"{"access": "abc", "trust_id": "t"}"#, 400).await;
    assert_eq!(message(&got), "trust_id can not be updated for credential");
    patch("no JSON", 400).await;
    let changed = patch(r#"{"access": "def", "secret": "s"}"#, 200).await;
    assert_eq!(changed["credential"]["id"], json!(id));
}

#[tokio::test]
async fn a_user_has_a_limited_number_of_credentials() {
    let s = Setup::start().await;
    for _ in 0..100 {
        s.post(&s.ada_token, json!({"type": "cert", "blob": "b"}), 201)
            .await;
    }
    let got = s
        .post(&s.ada_token, json!({"type": "cert", "blob": "b"}), 403)
        .await;
    assert_eq!(
        message(&got),
        "Unable to create additional credentials, maximum of 100 already exceeded for user."
    );
    s.pair(&s.ada_token, &s.ada, &s.home, 403).await;
    s.post(&s.bob_token, json!({"type": "cert", "blob": "b"}), 201)
        .await;
}

#[tokio::test]
async fn a_key_pair_of_ec2_is_created_shown_and_deleted() {
    let s = Setup::start().await;
    let path = format!("users/{}/credentials/OS-EC2", s.ada);
    let made = s.pair(&s.ada_token, &s.ada, &s.home, 201).await;
    let pair = &made["credential"];
    let (access, secret) = (text(&pair["access"]), text(&pair["secret"]));
    assert_eq!((access.len(), secret.len()), (32, 32));
    assert_ne!(access, secret);
    let own = format!("http://{}/identity/v3/{path}/{access}", s.w.at);
    let want = json!({"user_id": s.ada, "tenant_id": s.home, "access": access,
        "secret": secret, "trust_id": null, "links": {"self": own}});
    assert_eq!(*pair, want);
    let one = format!("{path}/{access}");
    assert_eq!(s.get(&s.ada_token, &one, 200).await, made);
    let second = s.pair(&s.admin, &s.ada, &s.other, 201).await;
    s.post(&s.ada_token, json!({"type": "cert", "blob": "b"}), 201)
        .await;
    let list = s.get(&s.ada_token, &path, 200).await;
    let listed = list["credentials"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(pair) && listed.contains(&second["credential"]));
    // It is a credential like others.
    let list = s.get(&s.ada_token, "credentials?type=ec2", 200).await;
    assert_eq!(list["credentials"].as_array().unwrap().len(), 2);

    for (token, user, project, status) in [
        (&s.ada_token, &s.ada, "unknown", 404),
        (&s.ada_token, &s.ada, s.other.as_str(), 404),
        (&s.bob_token, &s.ada, s.home.as_str(), 403),
        // Only members create key pairs.
        (&s.bob_token, &s.bob, s.other.as_str(), 403),
    ] {
        s.pair(token, user, project, status).await;
    }
    let line = format!("POST /v3/{path}");
    for body in [json!({}), json!({"tenant_id": 1})] {
        s.w.call(&line, &s.ada_token, body, 400).await;
    }
    s.get(&s.bob_token, &path, 403).await;
    s.get(&s.bob_token, &one, 403).await;
    s.get(&s.bob_token, &format!("{path}/unknown"), 403).await;
    s.get(
        &s.admin,
        &format!("users/{}/credentials/OS-EC2/{access}", s.bob),
        404,
    )
    .await;
    s.get(&s.admin, "users/unknown/credentials/OS-EC2", 404)
        .await;
    s.get(&s.admin, &one, 200).await;

    let line = format!("DELETE /v3/{one}");
    s.w.call(&line, &s.bob_token, Value::Null, 403).await;
    s.w.call(&line, &s.ada_token, Value::Null, 204).await;
    s.w.call(&line, &s.ada_token, Value::Null, 404).await;
    s.get(&s.ada_token, &one, 404).await;
}

#[tokio::test]
async fn tokens_of_application_credentials_do_not_reach_credentials() {
    let s = Setup::start().await;
    let line = format!("POST /v3/users/{}/application_credentials", s.ada);
    let body = json!({"application_credential": {"name": "robot", "unrestricted": true}});
    let made = s.w.call(&line, &s.ada_token, body, 201).await;
    let made = &made["application_credential"];
    let identity = json!({"methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": made["secret"]}});
    let robot = s.w.auth(identity, Value::Null).await.token();
    let fields = json!({"type": "cert", "blob": "b"});
    let made = s.post(&s.ada_token, fields.clone(), 201).await;
    let id = text(&made["credential"]["id"]);

    let list = s.get(&robot, "credentials", 200).await;
    assert_eq!(list["credentials"], json!([]));
    let want = "You are not authorized to perform the requested action: Delegated tokens cannot \
                access credentials directly.";
    assert_eq!(message(&s.post(&robot, fields, 403).await), want);
    let got = s.get(&robot, &format!("credentials/{id}"), 403).await;
    assert_eq!(message(&got), want);
    let line = format!("DELETE /v3/credentials/{id}");
    s.w.call(&line, &robot, Value::Null, 403).await;
    let got = s.pair(&robot, &s.ada, &s.home, 403).await;
    assert_eq!(message(&got), want);
    let path = format!("users/{}/credentials/OS-EC2", s.ada);
    assert_eq!(message(&s.get(&robot, &path, 403).await), want);
}

#[tokio::test]
async fn credentials_end_with_their_user_and_their_project() {
    let s = Setup::start().await;
    s.pair(&s.ada_token, &s.ada, &s.home, 201).await;
    s.post(&s.ada_token, json!({"type": "cert", "blob": "b"}), 201)
        .await;
    s.post(&s.bob_token, json!({"type": "cert", "blob": "b"}), 201)
        .await;
    let count = async || {
        let list = s.get(&s.admin, "credentials", 200).await;
        list["credentials"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 3);
    let line = format!("DELETE /v3/projects/{}", s.home);
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    assert_eq!(count().await, 2);
    let line = format!("DELETE /v3/users/{}", s.ada);
    s.w.call(&line, &s.admin, Value::Null, 204).await;
    assert_eq!(count().await, 1);
}
