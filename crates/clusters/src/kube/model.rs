//! The secrets and ranges of a Kubernetes cluster; keys are sealed.

use kernel::Result;
use pki::{Ca, Sealer};

use crate::ClusterId;
use crate::coe::kubernetes::networks::Networks;
use crate::coe::kubernetes::profiles::Authority;

/// A CA as stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredCa {
    pub(crate) cert: String,
    pub(crate) key_sealed: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Kube {
    pub(crate) networks: Networks,
    pub(crate) etcd: StoredCa,
    pub(crate) front_proxy: StoredCa,
    /// Key that signs the tokens of service accounts.
    pub(crate) token_key_sealed: String,
}

fn purpose(cluster: &ClusterId, what: &str) -> String {
    format!("cluster/{cluster}/{what}")
}

const ETCD: &str = "etcd-ca-key";
const FRONT_PROXY: &str = "front-proxy-ca-key";
const TOKENS: &str = "service-account-key";

impl Kube {
    /// Makes the CAs and the key of a new cluster.
    pub(crate) fn new(sealer: &Sealer, cluster: &ClusterId, networks: Networks) -> Result<Self> {
        let authority = |name: &str, what: &str| -> Result<StoredCa> {
            let ca = Ca::generate(name)?;
            Ok(StoredCa {
                key_sealed: sealer.seal(&purpose(cluster, what), ca.key_pem.as_bytes())?,
                cert: ca.cert_pem,
            })
        };
        Ok(Self {
            networks,
            etcd: authority("etcd-ca", ETCD)?,
            front_proxy: authority("front-proxy-ca", FRONT_PROXY)?,
            token_key_sealed: sealer
                .seal(&purpose(cluster, TOKENS), pki::token_key()?.as_bytes())?,
        })
    }

    /// Returns one of the additional CAs as stored.
    pub(crate) fn stored(&self, which: Authority) -> Option<&StoredCa> {
        match which {
            Authority::Cluster => None,
            Authority::Etcd => Some(&self.etcd),
            Authority::FrontProxy => Some(&self.front_proxy),
        }
    }

    /// Returns one of the additional CAs with its key, for signing.
    pub(crate) fn authority(
        &self,
        sealer: &Sealer,
        cluster: &ClusterId,
        which: Authority,
    ) -> Result<Option<Ca>> {
        let what = if which == Authority::Etcd {
            ETCD
        } else {
            FRONT_PROXY
        };
        self.stored(which)
            .map(|ca| {
                let key = sealer.unseal_text(&purpose(cluster, what), &ca.key_sealed)?;
                Ok(Ca {
                    cert_pem: ca.cert.clone(),
                    key_pem: key.to_string(),
                })
            })
            .transpose()
    }

    /// PEM of the key that signs service account tokens.
    pub(crate) fn token_key(&self, sealer: &Sealer, cluster: &ClusterId) -> Result<String> {
        let key = sealer.unseal_text(&purpose(cluster, TOKENS), &self.token_key_sealed)?;
        Ok(key.to_string())
    }
}
