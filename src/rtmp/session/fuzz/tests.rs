use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn scripts_are_survived(
        choice in 0u8..16,
        piece in 1u8..60,
        script in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let bytes = [&[choice | 1, piece], &script[..]].concat();
        fuzz_server_session(&bytes);
        fuzz_client_session(&bytes);
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_server_session(&bytes);
        fuzz_client_session(&bytes);
    }
}

#[test]
fn shared_objects_are_survived() {
    // A script of one message: type 19 on chunk stream 9, 15 bytes long, an object named "a".
    let mut script = vec![1, 7, 0x0E, 0, 7, 19, 15, 0, 1, b'a'];
    script.resize(script.len() + 12, 0);
    fuzz_server_session(&script);
}

#[test]
fn an_empty_name_behind_a_refused_play_may_be_asked_for_or_not() {
    // The shell refuses; "live", and the last of the names, which is empty.
    let play = |name| [0, 1, 7, 0, 1, 4, name];
    let script = [&[1 | 4, 1][..], &play(26), &play(31)].concat();
    fuzz_server_session(&script);
}

#[test]
fn a_play2_in_the_read_of_its_play_is_the_same_event() {
    // Two commands on message stream 1 with one argument each: the name "live" (26 of the names) or an object, whose
    // last property is streamName.
    let play = [0, 1, 7, 0, 1, 4, 26];
    let play2 = [0, 1, 8, 0, 1, 8, 0, 0, 0, 4, 26];
    let script = [&[1, 1][..], &play, &play2].concat();
    fuzz_server_session(&script);
}
