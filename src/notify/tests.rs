use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use aws_lc_rs::hmac;
use secrecy::SecretString;

use super::*;

/// Answers one request after the other with these statuses, and tells what was asked: headers and body.
fn listener(statuses: &'static [u16]) -> (String, std::sync::mpsc::Receiver<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/messages", listener.local_addr().unwrap());
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for status in statuses {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                headers.push(line.trim().to_lowercase());
            }
            let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            sender.send((headers, String::from_utf8(body).unwrap())).unwrap();
            write!(reader.get_mut(), "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
    (url, asked)
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn notifier(url: String) -> (Notifier, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let webhook_secret_file = dir.path().join("secret");
    std::fs::write(&webhook_secret_file, format!("{SECRET}\n")).unwrap();
    let config = config::Notify {
        sms: Way::Webhook,
        webhook_url: url,
        webhook_secret_file,
        tries_max: 3,
        backoff_ms: 1,
        ..config::Notify::default()
    };
    let clock = Clock::set_to("2026-03-01T12:00:00Z".parse().unwrap());
    (Notifier::start(&config, &clock).unwrap(), dir)
}

fn message(channel: Channel) -> Message {
    let text = SecretString::from("your code is 123456");
    Message { id: Uuid::from_u128(7), channel, to: "+15550100".into(), subject: "a code".to_owned(), text }
}

#[test]
fn a_webhook_is_signed_and_tried_again_until_it_is_taken() {
    let (url, asked) = listener(&[503, 200]);
    let (notifier, _dir) = notifier(url);
    notifier.send_blocking(message(Channel::Sms)).unwrap();
    let (first, second) = (asked.recv().unwrap(), asked.recv().unwrap());
    assert_eq!(first.1, second.1, "the same message, with the same id");
    let body: serde_json::Value = serde_json::from_str(&second.1).unwrap();
    assert_eq!((body["channel"].as_str(), body["to"].as_str()), (Some("sms"), Some("+15550100")));
    assert_eq!(body["text"], "your code is 123456");
    let signature = second.0.iter().find_map(|line| line.strip_prefix("wardbook-signature: ")).unwrap();
    let (seconds, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, format!("{seconds}.{}", second.1).as_bytes(), &hex::decode(mac).unwrap()).unwrap();
    assert_eq!(seconds, "1772366400");
}

#[test]
fn it_gives_up_at_once_or_after_some_tries() {
    let (url, _asked) = listener(&[400, 500, 500, 500]);
    let (notifier, _dir) = notifier(url);
    assert!(matches!(notifier.send_blocking(message(Channel::Webhook)), Err(NotifyError::Refused(_))));
    assert!(matches!(notifier.send_blocking(message(Channel::Webhook)), Err(NotifyError::Failed(_))));
}

#[test]
fn what_is_not_set_is_not_offered() {
    let clock = Clock::system();
    let none = Notifier::start(&config::Notify::default(), &clock).unwrap();
    assert!(!none.offers(Channel::Email));
    assert!(matches!(none.post(message(Channel::Sms)), Err(NotifyError::NotOffered)));
    let lost = config::Notify { sms: Way::Webhook, ..config::Notify::default() };
    assert!(Notifier::start(&lost, &clock).unwrap_err().to_string().starts_with("notify.webhook_url"));
    assert_eq!(format!("{:?}", message(Channel::Sms)), "Message(Sms)");
}
