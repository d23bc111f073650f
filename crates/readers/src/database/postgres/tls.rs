//! Encrypted connections, by rustls.
//!
//! Certificates are always looked at: those of the authorities that the machine trusts count, or those in the file that the
//! variable `SSL_CERT_FILE` names. The arithmetic is ring's, as that of the other readers that
//! encrypt.

use std::sync::Arc;

use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

pub(super) fn connector() -> Result<MakeRustlsConnect, Error> {
    let mut authorities = RootCertStore::empty();
    // Of a machine without any, no server is trusted, which its certificate's error then says.
    authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
