//! Settings that are one of a few words.

use core::fmt;

/// Defines an enum whose values are words of the configuration.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$what])* $variant,)+ }

        impl $name {
            /// All of them, as the configuration spells them.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// As the configuration spells it.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one that is spelt so.
            pub fn spelt(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

choice! {
    /// Which backend parks the data shards.
    Backend {
        /// Our edge-triggered reactor; Linux only.
        Shard = "shard",
        /// smol and async-io; wherever they run.
        Smol = "smol",
    }
}

impl Backend {
    /// The best one of this platform.
    pub const DEFAULT: Self = if cfg!(target_os = "linux") {
        Self::Shard
    } else {
        Self::Smol
    };

    /// Those of this platform.
    pub const HERE: &'static [&'static str] = if cfg!(target_os = "linux") {
        Self::WORDS
    } else {
        &["smol"]
    };
}

choice! {
    /// How much the log says.
    LogLevel {
        /// Nothing.
        Off = "off",
        /// What the operator must mend.
        Error = "error",
        /// What is odd, and was survived.
        Warn = "warn",
        /// Streams that come and go.
        Info = "info",
        /// Connections that come and go.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// What a line of the log looks like.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line, for machines.
        Json = "json",
    }
}

choice! {
    /// What becomes of a player whose stream nobody publishes.
    Missing {
        /// It waits for the publisher.
        Wait = "wait",
        /// It is refused with `NetStream.Play.StreamNotFound`.
        Refuse = "refuse",
    }
}

choice! {
    /// What becomes of a publisher that asks for a name which somebody publishes already.
    OnConflict {
        /// It is refused with `NetStream.Publish.BadName`.
        Refuse = "refuse",
        /// It gets the name; the other is told and closed, and the players stay.
        Takeover = "takeover",
        /// The same; and a stream whose publisher vanished waits for it, for the grace time.
        Resume = "resume",
    }
}

choice! {
    /// What of an application is recorded, if there is a directory for it.
    Record {
        /// Nothing.
        Off = "off",
        /// Every stream.
        All = "all",
        /// What its publisher (type `record` or `append`) or an operator wants recorded.
        OnDemand = "on-demand",
    }
}

choice! {
    /// What a recording is made of.
    RecordFormat {
        /// FLV: whatever RTMP carries.
        Flv = "flv",
        /// Fragmented MP4: the codecs that MP4 has, for every other program.
        Mp4 = "mp4",
        /// A file of each.
        Both = "both",
    }
}

choice! {
    /// What a file is made of; also its ending.
    Container {
        /// FLV.
        Flv = "flv",
        /// Fragmented MP4.
        Mp4 = "mp4",
    }
}

impl RecordFormat {
    /// What files a recording has.
    pub const fn containers(self) -> &'static [Container] {
        match self {
            Self::Flv => &[Container::Flv],
            Self::Mp4 => &[Container::Mp4],
            Self::Both => &[Container::Flv, Container::Mp4],
        }
    }
}
