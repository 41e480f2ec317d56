//! Status codes with their levels, in one place: no code is ever sent with a wrong level or spelling.
//!
//! Codes and levels of the connection are Enhanced RTMP's list; the rest is ActionScript 3's, as servers use it.

/// How bad a status is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// `status`: all is well.
    Status,
    /// `warning`: it goes on, but not well.
    Warning,
    /// `error`: what was asked for does not happen.
    Error,
}

impl Level {
    /// As it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! statuses {
    ($($name:ident $level:ident $code:literal,)*) => {
        /// A status code that clients know.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Status {
            $(#[doc = concat!("`", $code, "`")] $name,)*
        }

        impl Status {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As it is sent.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it is sent with.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }
        }
    };
}

statuses! {
    ConnectSuccess Status "NetConnection.Connect.Success",
    ConnectClosed Status "NetConnection.Connect.Closed",
    ConnectIdleTimeout Status "NetConnection.Connect.IdleTimeout",
    ConnectNetworkChange Status "NetConnection.Connect.NetworkChange",
    ConnectReconnectRequest Status "NetConnection.Connect.ReconnectRequest",
    ConnectFailed Error "NetConnection.Connect.Failed",
    ConnectRejected Error "NetConnection.Connect.Rejected",
    ConnectInvalidApp Error "NetConnection.Connect.InvalidApp",
    ConnectAppShutdown Error "NetConnection.Connect.AppShutdown",
    CallFailed Error "NetConnection.Call.Failed",
    CallBadVersion Error "NetConnection.Call.BadVersion",
    CallProhibited Error "NetConnection.Call.Prohibited",
    ProxyNotResponding Error "NetConnection.Proxy.NotResponding",
    Failed Error "NetStream.Failed",
    PublishStart Status "NetStream.Publish.Start",
    PublishIdle Status "NetStream.Publish.Idle",
    PublishBadName Error "NetStream.Publish.BadName",
    PublishDenied Error "NetStream.Publish.Denied",
    PublishRejected Error "NetStream.Publish.Rejected",
    UnpublishSuccess Status "NetStream.Unpublish.Success",
    PlayStart Status "NetStream.Play.Start",
    PlayStop Status "NetStream.Play.Stop",
    PlayReset Status "NetStream.Play.Reset",
    PlayComplete Status "NetStream.Play.Complete",
    PlaySwitch Status "NetStream.Play.Switch",
    PlayTransition Status "NetStream.Play.Transition",
    PlayTransitionComplete Status "NetStream.Play.TransitionComplete",
    PlayPublishNotify Status "NetStream.Play.PublishNotify",
    PlayUnpublishNotify Status "NetStream.Play.UnpublishNotify",
    PlayInsufficientBandwidth Warning "NetStream.Play.InsufficientBW",
    PlayFailed Error "NetStream.Play.Failed",
    PlayStreamNotFound Error "NetStream.Play.StreamNotFound",
    PlayFileStructureInvalid Error "NetStream.Play.FileStructureInvalid",
    PlayNoSupportedTrackFound Error "NetStream.Play.NoSupportedTrackFound",
    PauseNotify Status "NetStream.Pause.Notify",
    UnpauseNotify Status "NetStream.Unpause.Notify",
    SeekNotify Status "NetStream.Seek.Notify",
    SeekFailed Error "NetStream.Seek.Failed",
    SeekInvalidTime Error "NetStream.Seek.InvalidTime",
    RecordStart Status "NetStream.Record.Start",
    RecordStop Status "NetStream.Record.Stop",
    RecordNoAccess Error "NetStream.Record.NoAccess",
    RecordFailed Error "NetStream.Record.Failed",
    DataStart Status "NetStream.Data.Start",
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_stands_once_and_has_the_references_level() {
        let codes: BTreeSet<&str> = Status::ALL.iter().map(|s| s.code()).collect();
        assert_eq!(codes.len(), Status::ALL.len());
        for status in Status::ALL {
            let code = status.code();
            assert!(code.starts_with("NetConnection.") || code.starts_with("NetStream."));
            let last = code.rsplit('.').next().unwrap();
            // What obs-outputs gives up for, and the rest of the error row.
            let bad = [
                "Failed",
                "Rejected",
                "InvalidApp",
                "AppShutdown",
                "BadVersion",
                "Prohibited",
                "NotResponding",
                "BadName",
                "Denied",
                "StreamNotFound",
                "FileStructureInvalid",
                "NoSupportedTrackFound",
                "InvalidTime",
                "NoAccess",
            ];
            let level = match last {
                "InsufficientBW" => Level::Warning,
                last if bad.contains(&last) => Level::Error,
                _ => Level::Status,
            };
            assert_eq!(status.level(), level, "{code}");
        }
    }
}
