//! How rows of the index are written and read. Every row only ever grows at its end.

use super::Value;

/// Bytes of a value and a place standing side by side.
const PAIR: usize = 18;
/// Bytes before the differences in a list of places: the last place, so that one can be added without reading all.
const HEAD: usize = 2;
/// Bytes before the differences in a row of times: first and last time, last place.
const TIME_HEAD: usize = 8 + 8 + 2;

/// Seven bits a byte, the lowest first (LEB128).
fn push_number(row: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        row.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    row.push(number as u8);
}

fn take_number(row: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = row.split_first()?;
        *row = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Adds a place to a list. Places come in order.
pub(super) fn push_place(row: &mut Vec<u8>, place: u16) {
    match row.first_chunk_mut::<HEAD>() {
        Some(head) => {
            let last = u16::from_be_bytes(*head);
            *head = place.to_be_bytes();
            push_number(row, u64::from(place.saturating_sub(last)));
        }
        None => {
            row.extend_from_slice(&place.to_be_bytes());
            push_number(row, u64::from(place));
        }
    }
}

/// The places of a list, in order. `None` if the row is malformed.
pub(super) fn places(row: &[u8]) -> Option<Vec<u16>> {
    let mut rest = row.get(HEAD..)?;
    let (mut places, mut place) = (Vec::new(), 0_u64);
    while !rest.is_empty() {
        place += take_number(&mut rest)?;
        places.push(u16::try_from(place).ok()?);
    }
    Some(places)
}

/// Adds a value and its place to a shared row. One value is not entered twice at one place.
pub(super) fn push_shared(row: &mut Vec<u8>, value: &Value, place: u16) {
    let mut pair = [0; PAIR];
    let (left, right) = pair.split_at_mut(value.len());
    left.copy_from_slice(value);
    right.copy_from_slice(&place.to_be_bytes());
    if !row.ends_with(&pair) {
        row.extend_from_slice(&pair);
    }
}

/// The places of one value in a shared row, in order. `None` if the row is malformed.
pub(super) fn shared_places(row: &[u8], value: &Value) -> Option<Vec<u16>> {
    let (pairs, rest) = row.as_chunks::<PAIR>();
    let place =
        |pair: &[u8; PAIR]| pair.strip_prefix(value).and_then(|place| place.try_into().ok()).map(u16::from_be_bytes);
    rest.is_empty().then(|| pairs.iter().filter_map(place).collect())
}

/// Adds an event's place and time (microseconds) to a row of times. Times never go back.
pub(super) fn push_time(row: &mut Vec<u8>, place: u64, time: i64) {
    let (mut last_time, mut last_place) = (time, 0);
    match times_head(row) {
        Some((_, time, place)) => (last_time, last_place) = (time, place),
        None => row.extend_from_slice(&time.to_be_bytes()),
    }
    let mut tail = Vec::with_capacity(12);
    push_number(&mut tail, place.saturating_sub(last_place));
    push_number(&mut tail, time.saturating_sub(last_time).max(0).cast_unsigned());
    row.resize(row.len().max(TIME_HEAD), 0);
    if let Some(head) = row.get_mut(8..TIME_HEAD) {
        let (at, to) = head.split_at_mut(8);
        at.copy_from_slice(&time.max(last_time).to_be_bytes());
        to.copy_from_slice(&(place as u16).to_be_bytes());
    }
    row.extend_from_slice(&tail);
}

/// First time, last time and last place of a row of times.
pub(super) fn times_head(row: &[u8]) -> Option<(i64, i64, u64)> {
    let (first, rest) = row.split_first_chunk::<8>()?;
    let (last, rest) = rest.split_first_chunk::<8>()?;
    let place = u16::from_be_bytes(*rest.first_chunk::<2>()?);
    Some((i64::from_be_bytes(*first), i64::from_be_bytes(*last), u64::from(place)))
}

/// Places and times of a row of times, in order. `None` if the row is malformed.
pub(super) fn times(row: &[u8]) -> Option<Vec<(u64, i64)>> {
    let (mut time, _, _) = times_head(row)?;
    let mut rest = row.get(TIME_HEAD..)?;
    let (mut found, mut place) = (Vec::new(), 0_u64);
    while !rest.is_empty() {
        place += take_number(&mut rest)?;
        time = time.checked_add_unsigned(take_number(&mut rest)?)?;
        found.push((place, time));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn lists_give_back_what_was_put_in(wanted in prop::collection::btree_set(0_u16..4096, 0..200)) {
            let mut row = Vec::new();
            wanted.iter().for_each(|place| push_place(&mut row, *place));
            let found = if row.is_empty() { Vec::new() } else { places(&row).unwrap() };
            prop_assert_eq!(found, wanted.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn shared_rows_keep_values_apart(entries in prop::collection::vec((0_u8..4, 0_u16..4096), 0..200)) {
            let entries: BTreeSet<(u16, u8)> = entries.into_iter().map(|(value, place)| (place, value)).collect();
            let mut row = Vec::new();
            for (place, value) in &entries {
                push_shared(&mut row, &[*value; 16], *place);
                push_shared(&mut row, &[*value; 16], *place);
            }
            for value in 0..4 {
                let wanted: Vec<_> = entries.iter().filter(|(_, v)| *v == value).map(|(place, _)| *place).collect();
                prop_assert_eq!(shared_places(&row, &[value; 16]).unwrap(), wanted);
            }
        }

        #[test]
        fn times_give_back_what_was_put_in(start in -1_000_000_000_000_i64..1_000_000_000_000, steps in prop::collection::vec((1_u64..4, 0_i64..5_000_000), 1..60)) {
            let (mut row, mut place, mut time, mut wanted) = (Vec::new(), 0, start, Vec::new());
            for (step, later) in steps {
                push_time(&mut row, place, time);
                wanted.push((place, time));
                place += step;
                time += later;
            }
            prop_assert_eq!(times(&row).unwrap(), wanted.clone());
            let (last_place, last_time) = *wanted.last().unwrap();
            prop_assert_eq!(times_head(&row).unwrap(), (start, last_time, last_place));
        }

        #[test]
        fn malformed_rows_do_not_panic(row in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (places(&row), shared_places(&row, &[0; 16]), times(&row));
        }
    }
}
