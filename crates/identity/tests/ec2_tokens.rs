//! Tokens for requests that are signed with a key pair: for services, which send the
//! signature, and with the roles of the owner in the project of the key pair.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fixture;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use fixture::{Answer, Fixture, project, text};
use serde_json::{Value, json};

struct Setup {
    w: Fixture,
    admin: String,
    /// The project `demo`, and its user.
    project: String,
    user: String,
    demo: String,
    access: String,
    secret: String,
    /// A token with the role `service`.
    service: String,
}

impl Setup {
    async fn start() -> Self {
        let w = Fixture::start().await;
        let admin = w.admin().await;
        let login = w.login("demo", &w.demo_password, project("demo")).await;
        let demo = login.token();
        let token = &login.body["token"];
        let (user, home) = (text(&token["user"]["id"]), text(&token["project"]["id"]));
        let line = format!("POST /v3/users/{user}/credentials/OS-EC2");
        let made = w.call(&line, &demo, json!({"tenant_id": home}), 201).await;
        let pair = &made["credential"];
        let (access, secret) = (text(&pair["access"]), text(&pair["secret"]));
        let body = json!({"user": {"name": "s3", "password": "p"}});
        let made = w.call("POST /v3/users", &admin, body, 201).await;
        let of_service = text(&made["user"]["id"]);
        let role = &w.roles(&admin).await["service"];
        let path = format!("/v3/projects/{home}/users/{of_service}/roles/{role}");
        w.call(&format!("PUT {path}"), &admin, Value::Null, 204)
            .await;
        let service = w.login("s3", "p", project("demo")).await.token();
        Self {
            w,
            admin,
            project: home,
            user,
            demo,
            access,
            secret,
            service,
        }
    }

    /// A request of version 0, signed at a time.
    fn signed(&self, time: &str) -> Value {
        let params = json!({"SignatureVersion": "0", "Action": "Do", "Timestamp": time});
        json!({"access": self.access, "params": params,
            "signature": sign(&self.secret, &format!("Do{time}"))})
    }

    async fn send(&self, path: &str, token: &str, signed: &Value) -> Answer {
        let body = json!({"credentials": signed}).to_string();
        let line = format!("POST /v3/{path}");
        self.w.send(&line, token, "", &body).await
    }
}

fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

fn now() -> String {
    kernel::clock::now().iso_z()
}

fn minutes_ago(minutes: u64) -> String {
    let before = std::time::Duration::from_mins(minutes);
    (kernel::clock::now() - before).iso_z()
}

#[tokio::test]
async fn a_service_gets_a_token_of_the_owner() {
    let s = Setup::start().await;
    let signed = s.signed(&now());
    let got = s.send("ec2tokens", &s.service, &signed).await;
    assert_eq!(got.status, 200, "{}", got.body);
    let token = &got.body["token"];
    assert_eq!(token["methods"], json!(["ec2credential"]));
    assert_eq!(token["user"]["id"], json!(s.user));
    assert_eq!(token["project"]["id"], json!(s.project));
    let roles = token["roles"].as_array().unwrap();
    assert!(roles.iter().any(|r| r["name"] == "member"));
    assert!(token["catalog"].is_array());
    let header = got.headers.lines();
    let mut issued = header.filter_map(|l| l.strip_prefix("x-subject-token: "));
    let issued = issued.next_back().unwrap().trim().to_owned();

    // Services can validate it, but it gives no access to identity.
    let shown =
        s.w.send("GET /v3/auth/tokens", &s.service, &issued, "")
            .await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert_eq!(shown.body["token"]["methods"], token["methods"]);
    for line in [
        "GET /v3/auth/projects".to_owned(),
        format!("GET /v3/users/{}", s.user),
        format!("GET /v3/users/{}/credentials/OS-EC2", s.user),
    ] {
        let got = s.w.call(&line, &issued, Value::Null, 403).await;
        assert_eq!(
            got["error"]["message"],
            "EC2 credential tokens cannot be used for authorization."
        );
    }
    let identity = json!({"methods": ["token"], "token": {"id": issued}});
    let got = s.w.auth(identity, project("demo")).await;
    assert_eq!(got.status, 403, "{}", got.body);

    // The other names of the object in the body.
    for noun in ["credential", "ec2Credentials"] {
        let body = json!({noun: signed}).to_string();
        let got = s.w.send("POST /v3/ec2tokens", &s.admin, "", &body).await;
        assert_eq!(got.status, 200, "{}", got.body);
    }
}

#[tokio::test]
async fn a_signed_text_of_s3_gets_the_contents_of_a_token() {
    let s = Setup::start().await;
    let text = "GET\n\n\nSat, 28 Nov 2026 10:00:00 +0000\n/bucket/key";
    let mut signed = json!({"access": s.access, "token": URL_SAFE.encode(text),
        "signature": sign(&s.secret, text)});
    let got = s.send("s3tokens", &s.service, &signed).await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert_eq!(got.body["token"]["user"]["id"], json!(s.user));
    assert!(!got.headers.contains("x-subject-token"));
    signed["signature"] = json!(sign("wrong", text));
    let got = s.send("s3tokens", &s.service, &signed).await;
    assert_eq!(got.status, 401);
    let got = s.send("s3tokens", &s.demo, &signed).await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn other_callers_and_wrong_signatures_are_refused() {
    let s = Setup::start().await;
    let good = s.signed(&now());
    let status = async |token: &str, signed: &Value| {
        let got = s.send("ec2tokens", token, signed).await;
        if got.status == 401 {
            let generic = "The request you have made requires authentication.";
            assert_eq!(got.body["error"]["message"], generic);
        }
        got.status
    };
    assert_eq!(status("", &good).await, 401);
    assert_eq!(status(&s.demo, &good).await, 403);
    assert_eq!(status(&s.service, &good).await, 200);
    // A request is valid for 15 minutes.
    assert_eq!(status(&s.service, &s.signed(&minutes_ago(14))).await, 200);
    assert_eq!(status(&s.service, &s.signed(&minutes_ago(16))).await, 401);
    let later = kernel::clock::now() + std::time::Duration::from_mins(16);
    assert_eq!(status(&s.service, &s.signed(&later.iso_z())).await, 401);
    assert_eq!(status(&s.service, &s.signed("yesterday")).await, 401);
    for (name, value) in [
        ("signature", json!("wrong")),
        ("signature", json!(1)),
        ("signature", Value::Null),
        ("params", json!({})),
        ("params", json!([])),
        ("params", json!({"SignatureVersion": "3"})),
        ("params", json!({"SignatureVersion": {}})),
        ("access", Value::Null),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(status(&s.service, &bad).await, 401, "{bad}");
    }
    let mut unknown = good.clone();
    unknown["access"] = json!("unknown");
    let got = s.send("ec2tokens", &s.service, &unknown).await;
    assert_eq!(got.status, 404);
    assert_eq!(got.body["error"]["message"], "EC2 access key not found.");
    for body in ["", "{}", "[]"] {
        let got = s.w.send("POST /v3/ec2tokens", &s.service, "", body).await;
        assert_eq!(got.status, 400, "{body}: {}", got.body);
    }
}

#[tokio::test]
async fn a_key_pair_has_no_more_rights_than_its_owner() {
    let s = Setup::start().await;
    let status = async || {
        let signed = s.signed(&now());
        s.send("ec2tokens", &s.service, &signed).await.status
    };
    let admin = async |line: String, body: Value, status: u16| {
        s.w.call(&line, &s.admin, body, status).await
    };
    assert_eq!(status().await, 200);
    let user = format!("/v3/users/{}", s.user);
    let enabled = |enabled: bool| json!({"user": {"enabled": enabled}});
    admin(format!("PATCH {user}"), enabled(false), 200).await;
    assert_eq!(status().await, 401);
    admin(format!("PATCH {user}"), enabled(true), 200).await;
    assert_eq!(status().await, 200);
    let home = format!("/v3/projects/{}", s.project);
    let path = format!("{home}/users/{}/roles", s.user);
    let roles = admin(format!("GET {path}"), Value::Null, 200).await;
    for role in roles["roles"].as_array().unwrap() {
        let line = format!("DELETE {path}/{}", text(&role["id"]));
        admin(line, Value::Null, 204).await;
    }
    assert_eq!(status().await, 401);

    // A blob with the limits of a delegation gives no token.
    let member = &s.w.roles(&s.admin).await["member"];
    admin(format!("PUT {path}/{member}"), Value::Null, 204).await;
    assert_eq!(status().await, 200);
    let blob = json!({"access": "limited", "secret": s.secret, "app_cred_id": "x"}).to_string();
    let fields = json!({"type": "ec2", "blob": blob, "project_id": s.project, "user_id": s.user});
    let body = json!({"credential": fields});
    admin("POST /v3/credentials".to_owned(), body, 201).await;
    let mut limited = s.signed(&now());
    limited["access"] = json!("limited");
    let got = s.send("ec2tokens", &s.service, &limited).await;
    assert_eq!(got.status, 401);

    let line = format!("DELETE {user}/credentials/OS-EC2/{}", s.access);
    admin(line, Value::Null, 204).await;
    assert_eq!(status().await, 404);
}
