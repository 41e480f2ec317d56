//! Acknowledgements and windows (RTMP 1.0 §5.4.3–5.4.5), the same on both sides.

use crate::limits;
use crate::planted::{Bug, planted};
use crate::rtmp::control::Limit;

/// What one side has received, acknowledged, and promised.
#[derive(Debug)]
pub(super) struct Flow {
    /// Bytes behind the handshake, modulo 2^32.
    received: u32,
    /// As much of it as was acknowledged.
    acknowledged: u32,
    /// The peer wants an acknowledgement at least every so many bytes.
    window: u32,
    /// The window we told the peer, if any, and how the last Set Peer Bandwidth was meant.
    ours: Option<u32>,
    limit: Limit,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self {
            received: 0,
            acknowledged: 0,
            window: limits::WINDOW_ACK_SIZE_DEFAULT,
            ours: None,
            limit: Limit::Soft,
        }
    }

    /// Counts what came.
    pub(super) fn receive(&mut self, bytes: usize) {
        self.received = self.received.wrapping_add(bytes as u32);
    }

    /// The peer announced its window. 0 says nothing.
    pub(super) fn set_window(&mut self, window: u32) {
        if window > 0 && !planted(Bug::AckWindowIgnored) {
            self.window = window;
        }
    }

    /// We announced our window.
    pub(super) fn announced(&mut self, window: u32) {
        self.ours = Some(window);
    }

    /// The acknowledgement that is due, if one is: at half the window, so that no peer ever waits for it.
    pub(super) fn due(&mut self) -> Option<u32> {
        let since = self.received.wrapping_sub(self.acknowledged);
        (since > 0 && since >= self.window / 2).then(|| {
            self.acknowledged = self.received;
            match self.received {
                _ if planted(Bug::AckMiscounted) => since,
                received => received,
            }
        })
    }

    /// The peer limits our window. Some: the new one, of which it is to be told (§5.4.5). 0 says nothing.
    pub(super) fn limit(&mut self, size: u32, limit: Limit) -> Option<u32> {
        if size == 0 {
            return None;
        }
        let window = match (limit, self.limit) {
            (Limit::Hard, _) | (Limit::Dynamic, Limit::Hard) => {
                self.limit = Limit::Hard;
                size
            }
            (Limit::Soft, _) => {
                self.limit = Limit::Soft;
                self.ours.map_or(size, |ours| ours.min(size))
            }
            // Dynamic without a hard limit before it says nothing, but servers that open with it (all of them)
            // expect to hear a window once, as FFmpeg and librtmp tell theirs.
            (Limit::Dynamic, _) => self.ours.unwrap_or(size),
        };
        (self.ours != Some(window)).then(|| {
            self.ours = Some(window);
            window
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledges_at_half_the_window_and_across_the_wrap() {
        let mut flow = Flow::new();
        flow.set_window(20_000);
        flow.set_window(0);
        flow.receive(9_999);
        assert_eq!(flow.due(), None);
        flow.receive(1);
        assert_eq!(flow.due(), Some(10_000));
        assert_eq!(flow.due(), None);
        flow.receive(u32::MAX as usize - 10_000);
        assert_eq!(flow.due(), Some(u32::MAX));
        flow.receive(10_000);
        assert_eq!(flow.due(), Some(9_999));
    }

    #[test]
    fn bandwidth_has_three_kinds() {
        let mut flow = Flow::new();
        assert_eq!(
            flow.limit(500, Limit::Dynamic),
            Some(500),
            "the first tells"
        );
        assert_eq!(
            flow.limit(400, Limit::Dynamic),
            None,
            "nothing hard to follow"
        );
        assert_eq!(flow.limit(900, Limit::Soft), None, "soft only lowers");
        assert_eq!(flow.limit(300, Limit::Soft), Some(300));
        assert_eq!(flow.limit(900, Limit::Hard), Some(900));
        assert_eq!(
            flow.limit(800, Limit::Dynamic),
            Some(800),
            "as hard as the last"
        );
        assert_eq!(flow.limit(800, Limit::Hard), None, "unchanged");
        assert_eq!(
            flow.limit(0, Limit::Hard),
            None,
            "nothing may be sent at all"
        );
    }
}
