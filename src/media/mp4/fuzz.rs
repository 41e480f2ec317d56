//! Files of arbitrary bytes: a body for fuzzers and property tests.

use super::{Mp4Error, Mp4File, Mp4Open, Mp4Repair, Mp4Writer};
use crate::limits;
use crate::media::file::{MediaFile, Muxer, Packet, Patch, Pushed, Step, Task};
use crate::rtmp::wire::WireMessage;
use crate::time::Timestamp;

/// Reads that a file may take, for each byte of it and at all: what is walked over costs a read a box.
const READS: usize = 1_000;
/// Messages of a file that are looked at: tables may hold many that are empty.
const PACKETS: usize = 2_000;

/// Opens `data` as a file, plays it from places all over it, records what comes anew, cuts that off, repairs it and reads
/// it again. No panic, no read outside of the file, no more reads than there are bytes, times that only grow.
#[doc(hidden)]
pub fn fuzz_mp4(data: &[u8]) {
    let played = play(data, 0).unwrap_or_default();
    for part in [1, 2, 3] {
        let _ = play(data, part * 700);
    }
    if let Ok(repaired) = run(&mut Mp4Repair::new(data.len() as u64), data) {
        assert!(repaired.len <= data.len() as u64);
    }
    let file = record(&played);
    let again = play(&file, 0).unwrap_or_default();
    assert!(again.len() <= played.len());
    let cut = file.len() * usize::from(data.last().copied().unwrap_or(0)) / 256;
    repair(file.get(..cut).unwrap_or_default(), again.len());
}

fn slice(data: &[u8], offset: u64, len: usize) -> &[u8] {
    assert!(len > 0, "nothing is asked for");
    let from = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(data.len());
    let to = from.saturating_add(len).min(data.len());
    data.get(from..to).unwrap_or_default()
}

fn run<T: Task<Error = Mp4Error>>(task: &mut T, data: &[u8]) -> Result<T::Output, Mp4Error> {
    let mut input: &[u8] = &[];
    for _ in 0..=READS + data.len() {
        match task.step(input)? {
            Step::Read { offset, len } => {
                assert!(offset <= data.len() as u64, "behind the end");
                assert!(len as u64 <= limits::MP4_MFRA_BYTES.max(limits::MP4_MOOF_BYTES));
                input = slice(data, offset, len);
            }
            Step::Done(output) => return Ok(output),
        }
    }
    unreachable!("more reads than there are bytes")
}

/// All messages from `time` on, or those before something that cannot be read.
fn play(data: &[u8], time: u64) -> Result<Vec<Packet>, Mp4Error> {
    let size = data.len() as u64;
    let mut file: Mp4File = run(&mut Mp4Open::new(size), data)?;
    let mut cursor = file.seek(time, None);
    let mut packets = Vec::new();
    let mut input: &[u8] = &[];
    for _ in 0..READS + data.len() + 2 * PACKETS {
        match file.next(&mut cursor, size, input) {
            Ok(Step::Read { offset, len }) => {
                assert!(offset.saturating_add(len as u64) <= size, "behind the end");
                input = slice(data, offset, len);
            }
            Ok(Step::Done(Some(packet))) => {
                input = &[];
                packets.push(packet);
                if packets.len() >= PACKETS {
                    return Ok(packets);
                }
            }
            Ok(Step::Done(None)) | Err(_) => return Ok(packets),
        }
    }
    unreachable!("more reads than there are bytes and messages")
}

fn apply(file: &mut Vec<u8>, patches: &[Patch]) {
    for Patch { offset, bytes } in patches {
        let (at, end) = (*offset as usize, *offset as usize + bytes.len());
        if file.len() < end {
            file.resize(end, 0);
        }
        if let Some(place) = file.get_mut(at..end) {
            place.copy_from_slice(bytes);
        }
    }
}

fn record(packets: &[Packet]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Mp4Writer::new();
    writer.begin(&[], &mut file);
    for packet in packets {
        let timestamp = Timestamp(packet.time as u32);
        let message = WireMessage::new(packet.kind, timestamp, &packet.payload, 4_096);
        if writer.push(&message, packet.time, &mut file) == Pushed::NewSegment {
            break;
        }
    }
    let patches = writer.finish(&mut file);
    apply(&mut file, &patches);
    file
}

/// What is left of a recording is whole after its repair, and repairing it once more changes nothing.
fn repair(cut: &[u8], whole: usize) {
    let Ok(repaired) = run(&mut Mp4Repair::new(cut.len() as u64), cut) else {
        return;
    };
    assert!(repaired.len <= cut.len() as u64);
    if repaired.is_empty {
        return;
    }
    let mut file = cut.to_vec();
    file.truncate(repaired.len as usize);
    apply(&mut file, &repaired.patches);
    let again = run(&mut Mp4Repair::new(file.len() as u64), &file);
    assert_eq!(again.as_ref(), Ok(&repaired));
    assert!(play(&file, 0).is_ok_and(|packets| packets.len() <= whole));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::media::mp4::tests::{
        movie_with_table, recording, table_and_fragment, without_times,
    };

    fn bases() -> [Vec<u8>; 5] {
        let [untimed, smooth] = without_times();
        [
            recording(),
            movie_with_table(),
            table_and_fragment(),
            untimed,
            smooth,
        ]
    }

    fn with(base: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
        let mut bytes = base.to_vec();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        bytes
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            fuzz_mp4(&bytes);
        }

        #[test]
        fn changed_bytes_are_survived(
            changes in prop::collection::vec((any::<usize>(), prop_oneof![Just(0xFF), Just(0), any::<u8>()]), 1..8),
        ) {
            for base in bases() {
                fuzz_mp4(&with(&base, &changes));
            }
        }
    }

    #[test]
    fn cut_off_anywhere_is_survived() {
        for base in bases() {
            for end in 0..base.len() {
                fuzz_mp4(&base[..end]);
            }
        }
    }
}
