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
