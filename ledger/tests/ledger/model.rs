//! Appends against a naive model: expected versions, idempotency, atomicity.

use std::collections::HashMap;

use proptest::prelude::*;
use wardbook_ledger::{AppendError, Direction, Draft, ExpectedVersion, Ledger, Position};

use crate::helpers::*;

#[derive(Default)]
struct Model {
    log: Vec<Draft>,
}

impl Model {
    fn version(&self, stream: &str) -> u64 {
        self.log.iter().filter(|draft| draft.stream.as_str() == stream).count() as u64
    }

    /// Positions, or the kind of refusal.
    fn append(&mut self, drafts: &[Draft]) -> Result<Vec<u64>, &'static str> {
        let known: Vec<Option<usize>> = drafts.iter().map(|d| self.log.iter().position(|one| one.id == d.id)).collect();
        if known.iter().any(Option::is_some) {
            let all: Option<Vec<usize>> = known.iter().copied().collect();
            let all = all.ok_or("conflict")?;
            let same = all.iter().zip(drafts).all(|(at, draft)| {
                let one = &self.log[*at];
                one.stream == draft.stream && one.payload == draft.payload
            });
            let adjacent = all.windows(2).all(|pair| pair[0] + 1 == pair[1]);
            return match same && adjacent {
                true => Ok(all.into_iter().map(|at| at as u64).collect()),
                false => Err("conflict"),
            };
        }
        let mut seen = HashMap::new();
        for draft in drafts {
            let actual = self.version(draft.stream.as_str());
            let first = seen.insert(draft.stream.clone(), ()).is_none();
            let fits = match draft.expected {
                ExpectedVersion::NoStream => actual == 0,
                ExpectedVersion::Exact(version) => actual == version,
                ExpectedVersion::Any => true,
            };
            if first && !fits {
                return Err("version");
            }
        }
        let first = self.log.len() as u64;
        self.log.extend_from_slice(drafts);
        Ok((first..self.log.len() as u64).collect())
    }
}

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let expected = prop_oneof![
        Just(ExpectedVersion::Any),
        Just(ExpectedVersion::NoStream),
        (0_u64..6).prop_map(ExpectedVersion::Exact),
    ];
    let one = (0_u64..40, 0..3_usize, expected);
    prop::collection::vec(one, 1..4).prop_map(|all| {
        let mut drafts: Vec<Draft> = all
            .into_iter()
            .map(|(number, stream, expected)| expecting(draft(number, ["a", "b", "c"][stream]), expected))
            .collect();
        drafts.sort_by_key(|draft| draft.id);
        drafts.dedup_by_key(|draft| draft.id);
        drafts
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_does_what_the_model_does(appends in prop::collection::vec(drafts(), 1..40)) {
        let ledger = Ledger::in_memory(ORIGIN).unwrap();
        let mut model = Model::default();
        for drafts in appends {
            let expected = model.append(&drafts);
            let actual = match ledger.append_blocking(drafts) {
                Ok(receipts) => Ok(receipts.iter().map(|receipt| receipt.position().get()).collect()),
                Err(AppendError::IdConflict { .. }) => Err("conflict"),
                Err(AppendError::WrongExpectedVersion { .. }) => Err("version"),
                Err(other) => panic!("{other}"),
            };
            prop_assert_eq!(actual, expected);
        }
        let all: Vec<_> = ledger.scan(Position(0)).map(|entry| entry.unwrap().id()).collect();
        prop_assert_eq!(all, model.log.iter().map(|draft| draft.id).collect::<Vec<_>>());
        for stream in ["a", "b", "c"] {
            let id = stream.parse().unwrap();
            let forward = ledger.stream(&id, 1, Direction::Forward, 1000).unwrap();
            prop_assert_eq!(forward.len() as u64, model.version(stream));
            prop_assert!(forward.iter().zip(1..).all(|(entry, version)| entry.stream_version() == version));
            let mut backward = ledger.stream(&id, u64::MAX, Direction::Backward, 1000).unwrap();
            backward.reverse();
            prop_assert_eq!(forward, backward);
        }
    }
}
