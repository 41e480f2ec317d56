//! Commands of arbitrary bytes: a body for fuzzers and property tests.

use super::{Command, ConnectRequest, Request};
use crate::limits;
use crate::rtmp::amf::amf0;
use crate::rtmp::message;

/// A command of arbitrary bytes, the first of them its message type: no panic; what was understood is so again when
/// written, to the byte, and asks for the same; names are bounded.
#[doc(hidden)]
pub fn fuzz_command(data: &[u8]) {
    let Some((type_id, payload)) = data.split_first() else {
        return;
    };
    let Ok(command) = Command::decode(*type_id, payload) else {
        return;
    };
    let written = command.encode();
    let request = Request::new(&command);
    if let Request::Connect(connect) = &request {
        check_connect(connect);
    }
    // What AMF3 said in vectors may be too many values for AMF0.
    let Ok(again) = Command::decode(message::COMMAND_AMF0, &written) else {
        return;
    };
    assert_eq!(again.name, command.name);
    assert_eq!(again.transaction.to_bits(), command.transaction.to_bits());
    assert_eq!(again.wants_reply(), command.wants_reply());
    assert_eq!(again.arguments.len(), command.arguments.len());
    // References inside of objects mean something else now that those of the command are followed.
    if !written.contains(&0x07) {
        assert_eq!(again.encode(), written);
        let bytes = |command: &Command| amf0::encode_all(&command.arguments);
        assert_eq!(bytes(&again), bytes(&command));
        assert_eq!(
            format!("{:?}", Request::new(&again)),
            format!("{request:?}")
        );
    }
}

fn check_connect(connect: &ConnectRequest) {
    for text in [
        &connect.tc_url,
        &connect.flash_ver,
        &connect.page_url,
        &connect.swf_url,
    ] {
        assert!(text.len() <= limits::NAME_BYTES);
    }
    if let Some(enhanced) = &connect.enhanced {
        assert!(enhanced.four_cc_list.len() <= limits::FOUR_CCS);
        assert!(enhanced.video.len() <= limits::FOUR_CCS);
        assert!(enhanced.audio.len() <= limits::FOUR_CCS);
    }
    assert!(!connect.app.starts_with('/') && !connect.app.contains('?'));
}
