//! What only a real browser can show: Chromium with an authenticator of its own enrols passkeys and logs in with them.

mod chromium;
mod passkeys;
