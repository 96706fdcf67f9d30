//! The token, used by one thread. Whatever goes wrong with it, it is opened anew for the next call.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use super::{NAME, NONCE, Pkcs11Settings, unfit, unreachable};
use crate::providers::secret_file;
use crate::root::RootError;

const TAG_BITS: u64 = 128;

pub struct Token {
    settings: Pkcs11Settings,
    session: Option<Session>,
    /// A PIN that was refused is not tried again: a few times more would lock the token.
    refused: Option<Zeroizing<String>>,
}

impl Token {
    pub const fn new(settings: Pkcs11Settings) -> Self {
        Self { settings, session: None, refused: None }
    }

    /// Does something in a session; if it fails for another reason than what was asked, the next call begins anew.
    fn with<T>(&mut self, work: impl FnOnce(&Session) -> Result<T, Error>) -> Result<T, RootError> {
        if self.session.is_none() {
            self.session = Some(self.open()?);
        }
        let Some(session) = &self.session else { return Err(unreachable("there is no session")) };
        work(session).map_err(|error| {
            let fault = fault(&error);
            if matches!(fault, RootError::Unreachable { .. } | RootError::Refused { .. }) {
                self.session = None;
            }
            fault
        })
    }

    fn open(&mut self) -> Result<Session, RootError> {
        let pin = secret_file(&self.settings.pin_file)?;
        if self.refused.as_ref() == Some(&pin) {
            let why = "the PIN in the file was refused before, and is not tried again until it is changed".to_owned();
            return Err(RootError::Refused { provider: NAME, why });
        }
        let opened = self.log_in(&pin);
        if let Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) = opened {
            self.refused = Some(pin);
        }
        opened.map_err(|error| match error {
            // Nothing has that label.
            Error::InvalidValue => unreachable(format!("there is no token {} in any slot", self.settings.token)),
            error => fault(&error),
        })
    }

    fn log_in(&self, pin: &str) -> Result<Session, Error> {
        let module = Pkcs11::new(&self.settings.module)?;
        let slot = match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => self.slot(&module)?,
            Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => self.slot(&module)?,
            Err(error) => return Err(error),
        };
        let session = module.open_rw_session(slot)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
            // By another session of this process.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(error) => Err(error),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<cryptoki::slot::Slot, Error> {
        for slot in module.get_slots_with_token()? {
            if module.get_token_info(slot).is_ok_and(|info| info.label() == self.settings.token) {
                return Ok(slot);
            }
        }
        Err(Error::InvalidValue)
    }

    fn label(&self, version: u32) -> Vec<u8> {
        format!("{} v{version}", self.settings.key).into_bytes()
    }

    fn find(&mut self, version: u32) -> Result<ObjectHandle, RootError> {
        let wanted = [Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Label(self.label(version))];
        let found = self.with(|session| session.find_objects(&wanted))?;
        match found.as_slice() {
            [key] => Ok(*key),
            [] => Err(disabled(format!("there is no version {version}"))),
            _ => Err(unfit(format!("there are several keys of version {version}; remove what is not ours"))),
        }
    }

    /// All versions, oldest first.
    pub fn versions(&mut self) -> Result<Vec<u32>, RootError> {
        let start = format!("{} v", self.settings.key);
        let labels = self.with(|session| {
            let keys = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])?;
            keys.into_iter()
                .map(|key| session.get_attributes(key, &[AttributeType::Label]))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let number = |attribute: &Attribute| match attribute {
            Attribute::Label(label) => std::str::from_utf8(label).ok()?.strip_prefix(&start)?.parse().ok(),
            _ => None,
        };
        let mut versions: Vec<u32> = labels.iter().flatten().filter_map(number).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    pub fn newest(&mut self) -> Result<u32, RootError> {
        let newest = self.versions()?.last().copied();
        newest.ok_or_else(|| disabled(format!("the token holds no key {}", self.settings.key)))
    }

    /// Makes a key that cannot be taken out of the token.
    pub fn generate(&mut self, version: u32) -> Result<(), RootError> {
        let template = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
            Attribute::Label(self.label(version)),
            Attribute::Id(version.to_be_bytes().to_vec()),
        ];
        self.with(|session| session.generate_key(&Mechanism::AesKeyGen, &template)).map(drop)
    }

    pub fn destroy(&mut self, version: u32) -> Result<(), RootError> {
        let key = self.find(version)?;
        self.with(|session| session.destroy_object(key))
    }

    /// That a key is kept as it must be (ENC-13).
    pub fn check(&mut self, version: u32) -> Result<(), RootError> {
        let key = self.find(version)?;
        let asked = [
            AttributeType::Sensitive,
            AttributeType::NeverExtractable,
            AttributeType::KeyType,
            AttributeType::ValueLen,
        ];
        let found = self.with(|session| session.get_attributes(key, &asked))?;
        let needed = [
            Attribute::Sensitive(true),
            Attribute::NeverExtractable(true),
            Attribute::KeyType(KeyType::AES),
            Attribute::ValueLen(32.into()),
        ];
        match needed.iter().all(|attribute| found.contains(attribute)) {
            true => Ok(()),
            false => {
                Err(unfit(format!("version {version} is not an AES-256 key that never could be taken out (ENC-13)")))
            }
        }
    }

    pub fn encrypt(
        &mut self,
        version: u32,
        mut nonce: [u8; NONCE],
        bound: &[u8],
        key: &[u8],
    ) -> Result<Vec<u8>, RootError> {
        let by = self.find(version)?;
        self.with(|session| {
            let parameters = GcmParams::new(&mut nonce, bound, TAG_BITS.into())?;
            session.encrypt(&Mechanism::AesGcm(parameters), by, key)
        })
    }

    pub fn decrypt(
        &mut self,
        version: u32,
        mut nonce: [u8; NONCE],
        bound: &[u8],
        text: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, RootError> {
        let by = self.find(version)?;
        let opened = self.with(|session| {
            let parameters = GcmParams::new(&mut nonce, bound, TAG_BITS.into())?;
            Ok(match session.decrypt(&Mechanism::AesGcm(parameters), by, text) {
                Ok(key) => Some(key),
                Err(Error::Pkcs11(error, _)) if is_about_the_text(error) => None,
                Err(error) => return Err(error),
            })
        })?;
        if let Some(key) = opened {
            return Ok(Zeroizing::new(key));
        }
        // Tokens say "general error" of a tag that does not fit. If the key still encrypts, it was the text.
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| RootError::NoRandomness)?;
        self.encrypt(version, nonce, b"wardbook 2026 is it there", &[])?;
        Err(RootError::NotAuthentic)
    }
}

const fn is_about_the_text(error: RvError) -> bool {
    matches!(
        error,
        RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::DataInvalid
            | RvError::DataLenRange
            | RvError::SignatureInvalid
            | RvError::GeneralError
            | RvError::FunctionFailed
    )
}

fn disabled(why: String) -> RootError {
    RootError::Disabled { provider: NAME, why }
}

fn fault(error: &Error) -> RootError {
    let why = error.to_string();
    match error {
        Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinLocked
            | RvError::PinExpired
            | RvError::UserPinNotInitialized,
            _,
        ) => RootError::Refused { provider: NAME, why },
        Error::Pkcs11(RvError::KeyFunctionNotPermitted | RvError::MechanismInvalid, _) => unfit(why),
        _ => unreachable(why),
    }
}
