//! Certificates: files to what accepts TLS connections.
//! It does not renew them.

use crate::api::{Code, Error};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its key, each a file in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    /// What accepts connections with this certificate, over HTTP/2 and 1.1.
    pub fn acceptor(&self) -> Result<TlsAcceptor, Error> {
        let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_file_iter(&self.cert).and_then(Iterator::collect);
        let chain = chain.map_err(|cause| wrong(&self.cert, "certificate", &cause))?;
        if chain.is_empty() {
            return Err(wrong(&self.cert, "certificate", &"there is none in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|cause| wrong(&self.key, "private key", &cause))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|cause| wrong(&self.cert, "certificate", &cause))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn wrong(path: &Path, what: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::new(Code::InvalidArgument, format!("{what} \"{}\" cannot be used: {cause}", path.display()))
}
