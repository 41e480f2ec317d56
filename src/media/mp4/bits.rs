//! Bits from front to back, as the headers of codecs are written.

/// A reader of bits; none at the end.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `count` bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count.min(32) {
            value = value << 1 | u32::from(self.flag()?);
        }
        Some(value)
    }

    /// `count` bits, at most 8.
    pub(super) fn small(&mut self, count: u32) -> Option<u8> {
        self.take(count.min(8)).map(|value| value as u8)
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// An unsigned Exp-Golomb number (H.264 §9.1); AV1's `uvlc` is the same.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        ((1u32 << zeros) - 1).checked_add(rest)
    }

    /// A signed one.
    pub(super) fn se(&mut self) -> Option<i32> {
        let code = self.ue()?;
        let half = (i64::from(code) + 1) / 2;
        i32::try_from(if code % 2 == 1 { half } else { -half }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_exp_golomb_numbers() {
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!(bits.ue(), Some(0));
        assert_eq!(bits.ue(), Some(1));
        assert_eq!(bits.se(), Some(-1));
        assert_eq!(bits.take(0), Some(0));
        assert_eq!(bits.ue(), Some(3));
        assert_eq!(bits.ue(), Some(4));
        assert_eq!(bits.take(9), None);
        assert_eq!(Bits::new(&[0; 5]).ue(), None);
        assert_eq!(Bits::new(&[0, 0, 0, 1]).ue(), None);
    }
}
