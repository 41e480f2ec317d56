//! What hurts the users of other RTMP servers, and what this one does instead: each failure of the field survey has a test
//! named after it. `b` numbers are the predecessor's defects, `c` numbers the issues all servers share.
//!
//! | failure | test, or where it is |
//! |---|---|
//! | b1 chunk size 0, short payload | `decoder/tests/field.rs`: `seed_divided_by_…`; `protocol--chunk-size-0` in `tests/fuzz_corpus.rs` |
//! | b2 AMF over-read, recursion, nested ECMA arrays | `crash::b02_…` |
//! | b3 one-byte media | `frame/classify/tests.rs`: `xop_one_byte_…` |
//! | b4 16 MB reserved by a header | `decoder/tests/field.rs`: `seed_reserved_16_mb_…`; `tests/allocations.rs` |
//! | b5 long URLs and parameter sets | `crash::b05_…` |
//! | b6 a buffer that is never compacted | `crash::b06_…` |
//! | b7 a probe for a missing stream leaves a session | `crash::b07_…` |
//! | b8 chunk stream ids | `decoder/tests/field.rs`: `seed_misread_csids_…`; `corpus/wire/synthetic-csids` |
//! | b9 format 3, extended timestamps, chunk size in mid-message | `decoder/tests/field.rs`: `seed_7_…`, `seed_lost_its_place_…`; `corpus/wire/synthetic-time` |
//! | b10 AMF3, aggregates, play2; no acknowledgements, no pongs | `protocol::b10_…` |
//! | b11 metadata cut short, bare onMetaData, queries in names | `protocol::b11_…` |
//! | b12 no digest handshake, C2 | `protocol::b12_…` |
//! | b13 the GOP before the last, then nothing | `delivery::b13_…` |
//! | b14 a full queue loses sequence headers | `delivery::b14_…` |
//! | b15 changed parameter sets over HTTP-FLV, HEVC | `frame/classify/tests.rs`: `xop_hevc_…`; `stream/tests.rs`: `a_header_replaced_…`; HTTP-FLV is not built (the web) |
//! | b16 allocations and copies per player | `encoder/tests.rs`: `seed_copied_for_each_player_…`; `tests/allocations.rs` |
//! | b17 players not told; half-open publishers | `delivery::b17_…`; silence ends a publisher: `server::deadline`; seed `half-open-encoder-comes-back` |
//! | b18 no authentication, TLS, limits, statistics | limits and IPv6: `server::b18_…`; statistics: `tests/http.rs`; authentication and TLS are not built (access) |
//! | b19 signals ignored, callbacks under locks | `server::b19_…`; signals: `tests/cli.rs` |
//! | b20 client: opened twice, no onMetaData | `protocol::b20_…` |
//! | c1 "already publishing" after a network drop | `delivery::c01_…`; `server/tests/handover.rs`; `corpus/seeds`: `name-taken-over`, `encoder-comes-back`, `half-open-encoder-comes-back` |
//! | c2 memory growth | `delivery::c02_…`; `server/tests/late.rs`: `all_streams_together_…`; `tests/allocations.rs` |
//! | c3 a slow player gets garbage | `delivery::b14_…` and `delivery::c03_…`; `server/tests/late.rs`: `who_jumps_too_often_…`; seed `slow-player-jumps` |
//! | c4 latency creeps up | `delivery::c04_…`; `server/tests/late.rs`: `who_is_too_late_…`; seed `slow-player-jumps` |
//! | c5 24-bit and 32-bit wrap | `decoder/tests/field.rs`: `nms_25_…`, `srs_4356_…`, `obs_10097_…`; `corpus/wire/synthetic-time` |
//! | c6 a jump in time kills the stream | `delivery::c06_…`; `media/clock/tests.rs`; seed `clock-jumps` |
//! | c7 sound and picture drift apart | `delivery::c07_…` |
//! | c8 black screen at the start | `delivery::c08_…` |
//! | c9 HEVC, AV1, multitrack | `frame/classify/tests.rs` and `stream/tests.rs`: `mediamtx_3685_…`, `srs_3464_…`; real files: `tests/clients.rs` |
//! | c10 a refused OBS loops | `delivery::c10_…` |
//! | c11 intolerance in the chunk layer | `decoder/tests/field.rs`: `mediamtx_4807_…`, `srs_454_…`, `nginx_1042_…`; `corpus/wire/synthetic-interleaved` |
//! | c12 remote crash | `crash::c12_…`; `sim/fuzz` |
//! | c13 streams lost between processes | `delivery::c13_…` |
//! | c14 CORS on HTTP-FLV | not built (the web); HTTP on this port is known for what it is: `corpus/reject` |
//! | c15 relays; playing what is missing hangs | `delivery::c15_…`; relays are not built (relays) |
#![cfg(feature = "production")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test is outside of the server: it has real sockets, files and clocks, and fails by panicking"
)]

mod rtmp_client;

#[path = "field/crash.rs"]
mod crash;
#[path = "field/delivery.rs"]
mod delivery;
#[path = "field/protocol.rs"]
mod protocol;
#[path = "field/server.rs"]
mod server;
#[path = "field/wire.rs"]
mod wire;
