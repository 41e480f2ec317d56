//! What people want to know of a stream: the size of its picture, how far apart its keyframes are.

use crate::rtmp::amf::amf0;
use crate::rtmp::wire::WireMessage;
use crate::time::{Duration, Timestamp};

/// What `onMetaData` says of the picture. It may lie; nothing here depends on it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Picture {
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
}

impl Picture {
    /// What `metadata` says.
    pub fn of(metadata: &WireMessage) -> Self {
        let bytes: Vec<u8> = metadata.payload().flatten().copied().collect();
        let (values, _) = amf0::decode_all(&bytes);
        let number = |name| {
            let mut found = values
                .iter()
                .filter_map(|value| value.get(name)?.as_number());
            found
                .next()
                .filter(|number| (1.0..100_000.0).contains(number))
        };
        Self {
            width: number("width").map(|width| width as u32),
            height: number("height").map(|height| height as u32),
            frame_rate: number("framerate"),
        }
    }
}

/// The distance of the two newest keyframes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gop {
    key: Option<(u64, Timestamp)>,
    whole: Option<(u64, u32)>,
}

impl Gop {
    /// A keyframe has come, under the number `seq` of the ring.
    pub(super) fn begin(&mut self, seq: u64, at: Timestamp) {
        if let Some((before, then)) = self.key.replace((seq, at)) {
            let millis = u32::try_from(at.since(then)).unwrap_or(0);
            self.whole = Some((seq.saturating_sub(before), millis));
        }
    }

    /// Messages of it, sound included.
    pub fn messages(&self) -> Option<u64> {
        self.whole.map(|(messages, _)| messages)
    }

    /// How long it is.
    pub fn length(&self) -> Option<Duration> {
        let millis = self.whole?.1;
        Some(Duration::from_millis(millis.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::amf::Value;
    use crate::rtmp::wire::MediaKind;

    #[test]
    fn the_picture_is_what_metadata_says() {
        let of = |values: &[Value]| {
            let payload = amf0::encode_all(values);
            let message = WireMessage::new(MediaKind::Data, Timestamp(0), &payload, 60_000);
            Picture::of(&message)
        };
        let values = [
            Value::string("onMetaData"),
            Value::object([
                ("width", Value::Number(1_920.0)),
                ("height", Value::Number(f64::NAN)),
                ("framerate", Value::Number(29.97)),
            ]),
        ];
        let picture = of(&values);
        assert_eq!((picture.width, picture.height), (Some(1_920), None));
        assert_eq!(picture.frame_rate, Some(29.97));
        assert_eq!(of(&values[..1]), Picture::default());
    }

    #[test]
    fn a_gop_is_known_when_it_is_whole() {
        let mut gop = Gop::default();
        gop.begin(5, Timestamp(u32::MAX - 999));
        assert_eq!(gop.length(), None);
        gop.begin(65, Timestamp(1_000));
        assert_eq!(gop.messages(), Some(60));
        assert_eq!(gop.length(), Some(Duration::from_secs(2)));
        gop.begin(70, Timestamp(0));
        assert_eq!(gop.length(), Some(Duration::ZERO), "its clock stepped back");
    }
}
