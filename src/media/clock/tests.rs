use super::*;

const AUDIO: MediaKind = MediaKind::Audio;
const VIDEO: MediaKind = MediaKind::Video;
const SEAM: u32 = limits::CLOCK_SEAM.as_millis() as u32;

/// A clock whose messages come when their publisher's true time says.
#[derive(Default)]
struct Run {
    clock: Clock,
    /// Milliseconds.
    now: u64,
}

impl Run {
    fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }
    fn instant(&self) -> Instant {
        Instant::from_micros(self.now * 1_000)
    }
    fn media(&mut self, kind: MediaKind, time: u32) -> u32 {
        let now = self.instant();
        self.clock.media(kind, Timestamp(time), now).0
    }
    fn header(&mut self, kind: MediaKind, time: u32) -> u32 {
        self.clock.header(kind, Timestamp(time)).0
    }
    /// Sound and pictures for so long, from time `first` on; all of it is `by` later for players.
    fn goes_on(&mut self, first: u32, ms: u32, by: u32) {
        let began = self.now;
        for offset in (0..ms).step_by(20) {
            self.at(began + u64::from(offset));
            let time = first.wrapping_add(offset);
            assert_eq!(self.media(AUDIO, time), time.wrapping_add(by));
            if offset % 40 == 0 {
                assert_eq!(self.media(VIDEO, time), time.wrapping_add(by));
            }
        }
        self.now = began + u64::from(ms);
    }
}

#[test]
fn whatever_runs_as_it_should_is_left_alone() {
    let mut run = Run::default();
    run.goes_on(1_234, 10_000, 0);
    assert_eq!(run.clock.jumps(), 0);
}

#[test]
fn the_clocks_of_24_31_and_32_bits_go_round_unfelt() {
    for bits in [24, 31, 32] {
        let width = 1_u64 << bits;
        let mut run = Run::default();
        for n in 0..1_000_u64 {
            let time = width - 5_000 + n * 20;
            run.now = n * 20;
            let sent = (time % width) as u32;
            assert_eq!(run.media(AUDIO, sent), time as u32, "{bits} bits, sound");
            assert_eq!(run.media(VIDEO, sent), time as u32, "{bits} bits, pictures");
        }
        assert_eq!(run.clock.jumps(), 0);
    }
}

#[test]
fn seventy_days_are_counted_in_64_bits() {
    let mut run = Run::default();
    let day = 86_400_000_u64;
    for n in 0..70 * 24 {
        run.now = n * day / 24;
        run.media(VIDEO, run.now as u32);
    }
    assert_eq!(run.clock.jumps(), 0);
    assert!(run.clock.head > Some(i64::from(u32::MAX)));
}

#[test]
fn small_steps_back_and_bad_interleaving_stay_as_they_are() {
    let mut run = Run::default();
    run.goes_on(0, 2_000, 0);
    for (kind, time) in [
        (VIDEO, 2_000),
        (AUDIO, 1_400),
        (VIDEO, 2_040),
        (VIDEO, 1_960),
        (AUDIO, 1_380),
        (VIDEO, 2_080),
    ] {
        assert_eq!(run.media(kind, time), time);
    }
    assert_eq!(run.clock.jumps(), 0);
}

#[test]
fn tracks_that_begin_at_different_times_keep_their_distance() {
    let hour = 3_600_000;
    let mut run = Run::default();
    for n in 0..500 {
        run.now = u64::from(n) * 20;
        assert_eq!(run.media(AUDIO, n * 20), n * 20);
        assert_eq!(run.media(VIDEO, hour + n * 20), hour + n * 20);
    }
    assert_eq!(run.clock.jumps(), 0);
    // The encoder starts anew, with the same distance.
    run.now += 20;
    let sound = run.media(AUDIO, 0);
    assert!((9_980 + 1..9_980 + 200).contains(&sound), "{sound}");
    assert_eq!(run.media(VIDEO, hour), hour + sound);
    assert_eq!(run.clock.jumps(), 1);
}

#[test]
fn a_track_that_was_silent_for_minutes_comes_back_where_the_others_are() {
    let mut run = Run::default();
    run.goes_on(0, 1_000, 0);
    for paced in [true, false] {
        let first = run.clock.head.map_or(0, |head| head as u32);
        for n in 1..20_000 {
            if paced {
                run.now += 20;
            }
            assert_eq!(run.media(AUDIO, first + n * 20), first + n * 20);
        }
        assert_eq!(run.media(VIDEO, first + 400_000), first + 400_000);
    }
    // And alone: the time that passed explains it.
    let time = run.clock.head.map_or(0, |head| head as u32) + 25_000;
    run.now += 25_000;
    assert_eq!(run.media(VIDEO, time), time);
    assert_eq!(run.clock.jumps(), 0);
}

#[test]
fn a_restart_moves_all_tracks_by_one_offset_wherever_each_of_them_jumps() {
    for first in [0_u32, 7, 500_000_000, u32::MAX - 10] {
        let mut run = Run::default();
        run.goes_on(1_000_000, 20_000, 0);
        // Sound jumps; pictures of before are still to come.
        let sound = run.media(AUDIO, first);
        assert_eq!(sound, 1_019_980 + SEAM, "behind everything");
        assert_eq!(run.media(VIDEO, 1_020_000), 1_020_000);
        assert_eq!(run.media(AUDIO, first.wrapping_add(20)), sound + 20);
        // Headers of the new encoder come with time 0, and are no jump.
        assert_eq!(run.header(VIDEO, first), sound);
        let picture = run.media(VIDEO, first.wrapping_add(5));
        assert_eq!(picture, sound + 5, "the same offset");
        run.now += 40;
        run.goes_on(first.wrapping_add(40), 5_000, sound.wrapping_sub(first));
        assert_eq!(run.clock.jumps(), 1);
    }
}

#[test]
fn a_jump_about_as_large_as_the_bound_does_not_part_the_tracks() {
    let ahead = limits::CLOCK_AHEAD.as_millis() as u32;
    let back = limits::CLOCK_BACK.as_millis() as u32;
    for nudge in 0..200 {
        for by in [ahead - 100 + nudge, (back - 100 + nudge).wrapping_neg()] {
            for audio_first in [true, false] {
                let mut run = Run::default();
                for n in 0..100_u32 {
                    run.now = u64::from(n) * 40;
                    run.media(AUDIO, n * 40 + 15);
                    run.media(VIDEO, n * 40);
                }
                let time = 4_000_u32.wrapping_add(by);
                let [audio, video] = if audio_first {
                    let audio = run.media(AUDIO, time.wrapping_add(15));
                    [audio, run.media(VIDEO, time)]
                } else {
                    let video = run.media(VIDEO, time);
                    [run.media(AUDIO, time.wrapping_add(15)), video]
                };
                for n in 1..3_u32 {
                    let time = time.wrapping_add(n * 40);
                    let video = run.media(VIDEO, time);
                    let audio = run.media(AUDIO, time.wrapping_add(15));
                    assert_eq!(audio, video + 15, "by {} later", by as i32);
                }
                // The two messages at the jump itself may be on either side of it.
                let apart = audio.wrapping_sub(video.wrapping_add(15)) as i32;
                assert!(
                    apart == 0 || apart.abs() <= ahead as i32 + 100,
                    "by {}: {apart}",
                    by as i32
                );
                assert!(run.clock.jumps() <= 1);
            }
        }
    }
}

#[test]
fn only_one_track_jumps_and_the_other_stays() {
    let mut run = Run::default();
    run.goes_on(0, 10_000, 0);
    let moved = run.media(AUDIO, 9_000_000);
    for n in 0..100 {
        run.now += 20;
        assert_eq!(run.media(VIDEO, 10_000 + n * 20), 10_000 + n * 20);
        assert_eq!(run.media(AUDIO, 9_000_000 + n * 20), moved + n * 20);
    }
    assert_eq!(run.clock.jumps(), 1);
}

#[test]
fn headers_and_data_with_time_0_follow_and_move_nothing() {
    let mut run = Run::default();
    assert_eq!(run.header(MediaKind::Data, 0), 0, "before anything");
    run.goes_on(700_000, 4_000, 0);
    let newest = 703_980;
    assert_eq!(run.header(MediaKind::Data, 0), newest);
    assert_eq!(run.header(AUDIO, 0), newest);
    assert_eq!(run.header(VIDEO, 0), 703_960, "the newest picture");
    assert_eq!(run.header(VIDEO, 704_000), 704_000, "a right time is kept");
    let text = |run: &mut Run, time| run.clock.follower(MediaKind::Data, Timestamp(time)).0;
    assert_eq!(text(&mut run, 703_900), 703_900);
    assert_eq!(text(&mut run, 0), newest);
    assert_eq!(run.header(MediaKind::Data, 703_900), newest, "never older");
    assert_eq!(run.media(MediaKind::Data, 5), newest);
    run.goes_on(704_000, 1_000, 0);
    // Pictures rest, and come back with a header that says nothing of when.
    for n in 0..1_000 {
        run.now += 20;
        run.media(AUDIO, 705_000 + n * 20);
    }
    assert_eq!(run.header(VIDEO, 0), 724_980);
    assert_eq!(run.header(VIDEO, 725_000), 725_000);
    assert_eq!(run.clock.jumps(), 0);
    // A young stream is near 0 itself.
    let mut young = Run::default();
    young.goes_on(0, 500, 0);
    assert_eq!(young.header(AUDIO, 0), 480);
}

#[test]
fn the_next_publication_goes_on_where_the_last_one_ended() {
    for first in [0_u32, 480, 90_000_000, u32::MAX] {
        let mut run = Run::default();
        run.goes_on(5_000, 3_000, 0);
        run.clock.next_publication();
        assert_eq!(
            run.header(MediaKind::Data, 0),
            7_980,
            "not before the others"
        );
        assert_eq!(run.header(VIDEO, first), 7_980);
        let picture = run.media(VIDEO, first);
        assert_eq!(picture, 7_980 + SEAM);
        assert_eq!(run.media(AUDIO, first.wrapping_add(3)), picture + 3);
        run.goes_on(first.wrapping_add(40), 1_000, picture.wrapping_sub(first));
        assert_eq!(
            run.clock.jumps(),
            0,
            "not counted: nobody's clock is broken"
        );
    }
    // One without sound after one with it: its sound's header is of now.
    let mut mute = Run::default();
    mute.goes_on(0, 1_000, 0);
    mute.clock.next_publication();
    for n in 0..20 {
        mute.media(VIDEO, n * 40);
    }
    assert_eq!(mute.header(AUDIO, 0), 980 + SEAM + 19 * 40);
    let mut short = Run::default();
    assert_eq!(
        short.header(MediaKind::Data, 1_000),
        1_000,
        "and that was all"
    );
    short.clock.next_publication();
    assert_eq!(short.header(VIDEO, 0), 1_000);
    assert_eq!(short.media(VIDEO, 0), 1_000 + SEAM);
    let mut fresh = Run::default();
    fresh.clock.next_publication();
    assert_eq!(fresh.media(AUDIO, 77), 77, "nothing before it");
}

#[test]
fn leaps_from_picture_to_picture_are_taken_out_one_by_one() {
    let mut run = Run::default();
    let mut last = run.media(VIDEO, 0);
    for n in 1..20_u32 {
        let now = run.media(VIDEO, n.wrapping_mul(0x0f00_0010));
        assert_eq!(now, last + SEAM);
        last = now;
    }
    assert_eq!(run.clock.jumps(), 19);
}
