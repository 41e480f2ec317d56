//! What commands ask for.

use super::{Command, ConnectRequest, Play2, PlayOptions, PublishKind};

/// What a client asks for (RTMP 1.0 §7.2, and what FMS added).
#[derive(Clone, PartialEq, Debug)]
pub enum Request {
    /// `connect`.
    Connect(Box<ConnectRequest>),
    /// `createStream`.
    CreateStream,
    /// `releaseStream`: forget an earlier publisher of this name.
    ReleaseStream,
    /// `FCPublish`.
    FcPublish {
        /// Stream name as sent.
        name: Option<String>,
    },
    /// `FCUnpublish`.
    FcUnpublish {
        /// Stream name as sent.
        name: Option<String>,
    },
    /// `FCSubscribe`.
    FcSubscribe,
    /// `getStreamLength`.
    GetStreamLength {
        /// Stream name as sent.
        name: Option<String>,
    },
    /// `_checkbw` and `checkBandwidth`.
    CheckBandwidth,
    /// `deleteStream`.
    DeleteStream {
        /// Its number; none where GStreamer sends the stream's name.
        stream: Option<u32>,
    },
    /// `closeStream`.
    CloseStream,
    /// `close`: the whole connection.
    Close,
    /// `publish`.
    Publish {
        /// Stream name as sent; none for `publish(false)`, which stops.
        name: Option<String>,
        /// live, record, append; live for anything else.
        kind: PublishKind,
    },
    /// `play`.
    Play {
        /// Stream name as sent; none for `play(false)`, which stops.
        name: Option<String>,
        /// The rest.
        options: PlayOptions,
    },
    /// `play2`.
    Play2(Box<Play2>),
    /// `pause`, `pauseRaw`.
    Pause {
        /// Hold, or go on.
        paused: bool,
        /// Milliseconds.
        position: f64,
    },
    /// `seek`.
    Seek {
        /// Milliseconds.
        position: f64,
    },
    /// `receiveAudio`.
    ReceiveAudio(bool),
    /// `receiveVideo`.
    ReceiveVideo(bool),
    /// A reply to a call of ours, or a notice: nothing to answer.
    Reply,
    /// Anything else.
    Unknown,
}

impl Request {
    /// What `command` asks for. Names in any case: `DeleteStream` is in the field too.
    pub fn new(command: &Command) -> Self {
        match command.name.to_ascii_lowercase().as_str() {
            "connect" => Self::Connect(Box::new(ConnectRequest::new(command))),
            "createstream" => Self::CreateStream,
            "releasestream" => Self::ReleaseStream,
            "fcpublish" => Self::FcPublish {
                name: command.text(0),
            },
            "fcunpublish" => Self::FcUnpublish {
                name: command.text(0),
            },
            "fcsubscribe" => Self::FcSubscribe,
            "getstreamlength" => Self::GetStreamLength {
                name: command.text(0),
            },
            "_checkbw" | "checkbandwidth" => Self::CheckBandwidth,
            "deletestream" => Self::DeleteStream {
                stream: command.number(0).map(|n| n as u32).filter(|n| *n != 0),
            },
            "closestream" => Self::CloseStream,
            "close" => Self::Close,
            "publish" => Self::Publish {
                name: command.text(0),
                kind: PublishKind::new(command.argument(1)),
            },
            "play" => Self::Play {
                name: command.text(0),
                options: PlayOptions::new(command),
            },
            "play2" => Self::Play2(Box::new(Play2::new(command.argument(0)))),
            "pause" | "pauseraw" => Self::Pause {
                paused: command.flag(0).unwrap_or(true),
                position: command.number(1).unwrap_or(0.0),
            },
            "seek" => Self::Seek {
                position: command.number(0).unwrap_or(0.0),
            },
            "receiveaudio" => Self::ReceiveAudio(command.flag(0).unwrap_or(true)),
            "receivevideo" => Self::ReceiveVideo(command.flag(0).unwrap_or(true)),
            "_result" | "_error" | "onstatus" => Self::Reply,
            _ => Self::Unknown,
        }
    }
}
