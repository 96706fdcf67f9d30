use super::*;

#[test]
fn a_typing_mistake_is_an_error() {
    let error = toml::from_str::<Config>("[server]\nlisten_on = \"127.0.0.1:1\"").unwrap_err();
    assert!(error.to_string().contains("listen_on"), "{error}");
    assert!(toml::from_str::<Config>("[servers]").is_err());
}

#[test]
fn what_is_not_said_keeps_its_default() {
    let config: Config = toml::from_str("[tokens]\nlifetime_s = 60").unwrap();
    assert_eq!(config.tokens.lifetime_s, 60);
    assert_eq!(config.server, Server::default());
    assert!(config.check().is_ok());
}

#[test]
fn senseless_values_are_named() {
    let mut config = Config::default();
    config.tokens.lifetime_s = 86_400;
    assert!(config.check().unwrap_err().to_string().starts_with("tokens.lifetime_s"));
    config = Config::default();
    config.limits.page_max = 1;
    assert!(config.check().unwrap_err().to_string().starts_with("limits.page_max"));
}
