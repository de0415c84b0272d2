//! Keys as bits. See the module above for how bytes become bits.

use std::cmp::Ordering;

/// Bits of a byte, and the bit before it that says that it is there.
const PER_BYTE: usize = 9;

/// The bit of a key at a place; 0 behind its end.
pub(super) fn bit(key: &[u8], at: u16) -> bool {
    let (byte, place) = (usize::from(at) / PER_BYTE, usize::from(at) % PER_BYTE);
    match (key.get(byte), place) {
        (None, _) => false,
        (Some(_), 0) => true,
        (Some(byte), place) => byte >> (8 - place) & 1 == 1,
    }
}

/// The first bit in which two keys differ; None when they are equal.
pub(super) fn critical(one: &[u8], other: &[u8]) -> Option<u16> {
    // Eight bytes at a time: keys have much in common.
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let same = same + one[same..].iter().zip(&other[same..]).take_while(|(a, b)| a == b).count();
    let place = match (one.get(same), other.get(same)) {
        (None, None) => return None,
        (Some(a), Some(b)) => 1 + (a ^ b).leading_zeros() as usize,
        _ => 0,
    };
    // Keys are bounded far below where this could overflow.
    Some(u16::try_from(same * PER_BYTE + place).unwrap_or(u16::MAX))
}

/// Bits that all keys have which begin with these bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len() * PER_BYTE).unwrap_or(u16::MAX)
}

/// The prefix of a key up to a bit: whole bytes, and the byte that the bit cuts, if it cuts one. A byte that is only known to be
/// there counts as cut.
pub(super) fn prefix(key: &[u8], bit: u16) -> (&[u8], Option<u8>) {
    let (bytes, place) = (usize::from(bit) / PER_BYTE, usize::from(bit) % PER_BYTE);
    let whole = &key[..bytes.min(key.len())];
    // Of place 1, only the byte's presence is known: all of its bits are zeroed.
    let kept = |byte: &u8| if place <= 1 { 0 } else { byte & (0xff_u8 << (9 - place)) };
    (whole, (place > 0).then(|| key.get(bytes).map_or(0, kept)))
}

/// How many bytes a prefix up to a bit has.
pub(super) fn prefix_length(bit: u16) -> usize {
    usize::from(bit).div_ceil(PER_BYTE)
}

/// Whether bytes are a prefix up to a bit: of the right length, and zero from the bit on.
pub(super) fn is_prefix(bytes: &[u8], bit: u16) -> bool {
    let (whole, rest) = prefix(bytes, bit);
    bytes.len() == prefix_length(bit) && bytes[whole.len()..].first().copied() == rest
}

/// Bits of a key up to a place, and perhaps one more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) key: &'a [u8],
    /// Bits of `key` that count.
    pub(super) bits: u16,
    /// What the bit behind them is.
    pub(super) then: Option<bool>,
}

impl<'a> Known<'a> {
    pub(super) const fn of(key: &'a [u8], bits: u16) -> Self {
        Self { key, bits, then: None }
    }

    /// A whole key: the bit that ends it is one of its bits.
    pub(super) fn whole(key: &'a [u8]) -> Self {
        Self::of(key, of_bytes(key) + 1)
    }

    /// Where these bits stand before, equal to, or behind the first `bits` bits of `other`; None when too few are known to say.
    pub(super) fn compare(self, other: &[u8], bits: u16) -> Option<Ordering> {
        let differ = critical(self.key, other).unwrap_or(u16::MAX);
        if differ < self.bits.min(bits) {
            return Some(bit(self.key, differ).cmp(&bit(other, differ)));
        }
        match self.then {
            Some(then) if self.bits < bits => match then.cmp(&bit(other, self.bits)) {
                Ordering::Equal if self.bits + 1 < bits => None,
                order => Some(order),
            },
            _ if self.bits < bits => None,
            _ => Some(Ordering::Equal),
        }
    }
}
