//! `wardbook tls`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use wardbook::clock::Clock;
use wardbook::tls::{Pins, probe};

use super::output::{Output, table};
use super::{Answer, Common, Ended, Failure, place};

/// Certificates, and how a server speaks TLS.
#[derive(Args)]
#[command(after_help = "Examples:\n  wardbook tls check wardbook.example:443\n  \
    wardbook tls check localhost:8443 --ca wardbook-data/tls/ca.pem\n  wardbook --config settings.toml tls pins")]
pub struct Tls {
    #[command(subcommand)]
    command: TlsCommand,
}

#[derive(Subcommand)]
enum TlsCommand {
    /// Look at a server from outside: versions, suites, certificate, headers. Exit code 1: something is below the policy
    Check(Check),
    /// Print the public keys that clients may pin, from the files in the settings
    Pins,
}

#[derive(Args)]
struct Check {
    /// Where it listens, such as wardbook.example:443
    #[arg(value_name = "HOST:PORT", value_parser = address)]
    address: (String, u16),
    /// Authorities to trust (PEM); those of this machine if not given
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name that the certificate must be for, if it is not the host
    #[arg(long, value_name = "HOST")]
    server_name: Option<String>,
}

fn address(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("a port is missing, such as :443")?;
    let port = port.parse().map_err(|_| "the port must be a number up to 65535")?;
    Ok((host.trim_matches(['[', ']']).to_owned(), port))
}

impl Tls {
    pub fn run(self, common: &Common, output: &Output) -> Ended {
        match self.command {
            TlsCommand::Check(check) => check.run(common, output),
            TlsCommand::Pins => pins(common, output),
        }
    }
}

impl Check {
    fn run(self, common: &Common, output: &Output) -> Ended {
        let config = place::config(common)?.tls;
        let asked = probe::Asked {
            address: self.address,
            name: self.server_name,
            authorities: self.ca,
            rsa_bits_min: config.rsa_bits_min,
            days_min: i64::from(config.warn_days),
        };
        let findings = probe::probe(&asked, Clock::system().now())?;
        if output.is_json() {
            output.json(&findings)?;
        } else {
            let row = |finding: &probe::Finding| {
                vec![if finding.ok { "ok" } else { "NO" }.to_owned(), finding.what.to_owned(), finding.seen.clone()]
            };
            output.line(&table(&["", "what", "seen"], findings.iter().map(row)))?;
        }
        Ok(if findings.iter().all(|finding| finding.ok) { Answer::Yes } else { Answer::No })
    }
}

fn pins(common: &Common, output: &Output) -> Ended {
    let config = place::config(common)?.tls;
    if !config.is_on() {
        return Err(Failure::from("tls.certificate is not set: there is nothing to pin"));
    }
    let pins = Pins::of(&config)?;
    if output.is_json() {
        output.json(&pins)?;
    } else {
        for pin in pins.current() {
            output.line(&format!("sha256//{pin}  now"))?;
        }
        if let Some(pin) = pins.next() {
            output.line(&format!("sha256//{pin}  next"))?;
        }
    }
    Ok(Answer::Yes)
}
