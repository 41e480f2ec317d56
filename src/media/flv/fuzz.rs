//! Arbitrary bytes as a file: a body for fuzzers and property tests.

use super::{FlvFile, FlvOpen, FlvReader, FlvRepair};
use crate::limits;
use crate::media::file::{MediaFile, Step, Task};

/// Reads `data` as a file to the end; repairs it, and what comes of that again; opens it, seeks and plays. No panic, no
/// read outside of what a bound allows, and no end of reads. The first byte says where is sought, the rest is the file;
/// unless it begins with FLV, behind the header of an FLV file.
#[doc(hidden)]
pub fn fuzz_flv(data: &[u8]) {
    let (choice, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut file = Vec::new();
    if !rest.starts_with(b"FLV") {
        file.extend_from_slice(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00");
    }
    file.extend_from_slice(rest);
    let mut reader = FlvReader::new();
    let mut input = &file[..];
    while let Ok(Some(tag)) = reader.read(&mut input) {
        assert!(tag.payload.len() <= limits::MESSAGE_BYTES as usize);
    }
    if let Some(repaired) = run(FlvRepair::new(file.len() as u64), &file) {
        assert!(repaired.len <= file.len() as u64);
        let mut whole = file.clone();
        whole.truncate(repaired.len as usize);
        for patch in &repaired.patches {
            let at = patch.offset as usize;
            assert!(at + patch.bytes.len() <= whole.len());
            whole.splice(at..at + patch.bytes.len(), patch.bytes.iter().copied());
        }
        let again = run(FlvRepair::new(whole.len() as u64), &whole);
        assert!(again.is_some_and(|again| again.len == repaired.len && again.patches.is_empty()));
    }
    if let Some(mut opened) = run(FlvOpen::new(file.len() as u64), &file) {
        play(&mut opened, &file, 0);
        play(&mut opened, &file, u64::from(*choice) * 50);
    }
}

/// Reads a task may make of a file so small.
const READS: usize = 10_000;

fn answer(file: &[u8], offset: u64, len: usize) -> &[u8] {
    assert!(len > 0 && len <= limits::MESSAGE_BYTES as usize + limits::REPAIR_BLOCK);
    let from = (offset as usize).min(file.len());
    &file[from..(from + len).min(file.len())]
}

fn run<T: Task>(mut task: T, file: &[u8]) -> Option<T::Output> {
    let mut input: &[u8] = &[];
    for _ in 0..READS {
        match task.step(input).ok()? {
            Step::Read { offset, len } => input = answer(file, offset, len),
            Step::Done(done) => return Some(done),
        }
    }
    unreachable!("a task that does not end")
}

/// All messages from `time` on.
fn play(opened: &mut FlvFile, file: &[u8], time: u64) {
    let mut cursor = opened.seek(time, None);
    let mut input: &[u8] = &[];
    for _ in 0..READS {
        match opened.next(&mut cursor, file.len() as u64, input) {
            Ok(Step::Read { offset, len }) => input = answer(file, offset, len),
            Ok(Step::Done(Some(_))) => input = &[],
            Ok(Step::Done(None)) | Err(_) => return,
        }
    }
    unreachable!("a cursor that does not end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_files(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_flv(&data);
        }

        #[test]
        fn likely_files(
            choice in any::<u8>(),
            tags in proptest::collection::vec(
                (prop::sample::select(vec![8_u8, 9, 18, 0, 41]), 0..40_u8, any::<u8>(), prop::sample::select(vec![0x17_u8, 0x27, 0xAF, 2, 0x90]), 0..20_u8),
                0..40,
            ),
            cut in any::<usize>(),
        ) {
            let mut data = vec![choice];
            for (kind, length, time, first, wrong) in tags {
                data.extend([kind, 0, 0, length, 0, time, 0, 0, 0, 0, 0]);
                data.extend((0..length).map(|at| if at == 0 { first } else { 1 }));
                data.extend([0, 0, 0, length + if wrong == 0 { 3 } else { 11 }]);
            }
            data.truncate(data.len() - cut % data.len() / 8);
            fuzz_flv(&data);
        }
    }
}
