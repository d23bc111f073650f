//! From the server's binary form of values to values.
//!
//! The forms are those of the `…send` functions in PostgreSQL's source; integers are big-endian. Whatever the bytes are, the
//! answer is a value or a reason why not.

use rowmark_rows::Value;

use super::text;
use super::types::Kind;

/// Dimensions that an array can have.
const DIMENSIONS_MAX: usize = 6;

/// The value in a cell, or what is wrong with it.
pub(super) fn value(kind: &Kind, bytes: &[u8]) -> Result<Value, String> {
    match kind {
        Kind::Text => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => Err(format!("is a text that is no UTF-8: {error}")),
        },
        Kind::Json => json(bytes),
        Kind::Jsonb => match bytes.split_first() {
            Some((1, json_text)) => json(json_text),
            _ => Err("is of a later version of `jsonb`; cast it to `json`".to_owned()),
        },
        Kind::Array(item) => array(item, bytes),
        _ => plain(kind, bytes)
            .ok_or_else(|| format!("has {} bytes that are no value of its type ({kind:?})", bytes.len())),
    }
}

fn plain(kind: &Kind, mut bytes: &[u8]) -> Option<Value> {
    let all = &mut bytes;
    let value = match kind {
        Kind::Bool => Value::Bool(take::<1>(all)? != [0]),
        Kind::I16 => Value::I64(i16::from_be_bytes(take(all)?).into()),
        Kind::I32 => Value::I64(i32::from_be_bytes(take(all)?).into()),
        Kind::I64 => Value::I64(i64::from_be_bytes(take(all)?)),
        Kind::U32 => Value::U64(u32::from_be_bytes(take(all)?).into()),
        Kind::F32 => Value::F64(f32::from_be_bytes(take(all)?).into()),
        Kind::F64 => Value::F64(f64::from_be_bytes(take(all)?)),
        Kind::Bytes => Value::Bytes(std::mem::take(all).to_owned()),
        Kind::Numeric => Value::Text(text::numeric(all)?),
        Kind::Date => Value::Text(text::date(i32::from_be_bytes(take(all)?))),
        Kind::Time => Value::Text(text::time(i64::from_be_bytes(take(all)?))?),
        Kind::TimeWithZone => {
            let (micros, west) = (i64::from_be_bytes(take(all)?), i32::from_be_bytes(take(all)?));
            Value::Text(format!("{}{}", text::time(micros)?, text::zone(west)))
        }
        Kind::Timestamp => Value::Text(text::timestamp(i64::from_be_bytes(take(all)?), "")),
        Kind::TimestampWithZone => Value::Text(text::timestamp(i64::from_be_bytes(take(all)?), "Z")),
        Kind::Interval => {
            let micros = i64::from_be_bytes(take(all)?);
            let (days, months) = (i32::from_be_bytes(take(all)?), i32::from_be_bytes(take(all)?));
            Value::Text(text::interval(months, days, micros))
        }
        Kind::Uuid => Value::Text(text::uuid(take(all)?)),
        Kind::Inet => Value::Text(text::inet(all)?),
        Kind::Text | Kind::Json | Kind::Jsonb | Kind::Array(_) => return None,
    };
    bytes.is_empty().then_some(value)
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("is JSON that cannot be read: {error}"))
}

/// An array, as lists in lists.
fn array(item: &Kind, mut bytes: &[u8]) -> Result<Value, String> {
    let damaged = || "is an array that is not whole".to_owned();
    let number = |bytes: &mut &[u8]| take(bytes).map(i32::from_be_bytes).ok_or_else(damaged);
    let dimensions = number(&mut bytes)?;
    let (_has_nulls, _type_of_items) = (number(&mut bytes)?, number(&mut bytes)?);
    let dimensions = usize::try_from(dimensions).ok().filter(|count| *count <= DIMENSIONS_MAX);
    let mut lengths = Vec::new();
    for _ in 0..dimensions.ok_or_else(damaged)? {
        lengths.push(usize::try_from(number(&mut bytes)?).map_err(|_| damaged())?);
        let _lower_bound = number(&mut bytes)?;
    }
    if lengths.is_empty() {
        return if bytes.is_empty() { Ok(Value::List(Vec::new())) } else { Err(damaged()) };
    }
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let length = number(&mut bytes)?;
        items.push(match usize::try_from(length) {
            Ok(length) => value(item, split(&mut bytes, length).ok_or_else(damaged)?)?,
            Err(_) => Value::Null,
        });
    }
    if lengths.iter().try_fold(1, |all: usize, length| all.checked_mul(*length)) != Some(items.len()) {
        return Err(damaged());
    }
    // The last dimension runs fastest.
    for length in lengths[1..].iter().rev() {
        let mut flat = items.into_iter();
        items = Vec::new();
        while flat.len() > 0 {
            items.push(Value::List(flat.by_ref().take(*length).collect()));
        }
    }
    Ok(Value::List(items))
}

/// The first bytes, which are taken off.
pub(super) fn take<const LEN: usize>(bytes: &mut &[u8]) -> Option<[u8; LEN]> {
    split(bytes, LEN)?.try_into().ok()
}

fn split<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds() -> impl Strategy<Value = Kind> {
        let plain = prop::sample::select(vec![
            Kind::Bool,
            Kind::I16,
            Kind::F32,
            Kind::Numeric,
            Kind::Text,
            Kind::Bytes,
            Kind::Date,
            Kind::Time,
            Kind::TimeWithZone,
            Kind::Timestamp,
            Kind::TimestampWithZone,
            Kind::Interval,
            Kind::Uuid,
            Kind::Json,
            Kind::Jsonb,
            Kind::Inet,
        ]);
        plain.prop_recursive(2, 4, 1, |item| item.prop_map(|item| Kind::Array(Box::new(item))))
    }

    proptest! {
        /// Sixteen bytes and more are a value of most types, and a small first word is a small number of dimensions.
        #[test]
        fn any_bytes_are_a_value_or_a_reason(
            kind in kinds(),
            dimensions in 0u8..4,
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            small in any::<bool>(),
        ) {
            let mut bytes = bytes;
            if small && bytes.len() > 16 {
                bytes[..16].copy_from_slice(&[0; 16]);
                bytes[3] = dimensions;
                bytes[15] = 2;
            }
            if let Err(reason) = value(&kind, &bytes) {
                prop_assert!(!reason.is_empty());
            }
        }
    }

    #[test]
    fn arrays_are_lists_in_lists() {
        let array = |lengths: &[i32], items: &[Option<i16>]| {
            let mut bytes = Vec::new();
            let mut put = |number: i32| bytes.extend(number.to_be_bytes());
            [lengths.len() as i32, 1, 21].into_iter().for_each(&mut put);
            lengths.iter().flat_map(|length| [*length, 1]).for_each(&mut put);
            for item in items {
                bytes.extend(item.map_or(-1, |_| 2i32).to_be_bytes());
                bytes.extend(item.iter().flat_map(|item| item.to_be_bytes()));
            }
            value(&Kind::Array(Box::new(Kind::I16)), &bytes).map(|value| value.to_string())
        };
        assert_eq!(array(&[], &[]).unwrap(), "[]");
        assert_eq!(array(&[3], &[Some(1), None, Some(-1)]).unwrap(), "[1, null, -1]");
        let six = [Some(1), Some(2), Some(3), Some(4), Some(5), None];
        assert_eq!(array(&[2, 3], &six).unwrap(), "[[1, 2, 3], [4, 5, null]]");
        assert_eq!(array(&[3, 1, 2], &six).unwrap(), "[[[1, 2]], [[3, 4]], [[5, null]]]");
        assert_eq!(array(&[2, 2], &six).unwrap_err(), "is an array that is not whole");
        assert_eq!(
            array(&[i32::MAX, i32::MAX, i32::MAX], &six).unwrap_err(),
            "is an array that is not whole"
        );
        assert_eq!(array(&[0, 0], &[]).unwrap(), "[]");
    }
}
