use super::codec::Broken;
use mqtt_proto::v5::DisconnectReasonCode as Reason;

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client said goodbye.
    Client,
    /// The wire broke.
    Lost,
    /// Nothing came for one and a half times the keep-alive, no CONNECT in time, or our answers were not taken.
    Slow,
    Malformed,
    /// No TLS, or a certificate that can't be believed.
    Handshake,
    /// A packet that may not stand here.
    Protocol,
    TooLarge,
    /// More messages of QoS 2 begun and not released than a client may have.
    Unreleased,
    Topic,
    /// An alias instead of a topic, though we announce that we take none.
    Alias,
    NotAuthorized,
    Credentials,
    ClientId,
    /// Came back too soon after it was sent away for trying what it may not.
    Impatient,
    TakenOver,
    /// It had not sent its whole CONNECT when another came from its address, which has as many that are silent as it may have.
    Crowded,
    /// A commit failed: what was not acknowledged will be sent again.
    Store,
    /// The disk is full: as `Store`, and no use before there is room.
    Full,
    ShuttingDown,
}

impl Ended {
    /// The word in logs and `/metrics`.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
            Self::Handshake => "handshake",
            Self::Protocol => "protocol",
            Self::TooLarge => "too-large",
            Self::Unreleased => "unreleased",
            Self::Topic => "topic",
            Self::Alias => "alias",
            Self::NotAuthorized => "not-authorized",
            Self::Credentials => "credentials",
            Self::ClientId => "client-id",
            Self::Impatient => "impatient",
            Self::TakenOver => "taken-over",
            Self::Crowded => "crowded",
            Self::Store => "store",
            Self::Full => "full",
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// What a person does about an end that is no accident of the wire; none where nothing is to be done, or it is said elsewhere.
    pub(super) const fn cure(self) -> Option<&'static str> {
        Some(match self {
            Self::TakenOver => "another came in with the same client id; give each client its own, or it will go on like this",
            Self::Malformed => "it sends what is no MQTT; look at its library, and whether it means the port with TLS",
            Self::Protocol => "it sends a packet that may not stand here, as a second CONNECT; look at its library",
            Self::TooLarge => "it sends a packet larger than this door takes; let it send what it measured in several messages",
            Self::Unreleased => "it begins messages of QoS 2 and does not release them; let it send with QoS 1, or look at its library",
            Self::Topic => "its topic is empty, too long or has a wildcard; let it publish to pescaia/v1/OWNER/DEVICE",
            Self::Alias => "it sends topic aliases, which this door announces not to take; switch them off",
            Self::Slow => "nothing came for one and a half times its keep-alive; let it ping, or say a longer keep-alive",
            Self::Client
            | Self::Lost
            | Self::Handshake
            | Self::NotAuthorized
            | Self::Credentials
            | Self::ClientId
            | Self::Impatient
            | Self::Crowded
            | Self::Store
            | Self::Full
            | Self::ShuttingDown => return None,
        })
    }

    /// What an MQTT 5 client is told once it has come in.
    pub(super) const fn goodbye(self) -> Option<Reason> {
        match self {
            Self::Client | Self::Lost | Self::Handshake | Self::Credentials | Self::ClientId | Self::Impatient | Self::Crowded => None,
            Self::Slow => Some(Reason::KeepAliveTimeout),
            Self::Malformed => Some(Reason::MalformedPacket),
            Self::Protocol => Some(Reason::ProtocolError),
            Self::TooLarge => Some(Reason::PacketTooLarge),
            Self::Unreleased => Some(Reason::ReceiveMaximumExceeded),
            Self::Topic => Some(Reason::TopicNameInvalid),
            Self::Alias => Some(Reason::TopicAliasInvalid),
            Self::NotAuthorized => Some(Reason::NotAuthorized),
            Self::TakenOver => Some(Reason::SessionTakenOver),
            Self::Store => Some(Reason::UnspecifiedError),
            Self::Full => Some(Reason::QuotaExceeded),
            Self::ShuttingDown => Some(Reason::ServerShuttingDown),
        }
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge => Self::TooLarge,
            Broken::Malformed | Broken::Version => Self::Malformed,
        }
    }
}

impl From<&store::Error> for Ended {
    fn from(cause: &store::Error) -> Self {
        if matches!(cause, store::Error::Full) { Self::Full } else { Self::Store }
    }
}
