//! Kubernetes: certificates of nodes by purpose, and those of users.

use kernel::Timestamp;
use pki::first_der;
use serde_json::{Value, json};
use std::time::Duration;
use x509_parser::prelude::*;

use super::fixture::*;
use super::kube::{accepted, hello};
use super::nodes::{node_name, session};

/// A request for names that must not be granted.
pub(super) fn csr() -> String {
    let mut params = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let mut say = |kind, text| params.distinguished_name.push(kind, text);
    say(rcgen::DnType::CommonName, "admin");
    say(rcgen::DnType::OrganizationName, "system:masters");
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

pub(super) struct CertificateSummary {
    pub(super) subject: String,
    pub(super) names: Vec<String>,
    pub(super) client: bool,
    pub(super) server: bool,
}

pub(super) fn read(pem: &str, ca: &str) -> CertificateSummary {
    let der = first_der(pem, &["CERTIFICATE"]).unwrap();
    let ca = first_der(ca, &["CERTIFICATE"]).unwrap();
    let (_, cert) = parse_x509_certificate(&der).unwrap();
    let (_, ca) = parse_x509_certificate(&ca).unwrap();
    cert.verify_signature(Some(ca.public_key())).unwrap();
    let usage = cert.extended_key_usage().unwrap().unwrap().value;
    let mut names: Vec<String> = cert
        .subject_alternative_name()
        .unwrap()
        .map(|san| {
            let text = |n: &GeneralName<'_>| match n {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(ip) => {
                    let parts: Vec<String> = ip.iter().map(u8::to_string).collect();
                    parts.join(".")
                }
                other => format!("{other:?}"),
            };
            san.value.general_names.iter().map(text).collect()
        })
        .unwrap_or_default();
    names.sort();
    CertificateSummary {
        subject: cert.subject().to_string(),
        names,
        client: usage.client_auth,
        server: usage.server_auth,
    }
}

async fn ask(w: &Fixture, session: &str, purpose: &str) -> TestResponse {
    let body = json!({ "csr": csr(), "purpose": purpose });
    w.node(session, "POST", "csr", body).await
}

#[tokio::test]
async fn nodes_get_the_names_of_their_purpose_and_no_other() {
    let w = Fixture::new().await;
    let id = accepted(&w, json!({})).await;
    hello(&w, &id, "master", "0").await;
    hello(&w, &id, "node", "0").await;
    let (m, n) = (node_name(&w, "master", "0"), node_name(&w, "node", "0"));
    let (master, worker) = (session("master0"), session("node0"));
    let api = [
        "10.254.0.1",
        "10.64.0.10",
        "127.0.0.1",
        m.as_str(),
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    let mut api: Vec<&str> = api.to_vec();
    api.sort_unstable();
    let kubelet = format!("O=system:nodes, CN=system:node:{n}");
    let agent = format!("O=system:masters, CN=jeroboam:agent:{m}");
    let etcd = format!("CN={m}");
    let mut peer = vec!["10.64.0.10", "127.0.0.1", m.as_str(), "localhost"];
    peer.sort_unstable();
    let none: Vec<&str> = Vec::new();
    // Columns: purpose, requester, CA, subject, names, client, server.
    let cases = [
        (
            "kubelet",
            &worker,
            "kubernetes",
            kubelet.as_str(),
            vec!["10.64.0.20", n.as_str()],
            true,
            true,
        ),
        (
            "kube-proxy",
            &worker,
            "kubernetes",
            "CN=system:kube-proxy",
            none.clone(),
            true,
            false,
        ),
        (
            "apiserver",
            &master,
            "kubernetes",
            "CN=kube-apiserver",
            api,
            false,
            true,
        ),
        (
            "apiserver-kubelet-client",
            &master,
            "kubernetes",
            "O=system:masters, CN=kube-apiserver-kubelet-client",
            none.clone(),
            true,
            false,
        ),
        (
            "controller-manager",
            &master,
            "kubernetes",
            "CN=system:kube-controller-manager",
            none.clone(),
            true,
            false,
        ),
        (
            "scheduler",
            &master,
            "kubernetes",
            "CN=system:kube-scheduler",
            none.clone(),
            true,
            false,
        ),
        (
            "admin",
            &master,
            "kubernetes",
            agent.as_str(),
            none.clone(),
            true,
            false,
        ),
        ("etcd", &master, "etcd", etcd.as_str(), peer, true, true),
        (
            "etcd-client",
            &master,
            "etcd",
            "CN=kube-apiserver-etcd-client",
            none.clone(),
            true,
            false,
        ),
        (
            "front-proxy-client",
            &master,
            "front-proxy",
            "CN=front-proxy-client",
            none,
            true,
            false,
        ),
    ];
    for (purpose, requester, ca, subject, names, client, server) in cases {
        let got = ask(&w, requester, purpose).await;
        assert_eq!(got.status, 200, "{purpose}: {}", got.body);
        let path = format!("/v1/certificates/c1?ca_cert_type={ca}");
        let shown = w.call(ALICE, "GET", &path, None).await;
        let shown = shown.body["pem"].as_str().unwrap();
        assert_eq!(got.body["ca"].as_str().unwrap().trim(), shown, "{purpose}");
        let seen = read(got.body["cert"].as_str().unwrap(), shown);
        assert_eq!(seen.subject, subject, "{purpose}");
        assert_eq!(seen.names, names, "{purpose}");
        assert_eq!((seen.client, seen.server), (client, server), "{purpose}");
        if !matches!(purpose, "kubelet" | "kube-proxy") {
            assert_eq!(ask(&w, &worker, purpose).await.status, 403, "{purpose}");
        }
    }
    for purpose in ["node", "dance"] {
        assert_eq!(ask(&w, &master, purpose).await.status, 400, "{purpose}");
    }
}

#[tokio::test]
async fn a_worker_cannot_pass_for_the_api_server() {
    let w = Fixture::new().await;
    let id = accepted(&w, json!({})).await;
    hello(&w, &id, "master", "0").await;
    let body = json!({ "cluster": id, "node": node_name(&w, "node", "0"),
        "token": w.token("node", "0"), "session": session("node0"), "boot": 1,
        "addresses": ["10.64.0.10", "10.254.0.1", "127.0.0.1", "kubernetes", "10.100.1.1", "10.64.0.20"] });
    assert_eq!(w.node("", "POST", "hello", body).await.status, 200);
    let got = ask(&w, &session("node0"), "kubelet").await;
    let seen = read(
        got.body["cert"].as_str().unwrap(),
        got.body["ca"].as_str().unwrap(),
    );
    assert_eq!(seen.names, ["10.64.0.20", &node_name(&w, "node", "0")]);
    // The certificate of the master contains its address even if another node
    // claims it.
    let got = ask(&w, &session("master0"), "apiserver").await;
    let seen = read(
        got.body["cert"].as_str().unwrap(),
        got.body["ca"].as_str().unwrap(),
    );
    assert!(seen.names.contains(&"10.64.0.10".to_owned()));
}

#[tokio::test]
async fn users_get_the_name_they_ask_for_from_the_ca_they_name() {
    let w = Fixture::new().await;
    accepted(&w, json!({})).await;
    let mut pems = Vec::new();
    for kind in [
        "kubernetes",
        "etcd",
        "front-proxy",
        "front_proxy",
        "kubelet",
    ] {
        let path = format!("/v1/certificates/c1?ca_cert_type={kind}");
        let shown = w.call(ALICE, "GET", &path, None).await;
        let ca = shown.body["pem"].as_str().unwrap().to_owned();
        let body = json!({ "cluster_uuid": "c1", "csr": csr(), "ca_cert_type": kind });
        let got = w.call(ALICE, "POST", "/v1/certificates", Some(body)).await;
        assert_eq!(got.status, 201, "{}", got.body);
        assert_eq!(got.body["ca_cert_type"], kind);
        let seen = read(got.body["pem"].as_str().unwrap(), &ca);
        assert_eq!(seen.subject, "CN=admin, O=system:masters");
        assert!(seen.client && !seen.server);
        pems.push(ca);
    }
    assert_eq!((&pems[2], &pems[0]), (&pems[3], &pems[4]));
    assert!(pems[0] != pems[1] && pems[1] != pems[2] && pems[0] != pems[2]);
}

#[tokio::test]
async fn a_certificate_may_be_short_and_bound_to_its_caller() {
    let w = Fixture::new().await;
    accepted(&w, json!({})).await;
    let sign = async |more: Value| {
        let mut body = json!({ "cluster_uuid": "c1", "csr": csr() });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        w.call(ALICE, "POST", "/v1/certificates", Some(body)).await
    };
    let ca = w.call(ALICE, "GET", "/v1/certificates/c1", None).await;
    let ca = ca.body["pem"].as_str().unwrap().to_owned();
    let end = |got: &TestResponse| {
        let info = pki::CertInfo::from_pem(got.body["pem"].as_str().unwrap()).unwrap();
        info.not_after.since(kernel::clock::now()).as_secs()
    };
    let usual = sign(json!({})).await;
    let own = pki::CertInfo::from_pem(usual.body["pem"].as_str().unwrap()).unwrap();
    let of_ca = pki::CertInfo::from_pem(&ca).unwrap();
    assert!(
        of_ca.not_after.since(own.not_after) < Duration::from_mins(1),
        "Magnum's term"
    );

    let short = sign(json!({ "expiration_seconds": 3600 })).await;
    assert_eq!(short.status, 201, "{}", short.body);
    assert!((3500..=3600).contains(&end(&short)), "{}", end(&short));
    let seen = read(short.body["pem"].as_str().unwrap(), &ca);
    assert_eq!(seen.subject, "CN=admin, O=system:masters");
    for wrong in [json!(59), json!(157_680_001), json!("soon")] {
        let got = sign(json!({ "expiration_seconds": wrong })).await;
        assert_eq!(got.status, 400, "{wrong}");
    }

    let bound = sign(json!({ "bind_to_caller": true, "expiration_seconds": 600 })).await;
    assert_eq!(bound.status, 201, "{}", bound.body);
    assert!((500..=600).contains(&end(&bound)));
    let seen = read(bound.body["pem"].as_str().unwrap(), &ca);
    assert!(
        seen.subject.contains("CN=jeroboam:user:alice"),
        "{}",
        seen.subject
    );
    assert!(
        seen.subject.contains("O=jeroboam:project:p1, "),
        "{}",
        seen.subject
    );
    assert!(
        seen.subject.contains("O=jeroboam:role:member"),
        "{}",
        seen.subject
    );
    assert!(!seen.subject.contains("system:"), "{}", seen.subject);
    assert!(seen.client && !seen.server && seen.names.is_empty());
    let got = sign(json!({ "bind_to_caller": true, "ca_cert_type": "etcd" })).await;
    assert_eq!(got.status, 400, "{}", got.body);
}

/// A clock that a test steps.
pub(super) struct Steps(pub(super) std::cell::Cell<Timestamp>);

impl kernel::clock::Simulated for Steps {
    fn now(&self) -> Timestamp {
        self.0.get()
    }
    fn database_now(&self) -> Timestamp {
        self.0.get()
    }
    fn advance(&self, _: i64) {}
}

#[tokio::test]
async fn cas_are_renewed_with_their_keys_before_they_end() {
    const DAY: Duration = Duration::from_hours(24);
    let now = std::rc::Rc::new(Steps(std::cell::Cell::new(kernel::clock::now())));
    kernel::clock::simulate(Some(now.clone()));
    let w = Fixture::new().await;
    let id = accepted(&w, json!({})).await;
    assert_eq!(hello(&w, &id, "master", "0").await.status, 200);
    let master = session("master0");
    let grant = async |purpose: &str| {
        let got = ask(&w, &master, purpose).await;
        assert_eq!(got.status, 200, "{purpose}: {}", got.body);
        let text = |of: &str| got.body[of].as_str().unwrap().to_owned();
        (text("cert"), text("ca"))
    };
    let end = |pem: &str| pki::CertInfo::from_pem(pem).unwrap().not_after;
    let purposes = ["kubelet", "etcd", "front-proxy-client"];
    let mut before = Vec::new();
    for purpose in purposes {
        before.push(grant(purpose).await);
    }
    now.0.set(now.0.get() + DAY * 1200);
    for (purpose, (_, ca)) in purposes.iter().zip(&before) {
        assert_eq!(&grant(purpose).await.1, ca, "{purpose}: not due yet");
    }
    now.0.set(now.0.get() + DAY * 30);
    for (purpose, (cert, ca)) in purposes.iter().zip(&before) {
        let (next, renewed) = grant(purpose).await;
        assert_eq!(end(&renewed).since(end(ca)), DAY * 1230, "{purpose}");
        // Each of the two CAs verifies both certificates.
        for (leaf, ca) in [(cert, &renewed), (&next, ca), (&next, &renewed)] {
            read(leaf, ca);
        }
        assert_eq!(grant(purpose).await.1, renewed, "{purpose}: once");
    }
    let shown = w.call(ALICE, "GET", "/v1/certificates/c1", None).await;
    let shown = shown.body["pem"].as_str().unwrap().to_owned();
    assert_eq!(end(&shown), end(&grant("kubelet").await.1));
    let progress = w.own_target(ALICE, "/clusters/c1/progress").await;
    let listed = progress.body["authorities"].as_array().unwrap();
    let names: Vec<&Value> = listed.iter().map(|a| &a["name"]).collect();
    assert_eq!(names, ["cluster", "etcd", "front-proxy"]);
    let expires = end(&shown).iso_z();
    assert_eq!(listed[0]["expires"], expires);
    kernel::clock::simulate(None);
}

#[tokio::test]
async fn a_rotation_that_cannot_be_done_changes_nothing() {
    let w = Fixture::new().await;
    let id = accepted(&w, json!({})).await;
    w.complete().await;
    let before = w.call(ALICE, "GET", "/v1/certificates/c1", None).await.body;
    let got = w.call(ALICE, "PATCH", "/v1/certificates/c1", None).await;
    assert_eq!(got.status, 400);
    let after = w.call(ALICE, "GET", "/v1/certificates/c1", None).await.body;
    assert_eq!(before["pem"], after["pem"]);
    assert_eq!(w.show(&id).await["status"], "CREATE_COMPLETE");
    let swarm: Value = w
        .call(ALICE, "GET", "/v1/certificates/none", None)
        .await
        .body;
    assert_eq!(swarm["errors"][0]["status"], 404);
}

#[tokio::test]
async fn every_master_and_the_balancer_are_in_the_names_of_the_api_server() {
    let w = Fixture::new().await;
    let body = json!({ "name": "k3", "coe": "kubernetes", "image_id": "kube",
        "external_network_id": "public", "apiserver_port": 7443, "master_lb_enabled": true });
    let got = w
        .call(ALICE, "POST", "/v1/clustertemplates", Some(body))
        .await;
    assert_eq!(got.status, 201, "{}", got.body);
    let new = json!({ "name": "c3", "cluster_template_id": "k3", "master_count": 3 });
    let got = w.call(ALICE, "POST", "/v1/clusters", Some(new)).await;
    assert_eq!(got.status, 202, "{}", got.body);
    w.settle().await;
    let id = got.body["uuid"].as_str().unwrap().to_owned();
    for index in ["2", "0", "1"] {
        let got = hello(&w, &id, "master", index).await.body;
        assert_eq!(got["first_manager"], index == "0");
        assert_eq!(got["kubernetes"]["masters"], 3);
        assert_eq!(got["kubernetes"]["api_port"], 7443);
    }
    let peers = async || {
        let s = session("master1");
        w.node(&s, "GET", "peers", Value::Null).await.body
    };
    // No node may claim the address of a master as the cluster address.
    assert_eq!(peers().await["api"], Value::Null);
    let (name, token, parts) = {
        let heat = w.heat.lock();
        let hot: Value = serde_json::from_str(&heat.template).unwrap();
        let name = format!("{}-balancer", heat.parameters["name"].as_str().unwrap());
        assert_eq!(hot["resources"]["balancer"]["properties"]["name"], name);
        assert_eq!(heat.parameters["wait_count"], 5);
        assert_eq!(heat.parameters["node_count"], 1);
        let token = heat.parameters["balancer_token"].clone();
        (name, token, hot["outputs"]["balancer_address"].clone())
    };
    assert_eq!(
        parts["value"]["get_attr"],
        json!(["balancer", "first_address"])
    );
    let s = session("balancer0");
    let body = json!({ "cluster": id, "node": name, "token": token, "session": s,
        "addresses": ["10.64.0.40"], "boot": 1 });
    let got = w.node("", "POST", "hello", body).await;
    assert_eq!((got.status, &got.body["role"]), (200, &json!("balancer")));
    let plan = &got.body["kubernetes"];
    assert_eq!(plan["node_pod_cidr"], "");
    assert_eq!(plan["service_account_key"], Value::Null);
    assert!(plan["ca"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    for purpose in ["kubelet", "apiserver", "admin"] {
        assert_eq!(ask(&w, &s, purpose).await.status, 403, "{purpose}");
    }
    let seen = json!({ "nodes": [], "ipvs": false, "version": "v1" });
    assert_eq!(w.node(&s, "POST", "observed", seen).await.status, 403);

    let seen = peers().await;
    assert_eq!(seen["api"], "10.64.0.40:7443");
    let got = ask(&w, &session("master2"), "apiserver").await;
    let seen = read(
        got.body["cert"].as_str().unwrap(),
        got.body["ca"].as_str().unwrap(),
    );
    for ip in ["10.64.0.10", "10.64.0.11", "10.64.0.12", "10.64.0.40"] {
        assert!(
            seen.names.contains(&ip.to_owned()),
            "{ip}: {:?}",
            seen.names
        );
    }
    w.stack(|s| {
        let s = s.as_mut().unwrap();
        s.outputs
            .insert("balancer_address".into(), json!("10.64.0.40"));
    })
    .await;
    w.complete().await;
    let shown = w.show(&id).await;
    assert_eq!(shown["api_address"], "https://10.64.0.40:7443");
    assert_eq!(shown["node_addresses"].as_array().unwrap().len(), 2);
}
