//! A file of more than ten gigabytes that nobody stores: what stands where is computed.

use super::*;

/// Milliseconds from tag to tag; sound and picture in turn.
const STEP: u64 = 20;
/// Tags from keyframe to keyframe, and bytes of their bodies.
const GOP: u64 = 100;
const KEY: u64 = 400_000;
const INTER: u64 = 24_000;
const SOUND: u64 = 300;
/// Bytes of a GOP: its keyframe, 49 other pictures and 50 frames of sound, each with header and size.
const GOP_BYTES: u64 = KEY + 49 * INTER + 50 * SOUND + GOP * 15;
const GOPS: u64 = 8_000;

/// Body and place in its GOP of the `n`th tag of a GOP.
fn tag_of(n: u64) -> (u64, u64) {
    let inter = (n / 2).saturating_sub(1) + n % 2 * u64::from(n > 1);
    let begin = n * 15 + n / 2 * SOUND + if n == 0 { 0 } else { KEY + inter * INTER };
    let length = match n {
        0 => KEY,
        n if n % 2 == 0 => INTER,
        _ => SOUND,
    };
    (length, begin)
}

fn tag_bytes(n: u64) -> Vec<u8> {
    let (length, _) = tag_of(n % GOP);
    let mut body = if n % 2 == 1 {
        vec![0xAF, 1]
    } else if n.is_multiple_of(GOP) {
        vec![0x17, 1, 0, 0, 0]
    } else {
        vec![0x27, 1, 0, 0, 0]
    };
    // Not only zeros: much of it looks like headers.
    let mut state = n;
    while body.len() < length as usize {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        body.extend_from_slice(&[9, 0, 0, (state >> 60) as u8, 0, 0, 0, 0, 0, 0, 0]);
    }
    body.truncate(length as usize);
    let (kind, mut out) = (
        [MediaKind::Video, MediaKind::Audio][n as usize % 2],
        Vec::new(),
    );
    tag::write(
        kind,
        (n * STEP) as u32,
        body.len(),
        std::iter::once(&body[..]),
        &mut out,
    );
    out
}

fn front() -> Vec<u8> {
    let mut out = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec();
    tag::write(
        MediaKind::Video,
        0,
        AVC.len(),
        std::iter::once(AVC),
        &mut out,
    );
    tag::write(
        MediaKind::Audio,
        0,
        AAC.len(),
        std::iter::once(AAC),
        &mut out,
    );
    out
}

fn giant() -> Disk<impl Fn(Range<u64>) -> Vec<u8>> {
    let front = front();
    let begin = front.len() as u64;
    let read = move |range: Range<u64>| {
        let mut out = Vec::new();
        let mut at = range.start;
        if at < begin {
            out.extend_from_slice(&front[at as usize..]);
            at = begin;
        }
        let (gop, within) = ((at - begin) / GOP_BYTES, (at - begin) % GOP_BYTES);
        let first = (0..GOP).rev().find(|n| tag_of(*n).1 <= within).unwrap();
        let mut skip = (within - tag_of(first).1) as usize;
        let mut n = gop * GOP + first;
        while (out.len() as u64) < range.end - range.start {
            let tag = tag_bytes(n);
            out.extend_from_slice(&tag[skip..]);
            skip = 0;
            n += 1;
        }
        out.truncate((range.end - range.start) as usize);
        out
    };
    Disk {
        read,
        size: begin + GOPS * GOP_BYTES,
        reads: 0,
        bytes: 0,
    }
}

#[test]
fn a_seek_in_ten_gigabytes_without_an_index_reads_little() {
    let mut disk = giant();
    assert!(disk.size > 12_000_000_000);
    let mut file = disk.open();
    let end = GOPS * GOP * STEP;
    assert_eq!(file.info().duration, Some(end - STEP));
    assert!(
        disk.reads < 60 && disk.bytes < 3_000_000,
        "{} {}",
        disk.reads,
        disk.bytes
    );
    let (mut most, mut most_bytes) = (0, 0);
    for n in 0..25 {
        let time = n * 7_919 * 31 % (end / 1_000) * 1_000 + n * 17 % 2_000;
        let mut cursor = file.seek(time, None);
        (disk.reads, disk.bytes) = (0, 0);
        let packet = disk.next(&mut file, &mut cursor).unwrap();
        assert_eq!((packet.time, packet.is_sync), (time / 2_000 * 2_000, true));
        most = most.max(disk.reads);
        most_bytes = most_bytes.max(disk.bytes);
    }
    assert!(most < 300 && most_bytes < 16_000_000, "{most} {most_bytes}");
}

#[test]
fn a_seek_in_ten_gigabytes_with_an_index_reads_one_tag() {
    let mut disk = giant();
    let mut index = crate::media::file::SyncIndex::new(limits::FLV_INDEX_PLACES);
    let begin = front().len() as u64;
    for gop in 0..GOPS {
        index.push(crate::media::file::Sync {
            time: gop * GOP * STEP,
            offset: begin + gop * GOP_BYTES,
        });
    }
    let mut file = disk.open();
    file.index = Some(index);
    for time in [0, 1_999, 2_000, 4_000_001, 15_999_999, 20_000_000] {
        let mut cursor = file.seek(time, None);
        (disk.reads, disk.bytes) = (0, 0);
        let packet = disk.next(&mut file, &mut cursor).unwrap();
        let last = (GOPS - 1) * 2_000;
        assert_eq!(
            (packet.time, packet.is_sync),
            (last.min(time / 2_000 * 2_000), true)
        );
        assert!(
            disk.reads <= 4 && disk.bytes < KEY as usize + 3 * limits::FLV_GLANCE,
            "{} {}",
            disk.reads,
            disk.bytes
        );
    }
}
