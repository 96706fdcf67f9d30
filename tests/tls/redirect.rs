use super::{Authority, config, curl, start};

#[test]
fn plain_http_leads_to_https_and_nowhere_else() {
    let authority = Authority::new();
    let mut config = config(&authority, "server");
    config.tls.redirect_listen = Some(([127, 0, 0, 1], 0).into());
    let test = start(config);
    let (port, plain) = (test.serving.address.port(), test.serving.redirect.unwrap().port());
    let ask = |more: &[&str], path: &str| {
        let url = format!("http://localhost:{plain}{path}");
        curl(&authority, &[&["--include", &url], more].concat()).unwrap().to_lowercase()
    };
    for more in [&[][..], &["--head"]] {
        let said = ask(more, "/v1/patients?name=a%20b");
        assert!(said.starts_with("http/1.1 301 "), "{said}");
        assert!(said.contains(&format!("location: https://localhost:{port}/v1/patients?name=a%20b\r\n")), "{said}");
        assert!(said.contains("x-content-type-options: nosniff") && said.contains("x-frame-options: deny"), "{said}");
        assert!(!said.contains("strict-transport-security"), "it counts for nothing over plain HTTP: {said}");
    }
    let followed = curl(&authority, &["--location", &format!("http://localhost:{plain}/health/live")]).unwrap();
    assert!(followed.contains("\"ok\""), "{followed}");
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let said = ask(&["--request", method, "--data", "{\"password\":\"x\"}"], "/v1/auth/login");
        assert!(said.starts_with("http/1.1 403 ") && said.contains("/problems/tls-required"), "{method}: {said}");
        assert!(!said.contains("location:"), "{said}");
    }
    for host in ["evil.example", "evil.example:80", "localhost.evil.example", "", "localhost@evil.example", "[::2]"] {
        let said = ask(&["--header", &format!("Host: {host}")], "/");
        assert!(said.starts_with("http/1.1 400 ") && !said.contains("location:"), "{host}: {said}");
    }
    for path in ["//evil.example/", "/\\evil.example"] {
        let said = ask(&["--path-as-is"], path);
        assert!(
            said.starts_with("http/1.1 400 ") || said.contains(&format!("location: https://localhost:{port}/")),
            "{said}"
        );
    }
}
