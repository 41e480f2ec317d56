//! What scenarios hold: the generator is judged like the server (a hole in it is a hole in every sweep).

use std::collections::BTreeSet;

use millstream::config::OnConflict;

use crate::media::Tracks;
use crate::scenario::{
    Connect, CutKind, Format, GarbageKind, Intervention, LinkChange, Order, Scenario, Script,
    SendMedia, Step, Tell,
};

/// The behaviours that `scenario` has, by name.
pub fn behaviours(scenario: &Scenario) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for script in &scenario.clients {
        for step in &script.steps {
            of_step(step, &mut found);
        }
        of_script(script, &mut found);
    }
    of_all(scenario, &mut found);
    of_world(scenario, &mut found);
    found
}

type Found = BTreeSet<&'static str>;

fn note(found: &mut Found, is: bool, what: &'static str) {
    if is {
        found.insert(what);
    }
}

fn of_step(step: &Step, found: &mut Found) {
    let what = match step {
        Step::Connect(connect) => return of_connect(connect, found),
        Step::SendMedia(media) => return of_media(media, found),
        Step::Garbage(garbage) => {
            if garbage.kind == GarbageKind::DeepAmf || garbage.kind == GarbageKind::WideAmf {
                found.insert("AMF bomb");
            }
            if garbage.kind == GarbageKind::HugeArray || garbage.kind == GarbageKind::LongString {
                found.insert("AMF of huge lengths");
            }
            if matches!(
                garbage.kind,
                GarbageKind::LongCommand | GarbageKind::LongPicture
            ) {
                found.insert("oversized length");
            }
            return;
        }
        Step::Tell(Tell::Pings(_)) => "pings in numbers",
        Step::Tell(Tell::Message { .. }) => "unknown message type",
        Step::Tell(Tell::WindowAckSize(_)) => "window of a client",
        Step::Tell(Tell::PeerBandwidth { .. }) => "peer bandwidth of a client",
        Step::Tell(Tell::Acknowledgement(_)) => "made-up acknowledgement",
        Step::Tell(Tell::BufferLength { .. }) => "buffer length",
        Step::CutAfter(cut) => match cut.how {
            CutKind::Rst => "RST at any byte",
            CutKind::Fin => "FIN at any byte",
            CutKind::HalfClose => "half-close at any byte",
        },
        Step::EndStream(_) => "other endings of a stream",
        Step::ClearMetadata => "cleared metadata",
        Step::PlayBeside(_) => "two plays on a connection",
        Step::Play2(_) => "play2",
        Step::View(view) if view.start_ms > 0 => "plays a recording from its middle",
        Step::View(_) => "plays a recording",
        Step::Append(_) => "plays recordings one behind the other",
        Step::Seek(_) => "seeks",
        Step::Call(_) => "call by name",
        Step::SharedObject(_) => "shared object",
        Step::AbortMessage => "aborted command",
        Step::WaitForFrames(_) => "must get frames",
        Step::WaitForEnd(_) => "must see the end",
        Step::SilenceMs(_) => "silence",
        Step::ReadSlowly(_) => "slow reader",
        Step::ChunkSize(_) => "chunk size between messages",
        Step::Pause(_) => "pause",
        Step::Hold(_) => "live streams held",
        Step::Rewind(_) => "live streams rewound",
        Step::ReceiveAudio(_) => "receiveAudio",
        Step::ReceiveVideo(_) => "receiveVideo",
        _ => return,
    };
    found.insert(what);
}

fn of_connect(connect: &Connect, found: &mut Found) {
    note(
        found,
        connect.digest && !connect.schema0,
        "digest handshake",
    );
    note(found, connect.schema0, "schema 0 handshake");
    note(found, connect.pipelined, "pipelined commands");
    note(found, connect.amf3, "AMF3 commands");
    note(found, connect.never_acks, "never acknowledges");
    note(found, connect.reconnects, "can be asked to reconnect");
}

fn of_media(media: &SendMedia, found: &mut Found) {
    let chunking = &media.chunking;
    let near = |at: u32| media.first_timestamp.wrapping_sub(at - 0x1000) < 0x1000;
    note(found, chunking.interleave, "interleaved chunk streams");
    note(
        found,
        !chunking.resize.is_empty(),
        "chunk size in mid-message",
    );
    note(found, chunking.take_back, "aborted picture");
    note(
        found,
        chunking.omit_extended,
        "extended timestamps left out",
    );
    note(found, chunking.csid > 63, "chunk streams above 63");
    note(found, near(0x0100_0000), "start near 2^24");
    note(
        found,
        media.first_timestamp > 0xffff_0000,
        "start near 2^32",
    );
    note(found, media.picture_ms > 0x00ff_ffff, "leaping time");
    note(found, !media.jumps.is_empty(), "jumping time");
    let late = media.jumps.iter().any(|jump| jump.lag_ms > 0);
    note(found, late, "time that jumps for pictures later");
    note(found, media.zero_headers, "headers with time 0");
    note(found, media.aggregate > 0, "aggregates");
    note(found, media.headers_every > 0, "changing headers");
    note(found, !media.paced, "burst");
    note(found, media.picture_bytes >= 20_000, "large pictures");
    note(found, media.tracks == Tracks::Single, "enhanced");
    note(
        found,
        !matches!(media.tracks, Tracks::Legacy | Tracks::Single),
        "multitrack",
    );
}

fn of_script(script: &Script, found: &mut Found) {
    let count = |is: fn(&Step) -> bool| script.steps.iter().filter(|step| is(step)).count();
    let connects = count(|step| matches!(step, Step::Connect(_)));
    note(found, connects >= 5, "reconnect storm");
    note(
        found,
        count(|step| matches!(step, Step::ConnectRaw)) > 0,
        "stranger",
    );
    let mut published = false;
    let mut broadcasting = false;
    let next = script.steps.iter().skip(1).map(Some).chain([None]);
    for (step, next) in script.steps.iter().zip(next) {
        match step {
            Step::Connect(_) => (published, broadcasting) = (false, false),
            Step::Publish(_) => {
                note(found, published, "publishes again on a connection");
                published = true;
            }
            Step::SendMedia(_) => broadcasting = published,
            Step::HalfClose if broadcasting && matches!(next, Some(Step::WaitMs(_))) => {
                found.insert("half-close in mid-publish");
            }
            Step::Garbage(garbage) if broadcasting && garbage.is_fatal() => {
                found.insert("garbage in mid-publish");
            }
            Step::Play(_) if published => {
                found.insert("publishes and plays");
            }
            _ => {}
        }
    }
    let lasts = script.steps.iter().map(|step| match step {
        Step::SilenceMs(ms) | Step::WaitMs(ms) => *ms,
        _ => 0,
    });
    note(found, lasts.max() > Some(10_000), "waits for a timeout");
    note(
        found,
        script.name.starts_with("stayer"),
        "stays through publications",
    );
    note(found, script.name.starts_with("rival"), "handover");
}

fn of_all(scenario: &Scenario, found: &mut Found) {
    let publishes = |script: &Script| {
        let names = script.steps.iter().find_map(|step| match step {
            Step::Publish(stream) => Some(stream.name.clone()),
            _ => None,
        });
        names.map(|name| (name, script.start_ms))
    };
    let mut starts: Vec<_> = scenario.clients.iter().filter_map(publishes).collect();
    starts.sort();
    let together = starts.windows(2).any(|pair| pair[0] == pair[1]);
    note(found, together, "duplicate publishers at one moment");
}

fn of_world(scenario: &Scenario, found: &mut Found) {
    note(found, scenario.stop_ms.is_some(), "stop in mid-publish");
    let held = |event: &crate::scenario::LinkEvent| event.change == LinkChange::Hold;
    note(found, scenario.network.events.iter().any(held), "link held");
    let server = &scenario.server;
    note(found, server.ring_frames.is_some(), "small rings");
    note(found, server.mailbox_backlog.is_some(), "small mailboxes");
    note(found, server.merge_ms.is_some(), "merged frames");
    note(found, server.connections.is_some(), "flood");
    note(found, server.few.is_some(), "few streams");
    of_records(scenario, found);
    note(found, server.tight.is_some(), "tight bounds");
    note(found, server.media_bytes.is_some(), "short memory");
    let conflict = server.on_conflict();
    note(found, conflict == OnConflict::Takeover, "names taken over");
    let resumes = conflict == OnConflict::Resume;
    note(found, resumes, "publishers that may come back");
    note(found, server.chunk_size == Some(1), "chunks of one byte");
    let kicks = |it: &Intervention| matches!(it.order, Order::Kick(_));
    let operator = &scenario.operator;
    note(found, operator.iter().any(kicks), "operator closes");
    note(found, !operator.iter().all(kicks), "operator ends a stream");
    let calm = scenario
        .clients
        .iter()
        .any(|script| script.name == "calm-viewer-0");
    note(found, calm, "calm world");
}

fn of_records(scenario: &Scenario, found: &mut Found) {
    let Some(record) = scenario.server.record else {
        return;
    };
    found.insert("records");
    note(found, record.format == Format::Mp4, "records samples");
    note(
        found,
        record.format == Format::Both,
        "records messages and samples",
    );
    note(found, record.segment_ms > 0, "records for a time a file");
    note(found, record.segment_bytes > 0, "records some bytes a file");
    let (disk, outages) = (&scenario.disk, &scenario.outages);
    note(found, !disk.are_off(), "records on a disk with faults");
    note(
        found,
        disk.full_after > 0,
        "records on a disk that fills up",
    );
    note(found, !outages.is_empty(), "records, and dies");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Seeds that are looked at.
    const SEEDS: u64 = 1_000;

    #[test]
    fn every_behaviour_is_in_some_seeds_and_in_no_more_than_most() {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut scripts = 0;
        let began = cpu_time::ThreadTime::now();
        let scenarios: Vec<_> = (0..SEEDS).map(crate::generate::scenario).collect();
        let cost = began.elapsed() / SEEDS as u32;
        for scenario in scenarios {
            scripts += scenario.clients.len() as u64;
            for what in behaviours(&scenario) {
                *counts.entry(what).or_default() += 1;
            }
        }
        let percent = |count: u64| count as f64 * 100.0 / SEEDS as f64;
        for (what, count) in &counts {
            println!("{:>6.1} %  {what}", percent(*count));
        }
        let mean = scripts as f64 / SEEDS as f64;
        println!("{mean} scripts a seed, drawn in {} us", cost.as_micros());
        assert_eq!(counts.len(), 89, "as many as are named above");
        for (what, count) in counts {
            assert!(
                (2.0..60.0).contains(&percent(count)),
                "{what}: {}",
                percent(count)
            );
        }
        assert!((8..=17).contains(&(scripts / SEEDS)));
    }
}
