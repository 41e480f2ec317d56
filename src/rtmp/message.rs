//! Message type ids (RTMP 1.0 §5.4, §7.1).

/// Set Chunk Size (RTMP 1.0 §5.4.1).
pub const SET_CHUNK_SIZE: u8 = 1;
/// Abort Message (RTMP 1.0 §5.4.2).
pub const ABORT: u8 = 2;
/// Acknowledgement (RTMP 1.0 §5.4.3).
pub const ACKNOWLEDGEMENT: u8 = 3;
/// User Control Messages (RTMP 1.0 §7.1.7).
pub const USER_CONTROL: u8 = 4;
/// Window Acknowledgement Size (RTMP 1.0 §5.4.4).
pub const WINDOW_ACK_SIZE: u8 = 5;
/// Set Peer Bandwidth (RTMP 1.0 §5.4.5).
pub const SET_PEER_BANDWIDTH: u8 = 6;
/// Audio: the body of an FLV audio tag.
pub const AUDIO: u8 = 8;
/// Video: the body of an FLV video tag.
pub const VIDEO: u8 = 9;
/// Data, AMF3: a format byte, then AMF0 values.
pub const DATA_AMF3: u8 = 15;
/// Shared object, AMF3.
pub const SHARED_OBJECT_AMF3: u8 = 16;
/// Command, AMF3: a format byte, then AMF0 values.
pub const COMMAND_AMF3: u8 = 17;
/// Data, AMF0.
pub const DATA_AMF0: u8 = 18;
/// Shared object, AMF0.
pub const SHARED_OBJECT_AMF0: u8 = 19;
/// Command, AMF0.
pub const COMMAND_AMF0: u8 = 20;
/// Aggregate: several FLV tags in one message (RTMP 1.0 §7.1.6).
pub const AGGREGATE: u8 = 22;
