//! Recordings, and what becomes of their disk.

use fastrand::Rng;

use crate::disk::DiskFaults;
use crate::media::Tracks;
use crate::scenario::{Connect, Format, Outage, ReadPace, Record, Scenario, Script, Step, View};
use crate::seed::{self, happens};

/// Sometimes everything is recorded, to a disk that works, or one that stalls, fails and fills up; and where anything may
/// happen (`wild`), one that loses its power.
pub(super) fn come(scenario: &mut Scenario, wild: bool) {
    let rng = &mut seed::rng(scenario.seed, "generate/records");
    // What a dead server leaves is to be made whole by the next.
    let often = if scenario.outages.is_empty() {
        0.25
    } else {
        0.8
    };
    if !happens(rng, often) {
        return;
    }
    let mut some = |range: core::ops::Range<u64>| match rng.bool() {
        true => rng.u64(range),
        false => 0,
    };
    let (segment_ms, segment_bytes) = (some(200..4_000), some(1_000..400_000));
    // A flood leaves no room for anybody else.
    let vod = happens(rng, 0.75) && scenario.server.connections.is_none();
    scenario.server.record = Some(Record {
        segment_ms,
        segment_bytes,
        vod,
        format: Format::Flv,
    });
    if let Some(bytes) = &mut scenario.server.media_bytes {
        *bytes = *bytes * 4 / 3; // a quarter is the recordings'
    }
    if vod {
        viewers(scenario, rng);
    }
    if wild && happens(rng, 0.4) {
        return loses_power(scenario, rng);
    }
    if happens(rng, 0.5) {
        return;
    }
    let mut rate = |most: f64| match rng.bool() {
        true => round(rng.f64() * most),
        false => 0.0,
    };
    let (errors, short_writes, stalls) = (rate(0.1), rate(0.1), rate(0.1));
    scenario.disk = DiskFaults {
        errors,
        short_writes,
        stalls,
        stall_ms: rng.u64(10..8_000),
        full_after: match happens(rng, 0.3) {
            true => rng.u64(1_000..2_000_000),
            false => 0,
        },
        full_ms: rng.u64(100..6_000),
    };
}

/// Recordings are files of messages, of samples, or of both.
pub(super) fn choose_format(scenario: &mut Scenario) {
    let rng = &mut seed::rng(scenario.seed, "generate/format");
    let Some(record) = &mut scenario.server.record else {
        return;
    };
    record.format = match rng.u8(..10) {
        0..5 => return,
        5..8 => Format::Mp4,
        _ => Format::Both,
    };
    let is_mp4 = record.format == Format::Mp4;
    let is_killed = scenario.outages.iter().any(|outage| !outage.power);
    let vod = record.vod;
    if is_killed {
        // A fragment takes a second to be written.
        dies(scenario, rng, false);
    }
    let is_played = is_mp4 || vod;
    if is_mp4 {
        // Players who hold a stream go on out of its recording, and their checkers know the order of messages.
        for script in &mut scenario.clients {
            if !script
                .steps
                .iter()
                .any(|step| matches!(step, Step::View(_)))
            {
                script.steps.retain(|step| !matches!(step, Step::Pause(_)));
            }
        }
    }
    for step in scenario.clients.iter_mut().flat_map(|it| &mut it.steps) {
        match step {
            Step::SendMedia(media) => {
                media.decodable = true;
                // Of several tracks in one message, a message each would be played.
                if is_played && matches!(media.tracks, Tracks::ManyTracks | Tracks::ManyCodecs) {
                    media.tracks = Tracks::OneTrack;
                }
            }
            // Of two files, which one is meant.
            Step::View(view) | Step::Append(view) if !is_mp4 => {
                view.name.push_str(if rng.bool() { ".mp4" } else { ".flv" });
            }
            _ => {}
        }
    }
}

/// Messages of a broadcast that lasts some seconds.
const LONG: usize = 250;

/// Its machine loses its power while there is something to lose: of a disk that takes its time, names as well.
fn loses_power(scenario: &mut Scenario, rng: &mut Rng) {
    dies(scenario, rng, true);
    if rng.bool() {
        scenario.disk = DiskFaults {
            stalls: round(0.2 + rng.f64() * 0.3),
            stall_ms: rng.u64(200..3_000),
            ..DiskFaults::default()
        };
        if let Some(record) = &mut scenario.server.record {
            record.segment_ms = rng.u64(200..700);
        }
    }
}

/// The server dies while something is published.
fn dies(scenario: &mut Scenario, rng: &mut Rng, power: bool) {
    let begins = scenario.clients.iter().filter_map(publishes);
    let begins: Vec<u64> = begins.map(|(_, start_ms)| start_ms).collect();
    let begins = rng.choice(begins).unwrap_or(0);
    scenario.outages = vec![Outage {
        // On slow links it takes a second until anything is published.
        at_ms: begins + rng.u64(500..2_500),
        down_ms: rng.u64(1..1_500),
        power,
    }];
    // Long enough for that to fall into it.
    let steps = scenario.clients.iter_mut().flat_map(|it| &mut it.steps);
    for step in steps {
        if let Step::SendMedia(media) = step {
            media.frames = media.frames.max(if media.paced { LONG } else { 0 });
        }
    }
}

/// Three digits, which a file keeps as they are.
fn round(rate: f64) -> f64 {
    (rate * 1e3).round() / 1e3
}

/// Some who play what was recorded, or still is.
fn viewers(scenario: &mut Scenario, rng: &mut Rng) {
    let published: Vec<_> = scenario.clients.iter().filter_map(publishes).collect();
    if published.is_empty() {
        return;
    }
    let early = &mut seed::rng(scenario.seed, "generate/early-holds");
    for n in 0..rng.usize(1..4) {
        let (_, start_ms) = &published[rng.usize(..published.len())];
        let start_ms = start_ms + rng.u64(300..6_000);
        let mut steps = views(&published, rng);
        if happens(early, 0.4) {
            // As long as there is something to come: most recordings are short.
            let held = [
                Step::WaitMs(early.u64(1..600)),
                Step::Pause(true),
                Step::WaitMs(early.u64(50..800)),
                Step::Pause(false),
            ];
            steps.splice(2..2, held);
        }
        scenario.clients.push(Script {
            name: format!("viewer-{n}"),
            host: n,
            start_ms,
            steps,
        });
    }
}

/// What a viewer does.
fn views(published: &[(String, u64)], rng: &mut Rng) -> Vec<Step> {
    let connect = Connect {
        app: "vod".into(),
        ..Connect::default()
    };
    let mut steps = vec![Step::Connect(connect), Step::View(view(published, rng))];
    if happens(rng, 0.15) {
        let bytes = 1 << rng.u32(8..13);
        let every_ms = rng.u64(20..200);
        steps.push(Step::ReadSlowly(ReadPace { bytes, every_ms }));
    }
    steps.push(Step::WaitMs(rng.u64(1..1_500)));
    for _ in 0..rng.usize(..6) {
        match rng.u8(..8) {
            0..3 => steps.push(Step::Seek(rng.u64(..5_000))),
            3 => steps.push(Step::Seek(rng.u64(..500))),
            4 => steps.extend([
                Step::Pause(true),
                Step::WaitMs(rng.u64(1..800)),
                Step::Pause(false),
            ]),
            5 | 6 => steps.push(Step::Append(view(published, rng))),
            _ => steps.extend([
                Step::Pause(true),
                // What is sought may have been written meanwhile.
                Step::WaitMs(rng.u64(1..3_000)),
                Step::Seek(rng.u64(..5_000)),
                Step::WaitMs(rng.u64(1..400)),
                Step::Pause(false),
            ]),
        }
        steps.push(Step::WaitMs(rng.u64(1..1_200)));
    }
    if rng.bool() {
        // To the end of most.
        steps.push(Step::WaitMs(rng.u64(3_000..7_000)));
    }
    steps.push(Step::Close);
    steps
}

/// Which file, and what of it.
fn view(published: &[(String, u64)], rng: &mut Rng) -> View {
    let (name, _) = &published[rng.usize(..published.len())];
    let file = *rng
        .choice(["", "", "", "", "-2", "-3"].iter())
        .unwrap_or(&"");
    // Quarters of a second survive being sent in seconds.
    let mut some = |rate: f64, most: u64| match happens(rng, rate) {
        true => rng.u64(1..most) * 250,
        false => 0,
    };
    let (start_ms, for_ms) = (some(0.25, 16), some(0.15, 12));
    View {
        name: format!("{name}{file}"),
        start_ms,
        for_ms: (for_ms > 0).then_some(for_ms),
    }
}

/// What a script publishes first, and when it comes.
fn publishes(script: &Script) -> Option<(String, u64)> {
    let mut app = None;
    for step in &script.steps {
        match step {
            Step::Connect(connect) => app = Some(&connect.app),
            Step::Publish(stream) => {
                return Some((format!("{}/{}", app?, stream.name), script.start_ms));
            }
            _ => {}
        }
    }
    None
}
