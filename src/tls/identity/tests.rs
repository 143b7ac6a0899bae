use super::*;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use testkit::temp_file;

/// A chain of three, root last, and the key of the first.
struct Chain {
    server: String,
    between: String,
    root: String,
    key: String,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn chain(change: impl FnOnce(&mut CertificateParams)) -> Chain {
    let (root_key, between_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let root = authority("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(authority("root"), root_key);
    let between = authority("between");
    let between = between.signed_by(&between_key, &root_issuer).unwrap();
    let issuer = Issuer::new(authority("between"), between_key);
    let mut server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut server);
    Chain {
        server: server.signed_by(&key, &issuer).unwrap().pem(),
        between: between.pem(),
        root: root.pem(),
        key: key.serialize_pem(),
    }
}

/// What is said of two files with these texts, with CERT and KEY for their names.
fn read_texts(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
    let (cert, key) = (temp_file(cert), temp_file(key));
    let named = |text: String| {
        text.replace(cert.path().to_str().unwrap(), "CERT")
            .replace(key.path().to_str().unwrap(), "KEY")
    };
    match Identity::read(cert.path(), key.path()) {
        Ok(identity) => Ok(identity.warnings.into_iter().map(named).collect()),
        Err(error) => Err(named(error.to_string())),
    }
}

#[test]
fn a_whole_chain_in_order_is_fine() {
    let Chain {
        server,
        between,
        root,
        key,
    } = chain(|_| {});
    for certs in [
        server.clone(),
        format!("{server}{between}"),
        format!("{server}\n# comment\n{between}{root}"),
        format!("{key}{server}{between}"),
    ] {
        assert_eq!(read_texts(certs, &key), Ok(Vec::new()));
    }
    let both = format!("{key}{server}");
    assert_eq!(read_texts(&both, &both), Ok(Vec::new()));
}

#[test]
fn a_chain_in_the_wrong_order_is_named() {
    let Chain {
        server,
        between,
        root,
        key,
    } = chain(|_| {});
    let error = read_texts(format!("{root}{between}{server}"), &key).unwrap_err();
    let expected = "the certificates in CERT are in the wrong order: the server's own comes first";
    assert_eq!(error, expected);
    let warnings = read_texts(format!("{server}{root}{between}"), &key).unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with(
            "certificate 2 in CERT is not the one that number 1 is signed by, some clients"
        ),
        "{warnings:?}"
    );
}

#[test]
fn a_certificate_out_of_its_time_is_warned_of() {
    let old = chain(|server| {
        server.not_before = rcgen::date_time_ymd(2020, 1, 1);
        server.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let expired = "certificate 1 in CERT has expired, clients will refuse it";
    assert_eq!(
        read_texts(old.server, old.key),
        Ok(vec![expired.to_owned()])
    );
    let early = chain(|server| server.not_before = rcgen::date_time_ymd(3000, 1, 1));
    let warnings = read_texts(early.server, early.key).unwrap();
    assert!(warnings[0].starts_with("certificate 1 in CERT is not valid yet"));
}

#[test]
fn files_without_what_is_looked_for_are_named_with_the_way_out() {
    let Chain { server, key, .. } = chain(|_| {});
    let other = chain(|_| {}).key;
    let no_certificate =
        "no certificate in CERT: the server's own in PEM format, then those it is signed by";
    let encrypted = "the key in KEY is encrypted, take off its password: \
                     openssl pkey -in KEY -out key.pem";
    let pkcs8 = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n";
    let mut der: &[u8] = &[0x30, 0x82, 1, 2];
    for (cert, key, expected) in [
        ("", &*key, no_certificate),
        (&*key, &*key, no_certificate),
        (
            &*server,
            "",
            "no private key in KEY: it takes one in PEM format, without a password",
        ),
        (&*server, &*pkcs8, encrypted),
        (&*server, older, encrypted),
        (
            &*server,
            &*other,
            "the key in KEY does not belong to the certificate in CERT",
        ),
    ] {
        assert_eq!(read_texts(cert, key).unwrap_err(), expected);
    }
    let error = read_texts(der, &key).unwrap_err();
    assert!(error.starts_with("CERT is not in PEM format, convert it: openssl x509"));
    let error = read_texts(&server, der).unwrap_err();
    assert!(error.starts_with("KEY is not in PEM format, convert it: openssl pkey"));
    der = &[0; 2 << 20];
    let error = read_texts(der, &key).unwrap_err();
    assert_eq!(error, "CERT is over 1048576 bytes long");
}

#[test]
fn broken_files_are_named() {
    let Chain { server, key, .. } = chain(|_| {});
    let framed =
        |label, base64| format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n");
    for (cert, key, expected) in [
        (
            framed("CERTIFICATE", "!!!"),
            key.clone(),
            "cannot read the certificates in CERT: ",
        ),
        (
            server.clone() + &framed("CERTIFICATE", "aGVsbG8="),
            key.clone(),
            "cannot read certificate 2 in CERT: ",
        ),
        (
            server.clone(),
            framed("PRIVATE KEY", "!!!"),
            "cannot read the key in KEY: ",
        ),
        (
            server.clone(),
            framed("PRIVATE KEY", "aGVsbG8="),
            "the key in KEY cannot be used: ",
        ),
    ] {
        let error = read_texts(cert, key).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    let there = temp_file(server);
    let error = Identity::read(Path::new("/nowhere/cert.pem"), there.path()).unwrap_err();
    let expected = "cannot read /nowhere/cert.pem: no such file or directory";
    assert_eq!(error.to_string(), expected);
    let error = Identity::read(Path::new("/dev/null"), there.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /dev/null: not a regular file"
    );
}
