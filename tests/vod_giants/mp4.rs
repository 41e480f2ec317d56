//! MP4 films of many gigabytes that take hardly any of a disk: what describes the pictures is there, and where they would be
//! are holes.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::Path;

fn boxed(kind: &[u8; 4], body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let mut all = (8 + body.len() as u32).to_be_bytes().to_vec();
    all.extend_from_slice(kind);
    all.extend_from_slice(&body);
    all
}

/// A box that begins with a version, 0, and flags.
fn full(kind: &[u8; 4], flags: u32, fields: &[u32]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|field| field.to_be_bytes());
    let fields: Vec<u8> = flags.to_be_bytes().into_iter().chain(fields).collect();
    boxed(kind, &[&fields])
}

/// A table of `entries`, behind their number.
fn table(
    kind: &[u8; 4],
    before: &[u32],
    entries: impl ExactSizeIterator<Item = Vec<u32>>,
) -> Vec<u8> {
    let mut fields = before.to_vec();
    fields.push(entries.len() as u32);
    fields.extend(entries.flatten());
    full(kind, 0, &fields)
}

/// `moov` of one track of H.264 that counts milliseconds, with the sample tables `tables`.
fn movie(duration: u32, tables: &[Vec<u8>], more: &[u8]) -> Vec<u8> {
    let avcc = boxed(b"avcC", &[&[1, 0x4D, 0x40, 0x1F, 0xFF, 0xE0, 0]]);
    let avc1 = boxed(b"avc1", &[&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 70], &avcc]);
    let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &avc1]);
    let tables: Vec<&[u8]> = tables.iter().map(Vec::as_slice).collect();
    let stbl = boxed(b"stbl", &[&[&stsd[..]], &tables[..]].concat());
    let hdlr = full(b"hdlr", 0, &[0, u32::from_be_bytes(*b"vide"), 0, 0, 0, 0]);
    let mdhd = full(b"mdhd", 0, &[0, 0, 1_000, duration, 0]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &boxed(b"minf", &[&stbl])]);
    let mut tkhd = vec![0, 0, 1, 0, duration];
    tkhd.extend([0; 15]);
    let trak = boxed(b"trak", &[&full(b"tkhd", 3, &tkhd), &mdia]);
    let mut mvhd = vec![0, 0, 1_000, duration];
    mvhd.extend([0; 20]);
    boxed(b"moov", &[&full(b"mvhd", 0, &mvhd), &trak, more])
}

/// Bytes of a picture in [`tables`].
fn size(picture: u32) -> u32 {
    5_000 + picture % 100
}

/// A film of `pictures`, 10 ms each (9 and 11 in turn, so that no table can be short), every 250th a keyframe, with its tables
/// in front.
pub(crate) fn tables(path: &Path, pictures: u32) {
    const CHUNK: u32 = 8;
    let each = 0..pictures;
    let before = |chunk: u32| {
        let mut offset = 0;
        (0..chunk).map(move |chunk| {
            let at = offset;
            let pictures = chunk * CHUNK..(chunk + 1) * CHUNK;
            offset += pictures.map(|it| u64::from(size(it))).sum::<u64>();
            at
        })
    };
    let offsets: Vec<u64> = before(pictures / CHUNK).collect();
    let tables = |data: u64| {
        let split = |at: &u64| vec![((at + data) >> 32) as u32, (at + data) as u32];
        [
            table(b"stts", &[], each.clone().map(|n| vec![1, 9 + n % 2 * 2])),
            table(b"ctts", &[], each.clone().map(|n| vec![1, n % 2 * 40])),
            table(b"stss", &[], (0..pictures / 250).map(|n| vec![n * 250 + 1])),
            table(b"stsc", &[], [vec![1, CHUNK, 1]].into_iter()),
            table(b"stsz", &[0], each.clone().map(|n| vec![size(n)])),
            table(b"co64", &[], offsets.iter().map(split)),
        ]
    };
    let ftyp = boxed(b"ftyp", &[b"isom\0\0\0\0isom"]);
    let moov = movie(pictures * 10, &tables(0), &[]).len();
    let data = (ftyp.len() + moov + 16) as u64;
    let bytes = offsets.last().unwrap() + u64::from(CHUNK) * 5_100;
    let mut file = File::create(path).unwrap();
    file.write_all(&ftyp).unwrap();
    file.write_all(&movie(pictures * 10, &tables(data), &[]))
        .unwrap();
    file.write_all(b"\0\0\0\x01mdat").unwrap();
    file.write_all(&(16 + bytes).to_be_bytes()).unwrap();
    file.set_len(data + bytes).unwrap();
}

/// A film of `fragments` without an index, a second of 25 pictures of `size` bytes each. `time`: the type of the box that says
/// when a fragment begins; another than `tfdt` says nothing.
pub(crate) fn fragments(path: &Path, fragments: u32, size: u32, time: &[u8; 4]) {
    let empty = [*b"stts", *b"stsc", *b"stco"].map(|kind| full(&kind, 0, &[0]));
    let tables = [&empty[..], &[full(b"stsz", 0, &[0, 0])]].concat();
    let trex = full(b"trex", 0, &[1, 1, 40, size, 0x0001_0000]);
    let moov = movie(0, &tables, &boxed(b"mvex", &[&trex]));
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&boxed(b"ftyp", &[b"isom\0\0\0\0isom"]))
        .unwrap();
    file.write_all(&moov).unwrap();
    let mut at = file.stream_position().unwrap();
    for number in 0..fragments {
        let tfhd = full(b"tfhd", 0x02_0000, &[1]);
        let tfdt = full(time, 0, &[number * 1_000]);
        // Each sample says its size, as of pictures that differ.
        let mut run = vec![25, 0, 0x0200_0000];
        run.extend([size; 25]);
        let moof = |run: &[u32]| {
            let trun = full(b"trun", 0x0205, run);
            let traf = boxed(b"traf", &[&tfhd, &tfdt, &trun]);
            boxed(b"moof", &[&full(b"mfhd", 0, &[number + 1]), &traf])
        };
        run[1] = moof(&run).len() as u32 + 8;
        let moof = moof(&run);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&moof).unwrap();
        file.write_all(&(8 + 25 * size).to_be_bytes()).unwrap();
        file.write_all(b"mdat").unwrap();
        at += moof.len() as u64 + 8 + 25 * u64::from(size);
    }
    file.flush().unwrap();
    file.get_mut().set_len(at).unwrap();
}
