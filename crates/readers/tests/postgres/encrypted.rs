//! Encrypted connections, to a server whose certificate only who is told of it trusts.

use std::process::Command;

use rowmark_rows::Row;

use super::server::Server;
use super::{Query, all, check_error};

/// The server's certificate, as `.ci/postgres` sets it.
const CERTIFICATE: &str = "ROWMARK_TEST_POSTGRES_CERTIFICATE";

#[test]
fn connections_are_encrypted_and_certificates_are_looked_at() {
    const IS_CHILD: &str = "ROWMARK_TEST_POSTGRES_TRUSTS";
    let (Some(server), Some(certificate)) = (Server::of_tests(), std::env::var_os(CERTIFICATE)) else {
        return;
    };
    let ask = |mode: &str| {
        let url = server.url().replace("sslmode=disable", mode);
        Query::new(
            url,
            "select ssl, version like 'TLS%' as tls from pg_stat_ssl where pid = pg_backend_pid()",
        )
    };
    if std::env::var_os(IS_CHILD).is_some() {
        for (mode, expected) in
            [("sslmode=require", "{ssl: true, tls: true}"), ("sslmode=disable", "{ssl: false, tls: null}")]
        {
            assert_eq!(all::<Row>(ask(mode)).unwrap()[0].to_string(), expected);
        }
        return;
    }
    for mode in ["sslmode=require", "sslmode=prefer"] {
        check_error::<Row>(
            ask(mode),
            "invalid peer certificate: UnknownIssuer; its certificate is to be of an authority that",
        );
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["encrypted::connections_are_encrypted_and_certificates_are_looked_at", "--exact"])
        .env(IS_CHILD, "")
        .env("SSL_CERT_FILE", certificate)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}
