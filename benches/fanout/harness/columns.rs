//! What tables tell of a measurement.

use super::round::Measured;
use super::table::Column;

const fn ratio(head: &'static str, value: fn(&Measured) -> f64) -> Column {
    Column {
        head,
        value,
        ratio: true,
    }
}

const fn plain(head: &'static str, value: fn(&Measured) -> f64) -> Column {
    Column {
        head,
        value,
        ratio: false,
    }
}

/// CPU seconds for each GB that players got.
pub(super) const CPU: Column = ratio("CPU s/GB", |m| m.used.cpu as f64 / m.report.bytes as f64);
/// CPU seconds for each GB that publishers sent.
pub(super) const CPU_IN: Column = ratio("CPU s/GB in", |m| {
    m.used.cpu as f64 / m.report.published_bytes as f64
});
/// From due to delivered, half of the samples.
pub(super) const P50: Column = ratio("p50 ms", |m| m.report.latency.p50 as f64 / 1e6);
/// From due to delivered, 99 of 100.
pub(super) const P99: Column = ratio("p99 ms", |m| m.report.latency.p99 as f64 / 1e6);
/// From due to delivered, all.
pub(super) const MAX: Column = plain("max ms", |m| m.report.latency.max as f64 / 1e6);
/// How much of its cores the server used.
pub(super) const BUSY: Column = plain("busy %", |m| {
    100.0 * m.used.cpu as f64 / m.report.nanos as f64
});
/// `write` and `writev` for each message to each player.
pub(super) const WRITES: Column = plain("writes/msg", |m| {
    m.used.writes as f64 / m.report.messages as f64
});
/// Context switches for each message of a publisher.
pub(super) const SWITCHES: Column = plain("switch/pub", |m| {
    m.used.switches as f64 / m.report.published as f64
});
/// Players and samples that lack something.
pub(super) const LOST: Column = plain("lost", |m| {
    (m.report.lost_players + m.report.lost_samples) as f64
});
/// From connect to the first frame of a late joiner, half of them.
pub(super) const JOIN: Column = ratio("connect–frame", |m| m.report.join.p50 as f64 / 1e6);
/// The same from its `play`.
pub(super) const JOIN_PLAY: Column =
    ratio("play–frame ms", |m| m.report.join_play.p50 as f64 / 1e6);
/// The same, 99 of 100.
pub(super) const JOIN_PLAY_99: Column = plain("p99", |m| m.report.join_play.p99 as f64 / 1e6);
/// Sessions for each CPU second.
pub(super) const SESSIONS: Column = ratio("sessions/CPU s", |m| {
    m.report.sessions as f64 / (m.used.cpu as f64 / 1e9)
});
/// Context switches of a session.
pub(super) const SESSION_SWITCHES: Column = plain("switches", |m| {
    m.used.switches as f64 / m.report.sessions as f64
});
/// Growth of the server's memory while players stalled.
pub(super) const STALL_RSS: Column = plain("server MB", |m| {
    m.stall.map_or(f64::NAN, |stall| stall.rss as f64 / 1_024.0)
});
/// Growth of the kernel's, both ends.
pub(super) const STALL_TCP: Column = plain("kernel MB", |m| {
    m.stall.map_or(f64::NAN, |stall| stall.tcp as f64 / 1_024.0)
});
/// Stalled players that were cut off.
pub(super) const CUT_OFF: Column = plain("cut off", |m| m.report.cut_off as f64);
/// Memory of the server behind the broadcast, beyond what it had before anybody came.
pub(super) const RSS: Column = plain("server KiB", |m| {
    m.rss_after.saturating_sub(m.rss_idle) as f64
});
/// The same before the broadcast.
pub(super) const RSS_READY: Column = plain("connected", |m| {
    m.rss_ready.saturating_sub(m.rss_idle) as f64
});
