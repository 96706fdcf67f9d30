//! Why a command was refused by the rules of its area.

use jiff::Timestamp;

/// A rule that a command breaks. Holds no content: what the caller may not see is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// There is no such patient, record or user, or it belongs to another patient or organisation.
    #[error("there is no such thing here")]
    NotFound,
    /// The id is taken.
    #[error("this id is taken already: send the request again with a new one")]
    AlreadyExists,
    /// Another patient has the same SSN, MRN, or name and birth date. Says neither which of them nor whose.
    #[error(
        "a patient with the same identifying details may be registered already: search, or confirm that this is another person"
    )]
    Duplicate,
    /// A birth or death date has not come yet anywhere on Earth.
    #[error("a date of birth or death must not be in the future")]
    DateInFuture,
    /// The jurisdiction is not one we know the law of.
    #[error("the jurisdiction must be US, SA or EU")]
    UnknownJurisdiction,
    /// Department names are 1 to 64 characters of `[a-z0-9-]`, 20 at most.
    #[error("departments must be at most 20 names of 1 to 64 lower-case letters, digits and hyphens")]
    BadDepartment,
    /// A list is longer than a chart takes.
    #[error("a list has too many elements: send at most 50")]
    TooMany,
    /// The patient was merged into another one and takes no more changes.
    #[error("this patient was merged into another one: work with that one, or undo the merge")]
    Retired,
    /// A patient cannot be merged into itself.
    #[error("a patient cannot be merged into itself")]
    MergeWithItself,
    /// The patient is not merged into the one named.
    #[error("these two patients are not merged")]
    NotMerged,
    /// A signed note is never edited (PAT-02).
    #[error("the note is signed: add an addendum instead")]
    Signed,
    /// Only a signed note takes addenda.
    #[error("the note is not signed yet: amend it instead")]
    NotSigned,
    /// Only notes are signed.
    #[error("only notes can be signed")]
    NotANote,
    /// Only the author signs.
    #[error("only the author of a note can sign it")]
    NotTheAuthor,
    /// The record was retracted and takes no more changes.
    #[error("the record was retracted: add a new one instead")]
    Retracted,
    /// An end lies in the past.
    #[error("the end must be in the future")]
    EndInPast,
    /// The user has as many patients as the settings allow the role (ACC-03).
    #[error("this user has {max} patients already, as many as the role may have: end another assignment first")]
    PanelFull {
        /// As many as that.
        max: u32,
    },
    /// The session began on a device that is not known again.
    #[error("this device is not known: log in again to have it remembered")]
    NoDevice,
    /// The user is not on the care team.
    #[error("this user is not on the care team")]
    NotAMember,
    /// There is no such user, or the user is disabled.
    #[error("there is no such active user")]
    UnknownUser,
    /// User names are 3 to 55 characters of `[a-z0-9._@-]`.
    #[error("the user name must be 3 to 55 lower-case letters, digits, dots, hyphens, underscores or at-signs")]
    BadUsername,
    /// Another user has the name.
    #[error("the user name is taken: choose another one")]
    UsernameTaken,
    /// A user has at least one role.
    #[error("a user needs at least one role: disable the user instead of taking the last role away")]
    NoRole,
    /// The user may not log in.
    #[error("this user is disabled")]
    UserDisabled,
    /// A session would last longer than [`crate::identity::SESSION_MAX`].
    #[error("a session must end in the future, within seven days")]
    SessionTooLong,
    /// Only two kinds of entries are agreed to apart from the others.
    #[error(
        "a patient agrees to entries of substance use (SUD), for all who treat, or to psychotherapy notes (PSYTHPN), for one person"
    )]
    BadDisclosure,
    /// A patient is not kept from the own chart, and who restricts not from this one.
    #[error("name somebody else: neither you nor the patient can be kept from the chart like this")]
    OwnRestriction,
    /// Nobody represents himself, or makes himself a representative.
    #[error("nobody makes himself a representative: name somebody else")]
    OwnProxy,
    /// The role cannot be had for a short time.
    #[error("only admin, security-admin, system-admin and database-admin can be asked for")]
    NotElevatable,
    /// The user has the role already, or has asked already.
    #[error("you have this role, or a request or role of yours is still open: end that first")]
    ElevationOpen,
    /// Together with the roles held, nobody would be needed to agree any more.
    #[error("this role must stay apart from a role that you hold")]
    RolesApart,
    /// It would last too long, or not at all.
    #[error("the time asked for must be at least a minute and at most what the settings allow")]
    BadDuration,
    /// Reasons and titles are 1 to 500 characters in one line.
    #[error("a reason or title must be 1 to 500 characters without line breaks")]
    BadWords,
    /// Nobody decides about himself.
    #[error("this is about yourself: somebody else must decide")]
    OwnCase,
    /// It was answered, taken back, or nobody answered in time.
    #[error("this is not waiting for an answer")]
    NotPending,
    /// It is over already.
    #[error("this has ended already")]
    Over,
    /// Somebody agreed beforehand, or it was judged already.
    #[error("there is nothing to judge here, or it was judged already")]
    NothingToJudge,
    /// There is nobody whose roles could be looked over.
    #[error("nobody holds these roles: there is nothing to look over")]
    NothingToReview,
    /// More than one event can hold.
    #[error("too many hold these roles: look over fewer roles at a time")]
    TooManyHoldings,
    /// Somebody has decided on it.
    #[error("somebody has decided on this already")]
    Decided,
    /// Not everything is decided.
    #[error("not everything is decided yet: decide on what is left")]
    Undecided,
    /// The campaign is closed.
    #[error("this access review is closed")]
    Closed,
    /// The draft was thrown away, or made into an entry.
    #[error("this draft was thrown away or made into an entry: use a new id")]
    Discarded,
    /// The draft was kept a moment ago.
    #[error("this draft was kept a moment ago: send it again later")]
    TooSoon,
    /// The draft is too large.
    #[error("a draft has at most 256 KiB")]
    DraftTooLarge,
    /// Too many logins failed (IAM-05).
    #[error("too many tries failed: wait until the lock ends, or ask an administrator to end it")]
    Locked {
        /// When the lock ends.
        until: Timestamp,
    },
    /// A proof was used before, has run out, or belongs to a factor that was taken away.
    #[error("this proof does not count any more: give a new one")]
    ProofUsed,
    /// Nothing was proved.
    #[error("a login needs at least one proof, and ten at most")]
    NoProof,
    /// The user has as many sessions as the settings allow (IAM-13).
    #[error("there are too many live sessions: end another one first")]
    TooManySessions,
    /// The session has ended, or the refresh token was never one of its own.
    #[error("this session has ended: log in again")]
    SessionEnded,
    /// A reset token that is unknown, used or too old.
    #[error("this reset token does not count any more: ask for a new one")]
    ResetEnded,
    /// Programs have no passwords and people no signing keys; a program has the role for programs and keeps it.
    #[error(
        "this is not possible for this kind of account: people have passwords, programs have keys and the role service"
    )]
    WrongAccountKind,
    /// A name that somebody gave to a key, a passkey or a provider.
    #[error("a name must be 1 to 64 characters without control characters")]
    BadLabel,
    /// Networks are written as CIDR (RFC 4632), 50 at most.
    #[error("networks must be at most 50, each like 10.1.0.0/16 or 2001:db8::/32 with no bits beyond its length")]
    BadNetwork,
    /// Hours have a weekday from 1 to 7 and minutes from 0 to 1440.
    #[error(
        "shifts must be at most 50, each with a weekday from 1 to 7 and minutes from 0 to 1440, the end after the start"
    )]
    BadHours,
    /// Scopes are names of actions, at least one.
    #[error("scopes must be 1 to 50 names of actions")]
    BadScope,
    /// A key lives for a year at most.
    #[error("a key must end in the future, within a year")]
    BadKeyLife,
    /// Not a public JSON Web Key (RFC 7517), or it holds a private part.
    #[error("the key must be a json web key with its public part only")]
    BadKey,
    /// Not a name that a certificate could have, or one that stands for many.
    #[error("the name must be one of the certificate's names, in printable ascii and without a *")]
    BadCertificateName,
    /// Codes can be sent only where there is an address.
    #[error("there is no address for this channel: set the contact first")]
    NoContact,
    /// Another user logs in with this account elsewhere.
    #[error("this account elsewhere belongs to another user: unlink it there first")]
    ExternalTaken,
    /// A reset token or a sent code lives for a day at most.
    #[error("a token must end in the future, within a day")]
    BadTokenLife,
    /// Hashes are 64 lower-case hex digits.
    #[error("a hash must be 64 lower-case hex digits")]
    BadHash,
    /// The user broke the glass for this patient already, or what is to be cleared still goes on.
    #[error("this emergency is still live: end it first, or wait until its time is over")]
    EmergencyLive,
    /// The emergency was ended, or its time has run out.
    #[error("this emergency is over: start a new one if it is still needed")]
    EmergencyOver,
    /// An emergency is extended once.
    #[error("this emergency was extended before: start a new one when it is over")]
    ExtendedBefore,
    /// "Other" says nothing by itself.
    #[error("say in detail why, in at most 500 characters")]
    DetailNeeded,
    /// The location is not a place's name.
    #[error("the location must be 1 to 64 letters, digits, spaces, hyphens, dots and slashes")]
    BadLocation,
    /// Nobody judges himself.
    #[error("somebody else must review this emergency")]
    OwnEmergency,
    /// An emergency is judged once; only an investigation may still come to an end.
    #[error("this emergency was reviewed before")]
    ReviewedBefore,
    /// The person was erased.
    #[error(
        "this person was erased, and nothing is written about it again: a person who comes back is registered anew"
    )]
    Erased,
    /// The category is being erased.
    #[error("what is in this category is being erased: write into it when that is done")]
    BeingErased,
    /// One request at a time.
    #[error("there is a request to erase this patient already: it must be answered and carried out first")]
    ErasureOpen,
    /// There is nothing that could be erased or held.
    #[error("name at least one category")]
    NothingToErase,
    /// The second officer is somebody else.
    #[error("you have agreed to this already: somebody else must agree as well")]
    AgreedBefore,
    /// Holds and laws forbid all of it.
    #[error("all of it must be kept for now: see what and until when in the request")]
    MustBeKept,
    /// Holds and laws forbid a part of it.
    #[error("a part must be kept for now: agree with in_part to erase the rest, or wait")]
    OnlyInPart,
    /// The idempotency key was used for another command.
    #[error("this idempotency key was used for another request: use a new key")]
    KeyReused,
}
