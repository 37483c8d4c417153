//! Certificates: PEM files in, a TLS configuration out.
//!
//! Everything is judged here, once and at the start, because a client that finds
//! out at its first connection can only fail to connect.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

use crate::config::TlsFiles;

/// Reads and judges the files; the error names the field and the file.
pub(super) fn load(section: &str, files: &TlsFiles) -> Result<TlsConfig, String> {
    let mut config = TlsConfig::builder();
    if let Some(path) = &files.ca {
        let about = |what: String| complaint(section, "ca_file", path, &what);
        let certificates = certificates(path).map_err(about)?;
        let mut store = rustls::RootCertStore::empty();
        for certificate in &certificates {
            let der = CertificateDer::from(certificate.der());
            let added = store.add(der);
            added.map_err(|error| about(format!("holds no usable certificate: {error}")))?;
        }
        config = config.root_certs(RootCerts::new_with_certs(&certificates));
    }
    if let Some((cert_path, key_path)) = &files.client {
        let chain = certificates(cert_path);
        let chain = chain.map_err(|what| complaint(section, "cert_file", cert_path, &what))?;
        let key = private_key(key_path);
        let (key, key_der) = key.map_err(|what| complaint(section, "key_file", key_path, &what))?;
        check_pair(&chain, key_der).map_err(|error| {
            let what = format!(
                "cannot be used with the key of {}: {error}",
                key_path.display()
            );
            complaint(section, "cert_file", cert_path, &what)
        })?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

fn complaint(section: &str, field: &str, path: &Path, what: &str) -> String {
    format!("{section}.{field}: {}: {what}", path.display())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("cannot be read: {error}"),
    })
}

fn items(pem: &[u8]) -> Result<Vec<PemItem<'static>>, String> {
    ureq::tls::parse_pem(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let mut found = Vec::new();
    for item in items(&read(path)?)? {
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err("has no certificate (-----BEGIN CERTIFICATE-----)".to_owned());
    }
    Ok(found)
}

/// The key, as the client wants it and as it can be judged.
fn private_key(path: &Path) -> Result<(PrivateKey<'static>, PrivateKeyDer<'static>), String> {
    let pem = read(path)?;
    let key = items(&pem)?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    if let (Some(key), Ok(der)) = (key, PrivateKeyDer::from_pem_slice(&pem)) {
        return Ok((key, der));
    }
    let encrypted = pem.windows(9).any(|window| window == b"ENCRYPTED");
    Err(if encrypted {
        "is encrypted; take the passphrase off (openssl pkey -in OLD -out NEW)".to_owned()
    } else {
        "has no private key (-----BEGIN PRIVATE KEY-----)".to_owned()
    })
}

/// Whether a certificate chain and a key belong together.
fn check_pair(chain: &[Certificate<'_>], key: PrivateKeyDer<'static>) -> Result<(), String> {
    let chain = chain.iter().map(|c| CertificateDer::from(c.der().to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain.collect(), key)
        .map(drop)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_judged_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certified = || rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let (one, other) = (certified(), certified());
        let cert = write("cert", &one.cert.pem());
        let key = write("key", &one.signing_key.serialize_pem());
        let foreign_key = write("foreign", &other.signing_key.serialize_pem());
        let text = write("text", "hello");
        let cut = write("cut", "-----BEGIN CERTIFICATE-----\nAAAA\n");
        let junk = write(
            "junk",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let missing = folder.path().join("missing");

        let ca = |path: &Path| {
            load(
                "exporters.otel",
                &TlsFiles {
                    ca: Some(path.to_owned()),
                    client: None,
                },
            )
        };
        let client = |cert: &Path, key: &Path| {
            load(
                "exporters.otel",
                &TlsFiles {
                    ca: None,
                    client: Some((cert.to_owned(), key.to_owned())),
                },
            )
        };
        assert!(ca(&cert).is_ok() && client(&cert, &key).is_ok());
        for (result, expected) in [
            (ca(&missing), "ca_file: {missing}: there is no such file"),
            (ca(&text), "ca_file: {text}: has no certificate"),
            (ca(&cut), "ca_file: {cut}: is not PEM"),
            (ca(&junk), "ca_file: {junk}: holds no usable certificate"),
            (client(&key, &key), "cert_file: {key}: has no certificate"),
            (client(&cert, &cert), "key_file: {cert}: has no private key"),
            (
                client(&cert, &foreign_key),
                "cert_file: {cert}: cannot be used with the key of",
            ),
        ] {
            let mut expected = format!("exporters.otel.{expected}");
            for name in ["missing", "text", "cut", "junk", "key", "cert"] {
                let path = folder.path().join(name).display().to_string();
                expected = expected.replace(&format!("{{{name}}}"), &path);
            }
            let error = result.unwrap_err();
            assert!(error.starts_with(&expected), "{error}\nnot\n{expected}");
        }
    }
}
