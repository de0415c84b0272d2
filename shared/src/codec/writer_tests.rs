use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::record::ContentId;

fn written(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    value.serialize(&mut writer).ok()?;
    assert_eq!((&writer.entries[..], writer.is_cid), (&[][..], false), "all is ended");
    Some(writer.into_bytes())
}

/// What the library writes, and so does this.
fn same(value: &impl Serialize) {
    assert_eq!(written(value).unwrap(), serde_ipld_dagcbor::to_vec(value).unwrap());
}

/// Each form of a type that serde has, its fields out of order.
#[derive(Debug, Clone, Serialize)]
struct Forms {
    zeta: Option<Box<Self>>,
    alpha: Vec<Variant>,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    b: (i64, u64, bool, char),
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<String>,
    unit: (),
    named: BTreeMap<String, u32>,
    content: ContentId,
    tuple: Pair,
    new: New,
}

#[derive(Debug, Clone, Serialize)]
struct Pair(i8, i16);

#[derive(Debug, Clone, Serialize)]
struct New(String);

#[derive(Debug, Clone, Serialize)]
enum Variant {
    Unit,
    New(i32),
    Two(u8, u16),
    Fields { second: u32, b: String, a: Option<u8> },
}

fn variant() -> impl Strategy<Value = Variant> {
    prop_oneof![
        Just(Variant::Unit),
        any::<i32>().prop_map(Variant::New),
        any::<(u8, u16)>().prop_map(|(one, other)| Variant::Two(one, other)),
        any::<(u32, String, Option<u8>)>().prop_map(|(second, b, a)| Variant::Fields { second, b, a }),
    ]
}

fn forms() -> impl Strategy<Value = Forms> {
    let leaf = (
        proptest::collection::vec(variant(), 0..30),
        any::<Vec<u8>>(),
        any::<(i64, u64, bool, char)>(),
        any::<Option<String>>(),
        any::<BTreeMap<String, u32>>(),
        any::<(i8, i16, String)>(),
    );
    let leaf = leaf.prop_map(|(alpha, bytes, b, a, named, (one, other, new))| {
        let content = ContentId::of_raw(&bytes);
        Forms { zeta: None, alpha, bytes, b, a, unit: (), named, content, tuple: Pair(one, other), new: New(new) }
    });
    leaf.prop_recursive(3, 8, 1, |inner| {
        (inner.clone(), inner).prop_map(|(outer, inner)| Forms { zeta: Some(Box::new(inner)), ..outer })
    })
}

proptest! {
    #[test]
    fn every_form_is_written_as_the_library_writes_it(forms in forms()) {
        same(&forms);
        same(&[Some(forms.clone()), None, Some(forms)]);
    }

    #[test]
    fn other_numbers_are_written_as_the_library_writes_them(float: f64, short: f32, large in -(1_i128 << 64)..1 << 64, larger in 0..1_u128 << 64) {
        prop_assume!(float.is_finite() && short.is_finite());
        same(&(float, short, large, larger));
    }

    #[test]
    fn numbers_are_written_as_the_library_writes_them(number: u64, signed: i64, small: i8, middle: i16, large: i32, shift in 0..64) {
        same(&(number >> shift, signed >> shift, small, middle, large, number as u8, number as u16, number as u32));
    }
}

#[test]
fn numbers_at_each_bound_are_written_as_the_library_writes_them() {
    for bound in [0, 23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
        same(&(i128::from(bound), -i128::from(bound), !i128::from(bound), u128::from(bound)));
        same(&(bound, bound.wrapping_add(1), bound.wrapping_sub(1), bound as i64, (bound as i64).wrapping_neg()));
    }
    for float in [0.0, -0.0, 1.5, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
        same(&float);
        same(&((float / 1e300) as f32));
    }
    for length in [0, 23, 24, 255, 256, 65_535, 65_536] {
        same(&(vec![0_u8; length], "x".repeat(length), serde_bytes::ByteBuf::from(vec![1; length])));
        same(&BTreeMap::from([("y".repeat(length), 1), ("x".repeat(length), 2), ("x".repeat(length + 1), 3)]));
    }
}

#[test]
fn what_has_no_form_is_not_written() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!((written(&number), written(&(number as f32))), (None, None));
    }
    assert_eq!(
        (written(&(1_u128 << 64)), written(&(1_i128 << 64)), written(&(-(1_i128 << 64) - 1))),
        (None, None, None)
    );
    assert_eq!(written(&BTreeMap::from([(1, 2)])), None, "a key that is no text");

    /// A list, or a map, that says another length than it has, or none.
    struct Wrong(Option<usize>, bool);
    impl Serialize for Wrong {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use ser::{SerializeMap as _, SerializeSeq as _};
            if self.1 {
                let mut list = serializer.serialize_seq(self.0)?;
                list.serialize_element(&1)?;
                list.end()
            } else {
                let mut map = serializer.serialize_map(self.0)?;
                map.serialize_entry("key", &1)?;
                map.end()
            }
        }
    }
    for is_list in [true, false] {
        for wrong in [None, Some(0), Some(2)] {
            assert_eq!(written(&Wrong(wrong, is_list)), None);
        }
        same(&Wrong(Some(1), is_list));
    }

    /// A map that has a key twice.
    struct Twice;
    impl Serialize for Twice {
        fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use ser::SerializeMap as _;
            let mut map = serializer.serialize_map(Some(3))?;
            for key in ["b", "a", "b"] {
                map.serialize_entry(key, &1)?;
            }
            map.end()
        }
    }
    assert_eq!(written(&Twice), None);
}
