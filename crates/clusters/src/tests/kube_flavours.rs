//! Images that were not built by Jeroboam: refusals, and CAs that are returned.

use compute::api::Image;
use serde_json::{Value, json};

use super::fixture::*;
use super::kube::{hello, ready};
use super::nodes::session;

/// Images of others, as an administrator registers them.
pub(super) fn of_others(name: &str) -> Option<Image> {
    let (reference, distro, said) = match name {
        "kind" => ("docker.io/kindest/node:v1.36.1@sha256:ab", "debian", None),
        "k3s" => ("rancher/k3s:v1.36.1-k3s1", "k3s", None),
        "odd" => ("registry.example.org/node:1", "debian", Some("minikube")),
        _ => return None,
    };
    let said = said.map(|word| ("node_flavour".to_owned(), word.to_owned()));
    Some(Image {
        id: name.into(),
        name: name.into(),
        status: "active".into(),
        os_distro: Some(distro.into()),
        properties: said.into_iter().collect(),
        reference: reference.into(),
    })
}

fn template(name: &str, coe: &str, image: &str) -> Value {
    json!({ "name": name, "coe": coe, "image_id": image, "external_network_id": "public",
        "keypair_id": "kp", "flavor_id": "m1.small", "master_flavor_id": "m1.small",
        "master_lb_enabled": true })
}

async fn post(w: &Fixture, path: &str, body: Value) -> TestResponse {
    w.call(ALICE, "POST", path, Some(body)).await
}

fn detail(got: &TestResponse) -> &str {
    got.body["errors"][0]["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn limits_of_an_image_are_reported_before_anything_is_created() {
    let w = Fixture::new().await;
    for (coe, image, text) in [
        (
            "kubernetes",
            "odd",
            "node_flavour: 'minikube' is no flavour of node images; use own, kindest or k3s, or \
             leave it out for an image whose name says it (kindest/node, rancher/k3s)",
        ),
        (
            "swarm",
            "kind",
            "Image kind is of the flavour kindest, which is for kubernetes; choose an image that \
             `jeroboam image build swarm` makes.",
        ),
    ] {
        let got = post(&w, "/v1/clustertemplates", template("t", coe, image)).await;
        assert_eq!((got.status, detail(&got)), (400, text));
    }
    for name in ["kind", "k3s"] {
        let got = post(
            &w,
            "/v1/clustertemplates",
            template(name, "kubernetes", name),
        )
        .await;
        assert_eq!(got.status, 201, "{}", got.body);
    }
    let cluster = |template: &str, more: Value| {
        let mut body = json!({ "name": "c", "cluster_template_id": template });
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        body
    };
    for (body, text) in [
        (
            cluster("kind", json!({ "master_count": 3 })),
            "master_count: 3 masters need the balancer that only our own image holds; with an \
             image of the flavour kindest there is 1, with `jeroboam image build kubernetes` \
             there may be more.",
        ),
        (
            cluster(
                "kind",
                json!({ "labels": { "dns_service_ip": "10.254.0.53" } }),
            ),
            "property \"labels/dns_service_ip\" with value \"10.254.0.53\" is not supported by \
             kubeadm, supported values are: 10.254.0.10, unspecified",
        ),
    ] {
        let got = post(&w, "/v1/clusters", body).await;
        assert_eq!((got.status, detail(&got)), (400, text));
    }
    let labels = json!({ "labels": { "dns_service_ip": "10.254.0.53" } });
    let got = post(&w, "/v1/clusters", cluster("k3s", labels)).await;
    assert_eq!(got.status, 202, "{}", got.body);
}

#[tokio::test]
async fn a_cluster_with_its_own_ca_returns_both_cas() {
    let w = Fixture::new().await;
    let got = post(
        &w,
        "/v1/clustertemplates",
        template("k", "kubernetes", "k3s"),
    )
    .await;
    assert_eq!(got.status, 201, "{}", got.body);
    let new = json!({ "name": "c1", "cluster_template_id": "k", "node_count": 1 });
    let got = post(&w, "/v1/clusters", new).await;
    assert_eq!(got.status, 202, "{}", got.body);
    w.settle().await;
    let id = got.body["uuid"].as_str().unwrap().to_owned();
    let path = format!("/v1/certificates/{id}");
    let pem = async || {
        let got = w.call(ALICE, "GET", &path, None).await;
        got.body["pem"].as_str().unwrap().to_owned()
    };
    let alone = pem().await;

    // The master needs the CA before it can verify other nodes.
    let welcome = hello(&w, &id, "master", "0").await;
    let sent = welcome.body["kubernetes"]["ca"].as_str().unwrap();
    assert_eq!(sent.trim(), alone.trim());
    assert!(!welcome.body.to_string().contains("CERTIFICATE\nPRIVATE"));

    let other = pki::Ca::generate("k3s-server-ca").unwrap();
    let news = |ca: &str| {
        json!({ "remote_addr": "10.64.0.10:6443", "worker_token": "K10ab::node:x",
            "manager_token": "K10ab::server:x", "ca": ca })
    };
    let m = session("master0");
    let mixed = format!("{}{}", other.cert_pem, other.key_pem);
    for wrong in ["no certificate", mixed.as_str()] {
        let got = w.node(&m, "POST", "published", news(wrong)).await;
        assert_eq!(got.status, 400, "{}", got.body);
    }
    let got = w.node(&m, "POST", "published", news(&other.cert_pem)).await;
    assert_eq!(got.status, 204, "{}", got.body);
    hello(&w, &id, "node", "0").await;
    let n = session("node0");
    let got = w.node(&n, "POST", "published", news(&other.cert_pem)).await;
    assert_eq!(got.status, 403, "{}", got.body);
    let ticket = w.node(&n, "GET", "join?wait=0", Value::Null).await;
    assert_eq!(ticket.body["token"], "K10ab::node:x");

    let both = pem().await;
    assert_eq!(
        both.trim(),
        format!("{}\n{}", alone.trim(), other.cert_pem.trim())
    );
    // Publishing again without the CA keeps it.
    let mut again = news("");
    again.as_object_mut().unwrap().remove("ca");
    let got = w.node(&m, "POST", "published", again).await;
    assert_eq!(got.status, 204, "{}", got.body);
    assert_eq!(pem().await, both);
    ready(&w, &id, "master", "0").await;
}
