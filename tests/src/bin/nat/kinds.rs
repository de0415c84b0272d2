//! Routers, and which pairs of peers behind them can be connected directly: written down before anything is measured.

/// What a peer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nothing: it has a public address.
    Public,
    /// A router that gives a port of the peer one port outside, and lets in there whoever comes.
    Cone,
    /// A router that gives a port of the peer one port outside, and lets in there what answers.
    Restricted,
    /// A router that gives each connection another port outside, and lets in there what answers.
    Symmetric,
    /// As [`Self::Restricted`], and no UDP goes through.
    NoUdp,
    /// As [`Self::Restricted`], but that it lets in at some port whoever comes, when the peer asks for it (UPnP). Only who serves asks.
    Upnp,
}

impl Kind {
    /// Behind which peers fetch.
    pub(crate) const FETCHING: [Self; 5] = [Self::Public, Self::Cone, Self::Restricted, Self::Symmetric, Self::NoUdp];
    /// Behind which peers serve.
    pub(crate) const SERVING: [Self; 6] =
        [Self::Public, Self::Cone, Self::Restricted, Self::Symmetric, Self::NoUdp, Self::Upnp];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Cone => "cone",
            Self::Restricted => "port-restricted",
            Self::Symmetric => "symmetric",
            Self::NoUdp => "udp-blocked",
            Self::Upnp => "upnp",
        }
    }
}

/// What peers may talk over with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    Tcp,
    Quic,
}

impl Over {
    pub(crate) const ALL: [Self; 2] = [Self::Tcp, Self::Quic];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }
}

/// Whether two peers can be connected directly, and why or why not.
pub(crate) const fn can_go_direct(over: Over, serves: Kind, fetches: Kind) -> (bool, &'static str) {
    use Kind::{Cone, NoUdp, Public, Symmetric, Upnp};
    match (over, serves, fetches) {
        (Over::Quic, NoUdp, _) | (Over::Quic, _, NoUdp) => (false, "QUIC is UDP"),
        (_, Public, _) => (true, "who serves can be dialed"),
        (_, _, Public) => (true, "who fetches can be dialed back"),
        (_, Upnp, _) => (true, "the router of who serves lets in whoever comes, as it was asked to"),
        (_, Cone, _) => (true, "the router of who serves lets in whoever comes"),
        (_, _, Cone) => (true, "the router of who fetches lets in whoever is called back"),
        (_, Symmetric, _) | (_, _, Symmetric) => {
            (false, "a port that is used for one peer only is one that nobody can know before")
        }
        _ => (true, "both dial at once, and each router takes what comes for an answer"),
    }
}
