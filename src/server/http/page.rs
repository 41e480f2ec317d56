//! The page that Prometheus reads: what all shards count, in one.

use crate::metrics::{Distribution, Page};
use crate::runtime::Load;
use crate::server::gate::{Attendance, Refusal};
use crate::server::meters::End;
use crate::server::report::{BEHIND, Sums};
use crate::time::Duration;

/// The page. `control` is the control thread's load.
pub(super) fn page(
    shards: &[(usize, Sums)],
    attendance: &Attendance,
    control: Load,
    uptime: Duration,
) -> String {
    let page = &mut Page::default();
    page.gauge("millstream_info", "Which version this is.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("millstream_uptime_seconds", "How long the server has run.");
    page.seconds(&[], u64::try_from(uptime.as_micros()).unwrap_or(u64::MAX));
    connections(page, shards, attendance);
    media(page, shards);
    delivery(page, shards);
    recordings(page, shards);
    loads(page, shards, control);
    std::mem::take(page).finish()
}

fn sum(shards: &[(usize, Sums)], of: impl Fn(&Sums) -> u64) -> u64 {
    shards.iter().map(|(_, sums)| of(sums)).sum()
}

fn joined(shards: &[(usize, Sums)], of: impl Fn(&Sums) -> &Distribution) -> Distribution {
    let mut all = Distribution::default();
    for (_, sums) in shards {
        all.add(of(sums));
    }
    all
}

fn connections(page: &mut Page, shards: &[(usize, Sums)], attendance: &Attendance) {
    page.gauge("millstream_connections", "RTMP connections that are open.");
    page.sample(&[], attendance.connections() as u64);
    page.gauge(
        "millstream_handshakes",
        "Open connections whose handshake is not complete.",
    );
    page.sample(&[], attendance.handshakes() as u64);
    page.counter(
        "millstream_connections_accepted_total",
        "Connections that were let in.",
    );
    page.sample(&[], attendance.accepted());
    page.counter(
        "millstream_connections_refused_total",
        "Connections that were not let in, by the limit.",
    );
    for why in Refusal::ALL {
        page.sample(&[("limit", why.key())], attendance.refused(why));
    }
    page.counter(
        "millstream_connections_closed_total",
        "Connections that have ended, by reason, and by whose doing it was: the peer's, the operator's or the server's.",
    );
    for end in End::ALL {
        let count = sum(shards, |sums| {
            let mut counts = sums.ended.iter();
            counts
                .find(|(it, _)| *it == end)
                .map_or(0, |(_, count)| *count)
        });
        page.sample(&[("reason", end.word()), ("fault", end.fault())], count);
    }
}

fn media(page: &mut Page, shards: &[(usize, Sums)]) {
    page.gauge("millstream_streams", "Streams that are published.");
    page.sample(&[], sum(shards, |it| it.live));
    page.gauge(
        "millstream_players",
        "Players, those that wait for a publisher included.",
    );
    page.sample(&[], sum(shards, |it| it.players));
    page.gauge(
        "millstream_players_paused",
        "Players that hold their stream.",
    );
    page.sample(&[], sum(shards, |it| it.paused));
    page.counter("millstream_publications_total", "Publications that began.");
    page.sample(&[], sum(shards, |it| it.publications));
    page.counter("millstream_plays_total", "Plays that began.");
    page.sample(&[], sum(shards, |it| it.plays));
    page.counter(
        "millstream_received_bytes_total",
        "Bytes read from RTMP connections.",
    );
    page.sample(&[], sum(shards, |it| it.bytes_in));
    page.counter(
        "millstream_sent_bytes_total",
        "Bytes written to RTMP connections.",
    );
    page.sample(&[], sum(shards, |it| it.bytes_out));
    page.counter(
        "millstream_received_frames_total",
        "Messages of audio, video and data that were published.",
    );
    page.sample(&[], sum(shards, |it| it.frames_in));
    page.counter(
        "millstream_frames_dropped_total",
        "Published messages that were passed on to nobody (before_keyframe), or not to the players of a shard that was \
         too busy to take them (shard_behind).",
    );
    page.sample(
        &[("reason", "before_keyframe")],
        sum(shards, |it| it.orphans),
    );
    page.sample(&[("reason", "shard_behind")], sum(shards, |it| it.missed));
    page.counter(
        "millstream_headers_not_kept_total",
        "Sequence headers that were passed on and not kept for players that join later, as they are too many or too long.",
    );
    page.sample(&[], sum(shards, |it| it.headers_left_out));
    page.gauge("millstream_ring_bytes", "Bytes of media held for players.");
    page.sample(&[], sum(shards, |it| it.ring_bytes));
    page.gauge(
        "millstream_vod_files",
        "Recordings and other files that are open for viewers.",
    );
    page.sample(&[], sum(shards, |it| it.vod_files));
    page.gauge(
        "millstream_vod_bytes",
        "Bytes of such files that are kept for their viewers.",
    );
    page.sample(&[], sum(shards, |it| it.vod_bytes));
}

fn delivery(page: &mut Page, shards: &[(usize, Sums)]) {
    page.counter(
        "millstream_player_jumps_total",
        "How often a player has lost frames, by reason: it was further behind than frames are kept, later than \
         latency_max, or memory was short.",
    );
    page.sample(
        &[("reason", "behind_ring")],
        sum(shards, |it| it.jumps.overrun),
    );
    page.sample(
        &[("reason", "latency_max")],
        sum(shards, |it| it.jumps.late),
    );
    page.sample(
        &[("reason", "media_bytes")],
        sum(shards, |it| it.jumps.shed),
    );
    page.counter(
        "millstream_clock_jumps_total",
        "How often a publisher's time has jumped, and was repaired for its players.",
    );
    page.sample(&[], sum(shards, |it| it.clock_jumps));
    page.gauge(
        "millstream_players_behind",
        "Players that wait for frames that have been here for at least so many seconds.",
    );
    for (at, millis) in BEHIND.into_iter().enumerate() {
        let count = sum(shards, |it| it.behind.get(at).copied().unwrap_or(0));
        let seconds = format!("{}.{}", millis / 1_000, millis / 100 % 10);
        page.sample(&[("seconds", &seconds)], count);
    }
    page.gauge(
        "millstream_queue_age_seconds",
        "How far the player is behind that is furthest behind.",
    );
    let furthest = shards.iter().map(|(_, sums)| sums.furthest_behind).max();
    page.seconds(&[], furthest.unwrap_or(0));
    page.histogram(
        "millstream_first_frame_seconds",
        "From a play to its first frame, or from the publisher's coming if the player had waited for that.",
        6,
        &joined(shards, |it| &it.first_frame),
    );
    page.histogram(
        "millstream_write_size_bytes",
        "Bytes of media in one write to a player that has caught up, as offered to the system.",
        0,
        &joined(shards, |it| &it.write_sizes),
    );
}

fn recordings(page: &mut Page, shards: &[(usize, Sums)]) {
    page.gauge(
        "millstream_recordings",
        "Streams that are being recorded, those included whose files are being finished.",
    );
    page.sample(&[], sum(shards, |it| it.recording));
    page.gauge(
        "millstream_record_held_bytes",
        "Bytes that recordings hold until their disk takes them, beside what is held for players.",
    );
    page.sample(&[], sum(shards, |it| it.record_held));
    page.counter(
        "millstream_record_bytes_total",
        "Bytes of recordings written.",
    );
    page.sample(&[], sum(shards, |it| it.record_bytes));
    page.counter(
        "millstream_record_segments_total",
        "Files of recordings finished.",
    );
    page.sample(&[], sum(shards, |it| it.record_segments));
    page.counter(
        "millstream_record_gaps_total",
        "How often a recording has lost frames because the disk was too slow.",
    );
    page.sample(&[], sum(shards, |it| it.record_gaps));
    page.counter(
        "millstream_record_failures_total",
        "How often a disk has refused something of a recording; it is tried again.",
    );
    page.sample(&[], sum(shards, |it| it.record_failures));
    page.histogram(
        "millstream_record_write_seconds",
        "Writes of recordings, from the order to the disk's answer.",
        6,
        &joined(shards, |it| &it.record_writes),
    );
}

fn loads(page: &mut Page, shards: &[(usize, Sums)], control: Load) {
    let names: Vec<String> = shards.iter().map(|(shard, _)| shard.to_string()).collect();
    let shards = names
        .iter()
        .map(String::as_str)
        .zip(shards.iter().map(|(_, sums)| sums.load));
    let all: Vec<(&str, Load)> = shards.chain([("control", control)]).collect();
    page.gauge("millstream_thread_tasks", "Tasks of a thread.");
    for (thread, load) in &all {
        page.sample(&[("thread", thread)], load.tasks as u64);
    }
    page.counter(
        "millstream_thread_polls_total",
        "Polls of a thread's tasks.",
    );
    for (thread, load) in &all {
        page.sample(&[("thread", thread)], load.polls);
    }
    page.counter(
        "millstream_thread_turns_total",
        "Turns of a thread: how often it had something to do.",
    );
    for (thread, load) in &all {
        page.sample(&[("thread", thread)], load.turns);
    }
    page.counter(
        "millstream_thread_panics_total",
        "Panics of a thread's tasks: defects of ours.",
    );
    for (thread, load) in &all {
        page.sample(&[("thread", thread)], load.panics);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::check_page;
    use crate::server::meters::Meters;

    fn sums() -> Sums {
        let meters = Meters::default();
        meters.first_frame.observe(1_500, 1);
        meters.write_sizes.observe(2_000, 3);
        meters.record_writes.observe(2_000, 2);
        meters.ended(End::Late);
        Sums {
            ended: meters.endings(),
            first_frame: meters.first_frame.snapshot(),
            write_sizes: meters.write_sizes.snapshot(),
            record_writes: meters.record_writes.snapshot(),
            record_gaps: 3,
            record_held: 4,
            bytes_in: 5,
            furthest_behind: 2_500_000,
            behind: [1, 1, 1, 1, 0],
            ..Sums::default()
        }
    }

    #[test]
    fn the_page_passes_the_checker_and_adds_up() {
        let text = page(
            &[(0, sums()), (1, sums())],
            &Attendance::default(),
            Load::default(),
            Duration::from_secs(9),
        );
        let seen = check_page(&text);
        for (sample, value) in [
            ("millstream_received_bytes_total", 10.0),
            ("millstream_uptime_seconds", 9.0),
            ("millstream_queue_age_seconds", 2.5),
            ("millstream_players_behind{seconds=\"2.0\"}", 2.0),
            ("millstream_players_behind{seconds=\"0.1\"}", 2.0),
            (
                "millstream_connections_closed_total{reason=\"late\",fault=\"peer\"}",
                2.0,
            ),
            ("millstream_first_frame_seconds_bucket{le=\"0.005\"}", 2.0),
            ("millstream_first_frame_seconds_sum", 0.003),
            ("millstream_write_size_bytes_bucket{le=\"1460\"}", 0.0),
            ("millstream_write_size_bytes_count", 6.0),
            ("millstream_record_gaps_total", 6.0),
            ("millstream_record_held_bytes", 8.0),
            ("millstream_record_write_seconds_bucket{le=\"0.005\"}", 4.0),
            ("millstream_thread_tasks{thread=\"control\"}", 0.0),
        ] {
            assert_eq!(seen.get(sample), Some(&value), "{sample} in\n{text}");
        }
    }

    #[test]
    fn a_server_without_shards_has_a_page() {
        check_page(&page(
            &[],
            &Attendance::default(),
            Load::default(),
            Duration::ZERO,
        ));
    }
}
